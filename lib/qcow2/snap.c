/* SPDX-License-Identifier: ISC */

/*
 * The table of internal snapshots.  Its length is not stored anywhere: it
 * ends where its last entry does.
 */

#include "qcow2/qcow2.h"

int
qcow2_snap_next(struct img *im, struct qcow2_snap *s)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off = s->s_next, end = im->im_eof[0], len;
	uint8_t b[QCOW2_S_LEN], x[QCOW2_S_EXTRA];
	uint32_t n;
	int error;

	if (s->s_index >= q->q_nsnap)
		return (ENOENT);
	if (end > q->q_snap_off && end - q->q_snap_off > QCOW2_SNAP_BYTES_MAX)
		end = q->q_snap_off + QCOW2_SNAP_BYTES_MAX;
	if (!img_inside(off, QCOW2_S_LEN, end))
		return (EFTYPE);
	error = img_io_read(im, 0, b, sizeof(b), off);
	if (error != 0)
		return (error);
	s->s_off = off;
	s->s_l1_off = img_be64(b + QCOW2_S_L1_OFF);
	s->s_l1_size = img_be32(b + QCOW2_S_L1_SIZE);
	s->s_id_len = img_be16(b + QCOW2_S_ID_LEN);
	s->s_name_len = img_be16(b + QCOW2_S_NAME_LEN);
	s->s_sec = img_be32(b + QCOW2_S_SEC);
	s->s_nsec = img_be32(b + QCOW2_S_NSEC);
	s->s_clock = img_be64(b + QCOW2_S_CLOCK);
	s->s_vm_size = img_be32(b + QCOW2_S_VM_SIZE);
	s->s_extra_len = img_be32(b + QCOW2_S_EXTRA_LEN);
	s->s_size = im->im_size;
	s->s_icount = UINT64_MAX;
	len = (uint64_t)QCOW2_S_LEN + s->s_extra_len + s->s_id_len +
	    s->s_name_len;
	if (!img_inside(off, len, end))
		return (EFTYPE);
	s->s_id_off = off + QCOW2_S_LEN + s->s_extra_len;
	s->s_name_off = s->s_id_off + s->s_id_len;
	n = (uint32_t)img_min(s->s_extra_len, sizeof(x));
	error = img_io_read(im, 0, x, n, off + QCOW2_S_LEN);
	if (error != 0)
		return (error);
	if (n >= QCOW2_S_X_VM_SIZE + 8)
		s->s_vm_size = img_be64(x + QCOW2_S_X_VM_SIZE);
	if (n >= QCOW2_S_X_SIZE + 8)
		s->s_size = img_be64(x + QCOW2_S_X_SIZE);
	if (n >= QCOW2_S_X_ICOUNT + 8)
		s->s_icount = img_be64(x + QCOW2_S_X_ICOUNT);
	s->s_index++;
	s->s_next = img_roundup(off + len, 8);
	return (0);
}

int
qcow2_snap_tree(struct img *im, const struct qcow2_snap *s,
    struct qcow2_tree *t)
{
	struct qcow2 *q = qcow2(im);

	memset(t, 0, sizeof(*t));
	if (s->s_l1_size > QCOW2_L1_MAX)
		return (EFTYPE);
	/* An impossible size (row 98) does not move the tables. */
	if (s->s_size <= INT64_MAX)
		t->t_size = s->s_size - s->s_size % IMG_SECTOR;
	t->t_off = s->s_l1_off;
	t->t_n = s->s_l1_size;
	if (t->t_n == 0)
		return (0);
	if (!qcow2_aligned(q, t->t_off) || t->t_off < q->q_cluster ||
	    !img_inside(t->t_off, (uint64_t)t->t_n * 8, im->im_eof[0]))
		return (EFTYPE);
	return (0);
}

static size_t
length(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return (n);
}

/* Are the len bytes at off this string? */
static int
is_called(struct img *im, uint64_t off, uint32_t len, const char *s, int *yes)
{
	uint8_t b[64];
	uint32_t at, n;
	int error = 0;

	*yes = length(s) == len;
	for (at = 0; *yes && error == 0 && at < len; at += n) {
		n = (uint32_t)img_min(sizeof(b), len - at);
		error = img_io_read(im, 0, b, n, off + at);
		*yes = error == 0 && memcmp(b, s + at, n) == 0;
	}
	return (error);
}

/* The tree as a disk that is to be read. */
static int
open_tree(struct img *im, const struct qcow2_snap *s, struct qcow2_tree *t)
{
	return (s->s_size > INT64_MAX ? EFTYPE : qcow2_snap_tree(im, s, t));
}

int
qcow2_snap_find(struct img *im, const char *name, struct qcow2_tree *t)
{
	struct qcow2_snap s, named;
	int error, yes, found = 0;

	memset(&s, 0, sizeof(s));
	s.s_next = qcow2(im)->q_snap_off;
	while ((error = qcow2_snap_next(im, &s)) == 0) {
		error = is_called(im, s.s_id_off, s.s_id_len, name, &yes);
		if (error == 0 && yes)
			return (open_tree(im, &s, t));
		if (error == 0)
			error = is_called(im, s.s_name_off, s.s_name_len, name,
			    &yes);
		if (error != 0)
			return (error);
		if (yes && !found) {
			found = 1;
			named = s;
		}
	}
	if (found)
		return (open_tree(im, &named, t));
	return (error);
}
