/* SPDX-License-Identifier: ISC */

/* QED: the table of its methods, and what an image needs from outside. */

#include "qed/qed.h"

/* All that it can record of a backing file's format is that it is raw. */
static int
qed_ref(struct img *im, unsigned n, struct img_ref *ref)
{
	struct qed *q = qed(im);

	memset(ref, 0, sizeof(*ref));
	if (!(im->im_needs & IMG_NEEDS_BACKING) || n > 0)
		return (ENOENT);
	ref->rf_kind = IMG_REF_BACKING;
	ref->rf_name = q->q_backing_bad ? NULL : q->q_backing;
	ref->rf_format = q->q_features & QED_F_NO_PROBE ? "raw" : NULL;
	return (0);
}

const struct img_format img_qed = {
	.f_name = "qed",
	.f_privsize = sizeof(struct qed),
	.f_probe = qed_probe,
	.f_open = qed_header,
	.f_verify = qed_verify,
	.f_close = qed_close,
	.f_map = qed_map,
	.f_begin = qed_begin,
	.f_end = qed_end,
	.f_zero = qed_zero,
	.f_fresh = qed_fresh,
	.f_flush = qed_flush,
	.f_ref = qed_ref,
};
