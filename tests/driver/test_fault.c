/* SPDX-License-Identifier: ISC */

/*
 * Every call that can fail does, one after the other: the error is told, what
 * was done stays done, nothing stays behind.
 */

#include "driver/fx.h"

static const char *const image[] = { "empty.qcow2", "empty.vhd", "snap.qcow2",
	"fixed.vhd" };
static const char *const raw[] = { NULL, NULL, "snap.raw", "disk.raw" };

static const enum k_fault kind[] = { F_ALLOC, F_READ, F_WRITE, F_SHORT, F_FSYNC,
	F_GETATTR, F_SETATTR, F_OPEN, F_CLOSE, F_COPYIN, F_DISKLOCK, F_BUFQ,
	F_TASKQ, F_LABEL };

/* What the guest may find beside what was done: what failed, and when. */
static uint8_t *perhaps[2];

static void
try_write(struct fx *fx, uint64_t off, size_t len, unsigned layer)
{
	uint8_t *p = perhaps[layer] + off;
	size_t n = 0;
	long done;

	mem_pattern(p, len, off, 7 + layer);
	done = k_write(fx->fx_disk, p, len, off);
	if (done > 0)
		n = (size_t)done;
	memcpy(fx->fx_guest + off, p, n);
	memcpy(perhaps[!layer] + off, p, n);
}

/* What fails now, for messages. */
static char now[64];

/* Each sector is what was done or what may have been; or bytes of them. */
static void
look_perhaps(const struct fx *fx, const uint8_t *buf)
{
	size_t at, n = now[0] == 'S' ? 1 : 512;

	for (at = 0; at < DISK; at += n) {
		if (at % 65536 == 0 &&
		    memcmp(buf + at, fx->fx_guest + at, 65536) == 0) {
			at += 65536 - n;
			continue;
		}
		if (memcmp(buf + at, fx->fx_guest + at, n) != 0 &&
		    memcmp(buf + at, perhaps[0] + at, n) != 0 &&
		    memcmp(buf + at, perhaps[1] + at, n) != 0)
			fail_msg("%s: byte %zu is of nobody", now, at);
	}
}

/* The same of the file, which is sound. */
static void
look_file(const struct fx *fx, uint8_t *buf)
{
	struct mem_env env;
	struct img *im;
	const char *why;

	why = host_judge(&fx->fx_file->hf_mem,
	    img_format_find(fx->fx_face == K_VHD ? "vhd" : "qcow2"), &im, &env);
	assert_string_equal(why, "");
	assert_int_equal(img_read(im, buf, DISK, 0), 0);
	look_perhaps(fx, buf);
	assert_int_equal(mem_close(im, &env), 0);
}

/* Open, write, close, with the failure armed for some of it. */
static void
work(struct fx *fx, enum k_fault what, int forever, uint8_t *buf)
{
	int failed;

	fx->fx_disk = k_open(fx->fx_face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
	if (fx->fx_disk < 0)
		return;
	try_write(fx, 0, 4096, 0);
	try_write(fx, (2 << 20) - 4096, 8192, 0);
	try_write(fx, (2 << 20) - 512, 512, 1);
	try_write(fx, 70000 / 512 * 512, 512, 1);
	failed = host_failures() > 0;
	host_fail(what, 0, 0);
	assert_int_equal(k_read(fx->fx_disk, buf, DISK, 0), DISK);
	look_perhaps(fx, buf);
	if (!failed)
		host_fail(what, 1, forever);
	(void)k_close(fx->fx_disk);
	fx->fx_disk = -1;
}

/* A whole life, with a failure armed; 0 once that did not happen any more. */
static int
life(unsigned i, enum k_fault what, int nth, int forever)
{
	static uint8_t buf[DISK];
	struct fx fx;
	int error, failed;

	k_slots(fx_face(image[i]), 1);
	fx_up(&fx, image[i], raw[i], 1, 0); /* for fx_guest alone */
	assert_int_equal(k_close(fx.fx_disk), 0);
	fx.fx_disk = -1;
	assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
	memcpy(perhaps[0], fx.fx_guest, DISK);
	memcpy(perhaps[1], fx.fx_guest, DISK);

	/* A short transfer may end within a sector. */
	snprintf(now, sizeof(now), "%sfault %d, %s, number %d%s",
	    what == F_SHORT ? "S" : "", what, image[i], nth,
	    forever ? " and all after" : "");
	host_fail_reset();
	host_fail(what, nth, forever);
	error = k_attach(fx.fx_ctl, "disk", 0, 0);
	if (error == 0) {
		work(&fx, what, forever, buf);
		error = k_detach(fx.fx_ctl, 0);
		assert_int_not_equal(error, K_EBUSY);
	}
	fx_clean(1);
	failed = host_failures() > 0;
	assert_true(failed || error == 0);
	host_fail_reset();
	look_file(&fx, buf);
	fx_drop(&fx);
	return (failed);
}

static void
every_failure_of(enum k_fault what)
{
	unsigned i;
	int nth;

	for (i = 0; i < LENGTH_OF(image); i++)
		for (nth = 1; nth < 200; nth++) {
			if (!life(i, what, nth, 0))
				break;
			if (nth % 4 == 1)
				(void)life(i, what, nth, 1);
		}
}

static void
whatever_fails_nothing_stays_behind(void **state)
{
	size_t i;

	(void)state;
	perhaps[0] = malloc(DISK);
	perhaps[1] = malloc(DISK);
	assert_true(perhaps[0] != NULL && perhaps[1] != NULL);
	for (i = 0; i < LENGTH_OF(kind); i++)
		every_failure_of(kind[i]);
	free(perhaps[0]);
	free(perhaps[1]);
}

/* The counting is what the sweep stands on. */
static void
there_are_chances_of_every_kind(void **state)
{
	struct fx fx;
	size_t i;

	(void)state;
	fx_up(&fx, "empty.vhd", NULL, 0, 0);
	fx_write(&fx, 0, 512, 1);
	assert_int_equal(k_close(fx.fx_disk), 0);
	fx.fx_disk = -1;
	assert_int_equal(k_detach(fx.fx_ctl, 0), 0);
	for (i = 0; i < LENGTH_OF(kind); i++)
		if (kind[i] != F_SETATTR) /* a VHD needs it after failures */
			assert_true(host_chances(kind[i]) > 0);
	fx_drop(&fx);
}

static void
no_memory_for_units_leaves_those_there_are(void **state)
{
	struct k_unit ku;
	int fd;

	(void)state;
	/* fx_boot made two of each; the boot that failed is k_boot's own. */
	fd = k_open(K_QCOW, 0, K_RAW, 0, K_FREAD);
	assert_true(fd >= 0);
	assert_int_equal(k_list(fd, 1, &ku), 0);
	assert_int_equal(k_list(fd, 2, &ku), K_ENXIO);
	assert_int_equal(k_close(fd), 0);
}

/* The third allocation of the first face: one unit is there, one is not. */
static int
boot_in_need(void **state)
{
	(void)state;
	host_fail_reset();
	host_fail(F_ALLOC, 4, 0);
	k_boot(3);
	host_fail_reset();
	return (strcmp(host_logged(),
		    "qcow: no memory for 3 units, have 2\n") != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_memory_for_units_leaves_those_there_are),
		TEST(there_are_chances_of_every_kind),
		TEST(whatever_fails_nothing_stays_behind),
	};

	return (cmocka_run_group_tests(tests, boot_in_need, NULL));
}
