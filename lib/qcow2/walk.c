/* SPDX-License-Identifier: ISC */

/*
 * All entries of a tree.  Slices of zeros, of which a hostile image may have
 * any number, are passed over as a whole.
 */

#include "qcow2/qcow2.h"

struct walk {
	const struct qcow2_tree *wk_tree;
	const struct qcow2_walker *wk_do;
	void *wk_arg;
};

/* Is the slice at off, which must be inside the file, all zeros? */
static int
is_empty(struct img *im, uint64_t off, int *empty)
{
	struct img_slice *sl;
	int error;

	error =
	    img_cache_get(im, IMG_POINTERS, off, qcow2_slice(qcow2(im)), &sl);
	if (error == 0)
		*empty = img_is_zero(sl->sl_data, sl->sl_len);
	return (error);
}

static int
poll(struct img *im, uint64_t voff, const struct qcow2_tree *t)
{
	const struct img_env *env = im->im_env;

	if (env->ev_poll == NULL)
		return (0);
	return (env->ev_poll(env->ev_arg, img_min(voff, t->t_size), t->t_size));
}

/* The entries [i, end) of the L2 table at l2, which starts at voff. */
static int
walk_entries(struct img *im, struct walk *w, uint64_t voff, uint64_t l2,
    uint32_t i, uint32_t end)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t raw, bits, at;
	int error = 0;

	for (; i < end && error == 0; i++) {
		at = l2 + ((uint64_t)i << q->q_esz_bits);
		if (!img_inside(at, 1u << q->q_esz_bits, im->im_eof[0]))
			break;
		error = qcow2_l2_get(im, l2, i, &raw, &bits);
		if (error != 0 || (raw | bits) == 0)
			continue;
		qcow2_judge(im, raw, bits, voff + ((uint64_t)i << q->q_bits),
		    &n);
		error = w->wk_do->w_l2(im, w->wk_arg, w->wk_tree,
		    voff + ((uint64_t)i << q->q_bits), at, &n);
	}
	return (error);
}

static int
walk_l2(struct img *im, struct walk *w, uint64_t voff, uint64_t l2)
{
	struct qcow2 *q = qcow2(im);
	uint32_t per = qcow2_slice(q) >> q->q_esz_bits, i;
	uint32_t n = 1u << q->q_l2_bits;
	int error = 0, empty;

	for (i = 0; i < n && error == 0; i += per) {
		if (l2 + ((uint64_t)i << q->q_esz_bits) >= im->im_eof[0])
			break;
		error =
		    is_empty(im, l2 + ((uint64_t)i << q->q_esz_bits), &empty);
		if (error == 0 && !empty)
			error = walk_entries(im, w, voff, l2, i, i + per);
	}
	return (error);
}

static int
walk_l1(struct img *im, struct walk *w, uint32_t i, uint32_t end)
{
	struct qcow2 *q = qcow2(im);
	uint64_t l1, l2, voff;
	enum img_row row;
	int error = 0, down;

	for (; i < end && error == 0; i++) {
		error = qcow2_l1_get(im, w->wk_tree, i, &l1);
		if (error != 0 || l1 == 0)
			continue;
		l2 = qcow2_l2_off(im, l1, &row);
		/* One that is cut off is there as far as the file goes. */
		down = l2 != 0 &&
		    (row == IMG_ROW_NONE ||
			(row == IMG_QCOW2_L2_RANGE && l2 < im->im_eof[0]));
		error = w->wk_do->w_l1(im, w->wk_arg, w->wk_tree, i, l1, l2,
		    row, &down);
		voff = (uint64_t)i << qcow2_l1_shift(q);
		if (error == 0 && down)
			error = walk_l2(im, w, voff, l2);
		if (error == 0)
			error = poll(im, voff, w->wk_tree);
	}
	return (error);
}

int
qcow2_walk(struct img *im, const struct qcow2_tree *t,
    const struct qcow2_walker *walker, void *arg)
{
	struct qcow2 *q = qcow2(im);
	struct walk w;
	uint32_t per = qcow2_slice(q) / 8, i;
	int error = 0, empty;

	w.wk_tree = t;
	w.wk_do = walker;
	w.wk_arg = arg;
	for (i = 0; i < t->t_n && error == 0; i += per) {
		error = is_empty(im, t->t_off + (uint64_t)i * 8, &empty);
		if (error == 0)
			error = poll(im, (uint64_t)i << qcow2_l1_shift(q), t);
		if (error == 0 && !empty)
			error = walk_l1(im, &w, i,
			    (uint32_t)img_min((uint64_t)i + per, t->t_n));
	}
	return (error);
}
