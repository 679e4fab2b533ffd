/* SPDX-License-Identifier: ISC */

/*
 * Writing a new image.  Every cluster of it is in use once, and each kind of
 * table is one array without gaps, however many clusters that takes.  The
 * header comes last: until then this is no image.
 */

#include "qcow2/create.h"

#define CHUNK 65536u /* written at once; a multiple of every entry's size */
#define STEP (UINT64_C(64) << 20) /* zeroed between two polls */

struct writer {
	const struct qcow2_plan *w_plan;
	uint8_t *w_buf; /* CHUNK bytes */
	uint64_t w_done;
};

static int
tell(struct writer *w, uint64_t n)
{
	const struct img_env *env = w->w_plan->pl_env;

	w->w_done += n;
	return (
	    env->ev_poll == NULL ? 0 : env->ev_poll(env->ev_arg, w->w_done, 0));
}

static int
put(struct writer *w, uint32_t len, uint64_t off)
{
	struct img_file *f = w->w_plan->pl_file;
	int error;

	error = f->f_ops->fo_write(f, w->w_buf, len, off);
	return (error != 0 ? error : tell(w, len));
}

static int
write_zeros(struct writer *w, uint64_t off, uint64_t len)
{
	uint32_t n;
	int error = 0;

	memset(w->w_buf, 0, CHUNK);
	for (; len > 0 && error == 0; off += n, len -= n) {
		n = (uint32_t)img_min(len, CHUNK);
		error = put(w, n, off);
	}
	return (error);
}

/* By what the file can do, else by writing. */
static int
make_zero(struct writer *w, uint64_t off, uint64_t len)
{
	struct img_file *f = w->w_plan->pl_file;
	uint64_t n;
	int error = 0;

	if (f->f_ops->fo_zero == NULL)
		return (write_zeros(w, off, len));
	for (; len > 0 && error == 0; off += n, len -= n) {
		n = img_min(len, STEP);
		error = f->f_ops->fo_zero(f, off, n);
		if (error == 0)
			error = tell(w, n);
	}
	return (error);
}

/* What the entries of a table say, one after the other. */
struct entries {
	uint64_t e_n;
	uint64_t e_value; /* of the first one */
	uint64_t e_step;
	uint32_t e_size;   /* 8, or 16: with ... */
	uint64_t e_second; /* ... this behind it */
};

static int
write_entries(struct writer *w, uint64_t off, const struct entries *e)
{
	uint64_t left = e->e_n, value = e->e_value;
	uint32_t n, i;
	int error = 0;

	for (; left > 0 && error == 0; left -= n, off += n * e->e_size) {
		n = (uint32_t)img_min(left, CHUNK / e->e_size);
		for (i = 0; i < n; i++, value += e->e_step) {
			img_put_be64(w->w_buf + i * e->e_size, value);
			if (e->e_size > 8)
				img_put_be64(w->w_buf + i * e->e_size + 8,
				    e->e_second);
		}
		error = put(w, n * e->e_size, off);
	}
	return (error);
}

/* All clusters have the refcount 1. */
static int
write_counts(struct writer *w)
{
	const struct qcow2_plan *pl = w->w_plan;
	uint64_t left = pl->pl_total, off = (1 + pl->pl_rt) << pl->pl_bits;
	uint32_t n, i, len;
	int error = 0;

	for (; left > 0 && error == 0; left -= n, off += len) {
		n = (uint32_t)img_min(left, (CHUNK * 8) >> pl->pl_order);
		memset(w->w_buf, 0, CHUNK);
		for (i = 0; i < n; i++)
			qcow2_count_put(w->w_buf, pl->pl_order, i, 1);
		len = (uint32_t)((((uint64_t)n << pl->pl_order) + 7) / 8);
		error = put(w, len, off);
	}
	return (error);
}

static int
write_tables(struct writer *w)
{
	const struct qcow2_plan *pl = w->w_plan;
	uint32_t bits = pl->pl_bits;
	uint64_t cluster = UINT64_C(1) << bits;
	struct entries rt = { pl->pl_rb, (1 + pl->pl_rt) << bits, cluster, 8,
		0 };
	struct entries l1 = { pl->pl_l2,
		qcow2_plan_l2(pl) << bits | QCOW2_COPIED, cluster, 8, 0 };
	struct entries l2 = { pl->pl_nmap,
		qcow2_plan_data(pl) << bits | QCOW2_COPIED, cluster,
		pl->pl_extended ? 16 : 8, 0 };
	int error;

	if (pl->pl_data_file[0] != '\0')
		l2.e_value = QCOW2_COPIED;
	/*
	 * Parts of a cluster become allocated when they are written, but those
	 * of a raw image are what its file has.
	 */
	if (pl->pl_raw)
		l2.e_second = QCOW2_SUB_ALLOC;
	error = write_counts(w);
	if (error == 0)
		error = write_entries(w, cluster, &rt);
	if (error == 0)
		error = write_entries(w, qcow2_plan_l1(pl) << bits, &l1);
	if (error == 0)
		error = write_entries(w, qcow2_plan_l2(pl) << bits, &l2);
	return (error);
}

/*
 * How long the file is.  The L1 table alone may end within its cluster; vmd
 * sees to what follows, but only in whole clusters.
 */
static uint64_t
file_length(const struct qcow2_plan *pl)
{
	uint64_t l1 = qcow2_plan_l1(pl) << pl->pl_bits;

	if (pl->pl_l2 > 0 || pl->pl_vmd)
		return (pl->pl_total << pl->pl_bits);
	return (l1 + pl->pl_l1_n * 8);
}

/* What is not written to afterwards shall be zeros. */
static int
make_room(struct writer *w)
{
	const struct qcow2_plan *pl = w->w_plan;
	struct img_file *f = pl->pl_file;
	uint64_t meta = qcow2_plan_data(pl) << pl->pl_bits, len;
	int error = 0;

	len = file_length(pl);
	if (!(f->f_flags & IMG_FILE_FIXED))
		error = f->f_ops->fo_resize(f, len);
	if (error == 0 && !(f->f_flags & IMG_FILE_ZEROES))
		error = make_zero(w, 0, img_min(meta, len));
	return (error);
}

static int
make_data(struct writer *w)
{
	const struct qcow2_plan *pl = w->w_plan;
	struct img_file *f = pl->pl_file;
	uint64_t off = qcow2_plan_data(pl) << pl->pl_bits;
	uint64_t len = pl->pl_data << pl->pl_bits;
	int error;

	if (pl->pl_data == 0)
		return (0);
	if (pl->pl_prealloc == QCOW2_P_FULL)
		return (write_zeros(w, off, len));
	/* A device has its space already, but not its zeros. */
	if (!(f->f_flags & IMG_FILE_ZEROES))
		return (make_zero(w, off, len));
	if (pl->pl_prealloc == QCOW2_P_METADATA)
		return (0);
	error = ENOTSUP;
	if (f->f_ops->fo_reserve != NULL)
		error = f->f_ops->fo_reserve(f, 0, off + len);
	if (error == ENOTSUP)
		return (img_create_error(pl->pl_cr, ENOTSUP,
		    "space cannot be reserved here", NULL));
	return (error);
}

/* The first sector, which makes it an image, is written by itself. */
static int
write_head(struct writer *w)
{
	struct img_file *f = w->w_plan->pl_file;
	uint32_t len;
	int error;

	memset(w->w_buf, 0, QCOW2_HEAD_ROOM);
	error = qcow2_make_head(w->w_plan, w->w_buf, &len);
	if (error == 0 && len > QCOW2_HEAD)
		error = f->f_ops->fo_write(f, w->w_buf + QCOW2_HEAD,
		    len - QCOW2_HEAD, QCOW2_HEAD);
	return (error == 0 ? put(w, QCOW2_HEAD, 0) : error);
}

int
qcow2_write_plan(const struct qcow2_plan *pl)
{
	const struct img_env *env = pl->pl_env;
	struct writer w = { pl, NULL, 0 };
	uint32_t len;
	int error;

	w.w_buf = env->ev_alloc(env->ev_arg, CHUNK);
	if (w.w_buf == NULL)
		return (ENOMEM);
	/* Names that are too long, before anything is written. */
	error = qcow2_make_head(pl, w.w_buf, &len);
	if (error == 0)
		error = make_room(&w);
	if (error == 0)
		error = make_data(&w);
	if (error == 0)
		error = write_tables(&w);
	if (error == 0)
		error = write_head(&w);
	env->ev_free(env->ev_arg, w.w_buf, CHUNK);
	return (error);
}
