/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED that a power cut ends: nothing is worse than before, and
 * another repair makes the image sound; guest bytes change only where a step
 * said so.
 */

#define CUTS_ALL 7
#define CUTS_SAMPLE 60

#include "unit/help/cuts.h"
#include "unit/qed/damage.h"

struct before {
	struct told b_told;
	struct content b_was;
	unsigned b_bad; /* corruptions */
	int b_dirty;    /* and it says so itself */
	const struct mem *b_start;
};

static int
is_dirty(const struct mem *m)
{
	return ((mkqed_get(m, 16, 8) & 2) != 0);
}

/* One image as a power cut left it. */
static int
judge(void *arg, const struct mem *m)
{
	const struct before *b = arg;
	static struct told t;
	struct fx fx;
	int ok;

	t = b->b_told;
	memset(&fx, 0, sizeof(fx));
	mem_env(&fx.fx_env);
	mem_copy(&fx.fx_mem, m);
	ok = is_intact(&fx, &t, &b->b_was);
	check(&fx);
	ok &= corruptions(&fx) <= b->b_bad;
	/* The mark goes last. */
	if (b->b_dirty && !is_dirty(m))
		ok &= corruptions(&fx) == 0;
	/* What this program does not know goes first. */
	if (mkqed_get(m, 32, 8) != 0)
		ok &= mem_equal(m, b->b_start);
	ok &= mend(&fx, &t) && is_intact(&fx, &t, &b->b_was);
	done(&fx);
	return (ok);
}

/* Repair one damage and cut it short everywhere. */
static unsigned
cut_repair(const struct damage *d, enum img_fix fix, int barriers)
{
	static struct before b;
	struct mem start = { 0 };
	struct fx fx;
	unsigned bad;

	make(&fx);
	d->d_do(&fx);
	memset(&b, 0, sizeof(b));
	look(&fx, &b.b_was);
	b.b_dirty = is_dirty(&fx.fx_mem);
	mem_copy(&start, &fx.fx_mem);
	b.b_start = &start;
	check(&fx);
	b.b_bad = corruptions(&fx);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(repair(&fx, fix, 0, &b.b_told), 0);
	fx.fx_mem.m_log = NULL;
	bad = cuts(&start, &fx.fx_log, barriers, judge, &b);
	mem_free(&start);
	done(&fx);
	return (bad);
}

static void
any_cut_can_be_repaired(void **state)
{
	unsigned bad, all = 0;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		bad = cut_repair(&damages[i], IMG_FIX_LOSSY, 1);
		if (bad > 0)
			print_error("%s: %u states\n", damages[i].d_name, bad);
		all += bad;
	}
	assert_int_equal(all, 0);
}

static void
the_test_notices_missing_barriers(void **state)
{
	static const char *const need[] = { "twin_data", "twin_tables",
		"leak_inside", "leak_of_tables", "many" };
	size_t i, k;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++)
		for (k = 0; k < LENGTH_OF(need); k++)
			if (strcmp(damages[i].d_name, need[k]) == 0 &&
			    cut_repair(&damages[i], IMG_FIX_LOSSY, 0) == 0)
				fail_msg("%s: nothing noticed", need[k]);
}

/* An entry led behind the end, where the copy goes. */
static void
twin_and_outside(struct fx *fx)
{
	twin_data(fx);
	entry(fx, NENT + 1, fx->fx_mem.m_len);
}

/* That cluster of the guest is lost, or zeros, but never another's. */
static int
judge_lost(void *arg, const struct mem *m)
{
	struct fx fx;
	uint8_t b[512];
	int ok;

	(void)arg;
	memset(&fx, 0, sizeof(fx));
	mem_env(&fx.fx_env);
	mem_copy(&fx.fx_mem, m);
	fx_use(&fx, 0);
	ok = img_read(fx.fx_im, b, 512, (NENT + 1) * (uint64_t)CLUSTER) != 0 ||
	    img_is_zero(b, 512);
	mem_abandon(fx.fx_im, &fx.fx_env);
	done(&fx);
	return (ok);
}

static void
what_was_nowhere_is_never_another_s(void **state)
{
	static struct told t;
	struct mem start = { 0 };
	struct fx fx;

	(void)state;
	make(&fx);
	twin_and_outside(&fx);
	mem_copy(&start, &fx.fx_mem);
	check(&fx);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &t), 0);
	fx.fx_mem.m_log = NULL;
	assert_int_equal(cuts(&start, &fx.fx_log, 1, judge_lost, NULL), 0);
	assert_true(cuts(&start, &fx.fx_log, 0, judge_lost, NULL) > 0);
	mem_free(&start);
	done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut_can_be_repaired),
		cmocka_unit_test(the_test_notices_missing_barriers),
		cmocka_unit_test(what_was_nowhere_is_never_another_s),
	};

	return (cmocka_run_group_tests_name("qed repair, cut short", tests,
	    NULL, NULL));
}
