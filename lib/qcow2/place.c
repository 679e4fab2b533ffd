/* SPDX-License-Identifier: ISC */

/*
 * Where the header puts the tables: aligned, inside the file, apart from each
 * other.  Reading needs the L1 table only, so trouble with the refcount table
 * forbids no more than writing.
 */

#include "qcow2/qcow2.h"

static void
add_area(struct img *im, enum qcow2_use use, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_area *a = &q->q_area[q->q_nareas++];

	a->a_use = use;
	a->a_off = off;
	a->a_len = img_roundup(len, q->q_cluster);
}

enum qcow2_use
qcow2_over(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	uint32_t i;

	for (i = 0; i < q->q_nareas; i++)
		if (img_overlap(off, len, q->q_area[i].a_off,
			q->q_area[i].a_len))
			return (q->q_area[i].a_use);
	return (QCOW2_U_NONE);
}

/* A row about the guest's bytes under L1 entries from the n-th on. */
static void
raise_lost(struct img *im, enum img_row row, uint64_t off, uint64_t n,
    uint64_t found, uint64_t want)
{
	struct img_finding fi;
	uint32_t shift = qcow2_l1_shift(qcow2(im));

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = row;
	fi.fi_off = off;
	fi.fi_rel = IMG_WANT_MIN;
	fi.fi_found = found;
	fi.fi_want = want;
	if (n <= im->im_size >> shift) {
		fi.fi_voff = n << shift;
		fi.fi_vlen = im->im_size - fi.fi_voff;
	}
	img_raise_finding(im, &fi);
}

static int
place_l1(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off = img_be64(q->q_head + QCOW2_H_L1_OFF), need, n;

	q->q_l1_size = img_be32(q->q_head + QCOW2_H_L1_SIZE);
	need = qcow2_l1_needed(q, im->im_size);
	if (q->q_l1_size > QCOW2_L1_MAX) {
		img_raise_num(im, IMG_QCOW2_L1_LIMIT, QCOW2_H_L1_SIZE,
		    IMG_WANT_MAX, q->q_l1_size, QCOW2_L1_MAX);
		return (EFTYPE);
	}
	q->q_active.t_active = 1;
	q->q_active.t_size = im->im_size;
	if (need > q->q_l1_size)
		raise_lost(im, IMG_QCOW2_L1_SHORT, QCOW2_H_L1_SIZE,
		    q->q_l1_size, q->q_l1_size, need);
	if (q->q_l1_size == 0)
		return (0);
	if (!qcow2_aligned(q, off)) {
		img_raise_num(im, IMG_QCOW2_L1_ALIGN, QCOW2_H_L1_OFF,
		    IMG_WANT_ANY, off, 0);
		return (EFTYPE);
	}
	if (off == 0) {
		img_raise_num(im, IMG_QCOW2_L1_PLACE, QCOW2_H_L1_OFF,
		    IMG_WANT_ANY, off, 0);
		return (EFTYPE);
	}
	n = off < im->im_eof[0] ? (im->im_eof[0] - off) / 8 : 0;
	if (n < q->q_l1_size)
		raise_lost(im, IMG_QCOW2_L1_RANGE, QCOW2_H_L1_OFF, n,
		    im->im_eof[0], off + (uint64_t)q->q_l1_size * 8);
	/* With a size that cannot be, only what the disk needs is entries. */
	if (n < q->q_l1_size)
		n = img_min(n, need);
	q->q_active.t_off = off;
	q->q_active.t_n = (uint32_t)img_min(n, q->q_l1_size);
	if (q->q_active.t_n > 0)
		add_area(im, QCOW2_U_L1, off, (uint64_t)q->q_active.t_n * 8);
	return (0);
}

/* The row that forbids the use of the refcount table. */
static enum img_row
judge_rt(const struct img *im, uint64_t off, uint64_t len)
{
	const struct qcow2 *q = qcow2(im);

	if (len == 0)
		return (IMG_QCOW2_RT_NONE);
	if (len > QCOW2_RT_MAX)
		return (IMG_QCOW2_RT_LIMIT);
	if (!qcow2_aligned(q, off))
		return (IMG_QCOW2_RT_ALIGN);
	if (off == 0 || !img_inside(off, len, im->im_eof[0]))
		return (IMG_QCOW2_RT_PLACE);
	return (IMG_ROW_NONE);
}

static int
place_rt(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off = img_be64(q->q_head + QCOW2_H_RT_OFF), len;
	enum img_row row;

	q->q_rt_cl = img_be32(q->q_head + QCOW2_H_RT_CLUSTERS);
	len = (uint64_t)q->q_rt_cl << q->q_bits;
	row = judge_rt(im, off, len);
	if (row == IMG_ROW_NONE && qcow2_over(q, off, len) != QCOW2_U_NONE) {
		/* Which of the two is wrong cannot be known. */
		img_raise_num(im, IMG_QCOW2_L1_PLACE, QCOW2_H_L1_OFF,
		    IMG_WANT_ANY, q->q_active.t_off, 0);
		return (EFTYPE);
	}
	if (row != IMG_ROW_NONE) {
		img_raise_num(im, row,
		    row == IMG_QCOW2_RT_NONE || row == IMG_QCOW2_RT_LIMIT ?
			QCOW2_H_RT_CLUSTERS :
			QCOW2_H_RT_OFF,
		    IMG_WANT_ANY,
		    row == IMG_QCOW2_RT_NONE || row == IMG_QCOW2_RT_LIMIT ?
			q->q_rt_cl :
			off,
		    0);
		return (0);
	}
	q->q_rt_off = off;
	q->q_rt_n = (uint32_t)(len / 8);
	add_area(im, QCOW2_U_RT, off, len);
	return (0);
}

static void
place_snapshots(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint32_t n = img_be32(q->q_head + QCOW2_H_NSNAP);

	q->q_snap_off = img_be64(q->q_head + QCOW2_H_SNAP_OFF);
	/* A stale place is usual, but qemu opens none that could not be one. */
	if (n == 0 && qcow2_aligned(q, q->q_snap_off) &&
	    q->q_snap_off <= INT64_MAX)
		return;
	if (n > 0 && qcow2_data_file(q))
		img_raise_num(im, IMG_QCOW2_SNAP_FILE, QCOW2_H_NSNAP,
		    IMG_WANT_EQ, n, 0);
	if (n > QCOW2_NSNAP_MAX || q->q_snap_off < q->q_cluster ||
	    q->q_snap_off > INT64_MAX || !qcow2_aligned(q, q->q_snap_off)) {
		img_raise_num(im, IMG_QCOW2_SNAP_HEADER,
		    n > QCOW2_NSNAP_MAX ? QCOW2_H_NSNAP : QCOW2_H_SNAP_OFF,
		    IMG_WANT_ANY, n > QCOW2_NSNAP_MAX ? n : q->q_snap_off, 0);
		q->q_snap_bad = 1;
		return;
	}
	q->q_nsnap = n;
}

int
qcow2_place(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	int error;

	add_area(im, QCOW2_U_HEADER, 0, q->q_cluster);
	error = place_l1(im);
	if (error == 0)
		error = place_rt(im);
	if (error != 0)
		return (error);
	place_snapshots(im);
	if (q->q_luks_len > 0)
		add_area(im, QCOW2_U_LUKS, q->q_luks_off, q->q_luks_len);
	if ((q->q_autoclear & QCOW2_A_BITMAPS) && q->q_bitmap_off != 0 &&
	    img_inside(q->q_bitmap_off, q->q_bitmap_len, im->im_eof[0]))
		add_area(im, QCOW2_U_BITMAP, q->q_bitmap_off, q->q_bitmap_len);
	q->q_tree = q->q_active;
	return (0);
}
