/* SPDX-License-Identifier: ISC */

/*
 * The life of a QED image: written to, cut off from power or from its host,
 * opened again and written to again, against a plain array of bytes; and
 * images that are marked to be checked.
 */

#include "unit/help/test.h"

#include "crash/crash.h"
#include "unit/help/cuts.h"

#define T QS_TABLES

static const struct qsetup setups[] = {
	{ "empty", 0, 12, 0, 0, 3, 2 },
	{ "stray", 0, 12, 1, QS_STRAY | QS_BITMAPS, 64, 3 },
	{ "backing", 0, 12, 0, QS_BACKING, 2, 4 },
	{ "all kinds", 0, 13, 0, T | QS_BACKING, 64, 4 },
	{ "garbage", 0, 12, 0, QS_GARBAGE | QS_BACKING, 4, 3 },
};

#define LIVES 150u
#define YEARS 14u /* of a life: opened and closed so often */

/* What a cut leaves when the log was that long: some of the last stretch. */
static void
cut_at(struct subject *su, size_t n, uint64_t *seed)
{
	static struct cuts_piece p[CUTS_PIECES];
	const struct mem_log *lg = &su->su_log;
	size_t i, durable = n, npieces;

	while (durable > 0 && lg->lg_op[durable - 1].l_op != MEM_BARRIER)
		durable--;
	mem_copy(&su->su_mem[0], &su->su_base[0]);
	npieces = cuts_pieces(lg, 0, durable, p);
	for (i = 0; i < npieces; i++)
		cuts_apply(&su->su_mem[0], &p[i]);
	npieces = cuts_pieces(lg, durable, n, p);
	for (i = 0; i < npieces; i++)
		if (mem_random(seed) >> 9 & 1)
			cuts_apply(&su->su_mem[0], &p[i]);
}

/* A call of some kind fails, once or from then on. */
static void
bring_trouble(struct mem *m, uint64_t *seed)
{
	static const enum mem_op ops[] = { MEM_READ, MEM_WRITE, MEM_BARRIER,
		MEM_RESIZE };

	m->m_fail[ops[mem_random(seed) % LENGTH_OF(ops)]] =
	    mem_random(seed) % 20 + 1;
	m->m_half = mem_random(seed) % 2;
	m->m_forever = mem_random(seed) % 2;
}

/* One opening: "" or what is wrong then; counts cuts and faults. */
static const char *
live(struct subject *su, uint64_t *seed, unsigned *count)
{
	struct mem *m = &su->su_mem[0];
	int trouble = mem_random(seed) % 3 == 0;
	size_t n = SIZE_MAX;

	if (trouble)
		bring_trouble(m, seed);
	if (subject_open(su, su->su_flags) == 0)
		subject_work(su, 8, *seed);
	assert_true(trouble || su->su_errors == 0);
	m->m_log = NULL;
	mem_reset(m);
	if (mem_random(seed) % 2 == 0) {
		n = mem_random(seed) % (su->su_log.lg_n + 1);
		cut_at(su, n, seed);
	}
	su->su_errors = 0;
	*count += trouble || n != SIZE_MAX;
	return (subject_verdict(su, su->su_mem,
	    guest_required(&su->su_guest, n), trouble, 0));
}

/* What is there now is what there must be from now on. */
static void
begin_again(struct subject *su)
{
	guest_free(&su->su_guest);
	mem_log_free(&su->su_log);
	subject_begin(su);
}

static void
one_image_lives_through_many_cuts_and_faults(void **state)
{
	struct subject su;
	uint64_t seed = 7;
	unsigned life, year, n = 0;
	const char *why;

	(void)state;
	for (life = 0; life < LIVES; life++) {
		subject_qed(&su, &setups[life % LENGTH_OF(setups)]);
		for (year = 0; year < YEARS; year++) {
			why = live(&su, &seed, &n);
			if (why[0] != '\0')
				fail_msg("life %u, year %u: %s", life, year,
				    why);
			begin_again(&su);
		}
		subject_free(&su);
	}
	print_message("%u cuts and faults\n", n);
	assert_true(n > LIVES * YEARS / 3);
}

static void
an_image_to_be_checked_is_not_written_to(void **state)
{
	struct subject su;
	struct mem was = { 0 };
	size_t i;
	uint8_t b;

	(void)state;
	for (i = 0; i < LENGTH_OF(setups); i++) {
		subject_qed(&su, &setups[i]);
		mkqed_put(&su.su_mem[0], 16,
		    mkqed_get(&su.su_mem[0], 16, 8) | 2, 8);
		mem_copy(&was, &su.su_mem[0]);
		assert_int_equal(subject_open(&su, su.su_flags), EROFS);
		assert_int_equal(subject_open(&su, IMG_RDWR | IMG_FRESH),
		    EROFS);
		assert_int_equal(subject_open(&su, IMG_VERIFY), 0);
		assert_int_equal(img_read(su.su_im, &b, 1, 0), 0);
		assert_int_equal(img_write(su.su_im, &b, 1, 0), EROFS);
		assert_int_equal(img_zero(su.su_im, 0, 512), EROFS);
		assert_int_equal(mem_close(su.su_im, &su.su_env), 0);
		assert_true(mem_equal(&su.su_mem[0], &was));
		assert_int_equal(su.su_log.lg_n, 0);
		mem_free(&was);
		subject_free(&su);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_image_lives_through_many_cuts_and_faults),
		cmocka_unit_test(an_image_to_be_checked_is_not_written_to),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
