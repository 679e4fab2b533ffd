/* SPDX-License-Identifier: ISC */

/*
 * fake.h: a format without metadata, for tests of what moves the bytes.  A
 * disk of up to FAKE_MAX units; a letter each says what it is:
 *	h hole	z zeros	d data	p packed	b bad
 * Data of unit i starts out at FAKE_DATA + i * FAKE_UNIT of the file.
 */

#ifndef TESTS_UNIT_HELP_FAKE_H
#define TESTS_UNIT_HELP_FAKE_H

#include "unit/help/mem.h"

#define FAKE_UNIT 4096u
#define FAKE_MAX 64u
#define FAKE_DATA 65536u
#define FAKE_PACKED 100u /* bytes of a packed unit, at i * 128 of the file */

struct fake {
	uint64_t k_size;
	char k_map[FAKE_MAX + 1];
	uint64_t k_off[FAKE_MAX];
	uint64_t k_next;      /* where the next fresh unit goes; 0: the end */
	uint32_t k_max_claim; /* f_begin gives at most so many bytes */
	int k_zeroed;         /* new space reads as zeros */
	int k_zero_units;     /* f_zero takes whole units */
	int k_fail_begin, k_fail_end, k_fail_flush, k_fail_zero;
	int k_raise;        /* a row to raise in f_open */
	int k_raise_verify; /* ... and in f_verify */
	uint64_t k_need;    /* memory that f_open asks for */
	unsigned k_begins, k_ends, k_gave_up, k_unpacks, k_flushes;
	void *k_mem;
};

extern const struct img_format fake_format;

/* What the next img_open of fake_format starts with. */
extern struct fake fake_next;

/* Set fake_next from a drawing, all units whole. */
void fake_draw(const char *map);
/* Patterned data of version 1 under every d, packed bytes under every p. */
void fake_fill(struct mem *);
/* What unit i, drawn as that letter, reads as. */
void fake_expect(uint8_t *unit, unsigned i, char letter);
struct fake *fake_of(struct img *);

#endif /* TESTS_UNIT_HELP_FAKE_H */
