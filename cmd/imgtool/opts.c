/* SPDX-License-Identifier: ISC */

/*
 * Options.  A command has one table of them, from which getopt_long(3)'s and
 * the help are made, so that they cannot differ.
 */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "imgtool.h"

#define NOPTS 32

void
opts_wrong(const struct command *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain(c->c_name, "%s (see imgtool %s --help)", text, c->c_name);
	exit(c->c_error);
}

static void
help_row(const struct opt *o)
{
	const char *eq = o->op_arg == NULL ? "" : "=";
	const char *arg = o->op_arg == NULL ? "" : o->op_arg;
	char left[64];

	if (o->op_id == OPT_OPERAND)
		snprintf(left, sizeof(left), "%s=%s", o->op_long, arg);
	else if (o->op_id >= 256)
		snprintf(left, sizeof(left), "    --%s%s%s", o->op_long, eq,
		    arg);
	else
		snprintf(left, sizeof(left), "-%c, --%s%s%s", o->op_id,
		    o->op_long, eq, arg);
	printf("  %-28s  %s\n", left, o->op_help != NULL ? o->op_help : "same");
}

void
print_help(const struct command *c)
{
	const struct opt *o;

	printf("usage: imgtool %s %s\n\n%c%s.\n\n", c->c_name, c->c_operands,
	    c->c_about[0] - 'a' + 'A', c->c_about + 1);
	for (o = c->c_opts; o->op_id != 0; o++)
		help_row(o);
}

/* The two forms of the table that getopt_long wants. */
static void
make_tables(const struct opt *o, char *letters, struct option *longs)
{
	/* Operands end the options in POSIX; qemu-img mixes them. */
	*letters++ = ':';
	for (; o->op_id != 0; o++) {
		if (o->op_id == OPT_OPERAND)
			continue;
		if (o->op_id < 256 && o->op_help != NULL) {
			*letters++ = (char)o->op_id;
			if (o->op_arg != NULL)
				*letters++ = ':';
		}
		if (o->op_long != NULL) {
			longs->name = o->op_long;
			longs->has_arg = o->op_arg != NULL;
			longs->flag = NULL;
			longs->val = o->op_id;
			longs++;
		}
	}
	*letters = '\0';
	memset(longs, 0, sizeof(*longs));
}

/* What the user called the option at which getopt_long stopped. */
static void
wrong_option(const struct command *c, int kind, char **argv)
{
	const char *word = argv[optind - 1];
	char letter[3] = { '-', (char)optopt, '\0' };

	if (optopt > 0 && optopt < 256 && strncmp(word, "--", 2) != 0)
		word = letter;
	if (kind == ':')
		opts_wrong(c, "option %s needs an argument", word);
	if (optopt != 0 && strncmp(word, "--", 2) == 0)
		opts_wrong(c, "option %s takes no argument", word);
	opts_wrong(c, "no option %s here", word);
}

int
opts_next(const struct command *c, int argc, char **argv)
{
	struct option longs[NOPTS + 1];
	char letters[2 * NOPTS + 2];
	int id;

	make_tables(c->c_opts, letters, longs);
	opterr = 0;
	id = getopt_long(argc, argv, letters, longs, NULL);
	if (id == ':' || id == '?')
		wrong_option(c, id, argv);
	if (id == 'h') {
		print_help(c);
		exit(finish(0, c->c_error));
	}
	return (id);
}

char **
opts_operands(const struct command *c, int argc, char **argv, int n)
{
	if (argc - optind < n)
		opts_wrong(c, "too few operands: %s", c->c_operands);
	if (argc - optind > n)
		opts_wrong(c, "too many operands, from \"%s\"",
		    argv[optind + n]);
	return (argv + optind);
}

const struct img_format *
opts_format(const struct command *c)
{
	const struct img_format *f = img_format_find(optarg);
	char known[128] = "";
	unsigned i;

	if (f != NULL)
		return (f);
	for (i = 0; (f = img_format_at(i)) != NULL; i++) {
		size_t at = strlen(known);

		snprintf(known + at, sizeof(known) - at, "%s%s",
		    i > 0 ? ", " : "", img_format_name(f));
	}
	opts_wrong(c, "%s: unknown format; there are %s", optarg, known);
}

uint64_t
opts_size(const struct command *c)
{
	uint64_t n = 0;
	int error = size_parse(optarg, &n);

	if (error == EFBIG)
		opts_wrong(c, "%s: too large a size", optarg);
	if (error != 0)
		opts_wrong(c, "%s: no size; 512, 64k, 10M, 1GiB are", optarg);
	return (n);
}

int
opts_output(const struct command *c)
{
	if (strcmp(optarg, "json") == 0)
		return (1);
	if (strcmp(optarg, "human") != 0)
		opts_wrong(c, "%s: output is human or json", optarg);
	return (0);
}

void
opts_join(const struct command *c, char *buf)
{
	size_t at = strlen(buf);

	if (at + strlen(optarg) + 2 > OPTS_MAX)
		opts_wrong(c, "options longer than %d bytes", OPTS_MAX - 2);
	snprintf(buf + at, OPTS_MAX - at, "%s%s", at > 0 ? "," : "", optarg);
}

void
opts_add(const struct command *c, char *buf, const char *name,
    const char *value)
{
	size_t at = strlen(buf);

	if (at + strlen(name) + 2 * strlen(value) + 3 > OPTS_MAX)
		opts_wrong(c, "options longer than %d bytes", OPTS_MAX - 1);
	at += (size_t)snprintf(buf + at, OPTS_MAX - at,
	    "%s%s=", at > 0 ? "," : "", name);
	for (; *value != '\0'; value++) {
		if (*value == ',')
			buf[at++] = ',';
		buf[at++] = *value;
	}
	buf[at] = '\0';
}

int
opts_how(const struct command *c, int id, struct how *h)
{
	if (id == OPT_BACKING)
		h->h_backing = optarg;
	else if (id == OPT_BACKING_FORMAT)
		h->h_backing_format = h->h_expected = opts_format(c);
	else if (id == OPT_NO_BACKING)
		h->h_chain |= IMG_CHAIN_ALONE;
	else if (id == OPT_DATA_FILE)
		h->h_data_file = optarg;
	else if (id == OPT_SNAPSHOT)
		h->h_snapshot = optarg;
	else
		return (0);
	if ((h->h_chain & IMG_CHAIN_ALONE) &&
	    (h->h_backing != NULL || h->h_backing_format != NULL))
		opts_wrong(c, "--no-backing leaves nothing for --backing");
	return (1);
}
