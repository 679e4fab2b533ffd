/* SPDX-License-Identifier: ISC */

/* What the core takes from C's <stddef.h>, in Linux' terms. */

#include <linux/stddef.h>
