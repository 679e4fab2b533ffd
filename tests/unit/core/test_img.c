/* SPDX-License-Identifier: ISC */

/* Handles: what is checked at the door, refused, latched and given back. */

#include "unit/help/test.h"

#include "unit/help/fake.h"

#define U FAKE_UNIT
#define SIZE (4 * (uint64_t)U)

struct fixture {
	struct mem fx_mem;
	struct mem_env fx_env;
	struct mem_sink fx_sink;
	struct img *fx_im;
};

static void
prepare(struct fixture *fx, const char *map)
{
	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	mem_file(&fx->fx_mem, 0);
	fake_draw(map);
	fake_fill(&fx->fx_mem);
}

static int
open_it(struct fixture *fx, uint32_t flags)
{
	return (mem_open(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &fake_format,
	    flags, &fx->fx_sink));
}

static void
start(struct fixture *fx, const char *map, uint32_t flags)
{
	prepare(fx, map);
	assert_int_equal(open_it(fx, flags), 0);
}

static void
gone(struct fixture *fx)
{
	assert_true(mem_env_sound(&fx->fx_env));
	mem_free(&fx->fx_mem);
}

static void
finish(struct fixture *fx)
{
	assert_int_equal(mem_close(fx->fx_im, &fx->fx_env), 0);
	gone(fx);
}

static void
ranges_outside_the_disk_are_refused(void **state)
{
	static const struct {
		uint64_t voff;
		uint32_t len;
	} bad[] = {
		{ SIZE, 1 },
		{ SIZE - 1, 2 },
		{ 0, (uint32_t)SIZE + 1 },
		{ SIZE + 1, 0 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 1, 4 },
		{ UINT64_MAX, UINT32_MAX },
	};
	static uint8_t buf[SIZE + 1];
	struct fixture fx;
	struct img_extent e;
	struct img_claim c;
	struct img *owner, *im;
	unsigned depth, i;
	uint64_t voff;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	im = fx.fx_im;
	for (i = 0; i < LENGTH_OF(bad); i++) {
		voff = bad[i].voff;
		assert_int_equal(img_read(im, buf, bad[i].len, voff), EINVAL);
		assert_int_equal(img_write(im, buf, bad[i].len, voff), EINVAL);
		assert_int_equal(img_zero(im, voff, bad[i].len), EINVAL);
		assert_int_equal(img_map(im, voff, bad[i].len, &e), EINVAL);
		assert_int_equal(img_walk(im, voff, bad[i].len, &e, &owner,
				     &depth),
		    EINVAL);
		assert_int_equal(img_begin(im, voff, bad[i].len, &c), EINVAL);
	}
	assert_int_equal(img_zero(im, 1, UINT64_MAX), EINVAL);
	assert_int_equal(img_map(im, 1, UINT64_MAX, &e), EINVAL);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 0);
	finish(&fx);
}

static void
nothing_can_be_read_or_written_but_not_mapped(void **state)
{
	struct fixture fx;
	struct img_extent e;
	struct img_claim c;
	struct img *owner;
	unsigned depth;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	assert_int_equal(img_read(fx.fx_im, &e, 0, SIZE), 0);
	assert_int_equal(img_write(fx.fx_im, &e, 0, SIZE), 0);
	assert_int_equal(img_zero(fx.fx_im, SIZE, 0), 0);
	assert_int_equal(img_map(fx.fx_im, 0, 0, &e), EINVAL);
	assert_int_equal(img_walk(fx.fx_im, 0, 0, &e, &owner, &depth), EINVAL);
	assert_int_equal(img_begin(fx.fx_im, 0, 0, &c), EINVAL);
	finish(&fx);
}

static void
a_handle_for_reading_never_writes(void **state)
{
	struct fixture fx;
	struct img_claim c;
	uint8_t b = 1;

	(void)state;
	start(&fx, "dhzp", 0);
	assert_int_equal(img_write(fx.fx_im, &b, 1, 0), EROFS);
	assert_int_equal(img_zero(fx.fx_im, 0, 1), EROFS);
	assert_int_equal(img_begin(fx.fx_im, 0, 1, &c), EROFS);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(img_read(fx.fx_im, &b, 1, 0), 0);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_RESIZE], 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 0);
	gone(&fx);
}

static void
fresh_without_writing_is_the_callers_mistake(void **state)
{
	struct fixture fx;

	(void)state;
	prepare(&fx, "dd");
	assert_int_equal(open_it(&fx, IMG_FRESH), EINVAL);
	gone(&fx);
}

/* Row, and what remains: errors of open for writing, read and map. */
static void
a_handle_allows_what_the_worst_row_leaves(void **state)
{
	static const struct {
		enum img_row row;
		int open, rdwr, read, map;
	} rows[] = {
		{ IMG_VHD_FOOTER_511, 0, 0, 0, 0 },
		{ IMG_VHD_END_LOST, 0, EROFS, 0, 0 },
		{ IMG_VHD_BAT_SHORT, 0, EROFS, EFTYPE, 0 },
		{ IMG_VHD_DIFFERENCING, 0, EROFS, ENOTSUP, 0 },
		{ IMG_VHD_NO_FOOTER, EFTYPE, EFTYPE, 0, 0 },
	};
	struct fixture fx;
	struct img_finding why;
	struct img_extent e;
	uint8_t b;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(rows); i++) {
		prepare(&fx, "dddd");
		fake_next.k_raise = rows[i].row;
		assert_int_equal(open_it(&fx, IMG_RDWR), rows[i].rdwr);
		if (rows[i].rdwr == 0)
			mem_abandon(fx.fx_im, &fx.fx_env);
		assert_int_equal(mem_has(&fx.fx_sink, rows[i].row), 1);
		assert_int_equal(open_it(&fx, 0), rows[i].open);
		if (rows[i].open == 0) {
			assert_int_equal(img_read(fx.fx_im, &b, 1, 0),
			    rows[i].read);
			assert_int_equal(img_map(fx.fx_im, 0, 1, &e),
			    rows[i].map);
			assert_int_equal(img_allows(fx.fx_im, &why),
			    img_row(rows[i].row)->r_allows);
			if (rows[i].rdwr != 0)
				assert_int_equal(why.fi_row, rows[i].row);
			mem_abandon(fx.fx_im, &fx.fx_env);
		}
		gone(&fx);
	}
}

static void
rows_of_entries_count_when_they_were_looked_at(void **state)
{
	struct fixture fx;
	struct img_finding why;

	(void)state;
	prepare(&fx, "dd");
	fake_next.k_raise = IMG_VHD_END_LOST;
	fake_next.k_raise_verify = IMG_VHD_BAT_OVERLAP;
	assert_int_equal(open_it(&fx, 0), 0);
	assert_int_equal(img_allows(fx.fx_im, &why), IMG_ALLOW_READ);
	assert_int_equal(why.fi_row, IMG_VHD_END_LOST);
	mem_abandon(fx.fx_im, &fx.fx_env);
	assert_int_equal(open_it(&fx, IMG_VERIFY), 0);
	assert_int_equal(img_allows(fx.fx_im, &why), IMG_ALLOW_MAP);
	assert_int_equal(why.fi_row, IMG_VHD_BAT_OVERLAP);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fake_next.k_raise = 0;
	/* Nothing is written before all entries were looked at. */
	assert_int_equal(open_it(&fx, IMG_RDWR), EROFS);
	gone(&fx);
}

static void
after_a_failed_barrier_all_is_refused_until_close(void **state)
{
	struct fixture fx;
	struct img_claim c;
	uint8_t b = 1;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	assert_int_equal(img_write(fx.fx_im, &b, 1, 0), 0);
	fx.fx_mem.m_fail[MEM_BARRIER] = 1;
	assert_int_equal(img_flush(fx.fx_im), EIO);
	/* The next barrier would work, and promise what it cannot keep. */
	assert_int_equal(img_flush(fx.fx_im), EIO);
	assert_int_equal(img_write(fx.fx_im, &b, 1, 0), EIO);
	assert_int_equal(img_zero(fx.fx_im, 0, 1), EIO);
	assert_int_equal(img_begin(fx.fx_im, 0, 1, &c), EIO);
	assert_int_equal(img_read(fx.fx_im, &b, 1, 0), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 1);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	gone(&fx);
}

static void
any_failed_flush_latches(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	fake_of(fx.fx_im)->k_fail_flush = ENOSPC;
	assert_int_equal(img_flush(fx.fx_im), ENOSPC);
	fake_of(fx.fx_im)->k_fail_flush = 0;
	assert_int_equal(img_flush(fx.fx_im), EIO);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	gone(&fx);
}

static void
a_failed_write_of_data_is_the_callers_to_try_again(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	fx.fx_mem.m_fail[MEM_WRITE] = 1;
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), EIO);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	finish(&fx);
}

static void
close_flushes_and_says_how_it_went(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
	gone(&fx);

	start(&fx, "dddd", IMG_RDWR);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	fx.fx_mem.m_fail[MEM_BARRIER] = 1;
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	gone(&fx);
}

static void
abandon_does_not_flush(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "dddd", IMG_RDWR);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	mem_abandon(fx.fx_im, &fx.fx_env);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 0);
	gone(&fx);
}

/* Not a byte over the budget but for the handle itself. */
static void
memory_stays_within_the_budget(void **state)
{
	struct fixture fx;
	struct img_args a;
	uint64_t need;
	int error = ENOMEM;

	(void)state;
	prepare(&fx, "pd");
	memset(&a, 0, sizeof(a));
	a.a_format = &fake_format;
	a.a_slices = 2;
	for (need = 1024; error == ENOMEM; need += 1024) {
		a.a_budget = need;
		fx.fx_env.e_peak = 0;
		error = mem_open_args(&fx.fx_im, &fx.fx_env, &fx.fx_mem, &a);
		assert_true(fx.fx_env.e_peak <= need + sizeof(struct img));
		if (error != 0)
			assert_int_equal(fx.fx_env.e_now, 0);
	}
	assert_int_equal(error, 0);
	assert_true(need < 100 * 1024);
	mem_abandon(fx.fx_im, &fx.fx_env);

	fake_next.k_need = need;
	assert_int_equal(mem_open_args(&fx.fx_im, &fx.fx_env, &fx.fx_mem, &a),
	    ENOMEM);
	fake_next.k_need = 0;
	a.a_slices = UINT32_MAX;
	assert_int_equal(mem_open_args(&fx.fx_im, &fx.fx_env, &fx.fx_mem, &a),
	    ENOMEM);
	gone(&fx);
}

static void
each_allocation_may_fail(void **state)
{
	struct fixture fx;
	unsigned n;
	int error = ENOMEM;

	(void)state;
	prepare(&fx, "pd");
	for (n = 1; error == ENOMEM; n++) {
		fx.fx_env.e_allocs = 0;
		fx.fx_env.e_fail = n;
		error = open_it(&fx, IMG_RDWR);
		if (error != 0)
			assert_int_equal(fx.fx_env.e_now, 0);
	}
	assert_int_equal(error, 0);
	assert_true(n > 6);
	finish(&fx);
}

static void
a_file_without_length_cannot_be_opened(void **state)
{
	struct fixture fx;

	(void)state;
	prepare(&fx, "pd");
	fx.fx_mem.m_fail[MEM_LENGTH] = 1;
	assert_int_equal(open_it(&fx, 0), EIO);
	gone(&fx);
}

static void
what_no_format_recognises_is_raw(void **state)
{
	const struct img_format *fmt = NULL;
	struct fixture fx;

	(void)state;
	prepare(&fx, "dd");
	assert_int_equal(img_probe(&fx.fx_env.e_env, &fx.fx_mem.m_file, &fmt),
	    0);
	assert_string_equal(img_format_name(fmt), "raw");
	mem_set_len(&fx.fx_mem, 0);
	fmt = NULL;
	assert_int_equal(img_probe(&fx.fx_env.e_env, &fx.fx_mem.m_file, &fmt),
	    0);
	assert_string_equal(img_format_name(fmt), "raw");
	/* Unless it cannot be read, when nothing is known. */
	mem_set_len(&fx.fx_mem, 4096);
	mem_reset(&fx.fx_mem);
	fx.fx_mem.m_fail[MEM_READ] = 1;
	assert_int_equal(img_probe(&fx.fx_env.e_env, &fx.fx_mem.m_file, &fmt),
	    EIO);
	mem_reset(&fx.fx_mem);
	fx.fx_mem.m_fail[MEM_LENGTH] = 1;
	assert_int_equal(img_probe(&fx.fx_env.e_env, &fx.fx_mem.m_file, &fmt),
	    EIO);
	gone(&fx);
}

static void
formats_are_found_by_name_and_by_qemus_name(void **state)
{
	const struct img_format *fmt;
	unsigned i;

	(void)state;
	assert_string_equal(img_format_name(img_format_find("vhd")), "vhd");
	assert_ptr_equal(img_format_find("vpc"), img_format_find("vhd"));
	assert_string_equal(img_format_alias(img_format_find("vhd")), "vpc");
	assert_string_equal(img_format_alias(img_format_find("raw")), "raw");
	assert_null(img_format_find("VHD"));
	assert_null(img_format_find("vh"));
	assert_null(img_format_find("vhdx"));
	assert_null(img_format_find(""));
	for (i = 0; (fmt = img_format_at(i)) != NULL; i++)
		assert_ptr_equal(img_format_find(img_format_name(fmt)), fmt);
	assert_true(i >= 2);
	assert_null(img_format_at(i + 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_outside_the_disk_are_refused),
		cmocka_unit_test(nothing_can_be_read_or_written_but_not_mapped),
		cmocka_unit_test(a_handle_for_reading_never_writes),
		cmocka_unit_test(fresh_without_writing_is_the_callers_mistake),
		cmocka_unit_test(a_handle_allows_what_the_worst_row_leaves),
		cmocka_unit_test(
		    rows_of_entries_count_when_they_were_looked_at),
		cmocka_unit_test(
		    after_a_failed_barrier_all_is_refused_until_close),
		cmocka_unit_test(any_failed_flush_latches),
		cmocka_unit_test(
		    a_failed_write_of_data_is_the_callers_to_try_again),
		cmocka_unit_test(close_flushes_and_says_how_it_went),
		cmocka_unit_test(abandon_does_not_flush),
		cmocka_unit_test(memory_stays_within_the_budget),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(a_file_without_length_cannot_be_opened),
		cmocka_unit_test(what_no_format_recognises_is_raw),
		cmocka_unit_test(formats_are_found_by_name_and_by_qemus_name),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
