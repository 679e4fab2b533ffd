/* SPDX-License-Identifier: ISC */

/* info.h: between info*.c. */

#ifndef QCOW2_INFO_H
#define QCOW2_INFO_H

#include "qcow2/tool.h"

struct qcow2_teller {
	img_info_fn *t_fn;
	void *t_arg;
	int t_top;   /* of the items that follow */
	int t_error; /* after one nothing more is told */
};

void qcow2_tell(struct qcow2_teller *, const char *key, enum img_kind,
    uint64_t num, const char *str);
void qcow2_tell_text(struct qcow2_teller *, const char *key, const char *);
void qcow2_tell_num(struct qcow2_teller *, const char *key, uint64_t);
void qcow2_tell_bool(struct qcow2_teller *, const char *key, int);

/*
 * info_list.c: lists of what the image has several of.  One that is damaged
 * ends where it cannot be read on; the check tells why.
 */
int qcow2_tell_snapshots(struct img *, struct qcow2_teller *);
int qcow2_tell_bitmaps(struct img *, struct qcow2_teller *);
/* info_luks.c: how the disk is encrypted. */
int qcow2_tell_luks(struct img *, struct qcow2_teller *);

#endif /* QCOW2_INFO_H */
