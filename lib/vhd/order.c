/* SPDX-License-Identifier: ISC */

/*
 * The BAT's entries in its own order, and in the order of the file.  For the
 * latter all are gathered and sorted by their digits, which is linear.  Where
 * there are more than the budget allows, a heap keeps the smallest of those
 * not yet visited, and the BAT is read again for the next lot.
 */

#include "vhd/vhd.h"

#define KEYS_MAX (1u << 22) /* entries and room to sort them; 32 MiB */
#define DIGITS 256u

int
vhd_each_entry(struct img *im, vhd_visit_fn *fn, void *arg)
{
	struct vhd *v = vhd(im);
	struct img_slice *sl;
	uint32_t i, at, sec;
	int error = 0;

	for (i = 0; i < v->v_nentries && error == 0; i++) {
		if (i % (IMG_SLICE / 4) == 0 && im->im_env->ev_poll != NULL)
			error = im->im_env->ev_poll(im->im_env->ev_arg,
			    (uint64_t)i * 4, (uint64_t)v->v_nentries * 4);
		if (error == 0)
			error = vhd_bat_slice(im, i, &sl, &at);
		if (error != 0)
			break;
		sec = img_be32(sl->sl_data + at);
		if (sec != VHD_ABSENT)
			error = fn(im, arg, sec, i);
	}
	return (error);
}

struct keys {
	uint64_t *k_key; /* sector << 32 | index */
	uint32_t k_n;
	uint32_t k_max;
	uint64_t k_after; /* only keys above this one, unless first */
	int k_first;
	int k_more; /* something did not fit: k_key is a heap */
};

static void
sift_down(uint64_t *key, uint32_t n, uint32_t i)
{
	uint64_t k = key[i];
	uint32_t child;

	for (; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && key[child + 1] > key[child])
			child++;
		if (key[child] <= k)
			break;
		key[i] = key[child];
	}
	key[i] = k;
}

/* Blocks that lie outside the file or over metadata are no neighbours. */
static int
has_place(struct img *im, uint32_t sec)
{
	uint64_t usable;
	enum img_row row = vhd_judge(im, sec, &usable);

	return (row != IMG_VHD_BAT_RANGE && row != IMG_VHD_BLOCK_META);
}

static int
later_end(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	uint64_t *end = arg, this_end;

	(void)index;
	this_end = (uint64_t)sec * IMG_SECTOR + vhd_stride(vhd(im));
	if (has_place(im, sec) && this_end > *end)
		*end = this_end;
	return (0);
}

int
vhd_last_end(struct img *im, uint64_t *end)
{
	*end = 0;
	return (vhd_each_entry(im, later_end, end));
}

static int
gather(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct keys *k = arg;
	uint64_t key = (uint64_t)sec << 32 | index;
	uint32_t i;

	if ((!k->k_first && key <= k->k_after) || !has_place(im, sec))
		return (0);
	if (k->k_n < k->k_max) {
		k->k_key[k->k_n++] = key;
		return (0);
	}
	if (!k->k_more) {
		k->k_more = 1;
		for (i = k->k_n / 2; i-- > 0;)
			sift_down(k->k_key, k->k_n, i);
	}
	if (key < k->k_key[0]) {
		k->k_key[0] = key;
		sift_down(k->k_key, k->k_n, 0);
	}
	return (0);
}

/* A heap, ascending, in place. */
static void
sort_heap(struct keys *k)
{
	uint64_t top;
	uint32_t n;

	for (n = k->k_n; n > 1;) {
		n--;
		top = k->k_key[0];
		k->k_key[0] = k->k_key[n];
		k->k_key[n] = top;
		sift_down(k->k_key, n, 0);
	}
}

/* One digit of the sector: from from to to, equal ones in their order. */
static void
sort_digit(const uint64_t *from, uint64_t *to, uint32_t n, uint32_t *count,
    unsigned shift)
{
	uint32_t i, at, sum = 0;

	memset(count, 0, DIGITS * sizeof(*count));
	for (i = 0; i < n; i++)
		count[from[i] >> shift & (DIGITS - 1)]++;
	for (i = 0; i < DIGITS; i++) {
		at = sum;
		sum += count[i];
		count[i] = at;
	}
	for (i = 0; i < n; i++)
		to[count[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

/* Gathered in the order of the index: the four digits of the sector do. */
static void
sort(struct keys *k)
{
	uint64_t *other = k->k_key + k->k_max;
	uint32_t *count = (uint32_t *)(other + k->k_max);
	unsigned shift;

	if (k->k_more) {
		sort_heap(k);
		return;
	}
	for (shift = 32; shift < 64; shift += 16) {
		sort_digit(k->k_key, other, k->k_n, count, shift);
		sort_digit(other, k->k_key, k->k_n, count, shift + 8);
	}
}

static int
visit_all(struct img *im, struct keys *k, vhd_visit_fn *fn, void *arg)
{
	uint32_t i;
	int error = 0;

	for (i = 0; i < k->k_n && error == 0; i++)
		error = fn(im, arg, (uint32_t)(k->k_key[i] >> 32),
		    (uint32_t)k->k_key[i]);
	return (error);
}

int
vhd_sorted(struct img *im, vhd_visit_fn *fn, void *arg)
{
	struct vhd *v = vhd(im);
	uint64_t room, bytes;
	struct keys k;
	int error;

	memset(&k, 0, sizeof(k));
	if (v->v_type == VHD_FIXED || v->v_nentries == 0)
		return (0);
	/* Nearly all that is left: only this is allocated now. */
	room = im->im_budget - im->im_budget / 16;
	if (room < DIGITS * 4 + 16)
		return (ENOMEM);
	k.k_max = (uint32_t)img_min(img_min(v->v_nentries, KEYS_MAX / 2),
	    (room - DIGITS * 4) / 16);
	bytes = (uint64_t)k.k_max * 16 + DIGITS * 4;
	error = img_alloc(im, bytes, &k.k_key);
	if (error != 0)
		return (error);
	k.k_first = 1;
	do {
		k.k_n = 0;
		k.k_more = 0;
		error = vhd_each_entry(im, gather, &k);
		sort(&k);
		if (error == 0)
			error = visit_all(im, &k, fn, arg);
		if (k.k_n > 0)
			k.k_after = k.k_key[k.k_n - 1];
		k.k_first = 0;
	} while (error == 0 && k.k_more);
	img_free(im, k.k_key, bytes);
	return (error);
}
