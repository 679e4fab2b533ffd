/* SPDX-License-Identifier: ISC */

/*
 * The table cache: a fixed number of slices of at most 4 KiB, allocated at
 * open, that hold pieces of every table of every format.  Changed slices are
 * written back by img_cache_flush, sector by sector as they were changed:
 *
 *	data (written by rw.c), barrier, counts, barrier, pointers, barrier
 *
 * A full cache whose slices are all dirty does the same.  A fresh file has
 * no barriers, so there a dirty slice is simply written when it must go.
 */

#include "core/core.h"

#define NONE UINT32_MAX

static uint32_t
bucket(const struct img_cache *ca, uint64_t off)
{
	uint32_t h;

	h = (uint32_t)(off >> 9) ^ (uint32_t)(off >> 32);
	h *= 2654435761u; /* Knuth's multiplicative hash */
	return ((h >> 8) & (ca->ca_nhash - 1));
}

int
img_cache_init(struct img *im, uint32_t nslices)
{
	struct img_cache *ca = &im->im_cache;
	uint32_t i;
	int error;

	ca->ca_n = nslices;
	error = img_alloc(im, (uint64_t)nslices * sizeof(struct img_slice),
	    &ca->ca_slice);
	if (error == 0)
		error =
		    img_alloc(im, (uint64_t)nslices * IMG_SLICE, &ca->ca_data);
	if (error != 0)
		return (error);
	/* After these, so that nslices is known to be sane. */
	for (ca->ca_nhash = 1; ca->ca_nhash < nslices; ca->ca_nhash <<= 1)
		continue;
	error = img_alloc(im, (uint64_t)ca->ca_nhash * sizeof(uint32_t),
	    &ca->ca_hash);
	if (error != 0)
		return (error);
	for (i = 0; i < nslices; i++)
		ca->ca_slice[i].sl_data = ca->ca_data + (size_t)i * IMG_SLICE;
	return (0);
}

void
img_cache_fini(struct img *im)
{
	struct img_cache *ca = &im->im_cache;

	img_free(im, ca->ca_slice,
	    (uint64_t)ca->ca_n * sizeof(struct img_slice));
	img_free(im, ca->ca_data, (uint64_t)ca->ca_n * IMG_SLICE);
	img_free(im, ca->ca_hash, (uint64_t)ca->ca_nhash * sizeof(uint32_t));
	memset(ca, 0, sizeof(*ca));
}

static void
unhash(struct img_cache *ca, uint32_t victim)
{
	struct img_slice *sl = &ca->ca_slice[victim];
	uint32_t *link;

	link = &ca->ca_hash[bucket(ca, sl->sl_off)];
	while (*link != victim + 1)
		link = &ca->ca_slice[*link - 1].sl_next;
	*link = sl->sl_next;
	sl->sl_valid = 0;
}

/* Write the changed sectors of one slice, in runs. */
static int
write_back(struct img *im, struct img_slice *sl)
{
	uint32_t first, last, nsec = sl->sl_len / IMG_SECTOR;
	int error;

	for (first = 0; first < nsec; first = last + 1) {
		for (last = first; last < nsec; last++)
			if (!(sl->sl_dirty & (1u << last)))
				break;
		if (last == first)
			continue;
		error = img_io_meta(im, sl->sl_data + first * IMG_SECTOR,
		    (last - first) * IMG_SECTOR,
		    sl->sl_off + (uint64_t)first * IMG_SECTOR);
		if (error != 0)
			return (error);
	}
	sl->sl_dirty = 0;
	return (0);
}

static int
write_class(struct img *im, enum img_class cls)
{
	struct img_cache *ca = &im->im_cache;
	struct img_slice *sl;
	uint32_t i;
	int error;

	for (i = 0; i < ca->ca_n; i++) {
		sl = &ca->ca_slice[i];
		if (!sl->sl_valid || !sl->sl_dirty || sl->sl_class != cls)
			continue;
		error = write_back(im, sl);
		if (error != 0)
			return (error);
	}
	return (0);
}

int
img_cache_flush(struct img *im)
{
	int cls, error;

	if (im->im_latched) /* nothing may lead to what was lost */
		return (EIO);
	error = img_io_barrier(im);
	for (cls = 0; cls < IMG_NCLASSES && error == 0; cls++) {
		error = write_class(im, (enum img_class)cls);
		if (error == 0)
			error = img_io_barrier(im);
	}
	return (error);
}

/* A slice that is free or clean and was not used for a round; NONE if none. */
static uint32_t
clean_victim(struct img_cache *ca)
{
	struct img_slice *sl;
	uint32_t tries, i;

	for (tries = 0; tries < 2 * ca->ca_n; tries++) {
		i = ca->ca_hand;
		ca->ca_hand = i + 1 < ca->ca_n ? i + 1 : 0;
		sl = &ca->ca_slice[i];
		if (!sl->sl_valid)
			return (i);
		if (sl->sl_dirty)
			continue;
		if (!sl->sl_used)
			return (i);
		sl->sl_used = 0;
	}
	return (NONE);
}

/* An empty slice under the key, not yet filled. */
static int
take(struct img *im, enum img_class cls, uint64_t off, uint32_t len,
    struct img_slice **slp)
{
	struct img_cache *ca = &im->im_cache;
	struct img_slice *sl;
	uint32_t i, *head;
	int error;

	i = clean_victim(ca);
	if (i == NONE && (im->im_flags & IMG_FRESH)) {
		i = ca->ca_hand;
		error = write_back(im, &ca->ca_slice[i]);
		if (error != 0)
			return (error);
		ca->ca_hand = i + 1 < ca->ca_n ? i + 1 : 0;
	} else if (i == NONE) {
		error = img_cache_flush(im);
		if (error != 0)
			return (error);
		i = ca->ca_hand;
	}
	sl = &ca->ca_slice[i];
	if (sl->sl_valid)
		unhash(ca, i);
	head = &ca->ca_hash[bucket(ca, off)];
	sl->sl_off = off;
	sl->sl_len = len;
	sl->sl_class = (uint8_t)cls;
	sl->sl_dirty = 0;
	sl->sl_used = 1;
	sl->sl_valid = 1;
	sl->sl_next = *head;
	*head = i + 1;
	*slp = sl;
	return (0);
}

static struct img_slice *
lookup(struct img_cache *ca, uint64_t off)
{
	uint32_t i;

	for (i = ca->ca_hash[bucket(ca, off)]; i != 0;
	     i = ca->ca_slice[i - 1].sl_next)
		if (ca->ca_slice[i - 1].sl_off == off)
			return (&ca->ca_slice[i - 1]);
	return (NULL);
}

int
img_cache_get(struct img *im, enum img_class cls, uint64_t off, uint32_t len,
    struct img_slice **slp)
{
	struct img_cache *ca = &im->im_cache;
	struct img_slice *sl;
	uint32_t n;
	int error;

	sl = lookup(ca, off);
	if (sl != NULL) {
		if (sl->sl_len != len)
			return (EINVAL);
		sl->sl_used = 1;
		*slp = sl;
		return (0);
	}
	error = take(im, cls, off, len, &sl);
	if (error != 0)
		return (error);
	/* Tables may end before their last sector does. */
	n = len;
	if (off < im->im_eof[0])
		n = (uint32_t)img_min(len, im->im_eof[0] - off);
	error = img_io_read(im, 0, sl->sl_data, n, off);
	if (error != 0) {
		unhash(ca, (uint32_t)(sl - ca->ca_slice));
		return (error);
	}
	memset(sl->sl_data + n, 0, len - n);
	*slp = sl;
	return (0);
}

int
img_cache_holds(struct img *im, uint64_t off, uint64_t len)
{
	struct img_cache *ca = &im->im_cache;
	uint32_t i;

	for (i = 0; i < ca->ca_n; i++)
		if (ca->ca_slice[i].sl_valid &&
		    img_overlap(ca->ca_slice[i].sl_off, ca->ca_slice[i].sl_len,
			off, len))
			return (1);
	return (0);
}

void
img_cache_drop(struct img *im, uint64_t off, uint64_t len)
{
	struct img_cache *ca = &im->im_cache;
	struct img_slice *sl;
	uint32_t i;

	for (i = 0; i < ca->ca_n; i++) {
		sl = &ca->ca_slice[i];
		if (sl->sl_valid && sl->sl_off >= off &&
		    sl->sl_off - off < len) {
			unhash(ca, i);
			sl->sl_dirty = 0;
		}
	}
}

int
img_cache_new(struct img *im, enum img_class cls, uint64_t off, uint32_t len,
    struct img_slice **slp)
{
	struct img_slice *sl;
	int error;

	sl = lookup(&im->im_cache, off);
	if (sl != NULL && sl->sl_len != len)
		return (EINVAL);
	if (sl == NULL) {
		error = take(im, cls, off, len, &sl);
		if (error != 0)
			return (error);
	}
	memset(sl->sl_data, 0, len);
	img_cache_dirty(sl, 0, len);
	*slp = sl;
	return (0);
}

void
img_cache_dirty(struct img_slice *sl, uint32_t at, uint32_t n)
{
	uint32_t sec;

	for (sec = at / IMG_SECTOR; sec * IMG_SECTOR < at + n; sec++)
		sl->sl_dirty |= (uint8_t)(1u << sec);
}
