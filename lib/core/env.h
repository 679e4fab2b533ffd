/* SPDX-License-Identifier: ISC */

/*
 * env.h: everything that core code may use of the world: fixed-width types,
 * four functions on memory, errno values, and what img.h lets the caller
 * lend.  This is the only file of the core that includes system headers.
 */

#ifndef IMG_ENV_H
#define IMG_ENV_H

#ifdef _KERNEL
#include <sys/types.h>
#include <sys/stdint.h>
#include <sys/errno.h>
#include <sys/systm.h>
#else
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#endif

#include "img.h"

/* True when [off, off + len) lies inside [0, end), without overflow. */
static inline int
img_inside(uint64_t off, uint64_t len, uint64_t end)
{
	return (off <= end && len <= end - off);
}

/* True when the two ranges share a byte; neither may wrap. */
static inline int
img_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return (alen > 0 && blen > 0 && a < b + blen && b < a + alen);
}

/*
 * True when all len bytes are zero; none at all are.  Sixteen bytes are
 * looked at; that the rest repeats them is left to memcmp, which every system
 * has in its fastest form.
 */
static inline int
img_is_zero(const uint8_t *p, size_t len)
{
	size_t head = len < 16 ? len : 16, i;

	for (i = 0; i < head; i++)
		if (p[i] != 0)
			return (0);
	return (len == head || memcmp(p, p + head, len - head) == 0);
}

static inline uint64_t
img_min(uint64_t a, uint64_t b)
{
	return (a < b ? a : b);
}

/* Round up to a multiple of a power of two; the caller excludes overflow. */
static inline uint64_t
img_roundup(uint64_t n, uint64_t power)
{
	return ((n + power - 1) & ~(power - 1));
}

static inline uint32_t
img_be16(const uint8_t *p)
{
	return ((uint32_t)p[0] << 8 | p[1]);
}

static inline uint32_t
img_be32(const uint8_t *p)
{
	return (img_be16(p) << 16 | img_be16(p + 2));
}

static inline uint64_t
img_be64(const uint8_t *p)
{
	return ((uint64_t)img_be32(p) << 32 | img_be32(p + 4));
}

static inline void
img_put_be16(uint8_t *p, uint32_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static inline void
img_put_be32(uint8_t *p, uint32_t n)
{
	img_put_be16(p, n >> 16);
	img_put_be16(p + 2, n);
}

static inline void
img_put_be64(uint8_t *p, uint64_t n)
{
	img_put_be32(p, (uint32_t)(n >> 32));
	img_put_be32(p + 4, (uint32_t)n);
}

static inline uint32_t
img_le32(const uint8_t *p)
{
	return ((uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[1] << 8 | p[0]);
}

static inline uint64_t
img_le64(const uint8_t *p)
{
	return ((uint64_t)img_le32(p + 4) << 32 | img_le32(p));
}

static inline void
img_put_le32(uint8_t *p, uint32_t n)
{
	p[0] = (uint8_t)n;
	p[1] = (uint8_t)(n >> 8);
	p[2] = (uint8_t)(n >> 16);
	p[3] = (uint8_t)(n >> 24);
}

static inline void
img_put_le64(uint8_t *p, uint64_t n)
{
	img_put_le32(p, (uint32_t)n);
	img_put_le32(p + 4, (uint32_t)(n >> 32));
}

#endif /* IMG_ENV_H */
