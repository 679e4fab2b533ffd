/* SPDX-License-Identifier: ISC */

/*
 * Stage CHECK of qcow2: who owns each cluster, whether the refcounts say so,
 * and what stages OPEN and VERIFY leave: names, bitmaps, the data file, the
 * file's end; with IMG_DEEP every compressed cluster too.
 *
 * Memory is half a byte per cluster of the file and a little for clusters
 * with several owners, as far as the handle's budget goes; beyond that, time
 * is spent instead.
 */

#include "qcow2/check.h"

const struct img_tool img_tool_qcow2 = {
	.t_format = &img_qcow2,
	.t_opts = qcow2_opts,
	.t_info = qcow2_info,
	.t_check = qcow2_check,
	.t_create = qcow2_create,
	.t_pack = qcow2_pack,
	.t_place = qcow2_place_packed,
};

struct check {
	struct qcow2_tally *ck_ta;
	int ck_lost; /* leaks that look like those of a lost snapshot */
};

/* The row for a refcount that differs; NONE where VERIFY has said it. */
static enum img_row
judge(const struct qcow2_tally *ta, const struct qcow2_diff *d)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	uint64_t off = d->d_cl << q->q_bits;

	if (d->d_cl >= ta->ta_ncl)
		return (ta->ta_whole ? IMG_QCOW2_BEYOND : IMG_ROW_NONE);
	if (d->d_stored == 0) {
		/* Of bitmaps it has looked at the directory only. */
		return (d->d_owner.o_use == QCOW2_U_BITMAP && q->q_rt_n > 0 &&
			    qcow2_over(q, off, 1) == QCOW2_U_NONE ?
			IMG_QCOW2_META_UNCOUNTED :
			IMG_ROW_NONE);
	}
	if (d->d_owner.o_count > qcow2_count_max(q))
		return (IMG_QCOW2_OVERCOUNT);
	if (d->d_stored < d->d_owner.o_count)
		return (IMG_QCOW2_UNDERCOUNT);
	return (ta->ta_whole ? IMG_QCOW2_LEAK : IMG_ROW_NONE);
}

static int
differs(void *arg, const struct qcow2_diff *d)
{
	struct check *ck = arg;
	struct img *im = ck->ck_ta->ta_im;
	enum img_row row;

	/* A dirty image says itself that its refcounts are not right. */
	if (qcow2(im)->q_incompat & QCOW2_I_DIRTY)
		return (0);
	row = judge(ck->ck_ta, d);
	if (row == IMG_ROW_NONE)
		return (0);
	if (row == IMG_QCOW2_LEAK && d->d_stored > 1)
		ck->ck_lost = 1;
	img_raise_num(im, row, d->d_cl << qcow2(im)->q_bits, IMG_WANT_EQ,
	    d->d_stored, d->d_owner.o_count);
	return (0);
}

/* Of a data file that was lent. */
static void
check_data_file(struct img *im)
{
	struct img_finding fi;

	if (im->im_file[1] == NULL || im->im_eof[1] >= im->im_size)
		return;
	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_QCOW2_FILE_SHORT;
	fi.fi_off = IMG_NOWHERE;
	fi.fi_voff = im->im_eof[1];
	fi.fi_vlen = im->im_size - im->im_eof[1];
	fi.fi_rel = IMG_WANT_MIN;
	fi.fi_found = im->im_eof[1];
	fi.fi_want = im->im_size;
	img_raise_finding(im, &fi);
}

static void
check_end(const struct qcow2_tally *ta)
{
	struct img *im = ta->ta_im;
	uint64_t end = ta->ta_end << qcow2(im)->q_bits;

	/* On a device what is behind the end is room to grow. */
	if (ta->ta_whole && im->im_eof[0] > end &&
	    !(im->im_file[0]->f_flags & IMG_FILE_FIXED))
		img_raise_num(im, IMG_QCOW2_FILE_LONG, end, IMG_WANT_MAX,
		    im->im_eof[0], end);
}

static int
check_owners(struct img *im, struct img_checked *ch)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_tally ta;
	struct check ck;
	int error;

	memset(&ck, 0, sizeof(ck));
	ck.ck_ta = &ta;
	error = qcow2_tally_init(&ta, im, 0);
	ta.ta_report = 1;
	ta.ta_ch = ch;
	ta.ta_diff = differs;
	ta.ta_arg = &ck;
	if (error == 0)
		error = qcow2_tally(&ta);
	if (error == 0) {
		ch->ch_end = ta.ta_end << q->q_bits;
		if (ck.ck_lost && q->q_snap_off != 0 &&
		    img_be32(q->q_head + QCOW2_H_NSNAP) == 0)
			img_raise_num(im, IMG_QCOW2_SNAP_LOST, QCOW2_H_SNAP_OFF,
			    IMG_WANT_ANY, q->q_snap_off, 0);
		check_end(&ta);
	}
	qcow2_tally_fini(&ta);
	return (error);
}

int
qcow2_check(struct img *im, unsigned flags, int64_t now, struct img_checked *ch)
{
	struct qcow2 *q = qcow2(im);
	int error;

	(void)now; /* nothing in a qcow2 image is held against the clock */
	ch->ch_units = (im->im_size >> q->q_bits) +
	    ((im->im_size & (q->q_cluster - 1)) != 0);
	check_data_file(im);
	error = qcow2_check_names(im);
	if (error == 0)
		error = check_owners(im, ch);
	if (error == 0 && (flags & IMG_DEEP))
		error = qcow2_check_deep(im);
	return (error);
}
