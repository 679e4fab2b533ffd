/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: entries that cannot be right.  They are cleared, but for
 * those of which only the low bits are wrong, and those that the end of the
 * file cuts: what is there of a table or a cluster is kept.
 */

#include "qed/repair.h"

#define MAX_RIVALS 64 /* tables that overlap and are held against each other */
#define MAX_TRIALS 4096 /* tables without low bits that one repair tries */

/* What all entries lead to that can be used, and room to try others. */
struct used {
	struct qed_marks u_mk;
	int u_known; /* that is all of the file */
	/* Of the table on trial */
	unsigned u_trials;
	uint64_t u_data; /* entries that lead to data */
	uint64_t u_flaws;
	int u_ok;
};

static int
mark_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	struct used *u = arg;
	uint64_t cl;

	(void)i;
	(void)down;
	if (n->n_off == 0)
		return (0);
	cl = qed_table_first(im, n->n_off);
	for (; cl < qed_table_end(im, n->n_off); cl++)
		qed_marks_set(&u->u_mk, cl, QED_U_L2);
	return (0);
}

static int
mark_data(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct used *u = arg;

	(void)voff;
	(void)at;
	if (n->n_off != 0)
		qed_marks_set(&u->u_mk, n->n_off >> qed(im)->q_bits,
		    QED_U_DATA);
	return (0);
}

static int
find_used(struct qed_repair *r, struct used *u)
{
	static const struct qed_walker walker = { mark_table, mark_data };
	int error;

	memset(u, 0, sizeof(*u));
	if (!qed_fix_wanted(r, IMG_QED_L1_ALIGN) &&
	    !qed_fix_wanted(r, IMG_QED_DATA_ALIGN))
		return (0);
	error = qed_marks_init(&u->u_mk, r->r_im);
	if (error != 0)
		return (error == ENOMEM ? 0 : error);
	qed_marks_start(&u->u_mk, r->r_im, 0);
	u->u_known = u->u_mk.mk_n == u->u_mk.mk_ncl;
	return (u->u_known ? qed_walk(r->r_im, &walker, u) : 0);
}

/* --- low bits ----------------------------------------------------------- */

/* An entry of a table on trial: could it be one, for a cluster of its own? */
static int
try_entry(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct used *u = arg;
	uint64_t cl = n->n_off >> qed(im)->q_bits;

	(void)voff;
	(void)at;
	if (n->n_row != IMG_ROW_NONE)
		u->u_flaws++;
	else if (n->n_type == QED_T_DATA) {
		if (qed_marks_get(&u->u_mk, cl) != QED_U_FREE)
			u->u_flaws++;
		else
			qed_marks_set(&u->u_mk, cl, QED_U_DATA_HERE);
		u->u_data++;
	}
	return (0);
}

/* What the trial has marked is free, unless it is of a table. */
static int
end_trial(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct used *u = arg;
	uint64_t cl = n->n_off >> qed(im)->q_bits;

	(void)voff;
	(void)at;
	if (n->n_off != 0 && qed_marks_get(&u->u_mk, cl) == QED_U_DATA_HERE)
		qed_marks_set(&u->u_mk, cl, u->u_ok ? QED_U_DATA : QED_U_FREE);
	return (0);
}

/* The clusters of a table on trial. */
static void
mark_trial(struct img *im, struct used *u, uint64_t off, enum qed_use use)
{
	uint64_t cl = qed_table_first(im, off);

	for (; cl < qed_table_end(im, off); cl++)
		qed_marks_set(&u->u_mk, cl, use);
}

/* Could that be an L2 table that nothing else leads to? */
static int
try_table(struct qed_repair *r, struct used *u, uint32_t i, uint64_t off)
{
	static const struct qed_walker walker = { NULL, try_entry };
	static const struct qed_walker end = { NULL, end_trial };
	struct img *im = r->r_im;
	struct qed_entry n;
	uint64_t cl;
	int error;

	u->u_ok = 0;
	qed_judge_l1(im, off, &n);
	if (n.n_row != IMG_ROW_NONE || n.n_off == 0)
		return (0);
	cl = qed_table_first(im, off);
	for (; cl < qed_table_end(im, off); cl++)
		if (qed_marks_get(&u->u_mk, cl) != QED_U_FREE)
			return (0);
	if (u->u_trials++ == MAX_TRIALS)
		return (ENXIO);
	mark_trial(im, u, off, QED_U_L2);
	u->u_data = u->u_flaws = 0;
	error = qed_walk_l2(im, &walker, u, i, off);
	u->u_ok = error == 0 && u->u_flaws == 0 && u->u_data > 0;
	if (error == 0)
		error = qed_walk_l2(im, &end, u, i, off);
	if (!u->u_ok)
		mark_trial(im, u, off, QED_U_FREE);
	if (error == 0 && im->im_env->ev_poll != NULL)
		error = im->im_env->ev_poll(im->im_env->ev_arg, 0, 0);
	return (error);
}

/* The entry without its low bits, or 0; ENXIO where nobody knows. */
static int
mask_l1(struct qed_repair *r, struct used *u, uint32_t i, uint64_t raw,
    uint64_t *n)
{
	int error;

	if (!u->u_known)
		return (ENXIO);
	*n = raw & ~(uint64_t)(r->r_q.q_cluster - 1);
	error = try_table(r, u, i, *n);
	if (!u->u_ok)
		*n = 0;
	return (error);
}

static int
mask_l2(struct qed_repair *r, struct used *u, uint64_t raw, uint64_t *n)
{
	struct qed_entry e;
	uint64_t cl;

	if (!u->u_known)
		return (ENXIO);
	*n = raw & ~(uint64_t)(r->r_q.q_cluster - 1);
	cl = *n >> r->r_q.q_bits;
	qed_judge_l2(r->r_im, *n, &e);
	if (e.n_row != IMG_ROW_NONE || e.n_off == 0 ||
	    qed_marks_get(&u->u_mk, cl) != QED_U_FREE)
		*n = 0;
	else
		qed_marks_set(&u->u_mk, cl, QED_U_DATA);
	return (0);
}

/* --- one entry ---------------------------------------------------------- */

/* As it is in the view; 0 where it is not what the check has seen. */
static int
is_same(struct qed_repair *r, const struct img_finding *fi)
{
	const struct qed *q = &r->r_q;
	uint64_t raw;
	int error;

	if (fi->fi_off % 8 != 0 || fi->fi_off < q->q_header_len ||
	    !img_inside(fi->fi_off, 8, r->r_len))
		return (0);
	if (fi->fi_off >= q->q_l1_off &&
	    fi->fi_off - q->q_l1_off < q->q_table_len)
		error = qed_l1_get(r->r_im,
		    (uint32_t)((fi->fi_off - q->q_l1_off) / 8), &raw);
	else
		error = qed_l2_get(r->r_im, fi->fi_off, 0, &raw);
	return (error == 0 && raw == fi->fi_found);
}

/* Its new value; ENXIO where it stays. */
static int
mend_l1(struct qed_repair *r, struct used *u, const struct img_finding *fi,
    uint64_t *n)
{
	const struct qed *q = &r->r_q;
	struct qed_entry e;
	uint32_t i;

	if (fi->fi_off < q->q_l1_off ||
	    fi->fi_off - q->q_l1_off >= q->q_table_len)
		return (ENXIO);
	i = (uint32_t)((fi->fi_off - q->q_l1_off) / 8);
	qed_judge_l1(r->r_im, fi->fi_found, &e);
	*n = 0;
	if (fi->fi_row == IMG_QED_L2_DATA)
		return (qed_flags(r->r_im, i) & QED_V_DATA ? 0 : ENXIO);
	if (e.n_row != fi->fi_row)
		return (ENXIO);
	if (e.n_row == IMG_QED_L1_ALIGN)
		return (mask_l1(r, u, i, fi->fi_found, n));
	return (0);
}

static int
mend_l2(struct qed_repair *r, struct used *u, const struct img_finding *fi,
    uint64_t *n)
{
	struct qed_entry e;

	qed_judge_l2(r->r_im, fi->fi_found, &e);
	*n = 0;
	if (fi->fi_row == IMG_QED_DATA_L2)
		return (e.n_off != 0 ? 0 : ENXIO);
	if (e.n_row != fi->fi_row)
		return (ENXIO);
	if (e.n_row == IMG_QED_DATA_ALIGN)
		return (mask_l2(r, u, fi->fi_found, n));
	return (0);
}

static int
is_l1_row(enum img_row row)
{
	return ((row >= IMG_QED_L1_ALIGN && row <= IMG_QED_L1_OVER &&
		    !qed_is_cut(row)) ||
	    row == IMG_QED_L2_DATA);
}

static int
is_l2_row(enum img_row row)
{
	return (row >= IMG_QED_DATA_L1 && row <= IMG_QED_DATA_HIGH &&
	    !qed_is_cut(row));
}

static int
mend_one(struct qed_repair *r, struct used *u, const struct img_finding *fi,
    int l1)
{
	uint64_t n;
	int error;

	if (!(l1 ? is_l1_row(fi->fi_row) : is_l2_row(fi->fi_row)) ||
	    !qed_fix_wanted(r, fi->fi_row) || !is_same(r, fi))
		return (0);
	error = l1 ? mend_l1(r, u, fi, &n) : mend_l2(r, u, fi, &n);
	if (error != 0)
		return (error == ENXIO ? 0 : error);
	/* More than fit are for another repair, and so is what needs all. */
	if (qed_pairs_add(r, &r->r_mend, fi->fi_off, n) != 0)
		r->r_some = 1;
	else
		r->r_nl2 += !l1;
	return (0);
}

/* --- tables that overlap ------------------------------------------------ */

struct rival {
	uint64_t v_at; /* of the entry */
	uint64_t v_off;
	uint64_t v_flaws; /* of its entries */
	int v_told;       /* that it overlaps */
};

struct rivals {
	struct rival v_rival[MAX_RIVALS];
	unsigned v_n;
};

static int
count_flaw(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct rival *v = arg;

	(void)im;
	(void)voff;
	(void)at;
	v->v_flaws += n->n_row != IMG_ROW_NONE;
	return (0);
}

/* Tables that overlap, and those that two share: they may be in the way too. */
static int
find_rivals(struct qed_repair *r, struct rivals *vs)
{
	static const struct qed_walker walker = { NULL, count_flaw };
	const struct img_finding *fi = r->r_rp->rp_find;
	struct rival *v;
	size_t i;
	int error = 0;

	for (i = 0; i < r->r_rp->rp_nfind && error == 0; i++, fi++) {
		if ((fi->fi_row != IMG_QED_L2_OVERLAP &&
			fi->fi_row != IMG_QED_L2_TWICE) ||
		    !is_same(r, fi) || fi->fi_off < r->r_q.q_l1_off)
			continue;
		if (vs->v_n == MAX_RIVALS)
			return (ENXIO);
		v = &vs->v_rival[vs->v_n++];
		v->v_at = fi->fi_off;
		v->v_off = fi->fi_found;
		v->v_told = fi->fi_row == IMG_QED_L2_OVERLAP;
		error = qed_walk_l2(r->r_im, &walker, v,
		    (uint32_t)((fi->fi_off - r->r_q.q_l1_off) / 8), v->v_off);
	}
	return (error);
}

/* Do these two have some clusters in common, but not all? */
static int
are_rivals(const struct qed_repair *r, const struct rival *a,
    const struct rival *b)
{
	return (a->v_off != b->v_off &&
	    img_overlap(a->v_off, r->r_q.q_table_len, b->v_off,
		r->r_q.q_table_len));
}

/* It looks like a table, and nothing that is in its way does. */
static int
is_winner(const struct qed_repair *r, const struct rivals *vs, unsigned i)
{
	unsigned k;

	for (k = 0; k < vs->v_n; k++)
		if (vs->v_rival[k].v_flaws == 0 &&
		    are_rivals(r, &vs->v_rival[i], &vs->v_rival[k]))
			return (0);
	return (vs->v_rival[i].v_flaws == 0);
}

/* Of tables that overlap, those go that a clear winner is in the way of. */
static int
mend_overlaps(struct qed_repair *r)
{
	struct rivals vs;
	unsigned i, k;
	int error;

	if (r->r_no39 || r->r_some || !qed_fix_wanted(r, IMG_QED_L2_OVERLAP))
		return (0);
	memset(&vs, 0, sizeof(vs));
	error = find_rivals(r, &vs);
	for (i = 0; i < vs.v_n && error == 0; i++) {
		for (k = 0; k < vs.v_n; k++)
			if (are_rivals(r, &vs.v_rival[i], &vs.v_rival[k]) &&
			    is_winner(r, &vs, k))
				break;
		if (k < vs.v_n && vs.v_rival[i].v_told)
			error =
			    qed_pairs_add(r, &r->r_mend, vs.v_rival[i].v_at, 0);
	}
	return (error == ENXIO || error == ENOMEM ? 0 : error);
}

/* --- all ---------------------------------------------------------------- */

/*
 * Could what is written into L2 tables be read as a guest's data, or by a
 * table that was not believed?
 */
static int
has_alias(const struct qed_repair *r)
{
	return (r->r_nfound[IMG_QED_L2_OVERLAP] > 0 ||
	    r->r_nfound[IMG_QED_L2_DATA] != r->r_nlist[IMG_QED_L2_DATA] ||
	    r->r_nfound[IMG_QED_DATA_L2] != r->r_nlist[IMG_QED_DATA_L2]);
}

/* Is that cut off by the end of the file, and to be kept? */
static int
is_kept(struct qed_repair *r, const struct img_finding *fi)
{
	return (qed_is_cut(fi->fi_row) && qed_fix_wanted(r, fi->fi_row) &&
	    is_same(r, fi) && fi->fi_found < r->r_len &&
	    !qed_pairs_has(&r->r_mend, fi->fi_off));
}

/*
 * The file goes on to where all ends that its end cuts.  What else leads there
 * is cleared by now.
 */
static int
plan_extension(struct qed_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	uint64_t end = r->r_len, need;
	size_t i;
	int half = 0;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++) {
		if (!is_kept(r, fi))
			continue;
		need = fi->fi_row == IMG_QED_DATA_CUT ? r->r_q.q_cluster :
							r->r_q.q_table_len;
		if (fi->fi_found + need > end)
			end = fi->fi_found + need;
		half |= fi->fi_row == IMG_QED_L2_CUT && r->r_len % 8 != 0;
	}
	if (end == r->r_len)
		return (0);
	/* Half an entry is none. */
	if (half &&
	    qed_pairs_add(r, &r->r_mend, r->r_len - r->r_len % 8, 0) != 0)
		return (0);
	qed_pairs_sort(&r->r_mend);
	r->r_newlen = end;
	r->r_extend = 1;
	return (0);
}

int
qed_plan_entries(struct qed_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i, n = r->r_rp->rp_nfind;
	struct used u;
	int error, l1;

	if (r->r_rp->rp_level < IMG_FIX_LOSSY)
		return (0);
	r->r_nol2 |= has_alias(r);
	error = find_used(r, &u);
	if (error == 0)
		error = mend_overlaps(r);
	/* Tables first: what they lead to is not free then. */
	for (l1 = 1; l1 >= r->r_nol2; l1--)
		for (i = 0; i < n && error == 0; i++)
			error = mend_one(r, &u, &fi[i], l1);
	qed_marks_fini(&u.u_mk, r->r_im);
	qed_pairs_sort(&r->r_mend);
	if (error == 0 && !r->r_nol2 && !r->r_some && !r->r_fixed)
		error = plan_extension(r);
	return (error);
}
