/* SPDX-License-Identifier: ISC */

/*
 * The repair that imgtool check -r asks for: first what would be done, then
 * doing it.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "check.h"
#include "host/host.h"

static void
json_step(const struct img_fixed *x, const char *row)
{
	json_begin_line(NULL);
	json_str("row", row);
	json_str("text", x->fx_text);
	if (x->fx_off != IMG_NOWHERE)
		json_num("offset", x->fx_off);
	if (x->fx_vlen > 0) {
		json_num("start", x->fx_voff);
		json_num("length", x->fx_vlen);
	}
	json_end('}');
}

static void
tell(void *arg, const struct img_fixed *x)
{
	const struct img_rowdesc *r = img_row(x->fx_row);
	struct check *k = arg;
	char row[32];

	k->k_steps++;
	if (!k->k_show)
		return;
	snprintf(row, sizeof(row), "%s-%u", r->r_format, r->r_number);
	if (k->k_json) {
		json_step(x, row);
		return;
	}
	printf("repair %s", row);
	if (x->fx_off != IMG_NOWHERE)
		printf(" at %" PRIu64, x->fx_off);
	printf(": %s", x->fx_text);
	if (x->fx_vlen > 0)
		printf(", guest %" PRIu64 "+%" PRIu64 " changes", x->fx_voff,
		    x->fx_vlen);
	putchar('\n');
}

static void
silent(void *arg, const struct img_fixed *x)
{
	(void)arg;
	(void)x;
}

/* Is there anything that this repair can do? */
static int
wanted(const struct check *k)
{
	size_t i;

	for (i = 0; i < k->k_nlist; i++) {
		enum img_fix f = img_row(k->k_list[i].fi_row)->r_fix;

		if (f != IMG_FIX_NONE && f <= k->k_fix)
			return (1);
	}
	return (0);
}

static int
pass(struct check *k, unsigned flags, img_fixed_fn *sink)
{
	if (k->k_unkept > 0)
		flags |= IMG_SOME;
	return (img_repair(img_host_env(), k->k_file, k->k_format, k->k_list,
	    k->k_nlist, k->k_fix, flags, sink, k));
}

int
repair(struct check *k)
{
	int error = 0;

	k->k_steps = 0;
	if (k->k_unkept > 0)
		complain(k->k_name,
		    "%" PRIu64 " findings are too many for one "
		    "repair; repair again",
		    k->k_unkept);
	if (k->k_json && k->k_show)
		json_begin("repairs", '[');
	if (wanted(k))
		error = pass(k, IMG_DRYRUN, tell);
	if (k->k_json && k->k_show)
		json_end(']');
	fflush(stdout);
	if (error == 0 && k->k_steps > 0 && !k->k_dryrun)
		error = pass(k, 0, silent);
	if (error != 0)
		complain(k->k_name, "repair failed: %s", error_text(error));
	return (error);
}
