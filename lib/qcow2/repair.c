/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2, driven by the findings of a check.
 *
 * All is planned first, on a view of the file, then told, and only then
 * written, in this order, a barrier after each:
 *
 *	1. edits of the first cluster, one sector each: extensions, features
 *	2. the length of the file, up to a whole cluster
 *	3. entries of tables, each in one write inside a sector
 *	4. refcounts that are too low; or a new refcount table (repair_table.c)
 *	5. refcounts that are too high
 *	6. COPIED flags, as the refcounts are then
 *	7. copies of what two entries share, a new snapshot table: data and
 *	   refcounts, then what leads there, then the refcounts of the old
 *	   (repair_copy.c); 4 to 6 once more
 *	8. the dirty and the corrupt bit
 *
 * Where what an entry leads to may be a table as well as a guest's data, only
 * 1, 2 and 8 are done: anything else could be written into that data.
 *
 * A cut leaves some of the damage, or all of it, and nothing that was not
 * there: 1 and 3 are independent of each other, a refcount is raised before
 * anything relies on it, and lowered only when all that could refer to the
 * cluster was seen; before 6 a flag may be missing, which costs a copy, or be
 * there as it was before.  5 may free clusters that 1 gave up, but never
 * those that 3 did: what a bad pointer has meant may be one of them.
 */

#include "qcow2/repair.h"

static const struct {
	enum img_row row;
	const char *text;
} texts[] = {
	{ IMG_QCOW2_HEADER_ODD, "round the header length up" },
	{ IMG_QCOW2_PADDING, "clear the padding" },
	{ IMG_QCOW2_DIRTY, "count all references, then clear the mark" },
	{ IMG_QCOW2_MARKED, "clear the mark" },
	{ IMG_QCOW2_SIZE_ODD, "round the size up" },
	{ IMG_QCOW2_RT_ALIGN, "write all refcounts anew" },
	{ IMG_QCOW2_RT_PLACE, "write all refcounts anew" },
	{ IMG_QCOW2_RT_NONE, "write all refcounts anew" },
	{ IMG_QCOW2_RT_LIMIT, "write all refcounts anew" },
	{ IMG_QCOW2_EXT_LENGTH, "end the extensions before it" },
	{ IMG_QCOW2_EXT_NO_END, "write an end marker" },
	{ IMG_QCOW2_EXT_TWICE, "drop the second one" },
	{ IMG_QCOW2_BACKING_OVERLAP, "move the name behind the header" },
	{ IMG_QCOW2_RAW_BIT, "clear the feature bit" },
	{ IMG_QCOW2_BITMAPS_BIT, "clear the feature bit" },
	{ IMG_QCOW2_L1_RESERVED, "clear the bits" },
	{ IMG_QCOW2_L1_EMPTY, "clear the entry" },
	{ IMG_QCOW2_L2_ALIGN, "clear the entry" },
	{ IMG_QCOW2_L2_RANGE, "give up what is outside the file" },
	{ IMG_QCOW2_L2_TWICE, "give the second a copy of the table" },
	{ IMG_QCOW2_L1_NOT_COPIED, "set the flag" },
	{ IMG_QCOW2_L1_COPIED, "clear the flag" },
	{ IMG_QCOW2_L1_UNCOUNTED, "raise the refcount" },
	{ IMG_QCOW2_L2_RESERVED, "clear the bits" },
	{ IMG_QCOW2_DATA_ALIGN, "clear the entry" },
	{ IMG_QCOW2_ZERO_ALIGN, "clear the offset" },
	{ IMG_QCOW2_DATA_RANGE, "clear the entry" },
	{ IMG_QCOW2_DATA_CUT, "extend the file with zeros" },
	{ IMG_QCOW2_DATA_TWICE, "give the second a copy of the cluster" },
	{ IMG_QCOW2_NOT_COPIED, "set the flag" },
	{ IMG_QCOW2_COPIED_SHARED, "clear the flag" },
	{ IMG_QCOW2_COPIED_UNCOUNTED, "raise the refcount" },
	{ IMG_QCOW2_STRAY_COPIED, "clear the flag" },
	{ IMG_QCOW2_PACKED_COPIED, "clear the flag" },
	{ IMG_QCOW2_SUB_NOWHERE, "mark the subclusters as not there" },
	{ IMG_QCOW2_SUB_PACKED, "clear the bitmap" },
	{ IMG_QCOW2_SUB_ZERO_BIT, "clear the flag" },
	{ IMG_QCOW2_FILE_NOT_COPIED, "set the flag" },
	{ IMG_QCOW2_LEAK, "lower the refcount" },
	{ IMG_QCOW2_UNDERCOUNT, "raise the refcount" },
	{ IMG_QCOW2_UNCOUNTED, "raise the refcount" },
	{ IMG_QCOW2_META_UNCOUNTED, "raise the refcount" },
	{ IMG_QCOW2_RT_RESERVED, "clear the bits" },
	{ IMG_QCOW2_RB_ALIGN, "write all refcounts anew" },
	{ IMG_QCOW2_RB_RANGE, "write all refcounts anew" },
	{ IMG_QCOW2_RB_TWICE, "write all refcounts anew" },
	{ IMG_QCOW2_RB_OVER, "write all refcounts anew" },
	{ IMG_QCOW2_RB_SELF, "raise the refcount" },
	{ IMG_QCOW2_BEYOND, "lower the refcount" },
	{ IMG_QCOW2_RT_SHORT, "write all refcounts anew" },
	{ IMG_QCOW2_RB_CUT, "extend the file with zeros" },
	{ IMG_QCOW2_SNAP_EXTRA, "write the snapshot table anew" },
	{ IMG_QCOW2_SNAP_EXTRA_LONG, "write the snapshot table anew" },
	{ IMG_QCOW2_BITMAP_EXT, "give the bitmaps up" },
	{ IMG_QCOW2_BITMAP_DIR, "give the bitmaps up" },
	{ IMG_QCOW2_BITMAP_ENTRY, "give the bitmaps up" },
	{ IMG_QCOW2_BITMAP_RANGE, "give the bitmaps up" },
	{ IMG_QCOW2_BITMAP_STALE, "give the bitmaps up" },
};

static const char *
text_of(enum img_row row)
{
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].row == row)
			return (texts[i].text);
	return (NULL);
}

int
qcow2_fix_wanted(const struct qcow2_repair *r, enum img_row row)
{
	enum img_fix fix = img_row(row)->r_fix;

	return (r->r_nfound[row] > 0 && fix != IMG_FIX_NONE &&
	    fix <= r->r_rp->rp_level);
}

/* Is the end of a table or a cluster of data cut off by the file's? */
static int
is_cut(const struct qcow2_repair *r, const struct img_finding *fi)
{
	if (r->r_device || !r->r_extend)
		return (0);
	if (fi->fi_row == IMG_QCOW2_L2_RANGE)
		return (r->r_len % 16 == 0 &&
		    (fi->fi_found & QCOW2_OFFSET) < r->r_len);
	return (
	    fi->fi_row == IMG_QCOW2_DATA_CUT || fi->fi_row == IMG_QCOW2_RB_CUT);
}

/* Rows of references that lead behind the end of the file. */
static int
is_dangling(enum img_row row)
{
	switch (row) {
	case IMG_QCOW2_L1_RANGE:
	case IMG_QCOW2_L2_RANGE:
	case IMG_QCOW2_DATA_RANGE:
	case IMG_QCOW2_PACKED_RANGE:
	case IMG_QCOW2_LUKS_HEADER:
	case IMG_QCOW2_SNAP_TABLE:
	case IMG_QCOW2_SNAP_L1:
	case IMG_QCOW2_BITMAP_RANGE:
		return (1);
	default:
		return (0);
	}
}

/* Would something lead into what is written behind the end? */
static int
has_dangling(const struct qcow2_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (is_dangling(fi->fi_row) && !is_cut(r, fi) &&
		    !r->r_done[fi->fi_row] &&
		    !qcow2_is_patched(r, fi->fi_row, fi->fi_off))
			return (1);
	return (0);
}

/* Is there something that may be a table or a guest's data? */
static int
has_alias(const struct qcow2_repair *r)
{
	return (r->r_nfound[IMG_QCOW2_L2_META] > 0 ||
	    r->r_nfound[IMG_QCOW2_L2_DATA] > 0 ||
	    r->r_nfound[IMG_QCOW2_DATA_HEADER] > 0 ||
	    r->r_nfound[IMG_QCOW2_DATA_META] > 0 ||
	    r->r_nfound[IMG_QCOW2_DATA_OTHER] > 0 ||
	    r->r_nfound[IMG_QCOW2_PACKED_OVER] > 0 ||
	    r->r_nfound[IMG_QCOW2_META_TWICE] > 0);
}

/* Will this finding be mended? */
static int
mends(const struct qcow2_repair *r, const struct img_finding *fi)
{
	enum img_row row = fi->fi_row;

	if (!qcow2_fix_wanted(r, row))
		return (0);
	if (row == IMG_QCOW2_MARKED)
		return (r->r_marked);
	if (row == IMG_QCOW2_DIRTY)
		return (r->r_dirty);
	if (qcow2_needs_room(r, fi))
		return (r->r_alloc);
	return (r->r_done[row] || is_cut(r, fi) ||
	    qcow2_is_patched(r, row, fi->fi_off) || qcow2_mends_count(r, row));
}

/* Is all else mended that is corrupt, so that the marks may go? */
static int
is_all(const struct qcow2_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (img_row(fi->fi_row)->r_severity >= IMG_SEV_CORRUPT &&
		    fi->fi_row != IMG_QCOW2_MARKED &&
		    fi->fi_row != IMG_QCOW2_DIRTY && !mends(r, fi))
			return (0);
	return (r->r_nfound[IMG_QCOW2_DIRTY] == 0 ||
	    qcow2_mends_count(r, IMG_QCOW2_DIRTY));
}

/*
 * Will opening for writing find nothing that forbids it?  Only then are
 * clusters that seem to be free known to be.
 */
static int
can_alloc(const struct qcow2_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (img_row(fi->fi_row)->r_allows < IMG_ALLOW_WRITE &&
		    fi->fi_row != IMG_QCOW2_MARKED &&
		    fi->fi_row != IMG_QCOW2_DIRTY && !qcow2_needs_room(r, fi) &&
		    !mends(r, fi))
			return (0);
	return (!r->r_stuck);
}

static size_t
tell(const struct qcow2_repair *r)
{
	const struct img_repair *rp = r->r_rp;
	const struct img_finding *fi = rp->rp_find;
	struct img_fixed fx;
	size_t i, n = 0;

	for (i = 0; i < rp->rp_nfind; i++, fi++) {
		if (!mends(r, fi))
			continue;
		memset(&fx, 0, sizeof(fx));
		fx.fx_row = fi->fi_row;
		fx.fx_off = fi->fi_off;
		if (img_row(fi->fi_row)->r_fix == IMG_FIX_LOSSY) {
			fx.fx_voff = fi->fi_voff;
			fx.fx_vlen = fi->fi_vlen;
		}
		fx.fx_text = text_of(fi->fi_row);
		rp->rp_tell(rp->rp_arg, &fx);
		n++;
	}
	return (n);
}

static int
plan(struct qcow2_repair *r)
{
	const struct img_repair *rp = r->r_rp;
	struct img_args a;
	int error, all;

	memset(&a, 0, sizeof(a));
	a.a_format = &img_qcow2;
	error = img_open(&r->r_im, rp->rp_env, rp->rp_file, &a);
	if (error != 0)
		return (error);
	r->r_q = *qcow2(r->r_im);
	img_abandon(r->r_im);
	r->r_im = NULL;
	error = qcow2_plan_head(r);
	if (error != 0)
		return (error);
	r->r_view.f_ops = &qcow2_view_ops;
	r->r_view.f_flags = rp->rp_file->f_flags;
	a.a_flags = IMG_VERIFY;
	error = img_open(&r->r_im, rp->rp_env, &r->r_view, &a);
	if (error == 0)
		error = qcow2_plan_counts(r);
	if (error == 0)
		error = qcow2_plan_entries(r);
	r->r_extend |= qcow2_fix_wanted(r, IMG_QCOW2_DATA_CUT) ||
	    qcow2_fix_wanted(r, IMG_QCOW2_RB_CUT);
	if (r->r_rebuild && has_dangling(r))
		r->r_stuck = 1;
	r->r_alloc = can_alloc(r);
	all = is_all(r);
	/* What is not known may forbid any of these. */
	if (rp->rp_flags & IMG_SOME) {
		r->r_stuck = r->r_rebuild;
		r->r_alloc = r->r_free = r->r_lower = all = 0;
	}
	r->r_twins &= r->r_alloc;
	r->r_dirty = all && qcow2_fix_wanted(r, IMG_QCOW2_DIRTY);
	r->r_marked = all && qcow2_fix_wanted(r, IMG_QCOW2_MARKED);
	return (error);
}

static int
extend(struct qcow2_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;
	int error;

	if (!r->r_extend || r->r_device)
		return (0);
	error = f->f_ops->fo_resize(f, img_roundup(r->r_len, r->r_q.q_cluster));
	return (error != 0 ? error : qcow2_fix_barrier(r));
}

static void
clear_marks(void *arg, uint8_t *sector)
{
	const struct qcow2_repair *r = arg;
	uint64_t bits = img_be64(sector + QCOW2_H_INCOMPAT);

	if (r->r_dirty)
		bits &= ~(uint64_t)QCOW2_I_DIRTY;
	if (r->r_marked)
		bits &= ~(uint64_t)QCOW2_I_CORRUPT;
	img_put_be64(sector + QCOW2_H_INCOMPAT, bits);
}

static int
write_counts(struct qcow2_repair *r)
{
	int error;

	if (!r->r_count || r->r_stuck)
		return (0);
	if (r->r_rebuild)
		error = qcow2_write_table(r);
	else
		error = qcow2_write_counts(r);
	return (error != 0 ? error : qcow2_write_copied(r));
}

/* The second time there are no twins any more, and all blocks are there. */
static int
write_copies(struct qcow2_repair *r)
{
	int error;

	if (!r->r_alloc || (!r->r_twins && !qcow2_snaps_wanted(r)))
		return (0);
	error = qcow2_write_copies(r);
	r->r_twins = 0;
	if (error == 0)
		error = qcow2_write_counts(r);
	/* What was shared has lost its flags to the first time. */
	r->r_whole = r->r_seen;
	return (error != 0 ? error : qcow2_write_copied(r));
}

static int
write_all(struct qcow2_repair *r)
{
	int error;

	error = qcow2_write_edits(r);
	if (error == 0)
		error = extend(r);
	if (error == 0)
		error = qcow2_write_patches(r);
	if (error == 0)
		error = write_counts(r);
	if (error == 0)
		error = write_copies(r);
	if (error == 0 && (r->r_dirty || r->r_marked))
		error = qcow2_fix_head(r, clear_marks, r);
	return (error);
}

static void
set_up(struct qcow2_repair *r, const struct img_repair *rp)
{
	size_t i;

	r->r_rp = rp;
	r->r_device = (rp->rp_file->f_flags & IMG_FILE_FIXED) != 0;
	for (i = 0; i < rp->rp_nfind; i++)
		if (rp->rp_find[i].fi_row < IMG_NROWS)
			r->r_nfound[rp->rp_find[i].fi_row]++;
	r->r_alias = has_alias(r);
}

static void
tear_down(struct qcow2_repair *r)
{
	const struct img_env *env = r->r_rp->rp_env;

	if (r->r_im != NULL) {
		img_free(r->r_im, r->r_patch,
		    r->r_maxpatches * sizeof(*r->r_patch));
		img_abandon(r->r_im);
	}
	if (r->r_head != NULL)
		env->ev_free(env->ev_arg, r->r_head, r->r_q.q_cluster);
	if (r->r_new != NULL)
		env->ev_free(env->ev_arg, r->r_new, r->r_q.q_cluster);
	env->ev_free(env->ev_arg, r, sizeof(*r));
}

int
qcow2_repair(const struct img_repair *rp)
{
	const struct img_env *env = rp->rp_env;
	struct qcow2_repair *r;
	int error;

	if (rp->rp_nfind == 0)
		return (0);
	r = env->ev_alloc(env->ev_arg, sizeof(*r));
	if (r == NULL)
		return (ENOMEM);
	set_up(r, rp);
	error = rp->rp_file->f_ops->fo_length(rp->rp_file, &r->r_len);
	if (error == 0)
		error = plan(r);
	if (error == 0 && tell(r) > 0 && !(rp->rp_flags & IMG_DRYRUN))
		error = write_all(r);
	/* What cannot be opened at all cannot be repaired. */
	if (error == EFTYPE)
		error = 0;
	tear_down(r);
	return (error);
}
