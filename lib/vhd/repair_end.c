/* SPDX-License-Identifier: ISC */

/* Repair of the end of a VHD: where its footer belongs. */

#include "vhd/repair.h"

static int
step_overlap(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	struct vhd *v;
	uint64_t index;

	(void)fx;
	if (r->r_im == NULL)
		return (ENXIO);
	v = vhd(r->r_im);
	index = (fi->fi_off - v->v_bat_off) / 4;
	if (fi->fi_off < v->v_bat_off || index >= v->v_nentries)
		return (ENXIO);
	return (
	    vhd_find_move(&r->r_moves, (uint32_t)index) != NULL ? 0 : ENXIO);
}

/* A block that was cut, or that holds the end footer. */
static int
step_cut(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	struct vhd *v;
	uint64_t index, data, end = r->r_cur;
	uint32_t sec;
	int error;

	if (r->r_im == NULL || r->r_device)
		return (ENXIO);
	v = vhd(r->r_im);
	index = (fi->fi_off - v->v_bat_off) / 4;
	if (fi->fi_off < v->v_bat_off || index >= v->v_nblocks ||
	    index >= v->v_nentries)
		return (ENXIO);
	error = vhd_bat_get(r->r_im, (uint32_t)index, &sec);
	if (error != 0)
		return (error);
	if (sec == VHD_ABSENT ||
	    vhd_find_move(&r->r_clear, (uint32_t)index) != NULL)
		return (ENXIO);
	/* The old footer is in the block too, and becomes zeros. */
	data = (uint64_t)sec * IMG_SECTOR + v->v_bitmap;
	if (end != IMG_NOWHERE && end < data + v->v_block)
		fx->fx_vlen = vhd_block_range(r->r_im, index,
		    end > data ? end - data : 0, &fx->fx_voff);
	r->r_grow = 1;
	return (0);
}

static int
step_end_cut(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_im == NULL || r->r_device)
		return (ENXIO);
	r->r_grow = 1;
	return (0);
}

/* There is no end footer: can one be placed without touching a block? */
static int
can_place(const struct vhd_repair *r)
{
	if (r->r_im == NULL || r->r_cur != IMG_NOWHERE)
		return (0);
	if (r->r_device)
		return (r->r_need <= r->r_len - VHD_FOOTER);
	return (r->r_need <= r->r_len || r->r_grow || r->r_moves.ms_n > 0);
}

static int
step_place(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	r->r_place = can_place(r);
	return (r->r_place ? 0 : ENXIO);
}

static int
step_511(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_cur == IMG_NOWHERE || r->r_len - r->r_cur >= VHD_FOOTER)
		return (ENXIO);
	r->r_force = 1;
	return (0);
}

static int
step_unaligned(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_locked || r->r_device || r->r_cur == IMG_NOWHERE ||
	    r->r_cur % IMG_SECTOR == 0)
		return (ENXIO);
	/* Where blocks or disk are cut too, their ends would become zeros. */
	if (r->r_dynamic && !r->r_grow && r->r_need > r->r_cur)
		return (ENXIO);
	if (!r->r_dynamic && vhd_repair_size(r) > r->r_cur && !r->r_grow)
		return (ENXIO);
	r->r_realign = 1;
	return (0);
}

static int
step_trailing(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_dynamic || r->r_device || r->r_cur == IMG_NOWHERE ||
	    r->r_cur >= r->r_endoff)
		return (ENXIO);
	r->r_cut = 1;
	return (0);
}

static int
step_fixed_short(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t size = vhd_repair_size(r);

	(void)fi;
	if (r->r_dynamic || r->r_device || r->r_cur == IMG_NOWHERE ||
	    size <= r->r_cur || size % IMG_SECTOR != 0 ||
	    size > INT64_MAX - VHD_FOOTER)
		return (ENXIO);
	fx->fx_voff = r->r_cur;
	fx->fx_vlen = size - r->r_cur;
	r->r_grow = 1;
	return (0);
}

/* The rows that make the file longer come first: others ask for them. */
const struct vhd_step vhd_end_steps[] = {
	{ IMG_VHD_BAT_OVERLAP, step_overlap,
	    "give the block a copy of the data at a place of its own" },
	{ IMG_VHD_BLOCK_OVERLAP, step_overlap,
	    "give the block a copy of the data at a place of its own" },
	{ IMG_VHD_BLOCK_CUT, step_cut,
	    "fill the block with zeros and write a footer behind it" },
	{ IMG_VHD_BLOCK_FOOTER, step_cut,
	    "fill the block with zeros and write a footer behind it" },
	{ IMG_VHD_END_CUT, step_end_cut, "extend the file with zeros" },
	{ IMG_VHD_FIXED_SHORT, step_fixed_short, "extend the file with zeros" },
	{ IMG_VHD_STRAY, step_place, "write a footer at the next sector" },
	{ IMG_VHD_END_LOST, step_place, "write the end footer" },
	{ IMG_VHD_TRAILING, step_place, "write a footer at the end" },
	{ IMG_VHD_FOOTER_511, step_511, "write the footer with 512 bytes" },
	{ IMG_VHD_FOOTER_UNALIGNED, step_unaligned,
	    "write the footer at a sector" },
	{ IMG_VHD_FIXED_TRAILING, step_trailing,
	    "shorten the file to its footer" },
	{ IMG_ROW_NONE, NULL, NULL },
};

/*
 * What stands where the end footer was is the first step of an interrupted
 * allocation by qemu (all ones) or the mark of a running tapdisk.
 */
static int
is_killed(const struct vhd_repair *r)
{
	uint32_t i;
	uint8_t c = r->r_end[0];

	if (r->r_len % IMG_SECTOR != 0 || (c != 0xff && c != 0xc7))
		return (0);
	/* It has to be known where blocks and BAT end. */
	if (r->r_headlocked || vhd_repair_has(r, IMG_VHD_HDR_SUM) ||
	    vhd_repair_has(r, IMG_VHD_BAT_SHORT))
		return (0);
	for (i = 1; i < VHD_FOOTER; i++)
		if (r->r_end[i] != c)
			return (0);
	return (1);
}

/*
 * A fixed image's footer closes the disk; less than a sector of stray bytes
 * before it is no disk.
 */
static uint64_t
fixed_target(const struct vhd_repair *r)
{
	uint64_t size = vhd_repair_size(r);

	if (r->r_grow)
		return (size);
	if (!r->r_realign)
		return (r->r_cur);
	return (size % IMG_SECTOR == 0 && size < r->r_cur &&
		    r->r_cur - size < IMG_SECTOR ?
		size :
		vhd_sectors_up(r->r_cur));
}

void
vhd_plan_end(struct vhd_repair *r)
{
	r->r_target = r->r_cur;
	if (!r->r_dynamic) {
		r->r_target = fixed_target(r);
		return;
	}
	if (r->r_cur == IMG_NOWHERE) {
		if (!r->r_place && !(r->r_guessed && can_place(r)))
			return;
		r->r_target = vhd_sectors_up(r->r_len);
		if (r->r_device || (is_killed(r) && r->r_need <= r->r_endoff))
			r->r_target = r->r_endoff;
		else if (r->r_need > r->r_target)
			r->r_target = r->r_need;
		return;
	}
	if (r->r_realign)
		r->r_target = vhd_sectors_up(r->r_cur);
	if ((r->r_grow || (r->r_moves.ms_n > 0 && !r->r_device)) &&
	    r->r_need > r->r_target)
		r->r_target = r->r_need;
}
