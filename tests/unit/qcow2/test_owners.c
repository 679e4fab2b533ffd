/* SPDX-License-Identifier: ISC */

/*
 * The map of owners against a plain array: every reference is counted, in
 * whatever windows the memory allows.
 */

#include "unit/help/test.h"

#include "qcow2/owners.h"

#define NCL 20000u

struct fx {
	struct mem fx_mem;
	struct mem_env fx_env;
	struct img fx_im;
	struct qcow2_owners fx_ow;
};

static void
set_up(struct fx *fx, uint64_t budget, uint64_t ncl, uint64_t window)
{
	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	fx->fx_im.im_env = &fx->fx_env.e_env;
	fx->fx_im.im_budget = budget;
	assert_int_equal(qcow2_own_init(&fx->fx_ow, &fx->fx_im, ncl, window),
	    0);
}

static void
tear_down(struct fx *fx)
{
	qcow2_own_fini(&fx->fx_ow);
	assert_true(mem_env_sound(&fx->fx_env));
}

/* The n-th of a fixed list of references. */
static uint64_t
nth(unsigned n, enum qcow2_use *use)
{
	static const enum qcow2_use uses[] = { QCOW2_U_DATA, QCOW2_U_L2,
		QCOW2_U_PACKED, QCOW2_U_LUKS };
	uint64_t seed = n / 64 + 1;
	uint32_t from = mem_random(&seed) % NCL;

	*use = uses[(n / 64) % LENGTH_OF(uses)];
	/* Runs, steps and single ones. */
	return ((from + (uint64_t)(n % 64) * (n / 64 % 3)) % NCL);
}

#define NREFS (64u * 3000u)

static void
expect(struct qcow2_owner *all)
{
	enum qcow2_use use;
	uint64_t cl;
	unsigned n;

	memset(all, 0, NCL * sizeof(*all));
	for (n = 0; n < NREFS; n++) {
		cl = nth(n, &use);
		if (all[cl].o_use == QCOW2_U_NONE)
			all[cl].o_use = use;
		all[cl].o_count++;
		if (n % 1000 == 999)
			all[cl].o_alias = 1;
	}
}

/* Tell all; *aliases: how often one was new. */
static void
tell_all(struct qcow2_owners *ow, unsigned *aliases)
{
	struct qcow2_owner before;
	enum qcow2_use use;
	uint64_t cl;
	unsigned n;

	for (n = 0; n < NREFS; n++) {
		cl = nth(n, &use);
		ow->ow_seq = n;
		assert_int_equal(qcow2_own_add(ow, cl, use, &before), 0);
		if (n % 1000 != 999)
			continue;
		assert_int_equal(qcow2_own_alias(ow, cl), 0);
		*aliases += qcow2_own_has(ow, cl) && !qcow2_own_seen(ow, cl);
	}
}

static void
compare(const struct qcow2_owners *ow, const struct qcow2_owner *all)
{
	uint64_t cl = ow->ow_first, end = cl + ow->ow_n, n, i;
	struct qcow2_owner o;

	for (; cl < end; cl += n) {
		n = qcow2_own_run(ow, cl, end - cl, &o);
		assert_true(n > 0 && n <= end - cl);
		for (i = 0; i < n; i++) {
			assert_int_equal(o.o_use, all[cl + i].o_use);
			assert_int_equal(o.o_count, all[cl + i].o_count);
			assert_int_equal(o.o_alias, all[cl + i].o_alias);
		}
	}
}

/* Window after window; how many it took. */
static unsigned
run(uint64_t budget, uint64_t window)
{
	static struct qcow2_owner all[NCL];
	unsigned n = 0, aliases = 0;
	uint64_t at = 0;
	struct fx fx;

	expect(all);
	set_up(&fx, budget, NCL, window);
	for (; at < NCL; at += fx.fx_ow.ow_n, n++) {
		qcow2_own_open(&fx.fx_ow, at);
		tell_all(&fx.fx_ow, &aliases);
		compare(&fx.fx_ow, all);
	}
	assert_int_equal(aliases, NREFS / 1000);
	tear_down(&fx);
	return (n);
}

static void
one_window_counts_every_reference(void **state)
{
	(void)state;
	assert_int_equal(run(1 << 20, 0), 1);
}

static void
small_windows_count_the_same(void **state)
{
	(void)state;
	assert_int_equal(run(1 << 20, QCOW2_PAGE), 5);
	assert_int_equal(run(1 << 20, 3 * QCOW2_PAGE), 2);
}

/* What a window loses is counted by the next, and no alias is new twice. */
static void
a_window_shrinks_where_memory_ends(void **state)
{
	(void)state;
	assert_true(run(QCOW2_COARSE / 8 + 100000, 0) > 1);
}

static void
too_little_memory_for_a_page_is_an_error(void **state)
{
	struct qcow2_owner before;
	unsigned i;
	int error = 0;
	struct fx fx;

	(void)state;
	set_up(&fx, QCOW2_COARSE / 8 + 2500, NCL, 0);
	qcow2_own_open(&fx.fx_ow, 0);
	for (i = 0; i < 200 && error == 0; i++)
		error =
		    qcow2_own_add(&fx.fx_ow, i / 2 * 3, QCOW2_U_DATA, &before);
	assert_int_equal(error, ENOMEM);
	tear_down(&fx);
}

static void
a_whole_disk_in_a_snapshot_costs_a_few_runs(void **state)
{
	struct qcow2_owner before;
	uint64_t cl, ncl = 1 << 20;
	size_t now;
	struct fx fx;
	unsigned i;

	(void)state;
	set_up(&fx, 64 << 20, ncl, 0);
	now = fx.fx_env.e_now;
	qcow2_own_open(&fx.fx_ow, 0);
	for (i = 0; i < 5; i++)
		for (cl = 0; cl < ncl; cl++)
			assert_int_equal(qcow2_own_add(&fx.fx_ow,
					     i % 2 ? ncl - 1 - cl : cl,
					     QCOW2_U_DATA, &before),
			    0);
	assert_int_equal(before.o_count, 4);
	assert_true(fx.fx_env.e_peak - now <=
	    ncl / QCOW2_PAGE * 8 * sizeof(struct qcow2_run));
	tear_down(&fx);
}

static void
a_count_stops_where_it_cannot_go_on(void **state)
{
	struct qcow2_owner o;
	unsigned i;
	struct fx fx;

	(void)state;
	set_up(&fx, 1 << 20, 16, 0);
	qcow2_own_open(&fx.fx_ow, 0);
	for (i = 0; i < 6; i++) {
		assert_int_equal(qcow2_own_add(&fx.fx_ow, 3, QCOW2_U_LUKS, &o),
		    0);
		if (i == 1) /* as if 134217724 more had been told */
			fx.fx_ow.ow_page[0].pg_run[0].ru_val |=
			    QCOW2_OWN_MANY - 1;
	}
	qcow2_own_get(&fx.fx_ow, 3, &o);
	assert_int_equal(o.o_count, QCOW2_OWN_MANY);
	assert_int_equal(o.o_use, QCOW2_U_LUKS);
	assert_int_equal(o.o_alias, 0);
	tear_down(&fx);
}

static void
what_is_never_told_of_is_passed_over(void **state)
{
	uint64_t ncl = UINT64_C(1) << 32, part = ncl / QCOW2_COARSE, far;
	struct qcow2_owner o;
	struct fx fx;

	(void)state;
	far = UINT64_C(3) << 30;
	set_up(&fx, 1 << 20, ncl, 0);
	qcow2_own_open(&fx.fx_ow, 0);
	assert_int_equal(qcow2_own_add(&fx.fx_ow, 5, QCOW2_U_L2, &o), 0);
	assert_int_equal(qcow2_own_add(&fx.fx_ow, far + 7, QCOW2_U_L2, &o), 0);
	assert_int_equal(qcow2_own_add(&fx.fx_ow, ncl + 7, QCOW2_U_L2, &o), 0);
	assert_true(qcow2_own_next(&fx.fx_ow, 0) == 0);
	assert_true(qcow2_own_next(&fx.fx_ow, 100) == 100);
	assert_true(qcow2_own_next(&fx.fx_ow, 2 * part) == far);
	assert_true(qcow2_own_next(&fx.fx_ow, far + 2 * part) == ncl);
	tear_down(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_window_counts_every_reference),
		cmocka_unit_test(small_windows_count_the_same),
		cmocka_unit_test(a_window_shrinks_where_memory_ends),
		cmocka_unit_test(too_little_memory_for_a_page_is_an_error),
		cmocka_unit_test(a_whole_disk_in_a_snapshot_costs_a_few_runs),
		cmocka_unit_test(a_count_stops_where_it_cannot_go_on),
		cmocka_unit_test(what_is_never_told_of_is_passed_over),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
