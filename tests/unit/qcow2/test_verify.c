/* SPDX-License-Identifier: ISC */

/*
 * Stage VERIFY: entries against refcounts, refcount blocks, snapshots, and
 * what a broken or hostile image does to it.
 */

#include "unit/qcow2/fx.h"

#define C 4096u
#define SIZE (1024u * C)

static struct fx fx;
static struct mkqcow2 *k;
static uint64_t l2, off; /* the L2 table, the cluster under entry 1 */

/* Data under entries 1 and 2, alone or shared with a snapshot. */
static void
make(int shared)
{
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	off = mkqcow2_data(k, 1);
	mkqcow2_data(k, 2);
	if (shared)
		mkqcow2_snapshot(k, "1", "s");
	mkqcow2_end(k);
	l2 = mkqcow2_find(k, 0);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
}

/* That row alone; what is left of the handle. */
static void
raises(enum img_row row, int rdwr)
{
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	fx_only(&fx, row);
	assert_int_equal(fx_try(&fx, IMG_RDWR), rdwr);
	fx_done(&fx);
}

static void
copied_and_refcount_agree(void **state)
{
	(void)state;
	make(0);
	mem_put64(&fx.fx_mem, l2 + 8, off);
	raises(IMG_QCOW2_NOT_COPIED, 0);
	make(0);
	mkqcow2_put_count(&fx.fx_mem, off / C, 2);
	raises(IMG_QCOW2_COPIED_SHARED, EROFS);
	make(0);
	mkqcow2_put_count(&fx.fx_mem, off / C, 0);
	raises(IMG_QCOW2_COPIED_UNCOUNTED, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, l2 + 8, off);
	mkqcow2_put_count(&fx.fx_mem, off / C, 0);
	raises(IMG_QCOW2_UNCOUNTED, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, k->k_l1, l2);
	raises(IMG_QCOW2_L1_NOT_COPIED, 0);
	make(0);
	mkqcow2_put_count(&fx.fx_mem, l2 / C, 2);
	raises(IMG_QCOW2_L1_COPIED, EROFS);
	make(0);
	mkqcow2_put_count(&fx.fx_mem, l2 / C, 0);
	raises(IMG_QCOW2_L1_UNCOUNTED, EROFS);
}

static void
a_snapshot_s_copied_says_nothing_its_refcounts_do(void **state)
{
	(void)state;
	make(1); /* its L1 table has what the other one had then */
	mem_put64(&fx.fx_mem, k->k_snap[0].s_l1, l2 | MKQ_COPIED);
	assert_int_equal(fx_try(&fx, IMG_RDWR), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mkqcow2_put_count(&fx.fx_mem, k->k_snap[0].s_l1 / C, 0);
	raises(IMG_QCOW2_META_UNCOUNTED, EROFS);
}

static void
all_tables_of_the_header_are_counted(void **state)
{
	uint64_t places[3], i;

	(void)state;
	for (i = 0; i < 3; i++) {
		make(0);
		places[0] = 0;
		places[1] = k->k_rt;
		places[2] = k->k_l1;
		mkqcow2_put_count(&fx.fx_mem, places[i] / C, 0);
		raises(IMG_QCOW2_META_UNCOUNTED, EROFS);
	}
	make(1);
	mkqcow2_put_count(&fx.fx_mem, k->k_snap_off / C, 0);
	raises(IMG_QCOW2_META_UNCOUNTED, EROFS);
}

static void
refcount_blocks_are_where_they_can_be(void **state)
{
	uint64_t rb;

	(void)state;
	make(0);
	rb = mem_get32(&fx.fx_mem, k->k_rt + 4);
	mkqcow2_put_count(&fx.fx_mem, rb / C, 0);
	raises(IMG_QCOW2_RB_SELF, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, k->k_rt, rb | 1);
	raises(IMG_QCOW2_RT_RESERVED, EROFS);
	/* Of a block that cannot be used nothing is known. */
	make(0);
	mem_put64(&fx.fx_mem, k->k_rt, rb + 512);
	raises(IMG_QCOW2_RB_ALIGN, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, k->k_rt, rb | MKQ_COPIED); /* offset bits */
	raises(IMG_QCOW2_RB_ALIGN, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, k->k_rt, UINT64_C(1) << 40);
	raises(IMG_QCOW2_RB_RANGE, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, k->k_rt, k->k_l1);
	raises(IMG_QCOW2_RB_OVER, EROFS);
	make(0); /* the block is the last cluster */
	mem_set_len(&fx.fx_mem, rb + 512);
	raises(IMG_QCOW2_RB_CUT, 0);
}

static void
a_table_that_is_too_short_is_told_once(void **state)
{
	(void)state;
	k = fx_init(&fx, 8u << 20, 9);
	k->k_order = 6; /* 64 clusters a block, 64 blocks: 2 MiB */
	mkqcow2_begin(k);
	mkqcow2_end(k);
	mkqcow2_set(k, 0, 3u << 20, 0);
	mkqcow2_set(k, 1, (3u << 20) + 512, 0);
	mkqcow2_put_count(&fx.fx_mem, mkqcow2_find(k, 0) / 512, 1);
	mem_put64(&fx.fx_mem, k->k_l1, mkqcow2_find(k, 0) | MKQ_COPIED);
	mem_set_len(&fx.fx_mem, 4u << 20);
	raises(IMG_QCOW2_RT_SHORT, EROFS);
}

static void
of_dirty_refcounts_nothing_is_said(void **state)
{
	(void)state;
	make(0);
	mem_put64(&fx.fx_mem, 72, 1);
	mkqcow2_put_count(&fx.fx_mem, off / C, 0);
	raises(IMG_QCOW2_DIRTY, EROFS);
}

static void
l1_entries_without_a_table_have_no_flags(void **state)
{
	(void)state;
	make(0);
	mem_put64(&fx.fx_mem, k->k_l1 + 8, MKQ_COPIED);
	raises(IMG_QCOW2_L1_EMPTY, EROFS);
	make(0);
	mem_put64(&fx.fx_mem, k->k_l1, l2 | MKQ_COPIED | 4);
	raises(IMG_QCOW2_L1_RESERVED, 0);
}

static void
l1_entries_beyond_the_disk_belong_to_a_snapshot(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_l1_size = 4;
	mkqcow2_begin(k);
	(void)mkqcow2_at(k, 3 * 512);
	mkqcow2_end(k);
	raises(IMG_QCOW2_L1_EXTRA, 0);
	k = fx_init(&fx, SIZE, 12);
	k->k_l1_size = 4;
	mkqcow2_begin(k);
	(void)mkqcow2_at(k, 3 * 512); /* the state of a machine */
	mkqcow2_snapshot(k, "1", "s");
	mkqcow2_end(k);
	assert_int_equal(fx_try(&fx, IMG_RDWR), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	fx_done(&fx);
}

/* One number in the first snapshot's entry. */
static void
snapshot(unsigned at, uint32_t n, enum img_row row, int rdwr)
{
	make(1);
	mem_put32(&fx.fx_mem, k->k_snap_off + at, n);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	if (mem_has(&fx.fx_sink, row) != 1)
		fail_msg("%u := %u: %u rows, first %u", at, n, fx.fx_sink.s_n,
		    img_row(fx.fx_sink.s_found[0].fi_row)->r_number);
	assert_int_equal(fx_try(&fx, IMG_RDWR), rdwr);
	fx_done(&fx);
}

static void
snapshots_have_limits(void **state)
{
	(void)state;
	snapshot(0, UINT32_MAX, IMG_QCOW2_SNAP_L1, EROFS);
	snapshot(4, 3 * C + 8, IMG_QCOW2_SNAP_L1, EROFS);
	snapshot(4, 0, IMG_QCOW2_SNAP_L1, EROFS);
	snapshot(8, 4194305, IMG_QCOW2_SNAP_L1, EROFS);
	snapshot(8, 1u << 20, IMG_QCOW2_SNAP_L1, EROFS);
	snapshot(8, 1, IMG_QCOW2_SNAP_L1_SHORT, 0);
	snapshot(36, UINT32_MAX, IMG_QCOW2_SNAP_TABLE, EROFS);
	snapshot(36, 8, IMG_QCOW2_SNAP_EXTRA, 0);
	snapshot(36, 1025, IMG_QCOW2_SNAP_EXTRA_LONG, EROFS);
	snapshot(52, 1, IMG_QCOW2_SNAP_SIZE, 0); /* of the disk: + 1 */
	snapshot(48, 0x80000000u, IMG_QCOW2_SNAP_SIZE, 0);
	snapshot(44, 1, IMG_QCOW2_SNAP_SIZE, 0); /* state without room */
}

static void
a_table_of_snapshots_ends_inside_the_file(void **state)
{
	(void)state;
	make(1);
	mem_put32(&fx.fx_mem, 60, 60000);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	assert_true(mem_has(&fx.fx_sink, IMG_QCOW2_SNAP_TABLE) == 1);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
}

static void
a_table_shared_with_the_disk_is_walked_once(void **state)
{
	uint64_t reads;

	(void)state;
	make(1);
	mkqcow2_put_count(&fx.fx_mem, off / C, 0);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	fx_only(&fx, IMG_QCOW2_UNCOUNTED);
	reads = fx.fx_mem.m_calls[MEM_READ];
	assert_true(reads < 60);
	fx_done(&fx);
}

/* 65536 L1 entries, all with one table: the walk ends. */
static void
tables_are_no_larger_than_the_file(void **state)
{
	uint32_t i;

	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 31, 9); /* 65536 L1 entries */
	mkqcow2_begin(k);
	mkqcow2_data(k, 0);
	mkqcow2_end(k);
	l2 = mkqcow2_find(k, 0);
	for (i = 1; i < k->k_l1_size; i++)
		mem_put64(&fx.fx_mem, k->k_l1 + i * 8, l2 | MKQ_COPIED);
	mem_reset(&fx.fx_mem);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QCOW2_L2_TWICE), 1);
	assert_true(fx.fx_mem.m_calls[MEM_READ] < 4096);
	fx_done(&fx);
}

static void
verifying_can_be_ended(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_data(k, 513);
	mkqcow2_end(k);
	fx.fx_env.e_poll_end = 2;
	assert_int_equal(fx_try(&fx, IMG_VERIFY), EINTR);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copied_and_refcount_agree),
		cmocka_unit_test(
		    a_snapshot_s_copied_says_nothing_its_refcounts_do),
		cmocka_unit_test(all_tables_of_the_header_are_counted),
		cmocka_unit_test(refcount_blocks_are_where_they_can_be),
		cmocka_unit_test(a_table_that_is_too_short_is_told_once),
		cmocka_unit_test(of_dirty_refcounts_nothing_is_said),
		cmocka_unit_test(l1_entries_without_a_table_have_no_flags),
		cmocka_unit_test(
		    l1_entries_beyond_the_disk_belong_to_a_snapshot),
		cmocka_unit_test(snapshots_have_limits),
		cmocka_unit_test(a_table_of_snapshots_ends_inside_the_file),
		cmocka_unit_test(a_table_shared_with_the_disk_is_walked_once),
		cmocka_unit_test(tables_are_no_larger_than_the_file),
		cmocka_unit_test(verifying_can_be_ended),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
