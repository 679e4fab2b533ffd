/* SPDX-License-Identifier: ISC */

/*
 * What convert.c, which says what is to be done, and transfer.c and diff.c,
 * which do it, share.
 */

#ifndef CONVERT_H
#define CONVERT_H

#include "imgtool.h"

struct job {
	const char *j_from;
	const char *j_to;
	struct how j_in;                   /* how to open the source */
	struct how j_out;                  /* and an old destination */
	const struct img_format *j_outfmt; /* NULL: raw, or with -n probing */
	char j_opts[OPTS_MAX];
	uint32_t j_sparse;
	unsigned j_flags; /* HOST_* */
	int j_over;       /* -n */
	char *j_behind;   /* -F, or NULL */
	int j_pack;       /* -c */
	int j_quiet;
	int j_sized;
	uint64_t j_size;          /* --size, or of the source */
	int j_pipe;               /* standard input as it comes, else ... */
	struct img_file *j_spool; /* or it as a file, or NULL, and ... */
	struct image j_src;       /* ... this */
};

/* Each tells what goes wrong; the program's exit status. */
int transfer_new(struct job *);    /* a result that appears when complete */
int transfer_old(struct job *);    /* into an image that exists */
int transfer_stdout(struct job *); /* raw */

/* diff.c: only what differs from what dst shows of the image behind it. */
int copy_diff(struct job *, struct image *dst);

#endif /* CONVERT_H */
