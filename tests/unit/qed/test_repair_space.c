/* SPDX-License-Identifier: ISC */

/* Repair of QED: the header, its mark, and space that nothing leads to. */

#include "unit/qed/damage.h"

/* --- header ------------------------------------------------------------- */

/* One field at a time, of an image with 4 KiB, 2 clusters, header 1. */
static void
one_broken_field_is_found_out(void **state)
{
	static const struct {
		uint64_t f_off;
		unsigned f_len;
		uint64_t f_n;
		enum img_row f_row;
	} cases[] = {
		{ 0, 4, 0x01444551, IMG_QED_MAGIC },
		{ 4, 4, 0, IMG_QED_CLUSTER_SIZE },
		{ 4, 4, 1u << 27, IMG_QED_CLUSTER_SIZE },
		{ 4, 4, 4097, IMG_QED_CLUSTER_POWER },
		{ 4, 4, 8192, IMG_QED_L1_PLACE },
		{ 8, 4, 0, IMG_QED_TABLE_SIZE },
		{ 8, 4, 3, IMG_QED_TABLE_SIZE },
		{ 8, 4, 32, IMG_QED_TABLE_SIZE },
		{ 12, 4, 1u << 20, IMG_QED_HEADER_LIMIT },
		{ 12, 4, 2, IMG_QED_HEADER_L1 },
		{ 12, 4, 100, IMG_QED_HEADER_EOF },
		{ 40, 8, 4097, IMG_QED_L1_PLACE },
		{ 40, 8, UINT64_C(1) << 40, IMG_QED_L1_EOF },
		{ 40, 8, UINT64_C(1) << 63, IMG_QED_L1_WRAP },
		{ 40, 8, 0, IMG_QED_L1_ON_HEADER },
	};
	static struct told t;
	struct mem was = { 0 };
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cases); i++) {
		make(&fx);
		mem_copy(&was, &fx.fx_mem);
		field(&fx, cases[i].f_off, cases[i].f_n, cases[i].f_len);
		stays(&fx, IMG_FIX_SAFE, 0);
		assert_int_equal(mem_has(&fx.fx_sink, cases[i].f_row), 1);
		repair_once(&fx, IMG_FIX_LOSSY, &t);
		if (!mem_equal(&was, &fx.fx_mem))
			fail_msg("case %zu: not as it was", i);
		assert_int_equal(t.t_n, 1);
		assert_true(t.t_lost[0] && t.t_lost[NSECTORS - 1]);
		mem_free(&was);
		done(&fx);
	}
}

static void
a_header_is_not_guessed_from_little(void **state)
{
	struct fx fx;

	(void)state;
	/* Nothing is in it: all sizes do. */
	fx_init(&fx, DISK, 12, TABLE);
	mkqed_begin(&fx.fx_k);
	field(&fx, 8, 3, 4);
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
	/* A leak: another size could be the reason for it. */
	make(&fx);
	leak_inside(&fx);
	field(&fx, 8, 3, 4);
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
	/* The same, and an L1 table that would take in all that follows it. */
	fx_init(&fx, DISK, 12, TABLE);
	mkqed_begin(&fx.fx_k);
	mkqed_data(&fx.fx_k, 1);
	mkqed_take(&fx.fx_k, 1);
	field(&fx, 8, 16, 4);
	stays(&fx, IMG_FIX_LOSSY, 0);
	fx_only(&fx, IMG_QED_L1_EOF);
	done(&fx);
	/* The end of the file is not where the L1 table was. */
	fx_init(&fx, DISK, 12, TABLE);
	mkqed_begin(&fx.fx_k);
	mkqed_data(&fx.fx_k, 1);
	field(&fx, 40, mkqed_take(&fx.fx_k, 1), 8);
	stays(&fx, IMG_FIX_LOSSY, 0);
	fx_only(&fx, IMG_QED_L1_EOF);
	done(&fx);
	/* Two fields */
	make(&fx);
	field(&fx, 8, 3, 4);
	field(&fx, 40, 0, 8);
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
	/* Features that nobody knows are not taken away. */
	make(&fx);
	field(&fx, 16, 0x80, 8);
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
}

/*
 * Either the header has one cluster, and the L1 table is right behind it, or
 * two: all ten clusters are in use, once, both ways.
 */
static void
of_two_headers_none_is_chosen(void **state)
{
	static const struct {
		unsigned e_cl, e_to;
	} entries[] = {
		{ 1, 3 }, /* one: of the L1 table */
		{ 2, 5 }, /* both: of the L1 table */
		{ 3, 8 }, /* one: of a table, two: of the L1 table */
		{ 4, 9 }, /* one: of a table, two: data */
		{ 5, 7 }, /* both: of a table */
		{ 8, 4 }, /* one: data, two: of a table */
	};
	static struct told t;
	struct mem was = { 0 };
	struct fx fx;
	uint64_t leaks;
	size_t i;

	(void)state;
	fx_init(&fx, UINT64_C(4) << 30, 12, TABLE);
	mkqed_begin(&fx.fx_k);
	mkqed_take(&fx.fx_k, 7);
	for (i = 0; i < LENGTH_OF(entries); i++)
		field(&fx, entries[i].e_cl * CLUSTER, entries[i].e_to * CLUSTER,
		    8);
	assert_string_equal(mkqed_judge(&fx.fx_mem, &leaks), "");
	assert_int_equal(leaks, 0);
	mem_copy(&was, &fx.fx_mem);
	field(&fx, 12, 2, 4);
	stays(&fx, IMG_FIX_LOSSY, 0);
	fx_only(&fx, IMG_QED_HEADER_L1);
	field(&fx, 40, 2 * CLUSTER, 8);
	assert_string_equal(mkqed_judge(&fx.fx_mem, &leaks), "");
	assert_int_equal(leaks, 0);
	/* With data only one way, it is clear again. */
	field(&fx, 40, CLUSTER, 8);
	field(&fx, 8 * CLUSTER, 0, 8);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	field(&fx, 8 * CLUSTER, 4 * CLUSTER, 8);
	assert_true(mem_equal(&was, &fx.fx_mem));
	mem_free(&was);
	done(&fx);
}

/* What is missing of the L1 table has no entries for a disk of that size. */
static void
an_l1_table_is_made_whole_where_nothing_is_lost(void **state)
{
	static struct told t;
	struct fx fx;
	uint64_t end;

	(void)state;
	fx_init(&fx, DISK, 12, TABLE);
	mkqed_begin(&fx.fx_k);
	/* Three entries are needed. */
	end = fx.fx_k.k_l1 + 3 * 8 + 5;
	mkqed_put(&fx.fx_mem, fx.fx_k.k_l1 + 3 * 8, 0x12345678, 4);
	mem_set_len(&fx.fx_mem, end);
	stays(&fx, IMG_FIX_SAFE, 0);
	fx_only(&fx, IMG_QED_L1_EOF);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_n, 1);
	fx_sound(&fx, 0);
	check(&fx);
	assert_int_equal(fx.fx_sink.s_n, 0);
	mem_set_len(&fx.fx_mem, fx.fx_k.k_l1 + 3 * 8 - 1);
	stays(&fx, IMG_FIX_LOSSY, 0);
	done(&fx);
}

/* And nothing of it is left to be said. */
static void
a_name_that_is_none_goes(void **state)
{
	static struct told t;
	struct fx fx;

	(void)state;
	make(&fx);
	backing_empty(&fx);
	stays(&fx, IMG_FIX_SAFE, 0);
	fx_only(&fx, IMG_QED_BACKING_EMPTY);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	check(&fx);
	assert_int_equal(fx.fx_sink.s_n, 0);
	done(&fx);
}

/* --- marks and space ---------------------------------------------------- */

static void
the_mark_stays_while_anything_is_wrong(void **state)
{
	static struct told t;
	struct fx fx;

	(void)state;
	make(&fx);
	dirty(&fx);
	data_small(&fx);
	stays(&fx, IMG_FIX_SAFE, 0);
	repair_once(&fx, IMG_FIX_LOSSY, &t);
	assert_int_equal(t.t_row[IMG_QED_DIRTY], 1);
	assert_int_equal(mkqed_get(&fx.fx_mem, 16, 8), 0);
	/* With a backing file; a name that cannot be used is worse. */
	field(&fx, 16, 7, 8);
	field(&fx, 56, 64, 4);
	field(&fx, 60, 5, 4);
	stays(&fx, IMG_FIX_LOSSY, 0);
	mem_put(&fx.fx_mem, 64, "base\1", 5);
	stays(&fx, IMG_FIX_LOSSY, 0);
	mem_put(&fx.fx_mem, 64, "base2", 5);
	repair_once(&fx, IMG_FIX_SAFE, &t);
	assert_int_equal(t.t_row[IMG_QED_DIRTY_BACKING], 1);
	assert_int_equal(mkqed_get(&fx.fx_mem, 16, 8), 5);
	done(&fx);
}

static void
space_that_may_be_in_use_is_kept(void **state)
{
	static void (*const with[])(
	    struct fx *) = { table_lost, unknown_bits, leak_end };
	static struct told t;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(with); i++) {
		make(&fx);
		with[i](&fx);
		if (with[i] == unknown_bits) {
			entry(&fx, 3, 0);
			field(&fx, 16, 0, 8);
			field(&fx, 56, 0, 8);
			mem_set_len(&fx.fx_mem, 90112);
		} else if (with[i] == leak_end)
			field(&fx, 24, 1, 8);
		stays(&fx, IMG_FIX_SAFE, 0);
		assert_true(mem_has(&fx.fx_sink, IMG_QED_LEAK) +
			mem_has(&fx.fx_sink, IMG_QED_LEAK_END) >
		    0);
		repair_once(&fx, IMG_FIX_LOSSY, &t);
		assert_true(t.t_n > 0);
		fx_sound(&fx, 0);
		done(&fx);
	}
}

/* Every hole is closed, and the file is as short as can be. */
static void
holes_are_closed(void **state)
{
	static struct content was;
	static struct told t;
	uint64_t seed = 5, g, n, leaks;
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < 60; i++) {
		fx_init(&fx, DISK, 12, TABLE);
		mkqed_begin(&fx.fx_k);
		for (n = 0; n < 14; n++) {
			g = mem_random(&seed) % 3 * NENT +
			    mem_random(&seed) % 20;
			if (mkqed_find(&fx.fx_k, g) == 0 ||
			    mkqed_entry(&fx.fx_k, g) == 0)
				mkqed_data(&fx.fx_k, g);
			if (mem_random(&seed) % 3 == 0)
				mkqed_take(&fx.fx_k, 1);
			else if (mem_random(&seed) % 3 == 0)
				mkqed_set(&fx.fx_k, g, 0);
		}
		look(&fx, &was);
		repair_once(&fx, IMG_FIX_SAFE, &t);
		assert_string_equal(mkqed_judge(&fx.fx_mem, &leaks), "");
		if (leaks != 0)
			fail_msg("image %u: %lu clusters are left", i,
			    (unsigned long)leaks);
		assert_true(is_intact(&fx, NULL, &was));
		stays(&fx, IMG_FIX_SAFE, 0);
		done(&fx);
	}
}

/* The L1 table stays where it is, and what fits before it goes there. */
static void
what_is_before_the_l1_table_is_used(void **state)
{
	static struct content was;
	static struct told t;
	uint64_t leaks;
	struct fx fx;

	(void)state;
	fx_init(&fx, DISK, 12, TABLE)->k_l1 = 8 * CLUSTER;
	mkqed_begin(&fx.fx_k);
	mkqed_data(&fx.fx_k, 0);
	mkqed_data(&fx.fx_k, NENT);
	mkqed_data(&fx.fx_k, NENT + 1);
	look(&fx, &was);
	repair_once(&fx, IMG_FIX_SAFE, &t);
	/* Of seven, three are for data and four for tables: none is left. */
	assert_string_equal(mkqed_judge(&fx.fx_mem, &leaks), "");
	assert_int_equal(leaks, 0);
	assert_int_equal(fx.fx_mem.m_len, 10 * CLUSTER);
	assert_true(is_intact(&fx, NULL, &was));
	done(&fx);
	/* A table does not fit into one cluster. */
	fx_init(&fx, DISK, 12, TABLE)->k_l1 = 2 * CLUSTER;
	mkqed_begin(&fx.fx_k);
	mkqed_set(&fx.fx_k, 0, 1);
	stays(&fx, IMG_FIX_SAFE, 0);
	fx_only(&fx, IMG_QED_GAP);
	done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_broken_field_is_found_out),
		cmocka_unit_test(a_header_is_not_guessed_from_little),
		cmocka_unit_test(of_two_headers_none_is_chosen),
		cmocka_unit_test(
		    an_l1_table_is_made_whole_where_nothing_is_lost),
		cmocka_unit_test(a_name_that_is_none_goes),
		cmocka_unit_test(the_mark_stays_while_anything_is_wrong),
		cmocka_unit_test(space_that_may_be_in_use_is_kept),
		cmocka_unit_test(holes_are_closed),
		cmocka_unit_test(what_is_before_the_l1_table_is_used),
	};

	return (cmocka_run_group_tests_name("qed repair, header and space",
	    tests, NULL, NULL));
}
