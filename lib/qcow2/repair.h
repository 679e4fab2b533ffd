/* SPDX-License-Identifier: ISC */

/* repair.h: what the files of the repair of qcow2 share. */

#ifndef QCOW2_REPAIR_H
#define QCOW2_REPAIR_H

#include "qcow2/check.h"

#define QCOW2_NEDITS 32
#define QCOW2_PATCH_ROWS 4

/* A sector of the first cluster as one write makes it. */
struct qcow2_edit {
	uint32_t ed_off;
	uint8_t ed_data[IMG_SECTOR];
};

/* An entry of a table that changes, in one write. */
struct qcow2_patch {
	uint64_t pa_at;
	uint64_t pa_raw;
	uint64_t pa_bits; /* the second half; extended L2 entries only */
	uint32_t pa_len;
	uint16_t pa_row[QCOW2_PATCH_ROWS]; /* why; IMG_ROW_NONE ends it */
};

/*
 * One repair.  What the first cluster shall be is made in memory; then the
 * image is opened through a view of the file that has it already, so that one
 * parser serves all.
 */
struct qcow2_repair {
	struct img_file r_view; /* first: a view is a repair */
	const struct img_repair *r_rp;
	struct img *r_im;             /* the view */
	uint64_t r_len;               /* of the file, as it was found */
	int r_device;                 /* its length cannot change */
	uint32_t r_nfound[IMG_NROWS]; /* findings */

	/* The first cluster */
	struct qcow2 r_q; /* as it was found */
	uint8_t *r_head;  /* as it will be */
	uint8_t *r_new;   /* room to try something */
	uint32_t r_headlen;
	uint8_t r_done[IMG_NROWS]; /* rows that the edits mend */
	uint32_t r_nedits;
	struct qcow2_edit r_edit[QCOW2_NEDITS];

	/* Entries */
	struct qcow2_patch *r_patch; /* by place, once all are there */
	size_t r_npatches;
	size_t r_maxpatches;
	int r_extend; /* the file, to a whole cluster */

	/* Refcounts */
	int r_count;   /* something about them is wrong */
	int r_rebuild; /* write all anew, behind the end */
	int r_stuck;   /* that would be needed, and cannot be */
	int r_whole;   /* all that has references is known */
	int r_alias;   /* what a table is cannot be told from guest data */
	int r_free;    /* and what has none was not just lost */
	int r_over;    /* some have more references than fit */
	int r_lower;   /* and may and shall be lowered */
	int r_alloc;   /* clusters can be allocated by then */
	int r_twins;   /* some must be, for twins */
	int r_dirty;   /* clear the dirty bit at the end */
	int r_marked;  /* and the corrupt bit */

	/* While it is written */
	int r_seen; /* the last count has found all there is */
	struct img *r_out;
};

static inline struct qcow2_repair *
qcow2_repair_of(struct img_file *f)
{
	return ((struct qcow2_repair *)f);
}

/* repair.c */
/* Is that row found, and is its repair allowed? */
int qcow2_fix_wanted(const struct qcow2_repair *, enum img_row);

/* repair_io.c */
extern const struct img_fileops qcow2_view_ops;
int qcow2_fix_put(struct qcow2_repair *, const void *, uint32_t, uint64_t off);
int qcow2_fix_barrier(struct qcow2_repair *);
/* Change the first sector of the file as it is, between barriers. */
int qcow2_fix_head(struct qcow2_repair *,
    void (*change)(void *arg, uint8_t *sector), void *arg);
/* The image as it is by now; r_out. */
int qcow2_fix_open(struct qcow2_repair *);
/* Write what its cache has, and forget it. */
int qcow2_fix_close(struct qcow2_repair *, int error);

/* repair_head.c */
int qcow2_plan_head(struct qcow2_repair *);
int qcow2_write_edits(struct qcow2_repair *);

/* repair_entry.c */
int qcow2_plan_entries(struct qcow2_repair *);
/* Does a patch mend this row of that entry? */
int qcow2_is_patched(const struct qcow2_repair *, enum img_row, uint64_t at);
int qcow2_write_patches(struct qcow2_repair *);

/* repair_count.c */
int qcow2_plan_counts(struct qcow2_repair *);
/* Does that make an end of this row? */
int qcow2_mends_count(const struct qcow2_repair *, enum img_row);
int qcow2_write_counts(struct qcow2_repair *);
int qcow2_write_copied(struct qcow2_repair *);

/* repair_copy.c: what needs new clusters. */
/* Does this finding need one, and would it be mended then? */
int qcow2_needs_room(const struct qcow2_repair *, const struct img_finding *);
int qcow2_write_copies(struct qcow2_repair *);

/* repair_snap.c: the snapshot table in another place; r_out. */
/* Is that to be done, and is it small enough? */
int qcow2_snaps_wanted(const struct qcow2_repair *);
int qcow2_write_snaps(struct qcow2_repair *);

/* repair_table.c: a new refcount table. */
int qcow2_write_table(struct qcow2_repair *);

#endif /* QCOW2_REPAIR_H */
