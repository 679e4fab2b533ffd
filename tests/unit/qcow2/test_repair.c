/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: whatever is damaged is sound afterwards, and so it is
 * after any power cut and another repair; guest bytes change only where a
 * step said so, and a cut makes nothing worse.
 */

#include "unit/help/cuts.h"
#include "unit/qcow2/damage.h"

struct cut {
	struct told c_told;
	struct content c_was;   /* before the damage */
	struct content c_could; /* what could be read of it then */
	int c_open;             /* and whether it could be written to */
};

static void
begin(struct fx *fx, const struct damage *d, struct cut *c)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	make(fx, 4);
	fx_sound(fx, 0);
	look(fx, &c->c_was);
	d->d_do(fx);
	look(fx, &c->c_could);
	/* What the damage did to them, no repair can bring back. */
	for (i = 0; i < NSECTORS; i++)
		if (c->c_could.c_ok[i])
			memcpy(c->c_was.c_disk + i * 512,
			    c->c_could.c_disk + i * 512, 512);
	c->c_open = fx_try(fx, IMG_RDWR) == 0;
	memcpy(c->c_was.c_snap, c->c_could.c_snap, sizeof(c->c_was.c_snap));
}

static void
every_damage_is_repaired(void **state)
{
	unsigned bad = 0;
	struct told t;
	struct cut c;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		begin(&fx, &damages[i], &c);
		memset(&t, 0, sizeof(t));
		if (!mend(&fx, &t)) {
			print_error("%s: not sound: QCOW2-%u\n",
			    damages[i].d_name,
			    fx.fx_sink.s_n == 0 ?
				0 :
				img_row(fx.fx_sink.s_found[0].fi_row)
				    ->r_number);
			bad++;
		}
		if (t.t_n == 0) {
			print_error("%s: no damage\n", damages[i].d_name);
			bad++;
		}
		if (!is_intact(&fx, &t, &c.c_was, &c.c_could)) {
			print_error("%s: guest bytes changed\n",
			    damages[i].d_name);
			bad++;
		}
		done(&fx);
	}
	assert_int_equal(bad, 0);
}

static void
a_dry_run_tells_the_same_and_writes_nothing(void **state)
{
	struct told dry, wet;
	struct mem was = { 0 };
	struct cut c;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		begin(&fx, &damages[i], &c);
		memset(&dry, 0, sizeof(dry));
		memset(&wet, 0, sizeof(wet));
		check(&fx);
		mem_copy(&was, &fx.fx_mem);
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, IMG_DRYRUN, &dry),
		    0);
		assert_true(mem_equal(&was, &fx.fx_mem));
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &wet), 0);
		if (memcmp(&dry, &wet, sizeof(dry)) != 0)
			fail_msg("%s: not the same", damages[i].d_name);
		mem_free(&was);
		done(&fx);
	}
}

/* Does every cluster count at least what leads to it? */
static int
is_counted(const struct mem *m)
{
	struct mkrefs r;
	int ok = 1;
	size_t cl;

	mkqcow2_refs(m, &r);
	for (cl = 0; cl < r.r_ncl; cl++)
		ok &= mkqcow2_count(m, cl) >= r.r_n[cl];
	mkqcow2_refs_free(&r);
	return (ok);
}

/*
 * One image as a power cut left it: no worse, which means that guest bytes are
 * as they were, and that nobody writes to it before it is sound; another
 * repair makes it so.
 */
static int
judge(void *arg, const struct mem *m)
{
	const struct cut *c = arg;
	struct told t = c->c_told;
	struct fx fx;
	int ok;

	memset(&fx, 0, sizeof(fx));
	mkqcow2_env(&fx.fx_env);
	mem_copy(&fx.fx_mem, m);
	ok = is_intact(&fx, &t, &c->c_was, &c->c_could);
	if (!c->c_open && fx_try(&fx, IMG_RDWR) == 0)
		ok &= is_counted(m);
	ok = mend(&fx, &t) && is_intact(&fx, &t, &c->c_was, &c->c_could) && ok;
	done(&fx);
	return (ok);
}

/* Repair one damage and cut it short everywhere. */
static unsigned
cut_repair(const struct damage *d, int barriers)
{
	struct mem_log log = { 0 };
	struct mem start = { 0 };
	struct cut c;
	struct fx fx;
	unsigned bad;

	begin(&fx, d, &c);
	mem_copy(&start, &fx.fx_mem);
	check(&fx);
	fx.fx_mem.m_log = &log;
	assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &c.c_told), 0);
	fx.fx_mem.m_log = NULL;
	bad = cuts(&start, &log, barriers, judge, &c);
	mem_log_free(&log);
	mem_free(&start);
	done(&fx);
	return (bad);
}

static void
any_cut_can_be_repaired(void **state)
{
	unsigned bad, all = 0;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		bad = cut_repair(&damages[i], 1);
		if (bad > 0)
			print_error("%s: %u states\n", damages[i].d_name, bad);
		all += bad;
	}
	assert_int_equal(all, 0);
}

static void
the_test_notices_missing_barriers(void **state)
{
	static const char *const need[] = { "twin_data", "short_extra",
		"dirty" };
	size_t i, k;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++)
		for (k = 0; k < LENGTH_OF(need); k++)
			if (strcmp(damages[i].d_name, need[k]) == 0 &&
			    cut_repair(&damages[i], 0) == 0)
				fail_msg("%s: nothing noticed", need[k]);
}

/*
 * A pointer that is damaged may have led to anything that nothing else leads
 * to: its refcount stays, whatever else is repaired.
 */
static void
what_may_be_in_use_keeps_its_refcount(void **state)
{
	static void (*const with[])(
	    struct fx *) = { leaks, no_table, block_twice, dirty };
	uint64_t l2, data, leaked;
	struct told t;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(with); i++) {
		make(&fx, 4);
		l2 = l2_of(&fx, 1);
		data = host(&fx, 64);
		mem_put64(&fx.fx_mem, l1_at(&fx, 1), 0x12345600 | MKQ_COPIED);
		with[i](&fx);
		leaked = fx.fx_mem.m_len - CLUSTER;
		memset(&t, 0, sizeof(t));
		check(&fx);
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &t), 0);
		assert_true(t.t_n > 0);
		assert_true(fx_count(&fx, l2) >= 1);
		assert_true(fx_count(&fx, data) >= 1);
		if (with[i] == leaks)
			assert_int_equal(fx_count(&fx, leaked), 1);
		done(&fx);
	}
}

static void
the_refcounts_of_a_lost_snapshot_stay(void **state)
{
	static void (*const with[])(struct fx *) = { leaks, no_table, dirty };
	struct told t;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(with); i++) {
		make(&fx, 4);
		mem_put32(&fx.fx_mem, 60, 0);
		with[i](&fx);
		memset(&t, 0, sizeof(t));
		check(&fx);
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &t), 0);
		assert_true(fx_count(&fx, fx.fx_k.k_snap[0].s_l1) >= 1);
		assert_true(fx_count(&fx, fx.fx_k.k_snap_off) >= 1);
		done(&fx);
	}
}

/* After it, the rows that were repaired are gone, and there are no others. */
static void
one_safe_repair_is_enough(void **state)
{
	enum img_row row;
	struct mem_sink was;
	struct told t;
	struct cut c;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		begin(&fx, &damages[i], &c);
		memset(&t, 0, sizeof(t));
		check(&fx);
		was = fx.fx_sink;
		assert_int_equal(repair(&fx, IMG_FIX_SAFE, 0, &t), 0);
		check(&fx);
		for (row = IMG_ROW_NONE; row < IMG_NROWS; row++)
			if (mem_has(&fx.fx_sink, row) > 0 &&
			    row != IMG_QCOW2_DATA_SHARED &&
			    /* In a dirty image no one speaks of them. */
			    !(row == IMG_QCOW2_LEAK &&
				mem_has(&was, IMG_QCOW2_DIRTY)) &&
			    img_row(row)->r_severity > IMG_SEV_NOTE &&
			    (!mem_has(&was, row) ||
				img_row(row)->r_fix == IMG_FIX_SAFE))
				fail_msg("%s: QCOW2-%u", damages[i].d_name,
				    img_row(row)->r_number);
		done(&fx);
	}
}

/* Below an L1 entry that leads to data, there are no entries to mend. */
static void
what_may_be_data_is_not_mended(void **state)
{
	static const uint8_t zeros[CLUSTER];
	struct mem was = { 0 };
	struct told t;
	struct fx fx;

	(void)state;
	make(&fx, 4);
	/* As an L2 table, the cluster has reserved bits in an entry. */
	mem_put(&fx.fx_mem, host(&fx, 65), zeros, sizeof(zeros));
	mem_put64(&fx.fx_mem, host(&fx, 65) + 8, 0x1e);
	mem_put64(&fx.fx_mem, l1_at(&fx, 2), host(&fx, 65) | MKQ_COPIED);
	leaks(&fx);
	mem_copy(&was, &fx.fx_mem);
	memset(&t, 0, sizeof(t));
	check(&fx);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QCOW2_L2_DATA), 1);
	assert_true(mem_has(&fx.fx_sink, IMG_QCOW2_L2_RESERVED) > 0);
	assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &t), 0);
	assert_int_equal(t.t_n, 0);
	assert_true(mem_equal(&was, &fx.fx_mem));
	mem_free(&was);
	done(&fx);
}

#define BITMAPS 0x23852875u
#define FEATURES 0x6803f857u
#define UNKNOWN 0x12345678u

/*
 * A first cluster of many sectors, with extensions behind a header of that
 * length: first some text, then one of this type and 24 bytes, then one of
 * this type and 392, then text.
 */
static void
make_names_of(struct fx *fx, uint32_t length, uint32_t small, uint32_t large)
{
	static const uint8_t zeros[392];
	struct mkqcow2 *k = fx_init(fx, 1 << 20, 12);
	uint64_t at;

	mkqcow2_begin(k);
	mkqcow2_data(k, 0);
	mkqcow2_end(k);
	mem_put32(&fx->fx_mem, 100, length);
	at = mkqcow2_ext(k, length, UNKNOWN, "keep", 5);
	at = mkqcow2_ext(k, at, small, zeros, 24);
	at = mkqcow2_ext(k, at, large, zeros, 392);
	at = mkqcow2_ext(k, at, UNKNOWN, "keep me", 8);
	mkqcow2_ext(k, at, 0, "", 0);
}

static int
has_bytes(const struct mem *m, const char *s)
{
	size_t len = strlen(s) + 1, at;
	char buf[16];

	for (at = 0; at < 4096 - len; at++) {
		mem_get(m, at, buf, len);
		if (memcmp(buf, s, len) == 0)
			return (1);
	}
	return (0);
}

static int
judge_names(void *arg, const struct mem *m)
{
	const enum img_row *row = arg;
	struct fx fx;
	int ok;

	memset(&fx, 0, sizeof(fx));
	mkqcow2_env(&fx.fx_env);
	mem_copy(&fx.fx_mem, m);
	check(&fx);
	/* It is there still, or it is not and nothing else is. */
	ok = mem_has(&fx.fx_sink, *row) > 0 || fx.fx_sink.s_n == 0;
	ok &= has_bytes(m, "keep") && has_bytes(m, "keep me");
	done(&fx);
	return (ok);
}

static void
extensions_move_within_a_sector_or_not_at_all(void **state)
{
	static const struct {
		uint32_t c_length, c_small, c_large;
		enum img_row c_row;
		int c_mended;
	} cases[] = {
		/* All that is left goes into the first sector. */
		{ 112, UNKNOWN, BITMAPS, IMG_QCOW2_BITMAP_STALE, 1 },
		{ 107, UNKNOWN, FEATURES, IMG_QCOW2_HEADER_ODD, 1 },
		{ 112, BITMAPS, FEATURES, IMG_QCOW2_BITMAP_STALE, 1 },
		/* Something would have to move across its end. */
		{ 112, BITMAPS, UNKNOWN, IMG_QCOW2_BITMAP_STALE, 0 },
		{ 107, UNKNOWN, UNKNOWN, IMG_QCOW2_HEADER_ODD, 0 },
	};
	struct mem_log log;
	struct mem start = { 0 };
	enum img_row row;
	struct told t;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cases); i++) {
		row = cases[i].c_row;
		make_names_of(&fx, cases[i].c_length, cases[i].c_small,
		    cases[i].c_large);
		memset(&log, 0, sizeof(log));
		memset(&t, 0, sizeof(t));
		mem_copy(&start, &fx.fx_mem);
		check(&fx);
		fx_only(&fx, row);
		fx.fx_mem.m_log = &log;
		assert_int_equal(repair(&fx, IMG_FIX_SAFE, 0, &t), 0);
		fx.fx_mem.m_log = NULL;
		assert_int_equal(cuts(&start, &log, 1, judge_names, &row), 0);
		assert_true(judge_names(&row, &fx.fx_mem));
		check(&fx);
		assert_int_equal(mem_has(&fx.fx_sink, row), !cases[i].c_mended);
		assert_int_equal(t.t_n, cases[i].c_mended);
		mem_log_free(&log);
		mem_free(&start);
		done(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_damage_is_repaired),
		cmocka_unit_test(a_dry_run_tells_the_same_and_writes_nothing),
		cmocka_unit_test(any_cut_can_be_repaired),
		cmocka_unit_test(the_test_notices_missing_barriers),
		cmocka_unit_test(what_may_be_in_use_keeps_its_refcount),
		cmocka_unit_test(the_refcounts_of_a_lost_snapshot_stay),
		cmocka_unit_test(one_safe_repair_is_enough),
		cmocka_unit_test(what_may_be_data_is_not_mended),
		cmocka_unit_test(extensions_move_within_a_sector_or_not_at_all),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
