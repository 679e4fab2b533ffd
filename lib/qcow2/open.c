/* SPDX-License-Identifier: ISC */

/* qcow2, versions 2 and 3: opening, and what an image needs from outside. */

#include "qcow2/qcow2.h"

static int
qcow2_open(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	int error;

	error = qcow2_header(im);
	if (error == 0)
		error = qcow2_extensions(im);
	if (error == 0)
		error = qcow2_place(im);
	if (error != 0 || im->im_snapshot == NULL)
		return (error);
	error = qcow2_snap_find(im, im->im_snapshot, &q->q_tree);
	if (error == 0)
		im->im_size = q->q_tree.t_size;
	return (error);
}

static int
qcow2_ref(struct img *im, unsigned n, struct img_ref *ref)
{
	struct qcow2 *q = qcow2(im);

	memset(ref, 0, sizeof(*ref));
	if ((im->im_needs & IMG_NEEDS_BACKING) && n-- == 0) {
		ref->rf_kind = IMG_REF_BACKING;
		ref->rf_name = q->q_backing_bad ? NULL : q->q_backing;
		ref->rf_format = q->q_format[0] != '\0' ? q->q_format : NULL;
		return (0);
	}
	if ((im->im_needs & IMG_NEEDS_DATA) && n == 0) {
		ref->rf_kind = IMG_REF_DATA;
		ref->rf_name = q->q_data[0] != '\0' ? q->q_data : NULL;
		return (0);
	}
	return (ENOENT);
}

const struct img_format img_qcow2 = {
	.f_name = "qcow2",
	.f_privsize = sizeof(struct qcow2),
	.f_snapshots = 1,
	.f_probe = qcow2_probe,
	.f_open = qcow2_open,
	.f_verify = qcow2_verify,
	.f_map = qcow2_map,
	.f_unpack = qcow2_unpack,
	.f_begin = qcow2_begin,
	.f_end = qcow2_end,
	.f_zero = qcow2_zero,
	.f_fresh = qcow2_fresh,
	.f_flush = qcow2_flush,
	.f_ref = qcow2_ref,
};
