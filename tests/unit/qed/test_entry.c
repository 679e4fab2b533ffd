/* SPDX-License-Identifier: ISC */

/* What an entry means, and which row forbids its use. */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define TOP (UINT64_C(1) << 63)

static struct fx fx;

/*
 * Header in clusters 0 and 1, L1 table in 3 and 4, tables of two clusters;
 * the file has len bytes.
 */
static void
make(uint64_t len)
{
	struct mkqed *k = fx_init(&fx, 1024 * C, 12, 2);

	k->k_header = 2;
	k->k_l1 = 3 * C;
	mkqed_begin(k);
	mem_set_len(&fx.fx_mem, len);
	fx_use(&fx, 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
}

static void
done(void)
{
	fx_close(&fx);
	fx_done(&fx);
}

struct sample {
	uint64_t s_raw;
	enum qed_type s_type;
	enum img_row s_row;
	uint64_t s_off;
};

#define GOOD(raw)                                  \
	{                                          \
		raw, QED_T_DATA, IMG_ROW_NONE, raw \
	}
#define BAD(raw, row)                             \
	{                                         \
		raw, QED_T_DATA, IMG_QED_##row, 0 \
	}
#define CUT(raw, row)                               \
	{                                           \
		raw, QED_T_DATA, IMG_QED_##row, raw \
	}

static const struct sample l1[] = {
	{ 0, QED_T_EMPTY, IMG_ROW_NONE, 0 },
	BAD(1, L1_ONE),
	BAD(2, L1_ALIGN),
	BAD(4095, L1_ALIGN),
	BAD(5 * C + 1, L1_ALIGN),
	BAD(5 * C + 2048, L1_ALIGN),
	BAD(99 * C + 8, L1_ALIGN),
	BAD(C, L1_HEADER),
	BAD(2 * C, L1_OVER), /* ends in it */
	BAD(3 * C, L1_SELF),
	BAD(4 * C, L1_OVER), /* starts in it */
	GOOD(5 * C),
	GOOD(8 * C),
	CUT(9 * C, L2_CUT),
	CUT(10 * C, L2_CUT), /* in what is left of a cluster */
	BAD(11 * C, L1_RANGE),
	BAD(TOP - 3 * C, L1_RANGE),
	BAD(TOP - 2 * C, L1_HIGH),
	BAD(TOP - C, L1_HIGH),
	BAD(TOP, L1_HIGH),
	BAD(TOP + 5 * C, L1_HIGH),
	BAD(UINT64_MAX - C + 1, L1_HIGH),
	BAD(UINT64_MAX, L1_HIGH),
};

static const struct sample l2[] = {
	{ 0, QED_T_EMPTY, IMG_ROW_NONE, 0 },
	{ 1, QED_T_ZERO, IMG_ROW_NONE, 0 },
	BAD(2, DATA_SMALL),
	BAD(2048, DATA_SMALL),
	BAD(4095, DATA_SMALL),
	BAD(4096, DATA_HEADER),
	BAD(4097, DATA_ALIGN),
	BAD(5 * C + 1, DATA_ALIGN),
	BAD(5 * C + 512, DATA_ALIGN),
	BAD(99 * C + 2048, DATA_ALIGN),
	GOOD(2 * C),
	BAD(3 * C, DATA_L1),
	BAD(4 * C, DATA_L1),
	GOOD(5 * C),
	GOOD(9 * C),
	CUT(10 * C, DATA_CUT),
	BAD(11 * C, DATA_RANGE),
	BAD(TOP - 2 * C, DATA_RANGE),
	BAD(TOP - C, DATA_HIGH),
	BAD(TOP | 5 * C, DATA_HIGH),
	BAD(UINT64_MAX, DATA_HIGH),
};

static void
judge(const struct sample *s, size_t n, int level)
{
	struct qed_entry e;
	size_t i;

	for (i = 0; i < n; i++) {
		if (level == 1)
			qed_judge_l1(fx.fx_im, s[i].s_raw, &e);
		else
			qed_judge_l2(fx.fx_im, s[i].s_raw, &e);
		if (e.n_type != s[i].s_type || e.n_row != s[i].s_row ||
		    e.n_off != s[i].s_off || e.n_raw != s[i].s_raw)
			fail_msg("L%d %#lx: type %d, QED-%u, %#lx", level,
			    (unsigned long)s[i].s_raw, e.n_type,
			    img_row(e.n_row)->r_number, (unsigned long)e.n_off);
		assert_int_equal(qed_is_cut(e.n_row),
		    e.n_row != IMG_ROW_NONE && e.n_off != 0);
	}
}

static void
entries_lead_to_whole_clusters_of_the_file(void **state)
{
	(void)state;
	make(10 * C + 100);
	judge(l1, LENGTH_OF(l1), 1);
	judge(l2, LENGTH_OF(l2), 2);
	done();
}

static void
a_file_of_whole_clusters_cuts_tables_only(void **state)
{
	static const struct sample even1[] = { GOOD(8 * C),
		CUT(9 * C, L2_CUT_EVEN), BAD(10 * C, L1_RANGE) };
	static const struct sample even2[] = { GOOD(9 * C),
		BAD(10 * C, DATA_RANGE) };

	(void)state;
	make(10 * C);
	judge(even1, LENGTH_OF(even1), 1);
	judge(even2, LENGTH_OF(even2), 2);
	done();
}

/* Qemu rounds lengths up to 512: one byte less is one byte less here. */
static void
each_missing_byte_counts(void **state)
{
	static const struct sample short1[] = { CUT(8 * C, L2_CUT) };
	static const struct sample short2[] = { CUT(9 * C, DATA_CUT) };

	(void)state;
	make(10 * C - 1);
	judge(short1, LENGTH_OF(short1), 1);
	judge(short2, LENGTH_OF(short2), 2);
	done();
}

static void
over_the_l1_table_weighs_more_than_cut(void **state)
{
	static const struct sample both[] = { BAD(4 * C, L1_OVER) };

	(void)state;
	make(5 * C);
	judge(both, LENGTH_OF(both), 1);
	done();
}

/* The low 12 bits are reserved, but a large cluster has more of them. */
static void
larger_clusters_have_more_low_bits(void **state)
{
	static const struct sample large[] = { BAD(4095, DATA_SMALL),
		BAD(4096, DATA_ALIGN), BAD(0x54000, DATA_ALIGN),
		BAD(0x58000, DATA_ALIGN), BAD(0x10000, DATA_L1),
		BAD(0x40000, DATA_L1), GOOD(0x50000),
		BAD(0x60000, DATA_RANGE) };

	(void)state;
	mkqed_begin(fx_init(&fx, 1024 * C, 16, 4));
	mem_set_len(&fx.fx_mem, 0x60000);
	fx_use(&fx, 0);
	judge(large, LENGTH_OF(large), 2);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_lead_to_whole_clusters_of_the_file),
		cmocka_unit_test(a_file_of_whole_clusters_cuts_tables_only),
		cmocka_unit_test(each_missing_byte_counts),
		cmocka_unit_test(over_the_l1_table_weighs_more_than_cut),
		cmocka_unit_test(larger_clusters_have_more_low_bits),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
