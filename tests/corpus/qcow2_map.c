/* SPDX-License-Identifier: ISC */

/* L2 tables and what their entries lead to. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "qcow2.h"

#define NUM(i) number(l, im, l->l_word[i])
#define CLUSTER_MAX (1u << 21)

uint64_t
q_room(const struct line *l, const struct image *im, const struct qimage *q)
{
	uint64_t len = file_length(l, im);

	return ((len + q->q_cluster - 1) / q->q_cluster * q->q_cluster);
}

void
q_reach(const struct line *l, struct image *im, uint64_t end)
{
	if (file_length(l, im) < end)
		file_resize(l, im, end);
}

/* The L2 table of L1 entry i; if there is none, it is made. */
static uint64_t
l2_table(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t i)
{
	uint64_t off;

	if (i >= q->q_l1_n)
		die(l, "%s: the L1 table does not reach there", l->l_word[0]);
	off = q_get(l, im, 8, q->q_l1_off + 8 * i) & OFFSET;
	if (off == 0) {
		off = q_room(l, im, q);
		q_reach(l, im, off + q->q_cluster);
		q_put(l, im, 8, q->q_l1_off + 8 * i, off);
	}
	return (off);
}

/* Where the entry of guest cluster cl is. */
static uint64_t
entry_at(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t cl)
{
	return (l2_table(l, im, q, cl / q->q_l2_n) + cl % q->q_l2_n * q->q_esz);
}

static void
set_entry(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t cl, uint64_t entry, uint64_t bits)
{
	uint64_t at = entry_at(l, im, q, cl);

	q_put(l, im, 8, at, entry);
	if (q->q_esz == 16)
		q_put(l, im, 8, at + 8, bits);
}

/* The L2 tables of n clusters: they may want the room that is next. */
static void
tables_first(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t cl, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		entry_at(l, im, q, cl + i);
}

/* A table of its own, with what the one before had. */
static void
do_l2(const struct line *l, struct image *im, const struct qimage *q)
{
	static uint8_t b[CLUSTER_MAX];
	uint64_t i, at = NOWHERE, old;
	const struct key keys[] = { { "at=", &at } };

	i = NUM(1);
	get_keys(l, im, 2, keys, 1);
	if (i >= q->q_l1_n)
		die(l, "l2: the L1 table does not reach there");
	if (at == NOWHERE)
		at = q_room(l, im, q);
	old = q_get(l, im, 8, q->q_l1_off + 8 * i) & OFFSET;
	memset(b, 0, sizeof(b));
	if (old != 0)
		file_read(l, im, b, q->q_cluster, old);
	file_write(l, im, b, q->q_cluster, at);
	q_put(l, im, 8, q->q_l1_off + 8 * i, at);
}

/* The external data file has every cluster at its guest's offset. */
static void
fill_beside(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t off, uint64_t seed)
{
	struct image data;
	char name[1024] = "";
	uint64_t at, len;

	at = q_ext(l, im, q, EXT_DATA, &len);
	if (at == 0 || len >= sizeof(name))
		die(l, "data: no name of a data file so far");
	file_read(l, im, name, len, at);
	open_beside(&data, im, name, O_RDWR | O_CREAT);
	q_reach(l, &data, q->q_size);
	file_noise(l, &data, off, q->q_cluster, seed);
	close(data.im_fd);
}

static void
do_data(const struct line *l, struct image *im, const struct qimage *q)
{
	uint64_t cl, at = NOWHERE, n = 1, seed = NOWHERE, bits = 0xffffffff;
	const struct key keys[] = { { "at=", &at }, { "n=", &n },
		{ "seed=", &seed } };
	int beside = (q->q_incompat & DATA_FILE) != 0;

	cl = NUM(1);
	get_keys(l, im, 2, keys, 3);
	tables_first(l, im, q, cl, n);
	if (at == NOWHERE)
		at = beside ? cl * q->q_cluster : q_room(l, im, q);
	if (seed == NOWHERE)
		seed = cl + 1;
	for (; n > 0; n--, cl++, at += q->q_cluster, seed++) {
		set_entry(l, im, q, cl, at | (beside ? COPIED : 0), bits);
		if (beside)
			fill_beside(l, im, q, at, seed);
		else
			file_noise(l, im, at, q->q_cluster, seed);
	}
}

/* With a cluster that keeps its space: noise is in it. */
static void
do_zero(const struct line *l, struct image *im, const struct qimage *q)
{
	uint64_t cl, at = NOWHERE, n = 1, flag;
	const struct key keys[] = { { "at=", &at }, { "n=", &n } };

	cl = NUM(1);
	get_keys(l, im, 2, keys, 2);
	flag = q->q_esz == 8;
	tables_first(l, im, q, cl, n);
	for (; n > 0; n--, cl++) {
		if (at == NOWHERE) {
			set_entry(l, im, q, cl, flag, 0xffffffff00000000);
			continue;
		}
		set_entry(l, im, q, cl, at | flag, 0xffffffff00000000);
		file_noise(l, im, at, q->q_cluster, cl + 1);
		at += q->q_cluster;
	}
}

/* Subclusters: noise is in all of them. */
static void
do_sub(const struct line *l, struct image *im, const struct qimage *q)
{
	uint64_t cl, at = NOWHERE, alloc = 0, zero = 0;
	const struct key keys[] = { { "at=", &at }, { "alloc=", &alloc },
		{ "zero=", &zero } };

	cl = NUM(1);
	get_keys(l, im, 2, keys, 3);
	if (q->q_esz != 16)
		die(l, "sub: no extended L2 entries");
	tables_first(l, im, q, cl, 1);
	if (at != NOWHERE)
		file_random(l, im, at, q->q_cluster, cl + 1);
	set_entry(l, im, q, cl, at == NOWHERE ? 0 : at, zero << 32 | alloc);
}

/* What zlib makes of it, with its own choice of codes. */
static size_t
by_zlib(const struct line *l, const uint8_t *from, size_t n, uint64_t level,
    uint8_t *to)
{
	z_stream z = { 0 };

	if (deflateInit2(&z, (int)level, Z_DEFLATED, -15, 9,
		Z_DEFAULT_STRATEGY) != Z_OK)
		die(l, "packed: no memory");
	z.next_in = (Bytef *)(uintptr_t)from;
	z.avail_in = (uInt)n;
	z.next_out = to;
	z.avail_out = 2 * CLUSTER_MAX;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die(l, "packed: cannot be compressed");
	n = 2 * CLUSTER_MAX - z.avail_out;
	deflateEnd(&z);
	return (n);
}

/* n: the sectors that the entry counts, or NOWHERE for those there are. */
static void
put_stream(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t cl, uint64_t at, uint64_t n, const uint8_t *b, size_t len)
{
	if (n == NOWHERE)
		n = (at + len - 1) / 512 - at / 512;
	if (n >> (q->q_bits - 8) != 0)
		die(l, "%s: more sectors than an entry can say", l->l_word[0]);
	file_write(l, im, b, len, at);
	set_entry(l, im, q, cl, PACKED | n << (70 - q->q_bits) | at, 0);
	im->im_packed = at + len;
}

/* Right behind the last one if the recipe does not say where. */
static uint64_t
stream_room(const struct line *l, struct image *im, const struct qimage *q)
{
	return (im->im_packed != 0 ? im->im_packed : q_room(l, im, q));
}

static void
do_packed(const struct line *l, struct image *im, const struct qimage *q)
{
	static uint8_t b[CLUSTER_MAX], to[2 * CLUSTER_MAX];
	uint64_t cl, at = NOWHERE, period = 64, seed, n = NOWHERE;
	uint64_t level = NOWHERE;
	const struct key keys[] = { { "at=", &at }, { "period=", &period },
		{ "seed=", &seed }, { "sectors=", &n }, { "zlib=", &level } };
	size_t len;

	cl = NUM(1);
	seed = cl + 1;
	get_keys(l, im, 2, keys, 5);
	tables_first(l, im, q, cl, 1);
	if (at == NOWHERE)
		at = stream_room(l, im, q);
	if (period == 0 || period > 32768)
		die(l, "packed: impossible period");
	repeat(b, q->q_cluster, period, seed);
	if (level != NOWHERE)
		len = by_zlib(l, b, q->q_cluster, level, to);
	else
		len = deflate_repeat(b, q->q_cluster, period, to);
	put_stream(l, im, q, cl, at, n, to, len);
}

static void
do_stream(const struct line *l, struct image *im, const struct qimage *q)
{
	uint8_t b[1024];
	uint64_t cl = NUM(1), at;
	size_t len;

	if (l->l_nwords < 4)
		die(l, "stream: want CLUSTER OFFSET HEX...");
	tables_first(l, im, q, cl, 1);
	if (strcmp(l->l_word[2], "next") == 0)
		at = stream_room(l, im, q);
	else
		at = NUM(2);
	len = get_hex(l, 3, b, sizeof(b));
	put_stream(l, im, q, cl, at, NOWHERE, b, len);
}

static void
do_raw(const struct line *l, struct image *im, const struct qimage *q)
{
	if (l->l_nwords < 4 || l->l_nwords > 5 ||
	    strcmp(l->l_word[2], "=") != 0)
		die(l, "%s: want INDEX = VALUE", l->l_word[0]);
	if (strcmp(l->l_word[0], "entry") == 0)
		set_entry(l, im, q, NUM(1), NUM(3),
		    l->l_nwords == 5 ? NUM(4) : 0);
	else
		q_put(l, im, 8, q->q_l1_off + 8 * NUM(1), NUM(3));
}

int
qcow2_map(const struct line *l, struct image *im)
{
	const struct {
		const char *name;
		void (*make)(const struct line *, struct image *,
		    const struct qimage *);
	} s[] = {
		{ "l2", do_l2 },
		{ "data", do_data },
		{ "zero", do_zero },
		{ "sub", do_sub },
		{ "packed", do_packed },
		{ "stream", do_stream },
		{ "entry", do_raw },
		{ "l1", do_raw },
	};
	struct qimage q;
	size_t i;

	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		if (strcmp(l->l_word[0], s[i].name) != 0)
			continue;
		if (l->l_nwords < 2)
			die(l, "%s: which?", l->l_word[0]);
		q_load(l, im, &q);
		s[i].make(l, im, &q);
		return (1);
	}
	return (0);
}
