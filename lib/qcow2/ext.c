/* SPDX-License-Identifier: ISC */

/*
 * What stands in the first cluster behind the header: extensions, and the
 * name of the backing file.  Missing bytes of a short file are zeros.
 */

#include "qcow2/qcow2.h"

/* The kinds that matter, for which one alone may be there. */
static const uint32_t kinds[] = { QCOW2_X_BACKING_FORMAT, QCOW2_X_FEATURES,
	QCOW2_X_BITMAPS, QCOW2_X_LUKS, QCOW2_X_DATA_FILE };
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))
#define LUKS_KIND 3

/* Formats that a backing file may have: ours, and those of other programs. */
static const char *const formats[] = { "raw", "qcow2", "vpc", "vhd", "qed",
	"qcow", "vdi", "vmdk", "vhdx", "luks", "parallels", "bochs", "cloop",
	"dmg", "file", "host_device" };
#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

static int
read_bytes(struct img *im, void *buf, uint32_t len, uint64_t off)
{
	uint32_t n = 0;

	if (off < im->im_eof[0])
		n = (uint32_t)img_min(len, im->im_eof[0] - off);
	memset((uint8_t *)buf + n, 0, len - n);
	return (n == 0 ? 0 : img_io_read(im, 0, buf, n, off));
}

/* Where the extensions must end. */
static uint64_t
area_end(const struct qcow2 *q)
{
	uint64_t off = img_be64(q->q_head + QCOW2_H_BACKING_OFF);

	return (off != 0 && off < q->q_cluster ? off : q->q_cluster);
}

int
qcow2_ext_next(struct img *im, uint64_t *off, struct qcow2_ext *x)
{
	uint64_t end = area_end(qcow2(im)), at = *off;
	uint8_t b[8];
	int error;

	memset(x, 0, sizeof(*x));
	if (at > end || end - at < sizeof(b))
		return (ENOENT);
	error = read_bytes(im, b, sizeof(b), at);
	if (error != 0)
		return (error);
	x->x_type = img_be32(b);
	x->x_len = img_be32(b + 4);
	x->x_off = at + sizeof(b);
	if (x->x_len > end - x->x_off)
		return (EFTYPE);
	*off = x->x_off + img_roundup(x->x_len, 8);
	if (x->x_type != QCOW2_X_END)
		return (0);
	x->x_ended = 1;
	return (ENOENT);
}

/* Do the two extensions say the same? */
static int
same_data(struct img *im, const struct qcow2_ext *a, const struct qcow2_ext *b,
    int *same)
{
	uint8_t abuf[64], bbuf[64];
	uint32_t at, n;
	int error = 0;

	*same = a->x_len == b->x_len;
	for (at = 0; *same && error == 0 && at < a->x_len; at += n) {
		n = (uint32_t)img_min(sizeof(abuf), a->x_len - at);
		error = read_bytes(im, abuf, n, a->x_off + at);
		if (error == 0)
			error = read_bytes(im, bbuf, n, b->x_off + at);
		*same = error == 0 && memcmp(abuf, bbuf, n) == 0;
	}
	return (error);
}

/* A name without NUL; 0 where it has one. */
static int
is_text(const char *s, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		if (s[i] == '\0')
			return (0);
	return (1);
}

static int
is_format(const char *s)
{
	size_t i, n;

	for (i = 0; i < NFORMATS; i++) {
		for (n = 0; formats[i][n] != '\0' && formats[i][n] == s[n]; n++)
			continue;
		if (formats[i][n] == s[n])
			return (1);
	}
	return (0);
}

/* A format that is recorded, but unknown, is not one that is not recorded. */
static int
backing_format(struct img *im, const struct qcow2_ext *x)
{
	struct qcow2 *q = qcow2(im);
	uint32_t len = (uint32_t)img_min(x->x_len, QCOW2_FORMAT_MAX);
	int error;

	memset(q->q_format, 0, sizeof(q->q_format));
	error = read_bytes(im, q->q_format, len, x->x_off);
	if (error != 0)
		return (error);
	if (x->x_len > QCOW2_FORMAT_MAX)
		img_raise_num(im, IMG_QCOW2_BACKING_FORMAT, x->x_off,
		    IMG_WANT_MAX, x->x_len, QCOW2_FORMAT_MAX);
	else if (q->q_format[0] != '\0' && !is_format(q->q_format))
		img_raise(im, IMG_QCOW2_BACKING_FORMAT, x->x_off);
	return (0);
}

static int
bitmaps(struct img *im, const struct qcow2_ext *x)
{
	struct qcow2 *q = qcow2(im);
	uint8_t b[QCOW2_B_LEN];
	int error;

	q->q_bitmap_ext = x->x_off - 8;
	q->q_nbitmaps = 1;
	q->q_bitmap_off = 0;
	if (x->x_len == QCOW2_B_LEN) {
		error = read_bytes(im, b, sizeof(b), x->x_off);
		if (error != 0)
			return (error);
		q->q_nbitmaps = img_be32(b + QCOW2_B_COUNT);
		q->q_bitmap_len = img_be64(b + QCOW2_B_DIR_LEN);
		q->q_bitmap_off = img_be64(b + QCOW2_B_DIR_OFF);
		if (q->q_nbitmaps == 0 || q->q_nbitmaps > QCOW2_NBITMAP_MAX ||
		    img_be32(b + QCOW2_B_RESERVED) != 0 ||
		    q->q_bitmap_len < QCOW2_D_LEN ||
		    q->q_bitmap_len > QCOW2_BITMAP_DIR_MAX ||
		    q->q_bitmap_off < q->q_cluster ||
		    !qcow2_aligned(q, q->q_bitmap_off))
			q->q_bitmap_off = 0;
		q->q_nbitmaps += q->q_nbitmaps == 0;
	}
	if (q->q_bitmap_off == 0 && (q->q_autoclear & QCOW2_A_BITMAPS))
		img_raise(im, IMG_QCOW2_BITMAP_EXT, x->x_off);
	return (0);
}

static int
luks(struct img *im, const struct qcow2_ext *x)
{
	struct qcow2 *q = qcow2(im);
	uint8_t b[16];
	int error;

	if (q->q_crypt != QCOW2_CRYPT_LUKS || x->x_len != sizeof(b)) {
		img_raise(im, IMG_QCOW2_LUKS_EXT, x->x_off);
		return (0);
	}
	error = read_bytes(im, b, sizeof(b), x->x_off);
	if (error != 0)
		return (error);
	q->q_luks_off = img_be64(b);
	q->q_luks_len = img_be64(b + 8);
	if (q->q_luks_off < q->q_cluster || q->q_luks_len < QCOW2_LUKS_LEN ||
	    !qcow2_aligned(q, q->q_luks_off) ||
	    !img_inside(q->q_luks_off, q->q_luks_len, im->im_eof[0])) {
		img_raise(im, IMG_QCOW2_LUKS_HEADER, x->x_off);
		q->q_luks_len = 0;
		return (0);
	}
	error = img_io_read(im, 0, b, 6, q->q_luks_off);
	if (error == 0 && memcmp(b, QCOW2_LUKS_MAGIC, 6) != 0)
		img_raise(im, IMG_QCOW2_LUKS_HEADER, q->q_luks_off);
	return (error);
}

static int
data_file(struct img *im, const struct qcow2_ext *x)
{
	struct qcow2 *q = qcow2(im);
	int error;

	memset(q->q_data, 0, sizeof(q->q_data));
	if (x->x_len > QCOW2_BACKING_MAX)
		return (0);
	error = read_bytes(im, q->q_data, x->x_len, x->x_off);
	if (!is_text(q->q_data, x->x_len))
		q->q_data[0] = '\0';
	return (error);
}

static int
extension(struct img *im, const struct qcow2_ext *x)
{
	switch (x->x_type) {
	case QCOW2_X_BACKING_FORMAT:
		return (backing_format(im, x));
	case QCOW2_X_BITMAPS:
		return (bitmaps(im, x));
	case QCOW2_X_LUKS:
		return (luks(im, x));
	case QCOW2_X_DATA_FILE:
		return (data_file(im, x));
	default: /* names of features are looked at when one is unknown */
		return (0);
	}
}

/* Is one of this kind there already? */
static int
look_for_twin(struct img *im, const struct qcow2_ext *x, struct qcow2_ext *seen)
{
	int error = 0, same;
	size_t i;

	for (i = 0; i < NKINDS; i++) {
		if (kinds[i] != x->x_type)
			continue;
		if (seen[i].x_off != 0) {
			error = same_data(im, x, &seen[i], &same);
			if (error == 0)
				img_raise(im,
				    same ? IMG_QCOW2_EXT_TWICE :
					   IMG_QCOW2_EXT_DIFFER,
				    x->x_off - 8);
		}
		seen[i] = *x;
	}
	return (error);
}

static int
backing_name(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off = img_be64(q->q_head + QCOW2_H_BACKING_OFF);
	uint32_t len = img_be32(q->q_head + QCOW2_H_BACKING_LEN);
	int error;

	if (off == 0 || len == 0)
		return (0);
	im->im_needs |= IMG_NEEDS_BACKING;
	if (len > QCOW2_BACKING_MAX || !img_inside(off, len, q->q_cluster)) {
		img_raise_num(im, IMG_QCOW2_BACKING_PLACE, QCOW2_H_BACKING_OFF,
		    IMG_WANT_ANY, off, 0);
		q->q_backing_bad = 1;
		return (0);
	}
	error = read_bytes(im, q->q_backing, len, off);
	if (error != 0)
		return (error);
	if (off < q->q_length)
		img_raise_num(im, IMG_QCOW2_BACKING_OVERLAP,
		    QCOW2_H_BACKING_OFF, IMG_WANT_MIN, off, q->q_length);
	if (!is_text(q->q_backing, len)) {
		img_raise(im, IMG_QCOW2_BACKING_NUL, QCOW2_H_BACKING_OFF);
		q->q_backing_bad = 1;
	}
	q->q_backing_len = len;
	if (q->q_format[0] == '\0')
		img_raise(im, IMG_QCOW2_BACKING_PROBED, QCOW2_H_BACKING_OFF);
	return (0);
}

/* Feature bits and fields that need an extension, or forbid something. */
static void
agree(struct img *im, const struct qcow2_ext *seen)
{
	struct qcow2 *q = qcow2(im);

	if (q->q_crypt == QCOW2_CRYPT_LUKS && seen[LUKS_KIND].x_off == 0)
		img_raise(im, IMG_QCOW2_LUKS_EXT, QCOW2_H_CRYPT);
	if ((q->q_autoclear & QCOW2_A_BITMAPS) && q->q_nbitmaps == 0)
		img_raise(im, IMG_QCOW2_BITMAPS_BIT, QCOW2_H_AUTOCLEAR);
	if (qcow2_data_file(q)) {
		im->im_needs |= IMG_NEEDS_DATA;
		if (q->q_data[0] == '\0')
			img_raise(im, IMG_QCOW2_DATA_FILE_NAME,
			    QCOW2_H_INCOMPAT);
	}
	if ((q->q_autoclear & QCOW2_A_RAW) &&
	    (!qcow2_data_file(q) || (im->im_needs & IMG_NEEDS_BACKING)))
		img_raise(im, IMG_QCOW2_RAW_BIT, QCOW2_H_AUTOCLEAR);
}

int
qcow2_extensions(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	struct qcow2_ext x, seen[NKINDS];
	uint64_t off = q->q_length, at = off;
	uint32_t n;
	int error = 0;

	memset(seen, 0, sizeof(seen));
	for (n = 0; error == 0; n++) {
		at = off;
		error = n < QCOW2_EXT_MAX ? qcow2_ext_next(im, &off, &x) :
					    EFTYPE;
		if (error == 0)
			error = look_for_twin(im, &x, seen);
		if (error == 0)
			error = extension(im, &x);
	}
	q->q_ext_end = off;
	q->q_ext_bad = error == EFTYPE;
	if (error == EFTYPE)
		img_raise_num(im, IMG_QCOW2_EXT_LENGTH, at, IMG_WANT_MAX,
		    x.x_len, area_end(q) - at - 8);
	else if (error != ENOENT)
		return (error);
	else if (!x.x_ended)
		img_raise(im, IMG_QCOW2_EXT_NO_END, area_end(q));
	error = backing_name(im);
	if (error == 0)
		agree(im, seen);
	return (error);
}
