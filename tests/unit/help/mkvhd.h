/* SPDX-License-Identifier: ISC */

/*
 * mkvhd.h: VHD images for tests, written by code that shares nothing with
 * the library's, straight from the specification.
 */

#ifndef TESTS_UNIT_HELP_MKVHD_H
#define TESTS_UNIT_HELP_MKVHD_H

#include "unit/help/mem.h"

struct mkvhd {
	struct mem *k_mem;
	uint64_t k_size;    /* of the disk, bytes */
	uint32_t k_type;    /* 2 fixed, 3 dynamic, 4 differencing */
	uint32_t k_block;   /* bytes of data in a block */
	uint32_t k_entries; /* in the BAT; 0: as many as needed */
	uint64_t k_header;  /* where the dynamic header goes */
	uint64_t k_bat;     /* where the BAT goes; 0: behind the header */
	/* set by mkvhd_begin */
	uint32_t k_bitmap; /* bytes of a bitmap area */
	uint64_t k_next;   /* where mkvhd_block puts the next block */
	uint8_t k_footer[512];
};

uint32_t mkvhd_sum(const uint8_t *, size_t len, size_t sum_off);
/* Fill in the defaults of a dynamic image with that size and block size. */
void mkvhd_init(struct mkvhd *, struct mem *, uint64_t size, uint32_t block);
/* Footer copy, header and BAT of an image that has no blocks yet. */
void mkvhd_begin(struct mkvhd *);
/* The footer as it is in k_footer, with a new checksum, at off. */
void mkvhd_footer(struct mkvhd *, uint64_t off);
/* Put the dynamic header's checksum right. */
void mkvhd_header_sum(struct mkvhd *);
/* A block at k_next, all bits set, pattern of version 1; its offset. */
uint64_t mkvhd_block(struct mkvhd *, uint32_t index);
/* One bit of the bitmap of the block at off. */
void mkvhd_bit(struct mkvhd *, uint64_t off, uint32_t sector, int set);
/* The footer at k_next, which ends the file; on a device at its end. */
void mkvhd_end(struct mkvhd *);
uint64_t mkvhd_entry_off(const struct mkvhd *, uint32_t index);

/* A sound dynamic image with these blocks, or -1s for gaps of 4 KiB. */
void mkvhd_make(struct mkvhd *, struct mem *, uint64_t size, uint32_t block,
    const int *blocks, size_t nblocks);
/* A sound fixed image with pattern 1 in it. */
void mkvhd_fixed(struct mkvhd *, struct mem *, uint64_t size);

#endif /* TESTS_UNIT_HELP_MKVHD_H */
