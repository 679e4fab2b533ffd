/* SPDX-License-Identifier: ISC */

/* Repair of qcow2: the view that plans see, and the writing. */

#include "qcow2/repair.h"

static int
view_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	struct qcow2_repair *r = qcow2_repair_of(f);
	struct img_file *file = r->r_rp->rp_file;
	uint64_t n;
	int error;

	if (!img_inside(off, len, r->r_len))
		return (EIO);
	error = file->f_ops->fo_read(file, buf, len, off);
	if (error == 0 && off < r->r_headlen) {
		n = img_min(len, r->r_headlen - off);
		memcpy(buf, r->r_head + off, (size_t)n);
	}
	return (error);
}

static int
view_length(struct img_file *f, uint64_t *len)
{
	*len = qcow2_repair_of(f)->r_len;
	return (0);
}

static int
view_extent(struct img_file *f, uint64_t off, uint64_t *len, int *data)
{
	struct img_file *file = qcow2_repair_of(f)->r_rp->rp_file;

	*data = 1;
	if (off < qcow2_repair_of(f)->r_headlen ||
	    file->f_ops->fo_extent == NULL)
		return (0);
	return (file->f_ops->fo_extent(file, off, len, data));
}

const struct img_fileops qcow2_view_ops = {
	.fo_read = view_read,
	.fo_write = img_view_write,
	.fo_barrier = img_view_barrier,
	.fo_length = view_length,
	.fo_resize = img_view_resize,
	.fo_extent = view_extent,
};

int
qcow2_fix_put(struct qcow2_repair *r, const void *buf, uint32_t len,
    uint64_t off)
{
	struct img_file *f = r->r_rp->rp_file;

	if (!img_inside(off, len, r->r_device ? r->r_len : INT64_MAX))
		return (ENOSPC);
	return (f->f_ops->fo_write(f, buf, len, off));
}

int
qcow2_fix_barrier(struct qcow2_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;

	return (f->f_ops->fo_barrier(f));
}

int
qcow2_fix_head(struct qcow2_repair *r,
    void (*change)(void *arg, uint8_t *sector), void *arg)
{
	struct img_file *f = r->r_rp->rp_file;
	uint8_t b[QCOW2_HEAD];
	int error;

	error = qcow2_fix_barrier(r);
	if (error == 0)
		error = f->f_ops->fo_read(f, b, sizeof(b), 0);
	if (error != 0)
		return (error);
	change(arg, b);
	error = qcow2_fix_put(r, b, sizeof(b), 0);
	return (error != 0 ? error : qcow2_fix_barrier(r));
}

int
qcow2_fix_open(struct qcow2_repair *r)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	a.a_format = &img_qcow2;
	a.a_flags = IMG_VERIFY;
	return (img_open(&r->r_out, r->r_rp->rp_env, r->r_rp->rp_file, &a));
}

int
qcow2_fix_close(struct qcow2_repair *r, int error)
{
	if (error == 0)
		error = img_cache_flush(r->r_out);
	img_abandon(r->r_out);
	r->r_out = NULL;
	return (error);
}
