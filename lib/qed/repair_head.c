/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: fields of a header that could be parsed.  They are in one
 * sector, which is written last, in one piece.
 */

#include "qed/repair.h"

static uint64_t
features(const struct qed_repair *r)
{
	return (img_le64(r->r_head + QED_H_FEATURES));
}

static void
clear_features(struct qed_repair *r, uint64_t bits)
{
	img_put_le64(r->r_head + QED_H_FEATURES, features(r) & ~bits);
}

static int
fix_zero(struct qed_repair *r)
{
	if (img_le32(r->r_head + QED_H_HEADER_SIZE) != 0)
		return (0);
	img_put_le32(r->r_head + QED_H_HEADER_SIZE, 1);
	return (1);
}

static int
fix_no_probe(struct qed_repair *r)
{
	if ((features(r) & (QED_F_BACKING | QED_F_NO_PROBE)) != QED_F_NO_PROBE)
		return (0);
	clear_features(r, QED_F_NO_PROBE);
	return (1);
}

static int
fix_junk(struct qed_repair *r)
{
	if (features(r) & QED_F_BACKING)
		return (0);
	img_put_le32(r->r_head + QED_H_BACKING_OFF, 0);
	img_put_le32(r->r_head + QED_H_BACKING_LEN, 0);
	return (1);
}

static int
fix_empty(struct qed_repair *r)
{
	if (!(features(r) & QED_F_BACKING) ||
	    img_le32(r->r_head + QED_H_BACKING_LEN) != 0)
		return (0);
	clear_features(r, QED_F_BACKING | QED_F_NO_PROBE);
	return (fix_junk(r));
}

static int
fix_odd(struct qed_repair *r)
{
	uint64_t size = img_le64(r->r_head + QED_H_SIZE);

	/* It is not larger than q_max, which is whole sectors. */
	if (size % IMG_SECTOR == 0)
		return (0);
	img_put_le64(r->r_head + QED_H_SIZE, img_roundup(size, IMG_SECTOR));
	return (1);
}

/* The end of the last data, as the check has found it. */
static uint64_t
size_found(const struct qed_repair *r)
{
	const struct img_finding *fi = r->r_rp->rp_find;
	size_t i;

	for (i = 0; i < r->r_rp->rp_nfind; i++, fi++)
		if (fi->fi_row == IMG_QED_SIZE_ZERO)
			return (fi->fi_want);
	return (0);
}

static int
fix_size(struct qed_repair *r)
{
	uint64_t size = size_found(r);

	if (img_le64(r->r_head + QED_H_SIZE) != 0 || size == 0 ||
	    size % IMG_SECTOR != 0 || size > r->r_q.q_max)
		return (0);
	img_put_le64(r->r_head + QED_H_SIZE, size);
	return (1);
}

static const struct {
	enum img_row row;
	int (*fix)(struct qed_repair *);
	const char *text;
} fields[] = {
	{ IMG_QED_HEADER_ZERO, fix_zero, "set it to 1" },
	{ IMG_QED_NO_PROBE, fix_no_probe, "clear the feature bit" },
	{ IMG_QED_BACKING_EMPTY, fix_empty, "clear the feature bits" },
	{ IMG_QED_BACKING_JUNK, fix_junk, "clear the fields" },
	{ IMG_QED_SIZE_ODD, fix_odd, "round the size up" },
	{ IMG_QED_SIZE_ZERO, fix_size, "set it to where the last data end" },
};

void
qed_plan_head(struct qed_repair *r)
{
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (qed_fix_wanted(r, fields[i].row))
			r->r_done[fields[i].row] = fields[i].fix(r) != 0;
}

const char *
qed_text_head(const struct qed_repair *r, enum img_row row)
{
	size_t i;

	if (r->r_guess != NULL && row == r->r_fatal)
		return (r->r_guess);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].row == row)
			return (fields[i].text);
	return (NULL);
}

void
qed_range_head(const struct qed_repair *r, struct img_fixed *fx)
{
	uint64_t size = img_le64(r->r_head + QED_H_SIZE);

	if (fx->fx_row == IMG_QED_SIZE_ODD) {
		fx->fx_voff = size - IMG_SECTOR;
		fx->fx_vlen = IMG_SECTOR;
	} else if (fx->fx_row == IMG_QED_SIZE_ZERO ||
	    (r->r_guess != NULL && fx->fx_row == r->r_fatal))
		fx->fx_vlen = size;
}
