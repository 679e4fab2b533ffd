/* SPDX-License-Identifier: ISC */

/* How often the backing file is read and written. */

#include "driver/fx.h"

#define DATA (777u * 4096) /* allocated, in the second block of a VHD */

static const struct {
	const char *image;
	unsigned unit;
} image[] = { { "a.qcow2", 65536 }, { "dyn.vhd", 2 << 20 } };

static void
two_reads_in_one_block_read_the_file_once(void **state)
{
	struct fx fx;
	unsigned i, at;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i].image, "disk.raw", 0, 0);
		host_calls_reset(fx.fx_file);
		fx_look(&fx, DATA, 512);
		assert_int_equal(fx.fx_file->hf_reads, 1);
		/* All of the unit, in other pieces and orders. */
		at = DATA / image[i].unit * image[i].unit;
		fx_look(&fx, at, image[i].unit);
		fx_look(&fx, at + image[i].unit - 512, 512);
		fx_look(&fx, DATA + 512, 4096);
		assert_int_equal(fx.fx_file->hf_reads, 1);
		assert_int_equal(fx.fx_file->hf_writes, 0);
		fx_down(&fx);
	}
}

static void
a_read_then_a_write_cost_one_read_and_one_write(void **state)
{
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i].image, "disk.raw", 0, 0);
		host_calls_reset(fx.fx_file);
		fx_look(&fx, DATA, 512);
		fx_write(&fx, DATA + 1024, 512, 1);
		assert_int_equal(fx.fx_file->hf_reads, 1);
		assert_int_equal(fx.fx_file->hf_writes, 1);
		assert_int_equal(fx.fx_file->hf_fsyncs, 0);
		/* And the next read has what was written. */
		fx_look(&fx, DATA, 8192);
		assert_int_equal(fx.fx_file->hf_reads, 1);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

static void
without_slots_every_read_reads_the_file(void **state)
{
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		k_slots(K_QCOW, 0);
		k_slots(K_VHD, 0);
		fx_up(&fx, image[i].image, "disk.raw", 0, 0);
		fx_look(&fx, DATA, 512); /* the tables */
		host_calls_reset(fx.fx_file);
		fx_look(&fx, DATA, 512);
		fx_look(&fx, DATA, 512);
		fx_look(&fx, DATA + 512, 512);
		assert_int_equal(fx.fx_file->hf_reads, 3);
		fx_write(&fx, DATA, 512, 1);
		fx_look(&fx, DATA, 512);
		assert_int_equal(fx.fx_file->hf_reads, 4);
		assert_int_equal(fx.fx_file->hf_writes, 1);
		fx_down(&fx);
	}
}

static void
tables_are_read_once(void **state)
{
	struct fx fx;
	unsigned i, k;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i].image, "disk.raw", 0, 0);
		fx_look(&fx, 0, DISK);
		host_calls_reset(fx.fx_file);
		/* What has no space in the file is known from tables. */
		for (k = 0; k < 10; k++)
			fx_look(&fx, (5u << 20) + k * 4096, 4096);
		assert_int_equal(fx.fx_file->hf_reads, 0);
		fx_down(&fx);
	}
}

static void
slots_serve_as_many_blocks_as_there_are(void **state)
{
	uint64_t misses;
	struct fx fx;
	unsigned i, k, slots;

	(void)state;
	for (slots = 1; slots <= 3; slots++)
		for (i = 0; i < 2; i++) {
			k_slots(K_QCOW, slots);
			k_slots(K_VHD, slots);
			fx_up(&fx, image[i].image, "disk.raw", 0, 0);
			fx_look(&fx, 0, DISK);
			host_calls_reset(fx.fx_file);
			/* Two blocks in turn. */
			for (k = 0; k < 10; k++) {
				fx_look(&fx, k % 2 == 0 ? 0 : DATA, 4096);
				if (k == 1)
					misses = fx.fx_file->hf_reads;
			}
			assert_int_equal(fx.fx_file->hf_reads,
			    slots == 1 ? 10 : misses);
			fx_down(&fx);
		}
}

static void
slots_that_cannot_be_had_are_an_error(void **state)
{
	struct fx fx;

	(void)state;
	fx_put(&fx, "a.qcow2");
	k_slots(K_QCOW, 100000);
	assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), K_EINVAL);
	k_slots(K_QCOW, -1);
	assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), K_EINVAL);
	fx_clean(1);
	fx_drop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_reads_in_one_block_read_the_file_once),
		TEST(a_read_then_a_write_cost_one_read_and_one_write),
		TEST(without_slots_every_read_reads_the_file),
		TEST(tables_are_read_once),
		TEST(slots_serve_as_many_blocks_as_there_are),
		TEST(slots_that_cannot_be_had_are_an_error),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
