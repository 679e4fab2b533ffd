/* SPDX-License-Identifier: ISC */

/*
 * Faults, for QED.  Each call to the host fails in turn, once or from then
 * on: some call of the library says so, no memory leaks, and the image is as
 * sound as after a power cut.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define T QS_TABLES

static const struct qsetup setups[] = {
	{ "empty", 0, 12, 1, 0, 3, 2 },
	{ "all kinds", 0, 12, 0, T | QS_STRAY | QS_BITMAPS, 2, 3 },
	{ "backing", 0, 12, 0, QS_BACKING, 64, 4 },
	{ "backing, all kinds", 0, 13, 0, T | QS_STRAY | QS_BACKING, 4, 4 },
	{ "garbage", 0, 12, 0, T | QS_STRAY | QS_GARBAGE, 3, 4 },
	{ "fresh", 0, 12, 0, QS_FRESH | QS_BACKING, 3, 2 },
};

#define ALL_SETUPS setups, LENGTH_OF(setups)

static void
each_read_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_READ, 0, 0, 400);
}

static void
each_write_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_WRITE, 0, 0, 500);
}

static void
each_write_may_fail_half_way(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_WRITE, 0, 1, 500);
}

static void
each_barrier_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_BARRIER, 0, 0, 200);
}

static void
each_resize_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_RESIZE, 0, 0, 100);
}

static void
each_allocation_may_fail(void **state)
{
	(void)state;
	fault_allocations(ALL_SETUPS);
}

#define LARGE_CACHE &setups[2]

static void
a_failed_barrier_latches_the_handle(void **state)
{
	(void)state;
	fault_latches(LARGE_CACHE, MEM_BARRIER, 1);
	fault_latches(LARGE_CACHE, MEM_BARRIER, 2);
}

static void
a_failed_write_of_a_table_latches_the_handle(void **state)
{
	(void)state;
	/* Four writes of data, two of them from behind: then L2, L2, L1. */
	fault_latches(LARGE_CACHE, MEM_WRITE, 5);
	fault_latches(LARGE_CACHE, MEM_WRITE, 6);
	fault_latches(LARGE_CACHE, MEM_WRITE, 7);
}

static void
a_full_file_system_is_no_harm(void **state)
{
	(void)state;
	fault_full(ALL_SETUPS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_read_may_fail),
		cmocka_unit_test(each_write_may_fail),
		cmocka_unit_test(each_write_may_fail_half_way),
		cmocka_unit_test(each_barrier_may_fail),
		cmocka_unit_test(each_resize_may_fail),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(a_failed_barrier_latches_the_handle),
		cmocka_unit_test(a_failed_write_of_a_table_latches_the_handle),
		cmocka_unit_test(a_full_file_system_is_no_harm),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
