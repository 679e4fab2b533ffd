/* SPDX-License-Identifier: ISC */

/*
 * imgtool info: what an image says about itself.
 */

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "info.h"

static const struct opt options[] = { OPT_ROW_FORMAT, OPT_ROW_OUTPUT,
	{ OPT_CHAIN, "backing-chain", NULL, "the images behind it too" },
	OPT_ROW_BEHIND, OPT_ROW_END };

const char *
info_time(char *buf, size_t len, uint64_t n)
{
	time_t t = (time_t)n;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(buf, len, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, len, "%" PRId64, (int64_t)n);
	return (buf);
}

static int
info_one(const struct image *i, unsigned depth, int json)
{
	struct info f = { .f_img = img_chain_image(i->i_chain, depth),
		.f_name = img_chain_path(i->i_chain, depth) };
	struct stat st;
	int error;

	f.f_format = img_format_of(f.f_img);
	if (fstat(img_host_fd(img_chain_file(i->i_chain, depth)), &st) == 0)
		f.f_used = (uint64_t)st.st_blocks * 512;
	if (depth > 0 && !json)
		putchar('\n');
	error = json ? info_json(&f) : info_text(&f);
	if (error != 0)
		complain_errno(f.f_name, error);
	return (error);
}

static int
info(const struct image *i, int json, int chain)
{
	unsigned d;
	int error = 0;

	if (json && chain)
		json_begin(NULL, '[');
	for (d = 0; img_chain_image(i->i_chain, d) != NULL && error == 0; d++)
		error = info_one(i, d, json);
	if (json && chain)
		json_end(']');
	return (error);
}

static int
info_main(int argc, char **argv)
{
	const struct command *c = &cmd_info;
	struct how how = { .h_chain = IMG_CHAIN_TOP, .h_need = IMG_ALLOW_MAP };
	int id, error, json = 0, chain = 0;
	struct image i;

	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'f')
			how.h_format = opts_format(c);
		else if (id == OPT_OUTPUT)
			json = opts_output(c);
		else if (!opts_how(c, id, &how))
			chain = 1;
	}
	if (chain)
		how.h_chain = 0;
	else if (how.h_backing_format != NULL)
		opts_wrong(c, "--backing-format goes with --backing-chain");
	argv = opts_operands(c, argc, argv, 1);
	if (image_open(&i, argv[0], NULL, &how) != 0)
		return (1);
	error = info(&i, json, chain);
	return (image_close(&i) != 0 || error != 0);
}

const struct command cmd_info = { "info", "tell what an image is",
	"[OPTION ...] FILE", options, 1, info_main };
