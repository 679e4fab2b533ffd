/* SPDX-License-Identifier: ISC */

/* Repair of a VHD: which of its footers to believe. */

#include "vhd/repair.h"

static uint32_t
type_of(const uint8_t *f)
{
	return (img_be32(f + VHD_F_TYPE));
}

static int
is_dynamic(const uint8_t *f)
{
	return (type_of(f) == VHD_DYNAMIC || type_of(f) == VHD_DIFFERENCING);
}

/* But for the checksum, the time stamp and tapdisk's hidden byte. */
static int
differ(const uint8_t *a, const uint8_t *b)
{
	uint32_t i;

	for (i = 0; i < VHD_FOOTER; i++)
		if (a[i] != b[i] && i != VHD_F_HIDDEN &&
		    (i < VHD_F_TIME || i >= VHD_F_TIME + 4) &&
		    (i < VHD_F_SUM || i >= VHD_F_SUM + 4))
			return (1);
	return (0);
}

/* Do the fields fit the file, whatever the checksum says? */
static int
is_plausible(struct vhd_repair *r, const uint8_t *f)
{
	if (img_be16(f + VHD_F_VERSION) != VHD_VERSION >> 16)
		return (0);
	if (type_of(f) == VHD_FIXED)
		return (img_be64(f + VHD_F_SIZE) == r->r_endoff);
	return (is_dynamic(f) &&
	    vhd_repair_header_at(r, img_be64(f + VHD_F_DATA_OFF), 0));
}

/* Has the BAT exactly the entries that this footer's size needs? */
static int
fits_bat(struct vhd_repair *r, const uint8_t *f)
{
	uint64_t off = img_be64(f + VHD_F_DATA_OFF);
	uint64_t size = img_be64(f + VHD_F_SIZE), n;
	uint8_t h[VHD_HEADER];
	uint32_t block;

	if (!vhd_repair_header_at(r, off, 1) ||
	    vhd_repair_read(r, h, sizeof(h), off) != 0)
		return (0);
	block = img_be32(h + VHD_H_BLOCK);
	if (block == 0)
		return (0);
	n = size / block + (size % block != 0);
	return (n == img_be32(h + VHD_H_NENTRIES));
}

static int
use(struct vhd_repair *r, const uint8_t *f, uint64_t cur)
{
	memcpy(r->r_foot, f, VHD_FOOTER);
	memcpy(r->r_foot, VHD_COOKIE, 8);
	r->r_cur = cur;
	return (0);
}

/* The end footer is sound; the copy may be better, or worse. */
static int
base_good(struct vhd_repair *r)
{
	const uint8_t *f = r->r_end;

	if (is_dynamic(f) && r->r_copystate == VHD_F_POISONED) {
		/* Somebody's wish, which only -r all overrides. */
		r->r_guessed = r->r_lossy;
		r->r_locked = !r->r_lossy;
	} else if (is_dynamic(f) && r->r_copystate == VHD_F_GOOD &&
	    differ(f, r->r_copy)) {
		if (!r->r_lossy)
			r->r_locked = 1;
		else if (fits_bat(r, r->r_copy) && !fits_bat(r, f))
			f = r->r_copy;
	}
	return (use(r, f, r->r_endoff));
}

/* The footer of a fixed image with a wrong checksum: what else could it be? */
static void
make_fixed(struct vhd_repair *r)
{
	uint8_t *f = r->r_foot;
	uint64_t size = r->r_endoff & ~(uint64_t)(IMG_SECTOR - 1);

	img_put_be32(f + VHD_F_FEATURES, VHD_FEAT_RESERVED);
	img_put_be32(f + VHD_F_VERSION, VHD_VERSION);
	img_put_be64(f + VHD_F_DATA_OFF, UINT64_MAX);
	img_put_be64(f + VHD_F_SIZE, size);
	img_put_be32(f + VHD_F_TYPE, VHD_FIXED);
	if (vhd_chs_sectors(img_be32(f + VHD_F_CYLS)) > size / IMG_SECTOR)
		img_put_be32(f + VHD_F_CYLS, vhd_geometry(size));
}

/* Rows 10, 12 and 35: no footer is good as it is. */
static int
base_guess(struct vhd_repair *r)
{
	int end = r->r_endstate != VHD_F_MISSING;
	uint64_t cur = end ? r->r_endoff : IMG_NOWHERE;

	if (!r->r_lossy)
		return (ENXIO);
	r->r_guessed = 1;
	if (vhd_repair_has(r, IMG_VHD_FIXED_SUM)) {
		/* What is at offset 0 is the guest's. */
		use(r, r->r_end, r->r_endoff);
		if (!is_plausible(r, r->r_end))
			make_fixed(r);
		return (0);
	}
	if (r->r_copystate == VHD_F_GOOD && is_dynamic(r->r_copy))
		return (use(r, r->r_copy, cur));
	if (end && is_plausible(r, r->r_end))
		return (use(r, r->r_end, cur));
	if (r->r_copystate != VHD_F_MISSING && is_dynamic(r->r_copy) &&
	    is_plausible(r, r->r_copy))
		return (use(r, r->r_copy, cur));
	return (ENXIO);
}

/* Row 98: a fixed image that other bytes follow; the row says where it ends.
 */
static int
base_earlier(struct vhd_repair *r)
{
	uint8_t f[VHD_FOOTER];
	uint64_t off;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++) {
		if (r->r_rp->rp_find[i].fi_row != IMG_VHD_FIXED_TRAILING)
			continue;
		off = r->r_rp->rp_find[i].fi_off;
		if (vhd_repair_read(r, f, VHD_FOOTER, off) == 0 &&
		    vhd_footer_state(f) == VHD_F_GOOD &&
		    type_of(f) == VHD_FIXED && img_be64(f + VHD_F_SIZE) == off)
			return (use(r, f, off));
	}
	return (ENXIO);
}

/*
 * A footer with a wrong checksum is replaced where it is, unless that sector
 * is a block's: then its cookie may be the guest's.
 */
static uint64_t
damaged_end(const struct vhd_repair *r)
{
	if (r->r_endstate != VHD_F_BAD ||
	    (!r->r_lossy && vhd_repair_has(r, IMG_VHD_BLOCK_FOOTER)))
		return (IMG_NOWHERE);
	return (r->r_endoff);
}

int
vhd_repair_base(struct vhd_repair *r)
{
	uint32_t avail;
	int error;

	if (r->r_len < VHD_FOOTER)
		return (ENXIO);
	r->r_endoff = vhd_end_offset(r->r_len, &avail);
	error = vhd_repair_read(r, r->r_end, avail, r->r_endoff);
	if (error == 0)
		error = vhd_repair_read(r, r->r_copy,
		    (uint32_t)img_min(VHD_FOOTER, r->r_len), 0);
	if (error != 0)
		return (error);
	r->r_endstate = vhd_footer_state(r->r_end);
	r->r_copystate = vhd_footer_state(r->r_copy);
	if (r->r_endstate == VHD_F_GOOD)
		return (base_good(r));
	if (vhd_repair_has(r, IMG_VHD_FIXED_SUM))
		return (base_guess(r));
	if (r->r_endstate != VHD_F_POISONED && r->r_copystate == VHD_F_GOOD &&
	    is_dynamic(r->r_copy))
		return (use(r, r->r_copy, damaged_end(r)));
	error = base_earlier(r);
	return (error == 0 ? 0 : base_guess(r));
}
