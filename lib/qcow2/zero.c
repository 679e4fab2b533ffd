/* SPDX-License-Identifier: ISC */

/*
 * Zeros without writing data: the entry says so, and the cluster is given up.
 * What the entry was decides (the whole table is in the tests):
 *
 *	nothing, no backing image	it stays so
 *	anything else, version 3	the zero flag, no cluster
 *	a cluster, version 2		nothing, where there is no backing image
 *
 * In version 2 over a backing image, for readers that know no zero flags
 * (IMG_PLAIN), and where a raw data file must hold them, zeros are data:
 * rw.c writes them.
 */

#include "qcow2/qcow2.h"

/* May an entry say that it is zeros, whatever the backing image holds? */
static int
has_flag(const struct img *im)
{
	return (qcow2(im)->q_version >= 3 && !(im->im_flags & IMG_PLAIN));
}

static int
has_backing(const struct img *im)
{
	return ((im->im_needs & IMG_NEEDS_BACKING) != 0);
}

static int
set_entry(struct img *im, const struct qcow2_entry *n, uint64_t voff,
    uint64_t raw, uint64_t bits)
{
	struct qcow2 *q = qcow2(im);
	uint32_t i = (uint32_t)(voff >> q->q_bits);
	uint64_t l2;
	int error;

	error = qcow2_own_l2(im, voff, &l2);
	if (error == 0)
		error = qcow2_l2_set(im, l2, i & ((1u << q->q_l2_bits) - 1),
		    raw, bits);
	if (error == 0 && (raw & QCOW2_OFFSET) != n->n_off)
		error = qcow2_forget(im, n);
	return (error);
}

/* A whole guest cluster; *done stays 0 where zeros must be written. */
static int
zero_cluster(struct img *im, const struct qcow2_entry *n, uint64_t voff,
    uint64_t *done)
{
	struct qcow2 *q = qcow2(im);
	int flag = has_flag(im), nothing = 0;
	uint64_t raw = 0, bits = 0;

	if (n->n_type == QCOW2_T_ZERO || n->n_type == QCOW2_T_ZERO_ALLOC)
		nothing = 1;
	else if (n->n_type == QCOW2_T_EMPTY)
		nothing = !has_backing(im);
	*done = q->q_cluster;
	if (nothing)
		return (0);
	if (!flag && (has_backing(im) || qcow2_data_file(q))) {
		*done = 0;
		return (0);
	}
	if (flag && q->q_extended)
		bits = QCOW2_SUB_ZERO;
	else if (flag)
		raw = QCOW2_ZERO;
	/* The bytes of a data file keep their place. */
	if (qcow2_data_file(q) && n->n_copied)
		raw |= n->n_off | QCOW2_COPIED;
	return (set_entry(im, n, voff, raw, bits));
}

/* Whole subclusters of one cluster. */
static int
zero_sub(struct img *im, const struct qcow2_entry *n, uint64_t voff,
    uint64_t len, uint64_t *done)
{
	struct qcow2 *q = qcow2(im);
	uint32_t shift = q->q_bits - 5, first, end;
	uint32_t in = (uint32_t)voff & (q->q_cluster - 1);
	uint64_t mask;

	if ((in & ((1u << shift) - 1)) != 0 || n->n_type == QCOW2_T_PACKED ||
	    !has_flag(im))
		return (0);
	first = in >> shift;
	end = (uint32_t)(img_min(in + len, q->q_cluster) >> shift);
	if (end <= first)
		return (0);
	mask = ((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1);
	*done = ((uint64_t)end << shift) - in;
	return (
	    set_entry(im, n, voff, n->n_raw, (n->n_bits & ~mask) | mask << 32));
}

int
qcow2_zero(struct img *im, uint64_t voff, uint64_t len, uint64_t *done)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t at, some = 0, span = UINT64_C(1) << qcow2_l1_shift(q);
	uint64_t l1_len = (uint64_t)q->q_active.t_n * 8;
	int error;

	*done = 0;
	if (q->q_autoclear & QCOW2_A_RAW)
		return (0);
	error = qcow2_touch(im);
	while (error == 0 && *done < len) {
		error = qcow2_look(im, voff, &n, &at);
		if (error != 0)
			break;
		some = 0;
		/* Where there is not even a table, the whole of it is done. */
		if (at - q->q_active.t_off < l1_len && !has_backing(im))
			some = span - (voff & (span - 1));
		/* The last cluster of the disk is a whole one. */
		else if (qcow2_aligned(q, voff) &&
		    (len - *done >= q->q_cluster ||
			voff + (len - *done) == im->im_size))
			error = zero_cluster(im, &n, voff, &some);
		else if (q->q_extended)
			error = zero_sub(im, &n, voff, len - *done, &some);
		if (some == 0)
			break;
		some = img_min(some, len - *done);
		*done += some;
		voff += some;
	}
	return (error);
}
