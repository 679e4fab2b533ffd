/* SPDX-License-Identifier: ISC */

/*
 * All references counted, window by window.  In a file that is larger than
 * the window all tables are walked twice for each: what a table is to blame
 * for may have been seen in another window.  Parts without any reference need
 * none.
 */

#include "qcow2/check.h"

int
qcow2_tally_init(struct qcow2_tally *ta, struct img *im, uint64_t window)
{
	struct qcow2 *q = qcow2(im);
	int error = 0;

	memset(ta, 0, sizeof(*ta));
	ta->ta_im = im;
	ta->ta_whole = 1;
	ta->ta_first = 1;
	ta->ta_ncl = qcow2_nclusters(q, 0, im->im_eof[0]);
	if (q->q_active.t_n > 0)
		error = img_alloc(im, q->q_active.t_n / 8 + 1, &ta->ta_skip);
	if (error == 0 && q->q_rt_n > 0)
		error = img_alloc(im, q->q_rt_n / 8 + 1, &ta->ta_bad);
	if (error == 0)
		error = qcow2_own_init(&ta->ta_ow, im, ta->ta_ncl, window);
	return (error);
}

void
qcow2_tally_fini(struct qcow2_tally *ta)
{
	struct img *im = ta->ta_im;

	qcow2_own_fini(&ta->ta_ow);
	img_free(im, ta->ta_bad, qcow2(im)->q_rt_n / 8 + 1);
	img_free(im, ta->ta_skip, qcow2(im)->q_active.t_n / 8 + 1);
}

/* Other things that this cannot share with what was there before. */
static enum img_row
clash_of_metadata(enum qcow2_use use, const struct qcow2_owner *before)
{
	if (use != QCOW2_U_RB)
		return (IMG_QCOW2_META_TWICE);
	return (before->o_use == QCOW2_U_RB ? IMG_QCOW2_RB_TWICE :
					      IMG_QCOW2_RB_OVER);
}

static int
is_guest(enum qcow2_use use)
{
	return (use == QCOW2_U_DATA || use == QCOW2_U_PACKED);
}

/* Data that lies over a table or something else of the kind. */
static enum img_row
clash_of_data(const struct qcow2_owner *before)
{
	switch (before->o_use) {
	case QCOW2_U_HEADER:
		return (IMG_QCOW2_DATA_HEADER);
	case QCOW2_U_L1:
	case QCOW2_U_L2:
	case QCOW2_U_RT:
	case QCOW2_U_RB:
		return (IMG_QCOW2_DATA_META);
	default:
		return (IMG_QCOW2_DATA_OTHER);
	}
}

/* Two guest clusters in one: bad where a writer takes it for his alone. */
static int
clash_of_twins(struct qcow2_tally *ta, uint64_t cl, enum img_row *row)
{
	uint64_t n;
	int error;

	error = qcow2_count(ta->ta_im, cl, &n);
	if (error != 0 && error != EFTYPE)
		return (error);
	*row = ta->ta_copied || (error == 0 && n == 1) ? IMG_QCOW2_DATA_TWICE :
							 IMG_QCOW2_DATA_SHARED;
	return (0);
}

/* The row for one more use of a cluster; NONE where that may be. */
static int
clash_at(struct qcow2_tally *ta, enum qcow2_use use, uint64_t cl,
    const struct qcow2_owner *before, enum img_row *row)
{
	*row = IMG_ROW_NONE;
	if (before->o_use == QCOW2_U_NONE)
		return (0);
	if (use == QCOW2_U_L2) {
		if (is_guest(before->o_use))
			*row = IMG_QCOW2_L2_DATA;
		else if (before->o_use != QCOW2_U_L2)
			*row = IMG_QCOW2_L2_META;
		else if (ta->ta_tree == 1)
			*row = IMG_QCOW2_L2_TWICE;
	} else if (!is_guest(use)) {
		*row = clash_of_metadata(use, before);
	} else if (!is_guest(before->o_use)) {
		*row = clash_of_data(before);
	} else if (use != before->o_use) {
		*row = IMG_QCOW2_PACKED_OVER;
	} else if (use == QCOW2_U_DATA && ta->ta_tree == 1) {
		return (clash_of_twins(ta, cl, row));
	}
	return (0);
}

static int
is_twin(enum img_row row)
{
	return (row == IMG_QCOW2_L2_TWICE || row == IMG_QCOW2_DATA_TWICE);
}

/* Whoever writes to one of the two may destroy the other. */
static int
is_doubtful(enum img_row row)
{
	return (row == IMG_QCOW2_L2_META || row == IMG_QCOW2_L2_DATA ||
	    row == IMG_QCOW2_DATA_HEADER || row == IMG_QCOW2_DATA_META ||
	    row == IMG_QCOW2_DATA_OTHER || row == IMG_QCOW2_META_TWICE);
}

int
qcow2_tally_own(struct qcow2_tally *ta, enum qcow2_use use, uint64_t off,
    uint64_t len, struct img_finding *fi, int *clash)
{
	struct qcow2_owners *ow = &ta->ta_ow;
	uint64_t cl = off >> qcow2(ta->ta_im)->q_bits, n;
	struct qcow2_owner before;
	enum img_row row;
	int error = 0, told = 0;

	*clash = 0;
	if (len == 0 || cl >= ta->ta_ncl)
		return (0);
	n = img_min(qcow2_nclusters(qcow2(ta->ta_im), off, len),
	    ta->ta_ncl - cl);
	for (; n > 0 && error == 0; cl++, n--) {
		error = qcow2_own_add(ow, cl, use, &before);
		if (error == 0)
			error = clash_at(ta, use, cl, &before, &row);
		if (error != 0 || row == IMG_ROW_NONE)
			continue;
		if (row != IMG_QCOW2_DATA_SHARED)
			ta->ta_whole = 0;
		ta->ta_doubt |= is_doubtful(row);
		if (row != IMG_QCOW2_DATA_SHARED &&
		    !(ta->ta_twins && is_twin(row))) {
			*clash = 1;
			error = qcow2_own_alias(ow, cl);
		}
		if (error != 0 || told || !ta->ta_report ||
		    !qcow2_own_has(ow, cl) || qcow2_own_seen(ow, cl))
			continue;
		told = 1;
		fi->fi_row = row;
		img_raise_finding(ta->ta_im, fi);
	}
	return (error);
}

int
qcow2_tally_void(struct qcow2_tally *ta, enum qcow2_use use, uint64_t off,
    uint64_t len)
{
	uint64_t cl = off >> qcow2(ta->ta_im)->q_bits, n;
	struct qcow2_owner before;
	int error = 0;

	ta->ta_whole = 0;
	ta->ta_doubt = 1;
	if (len == 0 || cl >= ta->ta_ncl)
		return (0);
	n = img_min(qcow2_nclusters(qcow2(ta->ta_im), off, len),
	    ta->ta_ncl - cl);
	for (; n > 0 && error == 0; cl++, n--) {
		error = qcow2_own_add(&ta->ta_ow, cl, use, &before);
		if (error == 0)
			error = qcow2_own_alias(&ta->ta_ow, cl);
	}
	return (error);
}

/* Where the refcount table ends, in clusters. */
static uint64_t
covered(const struct qcow2 *q)
{
	uint64_t n = (uint64_t)q->q_rt_n << q->q_rb_bits;

	return (img_min(n, UINT64_C(1) << (63 - q->q_bits)));
}

/* Walk all windows, and hold their refcounts against what was found. */
static int
sweep(struct qcow2_tally *ta, int count)
{
	struct qcow2_owners *ow = &ta->ta_ow;
	uint64_t at = 0, next;
	int error = 0;

	ta->ta_first = 1;
	while (at < ta->ta_ncl && error == 0) {
		next = ta->ta_first ? 0 : qcow2_own_next(ow, at);
		if (count && next > at)
			error = qcow2_tally_count(ta, at, next);
		at = next;
		if (error != 0 || at == ta->ta_ncl)
			break;
		qcow2_own_open(ow, at);
		error = qcow2_tally_walk(ta);
		ta->ta_first = 0;
		next = at + ow->ow_n;
		if (count && error == 0)
			error = qcow2_tally_count(ta, at, next);
		at = next;
	}
	return (error);
}

/* Before anything is told: which tables clash, whatever window has them. */
static int
find_clashes(struct qcow2_tally *ta)
{
	struct img_checked *ch = ta->ta_ch;
	int report = ta->ta_report, error;

	ta->ta_report = 0;
	ta->ta_ch = NULL;
	error = sweep(ta, 0);
	ta->ta_ow.ow_ncuts = 0; /* nothing was told by then */
	ta->ta_report = report;
	ta->ta_ch = ch;
	return (error);
}

int
qcow2_tally(struct qcow2_tally *ta)
{
	uint64_t end = covered(qcow2(ta->ta_im));
	int error = 0;

	if (ta->ta_ow.ow_max < ta->ta_ncl)
		error = find_clashes(ta);
	if (error == 0)
		error = sweep(ta, 1);
	if (error == 0 && end > ta->ta_ncl)
		error = qcow2_tally_count(ta, ta->ta_ncl, end);
	return (error);
}
