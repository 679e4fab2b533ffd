/* SPDX-License-Identifier: ISC */

/*
 * imgtool create: an empty image.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "imgtool.h"
#include "host/host.h"
#include "tool/tool.h"

static const struct opt options[] = {
	{ 'f', "format", "FMT", "format of the image; raw if not given" },
	OPT_ROW_OPTIONS,
	{ 'b', "backing", "FILE", "what the image reads through to" },
	{ 'F', "backing-format", "FMT", "format of that file" }, OPT_ROW_RESULT,
	OPT_ROW_QUIET, OPT_ROW_END
};

static uint64_t
operand_size(const struct command *c, const char *text)
{
	optarg = (char *)(uintptr_t)text;
	return (opts_size(c));
}

/*
 * The image that the new one will read through to, if it shall: it must be
 * there, and its size is what a size that is not given stands for.
 */
static int
open_backing(const struct command *c, const char *path, const char *opts,
    uint64_t *size)
{
	struct how how = { .h_need = IMG_ALLOW_READ, .h_letter = 'F' };
	char name[OPTS_MAX], fmt[64];
	struct image i;
	char *real;
	int error;

	if (img_opt_get(opts, "backing_file", name, sizeof(name)) != 0)
		return (0);
	if (img_opt_get(opts, "backing_fmt", fmt, sizeof(fmt)) != 0)
		opts_wrong(c, "-b needs -F: the format of the backing file");
	optarg = fmt;
	how.h_format = how.h_expected = opts_format(c);
	if ((real = host_ref_path(path, name)) == NULL) {
		complain_errno(path, ENOMEM);
		return (ENOMEM);
	}
	error = image_open(&i, real, NULL, &how);
	if (error == 0) {
		if (*size == UINT64_MAX)
			*size = img_size(i.i_img);
		if (image_has_path(&i, 0, path)) {
			complain(path, "would read through to itself");
			error = ELOOP;
		}
		(void)image_drop(&i);
	}
	free(real);
	return (error);
}

static int
create(const char *path, const struct img_format *fmt, uint64_t size,
    const char *opts, unsigned flags)
{
	struct host_output *out;
	char *made;
	int error;

	host_catch_signals();
	if (output_open(&out, path, flags) != 0)
		return (1);
	error =
	    output_create(host_output_file(out), path, fmt, size, opts, &made);
	if (error == 0)
		error = output_commit(out, path);
	else
		host_output_abort(out);
	output_data_end(made, error != 0);
	return (error != 0);
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
	uint64_t size = UINT64_MAX;
	int id, backed, quiet = 0;

	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'f')
			fmt = opts_format(c);
		else if (id == 'o')
			opts_join(c, opts);
		else if (id == 'b')
			opts_add(c, opts, "backing_file", optarg);
		else if (id == 'F')
			opts_add(c, opts, "backing_fmt", optarg);
		else if (id == OPT_NOCLOBBER)
			flags |= HOST_NOCLOBBER;
		else if (id == OPT_FORCE)
			flags |= HOST_FORCE;
		else
			quiet = 1;
	}
	if (output_help(fmt, opts))
		return (0);
	backed = img_opt_get(opts, "backing_file", NULL, 0) != ENOENT;
	argv =
	    opts_operands(c, argc, argv, backed && argc - optind == 1 ? 1 : 2);
	if (argv[1] != NULL)
		size = operand_size(c, argv[1]);
	if (open_backing(c, argv[0], opts, &size) != 0)
		return (1);
	if (create(argv[0], fmt, size, opts, flags) != 0)
		return (1);
	if (!quiet)
		tell(argv[0], fmt, size, opts);
	return (0);
}

const struct command cmd_create = { "create", "make an empty image",
	"[OPTION ...] FILE [SIZE]", options, 1, create_main };
