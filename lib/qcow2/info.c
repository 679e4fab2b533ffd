/* SPDX-License-Identifier: ISC */

/*
 * What a qcow2 says about itself: first all that qemu-img info says, by the
 * same names, then where its tables are.
 */

#include "qcow2/info.h"

void
qcow2_tell(struct qcow2_teller *t, const char *key, enum img_kind kind,
    uint64_t num, const char *str)
{
	struct img_item it;

	if (t->t_error != 0)
		return;
	it.it_key = key;
	it.it_kind = kind;
	it.it_top = t->t_top;
	it.it_num = num;
	it.it_str = str;
	t->t_error = t->t_fn(t->t_arg, &it);
}

void
qcow2_tell_text(struct qcow2_teller *t, const char *key, const char *s)
{
	qcow2_tell(t, key, IMG_K_STR, 0, s);
}

void
qcow2_tell_num(struct qcow2_teller *t, const char *key, uint64_t n)
{
	qcow2_tell(t, key, IMG_K_NUM, n, NULL);
}

void
qcow2_tell_bool(struct qcow2_teller *t, const char *key, int on)
{
	qcow2_tell(t, key, IMG_K_BOOL, on != 0, NULL);
}

static int
tell_top(struct img *im, struct qcow2_teller *t)
{
	struct qcow2 *q = qcow2(im);

	t->t_top = 1;
	qcow2_tell_bool(t, "dirty-flag", (q->q_incompat & QCOW2_I_DIRTY) != 0);
	if (q->q_crypt != 0)
		qcow2_tell_bool(t, "encrypted", 1);
	if (q->q_backing[0] != '\0')
		qcow2_tell_text(t, "backing-filename", q->q_backing);
	if (q->q_backing_len > 0 && q->q_format[0] != '\0')
		qcow2_tell_text(t, "backing-filename-format", q->q_format);
	return (qcow2_tell_snapshots(im, t));
}

static int
tell_encryption(struct img *im, struct qcow2_teller *t)
{
	struct qcow2 *q = qcow2(im);
	int error = 0;

	if (q->q_crypt == 0)
		return (0);
	qcow2_tell(t, "encrypt", IMG_K_BEGIN, 0, NULL);
	if (q->q_crypt == QCOW2_CRYPT_AES)
		qcow2_tell_text(t, "format", "aes");
	else if (q->q_crypt == QCOW2_CRYPT_LUKS)
		error = qcow2_tell_luks(im, t);
	else
		qcow2_tell_num(t, "method", q->q_crypt);
	qcow2_tell(t, "encrypt", IMG_K_END, 0, NULL);
	return (error);
}

static int
tell_features(struct img *im, struct qcow2_teller *t)
{
	struct qcow2 *q = qcow2(im);
	int error = 0, v3 = q->q_version > 2;

	t->t_top = 0;
	qcow2_tell_text(t, "compat", v3 ? "1.1" : "0.10");
	qcow2_tell_text(t, "compression-type",
	    q->q_algo == IMG_ZSTD ? "zstd" : "zlib");
	if (v3)
		qcow2_tell_bool(t, "lazy-refcounts",
		    (q->q_compat & QCOW2_C_LAZY) != 0);
	if (v3)
		error = qcow2_tell_bitmaps(im, t);
	qcow2_tell_num(t, "refcount-bits", UINT64_C(1) << q->q_order);
	if (error == 0)
		error = tell_encryption(im, t);
	if (qcow2_data_file(q)) {
		qcow2_tell_text(t, "data-file", q->q_data);
		qcow2_tell_bool(t, "data-file-raw",
		    (q->q_autoclear & QCOW2_A_RAW) != 0);
	}
	if (v3) {
		qcow2_tell_bool(t, "corrupt",
		    (q->q_incompat & QCOW2_I_CORRUPT) != 0);
		qcow2_tell_bool(t, "extended-l2", q->q_extended);
	}
	return (error);
}

static void
tell_hex(struct qcow2_teller *t, const char *key, uint64_t n)
{
	qcow2_tell(t, key, IMG_K_HEX, n, NULL);
}

static const char *
ext_name(uint32_t type)
{
	switch (type) {
	case QCOW2_X_BACKING_FORMAT:
		return ("backing-format");
	case QCOW2_X_FEATURES:
		return ("feature-names");
	case QCOW2_X_BITMAPS:
		return ("bitmaps");
	case QCOW2_X_LUKS:
		return ("encryption");
	case QCOW2_X_DATA_FILE:
		return ("data-file");
	default:
		return (NULL);
	}
}

static int
tell_extensions(struct img *im, struct qcow2_teller *t)
{
	struct qcow2_ext x;
	uint64_t off = qcow2(im)->q_length;
	uint32_t n;
	int error = 0;

	qcow2_tell(t, "header-extensions", IMG_K_LIST, 0, NULL);
	for (n = 0; n < QCOW2_EXT_MAX; n++) {
		error = qcow2_ext_next(im, &off, &x);
		if (error != 0)
			break;
		qcow2_tell(t, NULL, IMG_K_BEGIN, 0, NULL);
		if (ext_name(x.x_type) != NULL)
			qcow2_tell_text(t, "name", ext_name(x.x_type));
		tell_hex(t, "type", x.x_type);
		qcow2_tell_num(t, "length", x.x_len);
		qcow2_tell(t, NULL, IMG_K_END, 0, NULL);
	}
	qcow2_tell(t, "header-extensions", IMG_K_ENDLIST, 0, NULL);
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

static int
tell_tables(struct img *im, struct qcow2_teller *t)
{
	struct qcow2 *q = qcow2(im);

	qcow2_tell_num(t, "version", q->q_version);
	qcow2_tell_num(t, "header-length", q->q_length);
	if (q->q_version > 2) {
		tell_hex(t, "incompatible-features", q->q_incompat);
		tell_hex(t, "compatible-features", q->q_compat);
		tell_hex(t, "autoclear-features", q->q_autoclear);
	}
	qcow2_tell_num(t, "l1-size", q->q_l1_size);
	tell_hex(t, "l1-offset", q->q_active.t_off);
	tell_hex(t, "refcount-table-offset", q->q_rt_off);
	qcow2_tell_num(t, "refcount-table-clusters", q->q_rt_cl);
	if (q->q_nsnap > 0)
		tell_hex(t, "snapshots-offset", q->q_snap_off);
	return (tell_extensions(im, t));
}

int
qcow2_info(struct img *im, img_info_fn *fn, void *arg)
{
	struct qcow2_teller t;
	int error;

	t.t_fn = fn;
	t.t_arg = arg;
	t.t_error = 0;
	error = tell_top(im, &t);
	if (error == 0)
		error = tell_features(im, &t);
	if (error == 0)
		error = tell_tables(im, &t);
	return (t.t_error != 0 ? t.t_error : error);
}
