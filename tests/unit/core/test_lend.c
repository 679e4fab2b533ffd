/* SPDX-License-Identifier: ISC */

/*
 * What an image needs from outside: telling of it, lending it, and what is
 * refused without it.  The cache, where it meets the file's end and tables
 * that are given up.
 */

#include "unit/help/test.h"

#include "core/core.h"

#define SIZE (16u * 4096)

static uint32_t needs;

static int
needy_open(struct img *im)
{
	im->im_size = SIZE;
	im->im_unit = 4096;
	im->im_needs = needs;
	return (0);
}

/* All data, in the data file where there is one. */
static int
needy_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	memset(e, 0, sizeof(*e));
	e->e_voff = voff;
	e->e_len = len;
	e->e_off = voff;
	e->e_file = (im->im_needs & IMG_NEEDS_DATA) != 0;
	e->e_type = IMG_DATA;
	return (0);
}

static int
needy_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	return (needy_map(im, voff, len, &c->c_ext));
}

static int
needy_flush(struct img *im)
{
	return (img_cache_flush(im));
}

static int
needy_ref(struct img *im, unsigned n, struct img_ref *ref)
{
	(void)im;
	if (n > 0)
		return (ENOENT);
	memset(ref, 0, sizeof(*ref));
	ref->rf_kind = IMG_REF_BACKING;
	ref->rf_name = "base";
	return (0);
}

static const struct img_format needy = {
	.f_name = "needy",
	.f_open = needy_open,
	.f_map = needy_map,
	.f_begin = needy_begin,
	.f_flush = needy_flush,
	.f_ref = needy_ref,
};

static struct mem mem, data;
static struct mem_env env;
static struct img *im;

static void
start(uint32_t what)
{
	memset(&env, 0, sizeof(env));
	mem_env(&env);
	mem_file(&mem, SIZE);
	mem_file(&data, SIZE);
	needs = what;
	assert_int_equal(mem_open(&im, &env, &mem, &needy, IMG_RDWR, NULL), 0);
}

static void
finish(void)
{
	mem_abandon(im, &env);
	assert_true(mem_env_sound(&env));
	mem_free(&mem);
	mem_free(&data);
}

static void
references_are_told_one_by_one(void **state)
{
	struct img_ref ref;
	struct img *raw;

	(void)state;
	start(IMG_NEEDS_BACKING);
	assert_int_equal(img_ref(im, 0, &ref), 0);
	assert_string_equal(ref.rf_name, "base");
	assert_int_equal(img_ref(im, 1, &ref), ENOENT);
	/* A format that needs nothing. */
	assert_int_equal(mem_open(&raw, &env, &data, img_format_find("raw"), 0,
			     NULL),
	    0);
	assert_int_equal(img_ref(raw, 0, &ref), ENOENT);
	mem_abandon(raw, &env);
	finish();
}

static void
without_its_backing_image_nothing_can_be_written(void **state)
{
	struct img_claim c;
	struct img *raw;
	uint8_t b = 1;

	(void)state;
	start(IMG_NEEDS_BACKING);
	assert_int_equal(img_read(im, &b, 1, 0), 0);
	assert_int_equal(img_write(im, &b, 1, 0), EROFS);
	assert_int_equal(img_zero(im, 0, 1), EROFS);
	assert_int_equal(img_begin(im, 0, 1, &c), EROFS);
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
	assert_int_equal(mem_open(&raw, &env, &data, img_format_find("raw"), 0,
			     NULL),
	    0);
	assert_int_equal(img_lend(im, raw), 0);
	assert_int_equal(img_write(im, &b, 1, 0), 0);
	assert_int_equal(img_lend(im, NULL), 0); /* taken back */
	assert_int_equal(img_write(im, &b, 1, 0), EROFS);
	mem_abandon(raw, &env);
	finish();
}

static void
without_its_data_file_it_is_as_if_not_there(void **state)
{
	uint8_t b = 7;

	(void)state;
	start(IMG_NEEDS_DATA);
	assert_int_equal(img_read(im, &b, 1, 0), ENXIO);
	assert_int_equal(img_write(im, &b, 1, 0), ENXIO);
	assert_int_equal(img_zero(im, 0, 1), ENXIO);
	assert_int_equal(img_lend_data(im, &data.m_file), 0);
	assert_int_equal(img_write(im, &b, 1, 5), 0);
	assert_true(mem_is(&data, 5, 1, 7));
	assert_true(mem_is(&mem, 5, 1, 0));
	/* Both files are flushed, the data first. */
	assert_int_equal(img_flush(im), 0);
	assert_int_equal(data.m_calls[MEM_BARRIER], 1);
	assert_int_equal(mem.m_calls[MEM_BARRIER], 1);
	finish();
}

static void
a_data_file_is_lent_to_those_that_need_one(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(img_lend_data(im, &data.m_file), EINVAL);
	finish();
	start(IMG_NEEDS_DATA);
	data.m_fail[MEM_LENGTH] = 1;
	assert_int_equal(img_lend_data(im, &data.m_file), EIO);
	assert_int_equal(img_lend_data(im, &data.m_file), 0);
	finish();
}

static void
the_data_file_s_barrier_may_fail(void **state)
{
	uint8_t b = 7;

	(void)state;
	start(IMG_NEEDS_DATA);
	assert_int_equal(img_lend_data(im, &data.m_file), 0);
	assert_int_equal(img_write(im, &b, 1, 5), 0);
	data.m_fail[MEM_BARRIER] = 1;
	assert_int_equal(img_flush(im), EIO);
	assert_int_equal(mem.m_calls[MEM_BARRIER], 0);
	assert_int_equal(img_write(im, &b, 1, 5), EIO);
	finish();
}

static void
a_slice_may_end_behind_the_file(void **state)
{
	struct img_slice *sl;

	(void)state;
	start(0);
	mem_put(&mem, SIZE, "abc", 3);
	mem_abandon(im, &env);
	assert_int_equal(mem_open(&im, &env, &mem, &needy, IMG_RDWR, NULL), 0);
	assert_int_equal(img_cache_get(im, IMG_COUNTS, SIZE, 4096, &sl), 0);
	assert_memory_equal(sl->sl_data, "abc", 4);
	assert_true(img_is_zero(sl->sl_data + 3, 4093));
	/* But not begin there, and what failed is not kept. */
	assert_int_equal(img_cache_get(im, IMG_COUNTS, SIZE + 4096, 4096, &sl),
	    EIO);
	assert_false(img_cache_holds(im, SIZE + 4096, 1));
	finish();
}

static void
what_is_no_table_any_more_is_forgotten_and_not_written(void **state)
{
	struct img_slice *sl;
	uint64_t off;

	(void)state;
	start(0);
	for (off = 0; off < 4 * 4096; off += 4096) {
		assert_int_equal(img_cache_get(im, IMG_POINTERS, off, 4096,
				     &sl),
		    0);
		sl->sl_data[0] = 9;
		img_cache_dirty(sl, 0, 1);
	}
	img_cache_drop(im, 4096, 2 * 4096);
	assert_true(img_cache_holds(im, 4095, 1));
	assert_false(img_cache_holds(im, 4096, 8192));
	assert_true(img_cache_holds(im, 3 * 4096, 1));
	assert_true(img_cache_holds(im, 8191, 4098));
	/* Somebody else writes there. */
	mem_put(&mem, 4096, "\5", 1);
	assert_int_equal(img_flush(im), 0);
	assert_int_equal(mem.m_calls[MEM_WRITE], 2);
	assert_true(mem_is(&mem, 4096, 1, 5));
	assert_true(mem_is(&mem, 3 * 4096, 1, 9));
	/* Read again, not remembered. */
	assert_int_equal(img_cache_get(im, IMG_POINTERS, 4096, 4096, &sl), 0);
	assert_int_equal(sl->sl_data[0], 5);
	finish();
}

static void
a_snapshot_is_read_only_and_of_formats_that_have_some(void **state)
{
	struct img_args a;
	struct img *other;

	(void)state;
	start(0);
	memset(&a, 0, sizeof(a));
	a.a_format = &needy;
	a.a_snapshot = "1";
	assert_int_equal(mem_open_args(&other, &env, &data, &a), ENOENT);
	a.a_flags = IMG_RDWR;
	assert_int_equal(mem_open_args(&other, &env, &data, &a), EINVAL);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_told_one_by_one),
		cmocka_unit_test(
		    without_its_backing_image_nothing_can_be_written),
		cmocka_unit_test(without_its_data_file_it_is_as_if_not_there),
		cmocka_unit_test(a_data_file_is_lent_to_those_that_need_one),
		cmocka_unit_test(the_data_file_s_barrier_may_fail),
		cmocka_unit_test(a_slice_may_end_behind_the_file),
		cmocka_unit_test(
		    what_is_no_table_any_more_is_forgotten_and_not_written),
		cmocka_unit_test(
		    a_snapshot_is_read_only_and_of_formats_that_have_some),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
