/* SPDX-License-Identifier: ISC */

/* A VHD on a device: what its first block must leave alone. */

#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define DISK (8 * (uint64_t)BLOCK)

/* The batmap's header follows the BAT at 2048, its map is the next sector. */
static void
on_a_device_the_first_block_leaves_the_batmap_alone(void **state)
{
	static uint8_t block[BLOCK];
	struct fx fx;

	(void)state;
	fx_init(&fx);
	mem_device(&fx.fx_mem, 32768);
	mkvhd_make(&fx.fx_k, &fx.fx_mem, DISK, BLOCK, NULL, 0);
	memcpy(fx.fx_k.k_footer + 28, "tap\0\0\1\0\3", 8);
	mkvhd_footer(&fx.fx_k, 0);
	mkvhd_footer(&fx.fx_k, 32768 - 512);
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	assert_int_equal(img_write(fx.fx_im, block, BLOCK, 0), 0);
	assert_true(mem_is(&fx.fx_mem, 2048, 1024, 0xa5));
	assert_false(mem_is(&fx.fx_mem, 3072 + 512, BLOCK, 0xa5));
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    on_a_device_the_first_block_leaves_the_batmap_alone),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
