/* SPDX-License-Identifier: ISC */

/* The formats, a line each; probed in this order, raw last. */

#include "core/core.h"

static const struct img_format *const formats[] = {
	&img_vhd,
	&img_qcow2,
	&img_qed,
	&img_raw,
};

#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

const struct img_format *
img_format_at(unsigned i)
{
	return (i < NFORMATS ? formats[i] : NULL);
}

static int
same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return (*a == *b);
}

const struct img_format *
img_format_find(const char *name)
{
	const struct img_format *f;
	unsigned i;

	for (i = 0; i < NFORMATS; i++) {
		f = formats[i];
		if (same(f->f_name, name))
			return (f);
		if (f->f_alias != NULL && same(f->f_alias, name))
			return (f);
	}
	return (NULL);
}

const char *
img_format_name(const struct img_format *f)
{
	return (f->f_name);
}

const char *
img_format_alias(const struct img_format *f)
{
	return (f->f_alias != NULL ? f->f_alias : f->f_name);
}
