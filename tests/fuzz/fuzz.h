/* SPDX-License-Identifier: ISC */

/* fuzz.h: what the programs that feed bad bytes share. */

#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "unit/help/test.h"

/* What a library that is given bad bytes may answer. */
static inline int
fuzz_errno(int error)
{
	return (error == 0 || error == EIO || error == EFTYPE ||
	    error == ENOTSUP || error == EROFS || error == ENOSPC ||
	    error == EFBIG || error == ENOMEM || error == ENXIO ||
	    error == ENOENT);
}

/* Numbers that break things: limits, and a little beside them. */
static inline uint64_t
fuzz_number(uint64_t *seed)
{
	static const uint64_t edges[] = { 0, 1, 8, 104, 112, 511, 512, 1024,
		1536, 2048, 4096, 65536, 0x200000, 4194304, 0x7fffffff,
		0x80000000u, 0xff000000u, 0xfffffffe, 0xffffffffu,
		UINT64_C(0x100000000), UINT64_C(0x1fe00000000),
		UINT64_C(1) << 56, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX };
	uint64_t n;

	n = edges[mem_random(seed) % LENGTH_OF(edges)];
	switch (mem_random(seed) % 5) {
	case 0:
		n += mem_random(seed) % 7 - 3u;
		break;
	case 1:
		n = UINT64_C(1) << mem_random(seed) % 64;
		break;
	case 2:
		n = ((uint64_t)mem_random(seed) << 32 | mem_random(seed)) >>
		    mem_random(seed) % 64;
		break;
	}
	return (n);
}

/* Where len bytes of a disk may begin. */
static inline uint64_t
fuzz_voff(uint64_t *seed, uint64_t size, uint32_t len)
{
	return (((uint64_t)mem_random(seed) << 32 | mem_random(seed)) %
	    (size - len + 1));
}

/* The least of what the rows that were raised allow. */
static inline enum img_allows
fuzz_allowed(const struct mem_sink *s)
{
	enum img_allows least = IMG_ALLOW_WRITE;
	unsigned i;

	for (i = 1; i < IMG_NROWS; i++)
		if (s->s_per_row[i] > 0 &&
		    img_row((enum img_row)i)->r_allows < least)
			least = img_row((enum img_row)i)->r_allows;
	return (least);
}

/* For img_info: strings are some, and items not without end. */
static inline int
fuzz_item(void *arg, const struct img_item *it)
{
	unsigned *n = arg;

	if (it->it_kind == IMG_K_STR && it->it_str == NULL)
		fail_msg("a string that is none");
	return (++*n > 10000 ? EINVAL : 0);
}

#endif /* TESTS_FUZZ_FUZZ_H */
