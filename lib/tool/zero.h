/* SPDX-License-Identifier: ISC */

#ifndef TOOL_ZERO_H
#define TOOL_ZERO_H

#include <stddef.h>
#include <string.h>

/* True when all len bytes are zero; len 0 is all zeros. */
static inline int
all_zero(const unsigned char *b, size_t len)
{
	size_t head = len < 16 ? len : 16, i;

	/*
	 * Sixteen bytes are looked at; that the rest repeats them is left to
	 * memcmp, which every system has in its fastest form.
	 */
	for (i = 0; i < head; i++)
		if (b[i] != 0)
			return (0);
	return (len == head || memcmp(b, b + head, len - head) == 0);
}

#endif /* TOOL_ZERO_H */
