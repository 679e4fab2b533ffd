/* SPDX-License-Identifier: ISC */

/*
 * The two steps of a write.  f_begin changes no table but refcounts: it says
 * where the bytes go.  f_end makes the entries lead there, and gives up what
 * they led to before.
 *
 * In place is written only what the guest sees already and nobody else does:
 * an entry that is marked COPIED, whose refcount is looked at each time.
 */

#include "qcow2/qcow2.h"

/* c_priv */
enum {
	P_KIND,
	P_CL,   /* NEW: the first host cluster */
	P_NCL,  /* NEW: how many */
	P_BITS, /* subclusters that are allocated then; extended L2 only */
};

enum kind {
	NEW,  /* fresh clusters; what the entries had is given up */
	SAME, /* the entry's own cluster, which does not show its bytes yet */
};

struct place {
	uint64_t p_voff;
	uint64_t p_len; /* at most */
	uint32_t p_in;  /* in the guest cluster */
	struct qcow2_entry p_n;
};

static uint32_t
l2_index(const struct qcow2 *q, uint64_t voff)
{
	return ((uint32_t)(voff >> q->q_bits) & ((1u << q->q_l2_bits) - 1));
}

/* The entry for voff, and where it is; an absent table has empty ones. */
int
qcow2_look(struct img *im, uint64_t voff, struct qcow2_entry *n, uint64_t *at)
{
	struct qcow2 *q = qcow2(im);
	uint64_t l1, l2, raw = 0, bits = 0;
	uint32_t i = (uint32_t)(voff >> qcow2_l1_shift(q));
	enum img_row row;
	int error;

	*at = q->q_active.t_off + (uint64_t)i * 8;
	error = qcow2_l1_get(im, &q->q_active, i, &l1);
	if (error != 0)
		return (error);
	l2 = qcow2_l2_off(im, l1, &row);
	if (row != IMG_ROW_NONE)
		return (qcow2_refuse(im, row, *at, l1));
	if (l2 != 0) {
		i = l2_index(q, voff);
		*at = l2 + ((uint64_t)i << q->q_esz_bits);
		error = qcow2_l2_get(im, l2, i, &raw, &bits);
		if (error != 0)
			return (error);
	}
	qcow2_judge(im, raw, bits, voff, n);
	if (n->n_row != IMG_ROW_NONE)
		return (qcow2_refuse(im, n->n_row, *at, raw));
	return (0);
}

/* Is the entry's cluster this image's own, as COPIED says?  *own. */
static int
is_own(struct img *im, const struct qcow2_entry *n, uint64_t at, int *own)
{
	uint64_t count;
	int error;

	if (qcow2_data_file(qcow2(im))) {
		*own = n->n_off != 0 || n->n_copied;
		return (0);
	}
	*own = n->n_copied && n->n_off != 0 && n->n_type != QCOW2_T_PACKED;
	if (!*own)
		return (0);
	error = qcow2_count(im, n->n_off >> qcow2(im)->q_bits, &count);
	if (error == 0 && count != 1)
		return (qcow2_refuse(im,
		    count == 0 ? IMG_QCOW2_COPIED_UNCOUNTED :
				 IMG_QCOW2_COPIED_SHARED,
		    at, n->n_raw));
	/* Tables whose place opening does not know, but use has shown. */
	if (error == 0 && img_cache_holds(im, n->n_off, qcow2(im)->q_cluster))
		return (qcow2_refuse(im, IMG_QCOW2_DATA_META, at, n->n_raw));
	return (error);
}

/* In place; clusters that go on right behind are taken along. */
static int
begin_data(struct img *im, const struct place *p, struct img_claim *c)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t have, at;
	int error, own;

	c->c_ext.e_off = p->p_n.n_off + p->p_in;
	c->c_ext.e_file = (uint8_t)qcow2_data_file(q);
	for (have = q->q_cluster - p->p_in; have < p->p_len;
	     have += q->q_cluster) {
		if (l2_index(q, p->p_voff + have) == 0)
			break;
		error = qcow2_look(im, p->p_voff + have, &n, &at);
		if (error != 0)
			return (error);
		if (n.n_type != QCOW2_T_DATA ||
		    n.n_off != c->c_ext.e_off + have)
			break;
		error = is_own(im, &n, at, &own);
		if (error != 0)
			return (error);
		if (!own)
			break;
	}
	c->c_ext.e_len = img_min(have, p->p_len);
	return (0);
}

/* What surrounds the claim, up to multiples of edge. */
static void
set_edges(const struct place *p, struct img_claim *c, uint32_t edge)
{
	uint64_t end = p->p_in + c->c_ext.e_len;

	c->c_flags |= IMG_CLAIM_FRESH;
	c->c_before = p->p_in & (edge - 1);
	c->c_after = img_roundup(end, edge) - end;
}

/* Bits of the subclusters that [in, in + len) of a cluster lies in. */
static uint64_t
sub_bits(const struct qcow2 *q, uint64_t in, uint64_t len)
{
	uint32_t shift = q->q_bits - 5;
	uint64_t first = in >> shift, end = ((in + len - 1) >> shift) + 1;

	return (((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1));
}

/* The cluster is there; some of its subclusters are not, or it is zeros. */
static int
begin_same(struct img *im, const struct place *p, struct img_claim *c)
{
	struct qcow2 *q = qcow2(im);
	uint32_t edge = q->q_cluster, shift = q->q_bits - 5, i;
	uint64_t rest = q->q_cluster - p->p_in;
	int there = 0;

	if (q->q_extended) {
		edge = q->q_cluster >> 5;
		i = p->p_in >> shift;
		there = (int)(p->p_n.n_bits >> i & 1);
		while (++i < QCOW2_NSUB)
			if ((int)(p->p_n.n_bits >> i & 1) != there)
				break;
		rest = ((uint64_t)i << shift) - p->p_in;
	}
	c->c_ext.e_off = p->p_n.n_off + p->p_in;
	c->c_ext.e_len = img_min(p->p_len, rest);
	c->c_ext.e_file = (uint8_t)qcow2_data_file(q);
	if (there)
		return (0);
	set_edges(p, c, edge);
	c->c_priv[P_KIND] = SAME;
	if (q->q_extended)
		c->c_priv[P_BITS] = sub_bits(q, p->p_in, c->c_ext.e_len);
	return (0);
}

/* How many clusters from here on have nothing yet, at most max. */
static int
count_empty(struct img *im, const struct place *p, uint64_t max, uint64_t *np)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t at, voff = p->p_voff - p->p_in;
	int error;

	for (*np = 1; *np < max; ++*np) {
		voff += q->q_cluster;
		if (l2_index(q, voff) == 0)
			break;
		error = qcow2_look(im, voff, &n, &at);
		if (error != 0)
			return (error);
		if (n.n_type != QCOW2_T_EMPTY && n.n_type != QCOW2_T_ZERO)
			break;
	}
	return (0);
}

/* Offsets of a data file are the guest's. */
static int
place_new(struct img *im, const struct place *p, struct img_claim *c,
    uint64_t *n)
{
	struct qcow2 *q = qcow2(im);
	unsigned file = (unsigned)qcow2_data_file(q);
	int error, fresh;

	if (file) {
		c->c_priv[P_CL] = p->p_voff >> q->q_bits;
		fresh = (c->c_priv[P_CL] << q->q_bits) >= im->im_eof[1];
	} else {
		error = qcow2_alloc(im, n, &c->c_priv[P_CL], &fresh);
		if (error != 0)
			return (error);
	}
	c->c_ext.e_file = (uint8_t)file;
	c->c_ext.e_off = (c->c_priv[P_CL] << q->q_bits) + p->p_in;
	if (fresh && (im->im_file[file]->f_flags & IMG_FILE_ZEROES))
		c->c_flags |= IMG_CLAIM_ZEROED;
	/*
	 * An entry never leads behind the end, also not to unwritten zeros.
	 * Now, because later somebody may be writing behind this claim.
	 */
	error = file == 0 ?
	    qcow2_extend(im, (c->c_priv[P_CL] + *n) << q->q_bits) :
	    0;
	if (error != 0)
		(void)qcow2_drop(im, c->c_priv[P_CL], *n, 0);
	return (error);
}

static int
begin_new(struct img *im, const struct place *p, struct img_claim *c)
{
	struct qcow2 *q = qcow2(im);
	uint64_t n = 1;
	uint32_t edge = q->q_cluster;
	int error = 0, had = p->p_n.n_off != 0;

	/* Of what had nothing, subclusters can stay without. */
	if (q->q_extended && !had)
		edge >>= 5;
	else if (!had)
		error = count_empty(im, p,
		    qcow2_nclusters(q, p->p_voff, p->p_len), &n);
	if (error == 0)
		error = place_new(im, p, c, &n);
	if (error != 0)
		return (error);
	c->c_ext.e_len = img_min(p->p_len, (n << q->q_bits) - p->p_in);
	set_edges(p, c, edge);
	c->c_priv[P_KIND] = NEW;
	c->c_priv[P_NCL] = n;
	if (q->q_extended)
		c->c_priv[P_BITS] = had ? QCOW2_SUB_ALLOC :
					  sub_bits(q, p->p_in, c->c_ext.e_len);
	return (0);
}

int
qcow2_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	struct qcow2 *q = qcow2(im);
	struct place p;
	uint64_t at;
	int error, own;

	error = qcow2_touch(im);
	if (error != 0)
		return (error);
	p.p_voff = voff;
	p.p_len = len;
	p.p_in = (uint32_t)voff & (q->q_cluster - 1);
	error = qcow2_look(im, voff, &p.p_n, &at);
	if (error == 0)
		error = is_own(im, &p.p_n, at, &own);
	if (error != 0)
		return (error);
	c->c_ext.e_voff = voff;
	c->c_ext.e_type = IMG_DATA;
	if (!own)
		return (begin_new(im, &p, c));
	if (p.p_n.n_type == QCOW2_T_DATA)
		return (begin_data(im, &p, c));
	return (begin_same(im, &p, c));
}

/* One cluster of a claim: its entry leads to the cluster at off now. */
static int
link_one(struct img *im, uint64_t l2, uint64_t voff, uint64_t off,
    uint64_t alloc)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t raw, bits;
	uint32_t i = l2_index(q, voff);
	int error;

	error = qcow2_l2_get(im, l2, i, &raw, &bits);
	if (error != 0)
		return (error);
	qcow2_judge(im, raw, bits, voff, &n);
	/* A subcluster that gets bytes is no zero any more. */
	if (n.n_type == QCOW2_T_PACKED)
		bits = 0;
	bits = (bits | alloc) & ~(alloc << 32);
	error = qcow2_l2_set(im, l2, i, off | QCOW2_COPIED, bits);
	if (error == 0 && n.n_off != off)
		error = qcow2_forget(im, &n);
	return (error);
}

/* Space that no pointer leads to; with an error of that it leaks. */
static void
give_up(struct img *im, const struct img_claim *c)
{
	if (c->c_priv[P_KIND] == NEW && !qcow2_data_file(qcow2(im)))
		(void)qcow2_drop(im, c->c_priv[P_CL], c->c_priv[P_NCL], 0);
}

int
qcow2_end(struct img *im, struct img_claim *c, int ok)
{
	struct qcow2 *q = qcow2(im);
	uint64_t voff = c->c_ext.e_voff & ~(uint64_t)(q->q_cluster - 1);
	uint64_t l2, off, i, n = c->c_priv[P_NCL];
	int error;

	if (!ok) {
		give_up(im, c);
		return (0);
	}
	off = c->c_priv[P_CL] << q->q_bits;
	if (c->c_priv[P_KIND] == SAME) {
		off = (c->c_ext.e_off - (c->c_ext.e_voff - voff));
		n = 1;
	}
	error = qcow2_own_l2(im, voff, &l2);
	if (error != 0) {
		give_up(im, c);
		return (error);
	}
	for (i = 0; i < n && error == 0; i++)
		error = link_one(im, l2, voff + (i << q->q_bits),
		    off + (i << q->q_bits), c->c_priv[P_BITS]);
	return (error);
}
