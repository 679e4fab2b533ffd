/* SPDX-License-Identifier: ISC */

/*
 * New refcount blocks, and a larger refcount table.
 *
 * A new block describes itself: it is the first cluster of the range that it
 * covers, which nothing uses, and is written with its own count in it before
 * the entry of the table, which is written with the counts (barrier between).
 *
 * A larger table is placed at the start of the range that the old one did not
 * cover, behind the blocks for that range, in this order:
 *
 *	1. the blocks, with the counts of themselves and of the table
 *	2. the new table: what the old one says, and these blocks; barrier
 *	3. the header's sector, which switches from one to the other; barrier
 *	4. with the next flush, the old table's clusters are given up
 *
 * A cut before 3 leaves what was there; after it, the old table leaks.
 */

#include "qcow2/qcow2.h"

/* The pieces that tables are written in; im_buf has one. */
static uint32_t
piece(const struct qcow2 *q)
{
	return (q->q_cluster < IMG_BOUNCE ? q->q_cluster : IMG_BOUNCE);
}

/*
 * Write a block of counts for the clusters from first on: 1 for those below
 * end, else 0.
 */
static int
write_block(struct img *im, uint64_t off, uint64_t first, uint64_t end)
{
	struct qcow2 *q = qcow2(im);
	uint32_t len = piece(q), per = (len << 3) >> q->q_order, i, at;
	int error = 0;

	img_cache_drop(im, off, q->q_cluster);
	for (at = 0; at < q->q_cluster && error == 0; at += len) {
		memset(im->im_buf, 0, len);
		for (i = 0; i < per && first + i < end; i++)
			qcow2_count_put(im->im_buf, q->q_order, i, 1);
		error = img_io_write(im, 0, im->im_buf, len, off + at);
		first += per;
	}
	return (error);
}

static int
new_block(struct img *im, uint32_t i)
{
	struct qcow2 *q = qcow2(im);
	uint64_t cl = (uint64_t)i << q->q_rb_bits, off = cl << q->q_bits;
	int error;

	if (off >= QCOW2_HOST_MAX)
		return (ENOSPC);
	error = write_block(im, off, cl, cl + 1);
	if (error == 0)
		error = qcow2_rt_set(im, i, off);
	return (error);
}

/* Where a larger table goes, and what it needs. */
struct larger {
	uint32_t la_first; /* entry of the first new block */
	uint32_t la_nblocks;
	uint64_t la_ncl; /* clusters of the table */
	uint64_t la_cl;  /* of the first block; the table is behind them */
};

/*
 * Enough for entry i, and half as much again as there was as long as that is
 * allowed, in whole clusters.
 */
static int
plan(const struct qcow2 *q, uint32_t i, struct larger *la)
{
	uint64_t want, blocks = 1, before, most;

	la->la_first = i;
	la->la_cl = (uint64_t)i << q->q_rb_bits;
	most = img_min(q->q_rt_n + (uint64_t)q->q_rt_n / 2, QCOW2_RT_MAX / 8);
	do {
		before = blocks;
		want = (uint64_t)i + blocks;
		if (want < most)
			want = most;
		la->la_ncl = img_roundup(want * 8, q->q_cluster) >> q->q_bits;
		while (blocks << q->q_rb_bits < blocks + la->la_ncl)
			blocks++;
	} while (blocks != before);
	la->la_nblocks = (uint32_t)blocks;
	if (la->la_ncl << q->q_bits > QCOW2_RT_MAX ||
	    (la->la_cl + blocks + la->la_ncl) << q->q_bits > QCOW2_HOST_MAX)
		return (ENOSPC);
	return (0);
}

/* Entry i of the new table. */
static int
new_entry(struct img *im, const struct larger *la, uint32_t i, uint64_t *rb)
{
	struct qcow2 *q = qcow2(im);

	*rb = 0;
	if (i < q->q_rt_n)
		return (qcow2_rt_get(im, i, rb));
	if (i >= la->la_first && i - la->la_first < la->la_nblocks)
		*rb = (la->la_cl + (i - la->la_first)) << q->q_bits;
	return (0);
}

static int
write_table(struct img *im, const struct larger *la)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off = (la->la_cl + la->la_nblocks) << q->q_bits, rb;
	uint64_t end = off + (la->la_ncl << q->q_bits);
	uint32_t len = piece(q), i = 0, k;
	int error = 0;

	img_cache_drop(im, off, end - off);
	for (; off < end && error == 0; off += len) {
		for (k = 0; k < len / 8 && error == 0; k++) {
			error = new_entry(im, la, i++, &rb);
			img_put_be64(im->im_buf + (size_t)k * 8, rb);
		}
		if (error == 0)
			error = img_io_write(im, 0, im->im_buf, len, off);
	}
	return (error);
}

/* The header leads to the new table from here on. */
static int
switch_table(struct img *im, const struct larger *la)
{
	struct qcow2 *q = qcow2(im);
	uint64_t old = q->q_rt_off, off, len;
	uint32_t i, ncl = q->q_rt_cl;
	int error;

	off = (la->la_cl + la->la_nblocks) << q->q_bits;
	len = la->la_ncl << q->q_bits;
	img_put_be64(q->q_head + QCOW2_H_RT_OFF, off);
	img_put_be32(q->q_head + QCOW2_H_RT_CLUSTERS, (uint32_t)la->la_ncl);
	error = qcow2_write_head(im);
	if (error != 0) {
		im->im_latched = 1; /* which of the two holds is not known */
		return (error);
	}
	for (i = 0; i < q->q_nareas; i++)
		if (q->q_area[i].a_use == QCOW2_U_RT) {
			q->q_area[i].a_off = off;
			q->q_area[i].a_len = len;
		}
	/* What was changed in the old one is in the new one. */
	img_cache_drop(im, old, (uint64_t)ncl << q->q_bits);
	q->q_rt_off = off;
	q->q_rt_cl = (uint32_t)la->la_ncl;
	q->q_rt_n = (uint32_t)(len / 8);
	return (qcow2_drop(im, old >> q->q_bits, ncl, 1));
}

static int
grow_table(struct img *im, uint32_t i)
{
	struct qcow2 *q = qcow2(im);
	struct larger la;
	uint64_t cl, end;
	uint32_t k;
	int error;

	error = plan(q, i, &la);
	if (error != 0)
		return (error);
	end = la.la_cl + la.la_nblocks + la.la_ncl;
	for (k = 0; k < la.la_nblocks && error == 0; k++) {
		cl = la.la_cl + ((uint64_t)k << q->q_rb_bits);
		error = write_block(im, (la.la_cl + k) << q->q_bits, cl, end);
	}
	if (error == 0)
		error = write_table(im, &la);
	if (error == 0)
		error = switch_table(im, &la);
	return (error);
}

int
qcow2_cover(struct img *im, uint64_t cl)
{
	struct qcow2 *q = qcow2(im);
	uint64_t i = cl >> q->q_rb_bits, rb;
	int error;

	if (cl << q->q_bits >= QCOW2_HOST_MAX)
		return (ENOSPC);
	if (i >= q->q_rt_n)
		return (grow_table(im, (uint32_t)i));
	error = qcow2_rt_get(im, (uint32_t)i, &rb);
	if (error == 0 && rb == 0)
		error = new_block(im, (uint32_t)i);
	return (error);
}
