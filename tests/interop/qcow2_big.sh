#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The check of 2^32 clusters of 512 bytes, a sparse file of 2 TiB: within the
# memory that it may take, and with the same result however little that is.
# qemu-img does not check more than 2^31 - 1 clusters; it judges a smaller
# image of the same maker.

. "$TOP/tests/lib.sh"

skip_unless qemu-img cmp sort

BIG=$TOP/tests/interop/qcow2_big.t

# make FILE BITS DEFECT ...
make()
{
	rm -f "$1"
	status=0
	"$BIG" make "$@" >"$OUT" 2>"$ERR" || status=$?
	[ $status -ne 77 ] || skip "$(cat "$OUT")"
	[ $status -eq 0 ] || fail "cannot make the image: $(cat "$ERR")"
}

# many ROW: how many findings of it the last check had.
many()
{
	grep -c " QCOW2-$1 " "$OUT"
}

t_begin "the maker's images are sound to qemu-img, and so are their defects"
make small.qcow2 24
run_ok qemu-img check -f qcow2 small.qcow2
run_ok imgtool check -f qcow2 small.qcow2
make small.qcow2 24 leaks uncounted
run_rc 2 qemu-img check -f qcow2 small.qcow2
leaked=$(grep -c '^Leaked cluster' "$ERR")
uncounted=$(grep -c '^ERROR OFLAG_COPIED' "$ERR")
[ "$leaked" -eq 183 ] || fail "$leaked leaks"
run_rc 2 imgtool check -f qcow2 small.qcow2
# Three clusters in a row are one finding.
[ "$(many 76)" -eq 61 ] || fail "$(many 76) leaks, qemu-img has $leaked"
[ "$(many 60)" -eq "$uncounted" ] ||
    fail "$(many 60) uncounted, qemu-img has $uncounted"
rm -f small.qcow2

# check STATUS FILE MIB: what it finds into found.MIB, and how much memory
# that took.  The program needs a little for itself.
check()
{
	run_rc "$1" "$BIG" run peak "$TOP/imgtool" check -f qcow2 \
	    --max-memory="$3M" "$2"
	cp "$OUT" "found.$3"
	kib=$(cat peak)
	echo "$2 with $3 MiB: $kib KiB"
	[ "$kib" -le $(($3 * 1024 + 4096)) ] ||
	    fail "$kib KiB where $3 MiB are allowed"
}

t_begin "a sound image of 2^32 clusters is"
make large.qcow2 32
[ "$(wc -c <large.qcow2)" -eq 2199023255552 ] || fail "not 2 TiB"
check 0 large.qcow2 64
expect_out '^No errors were found'
expect_out '^65536/65536 = 100\.00% allocated'
expect_out '^Image end offset: 2199023255552$'
run_ok "$BIG" run peak "$TOP/imgtool" check -f qcow2 large.qcow2
cmp "$OUT" found.64 || fail "64 MiB is not what it takes if not told"
[ "$(cat peak)" -le 69632 ] || fail "$(cat peak) KiB, not 64 MiB"
check 0 large.qcow2 8
cmp found.8 found.64 || fail "another result"

t_begin "it reads as qemu-img reads it, and is written to"
run_ok "$TOP/imgtool" convert -f qcow2 -O raw large.qcow2 got.raw
run_ok qemu-img convert -f qcow2 -O raw large.qcow2 want.raw
same_bytes got.raw want.raw
printf 'a few bytes' >data
run_ok imgtool dd-write -f qcow2 of=large.qcow2 if=data bs=1 seek=20000000 \
    status=none
check 0 large.qcow2 64

t_begin "lost space is found, with little memory and with more"
make large.qcow2 32 leaks
for mib in 8 256; do
	check 3 large.qcow2 $mib
	[ "$(many 76)" -eq 61 ] || fail "$(many 76) leaks with $mib MiB"
	cmp found.8 found.$mib || fail "another result with $mib MiB"
done

t_begin "so is what is not counted"
make large.qcow2 32 leaks uncounted
for mib in 8 16; do
	check 2 large.qcow2 $mib
	[ "$(many 60)" -eq "$uncounted" ] || fail "$(many 60), not $uncounted"
	cmp found.8 found.$mib || fail "another result with $mib MiB"
done

# Clusters that are used twice come in the order in which they are found.
t_begin "so is what two guest clusters share, and then nothing is a leak"
make large.qcow2 32 leaks uncounted twice
for mib in 8 64 256; do
	check 2 large.qcow2 $mib
	[ "$(many 56)" -eq 11 ] || fail "$(many 56), not 11 with $mib MiB"
	[ "$(many 76)" -eq 0 ] || fail "$(many 76) leaks with $mib MiB"
	sort found.$mib >sorted.$mib
	cmp sorted.8 sorted.$mib || fail "another result with $mib MiB"
done
