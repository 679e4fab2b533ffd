/* SPDX-License-Identifier: ISC */

/*
 * Repair of a VHD, driven by the findings of a check.
 *
 * All is planned in memory, then told, and only then written, in this order,
 * a barrier after each:
 *
 *	1. the end footer, where the file grows; the copy at 0 before that, as
 *	   the old end footer becomes part of a block or of a gap
 *	2. BAT entries that are cleared
 *	3. sector bitmaps, and copies of blocks into space that nothing uses
 *	4. BAT entries of the copied blocks; the BAT's padding; the batmap
 *	5. the dynamic header
 *	6. the end footer, where the file does not grow
 *	7. the copy at offset 0
 *	8. the new length, where it is shorter
 *
 * So one good footer exists at any moment if one did before, and no entry
 * ever points at space that was not written.  A cut leaves what was wrong
 * before, or space that is lost (after 1 to 4), or two good footers of which
 * the end's is right (after 6), or a header whose second sector does not fit
 * its checksum (5): another repair mends each.  Where a fixed image grows,
 * its lost bytes may show the old footer until they are zeros.
 */

#include "vhd/repair.h"

int
vhd_repair_has(const struct vhd_repair *r, enum img_row row)
{
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++)
		if (r->r_rp->rp_find[i].fi_row == row)
			return (1);
	return (0);
}

static void
remember(struct vhd_repair *r, const struct img_fixed *fx)
{
	if (r->r_ntold < r->r_rp->rp_nfind)
		r->r_told[r->r_ntold++] = *fx;
}

static int
try_step(struct vhd_repair *r, const struct vhd_step *st,
    const struct img_finding *fi)
{
	struct img_fixed fx;
	int error;

	fx.fx_row = st->st_row;
	fx.fx_off = fi->fi_off;
	fx.fx_voff = 0;
	fx.fx_vlen = 0;
	if (img_row(st->st_row)->r_fix == IMG_FIX_LOSSY) {
		fx.fx_voff = fi->fi_voff;
		fx.fx_vlen = fi->fi_vlen;
	}
	fx.fx_text = st->st_text;
	error = st->st_fn(r, fi, &fx);
	if (error == 0)
		remember(r, &fx);
	return (error == ENXIO ? 0 : error);
}

/* Rows that only say where a footer is: tables can be believed all the same. */
static int
is_of_footers(enum img_row row)
{
	return (row == IMG_VHD_STRAY || row == IMG_VHD_END_LOST ||
	    row == IMG_VHD_END_SUM || row == IMG_VHD_COPY_LOST ||
	    row == IMG_VHD_COPY_SUM || row == IMG_VHD_TRAILING ||
	    row == IMG_VHD_FOOTER_UNALIGNED);
}

static int
has_corrupt_tables(const struct vhd_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (img_row(fi->fi_row)->r_severity >= IMG_SEV_CORRUPT &&
		    !is_of_footers(fi->fi_row))
			return (1);
	return (0);
}

/*
 * Steps for mere warnings that write where size, header or BAT say: they wait
 * for a repair that finds those undisputed.
 */
static int
must_wait(const struct vhd_repair *r, enum img_row row)
{
	switch (row) {
	case IMG_VHD_PARENT_JUNK:
	case IMG_VHD_BAT_SURPLUS:
	case IMG_VHD_BAT_PADDING:
	case IMG_VHD_BITS_NONE:
	case IMG_VHD_BLOCK_ZERO:
	case IMG_VHD_BATMAP:
	case IMG_VHD_BATMAP_BIT:
		return (has_corrupt_tables(r));
	default:
		return (0);
	}
}

static int
run_steps(struct vhd_repair *r, const struct vhd_step *st)
{
	const struct img_repair *rp = r->r_rp;
	size_t i;
	int error = 0;

	for (; st->st_row != IMG_ROW_NONE; st++) {
		if (img_row(st->st_row)->r_fix > rp->rp_level ||
		    must_wait(r, st->st_row))
			continue;
		for (i = 0; i < rp->rp_nfind && error == 0; i++)
			if (rp->rp_find[i].fi_row == st->st_row)
				error = try_step(r, st, &rp->rp_find[i]);
	}
	return (error);
}

static void
note_row(void *arg, const struct img_finding *fi)
{
	struct vhd_repair *r = arg;

	if (img_row(fi->fi_row)->r_severity >= IMG_SEV_CORRUPT)
		r->r_corrupt = 1;
}

/* Read the image as it will be; where that fails, blocks stay as they are. */
static int
open_view(struct vhd_repair *r)
{
	struct img_args a;
	int error;

	if (!r->r_dynamic)
		return (0);
	if (!r->r_headlocked)
		vhd_set_sum(r->r_head, VHD_HEADER, VHD_H_SUM);
	memset(&a, 0, sizeof(a));
	a.a_format = &img_vhd;
	a.a_report = note_row;
	a.a_arg = r;
	r->r_view.f_ops = &vhd_view_ops;
	r->r_view.f_flags = r->r_rp->rp_file->f_flags;
	error = img_open(&r->r_im, r->r_rp->rp_env, &r->r_view, &a);
	return (error == EFTYPE ? 0 : error);
}

static int
has_corruption(const struct vhd_repair *r)
{
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++)
		if (img_row(r->r_rp->rp_find[i].fi_row)->r_severity >=
		    IMG_SEV_CORRUPT)
			return (1);
	return (0);
}

/* Leaks, and what this repair itself frees, are reclaimed in a sound image. */
static int
reclaim(struct vhd_repair *r)
{
	static const struct vhd_step leak = { IMG_VHD_LEAK, NULL,
		"move what is behind it down and shorten the file" };
	const struct img_finding *fi = r->r_rp->rp_find;
	struct img_fixed fx = { IMG_VHD_LEAK, 0, 0, 0, NULL };
	size_t i;
	int error;

	if (r->r_rp->rp_level < img_row(leak.st_row)->r_fix ||
	    has_corruption(r) ||
	    (!vhd_repair_has(r, IMG_VHD_LEAK) && r->r_clear.ms_n == 0))
		return (0);
	error = vhd_compact(r);
	if (error != 0)
		return (error == ENXIO ? 0 : error);
	fx.fx_text = leak.st_text;
	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (fi->fi_row == IMG_VHD_LEAK) {
			fx.fx_off = fi->fi_off;
			remember(r, &fx);
		}
	return (0);
}

static int
plan(struct vhd_repair *r)
{
	int error;

	error = vhd_repair_base(r);
	if (error != 0)
		return (error);
	r->r_overlap = vhd_repair_has(r, IMG_VHD_BAT_OVERLAP) ||
	    vhd_repair_has(r, IMG_VHD_BLOCK_OVERLAP);
	error = run_steps(r, vhd_foot_steps);
	vhd_foot_finish(r);
	if (error == 0)
		error = vhd_head_load(r);
	if (error == 0)
		error = run_steps(r, vhd_head_steps);
	if (error == 0)
		error = open_view(r);
	if (error == 0)
		error = run_steps(r, vhd_bat_steps);
	if (error == 0)
		error = vhd_plan_blocks(r);
	if (error == 0)
		error = run_steps(r, vhd_end_steps);
	if (error != 0)
		return (error);
	vhd_plan_end(r);
	error = run_steps(r, vhd_map_steps);
	return (error != 0 ? error : reclaim(r));
}

static int
repair(struct vhd_repair *r)
{
	size_t i;
	int error;

	error = plan(r);
	if (error != 0)
		return (error == ENXIO ? 0 : error);
	for (i = 0; i < r->r_ntold; i++)
		r->r_rp->rp_tell(r->r_rp->rp_arg, &r->r_told[i]);
	if (r->r_ntold == 0 || (r->r_rp->rp_flags & IMG_DRYRUN))
		return (0);
	return (vhd_repair_write(r));
}

static void
set_up(struct vhd_repair *r, const struct img_repair *rp)
{
	memset(r, 0, sizeof(*r));
	r->r_rp = rp;
	r->r_lossy = rp->rp_level >= IMG_FIX_LOSSY;
	r->r_device = (rp->rp_file->f_flags & IMG_FILE_FIXED) != 0;
	r->r_cur = IMG_NOWHERE;
	r->r_target = IMG_NOWHERE;
	r->r_headoff = IMG_NOWHERE;
}

int
vhd_repair(const struct img_repair *rp)
{
	const struct img_env *env = rp->rp_env;
	struct vhd_repair *r;
	size_t ntold = rp->rp_nfind;
	int error;

	if (ntold == 0)
		return (0);
	if (ntold > SIZE_MAX / sizeof(*r->r_told))
		return (ENOMEM);
	r = env->ev_alloc(env->ev_arg, sizeof(*r));
	if (r == NULL)
		return (ENOMEM);
	set_up(r, rp);
	r->r_buf = env->ev_alloc(env->ev_arg, VHD_REPAIR_BUF);
	r->r_told = env->ev_alloc(env->ev_arg, ntold * sizeof(*r->r_told));
	error = rp->rp_file->f_ops->fo_length(rp->rp_file, &r->r_len);
	if (r->r_buf == NULL || r->r_told == NULL)
		error = ENOMEM;
	if (error == 0)
		error = repair(r);
	if (r->r_im != NULL)
		img_abandon(r->r_im);
	vhd_free_moves(r, &r->r_clear);
	vhd_free_moves(r, &r->r_moves);
	vhd_free_moves(r, &r->r_empty);
	vhd_free_moves(r, &r->r_unmap);
	if (r->r_told != NULL)
		env->ev_free(env->ev_arg, r->r_told,
		    ntold * sizeof(*r->r_told));
	if (r->r_buf != NULL)
		env->ev_free(env->ev_arg, r->r_buf, VHD_REPAIR_BUF);
	env->ev_free(env->ev_arg, r, sizeof(*r));
	return (error);
}
