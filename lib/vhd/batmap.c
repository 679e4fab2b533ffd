/* SPDX-License-Identifier: ISC */

/*
 * The batmap of tapdisk: a bit for each block, set where all bits of the
 * block's sector bitmap are.  It stands right behind the BAT of images whose
 * creator is "tap" in version 1.2 or later.  We only keep it from harm.
 */

#include "vhd/tool.h"

#define BATMAP_VERSION 0x00010002u

static int
read_header(struct img *im, uint8_t *b, uint64_t off)
{
	if (!img_inside(off, VHD_BATMAP, im->im_eof[0])) {
		memset(b, 0, VHD_BATMAP);
		return (0);
	}
	return (img_io_read(im, 0, b, VHD_BATMAP, off));
}

/* The map as the header says, right behind it; length 0 where that is not. */
static void
map_place(const struct img *im, const uint8_t *b, struct vhd_area *map)
{
	uint64_t off = img_be64(b + VHD_B_OFF);
	uint64_t len = (uint64_t)img_be32(b + VHD_B_NSECTORS) * IMG_SECTOR;

	map->a_off = off;
	map->a_len = 0;
	if (img_inside(off, len, im->im_eof[0]) &&
	    len <= vhd_batmap_most(vhd(im)) &&
	    len >= (vhd(im)->v_nblocks + 7) / 8 &&
	    off == vhd_batmap_off(vhd(im)) + VHD_BATMAP)
		map->a_len = len;
}

/* Both of them. */
static int
load(struct img *im, uint64_t off, uint8_t *b, struct vhd_area *map)
{
	int error;

	error = read_header(im, b, off);
	if (error == 0)
		map_place(im, b, map);
	return (error);
}

int
vhd_batmap(struct img *im, struct vhd_area *area)
{
	struct vhd *v = vhd(im);
	uint8_t b[VHD_BATMAP];
	struct vhd_area map;
	int error;

	area->a_off = vhd_batmap_off(v);
	area->a_len = 0;
	if (!vhd_has_batmap(v))
		return (0);
	error = load(im, area->a_off, b, &map);
	if (error != 0)
		return (error);
	area->a_len = VHD_BATMAP + map.a_len;
	return (0);
}

static int
map_sum(struct img *im, const struct vhd_area *map, uint32_t *sum)
{
	uint64_t at;
	uint32_t n, i;
	int error;

	*sum = 0;
	for (at = 0; at < map->a_len; at += n) {
		n = (uint32_t)img_min(IMG_BOUNCE, map->a_len - at);
		error = img_io_read(im, 0, im->im_buf, n, map->a_off + at);
		if (error != 0)
			return (error);
		for (i = 0; i < n; i++)
			*sum += im->im_buf[i];
	}
	*sum = ~*sum;
	return (0);
}

int
vhd_check_batmap(struct img *im, const struct vhd_area *area)
{
	uint8_t b[VHD_BATMAP];
	struct vhd_area map;
	uint32_t sum, want;
	int error;

	if (area->a_len == 0)
		return (0);
	error = load(im, area->a_off, b, &map);
	if (error != 0)
		return (error);
	if (memcmp(b, VHD_B_COOKIE, 8) != 0 || map.a_len == 0 ||
	    img_be32(b + VHD_B_VERSION) != BATMAP_VERSION) {
		img_raise(im, IMG_VHD_BATMAP, area->a_off);
		return (0);
	}
	error = map_sum(im, &map, &sum);
	want = img_be32(b + VHD_B_SUM);
	if (error == 0 && sum != want)
		img_raise_num(im, IMG_VHD_BATMAP, area->a_off, IMG_WANT_EQ,
		    want, sum);
	return (error);
}

int
vhd_batmap_full(struct img *im, const struct vhd_area *area, uint64_t index,
    uint64_t *at, int *full)
{
	uint8_t b[VHD_BATMAP], byte;
	struct vhd_area map;
	int error;

	*full = 0;
	if (area->a_len == 0)
		return (0);
	error = load(im, area->a_off, b, &map);
	if (error != 0)
		return (error);
	if (memcmp(b, VHD_B_COOKIE, 8) != 0 || index / 8 >= map.a_len)
		return (0);
	*at = map.a_off + index / 8;
	error = img_io_read(im, 0, &byte, 1, *at);
	if (error == 0)
		*full = (byte >> (7 - index % 8)) & 1;
	return (error);
}
