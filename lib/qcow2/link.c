/* SPDX-License-Identifier: ISC */

/*
 * L2 tables of the active tree that may be written to.  One that is shared
 * with a snapshot, or not there, is replaced by a new one: its contents are
 * written whole before the barrier that precedes all pointers, and what it
 * leads to is counted already, once for each tree.
 */

#include "qcow2/qcow2.h"

/* Something that must not be: say which row, and write nothing any more. */
int
qcow2_refuse(struct img *im, enum img_row row, uint64_t off, uint64_t found)
{
	img_raise_num(im, row, off, IMG_WANT_ANY, found, 0);
	im->im_latched = 1;
	return (EIO);
}

static int
copy_table(struct img *im, uint64_t from, uint64_t to)
{
	struct qcow2 *q = qcow2(im);
	struct img_slice *sl;
	uint32_t at, len = qcow2_slice(q);
	int error = 0;

	for (at = 0; at < q->q_cluster && error == 0; at += len) {
		error = img_cache_get(im, IMG_POINTERS, from + at, len, &sl);
		if (error == 0)
			error = img_io_write(im, 0, sl->sl_data, len, to + at);
	}
	return (error);
}

/* A new L2 table, a copy of the one at old or empty, under L1 entry i. */
static int
new_table(struct img *im, uint32_t i, uint64_t old, uint64_t *off)
{
	struct qcow2 *q = qcow2(im);
	uint64_t n = 1, cl;
	int error, error2, fresh;

	error = qcow2_alloc(im, &n, &cl, &fresh);
	if (error != 0)
		return (error);
	*off = cl << q->q_bits;
	if (old != 0)
		error = copy_table(im, old, *off);
	else
		error = img_io_zeros(im, 0, *off, q->q_cluster);
	if (error == 0)
		error = qcow2_l1_set(im, i, *off | QCOW2_COPIED);
	if (error != 0) {
		error2 = qcow2_drop(im, cl, 1, 1);
		return (error != 0 ? error : error2);
	}
	return (old != 0 ? qcow2_drop(im, old >> q->q_bits, 1, 1) : 0);
}

int
qcow2_own_l2(struct img *im, uint64_t voff, uint64_t *off)
{
	struct qcow2 *q = qcow2(im);
	uint32_t i = (uint32_t)(voff >> qcow2_l1_shift(q));
	uint64_t l1, count, at = q->q_active.t_off + (uint64_t)i * 8;
	enum img_row row;
	int error;

	error = qcow2_l1_get(im, &q->q_active, i, &l1);
	if (error != 0)
		return (error);
	*off = qcow2_l2_off(im, l1, &row);
	if (row != IMG_ROW_NONE)
		return (qcow2_refuse(im, row, at, l1));
	if (*off == 0 || !(l1 & QCOW2_COPIED))
		return (new_table(im, i, *off, off));
	error = qcow2_count(im, *off >> q->q_bits, &count);
	if (error == 0 && count != 1)
		return (qcow2_refuse(im,
		    count == 0 ? IMG_QCOW2_L1_UNCOUNTED : IMG_QCOW2_L1_COPIED,
		    at, l1));
	return (error);
}

int
qcow2_forget(struct img *im, const struct qcow2_entry *n)
{
	struct qcow2 *q = qcow2(im);

	if (n->n_off == 0 || qcow2_data_file(q))
		return (0);
	return (qcow2_drop(im, n->n_off >> q->q_bits,
	    n->n_type == QCOW2_T_PACKED ?
		qcow2_nclusters(q, n->n_off, n->n_plen) :
		1,
	    0));
}
