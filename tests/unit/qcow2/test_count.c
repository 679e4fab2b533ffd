/* SPDX-License-Identifier: ISC */

/*
 * Refcounts of all widths: bit order, limits, runs, blocks that are missing,
 * allocation, and tables that grow.
 */

#include "unit/qcow2/fx.h"

static void
counters_of_less_than_a_byte_start_at_its_low_end(void **state)
{
	/* As measured: 25 clusters in use, of 1 bit each. */
	static const uint8_t one[] = { 0xff, 0xff, 0xff, 0x01 };
	/* Clusters 0 to 4 have 1, 5 to 12 have 3, of 2 bits each. */
	static const uint8_t two[] = { 0x55, 0xfd, 0xff, 0x03 };
	static const uint8_t four[] = { 0x21, 0x43 };
	uint32_t i;

	(void)state;
	for (i = 0; i < 32; i++)
		assert_int_equal(qcow2_count_at(one, 0, i), i < 25);
	for (i = 0; i < 16; i++)
		assert_int_equal(qcow2_count_at(two, 1, i),
		    i < 5      ? 1 :
			i < 13 ? 3 :
				 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(qcow2_count_at(four, 2, i), i + 1);
}

static void
others_are_big_endian(void **state)
{
	static const uint8_t b[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 0xf8, 9, 10, 11,
		12, 13, 14, 15 };

	(void)state;
	assert_int_equal(qcow2_count_at(b, 3, 8), 0xf8);
	assert_int_equal(qcow2_count_at(b, 4, 4), 0xf809);
	assert_int_equal(qcow2_count_at(b, 5, 2), 0xf8090a0b);
	assert_int_equal(qcow2_count_at(b, 6, 1), UINT64_C(0xf8090a0b0c0d0e0f));
}

static void
what_is_put_is_there_and_nothing_else_changes(void **state)
{
	uint8_t b[64], was[64];
	uint64_t n, seed = 5;
	uint32_t order, i, k, per;

	(void)state;
	for (order = 0; order <= 6; order++) {
		per = (uint32_t)(sizeof(b) * 8) >> order;
		for (i = 0; i < per; i++) {
			for (k = 0; k < sizeof(b); k++)
				b[k] = (uint8_t)mem_random(&seed);
			memcpy(was, b, sizeof(b));
			n = (uint64_t)mem_random(&seed) << 32 |
			    mem_random(&seed);
			if (order < 6)
				n &= (UINT64_C(1) << (1u << order)) - 1;
			qcow2_count_put(b, order, i, n);
			for (k = 0; k < per; k++)
				assert_true(qcow2_count_at(b, order, k) ==
				    (k == i ? n :
					      qcow2_count_at(was, order, k)));
		}
	}
}

static void
the_largest_is_all_ones(void **state)
{
	static const uint64_t want[] = { 1, 3, 15, 255, 65535, UINT32_MAX,
		UINT64_MAX };
	struct qcow2 q;

	(void)state;
	memset(&q, 0, sizeof(q));
	for (q.q_order = 0; q.q_order <= 6; q.q_order++)
		assert_true(qcow2_count_max(&q) == want[q.q_order]);
}

static void
each_width_counts_through_a_file(void **state)
{
	struct fx fx;
	struct mkqcow2 *k;
	unsigned order;
	uint64_t n, run;
	int used;

	(void)state;
	for (order = 0; order <= 6; order++) {
		k = fx_init(&fx, 64 * 512, 9);
		k->k_order = order;
		mkqcow2_begin(k);
		mkqcow2_data(k, 3);
		mkqcow2_end(k);
		fx_use(&fx, IMG_RDWR);
		/* 0 header, 1 table, 2 L1, 3 L2, 4 data, 5 block. */
		assert_int_equal(qcow2_count(fx.fx_im, 4, &n), 0);
		assert_int_equal(n, 1);
		assert_int_equal(qcow2_count(fx.fx_im, 6, &n), 0);
		assert_int_equal(n, 0);
		assert_int_equal(qcow2_count_run(fx.fx_im, 0, 100, &run, &used),
		    0);
		assert_int_equal(run, 6);
		assert_int_equal(used, 1);
		assert_int_equal(qcow2_count_run(fx.fx_im, 6, 10, &run, &used),
		    0);
		assert_int_equal(run, 10);
		assert_int_equal(used, 0);
		fx_writes(&fx, 0, 64 * 512);
		fx_close(&fx);
		fx_sound(&fx, 0);
		fx_done(&fx);
	}
}

static void
a_count_that_does_not_fit_is_refused(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, 64 * 512, 9);

	(void)state;
	k->k_order = 1;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(qcow2_set_count(fx.fx_im, 9, 3), 0);
	assert_int_equal(qcow2_set_count(fx.fx_im, 9, 0), 0);
	assert_int_equal(qcow2_set_count(fx.fx_im, 9, 4), EIO);
	assert_int_equal(img_flush(fx.fx_im), EIO);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

/* 64 bits and 512 bytes: a block counts 64 clusters, a table of 1 has 64. */
static struct mkqcow2 *
small_blocks(struct fx *fx)
{
	struct mkqcow2 *k = fx_init(fx, 8u << 20, 9);

	k->k_order = 6;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	return (k);
}

static void
a_new_block_describes_itself(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = small_blocks(&fx);
	uint64_t rb;

	(void)state;
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 0, 64 * 512);
	fx_close(&fx);
	rb = mem_get32(&fx.fx_mem, k->k_rt + 12);
	assert_int_equal(rb, 64 * 512); /* the first it counts */
	assert_int_equal(mkqcow2_count(&fx.fx_mem, 64), 1);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
a_table_grows_as_often_as_it_must(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = small_blocks(&fx);
	uint64_t off;

	(void)state;
	/* 2 MiB are what the first table reaches. */
	assert_int_equal(fx_open_as(&fx, IMG_RDWR, 3, NULL), 0);
	for (off = 0; off < 7u << 20; off += 1u << 20)
		fx_writes(&fx, off, 1u << 20);
	for (off = 0; off < 7u << 20; off += 1u << 20)
		mem_reads(fx.fx_im, off, 1u << 20, 3);
	fx_close(&fx);
	assert_int_not_equal(mem_get32(&fx.fx_mem, 52), k->k_rt);
	assert_true(mem_get32(&fx.fx_mem, 56) >= 4);
	fx_sound(&fx, 0); /* the old ones are given up */
	fx_use(&fx, IMG_RDWR);
	mem_reads(fx.fx_im, 0, 7u << 20, 3);
	fx_close(&fx);
	assert_int_equal(fx.fx_sink.s_n, 0);
	fx_done(&fx);
}

static void
what_is_freed_is_used_again_after_a_flush_only(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, 64 * 4096, 12);
	uint64_t was, end;

	(void)state;
	mkqcow2_begin(k);
	mkqcow2_data(k, 0);
	mkqcow2_end(k);
	was = FX_OFFSET(mkqcow2_entry(k, 0));
	end = fx.fx_mem.m_len;
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_zero(fx.fx_im, 0, 4096), 0);
	fx_writes(&fx, 4096, 4096);
	assert_true(fx.fx_mem.m_len > end); /* not in its place */
	assert_int_equal(img_flush(fx.fx_im), 0);
	end = fx.fx_mem.m_len;
	fx_writes(&fx, 8192, 4096);
	assert_int_equal(fx.fx_mem.m_len, end);
	fx_close(&fx);
	assert_int_equal(FX_OFFSET(mkqcow2_entry(k, 2)), was);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
cluster_0_is_never_given_away(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, 64 * 4096, 12);
	uint8_t b = 1;

	(void)state;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	/* With its refcount lost, opening for writing is refused. */
	mkqcow2_put_count(&fx.fx_mem, 0, 0);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_only(&fx, IMG_QCOW2_META_UNCOUNTED);
	/* Should it be lost after that, nothing is allocated. */
	mkqcow2_put_count(&fx.fx_mem, 0, 1);
	assert_int_equal(fx_open_as(&fx, IMG_RDWR, 1, NULL), 0);
	mkqcow2_put_count(&fx.fx_mem, 0, 0);
	(void)img_read(fx.fx_im, &b, 1, 0); /* another slice is held */
	assert_int_equal(img_write(fx.fx_im, &b, 1, 0), EIO);
	fx_only(&fx, IMG_QCOW2_META_UNCOUNTED);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	assert_int_equal(mem_get32(&fx.fx_mem, 0), 0x514649fb);
	fx_done(&fx);
}

/* Of the bytes of a write, or of those that were to surround it. */
static void
half_a_write(int fill)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, 64 * 4096, 12);
	uint8_t buf[4096];

	fx_backing(&fx, 4096);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	mem_pattern(buf, 4096, 0, 5);
	fx.fx_mem.m_fail[MEM_WRITE] = fx.fx_mem.m_calls[MEM_WRITE] + 1;
	fx.fx_mem.m_half = 1;
	assert_int_equal(img_write(fx.fx_im, buf, fill ? 9 : 4096,
			     fill ? 1000 : 0),
	    EIO);
	assert_int_equal(img_flush(fx.fx_im), 0); /* gives it up */
	fx_writes(&fx, 8 * 4096 + 100, 10);
	mem_reads(fx.fx_im, 8 * 4096, 100, 0);
	mem_reads(fx.fx_im, 8 * 4096 + 110, 3986, 0);
	mem_reads(fx.fx_im, 0, 4096, 7);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
what_half_a_write_left_is_not_seen(void **state)
{
	(void)state;
	half_a_write(0);
	half_a_write(1);
}

/* The refcount of an L2 table that changes behind the handle's back. */
static void
tables_are_held_against_their_refcounts_each_time(void **state)
{
	static const struct {
		uint64_t count;
		enum img_row row;
	} cases[] = { { 2, IMG_QCOW2_L1_COPIED },
		{ 0, IMG_QCOW2_L1_UNCOUNTED } };
	struct fx fx;
	struct mkqcow2 *k;
	uint8_t b = 1;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cases); i++) {
		k = fx_init(&fx, 64 * 4096, 12);
		mkqcow2_begin(k);
		mkqcow2_data(k, 1);
		mkqcow2_set(k, 2, mkqcow2_data(k, 2) | 1, 0);
		mkqcow2_end(k);
		assert_int_equal(fx_open_as(&fx, IMG_RDWR, 1, NULL), 0);
		mkqcow2_put_count(&fx.fx_mem, mkqcow2_find(k, 0) / 4096,
		    cases[i].count);
		assert_int_equal(img_write(fx.fx_im, &b, 1, 2 * 4096), EIO);
		fx_only(&fx, cases[i].row);
		mem_reads(fx.fx_im, 4096, 4096, 1);
		assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
		fx_done(&fx);
	}
}

static void
a_full_device_says_so_and_goes_on_with_what_is_freed(void **state)
{
	struct fx fx;
	struct mkqcow2 *k;
	uint8_t b[4096];

	(void)state;
	memset(&fx, 0, sizeof(fx));
	k = fx_init(&fx, 64 * 4096, 12);
	mem_free(&fx.fx_mem);
	mem_device(&fx.fx_mem, 7 * 4096);
	mkqcow2_begin(k);
	mkqcow2_end(k); /* header, table, L1, block: three are left */
	fx_use(&fx, IMG_RDWR);
	memset(b, 9, sizeof(b));
	assert_int_equal(img_write(fx.fx_im, b, 4096, 0), 0);
	assert_int_equal(img_write(fx.fx_im, b, 100, 3 * 4096), 0);
	/* Device space is garbage: all around was written. */
	mem_reads(fx.fx_im, 3 * 4096 + 100, 3996, 0);
	assert_int_equal(img_write(fx.fx_im, b, 1, 5 * 4096), ENOSPC);
	assert_int_equal(img_flush(fx.fx_im), 0); /* not latched */
	assert_int_equal(img_zero(fx.fx_im, 0, 4096), 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(img_write(fx.fx_im, b, 1, 5 * 4096), 0);
	fx_close(&fx);
	assert_int_equal(fx.fx_mem.m_len, 7 * 4096);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    counters_of_less_than_a_byte_start_at_its_low_end),
		cmocka_unit_test(others_are_big_endian),
		cmocka_unit_test(what_is_put_is_there_and_nothing_else_changes),
		cmocka_unit_test(the_largest_is_all_ones),
		cmocka_unit_test(each_width_counts_through_a_file),
		cmocka_unit_test(a_count_that_does_not_fit_is_refused),
		cmocka_unit_test(a_new_block_describes_itself),
		cmocka_unit_test(a_table_grows_as_often_as_it_must),
		cmocka_unit_test(
		    what_is_freed_is_used_again_after_a_flush_only),
		cmocka_unit_test(cluster_0_is_never_given_away),
		cmocka_unit_test(what_half_a_write_left_is_not_seen),
		cmocka_unit_test(
		    tables_are_held_against_their_refcounts_each_time),
		cmocka_unit_test(
		    a_full_device_says_so_and_goes_on_with_what_is_freed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
