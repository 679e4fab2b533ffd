/* SPDX-License-Identifier: ISC */

/*
 * Entries of tables, through the table cache.  All tables are cut into slices
 * of one size, so that a piece of the file has one name in the cache, whatever
 * a broken image takes it for.
 */

#include "qcow2/qcow2.h"

static int
slice(struct img *im, enum img_class cls, uint64_t at, struct img_slice **slp,
    uint8_t **p)
{
	uint32_t len = qcow2_slice(qcow2(im)), in = (uint32_t)at & (len - 1);
	int error;

	error = img_cache_get(im, cls, at - in, len, slp);
	if (error == 0)
		*p = (*slp)->sl_data + in;
	return (error);
}

static int
get(struct img *im, enum img_class cls, uint64_t at, uint64_t *n)
{
	struct img_slice *sl;
	uint8_t *p;
	int error;

	error = slice(im, cls, at, &sl, &p);
	if (error == 0)
		*n = img_be64(p);
	return (error);
}

int
qcow2_l1_get(struct img *im, const struct qcow2_tree *t, uint32_t i,
    uint64_t *l1)
{
	return (get(im, IMG_POINTERS, t->t_off + (uint64_t)i * 8, l1));
}

int
qcow2_l1_set(struct img *im, uint32_t i, uint64_t l1)
{
	struct img_slice *sl;
	uint8_t *p;
	int error;

	error = slice(im, IMG_POINTERS,
	    qcow2(im)->q_active.t_off + (uint64_t)i * 8, &sl, &p);
	if (error != 0)
		return (error);
	img_put_be64(p, l1);
	img_cache_dirty(sl, (uint32_t)(p - sl->sl_data), 8);
	return (0);
}

int
qcow2_l2_get(struct img *im, uint64_t off, uint32_t i, uint64_t *entry,
    uint64_t *bits)
{
	struct qcow2 *q = qcow2(im);
	struct img_slice *sl;
	uint8_t *p;
	int error;

	error = slice(im, IMG_POINTERS, off + ((uint64_t)i << q->q_esz_bits),
	    &sl, &p);
	if (error != 0)
		return (error);
	*entry = img_be64(p);
	*bits = q->q_extended ? img_be64(p + 8) : 0;
	return (0);
}

int
qcow2_l2_set(struct img *im, uint64_t off, uint32_t i, uint64_t entry,
    uint64_t bits)
{
	struct qcow2 *q = qcow2(im);
	struct img_slice *sl;
	uint8_t *p;
	int error;

	error = slice(im, IMG_POINTERS, off + ((uint64_t)i << q->q_esz_bits),
	    &sl, &p);
	if (error != 0)
		return (error);
	img_put_be64(p, entry);
	if (q->q_extended)
		img_put_be64(p + 8, bits);
	img_cache_dirty(sl, (uint32_t)(p - sl->sl_data), 1u << q->q_esz_bits);
	return (0);
}

int
qcow2_rt_get(struct img *im, uint32_t i, uint64_t *rb)
{
	return (get(im, IMG_COUNTS, qcow2(im)->q_rt_off + (uint64_t)i * 8, rb));
}

int
qcow2_rt_set(struct img *im, uint32_t i, uint64_t rb)
{
	struct img_slice *sl;
	uint8_t *p;
	int error;

	error = slice(im, IMG_COUNTS, qcow2(im)->q_rt_off + (uint64_t)i * 8,
	    &sl, &p);
	if (error != 0)
		return (error);
	img_put_be64(p, rb);
	img_cache_dirty(sl, (uint32_t)(p - sl->sl_data), 8);
	return (0);
}
