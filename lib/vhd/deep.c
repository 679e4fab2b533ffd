/* SPDX-License-Identifier: ISC */

/*
 * The deep check: every sector bitmap, and the data under it.  In a dynamic
 * image a clear bit means that the sector is zeros on disk; readers do not
 * agree on what else it could mean.
 */

#include "vhd/tool.h"

/* What one block showed. */
struct seen {
	uint32_t se_nsec;  /* sectors of the disk in this block */
	uint32_t se_set;   /* bits set, of these */
	uint32_t se_data;  /* sectors with anything but zeros */
	uint32_t se_first; /* with data under a clear bit: the first ... */
	uint32_t se_last;  /* ... and the last; first > last: none */
	int se_beyond;     /* bits beyond the disk's end or in padding */
};

static int
bit_of(struct img *im, uint64_t off, uint32_t sec, int *set)
{
	struct img_slice *sl;
	uint32_t bit;
	int error;

	error = vhd_bitmap_slice(im, off, sec, &sl, &bit);
	if (error == 0)
		*set = (sl->sl_data[bit / 8] >> (7 - bit % 8)) & 1;
	return (error);
}

static int
look_at_sector(struct img *im, uint64_t off, uint32_t sec, int zero,
    struct seen *se)
{
	int error, set;

	error = bit_of(im, off, sec, &set);
	if (error != 0)
		return (error);
	se->se_set += (uint32_t)set;
	if (zero)
		return (0);
	se->se_data++;
	if (set)
		return (0);
	if (se->se_first > se->se_last)
		se->se_first = sec;
	se->se_last = sec;
	return (0);
}

/* Is this a hole of the host file?  Then nothing need be read. */
static uint64_t
hole_at(struct img *im, uint64_t off, uint64_t len)
{
	struct img_file *f = im->im_file[0];
	int data = 1;

	if (f->f_ops->fo_extent == NULL ||
	    f->f_ops->fo_extent(f, off, &len, &data) != 0)
		return (0);
	return (data ? 0 : len & ~(uint64_t)(IMG_SECTOR - 1));
}

static int
look_at_data(struct img *im, uint64_t off, struct seen *se)
{
	uint64_t data = off + vhd(im)->v_bitmap, at, end, hole;
	uint32_t n, i;
	int error;

	end = (uint64_t)se->se_nsec * IMG_SECTOR;
	for (at = 0; at < end; at += n) {
		n = (uint32_t)img_min(IMG_BOUNCE, end - at);
		hole = hole_at(im, data + at, n);
		if (hole != 0) {
			n = (uint32_t)hole;
			memset(im->im_buf, 0, n);
		} else {
			error = img_io_read(im, 0, im->im_buf, n, data + at);
			if (error != 0)
				return (error);
		}
		for (i = 0; i < n; i += IMG_SECTOR) {
			error = look_at_sector(im, off,
			    (uint32_t)((at + i) / IMG_SECTOR),
			    img_is_zero(im->im_buf + i, IMG_SECTOR), se);
			if (error != 0)
				return (error);
		}
	}
	return (0);
}

static int
look_beyond(struct img *im, uint64_t off, struct seen *se)
{
	struct vhd *v = vhd(im);
	uint32_t sec;
	int error, set;

	for (sec = se->se_nsec; sec < v->v_bitmap * 8; sec++) {
		error = bit_of(im, off, sec, &set);
		if (error != 0)
			return (error);
		if (set) {
			se->se_beyond = 1;
			break;
		}
	}
	return (0);
}

static void
judge_block(struct img *im, uint64_t off, uint64_t voff, const struct seen *se)
{
	uint64_t data = off + vhd(im)->v_bitmap;
	struct img_finding fi;

	if (se->se_beyond)
		img_raise(im, IMG_VHD_BITS_BEYOND, off);
	if (vhd(im)->v_type != VHD_DYNAMIC)
		return;
	if (se->se_first <= se->se_last) {
		memset(&fi, 0, sizeof(fi));
		fi.fi_row = IMG_VHD_BIT_CLEAR;
		fi.fi_off = data + (uint64_t)se->se_first * IMG_SECTOR;
		fi.fi_voff = voff + (uint64_t)se->se_first * IMG_SECTOR;
		fi.fi_vlen =
		    ((uint64_t)se->se_last - se->se_first + 1) * IMG_SECTOR;
		img_raise_finding(im, &fi);
	}
	if (se->se_set == 0 && se->se_data == 0)
		img_raise(im, IMG_VHD_BITS_NONE, off);
	else if (se->se_set == se->se_nsec && se->se_data == 0)
		img_raise(im, IMG_VHD_BLOCK_ZERO, off);
}

/* The batmap says that all bits are set: are they? */
static int
hold_against_batmap(struct img *im, const struct vhd_area *batmap,
    uint64_t index, int is_full)
{
	uint64_t at;
	int error, full;

	error = vhd_batmap_full(im, batmap, index, &at, &full);
	if (error == 0 && full && !is_full)
		img_raise_num(im, IMG_VHD_BATMAP_BIT, at, IMG_WANT_ANY, index,
		    0);
	return (error);
}

static int
deep_block(struct img *im, const struct vhd_area *batmap, uint64_t index,
    uint32_t sec)
{
	uint64_t off = (uint64_t)sec * IMG_SECTOR, voff, usable;
	struct seen se;
	int error;

	if (sec == VHD_ABSENT)
		return (hold_against_batmap(im, batmap, index, 0));
	if (vhd_judge(im, sec, &usable) != IMG_ROW_NONE)
		return (0);
	memset(&se, 0, sizeof(se));
	se.se_first = 1;
	se.se_nsec =
	    (uint32_t)(vhd_block_range(im, index, 0, &voff) / IMG_SECTOR);
	error = look_at_data(im, off, &se);
	if (error == 0)
		error = look_beyond(im, off, &se);
	if (error != 0)
		return (error);
	judge_block(im, off, voff, &se);
	return (
	    hold_against_batmap(im, batmap, index, se.se_set == se.se_nsec));
}

int
vhd_check_deep(struct img *im, const struct vhd_area *batmap)
{
	struct vhd *v = vhd(im);
	uint64_t i, n = img_min(v->v_nblocks, v->v_nentries);
	uint32_t sec;
	int error = 0;

	for (i = 0; i < n && error == 0; i++) {
		if (im->im_env->ev_poll != NULL)
			error = im->im_env->ev_poll(im->im_env->ev_arg,
			    i << v->v_shift, n << v->v_shift);
		if (error == 0)
			error = vhd_bat_get(im, (uint32_t)i, &sec);
		if (error == 0)
			error = deep_block(im, batmap, i, sec);
	}
	return (error);
}
