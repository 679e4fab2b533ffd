/* SPDX-License-Identifier: ISC */

/* qcow2 as it is on disk, from the published description of the format. */

#include <string.h>

#include "qcow2.h"

#define CHUNK 65536u

uint64_t
q_get(const struct line *l, const struct image *im, unsigned n, uint64_t off)
{
	uint8_t b[8];

	file_read(l, im, b, n, off);
	return (get_be(b, n));
}

void
q_put(const struct line *l, struct image *im, unsigned n, uint64_t off,
    uint64_t v)
{
	uint8_t b[8];

	if (n < 8 && v >> (8 * n) != 0)
		die(l, "%s: value does not fit", l->l_word[0]);
	put_be(b, n, v);
	file_write(l, im, b, n, off);
}

static void
load_v3(const uint8_t *b, struct qimage *q)
{
	q->q_incompat = q->q_compat = q->q_autoclear = 0;
	q->q_order = 4;
	q->q_length = 72;
	if (q->q_version < 3)
		return;
	q->q_incompat = get_be(b + 72, 8);
	q->q_compat = get_be(b + 80, 8);
	q->q_autoclear = get_be(b + 88, 8);
	q->q_order = get_be(b + 96, 4);
	q->q_length = get_be(b + 100, 4);
}

void
q_load(const struct line *l, const struct image *im, struct qimage *q)
{
	uint8_t b[112];

	file_read(l, im, b, sizeof(b), 0);
	if (memcmp(b, "QFI\xfb", 4) != 0)
		die(l, "not a qcow2 image so far");
	q->q_version = get_be(b + 4, 4);
	q->q_backing_off = get_be(b + 8, 8);
	q->q_backing_len = get_be(b + 16, 4);
	q->q_bits = get_be(b + 20, 4);
	q->q_size = get_be(b + 24, 8);
	q->q_crypt = get_be(b + 32, 4);
	q->q_l1_n = get_be(b + 36, 4);
	q->q_l1_off = get_be(b + 40, 8);
	q->q_rt_off = get_be(b + 48, 8);
	q->q_rt_cl = get_be(b + 56, 4);
	q->q_nsnap = get_be(b + 60, 4);
	q->q_snap_off = get_be(b + 64, 8);
	load_v3(b, q);
	if (q->q_bits < 9 || q->q_bits > 21 || q->q_order > 6)
		die(l, "header is too wrong to go on");
	q->q_cluster = UINT64_C(1) << q->q_bits;
	q->q_esz = (q->q_incompat & EXTENDED) != 0 ? 16 : 8;
	q->q_l2_n = q->q_cluster / q->q_esz;
	q->q_rb_n = q->q_cluster * 8 >> q->q_order;
}

/* The extension at off; 0 at the end of the list. */
static uint64_t
next_ext(const struct line *l, const struct image *im, const struct qimage *q,
    uint64_t off, uint64_t *type, uint64_t *len)
{
	if (off + 8 > q->q_cluster)
		return (0);
	*type = q_get(l, im, 4, off);
	*len = q_get(l, im, 4, off + 4);
	if (*type == 0)
		return (0);
	return (off + 8 + (*len + 7) / 8 * 8);
}

uint64_t
q_ext(const struct line *l, const struct image *im, const struct qimage *q,
    uint64_t want, uint64_t *len)
{
	uint64_t off = q->q_length, next, type;

	while ((next = next_ext(l, im, q, off, &type, len)) != 0) {
		if (type == want)
			return (off + 8);
		off = next;
	}
	*len = 0;
	return (0);
}

uint64_t
q_ext_end(const struct line *l, const struct image *im, const struct qimage *q)
{
	uint64_t off = q->q_length, next, type, len;

	while ((next = next_ext(l, im, q, off, &type, &len)) != 0)
		off = next;
	return (off);
}

void
q_snap(const struct line *l, const struct image *im, const struct qimage *q,
    uint64_t at, struct qsnap *s)
{
	uint64_t extra, end;

	memset(s, 0, sizeof(*s));
	s->s_at = at;
	s->s_l1_off = q_get(l, im, 8, at);
	s->s_l1_n = q_get(l, im, 4, at + 8);
	s->s_id_len = q_get(l, im, 2, at + 12);
	extra = q_get(l, im, 4, at + 36);
	s->s_size = extra < 16 ? q->q_size : q_get(l, im, 8, at + 48);
	if (s->s_id_len < sizeof(s->s_id))
		file_read(l, im, s->s_id, s->s_id_len, at + 40 + extra);
	end = at + 40 + extra + s->s_id_len + q_get(l, im, 2, at + 14);
	s->s_next = (end + 7) / 8 * 8;
}

void
q_bitmap(const struct line *l, const struct image *im, uint64_t at,
    struct qbitmap *b)
{
	uint64_t len;

	b->b_at = at;
	b->b_table = q_get(l, im, 8, at);
	b->b_n = q_get(l, im, 4, at + 8);
	len = 24 + q_get(l, im, 2, at + 18) + q_get(l, im, 4, at + 20);
	b->b_next = at + (len + 7) / 8 * 8;
}

uint64_t
q_packed(const struct qimage *q, uint64_t entry, uint64_t *len)
{
	uint64_t x = 70 - q->q_bits, off;

	off = entry & ((UINT64_C(1) << x) - 1);
	entry &= PACKED - 1;
	*len = ((entry >> x) + 1) * 512 - off % 512;
	return (off);
}

static void
walk_l2(const struct walk *w, uint64_t first, uint64_t off)
{
	const struct qimage *q = w->w_q;
	static uint8_t b[CHUNK];
	uint64_t k, n, i, entry, bits;

	for (k = 0; k < q->q_cluster; k += n) {
		n = q->q_cluster - k < CHUNK ? q->q_cluster - k : CHUNK;
		file_read(w->w_line, w->w_im, b, n, off + k);
		for (i = 0; i < n; i += q->q_esz) {
			entry = get_be(b + i, 8);
			bits = q->q_esz == 8 ? 0 : get_be(b + i + 8, 8);
			if ((entry | bits) != 0)
				w->w_l2(w, first + (k + i) / q->q_esz,
				    off + k + i, entry, bits);
		}
	}
}

void
q_walk(const struct walk *w, uint64_t l1_off, uint64_t l1_n)
{
	static uint8_t b[CHUNK];
	uint64_t k, n, i, l1;

	for (k = 0; k < l1_n * 8; k += n) {
		n = l1_n * 8 - k < CHUNK ? l1_n * 8 - k : CHUNK;
		file_read(w->w_line, w->w_im, b, n, l1_off + k);
		for (i = 0; i < n; i += 8) {
			l1 = get_be(b + i, 8);
			if (l1 != 0 && w->w_l1 != NULL)
				w->w_l1(w, l1_off + k + i, l1);
			if ((l1 & OFFSET) != 0 && w->w_l2 != NULL)
				walk_l2(w, (k + i) / 8 * w->w_q->q_l2_n,
				    l1 & OFFSET);
		}
	}
}
