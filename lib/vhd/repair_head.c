/* SPDX-License-Identifier: ISC */

/* Repair of the dynamic header's fields. */

#include "vhd/repair.h"

int
vhd_repair_header_at(struct vhd_repair *r, uint64_t off, int sum)
{
	uint8_t h[VHD_HEADER];

	if (off < VHD_FOOTER || off % IMG_SECTOR != 0 ||
	    vhd_repair_read(r, h, sizeof(h), off) != 0)
		return (0);
	return (memcmp(h, VHD_H_COOKIE_TEXT, 8) == 0 &&
	    (!sum ||
		vhd_sum(h, VHD_HEADER, VHD_H_SUM) == img_be32(h + VHD_H_SUM)));
}

/* Where the footer says; its cookie may be missing. */
int
vhd_head_load(struct vhd_repair *r)
{
	uint64_t off = img_be64(r->r_foot + VHD_F_DATA_OFF);
	int error;

	r->r_headoff = IMG_NOWHERE;
	r->r_headlocked = 1;
	if (!r->r_dynamic || off < VHD_FOOTER || off % IMG_SECTOR != 0 ||
	    !img_inside(off, VHD_HEADER, r->r_len))
		return (0);
	error = vhd_repair_read(r, r->r_head, VHD_HEADER, off);
	if (error != 0)
		return (error);
	memcpy(r->r_oldhead, r->r_head, VHD_HEADER);
	r->r_headoff = off;
	r->r_headlocked = !vhd_repair_header_at(r, off, 1);
	return (0);
}

/* Do the fields make a header that can be used? */
static int
is_plausible(struct vhd_repair *r)
{
	const uint8_t *h = r->r_head;
	uint64_t bat = img_be64(h + VHD_H_BAT_OFF);
	uint32_t n = img_be32(h + VHD_H_NENTRIES);
	uint32_t block = img_be32(h + VHD_H_BLOCK);

	return (img_be16(h + VHD_H_VERSION) == VHD_VERSION >> 16 &&
	    block >= IMG_SECTOR && (block & (block - 1)) == 0 &&
	    bat >= VHD_FOOTER && bat % IMG_SECTOR == 0 &&
	    img_inside(bat, vhd_bat_bytes(n), r->r_len) &&
	    !img_overlap(bat, vhd_bat_bytes(n), r->r_headoff, VHD_HEADER) &&
	    n ==
		vhd_repair_size(r) / block + (vhd_repair_size(r) % block != 0));
}

static int
step_cookie(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_headoff == IMG_NOWHERE ||
	    memcmp(r->r_head, VHD_H_COOKIE_TEXT, 8) == 0 || !is_plausible(r))
		return (ENXIO);
	memcpy(r->r_head, VHD_H_COOKIE_TEXT, 8);
	r->r_headlocked = 0;
	return (0);
}

static int
step_sum(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (!r->r_headlocked || r->r_headoff == IMG_NOWHERE ||
	    memcmp(r->r_head, VHD_H_COOKIE_TEXT, 8) != 0 || !is_plausible(r))
		return (ENXIO);
	r->r_headlocked = 0;
	return (0);
}

static int
zero(struct vhd_repair *r, uint32_t at, uint32_t n)
{
	if (r->r_headlocked || img_is_zero(r->r_head + at, n))
		return (ENXIO);
	memset(r->r_head + at, 0, n);
	return (0);
}

static int
step_next(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_headlocked)
		return (ENXIO);
	img_put_be64(r->r_head + VHD_H_NEXT, UINT64_MAX);
	return (0);
}

static int
step_reserved(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	int first, second;

	(void)fi;
	(void)fx;
	first = zero(r, VHD_H_RESERVED, 4);
	second = zero(r, VHD_H_RESERVED2, VHD_HEADER - VHD_H_RESERVED2);
	return (first == 0 ? first : second);
}

static int
step_parent(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	int first, second;

	(void)fi;
	(void)fx;
	if (vhd_repair_type(r) != VHD_DYNAMIC)
		return (ENXIO);
	first = zero(r, VHD_H_PARENT_UUID, VHD_H_RESERVED - VHD_H_PARENT_UUID);
	second =
	    zero(r, VHD_H_PARENT_NAME, VHD_H_RESERVED2 - VHD_H_PARENT_NAME);
	return (first == 0 ? first : second);
}

/* Which locator a finding is about: its offset in the header. */
static int
locator_of(const struct vhd_repair *r, const struct img_finding *fi,
    uint32_t *at)
{
	uint64_t start;

	if (r->r_headoff == IMG_NOWHERE)
		return (ENXIO);
	start = r->r_headoff + VHD_H_LOCATORS;
	if (fi->fi_off < start ||
	    fi->fi_off - start >= VHD_NLOCATORS * VHD_LOCATOR)
		return (ENXIO);
	*at = (uint32_t)(fi->fi_off - start);
	*at = VHD_H_LOCATORS + *at - *at % VHD_LOCATOR;
	return (0);
}

static int
step_locator(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t at;
	int error;

	(void)fx;
	error = locator_of(r, fi, &at);
	return (error != 0 ? error : zero(r, at, VHD_LOCATOR));
}

static int
step_locator_reserved(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t at;
	int error;

	(void)fx;
	error = locator_of(r, fi, &at);
	return (error != 0 ? error : zero(r, at + VHD_L_RESERVED, 4));
}

static int
step_name_order(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint8_t *p = r->r_head + VHD_H_PARENT_NAME, c;
	uint32_t i;

	(void)fi;
	(void)fx;
	if (r->r_headlocked || p[0] == 0 || p[1] != 0)
		return (ENXIO);
	for (i = 0; i < VHD_H_PARENT_NAME_LEN; i += 2) {
		c = p[i];
		p[i] = p[i + 1];
		p[i + 1] = c;
	}
	return (0);
}

const struct vhd_step vhd_head_steps[] = {
	{ IMG_VHD_HDR_COOKIE, step_cookie, "write the cookie" },
	{ IMG_VHD_HDR_SUM, step_sum, "compute the checksum anew" },
	{ IMG_VHD_HDR_NEXT, step_next, "set the data offset to all ones" },
	{ IMG_VHD_HDR_RESERVED, step_reserved, "clear the reserved bytes" },
	{ IMG_VHD_PARENT_JUNK, step_parent, "clear the parent's fields" },
	{ IMG_VHD_LOC_CODE, step_locator, "clear the locator" },
	{ IMG_VHD_LOC_SPACE, step_locator, "clear the locator" },
	{ IMG_VHD_LOC_PLACE, step_locator, "clear the locator" },
	{ IMG_VHD_LOC_RESERVED, step_locator_reserved, "clear the field" },
	{ IMG_VHD_NAME_ORDER, step_name_order, "swap the bytes" },
	{ IMG_ROW_NONE, NULL, NULL },
};
