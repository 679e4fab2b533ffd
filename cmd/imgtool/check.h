/* SPDX-License-Identifier: ISC */

/*
 * What check.c, check_chain.c and repair.c share.
 */

#ifndef CHECK_H
#define CHECK_H

#include "imgtool.h"

#define COULD_NOT 1
#define CORRUPT 2
#define LEAKS 3

struct check {
	const char *k_name;
	struct img_file *k_file;
	struct img_file *k_data; /* its data file, or NULL */
	const struct img_format *k_format;
	uint64_t k_memory; /* what a check may take, bytes */
	int k_json;
	int k_show; /* findings are printed as they come */
	int k_quiet;
	unsigned k_flags;   /* IMG_DEEP */
	enum img_fix k_fix; /* what -r asks for */
	int k_dryrun;
	int k_chain;                              /* --backing-chain ... */
	const struct img_format *k_behind_format; /* ... --backing-format */

	/* what is known of the image behind it; a row where it is wrong */
	struct img_finding k_behind;

	/* the check that ran last */
	int k_errors; /* it could not be made, or not to its end */
	uint64_t k_count[IMG_NSEV];
	int k_total; /* k_checked is set */
	struct img_checked k_checked;

	/* for a repair: what it found, without names */
	struct img_finding *k_list;
	size_t k_nlist;
	size_t k_cap;
	uint64_t k_unkept;
	int k_steps; /* of the repair, told so far */
};

/* Repair what the list says; 0, or an error that was told. */
int repair(struct check *);

/* Check the image, and print: the exit status. */
int check_image(struct check *);
/* The same with all images behind it. */
int check_chain(struct check *);

#endif /* CHECK_H */
