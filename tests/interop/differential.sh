#!/bin/sh
# SPDX-License-Identifier: ISC
#
# qemu and imgtool write to the same images in turn, at random places, while
# dd writes the same to a raw file.  Both must then read what dd wrote.  The
# patterns are the same in every run: SEED=n for others.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq cmp od awk

: "${SEED:=1}"

# How qemu has to be asked for the disk that a footer describes.
spec()
{
	echo "driver=vpc,force_size_calc=current_size,file.filename=$1"
}

# bytes N LENGTH: what the n-th write of a run writes; never zeros.
bytes()
{
	yes "write $1 of seed $SEED, a line of text" | head -c "$2"
}

# shadow FILE DATA OFFSET
shadow()
{
	dd if="$2" of="$1" bs=64k oflag=seek_bytes seek="$3" conv=notrunc \
	    status=none
}

# writes SEED COUNT SIZE BLOCK: lines "who offset length", of all sorts:
# inside a sector, whole sectors, over the edge of a block, whole blocks, the
# very start and the very end.
writes()
{
	awk -v seed="$1" -v count="$2" -v size="$3" -v block="$4" '
	function upto(n) { return (int(rand() * n)) }
	BEGIN {
		srand(seed)
		nblocks = int((size + block - 1) / block)
		for (i = 0; i < count; i++) {
			kind = upto(7)
			off = upto(size)
			len = 1 + upto(700)
			if (kind == 1) {
				off = upto(size / 512) * 512
				len = (1 + upto(64)) * 512
			} else if (kind == 2) {
				off = upto(nblocks) * block - upto(1500)
				len = 1 + upto(4000)
			} else if (kind == 3) {
				off = upto(nblocks) * block
				len = block < 65536 ? block * 3 : block
			} else if (kind == 4) {
				len = 1 + upto(200000)
			} else if (kind == 5) {
				off = 0
			} else if (kind == 6) {
				off = size - len
			}
			if (off < 0)
				off = 0
			if (len > size - off)
				len = size - off
			print (rand() < 0.5 ? "qemu" : "imgtool"), off, len
		}
	}'
}

# One write by qemu, or by imgtool in blocks of a size that divides it.
by_qemu()
{
	qemu-io --image-opts "$(spec "$1")" -c "write -s data $2 $3" \
	    >qemu-io.log 2>&1 ||
	    fail "qemu-io: write $2 $3: $(tail -n 1 qemu-io.log)"
}

by_imgtool()
{
	bs=1
	for n in 3 512 4096; do
		[ $(($2 % n)) -ne 0 ] || bs=$n
	done
	run_ok imgtool dd-write -f vhd of="$1" if=data bs=$bs \
	    seek=$(($2 / bs)) status=none
}

# same_map FILE: what has a place in the file has the same for both.
same_map()
{
	join='[.[] | select(has("offset")) | {s: .start, l: .length,
	    o: .offset}] | reduce .[] as $e ([];
	    if length > 0 and .[-1].s + .[-1].l == $e.s and
	        .[-1].o + .[-1].l == $e.o
	    then .[-1].l += $e.l else . + [$e] end)'
	hole='[.[] | select(has("offset") | not) | [.start, .length, .zero]]'
	qemu-img map --output=json --image-opts "$(spec "$1")" >qemu.map
	run_ok imgtool map -f vhd --output=json "$1"
	for f in "$join" "$hole"; do
		jq -c "$f" qemu.map >want
		jq -c "$f" "$OUT" >got
		cmp got want || fail "the maps of $1 differ: $f"
	done
	# Without gaps, and as long as the disk.
	jq -e 'reduce .[] as $e (0; if $e.start == . then . + $e.length
	    else -1 end) == '"$(wc -c <disk.raw)" "$OUT" >/dev/null ||
	    fail "the map of $1 has gaps"
}

# same FILE: check is content, and all readers see what the raw file has.
same()
{
	run_ok imgtool check -f vhd --deep --output=json "$1"
	jq -e '[.findings[] | select(.severity != "note")] == []' "$OUT" \
	    >/dev/null || {
		fail "check has findings in $1"
		t_show
	}
	rm -f got.raw
	qemu-img convert -O raw --image-opts "$(spec "$1")" got.raw
	cmp got.raw disk.raw || fail "qemu-img reads something else"
	run_ok imgtool convert -f vhd -O raw "$1" got.raw
	cmp got.raw disk.raw || fail "convert reads something else"
	imgtool dd-read -f vhd if="$1" bs=100000 status=none |
	    cmp - disk.raw || fail "dd-read reads something else"
	imgtool dd-read -f vhd if="$1" bs=1 skip=1023 count=70000 \
	    status=none | cmp - part.raw || fail "dd-read of a part is wrong"
	same_map "$1"
}

# duel FILE COUNT BLOCK: so many writes, with a look after every twelfth.
duel()
{
	size=$(wc -c <disk.raw)
	writes "$((SEED * 100 + run))" "$2" "$size" "$3" >plan
	nth=0
	while read -r who off len; do
		nth=$((nth + 1))
		bytes "$nth" "$len" >data
		shadow disk.raw data "$off"
		"by_$who" "$1" "$off" "$len"
		if [ $((nth % 12)) -eq 0 ] || [ $nth -eq "$2" ]; then
			tail -c +1024 disk.raw | head -c 70000 >part.raw
			same "$1"
		fi
		[ ! -s "$T_STATE/failures" ] || {
			echo "after write $nth, $who $off $len, of SEED=$SEED"
			return
		}
	done <plan
}

run=0
for spec in qemu:dynamic:10504704:2097152 qemu:fixed:10504704:2097152 \
    imgtool:dynamic:10504704:2097152 imgtool:dynamic:3000320:524288 \
    imgtool:dynamic:400896:4096 imgtool:dynamic:36700672:16777216 \
    imgtool:fixed:3000320:2097152; do
	IFS=: read -r maker kind bytes block <<-END
	$spec
	END
	run=$((run + 1))
	t_begin "writes into a $kind image by $maker, $bytes bytes in blocks \
of $block, are seen by both"
	rm -f a.vhd disk.raw
	truncate -s "$bytes" disk.raw
	case $maker:$kind in
	qemu:*)	qemu-img create -q -f vpc -o subformat=$kind,force_size=on \
		    a.vhd "$bytes" ;;
	*:fixed)
		run_ok imgtool create -f vhd -o subformat=fixed a.vhd \
		    "$bytes" ;;
	*)	run_ok imgtool create -f vhd -o block_size="$block" a.vhd \
		    "$bytes" ;;
	esac
	duel a.vhd 48 "$block"
done

t_begin "an image of qemu rounded to its geometry takes writes of both"
rm -f a.vhd disk.raw
qemu-img create -q -f vpc a.vhd 5000000
truncate -s 5013504 disk.raw # 144/4/17
run=20
duel a.vhd 36 2097152

t_begin "a disk of qemu's, zeros written by it included, is copied by convert"
qemu-io -f vpc -c 'write -z 2097152 1M' -c 'write -P 0 0 64k' a.vhd \
    >/dev/null || fail "qemu-io"
dd if=/dev/zero of=disk.raw bs=1M seek=2 count=1 conv=notrunc status=none
dd if=/dev/zero of=disk.raw bs=64k count=1 conv=notrunc status=none
tail -c +1024 disk.raw | head -c 70000 >part.raw
same a.vhd
for o in dynamic fixed; do
	run_ok imgtool convert -O vhd -o subformat=$o a.vhd b.vhd
	same b.vhd
done

# From here on the bitmap: what is a clear bit in it, and what under it.
# Block 0 is at 2048: 512 bytes of bitmap, then data.
new_block()
{
	rm -f a.vhd disk.raw
	truncate -s 4194304 disk.raw
	bytes 1 65536 >data
	shadow disk.raw data 0
	run_ok imgtool create -f vhd a.vhd 4M
	run_ok imgtool dd-write of=a.vhd if=data status=none
	[ "$(od -An -tx1 -j2048 -N4 a.vhd)" = " ff ff ff ff" ] ||
	    fail "block 0 is not at 2048"
}

# Sectors 8 to 10, and 12, read as zeros: byte 1 is 0001 0111.
clear_bits()
{
	printf '\027' | dd of=a.vhd bs=1 seek=2049 conv=notrunc status=none
	dd if=/dev/zero of=disk.raw bs=512 seek=8 count=3 conv=notrunc \
	    status=none
	dd if=/dev/zero of=disk.raw bs=512 seek=12 count=1 conv=notrunc \
	    status=none
}

t_begin "sectors whose bits are clear are zeros, whatever is under them"
new_block
clear_bits
run_ok imgtool convert -O raw a.vhd got.raw
same_bytes got.raw disk.raw
imgtool dd-read if=a.vhd bs=512 skip=7 count=7 status=none >got
tail -c +3585 disk.raw | head -c 3584 >want
same_bytes got want

t_begin "map has them as zero, with the place that they take"
run_ok imgtool map --output=json -s 3584 -l 4096 a.vhd
jq -c '[.[] | [.start, .length, .zero, .data, .offset]]' "$OUT" >got
echo '[[3584,512,false,true,6144],[4096,1536,true,false,6656],'\
'[5632,512,false,true,8192],[6144,512,true,false,8704],'\
'[6656,1024,false,true,9216]]' >want
same_bytes got want

t_begin "check says that readers disagree about them, but only if it is deep"
run_ok imgtool check --output=json a.vhd
jq -e '[.findings[] | select(.severity != "note")] == []' "$OUT" \
    >/dev/null || fail "the plain check read bitmaps"
run_ok imgtool check --deep a.vhd
expect_out '^warning VHD-63 '

t_begin "a part of a sector whose bit is clear has zeros around it"
printf 'part' >data
run_ok imgtool dd-write of=a.vhd if=data bs=1 seek=4700 status=none
shadow disk.raw data 4700
[ "$(od -An -tx1 -j2049 -N1 a.vhd)" = " 57" ] || fail "bit 9 alone is not set"
run_ok imgtool convert -O raw a.vhd got.raw
same_bytes got.raw disk.raw

t_begin "once all is written, bits are set and check is content"
bytes 2 4096 >data
run_ok imgtool dd-write of=a.vhd if=data bs=512 seek=8 status=none
shadow disk.raw data 4096
[ "$(od -An -tx1 -j2049 -N1 a.vhd)" = " ff" ] || fail "bits are not set"
tail -c +1024 disk.raw | head -c 70000 >part.raw
same a.vhd

t_begin "a write that begins among set bits and ends among clear ones is whole"
new_block
clear_bits
bytes 3 5000 >data
run_ok imgtool dd-write of=a.vhd if=data bs=1 seek=3900 status=none
shadow disk.raw data 3900
[ "$(od -An -tx1 -j2049 -N1 a.vhd)" = " ff" ] || fail "bits are not set"
tail -c +1024 disk.raw | head -c 70000 >part.raw
same a.vhd

t_begin "bits beyond the end of the disk mean nothing"
rm -f a.vhd disk.raw
truncate -s 2100224 disk.raw # a block and six sectors
run_ok imgtool create -f vhd a.vhd 2100224
bytes 4 3000 >data
run_ok imgtool dd-write of=a.vhd if=data bs=1 seek=2097224 status=none
shadow disk.raw data 2097224
[ "$(od -An -tx1 -j2048 -N2 a.vhd)" = " fc 00" ] || fail "not six bits"
printf '\377\377\377' | dd of=a.vhd bs=1 seek=2048 conv=notrunc status=none
tail -c +1024 disk.raw | head -c 70000 >part.raw
same a.vhd
