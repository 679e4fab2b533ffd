/* SPDX-License-Identifier: ISC */

/*
 * What a QED says about itself: first what qemu-img info says, by the same
 * names, then its header.  Of an image that was not closed, qemu says that it
 * was; this says what is there.
 */

#include "qed/tool.h"

static void
tell_top(const struct qed *q, struct img_teller *t)
{
	t->t_top = 1;
	img_tell_bool(t, "dirty-flag", (q->q_features & QED_F_NEED_CHECK) != 0);
	/* Also one that is not looked for, as far as it is a name. */
	if (q->q_backing[0] == '\0')
		return;
	img_tell_text(t, "backing-filename", q->q_backing);
	if (q->q_features & QED_F_NO_PROBE)
		img_tell_text(t, "backing-filename-format", "raw");
}

static void
tell_header(const struct qed *q, struct img_teller *t)
{
	t->t_top = 0;
	img_tell_num(t, "table-size", q->q_table);
	img_tell_num(t, "header-size", img_le32(q->q_head + QED_H_HEADER_SIZE));
	img_tell_hex(t, "incompatible-features", q->q_features);
	img_tell_hex(t, "compatible-features", q->q_compat);
	img_tell_hex(t, "autoclear-features", q->q_autoclear);
	img_tell_hex(t, "l1-offset", q->q_l1_off);
	img_tell(t, "largest-disk", IMG_K_BYTES, q->q_max, NULL);
}

int
qed_info(struct img *im, img_info_fn *fn, void *arg)
{
	struct qed *q = qed(im);
	struct img_teller t;

	t.t_fn = fn;
	t.t_arg = arg;
	t.t_error = 0;
	tell_top(q, &t);
	tell_header(q, &t);
	/* Both are legal: it is the arithmetic of qemu that does not do. */
	img_tell_bool(&t, "usable-by-qemu",
	    q->q_table > 1 && (!q->q_wraps || im->im_size == 0));
	return (t.t_error);
}
