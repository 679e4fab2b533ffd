/* SPDX-License-Identifier: ISC */

/*
 * Stage VERIFY: every BAT entry once, then all blocks in the order of the
 * file, to find those that overlap.
 */

#include "vhd/vhd.h"

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
	error = vhd_each_entry(im, verify_entry, &ve);
	if (error == 0)
		error = vhd_sorted(im, verify_neighbour, &ve);
	if (error == 0 && ve.ve_cut && v->v_endfooter == IMG_NOWHERE)
		img_raise(im, IMG_VHD_END_CUT, im->im_eof[0]);
	return (error);
}
