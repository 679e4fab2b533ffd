/* SPDX-License-Identifier: ISC */

/* raw: the file is the disk. */

#include "unit/help/test.h"

struct fixture {
	struct mem fx_mem;
	struct mem_env fx_env;
	struct img *fx_im;
};

static void
start(struct fixture *fx, uint64_t len, uint32_t flags)
{
	uint8_t buf[100];
	uint64_t off, n;

	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	mem_file(&fx->fx_mem, len);
	for (off = 0; off < len; off += n) {
		n = img_min(sizeof(buf), len - off);
		mem_pattern(buf, (size_t)n, off, 1);
		mem_put(&fx->fx_mem, off, buf, (size_t)n);
	}
	assert_int_equal(mem_open(&fx->fx_im, &fx->fx_env, &fx->fx_mem,
			     img_format_find("raw"), flags, NULL),
	    0);
}

static void
finish(struct fixture *fx)
{
	assert_int_equal(mem_close(fx->fx_im, &fx->fx_env), 0);
	assert_true(mem_env_sound(&fx->fx_env));
	mem_free(&fx->fx_mem);
}

static void
the_size_is_the_files_to_the_byte(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 511, 512, 513, 100000 };
	struct fixture fx;
	uint8_t got[8], want[8];
	uint32_t n;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(sizes); i++) {
		start(&fx, sizes[i], 0);
		assert_int_equal(img_size(fx.fx_im), sizes[i]);
		assert_int_equal(img_unit(fx.fx_im), 0);
		n = (uint32_t)img_min(sizeof(got), sizes[i]);
		assert_int_equal(img_read(fx.fx_im, got, n, sizes[i] - n), 0);
		mem_pattern(want, n, sizes[i] - n, 1);
		assert_memory_equal(got, want, n);
		assert_int_equal(img_read(fx.fx_im, got, 1, sizes[i]), EINVAL);
		finish(&fx);
	}
}

static void
the_disk_is_one_extent_of_the_file(void **state)
{
	struct fixture fx;
	struct img_extent e;

	(void)state;
	start(&fx, 100000, 0);
	fx.fx_mem.m_ops.fo_extent = NULL;
	assert_int_equal(img_map(fx.fx_im, 7, 99993, &e), 0);
	assert_int_equal(e.e_type, IMG_DATA);
	assert_int_equal(e.e_voff, 7);
	assert_int_equal(e.e_off, 7);
	assert_int_equal(e.e_len, 99993);
	assert_int_equal(e.e_file, 0);
	finish(&fx);
}

static void
holes_of_the_file_are_zeros_of_the_disk(void **state)
{
	struct fixture fx;
	struct img_extent e;
	uint8_t buf[10];

	(void)state;
	start(&fx, 4096, 0);
	mem_abandon(fx.fx_im, &fx.fx_env);
	mem_set_len(&fx.fx_mem, 8192);
	mem_put(&fx.fx_mem, 8192, "end", 3);
	assert_int_equal(mem_open(&fx.fx_im, &fx.fx_env, &fx.fx_mem,
			     img_format_find("raw"), 0, NULL),
	    0);
	assert_int_equal(img_map(fx.fx_im, 4096, 4096 + 3, &e), 0);
	assert_int_equal(e.e_type, IMG_ZERO);
	assert_int_equal(e.e_off, 4096);
	assert_int_equal(e.e_len, 4096);
	assert_int_equal(img_map(fx.fx_im, 8192, 3, &e), 0);
	assert_int_equal(e.e_type, IMG_DATA);
	assert_int_equal(img_read(fx.fx_im, buf, 5, 8190), 0);
	assert_memory_equal(buf, "\0\0end", 5);
	finish(&fx);
}

static void
a_write_changes_what_was_named_and_nothing_else(void **state)
{
	static uint8_t buf[1000], want[1000];
	struct fixture fx;

	(void)state;
	start(&fx, 1000, IMG_RDWR);
	mem_pattern(want, 1000, 0, 1);
	memcpy(want + 990, "the end...", 10);
	assert_int_equal(img_write(fx.fx_im, "the end...", 10, 990), 0);
	assert_int_equal(img_write(fx.fx_im, "the end...", 10, 991), EINVAL);
	memset(want + 3, 0, 5);
	assert_int_equal(img_zero(fx.fx_im, 3, 5), 0);
	mem_get(&fx.fx_mem, 0, buf, 1000);
	assert_memory_equal(buf, want, 1000);
	assert_int_equal(fx.fx_mem.m_len, 1000);
	finish(&fx);
}

static void
a_flush_is_one_barrier(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, 1000, IMG_RDWR);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 0);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
	finish(&fx);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
}

/* A device that convert writes is complete when flush returns. */
static void
a_fresh_file_has_no_barrier_until_the_flush(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, 1000, IMG_RDWR | IMG_FRESH);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
	finish(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_size_is_the_files_to_the_byte),
		cmocka_unit_test(the_disk_is_one_extent_of_the_file),
		cmocka_unit_test(holes_of_the_file_are_zeros_of_the_disk),
		cmocka_unit_test(
		    a_write_changes_what_was_named_and_nothing_else),
		cmocka_unit_test(a_flush_is_one_barrier),
		cmocka_unit_test(a_fresh_file_has_no_barrier_until_the_flush),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
