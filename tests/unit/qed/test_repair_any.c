/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: whatever the damage, a safe repair is safe; and when the host
 * fails.
 */

#include "unit/qed/damage.h"

/* A full disk: what was begun is taken back, and no entry leads there. */
static void
a_copy_that_fails_leaves_no_trace(void **state)
{
	static struct told t;
	struct mem was = { 0 };
	struct fx fx;

	(void)state;
	make(&fx);
	twins_apart(&fx);
	mem_copy(&was, &fx.fx_mem);
	check(&fx);
	fx.fx_mem.m_fail[MEM_WRITE] = 1;
	fx.fx_mem.m_half = 1;
	fx.fx_mem.m_error = ENOSPC;
	assert_int_equal(repair(&fx, IMG_FIX_SAFE, 0, &t), ENOSPC);
	assert_true(mem_equal(&was, &fx.fx_mem));
	mem_free(&was);
	done(&fx);
}

/* A failing call anywhere: the repair says so, and nothing is worse. */
static void
every_failure_is_told(void **state)
{
	static const enum mem_op ops[] = { MEM_READ, MEM_WRITE, MEM_BARRIER,
		MEM_LENGTH, MEM_RESIZE };
	static void (*const with[])(
	    struct fx *) = { unknown_bits, leak_and_dirty, many };
	static struct content was;
	static struct told t;
	unsigned n, o, w, step;
	struct fx fx;
	int error;

	(void)state;
	for (w = 0; w < LENGTH_OF(with); w++) {
		for (o = 0; o < LENGTH_OF(ops); o++) {
			step = ops[o] == MEM_READ ? 37 : 1;
			for (n = 1, error = EIO; error != 0; n += step) {
				make(&fx);
				with[w](&fx);
				look(&fx, &was);
				memset(&t, 0, sizeof(t));
				check(&fx);
				mem_reset(&fx.fx_mem);
				fx.fx_mem.m_fail[ops[o]] = n;
				error = repair(&fx, IMG_FIX_LOSSY, 0, &t);
				assert_int_equal(error,
				    fx.fx_mem.m_failed > 0 ? EIO : 0);
				mem_reset(&fx.fx_mem);
				assert_true(is_intact(&fx, &t, &was));
				done(&fx);
			}
		}
	}
}

/* Without memory less is done, or nothing, but nothing is worse. */
static void
memory_may_run_out_anywhere(void **state)
{
	static void (*const with[])(struct fx *) = { unknown_bits, many,
		cut_and_outside, twins_all_over, leak_of_tables };
	static struct content was;
	static struct told t;
	unsigned w, before;
	struct fx fx;
	uint64_t n;
	int error;

	(void)state;
	for (w = 0; w < LENGTH_OF(with); w++) {
		for (n = 1, error = ENOMEM; error != 0; n++) {
			make(&fx);
			with[w](&fx);
			look(&fx, &was);
			memset(&t, 0, sizeof(t));
			check(&fx);
			before = corruptions(&fx);
			fx.fx_env.e_fail = fx.fx_env.e_allocs + n;
			error = repair(&fx, IMG_FIX_LOSSY, 0, &t);
			/* Beyond all that it asks for. */
			if (fx.fx_env.e_allocs >= fx.fx_env.e_fail)
				error = ENOMEM;
			fx.fx_env.e_fail = 0;
			assert_true(is_intact(&fx, &t, &was));
			check(&fx);
			assert_true(corruptions(&fx) <= before);
			done(&fx);
		}
	}
}

static uint64_t
some_entry(struct fx *fx, uint64_t *seed)
{
	uint64_t off = mem_random(seed) % 24 * CLUSTER;

	switch (mem_random(seed) % 8) {
	case 0:
		return (off | 1u << mem_random(seed) % 12);
	case 1:
		return (off | UINT64_C(1) << (20 + mem_random(seed) % 44));
	case 2:
		return (mem_random(seed) % 3);
	case 3:
		return (fx->fx_mem.m_len + mem_random(seed) % 3 * CLUSTER);
	default:
		return (off);
	}
}

static void
damage_something(struct fx *fx, uint64_t *seed)
{
	static const uint64_t guest[] = { 0, 1, 2, 3, 4, 6, 9, NENT - 1, NENT,
		NENT + 1, NENT + 2, 2 * NENT, 2 * NENT + 1, 2 * NENT + 9 };
	uint64_t g = guest[mem_random(seed) % LENGTH_OF(guest)];

	switch (mem_random(seed) % 10) {
	case 0:
	case 1:
	case 2:
		mkqed_put(&fx->fx_mem, mkqed_l1(&fx->fx_k, g),
		    some_entry(fx, seed), 8);
		break;
	case 3:
		if (mem_random(seed) % 4 == 0)
			mem_set_len(&fx->fx_mem,
			    fx->fx_mem.m_len - mem_random(seed) % 20000);
		break;
	case 4:
		if (mem_random(seed) % 2 == 0)
			field(fx, 16, mem_random(seed) % 4 * 2, 8);
		break;
	default:
		/* Where the table was made, whatever leads there by now. */
		mkqed_put(&fx->fx_mem,
		    (g / NENT == 0        ? 4 :
			    g / NENT == 1 ? 11 :
					    16) *
			    CLUSTER +
			g % NENT * 8,
		    some_entry(fx, seed), 8);
		break;
	}
}

/* Two in a row, and what each may not do. */
static void
safe_then_bold(struct fx *fx, uint64_t round)
{
	static struct content was;
	static struct told t;
	unsigned before;

	look(fx, &was);
	check(fx);
	before = corruptions(fx);
	memset(&t, 0, sizeof(t));
	assert_int_equal(repair(fx, IMG_FIX_SAFE, 0, &t), 0);
	if (!is_intact(fx, NULL, &was))
		fail_msg("round %lu: guest bytes changed",
		    (unsigned long)round);
	check(fx);
	if (corruptions(fx) > before)
		fail_msg("round %lu: %u corruptions, were %u",
		    (unsigned long)round, corruptions(fx), before);
	/* What was left behind is not enough for another one to stop. */
	repair_once(fx, IMG_FIX_SAFE, &t);
	repair_once(fx, IMG_FIX_SAFE, &t);
	if (t.t_n > 0)
		fail_msg("round %lu: no end", (unsigned long)round);
	before = corruptions(fx);
	repair_once(fx, IMG_FIX_LOSSY, &t);
	if (!is_intact(fx, &t, &was))
		fail_msg("round %lu: guest bytes changed, untold",
		    (unsigned long)round);
	check(fx);
	assert_true(corruptions(fx) <= before);
	assert_true(mend(fx, &t) || corruptions(fx) > 0);
}

static void
a_safe_repair_is_safe_whatever_the_damage(void **state)
{
	uint64_t seed = 1, round;
	struct fx fx;
	unsigned n;

	(void)state;
	for (round = 0; round < 400; round++) {
		make(&fx);
		for (n = 1 + mem_random(&seed) % 4; n > 0; n--)
			damage_something(&fx, &seed);
		safe_then_bold(&fx, round);
		done(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_that_fails_leaves_no_trace),
		cmocka_unit_test(every_failure_is_told),
		cmocka_unit_test(memory_may_run_out_anywhere),
		cmocka_unit_test(a_safe_repair_is_safe_whatever_the_damage),
	};

	return (cmocka_run_group_tests_name("qed repair, any damage", tests,
	    NULL, NULL));
}
