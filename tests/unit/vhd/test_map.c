/* SPDX-License-Identifier: ISC */

/* Where guest bytes live, and what is told where they cannot. */

#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define NSEC (BLOCK / 512)

static void
expect(struct fx *fx, uint64_t voff, uint64_t len, enum img_etype type,
    uint64_t elen, uint64_t off)
{
	struct img_extent e;

	assert_int_equal(img_map(fx->fx_im, voff, len, &e), 0);
	if (e.e_type != type || e.e_voff != voff || e.e_len != elen ||
	    e.e_off != off)
		fail_msg("at %u: type %u length %u at %u, wanted %u %u %u",
		    (unsigned)voff, e.e_type, (unsigned)e.e_len,
		    (unsigned)e.e_off, type, (unsigned)elen, (unsigned)off);
}

static void
bits_are_counted_from_the_most_significant(void **state)
{
	static const int one[] = { 0 };
	struct fx fx;
	uint64_t data;
	uint8_t b;

	(void)state;
	fx_dynamic(&fx, BLOCK, BLOCK, one, 1);
	b = 0x80;
	mem_put(&fx.fx_mem, 2048, &b, 1);
	data = 2048 + 512;
	assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
	expect(&fx, 0, BLOCK, IMG_DATA, 512, data);
	expect(&fx, 512, BLOCK - 512, IMG_ZERO, BLOCK - 512, data + 512);
	mem_abandon(fx.fx_im, &fx.fx_env);
	b = 0x01;
	mem_put(&fx.fx_mem, 2048, &b, 1);
	assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
	expect(&fx, 0, BLOCK, IMG_ZERO, 7 * 512, data);
	expect(&fx, 7 * 512, 512, IMG_DATA, 512, data + 7 * 512);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

/* Whatever is in the file under a clear bit. */
static void
clear_bits_read_as_zeros(void **state)
{
	static const int one[] = { 0 };
	struct fx fx;
	uint8_t got[BLOCK], want[BLOCK];

	(void)state;
	fx_dynamic(&fx, BLOCK, BLOCK, one, 1);
	mkvhd_bit(&fx.fx_k, 2048, 3, 0);
	assert_int_equal(fx_open(&fx, 0), 0);
	mem_pattern(want, BLOCK, 0, 1);
	memset(want + 3 * 512, 0, 512);
	assert_int_equal(img_read(fx.fx_im, got, BLOCK, 0), 0);
	assert_memory_equal(got, want, BLOCK);
	expect(&fx, 0, BLOCK, IMG_DATA, 3 * 512, 2560);
	expect(&fx, 3 * 512 + 7, 512, IMG_ZERO, 505, 2560 + 3 * 512 + 7);
	expect(&fx, 4 * 512, BLOCK - 4 * 512, IMG_DATA, BLOCK - 4 * 512,
	    2560 + 4 * 512);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

/* Random bitmaps of several slices, against a count by hand. */
static void
runs_of_bits_are_as_long_as_they_are(void **state)
{
	static const int one[] = { 0 };
	const uint32_t block = 32u << 20, nsec = block / 512;
	static uint8_t bits[8192];
	struct fx fx;
	struct img_extent e;
	uint64_t seed = 5;
	uint32_t i, sec, n;
	int set;

	(void)state;
	fx_dynamic(&fx, block, block, one, 1);
	for (i = 0; i < sizeof(bits); i++) {
		if (mem_random(&seed) % 16 == 0)
			bits[i] = (uint8_t)mem_random(&seed);
		else
			bits[i] = i == 0 ? 0 : bits[i - 1] & 1 ? 0xff : 0;
	}
	mem_put(&fx.fx_mem, 2048, bits, sizeof(bits));
	assert_int_equal(fx_open(&fx, 0), 0);
	for (sec = 0; sec < nsec; sec += n) {
		set = bits[sec / 8] >> (7 - sec % 8) & 1;
		for (n = 1; sec + n < nsec; n++)
			if ((bits[(sec + n) / 8] >> (7 - (sec + n) % 8) & 1) !=
			    set)
				break;
		assert_int_equal(img_map(fx.fx_im, (uint64_t)sec * 512,
				     block - (uint64_t)sec * 512, &e),
		    0);
		assert_int_equal(e.e_type, set ? IMG_DATA : IMG_ZERO);
		assert_int_equal(e.e_len, n * 512);
		assert_int_equal(e.e_off, 2048 + 8192 + sec * 512);
	}
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
absent_blocks_are_one_run_of_zeros(void **state)
{
	static const int blocks[] = { 100 };
	const uint64_t size = UINT64_C(5000) * BLOCK - 512;
	struct fx fx;

	(void)state;
	fx_dynamic(&fx, size, BLOCK, blocks, 1);
	assert_int_equal(fx_open(&fx, 0), 0);
	expect(&fx, 0, size, IMG_ZERO, 100 * BLOCK, IMG_NOWHERE);
	expect(&fx, 5, 10, IMG_ZERO, 10, IMG_NOWHERE);
	expect(&fx, BLOCK - 5, 10, IMG_ZERO, 10, IMG_NOWHERE);
	expect(&fx, 99 * BLOCK + 1, size - 99 * BLOCK - 1, IMG_ZERO, BLOCK - 1,
	    IMG_NOWHERE);
	/* Over several slices of the BAT, to the odd end of the disk. */
	expect(&fx, 101 * BLOCK, size - 101 * BLOCK, IMG_ZERO,
	    size - 101 * BLOCK, IMG_NOWHERE);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
every_block_size_is_read_by_the_formula(void **state)
{
	static const struct {
		uint32_t block, bitmap;
	} sizes[] = {
		{ 512, 512 },
		{ 4096, 512 },
		{ 65536, 512 },
		{ 512 * 1024, 512 },
		{ 2048 * 1024, 512 },
		{ 4096 * 1024, 1024 },
		{ 16384 * 1024, 4096 },
	};
	static const int blocks[] = { 1, 0 };
	struct fx fx;
	uint64_t size, data;
	uint8_t got[512], want[512];
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(sizes); i++) {
		size = UINT64_C(2) * sizes[i].block;
		fx_dynamic(&fx, size, sizes[i].block, blocks, 2);
		assert_int_equal(fx_open(&fx, IMG_RDWR | IMG_VERIFY), 0);
		assert_int_equal(img_unit(fx.fx_im), sizes[i].block);
		data = 2048 + sizes[i].bitmap;
		expect(&fx, sizes[i].block, sizes[i].block, IMG_DATA,
		    sizes[i].block, data);
		data += sizes[i].block + sizes[i].bitmap;
		expect(&fx, 0, size, IMG_DATA, sizes[i].block, data);
		assert_int_equal(img_read(fx.fx_im, got, 512, size - 512), 0);
		mem_pattern(want, 512, size - 512, 1);
		assert_memory_equal(got, want, 512);
		mem_abandon(fx.fx_im, &fx.fx_env);
		fx_done(&fx);
	}
}

static void
blocks_may_lie_in_any_order_with_gaps(void **state)
{
	static const int blocks[] = { 7, -1, 3, 0, -1, -1, 12, 1 };
	static uint8_t got[16 * BLOCK], want[16 * BLOCK];
	struct fx fx;
	unsigned i;

	(void)state;
	fx_dynamic(&fx, sizeof(got), BLOCK, blocks, LENGTH_OF(blocks));
	assert_int_equal(fx_open(&fx, IMG_RDWR | IMG_VERIFY), 0);
	for (i = 0; i < LENGTH_OF(blocks); i++)
		if (blocks[i] >= 0)
			mem_pattern(want + (size_t)blocks[i] * BLOCK, BLOCK,
			    (uint64_t)blocks[i] * BLOCK, 1);
	assert_int_equal(img_read(fx.fx_im, got, sizeof(got), 0), 0);
	assert_memory_equal(got, want, sizeof(got));
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
header_and_bat_may_lie_anywhere(void **state)
{
	struct fx fx;
	uint8_t got[512], want[512];
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fx_init(&fx);
		mkvhd_init(&fx.fx_k, &fx.fx_mem, 8 * BLOCK, BLOCK);
		fx.fx_k.k_header = 8192;
		/* Before the header, or far behind it. */
		fx.fx_k.k_bat = i == 0 ? 1024 : 65536;
		mkvhd_begin(&fx.fx_k);
		mkvhd_block(&fx.fx_k, 2);
		mkvhd_end(&fx.fx_k);
		assert_int_equal(fx_open(&fx, IMG_RDWR | IMG_VERIFY), 0);
		assert_int_equal(img_read(fx.fx_im, got, 512, 2 * BLOCK), 0);
		mem_pattern(want, 512, 2 * BLOCK, 1);
		assert_memory_equal(got, want, 512);
		mem_abandon(fx.fx_im, &fx.fx_env);
		fx_done(&fx);
	}
}

static void
a_bat_may_have_more_entries_than_needed(void **state)
{
	struct fx fx;

	(void)state;
	fx_init(&fx);
	mkvhd_init(&fx.fx_k, &fx.fx_mem, 8 * BLOCK, BLOCK);
	fx.fx_k.k_entries = 3000;
	mkvhd_begin(&fx.fx_k);
	mkvhd_block(&fx.fx_k, 7);
	mkvhd_end(&fx.fx_k);
	assert_int_equal(fx_open(&fx, IMG_RDWR | IMG_VERIFY), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BAT_LONG), 1);
	assert_int_equal(mem_worst(&fx.fx_sink), IMG_SEV_NOTE);
	expect(&fx, 0, 8 * BLOCK, IMG_ZERO, 7 * BLOCK, IMG_NOWHERE);
	assert_int_equal(img_size(fx.fx_im), 8 * BLOCK);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
a_bat_that_is_too_short_loses_what_it_does_not_reach(void **state)
{
	struct fx fx;
	struct img_extent e;
	const struct img_finding *fi;

	(void)state;
	fx_init(&fx);
	mkvhd_init(&fx.fx_k, &fx.fx_mem, 8 * BLOCK, BLOCK);
	fx.fx_k.k_entries = 5;
	mkvhd_begin(&fx.fx_k);
	mkvhd_end(&fx.fx_k);
	assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
	fi = mem_first(&fx.fx_sink, IMG_VHD_BAT_SHORT);
	assert_int_equal(fi->fi_voff, 5 * BLOCK);
	assert_int_equal(fi->fi_vlen, 3 * BLOCK);
	expect(&fx, 0, 8 * BLOCK, IMG_ZERO, 5 * BLOCK, IMG_NOWHERE);
	/* The padding of the table is no entry. */
	expect(&fx, BLOCK, 7 * BLOCK, IMG_ZERO, 4 * BLOCK, IMG_NOWHERE);
	assert_int_equal(img_map(fx.fx_im, 5 * BLOCK, 3 * BLOCK, &e), 0);
	assert_int_equal(e.e_type, IMG_BAD);
	assert_int_equal(e.e_row, IMG_VHD_BAT_SHORT);
	assert_int_equal(e.e_len, 3 * BLOCK);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

/* The file ends anywhere in the last block of three. */
static void
a_cut_file_loses_what_was_cut_and_nothing_else(void **state)
{
	static const int blocks[] = { 0, 1, 2 };
	struct fx fx, whole;
	struct img_extent e;
	uint8_t got[BLOCK], want[BLOCK];
	uint64_t data, have;
	unsigned cut;

	(void)state;
	fx_dynamic(&whole, 3 * BLOCK, BLOCK, blocks, 3);
	data = whole.fx_k.k_next - BLOCK;
	mem_pattern(want, BLOCK, 2 * BLOCK, 1);
	for (cut = 1; cut < BLOCK; cut += cut < 1100 ? 73 : 401) {
		fx_init(&fx);
		mem_copy(&fx.fx_mem, &whole.fx_mem);
		mem_set_len(&fx.fx_mem, data + BLOCK - cut);
		have = (BLOCK - cut) / 512 * 512;
		assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
		assert_int_equal(img_map(fx.fx_im, 2 * BLOCK, BLOCK, &e), 0);
		if (have > 0) {
			assert_int_equal(e.e_type, IMG_DATA);
			assert_int_equal(e.e_len, have);
			assert_int_equal(img_map(fx.fx_im, 2 * BLOCK + have,
					     BLOCK - have, &e),
			    0);
		}
		assert_int_equal(e.e_type, IMG_BAD);
		assert_int_equal(e.e_row, IMG_VHD_BLOCK_CUT);
		assert_int_equal(e.e_len, BLOCK - have);
		assert_int_equal(mem_first(&fx.fx_sink, IMG_VHD_BLOCK_CUT)
				     ->fi_voff,
		    2 * BLOCK + have);
		assert_int_equal(img_allows(fx.fx_im, NULL), IMG_ALLOW_MAP);
		mem_abandon(fx.fx_im, &fx.fx_env);
		/* Without verification the rest is still there to read. */
		assert_int_equal(fx_open(&fx, 0), 0);
		assert_int_equal(img_read(fx.fx_im, got, (uint32_t)have,
				     2 * BLOCK),
		    0);
		assert_memory_equal(got, want, have);
		assert_int_equal(img_read(fx.fx_im, got, 1, 2 * BLOCK + have),
		    EIO);
		assert_int_equal(img_read(fx.fx_im, got, BLOCK, 0), 0);
		mem_abandon(fx.fx_im, &fx.fx_env);
		fx_done(&fx);
	}
	fx_done(&whole);
}

static void
entries_that_lead_nowhere_are_bad(void **state)
{
	static const struct {
		uint32_t sec;
		enum img_row row;
	} bad[] = {
		{ 0, IMG_VHD_BLOCK_META },
		{ 1, IMG_VHD_BLOCK_META },
		{ 3, IMG_VHD_BLOCK_META },
		{ 0x7fffffff, IMG_VHD_BAT_RANGE },
		{ 0x80000000u, IMG_VHD_BAT_RANGE },
		{ 0xfffffffeu, IMG_VHD_BAT_RANGE },
	};
	static const int blocks[] = { 0, 1 };
	struct fx fx;
	struct img_extent e;
	const struct img_finding *fi;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(bad); i++) {
		fx_dynamic(&fx, 4 * BLOCK, BLOCK, blocks, 2);
		mem_put32(&fx.fx_mem, mkvhd_entry_off(&fx.fx_k, 2), bad[i].sec);
		assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
		fi = mem_first(&fx.fx_sink, bad[i].row);
		assert_int_equal(fi->fi_off, mkvhd_entry_off(&fx.fx_k, 2));
		assert_int_equal(fi->fi_found, bad[i].sec);
		assert_int_equal(fi->fi_voff, 2 * BLOCK);
		assert_int_equal(fi->fi_vlen, BLOCK);
		assert_int_equal(img_map(fx.fx_im, 2 * BLOCK, 2 * BLOCK, &e),
		    0);
		assert_int_equal(e.e_type, IMG_BAD);
		assert_int_equal(e.e_row, bad[i].row);
		assert_int_equal(e.e_len, BLOCK);
		mem_abandon(fx.fx_im, &fx.fx_env);
		fx_done(&fx);
	}
}

static void
a_fixed_image_is_its_own_map(void **state)
{
	struct fx fx;
	struct img_extent e;

	(void)state;
	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, 4 * BLOCK);
	assert_int_equal(fx_open(&fx, 0), 0);
	expect(&fx, 5, 4 * BLOCK - 5, IMG_DATA, 4 * BLOCK - 5, 5);
	assert_int_equal(img_unit(fx.fx_im), 0);
	mem_abandon(fx.fx_im, &fx.fx_env);
	/* Size says more than there is. */
	fx.fx_k.k_footer[48 + 6] += 0x10;
	mkvhd_footer(&fx.fx_k, 4 * BLOCK);
	assert_int_equal(fx_open(&fx, 0), 0);
	assert_int_equal(mem_first(&fx.fx_sink, IMG_VHD_FIXED_SHORT)->fi_voff,
	    4 * BLOCK);
	expect(&fx, 0, 5 * BLOCK, IMG_DATA, 4 * BLOCK, 0);
	assert_int_equal(img_map(fx.fx_im, 4 * BLOCK, BLOCK, &e), 0);
	assert_int_equal(e.e_type, IMG_BAD);
	assert_int_equal(e.e_row, IMG_VHD_FIXED_SHORT);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_are_counted_from_the_most_significant),
		cmocka_unit_test(clear_bits_read_as_zeros),
		cmocka_unit_test(runs_of_bits_are_as_long_as_they_are),
		cmocka_unit_test(absent_blocks_are_one_run_of_zeros),
		cmocka_unit_test(every_block_size_is_read_by_the_formula),
		cmocka_unit_test(blocks_may_lie_in_any_order_with_gaps),
		cmocka_unit_test(header_and_bat_may_lie_anywhere),
		cmocka_unit_test(a_bat_may_have_more_entries_than_needed),
		cmocka_unit_test(
		    a_bat_that_is_too_short_loses_what_it_does_not_reach),
		cmocka_unit_test(
		    a_cut_file_loses_what_was_cut_and_nothing_else),
		cmocka_unit_test(entries_that_lead_nowhere_are_bad),
		cmocka_unit_test(a_fixed_image_is_its_own_map),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
