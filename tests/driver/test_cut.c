/* SPDX-License-Identifier: ISC */

/*
 * There is no request to flush: what is done is stable.  So the power is
 * cut after each buf that was done.
 */

#include "driver/fx.h"

static const struct {
	const char *image, *raw, *format;
} image[] = {
	{ "empty.qcow2", NULL, "qcow2" },
	{ "small.qcow2", NULL, "qcow2" },
	{ "empty.vhd", NULL, "vhd" },
	{ "a.qcow2", "disk.raw", "qcow2" },
	{ "snap.qcow2", "snap.raw", "qcow2" },
};

/* Judge all cuts, detach, look at the file as well. */
static void
survives(struct fx *fx, struct cut *ct)
{
	cut_judge(ct);
	if (ct->ct_why[0] != '\0')
		fail_msg("%s", ct->ct_why);
	assert_true(ct->ct_ndone > 0);
	assert_true(ct->ct_states >= ct->ct_ndone);
	cut_end(ct);
	fx_sound(fx, 1);
	fx_down(fx);
}

/* Where a write goes: clustered, so that units are met again. */
static uint64_t
place(uint64_t *seed, size_t *len)
{
	uint64_t off =
	    mem_random(seed) % 4 * (2 << 20) + mem_random(seed) % 512 * 512;

	*len = (1 + mem_random(seed) % 24) * 512;
	return (off);
}

static void
what_is_done_survives_every_cut(void **state)
{
	uint64_t seed, off;
	struct cut ct;
	struct fx fx;
	size_t len;
	unsigned i, k;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		cut_begin(&ct, fx.fx_file, image[i].format);
		seed = 1 + i;
		for (k = 0; k < 24; k++) {
			off = place(&seed, &len);
			fx_write(&fx, off, len, k);
		}
		survives(&fx, &ct);
	}
}

static void
what_is_done_in_a_batch_survives_every_cut(void **state)
{
	struct k_buf *kb[8];
	uint64_t seed, off;
	struct cut ct;
	struct fx fx;
	size_t len;
	unsigned i, k, n;

	(void)state;
	for (i = 0; i < LENGTH_OF(image); i++) {
		fx_up(&fx, image[i].image, image[i].raw, 0, 0);
		cut_begin(&ct, fx.fx_file, image[i].format);
		seed = 100 + i;
		for (n = 0; n < 4; n++) {
			k_hold();
			for (k = 0; k < 8; k++) {
				/* No two at one place: which is last? */
				off = place(&seed, &len) / 65536 * 65536 +
				    (k + 8 * n) % 16 * 4096;
				len = len > 4096 ? 4096 : len;
				mem_pattern(fx.fx_guest + off, len, off, k);
				kb[k] = k_submit(fx.fx_disk, 1,
				    fx.fx_guest + off, (long)len,
				    (long long)(off / 512));
			}
			k_release();
			for (k = 0; k < 8; k++)
				assert_int_equal(k_wait(kb[k], NULL), 0);
		}
		survives(&fx, &ct);
	}
}

/*
 * The first half of a write got space, the second failed.  Then a write that
 * changes no table goes into what the first half got.
 */
static void
after_a_failure_what_is_done_survives_too(void **state)
{
	struct cut ct;
	struct fx fx;
	unsigned i, nth;

	(void)state;
	for (i = 0; i < 3; i++)
		for (nth = 1; nth < 12; nth++) {
			fx_up(&fx, image[i].image, NULL, 0, 0);
			cut_begin(&ct, fx.fx_file, image[i].format);
			host_fail(F_WRITE, (int)nth, 0);
			mem_pattern(fx.fx_guest, 32768, 0, 1);
			(void)k_write(fx.fx_disk, fx.fx_guest, 32768,
			    (2 << 20) - 16384);
			host_fail_reset();
			(void)k_write(fx.fx_disk, fx.fx_guest, 512,
			    (2 << 20) - 16384);
			(void)k_write(fx.fx_disk, fx.fx_guest, 512, 2 << 20);
			cut_judge(&ct);
			if (ct.ct_why[0] != '\0')
				fail_msg("%s, write %u failed: %s",
				    image[i].image, nth, ct.ct_why);
			cut_end(&ct);
			(void)k_close(fx.fx_disk);
			fx.fx_disk = -1;
			(void)k_detach(fx.fx_ctl, 0);
			fx_drop(&fx);
		}
}

static void
all_bufs_of_a_batch_share_one_flush(void **state)
{
	struct k_buf *kb[64];
	uint64_t one, off;
	struct fx fx;
	unsigned i, k, n;

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_up(&fx, image[i].image, NULL, 0, 0);
		fx_write(&fx, 0, 512, 1);
		host_calls_reset(fx.fx_file);
		fx_write(&fx, 6 << 20, 512, 1);
		one = fx.fx_file->hf_fsyncs;
		assert_true(one > 0);
		for (n = 2; n <= 64; n *= 2) {
			host_calls_reset(fx.fx_file);
			k_hold();
			for (k = 0; k < n; k++) {
				off = n * 65536 + k * 8192;
				mem_pattern(fx.fx_guest + off, 512, off, k);
				kb[k] = k_submit(fx.fx_disk, 1,
				    fx.fx_guest + off, 512,
				    (long long)(off / 512));
			}
			k_release();
			for (k = 0; k < n; k++)
				assert_int_equal(k_wait(kb[k], NULL), 0);
			assert_true(fx.fx_file->hf_fsyncs <= one);
			/* In a block of a VHD all sectors have space. */
			if (fx.fx_face == K_QCOW)
				assert_true(fx.fx_file->hf_fsyncs > 0);
		}
		fx_look(&fx, 0, DISK);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

static void
writing_in_place_needs_no_flush(void **state)
{
	static const char *const disk[] = { "a.qcow2", "dyn.vhd", "fixed.vhd" };
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_up(&fx, disk[i], "disk.raw", 0, 0);
		host_calls_reset(fx.fx_file);
		fx_write(&fx, 0, 1 << 20, 1);
		assert_int_equal(fx.fx_file->hf_fsyncs, 0);
		assert_int_equal(fx.fx_file->hf_writes, (1 << 20) / K_MAXPHYS);
		fx_sound(&fx, 0);
		fx_down(&fx);
	}
}

/* The judge itself: a write that is done before it is stable is noticed. */
static void
the_test_notices_a_buf_that_is_done_too_early(void **state)
{
	uint8_t buf[512];
	struct cut ct;
	struct fx fx;

	(void)state;
	fx_up(&fx, "a.qcow2", "disk.raw", 0, 0);
	cut_begin(&ct, fx.fx_file, "qcow2");
	fx_write(&fx, 0, 4096, 1);
	memset(buf, 0x5a, sizeof(buf));
	host_biodone(buf, sizeof(buf), 8192, 0);
	cut_judge(&ct);
	assert_string_equal(ct.ct_why,
	    "after buf 2 of 2: bytes that were done are lost");
	/* And one whose write was not synced. */
	ct.ct_ndone--;
	free(ct.ct_done[1].cd_data);
	ct.ct_why[0] = '\0';
	cut_judge(&ct);
	assert_string_equal(ct.ct_why, "");
	memset(fx.fx_file->hf_sync, 0, fx.fx_file->hf_nsync);
	cut_judge(&ct);
	assert_string_not_equal(ct.ct_why, "");
	cut_end(&ct);
	fx_down(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_done_survives_every_cut),
		TEST(what_is_done_in_a_batch_survives_every_cut),
		TEST(after_a_failure_what_is_done_survives_too),
		TEST(all_bufs_of_a_batch_share_one_flush),
		TEST(writing_in_place_needs_no_flush),
		TEST(the_test_notices_a_buf_that_is_done_too_early),
	};

	return (cmocka_run_group_tests(tests, fx_boot, NULL));
}
