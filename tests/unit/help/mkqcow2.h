/* SPDX-License-Identifier: ISC */

/*
 * mkqcow2.h: qcow2 images for tests, and a judge of them, written by code
 * that shares nothing with the library's, straight from the description of
 * the format.
 */

#ifndef TESTS_UNIT_HELP_MKQCOW2_H
#define TESTS_UNIT_HELP_MKQCOW2_H

#include "unit/help/mem.h"

#define MKQ_COPIED (UINT64_C(1) << 63)
#define MKQ_PACKED (UINT64_C(1) << 62)
#define MKQ_NSNAPS 8

struct mkqsnap {
	char s_id[16];
	char s_name[48];
	uint64_t s_l1;
	uint32_t s_l1_size;
	uint64_t s_size;
	uint32_t s_extra; /* bytes of extra data that are written */
};

struct mkqcow2 {
	struct mem *k_mem;
	uint64_t k_size; /* of the disk, bytes */
	unsigned k_version;
	unsigned k_bits;   /* log2 of the cluster size */
	unsigned k_order;  /* log2 of the bits of a refcount */
	unsigned k_length; /* of the header, where it is version 3 */
	uint64_t k_incompat, k_compat, k_autoclear;
	unsigned k_compression; /* type; in the header from byte 104 on */
	const char *k_backing;  /* names, or NULL */
	const char *k_format;   /* of the backing file */
	const char *k_data;     /* external data file; sets its feature bit */
	uint32_t k_l1_size;     /* entries; 0: as many as needed */
	uint32_t k_rt_n;        /* clusters of the refcount table */
	/* set by mkqcow2_begin */
	uint64_t k_cluster;
	uint64_t k_l1, k_rt; /* where the tables are */
	uint64_t k_next;     /* where the next cluster goes */
	uint64_t k_pack;     /* where the next stream goes; 0: a new cluster */
	uint64_t k_snap_off;
	struct mkqsnap k_snap[MKQ_NSNAPS];
	unsigned k_nsnap;
};

/* The defaults: version 3, 16 bits of refcount, header of 112 bytes. */
void mkqcow2_init(struct mkqcow2 *, struct mem *, uint64_t size, unsigned bits);
/* Header, refcount table and L1 table of an image that has no clusters. */
void mkqcow2_begin(struct mkqcow2 *);
/* A header extension, padded, at off; where the next one goes. */
uint64_t mkqcow2_ext(struct mkqcow2 *, uint64_t off, uint32_t type,
    const void *, uint32_t len);
/* So many clusters of zeros at k_next. */
uint64_t mkqcow2_take(struct mkqcow2 *, uint64_t n);
/* Where the entry of guest cluster g is; makes its L2 table. */
uint64_t mkqcow2_at(struct mkqcow2 *, uint64_t g);
/* The same for one that is there; 0 if there is no table. */
uint64_t mkqcow2_find(const struct mkqcow2 *, uint64_t g);
void mkqcow2_set(struct mkqcow2 *, uint64_t g, uint64_t entry, uint64_t bits);
/* The entry as it is; 0 where there is no table. */
uint64_t mkqcow2_entry(const struct mkqcow2 *, uint64_t g);
uint64_t mkqcow2_subs(const struct mkqcow2 *, uint64_t g);
/* A cluster with pattern 1, and its entry without COPIED; its offset. */
uint64_t mkqcow2_data(struct mkqcow2 *, uint64_t g);
/* A compressed cluster of pattern 1, behind the last one; its entry. */
uint64_t mkqcow2_pack(struct mkqcow2 *, uint64_t g);
/* The disk as it is now becomes a snapshot. */
struct mkqsnap *mkqcow2_snapshot(struct mkqcow2 *, const char *id,
    const char *name);
/* The snapshot table, all refcounts, and the COPIED flags that follow. */
void mkqcow2_end(struct mkqcow2 *);
/* Refcounts as the references are, COPIED as those, once more. */
void mkqcow2_recount(struct mkqcow2 *);

/* The stored refcount of a cluster; 0 where there is no block for it. */
uint64_t mkqcow2_count(const struct mem *, uint64_t cl);
void mkqcow2_put_count(struct mem *, uint64_t cl, uint64_t n);

/*
 * What refers to the clusters of a file, found out from its bytes.  The use
 * is that of the last reference:
 *	h header  1 L1  2 L2  d data  p compressed  t refcount table
 *	b refcount block  s snapshot table  S L1 of a snapshot
 */
struct mkrefs {
	size_t r_ncl;
	uint64_t *r_n;
	char *r_use;
	char r_why[160]; /* "" or what cannot be */
};

void mkqcow2_refs(const struct mem *, struct mkrefs *);
void mkqcow2_refs_free(struct mkrefs *);
/*
 * "" where every pointer leads to what is there, every refcount is at least
 * the number of references, and COPIED says whether it is 1; else why not.
 * *leaks: clusters with a refcount that is too high.
 */
const char *mkqcow2_judge(const struct mem *, uint64_t *leaks);

/* ev_unpack of the host's environment. */
void mkqcow2_env(struct mem_env *);

#endif /* TESTS_UNIT_HELP_MKQCOW2_H */
