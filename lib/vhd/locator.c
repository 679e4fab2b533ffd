/* SPDX-License-Identifier: ISC */

/* Parent locators: where a differencing image says that its parent is. */

#include "vhd/tool.h"

#define TEXT_MAX 4096u /* bytes of a locator's text that are looked at */

enum encoding { UNKNOWN, ANSI, UTF16, URL, ALIAS };

static enum encoding
encoding_of(uint32_t code)
{
	switch (code) {
	case 0x57693272: /* Wi2r */
	case 0x5769326b: /* Wi2k */
		return (ANSI);
	case 0x57327275: /* W2ru */
	case 0x57326b75: /* W2ku */
		return (UTF16);
	case 0x4d616358: /* MacX */
		return (URL);
	case 0x4d616320: /* Mac, an alias: a blob */
		return (ALIAS);
	default:
		return (UNKNOWN);
	}
}

/* The character at i, both encodings; 0 past the end. */
static uint32_t
char_at(const uint8_t *p, uint32_t len, uint32_t i, int wide)
{
	uint32_t at = wide ? 2 * i : i;

	if (at + (uint32_t)wide >= len)
		return (0);
	return (wide ? p[at] | (uint32_t)p[at + 1] << 8 : p[at]);
}

/* Does the path's last part equal the header's name, as far as ASCII goes? */
static int
names_same(const uint8_t *p, uint32_t len, int wide, const uint8_t *name)
{
	uint32_t i, c, start = 0, n = wide ? len / 2 : len, want, k;

	while (n > 0 && char_at(p, len, n - 1, wide) == 0)
		n--;
	for (i = 0; i < n; i++) {
		c = char_at(p, len, i, wide);
		if (c == '/' || c == '\\')
			start = i + 1;
	}
	/* The header's name may be a path too: compare its last part. */
	for (k = 0, i = 0; k < VHD_H_PARENT_NAME_LEN / 2; k++) {
		want = img_be16(name + 2 * k);
		if (want == 0)
			break;
		if (want == '/' || want == '\\')
			i = k + 1;
	}
	for (k = i, i = start; i < n; i++, k++) {
		want = k < VHD_H_PARENT_NAME_LEN / 2 ? img_be16(name + 2 * k) :
						       0;
		if (char_at(p, len, i, wide) != want)
			return (0);
	}
	return (k >= VHD_H_PARENT_NAME_LEN / 2 || img_be16(name + 2 * k) == 0);
}

/* Text without an embedded NUL; UTF-16 in whole units. */
static int
is_text(const uint8_t *p, uint32_t len, int wide)
{
	uint32_t i, n = wide ? len / 2 : len;

	if (len == 0 || (wide && len % 2 != 0))
		return (0);
	while (n > 0 && char_at(p, len, n - 1, wide) == 0)
		n--;
	for (i = 0; i < n; i++)
		if (char_at(p, len, i, wide) == 0)
			return (0);
	return (n > 0);
}

/* Bytes whose meaning depends on a code page, UTF-8 or escaping. */
static int
is_plain(const uint8_t *p, uint32_t len)
{
	while (len-- > 0)
		if (p[len] >= 0x80 || p[len] == '%')
			return (0);
	return (1);
}

/* One character of UTF-8 at most n bytes long: its length, 0 if it is none. */
static uint32_t
utf8_length(const uint8_t *p, uint32_t n)
{
	uint32_t len, i;

	if (p[0] < 0x80)
		return (1);
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return (0);
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	for (i = 1; i < len; i++)
		if (i >= n || (p[i] & 0xc0) != 0x80)
			return (0);
	return (len);
}

static int
is_utf8(const uint8_t *p, uint32_t len)
{
	uint32_t at, n;

	for (at = 0; at < len; at += n) {
		n = utf8_length(p + at, len - at);
		if (n == 0)
			return (0);
	}
	return (1);
}

/* Did opening accept the place of this data? */
static int
has_place(const struct vhd *v, uint64_t off)
{
	uint32_t i;

	for (i = VHD_AREA_LOCATORS; i < v->v_nareas; i++)
		if (v->v_area[i].a_off == off)
			return (1);
	return (0);
}

static int
check_text(struct img *im, const uint8_t *l, enum encoding enc)
{
	struct vhd *v = vhd(im);
	uint64_t off = img_be64(l + VHD_L_OFF);
	uint32_t len = img_be32(l + VHD_L_LENGTH);
	const uint8_t *name = v->v_header + VHD_H_PARENT_NAME;
	int error, wide = enc == UTF16;

	if (enc == UNKNOWN || enc == ALIAS || len == 0 || len > TEXT_MAX ||
	    !has_place(v, off) || !img_inside(off, len, im->im_eof[0]))
		return (0);
	error = img_io_read(im, 0, im->im_buf, len, off);
	if (error != 0)
		return (error);
	if (!is_text(im->im_buf, len, wide) ||
	    (enc == URL && !is_utf8(im->im_buf, len)))
		img_raise(im, IMG_VHD_LOC_TEXT, off);
	else if (!vhd_name_swapped(name) && img_be16(name) != 0 &&
	    (wide || is_plain(im->im_buf, len)) &&
	    !names_same(im->im_buf, len, wide, name))
		img_raise(im, IMG_VHD_LOC_NAME, off);
	return (0);
}

/* The fields of one entry that is in use. */
static void
check_fields(struct img *im, const uint8_t *l, uint64_t at)
{
	uint32_t len = img_be32(l + VHD_L_LENGTH);
	uint32_t raw = img_be32(l + VHD_L_SPACE);
	uint64_t space = vhd_locator_space(l);

	if (encoding_of(img_be32(l + VHD_L_CODE)) == UNKNOWN)
		img_raise_num(im, IMG_VHD_LOC_CODE, at + VHD_L_CODE,
		    IMG_WANT_ANY, img_be32(l + VHD_L_CODE), 0);
	if (img_be32(l + VHD_L_RESERVED) != 0)
		img_raise_num(im, IMG_VHD_LOC_RESERVED, at + VHD_L_RESERVED,
		    IMG_WANT_EQ, img_be32(l + VHD_L_RESERVED), 0);
	if (len > space || (raw >= IMG_SECTOR && raw % IMG_SECTOR != 0))
		img_raise_num(im, IMG_VHD_LOC_SPACE, at + VHD_L_SPACE,
		    IMG_WANT_MIN, img_be32(l + VHD_L_SPACE), len);
}

static int
seen_before(const uint8_t *first, uint32_t i)
{
	uint32_t k;

	for (k = 0; k < i; k++)
		if (img_be32(first + k * VHD_LOCATOR) ==
		    img_be32(first + i * VHD_LOCATOR))
			return (1);
	return (0);
}

int
vhd_check_locators(struct img *im)
{
	struct vhd *v = vhd(im);
	const uint8_t *first = v->v_header + VHD_H_LOCATORS, *l;
	const uint8_t *name = v->v_header + VHD_H_PARENT_NAME;
	uint64_t at;
	uint32_t i, used = 0;
	int error = 0;

	for (i = 0; i < VHD_NLOCATORS && error == 0; i++) {
		l = first + i * VHD_LOCATOR;
		at = v->v_header_off + VHD_H_LOCATORS + i * VHD_LOCATOR;
		if (img_be32(l + VHD_L_CODE) == 0)
			continue;
		used++;
		check_fields(im, l, at);
		if (seen_before(first, i))
			img_raise_num(im, IMG_VHD_LOC_TWICE, at, IMG_WANT_ANY,
			    img_be32(l), 0);
		error = check_text(im, l, encoding_of(img_be32(l)));
	}
	if (vhd_name_swapped(name))
		img_raise(im, IMG_VHD_NAME_ORDER,
		    v->v_header_off + VHD_H_PARENT_NAME);
	if (used == 0 && v->v_parent[0] == '\0')
		img_raise(im, IMG_VHD_PARENT_NAME,
		    v->v_header_off + VHD_H_PARENT_NAME);
	return (error);
}
