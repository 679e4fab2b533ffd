/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: a header that cannot be parsed, because one of its fields is
 * wrong.  Each value that a field could have is tried on a view of the file.
 * It counts only where all is sound then, down to the last cluster, and there
 * are data; and it is taken only where it is the only one that does.
 */

#include "qed/repair.h"

struct guess {
	uint32_t g_off; /* of the field */
	uint32_t g_len; /* bytes of it */
	uint64_t g_n;   /* its value */
};

#define MAX_GUESSES 32

struct guesses {
	struct guess gs_guess[MAX_GUESSES];
	unsigned gs_n;
};

static void
add(struct guesses *gs, uint32_t off, uint32_t len, uint64_t n)
{
	struct guess *g = &gs->gs_guess[gs->gs_n++];

	g->g_off = off;
	g->g_len = len;
	g->g_n = n;
}

static void
add_powers(struct guesses *gs, uint32_t off, uint32_t min, uint32_t max)
{
	uint32_t bits;

	for (bits = min; bits <= max; bits++)
		add(gs, off, 4, UINT64_C(1) << bits);
}

/* Where header and L1 table could be as they are if one gives way. */
static void
add_places(const struct qed_repair *r, struct guesses *gs)
{
	uint64_t cluster = img_le32(r->r_was + QED_H_CLUSTER_SIZE);
	uint64_t header = img_le32(r->r_was + QED_H_HEADER_SIZE);
	uint64_t l1 = img_le64(r->r_was + QED_H_L1_OFF);
	uint32_t bits;

	for (bits = QED_BITS_MIN; bits <= QED_BITS_MAX; bits++) {
		if (cluster != UINT64_C(1) << bits)
			continue;
		add(gs, QED_H_L1_OFF, 8, header << bits);
		if (l1 >> bits <= UINT32_MAX)
			add(gs, QED_H_HEADER_SIZE, 4, l1 >> bits);
	}
}

static void
collect(const struct qed_repair *r, struct guesses *gs)
{
	gs->gs_n = 0;
	switch (r->r_fatal) {
	case IMG_QED_MAGIC:
		add(gs, QED_H_MAGIC, 4, QED_MAGIC);
		break;
	case IMG_QED_CLUSTER_SIZE:
	case IMG_QED_CLUSTER_POWER:
		add_powers(gs, QED_H_CLUSTER_SIZE, QED_BITS_MIN, QED_BITS_MAX);
		break;
	case IMG_QED_TABLE_SIZE:
		add_powers(gs, QED_H_TABLE_SIZE, 0, 4);
		break;
	default:
		add_powers(gs, QED_H_CLUSTER_SIZE, QED_BITS_MIN, QED_BITS_MAX);
		add_powers(gs, QED_H_TABLE_SIZE, 0, 4);
		add_places(r, gs);
		break;
	}
}

static const char *
text_of(uint32_t off)
{
	switch (off) {
	case QED_H_MAGIC:
		return ("write the magic number, as all else is sound");
	case QED_H_CLUSTER_SIZE:
		return ("set the only cluster size with which all is sound");
	case QED_H_TABLE_SIZE:
		return ("set the only table size with which all is sound");
	case QED_H_HEADER_SIZE:
		return ("set the only header size with which all is sound");
	default:
		return ("set the only offset of the L1 table with which all is "
			"sound");
	}
}

static void
apply(struct qed_repair *r, const struct guess *g)
{
	memcpy(r->r_head, r->r_was, sizeof(r->r_head));
	if (g->g_len == 4)
		img_put_le32(r->r_head + g->g_off, (uint32_t)g->g_n);
	else
		img_put_le64(r->r_head + g->g_off, g->g_n);
}

static int
is_bad(const struct qed_repair *r)
{
	unsigned row;

	for (row = 0; row < IMG_NROWS; row++)
		if (r->r_now[row] > 0 &&
		    img_row((enum img_row)row)->r_severity >= IMG_SEV_LEAK)
			return (1);
	return (0);
}

/* Is all sound, and is there anything at all? */
static int
try_it(struct qed_repair *r, int *sound)
{
	struct img_checked ch;
	int error;

	*sound = 0;
	error = qed_fix_look(r);
	if (error == EFTYPE || (error == 0 && is_bad(r)))
		return (0);
	if (error == 0)
		error = img_check(r->r_im, 0, 0, &ch);
	if (error == 0)
		*sound = !is_bad(r) && ch.ch_allocated > 0;
	return (error);
}

/*
 * Was the file cut off inside its L1 table?  Then all that can be wrong with
 * the table made whole is that it leads to what is missing.  Where it is
 * another field that is damaged, the table would reach over others and over
 * data, and what is sound there would be lost to the next repair.
 */
static int
is_cut_off(const struct qed_repair *r)
{
	unsigned row;

	for (row = 0; row < IMG_NROWS; row++)
		if (r->r_now[row] > 0 && row != IMG_QED_L1_RANGE &&
		    row != IMG_QED_DATA_RANGE &&
		    img_row((enum img_row)row)->r_stage == IMG_STAGE_VERIFY &&
		    img_row((enum img_row)row)->r_severity >= IMG_SEV_CORRUPT)
			return (0);
	return (1);
}

/*
 * Where the end of the file cuts the L1 table, what is missing are entries
 * that no disk of this size has.  Unless the table is right behind the header,
 * there may be others in front of it that the true one led to.
 */
static int
extend_l1(struct qed_repair *r)
{
	uint64_t off = img_le64(r->r_was + QED_H_L1_OFF);
	uint64_t size = img_le64(r->r_was + QED_H_SIZE);
	uint64_t table = img_le32(r->r_was + QED_H_TABLE_SIZE);
	uint64_t span, cluster = img_le32(r->r_was + QED_H_CLUSTER_SIZE);
	uint64_t n, nent;
	int error, ok;

	/* The fields before this one are sound. */
	if (r->r_fatal != IMG_QED_L1_EOF || r->r_fixed || off >= r->r_len)
		return (0);
	/* Entries that are there whole, and what they hold in all. */
	nent = table * cluster / 8;
	n = (r->r_len - off) / 8;
	span = nent > UINT64_MAX / cluster ? UINT64_MAX : nent * cluster;
	if (size > 0 && (size - 1) / span >= n)
		return (0);
	r->r_newlen = off + table * cluster;
	/* Half an entry is none. */
	error = 0;
	if (r->r_len % 8 != 0)
		error =
		    qed_pairs_add(r, &r->r_mend, r->r_len - r->r_len % 8, 0);
	if (error == 0)
		error = qed_fix_look(r);
	ok = error == 0 && is_cut_off(r);
	if (ok && off != r->r_q.q_header_len)
		error = try_it(r, &ok);
	if (error != 0 || !ok) {
		r->r_newlen = r->r_len;
		return (error == EFTYPE ? 0 : error);
	}
	r->r_fatal = IMG_QED_L1_EOF;
	r->r_done[r->r_fatal] = 1;
	r->r_guess = "extend the file with zeros";
	return (0);
}

int
qed_plan_guess(struct qed_repair *r)
{
	enum img_row row = r->r_fatal;
	struct guess found = { 0, 0, 0 };
	struct guesses gs;
	unsigned i, n = 0;
	int error = 0, sound;

	if (row == IMG_ROW_NONE || !qed_fix_wanted(r, row))
		return (0);
	collect(r, &gs);
	for (i = 0; i < gs.gs_n && error == 0; i++) {
		apply(r, &gs.gs_guess[i]);
		if (memcmp(r->r_head, r->r_was, QED_HEAD) == 0)
			continue;
		error = try_it(r, &sound);
		if (error == 0 && sound && n++ == 0)
			found = gs.gs_guess[i];
	}
	r->r_fatal = row;
	memcpy(r->r_head, r->r_was, sizeof(r->r_head));
	if (error != 0)
		return (error);
	if (n == 0)
		return (extend_l1(r));
	if (n > 1)
		return (0);
	apply(r, &found);
	r->r_done[row] = 1;
	r->r_guess = text_of(found.g_off);
	return (0);
}
