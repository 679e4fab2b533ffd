/* SPDX-License-Identifier: ISC */

/* Each call to the host fails in turn. */

#include "unit/help/test.h"

#include "crash/crash.h"

#define STEPS 24u

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

	subject_setup(&su, qs);
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

void
fault_each(const struct qsetup *qs, size_t nqs, enum mem_op op, unsigned file,
    int half, unsigned at_least)
{
	struct fault fa;
	unsigned how, n = 0;
	size_t i;

	for (how = 0; how < 4; how++) {
		memset(&fa, 0, sizeof(fa));
		fa.fa_op = op;
		fa.fa_file = file;
		fa.fa_half = half;
		fa.fa_forever = (int)how & 1;
		fa.fa_stop = (int)how >> 1;
		for (i = 0; i < nqs; i++)
			if (file == 0 || (qs[i].qs_flags & QS_DATA))
				n += run_all(&qs[i], &fa);
	}
	print_message("kind %u: %u runs\n", op, n);
	if (n < at_least)
		fail_msg("only %u calls of kind %u were there to fail", n, op);
}

void
fault_allocations(const struct qsetup *qs, size_t nqs)
{
	struct subject su;
	unsigned n;
	size_t i;
	int error;

	for (i = 0; i < nqs; i++)
		for (n = 1, error = ENOMEM; error != 0; n++) {
			subject_setup(&su, &qs[i]);
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

void
fault_latches(const struct qsetup *qs, enum mem_op op, uint64_t n)
{
	struct subject su;
	struct mem *m = &su.su_mem[0];
	uint64_t writes;
	uint8_t b = 1;

	subject_setup(&su, qs);
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

void
fault_full(const struct qsetup *qs, size_t nqs)
{
	struct subject su;
	const char *why;
	unsigned n;
	size_t i;

	for (i = 0; i < nqs; i++)
		for (n = 1; n < 40; n++) {
			subject_setup(&su, &qs[i]);
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
