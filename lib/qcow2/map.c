/* SPDX-License-Identifier: ISC */

/*
 * Where guest bytes live.  What lies behind the end of the file reads as
 * zeros, as everywhere; a table that is cut off there does not.
 */

#include "qcow2/qcow2.h"

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

/* Bytes of a cluster, at off + in; the end of the file may cut them. */
static void
map_data(const struct img *im, uint64_t off, uint64_t len, struct img_extent *e)
{
	const struct qcow2 *q = qcow2(im);
	uint64_t end;

	e->e_file = (uint8_t)qcow2_data_file(q);
	end = im->im_file[e->e_file] != NULL ? im->im_eof[e->e_file] :
					       UINT64_MAX;
	if (off >= end)
		set(e, IMG_ZERO, off, len);
	else
		set(e, IMG_DATA, off, img_min(len, end - off));
}

/* A run of subclusters of one kind. */
static void
map_sub(const struct img *im, const struct qcow2_entry *n, uint32_t in,
    uint64_t len, struct img_extent *e)
{
	uint32_t shift = qcow2(im)->q_bits - 5, first = in >> shift, i;
	uint64_t kind, there = n->n_off != 0 || n->n_copied;

	e->e_file = (uint8_t)qcow2_data_file(qcow2(im));
	kind = n->n_bits >> first & UINT64_C(0x100000001);
	for (i = first + 1; i < QCOW2_NSUB; i++)
		if ((n->n_bits >> i & UINT64_C(0x100000001)) != kind)
			break;
	len = img_min(len, ((uint64_t)i << shift) - in);
	if (kind & 1)
		map_data(im, n->n_off + in, len, e);
	else
		set(e, kind != 0 ? IMG_ZERO : IMG_HOLE,
		    there ? n->n_off + in : IMG_NOWHERE, len);
}

/* Within one guest cluster, from byte in on. */
static void
map_entry(const struct img *im, const struct qcow2_entry *n, uint32_t in,
    uint64_t len, struct img_extent *e)
{
	if (n->n_row != IMG_ROW_NONE) {
		bad(e, n->n_row, len);
		return;
	}
	switch (n->n_type) {
	case QCOW2_T_EMPTY:
		set(e, IMG_HOLE, IMG_NOWHERE, len);
		break;
	case QCOW2_T_ZERO:
		set(e, IMG_ZERO, IMG_NOWHERE, len);
		break;
	case QCOW2_T_ZERO_ALLOC:
		e->e_file = (uint8_t)qcow2_data_file(qcow2(im));
		set(e, IMG_ZERO, n->n_off + in, len);
		break;
	case QCOW2_T_DATA:
		map_data(im, n->n_off + in, len, e);
		break;
	case QCOW2_T_PACKED:
		set(e, IMG_PACKED, n->n_off, len);
		e->e_plen = n->n_plen;
		break;
	case QCOW2_T_SUB:
		map_sub(im, n, in, len, e);
		break;
	}
}

/* Behind the entries that there are all is alike, however far it goes on. */
static void
map_behind(const struct qcow2 *q, uint64_t voff, uint64_t len,
    struct img_extent *e)
{
	uint64_t end = (uint64_t)q->q_l1_size << qcow2_l1_shift(q);

	if (!q->q_tree.t_active) /* as qemu has it */
		set(e, IMG_HOLE, IMG_NOWHERE, len);
	else if (voff < end)
		bad(e, IMG_QCOW2_L1_RANGE, img_min(len, end - voff));
	else
		bad(e, IMG_QCOW2_L1_SHORT, len);
}

/* What there is under an L1 entry that cannot be used, or has no table. */
static int
map_l1(struct img *im, uint64_t voff, uint64_t len, uint64_t *l2,
    struct img_extent *e)
{
	struct qcow2 *q = qcow2(im);
	uint32_t shift = qcow2_l1_shift(q);
	uint64_t i = voff >> shift, l1, rest;
	enum img_row row;
	int error;

	*l2 = 0;
	if (i >= q->q_tree.t_n) {
		map_behind(q, voff, len, e);
		return (0);
	}
	rest = (UINT64_C(1) << shift) - (voff & ((UINT64_C(1) << shift) - 1));
	len = img_min(len, rest);
	error = qcow2_l1_get(im, &q->q_tree, (uint32_t)i, &l1);
	if (error != 0)
		return (error);
	*l2 = qcow2_l2_off(im, l1, &row);
	if (*l2 == 0)
		set(e, IMG_HOLE, IMG_NOWHERE, len);
	else if (row == IMG_QCOW2_L2_RANGE && *l2 < im->im_eof[0])
		return (0);
	else if (row != IMG_ROW_NONE) {
		*l2 = 0;
		bad(e, row, len);
	}
	return (0);
}

/* The piece at voff: within a cluster, or under an L1 entry without table. */
static int
map_piece(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t l2, raw, bits;
	uint32_t in = (uint32_t)voff & (q->q_cluster - 1), i;
	int error;

	memset(e, 0, sizeof(*e));
	e->e_voff = voff;
	error = map_l1(im, voff, len, &l2, e);
	if (error != 0 || l2 == 0)
		return (error);
	len = img_min(len, q->q_cluster - in);
	i = (uint32_t)(voff >> q->q_bits) & ((1u << q->q_l2_bits) - 1);
	/* Of a table that is cut off, what is there counts. */
	if (!img_inside(l2 + ((uint64_t)i << q->q_esz_bits),
		1u << q->q_esz_bits, im->im_eof[0])) {
		bad(e, IMG_QCOW2_L2_RANGE, len);
		return (0);
	}
	error = qcow2_l2_get(im, l2, i, &raw, &bits);
	if (error != 0)
		return (error);
	qcow2_judge(im, raw, bits, voff, &n);
	map_entry(im, &n, in, len, e);
	return (0);
}

int
qcow2_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	return (img_map_run(im, voff, len, e, map_piece));
}

int
qcow2_unpack(struct img *im, const struct img_extent *e, const void *packed,
    uint32_t len, void *unit)
{
	const struct img_env *env = im->im_env;

	(void)e;
	if (env->ev_unpack == NULL)
		return (ENOTSUP);
	return (env->ev_unpack(env->ev_arg, qcow2(im)->q_algo, packed, len,
	    unit, qcow2(im)->q_cluster));
}
