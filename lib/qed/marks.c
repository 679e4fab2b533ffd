/* SPDX-License-Identifier: ISC */

/* What each cluster of a window of the file is used for. */

#include "qed/qed.h"

#define ROOM_MIN 4096u

int
qed_marks_init(struct qed_marks *mk, struct img *im)
{
	struct qed *q = qed(im);
	uint64_t eof = im->im_eof[0];

	memset(mk, 0, sizeof(*mk));
	mk->mk_ncl = (eof >> q->q_bits) + ((eof & (q->q_cluster - 1)) != 0);
	mk->mk_room = img_min((mk->mk_ncl + 1) / 2, im->im_budget / 2);
	if (mk->mk_room < ROOM_MIN)
		mk->mk_room = ROOM_MIN;
	return (img_alloc(im, mk->mk_room, &mk->mk_use));
}

void
qed_marks_fini(struct qed_marks *mk, struct img *im)
{
	img_free(im, mk->mk_use, mk->mk_room);
	mk->mk_use = NULL;
}

int
qed_marks_in(const struct qed_marks *mk, uint64_t cl)
{
	return (cl >= mk->mk_first && cl - mk->mk_first < mk->mk_n);
}

enum qed_use
qed_marks_get(const struct qed_marks *mk, uint64_t cl)
{
	uint64_t i = cl - mk->mk_first;

	if (!qed_marks_in(mk, cl))
		return (QED_U_FREE);
	return ((enum qed_use)(mk->mk_use[i / 2] >> (i % 2) * 4 & 0xf));
}

void
qed_marks_set(struct qed_marks *mk, uint64_t cl, enum qed_use use)
{
	uint64_t i = cl - mk->mk_first;
	uint32_t shift = (i % 2) * 4;

	if (qed_marks_in(mk, cl)) {
		mk->mk_use[i / 2] &= (uint8_t) ~(0xf << shift);
		mk->mk_use[i / 2] |= (uint8_t)((uint32_t)use << shift);
	} else if (cl >= mk->mk_first && cl < mk->mk_beyond)
		mk->mk_beyond = cl;
}

/* Of what opening has placed. */
static void
set_area(struct qed_marks *mk, const struct img *im, uint64_t off, uint64_t len,
    enum qed_use use)
{
	uint32_t bits = qed(im)->q_bits;
	uint64_t cl = off >> bits, end = (off + len) >> bits;

	if (cl < mk->mk_first)
		cl = mk->mk_first;
	for (; cl < end && qed_marks_in(mk, cl); cl++)
		qed_marks_set(mk, cl, use);
	if (cl < end) /* the window behind this one must begin there */
		qed_marks_set(mk, cl, use);
}

void
qed_marks_start(struct qed_marks *mk, const struct img *im, uint64_t cl)
{
	const struct qed *q = qed(im);

	mk->mk_first = cl;
	mk->mk_n = img_min(mk->mk_room * 2, mk->mk_ncl - cl);
	mk->mk_beyond = mk->mk_ncl;
	memset(mk->mk_use, 0, (size_t)((mk->mk_n + 1) / 2));
	set_area(mk, im, 0, q->q_header_len, QED_U_HEADER);
	set_area(mk, im, q->q_l1_off, q->q_table_len, QED_U_L1);
}

uint64_t
qed_table_first(const struct img *im, uint64_t off)
{
	return (off >> qed(im)->q_bits);
}

/* The end of the file may cut it. */
uint64_t
qed_table_end(const struct img *im, uint64_t off)
{
	const struct qed *q = qed(im);
	uint64_t end = img_min(off + q->q_table_len, im->im_eof[0]);

	return (((end - 1) >> q->q_bits) + 1);
}

static int
mark_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	uint64_t cl = qed_table_first(im, n->n_off);
	uint64_t end = qed_table_end(im, n->n_off);

	(void)i;
	(void)down;
	qed_marks_set(arg, cl, QED_U_L2_FIRST);
	while (++cl < end)
		qed_marks_set(arg, cl, QED_U_L2);
	return (0);
}

static int
mark_data(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	(void)voff;
	(void)at;
	if (n->n_type == QED_T_DATA)
		qed_marks_set(arg, n->n_off >> qed(im)->q_bits, QED_U_DATA);
	return (0);
}

int
qed_mark(struct img *im, struct qed_marks *mk)
{
	static const struct qed_walker walker = { mark_table, mark_data };

	return (qed_walk(im, &walker, mk));
}
