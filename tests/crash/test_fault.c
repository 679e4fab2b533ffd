/* SPDX-License-Identifier: ISC */

/*
 * Faults.  Each call to the host fails in turn, once or from then on: some
 * call of the library says so, nothing leaks, and the image is as sound as
 * after a power cut.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define STEPS 40u

struct fault {
	enum mem_op fa_op;
	int fa_half;    /* of the write happens */
	int fa_forever; /* and all later ones fail too */
	int fa_stop;    /* the caller gives up at the first error */
};

/* Whether the n-th call failed; after that the image has to be sound. */
static int
run_with(char kind, uint32_t slices, uint64_t seed, const struct fault *fa,
    uint64_t n)
{
	struct subject su;
	const char *why;
	uint64_t failed;
	int error;

	subject_make(&su, kind, slices);
	su.su_stop = fa->fa_stop;
	su.su_mem[0].m_fail[fa->fa_op] = n;
	su.su_mem[0].m_half = fa->fa_half;
	su.su_mem[0].m_forever = fa->fa_forever;
	error = subject_open(&su, IMG_RDWR | IMG_VERIFY);
	if (error == 0)
		subject_work(&su, STEPS, seed);
	else
		assert_true(mem_equal(&su.su_mem[0], &su.su_base[0]));
	failed = su.su_mem[0].m_failed;
	if ((failed > 0) != (error != 0 || su.su_errors > 0))
		fail_msg("%c: call %u of kind %u: %u failed, %d errors", kind,
		    (unsigned)n, fa->fa_op, (unsigned)failed, su.su_errors);
	su.su_mem[0].m_log = NULL;
	mem_reset(&su.su_mem[0]);
	why = subject_verdict(&su, su.su_mem,
	    guest_required(&su.su_guest, SIZE_MAX), 1, 1);
	if (why[0] != '\0')
		fail_msg("%c: call %u of kind %u: %s", kind, (unsigned)n,
		    fa->fa_op, why);
	subject_free(&su);
	return (failed > 0);
}

/* Until a run has no such call any more. */
static unsigned
run_all(char kind, uint32_t slices, const struct fault *fa)
{
	unsigned n;

	for (n = 1; run_with(kind, slices, n % 3, fa, n); n++)
		if (fa->fa_forever && n > 40)
			n += 6;
	return (n);
}

static void
each_kind_of_image(const struct fault *fa, unsigned at_least)
{
	unsigned n;

	n = run_all('e', 64, fa);
	n += run_all('g', 64, fa);
	n += run_all('g', 2, fa);
	n += run_all('d', 2, fa);
	n += run_all('x', 2, fa);
	if (n < at_least)
		fail_msg("only %u calls of kind %u were there to fail", n,
		    fa->fa_op);
}

static void
each_way_to_go_on(enum mem_op op, int half, unsigned at_least)
{
	struct fault fa;
	int how;

	for (how = 0; how < 4; how++) {
		memset(&fa, 0, sizeof(fa));
		fa.fa_op = op;
		fa.fa_half = half;
		fa.fa_forever = how & 1;
		fa.fa_stop = how >> 1;
		each_kind_of_image(&fa, at_least);
	}
}

static void
each_read_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_READ, 0, 30);
}

static void
each_write_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_WRITE, 0, 100);
}

static void
each_write_may_fail_half_way(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_WRITE, 1, 100);
}

static void
each_barrier_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_BARRIER, 0, 40);
}

static void
the_length_may_be_refused(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_LENGTH, 0, 5);
}

static void
zeroing_may_fail(void **state)
{
	(void)state;
	each_way_to_go_on(MEM_ZERO, 0, 8);
}

static void
each_allocation_may_fail(void **state)
{
	static const char kinds[] = "egdx";
	struct subject su;
	unsigned i, n;
	int error;

	(void)state;
	for (i = 0; i < 4; i++)
		for (n = 1, error = ENOMEM; error != 0; n++) {
			subject_make(&su, kinds[i], 2);
			su.su_env.e_allocs = 0;
			su.su_env.e_fail = n;
			error = subject_open(&su, IMG_RDWR | IMG_VERIFY);
			if (error == 0)
				subject_work(&su, STEPS, 1);
			else
				assert_int_equal(error, ENOMEM);
			assert_int_equal(su.su_errors, 0);
			subject_free(&su);
			assert_true(n < 20);
		}
}

/* A full file system: no write beyond the end, and the end stays. */
static void
no_space_is_an_error_and_not_the_end(void **state)
{
	struct subject su;
	const char *why;
	unsigned n;

	(void)state;
	for (n = 1; n < 60; n++) {
		subject_make(&su, 'g', 2);
		su.su_mem[0].m_fail[MEM_WRITE] = n;
		su.su_mem[0].m_half = 1;
		su.su_mem[0].m_error = ENOSPC;
		assert_int_equal(subject_open(&su, IMG_RDWR), 0);
		subject_work(&su, STEPS, n);
		su.su_mem[0].m_log = NULL;
		mem_reset(&su.su_mem[0]);
		why = subject_verdict(&su, su.su_mem,
		    guest_required(&su.su_guest, SIZE_MAX), 1, 1);
		assert_string_equal(why, "");
		subject_free(&su);
	}
}

/* One run on a fresh file; 0 when no call was left to fail. */
static int
run_fresh(char kind, enum mem_op op, uint64_t n)
{
	static const char degraded[] = "open gives 30, 2 rows, VHD-8";
	struct subject su;
	const struct img_format *fmt = NULL;
	const char *why;
	int failed;

	subject_make(&su, kind, 2);
	su.su_stop = 1;
	su.su_mem[0].m_fail[op] = n;
	failed = subject_open(&su, IMG_RDWR | IMG_FRESH) != 0;
	if (!failed)
		subject_work(&su, STEPS, n);
	failed = failed || su.su_errors > 0;
	assert_int_equal(failed, su.su_mem[0].m_failed > 0);
	su.su_mem[0].m_log = NULL;
	mem_reset(&su.su_mem[0]);
	assert_int_equal(img_probe(&su.su_env.e_env, &su.su_mem[0].m_file,
			     &fmt),
	    0);
	/*
	 * After an error: no VHD at all, or one that is whole, or one whose
	 * copy of the footer is missing, which nobody writes to by mistake.
	 */
	if (!failed)
		assert_ptr_equal(fmt, img_format_find("vhd"));
	if (fmt == img_format_find("vhd")) {
		why = subject_verdict(&su, su.su_mem, 0, 1, 0);
		if (why[0] != '\0' && (!failed || strcmp(why, degraded) != 0))
			fail_msg("%c: call %u of kind %u: %s", kind,
			    (unsigned)n, op, why);
	}
	subject_free(&su);
	return (failed);
}

static void
a_fresh_file_is_complete_or_no_image(void **state)
{
	static const enum mem_op ops[] = { MEM_READ, MEM_WRITE, MEM_BARRIER,
		MEM_RESIZE, MEM_LENGTH };
	unsigned i, n, k;

	(void)state;
	for (k = 0; k < 2; k++)
		for (i = 0; i < LENGTH_OF(ops); i++)
			for (n = 1; run_fresh("ed"[k], ops[i], n); n++)
				assert_true(n < 2000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_read_may_fail),
		cmocka_unit_test(each_write_may_fail),
		cmocka_unit_test(each_write_may_fail_half_way),
		cmocka_unit_test(each_barrier_may_fail),
		cmocka_unit_test(the_length_may_be_refused),
		cmocka_unit_test(zeroing_may_fail),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(no_space_is_an_error_and_not_the_end),
		cmocka_unit_test(a_fresh_file_is_complete_or_no_image),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
