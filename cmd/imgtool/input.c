/* SPDX-License-Identifier: ISC */

/*
 * Raw bytes from standard input, into a file or a disk.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgtool.h"
#include "host/host.h"

const char stdin_name[] = "standard input";

int
input_read(void *buf, size_t len, size_t *got)
{
	int error = host_read(STDIN_FILENO, buf, len, got);

	if (error != 0)
		complain_errno(stdin_name, error);
	return (error);
}

int
input_is_file(void)
{
	struct stat st;

	return (fstat(STDIN_FILENO, &st) == 0 &&
	    (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
	    lseek(STDIN_FILENO, 0, SEEK_CUR) == 0);
}

int
input_too_long(uint64_t size)
{
	complain(stdin_name,
	    "longer than the %" PRIu64 " bytes that --size says", size);
	return (EFBIG);
}

/* Is it known to be longer than that, before anything is read? */
int
input_exceeds(uint64_t size)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size <= size)
		return (0);
	return (input_too_long(size) != 0);
}

/* Where the input goes: one of the two. */
struct target {
	const char *t_name;
	struct img *t_img;
	struct img_file *t_file;
	int t_sparse; /* zeros are there already */
};

static int
put(const struct target *t, const char *p, size_t len, uint64_t at)
{
	int error = 0, zero = 0;
	size_t n;

	for (; len > 0 && error == 0; p += n, len -= n, at += n) {
		n = t->t_sparse ? zero_run(p, len, at, &zero) : len;
		if (zero)
			continue;
		if (t->t_img != NULL)
			error = img_write(t->t_img, p, (uint32_t)n, at);
		else
			error = t->t_file->f_ops->fo_write(t->t_file, p,
			    (uint32_t)n, at);
	}
	if (error != 0)
		complain_errno(t->t_name, error);
	return (error);
}

/* All of the input, but no more than max bytes; *done says how many. */
static int
pump(const struct target *t, uint64_t max, uint64_t *done)
{
	char *buf = malloc(STREAM_BUF);
	size_t got = STREAM_BUF;
	int error = 0;

	*done = 0;
	if (buf == NULL) {
		complain_errno(stdin_name, ENOMEM);
		return (ENOMEM);
	}
	while (got == STREAM_BUF && error == 0) {
		error = input_read(buf, STREAM_BUF, &got);
		if (error == 0 && got > max - *done)
			error = input_too_long(max);
		if (error == 0)
			error = put(t, buf, got, *done);
		if (error == 0) {
			*done += got;
			progress_poll(NULL, *done, max == UINT64_MAX ? 0 : max);
		}
	}
	free(buf);
	return (error);
}

int
input_to_file(struct img_file *f, const char *name, int sparse)
{
	struct target t = { .t_name = name, .t_file = f };
	uint64_t done;
	int error;

	/* A device has its size already, and old data. */
	t.t_sparse = sparse && (f->f_flags & IMG_FILE_ZEROES) != 0;
	error = pump(&t, UINT64_MAX, &done);
	if (error != 0 || (f->f_flags & IMG_FILE_FIXED) != 0)
		return (error);
	error = f->f_ops->fo_resize(f, done);
	if (error != 0)
		complain_errno(name, error);
	return (error);
}

/* What the input left of the disk. */
static int
fill_up(const struct target *t, uint64_t at, uint64_t size, int sparse)
{
	char zeros[GRAIN] = { 0 };
	int error = 0;
	size_t n;

	if (t->t_sparse || at >= size)
		return (0);
	if (sparse) {
		error = img_zero(t->t_img, at, size - at);
		if (error != 0)
			complain_errno(t->t_name, error);
		return (error);
	}
	for (; at < size && error == 0; at += n) {
		n = size - at < GRAIN ? (size_t)(size - at) : GRAIN;
		error = put(t, zeros, n, at);
	}
	return (error);
}

int
input_to_image(struct image *i, uint64_t size, int sparse, int inplace)
{
	struct target t = { .t_name = i->i_name, .t_img = i->i_img };
	uint64_t done;
	int error;

	t.t_sparse = sparse && !inplace;
	error = pump(&t, size, &done);
	if (error == 0)
		error = fill_up(&t, done, size, sparse);
	return (error);
}
