/* SPDX-License-Identifier: ISC */

/*
 * Host clusters.  A cluster is free while its refcount is 0: opening for
 * writing has seen to it that nothing in use has that.
 *
 * The order of everything that is written (see also grow.c and link.c):
 *
 *	1. data, copied tables, new refcount blocks; barrier
 *	2. refcounts that rise, entries of the refcount table; barrier
 *	3. L2 and L1 entries; barrier
 *	4. refcounts that fall; barrier
 *
 * 1 to 3 are what img_cache_flush does; falling refcounts wait in q_gone until
 * it is done, and only then is their space free.  So at any moment the stored
 * refcount of a cluster is at least the number of ways that lead to it, and
 * what a pointer leads to is complete: a power cut leaks at worst.
 */

#include "qcow2/qcow2.h"

int
qcow2_extend(struct img *im, uint64_t end)
{
	struct img_file *f = im->im_file[0];
	int error;

	end = img_roundup(end, qcow2(im)->q_cluster);
	if ((f->f_flags & IMG_FILE_FIXED) || end <= im->im_eof[0])
		return (0);
	im->im_unsynced = 1;
	error = f->f_ops->fo_resize(f, end);
	if (error == 0)
		im->im_eof[0] = end;
	return (error);
}

/*
 * Bitmaps that are not kept up to date: their extension becomes one that
 * nobody knows, in one write with the feature bit where it can be.  qemu 7.2
 * repairs the leaks beside a stale one by giving up all snapshots.
 */
static int
hide_bitmaps(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint64_t sec = q->q_bitmap_ext & ~(uint64_t)(QCOW2_HEAD - 1);
	uint32_t in = (uint32_t)q->q_bitmap_ext & (QCOW2_HEAD - 1);
	int error;

	if (!(q->q_autoclear & QCOW2_A_BITMAPS) || q->q_bitmap_ext == 0)
		return (0);
	if (QCOW2_HEAD - in < 4)
		return (0);
	if (sec == 0) {
		img_put_be32(q->q_head + in, QCOW2_X_NONE);
		return (0);
	}
	error = img_io_read(im, 0, im->im_buf, QCOW2_HEAD, sec);
	if (error != 0)
		return (error);
	img_put_be32(im->im_buf + in, QCOW2_X_NONE);
	error = img_io_meta(im, im->im_buf, QCOW2_HEAD, sec);
	return (error != 0 ? error : img_io_barrier(im));
}

int
qcow2_touch(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint64_t keep = 0;
	int error;

	if (q->q_touched)
		return (0);
	/* The last table may end before its cluster does. */
	error = qcow2_extend(im, im->im_eof[0]);
	if (error != 0)
		return (error);
	/* The data file of a raw one stays a complete image: zero.c. */
	if (qcow2_data_file(q))
		keep = QCOW2_A_RAW;
	q->q_touched = 1;
	if ((q->q_autoclear & ~keep) == 0)
		return (0);
	error = hide_bitmaps(im);
	if (error != 0)
		return (error);
	q->q_autoclear &= keep;
	img_put_be64(q->q_head + QCOW2_H_AUTOCLEAR, q->q_autoclear);
	return (qcow2_write_head(im));
}

/* Free clusters from q_free on; the refcount block for them is there. */
static int
find(struct img *im, uint64_t want, uint64_t *run)
{
	struct qcow2 *q = qcow2(im);
	uint64_t rb;
	int error, used;

	for (;;) {
		error = qcow2_count_run(im, q->q_free, want, run, &used);
		if (error != 0)
			return (error);
		if (used) {
			q->q_free += *run;
			continue;
		}
		/* The search stays at its place: a new block may take it. */
		error = qcow2_has_block(im, q->q_free, &rb);
		if (error != 0 || rb != 0)
			return (error);
		error = qcow2_cover(im, q->q_free);
		if (error != 0)
			return (error);
	}
}

int
qcow2_alloc(struct img *im, uint64_t *n, uint64_t *cl, int *fresh)
{
	struct qcow2 *q = qcow2(im);
	uint64_t run, off, i;
	int error;

	error = find(im, *n, &run);
	if (error != 0)
		return (error);
	off = q->q_free << q->q_bits;
	if (qcow2_over(q, off, run << q->q_bits) != QCOW2_U_NONE) {
		img_raise(im, IMG_QCOW2_META_UNCOUNTED, off);
		im->im_latched = 1;
		return (EIO);
	}
	if (off >= QCOW2_HOST_MAX)
		return (ENOSPC);
	run = img_min(run, (QCOW2_HOST_MAX - off) >> q->q_bits);
	if (im->im_file[0]->f_flags & IMG_FILE_FIXED) {
		if (!img_inside(off, q->q_cluster, im->im_eof[0]))
			return (ENOSPC);
		run = img_min(run, (im->im_eof[0] - off) >> q->q_bits);
	}
	for (i = 0; i < run; i++) {
		error = qcow2_set_count(im, q->q_free + i, 1);
		if (error != 0)
			return (error);
	}
	*n = run;
	*cl = q->q_free;
	*fresh = off >= im->im_eof[0];
	q->q_free += run;
	return (0);
}

/* One reference less for all that waited; the pointers are durable. */
static int
settle(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_gone *g;
	uint64_t count, cl;
	uint32_t i, k;
	int error;

	for (i = 0; i < q->q_ngone; i++) {
		g = &q->q_gone[i];
		for (k = 0; k < g->g_n; k++) {
			cl = g->g_cl + k;
			error = qcow2_count(im, cl, &count);
			if (error == 0 && count == 0)
				error = EIO;
			if (error == 0)
				error = qcow2_set_count(im, cl, count - 1);
			if (error != 0) {
				im->im_latched = 1;
				return (error);
			}
			if (count == 1 && cl < q->q_free)
				q->q_free = cl;
			/* What may get this cluster is no stream's neighbour. */
			if (count == 1 && cl == q->q_packed >> q->q_bits)
				q->q_packed = 0;
			if (count == 1 && g->g_table)
				img_cache_drop(im, cl << q->q_bits,
				    q->q_cluster);
		}
	}
	q->q_ngone = 0;
	return (0);
}

int
qcow2_drop(struct img *im, uint64_t cl, uint64_t n, int table)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_gone *g;
	int error;

	if (q->q_ngone > 0) {
		g = &q->q_gone[q->q_ngone - 1];
		if (g->g_cl + g->g_n == cl && g->g_table == (uint32_t)table &&
		    g->g_n < UINT32_MAX - n) {
			g->g_n += (uint32_t)n;
			return (0);
		}
	}
	if (q->q_ngone == QCOW2_NGONE) {
		error = img_cache_flush(im);
		if (error == 0)
			error = settle(im);
		if (error != 0)
			return (error);
	}
	g = &q->q_gone[q->q_ngone++];
	g->g_cl = cl;
	g->g_n = (uint32_t)n;
	g->g_table = (uint32_t)table;
	return (0);
}

int
qcow2_fresh(struct img *im)
{
	uint8_t zeros[QCOW2_HEAD];

	memset(zeros, 0, sizeof(zeros));
	return (img_io_meta(im, zeros, QCOW2_HEAD, 0));
}

int
qcow2_flush(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	int error, fresh = (im->im_flags & IMG_FRESH) != 0;

	im->im_flags &= ~IMG_FRESH;
	error = q->q_touched ? qcow2_extend(im, im->im_eof[0]) : 0;
	if (error == 0)
		error = img_cache_flush(im);
	if (error == 0 && q->q_ngone > 0) {
		error = settle(im);
		if (error == 0)
			error = img_cache_flush(im);
	}
	if (error == 0 && fresh) {
		error = img_io_meta(im, q->q_head, QCOW2_HEAD, 0);
		if (error == 0)
			error = img_io_barrier(im);
	}
	return (error);
}
