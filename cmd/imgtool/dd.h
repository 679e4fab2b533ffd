/* SPDX-License-Identifier: ISC */

/*
 * dd.c: what dd-read and dd-write share, the operands and the summary.
 */

#ifndef DD_H
#define DD_H

#include "imgtool.h"

#define DD_QUIET 1u
#define DD_PROGRESS 2u
#define DD_NOXFER 4u /* no line about bytes and rate */

struct dd {
	struct how d_how;
	const char *d_if; /* NULL if not given */
	const char *d_of;
	uint64_t d_bs;    /* never 0 */
	uint64_t d_count; /* blocks, or UINT64_MAX */
	uint64_t d_skip;  /* blocks of the disk: skip= or seek= */
	unsigned d_status;
};

/* Options and operands; mistakes end the program. */
void dd_parse(const struct command *, int argc, char **argv, struct dd *);
/* n blocks in bytes, UINT64_MAX for more than that can say. */
uint64_t dd_bytes(const struct dd *, uint64_t n);
/* The lines at the end, as dd(1) has them. */
void dd_summary(const struct dd *, uint64_t bytes, double seconds);
/* Seconds on a clock that only runs on. */
double dd_clock(void);

#endif /* DD_H */
