/* SPDX-License-Identifier: ISC */

/*
 * imgtool compare: do two images hold the same bytes?
 */

#include <inttypes.h>

#include "imgtool.h"
#include "host/host.h"

/* The statuses of qemu-img. */
#define DIFFERENT 1
#define NOT_OPENED 2
#define NOT_READ 4

static const struct opt options[] = { { 'f', "format", "FMT",
					  "format of the first image" },
	{ 'F', "second-format", "FMT", "format of the second image" },
	{ 's', "strict", NULL, "sizes and allocation must be equal too" },
	OPT_ROW_REFS,
	{ OPT_SNAPSHOT, "snapshot", "NAME",
	    "the first disk as this snapshot has it" },
	OPT_ROW_PROGRESS, OPT_ROW_QUIET, OPT_ROW_END };

static int
reads_zero(const struct img_extent *e)
{
	return (e->e_type == IMG_HOLE || e->e_type == IMG_ZERO);
}

/* In strict mode, is it the allocation that differs here? */
static int
status_differs(struct image *i, uint64_t voff)
{
	struct img_extent a, b;
	struct img *owner;
	unsigned depth;

	if (img_walk(i[0].i_img, voff, 1, &a, &owner, &depth) != 0 ||
	    img_walk(i[1].i_img, voff, 1, &b, &owner, &depth) != 0)
		return (0);
	return (reads_zero(&a) != reads_zero(&b));
}

static int
tell(struct image *i, const struct img_compared *cm, int strict, int quiet)
{
	int odd = img_size(i[0].i_img) != img_size(i[1].i_img);

	if (quiet)
		return (cm->cm_equal ? 0 : DIFFERENT);
	if (odd)
		printf("%s: Image size mismatch!\n",
		    strict ? "Strict mode" : "Warning");
	if (cm->cm_equal)
		printf("Images are identical.\n");
	else if (strict && odd)
		; /* said already */
	else if (strict && status_differs(i, cm->cm_voff))
		printf("Strict mode: Offset %" PRIu64
		       " block status mismatch!\n",
		    cm->cm_voff);
	else
		printf("Content mismatch at offset %" PRIu64 "!\n",
		    cm->cm_voff);
	return (cm->cm_equal ? 0 : DIFFERENT);
}

static int
compare(struct image *i, int strict, int quiet)
{
	struct img_compared cm = { 0 };
	int error;

	error = img_compare(img_host_env(), i[0].i_img, i[1].i_img,
	    strict ? IMG_COMPARE_STRICT : 0, &cm);
	if (error != 0) {
		image_complain(&i[cm.cm_error_in != 0], error, cm.cm_voff);
		return (NOT_READ);
	}
	return (tell(i, &cm, strict, quiet));
}

static int
compare_main(int argc, char **argv)
{
	const struct command *c = &cmd_compare;
	struct how how[2] = { { .h_need = IMG_ALLOW_READ },
		{ .h_need = IMG_ALLOW_READ, .h_letter = 'F' } };
	int id, strict = 0, quiet = 0, progress = 0, status;
	struct image i[2];

	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'f')
			how[0].h_format = opts_format(c);
		else if (id == 'F')
			how[1].h_format = opts_format(c);
		else if (id == 's')
			strict = 1;
		else if (id == 'p')
			progress = 1;
		else if (!opts_how(c, id, &how[0]))
			quiet = 1;
	}
	argv = opts_operands(c, argc, argv, 2);
	if (image_open(&i[0], argv[0], NULL, &how[0]) != 0)
		return (NOT_OPENED);
	status = NOT_OPENED;
	if (image_open(&i[1], argv[1], NULL, &how[1]) == 0) {
		progress_start("compare", progress && !quiet);
		status = compare(i, strict, quiet);
		image_close(&i[1]);
	}
	image_close(&i[0]);
	return (status);
}

const struct command cmd_compare = { "compare",
	"tell whether two images hold the same bytes",
	"[OPTION ...] FILE1 FILE2", options, NOT_OPENED, compare_main };
