#!/bin/sh
# SPDX-License-Identifier: ISC
#
# typecheck.sh CORE.c ... - an OpenBSD 7.8 kernel could compile the drivers
# and these files of the library, and an OpenBSD userland the control tool,
# each with clang and gcc and without a warning.  Run at the top of the tree.
#
# Which headers come in depends on a kernel's options, so there are four
# sets of them.

set -u

inc=$(sh tests/driver/fetch.sh) || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export inc tmp

HEADERS="-nostdinc -isystem $inc/x86_64-openbsd-none
    -isystem $inc/generic-openbsd -D___OpenBSD=202510"
WARN="-Wall -Werror -Wno-pointer-sign -Wvla -O2"
KERNEL="-D_KERNEL -DDIAGNOSTIC -ffreestanding -mcmodel=kernel -mno-red-zone
    -fno-pie -fno-stack-protector -mgeneral-regs-only
    -Wframe-larger-than=1024 -Isys -Ilib -Itests/driver/include"

# compiler NAME: how to call it so that it is OpenBSD's.
compiler()
{
	case $1 in
	clang)	echo "clang --target=x86_64-unknown-openbsd" ;;
	gcc)	echo "gcc -U__linux__ -U__gnu_linux__ -D__OpenBSD__" ;;
	esac
}

# queue NAME FILE OPTION ...: one more line of work.
queue()
{
	file=$2
	how=$(compiler "$1")
	shift 2
	n=$((n + 1))
	# shellcheck disable=SC2086 # lists of words
	echo $how $HEADERS $WARN "$@" -c -o "$tmp/$n.o" "$file" >>"$tmp/work"
}

n=0
: >"$tmp/work"
for cc in clang gcc; do
	command -v $cc >/dev/null 2>&1 || {
		echo "typecheck: no $cc here" >&2
		exit 1
	}
	for options in "" "-DMULTIPROCESSOR" \
	    "-DMULTIPROCESSOR -DWITNESS -DDDB" "-DSMALL_KERNEL"; do
		for f in sys/dev/*.c "$@"; do
			# shellcheck disable=SC2086 # lists of words
			queue "$cc" "$f" $KERNEL $options
		done
	done
	for f in cmd/imgctl/*.c; do
		queue "$cc" "$f" -Wextra -Wno-unused-parameter -Isys -Ilib
	done
done

# In a tree of kernel sources, where import.sh puts them and nothing else is.
mkdir -p "$tmp/sys/dev" "$tmp/sys/conf"
sh sys/conf/import.sh "$tmp/sys" >"$tmp/files" || exit 1
IMPORTED=$(echo "$KERNEL" | sed 's/-Isys -Ilib//')
awk '$1 == "file" { print $2 }' "$tmp/files" >"$tmp/names"
while read -r f; do
	# shellcheck disable=SC2086 # lists of words
	queue clang "$tmp/sys/$f" $IMPORTED "-I$tmp/sys" \
	    "-I$tmp/sys/lib/imglib"
done <"$tmp/names"
[ "$(wc -l <"$tmp/names")" -eq \
    "$(find "$tmp/sys" -name '*.c' | wc -l)" ] || {
	echo "typecheck: import.sh names not all files, or too many" >&2
	exit 1
}

xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' sh -c '{}' <"$tmp/work" || {
	echo "typecheck: OpenBSD would not compile this" >&2
	exit 1
}
echo "typecheck: $n compilations"
