/* SPDX-License-Identifier: ISC */

/*
 * The header: fields, feature bits, geometry, and where it puts the L1 table
 * and the backing file's name.
 */

#include "qed/qed.h"

int
qed_probe(struct img *im)
{
	uint8_t b[4];
	int error;

	if (im->im_eof[0] < QED_H_LEN)
		return (ENXIO);
	error = img_io_read(im, 0, b, sizeof(b), QED_H_MAGIC);
	if (error != 0)
		return (error);
	return (img_le32(b) == QED_MAGIC ? 0 : ENXIO);
}

int
qed_write_head(struct img *im)
{
	int error;

	if (im->im_flags & IMG_FRESH) /* written when all is complete */
		return (0);
	error = img_io_barrier(im);
	if (error == 0)
		error = img_io_meta(im, qed(im)->q_head, QED_HEAD, 0);
	if (error == 0)
		error = img_io_barrier(im);
	return (error);
}

/* A field that ends it, as it is and as it could be. */
static int
fatal(struct img *im, enum img_row row, uint64_t off, uint64_t found,
    enum img_want rel, uint64_t want)
{
	img_raise_num(im, row, off, rel, found, want);
	return (EFTYPE);
}

static int
is_power(uint32_t n)
{
	return (n != 0 && (n & (n - 1)) == 0);
}

static uint32_t
log_of(uint32_t n)
{
	uint32_t bits = 0;

	while (n >>= 1)
		bits++;
	return (bits);
}

static int
features(struct img *im)
{
	struct qed *q = qed(im);

	q->q_features = img_le64(q->q_head + QED_H_FEATURES);
	q->q_compat = img_le64(q->q_head + QED_H_COMPAT);
	q->q_autoclear = img_le64(q->q_head + QED_H_AUTOCLEAR);
	if (q->q_features & ~(uint64_t)QED_F_KNOWN)
		return (fatal(im, IMG_QED_FEATURES, QED_H_FEATURES,
		    q->q_features & ~(uint64_t)QED_F_KNOWN, IMG_WANT_ANY, 0));
	if (q->q_compat != 0)
		img_raise_num(im, IMG_QED_COMPAT, QED_H_COMPAT, IMG_WANT_ANY,
		    q->q_compat, 0);
	if (q->q_autoclear != 0)
		img_raise_num(im, IMG_QED_AUTOCLEAR, QED_H_AUTOCLEAR,
		    IMG_WANT_ANY, q->q_autoclear, 0);
	if (q->q_features & QED_F_NEED_CHECK)
		img_raise(im,
		    q->q_features & QED_F_BACKING ? IMG_QED_DIRTY_BACKING :
						    IMG_QED_DIRTY,
		    QED_H_FEATURES);
	return (0);
}

/* Sizes of clusters, tables and header, which the rest stands on. */
static int
units(struct img *im)
{
	struct qed *q = qed(im);
	uint32_t n = img_le32(q->q_head + QED_H_CLUSTER_SIZE);

	if (n < UINT32_C(1) << QED_BITS_MIN)
		return (fatal(im, IMG_QED_CLUSTER_SIZE, QED_H_CLUSTER_SIZE, n,
		    IMG_WANT_MIN, UINT32_C(1) << QED_BITS_MIN));
	if (n > UINT32_C(1) << QED_BITS_MAX)
		return (fatal(im, IMG_QED_CLUSTER_SIZE, QED_H_CLUSTER_SIZE, n,
		    IMG_WANT_MAX, UINT32_C(1) << QED_BITS_MAX));
	if (!is_power(n))
		return (fatal(im, IMG_QED_CLUSTER_POWER, QED_H_CLUSTER_SIZE, n,
		    IMG_WANT_ANY, 0));
	q->q_cluster = n;
	q->q_bits = log_of(n);
	n = img_le32(q->q_head + QED_H_TABLE_SIZE);
	if (!is_power(n) || n > QED_TABLE_MAX)
		return (fatal(im, IMG_QED_TABLE_SIZE, QED_H_TABLE_SIZE, n,
		    IMG_WANT_ANY, 0));
	if (n == 1)
		img_raise(im, IMG_QED_TABLE_ONE, QED_H_TABLE_SIZE);
	q->q_table = n;
	q->q_table_len = (uint64_t)n << q->q_bits;
	q->q_table_bits = log_of(n) + q->q_bits - 3;
	n = img_le32(q->q_head + QED_H_HEADER_SIZE);
	if (n > UINT32_MAX >> q->q_bits)
		return (fatal(im, IMG_QED_HEADER_LIMIT, QED_H_HEADER_SIZE, n,
		    IMG_WANT_MAX, UINT32_MAX >> q->q_bits));
	if (n == 0)
		img_raise_num(im, IMG_QED_HEADER_ZERO, QED_H_HEADER_SIZE,
		    IMG_WANT_MIN, n, 1);
	q->q_header_len = (uint64_t)(n == 0 ? 1 : n) << q->q_bits;
	return (0);
}

static int
disk_size(struct img *im)
{
	struct qed *q = qed(im);
	uint64_t size = img_le64(q->q_head + QED_H_SIZE);
	uint32_t bits = 2 * q->q_table_bits + q->q_bits;

	q->q_wraps = bits >= 64;
	/* What an offset in a file can be, in sectors, is the limit of all. */
	q->q_max = bits >= 63 ? (uint64_t)INT64_MAX & ~(uint64_t)511 :
				UINT64_C(1) << bits;
	if (size > q->q_max)
		return (fatal(im, IMG_QED_SIZE_LIMIT, QED_H_SIZE, size,
		    IMG_WANT_MAX, q->q_max));
	if (size % IMG_SECTOR != 0)
		img_raise_num(im, IMG_QED_SIZE_ODD, QED_H_SIZE, IMG_WANT_EQ,
		    size, img_roundup(size, IMG_SECTOR));
	if (size == 0)
		img_raise(im, IMG_QED_SIZE_NONE, QED_H_SIZE);
	else if (q->q_wraps)
		img_raise(im, IMG_QED_WRAPS, QED_H_TABLE_SIZE);
	/* A disk has whole sectors. */
	im->im_size = size - size % IMG_SECTOR;
	im->im_unit = q->q_cluster;
	return (0);
}

/* The L1 table: at a cluster, behind the header, inside the file. */
static int
place_l1(struct img *im)
{
	struct qed *q = qed(im);
	uint64_t off = img_le64(q->q_head + QED_H_L1_OFF);

	if (off < QED_H_LEN)
		return (fatal(im, IMG_QED_L1_ON_HEADER, QED_H_L1_OFF, off,
		    IMG_WANT_MIN, q->q_header_len));
	if (off & (q->q_cluster - 1))
		return (fatal(im, IMG_QED_L1_PLACE, QED_H_L1_OFF, off,
		    IMG_WANT_ANY, 0));
	if (off > (uint64_t)INT64_MAX - q->q_table_len)
		return (fatal(im, IMG_QED_L1_WRAP, QED_H_L1_OFF, off,
		    IMG_WANT_MAX, (uint64_t)INT64_MAX - q->q_table_len));
	if (q->q_header_len > im->im_eof[0])
		return (fatal(im, IMG_QED_HEADER_EOF, QED_H_HEADER_SIZE,
		    q->q_header_len >> q->q_bits, IMG_WANT_MAX,
		    im->im_eof[0] >> q->q_bits));
	if (off < q->q_header_len)
		return (fatal(im, IMG_QED_HEADER_L1, QED_H_L1_OFF, off,
		    IMG_WANT_MIN, q->q_header_len));
	if (!img_inside(off, q->q_table_len, im->im_eof[0]))
		return (fatal(im, IMG_QED_L1_EOF, QED_H_L1_OFF,
		    off + q->q_table_len, IMG_WANT_MAX, im->im_eof[0]));
	q->q_l1_off = off;
	return (0);
}

int
qed_is_text(const char *s, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f)
			return (0);
	return (1);
}

/* The row that forbids the use of the backing file's name. */
static int
read_name(struct img *im, uint64_t off, uint64_t len, enum img_row *row)
{
	struct qed *q = qed(im);
	int error;

	*row = IMG_ROW_NONE;
	if (!img_inside(off, len, q->q_header_len))
		*row = IMG_QED_BACKING_PLACE;
	else if (off < QED_H_LEN)
		*row = IMG_QED_BACKING_HEADER;
	else if (len > QED_BACKING_MAX)
		*row = IMG_QED_BACKING_NAME;
	if (*row != IMG_ROW_NONE)
		return (0);
	error = img_io_read(im, 0, q->q_backing, (uint32_t)len, off);
	if (error == 0 && !qed_is_text(q->q_backing, (uint32_t)len))
		*row = IMG_QED_BACKING_NAME;
	return (error);
}

static int
backing(struct img *im)
{
	struct qed *q = qed(im);
	uint32_t off = img_le32(q->q_head + QED_H_BACKING_OFF);
	uint32_t len = img_le32(q->q_head + QED_H_BACKING_LEN);
	enum img_row row;
	int error;

	if (!(q->q_features & QED_F_BACKING)) {
		if (q->q_features & QED_F_NO_PROBE)
			img_raise(im, IMG_QED_NO_PROBE, QED_H_FEATURES);
		if (len != 0 || off != 0)
			img_raise_num(im, IMG_QED_BACKING_JUNK,
			    off != 0 ? QED_H_BACKING_OFF : QED_H_BACKING_LEN,
			    IMG_WANT_EQ, off != 0 ? off : len, 0);
		return (0);
	}
	if (len == 0) {
		img_raise(im, IMG_QED_BACKING_EMPTY, QED_H_BACKING_LEN);
		return (0);
	}
	im->im_needs |= IMG_NEEDS_BACKING;
	error = read_name(im, off, len, &row);
	if (error != 0)
		return (error);
	if (row != IMG_ROW_NONE) {
		img_raise_num(im, row,
		    row == IMG_QED_BACKING_NAME ? QED_H_BACKING_LEN :
						  QED_H_BACKING_OFF,
		    IMG_WANT_ANY, row == IMG_QED_BACKING_NAME ? len : off, 0);
		q->q_backing_bad = 1;
	}
	q->q_backing_len = len;
	if (!(q->q_features & QED_F_NO_PROBE))
		img_raise(im, IMG_QED_BACKING_PROBED, QED_H_FEATURES);
	return (0);
}

int
qed_header(struct img *im)
{
	struct qed *q = qed(im);
	int error;

	if (im->im_eof[0] < QED_H_LEN)
		return (fatal(im, IMG_QED_SHORT, 0, im->im_eof[0], IMG_WANT_MIN,
		    QED_H_LEN));
	error = img_io_read(im, 0, q->q_head,
	    (uint32_t)img_min(QED_HEAD, im->im_eof[0]), 0);
	if (error != 0)
		return (error);
	if (img_le32(q->q_head + QED_H_MAGIC) != QED_MAGIC)
		return (fatal(im, IMG_QED_MAGIC, QED_H_MAGIC,
		    img_le32(q->q_head + QED_H_MAGIC), IMG_WANT_EQ, QED_MAGIC));
	error = features(im);
	if (error == 0)
		error = units(im);
	if (error == 0)
		error = disk_size(im);
	if (error == 0)
		error = place_l1(im);
	if (error == 0)
		error = backing(im);
	if (error == 0 && (im->im_file[0]->f_flags & IMG_FILE_FIXED))
		img_raise(im, IMG_QED_DEVICE, IMG_NOWHERE);
	return (error);
}
