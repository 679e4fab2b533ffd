/* SPDX-License-Identifier: ISC */

/*
 * Power cuts.  After a cut at any moment, with any of the writes since the
 * last barrier lost or torn at a sector, the image opens for writing, checks
 * clean or with leaks only, holds all that was flushed, and where more was
 * written each sector is old or new.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define STEPS 60u

static void
cut_everything(char kind, uint32_t slices, uint64_t seed)
{
	struct subject su;
	struct replay r;

	subject_make(&su, kind, slices);
	assert_int_equal(subject_open(&su, IMG_RDWR), 0);
	subject_work(&su, STEPS, seed);
	assert_int_equal(su.su_errors, 0);
	memset(&r, 0, sizeof(r));
	r.r_subject = &su;
	r.r_drop = DROP_NONE;
	r.r_stop = 1;
	replay(&r, 0, SIZE_MAX);
	print_message("%c, %u slices: %u entries of log, %u states\n", kind,
	    slices, (unsigned)su.su_log.lg_n, (unsigned)r.r_states);
	if (r.r_bad > 0)
		fail_msg("after %u states: %s", (unsigned)r.r_states, r.r_why);
	assert_true(r.r_states > 500);
	subject_free(&su);
}

static void
a_run_is_old_or_new_after_any_cut(void **state)
{
	(void)state;
	cut_everything('e', 64, 1);
	cut_everything('g', 64, 2);
	cut_everything('g', 64, 3);
}

static void
so_it_is_when_tables_hardly_fit_in_the_cache(void **state)
{
	(void)state;
	cut_everything('e', 2, 4);
	cut_everything('g', 2, 5);
	cut_everything('g', 1, 6);
}

static void
so_it_is_on_a_device_full_of_garbage(void **state)
{
	(void)state;
	cut_everything('d', 64, 7);
	cut_everything('d', 2, 8);
}

static void
so_it_is_in_a_fixed_image(void **state)
{
	(void)state;
	cut_everything('x', 2, 9);
}

/* What a barrier in the log comes after. */
enum after { FOOTER, DATA, COUNTS, POINTERS, NAFTER };

static const char *const after_names[NAFTER] = { "footer", "data", "bitmaps",
	"BAT" };

static int
is_bitmap(const struct subject *su, uint64_t off)
{
	uint32_t i;

	for (i = 0; i < NBLOCKS; i++)
		if ((uint64_t)mem_get32(&su->su_mem[0],
			mkvhd_entry_off(&su->su_k, i)) *
			512 ==
		    off)
			return (1);
	return (0);
}

static enum after
class_of(const struct subject *su, size_t i)
{
	const struct mem_logged *l = &su->su_log.lg_op[i];

	if (l->l_bytes >= 8 && memcmp(l->l_data, "conectix", 8) == 0)
		return (FOOTER);
	if (l->l_off >= su->su_k.k_bat &&
	    l->l_off < su->su_k.k_bat + NBLOCKS * 4)
		return (POINTERS);
	return (is_bitmap(su, l->l_off) ? COUNTS : DATA);
}

/* Without the k-th barrier, does the test see it?  Counts per class. */
static void
sabotage(char kind, uint64_t seed, unsigned *dropped, unsigned *noticed)
{
	struct subject su;
	struct replay r;
	enum after class;
	size_t i, next;

	subject_make(&su, kind, 64);
	assert_int_equal(subject_open(&su, IMG_RDWR), 0);
	subject_work(&su, STEPS, seed);
	for (i = 1; i < su.su_log.lg_n; i++) {
		if (su.su_log.lg_op[i].l_op != MEM_BARRIER)
			continue;
		for (next = i + 1; next < su.su_log.lg_n; next++)
			if (su.su_log.lg_op[next].l_op == MEM_BARRIER)
				break;
		memset(&r, 0, sizeof(r));
		r.r_subject = &su;
		r.r_drop = i;
		r.r_stop = 1;
		replay(&r, i, next);
		class = class_of(&su, i - 1);
		dropped[class]++;
		noticed[class] += r.r_bad > 0;
	}
	subject_free(&su);
}

static void
the_test_notices_a_missing_barrier(void **state)
{
	unsigned dropped[NAFTER] = { 0 }, noticed[NAFTER] = { 0 };
	unsigned i;

	(void)state;
	sabotage('g', 2, dropped, noticed);
	for (i = 0; i < NAFTER; i++) {
		print_message("file, after %s: %u of %u noticed\n",
		    after_names[i], noticed[i], dropped[i]);
		assert_true(noticed[i] > 0);
	}
	/* A lost footer is a lost image, a lost entry a lost flush. */
	assert_int_equal(noticed[FOOTER], dropped[FOOTER]);
	assert_int_equal(noticed[POINTERS], dropped[POINTERS]);
}

static void
the_test_notices_a_missing_barrier_on_a_device(void **state)
{
	unsigned dropped[NAFTER] = { 0 }, noticed[NAFTER] = { 0 };
	unsigned i;

	(void)state;
	sabotage('d', 7, dropped, noticed);
	for (i = DATA; i < NAFTER; i++) {
		print_message("device, after %s: %u of %u noticed\n",
		    after_names[i], noticed[i], dropped[i]);
		assert_true(noticed[i] > 0);
	}
	assert_int_equal(dropped[FOOTER], 0);
	assert_int_equal(noticed[POINTERS], dropped[POINTERS]);
}

static void
the_test_notices_that_there_are_no_barriers(void **state)
{
	struct subject su;
	struct replay r;

	(void)state;
	subject_make(&su, 'e', 64);
	assert_int_equal(subject_open(&su, IMG_RDWR), 0);
	subject_work(&su, STEPS, 1);
	memset(&r, 0, sizeof(r));
	r.r_subject = &su;
	r.r_drop = DROP_ALL;
	r.r_stop = 1;
	replay(&r, 0, SIZE_MAX);
	assert_true(r.r_bad > 0);
	subject_free(&su);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_old_or_new_after_any_cut),
		cmocka_unit_test(so_it_is_when_tables_hardly_fit_in_the_cache),
		cmocka_unit_test(so_it_is_on_a_device_full_of_garbage),
		cmocka_unit_test(so_it_is_in_a_fixed_image),
		cmocka_unit_test(the_test_notices_a_missing_barrier),
		cmocka_unit_test(
		    the_test_notices_a_missing_barrier_on_a_device),
		cmocka_unit_test(the_test_notices_that_there_are_no_barriers),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
