/* SPDX-License-Identifier: ISC */

/*
 * Where the footers are, and which one is in force.
 *
 * The end comes first: a guest can write sector 0 of a fixed disk, but never
 * the footer behind it.  Only where the end has no good footer does the copy
 * at offset 0 of a dynamic or differencing image count, and then the image
 * is degraded.  A footer of type fixed at offset 0 never means anything.
 */

#include "vhd/vhd.h"

/* Both places as read; a 511 byte footer is followed by a zero. */
struct found {
	const uint8_t *fo_end;
	const uint8_t *fo_copy;
	uint64_t fo_endoff;
};

uint64_t
vhd_end_offset(uint64_t len, uint32_t *avail)
{
	/* Before Virtual PC 2004 the last reserved byte was not written. */
	*avail = len % IMG_SECTOR == VHD_FOOTER - 1 ? VHD_FOOTER - 1 :
						      VHD_FOOTER;
	return (len - *avail);
}

static uint32_t
type_of(const uint8_t *f)
{
	return (img_be32(f + VHD_F_TYPE));
}

/* A footer that says what is known. */
static int
is_sound(const uint8_t *f)
{
	return (vhd_footer_state(f) == VHD_F_GOOD &&
	    img_be16(f + VHD_F_VERSION) == 1 && type_of(f) >= VHD_FIXED &&
	    type_of(f) <= VHD_DIFFERENCING);
}

/* Disabled on purpose: the same, but for the cookie. */
static int
was_sound(uint8_t *f)
{
	if (vhd_footer_state(f) != VHD_F_POISONED)
		return (0);
	if (vhd_sum(f, VHD_FOOTER, VHD_F_SUM) == img_be32(f + VHD_F_SUM))
		return (1);
	memcpy(f, VHD_COOKIE, 8);
	return (is_sound(f));
}

static int
read_end(struct img *im, uint8_t *f, uint64_t *off)
{
	uint32_t avail;

	*off = vhd_end_offset(im->im_eof[0], &avail);
	f[VHD_FOOTER - 1] = 0;
	return (img_io_read(im, 0, f, avail, *off));
}

static int
read_copy(struct img *im, uint8_t *f)
{
	f[VHD_FOOTER - 1] = 0;
	return (img_io_read(im, 0, f,
	    (uint32_t)img_min(VHD_FOOTER, im->im_eof[0]), 0));
}

int
vhd_probe(struct img *im)
{
	uint8_t f[VHD_FOOTER];
	uint64_t off;
	int error;

	if (im->im_eof[0] < VHD_FOOTER)
		return (ENXIO);
	error = read_end(im, f, &off);
	if (error != 0)
		return (error);
	if (is_sound(f) || was_sound(f))
		return (0);
	error = read_copy(im, f);
	if (error == 0 && (!is_sound(f) || type_of(f) == VHD_FIXED))
		error = ENXIO;
	if (error == 0)
		error = vhd_header_good(im, img_be64(f + VHD_F_DATA_OFF));
	return (error);
}

/*
 * A footer that other bytes follow, in the last 64 KiB: the end footer of
 * the image whose copy is like it, or one that closes a fixed image.
 */
static int
find_earlier(struct img *im, const uint8_t *copy, uint64_t *offp)
{
	uint64_t end = im->im_eof[0], start, off;
	const uint8_t *f;
	int error;

	start =
	    img_roundup(end > IMG_BOUNCE ? end - IMG_BOUNCE : 0, IMG_SECTOR);
	error = img_io_read(im, 0, im->im_buf, (uint32_t)(end - start), start);
	if (error != 0)
		return (error);
	for (off = (end & ~(uint64_t)(IMG_SECTOR - 1)); off > start;) {
		off -= IMG_SECTOR;
		f = im->im_buf + (off - start);
		if (off == 0 || vhd_footer_state(f) != VHD_F_GOOD)
			continue;
		if (copy != NULL ?
			memcmp(f + VHD_F_UUID, copy + VHD_F_UUID, 16) == 0 :
			type_of(f) == VHD_FIXED &&
			    img_be64(f + VHD_F_SIZE) == off) {
			*offp = off;
			return (0);
		}
	}
	return (ENXIO);
}

/* Where two good footers differ, but for the checksum. */
static void
compare(struct img *im, const struct found *fo)
{
	uint32_t i, first = VHD_FOOTER;
	enum img_row row = IMG_VHD_STAMP_DIFFERS;

	for (i = 0; i < VHD_FOOTER; i++) {
		if (fo->fo_end[i] == fo->fo_copy[i] ||
		    (i >= VHD_F_SUM && i < VHD_F_SUM + 4))
			continue;
		if (first == VHD_FOOTER)
			first = i;
		if ((i < VHD_F_TIME || i >= VHD_F_TIME + 4) &&
		    i != VHD_F_HIDDEN)
			row = IMG_VHD_DIFFER;
	}
	if (first < VHD_FOOTER)
		img_raise_num(im, row, first, IMG_WANT_EQ, fo->fo_copy[first],
		    fo->fo_end[first]);
}

/* The end footer says fixed, but all else is a dynamic image. */
static int
is_mistyped(struct img *im, const struct found *fo)
{
	uint64_t data = img_be64(fo->fo_end + VHD_F_DATA_OFF);

	return (type_of(fo->fo_end) == VHD_FIXED && data != UINT64_MAX &&
	    memcmp(fo->fo_copy, VHD_COOKIE, 8) == 0 &&
	    fo->fo_endoff != img_be64(fo->fo_end + VHD_F_SIZE) &&
	    vhd_header_good(im, data) == 0);
}

static void
use(struct vhd *v, const uint8_t *footer, uint64_t off)
{
	memcpy(v->v_footer, footer, VHD_FOOTER);
	v->v_infooter = off;
	v->v_type = type_of(footer);
}

static int
good_end(struct img *im, const struct found *fo)
{
	struct vhd *v = vhd(im);
	uint32_t odd = (uint32_t)(im->im_eof[0] % IMG_SECTOR);

	if (odd == VHD_FOOTER - 1)
		img_raise(im, IMG_VHD_FOOTER_511, fo->fo_endoff);
	else if (odd != 0)
		img_raise(im, IMG_VHD_FOOTER_UNALIGNED, fo->fo_endoff);
	if (is_mistyped(im, fo)) {
		img_raise_num(im, IMG_VHD_TYPE_FIXED,
		    fo->fo_endoff + VHD_F_TYPE, IMG_WANT_EQ, VHD_FIXED,
		    VHD_DYNAMIC);
		return (EFTYPE);
	}
	use(v, fo->fo_end, fo->fo_endoff);
	v->v_endfooter = fo->fo_endoff;
	if (v->v_type != VHD_DYNAMIC && v->v_type != VHD_DIFFERENCING)
		return (0);
	if (v->v_copy == VHD_F_POISONED) {
		img_raise(im, IMG_VHD_POISON, 0);
		return (EFTYPE);
	}
	if (v->v_copy == VHD_F_GOOD)
		compare(im, fo);
	else
		img_raise(im,
		    v->v_copy == VHD_F_BAD ? IMG_VHD_COPY_SUM :
					     IMG_VHD_COPY_LOST,
		    0);
	return (0);
}

/* The end footer is of no use, the copy is: a degraded image. */
static int
only_copy(struct img *im, const struct found *fo)
{
	struct vhd *v = vhd(im);
	uint64_t whole = im->im_eof[0] & ~(uint64_t)(IMG_SECTOR - 1), off;
	int error;

	use(v, fo->fo_copy, 0);
	if (v->v_end == VHD_F_BAD) {
		v->v_endfooter = fo->fo_endoff;
		img_raise_num(im, IMG_VHD_END_SUM, fo->fo_endoff, IMG_WANT_EQ,
		    img_be32(fo->fo_end + VHD_F_SUM),
		    vhd_sum(fo->fo_end, VHD_FOOTER, VHD_F_SUM));
		return (0);
	}
	/* 511 more bytes would be an old footer, of which nothing is there. */
	if (im->im_eof[0] - whole != 0 &&
	    im->im_eof[0] - whole != VHD_FOOTER - 1) {
		img_raise(im, IMG_VHD_STRAY, whole);
		return (0);
	}
	error = find_earlier(im, fo->fo_copy, &off);
	if (error == 0)
		img_raise(im, IMG_VHD_TRAILING, off);
	else if (error == ENXIO)
		img_raise(im, IMG_VHD_END_LOST, whole - VHD_FOOTER);
	return (error == ENXIO ? 0 : error);
}

/* No footer is good where one belongs. */
static int
no_footer(struct img *im, const struct found *fo)
{
	struct vhd *v = vhd(im);
	uint64_t off;
	int error;

	error = find_earlier(im, NULL, &off);
	if (error == 0) {
		img_raise(im, IMG_VHD_FIXED_TRAILING, off);
		v->v_endfooter = off;
		v->v_end = VHD_F_GOOD;
		v->v_infooter = off;
		v->v_type = VHD_FIXED;
		return (img_io_read(im, 0, v->v_footer, VHD_FOOTER, off));
	}
	if (error != ENXIO)
		return (error);
	if (v->v_end == VHD_F_BAD && v->v_copy == VHD_F_MISSING &&
	    type_of(fo->fo_end) == VHD_FIXED)
		img_raise_num(im, IMG_VHD_FIXED_SUM, fo->fo_endoff, IMG_WANT_EQ,
		    img_be32(fo->fo_end + VHD_F_SUM),
		    vhd_sum(fo->fo_end, VHD_FOOTER, VHD_F_SUM));
	else if (v->v_end == VHD_F_BAD)
		img_raise(im, IMG_VHD_BOTH_SUMS, fo->fo_endoff);
	else if (v->v_copy == VHD_F_POISONED)
		img_raise(im, IMG_VHD_POISON, 0);
	else if (v->v_copy == VHD_F_BAD)
		img_raise(im, IMG_VHD_BOTH_SUMS, 0);
	else
		img_raise(im, IMG_VHD_NO_FOOTER, fo->fo_endoff);
	return (EFTYPE);
}

/* Damaged, but still the footer of a fixed image: offset 0 is the guest's. */
static int
closes_fixed(const uint8_t *f)
{
	return (type_of(f) == VHD_FIXED &&
	    img_be64(f + VHD_F_DATA_OFF) == UINT64_MAX);
}

int
vhd_place(struct img *im)
{
	struct vhd *v = vhd(im);
	uint8_t *end = v->v_header, *copy = end + VHD_FOOTER;
	struct found fo;
	int error;

	/* The header is read later: its place serves for both footers. */
	if (im->im_eof[0] < VHD_FOOTER) {
		img_raise_num(im, IMG_VHD_SHORT, 0, IMG_WANT_MIN, im->im_eof[0],
		    VHD_FOOTER);
		return (EFTYPE);
	}
	error = read_end(im, end, &fo.fo_endoff);
	if (error == 0)
		error = read_copy(im, copy);
	if (error != 0)
		return (error);
	fo.fo_end = end;
	fo.fo_copy = copy;
	v->v_endfooter = IMG_NOWHERE;
	v->v_end = vhd_footer_state(fo.fo_end);
	v->v_copy = vhd_footer_state(fo.fo_copy);
	if (v->v_end == VHD_F_GOOD)
		return (good_end(im, &fo));
	if (closes_fixed(end) &&
	    (v->v_end == VHD_F_BAD ||
		(v->v_copy == VHD_F_GOOD &&
		    img_be64(end + VHD_F_SIZE) == fo.fo_endoff))) {
		img_raise_num(im, IMG_VHD_FIXED_SUM, fo.fo_endoff, IMG_WANT_EQ,
		    img_be32(end + VHD_F_SUM),
		    vhd_sum(end, VHD_FOOTER, VHD_F_SUM));
		return (EFTYPE);
	}
	if (v->v_end == VHD_F_POISONED) {
		img_raise(im, IMG_VHD_POISON, fo.fo_endoff);
		return (EFTYPE);
	}
	if (v->v_copy == VHD_F_GOOD && type_of(copy) != VHD_FIXED)
		return (only_copy(im, &fo));
	return (no_footer(im, &fo));
}
