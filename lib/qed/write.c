/* SPDX-License-Identifier: ISC */

/*
 * The two steps of a write.  f_begin changes no table: it says where the
 * bytes go.  f_end makes the entries lead there.
 *
 * In place is written what an entry leads to already.  Opening for writing
 * has seen to it that no two entries lead to one cluster, and that none leads
 * to a table.
 */

#include "qed/qed.h"

/* c_priv: the fresh clusters of a claim */
enum {
	P_OFF, /* of the first one */
	P_NCL,
};

/* Something that must not be: say which row, and write nothing any more. */
static int
refuse(struct img *im, uint64_t off, const struct qed_entry *n)
{
	img_raise_num(im, n->n_row, off, IMG_WANT_ANY, n->n_raw, 0);
	im->im_latched = 1;
	return (EIO);
}

int
qed_look(struct img *im, uint64_t voff, struct qed_entry *n, uint64_t *l2)
{
	struct qed *q = qed(im);
	uint32_t i = (uint32_t)(voff >> qed_l1_shift(q));
	uint64_t raw;
	int error;

	error = qed_l1_get(im, i, &raw);
	if (error != 0)
		return (error);
	qed_judge_l1(im, raw, n);
	if (n->n_row != IMG_ROW_NONE)
		return (refuse(im, q->q_l1_off + (uint64_t)i * 8, n));
	*l2 = n->n_off;
	if (*l2 == 0)
		return (0);
	i = qed_l2_index(q, voff);
	error = qed_l2_get(im, *l2, i, &raw);
	if (error != 0)
		return (error);
	qed_judge_l2(im, raw, n);
	if (n->n_row != IMG_ROW_NONE)
		return (refuse(im, *l2 + (uint64_t)i * 8, n));
	return (0);
}

/*
 * How many clusters from the one at voff on go on as that does, at most max:
 * data right behind each other from off on, or none at all (off is 0).
 */
static int
count_alike(struct img *im, uint64_t voff, uint64_t off, uint64_t max,
    uint64_t *np)
{
	struct qed *q = qed(im);
	struct qed_entry n;
	uint64_t l2;
	int error;

	for (*np = 1; *np < max; ++*np) {
		voff += q->q_cluster;
		if (qed_l2_index(q, voff) == 0)
			break;
		error = qed_look(im, voff, &n, &l2);
		if (error != 0)
			return (error);
		if (n.n_off != (off == 0 ? 0 : off + (*np << q->q_bits)))
			break;
	}
	return (0);
}

/* What surrounds the claim in its clusters. */
static void
set_edges(const struct qed *q, struct img_claim *c, uint32_t in)
{
	uint64_t end = in + c->c_ext.e_len;

	c->c_before = in;
	c->c_after = img_roundup(end, q->q_cluster) - end;
}

int
qed_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	struct qed *q = qed(im);
	struct qed_entry n;
	uint32_t in = (uint32_t)voff & (q->q_cluster - 1);
	uint64_t l2, ncl;
	int error;

	error = qed_touch(im);
	if (error == 0)
		error = qed_look(im, voff, &n, &l2);
	if (error == 0)
		error = count_alike(im, voff - in, n.n_off,
		    qed_nclusters(q, voff, len), &ncl);
	if (error != 0)
		return (error);
	c->c_ext.e_voff = voff;
	c->c_ext.e_type = IMG_DATA;
	c->c_ext.e_len = img_min(len, (ncl << q->q_bits) - in);
	c->c_ext.e_off = n.n_off + in;
	if (n.n_off != 0)
		return (0);
	error = qed_alloc(im, ncl, &c->c_priv[P_OFF]);
	if (error != 0)
		return (error);
	c->c_priv[P_NCL] = ncl;
	c->c_ext.e_off = c->c_priv[P_OFF] + in;
	c->c_flags = IMG_CLAIM_FRESH;
	if (im->im_file[0]->f_flags & IMG_FILE_ZEROES)
		c->c_flags |= IMG_CLAIM_ZEROED;
	set_edges(q, c, in);
	return (0);
}

int
qed_end(struct img *im, struct img_claim *c, int ok)
{
	struct qed *q = qed(im);
	uint64_t off = c->c_priv[P_OFF], n = c->c_priv[P_NCL], l2, i;
	uint32_t first = qed_l2_index(q, c->c_ext.e_voff);
	int error;

	if (!ok) {
		qed_unalloc(im, off, n);
		return (0);
	}
	error = qed_own_l2(im, c->c_ext.e_voff, &l2);
	if (error != 0) {
		qed_unalloc(im, off, n);
		return (error);
	}
	for (i = 0; i < n && error == 0; i++)
		error = qed_l2_set(im, l2, first + (uint32_t)i,
		    off + (i << q->q_bits));
	return (error);
}
