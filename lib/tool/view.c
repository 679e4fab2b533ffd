/* SPDX-License-Identifier: ISC */

/* What a view of a file that shows a repair's plan does not do: write. */

#include "tool/tool.h"

int
img_view_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	(void)f;
	(void)buf;
	(void)len;
	(void)off;
	return (EROFS);
}

int
img_view_barrier(struct img_file *f)
{
	(void)f;
	return (0);
}

int
img_view_resize(struct img_file *f, uint64_t len)
{
	(void)f;
	(void)len;
	return (EROFS);
}
