#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Images of other programs are sound to us, and ours are read by others:
# qemu-img without any option about sizes, libvhdi through vhdimount, 7-Zip.
# Sizes come from the requests and from the footers' bytes, contents from raw
# files that imgtool never wrote.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io 7z jq cmp od

# current_size of the footer at the end of FILE, in decimal.
footer_size()
{
	tail -c 512 "$1" | od -An -v -tu1 -j48 -N8 |
	    awk '{ for (i = 1; i <= 8; i++) n = n * 256 + $i }
	        END { printf "%.0f\n", n }'
}

# sound FILE: neither check nor the deep one has more than notes to say.
sound()
{
	for deep in '' --deep; do
		# shellcheck disable=SC2086 # an option, or none
		run_ok imgtool check -f vhd $deep --output=json "$1" || return
		jq -e '[.findings[] | select(.severity != "note")] == []' \
		    "$OUT" >/dev/null || {
			fail "check $deep of $1 has findings"
			t_show
		}
	done
}

# size_is FILE BYTES: info says so.
size_is()
{
	run_ok imgtool info -f vhd --output=json "$1" || return
	got=$(jq '."virtual-size"' "$OUT")
	[ "$got" = "$2" ] || fail "$1: virtual-size $got, expected $2"
}

# place SEED LENGTH OFFSET FILE: put such bytes there.
place()
{
	words "$1" "$2" >piece
	dd if=piece of="$4" bs=64k oflag=seek_bytes seek="$3" conv=notrunc \
	    status=none
}

# disk FILE BYTES: start, middle and end have data, with holes between.
disk()
{
	rm -f "$1"
	truncate -s "$2" "$1"
	if [ "$2" -le 65536 ]; then
		place a "$2" 0 "$1"
		return
	fi
	place a 5000 0 "$1"
	place b 30001 $(($2 / 2 - 15000)) "$1"
	place c 777 $(($2 - 777)) "$1"
}

umount_quietly()
{
	fusermount -u "$1" 2>/dev/null || umount "$1" 2>/dev/null
}

# Is vhdimount of any use here?  An image that is not ours tells.
mkdir mnt
at_exit 'umount_quietly mnt'
fuse=no
if [ -e /dev/fuse ] && command -v vhdimount >/dev/null 2>&1; then
	qemu-img create -q -f vpc probe.vhd 1M
	if vhdimount probe.vhd mnt >/dev/null 2>&1 && [ -f mnt/vhdi1 ]; then
		fuse=yes
	fi
	umount_quietly mnt
fi
[ $fuse = yes ] || echo "no /dev/fuse or vhdimount: 7-Zip alone reads along"

# read_by_libvhdi FILE RAW
read_by_libvhdi()
{
	[ $fuse = yes ] || return 0
	vhdimount "$1" mnt >vhdimount.log 2>&1 || {
		fail "vhdimount $1: $(tail -n 1 vhdimount.log)"
		return
	}
	cmp mnt/vhdi1 "$2" || fail "libvhdi reads $1 differently"
	umount_quietly mnt
}

# read_by_7z FILE RAW
read_by_7z()
{
	7z x -so -tvhd "$1" 2>7z.log | cmp - "$2" ||
	    fail "7-Zip reads $1 differently: $(tail -n 3 7z.log)"
}

# read_by_qemu FILE RAW: the size it sees, and the bytes.
read_by_qemu()
{
	got=$(qemu-img info -f vpc --output=json "$1" | jq '."virtual-size"')
	want=$(wc -c <"$2")
	[ "$got" = "$want" ] || fail "qemu-img: $1 has $got bytes, not $want"
	rm -f qemu.raw
	qemu-img convert -f vpc -O raw "$1" qemu.raw || fail "qemu-img: $1"
	cmp qemu.raw "$2" || fail "qemu-img reads $1 differently"
}

read_by_all()
{
	read_by_qemu "$@"
	read_by_libvhdi "$@"
	read_by_7z "$@"
}

t_begin "empty images by qemu-img have nothing worse than notes"
for size in 512 1024 34304 1M 1049088 10504704 34M 2G 127G; do
	for o in dynamic fixed dynamic,force_size=on fixed,force_size=on; do
		rm -f a.vhd
		qemu-img create -q -f vpc -o subformat=$o a.vhd $size ||
		    fail "qemu-img: $o $size"
		sound a.vhd
		size_is a.vhd "$(footer_size a.vhd)"
	done
done
size_is a.vhd 136365211648

t_begin "so has the largest, 2040 GiB, of qemu-img and of create"
rm -f a.vhd b.vhd
qemu-img create -q -f vpc a.vhd 2040G
run_ok imgtool create -f vhd b.vhd 2040G
for f in a.vhd b.vhd; do
	sound $f
	size_is $f 2190433320960
	[ "$(footer_size $f)" = 2190433320960 ] || fail "$f: footer's size"
done
got=$(qemu-img info -f vpc --output=json b.vhd | jq '."virtual-size"')
[ "$got" = 2190433320960 ] || fail "qemu-img: b.vhd has $got bytes"

# geometry BYTES CHS: of a new image of that size, as hexadecimal digits.
geometry()
{
	rm -f a.vhd
	run_ok imgtool create -f vhd a.vhd "$1" || return
	got=$(tail -c 512 a.vhd | od -An -v -tx1 -j56 -N4 | tr -d " ")
	[ "$got" = "$2" ] || fail "$1: geometry $got, expected $2"
}

# Of the algorithm in the document of the format: cylinders, heads, sectors.
t_begin "geometry is the one that the format computes from the size"
geometry 512 00000411
geometry 34304 00000411
geometry 34816 00010411
geometry 4194304 00780411
geometry 35651072 03ff0411
geometry 35651584 008c101f
geometry 104857600 03eb0c11
geometry 142606336 0231101f
geometry 260046848 01f7103f
geometry 1073741824 0820103f
geometry 33822350848 fffe103f
geometry 33822351360 3f3f10ff
geometry 136899993600 ffff10ff
geometry 2190433320960 ffff10ff

t_begin "images that qemu-img filled are sound, and read as it reads them"
for size in 34304 1049088 10504704 35651584; do
	disk a.raw $size
	for o in dynamic fixed dynamic,force_size=on fixed,force_size=on; do
		rm -f a.vhd
		qemu-img convert -f raw -O vpc -o subformat=$o a.raw a.vhd ||
		    fail "qemu-img: $o $size"
		sound a.vhd
		n=$(footer_size a.vhd)
		size_is a.vhd "$n"
		# Without force_size it rounds up, and zeros follow.
		cp a.raw want.raw
		truncate -s "$n" want.raw
		run_ok imgtool convert -f vhd -O raw a.vhd b.raw
		same_bytes b.raw want.raw
		case $o in
		*force*) [ "$n" = $size ] || fail "$o: $n, not $size" ;;
		esac
	done
done

t_begin "empty images of create are sound, and zeros to everybody"
for size in 512 34816 261632 2097152 10504704; do
	rm -f zero.raw
	truncate -s $size zero.raw
	for o in dynamic fixed dynamic,block_size=512k; do
		rm -f a.vhd
		run_ok imgtool create -f vhd -o subformat=$o a.vhd $size
		sound a.vhd
		size_is a.vhd $size
		read_by_all a.vhd zero.raw
	done
done

# One sector, whole blocks, a block and a bit, the tables of geometry, ...
for size in 512 1024 34304 34816 261632 262144 262656 2097152 \
    2097664 4193792 10504704 35651584; do
	t_begin "convert's image of $size bytes is read by everybody"
	disk a.raw $size
	for o in dynamic fixed; do
		run_ok imgtool convert -f raw -O vhd -o subformat=$o \
		    a.raw a.vhd
		[ "$(footer_size a.vhd)" = $size ] || fail "$o: footer's size"
		sound a.vhd
		size_is a.vhd $size
		read_by_all a.vhd a.raw
	done
done

for block in 4k 64k 512k 16M; do
	t_begin "so are blocks of $block"
	for size in 4608 524288 35651072; do
		disk a.raw $size
		run_ok imgtool convert -O vhd -o block_size=$block a.raw a.vhd
		sound a.vhd
		size_is a.vhd "$(wc -c <a.raw)"
		read_by_all a.vhd a.raw
	done
done

t_begin "2 GiB with holes, dynamic and fixed, are read by everybody"
disk a.raw 2147484160
for o in dynamic fixed; do
	run_ok imgtool convert -O vhd -o subformat=$o a.raw a.vhd
	used=$(du -k a.vhd | awk '{ print $1 }')
	[ "$used" -lt 20000 ] || fail "$o: $used KiB for 36 KiB of data"
	sound a.vhd
	read_by_qemu a.vhd a.raw
done
read_by_libvhdi a.vhd a.raw
read_by_7z a.vhd a.raw

t_begin "the last sector of 2040 GiB is read by qemu"
words z 512 >last
run_ok imgtool dd-write of=b.vhd if=last bs=512 seek=4278190079 status=none
sound b.vhd
got=$(qemu-io -r -f vpc -c 'read -v 2190433320448 16' b.vhd | head -n 1)
want=$(od -An -tx1 -N16 last | tr -d '\n')
case $got in
*"$want"*) ;;
*)	fail "qemu-io reads: $got, expected $want" ;;
esac
