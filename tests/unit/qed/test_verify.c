/* SPDX-License-Identifier: ISC */

/*
 * Stage VERIFY: each row with its entry and guest range, all owners of what
 * is shared, and who is to blame where a table and data are in one place.
 */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (8 * SPAN)
#define TOP (UINT64_C(1) << 63)

/*
 * The image: header in cluster 0, L1 table in 1 and 2, L2 tables A and B in
 * 3 to 6, A's data in 7 and 8, B's in 9 and 10.
 */
#define L1(i) (C + (i)*UINT64_C(8))
#define A(j) (3 * C + (j)*UINT64_C(8))
#define B(j) (5 * C + (j)*UINT64_C(8))
#define END (11 * C)

static struct fx fx;
static struct mkqed *k;

static void
make(uint64_t size)
{
	k = fx_init(&fx, size, 12, 2);
	mkqed_begin(k);
	mkqed_at(k, 0);
	mkqed_at(k, 1024);
	mkqed_data(k, 0);
	mkqed_data(k, 1);
	mkqed_data(k, 1024);
	mkqed_data(k, 1025);
	assert_int_equal(fx.fx_mem.m_len, END);
}

static void
put(uint64_t at, uint64_t entry)
{
	mkqed_put(&fx.fx_mem, at, entry, 8);
}

struct want {
	enum img_row w_row;
	uint64_t w_off;  /* of the entry */
	uint64_t w_voff; /* the guest range */
	uint64_t w_vlen;
};

static int
is_wanted(const struct want *w, const struct img_finding *fi)
{
	return (w->w_row == fi->fi_row && w->w_off == fi->fi_off &&
	    w->w_voff == fi->fi_voff && w->w_vlen == fi->fi_vlen &&
	    fi->fi_rel == IMG_WANT_ANY &&
	    fi->fi_found == mkqed_get(&fx.fx_mem, fi->fi_off, 8));
}

/* These findings, each once, in any order, and no other. */
static void
finds(const struct want *w, size_t n)
{
	const struct img_finding *fi;
	unsigned i, j, same;

	fx_use(&fx, IMG_VERIFY);
	fx_close(&fx);
	for (i = 0; i < fx.fx_sink.s_n; i++) {
		fi = &fx.fx_sink.s_found[i];
		for (j = same = 0; j < n; j++)
			same += is_wanted(&w[j], fi);
		for (j = 0; j < i; j++)
			if (fx.fx_sink.s_found[j].fi_off == fi->fi_off &&
			    fx.fx_sink.s_found[j].fi_row == fi->fi_row)
				same = 99;
		if (same != 1)
			fail_msg("QED-%u at %#lx, guest %#lx + %#lx",
			    img_row(fi->fi_row)->r_number,
			    (unsigned long)fi->fi_off,
			    (unsigned long)fi->fi_voff,
			    (unsigned long)fi->fi_vlen);
	}
	assert_int_equal(fx.fx_sink.s_n, n);
	assert_int_equal(fx_try(&fx, IMG_RDWR), n > 0 ? EROFS : 0);
	fx_done(&fx);
}

#define FINDS(w) finds(w, LENGTH_OF(w))

static void
a_sound_image_raises_nothing(void **state)
{
	(void)state;
	make(SIZE);
	finds(NULL, 0);
	make(SIZE); /* in any order, and with holes in between */
	put(A(0), 8 * C);
	put(A(1), 7 * C);
	put(B(0), 1);
	put(L1(0), 5 * C);
	put(L1(1), 3 * C);
	mkqed_take(k, 9);
	mkqed_data(k, 5000);
	finds(NULL, 0);
}

/* One L1 entry. */
static void
l1(uint64_t raw, uint64_t len, enum img_row row, uint64_t have)
{
	struct want w = { row, L1(2), 2 * SPAN + have * C, SPAN - have * C };

	make(SIZE);
	mem_set_len(&fx.fx_mem, len);
	put(L1(2), raw);
	finds(&w, 1);
}

static void
l1_entries_that_cannot_be(void **state)
{
	(void)state;
	l1(7 * C + 512, END, IMG_QED_L1_ALIGN, 0);
	l1(1, END, IMG_QED_L1_ONE, 0);
	l1(END, END, IMG_QED_L1_RANGE, 0);
	l1(TOP - 3 * C, END, IMG_QED_L1_RANGE, 0);
	l1(TOP, END, IMG_QED_L1_HIGH, 0);
	l1(UINT64_MAX, END, IMG_QED_L1_HIGH, 0);
	l1(C, END, IMG_QED_L1_SELF, 0);
	l1(2 * C, END, IMG_QED_L1_OVER, 0);
	/* What is there of a cut table counts. */
	l1(END, END + C, IMG_QED_L2_CUT_EVEN, 512);
	l1(END, END + C + 100, IMG_QED_L2_CUT, 524);
	l1(END, END + 7, IMG_QED_L2_CUT, 0);
}

/* One L2 entry, B's sixth. */
static void
l2(uint64_t raw, enum img_row row)
{
	struct want w = { row, B(5), SPAN + 5 * C, C };

	make(SIZE);
	put(B(5), raw);
	finds(&w, 1);
}

static void
l2_entries_that_cannot_be(void **state)
{
	(void)state;
	l2(C, IMG_QED_DATA_L1);
	l2(2 * C, IMG_QED_DATA_L1);
	l2(3 * C, IMG_QED_DATA_L2);
	l2(4 * C, IMG_QED_DATA_L2);
	l2(5 * C, IMG_QED_DATA_L2); /* its own table */
	l2(7 * C + 1, IMG_QED_DATA_ALIGN);
	l2(11 * C + 512, IMG_QED_DATA_ALIGN);
	l2(2, IMG_QED_DATA_SMALL);
	l2(4095, IMG_QED_DATA_SMALL);
	l2(END, IMG_QED_DATA_RANGE);
	l2(TOP, IMG_QED_DATA_HIGH);
	l2(TOP | 7 * C, IMG_QED_DATA_HIGH);
}

static void
nothing_leads_to_the_header(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L1_HEADER, 2 * C + 8, SPAN, SPAN },
		{ IMG_QED_DATA_HEADER, 4 * C + 24, 3 * C, C },
	};

	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	k->k_header = 2;
	mkqed_begin(k);
	assert_int_equal(mkqed_at(k, 3), 4 * C + 24);
	mkqed_set(k, 3, C);
	put(mkqed_l1(k, 1024), C);
	FINDS(w);
}

static void
a_cluster_cut_by_the_end_lacks_its_last_bytes(void **state)
{
	static const struct want one[] = {
		{ IMG_QED_DATA_CUT, B(1), SPAN + 2 * C - 100, 100 },
	};
	static const struct want two[] = {
		{ IMG_QED_DATA_CUT, B(1), SPAN + 2 * C - 1, 1 },
		{ IMG_QED_DATA_CUT, A(9), 10 * C - 1, 1 },
		{ IMG_QED_DATA_SHARED, B(1), SPAN + C, C },
		{ IMG_QED_DATA_SHARED, A(9), 9 * C, C },
	};

	(void)state;
	make(SIZE);
	mem_set_len(&fx.fx_mem, END - 100);
	FINDS(one);
	make(SIZE);
	mem_set_len(&fx.fx_mem, END - 1);
	put(A(9), 10 * C);
	FINDS(two);
}

static void
guest_ranges_end_with_the_disk(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L1_ONE, L1(2), 2 * SPAN, C + 512 },
		{ IMG_QED_L1_ONE, L1(3), 0, 0 },
		{ IMG_QED_L1_ONE, L1(1023), 0, 0 },
	};
	static const struct want v[] = {
		{ IMG_QED_DATA_SMALL, B(5), SPAN + 5 * C, 512 },
		{ IMG_QED_DATA_SMALL, B(6), 0, 0 },
		{ IMG_QED_DATA_SMALL, B(1023), 0, 0 },
	};

	(void)state;
	make(2 * SPAN + C + 512);
	put(L1(2), 1);
	put(L1(3), 1);
	put(L1(1023), 1);
	FINDS(w);
	make(SPAN + 5 * C + 512);
	put(B(5), 2);
	put(B(6), 2);
	put(B(1023), 2);
	FINDS(v);
}

/* Slices of zeros are passed over as a whole. */
static void
what_is_behind_an_empty_slice_is_seen(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L1_ONE, L1(512), 512 * SPAN, SPAN },
		{ IMG_QED_DATA_SMALL, 3 * C + 512 * 8, 515 * SPAN + 512 * C,
		    C },
	};

	(void)state;
	k = fx_init(&fx, 1024 * SPAN, 12, 2);
	mkqed_begin(k);
	put(L1(512), 1);
	put(L1(515), mkqed_take(k, 2));
	put(3 * C + 512 * 8, 2);
	FINDS(w);
}

static void
all_owners_of_a_table_are_named(void **state)
{
	static const struct want two[] = {
		{ IMG_QED_L2_TWICE, L1(0), 0, SPAN },
		{ IMG_QED_L2_TWICE, L1(2), 2 * SPAN, SPAN },
	};
	static const struct want four[] = {
		{ IMG_QED_L2_TWICE, L1(1), SPAN, SPAN },
		{ IMG_QED_L2_TWICE, L1(2), 2 * SPAN, SPAN },
		{ IMG_QED_L2_TWICE, L1(3), 3 * SPAN, SPAN },
		{ IMG_QED_L2_TWICE, L1(1023), 0, 0 },
	};

	(void)state;
	make(SIZE);
	put(L1(2), 3 * C);
	FINDS(two);
	make(SIZE);
	put(L1(2), 5 * C);
	put(L1(3), 5 * C);
	put(L1(1023), 5 * C);
	FINDS(four);
}

static void
tables_that_overlap_in_part_are_all_named(void **state)
{
	static const struct want three[] = {
		{ IMG_QED_L2_OVERLAP, L1(0), 0, SPAN },
		{ IMG_QED_L2_OVERLAP, L1(1), SPAN, SPAN },
		{ IMG_QED_L2_OVERLAP, L1(2), 2 * SPAN, SPAN },
	};
	static const struct want cut[] = {
		{ IMG_QED_L2_CUT_EVEN, L1(3), 3 * SPAN + 512 * C, 512 * C },
		{ IMG_QED_L2_OVERLAP, L1(3), 3 * SPAN, SPAN },
		{ IMG_QED_L2_OVERLAP, L1(2), 2 * SPAN, SPAN },
	};

	(void)state;
	make(SIZE);
	put(L1(2), 4 * C); /* A's second cluster, B's first */
	FINDS(three);
	make(SIZE);
	mkqed_take(k, 2);
	put(L1(2), END);
	put(L1(3), END + C);
	FINDS(cut);
}

/* Only the first of them is looked into. */
static void
what_overlaps_is_looked_into_once(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L2_TWICE, L1(1), SPAN, SPAN },
		{ IMG_QED_L2_TWICE, L1(2), 2 * SPAN, SPAN },
		{ IMG_QED_DATA_SMALL, B(7), SPAN + 7 * C, C },
	};

	(void)state;
	make(SIZE);
	put(L1(2), 5 * C);
	put(B(7), 2);
	FINDS(w);
}

static void
all_owners_of_a_cluster_are_named(void **state)
{
	static const struct want same[] = {
		{ IMG_QED_DATA_TWICE, A(0), 0, C },
		{ IMG_QED_DATA_TWICE, A(5), 5 * C, C },
		{ IMG_QED_DATA_TWICE, A(1023), 1023 * C, C },
	};
	static const struct want other[] = {
		{ IMG_QED_DATA_SHARED, A(0), 0, C },
		{ IMG_QED_DATA_SHARED, B(5), SPAN + 5 * C, C },
	};
	/* Which row it is, is a matter of the table at hand. */
	static const struct want both[] = {
		{ IMG_QED_DATA_TWICE, A(0), 0, C },
		{ IMG_QED_DATA_TWICE, A(5), 5 * C, C },
		{ IMG_QED_DATA_SHARED, A(1), C, C },
		{ IMG_QED_DATA_SHARED, B(0), SPAN, C },
		{ IMG_QED_DATA_TWICE, B(5), SPAN + 5 * C, C },
		{ IMG_QED_DATA_TWICE, B(6), SPAN + 6 * C, C },
	};

	(void)state;
	make(SIZE);
	put(A(5), 7 * C);
	put(A(1023), 7 * C);
	FINDS(same);
	make(SIZE);
	put(B(5), 7 * C);
	FINDS(other);
	make(SIZE);
	put(A(5), 7 * C);
	put(B(0), 7 * C);
	put(B(5), 8 * C);
	put(B(6), 8 * C);
	FINDS(both);
}

static void
data_are_no_table(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L2_DATA, L1(2), 2 * SPAN, SPAN },
	};

	(void)state;
	make(SIZE);
	put(L1(2), 7 * C); /* A's data, which are no entries */
	FINDS(w);
	make(SIZE);
	put(L1(2), 8 * C); /* one cluster of A and one of B */
	FINDS(w);
}

/* It says it leads to data of others; but it was not to be asked. */
static void
what_no_table_says_is_not_heard(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L2_DATA, L1(2), 2 * SPAN, SPAN },
	};

	(void)state;
	make(SIZE);
	put(L1(2), 7 * C);
	put(7 * C, 9 * C);
	put(7 * C + 8, 10 * C);
	put(7 * C + 16, 3 * C);
	FINDS(w);
}

static void
a_table_that_looks_like_one_is_one(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_DATA_L2, A(0), 0, C },
		{ IMG_QED_DATA_L2, A(1), C, C },
	};
	static const uint8_t zeros[2 * C];

	(void)state;
	make(SIZE);
	mem_put(&fx.fx_mem, 7 * C, zeros, sizeof(zeros));
	put(L1(2), 7 * C);
	FINDS(w);
	make(SIZE);
	mem_put(&fx.fx_mem, 7 * C, zeros, sizeof(zeros));
	mkqed_take(k, 1);
	put(7 * C + 8, 11 * C);
	put(8 * C, 1);
	put(L1(2), 7 * C);
	FINDS(w);
}

/* A bad entry alone does not make a table less of one: data must say so. */
static void
a_table_with_a_bad_entry_is_doubted_only_where_data_are(void **state)
{
	static const struct want entry[] = {
		{ IMG_QED_DATA_RANGE, A(9), 9 * C, C },
	};
	static const struct want table[] = {
		{ IMG_QED_L2_DATA, L1(0), 0, SPAN },
	};

	(void)state;
	make(SIZE);
	put(A(9), 99 * C);
	FINDS(entry);
	make(SIZE);
	put(A(9), 99 * C);
	put(B(9), 4 * C);
	FINDS(table);
}

/* What was no table may have led to one with a bad entry. */
static void
several_that_overlap_are_judged_together(void **state)
{
	static const struct want w[] = {
		{ IMG_QED_L2_DATA, L1(2), 2 * SPAN, SPAN },
		{ IMG_QED_DATA_L2, A(4), 4 * C, C },
		{ IMG_QED_DATA_TWICE, A(5), 5 * C, C },
		{ IMG_QED_DATA_TWICE, A(6), 6 * C, C },
	};

	(void)state;
	make(SIZE);
	mkqed_take(k, 1);
	put(L1(2), 9 * C); /* over B's data */
	put(A(4), 6 * C);
	put(A(5), 11 * C);
	put(A(6), 11 * C);
	FINDS(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_image_raises_nothing),
		cmocka_unit_test(l1_entries_that_cannot_be),
		cmocka_unit_test(l2_entries_that_cannot_be),
		cmocka_unit_test(nothing_leads_to_the_header),
		cmocka_unit_test(a_cluster_cut_by_the_end_lacks_its_last_bytes),
		cmocka_unit_test(guest_ranges_end_with_the_disk),
		cmocka_unit_test(what_is_behind_an_empty_slice_is_seen),
		cmocka_unit_test(all_owners_of_a_table_are_named),
		cmocka_unit_test(tables_that_overlap_in_part_are_all_named),
		cmocka_unit_test(what_overlaps_is_looked_into_once),
		cmocka_unit_test(all_owners_of_a_cluster_are_named),
		cmocka_unit_test(data_are_no_table),
		cmocka_unit_test(what_no_table_says_is_not_heard),
		cmocka_unit_test(a_table_that_looks_like_one_is_one),
		cmocka_unit_test(
		    a_table_with_a_bad_entry_is_doubted_only_where_data_are),
		cmocka_unit_test(several_that_overlap_are_judged_together),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
