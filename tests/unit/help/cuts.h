/* SPDX-License-Identifier: ISC */

/*
 * cuts.h: what a power cut may leave of the changes in a log: any subset of
 * the sectors written and lengths set since the last barrier.
 */

#ifndef TESTS_UNIT_HELP_CUTS_H
#define TESTS_UNIT_HELP_CUTS_H

#include "unit/help/test.h"

#ifndef CUTS_ALL
#define CUTS_ALL 9 /* all subsets of so many; beyond, a sample */
#define CUTS_SAMPLE 120
#endif
#define CUTS_PIECES 8192

struct cuts_piece {
	const struct mem_logged *p_op;
	size_t p_at; /* in l_data */
};

/* Is a file that was left like this as it should be? */
typedef int cuts_judge_fn(void *arg, const struct mem *);

static inline size_t
cuts_pieces(const struct mem_log *lg, size_t from, size_t to,
    struct cuts_piece *p)
{
	size_t i, at, n = 0;

	for (i = from; i < to; i++) {
		if (lg->lg_op[i].l_op == MEM_BARRIER)
			continue;
		at = 0;
		do {
			assert_true(n < CUTS_PIECES);
			p[n].p_op = &lg->lg_op[i];
			p[n++].p_at = at;
			at += 512;
		} while (at < lg->lg_op[i].l_bytes);
	}
	return (n);
}

static inline void
cuts_apply(struct mem *m, const struct cuts_piece *p)
{
	const struct mem_logged *l = p->p_op;

	if (l->l_op == MEM_RESIZE)
		mem_set_len(m, l->l_off);
	else
		mem_put(m, l->l_start + p->p_at, l->l_data + p->p_at,
		    (size_t)img_min(512, l->l_bytes - p->p_at));
}

/*
 * In how many of all these states is the file not as it should be?  Without
 * barriers, all that was written may be lost.
 */
static inline unsigned
cuts(const struct mem *start, const struct mem_log *lg, int barriers,
    cuts_judge_fn *judge, void *arg)
{
	struct cuts_piece *p = malloc(CUTS_PIECES * sizeof(*p));
	struct mem m = { 0 }, cut = { 0 };
	uint64_t seed = 1;
	size_t i, from = 0, n, k;
	unsigned bad = 0, s, states;

	assert_non_null(p);
	mem_copy(&m, start);
	for (i = 0; i <= lg->lg_n; i++) {
		if (i < lg->lg_n &&
		    (lg->lg_op[i].l_op != MEM_BARRIER || !barriers))
			continue;
		n = cuts_pieces(lg, from, i, p);
		states = n <= CUTS_ALL ? 1u << n : CUTS_SAMPLE;
		for (s = 0; s < states && n > 0; s++) {
			mem_copy(&cut, &m);
			for (k = 0; k < n; k++)
				if (n <= CUTS_ALL ?
					(s >> k) & 1 :
					(mem_random(&seed) >> 9) & 1)
					cuts_apply(&cut, &p[k]);
			bad += !judge(arg, &cut);
			mem_free(&cut);
		}
		for (k = 0; k < n; k++)
			cuts_apply(&m, &p[k]);
		from = i + 1;
	}
	mem_free(&m);
	free(p);
	return (bad);
}

#endif /* TESTS_UNIT_HELP_CUTS_H */
