/* SPDX-License-Identifier: ISC */

/*
 * What convert.c, which says what is to be done, and transfer.c, which does
 * it, share.
 */

#ifndef CONVERT_H
#define CONVERT_H

#include "imgtool.h"

struct job {
	const char *j_from;
	const char *j_to;
	const struct img_format *j_infmt;  /* NULL: by probing */
	const struct img_format *j_outfmt; /* NULL: raw, or with -n probing */
	char j_opts[OPTS_MAX];
	uint32_t j_sparse;
	unsigned j_flags; /* HOST_* */
	int j_over;       /* -n */
	int j_quiet;
	int j_sized;
	uint64_t j_size;    /* --size, or of the source */
	int j_pipe;         /* standard input as it comes, else ... */
	struct image j_src; /* ... this */
};

/* Each tells what goes wrong; the program's exit status. */
int transfer_new(struct job *);    /* a result that appears when complete */
int transfer_old(struct job *);    /* into an image that exists */
int transfer_stdout(struct job *); /* raw */

#endif /* CONVERT_H */
