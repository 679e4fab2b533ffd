#!/bin/sh
# SPDX-License-Identifier: ISC
#
# qed_cut.sh - a QED image cut anywhere: check says so with the right rows and
# names the guest ranges that are lost, to the byte; all others can be read,
# and what has lost header or L1 table is refused.

. "$TOP/tests/lib.sh"
. "$TOP/tests/cutlib.sh"

need_mkimage
# The places of its clusters are in the recipe, and again in expected().
./mkimage "$TOP/testdata/qed/good-plain.recipe" whole || exit 1
./mkimage -g whole guest.raw || exit 1

length=49152

# The header's fields, where a cluster begins or ends, where tables have
# entries, and every 241st.
cuts()
{
	awk -v len=$length 'BEGIN {
		for (n = 0; n < len; n += n < 68 ? 1 : 241)
			print n
		for (n = 4096; n <= len; n += 4096)
			for (k = n - 10; k < n + 10 && k < len; k++)
				print k
		for (k = 0; k < 64; k++) {
			print 12288 + k
			print 32768 + k
		}
	}' | sort -rnu
}

# expected: for each length on standard input, the rows, one a line.
#
# A table has 1024 entries, each for 4 KiB.  An entry counts if all of it is
# there.
expected()
{
	awk 'BEGIN {
		split("0 1 5 1024 1030", cl, " ")
		split("20480 24576 28672 40960 45056", start, " ")
		split("12288 32768", table, " ")
	}
	function row(r, off, voff, vlen) {
		print n, "QED-" r, off, voff == "" ? "- -" : voff " " vlen
	}
	function tables(i,   have) {
		if (n >= table[i] + 8192)
			return
		have = n <= table[i] ? 0 : int((n - table[i]) / 8)
		row(n <= table[i] ? 33 : n % 4096 == 0 ? 62 : 34,
		    4096 + 8 * (i - 1), ((i - 1) * 1024 + have) * 4096,
		    (1024 - have) * 4096)
	}
	function data(c, s,   at, have) {
		at = table[int(c / 1024) + 1] + 8 * (c % 1024)
		have = n > s ? n - s : 0
		if (n >= at + 8 && have < 4096)
			row(have == 0 ? 48 : 49, at, c * 4096 + have,
			    4096 - have)
	}
	{ n = $1 }
	n < 64 { row(1, 0); next }
	n < 4096 { row(10, 12); next }
	n < 12288 { row(26, 40); next }
	{
		for (i = 1; i <= 2; i++)
			tables(i)
		for (i = 1; i <= 5; i++)
			data(cl[i], start[i])
	}'
}

cuts >list

t_begin "a QED image cut anywhere is judged: status 2, in time, no crash"
judge_cuts whole -f qed
cat log.* | awk '/^cut / && $3 != 2' | sort -n -k 2 >strange
[ ! -s strange ] || fail "$(head -n 20 strange | tr '\n' ';')"

t_begin "a QED image cut anywhere raises the rows that say what is lost"
expected <list | sort >want
got | sort >have
same_cuts

t_begin "what is not lost is read, to the byte; what is lost is refused"
awk '$1 >= 12288 && NR % 21 == 0' list >some
while read -r n; do
	cp whole image
	truncate -s "$n" image
	echo "$n" | expected | awk '{ print $4, $5 }' |
	    parts qed guest.raw 8388608 'QED-(33|34|48|49|62)[ :]'
done <some

t_begin "without header and L1 table nothing is read"
for n in 0 1 63 64 4095 4096 4104 8192 12280 12287; do
	cp whole image
	truncate -s $n image
	run_rc 1 timeout 20 "$IMGTOOL" dd-read -f qed if=image status=none
	[ ! -s "$OUT" ] || fail "cut at $n: bytes from nowhere"
	expect_err "$(echo "$n" | expected | cut -d ' ' -f 2)[ :]"
done
