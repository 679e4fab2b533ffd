/* SPDX-License-Identifier: ISC */

/*
 * Where guest bytes live in a VHD.  Sector bitmaps are honoured: a clear bit
 * means zeros in a dynamic image, the parent in a differencing one.
 */

#include "vhd/vhd.h"

int
vhd_bat_slice(struct img *im, uint32_t index, struct img_slice **slp,
    uint32_t *at)
{
	struct vhd *v = vhd(im);
	uint64_t in = (uint64_t)index * 4;
	uint64_t start = in & ~(uint64_t)(IMG_SLICE - 1);

	*at = (uint32_t)(in - start);
	return (img_cache_get(im, IMG_POINTERS, v->v_bat_off + start,
	    (uint32_t)img_min(IMG_SLICE, vhd_bat_bytes(v->v_nentries) - start),
	    slp));
}

int
vhd_bat_get(struct img *im, uint32_t index, uint32_t *sec)
{
	struct img_slice *sl;
	uint32_t at;
	int error;

	error = vhd_bat_slice(im, index, &sl, &at);
	if (error == 0)
		*sec = img_be32(sl->sl_data + at);
	return (error);
}

int
vhd_bitmap_slice(struct img *im, uint64_t off, uint32_t sec,
    struct img_slice **slp, uint32_t *bit)
{
	struct vhd *v = vhd(im);
	uint32_t start = sec / 8 & ~(IMG_SLICE - 1);

	*bit = sec - start * 8;
	return (img_cache_get(im, IMG_COUNTS, off + start,
	    (uint32_t)img_min(IMG_SLICE, v->v_bitmap - start), slp));
}

int
vhd_over_metadata(const struct vhd *v, uint64_t off)
{
	uint32_t i;

	for (i = 0; i < v->v_nareas; i++)
		if (img_overlap(off, vhd_stride(v), v->v_area[i].a_off,
			v->v_area[i].a_len))
			return (1);
	return (0);
}

enum img_row
vhd_judge(const struct img *im, uint32_t sec, uint64_t *usable)
{
	const struct vhd *v = vhd(im);
	uint64_t start = (uint64_t)sec * IMG_SECTOR;
	uint64_t data = start + v->v_bitmap, stop = im->im_eof[0];
	enum img_row row = IMG_ROW_NONE;

	*usable = 0;
	if (start >= stop)
		return (IMG_VHD_BAT_RANGE);
	if (vhd_over_metadata(v, start))
		return (IMG_VHD_BLOCK_META);
	if (data + v->v_block > stop)
		row = IMG_VHD_BLOCK_CUT;
	else if (data + v->v_block > v->v_endfooter)
		row = IMG_VHD_BLOCK_FOOTER;
	stop = img_min(stop, v->v_endfooter);
	stop &= ~(uint64_t)(IMG_SECTOR - 1);
	if (row == IMG_ROW_NONE)
		*usable = v->v_block;
	else if (data < stop)
		*usable = stop - data;
	return (row);
}

uint64_t
vhd_block_range(const struct img *im, uint64_t index, uint64_t in,
    uint64_t *voff)
{
	const struct vhd *v = vhd(im);
	uint64_t start = (index << v->v_shift) + in;

	*voff = start;
	if (start >= im->im_size || in >= v->v_block)
		return (0);
	return (img_min(v->v_block - in, im->im_size - start));
}

static void
bad(struct img_extent *e, enum img_row row, uint64_t len)
{
	e->e_type = IMG_BAD;
	e->e_row = row;
	e->e_len = len;
}

static int
map_fixed(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	uint64_t room = vhd(im)->v_endfooter;

	if (room == IMG_NOWHERE) /* fresh: the footer was taken away */
		room = im->im_size;
	if (voff >= room) {
		bad(e, IMG_VHD_FIXED_SHORT, len);
		return (0);
	}
	e->e_type = IMG_DATA;
	e->e_off = voff;
	e->e_len = img_min(len, room - voff);
	return (0);
}

/* What is not here is the parent's, or zeros where there is none. */
static enum img_etype
absent_type(const struct vhd *v)
{
	return (v->v_type == VHD_DIFFERENCING ? IMG_HOLE : IMG_ZERO);
}

/* How many blocks from index on have no space, at most n. */
static int
count_absent(struct img *im, uint64_t index, uint64_t n, uint64_t *np)
{
	struct vhd *v = vhd(im);
	uint32_t sec;
	uint64_t i;
	int error;

	for (i = 0; i < n && index + i < v->v_nentries; i++) {
		error = vhd_bat_get(im, (uint32_t)(index + i), &sec);
		if (error != 0)
			return (error);
		if (sec != VHD_ABSENT)
			break;
	}
	*np = i;
	return (0);
}

/* A run of sectors with equal bits, from sector sec on, at most n. */
static int
run_of_bits(struct img *im, uint64_t off, uint32_t sec, uint32_t n,
    uint32_t *run, int *set)
{
	struct img_slice *sl;
	uint32_t i = 0, bit;
	uint8_t byte;
	int error;

	while (i < n) {
		error = vhd_bitmap_slice(im, off, sec + i, &sl, &bit);
		if (error != 0)
			return (error);
		byte = sl->sl_data[bit / 8];
		if (i == 0)
			*set = (byte >> (7 - bit % 8)) & 1;
		if (bit % 8 == 0 && byte == (*set ? 0xff : 0)) {
			i += 8;
			continue;
		}
		if (((byte >> (7 - bit % 8)) & 1) != *set)
			break;
		i++;
	}
	*run = (uint32_t)img_min(i, n);
	return (0);
}

int
vhd_bits(struct img *im, uint64_t off, uint64_t in, uint64_t len, uint64_t *run,
    int *set)
{
	uint32_t sec = (uint32_t)(in / IMG_SECTOR), n;
	uint64_t end = img_roundup(in + len, IMG_SECTOR) / IMG_SECTOR;
	int error;

	error = run_of_bits(im, off, sec, (uint32_t)(end - sec), &n, set);
	if (error == 0)
		*run = img_min(len, ((uint64_t)sec + n) * IMG_SECTOR - in);
	return (error);
}

/* A block that has space: its bitmap decides. */
static int
map_block(struct img *im, uint32_t sec, uint64_t in, uint64_t len,
    struct img_extent *e)
{
	struct vhd *v = vhd(im);
	uint64_t usable, off = (uint64_t)sec * IMG_SECTOR;
	enum img_row row;
	int error, set;

	row = vhd_judge(im, sec, &usable);
	if (in >= usable) {
		bad(e, row, len);
		return (0);
	}
	error =
	    vhd_bits(im, off, in, img_min(len, usable - in), &e->e_len, &set);
	e->e_off = off + v->v_bitmap + in;
	e->e_type = set ? IMG_DATA : absent_type(v);
	return (error);
}

int
vhd_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	struct vhd *v = vhd(im);
	uint64_t index, in, n;
	uint32_t sec;
	int error;

	memset(e, 0, sizeof(*e));
	e->e_voff = voff;
	e->e_off = IMG_NOWHERE;
	if (v->v_type == VHD_FIXED)
		return (map_fixed(im, voff, len, e));
	index = voff >> v->v_shift;
	in = voff & (v->v_block - 1);
	if (index >= v->v_nentries) {
		bad(e, IMG_VHD_BAT_SHORT, len);
		return (0);
	}
	error = vhd_bat_get(im, (uint32_t)index, &sec);
	if (error != 0)
		return (error);
	if (sec != VHD_ABSENT)
		return (
		    map_block(im, sec, in, img_min(len, v->v_block - in), e));
	error = count_absent(im, index, ((in + len - 1) >> v->v_shift) + 1, &n);
	if (error != 0)
		return (error);
	e->e_type = absent_type(v);
	e->e_len = img_min(len, (n << v->v_shift) - in);
	return (0);
}
