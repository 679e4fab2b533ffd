/* SPDX-License-Identifier: ISC */

/* The end of an attachment: asked for, or forced. */

#include "driver/fx.h"

static const char *const image[] = { "a.qcow2", "dyn.vhd", "fixed.vhd" };

static void
force_writes_dirty_buffers_first(void **state)
{
	uint8_t buf[512];
	struct fx fx;
	int i, k, fd[3];

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		fd[0] = k_open(fx.fx_face, 0, 0, 1, K_FREAD | K_FWRITE);
		fd[1] = k_open(fx.fx_face, 0, K_RAW, 1, K_FREAD | K_FWRITE);
		fd[2] = k_open(fx.fx_face, 0, 0, 0, K_FREAD);
		/* One in place, one that needs new space, one at the end. */
		for (k = 0; k < 3; k++) {
			static const uint64_t off[] = { 4096, 5 << 20,
				DISK - 512 };

			mem_pattern(fx.fx_guest + off[k], 512, off[k], 9);
			assert_int_equal(k_dirty(fd[k % 2],
					     fx.fx_guest + off[k], 512, off[k]),
			    0);
		}
		assert_int_equal(k_detach(fx.fx_ctl, 0), K_EBUSY);
		assert_int_equal(k_detach(fx.fx_ctl, 1), 0);
		fx_sound(&fx, 0);
		assert_true(fx.fx_file->hf_fsyncs > 0 || i == 2);
		/* What was open is dead, and can be closed. */
		assert_int_equal(k_read(fd[2], buf, 512, 0), -K_EIO);
		for (k = 0; k < 3; k++)
			assert_int_equal(k_close(fd[k]), 0);
		fx_drop(&fx);
	}
}

static void
force_works_where_nothing_else_is_open(void **state)
{
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		fx_write(&fx, 5 << 20, 65536, 1);
		assert_int_equal(k_close(fx.fx_disk), 0);
		fx.fx_disk = -1;
		assert_int_equal(k_detach(fx.fx_ctl, 7), 0);
		fx_sound(&fx, 0);
		/* Its own descriptor was revoked as well. */
		assert_int_equal(k_detach(fx.fx_ctl, 0), K_EBADF);
		fd = k_open(fx.fx_face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
		assert_true(fd >= 0);
		assert_int_equal(k_attach(fd, "disk", 0, 0), 0);
		assert_int_equal(k_detach(fd, 0), 0);
		assert_int_equal(k_close(fd), 0);
		fx_drop(&fx);
	}
}

static void
bufs_under_way_end_before_the_image_does(void **state)
{
	struct k_buf *kb[40];
	struct fx fx;
	int i, k;

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		k_hold();
		for (k = 0; k < 40; k++) {
			mem_pattern(fx.fx_guest + k * 200000 / 512 * 512, 512,
			    k, 3);
			kb[k] = k_submit(fx.fx_disk, 1,
			    fx.fx_guest + k * 200000 / 512 * 512, 512,
			    k * 200000 / 512);
			assert_false(k_done(kb[k]));
		}
		assert_int_equal(k_close(fx.fx_disk), 0);
		fx.fx_disk = -1;
		k_release();
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		for (k = 0; k < 40; k++) {
			assert_true(k_done(kb[k]));
			assert_int_equal(k_wait(kb[k], NULL), 0);
		}
		fx_sound(&fx, 0);
		fx_drop(&fx);
	}
}

static void
the_error_of_the_last_flush_is_told(void **state)
{
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		host_fail(F_FSYNC, 1, 1);
		assert_int_equal(k_write(fx.fx_disk, fx.fx_guest, 512, 5 << 20),
		    -K_EIO);
		/* From now on it only reads. */
		assert_int_equal(k_write(fx.fx_disk, fx.fx_guest, 512, 0),
		    -K_EIO);
		fx_look(&fx, 0, 4096);
		assert_int_equal(k_close(fx.fx_disk), 0);
		fx.fx_disk = -1;
		assert_int_equal(k_detach(fx.fx_ctl, 0), K_EIO);
		/* It is gone all the same. */
		assert_int_equal(k_detach(fx.fx_ctl, 0), K_ENXIO);
		host_fail_reset();
		fx_sound(&fx, 1);
		fx_drop(&fx);
	}
}

static void
the_error_of_closing_the_file_is_told(void **state)
{
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		assert_int_equal(k_close(fx.fx_disk), 0);
		fx.fx_disk = -1;
		host_fail(F_CLOSE, 1, 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), K_EIO);
		fx_drop(&fx);
	}
}

static void
a_unit_is_used_again_and_again(void **state)
{
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 30; i++) {
		fx_up(&fx, image[i % 3], "disk.raw", i % 2, 0);
		fx_look(&fx, 4096 * i, 4096);
		if (i % 2 == 0)
			fx_write(&fx, 100000 / 512 * 512 * i, 4096, i);
		fx_down(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(force_writes_dirty_buffers_first),
		TEST(force_works_where_nothing_else_is_open),
		TEST(bufs_under_way_end_before_the_image_does),
		TEST(the_error_of_the_last_flush_is_told),
		TEST(the_error_of_closing_the_file_is_told),
		TEST(a_unit_is_used_again_and_again),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
