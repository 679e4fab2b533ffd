/* SPDX-License-Identifier: ISC */

/*
 * Deflate (RFC 1951) by hand, one block with the fixed codes: the length of
 * a stream does not depend on the version of a library, and distances are
 * what the recipe wants, up to 32768.
 */

#include <string.h>

#include "qcow2.h"

struct bits {
	uint8_t *b_to;
	size_t b_n; /* bits so far */
};

/* n bits, the lowest first. */
static void
put(struct bits *b, unsigned v, unsigned n)
{
	for (; n > 0; n--, v >>= 1, b->b_n++) {
		if (b->b_n % 8 == 0)
			b->b_to[b->b_n / 8] = 0;
		b->b_to[b->b_n / 8] |= (uint8_t)((v & 1) << b->b_n % 8);
	}
}

/* Codes go the other way round. */
static void
put_code(struct bits *b, unsigned code, unsigned n)
{
	while (n-- > 0)
		put(b, code >> n & 1, 1);
}

static void
put_symbol(struct bits *b, unsigned s)
{
	if (s < 144)
		put_code(b, 0x30 + s, 8);
	else if (s < 256)
		put_code(b, 0x190 + s - 144, 9);
	else if (s < 280)
		put_code(b, s - 256, 7);
	else
		put_code(b, 0xc0 + s - 280, 8);
}

/* Lengths 3 to 258. */
static void
put_length(struct bits *b, unsigned len)
{
	unsigned k = len - 3, extra = 0;

	if (len == 258) {
		put_symbol(b, 285);
		return;
	}
	while (k >> extra >= 8)
		extra++;
	put_symbol(b, 257 + 4 * extra + (k >> extra));
	put(b, k, extra);
}

/* Distances 1 to 32768. */
static void
put_distance(struct bits *b, unsigned dist)
{
	unsigned k = dist - 1, extra = 0;

	while (k >> extra >= 4)
		extra++;
	put_code(b, 2 * extra + (k >> extra), 5);
	put(b, k, extra);
}

void
repeat(uint8_t *buf, size_t n, size_t period, uint64_t seed)
{
	size_t i;

	for (i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		buf[i] = i < period ? (uint8_t)(seed >> 56) : buf[i - period];
	}
}

size_t
deflate_repeat(const uint8_t *from, size_t n, size_t period, uint8_t *to)
{
	struct bits b = { to, 0 };
	size_t i, len;

	put(&b, 1, 1); /* the last block */
	put(&b, 1, 2); /* fixed codes */
	for (i = 0; i < n && i < period; i++)
		put_symbol(&b, from[i]);
	while (i < n) {
		len = n - i;
		if (len < 3) {
			put_symbol(&b, from[i++]);
			continue;
		}
		if (len > 258)
			len = len < 261 ? 255 : 258;
		put_length(&b, (unsigned)len);
		put_distance(&b, (unsigned)period);
		i += len;
	}
	put_symbol(&b, 256);
	return ((b.b_n + 7) / 8);
}
