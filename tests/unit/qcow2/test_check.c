/* SPDX-License-Identifier: ISC */

/*
 * Stage CHECK: the same findings in whatever memory there is, errors that end
 * it, statistics, and what recipes do not show.
 */

#include "unit/qcow2/damage.h"

/* The findings and statistics of one check. */
struct result {
	struct img_checked r_ch;
	struct mem_sink r_sink;
	int r_error;
};

static void
run(struct fx *fx, uint64_t budget, unsigned flags, struct result *r)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	memset(r, 0, sizeof(*r));
	a.a_format = &img_qcow2;
	a.a_flags = IMG_VERIFY;
	a.a_slices = 8;
	a.a_budget = budget;
	a.a_report = mem_report;
	a.a_arg = &r->r_sink;
	r->r_error = mem_open_args(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &a);
	if (r->r_error != 0)
		return;
	if (fx->fx_k.k_data != NULL)
		assert_int_equal(img_lend_data(fx->fx_im, &fx->fx_data.m_file),
		    0);
	r->r_error = img_check(fx->fx_im, flags, 0, &r->r_ch);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

static int
after(const struct img_finding *a, const struct img_finding *b)
{
	return (a->fi_row != b->fi_row ? a->fi_row > b->fi_row :
					 a->fi_off > b->fi_off);
}

/* By row and place: windows come in the order of the file. */
static void
sort(struct mem_sink *s)
{
	struct img_finding swap;
	unsigned i, k;

	assert_true(s->s_n <= MEM_NFOUND);
	for (i = 1; i < s->s_n; i++)
		for (k = i; k > 0 && after(&s->s_found[k - 1], &s->s_found[k]);
		     k--) {
			swap = s->s_found[k];
			s->s_found[k] = s->s_found[k - 1];
			s->s_found[k - 1] = swap;
		}
}

static void
same(struct result *a, struct result *b)
{
	unsigned i;

	sort(&a->r_sink);
	sort(&b->r_sink);
	assert_int_equal(a->r_sink.s_n, b->r_sink.s_n);
	for (i = 0; i < a->r_sink.s_n; i++) {
		a->r_sink.s_found[i].fi_name = NULL;
		b->r_sink.s_found[i].fi_name = NULL;
		assert_memory_equal(&a->r_sink.s_found[i],
		    &b->r_sink.s_found[i], sizeof(struct img_finding));
	}
	assert_memory_equal(&a->r_ch, &b->r_ch, sizeof(a->r_ch));
}

#define GAP (5000u * CLUSTER)

/*
 * Like damage.h's image, spread over more clusters than two pages of the map
 * of owners have.
 */
static void
make_far(struct fx *fx)
{
	struct mkqcow2 *k = fx_init(fx, DISK, 9);
	uint64_t g;

	mkqcow2_begin(k);
	for (g = 0; g < 4; g++)
		mkqcow2_data(k, g);
	mkqcow2_pack(k, 10);
	mkqcow2_pack(k, 11);
	mkqcow2_snapshot(k, "1", "one");
	mem_put64(&fx->fx_mem, k->k_l1 + 8, 0);
	k->k_next += GAP;
	mkqcow2_data(k, 64);
	mkqcow2_data(k, 65);
	k->k_next += GAP;
	mkqcow2_data(k, 66);
	mkqcow2_end(k);
}

static void
far_twins(struct fx *fx)
{
	entry(fx, 66, host(fx, 0));
	entry(fx, 68, host(fx, 64));
	mem_put64(&fx->fx_mem, l1_at(fx, 2), l2_of(fx, 1) | MKQ_COPIED);
}

static void
far_over(struct fx *fx)
{
	static const uint8_t zeros[CLUSTER];

	mem_put(&fx->fx_mem, host(fx, 65), zeros, sizeof(zeros));
	entry(fx, 66, l2_of(fx, 1));
	entry(fx, 67, fx->fx_k.k_snap[0].s_l1);
	mem_put64(&fx->fx_mem, l1_at(fx, 2), host(fx, 65));
}

static void
far_counts(struct fx *fx)
{
	count(fx, host(fx, 0), 1);
	count(fx, host(fx, 64), 3);
	count(fx, host(fx, 66), 2);
	count(fx, 3000 * CLUSTER, 1);
	count(fx, 9000 * CLUSTER, 1);
}

static void
nothing(struct fx *fx)
{
	(void)fx;
}

static const struct damage far_damages[] = { D(nothing), D(far_twins),
	D(far_over), D(far_counts), D(l1_reserved), D(dirty), D(no_table),
	D(block_lost), D(broken_bitmaps) };

static void
findings_do_not_depend_on_memory(void **state)
{
	struct result all, some;
	uint64_t budget;
	unsigned fewer;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(far_damages); i++) {
		make_far(&fx);
		if (i == 0)
			fx_sound(&fx, 0);
		far_damages[i].d_do(&fx);
		run(&fx, 0, 0, &all);
		assert_int_equal(all.r_error, 0);
		assert_true((all.r_sink.s_n > 0) == (i > 0));
		fewer = 0;
		for (budget = 90000; budget < 200000; budget += 1000) {
			run(&fx, budget, 0, &some);
			if (some.r_error == ENOMEM) {
				fewer++;
				continue;
			}
			assert_int_equal(some.r_error, 0);
			same(&all, &some);
		}
		assert_true(fewer > 0 && fewer < 80);
		done(&fx);
	}
}

/*
 * Every other cluster has two owners: more than there is memory for in some
 * windows, which get smaller then.
 */
static void
windows_that_shrink_find_the_same(void **state)
{
	struct result all, some;
	unsigned fewer = 0, more = 0;
	struct mkqcow2 *k;
	uint64_t budget, g;
	struct fx fx;

	(void)state;
	k = fx_init(&fx, 1 << 20, 9);
	k->k_rt_n = 2;
	mkqcow2_begin(k);
	for (g = 0; g < 700; g++, k->k_next += CLUSTER) {
		mkqcow2_data(k, g);
		if (g == 63 || g == 400)
			k->k_next += (g == 63 ? 9000 : 4000) * CLUSTER;
	}
	mkqcow2_snapshot(k, "1", "one");
	mkqcow2_end(k);
	entry(&fx, 7, host(&fx, 5));
	entry(&fx, 3, host(&fx, 300));
	entry(&fx, 4, host(&fx, 650));
	entry(&fx, 500, host(&fx, 450));
	entry(&fx, 501, host(&fx, 5));
	entry(&fx, 502, l2_of(&fx, 2));
	run(&fx, 0, 0, &all);
	assert_int_equal(all.r_error, 0);
	assert_true(all.r_sink.s_n > 3);
	for (budget = 100000; budget < 160000; budget += 250) {
		run(&fx, budget, 0, &some);
		fewer += some.r_error == ENOMEM;
		more += some.r_error == 0;
		if (some.r_error == 0)
			same(&all, &some);
	}
	assert_true(fewer > 0 && more > 0);
	done(&fx);
}

static void
memory_that_ends_is_an_error_and_nothing_is_kept(void **state)
{
	struct result r;
	uint64_t n;
	struct fx fx;

	(void)state;
	make(&fx, 4);
	for (n = 1; n < 100; n++) {
		fx.fx_env.e_fail = fx.fx_env.e_allocs + n;
		run(&fx, 0, IMG_DEEP, &r);
		fx.fx_env.e_fail = 0;
		assert_int_equal(fx.fx_env.e_now, 0);
		if (r.r_error == 0)
			break;
		assert_int_equal(r.r_error, ENOMEM);
	}
	assert_true(n > 10 && n < 100);
	done(&fx);
}

static void
a_file_that_cannot_be_read_ends_it(void **state)
{
	struct result r;
	uint64_t n;
	struct fx fx;

	(void)state;
	make(&fx, 4);
	for (n = 1; n < 1000; n++) {
		mem_reset(&fx.fx_mem);
		fx.fx_mem.m_fail[MEM_READ] = n;
		run(&fx, 0, IMG_DEEP, &r);
		assert_int_equal(fx.fx_env.e_now, 0);
		if (fx.fx_mem.m_failed == 0)
			break;
		assert_int_equal(r.r_error, EIO);
	}
	assert_true(n > 20 && n < 1000);
	assert_int_equal(r.r_error, 0);
	done(&fx);
}

static void
who_polls_can_end_it(void **state)
{
	struct result r;
	struct fx fx;

	(void)state;
	make(&fx, 4);
	run(&fx, 0, IMG_DEEP, &r);
	assert_true(fx.fx_env.e_polls > 0);
	fx.fx_env.e_polls = 0;
	fx.fx_env.e_poll_end = 1;
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_error, EINTR);
	assert_int_equal(fx.fx_env.e_now, 0);
	done(&fx);
}

static void
a_check_writes_nothing(void **state)
{
	struct mem was = { 0 };
	struct result r;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		make(&fx, 4);
		damages[i].d_do(&fx);
		mem_copy(&was, &fx.fx_mem);
		run(&fx, 0, IMG_DEEP, &r);
		assert_true(mem_equal(&was, &fx.fx_mem));
		assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 0);
		mem_free(&was);
		done(&fx);
	}
}

/* Data clusters of the guest at these host clusters, in that order. */
static uint64_t
fragments(const int *cl, size_t n, unsigned step)
{
	struct mkqcow2 *k;
	struct result r;
	uint64_t first;
	struct fx fx;
	size_t i;

	k = fx_init(&fx, 1 << 20, 9);
	mkqcow2_begin(k);
	for (i = 0; i < n; i++)
		mkqcow2_at(k, i * step);
	first = mkqcow2_take(k, 16);
	for (i = 0; i < n; i++)
		if (cl[i] >= 0)
			mkqcow2_set(k, i * step,
			    first + (unsigned)cl[i] * k->k_cluster, 0);
		else
			mkqcow2_set(k, i * step, cl[i] == -2, 0);
	mkqcow2_end(k);
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_error, 0);
	assert_int_equal(r.r_ch.ch_units, 2048);
	done(&fx);
	return (r.r_ch.ch_fragmented);
}

/* The examples measured with qemu-img, -1 for a gap and -2 for zeros. */
static void
fragments_are_counted_as_qemu_does(void **state)
{
	static const int mixed[] = { 0, 2, 1, 3 }, gap[] = { 0, -1, 2 },
			 zeros[] = { 0, -2, 1 }, line[] = { 0, 1, 2, 3 };

	(void)state;
	assert_int_equal(fragments(mixed, 4, 1), 3);
	assert_int_equal(fragments(gap, 3, 1), 1);
	assert_int_equal(fragments(zeros, 3, 1), 0);
	assert_int_equal(fragments(line, 4, 1), 0);
	assert_int_equal(fragments(mixed, 4, 64), 0); /* a table each */
}

static void
a_snapshot_counts_but_is_not_in_the_statistics(void **state)
{
	struct result r;
	struct fx fx;

	(void)state;
	make(&fx, 4);
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_sink.s_n, 0);
	/* 0 to 3, 10, 11, 64 to 66 */
	assert_int_equal(r.r_ch.ch_allocated, 9);
	assert_int_equal(r.r_ch.ch_packed, 2);
	assert_int_equal(r.r_ch.ch_end, fx.fx_mem.m_len);
	done(&fx);
}

static void
a_short_data_file_is_told_where_one_was_lent(void **state)
{
	struct mkqcow2 *k;
	struct result r;
	struct fx fx;

	(void)state;
	k = fx_init(&fx, 65536, 9);
	k->k_data = "data";
	mkqcow2_begin(k);
	mkqcow2_set(k, 0, MKQ_COPIED, 0);
	mkqcow2_end(k);
	mem_set_len(&fx.fx_data, 1000);
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_sink.s_n, 1);
	assert_int_equal(mem_has(&r.r_sink, IMG_QCOW2_FILE_SHORT), 1);
	assert_int_equal(r.r_sink.s_found[0].fi_voff, 1000);
	assert_int_equal(r.r_sink.s_found[0].fi_vlen, 65536 - 1000);
	mem_set_len(&fx.fx_data, 65536);
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_sink.s_n, 0);
	done(&fx);
}

/* Only a deep check looks; in a snapshot too, and there but once. */
static void
streams_are_decompressed_on_request(void **state)
{
	struct result r;
	uint64_t off;
	struct fx fx;

	(void)state;
	make(&fx, 4);
	off = mkqcow2_entry(&fx.fx_k, 11) & ((UINT64_C(1) << 61) - 1);
	mem_put32(&fx.fx_mem, off, 0xffffffff);
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_sink.s_n, 0);
	run(&fx, 0, IMG_DEEP, &r);
	assert_int_equal(r.r_sink.s_n, 1);
	assert_int_equal(mem_has(&r.r_sink, IMG_QCOW2_PACKED_DATA), 1);
	assert_int_equal(r.r_sink.s_found[0].fi_voff, 11 * CLUSTER);
	assert_int_equal(r.r_sink.s_found[0].fi_vlen, CLUSTER);
	/* The disk has another table there now: the snapshot is looked at. */
	mem_put64(&fx.fx_mem, l1_at(&fx, 0), 0);
	run(&fx, 0, IMG_DEEP, &r);
	assert_int_equal(mem_has(&r.r_sink, IMG_QCOW2_PACKED_DATA), 1);
	assert_int_equal(mem_first(&r.r_sink, IMG_QCOW2_PACKED_DATA)->fi_vlen,
	    0);
	done(&fx);
}

static void
names_that_are_there_twice_are_told(void **state)
{
	struct mkqcow2 *k;
	struct result r;
	struct fx fx;

	(void)state;
	k = fx_init(&fx, 65536, 9);
	mkqcow2_begin(k);
	mkqcow2_snapshot(k, "1", "a");
	mkqcow2_snapshot(k, "2", "b");
	mkqcow2_snapshot(k, "1", "c");
	mkqcow2_snapshot(k, "3", "b");
	mkqcow2_snapshot(k, "b", "1"); /* names may be other ones' ids */
	mkqcow2_snapshot(k, "4", "");
	mkqcow2_end(k);
	run(&fx, 0, 0, &r);
	assert_int_equal(r.r_sink.s_n, 3);
	assert_int_equal(mem_has(&r.r_sink, IMG_QCOW2_SNAP_NAMES), 3);
	done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_do_not_depend_on_memory),
		cmocka_unit_test(windows_that_shrink_find_the_same),
		cmocka_unit_test(
		    memory_that_ends_is_an_error_and_nothing_is_kept),
		cmocka_unit_test(a_file_that_cannot_be_read_ends_it),
		cmocka_unit_test(who_polls_can_end_it),
		cmocka_unit_test(a_check_writes_nothing),
		cmocka_unit_test(fragments_are_counted_as_qemu_does),
		cmocka_unit_test(
		    a_snapshot_counts_but_is_not_in_the_statistics),
		cmocka_unit_test(a_short_data_file_is_told_where_one_was_lent),
		cmocka_unit_test(streams_are_decompressed_on_request),
		cmocka_unit_test(names_that_are_there_twice_are_told),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
