/* SPDX-License-Identifier: ISC */

/* copy.h: between the files that copy one disk to another. */

#ifndef TOOL_COPY_H
#define TOOL_COPY_H

#include "tool/tool.h"

#define IMG_COPY_PIECE (1u << 20) /* read and written at once, and aligned */

struct img_copying {
	const struct img_env *co_env;
	struct img *co_src;
	struct img *co_dst;
	struct img_copy *co_how;
	unsigned char *co_buf;         /* PIECE bytes ... */
	const unsigned char *co_zeros; /* ... and some zeros */
	uint64_t co_size;              /* of the source */
	uint64_t co_run; /* bytes of zeros before the position ... */
	int co_known;    /* ... that src itself knows, in part */
	struct img_copy_ahead *co_ahead; /* or NULL */
	int co_tried;
};

/* copy.c */
/* All before voff is done; not 0 ends the copy with it. */
int img_copy_tell(const struct img_copying *, uint64_t voff);
int img_copy_put(struct img_copying *, const unsigned char *, uint32_t len,
    uint64_t voff);
/* These are zeros: nothing is written, but old data is taken away. */
int img_copy_leave_out(struct img_copying *, uint64_t voff, uint64_t len);

/*
 * copy_ahead.c: unpack the extent, which is packed, and those that follow.
 * The bytes of one extent then come from there; else it is img_read.
 */
void img_copy_look_ahead(struct img_copying *, struct img *owner,
    const struct img_extent *);
int img_copy_read(struct img_copying *, void *, uint32_t len, uint64_t voff);
void img_copy_ahead_end(struct img_copying *);

/* copy_pack.c: the whole of it, with IMG_COPY_PACK. */
int img_copy_packed(struct img_copying *);

#endif /* TOOL_COPY_H */
