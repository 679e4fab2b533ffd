/* SPDX-License-Identifier: ISC */

/*
 * What a write makes of each kind of entry: where it goes, what is filled
 * around it, which clusters are given up, and what is refused.
 */

#include "unit/qcow2/fx.h"

#define C 4096u
#define SIZE (1024u * C) /* two L2 tables */

static struct fx fx;
static struct mkqcow2 *k;

static void
make(unsigned version)
{
	k = fx_init(&fx, SIZE, 12);
	k->k_version = version;
}

/* One write of 100 bytes at 1000 of guest cluster g, and a flush. */
static void
write_part(uint64_t g)
{
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, g * C + 1000, 100);
	mem_reads(fx.fx_im, g * C + 1000, 100, 3);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, g * C + 1000, 100, 3);
}

/* What is around those bytes, to the edges of the cluster. */
static void
around(uint64_t g, unsigned version)
{
	mem_reads(fx.fx_im, g * C, 1000, version);
	mem_reads(fx.fx_im, g * C + 1100, C - 1100, version);
	fx_close(&fx);
}

static void
what_is_ones_own_is_written_in_place(void **state)
{
	uint64_t e;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_data(k, 2);
	mkqcow2_end(k);
	e = mkqcow2_entry(k, 1);
	fx_use(&fx, IMG_RDWR);
	mem_reset(&fx.fx_mem);
	fx_writes(&fx, C + 1000, C);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 1);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 1);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
	fx_close(&fx);
	assert_int_equal(mkqcow2_entry(k, 1), e);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
what_a_snapshot_has_is_copied(void **state)
{
	uint64_t data, l2, neighbour;

	(void)state;
	make(2);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_data(k, 2);
	mkqcow2_snapshot(k, "1", "s");
	mkqcow2_end(k);
	data = mkqcow2_entry(k, 1);
	neighbour = mkqcow2_entry(k, 2);
	l2 = mkqcow2_find(k, 0);
	assert_int_equal(data & MKQ_COPIED, 0);
	write_part(1);
	around(1, 1);
	assert_int_equal(fx_count(&fx, data), 1);
	assert_int_equal(fx_count(&fx, l2), 1);
	assert_int_equal(mkqcow2_entry(k, 1) & MKQ_COPIED, MKQ_COPIED);
	/* The one beside stays shared. */
	assert_int_equal(mkqcow2_entry(k, 2), neighbour);
	assert_int_equal(fx_count(&fx, neighbour), 2);
	assert_int_equal(fx_open_as(&fx, 0, 0, "1"), 0);
	mem_reads(fx.fx_im, C, C, 1);
	fx_close(&fx);
	fx_done(&fx);
}

static void
preallocated_zeros_are_filled_with_zeros_and_lose_the_flag(void **state)
{
	uint64_t e;

	(void)state;
	make(3);
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	mkqcow2_set(k, 1, mkqcow2_data(k, 1) | 1, 0);
	mkqcow2_end(k);
	e = mkqcow2_entry(k, 1);
	write_part(1);
	around(1, 0);
	assert_int_equal(mkqcow2_entry(k, 1), e & ~UINT64_C(1));
	fx_done(&fx);
}

static void
zeros_without_a_cluster_are_never_filled_from_behind(void **state)
{
	(void)state;
	make(3);
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	mkqcow2_set(k, 1, 1, 0);
	mkqcow2_end(k);
	write_part(1);
	around(1, 0);
	assert_int_equal(mkqcow2_entry(k, 1),
	    FX_OFFSET(mkqcow2_entry(k, 1)) | MKQ_COPIED);
	fx_done(&fx);
}

static void
preallocated_zeros_of_a_snapshot_are_left_to_it(void **state)
{
	uint64_t off;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_set(k, 1, mkqcow2_data(k, 1) | 1, 0);
	mkqcow2_snapshot(k, "1", "s");
	mkqcow2_end(k);
	off = FX_OFFSET(mkqcow2_entry(k, 1));
	write_part(1);
	around(1, 0);
	assert_int_equal(fx_count(&fx, off), 1);
	assert_int_equal(fx_open_as(&fx, 0, 0, "1"), 0);
	mem_reads(fx.fx_im, C, C, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_hole_is_filled_from_behind_as_far_as_that_goes(void **state)
{
	(void)state;
	make(3);
	fx_backing(&fx, C + 2000);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	write_part(1);
	mem_reads(fx.fx_im, C, 1000, 7);
	mem_reads(fx.fx_im, C + 1100, 900, 7);
	mem_reads(fx.fx_im, C + 2000, C - 2000, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
all_clusters_of_a_stream_are_given_up(void **state)
{
	uint64_t e, off, end, cl, was[8], n = 0;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	while (n < 40) { /* until one goes on in the next cluster */
		e = mkqcow2_pack(k, n++) & ~MKQ_PACKED;
		off = e & ((UINT64_C(1) << 58) - 1);
		end = off + ((e >> 58) + 1) * 512 - off % 512;
		if (off / C != (end - 1) / C)
			break;
	}
	assert_int_not_equal(off / C, (end - 1) / C);
	mkqcow2_end(k);
	for (cl = off / C; cl <= (end - 1) / C; cl++)
		was[cl - off / C] = mkqcow2_count(&fx.fx_mem, cl);
	write_part(n - 1);
	around(n - 1, 1);
	for (cl = off / C; cl <= (end - 1) / C; cl++)
		assert_int_equal(mkqcow2_count(&fx.fx_mem, cl),
		    was[cl - off / C] - 1);
	fx_done(&fx);
}

static void
without_a_table_one_is_made(void **state)
{
	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	assert_int_equal(mkqcow2_find(k, 512), 0);
	write_part(512);
	around(512, 0);
	assert_int_not_equal(mkqcow2_find(k, 512), 0);
	assert_int_equal(mkqcow2_find(k, 0), 0);
	fx_done(&fx);
}

static void
empty_clusters_are_claimed_together_up_to_the_table_s_end(void **state)
{
	struct img_claim c;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_data(k, 100);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 10, SIZE - 10, &c), 0);
	assert_int_equal(c.c_ext.e_len, 100 * C - 10);
	assert_int_equal(c.c_before, 10);
	assert_int_equal(c.c_after, 0);
	assert_int_equal(img_end(fx.fx_im, &c, 0), 0);
	assert_int_equal(img_begin(fx.fx_im, 500 * C, 20 * C, &c), 0);
	assert_int_equal(c.c_ext.e_len, 12 * C);
	assert_int_equal(img_end(fx.fx_im, &c, 0), 0);
	fx_close(&fx);
	/* Given up: nothing leads there, and nothing leaks. */
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
subclusters_are_filled_to_their_own_edges(void **state)
{
	(void)state;
	k = fx_init(&fx, 4 * 16384, 14);
	k->k_incompat = 16;
	fx_backing(&fx, 4 * 16384);
	mkqcow2_begin(k);
	mkqcow2_set(k, 1, mkqcow2_data(k, 1), UINT64_C(0x0000ff0000000001));
	mkqcow2_pack(k, 2);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 32768 + 5000, 100);     /* a stream has all of them */
	fx_writes(&fx, 600, 100);              /* no cluster: sub 1 */
	fx_writes(&fx, 16384 + 7 * 512, 1024); /* hole and zeros: 7 and 8 */
	fx_writes(&fx, 16384 + 9 * 512 + 1, 1);
	mem_reads(fx.fx_im, 0, 600, 7);
	mem_reads(fx.fx_im, 600, 100, 3);
	mem_reads(fx.fx_im, 700, 16384 - 700, 7);
	mem_reads(fx.fx_im, 16384, 512, 1);
	mem_reads(fx.fx_im, 16384 + 512, 6 * 512, 7);
	mem_reads(fx.fx_im, 16384 + 7 * 512, 1024, 3);
	mem_reads(fx.fx_im, 16384 + 9 * 512 + 2, 510, 0);
	mem_reads(fx.fx_im, 16384 + 10 * 512, 6 * 512, 0);
	mem_reads(fx.fx_im, 16384 + 16 * 512, 16 * 512, 7);
	mem_reads(fx.fx_im, 32768, 5000, 1);
	mem_reads(fx.fx_im, 32768 + 5000, 100, 3);
	mem_reads(fx.fx_im, 32768 + 5100, 16384 - 5100, 1);
	fx_close(&fx);
	assert_int_equal(mkqcow2_subs(k, 2), UINT32_MAX);
	assert_int_equal(mkqcow2_subs(k, 0), 2);
	assert_int_equal(mkqcow2_subs(k, 1), UINT64_C(0x0000fc0000000381));
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
a_data_file_has_the_bytes_where_the_guest_has_them(void **state)
{
	uint8_t got[100], want[100];

	(void)state;
	make(3);
	k->k_data = "d";
	mkqcow2_begin(k);
	mkqcow2_end(k);
	write_part(0);
	around(0, 0);
	assert_int_equal(mkqcow2_entry(k, 0), MKQ_COPIED);
	write_part(5);
	around(5, 0);
	assert_int_equal(mkqcow2_entry(k, 5), 5 * C | MKQ_COPIED);
	mem_get(&fx.fx_data, 5 * C + 1000, got, 100);
	mem_pattern(want, 100, 5 * C + 1000, 3);
	assert_memory_equal(got, want, 100);
	fx_done(&fx);
}

/* A refcount that changes behind the handle's back. */
static void
refused(uint64_t off, uint64_t count, enum img_row row)
{
	uint8_t b = 1;

	mkqcow2_put_count(&fx.fx_mem, off / C, count);
	assert_int_equal(img_write(fx.fx_im, &b, 1, C), EIO);
	fx_only(&fx, row);
	/* Nothing is written any more. */
	assert_int_equal(img_write(fx.fx_im, &b, 1, 9 * C), EIO);
	assert_int_equal(img_flush(fx.fx_im), EIO);
	mem_reads(fx.fx_im, C, C, 1);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
}

static void
copied_is_held_against_the_refcount_each_time(void **state)
{
	static const struct {
		uint64_t count;
		enum img_row row;
	} cases[] = { { 2, IMG_QCOW2_COPIED_SHARED },
		{ 0, IMG_QCOW2_COPIED_UNCOUNTED } };
	size_t i;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_end(k);
	for (i = 0; i < LENGTH_OF(cases); i++) {
		assert_int_equal(fx_open_as(&fx, IMG_RDWR, 1, NULL), 0);
		mem_reads(fx.fx_im, C, C, 1);
		refused(FX_OFFSET(mkqcow2_entry(k, 1)), cases[i].count,
		    cases[i].row);
		mkqcow2_recount(k);
	}
	fx_done(&fx);
}

static void
nothing_is_written_over_a_table(void **state)
{
	uint8_t b = 1;
	uint64_t l2;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	l2 = mkqcow2_at(k, 0) & ~(uint64_t)(C - 1);
	mkqcow2_end(k);
	/* The refcount is 1, COPIED is set: only the cache knows. */
	mem_put64(&fx.fx_mem, l2 + 16, l2 | MKQ_COPIED);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_write(fx.fx_im, &b, 1, 2 * C), EIO);
	fx_only(&fx, IMG_QCOW2_DATA_META);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	fx_done(&fx);
}

static void
a_table_that_is_given_up_is_forgotten(void **state)
{
	uint64_t l2;

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_end(k);
	l2 = mkqcow2_find(k, 0);
	mem_put64(&fx.fx_mem, k->k_l1, l2); /* not marked COPIED */
	fx_use(&fx, IMG_RDWR);
	fx_only(&fx, IMG_QCOW2_L1_NOT_COPIED);
	fx_writes(&fx, 2 * C, C);
	assert_int_equal(img_flush(fx.fx_im), 0);
	/* Its cluster is free now: data goes there, twice. */
	fx_writes(&fx, 3 * C, C);
	fx_writes(&fx, 3 * C + 1, 9);
	fx_close(&fx);
	assert_int_not_equal(mkqcow2_find(k, 0), l2);
	assert_int_equal(FX_OFFSET(mkqcow2_entry(k, 3)), l2);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
autoclear_bits_that_nobody_keeps_go_before_the_first_change(void **state)
{
	(void)state;
	make(3);
	k->k_autoclear = UINT64_C(0x8000000000000001);
	k->k_compat = UINT64_C(0xff00000000000001);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_end(k);
	fx_use(&fx, 0); /* reading alone changes nothing */
	mem_reads(fx.fx_im, 0, C, 0);
	fx_close(&fx);
	fx_use(&fx, IMG_RDWR);
	fx_close(&fx);
	assert_int_equal(mem_get32(&fx.fx_mem, 88), 0x80000000u);
	write_part(1);
	fx_close(&fx);
	assert_int_equal(mem_get32(&fx.fx_mem, 88), 0);
	assert_int_equal(mem_get32(&fx.fx_mem, 92), 0);
	assert_int_equal(mem_get32(&fx.fx_mem, 80), 0xff000000u); /* kept */
	assert_int_equal(mem_get32(&fx.fx_mem, 84), 1);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_ones_own_is_written_in_place),
		cmocka_unit_test(what_a_snapshot_has_is_copied),
		cmocka_unit_test(
		    preallocated_zeros_are_filled_with_zeros_and_lose_the_flag),
		cmocka_unit_test(
		    zeros_without_a_cluster_are_never_filled_from_behind),
		cmocka_unit_test(
		    preallocated_zeros_of_a_snapshot_are_left_to_it),
		cmocka_unit_test(
		    a_hole_is_filled_from_behind_as_far_as_that_goes),
		cmocka_unit_test(all_clusters_of_a_stream_are_given_up),
		cmocka_unit_test(without_a_table_one_is_made),
		cmocka_unit_test(
		    empty_clusters_are_claimed_together_up_to_the_table_s_end),
		cmocka_unit_test(subclusters_are_filled_to_their_own_edges),
		cmocka_unit_test(
		    a_data_file_has_the_bytes_where_the_guest_has_them),
		cmocka_unit_test(copied_is_held_against_the_refcount_each_time),
		cmocka_unit_test(nothing_is_written_over_a_table),
		cmocka_unit_test(a_table_that_is_given_up_is_forgotten),
		cmocka_unit_test(
		    autoclear_bits_that_nobody_keeps_go_before_the_first_change),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
