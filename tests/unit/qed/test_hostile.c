/* SPDX-License-Identifier: ISC */

/*
 * Images that are made to take long, and environments that fail: what
 * verification reads is a few times what there is of tables, whatever leads
 * where, and it ends with the first error.
 */

#include "tool/tool.h"
#include "unit/qed/fx.h"

#define C UINT64_C(4096)

static struct fx fx;
static struct mkqed *k;
static uint8_t buf[1 << 20];

/* n entries from at on: first, first + step, and so on. */
static void
fill(uint64_t at, uint64_t n, uint64_t first, uint64_t step)
{
	uint64_t i;

	assert_true(n * 8 <= sizeof(buf));
	for (i = 0; i < n; i++)
		img_put_le64(buf + i * 8, first + i * step);
	mem_put(&fx.fx_mem, at, buf, (size_t)n * 8);
}

/* Verify: so many findings of that row, and at most so many slices read. */
static void
costs(enum img_row row, unsigned n, uint64_t slices)
{
	mem_reset(&fx.fx_mem);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(mem_has(&fx.fx_sink, row), n);
	assert_int_equal(fx.fx_sink.s_n, n);
	if (fx.fx_mem.m_rbytes > slices * IMG_SLICE + 2048)
		fail_msg("%lu slices read",
		    (unsigned long)fx.fx_mem.m_rbytes / IMG_SLICE);
	assert_int_equal(fx.fx_mem.m_past, 0);
	fx_close(&fx);
	fx_done(&fx);
}

/* Tables of 64 slices. */
static void
begin(void)
{
	k = fx_init(&fx, UINT64_C(1) << 40, 16, 4);
	mkqed_begin(k);
}

static void
sound_tables_are_read_once_and_the_l1_table_three_times(void **state)
{
	uint64_t i;

	(void)state;
	begin();
	for (i = 0; i < 20; i++)
		mkqed_set(k, i * k->k_entries, mkqed_take(k, 1));
	costs(IMG_ROW_NONE, 0, 3 * 64 + 20 * 64);
}

static void
all_l1_entries_lead_to_one_table(void **state)
{
	(void)state;
	begin();
	fill(k->k_l1, k->k_entries, mkqed_take(k, 4), 0);
	costs(IMG_QED_L2_TWICE, 1 << 15, 5 * 64);
	/* And that is not all right, so it is looked at again. */
	begin();
	fill(k->k_l1, k->k_entries, mkqed_take(k, 4), 0);
	mkqed_put(&fx.fx_mem, k->k_next - 8, k->k_l1, 8);
	mem_reset(&fx.fx_mem);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_L2_TWICE), 1 << 15);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_QED_DATA_L1), 1);
	assert_true(fx.fx_mem.m_rbytes < 12 * 64 * IMG_SLICE);
	fx_close(&fx);
	fx_done(&fx);
}

static void
each_table_overlaps_with_the_one_before(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 36, 12, 16);
	mkqed_begin(k);
	assert_int_equal(k->k_entries, 8192);
	fill(k->k_l1, 8192, mkqed_take(k, 8192 + 16), C);
	costs(IMG_QED_L2_OVERLAP, 8192, 5 * 16);
}

static void
as_many_tables_as_there_can_be_are_read_once(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 34, 12, 4);
	mkqed_begin(k);
	assert_int_equal(k->k_entries, 2048);
	fill(k->k_l1, 2048, mkqed_take(k, 4 * 2048), 4 * C);
	costs(IMG_ROW_NONE, 0, 3 * 4 + 4 * 2048);
}

static void
all_entries_lead_to_one_cluster(void **state)
{
	uint64_t l2;

	(void)state;
	begin();
	l2 = mkqed_at(k, 0);
	fill(l2, k->k_entries, mkqed_take(k, 1), 0);
	costs(IMG_QED_DATA_TWICE, 1 << 15, 7 * 64 + 7 * 64);
}

/* Of tables that are hit by data, each is looked into once. */
static void
all_entries_lead_to_tables(void **state)
{
	uint64_t i, l2;

	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 36, 12, 16);
	mkqed_begin(k);
	l2 = mkqed_take(k, 8 * 16);
	fill(k->k_l1, 8, l2, 16 * C);
	for (i = 0; i < 8; i++)
		fill(l2 + i * 16 * C, 8192, l2 + (i + 1) % 8 * 16 * C, 0);
	costs(IMG_QED_DATA_L2, 8 * 8192, 7 * 16 + 7 * 128);
}

/* Guest offsets that 64 bits do not have are behind the end of any disk. */
static void
guest_offsets_do_not_wrap(void **state)
{
	uint64_t l2;

	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 62, 21, 16);
	mem_large(&fx.fx_mem);
	mkqed_begin(k);
	assert_int_equal(k->k_entries, 1 << 22);
	/* 2^21 and one times 2^43 is 2^43 in 64 bits. */
	l2 = mkqed_take(k, 16);
	mkqed_put(&fx.fx_mem, k->k_l1 + (1 << 21) * 8, l2, 8);
	mkqed_put(&fx.fx_mem, l2 + 8, 2, 8);
	mkqed_put(&fx.fx_mem, k->k_l1 + ((1 << 21) + 1) * 8, 1, 8);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 3); /* and QED-61 */
	assert_int_equal(mem_first(&fx.fx_sink, IMG_QED_L1_ONE)->fi_vlen, 0);
	assert_int_equal(mem_first(&fx.fx_sink, IMG_QED_DATA_SMALL)->fi_vlen,
	    0);
	fx_close(&fx);
	fx_done(&fx);
}

/* --- failures ------------------------------------------------------------ */

static void
make_broken(void)
{
	uint64_t l2;

	k = fx_init(&fx, UINT64_C(1) << 30, 12, 2);
	mkqed_begin(k);
	l2 = mkqed_at(k, 0);
	mkqed_data(k, 0);
	mkqed_data(k, 1024);
	mkqed_set(k, 9, 5 * C);
	mkqed_set(k, 1025, 5 * C);
	mkqed_put(&fx.fx_mem, mkqed_l1(k, 2048), l2, 8);
	mkqed_put(&fx.fx_mem, mkqed_l1(k, 3072), 5 * C, 8);
	fx_use(&fx, IMG_VERIFY);
	assert_true(mem_has(&fx.fx_sink, IMG_QED_L2_TWICE));
	assert_true(mem_has(&fx.fx_sink, IMG_QED_L2_DATA));
	assert_true(mem_has(&fx.fx_sink, IMG_QED_DATA_SHARED));
	fx_close(&fx);
	mem_reset(&fx.fx_mem);
	fx.fx_env.e_allocs = fx.fx_env.e_polls = 0;
}

/* The n-th call fails; or how many of them there are, if none is to. */
static int
fail_at(unsigned how, uint64_t n, uint64_t *calls)
{
	int error;

	make_broken();
	fx.fx_env.e_fail = how == 0 ? n : 0;
	fx.fx_env.e_poll_end = how == 1 ? n : 0;
	fx.fx_mem.m_fail[MEM_READ] = how == 2 ? n : 0;
	error = fx_try(&fx, IMG_VERIFY);
	calls[0] = fx.fx_env.e_allocs;
	calls[1] = fx.fx_env.e_polls;
	calls[2] = fx.fx_mem.m_calls[MEM_READ];
	fx_done(&fx);
	return (error);
}

static void
the_first_error_ends_it(void **state)
{
	static const int errors[] = { ENOMEM, EINTR, EIO };
	uint64_t calls[3], some[3], n;
	unsigned how;

	(void)state;
	assert_int_equal(fail_at(3, 0, calls), 0);
	for (how = 0; how < 3; how++) {
		assert_true(calls[how] > 4);
		for (n = 1; n <= calls[how]; n++)
			assert_int_equal(fail_at(how, n, some), errors[how]);
	}
}

/* The largest tables that are legal are in a file that hardly has a byte. */
static void
memory_follows_the_file_and_not_the_geometry(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(1) << 62, 26, 16);
	mem_large(&fx.fx_mem);
	mkqed_begin(k);
	mkqed_set(k, 12345, mkqed_take(k, 1));
	fx_use(&fx, 0);
	assert_true(fx.fx_env.e_peak < 1 << 20);
	fx_close(&fx);
	fx_done(&fx);
}

/*
 * A table of 1 GiB that hardly has a byte is not read; but what was written
 * counts, also where the file still has a hole.
 */
static void
tables_that_are_holes_are_passed_over(void **state)
{
	struct img_checked ch;
	struct mem host;
	uint64_t chunk;

	(void)state;
	mem_file(&host, 0);
	k = fx_init(&fx, UINT64_C(1) << 62, 26, 16);
	mem_large(&fx.fx_mem);
	chunk = (UINT64_C(1) << fx.fx_mem.m_shift) / IMG_SLICE;
	fx.fx_mem.m_ops.fo_extent = host.m_ops.fo_extent;
	mkqed_begin(k);
	mkqed_set(k, 1 << 26, mkqed_take(k, 1));
	mem_reset(&fx.fx_mem);
	fx_use(&fx, IMG_RDWR);
	/* Four times: the chunk that is there, a slice of each that is not. */
	assert_in_range(fx.fx_mem.m_calls[MEM_READ], 4 * chunk,
	    4 * (chunk + (UINT64_C(1) << 30) / (chunk * IMG_SLICE)));
	assert_int_equal(img_check(fx.fx_im, 0, 0, &ch), 0);
	assert_int_equal(ch.ch_allocated, 1);
	fx_writes(&fx, (UINT64_C(1) << 51) + (UINT64_C(2000) << 26), 512);
	assert_int_equal(img_check(fx.fx_im, 0, 0, &ch), 0);
	assert_int_equal(ch.ch_allocated, 2);
	fx.fx_env.e_late = 0; /* a check may allocate */
	fx_close(&fx);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    sound_tables_are_read_once_and_the_l1_table_three_times),
		cmocka_unit_test(all_l1_entries_lead_to_one_table),
		cmocka_unit_test(each_table_overlaps_with_the_one_before),
		cmocka_unit_test(as_many_tables_as_there_can_be_are_read_once),
		cmocka_unit_test(all_entries_lead_to_one_cluster),
		cmocka_unit_test(all_entries_lead_to_tables),
		cmocka_unit_test(guest_offsets_do_not_wrap),
		cmocka_unit_test(the_first_error_ends_it),
		cmocka_unit_test(memory_follows_the_file_and_not_the_geometry),
		cmocka_unit_test(tables_that_are_holes_are_passed_over),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
