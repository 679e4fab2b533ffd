/* SPDX-License-Identifier: ISC */

/* What the core takes from C's <stdint.h>, in Linux' terms. */

#ifndef IMGBLK_STDINT_H
#define IMGBLK_STDINT_H

#include <linux/types.h>
#include <linux/limits.h>

#define UINT32_C(n) n##U
#define UINT64_C(n) n##ULL
#ifndef UINT8_MAX
#define UINT8_MAX U8_MAX
#endif
#ifndef UINT32_MAX
#define UINT32_MAX U32_MAX
#endif
#ifndef UINT64_MAX
#define UINT64_MAX U64_MAX
#endif
#ifndef INT64_MAX
#define INT64_MAX S64_MAX
#endif

#endif /* IMGBLK_STDINT_H */
