/* SPDX-License-Identifier: ISC */

/*
 * Writing a VHD.
 *
 * A new block goes where the end footer is now, E, in this order:
 *
 *	1. the footer at E + stride, which extends the file; barrier
 *	2. guest data (rw.c), in space that reads as zeros; barrier
 *	3. the whole sector bitmap at E, over the old footer; barrier
 *	4. the BAT sector that holds the entry; barrier
 *
 * 1 is done by f_begin, 3 and 4 go through the table cache (bitmaps are
 * counts, the BAT is pointers) and are durable after f_flush.  So there is
 * always a footer at the end of the file, and no entry ever points at space
 * that was not written.  A cut after 1, 2 or 3 leaks one block.
 *
 * Within a block whose bits are clear: data, barrier, bitmap.  The copy at
 * offset 0 does not change: allocation changes no field of the footer.
 *
 * On a device the footer stays at the end, nothing is known to be zero, and
 * the place for the next block is found by looking at all entries once.
 */

#include "vhd/vhd.h"

#define SEC_MAX 0xfffffffeu /* the highest sector a BAT entry can name */

enum { P_INDEX, P_OFF, P_NEW }; /* c_priv: block, its offset, is it new */

/* The end of tapdisk's batmap, header and a bit for each entry, or 0. */
static uint64_t
batmap_end(const struct vhd *v)
{
	if (!vhd_has_batmap(v))
		return (0);
	return (vhd_batmap_off(v) + VHD_BATMAP + vhd_batmap_most(v));
}

/* Where the next block goes. */
static int
find_next(struct img *im)
{
	struct vhd *v = vhd(im);
	uint64_t end = 0;
	uint32_t i;
	int error;

	if (v->v_next != 0)
		return (0);
	if (!(im->im_file[0]->f_flags & IMG_FILE_FIXED)) {
		v->v_next = v->v_endfooter;
		return (0);
	}
	error = vhd_last_end(im, &end);
	if (error != 0)
		return (error);
	for (i = 0; i < v->v_nareas; i++)
		if (v->v_area[i].a_off + v->v_area[i].a_len > end)
			end = v->v_area[i].a_off + v->v_area[i].a_len;
	if (end < batmap_end(v))
		end = batmap_end(v);
	v->v_next = img_roundup(end, IMG_SECTOR);
	return (0);
}

/*
 * Write the footer where it will be the end; on failure the file keeps its
 * old end, so that a full file system does no harm.
 */
static int
move_footer(struct img *im, uint64_t to)
{
	struct vhd *v = vhd(im);
	struct img_file *f = im->im_file[0];
	uint64_t old = im->im_eof[0];
	int error;

	error = img_io_write(im, 0, v->v_footer, VHD_FOOTER, to);
	if (error != 0) {
		if (f->f_ops->fo_resize(f, old) != 0)
			im->im_latched = 1;
		else
			im->im_eof[0] = old;
		return (error);
	}
	error = img_io_barrier(im);
	if (error == 0)
		v->v_endfooter = to;
	return (error);
}

/* Space for one block: its offset. */
static int
take_space(struct img *im, uint64_t *offp)
{
	struct vhd *v = vhd(im);
	struct img_file *f = im->im_file[0];
	uint64_t off, end;
	int error;

	error = find_next(im);
	if (error != 0)
		return (error);
	off = v->v_next;
	end = off + vhd_stride(v);
	if (vhd_over_metadata(v, off)) { /* opening did not allow it */
		im->im_latched = 1;
		return (EIO);
	}
	if (off / IMG_SECTOR > SEC_MAX)
		return (ENOSPC);
	if (f->f_flags & IMG_FILE_FIXED) {
		if (!img_inside(off, vhd_stride(v), im->im_eof[0] - VHD_FOOTER))
			error = ENOSPC;
	} else if (im->im_flags & IMG_FRESH) {
		error = f->f_ops->fo_resize(f, end);
		if (error == 0)
			im->im_eof[0] = end;
	} else
		error = move_footer(im, end);
	if (error != 0)
		return (error);
	v->v_next = end;
	*offp = off;
	return (0);
}

static int
begin_new(struct img *im, uint32_t index, uint64_t in, uint64_t len,
    struct img_claim *c)
{
	struct vhd *v = vhd(im);
	uint64_t off;
	int error;

	error = take_space(im, &off);
	if (error != 0)
		return (error);
	c->c_ext.e_len = len;
	c->c_ext.e_off = off + v->v_bitmap + in;
	c->c_before = in;
	c->c_after = v->v_block - in - len;
	c->c_flags = IMG_CLAIM_FRESH;
	if (im->im_file[0]->f_flags & IMG_FILE_ZEROES)
		c->c_flags |= IMG_CLAIM_ZEROED;
	c->c_priv[P_INDEX] = index;
	c->c_priv[P_OFF] = off;
	c->c_priv[P_NEW] = 1;
	return (0);
}

/* Part of a block that has space: in place, or sectors with clear bits. */
static int
begin_old(struct img *im, uint32_t index, uint32_t sec, uint64_t in,
    uint64_t len, struct img_claim *c)
{
	struct vhd *v = vhd(im);
	uint64_t off = (uint64_t)sec * IMG_SECTOR, usable;
	enum img_row row;
	int error, set;

	row = vhd_judge(im, sec, &usable);
	if (row != IMG_ROW_NONE) {
		img_raise_num(im, row, v->v_bat_off + (uint64_t)index * 4,
		    IMG_WANT_ANY, sec, 0);
		im->im_latched = 1;
		return (EIO);
	}
	error = vhd_bits(im, off, in, len, &c->c_ext.e_len, &set);
	if (error != 0)
		return (error);
	c->c_ext.e_off = off + v->v_bitmap + in;
	if (set)
		return (0);
	c->c_flags = IMG_CLAIM_FRESH;
	c->c_before = in % IMG_SECTOR;
	c->c_after =
	    img_roundup(in + c->c_ext.e_len, IMG_SECTOR) - in - c->c_ext.e_len;
	c->c_priv[P_INDEX] = index;
	c->c_priv[P_OFF] = off;
	return (0);
}

int
vhd_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	struct vhd *v = vhd(im);
	uint64_t in, index;
	uint32_t sec;
	int error;

	if (v->v_type == VHD_FIXED)
		return (vhd_map(im, voff, len, &c->c_ext));
	index = voff >> v->v_shift;
	in = voff & (v->v_block - 1);
	c->c_ext.e_voff = voff;
	c->c_ext.e_type = IMG_DATA;
	len = img_min(len, v->v_block - in);
	error = vhd_bat_get(im, (uint32_t)index, &sec);
	if (error != 0)
		return (error);
	if (sec == VHD_ABSENT)
		return (begin_new(im, (uint32_t)index, in, len, c));
	return (begin_old(im, (uint32_t)index, sec, in, len, c));
}

static int
set_bits(struct img *im, uint64_t off, uint32_t sec, uint32_t n)
{
	struct img_slice *sl;
	uint32_t bit;
	int error;

	for (; n > 0; n--, sec++) {
		error = vhd_bitmap_slice(im, off, sec, &sl, &bit);
		if (error != 0)
			return (error);
		sl->sl_data[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		img_cache_dirty(sl, bit / 8, 1);
	}
	return (0);
}

/* The bitmap of a new block: all sectors that the disk has there. */
static int
new_bitmap(struct img *im, uint64_t off, uint32_t index)
{
	struct vhd *v = vhd(im);
	struct img_slice *sl;
	uint32_t at, n, nsec;
	uint64_t voff;
	int error;

	nsec = (uint32_t)(vhd_block_range(im, index, 0, &voff) / IMG_SECTOR);
	for (at = 0; at < v->v_bitmap; at += n) {
		n = (uint32_t)img_min(IMG_SLICE, v->v_bitmap - at);
		error = img_cache_new(im, IMG_COUNTS, off + at, n, &sl);
		if (error != 0)
			return (error);
		memset(sl->sl_data, 0xff,
		    (size_t)img_min(n, nsec / 8 > at ? nsec / 8 - at : 0));
	}
	return (set_bits(im, off, nsec & ~7u, nsec & 7));
}

int
vhd_end(struct img *im, struct img_claim *c, int ok)
{
	uint64_t in = c->c_ext.e_voff & (vhd(im)->v_block - 1);
	uint32_t index = (uint32_t)c->c_priv[P_INDEX], at;
	uint64_t off = c->c_priv[P_OFF];
	struct img_slice *sl;
	int error;

	if (!ok) /* new space is lost until a repair: a leak */
		return (0);
	if (!c->c_priv[P_NEW])
		return (set_bits(im, off, (uint32_t)(in / IMG_SECTOR),
		    (uint32_t)((c->c_before + c->c_ext.e_len + c->c_after) /
			IMG_SECTOR)));
	error = new_bitmap(im, off, index);
	if (error == 0)
		error = vhd_bat_slice(im, index, &sl, &at);
	if (error != 0)
		return (error);
	img_put_be32(sl->sl_data + at, (uint32_t)(off / IMG_SECTOR));
	img_cache_dirty(sl, at, 4);
	return (0);
}

int
vhd_fresh(struct img *im)
{
	struct vhd *v = vhd(im);
	uint8_t zeros[VHD_FOOTER];
	int error = 0;

	memset(zeros, 0, sizeof(zeros));
	if (v->v_type != VHD_FIXED) {
		error = find_next(im);
		if (error == 0)
			error = img_io_meta(im, zeros, VHD_FOOTER, 0);
	} else
		v->v_next = v->v_endfooter;
	if (error == 0)
		error = img_io_meta(im, zeros, VHD_FOOTER, v->v_endfooter);
	v->v_endfooter = IMG_NOWHERE;
	return (error);
}

/* The image is complete: its footer at the end, then the copy at 0. */
static int
put_header_back(struct img *im)
{
	struct vhd *v = vhd(im);
	uint64_t end = v->v_next;
	int error;

	if (im->im_file[0]->f_flags & IMG_FILE_FIXED)
		end = im->im_eof[0] - VHD_FOOTER;
	im->im_flags &= ~IMG_FRESH;
	error = img_cache_flush(im);
	if (error == 0)
		error = img_io_meta(im, v->v_footer, VHD_FOOTER, end);
	if (error == 0)
		error = img_io_barrier(im);
	if (error == 0)
		v->v_endfooter = end;
	if (error == 0 && v->v_type != VHD_FIXED)
		error = img_io_meta(im, v->v_footer, VHD_FOOTER, 0);
	if (error == 0)
		error = img_io_barrier(im);
	return (error);
}

int
vhd_flush(struct img *im)
{
	if (im->im_flags & IMG_FRESH)
		return (put_header_back(im));
	return (img_cache_flush(im));
}
