#!/bin/sh
# SPDX-License-Identifier: ISC
#
# qcow2_cut.sh - a qcow2 image cut anywhere: check says so with the right rows
# and names the guest ranges that are lost; all others can be read, and the
# rest of a cluster that was cut off reads as zeros.

. "$TOP/tests/lib.sh"
. "$TOP/tests/cutlib.sh"

need_mkimage
# The places of its clusters are in the recipe, and again in expected().
./mkimage "$TOP/testdata/qcow2/good-tables-first.recipe" whole || exit 1
./mkimage -g whole guest.raw || exit 1

# Every length in the header, every 13th and those around what begins
# or ends.
cuts()
{
	awk 'BEGIN {
		for (n = 0; n < 116; n++)
			print n
		for (n = 116; n < 7168; n += 13)
			print n
		for (n = 512; n < 7168; n += 512)
			for (k = -1; k <= 1; k++)
				print n + k
		split("1551 1552 1553 2056 2057 5438 5439 5440 5441 5657 " \
		    "5658 5659", x)
		for (i in x)
			print x[i]
	}' | sort -rnu
}

# expected: for each length on standard input, the rows, one a line.
#
# L1 is at 1536 and has two entries, the L2 tables are at 2048 and 2560.  An
# entry counts if all of it is there.  What is missing reads as zeros, and so
# does the last byte of a stream: with it gone there may still be a cluster.
expected()
{
	awk 'BEGIN {
		split("0 3 5 64 70 127", plain, " ")
		split("3584 4608 3072 6144 4096 6656", start, " ")
		split("10 71", packed, " ")
		split("5121 5632", last, " ")
		split("5439 5658", to, " ")
	}
	function row(r, off, voff, vlen) {
		print n, r, off, voff == "" ? "- -" : voff " " vlen
	}
	function entry(cl) {
		return (2048 + 8 * cl)
	}
	function data(cl, s) {
		if (n < entry(cl) + 8)
			return
		if (n <= s)
			row("QCOW2-51", entry(cl), cl * 512, 512)
		else if (n < s + 512)
			row("QCOW2-52", entry(cl), cl * 512 + n - s,
			    512 - (n - s))
	}
	# Where only a part of the last cluster is missing the stream itself
	# may be wrong.
	function stream(cl, last, end) {
		if (n >= entry(cl) + 8 && n < end)
			row(n <= last ? "QCOW2-63" : "QCOW2-64", entry(cl),
			    cl * 512, 512)
	}
	{ n = $1 }
	n < 1552 { next }
	{
		for (i = 0; i < 2; i++)
			if (n < 2048 + 512 * (i + 1))
				row("QCOW2-39", 1536 + 8 * i, i * 32768, 32768)
		for (i = 1; i <= 6; i++)
			data(plain[i], start[i])
		for (i = 1; i <= 2; i++)
			stream(packed[i], last[i], to[i])
	}'
}

t_begin "a qcow2 image cut anywhere is judged: status 2, in time, no crash"
cuts >list
judge_cuts whole -f qcow2 --deep
# From 6656 on the last cluster has lost a part, which is a note.
cat log.* | awk '/^cut / && $3 != ($2 > 6656 ? 0 : 2)' | sort -n -k 2 >strange
[ ! -s strange ] || fail "$(head -n 20 strange | tr '\n' ';')"

t_begin "a qcow2 image cut anywhere raises the rows that say what is lost"
expected <list | sort >want
got | awk '$1 >= 1552' | sort >have
same_cuts

t_begin "without its header it is no image, without its tables not whole"
got | awk '$1 < 1552' >have
awk '$1 < 8 && $2 != "QCOW2-1" || $1 >= 8 && $1 < 24 && $2 != "QCOW2-2" ||
    $1 >= 112 && $1 < 1552 && $2 !~ /^QCOW2-(20|22|39|79|8[369])$/' have >strange
[ ! -s strange ] || fail "$(head -n 20 strange | tr '\n' ';')"

t_begin "what is not lost is read, what is lost is refused"
awk '$1 >= 2560 && NR % 19 == 0' list >some
while read -r n; do
	cp whole image
	truncate -s "$n" image
	echo "$n" | expected >rows
	cp guest.raw left.raw
	awk '$2 == "QCOW2-52" { print $4, $5 }' rows | while read -r off len; do
		dd if=/dev/zero of=left.raw bs=1 seek="$off" count="$len" \
		    conv=notrunc 2>/dev/null
	done
	awk '$2 != "QCOW2-52" { print $4, $5 }' rows |
	    parts qcow2 left.raw 65536 'QCOW2-(39|51|63)|at guest byte'
done <some

t_begin "with snapshots and bitmaps too: no crash, nothing but what was there"
./mkimage "$TOP/testdata/qcow2/good-all-kinds.recipe" whole || exit 1
./mkimage -g whole guest.raw || exit 1
length=$(stat -c %s whole)
awk -v len="$length" 'BEGIN {
	for (n = len - 1; n >= 0; n -= n % 512 == 511 || n % 512 == 0 ? 1 : 23)
		print n
}' >list
judge_cuts whole -f qcow2
cat log.* | awk '/^cut / && $3 != 0 && $3 != 2' >strange
[ ! -s strange ] || fail "$(head -n 20 strange | tr '\n' ';')"
awk 'NR % 9 == 0' list >some
while read -r n; do
	cp whole image
	truncate -s "$n" image
	rm -f out.raw
	timeout 20 "$IMGTOOL" convert -f qcow2 -O raw image out.raw \
	    2>err || {
		grep -q 'QCOW2-' err || fail "cut at $n: $(cat err)"
		continue
	}
	[ "$(cmp -l guest.raw out.raw 2>&1 | awk '$3 != 0' | wc -l)" -eq 0 ] ||
	    fail "cut at $n: bytes that were not there"
done <some
