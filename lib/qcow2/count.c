/* SPDX-License-Identifier: ISC */

/*
 * Refcounts: a table of blocks of counters of 1 to 64 bits.  Where there is
 * no block, the counts are 0.
 */

#include "qcow2/qcow2.h"

uint64_t
qcow2_count_max(const struct qcow2 *q)
{
	return (q->q_order == 6 ? UINT64_MAX :
				  (UINT64_C(1) << (1u << q->q_order)) - 1);
}

/* Counters of less than a byte start at the least significant bits. */
uint64_t
qcow2_count_at(const uint8_t *p, uint32_t order, uint32_t i)
{
	uint64_t n = 0;
	uint32_t k, bytes;

	if (order < 3)
		return (p[i >> (3 - order)] >>
			((i & ((1u << (3 - order)) - 1)) << order) &
		    ((1u << (1u << order)) - 1));
	bytes = 1u << (order - 3);
	for (k = 0; k < bytes; k++)
		n = n << 8 | p[i * bytes + k];
	return (n);
}

void
qcow2_count_put(uint8_t *p, uint32_t order, uint32_t i, uint64_t n)
{
	uint32_t k, bytes, shift, mask;

	if (order < 3) {
		shift = (i & ((1u << (3 - order)) - 1)) << order;
		mask = ((1u << (1u << order)) - 1) << shift;
		p += i >> (3 - order);
		*p = (uint8_t)((*p & ~mask) | (uint32_t)n << shift);
		return;
	}
	bytes = 1u << (order - 3);
	for (k = bytes; k > 0; k--, n >>= 8)
		p[i * bytes + k - 1] = (uint8_t)n;
}

enum img_row
qcow2_rb_judge(const struct img *im, uint64_t rb)
{
	const struct qcow2 *q = qcow2(im);

	if (!qcow2_aligned(q, rb) || rb >= QCOW2_HOST_MAX)
		return (IMG_QCOW2_RB_ALIGN);
	if (rb >= im->im_eof[0])
		return (IMG_QCOW2_RB_RANGE);
	if (qcow2_over(q, rb, q->q_cluster) != QCOW2_U_NONE)
		return (IMG_QCOW2_RB_OVER);
	return (IMG_ROW_NONE);
}

int
qcow2_has_block(struct img *im, uint64_t cl, uint64_t *rb)
{
	struct qcow2 *q = qcow2(im);
	uint64_t i = cl >> q->q_rb_bits;
	int error;

	*rb = 0;
	if (i >= q->q_rt_n)
		return (0);
	error = qcow2_rt_get(im, (uint32_t)i, rb);
	if (error != 0)
		return (error);
	*rb &= ~QCOW2_RT_RESERVED;
	if (*rb != 0 && qcow2_rb_judge(im, *rb) != IMG_ROW_NONE)
		return (EFTYPE);
	return (0);
}

/*
 * The slice of the block at rb that has the count of cl, the place of it in
 * the slice, and how many counts there are from there on.
 */
static int
slice_of(struct img *im, uint64_t rb, uint64_t cl, struct img_slice **slp,
    uint32_t *at, uint32_t *left)
{
	struct qcow2 *q = qcow2(im);
	uint32_t i = (uint32_t)cl & ((1u << q->q_rb_bits) - 1);
	uint32_t len = qcow2_slice(q), per = (len << 3) >> q->q_order;

	*at = i & (per - 1);
	*left = per - *at;
	/* A block may end outside the file; its slices there are zeros. */
	rb += (uint64_t)(i - *at) << q->q_order >> 3;
	if (rb >= im->im_eof[0]) {
		*slp = NULL;
		return (0);
	}
	return (img_cache_get(im, IMG_COUNTS, rb, len, slp));
}

int
qcow2_count(struct img *im, uint64_t cl, uint64_t *n)
{
	struct img_slice *sl;
	uint32_t at, left;
	uint64_t rb;
	int error;

	*n = 0;
	error = qcow2_has_block(im, cl, &rb);
	if (error != 0 || rb == 0)
		return (error);
	error = slice_of(im, rb, cl, &sl, &at, &left);
	if (error == 0 && sl != NULL)
		*n = qcow2_count_at(sl->sl_data, qcow2(im)->q_order, at);
	return (error);
}

int
qcow2_set_count(struct img *im, uint64_t cl, uint64_t n)
{
	struct qcow2 *q = qcow2(im);
	struct img_slice *sl = NULL;
	uint32_t at, left;
	uint64_t rb;
	int error;

	error = qcow2_has_block(im, cl, &rb);
	if (error == 0 && rb != 0)
		error = slice_of(im, rb, cl, &sl, &at, &left);
	if (error != 0)
		return (error);
	if (sl == NULL || n > qcow2_count_max(q)) {
		im->im_latched = 1;
		return (EIO);
	}
	qcow2_count_put(sl->sl_data, q->q_order, at, n);
	at = at << q->q_order >> 3;
	img_cache_dirty(sl, at, q->q_order < 3 ? 1 : 1u << (q->q_order - 3));
	return (0);
}

int
qcow2_count_run(struct img *im, uint64_t cl, uint64_t n, uint64_t *run,
    int *used)
{
	struct qcow2 *q = qcow2(im);
	struct img_slice *sl;
	uint32_t at, left, i;
	uint64_t rb, rest;
	int error;

	*used = 0;
	error = qcow2_has_block(im, cl, &rb);
	if (error != 0)
		return (error);
	rest = (UINT64_C(1) << q->q_rb_bits) -
	    (cl & ((UINT64_C(1) << q->q_rb_bits) - 1));
	*run = img_min(n, rest);
	if (rb == 0)
		return (0);
	error = slice_of(im, rb, cl, &sl, &at, &left);
	if (error != 0 || sl == NULL)
		return (error);
	left = (uint32_t)img_min(left, n);
	*used = qcow2_count_at(sl->sl_data, q->q_order, at) != 0;
	for (i = 1; i < left; i++)
		if ((qcow2_count_at(sl->sl_data, q->q_order, at + i) != 0) !=
		    *used)
			break;
	*run = i;
	return (0);
}
