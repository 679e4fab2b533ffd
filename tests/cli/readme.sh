#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The examples in the README work.  Those are the ```sh blocks that follow
# the line <!-- test -->; they run in order, in one directory.

. "$TOP/tests/lib.sh"

mkdir bin scratch
ln -s "$IMGTOOL" bin/imgtool
PATH=$PWD/bin:$PATH

awk '
/^<!-- test -->$/ { marked = 1; next }
/^```sh$/ && marked { inside = 1; n++; next }
/^```$/ { inside = marked = 0; next }
inside { print > (sprintf("block.%02d", n)) }
' "$TOP/README.md"

t_begin "the README has examples"
[ -s block.01 ] || fail "no block found"

for block in block.*; do
	[ -s "$block" ] || continue
	t_begin "the README's example works: $(head -n 1 "$block")"
	(cd scratch && run_ok sh -eux "../$block")
done
