/* SPDX-License-Identifier: ISC */

/*
 * Where guest bytes live.  What the end of the file cuts off, of a table or
 * of a cluster, is lost; what is there before it counts.
 */

#include "qed/qed.h"

static void
set(struct img_extent *e, enum img_etype type, uint64_t off, uint64_t len)
{
	e->e_type = type;
	e->e_off = off;
	e->e_len = len;
}

static void
bad(struct img_extent *e, enum img_row row, uint64_t len)
{
	set(e, IMG_BAD, IMG_NOWHERE, len);
	e->e_row = row;
}

/* Within one guest cluster, from byte in on. */
static void
map_entry(const struct img *im, const struct qed_entry *n, uint32_t in,
    uint64_t len, struct img_extent *e)
{
	uint64_t end = im->im_eof[0];

	if (n->n_type == QED_T_EMPTY)
		set(e, IMG_HOLE, IMG_NOWHERE, len);
	else if (n->n_type == QED_T_ZERO)
		set(e, IMG_ZERO, IMG_NOWHERE, len);
	else if (n->n_off == 0 || n->n_off + in >= end)
		bad(e, n->n_row, len);
	else
		set(e, IMG_DATA, n->n_off + in,
		    img_min(len, end - (n->n_off + in)));
}

/* What there is under an L1 entry that cannot be used, or has no table. */
static int
map_l1(struct img *im, uint64_t voff, uint64_t len, struct qed_entry *l1,
    struct img_extent *e)
{
	struct qed *q = qed(im);
	uint32_t shift = qed_l1_shift(q);
	uint64_t raw, rest;
	int error;

	rest = (UINT64_C(1) << shift) - (voff & ((UINT64_C(1) << shift) - 1));
	len = img_min(len, rest);
	error = qed_l1_get(im, (uint32_t)(voff >> shift), &raw);
	if (error != 0)
		return (error);
	qed_judge_l1(im, raw, l1);
	if (raw == QED_E_NONE)
		set(e, IMG_HOLE, IMG_NOWHERE, len);
	else if (l1->n_off == 0)
		bad(e, l1->n_row, len);
	return (0);
}

/* The piece at voff: within a cluster, or under an L1 entry without table. */
static int
map_piece(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	struct qed *q = qed(im);
	struct qed_entry l1, l2;
	uint64_t raw;
	uint32_t in = (uint32_t)voff & (q->q_cluster - 1), i;
	int error;

	memset(e, 0, sizeof(*e));
	e->e_voff = voff;
	error = map_l1(im, voff, len, &l1, e);
	if (error != 0 || l1.n_off == 0)
		return (error);
	len = img_min(len, q->q_cluster - in);
	i = qed_l2_index(q, voff);
	if (!img_inside(l1.n_off + (uint64_t)i * 8, 8, im->im_eof[0])) {
		bad(e, l1.n_row, len);
		return (0);
	}
	error = qed_l2_get(im, l1.n_off, i, &raw);
	if (error != 0)
		return (error);
	qed_judge_l2(im, raw, &l2);
	map_entry(im, &l2, in, len, e);
	return (0);
}

int
qed_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	return (img_map_run(im, voff, len, e, map_piece));
}
