/* SPDX-License-Identifier: ISC */

/*
 * Repair that a power cut ends: after any cut another repair makes the image
 * sound, and guest bytes change only where a step said so.
 */

#include "unit/vhd/damage.h"

#define ALL_SUBSETS 10 /* of so many sectors; beyond, a sample */
#define SAMPLE 300

/* The sectors written and lengths set since the last barrier. */
struct piece {
	const struct mem_logged *p_op;
	size_t p_at; /* in l_data */
};

#define MAX_PIECES 4096

static size_t
pieces_of(const struct mem_log *lg, size_t from, size_t to, struct piece *p)
{
	size_t i, at, n = 0;

	for (i = from; i < to; i++) {
		if (lg->lg_op[i].l_op == MEM_BARRIER)
			continue;
		at = 0;
		do {
			assert_true(n < MAX_PIECES);
			p[n].p_op = &lg->lg_op[i];
			p[n++].p_at = at;
			at += 512;
		} while (at < lg->lg_op[i].l_bytes);
	}
	return (n);
}

static void
apply(struct mem *m, const struct piece *p)
{
	const struct mem_logged *l = p->p_op;

	if (l->l_op == MEM_RESIZE)
		mem_set_len(m, l->l_off);
	else
		mem_put(m, l->l_start + p->p_at, l->l_data + p->p_at,
		    (size_t)img_min(512, l->l_bytes - p->p_at));
}

/* One image as a power cut left it: another repair has to do. */
static int
judge_cut(const struct mem *m, const struct told *before, const uint8_t *was)
{
	struct told t = *before;
	struct fx fx;
	int ok;

	memset(&fx, 0, sizeof(fx));
	mem_env(&fx.fx_env);
	mem_copy(&fx.fx_mem, m);
	ok = mend(&fx, &t) && is_intact(&fx, &t, was);
	done(&fx);
	return (ok);
}

static unsigned
cuts(struct mem *base, const struct piece *p, size_t n, const struct told *told,
    const uint8_t *was, uint64_t *seed)
{
	unsigned i, states, bad = 0;
	struct mem m = { 0 };
	size_t k;

	states = n <= ALL_SUBSETS ? 1u << n : SAMPLE;
	for (i = 0; i < states; i++) {
		mem_copy(&m, base);
		for (k = 0; k < n; k++)
			if (n <= ALL_SUBSETS ? (i >> k) & 1 :
					       (mem_random(seed) >> 9) & 1)
				apply(&m, &p[k]);
		bad += !judge_cut(&m, told, was);
		mem_free(&m);
	}
	return (bad);
}

/*
 * Every subset of what was written since the last barrier may be lost: in
 * how many of these states is the image not as it should be?  Without
 * barriers, all that was written may be lost.
 */
static unsigned
all_cuts(const struct mem *start, const struct mem_log *lg, int barriers,
    const struct told *told, const uint8_t *was)
{
	struct piece *p = malloc(MAX_PIECES * sizeof(*p));
	uint64_t seed = 1;
	size_t i, from = 0, n, k;
	unsigned bad = 0;
	struct mem m = { 0 };

	assert_non_null(p);
	mem_copy(&m, start);
	for (i = 0; i <= lg->lg_n; i++) {
		if (i < lg->lg_n &&
		    (lg->lg_op[i].l_op != MEM_BARRIER || !barriers))
			continue;
		n = pieces_of(lg, from, i, p);
		bad += cuts(&m, p, n, told, was, &seed);
		for (k = 0; k < n; k++)
			apply(&m, &p[k]);
		from = i + 1;
	}
	mem_free(&m);
	free(p);
	return (bad);
}

/* Repair one damage and cut it short everywhere. */
static unsigned
cut_repair(const struct damage *d, int barriers)
{
	uint8_t was[DISK];
	struct told t;
	struct mem start = { 0 };
	struct fx fx;
	unsigned bad;

	make(&fx, d, was);
	memset(&t, 0, sizeof(t));
	mem_copy(&start, &fx.fx_mem);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &t), 0);
	fx.fx_mem.m_log = NULL;
	bad = all_cuts(&start, &fx.fx_log, barriers, &t, was);
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
