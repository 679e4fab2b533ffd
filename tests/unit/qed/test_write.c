/* SPDX-License-Identifier: ISC */

/*
 * Where a write goes, what is filled around it, in which order all of it
 * reaches the file, and what is refused.
 */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (8 * SPAN)

static struct fx fx;
static struct mkqed *k;

static void
make(void)
{
	k = fx_init(&fx, SIZE, 12, 2);
	mkqed_begin(k);
}

/* From now on what happens to the file is in the log. */
static void
start_log(void)
{
	mem_log_free(&fx.fx_log);
	fx.fx_mem.m_log = &fx.fx_log;
}

/* It is in one line: w offset+length, r length, b; the numbers are hex. */
static void
logged(const char *want)
{
	static char got[4096];
	const struct mem_logged *l;
	size_t i, n = 0;

	got[0] = '\0';
	for (i = 0; i < fx.fx_log.lg_n; i++) {
		l = &fx.fx_log.lg_op[i];
		assert_true(n < sizeof(got) - 64);
		if (l->l_op == MEM_WRITE)
			n += (size_t)snprintf(got + n, 64, "w%lx+%lx ",
			    (unsigned long)l->l_off, (unsigned long)l->l_len);
		else if (l->l_op == MEM_RESIZE)
			n += (size_t)snprintf(got + n, 64, "r%lx ",
			    (unsigned long)l->l_off);
		else
			n += (size_t)snprintf(got + n, 64, "b ");
	}
	assert_string_equal(got, want);
	start_log();
}

/* As qemu-img and qemu-io make it; of them are the numbers. */
static void
the_first_write_gives_the_known_layout(void **state)
{
	(void)state;
	k = fx_init(&fx, 64 << 20, 16, 4);
	mkqed_begin(k);
	assert_int_equal(fx.fx_mem.m_len, 327680);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 1 << 20, 512);
	fx_close(&fx);
	assert_int_equal(mkqed_get(&fx.fx_mem, 0x10000, 8), 0x60000);
	assert_int_equal(mkqed_get(&fx.fx_mem, 0x60080, 8), 0x50000);
	assert_int_equal(fx.fx_mem.m_len, 0xa0000);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 3 << 20, 4096);
	fx_close(&fx);
	assert_int_equal(mkqed_entry(k, 48), 0xa0000);
	assert_int_equal(fx.fx_mem.m_len, 0xb0000);
	assert_int_equal(mkqed_get(&fx.fx_mem, 16, 8), 0); /* features */
	fx_sound(&fx, 0);
	fx_done(&fx);
	/* What qemu-img convert makes of three blocks. */
	k = fx_init(&fx, 4 << 20, 16, 4);
	mkqed_begin(k);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 0, 65536);
	fx_writes(&fx, 1 << 20, 65536);
	fx_writes(&fx, 2 << 20, 65536);
	fx_close(&fx);
	assert_int_equal(mkqed_entry(k, 0), 0x50000);
	assert_int_equal(mkqed_entry(k, 16), 0xa0000);
	assert_int_equal(mkqed_entry(k, 32), 0xb0000);
	assert_int_equal(fx.fx_mem.m_len, 786432);
	fx_done(&fx);
}

static void
data_then_l2_then_l1_with_barriers_between(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(4) << 30, 16, 4);
	mkqed_begin(k);
	fx_use(&fx, IMG_RDWR);
	start_log();
	fx_writes(&fx, 1 << 20, 512);
	logged("r60000 w50000+200 ra0000 ");
	assert_int_equal(img_flush(fx.fx_im), 0);
	logged("b w60000+200 b w10000+200 b ");
	fx_writes(&fx, (1 << 20) + 65536, 512); /* the table is there now */
	assert_int_equal(img_flush(fx.fx_im), 0);
	logged("rb0000 wa0000+200 b w60000+200 b ");
	fx_writes(&fx, 1 << 20, 100); /* and the cluster too */
	assert_int_equal(img_flush(fx.fx_im), 0);
	logged("w50000+64 b ");
	assert_int_equal(img_flush(fx.fx_im), 0);
	fx_close(&fx);
	logged("");
	/* Of a table that was read before, too, all L2 before all L1. */
	fx_use(&fx, IMG_RDWR);
	mem_reads(fx.fx_im, 1 << 20, 100, 3);
	fx_writes(&fx, 0, 512);
	fx_writes(&fx, UINT64_C(2) << 30, 512);
	start_log();
	assert_int_equal(img_flush(fx.fx_im), 0);
	logged("b w60000+200 wd0000+200 b w10000+200 b ");
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

/* All that was written since the last flush shares its barriers. */
static void
many_writes_share_one_flush(void **state)
{
	uint64_t i, n;

	(void)state;
	make();
	fx_use(&fx, IMG_RDWR);
	start_log();
	for (i = 0; i < 500; i++)
		fx_writes(&fx, i * 37 % 500 * 4 * C, C);
	for (i = n = 0; i < fx.fx_log.lg_n; i++)
		n += fx.fx_log.lg_op[i].l_op == MEM_BARRIER ||
		    fx.fx_log.lg_op[i].l_off < 3 * C;
	assert_int_equal(n, 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	for (i = n = 0; i < fx.fx_log.lg_n; i++)
		n += fx.fx_log.lg_op[i].l_op == MEM_BARRIER;
	assert_int_equal(n, 3);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
in_place_is_one_write(void **state)
{
	uint64_t off;

	(void)state;
	make();
	off = mkqed_data(k, 1);
	mkqed_take(k, 1);
	mkqed_data(k, 2);
	mkqed_data(k, 3);
	mem_set_len(&fx.fx_mem, k->k_next);
	fx_use(&fx, IMG_RDWR);
	start_log();
	fx_writes(&fx, C + 7, 100);
	logged("w3007+64 ");
	fx_writes(&fx, 2 * C + 512, C);
	logged("w7200+1000 ");
	fx_writes(&fx, 2 * C - 1, 2); /* not neighbours in the file */
	logged("w3fff+1 w7000+1 ");
	assert_int_equal(off, 3 * C);
	fx_close(&fx);
	fx_sound(&fx, 1);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, C, 7, 1);
	mem_reads(fx.fx_im, C + 7, 100, 3);
	mem_reads(fx.fx_im, C + 107, C - 108, 1);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_long_write_is_a_run(void **state)
{
	(void)state;
	make();
	mkqed_data(k, 1030); /* behind the border of two tables */
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 1020 * C + 100, 20 * C);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	/* 3, 4 + 5: what was there; then: 4 clusters, a table, 6, and 10. */
	mem_maps(fx.fx_im, 1020 * C, SIZE / 2, IMG_DATA, 6 * C, 4 * C);
	mem_maps(fx.fx_im, 1024 * C, SIZE / 2, IMG_DATA, 12 * C, 6 * C);
	mem_maps(fx.fx_im, 1030 * C, SIZE / 2, IMG_DATA, 3 * C, C);
	mem_maps(fx.fx_im, 1031 * C, SIZE / 2, IMG_DATA, 18 * C, 10 * C);
	mem_reads(fx.fx_im, 1020 * C, 100, 0);
	mem_reads(fx.fx_im, 1020 * C + 100, 20 * C, 3);
	mem_reads(fx.fx_im, 1040 * C + 100, C - 100, 0);
	fx_close(&fx);
	fx_done(&fx);
}

/* One write of 100 bytes at 1000 of guest cluster 5: what is around it? */
static void
around(unsigned version)
{
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 5 * C + 1000, 100);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 5 * C, 1000, version);
	mem_reads(fx.fx_im, 5 * C + 1000, 100, 3);
	mem_reads(fx.fx_im, 5 * C + 1100, C - 1100, version);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_fresh_cluster_has_around_it_what_was_seen(void **state)
{
	(void)state;
	make();
	around(0);
	make();
	mkqed_set(k, 5, 1);
	around(0);
	k = fx_init(&fx, SIZE, 12, 2);
	fx_backing(&fx, SIZE);
	mkqed_begin(k);
	around(7);
	k = fx_init(&fx, SIZE, 12, 2);
	fx_backing(&fx, SIZE);
	mkqed_begin(k);
	mkqed_set(k, 5, 1); /* zeros hide what is behind */
	around(0);
	k = fx_init(&fx, SIZE, 12, 2);
	fx_backing(&fx, C);
	mkqed_begin(k);
	around(0); /* that is shorter */
}

static void
what_is_copied_is_written_before_the_barrier(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	fx_backing(&fx, SIZE);
	mkqed_begin(k);
	mkqed_at(k, 0);
	fx_use(&fx, IMG_RDWR);
	start_log();
	fx_writes(&fx, 5 * C + 1000, 100);
	assert_int_equal(img_flush(fx.fx_im), 0);
	logged("r6000 w5000+3e8 w544c+bb4 w53e8+64 b w3000+200 b ");
	fx_close(&fx);
	fx_done(&fx);
}

static void
the_last_cluster_is_a_whole_one_in_the_file(void **state)
{
	(void)state;
	k = fx_init(&fx, 1024, 12, 2);
	fx_backing(&fx, 3 * C); /* which goes on behind the disk's end */
	mkqed_begin(k);
	fx_use(&fx, IMG_RDWR);
	fx_writes(&fx, 512, 100);
	fx_close(&fx);
	assert_int_equal(fx.fx_mem.m_len, 6 * C);
	assert_int_equal(mkqed_entry(k, 0), 3 * C);
	assert_true(mem_is(&fx.fx_mem, 3 * C + 1024, C - 1024, 0));
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
stray_bytes_at_the_end_are_never_seen(void **state)
{
	uint8_t junk[1000];

	(void)state;
	make();
	mkqed_data(k, 1);
	memset(junk, 0xee, sizeof(junk));
	mem_put(&fx.fx_mem, k->k_next, junk, sizeof(junk));
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(fx.fx_sink.s_n, 0);
	start_log();
	fx_writes(&fx, 5 * C + 2000, 100);
	logged("r6000 r7000 w67d0+64 ");
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, 0);
	mem_reads(fx.fx_im, 5 * C, 2000, 0);
	mem_reads(fx.fx_im, 5 * C + 2000, 100, 3);
	mem_reads(fx.fx_im, 5 * C + 2100, C - 2100, 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
autoclear_bits_go_before_the_first_change(void **state)
{
	uint8_t was[512], is[512];
	unsigned zero;

	(void)state;
	for (zero = 0; zero < 2; zero++) {
		k = fx_init(&fx, SIZE, 12, 2);
		fx_backing(&fx, SIZE);
		k->k_autoclear = UINT64_C(0x8000000000000001);
		k->k_compat = 0x42;
		mkqed_begin(k);
		mem_get(&fx.fx_mem, 0, was, 512);
		fx_use(&fx, IMG_RDWR);
		start_log();
		mem_reads(fx.fx_im, 0, C, 7);
		assert_int_equal(img_flush(fx.fx_im), 0);
		logged(""); /* not for the sake of reading */
		if (zero)
			assert_int_equal(img_zero(fx.fx_im, 0, C), 0);
		else
			fx_writes(&fx, 0, C);
		assert_true(fx.fx_log.lg_n >= 3);
		assert_int_equal(fx.fx_log.lg_op[0].l_op, MEM_WRITE);
		assert_int_equal(fx.fx_log.lg_op[0].l_off, 0);
		assert_int_equal(fx.fx_log.lg_op[1].l_op, MEM_BARRIER);
		fx_writes(&fx, C, C);
		fx_close(&fx);
		memset(was + 32, 0, 8); /* they, and nothing else */
		mem_get(&fx.fx_mem, 0, is, 512);
		assert_memory_equal(is, was, 512);
		fx_sound(&fx, 0);
		fx_done(&fx);
	}
}

static void
refused(uint64_t features, int lend, enum img_row row)
{
	struct mem was = { 0 };

	k = fx_init(&fx, SIZE, 12, 2);
	if (lend)
		fx_backing(&fx, SIZE);
	k->k_features |= features;
	mkqed_begin(k);
	mkqed_data(k, 1);
	mem_copy(&was, &fx.fx_mem);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_only(&fx, row);
	fx_use(&fx, IMG_VERIFY); /* it can be read */
	mem_reads(fx.fx_im, C, C, 1);
	mem_reads(fx.fx_im, 0, C, lend ? 7 : 0);
	fx_close(&fx);
	assert_true(mem_equal(&was, &fx.fx_mem));
	mem_free(&was);
	fx_done(&fx);
}

static void
what_is_to_be_checked_first_is_not_written_to(void **state)
{
	uint8_t b = 0;

	(void)state;
	refused(2, 0, IMG_QED_DIRTY);
	refused(2, 1, IMG_QED_DIRTY_BACKING);
	/* Nor is what reads through to an image that is not there. */
	k = fx_init(&fx, SIZE, 12, 2);
	k->k_backing = "base";
	mkqed_begin(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_write(fx.fx_im, &b, 1, 0), EROFS);
	fx_close(&fx);
	fx_done(&fx);
}

/* Something changed the file since it was verified. */
static void
an_entry_that_cannot_be_ends_all_writing(void **state)
{
	unsigned level;
	uint8_t b = 0;

	(void)state;
	for (level = 1; level <= 2; level++) {
		make();
		mkqed_data(k, 1);
		fx_use(&fx, IMG_RDWR);
		if (level == 1)
			mkqed_put(&fx.fx_mem, k->k_l1, 99 * C, 8);
		else
			mkqed_set(k, 1, C);
		img_cache_drop(fx.fx_im, 0, 9 * C);
		assert_int_equal(img_write(fx.fx_im, &b, 1, C), EIO);
		fx_only(&fx, level == 1 ? IMG_QED_L1_RANGE : IMG_QED_DATA_L1);
		assert_int_equal(fx.fx_sink.s_found[0].fi_off,
		    level == 1 ? k->k_l1 : mkqed_find(k, 1));
		assert_int_equal(img_write(fx.fx_im, &b, 1, SIZE / 2), EIO);
		assert_int_equal(img_flush(fx.fx_im), EIO);
		assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
		fx_done(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_write_gives_the_known_layout),
		cmocka_unit_test(data_then_l2_then_l1_with_barriers_between),
		cmocka_unit_test(many_writes_share_one_flush),
		cmocka_unit_test(in_place_is_one_write),
		cmocka_unit_test(a_long_write_is_a_run),
		cmocka_unit_test(a_fresh_cluster_has_around_it_what_was_seen),
		cmocka_unit_test(what_is_copied_is_written_before_the_barrier),
		cmocka_unit_test(the_last_cluster_is_a_whole_one_in_the_file),
		cmocka_unit_test(stray_bytes_at_the_end_are_never_seen),
		cmocka_unit_test(autoclear_bits_go_before_the_first_change),
		cmocka_unit_test(what_is_to_be_checked_first_is_not_written_to),
		cmocka_unit_test(an_entry_that_cannot_be_ends_all_writing),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
