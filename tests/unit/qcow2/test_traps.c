/* SPDX-License-Identifier: ISC */

/*
 * The traps that other programs fell into, by the numbers of our list.  Those
 * that are the subject of a test elsewhere are named with it:
 *
 * T4	test_entry.c: the_width_of_a_length_follows_the_cluster_size
 * T5	test_write.c: all_clusters_of_a_stream_are_given_up
 * T7	tests/unit/host/test_chain.c, tests/cli/chain.sh
 * T8	tests/unit/host/test_chain_rules.c: as_many_images_as_stated_are_a_chain
 * T9	test_header.c: a_header_is_as_long_as_it_says
 * T10	the same
 * T13	test_write.c:
 *	autoclear_bits_that_nobody_keeps_go_before_the_first_change
 * T14	the same, and tests/crash/test_qcow2.c: autoclear_bits_go_first
 * T18	test_write.c: what_a_snapshot_has_is_copied
 * T20	test_header.c: each_number_has_its_limits
 * T21	test_header.c: extensions_end_inside_their_area
 * T24	test_count.c: counters_of_less_than_a_byte_start_at_its_low_end
 * T25	test_count.c: each_width_counts_through_a_file
 * T26	test_count.c: a_table_grows_as_often_as_it_must
 * T27	tests/crash/test_qcow2.c: what_snapshots_have
 * T28	cannot occur: the library punches no holes into an image that it writes
 * T29	test_zero.c: over_a_backing_image_what_is_not_there_gets_the_flag,
 *	test_write.c: zeros_without_a_cluster_are_never_filled_from_behind
 * T30	cannot occur: a handle has its tables once, and one thread at a time
 * T31	test_repair.c: every_damage_is_repaired; opening never clears a flag
 * T32	tests/unit/core/test_img.c: close_flushes_and_says_how_it_went
 * T33	tests/crash/test_qcow2.c: what_a_backing_image_has
 * T34	test_map.c: behind_the_end_of_the_file_are_zeros
 * T35	test_zero.c: part_of_a_cluster_is_written_and_the_rest_stays
 * T37	tests/unit/core/test_cache.c: changes_survive_any_eviction,
 *	tests/crash/test_qcow2.c: tables_that_hardly_fit_in_the_cache
 * T38	tests/interop/qcow2_qemu.sh
 * T40	test_map.c: bad_entries_name_their_row,
 *	bad_l1_entries_are_as_bad_as_all_below_them
 * T41	test_repair.c: every_damage_is_repaired
 * T42	test_map.c: subclusters_are_told_apart
 * T43	test_map.c: neighbours_are_one_run_to_the_byte
 * T45	test_header.c: each_number_has_its_limits
 * T46	test_count.c: cluster_0_is_never_given_away
 * T48	test_count.c: a_new_block_describes_itself
 * T50	cannot occur: nothing here changes the size of a disk
 * T53	tests/crash/test_qcow2_fault.c: each_barrier_may_fail
 * T54	test_header.c: names_lie_in_the_first_cluster
 * T55	cannot occur: refcounts are always written; fx_sound looks each time
 */

#include "unit/qcow2/fx.h"

#define C 4096u
#define SIZE (1024u * C)

static struct fx fx;
static struct mkqcow2 *k;

static void
t1_the_zero_flag_is_no_offset(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	mkqcow2_set(k, 0, 1, 0);
	mkqcow2_set(k, 1, mkqcow2_data(k, 1) | 1, 0);
	mkqcow2_end(k);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_reads(fx.fx_im, 0, 2 * C, 0);
	mem_reads(fx.fx_im, 2 * C, C, 7);
	fx_close(&fx);
	fx_done(&fx);
}

/* T2: bit 0 of an odd offset is no zero flag.  T3: nor is it masked away. */
static void
t2_t3_streams_at_odd_offsets_are_streams(void **state)
{
	uint64_t g, odd = 0;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	mkqcow2_begin(k);
	for (g = 0; g < 12; g++) {
		odd += mkqcow2_pack(k, g) & 1;
		k->k_pack |= 1;
	}
	mkqcow2_end(k);
	assert_true(odd > 8);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_reads(fx.fx_im, 0, 12 * C, 1);
	fx_close(&fx);
	fx_done(&fx);
}

static void
t6_behind_a_shorter_backing_image_are_zeros(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	fx_backing(&fx, 3 * C + 512);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 0, 3 * C + 512, 7);
	mem_reads(fx.fx_im, 3 * C + 512, 4 * C, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
t11_writing_leaves_a_header_of_version_2_alone(void **state)
{
	uint8_t was[512], is[512];

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_version = 2;
	k->k_format = "raw"; /* where version 3 has its features */
	mkqcow2_begin(k);
	mkqcow2_end(k);
	mem_get(&fx.fx_mem, 0, was, 512);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(fx.fx_sink.s_n, 0);
	fx_writes(&fx, 0, SIZE / 4);
	fx_close(&fx);
	mem_get(&fx.fx_mem, 0, is, 512);
	assert_memory_equal(was, is, 512);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
t12_the_compression_type_survives_a_new_header(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_compression = 1;
	k->k_autoclear = 1;
	fx.fx_env.e_env.ev_can |= IMG_CAN_ZSTD;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 0, C);
	fx_close(&fx);
	assert_int_equal(mem_get32(&fx.fx_mem, 92), 0); /* it was written */
	assert_int_equal(mem_get32(&fx.fx_mem, 104), 0x01000000);
	assert_int_equal(mem_get32(&fx.fx_mem, 76), 8);
	fx_done(&fx);
}

/* T15: no close clears a flag.  T16: what is marked is not written to. */
static void
t15_t16_marked_images_are_read_and_left_as_they_are(void **state)
{
	static const struct {
		uint64_t bit;
		enum img_row row;
	} marks[] = { { 1, IMG_QCOW2_DIRTY }, { 2, IMG_QCOW2_MARKED } };
	struct mem was;
	struct img *first;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(marks); i++) {
		k = fx_init(&fx, SIZE, 12);
		k->k_incompat = marks[i].bit;
		mkqcow2_begin(k);
		mkqcow2_data(k, 1);
		mkqcow2_end(k);
		memset(&was, 0, sizeof(was));
		mem_copy(&was, &fx.fx_mem);
		assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
		fx_only(&fx, marks[i].row);
		fx_use(&fx, 0);
		first = fx.fx_im;
		fx_use(&fx, IMG_VERIFY);
		mem_reads(first, C, C, 1);
		assert_int_equal(mem_close(first, &fx.fx_env), 0);
		mem_reads(fx.fx_im, C, C, 1);
		fx_close(&fx);
		assert_true(mem_equal(&was, &fx.fx_mem));
		mem_free(&was);
		fx_done(&fx);
	}
}

/* T17: L1 entries have it.  T19: refcount table entries do not. */
static void
t17_t19_copied_is_where_it_belongs(void **state)
{
	uint32_t i, n;

	(void)state;
	k = fx_init(&fx, 1u << 20, 9);
	k->k_order = 6;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 0, 1u << 18); /* L2 tables and blocks too */
	fx_close(&fx);
	for (i = n = 0; i < k->k_l1_size; i++)
		n += mem_get32(&fx.fx_mem, k->k_l1 + i * 8) == 0x80000000u;
	assert_int_equal(n, 8);
	for (i = n = 0; i < 64; i++) {
		assert_int_equal(mem_get32(&fx.fx_mem, k->k_rt + i * 8), 0);
		n += mem_get32(&fx.fx_mem, k->k_rt + i * 8 + 4) != 0;
	}
	assert_true(n > 8);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
t22_an_l1_table_has_8_bytes_an_entry(void **state)
{
	(void)state;
	k = fx_init(&fx, 130 * 32768, 9); /* entries in three clusters */
	mkqcow2_begin(k);
	mkqcow2_data(k, 130 * 64 - 1);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(fx.fx_sink.s_n, 0);
	assert_int_equal(qcow2_over(qcow2(fx.fx_im), k->k_l1 + 1024, 512),
	    QCOW2_U_L1);
	assert_int_equal(qcow2_over(qcow2(fx.fx_im), k->k_l1 + 1536, 512),
	    QCOW2_U_NONE);
	mem_reads(fx.fx_im, 130 * 32768 - 512, 512, 1);
	fx_writes(&fx, 64 * 32768, 512);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
t23_a_refcount_table_may_have_any_size(void **state)
{
	static const uint32_t sizes[] = { 2, 3, 77 };
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(sizes); i++) {
		/* What the disk could need is never there: 2 MiB are. */
		k = fx_init(&fx, UINT64_C(1) << 30, 9);
		k->k_order = 5;
		k->k_rt_n = sizes[i];
		mkqcow2_begin(k);
		mkqcow2_end(k);
		fx_use(&fx, IMG_RDWR);
		assert_int_equal(fx.fx_sink.s_n, 0);
		fx_writes(&fx, 0, C);
		fx_close(&fx);
		fx_sound(&fx, 0);
		fx_done(&fx);
	}
}

static void
t36_offsets_have_64_bits(void **state)
{
	uint64_t voff = UINT64_C(6) << 40,
		 host = (UINT64_C(4) << 40) + (2u << 20);
	uint64_t l2;
	uint8_t buf[512];

	(void)state;
	k = fx_init(&fx, UINT64_C(8) << 40, 21);
	mem_large(&fx.fx_mem);
	mkqcow2_begin(k);
	l2 = mkqcow2_at(k, voff >> 21);
	mkqcow2_end(k);
	/* A block for 2 TiB each: the third has the cluster's. */
	mem_put64(&fx.fx_mem, k->k_rt + 16, mkqcow2_take(k, 1));
	mem_put64(&fx.fx_mem, l2, host | MKQ_COPIED);
	mkqcow2_put_count(&fx.fx_mem, (k->k_next >> 21) - 1, 1);
	mkqcow2_put_count(&fx.fx_mem, host >> 21, 1);
	mem_pattern(buf, 512, voff, 1);
	mem_put(&fx.fx_mem, host, buf, 512);
	mem_set_len(&fx.fx_mem, host + (2u << 20));
	fx_use(&fx, IMG_RDWR);
	mem_reads(fx.fx_im, voff, 512, 1);
	fx_writes(&fx, voff + 512, 512);
	fx_writes(&fx, voff - 512, 512);
	fx_close(&fx);
	assert_int_equal(fx.fx_mem.m_len, host + (2u << 20)); /* not cut */
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_reads(fx.fx_im, voff + 512, 512, 3);
	mem_reads(fx.fx_im, voff - 512, 512, 3);
	fx_close(&fx);
	fx_done(&fx);
}

static void
t39_a_long_read_changes_between_image_and_backing(void **state)
{
	uint8_t got[6 * C], want[6 * C];
	uint64_t g;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	for (g = 1; g < 6; g += 2)
		mkqcow2_data(k, g);
	mkqcow2_end(k);
	for (g = 0; g < 6; g++)
		mem_pattern(want + g * C, C, g * C, g % 2 ? 1 : 7);
	fx_use(&fx, 0);
	assert_int_equal(img_read(fx.fx_im, got, sizeof(got), 0), 0);
	assert_memory_equal(got, want, sizeof(got));
	fx_close(&fx);
	fx_done(&fx);
}

static void
t44_zeros_up_to_the_very_end_are_no_error(void **state)
{
	uint64_t last = SIZE / C - 1;
	unsigned how;

	(void)state;
	for (how = 0; how < 3; how++) {
		k = fx_init(&fx, SIZE - 512, 12);
		mkqcow2_begin(k);
		if (how == 1)
			mkqcow2_set(k, last, 1, 0);
		if (how == 2)
			mkqcow2_set(k, last, mkqcow2_data(k, last) | 1, 0);
		mkqcow2_end(k);
		fx_use(&fx, 0);
		mem_reads(fx.fx_im, last * C, C - 512, 0);
		mem_reads(fx.fx_im, SIZE - 513, 1, 0);
		assert_int_equal(img_read(fx.fx_im, &how, 1, SIZE - 512),
		    EINVAL);
		fx_close(&fx);
		fx_done(&fx);
	}
}

/* T47: what zeros without a write leave behind the end of the file. */
static void
t47_no_entry_leads_behind_the_end_of_the_file(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_version = 2;
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_zero(fx.fx_im, 5 * C, 3 * C), 0);
	mem_reads(fx.fx_im, 5 * C, 3 * C, 0);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_reads(fx.fx_im, 5 * C, 3 * C, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
t49_a_file_may_be_much_longer_than_its_disk(void **state)
{
	(void)state;
	k = fx_init(&fx, 2 * C, 12);
	mkqcow2_begin(k);
	(void)mkqcow2_at(k, 0);
	mkqcow2_take(k, 3000);
	mkqcow2_data(k, 0);
	mkqcow2_take(k, 500);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_reads(fx.fx_im, 0, C, 1);
	fx_writes(&fx, C, C);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

/* Zeros under a claim that is open: the claim wins, nothing is lost. */
static void
t51_zeroing_does_not_take_the_space_of_a_claim(void **state)
{
	struct img_claim c;
	uint8_t buf[C];

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_snapshot(k, "1", "s");
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, C, C, &c), 0);
	assert_int_equal(img_zero(fx.fx_im, C, C), 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	fx_writes(&fx, 9 * C, C); /* takes what the zeros gave up */
	mem_pattern(buf, C, C, 3);
	mem_put(&fx.fx_mem, c.c_ext.e_off, buf, C);
	assert_int_equal(img_end(fx.fx_im, &c, 1), 0);
	mem_reads(fx.fx_im, C, C, 3);
	mem_reads(fx.fx_im, 9 * C, C, 3);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
t52_extensions_may_go_on_behind_4_kib(void **state)
{
	static uint8_t long_one[9000];
	uint64_t off;

	(void)state;
	k = fx_init(&fx, SIZE, 16);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	off = mkqcow2_ext(k, 112, 0x12345678, long_one, sizeof(long_one));
	off = mkqcow2_ext(k, off, 0xe2792aca, "qcow2", 5);
	off = mkqcow2_ext(k, off, 0, "", 0);
	mem_put64(&fx.fx_mem, 8, off);
	mem_put32(&fx.fx_mem, 16, 9);
	mem_put(&fx.fx_mem, off, "far.qcow2", 9);
	fx_use(&fx, 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	assert_string_equal(qcow2(fx.fx_im)->q_format, "qcow2");
	assert_string_equal(qcow2(fx.fx_im)->q_backing, "far.qcow2");
	fx_close(&fx);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_the_zero_flag_is_no_offset),
		cmocka_unit_test(t2_t3_streams_at_odd_offsets_are_streams),
		cmocka_unit_test(t6_behind_a_shorter_backing_image_are_zeros),
		cmocka_unit_test(
		    t11_writing_leaves_a_header_of_version_2_alone),
		cmocka_unit_test(
		    t12_the_compression_type_survives_a_new_header),
		cmocka_unit_test(
		    t15_t16_marked_images_are_read_and_left_as_they_are),
		cmocka_unit_test(t17_t19_copied_is_where_it_belongs),
		cmocka_unit_test(t22_an_l1_table_has_8_bytes_an_entry),
		cmocka_unit_test(t23_a_refcount_table_may_have_any_size),
		cmocka_unit_test(t36_offsets_have_64_bits),
		cmocka_unit_test(
		    t39_a_long_read_changes_between_image_and_backing),
		cmocka_unit_test(t44_zeros_up_to_the_very_end_are_no_error),
		cmocka_unit_test(t47_no_entry_leads_behind_the_end_of_the_file),
		cmocka_unit_test(t49_a_file_may_be_much_longer_than_its_disk),
		cmocka_unit_test(
		    t51_zeroing_does_not_take_the_space_of_a_claim),
		cmocka_unit_test(t52_extensions_may_go_on_behind_4_kib),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
