/* SPDX-License-Identifier: ISC */

/*
 * Compressed clusters.  Streams are packed back to back; one may go on in the
 * next host cluster, which has to be free then.  Every host cluster has a
 * reference from each stream that touches it.
 *
 * The order is that of all writing (alloc.c): the stream, then counts, then
 * the entry that leads to it.
 */

#include "qcow2/tool.h"

/* Where a stream goes: behind the last one, in a new cluster, or both. */
struct spot {
	uint64_t s_off;
	uint64_t s_old; /* the cluster that others share; if s_shared */
	uint64_t s_new; /* the cluster that is new; if s_fresh */
	int s_shared;
	int s_fresh;
};

int
qcow2_pack(struct img *im, const void *unit, void *packed, uint32_t *plen)
{
	const struct img_env *env = im->im_env;
	struct qcow2 *q = qcow2(im);

	if (env->ev_pack == NULL || qcow2_data_file(q))
		return (ENOTSUP);
	*plen = q->q_cluster - 1;
	return (env->ev_pack(env->ev_arg, q->q_algo, unit, q->q_cluster, packed,
	    plen));
}

/* What is left of the cluster that the last stream ends in; 0 if full. */
static int
room(struct img *im, uint64_t *left, uint64_t *cl)
{
	struct qcow2 *q = qcow2(im);
	uint64_t count;
	int error;

	*left = 0;
	if (qcow2_aligned(q, q->q_packed))
		return (0);
	*cl = q->q_packed >> q->q_bits;
	error = qcow2_count(im, *cl, &count);
	if (error == 0 && count > 0 && count < qcow2_count_max(q))
		*left = q->q_cluster - (q->q_packed & (q->q_cluster - 1));
	return (error);
}

static int
find_spot(struct img *im, uint32_t plen, struct spot *s)
{
	struct qcow2 *q = qcow2(im);
	uint64_t left, n = 1;
	int error, fresh;

	memset(s, 0, sizeof(*s));
	error = room(im, &left, &s->s_old);
	if (error != 0)
		return (error);
	s->s_shared = left > 0;
	s->s_off = q->q_packed;
	if (left >= plen)
		return (0);
	error = qcow2_alloc(im, &n, &s->s_new, &fresh);
	if (error != 0)
		return (error);
	s->s_fresh = 1;
	/* Not the next one: the rest of the old one stays unused. */
	if (!s->s_shared || s->s_new != s->s_old + 1) {
		s->s_shared = 0;
		s->s_off = s->s_new << q->q_bits;
	}
	return (0);
}

/* The new cluster is counted already; the one that is shared is not. */
static int
count_spot(struct img *im, const struct spot *s)
{
	uint64_t count;
	int error;

	if (!s->s_shared)
		return (0);
	error = qcow2_count(im, s->s_old, &count);
	return (error == 0 ? qcow2_set_count(im, s->s_old, count + 1) : error);
}

static int
place(struct img *im, uint64_t voff, uint64_t l2, const void *packed,
    uint32_t plen)
{
	struct qcow2 *q = qcow2(im);
	uint32_t i = (uint32_t)(voff >> q->q_bits);
	uint64_t entry;
	struct spot s;
	int error;

	error = find_spot(im, plen, &s);
	if (error != 0)
		return (error);
	entry = qcow2_packed_entry(q, s.s_off, plen);
	error = entry == 0 ? EFBIG : 0;
	if (error == 0)
		error = img_io_write(im, 0, packed, plen, s.s_off);
	if (error == 0)
		error = count_spot(im, &s);
	if (error == 0)
		error = qcow2_l2_set(im, l2, i & ((1u << q->q_l2_bits) - 1),
		    entry, 0);
	if (error == 0)
		q->q_packed = s.s_off + plen;
	else if (s.s_fresh)
		(void)qcow2_drop(im, s.s_new, 1, 0);
	return (error);
}

int
qcow2_place_packed(struct img *im, uint64_t voff, const void *packed,
    uint32_t plen)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_entry n;
	uint64_t at, l2;
	int error;

	if (qcow2_data_file(q))
		return (ENOTSUP);
	if (!qcow2_aligned(q, voff) || plen == 0 || plen >= q->q_cluster)
		return (EINVAL);
	error = qcow2_touch(im);
	if (error == 0)
		error = qcow2_look(im, voff, &n, &at);
	if (error != 0)
		return (error);
	if (n.n_type != QCOW2_T_EMPTY && n.n_type != QCOW2_T_ZERO)
		return (EEXIST);
	im->im_packoff = IMG_NOWHERE; /* there may have been another one */
	error = qcow2_own_l2(im, voff, &l2);
	return (error == 0 ? place(im, voff, l2, packed, plen) : error);
}
