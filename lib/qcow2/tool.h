/* SPDX-License-Identifier: ISC */

/* tool.h: what the qcow2 files for programs share. */

#ifndef QCOW2_TOOL_H
#define QCOW2_TOOL_H

#include "tool/tool.h"
#include "qcow2/qcow2.h"

/* check.c: stage CHECK, and the table img_tool_qcow2 */
int qcow2_check(struct img *, unsigned flags, int64_t now,
    struct img_checked *);
/* repair.c */
int qcow2_repair(const struct img_repair *);
/* create.c */
extern const struct img_opt qcow2_opts[];
int qcow2_create(const struct img_env *, struct img_file *,
    struct img_create *);
/* info.c */
int qcow2_info(struct img *, img_info_fn *, void *arg);
/* pack.c: t_pack and t_place of struct img_tool */
int qcow2_pack(struct img *, const void *unit, void *packed, uint32_t *plen);
int qcow2_place_packed(struct img *, uint64_t voff, const void *packed,
    uint32_t plen);

#endif /* QCOW2_TOOL_H */
