/* SPDX-License-Identifier: ISC */

#ifndef RAW_TOOL_H
#define RAW_TOOL_H

#include "tool/tool.h"

extern const struct img_opt raw_opts[];
int raw_create(const struct img_env *, struct img_file *, struct img_create *);

#endif /* RAW_TOOL_H */
