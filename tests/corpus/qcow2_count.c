/* SPDX-License-Identifier: ISC */

/*
 * Refcounts and COPIED flags, computed from all references that the image
 * has: the statement "counts" makes a sound image of what was put together.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

#define NUM(i) number(l, im, l->l_word[i])
#define NCLUSTERS (1u << 22)

/* References by host cluster. */
static uint64_t refs[NCLUSTERS];
static uint64_t nrefs; /* clusters below have some */

static void
refer(const struct line *l, const struct qimage *q, uint64_t off, uint64_t len)
{
	uint64_t cl, last;

	if (len == 0)
		return;
	last = (off + len - 1) >> q->q_bits;
	if (last >= NCLUSTERS)
		die(l, "counts: nothing may lie at %llu",
		    (unsigned long long)off);
	for (cl = off >> q->q_bits; cl <= last; cl++)
		refs[cl]++;
	if (nrefs <= last)
		nrefs = last + 1;
}

static void
refer_l1(const struct walk *w, uint64_t at, uint64_t l1)
{
	(void)at;
	if ((l1 & OFFSET) != 0)
		refer(w->w_line, w->w_q, l1 & OFFSET, w->w_q->q_cluster);
}

static void
refer_l2(const struct walk *w, uint64_t cl, uint64_t at, uint64_t entry,
    uint64_t bits)
{
	const struct qimage *q = w->w_q;
	uint64_t off, len;

	(void)cl;
	(void)at;
	(void)bits;
	if ((q->q_incompat & DATA_FILE) != 0)
		return;
	if ((entry & PACKED) != 0) {
		off = q_packed(q, entry, &len);
		refer(w->w_line, q, off, len);
	} else if ((entry & OFFSET) != 0)
		refer(w->w_line, q, entry & OFFSET, q->q_cluster);
}

/* The snapshot table, each L1 table of it and what that leads to. */
static void
refer_snaps(const struct walk *w)
{
	const struct qimage *q = w->w_q;
	uint64_t i, at = q->q_snap_off;
	struct qsnap s;

	for (i = 0; i < q->q_nsnap; i++, at = s.s_next) {
		q_snap(w->w_line, w->w_im, q, at, &s);
		refer(w->w_line, q, s.s_l1_off, s.s_l1_n * 8);
		q_walk(w, s.s_l1_off, s.s_l1_n);
	}
	refer(w->w_line, q, q->q_snap_off, at - q->q_snap_off);
}

static void
refer_bitmaps(const struct line *l, const struct image *im,
    const struct qimage *q)
{
	uint64_t ext, len, dir, i, k, v, at;
	struct qbitmap b;

	ext = q_ext(l, im, q, EXT_BITMAPS, &len);
	if (ext == 0 || (q->q_autoclear & 1) == 0)
		return;
	dir = q_get(l, im, 8, ext + 16);
	refer(l, q, dir, q_get(l, im, 8, ext + 8));
	for (i = 0, at = dir; i < q_get(l, im, 4, ext); i++, at = b.b_next) {
		q_bitmap(l, im, at, &b);
		refer(l, q, b.b_table, b.b_n * 8);
		for (k = 0; k < b.b_n; k++) {
			v = q_get(l, im, 8, b.b_table + 8 * k);
			if ((v & OFFSET) != 0)
				refer(l, q, v & OFFSET, q->q_cluster);
		}
	}
}

/* Everything but the refcount blocks. */
static void
refer_all(const struct walk *w)
{
	const struct line *l = w->w_line;
	const struct image *im = w->w_im;
	const struct qimage *q = w->w_q;
	uint64_t ext, len;

	memset(refs, 0, nrefs * sizeof(refs[0]));
	nrefs = 0;
	refer(l, q, 0, q->q_cluster);
	refer(l, q, q->q_l1_off, q->q_l1_n * 8);
	refer(l, q, q->q_rt_off, q->q_rt_cl * q->q_cluster);
	q_walk(w, q->q_l1_off, q->q_l1_n);
	refer_snaps(w);
	refer_bitmaps(l, im, q);
	ext = q_ext(l, im, q, EXT_LUKS, &len);
	if (ext != 0)
		refer(l, q, q_get(l, im, 8, ext), q_get(l, im, 8, ext + 8));
}

/* Block i of the refcount table; if there is none, it is made. */
static uint64_t
block(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t i, uint64_t at)
{
	uint64_t off;

	if (i >= q->q_rt_cl * q->q_cluster / 8)
		die(l, "%s: refcount table is too short", l->l_word[0]);
	off = q_get(l, im, 8, q->q_rt_off + 8 * i);
	if (off == 0) {
		off = at != NOWHERE ? at : q_room(l, im, q);
		q_reach(l, im, off + q->q_cluster);
		q_put(l, im, 8, q->q_rt_off + 8 * i, off);
	}
	return (off);
}

static void
put_count(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t cl, uint64_t n)
{
	uint64_t at, i = cl % q->q_rb_n, nbits = UINT64_C(1) << q->q_order;
	uint8_t b, mask;

	at = block(l, im, q, cl / q->q_rb_n, NOWHERE);
	if (nbits < 64 && n >> nbits != 0)
		die(l, "%s: a refcount of cluster %llu does not fit",
		    l->l_word[0], (unsigned long long)cl);
	if (nbits >= 8) {
		q_put(l, im, (unsigned)nbits / 8, at + i * nbits / 8, n);
		return;
	}
	file_read(l, im, &b, 1, at + i * nbits / 8);
	mask = (uint8_t)((1u << nbits) - 1);
	b &= (uint8_t) ~(mask << i * nbits % 8);
	b |= (uint8_t)(n << i * nbits % 8);
	file_write(l, im, &b, 1, at + i * nbits / 8);
}

/* Blocks for all clusters in use; they may need blocks themselves. */
static void
refer_blocks(const struct walk *w, struct image *im)
{
	const struct qimage *q = w->w_q;
	uint64_t i, n = q->q_rt_cl * q->q_cluster / 8, off;

	for (i = 0; i < nrefs; i += q->q_rb_n)
		block(w->w_line, im, q, i / q->q_rb_n, NOWHERE);
	for (i = 0; i < n; i++) {
		off = q_get(w->w_line, im, 8, q->q_rt_off + 8 * i);
		if (off != 0)
			refer(w->w_line, q, off, q->q_cluster);
	}
}

static void
clear_blocks(const struct line *l, struct image *im, const struct qimage *q)
{
	uint64_t i, n = q->q_rt_cl * q->q_cluster / 8, off;

	for (i = 0; i < n; i++) {
		off = q_get(l, im, 8, q->q_rt_off + 8 * i);
		if (off != 0)
			file_fill(l, im, off, q->q_cluster, 0);
	}
}

static void
set_flag(const struct walk *w, uint64_t at, uint64_t entry, uint64_t off)
{
	struct image *im = w->w_arg;
	uint64_t was = entry;

	entry &= ~COPIED;
	if (refs[off >> w->w_q->q_bits] == 1)
		entry |= COPIED;
	if (entry != was)
		q_put(w->w_line, im, 8, at, entry);
}

static void
flag_l1(const struct walk *w, uint64_t at, uint64_t l1)
{
	if ((l1 & OFFSET) != 0)
		set_flag(w, at, l1, l1 & OFFSET);
}

static void
flag_l2(const struct walk *w, uint64_t cl, uint64_t at, uint64_t entry,
    uint64_t bits)
{
	(void)cl;
	(void)bits;
	if ((entry & PACKED) == 0 && (entry & OFFSET) != 0 &&
	    (w->w_q->q_incompat & DATA_FILE) == 0)
		set_flag(w, at, entry, entry & OFFSET);
}

static void
do_counts(const struct line *l, struct image *im, const struct qimage *q)
{
	struct walk w = { l, im, q, im, refer_l1, refer_l2 };
	uint64_t cl, last;

	/* Until no block had to be made that needs a block itself. */
	do {
		last = file_length(l, im);
		refer_all(&w);
		refer_blocks(&w, im);
	} while (file_length(l, im) != last);
	clear_blocks(l, im, q);
	for (cl = 0; cl < nrefs; cl++)
		put_count(l, im, q, cl, refs[cl]);
	w.w_l1 = flag_l1;
	w.w_l2 = flag_l2;
	q_walk(&w, q->q_l1_off, q->q_l1_n);
}

int
qcow2_count(const struct line *l, struct image *im)
{
	const char *w = l->l_word[0];
	uint64_t at = NOWHERE;
	const struct key keys[] = { { "at=", &at } };
	struct qimage q;

	if (strcmp(w, "counts") != 0 && strcmp(w, "count") != 0 &&
	    strcmp(w, "refblock") != 0)
		return (0);
	q_load(l, im, &q);
	if (strcmp(w, "counts") == 0)
		do_counts(l, im, &q);
	else if (l->l_nwords < 2)
		die(l, "%s: which?", w);
	else if (strcmp(w, "refblock") == 0) {
		get_keys(l, im, 2, keys, 1);
		block(l, im, &q, NUM(1), at);
	} else if (l->l_nwords != 4 || strcmp(l->l_word[2], "=") != 0)
		die(l, "count: want CLUSTER = N");
	else
		put_count(l, im, &q, NUM(1), NUM(3));
	return (1);
}
