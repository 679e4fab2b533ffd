/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED, driven by the findings of a check.
 *
 * All is planned first, on a view of the file, then told, and only then
 * written, in this order, a barrier after each:
 *
 *	1. the header, if unknown autoclear bits have to go first
 *	2. entries of tables that are cleared, or their low bits
 *	3. the length of the file, where its end cuts what is in use
 *	4. copies of what several entries share, behind the end: of data, and
 *	   of tables, which lead to copies of their own
 *	5. entries that lead to copies
 *	6. what moves down into holes: copies, then the entries
 *	7. the length of the file, where nothing is in use at its end
 *	8. the first sector: fields, and the mark to check
 *
 * Either 2 to 5 are done, or 6 and 7: space is known to be free only where no
 * entry is wrong.  A cut leaves some of the damage, or all of it, and at worst
 * clusters that nothing leads to.
 *
 * Where guest data may be a table as well, nothing is written into tables, and
 * nothing is put where an entry leads that is not mended before.
 */

#include "qed/repair.h"

static const struct {
	enum img_row row;
	const char *text;
} texts[] = {
	{ IMG_QED_AUTOCLEAR, "clear what this program does not know" },
	{ IMG_QED_DIRTY, "clear the mark" },
	{ IMG_QED_DIRTY_BACKING, "clear the mark" },
	{ IMG_QED_L1_ALIGN, "clear the entry: what it led to is a leak then" },
	{ IMG_QED_L1_ONE, "clear the entry" },
	{ IMG_QED_L1_HEADER, "clear the entry" },
	{ IMG_QED_L1_RANGE, "clear the entry" },
	{ IMG_QED_L2_CUT, "extend the file with zeros" },
	{ IMG_QED_L1_HIGH, "clear the entry" },
	{ IMG_QED_L1_SELF, "clear the entry" },
	{ IMG_QED_L1_OVER, "clear the entry" },
	{ IMG_QED_L2_TWICE, "give it a copy of the table and all data below" },
	{ IMG_QED_L2_OVERLAP,
	    "clear the entry: what it led to may be a leak then" },
	{ IMG_QED_L2_DATA, "clear the entry" },
	{ IMG_QED_DATA_TWICE, "give it a copy of the cluster" },
	{ IMG_QED_DATA_SHARED, "give it a copy of the cluster" },
	{ IMG_QED_DATA_L1, "clear the entry" },
	{ IMG_QED_DATA_L2, "clear the entry" },
	{ IMG_QED_DATA_HEADER, "clear the entry" },
	{ IMG_QED_DATA_ALIGN, "clear the entry" },
	{ IMG_QED_DATA_SMALL, "clear the entry" },
	{ IMG_QED_DATA_RANGE, "clear the entry" },
	{ IMG_QED_DATA_CUT, "extend the file with zeros" },
	{ IMG_QED_DATA_HIGH, "clear the entry" },
	{ IMG_QED_LEAK_END, "shorten the file" },
	{ IMG_QED_LEAK, "move what is behind it down and shorten the file" },
	{ IMG_QED_TAIL, "shorten the file" },
	{ IMG_QED_GAP, "move what is behind it down and shorten the file" },
	{ IMG_QED_L2_CUT_EVEN, "extend the file with zeros" },
};

int
qed_fix_wanted(const struct qed_repair *r, enum img_row row)
{
	enum img_fix fix = img_row(row)->r_fix;

	return (r->r_nlist[row] > 0 && fix != IMG_FIX_NONE &&
	    fix <= r->r_rp->rp_level);
}

static void
note(void *arg, const struct img_finding *fi)
{
	struct qed_repair *r = arg;

	r->r_now[fi->fi_row]++;
	if (img_row(fi->fi_row)->r_severity == IMG_SEV_FATAL)
		r->r_fatal = fi->fi_row;
	if (fi->fi_row == IMG_QED_L1_RANGE || fi->fi_row == IMG_QED_DATA_RANGE)
		r->r_dangling = img_min(r->r_dangling, fi->fi_found);
}

int
qed_fix_look(struct qed_repair *r)
{
	struct img_args a;
	int error;

	if (r->r_im != NULL)
		img_abandon(r->r_im);
	r->r_im = NULL;
	memset(r->r_now, 0, sizeof(r->r_now));
	r->r_dangling = INT64_MAX;
	memset(&a, 0, sizeof(a));
	a.a_format = &img_qed;
	a.a_flags = IMG_VERIFY;
	a.a_report = note;
	a.a_arg = r;
	error = img_open(&r->r_im, r->r_rp->rp_env, &r->r_view, &a);
	if (error == 0)
		r->r_q = *qed(r->r_im);
	return (error);
}

/* How much is corrupt? */
static uint64_t
corruptions(const uint32_t *count)
{
	uint64_t n = 0;
	unsigned row;

	for (row = 0; row < IMG_NROWS; row++)
		if (img_row((enum img_row)row)->r_severity >= IMG_SEV_CORRUPT)
			n += count[row];
	return (n);
}

/* --- planning ----------------------------------------------------------- */

/* The first sector, as far as the file goes. */
static int
read_head(struct qed_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;
	int error;

	r->r_headlen = (uint32_t)img_min(QED_HEAD, r->r_len);
	error = f->f_ops->fo_read(f, r->r_was, r->r_headlen, 0);
	memcpy(r->r_head, r->r_was, QED_HEAD);
	return (error);
}

/* Are the rows of tables that were found those that are there? */
static int
is_all(const struct qed_repair *r)
{
	unsigned row;

	for (row = 0; row < IMG_NROWS; row++)
		if (img_row((enum img_row)row)->r_stage == IMG_STAGE_VERIFY &&
		    r->r_nlist[row] != r->r_nfound[row])
			return (0);
	return (1);
}

static void
forget_entries(struct qed_repair *r)
{
	r->r_mend.ps_n = r->r_copy.ps_n = r->r_late.ps_n = 0;
	r->r_nl2 = 0;
	r->r_extend = r->r_islate = 0;
	r->r_newlen = r->r_len;
	r->r_base = IMG_NOWHERE;
}

static int
plan_entries(struct qed_repair *r)
{
	int error;

	error = qed_plan_entries(r);
	if (error == 0 && (r->r_mend.ps_n > 0 || r->r_newlen > r->r_len))
		error = qed_fix_look(r);
	if (error == 0)
		error = qed_plan_copies(r);
	if (error != 0 || r->r_copy.ps_n == 0)
		return (error);
	r->r_islate = 1;
	return (qed_fix_look(r));
}

/*
 * As much as does no harm.  An entry of a table that two share may be mended
 * only if they do not share it afterwards: the other's range is not told.
 */
static int
plan_harmless(struct qed_repair *r)
{
	int error;

	for (;;) {
		error = plan_entries(r);
		if (error != 0)
			return (error);
		if (r->r_now[IMG_QED_L2_TWICE] > 0 &&
		    (r->r_nl2 > 0 || r->r_extend))
			r->r_nol2 = 1;
		else if (corruptions(r->r_now) <= corruptions(r->r_nfound))
			return (0);
		else if (!r->r_no39 && r->r_nfound[IMG_QED_L2_OVERLAP] > 0)
			r->r_no39 = 1;
		else
			break;
		forget_entries(r);
		error = qed_fix_look(r);
		if (error != 0)
			return (error);
	}
	forget_entries(r);
	return (qed_fix_look(r));
}

static void
plan_marks(struct qed_repair *r)
{
	uint64_t bits = img_le64(r->r_head + QED_H_FEATURES);

	if (r->r_some || corruptions(r->r_now) > 0 ||
	    (!qed_fix_wanted(r, IMG_QED_DIRTY) &&
		!qed_fix_wanted(r, IMG_QED_DIRTY_BACKING)))
		return;
	r->r_clear = (bits & QED_F_NEED_CHECK) != 0;
	bits &= ~(uint64_t)QED_F_NEED_CHECK;
	img_put_le64(r->r_head + QED_H_FEATURES, bits);
}

static int
plan(struct qed_repair *r)
{
	int error;

	error = read_head(r);
	if (error == 0)
		error = qed_fix_look(r);
	if (error == EFTYPE)
		return (r->r_some ? 0 : qed_plan_guess(r));
	if (error != 0)
		return (error);
	memcpy(r->r_nfound, r->r_now, sizeof(r->r_nfound));
	r->r_some |= !is_all(r);
	qed_plan_head(r);
	if (memcmp(r->r_head, r->r_was, r->r_headlen) != 0)
		error = qed_fix_look(r);
	if (error == 0)
		error = plan_harmless(r);
	if (error == 0)
		error = qed_plan_space(r);
	if (error == 0)
		plan_marks(r);
	return (error);
}

/* --- telling ------------------------------------------------------------ */

static int
is_cut_mended(const struct qed_repair *r, const struct img_finding *fi)
{
	return (r->r_extend && qed_is_cut(fi->fi_row) &&
	    !qed_pairs_has(&r->r_mend, fi->fi_off));
}

/* Will this finding be mended? */
static int
mends(const struct qed_repair *r, const struct img_finding *fi)
{
	enum img_row row = fi->fi_row;

	if (!qed_fix_wanted(r, row))
		return (0);
	if (row == IMG_QED_DIRTY || row == IMG_QED_DIRTY_BACKING)
		return (r->r_clear);
	if (img_row(row)->r_stage != IMG_STAGE_VERIFY)
		return (r->r_done[row]);
	return (qed_pairs_has(&r->r_mend, fi->fi_off) ||
	    qed_pairs_has(&r->r_late, fi->fi_off) || is_cut_mended(r, fi));
}

static const char *
text_of(const struct qed_repair *r, const struct img_finding *fi)
{
	const struct qed_pair *p = qed_pairs_from(&r->r_mend, fi->fi_off);
	enum img_row row = fi->fi_row;
	const char *text;
	size_t i;

	if (p != NULL && p->p_at == fi->fi_off && p->p_n != 0)
		return ("clear the low bits of the entry");
	if (p != NULL && p->p_at == fi->fi_off && qed_is_cut(row))
		return ("clear the entry");
	text = qed_text_head(r, row);
	for (i = 0; text == NULL && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].row == row)
			text = texts[i].text;
	return (text);
}

/* A shared table in which entries are mended: what either reads changes. */
static int
is_changed(const struct qed_repair *r, const struct img_finding *fi)
{
	const struct qed_pair *p;

	if (fi->fi_row != IMG_QED_L2_TWICE)
		return (0);
	p = qed_pairs_from(&r->r_mend, fi->fi_found);
	return ((p != NULL && p->p_at - fi->fi_found < r->r_q.q_table_len) ||
	    r->r_extend);
}

static void
tell_one(const struct qed_repair *r, const struct img_finding *fi)
{
	struct img_fixed fx;

	memset(&fx, 0, sizeof(fx));
	fx.fx_row = fi->fi_row;
	fx.fx_off = fi->fi_off;
	if (img_row(fi->fi_row)->r_fix == IMG_FIX_LOSSY || is_changed(r, fi)) {
		fx.fx_voff = fi->fi_voff;
		fx.fx_vlen = fi->fi_vlen;
	}
	qed_range_head(r, &fx);
	fx.fx_text = text_of(r, fi);
	r->r_rp->rp_tell(r->r_rp->rp_arg, &fx);
}

/* Whatever is written, autoclear bits go before; how many steps are told? */
static size_t
tell(struct qed_repair *r)
{
	const struct img_repair *rp = r->r_rp;
	const struct img_finding *fi = rp->rp_find;
	size_t i, n = 0;

	for (i = 0; i < rp->rp_nfind; i++)
		n += mends(r, &fi[i]);
	if (n == 0)
		return (0);
	img_put_le64(r->r_head + QED_H_AUTOCLEAR, 0);
	for (i = 0; i < rp->rp_nfind; i++)
		if (mends(r, &fi[i]) || fi[i].fi_row == IMG_QED_AUTOCLEAR)
			tell_one(r, &fi[i]);
	return (n);
}

/* --- writing ------------------------------------------------------------ */

static int
write_autoclear(struct qed_repair *r)
{
	if (img_le64(r->r_was + QED_H_AUTOCLEAR) == 0)
		return (0);
	img_put_le64(r->r_was + QED_H_AUTOCLEAR, 0);
	return (qed_fix_head(r, r->r_was));
}

/* What is there now, with the header that it will have: nothing is corrupt? */
static int
look_at_result(struct qed_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;
	uint64_t bits = img_le64(r->r_head + QED_H_FEATURES);
	int error;

	if (!r->r_clear)
		return (0);
	error = f->f_ops->fo_length(f, &r->r_len);
	if (error != 0)
		return (error);
	forget_entries(r);
	error = qed_fix_look(r);
	if (error == 0 && corruptions(r->r_now) > 0)
		img_put_le64(r->r_head + QED_H_FEATURES,
		    bits | QED_F_NEED_CHECK);
	return (error);
}

static int
write_all(struct qed_repair *r)
{
	int error;

	error = write_autoclear(r);
	if (error == 0)
		error = qed_fix_entries(r);
	if (error == 0)
		error = qed_write_space(r);
	if (error == 0)
		error = look_at_result(r);
	if (error == 0 && memcmp(r->r_head, r->r_was, r->r_headlen) != 0)
		error = qed_fix_head(r, r->r_head);
	return (error);
}

static void
set_up(struct qed_repair *r, const struct img_repair *rp)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	r->r_rp = rp;
	r->r_view.f_ops = &qed_view_ops;
	r->r_view.f_flags = rp->rp_file->f_flags;
	r->r_fixed = (rp->rp_file->f_flags & IMG_FILE_FIXED) != 0 ||
	    !(rp->rp_file->f_flags & IMG_FILE_ZEROES);
	r->r_some = (rp->rp_flags & IMG_SOME) != 0;
	for (i = 0; i < rp->rp_nfind; i++)
		if (rp->rp_find[i].fi_row < IMG_NROWS)
			r->r_nlist[rp->rp_find[i].fi_row]++;
}

int
qed_repair(const struct img_repair *rp)
{
	const struct img_env *env = rp->rp_env;
	struct qed_repair *r;
	int error;

	if (rp->rp_nfind == 0)
		return (0);
	r = env->ev_alloc(env->ev_arg, sizeof(*r));
	if (r == NULL)
		return (ENOMEM);
	set_up(r, rp);
	error = rp->rp_file->f_ops->fo_length(rp->rp_file, &r->r_len);
	forget_entries(r);
	if (error == 0)
		error = plan(r);
	if (error == 0 && tell(r) > 0 && !(rp->rp_flags & IMG_DRYRUN))
		error = write_all(r);
	if (r->r_im != NULL)
		img_abandon(r->r_im);
	qed_pairs_free(r, &r->r_mend);
	qed_pairs_free(r, &r->r_late);
	qed_pairs_free(r, &r->r_copy);
	env->ev_free(env->ev_arg, r, sizeof(*r));
	return (error);
}
