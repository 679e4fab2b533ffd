/* SPDX-License-Identifier: ISC */

/* Labels: made, read from the disk, changed, kept. */

#include "driver/fx.h"

static const char *const image[] = { "a.qcow2", "dyn.vhd" };

static void
a_disk_without_a_label_gets_a_default_one(void **state)
{
	struct k_label kl;
	struct fx fx;
	int i, how;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		for (how = K_GET; how <= K_PART; how++) {
			assert_int_equal(k_label(fx.fx_disk, how, K_RAW, &kl),
			    0);
			assert_int_equal(kl.kl_secsize, 512);
			assert_int_equal(kl.kl_size, DISK / 512);
			assert_int_equal(kl.kl_off, 0);
			assert_int_equal(kl.kl_len, DISK / 512);
			assert_int_equal(kl.kl_type, 12); /* DTYPE_VND */
			assert_string_equal(kl.kl_typename,
			    i == 0 ? "qcow device" : "vhd device");
		}
		fx_down(&fx);
	}
}

static void
a_control_descriptor_that_stays_open_hides_no_label(void **state)
{
	struct k_label kl;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		/* fx_ctl is open from before the attach to after the end. */
		fx_put(&fx, image[i]);
		assert_int_equal(k_open(fx.fx_face, 0, 0, 1, K_FREAD),
		    -K_ENXIO);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), 0);
		fd = k_open(fx.fx_face, 0, 0, 1, K_FREAD);
		assert_true(fd >= 0);
		assert_int_equal(k_label(fx.fx_ctl, K_GET, 0, &kl), 0);
		assert_int_equal(kl.kl_len, DISK / 512);
		assert_int_equal(k_close(fd), 0);
		/* Once more: the label of the last image is gone. */
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		assert_int_equal(k_label(fx.fx_ctl, K_GET, 0, &kl), K_ENOTTY);
		assert_int_equal(k_open(fx.fx_face, 0, 0, 1, K_FREAD),
		    -K_ENXIO);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), 0);
		fd = k_open(fx.fx_face, 0, 0, 0, K_FREAD);
		assert_true(fd >= 0);
		assert_int_equal(k_close(fd), 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

static void
a_label_is_written_and_found_again(void **state)
{
	struct k_label kl;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 4; i++) {
		fx_up(&fx, image[i / 2], "disk.raw", 0, 0);
		/* i odd: in core only, which a detach forgets. */
		assert_int_equal(k_setlabel(fx.fx_disk, i % 2 == 0, 4, 64, 800),
		    0);
		assert_int_equal(k_label(fx.fx_disk, K_GET, 4, &kl), 0);
		assert_int_equal(kl.kl_off, 64);
		assert_int_equal(kl.kl_len, 800);
		assert_int_equal(k_label(fx.fx_disk, K_DEFAULT, 4, &kl), 0);
		assert_int_equal(kl.kl_len, 0);
		assert_int_equal(k_label(fx.fx_disk, K_REREAD, 4, &kl), 0);
		assert_int_equal(kl.kl_len, i % 2 == 0 ? 800 : 0);
		assert_int_equal(k_close(fx.fx_disk), 0);
		fx.fx_disk = -1;
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), 0);
		fd = k_open(fx.fx_face, 0, 4, 0, K_FREAD);
		assert_int_equal(fd >= 0, i % 2 == 0);
		if (fd >= 0) {
			assert_int_equal(k_label(fd, K_PART, 4, &kl), 0);
			assert_int_equal(kl.kl_off, 64);
			assert_int_equal(k_close(fd), 0);
		}
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

static void
a_label_is_set_only_by_who_may_write(void **state)
{
	struct k_label kl;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		fd = k_open(fx.fx_face, 0, 0, 0, K_FREAD);
		assert_int_equal(k_setlabel(fd, 0, 4, 64, 800), K_EBADF);
		assert_int_equal(k_setlabel(fd, 1, 4, 64, 800), K_EBADF);
		assert_int_equal(k_odd(fd), K_ENOTTY);
		/* Partition a is open: it neither moves nor shrinks. */
		assert_int_equal(k_setlabel(fx.fx_disk, 0, 0, 8, 8), K_EBUSY);
		assert_int_equal(k_label(fd, K_PART, 0, &kl), 0);
		assert_int_equal(kl.kl_len, DISK / 512);
		assert_int_equal(k_close(fd), 0);
		assert_int_equal(k_setlabel(fx.fx_disk, 0, 0, 8, 8), 0);
		host_fail(F_DISKLOCK, 1, 0);
		assert_int_equal(k_setlabel(fx.fx_disk, 0, 0, 8, 8), K_EINTR);
		host_fail(F_DISKLOCK, 1, 0);
		assert_int_equal(k_label(fx.fx_disk, K_REREAD, 0, &kl),
		    K_EINTR);
		fx_down(&fx);
	}
}

static void
a_label_that_cannot_be_read_is_the_default_one(void **state)
{
	struct k_label kl;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, image[i]);
		k_slots(fx.fx_face, 0);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), 0);
		host_fail(F_READ, 1, 1);
		fd = k_open(fx.fx_face, 0, K_RAW, 1, K_FREAD);
		host_fail_reset();
		assert_true(fd >= 0);
		assert_int_equal(k_label(fx.fx_ctl, K_GET, K_RAW, &kl), 0);
		assert_int_equal(kl.kl_len, DISK / 512);
		assert_int_equal(k_close(fd), 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_without_a_label_gets_a_default_one),
		TEST(a_control_descriptor_that_stays_open_hides_no_label),
		TEST(a_label_is_written_and_found_again),
		TEST(a_label_is_set_only_by_who_may_write),
		TEST(a_label_that_cannot_be_read_is_the_default_one),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
