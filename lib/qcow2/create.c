/* SPDX-License-Identifier: ISC */

/*
 * Making an empty qcow2: what the options mean, and which go together.  They
 * are named as qemu-img names them, and refused where it refuses them.
 */

#include "qcow2/create.h"

const struct img_opt qcow2_opts[] = {
	{ "compat", "1.1 or v3 (default), 0.10 or v2" },
	{ "cluster_size",
	    "bytes of a cluster, a power of two from 512 to 2M (default 64k)" },
	{ "refcount_bits", "width of a refcount: 1, 2, 4 ... 64 (default 16)" },
	{ "lazy_refcounts", "on lets a writer postpone refcounts" },
	{ "extended_l2", "on allocates in 32 parts of a cluster" },
	{ "compression_type", "zlib (default) or zstd" },
	{ "preallocation", "off (default), metadata, falloc or full" },
	{ "backing_file", "what the image reads where it has nothing" },
	{ "backing_fmt", "format of the backing file" },
	{ "data_file", "the file that has the guest's data" },
	{ "data_file_raw", "on keeps the data file a raw image" },
	{ "profile", "vmd makes what OpenBSD's vmd can use" },
	{ "encryption", "only off: encrypted images are not made" },
	{ "encrypt.format", "refused: encrypted images are not made" },
	{ "encrypt.key-secret", "refused likewise" },
	{ NULL, NULL },
};

static int
refuse(const struct qcow2_plan *pl, const char *what, const char *value)
{
	return (img_create_error(pl->pl_cr, EINVAL, what, value));
}

static int
opt(const struct qcow2_plan *pl, const char *name, char *buf, size_t size)
{
	int error;

	error = img_opt_get(pl->pl_cr->cr_opts, name, buf, size);
	return (error != EINVAL ? error : refuse(pl, "bad value for", name));
}

/*
 * One of several words; n is that of the word, whatever it was where the
 * option is not given.  Words of the same meaning follow one another in a
 * string, each ended by a NUL.
 */
static int
opt_word(const struct qcow2_plan *pl, const char *name,
    const char *const *words, unsigned *n)
{
	const char *w;
	char buf[16];
	unsigned i;
	int error;

	error = opt(pl, name, buf, sizeof(buf));
	if (error != 0)
		return (error == ENOENT ? 0 : error);
	for (i = 0; words[i] != NULL; i++)
		for (w = words[i]; *w != '\0'; w += strlen(w) + 1)
			if (strcmp(w, buf) == 0) {
				*n = i;
				return (0);
			}
	return (refuse(pl, "bad value for", name));
}

static int
opt_bool(const struct qcow2_plan *pl, const char *name, int *on)
{
	static const char *const words[] = { "off\0no\0false\0n\0",
		"on\0yes\0true\0y\0", NULL };
	unsigned n = *on != 0;
	int error;

	error = opt_word(pl, name, words, &n);
	*on = n != 0;
	return (error);
}

static int
opt_text(const struct qcow2_plan *pl, const char *name, char *buf, size_t size)
{
	int error;

	error = opt(pl, name, buf, size);
	return (error == ENOENT ? 0 : error);
}

static int
no_encryption(const struct qcow2_plan *pl)
{
	static const char why[] = "encrypted images are not made";
	char buf[64];
	int on = 0, error;

	error = opt_bool(pl, "encryption", &on);
	if (error != 0)
		return (error);
	if (on ||
	    img_opt_get(pl->pl_cr->cr_opts, "encrypt.format", buf,
		sizeof(buf)) != ENOENT ||
	    img_opt_get(pl->pl_cr->cr_opts, "encrypt.key-secret", buf,
		sizeof(buf)) != ENOENT)
		return (img_create_error(pl->pl_cr, ENOTSUP, why, NULL));
	return (0);
}

static int
read_format(struct qcow2_plan *pl)
{
	static const char *const version[] = { "0.10\0v2\0", "1.1\0v3\0",
		NULL };
	static const char *const profile[] = { "vmd\0", NULL };
	unsigned n = 1;
	int error;

	pl->pl_bits = 16;
	pl->pl_order = 4;
	error = opt_word(pl, "compat", version, &n);
	pl->pl_version = 2 + n;
	n = 1;
	if (error == 0)
		error = opt_word(pl, "profile", profile, &n);
	pl->pl_vmd = n == 0;
	if (error == 0)
		error = img_opt_power(pl->pl_cr, "cluster_size", QCOW2_BITS_MIN,
		    QCOW2_BITS_MAX, &pl->pl_bits);
	if (error == 0)
		error = img_opt_power(pl->pl_cr, "refcount_bits", 0,
		    QCOW2_ORDER_MAX, &pl->pl_order);
	if (error == 0)
		error = opt_bool(pl, "lazy_refcounts", &pl->pl_lazy);
	if (error == 0)
		error = opt_bool(pl, "extended_l2", &pl->pl_extended);
	return (error);
}

static int
read_rest(struct qcow2_plan *pl)
{
	static const char *const prealloc[] = { "off\0", "metadata\0",
		"falloc\0", "full\0", NULL };
	static const char *const packing[] = { "zlib\0", "zstd\0", NULL };
	unsigned n = 0;
	int error;

	error = opt_word(pl, "compression_type", packing, &n);
	pl->pl_zstd = n == 1;
	if (error == 0)
		error =
		    opt_word(pl, "preallocation", prealloc, &pl->pl_prealloc);
	if (error == 0)
		error = img_opt_path(pl->pl_cr, "backing_file", pl->pl_backing,
		    sizeof(pl->pl_backing));
	if (error == 0)
		error = opt_text(pl, "backing_fmt", pl->pl_format,
		    sizeof(pl->pl_format));
	if (error == 0)
		error = opt_text(pl, "data_file", pl->pl_data_file,
		    sizeof(pl->pl_data_file));
	if (error == 0)
		error = opt_bool(pl, "data_file_raw", &pl->pl_raw);
	return (error == 0 ? no_encryption(pl) : error);
}

static int
judge_version(const struct qcow2_plan *pl)
{
	const char *what = NULL;

	if (pl->pl_order != 4)
		what = "refcount_bits other than 16";
	else if (pl->pl_lazy)
		what = "lazy_refcounts";
	else if (pl->pl_extended)
		what = "extended_l2";
	else if (pl->pl_zstd)
		what = "compression_type zstd";
	else if (pl->pl_data_file[0] != '\0')
		what = "data_file";
	if (pl->pl_version == 2 && what != NULL)
		return (refuse(pl, "needs compat=1.1", what));
	return (0);
}

/* What vmd knows: nothing that came after version 3 began. */
static int
judge_vmd(const struct qcow2_plan *pl)
{
	if (pl->pl_vmd &&
	    (pl->pl_version != 3 || pl->pl_order != 4 || pl->pl_lazy ||
		pl->pl_extended || pl->pl_zstd || pl->pl_data_file[0] != '\0'))
		return (refuse(pl,
		    "profile=vmd leaves only cluster_size, backing_file and "
		    "preallocation to choose",
		    NULL));
	if (pl->pl_vmd && pl->pl_backing[0] != '\0' &&
	    strcmp(pl->pl_format, "qcow2") != 0)
		return (refuse(pl, "vmd reads through to qcow2 alone, not",
		    pl->pl_format));
	return (0);
}

/*
 * The format's name as qemu has it.  Without one it would have to be guessed
 * whenever the image is opened, from bytes that a guest may have written.
 */
static int
judge_backing(struct qcow2_plan *pl)
{
	const struct img_format *fmt;

	if (pl->pl_backing[0] == '\0')
		return (pl->pl_format[0] == '\0' ?
			0 :
			refuse(pl, "backing_fmt without backing_file", NULL));
	if (pl->pl_format[0] == '\0' && pl->pl_vmd)
		memcpy(pl->pl_format, "qcow2", sizeof("qcow2"));
	if (pl->pl_format[0] == '\0')
		return (refuse(pl, "backing_file needs backing_fmt", NULL));
	fmt = img_format_find(pl->pl_format);
	if (fmt == NULL)
		return (refuse(pl, "unknown backing_fmt", pl->pl_format));
	memcpy(pl->pl_format, img_format_alias(fmt),
	    strlen(img_format_alias(fmt)) + 1);
	return (0);
}

static int
judge_data_file(struct qcow2_plan *pl)
{
	if (pl->pl_raw && pl->pl_data_file[0] == '\0')
		return (refuse(pl, "data_file_raw needs data_file", NULL));
	if (pl->pl_raw && pl->pl_backing[0] != '\0')
		return (refuse(pl,
		    "data_file_raw and backing_file exclude "
		    "each other",
		    NULL));
	if (pl->pl_data_file[0] != '\0' && pl->pl_prealloc > QCOW2_P_METADATA)
		return (img_create_error(pl->pl_cr, ENOTSUP,
		    "with data_file, preallocation is off or metadata", NULL));
	/* A raw image has everything in its place. */
	if (pl->pl_raw)
		pl->pl_prealloc = QCOW2_P_METADATA;
	return (0);
}

static int
judge(struct qcow2_plan *pl)
{
	int error;

	if (pl->pl_extended && pl->pl_bits < QCOW2_BITS_EXTENDED)
		return (refuse(pl, "extended_l2 needs a cluster_size of 16k",
		    NULL));
	if (pl->pl_backing[0] != '\0' && pl->pl_prealloc != QCOW2_P_OFF &&
	    !pl->pl_extended)
		return (refuse(pl,
		    "backing_file and preallocation need extended_l2", NULL));
	if (pl->pl_zstd && !(pl->pl_env->ev_can & IMG_CAN_ZSTD))
		return (img_create_error(pl->pl_cr, ENOTSUP,
		    "built without zstd", NULL));
	error = judge_version(pl);
	if (error == 0)
		error = judge_backing(pl);
	if (error == 0)
		error = judge_data_file(pl);
	return (error == 0 ? judge_vmd(pl) : error);
}

int
qcow2_create(const struct img_env *env, struct img_file *f,
    struct img_create *cr)
{
	struct qcow2_plan pl;
	int error;

	memset(&pl, 0, sizeof(pl));
	pl.pl_env = env;
	pl.pl_file = f;
	pl.pl_cr = cr;
	error = read_format(&pl);
	if (error == 0)
		error = read_rest(&pl);
	if (error == 0)
		error = judge(&pl);
	if (error == 0)
		error = qcow2_plan(&pl);
	return (error == 0 ? qcow2_write_plan(&pl) : error);
}
