/* SPDX-License-Identifier: ISC */

/* Every entry once, overlaps by sorting, within a budget of memory. */

#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define NBLOCKS 3000u

/* What img_open needs besides the memory for sorting. */
#define ROOM (IMG_BOUNCE + 2 * (IMG_SLICE + 256) + sizeof(struct vhd) + 2048)

static int
open_within(struct fx *fx, uint64_t budget, uint32_t slices)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	memset(&fx->fx_sink, 0, sizeof(fx->fx_sink));
	a.a_format = &img_vhd;
	a.a_flags = IMG_VERIFY;
	a.a_budget = budget;
	a.a_slices = slices;
	a.a_report = mem_report;
	a.a_arg = &fx->fx_sink;
	fx->fx_env.e_peak = 0;
	mem_reset(&fx->fx_mem);
	return (mem_open_args(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &a));
}

/* NBLOCKS blocks in an order that jumps about, with place for their data. */
static void
make_many(struct fx *fx)
{
	uint32_t i, stride = 9;

	fx_init(fx);
	mkvhd_init(&fx->fx_k, &fx->fx_mem, (uint64_t)NBLOCKS * BLOCK, BLOCK);
	mkvhd_begin(&fx->fx_k);
	for (i = 0; i < NBLOCKS; i++)
		mem_put32(&fx->fx_mem, mkvhd_entry_off(&fx->fx_k, i),
		    (uint32_t)(fx->fx_k.k_next / 512) +
			i * 1301 % NBLOCKS * stride);
	fx->fx_k.k_next += (uint64_t)NBLOCKS * stride * 512;
	mkvhd_end(&fx->fx_k);
}

/* Where block i is. */
static uint32_t
entry(struct fx *fx, uint32_t i)
{
	return (mem_get32(&fx->fx_mem, mkvhd_entry_off(&fx->fx_k, i)));
}

static void
set_entry(struct fx *fx, uint32_t i, uint32_t sec)
{
	mem_put32(&fx->fx_mem, mkvhd_entry_off(&fx->fx_k, i), sec);
}

static void
a_large_sound_image_raises_nothing(void **state)
{
	struct fx fx;

	(void)state;
	make_many(&fx);
	assert_int_equal(open_within(&fx, 0, 0), 0);
	fx_only(&fx, IMG_VHD_BLOCK_RARE);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
two_entries_for_the_same_sectors_are_told_once(void **state)
{
	struct fx fx;
	const struct img_finding *fi;

	(void)state;
	make_many(&fx);
	set_entry(&fx, 2000, entry(&fx, 7));
	assert_int_equal(open_within(&fx, 0, 0), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BAT_OVERLAP), 1);
	assert_int_equal(fx.fx_sink.s_n, 2);
	fi = mem_first(&fx.fx_sink, IMG_VHD_BAT_OVERLAP);
	assert_int_equal(fi->fi_off, mkvhd_entry_off(&fx.fx_k, 2000));
	assert_int_equal(fi->fi_voff, 2000 * BLOCK);
	assert_int_equal(fi->fi_vlen, BLOCK);
	assert_int_equal(fi->fi_found, entry(&fx, 7));
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
blocks_that_partly_overlap_are_told(void **state)
{
	struct fx fx;
	const struct img_finding *fi;
	uint32_t was;

	(void)state;
	make_many(&fx);
	was = entry(&fx, 50);
	set_entry(&fx, 50, was + 1);
	assert_int_equal(open_within(&fx, 0, 0), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BLOCK_OVERLAP), 1);
	fi = mem_first(&fx.fx_sink, IMG_VHD_BLOCK_OVERLAP);
	assert_int_equal(fi->fi_found, was + 9);
	assert_int_equal(fi->fi_want, was + 10);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
each_of_many_owners_is_told_but_the_first(void **state)
{
	struct fx fx;
	uint32_t i, sec;

	(void)state;
	make_many(&fx);
	sec = entry(&fx, 0);
	for (i = 100; i < 120; i++)
		set_entry(&fx, i, sec);
	assert_int_equal(open_within(&fx, 0, 0), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BAT_OVERLAP), 20);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BLOCK_OVERLAP), 0);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

/* Neighbours in the file that are sorted in different lots. */
static void
little_memory_finds_the_same(void **state)
{
	static struct mem_sink full;
	struct fx fx;
	uint64_t budget, seed = 6;
	uint32_t i;

	(void)state;
	make_many(&fx);
	for (i = 0; i < 25; i++) {
		set_entry(&fx, mem_random(&seed) % NBLOCKS,
		    entry(&fx, mem_random(&seed) % NBLOCKS));
		set_entry(&fx, mem_random(&seed) % NBLOCKS,
		    entry(&fx, mem_random(&seed) % NBLOCKS) + 4);
	}
	assert_int_equal(open_within(&fx, 0, 2), 0);
	full = fx.fx_sink;
	assert_true(mem_has(&full, IMG_VHD_BAT_OVERLAP) > 15);
	assert_true(mem_has(&full, IMG_VHD_BLOCK_OVERLAP) > 15);
	mem_abandon(fx.fx_im, &fx.fx_env);
	for (budget = ROOM; budget < ROOM + 16384; budget += 3001) {
		assert_int_equal(open_within(&fx, budget, 2), 0);
		assert_int_equal(fx.fx_sink.s_n, full.s_n);
		assert_memory_equal(fx.fx_sink.s_per_row, full.s_per_row,
		    sizeof(full.s_per_row));
		for (i = 0; i < full.s_n && i < MEM_NFOUND; i++) {
			assert_int_equal(fx.fx_sink.s_found[i].fi_row,
			    full.s_found[i].fi_row);
			assert_int_equal(fx.fx_sink.s_found[i].fi_off,
			    full.s_found[i].fi_off);
		}
		assert_true(fx.fx_env.e_peak <= budget + sizeof(struct img));
		mem_abandon(fx.fx_im, &fx.fx_env);
	}
	fx_done(&fx);
}

/* The BAT is read again for each lot, and never more often. */
static void
reads_are_linear_in_the_table(void **state)
{
	struct fx fx;
	uint64_t bat = (uint64_t)NBLOCKS * 4, lots;

	(void)state;
	make_many(&fx);
	assert_int_equal(open_within(&fx, 0, 64), 0);
	assert_true(fx.fx_mem.m_rbytes <= bat + 8192);
	mem_abandon(fx.fx_im, &fx.fx_env);

	/* With two slices nothing stays cached: a pass is a reading. */
	assert_int_equal(open_within(&fx, 0, 2), 0);
	assert_true(fx.fx_mem.m_rbytes <= 3 * bat + 8192);
	mem_abandon(fx.fx_im, &fx.fx_env);

	assert_int_equal(open_within(&fx, ROOM, 2), 0);
	lots = NBLOCKS / 32 + 1;
	assert_true(fx.fx_mem.m_rbytes <= (2 + lots) * bat + 8192);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

/* 2040 GiB with all blocks there: the most that the format can hold. */
static void
the_largest_disk_is_verified_in_64_mib(void **state)
{
	const uint32_t n = 1044480;
	struct fx fx;
	uint64_t len;
	uint32_t i, first;

	(void)state;
	fx_init(&fx);
	mem_large(&fx.fx_mem);
	mkvhd_init(&fx.fx_k, &fx.fx_mem, (uint64_t)n << 21, 1u << 21);
	mkvhd_begin(&fx.fx_k);
	first = (uint32_t)(fx.fx_k.k_next / 512);
	for (i = 0; i < n; i++)
		set_entry(&fx, i, first + (n - 1 - i) * 4097);
	len = fx.fx_k.k_next + (uint64_t)n * 4097 * 512;
	fx.fx_mem.m_len = len;
	fx.fx_k.k_next = len;
	mkvhd_end(&fx.fx_k);
	assert_int_equal(open_within(&fx, 0, 0), 0);
	assert_int_equal(mem_worst(&fx.fx_sink), IMG_SEV_NOTE);
	assert_true(fx.fx_env.e_peak < 64u << 20);
	assert_true(fx.fx_mem.m_rbytes <= 3 * UINT64_C(4) * n + 65536);
	assert_true(fx.fx_env.e_polls > n / 4096);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
an_interrupt_ends_it(void **state)
{
	struct fx fx;

	(void)state;
	make_many(&fx);
	fx.fx_env.e_poll_end = 2;
	assert_int_equal(open_within(&fx, 0, 0), EINTR);
	fx_done(&fx);
}

static void
each_failing_read_is_an_error(void **state)
{
	struct fx fx;
	unsigned n;
	int error = EIO;

	(void)state;
	make_many(&fx);
	for (n = 1; error == EIO; n++) {
		mem_reset(&fx.fx_mem);
		fx.fx_mem.m_fail[MEM_READ] = n;
		error = fx_try(&fx, IMG_VERIFY);
	}
	assert_int_equal(error, 0);
	assert_true(n > 5);
	fx_done(&fx);
}

static void
entries_beyond_the_disk_are_only_a_warning(void **state)
{
	struct fx fx;

	(void)state;
	fx_init(&fx);
	mkvhd_init(&fx.fx_k, &fx.fx_mem, 2 * BLOCK, BLOCK);
	fx.fx_k.k_entries = 4;
	mkvhd_begin(&fx.fx_k);
	mkvhd_block(&fx.fx_k, 0);
	mkvhd_block(&fx.fx_k, 3);
	mkvhd_end(&fx.fx_k);
	assert_int_equal(fx_try(&fx, IMG_RDWR | IMG_VERIFY), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BAT_SURPLUS), 1);
	assert_int_equal(mem_worst(&fx.fx_sink), IMG_SEV_WARN);
	fx_done(&fx);
}

static void
a_block_over_the_footer_keeps_what_is_before_it(void **state)
{
	static const int blocks[] = { 0 };
	struct fx fx;

	(void)state;
	fx_dynamic(&fx, 2 * BLOCK, BLOCK, blocks, 1);
	set_entry(&fx, 0, entry(&fx, 0) + 1);
	assert_int_equal(fx_try(&fx, IMG_VERIFY), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BLOCK_FOOTER), 1);
	assert_int_equal(mem_first(&fx.fx_sink, IMG_VHD_BLOCK_FOOTER)->fi_voff,
	    BLOCK - 512);
	assert_int_equal(mem_first(&fx.fx_sink, IMG_VHD_BLOCK_FOOTER)->fi_vlen,
	    512);
	assert_int_equal(fx_try(&fx, IMG_VERIFY | IMG_RDWR), EROFS);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_sound_image_raises_nothing),
		cmocka_unit_test(
		    two_entries_for_the_same_sectors_are_told_once),
		cmocka_unit_test(blocks_that_partly_overlap_are_told),
		cmocka_unit_test(each_of_many_owners_is_told_but_the_first),
		cmocka_unit_test(little_memory_finds_the_same),
		cmocka_unit_test(reads_are_linear_in_the_table),
		cmocka_unit_test(the_largest_disk_is_verified_in_64_mib),
		cmocka_unit_test(an_interrupt_ends_it),
		cmocka_unit_test(each_failing_read_is_an_error),
		cmocka_unit_test(entries_beyond_the_disk_are_only_a_warning),
		cmocka_unit_test(
		    a_block_over_the_footer_keeps_what_is_before_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
