/* SPDX-License-Identifier: ISC */

/*
 * Repair that a power cut ends: after any cut another repair makes the image
 * sound, and guest bytes change only where a step said so.
 */

#define CUTS_ALL 10
#define CUTS_SAMPLE 300

#include "unit/vhd/damage.h"
#include "unit/help/cuts.h"

struct before {
	struct told b_told;
	uint8_t b_was[DISK];
};

/* One image as a power cut left it: another repair has to do. */
static int
judge_cut(void *arg, const struct mem *m)
{
	const struct before *b = arg;
	struct told t = b->b_told;
	struct fx fx;
	int ok;

	memset(&fx, 0, sizeof(fx));
	mem_env(&fx.fx_env);
	mem_copy(&fx.fx_mem, m);
	ok = mend(&fx, &t) && is_intact(&fx, &t, b->b_was);
	done(&fx);
	return (ok);
}

/* Repair one damage and cut it short everywhere. */
static unsigned
cut_repair(const struct damage *d, int barriers)
{
	struct mem start = { 0 };
	struct before b;
	struct fx fx;
	unsigned bad;

	make(&fx, d, b.b_was);
	memset(&b.b_told, 0, sizeof(b.b_told));
	mem_copy(&start, &fx.fx_mem);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &b.b_told), 0);
	fx.fx_mem.m_log = NULL;
	bad = cuts(&start, &fx.fx_log, barriers, judge_cut, &b);
	mem_free(&start);
	done(&fx);
	return (bad);
}

static void
any_cut_can_be_repaired(void **state)
{
	unsigned bad;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		bad = cut_repair(&damages[i], 1);
		if (bad > 0)
			fail_msg("%s: %u states", damages[i].d_name, bad);
	}
}

static void
the_test_notices_missing_barriers(void **state)
{
	static const char *const need[] = { "leak_inside", "all_zeros",
		"header_odd", "fixed_odd" };
	size_t i, k;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++)
		for (k = 0; k < LENGTH_OF(need); k++)
			if (strcmp(damages[i].d_name, need[k]) == 0 &&
			    cut_repair(&damages[i], 0) == 0)
				fail_msg("%s: nothing noticed", need[k]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut_can_be_repaired),
		cmocka_unit_test(the_test_notices_missing_barriers),
	};

	return (cmocka_run_group_tests_name("vhd repair, cut short", tests,
	    NULL, NULL));
}
