/* SPDX-License-Identifier: ISC */

/*
 * qed.h: what the files of the QED format share.
 *
 * "cl" is the index of a host cluster: its offset in the file is
 * cl << q_bits.  There is one L1 table; it and all L2 tables have the same
 * number of entries, and of clusters.
 */

#ifndef QED_H
#define QED_H

#include "core/core.h"
#include "qed/disk.h"

struct qed {
	uint8_t q_head[QED_HEAD]; /* the first sector as it shall be */
	uint32_t q_bits;          /* log2 of q_cluster */
	uint32_t q_cluster;
	uint32_t q_table;      /* clusters of a table */
	uint64_t q_table_len;  /* bytes of a table */
	uint32_t q_table_bits; /* log2 of the entries of a table */
	uint64_t q_header_len; /* bytes of the header's clusters */
	uint64_t q_features;
	uint64_t q_compat;
	uint64_t q_autoclear;
	uint64_t q_l1_off;
	uint64_t q_max;         /* the largest disk of this geometry, bytes */
	int q_wraps;            /* which is more than 64 bits can say */
	uint32_t q_backing_len; /* 0: there is none */
	char q_backing[QED_BACKING_MAX + 1];
	int q_backing_bad; /* there is one, but not its name */
	/* VERIFY: */
	int q_broken;     /* it found entries that cannot be right */
	uint8_t *q_flags; /* QED_V_* of each L1 entry; NULL: none has any */
	/* Writing */
	int q_touched;   /* autoclear bits are cleared */
	uint64_t q_next; /* what is allocated next, bytes; 0: not known yet */
};

/* q_flags: what VERIFY found out about the table of an L1 entry. */
#define QED_V_SKIP 1u /* it is not to be looked into */
#define QED_V_TOLD 2u /* it overlaps another one, and that was reported */
#define QED_V_DATA 4u /* it is data, and that was reported */

static inline struct qed *
qed(const struct img *im)
{
	return (im->im_priv);
}

/* log2 of the guest's bytes under one L1 entry. */
static inline uint32_t
qed_l1_shift(const struct qed *q)
{
	return (q->q_bits + q->q_table_bits);
}

static inline uint32_t
qed_l2_index(const struct qed *q, uint64_t voff)
{
	return ((uint32_t)(voff >> q->q_bits) &
	    ((UINT32_C(1) << q->q_table_bits) - 1));
}

/* Clusters in which [off, off + len) lies; len is not 0. */
static inline uint64_t
qed_nclusters(const struct qed *q, uint64_t off, uint64_t len)
{
	return (((off + len - 1) >> q->q_bits) - (off >> q->q_bits) + 1);
}

/* header.c: fields, feature bits, geometry, places.  EFTYPE ends it. */
int qed_probe(struct img *);
int qed_header(struct img *);
/* A name without control bytes; 0 where it has any. */
int qed_is_text(const char *, uint32_t len);
/* Write the first sector as q_head has it, between two barriers. */
int qed_write_head(struct img *);

/*
 * entry.c: what an entry means and which row it breaks, without reading.
 */
enum qed_type { QED_T_EMPTY, QED_T_ZERO, QED_T_DATA };

struct qed_entry {
	enum qed_type n_type;
	enum img_row n_row; /* that forbids its use, or NONE */
	/*
	 * Of the table or the cluster; 0: none.  With a row set too where
	 * only the end of the file cuts it (qed_is_cut).
	 */
	uint64_t n_off;
	uint64_t n_raw; /* as stored */
};

void qed_judge_l1(const struct img *, uint64_t raw, struct qed_entry *);
void qed_judge_l2(const struct img *, uint64_t raw, struct qed_entry *);
/* Is this row about something that starts in the file and ends outside? */
int qed_is_cut(enum img_row);

/*
 * table.c: entries through the table cache.  L2 entries are of the class
 * that is durable before L1 entries are.
 */
int qed_l1_get(struct img *, uint32_t i, uint64_t *);
int qed_l1_set(struct img *, uint32_t i, uint64_t);
/* Entry i of the L2 table at off. */
int qed_l2_get(struct img *, uint64_t off, uint32_t i, uint64_t *);
int qed_l2_set(struct img *, uint64_t off, uint32_t i, uint64_t);

/* map.c */
int qed_map(struct img *, uint64_t voff, uint64_t len, struct img_extent *);

/*
 * walk.c: every entry in the guest's order, each table read slice by slice;
 * entries that are 0 are left out.  A visitor that returns not 0 ends the
 * walk with it.
 */
struct qed_walker {
	/*
	 * L1 entry i.  The table it leads to is walked as far as the file
	 * goes if *down, which is preset to whether that is possible and
	 * VERIFY did not say QED_V_SKIP.  NULL: walk all that can be.
	 */
	int (*w_l1)(struct img *, void *arg, uint32_t i,
	    const struct qed_entry *, int *down);
	/*
	 * An L2 entry: that of guest offset voff, at byte at of the file.
	 * NULL: none is read.
	 */
	int (*w_l2)(struct img *, void *arg, uint64_t voff, uint64_t at,
	    const struct qed_entry *);
};
int qed_walk(struct img *, const struct qed_walker *, void *arg);
/* Of one L2 table only: that at off, under L1 entry i. */
int qed_walk_l2(struct img *, const struct qed_walker *, void *arg, uint32_t i,
    uint64_t off);

/*
 * marks.c: what each cluster of the file, or of a window of it, is used for.
 */
enum qed_use {
	QED_U_FREE,
	QED_U_HEADER,
	QED_U_L1,
	QED_U_L2_FIRST, /* the first cluster of an L2 table */
	QED_U_L2_SAME,  /* the same, but several L1 entries lead to it */
	QED_U_L2,       /* a further one */
	QED_U_L2_TWICE, /* of several L2 tables, which differ */
	QED_U_L2_HIT,   /* of an L2 table, and data too */
	QED_U_DATA,
	QED_U_DATA_TWICE, /* of several guest clusters ... */
	QED_U_DATA_HERE,  /* ... one of them in the table at hand ... */
	QED_U_DATA_BOTH   /* ... or more */
};

struct qed_marks {
	uint8_t *mk_use;    /* four bits per cluster */
	uint64_t mk_room;   /* bytes there */
	uint64_t mk_ncl;    /* clusters of the file, a cut one included */
	uint64_t mk_first;  /* of the window ... */
	uint64_t mk_n;      /* ... and how many it has */
	uint64_t mk_beyond; /* first cluster behind it that was set, or ncl */
};

/*
 * Room for a window: for all of the file where half of the handle's budget
 * is enough for that.
 */
int qed_marks_init(struct qed_marks *, struct img *);
void qed_marks_fini(struct qed_marks *, struct img *);
/*
 * Forget all marks and set those of header and L1 table; the window moves
 * to cl.
 */
void qed_marks_start(struct qed_marks *, const struct img *, uint64_t cl);
/* Is cl in the window? */
int qed_marks_in(const struct qed_marks *, uint64_t cl);
/* FREE outside the window. */
enum qed_use qed_marks_get(const struct qed_marks *, uint64_t cl);
/* Outside the window it only notes that there is something. */
void qed_marks_set(struct qed_marks *, uint64_t cl, enum qed_use);
/* The first and the end of the clusters that the L2 table at off has. */
uint64_t qed_table_first(const struct img *, uint64_t off);
uint64_t qed_table_end(const struct img *, uint64_t off);
/*
 * Mark what tables and data use in the window; says nothing.  Only for an
 * image of which VERIFY found no entry wrong.
 */
int qed_mark(struct img *, struct qed_marks *);

/*
 * verify.c: stage VERIFY.  Who owns what is looked at there already, because
 * nothing in a QED says of a cluster that it is shared.
 */
int qed_verify(struct img *);
/* The flags of an L1 entry, QED_V_*. */
uint8_t qed_flags(const struct img *, uint32_t i);
void qed_close(struct img *);

/* alloc.c: space, which is always taken at the end of the file. */
/* n clusters of zeros, in the file: *off is the first one's offset. */
int qed_alloc(struct img *, uint64_t n, uint64_t *off);
/* Take an allocation back if it is the last one; else it leaks. */
void qed_unalloc(struct img *, uint64_t off, uint64_t n);
/* Clear what this program does not know, before the first change. */
int qed_touch(struct img *);
/* The L2 table for voff, made if it is not there. */
int qed_own_l2(struct img *, uint64_t voff, uint64_t *off);
int qed_flush(struct img *);
int qed_fresh(struct img *);

/* write.c */
/*
 * The L2 entry for voff, and at which byte of the file it is (the L1 entry's
 * where there is no L2 table: *l2 is 0).  EIO, the row raised and a latch,
 * where it cannot be used.
 */
int qed_look(struct img *, uint64_t voff, struct qed_entry *, uint64_t *l2);
int qed_begin(struct img *, uint64_t voff, uint64_t len, struct img_claim *);
int qed_end(struct img *, struct img_claim *, int ok);
/* zero.c */
int qed_zero(struct img *, uint64_t voff, uint64_t len, uint64_t *done);

#endif /* QED_H */
