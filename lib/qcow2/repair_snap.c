/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: a snapshot table with the extra data that there should be,
 * in another place:
 *
 *	1. the new table and its refcounts; barrier
 *	2. the header's sector, which leads there; barrier
 *	3. the refcounts of the old one
 *
 * A cut before 2 leaks the new one, a cut after it the old one.
 */

#include "qcow2/repair.h"

#define TABLE_MAX (4u << 20) /* bytes of a table that is worth it */

/* How long the extra data of a snapshot will be. */
static uint32_t
extra_len(const struct qcow2_repair *r, const struct qcow2 *q,
    const struct qcow2_snap *s)
{
	if (s->s_extra_len < QCOW2_S_EXTRA_MIN && q->q_version >= 3)
		return (QCOW2_S_EXTRA);
	if (s->s_extra_len > QCOW2_SNAP_EXTRA_MAX &&
	    qcow2_fix_wanted(r, IMG_QCOW2_SNAP_EXTRA_LONG))
		return (QCOW2_SNAP_EXTRA_MAX);
	return (s->s_extra_len);
}

/* The table as it will be: its length, or all of it where buf is not NULL. */
static int
lay_out(const struct qcow2_repair *r, struct img *im, uint8_t *buf,
    uint64_t *len)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_snap s;
	uint32_t extra, n;
	uint8_t *p;
	int error;

	*len = 0;
	memset(&s, 0, sizeof(s));
	s.s_next = q->q_snap_off;
	while ((error = qcow2_snap_next(im, &s)) == 0) {
		extra = extra_len(r, q, &s);
		n = s.s_id_len + s.s_name_len;
		if (buf != NULL) {
			p = buf + *len;
			error = img_io_read(im, 0, p, QCOW2_S_LEN, s.s_off);
			img_put_be32(p + QCOW2_S_EXTRA_LEN, extra);
			p += QCOW2_S_LEN;
			if (error == 0)
				error = img_io_read(im, 0, p,
				    (uint32_t)img_min(extra, s.s_extra_len),
				    s.s_off + QCOW2_S_LEN);
			if (extra > s.s_extra_len) {
				img_put_be64(p + QCOW2_S_X_VM_SIZE,
				    s.s_vm_size);
				img_put_be64(p + QCOW2_S_X_SIZE, s.s_size);
				img_put_be64(p + QCOW2_S_X_ICOUNT, s.s_icount);
			}
			if (error == 0)
				error = img_io_read(im, 0, p + extra, n,
				    s.s_id_off);
			if (error != 0)
				return (error);
		}
		*len = img_roundup(*len + QCOW2_S_LEN + extra + n, 8);
		if (buf == NULL && *len > TABLE_MAX)
			return (EFBIG);
	}
	return (error == ENOENT ? 0 : error);
}

int
qcow2_snaps_wanted(const struct qcow2_repair *r)
{
	struct qcow2 *q = qcow2(r->r_im);
	uint64_t len;

	/* Only so many clusters in a row can be had for certain. */
	return ((qcow2_fix_wanted(r, IMG_QCOW2_SNAP_EXTRA) ||
		    qcow2_fix_wanted(r, IMG_QCOW2_SNAP_EXTRA_LONG)) &&
	    lay_out(r, r->r_im, NULL, &len) == 0 && len > 0 &&
	    qcow2_nclusters(q, 0, len) < UINT64_C(1) << q->q_rb_bits >> 1);
}

/* So many clusters in a row, behind the end of the file. */
static int
find_room(struct img *im, uint64_t want, uint64_t *cl)
{
	struct qcow2 *q = qcow2(im);
	uint64_t have = 0, n, at;
	int error = 0, fresh;

	q->q_free = qcow2_nclusters(q, 0, im->im_eof[0]);
	while (have < want && error == 0) {
		n = want - have;
		error = qcow2_alloc(im, &n, &at, &fresh);
		if (error != 0)
			break;
		if (have > 0 && *cl + have != at) {
			error = qcow2_drop(im, *cl, have, 0);
			have = 0;
		}
		if (have == 0)
			*cl = at;
		have += n;
	}
	return (error);
}

static int
move(struct qcow2_repair *r, const uint8_t *buf, uint64_t len)
{
	struct img *im = r->r_out;
	struct qcow2 *q = qcow2(im);
	uint64_t cl = 0, old = q->q_snap_off >> q->q_bits, nold;
	int error;

	nold = qcow2_nclusters(q, 0, q->q_snap_len);
	error = find_room(im, qcow2_nclusters(q, 0, len), &cl);
	if (error == 0)
		error =
		    img_io_write(im, 0, buf, (uint32_t)len, cl << q->q_bits);
	if (error == 0)
		error = qcow2_flush(im);
	if (error != 0)
		return (error);
	q->q_snap_off = cl << q->q_bits;
	img_put_be64(q->q_head + QCOW2_H_SNAP_OFF, q->q_snap_off);
	error = qcow2_write_head(im);
	if (error == 0)
		error = qcow2_drop(im, old, nold, 1);
	return (error != 0 ? error : qcow2_flush(im));
}

int
qcow2_write_snaps(struct qcow2_repair *r)
{
	struct img *im = r->r_out;
	uint64_t len, room;
	uint8_t *buf;
	int error;

	error = lay_out(r, im, NULL, &len);
	if (error != 0)
		return (error);
	room = img_roundup(len, qcow2(im)->q_cluster);
	error = img_alloc(im, room, &buf);
	if (error != 0)
		return (error);
	error = lay_out(r, im, buf, &len);
	if (error == 0)
		error = move(r, buf, room);
	img_free(im, buf, room);
	return (error);
}
