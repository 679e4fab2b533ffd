/* SPDX-License-Identifier: ISC */

/*
 * What qemu's own code for the format gets wrong, by the numbers of our list.
 * What is the subject of a test elsewhere is named with it:
 *
 * Q2	test_header.c: the_largest_disks_are_the_known_ones,
 *	all_sizes_of_clusters_and_tables
 * Q5	test_repair.c: one_safe_repair_is_enough
 * Q9	test_entry.c: each_missing_byte_counts
 * Q13	cannot be shown here: things that are not there have no defect
 * Q14	test_check.c: entries_beyond_the_disk_are_counted
 * Q15	tests/unit/host/test_chain_rules.c has the loops of all formats
 */

#include "tool/tool.h"
#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)

static struct fx fx;
static struct mkqed *k;

static unsigned
check(uint32_t flags)
{
	struct img_checked ch;

	fx_use(&fx, IMG_VERIFY | flags);
	fx.fx_env.e_opening = 1;
	assert_int_equal(img_check(fx.fx_im, 0, 0, &ch), 0);
	fx.fx_env.e_opening = 0;
	fx_close(&fx);
	return (fx.fx_sink.s_n);
}

static void
q1_tables_of_one_cluster_are_legal(void **state)
{
	struct img_create cr;

	(void)state;
	k = fx_init(&fx, 64 * MIB, 12, 1);
	memset(&cr, 0, sizeof(cr));
	cr.cr_size = 64 * MIB;
	cr.cr_opts = "cluster_size=4k,table_size=1";
	assert_int_equal(img_create(&fx.fx_env.e_env, &fx.fx_mem.m_file,
			     &img_qed, &cr),
	    0);
	assert_int_equal(fx.fx_mem.m_len, 2 * C);
	fx_use(&fx, IMG_RDWR);
	fx_only(&fx, IMG_QED_TABLE_ONE);
	fx_writes(&fx, 2 * MIB - 4 * C, 8 * C); /* in two tables */
	fx_close(&fx);
	assert_int_equal(fx.fx_mem.m_len, (2 + 4 + 1 + 4 + 1) * C);
	fx_sound(&fx, 0);
	assert_int_equal(check(0), 1);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 2 * MIB - 4 * C, 8 * C, 3);
	fx_close(&fx);
	fx_done(&fx);
}

/* A leak for every 4095 clusters. */
static void
q3_files_of_many_clusters_have_no_leaks_of_their_own(void **state)
{
	uint64_t g, off;

	(void)state;
	k = fx_init(&fx, 64 * MIB, 12, 4);
	mkqed_begin(k);
	for (g = 0; g < 8300; g++)
		mkqed_at(k, g);
	off = mkqed_take(k, 8300);
	for (g = 0; g < 8300; g++)
		mkqed_set(k, g, off + g * C);
	assert_int_equal(check(0), 0);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

/* One write of 16 MiB linked one cluster too many, and hid what is behind. */
static void
q4_one_large_write_takes_what_it_needs(void **state)
{
	static const unsigned tables[] = { 8, 16 };
	static uint8_t buf[16 * MIB];
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(tables); i++) {
		k = fx_init(&fx, 64 * MIB, 12, tables[i]);
		fx_backing(&fx, 17 * MIB);
		mkqed_begin(k);
		fx_use(&fx, IMG_RDWR);
		mem_pattern(buf, sizeof(buf), 0, 3);
		assert_int_equal(img_write(fx.fx_im, buf, sizeof(buf), 0), 0);
		fx_close(&fx);
		assert_int_equal(fx.fx_mem.m_len,
		    (1 + tables[i] + 4096 + tables[i]) * C);
		assert_int_equal(mkqed_entry(k, 4095),
		    (1 + tables[i] + 4095) * C);
		assert_int_equal(mkqed_entry(k, 4096), 0);
		fx_sound(&fx, 0);
		fx_use(&fx, IMG_VERIFY);
		mem_reads(fx.fx_im, 16 * MIB - C, C, 3);
		mem_reads(fx.fx_im, 16 * MIB, MIB, 7);
		fx_close(&fx);
		fx_done(&fx);
	}
}

/* Opening repaired in silence, lost data, and cleared the mark. */
static void
q6_opening_repairs_nothing_and_clears_no_mark(void **state)
{
	struct mem was = { 0 };

	(void)state;
	k = fx_init(&fx, 64 * MIB, 12, 2);
	k->k_features = 2;
	mkqed_begin(k);
	mkqed_data(k, 1);
	mkqed_data(k, 2);
	mkqed_set(k, 3, 99 * C);
	mkqed_set(k, 4, mkqed_entry(k, 2));
	mem_copy(&was, &fx.fx_mem);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	assert_true(mem_has(&fx.fx_sink, IMG_QED_DIRTY));
	assert_true(mem_has(&fx.fx_sink, IMG_QED_DATA_RANGE));
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_DATA_TWICE), 2);
	assert_true(check(0) > 0);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, C, C, 1);
	fx_close(&fx);
	assert_true(mem_equal(&was, &fx.fx_mem));
	mem_free(&was);
	fx_done(&fx);
}

static int
find_dirty(void *arg, const struct img_item *it)
{
	if (it->it_key != NULL && strcmp(it->it_key, "dirty-flag") == 0)
		*(int *)arg = (int)it->it_num;
	return (0);
}

static void
q7_what_is_marked_is_said_to_be(void **state)
{
	uint64_t features;
	int dirty;

	(void)state;
	for (features = 0; features <= 2; features += 2) {
		k = fx_init(&fx, 64 * MIB, 12, 2);
		k->k_features = features;
		mkqed_begin(k);
		fx_use(&fx, 0);
		dirty = -1;
		assert_int_equal(img_info(fx.fx_im, find_dirty, &dirty), 0);
		assert_int_equal(dirty, features != 0);
		fx_close(&fx);
		fx_done(&fx);
	}
}

static void
q8_a_header_of_no_clusters_is_wrong_and_no_leak(void **state)
{
	(void)state;
	k = fx_init(&fx, 64 * MIB, 12, 2);
	mkqed_begin(k);
	mkqed_data(k, 1);
	mkqed_put(&fx.fx_mem, 12, 0, 4);
	check(0);
	fx_only(&fx, IMG_QED_HEADER_ZERO);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, C, C, 1);
	fx_close(&fx);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
}

/*
 * The mark was set without a barrier to what it protects.  Here it is never
 * set: what needs it does not happen (test_write.c:
 * data_then_l2_then_l1_with_barriers_between).
 */
static void
q10_the_header_is_left_alone(void **state)
{
	size_t i;

	(void)state;
	k = fx_init(&fx, 64 * MIB, 12, 2);
	mkqed_begin(k);
	fx_use(&fx, IMG_RDWR);
	fx.fx_mem.m_log = &fx.fx_log;
	fx_writes(&fx, 0, MIB);
	assert_int_equal(img_zero(fx.fx_im, 9 * C, 7 * C), 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	fx_writes(&fx, 8 * MIB, C);
	fx_close(&fx);
	for (i = 0; i < fx.fx_log.lg_n; i++)
		if (fx.fx_log.lg_op[i].l_op == MEM_WRITE)
			assert_true(fx.fx_log.lg_op[i].l_off >= C);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
q11_nothing_is_written_over_tables(void **state)
{
	static const uint64_t targets[] = { 0, C, 2 * C, 4 * C, 5 * C, 3 * C };
	struct mem was = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(targets); i++) {
		k = fx_init(&fx, 64 * MIB, 12, 2);
		mkqed_begin(k);
		assert_int_equal(mkqed_data(k, 0), 3 * C);
		/* 0 stands for a table that is told to be the L1 table. */
		if (targets[i] == 0)
			mkqed_put(&fx.fx_mem, mkqed_l1(k, 1024), C, 8);
		else
			mkqed_set(k, 7, targets[i]);
		mem_copy(&was, &fx.fx_mem);
		assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
		assert_true(mem_equal(&was, &fx.fx_mem));
		mem_free(&was);
		fx_done(&fx);
	}
}

/* That commands leave none either is shown in tests/cli. */
static void
q12_what_cannot_be_made_leaves_nothing(void **state)
{
	static const struct {
		const char *opts;
		uint64_t size;
	} cases[] = {
		{ "cluster_size=4k,table_size=1", 1024 * MIB + 512 },
		{ NULL, (UINT64_C(1) << 46) + 512 },
		{ "cluster_size=2k", MIB },
		{ "table_size=3", MIB },
		{ "backing_file=x", MIB },
		{ "nonsense=1", MIB },
	};
	struct img_create cr;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cases); i++) {
		fx_init(&fx, 0, 12, 2);
		fx.fx_mem.m_log = &fx.fx_log;
		memset(&cr, 0, sizeof(cr));
		cr.cr_opts = cases[i].opts;
		cr.cr_size = cases[i].size;
		assert_int_not_equal(img_create(&fx.fx_env.e_env,
					 &fx.fx_mem.m_file, &img_qed, &cr),
		    0);
		assert_int_equal(fx.fx_log.lg_n, 0);
		assert_int_equal(fx.fx_mem.m_len, 0);
		fx_done(&fx);
	}
}

static void
q16_a_new_l1_table_is_a_hole(void **state)
{
	struct img_create cr;

	(void)state;
	fx_init(&fx, 0, 12, 2);
	memset(&cr, 0, sizeof(cr));
	cr.cr_size = MIB;
	cr.cr_opts = "cluster_size=64M,table_size=16";
	assert_int_equal(img_create(&fx.fx_env.e_env, &fx.fx_mem.m_file,
			     &img_qed, &cr),
	    0);
	assert_int_equal(fx.fx_mem.m_len, 17 * 64 * MIB);
	assert_true(fx.fx_mem.m_wbytes <= C);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(q1_tables_of_one_cluster_are_legal),
		cmocka_unit_test(
		    q3_files_of_many_clusters_have_no_leaks_of_their_own),
		cmocka_unit_test(q4_one_large_write_takes_what_it_needs),
		cmocka_unit_test(q6_opening_repairs_nothing_and_clears_no_mark),
		cmocka_unit_test(q7_what_is_marked_is_said_to_be),
		cmocka_unit_test(
		    q8_a_header_of_no_clusters_is_wrong_and_no_leak),
		cmocka_unit_test(q10_the_header_is_left_alone),
		cmocka_unit_test(q11_nothing_is_written_over_tables),
		cmocka_unit_test(q12_what_cannot_be_made_leaves_nothing),
		cmocka_unit_test(q16_a_new_l1_table_is_a_hole),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
