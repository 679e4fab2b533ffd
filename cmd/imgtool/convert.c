/* SPDX-License-Identifier: ISC */

/*
 * imgtool convert: a disk to a new image, or over an old one.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert.h"
#include "host/host.h"
#include "tool/tool.h"

#define OPT_SIZE (OPT_OWN + 0)

static const struct opt options[] = { OPT_ROW_FORMAT,
	{ 'O', "output-format", "FMT", "of the result; raw if not given" },
	OPT_ROW_OPTIONS,
	{ 'S', "sparse-size", "SIZE", "zeros that become a hole; 4k" },
	{ 'B', "output-backing", "FILE", "what the result leaves out" },
	{ 'F', "output-backing-format", "FMT",
	    "format of that file, or with -n of its backing file" },
	{ 'c', "compress", NULL, "compress what the result holds" },
	{ 'n', "no-create", NULL, "write into an image that exists" },
	OPT_ROW_REFS, { 'l', "snapshot", "NAME", OPT_HELP_SNAPSHOT },
	OPT_ROW_PROGRESS, OPT_ROW_QUIET, OPT_ROW_RESULT,
	{ OPT_SIZE, "size", "SIZE", "of the disk that comes from a pipe" },
	OPT_ROW_END };

static int
is_dash(const char *name)
{
	return (strcmp(name, "-") == 0);
}

/* Store what comes from the pipe, for its length. */
static int
spool(struct job *j, struct img_file **file)
{
	char why[160] = "";
	int error;

	if (!j->j_quiet)
		complain(stdin_name,
		    "size unknown, so it is stored beside "
		    "%s first; --size avoids that",
		    j->j_to);
	error = host_spool(file, j->j_to, STDIN_FILENO, why, sizeof(why));
	if (error != 0 && error != EINTR && why[0] != '\0')
		complain(stdin_name, "%s: %s", why, error_text(error));
	else if (error != 0)
		complain_errno(stdin_name, error);
	return (error);
}

/* Does raw output let it be used as it comes? */
static int
can_stream(const struct job *j)
{
	return (is_dash(j->j_to) ||
	    (!j->j_over && j->j_outfmt == img_format_find("raw")));
}

static int
open_stdin(struct job *j)
{
	const struct img_format *raw = img_format_find("raw");
	int error, fd;

	if (j->j_in.h_format != NULL && j->j_in.h_format != raw) {
		complain(stdin_name, "only raw can be read from it");
		return (1);
	}
	if (j->j_sized || (!input_is_file() && can_stream(j))) {
		j->j_pipe = 1;
		return (j->j_sized && input_exceeds(j->j_size));
	}
	if (input_is_file()) {
		fd = dup(STDIN_FILENO);
		error = fd == -1 ? errno : img_host_fdopen(&j->j_spool, fd);
		if (error != 0)
			complain_errno(stdin_name, error);
	} else {
		error = spool(j, &j->j_spool);
	}
	if (error != 0)
		return (1);
	j->j_in.h_format = raw;
	if (image_open(&j->j_src, stdin_name, j->j_spool, &j->j_in) != 0)
		return (1);
	j->j_size = img_size(j->j_src.i_img);
	return (0);
}

static int
open_source(struct job *j)
{
	if (is_dash(j->j_from))
		return (open_stdin(j));
	if (image_open(&j->j_src, j->j_from, NULL, &j->j_in) != 0)
		return (1);
	j->j_size = img_size(j->j_src.i_img);
	return (0);
}

static int
convert(struct job *j)
{
	int status;

	status = open_source(j);
	if (status == 0) {
		if (is_dash(j->j_to))
			status = transfer_stdout(j);
		else if (j->j_over)
			status = transfer_old(j);
		else
			status = transfer_new(j);
	}
	if (image_close(&j->j_src) != 0)
		status = 1;
	if (j->j_spool != NULL)
		(void)img_host_close(j->j_spool);
	return (status);
}

static void
set_option(struct job *j, int id)
{
	const struct command *c = &cmd_convert;
	uint64_t n;

	if (id == 'f') {
		j->j_in.h_format = opts_format(c);
	} else if (id == 'O') {
		j->j_outfmt = opts_format(c);
	} else if (id == 'o') {
		opts_join(c, j->j_opts);
	} else if (id == 'S') {
		n = opts_size(c);
		j->j_sparse = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	} else if (id == 'n') {
		j->j_over = 1;
	} else if (id == 'B') {
		opts_add(c, j->j_opts, "backing_file", optarg);
	} else if (id == 'F') {
		j->j_behind = optarg;
	} else if (id == 'c') {
		j->j_pack = 1;
	} else if (id == 'q') {
		j->j_quiet = 1;
	} else if (id == OPT_NOCLOBBER) {
		j->j_flags |= HOST_NOCLOBBER;
	} else if (id == OPT_FORCE) {
		j->j_flags |= HOST_FORCE;
	} else if (id == OPT_SIZE) {
		j->j_size = opts_size(c);
		j->j_sized = 1;
	} else {
		(void)opts_how(c, id == 'l' ? OPT_SNAPSHOT : id, &j->j_in);
	}
}

static int
has_option(const struct job *j, const char *name)
{
	return (img_opt_get(j->j_opts, name, NULL, 0) != ENOENT);
}

/*
 * What -F says is recorded in a new image, as far as its format can.  It is
 * told to whoever opens the result, be that new or not.
 */
static void
state_backing(struct job *j)
{
	const struct command *c = &cmd_convert;
	char fmt[64];

	if (j->j_behind != NULL && !j->j_over)
		opts_add(c, j->j_opts, "backing_fmt", j->j_behind);
	optarg = j->j_behind;
	if (optarg == NULL &&
	    img_opt_get(j->j_opts, "backing_fmt", fmt, sizeof(fmt)) == 0)
		optarg = fmt;
	if (optarg == NULL)
		return;
	j->j_out.h_backing_format = opts_format(c);
	j->j_out.h_expected = j->j_out.h_backing_format;
}

/* What does not go together. */
static void
check_options(const struct job *j)
{
	const struct command *c = &cmd_convert;

	if (j->j_sized && !is_dash(j->j_from))
		opts_wrong(c, "--size is for standard input");
	if (is_dash(j->j_to) && j->j_over)
		opts_wrong(c, "-n needs a destination that exists");
	if (is_dash(j->j_to) && j->j_outfmt != img_format_find("raw"))
		opts_wrong(c, "only raw can go to standard output");
	if (j->j_outfmt != NULL && j->j_opts[0] != '\0' &&
	    img_create_opts(j->j_outfmt)->o_name == NULL)
		opts_wrong(c, "%s has no options",
		    img_format_name(j->j_outfmt));
	if (j->j_over && j->j_opts[0] != '\0')
		opts_wrong(c,
		    "-o and -B are for a new image, and -n for an old one");
	if (j->j_sized && j->j_pack)
		opts_wrong(c, "-c needs a source of known length, not --size");
	if (has_option(j, "backing_file") != has_option(j, "backing_fmt"))
		opts_wrong(c, "-B goes with -F, the format of that file");
	if (j->j_over && (j->j_flags & HOST_NOCLOBBER) != 0)
		opts_wrong(c, "--no-clobber and -n exclude each other");
}

static int
convert_main(int argc, char **argv)
{
	const struct command *c = &cmd_convert;
	struct job j = { .j_sparse = 4096, .j_in.h_need = IMG_ALLOW_READ };
	int id, progress = 0;

	while ((id = opts_next(c, argc, argv)) != -1) {
		set_option(&j, id);
		if (id == 'p')
			progress = 1;
	}
	if (j.j_outfmt == NULL && !j.j_over)
		j.j_outfmt = img_format_find("raw");
	if (j.j_outfmt != NULL && output_help(j.j_outfmt, j.j_opts))
		return (0);
	if (argc - optind > 2)
		opts_wrong(c, "several sources cannot be joined to one disk");
	argv = opts_operands(c, argc, argv, 2);
	j.j_from = argv[0];
	j.j_to = argv[1];
	state_backing(&j);
	check_options(&j);
	j.j_out.h_format = j.j_outfmt;
	j.j_out.h_need = IMG_ALLOW_WRITE;
	j.j_out.h_letter = 'O';
	host_catch_signals();
	progress_start("convert", progress && !j.j_quiet);
	return (convert(&j));
}

const struct command cmd_convert = { "convert", "copy a disk to a new image",
	"[OPTION ...] SOURCE DESTINATION", options, 1, convert_main };
