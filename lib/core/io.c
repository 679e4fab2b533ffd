/* SPDX-License-Identifier: ISC */

/* The image's own files, and memory within the handle's budget. */

#include "core/core.h"

int
img_alloc(struct img *im, uint64_t n, void *ptrp)
{
	void *p;

	if (n == 0 || n > im->im_budget || n > SIZE_MAX)
		return (ENOMEM);
	p = im->im_env->ev_alloc(im->im_env->ev_arg, (size_t)n);
	if (p == NULL)
		return (ENOMEM);
	im->im_budget -= n;
	memcpy(ptrp, &p, sizeof(p));
	return (0);
}

void
img_free(struct img *im, void *p, uint64_t n)
{
	if (p == NULL)
		return;
	im->im_env->ev_free(im->im_env->ev_arg, p, (size_t)n);
	im->im_budget += n;
}

int
img_io_read(struct img *im, unsigned file, void *buf, uint32_t len,
    uint64_t off)
{
	struct img_file *f = im->im_file[file];

	if (f == NULL || !img_inside(off, len, im->im_eof[file]))
		return (EIO);
	return (f->f_ops->fo_read(f, buf, len, off));
}

int
img_io_write(struct img *im, unsigned file, const void *buf, uint32_t len,
    uint64_t off)
{
	struct img_file *f = im->im_file[file];
	int error;

	if (f == NULL || !img_inside(off, len, INT64_MAX))
		return (EFBIG);
	if (off + len > im->im_eof[file] && (f->f_flags & IMG_FILE_FIXED))
		return (ENOSPC);
	im->im_unsynced = 1;
	error = f->f_ops->fo_write(f, buf, len, off);
	if (error != 0)
		img_io_length(im, file);
	else if (off + len > im->im_eof[file])
		im->im_eof[file] = off + len;
	return (error);
}

void
img_io_length(struct img *im, unsigned file)
{
	struct img_file *f = im->im_file[file];
	uint64_t len;

	if (f->f_ops->fo_length(f, &len) != 0)
		im->im_latched = 1;
	else if (len > im->im_eof[file])
		im->im_eof[file] = len;
}

int
img_io_meta(struct img *im, const void *buf, uint32_t len, uint64_t off)
{
	int error;

	error = img_io_write(im, 0, buf, len, off);
	if (error != 0)
		im->im_latched = 1;
	return (error);
}

int
img_io_barrier(struct img *im)
{
	struct img_file *f;
	int error = 0, i;

	if (!im->im_unsynced || (im->im_flags & IMG_FRESH))
		return (0);
	for (i = 1; i >= 0 && error == 0; i--) {
		f = im->im_file[i];
		if (f != NULL)
			error = f->f_ops->fo_barrier(f);
	}
	if (error != 0)
		im->im_latched = 1;
	else
		im->im_unsynced = 0;
	return (error);
}

int
img_io_zeros(struct img *im, unsigned file, uint64_t off, uint64_t n)
{
	uint32_t part;
	int error = 0;

	memset(im->im_buf, 0, (size_t)img_min(n, IMG_BOUNCE));
	for (; n > 0 && error == 0; n -= part, off += part) {
		part = (uint32_t)img_min(n, IMG_BOUNCE);
		error = img_io_write(im, file, im->im_buf, part, off);
	}
	return (error);
}
