/* SPDX-License-Identifier: ISC */

/*
 * Stage CHECK of VHD: who owns the space of the file, what leaks, time
 * stamps, padding.  Of tables only the BAT is looked at, again and through
 * the cache; data and bitmaps only with IMG_DEEP.
 */

#include "vhd/tool.h"

const struct img_tool img_tool_vhd = {
	.t_format = &img_vhd,
	.t_opts = vhd_opts,
	.t_info = vhd_info,
	.t_check = vhd_check,
	.t_repair = vhd_repair,
	.t_create = vhd_create,
};

#define DAY 86400

struct owners {
	struct img_checked *ow_ch;
	struct vhd_area ow_batmap;
	uint64_t ow_cursor; /* everything below is accounted for */
	uint64_t ow_align;  /* the first data that is not aligned, or 0 */
	int ow_leaks;       /* unowned space is worth a finding */
};

/* The metadata that comes first in [from, to), NULL if there is none. */
static const struct vhd_area *
first_area(struct vhd *v, const struct owners *ow, uint64_t from, uint64_t to)
{
	const struct vhd_area *best = NULL, *a;
	uint32_t i;

	for (i = 0; i <= v->v_nareas; i++) {
		a = i < v->v_nareas ? &v->v_area[i] : &ow->ow_batmap;
		if (img_overlap(a->a_off, a->a_len, from, to - from) &&
		    (best == NULL || a->a_off < best->a_off))
			best = a;
	}
	return (best);
}

/* No block owns [from, to): what metadata does not own either leaks. */
static void
gap(struct img *im, const struct owners *ow, uint64_t from, uint64_t to)
{
	struct vhd *v = vhd(im);
	const struct vhd_area *a;
	uint64_t stop;

	while (from < to) {
		a = first_area(v, ow, from, to);
		stop = a == NULL ? to : a->a_off;
		if (stop > from && stop - from >= vhd_stride(v))
			img_raise_num(im, IMG_VHD_LEAK, from, IMG_WANT_ANY,
			    stop - from, 0);
		from = a == NULL ? to : a->a_off + a->a_len;
	}
}

/* The end of the metadata that starts below off: gaps in it are no leaks. */
static uint64_t
metadata_end(const struct vhd *v, uint64_t off)
{
	const struct vhd_area *a;
	uint64_t end = 0;

	for (a = v->v_area; a < v->v_area + v->v_nareas; a++)
		if (a->a_off < off && a->a_off + a->a_len > end)
			end = a->a_off + a->a_len;
	return (end);
}

static int
own_block(struct img *im, void *arg, uint32_t sec, uint32_t index)
{
	struct vhd *v = vhd(im);
	struct owners *ow = arg;
	uint64_t off = (uint64_t)sec * IMG_SECTOR, usable;
	uint64_t at = v->v_bat_off + (uint64_t)index * 4;

	if (ow->ow_cursor == 0)
		ow->ow_cursor = metadata_end(v, off);
	if (ow->ow_leaks && off > ow->ow_cursor)
		gap(im, ow, ow->ow_cursor, off);
	if (off + vhd_stride(v) > ow->ow_cursor)
		ow->ow_cursor = off + vhd_stride(v);
	if (vhd_judge(im, sec, &usable) != IMG_ROW_NONE)
		return (0);
	if ((off + v->v_bitmap) % 4096 != 0 && ow->ow_align == 0)
		ow->ow_align = off + v->v_bitmap;
	if (img_overlap(off, vhd_stride(v), ow->ow_batmap.a_off,
		ow->ow_batmap.a_len))
		img_raise_num(im, IMG_VHD_BATMAP_OVERLAP, at, IMG_WANT_ANY, sec,
		    0);
	return (0);
}

static int
check_owners(struct img *im, struct owners *ow)
{
	struct vhd *v = vhd(im);
	uint64_t end;
	int error;

	/*
	 * Where entries are damaged, the blocks they lost would look like
	 * leaks: those rows say enough.
	 */
	ow->ow_leaks = !v->v_damaged &&
	    (im->im_allows > IMG_ALLOW_MAP ||
		im->im_why.fi_row == IMG_VHD_DIFFERENCING ||
		im->im_why.fi_row == IMG_VHD_PARENT_RAW);
	error = vhd_sorted(im, own_block, ow);
	if (error != 0)
		return (error);
	end = v->v_endfooter != IMG_NOWHERE ? v->v_endfooter : im->im_eof[0];
	if (ow->ow_cursor == 0) /* no blocks */
		ow->ow_cursor = metadata_end(v, end);
	/* On a device what is behind the last block is room to grow. */
	if (ow->ow_leaks && end > ow->ow_cursor &&
	    !(im->im_file[0]->f_flags & IMG_FILE_FIXED))
		gap(im, ow, ow->ow_cursor, end);
	if (ow->ow_align != 0)
		img_raise(im, IMG_VHD_ALIGN, ow->ow_align);
	ow->ow_ch->ch_end = metadata_end(v, IMG_NOWHERE);
	if (ow->ow_ch->ch_end < ow->ow_cursor)
		ow->ow_ch->ch_end = ow->ow_cursor;
	if (v->v_endfooter != IMG_NOWHERE)
		ow->ow_ch->ch_end = v->v_endfooter + VHD_FOOTER;
	return (0);
}

int
vhd_count_blocks(struct img *im, struct img_checked *ch)
{
	struct vhd *v = vhd(im);
	uint32_t i, sec, prev = VHD_ABSENT;
	uint64_t n = img_min(v->v_nblocks, v->v_nentries);
	int error;

	memset(ch, 0, sizeof(*ch));
	ch->ch_units = v->v_nblocks;
	for (i = 0; i < n; i++) {
		error = vhd_bat_get(im, i, &sec);
		if (error != 0)
			return (error);
		if (sec == VHD_ABSENT)
			continue;
		ch->ch_allocated++;
		if (prev != VHD_ABSENT &&
		    sec != (uint64_t)prev + vhd_stride(v) / IMG_SECTOR)
			ch->ch_fragmented++;
		prev = sec;
	}
	return (0);
}

/* The rest of the BAT's last sector. */
static int
check_padding(struct img *im)
{
	struct vhd *v = vhd(im);
	struct img_slice *sl;
	uint32_t at, i;
	int error;

	if (v->v_nentries == 0)
		return (0);
	error = vhd_bat_slice(im, v->v_nentries - 1, &sl, &at);
	if (error != 0)
		return (error);
	for (i = at + 4; i < sl->sl_len; i++)
		if (sl->sl_data[i] != 0xff) {
			img_raise_num(im, IMG_VHD_BAT_PADDING, sl->sl_off + i,
			    IMG_WANT_EQ, sl->sl_data[i], 0xff);
			break;
		}
	return (0);
}

/* A disk with blocks this small cannot be written all over. */
static void
check_room(struct img *im)
{
	struct vhd *v = vhd(im);
	uint64_t last;

	if (v->v_nblocks == 0 || v->v_nblocks > UINT32_MAX)
		return;
	last = v->v_bat_off + vhd_bat_bytes(v->v_nentries) +
	    (v->v_nblocks - 1) * vhd_stride(v);
	if (last / IMG_SECTOR >= VHD_ABSENT)
		img_raise_num(im, IMG_VHD_NO_ROOM,
		    v->v_header_off + VHD_H_BLOCK, IMG_WANT_ANY, v->v_block, 0);
}

static void
check_times(struct img *im, int64_t now)
{
	struct vhd *v = vhd(im);
	uint32_t stamp = img_be32(v->v_footer + VHD_F_TIME);
	int64_t limit = now - VHD_EPOCH + DAY;

	if (limit < 0)
		limit = 0;
	if ((int64_t)stamp > limit)
		img_raise_num(im, IMG_VHD_FUTURE, v->v_infooter + VHD_F_TIME,
		    IMG_WANT_MAX, stamp, (uint64_t)limit);
	if (v->v_type != VHD_DIFFERENCING)
		return;
	stamp = img_be32(v->v_header + VHD_H_PARENT_TIME);
	if ((int64_t)stamp > limit)
		img_raise_num(im, IMG_VHD_PARENT_FUTURE,
		    v->v_header_off + VHD_H_PARENT_TIME, IMG_WANT_MAX, stamp,
		    (uint64_t)limit);
}

int
vhd_check(struct img *im, unsigned flags, int64_t now, struct img_checked *ch)
{
	struct vhd *v = vhd(im);
	struct owners ow;
	int error;

	check_times(im, now);
	if (v->v_type == VHD_FIXED) {
		ch->ch_end = v->v_endfooter + VHD_FOOTER;
		return (0);
	}
	memset(&ow, 0, sizeof(ow));
	ow.ow_ch = ch;
	check_room(im);
	error = vhd_count_blocks(im, ch);
	if (error == 0)
		error = check_padding(im);
	if (error == 0)
		error = vhd_batmap(im, &ow.ow_batmap);
	if (error == 0)
		error = check_owners(im, &ow);
	if (error == 0 && v->v_type == VHD_DIFFERENCING)
		error = vhd_check_locators(im);
	if (error == 0)
		error = vhd_check_batmap(im, &ow.ow_batmap);
	if (error == 0 && (flags & IMG_DEEP))
		error = vhd_check_deep(im, &ow.ow_batmap);
	return (error);
}
