/* SPDX-License-Identifier: ISC */

/*
 * Making an empty QED: a header with the backing file's name right behind it,
 * and an L1 table of zeros.  Options are named as qemu-img names them.
 */

#include "qed/tool.h"

const struct img_opt qed_opts[] = {
	{ "cluster_size",
	    "bytes of a cluster, a power of two from 4k to 64M (default 64k); "
	    "qemu opens all up to 1M" },
	{ "table_size",
	    "clusters of a table: 1, 2, 4, 8 or 16 (default 4); qemu does not "
	    "open 1" },
	{ "backing_file", "what the image reads where it has nothing" },
	{ "backing_fmt", "format of the backing file; only raw is recorded" },
	{ NULL, NULL },
};

struct plan {
	struct img_create *pl_cr;
	uint64_t pl_size; /* of the disk */
	uint32_t pl_bits; /* log2 of the cluster size */
	uint32_t pl_table;
	char pl_backing[QED_BACKING_MADE + 1]; /* "" for none */
	char pl_format[16];
};

static int
refuse(const struct plan *pl, const char *what, const char *value)
{
	return (img_create_error(pl->pl_cr, EINVAL, what, value));
}

/*
 * Whoever makes an image says what its backing file is, though only "raw"
 * can be written down: so that raw is never left to be found out.
 */
static int
read_backing(struct plan *pl)
{
	int error;

	error = img_opt_path(pl->pl_cr, "backing_file", pl->pl_backing,
	    sizeof(pl->pl_backing));
	if (error != 0)
		return (error);
	error = img_opt_get(pl->pl_cr->cr_opts, "backing_fmt", pl->pl_format,
	    sizeof(pl->pl_format));
	if (error == EINVAL)
		return (refuse(pl, "bad value for", "backing_fmt"));
	if (pl->pl_backing[0] == '\0')
		return (error == ENOENT ?
			0 :
			refuse(pl, "backing_fmt without backing_file", NULL));
	if (!qed_is_text(pl->pl_backing, (uint32_t)strlen(pl->pl_backing)))
		return (refuse(pl, "control bytes in backing_file", NULL));
	if (error == ENOENT)
		return (refuse(pl, "backing_file needs backing_fmt", NULL));
	if (img_format_find(pl->pl_format) == NULL)
		return (refuse(pl, "unknown backing_fmt", pl->pl_format));
	return (0);
}

static int
read_options(struct plan *pl)
{
	uint32_t table = 2;
	uint32_t bits;
	int error;

	pl->pl_bits = 16;
	error = img_opt_power(pl->pl_cr, "cluster_size", QED_BITS_MIN,
	    QED_BITS_MAX, &pl->pl_bits);
	if (error == 0)
		error = img_opt_power(pl->pl_cr, "table_size", 0, 4, &table);
	if (error == 0)
		error = read_backing(pl);
	if (error != 0)
		return (error);
	pl->pl_table = UINT32_C(1) << table;
	/* As qemu has it, a disk has whole sectors. */
	if (pl->pl_cr->cr_size > INT64_MAX - (uint64_t)511)
		return (EFBIG);
	pl->pl_size = img_roundup(pl->pl_cr->cr_size, IMG_SECTOR);
	bits = 2 * (table + pl->pl_bits - 3) + pl->pl_bits;
	if (bits < 63 && pl->pl_size > UINT64_C(1) << bits)
		return (img_create_error(pl->pl_cr, EFBIG,
		    "larger than these clusters and tables allow", NULL));
	return (0);
}

static void
make_head(const struct plan *pl, uint8_t *b)
{
	uint64_t features = 0;
	uint32_t len = (uint32_t)strlen(pl->pl_backing);

	if (len > 0)
		features |= QED_F_BACKING;
	if (len > 0 && strcmp(pl->pl_format, "raw") == 0)
		features |= QED_F_NO_PROBE;
	img_put_le32(b + QED_H_MAGIC, QED_MAGIC);
	img_put_le32(b + QED_H_CLUSTER_SIZE, UINT32_C(1) << pl->pl_bits);
	img_put_le32(b + QED_H_TABLE_SIZE, pl->pl_table);
	img_put_le32(b + QED_H_HEADER_SIZE, 1);
	img_put_le64(b + QED_H_FEATURES, features);
	img_put_le64(b + QED_H_L1_OFF, UINT64_C(1) << pl->pl_bits);
	img_put_le64(b + QED_H_SIZE, pl->pl_size);
	img_put_le32(b + QED_H_BACKING_OFF, len > 0 ? QED_H_LEN : 0);
	img_put_le32(b + QED_H_BACKING_LEN, len);
	memcpy(b + QED_H_LEN, pl->pl_backing, len);
}

static int
write_image(const struct plan *pl, struct img_file *f)
{
	uint8_t head[2048]; /* the shortest cluster has more */
	uint64_t end = (uint64_t)(1 + pl->pl_table) << pl->pl_bits;
	int error;

	memset(head, 0, sizeof(head));
	make_head(pl, head);
	error = f->f_ops->fo_resize(f, end);
	if (error == 0)
		error = f->f_ops->fo_write(f, head, sizeof(head), 0);
	return (error);
}

int
qed_create(const struct img_env *env, struct img_file *f, struct img_create *cr)
{
	struct plan pl;
	uint64_t len;
	int error;

	(void)env;
	memset(&pl, 0, sizeof(pl));
	pl.pl_cr = cr;
	error = read_options(&pl);
	if (error == 0)
		error = f->f_ops->fo_length(f, &len);
	if (error != 0)
		return (error);
	/* Its length is what says which clusters are in use. */
	if ((f->f_flags & IMG_FILE_FIXED) || !(f->f_flags & IMG_FILE_ZEROES))
		return (img_create_error(cr, ENOTSUP,
		    "a QED cannot be on a device", NULL));
	if (len != 0)
		return (
		    img_create_error(cr, EINVAL, "file is not empty", NULL));
	return (write_image(&pl, f));
}
