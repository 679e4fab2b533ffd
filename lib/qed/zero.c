/* SPDX-License-Identifier: ISC */

/*
 * Zeros without writing data.  What the entry was decides:
 *
 *	nothing, no backing image	it stays so
 *	nothing, a backing image	the mark of a zero cluster
 *	the mark of a zero cluster	it stays so
 *	a cluster			its bytes are zeroed, by rw.c
 *
 * A cluster cannot be given up: nobody would ever take it again.  For
 * readers that know no zero clusters (IMG_PLAIN), zeros over a backing image
 * are data.
 */

#include "qed/qed.h"

/* A whole guest cluster; *done stays 0 where zeros must be written. */
static int
zero_cluster(struct img *im, const struct qed_entry *n, uint64_t voff,
    uint64_t *done)
{
	struct qed *q = qed(im);
	uint64_t l2;
	int error;

	if (n->n_type == QED_T_DATA ||
	    (n->n_type == QED_T_EMPTY && (im->im_flags & IMG_PLAIN)))
		return (0);
	*done = q->q_cluster;
	if (n->n_type == QED_T_ZERO)
		return (0);
	error = qed_own_l2(im, voff, &l2);
	if (error == 0)
		error = qed_l2_set(im, l2, qed_l2_index(q, voff), QED_E_ZERO);
	return (error);
}

/* Where there is nothing, there is nothing to be done. */
static uint64_t
nothing(const struct img *im, const struct qed_entry *n, uint64_t l2,
    uint64_t voff)
{
	struct qed *q = qed(im);
	uint64_t unit = q->q_cluster;

	if (n->n_type != QED_T_EMPTY || (im->im_needs & IMG_NEEDS_BACKING))
		return (0);
	if (l2 == 0)
		unit = UINT64_C(1) << qed_l1_shift(q);
	return (unit - (voff & (unit - 1)));
}

int
qed_zero(struct img *im, uint64_t voff, uint64_t len, uint64_t *done)
{
	struct qed *q = qed(im);
	struct qed_entry n;
	uint64_t l2, some, rest;
	int error;

	*done = 0;
	error = qed_touch(im);
	while (error == 0 && *done < len) {
		error = qed_look(im, voff, &n, &l2);
		if (error != 0)
			break;
		rest = len - *done;
		some = nothing(im, &n, l2, voff);
		/* The last cluster of the disk is a whole one. */
		if (some == 0 && (voff & (q->q_cluster - 1)) == 0 &&
		    (rest >= q->q_cluster || voff + rest == im->im_size))
			error = zero_cluster(im, &n, voff, &some);
		if (some == 0)
			break;
		some = img_min(some, rest);
		*done += some;
		voff += some;
	}
	return (error);
}
