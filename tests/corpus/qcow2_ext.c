/* SPDX-License-Identifier: ISC */

/* Header extensions and the names in the first cluster. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qcow2.h"

#define NUM(i) number(l, im, l->l_word[i])

static uint64_t
ext_type(const struct line *l, const struct image *im)
{
	static const struct {
		const char *name;
		uint64_t type;
	} known[] = {
		{ "format", EXT_FORMAT },
		{ "features", EXT_FEATURES },
		{ "bitmaps", EXT_BITMAPS },
		{ "luks", EXT_LUKS },
		{ "datafile", EXT_DATA },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(l->l_word[1], known[i].name) == 0)
			return (known[i].type);
	}
	return (NUM(1));
}

/* Behind those that are there, where the end marker was. */
static uint64_t
add_ext(const struct line *l, struct image *im, const struct qimage *q,
    uint64_t type, const void *data, size_t len)
{
	uint64_t off = q_ext_end(l, im, q);

	if (off + 16 + (len + 7) / 8 * 8 > q->q_cluster)
		die(l, "ext: no room in the first cluster");
	q_put(l, im, 4, off, type);
	q_put(l, im, 4, off + 4, len);
	file_write(l, im, data, len, off + 8);
	q_put(l, im, 8, off + 8 + (len + 7) / 8 * 8, 0);
	return (off + 8);
}

static void
do_ext(const struct line *l, struct image *im, const struct qimage *q)
{
	uint8_t b[1024];
	size_t len;

	if (l->l_nwords < 2)
		die(l, "ext: want TYPE and bytes");
	if (l->l_text != NULL)
		add_ext(l, im, q, ext_type(l, im), l->l_text, l->l_ntext);
	else {
		len = get_hex(l, 2, b, sizeof(b));
		add_ext(l, im, q, ext_type(l, im), b, len);
	}
}

/* The features that have a name, as programs write them. */
static void
do_features(const struct line *l, struct image *im, const struct qimage *q)
{
	static const struct {
		uint8_t kind, bit;
		const char *name;
	} f[] = {
		{ 0, 0, "dirty bit" },
		{ 0, 1, "corrupt bit" },
		{ 0, 2, "external data file" },
		{ 0, 3, "compression type" },
		{ 0, 4, "extended L2 entries" },
		{ 1, 0, "lazy refcounts" },
		{ 2, 0, "bitmaps" },
		{ 2, 1, "raw external data" },
	};
	uint8_t b[8 * 48] = { 0 };
	size_t i;

	for (i = 0; i < 8; i++) {
		b[48 * i] = f[i].kind;
		b[48 * i + 1] = f[i].bit;
		memcpy(b + 48 * i + 2, f[i].name, strlen(f[i].name));
	}
	add_ext(l, im, q, EXT_FEATURES, b, sizeof(b));
}

static void
do_backing(const struct line *l, struct image *im, const struct qimage *q)
{
	uint64_t at = NOWHERE;
	const struct key keys[] = { { "at=", &at } };

	get_keys(l, im, 1, keys, 1);
	if (l->l_text == NULL)
		die(l, "backing: want a name in quotes");
	if (at == NOWHERE)
		at = q_ext_end(l, im, q) + 8;
	file_write(l, im, l->l_text, l->l_ntext, at);
	q_put(l, im, 8, 8, at);
	q_put(l, im, 4, 16, l->l_ntext);
}

/* A LUKS header that says what qemu's says; nothing opens it. */
static void
do_luks(const struct line *l, struct image *im, const struct qimage *q)
{
	uint8_t b[592] = { 0 }, ext[16];
	uint64_t at = NOWHERE, len = 2068480;
	const struct key keys[] = { { "at=", &at }, { "len=", &len } };
	unsigned i;

	get_keys(l, im, 1, keys, 2);
	if (at == NOWHERE)
		at = q_room(l, im, q);
	memcpy(b, "LUKS\xba\xbe", 6);
	put_be(b + 6, 2, 1);
	memcpy(b + 8, "aes", 3);
	memcpy(b + 40, "xts-plain64", 11);
	memcpy(b + 72, "sha256", 6);
	put_be(b + 104, 4, len / 512);
	put_be(b + 108, 4, 64);
	put_be(b + 164, 4, 1000);
	memcpy(b + 168, "01234567-89ab-cdef-0123-456789abcdef", 36);
	for (i = 0; i < 8; i++) {
		put_be(b + 208 + 48 * i, 4, i == 0 ? 0x00ac71f3 : 0xdead);
		put_be(b + 208 + 48 * i + 40, 4, 8 + 500 * i);
		put_be(b + 208 + 48 * i + 44, 4, 4000);
	}
	file_write(l, im, b, len < sizeof(b) ? len : sizeof(b), at);
	q_reach(l, im, at + len);
	put_be(ext, 8, at);
	put_be(ext + 8, 8, len);
	add_ext(l, im, q, EXT_LUKS, ext, sizeof(ext));
}

/* Another file beside the image: a raw backing file. */
static void
do_file(const struct line *l, struct image *im)
{
	struct image other;
	char name[256];

	if (l->l_text == NULL || l->l_nwords != 3 || l->l_ntext >= sizeof(name))
		die(l, "file: want SIZE SEED \"NAME\"");
	memcpy(name, l->l_text, l->l_ntext);
	name[l->l_ntext] = '\0';
	open_beside(&other, im, name, O_RDWR | O_CREAT | O_TRUNC);
	file_resize(l, &other, NUM(1));
	if (NUM(2) != 0)
		file_random(l, &other, 0, NUM(1), NUM(2));
	close(other.im_fd);
}

int
qcow2_ext(const struct line *l, struct image *im)
{
	const char *w = l->l_word[0];
	struct qimage q;

	if (strcmp(w, "file") == 0) {
		do_file(l, im);
		return (1);
	}
	if (strcmp(w, "ext") != 0 && strcmp(w, "features") != 0 &&
	    strcmp(w, "backing") != 0 && strcmp(w, "luks") != 0)
		return (0);
	q_load(l, im, &q);
	if (strcmp(w, "ext") == 0)
		do_ext(l, im, &q);
	else if (strcmp(w, "features") == 0)
		do_features(l, im, &q);
	else if (strcmp(w, "backing") == 0)
		do_backing(l, im, &q);
	else
		do_luks(l, im, &q);
	return (1);
}
