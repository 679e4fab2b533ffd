/* SPDX-License-Identifier: ISC */

/*
 * Faults, for qcow2.  Each call to the host fails in turn, once or from then
 * on: some call of the library says so, no memory leaks, and the image is as
 * sound as after a power cut.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define T QS_TABLES

static const struct qsetup setups[] = {
	{ "snapshots", 3, 9, 4, T | QS_SNAP | QS_PACKED, 2, 3 },
	{ "table grows", 3, 9, 6, T | QS_FULL | QS_BITMAPS, 3, 2 },
	{ "backing", 2, 12, 4, T | QS_BACKING, 64, 4 },
	{ "subclusters", 3, 14, 4, T | QS_EXTENDED | QS_BACKING, 4, 4 },
	{ "data file", 3, 12, 4, T | QS_DATA, 4, 4 },
	{ "device", 3, 9, 4, QS_DEVICE, 64, 2 },
	{ "fresh", 3, 9, 6, QS_FRESH | QS_BACKING, 3, 2 },
};

#define ALL_SETUPS setups, LENGTH_OF(setups)

static void
each_read_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_READ, 0, 0, 500);
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
	fault_each(ALL_SETUPS, MEM_RESIZE, 0, 0, 20);
}

static void
zeroing_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_ZERO, 0, 0, 8);
}

static void
the_data_file_may_fail(void **state)
{
	(void)state;
	fault_each(ALL_SETUPS, MEM_WRITE, 1, 1, 40);
	fault_each(ALL_SETUPS, MEM_BARRIER, 1, 0, 20);
	fault_each(ALL_SETUPS, MEM_ZERO, 1, 0, 4);
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
	fault_latches(LARGE_CACHE, MEM_BARRIER, 3);
}

static void
a_failed_write_of_a_table_latches_the_handle(void **state)
{
	(void)state;
	/* Three writes of data, one of a new L2 table: then they come. */
	fault_latches(LARGE_CACHE, MEM_WRITE, 5);
	fault_latches(LARGE_CACHE, MEM_WRITE, 6);
	fault_latches(LARGE_CACHE, MEM_WRITE, 7);
}

static void
a_full_file_system_is_no_harm(void **state)
{
	(void)state;
	fault_full(setups, 4);
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
		cmocka_unit_test(zeroing_may_fail),
		cmocka_unit_test(the_data_file_may_fail),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(a_failed_barrier_latches_the_handle),
		cmocka_unit_test(a_failed_write_of_a_table_latches_the_handle),
		cmocka_unit_test(a_full_file_system_is_no_harm),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
