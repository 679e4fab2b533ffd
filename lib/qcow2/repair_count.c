/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: refcounts where they are, and the COPIED flags that follow
 * from them.  Those too low are raised first, which is safe whatever else is
 * wrong; those too high are lowered only where every structure could be
 * walked.  Clusters that two owners must not share are left alone: a count
 * that fits would only hide it.
 */

#include "qcow2/repair.h"

/* Rows that refcounts or blocks of them raise. */
static int
is_of_counts(enum img_row row)
{
	switch (row) {
	case IMG_QCOW2_L1_UNCOUNTED:
	case IMG_QCOW2_COPIED_UNCOUNTED:
	case IMG_QCOW2_UNDERCOUNT:
	case IMG_QCOW2_UNCOUNTED:
	case IMG_QCOW2_META_UNCOUNTED:
	case IMG_QCOW2_RB_SELF:
	case IMG_QCOW2_L1_NOT_COPIED:
	case IMG_QCOW2_L1_COPIED:
	case IMG_QCOW2_NOT_COPIED:
	case IMG_QCOW2_COPIED_SHARED:
	case IMG_QCOW2_LEAK:
	case IMG_QCOW2_BEYOND:
	case IMG_QCOW2_DIRTY:
		return (1);
	default:
		return (0);
	}
}

/* Rows after which nothing but a new refcount table helps. */
static int
is_of_table(enum img_row row)
{
	switch (row) {
	case IMG_QCOW2_RT_ALIGN:
	case IMG_QCOW2_RT_PLACE:
	case IMG_QCOW2_RT_NONE:
	case IMG_QCOW2_RT_LIMIT:
	case IMG_QCOW2_RB_ALIGN:
	case IMG_QCOW2_RB_RANGE:
	case IMG_QCOW2_RB_TWICE:
	case IMG_QCOW2_RB_OVER:
	case IMG_QCOW2_RT_SHORT:
		return (1);
	default:
		return (0);
	}
}

/* Does every cluster of the run have a block that counts it? */
static int
has_blocks(struct img *im, uint64_t cl, uint64_t n, int *yes)
{
	uint64_t end = cl + n, per = UINT64_C(1) << qcow2(im)->q_rb_bits, rb;
	int error = 0;

	*yes = 1;
	for (; cl < end && *yes && error == 0; cl = (cl & ~(per - 1)) + per) {
		error = qcow2_has_block(im, cl, &rb);
		*yes = error == 0 && rb != 0;
	}
	return (error == EFTYPE ? 0 : error);
}

static int
plan_diff(void *arg, const struct qcow2_diff *d)
{
	struct qcow2_repair *r = arg;
	struct img *im = r->r_im;
	int error, yes;

	if (d->d_owner.o_count > qcow2_count_max(qcow2(im)))
		r->r_over = 1;
	if (d->d_stored >= d->d_owner.o_count)
		return (0);
	error = has_blocks(im, d->d_cl, d->d_n, &yes);
	if (error == 0 && !yes)
		r->r_rebuild = 1;
	return (error);
}

/* Clusters that this repair, or the one who reported, knows to be leaked. */
static int
has_leaks(const struct qcow2_repair *r)
{
	return (qcow2_fix_wanted(r, IMG_QCOW2_LEAK) ||
	    qcow2_fix_wanted(r, IMG_QCOW2_BEYOND) ||
	    qcow2_fix_wanted(r, IMG_QCOW2_DIRTY) ||
	    r->r_done[IMG_QCOW2_BITMAP_STALE] ||
	    r->r_done[IMG_QCOW2_BITMAP_EXT] ||
	    r->r_done[IMG_QCOW2_BITMAP_DIR] ||
	    r->r_done[IMG_QCOW2_BITMAP_ENTRY] ||
	    r->r_done[IMG_QCOW2_BITMAP_RANGE]);
}

/*
 * Beside what may be a damaged pointer or table, what seems to be leaked may
 * be what it led to before.  Only in a dirty image counts are expected to be
 * too low.
 */
static int
may_be_lost(const struct qcow2_repair *r)
{
	static const enum img_row rows[] = { IMG_QCOW2_L1_RESERVED,
		IMG_QCOW2_L1_UNCOUNTED, IMG_QCOW2_L2_RESERVED,
		IMG_QCOW2_DATA_SHARED, IMG_QCOW2_COPIED_UNCOUNTED,
		IMG_QCOW2_SUB_BOTH, IMG_QCOW2_UNDERCOUNT, IMG_QCOW2_UNCOUNTED,
		IMG_QCOW2_META_UNCOUNTED, IMG_QCOW2_OVERCOUNT,
		IMG_QCOW2_RB_SELF };
	size_t i;

	if (r->r_nfound[IMG_QCOW2_LEAK] == 0 ||
	    (r->r_q.q_incompat & QCOW2_I_DIRTY))
		return (0);
	/* What no repair mends would forbid it for good. */
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (r->r_nfound[rows[i]] > 0 &&
		    (img_row(rows[i])->r_fix != IMG_FIX_NONE ||
			r->r_rp->rp_level < IMG_FIX_LOSSY))
			return (1);
	return (0);
}

/* Could it be that snapshots are lost, and these are their references? */
static int
may_be_snapshots(const struct qcow2_repair *r)
{
	const struct qcow2 *q = &r->r_q;

	return (r->r_nfound[IMG_QCOW2_SNAP_LOST] > 0 ||
	    ((r->r_rebuild || (q->q_incompat & QCOW2_I_DIRTY)) &&
		q->q_snap_off != 0 &&
		img_be32(q->q_head + QCOW2_H_NSNAP) == 0));
}

int
qcow2_plan_counts(struct qcow2_repair *r)
{
	struct qcow2_tally ta;
	enum img_row row;
	int error;

	for (row = IMG_ROW_NONE; row < IMG_NROWS; row++) {
		r->r_count |= is_of_counts(row) && qcow2_fix_wanted(r, row);
		r->r_rebuild |= is_of_table(row) && qcow2_fix_wanted(r, row);
	}
	r->r_twins = qcow2_fix_wanted(r, IMG_QCOW2_L2_TWICE) ||
	    qcow2_fix_wanted(r, IMG_QCOW2_DATA_TWICE);
	r->r_count |= r->r_rebuild || r->r_twins || has_leaks(r);
	error = qcow2_tally_init(&ta, r->r_im, 0);
	ta.ta_anew = r->r_rebuild;
	ta.ta_twins = r->r_twins;
	ta.ta_diff = plan_diff;
	ta.ta_arg = r;
	if (error == 0)
		error = qcow2_tally(&ta);
	r->r_whole = ta.ta_whole && !may_be_snapshots(r);
	r->r_alias |= ta.ta_doubt;
	qcow2_tally_fini(&ta);
	if (r->r_alias)
		r->r_count = r->r_twins = 0;
	r->r_rebuild &= r->r_count;
	r->r_stuck = r->r_rebuild && r->r_device;
	r->r_free = r->r_whole && !may_be_lost(r);
	r->r_lower = r->r_free && !r->r_rebuild && has_leaks(r);
	return (error);
}

/*
 * May COPIED be set by a refcount of 1?  Not beside twins that stay, whose
 * refcount is left alone, nor where refcounts are too narrow.
 */
static int
may_flag(const struct qcow2_repair *r)
{
	return (!r->r_over &&
	    (r->r_whole ||
		(r->r_nfound[IMG_QCOW2_DATA_TWICE] == 0 &&
		    r->r_nfound[IMG_QCOW2_L2_TWICE] == 0)));
}

int
qcow2_mends_count(const struct qcow2_repair *r, enum img_row row)
{
	if (r->r_alias)
		return (0);
	if (row == IMG_QCOW2_LEAK || row == IMG_QCOW2_BEYOND)
		return (r->r_free && !r->r_stuck);
	if (row == IMG_QCOW2_L1_NOT_COPIED || row == IMG_QCOW2_NOT_COPIED)
		return (may_flag(r) && !r->r_stuck);
	if (row == IMG_QCOW2_DIRTY)
		return (!r->r_stuck && !r->r_over);
	return ((is_of_counts(row) || is_of_table(row)) && !r->r_stuck);
}

/* Refcounts of a run become what they should be, where they are too low. */
static int
raise_diff(void *arg, const struct qcow2_diff *d)
{
	struct qcow2_repair *r = arg;
	struct img *im = r->r_out;
	uint64_t n = img_min(d->d_owner.o_count, qcow2_count_max(qcow2(im)));
	uint64_t i, rb;
	int error = 0;

	if (d->d_stored >= n)
		return (0);
	for (i = 0; i < d->d_n && error == 0; i++) {
		error = qcow2_has_block(im, d->d_cl + i, &rb);
		if (error == 0 && rb != 0)
			error = qcow2_set_count(im, d->d_cl + i, n);
		if (error == EFTYPE)
			error = 0;
	}
	return (error);
}

static int
lower_diff(void *arg, const struct qcow2_diff *d)
{
	struct qcow2_repair *r = arg;
	uint64_t i;
	int error = 0;

	if (d->d_stored <= d->d_owner.o_count)
		return (0);
	for (i = 0; i < d->d_n && error == 0; i++)
		error =
		    qcow2_set_count(r->r_out, d->d_cl + i, d->d_owner.o_count);
	return (error);
}

static int
pass(struct qcow2_repair *r, qcow2_diff_fn *fn, int *whole)
{
	struct qcow2_tally ta;
	int error;

	error = qcow2_tally_init(&ta, r->r_out, 0);
	ta.ta_twins = r->r_twins;
	ta.ta_diff = fn;
	ta.ta_arg = r;
	if (error == 0)
		error = qcow2_tally(&ta);
	*whole = ta.ta_whole;
	qcow2_tally_fini(&ta);
	return (error != 0 ? error : img_cache_flush(r->r_out));
}

int
qcow2_write_counts(struct qcow2_repair *r)
{
	int error, whole;

	error = qcow2_fix_open(r);
	if (error != 0)
		return (error);
	error = pass(r, raise_diff, &whole);
	r->r_seen = whole && !may_be_snapshots(r);
	if (error == 0 && r->r_lower && whole)
		error = pass(r, lower_diff, &whole);
	return (qcow2_fix_close(r, error));
}

/*
 * COPIED as the refcount of the cluster at off has it.  It lets a writer write
 * there, so it is set only where nothing else can be at the same place.
 */
static int
flagged(const struct qcow2_repair *r, uint64_t entry, uint64_t off,
    uint64_t *out)
{
	struct img *im = r->r_out;
	uint64_t n;
	int error;

	*out = entry;
	error = qcow2_count(im, off >> qcow2(im)->q_bits, &n);
	if (error == 0 && n > 1)
		*out = entry & ~QCOW2_COPIED;
	else if (error == 0 && n == 1 && may_flag(r))
		*out = entry | QCOW2_COPIED;
	return (error == EFTYPE ? 0 : error);
}

static int
copied_l1(struct img *im, void *arg, const struct qcow2_tree *t, uint32_t i,
    uint64_t l1, uint64_t l2, enum img_row row, int *down)
{
	uint64_t now;
	int error;

	(void)t;
	(void)down;
	if (l2 == 0 || row != IMG_ROW_NONE)
		return (0);
	error = flagged(arg, l1, l2, &now);
	return (error == 0 && now != l1 ? qcow2_l1_set(im, i, now) : error);
}

static int
copied_l2(struct img *im, void *arg, const struct qcow2_tree *t, uint64_t voff,
    uint64_t at, const struct qcow2_entry *n)
{
	uint32_t in = (uint32_t)at & (qcow2(im)->q_cluster - 1);
	uint64_t now;
	int error;

	(void)t;
	(void)voff;
	if (n->n_off == 0 || n->n_row != IMG_ROW_NONE ||
	    n->n_type == QCOW2_T_PACKED || qcow2_data_file(qcow2(im)))
		return (0);
	error = flagged(arg, n->n_raw, n->n_off, &now);
	if (error != 0 || now == n->n_raw)
		return (error);
	return (qcow2_l2_set(im, at - in, in >> qcow2(im)->q_esz_bits, now,
	    n->n_bits));
}

static const struct qcow2_walker walker = { copied_l1, copied_l2 };

int
qcow2_write_copied(struct qcow2_repair *r)
{
	int error;

	error = qcow2_fix_open(r);
	if (error != 0)
		return (error);
	error = qcow2_walk(r->r_out, &qcow2(r->r_out)->q_active, &walker, r);
	return (qcow2_fix_close(r, error));
}
