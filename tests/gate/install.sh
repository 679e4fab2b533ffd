#!/bin/sh
# SPDX-License-Identifier: ISC
#
# install.sh [MAKE] - install into a scratch directory, use what is there,
# build a program with it, and take it away again.

set -eu

make=${1:-make}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

stop()
{
	echo "install: $*" >&2
	exit 1
}

$make install DESTDIR="$root" PREFIX=/opt/img >"$root/log" 2>&1 || {
	cat "$root/log" >&2
	stop "make install failed"
}
rm "$root/log"

for f in bin/imgtool lib/libimg.a lib/pkgconfig/img.pc \
    include/imgtool/img.h include/imgtool/img_host.h \
    include/imgtool/core/findings.def \
    share/man/man1/imgtool.1 share/man/man3/img.3 \
    share/man/man7/imgtool-check.7 share/man/man9/img_format.9; do
	[ -s "$root/opt/img/$f" ] || stop "$f is missing"
done

truncate -s 1M "$root/disk.raw"
"$root/opt/img/bin/imgtool" info -f raw "$root/disk.raw" >/dev/null ||
    stop "the installed program does not run"

if grep -n '@' "$root/opt/img/lib/pkgconfig/img.pc" >&2; then
	stop "img.pc has holes"
fi
cat >"$root/user.c" <<'EOF'
#include <stdio.h>
#include <img_host.h>

int
main(void)
{
	return (printf("%s\n", img_strerror(EFTYPE)) < 0);
}
EOF
pc()
{
	PKG_CONFIG_PATH=$root/opt/img/lib/pkgconfig \
	    PKG_CONFIG_SYSROOT_DIR=$root pkg-config --static "$@" img
}
# shellcheck disable=SC2046 # lists of words
${CC:-cc} -std=c99 $(pc --cflags) -o "$root/user" "$root/user.c" \
    $(pc --libs) || stop "no program can be built with it"
"$root/user" >/dev/null || stop "a program built with it does not run"

$make uninstall DESTDIR="$root" PREFIX=/opt/img >/dev/null 2>&1 ||
    stop "make uninstall failed"
left=$(find "$root/opt" -type f)
[ -z "$left" ] || stop "uninstall leaves $left"
[ ! -d "$root/opt/img/include/imgtool" ] ||
    stop "uninstall leaves its directory of headers"
echo "install: complete, usable, and gone again"
