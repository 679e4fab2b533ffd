/* SPDX-License-Identifier: ISC */

/*
 * imgtool check: everything that is wrong with an image, and its repair.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "host/host.h"

#define MEMORY (UINT64_C(64) << 20)
#define SLICE 4096u /* of tables, which are read once: they take half ... */
#define SLICES_MAX 8192u /* ... and at most 32 MiB */

#define MAX_KEPT 1000000u /* findings that one repair looks at */

#define OPT_DEEP (OPT_OWN + 0)
#define OPT_DRYRUN (OPT_OWN + 1)
#define OPT_MEMORY (OPT_OWN + 2)

static const struct opt options[] = { OPT_ROW_FORMAT, OPT_ROW_OUTPUT,
	{ OPT_DEEP, "deep", NULL, "read bitmaps and data too" },
	{ 'r', "repair", "safe|all", "repair; \"all\" may change the disk" },
	{ OPT_DRYRUN, "dry-run", NULL, "with -r: say what it would do" },
	{ OPT_CHAIN, "backing-chain", NULL, "the images behind it too" },
	OPT_ROW_BEHIND,
	{ OPT_MEMORY, "max-memory", "SIZE", "what the check may take; 64M" },
	OPT_ROW_QUIET, OPT_ROW_END };

static void
keep(struct check *k, const struct img_finding *f)
{
	struct img_finding *p;
	size_t cap;

	if (k->k_nlist == k->k_cap) {
		cap = k->k_cap == 0 ? 64 : k->k_cap * 2;
		p = k->k_nlist >= MAX_KEPT ?
		    NULL :
		    realloc(k->k_list, cap * sizeof(*p));
		if (p == NULL) {
			k->k_unkept++;
			return;
		}
		k->k_list = p;
		k->k_cap = cap;
	}
	k->k_list[k->k_nlist] = *f;
	k->k_list[k->k_nlist++].fi_name = NULL;
}

static void
found(void *arg, const struct img_finding *f)
{
	struct check *k = arg;
	enum img_severity s = img_row(f->fi_row)->r_severity;

	k->k_count[s] += f->fi_n > 0 ? f->fi_n : 1;
	if (k->k_fix != IMG_FIX_NONE)
		keep(k, f);
	if (!k->k_show)
		return;
	if (k->k_json) {
		json_finding(f);
		return;
	}
	printf("%s ", severity_text(s));
	print_finding(stdout, f);
	putchar('\n');
}

static uint32_t
slices(const struct check *k)
{
	uint64_t n = k->k_memory / 2 / SLICE;

	return (n < SLICES_MAX ? (uint32_t)n : SLICES_MAX);
}

static int
was_judged(const struct check *k)
{
	return (k->k_count[IMG_SEV_FATAL] + k->k_count[IMG_SEV_CORRUPT] > 0);
}

static void
could_not(struct check *k, int error)
{
	char buf[SIZE_TEXT];

	if (k->k_show && !k->k_json)
		fflush(stdout);
	if (error == ENOMEM)
		complain(k->k_name,
		    "%s are not enough; --max-memory allows more",
		    size_text(buf, k->k_memory));
	else
		complain_errno(k->k_name, error);
	k->k_errors = 1;
}

/* One check, from opening on. */
static void
run(struct check *k)
{
	struct img_args a = { .a_format = k->k_format,
		.a_slices = slices(k),
		.a_budget = k->k_memory,
		.a_flags = IMG_VERIFY,
		.a_report = found,
		.a_arg = k };
	struct img *im;
	int error;

	memset(k->k_count, 0, sizeof(k->k_count));
	k->k_nlist = 0;
	k->k_unkept = 0;
	k->k_total = 0;
	memset(&k->k_checked, 0, sizeof(k->k_checked));
	error = img_open(&im, img_host_env(), k->k_file, &a);
	if (error != 0) {
		/* A file that breaks its format has been checked. */
		if (error != EFTYPE || !was_judged(k))
			could_not(k, error);
		return;
	}
	if (k->k_data != NULL)
		error = img_lend_data(im, k->k_data);
	if (error == 0)
		error = img_check(im, k->k_flags, (int64_t)time(NULL),
		    &k->k_checked);
	if (error == 0 && k->k_behind.fi_row != IMG_ROW_NONE)
		found(k, &k->k_behind);
	if (error == 0)
		k->k_total = 1;
	else
		could_not(k, error);
	error = img_close(im);
	if (error != 0 && !k->k_errors)
		could_not(k, error);
}

static uint64_t
corruptions(const struct check *k)
{
	return (k->k_count[IMG_SEV_FATAL] + k->k_count[IMG_SEV_CORRUPT]);
}

/* "3 errors", "1 error". */
static void
count(uint64_t n, const char *what, const char *rest)
{
	printf("%" PRIu64 " %s%s%s", n, what, n == 1 ? "" : "s", rest);
}

/* In percent of what is allocated. */
static double
share(uint64_t n, const struct img_checked *t)
{
	return (100 * (double)n / (double)t->ch_allocated);
}

static void
text_space(const struct img_checked *t)
{
	double units = (double)t->ch_units, used = (double)t->ch_allocated;

	if (t->ch_units > 0 && t->ch_allocated > 0)
		printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated, %.2f%% "
		       "fragmented, %.2f%% compressed clusters\n",
		    t->ch_allocated, t->ch_units, 100 * used / units,
		    share(t->ch_fragmented, t), share(t->ch_packed, t));
	printf("Image end offset: %" PRIu64 "\n", t->ch_end);
}

static void
text_totals(const struct check *k)
{
	uint64_t bad = corruptions(k), leaks = k->k_count[IMG_SEV_LEAK];
	uint64_t warnings = k->k_count[IMG_SEV_WARN];
	uint64_t notes = k->k_count[IMG_SEV_NOTE];

	if (k->k_errors)
		return;
	if (bad == 0 && leaks == 0)
		printf("No errors were found on the image.\n");
	if (bad > 0)
		count(bad, "error",
		    " found on the image: data may be "
		    "corrupted.\n");
	if (leaks > 0)
		count(leaks, "leak",
		    " found on the image: space is lost, but "
		    "no data.\n");
	if (warnings + notes > 0) {
		count(warnings, "warning", ", ");
		count(notes, "note", "\n");
	}
	if (k->k_total)
		text_space(&k->k_checked);
}

static void
json_totals(const struct check *k)
{
	const struct img_checked *t = &k->k_checked;

	json_num("check-errors", k->k_errors != 0);
	json_num("corruptions", corruptions(k));
	json_num("leaks", k->k_count[IMG_SEV_LEAK]);
	json_num("warnings", k->k_count[IMG_SEV_WARN]);
	json_num("notes", k->k_count[IMG_SEV_NOTE]);
	json_num("total-clusters", t->ch_units);
	json_num("allocated-clusters", t->ch_allocated);
	json_num("fragmented-clusters", t->ch_fragmented);
	json_num("compressed-clusters", t->ch_packed);
	json_num("image-end-offset", t->ch_end);
}

static void
run_shown(struct check *k)
{
	k->k_show = !k->k_quiet;
	if (k->k_json && k->k_show)
		json_begin("findings", '[');
	run(k);
	if (k->k_json && k->k_show)
		json_end(']');
}

/* Check, repair, check again; the second check is what counts. */
static void
run_repair(struct check *k)
{
	uint64_t bad, leaks;
	int error;

	/* In JSON there is one array of findings: those that remain. */
	if (k->k_json && !k->k_dryrun)
		run(k);
	else
		run_shown(k);
	if (k->k_errors)
		return;
	bad = corruptions(k);
	leaks = k->k_count[IMG_SEV_LEAK];
	k->k_show = !k->k_quiet;
	error = repair(k);
	if (error != 0)
		k->k_errors = 1;
	if (k->k_dryrun || (error != 0 && !k->k_json))
		return;
	if (k->k_steps > 0 && k->k_show && !k->k_json)
		printf("After the repair:\n");
	if (k->k_steps > 0 || k->k_json)
		run_shown(k);
	if (!k->k_json || !k->k_show)
		return;
	json_num("corruptions-fixed",
	    bad > corruptions(k) ? bad - corruptions(k) : 0);
	json_num("leaks-fixed",
	    leaks > k->k_count[IMG_SEV_LEAK] ?
		leaks - k->k_count[IMG_SEV_LEAK] :
		0);
}

int
check_image(struct check *k)
{
	int error = 0;

	k->k_errors = 0;
	if (k->k_format == NULL)
		error = img_probe(img_host_env(), k->k_file, &k->k_format);
	if (error != 0) {
		complain_errno(k->k_name, error);
		return (COULD_NOT);
	}
	if (k->k_json && !k->k_quiet) {
		json_begin(NULL, '{');
		json_num("schema", 1);
		json_image(k->k_name, k->k_format);
	}
	if (k->k_fix != IMG_FIX_NONE)
		run_repair(k);
	else
		run_shown(k);
	if (k->k_json && !k->k_quiet) {
		json_totals(k);
		json_end('}');
	} else if (!k->k_quiet) {
		text_totals(k);
	}
	if (k->k_errors)
		return (COULD_NOT);
	return (corruptions(k) > 0           ? CORRUPT :
		k->k_count[IMG_SEV_LEAK] > 0 ? LEAKS :
					       0);
}

static enum img_fix
fix_argument(const struct command *c)
{
	if (strcmp(optarg, "safe") == 0 || strcmp(optarg, "leaks") == 0)
		return (IMG_FIX_SAFE);
	if (strcmp(optarg, "all") != 0)
		opts_wrong(c, "%s: repair is safe or all", optarg);
	return (IMG_FIX_LOSSY);
}

static void
set_option(struct check *k, int id)
{
	const struct command *c = &cmd_check;

	if (id == 'f')
		k->k_format = opts_format(c);
	else if (id == OPT_OUTPUT)
		k->k_json = opts_output(c);
	else if (id == OPT_DEEP)
		k->k_flags |= IMG_DEEP;
	else if (id == 'r')
		k->k_fix = fix_argument(c);
	else if (id == OPT_DRYRUN)
		k->k_dryrun = 1;
	else if (id == OPT_CHAIN)
		k->k_chain = 1;
	else if (id == OPT_BACKING_FORMAT)
		k->k_behind_format = opts_format(c);
	else if (id == OPT_MEMORY)
		k->k_memory = opts_size(c);
	else
		k->k_quiet = 1;
}

static int
check_main(int argc, char **argv)
{
	const struct command *c = &cmd_check;
	int id, status;
	struct img_file *file;
	struct check k;

	memset(&k, 0, sizeof(k));
	k.k_memory = MEMORY;
	while ((id = opts_next(c, argc, argv)) != -1)
		set_option(&k, id);
	if (k.k_dryrun && k.k_fix == IMG_FIX_NONE)
		opts_wrong(c, "--dry-run goes with -r");
	if (k.k_behind_format != NULL && !k.k_chain)
		opts_wrong(c, "--backing-format goes with --backing-chain");
	if (k.k_memory == 0)
		opts_wrong(c, "--max-memory is not 0");
	if (k.k_chain && k.k_fix != IMG_FIX_NONE)
		opts_wrong(c,
		    "-r repairs one image; --backing-chain checks "
		    "several");
	argv = opts_operands(c, argc, argv, 1);
	k.k_name = argv[0];
	if (k.k_fix != IMG_FIX_NONE && !k.k_dryrun)
		host_catch_signals();
	if (file_open(&file, k.k_name,
		k.k_fix != IMG_FIX_NONE && !k.k_dryrun ? IMG_HOST_RDWR : 0) !=
	    0)
		return (COULD_NOT);
	k.k_file = file;
	progress_start("check", 0);
	status = k.k_chain ? check_chain(&k) : check_image(&k);
	free(k.k_list);
	img_host_close(file);
	return (status);
}

const struct command cmd_check = { "check", "judge an image, and repair it",
	"[OPTION ...] FILE", options, COULD_NOT, check_main };
