/* SPDX-License-Identifier: ISC */

/* Items of img_info, one after the other, until somebody says stop. */

#include "tool/tool.h"

void
img_tell(struct img_teller *t, const char *key, enum img_kind kind,
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
img_tell_text(struct img_teller *t, const char *key, const char *s)
{
	img_tell(t, key, IMG_K_STR, 0, s);
}

void
img_tell_num(struct img_teller *t, const char *key, uint64_t n)
{
	img_tell(t, key, IMG_K_NUM, n, NULL);
}

void
img_tell_hex(struct img_teller *t, const char *key, uint64_t n)
{
	img_tell(t, key, IMG_K_HEX, n, NULL);
}

void
img_tell_bool(struct img_teller *t, const char *key, int on)
{
	img_tell(t, key, IMG_K_BOOL, on != 0, NULL);
}
