/* SPDX-License-Identifier: ISC */

/*
 * All states in which a power cut may leave a file.
 *
 * Between two barriers any of the writes may be there or not, in units of a
 * sector.  To look at the whole stretch when its last write was issued is
 * enough: what an earlier cut leaves is a subset of it, and is asked for
 * less, as no flush returned within a stretch that had something to lose.
 */

#include "unit/help/test.h"

#include "crash/crash.h"

#define ALL 12u     /* up to so many pieces: all subsets */
#define SAMPLE 200u /* beyond: so many */
#define MAXPIECES 4096u

struct piece {
	const struct mem_logged *p_op;
	size_t p_at; /* sector of l_data */
};

struct stretch {
	struct mem st_durable[NFILES];
	struct piece st_piece[MAXPIECES]; /* in the order of the log */
	size_t st_npieces;
	size_t st_nops;
	unsigned st_required;
	uint8_t st_keep[MAXPIECES];
};

static void
apply(struct mem *files, const struct piece *p)
{
	const struct mem_logged *l = p->p_op;
	struct mem *m = &files[l->l_file];
	size_t at = p->p_at * 512;

	if (l->l_op == MEM_RESIZE)
		mem_set_len(m, l->l_off);
	else
		mem_put(m, l->l_start + at, l->l_data + at,
		    l->l_bytes - at < 512 ? l->l_bytes - at : 512);
}

static void
judge(struct replay *r, struct stretch *st)
{
	struct mem m[NFILES];
	const char *why;
	size_t i;

	memset(m, 0, sizeof(m));
	for (i = 0; i < NFILES; i++)
		mem_copy(&m[i], &st->st_durable[i]);
	for (i = 0; i < st->st_npieces; i++)
		if (st->st_keep[i])
			apply(m, &st->st_piece[i]);
	why = subject_verdict(r->r_subject, m, st->st_required, 0,
	    r->r_states % 8 == 0);
	r->r_states++;
	if (why[0] != '\0') {
		if (r->r_bad++ == 0)
			snprintf(r->r_why, sizeof(r->r_why), "%s", why);
	}
	for (i = 0; i < NFILES; i++)
		mem_free(&m[i]);
}

static int
done(const struct replay *r)
{
	return (r->r_stop && r->r_bad > 0);
}

static void
all_pieces(struct replay *r, struct stretch *st)
{
	uint32_t set;
	size_t i;

	for (set = 0; set < 1u << st->st_npieces && !done(r); set++) {
		for (i = 0; i < st->st_npieces; i++)
			st->st_keep[i] = set >> i & 1;
		judge(r, st);
	}
}

/* Every write whole or not at all. */
static void
all_writes(struct replay *r, struct stretch *st)
{
	uint32_t set;
	size_t i, op;

	for (set = 0; set < 1u << st->st_nops && !done(r); set++) {
		op = 0;
		for (i = 0; i < st->st_npieces; i++) {
			if (i > 0 &&
			    st->st_piece[i].p_op != st->st_piece[i - 1].p_op)
				op++;
			st->st_keep[i] = set >> op & 1;
		}
		judge(r, st);
	}
}

/* Each write lost, whole, cut at a sector, or any of its sectors. */
static void
sample(struct replay *r, struct stretch *st)
{
	const struct mem_logged *op = NULL;
	uint32_t how = 0;
	size_t i, n, cut = 0;

	n = r->r_all != 0 && r->r_all < ALL ? SAMPLE / 4 : SAMPLE;
	for (; n > 0 && !done(r); n--) {
		for (i = 0; i < st->st_npieces; i++) {
			if (i == 0 || st->st_piece[i].p_op != op) {
				op = st->st_piece[i].p_op;
				how = mem_random(&r->r_seed) % 5;
				cut = mem_random(&r->r_seed) %
				    (op->l_bytes / 512 + 1);
			}
			if (how < 2)
				st->st_keep[i] = (uint8_t)how;
			else if (how == 2)
				st->st_keep[i] = st->st_piece[i].p_at < cut;
			else
				st->st_keep[i] = mem_random(&r->r_seed) >> 8 &
				    1;
		}
		judge(r, st);
	}
}

static void
enumerate(struct replay *r, struct stretch *st)
{
	unsigned all = r->r_all != 0 ? r->r_all : ALL;

	if (st->st_npieces <= all) {
		all_pieces(r, st);
		return;
	}
	memset(st->st_keep, 1, sizeof(st->st_keep));
	judge(r, st);
	if (st->st_nops <= all)
		all_writes(r, st);
	sample(r, st);
}

static void
add_pieces(struct stretch *st, const struct mem_logged *l)
{
	size_t n, k;

	n = l->l_op == MEM_RESIZE ? 1 : (l->l_bytes + 511) / 512;
	assert_true(st->st_npieces + n <= MAXPIECES);
	for (k = 0; k < n; k++) {
		st->st_piece[st->st_npieces].p_op = l;
		st->st_piece[st->st_npieces++].p_at = k;
	}
	st->st_nops++;
}

/* A barrier makes what was written to its file durable. */
static void
settle(struct stretch *st, unsigned file)
{
	const struct mem_logged *op = NULL;
	size_t i, n = 0;

	st->st_nops = 0;
	for (i = 0; i < st->st_npieces; i++) {
		if (st->st_piece[i].p_op->l_file == file) {
			apply(st->st_durable, &st->st_piece[i]);
			continue;
		}
		st->st_nops += st->st_piece[i].p_op != op;
		op = st->st_piece[i].p_op;
		st->st_piece[n++] = st->st_piece[i];
	}
	st->st_npieces = n;
}

void
replay(struct replay *r, size_t from, size_t to)
{
	static struct stretch st;
	const struct mem_log *lg = &r->r_subject->su_log;
	size_t i, begin = 0;

	memset(&st, 0, sizeof(st));
	for (i = 0; i < NFILES; i++)
		mem_copy(&st.st_durable[i], &r->r_subject->su_base[i]);
	to = to < lg->lg_n ? to : lg->lg_n;
	for (i = 0; i <= to && !done(r); i++) {
		if (i < to &&
		    (lg->lg_op[i].l_op != MEM_BARRIER ||
			r->r_drop == DROP_ALL || r->r_drop == i)) {
			if (lg->lg_op[i].l_op != MEM_BARRIER)
				add_pieces(&st, &lg->lg_op[i]);
			continue;
		}
		st.st_required = guest_required(&r->r_subject->su_guest, i);
		if (i >= from || begin >= from)
			enumerate(r, &st);
		if (i < to)
			settle(&st, lg->lg_op[i].l_file);
		begin = i + 1;
	}
	for (i = 0; i < NFILES; i++)
		mem_free(&st.st_durable[i]);
}
