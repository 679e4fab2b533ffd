/* SPDX-License-Identifier: ISC */

/* Where guest bytes live: runs, ends, subclusters, snapshots, damage. */

#include "unit/qcow2/fx.h"

#define C 4096u
#define SIZE (1024u * C)
#define NO IMG_NOWHERE

static struct fx fx;
static struct mkqcow2 *k;

static void
bad_at(uint64_t voff, uint64_t len, enum img_row row, uint64_t elen)
{
	struct img_extent e;
	uint8_t b;

	assert_int_equal(img_map(fx.fx_im, voff, len, &e), 0);
	assert_int_equal(e.e_type, IMG_BAD);
	assert_int_equal(e.e_row, row);
	assert_int_equal(e.e_len, elen);
	assert_int_equal(img_read(fx.fx_im, &b, 1, voff),
	    img_allows(fx.fx_im, NULL) < IMG_ALLOW_READ ? EFTYPE : EIO);
}

static void
neighbours_are_one_run_to_the_byte(void **state)
{
	uint64_t off;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	off = mkqcow2_data(k, 10);
	mkqcow2_data(k, 11);
	mkqcow2_data(k, 12);
	mkqcow2_take(k, 1);
	mkqcow2_data(k, 13);
	mkqcow2_set(k, 14, 1, 0);
	mkqcow2_set(k, 15, 1, 0);
	mkqcow2_set(k, 16, mkqcow2_data(k, 16) | 1, 0);
	mkqcow2_end(k);
	fx_use(&fx, 0);
	mem_maps(fx.fx_im, 0, SIZE, IMG_HOLE, NO, 10 * C);
	mem_maps(fx.fx_im, 1, 100, IMG_HOLE, NO, 100);
	mem_maps(fx.fx_im, 10 * C + 5, SIZE - 10 * C - 5, IMG_DATA, off + 5,
	    3 * C - 5);
	mem_maps(fx.fx_im, 10 * C + 5, C, IMG_DATA, off + 5, C);
	mem_maps(fx.fx_im, 13 * C, 2 * C, IMG_DATA, off + 4 * C, C);
	mem_maps(fx.fx_im, 14 * C, 9 * C, IMG_ZERO, NO, 2 * C);
	mem_maps(fx.fx_im, 16 * C + 7, 9 * C, IMG_ZERO, off + 5 * C + 7, C - 7);
	/* The hole goes on where there is not even a table. */
	mem_maps(fx.fx_im, 17 * C, SIZE - 17 * C, IMG_HOLE, NO, SIZE - 17 * C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_run_does_not_end_with_its_table(void **state)
{
	uint64_t off;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	(void)mkqcow2_at(k, 0);
	(void)mkqcow2_at(k, 512);
	off = mkqcow2_data(k, 511);
	mkqcow2_data(k, 512);
	mkqcow2_end(k);
	fx_use(&fx, 0);
	mem_maps(fx.fx_im, 511 * C, 3 * C, IMG_DATA, off, 2 * C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
each_stream_is_an_extent_of_its_own(void **state)
{
	struct img_extent e;
	uint64_t a, b;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	a = mkqcow2_pack(k, 3) & ~MKQ_PACKED;
	b = mkqcow2_pack(k, 4) & ~MKQ_PACKED;
	mkqcow2_end(k);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	assert_int_equal(img_map(fx.fx_im, 3 * C + 9, C, &e), 0);
	assert_int_equal(e.e_type, IMG_PACKED);
	assert_int_equal(e.e_len, C - 9);
	assert_int_equal(e.e_off, a & ((UINT64_C(1) << 58) - 1));
	assert_int_equal(e.e_plen, ((a >> 58) + 1) * 512 - e.e_off % 512);
	assert_int_equal(img_map(fx.fx_im, 4 * C, C, &e), 0);
	assert_int_equal(e.e_off, b & ((UINT64_C(1) << 58) - 1));
	/* Odd offsets are common, and no zero flags. */
	assert_int_equal(e.e_off % 512 == 0, 0);
	mem_reads(fx.fx_im, 3 * C, 2 * C, 1);
	mem_reads(fx.fx_im, 4 * C - 100, 200, 1);
	fx_close(&fx);
	fx_done(&fx);
}

static void
behind_the_end_of_the_file_are_zeros(void **state)
{
	uint64_t off;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	mkqcow2_at(k, 0);
	off = mkqcow2_data(k, 5);
	mkqcow2_recount(k);
	mem_set_len(&fx.fx_mem, off + 1000);
	fx_use(&fx, IMG_VERIFY);
	fx_only(&fx, IMG_QCOW2_DATA_CUT);
	assert_int_equal(fx.fx_sink.s_found[0].fi_voff, 5 * C + 1000);
	assert_int_equal(fx.fx_sink.s_found[0].fi_vlen, C - 1000);
	mem_maps(fx.fx_im, 5 * C, C, IMG_DATA, off, 1000);
	mem_maps(fx.fx_im, 5 * C + 1000, C, IMG_ZERO, off + 1000, C - 1000);
	mem_reads(fx.fx_im, 5 * C, 1000, 1);
	mem_reads(fx.fx_im, 5 * C + 1000, C - 1000, 0);
	fx_close(&fx);
	/* One that starts there is bad. */
	mem_set_len(&fx.fx_mem, off);
	fx_use(&fx, 0);
	bad_at(5 * C, C, IMG_QCOW2_DATA_RANGE, C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
of_a_table_that_is_cut_off_what_is_there_counts(void **state)
{
	uint64_t l2;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	mkqcow2_data(k, 3);
	mkqcow2_end(k);
	l2 = mkqcow2_take(k, 1);
	mem_put64(&fx.fx_mem, k->k_l1 + 8, l2); /* under the second entry */
	mkqcow2_recount(k);
	mem_set_len(&fx.fx_mem, l2 + 100 * 8 + 4);
	fx_use(&fx, IMG_VERIFY);
	fx_only(&fx, IMG_QCOW2_L2_RANGE);
	mem_maps(fx.fx_im, 512 * C, 101 * C, IMG_HOLE, NO, 100 * C);
	bad_at(612 * C, 2 * C, IMG_QCOW2_L2_RANGE, 2 * C);
	fx_close(&fx);
	/* A whole one outside the file. */
	mem_set_len(&fx.fx_mem, l2);
	fx_use(&fx, 0);
	bad_at(512 * C, SIZE - 512 * C, IMG_QCOW2_L2_RANGE, SIZE - 512 * C);
	mem_maps(fx.fx_im, 511 * C, C, IMG_HOLE, NO, C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
bad_entries_name_their_row(void **state)
{
	static const struct {
		uint64_t entry;
		enum img_row row;
	} cases[] = {
		{ 5 * C + 512, IMG_QCOW2_DATA_ALIGN },
		{ 5 * C + 513, IMG_QCOW2_ZERO_ALIGN },
		{ UINT64_C(1) << 40, IMG_QCOW2_DATA_RANGE },
		{ 1 * C, IMG_QCOW2_DATA_META }, /* the refcount table */
		{ 2 * C, IMG_QCOW2_DATA_META }, /* the L1 table */
		{ MKQ_PACKED | 100, IMG_QCOW2_DATA_HEADER },
		{ MKQ_PACKED | UINT64_C(1) << 57, IMG_QCOW2_PACKED_HIGH },
		{ MKQ_PACKED | UINT64_C(1) << 40, IMG_QCOW2_PACKED_RANGE },
	};
	size_t i;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	for (i = 0; i < 8; i++)
		mkqcow2_data(k, i);
	mkqcow2_end(k);
	for (i = 0; i < LENGTH_OF(cases); i++) {
		mkqcow2_set(k, 20, cases[i].entry, 0);
		fx_use(&fx, 0);
		bad_at(20 * C + 5, 2 * C, cases[i].row, C - 5);
		mem_maps(fx.fx_im, 21 * C, C, IMG_HOLE, NO, C);
		fx_close(&fx);
		assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
		assert_int_equal(mem_has(&fx.fx_sink, cases[i].row), 1);
		assert_int_equal(fx.fx_sink.s_n, 1);
		assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	}
	fx_done(&fx);
}

static void
a_zero_flag_in_version_2_is_damage(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_version = 2;
	mkqcow2_begin(k);
	mkqcow2_set(k, 1, 1, 0);
	fx_use(&fx, 0);
	bad_at(C, C, IMG_QCOW2_ZERO_V2, C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
bad_l1_entries_are_as_bad_as_all_below_them(void **state)
{
	static const struct {
		uint64_t l1;
		enum img_row row;
	} cases[] = {
		{ 3 * C + 512, IMG_QCOW2_L2_ALIGN },
		{ UINT64_C(1) << 45, IMG_QCOW2_L2_RANGE },
		{ C, IMG_QCOW2_L2_META },
	};
	size_t i;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	for (i = 0; i < LENGTH_OF(cases); i++) {
		mem_put64(&fx.fx_mem, k->k_l1, cases[i].l1);
		fx_use(&fx, 0);
		bad_at(C, SIZE - C, cases[i].row, 511 * C);
		mem_maps(fx.fx_im, 512 * C, C, IMG_HOLE, NO, C);
		fx_close(&fx);
	}
	/* COPIED alone leads nowhere: a hole. */
	mem_put64(&fx.fx_mem, k->k_l1, MKQ_COPIED);
	fx_use(&fx, 0);
	mem_maps(fx.fx_im, 0, C, IMG_HOLE, NO, C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
an_l1_table_that_is_too_short_ends_the_disk_in_damage(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_l1_size = 1;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, 0);
	fx_only(&fx, IMG_QCOW2_L1_SHORT);
	mem_maps(fx.fx_im, 0, SIZE, IMG_HOLE, NO, 512 * C);
	bad_at(512 * C, SIZE - 512 * C, IMG_QCOW2_L1_SHORT, 512 * C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
subclusters_are_told_apart(void **state)
{
	uint64_t off;

	(void)state;
	k = fx_init(&fx, 4 * 16384, 14);
	k->k_incompat = 16;
	mkqcow2_begin(k);
	off = mkqcow2_data(k, 1);
	/* 0 to 3 data, 4 to 7 zeros, 8 to 30 nothing, 31 data. */
	mkqcow2_set(k, 1, off, UINT64_C(0x000000f08000000f));
	mkqcow2_set(k, 2, 0, UINT64_C(0x8000000000000000));
	mkqcow2_end(k);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_maps(fx.fx_im, 16384 + 100, 16384, IMG_DATA, off + 100, 1948);
	mem_maps(fx.fx_im, 16384 + 2048, 16384, IMG_ZERO, off + 2048, 2048);
	mem_maps(fx.fx_im, 16384 + 4096, 16384, IMG_HOLE, off + 4096, 11776);
	mem_maps(fx.fx_im, 16384 + 15872, 16384, IMG_DATA, off + 15872, 512);
	mem_maps(fx.fx_im, 32768, 16384, IMG_HOLE, NO, 15872);
	mem_maps(fx.fx_im, 32768 + 15872, 9000, IMG_ZERO, NO, 512);
	fx_close(&fx);
	/* Never offset 0 plus something, never both. */
	mkqcow2_set(k, 2, 0, 1);
	fx_use(&fx, 0);
	bad_at(32768 + 512, 512, IMG_QCOW2_SUB_NOWHERE, 512);
	fx_close(&fx);
	mkqcow2_set(k, 1, off, UINT64_C(0x0000000100000001));
	fx_use(&fx, 0);
	bad_at(16384 + 15872, 512, IMG_QCOW2_SUB_BOTH, 512);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_snapshot_is_a_disk_of_its_own_size(void **state)
{
	struct mkqsnap *s;
	uint64_t off;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	off = mkqcow2_data(k, 5);
	s = mkqcow2_snapshot(k, "1", "small");
	s->s_size = 6 * C;
	s = mkqcow2_snapshot(k, "2", "1"); /* whose name is another's id */
	s->s_size = 2 * SIZE;              /* more than its L1 table covers */
	mkqcow2_end(k);
	assert_int_equal(fx_open_as(&fx, IMG_VERIFY, 0, "1"), 0);
	fx_only(&fx, IMG_QCOW2_SNAP_L1_SHORT);
	assert_int_equal(img_size(fx.fx_im), 6 * C);
	mem_maps(fx.fx_im, 5 * C, C, IMG_DATA, off, C);
	fx_close(&fx);
	assert_int_equal(fx_open_as(&fx, 0, 0, "2"), 0);
	assert_int_equal(img_size(fx.fx_im), 2 * SIZE);
	mem_maps(fx.fx_im, SIZE, SIZE, IMG_HOLE, NO, SIZE);
	fx_close(&fx);
	assert_int_equal(fx_open_as(&fx, 0, 0, "small"), 0);
	fx_close(&fx);
	assert_int_equal(fx_open_as(&fx, 0, 0, "3"), ENOENT);
	assert_int_equal(fx_open_as(&fx, IMG_RDWR, 0, "1"), EINVAL);
	fx_done(&fx);
}

static void
what_is_in_a_data_file_says_so(void **state)
{
	struct img_extent e;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_data = "d";
	mem_set_len(&fx.fx_data, 3 * C + 100);
	mkqcow2_begin(k);
	mkqcow2_set(k, 0, MKQ_COPIED, 0);
	mkqcow2_set(k, 3, 3 * C | MKQ_COPIED, 0);
	mkqcow2_set(k, 4, 4 * C | MKQ_COPIED | 1, 0);
	mkqcow2_set(k, 5, 6 * C | MKQ_COPIED, 0);
	mkqcow2_end(k);
	mkqcow2_set(k, 6, MKQ_PACKED | 9 * C, 0);
	fx_use(&fx, 0);
	mem_maps(fx.fx_im, 0, C, IMG_DATA, 0, C);
	assert_int_equal(img_map(fx.fx_im, 0, C, &e), 0);
	assert_int_equal(e.e_file, 1);
	mem_maps(fx.fx_im, 3 * C, C, IMG_DATA, 3 * C, 100);
	mem_maps(fx.fx_im, 3 * C + 100, C, IMG_ZERO, 3 * C + 100, C);
	mem_maps(fx.fx_im, 4 * C, C, IMG_ZERO, 4 * C, C);
	assert_int_equal(img_map(fx.fx_im, 4 * C, C, &e), 0);
	assert_int_equal(e.e_file, 1);
	bad_at(5 * C, C, IMG_QCOW2_FILE_OFFSET, C);
	bad_at(6 * C, C, IMG_QCOW2_PACKED_FILE, C);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_map_can_be_ended(void **state)
{
	struct img_extent e;

	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 33, 9); /* 262144 L1 entries */
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, 0);
	fx.fx_env.e_poll_end = fx.fx_env.e_polls + 1;
	assert_int_equal(img_map(fx.fx_im, 0, UINT64_C(1) << 33, &e), EINTR);
	fx_close(&fx);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_one_run_to_the_byte),
		cmocka_unit_test(a_run_does_not_end_with_its_table),
		cmocka_unit_test(each_stream_is_an_extent_of_its_own),
		cmocka_unit_test(behind_the_end_of_the_file_are_zeros),
		cmocka_unit_test(
		    of_a_table_that_is_cut_off_what_is_there_counts),
		cmocka_unit_test(bad_entries_name_their_row),
		cmocka_unit_test(a_zero_flag_in_version_2_is_damage),
		cmocka_unit_test(bad_l1_entries_are_as_bad_as_all_below_them),
		cmocka_unit_test(
		    an_l1_table_that_is_too_short_ends_the_disk_in_damage),
		cmocka_unit_test(subclusters_are_told_apart),
		cmocka_unit_test(a_snapshot_is_a_disk_of_its_own_size),
		cmocka_unit_test(what_is_in_a_data_file_says_so),
		cmocka_unit_test(a_map_can_be_ended),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
