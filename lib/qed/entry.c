/* SPDX-License-Identifier: ISC */

/*
 * What an entry means.  The format's document has the low bits of an offset
 * masked off; qemu takes such an entry for broken, and so do we: a bit that
 * somebody gave a meaning, or that fell over, must not be passed over.
 */

#include "qed/qed.h"

/* The row for a table or a cluster of len bytes at off, as placed. */
struct rows {
	enum img_row r_align;
	enum img_row r_high;
	enum img_row r_header;
	enum img_row r_range;
	enum img_row r_cut;
};

static const struct rows l1_rows = { IMG_QED_L1_ALIGN, IMG_QED_L1_HIGH,
	IMG_QED_L1_HEADER, IMG_QED_L1_RANGE, IMG_QED_L2_CUT };
static const struct rows l2_rows = { IMG_QED_DATA_ALIGN, IMG_QED_DATA_HIGH,
	IMG_QED_DATA_HEADER, IMG_QED_DATA_RANGE, IMG_QED_DATA_CUT };

static enum img_row
judge(const struct img *im, const struct rows *r, uint64_t off, uint64_t len)
{
	const struct qed *q = qed(im);

	if (off > (uint64_t)INT64_MAX - len)
		return (r->r_high);
	if (off & (q->q_cluster - 1))
		return (r->r_align);
	if (off < q->q_header_len)
		return (r->r_header);
	if (off >= im->im_eof[0])
		return (r->r_range);
	if (len > im->im_eof[0] - off)
		return (r->r_cut);
	return (IMG_ROW_NONE);
}

int
qed_is_cut(enum img_row row)
{
	return (row == IMG_QED_L2_CUT || row == IMG_QED_L2_CUT_EVEN ||
	    row == IMG_QED_DATA_CUT);
}

void
qed_judge_l1(const struct img *im, uint64_t raw, struct qed_entry *n)
{
	const struct qed *q = qed(im);

	memset(n, 0, sizeof(*n));
	n->n_raw = raw;
	if (raw == QED_E_NONE)
		return;
	n->n_type = QED_T_DATA;
	if (raw == QED_E_ZERO) {
		n->n_row = IMG_QED_L1_ONE;
		return;
	}
	n->n_row = judge(im, &l1_rows, raw, q->q_table_len);
	if (n->n_row != IMG_ROW_NONE && !qed_is_cut(n->n_row))
		return;
	if (raw == q->q_l1_off)
		n->n_row = IMG_QED_L1_SELF;
	else if (img_overlap(raw, q->q_table_len, q->q_l1_off, q->q_table_len))
		n->n_row = IMG_QED_L1_OVER;
	else {
		n->n_off = raw;
		if (n->n_row == IMG_QED_L2_CUT &&
		    (im->im_eof[0] & (q->q_cluster - 1)) == 0)
			n->n_row = IMG_QED_L2_CUT_EVEN;
	}
}

void
qed_judge_l2(const struct img *im, uint64_t raw, struct qed_entry *n)
{
	const struct qed *q = qed(im);

	memset(n, 0, sizeof(*n));
	n->n_raw = raw;
	if (raw == QED_E_NONE)
		return;
	if (raw == QED_E_ZERO) {
		n->n_type = QED_T_ZERO;
		return;
	}
	n->n_type = QED_T_DATA;
	if (raw < QED_E_RESERVED)
		n->n_row = IMG_QED_DATA_SMALL;
	else
		n->n_row = judge(im, &l2_rows, raw, q->q_cluster);
	if (n->n_row != IMG_ROW_NONE && !qed_is_cut(n->n_row))
		return;
	if (img_overlap(raw, q->q_cluster, q->q_l1_off, q->q_table_len))
		n->n_row = IMG_QED_DATA_L1;
	else
		n->n_off = raw;
}
