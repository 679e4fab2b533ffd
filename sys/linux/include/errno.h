/* SPDX-License-Identifier: ISC */

/* What the core takes from C's <errno.h>, in Linux' terms. */

#include <linux/errno.h>

#define ENOTSUP EOPNOTSUPP
