/* SPDX-License-Identifier: ISC */

/*
 * replay_kern.c: a log of operations (see log.h), by the driver.
 *
 *	replay_kern LOG IMAGE RESULT
 *
 * The image stays as it is, the result is the file after the last detach.
 * Every odd read and write is one of several bufs at once, as a file system
 * would have them.
 */

#include "driver/fx.h"
#include "driver/log.h"

static struct host_file *hf;
static enum k_face face;
static int ctl, disk;

static void
stop(const char *what, long error)
{
	fprintf(stderr, "replay_kern: %s: %ld\n", what, error);
	exit(1);
}

static void
attach(void)
{
	int error;

	ctl = k_open(face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
	if (ctl < 0)
		stop("open", ctl);
	error = k_attach(ctl, "disk", 0, 0);
	if (error != 0)
		stop("attach", error);
	disk = k_open(face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
	if (disk < 0)
		stop("open", disk);
}

static void
detach(void)
{
	int error;

	if (k_close(disk) != 0)
		stop("close", 0);
	error = k_detach(ctl, 0);
	if (error != 0)
		stop("detach", error);
	if (k_close(ctl) != 0)
		stop("close", 0);
}

/* In bufs that the task finds all at once. */
static void
batch(int write, uint8_t *buf, const struct log_op *lo)
{
	struct k_buf *kb[LOG_MAX / LOG_PIECE];
	uint32_t at, n = 0;
	int error;

	k_hold();
	for (at = 0; at < lo->lo_len; at += LOG_PIECE)
		kb[n++] = k_submit(disk, write, buf + at,
		    (long)img_min(LOG_PIECE, lo->lo_len - at),
		    (long long)((lo->lo_off + at) / 512));
	k_release();
	while (n > 0) {
		error = k_wait(kb[--n], NULL);
		if (error != 0)
			stop("buf", error);
	}
}

static void
transfer(const struct log_op *lo, unsigned n)
{
	static uint8_t buf[LOG_MAX];
	long done;

	if (lo->lo_what == 'w')
		log_fill(buf, lo);
	if (n % 2 == 1) {
		batch(lo->lo_what == 'w', buf, lo);
		return;
	}
	done = lo->lo_what == 'w' ? k_write(disk, buf, lo->lo_len, lo->lo_off) :
				    k_read(disk, buf, lo->lo_len, lo->lo_off);
	if (done != (long)lo->lo_len)
		stop("read or write", done);
}

int
main(int argc, char **argv)
{
	struct log_op lo;
	unsigned n = 0;
	FILE *f;
	int r;

	if (argc != 4)
		return (2);
	f = fopen(argv[1], "r");
	if (f == NULL)
		stop(argv[1], 0);
	k_boot(2);
	face = fx_face(argv[2]);
	hf = host_file("disk", argv[2]);
	attach();
	while ((r = log_next(f, &lo)) > 0) {
		if (lo.lo_what == 'o') {
			detach();
			attach();
		} else if (lo.lo_what == 'w' || lo.lo_what == 'r')
			transfer(&lo, n++);
	}
	if (r < 0)
		stop(argv[1], 0);
	detach();
	fx_clean(0);
	host_file_save(hf, argv[3]);
	host_file_free(hf);
	fclose(f);
	return (0);
}
