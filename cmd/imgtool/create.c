/* SPDX-License-Identifier: ISC */

/*
 * imgtool create: an empty image.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>

#include "imgtool.h"
#include "host/host.h"

static const struct opt options[] = {
	{ 'f', "format", "FMT", "format of the image; raw if not given" },
	OPT_ROW_OPTIONS, OPT_ROW_RESULT, OPT_ROW_QUIET, OPT_ROW_END
};

static uint64_t
operand_size(const struct command *c, const char *text)
{
	optarg = (char *)(uintptr_t)text;
	return (opts_size(c));
}

static int
create(const char *path, const struct img_format *fmt, uint64_t size,
    const char *opts, unsigned flags)
{
	struct host_output *out;

	host_catch_signals();
	if (output_open(&out, path, flags) != 0)
		return (1);
	if (output_create(host_output_file(out), path, fmt, size, opts) != 0) {
		host_output_abort(out);
		return (1);
	}
	return (output_commit(out, path) != 0);
}

static void
tell(const char *path, const struct img_format *fmt, uint64_t size,
    const char *opts)
{
	fputs("Formatting '", stdout);
	print_safe(stdout, path);
	printf("', fmt=%s size=%" PRIu64, img_format_name(fmt), size);
	if (opts[0] != '\0') {
		putchar(' ');
		print_safe(stdout, opts);
	}
	putchar('\n');
}

static int
create_main(int argc, char **argv)
{
	const struct command *c = &cmd_create;
	const struct img_format *fmt = img_format_find("raw");
	char opts[OPTS_MAX] = "";
	unsigned flags = 0;
	int id, quiet = 0;
	uint64_t size;

	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'f')
			fmt = opts_format(c);
		else if (id == 'o')
			opts_join(c, opts);
		else if (id == OPT_NOCLOBBER)
			flags |= HOST_NOCLOBBER;
		else if (id == OPT_FORCE)
			flags |= HOST_FORCE;
		else
			quiet = 1;
	}
	if (output_help(fmt, opts))
		return (0);
	argv = opts_operands(c, argc, argv, 2);
	size = operand_size(c, argv[1]);
	if (create(argv[0], fmt, size, opts, flags) != 0)
		return (1);
	if (!quiet)
		tell(argv[0], fmt, size, opts);
	return (0);
}

const struct command cmd_create = { "create", "make an empty image",
	"[-f FMT] [-o OPTIONS] [--no-clobber] [--force] [-q] FILE SIZE",
	options, 1, create_main };
