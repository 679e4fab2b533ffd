#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What check, open and convert cost, in bytes read and memory allocated, not
# in seconds: see cost.c, which counts.

. "$TOP/tests/lib.sh"

COST=$TOP/tests/interop/cost.t

# What cost tells.
reads=0 bytes=0 writes=0 peak=0 left=0 bad=0 units=0 allocated=0 size=0
metadata=0 entries=0

# cost WORD ...: run it, and know its numbers as variables.
cost()
{
	run_ok "$COST" "$@" || return
	eval "$(grep -E '^[a-z]+=[0-9]+$' "$OUT")"
}

# make GIB BLOCK ORDER: a full image in full.vhd, $metadata and $entries.
make()
{
	rm -f full.vhd
	status=0
	"$COST" make full.vhd "$1" "$2" "$3" >"$OUT" 2>"$ERR" || status=$?
	[ $status -ne 77 ] || skip "$(cat "$OUT")"
	[ $status -eq 0 ] || {
		fail "cannot make the image: $(cat "$ERR")"
		return
	}
	eval "$(cat "$OUT")"
}

# cheap: what the last check read, wrote and allocated.
cheap()
{
	[ "$bytes" -le $((metadata + 65536)) ] ||
	    fail "$bytes bytes were read, the metadata has $metadata"
	[ "$peak" -lt 67108864 ] || fail "$peak bytes were allocated"
	[ "$left" -eq 0 ] || fail "$left bytes were not freed"
	[ "$writes" -eq 0 ] || fail "$writes writes"
}

MIB2=2097152

t_begin "check of 2040 GiB, all allocated, reads the tables once"
make 2040 $MIB2 up
[ "$entries" -eq 1044480 ] || fail "$entries entries"
cost check full.vhd
cheap
[ "$units" -eq 1044480 ] || fail "$units units"
[ "$allocated" -eq 1044480 ] || fail "$allocated of them are allocated"
[ "$bad" -eq 0 ] || fail "$bad findings"
large=$bytes
echo "2040 GiB: $bytes bytes in $reads reads, $peak bytes of memory"

t_begin "the program needs less than 64 MiB for it, all in all"
if [ -x /usr/bin/time ]; then
	run_ok /usr/bin/time -f 'peak %M KiB' "$TOP/imgtool" check full.vhd
	kib=$(sed -n 's/^peak \([0-9]*\) KiB$/\1/p' "$ERR")
else
	# Addresses are limited instead of pages: a little more is needed.
	run_ok sh -c 'ulimit -v 73728 && exec "$0" check full.vhd' \
	    "$TOP/imgtool"
	kib=0
fi
[ "$kib" -lt 65536 ] || fail "$kib KiB"

t_begin "half the disk is half the work"
make 1020 $MIB2 up
cost check full.vhd
cheap
[ "$large" -le $((2 * bytes + 65536)) ] &&
    [ "$large" -ge $((2 * bytes - 65536)) ] ||
    fail "$bytes bytes were read for half, $large for all"

for order in down mixed same; do
	t_begin "blocks in the order '$order' are as much work"
	make 2040 $MIB2 $order
	cost check full.vhd
	cheap
	[ "$bytes" -eq "$large" ] || fail "$bytes bytes, not $large"
	[ "$allocated" -eq 1044480 ] || fail "$allocated are allocated"
	want=0
	[ $order != same ] || want=1044479
	[ "$bad" -ge $want ] && [ "$bad" -le $((want * 2)) ] ||
	    fail "$bad findings"
done

t_begin "blocks of 512 KiB need four times the tables, and no more"
make 2040 524288 mixed
[ "$entries" -eq 4177920 ] || fail "$entries entries"
cost check full.vhd
cheap
[ "$bad" -eq 0 ] || fail "$bad findings"
echo "512 KiB: $bytes bytes in $reads reads, $peak bytes of memory"

t_begin "a quarter of these entries is a quarter of the work"
four=$bytes
make 510 524288 mixed
cost check full.vhd
cheap
[ "$four" -le $((4 * bytes + 65536)) ] || fail "$bytes for a quarter of $four"

t_begin "opening costs the same few reads whatever the size"
first=
for gib in 1 2040; do
	for block in $MIB2 524288; do
		make $gib $block mixed
		cost open full.vhd
		[ "$size" -eq $((gib * 1073741824)) ] || fail "size $size"
		: "${first:=$reads}"
		[ "$reads" -eq "$first" ] ||
		    fail "$reads reads for $gib GiB, $first for 1 GiB"
	done
done
[ "$reads" -le 16 ] && [ "$bytes" -le 65536 ] ||
    fail "$reads reads of $bytes bytes"
echo "open: $reads reads, $bytes bytes"

t_begin "that holds for fixed images and raw ones"
for gib in 1 8192; do
	rm -f raw.raw
	truncate -s "$gib"G raw.raw || skip "no file of $gib GiB here"
	cost open raw.raw
	[ "$reads" -le 4 ] || fail "raw: $reads reads for $gib GiB"
done
for gib in 1 2040; do
	rm -f fixed.vhd
	run_ok imgtool create -f vhd -o subformat=fixed fixed.vhd ${gib}G
	cost open fixed.vhd
	[ "$reads" -le 4 ] || fail "fixed: $reads reads for $gib GiB"
	cost check fixed.vhd
	[ "$bytes" -le 65536 ] || fail "check: $bytes bytes for $gib GiB"
done

# Five pieces of 64 KiB in 200 GiB.
t_begin "convert reads the data of a raw file with holes, and nothing else"
rm -f raw.raw fixed.vhd
truncate -s 200G raw.raw
for mib in 0 3 1000 102400 204799; do
	yes "data at $mib" | head -c 65536 |
	    dd of=raw.raw bs=1M seek=$mib conv=notrunc iflag=fullblock \
	        status=none
done
truncate -s 200G raw.raw
cost copy raw raw.raw
[ "$bytes" -le $((5 * 65536 + 65536)) ] ||
    fail "$bytes bytes were read for 5 pieces of 64 KiB"
[ "$bytes" -ge $((5 * 65536)) ] || fail "$bytes bytes are too few"
[ "$writes" -eq 0 ] || fail "the source was written"

t_begin "the same from a dynamic image costs the tables on top"
run_ok "$TOP/imgtool" convert -f raw -O vhd raw.raw sparse.vhd
cost copy vhd sparse.vhd
metadata=$((1536 + 4 * 102400 + 1024))
[ "$bytes" -le $((metadata + 5 * (65536 + 4096) + 65536)) ] ||
    fail "$bytes bytes were read, the metadata has $metadata"
