/* SPDX-License-Identifier: ISC */

/* What becomes a disk, and what is refused with one line that says why. */

#include "driver/fx.h"

/* The attach fails with that, and the one line has this in it. */
static void
refused(const char *image, int readonly, int error, const char *line)
{
	const char *nl;
	struct fx fx;

	fx_put(&fx, image);
	assert_int_equal(k_attach(fx.fx_ctl, "disk", readonly, 0), error);
	nl = strchr(host_logged(), '\n');
	if (nl == NULL || nl[1] != '\0' ||
	    strncmp(host_logged(),
		fx.fx_face == K_QCOW ? "qcow0: " : "vhd0: ", 5) != 0 ||
	    strstr(host_logged(), line) == NULL)
		fail_msg("%s: logged \"%s\", not a line with \"%s\"", image,
		    host_logged(), line);
	assert_int_equal(fx.fx_file->hf_writes, 0);
	/* The unit is free, and as good as new. */
	fx_clean(1);
	fx_drop(&fx);
}

static void
what_is_invalid_or_corrupt_is_refused_with_its_row(void **state)
{
	static const struct {
		const char *image, *row;
	} bad[] = {
		{ "invalid.qcow2", ": QCOW2-1 at 0: " },
		{ "feature.qcow2", ": QCOW2-6 at 72: " },
		{ "range.qcow2", ": QCOW2-39 at " },
		{ "aes.qcow2", ": QCOW2-113 at 32: " },
		{ "invalid.vhd", ": VHD-4 at 0: " },
		{ "range.vhd", ": VHD-51 at 1536: " },
	};
	size_t i;
	int readonly;

	(void)state;
	for (i = 0; i < LENGTH_OF(bad); i++)
		for (readonly = 0; readonly < 2; readonly++)
			refused(bad[i].image, readonly, K_EFTYPE, bad[i].row);
}

static void
what_is_marked_corrupt_can_still_be_read(void **state)
{
	struct fx fx;

	(void)state;
	refused("corrupt.qcow2", 0, K_EROFS, ": QCOW2-13 at 72: ");
	fx_up(&fx, "corrupt.qcow2", "disk.raw", 1, 0);
	fx_look(&fx, 0, DISK);
	fx_down(&fx);
}

static void
what_a_kernel_does_not_serve_is_refused(void **state)
{
	int readonly;

	(void)state;
	for (readonly = 0; readonly < 2; readonly++) {
		refused("backed.qcow2", readonly, K_ENOTSUP,
		    "image needs a backing file");
		refused("ext.qcow2", readonly, K_ENOTSUP,
		    "image needs an external data file");
		refused("packed.qcow2", readonly, K_ENOTSUP,
		    "image has compressed clusters");
	}
}

static void
an_image_of_the_other_format_is_refused(void **state)
{
	struct host_file *other;
	struct fx fx;

	(void)state;
	fx_put(&fx, "dyn.vhd");
	other = host_file("other", fx_image("a.qcow2"));
	assert_int_equal(k_attach(fx.fx_ctl, "other", 0, 0), K_EFTYPE);
	host_file_free(other);
	fx_drop(&fx);
	fx_put(&fx, "a.qcow2");
	other = host_file("other", fx_image("dyn.vhd"));
	assert_int_equal(k_attach(fx.fx_ctl, "other", 0, 0), K_EFTYPE);
	host_file_free(other);
	other = host_file("empty", NULL);
	assert_int_equal(k_attach(fx.fx_ctl, "empty", 0, 0), K_EFTYPE);
	host_file_free(other);
	fx_drop(&fx);
}

static void
a_file_that_cannot_be_written_attaches_only_for_reading(void **state)
{
	static const int error[] = { K_EROFS, K_EACCES, K_EPERM };
	static const char *const image[] = { "a.qcow2", "dyn.vhd",
		"fixed.vhd" };
	struct k_unit ku;
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 9; i++) {
		fx_put(&fx, image[i / 3]);
		fx.fx_file->hf_node.hn_werror = error[i % 3];
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0),
		    error[i % 3]);
		fx_clean(1);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 1, 0), 0);
		assert_int_equal(k_list(fx.fx_ctl, 0, &ku), 0);
		assert_int_equal(ku.ku_readonly, 1);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		assert_int_equal(fx.fx_file->hf_writes, 0);
		fx_drop(&fx);
	}
}

static void
only_regular_files_that_can_be_opened_attach(void **state)
{
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, i == 0 ? "a.qcow2" : "dyn.vhd");
		assert_int_equal(k_attach(fx.fx_ctl, "none", 0, 0), K_ENOENT);
		fx.fx_file->hf_node.hn_error = K_EACCES;
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 1, 0), K_EACCES);
		fx.fx_file->hf_node.hn_error = 0;
		fx.fx_file->hf_node.hn_type = HOST_DIR;
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), K_EISDIR);
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 1, 0),
		    K_EOPNOTSUPP);
		fx.fx_file->hf_node.hn_type = HOST_CHR;
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0),
		    K_EOPNOTSUPP);
		fx_drop(&fx);
	}
}

/* Block majors: see kern_user.c. */
static void
a_file_on_a_disk_of_ours_is_refused(void **state)
{
	static const int major[] = { 18, 19 };
	struct host_file *other;
	struct fx on;
	int i, k, fd;

	(void)state;
	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++) {
			fx_up(&on, k == 0 ? "a.qcow2" : "dyn.vhd", NULL, 0, 0);
			other = host_file("other",
			    fx_image(i == 0 ? "a.qcow2" : "dyn.vhd"));
			other->hf_node.hn_major = major[k];
			fd = k_open(i == 0 ? K_QCOW : K_VHD, 1, K_RAW, 0,
			    K_FREAD | K_FWRITE);
			assert_int_equal(k_attach(fd, "other", 0, 0), K_EINVAL);
			assert_int_equal(k_attach(fd, "other", 1, 0), K_EINVAL);
			assert_int_equal(k_close(fd), 0);
			host_file_free(other);
			fx_down(&on);
		}
}

static void
sectors_are_512_bytes_to_64_kib(void **state)
{
	struct k_label kl;
	unsigned bits, k;
	struct fx fx;

	(void)state;
	for (bits = 0; bits < 40; bits++) {
		fx_put(&fx, "a.qcow2");
		if (bits != 0 && (bits < 9 || bits > 16)) {
			assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, bits),
			    K_EINVAL);
			fx_drop(&fx);
			continue;
		}
		fx_drop(&fx);
		fx_up(&fx, "a.qcow2", "disk.raw", 0, bits);
		assert_int_equal(k_label(fx.fx_disk, K_GET, K_RAW, &kl), 0);
		k = 1u << (bits == 0 ? 9 : bits);
		assert_int_equal(kl.kl_secsize, k);
		assert_int_equal(kl.kl_size, DISK / k);
		assert_int_equal(kl.kl_len, DISK / k);
		fx_look(&fx, 0, DISK);
		fx_write(&fx, 1 << 20, 65536, bits);
		fx_look(&fx, 0, DISK);
		assert_int_equal(k_write(fx.fx_disk, fx.fx_guest, k / 2, 0),
		    -K_EINVAL);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
	fx_put(&fx, "a.qcow2");
	assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, ~0u), K_EINVAL);
	fx_drop(&fx);
}

static void
a_disk_ends_with_its_last_whole_sector(void **state)
{
	uint8_t buf[65536];
	struct fx fx;

	(void)state;
	fx_up(&fx, "odd.qcow2", NULL, 0, 16);
	/* 1000448 is 15 sectors of 64 KiB and a part. */
	assert_int_equal(k_read(fx.fx_disk, buf, 65536, 14 * 65536), 65536);
	assert_int_equal(k_read(fx.fx_disk, buf, 65536, 15 * 65536), 0);
	fx_down(&fx);
	fx_up(&fx, "odd.qcow2", NULL, 0, 9);
	assert_int_equal(k_read(fx.fx_disk, buf, 1024, 1953 * 512), 512);
	fx_down(&fx);
}

static void
an_image_with_snapshots_is_written_beside_them(void **state)
{
	struct fx fx;

	(void)state;
	fx_up(&fx, "snap.qcow2", "snap.raw", 0, 0);
	fx_look(&fx, 0, DISK);
	fx_write(&fx, 0, 512, 1);
	fx_write(&fx, 200 * 512, 3 * 65536, 2);
	fx_write(&fx, 4 << 20, 512, 3);
	fx_look(&fx, 0, DISK);
	assert_int_equal(k_close(fx.fx_disk), 0);
	fx.fx_disk = -1;
	assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
	fx_sound(&fx, 0);
	assert_int_equal(fx_run("qemu-img convert -l one -f qcow2 -O raw %s %s",
			     fx_saved("image"), fx_saved("one")),
	    0);
	assert_int_equal(fx_run("cmp %s %s", fx_saved("one"),
			     fx_image("disk.raw")),
	    0);
	fx_drop(&fx);
}

static void
attaching_for_reading_never_writes(void **state)
{
	static const char *const image[] = { "a.qcow2", "dyn.vhd", "fixed.vhd",
		"snap.qcow2", "empty.vhd", "tiny.vhd" };
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i],
		    i < 3      ? "disk.raw" :
			i == 3 ? "snap.raw" :
				 NULL,
		    1, 0);
		fx_look(&fx, 0, i == 5 ? 4 << 20 : DISK);
		assert_int_equal(k_close(fx.fx_disk), 0);
		fx.fx_disk = -1;
		assert_int_equal(k_detach(fx.fx_ctl, 1), 0);
		assert_int_equal(fx.fx_file->hf_writes, 0);
		assert_int_equal(fx.fx_file->hf_fsyncs, 0);
		fx_drop(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_invalid_or_corrupt_is_refused_with_its_row),
		TEST(what_is_marked_corrupt_can_still_be_read),
		TEST(what_a_kernel_does_not_serve_is_refused),
		TEST(an_image_of_the_other_format_is_refused),
		TEST(a_file_that_cannot_be_written_attaches_only_for_reading),
		TEST(only_regular_files_that_can_be_opened_attach),
		TEST(a_file_on_a_disk_of_ours_is_refused),
		TEST(sectors_are_512_bytes_to_64_kib),
		TEST(a_disk_ends_with_its_last_whole_sector),
		TEST(an_image_with_snapshots_is_written_beside_them),
		TEST(attaching_for_reading_never_writes),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
