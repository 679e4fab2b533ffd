/* SPDX-License-Identifier: ISC */

/* chain.h: between chain.c, chain_ref.c and chain_end.c. */

#ifndef HOST_CHAIN_H
#define HOST_CHAIN_H

#include "host/host.h"

/* An image, and what it was opened from. */
struct host_link {
	struct img *l_img;
	struct img_file *l_file;
	int l_lent; /* the file is the caller's */
	char *l_path;
	struct img_file *l_data;
	char *l_data_path;
};

struct img_chain {
	struct host_link ch_link[IMG_CHAIN_MAX];
	unsigned ch_n;
	int ch_dir;      /* the folder of the last image; -1: not open yet */
	int ch_confined; /* the format of the top image was found out */
};

/* A file that an image names, once it is open. */
struct host_ref {
	struct img_file *hr_file;
	char *hr_path; /* as one would name it from the working directory */
	int hr_dir;    /* the folder that the file was found in, -1 for none */
};

#define HOST_REF_CONFINED 1u /* only downwards, and through no link */
#define HOST_REF_RDWR 2u

/* The folder of what is at path: for names in it. */
int host_ref_folder(const char *path, int *dirp);
/*
 * Open a name in a folder: a regular file and nothing else.  hr_path is the
 * caller's.  why has a few words, or is NULL: with EPERM they say that the
 * name is not confined and has to be.
 */
int host_ref_open(struct host_ref *, int dir, const char *name, unsigned flags,
    const char **why);

#endif /* HOST_CHAIN_H */
