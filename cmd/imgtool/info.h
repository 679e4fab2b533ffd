/* SPDX-License-Identifier: ISC */

/* What info.c, info_json.c and info_text.c share. */

#ifndef INFO_H
#define INFO_H

#include "imgtool.h"

#define INFO_DEPTH 8 /* objects and lists within each other */

struct info {
	struct img *f_img;
	const char *f_name;
	const struct img_format *f_format;
	uint64_t f_used; /* bytes that the file takes on the host */
};

/* Print it; an error is that of img_info. */
int info_json(const struct info *);
int info_text(const struct info *);

/* As in "2026-11-22T12:00:00Z". */
const char *info_time(char *buf, size_t len, uint64_t);

#endif /* INFO_H */
