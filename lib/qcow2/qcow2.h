/* SPDX-License-Identifier: ISC */

/*
 * qcow2.h: what the files of the qcow2 format share.
 *
 * "cl" is the index of a host cluster: its offset in the file is
 * cl << q_bits.  A tree is an L1 table with all L2 tables that it leads to:
 * the active one, and one per internal snapshot.
 */

#ifndef QCOW2_H
#define QCOW2_H

#include "core/core.h"
#include "qcow2/disk.h"

/* What a host cluster is used for. */
enum qcow2_use {
	QCOW2_U_NONE,
	QCOW2_U_HEADER,
	QCOW2_U_L1,
	QCOW2_U_L2,
	QCOW2_U_DATA,
	QCOW2_U_PACKED, /* compressed clusters */
	QCOW2_U_RT,     /* refcount table */
	QCOW2_U_RB,     /* refcount block */
	QCOW2_U_SNAPS,  /* snapshot table */
	QCOW2_U_SNAP_L1,
	QCOW2_U_BITMAP, /* directory, tables, data */
	QCOW2_U_LUKS
};

/* Metadata whose place is known after opening, in whole clusters. */
struct qcow2_area {
	uint64_t a_off;
	uint64_t a_len;
	enum qcow2_use a_use;
};

#define QCOW2_NAREAS 8

/* Clusters whose last reference goes away with the next flush. */
struct qcow2_gone {
	uint64_t g_cl;
	uint32_t g_n;
	uint32_t g_table; /* it was a table: the cache may hold pieces */
};

#define QCOW2_NGONE 128u

/* A tree: what an L1 table leads to, and the disk that it is. */
struct qcow2_tree {
	uint64_t t_off;  /* of the L1 table */
	uint32_t t_n;    /* entries that can be read: those inside the file */
	uint64_t t_size; /* of the disk */
	int t_active;
};

struct qcow2 {
	uint8_t q_head[QCOW2_HEAD]; /* the first sector as it shall be */
	uint32_t q_version;
	uint32_t q_length; /* of the header */
	uint32_t q_bits;   /* log2 of q_cluster */
	uint32_t q_cluster;
	uint32_t q_order;    /* log2 of the bits of a refcount */
	uint32_t q_rb_bits;  /* log2 of the refcounts in a block */
	uint32_t q_l2_bits;  /* log2 of the entries of an L2 table */
	uint32_t q_esz_bits; /* log2 of the bytes of an L2 entry: 3 or 4 */
	int q_extended;      /* extended L2 entries */
	uint64_t q_incompat;
	uint64_t q_compat;
	uint64_t q_autoclear;
	uint32_t q_crypt;
	enum img_algo q_algo;
	struct qcow2_tree q_active;
	struct qcow2_tree q_tree; /* the one that is read */
	uint32_t q_l1_size;       /* as the header has it */
	uint64_t q_rt_off;
	uint32_t q_rt_n;  /* entries of the refcount table that are usable */
	uint32_t q_rt_cl; /* clusters, as the header has it */
	uint32_t q_nsnap; /* 0 also where the table has no possible place */
	uint64_t q_snap_off;
	uint64_t q_snap_len; /* bytes of the whole table; 0 until it was read */
	int q_snap_bad;      /* rows 90, 91 or 93: not all trees are known */
	uint64_t q_bitmap_ext; /* of the extension's type; 0: none */
	uint32_t q_nbitmaps;   /* as the extension has it; 0: no extension */
	uint64_t q_bitmap_off; /* of the directory; 0: impossible place */
	uint64_t q_bitmap_len;
	uint64_t q_luks_off;
	uint64_t q_luks_len; /* 0: no extension */
	int q_ext_bad;       /* row 25: what follows is not known */
	uint64_t q_ext_end;  /* where the extensions end */
	uint32_t q_nareas;
	struct qcow2_area q_area[QCOW2_NAREAS];
	uint32_t q_backing_len; /* 0: there is none */
	char q_backing[QCOW2_BACKING_MAX + 1];
	char q_format[QCOW2_FORMAT_MAX + 1]; /* "" not recorded */
	char q_data[QCOW2_BACKING_MAX + 1];  /* "" no name */
	int q_backing_bad; /* there is one, but not its name */
	/* Writing */
	int q_touched;     /* autoclear bits are cleared */
	uint64_t q_free;   /* no cluster below is known to be free */
	uint64_t q_packed; /* where the next compressed cluster may start */
	uint32_t q_ngone;
	struct qcow2_gone q_gone[QCOW2_NGONE];
};

static inline struct qcow2 *
qcow2(const struct img *im)
{
	return (im->im_priv);
}

/* Bytes of a slice of a table that is made of whole clusters. */
static inline uint32_t
qcow2_slice(const struct qcow2 *q)
{
	return (q->q_cluster < IMG_SLICE ? q->q_cluster : IMG_SLICE);
}

/* log2 of the guest's bytes under one L1 entry. */
static inline uint32_t
qcow2_l1_shift(const struct qcow2 *q)
{
	return (q->q_bits + q->q_l2_bits);
}

static inline int
qcow2_aligned(const struct qcow2 *q, uint64_t off)
{
	return ((off & (q->q_cluster - 1)) == 0);
}

/* Clusters in which [off, off + len) lies; len is not 0. */
static inline uint64_t
qcow2_nclusters(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	return (((off + len - 1) >> q->q_bits) - (off >> q->q_bits) + 1);
}

/* Entries of an L1 table that a disk of that size needs. */
static inline uint64_t
qcow2_l1_needed(const struct qcow2 *q, uint64_t size)
{
	uint32_t shift = qcow2_l1_shift(q);

	return ((size >> shift) + ((size & ((UINT64_C(1) << shift) - 1)) != 0));
}

/* Is there an external data file? */
static inline int
qcow2_data_file(const struct qcow2 *q)
{
	return ((q->q_incompat & QCOW2_I_DATA_FILE) != 0);
}

/* header.c: fields, feature bits, geometry.  EFTYPE where these end it. */
int qcow2_probe(struct img *);
int qcow2_header(struct img *);
/* Write the first sector as q_head has it. */
int qcow2_write_head(struct img *);

/* ext.c: header extensions, the names in the first cluster. */
int qcow2_extensions(struct img *);
/*
 * One extension: off is that of its type and moves to the next one.  ENOENT
 * at the end (end marker, or end of the area), EFTYPE where its length is
 * larger than what is left; both fill in what was read.
 */
struct qcow2_ext {
	uint32_t x_type;
	uint32_t x_len;
	uint64_t x_off; /* of its data */
	int x_ended;    /* ENOENT: by an end marker */
};
int qcow2_ext_next(struct img *, uint64_t *off, struct qcow2_ext *);

/* place.c: L1 table, refcount table, snapshots: inside, aligned, disjoint. */
int qcow2_place(struct img *);
/* The use of the metadata area that [off, off + len) touches, or NONE. */
enum qcow2_use qcow2_over(const struct qcow2 *, uint64_t off, uint64_t len);

/*
 * snap.c: the snapshot table, an entry at a time.  Start with s_next =
 * q_snap_off and s_index = 0; ENOENT past the last, EFTYPE where the table is
 * cut off (by the end of the file, or by its limit).
 */
struct qcow2_snap {
	uint32_t s_index; /* of the entry that comes next */
	uint64_t s_next;  /* its offset */
	uint64_t s_off;   /* of this entry */
	uint64_t s_l1_off;
	uint32_t s_l1_size;
	uint32_t s_id_len;
	uint32_t s_name_len;
	uint64_t s_id_off;   /* in the file */
	uint64_t s_name_off; /* right behind the id */
	uint32_t s_sec;
	uint32_t s_nsec;
	uint64_t s_clock;
	uint64_t s_vm_size;
	uint32_t s_extra_len;
	uint64_t s_size;   /* of the disk; the image's where it is not told */
	uint64_t s_icount; /* all ones: none */
};
int qcow2_snap_next(struct img *, struct qcow2_snap *);
/*
 * The tree of a snapshot.  EFTYPE where its L1 table cannot be where it is
 * said to be (row 93); else entries outside the disk's reach are left in t_n.
 */
int qcow2_snap_tree(struct img *, const struct qcow2_snap *,
    struct qcow2_tree *);
/* By id, else by name: ENOENT if there is none. */
int qcow2_snap_find(struct img *, const char *, struct qcow2_tree *);

/* table.c: entries through the table cache. */
/* Entry i of an L1 table; i < t_n. */
int qcow2_l1_get(struct img *, const struct qcow2_tree *, uint32_t i,
    uint64_t *);
/* The active tree's; COPIED is the caller's business. */
int qcow2_l1_set(struct img *, uint32_t i, uint64_t);
/* Entry i of the L2 table at off; *bits are those of an extended one, or 0. */
int qcow2_l2_get(struct img *, uint64_t off, uint32_t i, uint64_t *entry,
    uint64_t *bits);
int qcow2_l2_set(struct img *, uint64_t off, uint32_t i, uint64_t entry,
    uint64_t bits);
/* Entry i < q_rt_n of the refcount table, as stored. */
int qcow2_rt_get(struct img *, uint32_t i, uint64_t *);
int qcow2_rt_set(struct img *, uint32_t i, uint64_t);

/*
 * entry.c: what an entry means and which row it breaks, without reading.
 */
enum qcow2_type {
	QCOW2_T_EMPTY,
	QCOW2_T_ZERO,       /* no cluster */
	QCOW2_T_ZERO_ALLOC, /* reads as zeros, but has a cluster */
	QCOW2_T_DATA,
	QCOW2_T_PACKED,
	QCOW2_T_SUB /* extended: see bits, subcluster by subcluster */
};

struct qcow2_entry {
	enum qcow2_type n_type;
	enum img_row n_row; /* that forbids its use, or NONE */
	uint64_t n_off;     /* of the cluster or the stream; 0: none */
	uint32_t n_plen;    /* PACKED: bytes, an upper bound */
	int n_copied;
	uint64_t n_raw; /* as stored */
	uint64_t n_bits;
};

/* voff: of the guest cluster, which matters with a data file. */
void qcow2_judge(const struct img *, uint64_t raw, uint64_t bits, uint64_t voff,
    struct qcow2_entry *);
/*
 * The L2 table that an L1 entry leads to: 0 if none, else *row says whether
 * it can be used (where it is only cut off, row 39, up to the file's end).
 */
uint64_t qcow2_l2_off(const struct img *, uint64_t l1, enum img_row *row);
/*
 * Rows that do not forbid use: reserved bits, stray flags.  The next one
 * from *step (start with 0) on; NONE when there are no more.
 */
enum img_row qcow2_l1_flaw(const struct img *, uint64_t l1, unsigned *step);
enum img_row qcow2_l2_flaw(const struct img *, const struct qcow2_entry *,
    unsigned *step);
/* The entry of a compressed cluster; 0 where no entry can say that. */
uint64_t qcow2_packed_entry(const struct qcow2 *, uint64_t off, uint32_t len);

/* map.c */
int qcow2_map(struct img *, uint64_t voff, uint64_t len, struct img_extent *);
int qcow2_unpack(struct img *, const struct img_extent *, const void *packed,
    uint32_t len, void *unit);

/*
 * count.c: refcounts.  A cluster without a refcount block has refcount 0; one
 * whose block cannot be used has none that could be told: EFTYPE.
 */
int qcow2_count(struct img *, uint64_t cl, uint64_t *);
/* The block that has the count of cl, 0 if there is none; EFTYPE as above. */
int qcow2_has_block(struct img *, uint64_t cl, uint64_t *rb);
/* Which row forbids the use of a block at rb, which is not 0. */
enum img_row qcow2_rb_judge(const struct img *, uint64_t rb);
/* EIO and a latch where there is no block for it or n does not fit. */
int qcow2_set_count(struct img *, uint64_t cl, uint64_t n);
/* The largest refcount. */
uint64_t qcow2_count_max(const struct qcow2 *);
/* Refcount i of a piece of a block; also for programs. */
uint64_t qcow2_count_at(const uint8_t *, uint32_t order, uint32_t i);
void qcow2_count_put(uint8_t *, uint32_t order, uint32_t i, uint64_t n);
/*
 * How many clusters from cl on, at most n, have a refcount of 0 (*used is 0)
 * or another one (*used is 1).
 */
int qcow2_count_run(struct img *, uint64_t cl, uint64_t n, uint64_t *run,
    int *used);

/* grow.c: see to it that refcounts of cl can be stored. */
int qcow2_cover(struct img *, uint64_t cl);

/* alloc.c: host clusters. */
/*
 * At most *n free clusters in a row, counted (refcount 1); *fresh: they lie
 * behind the file's end.
 */
int qcow2_alloc(struct img *, uint64_t *n, uint64_t *cl, int *fresh);
/* One reference less, once the pointers are durable. */
int qcow2_drop(struct img *, uint64_t cl, uint64_t n, int table);
/* The file has whole clusters up to there; new ones read as zeros. */
int qcow2_extend(struct img *, uint64_t end);
/* Clear what nobody keeps up to date, before the first change. */
int qcow2_touch(struct img *);
int qcow2_flush(struct img *);
int qcow2_fresh(struct img *);

/* write.c */
/*
 * The active tree's entry for voff, and at which byte of the file it is (the
 * L1 entry's where there is no L2 table).  EIO, the row raised and a latch,
 * where it cannot be used.
 */
int qcow2_look(struct img *, uint64_t voff, struct qcow2_entry *, uint64_t *at);
int qcow2_begin(struct img *, uint64_t voff, uint64_t len, struct img_claim *);
int qcow2_end(struct img *, struct img_claim *, int ok);
/* zero.c */
int qcow2_zero(struct img *, uint64_t voff, uint64_t len, uint64_t *done);
/* link.c */
/* Raise the row, latch the handle: EIO. */
int qcow2_refuse(struct img *, enum img_row, uint64_t off, uint64_t found);
/* The active tree's L2 table for voff, made writable. */
int qcow2_own_l2(struct img *, uint64_t voff, uint64_t *off);
/* Give the cluster that an entry had one reference less. */
int qcow2_forget(struct img *, const struct qcow2_entry *);

/*
 * walk.c: every entry of a tree in the guest's order, each table read slice
 * by slice; entries that are 0 are left out.  A visitor that returns not 0
 * ends the walk with it.
 */
struct qcow2_walker {
	/*
	 * An L1 entry that is not 0.  l2 is the table it leads to (0: none)
	 * and row what is wrong with that, as qcow2_l2_off has it.  The table
	 * is walked if *down, which is preset to whether that is possible.
	 */
	int (*w_l1)(struct img *, void *arg, const struct qcow2_tree *,
	    uint32_t i, uint64_t l1, uint64_t l2, enum img_row row, int *down);
	/* An L2 entry: that of guest offset voff, at byte at of the file. */
	int (*w_l2)(struct img *, void *arg, const struct qcow2_tree *,
	    uint64_t voff, uint64_t at, const struct qcow2_entry *);
};
int qcow2_walk(struct img *, const struct qcow2_tree *,
    const struct qcow2_walker *, void *arg);

/* verify.c: stage VERIFY */
int qcow2_verify(struct img *);

#endif /* QCOW2_H */
