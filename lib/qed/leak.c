/* SPDX-License-Identifier: ISC */

/*
 * Clusters that nothing leads to: at the end, between header and L1 table, or
 * elsewhere; and what among them looks like an L2 table that was lost.
 */

#include "qed/tool.h"

struct leak {
	struct img *lk_im;
	struct qed_marks *lk_mk;
	uint64_t lk_ncl;   /* whole clusters of the file */
	uint64_t lk_start; /* of the run at hand */
	uint64_t lk_n;     /* clusters of it, 0: there is none */
};

/*
 * Could the n bytes at im_buf be of a lost table?  *some: it leads to data,
 * in clusters that nothing else leads to, as far as the window tells: better
 * one table too many than one that is given up.
 */
static int
could_be_table(const struct leak *lk, uint32_t n, int *some)
{
	struct img *im = lk->lk_im;
	struct qed_entry e;
	uint64_t cl;
	uint32_t at;

	for (at = 0; at < n; at += 8) {
		qed_judge_l2(im, img_le64(im->im_buf + at), &e);
		if (e.n_row != IMG_ROW_NONE)
			return (0);
		if (e.n_type != QED_T_DATA)
			continue;
		cl = e.n_off >> qed(im)->q_bits;
		if (qed_marks_get(lk->lk_mk, cl) != QED_U_FREE)
			return (0);
		*some = 1;
	}
	return (1);
}

/* Read a cluster: could it be of a lost table? */
static int
look(const struct leak *lk, uint64_t cl, int *could, int *some)
{
	struct img *im = lk->lk_im;
	uint64_t off = cl << qed(im)->q_bits, end = off + qed(im)->q_cluster;
	uint64_t len;
	uint32_t n = IMG_SLICE; /* data are told by the first of it */
	int data, error;

	*could = 1;
	*some = 0;
	for (; off < end && *could; off += n, n = IMG_BOUNCE) {
		n = (uint32_t)img_min(n, end - off);
		len = end - off;
		data = 1;
		if (im->im_file[0]->f_ops->fo_extent != NULL) {
			error = im->im_file[0]->f_ops->fo_extent(im->im_file[0],
			    off, &len, &data);
			if (error != 0)
				return (error);
			if (!data && len >= end - off)
				return (0);
		}
		error = img_io_read(im, 0, im->im_buf, n, off);
		if (error != 0)
			return (error);
		*could = could_be_table(lk, n, some);
	}
	return (0);
}

/*
 * No table begins in a cluster of zeros: the first one at *cl or behind, up
 * to end, that is not a hole.  A leak may be nearly all of a huge file.
 */
static int
skip_hole(const struct leak *lk, uint64_t *cl, uint64_t end)
{
	struct img_file *f = lk->lk_im->im_file[0];
	uint32_t bits = qed(lk->lk_im)->q_bits;
	uint64_t len = (end - *cl) << bits;
	int data, error;

	if (f->f_ops->fo_extent == NULL)
		return (0);
	error = f->f_ops->fo_extent(f, *cl << bits, &len, &data);
	if (error == 0 && !data)
		*cl += len >> bits;
	return (error);
}

/*
 * The run's clusters one by one: where one could begin a table, do the ones
 * behind it go on like that?
 */
static int
look_for_orphans(struct leak *lk)
{
	struct img *im = lk->lk_im;
	struct img_finding fi;
	uint32_t n, table = qed(im)->q_table;
	uint64_t cl = lk->lk_start, end = lk->lk_start + lk->lk_n;
	int could, some, error = 0;

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_QED_ORPHAN;
	while (cl < end && error == 0) {
		if (im->im_env->ev_poll != NULL)
			error = im->im_env->ev_poll(im->im_env->ev_arg, 0, 0);
		if (error == 0)
			error = skip_hole(lk, &cl, end);
		if (error != 0 || cl == end)
			break;
		error = look(lk, cl, &could, &some);
		if (error != 0 || !could || !some) {
			cl++;
			continue;
		}
		for (n = 1; n < table && cl + n < end && error == 0; n++) {
			error = look(lk, cl + n, &could, &some);
			if (error != 0 || !could)
				break;
		}
		fi.fi_off = cl << qed(im)->q_bits;
		if (error == 0)
			img_raise_finding(im, &fi);
		cl += n;
	}
	return (error);
}

static int
end_run(struct leak *lk)
{
	struct qed *q = qed(lk->lk_im);
	uint64_t end = lk->lk_start + lk->lk_n;
	struct img_finding fi;
	int error;

	if (lk->lk_n == 0)
		return (0);
	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_QED_LEAK;
	if (end == lk->lk_ncl)
		fi.fi_row = IMG_QED_LEAK_END;
	else if (lk->lk_start < q->q_l1_off >> q->q_bits)
		fi.fi_row = IMG_QED_GAP;
	fi.fi_off = lk->lk_start << q->q_bits;
	fi.fi_n = lk->lk_n;
	img_raise_finding(lk->lk_im, &fi);
	error = look_for_orphans(lk);
	lk->lk_n = 0;
	return (error);
}

/* The clusters [cl, end) have no owner. */
static void
add_free(struct leak *lk, uint64_t cl, uint64_t end)
{
	if (end > lk->lk_ncl)
		end = lk->lk_ncl;
	if (cl >= end)
		return;
	if (lk->lk_n == 0)
		lk->lk_start = cl;
	lk->lk_n = end - lk->lk_start;
}

static int
look_at_window(struct leak *lk)
{
	struct qed_marks *mk = lk->lk_mk;
	uint64_t cl, end = mk->mk_first + mk->mk_n;
	int error = 0;

	for (cl = mk->mk_first; cl < end && error == 0; cl++) {
		if (qed_marks_get(mk, cl) == QED_U_FREE)
			add_free(lk, cl, cl + 1);
		else
			error = end_run(lk);
	}
	/* Nothing is in use up to where the next window starts. */
	add_free(lk, end, mk->mk_beyond);
	return (error);
}

/* Bytes behind the last whole cluster. */
static void
look_at_tail(struct img *im)
{
	uint64_t n = im->im_eof[0] & (qed(im)->q_cluster - 1);

	if (n != 0)
		img_raise_num(im, IMG_QED_TAIL, im->im_eof[0] - n, IMG_WANT_EQ,
		    n, 0);
}

int
qed_check_leaks(struct img *im)
{
	struct qed_marks mk;
	struct leak lk;
	uint64_t cl = 0;
	int error;

	/* The length of a device says nothing. */
	if (im->im_file[0]->f_flags & IMG_FILE_FIXED)
		return (0);
	memset(&lk, 0, sizeof(lk));
	lk.lk_im = im;
	lk.lk_mk = &mk;
	lk.lk_ncl = im->im_eof[0] >> qed(im)->q_bits;
	error = qed_marks_init(&mk, im);
	while (error == 0 && cl < mk.mk_ncl) {
		qed_marks_start(&mk, im, cl);
		error = qed_mark(im, &mk);
		if (error == 0)
			error = look_at_window(&lk);
		cl = mk.mk_beyond;
	}
	if (error == 0)
		error = end_run(&lk);
	qed_marks_fini(&mk, im);
	if (error == 0)
		look_at_tail(im);
	return (error);
}
