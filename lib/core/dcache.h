/* SPDX-License-Identifier: ISC */

/*
 * dcache.h: a cache of data for callers whose host has none for them, as a
 * kernel's driver that reads past its buffer cache.  It is an img_file in
 * front of another one and knows nothing of formats: rw.c tells it which
 * bytes belong to one unit (fo_unit), and it keeps units, or pieces of large
 * ones, in a fixed number of slots.  Writes go through at once.
 */

#ifndef IMG_DCACHE_H
#define IMG_DCACHE_H

#include "core/env.h"

#define IMG_DCACHE_SLOT_MAX (2u << 20) /* bytes of the largest slot */
#define IMG_DCACHE_NSLOTS_MAX 512u

struct img_dslot {
	uint64_t ds_off; /* in the file */
	uint32_t ds_len; /* bytes that are there, 0: empty */
	uint32_t ds_used;
};

struct img_dcache {
	struct img_file dc_file; /* first: what the library is given */
	struct img_file *dc_lower;
	const struct img_env *dc_env;
	struct img_dslot *dc_slot;
	uint8_t *dc_data;
	uint32_t dc_nslots;
	uint32_t dc_slotlen; /* bytes, a power of two */
	uint32_t dc_tick;
	uint64_t dc_length;   /* of the file */
	uint64_t dc_unit_off; /* the unit that is read from now ... */
	uint64_t dc_unit_len; /* ... as fo_unit said */
};

/*
 * Put it in front of a file, which must outlive it.  Until img_dcache_slots
 * was called it has no slots, and everything goes through.
 */
int img_dcache_init(struct img_dcache *, const struct img_env *,
    struct img_file *lower);
/*
 * Slots for units of that many bytes, a power of two: each of one unit, or of
 * IMG_DCACHE_SLOT_MAX of a larger one.  EINVAL for more than
 * IMG_DCACHE_NSLOTS_MAX; ENOMEM leaves it without any.
 */
int img_dcache_slots(struct img_dcache *, uint32_t nslots, uint32_t unit);
void img_dcache_fini(struct img_dcache *);

#endif /* IMG_DCACHE_H */
