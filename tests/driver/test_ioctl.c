/* SPDX-License-Identifier: ISC */

/* Who may control a unit, when, and what the answers are. */

#include "driver/fx.h"

static const char *const image[] = { "a.qcow2", "dyn.vhd" };

/* Every control ioctl through this descriptor gives this error. */
static void
all_refused(int fd, int error)
{
	char name[K_NAMELEN];
	unsigned long long n, ino;
	struct k_unit ku;

	assert_int_equal(k_attach(fd, "disk", 1, 0), error);
	assert_int_equal(k_detach(fd, 0), error);
	assert_int_equal(k_detach(fd, 1), error);
	assert_int_equal(k_fname(fd, name), error);
	assert_int_equal(k_stat(fd, &n, &ino), error);
	assert_int_equal(k_list(fd, 0, &ku), error);
}

static void
only_the_raw_character_partition_controls(void **state)
{
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		fd = k_open(fx.fx_face, 0, 0, 0, K_FREAD | K_FWRITE);
		all_refused(fd, K_ENOTTY);
		k_close(fd);
		fd = k_open(fx.fx_face, 0, K_RAW, 1, K_FREAD | K_FWRITE);
		all_refused(fd, K_ENOTTY);
		k_close(fd);
		fd = k_open(fx.fx_face, 0, 0, 1, K_FREAD | K_FWRITE);
		all_refused(fd, K_ENOTTY);
		k_close(fd);
		fx_down(&fx);
	}
}

static void
attach_and_detach_need_a_descriptor_for_writing(void **state)
{
	char name[K_NAMELEN];
	unsigned long long n, ino;
	struct k_unit ku;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, image[i]);
		fd = k_open(fx.fx_face, 0, K_RAW, 0, K_FREAD);
		assert_int_equal(k_attach(fd, "disk", 1, 0), K_EBADF);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 1, 0), 0);
		assert_int_equal(k_detach(fd, 0), K_EBADF);
		assert_int_equal(k_detach(fd, 1), K_EBADF);
		assert_int_equal(k_fname(fd, name), 0);
		assert_int_equal(k_stat(fd, &n, &ino), 0);
		assert_int_equal(k_list(fd, 0, &ku), 0);
		assert_int_equal(k_close(fd), 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

static void
without_an_image_only_attach_and_list_work(void **state)
{
	char name[K_NAMELEN];
	unsigned long long n, ino;
	struct k_label kl;
	struct k_unit ku;
	struct fx fx;
	int i, how;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, image[i]);
		assert_int_equal(k_detach(fx.fx_ctl, 0), K_ENXIO);
		assert_int_equal(k_detach(fx.fx_ctl, 1), K_ENXIO);
		assert_int_equal(k_fname(fx.fx_ctl, name), K_ENXIO);
		assert_int_equal(k_stat(fx.fx_ctl, &n, &ino), K_ENXIO);
		assert_int_equal(k_list(fx.fx_ctl, 0, &ku), 0);
		assert_int_equal(ku.ku_attached, 0);
		for (how = K_GET; how <= K_PART; how++)
			assert_int_equal(k_label(fx.fx_ctl, how, 0, &kl),
			    K_ENOTTY);
		assert_int_equal(k_odd(fx.fx_ctl), K_ENOTTY);
		fx_drop(&fx);
	}
}

static void
the_name_is_told_as_it_was_given(void **state)
{
	static const char *const name[] = { "disk", "./../x//disk with  ",
		"\303\244\001" };
	char got[K_NAMELEN];
	struct k_unit ku;
	struct fx fx;
	int i, k;

	(void)state;
	for (i = 0; i < 6; i++) {
		k = i % 3;
		fx_put(&fx, image[i / 3]);
		fx.fx_file->hf_name = name[k];
		assert_int_equal(k_attach(fx.fx_ctl, name[k], 1, 0), 0);
		assert_int_equal(k_fname(fx.fx_ctl, got), 0);
		assert_string_equal(got, name[k]);
		assert_int_equal(k_list(fx.fx_ctl, 0, &ku), 0);
		assert_string_equal(ku.ku_name, name[k]);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

static void
a_name_must_be_readable_and_fit(void **state)
{
	char name[K_NAMELEN + 1];
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, image[i]);
		assert_int_equal(k_attach_bad(fx.fx_ctl), K_EFAULT);
		memset(name, 'a', sizeof(name));
		name[K_NAMELEN] = '\0';
		assert_int_equal(k_attach(fx.fx_ctl, name, 0, 0),
		    K_ENAMETOOLONG);
		name[K_NAMELEN - 1] = '\0';
		assert_int_equal(k_attach(fx.fx_ctl, name, 0, 0), K_ENOENT);
		fx.fx_file->hf_name = name;
		assert_int_equal(k_attach(fx.fx_ctl, name, 0, 0), 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

static void
stat_is_of_the_file_as_it_is_now(void **state)
{
	unsigned long long size, ino;
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		assert_int_equal(k_stat(fx.fx_ctl, &size, &ino), 0);
		assert_int_equal(size, fx.fx_file->hf_mem.m_len);
		assert_int_equal(ino, fx.fx_file->hf_node.hn_ino);
		fx_write(&fx, 5 << 20, 512, 1);
		assert_true(fx.fx_file->hf_mem.m_len > size);
		assert_int_equal(k_stat(fx.fx_ctl, &size, &ino), 0);
		assert_int_equal(size, fx.fx_file->hf_mem.m_len);
		fx_down(&fx);
	}
}

static void
list_tells_of_every_unit_until_the_last(void **state)
{
	struct k_unit ku;
	struct fx fx;
	int i, readonly;

	(void)state;
	for (i = 0; i < 4; i++) {
		readonly = i % 2;
		fx_up(&fx, image[i / 2], "disk.raw", readonly, 0);
		assert_int_equal(k_list(fx.fx_ctl, 0, &ku), 0);
		assert_int_equal(ku.ku_attached, 1);
		assert_int_equal(ku.ku_readonly, readonly);
		assert_int_equal(ku.ku_size, DISK);
		assert_string_equal(ku.ku_name, "disk");
		assert_int_equal(k_list(fx.fx_ctl, 1, &ku), 0);
		assert_int_equal(ku.ku_attached, 0);
		assert_int_equal(k_list(fx.fx_ctl, 2, &ku), K_ENXIO);
		assert_int_equal(k_list(fx.fx_ctl, ~0u, &ku), K_ENXIO);
		fx_down(&fx);
	}
}

static void
a_unit_that_does_not_exist_is_no_device(void **state)
{
	int face;

	(void)state;
	for (face = K_QCOW; face <= K_VHD; face++) {
		assert_int_equal(k_open(face, 2, K_RAW, 0, K_FREAD), -K_ENXIO);
		assert_int_equal(k_open(face, 3, K_RAW, 1, K_FREAD), -K_ENXIO);
		assert_int_equal(k_size(face, 0), -1);
		assert_int_equal(k_dump(face, 0), K_ENXIO);
	}
	fx_clean(0);
}

static void
an_attached_unit_is_busy(void **state)
{
	struct host_file *other;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 0, 0);
		other = host_file("other", fx_image(image[i]));
		assert_int_equal(k_attach(fx.fx_ctl, "other", 0, 0), K_EBUSY);
		/* And so is its file, for another unit. */
		fd = k_open(fx.fx_face, 1, K_RAW, 0, K_FREAD | K_FWRITE);
		assert_int_equal(k_attach(fd, "disk", 0, 0), K_EBUSY);
		assert_int_equal(k_attach(fd, "disk", 1, 0), K_EBUSY);
		assert_int_equal(k_attach(fd, "other", 1, 0), 0);
		assert_int_equal(k_detach(fd, 0), 0);
		assert_int_equal(k_close(fd), 0);
		host_file_free(other);
		fx_down(&fx);
	}
}

static void
detach_is_refused_while_anything_else_is_open(void **state)
{
	static const struct {
		int part, block;
	} open[] = { { 0, 0 }, { 0, 1 }, { K_RAW, 1 } };
	struct fx fx;
	unsigned k;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++)
		for (k = 0; k < LENGTH_OF(open); k++) {
			fx_up(&fx, image[i], "disk.raw", 0, 0);
			fd = k_open(fx.fx_face, 0, open[k].part, open[k].block,
			    K_FREAD);
			assert_true(fd >= 0);
			assert_int_equal(k_detach(fx.fx_ctl, 0), K_EBUSY);
			fx_look(&fx, 0, 65536);
			assert_int_equal(k_close(fd), 0);
			assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
			assert_int_equal(k_detach(fx.fx_ctl, 0), K_ENXIO);
			fx_drop(&fx);
		}
}

static void
a_read_only_unit_opens_for_writing_only_to_be_controlled(void **state)
{
	uint8_t buf[512] = { 0 };
	struct k_label kl;
	struct fx fx;
	int i, fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i], "disk.raw", 1, 0);
		assert_int_equal(k_open(fx.fx_face, 0, 0, 0, K_FWRITE),
		    -K_EROFS);
		assert_int_equal(k_open(fx.fx_face, 0, 0, 1, K_FWRITE),
		    -K_EROFS);
		assert_int_equal(k_open(fx.fx_face, 0, K_RAW, 1, K_FWRITE),
		    -K_EROFS);
		fd = k_open(fx.fx_face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
		assert_true(fd >= 0);
		assert_int_equal(k_write(fd, buf, 512, 0), -K_EROFS);
		assert_int_equal(k_setlabel(fd, 1, 3, 8, 8), K_EROFS);
		assert_int_equal(k_label(fd, K_GET, 3, &kl), 0);
		assert_int_equal(kl.kl_len, 0);
		assert_int_equal(k_close(fd), 0);
		fx_look(&fx, 0, DISK);
		assert_int_equal(fx.fx_file->hf_writes, 0);
		fx_down(&fx);
	}
}

static void
a_lock_that_is_interrupted_says_so(void **state)
{
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, image[i]);
		host_fail(F_DISKLOCK, 1, 0);
		assert_int_equal(k_open(fx.fx_face, 0, K_RAW, 0, K_FREAD),
		    -K_EINTR);
		host_fail(F_DISKLOCK, 1, 0);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), K_EINTR);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		fx_drop(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_the_raw_character_partition_controls),
		TEST(attach_and_detach_need_a_descriptor_for_writing),
		TEST(without_an_image_only_attach_and_list_work),
		TEST(the_name_is_told_as_it_was_given),
		TEST(a_name_must_be_readable_and_fit),
		TEST(stat_is_of_the_file_as_it_is_now),
		TEST(list_tells_of_every_unit_until_the_last),
		TEST(a_unit_that_does_not_exist_is_no_device),
		TEST(an_attached_unit_is_busy),
		TEST(detach_is_refused_while_anything_else_is_open),
		TEST(a_read_only_unit_opens_for_writing_only_to_be_controlled),
		TEST(a_lock_that_is_interrupted_says_so),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
