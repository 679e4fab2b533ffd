/* SPDX-License-Identifier: ISC */

/* The statements of a recipe that change bytes. */

#include <stdio.h>
#include <string.h>

#include "mkimage.h"

#define NUM(i) number(l, im, l->l_word[i])

static void
want(const struct line *l, unsigned n)
{
	if (l->l_nwords != n)
		die(l, "%s: wrong number of words", l->l_word[0]);
}

static void
want_equals(const struct line *l)
{
	if (l->l_nwords < 3 || strcmp(l->l_word[2], "=") != 0)
		die(l, "%s: want OFFSET = VALUE", l->l_word[0]);
}

static void
do_number(const struct line *l, struct image *im, unsigned n,
    void (*put)(uint8_t *, unsigned, uint64_t))
{
	uint8_t buf[8];
	uint64_t v;

	want_equals(l);
	want(l, 4);
	v = NUM(3);
	if (n < 8 && v >> (8 * n) != 0)
		die(l, "%s: value does not fit", l->l_word[0]);
	put(buf, n, v);
	file_write(l, im, buf, n, NUM(1));
}

static void
do_bytes(const struct line *l, struct image *im)
{
	uint8_t buf[1024];
	size_t n;

	want_equals(l);
	n = get_hex(l, 3, buf, sizeof(buf));
	file_write(l, im, buf, n, NUM(1));
}

/* wide: bytes per character; low: which of them holds it. */
static void
do_text(const struct line *l, struct image *im, unsigned wide, unsigned low)
{
	uint8_t buf[2];
	uint64_t off;
	size_t i;

	want_equals(l);
	if (l->l_text == NULL)
		die(l, "%s: want a text in quotes", l->l_word[0]);
	off = NUM(1);
	for (i = 0; i < l->l_ntext; i++) {
		buf[0] = buf[1] = 0;
		buf[low] = (uint8_t)l->l_text[i];
		file_write(l, im, buf, wide, off + i * wide);
	}
}

static void
do_sum(const struct line *l, struct image *im)
{
	uint8_t buf[4];
	uint64_t map, nsec, i;
	uint32_t sum = 0;

	want(l, 3);
	if (strcmp(l->l_word[1], "footer") == 0)
		vhd_sum(l, im, 512, 64, NUM(2));
	else if (strcmp(l->l_word[1], "header") == 0)
		vhd_sum(l, im, 1024, 36, NUM(2));
	else if (strcmp(l->l_word[1], "batmap") == 0) {
		file_read(l, im, buf, 4, NUM(2) + 12);
		map = get_be(buf, 4);
		file_read(l, im, buf, 4, NUM(2) + 16);
		nsec = get_be(buf, 4);
		for (i = 0; i < nsec * 512; i++) {
			file_read(l, im, buf, 1, map + i);
			sum += buf[0];
		}
		put_be(buf, 4, ~sum & 0xffffffff);
		file_write(l, im, buf, 4, NUM(2) + 24);
	} else
		die(l, "sum: footer, header or batmap");
}

static void
do_from(const struct line *l, struct image *im, unsigned depth)
{
	char path[4096];
	const char *slash;
	int dir;

	want(l, 2);
	if (depth + 1 >= RECIPE_DEPTH)
		die(l, "from: too deep");
	slash = strrchr(l->l_file, '/');
	dir = slash == NULL ? 0 : (int)(slash + 1 - l->l_file);
	if (snprintf(path, sizeof(path), "%.*s%s.recipe", dir, l->l_file,
		l->l_word[1]) >= (int)sizeof(path))
		die(l, "from: name too long");
	file_resize(l, im, 0);
	build(path, im, depth + 1);
}

/* Statements that take three numbers. */
static int
do_three(const struct line *l, struct image *im)
{
	const char *w = l->l_word[0];

	if (strcmp(w, "fill") == 0) {
		want(l, 4);
		file_fill(l, im, NUM(1), NUM(2), (int)NUM(3));
	} else if (strcmp(w, "random") == 0) {
		want(l, 4);
		file_random(l, im, NUM(1), NUM(2), NUM(3));
	} else if (strcmp(w, "copy") == 0) {
		want(l, 4);
		file_copy(l, im, NUM(1), NUM(2), NUM(3));
	} else
		return (0);
	return (1);
}

static int
do_value(const struct line *l, struct image *im)
{
	const char *w = l->l_word[0];

	if (strcmp(w, "u8") == 0)
		do_number(l, im, 1, put_be);
	else if (strcmp(w, "be16") == 0)
		do_number(l, im, 2, put_be);
	else if (strcmp(w, "be32") == 0)
		do_number(l, im, 4, put_be);
	else if (strcmp(w, "be64") == 0)
		do_number(l, im, 8, put_be);
	else if (strcmp(w, "le32") == 0)
		do_number(l, im, 4, put_le);
	else if (strcmp(w, "le64") == 0)
		do_number(l, im, 8, put_le);
	else if (strcmp(w, "bytes") == 0)
		do_bytes(l, im);
	else if (strcmp(w, "text") == 0)
		do_text(l, im, 1, 0);
	else if (strcmp(w, "utf16be") == 0)
		do_text(l, im, 2, 1);
	else if (strcmp(w, "utf16le") == 0)
		do_text(l, im, 2, 0);
	else
		return (0);
	return (1);
}

static int
do_vhd(const struct line *l, struct image *im)
{
	const char *w = l->l_word[0];

	if (strcmp(w, "fixed") == 0)
		vhd_fixed(l, im);
	else if (strcmp(w, "dynamic") == 0)
		vhd_dynamic(l, im);
	else if (strcmp(w, "block") == 0)
		vhd_block(l, im);
	else if (strcmp(w, "sum") == 0)
		do_sum(l, im);
	else if (strcmp(w, "end") == 0) {
		want(l, 2);
		vhd_end(l, im, NUM(1));
	} else
		return (0);
	return (1);
}

/* The same value in the footer copy and in the end footer. */
static void
do_both(struct line *l, struct image *im)
{
	char at[2][64], *field;
	struct line one = *l;
	unsigned i;

	if (l->l_nwords < 4)
		die(l, "both: want TYPE FIELD = VALUE");
	one.l_nwords--;
	memmove(one.l_word, l->l_word + 1, one.l_nwords * sizeof(char *));
	field = one.l_word[1];
	snprintf(at[0], sizeof(at[0]), "0+%s", field);
	snprintf(at[1], sizeof(at[1]), "end-512+%s", field);
	for (i = 0; i < 2; i++) {
		one.l_word[1] = at[i];
		if (!do_value(&one, im))
			die(l, "both: unknown type \"%s\"", one.l_word[0]);
	}
	vhd_sum(l, im, 512, 64, 0);
	vhd_sum(l, im, 512, 64, file_length(l, im) - 512);
}

static void
statement(struct line *l, struct image *im, unsigned depth)
{
	const char *w = l->l_word[0];

	if (is_expectation(w))
		return;
	if (strcmp(w, "from") == 0)
		do_from(l, im, depth);
	else if (strcmp(w, "size") == 0) {
		want(l, 2);
		file_resize(l, im, NUM(1));
	} else if (strcmp(w, "both") == 0)
		do_both(l, im);
	else if (!do_three(l, im) && !do_value(l, im) && !do_vhd(l, im) &&
	    !qed_statement(l, im) && !qcow2_statement(l, im))
		die(l, "unknown statement \"%s\"", w);
}

void
build(const char *recipe, struct image *im, unsigned depth)
{
	char buf[1024];
	struct line l = { 0 };
	FILE *f;

	f = fopen(recipe, "r");
	if (f == NULL)
		die(NULL, "%s: cannot open", recipe);
	l.l_file = recipe;
	while (fgets(buf, sizeof(buf), f) != NULL) {
		l.l_no++;
		if (strchr(buf, '\n') == NULL)
			die(&l, "line too long, or no newline");
		if (split_line(&l, buf))
			statement(&l, im, depth);
	}
	if (ferror(f))
		die(NULL, "%s: cannot read", recipe);
	fclose(f);
}
