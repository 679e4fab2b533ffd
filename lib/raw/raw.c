/* SPDX-License-Identifier: ISC */

/*
 * raw: the file is the disk.  Holes are the host's and rw.c tells them.
 * Writing needs no order: there is no metadata.
 */

#include "core/core.h"

static int
raw_open(struct img *im)
{
	im->im_size = im->im_eof[0];
	return (0);
}

static int
raw_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	(void)im;
	memset(e, 0, sizeof(*e));
	e->e_type = IMG_DATA;
	e->e_voff = voff;
	e->e_len = len;
	e->e_off = voff;
	return (0);
}

static int
raw_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	return (raw_map(im, voff, len, &c->c_ext));
}

const struct img_format img_raw = {
	.f_name = "raw",
	.f_open = raw_open,
	.f_map = raw_map,
	.f_begin = raw_begin,
	.f_flush = img_cache_flush,
};
