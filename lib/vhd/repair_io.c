/* SPDX-License-Identifier: ISC */

/* Repair of a VHD: the view that plans see, and the writing. */

#include "vhd/repair.h"

/* Lay what the repair has in memory over what was read. */
static void
overlay(uint8_t *buf, uint64_t off, uint32_t len, const uint8_t *src,
    uint64_t at, uint32_t n)
{
	uint64_t from = off > at ? off : at;
	uint64_t to = img_min(off + len, at + n);

	if (from < to)
		memcpy(buf + (from - off), src + (from - at),
		    (size_t)(to - from));
}

static int
view_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	struct vhd_repair *r = (struct vhd_repair *)f;
	struct img_file *file = r->r_rp->rp_file;
	uint64_t end = r->r_cur;
	int error;

	if (!img_inside(off, len, r->r_len))
		return (EIO);
	error = file->f_ops->fo_read(file, buf, len, off);
	if (error != 0)
		return (error);
	if (!r->r_locked)
		overlay(buf, off, len, r->r_foot, 0, VHD_FOOTER);
	if (end != IMG_NOWHERE)
		overlay(buf, off, len, r->r_foot, end, VHD_FOOTER);
	if (r->r_headoff != IMG_NOWHERE)
		overlay(buf, off, len, r->r_head, r->r_headoff, VHD_HEADER);
	return (0);
}

static int
view_length(struct img_file *f, uint64_t *len)
{
	*len = ((struct vhd_repair *)f)->r_len;
	return (0);
}

const struct img_fileops vhd_view_ops = { view_read, img_view_write,
	img_view_barrier, view_length, img_view_resize, NULL, NULL, NULL,
	NULL };

/* From the file itself; it may have grown since it was looked at. */
int
vhd_repair_read(struct vhd_repair *r, void *buf, uint32_t len, uint64_t off)
{
	struct img_file *f = r->r_rp->rp_file;

	if (!img_inside(off, len, r->r_len))
		return (EIO);
	return (f->f_ops->fo_read(f, buf, len, off));
}

int
vhd_repair_put(struct vhd_repair *r, const void *buf, uint32_t len,
    uint64_t off)
{
	struct img_file *f = r->r_rp->rp_file;

	if (!img_inside(off, len, r->r_device ? r->r_len : INT64_MAX))
		return (ENOSPC);
	r->r_written = 1;
	return (f->f_ops->fo_write(f, buf, len, off));
}

int
vhd_repair_zeros(struct vhd_repair *r, uint64_t off, uint64_t len)
{
	uint32_t n;
	int error = 0;

	memset(r->r_buf, 0, VHD_REPAIR_BUF);
	for (; len > 0 && error == 0; off += n, len -= n) {
		n = (uint32_t)img_min(VHD_REPAIR_BUF, len);
		error = vhd_repair_put(r, r->r_buf, n, off);
	}
	return (error);
}

int
vhd_repair_barrier(struct vhd_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;
	int error = 0;

	if (r->r_written)
		error = f->f_ops->fo_barrier(f);
	r->r_written = 0;
	return (error);
}

static int
put_footer(struct vhd_repair *r, uint64_t off)
{
	int error;

	error = vhd_repair_put(r, r->r_foot, VHD_FOOTER, off);
	return (error != 0 ? error : vhd_repair_barrier(r));
}

static int
put_copy(struct vhd_repair *r)
{
	uint64_t off = img_be64(r->r_foot + VHD_F_DATA_OFF);

	/* Without a header behind it, sector 0 may be anybody's. */
	if (!r->r_dynamic || r->r_locked || !vhd_repair_header_at(r, off, 0) ||
	    memcmp(r->r_foot, r->r_copy, VHD_FOOTER) == 0)
		return (0);
	memcpy(r->r_copy, r->r_foot, VHD_FOOTER);
	return (put_footer(r, 0));
}

/* The bytes of the old end footer that the new end leaves behind. */
static int
wipe_old(struct vhd_repair *r)
{
	uint64_t len;
	int error;

	if (r->r_target <= r->r_cur)
		return (0);
	len = img_min(VHD_FOOTER, r->r_target - r->r_cur);
	error = vhd_repair_zeros(r, r->r_cur, len);
	return (error != 0 ? error : vhd_repair_barrier(r));
}

/*
 * The end footer moves.  While the old one is destroyed, another is good: the
 * copy, or in a fixed image a footer at the new end or behind both.
 */
static int
move_end(struct vhd_repair *r)
{
	uint64_t cur = r->r_cur, target = r->r_target;
	int near, error;

	near = target < cur + VHD_FOOTER && cur < target + VHD_FOOTER;
	if (r->r_dynamic && target > cur) {
		error = put_copy(r);
		if (error == 0)
			error = wipe_old(r);
		return (error != 0 ? error : put_footer(r, target));
	}
	error = put_footer(r, near ? vhd_sectors_up(r->r_len) : target);
	if (error == 0)
		error = wipe_old(r);
	if (error == 0 && near)
		error = put_footer(r, target);
	r->r_cut |= near;
	return (error);
}

static int
put_end(struct vhd_repair *r)
{
	if (r->r_target == IMG_NOWHERE)
		return (0);
	if (r->r_cur == IMG_NOWHERE)
		return (put_footer(r, r->r_target));
	if (r->r_cur != r->r_target)
		return (move_end(r));
	if (!r->r_force && memcmp(r->r_foot, r->r_end, VHD_FOOTER) == 0)
		return (0);
	return (put_footer(r, r->r_target));
}

/* Only the sectors that change. */
static int
put_head(struct vhd_repair *r)
{
	uint32_t at;
	int error = 0;

	if (r->r_headlocked)
		return (0);
	vhd_set_sum(r->r_head, VHD_HEADER, VHD_H_SUM);
	for (at = 0; at < VHD_HEADER && error == 0; at += IMG_SECTOR)
		if (memcmp(r->r_head + at, r->r_oldhead + at, IMG_SECTOR) != 0)
			error = vhd_repair_put(r, r->r_head + at, IMG_SECTOR,
			    r->r_headoff + at);
	return (error != 0 ? error : vhd_repair_barrier(r));
}

static int
put_blocks(struct vhd_repair *r)
{
	int error;

	if (r->r_im == NULL)
		return (0);
	error = vhd_put_entries(r, &r->r_clear);
	if (error == 0)
		error = vhd_repair_barrier(r);
	if (error == 0)
		error = vhd_put_bits(r);
	if (error == 0)
		error = vhd_copy_blocks(r);
	if (error == 0)
		error = vhd_repair_barrier(r);
	if (error == 0)
		error = vhd_put_entries(r, &r->r_moves);
	if (error == 0 && r->r_extend)
		error = vhd_put_padding(r);
	if (error == 0)
		error = vhd_repair_barrier(r);
	if (error == 0)
		error = vhd_put_batmap(r);
	return (error != 0 ? error : vhd_repair_barrier(r));
}

static int
cut(struct vhd_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;
	int error;

	if (!r->r_cut || r->r_device || r->r_target == IMG_NOWHERE)
		return (0);
	error = f->f_ops->fo_resize(f, r->r_target + VHD_FOOTER);
	return (error != 0 ? error : f->f_ops->fo_barrier(f));
}

int
vhd_repair_write(struct vhd_repair *r)
{
	int error, early;

	/* Space for what moves there, and for blocks that were cut. */
	early = r->r_target != IMG_NOWHERE &&
	    (r->r_cur != IMG_NOWHERE ? r->r_target > r->r_cur :
				       r->r_moves.ms_n > 0);
	error = early ? put_end(r) : 0;
	if (error == 0)
		error = put_blocks(r);
	if (error == 0)
		error = put_head(r);
	if (error == 0 && !early)
		error = put_end(r);
	if (error == 0)
		error = put_copy(r);
	return (error != 0 ? error : cut(r));
}
