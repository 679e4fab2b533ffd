#!/bin/sh
# SPDX-License-Identifier: ISC
#
# recipes.sh DIR - the drivers attach the images of testdata as far as the
# rows allow that opening and verifying raise, and what they refuse they
# refuse with one of these rows.  DIR has attach.

set -u

dir=$(cd "$1" && pwd) || exit 1
TOP=${TOP:-$PWD}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
bad=0

${CC:-cc} -std=c99 -D_GNU_SOURCE -O2 -o mkimage "$TOP"/tests/corpus/*.c -lz ||
    exit 1

# A row as "VHD-51 1": what it allows.
awk -F '[(,] *' 'BEGIN { split("NOTHING MAP READ WRITE", w, " ")
	for (i in w)
		rank[w[i]] = i - 1 }
    /^F\(/ { print $2 "-" $3, rank[$6] }' \
    "$TOP/lib/core/findings.def" >table
grep -q '^VHD-51 1$' table || exit 1

for format in vhd qcow2; do
	: >rows
	set --
	for r in "$TOP/testdata/$format"/*.recipe; do
		name=$(basename "$r" .recipe)
		./mkimage "$r" "$name" && ./mkimage -e "$r" >expected || exit 1
		awk -v n="$name" '/^row/ { print n, $2 }' expected >>rows
		set -- "$@" "$name"
	done
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 \
	    "$dir/attach" "$format" "$@" >said || exit 1
	rm -f -- "$@"
	# Errors: 79 EFTYPE, 30 EROFS, 91 ENOTSUP.
	awk -v fmt="$format" '
	function complain(what) {
		print FILENAME ": " $1 " " $2 ": " what ": " $0
		bad++
	}
	FILENAME == "table" { allow[$1] = $2; next }
	FILENAME == "rows" { has[$1, $2] = 1; next }
	NF < 4 || ($2 != "rw" && $2 != "ro") { complain("what"); next }
	{
		n[$4 == 0]++
		want = $2 == "rw" ? 3 : 2
		row = $6
		sub(/:$/, "", row)
		if ($4 == 91 && $3 >= want && /image (has|needs)|size/)
			unserved++
		else if ($3 >= want && $4 != 0)
			complain("refused, though its rows allow it")
		else if ($3 < want && $4 == 0)
			complain("attached, though a row forbids it")
		else if ($3 >= want)
			next
		else if ($4 != ($3 == 2 ? 30 : 79))
			complain("another error")
		else if (!(($1, row) in has) || allow[row] >= want)
			complain("not for a row of its own")
	}
	END {
		printf "recipes: %d attached, %d refused of %s, " \
		    "%d of them not served\n", n[1], n[0], fmt, unserved
		exit bad > 0 || n[1] == 0 || n[0] == 0
	}' table rows said || bad=1
done
exit $bad
