/* SPDX-License-Identifier: ISC */

/*
 * Entries of tables, through the table cache.  What leads to an L2 table must
 * not be there before that table says the right thing, so L2 tables are of
 * the class that is written first.
 */

#include "qed/qed.h"

static int
entry(struct img *im, enum img_class cls, uint64_t at, struct img_slice **slp,
    uint8_t **p)
{
	uint32_t in = (uint32_t)at & (IMG_SLICE - 1);
	int error;

	error = img_cache_get(im, cls, at - in, IMG_SLICE, slp);
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

	error = entry(im, cls, at, &sl, &p);
	if (error == 0)
		*n = img_le64(p);
	return (error);
}

static int
set(struct img *im, enum img_class cls, uint64_t at, uint64_t n)
{
	struct img_slice *sl;
	uint8_t *p;
	int error;

	error = entry(im, cls, at, &sl, &p);
	if (error != 0)
		return (error);
	img_put_le64(p, n);
	img_cache_dirty(sl, (uint32_t)(p - sl->sl_data), 8);
	return (0);
}

int
qed_l1_get(struct img *im, uint32_t i, uint64_t *n)
{
	return (get(im, IMG_POINTERS, qed(im)->q_l1_off + (uint64_t)i * 8, n));
}

int
qed_l1_set(struct img *im, uint32_t i, uint64_t n)
{
	return (set(im, IMG_POINTERS, qed(im)->q_l1_off + (uint64_t)i * 8, n));
}

int
qed_l2_get(struct img *im, uint64_t off, uint32_t i, uint64_t *n)
{
	return (get(im, IMG_COUNTS, off + (uint64_t)i * 8, n));
}

int
qed_l2_set(struct img *im, uint64_t off, uint32_t i, uint64_t n)
{
	return (set(im, IMG_COUNTS, off + (uint64_t)i * 8, n));
}
