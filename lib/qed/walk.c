/* SPDX-License-Identifier: ISC */

/*
 * All entries.  Slices of zeros, of which a hostile image may have any
 * number, are passed over as a whole.
 */

#include "qed/qed.h"

#define PER (IMG_SLICE / 8) /* entries of a slice */

/*
 * How many entries from off on are 0, because the slice is all zeros?  It must
 * be inside the file.  What follows up to end may be a hole of the host's file,
 * and tables may be 1 GiB of that; but the cache may know better by the time
 * that something is written.
 */
static int
count_empty(struct img *im, enum img_class cls, uint64_t off, uint64_t end,
    uint32_t *np)
{
	struct img_file *f = im->im_file[0];
	struct img_slice *sl;
	uint64_t len;
	int error, data;

	*np = 0;
	error = img_cache_get(im, cls, off, IMG_SLICE, &sl);
	if (error != 0 || !img_is_zero(sl->sl_data, sl->sl_len))
		return (error);
	*np = PER;
	len = img_min(end, im->im_eof[0]) - off;
	if (len <= IMG_SLICE || f->f_ops->fo_extent == NULL ||
	    qed(im)->q_touched)
		return (0);
	error = f->f_ops->fo_extent(f, off, &len, &data);
	if (error == 0 && !data && len > IMG_SLICE)
		*np = (uint32_t)(len / IMG_SLICE) * PER;
	return (error);
}

static int
poll(struct img *im, uint64_t voff)
{
	const struct img_env *env = im->im_env;

	if (env->ev_poll == NULL)
		return (0);
	return (
	    env->ev_poll(env->ev_arg, img_min(voff, im->im_size), im->im_size));
}

/* The guest's offset of L2 entry k under L1 entry i; as far as it goes. */
static uint64_t
voff_of(const struct qed *q, uint32_t i, uint32_t k)
{
	uint64_t cl = ((uint64_t)i << q->q_table_bits) + k;

	return (cl > UINT64_MAX >> q->q_bits ? UINT64_MAX : cl << q->q_bits);
}

int
qed_walk_l2(struct img *im, const struct qed_walker *w, void *arg, uint32_t i,
    uint64_t off)
{
	struct qed *q = qed(im);
	struct qed_entry n;
	uint32_t k, skip, nent = UINT32_C(1) << q->q_table_bits;
	uint64_t raw;
	int error = 0;

	for (k = 0; k < nent && error == 0; k++) {
		if (!img_inside(off + (uint64_t)k * 8, 8, im->im_eof[0]))
			break;
		if (k % PER == 0) {
			error = count_empty(im, IMG_COUNTS,
			    off + (uint64_t)k * 8, off + q->q_table_len, &skip);
			if (error == 0 && skip > 0) {
				k += skip - 1;
				continue;
			}
		}
		if (error == 0)
			error = qed_l2_get(im, off, k, &raw);
		if (error != 0 || raw == QED_E_NONE)
			continue;
		qed_judge_l2(im, raw, &n);
		error = w->w_l2(im, arg, voff_of(q, i, k),
		    off + (uint64_t)k * 8, &n);
	}
	return (error);
}

static int
walk_l1(struct img *im, const struct qed_walker *w, void *arg, uint32_t i)
{
	struct qed_entry n;
	uint64_t raw;
	int error, down;

	error = qed_l1_get(im, i, &raw);
	if (error != 0 || raw == QED_E_NONE)
		return (error);
	qed_judge_l1(im, raw, &n);
	down = n.n_off != 0 && !(qed_flags(im, i) & QED_V_SKIP);
	if (w->w_l1 != NULL)
		error = w->w_l1(im, arg, i, &n, &down);
	if (error == 0 && down && w->w_l2 != NULL)
		error = qed_walk_l2(im, w, arg, i, n.n_off);
	if (error == 0)
		error = poll(im, voff_of(qed(im), i, 0));
	return (error);
}

int
qed_walk(struct img *im, const struct qed_walker *w, void *arg)
{
	struct qed *q = qed(im);
	uint32_t i, skip = 0, nent = UINT32_C(1) << q->q_table_bits;
	int error = 0;

	for (i = 0; i < nent && error == 0; i++) {
		if (i % PER == 0) {
			error = count_empty(im, IMG_POINTERS,
			    q->q_l1_off + (uint64_t)i * 8,
			    q->q_l1_off + q->q_table_len, &skip);
			if (error == 0)
				error = poll(im, voff_of(q, i, 0));
			if (error == 0 && skip > 0) {
				i += skip - 1;
				continue;
			}
		}
		if (error == 0)
			error = walk_l1(im, w, arg, i);
	}
	return (error);
}
