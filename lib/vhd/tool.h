/* SPDX-License-Identifier: ISC */

/* tool.h: what the VHD files for programs share. */

#ifndef VHD_TOOL_H
#define VHD_TOOL_H

#include "tool/tool.h"
#include "vhd/vhd.h"

/* repair.c */
int vhd_repair(const struct img_repair *);
/* create.c */
extern const struct img_opt vhd_opts[];
int vhd_create(const struct img_env *, struct img_file *, struct img_create *);
/* info.c */
int vhd_info(struct img *, img_info_fn *, void *arg);
/* check.c */
int vhd_check(struct img *, unsigned flags, int64_t now, struct img_checked *);
/* Blocks, those with space, and those not right behind the one before. */
int vhd_count_blocks(struct img *, struct img_checked *);
/* deep.c: sector bitmaps and the data under them. */
int vhd_check_deep(struct img *, const struct vhd_area *batmap);
/* locator.c: the entries of a differencing image and what they name. */
int vhd_check_locators(struct img *);
/*
 * batmap.c: where tapdisk's batmap is, length 0 if the image has none.  Its
 * header is taken into account only as far as it is plausible.
 */
int vhd_batmap(struct img *, struct vhd_area *);
int vhd_check_batmap(struct img *, const struct vhd_area *);
/* Does the batmap call this block full?  at: the byte that says so. */
int vhd_batmap_full(struct img *, const struct vhd_area *, uint64_t index,
    uint64_t *at, int *full);

#endif /* VHD_TOOL_H */
