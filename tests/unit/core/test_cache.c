/* SPDX-License-Identifier: ISC */

/* The table cache: what it writes back, in which order, and when. */

#include "unit/help/test.h"

#define NSLICES 4u
#define LEN (256u * 1024)

struct fixture {
	struct mem fx_mem;
	struct mem_env fx_env;
	struct mem_log fx_log;
	struct img *fx_img;
};

static int
bare_open(struct img *im)
{
	im->im_size = im->im_eof[0];
	return (0);
}

static int
bare_flush(struct img *im)
{
	if (im->im_flags & IMG_FRESH) {
		im->im_flags &= ~IMG_FRESH;
		im->im_unsynced = 1;
	}
	return (img_cache_flush(im));
}

static const struct img_format bare = {
	.f_name = "bare",
	.f_open = bare_open,
	.f_flush = bare_flush,
};

static void
start(struct fixture *fx, uint32_t slices, uint32_t flags)
{
	struct img_args a;
	uint64_t off;
	uint8_t buf[512];

	memset(fx, 0, sizeof(*fx));
	mem_file(&fx->fx_mem, 0);
	mem_env(&fx->fx_env);
	for (off = 0; off < LEN; off += sizeof(buf)) {
		mem_pattern(buf, sizeof(buf), off, 1);
		mem_put(&fx->fx_mem, off, buf, sizeof(buf));
	}
	fx->fx_mem.m_log = &fx->fx_log;
	memset(&a, 0, sizeof(a));
	a.a_format = &bare;
	a.a_flags = IMG_RDWR | flags;
	a.a_slices = slices;
	assert_int_equal(mem_open_args(&fx->fx_img, &fx->fx_env, &fx->fx_mem,
			     &a),
	    0);
}

static void
finish(struct fixture *fx)
{
	mem_abandon(fx->fx_img, &fx->fx_env);
	assert_true(mem_env_sound(&fx->fx_env));
	mem_log_free(&fx->fx_log);
	mem_free(&fx->fx_mem);
}

/* Change one byte of a table. */
static void
change(struct fixture *fx, enum img_class class, uint64_t off, uint32_t at)
{
	struct img_slice *sl;

	assert_int_equal(img_cache_get(fx->fx_img, class, off, IMG_SLICE, &sl),
	    0);
	sl->sl_data[at] ^= 0xff;
	img_cache_dirty(sl, at, 1);
}

/* "W4096+512 B ..." of the log, to compare in one go. */
static void
expect_log(struct fixture *fx, const char *want)
{
	const struct mem_logged *l;
	char got[1024] = "", *p = got;
	size_t i;

	for (i = 0; i < fx->fx_log.lg_n; i++) {
		l = &fx->fx_log.lg_op[i];
		if (p > got)
			*p++ = ' ';
		if (l->l_op == MEM_BARRIER)
			*p++ = 'B';
		else
			p += sprintf(p, "W%u+%u", (unsigned)l->l_off,
			    (unsigned)l->l_len);
		*p = '\0';
	}
	assert_string_equal(got, want);
	mem_log_free(&fx->fx_log);
}

static void
a_flush_writes_data_then_counts_then_pointers(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, NSLICES, 0);
	change(&fx, IMG_POINTERS, 0, 0);
	change(&fx, IMG_COUNTS, 8192, 0);
	change(&fx, IMG_POINTERS, 4096, 0);
	change(&fx, IMG_COUNTS, 12288, 0);
	assert_int_equal(img_io_write(fx.fx_img, 0, "data", 4, 20000), 0);
	assert_int_equal(img_flush(fx.fx_img), 0);
	expect_log(&fx, "W20000+4 B W8192+512 W12288+512 B W0+512 W4096+512 B");
	finish(&fx);
}

static void
a_flush_of_nothing_does_nothing(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, NSLICES, 0);
	assert_int_equal(img_flush(fx.fx_img), 0);
	expect_log(&fx, "");
	change(&fx, IMG_POINTERS, 0, 0);
	assert_int_equal(img_flush(fx.fx_img), 0);
	expect_log(&fx, "W0+512 B");
	assert_int_equal(img_flush(fx.fx_img), 0);
	expect_log(&fx, "");
	finish(&fx);
}

static void
only_changed_sectors_are_written(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	uint8_t want[512];

	(void)state;
	start(&fx, NSLICES, 0);
	change(&fx, IMG_COUNTS, 0, 511);
	change(&fx, IMG_COUNTS, 0, 1536);
	change(&fx, IMG_COUNTS, 0, 2048);
	change(&fx, IMG_COUNTS, 0, 4095);
	assert_int_equal(img_cache_flush(fx.fx_img), 0);
	expect_log(&fx, "W0+512 W1536+1024 W3584+512 B");

	/* A change that spans two sectors makes both dirty. */
	assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, 0, IMG_SLICE,
			     &sl),
	    0);
	img_cache_dirty(sl, 1022, 4);
	assert_int_equal(img_cache_flush(fx.fx_img), 0);
	expect_log(&fx, "W512+1024 B");

	mem_pattern(want, 512, 1536, 1);
	want[0] ^= 0xff;
	mem_get(&fx.fx_mem, 1536, sl->sl_data, 512);
	assert_memory_equal(sl->sl_data, want, 512);
	finish(&fx);
}

static void
a_full_cache_of_dirty_slices_is_flushed_in_order(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, NSLICES, 0);
	change(&fx, IMG_POINTERS, 0, 0);
	change(&fx, IMG_COUNTS, 4096, 0);
	change(&fx, IMG_POINTERS, 8192, 0);
	change(&fx, IMG_COUNTS, 12288, 0);
	expect_log(&fx, "");
	change(&fx, IMG_POINTERS, 16384, 0);
	expect_log(&fx, "W4096+512 W12288+512 B W0+512 W8192+512 B");
	assert_int_equal(img_cache_flush(fx.fx_img), 0);
	expect_log(&fx, "W16384+512 B");
	finish(&fx);
}

static void
a_clean_slice_goes_before_a_dirty_one(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	uint64_t off;

	(void)state;
	start(&fx, NSLICES, 0);
	change(&fx, IMG_POINTERS, 0, 0);
	for (off = 4096; off < 40960; off += 4096)
		assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, off,
				     IMG_SLICE, &sl),
		    0);
	expect_log(&fx, "");
	mem_reset(&fx.fx_mem);
	change(&fx, IMG_POINTERS, 0, 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_READ], 0);
	finish(&fx);
}

static void
what_is_used_again_stays_in_the_cache(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	uint64_t off;

	(void)state;
	start(&fx, NSLICES, 0);
	for (off = 4096; off < 131072; off += 4096) {
		assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, 0,
				     IMG_SLICE, &sl),
		    0);
		assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, off,
				     IMG_SLICE, &sl),
		    0);
	}
	/* The others once each, and the first one hardly again. */
	assert_true(fx.fx_mem.m_calls[MEM_READ] <= 31 + 2);
	finish(&fx);
}

static void
a_fresh_file_spills_without_barriers(void **state)
{
	struct fixture fx;
	uint64_t off;

	(void)state;
	start(&fx, NSLICES, IMG_FRESH);
	for (off = 0; off < 8 * 4096; off += 4096)
		change(&fx, IMG_POINTERS, off, 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 8 - NSLICES);
	assert_int_equal(img_flush(fx.fx_img), 0);
	assert_true(fx.fx_mem.m_calls[MEM_BARRIER] > 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 8);
	finish(&fx);
}

/* Spilling must go round, or one hot slice is written again and again. */
static void
a_fresh_file_spills_each_slice_in_turn(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	unsigned i;

	(void)state;
	start(&fx, NSLICES, IMG_FRESH);
	for (i = 0; i < 2 * NSLICES; i++)
		assert_int_equal(img_cache_new(fx.fx_img, IMG_COUNTS,
				     (uint64_t)i * 4096, IMG_SLICE, &sl),
		    0);
	expect_log(&fx, "W0+4096 W4096+4096 W8192+4096 W12288+4096");
	finish(&fx);
}

static void
new_slices_are_zeros_and_not_read(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	unsigned i;

	(void)state;
	start(&fx, NSLICES, 0);
	assert_int_equal(img_cache_new(fx.fx_img, IMG_COUNTS, LEN, 1024, &sl),
	    0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_READ], 0);
	for (i = 0; i < 1024; i++)
		assert_int_equal(sl->sl_data[i], 0);
	sl->sl_data[1000] = 7;
	assert_int_equal(img_cache_flush(fx.fx_img), 0);
	expect_log(&fx, "W262144+1024 B");
	/* Even where something else was cached from there. */
	assert_int_equal(img_cache_new(fx.fx_img, IMG_COUNTS, LEN, 1024, &sl),
	    0);
	assert_int_equal(sl->sl_data[1000], 0);
	finish(&fx);
}

static void
slices_of_one_hash_chain_stay_apart(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	uint8_t want[512];
	uint64_t off, seed = 1;
	unsigned i;

	(void)state;
	start(&fx, 3, 0);
	for (i = 0; i < 20000; i++) {
		off = (uint64_t)(mem_random(&seed) % 500) * 512;
		assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, off, 512,
				     &sl),
		    0);
		assert_int_equal(sl->sl_off, off);
		mem_pattern(want, 512, off, 1);
		if (memcmp(sl->sl_data, want, 512) != 0)
			fail_msg("slice %u has other bytes", (unsigned)off);
	}
	finish(&fx);
}

static void
changes_survive_any_eviction(void **state)
{
	static uint8_t count[64];
	struct fixture fx;
	struct img_slice *sl;
	uint64_t seed = 2;
	unsigned i, n;
	uint8_t b;

	(void)state;
	memset(count, 0, sizeof(count));
	start(&fx, 2, 0);
	for (i = 0; i < 64; i++)
		mem_put(&fx.fx_mem, (uint64_t)i * 4096 + 77, "", 1);
	for (i = 0; i < 5000; i++) {
		n = mem_random(&seed) % 64;
		assert_int_equal(img_cache_get(fx.fx_img,
				     n & 1 ? IMG_COUNTS : IMG_POINTERS,
				     (uint64_t)n * 4096, IMG_SLICE, &sl),
		    0);
		assert_int_equal(sl->sl_data[77], count[n]);
		if (mem_random(&seed) % 4 == 0)
			continue;
		sl->sl_data[77] = ++count[n];
		img_cache_dirty(sl, 77, 1);
	}
	assert_int_equal(img_cache_flush(fx.fx_img), 0);
	for (i = 0; i < 64; i++) {
		mem_get(&fx.fx_mem, (uint64_t)i * 4096 + 77, &b, 1);
		assert_int_equal(b, count[i]);
	}
	finish(&fx);
}

static void
one_slice_is_enough(void **state)
{
	struct fixture fx;
	unsigned i;

	(void)state;
	start(&fx, 1, 0);
	for (i = 0; i < 10; i++)
		change(&fx, IMG_COUNTS, (uint64_t)(i % 3) * 4096, 5);
	assert_int_equal(img_cache_flush(fx.fx_img), 0);
	finish(&fx);
}

static void
a_slice_that_cannot_be_read_is_not_kept(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	uint8_t want[16];

	(void)state;
	start(&fx, NSLICES, 0);
	fx.fx_mem.m_fail[MEM_READ] = 1;
	assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, 4096, IMG_SLICE,
			     &sl),
	    EIO);
	assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, 4096, IMG_SLICE,
			     &sl),
	    0);
	mem_pattern(want, sizeof(want), 4096, 1);
	assert_memory_equal(sl->sl_data, want, sizeof(want));
	finish(&fx);
}

static void
no_pointer_is_written_after_counts_failed(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, NSLICES, 0);
	change(&fx, IMG_POINTERS, 0, 0);
	change(&fx, IMG_COUNTS, 4096, 0);
	fx.fx_mem.m_fail[MEM_WRITE] = 1;
	assert_int_equal(img_flush(fx.fx_img), EIO);
	expect_log(&fx, "");
	assert_int_equal(img_flush(fx.fx_img), EIO);
	expect_log(&fx, "");
	finish(&fx);
}

static void
a_failed_spill_latches(void **state)
{
	struct fixture fx;
	struct img_slice *sl;
	unsigned n;

	(void)state;
	/* A write of tables, or a barrier between them. */
	for (n = 0; n < 2; n++) {
		start(&fx, 1, 0);
		change(&fx, IMG_POINTERS, 0, 0);
		fx.fx_mem.m_fail[n == 0 ? MEM_WRITE : MEM_BARRIER] = 1;
		assert_int_equal(img_cache_get(fx.fx_img, IMG_COUNTS, 4096,
				     IMG_SLICE, &sl),
		    EIO);
		assert_int_equal(img_write(fx.fx_img, "x", 1, 0), EIO);
		assert_int_equal(img_flush(fx.fx_img), EIO);
		finish(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flush_writes_data_then_counts_then_pointers),
		cmocka_unit_test(a_flush_of_nothing_does_nothing),
		cmocka_unit_test(only_changed_sectors_are_written),
		cmocka_unit_test(
		    a_full_cache_of_dirty_slices_is_flushed_in_order),
		cmocka_unit_test(a_clean_slice_goes_before_a_dirty_one),
		cmocka_unit_test(what_is_used_again_stays_in_the_cache),
		cmocka_unit_test(a_fresh_file_spills_without_barriers),
		cmocka_unit_test(a_fresh_file_spills_each_slice_in_turn),
		cmocka_unit_test(new_slices_are_zeros_and_not_read),
		cmocka_unit_test(slices_of_one_hash_chain_stay_apart),
		cmocka_unit_test(changes_survive_any_eviction),
		cmocka_unit_test(one_slice_is_enough),
		cmocka_unit_test(a_slice_that_cannot_be_read_is_not_kept),
		cmocka_unit_test(a_failed_spill_latches),
		cmocka_unit_test(no_pointer_is_written_after_counts_failed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
