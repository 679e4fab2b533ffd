/* SPDX-License-Identifier: ISC */

/* The dynamic disk header: its fields, and the areas that it places. */

#include "vhd/vhd.h"

int
vhd_header_good(struct img *im, uint64_t off)
{
	uint8_t h[VHD_HEADER / 2]; /* frames stay under 1 KiB: two halves */
	uint32_t sum, want;
	int error;

	if (off % IMG_SECTOR != 0 ||
	    !img_inside(off, VHD_HEADER, im->im_eof[0]))
		return (ENXIO);
	error = img_io_read(im, 0, h, sizeof(h), off);
	if (error != 0)
		return (error);
	if (memcmp(h, VHD_H_COOKIE_TEXT, 8) != 0)
		return (ENXIO);
	want = img_be32(h + VHD_H_SUM);
	sum = ~vhd_sum(h, sizeof(h), VHD_H_SUM);
	error = img_io_read(im, 0, h, sizeof(h), off + sizeof(h));
	if (error != 0)
		return (error);
	sum += ~vhd_sum(h, sizeof(h), sizeof(h));
	return (~sum == want ? 0 : ENXIO);
}

/* The document says sectors, every writer of note writes bytes. */
uint64_t
vhd_locator_space(const uint8_t *l)
{
	uint32_t n = img_be32(l + VHD_L_SPACE);

	if (n < IMG_SECTOR)
		return ((uint64_t)n * IMG_SECTOR);
	return (n % IMG_SECTOR == 0 ? n : 0);
}

static void
add_area(struct vhd *v, uint64_t off, uint64_t len)
{
	v->v_area[v->v_nareas].a_off = off;
	v->v_area[v->v_nareas].a_len = len;
	v->v_nareas++;
}

static uint32_t
first_nonzero(const uint8_t *p, uint32_t from, uint32_t to)
{
	while (from < to && p[from] == 0)
		from++;
	return (from);
}

static void
raise_at(struct img *im, enum img_row row, uint32_t field, uint64_t found,
    uint64_t want)
{
	img_raise_num(im, row, vhd(im)->v_header_off + field, IMG_WANT_EQ,
	    found, want);
}

static int
check_versions(struct img *im, const uint8_t *h)
{
	uint32_t version = img_be32(h + VHD_H_VERSION);
	uint32_t i;

	if (img_be64(h + VHD_H_NEXT) != UINT64_MAX)
		raise_at(im, IMG_VHD_HDR_NEXT, VHD_H_NEXT,
		    img_be64(h + VHD_H_NEXT), UINT64_MAX);
	i = first_nonzero(h, VHD_H_RESERVED, VHD_H_RESERVED + 4);
	if (i == VHD_H_RESERVED + 4)
		i = first_nonzero(h, VHD_H_RESERVED2, VHD_HEADER);
	if (i < VHD_HEADER)
		raise_at(im, IMG_VHD_HDR_RESERVED, i, h[i], 0);
	if (version >> 16 != VHD_VERSION >> 16) {
		raise_at(im, IMG_VHD_HDR_VERSION, VHD_H_VERSION, version,
		    VHD_VERSION);
		return (EFTYPE);
	}
	if (version != VHD_VERSION)
		raise_at(im, IMG_VHD_HDR_MINOR, VHD_H_VERSION, version,
		    VHD_VERSION);
	return (0);
}

static int
check_block(struct img *im, const uint8_t *h)
{
	struct vhd *v = vhd(im);
	uint32_t n = img_be32(h + VHD_H_BLOCK);
	uint64_t off = v->v_header_off + VHD_H_BLOCK;

	if (n == 0 || n % IMG_SECTOR != 0) {
		img_raise_num(im, IMG_VHD_BLOCK_SIZE, off, IMG_WANT_ANY, n, 0);
		return (EFTYPE);
	}
	if ((n & (n - 1)) != 0) {
		img_raise_num(im, IMG_VHD_BLOCK_POWER, off, IMG_WANT_ANY, n, 0);
		return (EFTYPE);
	}
	if (n < 4096)
		img_raise_num(im, IMG_VHD_BLOCK_SMALL, off, IMG_WANT_MIN, n,
		    4096);
	else if (n != VHD_BLOCK_DEFAULT && n != 512 * 1024)
		img_raise_num(im, IMG_VHD_BLOCK_RARE, off, IMG_WANT_ANY, n, 0);
	v->v_block = n;
	for (v->v_shift = 0; n > 1; n >>= 1)
		v->v_shift++;
	/* A bit for each sector, whole sectors of bits. */
	v->v_bitmap = (uint32_t)img_roundup((v->v_block / IMG_SECTOR + 7) / 8,
	    IMG_SECTOR);
	return (0);
}

/*
 * More entries than sector numbers can tell apart.  A large disk of small
 * blocks needs them all the same; it only cannot be filled (row 67).
 */
static int
is_absurd(const struct vhd *v, uint32_t n)
{
	return (n > v->v_nblocks &&
	    (uint64_t)n * (vhd_stride(v) / IMG_SECTOR) > (uint64_t)1 << 32);
}

/* How many entries there are, and how many the disk needs. */
static int
check_count(struct img *im, const uint8_t *h)
{
	struct vhd *v = vhd(im);
	uint64_t off = v->v_header_off + VHD_H_NENTRIES, voff;
	uint32_t n = img_be32(h + VHD_H_NENTRIES);
	struct img_finding fi;

	v->v_nentries = n;
	v->v_nblocks = (im->im_size >> v->v_shift) +
	    ((im->im_size & (v->v_block - 1)) != 0);
	if (im->im_size == 0)
		img_raise(im, n == 0 ? IMG_VHD_SIZE_EMPTY : IMG_VHD_SIZE_ZERO,
		    v->v_infooter + VHD_F_SIZE);
	if ((n == 0 && im->im_size > 0) || (uint64_t)n * 4 > im->im_eof[0] ||
	    is_absurd(v, n)) {
		img_raise_num(im, IMG_VHD_BAT_COUNT, off, IMG_WANT_EQ, n,
		    v->v_nblocks);
		return (EFTYPE);
	}
	if (n < v->v_nblocks) {
		voff = (uint64_t)n << v->v_shift;
		memset(&fi, 0, sizeof(fi));
		fi.fi_row = IMG_VHD_BAT_SHORT;
		fi.fi_off = off;
		fi.fi_rel = IMG_WANT_MIN;
		fi.fi_found = n;
		fi.fi_want = v->v_nblocks;
		fi.fi_voff = voff;
		fi.fi_vlen = im->im_size - voff;
		img_raise_finding(im, &fi);
	} else if (n > v->v_nblocks && im->im_size > 0)
		img_raise_num(im, IMG_VHD_BAT_LONG, off, IMG_WANT_EQ, n,
		    v->v_nblocks);
	return (0);
}

static int
check_bat(struct img *im, const uint8_t *h)
{
	struct vhd *v = vhd(im);
	uint64_t off = v->v_header_off + VHD_H_BAT_OFF;
	uint64_t bat = img_be64(h + VHD_H_BAT_OFF);
	uint64_t len = vhd_bat_bytes(v->v_nentries), end;

	v->v_bat_off = bat;
	end = v->v_endfooter != IMG_NOWHERE ? v->v_endfooter : im->im_eof[0];
	if (bat < VHD_FOOTER || !img_inside(bat, len, end) ||
	    img_overlap(bat, len, v->v_header_off, VHD_HEADER)) {
		img_raise_num(im, IMG_VHD_BAT_PLACE, off, IMG_WANT_ANY, bat, 0);
		return (EFTYPE);
	}
	if (bat % IMG_SECTOR != 0)
		img_raise_num(im, IMG_VHD_BAT_ALIGN, off, IMG_WANT_ANY, bat, 0);
	add_area(v, 0, VHD_FOOTER);
	add_area(v, v->v_header_off, VHD_HEADER);
	add_area(v, bat, len);
	return (0);
}

int
vhd_has_batmap(const struct vhd *v)
{
	return (vhd_is_tapdisk(v->v_footer) &&
	    img_be32(v->v_footer + VHD_F_APP_VERSION) >= VHD_TAP_BATMAP);
}

uint64_t
vhd_batmap_off(const struct vhd *v)
{
	return (img_roundup(v->v_bat_off + vhd_bat_bytes(v->v_nentries),
	    IMG_SECTOR));
}

uint64_t
vhd_batmap_most(const struct vhd *v)
{
	return (img_roundup((uint64_t)v->v_nentries / 8 + 1, IMG_SECTOR));
}

/* An image without parent has nothing in the parent's fields. */
static void
check_no_parent(struct img *im, const uint8_t *h)
{
	uint32_t i;

	i = first_nonzero(h, VHD_H_PARENT_UUID, VHD_H_RESERVED);
	if (i == VHD_H_RESERVED)
		i = first_nonzero(h, VHD_H_PARENT_NAME, VHD_H_RESERVED2);
	if (i < VHD_H_RESERVED2)
		raise_at(im, IMG_VHD_PARENT_JUNK, i, h[i], 0);
}

/* Data of one locator: inside the file, and over nothing else. */
static void
place_locator(struct img *im, uint32_t i, const uint8_t *l)
{
	struct vhd *v = vhd(im);
	uint64_t off = img_be64(l + VHD_L_OFF), len = vhd_locator_space(l);
	uint64_t end, at;
	enum img_row row = IMG_ROW_NONE;
	uint32_t k;

	at = v->v_header_off + VHD_H_LOCATORS + i * VHD_LOCATOR + VHD_L_OFF;
	end = v->v_endfooter != IMG_NOWHERE ? v->v_endfooter : im->im_eof[0];
	/* Row 76 where they do not fit; the data counts all the same. */
	if (len < img_be32(l + VHD_L_LENGTH))
		len = img_be32(l + VHD_L_LENGTH);
	if (!img_inside(off, len, end))
		row = IMG_VHD_LOC_PLACE;
	/* Two locators may well share their data. */
	for (k = 0; k < VHD_AREA_LOCATORS && row == IMG_ROW_NONE; k++)
		if (img_overlap(off, len, v->v_area[k].a_off,
			v->v_area[k].a_len))
			row = k == VHD_AREA_BAT ? IMG_VHD_BAT_OVERLAP_LOC :
						  IMG_VHD_LOC_PLACE;
	if (row == IMG_VHD_BAT_OVERLAP_LOC)
		at = v->v_header_off + VHD_H_BAT_OFF;
	if (row != IMG_ROW_NONE)
		img_raise_num(im, row, at, IMG_WANT_ANY, off, 0);
	else
		add_area(v, off, len);
}

/* Row 80: each unit up to the end looks like ASCII with its bytes swapped. */
int
vhd_name_swapped(const uint8_t *p)
{
	uint32_t i;

	for (i = 0; i < VHD_H_PARENT_NAME_LEN; i += 2) {
		if (p[i] == 0 && p[i + 1] == 0)
			break;
		if (p[i] == 0 || p[i + 1] != 0)
			return (0);
	}
	return (i > 0);
}

static uint8_t *
put_utf8(uint8_t *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (uint8_t)c;
		return (o);
	}
	if (c < 0x800)
		*o++ = (uint8_t)(0xc0 | c >> 6);
	else if (c < 0x10000)
		*o++ = (uint8_t)(0xe0 | c >> 12);
	else {
		*o++ = (uint8_t)(0xf0 | c >> 18);
		*o++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	}
	if (c >= 0x800)
		*o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	*o++ = (uint8_t)(0x80 | (c & 0x3f));
	return (o);
}

/* UTF-16 of either order as UTF-8; a lone surrogate becomes U+FFFD. */
static void
decode_name(const uint8_t *p, char *out)
{
	uint32_t i, c, low, swapped = (uint32_t)vhd_name_swapped(p);
	uint8_t *o = (uint8_t *)out;

	for (i = 0; i < VHD_H_PARENT_NAME_LEN; i += 2) {
		c = swapped ? p[i] : img_be16(p + i);
		if (c == 0)
			break;
		low = i + 2 < VHD_H_PARENT_NAME_LEN ? img_be16(p + i + 2) : 0;
		if (c >> 10 == 0xd800 >> 10 && low >> 10 == 0xdc00 >> 10) {
			c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
			i += 2;
		} else if (c >> 11 == 0xd800 >> 11)
			c = 0xfffd;
		o = put_utf8(o, c);
	}
	*o = '\0';
}

static void
check_parent(struct img *im, const uint8_t *h)
{
	struct vhd *v = vhd(im);
	struct img_finding fi;
	const uint8_t *l;
	uint32_t i;

	decode_name(h + VHD_H_PARENT_NAME, v->v_parent);
	for (i = 0; i < VHD_NLOCATORS; i++) {
		l = h + VHD_H_LOCATORS + i * VHD_LOCATOR;
		if (img_be32(l + VHD_L_CODE) != 0)
			place_locator(im, i, l);
	}
	if (img_is_zero(h + VHD_H_PARENT_UUID, 16))
		img_raise(im,
		    vhd_is_tapdisk(v->v_footer) ? IMG_VHD_PARENT_RAW :
						  IMG_VHD_PARENT_UUID,
		    v->v_header_off + VHD_H_PARENT_UUID);
	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_VHD_DIFFERENCING;
	fi.fi_off = v->v_infooter + VHD_F_TYPE;
	fi.fi_name = v->v_parent[0] != '\0' ? v->v_parent : NULL;
	img_raise_finding(im, &fi);
}

static int
read_header(struct img *im)
{
	struct vhd *v = vhd(im);
	uint64_t off = img_be64(v->v_footer + VHD_F_DATA_OFF);
	uint32_t sum;
	int error;

	v->v_header_off = off;
	if (off < VHD_FOOTER || off % IMG_SECTOR != 0 ||
	    !img_inside(off, VHD_HEADER,
		img_min(im->im_eof[0], v->v_endfooter))) {
		img_raise_num(im, IMG_VHD_DATA_OFFSET,
		    v->v_infooter + VHD_F_DATA_OFF, IMG_WANT_ANY, off, 0);
		return (EFTYPE);
	}
	error = img_io_read(im, 0, v->v_header, VHD_HEADER, off);
	if (error != 0)
		return (error);
	if (memcmp(v->v_header, VHD_H_COOKIE_TEXT, 8) != 0) {
		img_raise(im, IMG_VHD_HDR_COOKIE, off);
		return (EFTYPE);
	}
	sum = vhd_sum(v->v_header, VHD_HEADER, VHD_H_SUM);
	v->v_sum_ok = sum == img_be32(v->v_header + VHD_H_SUM);
	if (!v->v_sum_ok)
		raise_at(im, IMG_VHD_HDR_SUM, VHD_H_SUM,
		    img_be32(v->v_header + VHD_H_SUM), sum);
	return (0);
}

int
vhd_header(struct img *im)
{
	struct vhd *v = vhd(im);
	int error, error2;

	error = read_header(im);
	if (error != 0)
		return (error);
	error = check_versions(im, v->v_header);
	error2 = check_block(im, v->v_header);
	if (error2 == 0)
		error2 = check_count(im, v->v_header);
	if (error2 == 0)
		error2 = check_bat(im, v->v_header);
	if (error != 0 || error2 != 0)
		return (error != 0 ? error : error2);
	if (v->v_type == VHD_DIFFERENCING)
		check_parent(im, v->v_header);
	else
		check_no_parent(im, v->v_header);
	return (0);
}
