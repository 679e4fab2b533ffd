/* SPDX-License-Identifier: ISC */

/*
 * Repair of what describes blocks beside the BAT's entries: sector bitmaps,
 * the rest of the BAT's last sector or a BAT that is too short, and the
 * batmap of tapdisk.
 */

#include "vhd/repair.h"

#define BATMAP_VERSION 0x00010002u

/* The block of a finding about data under clear bits: its offset. */
static int
bits_of(struct vhd_repair *r, const struct img_finding *fi, uint64_t *off)
{
	uint64_t index, usable;
	struct vhd *v;
	uint32_t sec;
	int error;

	if (r->r_im == NULL || vhd(r->r_im)->v_type != VHD_DYNAMIC)
		return (ENXIO);
	v = vhd(r->r_im);
	index = fi->fi_voff >> v->v_shift;
	if (index >= v->v_nblocks || index >= v->v_nentries ||
	    fi->fi_voff % IMG_SECTOR != 0 || fi->fi_vlen == 0 ||
	    !img_inside(fi->fi_voff & (v->v_block - 1), fi->fi_vlen,
		v->v_block) ||
	    vhd_find_move(&r->r_clear, (uint32_t)index) != NULL)
		return (ENXIO);
	error = vhd_bat_get(r->r_im, (uint32_t)index, &sec);
	if (error != 0)
		return (error);
	if (sec == VHD_ABSENT ||
	    vhd_judge(r->r_im, sec, &usable) != IMG_ROW_NONE)
		return (ENXIO);
	*off = (uint64_t)sec * IMG_SECTOR;
	return (0);
}

static int
step_bits(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t off;

	(void)fx;
	/* The bitmap of a block that overlaps another may be its data. */
	if (r->r_overlap)
		return (ENXIO);
	r->r_bits = 1;
	return (bits_of(r, fi, &off));
}

/* Set the bits of n bytes of data, where there is any, from sector sec on. */
static int
set_bits(struct vhd_repair *r, uint64_t off, uint32_t sec, uint32_t n)
{
	uint8_t bits[IMG_SECTOR];
	uint32_t i, at, open = UINT32_MAX;
	int error = 0;

	for (i = 0; i < n && error == 0; i += IMG_SECTOR, sec++) {
		if (img_is_zero(r->r_buf + i, IMG_SECTOR))
			continue;
		at = sec / 8 & ~(IMG_SECTOR - 1);
		if (at != open && open != UINT32_MAX)
			error = vhd_repair_put(r, bits, IMG_SECTOR, off + open);
		if (at != open && error == 0)
			error = vhd_repair_read(r, bits, IMG_SECTOR, off + at);
		open = at;
		bits[sec / 8 - at] |= (uint8_t)(0x80 >> sec % 8);
	}
	if (open != UINT32_MAX && error == 0)
		error = vhd_repair_put(r, bits, IMG_SECTOR, off + open);
	return (error);
}

static int
put_bits(struct vhd_repair *r, const struct img_finding *fi)
{
	uint64_t off, in, end;
	uint32_t n;
	int error;

	error = bits_of(r, fi, &off);
	if (error != 0)
		return (error == ENXIO ? 0 : error);
	in = fi->fi_voff & (vhd(r->r_im)->v_block - 1);
	end = vhd_sectors_up(in + fi->fi_vlen);
	for (; in < end && error == 0; in += n) {
		n = (uint32_t)img_min(VHD_REPAIR_BUF, end - in);
		error = vhd_repair_read(r, r->r_buf, n,
		    off + vhd(r->r_im)->v_bitmap + in);
		if (error == 0)
			error =
			    set_bits(r, off, (uint32_t)(in / IMG_SECTOR), n);
	}
	return (error);
}

int
vhd_put_bits(struct vhd_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;
	int error = 0;

	for (i = 0; i < r->r_rp->rp_nfind && error == 0; i++, fi++)
		if (r->r_bits && fi->fi_row == IMG_VHD_BIT_CLEAR)
			error = put_bits(r, fi);
	return (error);
}

static int
step_padding(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	struct vhd *v;

	(void)fi;
	(void)fx;
	if (r->r_im == NULL)
		return (ENXIO);
	v = vhd(r->r_im);
	r->r_batend = v->v_bat_off + vhd_bat_bytes(v->v_nentries);
	r->r_extend = 1;
	return (0);
}

/* Does anything stand where the repair would like to write? */
struct claim {
	uint64_t cl_off;
	uint64_t cl_len;
	int cl_taken;
};

static int
claim_block(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct claim *cl = arg;

	(void)index;
	if (img_overlap(cl->cl_off, cl->cl_len, (uint64_t)sec * IMG_SECTOR,
		vhd_stride(vhd(im))))
		cl->cl_taken = 1;
	return (0);
}

/* 0, or ENXIO where blocks, metadata or the end footer are in the way. */
static int
is_free(struct vhd_repair *r, uint64_t off, uint64_t len)
{
	struct claim cl = { off, len, 0 };
	struct vhd *v = vhd(r->r_im);
	uint64_t end = r->r_cur != IMG_NOWHERE ? r->r_cur : r->r_len;
	uint32_t i;
	int error;

	/* What moves, or the footer's new place, may be there soon. */
	if (!img_inside(off, len, end) || r->r_moves.ms_n > 0 ||
	    (r->r_target != IMG_NOWHERE &&
		img_overlap(off, len, r->r_target, VHD_FOOTER)))
		return (ENXIO);
	for (i = 0; i < v->v_nareas; i++)
		if (img_overlap(off, len, v->v_area[i].a_off,
			v->v_area[i].a_len))
			return (ENXIO);
	error = vhd_sorted(r->r_im, claim_block, &cl);
	if (error == 0 && cl.cl_taken)
		error = ENXIO;
	return (error);
}

/* The sectors behind the BAT become part of it. */
static int
step_short(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	struct vhd *v;
	uint64_t end, len;
	int error;

	(void)fi;
	(void)fx;
	if (r->r_im == NULL || r->r_headlocked)
		return (ENXIO);
	v = vhd(r->r_im);
	if (v->v_nblocks <= v->v_nentries ||
	    vhd_repair_size(r) > VHD_MAX_SIZE || v->v_nblocks * 4 > r->r_len)
		return (ENXIO);
	end = v->v_bat_off + vhd_bat_bytes(v->v_nentries);
	len = v->v_bat_off + vhd_bat_bytes((uint32_t)v->v_nblocks) - end;
	if (len > 0 &&
	    img_overlap(end, len, r->r_batmap.a_off, r->r_batmap.a_len))
		return (ENXIO);
	error = len > 0 ? is_free(r, end, len) : 0;
	if (error != 0)
		return (error);
	img_put_be32(r->r_head + VHD_H_NENTRIES, (uint32_t)v->v_nblocks);
	r->r_batend = end + len;
	r->r_extend = 1;
	return (0);
}

/* All ones from behind the last entry to r_batend. */
int
vhd_put_padding(struct vhd_repair *r)
{
	struct vhd *v = vhd(r->r_im);
	uint64_t from = v->v_bat_off + (uint64_t)v->v_nentries * 4;
	uint64_t start = v->v_bat_off +
	    ((uint64_t)v->v_nentries * 4 & ~(uint64_t)(IMG_SECTOR - 1));
	uint32_t n;
	int error;

	if (start >= r->r_batend)
		return (0);
	error = vhd_repair_read(r, r->r_buf, IMG_SECTOR, start);
	memset(r->r_buf + (from - start), 0xff,
	    VHD_REPAIR_BUF - (size_t)(from - start));
	for (; start < r->r_batend && error == 0; start += n) {
		n = (uint32_t)img_min(VHD_REPAIR_BUF, r->r_batend - start);
		error = vhd_repair_put(r, r->r_buf, n, start);
		memset(r->r_buf, 0xff, IMG_SECTOR);
	}
	return (error);
}

/* The map's place by the batmap's header: ENXIO where it cannot be there. */
static int
map_place(struct vhd_repair *r, uint8_t *b, struct vhd_area *map)
{
	struct vhd *v = vhd(r->r_im);
	int error;

	if (!img_inside(r->r_batmap.a_off, VHD_BATMAP, r->r_len) ||
	    vhd_repair_has(r, IMG_VHD_BATMAP_OVERLAP))
		return (ENXIO);
	error = vhd_repair_read(r, b, VHD_BATMAP, r->r_batmap.a_off);
	if (error != 0)
		return (error);
	map->a_off = img_be64(b + VHD_B_OFF);
	map->a_len = (uint64_t)img_be32(b + VHD_B_NSECTORS) * IMG_SECTOR;
	if (map->a_off != r->r_batmap.a_off + VHD_BATMAP ||
	    map->a_len < (v->v_nblocks + 7) / 8 ||
	    map->a_len > vhd_batmap_most(v) ||
	    !img_inside(map->a_off, map->a_len, r->r_len))
		return (ENXIO);
	return (0);
}

/* All bits clear is always right: then the bitmaps are looked at. */
static int
step_batmap(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint8_t b[VHD_BATMAP];
	struct vhd_area map;
	int error;

	(void)fi;
	(void)fx;
	if (r->r_im == NULL || r->r_batmap.a_len == 0 ||
	    vhd_repair_has(r, IMG_VHD_BATMAP_OVERLAP))
		return (ENXIO);
	error = is_free(r, r->r_batmap.a_off, VHD_BATMAP);
	if (error != 0)
		return (error);
	error = map_place(r, b, &map);
	if (error == 0 &&
	    img_overlap(map.a_off, map.a_len, r->r_batmap.a_off, VHD_BATMAP))
		error = ENXIO;
	if (error == 0)
		error = is_free(r, map.a_off, map.a_len);
	if (error == ENXIO) {
		map.a_off = r->r_batmap.a_off + VHD_BATMAP;
		map.a_len = vhd_sectors_up((vhd(r->r_im)->v_nblocks + 7) / 8);
		error = is_free(r, map.a_off, map.a_len);
	}
	if (error == 0)
		r->r_map = map;
	return (error);
}

static int
step_batmap_bit(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint8_t b[VHD_BATMAP];
	struct vhd_area map;
	int error;

	(void)fx;
	if (r->r_im == NULL || r->r_batmap.a_len == 0)
		return (ENXIO);
	error = map_place(r, b, &map);
	if (error != 0)
		return (error);
	if (fi->fi_found / 8 >= map.a_len ||
	    fi->fi_off != map.a_off + fi->fi_found / 8)
		return (ENXIO);
	return (vhd_add_move(r, &r->r_unmap, IMG_NOWHERE,
	    (uint32_t)fi->fi_found, VHD_ABSENT));
}

const struct vhd_step vhd_map_steps[] = {
	{ IMG_VHD_BAT_PADDING, step_padding, "fill the padding with ones" },
	{ IMG_VHD_BAT_SHORT, step_short, "make the BAT longer" },
	{ IMG_VHD_BIT_CLEAR, step_bits, "set the bits: the data appears" },
	{ IMG_VHD_BATMAP, step_batmap, "make the batmap anew, all clear" },
	{ IMG_VHD_BATMAP_BIT, step_batmap_bit, "clear the bit" },
	{ IMG_ROW_NONE, NULL, NULL },
};

static int
clear_bits(struct vhd_repair *r, const struct vhd_area *map,
    const struct vhd_moves *ms)
{
	uint8_t sector[IMG_SECTOR];
	uint64_t at;
	uint32_t index;
	int error = 0;
	size_t i;

	for (i = 0; i < ms->ms_n && error == 0; i++) {
		index = ms->ms_move[i].mv_index;
		at = map->a_off + (index / 8 & ~(IMG_SECTOR - 1));
		if (index / 8 >= map->a_len)
			continue;
		error = vhd_repair_read(r, sector, IMG_SECTOR, at);
		sector[index / 8 % IMG_SECTOR] &=
		    (uint8_t) ~(0x80 >> index % 8);
		if (error == 0)
			error = vhd_repair_put(r, sector, IMG_SECTOR, at);
	}
	return (error);
}

static int
sum_map(struct vhd_repair *r, const struct vhd_area *map, uint32_t *sum)
{
	uint64_t at;
	uint32_t n, i;
	int error;

	*sum = 0;
	for (at = 0; at < map->a_len; at += n) {
		n = (uint32_t)img_min(VHD_REPAIR_BUF, map->a_len - at);
		error = vhd_repair_read(r, r->r_buf, n, map->a_off + at);
		if (error != 0)
			return (error);
		for (i = 0; i < n; i++)
			*sum += r->r_buf[i];
	}
	*sum = ~*sum;
	return (0);
}

/* Blocks without space are not full, and what was found not to be. */
static int
mend_batmap(struct vhd_repair *r)
{
	uint8_t b[VHD_BATMAP];
	struct vhd_area map;
	uint32_t sum;
	int error;

	error = map_place(r, b, &map);
	if (error == 0)
		error = is_free(r, r->r_batmap.a_off, VHD_BATMAP + map.a_len);
	if (error != 0 || memcmp(b, VHD_B_COOKIE, 8) != 0)
		return (error == ENXIO ? 0 : error);
	error = clear_bits(r, &map, &r->r_unmap);
	if (error == 0)
		error = clear_bits(r, &map, &r->r_clear);
	if (error == 0)
		error = sum_map(r, &map, &sum);
	if (error != 0)
		return (error);
	img_put_be32(b + VHD_B_SUM, sum);
	return (vhd_repair_put(r, b, VHD_BATMAP, r->r_batmap.a_off));
}

int
vhd_put_batmap(struct vhd_repair *r)
{
	uint8_t b[VHD_BATMAP];
	int error;

	if (r->r_im == NULL || r->r_batmap.a_len == 0)
		return (0);
	if (r->r_map.a_len == 0)
		return (
		    r->r_unmap.ms_n + r->r_clear.ms_n > 0 ? mend_batmap(r) : 0);
	error = vhd_repair_zeros(r, r->r_map.a_off, r->r_map.a_len);
	if (error == 0)
		error = vhd_repair_barrier(r);
	if (error == 0)
		error = vhd_repair_read(r, b, VHD_BATMAP, r->r_batmap.a_off);
	if (error != 0)
		return (error);
	memcpy(b, VHD_B_COOKIE, 8);
	img_put_be64(b + VHD_B_OFF, r->r_map.a_off);
	img_put_be32(b + VHD_B_NSECTORS,
	    (uint32_t)(r->r_map.a_len / IMG_SECTOR));
	img_put_be32(b + VHD_B_VERSION, BATMAP_VERSION);
	img_put_be32(b + VHD_B_SUM, UINT32_MAX);
	return (vhd_repair_put(r, b, VHD_BATMAP, r->r_batmap.a_off));
}
