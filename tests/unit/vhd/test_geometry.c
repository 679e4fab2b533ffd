/* SPDX-License-Identifier: ISC */

/* CHS geometry: the vectors were cross-checked against other writers. */

#include "unit/help/test.h"

#include "vhd/vhd.h"

#define MIB UINT64_C(2048) /* sectors */

static void
sizes_give_the_geometry_that_everybody_computes(void **state)
{
	static const struct {
		uint64_t sectors;
		uint32_t c, h, s;
		uint64_t product;
	} vectors[] = {
		{ 1, 0, 4, 17, 0 },
		{ 67, 0, 4, 17, 0 },
		{ 68, 1, 4, 17, 68 },
		{ MIB, 30, 4, 17, 2040 },
		{ 4 * MIB, 120, 4, 17, 8160 },
		{ 69631, 1023, 4, 17, 69564 },
		{ 34 * MIB, 140, 16, 31, 69440 },
		{ 100 * MIB, 1003, 12, 17, 204612 },
		{ 278527, 1023, 16, 17, 278256 },
		{ 136 * MIB, 561, 16, 31, 278256 },
		{ 507903, 1023, 16, 31, 507408 },
		{ 248 * MIB, 503, 16, 63, 507024 },
		{ 504 * MIB, 1024, 16, 63, 1032192 },
		{ 1024 * MIB, 2080, 16, 63, 2096640 },
		{ 66059279, 65534, 16, 63, 66058272 },
		{ 66059280, 16191, 16, 255, 66059280 },
		{ 267382800, 65535, 16, 255, 267382800 },
		{ 267382801, 65535, 16, 255, 267382800 },
		{ UINT64_C(0xff000000), 65535, 16, 255, 267382800 },
		{ UINT64_C(0x7fffffffffffff), 65535, 16, 255, 267382800 },
		{ 8228, 121, 4, 17, 8228 },
	};
	uint32_t chs;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(vectors); i++) {
		chs = vhd_geometry(vectors[i].sectors * 512);
		assert_int_equal(chs >> 16, vectors[i].c);
		assert_int_equal(chs >> 8 & 0xff, vectors[i].h);
		assert_int_equal(chs & 0xff, vectors[i].s);
		assert_int_equal(vhd_chs_sectors(chs), vectors[i].product);
	}
}

static void
bytes_beyond_the_last_sector_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(vhd_geometry(68 * 512 - 1), vhd_geometry(67 * 512));
	assert_int_equal(vhd_geometry(68 * 512 + 511), vhd_geometry(68 * 512));
	assert_int_equal(vhd_geometry(UINT64_MAX), VHD_CHS_MAX);
}

/* The product falls short by less than a cylinder, and never exceeds. */
static void
the_product_is_never_more_than_the_size(void **state)
{
	uint64_t sectors, got, seed = 4;
	uint32_t chs, i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		sectors = mem_random(&seed) % 267382801u;
		if (i % 2 == 0)
			sectors >>= mem_random(&seed) % 24;
		chs = vhd_geometry(sectors * 512);
		got = vhd_chs_sectors(chs);
		assert_true(got <= sectors);
		assert_true(sectors - got < (chs >> 8 & 0xff) * (chs & 0xff));
		assert_true((chs >> 8 & 0xff) <= 16);
	}
}

static void
products_need_more_than_31_bits(void **state)
{
	(void)state;
	assert_true(
	    vhd_chs_sectors(0xffffffffu) == UINT64_C(65535) * 255 * 255);
	assert_int_equal(vhd_chs_sectors(0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    sizes_give_the_geometry_that_everybody_computes),
		cmocka_unit_test(bytes_beyond_the_last_sector_do_not_count),
		cmocka_unit_test(the_product_is_never_more_than_the_size),
		cmocka_unit_test(products_need_more_than_31_bits),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
