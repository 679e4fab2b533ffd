/* SPDX-License-Identifier: ISC */

/* tool.h: what the QED files for programs share. */

#ifndef QED_TOOL_H
#define QED_TOOL_H

#include "tool/tool.h"
#include "qed/qed.h"

/* check.c: stage CHECK, and the table img_tool_qed */
int qed_check(struct img *, unsigned flags, int64_t now, struct img_checked *);
/* leak.c: clusters that nothing leads to.  Not for a broken image. */
int qed_check_leaks(struct img *);
/* repair.c */
int qed_repair(const struct img_repair *);
/* create.c */
extern const struct img_opt qed_opts[];
int qed_create(const struct img_env *, struct img_file *, struct img_create *);
/* info.c */
int qed_info(struct img *, img_info_fn *, void *arg);

#endif /* QED_TOOL_H */
