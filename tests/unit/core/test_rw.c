/* SPDX-License-Identifier: ISC */

/* Reading: extents of every kind, backing chains, packed units. */

#include "unit/help/test.h"

#include "unit/help/fake.h"

#define U FAKE_UNIT

struct fixture {
	struct mem fx_mem[3];
	struct mem_env fx_env;
	struct img *fx_img[3]; /* 0 on top of 1 on top of 2 */
};

/* A chain of disks, drawn from the top down; NULL ends it. */
static void
start(struct fixture *fx, const char *top, const char *mid, const char *base)
{
	const char *map[3];
	unsigned i;

	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	map[0] = top;
	map[1] = mid;
	map[2] = base;
	for (i = 0; i < 3 && map[i] != NULL; i++) {
		mem_file(&fx->fx_mem[i], 0);
		fake_draw(map[i]);
		fake_fill(&fx->fx_mem[i]);
		assert_int_equal(mem_open(&fx->fx_img[i], &fx->fx_env,
				     &fx->fx_mem[i], &fake_format,
				     i == 0 ? IMG_RDWR : 0, NULL),
		    0);
		if (i > 0)
			assert_int_equal(img_lend(fx->fx_img[i - 1],
					     fx->fx_img[i]),
			    0);
	}
}

static void
finish(struct fixture *fx)
{
	unsigned i;

	for (i = 0; i < 3 && fx->fx_img[i] != NULL; i++) {
		mem_abandon(fx->fx_img[i], &fx->fx_env);
		mem_free(&fx->fx_mem[i]);
	}
	assert_true(mem_env_sound(&fx->fx_env));
}

/* The whole disk reads as units drawn like this. */
static void
expect_disk(struct img *im, const char *letters)
{
	uint8_t got[U], want[U];
	unsigned i;

	for (i = 0; letters[i] != '\0'; i++) {
		assert_int_equal(img_read(im, got, U, (uint64_t)i * U), 0);
		fake_expect(want, i, letters[i]);
		if (memcmp(got, want, U) != 0)
			fail_msg("unit %u is not %c", i, letters[i]);
	}
}

static void
each_kind_of_extent_reads_as_it_should(void **state)
{
	struct fixture fx;

	(void)state;
	start(&fx, "hzdpdd", NULL, NULL);
	expect_disk(fx.fx_img[0], "zzdpdd");
	finish(&fx);
}

static void
a_bad_extent_fails_alone(void **state)
{
	struct fixture fx;
	struct img_extent e;
	uint8_t buf[3 * U];

	(void)state;
	start(&fx, "dbd", NULL, NULL);
	assert_int_equal(img_read(fx.fx_img[0], buf, U, 0), 0);
	assert_int_equal(img_read(fx.fx_img[0], buf, 1, U), EIO);
	assert_int_equal(img_read(fx.fx_img[0], buf, 3 * U, 0), EIO);
	assert_int_equal(img_read(fx.fx_img[0], buf, U, 2 * U), 0);
	assert_int_equal(img_map(fx.fx_img[0], U, 2 * U, &e), 0);
	assert_int_equal(e.e_type, IMG_BAD);
	assert_int_equal(e.e_row, IMG_VHD_BAT_RANGE);
	assert_int_equal(e.e_len, U);
	finish(&fx);
}

static void
reads_at_any_offset_and_length_agree_with_whole_units(void **state)
{
	static uint8_t disk[6 * U], buf[6 * U];
	struct fixture fx;
	uint64_t seed = 3;
	uint32_t off, len, i;

	(void)state;
	start(&fx, "hdzpdp", "dddddd", NULL);
	for (i = 0; i < 6; i++)
		fake_expect(disk + i * U, i, "ddzpdp"[i]);
	for (i = 0; i < 2000; i++) {
		off = mem_random(&seed) % sizeof(disk);
		len = mem_random(&seed) % (sizeof(disk) - off + 1);
		assert_int_equal(img_read(fx.fx_img[0], buf, len, off), 0);
		assert_memory_equal(buf, disk + off, len);
	}
	finish(&fx);
}

static void
holes_read_through_to_what_is_lent(void **state)
{
	struct fixture fx;
	uint8_t buf[U];

	(void)state;
	start(&fx, "hhzdhh", "dhdzhp", "dddddd");
	expect_disk(fx.fx_img[0], "ddzddp");
	assert_int_equal(img_lend(fx.fx_img[0], NULL), 0);
	expect_disk(fx.fx_img[0], "zzzdzz");
	assert_int_equal(img_read(fx.fx_img[1], buf, U, 0), 0);
	finish(&fx);
}

static void
a_shorter_backing_image_ends_in_zeros(void **state)
{
	struct fixture fx;
	struct img_extent e;
	struct img *owner;
	unsigned depth;

	(void)state;
	start(&fx, "hhhhh", "dh", "ddd");
	expect_disk(fx.fx_img[0], "ddzzz");
	assert_int_equal(img_walk(fx.fx_img[0], 2 * U, 3 * U, &e, &owner,
			     &depth),
	    0);
	assert_int_equal(e.e_type, IMG_ZERO);
	assert_int_equal(e.e_len, 3 * U);
	assert_int_equal(img_walk(fx.fx_img[0], U, 4 * U, &e, &owner, &depth),
	    0);
	assert_int_equal(e.e_type, IMG_DATA);
	assert_int_equal(e.e_len, U);
	assert_int_equal(depth, 2);
	assert_ptr_equal(owner, fx.fx_img[2]);
	finish(&fx);
}

static void
a_backing_image_that_ends_inside_a_unit_is_read_to_its_end(void **state)
{
	struct fixture fx;
	uint8_t got[U], want[U];

	(void)state;
	start(&fx, "hh", NULL, NULL);
	mem_file(&fx.fx_mem[1], 0);
	fake_draw("dd");
	fake_next.k_size = U + 100;
	fake_fill(&fx.fx_mem[1]);
	assert_int_equal(mem_open(&fx.fx_img[1], &fx.fx_env, &fx.fx_mem[1],
			     &fake_format, 0, NULL),
	    0);
	img_lend(fx.fx_img[0], fx.fx_img[1]);
	assert_int_equal(img_read(fx.fx_img[0], got, U, U), 0);
	fake_expect(want, 1, 'd');
	memset(want + 100, 0, U - 100);
	assert_memory_equal(got, want, U);
	finish(&fx);
}

static void
the_last_packed_unit_is_kept(void **state)
{
	struct fixture fx;
	uint8_t buf[U];
	unsigned i;

	(void)state;
	start(&fx, "ppd", NULL, NULL);
	for (i = 0; i < U; i += 512)
		assert_int_equal(img_read(fx.fx_img[0], buf, 512, i), 0);
	assert_int_equal(fake_of(fx.fx_img[0])->k_unpacks, 1);
	assert_int_equal(img_read(fx.fx_img[0], buf, 512, 2 * U), 0);
	assert_int_equal(img_read(fx.fx_img[0], buf, 512, 7), 0);
	assert_int_equal(fake_of(fx.fx_img[0])->k_unpacks, 1);
	assert_int_equal(img_read(fx.fx_img[0], buf, 512, U), 0);
	assert_int_equal(img_read(fx.fx_img[0], buf, 512, 0), 0);
	assert_int_equal(fake_of(fx.fx_img[0])->k_unpacks, 3);
	finish(&fx);
}

static void
a_packed_unit_that_failed_is_not_kept(void **state)
{
	struct fixture fx;
	uint8_t buf[U];

	(void)state;
	start(&fx, "pp", NULL, NULL);
	assert_int_equal(img_read(fx.fx_img[0], buf, U, 0), 0);
	mem_reset(&fx.fx_mem[0]);
	fx.fx_mem[0].m_fail[MEM_READ] = 1;
	assert_int_equal(img_read(fx.fx_img[0], buf, U, U), EIO);
	expect_disk(fx.fx_img[0], "pp");
	/* Half unpacked, over what was there before. */
	assert_int_equal(img_read(fx.fx_img[0], buf, U, 0), 0);
	fake_of(fx.fx_img[0])->k_off[1] = fx.fx_mem[0].m_len - 10;
	assert_int_equal(img_read(fx.fx_img[0], buf, U, U), EIO);
	expect_disk(fx.fx_img[0], "p");
	finish(&fx);
}

static void
a_packed_unit_may_end_with_the_file(void **state)
{
	struct fixture fx;
	uint8_t buf[U];

	(void)state;
	start(&fx, "p", NULL, NULL);
	/* The upper bound reaches over the end: what is there is enough. */
	fake_of(fx.fx_img[0])->k_off[0] = fx.fx_mem[0].m_len - 10;
	assert_int_equal(img_read(fx.fx_img[0], buf, U, 0), EIO);
	assert_int_equal(fake_of(fx.fx_img[0])->k_unpacks, 1);
	fake_of(fx.fx_img[0])->k_off[0] = fx.fx_mem[0].m_len;
	assert_int_equal(img_read(fx.fx_img[0], buf, U, 0), EIO);
	assert_int_equal(fake_of(fx.fx_img[0])->k_unpacks, 1);
	assert_int_equal(fx.fx_mem[0].m_past, 0);
	finish(&fx);
}

static void
map_tells_one_image_and_walk_the_chain(void **state)
{
	struct fixture fx;
	struct img_extent e;
	struct img *owner;
	unsigned depth;

	(void)state;
	start(&fx, "hhdh", "hzhd", NULL);
	assert_int_equal(img_map(fx.fx_img[0], 0, 4 * U, &e), 0);
	assert_int_equal(e.e_type, IMG_HOLE);
	assert_int_equal(e.e_len, 2 * U);
	assert_int_equal(img_walk(fx.fx_img[0], 0, 4 * U, &e, &owner, &depth),
	    0);
	assert_int_equal(e.e_type, IMG_HOLE);
	assert_int_equal(e.e_len, U);
	assert_int_equal(depth, 1);
	assert_int_equal(img_walk(fx.fx_img[0], U, U, &e, &owner, &depth), 0);
	assert_int_equal(e.e_type, IMG_ZERO);
	assert_int_equal(img_walk(fx.fx_img[0], 2 * U + 5, U, &e, &owner,
			     &depth),
	    0);
	assert_int_equal(e.e_type, IMG_DATA);
	assert_int_equal(e.e_voff, 2 * U + 5);
	assert_int_equal(e.e_off, FAKE_DATA + 2 * U + 5);
	assert_int_equal(e.e_len, U - 5);
	assert_int_equal(depth, 0);
	finish(&fx);
}

static void
holes_of_the_host_file_are_told_as_zeros(void **state)
{
	struct fixture fx;
	struct img_extent e;
	struct img *owner;
	unsigned depth;

	(void)state;
	start(&fx, "ddh", "ddd", NULL);
	/* Unit 1 is data of the format, over a hole of the file. */
	fake_of(fx.fx_img[0])->k_off[1] = FAKE_DATA + 40 * (uint64_t)U;
	mem_set_len(&fx.fx_mem[0], FAKE_DATA + 41 * (uint64_t)U);
	assert_int_equal(img_map(fx.fx_img[0], U, U, &e), 0);
	assert_int_equal(e.e_type, IMG_ZERO);
	assert_int_equal(e.e_off, FAKE_DATA + 40 * U);
	assert_int_equal(img_walk(fx.fx_img[0], U, U, &e, &owner, &depth), 0);
	assert_int_equal(e.e_type, IMG_ZERO);
	assert_int_equal(depth, 0);
	assert_int_equal(img_map(fx.fx_img[0], 0, U, &e), 0);
	assert_int_equal(e.e_type, IMG_DATA);

	/* The host is asked about at most what the extent has. */
	mem_reset(&fx.fx_mem[0]);
	fx.fx_mem[0].m_fail[MEM_EXTENT] = 1;
	assert_int_equal(img_map(fx.fx_img[0], 0, U, &e), EIO);
	fx.fx_mem[0].m_ops.fo_extent = NULL;
	assert_int_equal(img_map(fx.fx_img[0], U, U, &e), 0);
	assert_int_equal(e.e_type, IMG_DATA);
	finish(&fx);
}

static void
an_error_of_the_file_is_the_error_of_the_read(void **state)
{
	struct fixture fx;
	uint8_t buf[2 * U];

	(void)state;
	start(&fx, "dh", "hd", NULL);
	mem_reset(&fx.fx_mem[1]);
	fx.fx_mem[1].m_fail[MEM_READ] = 1;
	assert_int_equal(img_read(fx.fx_img[0], buf, 2 * U, 0), EIO);
	assert_int_equal(img_read(fx.fx_img[0], buf, 2 * U, 0), 0);
	finish(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_extent_reads_as_it_should),
		cmocka_unit_test(a_bad_extent_fails_alone),
		cmocka_unit_test(
		    reads_at_any_offset_and_length_agree_with_whole_units),
		cmocka_unit_test(holes_read_through_to_what_is_lent),
		cmocka_unit_test(a_shorter_backing_image_ends_in_zeros),
		cmocka_unit_test(
		    a_backing_image_that_ends_inside_a_unit_is_read_to_its_end),
		cmocka_unit_test(the_last_packed_unit_is_kept),
		cmocka_unit_test(a_packed_unit_that_failed_is_not_kept),
		cmocka_unit_test(a_packed_unit_may_end_with_the_file),
		cmocka_unit_test(map_tells_one_image_and_walk_the_chain),
		cmocka_unit_test(holes_of_the_host_file_are_told_as_zeros),
		cmocka_unit_test(an_error_of_the_file_is_the_error_of_the_read),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
