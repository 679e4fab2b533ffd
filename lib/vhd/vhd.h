/* SPDX-License-Identifier: ISC */

/* vhd.h: what the files of the VHD format share. */

#ifndef VHD_H
#define VHD_H

#include "core/core.h"
#include "vhd/disk.h"

/* Metadata that blocks must not touch: copy, header, BAT, locators. */
#define VHD_AREA_BAT 2
#define VHD_AREA_LOCATORS 3 /* and up */
#define VHD_NAREAS (VHD_AREA_LOCATORS + VHD_NLOCATORS)

struct vhd_area {
	uint64_t a_off;
	uint64_t a_len;
};

/* What is found where a footer may be. */
enum vhd_footer_state {
	VHD_F_MISSING, /* no cookie */
	VHD_F_POISONED,
	VHD_F_BAD, /* cookie, but the checksum is wrong */
	VHD_F_GOOD
};

struct vhd {
	uint8_t v_footer[VHD_FOOTER]; /* the one in force */
	uint8_t v_header[VHD_HEADER]; /* dynamic and differencing only */
	uint64_t v_infooter;          /* offset of the footer in force */
	uint64_t v_endfooter;         /* its place, IMG_NOWHERE if none */
	enum vhd_footer_state v_end;  /* states as found, for info */
	enum vhd_footer_state v_copy;
	int v_damaged;   /* VERIFY found an entry that cannot be */
	int v_sum_ok;    /* the dynamic header's checksum */
	uint32_t v_type; /* VHD_FIXED, ... */
	uint64_t v_header_off;
	uint64_t v_bat_off;
	uint32_t v_nentries; /* in the BAT */
	uint64_t v_nblocks;  /* that the disk has */
	uint32_t v_block;    /* bytes, a power of two */
	uint32_t v_shift;    /* log2(v_block) */
	uint32_t v_bitmap;   /* bytes of the bitmap area, whole sectors */
	uint64_t v_next;     /* where the next block goes, 0 unknown */
	uint32_t v_nareas;
	struct vhd_area v_area[VHD_NAREAS];
	char v_parent[VHD_H_PARENT_NAME_LEN * 3 / 2 + 1]; /* UTF-8 */
};

/* footer.c */
uint32_t vhd_sum(const uint8_t *, uint32_t len, uint32_t sum_off);
void vhd_set_sum(uint8_t *, uint32_t len, uint32_t sum_off);
enum vhd_footer_state vhd_footer_state(const uint8_t *);
int vhd_is_tapdisk(const uint8_t *footer); /* by its creator */
/* Raise the rows of the fields; EFTYPE where they allow nothing. */
int vhd_footer_check(struct img *, const uint8_t *, uint64_t off);

/* geometry.c: cylinders << 16 | heads << 8 | sectors per track */
uint32_t vhd_geometry(uint64_t size);
uint64_t vhd_chs_sectors(uint32_t chs);
#define VHD_CHS_MAX 0xffff10ffu /* 65535/16/255: "too large to say" */

/* place.c: find the footers, choose the one in force. */
int vhd_probe(struct img *);
int vhd_place(struct img *);
/* Where a file of that length has its end footer, and its bytes there. */
uint64_t vhd_end_offset(uint64_t len, uint32_t *avail);

/* header.c: the dynamic header and what it places. */
int vhd_header(struct img *);
/* 0 where the bytes at off are a header with a right checksum, or ENXIO. */
int vhd_header_good(struct img *, uint64_t off);
/* tapdisk's batmap: is there one, and where its header must be. */
int vhd_has_batmap(const struct vhd *);
uint64_t vhd_batmap_off(const struct vhd *);
/* The most bytes that its map can have: a bit for each entry. */
uint64_t vhd_batmap_most(const struct vhd *);
/* Is the parent's name little-endian by mistake? */
int vhd_name_swapped(const uint8_t *name);
/* Bytes reserved for a parent locator's data, 0 where the field is invalid. */
uint64_t vhd_locator_space(const uint8_t *locator);

static inline struct vhd *
vhd(const struct img *im)
{
	return (im->im_priv);
}

static inline uint32_t
vhd_stride(const struct vhd *v)
{
	return (v->v_bitmap + v->v_block);
}

static inline uint64_t
vhd_bat_bytes(uint32_t nentries)
{
	return (img_roundup((uint64_t)nentries * 4, IMG_SECTOR));
}

/* map.c */
/* One BAT entry through the table cache. */
int vhd_bat_get(struct img *, uint32_t index, uint32_t *sec);
/* The slice of the BAT that holds an entry, and where in it. */
int vhd_bat_slice(struct img *, uint32_t index, struct img_slice **,
    uint32_t *at);
/* The slice of the sector bitmap of the block at off that holds a sector. */
int vhd_bitmap_slice(struct img *, uint64_t off, uint32_t sec,
    struct img_slice **, uint32_t *bit);
/* Would a block at off lie over metadata? */
int vhd_over_metadata(const struct vhd *, uint64_t off);
/* Which row an entry breaks, IMG_ROW_NONE if none; *usable data bytes. */
enum img_row vhd_judge(const struct img *, uint32_t sec, uint64_t *usable);
/* In the block at off, from byte in on: a run of set or of clear bits. */
int vhd_bits(struct img *, uint64_t off, uint64_t in, uint64_t len,
    uint64_t *run, int *set);
int vhd_map(struct img *, uint64_t voff, uint64_t len, struct img_extent *);

/* The guest range of a block, clipped to the disk, from byte in on. */
uint64_t vhd_block_range(const struct img *, uint64_t index, uint64_t in,
    uint64_t *voff);

/* order.c: entries that are in use, in the order of the BAT. */
typedef int vhd_visit_fn(struct img *, void *arg, uint32_t sec, uint32_t index);
int vhd_each_entry(struct img *, vhd_visit_fn *, void *arg);
/*
 * All whose blocks take space inside the file, in the order of the file, equal
 * ones by index; memory is bounded by the handle's budget.
 */
int vhd_sorted(struct img *, vhd_visit_fn *, void *arg);
/* Where the last of these blocks ends, 0 if there is none; no memory. */
int vhd_last_end(struct img *, uint64_t *end);

/* verify.c */
int vhd_verify(struct img *);

/* alloc.c */
/* Take the header away from a fresh file. */
int vhd_fresh(struct img *);
int vhd_begin(struct img *, uint64_t voff, uint64_t len, struct img_claim *);
int vhd_end(struct img *, struct img_claim *, int ok);
int vhd_flush(struct img *);

#endif /* VHD_H */
