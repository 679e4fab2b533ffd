/* SPDX-License-Identifier: ISC */

/* Repair of QED: what it decides how about entries, and what it leaves. */

#include "unit/qed/damage.h"

/* The table of an entry with low bits set has to look like one. */
static void
low_bits_go_only_where_that_leads_to_a_table(void **state)
{
	static struct told t;
	uint64_t l2;
	struct fx fx;

	(void)state;
	make(&fx);
	l2 = l2_of(&fx, 1);
	l1_low_bits(&fx);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(l2_of(&fx, 1), l2);
	done(&fx);
	/* One of its clusters is in use already; */
	make(&fx);
	entry(&fx, NENT + 1, host(&fx, 2));
	l1_low_bits(&fx);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(l2_of(&fx, 1), 0);
	done(&fx);
	/* or it leads to one twice; */
	make(&fx);
	entry(&fx, NENT + 1, host(&fx, NENT));
	l1_low_bits(&fx);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(l2_of(&fx, 1), 0);
	done(&fx);
	/* or it is empty; */
	make(&fx);
	l1_entry(&fx, 1, mkqed_take(&fx.fx_k, TABLE) + 8);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(l2_of(&fx, 1), 0);
	done(&fx);
	/* or that of another entry. */
	make(&fx);
	l1_entry(&fx, 1, l2_of(&fx, 2) + 8);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(l2_of(&fx, 1), 0);
	done(&fx);
}

static void
of_a_table_that_is_cut_the_rest_is_kept(void **state)
{
	static struct content was;
	static struct told t;
	uint64_t l2, g;
	struct fx fx;

	(void)state;
	make(&fx);
	/* The last table is that of the first part of the disk. */
	l2 = l2_of(&fx, 2);
	for (g = 0; g < 5; g++)
		mkqed_put(&fx.fx_mem, l2 + g * 8, host(&fx, g), 8);
	mkqed_put(&fx.fx_mem, l2 + 200 * 8, UINT64_C(0x1230123000), 8);
	l1_entry(&fx, 0, l2);
	l1_entry(&fx, 2, 0);
	mem_set_len(&fx.fx_mem, l2 + 200 * 8 + 4);
	look(&fx, &was);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_row[IMG_QED_L2_CUT], 1);
	assert_true(is_intact(&fx, NULL, &was));
	assert_int_equal(fx.fx_mem.m_len, l2 + TABLE * CLUSTER);
	/* Half an entry is none. */
	assert_int_equal(mkqed_get(&fx.fx_mem, l2 + 200 * 8, 8), 0);
	/* From entry 200 on it was told: 8 sectors each. */
	assert_int_equal(t.t_lost[200 * 8 - 1], 0);
	assert_int_equal(t.t_lost[200 * 8], 1);
	assert_int_equal(t.t_lost[NENT * 8 - 1], 1);
	assert_int_equal(t.t_lost[NENT * 8], 0);
	check(&fx);
	assert_int_equal(corruptions(&fx), 0);
	done(&fx);
}

/* Of tables that overlap, one goes only where it cannot be a table. */
static void
unclear_overlaps_stay(void **state)
{
	struct fx fx;
	uint64_t n;

	(void)state;
	/* Both can be: the second cluster is empty, and what follows zeros. */
	make(&fx);
	for (n = 0; n < CLUSTER; n += 8)
		mkqed_put(&fx.fx_mem, host(&fx, NENT + 1) + n, 0, 8);
	table_shifted(&fx);
	stays(&fx, IMG_FIX_LOSSY, 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_L2_OVERLAP), 2);
	done(&fx);
	/* Neither can: */
	make(&fx);
	entry(&fx, NENT + 1, 77);
	entry(&fx, 1, 5);
	table_shifted(&fx);
	stays(&fx, IMG_FIX_LOSSY, 0);
	assert_true(mem_has(&fx.fx_sink, IMG_QED_DATA_SMALL) > 0);
	done(&fx);
}

/*
 * Two entries share a sound table, a third begins inside it and goes on with
 * noise: that one goes, and the second of the others gets a copy.
 */
static void
what_overlaps_a_shared_table_goes(void **state)
{
	static struct told t;
	struct fx fx;

	(void)state;
	make(&fx);
	l1_entry(&fx, 0, l2_of(&fx, 1));
	table_shifted(&fx);
	check(&fx);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_L2_OVERLAP), 1);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_L2_TWICE), 2);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_n, 2);
	assert_int_equal(l2_of(&fx, 2), 0);
	check(&fx);
	assert_int_equal(corruptions(&fx), 0);
	done(&fx);
}

/* Two tables that look sound, and a third that does not, over both. */
static void
one_of_two_that_may_be_tables_is_not_chosen(void **state)
{
	static struct told t;
	uint64_t n, end;
	struct fx fx;

	(void)state;
	make(&fx);
	/* Three clusters: nothing in the first two, noise in the third. */
	fx.fx_k.k_next = end = fx.fx_mem.m_len;
	mkqed_take(&fx.fx_k, 3);
	mkqed_put(&fx.fx_mem, end + 2 * CLUSTER, 7, 8);
	l1_entry(&fx, 0, end);
	l1_entry(&fx, 1, end + CLUSTER);
	l1_entry(&fx, 2, 0);
	/* Of two, the sound one stays ... */
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_row[IMG_QED_L2_OVERLAP], 1);
	assert_int_equal(l2_of(&fx, 0), end);
	assert_int_equal(l2_of(&fx, 1), 0);
	/* ... unless another sound one is in its way. */
	l1_entry(&fx, 1, end + CLUSTER);
	l1_entry(&fx, 2, end - CLUSTER);
	entry(&fx, 2 * NENT + 1, 0);
	for (n = 0; n < CLUSTER; n += 8)
		mkqed_put(&fx.fx_mem, end - CLUSTER + n, 0, 8);
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
}

/*
 * A sound one, one over its end, and a third over the end of that: without the
 * second, all that is wrong in the third would count.
 */
static void
nothing_comes_to_light_that_is_worse(void **state)
{
	static struct told t;
	uint64_t l2, n;
	struct fx fx;

	(void)state;
	make(&fx);
	l2 = l2_of(&fx, 1);
	entry(&fx, NENT + 1, 0);
	entry(&fx, NENT + 2, 0);
	for (n = 0; n < 2 * CLUSTER; n += 8)
		mkqed_put(&fx.fx_mem, l2 + TABLE * CLUSTER + n, n < 40 ? 7 : 0,
		    8);
	l1_entry(&fx, 0, l2);
	l1_entry(&fx, 1, l2 + CLUSTER);
	l1_entry(&fx, 2, l2 + 2 * CLUSTER);
	stays(&fx, IMG_FIX_LOSSY, 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_L2_OVERLAP), 3);
	/* What has nothing to do with it is mended all the same. */
	l1_entry(&fx, 3, 1);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_n, 1);
	assert_int_equal(l2_of(&fx, 3), 0);
	assert_int_equal(l2_of(&fx, 1), l2 + CLUSTER);
	done(&fx);
}

/* The first table is looked into, though it is the second that is one. */
static void
nothing_is_cleared_in_what_is_no_table(void **state)
{
	static struct told t;
	uint64_t data, n;
	struct fx fx;

	(void)state;
	make(&fx);
	/* One cluster before the table: two numbers there are no entries. */
	data = host(&fx, NENT);
	entry(&fx, NENT, 0);
	for (n = 0; n < CLUSTER; n += 8)
		mkqed_put(&fx.fx_mem, data + n, n < 16 ? 7 : 0, 8);
	l1_entry(&fx, 0, data);
	check(&fx);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_L2_OVERLAP), 2);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_DATA_SMALL), 2);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_n, 1);
	assert_int_equal(t.t_row[IMG_QED_L2_OVERLAP], 1);
	assert_int_equal(l2_of(&fx, 0), 0);
	assert_int_equal(mkqed_get(&fx.fx_mem, data, 8), 7);
	check(&fx);
	assert_int_equal(corruptions(&fx), 0);
	done(&fx);
}

/* A row for entries of data leaves them alone where that is a table too. */
static void
guest_data_are_not_taken_for_entries(void **state)
{
	static struct content was;
	static struct told t;
	uint64_t n, data;
	struct fx fx;

	(void)state;
	make(&fx);
	data = host(&fx, 2);
	/* As entries: two numbers that are none. */
	for (n = 0; n < CLUSTER; n += 8)
		mkqed_put(&fx.fx_mem, data + n, n < 16 ? 7 : 0, 8);
	for (n = 0; n < CLUSTER; n += 8)
		mkqed_put(&fx.fx_mem, host(&fx, 3) + n, 0, 8);
	table_is_data(&fx);
	data_small(&fx);
	look(&fx, &was);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_row[IMG_QED_L2_DATA], 1);
	assert_int_equal(t.t_row[IMG_QED_DATA_SMALL], 2);
	assert_int_equal(mkqed_get(&fx.fx_mem, data, 8), 7);
	assert_true(is_intact(&fx, &t, &was));
	done(&fx);
}

/* An entry leads to just behind the end: nothing may come to be there. */
static void
copies_do_not_come_where_an_entry_leads(void **state)
{
	static struct told t;
	uint64_t end;
	struct fx fx;

	(void)state;
	make(&fx);
	twin_data(&fx);
	end = fx.fx_mem.m_len;
	entry(&fx, NENT + 1, end);
	stays(&fx, IMG_FIX_SAFE, 0);
	/* One more is far enough, */
	entry(&fx, NENT + 1, end + CLUSTER);
	repair_once(&fx, IMG_FIX_SAFE, &t);
	assert_int_equal(t.t_n, 1);
	assert_int_equal(host(&fx, 3), end);
	done(&fx);
	/* for one copy, */
	make(&fx);
	twin_data(&fx);
	entry(&fx, 4, host(&fx, 2));
	entry(&fx, NENT + 1, end + CLUSTER);
	repair_once(&fx, IMG_FIX_SAFE, &t);
	assert_int_equal(t.t_n, 1);
	assert_int_equal(host(&fx, 3), end);
	assert_int_equal(host(&fx, 4), host(&fx, 2));
	done(&fx);
	/* and a bolder repair clears the entry first. */
	make(&fx);
	twin_data(&fx);
	entry(&fx, NENT + 1, end);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_n, 2);
	assert_int_equal(host(&fx, 3), end);
	assert_int_equal(host(&fx, NENT + 1), 0);
	done(&fx);
	/* What the end cuts would become whole. */
	make(&fx);
	twin_data(&fx);
	data_cut(&fx);
	stays(&fx, IMG_FIX_SAFE, 0);
	done(&fx);
}

/* What two L1 entries share may be changed only when both ranges are told. */
static void
a_shared_table_changes_for_both(void **state)
{
	static struct content was;
	static struct told t;
	struct fx fx;

	(void)state;
	make(&fx);
	entry(&fx, NENT + 1, 5);
	l1_entry(&fx, 0, l2_of(&fx, 1));
	look(&fx, &was);
	stays(&fx, IMG_FIX_SAFE, 0);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_n, 2);
	assert_int_equal(t.t_lost[8], 1);
	assert_int_equal(t.t_lost[(NENT + 1) * 8], 1);
	assert_true(is_intact(&fx, &t, &was));
	check(&fx);
	assert_int_equal(corruptions(&fx), 0);
	done(&fx);
	/* There is no room for a copy: so the entry has to wait. */
	make(&fx);
	entry(&fx, NENT + 1, 5);
	l1_entry(&fx, 0, l2_of(&fx, 1));
	fx.fx_mem.m_file.f_flags = IMG_FILE_FIXED;
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
}

/* With some of the findings, only what needs no others is done. */
static void
some_findings_are_not_all(void **state)
{
	static void (*const with[])(struct fx *) = { twin_data, twin_tables,
		leak_inside, leak_end, leak_tail, dirty, data_cut };
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(with); i++) {
		make(&fx);
		with[i](&fx);
		stays(&fx, IMG_FIX_LOSSY, IMG_SOME);
		done(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(low_bits_go_only_where_that_leads_to_a_table),
		cmocka_unit_test(of_a_table_that_is_cut_the_rest_is_kept),
		cmocka_unit_test(unclear_overlaps_stay),
		cmocka_unit_test(what_overlaps_a_shared_table_goes),
		cmocka_unit_test(one_of_two_that_may_be_tables_is_not_chosen),
		cmocka_unit_test(nothing_comes_to_light_that_is_worse),
		cmocka_unit_test(nothing_is_cleared_in_what_is_no_table),
		cmocka_unit_test(guest_data_are_not_taken_for_entries),
		cmocka_unit_test(copies_do_not_come_where_an_entry_leads),
		cmocka_unit_test(a_shared_table_changes_for_both),
		cmocka_unit_test(some_findings_are_not_all),
	};

	return (cmocka_run_group_tests_name("qed repair, entries", tests, NULL,
	    NULL));
}
