/* SPDX-License-Identifier: ISC */

/*
 * Power cuts of QED images.  After a cut at any moment, with any of the
 * writes since the last barrier lost or torn at a sector, the image opens
 * for writing, checks clean or with leaks only, by the library and by a judge
 * that shares nothing with it; it holds all that was flushed, and where more
 * was written each sector is old or new.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define T QS_TABLES

static void
an_empty_image(void **state)
{
	static const struct qsetup qs[] = {
		{ "empty", 0, 12, 0, 0, 64, 2 },
		{ "empty, tables of 4", 0, 12, 2, 0, 64, 2 },
		{ "empty, tables of 16", 0, 12, 4, 0, 64, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
clusters_of_all_kinds(void **state)
{
	static const struct qsetup qs[] = {
		{ "all kinds", 0, 12, 0, T, 64, 4 },
		{ "all kinds, tables of 4", 0, 12, 2, T, 64, 4 },
	};

	(void)state;
	cut_some(qs, LENGTH_OF(qs));
}

static void
what_a_backing_image_has(void **state)
{
	static const struct qsetup qs[] = {
		{ "backing", 0, 12, 0, QS_BACKING, 64, 3 },
		{ "backing, all kinds", 0, 12, 1, T | QS_BACKING, 64, 5 },
		{ "backing, plain", 0, 12, 0, QS_BACKING | QS_PLAIN, 64, 5 },
	};

	(void)state;
	cut_some(qs, LENGTH_OF(qs));
}

static void
larger_clusters(void **state)
{
	static const struct qsetup qs[] = {
		{ "16 KiB", 0, 14, 0, T | QS_BACKING, 64, 4 },
		{ "64 KiB, tables of 4", 0, 16, 2, T, 64, 4 },
	};

	(void)state;
	cut_everywhere(&qs[0], 1, 40, 7);
	cut_everywhere(&qs[1], 2, 12, 4);
}

static void
autoclear_bits_go_first(void **state)
{
	static const struct qsetup qs[] = {
		{ "autoclear", 0, 12, 0, T | QS_BITMAPS, 64, 4 },
		{ "autoclear, backing", 0, 12, 2, QS_BITMAPS | QS_BACKING, 64,
		    4 },
	};

	(void)state;
	cut_some(qs, LENGTH_OF(qs));
}

static void
bytes_after_the_last_whole_cluster(void **state)
{
	static const struct qsetup qs[] = {
		{ "stray", 0, 12, 0, QS_STRAY, 64, 2 },
		{ "stray, all kinds", 0, 13, 1, T | QS_STRAY | QS_BITMAPS, 64,
		    2 },
		{ "stray, garbage", 0, 12, 0, T | QS_STRAY | QS_GARBAGE, 64,
		    2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

/* Then the library writes the zeros that it needs. */
static void
a_file_whose_new_space_is_garbage(void **state)
{
	static const struct qsetup qs[] = {
		{ "garbage", 0, 12, 0, QS_GARBAGE, 64, 2 },
		{ "garbage, backing", 0, 12, 1, T | QS_GARBAGE | QS_BACKING, 2,
		    3 },
	};

	(void)state;
	cut_some(qs, LENGTH_OF(qs));
}

static void
tables_that_hardly_fit_in_the_cache(void **state)
{
	static const struct qsetup qs[] = {
		{ "empty", 0, 12, 0, 0, 2, 2 },
		{ "all kinds", 0, 12, 2, T, 2, 2 },
		{ "backing", 0, 12, 0, QS_BACKING, 3, 4 },
		{ "no flush", 0, 12, 0, QS_NOFLUSH | QS_BACKING, 2, 4 },
	};

	(void)state;
	cut_some(qs, LENGTH_OF(qs));
}

static void
a_fresh_file_has_no_header_until_the_end(void **state)
{
	static const struct qsetup qs[] = {
		{ "fresh", 0, 12, 0, QS_FRESH, 64, 2 },
		{ "fresh, few slices", 0, 12, 2,
		    QS_FRESH | QS_NOFLUSH | QS_BACKING, 2, 2 },
		{ "fresh, one flush", 0, 13, 0, QS_FRESH | QS_NOFLUSH, 64, 2 },
		{ "fresh, garbage", 0, 12, 0,
		    QS_FRESH | QS_NOFLUSH | QS_GARBAGE, 2, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

/* What a barrier in the log comes after. */
enum after { HEADER, DATA, L2, L1 };

static const char *const after_names[NCLASSES] = { "header", "data", "L2",
	"L1" };

static size_t
class_of(const struct subject *su, size_t i, const void *arg)
{
	const struct mkqed_refs *end = arg;
	const struct mem_logged *l;
	char use;

	l = &su->su_log.lg_op[i - 1];
	if (l->l_op == MEM_BARRIER)
		return (NCLASSES);
	if (l->l_op == MEM_RESIZE)
		return (DATA);
	use = end->r_use[l->l_off >> su->su_ed.k_bits];
	return (use == 'h' ? HEADER : use == '2' ? L2 : use == '1' ? L1 : DATA);
}

/* Nothing is zeroed: zeros that come later may look like what was lost. */
static void
sabotage(const struct qsetup *qs, uint64_t seed, struct tally *ta)
{
	struct mkqed_refs end;
	struct subject su;

	subject_qed(&su, qs);
	assert_int_equal(subject_open(&su, su.su_flags), 0);
	subject_work(&su, 40, seed);
	mkqed_refs(&su.su_mem[0], &end);
	assert_string_equal(end.r_why, "");
	cut_sabotage(&su, class_of, &end, after_names, ta);
	mkqed_refs_free(&end);
	subject_free(&su);
}

/* Where no table is made, each is needed. */
static void
the_test_notices_a_missing_barrier(void **state)
{
	static const struct qsetup qs[] = {
		{ "all kinds", 0, 12, 0, T, 64, 0 },
		{ "backing", 0, 12, 2, T | QS_BACKING, 64, 0 },
		{ "autoclear", 0, 12, 0, T | QS_BITMAPS, 64, 0 },
	};
	struct tally ta;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(qs); i++) {
		sabotage(&qs[i], 1, &ta);
		assert_true(ta.ta_dropped[DATA] > 3 && ta.ta_dropped[L2] > 2);
		assert_int_equal(ta.ta_dropped[HEADER],
		    (qs[i].qs_flags & QS_BITMAPS) != 0);
		assert_memory_equal(ta.ta_noticed, ta.ta_dropped,
		    sizeof(ta.ta_noticed));
	}
}

/*
 * The one between a new L2 table's entries and what leads to it is not seen:
 * the table was zeros, and durable, before either.
 */
static void
so_it_does_where_tables_are_made(void **state)
{
	static const struct qsetup qs[] = {
		{ "empty", 0, 12, 0, 0, 64, 0 },
		{ "stray", 0, 12, 0, QS_STRAY, 64, 0 },
		{ "garbage", 0, 12, 1, QS_GARBAGE, 64, 0 },
	};
	struct tally ta;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(qs); i++) {
		sabotage(&qs[i], 1, &ta);
		assert_true(ta.ta_noticed[DATA] > 3);
		assert_true(ta.ta_noticed[L2] > 2);
		assert_true(ta.ta_dropped[L1] > 0);
		assert_int_equal(ta.ta_noticed[L1], ta.ta_dropped[L1]);
	}
}

/* Of a fresh file two matter: that before the data, that before the header. */
static void
so_it_does_with_a_fresh_file(void **state)
{
	static const struct qsetup few = { "fresh, few slices", 0, 12, 0,
		QS_FRESH | QS_NOFLUSH, 2, 0 };
	static const struct qsetup many = { "fresh", 0, 12, 0,
		QS_FRESH | QS_NOFLUSH, 64, 0 };
	struct tally ta;

	(void)state;
	sabotage(&few, 1, &ta);
	assert_int_equal(ta.ta_dropped[HEADER], 2);
	assert_int_equal(ta.ta_noticed[HEADER], 2);
	sabotage(&many, 1, &ta);
	assert_int_equal(ta.ta_dropped[L1], 1);
	assert_int_equal(ta.ta_noticed[L1], 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_image),
		cmocka_unit_test(clusters_of_all_kinds),
		cmocka_unit_test(what_a_backing_image_has),
		cmocka_unit_test(larger_clusters),
		cmocka_unit_test(autoclear_bits_go_first),
		cmocka_unit_test(bytes_after_the_last_whole_cluster),
		cmocka_unit_test(a_file_whose_new_space_is_garbage),
		cmocka_unit_test(tables_that_hardly_fit_in_the_cache),
		cmocka_unit_test(a_fresh_file_has_no_header_until_the_end),
		cmocka_unit_test(the_test_notices_a_missing_barrier),
		cmocka_unit_test(so_it_does_where_tables_are_made),
		cmocka_unit_test(so_it_does_with_a_fresh_file),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
