/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: holes are closed.  First clusters of data, from the end of
 * the file, go into the lowest holes.  Then there are only tables and holes
 * behind the last data; those tables go to places right behind each other.  A
 * place that another table has some clusters of has to wait for that to move,
 * so tables may go behind the end of the file first.
 *
 * It is done in rounds, each of which looks at the image anew, copies to
 * clusters that nothing leads to, and makes entries lead there afterwards.
 * So each leaves an image in which everything is where an entry says.
 */

#include "qed/repair.h"

#define MAX_MOVED 4096 /* entries that are written at once */

/* Marks of this file only */
#define U_HOLE QED_U_DATA_HERE   /* data will move here */
#define U_MOVED QED_U_DATA_TWICE /* ... from here */
#define U_PLACE QED_U_L2_SAME    /* a table will start here */
#define U_STAYS QED_U_L2_TWICE   /* one starts here, and stays */

struct packing {
	struct qed_marks p_mk;
	struct img *p_im;
	uint64_t p_nmoved;  /* clusters of data that move */
	uint64_t p_top;     /* data end there then, in clusters */
	uint64_t p_ntables; /* tables behind that */
	uint64_t p_end;     /* where all ends in the end, in clusters */

	/* a round */
	struct qed_repair *p_r;
	struct qed_pairs p_list; /* entries that lead to copies */
	uint64_t p_next;         /* where to look for the next place */
	uint64_t p_behind;       /* the end of the file, whole clusters */
	uint64_t p_n;            /* moves */
};

/* The highest data and the lowest hole, until they meet. */
static void
pair_data(struct packing *p)
{
	struct qed_marks *mk = &p->p_mk;
	uint64_t lo = 0, hi = mk->mk_n;

	for (;;) {
		while (lo < hi && qed_marks_get(mk, lo) != QED_U_FREE)
			lo++;
		while (lo < hi && qed_marks_get(mk, hi - 1) != QED_U_DATA)
			hi--;
		if (lo >= hi)
			break;
		qed_marks_set(mk, lo++, U_HOLE);
		qed_marks_set(mk, --hi, U_MOVED);
		p->p_nmoved++;
	}
}

/* Where a table can be, at cluster cl or behind it; the L1 table stays. */
static uint64_t
place(const struct packing *p, uint64_t cl)
{
	const struct qed *q = qed(p->p_im);
	uint64_t l1 = q->q_l1_off >> q->q_bits;

	return (
	    img_overlap(cl, q->q_table, l1, q->q_table) ? l1 + q->q_table : cl);
}

/* What moves, and where all will end. */
static void
lay_out(struct packing *p)
{
	struct qed_marks *mk = &p->p_mk;
	const struct qed *q = qed(p->p_im);
	uint64_t cl, i, l1 = q->q_l1_off >> q->q_bits;
	enum qed_use use;

	p->p_nmoved = p->p_ntables = 0;
	pair_data(p);
	p->p_top = 0;
	for (cl = 0; cl < mk->mk_n; cl++) {
		use = qed_marks_get(mk, cl);
		if (use == QED_U_DATA || use == QED_U_HEADER || use == U_HOLE)
			p->p_top = cl + 1;
	}
	for (cl = p->p_top; cl < mk->mk_n; cl++)
		p->p_ntables += qed_marks_get(mk, cl) == QED_U_L2_FIRST;
	cl = p->p_top;
	for (i = 0; i < p->p_ntables; i++)
		cl = place(p, cl) + q->q_table;
	p->p_end = cl > l1 + q->q_table ? cl : l1 + q->q_table;
}

static int
look(struct packing *p)
{
	int error;

	error = qed_marks_init(&p->p_mk, p->p_im);
	if (error != 0)
		return (error);
	qed_marks_start(&p->p_mk, p->p_im, 0);
	if (p->p_mk.mk_n != p->p_mk.mk_ncl)
		return (ENXIO);
	error = qed_mark(p->p_im, &p->p_mk);
	if (error == 0)
		lay_out(p);
	return (error);
}

int
qed_packed_end(struct img *im, uint64_t *end)
{
	struct packing p;
	int error;

	memset(&p, 0, sizeof(p));
	p.p_im = im;
	error = look(&p);
	*end = p.p_end << qed(im)->q_bits;
	qed_marks_fini(&p.p_mk, im);
	return (error);
}

/* --- a round ------------------------------------------------------------ */

/* The copies are there: now the entries. */
static int
link_moved(struct packing *p)
{
	const struct qed_pair *e = p->p_list.ps_pair;
	size_t i;
	int error;

	error = qed_fix_barrier(p->p_r);
	for (i = 0; i < p->p_list.ps_n && error == 0; i++, e++)
		error = qed_fix_entry(p->p_r, e->p_at, e->p_n);
	p->p_list.ps_n = 0;
	return (error != 0 ? error : qed_fix_barrier(p->p_r));
}

/* [from, from + len) to a place where nothing is; entry at leads there. */
static int
move(struct packing *p, uint64_t at, uint64_t from, uint64_t to, uint64_t len)
{
	struct img *im = p->p_im;
	uint64_t done;
	uint32_t n;
	int error = 0;

	for (done = 0; done < len && error == 0; done += n) {
		n = (uint32_t)img_min(IMG_BOUNCE, len - done);
		error = img_io_read(im, 0, im->im_buf, n, from + done);
		if (error == 0)
			error = img_io_write(im, 0, im->im_buf, n, to + done);
		if (error == 0 && im->im_env->ev_poll != NULL)
			error = im->im_env->ev_poll(im->im_env->ev_arg, 0, 0);
	}
	if (error == 0)
		error = qed_pairs_add(p->p_r, &p->p_list, at, to);
	p->p_n++;
	if (error == 0 && p->p_list.ps_n == MAX_MOVED)
		error = link_moved(p);
	return (error);
}

static int
move_data(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct packing *p = arg;
	const struct qed *q = qed(im);

	(void)voff;
	if (n->n_type != QED_T_DATA ||
	    qed_marks_get(&p->p_mk, n->n_off >> q->q_bits) != U_MOVED)
		return (0);
	while (qed_marks_get(&p->p_mk, p->p_next) != U_HOLE)
		p->p_next++;
	return (move(p, at, n->n_off, p->p_next++ << q->q_bits, q->q_cluster));
}

/* Which tables are in their places already, and which places are free? */
static void
find_places(struct packing *p)
{
	struct qed_marks *mk = &p->p_mk;
	uint32_t k, table = qed(p->p_im)->q_table;
	uint64_t i, cl = p->p_top;

	for (i = 0; i < p->p_ntables; i++, cl += table) {
		cl = place(p, cl);
		if (qed_marks_get(mk, cl) == QED_U_L2_FIRST) {
			qed_marks_set(mk, cl, U_STAYS);
			continue;
		}
		for (k = 0; k < table; k++)
			if (qed_marks_get(mk, cl + k) != QED_U_FREE)
				break;
		if (k == table)
			qed_marks_set(mk, cl, U_PLACE);
	}
}

static int
move_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	struct packing *p = arg;
	const struct qed *q = qed(im);
	uint64_t to, cl = n->n_off >> q->q_bits;

	*down = 0;
	if (cl < p->p_top || qed_marks_get(&p->p_mk, cl) != QED_U_L2_FIRST)
		return (0);
	while (p->p_next < p->p_mk.mk_n &&
	    qed_marks_get(&p->p_mk, p->p_next) != U_PLACE)
		p->p_next++;
	if (p->p_next < p->p_mk.mk_n)
		to = p->p_next++ << q->q_bits;
	else {
		to = p->p_behind;
		p->p_behind += q->q_table_len;
	}
	return (move(p, q->q_l1_off + (uint64_t)i * 8, n->n_off, to,
	    q->q_table_len));
}

/* Data if any can move, else tables.  p_n says how many. */
static int
run_round(struct packing *p)
{
	static const struct qed_walker data = { NULL, move_data };
	static const struct qed_walker tables = { move_table, NULL };
	int error;

	error = look(p);
	if (error != 0)
		return (error);
	p->p_next = 0;
	p->p_behind = img_roundup(p->p_im->im_eof[0], qed(p->p_im)->q_cluster);
	if (p->p_nmoved == 0)
		find_places(p);
	error = qed_walk(p->p_im, p->p_nmoved > 0 ? &data : &tables, p);
	if (error == 0 && p->p_list.ps_n > 0)
		error = link_moved(p);
	return (error);
}

int
qed_compact(struct qed_repair *r)
{
	struct packing p;
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	a.a_format = &img_qed;
	memset(&p, 0, sizeof(p));
	p.p_r = r;
	do {
		p.p_n = 0;
		error =
		    img_open(&p.p_im, r->r_rp->rp_env, r->r_rp->rp_file, &a);
		if (error != 0)
			break;
		error = run_round(&p);
		qed_marks_fini(&p.p_mk, p.p_im);
		img_abandon(p.p_im);
	} while (error == 0 && p.p_n > 0);
	qed_pairs_free(r, &p.p_list);
	/* Too long for one window by now: what is left is for another time. */
	return (error == ENXIO ? 0 : error);
}
