/* SPDX-License-Identifier: ISC */

/* Writing: which bytes change, in which order, with barriers where. */

#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define STRIDE (BLOCK + 512)
#define DISK (8 * (uint64_t)BLOCK)
#define BAT 1536u /* of an image that mkvhd makes */
#define E 2048u   /* its end, without blocks */

static void
start(struct fx *fx, const int *blocks, size_t n)
{
	fx_dynamic(fx, DISK, BLOCK, blocks, n);
	fx->fx_mem.m_log = &fx->fx_log;
	assert_int_equal(fx_open(fx, IMG_RDWR), 0);
}

static void
start_device(struct fx *fx, uint64_t len, const int *blocks, size_t n)
{
	fx_init(fx);
	mem_device(&fx->fx_mem, len);
	mkvhd_make(&fx->fx_k, &fx->fx_mem, DISK, BLOCK, blocks, n);
	assert_int_equal(fx->fx_mem.m_len, len);
	fx->fx_mem.m_log = &fx->fx_log;
	assert_int_equal(fx_open(fx, IMG_RDWR), 0);
}

static void
finish(struct fx *fx)
{
	assert_int_equal(mem_close(fx->fx_im, &fx->fx_env), 0);
	assert_int_equal(fx_try(fx, IMG_RDWR | IMG_VERIFY), 0);
	assert_int_equal(mem_worst(&fx->fx_sink), IMG_SEV_NOTE);
	fx_done(fx);
}

static void
put(struct fx *fx, uint64_t voff, uint32_t n)
{
	static uint8_t buf[DISK];

	mem_pattern(buf, n, voff, 2);
	assert_int_equal(img_write(fx->fx_im, buf, n, voff), 0);
}

/* "W<offset>+<length>", "R<length>" and "B", and the log starts anew. */
static void
expect_log(struct fx *fx, const char *want)
{
	const struct mem_logged *l;
	char got[4096] = "", *p = got;
	size_t i;

	for (i = 0; i < fx->fx_log.lg_n && p < got + 4000; i++) {
		l = &fx->fx_log.lg_op[i];
		if (p > got)
			*p++ = ' ';
		if (l->l_op == MEM_BARRIER)
			p += sprintf(p, "B");
		else if (l->l_op == MEM_RESIZE)
			p += sprintf(p, "R%u", (unsigned)l->l_off);
		else
			p += sprintf(p, "W%u+%u", (unsigned)l->l_off,
			    (unsigned)l->l_len);
	}
	assert_string_equal(got, want);
	mem_log_free(&fx->fx_log);
}

static void
a_new_block_is_written_in_the_order_that_survives(void **state)
{
	struct fx fx;
	uint8_t f[512];

	(void)state;
	start(&fx, NULL, 0);
	put(&fx, BLOCK + 1024, 512);
	/* The footer ahead of all, then the data. */
	expect_log(&fx, "W6656+512 B W3584+512");
	assert_int_equal(img_flush(fx.fx_im), 0);
	/* The bitmap over the old footer, the sector of the BAT. */
	expect_log(&fx, "B W2048+512 B W1536+512 B");
	mem_get(&fx.fx_mem, E + STRIDE, f, 512);
	assert_memory_equal(f, fx.fx_k.k_footer, 512);
	assert_int_equal(fx.fx_mem.m_len, E + STRIDE + 512);
	assert_int_equal(mem_get32(&fx.fx_mem, BAT + 4), E / 512);
	assert_int_equal(mem_get32(&fx.fx_mem, BAT), 0xffffffffu);
	assert_int_equal(mem_get32(&fx.fx_mem, E), 0xff000000u);
	assert_true(mem_is(&fx.fx_mem, E + 512, 1024, 0));
	assert_true(mem_is(&fx.fx_mem, E + 512 + 1536, BLOCK - 1536, 0));
	finish(&fx);
}

static void
many_new_blocks_share_a_flush(void **state)
{
	struct fx fx;

	(void)state;
	start(&fx, NULL, 0);
	put(&fx, 0, 3 * BLOCK);
	assert_int_equal(img_flush(fx.fx_im), 0);
	expect_log(&fx,
	    "W6656+512 B W2560+4096 "
	    "W11264+512 B W7168+4096 "
	    "W15872+512 B W11776+4096 "
	    "B W2048+512 W6656+512 W11264+512 B W1536+512 B");
	finish(&fx);
}

static void
data_in_place_costs_no_metadata(void **state)
{
	static const int blocks[] = { 3 };
	struct fx fx;

	(void)state;
	start(&fx, blocks, 1);
	put(&fx, 3 * BLOCK + 700, 1000);
	expect_log(&fx, "W3260+1000");
	assert_int_equal(img_flush(fx.fx_im), 0);
	expect_log(&fx, "B");
	finish(&fx);
}

/* What lies under a clear bit is not zeros, for all we know. */
static void
sectors_with_clear_bits_are_written_before_their_bits(void **state)
{
	static const int blocks[] = { 0 };
	struct fx fx;
	uint8_t got[BLOCK], want[BLOCK];

	(void)state;
	fx_dynamic(&fx, DISK, BLOCK, blocks, 1);
	mkvhd_bit(&fx.fx_k, E, 2, 0);
	mkvhd_bit(&fx.fx_k, E, 3, 0);
	mkvhd_bit(&fx.fx_k, E, 4, 0);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	put(&fx, 1124, 500);
	/* Zeros around the data to the ends of its sectors, the data. */
	expect_log(&fx, "W3584+100 W4184+424 W3684+500");
	mem_pattern(want, BLOCK, 0, 1);
	memset(want + 1024, 0, 1536);
	mem_pattern(want + 1124, 500, 1124, 2);
	assert_int_equal(img_read(fx.fx_im, got, BLOCK, 0), 0);
	assert_memory_equal(got, want, BLOCK);
	assert_int_equal(img_flush(fx.fx_im), 0);
	expect_log(&fx, "B W2048+512 B");
	assert_int_equal(mem_get32(&fx.fx_mem, E), 0xf7000000u);
	finish(&fx);
}

static void
a_write_over_set_and_clear_bits_splits(void **state)
{
	static const int blocks[] = { 0 };
	struct fx fx;
	uint8_t got[BLOCK], want[BLOCK];

	(void)state;
	fx_dynamic(&fx, DISK, BLOCK, blocks, 1);
	mkvhd_bit(&fx.fx_k, E, 1, 0);
	mkvhd_bit(&fx.fx_k, E, 5, 0);
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	put(&fx, 3, BLOCK - 5);
	mem_pattern(want, BLOCK, 0, 1);
	mem_pattern(want + 3, BLOCK - 5, 3, 2);
	assert_int_equal(img_read(fx.fx_im, got, BLOCK, 0), 0);
	assert_memory_equal(got, want, BLOCK);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(mem_get32(&fx.fx_mem, E), 0xff000000u);
	finish(&fx);
}

/* Only the bits that the disk has: the rest would be a note of check. */
static void
the_last_block_has_bits_for_the_disk_only(void **state)
{
	struct fx fx;

	(void)state;
	fx_dynamic(&fx, BLOCK + 3 * 512, BLOCK, NULL, 0);
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	put(&fx, BLOCK, 1);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(mem_get32(&fx.fx_mem, E), 0xe0000000u);
	assert_int_equal(fx.fx_mem.m_len, E + STRIDE + 512);
	finish(&fx);
}

static void
zeros_need_no_space(void **state)
{
	static const int blocks[] = { 1 };
	struct fx fx;

	(void)state;
	fx_dynamic(&fx, DISK, BLOCK, blocks, 1);
	mkvhd_bit(&fx.fx_k, E, 0, 0);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	assert_int_equal(img_zero(fx.fx_im, 100, BLOCK), 0);
	assert_int_equal(img_zero(fx.fx_im, 2 * BLOCK, 6 * BLOCK), 0);
	expect_log(&fx, "");
	assert_int_equal(img_zero(fx.fx_im, 0, DISK), 0);
	expect_log(&fx, "W3072+3584");
	finish(&fx);
}

static void
a_device_keeps_its_length_and_its_footer(void **state)
{
	static const int blocks[] = { 5 };
	struct fx fx;
	uint8_t f[512];

	(void)state;
	start_device(&fx, 32768, blocks, 1);
	put(&fx, BLOCK + 1000, 100);
	/* Garbage is where the block goes: zeros around the data. */
	expect_log(&fx, "W7168+1000 W8268+2996 W8168+100");
	assert_int_equal(img_flush(fx.fx_im), 0);
	expect_log(&fx, "B W6656+512 B W1536+512 B");
	assert_int_equal(fx.fx_mem.m_calls[MEM_RESIZE], 0);
	mem_get(&fx.fx_mem, 32768 - 512, f, 512);
	assert_memory_equal(f, fx.fx_k.k_footer, 512);
	assert_true(mem_is(&fx.fx_mem, 11264, 4096, 0xa5));
	finish(&fx);
}

/* Half a search for free space must not pass for a whole one. */
static void
a_search_for_space_that_failed_is_made_again(void **state)
{
	static const int blocks[] = { 0, 1100 };
	struct fx fx;
	uint8_t got[BLOCK], want[BLOCK];
	int by_poll;

	(void)state;
	for (by_poll = 0; by_poll < 2; by_poll++) {
		fx_init(&fx);
		mem_device(&fx.fx_mem, 65536);
		mkvhd_make(&fx.fx_k, &fx.fx_mem, 1200 * BLOCK, BLOCK, blocks,
		    2);
		assert_int_equal(fx_open_slices(&fx, IMG_RDWR, 1), 0);
		/* The second slice of the BAT cannot be had. */
		if (by_poll)
			fx.fx_env.e_poll_end = fx.fx_env.e_polls + 2;
		else
			fx.fx_mem.m_fail[MEM_READ] =
			    fx.fx_mem.m_calls[MEM_READ] + 2;
		assert_int_equal(img_write(fx.fx_im, "x", 1, 5 * BLOCK),
		    by_poll ? EINTR : EIO);
		put(&fx, 5 * BLOCK, BLOCK);
		assert_int_equal(img_read(fx.fx_im, got, BLOCK, 1100 * BLOCK),
		    0);
		mem_pattern(want, BLOCK, 1100 * BLOCK, 1);
		assert_memory_equal(got, want, BLOCK);
		finish(&fx);
	}
}

static void
a_full_device_says_so_and_stays_sound(void **state)
{
	struct fx fx;
	uint8_t buf[BLOCK];

	(void)state;
	/* Room for two blocks, and all but a sector of a third. */
	start_device(&fx, E + 3 * STRIDE - 512 + 512, NULL, 0);
	memset(buf, 7, BLOCK);
	put(&fx, 0, 2 * BLOCK);
	assert_int_equal(img_write(fx.fx_im, buf, BLOCK, 2 * BLOCK), ENOSPC);
	put(&fx, 100, 2 * BLOCK - 100);
	assert_int_equal(img_flush(fx.fx_im), 0);
	finish(&fx);
}

static void
a_full_file_system_leaves_the_old_end(void **state)
{
	struct fx fx;
	struct mem before;
	uint8_t f[512];

	(void)state;
	memset(&before, 0, sizeof(before));
	start(&fx, NULL, 0);
	mem_copy(&before, &fx.fx_mem);
	mem_reset(&fx.fx_mem);
	fx.fx_mem.m_fail[MEM_WRITE] = 1;
	fx.fx_mem.m_half = 1;
	fx.fx_mem.m_error = ENOSPC;
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), ENOSPC);
	assert_true(mem_equal(&fx.fx_mem, &before));
	/* With space again, it goes on. */
	put(&fx, 0, 100);
	assert_int_equal(img_flush(fx.fx_im), 0);
	mem_get(&fx.fx_mem, E + STRIDE, f, 512);
	assert_memory_equal(f, fx.fx_k.k_footer, 512);
	mem_free(&before);
	finish(&fx);
}

static void
a_footer_that_may_not_be_there_ends_all_writing(void **state)
{
	struct fx fx;

	(void)state;
	start(&fx, NULL, 0);
	fx.fx_mem.m_fail[MEM_BARRIER] = 1;
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), EIO);
	assert_int_equal(img_write(fx.fx_im, "x", 1, 0), EIO);
	expect_log(&fx, "W6656+512");
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	expect_log(&fx, "");
	fx_done(&fx);
}

static void
blocks_start_where_an_entry_can_name_them(void **state)
{
	struct fx fx;
	uint8_t got[16], want[16];
	uint64_t end;

	(void)state;
	for (end = UINT64_C(0xfffffffe); end <= 0xffffffffu; end++) {
		fx_init(&fx);
		mem_large(&fx.fx_mem);
		mkvhd_init(&fx.fx_k, &fx.fx_mem, DISK, BLOCK);
		mkvhd_begin(&fx.fx_k);
		fx.fx_k.k_next = end * 512;
		mkvhd_end(&fx.fx_k);
		assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
		if (end == 0xffffffffu) {
			assert_int_equal(img_write(fx.fx_im, "x", 1, 0),
			    ENOSPC);
			assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
			assert_int_equal(fx.fx_mem.m_len, end * 512 + 512);
			fx_done(&fx);
			break;
		}
		put(&fx, 0, 512);
		assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
		assert_int_equal(mem_get32(&fx.fx_mem, BAT), end);
		assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
		assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_BLOCK_HIGH), 1);
		assert_int_equal(img_read(fx.fx_im, got, 16, 0), 0);
		mem_pattern(want, 16, 0, 2);
		assert_memory_equal(got, want, 16);
		mem_abandon(fx.fx_im, &fx.fx_env);
		fx_done(&fx);
	}
}

/* The next barrier would succeed, and lead to data that was lost. */
static void
a_latched_handle_writes_no_table_to_make_room(void **state)
{
	static const int blocks[] = { 0, 1100 };
	struct fx fx;
	uint64_t writes;
	uint8_t byte;

	(void)state;
	fx_dynamic(&fx, 1200 * BLOCK, BLOCK, blocks, 2);
	assert_int_equal(fx_open_slices(&fx, IMG_RDWR, 2), 0);
	put(&fx, 5 * BLOCK, BLOCK);
	fx.fx_mem.m_fail[MEM_BARRIER] = fx.fx_mem.m_calls[MEM_BARRIER] + 1;
	assert_int_equal(img_flush(fx.fx_im), EIO);
	writes = fx.fx_mem.m_calls[MEM_WRITE];
	assert_int_equal(img_read(fx.fx_im, &byte, 1, 1150 * BLOCK), EIO);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], writes);
	assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
	fx_done(&fx);
}

static void
a_bad_entry_is_never_written_through(void **state)
{
	static const int blocks[] = { 1 };
	static const uint32_t bad[] = { 0, 3, 0x1000000, 5 };
	struct fx fx;
	struct mem before;
	uint8_t byte;
	unsigned i;

	(void)state;
	memset(&before, 0, sizeof(before));
	for (i = 0; i < LENGTH_OF(bad); i++) {
		fx_dynamic(&fx, DISK, BLOCK, blocks, 1);
		assert_int_equal(fx_open_slices(&fx, IMG_RDWR, 1), 0);
		/* Opening would refuse it: somebody else changes the BAT. */
		assert_int_equal(img_read(fx.fx_im, &byte, 1, BLOCK), 0);
		mem_put32(&fx.fx_mem, BAT + 8, bad[i]);
		mem_copy(&before, &fx.fx_mem);
		assert_int_equal(img_write(fx.fx_im, "x", 1, 2 * BLOCK), EIO);
		assert_true(mem_worst(&fx.fx_sink) >= IMG_SEV_CORRUPT);
		/* Nobody knows what else it would hit. */
		assert_int_equal(img_write(fx.fx_im, "x", 1, BLOCK), EIO);
		assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), EIO);
		assert_true(mem_equal(&fx.fx_mem, &before));
		assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
		fx_done(&fx);
	}
	mem_free(&before);
}

static void
a_footer_of_511_bytes_becomes_a_whole_one(void **state)
{
	struct fx fx;
	uint8_t f[512];

	(void)state;
	fx_dynamic(&fx, DISK, BLOCK, NULL, 0);
	mem_set_len(&fx.fx_mem, fx.fx_mem.m_len - 1);
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	put(&fx, 0, 1);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(fx.fx_mem.m_len, E + STRIDE + 512);
	mem_get(&fx.fx_mem, E + STRIDE, f, 512);
	assert_memory_equal(f, fx.fx_k.k_footer, 512);
	finish(&fx);
}

static void
a_fixed_disk_is_written_in_place(void **state)
{
	struct fx fx;

	(void)state;
	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, DISK);
	fx.fx_mem.m_log = &fx.fx_log;
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	put(&fx, DISK - 100, 100);
	assert_int_equal(img_write(fx.fx_im, "xx", 2, DISK - 1), EINVAL);
	assert_int_equal(img_flush(fx.fx_im), 0);
	expect_log(&fx, "W32668+100 B");
	finish(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_new_block_is_written_in_the_order_that_survives),
		cmocka_unit_test(many_new_blocks_share_a_flush),
		cmocka_unit_test(data_in_place_costs_no_metadata),
		cmocka_unit_test(
		    sectors_with_clear_bits_are_written_before_their_bits),
		cmocka_unit_test(a_write_over_set_and_clear_bits_splits),
		cmocka_unit_test(the_last_block_has_bits_for_the_disk_only),
		cmocka_unit_test(zeros_need_no_space),
		cmocka_unit_test(a_device_keeps_its_length_and_its_footer),
		cmocka_unit_test(a_search_for_space_that_failed_is_made_again),
		cmocka_unit_test(a_full_device_says_so_and_stays_sound),
		cmocka_unit_test(a_full_file_system_leaves_the_old_end),
		cmocka_unit_test(
		    a_footer_that_may_not_be_there_ends_all_writing),
		cmocka_unit_test(blocks_start_where_an_entry_can_name_them),
		cmocka_unit_test(a_latched_handle_writes_no_table_to_make_room),
		cmocka_unit_test(a_bad_entry_is_never_written_through),
		cmocka_unit_test(a_footer_of_511_bytes_becomes_a_whole_one),
		cmocka_unit_test(a_fixed_disk_is_written_in_place),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
