/* SPDX-License-Identifier: ISC */

/*
 * Stage VERIFY: every entry of every table once, against what opening knows,
 * and against its stored refcount.  A refcount of 0 for something in use is
 * what would make a writer destroy it, so a handle that writes must know.
 *
 * Where the refcounts cannot be relied on anyway (the dirty bit, no usable
 * table) nothing is said about them.
 */

#include "qcow2/qcow2.h"

struct verify {
	int ve_counts;                      /* refcounts mean something */
	int ve_short;                       /* row 88 was raised */
	int ve_extra;                       /* row 46 was raised */
	uint64_t ve_l2;                     /* bytes of this tree's L2s */
	uint64_t ve_l1;                     /* bytes of the snapshots' L1s */
	const struct qcow2_tree *ve_before; /* the snapshot before this one */
	const char *ve_name;                /* of the snapshot */
};

#define NAME_MAX_SHOWN 64u

/* A row of an entry, with the guest range that it is about. */
static void
raise_entry(struct img *im, const struct verify *ve, const struct qcow2_tree *t,
    enum img_row row, uint64_t at, uint64_t voff, uint64_t vlen, uint64_t found)
{
	struct img_finding fi;

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = row;
	fi.fi_off = at;
	fi.fi_rel = IMG_WANT_ANY;
	fi.fi_found = found;
	fi.fi_name = ve->ve_name;
	if (t->t_active && voff < t->t_size) {
		fi.fi_voff = voff;
		fi.fi_vlen = img_min(vlen, t->t_size - voff);
	}
	img_raise_finding(im, &fi);
}

/*
 * The stored refcount of a cluster that is in use; *known is 0 where there
 * is nothing to say about it.
 */
static int
count_of(struct img *im, struct verify *ve, uint64_t cl, uint64_t *n,
    int *known)
{
	struct qcow2 *q = qcow2(im);
	int error;

	*known = 0;
	if (!ve->ve_counts)
		return (0);
	if (cl >> q->q_rb_bits >= q->q_rt_n) {
		if (!ve->ve_short)
			img_raise_num(im, IMG_QCOW2_RT_SHORT, q->q_rt_off,
			    IMG_WANT_MIN, q->q_rt_n, (cl >> q->q_rb_bits) + 1);
		ve->ve_short = 1;
		return (0);
	}
	error = qcow2_count(im, cl, n);
	if (error == EFTYPE)
		return (0);
	*known = error == 0;
	return (error);
}

/* The active L1 entry, and that of the snapshot before, where there is one. */
static int
was_seen(struct img *im, const struct verify *ve, const struct qcow2_tree *t,
    uint32_t i, uint64_t l2, int *seen)
{
	struct qcow2 *q = qcow2(im);
	uint64_t l1;
	int error = 0;

	*seen = 0;
	if (t->t_active)
		return (0);
	if (i < q->q_active.t_n) {
		error = qcow2_l1_get(im, &q->q_active, i, &l1);
		*seen = error == 0 && (l1 & QCOW2_OFFSET) == l2;
	}
	if (error == 0 && !*seen && ve->ve_before != NULL &&
	    i < ve->ve_before->t_n) {
		error = qcow2_l1_get(im, ve->ve_before, i, &l1);
		*seen = error == 0 && (l1 & QCOW2_OFFSET) == l2;
	}
	return (error);
}

/* COPIED of an L1 entry against the refcount of the L2 table. */
static int
verify_l2_count(struct img *im, struct verify *ve, const struct qcow2_tree *t,
    uint64_t at, uint64_t voff, uint64_t l1, uint64_t l2)
{
	uint64_t n, span = UINT64_C(1) << qcow2_l1_shift(qcow2(im));
	enum img_row row = IMG_ROW_NONE;
	int error, known;

	error = count_of(im, ve, l2 >> qcow2(im)->q_bits, &n, &known);
	if (error != 0 || !known)
		return (error);
	if (n == 0)
		row = IMG_QCOW2_L1_UNCOUNTED;
	else if (t->t_active && n == 1 && !(l1 & QCOW2_COPIED))
		row = IMG_QCOW2_L1_NOT_COPIED;
	else if (t->t_active && n > 1 && (l1 & QCOW2_COPIED))
		row = IMG_QCOW2_L1_COPIED;
	if (row != IMG_ROW_NONE)
		raise_entry(im, ve, t, row, at, voff, span, l1);
	return (0);
}

static int
verify_l1(struct img *im, void *arg, const struct qcow2_tree *t, uint32_t i,
    uint64_t l1, uint64_t l2, enum img_row row, int *down)
{
	struct qcow2 *q = qcow2(im);
	struct verify *ve = arg;
	uint64_t at = t->t_off + (uint64_t)i * 8;
	uint64_t span = UINT64_C(1) << qcow2_l1_shift(q);
	uint64_t voff = (uint64_t)i << qcow2_l1_shift(q);
	enum img_row flaw;
	unsigned step = 0;
	int error, seen;

	if (t->t_active && voff >= t->t_size && q->q_nsnap == 0 &&
	    !ve->ve_extra) {
		ve->ve_extra = 1;
		raise_entry(im, ve, t, IMG_QCOW2_L1_EXTRA, at, 0, 0, l1);
	}
	while ((flaw = qcow2_l1_flaw(im, l1, &step)) != IMG_ROW_NONE)
		raise_entry(im, ve, t, flaw, at, voff, 0, l1);
	if (l2 == 0)
		return (0);
	if (row != IMG_ROW_NONE)
		raise_entry(im, ve, t, row, at, voff, span, l1);
	if (!*down)
		return (0);
	/* Of a tree's tables each is one, so they cannot exceed the file. */
	ve->ve_l2 += q->q_cluster;
	if (ve->ve_l2 > im->im_eof[0]) {
		if (ve->ve_l2 - q->q_cluster <= im->im_eof[0])
			raise_entry(im, ve, t, IMG_QCOW2_L2_TWICE, at, voff,
			    span, l1);
		*down = 0;
		return (0);
	}
	error = verify_l2_count(im, ve, t, at, voff, l1, l2);
	if (error == 0)
		error = was_seen(im, ve, t, i, l2, &seen);
	if (error == 0 && seen)
		*down = 0;
	return (error);
}

/* The row for an entry's own cluster with that refcount. */
static enum img_row
judge_count(const struct qcow2_tree *t, const struct qcow2_entry *n,
    uint64_t count)
{
	if (count == 0)
		return (
		    t->t_active && n->n_copied && n->n_type != QCOW2_T_PACKED ?
			IMG_QCOW2_COPIED_UNCOUNTED :
			IMG_QCOW2_UNCOUNTED);
	if (!t->t_active || n->n_type == QCOW2_T_PACKED)
		return (IMG_ROW_NONE);
	if (count == 1 && !n->n_copied)
		return (IMG_QCOW2_NOT_COPIED);
	if (count > 1 && n->n_copied)
		return (IMG_QCOW2_COPIED_SHARED);
	return (IMG_ROW_NONE);
}

static int
verify_count(struct img *im, struct verify *ve, const struct qcow2_tree *t,
    uint64_t voff, uint64_t at, const struct qcow2_entry *n)
{
	struct qcow2 *q = qcow2(im);
	uint64_t cl = n->n_off >> q->q_bits, i, ncl = 1, count;
	enum img_row row;
	int error = 0, known;

	if (n->n_off == 0 || qcow2_data_file(q))
		return (0);
	if (n->n_type == QCOW2_T_PACKED)
		ncl = qcow2_nclusters(q, n->n_off,
		    img_min(n->n_plen, im->im_eof[0] - n->n_off));
	for (i = 0; i < ncl; i++) {
		error = count_of(im, ve, cl + i, &count, &known);
		if (error != 0)
			break;
		row = known ? judge_count(t, n, count) : IMG_ROW_NONE;
		if (row == IMG_ROW_NONE)
			continue;
		raise_entry(im, ve, t, row, at, voff, q->q_cluster, n->n_raw);
		break; /* one row for an entry is enough */
	}
	return (error);
}

/* The end of the file cuts the cluster: what the guest loses by it. */
static void
verify_cut(struct img *im, const struct verify *ve, const struct qcow2_tree *t,
    uint64_t voff, uint64_t at, const struct qcow2_entry *n)
{
	struct qcow2 *q = qcow2(im);
	uint64_t there;

	if (qcow2_data_file(q) || n->n_type != QCOW2_T_DATA || !t->t_active ||
	    im->im_eof[0] - n->n_off >= q->q_cluster)
		return;
	there = im->im_eof[0] - n->n_off;
	if (voff < t->t_size && t->t_size - voff > there)
		raise_entry(im, ve, t, IMG_QCOW2_DATA_CUT, at, voff + there,
		    q->q_cluster - there, n->n_raw);
}

static int
verify_l2(struct img *im, void *arg, const struct qcow2_tree *t, uint64_t voff,
    uint64_t at, const struct qcow2_entry *n)
{
	struct verify *ve = arg;
	enum img_row flaw;
	unsigned step = 0;

	while ((flaw = qcow2_l2_flaw(im, n, &step)) != IMG_ROW_NONE)
		raise_entry(im, ve, t, flaw, at, voff, 0, n->n_raw);
	if (n->n_row != IMG_ROW_NONE) {
		raise_entry(im, ve, t, n->n_row, at, voff, qcow2(im)->q_cluster,
		    n->n_raw);
		return (0);
	}
	verify_cut(im, ve, t, voff, at, n);
	return (verify_count(im, ve, t, voff, at, n));
}

static const struct qcow2_walker walker = { verify_l1, verify_l2 };

/* The clusters of a piece of metadata; one row is enough. */
static int
verify_area(struct img *im, struct verify *ve, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2(im);
	uint64_t cl, end = (off + len - 1) >> q->q_bits, n;
	int error, known;

	for (cl = off >> q->q_bits; cl <= end; cl++) {
		error = count_of(im, ve, cl, &n, &known);
		if (error != 0)
			return (error);
		if (!known || n != 0)
			continue;
		img_raise_num(im, IMG_QCOW2_META_UNCOUNTED, cl << q->q_bits,
		    IMG_WANT_MIN, 0, 1);
		break;
	}
	return (0);
}

static int
verify_block(struct img *im, struct verify *ve, uint32_t i, uint64_t raw)
{
	struct qcow2 *q = qcow2(im);
	uint64_t at = q->q_rt_off + (uint64_t)i * 8, n;
	uint64_t rb = raw & ~QCOW2_RT_RESERVED;
	enum img_row row;
	int error, known;

	if (raw & QCOW2_RT_RESERVED)
		img_raise_num(im, IMG_QCOW2_RT_RESERVED, at, IMG_WANT_ANY, raw,
		    0);
	if (rb == 0)
		return (0);
	row = qcow2_rb_judge(im, rb);
	if (row != IMG_ROW_NONE) {
		img_raise_num(im, row, at, IMG_WANT_ANY, raw, 0);
		return (0);
	}
	if (!img_inside(rb, q->q_cluster, im->im_eof[0]))
		img_raise_num(im, IMG_QCOW2_RB_CUT, at, IMG_WANT_ANY, raw, 0);
	error = count_of(im, ve, rb >> q->q_bits, &n, &known);
	if (error == 0 && known && n == 0)
		img_raise_num(im, IMG_QCOW2_RB_SELF, at, IMG_WANT_ANY, raw, 0);
	return (error);
}

static int
verify_counts(struct img *im, struct verify *ve)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_area *a;
	uint64_t raw;
	uint32_t i;
	int error = 0;

	for (i = 0; i < q->q_rt_n && error == 0; i++) {
		error = qcow2_rt_get(im, i, &raw);
		if (error == 0 && raw != 0)
			error = verify_block(im, ve, i, raw);
	}
	for (i = 0; i < q->q_nareas && error == 0; i++) {
		a = &q->q_area[i];
		error = verify_area(im, ve, a->a_off,
		    img_min(a->a_len, im->im_eof[0] - a->a_off));
	}
	return (error);
}

/*
 * Are the sizes of disk and machine state possible?  The state lies behind
 * the disk, from the next L1 entry on.
 */
static int
sizes_fit(const struct qcow2 *q, const struct qcow2_snap *s)
{
	uint32_t shift = qcow2_l1_shift(q);
	uint64_t room;

	if (s->s_size > INT64_MAX || s->s_size % IMG_SECTOR != 0)
		return (0);
	room = qcow2_l1_needed(q, s->s_size);
	room = s->s_l1_size > room ? s->s_l1_size - room : 0;
	return (s->s_l1_size > QCOW2_L1_MAX || s->s_vm_size == 0 ||
	    (s->s_vm_size - 1) >> shift < room);
}

/* A snapshot's own fields.  *tree: its tables can be walked. */
static int
verify_snapshot(struct img *im, struct verify *ve, const struct qcow2_snap *s,
    struct qcow2_tree *t, int *tree)
{
	struct qcow2 *q = qcow2(im);
	int error;

	if (q->q_version >= 3 && s->s_extra_len < QCOW2_S_EXTRA_MIN)
		img_raise_num(im, IMG_QCOW2_SNAP_EXTRA,
		    s->s_off + QCOW2_S_EXTRA_LEN, IMG_WANT_MIN, s->s_extra_len,
		    QCOW2_S_EXTRA_MIN);
	if (s->s_extra_len > QCOW2_SNAP_EXTRA_MAX)
		img_raise_num(im, IMG_QCOW2_SNAP_EXTRA_LONG,
		    s->s_off + QCOW2_S_EXTRA_LEN, IMG_WANT_MAX, s->s_extra_len,
		    QCOW2_SNAP_EXTRA_MAX);
	if (!sizes_fit(q, s))
		img_raise_num(im, IMG_QCOW2_SNAP_SIZE, s->s_off, IMG_WANT_ANY,
		    s->s_size, 0);
	error = qcow2_snap_tree(im, s, t);
	/* Each has its own: together they are no larger than the file. */
	ve->ve_l1 += (uint64_t)t->t_n * 8;
	if (error == 0 && ve->ve_l1 > im->im_eof[0])
		error = EFTYPE;
	*tree = error == 0;
	if (error == EFTYPE) {
		img_raise_num(im, IMG_QCOW2_SNAP_L1, s->s_off, IMG_WANT_ANY,
		    s->s_l1_off, 0);
		q->q_snap_bad = 1;
		return (0);
	}
	if (error == 0 && t->t_n < qcow2_l1_needed(q, t->t_size))
		img_raise_num(im, IMG_QCOW2_SNAP_L1_SHORT, s->s_off,
		    IMG_WANT_MIN, t->t_n, qcow2_l1_needed(q, t->t_size));
	return (error);
}

/* How long the table is: only its entries tell. */
static int
measure_snapshots(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_snap s;
	struct qcow2_area *a;
	int error;

	if (q->q_nsnap == 0 || q->q_snap_len != 0)
		return (0);
	memset(&s, 0, sizeof(s));
	s.s_next = q->q_snap_off;
	while ((error = qcow2_snap_next(im, &s)) == 0)
		q->q_snap_len = s.s_name_off + s.s_name_len - q->q_snap_off;
	if (error == EFTYPE) {
		img_raise_num(im, IMG_QCOW2_SNAP_TABLE, s.s_next, IMG_WANT_MAX,
		    s.s_index, q->q_nsnap);
		q->q_snap_bad = 1;
	} else if (error != ENOENT)
		return (error);
	if (q->q_snap_len > 0) {
		a = &q->q_area[q->q_nareas++];
		a->a_use = QCOW2_U_SNAPS;
		a->a_off = q->q_snap_off;
		a->a_len = img_roundup(q->q_snap_len, q->q_cluster);
	}
	return (0);
}

static int
verify_snapshots(struct img *im, struct verify *ve)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_tree t, before;
	struct qcow2_snap s;
	char name[NAME_MAX_SHOWN + 1];
	int error, tree;

	memset(&s, 0, sizeof(s));
	s.s_next = q->q_snap_off;
	ve->ve_before = NULL;
	while ((error = qcow2_snap_next(im, &s)) == 0) {
		memset(name, 0, sizeof(name));
		error = img_io_read(im, 0, name,
		    (uint32_t)img_min(s.s_id_len, NAME_MAX_SHOWN), s.s_id_off);
		if (error == 0)
			error = verify_snapshot(im, ve, &s, &t, &tree);
		if (error == 0 && tree && t.t_n > 0) {
			ve->ve_name = name;
			error =
			    verify_area(im, ve, t.t_off, (uint64_t)t.t_n * 8);
			ve->ve_l2 = 0;
			if (error == 0)
				error = qcow2_walk(im, &t, &walker, ve);
			ve->ve_name = NULL;
			before = t;
			ve->ve_before = &before;
		}
		if (error != 0)
			return (error);
	}
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

int
qcow2_verify(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	struct verify ve;
	int error;

	memset(&ve, 0, sizeof(ve));
	ve.ve_counts = q->q_rt_n > 0 && !(q->q_incompat & QCOW2_I_DIRTY);
	error = measure_snapshots(im);
	if (error == 0)
		error = verify_counts(im, &ve);
	if (error == 0)
		error = qcow2_walk(im, &q->q_active, &walker, &ve);
	if (error == 0)
		error = verify_snapshots(im, &ve);
	return (error);
}
