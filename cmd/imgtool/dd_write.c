/* SPDX-License-Identifier: ISC */

/*
 * imgtool dd-write: bytes of standard input or a file to the disk in an
 * image that exists.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dd.h"
#include "host/host.h"

static const struct opt options[] = { { OPT_OPERAND, "of", "IMAGE",
					  "the image to write to" },
	{ OPT_OPERAND, "if", "FILE", "instead of standard input" },
	{ OPT_OPERAND, "bs", "N", "bytes in a block; 512" },
	{ OPT_OPERAND, "count", "N", "at most so many blocks" },
	{ OPT_OPERAND, "seek", "N", "blocks of the disk to leave out first" },
	{ OPT_OPERAND, "status", "WHAT", "none, noxfer or progress" },
	OPT_ROW_FORMAT, OPT_ROW_REFS, OPT_ROW_END };

struct input {
	const char *n_name;
	int n_fd;
	uint64_t n_max; /* the most that can come; UINT64_MAX: unknown */
};

static int
open_input(const struct dd *d, struct input *n)
{
	struct stat st;
	off_t at;

	n->n_name = d->d_if != NULL ? d->d_if : "standard input";
	n->n_max = dd_bytes(d, d->d_count);
	n->n_fd = d->d_if == NULL ? STDIN_FILENO :
				    open(d->d_if, O_RDONLY | O_CLOEXEC);
	if (n->n_fd == -1 || fstat(n->n_fd, &st) == -1) {
		complain_errno(n->n_name, errno);
		return (errno);
	}
	if (!S_ISREG(st.st_mode))
		return (0);
	at = lseek(n->n_fd, 0, SEEK_CUR);
	if (at < 0 || at > st.st_size)
		at = st.st_size;
	if (n->n_max > (uint64_t)(st.st_size - at))
		n->n_max = (uint64_t)(st.st_size - at);
	return (0);
}

/* What is known not to fit is refused before anything is written. */
static int
is_known_to_fit(const struct dd *d, struct image *i, const struct input *n)
{
	uint64_t voff = dd_bytes(d, d->d_skip), size = img_size(i->i_img);

	if (image_has(i, n->n_fd)) {
		complain(n->n_name, "image and input are the same");
		return (0);
	}
	if (voff > size) {
		complain(i->i_name,
		    "seek is beyond the end of the disk, "
		    "%" PRIu64,
		    size);
		return (0);
	}
	if (n->n_max == UINT64_MAX || n->n_max <= size - voff)
		return (1);
	complain(i->i_name,
	    "%" PRIu64 " bytes do not fit: from %" PRIu64
	    " on the disk has %" PRIu64,
	    n->n_max, voff, size - voff);
	return (0);
}

/* One buffer full; *got is less at the end. */
static int
step(struct image *i, const struct input *n, uint64_t voff, uint64_t max,
    void *buf, size_t *got)
{
	uint64_t room = img_size(i->i_img) - voff;
	size_t len = max < STREAM_BUF ? (size_t)max : STREAM_BUF;
	int error;

	error = host_read(n->n_fd, buf, len, got);
	if (error != 0) {
		*got = 0;
		complain_errno(n->n_name, error);
		return (error);
	}
	len = *got < room ? *got : (size_t)room;
	error = len == 0 ? 0 : img_write(i->i_img, buf, (uint32_t)len, voff);
	if (error != 0) {
		*got = 0;
		image_complain(i, error, voff);
	} else if (len < *got) {
		*got = len;
		complain(i->i_name,
		    "the disk is full, and there is more input");
		error = ENOSPC;
	}
	return (error);
}

static int
copy_from(const struct dd *d, struct image *i, const struct input *n)
{
	uint64_t voff = dd_bytes(d, d->d_skip), done = 0;
	double start = dd_clock();
	size_t got = 1;
	void *buf;
	int error = 0;

	buf = malloc(STREAM_BUF);
	if (buf == NULL) {
		complain_errno(NULL, ENOMEM);
		return (ENOMEM);
	}
	while (error == 0 && got > 0 && done < n->n_max) {
		error = step(i, n, voff + done, n->n_max - done, buf, &got);
		done += got;
		progress_poll(NULL, done,
		    n->n_max == UINT64_MAX ? 0 : n->n_max);
	}
	free(buf);
	if (error != 0 && done > 0)
		complain(i->i_name, "%" PRIu64 " bytes were written", done);
	dd_summary(d, done, dd_clock() - start);
	return (error);
}

static int
dd_write_main(int argc, char **argv)
{
	struct input n;
	struct image i;
	struct dd d;
	int status;

	dd_parse(&cmd_dd_write, argc, argv, &d);
	if (d.d_of == NULL)
		opts_wrong(&cmd_dd_write, "of=IMAGE is missing");
	host_catch_signals();
	if (open_input(&d, &n) != 0)
		return (1);
	d.d_how.h_flags = IMG_RDWR | IMG_VERIFY;
	d.d_how.h_need = IMG_ALLOW_WRITE;
	if (image_open(&i, d.d_of, NULL, &d.d_how) != 0) {
		close(n.n_fd);
		return (1);
	}
	status = !is_known_to_fit(&d, &i, &n);
	if (status == 0) {
		progress_start("dd-write", (d.d_status & DD_PROGRESS) != 0);
		status = copy_from(&d, &i, &n) != 0;
	}
	close(n.n_fd);
	return (image_close(&i) != 0 ? 1 : status);
}

const struct command cmd_dd_write = { "dd-write",
	"copy a file or a pipe to bytes of a disk",
	"[OPTION ...] of=IMAGE [if=FILE] [bs=N] [count=N] [seek=N] "
	"[status=WHAT]",
	options, 1, dd_write_main };
