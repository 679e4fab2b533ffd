/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: entries of tables.  Each is mended by one write inside a
 * sector, so a cut leaves some mended and the rest as they were.
 */

#include "qcow2/repair.h"

static int
grow(struct qcow2_repair *r)
{
	struct img *im = r->r_im;
	size_t max = r->r_maxpatches == 0 ? 64 : r->r_maxpatches * 2;
	struct qcow2_patch *p;
	int error;

	error = img_alloc(im, max * sizeof(*p), &p);
	if (error != 0)
		return (error);
	if (r->r_npatches > 0)
		memcpy(p, r->r_patch, r->r_npatches * sizeof(*p));
	img_free(im, r->r_patch, r->r_maxpatches * sizeof(*p));
	r->r_patch = p;
	r->r_maxpatches = max;
	return (0);
}

/* Keep a patch that does something; more than fit are for another repair. */
static int
keep(struct qcow2_repair *r, const struct qcow2_patch *p)
{
	if (p->pa_row[0] == IMG_ROW_NONE)
		return (0);
	if (r->r_npatches == r->r_maxpatches && grow(r) != 0)
		return (0);
	r->r_patch[r->r_npatches++] = *p;
	return (0);
}

/* Is this row to be mended?  Then the patch says that it is. */
static int
take(const struct qcow2_repair *r, struct qcow2_patch *p, enum img_row row)
{
	unsigned i;

	if (!qcow2_fix_wanted(r, row))
		return (0);
	for (i = 0; i < QCOW2_PATCH_ROWS; i++)
		if (p->pa_row[i] == IMG_ROW_NONE) {
			p->pa_row[i] = (uint16_t)row;
			return (1);
		}
	return (0);
}

/*
 * Is the L2 table at off counted, so that something else knows of it, as far
 * as counts mean anything?
 */
static int
is_counted(struct img *im, uint64_t off, int *yes)
{
	uint64_t n;
	int error;

	*yes = 1;
	if (qcow2(im)->q_rt_n == 0 || (qcow2(im)->q_incompat & QCOW2_I_DIRTY))
		return (0);
	error = qcow2_count(im, off >> qcow2(im)->q_bits, &n);
	*yes = error == 0 && n > 0;
	return (error == EFTYPE ? 0 : error);
}

static int
plan_l1(struct img *im, void *arg, const struct qcow2_tree *t, uint32_t i,
    uint64_t l1, uint64_t l2, enum img_row row, int *down)
{
	struct qcow2_repair *r = arg;
	struct qcow2_patch p;
	int error = 0, yes;

	(void)down;
	memset(&p, 0, sizeof(p));
	p.pa_at = t->t_off + (uint64_t)i * 8;
	p.pa_raw = l1;
	p.pa_len = 8;
	if (l2 == 0) {
		if (take(r, &p, IMG_QCOW2_L1_EMPTY))
			p.pa_raw = 0;
	} else if (row == IMG_QCOW2_L2_ALIGN ||
	    (row == IMG_QCOW2_L2_RANGE && l2 >= im->im_eof[0])) {
		if (take(r, &p, row))
			p.pa_raw = 0;
		if ((l1 & QCOW2_L1_RESERVED) && p.pa_raw == 0)
			(void)take(r, &p, IMG_QCOW2_L1_RESERVED);
	} else if (row == IMG_QCOW2_L2_RANGE) {
		/* Half an entry is none. */
		r->r_extend |= qcow2_fix_wanted(r, row) && r->r_len % 16 == 0;
	} else if (row == IMG_ROW_NONE && (l1 & QCOW2_L1_RESERVED)) {
		error = is_counted(im, l2, &yes);
		if (error == 0 && yes && take(r, &p, IMG_QCOW2_L1_RESERVED))
			p.pa_raw &= ~QCOW2_L1_RESERVED;
	}
	return (error != 0 ? error : keep(r, &p));
}

/* The entry's cluster is lost: zeros, whatever a backing file has. */
static void
lose(const struct img *im, struct qcow2_patch *p)
{
	const struct qcow2 *q = qcow2(im);
	int backed = (im->im_needs & IMG_NEEDS_BACKING) != 0;

	p->pa_raw = 0;
	p->pa_bits = 0;
	if (backed && q->q_extended)
		p->pa_bits = QCOW2_SUB_ZERO;
	else if (backed && q->q_version >= 3)
		p->pa_raw = QCOW2_ZERO;
}

/* Rows that forbid the use of the entry. */
static void
mend_row(struct qcow2_repair *r, const struct qcow2_entry *n,
    struct qcow2_patch *p)
{
	switch (n->n_row) {
	case IMG_QCOW2_DATA_ALIGN:
	case IMG_QCOW2_DATA_RANGE:
		if (take(r, p, n->n_row))
			lose(r->r_im, p);
		break;
	case IMG_QCOW2_ZERO_ALIGN:
		if (take(r, p, n->n_row))
			p->pa_raw = QCOW2_ZERO;
		break;
	case IMG_QCOW2_SUB_NOWHERE:
		if (take(r, p, n->n_row))
			p->pa_bits &= ~QCOW2_SUB_ALLOC;
		break;
	default:
		break;
	}
}

static void
mend_flaw(struct qcow2_repair *r, const struct qcow2_entry *n,
    enum img_row flaw, struct qcow2_patch *p)
{
	/* What is beside a bad pointer may be part of the damage. */
	if (n->n_row != IMG_ROW_NONE && p->pa_row[0] == IMG_ROW_NONE)
		return;
	if (!take(r, p, flaw))
		return;
	switch (flaw) {
	case IMG_QCOW2_L2_RESERVED:
		p->pa_raw &= ~QCOW2_L2_RESERVED;
		break;
	case IMG_QCOW2_STRAY_COPIED:
	case IMG_QCOW2_PACKED_COPIED:
		p->pa_raw &= ~QCOW2_COPIED;
		break;
	case IMG_QCOW2_SUB_PACKED:
		p->pa_bits = 0;
		break;
	case IMG_QCOW2_SUB_ZERO_BIT:
		p->pa_raw &= ~QCOW2_ZERO;
		break;
	default: /* FILE_NOT_COPIED */
		if (n->n_row == IMG_ROW_NONE)
			p->pa_raw |= QCOW2_COPIED;
		break;
	}
}

static int
plan_l2(struct img *im, void *arg, const struct qcow2_tree *t, uint64_t voff,
    uint64_t at, const struct qcow2_entry *n)
{
	struct qcow2_repair *r = arg;
	struct qcow2_patch p;
	enum img_row flaw;
	unsigned step = 0;

	(void)t;
	(void)voff;
	memset(&p, 0, sizeof(p));
	p.pa_at = at;
	p.pa_raw = n->n_raw;
	p.pa_bits = n->n_bits;
	p.pa_len = 1u << qcow2(im)->q_esz_bits;
	mend_row(r, n, &p);
	while ((flaw = qcow2_l2_flaw(im, n, &step)) != IMG_ROW_NONE)
		mend_flaw(r, n, flaw, &p);
	return (keep(r, &p));
}

static const struct qcow2_walker walker = { plan_l1, plan_l2 };

/* Reserved bits, where what remains is a block. */
static int
plan_blocks(struct qcow2_repair *r)
{
	struct qcow2 *q = qcow2(r->r_im);
	struct qcow2_patch p;
	uint64_t raw, rb;
	uint32_t i;
	int error = 0;

	for (i = 0; i < q->q_rt_n && error == 0; i++) {
		error = qcow2_rt_get(r->r_im, i, &raw);
		if (error != 0 || !(raw & QCOW2_RT_RESERVED))
			continue;
		rb = raw & ~QCOW2_RT_RESERVED;
		memset(&p, 0, sizeof(p));
		p.pa_at = q->q_rt_off + (uint64_t)i * 8;
		p.pa_raw = rb;
		p.pa_len = 8;
		if ((rb == 0 || qcow2_rb_judge(r->r_im, rb) == IMG_ROW_NONE) &&
		    take(r, &p, IMG_QCOW2_RT_RESERVED))
			error = keep(r, &p);
	}
	return (error);
}

static void
sift(struct qcow2_patch *p, size_t i, size_t n)
{
	struct qcow2_patch swap;
	size_t k;

	for (; (k = 2 * i + 1) < n; i = k) {
		if (k + 1 < n && p[k + 1].pa_at > p[k].pa_at)
			k++;
		if (p[k].pa_at <= p[i].pa_at)
			return;
		swap = p[k];
		p[k] = p[i];
		p[i] = swap;
	}
}

/* By place, and each once: trees have tables in common. */
static void
sort(struct qcow2_repair *r)
{
	struct qcow2_patch *p = r->r_patch, swap;
	size_t i, n = r->r_npatches, k = 0;

	for (i = n / 2; i > 0; i--)
		sift(p, i - 1, n);
	for (i = n; i > 1; i--) {
		swap = p[0];
		p[0] = p[i - 1];
		p[i - 1] = swap;
		sift(p, 0, i - 1);
	}
	for (i = 0; i < n; i++)
		if (i == 0 || p[i].pa_at != p[k - 1].pa_at)
			p[k++] = p[i];
	r->r_npatches = k;
}

int
qcow2_plan_entries(struct qcow2_repair *r)
{
	struct img *im = r->r_im;
	struct qcow2_snap s;
	struct qcow2_tree t;
	int error;

	/* What looks like an entry may be a guest's bytes. */
	if (r->r_alias)
		return (0);
	error = plan_blocks(r);
	if (error == 0)
		error = qcow2_walk(im, &qcow2(im)->q_active, &walker, r);
	memset(&s, 0, sizeof(s));
	s.s_next = qcow2(im)->q_snap_off;
	while (error == 0 && (error = qcow2_snap_next(im, &s)) == 0)
		if (qcow2_snap_tree(im, &s, &t) == 0)
			error = qcow2_walk(im, &t, &walker, r);
	sort(r);
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

int
qcow2_is_patched(const struct qcow2_repair *r, enum img_row row, uint64_t at)
{
	size_t lo = 0, hi = r->r_npatches, mid;
	const struct qcow2_patch *p;
	unsigned i;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (r->r_patch[mid].pa_at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	p = &r->r_patch[lo];
	if (lo == r->r_npatches || p->pa_at != at)
		return (0);
	for (i = 0; i < QCOW2_PATCH_ROWS; i++)
		if (p->pa_row[i] == row)
			return (1);
	return (0);
}

int
qcow2_write_patches(struct qcow2_repair *r)
{
	const struct qcow2_patch *p = r->r_patch;
	uint8_t b[16];
	size_t i;
	int error = 0;

	for (i = 0; i < r->r_npatches && error == 0; i++, p++) {
		img_put_be64(b, p->pa_raw);
		img_put_be64(b + 8, p->pa_bits);
		error = qcow2_fix_put(r, b, p->pa_len, p->pa_at);
	}
	if (error == 0 && r->r_npatches > 0)
		error = qcow2_fix_barrier(r);
	return (error);
}
