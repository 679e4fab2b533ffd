/* SPDX-License-Identifier: ISC */

/* What the core takes from C's <string.h>, in Linux' terms. */

#include <linux/string.h>
