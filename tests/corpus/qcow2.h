/* SPDX-License-Identifier: ISC */

/* qcow2.h: what the makers and the reader of qcow2 images share. */

#ifndef CORPUS_QCOW2_H
#define CORPUS_QCOW2_H

#include "mkimage.h"

#define NOWHERE UINT64_MAX
#define COPIED (UINT64_C(1) << 63)
#define PACKED (UINT64_C(1) << 62)
#define OFFSET UINT64_C(0x00fffffffffffe00)

#define DATA_FILE 4u /* incompatible features */
#define COMPRESSION 8u
#define EXTENDED 16u

#define EXT_FORMAT 0xe2792acau
#define EXT_FEATURES 0x6803f857u
#define EXT_BITMAPS 0x23852875u
#define EXT_LUKS 0x0537be77u
#define EXT_DATA 0x44415441u

/* The header of the image so far, and what follows from it. */
struct qimage {
	uint64_t q_version, q_bits, q_size, q_crypt;
	uint64_t q_backing_off, q_backing_len;
	uint64_t q_l1_n, q_l1_off, q_rt_off, q_rt_cl, q_nsnap, q_snap_off;
	uint64_t q_incompat, q_compat, q_autoclear, q_order, q_length;
	uint64_t q_cluster, q_esz, q_l2_n; /* entry size, entries of an L2 */
	uint64_t q_rb_n;                   /* refcounts of a block */
};

/* A snapshot's entry at s_at. */
struct qsnap {
	uint64_t s_at, s_l1_off, s_l1_n, s_size, s_id_len, s_next;
	char s_id[256];
};

/* A bitmap's entry of the directory. */
struct qbitmap {
	uint64_t b_at, b_table, b_n, b_next;
};

struct walk {
	const struct line *w_line;
	const struct image *w_im;
	const struct qimage *w_q;
	void *w_arg;
	/* Either may be NULL.  Entries that are 0 are left out. */
	void (*w_l1)(const struct walk *, uint64_t at, uint64_t l1);
	void (*w_l2)(const struct walk *, uint64_t cl, uint64_t at,
	    uint64_t entry, uint64_t bits);
};

/* qcow2_read.c */
void q_load(const struct line *, const struct image *, struct qimage *);
uint64_t q_get(const struct line *, const struct image *, unsigned nbytes,
    uint64_t off);
void q_put(const struct line *, struct image *, unsigned nbytes, uint64_t off,
    uint64_t);
/* Where the data of that header extension is, or 0. */
uint64_t q_ext(const struct line *, const struct image *, const struct qimage *,
    uint64_t type, uint64_t *len);
/* Where the end marker is. */
uint64_t q_ext_end(const struct line *, const struct image *,
    const struct qimage *);
void q_snap(const struct line *, const struct image *, const struct qimage *,
    uint64_t at, struct qsnap *);
void q_bitmap(const struct line *, const struct image *, uint64_t at,
    struct qbitmap *);
void q_walk(const struct walk *, uint64_t l1_off, uint64_t l1_n);
/* The bytes that a compressed entry stands for: where, and how many. */
uint64_t q_packed(const struct qimage *, uint64_t entry, uint64_t *len);

/* qcow2_map.c: clusters */
int qcow2_map(const struct line *, struct image *);
/* The first cluster that the file has not reached. */
uint64_t q_room(const struct line *, const struct image *,
    const struct qimage *);
/* Make the file at least that long. */
void q_reach(const struct line *, struct image *, uint64_t);

/* qcow2_ext.c: what the header leads to */
int qcow2_ext(const struct line *, struct image *);
/* qcow2_snap.c: snapshots and bitmaps */
int qcow2_snap(const struct line *, struct image *);
/* qcow2_count.c: refcounts */
int qcow2_count(const struct line *, struct image *);

/* deflate.c */
/*
 * A cluster of n bytes that repeats its first period bytes, which are noise,
 * and the stream that says so; returns the length of the stream.
 */
void repeat(uint8_t *, size_t n, size_t period, uint64_t seed);
size_t deflate_repeat(const uint8_t *, size_t n, size_t period, uint8_t *to);

#endif /* CORPUS_QCOW2_H */
