/* SPDX-License-Identifier: ISC */

/*
 * mkqed.h: QED images for tests, and a judge of them, written by code that
 * shares nothing with the library's, straight from the format's document.
 */

#ifndef TESTS_UNIT_HELP_MKQED_H
#define TESTS_UNIT_HELP_MKQED_H

#include "unit/help/mem.h"

struct mkqed {
	struct mem *k_mem;
	uint64_t k_size;   /* of the disk, bytes */
	unsigned k_bits;   /* log2 of the cluster size */
	unsigned k_table;  /* clusters of a table */
	unsigned k_header; /* clusters of the header */
	uint64_t k_features, k_compat, k_autoclear;
	const char *k_backing; /* a name, or NULL; sets its feature bit */
	/* set by mkqed_begin */
	uint64_t k_cluster;
	uint64_t k_entries; /* of a table */
	uint64_t k_l1;      /* where it is; unless 0, where it goes */
	uint64_t k_next;    /* where the next cluster goes */
};

/* A header of one cluster, no features. */
void mkqed_init(struct mkqed *, struct mem *, uint64_t size, unsigned bits,
    unsigned table);
/* Header and L1 table of an image that has no clusters. */
void mkqed_begin(struct mkqed *);
/* The header as the fields have it now; the rest of its cluster stays. */
void mkqed_head(struct mkqed *);
/* So many clusters of zeros at k_next. */
uint64_t mkqed_take(struct mkqed *, uint64_t n);
/* Where the L1 entry of guest cluster g is. */
uint64_t mkqed_l1(const struct mkqed *, uint64_t g);
/* Where the L2 entry of guest cluster g is; makes its table. */
uint64_t mkqed_at(struct mkqed *, uint64_t g);
/* The same for one that is there; 0 if there is no table. */
uint64_t mkqed_find(const struct mkqed *, uint64_t g);
void mkqed_set(struct mkqed *, uint64_t g, uint64_t entry);
/* The entry as it is; 0 where there is no table. */
uint64_t mkqed_entry(const struct mkqed *, uint64_t g);
/* A cluster with pattern 1, and the entry that leads to it; its offset. */
uint64_t mkqed_data(struct mkqed *, uint64_t g);

/* Little-endian numbers of the file. */
uint64_t mkqed_get(const struct mem *, uint64_t off, unsigned bytes);
void mkqed_put(struct mem *, uint64_t off, uint64_t n, unsigned bytes);

/*
 * What refers to the clusters of a file, found out from its bytes:
 *	h header  1 L1 table  2 L2 tables  d data, NUL nothing
 */
struct mkqed_refs {
	size_t r_ncl; /* the last one need not be whole */
	unsigned *r_n;
	char *r_use;     /* that of the last reference */
	char r_why[160]; /* "" or what cannot be */
};

void mkqed_refs(const struct mem *, struct mkqed_refs *);
void mkqed_refs_free(struct mkqed_refs *);
/*
 * "" where every pointer leads to whole clusters inside the file, and none of
 * them to what another one leads to; else why not.  *leaks: clusters that
 * nothing leads to.
 */
const char *mkqed_judge(const struct mem *, uint64_t *leaks);

#endif /* TESTS_UNIT_HELP_MKQED_H */
