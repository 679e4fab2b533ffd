/* SPDX-License-Identifier: ISC */

/*
 * What a qcow2 says about itself: first all that qemu-img info says, by the
 * same names, then where its tables are.
 */

#include "qcow2/info.h"

static int
tell_top(struct img *im, struct img_teller *t)
{
	struct qcow2 *q = qcow2(im);

	t->t_top = 1;
	img_tell_bool(t, "dirty-flag", (q->q_incompat & QCOW2_I_DIRTY) != 0);
	if (q->q_crypt != 0)
		img_tell_bool(t, "encrypted", 1);
	if (q->q_backing[0] != '\0')
		img_tell_text(t, "backing-filename", q->q_backing);
	if (q->q_backing_len > 0 && q->q_format[0] != '\0')
		img_tell_text(t, "backing-filename-format", q->q_format);
	return (qcow2_tell_snapshots(im, t));
}

static int
tell_encryption(struct img *im, struct img_teller *t)
{
	struct qcow2 *q = qcow2(im);
	int error = 0;

	if (q->q_crypt == 0)
		return (0);
	img_tell(t, "encrypt", IMG_K_BEGIN, 0, NULL);
	if (q->q_crypt == QCOW2_CRYPT_AES)
		img_tell_text(t, "format", "aes");
	else if (q->q_crypt == QCOW2_CRYPT_LUKS)
		error = qcow2_tell_luks(im, t);
	else
		img_tell_num(t, "method", q->q_crypt);
	img_tell(t, "encrypt", IMG_K_END, 0, NULL);
	return (error);
}

static int
tell_features(struct img *im, struct img_teller *t)
{
	struct qcow2 *q = qcow2(im);
	int error = 0, v3 = q->q_version > 2;

	t->t_top = 0;
	img_tell_text(t, "compat", v3 ? "1.1" : "0.10");
	img_tell_text(t, "compression-type",
	    q->q_algo == IMG_ZSTD ? "zstd" : "zlib");
	if (v3)
		img_tell_bool(t, "lazy-refcounts",
		    (q->q_compat & QCOW2_C_LAZY) != 0);
	if (v3)
		error = qcow2_tell_bitmaps(im, t);
	img_tell_num(t, "refcount-bits", UINT64_C(1) << q->q_order);
	if (error == 0)
		error = tell_encryption(im, t);
	if (qcow2_data_file(q)) {
		img_tell_text(t, "data-file", q->q_data);
		img_tell_bool(t, "data-file-raw",
		    (q->q_autoclear & QCOW2_A_RAW) != 0);
	}
	if (v3) {
		img_tell_bool(t, "corrupt",
		    (q->q_incompat & QCOW2_I_CORRUPT) != 0);
		img_tell_bool(t, "extended-l2", q->q_extended);
	}
	return (error);
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
tell_extensions(struct img *im, struct img_teller *t)
{
	struct qcow2_ext x;
	uint64_t off = qcow2(im)->q_length;
	uint32_t n;
	int error = 0;

	img_tell(t, "header-extensions", IMG_K_LIST, 0, NULL);
	for (n = 0; n < QCOW2_EXT_MAX; n++) {
		error = qcow2_ext_next(im, &off, &x);
		if (error != 0)
			break;
		img_tell(t, NULL, IMG_K_BEGIN, 0, NULL);
		if (ext_name(x.x_type) != NULL)
			img_tell_text(t, "name", ext_name(x.x_type));
		img_tell_hex(t, "type", x.x_type);
		img_tell_num(t, "length", x.x_len);
		img_tell(t, NULL, IMG_K_END, 0, NULL);
	}
	img_tell(t, "header-extensions", IMG_K_ENDLIST, 0, NULL);
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

static int
tell_tables(struct img *im, struct img_teller *t)
{
	struct qcow2 *q = qcow2(im);

	img_tell_num(t, "version", q->q_version);
	img_tell_num(t, "header-length", q->q_length);
	if (q->q_version > 2) {
		img_tell_hex(t, "incompatible-features", q->q_incompat);
		img_tell_hex(t, "compatible-features", q->q_compat);
		img_tell_hex(t, "autoclear-features", q->q_autoclear);
	}
	img_tell_num(t, "l1-size", q->q_l1_size);
	img_tell_hex(t, "l1-offset", q->q_active.t_off);
	img_tell_hex(t, "refcount-table-offset", q->q_rt_off);
	img_tell_num(t, "refcount-table-clusters", q->q_rt_cl);
	if (q->q_nsnap > 0)
		img_tell_hex(t, "snapshots-offset", q->q_snap_off);
	return (tell_extensions(im, t));
}

int
qcow2_info(struct img *im, img_info_fn *fn, void *arg)
{
	struct img_teller t;
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
