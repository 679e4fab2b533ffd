/* SPDX-License-Identifier: ISC */

/*
 * owners.h: who uses each host cluster, and how often.
 *
 * Four bits per cluster say what it is used for, as long as it is used once.
 * What is used more often is in runs of neighbours that are alike, a few per
 * page of 4096 clusters: a snapshot of a whole disk costs next to nothing.
 *
 * The map covers a window of the file.  It is as large as the handle's budget
 * allows, and gets smaller when the runs become too many: what it lost then
 * belongs to the next window, for which all references are told again.
 */

#ifndef QCOW2_OWNERS_H
#define QCOW2_OWNERS_H

#include "qcow2/qcow2.h"

#define QCOW2_PAGE 4096u
#define QCOW2_COARSE 65536u        /* parts of the file, at most */
#define QCOW2_OWN_MANY 0x07ffffffu /* so many references, or more */
#define QCOW2_NCUTS 32             /* windows are halved no more often */

struct qcow2_owner {
	enum qcow2_use o_use; /* of the first that was told; NONE: no one */
	uint32_t o_count;     /* up to QCOW2_OWN_MANY */
	int o_alias;          /* some of them must not share it */
};

struct qcow2_run {
	uint16_t ru_start; /* cluster in its page */
	uint16_t ru_len;
	uint32_t ru_val; /* an owner in bits: see owners.c */
};

struct qcow2_page {
	struct qcow2_run *pg_run; /* sorted, apart or different */
	uint32_t pg_n;
	uint32_t pg_max;
};

/* A window that became too small: what it lost, and when. */
struct qcow2_cut {
	uint64_t cu_from;
	uint64_t cu_to;
	uint64_t cu_seq; /* of the reference that did not fit */
};

struct qcow2_owners {
	struct img *ow_im;
	uint64_t ow_ncl;   /* clusters of the file */
	uint64_t ow_first; /* of the window */
	uint64_t ow_n;
	uint64_t ow_max;  /* the largest window that is worth trying */
	uint64_t ow_room; /* the largest there is memory for */
	uint64_t ow_seq;  /* the caller's: where in its walk it is, ascending */
	uint8_t *ow_state;
	struct qcow2_page *ow_page;
	uint8_t *ow_coarse; /* bits: parts of the file with references */
	uint32_t ow_shift;  /* log2 of the clusters in such a part */
	uint32_t ow_ncuts;
	struct qcow2_cut ow_cut[QCOW2_NCUTS];
};

/* For a file of so many clusters; a window of at most max, 0: no limit. */
int qcow2_own_init(struct qcow2_owners *, struct img *, uint64_t ncl,
    uint64_t max);
void qcow2_own_fini(struct qcow2_owners *);
/* A window from that cluster on, in which nothing is used. */
void qcow2_own_open(struct qcow2_owners *, uint64_t first);
/*
 * One more reference to a cluster, and who was there before.  Outside the
 * window that is always no one.
 */
int qcow2_own_add(struct qcow2_owners *, uint64_t cl, enum qcow2_use,
    struct qcow2_owner *before);
/* Is the cluster in the window? */
static inline int
qcow2_own_has(const struct qcow2_owners *ow, uint64_t cl)
{
	return (cl >= ow->ow_first && cl - ow->ow_first < ow->ow_n);
}
/* The owners of a cluster must not share it: its count means nothing. */
int qcow2_own_alias(struct qcow2_owners *, uint64_t cl);
/* Did an earlier window have this cluster when the walk was here? */
int qcow2_own_seen(const struct qcow2_owners *, uint64_t cl);
void qcow2_own_get(const struct qcow2_owners *, uint64_t cl,
    struct qcow2_owner *);
/* How many clusters from cl on, at most n, are alike; all in the window. */
uint64_t qcow2_own_run(const struct qcow2_owners *, uint64_t cl, uint64_t n,
    struct qcow2_owner *);
/*
 * The first part from cl on in which anything was ever told, and its length
 * in *n; the end of the file, and 0, if there is none.
 */
uint64_t qcow2_own_next(const struct qcow2_owners *, uint64_t cl);

#endif /* QCOW2_OWNERS_H */
