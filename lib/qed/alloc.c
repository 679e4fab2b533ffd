/* SPDX-License-Identifier: ISC */

/*
 * Space, and the order of writing.  What is allocated is always the next
 * cluster behind the end of the file; nothing is ever given back.
 *
 * The order of everything that is written:
 *
 *	1. data, the file's new length (new L2 tables are zeros); barrier
 *	2. entries of L2 tables; barrier
 *	3. entries of the L1 table; barrier
 *
 * So whatever a pointer leads to is complete, inside the file and durable
 * before the pointer is, and a power cut leaves at worst clusters at the end
 * that nothing leads to.  QED_F_NEED_CHECK exists for writers that do less;
 * this one never sets it, and writes to no image in which it is set.
 */

#include "qed/qed.h"

/* The file reaches to end, which is that of a cluster, by zeros. */
static int
extend(struct img *im, uint64_t end)
{
	struct img_file *f = im->im_file[0];
	uint64_t from = im->im_eof[0];
	int error;

	if (end <= from)
		return (0);
	im->im_unsynced = 1;
	if (!(f->f_flags & IMG_FILE_ZEROES))
		return (img_io_zeros(im, 0, from, end - from));
	error = f->f_ops->fo_resize(f, end);
	if (error == 0)
		im->im_eof[0] = end;
	return (error);
}

/* The file ends there, and nothing that is behind it is in use. */
static int
cut(struct img *im, uint64_t end)
{
	struct img_file *f = im->im_file[0];
	int error;

	if (end >= im->im_eof[0])
		return (0);
	im->im_unsynced = 1;
	error = f->f_ops->fo_resize(f, end);
	if (error == 0)
		im->im_eof[0] = end;
	return (error);
}

int
qed_touch(struct img *im)
{
	struct qed *q = qed(im);

	if (q->q_touched)
		return (0);
	q->q_touched = 1;
	if (q->q_autoclear == 0)
		return (0);
	q->q_autoclear = 0;
	img_put_le64(q->q_head + QED_H_AUTOCLEAR, 0);
	return (qed_write_head(im));
}

/*
 * Space is in the file from the start: an entry never leads behind the end,
 * also not to unwritten zeros, and later somebody may be writing behind it.
 * Bytes behind the last whole cluster belong to nothing; they go, so that
 * what is allocated there is zeros.
 */
int
qed_alloc(struct img *im, uint64_t n, uint64_t *off)
{
	struct qed *q = qed(im);
	int error = 0;

	if (q->q_next == 0) {
		*off = im->im_eof[0] & ~(uint64_t)(q->q_cluster - 1);
		error = cut(im, *off);
		if (error == 0)
			q->q_next = *off;
	}
	if (error == 0 && n > ((uint64_t)INT64_MAX - q->q_next) >> q->q_bits)
		error = EFBIG;
	if (error == 0)
		error = extend(im, q->q_next + (n << q->q_bits));
	if (error != 0)
		return (error);
	*off = q->q_next;
	q->q_next += n << q->q_bits;
	return (0);
}

void
qed_unalloc(struct img *im, uint64_t off, uint64_t n)
{
	struct qed *q = qed(im);

	if (off + (n << q->q_bits) == q->q_next && cut(im, off) == 0)
		q->q_next = off;
}

int
qed_own_l2(struct img *im, uint64_t voff, uint64_t *off)
{
	struct qed *q = qed(im);
	uint32_t i = (uint32_t)(voff >> qed_l1_shift(q));
	int error;

	error = qed_l1_get(im, i, off);
	if (error != 0 || *off != QED_E_NONE)
		return (error);
	error = qed_alloc(im, q->q_table, off);
	if (error != 0)
		return (error);
	error = qed_l1_set(im, i, *off);
	if (error != 0)
		qed_unalloc(im, *off, q->q_table);
	return (error);
}

int
qed_fresh(struct img *im)
{
	uint8_t zeros[QED_HEAD];

	memset(zeros, 0, sizeof(zeros));
	return (img_io_meta(im, zeros, QED_HEAD, 0));
}

int
qed_flush(struct img *im)
{
	struct qed *q = qed(im);
	int error, fresh = (im->im_flags & IMG_FRESH) != 0;

	im->im_flags &= ~IMG_FRESH;
	error = img_cache_flush(im);
	if (error == 0 && fresh) {
		error = img_io_meta(im, q->q_head, QED_HEAD, 0);
		if (error == 0)
			error = img_io_barrier(im);
	}
	return (error);
}
