/* SPDX-License-Identifier: ISC */

/*
 * Stage VERIFY: every entry of every table, and that no two of them lead to
 * the same cluster.  A writer relies on that, for a cluster of a QED does not
 * say how often it is used.
 *
 * Window by window of the file (nearly always there is one), in these steps:
 *
 *	tables	what L1 entries lead to, and whether that overlaps
 *	data	what L2 entries lead to, in silence; and if that was not all
 *		right, which L1 entries are to blame
 *	tell	which L2 entries are to blame for the rest
 *
 * Where an L2 table and data share clusters, one of the entries lies.  It is
 * the L1 entry where what it leads to does not look like a table; but what a
 * table itself says of its clusters is no reason not to believe in it.  Of
 * tables that overlap, the first one is looked into.
 */

#include "qed/qed.h"

struct verify {
	struct qed_marks ve_mk;
	int ve_overlap;    /* tables overlap in this window */
	int ve_tell;       /* there are flaws in any window */
	uint64_t ve_flaws; /* of entries, counted in silence */
	uint64_t ve_own;   /* where the table is that they are in */
};

uint8_t
qed_flags(const struct img *im, uint32_t i)
{
	const struct qed *q = qed(im);

	return (q->q_flags == NULL ? 0 : q->q_flags[i]);
}

static int
set_flag(struct img *im, uint32_t i, uint8_t flag)
{
	struct qed *q = qed(im);
	int error = 0;

	if (q->q_flags == NULL)
		error =
		    img_alloc(im, UINT64_C(1) << q->q_table_bits, &q->q_flags);
	if (error == 0)
		q->q_flags[i] |= flag;
	return (error);
}

void
qed_close(struct img *im)
{
	struct qed *q = qed(im);

	img_free(im, q->q_flags, UINT64_C(1) << q->q_table_bits);
	q->q_flags = NULL;
}

/* A row of an entry, with the guest range that it is about. */
static void
tell(struct img *im, enum img_row row, uint64_t at, uint64_t voff,
    uint64_t vlen, uint64_t raw)
{
	struct img_finding fi;

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = row;
	fi.fi_off = at;
	fi.fi_rel = IMG_WANT_ANY;
	fi.fi_found = raw;
	if (voff < im->im_size && vlen > 0) {
		fi.fi_voff = voff;
		fi.fi_vlen = img_min(vlen, im->im_size - voff);
	}
	qed(im)->q_broken = 1;
	img_raise_finding(im, &fi);
}

/* The same of L1 entry i: all under it, or what a cut table lacks. */
static void
tell_l1(struct img *im, enum img_row row, uint32_t i, const struct qed_entry *n)
{
	struct qed *q = qed(im);
	uint32_t shift = qed_l1_shift(q);
	uint64_t voff, skip = 0, span = UINT64_C(1) << shift;

	voff = i > UINT64_MAX >> shift ? UINT64_MAX : (uint64_t)i << shift;
	if (qed_is_cut(row))
		skip = ((im->im_eof[0] - n->n_off) / 8) << q->q_bits;
	tell(im, row, q->q_l1_off + (uint64_t)i * 8,
	    voff > UINT64_MAX - skip ? UINT64_MAX : voff + skip, span - skip,
	    n->n_raw);
}

/* --- tables ----------------------------------------------------------- */

/* Mark the table's clusters: how do they overlap with those before? */
static enum img_row
claim_table(struct img *im, struct qed_marks *mk, uint64_t off)
{
	uint64_t first = qed_table_first(im, off), cl = first;
	uint64_t end = qed_table_end(im, off);
	enum img_row row = IMG_ROW_NONE;
	enum qed_use was = qed_marks_get(mk, cl);

	if (was == QED_U_L2_FIRST || was == QED_U_L2_SAME) {
		qed_marks_set(mk, cl, QED_U_L2_SAME);
		return (IMG_QED_L2_TWICE);
	}
	for (; cl < end; cl++) {
		was = qed_marks_get(mk, cl);
		if (was != QED_U_FREE)
			row = IMG_QED_L2_OVERLAP;
		qed_marks_set(mk, cl,
		    was != QED_U_FREE ? QED_U_L2_TWICE :
			cl == first   ? QED_U_L2_FIRST :
					QED_U_L2);
	}
	return (row);
}

/* Rows of the entry alone, once, and overlaps with entries before. */
static int
look_at_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	struct verify *ve = arg;
	enum img_row row;

	(void)down;
	if (ve->ve_mk.mk_first == 0 && n->n_row != IMG_ROW_NONE)
		tell_l1(im, n->n_row, i, n);
	if (n->n_off == 0)
		return (0);
	row = claim_table(im, &ve->ve_mk, n->n_off);
	if (row == IMG_ROW_NONE)
		return (0);
	ve->ve_overlap = 1;
	if (qed_flags(im, i) & QED_V_SKIP)
		return (0);
	tell_l1(im, row, i, n);
	return (set_flag(im, i, QED_V_SKIP | QED_V_TOLD));
}

/* The same overlaps, of the entry that came first. */
static int
look_again(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	struct verify *ve = arg;
	enum img_row row = IMG_ROW_NONE;
	enum qed_use use;
	uint64_t cl;

	(void)down;
	if (n->n_off == 0 || (qed_flags(im, i) & QED_V_TOLD))
		return (0);
	cl = qed_table_first(im, n->n_off);
	for (; cl < qed_table_end(im, n->n_off); cl++) {
		use = qed_marks_get(&ve->ve_mk, cl);
		if (use == QED_U_L2_SAME)
			row = IMG_QED_L2_TWICE;
		else if (use == QED_U_L2_TWICE && row == IMG_ROW_NONE)
			row = IMG_QED_L2_OVERLAP;
	}
	if (row == IMG_ROW_NONE)
		return (0);
	tell_l1(im, row, i, n);
	return (set_flag(im, i, QED_V_TOLD));
}

static int
verify_tables(struct img *im, struct verify *ve)
{
	static const struct qed_walker look = { look_at_table, NULL };
	static const struct qed_walker again = { look_again, NULL };
	int error;

	ve->ve_overlap = 0;
	error = qed_walk(im, &look, ve);
	if (error == 0 && ve->ve_overlap)
		error = qed_walk(im, &again, ve);
	return (error);
}

/* --- data ------------------------------------------------------------- */

static int
mark_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	struct verify *ve = arg;

	(void)i;
	if (*down)
		(void)claim_table(im, &ve->ve_mk, n->n_off);
	return (0);
}

static int
enter_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	struct verify *ve = arg;

	(void)im;
	(void)i;
	(void)down;
	ve->ve_own = n->n_off;
	return (0);
}

/* Does an entry lead into the table that it is in? */
static int
is_own(const struct img *im, const struct verify *ve, const struct qed_entry *n)
{
	return (n->n_off >= ve->ve_own &&
	    n->n_off - ve->ve_own < qed(im)->q_table_len);
}

static int
mark_data(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct verify *ve = arg;
	struct qed_marks *mk = &ve->ve_mk;
	uint64_t cl = n->n_off >> qed(im)->q_bits;

	(void)voff;
	(void)at;
	if (n->n_row != IMG_ROW_NONE && mk->mk_first == 0)
		ve->ve_flaws++;
	if (n->n_off == 0)
		return (0);
	if (is_own(im, ve, n)) {
		ve->ve_flaws += qed_marks_in(mk, cl) != 0;
		return (0);
	}
	switch (qed_marks_get(mk, cl)) {
	case QED_U_FREE:
		qed_marks_set(mk, cl, QED_U_DATA);
		return (0);
	case QED_U_DATA:
	case QED_U_DATA_TWICE:
		qed_marks_set(mk, cl, QED_U_DATA_TWICE);
		break;
	default:
		qed_marks_set(mk, cl, QED_U_L2_HIT);
		break;
	}
	ve->ve_flaws++;
	return (0);
}

/* All marks of the window, tables first. */
static int
mark_all(struct img *im, struct verify *ve)
{
	static const struct qed_walker tables = { mark_table, NULL };
	static const struct qed_walker data = { enter_table, mark_data };
	int error;

	qed_marks_start(&ve->ve_mk, im, ve->ve_mk.mk_first);
	ve->ve_flaws = 0;
	error = qed_walk(im, &tables, ve);
	return (error != 0 ? error : qed_walk(im, &data, ve));
}

/* --- tell -------------------------------------------------------------- */

static int
count_flaw(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	(void)im;
	(void)voff;
	(void)at;
	if (n->n_row != IMG_ROW_NONE)
		++*(uint64_t *)arg;
	return (0);
}

/*
 * Is what data lie over a table, or are they told to be one?  Then what it
 * says counts in no window: it is skipped once all of them were judged.
 */
static int
judge_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	static const struct qed_walker counter = { NULL, count_flaw };
	struct verify *ve = arg;
	uint64_t cl, nflaws = 0;
	int error, hit = 0;

	if (!*down || (qed_flags(im, i) & QED_V_DATA))
		return (0);
	*down = 0;
	cl = qed_table_first(im, n->n_off);
	for (; cl < qed_table_end(im, n->n_off); cl++)
		hit |= qed_marks_get(&ve->ve_mk, cl) == QED_U_L2_HIT;
	if (!hit)
		return (0);
	error = qed_walk_l2(im, &counter, &nflaws, i, n->n_off);
	if (error != 0 || nflaws == 0)
		return (error);
	tell_l1(im, IMG_QED_L2_DATA, i, n);
	return (set_flag(im, i, QED_V_DATA));
}

static void
skip_data(struct img *im)
{
	struct qed *q = qed(im);
	uint32_t i, nent = UINT32_C(1) << q->q_table_bits;

	for (i = 0; q->q_flags != NULL && i < nent; i++)
		if (q->q_flags[i] & QED_V_DATA)
			q->q_flags[i] |= QED_V_SKIP;
}

/* Of clusters that are used several times: which are that in this table? */
static int
count_here(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct verify *ve = arg;
	uint64_t cl = n->n_off >> qed(im)->q_bits;
	enum qed_use use = qed_marks_get(&ve->ve_mk, cl);

	(void)voff;
	(void)at;
	if (n->n_off == 0)
		return (0);
	if (use == QED_U_DATA_TWICE) {
		qed_marks_set(&ve->ve_mk, cl, QED_U_DATA_HERE);
		ve->ve_flaws++;
	} else if (use == QED_U_DATA_HERE)
		qed_marks_set(&ve->ve_mk, cl, QED_U_DATA_BOTH);
	return (0);
}

static int
forget_here(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct verify *ve = arg;
	uint64_t cl = n->n_off >> qed(im)->q_bits;
	enum qed_use use = qed_marks_get(&ve->ve_mk, cl);

	(void)voff;
	(void)at;
	if (use == QED_U_DATA_HERE || use == QED_U_DATA_BOTH)
		qed_marks_set(&ve->ve_mk, cl, QED_U_DATA_TWICE);
	return (0);
}

static enum img_row
row_of_use(enum qed_use use)
{
	switch (use) {
	case QED_U_L2_HIT:
		return (IMG_QED_DATA_L2);
	case QED_U_DATA_HERE:
		return (IMG_QED_DATA_SHARED);
	case QED_U_DATA_BOTH:
		return (IMG_QED_DATA_TWICE);
	default:
		return (IMG_ROW_NONE);
	}
}

static int
tell_entry(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct verify *ve = arg;
	struct qed *q = qed(im);
	enum img_row row;
	uint64_t there = 0, cl = n->n_off >> q->q_bits;

	if (n->n_row != IMG_ROW_NONE && ve->ve_mk.mk_first == 0) {
		if (n->n_row == IMG_QED_DATA_CUT)
			there = im->im_eof[0] - n->n_off;
		tell(im, n->n_row, at, voff + there, q->q_cluster - there,
		    n->n_raw);
	}
	if (n->n_off == 0)
		return (0);
	row = row_of_use(qed_marks_get(&ve->ve_mk, cl));
	if (is_own(im, ve, n) && qed_marks_in(&ve->ve_mk, cl))
		row = IMG_QED_DATA_L2;
	if (row != IMG_ROW_NONE)
		tell(im, row, at, voff, q->q_cluster, n->n_raw);
	return (0);
}

static int
tell_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	static const struct qed_walker here = { NULL, count_here };
	static const struct qed_walker entries = { NULL, tell_entry };
	static const struct qed_walker forget = { NULL, forget_here };
	struct verify *ve = arg;
	int error;

	if (!*down)
		return (0);
	*down = 0;
	ve->ve_own = n->n_off;
	ve->ve_flaws = 0;
	error = qed_walk_l2(im, &here, ve, i, n->n_off);
	if (error == 0)
		error = qed_walk_l2(im, &entries, ve, i, n->n_off);
	if (error == 0 && ve->ve_flaws > 0)
		error = qed_walk_l2(im, &forget, ve, i, n->n_off);
	return (error);
}

static int
judge_window(struct img *im, struct verify *ve)
{
	static const struct qed_walker judge = { judge_table, NULL };
	int error;

	error = mark_all(im, ve);
	if (error != 0 || ve->ve_flaws == 0)
		return (error);
	ve->ve_tell = 1;
	return (qed_walk(im, &judge, ve));
}

static int
tell_window(struct img *im, struct verify *ve)
{
	static const struct qed_walker teller = { tell_table, NULL };
	int error;

	error = mark_all(im, ve);
	if (error != 0 || ve->ve_flaws == 0)
		return (error);
	return (qed_walk(im, &teller, ve));
}

/* --- all ---------------------------------------------------------------- */

/* Each step in all windows before the next one, which depends on flags. */
static int
verify_windows(struct img *im, struct verify *ve,
    int (*verify)(struct img *, struct verify *))
{
	uint64_t cl = 0;
	int error = 0;

	while (error == 0 && cl < ve->ve_mk.mk_ncl) {
		qed_marks_start(&ve->ve_mk, im, cl);
		error = verify(im, ve);
		cl = ve->ve_mk.mk_beyond;
	}
	return (error);
}

int
qed_verify(struct img *im)
{
	struct verify ve;
	int error;

	memset(&ve, 0, sizeof(ve));
	error = qed_marks_init(&ve.ve_mk, im);
	if (error == 0)
		error = verify_windows(im, &ve, verify_tables);
	if (error == 0)
		error = verify_windows(im, &ve, judge_window);
	skip_data(im);
	if (error == 0 && ve.ve_tell)
		error = verify_windows(im, &ve, tell_window);
	qed_marks_fini(&ve.ve_mk, im);
	return (error);
}
