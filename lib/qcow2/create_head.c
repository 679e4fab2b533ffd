/* SPDX-License-Identifier: ISC */

/* The first cluster of a new image: header, extensions, backing file's name. */

#include "qcow2/create.h"

/* What a reader that does not know a bit can call it. */
static const struct {
	uint8_t f_kind; /* 0 incompatible, 1 compatible, 2 autoclear */
	uint8_t f_bit;
	char f_name[QCOW2_FEATURE - 2];
} features[] = {
	{ 0, 0, "dirty bit" },
	{ 0, 1, "corrupt bit" },
	{ 0, 2, "external data file" },
	{ 0, 3, "compression type" },
	{ 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },
	{ 2, 0, "bitmaps" },
	{ 2, 1, "raw external data" },
};

#define NFEATURES (sizeof(features) / sizeof(features[0]))

/* All of it, with names of any length, fits into the room. */
static uint32_t
put_ext(uint8_t *h, uint32_t at, uint32_t type, const void *data, size_t len)
{
	img_put_be32(h + at, type);
	img_put_be32(h + at + 4, (uint32_t)len);
	memcpy(h + at + 8, data, len);
	return (at + 8 + (uint32_t)img_roundup(len, 8));
}

static uint32_t
put_features(uint8_t *h, uint32_t at)
{
	uint8_t table[NFEATURES * QCOW2_FEATURE], *p = table;
	size_t i;

	for (i = 0; i < NFEATURES; i++, p += QCOW2_FEATURE) {
		p[0] = features[i].f_kind;
		p[1] = features[i].f_bit;
		memcpy(p + 2, features[i].f_name, sizeof(features[i].f_name));
	}
	return (put_ext(h, at, QCOW2_X_FEATURES, table, sizeof(table)));
}

static void
put_v3(const struct qcow2_plan *pl, uint8_t *h, uint32_t length)
{
	uint64_t incompat = 0;

	if (pl->pl_data_file[0] != '\0')
		incompat |= QCOW2_I_DATA_FILE;
	if (pl->pl_zstd) {
		incompat |= QCOW2_I_COMPRESSION;
		h[QCOW2_H_COMPRESSION] = 1;
	}
	if (pl->pl_extended)
		incompat |= QCOW2_I_EXTENDED;
	img_put_be64(h + QCOW2_H_INCOMPAT, incompat);
	img_put_be64(h + QCOW2_H_COMPAT, pl->pl_lazy ? QCOW2_C_LAZY : 0);
	img_put_be64(h + QCOW2_H_AUTOCLEAR, pl->pl_raw ? QCOW2_A_RAW : 0);
	img_put_be32(h + QCOW2_H_ORDER, pl->pl_order);
	img_put_be32(h + QCOW2_H_LENGTH, length);
}

static void
put_fixed(const struct qcow2_plan *pl, uint8_t *h)
{
	uint32_t bits = pl->pl_bits;

	img_put_be32(h + QCOW2_H_MAGIC, QCOW2_MAGIC);
	img_put_be32(h + QCOW2_H_VERSION, pl->pl_version);
	img_put_be32(h + QCOW2_H_BITS, bits);
	img_put_be64(h + QCOW2_H_SIZE, pl->pl_size);
	img_put_be32(h + QCOW2_H_L1_SIZE, (uint32_t)pl->pl_l1_n);
	if (pl->pl_l1_n > 0)
		img_put_be64(h + QCOW2_H_L1_OFF, qcow2_plan_l1(pl) << bits);
	img_put_be64(h + QCOW2_H_RT_OFF, UINT64_C(1) << bits);
	img_put_be32(h + QCOW2_H_RT_CLUSTERS, (uint32_t)pl->pl_rt);
}

int
qcow2_make_head(const struct qcow2_plan *pl, uint8_t *h, uint32_t *len)
{
	size_t backing = strlen(pl->pl_backing);
	uint32_t at;

	put_fixed(pl, h);
	at = pl->pl_vmd ? QCOW2_H_V3_LEN : QCOW2_H_LEN;
	if (pl->pl_version == 2)
		at = QCOW2_H_V2_LEN;
	else
		put_v3(pl, h, at);
	if (backing > 0)
		at = put_ext(h, at, QCOW2_X_BACKING_FORMAT, pl->pl_format,
		    strlen(pl->pl_format));
	if (pl->pl_data_file[0] != '\0')
		at = put_ext(h, at, QCOW2_X_DATA_FILE, pl->pl_data_file,
		    strlen(pl->pl_data_file));
	/* Small clusters keep their room for names. */
	if (pl->pl_version > 2 && !pl->pl_vmd && pl->pl_bits > 12)
		at = put_features(h, at);
	at = put_ext(h, at, QCOW2_X_END, "", 0);
	if (backing > 0) {
		img_put_be64(h + QCOW2_H_BACKING_OFF, at);
		img_put_be32(h + QCOW2_H_BACKING_LEN, (uint32_t)backing);
		memcpy(h + at, pl->pl_backing, backing);
		at += (uint32_t)backing;
	}
	if (at > UINT32_C(1) << pl->pl_bits)
		return (img_create_error(pl->pl_cr, EINVAL,
		    "the names do not fit into the first cluster", NULL));
	*len = (uint32_t)img_roundup(at, IMG_SECTOR);
	return (0);
}
