#!/bin/sh
# SPDX-License-Identifier: ISC
#
# selftest.sh - prove that core.sh notices what it is there to notice.
# A gate that never fails proves nothing.

set -u

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0
n=0

cat >"$tmp/private.h" <<'EOF'
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>
int f(uint8_t *, uint64_t, uint64_t);
int g(uint8_t *, uint64_t, uint64_t);
EOF

gate()
{
	sh tests/gate/core.sh "$@" >"$tmp/out" 2>&1
}

tell()
{
	echo "selftest: $*" >&2
	sed 's/^/    /' "$tmp/out" >&2
	bad=1
}

# notices WHAT PATTERN: the source on standard input is refused, and the
# reason given matches.
notices()
{
	n=$((n + 1))
	{ echo '#include "private.h"'; cat; } >"$tmp/t.c"
	if gate "$tmp/t.c"; then
		tell "the gate lets $1 pass"
	elif ! grep -qE "$2" "$tmp/out"; then
		tell "the gate refuses $1, but not for that"
	fi
}

# A sound pair: calls across files, constant tables with pointers, 64-bit
# arithmetic by constants, a walk through a pointer to a function.
cat >"$tmp/good1.c" <<'EOF'
#include "private.h"
static int h(uint8_t *b) { return (b[0] ? EIO : 0); }
struct ops { const char *name; int (*h)(uint8_t *); };
static const struct ops ops[] = { { "one", h }, { NULL, NULL } };
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	memset(b, 0, 16);
	if (x / 512 == y % 4096)
		return (ops[x & 1].h(b));
	return (g(b, x, y << (x & 63)));
}
EOF
cat >"$tmp/good2.c" <<'EOF'
#include "private.h"
int g(uint8_t *b, uint64_t x, uint64_t y)
{
	uint8_t t[512];

	memcpy(t, b, 512);
	return (memcmp(t, b + 512, 512) != 0 && x * y > 5);
}
EOF
n=$((n + 1))
gate "$tmp/good1.c" "$tmp/good2.c" || tell "the gate refuses sound files"

notices "a call of malloc" 'needs malloc\(\)' <<'EOF'
void *malloc(size_t);
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	(void)b, (void)x;
	return (malloc((size_t)y) != NULL);
}
EOF

notices "a variable length array" 'variable length array' <<'EOF'
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	uint8_t t[(x & 15) + 1];

	memcpy(t, b, (x & 15) + 1);
	return (t[y & x & 15]);
}
EOF

notices "alloca" 'alloca' <<'EOF'
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	uint8_t *t = __builtin_alloca((x & 15) + 1);

	memcpy(t, b, (x & 15) + 1);
	return (t[y & x & 15]);
}
EOF

notices "a 64-bit division by a variable" 'needs __udivdi3\(\)' <<'EOF'
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	(void)b;
	return (x / y == 3);
}
EOF

notices "a frame of 2 KiB" 'frame|stack usage' <<'EOF'
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	uint8_t t[2048];

	memcpy(t, b, sizeof(t));
	return (memcmp(t, b + x, (size_t)y));
}
EOF

notices "a writable global" 'count is writable data' <<'EOF'
static int count;
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	(void)b, (void)x, (void)y;
	return (++count);
}
EOF

notices "a second include" '2 #include lines' <<'EOF'
#include <stdint.h>
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	return (b[x] == y);
}
EOF

notices "conditional code" 'conditional code' <<'EOF'
#ifdef _KERNEL
extern int k;
#endif
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	return (b[x] == y);
}
EOF

notices "a header of the system" 'stdio.h' <<'EOF'
# include <stdio.h>
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	return (b[x] == y);
}
EOF

notices "a function that calls itself" 'recursion' <<'EOF'
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	return (x == 0 ? b[y] : f(b, x - 1, y) + 1);
}
EOF

notices "two functions that call each other" 'recursion' <<'EOF'
static int h(uint8_t *b, uint64_t x)
{
	return (f(b, x - 1, x));
}
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	return (x == 0 ? b[y] : h(b, x));
}
EOF

notices "floating point" 'SSE|needs __|float|double' <<'EOF'
int f(uint8_t *b, uint64_t x, uint64_t y)
{
	return ((double)x * 1.5 > (double)y + b[0]);
}
EOF

[ $bad -eq 0 ] || exit 1
echo "selftest: the core gate told all $n samples apart"
