#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Debian's kernel, unpacked outside of the tree, for the headers that are
# installed here; prints the folder.  It is not installed: that would make it
# this machine's.  apt checks what it downloads.

set -eu

cache=${IMGTOOL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/imgtool}
mkdir -p "$cache"
rel=$(apt-cache depends linux-headers-amd64 |
    sed -n 's/.*linux-headers-\(6\.1\.0-[0-9]*-amd64\)$/\1/p' | head -n 1)
[ -n "$rel" ] || { echo "fetch.sh: no kernel headers known to apt" >&2; exit 1; }
dir=$cache/linux-$rel
if [ ! -e "$dir/done" ]; then
	rm -rf "$dir"
	mkdir -p "$dir/deb"
	(cd "$dir/deb" && apt-get -q -o APT::Sandbox::User=root download \
	    "linux-image-$rel" >&2)
	dpkg -x "$dir"/deb/*.deb "$dir"
	rm -rf "$dir/deb"
	[ -d "/usr/src/linux-headers-$rel" ] ||
	    { echo "fetch.sh: no headers of $rel are installed" >&2; exit 1; }
	: >"$dir/done"
fi
echo "$dir"
