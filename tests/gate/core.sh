#!/bin/sh
# SPDX-License-Identifier: ISC
#
# core.sh FILE.c ... - prove that a kernel can build these files.
#
# Together they must need nothing but memcpy, memmove, memset and memcmp,
# keep no state of their own, stay within 1 KiB of stack a frame and never
# call themselves.  Run at the top of the source tree.

set -u

FRAME=1024
ALLOWED='memcpy memmove memset memcmp _GLOBAL_OFFSET_TABLE_'
FLAGS="-std=c99 -O2 -ffreestanding -nostdinc -fno-builtin -fno-pic
    -fno-stack-protector -mgeneral-regs-only -Itests/gate/stub -Ilib
    -Wall -Wextra -Werror -Wvla -Walloca -Wframe-larger-than=$FRAME"

bad=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

complain()
{
	echo "core: $*" >&2
	bad=1
}

# Where a file may be compiled on its own, what it says of the system is
# what its one private header says.  A table of rows (.def) is no header.
check_includes()
{
	n=$(grep '^[[:space:]]*#[[:space:]]*include' "$1" |
	    grep -vc '"[a-z/]*\.def"$')
	q=$(grep -c '^#include "[^"]*\.h"' "$1")
	if [ "$n" -ne 1 ] || [ "$q" -ne 1 ]; then
		complain "$1: has $n #include lines, wanted one private header"
	fi
	if grep -nE '^[[:space:]]*#[[:space:]]*(if|el|endif)' "$1" >&2; then
		complain "$1: has conditional code"
	fi
}

# compile COMPILER -mBITS FILE ...: objects into $tmp/COMPILER-mBITS/
compile()
{
	cc=$1 bits=$2 dir=$tmp/$1$2 extra=
	shift 2
	mkdir "$dir"
	echo 'int empty; ' >"$tmp/empty.c"
	if "$cc" -Werror -Wstack-usage=$FRAME -c -o "$tmp/empty.o" \
	    "$tmp/empty.c" 2>/dev/null; then
		extra=-Wstack-usage=$FRAME
	fi
	n=0
	for f; do
		n=$((n + 1))
		# shellcheck disable=SC2086 # lists of words
		"$cc" "$bits" $FLAGS $extra -c -o "$dir/$n.o" "$f" ||
		    complain "$f: $cc $bits cannot build it for a kernel"
	done
}

# What is left undefined when all objects are one.
check_symbols()
{
	dir=$tmp/$1$2
	"$1" "$2" -r -nostdlib -o "$dir/all" "$dir"/*.o || {
		complain "$1 $2: the objects do not link together"
		return
	}
	for s in $(nm -u "$dir/all" | awk '{ print $NF }'); do
		case " $ALLOWED " in
		*" $s "*) ;;
		*) complain "$1 $2: needs $s(), which no kernel promises" ;;
		esac
	done
}

# Nothing that changes may outlive a call.
check_data()
{
	dir=$tmp/$1$2
	shift 2
	n=0
	for f; do
		n=$((n + 1))
		[ -f "$dir/$n.o" ] || continue
		for s in $(nm "$dir/$n.o" |
		    awk '$(NF - 1) ~ /^[BbDdCGgSsu]$/ { print $NF }'); do
			complain "$f: $s is writable data"
		done
	done
}

# Strip the call graph of all that calls nothing, or that nothing calls,
# until neither is left: what remains goes in circles.
circles()
{
	awk '
	/^edge:/ {
		split($0, q, "\"")
		a = q[2]; b = q[4]
		if (b == "__indirect_call")
			next
		if (a ~ /:/)
			a = FILENAME " " a
		if (b ~ /:/)
			b = FILENAME " " b
		edge[a SUBSEP b] = 1
	}
	END {
		do {
			gone = 0
			split("", out); split("", in_)
			for (e in edge) {
				split(e, q, SUBSEP)
				out[q[1]] = in_[q[2]] = 1
			}
			for (e in edge) {
				split(e, q, SUBSEP)
				if (!(q[2] in out) || !(q[1] in in_)) {
					delete edge[e]
					gone = 1
				}
			}
		} while (gone)
		for (e in edge) {
			split(e, q, SUBSEP)
			sub(/.*[ :]/, "", q[1]); sub(/.*[ :]/, "", q[2])
			print q[1] "() calls " q[2] "()"
		}
	}' "$@" | sort -u
}

check_recursion()
{
	mkdir "$tmp/graph"
	n=0
	for f; do
		n=$((n + 1))
		# shellcheck disable=SC2086 # a list of words
		gcc $FLAGS -O0 -Wno-frame-larger-than -fcallgraph-info -c \
		    -o "$tmp/graph/$n.o" "$f" ||
		    complain "$f: no call graph"
	done
	set -- "$tmp"/graph/*.ci
	[ -f "$1" ] || return
	circles "$@" >"$tmp/circles"
	if [ -s "$tmp/circles" ]; then
		cat "$tmp/circles" >&2
		complain "recursion"
	fi
}

if [ $# -eq 0 ]; then
	complain "no files given"
	exit 1
fi

for f; do
	if [ ! -f "$f" ]; then
		complain "$f: no such file"
		exit 1
	fi
	check_includes "$f"
done

tried=
for cc in gcc clang; do
	if ! command -v $cc >/dev/null 2>&1; then
		echo "core: no $cc here, not tried" >&2
		[ -z "${IMGTOOL_CI:-}" ] || bad=1
		continue
	fi
	tried="$tried $cc"
	for bits in -m64 -m32; do
		compile $cc $bits "$@"
		[ $bad -eq 0 ] || exit 1
		check_symbols $cc $bits
		check_data $cc $bits "$@"
	done
done

case $tried in
*gcc*)	check_recursion "$@" ;;
'')	complain "no compiler found" ;;
esac

[ $bad -eq 0 ] || exit 1
echo "core: $# files fit for a kernel (tried with$tried)"
