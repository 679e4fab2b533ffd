/* SPDX-License-Identifier: ISC */

/*
 * The header: fields, feature bits, geometry.  Fields that a header of that
 * version and length does not have are taken as 0, whatever the bytes are.
 */

#include "qcow2/qcow2.h"

#define FEATURE_NAME (QCOW2_FEATURE - 2)

int
qcow2_probe(struct img *im)
{
	uint8_t b[8];
	int error;

	if (im->im_eof[0] < sizeof(b))
		return (ENXIO);
	error = img_io_read(im, 0, b, sizeof(b), 0);
	if (error != 0)
		return (error);
	/* Version 1 is another format with the same magic. */
	if (img_be32(b + QCOW2_H_MAGIC) != QCOW2_MAGIC ||
	    img_be32(b + QCOW2_H_VERSION) < 2)
		return (ENXIO);
	return (0);
}

int
qcow2_write_head(struct img *im)
{
	int error;

	if (im->im_flags & IMG_FRESH) /* written when all is complete */
		return (0);
	error = img_io_barrier(im);
	if (error == 0)
		error = img_io_meta(im, qcow2(im)->q_head, QCOW2_HEAD, 0);
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

/* Magic, version, cluster size and length: what the rest stands on. */
static int
read_base(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint32_t len = (uint32_t)img_min(QCOW2_HEAD, im->im_eof[0]);
	int error;

	error = img_io_read(im, 0, q->q_head, len, 0);
	if (error != 0)
		return (error);
	q->q_version = img_be32(q->q_head + QCOW2_H_VERSION);
	if (img_be32(q->q_head + QCOW2_H_MAGIC) != QCOW2_MAGIC)
		return (fatal(im, IMG_QCOW2_MAGIC, QCOW2_H_MAGIC,
		    img_be32(q->q_head), IMG_WANT_EQ, QCOW2_MAGIC));
	if (q->q_version != 2 && q->q_version != 3)
		return (fatal(im, IMG_QCOW2_MAGIC, QCOW2_H_VERSION,
		    q->q_version, IMG_WANT_MAX, 3));
	q->q_bits = img_be32(q->q_head + QCOW2_H_BITS);
	if (q->q_bits < QCOW2_BITS_MIN)
		return (fatal(im, IMG_QCOW2_CLUSTER_BITS, QCOW2_H_BITS,
		    q->q_bits, IMG_WANT_MIN, QCOW2_BITS_MIN));
	if (q->q_bits > QCOW2_BITS_MAX)
		return (fatal(im, IMG_QCOW2_CLUSTER_BITS, QCOW2_H_BITS,
		    q->q_bits, IMG_WANT_MAX, QCOW2_BITS_MAX));
	q->q_cluster = 1u << q->q_bits;
	q->q_length = QCOW2_H_V2_LEN;
	q->q_order = 4;
	if (q->q_version == 2)
		return (0);
	q->q_length = img_be32(q->q_head + QCOW2_H_LENGTH);
	q->q_order = img_be32(q->q_head + QCOW2_H_ORDER);
	if (q->q_length < QCOW2_H_V3_LEN)
		return (fatal(im, IMG_QCOW2_HEADER_LENGTH, QCOW2_H_LENGTH,
		    q->q_length, IMG_WANT_MIN, QCOW2_H_V3_LEN));
	if (q->q_length > q->q_cluster)
		return (fatal(im, IMG_QCOW2_HEADER_LENGTH, QCOW2_H_LENGTH,
		    q->q_length, IMG_WANT_MAX, q->q_cluster));
	return (0);
}

/* The name that the image itself has for an incompatible feature, or "". */
static int
feature_name(struct img *im, unsigned bit, char *name)
{
	struct qcow2_ext x;
	uint8_t b[QCOW2_FEATURE];
	uint64_t off = qcow2(im)->q_length;
	uint32_t at, n;
	int error = 0;

	memset(name, 0, FEATURE_NAME + 1);
	for (n = 0; n < QCOW2_EXT_MAX && error == 0; n++) {
		error = qcow2_ext_next(im, &off, &x);
		if (error != 0 || x.x_type != QCOW2_X_FEATURES)
			continue;
		for (at = 0; x.x_len - at >= QCOW2_FEATURE;
		     at += QCOW2_FEATURE) {
			if (x.x_off + at + QCOW2_FEATURE > im->im_eof[0])
				return (0);
			error =
			    img_io_read(im, 0, b, QCOW2_FEATURE, x.x_off + at);
			if (error != 0)
				return (error);
			if (b[0] == 0 && b[1] == bit)
				memcpy(name, b + 2, FEATURE_NAME);
		}
	}
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

static int
unknown_feature(struct img *im, uint64_t bits)
{
	char name[FEATURE_NAME + 1];
	struct img_finding fi;
	unsigned bit = 0;
	int error;

	while (!(bits >> bit & 1))
		bit++;
	error = feature_name(im, bit, name);
	if (error != 0)
		return (error);
	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_QCOW2_INCOMPATIBLE;
	fi.fi_off = QCOW2_H_INCOMPAT;
	fi.fi_rel = IMG_WANT_ANY;
	fi.fi_found = bits;
	fi.fi_name = name[0] != '\0' ? name : NULL;
	img_raise_finding(im, &fi);
	return (EFTYPE);
}

/* Compression type: field and feature bit must agree. */
static int
compression(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint32_t type = 0;

	if (q->q_version >= 3 && q->q_length > QCOW2_H_COMPRESSION)
		type = q->q_head[QCOW2_H_COMPRESSION];
	if (type > 1)
		return (fatal(im, IMG_QCOW2_COMPRESSION_TYPE,
		    QCOW2_H_COMPRESSION, type, IMG_WANT_MAX, 1));
	if ((type != 0) != ((q->q_incompat & QCOW2_I_COMPRESSION) != 0))
		return (fatal(im, IMG_QCOW2_COMPRESSION_BIT,
		    QCOW2_H_COMPRESSION, type, IMG_WANT_EQ, type == 0));
	q->q_algo = type == 0 ? IMG_DEFLATE : IMG_ZSTD;
	if (type != 0 && !(im->im_env->ev_can & IMG_CAN_ZSTD))
		img_raise(im, IMG_QCOW2_NO_ZSTD, QCOW2_H_COMPRESSION);
	return (0);
}

static int
features(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint32_t i, end;

	if (q->q_version < 3)
		return (0);
	q->q_incompat = img_be64(q->q_head + QCOW2_H_INCOMPAT);
	q->q_compat = img_be64(q->q_head + QCOW2_H_COMPAT);
	q->q_autoclear = img_be64(q->q_head + QCOW2_H_AUTOCLEAR);
	if (q->q_incompat & ~(uint64_t)QCOW2_I_KNOWN)
		return (unknown_feature(im,
		    q->q_incompat & ~(uint64_t)QCOW2_I_KNOWN));
	if (q->q_length % 8 != 0)
		img_raise_num(im, IMG_QCOW2_HEADER_ODD, QCOW2_H_LENGTH,
		    IMG_WANT_ANY, q->q_length, 0);
	end = (uint32_t)img_min(q->q_length, QCOW2_H_LEN);
	for (i = QCOW2_H_PADDING; i < end; i++)
		if (q->q_head[i] != 0) {
			img_raise_num(im, IMG_QCOW2_PADDING, i, IMG_WANT_EQ,
			    q->q_head[i], 0);
			break;
		}
	if (q->q_incompat & QCOW2_I_DIRTY)
		img_raise(im, IMG_QCOW2_DIRTY, QCOW2_H_INCOMPAT);
	if (q->q_incompat & QCOW2_I_CORRUPT)
		img_raise(im, IMG_QCOW2_MARKED, QCOW2_H_INCOMPAT);
	q->q_extended = (q->q_incompat & QCOW2_I_EXTENDED) != 0;
	if (q->q_extended && q->q_bits < QCOW2_BITS_EXTENDED)
		return (fatal(im, IMG_QCOW2_SUBCLUSTER, QCOW2_H_BITS, q->q_bits,
		    IMG_WANT_MIN, QCOW2_BITS_EXTENDED));
	return (compression(im));
}

static int
geometry(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	uint64_t size = img_be64(q->q_head + QCOW2_H_SIZE);

	if (q->q_order > QCOW2_ORDER_MAX)
		return (fatal(im, IMG_QCOW2_REFCOUNT_ORDER, QCOW2_H_ORDER,
		    q->q_order, IMG_WANT_MAX, QCOW2_ORDER_MAX));
	q->q_rb_bits = q->q_bits + 3 - q->q_order;
	q->q_esz_bits = q->q_extended ? 4 : 3;
	q->q_l2_bits = q->q_bits - q->q_esz_bits;
	if (size > INT64_MAX)
		return (fatal(im, IMG_QCOW2_SIZE_LIMIT, QCOW2_H_SIZE, size,
		    IMG_WANT_MAX, INT64_MAX));
	if (size % IMG_SECTOR != 0)
		img_raise_num(im, IMG_QCOW2_SIZE_ODD, QCOW2_H_SIZE, IMG_WANT_EQ,
		    size, img_roundup(size, IMG_SECTOR));
	/* As every reader has it: a disk has whole sectors. */
	im->im_size = size - size % IMG_SECTOR;
	im->im_unit = q->q_cluster;
	return (0);
}

int
qcow2_header(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	int error;

	error = read_base(im);
	if (error == 0)
		error = features(im);
	if (error == 0)
		error = geometry(im);
	if (error != 0)
		return (error);
	q->q_crypt = img_be32(q->q_head + QCOW2_H_CRYPT);
	if (q->q_crypt > QCOW2_CRYPT_LUKS)
		img_raise_num(im, IMG_QCOW2_CRYPT_METHOD, QCOW2_H_CRYPT,
		    IMG_WANT_MAX, q->q_crypt, QCOW2_CRYPT_LUKS);
	else if (q->q_crypt != 0)
		img_raise_num(im, IMG_QCOW2_ENCRYPTED, QCOW2_H_CRYPT,
		    IMG_WANT_ANY, q->q_crypt, 0);
	/* Any unit may be packed, and takes at most two clusters. */
	im->im_packmax = 2 * q->q_cluster;
	return (0);
}
