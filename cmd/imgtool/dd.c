/* SPDX-License-Identifier: ISC */

/*
 * The operands of dd(1), for dd-read and dd-write.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dd.h"

static uint64_t
operand_number(const struct command *c, const char *word, const char *value)
{
	uint64_t n = 0;
	int error = size_parse_dd(value, &n);

	if (error == EFBIG)
		opts_wrong(c, "%s: too large a number", word);
	if (error != 0)
		opts_wrong(c, "%s: no number; 512, 4k, 1M, 2x512 are", word);
	return (n);
}

static unsigned
operand_status(const struct command *c, const char *value)
{
	if (strcmp(value, "none") == 0)
		return (DD_QUIET);
	if (strcmp(value, "progress") == 0)
		return (DD_PROGRESS);
	if (strcmp(value, "noxfer") == 0)
		return (DD_NOXFER);
	opts_wrong(c, "status is none, noxfer or progress");
}

/* Is this an operand that the command's help has? */
static const struct opt *
find_operand(const struct command *c, const char *word, size_t len)
{
	const struct opt *o;

	for (o = c->c_opts; o->op_id != 0; o++) {
		if (o->op_id == OPT_OPERAND && strlen(o->op_long) == len &&
		    strncmp(o->op_long, word, len) == 0)
			return (o);
	}
	return (NULL);
}

static void
operand(const struct command *c, const char *word, struct dd *d)
{
	size_t len = strcspn(word, "=");
	const char *value = word + len + 1, *name;
	const struct opt *o = find_operand(c, word, len);

	if (o == NULL || word[len] == '\0')
		opts_wrong(c, "no operand %s here", word);
	name = o->op_long;
	if (strcmp(name, "if") == 0)
		d->d_if = value;
	else if (strcmp(name, "of") == 0)
		d->d_of = value;
	else if (strcmp(name, "bs") == 0)
		d->d_bs = operand_number(c, word, value);
	else if (strcmp(name, "count") == 0)
		d->d_count = operand_number(c, word, value);
	else if (strcmp(name, "status") == 0)
		d->d_status = operand_status(c, value);
	else
		d->d_skip = operand_number(c, word, value);
}

void
dd_parse(const struct command *c, int argc, char **argv, struct dd *d)
{
	int id;

	memset(d, 0, sizeof(*d));
	d->d_bs = 512;
	d->d_count = UINT64_MAX;
	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'l')
			id = OPT_SNAPSHOT;
		if (!opts_how(c, id, &d->d_how))
			d->d_how.h_format = opts_format(c);
	}
	for (; optind < argc; optind++)
		operand(c, argv[optind], d);
	if (d->d_bs == 0)
		opts_wrong(c, "bs=0 is no size of a block");
}

uint64_t
dd_bytes(const struct dd *d, uint64_t n)
{
	return (n > UINT64_MAX / d->d_bs ? UINT64_MAX : n * d->d_bs);
}

double
dd_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

void
dd_summary(const struct dd *d, uint64_t bytes, double seconds)
{
	uint64_t full = bytes / d->d_bs;
	unsigned part = bytes % d->d_bs != 0;
	char a[SIZE_TEXT], b[SIZE_TEXT];
	double rate = seconds > 0 ? (double)bytes / seconds : 0;

	if (d->d_status & DD_QUIET)
		return;
	progress_end();
	fprintf(stderr, "%" PRIu64 "+%u records in\n", full, part);
	fprintf(stderr, "%" PRIu64 "+%u records out\n", full, part);
	if (d->d_status & DD_NOXFER)
		return;
	fprintf(stderr, "%" PRIu64 " bytes (%s) copied, %.3g s, %s/s\n", bytes,
	    size_text(a, bytes), seconds,
	    size_text(b, rate < 1e18 ? (uint64_t)rate : 0));
}
