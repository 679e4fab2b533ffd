/* SPDX-License-Identifier: ISC */

/*
 * Makers of QED images and the guest's view of a sound one, from the
 * description of the format.  What they have to know of the image so far they
 * read from it.
 */

#include <string.h>

#include "mkimage.h"

#define CHUNK 65536u
#define SLICE 4096u
#define NOWHERE UINT64_MAX
#define BACKING 1u
#define RAW 4u

#define NUM(i) number(l, im, l->l_word[i])

struct qedimage {
	uint64_t d_cluster, d_table, d_header, d_features, d_l1, d_size;
	uint64_t d_n; /* entries of a table */
};

struct params {
	uint64_t p_cluster, p_table, p_header, p_features, p_compat;
	uint64_t p_autoclear, p_l1, p_sparse;
};

static uint64_t
get(const struct line *l, const struct image *im, unsigned n, uint64_t off)
{
	uint8_t b[8];

	file_read(l, im, b, n, off);
	return (get_le(b, n));
}

static void
put(const struct line *l, struct image *im, unsigned n, uint64_t off,
    uint64_t v)
{
	uint8_t b[8];

	if (n < 8 && v >> (8 * n) != 0)
		die(l, "%s: value does not fit", l->l_word[0]);
	put_le(b, n, v);
	file_write(l, im, b, n, off);
}

/* 0 if the image so far is none. */
static int
load(const struct line *l, const struct image *im, struct qedimage *d)
{
	uint8_t b[64];

	file_read(l, im, b, sizeof(b), 0);
	if (memcmp(b, "QED", 4) != 0)
		return (0);
	d->d_cluster = get_le(b + 4, 4);
	d->d_table = get_le(b + 8, 4);
	d->d_header = get_le(b + 12, 4);
	d->d_features = get_le(b + 16, 8);
	d->d_l1 = get_le(b + 40, 8);
	d->d_size = get_le(b + 48, 8);
	d->d_n = d->d_table * d->d_cluster / 8;
	if (d->d_n == 0 || (d->d_cluster & (d->d_cluster - 1)) != 0)
		die(l, "header is too wrong to go on");
	return (1);
}

/* Zeros: real ones, or a hole. */
static void
put_table(const struct line *l, struct image *im, uint64_t off, uint64_t len,
    int sparse)
{
	static const uint8_t zero[CHUNK];
	uint64_t n;

	if (sparse)
		file_fill(l, im, off, len, 0);
	for (; !sparse && len > 0; len -= n, off += n) {
		n = len < CHUNK ? len : CHUNK;
		file_write(l, im, zero, n, off);
	}
}

static void
maker(const struct line *l, struct image *im)
{
	struct params p = { 65536, 4, 1, 0, 0, 0, NOWHERE, 0 };
	const struct key keys[] = {
		{ "cluster=", &p.p_cluster },
		{ "table=", &p.p_table },
		{ "header=", &p.p_header },
		{ "features=", &p.p_features },
		{ "compat=", &p.p_compat },
		{ "autoclear=", &p.p_autoclear },
		{ "l1at=", &p.p_l1 },
		{ "sparse=", &p.p_sparse },
	};

	if (l->l_nwords < 2)
		die(l, "qed: want a size");
	get_keys(l, im, 2, keys, sizeof(keys) / sizeof(keys[0]));
	if (p.p_l1 == NOWHERE)
		p.p_l1 = p.p_header * p.p_cluster;
	file_resize(l, im, 0);
	put(l, im, 4, 0, 0x00444551);
	put(l, im, 4, 4, p.p_cluster);
	put(l, im, 4, 8, p.p_table);
	put(l, im, 4, 12, p.p_header);
	put(l, im, 8, 16, p.p_features);
	put(l, im, 8, 24, p.p_compat);
	put(l, im, 8, 32, p.p_autoclear);
	put(l, im, 8, 40, p.p_l1);
	put(l, im, 8, 48, NUM(1));
	file_resize(l, im, p.p_l1);
	put_table(l, im, p.p_l1, p.p_table * p.p_cluster, p.p_sparse != 0);
}

/* The first cluster that the file has not reached. */
static uint64_t
room(const struct line *l, const struct image *im, const struct qedimage *d)
{
	return ((file_length(l, im) + d->d_cluster - 1) & ~(d->d_cluster - 1));
}

static void
do_backing(const struct line *l, struct image *im, const struct qedimage *d)
{
	uint64_t at = 64;
	const struct key keys[] = { { "at=", &at } };

	get_keys(l, im, 1, keys, 1);
	if (l->l_text == NULL)
		die(l, "backing: want a name");
	put(l, im, 8, 16, d->d_features | BACKING | RAW);
	put(l, im, 4, 56, at);
	put(l, im, 4, 60, l->l_ntext);
	file_write(l, im, l->l_text, l->l_ntext, at);
}

/* A table of its own, with what the one before had. */
static void
do_l2(const struct line *l, struct image *im, const struct qedimage *d)
{
	uint8_t b[SLICE];
	uint64_t i, off, at = NOWHERE, sparse = 0, old, len;
	const struct key keys[] = { { "at=", &at }, { "sparse=", &sparse } };

	i = NUM(1);
	get_keys(l, im, 2, keys, 2);
	if (at == NOWHERE)
		at = room(l, im, d);
	len = d->d_table * d->d_cluster;
	old = get(l, im, 8, d->d_l1 + 8 * i);
	put_table(l, im, at, len, sparse != 0);
	for (off = 0; old != 0 && off < len; off += SLICE) {
		file_read(l, im, b, SLICE, old + off);
		file_write(l, im, b, SLICE, at + off);
	}
	put(l, im, 8, d->d_l1 + 8 * i, at);
}

/* Its L2 table is made where there is none. */
static void
set_entry(const struct line *l, struct image *im, const struct qedimage *d,
    uint64_t cl, uint64_t entry)
{
	uint64_t at = d->d_l1 + cl / d->d_n * 8, l2 = get(l, im, 8, at);

	if (cl / d->d_n >= d->d_n)
		die(l, "%s: the L1 table does not reach there", l->l_word[0]);
	if (l2 == 0) {
		l2 = room(l, im, d);
		put_table(l, im, l2, d->d_table * d->d_cluster, 0);
		put(l, im, 8, at, l2);
	}
	put(l, im, 8, l2 + cl % d->d_n * 8, entry);
}

static void
do_data(const struct line *l, struct image *im, const struct qedimage *d)
{
	uint64_t cl = NUM(1), at = NOWHERE, n = 1, seed = cl + 1, i;
	const struct key keys[] = { { "at=", &at }, { "n=", &n },
		{ "seed=", &seed } };

	get_keys(l, im, 2, keys, 3);
	/* Tables first: they may want the room that is next. */
	for (i = 0; i < n; i++)
		set_entry(l, im, d, cl + i, 0);
	if (at == NOWHERE)
		at = room(l, im, d);
	for (i = 0; i < n; i++, at += d->d_cluster) {
		set_entry(l, im, d, cl + i, at);
		file_noise(l, im, at, d->d_cluster, seed + i);
	}
}

static void
do_zero(const struct line *l, struct image *im, const struct qedimage *d)
{
	uint64_t cl = NUM(1), n = 1;
	const struct key keys[] = { { "n=", &n } };

	for (get_keys(l, im, 2, keys, 1); n > 0; n--, cl++)
		set_entry(l, im, d, cl, 1);
}

static void
do_raw(const struct line *l, struct image *im, const struct qedimage *d)
{
	if (l->l_nwords != 4 || strcmp(l->l_word[2], "=") != 0)
		die(l, "%s: want INDEX = VALUE", l->l_word[0]);
	if (strcmp(l->l_word[0], "entry") == 0)
		set_entry(l, im, d, NUM(1), NUM(3));
	else
		put(l, im, 8, d->d_l1 + 8 * NUM(1), NUM(3));
}

int
qed_statement(const struct line *l, struct image *im)
{
	const struct {
		const char *name;
		unsigned nwords;
		void (*make)(const struct line *, struct image *,
		    const struct qedimage *);
	} s[] = {
		{ "backing", 1, do_backing },
		{ "l2", 2, do_l2 },
		{ "data", 2, do_data },
		{ "zero", 2, do_zero },
		{ "entry", 2, do_raw },
		{ "l1", 2, do_raw },
	};
	struct qedimage d;
	size_t i;

	if (strcmp(l->l_word[0], "qed") == 0) {
		maker(l, im);
		return (1);
	}
	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		if (strcmp(l->l_word[0], s[i].name) != 0 || !load(l, im, &d))
			continue;
		if (l->l_nwords < s[i].nwords)
			die(l, "%s: which?", l->l_word[0]);
		s[i].make(l, im, &d);
		return (1);
	}
	return (0);
}

struct view {
	const struct image *v_im;
	struct image *v_out;
	const struct qedimage *v_d;
	uint64_t v_size;
	int v_over; /* a backing file's bytes are there already */
};

/* The low bits say nothing; 1 stands for zeros. */
static void
put_cluster(const struct view *v, uint64_t entry, uint64_t to)
{
	static uint8_t b[CHUNK];
	uint64_t cluster = v->v_d->d_cluster, off = entry & ~(cluster - 1);
	uint64_t end = to + cluster, n;

	if (end > v->v_size)
		end = v->v_size;
	for (; to < end; to += n, off += n) {
		n = end - to < CHUNK ? end - to : CHUNK;
		if (entry == 1)
			memset(b, 0, n);
		else
			file_read(NULL, v->v_im, b, n, off);
		if (v->v_over)
			file_write(NULL, v->v_out, b, n, to);
		else
			put_bytes(v->v_out, b, n, to);
	}
}

/* What the entries of the table at off, each for span bytes, stand for. */
static void
put_entries(const struct view *v, uint64_t off, uint64_t to, uint64_t span)
{
	uint8_t b[SLICE];
	uint64_t i, entry;

	for (i = 0; i < v->v_d->d_n && to < v->v_size; i++, to += span) {
		if (i % (SLICE / 8) == 0)
			file_read(NULL, v->v_im, b, SLICE, off + i * 8);
		entry = get_le(b + i % (SLICE / 8) * 8, 8);
		if (entry == 0)
			continue;
		if (span == v->v_d->d_cluster)
			put_cluster(v, entry, to);
		else
			put_entries(v, entry & ~(v->v_d->d_cluster - 1), to,
			    v->v_d->d_cluster);
	}
}

void
qed_guest(const struct image *im, struct image *out)
{
	struct qedimage d;
	struct view v = { im, out, &d, 0, 0 };
	uint64_t span, len;

	if (!load(NULL, im, &d))
		die(NULL, "%s: not a QED image", im->im_path);
	/* As everybody has it: whole sectors. */
	v.v_size = d.d_size / 512 * 512;
	file_resize(NULL, out, v.v_size);
	len = get(NULL, im, 4, 60);
	if ((d.d_features & BACKING) != 0 && len != 0) {
		put_backing(im, get(NULL, im, 4, 56), len, out, v.v_size);
		v.v_over = 1;
	}
	span = d.d_n * d.d_cluster;
	put_entries(&v, d.d_l1, 0, span);
}
