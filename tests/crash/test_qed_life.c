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

static void
ignore(void *arg, const struct img_fixed *x)
{
	(void)arg;
	(void)x;
}

/* A check, and all repair that changes no guest byte. */
static void
repair_safely(struct subject *su)
{
	struct img_checked checked;
	struct mem_sink s;
	struct img_args a;

	memset(&s, 0, sizeof(s));
	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find("qed");
	a.a_flags = IMG_VERIFY;
	a.a_report = mem_report;
	a.a_arg = &s;
	assert_int_equal(mem_open_args(&su->su_im, &su->su_env, &su->su_mem[0],
			     &a),
	    0);
	su->su_kind->sk_lend(su, su->su_im, su->su_mem);
	su->su_env.e_opening = 1;
	assert_int_equal(img_check(su->su_im, 0, 0, &checked), 0);
	su->su_env.e_opening = 0;
	assert_int_equal(mem_close(su->su_im, &su->su_env), 0);
	assert_true(s.s_n <= MEM_NFOUND);
	assert_int_equal(img_repair(&su->su_env.e_env, &su->su_mem[0].m_file,
			     img_format_find("qed"), s.s_found, s.s_n,
			     IMG_FIX_SAFE, 0, ignore, NULL),
	    0);
}

struct cut_repair {
	struct subject *c_su;
	unsigned c_dirty, c_clean; /* states */
	int c_damaged;             /* what is safe does not make it sound */
};

/* Marked as it was or writable, and the guest's bytes never changed. */
static int
judge_cut(void *arg, const struct mem *cut)
{
	struct cut_repair *c = arg;
	struct subject *su = c->c_su;
	struct mem m[NFILES];
	uint64_t leaks;
	int ok = 1;

	memset(m, 0, sizeof(m));
	mem_copy(&m[0], cut);
	if (mkqed_get(&m[0], 16, 8) & 2) {
		c->c_dirty++;
		mkqed_put(&m[0], 16, mkqed_get(&m[0], 16, 8) & ~UINT64_C(2), 8);
	} else {
		c->c_clean++;
		ok = !c->c_damaged;
	}
	if (!c->c_damaged)
		ok &= mkqed_judge(&m[0], &leaks)[0] == '\0';
	ok &= subject_compare(su, m, NULL, &su->su_old, "changed")[0] == '\0';
	mem_free(&m[0]);
	return (ok);
}

/* As a writer that was cut off left it; damaged: beyond what is safe. */
static unsigned
cut_repair(const struct qsetup *qs, int damaged, int barriers)
{
	struct cut_repair c = { 0 };
	struct subject su;
	struct mkqed *k = &su.su_ed;
	struct mem start = { 0 };
	unsigned bad;

	subject_qed(&su, qs);
	mkqed_put(&su.su_mem[0], 16, mkqed_get(&su.su_mem[0], 16, 8) | 2, 8);
	k->k_next = su.su_mem[0].m_len & ~(k->k_cluster - 1);
	mkqed_take(k, 2);
	if (damaged) /* the entry came, what it leads to did not */
		mkqed_set(k, su.su_spare >> k->k_bits, UINT64_C(1) << 40);
	c.c_su = &su;
	c.c_damaged = damaged;
	mem_copy(&start, &su.su_mem[0]);
	repair_safely(&su);
	bad = cuts(&start, &su.su_log, barriers, judge_cut, &c);
	assert_true(damaged || (c.c_dirty > 0 && c.c_clean > 0));
	su.su_mem[0].m_log = NULL;
	assert_int_equal(subject_open(&su, IMG_RDWR), damaged ? EROFS : 0);
	if (!damaged)
		assert_int_equal(mem_close(su.su_im, &su.su_env), 0);
	mem_free(&start);
	subject_free(&su);
	return (bad);
}

static void
its_repair_leaves_it_marked_or_sound(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(setups); i++)
		assert_int_equal(cut_repair(&setups[i], 0, 1), 0);
}

static void
what_is_not_made_sound_stays_marked(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(setups); i++)
		assert_int_equal(cut_repair(&setups[i], 1, 1), 0);
}

/* Space moves down where there are gaps. */
static void
a_repair_without_barriers_is_noticed(void **state)
{
	(void)state;
	assert_true(cut_repair(&setups[3], 0, 0) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_image_lives_through_many_cuts_and_faults),
		cmocka_unit_test(an_image_to_be_checked_is_not_written_to),
		cmocka_unit_test(its_repair_leaves_it_marked_or_sound),
		cmocka_unit_test(what_is_not_made_sound_stays_marked),
		cmocka_unit_test(a_repair_without_barriers_is_noticed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
