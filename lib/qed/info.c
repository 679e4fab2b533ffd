/* SPDX-License-Identifier: ISC */

/*
 * What a QED says about itself: first all that qemu-img info says, by the
 * same names, then its header.
 */

#include "qed/tool.h"

static int
tell(img_info_fn *fn, void *arg, const char *key, enum img_kind kind,
    uint64_t num, const char *str)
{
	struct img_item it;

	memset(&it, 0, sizeof(it));
	it.it_key = key;
	it.it_kind = kind;
	it.it_num = num;
	it.it_str = str;
	return (fn(arg, &it));
}

int
qed_info(struct img *im, img_info_fn *fn, void *arg)
{
	(void)im;
	return (tell(fn, arg, "table-size", IMG_K_NUM, qed(im)->q_table, NULL));
}
