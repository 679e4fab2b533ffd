/* SPDX-License-Identifier: ISC */

/* Repair: it makes sound, changes what it tells, and fails cleanly. */

#include "unit/vhd/damage.h"

static void
what_is_damaged_becomes_sound(void **state)
{
	uint8_t was[DISK];
	struct told t, dry;
	struct mem copy = { 0 };
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		print_message("\t%s\n", damages[i].d_name);
		make(&fx, &damages[i], was);
		memset(&t, 0, sizeof(t));
		memset(&dry, 0, sizeof(dry));
		mem_copy(&copy, &fx.fx_mem);
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, IMG_DRYRUN, &dry),
		    0);
		assert_true(mem_equal(&copy, &fx.fx_mem));
		assert_true(dry.t_n > 0);
		mem_free(&copy);
		assert_true(mend(&fx, &t));
		assert_true(t.t_n >= dry.t_n);
		assert_true(is_intact(&fx, &t, was));
		done(&fx);
	}
}

/* A safe repair says and does nothing to the disk's bytes. */
static void
safe_is_safe(void **state)
{
	uint8_t was[DISK], got[512], now[512];
	struct told t;
	struct fx fx, old;
	size_t i, k;
	int error;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		make(&fx, &damages[i], was);
		memset(&t, 0, sizeof(t));
		memset(&old, 0, sizeof(old));
		mem_env(&old.fx_env);
		mem_copy(&old.fx_mem, &fx.fx_mem);
		assert_int_equal(repair(&fx, IMG_FIX_SAFE, 0, &t), 0);
		for (k = 0; k < LENGTH_OF(t.t_lost); k++)
			assert_int_equal(t.t_lost[k], 0);
		if (fx_open(&old, 0) == 0) {
			assert_int_equal(fx_open(&fx, 0), 0);
			for (k = 0; k < DISK / 512; k++) {
				error = img_read(old.fx_im, got, 512, k * 512);
				assert_int_equal(img_read(fx.fx_im, now, 512,
						     k * 512),
				    error);
				if (error == 0)
					assert_memory_equal(got, now, 512);
			}
			mem_abandon(fx.fx_im, &fx.fx_env);
			mem_abandon(old.fx_im, &old.fx_env);
		}
		mem_free(&old.fx_mem);
		done(&fx);
	}
}

/* Whatever fails, the error comes back and another repair does it. */
static void
any_failure_is_told(void **state)
{
	static const enum mem_op ops[] = { MEM_READ, MEM_WRITE, MEM_BARRIER,
		MEM_LENGTH, MEM_RESIZE };
	uint8_t was[DISK];
	struct told t;
	struct fx fx;
	size_t i, k;
	uint64_t n;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++)
		for (k = 0; k < LENGTH_OF(ops); k++)
			for (n = 1;; n++) {
				make(&fx, &damages[i], was);
				memset(&t, 0, sizeof(t));
				mem_reset(&fx.fx_mem);
				fx.fx_mem.m_fail[ops[k]] = n;
				if (repair(&fx, IMG_FIX_LOSSY, 0, &t) == 0 &&
				    fx.fx_mem.m_failed > 0 &&
				    ops[k] != MEM_READ)
					fail_msg("%s: not told",
					    damages[i].d_name);
				if (fx.fx_mem.m_failed == 0) {
					done(&fx);
					break;
				}
				mem_reset(&fx.fx_mem);
				assert_true(mend(&fx, &t));
				assert_true(is_intact(&fx, &t, was));
				done(&fx);
			}
}

static void
no_memory_is_told(void **state)
{
	uint8_t was[DISK];
	struct told t;
	struct mem copy = { 0 };
	struct fx fx;
	size_t i;
	uint64_t n;
	int error;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++)
		for (n = 1;; n++) {
			make(&fx, &damages[i], was);
			memset(&t, 0, sizeof(t));
			mem_copy(&copy, &fx.fx_mem);
			fx.fx_env.e_allocs = 0;
			fx.fx_env.e_fail = n;
			error = repair(&fx, IMG_FIX_LOSSY, 0, &t);
			fx.fx_env.e_fail = 0;
			if (error != 0) {
				assert_int_equal(error, ENOMEM);
				assert_int_equal(t.t_n, 0);
				assert_true(mem_equal(&copy, &fx.fx_mem));
			}
			mem_free(&copy);
			done(&fx);
			if (error == 0)
				break;
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_damaged_becomes_sound),
		cmocka_unit_test(safe_is_safe),
		cmocka_unit_test(any_failure_is_told),
		cmocka_unit_test(no_memory_is_told),
	};

	return (cmocka_run_group_tests_name("vhd repair", tests, NULL, NULL));
}
