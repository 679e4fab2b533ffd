/* SPDX-License-Identifier: ISC */

/*
 * Faults, for qcow2.  Each call to the host fails in turn, once or from then
 * on: some call of the library says so, no memory leaks, and the image is as
 * sound as after a power cut.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define STEPS 24u
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

struct fault {
	enum mem_op fa_op;
	unsigned fa_file;
	int fa_half;    /* of the write happens */
	int fa_forever; /* and all later ones fail too */
	int fa_stop;    /* the caller gives up at the first error */
};

/* Whether the n-th call failed; after that the image has to be sound. */
static int
run_with(const struct qsetup *qs, const struct fault *fa, uint64_t n)
{
	struct subject su;
	struct mem *m;
	const char *why;
	uint64_t failed;
	int error;

	subject_qcow2(&su, qs);
	m = &su.su_mem[fa->fa_file];
	su.su_stop = fa->fa_stop;
	m->m_fail[fa->fa_op] = n;
	m->m_half = fa->fa_half;
	m->m_forever = fa->fa_forever;
	error = subject_open(&su, su.su_flags | IMG_VERIFY);
	if (error == 0)
		subject_work(&su, STEPS, n % 3);
	else
		assert_true(mem_equal(&su.su_mem[0], &su.su_base[0]));
	failed = m->m_failed;
	if ((failed > 0) != (error != 0 || su.su_errors > 0))
		fail_msg("%s: call %u of kind %u: %u failed, %d errors",
		    qs->qs_name, (unsigned)n, fa->fa_op, (unsigned)failed,
		    su.su_errors);
	su.su_mem[0].m_log = su.su_mem[1].m_log = NULL;
	mem_reset(m);
	why = subject_verdict(&su, su.su_mem,
	    guest_required(&su.su_guest, SIZE_MAX), 1, 1);
	if (why[0] != '\0')
		fail_msg("%s: call %u of kind %u: %s", qs->qs_name, (unsigned)n,
		    fa->fa_op, why);
	subject_free(&su);
	return (failed > 0);
}

/* Until a run has no such call any more; the first ones all, then some. */
static unsigned
run_all(const struct qsetup *qs, const struct fault *fa)
{
	unsigned n, runs = 0;

	for (n = 1; run_with(qs, fa, n); runs++)
		n += n < 30 ? 1 : n < 100 ? 5 : 17;
	return (runs);
}

static void
each_way_to_go_on(enum mem_op op, unsigned file, int half, unsigned at_least)
{
	struct fault fa;
	unsigned how, i, n = 0;

	for (how = 0; how < 4; how++) {
		memset(&fa, 0, sizeof(fa));
		fa.fa_op = op;
		fa.fa_file = file;
		fa.fa_half = half;
		fa.fa_forever = (int)how & 1;
		fa.fa_stop = (int)how >> 1;
		for (i = 0; i < LENGTH_OF(setups); i++)
			if (file == 0 || (setups[i].qs_flags & QS_DATA))
				n += run_all(&setups[i], &fa);
	}
	print_message("kind %u: %u runs\n", op, n);
	if (n < at_least)
		fail_msg("only %u calls of kind %u were there to fail", n, op);
}

static void
each_read_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_READ, 0, 0, 500);
}

static void
each_write_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_WRITE, 0, 0, 500);
}

static void
each_write_may_fail_half_way(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_WRITE, 0, 1, 500);
}

static void
each_barrier_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_BARRIER, 0, 0, 200);
}

static void
each_resize_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_RESIZE, 0, 0, 20);
}

static void
zeroing_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_ZERO, 0, 0, 8);
}

static void
the_data_file_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_WRITE, 1, 1, 40);
	each_way_to_go_on(MEM_BARRIER, 1, 0, 20);
	each_way_to_go_on(MEM_ZERO, 1, 0, 4);
}

static void
each_allocation_may_fail(void **state)
{
	struct subject su;
	unsigned i, n;
	int error;

	(void)state;
	for (i = 0; i < LENGTH_OF(setups); i++)
		for (n = 1, error = ENOMEM; error != 0; n++) {
			subject_qcow2(&su, &setups[i]);
			su.su_env.e_allocs = 0;
			su.su_env.e_fail = n;
			error = subject_open(&su, su.su_flags | IMG_VERIFY);
			if (error == 0)
				subject_work(&su, STEPS, 1);
			else
				assert_int_equal(error, ENOMEM);
			assert_int_equal(su.su_errors, 0);
			subject_free(&su); /* none while it was open */
			assert_true(n < 20);
		}
}

/* After that, nothing is written until the handle is closed. */
static void
latched_by(enum mem_op op, uint64_t n)
{
	struct subject su;
	struct mem *m = &su.su_mem[0];
	uint64_t writes;
	uint8_t b = 1;

	subject_qcow2(&su, &setups[2]); /* with a large cache */
	assert_int_equal(subject_open(&su, IMG_RDWR), 0);
	m->m_fail[op] = m->m_calls[op] + n;
	assert_int_equal(img_write(su.su_im, &b, 1, su.su_window[0]), 0);
	assert_int_equal(img_write(su.su_im, &b, 1, su.su_spare), 0);
	assert_int_equal(img_flush(su.su_im), EIO);
	assert_int_equal(m->m_failed, 1);
	writes = m->m_calls[MEM_WRITE];
	assert_int_equal(img_write(su.su_im, &b, 1, su.su_window[0]), EIO);
	assert_int_equal(img_zero(su.su_im, su.su_window[0], 512), EIO);
	assert_int_equal(img_flush(su.su_im), EIO);
	assert_int_equal(img_read(su.su_im, &b, 1, 0), 0);
	assert_int_equal(mem_close(su.su_im, &su.su_env), EIO);
	assert_int_equal(m->m_calls[MEM_WRITE], writes);
	subject_free(&su);
}

static void
a_failed_barrier_latches_the_handle(void **state)
{
	(void)state;
	latched_by(MEM_BARRIER, 1);
	latched_by(MEM_BARRIER, 2);
	latched_by(MEM_BARRIER, 3);
}

static void
a_failed_write_of_a_table_latches_the_handle(void **state)
{
	(void)state;
	/* Three writes of data, one of a new L2 table: then they come. */
	latched_by(MEM_WRITE, 5);
	latched_by(MEM_WRITE, 6);
	latched_by(MEM_WRITE, 7);
}

static void
a_full_file_system_is_no_harm(void **state)
{
	struct subject su;
	const char *why;
	unsigned i, n;

	(void)state;
	for (i = 0; i < 4; i++)
		for (n = 1; n < 40; n++) {
			subject_qcow2(&su, &setups[i]);
			su.su_mem[0].m_fail[MEM_WRITE] = n;
			su.su_mem[0].m_half = 1;
			su.su_mem[0].m_error = ENOSPC;
			assert_int_equal(subject_open(&su, su.su_flags), 0);
			subject_work(&su, STEPS, n);
			su.su_mem[0].m_log = NULL;
			mem_reset(&su.su_mem[0]);
			why = subject_verdict(&su, su.su_mem,
			    guest_required(&su.su_guest, SIZE_MAX), 1, 1);
			assert_string_equal(why, "");
			subject_free(&su);
		}
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
