/* SPDX-License-Identifier: ISC */

/* When img_compare calls two disks equal, and where it says they differ. */

#include "unit/tool/disk.h"

#define K 1024u

static struct img_compared res;

static int
compare(struct disk *a, struct disk *b, unsigned flags)
{
	return (img_compare(img_host_env(), a->d_img, b->d_img, flags, &res));
}

/* Compare two drawings; the result is in res. */
static void
drawn(const char *amap, const char *bmap, unsigned flags)
{
	struct disk *a = disk_draw(amap), *b = disk_draw(bmap);

	assert_int_equal(compare(a, b, flags), 0);
	disk_free(a);
	disk_free(b);
}

static void
equal_bytes_are_equal_however_they_are_stored(void **state)
{
	(void)state;
	drawn("dhz00d", "d00hzd", 0);
	assert_int_equal(res.cm_equal, 1);
	assert_int_equal(res.cm_extra, IMG_NOWHERE);
}

static void
what_both_know_to_be_zeros_is_not_read(void **state)
{
	struct disk *a = disk_draw("hhzz"), *b = disk_draw("hzhz");

	(void)state;
	assert_int_equal(compare(a, b, 0), 0);
	assert_int_equal(res.cm_equal, 1);
	assert_int_equal(a->d_reads + b->d_reads, 0);
	/* Nor looked at twice. */
	assert_int_equal(a->d_maps, 2);
	assert_int_equal(b->d_maps, 4);
	disk_free(a);
	disk_free(b);
}

static void
zeros_against_data_differ_where_the_data_is_not_zero(void **state)
{
	struct disk *a = disk_draw("hhhh"), *b = disk_draw("h000");

	(void)state;
	b->d_bytes[3 * 4096 + 17] = 1;
	assert_int_equal(compare(a, b, 0), 0);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 3 * 4096 + 17);
	assert_int_equal(compare(b, a, 0), 0);
	assert_int_equal(res.cm_voff, 3 * 4096 + 17);
	disk_free(a);
	disk_free(b);
}

static void
the_first_byte_that_differs_is_found_anywhere(void **state)
{
	static const uint64_t at[] = { 0, 1, 511, 4095, 4096, 8191, 8192,
		2 * 4096 + 1, 3 * 4096 - 2 };
	struct disk *a, *b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		a = disk_draw_as("ddd", 4096, 1, IMG_ALLOW_WRITE);
		b = disk_draw_as("ddd", 4096, 1, IMG_ALLOW_WRITE);
		b->d_bytes[at[i]] ^= 0x80;
		b->d_bytes[3 * 4096 - 2] ^= 0x80;
		if (at[i] == 3 * 4096 - 2)
			b->d_bytes[at[i]] ^= 0x80 ^ 0x01;
		assert_int_equal(compare(a, b, 0), 0);
		assert_int_equal(res.cm_equal, 0);
		assert_int_equal(res.cm_voff, at[i]);
		assert_int_equal(compare(a, a, 0), 0);
		assert_int_equal(res.cm_equal, 1);
		disk_free(a);
		disk_free(b);
	}
}

static void
a_difference_beyond_the_first_piece_is_found(void **state)
{
	char map[601];
	struct disk *a, *b;

	(void)state;
	memset(map, 'd', 600);
	map[600] = '\0';
	a = disk_draw(map);
	b = disk_draw(map);
	b->d_bytes[599 * 4096 + 4095] ^= 1;
	assert_int_equal(compare(a, b, 0), 0);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 599 * 4096 + 4095);
	disk_free(a);
	disk_free(b);
}

static void
a_longer_disk_is_equal_when_its_tail_is_zeros(void **state)
{
	(void)state;
	drawn("dd", "ddh0z", 0);
	assert_int_equal(res.cm_equal, 1);
	assert_int_equal(res.cm_extra, 2 * 4096);
	drawn("ddh0z", "dd", 0);
	assert_int_equal(res.cm_equal, 1);
	assert_int_equal(res.cm_extra, 2 * 4096);
}

static void
a_longer_disk_differs_when_its_tail_has_data(void **state)
{
	(void)state;
	drawn("dd", "ddh0d", 0);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 4 * 4096);
	assert_int_equal(res.cm_extra, 2 * 4096);
	drawn("", "d", 0);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 0);
	assert_int_equal(res.cm_extra, 0);
}

static void
strict_wants_equal_sizes(void **state)
{
	(void)state;
	drawn("dd", "ddh", IMG_COMPARE_STRICT);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 2 * 4096);
	assert_int_equal(res.cm_extra, 2 * 4096);
}

static void
strict_wants_equal_allocation(void **state)
{
	(void)state;
	drawn("dh0h", "dz00", IMG_COMPARE_STRICT);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 3 * 4096);
	drawn("dh0h", "dz0z", IMG_COMPARE_STRICT);
	assert_int_equal(res.cm_equal, 1);
	drawn("ddd", "d0h", IMG_COMPARE_STRICT);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_voff, 1 * 4096);
}

static void
the_side_that_cannot_be_read_is_named(void **state)
{
	struct disk *a = disk_draw("dd"), *b = disk_draw("dd");

	(void)state;
	b->d_unread = EIO;
	assert_int_equal(compare(a, b, 0), EIO);
	assert_int_equal(res.cm_error_in, 1);
	assert_int_equal(compare(b, a, 0), EIO);
	assert_int_equal(res.cm_error_in, 0);
	disk_free(a);
	disk_free(b);
}

static void
a_bad_entry_is_an_error_of_its_side(void **state)
{
	struct disk *a = disk_draw("ddh"), *b = disk_draw("ddb");

	(void)state;
	assert_int_equal(compare(a, b, 0), EIO);
	assert_int_equal(res.cm_error_in, 1);
	assert_int_equal(compare(b, a, 0), EIO);
	assert_int_equal(res.cm_error_in, 0);
	disk_free(a);
	disk_free(b);
}

static void
holes_of_a_disk_that_may_not_be_read_are_no_zeros(void **state)
{
	struct disk *a = disk_draw("hh");
	struct disk *b = disk_draw_as("hh", 4 * K, 0, IMG_ALLOW_MAP);

	(void)state;
	assert_int_not_equal(compare(a, b, 0), 0);
	assert_int_equal(res.cm_equal, 0);
	assert_int_equal(res.cm_error_in, 1);
	disk_free(a);
	disk_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_bytes_are_equal_however_they_are_stored),
		cmocka_unit_test(what_both_know_to_be_zeros_is_not_read),
		cmocka_unit_test(
		    zeros_against_data_differ_where_the_data_is_not_zero),
		cmocka_unit_test(the_first_byte_that_differs_is_found_anywhere),
		cmocka_unit_test(a_difference_beyond_the_first_piece_is_found),
		cmocka_unit_test(a_longer_disk_is_equal_when_its_tail_is_zeros),
		cmocka_unit_test(a_longer_disk_differs_when_its_tail_has_data),
		cmocka_unit_test(strict_wants_equal_sizes),
		cmocka_unit_test(strict_wants_equal_allocation),
		cmocka_unit_test(the_side_that_cannot_be_read_is_named),
		cmocka_unit_test(a_bad_entry_is_an_error_of_its_side),
		cmocka_unit_test(
		    holes_of_a_disk_that_may_not_be_read_are_no_zeros),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
