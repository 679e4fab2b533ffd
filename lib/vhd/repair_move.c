/* SPDX-License-Identifier: ISC */

/* Repair of a VHD: blocks that move, and the space that others lost. */

#include "vhd/repair.h"

#define MAX_BLOCKS (8u << 20) /* sorted in memory at once: 64 MiB */

/* Data that starts on a page keeps doing so. */
uint64_t
vhd_place_like(const struct vhd *v, uint64_t pos, uint64_t from)
{
	if (v->v_block < 4096 || (from + v->v_bitmap) % 4096 != 0)
		return (pos);
	return (img_roundup(pos + v->v_bitmap, 4096) - v->v_bitmap);
}

/* All blocks that stay, in the order of the file, and how far we are. */
struct packing {
	struct vhd_repair *p_r;
	uint64_t *p_key; /* sector << 32 | index */
	uint64_t p_n;
	uint64_t p_lo;  /* all before has been passed ... */
	uint64_t p_hi;  /* ... and all from here on is to move down */
	uint64_t p_pos; /* the file is packed up to here */
};

static uint64_t
start_of(const struct packing *p, uint64_t i)
{
	return ((p->p_key[i] >> 32) * IMG_SECTOR);
}

static int
collect(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct packing *p = arg;
	uint64_t start = (uint64_t)sec * IMG_SECTOR;

	if (vhd_find_move(&p->p_r->r_clear, index) != NULL)
		return (0);
	/* What overlaps, or was not counted, is not for us to move. */
	if (p->p_hi == p->p_n || start < p->p_pos)
		return (ENXIO);
	p->p_key[p->p_hi++] = (uint64_t)sec << 32 | index;
	p->p_pos = start + vhd_stride(vhd(im));
	return (0);
}

/* The last blocks of the file go into the hole from p_pos to end. */
static int
fill_hole(struct packing *p, uint64_t end)
{
	struct vhd *v = vhd(p->p_r->r_im);
	uint64_t stride = vhd_stride(v), from, to;
	int error;

	while (
	    p->p_hi > p->p_lo && end > p->p_pos && end - p->p_pos >= stride) {
		from = start_of(p, p->p_hi - 1);
		if (from < end)
			break;
		to = vhd_place_like(v, p->p_pos, from);
		if (to + stride > end)
			to = p->p_pos;
		p->p_hi--;
		error = vhd_add_move(p->p_r, &p->p_r->r_moves, from,
		    (uint32_t)p->p_key[p->p_hi], (uint32_t)(to / IMG_SECTOR));
		if (error != 0)
			return (error);
		p->p_pos = to + stride;
	}
	return (0);
}

/* The first metadata at or behind p_pos, its end; IMG_NOWHERE if none. */
static uint64_t
next_area(const struct packing *p, uint64_t *endp)
{
	struct vhd *v = vhd(p->p_r->r_im);
	const struct vhd_area *a;
	uint64_t first = IMG_NOWHERE;
	uint32_t i;

	for (i = 0; i <= v->v_nareas; i++) {
		a = i < v->v_nareas ? &v->v_area[i] : &p->p_r->r_batmap;
		if (a->a_len > 0 && a->a_off + a->a_len > p->p_pos &&
		    a->a_off < first) {
			first = a->a_off;
			*endp = vhd_sectors_up(a->a_off + a->a_len);
		}
	}
	return (first);
}

static int
pack(struct packing *p)
{
	uint64_t stride = vhd_stride(vhd(p->p_r->r_im));
	uint64_t area, end = 0, block;
	int error;

	p->p_pos = 0;
	p->p_lo = 0;
	for (;;) {
		area = next_area(p, &end);
		block = p->p_lo < p->p_hi ? start_of(p, p->p_lo) : IMG_NOWHERE;
		if (area == IMG_NOWHERE && block == IMG_NOWHERE)
			return (0);
		error = fill_hole(p, img_min(area, block));
		if (error != 0)
			return (error);
		if (block < area) {
			if (p->p_lo == p->p_hi)
				continue;
			p->p_lo++;
			end = block + stride;
		}
		if (end > p->p_pos)
			p->p_pos = end;
	}
}

static int
list_and_pack(struct packing *p)
{
	struct vhd_repair *r = p->p_r;
	const struct img_env *env = r->r_rp->rp_env;
	size_t len = (size_t)p->p_n * sizeof(uint64_t);
	int error;

	if (p->p_n > 0) {
		p->p_key = env->ev_alloc(env->ev_arg, len);
		if (p->p_key == NULL)
			return (ENOMEM);
	}
	error = vhd_sorted(r->r_im, collect, p);
	if (error == 0 && p->p_hi != p->p_n)
		error = ENXIO;
	if (error == 0)
		error = pack(p);
	if (p->p_n > 0)
		env->ev_free(env->ev_arg, p->p_key, len);
	return (error);
}

/* ENXIO where nothing can be won.  On a device the end footer stays. */
int
vhd_compact(struct vhd_repair *r)
{
	uint64_t end = r->r_device ? r->r_need : r->r_cur;
	struct packing p;
	int error;

	if (r->r_im == NULL || r->r_cur == IMG_NOWHERE ||
	    r->r_target != r->r_cur || r->r_cur % IMG_SECTOR != 0 ||
	    r->r_moves.ms_n > 0 || r->r_nkept > MAX_BLOCKS ||
	    vhd_repair_has(r, IMG_VHD_BATMAP_OVERLAP) ||
	    vhd_repair_has(r, IMG_VHD_BATMAP) || r->r_map.a_len > 0 ||
	    vhd_repair_has(r, IMG_VHD_LOC_SPACE))
		return (ENXIO);
	error = vhd_verify(r->r_im); /* its rows set r_corrupt */
	if (error != 0 || r->r_corrupt)
		return (error != 0 ? error : ENXIO);
	memset(&p, 0, sizeof(p));
	p.p_r = r;
	p.p_n = r->r_nkept;
	error = list_and_pack(&p);
	if (error == 0 &&
	    (p.p_pos > end || end - p.p_pos < vhd_stride(vhd(r->r_im))))
		error = ENXIO;
	if (error != 0) {
		r->r_moves.ms_n = 0;
		return (error);
	}
	vhd_sort_moves(&r->r_moves);
	if (!r->r_device) {
		r->r_target = vhd_sectors_up(p.p_pos);
		r->r_cut = 1;
	}
	return (0);
}

/* Bytes behind the end of the file, as it was, are zeros. */
static int
copy_block(struct vhd_repair *r, uint64_t from, uint64_t to)
{
	uint64_t stride = vhd_stride(vhd(r->r_im)), at, n, have;
	int error = 0, fresh;

	fresh = to >= r->r_len && (r->r_rp->rp_file->f_flags & IMG_FILE_ZEROES);
	for (at = 0; at < stride && error == 0; at += n) {
		n = img_min(VHD_REPAIR_BUF, stride - at);
		have = from + at < r->r_len ? img_min(n, r->r_len - from - at) :
					      0;
		memset(r->r_buf, 0, (size_t)n);
		if (have > 0)
			error =
			    r->r_rp->rp_file->f_ops->fo_read(r->r_rp->rp_file,
				r->r_buf, (uint32_t)have, from + at);
		if (error == 0 &&
		    !(fresh && img_is_zero(r->r_buf, (uint32_t)n)))
			error =
			    vhd_repair_put(r, r->r_buf, (uint32_t)n, to + at);
	}
	return (error);
}

int
vhd_copy_blocks(struct vhd_repair *r)
{
	const struct img_env *env = r->r_rp->rp_env;
	uint64_t stride = vhd_stride(vhd(r->r_im));
	const struct vhd_move *m;
	size_t i;
	int error = 0;

	for (i = 0; i < r->r_moves.ms_n && error == 0; i++) {
		m = &r->r_moves.ms_move[i];
		if (env->ev_poll != NULL)
			error = env->ev_poll(env->ev_arg, i * stride,
			    r->r_moves.ms_n * stride);
		if (error == 0)
			error = copy_block(r, m->mv_from,
			    (uint64_t)m->mv_to * IMG_SECTOR);
	}
	return (error);
}

/* Sorted by index, so each sector of the BAT is written once. */
int
vhd_put_entries(struct vhd_repair *r, const struct vhd_moves *ms)
{
	uint64_t at, open = IMG_NOWHERE;
	uint8_t sector[IMG_SECTOR];
	int error = 0;
	size_t i;

	for (i = 0; i < ms->ms_n && error == 0; i++) {
		at = (uint64_t)ms->ms_move[i].mv_index * 4;
		if (at / IMG_SECTOR != open) {
			if (open != IMG_NOWHERE)
				error = vhd_repair_put(r, sector, IMG_SECTOR,
				    vhd(r->r_im)->v_bat_off +
					open * IMG_SECTOR);
			open = at / IMG_SECTOR;
			if (error == 0)
				error = vhd_repair_read(r, sector, IMG_SECTOR,
				    vhd(r->r_im)->v_bat_off +
					open * IMG_SECTOR);
		}
		img_put_be32(sector + at % IMG_SECTOR, ms->ms_move[i].mv_to);
	}
	if (open != IMG_NOWHERE && error == 0)
		error = vhd_repair_put(r, sector, IMG_SECTOR,
		    vhd(r->r_im)->v_bat_off + open * IMG_SECTOR);
	return (error);
}
