/* SPDX-License-Identifier: ISC */

/*
 * replay.c: logs of operations (see log.h), over POSIX.
 *
 *	replay make SEED BYTES STEPS	print a log for a disk of that size
 *	replay raw LOG FILE		do it to a plain file
 *	replay image FORMAT LOG FILE [PIECE]
 *					do it to an image that stays open, with
 *					flushes where the log says, and writes
 *					in pieces of PIECE bytes
 */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/log.h"
#include "img_host.h"

static void
stop(const char *what, int error)
{
	fprintf(stderr, "replay: %s: error %d\n", what, error);
	exit(1);
}

static FILE *
open_log(const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL)
		stop(path, 0);
	return (f);
}

/* --- a plain file ------------------------------------------------------- */

static void
do_raw(const char *log, const char *path)
{
	static uint8_t buf[LOG_MAX];
	FILE *f = open_log(log);
	struct log_op lo;
	int fd, r;

	fd = open(path, O_RDWR);
	if (fd < 0)
		stop(path, 0);
	while ((r = log_next(f, &lo)) > 0) {
		if (lo.lo_what != 'w')
			continue;
		log_fill(buf, &lo);
		if (pwrite(fd, buf, lo.lo_len, (off_t)lo.lo_off) !=
		    (ssize_t)lo.lo_len)
			stop(path, 0);
	}
	if (r < 0)
		stop(log, 0);
	close(fd);
	fclose(f);
}

/* --- an image ----------------------------------------------------------- */

struct image {
	const char *i_format, *i_path;
	uint32_t i_piece;
	struct img_file *i_file;
	struct img *i_img;
	uint8_t *i_disk;  /* what it has to hold, from what was written */
	uint8_t *i_known; /* a byte for each that was written */
};

static void
open_image(struct image *i)
{
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find(i->i_format);
	a.a_flags = IMG_RDWR | IMG_VERIFY;
	error = img_host_open(&i->i_file, i->i_path, IMG_HOST_RDWR);
	if (error == 0)
		error = img_open(&i->i_img, img_host_env(), i->i_file, &a);
	if (error != 0)
		stop(i->i_path, error);
}

static void
close_image(struct image *i)
{
	int error;

	error = img_close(i->i_img);
	if (error == 0)
		error = img_host_close(i->i_file);
	if (error != 0)
		stop("close", error);
}

static int
read_op(struct image *i, const struct log_op *lo)
{
	static uint8_t buf[LOG_MAX];
	uint32_t k;
	int error;

	error = img_read(i->i_img, buf, lo->lo_len, lo->lo_off);
	for (k = 0; k < lo->lo_len && error == 0; k++)
		if (i->i_known[lo->lo_off + k] &&
		    i->i_disk[lo->lo_off + k] != buf[k])
			stop("what is read is not what was written", 0);
	return (error);
}

static int
write_op(struct image *i, const struct log_op *lo)
{
	uint32_t at, n;
	int error = 0;

	log_fill(i->i_disk + lo->lo_off, lo);
	memset(i->i_known + lo->lo_off, 1, lo->lo_len);
	for (at = 0; at < lo->lo_len && error == 0; at += n) {
		n = lo->lo_len - at < i->i_piece ? lo->lo_len - at : i->i_piece;
		error = img_write(i->i_img, i->i_disk + lo->lo_off + at, n,
		    lo->lo_off + at);
	}
	return (error);
}

static int
do_op(struct image *i, const struct log_op *lo)
{
	switch (lo->lo_what) {
	case 'w':
		return (write_op(i, lo));
	case 'r':
		return (read_op(i, lo));
	case 'f':
		return (img_flush(i->i_img));
	case 'o':
		close_image(i);
		open_image(i);
		return (0);
	default:
		return (0);
	}
}

static void
do_image(const char *format, const char *log, const char *path, uint32_t piece)
{
	FILE *f = open_log(log);
	struct image i = { format, path, piece, NULL, NULL, NULL, NULL };
	struct log_op lo;
	uint64_t size;
	int error, r;

	open_image(&i);
	size = img_size(i.i_img);
	i.i_disk = calloc(1, size);
	i.i_known = calloc(1, size);
	if (i.i_disk == NULL || i.i_known == NULL)
		stop("memory", 0);
	while ((r = log_next(f, &lo)) > 0) {
		if (lo.lo_off > size || lo.lo_len > size - lo.lo_off)
			stop(log, 0);
		error = do_op(&i, &lo);
		if (error != 0)
			stop("operation", error);
	}
	if (r < 0)
		stop(log, 0);
	close_image(&i);
	free(i.i_disk);
	free(i.i_known);
	fclose(f);
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "make") == 0)
		log_make(stdout, strtoull(argv[2], NULL, 10),
		    strtoull(argv[3], NULL, 10),
		    (unsigned)strtoul(argv[4], NULL, 10));
	else if (argc == 4 && strcmp(argv[1], "raw") == 0)
		do_raw(argv[2], argv[3]);
	else if ((argc == 5 || argc == 6) && strcmp(argv[1], "image") == 0)
		do_image(argv[2], argv[3], argv[4],
		    argc == 6 ? (uint32_t)strtoul(argv[5], NULL, 10) :
				LOG_PIECE);
	else
		stop("usage", 0);
	return (0);
}
