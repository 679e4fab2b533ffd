/* SPDX-License-Identifier: ISC */

/*
 * What clusters are used for, window by window: however small the budget and
 * however many the windows, the findings are the same.
 */

#include "tool/tool.h"
#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (16 * SPAN)
#define WINDOW 8192u /* clusters of the smallest window */
#define NCL 20001u   /* of the large file: three windows */

static struct fx fx;
static struct mkqed *k;

static void
put(uint64_t at, uint64_t entry)
{
	mkqed_put(&fx.fx_mem, at, entry, 8);
}

/* The rest of the default budget is taken: what is left is so much. */
static void
leave(uint64_t budget)
{
	fx_use(&fx, 0);
	fx.fx_im->im_budget = budget;
}

static void
the_window_is_as_large_as_half_of_the_budget(void **state)
{
	static const struct {
		uint64_t budget, room;
	} cases[] = { { 1 << 20, (NCL + 1) / 2 }, { NCL + 1, (NCL + 1) / 2 },
		{ NCL - 1, NCL / 2 }, { 9000, 4500 }, { 8192, 4096 },
		{ 4096, 4096 } };
	struct qed_marks mk;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cases); i++) {
		mkqed_begin(fx_init(&fx, SIZE, 12, 2));
		mem_set_len(&fx.fx_mem, NCL * C - 1); /* the last one is cut */
		leave(cases[i].budget);
		fx.fx_env.e_opening = 1;
		assert_int_equal(qed_marks_init(&mk, fx.fx_im), 0);
		assert_int_equal(mk.mk_ncl, NCL);
		assert_int_equal(mk.mk_room, cases[i].room);
		qed_marks_start(&mk, fx.fx_im, 0);
		assert_int_equal(mk.mk_n,
		    cases[i].room * 2 < NCL ? cases[i].room * 2 : NCL);
		qed_marks_fini(&mk, fx.fx_im);
		assert_int_equal(fx.fx_im->im_budget, cases[i].budget);
		fx_close(&fx);
		fx_done(&fx);
	}
	mkqed_begin(fx_init(&fx, SIZE, 12, 2));
	leave(4095);
	assert_int_equal(qed_marks_init(&mk, fx.fx_im), ENOMEM);
	fx_close(&fx);
	fx_done(&fx);
}

static void
each_cluster_has_a_mark_of_its_own(void **state)
{
	struct qed_marks mk;
	uint64_t cl;
	int use;

	(void)state;
	mkqed_begin(fx_init(&fx, SIZE, 12, 2));
	mem_set_len(&fx.fx_mem, 100 * C);
	leave(8192);
	fx.fx_env.e_opening = 1;
	assert_int_equal(qed_marks_init(&mk, fx.fx_im), 0);
	qed_marks_start(&mk, fx.fx_im, 0);
	assert_int_equal(qed_marks_get(&mk, 0), QED_U_HEADER);
	assert_int_equal(qed_marks_get(&mk, 1), QED_U_L1);
	assert_int_equal(qed_marks_get(&mk, 2), QED_U_L1);
	assert_int_equal(qed_marks_get(&mk, 3), QED_U_FREE);
	for (use = QED_U_FREE; use <= QED_U_DATA_BOTH; use++)
		for (cl = 3; cl < 100; cl++) {
			qed_marks_set(&mk, cl, (enum qed_use)use);
			assert_int_equal(qed_marks_get(&mk, cl), use);
			assert_int_equal(qed_marks_get(&mk, cl - 1),
			    cl == 3 ? QED_U_L1 : use);
			if (cl < 99)
				assert_int_equal(qed_marks_get(&mk, cl + 1),
				    use == 0 ? 0 : use - 1);
		}
	assert_int_equal(mk.mk_beyond, 100);
	assert_false(qed_marks_in(&mk, 100));
	qed_marks_start(&mk, fx.fx_im, 2); /* all is forgotten */
	assert_int_equal(qed_marks_get(&mk, 0), QED_U_FREE);
	assert_int_equal(qed_marks_get(&mk, 2), QED_U_L1);
	assert_int_equal(qed_marks_get(&mk, 99), QED_U_FREE);
	qed_marks_fini(&mk, fx.fx_im);
	fx_close(&fx);
	fx_done(&fx);
}

static void
the_next_window_starts_where_something_is(void **state)
{
	struct qed_marks mk;

	(void)state;
	mkqed_begin(fx_init(&fx, SIZE, 12, 2));
	mem_set_len(&fx.fx_mem, NCL * C);
	leave(8192);
	fx.fx_env.e_opening = 1;
	assert_int_equal(qed_marks_init(&mk, fx.fx_im), 0);
	qed_marks_start(&mk, fx.fx_im, WINDOW);
	assert_int_equal(mk.mk_n, WINDOW);
	qed_marks_set(&mk, 5, QED_U_DATA); /* that was a window before */
	assert_int_equal(mk.mk_beyond, NCL);
	qed_marks_set(&mk, 18000, QED_U_DATA);
	qed_marks_set(&mk, 19000, QED_U_DATA);
	assert_int_equal(mk.mk_beyond, 18000);
	qed_marks_set(&mk, 2 * WINDOW, QED_U_DATA);
	assert_int_equal(mk.mk_beyond, 2 * WINDOW);
	assert_int_equal(qed_marks_get(&mk, 2 * WINDOW), QED_U_FREE);
	qed_marks_set(&mk, 2 * WINDOW - 1, QED_U_DATA);
	assert_int_equal(qed_marks_get(&mk, 2 * WINDOW - 1), QED_U_DATA);
	qed_marks_start(&mk, fx.fx_im, 2 * WINDOW);
	assert_int_equal(qed_marks_get(&mk, 2 * WINDOW - 1), QED_U_FREE);
	assert_int_equal(mk.mk_n, NCL - 2 * WINDOW);
	qed_marks_fini(&mk, fx.fx_im);
	fx_close(&fx);
	fx_done(&fx);
}

static void
what_is_in_use_is_marked(void **state)
{
	struct qed_marks mk;
	uint64_t cl, first;
	static const enum qed_use uses[] = { QED_U_HEADER, QED_U_L1, QED_U_L1,
		QED_U_FREE, QED_U_L2_FIRST, QED_U_L2, QED_U_DATA, QED_U_FREE,
		QED_U_DATA, QED_U_DATA, QED_U_L2_FIRST, QED_U_L2 };

	(void)state;
	mkqed_begin(k = fx_init(&fx, SIZE, 12, 2));
	mkqed_take(k, 1);
	mkqed_at(k, 0);
	mkqed_data(k, 7);
	mkqed_take(k, 1);
	mkqed_data(k, 900);
	/* The first entry of a slice, in both tables, behind an empty one. */
	mkqed_data(k, 512 * 1024 + 512);
	mkqed_set(k, 9, 1);
	fx_use(&fx, IMG_VERIFY);
	fx.fx_env.e_opening = 1;
	assert_int_equal(qed_marks_init(&mk, fx.fx_im), 0);
	for (first = 0; first < LENGTH_OF(uses); first++) {
		qed_marks_start(&mk, fx.fx_im, first);
		assert_int_equal(qed_mark(fx.fx_im, &mk), 0);
		for (cl = 0; cl < LENGTH_OF(uses); cl++)
			assert_int_equal(qed_marks_get(&mk, cl),
			    cl < first ? QED_U_FREE : uses[cl]);
	}
	qed_marks_fini(&mk, fx.fx_im);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_table_ends_with_the_file(void **state)
{
	(void)state;
	mkqed_begin(k = fx_init(&fx, SIZE, 12, 4));
	mem_set_len(&fx.fx_mem, 11 * C + 1);
	fx_use(&fx, 0);
	assert_int_equal(qed_table_first(fx.fx_im, 7 * C), 7);
	assert_int_equal(qed_table_end(fx.fx_im, 7 * C), 11);
	assert_int_equal(qed_table_end(fx.fx_im, 8 * C), 12); /* a cut one */
	assert_int_equal(qed_table_end(fx.fx_im, 9 * C), 12);
	assert_int_equal(qed_table_end(fx.fx_im, 11 * C), 12);
	fx_close(&fx);
	fx_done(&fx);
}

/* --- windows ------------------------------------------------------------ */

static void
table(uint64_t i, uint64_t cl)
{
	put(mkqed_l1(k, i * 1024), cl * C);
}

/* A large file with a table at cluster 100 and one at 18000. */
static void
make(void)
{
	k = fx_init(&fx, SIZE, 12, 2);
	mkqed_begin(k);
	mem_set_len(&fx.fx_mem, NCL * C);
	table(0, 100);
	table(1, 18000);
	mkqed_set(k, 0, 12000 * C);
	mkqed_set(k, 1, 200 * C);
	mkqed_set(k, 1024, 201 * C);
	mkqed_set(k, 1025, (NCL - 1) * C);
}

static void
nothing(void)
{
}

static void
shared_tables(void)
{
	table(2, WINDOW - 1); /* in two windows */
	table(3, WINDOW - 1);
	table(4, 2 * WINDOW - 1);
	table(5, 2 * WINDOW); /* overlaps in the second of them */
	table(6, 2 * WINDOW + 1);
	table(7, 18000);
	table(8, WINDOW);
}

static void
shared_data(void)
{
	mkqed_set(k, 5, 10000 * C);
	mkqed_set(k, 6, 10000 * C);
	mkqed_set(k, 7, 17000 * C);
	mkqed_set(k, 1030, 17000 * C);
	mkqed_set(k, 1031, 200 * C);
	mkqed_set(k, 8, (NCL - 1) * C);
	mkqed_set(k, 9, (NCL - 1) * C);
}

static void
bad_entries(void)
{
	mkqed_set(k, 5, 2);
	mkqed_set(k, 6, 99999 * C);
	mkqed_set(k, 1030, C);
	mkqed_set(k, 1031, UINT64_C(1) << 63);
	put(mkqed_l1(k, 3072), 1);
	table(4, NCL - 1); /* cut, and over data */
	mem_set_len(&fx.fx_mem, NCL * C - 100);
}

static void
tables_and_data(void)
{
	mkqed_set(k, 5, 18001 * C);
	mkqed_set(k, 1030, 101 * C);
	table(2, WINDOW - 1);
	mkqed_set(k, 6, WINDOW * C);
}

/* Data that are told to be a table, and say they lead to data before. */
static void
no_table(void)
{
	table(2, 12000);
	put(12000 * C, 200 * C);
	put(12000 * C + 8, 101 * C);
	put(12000 * C + 16, 77);
}

/* The same in two windows: it is told once. */
static void
no_table_between(void)
{
	static const uint8_t junk[16] = { 77 };

	mkqed_set(k, 10, (WINDOW - 1) * C);
	mkqed_set(k, 11, WINDOW * C);
	mem_put(&fx.fx_mem, WINDOW * C, junk, sizeof(junk));
	table(2, WINDOW - 1);
}

/* The same twice, each of which leads to the other. */
static void
no_tables(void)
{
	no_table();
	table(3, 200);
	put(200 * C, 12001 * C);
	put(200 * C + 800, 18001 * C);
	put(200 * C + 808, 78);
}

/* The L1 table lies behind all windows but the last, and leads nowhere. */
static void
another_l1(void)
{
	put(40, (NCL - 2) * C);
}

static void
everything(void)
{
	shared_data();
	no_tables();
	shared_tables();
	mkqed_set(k, 20, 2);
	mkqed_set(k, 21, WINDOW * C);
}

static const struct {
	const char *d_name;
	void (*d_do)(void);
	unsigned d_least; /* findings */
} damages[] = {
	{ "nothing", nothing, 0 },
	{ "shared_tables", shared_tables, 7 },
	{ "shared_data", shared_data, 9 },
	{ "bad_entries", bad_entries, 7 },
	{ "tables_and_data", tables_and_data, 3 },
	{ "no_table", no_table, 1 },
	{ "no_table_between", no_table_between, 1 },
	{ "no_tables", no_tables, 2 },
	{ "another_l1", another_l1, 2 },
	{ "everything", everything, 10 },
};

static int
compare(const void *a, const void *b)
{
	const struct img_finding *x = a, *y = b;

	if (x->fi_off != y->fi_off)
		return (x->fi_off < y->fi_off ? -1 : 1);
	return ((int)x->fi_row - (int)y->fi_row);
}

/* In an order of their own: that in which they are met is another. */
static void
sort(struct mem_sink *s)
{
	assert_true(s->s_n < MEM_NFOUND);
	qsort(s->s_found, s->s_n, sizeof(s->s_found[0]), compare);
}

/* Verify and check with so much of a budget; 0 if that is too little. */
static int
check(uint64_t budget)
{
	struct img_checked ch;
	int error;

	error = fx_open_as(&fx, IMG_VERIFY, 8, budget);
	if (error == ENOMEM)
		return (0);
	assert_int_equal(error, 0);
	fx.fx_env.e_opening = 1;
	assert_int_equal(img_check(fx.fx_im, 0, 0, &ch), 0);
	fx.fx_env.e_opening = 0;
	fx_close(&fx);
	sort(&fx.fx_sink);
	return (1);
}

static void
every_budget_finds_the_same(void **state)
{
	struct mem_sink all;
	uint64_t budget, polls;
	unsigned i, n, small;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		make();
		damages[i].d_do();
		assert_int_equal(check(0), 1);
		all = fx.fx_sink;
		polls = fx.fx_env.e_polls;
		if (all.s_n < damages[i].d_least)
			fail_msg("%s: %u", damages[i].d_name, all.s_n);
		budget = 65536;
		for (n = small = 0; small < 5; budget += 4096) {
			fx.fx_env.e_polls = 0;
			if (!check(budget))
				continue;
			small++;
			/* There are windows. */
			n += fx.fx_env.e_polls > polls;
			if (fx.fx_sink.s_n != all.s_n ||
			    memcmp(fx.fx_sink.s_found, all.s_found,
				all.s_n * sizeof(all.s_found[0])) != 0)
				fail_msg("%s: with %lu bytes %u findings "
					 "instead of %u",
				    damages[i].d_name, (unsigned long)budget,
				    fx.fx_sink.s_n, all.s_n);
		}
		assert_true(n >= 3);
		fx_done(&fx);
	}
}

/* However large the hole; and it can be stopped. */
static void
a_leak_that_is_a_hole_is_passed_over(void **state)
{
	struct mem_sink *s = &fx.fx_sink;
	struct mem host;

	(void)state;
	mem_file(&host, 0);
	fx_init(&fx, SIZE, 12, 2);
	fx.fx_mem.m_shift = 20;
	fx.fx_mem.m_ops.fo_extent = host.m_ops.fo_extent;
	mkqed_begin(&fx.fx_k);
	mem_set_len(&fx.fx_mem, NCL * C);
	mem_put(&fx.fx_mem, (NCL - 1) * C, "x", 1);
	assert_int_equal(check(0), 1);
	assert_int_equal(s->s_n, 1);
	assert_int_equal(s->s_found[0].fi_row, IMG_QED_LEAK_END);
	assert_int_equal(s->s_found[0].fi_n, NCL - 3);
	/* Two MiB of 79 are there, one cluster after the other. */
	assert_in_range(fx.fx_mem.m_calls[MEM_EXTENT], 79, 79 + 2 * 2 * 256);
	assert_in_range(fx.fx_env.e_polls, 256, 1024);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_is_as_large_as_half_of_the_budget),
		cmocka_unit_test(each_cluster_has_a_mark_of_its_own),
		cmocka_unit_test(the_next_window_starts_where_something_is),
		cmocka_unit_test(what_is_in_use_is_marked),
		cmocka_unit_test(a_table_ends_with_the_file),
		cmocka_unit_test(every_budget_finds_the_same),
		cmocka_unit_test(a_leak_that_is_a_hole_is_passed_over),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
