/* SPDX-License-Identifier: ISC */

/*
 * Power cuts of qcow2 images.  After a cut at any moment, with any of the
 * writes since the last barrier lost or torn at a sector, the image opens
 * for writing, checks clean or with leaks only, by the library and by a judge
 * that shares nothing with it; it holds all that was flushed, its snapshots
 * are what they were, and where more was written each sector is old or new.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define T QS_TABLES

static void
an_empty_image(void **state)
{
	static const struct qsetup qs[] = {
		{ "empty", 3, 9, 4, 0, 64, 2 },
		{ "empty, version 2", 2, 12, 4, 0, 64, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
clusters_of_all_kinds(void **state)
{
	static const struct qsetup qs[] = {
		{ "all kinds", 3, 9, 4, T, 64, 4 },
		{ "all kinds, version 2", 2, 9, 4, T, 64, 4 },
		{ "all kinds, compressed", 3, 12, 4, T | QS_PACKED, 64, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
what_snapshots_have(void **state)
{
	static const struct qsetup qs[] = {
		{ "snapshots", 3, 9, 4, T | QS_SNAP, 64, 2 },
		{ "snapshots, compressed", 3, 9, 4, T | QS_SNAP | QS_PACKED, 64,
		    2 },
		{ "snapshots, backing", 2, 12, 4, T | QS_SNAP | QS_BACKING, 64,
		    2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
what_a_backing_image_has(void **state)
{
	static const struct qsetup qs[] = {
		{ "backing", 3, 12, 4, QS_BACKING, 64, 3 },
		{ "backing, all kinds", 3, 9, 4, T | QS_PACKED | QS_BACKING, 64,
		    3 },
		{ "backing, version 2", 2, 9, 4, T | QS_BACKING, 64, 5 },
		{ "backing, plain", 3, 12, 4, QS_BACKING | QS_PLAIN, 64, 5 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
subclusters(void **state)
{
	static const struct qsetup qs[] = {
		{ "subclusters", 3, 14, 4, T | QS_EXTENDED, 64, 4 },
		{ "subclusters, backing", 3, 14, 4,
		    T | QS_EXTENDED | QS_BACKING | QS_PACKED, 64, 4 },
		{ "subclusters, snapshots", 3, 14, 4, T | QS_EXTENDED | QS_SNAP,
		    64, 4 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
refcounts_of_any_width(void **state)
{
	static const struct qsetup qs[] = {
		{ "1 bit", 3, 9, 0, T, 64, 2 },
		{ "4 bits", 3, 9, 2, T | QS_SNAP, 64, 2 },
		{ "64 bits", 3, 9, 6, T | QS_SNAP | QS_PACKED, 64, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
a_refcount_table_that_grows(void **state)
{
	static const struct qsetup qs[] = {
		{ "table grows", 3, 9, 6, T | QS_FULL, 64, 2 },
		{ "table grows, few slices", 3, 9, 6, T | QS_FULL, 3, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
an_external_data_file(void **state)
{
	static const struct qsetup qs[] = {
		{ "data file", 3, 12, 4, T | QS_DATA, 64, 4 },
		{ "raw data file", 3, 12, 4, T | QS_DATA | QS_RAW, 64, 4 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
autoclear_bits_go_first(void **state)
{
	static const struct qsetup qs[] = {
		{ "autoclear", 3, 9, 4, T | QS_BITMAPS, 64, 4 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
tables_that_hardly_fit_in_the_cache(void **state)
{
	static const struct qsetup qs[] = {
		{ "empty", 3, 9, 4, 0, 1, 2 },
		{ "all kinds", 3, 9, 6, T | QS_SNAP | QS_PACKED, 2, 2 },
		{ "64 bits", 3, 9, 6, T | QS_BACKING, 3, 4 },
		{ "subclusters", 3, 14, 4, T | QS_EXTENDED | QS_SNAP, 2, 4 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

/* The list of what is to be given up has an end. */
static void
more_is_given_up_between_flushes_than_can_be_kept(void **state)
{
	static const struct qsetup qs = { "much given up", 3, 9, 4,
		T | QS_SNAP | QS_NOFLUSH, 64, 8 };

	(void)state;
	cut_everywhere(&qs, 1, 300, 7);
}

static void
a_device_full_of_garbage(void **state)
{
	static const struct qsetup qs[] = {
		{ "device", 3, 9, 4, QS_DEVICE, 64, 2 },
		{ "device, backing", 3, 9, 6, QS_DEVICE | QS_BACKING, 4, 2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

static void
a_fresh_file_has_no_header_until_the_end(void **state)
{
	static const struct qsetup qs[] = {
		{ "fresh", 3, 9, 4, QS_FRESH, 64, 2 },
		{ "fresh, few slices", 3, 9, 6, QS_FRESH | QS_BACKING, 3, 2 },
		{ "fresh, subclusters", 3, 14, 4, QS_FRESH | QS_EXTENDED, 2,
		    2 },
	};

	(void)state;
	cut_all(qs, LENGTH_OF(qs));
}

/* What a barrier in the log comes after. */
enum after { HEADER, DATA, COUNTS, POINTERS };

static const char *const after_names[NCLASSES] = { "header", "data", "counts",
	"pointers" };

/* Whether the i-th write of the log is the first to a new cluster. */
static int
is_new(const struct subject *su, size_t i, const struct mkrefs *base)
{
	const struct mem_logged *l = &su->su_log.lg_op[i], *b;
	uint64_t cl = l->l_off >> su->su_q.k_bits;
	size_t k;

	if (cl < base->r_ncl && base->r_n[cl] > 0)
		return (0);
	for (k = 0; k < i; k++) {
		b = &su->su_log.lg_op[k];
		if (b->l_op == MEM_WRITE && b->l_file == 0 &&
		    b->l_off >> su->su_q.k_bits == cl)
			return (0);
	}
	return (1);
}

struct refs {
	struct mkrefs base, end; /* before and after the workload */
};

/* NCLASSES: nothing was written to its file since its last barrier. */
static size_t
class_of(const struct subject *su, size_t i, const void *arg)
{
	const struct mkrefs *base = &((const struct refs *)arg)->base;
	const struct mkrefs *end = &((const struct refs *)arg)->end;
	const struct mem_logged *l = su->su_log.lg_op;
	unsigned file = l[i].l_file;
	uint64_t cl;

	do {
		if (i-- == 0)
			return (NCLASSES);
	} while (l[i].l_file != file);
	if (l[i].l_op == MEM_BARRIER)
		return (NCLASSES);
	cl = l[i].l_off >> su->su_q.k_bits;
	if (l[i].l_op != MEM_WRITE || file != 0)
		return (DATA);
	if (l[i].l_off == 0)
		return (HEADER);
	if (is_new(su, i, base))
		return (DATA);
	if (cl < end->r_ncl && strchr("bt", end->r_use[cl]) != NULL)
		return (COUNTS);
	if (cl < end->r_ncl && strchr("12", end->r_use[cl]) != NULL)
		return (POINTERS);
	return (DATA);
}

/* Nothing is zeroed: zeros that come later may look like what was lost. */
static void
sabotage(const struct qsetup *qs, struct tally *ta)
{
	struct refs r;
	struct subject su;

	subject_qcow2(&su, qs);
	assert_int_equal(subject_open(&su, su.su_flags), 0);
	subject_work(&su, 40, 1);
	mkqcow2_refs(&su.su_base[0], &r.base);
	mkqcow2_refs(&su.su_mem[0], &r.end);
	cut_sabotage(&su, class_of, &r, after_names, ta);
	mkqcow2_refs_free(&r.base);
	mkqcow2_refs_free(&r.end);
	subject_free(&su);
}

static void
the_test_notices_a_missing_barrier(void **state)
{
	static const struct qsetup qs = { "snapshots", 3, 9, 4, T | QS_SNAP, 64,
		0 };
	struct tally ta;

	(void)state;
	sabotage(&qs, &ta);
	assert_true(ta.ta_noticed[COUNTS] > 0);
	assert_int_equal(ta.ta_noticed[POINTERS], ta.ta_dropped[POINTERS]);
}

static void
so_it_does_where_the_refcount_table_grows(void **state)
{
	static const struct qsetup qs = { "table grows", 3, 9, 6, T | QS_FULL,
		64, 0 };
	struct tally ta;

	(void)state;
	sabotage(&qs, &ta);
	assert_true(ta.ta_noticed[DATA] > 0);
	assert_true(ta.ta_noticed[COUNTS] > 0);
	assert_true(ta.ta_noticed[POINTERS] > 0);
}

static void
so_it_does_where_autoclear_bits_are_set(void **state)
{
	static const struct qsetup qs = { "autoclear", 3, 9, 4, T | QS_BITMAPS,
		64, 0 };
	struct tally ta;

	(void)state;
	sabotage(&qs, &ta);
	assert_int_equal(ta.ta_dropped[HEADER], 1);
	assert_int_equal(ta.ta_noticed[HEADER], 1);
	assert_int_equal(ta.ta_noticed[POINTERS], ta.ta_dropped[POINTERS]);
}

static void
so_it_does_with_a_data_file_and_subclusters(void **state)
{
	static const struct qsetup data = { "data file", 3, 12, 4, T | QS_DATA,
		64, 0 };
	static const struct qsetup subs = { "subclusters", 3, 14, 4,
		T | QS_EXTENDED, 64, 0 };
	struct tally ta;

	(void)state;
	sabotage(&data, &ta);
	assert_true(ta.ta_noticed[DATA] > 0);
	assert_int_equal(ta.ta_noticed[POINTERS], ta.ta_dropped[POINTERS]);
	sabotage(&subs, &ta);
	assert_true(ta.ta_noticed[DATA] > 0);
	assert_int_equal(ta.ta_noticed[POINTERS], ta.ta_dropped[POINTERS]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_image),
		cmocka_unit_test(clusters_of_all_kinds),
		cmocka_unit_test(what_snapshots_have),
		cmocka_unit_test(what_a_backing_image_has),
		cmocka_unit_test(subclusters),
		cmocka_unit_test(refcounts_of_any_width),
		cmocka_unit_test(a_refcount_table_that_grows),
		cmocka_unit_test(an_external_data_file),
		cmocka_unit_test(autoclear_bits_go_first),
		cmocka_unit_test(tables_that_hardly_fit_in_the_cache),
		cmocka_unit_test(
		    more_is_given_up_between_flushes_than_can_be_kept),
		cmocka_unit_test(a_device_full_of_garbage),
		cmocka_unit_test(a_fresh_file_has_no_header_until_the_end),
		cmocka_unit_test(the_test_notices_a_missing_barrier),
		cmocka_unit_test(so_it_does_where_the_refcount_table_grows),
		cmocka_unit_test(so_it_does_where_autoclear_bits_are_set),
		cmocka_unit_test(so_it_does_with_a_data_file_and_subclusters),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
