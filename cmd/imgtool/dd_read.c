/* SPDX-License-Identifier: ISC */

/*
 * imgtool dd-read: bytes of the disk to standard output or a file.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "dd.h"
#include "host/host.h"

static const struct opt options[] = { { OPT_OPERAND, "if", "IMAGE",
					  "the image to read from" },
	{ OPT_OPERAND, "of", "FILE", "instead of standard output" },
	{ OPT_OPERAND, "bs", "N", "bytes in a block; 512" },
	{ OPT_OPERAND, "count", "N", "at most so many blocks" },
	{ OPT_OPERAND, "skip", "N", "blocks of the disk to leave out first" },
	{ OPT_OPERAND, "status", "WHAT", "none, noxfer or progress" },
	OPT_ROW_FORMAT, OPT_ROW_REFS,
	{ 'l', "snapshot", "NAME", OPT_HELP_SNAPSHOT }, OPT_ROW_END };

static int
copy_to(const struct dd *d, struct image *i, uint64_t voff, uint64_t len,
    int fd, const char *name)
{
	double start = dd_clock();
	struct stream s;
	void *buf;
	int error;

	buf = malloc(STREAM_BUF);
	if (buf == NULL) {
		complain_errno(NULL, ENOMEM);
		return (ENOMEM);
	}
	stream_init(&s, fd, name, 0);
	error = stream_guest(&s, i, voff, len, buf);
	free(buf);
	dd_summary(d, s.st_done, dd_clock() - start);
	return (error);
}

static int
copy_to_file(const struct dd *d, struct image *i, uint64_t voff, uint64_t len)
{
	struct host_output *out;

	if (image_has_path(i, 0, d->d_of)) {
		complain(d->d_of, "image and output are the same");
		return (1);
	}
	if (output_open(&out, d->d_of, 0) != 0)
		return (1);
	if (copy_to(d, i, voff, len, img_host_fd(host_output_file(out)),
		d->d_of) != 0) {
		host_output_abort(out);
		return (1);
	}
	return (output_commit(out, d->d_of) != 0);
}

static int
dd_read(const struct dd *d, struct image *i)
{
	uint64_t voff = dd_bytes(d, d->d_skip), size = img_size(i->i_img);
	uint64_t len = dd_bytes(d, d->d_count);

	if (voff > size) {
		complain(i->i_name,
		    "skip is beyond the end of the disk, "
		    "%" PRIu64,
		    size);
		return (1);
	}
	if (len > size - voff)
		len = size - voff;
	progress_start("dd-read", (d->d_status & DD_PROGRESS) != 0);
	if (d->d_of != NULL)
		return (copy_to_file(d, i, voff, len));
	if (image_has(i, STDOUT_FILENO)) {
		complain("standard output", "image and output are the same");
		return (1);
	}
	return (
	    copy_to(d, i, voff, len, STDOUT_FILENO, "standard output") != 0);
}

static int
dd_read_main(int argc, char **argv)
{
	struct image i;
	struct dd d;
	int status;

	dd_parse(&cmd_dd_read, argc, argv, &d);
	if (d.d_if == NULL)
		opts_wrong(&cmd_dd_read, "if=IMAGE is missing");
	host_catch_signals();
	d.d_how.h_need = IMG_ALLOW_READ;
	if (image_open(&i, d.d_if, NULL, &d.d_how) != 0)
		return (1);
	status = dd_read(&d, &i);
	return (image_close(&i) != 0 ? 1 : status);
}

const struct command cmd_dd_read = { "dd-read",
	"copy bytes of a disk to a file or a pipe",
	"[OPTION ...] if=IMAGE [of=FILE] [bs=N] [count=N] [skip=N] "
	"[status=WHAT]",
	options, 1, dd_read_main };
