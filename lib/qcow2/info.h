/* SPDX-License-Identifier: ISC */

/* info.h: between info*.c. */

#ifndef QCOW2_INFO_H
#define QCOW2_INFO_H

#include "qcow2/tool.h"

/*
 * info_list.c: lists of what the image has several of.  One that is damaged
 * ends where it cannot be read on; the check tells why.
 */
int qcow2_tell_snapshots(struct img *, struct img_teller *);
int qcow2_tell_bitmaps(struct img *, struct img_teller *);
/* info_luks.c: how the disk is encrypted. */
int qcow2_tell_luks(struct img *, struct img_teller *);

#endif /* QCOW2_INFO_H */
