#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Copy the drivers and the library's core into a tree of OpenBSD's kernel
# sources:
#
#	sh sys/conf/import.sh /usr/src/sys
#
# Objects of a kernel lie in one folder, so each file of the core gets the name
# of its folder too; what is in it stays as it is.  Nothing that is there is
# changed: the lines for conf/files are printed, README.md has the rest.

set -eu

[ $# -eq 1 ] && [ -d "$1/dev" ] && [ -d "$1/conf" ] || {
	echo "usage: sh import.sh /usr/src/sys" >&2
	exit 2
}
top=$(cd "$(dirname "$0")/../.." && pwd)
lib=$1/lib/imglib
mkdir -p "$lib"

core=$(sed -n '/^CORE_SRC = /,/[^\\]$/p' "$top/Makefile" |
    tr -d '\\\n' | sed 's/^CORE_SRC =//')

echo 'pseudo-device qcow: disk'
echo 'pseudo-device vhd: disk'
for f in $core; do
	n=$(echo "${f#lib/}" | tr / _)
	cp "$top/$f" "$lib/$n"
	printf 'file lib/imglib/%s\tqcow | vhd\n' "$n"
done
(cd "$top/lib" && find . \( -name '*.h' -o -name '*.def' \) -print) |
    while read -r h; do
	case $h in
	(*host*|*tool*|*check*|*repair*|*create*|*info*|*owners*) continue ;;
	esac
	mkdir -p "$lib/$(dirname "$h")"
	cp "$top/lib/$h" "$lib/$h"
done
cp "$top"/sys/dev/*.[ch] "$1/dev/"
for f in "$top"/sys/dev/imgdisk*.c; do
	printf 'file dev/%s\tqcow | vhd\n' "$(basename "$f")"
done
printf 'file dev/qcow.c\tqcow needs-flag\nfile dev/vhd.c\tvhd needs-flag\n'
