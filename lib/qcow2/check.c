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
	.t_repair = qcow2_repair,
	.t_create = qcow2_create,
	.t_pack = qcow2_pack,
	.t_place = qcow2_place_packed,
};

struct check {
	struct qcow2_tally *ck_ta;
	int ck_quiet; /* see lost_snapshots */
	int ck_lost;  /* leaks are the references of a lost snapshot */
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
	struct img_finding fi;
	enum img_row row;

	/* A dirty image says itself that its refcounts are not right. */
	if (qcow2(im)->q_incompat & QCOW2_I_DIRTY)
		return (0);
	row = judge(ck->ck_ta, d);
	if (ck->ck_quiet)
		ck->ck_lost |= row == IMG_QCOW2_LEAK && d->d_stored > 1;
	else if (row != IMG_ROW_NONE &&
	    !(row == IMG_QCOW2_LEAK && ck->ck_lost)) {
		memset(&fi, 0, sizeof(fi));
		fi.fi_row = row;
		fi.fi_off = d->d_cl << qcow2(im)->q_bits;
		fi.fi_rel = IMG_WANT_EQ;
		fi.fi_found = d->d_stored;
		fi.fi_want = d->d_owner.o_count;
		fi.fi_n = d->d_n;
		img_raise_finding(im, &fi);
	}
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
	if (ta->ta_whole && qcow2(im)->q_rt_n > 0 && im->im_eof[0] > end &&
	    !(im->im_file[0]->f_flags & IMG_FILE_FIXED))
		img_raise_num(im, IMG_QCOW2_FILE_LONG, end, IMG_WANT_MAX,
		    im->im_eof[0], end);
}

/* One count of everything. */
static int
count(struct img *im, struct check *ck, struct img_checked *ch)
{
	struct qcow2_tally ta;
	int error;

	ck->ck_ta = &ta;
	error = qcow2_tally_init(&ta, im, 0);
	ta.ta_report = !ck->ck_quiet;
	ta.ta_ch = ch;
	ta.ta_diff = differs;
	ta.ta_arg = ck;
	if (error == 0)
		error = qcow2_tally(&ta);
	if (error == 0 && ch != NULL) {
		ch->ch_end = ta.ta_end << qcow2(im)->q_bits;
		check_end(&ta);
	}
	qcow2_tally_fini(&ta);
	return (error);
}

/*
 * Without snapshots a refcount above 1 that nothing explains is one of a
 * snapshot that was lost; where there is a place for their table, too.  Then
 * none of the leaks is one.
 */
static int
lost_snapshots(struct img *im, struct check *ck)
{
	struct qcow2 *q = qcow2(im);
	int error;

	if (q->q_snap_off == 0 || img_be32(q->q_head + QCOW2_H_NSNAP) != 0)
		return (0);
	ck->ck_quiet = 1;
	error = count(im, ck, NULL);
	ck->ck_quiet = 0;
	if (error == 0 && ck->ck_lost)
		img_raise_num(im, IMG_QCOW2_SNAP_LOST, QCOW2_H_SNAP_OFF,
		    IMG_WANT_ANY, q->q_snap_off, 0);
	return (error);
}

int
qcow2_check(struct img *im, unsigned flags, int64_t now, struct img_checked *ch)
{
	struct qcow2 *q = qcow2(im);
	struct check ck;
	int error;

	(void)now; /* nothing in a qcow2 image is held against the clock */
	ch->ch_units = (im->im_size >> q->q_bits) +
	    ((im->im_size & (q->q_cluster - 1)) != 0);
	check_data_file(im);
	memset(&ck, 0, sizeof(ck));
	error = qcow2_check_names(im);
	if (error == 0)
		error = lost_snapshots(im, &ck);
	if (error == 0)
		error = count(im, &ck, ch);
	if (error == 0 && (flags & IMG_DEEP))
		error = qcow2_check_deep(im);
	return (error);
}
