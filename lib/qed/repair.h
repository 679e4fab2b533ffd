/* SPDX-License-Identifier: ISC */

/* repair.h: what the files of the repair of QED share. */

#ifndef QED_REPAIR_H
#define QED_REPAIR_H

#include "qed/tool.h"

/* An entry and its new value; or a new cluster and whose copy it is. */
struct qed_pair {
	uint64_t p_at; /* in the file */
	uint64_t p_n;
};

struct qed_pairs {
	struct qed_pair *ps_pair;
	size_t ps_n;
	size_t ps_max;
};

/*
 * One repair.  It is laid over the file in memory; the image is opened
 * through this view, so that one parser says what there is before, after each
 * step of planning, and in the end.
 */
struct qed_repair {
	struct img_file r_view; /* first: a view is a repair */
	const struct img_repair *r_rp;
	struct img *r_im;             /* the view as VERIFY last saw it */
	struct qed r_q;               /* its geometry */
	uint64_t r_len;               /* of the file, as it was found */
	int r_fixed;                  /* which cannot change */
	int r_some;                   /* the findings are not all there are */
	uint32_t r_nlist[IMG_NROWS];  /* findings to repair ... */
	uint32_t r_nfound[IMG_NROWS]; /* ... those of VERIFY before ... */
	uint32_t r_now[IMG_NROWS];    /* ... and as it is planned by now */
	uint64_t r_dangling; /* the lowest place outside the file that an
				entry leads to */

	/* The first sector */
	uint8_t r_was[QED_HEAD];
	uint8_t r_head[QED_HEAD]; /* as it will be */
	uint32_t r_headlen;
	uint8_t r_done[IMG_NROWS]; /* rows that this and the length mend */
	enum img_row r_fatal;      /* that ended parsing the header ... */
	const char *r_guess;       /* ... and what is done about it */

	/* Entries */
	struct qed_pairs r_mend; /* by place: cleared, or low bits cleared */
	int r_nol2;              /* none of L2 tables, and no longer ones */
	int r_no39;              /* none for tables that overlap */
	size_t r_nl2;            /* those of L2 tables */
	int r_extend;            /* the file, for what its end cuts */
	uint64_t r_newlen;       /* and so long it is then */

	/* What several entries share */
	struct qed_pairs r_copy; /* clusters behind each other, from ... */
	uint64_t r_base;         /* ... here on; IMG_NOWHERE: none */
	struct qed_pairs r_late; /* by place: entries that lead to copies */
	int r_islate;            /* the view has both */

	/* Space */
	int r_cut; /* shorten the file to ... */
	uint64_t r_cutlen;
	int r_compact; /* first move down what fits in holes */

	int r_clear; /* the mark to check, at the end */
};

static inline struct qed_repair *
qed_repair_of(struct img_file *f)
{
	return ((struct qed_repair *)f);
}

/* repair.c */
/* Is that row to be repaired, and may it be? */
int qed_fix_wanted(const struct qed_repair *, enum img_row);
/* Look at the view as it is by now: r_im, r_now, r_dangling. */
int qed_fix_look(struct qed_repair *);

/* repair_io.c */
extern const struct img_fileops qed_view_ops;
/* ENOMEM where there are too many for one repair. */
int qed_pairs_add(struct qed_repair *, struct qed_pairs *, uint64_t at,
    uint64_t n);
void qed_pairs_free(struct qed_repair *, struct qed_pairs *);
/* By place, and each place once. */
void qed_pairs_sort(struct qed_pairs *);
/* The first at that place or behind it; NULL if there is none. */
const struct qed_pair *qed_pairs_from(const struct qed_pairs *, uint64_t at);
int qed_pairs_has(const struct qed_pairs *, uint64_t at);
/* The length that the view has. */
uint64_t qed_view_len(const struct qed_repair *);
int qed_fix_barrier(struct qed_repair *);
/* Write entry n at that place. */
int qed_fix_entry(struct qed_repair *, uint64_t at, uint64_t n);
int qed_fix_head(struct qed_repair *, const uint8_t *head);
int qed_fix_resize(struct qed_repair *, uint64_t len);
/* Everything that the view has and the file has not, but the head. */
int qed_fix_entries(struct qed_repair *);

/* repair_head.c */
void qed_plan_head(struct qed_repair *);
/* Words for a row of the header, or NULL. */
const char *qed_text_head(const struct qed_repair *, enum img_row);
/* The guest range that mending it may change. */
void qed_range_head(const struct qed_repair *, struct img_fixed *);

/* repair_guess.c: a header that could not be parsed. */
int qed_plan_guess(struct qed_repair *);

/* repair_entry.c */
int qed_plan_entries(struct qed_repair *);

/* repair_copy.c */
int qed_plan_copies(struct qed_repair *);

/* repair_leak.c */
int qed_plan_space(struct qed_repair *);
int qed_write_space(struct qed_repair *);

/* repair_move.c: an image without flaws; im has all of it in one window. */
/* Where it would end if all that can be was moved down. */
int qed_packed_end(struct img *, uint64_t *end);
/* Move it down.  The file may have become longer meanwhile. */
int qed_compact(struct qed_repair *);

#endif /* QED_REPAIR_H */
