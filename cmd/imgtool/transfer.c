/* SPDX-License-Identifier: ISC */

/*
 * What convert does once it knows what: a disk to a new image, over an old
 * one, or to standard output.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "host/host.h"

static void
tell_copy(struct job *j, const struct img_copy *cp, int error)
{
	if (error == ENOTSUP && cp->cp_dst && j->j_pack)
		complain(j->j_to, "%s has no compression",
		    img_format_name(j->j_outfmt));
	else if (error == EINTR || cp->cp_dst)
		complain_errno(j->j_to, error);
	else
		image_complain(&j->j_src, error, cp->cp_bad_voff);
}

static int
copy(struct job *j, struct image *dst, int inplace)
{
	struct img_copy cp = { .cp_sparse = j->j_sparse,
		.cp_flags = (inplace ? IMG_COPY_INPLACE : 0) |
		    (j->j_pack ? IMG_COPY_PACK : 0) };
	int error;

	error = img_copy(img_host_env(), j->j_src.i_img, dst->i_img, &cp);
	if (error != 0)
		tell_copy(j, &cp, error);
	return (error);
}

/* Does it show something where nothing is stored in it? */
static int
is_backed(const struct image *dst)
{
	return (img_chain_image(dst->i_chain, 1) != NULL);
}

/*
 * Fill an image that is open for writing, and close it.  *begun says, after
 * an error, whether old contents are gone.
 */
static int
fill(struct job *j, struct image *dst, int inplace, int *begun)
{
	int error;

	if (j->j_pipe)
		error = input_to_image(dst, j->j_size, j->j_sparse != 0,
		    inplace || is_backed(dst));
	else if (is_backed(dst) && !j->j_pack)
		error = copy_diff(j, dst);
	else
		error = copy(j, dst, inplace || is_backed(dst));
	*begun = 1;
	if (error == 0)
		return (image_close(dst));
	*begun = image_drop(dst);
	return (error);
}

/* Old data would be left where the source ends within a sector. */
static int
zero_tail(struct image *dst, uint64_t from, uint64_t to)
{
	int error = img_zero(dst->i_img, from, to - from);

	if (error != 0) {
		complain_errno(dst->i_name, error);
		image_drop(dst);
	}
	return (error);
}

/* *written says whether old contents, if any, are gone. */
static int
make(struct job *j, struct img_file *file, int inplace, int *written)
{
	uint64_t size = j->j_size;
	struct image dst;
	char *made;
	int begun, error;

	*written = 1;
	/* Raw alone needs no size beforehand. */
	if (j->j_pipe && !j->j_sized)
		return (input_to_file(file, j->j_to, j->j_sparse != 0));
	/* And raw alone can end within a sector: zeros fill it elsewhere. */
	if (j->j_outfmt != img_format_find("raw") && size % IMG_SECTOR != 0)
		size += IMG_SECTOR - size % IMG_SECTOR;
	if (size != j->j_size && !j->j_quiet)
		complain(j->j_to,
		    "zeros fill the last sector: %" PRIu64 " bytes",
		    size - j->j_size);
	error =
	    output_create(file, j->j_to, j->j_outfmt, size, j->j_opts, &made);
	*written = error != EINVAL && error != EFBIG && error != ENOTSUP;
	j->j_out.h_flags = IMG_RDWR | IMG_FRESH | output_flags(j->j_opts);
	if (error == 0)
		error = image_open(&dst, j->j_to, file, &j->j_out);
	if (error == 0 && image_has_path(&dst, 1, j->j_to)) {
		complain(j->j_to, "would read through to itself");
		(void)image_drop(&dst);
		error = ELOOP;
	}
	if (error == 0 && size != j->j_size && (inplace || is_backed(&dst)))
		error = zero_tail(&dst, j->j_size, size);
	if (error == 0)
		error = fill(j, &dst, inplace, &begun);
	output_data_end(made, error != 0);
	return (error);
}

static void
tell_unusable(const struct job *j)
{
	complain(j->j_to, "unusable now: it was being written in place");
}

static int
is_same(const struct job *j, int same)
{
	if (same)
		complain(strcmp(j->j_to, "-") == 0 ? "standard output" :
						     j->j_to,
		    "source and destination are the same");
	return (same);
}

/* Does the input come from this file?  It may be standard input. */
static int
is_input(const struct job *j, const struct img_file *file)
{
	return (j->j_pipe ? host_same_fd(file, STDIN_FILENO) :
			    image_has(&j->j_src, img_host_fd(file)));
}

int
transfer_new(struct job *j)
{
	struct host_output *out;
	int device, written, error;

	if (!j->j_pipe && is_same(j, image_has_path(&j->j_src, 0, j->j_to)))
		return (1);
	if (output_open(&out, j->j_to, j->j_flags) != 0)
		return (1);
	device = host_output_is_device(out);
	if (device && is_same(j, is_input(j, host_output_file(out)))) {
		host_output_abort(out);
		return (1);
	}
	error = make(j, host_output_file(out), device, &written);
	if (error == 0)
		return (output_commit(out, j->j_to) != 0);
	host_output_abort(out);
	if (device && written)
		tell_unusable(j);
	return (1);
}

/* Is the image there large enough?  Nothing is written to tell. */
static int
fits(struct job *j, struct img_file *file)
{
	struct how how = j->j_out;
	struct image dst;
	uint64_t size;

	how.h_flags = IMG_RDWR | IMG_VERIFY;
	if (image_open(&dst, j->j_to, file, &how) != 0)
		return (0);
	j->j_outfmt = dst.i_format;
	size = img_size(dst.i_img);
	image_drop(&dst);
	if (j->j_size > size)
		complain(j->j_to,
		    "disk has %" PRIu64 " bytes, the source %" PRIu64, size,
		    j->j_size);
	return (j->j_size <= size);
}

int
transfer_old(struct job *j)
{
	struct img_file *file;
	struct image dst;
	int begun, status = 1;

	if (file_open(&file, j->j_to,
		IMG_HOST_RDWR |
		    (j->j_flags & HOST_FORCE ? 0 : IMG_HOST_EXCL)) != 0)
		return (1);
	j->j_out.h_flags = IMG_RDWR | IMG_FRESH;
	if (!is_same(j, is_input(j, file)) && fits(j, file) &&
	    image_open(&dst, j->j_to, file, &j->j_out) == 0) {
		status = fill(j, &dst, 1, &begun) != 0;
		if (status != 0 && begun)
			tell_unusable(j);
	}
	img_host_close(file);
	return (status);
}

/* A pipe to a pipe. */
static int
pass_through(struct job *j, struct stream *s, void *buf)
{
	size_t got = STREAM_BUF;
	int error = 0;

	while (error == 0 && got == STREAM_BUF) {
		error = input_read(buf, STREAM_BUF, &got);
		if (error == 0 && j->j_sized && got > j->j_size - s->st_done)
			error = input_too_long(j->j_size);
		if (error == 0)
			error = stream_write(s, buf, got);
		progress_poll(NULL, s->st_done, j->j_sized ? j->j_size : 0);
	}
	if (error == 0 && j->j_sized)
		error = stream_zero(s, j->j_size - s->st_done);
	return (error);
}

int
transfer_stdout(struct job *j)
{
	char *buf = malloc(STREAM_BUF);
	struct stream s;
	int error;

	if (buf == NULL) {
		complain_errno(NULL, ENOMEM);
		return (1);
	}
	if (!j->j_pipe && is_same(j, image_has(&j->j_src, STDOUT_FILENO))) {
		free(buf);
		return (1);
	}
	stream_init(&s, STDOUT_FILENO, "standard output", j->j_sparse != 0);
	if (j->j_pipe)
		error = pass_through(j, &s, buf);
	else
		error = stream_guest(&s, &j->j_src, 0, j->j_size, buf);
	if (error == 0)
		error = stream_finish(&s);
	free(buf);
	return (error != 0);
}
