#!/bin/sh
# SPDX-License-Identifier: ISC
#
# build.sh asan|tsan DIR CORE.c ... - the harness's objects into DIR.
#
# kernel.o is the kernel's half, one object that shows the host nothing but
# k_*: the drivers as they are, the core of the library, and the mocks, all
# against OpenBSD's headers.  help.a is what tests link besides.

set -eu

case $1 in
asan)	san="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
tsan)	san=-fsanitize=thread ;;
*)	exit 2 ;;
esac
dir=$2
shift 2

inc=$(sh tests/driver/fetch.sh)
mkdir -p "$dir/kernel" "$dir/host"
CC=${CC:-cc}
COMMON="-O1 -g -fno-omit-frame-pointer $san"
KERNEL="-nostdinc -isystem $inc/x86_64-openbsd-none
    -isystem $inc/generic-openbsd -U__linux__ -U__gnu_linux__ -D__OpenBSD__
    -D___OpenBSD=202510 -D_KERNEL -DDIAGNOSTIC -ffreestanding
    -fno-stack-protector -Wall -Werror -Wno-pointer-sign
    -Isys -Ilib -Itests -Itests/driver/include"
HOST="-std=c99 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes
    -Wmissing-prototypes -Werror -Ilib -Itests"

# queue FOLDER FILE OPTION ...: compile it where something is newer.
queue()
{
	o=$dir/$1/$(echo "$2" | tr / -).o
	file=$2
	shift 2
	objects="$objects $o"
	# shellcheck disable=SC2086 # lists of words
	if [ ! -f "$o" ] || [ -n "$(find "$file" $headers -newer "$o")" ]; then
		echo "$CC" $COMMON "$@" -c -o "$o" "$file" >>"$dir/work"
	fi
}

headers=$(find sys/dev lib tests/driver tests/unit/help -name '*.h' \
    -o -name '*.def')
: >"$dir/work"
objects=
for f in "$@" sys/dev/*.c tests/driver/kern_*.c; do
	# shellcheck disable=SC2086
	queue kernel "$f" $KERNEL
done
kernel=$objects
objects=
for f in tests/driver/host.c tests/driver/file.c tests/driver/cut.c \
    tests/driver/fx.c tests/unit/help/mem.c tests/unit/help/env.c; do
	# shellcheck disable=SC2086
	queue host "$f" $HOST
done
xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' sh -c '{}' <"$dir/work"

# shellcheck disable=SC2086
{
	ld -r -o "$dir/all.o" $kernel
	objcopy --wildcard --keep-global-symbol='k_*' "$dir/all.o" \
	    "$dir/kernel.o"
	rm -f "$dir/help.a"
	ar rcs "$dir/help.a" $objects
}
