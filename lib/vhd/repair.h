/* SPDX-License-Identifier: ISC */

/* repair.h: what the files of the repair of VHD share. */

#ifndef VHD_REPAIR_H
#define VHD_REPAIR_H

#include "vhd/tool.h"

#define VHD_REPAIR_BUF 65536u

/* A BAT entry that changes. */
struct vhd_move {
	uint64_t mv_from; /* offset of the block, IMG_NOWHERE: not moved */
	uint32_t mv_index;
	uint32_t mv_to; /* sector, or VHD_ABSENT */
};

struct vhd_moves {
	struct vhd_move *ms_move;
	size_t ms_n;
	size_t ms_max;
};

/*
 * One repair.  The footer and the header are mended in memory; then the
 * image is opened through a view of the file that has them already, so that
 * one parser serves sound and damaged images.
 */
struct vhd_repair {
	struct img_file r_view; /* first: a view is a repair */
	const struct img_repair *r_rp;
	struct img *r_im; /* the view; NULL for fixed, or where BAT and
				blocks cannot be placed */
	uint64_t r_len;   /* of the file, as it was found */
	uint8_t *r_buf;   /* VHD_REPAIR_BUF bytes */
	int r_lossy;
	int r_device;  /* the end footer is at the end, always */
	int r_dynamic; /* or differencing */
	int r_corrupt; /* the view raises rows that forbid compaction */
	int r_written; /* since the last barrier */

	/* As found, at r_cur if that is known, and what both shall be. */
	uint8_t r_end[VHD_FOOTER];
	uint8_t r_copy[VHD_FOOTER];
	uint8_t r_foot[VHD_FOOTER];
	enum vhd_footer_state r_endstate;
	enum vhd_footer_state r_copystate;
	uint64_t r_endoff; /* where the file's length puts it */
	uint64_t r_cur;    /* where it is, or IMG_NOWHERE */
	uint64_t r_target; /* where it will be, or IMG_NOWHERE */
	int r_guessed;     /* no footer was good as it was */
	int r_locked;      /* the footers differ and that stays */

	uint8_t r_head[VHD_HEADER];
	uint8_t r_oldhead[VHD_HEADER];
	uint64_t r_headoff; /* IMG_NOWHERE: there is none */
	int r_headlocked;   /* its checksum is wrong and that stays */

	/* What is to be done with the end of the file. */
	int r_force;   /* write the end footer though nothing changes */
	int r_grow;    /* blocks that were cut get zeros */
	int r_place;   /* an end footer is missing */
	int r_realign; /* the end footer has to start at a sector */
	int r_cut;     /* shorten the file behind the end footer */

	/* What is to be done with blocks. */
	struct vhd_moves r_clear; /* sorted by index once complete */
	struct vhd_moves r_moves; /* the same */
	struct vhd_moves r_empty; /* by sector: blocks of only zeros */
	int r_overlap;            /* blocks overlap, by the findings */
	int r_split;              /* blocks that overlap get their own space */
	uint64_t r_prev;          /* end of the blocks seen so far */
	uint64_t r_nkept;         /* blocks that stay in place */
	uint64_t r_need;   /* all that is used ends here, whole sectors */
	int r_bits;        /* set bits over data */
	int r_extend;      /* fill the BAT from its last entry on */
	uint64_t r_batend; /* end of the BAT's sectors afterwards */
	struct vhd_area r_batmap; /* length 0: none */
	struct vhd_area r_map;    /* its map, where it is made anew */
	struct vhd_moves r_unmap; /* blocks whose bits in it go */

	struct img_fixed *r_told;
	size_t r_ntold;
};

/*
 * A step for a row: 0 it applies and is told, ENXIO it does not, or an error.
 * The step may correct what is told; nothing is written yet.
 */
typedef int vhd_step_fn(struct vhd_repair *, const struct img_finding *,
    struct img_fixed *);

struct vhd_step {
	enum img_row st_row; /* IMG_ROW_NONE ends a table */
	vhd_step_fn *st_fn;
	const char *st_text;
};

/* repair.c */
/* Is the row among the findings? */
int vhd_repair_has(const struct vhd_repair *, enum img_row);

/* repair_io.c */
extern const struct img_fileops vhd_view_ops;
int vhd_repair_read(struct vhd_repair *, void *, uint32_t, uint64_t off);
int vhd_repair_put(struct vhd_repair *, const void *, uint32_t, uint64_t off);
int vhd_repair_zeros(struct vhd_repair *, uint64_t off, uint64_t len);
int vhd_repair_barrier(struct vhd_repair *);
/* Do all that was planned. */
int vhd_repair_write(struct vhd_repair *);

/* repair_base.c */
/* Choose the footer to go by: ENXIO if there is none. */
int vhd_repair_base(struct vhd_repair *);

/* repair_foot.c */
void vhd_foot_finish(struct vhd_repair *);
extern const struct vhd_step vhd_foot_steps[];

/* repair_head.c */
/* Are there a header's cookie and, if so asked, a right checksum at off? */
int vhd_repair_header_at(struct vhd_repair *, uint64_t off, int sum);
int vhd_head_load(struct vhd_repair *);
extern const struct vhd_step vhd_head_steps[];

/* repair_bat.c */
extern const struct vhd_step vhd_bat_steps[];
int vhd_add_move(struct vhd_repair *, struct vhd_moves *, uint64_t from,
    uint32_t index, uint32_t to);
void vhd_free_moves(struct vhd_repair *, struct vhd_moves *);
void vhd_sort_moves(struct vhd_moves *);
const struct vhd_move *vhd_find_move(const struct vhd_moves *, uint32_t index);
/* Between bat_steps and end_steps: which blocks move, where all ends. */
int vhd_plan_blocks(struct vhd_repair *);

/* repair_end.c */
extern const struct vhd_step vhd_end_steps[];
/* After end_steps: where the end footer goes. */
void vhd_plan_end(struct vhd_repair *);

/* repair_move.c */
/* Where a block that was at from would go, at pos or a little behind. */
uint64_t vhd_place_like(const struct vhd *, uint64_t pos, uint64_t from);
/* Move the last blocks into holes and the end footer down. */
int vhd_compact(struct vhd_repair *);
int vhd_copy_blocks(struct vhd_repair *);
int vhd_put_entries(struct vhd_repair *, const struct vhd_moves *);

/* repair_map.c */
extern const struct vhd_step vhd_map_steps[];
int vhd_put_bits(struct vhd_repair *);
int vhd_put_padding(struct vhd_repair *);
int vhd_put_batmap(struct vhd_repair *);

static inline uint32_t
vhd_repair_type(const struct vhd_repair *r)
{
	return (img_be32(r->r_foot + VHD_F_TYPE));
}

static inline uint64_t
vhd_repair_size(const struct vhd_repair *r)
{
	return (img_be64(r->r_foot + VHD_F_SIZE));
}

static inline uint64_t
vhd_sectors_up(uint64_t n)
{
	return (img_roundup(n, IMG_SECTOR));
}

#endif /* VHD_REPAIR_H */
