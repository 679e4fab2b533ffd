/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: the first cluster.  Sectors are what a write changes or
 * does not, so each step is an edit of one sector, after which the image is
 * sound as far as it was before: what would need several is not done.  Where
 * extensions would have to move over the end of a sector, the names of
 * features, which only word messages, are left out to make room.
 */

#include "qcow2/repair.h"

/* An extension in the first cluster. */
struct ext {
	uint32_t xt_type;
	uint32_t xt_off; /* of its type */
	uint32_t xt_len; /* with its head, padded as far as there is room */
};

#define NEXTS (QCOW2_EXT_MAX - 1)

struct exts {
	uint32_t xs_n;
	uint32_t xs_end;  /* where the area ends */
	uint32_t xs_stop; /* where the next one would be */
	int xs_ended;     /* there is an end marker */
	int xs_broken;    /* it is longer than the area */
	struct ext xs_ext[NEXTS + 1];
};

static uint32_t
header_length(const uint8_t *b)
{
	return (img_be32(b + QCOW2_H_VERSION) < 3 ?
		QCOW2_H_V2_LEN :
		img_be32(b + QCOW2_H_LENGTH));
}

static uint32_t
area_end(const struct qcow2_repair *r, const uint8_t *b)
{
	uint64_t off = img_be64(b + QCOW2_H_BACKING_OFF);

	return (off != 0 && off < r->r_headlen ? (uint32_t)off : r->r_headlen);
}

/* All extensions that r_head has. */
static void
parse(const struct qcow2_repair *r, struct exts *xs)
{
	const uint8_t *b = r->r_head;
	struct ext *x;
	uint32_t at = header_length(b), len;

	memset(xs, 0, sizeof(*xs));
	xs->xs_end = area_end(r, b);
	for (; at <= xs->xs_end && xs->xs_end - at >= 8; at += x->xt_len) {
		x = &xs->xs_ext[xs->xs_n];
		xs->xs_stop = at;
		len = img_be32(b + at + 4);
		xs->xs_broken = len > xs->xs_end - at - 8 || xs->xs_n == NEXTS;
		xs->xs_ended = !xs->xs_broken &&
		    img_be32(b + at) == QCOW2_X_END;
		if (xs->xs_ended || xs->xs_broken)
			return;
		x->xt_type = img_be32(b + at);
		x->xt_off = at;
		x->xt_len =
		    (uint32_t)img_min(8 + img_roundup(len, 8), xs->xs_end - at);
		xs->xs_n++;
	}
	xs->xs_stop = at;
}

/*
 * r_new becomes what r_head is: an edit, if it is one.  Nothing has changed
 * where there is none, and that is fine too.
 */
static int
commit(struct qcow2_repair *r)
{
	struct qcow2_edit *ed = &r->r_edit[r->r_nedits];
	uint32_t off, n = 0, first = 0;

	for (off = 0; off < r->r_headlen; off += IMG_SECTOR)
		if (memcmp(r->r_head + off, r->r_new + off, IMG_SECTOR) != 0 &&
		    n++ == 0)
			first = off;
	if (n == 0)
		return (1);
	if (n > 1 || r->r_nedits == QCOW2_NEDITS) {
		memcpy(r->r_new, r->r_head, r->r_headlen);
		return (0);
	}
	ed->ed_off = first;
	memcpy(ed->ed_data, r->r_new + first, IMG_SECTOR);
	memcpy(r->r_head + first, r->r_new + first, IMG_SECTOR);
	r->r_nedits++;
	return (1);
}

/* Bytes that nothing in the image leads to: any number of sectors. */
static int
commit_unused(struct qcow2_repair *r, const void *p, uint32_t len, uint32_t off)
{
	uint32_t sec;

	memcpy(r->r_new + off, p, len);
	for (sec = off / IMG_SECTOR; sec * IMG_SECTOR < off + len; sec++) {
		if (r->r_nedits == QCOW2_NEDITS)
			return (0);
		r->r_edit[r->r_nedits].ed_off = sec * IMG_SECTOR;
		memcpy(r->r_edit[r->r_nedits++].ed_data,
		    r->r_new + sec * IMG_SECTOR, IMG_SECTOR);
	}
	memcpy(r->r_head + off, p, len);
	return (1);
}

/* The extensions anew, behind a header of that length; 0: there is no room. */
static int
lay_out(struct qcow2_repair *r, const struct exts *xs, const uint8_t *drop,
    uint32_t length)
{
	uint32_t at = length, was = header_length(r->r_head), i;
	const struct ext *x = xs->xs_ext;

	memcpy(r->r_new, r->r_head, r->r_headlen);
	if (length != was) {
		img_put_be32(r->r_new + QCOW2_H_LENGTH, length);
		memset(r->r_new + was, 0, length - was);
	}
	for (i = 0; i < xs->xs_n; i++, x++) {
		if (drop[i])
			continue;
		if (at > xs->xs_end || x->xt_len > xs->xs_end - at)
			return (0);
		memcpy(r->r_new + at, r->r_head + x->xt_off, x->xt_len);
		at += (uint32_t)img_roundup(x->xt_len, 8);
	}
	if (at > xs->xs_end || xs->xs_end - at < 8)
		return (0);
	memset(r->r_new + at, 0, 8);
	return (1);
}

/* The same, without the names of features where that helps. */
static int
rewrite(struct qcow2_repair *r, const struct exts *xs, uint8_t *drop,
    uint32_t length)
{
	uint32_t i;

	if (xs->xs_broken)
		return (0);
	if (lay_out(r, xs, drop, length) && commit(r))
		return (1);
	for (i = 0; i < xs->xs_n; i++)
		drop[i] |= xs->xs_ext[i].xt_type == QCOW2_X_FEATURES;
	if (lay_out(r, xs, drop, length) && commit(r))
		return (1);
	memcpy(r->r_new, r->r_head, r->r_headlen);
	return (0);
}

static int
drop_type(struct qcow2_repair *r, uint32_t type)
{
	uint8_t drop[NEXTS + 1];
	struct exts xs;
	uint32_t i;

	parse(r, &xs);
	memset(drop, 0, sizeof(drop));
	for (i = 0; i < xs.xs_n; i++)
		drop[i] = xs.xs_ext[i].xt_type == type;
	return (rewrite(r, &xs, drop, header_length(r->r_head)));
}

static int
fix_odd(struct qcow2_repair *r)
{
	uint8_t drop[NEXTS + 1];
	struct exts xs;

	parse(r, &xs);
	memset(drop, 0, sizeof(drop));
	return (rewrite(r, &xs, drop,
	    (uint32_t)img_roundup(header_length(r->r_head), 8)));
}

/* Where the name is, if that can be. */
static int
find_name(const struct qcow2_repair *r, uint32_t *off, uint32_t *len)
{
	uint64_t at = img_be64(r->r_head + QCOW2_H_BACKING_OFF);

	*len = img_be32(r->r_head + QCOW2_H_BACKING_LEN);
	*off = (uint32_t)at;
	return (at != 0 && *len > 0 && *len <= QCOW2_BACKING_MAX &&
	    img_inside(at, *len, r->r_headlen));
}

static int
fix_padding(struct qcow2_repair *r)
{
	uint32_t end = (uint32_t)img_min(header_length(r->r_head), QCOW2_H_LEN);

	uint32_t off, len;

	if (end <= QCOW2_H_PADDING)
		return (0);
	/* It may be the backing file's name that is there. */
	if (find_name(r, &off, &len) && off < end)
		return (0);
	memset(r->r_new + QCOW2_H_PADDING, 0, end - QCOW2_H_PADDING);
	return (commit(r));
}

static int
fix_size(struct qcow2_repair *r)
{
	uint64_t size = img_be64(r->r_head + QCOW2_H_SIZE);

	size = img_roundup(size, IMG_SECTOR);
	if (size > INT64_MAX ||
	    qcow2_l1_needed(&r->r_q, size) > r->r_q.q_l1_size)
		return (0);
	img_put_be64(r->r_new + QCOW2_H_SIZE, size);
	return (commit(r));
}

/* What follows cannot be read anyway. */
static int
fix_length(struct qcow2_repair *r)
{
	struct exts xs;

	parse(r, &xs);
	if (!xs.xs_broken)
		return (0);
	memset(r->r_new + xs.xs_stop, 0, 8);
	return (commit(r));
}

/*
 * The backing file's name, which is len bytes at from, gets another place;
 * an end marker at stop is what precedes it.
 */
static int
move_name(struct qcow2_repair *r, uint32_t from, uint32_t len, uint32_t to,
    uint32_t stop)
{
	if (to > r->r_headlen || len > r->r_headlen - to ||
	    !commit_unused(r, r->r_head + from, len, to))
		return (0);
	memset(r->r_new + stop, 0, 8);
	img_put_be64(r->r_new + QCOW2_H_BACKING_OFF, to);
	return (commit(r));
}

/* No room for an end marker: make some, or let the name be farther. */
static int
fix_no_end(struct qcow2_repair *r)
{
	uint8_t drop[NEXTS + 1];
	uint32_t off, len;
	struct exts xs;

	parse(r, &xs);
	if (xs.xs_ended)
		return (1);
	memset(drop, 0, sizeof(drop));
	if (rewrite(r, &xs, drop, header_length(r->r_head)))
		return (1);
	if (xs.xs_broken || !find_name(r, &off, &len) || off != xs.xs_end)
		return (0);
	return (move_name(r, off, len, (uint32_t)img_roundup(off + len, 8),
	    xs.xs_stop));
}

/* A name inside the header: there are no extensions then. */
static int
fix_overlap(struct qcow2_repair *r)
{
	uint32_t off, len, to, length = header_length(r->r_head);

	if (!find_name(r, &off, &len) || off >= length || length % 8 != 0)
		return (0);
	/* Until the header leads there, the old one must be whole. */
	to = (uint32_t)img_roundup(off + len, 8);
	if (to < length + 8)
		to = length + 8;
	return (move_name(r, off, len, to, length));
}

static int
is_known(uint32_t type)
{
	return (type == QCOW2_X_BACKING_FORMAT || type == QCOW2_X_FEATURES ||
	    type == QCOW2_X_BITMAPS || type == QCOW2_X_LUKS ||
	    type == QCOW2_X_DATA_FILE);
}

static int
fix_twice(struct qcow2_repair *r)
{
	uint8_t drop[NEXTS + 1];
	const struct ext *a, *b;
	struct exts xs;
	uint32_t i, k;

	parse(r, &xs);
	memset(drop, 0, sizeof(drop));
	for (i = 0; i < xs.xs_n; i++)
		for (k = 0; k < i; k++) {
			a = &xs.xs_ext[k];
			b = &xs.xs_ext[i];
			/* Length first, so that padding does not matter. */
			if (is_known(b->xt_type) &&
			    memcmp(r->r_head + a->xt_off, r->r_head + b->xt_off,
				8) == 0 &&
			    memcmp(r->r_head + a->xt_off + 8,
				r->r_head + b->xt_off + 8,
				img_be32(r->r_head + b->xt_off + 4)) == 0)
				drop[i] = 1;
		}
	return (rewrite(r, &xs, drop, header_length(r->r_head)));
}

static int
clear_bit(struct qcow2_repair *r, uint64_t bit)
{
	uint64_t bits = img_be64(r->r_head + QCOW2_H_AUTOCLEAR);

	if (img_be32(r->r_head + QCOW2_H_VERSION) < 3)
		return (1);
	img_put_be64(r->r_new + QCOW2_H_AUTOCLEAR, bits & ~bit);
	return (commit(r));
}

static int
fix_raw(struct qcow2_repair *r)
{
	return (clear_bit(r, QCOW2_A_RAW));
}

/* First they are stale, then they are gone: what they used is free then. */
static int
fix_bitmaps(struct qcow2_repair *r)
{
	int ok = clear_bit(r, QCOW2_A_BITMAPS);

	if (ok)
		(void)drop_type(r, QCOW2_X_BITMAPS);
	return (ok);
}

static int
fix_stale(struct qcow2_repair *r)
{
	return (drop_type(r, QCOW2_X_BITMAPS));
}

static const struct {
	enum img_row row;
	int (*fix)(struct qcow2_repair *);
} fixes[] = {
	{ IMG_QCOW2_PADDING, fix_padding },
	{ IMG_QCOW2_SIZE_ODD, fix_size },
	{ IMG_QCOW2_EXT_LENGTH, fix_length },
	{ IMG_QCOW2_EXT_TWICE, fix_twice },
	{ IMG_QCOW2_RAW_BIT, fix_raw },
	{ IMG_QCOW2_BITMAPS_BIT, fix_bitmaps },
	{ IMG_QCOW2_BITMAP_EXT, fix_bitmaps },
	{ IMG_QCOW2_BITMAP_DIR, fix_bitmaps },
	{ IMG_QCOW2_BITMAP_ENTRY, fix_bitmaps },
	{ IMG_QCOW2_BITMAP_RANGE, fix_bitmaps },
	{ IMG_QCOW2_BITMAP_STALE, fix_stale },
	{ IMG_QCOW2_HEADER_ODD, fix_odd },
	{ IMG_QCOW2_BACKING_OVERLAP, fix_overlap },
	{ IMG_QCOW2_EXT_NO_END, fix_no_end },
};

/* The first cluster, as it is. */
static int
load(struct qcow2_repair *r)
{
	const struct img_repair *rp = r->r_rp;
	const struct img_env *env = rp->rp_env;
	uint32_t n;
	int error;

	r->r_head = env->ev_alloc(env->ev_arg, r->r_q.q_cluster);
	r->r_new = env->ev_alloc(env->ev_arg, r->r_q.q_cluster);
	if (r->r_head == NULL || r->r_new == NULL)
		return (ENOMEM);
	n = (uint32_t)img_min(r->r_q.q_cluster, r->r_len);
	error = rp->rp_file->f_ops->fo_read(rp->rp_file, r->r_head, n, 0);
	if (error != 0)
		return (error);
	r->r_headlen = r->r_q.q_cluster;
	memcpy(r->r_new, r->r_head, r->r_headlen);
	return (0);
}

int
qcow2_plan_head(struct qcow2_repair *r)
{
	size_t i;
	int error;

	error = load(r);
	/* Not where the guest would see it. */
	if (r->r_nfound[IMG_QCOW2_DATA_HEADER] > 0)
		return (error);
	for (i = 0; error == 0 && i < sizeof(fixes) / sizeof(fixes[0]); i++)
		if (qcow2_fix_wanted(r, fixes[i].row))
			r->r_done[fixes[i].row] = (uint8_t)fixes[i].fix(r);
	return (error);
}

int
qcow2_write_edits(struct qcow2_repair *r)
{
	uint32_t i;
	int error = 0;

	for (i = 0; i < r->r_nedits && error == 0; i++) {
		error = qcow2_fix_put(r, r->r_edit[i].ed_data, IMG_SECTOR,
		    r->r_edit[i].ed_off);
		if (error == 0)
			error = qcow2_fix_barrier(r);
	}
	return (error);
}
