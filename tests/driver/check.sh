#!/bin/sh
# SPDX-License-Identifier: ISC
#
# check.sh CORE.c ... - everything that is shown of the OpenBSD drivers
# without OpenBSD; `make check-driver` calls it, at the top of the tree, with
# imgtool, libimg.a and libimg-asan.a made.  With T="test_io" only these
# programs of the harness run.

set -u

: "${LIBS:=-lz -lpthread}" "${T:=}"
CC=${CC:-cc}
IMGTOOL=$PWD/imgtool
TOP=$PWD
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
DRIVER_IMAGES=$tmp/images
ASAN_OPTIONS=exitcode=99:allocator_may_return_null=1
UBSAN_OPTIONS=exitcode=99:print_stacktrace=1
TSAN_OPTIONS=exitcode=99:halt_on_error=1
export CC IMGTOOL TOP DRIVER_IMAGES ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

FLAGS="-std=c99 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes
    -Werror -O1 -g -Ilib -Itests"
bad=0

# step NAME COMMAND ...
step()
{
	name=$1
	began=$(date +%s)
	shift
	if "$@" >"$tmp/log" 2>&1; then
		echo "ok   $name ($(($(date +%s) - began)) s)"
		sed -n '/: [0-9]* /s/^/	/p' "$tmp/log"
	else
		echo "FAIL $name"
		tail -n 60 "$tmp/log" | sed 's/^/	/'
		bad=$((bad + 1))
	fi
}

# link asan|tsan LIBRARY NAME ...: programs of the harness.
link()
{
	kind=$1 lib=$2
	shift 2
	case $kind in
	asan)	san="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
	tsan)	san=-fsanitize=thread ;;
	esac
	for p; do
		# shellcheck disable=SC2086 # lists of words
		echo "$CC" $FLAGS $san -o "$tmp/$kind/$p" \
		    "tests/driver/$p.c" "$tmp/$kind/kernel.o" \
		    "$tmp/$kind/help.a" "$lib" -lcmocka $LIBS
	done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' sh -c '{}'
}

# Which programs of the harness there are.
programs()
{
	if [ -n "$T" ]; then
		echo "$T"
		return
	fi
	for p in tests/driver/test_*.c; do
		basename "$p" .c
	done
}

build()
{
	# shellcheck disable=SC2046,SC2086 # lists of words
	sh tests/driver/build.sh asan "$tmp/asan" "$@" &&
	    link asan libimg-asan.a replay_kern attach $(programs) &&
	    sh tests/driver/build.sh tsan "$tmp/tsan" "$@" &&
	    link tsan libimg.a race &&
	    "$CC" $FLAGS -o "$tmp/asan/replay" tests/driver/replay.c \
		libimg.a $LIBS
}

# All at once, as many as there are processors; what each said, if bad.
tests()
{
	# shellcheck disable=SC2016 # for that shell
	programs | tr ' ' '\n' | xargs -P "$(getconf _NPROCESSORS_ONLN)" \
	    -I '{}' sh -c 'timeout 200 "$0/asan/{}" >"$0/{}.log" 2>&1 ||
		echo "{}" >>"$0/failed"' "$tmp"
	for p in $(programs); do
		if grep -qx "$p" "$tmp/failed" 2>/dev/null; then
			tail -n 40 "$tmp/$p.log"
		else
			n=$(sed -n 's/.*PASSED  \] \([0-9]*\) .*/\1/p' \
			    "$tmp/$p.log")
			echo "$p: $n tests"
			[ "${n:-0}" -gt 0 ] || echo "$p" >>"$tmp/failed"
		fi
	done
	[ ! -s "$tmp/failed" ]
}

step "type-check" sh tests/driver/typecheck.sh "$@"
step "images" sh tests/driver/images.sh "$DRIVER_IMAGES"
step "build" build "$@"
[ $bad -eq 0 ] || exit 1
step "harness" tests
if [ -z "$T" ]; then
	step "recipes" sh tests/driver/recipes.sh "$tmp/asan"
	step "race" timeout 60 "$tmp/tsan/race" 30 1 locked
	step "race without the kernel lock" \
	    timeout 60 "$tmp/tsan/race" 30 2 unlocked
	step "replay" timeout 200 sh tests/driver/replay.sh "$tmp/asan"
fi
[ $bad -eq 0 ]
