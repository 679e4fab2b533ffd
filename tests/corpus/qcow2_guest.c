/* SPDX-License-Identifier: ISC */

/* The guest's view of a sound qcow2 image: the active disk or a snapshot. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "qcow2.h"

#define CLUSTER_MAX (1u << 21)
#define NSUB 32u

struct view {
	struct image *v_out;
	struct image v_data; /* where the clusters are */
	uint64_t v_size;
	int v_over; /* a backing file's bytes are there already */
};

static void
put(const struct view *v, const uint8_t *b, uint64_t len, uint64_t to)
{
	if (to >= v->v_size)
		return;
	if (len > v->v_size - to)
		len = v->v_size - to;
	if (v->v_over)
		file_write(NULL, v->v_out, b, len, to);
	else
		put_bytes(v->v_out, b, len, to);
}

/* The bytes that a deflate stream gives. */
static uint64_t
inflated(uint8_t *in, uint64_t len, uint8_t *b, uint64_t max)
{
	z_stream z = { 0 };

	if (inflateInit2(&z, -15) != Z_OK)
		die(NULL, "no memory");
	z.next_in = in;
	z.avail_in = (uInt)len;
	z.next_out = b;
	z.avail_out = (uInt)max;
	if (inflate(&z, Z_FINISH) == Z_DATA_ERROR)
		z.avail_out = (uInt)max;
	inflateEnd(&z);
	return (max - z.avail_out);
}

/*
 * The bytes that a zstd frame (RFC 8878) gives, as recipes have it: one
 * segment, a length of 2 bytes, blocks that are stored or repeat a byte.
 */
static uint64_t
unzstd(const uint8_t *in, uint64_t len, uint8_t *b, uint64_t max)
{
	uint64_t i = 7, n = 0, size;
	unsigned h = 0, raw;

	if (get_be(in, 4) != 0x28b52ffd || in[4] != 0x60)
		die(NULL, "not a zstd frame that is known here");
	while ((h & 1) == 0) {
		if (len - i < 4)
			return (0);
		h = in[i] | (unsigned)in[i + 1] << 8 |
		    (unsigned)in[i + 2] << 16;
		raw = (h >> 1 & 3) == 0;
		size = h >> 3;
		i += 3;
		if (size > max - n || (raw && size > len - i) || h & 4)
			return (0);
		if (raw)
			memcpy(b + n, in + i, size);
		else
			memset(b + n, in[i], size);
		i += raw ? size : 1;
		n += size;
	}
	return (n);
}

static void
put_packed(const struct walk *w, uint64_t to, uint64_t entry)
{
	static uint8_t in[2 * CLUSTER_MAX], b[CLUSTER_MAX];
	const struct qimage *q = w->w_q;
	uint64_t off, len, n;

	off = q_packed(q, entry, &len);
	file_read(NULL, w->w_im, in, len, off);
	if ((q->q_incompat & COMPRESSION) != 0)
		n = unzstd(in, len, b, q->q_cluster);
	else
		n = inflated(in, len, b, q->q_cluster);
	if (n != q->q_cluster)
		die(NULL, "cluster at %llu cannot be decompressed",
		    (unsigned long long)to);
	put(w->w_arg, b, q->q_cluster, to);
}

static void
put_part(const struct walk *w, uint64_t to, uint64_t off, uint64_t len)
{
	static uint8_t b[CLUSTER_MAX];
	const struct view *v = w->w_arg;

	if (off == NOWHERE)
		memset(b, 0, len);
	else
		file_read(NULL, &v->v_data, b, len, off);
	put(v, b, len, to);
}

static void
put_subs(const struct walk *w, uint64_t to, uint64_t off, uint64_t bits)
{
	uint64_t len = w->w_q->q_cluster / NSUB, i;

	for (i = 0; i < NSUB; i++, to += len, off += len) {
		if (bits >> (32 + i) & 1)
			put_part(w, to, NOWHERE, len);
		else if (bits >> i & 1)
			put_part(w, to, off, len);
	}
}

static void
put_cluster(const struct walk *w, uint64_t cl, uint64_t at, uint64_t entry,
    uint64_t bits)
{
	const struct qimage *q = w->w_q;
	uint64_t to = cl << q->q_bits, off = entry & OFFSET;
	const struct view *v = w->w_arg;

	(void)at;
	if (to >= v->v_size)
		return;
	if ((entry & PACKED) != 0)
		put_packed(w, to, entry);
	else if (q->q_esz == 16)
		put_subs(w, to, off, bits);
	else if ((entry & 1) != 0)
		put_part(w, to, NOWHERE, q->q_cluster);
	else if (off != 0 ||
	    ((q->q_incompat & DATA_FILE) != 0 && (entry & COPIED) != 0))
		put_part(w, to, off, q->q_cluster);
}

static void
find_snapshot(const struct image *im, const struct qimage *q, const char *id,
    struct qsnap *s)
{
	uint64_t i, at = q->q_snap_off;

	for (i = 0; i < q->q_nsnap; i++, at = s->s_next) {
		q_snap(NULL, im, q, at, s);
		if (strcmp(s->s_id, id) == 0)
			return;
	}
	die(NULL, "no snapshot %s", id);
}

void
qcow2_guest(const struct image *im, const char *snapshot, struct image *out)
{
	struct qimage q;
	struct qsnap s;
	struct view v;
	struct walk w = { NULL, im, &q, &v, NULL, put_cluster };
	char name[1024] = "";
	uint64_t at, len;

	q_load(NULL, im, &q);
	s.s_l1_off = q.q_l1_off;
	s.s_l1_n = q.q_l1_n;
	s.s_size = q.q_size;
	if (snapshot != NULL)
		find_snapshot(im, &q, snapshot, &s);
	v.v_out = out;
	v.v_size = s.s_size;
	v.v_data = *im;
	v.v_over = 0;
	at = q_ext(NULL, im, &q, EXT_DATA, &len);
	if ((q.q_incompat & DATA_FILE) != 0 && at != 0 && len < sizeof(name)) {
		file_read(NULL, im, name, len, at);
		open_beside(&v.v_data, im, name, O_RDONLY);
	}
	/* As everybody has it: whole sectors. */
	v.v_size = v.v_size / 512 * 512;
	file_resize(NULL, out, v.v_size);
	if (q.q_backing_off != 0 && q.q_backing_len != 0) {
		put_backing(im, q.q_backing_off, q.q_backing_len, out,
		    v.v_size);
		v.v_over = 1;
	}
	q_walk(&w, s.s_l1_off, s.s_l1_n);
}
