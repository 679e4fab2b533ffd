/* SPDX-License-Identifier: ISC */

/*
 * VHD, fixed, dynamic and differencing (recognised, described, not read).
 * The virtual size is current_size for every creator.
 */

#include "vhd/vhd.h"

/* A fixed image: the data, from offset 0, and then the footer. */
static int
open_fixed(struct img *im)
{
	struct vhd *v = vhd(im);
	uint64_t room = v->v_endfooter, at = v->v_infooter + VHD_F_SIZE;
	struct img_finding fi;
	uint8_t sector[VHD_FOOTER];
	int error;

	if (im->im_size == 0 && room == 0)
		img_raise(im, IMG_VHD_SIZE_EMPTY, at);
	else if (im->im_size == 0)
		img_raise(im, IMG_VHD_SIZE_ZERO, at);
	else if (im->im_size > room) {
		memset(&fi, 0, sizeof(fi));
		fi.fi_row = IMG_VHD_FIXED_SHORT;
		fi.fi_off = at;
		fi.fi_rel = IMG_WANT_MAX;
		fi.fi_found = im->im_size;
		fi.fi_want = room;
		fi.fi_voff = room;
		fi.fi_vlen = im->im_size - room;
		img_raise_finding(im, &fi);
	} else if (im->im_size < room - room % IMG_SECTOR)
		img_raise_num(im, IMG_VHD_FIXED_LONG, at, IMG_WANT_EQ,
		    im->im_size, room);
	if (room < VHD_FOOTER)
		return (0);
	error = img_io_read(im, 0, sector, VHD_FOOTER, 0);
	if (error == 0 && memcmp(sector, VHD_COOKIE, 8) == 0)
		img_raise(im, IMG_VHD_FIXED_NESTED, 0);
	return (error);
}

static int
vhd_open(struct img *im)
{
	struct vhd *v = vhd(im);
	int error;

	error = vhd_place(im);
	if (error == 0)
		error = vhd_footer_check(im, v->v_footer, v->v_infooter);
	if (error != 0)
		return (error);
	im->im_size = img_be64(v->v_footer + VHD_F_SIZE) &
	    ~(uint64_t)(IMG_SECTOR - 1);
	if (v->v_type == VHD_FIXED)
		error = open_fixed(im);
	else
		error = vhd_header(im);
	if (error != 0)
		return (error);
	im->im_unit = v->v_block;
	return (0);
}

const struct img_format img_vhd = {
	.f_name = "vhd",
	.f_alias = "vpc",
	.f_privsize = sizeof(struct vhd),
	.f_probe = vhd_probe,
	.f_open = vhd_open,
	.f_verify = vhd_verify,
	.f_map = vhd_map,
	.f_begin = vhd_begin,
	.f_end = vhd_end,
	.f_fresh = vhd_fresh,
	.f_flush = vhd_flush,
};
