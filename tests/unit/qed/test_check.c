/* SPDX-License-Identifier: ISC */

/*
 * Stage CHECK: totals as qemu counts them, clusters that nothing leads to,
 * what looks like a lost table, and what is only worth saying.
 */

#include "tool/tool.h"
#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (8 * SPAN)

static struct fx fx;
static struct mkqed *k;
static struct img_checked ch;

/* Header in cluster 0, L1 table in 1 and 2. */
static void
make(void)
{
	k = fx_init(&fx, SIZE, 12, 2);
	mkqed_begin(k);
}

static int
check(unsigned flags)
{
	int error;

	fx_use(&fx, IMG_VERIFY);
	fx.fx_env.e_opening = 1;
	memset(&ch, 0xff, sizeof(ch));
	error = img_check(fx.fx_im, flags, 0, &ch);
	fx.fx_env.e_opening = 0;
	fx_close(&fx);
	return (error);
}

struct want {
	enum img_row w_row;
	uint64_t w_off;
	uint64_t w_n; /* fi_n */
};

/* These findings in this order, and no other. */
static void
finds(unsigned flags, const struct want *w, size_t n)
{
	const struct img_finding *fi;
	size_t i;

	assert_int_equal(check(flags), 0);
	for (i = 0; i < fx.fx_sink.s_n && i < MEM_NFOUND; i++) {
		fi = &fx.fx_sink.s_found[i];
		if (i >= n || fi->fi_row != w[i].w_row ||
		    fi->fi_off != w[i].w_off || fi->fi_n != w[i].w_n)
			fail_msg("%lu: QED-%u at %#lx, %lu", (unsigned long)i,
			    img_row(fi->fi_row)->r_number,
			    (unsigned long)fi->fi_off, (unsigned long)fi->fi_n);
	}
	assert_int_equal(fx.fx_sink.s_n, n);
}

#define FINDS(flags, w) finds(flags, w, LENGTH_OF(w))

static void
a_sound_image_has_totals_and_no_findings(void **state)
{
	(void)state;
	make();
	mkqed_put(&fx.fx_mem, 48, SIZE - 512, 8);
	finds(0, NULL, 0);
	assert_int_equal(ch.ch_units, 8192); /* the last one is cut */
	assert_int_equal(ch.ch_allocated, 0);
	assert_int_equal(ch.ch_end, 3 * C);
	mkqed_at(k, 0);
	mkqed_data(k, 0); /* 5 */
	mkqed_data(k, 1); /* 6 */
	mkqed_data(k, 3); /* 7: a gap of the guest is none of the file */
	mkqed_at(k, 1024);
	mkqed_data(k, 2);    /* 10: not right behind 7, which is before it */
	mkqed_data(k, 1024); /* 11: the first one of its table */
	mkqed_data(k, 9);    /* 12 */
	mkqed_set(k, 4, 1);
	finds(0, NULL, 0);
	assert_int_equal(ch.ch_allocated, 6);
	/* 2 behind 1, 3 behind 2, 9 behind 3 */
	assert_int_equal(ch.ch_fragmented, 3);
	assert_int_equal(ch.ch_packed, 0);
	assert_int_equal(ch.ch_end, 13 * C);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

/* Any order, against the rule written down once more. */
static void
fragments_are_counted_as_qemu_counts_them(void **state)
{
	uint64_t seed = 5, g, e, last = 0, n = 0, fragments = 0, i;

	(void)state;
	make();
	for (i = 0; i < 900; i++) {
		g = mem_random(&seed) % 3000;
		if (i % 3 != 0)
			g = g / 64 * 64 + i % 64;
		if (mkqed_entry(k, g) == 0)
			mkqed_set(k, g, mkqed_take(k, 1));
	}
	for (g = 0; g < 3072; g++) {
		if (g % 1024 == 0)
			last = 0;
		e = mkqed_entry(k, g);
		if (e == 0)
			continue;
		n++;
		fragments += last != 0 && e != last + C;
		last = e;
	}
	finds(0, NULL, 0);
	assert_int_equal(ch.ch_allocated, n);
	assert_int_equal(ch.ch_fragmented, fragments);
	assert_true(fragments > 100 && fragments < n - 10);
	fx_done(&fx);
}

/* An invalid entry counts as allocated, and no leak is known then. */
static void
broken_images_have_totals_but_no_leaks(void **state)
{
	(void)state;
	make();
	mkqed_data(k, 0);
	mkqed_set(k, 1, 99 * C);
	mkqed_set(k, 2, 100 * C);
	mkqed_take(k, 9);
	assert_int_equal(check(IMG_DEEP), 0);
	assert_true(mem_has(&fx.fx_sink, IMG_QED_DATA_RANGE));
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_LEAK_END), 0);
	assert_int_equal(ch.ch_allocated, 3);
	assert_int_equal(ch.ch_fragmented, 1);
	assert_int_equal(ch.ch_end, 6 * C);
	fx_done(&fx);
}

static void
leaks_are_told_by_where_they_are(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_GAP, C, 3 },
		{ IMG_QED_LEAK, 8 * C, 2 },
		{ IMG_QED_LEAK, 11 * C, 1 },
		{ IMG_QED_LEAK_END, 13 * C, 4 },
	};

	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	k->k_l1 = 4 * C;
	mkqed_begin(k);
	mkqed_at(k, 0); /* 6 and 7 */
	mkqed_take(k, 2);
	mkqed_data(k, 0);
	mkqed_take(k, 1);
	mkqed_data(k, 1);
	mkqed_take(k, 4);
	FINDS(0, w);
	fx_sound(&fx, 10);
	fx_done(&fx);
}

/* The image of which it is known what qemu says: 17 clusters of 64 KiB. */
static void
make_known(void)
{
	k = fx_init(&fx, UINT64_C(8) << 30, 16, 4);
	mkqed_begin(k);
	mem_set_len(&fx.fx_mem, 0x110000);
	mkqed_put(&fx.fx_mem, 0x10000, 0x70000, 8);
	mkqed_put(&fx.fx_mem, 0x10008, 0xd0000, 8);
	mkqed_set(k, 0, 0x50000);
	mkqed_set(k, 1, 0x60000);
	mkqed_set(k, 16, 0xb0000);
	mkqed_set(k, 64, 1);
	mkqed_set(k, 32768, 0xc0000);
	mem_put(&fx.fx_mem, 0x50000, "data", 4);
	mem_put(&fx.fx_mem, 0x60000, "data", 4);
	mem_put(&fx.fx_mem, 0xb0000, "data", 4);
	mem_put(&fx.fx_mem, 0xc0000, "data", 4);
}

static void
a_table_that_nothing_leads_to_is_recognised(void **state)
{
	static const struct want first[] = {
		{ IMG_QED_LEAK, 0x50000, 7 }, /* as many as qemu says */
		{ IMG_QED_ORPHAN, 0x70000, 0 },
	};
	static const struct want second[] = {
		{ IMG_QED_LEAK_END, 0xc0000, 5 },
		{ IMG_QED_ORPHAN, 0xd0000, 0 },
	};
	static const struct want both[] = {
		{ IMG_QED_LEAK_END, 0x50000, 12 },
		{ IMG_QED_ORPHAN, 0x70000, 0 },
		{ IMG_QED_ORPHAN, 0xd0000, 0 },
	};

	(void)state;
	make_known();
	finds(0, NULL, 0);
	mkqed_put(&fx.fx_mem, 0x10000, 0, 8);
	FINDS(0, first);
	mkqed_put(&fx.fx_mem, 0x10008, 0, 8);
	FINDS(0, both);
	mkqed_put(&fx.fx_mem, 0x10000, 0x70000, 8);
	FINDS(0, second);
	fx_done(&fx);
}

/* The table at 0xd0000, and what it says of cluster 0 there. */
static void
no_orphan(uint64_t entry)
{
	make_known();
	mkqed_put(&fx.fx_mem, 0xd0008, entry, 8);
	mkqed_put(&fx.fx_mem, 0x10008, 0, 8);
	assert_int_equal(check(0), 0);
	fx_only(&fx, IMG_QED_LEAK_END);
	fx_done(&fx);
}

static void
what_cannot_be_a_lost_table_is_not_told_to_be_one(void **state)
{
	uint64_t i;

	(void)state;
	no_orphan(0x50000); /* used by another */
	no_orphan(0x20000); /* of the L1 table */
	no_orphan(0x990000);
	no_orphan(0xc0001);
	no_orphan(77);
	make_known(); /* zeros, and marks of zeros, could be anything */
	mkqed_put(&fx.fx_mem, 0xd0000, 1, 8);
	mkqed_put(&fx.fx_mem, 0x10008, 0, 8);
	assert_int_equal(check(0), 0);
	fx_only(&fx, IMG_QED_LEAK_END);
	fx_done(&fx);
	make(); /* data of a guest */
	for (i = 0; i < 20; i++)
		mkqed_data(k, i);
	for (i = 0; i < 20; i++)
		mkqed_set(k, i, 0);
	assert_int_equal(check(0), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_ORPHAN), 0);
	fx_done(&fx);
}

static void
leaks_cost_a_slice_each(void **state)
{
	uint64_t i;

	(void)state;
	k = fx_init(&fx, SIZE, 16, 4);
	mkqed_begin(k);
	for (i = 0; i < 50; i++)
		mem_put(&fx.fx_mem, mkqed_take(k, 1), "data", 4);
	mem_reset(&fx.fx_mem);
	assert_int_equal(check(0), 0);
	fx_only(&fx, IMG_QED_LEAK_END);
	assert_int_equal(fx.fx_sink.s_found[0].fi_n, 50);
	/* And five times the L1 table, of 64. */
	assert_true(fx.fx_mem.m_rbytes < (50 + 6 * 64) * IMG_SLICE);
	fx_done(&fx);
}

static void
bytes_behind_the_last_cluster_are_worth_a_note(void **state)
{
	static const struct want w[] = { { IMG_QED_TAIL, 6 * C, 0 } };
	static const struct want v[] = {
		{ IMG_QED_LEAK_END, 6 * C, 1 },
		{ IMG_QED_TAIL, 7 * C, 0 },
	};

	(void)state;
	make();
	mkqed_data(k, 0);
	mem_set_len(&fx.fx_mem, 6 * C + 1);
	FINDS(0, w);
	assert_int_equal(fx.fx_sink.s_found[0].fi_found, 1);
	mem_set_len(&fx.fx_mem, 7 * C - 1);
	FINDS(0, w);
	mem_set_len(&fx.fx_mem, 7 * C + 100);
	FINDS(0, v);
	fx_done(&fx);
}

static void
entries_beyond_the_disk_are_counted(void **state)
{
	struct want w[] = { { IMG_QED_BEYOND, 0, 3 } };

	(void)state;
	make();
	mkqed_at(k, 1024);
	mkqed_data(k, 1027);
	mkqed_data(k, 1028);
	mkqed_set(k, 1029, 1);
	mkqed_data(k, 5000);
	mkqed_put(&fx.fx_mem, 48, 1028 * C, 8);
	w[0].w_off = mkqed_find(k, 1028);
	FINDS(0, w);
	mkqed_put(&fx.fx_mem, 48, 1028 * C + 512, 8); /* partly inside */
	w[0].w_off = mkqed_find(k, 1029);
	w[0].w_n = 2;
	FINDS(0, w);
	mkqed_put(&fx.fx_mem, 48, 5001 * C, 8);
	finds(0, NULL, 0);
	fx_done(&fx);
}

static void
a_disk_of_no_bytes_may_have_lost_its_size(void **state)
{
	static const struct want none[] = { { IMG_QED_SIZE_NONE, 48, 0 } };
	static const struct want data[] = {
		{ IMG_QED_SIZE_NONE, 48, 0 },
		{ IMG_QED_SIZE_ZERO, 48, 0 },
	};
	static const struct want marks[] = {
		{ IMG_QED_SIZE_NONE, 48, 0 },
		{ IMG_QED_BEYOND, 3 * C + 40, 1 },
	};

	(void)state;
	k = fx_init(&fx, 0, 12, 2);
	mkqed_begin(k);
	FINDS(IMG_DEEP, none);
	assert_int_equal(ch.ch_units, 0);
	mkqed_at(k, 0);
	mkqed_set(k, 5, 1);
	FINDS(0, marks);
	mkqed_data(k, 1030);
	mkqed_data(k, 2);
	FINDS(0, data);
	assert_int_equal(fx.fx_sink.s_found[1].fi_rel, IMG_WANT_MIN);
	assert_int_equal(fx.fx_sink.s_found[1].fi_want, 1031 * C);
	fx_done(&fx);
}

static void
a_deep_look_says_more(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L2_EMPTY, C + 16, 0 },
		{ IMG_QED_ZERO_PLAIN, 5 * C + 24, 2 },
	};
	unsigned backing;

	(void)state;
	for (backing = 0; backing < 2; backing++) {
		k = fx_init(&fx, SIZE, 12, 2);
		if (backing)
			fx_backing(&fx, SIZE);
		mkqed_begin(k);
		mkqed_at(k, 2048); /* 3 and 4 */
		mkqed_set(k, 3, 1);
		mkqed_set(k, 700, 1);
		mkqed_data(k, 4);
		finds(0, NULL, 0);
		finds(IMG_DEEP, w, backing ? 1 : 2);
		fx_done(&fx);
	}
}

static void
holes_in_tables_are_worth_a_note(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_TABLE_HOLE, 4 * C, 0 },
		{ IMG_QED_TABLE_HOLE, 2 * C, 0 },
	};
	static const uint8_t zeros[C];
	struct mem plain;

	(void)state;
	make();
	mkqed_data(k, 0);
	mem_file(&plain, 0);
	fx.fx_mem.m_ops.fo_extent = plain.m_ops.fo_extent;
	finds(0, NULL, 0);
	/* Cluster 3 has the data, 4 and 5 the table, of which 5 is a hole. */
	mem_put(&fx.fx_mem, 5 * C, zeros, C);
	mem_put(&fx.fx_mem, 2 * C, zeros, C);
	finds(IMG_DEEP, NULL, 0);
	fx_done(&fx);
	make();
	mkqed_at(k, 0);
	mkqed_set(k, 600, mkqed_take(k, 1)); /* 3 is a hole, 4 is none */
	mem_put(&fx.fx_mem, C, zeros, 1);
	fx.fx_mem.m_ops.fo_extent = plain.m_ops.fo_extent;
	assert_int_equal(check(IMG_DEEP), 0);
	assert_int_equal(fx.fx_sink.s_n, 2);
	assert_int_equal(fx.fx_sink.s_found[0].fi_off, 3 * C);
	assert_int_equal(fx.fx_sink.s_found[1].fi_off, w[1].w_off);
	assert_int_equal(mem_has(&fx.fx_sink, w[0].w_row), 2);
	fx_done(&fx);
}

/* How long it is says nothing about what is in use. */
static void
a_device_has_no_leaks(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	mem_free(&fx.fx_mem);
	mem_device(&fx.fx_mem, 64 * C + 512);
	mkqed_begin(k);
	mkqed_data(k, 1);
	assert_int_equal(check(IMG_DEEP), 0);
	fx_only(&fx, IMG_QED_DEVICE);
	assert_int_equal(ch.ch_end, 6 * C);
	fx_done(&fx);
}

/* The n-th call fails; or which of them there are, if none is to. */
static int
fail_at(unsigned how, uint64_t n, uint64_t *calls)
{
	int error;

	make_known();
	mkqed_put(&fx.fx_mem, 0x10000, 0, 8);
	fx_use(&fx, IMG_VERIFY);
	fx.fx_env.e_opening = 1;
	mem_reset(&fx.fx_mem);
	fx.fx_env.e_allocs = fx.fx_env.e_polls = 0;
	fx.fx_env.e_fail = how == 0 ? n : 0;
	fx.fx_env.e_poll_end = how == 1 ? n : 0;
	fx.fx_mem.m_fail[MEM_READ] = how == 2 ? n : 0;
	error = img_check(fx.fx_im, IMG_DEEP, 0, &ch);
	calls[0] = fx.fx_env.e_allocs;
	calls[1] = fx.fx_env.e_polls;
	calls[2] = fx.fx_mem.m_calls[MEM_READ];
	fx_close(&fx);
	fx_done(&fx);
	return (error);
}

static void
a_check_stops_where_it_is_told_or_must(void **state)
{
	static const int errors[] = { ENOMEM, EINTR, EIO };
	uint64_t calls[3], some[3], n;
	unsigned how;

	(void)state;
	assert_int_equal(fail_at(3, 0, calls), 0);
	for (how = 0; how < 3; how++) {
		assert_true(calls[how] > 0);
		for (n = 1; n <= calls[how]; n++)
			assert_int_equal(fail_at(how, n, some), errors[how]);
	}
	make();
	fx_use(&fx, 0);
	assert_int_equal(img_check(fx.fx_im, 0, 0, &ch), EINVAL);
	fx_close(&fx);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_image_has_totals_and_no_findings),
		cmocka_unit_test(fragments_are_counted_as_qemu_counts_them),
		cmocka_unit_test(broken_images_have_totals_but_no_leaks),
		cmocka_unit_test(leaks_are_told_by_where_they_are),
		cmocka_unit_test(a_table_that_nothing_leads_to_is_recognised),
		cmocka_unit_test(
		    what_cannot_be_a_lost_table_is_not_told_to_be_one),
		cmocka_unit_test(leaks_cost_a_slice_each),
		cmocka_unit_test(
		    bytes_behind_the_last_cluster_are_worth_a_note),
		cmocka_unit_test(entries_beyond_the_disk_are_counted),
		cmocka_unit_test(a_disk_of_no_bytes_may_have_lost_its_size),
		cmocka_unit_test(a_deep_look_says_more),
		cmocka_unit_test(holes_in_tables_are_worth_a_note),
		cmocka_unit_test(a_device_has_no_leaks),
		cmocka_unit_test(a_check_stops_where_it_is_told_or_must),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
