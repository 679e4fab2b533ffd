/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: space that nothing leads to.  It is given back where no
 * entry is wrong, for only then is it known that nothing leads there; and
 * where it may be what was lost of another table, or of a feature that this
 * program does not know, only by a repair that may lose something.
 */

#include "qed/repair.h"

static void
set_end(uint64_t *end, uint64_t n)
{
	if (n > *end)
		*end = n;
}

static int
end_of_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	(void)i;
	(void)down;
	set_end(arg, n->n_off + qed(im)->q_table_len);
	return (0);
}

static int
end_of_data(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	(void)voff;
	(void)at;
	if (n->n_type == QED_T_DATA)
		set_end(arg, n->n_off + qed(im)->q_cluster);
	return (0);
}

/* Where what is in use of the file ends. */
static int
find_end(struct img *im, uint64_t *end)
{
	static const struct qed_walker walker = { end_of_table, end_of_data };
	const struct qed *q = qed(im);

	*end = q->q_l1_off + q->q_table_len;
	return (qed_walk(im, &walker, end));
}

/* Is anything wrong that could be about space that is in use? */
static int
is_sound(const struct qed_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	unsigned row;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (img_row(fi->fi_row)->r_severity >= IMG_SEV_CORRUPT)
			return (0);
	for (row = 0; row < IMG_NROWS; row++)
		if (r->r_nfound[row] > 0 &&
		    img_row((enum img_row)row)->r_severity >= IMG_SEV_CORRUPT)
			return (0);
	return (1);
}

/* Could clusters that nothing leads to be in use all the same? */
static int
is_unsure(const struct qed_repair *r)
{
	return (r->r_rp->rp_level < IMG_FIX_LOSSY &&
	    (r->r_nlist[IMG_QED_ORPHAN] > 0 || r->r_nlist[IMG_QED_COMPAT] > 0 ||
		r->r_nlist[IMG_QED_AUTOCLEAR] > 0));
}

static int
plan_packing(struct qed_repair *r)
{
	uint64_t end;
	int error;

	if (!qed_fix_wanted(r, IMG_QED_LEAK) && !qed_fix_wanted(r, IMG_QED_GAP))
		return (0);
	error = qed_packed_end(r->r_im, &end);
	if (error != 0)
		return (error == ENXIO || error == ENOMEM ? 0 : error);
	if (end >= r->r_cutlen)
		return (0);
	r->r_compact = 1;
	r->r_cutlen = end;
	r->r_done[IMG_QED_LEAK] = r->r_done[IMG_QED_GAP] = 1;
	return (0);
}

int
qed_plan_space(struct qed_repair *r)
{
	uint64_t whole = r->r_len & ~(uint64_t)(r->r_q.q_cluster - 1);
	int error;

	if (r->r_some || r->r_fixed || !is_sound(r) ||
	    (r->r_nlist[IMG_QED_LEAK_END] == 0 &&
		r->r_nlist[IMG_QED_LEAK] == 0 && r->r_nlist[IMG_QED_GAP] == 0 &&
		r->r_nlist[IMG_QED_TAIL] == 0))
		return (0);
	error = find_end(r->r_im, &r->r_cutlen);
	if (error != 0)
		return (error);
	if (!is_unsure(r)) {
		r->r_done[IMG_QED_LEAK_END] =
		    qed_fix_wanted(r, IMG_QED_LEAK_END) && r->r_cutlen < whole;
		error = plan_packing(r);
	}
	if (!r->r_done[IMG_QED_LEAK_END] && !r->r_compact)
		r->r_cutlen = whole;
	r->r_done[IMG_QED_TAIL] = qed_fix_wanted(r, IMG_QED_TAIL) &&
	    whole < r->r_len;
	r->r_cut = r->r_done[IMG_QED_LEAK_END] || r->r_compact ||
	    r->r_done[IMG_QED_TAIL];
	return (error);
}

/* Holes may be left, and tables behind what was the end of the file. */
static int
pack(struct qed_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;
	int error;

	error = qed_compact(r);
	if (error == 0)
		error = f->f_ops->fo_length(f, &r->r_len);
	r->r_newlen = r->r_len;
	if (error == 0)
		error = qed_fix_look(r);
	if (error == 0)
		error = find_end(r->r_im, &r->r_cutlen);
	return (error);
}

int
qed_write_space(struct qed_repair *r)
{
	int error = 0;

	if (!r->r_cut)
		return (0);
	if (r->r_compact)
		error = pack(r);
	if (error == 0)
		error = qed_fix_resize(r, r->r_cutlen);
	return (error != 0 ? error : qed_fix_barrier(r));
}
