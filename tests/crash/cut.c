/* SPDX-License-Identifier: ISC */

/* A workload, all its cuts, and what they show without one of the barriers. */

#include "unit/help/test.h"

#include "crash/crash.h"

#define STEPS 40u

void
cut_everywhere(const struct qsetup *qs, uint64_t seed, unsigned steps,
    unsigned all)
{
	struct subject su;
	struct replay r;

	subject_setup(&su, qs);
	assert_int_equal(subject_open(&su, su.su_flags), 0);
	subject_work(&su, steps, seed);
	if (su.su_errors != 0)
		fail_msg("%s: %d errors", qs->qs_name, su.su_errors);
	/* And yet it flushed. */
	if ((qs->qs_flags & (QS_NOFLUSH | QS_FRESH)) == QS_NOFLUSH)
		assert_true(su.su_mem[0].m_calls[MEM_BARRIER] > 5);
	su.su_kind->sk_worked(&su);
	memset(&r, 0, sizeof(r));
	r.r_subject = &su;
	r.r_drop = DROP_NONE;
	r.r_all = all;
	r.r_stop = 1;
	replay(&r, 0, SIZE_MAX);
	print_message("%s, %u slices: %u entries of log, %u states\n",
	    qs->qs_name, qs->qs_slices, (unsigned)su.su_log.lg_n,
	    (unsigned)r.r_states);
	if (r.r_bad > 0)
		fail_msg("%s: after %u states: %s", qs->qs_name,
		    (unsigned)r.r_states, r.r_why);
	subject_free(&su);
}

void
cut_all(const struct qsetup *qs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		cut_everywhere(&qs[i], i + 1, STEPS, i == 0 ? 0 : 7);
}

void
cut_some(const struct qsetup *qs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		cut_everywhere(&qs[i], i + 1, STEPS, 7);
}

/* Without the i-th entry of the log, which is a barrier: is it seen? */
static int
drop(struct subject *su, size_t i)
{
	struct replay r;
	size_t next;

	for (next = i + 1; next < su->su_log.lg_n; next++)
		if (su->su_log.lg_op[next].l_op == MEM_BARRIER &&
		    su->su_log.lg_op[next].l_file == su->su_log.lg_op[i].l_file)
			break;
	memset(&r, 0, sizeof(r));
	r.r_subject = su;
	r.r_all = 8;
	r.r_drop = i;
	r.r_stop = 1;
	replay(&r, i, next);
	return (r.r_bad > 0);
}

void
cut_sabotage(struct subject *su, cut_class_fn *class_of, const void *arg,
    const char *const *names, struct tally *ta)
{
	struct replay r;
	size_t i, class;

	memset(ta, 0, sizeof(*ta));
	for (i = 1; i < su->su_log.lg_n; i++) {
		if (su->su_log.lg_op[i].l_op != MEM_BARRIER)
			continue;
		class = class_of(su, i, arg);
		if (class == NCLASSES)
			continue;
		ta->ta_dropped[class]++;
		ta->ta_noticed[class] += (unsigned)drop(su, i);
	}
	for (i = 0; i < NCLASSES && names[i] != NULL; i++)
		print_message("%s, after %s: %u of %u noticed\n",
		    su->su_setup->qs_name, names[i], ta->ta_noticed[i],
		    ta->ta_dropped[i]);
	memset(&r, 0, sizeof(r));
	r.r_subject = su;
	r.r_all = 8;
	r.r_drop = DROP_ALL;
	r.r_stop = 1;
	replay(&r, 0, SIZE_MAX);
	assert_true(r.r_bad > 0);
}
