/* SPDX-License-Identifier: ISC */

/*
 * imgblk.h: disks out of images for Linux 6.1 (Debian 12's): imgblk.c has
 * the disk, imgblk_file.c the library's environment, imgblk_ctl.c how one
 * comes and goes.
 */

#ifndef IMGBLK_H
#define IMGBLK_H

#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/workqueue.h>

#include "core/env.h"

#define IMGBLK_UNITS 8
#define IMGBLK_MINORS 16
#define IMGBLK_DEPTH 64
#define IMGBLK_MAX_SECTORS 2048       /* of a request */
#define IMGBLK_MAX_ZEROES (64 * 2048) /* sectors of one that writes zeros */
#define IMGBLK_BUDGET (16u << 20)     /* bytes a handle may allocate */

struct imgblk_file {
	struct img_file f_file; /* first */
	struct file *f_host;
};

struct imgblk {
	unsigned b_unit;
	bool b_readonly;
	struct imgblk_file b_file;
	struct img *b_img;
	struct workqueue_struct *b_work; /* the library has one caller */
	struct blk_mq_tag_set b_tags;
	struct gendisk *b_disk;
};

/* imgblk_file.c */
extern const struct img_env imgblk_env;
/* A negative errno value for one of the library's. */
int imgblk_errno(int error);
int imgblk_file_open(struct imgblk_file *, const char *path, bool readonly);
void imgblk_file_close(struct imgblk_file *);

/* imgblk.c: negative errno values */
extern int imgblk_major;
/*
 * b_file is open.  NULL for a format: by probing, which trusts the image.  On
 * failure b_file stays open.
 */
int imgblk_attach(struct imgblk *, const char *format, bool readonly);
/* -EBUSY while anybody has it open; else the error of the last flush. */
int imgblk_detach(struct imgblk *);

#endif /* IMGBLK_H */
