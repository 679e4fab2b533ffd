/* SPDX-License-Identifier: ISC */

/*
 * replay_blk.c: a log of operations (see driver/log.h), by the module in a
 * kernel.
 *
 *	replay_blk LOG FORMAT IMAGE
 *	replay_blk zero FORMAT IMAGE	zeros without writing them
 *
 * The disk is read and written past the page cache, so that the module sees
 * the log's operations, in pieces of a page each.
 */

#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/log.h"

#define PAGE 4096

static const char *format, *image;
static int disk;

static void
stop(const char *what)
{
	printf("replay_blk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
control(const char *line)
{
	int fd = open("/dev/imgblk", O_WRONLY);

	if (fd == -1 || write(fd, line, strlen(line)) == -1)
		stop(line);
	close(fd);
}

static void
attach(void)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "attach rw %s %s", format, image);
	control(line);
	disk = open("/dev/imgblk0", O_RDWR | O_DIRECT);
	if (disk == -1)
		stop("/dev/imgblk0");
}

static void
detach(void)
{
	close(disk);
	control("detach 0");
}

static void
operate(const struct log_op *lo, uint8_t *buf)
{
	ssize_t n = 0;

	switch (lo->lo_what) {
	case 'w':
		log_fill(buf, lo);
		n = pwrite(disk, buf, lo->lo_len, (off_t)lo->lo_off);
		break;
	case 'r':
		n = pread(disk, buf, lo->lo_len, (off_t)lo->lo_off);
		break;
	case 'f':
		n = fsync(disk);
		break;
	case 'o':
		detach();
		attach();
		break;
	default:
		break;
	}
	if (n != (lo->lo_what == 'w' || lo->lo_what == 'r' ? lo->lo_len : 0))
		stop("operation");
}

/* The middle of what was written becomes zeros, and nothing around it. */
static void
zero(uint8_t *buf)
{
	uint64_t range[2] = { LOG_MAX / 4 + 512, LOG_MAX / 2 };
	struct log_op lo = { 'w', 0, LOG_MAX, 1 };
	uint32_t i, end = (uint32_t)(range[0] + range[1]);

	operate(&lo, buf);
	if (ioctl(disk, BLKZEROOUT, range) == -1)
		stop("BLKZEROOUT");
	lo.lo_what = 'r';
	operate(&lo, buf);
	for (i = 0; i < LOG_MAX; i++)
		if ((buf[i] == 0) != (i >= range[0] && i < end))
			stop("zeros");
}

static void
replay(const char *path, uint8_t *buf)
{
	struct log_op lo;
	FILE *f = fopen(path, "r");
	int r;

	if (f == NULL)
		stop(path);
	while ((r = log_next(f, &lo)) > 0)
		operate(&lo, buf);
	if (r < 0)
		stop(path);
	fclose(f);
}

int
main(int argc, char **argv)
{
	void *buf;

	if (argc != 4 || posix_memalign(&buf, PAGE, LOG_MAX) != 0)
		return (2);
	format = argv[2];
	image = argv[3];
	attach();
	if (strcmp(argv[1], "zero") == 0)
		zero(buf);
	else
		replay(argv[1], buf);
	detach();
	return (0);
}
