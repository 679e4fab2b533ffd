#!/bin/sh
# SPDX-License-Identifier: ISC
#
# cut.sh - an image cut anywhere: check says so with the right rows and names
# the guest ranges that are lost, all others can be read, and what has lost
# metadata that opening needs is refused.

. "$TOP/tests/lib.sh"
. "$TOP/tests/cutlib.sh"

need_mkimage
# The places of its blocks are in the recipe, and again in expected().
./mkimage "$TOP/testdata/vhd/good-small-blocks.recipe" whole || exit 1
./mkimage -g whole guest.raw || exit 1

length=279040

# Every length in the first 4 KiB and the last 2 KiB, and some between.
cuts()
{
	awk -v len=$length 'BEGIN {
		for (n = 0; n < 4096; n++)
			print n
		for (n = len - 2048; n < len; n++)
			print n
		x = 1
		for (i = 0; i < 300; i++) {
			x = (x * 16807) % 2147483647
			print 4096 + x % (len - 2048 - 4096)
		}
	}' | sort -rnu
}

# expected: for each length on standard input, the rows, one a line.
#
# No table is left before 2048, no footer from 512 on.  A block at s has its
# data from s + 512 on; of 65536 bytes whole sectors count.
expected()
{
	awk 'BEGIN {
		split("5 0 7 2", index_, " ")
		split("3584 73216 142848 212480", start, " ")
		size = 65536
	}
	function row(r, off, voff, vlen) {
		print n, r, off, voff == "" ? "- -" : voff " " vlen
	}
	function footer(   whole) {
		whole = n - n % 512
		if (n % 512 == 0 || n % 512 == 511)
			row("VHD-5", whole - 512)
		else
			row("VHD-2", whole)
	}
	function block(i, s,   have) {
		have = n - n % 512 - (s + 512)
		if (have < 0)
			have = 0
		if (s >= n)
			row("VHD-51", 1536 + 4 * i, i * size, size)
		else if (have < size)
			row("VHD-52", 1536 + 4 * i, i * size + have,
			    size - have)
		else
			return (0)
		return (1)
	}
	{ n = $1 }
	n < 512 { row("VHD-1", 0); next }
	n == 512 { row("VHD-22", 16); next }	# the copy is the end footer
	n == 279039 { row("VHD-3", 278528) }
	n != 279039 { footer() }
	n < 1536 { row("VHD-22", 16); next }
	{ row("VHD-48", 544) }
	n < 2048 { row("VHD-40", 528); next }
	{
		bad = 0
		for (k = 1; k <= 4; k++)
			bad += block(index_[k], start[k])
		if (bad > 0)
			row("VHD-6", n)
	}'
}

cuts >list

t_begin "an image cut anywhere is judged: status 2, in time, no crash"
judge_cuts whole -f vhd
cat log.* | grep '^cut ' | grep -v ' 2$' | grep -v '^cut 279039 0$' |
    sort -n -k 2 >strange
[ ! -s strange ] || fail "$(head -n 20 strange | tr '\n' ';')"

t_begin "an image cut anywhere raises the rows that say what is lost"
expected <list | sort >want
got | sort >have
same_cuts

t_begin "what is not lost is read, what is lost is refused"
awk '$1 >= 2048 && NR % 97 == 0' list >some
while read -r n; do
	cp whole image
	truncate -s "$n" image
	echo "$n" | expected | awk '$4 != "-" { print $4, $5 }' |
	    parts vhd guest.raw 524288 'VHD-5[12]'
done <some

t_begin "without the metadata that opening needs nothing is read"
for n in 0 1 510 512 513 1024 1535 1536 1537 2047; do
	cp whole image
	truncate -s $n image
	run_rc 1 timeout 20 "$IMGTOOL" dd-read -f vhd if=image status=none
	[ ! -s "$OUT" ] || fail "cut at $n: bytes from nowhere"
	expect_err 'VHD-(1|22|40)[ :]'
done
