/* SPDX-License-Identifier: ISC */

/* Writing and zeroing: claims, what surrounds them, and copy-up. */

#include "unit/help/test.h"

#include "unit/help/fake.h"

#define U FAKE_UNIT
#define FRESH (FAKE_DATA + FAKE_MAX * (uint64_t)U) /* the first fresh unit */

struct fixture {
	struct mem fx_mem[2];
	struct mem_env fx_env;
	struct img *fx_img[2];
	struct img *fx_im; /* the top */
	struct fake *fx_fake;
};

static void
start(struct fixture *fx, const char *top, const char *base)
{
	unsigned i;

	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	for (i = 0; i < 2; i++) {
		if (i == 1 && base == NULL)
			break;
		mem_file(&fx->fx_mem[i], 0);
		fake_draw(i == 0 ? top : base);
		fake_fill(&fx->fx_mem[i]);
		assert_int_equal(mem_open(&fx->fx_img[i], &fx->fx_env,
				     &fx->fx_mem[i], &fake_format,
				     i == 0 ? IMG_RDWR : 0, NULL),
		    0);
	}
	fx->fx_im = fx->fx_img[0];
	fx->fx_fake = fake_of(fx->fx_im);
	if (base != NULL)
		assert_int_equal(img_lend(fx->fx_im, fx->fx_img[1]), 0);
}

static void
finish(struct fixture *fx)
{
	unsigned i;

	for (i = 0; i < 2 && fx->fx_img[i] != NULL; i++) {
		mem_abandon(fx->fx_img[i], &fx->fx_env);
		mem_free(&fx->fx_mem[i]);
	}
	assert_true(mem_env_sound(&fx->fx_env));
}

/* Write n bytes of pattern 2 at voff; the rest of the unit is as drawn. */
static void
write_and_expect(struct fixture *fx, uint32_t n, uint64_t voff, char letter)
{
	uint8_t buf[U], want[U];
	uint64_t start_of = voff - voff % U;

	fake_expect(want, (unsigned)(voff / U), letter);
	mem_pattern(buf, n, voff, 2);
	memcpy(want + voff % U, buf, n);
	assert_int_equal(img_write(fx->fx_im, buf, n, voff), 0);
	assert_int_equal(img_read(fx->fx_im, buf, U, start_of), 0);
	assert_memory_equal(buf, want, U);
}

static void
a_fresh_unit_keeps_what_surrounds_the_write(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hzph", NULL);
	write_and_expect(&fx, 10, 100, 'h');
	write_and_expect(&fx, 10, U + 4086, 'z');
	write_and_expect(&fx, 10, 2 * U, 'p');
	write_and_expect(&fx, U, 3 * U, 'h');
	assert_int_equal(fx.fx_fake->k_ends, 4);
	finish(&fx);
}

static void
what_was_read_from_the_backing_image_is_copied_up(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hhhhz", "dpzhd");
	write_and_expect(&fx, 100, 1000, 'd');
	write_and_expect(&fx, 100, U + 1000, 'p');
	write_and_expect(&fx, 100, 2 * U + 1000, 'z');
	write_and_expect(&fx, 100, 3 * U + 1000, 'h');
	write_and_expect(&fx, 100, 4 * U + 1000, 'z');
	assert_int_equal(fx.fx_mem[1].m_calls[MEM_WRITE], 0);
	finish(&fx);
}

static void
copy_up_ends_in_zeros_where_the_backing_image_ends(void **state)
{
	struct fixture fx;
	uint8_t buf[U], want[U];

	(void)state;
	start(&fx, "h", NULL);
	mem_file(&fx.fx_mem[1], 0);
	fake_draw("d");
	fake_next.k_size = 600;
	fake_fill(&fx.fx_mem[1]);
	assert_int_equal(mem_open(&fx.fx_img[1], &fx.fx_env, &fx.fx_mem[1],
			     &fake_format, 0, NULL),
	    0);
	img_lend(fx.fx_im, fx.fx_img[1]);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 100), 0);
	fake_expect(want, 0, 'd');
	want[100] = 'x';
	memset(want + 600, 0, U - 600);
	mem_get(&fx.fx_mem[0], FRESH, buf, U);
	assert_memory_equal(buf, want, U);
	finish(&fx);
}

static void
the_part_of_a_unit_beyond_the_disk_is_zeros(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hh", NULL);
	fx.fx_im->im_size = U + 1000;
	mem_set_len(&fx.fx_mem[0], FRESH + U);
	fx.fx_im->im_eof[0] = FRESH + U;
	mem_put(&fx.fx_mem[0], FRESH + 2000, "garbage", 7);
	assert_int_equal(img_write(fx.fx_im, "x", 1, U + 999), 0);
	assert_true(mem_is(&fx.fx_mem[0], FRESH + 1000, U - 1000, 0));
	finish(&fx);
}

static void
zeros_are_not_written_where_new_space_is_zeros(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hhh", "hdh");
	fx.fx_fake->k_zeroed = 1;
	write_and_expect(&fx, 100, 1000, 'h');
	assert_int_equal(fx.fx_mem[0].m_wbytes, 100);
	/* Data of the backing image is not zeros. */
	write_and_expect(&fx, 100, U + 1000, 'd');
	assert_int_equal(fx.fx_mem[0].m_wbytes, 100 + U);
	fx.fx_fake->k_zeroed = 0;
	write_and_expect(&fx, 100, 2 * U + 1000, 'h');
	assert_int_equal(fx.fx_mem[0].m_wbytes, 100 + 2 * U);
	finish(&fx);
}

static void
writes_in_place_need_no_end(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "dd", NULL);
	write_and_expect(&fx, 100, 1000, 'd');
	assert_int_equal(fx.fx_fake->k_begins, 1);
	assert_int_equal(fx.fx_fake->k_ends, 0);
	assert_int_equal(fx.fx_mem[0].m_wbytes, 100);
	finish(&fx);
}

static void
a_write_goes_on_where_a_claim_ends(void **state)
{
	static uint8_t buf[5 * U], got[5 * U];
	struct fixture fx;

	(void)state;
	start(&fx, "hdzpd", NULL);
	fx.fx_fake->k_max_claim = 1000;
	mem_pattern(buf, sizeof(buf), 0, 2);
	assert_int_equal(img_write(fx.fx_im, buf, 4 * U, 50), 0);
	assert_int_equal(img_read(fx.fx_im, got, 4 * U, 50), 0);
	assert_memory_equal(got, buf, 4 * U);
	assert_int_equal(fx.fx_fake->k_ends, 3);
	finish(&fx);
}

static void
a_failed_write_gives_the_unit_up_and_changes_nothing(void **state)
{
	struct fixture fx;
	uint8_t buf[U], want[U];
	unsigned n;

	(void)state;
	/* Writes: what is before, the data, what is after. */
	for (n = 1; n <= 3; n++) {
		start(&fx, "h", "d");
		fx.fx_mem[0].m_fail[MEM_WRITE] = n;
		assert_int_equal(img_write(fx.fx_im, "x", 1, 100), EIO);
		assert_int_equal(fx.fx_fake->k_gave_up, 1);
		assert_int_equal(img_read(fx.fx_im, buf, U, 0), 0);
		fake_expect(want, 0, 'd');
		assert_memory_equal(buf, want, U);
		finish(&fx);
	}
}

static void
an_unreadable_backing_image_fails_the_write(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hh", "bd");
	assert_int_equal(img_write(fx.fx_im, "x", 1, 100), EIO);
	assert_int_equal(fx.fx_fake->k_gave_up, 1);
	mem_reset(&fx.fx_mem[1]);
	fx.fx_mem[1].m_fail[MEM_READ] = 1;
	assert_int_equal(img_write(fx.fx_im, "x", 1, U), EIO);
	assert_int_equal(fx.fx_fake->k_gave_up, 2);
	finish(&fx);
}

static void
errors_of_begin_and_end_are_the_errors_of_the_write(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hhb", NULL);
	fx.fx_fake->k_fail_begin = ENOSPC;
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), ENOSPC);
	assert_int_equal(fx.fx_fake->k_ends, 0);
	fx.fx_fake->k_fail_begin = 0;
	fx.fx_fake->k_fail_end = ENOSPC;
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), ENOSPC);
	fx.fx_fake->k_fail_end = 0;
	assert_int_equal(img_write(fx.fx_im, "x", 1, 2 * U), EIO);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), 0);
	finish(&fx);
}

static void
a_claim_shows_the_old_state_until_its_end(void **state)
{
	struct fixture fx;
	struct img_claim c;
	uint8_t buf[U], want[U];

	(void)state;
	start(&fx, "h", "d");
	fake_expect(want, 0, 'd');
	assert_int_equal(img_begin(fx.fx_im, 10, 20, &c), 0);
	assert_int_equal(c.c_flags, IMG_CLAIM_FRESH);
	assert_int_equal(c.c_before, 10);
	assert_int_equal(c.c_after, U - 30);
	mem_put(&fx.fx_mem[0], c.c_ext.e_off, "twenty bytes of data", 20);
	assert_int_equal(img_read(fx.fx_im, buf, U, 0), 0);
	assert_memory_equal(buf, want, U);
	assert_int_equal(img_end(fx.fx_im, &c, 1), 0);
	memcpy(want + 10, "twenty bytes of data", 20);
	assert_int_equal(img_read(fx.fx_im, buf, U, 0), 0);
	assert_memory_equal(buf, want, U);
	finish(&fx);
}

/* The library cannot see such writes; its flush has to cover them. */
static void
a_caller_that_moves_the_bytes_itself_is_flushed(void **state)
{
	struct fixture fx;
	struct img_claim c;
	unsigned k;

	(void)state;
	start(&fx, "dh", NULL);
	fx.fx_fake->k_zeroed = 1;
	for (k = 0; k < 2; k++) {
		assert_int_equal(img_flush(fx.fx_im), 0);
		assert_int_equal(img_begin(fx.fx_im, k * U, U, &c), 0);
		/* A barrier in between, as another claim may need one. */
		assert_int_equal(img_flush(fx.fx_im), 0);
		mem_put(&fx.fx_mem[0], c.c_ext.e_off, "data", 4);
		assert_int_equal(img_end(fx.fx_im, &c, 1), 0);
		mem_reset(&fx.fx_mem[0]);
		assert_int_equal(img_flush(fx.fx_im), 0);
		assert_int_equal(fx.fx_mem[0].m_calls[MEM_BARRIER], 1);
	}
	finish(&fx);
}

static void
zeroing_writes_as_little_as_possible(void **state)
{
	struct fixture fx;
	uint8_t buf[6 * U];
	unsigned i;

	(void)state;
	start(&fx, "hzddhp", "dhhhhh");
	fx.fx_fake->k_zeroed = 1;
	assert_int_equal(img_zero(fx.fx_im, 0, 6 * U), 0);
	assert_int_equal(img_read(fx.fx_im, buf, 6 * U, 0), 0);
	for (i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	/* Data by the host's own means, fresh units by their zeros. */
	assert_int_equal(fx.fx_mem[0].m_calls[MEM_ZERO], 2);
	assert_int_equal(fx.fx_mem[0].m_wbytes, 0);
	assert_string_equal(fx.fx_fake->k_map, "dzddhd");
	finish(&fx);
}

static void
zeroing_part_of_a_unit_keeps_the_rest(void **state)
{
	struct fixture fx;
	uint8_t buf[3 * U], want[3 * U];

	(void)state;
	start(&fx, "dph", "hhd");
	fx.fx_mem[0].m_ops.fo_zero = NULL;
	fake_expect(want, 0, 'd');
	fake_expect(want + U, 1, 'p');
	fake_expect(want + 2 * U, 2, 'd');
	memset(want + 100, 0, 2 * U);
	assert_int_equal(img_zero(fx.fx_im, 100, 2 * U), 0);
	assert_int_equal(img_read(fx.fx_im, buf, 3 * U, 0), 0);
	assert_memory_equal(buf, want, 3 * U);
	finish(&fx);
}

static void
the_format_may_zero_whole_units_by_itself(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "dddd", NULL);
	fx.fx_fake->k_zero_units = 1;
	assert_int_equal(img_zero(fx.fx_im, 100, 3 * U), 0);
	assert_string_equal(fx.fx_fake->k_map, "dzzd");
	fx.fx_fake->k_fail_zero = ENOSPC;
	assert_int_equal(img_zero(fx.fx_im, 100, 3 * U), ENOSPC);
	finish(&fx);
}

static void
zeroing_over_a_bad_extent_fails(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hbh", NULL);
	assert_int_equal(img_zero(fx.fx_im, 0, 3 * U), EIO);
	assert_int_equal(img_zero(fx.fx_im, 0, U), 0);
	finish(&fx);
}

static void
zeros_by_the_host_are_flushed_too(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "d", NULL);
	assert_int_equal(img_zero(fx.fx_im, 0, U), 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(fx.fx_mem[0].m_calls[MEM_BARRIER], 1);
	fx.fx_mem[0].m_calls[MEM_ZERO] = 0;
	fx.fx_mem[0].m_fail[MEM_ZERO] = 1;
	assert_int_equal(img_zero(fx.fx_im, 0, U), EIO);
	finish(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_unit_keeps_what_surrounds_the_write),
		cmocka_unit_test(
		    what_was_read_from_the_backing_image_is_copied_up),
		cmocka_unit_test(
		    copy_up_ends_in_zeros_where_the_backing_image_ends),
		cmocka_unit_test(the_part_of_a_unit_beyond_the_disk_is_zeros),
		cmocka_unit_test(
		    zeros_are_not_written_where_new_space_is_zeros),
		cmocka_unit_test(writes_in_place_need_no_end),
		cmocka_unit_test(a_write_goes_on_where_a_claim_ends),
		cmocka_unit_test(
		    a_failed_write_gives_the_unit_up_and_changes_nothing),
		cmocka_unit_test(an_unreadable_backing_image_fails_the_write),
		cmocka_unit_test(
		    errors_of_begin_and_end_are_the_errors_of_the_write),
		cmocka_unit_test(a_claim_shows_the_old_state_until_its_end),
		cmocka_unit_test(
		    a_caller_that_moves_the_bytes_itself_is_flushed),
		cmocka_unit_test(zeroing_writes_as_little_as_possible),
		cmocka_unit_test(zeroing_part_of_a_unit_keeps_the_rest),
		cmocka_unit_test(the_format_may_zero_whole_units_by_itself),
		cmocka_unit_test(zeroing_over_a_bad_extent_fails),
		cmocka_unit_test(zeros_by_the_host_are_flushed_too),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
