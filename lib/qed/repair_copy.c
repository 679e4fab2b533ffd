/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: what several entries share.  All but the first get copies,
 * behind the end of the file: of a cluster of data, or of a table and of all
 * data below it.  Nobody reads anything else than before.
 */

#include "qed/repair.h"

struct copies {
	struct qed_repair *co_r;
	struct qed_marks co_mk;
	uint64_t co_max;   /* clusters that there is room for */
	uint64_t co_table; /* the copy of the table at hand ... */
	uint64_t co_from;  /* ... and that table */
	int co_failed;     /* it cannot be copied */
};

/* n new clusters for the n at from; ENOSPC where they cannot be. */
static int
take(struct copies *co, uint64_t from, uint64_t n, uint64_t *to)
{
	struct qed_repair *r = co->co_r;
	uint32_t bits = r->r_q.q_bits;
	uint64_t i, at;

	if (n > co->co_max - r->r_copy.ps_n)
		return (ENOSPC);
	*to = r->r_base + ((uint64_t)r->r_copy.ps_n << bits);
	for (i = 0; i < n; i++) {
		at = *to + (i << bits);
		if (qed_pairs_add(r, &r->r_copy, at, from + (i << bits)) != 0)
			return (ENOSPC);
	}
	return (0);
}

/* All or nothing: without it, what was added since is taken back. */
static void
give_back(struct copies *co, size_t ncopies, size_t nlate)
{
	co->co_r->r_copy.ps_n = ncopies;
	co->co_r->r_late.ps_n = nlate;
}

/* An entry below a table that is copied: its data are as well. */
static int
copy_entry(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct copies *co = arg;
	uint64_t to;

	(void)im;
	(void)voff;
	if (n->n_row != IMG_ROW_NONE)
		return (ENOSPC);
	if (n->n_type != QED_T_DATA)
		return (0);
	if (take(co, n->n_off, 1, &to) != 0)
		return (ENOSPC);
	return (qed_pairs_add(co->co_r, &co->co_r->r_late,
	    co->co_table + (at - co->co_from), to));
}

/* A table that another entry before led to. */
static int
copy_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	static const struct qed_walker walker = { NULL, copy_entry };
	struct copies *co = arg;
	struct qed_repair *r = co->co_r;
	size_t ncopies = r->r_copy.ps_n, nlate = r->r_late.ps_n;
	int error;

	if (*down || n->n_off == 0 || co->co_mk.mk_first != 0 ||
	    !qed_fix_wanted(r, IMG_QED_L2_TWICE))
		return (0);
	co->co_from = n->n_off;
	error = take(co, n->n_off, r->r_q.q_table, &co->co_table);
	if (error == 0)
		error = qed_pairs_add(r, &r->r_late,
		    r->r_q.q_l1_off + (uint64_t)i * 8, co->co_table);
	if (error == 0)
		error = qed_walk_l2(im, &walker, co, i, n->n_off);
	if (error != ENOSPC && error != ENOMEM)
		return (error);
	give_back(co, ncopies, nlate);
	return (0);
}

/* A cluster that another entry before led to. */
static int
copy_data(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct copies *co = arg;
	struct qed_repair *r = co->co_r;
	size_t ncopies = r->r_copy.ps_n;
	uint64_t to, cl = n->n_off >> qed(im)->q_bits;

	(void)voff;
	if (n->n_row != IMG_ROW_NONE || n->n_off == 0)
		return (0);
	if (qed_marks_get(&co->co_mk, cl) == QED_U_FREE) {
		/* Behind the window: it waits for its turn. */
		qed_marks_set(&co->co_mk, cl, QED_U_DATA);
		return (0);
	}
	if (qed_marks_get(&co->co_mk, cl) != QED_U_DATA)
		return (0);
	if (take(co, n->n_off, 1, &to) != 0 ||
	    qed_pairs_add(r, &r->r_late, at, to) != 0)
		give_back(co, ncopies, r->r_late.ps_n);
	return (0);
}

/*
 * Is it known which clusters are tables, and may the file grow?  What its end
 * cuts would become whole, and full of zeros.
 */
static int
can_copy(const struct qed_repair *r)
{
	return (!r->r_some && !r->r_fixed &&
	    r->r_now[IMG_QED_L2_OVERLAP] == 0 &&
	    r->r_now[IMG_QED_L2_DATA] == 0 && r->r_now[IMG_QED_DATA_L2] == 0 &&
	    r->r_now[IMG_QED_L2_CUT] == 0 &&
	    r->r_now[IMG_QED_L2_CUT_EVEN] == 0 &&
	    r->r_now[IMG_QED_DATA_CUT] == 0 &&
	    (qed_fix_wanted(r, IMG_QED_L2_TWICE) ||
		qed_fix_wanted(r, IMG_QED_DATA_TWICE) ||
		qed_fix_wanted(r, IMG_QED_DATA_SHARED)));
}

int
qed_plan_copies(struct qed_repair *r)
{
	static const struct qed_walker walker = { copy_table, copy_data };
	struct copies co;
	uint64_t cl = 0;
	int error;

	memset(&co, 0, sizeof(co));
	co.co_r = r;
	if (!can_copy(r))
		return (0);
	r->r_base = img_roundup(r->r_newlen, r->r_q.q_cluster);
	/* No entry that is not mended may lead to what is new. */
	if (r->r_dangling > r->r_base)
		co.co_max = (r->r_dangling - r->r_base) >> r->r_q.q_bits;
	error = qed_marks_init(&co.co_mk, r->r_im);
	while (error == 0 && cl < co.co_mk.mk_ncl) {
		qed_marks_start(&co.co_mk, r->r_im, cl);
		error = qed_walk(r->r_im, &walker, &co);
		cl = co.co_mk.mk_beyond;
	}
	qed_marks_fini(&co.co_mk, r->r_im);
	qed_pairs_sort(&r->r_late);
	return (error);
}
