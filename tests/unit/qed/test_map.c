/* SPDX-License-Identifier: ISC */

/* Where guest bytes live: runs, what the file's end cuts, and damage. */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (64 * SPAN)

static struct fx fx;
static struct mkqed *k;

static void
begin(uint64_t size)
{
	k = fx_init(&fx, size, 12, 2);
	mkqed_begin(k);
}

static void
hole(uint64_t voff, uint64_t len, uint64_t elen)
{
	mem_maps(fx.fx_im, voff, len, IMG_HOLE, IMG_NOWHERE, elen);
}

static void
bad(uint64_t voff, uint64_t len, enum img_row row, uint64_t elen)
{
	struct img_extent e;
	uint8_t b;

	mem_maps(fx.fx_im, voff, len, IMG_BAD, IMG_NOWHERE, elen);
	assert_int_equal(img_map(fx.fx_im, voff, len, &e), 0);
	assert_int_equal(e.e_row, row);
	assert_int_equal(img_read(fx.fx_im, &b, 1, voff), EIO);
}

static void
neighbours_are_one_run_to_the_byte(void **state)
{
	uint64_t a, b;

	(void)state;
	begin(SIZE);
	mkqed_at(k, 0);
	a = mkqed_data(k, 3);
	mkqed_data(k, 4);
	mkqed_data(k, 5);
	mkqed_take(k, 1);
	b = mkqed_data(k, 6);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	hole(0, SIZE, 3 * C);
	hole(C + 1, SIZE - C - 1, 2 * C - 1);
	mem_maps(fx.fx_im, 3 * C, SPAN, IMG_DATA, a, 3 * C);
	mem_maps(fx.fx_im, 3 * C + 7, SPAN, IMG_DATA, a + 7, 3 * C - 7);
	mem_maps(fx.fx_im, 4 * C + 512, C, IMG_DATA, a + C + 512, C);
	mem_maps(fx.fx_im, 5 * C - 1, 1, IMG_DATA, a + 2 * C - 1, 1);
	mem_maps(fx.fx_im, 6 * C, SPAN, IMG_DATA, b, C);
	hole(7 * C, SIZE - 7 * C, SIZE - 7 * C);
	mem_reads(fx.fx_im, 3 * C, 4 * C, 1);
	fx_close(&fx);
	fx_done(&fx);
}

static void
runs_go_on_over_the_borders_of_tables(void **state)
{
	uint64_t off;

	(void)state;
	begin(SIZE);
	mkqed_at(k, 1023);
	mkqed_at(k, 1024);
	mkqed_at(k, 3072);
	off = mkqed_data(k, 1022);
	mkqed_data(k, 1023);
	mkqed_data(k, 1024);
	mkqed_set(k, 2047, 1); /* the next table is not there */
	mkqed_set(k, 3072, 1);
	mkqed_set(k, 3073, 1);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_maps(fx.fx_im, 1022 * C, SIZE / 2, IMG_DATA, off, 3 * C);
	hole(1025 * C, SIZE / 2, 1022 * C);
	mem_maps(fx.fx_im, 2047 * C, SIZE / 2, IMG_ZERO, IMG_NOWHERE, C);
	hole(2048 * C, SIZE / 2, SPAN);
	mem_maps(fx.fx_im, 3072 * C + 9, SIZE / 2, IMG_ZERO, IMG_NOWHERE,
	    2 * C - 9);
	hole(3074 * C, SIZE - 3074 * C, SIZE - 3074 * C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
the_last_cluster_may_be_part_of_the_disk(void **state)
{
	uint64_t off, size = SPAN + 5 * C + 512;
	uint8_t b;

	(void)state;
	begin(size);
	mkqed_at(k, 1024);
	off = mkqed_data(k, 1029);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_maps(fx.fx_im, size - 512, 512, IMG_DATA, off, 512);
	mem_reads(fx.fx_im, size - 512, 512, 1);
	assert_int_equal(img_read(fx.fx_im, &b, 1, size), EINVAL);
	hole(0, size, size - 512);
	fx_close(&fx);
	fx_done(&fx);
}

static void
what_the_end_cuts_off_a_cluster_is_lost(void **state)
{
	uint64_t off;

	(void)state;
	begin(SIZE);
	mkqed_at(k, 0);
	off = mkqed_data(k, 1);
	mkqed_data(k, 2);
	mem_set_len(&fx.fx_mem, off + C + 1000);
	fx_use(&fx, 0);
	mem_maps(fx.fx_im, C, SIZE - C, IMG_DATA, off, C + 1000);
	mem_reads(fx.fx_im, C, C + 1000, 1);
	bad(2 * C + 1000, SIZE / 2, IMG_QED_DATA_CUT, C - 1000);
	bad(3 * C - 1, 1, IMG_QED_DATA_CUT, 1);
	hole(3 * C, C, C);
	assert_int_equal(fx.fx_mem.m_past, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
what_the_end_cuts_off_a_table_is_lost(void **state)
{
	static const struct {
		uint64_t have; /* bytes of the table */
		uint64_t n;    /* entries */
		enum img_row row;
	} cuts[] = {
		{ 8, 1, IMG_QED_L2_CUT },
		{ 7, 0, IMG_QED_L2_CUT },
		{ 600, 75, IMG_QED_L2_CUT },
		{ 604, 75, IMG_QED_L2_CUT },
		{ C, 512, IMG_QED_L2_CUT_EVEN },
		{ C + 8, 513, IMG_QED_L2_CUT },
		{ 2 * C - 1, 1023, IMG_QED_L2_CUT },
	};
	uint64_t data, l2;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cuts); i++) {
		begin(SIZE);
		data = mkqed_take(k, 1);
		l2 = mkqed_at(k, 0);
		mkqed_set(k, 0, data);
		mem_set_len(&fx.fx_mem, l2 + cuts[i].have);
		fx_use(&fx, 0);
		if (cuts[i].n > 0)
			mem_maps(fx.fx_im, 0, SIZE, IMG_DATA, data, C);
		if (cuts[i].n > 1)
			hole(C, SIZE - C, (cuts[i].n - 1) * C);
		bad(cuts[i].n * C, SIZE - cuts[i].n * C, cuts[i].row,
		    SPAN - cuts[i].n * C);
		hole(SPAN, SPAN, SPAN);
		assert_int_equal(fx.fx_mem.m_past, 0);
		fx_close(&fx);
		fx_done(&fx);
	}
}

static void
bad_entries_name_their_row(void **state)
{
	static const struct {
		uint64_t raw;
		enum img_row row;
	} bads[] = {
		{ 2, IMG_QED_DATA_SMALL },
		{ C, IMG_QED_DATA_L1 },
		{ 3 * C + 1, IMG_QED_DATA_ALIGN },
		{ 99 * C, IMG_QED_DATA_RANGE },
		{ UINT64_C(1) << 63, IMG_QED_DATA_HIGH },
	};
	uint64_t off;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(bads); i++) {
		begin(SIZE);
		off = mkqed_data(k, 5);
		mkqed_set(k, 6, bads[i].raw);
		mkqed_set(k, 7, bads[i].raw);
		fx_use(&fx, 0);
		mem_maps(fx.fx_im, 5 * C, 4 * C, IMG_DATA, off, C);
		bad(6 * C, SIZE / 2, bads[i].row, 2 * C);
		bad(7 * C - 1, SIZE / 2, bads[i].row, C + 1);
		hole(8 * C, C, C);
		mem_reads(fx.fx_im, 5 * C, C, 1);
		mem_reads(fx.fx_im, 8 * C, C, 0);
		fx_close(&fx);
		fx_done(&fx);
	}
	begin(SIZE);
	mkqed_set(k, 0, 0);
	mkqed_put(&fx.fx_mem, mkqed_find(k, 1), 7, 8);
	mkqed_put(&fx.fx_mem, mkqed_find(k, 2), 99 * C, 8);
	fx_use(&fx, 0);
	bad(C, SIZE / 2, IMG_QED_DATA_SMALL, C); /* other rows, other runs */
	fx_close(&fx);
	fx_done(&fx);
}

static void
bad_l1_entries_are_as_bad_as_all_below_them(void **state)
{
	static const struct {
		uint64_t raw;
		enum img_row row;
	} bads[] = {
		{ 1, IMG_QED_L1_ONE },
		{ 3 * C + 512, IMG_QED_L1_ALIGN },
		{ C, IMG_QED_L1_SELF },
		{ 2 * C, IMG_QED_L1_OVER },
		{ 99 * C, IMG_QED_L1_RANGE },
		{ UINT64_MAX - C + 1, IMG_QED_L1_HIGH },
	};
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(bads); i++) {
		begin(SIZE);
		mkqed_data(k, 1);
		mkqed_put(&fx.fx_mem, mkqed_l1(k, 2048), bads[i].raw, 8);
		fx_use(&fx, 0);
		hole(2 * C, SIZE / 2, 2046 * C);
		bad(2 * SPAN, SIZE / 2, bads[i].row, SPAN);
		bad(2 * SPAN + 77, SIZE / 2, bads[i].row, SPAN - 77);
		hole(3 * SPAN, SPAN, SPAN);
		mem_reads(fx.fx_im, C, C, 1);
		fx_close(&fx);
		fx_done(&fx);
	}
}

/* What verification found forbids reading, but not to look where it is. */
static void
damage_can_be_mapped(void **state)
{
	uint8_t b;

	(void)state;
	begin(SIZE);
	mkqed_data(k, 1);
	mkqed_set(k, 2, 99 * C);
	fx_use(&fx, IMG_VERIFY);
	fx_only(&fx, IMG_QED_DATA_RANGE);
	mem_maps(fx.fx_im, C, SIZE / 2, IMG_DATA, 3 * C, C);
	mem_maps(fx.fx_im, 2 * C, SIZE / 2, IMG_BAD, IMG_NOWHERE, C);
	assert_int_equal(img_read(fx.fx_im, &b, 1, C), EFTYPE);
	fx_close(&fx);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
}

static void
holes_read_through_and_zeros_do_not(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	fx_backing(&fx, 6 * C + 512);
	mkqed_begin(k);
	mkqed_data(k, 2);
	mkqed_set(k, 3, 1);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_reads(fx.fx_im, 0, 2 * C, 7);
	mem_reads(fx.fx_im, 2 * C, C, 1);
	mem_reads(fx.fx_im, 3 * C, C, 0);
	mem_reads(fx.fx_im, 4 * C, 2 * C + 512, 7);
	mem_reads(fx.fx_im, 6 * C + 512, 9 * C, 0);
	mem_reads(fx.fx_im, SIZE - C, C, 0);
	fx_close(&fx);
	fx_done(&fx);
}

/* Any mixture, read through a cache of hardly any slices. */
static void
every_mixture_reads_as_it_is(void **state)
{
	static uint8_t kind[2048];
	uint64_t seed = 4, g;
	struct img_extent e;
	unsigned n;

	(void)state;
	begin(2 * SPAN);
	for (n = 0; n < 600; n++) {
		g = mem_random(&seed) % LENGTH_OF(kind);
		if (kind[g] == 0 && mem_random(&seed) % 3 == 0)
			mkqed_set(k, g, kind[g] = 1);
		else if (kind[g] == 0 && mkqed_data(k, g) != 0)
			kind[g] = 2;
	}
	assert_int_equal(fx_open_as(&fx, IMG_VERIFY, 8, 0), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	for (g = 0; g < LENGTH_OF(kind); g++) {
		assert_int_equal(img_map(fx.fx_im, g * C, C, &e), 0);
		assert_int_equal(e.e_type,
		    kind[g] == 0     ? IMG_HOLE :
			kind[g] == 1 ? IMG_ZERO :
				       IMG_DATA);
		mem_reads(fx.fx_im, g * C, C, kind[g] == 2);
	}
	fx_close(&fx);
	fx_done(&fx);
}

/* As many L1 entries as there are lead to one table of nothing. */
static void
a_long_run_can_be_given_up(void **state)
{
	struct img_extent e;
	uint64_t i, l2;

	(void)state;
	begin(80 * SPAN);
	l2 = mkqed_at(k, 0);
	for (i = 0; i < 80; i++)
		mkqed_put(&fx.fx_mem, mkqed_l1(k, i * 1024), l2, 8);
	fx_use(&fx, 0);
	hole(0, 80 * SPAN, 80 * SPAN);
	fx.fx_env.e_poll_end = fx.fx_env.e_polls + 1;
	assert_int_equal(img_map(fx.fx_im, 0, 80 * SPAN, &e), EINTR);
	fx_close(&fx);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_one_run_to_the_byte),
		cmocka_unit_test(runs_go_on_over_the_borders_of_tables),
		cmocka_unit_test(the_last_cluster_may_be_part_of_the_disk),
		cmocka_unit_test(what_the_end_cuts_off_a_cluster_is_lost),
		cmocka_unit_test(what_the_end_cuts_off_a_table_is_lost),
		cmocka_unit_test(bad_entries_name_their_row),
		cmocka_unit_test(bad_l1_entries_are_as_bad_as_all_below_them),
		cmocka_unit_test(damage_can_be_mapped),
		cmocka_unit_test(holes_read_through_and_zeros_do_not),
		cmocka_unit_test(every_mixture_reads_as_it_is),
		cmocka_unit_test(a_long_run_can_be_given_up),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
