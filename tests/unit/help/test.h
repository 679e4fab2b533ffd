/* SPDX-License-Identifier: ISC */

/* test.h: what every unit test includes, in the order that cmocka wants. */

#ifndef TESTS_UNIT_HELP_TEST_H
#define TESTS_UNIT_HELP_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "unit/help/mem.h"

#define LENGTH_OF(a) (sizeof(a) / sizeof((a)[0]))

#endif /* TESTS_UNIT_HELP_TEST_H */
