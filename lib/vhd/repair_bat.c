/* SPDX-License-Identifier: ISC */

/* Repair of BAT entries, and what it means for the end of the file. */

#include <stdlib.h>

#include "vhd/repair.h"

#define MOVES_MAX (1u << 20) /* blocks in one list: 24 MiB */

#define SEC_MAX 0xfffffffeu

int
vhd_add_move(struct vhd_repair *r, struct vhd_moves *ms, uint64_t from,
    uint32_t index, uint32_t to)
{
	const struct img_env *env = r->r_rp->rp_env;
	struct vhd_move *p;
	size_t max;

	if (ms->ms_n >= MOVES_MAX) /* memory is bounded; so is patience */
		return (EFBIG);
	if (ms->ms_n == ms->ms_max) {
		max = ms->ms_max == 0 ? 64 : ms->ms_max * 2;
		p = max > SIZE_MAX / sizeof(*p) / 2 ?
		    NULL :
		    env->ev_alloc(env->ev_arg, max * sizeof(*p));
		if (p == NULL)
			return (ENOMEM);
		if (ms->ms_n > 0)
			memcpy(p, ms->ms_move, ms->ms_n * sizeof(*p));
		max -= ms->ms_max;
		if (ms->ms_max > 0)
			env->ev_free(env->ev_arg, ms->ms_move,
			    ms->ms_max * sizeof(*p));
		ms->ms_move = p;
		ms->ms_max += max;
	}
	p = &ms->ms_move[ms->ms_n++];
	p->mv_from = from;
	p->mv_index = index;
	p->mv_to = to;
	return (0);
}

void
vhd_free_moves(struct vhd_repair *r, struct vhd_moves *ms)
{
	const struct img_env *env = r->r_rp->rp_env;

	if (ms->ms_max > 0)
		env->ev_free(env->ev_arg, ms->ms_move,
		    ms->ms_max * sizeof(struct vhd_move));
	memset(ms, 0, sizeof(*ms));
}

static int
by_index(const void *a, const void *b)
{
	uint32_t x = ((const struct vhd_move *)a)->mv_index;
	uint32_t y = ((const struct vhd_move *)b)->mv_index;

	return ((x > y) - (x < y));
}

void
vhd_sort_moves(struct vhd_moves *ms)
{
	if (ms->ms_n > 1)
		qsort(ms->ms_move, ms->ms_n, sizeof(struct vhd_move), by_index);
}

const struct vhd_move *
vhd_find_move(const struct vhd_moves *ms, uint32_t index)
{
	struct vhd_move key = { 0, index, 0 };

	return (ms->ms_n == 0 ?
		NULL :
		bsearch(&key, ms->ms_move, ms->ms_n, sizeof(key), by_index));
}

/* The entry that a finding is about. */
static int
entry_of(struct vhd_repair *r, const struct img_finding *fi, uint32_t *index,
    uint32_t *sec)
{
	struct vhd *v;
	uint64_t at;

	if (r->r_im == NULL)
		return (ENXIO);
	v = vhd(r->r_im);
	at = fi->fi_off - v->v_bat_off;
	if (fi->fi_off < v->v_bat_off || at % 4 != 0 || at / 4 >= v->v_nentries)
		return (ENXIO);
	*index = (uint32_t)(at / 4);
	return (vhd_bat_get(r->r_im, *index, sec));
}

static int
clear(struct vhd_repair *r, uint32_t index)
{
	return (vhd_add_move(r, &r->r_clear, IMG_NOWHERE, index, VHD_ABSENT));
}

static int
step_lost(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t index, sec;
	uint64_t usable;
	int error;

	(void)fx;
	error = entry_of(r, fi, &index, &sec);
	if (error == 0 &&
	    (sec == VHD_ABSENT ||
		vhd_judge(r->r_im, sec, &usable) != fi->fi_row))
		error = ENXIO;
	return (error != 0 ? error : clear(r, index));
}

/* The file ends, or the end footer begins, before the block's first data. */
static int
step_void(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t usable, data;
	uint32_t index, sec;
	int error;

	(void)fx;
	error = entry_of(r, fi, &index, &sec);
	if (error != 0)
		return (error);
	data = (uint64_t)sec * IMG_SECTOR + vhd(r->r_im)->v_bitmap;
	if (sec == VHD_ABSENT || data < img_min(r->r_cur, r->r_len) ||
	    vhd_judge(r->r_im, sec, &usable) != fi->fi_row)
		return (ENXIO);
	return (clear(r, index));
}

static int
step_surplus(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint32_t index, sec;
	int error;

	(void)fx;
	error = entry_of(r, fi, &index, &sec);
	if (error == 0 &&
	    (sec == VHD_ABSENT || index < vhd(r->r_im)->v_nblocks))
		error = ENXIO;
	return (error != 0 ? error : clear(r, index));
}

/* Is a block's data nothing but zeros? */
static int
is_empty(struct vhd_repair *r, uint64_t off)
{
	struct vhd *v = vhd(r->r_im);
	uint64_t at;
	uint32_t n;

	for (at = 0; at < v->v_block; at += n) {
		n = (uint32_t)img_min(VHD_REPAIR_BUF, v->v_block - at);
		if (vhd_repair_read(r, r->r_buf, n, off + v->v_bitmap + at) !=
			0 ||
		    !img_is_zero(r->r_buf, n))
			return (0);
	}
	return (1);
}

/*
 * Rows 64 and 66 name the block by its offset; which entry leads to it is
 * found out later, for all in one walk.
 */
static int
step_empty(struct vhd_repair *r, const struct img_finding *fi,
    struct img_fixed *fx)
{
	uint64_t usable;
	uint32_t sec;

	(void)fx;
	if (r->r_im == NULL || vhd(r->r_im)->v_type != VHD_DYNAMIC ||
	    fi->fi_off % IMG_SECTOR != 0 || fi->fi_off / IMG_SECTOR > SEC_MAX ||
	    r->r_overlap)
		return (ENXIO);
	sec = (uint32_t)(fi->fi_off / IMG_SECTOR);
	if (vhd_judge(r->r_im, sec, &usable) != IMG_ROW_NONE ||
	    !is_empty(r, fi->fi_off))
		return (ENXIO);
	return (vhd_add_move(r, &r->r_empty, fi->fi_off, sec, VHD_ABSENT));
}

const struct vhd_step vhd_bat_steps[] = {
	{ IMG_VHD_BAT_RANGE, step_lost, "clear the BAT entry" },
	{ IMG_VHD_BLOCK_META, step_lost, "clear the BAT entry" },
	{ IMG_VHD_BLOCK_CUT, step_void, "clear the BAT entry" },
	{ IMG_VHD_BLOCK_FOOTER, step_void, "clear the BAT entry" },
	{ IMG_VHD_BAT_SURPLUS, step_surplus, "clear the BAT entry" },
	{ IMG_VHD_BITS_NONE, step_empty, "free the block" },
	{ IMG_VHD_BLOCK_ZERO, step_empty, "free the block" },
	{ IMG_ROW_NONE, NULL, NULL },
};

static int
visit_empty(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct vhd_repair *r = arg;

	(void)im;
	return (vhd_find_move(&r->r_empty, sec) != NULL ? clear(r, index) : 0);
}

/* Who stays, and who overlaps one that stays. */
static int
visit_block(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct vhd_repair *r = arg;
	uint64_t start = (uint64_t)sec * IMG_SECTOR;
	uint64_t end = start + vhd_stride(vhd(im));

	if (vhd_find_move(&r->r_clear, index) != NULL)
		return (0);
	if (r->r_split && start < r->r_prev)
		return (vhd_add_move(r, &r->r_moves, start, index, VHD_ABSENT));
	if (end > r->r_prev)
		r->r_prev = end;
	r->r_nkept++;
	return (0);
}

static int
walk_blocks(struct vhd_repair *r)
{
	struct vhd *v = vhd(r->r_im);
	const struct vhd_area *a = &r->r_batmap;
	uint64_t end;
	uint32_t i;
	int error;

	r->r_moves.ms_n = 0;
	r->r_nkept = 0;
	r->r_prev = 0;
	error = vhd_sorted(r->r_im, visit_block, r);
	end = r->r_prev;
	if (a->a_len > 0 && a->a_off + a->a_len > end)
		end = a->a_off + a->a_len;
	for (i = 0, a = v->v_area; i < v->v_nareas; i++, a++)
		if (a->a_off + a->a_len > end)
			end = a->a_off + a->a_len;
	r->r_need = vhd_sectors_up(end);
	return (error);
}

/* Blocks that overlap others get new places behind all there is. */
static int
find_places(struct vhd_repair *r)
{
	struct vhd *v = vhd(r->r_im);
	uint64_t pos = r->r_need, end;
	size_t i;

	if (!r->r_device && vhd_sectors_up(r->r_len) > pos)
		pos = vhd_sectors_up(r->r_len);
	for (i = 0; i < r->r_moves.ms_n; i++) {
		pos = vhd_place_like(v, pos, r->r_moves.ms_move[i].mv_from);
		end = pos + vhd_stride(v);
		if (pos / IMG_SECTOR > SEC_MAX ||
		    (r->r_device && end > r->r_len - VHD_FOOTER))
			return (ENOSPC);
		r->r_moves.ms_move[i].mv_to = (uint32_t)(pos / IMG_SECTOR);
		pos = end;
	}
	if (r->r_moves.ms_n > 0)
		r->r_need = pos;
	vhd_sort_moves(&r->r_moves);
	return (0);
}

int
vhd_plan_blocks(struct vhd_repair *r)
{
	int error;

	if (r->r_im == NULL)
		return (0);
	error = vhd_batmap(r->r_im, &r->r_batmap);
	vhd_sort_moves(&r->r_empty);
	if (error == 0 && r->r_empty.ms_n > 0)
		error = vhd_sorted(r->r_im, visit_empty, r);
	vhd_sort_moves(&r->r_clear);
	r->r_split = r->r_lossy && r->r_overlap;
	if (error == 0)
		error = walk_blocks(r);
	if (error == 0 && find_places(r) == ENOSPC) {
		r->r_split = 0;
		error = walk_blocks(r);
	}
	return (error);
}
