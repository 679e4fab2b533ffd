/* SPDX-License-Identifier: ISC */

/* check.h: what the files of stage CHECK of qcow2 share. */

#ifndef QCOW2_CHECK_H
#define QCOW2_CHECK_H

#include "qcow2/owners.h"
#include "qcow2/tool.h"

#define QCOW2_TEXT_MAX 255u /* bytes of a string that are told */

/*
 * Refcounts that are not what they should be: that of n clusters from cl on
 * is d_stored, and these are the owners of each.
 */
struct qcow2_diff {
	uint64_t d_cl;
	uint64_t d_n;
	uint64_t d_stored;
	int d_known; /* else d_stored means nothing */
	struct qcow2_owner d_owner;
};

typedef int qcow2_diff_fn(void *arg, const struct qcow2_diff *);

/* One count of all references: both check and repair stand on it. */
struct qcow2_tally {
	struct img *ta_im;
	struct qcow2_owners ta_ow;
	uint64_t ta_ncl; /* clusters of the file, the last one whole */
	/*
	 * Every structure could be walked, and no two share what they must
	 * not.  Only then is a count that is too high known to be so.
	 */
	int ta_whole;
	int ta_doubt;  /* what is metadata and what is data is in doubt */
	int ta_report; /* raise rows */
	struct img_checked *ta_ch; /* statistics, or NULL */
	int ta_anew;               /* as if there were no refcount table */
	/*
	 * What two entries of the active tree share counts twice, instead of
	 * being left out as what must not be.
	 */
	int ta_twins;
	qcow2_diff_fn *ta_diff;
	qcow2_diff_fn *ta_each; /* instead: all clusters, alike or not */
	void *ta_arg;
	uint64_t ta_end; /* the first cluster behind all that are in use */

	/* The walk */
	int ta_first;        /* it is the first of this count */
	uint32_t ta_tree;    /* 0 metadata, 1 the active tree, 2 ... */
	int ta_copied;       /* of the entry at hand */
	const char *ta_name; /* id of the snapshot whose tree it is, or NULL */
	uint64_t ta_next;    /* statistics: cluster that would go on */
	uint64_t ta_polls;
	uint8_t *ta_skip; /* bits: L1 entries that lead to no L2 table */
	uint8_t *ta_bad;  /* bits: refcount blocks that are none */

	struct qcow2_diff ta_diffs; /* not yet told; d_n 0: none */
};

/* check_tally.c */
/* A window of at most that many clusters, 0: no limit. */
int qcow2_tally_init(struct qcow2_tally *, struct img *, uint64_t window);
void qcow2_tally_fini(struct qcow2_tally *);
/* Count all, window by window. */
int qcow2_tally(struct qcow2_tally *);
/*
 * One more reference to each cluster of [off, off + len).  Where another
 * owner is in the way *clash is set, and fi raised as the row that fits.
 */
int qcow2_tally_own(struct qcow2_tally *, enum qcow2_use, uint64_t off,
    uint64_t len, struct img_finding *fi, int *clash);
/* The same where a row was raised already: these clusters do not count. */
int qcow2_tally_void(struct qcow2_tally *, enum qcow2_use, uint64_t off,
    uint64_t len);

/* check_walk.c: tell the owners of all that is referenced. */
int qcow2_tally_walk(struct qcow2_tally *);

/* check_count.c: hold the refcounts of [from, to) against the owners. */
int qcow2_tally_count(struct qcow2_tally *, uint64_t from, uint64_t to);

/* bitmap.c */
int qcow2_tally_bitmaps(struct qcow2_tally *);
/* Where the data of the last extension of a type is; 0 if there is none. */
int qcow2_ext_find(struct img *, uint32_t type, uint64_t *off);

/* check_snap.c */
int qcow2_check_names(struct img *);
/* At most QCOW2_TEXT_MAX bytes of a string in the file, and a NUL. */
int qcow2_text(struct img *, uint64_t off, uint32_t len, char *buf);

/* deep.c */
int qcow2_check_deep(struct img *);

#endif /* QCOW2_CHECK_H */
