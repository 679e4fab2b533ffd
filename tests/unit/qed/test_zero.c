/* SPDX-License-Identifier: ISC */

/* What zeroing makes of each kind of entry: see the table in zero.c. */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (8 * SPAN)

static struct fx fx;
static struct mkqed *k;

/* Guest cluster 1 is a zero cluster, 2 is data, the others are nothing. */
static void
make(uint64_t backing)
{
	k = fx_init(&fx, SIZE, 12, 2);
	if (backing != 0)
		fx_backing(&fx, backing);
	mkqed_begin(k);
	mkqed_at(k, 0);
	mkqed_set(k, 1, 1);
	mkqed_data(k, 2);
}

static void
zeroes(uint32_t flags, uint64_t voff, uint64_t len)
{
	fx_use(&fx, IMG_RDWR | flags);
	fx.fx_mem.m_log = &fx.fx_log;
	mem_reset(&fx.fx_mem);
	assert_int_equal(img_zero(fx.fx_im, voff, len), 0);
	mem_reads(fx.fx_im, voff, img_min(len, 64 * C), 0);
	fx_close(&fx);
	fx.fx_mem.m_log = NULL;
	fx_sound(&fx, 0);
}

static uint64_t
entry(uint64_t g)
{
	return (mkqed_entry(k, g));
}

static void
each_kind_of_entry_by_the_table(void **state)
{
	(void)state;
	make(0);
	zeroes(0, 0, 4 * C);
	assert_int_equal(entry(0), 0); /* it reads as zeros already */
	assert_int_equal(entry(1), 1);
	assert_int_equal(entry(2), 5 * C); /* it keeps its cluster */
	assert_int_equal(entry(3), 0);
	assert_true(mem_is(&fx.fx_mem, 5 * C, C, 0));
	fx_done(&fx);
	make(SIZE);
	zeroes(0, 0, 4 * C);
	assert_int_equal(entry(0), 1); /* what is behind is hidden */
	assert_int_equal(entry(1), 1);
	assert_int_equal(entry(2), 5 * C);
	assert_int_equal(entry(3), 1);
	assert_int_equal(entry(4), 0);
	assert_int_equal(fx.fx_mem.m_len, 6 * C);
	fx_done(&fx);
}

static void
without_a_backing_image_nothing_is_written_for_nothing(void **state)
{
	(void)state;
	make(0);
	zeroes(0, 0, 2 * C); /* nothing, and a zero cluster */
	zeroes(0, 3 * C, SIZE - 3 * C);
	zeroes(0, SPAN + 5, 99);
	assert_int_equal(fx.fx_log.lg_n, 0);
	fx_done(&fx);
}

/* Not cluster by cluster, of which there are 2^38. */
static void
the_largest_disk_is_zeroed_at_once(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 56, 18, 16);
	mkqed_begin(k);
	mkqed_at(k, 0);
	zeroes(0, UINT64_C(1) << 55, UINT64_C(1) << 50);
	assert_int_equal(fx.fx_log.lg_n, 0);
	zeroes(0, 0, UINT64_C(1) << 30); /* where there is a table */
	assert_int_equal(fx.fx_log.lg_n, 0);
	fx_done(&fx);
}

static void
marks_make_the_table_that_they_need(void **state)
{
	(void)state;
	make(SIZE);
	zeroes(0, 2 * SPAN - C, 2 * C); /* under two L1 entries */
	assert_int_equal(mkqed_get(&fx.fx_mem, mkqed_l1(k, 1024), 8), 6 * C);
	assert_int_equal(mkqed_get(&fx.fx_mem, mkqed_l1(k, 2048), 8), 8 * C);
	assert_int_equal(fx.fx_mem.m_len, 10 * C); /* tables, no data */
	assert_int_equal(entry(2047), 1);
	assert_int_equal(entry(2048), 1);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 2 * SPAN - 2 * C, C, 7);
	mem_reads(fx.fx_im, 2 * SPAN - C, 2 * C, 0);
	mem_reads(fx.fx_im, 2 * SPAN + C, C, 7);
	fx_close(&fx);
	fx_done(&fx);
	/* As qemu-io -c 'write -z 2M 64k' does it. */
	k = fx_init(&fx, 64 << 20, 16, 4);
	fx_backing(&fx, 4 << 20);
	mkqed_begin(k);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 1 << 20, 512);
	fx_close(&fx);
	zeroes(0, 2 << 20, 65536);
	assert_int_equal(mkqed_get(&fx.fx_mem, 0x60100, 8), 1);
	assert_int_equal(fx.fx_mem.m_len, 0xa0000);
	fx_done(&fx);
}

static void
marks_are_durable_like_any_entry(void **state)
{
	static const enum mem_op ops[] = { MEM_RESIZE, MEM_BARRIER, MEM_WRITE,
		MEM_BARRIER, MEM_WRITE, MEM_BARRIER };
	size_t i;

	(void)state;
	make(SIZE);
	zeroes(0, SPAN, C);
	assert_int_equal(fx.fx_log.lg_n, LENGTH_OF(ops));
	for (i = 0; i < LENGTH_OF(ops); i++)
		assert_int_equal(fx.fx_log.lg_op[i].l_op, ops[i]);
	assert_int_equal(fx.fx_log.lg_op[2].l_off, 6 * C); /* L2 */
	assert_int_equal(fx.fx_log.lg_op[4].l_off, C);     /* L1 */
	fx_done(&fx);
}

static void
part_of_a_cluster_is_written_and_the_rest_stays(void **state)
{
	(void)state;
	make(SIZE);
	zeroes(0, 100, 1000); /* over nothing: a copy with zeros in it */
	assert_int_equal(entry(0), 6 * C);
	zeroes(0, C + 100, 1000); /* over zeros */
	assert_int_equal(entry(1), 1);
	zeroes(0, 2 * C + 100, 1000); /* in place */
	assert_int_equal(entry(2), 5 * C);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 0, 100, 7);
	mem_reads(fx.fx_im, 1100, C - 1100, 7);
	mem_reads(fx.fx_im, 2 * C, 100, 1);
	mem_reads(fx.fx_im, 2 * C + 1100, C - 1100, 1);
	fx_close(&fx);
	fx_done(&fx);
	make(SIZE); /* whole clusters in the middle, parts at both ends */
	zeroes(0, 5 * C - 100, 2 * C + 200);
	assert_int_equal(entry(4), 6 * C);
	assert_int_equal(entry(5), 1);
	assert_int_equal(entry(6), 1);
	assert_int_equal(entry(7), 7 * C);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 4 * C, C - 100, 7);
	mem_reads(fx.fx_im, 7 * C + 100, C - 100, 7);
	fx_close(&fx);
	fx_done(&fx);
}

static void
the_last_cluster_is_whole_where_the_disk_ends(void **state)
{
	uint64_t size = SPAN + 5 * C + 512;

	(void)state;
	k = fx_init(&fx, size, 12, 2);
	fx_backing(&fx, SIZE);
	mkqed_begin(k);
	zeroes(0, size - 512 - C, C + 512);
	assert_int_equal(entry(1024 + 4), 1);
	assert_int_equal(entry(1024 + 5), 1);
	assert_int_equal(fx.fx_mem.m_len, 5 * C);
	fx_done(&fx);
	k = fx_init(&fx, size, 12, 2);
	fx_backing(&fx, SIZE);
	mkqed_begin(k);
	zeroes(0, size - 512, 511); /* one byte stays */
	assert_int_equal(entry(1024 + 5), 3 * C);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, size - 1, 1, 7);
	fx_close(&fx);
	fx_done(&fx);
}

/* OpenBSD's vmd, and qemu before zero clusters were added, know no mark. */
static void
plain_images_have_no_marks(void **state)
{
	(void)state;
	make(SIZE);
	zeroes(IMG_PLAIN, 0, 5 * C);
	assert_int_equal(entry(0), 6 * C);
	assert_int_equal(entry(1), 1); /* that was there */
	assert_int_equal(entry(2), 5 * C);
	assert_int_equal(entry(3), 7 * C);
	assert_int_equal(entry(4), 8 * C);
	assert_true(mem_is(&fx.fx_mem, 5 * C, 4 * C, 0));
	fx_done(&fx);
	make(0);
	zeroes(IMG_PLAIN, 0, SIZE);
	assert_int_equal(entry(0), 0); /* zeros need no data here */
	assert_int_equal(entry(3), 0);
	fx_done(&fx);
}

static void
what_is_behind_is_hidden_where_it_is_shorter_too(void **state)
{
	(void)state;
	make(3 * C + 100);
	zeroes(0, 3 * C, 3 * C);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 0, C, 7);
	mem_reads(fx.fx_im, 3 * C, SPAN, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_read_only_image_is_not_zeroed(void **state)
{
	(void)state;
	make(SIZE);
	fx_use(&fx, 0);
	assert_int_equal(img_zero(fx.fx_im, 0, C), EROFS);
	fx_close(&fx);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_entry_by_the_table),
		cmocka_unit_test(
		    without_a_backing_image_nothing_is_written_for_nothing),
		cmocka_unit_test(the_largest_disk_is_zeroed_at_once),
		cmocka_unit_test(marks_make_the_table_that_they_need),
		cmocka_unit_test(marks_are_durable_like_any_entry),
		cmocka_unit_test(
		    part_of_a_cluster_is_written_and_the_rest_stays),
		cmocka_unit_test(the_last_cluster_is_whole_where_the_disk_ends),
		cmocka_unit_test(plain_images_have_no_marks),
		cmocka_unit_test(
		    what_is_behind_is_hidden_where_it_is_shorter_too),
		cmocka_unit_test(a_read_only_image_is_not_zeroed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
