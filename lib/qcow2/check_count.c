/* SPDX-License-Identifier: ISC */

/* Refcounts as they are stored, block after block, held against the owners. */

#include "qcow2/check.h"

/* Counts in a row: those at index at of data and behind it, or all 0. */
struct piece {
	uint64_t pc_n;
	const uint8_t *pc_data; /* NULL: they are 0 */
	uint32_t pc_at;
	int pc_known; /* not in a block that cannot be used */
};

/* Is the whole block a hole of the host file? */
static int
is_hole(struct img *im, uint64_t rb)
{
	struct img_file *f = im->im_file[0];
	uint64_t len = qcow2(im)->q_cluster;
	int data = 1;

	if (f->f_ops->fo_extent == NULL ||
	    !img_inside(rb, len, im->im_eof[0]) ||
	    f->f_ops->fo_extent(f, rb, &len, &data) != 0)
		return (0);
	return (!data && len == qcow2(im)->q_cluster);
}

/* The counts of a block from its i-th on, as many as a slice has. */
static int
read_slice(struct img *im, uint64_t rb, uint32_t i, struct piece *pc)
{
	struct qcow2 *q = qcow2(im);
	uint32_t len = qcow2_slice(q), per = (len << 3) >> q->q_order;
	struct img_slice *sl;
	int error;

	pc->pc_at = i & (per - 1);
	if (pc->pc_at == 0 && i == 0 && is_hole(im, rb))
		return (0);
	pc->pc_n = img_min(pc->pc_n, per - pc->pc_at);
	rb += (uint64_t)(i - pc->pc_at) << q->q_order >> 3;
	if (rb >= im->im_eof[0]) /* a block that is cut off there */
		return (0);
	error = img_cache_get(im, IMG_COUNTS, rb, len, &sl);
	if (error != 0)
		return (error);
	/* Whoever hears of differences may need the cache. */
	memcpy(im->im_buf, sl->sl_data, len);
	pc->pc_data = im->im_buf;
	return (0);
}

/* In a file of terabytes there are many. */
static int
poll(struct qcow2_tally *ta, uint64_t cl)
{
	const struct img_env *env = ta->ta_im->im_env;
	uint32_t bits = qcow2(ta->ta_im)->q_bits;

	if (++ta->ta_polls % 1024 != 0 || env->ev_poll == NULL)
		return (0);
	return (env->ev_poll(env->ev_arg, img_min(cl, ta->ta_ncl) << bits,
	    ta->ta_ncl << bits));
}

static int
get_piece(struct qcow2_tally *ta, uint64_t cl, uint64_t n, struct piece *pc)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	uint64_t block = cl >> q->q_rb_bits, rb;
	uint32_t i = (uint32_t)cl & ((1u << q->q_rb_bits) - 1);
	int error;

	memset(pc, 0, sizeof(*pc));
	pc->pc_n = n;
	pc->pc_known = 1;
	if (block >= q->q_rt_n) /* and so it is with all that follow */
		return (0);
	pc->pc_n = img_min(n, (UINT64_C(1) << q->q_rb_bits) - i);
	error = qcow2_has_block(ta->ta_im, cl, &rb);
	if (error == EFTYPE || ta->ta_bad[block / 8] & 1u << block % 8) {
		pc->pc_known = 0;
		return (0);
	}
	if (error != 0 || rb == 0)
		return (error);
	return (read_slice(ta->ta_im, rb, i, pc));
}

static int
tell(struct qcow2_tally *ta)
{
	struct qcow2_diff *d = &ta->ta_diffs;
	int error = 0;

	if (d->d_n > 0 && ta->ta_diff != NULL)
		error = ta->ta_diff(ta->ta_arg, d);
	d->d_n = 0;
	return (error);
}

static int
look_at_each(struct qcow2_tally *ta, uint64_t cl, uint64_t n, uint64_t stored,
    int known, const struct qcow2_owner *o)
{
	struct qcow2_diff d;

	d.d_cl = cl;
	d.d_n = n;
	d.d_stored = stored;
	d.d_known = known;
	d.d_owner = *o;
	return (ta->ta_each(ta->ta_arg, &d));
}

/* n clusters that have this stored refcount and these owners. */
static int
look(struct qcow2_tally *ta, uint64_t cl, uint64_t n, uint64_t stored,
    const struct qcow2_owner *o)
{
	struct qcow2_diff *d = &ta->ta_diffs;
	int error;

	if (cl < ta->ta_ncl && (stored > 0 || o->o_count > 0))
		ta->ta_end = cl + n;
	if (ta->ta_each != NULL)
		return (look_at_each(ta, cl, n, stored, 1, o));
	if (o->o_alias || stored == o->o_count ||
	    (o->o_count == QCOW2_OWN_MANY && stored > QCOW2_OWN_MANY))
		return (0);
	if (d->d_n > 0 && d->d_cl + d->d_n == cl && d->d_stored == stored &&
	    d->d_owner.o_count == o->o_count && d->d_owner.o_use == o->o_use) {
		d->d_n += n;
		return (0);
	}
	error = tell(ta);
	d->d_cl = cl;
	d->d_n = n;
	d->d_stored = stored;
	d->d_known = 1;
	d->d_owner = *o;
	return (error);
}

/* A run of like owners and the counts from index at of the piece on. */
static int
look_at_run(struct qcow2_tally *ta, uint64_t cl, uint64_t n,
    const struct piece *pc, uint32_t at, const struct qcow2_owner *o)
{
	uint32_t order = qcow2(ta->ta_im)->q_order;
	uint64_t stored, k, i;
	int error = 0;

	if (!pc->pc_known) {
		if (cl < ta->ta_ncl && o->o_count > 0)
			ta->ta_end = cl + n;
		if (ta->ta_each != NULL)
			return (look_at_each(ta, cl, n, 0, 0, o));
		return (0);
	}
	if (pc->pc_data == NULL)
		return (look(ta, cl, n, 0, o));
	for (i = 0; i < n && error == 0; i = k) {
		stored = qcow2_count_at(pc->pc_data, order, at + (uint32_t)i);
		for (k = i + 1; k < n; k++)
			if (qcow2_count_at(pc->pc_data, order,
				at + (uint32_t)k) != stored)
				break;
		error = look(ta, cl + i, k - i, stored, o);
	}
	return (error);
}

int
qcow2_tally_count(struct qcow2_tally *ta, uint64_t from, uint64_t to)
{
	static const struct qcow2_owner none = { QCOW2_U_NONE, 0, 0 };
	struct qcow2_owner o;
	struct piece pc;
	uint64_t i, n;
	int error = 0;

	for (; from < to && error == 0; from += pc.pc_n) {
		error = poll(ta, from);
		if (error == 0)
			error = get_piece(ta, from, to - from, &pc);
		for (i = 0; error == 0 && i < pc.pc_n; i += n) {
			o = none;
			n = pc.pc_n - i;
			if (qcow2_own_has(&ta->ta_ow, from + i))
				n = qcow2_own_run(&ta->ta_ow, from + i, n, &o);
			error = look_at_run(ta, from + i, n, &pc,
			    pc.pc_at + (uint32_t)i, &o);
		}
	}
	return (error != 0 ? error : tell(ta));
}
