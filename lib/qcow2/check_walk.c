/* SPDX-License-Identifier: ISC */

/*
 * Everything that the header leads to, and the clusters it uses.  Metadata
 * comes first, so that what lies over it is blamed and not the metadata;
 * blocks of refcounts that nothing needs come last and are to blame
 * themselves.  What stage VERIFY has raised is not raised again.
 */

#include "qcow2/check.h"

/* Where the walk is, as a number that only grows. */
static void
stand_at(struct qcow2_tally *ta, uint64_t voff, int l2)
{
	ta->ta_ow.ow_seq = (uint64_t)ta->ta_tree << 42 |
	    voff >> qcow2(ta->ta_im)->q_bits << 1 | (l2 != 0);
}

static void
finding(struct img_finding *fi, uint64_t off, uint64_t found)
{
	memset(fi, 0, sizeof(*fi));
	fi->fi_off = off;
	fi->fi_rel = IMG_WANT_ANY;
	fi->fi_found = found;
}

static int
own_metadata(struct qcow2_tally *ta, enum qcow2_use use, uint64_t at,
    uint64_t off, uint64_t len)
{
	struct img_finding fi;
	int clash;

	finding(&fi, at, off);
	fi.fi_name = ta->ta_name;
	return (qcow2_tally_own(ta, use, off, len, &fi, &clash));
}

static int
own_areas(struct qcow2_tally *ta)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	const struct qcow2_area *a;
	uint32_t i;
	int error = 0, snaps = 0;

	for (i = 0; i < q->q_nareas && error == 0; i++) {
		a = &q->q_area[i];
		snaps |= a->a_use == QCOW2_U_SNAPS;
		if (a->a_use != QCOW2_U_BITMAP && /* see bitmap.c */
		    !(a->a_use == QCOW2_U_RT && ta->ta_anew))
			error = own_metadata(ta, a->a_use, a->a_off, a->a_off,
			    a->a_len);
	}
	if (error == 0 && !snaps && q->q_snap_len > 0)
		error = own_metadata(ta, QCOW2_U_SNAPS, QCOW2_H_SNAP_OFF,
		    q->q_snap_off, q->q_snap_len);
	return (error);
}

/*
 * Every snapshot that can be read: first for its L1 table, later for its
 * tree.
 */
static int
each_snapshot(struct qcow2_tally *ta,
    int (*fn)(struct qcow2_tally *, const struct qcow2_snap *,
	const struct qcow2_tree *))
{
	struct qcow2_snap s;
	struct qcow2_tree t;
	char id[QCOW2_TEXT_MAX + 1];
	int error;

	memset(&s, 0, sizeof(s));
	s.s_next = qcow2(ta->ta_im)->q_snap_off;
	while ((error = qcow2_snap_next(ta->ta_im, &s)) == 0) {
		error = qcow2_snap_tree(ta->ta_im, &s, &t);
		if (error == EFTYPE) {
			ta->ta_whole = 0;
			continue;
		}
		/* The rest of the tree is not known, and may be there. */
		if (t.t_n < qcow2_l1_needed(qcow2(ta->ta_im), t.t_size))
			ta->ta_whole = 0;
		if (error == 0)
			error =
			    qcow2_text(ta->ta_im, s.s_id_off, s.s_id_len, id);
		if (error != 0)
			return (error);
		ta->ta_name = id;
		error = fn(ta, &s, &t);
		ta->ta_name = NULL;
		if (error != 0)
			return (error);
	}
	if (error == EFTYPE)
		ta->ta_whole = 0;
	return (error == EFTYPE || error == ENOENT ? 0 : error);
}

static int
own_snap_l1(struct qcow2_tally *ta, const struct qcow2_snap *s,
    const struct qcow2_tree *t)
{
	(void)t;
	return (own_metadata(ta, QCOW2_U_SNAP_L1, s->s_off, s->s_l1_off,
	    (uint64_t)s->s_l1_size * 8));
}

/* Blocks that count clusters of the file, or those that only could. */
static int
own_blocks(struct qcow2_tally *ta, int needed)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	struct img_finding fi;
	uint64_t raw, rb;
	uint32_t i;
	int error = 0, clash;

	for (i = 0; i < q->q_rt_n && !ta->ta_anew && error == 0; i++) {
		if (((uint64_t)i << q->q_rb_bits < ta->ta_ncl) != needed)
			continue;
		error = qcow2_rt_get(ta->ta_im, i, &raw);
		rb = raw & ~QCOW2_RT_RESERVED;
		if (error != 0 || rb == 0)
			continue;
		if (qcow2_rb_judge(ta->ta_im, rb) != IMG_ROW_NONE) {
			ta->ta_whole = 0;
			continue;
		}
		finding(&fi, q->q_rt_off + (uint64_t)i * 8, raw);
		error = qcow2_tally_own(ta, QCOW2_U_RB, rb, q->q_cluster, &fi,
		    &clash);
		if (clash)
			ta->ta_bad[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return (error);
}

/* What the guest loses, if it is the active tree that suffers. */
static void
set_range(const struct qcow2_tally *ta, const struct qcow2_tree *t,
    struct img_finding *fi, uint64_t voff, uint64_t len)
{
	fi->fi_name = ta->ta_name;
	if (!t->t_active || voff >= t->t_size)
		return;
	fi->fi_voff = voff;
	fi->fi_vlen = img_min(len, t->t_size - voff);
}

static int
visit_l1(struct img *im, void *arg, const struct qcow2_tree *t, uint32_t i,
    uint64_t l1, uint64_t l2, enum img_row row, int *down)
{
	struct qcow2_tally *ta = arg;
	struct qcow2 *q = qcow2(im);
	uint32_t shift = qcow2_l1_shift(q);
	struct img_finding fi;
	int error, clash;

	ta->ta_next = 0;
	/* Flags without a table: what it was is lost, not free. */
	if (l2 == 0) {
		ta->ta_whole = 0;
		return (0);
	}
	stand_at(ta, (uint64_t)i << shift, 0);
	if (row == IMG_QCOW2_L2_META)
		return (qcow2_tally_void(ta, QCOW2_U_L2, l2, q->q_cluster));
	if (row != IMG_ROW_NONE)
		ta->ta_whole = 0;
	if (row == IMG_QCOW2_L2_ALIGN)
		return (0);
	finding(&fi, t->t_off + (uint64_t)i * 8, l1);
	set_range(ta, t, &fi, (uint64_t)i << shift, UINT64_C(1) << shift);
	error = qcow2_tally_own(ta, QCOW2_U_L2, l2, q->q_cluster, &fi, &clash);
	/* What is below is not this entry's, and maybe no entries at all. */
	if (clash)
		*down = 0;
	if (!t->t_active)
		return (error);
	if (clash)
		ta->ta_skip[i / 8] |= (uint8_t)(1u << i % 8);
	if (ta->ta_skip[i / 8] & 1u << i % 8)
		*down = 0;
	return (error);
}

/* Does the entry have a place, wherever that is? */
static int
has_place(const struct qcow2 *q, const struct qcow2_entry *n)
{
	return (n->n_off != 0 || n->n_type == QCOW2_T_PACKED ||
	    (qcow2_data_file(q) && n->n_copied));
}

/* As qemu counts: whatever follows the one before in the same table. */
static void
count_unit(struct qcow2_tally *ta, const struct qcow2_entry *n)
{
	struct img_checked *ch = ta->ta_ch;

	ch->ch_allocated++;
	if (n->n_type == QCOW2_T_PACKED) {
		ch->ch_packed++;
		ch->ch_fragmented++;
		return;
	}
	if (ta->ta_next != 0 && n->n_off != ta->ta_next)
		ch->ch_fragmented++;
	ta->ta_next = n->n_off + qcow2(ta->ta_im)->q_cluster;
}

/* Is the place of an entry with that row its own, as far as can be told? */
static int
keeps_place(enum img_row row)
{
	return (row == IMG_ROW_NONE || row == IMG_QCOW2_ZERO_V2 ||
	    row == IMG_QCOW2_SUB_BOTH);
}

static int
visit_l2(struct img *im, void *arg, const struct qcow2_tree *t, uint64_t voff,
    uint64_t at, const struct qcow2_entry *n)
{
	struct qcow2_tally *ta = arg;
	struct qcow2 *q = qcow2(im);
	enum qcow2_use use = n->n_type == QCOW2_T_PACKED ? QCOW2_U_PACKED :
							   QCOW2_U_DATA;
	uint64_t len = use == QCOW2_U_PACKED ? n->n_plen : q->q_cluster;
	struct img_finding fi;
	int clash;

	if (!keeps_place(n->n_row))
		ta->ta_whole = 0;
	if (!has_place(q, n)) {
		/* So it is with a cluster. */
		if (n->n_copied)
			ta->ta_whole = 0;
		return (0);
	}
	if (ta->ta_ch != NULL && ta->ta_first && t->t_active)
		count_unit(ta, n);
	if (qcow2_data_file(q) ||
	    (use == QCOW2_U_DATA && !qcow2_aligned(q, n->n_off)))
		return (0);
	stand_at(ta, voff, 1);
	if (n->n_row == IMG_QCOW2_DATA_HEADER ||
	    n->n_row == IMG_QCOW2_DATA_META || n->n_row == IMG_QCOW2_DATA_OTHER)
		return (qcow2_tally_void(ta, use, n->n_off, len));
	ta->ta_copied = n->n_copied;
	finding(&fi, at, n->n_raw);
	set_range(ta, t, &fi, voff, q->q_cluster);
	return (qcow2_tally_own(ta, use, n->n_off, len, &fi, &clash));
}

static const struct qcow2_walker walker = { visit_l1, visit_l2 };

static int
walk_snapshot(struct qcow2_tally *ta, const struct qcow2_snap *s,
    const struct qcow2_tree *t)
{
	ta->ta_tree = s->s_index + 1;
	return (qcow2_walk(ta->ta_im, t, &walker, ta));
}

/* Is there space that cannot be found for what the header says? */
static int
is_partial(struct img *im, int *partial)
{
	struct qcow2 *q = qcow2(im);
	uint64_t luks;
	int error;

	error = qcow2_ext_find(im, QCOW2_X_LUKS, &luks);
	*partial = q->q_snap_bad || q->q_active.t_n < q->q_l1_size ||
	    q->q_l1_size < qcow2_l1_needed(q, im->im_size) || q->q_ext_bad ||
	    q->q_crypt > QCOW2_CRYPT_LUKS ||
	    ((luks != 0 || q->q_crypt == QCOW2_CRYPT_LUKS) &&
		q->q_luks_len == 0);
	return (error);
}

int
qcow2_tally_walk(struct qcow2_tally *ta)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	int error, partial;

	error = is_partial(ta->ta_im, &partial);
	if (partial)
		ta->ta_whole = 0;
	ta->ta_tree = 0;
	if (error == 0)
		error = own_areas(ta);
	if (error == 0)
		error = each_snapshot(ta, own_snap_l1);
	if (error == 0)
		error = own_blocks(ta, 1);
	if (error == 0)
		error = qcow2_tally_bitmaps(ta);
	ta->ta_tree = 1;
	if (error == 0)
		error = qcow2_walk(ta->ta_im, &q->q_active, &walker, ta);
	if (error == 0)
		error = each_snapshot(ta, walk_snapshot);
	ta->ta_tree = q->q_nsnap + 2;
	stand_at(ta, 0, 0);
	return (error != 0 ? error : own_blocks(ta, 0));
}
