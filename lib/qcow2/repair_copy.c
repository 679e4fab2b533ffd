/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: copies of what two entries of the active tree share.  The
 * second one gets the copy, by the same steps and in the same order as a
 * guest's write (alloc.c): the copy and its refcount first, then the entry,
 * then the refcount of what both had, where that counts the second.
 */

#include "qcow2/repair.h"

int
qcow2_needs_room(const struct qcow2_repair *r, const struct img_finding *fi)
{
	/* Without a range there is no guest cluster to go by. */
	if (fi->fi_row == IMG_QCOW2_DATA_TWICE)
		return (qcow2_fix_wanted(r, fi->fi_row) && fi->fi_vlen > 0);
	if (fi->fi_row == IMG_QCOW2_L2_TWICE)
		return (qcow2_fix_wanted(r, fi->fi_row) && fi->fi_vlen > 0 &&
		    !r->r_over);
	if (fi->fi_row == IMG_QCOW2_SNAP_EXTRA ||
	    fi->fi_row == IMG_QCOW2_SNAP_EXTRA_LONG)
		return (
		    qcow2_fix_wanted(r, fi->fi_row) && qcow2_snaps_wanted(r));
	return (0);
}

static int
copy_bytes(struct img *im, uint64_t from, uint64_t to)
{
	uint32_t at, n, there, cluster = qcow2(im)->q_cluster;
	int error = 0;

	for (at = 0; at < cluster && error == 0; at += n) {
		n = (uint32_t)img_min(IMG_BOUNCE, cluster - at);
		there = 0;
		if (from + at < im->im_eof[0])
			there = (uint32_t)img_min(n, im->im_eof[0] - from - at);
		memset(im->im_buf, 0, n);
		if (there > 0)
			error =
			    img_io_read(im, 0, im->im_buf, there, from + at);
		if (error == 0)
			error = img_io_write(im, 0, im->im_buf, n, to + at);
	}
	return (error);
}

/* The cluster of the guest at voff, if its entry is the one at fi_off. */
static int
copy_cluster(struct img *im, const struct img_finding *fi)
{
	struct qcow2 *q = qcow2(im);
	uint64_t at, n = 1, cl, count, to;
	struct qcow2_entry e;
	uint32_t in;
	int error, fresh;

	error = qcow2_look(im, fi->fi_voff, &e, &at);
	if (error != 0 || at != fi->fi_off || e.n_off == 0 ||
	    e.n_type == QCOW2_T_PACKED)
		return (error);
	error = qcow2_count(im, e.n_off >> q->q_bits, &count);
	if (error == 0)
		error = qcow2_alloc(im, &n, &cl, &fresh);
	if (error != 0)
		return (error);
	to = cl << q->q_bits;
	error = copy_bytes(im, e.n_off, to);
	in = (uint32_t)at & (q->q_cluster - 1);
	if (error == 0)
		error = qcow2_l2_set(im, at - in, in >> q->q_esz_bits,
		    (e.n_raw & ~QCOW2_OFFSET) | to | QCOW2_COPIED, e.n_bits);
	/* With a refcount of 1 only the first was counted. */
	if (error == 0 && count > 1)
		error = qcow2_drop(im, e.n_off >> q->q_bits, 1, 0);
	return (error);
}

/* The L2 table for voff; its clusters are counted for both by now. */
static int
copy_table(struct img *im, const struct img_finding *fi)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off;

	if (q->q_active.t_off + (fi->fi_voff >> qcow2_l1_shift(q) << 3) !=
	    fi->fi_off)
		return (0);
	return (qcow2_own_l2(im, fi->fi_voff, &off));
}

int
qcow2_write_copies(struct qcow2_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;
	int error;

	error = qcow2_fix_open(r);
	if (error != 0)
		return (error);
	/* Tables first: below them two entries may be one. */
	for (i = 0; i < r->r_rp->rp_nfind && error == 0; i++)
		if (fi[i].fi_row == IMG_QCOW2_L2_TWICE &&
		    qcow2_needs_room(r, &fi[i]))
			error = copy_table(r->r_out, &fi[i]);
	for (i = 0; i < r->r_rp->rp_nfind && error == 0; i++)
		if (fi[i].fi_row == IMG_QCOW2_DATA_TWICE &&
		    qcow2_needs_room(r, &fi[i]))
			error = copy_cluster(r->r_out, &fi[i]);
	if (error == 0)
		error = qcow2_flush(r->r_out);
	if (error == 0 && qcow2_snaps_wanted(r))
		error = qcow2_write_snaps(r);
	return (qcow2_fix_close(r, error));
}
