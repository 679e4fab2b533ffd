/* SPDX-License-Identifier: ISC */

/*
 * Persistent bitmaps: directory, tables, clusters of bits.  They mean
 * something only while their feature bit is set; else they are space that
 * could be had, and nothing is said about how they look.
 */

#include "qcow2/check.h"

#define TYPE_DIRTY 1
#define GRANULARITY_MIN 9u
#define GRANULARITY_MAX 31u

/* One bitmap. */
struct bitmap {
	uint64_t bm_at;  /* of its entry in the directory */
	uint64_t bm_len; /* of the entry, padded */
	uint64_t bm_table;
	uint32_t bm_n; /* entries of the table */
	uint32_t bm_flags;
	uint32_t bm_granularity;
	uint32_t bm_name_len;
	uint32_t bm_extra_len;
	uint32_t bm_type;
};

/* This walk is what tells of the bitmaps. */
static int
tells(const struct qcow2_tally *ta)
{
	return (ta->ta_report && ta->ta_first &&
	    (qcow2(ta->ta_im)->q_autoclear & QCOW2_A_BITMAPS) != 0);
}

/* A row; what the bitmaps use is not known then. */
static int
broken(struct qcow2_tally *ta, enum img_row row, uint64_t at, uint64_t found)
{
	if (qcow2(ta->ta_im)->q_autoclear & QCOW2_A_BITMAPS)
		ta->ta_whole = 0;
	if (tells(ta))
		img_raise_num(ta->ta_im, row, at, IMG_WANT_ANY, found, 0);
	return (EFTYPE);
}

static int
own(struct qcow2_tally *ta, uint64_t at, uint64_t off, uint64_t len)
{
	struct img_finding fi;
	int error, clash;

	memset(&fi, 0, sizeof(fi));
	fi.fi_off = at;
	fi.fi_rel = IMG_WANT_ANY;
	fi.fi_found = off;
	error = qcow2_tally_own(ta, QCOW2_U_BITMAP, off, len, &fi, &clash);
	return (error == 0 && clash ? EFTYPE : error);
}

int
qcow2_ext_find(struct img *im, uint32_t type, uint64_t *off)
{
	uint64_t at = qcow2(im)->q_length;
	struct qcow2_ext x;
	uint32_t n;
	int error = 0;

	*off = 0;
	for (n = 0; n < QCOW2_EXT_MAX && error == 0; n++) {
		error = qcow2_ext_next(im, &at, &x);
		if (error == 0 && x.x_type == type)
			*off = x.x_off;
	}
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

/* Entries of the table of a bitmap of this granularity. */
static uint64_t
entries_for(const struct img *im, uint32_t granularity)
{
	uint64_t one = UINT64_C(1) << granularity, bits, bytes;
	uint32_t cluster = qcow2(im)->q_cluster;

	bits = (im->im_size >> granularity) + ((im->im_size & (one - 1)) != 0);
	bytes = (bits >> 3) + ((bits & 7) != 0);
	return ((bytes >> qcow2(im)->q_bits) + ((bytes & (cluster - 1)) != 0));
}

static int
is_sound(const struct qcow2_tally *ta, const struct bitmap *bm)
{
	const struct qcow2 *q = qcow2(ta->ta_im);

	if (bm->bm_type != TYPE_DIRTY || bm->bm_name_len == 0 ||
	    bm->bm_name_len > QCOW2_BITMAP_NAME_MAX ||
	    bm->bm_granularity < GRANULARITY_MIN ||
	    bm->bm_granularity > GRANULARITY_MAX)
		return (0);
	if (bm->bm_flags & ~(QCOW2_D_IN_USE | QCOW2_D_AUTO | QCOW2_D_EXTRA_OK))
		return (0);
	if (bm->bm_extra_len != 0 && !(bm->bm_flags & QCOW2_D_EXTRA_OK))
		return (0);
	if (bm->bm_table < q->q_cluster || !qcow2_aligned(q, bm->bm_table) ||
	    bm->bm_n == 0 || bm->bm_n > QCOW2_BITMAP_ENTRIES_MAX)
		return (0);
	/* One that was in use when the disk was resized may be off. */
	return ((bm->bm_flags & QCOW2_D_IN_USE) ||
	    bm->bm_n == entries_for(ta->ta_im, bm->bm_granularity));
}

/* The entry at bm_at, where the directory has left bytes. */
static int
read_entry(struct qcow2_tally *ta, struct bitmap *bm, uint64_t left)
{
	uint8_t b[QCOW2_D_LEN];
	int error;

	if (left < sizeof(b))
		return (broken(ta, IMG_QCOW2_BITMAP_DIR, bm->bm_at, left));
	error = img_io_read(ta->ta_im, 0, b, sizeof(b), bm->bm_at);
	if (error != 0)
		return (error);
	bm->bm_table = img_be64(b + QCOW2_D_TABLE_OFF);
	bm->bm_n = img_be32(b + QCOW2_D_ENTRIES);
	bm->bm_flags = img_be32(b + QCOW2_D_FLAGS);
	bm->bm_type = b[QCOW2_D_TYPE];
	bm->bm_granularity = b[QCOW2_D_GRANULARITY];
	bm->bm_name_len = img_be16(b + QCOW2_D_NAME_LEN);
	bm->bm_extra_len = img_be32(b + QCOW2_D_EXTRA_LEN);
	bm->bm_len = img_roundup((uint64_t)QCOW2_D_LEN + bm->bm_extra_len +
		bm->bm_name_len,
	    8);
	if (bm->bm_len > left || !is_sound(ta, bm))
		return (
		    broken(ta, IMG_QCOW2_BITMAP_DIR, bm->bm_at, bm->bm_table));
	return (0);
}

static int
table_entry(struct qcow2_tally *ta, uint64_t at, uint64_t entry)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	uint64_t off = entry & QCOW2_OFFSET;

	if ((entry & ~QCOW2_OFFSET) > 1 || (off != 0 && (entry & 1)) ||
	    !qcow2_aligned(q, off))
		return (broken(ta, IMG_QCOW2_BITMAP_ENTRY, at, entry));
	if (off == 0) /* all zeros, or all ones */
		return (0);
	if (!img_inside(off, q->q_cluster, ta->ta_im->im_eof[0]))
		return (broken(ta, IMG_QCOW2_BITMAP_RANGE, at, entry));
	return (own(ta, at, off, q->q_cluster));
}

static int
walk_table(struct qcow2_tally *ta, const struct bitmap *bm)
{
	struct img *im = ta->ta_im;
	uint64_t at, len = (uint64_t)bm->bm_n * 8, i;
	uint32_t n, k;
	int error;

	if (!img_inside(bm->bm_table, len, im->im_eof[0]))
		return (broken(ta, IMG_QCOW2_BITMAP_RANGE, bm->bm_at,
		    bm->bm_table));
	error = own(ta, bm->bm_at, bm->bm_table, len);
	for (i = 0; i < len && error == 0; i += n) {
		n = (uint32_t)img_min(IMG_BOUNCE, len - i);
		at = bm->bm_table + i;
		if (im->im_env->ev_poll != NULL)
			error = im->im_env->ev_poll(im->im_env->ev_arg, i, len);
		if (error == 0)
			error = img_io_read(im, 0, im->im_buf, n, at);
		for (k = 0; k < n && error == 0; k += 8)
			error =
			    table_entry(ta, at + k, img_be64(im->im_buf + k));
	}
	return (error);
}

static int
raise_in_use(struct qcow2_tally *ta, const struct bitmap *bm)
{
	char name[QCOW2_TEXT_MAX + 1];
	struct img_finding fi;
	int error;

	if (!tells(ta) || !(bm->bm_flags & QCOW2_D_IN_USE))
		return (0);
	error = qcow2_text(ta->ta_im,
	    bm->bm_at + QCOW2_D_LEN + bm->bm_extra_len, bm->bm_name_len, name);
	if (error != 0)
		return (error);
	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_QCOW2_BITMAP_IN_USE;
	fi.fi_off = bm->bm_at;
	fi.fi_name = name;
	img_raise_finding(ta->ta_im, &fi);
	return (0);
}

static int
walk_directory(struct qcow2_tally *ta, uint64_t ext)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	uint64_t end = q->q_bitmap_off + q->q_bitmap_len;
	struct bitmap bm;
	uint32_t i;
	int error;

	if (!img_inside(q->q_bitmap_off, q->q_bitmap_len, ta->ta_im->im_eof[0]))
		return (
		    broken(ta, IMG_QCOW2_BITMAP_RANGE, ext, q->q_bitmap_off));
	error = own(ta, ext, q->q_bitmap_off, q->q_bitmap_len);
	memset(&bm, 0, sizeof(bm));
	bm.bm_at = q->q_bitmap_off;
	for (i = 0; i < q->q_nbitmaps && error == 0; i++) {
		error = read_entry(ta, &bm, end - bm.bm_at);
		if (error == 0)
			error = raise_in_use(ta, &bm);
		if (error == 0)
			error = walk_table(ta, &bm);
		bm.bm_at += bm.bm_len;
	}
	if (error == 0 && bm.bm_at != end)
		error =
		    broken(ta, IMG_QCOW2_BITMAP_DIR, bm.bm_at, end - bm.bm_at);
	return (error);
}

/*
 * Those of an image that says no more that it has any are owned all the same:
 * so they are one leak and not many.
 */
int
qcow2_tally_bitmaps(struct qcow2_tally *ta)
{
	struct qcow2 *q = qcow2(ta->ta_im);
	int stale = (q->q_autoclear & QCOW2_A_BITMAPS) == 0, error;
	uint64_t ext;

	if (q->q_nbitmaps == 0)
		return (0);
	if (q->q_bitmap_off == 0 && !stale)
		ta->ta_whole = 0;
	error = qcow2_ext_find(ta->ta_im, QCOW2_X_BITMAPS, &ext);
	if (error == 0 && stale && ta->ta_report && ta->ta_first)
		img_raise(ta->ta_im, IMG_QCOW2_BITMAP_STALE, ext);
	if (error == 0 && q->q_bitmap_off != 0)
		error = walk_directory(ta, ext);
	return (error == EFTYPE ? 0 : error);
}
