/* SPDX-License-Identifier: ISC */

/* Internal snapshots and persistent bitmaps. */

#include <string.h>

#include "qcow2.h"

#define NUM(i) number(l, im, l->l_word[i])

/* A word that stands for itself; "-" is nothing at all. */
static size_t
word_len(const char *w)
{
	return (strcmp(w, "-") == 0 ? 0 : strlen(w));
}

struct snapshot {
	uint64_t n_at, n_l1_at, n_l1, n_size, n_vm, n_extra, n_sec, n_nsec;
	uint64_t n_clock, n_icount;
};

/* The L1 table as it is, in a place of its own. */
static void
copy_l1(const struct line *l, struct image *im, const struct qimage *q,
    const struct snapshot *n)
{
	uint64_t i, v;

	for (i = 0; i < n->n_l1; i++) {
		v = i < q->q_l1_n ? q_get(l, im, 8, q->q_l1_off + 8 * i) : 0;
		if (v != 0)
			q_put(l, im, 8, n->n_l1_at + 8 * i, v);
	}
	q_reach(l, im, n->n_l1_at + 8 * n->n_l1);
}

/* Where the table ends; it begins where the first one is told to. */
static uint64_t
table_end(const struct line *l, struct image *im, const struct qimage *q,
    const struct snapshot *n)
{
	struct qsnap s;
	uint64_t i, at = q->q_snap_off;

	if (q->q_nsnap == 0) {
		at = n->n_at != NOWHERE ? n->n_at : q_room(l, im, q);
		q_put(l, im, 8, 64, at);
		q_reach(l, im, at + q->q_cluster);
	}
	for (i = 0; i < q->q_nsnap; i++, at = s.s_next)
		q_snap(l, im, q, at, &s);
	q_put(l, im, 4, 60, q->q_nsnap + 1);
	return (at);
}

static void
put_snapshot(const struct line *l, struct image *im, const struct snapshot *n,
    uint64_t at)
{
	const char *id = l->l_word[1], *name = l->l_word[2];
	size_t id_len = word_len(id), name_len = word_len(name);

	q_put(l, im, 8, at, n->n_l1_at);
	q_put(l, im, 4, at + 8, n->n_l1);
	q_put(l, im, 2, at + 12, id_len);
	q_put(l, im, 2, at + 14, name_len);
	q_put(l, im, 4, at + 16, n->n_sec);
	q_put(l, im, 4, at + 20, n->n_nsec);
	q_put(l, im, 8, at + 24, n->n_clock);
	q_put(l, im, 4, at + 32, n->n_vm > UINT32_MAX ? 0 : n->n_vm);
	q_put(l, im, 4, at + 36, n->n_extra);
	q_reach(l, im, at + 40 + n->n_extra);
	if (n->n_extra >= 8)
		q_put(l, im, 8, at + 40, n->n_vm);
	if (n->n_extra >= 16)
		q_put(l, im, 8, at + 48, n->n_size);
	if (n->n_extra >= 24)
		q_put(l, im, 8, at + 56, n->n_icount);
	at += 40 + n->n_extra;
	file_write(l, im, id, id_len, at);
	file_write(l, im, name, name_len, at + id_len);
	q_reach(l, im, (at + id_len + name_len + 7) / 8 * 8);
}

static void
do_snapshot(const struct line *l, struct image *im, const struct qimage *q)
{
	struct snapshot n = { NOWHERE, NOWHERE, q->q_l1_n, q->q_size, 0, 24,
		1483555712, 0, 0, UINT64_MAX };
	const struct key keys[] = {
		{ "at=", &n.n_at },
		{ "l1at=", &n.n_l1_at },
		{ "l1=", &n.n_l1 },
		{ "size=", &n.n_size },
		{ "vm=", &n.n_vm },
		{ "extra=", &n.n_extra },
		{ "sec=", &n.n_sec },
		{ "nsec=", &n.n_nsec },
		{ "clock=", &n.n_clock },
		{ "icount=", &n.n_icount },
	};

	if (l->l_nwords < 3)
		die(l, "snapshot: want ID NAME");
	get_keys(l, im, 3, keys, sizeof(keys) / sizeof(keys[0]));
	if (n.n_l1_at == NOWHERE)
		n.n_l1_at = q_room(l, im, q);
	copy_l1(l, im, q, &n);
	put_snapshot(l, im, &n, table_end(l, im, q, &n));
}

struct bitmap {
	uint64_t m_dir, m_table, m_data, m_granularity, m_flags, m_ones;
};

/* The extension with an empty directory, if there is none so far. */
static uint64_t
directory(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t dir)
{
	uint64_t ext, len;

	ext = q_ext(l, im, q, EXT_BITMAPS, &len);
	if (ext != 0)
		return (ext);
	ext = q_ext_end(l, im, q);
	if (ext + 40 > q->q_cluster)
		die(l, "bitmap: no room in the first cluster");
	q_put(l, im, 4, ext, EXT_BITMAPS);
	q_put(l, im, 4, ext + 4, 24);
	q_put(l, im, 8, ext + 8, 0);
	q_put(l, im, 8, ext + 16, 0);
	q_put(l, im, 8, ext + 24, dir);
	q_put(l, im, 8, ext + 32, 0);
	q_put(l, im, 8, 88, q->q_autoclear | 1);
	return (ext + 8);
}

/* The clusters that a bitmap's table has entries for. */
static uint64_t
table_entries(const struct qimage *q, const struct bitmap *m)
{
	uint64_t grain = UINT64_C(1) << m->m_granularity, bytes;

	bytes = ((q->q_size + grain - 1) / grain + 7) / 8;
	return ((bytes + q->q_cluster - 1) / q->q_cluster);
}

static void
put_bitmap(const struct line *l, struct image *im, const struct qimage *q,
    const struct bitmap *m, uint64_t ext)
{
	size_t len = word_len(l->l_word[1]);
	uint64_t n = table_entries(q, m), dir, dir_len, at;

	dir_len = q_get(l, im, 8, ext + 8);
	dir = q_get(l, im, 8, ext + 16);
	at = dir + dir_len;
	q_put(l, im, 8, at, m->m_table);
	q_put(l, im, 4, at + 8, n);
	q_put(l, im, 4, at + 12, m->m_flags);
	q_put(l, im, 1, at + 16, 1);
	q_put(l, im, 1, at + 17, m->m_granularity);
	q_put(l, im, 2, at + 18, len);
	q_put(l, im, 4, at + 20, 0);
	file_write(l, im, l->l_word[1], len, at + 24);
	dir_len += (24 + len + 7) / 8 * 8;
	q_reach(l, im, dir + dir_len);
	q_put(l, im, 4, ext, q_get(l, im, 4, ext) + 1);
	q_put(l, im, 8, ext + 8, dir_len);
}

/* The first entry leads to data, the others say all clear or all set. */
static void
do_bitmap(const struct line *l, struct image *im, const struct qimage *q)
{
	struct bitmap m = { NOWHERE, NOWHERE, NOWHERE, 16, 0, 0 };
	const struct key keys[] = { { "at=", &m.m_dir },
		{ "table=", &m.m_table }, { "data=", &m.m_data },
		{ "granularity=", &m.m_granularity }, { "flags=", &m.m_flags },
		{ "ones=", &m.m_ones } };
	uint64_t ext, i;

	get_keys(l, im, 2, keys, sizeof(keys) / sizeof(keys[0]));
	if (m.m_dir == NOWHERE)
		m.m_dir = q_room(l, im, q);
	ext = directory(l, im, q, m.m_dir);
	q_reach(l, im, m.m_dir + q->q_cluster);
	if (m.m_table == NOWHERE)
		m.m_table = q_room(l, im, q);
	q_reach(l, im, m.m_table + q->q_cluster);
	if (m.m_data == NOWHERE)
		m.m_data = q_room(l, im, q);
	for (i = 0; i < table_entries(q, &m); i++)
		q_put(l, im, 8, m.m_table + 8 * i,
		    i == 0 && m.m_data != 0 ? m.m_data : m.m_ones);
	if (m.m_data != 0)
		file_noise(l, im, m.m_data, q->q_cluster, 77);
	put_bitmap(l, im, q, &m, ext);
}

int
qcow2_snap(const struct line *l, struct image *im)
{
	struct qimage q;

	if (strcmp(l->l_word[0], "snapshot") == 0) {
		q_load(l, im, &q);
		do_snapshot(l, im, &q);
	} else if (strcmp(l->l_word[0], "bitmap") == 0) {
		if (l->l_nwords < 2)
			die(l, "bitmap: want a name");
		q_load(l, im, &q);
		do_bitmap(l, im, &q);
	} else
		return (0);
	return (1);
}
