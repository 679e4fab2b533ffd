#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool map: held against qemu-img map, and against the bytes that stand
# where it says.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq
need_mkimage

# covers SIZE: the runs follow each other from 0 to the end, none empty, and
# no two that could be one.
covers()
{
	jq -e --argjson size "$1" '
	    def mergeable(a; b): a.zero == b.zero and a.data == b.data and
		a.present == b.present and a.depth == b.depth and
		a.bad == b.bad and
		(if a.offset == null then b.offset == null
		 else b.offset == a.offset + a.length end);
	    . as $m | (.[0].start == 0) and all(.length > 0) and
	    (map(.length) | add) == $size and
	    all(range(1; length); . as $i |
		$m[$i].start == $m[$i-1].start + $m[$i-1].length and
		(mergeable($m[$i-1]; $m[$i]) | not))' "$OUT" >/dev/null ||
	    fail "not a map of $1 bytes: $(jq -c . "$OUT" | cut -c 1-400)"
}

# What qemu-img says of the same file, in the names that both have.
same_as_qemu()
{
	qemu-img map -f "$2" --output=json "$1" | jq -c '.[] |
	    [.start, .length, .depth, .present, .zero, .data, .offset]' \
	    >want.txt
	jq -c '.[] | [.start, .length, .depth, .present, .zero, .data,
	    .offset]' "$OUT" >got.txt
	[ -s want.txt ] || fail "qemu-img says nothing"
	diff -u want.txt got.txt || fail "qemu-img map differs"
}

truncate -s 3M sparse.raw
dd if=/dev/urandom of=noise bs=64k count=1 2>/dev/null
for at in 0 16 40; do
	dd if=noise of=sparse.raw bs=64k seek=$at conv=notrunc 2>/dev/null
done

t_begin "the map of a raw file with holes is qemu-img's"
run_ok imgtool map --output=json sparse.raw
same_as_qemu sparse.raw raw
covers 3145728
field 'map(select(.data)) | length' 3
field 'all(.compressed == false)' true

t_begin "the map of a dynamic VHD is qemu-img's"
run_ok qemu-img create -q -f vpc dyn.vhd 40M
size=$(qemu-img info --output=json dyn.vhd | jq '."virtual-size"')
for at in 4 8 30; do
	run_ok qemu-io -f vpc -c "write -s noise ${at}M 64k" dyn.vhd
done
run_ok imgtool map --output=json dyn.vhd
covers "$size"
# qemu-img takes a whole block for data, where its file has a hole we say
# zeros: what it has no data for, and what is at an offset, must agree.
qemu-img map -f vpc --output=json dyn.vhd >qemu.json
jq -e -n --slurpfile q qemu.json --slurpfile m "$OUT" '
    [$q[0][] | select(.data | not) | [.start, .length]] ==
    [$m[0][] | select(has("offset") | not) | [.start, .length]]' >/dev/null ||
    fail "the holes are not qemu-img's"
jq -e -n --slurpfile q qemu.json --slurpfile m "$OUT" '
    [$m[0][] | select(has("offset"))] | length > 0 and all(
	. as $e | any($q[0][] | select(has("offset"));
	.start <= $e.start and $e.start + $e.length <= .start + .length and
	$e.offset - .offset == $e.start - .start))' >/dev/null ||
    fail "the offsets are not qemu-img's"

t_begin "a block that a dynamic VHD has not is told as qemu-img tells it"
qemu-img map -f vpc --output=json dyn.vhd |
    jq -c '.[0] | [.start, .depth, .present, .zero, .data]' >want.txt
jq -c '.[0] | [.start, .depth, .present, .zero, .data]' "$OUT" >got.txt
diff want.txt got.txt || fail "differs"

t_begin "the bytes are where the map says"
jq -r '.[] | select(.data) | "\(.start) \(.length) \(.offset)"' "$OUT" >runs
[ "$(wc -l <runs)" -ge 3 ] || fail "three pieces were written"
qemu-img convert -f vpc -O raw dyn.vhd guest.raw
while read -r start length offset; do
	cmp -n "$length" dyn.vhd guest.raw "$offset" "$start" ||
	    fail "$start is not at $offset"
done <runs

t_begin "what is not data reads as zeros"
jq -r '.[] | select(.zero) | "\(.start) \(.length)"' "$OUT" >runs
[ -s runs ] || fail "no zeros"
while read -r start length; do
	cmp -n "$length" guest.raw /dev/zero "$start" 0 ||
	    fail "$start has data"
done <runs

t_begin "the map of a fixed VHD is that of its bytes, without the footer"
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size sparse.raw \
    fix.vhd
run_ok imgtool map --output=json fix.vhd
covers 3145728
field 'all(.offset == .start)' true

t_begin "-s and -l cut the map, by all their names"
run_ok imgtool map --output=json -s 1M -l 128k sparse.raw
cp "$OUT" cut.json
field 'map([.start, .length])' '[[1048576,65536],[1114112,65536]]'
qemu-img map -f raw --output=json --start-offset=1M --max-length=128k \
    sparse.raw | jq -c 'map([.start, .length, .data])' >want.txt
jq -c 'map([.start, .length, .data])' cut.json >got.txt
same_bytes want.txt got.txt
run_ok imgtool map --output=json --start=1M --length=128k sparse.raw
same_bytes cut.json "$OUT"
run_ok imgtool map --output=json --start-offset=0x100000 --max-length=128KiB \
    sparse.raw
same_bytes cut.json "$OUT"

t_begin "a length beyond the end is cut, a start there is an error"
run_ok imgtool map --output=json -s 3145727 -l 1G sparse.raw
field 'map([.start, .length])' '[[3145727,1]]'
run_rc 1 imgtool map --output=json -s 3145729 sparse.raw
one_line 'sparse\.raw: start'

t_begin "an empty disk has an empty map"
: >empty.raw
run_ok imgtool map --output=json -f raw empty.raw
field . '[]'

t_begin "a run is one run, however large"
run_ok imgtool create -q -f vhd big.vhd 100G
run_ok imgtool map --output=json big.vhd
covers 107374182400
field length 1

t_begin "the totals are the sums of the runs"
run_ok imgtool map --output=json dyn.vhd
jq -c '[(map(select(.data) | .length) | add),
    (map(select(.zero) | .length) | add), length]' "$OUT" >want.txt
run_ok imgtool map --output=json --totals dyn.vhd
jq -c '[.data, .zero + .hole, .extents]' "$OUT" >got.txt
same_bytes want.txt got.txt
field '[.schema, .format, .length, .bad, .compressed]' "[1,\"vpc\",$size,0,0]"
run_ok imgtool map --totals sparse.raw
expect_out '^data: 192 KiB \(196608 bytes\)$'
expect_out '^zero: 2\.81 MiB \(2949120 bytes\)$'
expect_out '^extents: 6$'

t_begin "the text has a line per run, with kind and file"
run_ok imgtool map sparse.raw
cat >want.txt <<'END'
0 0x10000 0 data sparse.raw
0x10000 0xf0000 0x10000 zero sparse.raw
0x100000 0x10000 0x100000 data sparse.raw
0x110000 0x170000 0x110000 zero sparse.raw
0x280000 0x10000 0x280000 data sparse.raw
0x290000 0x70000 0x290000 zero sparse.raw
END
sed 1d "$OUT" | tr -s ' ' >got.txt
diff -u want.txt got.txt || fail "not the runs"

t_begin "a range that cannot be read is told with its row"
run_ok ./mkimage "$TOP/testdata/vhd/bad-VHD-52-cut.recipe" bad.vhd
run_ok imgtool map --output=json bad.vhd
field 'map(select(has("bad")) | [.bad, .present, .zero, .data] | unique) |
    unique | length' 1
field 'map(select(has("bad")))[0].bad' '"VHD-52"'
field 'map(select(has("bad")) | .start)[0]' 6299648
run_ok imgtool map bad.vhd
expect_out ' bad +VHD-52 bad\.vhd$'

t_begin "blocks that are bad for the same reason are one run"
cp "$TOP/testdata/vhd/good-aligned.recipe" .
cat >bad.recipe <<END
from	good-aligned
be32	1536+4*1 = 0x00100000
be32	1536+4*2 = 0x00200000
END
run_ok ./mkimage bad.recipe bad.vhd
run_ok imgtool map --output=json bad.vhd
field '[.[] | select(.bad == "VHD-51") | [.start, .length]]' \
    '[[2097152,4194304]]'

t_begin "-f wins"
run_ok imgtool map -f raw --output=json dyn.vhd
same_as_qemu dyn.vhd raw

t_begin "wrong options are refused in one line"
run_rc 1 imgtool map
one_line 'map: '
run_rc 1 imgtool map -s 1x sparse.raw
one_line 'map: 1x: '
run_rc 1 imgtool map -l -1 sparse.raw
one_line 'map: -1: '
run_rc 1 imgtool map missing.raw
one_line 'missing\.raw: No such file'
