/* SPDX-License-Identifier: ISC */

/*
 * Stage VERIFY: every BAT entry once, then all blocks in the order of the
 * file, to find those that overlap.  The order comes from a heap that holds
 * the smallest entries not yet visited, as many as the budget allows; where
 * that is fewer than all, the BAT is read again for the next lot.
 */

#include "vhd/vhd.h"

#define HEAP_MAX (1u << 22) /* entries; 32 MiB */

typedef int entry_fn(struct img *, void *, uint32_t sec, uint32_t index);

/* All entries in use, in the order of the BAT. */
static int
each_entry(struct img *im, entry_fn *fn, void *arg)
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

struct heap {
	uint64_t *h_key; /* sector << 32 | index; the largest on top */
	uint32_t h_n;
	uint32_t h_max;
	uint64_t h_after; /* only keys above this one, unless first */
	int h_first;
	int h_more; /* something did not fit */
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

static void
push(struct heap *h, uint64_t key)
{
	uint32_t i, parent;

	for (i = h->h_n++; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (h->h_key[parent] >= key)
			break;
		h->h_key[i] = h->h_key[parent];
	}
	h->h_key[i] = key;
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
	return (each_entry(im, later_end, end));
}

static int
collect(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct heap *h = arg;
	uint64_t key = (uint64_t)sec << 32 | index;

	if ((!h->h_first && key <= h->h_after) || !has_place(im, sec))
		return (0);
	if (h->h_n < h->h_max)
		push(h, key);
	else {
		h->h_more = 1;
		if (key < h->h_key[0]) {
			h->h_key[0] = key;
			sift_down(h->h_key, h->h_n, 0);
		}
	}
	return (0);
}

/* Ascending, in place. */
static void
sort(struct heap *h)
{
	uint64_t top;
	uint32_t n;

	for (n = h->h_n; n > 1;) {
		n--;
		top = h->h_key[0];
		h->h_key[0] = h->h_key[n];
		h->h_key[n] = top;
		sift_down(h->h_key, n, 0);
	}
}

static int
visit_all(struct img *im, struct heap *h, vhd_visit_fn *fn, void *arg)
{
	uint32_t i;
	int error = 0;

	for (i = 0; i < h->h_n && error == 0; i++)
		error = fn(im, arg, (uint32_t)(h->h_key[i] >> 32),
		    (uint32_t)h->h_key[i]);
	return (error);
}

int
vhd_sorted(struct img *im, vhd_visit_fn *fn, void *arg)
{
	struct vhd *v = vhd(im);
	struct heap h;
	int error;

	memset(&h, 0, sizeof(h));
	if (v->v_type == VHD_FIXED || v->v_nentries == 0)
		return (0);
	/* Nearly all that is left: only this is allocated now. */
	h.h_max = (uint32_t)img_min(img_min(v->v_nentries, HEAP_MAX),
	    (im->im_budget - im->im_budget / 16) / 8);
	error = img_alloc(im, (uint64_t)h.h_max * 8, &h.h_key);
	if (error != 0)
		return (error);
	h.h_first = 1;
	do {
		h.h_n = 0;
		h.h_more = 0;
		error = each_entry(im, collect, &h);
		sort(&h);
		if (error == 0)
			error = visit_all(im, &h, fn, arg);
		if (h.h_n > 0)
			h.h_after = h.h_key[h.h_n - 1];
		h.h_first = 0;
	} while (error == 0 && h.h_more);
	img_free(im, h.h_key, (uint64_t)h.h_max * 8);
	return (error);
}

struct verify {
	int ve_cut; /* a block lies at least in part outside the file */
	int ve_any; /* ve_prev is set */
	uint32_t ve_prev;
};

/* Raise a row of a BAT entry, with the guest range from byte in on. */
static void
raise_entry(struct img *im, enum img_row row, uint32_t index, uint64_t in,
    enum img_want rel, uint64_t found, uint64_t want)
{
	struct img_finding fi;

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = row;
	fi.fi_off = vhd(im)->v_bat_off + (uint64_t)index * 4;
	fi.fi_vlen = vhd_block_range(im, index, in, &fi.fi_voff);
	fi.fi_rel = rel;
	fi.fi_found = found;
	fi.fi_want = want;
	img_raise_finding(im, &fi);
}

static int
verify_entry(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct vhd *v = vhd(im);
	struct verify *ve = arg;
	uint64_t usable, stride = vhd_stride(v) / IMG_SECTOR, end;
	enum img_row row;

	if (index >= v->v_nblocks) {
		raise_entry(im, IMG_VHD_BAT_SURPLUS, index, 0, IMG_WANT_EQ, sec,
		    VHD_ABSENT);
		return (0);
	}
	row = vhd_judge(im, sec, &usable);
	end = (row == IMG_VHD_BLOCK_FOOTER ? v->v_endfooter : im->im_eof[0]) /
	    IMG_SECTOR;
	if (row != IMG_ROW_NONE)
		v->v_damaged = 1;
	if (row == IMG_VHD_BLOCK_META)
		raise_entry(im, row, index, 0, IMG_WANT_ANY, sec, 0);
	else if (row != IMG_ROW_NONE)
		raise_entry(im, row, index, usable, IMG_WANT_MAX, sec,
		    end > stride ? end - stride : 0);
	else if (sec + stride > (uint64_t)1 << 32)
		raise_entry(im, IMG_VHD_BLOCK_HIGH, index, v->v_block,
		    IMG_WANT_ANY, sec, 0);
	if (row == IMG_VHD_BAT_RANGE || row == IMG_VHD_BLOCK_CUT)
		ve->ve_cut = 1;
	return (0);
}

static int
verify_neighbour(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct verify *ve = arg;
	uint32_t stride = vhd_stride(vhd(im)) / IMG_SECTOR;

	if (index >= vhd(im)->v_nblocks) /* row 58 says enough */
		return (0);
	if (ve->ve_any && sec == ve->ve_prev)
		raise_entry(im, IMG_VHD_BAT_OVERLAP, index, 0, IMG_WANT_ANY,
		    sec, 0);
	else if (ve->ve_any && sec - ve->ve_prev < stride)
		raise_entry(im, IMG_VHD_BLOCK_OVERLAP, index, 0, IMG_WANT_MIN,
		    sec, (uint64_t)ve->ve_prev + stride);
	if (ve->ve_any && sec - ve->ve_prev < stride)
		vhd(im)->v_damaged = 1;
	ve->ve_any = 1;
	ve->ve_prev = sec;
	return (0);
}

int
vhd_verify(struct img *im)
{
	struct vhd *v = vhd(im);
	struct verify ve;
	int error;

	if (v->v_type == VHD_FIXED)
		return (0);
	memset(&ve, 0, sizeof(ve));
	error = each_entry(im, verify_entry, &ve);
	if (error == 0)
		error = vhd_sorted(im, verify_neighbour, &ve);
	if (error == 0 && ve.ve_cut && v->v_endfooter == IMG_NOWHERE)
		img_raise(im, IMG_VHD_END_CUT, im->im_eof[0]);
	return (error);
}
