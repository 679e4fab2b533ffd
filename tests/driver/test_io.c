/* SPDX-License-Identifier: ISC */

/* Reading and writing: at all alignments, at the end, and what is refused. */

#include "driver/fx.h"

static const struct {
	const char *image, *raw;
} image[] = {
	{ "a.qcow2", "disk.raw" },
	{ "dyn.vhd", "disk.raw" },
	{ "fixed.vhd", "disk.raw" },
	{ "small.qcow2", NULL },
	{ "empty.vhd", NULL },
};

static void
every_alignment_reads_and_writes_the_right_bytes(void **state)
{
	static const uint64_t edge[] = { 0, 4096, 65536, 1 << 20, 2 << 20,
		(3 << 20) - 65536, 4 << 20, (8 << 20) - 262144 };
	static const unsigned sectors[] = { 1, 3, 8, 127, 128, 129, 300 };
	struct fx fx;
	unsigned i, e, s, shift, n = 0;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		for (e = 0; e < LENGTH_OF(edge); e++)
			for (s = 0; s < LENGTH_OF(sectors); s++)
				for (shift = 0; shift < 3; shift++)
					fx_write(&fx,
					    edge[e] + shift * 512 * 33,
					    sectors[s] * 512, n++);
		fx_look(&fx, 0, DISK);
		for (e = 0; e < LENGTH_OF(edge); e++)
			fx_look(&fx, edge[e] + 512 * e, 512 * (1 + 50 * e));
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

static void
at_the_end_reading_ends_without_an_error(void **state)
{
	uint8_t buf[4096];
	unsigned long resid;
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		assert_int_equal(k_read(fx.fx_disk, buf, 4096, DISK - 512),
		    512);
		assert_int_equal(k_read(fx.fx_disk, buf, 4096, DISK), 0);
		assert_int_equal(k_write(fx.fx_disk, buf, 4096, DISK), 0);
		assert_int_equal(k_read(fx.fx_disk, buf, 4096, DISK + 512),
		    -K_EINVAL);
		assert_int_equal(k_write(fx.fx_disk, buf, 4096, DISK + 512),
		    -K_EINVAL);
		assert_int_equal(k_read(fx.fx_disk, buf, 0, 0), 0);
		mem_pattern(buf, 4096, DISK - 1024, 1);
		memcpy(fx.fx_guest + DISK - 1024, buf, 1024);
		assert_int_equal(k_write(fx.fx_disk, buf, 4096, DISK - 1024),
		    1024);
		fx_look(&fx, DISK - 4096, 4096);
		/* What strategy makes of the same. */
		assert_int_equal(k_wait(k_submit(fx.fx_disk, 0, buf, 4096,
					    DISK / 512),
				     &resid),
		    0);
		assert_int_equal(resid, 4096);
		assert_int_equal(k_wait(k_submit(fx.fx_disk, 0, buf, 0, 7),
				     &resid),
		    0);
		assert_int_equal(resid, 0);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

static void
what_is_not_whole_sectors_is_invalid(void **state)
{
	uint8_t buf[4096] = { 0 };
	unsigned long resid;
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		assert_int_equal(k_read(fx.fx_disk, buf, 512, 1), -K_EINVAL);
		assert_int_equal(k_read(fx.fx_disk, buf, 511, 0), -K_EINVAL);
		assert_int_equal(k_write(fx.fx_disk, buf, 513, 0), -K_EINVAL);
		assert_int_equal(k_wait(k_submit(fx.fx_disk, 1, buf, 100, 0),
				     &resid),
		    K_EINVAL);
		assert_int_equal(resid, 100);
		assert_int_equal(k_wait(k_submit(fx.fx_disk, 0, buf, 512, -1),
				     &resid),
		    K_EINVAL);
		assert_int_equal(resid, 512);
		assert_int_equal(k_wait(k_submit(fx.fx_disk, 0, buf, 512,
					    1LL << 60),
				     &resid),
		    K_EINVAL);
		fx_look(&fx, 0, 4096);
		fx_down(&fx);
	}
	/* With larger sectors, larger ones. */
	fx_up(&fx, "a.qcow2", "disk.raw", 0, 12);
	assert_int_equal(k_read(fx.fx_disk, buf, 512, 0), -K_EINVAL);
	assert_int_equal(k_read(fx.fx_disk, buf, 4096, 512), -K_EINVAL);
	assert_int_equal(k_read(fx.fx_disk, buf, 4096, 4096), 4096);
	assert_memory_equal(buf, fx.fx_guest + 4096, 4096);
	fx_down(&fx);
}

static void
without_an_image_there_is_no_device(void **state)
{
	uint8_t buf[512] = { 0 };
	unsigned long resid;
	struct fx fx;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_put(&fx, image[i].image);
		assert_int_equal(k_read(fx.fx_ctl, buf, 512, 0), -K_ENXIO);
		assert_int_equal(k_write(fx.fx_ctl, buf, 512, 0), -K_ENXIO);
		assert_int_equal(k_wait(k_submit(fx.fx_ctl, 0, buf, 512, 0),
				     &resid),
		    K_ENXIO);
		assert_int_equal(resid, 512);
		/* After it was there, too. */
		assert_int_equal(k_attach(fx.fx_ctl, "disk", 0, 0), 0);
		assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
		assert_int_equal(k_read(fx.fx_ctl, buf, 512, 0), -K_ENXIO);
		fx_drop(&fx);
	}
}

static void
a_read_only_unit_says_so_of_every_write(void **state)
{
	uint8_t buf[512] = { 0 };
	unsigned long resid;
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i].image, image[i].raw, 1, 0);
		assert_int_equal(k_wait(k_submit(fx.fx_disk, 1, buf, 512, 0),
				     &resid),
		    K_EROFS);
		assert_int_equal(resid, 512);
		fx_look(&fx, 0, DISK);
		fx_down(&fx);
	}
}

static void
a_full_file_system_is_no_space_and_no_more(void **state)
{
	uint8_t buf[65536];
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		if (i == 2) /* it does not grow */
			continue;
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		fx_write(&fx, 0, 65536, 1);
		fx.fx_file->hf_room = fx.fx_file->hf_mem.m_len;
		memset(buf, 1, sizeof(buf));
		assert_int_equal(k_write(fx.fx_disk, buf, 65536, 5 << 20),
		    -K_ENOSPC);
		/* What has its space is written, and read. */
		fx_write(&fx, 512, 4096, 2);
		fx_look(&fx, 0, DISK);
		fx.fx_file->hf_room = 0;
		fx_write(&fx, 5 << 20, 65536, 3);
		fx_look(&fx, 0, DISK);
		fx_sound(&fx, 1);
		fx_down(&fx);
	}
}

static void
the_block_device_and_partitions_see_the_same_disk(void **state)
{
	uint8_t buf[4096];
	struct fx fx;
	unsigned i;
	int fd, blk;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		assert_int_equal(k_setlabel(fx.fx_disk, 0, 3, 1600, 64), 0);
		fd = k_open(fx.fx_face, 0, 3, 0, K_FREAD | K_FWRITE);
		blk = k_open(fx.fx_face, 0, 3, 1, K_FREAD | K_FWRITE);
		assert_true(fd >= 0 && blk >= 0);
		assert_int_equal(k_read(fd, buf, 4096, 0), 4096);
		assert_memory_equal(buf, fx.fx_guest + 1600 * 512, 4096);
		mem_pattern(fx.fx_guest + 1604 * 512, 4096, 0, 1);
		assert_int_equal(k_wait(k_submit(blk, 1,
					    fx.fx_guest + 1604 * 512, 4096, 4),
				     NULL),
		    0);
		assert_int_equal(k_read(fd, buf, 4096, 63 * 512), 512);
		assert_int_equal(k_read(fd, buf, 4096, 64 * 512), 0);
		assert_int_equal(k_read(fd, buf, 4096, 65 * 512), -K_EINVAL);
		fx_look(&fx, 0, DISK);
		assert_int_equal(k_close(fd), 0);
		assert_int_equal(k_close(blk), 0);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

static void
the_disk_counts_what_it_did(void **state)
{
	struct k_stats was, is;
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		assert_int_equal(k_stats(fx.fx_face, 0, &was), 0);
		fx_look(&fx, 0, 3 * 65536);
		fx_write(&fx, 0, 65536 + 512, 1);
		assert_int_equal(k_stats(fx.fx_face, 0, &is), 0);
		assert_int_equal(is.ks_rxfer - was.ks_rxfer, 3);
		assert_int_equal(is.ks_rbytes - was.ks_rbytes, 3 * 65536);
		assert_int_equal(is.ks_wxfer - was.ks_wxfer, 2);
		assert_int_equal(is.ks_wbytes - was.ks_wbytes, 65536 + 512);
		assert_int_equal(is.ks_busy, 0);
		fx_down(&fx);
	}
}

/* Reads that keep coming: a write that waits for a flush gets it soon. */
static void
reads_do_not_keep_a_write_from_its_flush(void **state)
{
	static const int allocates[] = { 3, 4 };
	static uint8_t buf[512];
	struct k_buf *w, *r[300];
	unsigned long order;
	struct fx fx;
	unsigned i, j;

	(void)state;
	for (i = 0; i < LENGTH_OF(allocates); i++) {
		fx_up(&fx, image[allocates[i]].image, NULL, 0, 0);
		mem_pattern(fx.fx_guest, 4096, 0, 1);
		k_hold();
		w = k_submit(fx.fx_disk, 1, fx.fx_guest, 4096, 0);
		for (j = 0; j < LENGTH_OF(r); j++)
			r[j] = k_submit(fx.fx_disk, 0, buf, 512, 4096);
		k_release();
		order = k_order(w);
		assert_true(order < k_order(r[100]));
		assert_true(order > k_order(r[10])); /* one flush for more */
		assert_int_equal(k_wait(w, NULL), 0);
		for (j = 0; j < LENGTH_OF(r); j++)
			assert_int_equal(k_wait(r[j], NULL), 0);
		fx_look(&fx, 0, DISK);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_alignment_reads_and_writes_the_right_bytes),
		TEST(at_the_end_reading_ends_without_an_error),
		TEST(what_is_not_whole_sectors_is_invalid),
		TEST(without_an_image_there_is_no_device),
		TEST(a_read_only_unit_says_so_of_every_write),
		TEST(a_full_file_system_is_no_space_and_no_more),
		TEST(the_block_device_and_partitions_see_the_same_disk),
		TEST(the_disk_counts_what_it_did),
		TEST(reads_do_not_keep_a_write_from_its_flush),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
