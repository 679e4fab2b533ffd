/* SPDX-License-Identifier: ISC */

/* The hard disk footer: checksum and fields. */

#include "vhd/vhd.h"

/* The complement of the sum of all bytes, the checksum's own as zeros. */
uint32_t
vhd_sum(const uint8_t *p, uint32_t len, uint32_t sum_off)
{
	uint32_t i, sum = 0;

	for (i = 0; i < len; i++)
		if (i < sum_off || i >= sum_off + 4)
			sum += p[i];
	return (~sum);
}

void
vhd_set_sum(uint8_t *p, uint32_t len, uint32_t sum_off)
{
	img_put_be32(p + sum_off, vhd_sum(p, len, sum_off));
}

int
vhd_is_tapdisk(const uint8_t *f)
{
	return (memcmp(f + VHD_F_APP, "tap", 4) == 0);
}

enum vhd_footer_state
vhd_footer_state(const uint8_t *f)
{
	uint32_t sum;

	if (memcmp(f, VHD_POISON, 8) == 0)
		return (VHD_F_POISONED);
	if (memcmp(f, VHD_COOKIE, 8) != 0)
		return (VHD_F_MISSING);
	sum = vhd_sum(f, VHD_FOOTER, VHD_F_SUM);
	if (sum == img_be32(f + VHD_F_SUM))
		return (VHD_F_GOOD);
	/* Early tapdisk set the hidden byte without a new checksum. */
	if (vhd_is_tapdisk(f) &&
	    sum + f[VHD_F_HIDDEN] == img_be32(f + VHD_F_SUM))
		return (VHD_F_GOOD);
	return (VHD_F_BAD);
}

static void
check_features(struct img *im, const uint8_t *f, uint64_t off)
{
	uint32_t bits = img_be32(f + VHD_F_FEATURES);
	uint32_t known = VHD_FEAT_TEMPORARY | VHD_FEAT_RESERVED;

	off += VHD_F_FEATURES;
	if (!(bits & VHD_FEAT_RESERVED))
		img_raise_num(im, IMG_VHD_RESERVED_BIT, off, IMG_WANT_EQ, bits,
		    bits | VHD_FEAT_RESERVED);
	if (bits & ~known)
		img_raise_num(im, IMG_VHD_FEATURES, off, IMG_WANT_EQ, bits,
		    bits & known);
	if (bits & VHD_FEAT_TEMPORARY)
		img_raise(im, IMG_VHD_TEMPORARY, off);
}

static void
check_sizes(struct img *im, const uint8_t *f, uint64_t off, uint32_t type)
{
	uint64_t size = img_be64(f + VHD_F_SIZE);
	uint64_t orig = img_be64(f + VHD_F_ORIG_SIZE);

	if (size % IMG_SECTOR != 0)
		img_raise_num(im, IMG_VHD_SIZE_ODD, off + VHD_F_SIZE,
		    IMG_WANT_EQ, size, size - size % IMG_SECTOR);
	if (size > VHD_MAX_SIZE)
		img_raise_num(im,
		    type == VHD_FIXED ? IMG_VHD_SIZE_LARGE : IMG_VHD_SIZE_LIMIT,
		    off + VHD_F_SIZE, IMG_WANT_MAX, size, VHD_MAX_SIZE);
	if (orig != size)
		img_raise_num(im, IMG_VHD_RESIZED, off + VHD_F_ORIG_SIZE,
		    IMG_WANT_EQ, orig, size);
}

/* Disks too small for one cylinder have no geometry worth a word. */
static void
check_geometry(struct img *im, const uint8_t *f, uint64_t off)
{
	uint64_t size = img_be64(f + VHD_F_SIZE);
	uint32_t chs = img_be32(f + VHD_F_CYLS);
	uint32_t want = vhd_geometry(size);
	enum img_row row;

	uint64_t nsec = vhd_chs_sectors(chs);

	if (size == 0 || chs == want ||
	    (want >> 16 == 0 && nsec <= size / IMG_SECTOR))
		return;
	if (vhd_chs_sectors(chs) == 0)
		row = IMG_VHD_CHS_ZERO;
	else if (vhd_chs_sectors(chs) > size / IMG_SECTOR && chs != VHD_CHS_MAX)
		row = IMG_VHD_CHS_LARGE;
	else
		row = IMG_VHD_CHS_OTHER;
	img_raise_num(im, row, off + VHD_F_CYLS, IMG_WANT_EQ, chs, want);
}

static void
check_rest(struct img *im, const uint8_t *f, uint64_t off)
{
	uint32_t i = VHD_F_RESERVED;

	if (img_is_zero(f + VHD_F_UUID, 16))
		img_raise(im, IMG_VHD_UUID_ZERO, off + VHD_F_UUID);
	if (f[VHD_F_SAVED] == 1)
		img_raise(im, IMG_VHD_SAVED, off + VHD_F_SAVED);
	else if (f[VHD_F_SAVED] != 0)
		img_raise_num(im, IMG_VHD_SAVED_ODD, off + VHD_F_SAVED,
		    IMG_WANT_MAX, f[VHD_F_SAVED], 1);
	if (vhd_is_tapdisk(f) && f[VHD_F_HIDDEN] == 1) {
		img_raise(im, IMG_VHD_HIDDEN, off + VHD_F_HIDDEN);
		i++;
	}
	while (i < VHD_FOOTER && f[i] == 0)
		i++;
	if (i < VHD_FOOTER)
		img_raise_num(im, IMG_VHD_RESERVED, off + i, IMG_WANT_EQ, f[i],
		    0);
}

int
vhd_footer_check(struct img *im, const uint8_t *f, uint64_t off)
{
	uint32_t type = img_be32(f + VHD_F_TYPE);
	uint32_t version = img_be32(f + VHD_F_VERSION);
	uint64_t data = img_be64(f + VHD_F_DATA_OFF);
	int error = 0;

	check_features(im, f, off);
	if (version >> 16 != VHD_VERSION >> 16) {
		img_raise_num(im, IMG_VHD_VERSION, off + VHD_F_VERSION,
		    IMG_WANT_EQ, version, VHD_VERSION);
		error = EFTYPE;
	} else if (version != VHD_VERSION)
		img_raise_num(im, IMG_VHD_MINOR, off + VHD_F_VERSION,
		    IMG_WANT_EQ, version, VHD_VERSION);
	if (type != VHD_FIXED && type != VHD_DYNAMIC &&
	    type != VHD_DIFFERENCING) {
		img_raise_num(im, IMG_VHD_TYPE, off + VHD_F_TYPE, IMG_WANT_ANY,
		    type, 0);
		error = EFTYPE;
	}
	if (type == VHD_FIXED && data != UINT64_MAX)
		img_raise_num(im, IMG_VHD_FIXED_OFFSET, off + VHD_F_DATA_OFF,
		    IMG_WANT_EQ, data, UINT64_MAX);
	check_sizes(im, f, off, type);
	check_geometry(im, f, off);
	check_rest(im, f, off);
	return (error);
}
