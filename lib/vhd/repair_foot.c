/* SPDX-License-Identifier: ISC */

/* Repair of the fields of a VHD's footer. */

#include "vhd/repair.h"

static int
is_dynamic(const struct vhd_repair *r)
{
	return (vhd_repair_type(r) == VHD_DYNAMIC ||
	    vhd_repair_type(r) == VHD_DIFFERENCING);
}

/* The rows that choosing a footer settles. */
static int
step_end_sum(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	return (
	    r->r_endstate == VHD_F_BAD && r->r_cur != IMG_NOWHERE ? 0 : ENXIO);
}

static int
step_copy(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t off = img_be64(r->r_foot + VHD_F_DATA_OFF);

	(void)fi;
	(void)fx;
	/* Without a header behind it, sector 0 may be anybody's. */
	if (r->r_locked || !is_dynamic(r) || !vhd_repair_header_at(r, off, 1))
		return (ENXIO);
	return (memcmp(r->r_foot, r->r_copy, VHD_FOOTER) != 0 ? 0 : ENXIO);
}

static int
step_guess(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	return (r->r_guessed ? 0 : ENXIO);
}

/* The disk had the size of the end footer until now. */
static int
step_differ(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t was = img_be64(r->r_end + VHD_F_SIZE);
	uint64_t is = vhd_repair_size(r);

	(void)fi;
	if (r->r_locked || r->r_endstate != VHD_F_GOOD)
		return (ENXIO);
	fx->fx_voff = img_min(was, is);
	fx->fx_vlen = was > is ? was - is : is - was;
	return (0);
}

/* Which kind of dynamic image the header at the data offset makes. */
static int
dynamic_type(struct vhd_repair *r, uint32_t *type)
{
	uint64_t off = img_be64(r->r_foot + VHD_F_DATA_OFF);
	uint8_t h[VHD_HEADER];

	if (!vhd_repair_header_at(r, off, 0) ||
	    vhd_repair_read(r, h, sizeof(h), off) != 0)
		return (ENXIO);
	*type = img_is_zero(h + VHD_H_PARENT_UUID, 20) &&
		img_is_zero(h + VHD_H_PARENT_NAME,
		    VHD_H_RESERVED2 - VHD_H_PARENT_NAME) ?
	    VHD_DYNAMIC :
	    VHD_DIFFERENCING;
	return (0);
}

static int
step_type(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t type = vhd_repair_type(r);

	(void)fi;
	(void)fx;
	if (type >= VHD_FIXED && type <= VHD_DIFFERENCING)
		return (ENXIO);
	if (dynamic_type(r, &type) != 0) {
		if (vhd_repair_size(r) != r->r_cur)
			return (ENXIO);
		type = VHD_FIXED;
	}
	img_put_be32(r->r_foot + VHD_F_TYPE, type);
	return (0);
}

static int
step_mistyped(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t type;

	(void)fi;
	(void)fx;
	if (vhd_repair_type(r) != VHD_FIXED ||
	    r->r_copystate == VHD_F_MISSING || dynamic_type(r, &type) != 0)
		return (ENXIO);
	img_put_be32(r->r_foot + VHD_F_TYPE, type);
	return (0);
}

/* A header on a sector boundary in the first MiB. */
static int
step_data_offset(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t off, end = img_min(r->r_len, 1u << 20);
	uint64_t was = img_be64(r->r_foot + VHD_F_DATA_OFF);

	(void)fi;
	(void)fx;
	if (r->r_locked || !is_dynamic(r) || vhd_repair_header_at(r, was, 0))
		return (ENXIO);
	for (off = VHD_FOOTER; off < end; off += IMG_SECTOR)
		if (vhd_repair_header_at(r, off, 1)) {
			img_put_be64(r->r_foot + VHD_F_DATA_OFF, off);
			return (0);
		}
	return (ENXIO);
}

/* All other steps set one field; with the footers at odds, none is set. */
static int
set32(struct vhd_repair *r, uint32_t field, uint32_t n)
{
	if (r->r_locked || img_be32(r->r_foot + field) == n)
		return (ENXIO);
	img_put_be32(r->r_foot + field, n);
	return (0);
}

static int
set64(struct vhd_repair *r, uint32_t field, uint64_t n)
{
	if (r->r_locked || img_be64(r->r_foot + field) == n)
		return (ENXIO);
	img_put_be64(r->r_foot + field, n);
	return (0);
}

static int
step_reserved_bit(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	return (set32(r, VHD_F_FEATURES,
	    img_be32(r->r_foot + VHD_F_FEATURES) | VHD_FEAT_RESERVED));
}

static int
step_features(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	return (set32(r, VHD_F_FEATURES,
	    img_be32(r->r_foot + VHD_F_FEATURES) &
		(VHD_FEAT_RESERVED | VHD_FEAT_TEMPORARY)));
}

static int
step_fixed_offset(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	return (vhd_repair_type(r) != VHD_FIXED ?
		ENXIO :
		set64(r, VHD_F_DATA_OFF, UINT64_MAX));
}

/* The original size follows where it was the same. */
static void
set_size(struct vhd_repair *r, uint64_t size)
{
	if (img_be64(r->r_foot + VHD_F_ORIG_SIZE) == vhd_repair_size(r))
		img_put_be64(r->r_foot + VHD_F_ORIG_SIZE, size);
	img_put_be64(r->r_foot + VHD_F_SIZE, size);
}

static int
step_size_odd(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t size = vhd_repair_size(r);

	(void)fi;
	(void)fx;
	if (r->r_locked || size % IMG_SECTOR == 0)
		return (ENXIO);
	set_size(r, size - size % IMG_SECTOR);
	return (0);
}

/* The file is longer than the disk says: the disk becomes as long. */
static int
step_fixed_long(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t was = vhd_repair_size(r);
	uint64_t is = r->r_cur & ~(uint64_t)(IMG_SECTOR - 1);

	(void)fi;
	if (vhd_repair_type(r) != VHD_FIXED || was == 0 || is <= was)
		return (ENXIO);
	set_size(r, is);
	img_put_be32(r->r_foot + VHD_F_CYLS, vhd_geometry(is));
	fx->fx_voff = was;
	fx->fx_vlen = is - was;
	return (0);
}

static int
step_geometry(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	return (set32(r, VHD_F_CYLS, vhd_geometry(vhd_repair_size(r))));
}

/*
 * There is no source of chance here, and the same repair shall have the same
 * result: two FNV-1a sums of the footer and the length of the file.
 */
static int
step_uuid(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t h[2] = { UINT64_C(0xcbf29ce484222325), r->r_len };
	uint8_t *u = r->r_foot + VHD_F_UUID;
	uint32_t i, k;

	(void)fi;
	(void)fx;
	if (r->r_locked || !img_is_zero(u, 16))
		return (ENXIO);
	for (k = 0; k < 2; k++) {
		for (i = 0; i < VHD_FOOTER; i++)
			h[k] = (h[k] ^ r->r_foot[i]) * UINT64_C(0x100000001b3);
		h[1] ^= h[0];
	}
	img_put_be64(u, h[0]);
	img_put_be64(u + 8, h[1]);
	u[6] = (uint8_t)(0x40 | (u[6] & 0x0f)); /* version 4 */
	u[8] = (uint8_t)(0x80 | (u[8] & 0x3f)); /* RFC 4122 */
	return (0);
}

static int
step_saved(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	(void)fi;
	(void)fx;
	if (r->r_locked || r->r_foot[VHD_F_SAVED] == 0)
		return (ENXIO);
	r->r_foot[VHD_F_SAVED] = 0;
	return (0);
}

static int
step_reserved(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t from = VHD_F_RESERVED;

	(void)fi;
	(void)fx;
	if (memcmp(r->r_foot + VHD_F_APP, "tap", 4) == 0 &&
	    r->r_foot[VHD_F_HIDDEN] == 1)
		from++;
	if (r->r_locked || img_is_zero(r->r_foot + from, VHD_FOOTER - from))
		return (ENXIO);
	memset(r->r_foot + from, 0, VHD_FOOTER - from);
	return (0);
}

/* In the order in which one step may depend on another. */
const struct vhd_step vhd_foot_steps[] = {
	{ IMG_VHD_POISON, step_guess, "restore the cookie of the footers" },
	{ IMG_VHD_BOTH_SUMS, step_guess, "compute the checksums anew" },
	{ IMG_VHD_FIXED_SUM, step_guess,
	    "make the footer anew from the length of the file" },
	{ IMG_VHD_END_SUM, step_end_sum,
	    "write the end footer from the copy at the start" },
	{ IMG_VHD_DIFFER, step_differ,
	    "make both footers like the one that fits the BAT" },
	{ IMG_VHD_COPY_LOST, step_copy,
	    "write the copy at the start from the end footer" },
	{ IMG_VHD_COPY_SUM, step_copy,
	    "write the copy at the start from the end footer" },
	{ IMG_VHD_STAMP_DIFFERS, step_copy,
	    "write the copy at the start from the end footer" },
	{ IMG_VHD_TYPE, step_type, "set the type that fits the file" },
	{ IMG_VHD_TYPE_FIXED, step_mistyped, "set the type to dynamic" },
	{ IMG_VHD_DATA_OFFSET, step_data_offset,
	    "set the data offset to the header that was found" },
	{ IMG_VHD_RESERVED_BIT, step_reserved_bit, "set the bit" },
	{ IMG_VHD_FEATURES, step_features, "clear the unknown bits" },
	{ IMG_VHD_FIXED_OFFSET, step_fixed_offset,
	    "set the data offset to all ones" },
	{ IMG_VHD_SIZE_ODD, step_size_odd, "round the size down" },
	{ IMG_VHD_FIXED_LONG, step_fixed_long,
	    "set the size to that of the file" },
	{ IMG_VHD_CHS_ZERO, step_geometry, "compute the geometry" },
	{ IMG_VHD_CHS_OTHER, step_geometry, "compute the geometry" },
	{ IMG_VHD_CHS_LARGE, step_geometry, "compute the geometry" },
	{ IMG_VHD_UUID_ZERO, step_uuid, "make a unique id" },
	{ IMG_VHD_SAVED, step_saved, "clear the saved state" },
	{ IMG_VHD_SAVED_ODD, step_saved, "clear the saved state" },
	{ IMG_VHD_RESERVED, step_reserved, "clear the reserved bytes" },
	{ IMG_ROW_NONE, NULL, NULL },
};

/* After the steps; what was good and did not change stays as it is. */
void
vhd_foot_finish(struct vhd_repair *r)
{
	if (vhd_footer_state(r->r_foot) != VHD_F_GOOD)
		vhd_set_sum(r->r_foot, VHD_FOOTER, VHD_F_SUM);
	r->r_dynamic = is_dynamic(r);
}
