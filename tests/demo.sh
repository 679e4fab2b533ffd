#!/bin/sh
# SPDX-License-Identifier: ISC
#
# demo.sh - imgtool on a real file system: convert it to and fro, look at it,
# damage copies and see what check says.  Leaves nothing behind.

set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
case ${IMGTOOL:=./imgtool} in
/*)	;;
*)	IMGTOOL=$PWD/$IMGTOOL ;;
esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM

mkdir "$tmp/bin"
ln -s "$IMGTOOL" "$tmp/bin/imgtool"
PATH=$tmp/bin:$PATH
export PATH
mkdir "$tmp/cwd"
cd "$tmp/cwd"

say()
{
	printf '\n# %s\n' "$*"
}

# Show a command, then run it.
show()
{
	echo "\$ $*"
	"$@"
}

stop()
{
	echo "demo: $*" >&2
	exit 1
}

# damage FILE OFFSET BYTES
damage()
{
	printf '%s\n' "\$ printf '$3' | dd of=$1 bs=1 seek=$2 conv=notrunc"
	# shellcheck disable=SC2059 # the bytes are the format
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# finds ROW FILE: check calls it corrupt, for that reason.
finds()
{
	status=0
	show imgtool check "$2" >check.out 2>&1 || status=$?
	cat check.out
	echo "exit status $status"
	[ $status -eq 2 ] || stop "check should have exited with 2"
	grep -q "$1 " check.out || stop "check should have named row $1"
}

# number FILE OFFSET: 64 bits, of which the first is 0.
number()
{
	printf '%d' "0x$(od -An -tx1 -j "$2" -N 8 "$1" | tr -d ' \n')"
}

# The same of a QED: the first byte is the least significant one.
little()
{
	printf '%d' "0x$(od -An -v -tx1 -j "$2" -N 8 "$1" |
	    awk '{ for (i = 8; i > 0; i--) printf "%s", $i }')"
}

# octal FILE OFFSET: these eight bytes as printf takes them.
octal()
{
	od -An -v -to1 -j "$2" -N 8 "$1" | sed 's/ /\\/g' | tr -d '\n'
}

# A directory with real files that fit into the disk.
files()
{
	for d in /usr/include /usr/share/doc /usr/share/man /usr/share/perl /etc/ssl .; do
		[ -d "$d" ] || continue
		kib=$(du -sk "$d" 2>/dev/null | awk '{ print $1 }')
		if [ "$kib" -gt 512 ] && [ "$kib" -lt 131072 ]; then
			echo "$d"
			return
		fi
	done
	echo .
}

say "A disk of 193 MiB and 64 KiB with an ext4 file system of real files"
show truncate -s 197696K disk.raw
show mke2fs -q -F -t ext4 -b 4096 -d "$(files)" disk.raw

say "To a dynamic VHD, from there to a fixed one, and back to raw"
show imgtool convert -f raw -O vhd disk.raw dynamic.vhd
show imgtool convert -f vhd -O vhd -o subformat=fixed dynamic.vhd fixed.vhd
show imgtool convert -f vhd -O raw fixed.vhd back.raw
show ls -ls disk.raw dynamic.vhd fixed.vhd back.raw

say "What the dynamic one is, whether it is sound, and where its bytes live"
show imgtool info dynamic.vhd
show imgtool check dynamic.vhd
show imgtool check fixed.vhd
show imgtool map --totals dynamic.vhd

say "All bytes came back, and the file system is whole"
show cmp disk.raw back.raw
show e2fsck -fn back.raw

say "To qcow2, to a compressed one of that, and back to raw"
show imgtool convert -f raw -O qcow2 disk.raw disk.qcow2
show imgtool convert -c -f qcow2 -O qcow2 disk.qcow2 packed.qcow2
show imgtool convert -f qcow2 -O raw packed.qcow2 unpacked.raw
show ls -ls disk.qcow2 packed.qcow2 unpacked.raw
show cmp disk.raw unpacked.raw

say "What the compressed one is, whether it is sound, and what is in it"
show imgtool info packed.qcow2
show imgtool check --deep packed.qcow2
show imgtool map --totals packed.qcow2

say "An image of what differs from another: the guest writes 64 KiB"
show imgtool create -f qcow2 -b packed.qcow2 -F qcow2 overlay.qcow2
show imgtool dd-write of=overlay.qcow2 if=disk.raw bs=64k count=1 seek=3087
show imgtool map -s 0xc000000 overlay.qcow2
show imgtool check --backing-chain overlay.qcow2

say "To QED, and a QED of what differs: 64 KiB again"
show imgtool convert -f qcow2 -O qed packed.qcow2 disk.qed
show imgtool create -f qed -b disk.qed -F qed overlay.qed
show imgtool dd-write of=overlay.qed if=disk.raw bs=64k count=1 seek=3087
show imgtool info overlay.qed
show imgtool check --backing-chain overlay.qed
show imgtool compare disk.raw disk.qed

if command -v qemu-img >/dev/null 2>&1; then
	say "A snapshot made by qemu-img stays what it was"
	show qemu-img snapshot -c before disk.qcow2
	show imgtool dd-write of=disk.qcow2 if=/dev/urandom bs=1M count=8 seek=16
	show imgtool check disk.qcow2
	show imgtool convert -l before -O raw disk.qcow2 before.raw
	show cmp disk.raw before.raw
	show qemu-img check disk.qcow2
fi

say "Row 0 of the block table now points beyond the end of the file"
show cp dynamic.vhd bad.vhd
damage bad.vhd 1536 '\177\377\377\000'
finds VHD-51 bad.vhd

say "Two guest clusters of a QED now share one: to write one spoils the other"
show cp disk.qed bad.qed
entry=$(little bad.qed 65536)
damage bad.qed $((entry + 8)) "$(octal bad.qed "$entry")"
finds QED-41 bad.qed

say "The refcount of the L1 table is now 0: the next writer would overwrite it"
show imgtool convert -f raw -O qcow2 disk.raw bad.qcow2
counts=$(number bad.qcow2 48)
block=$(number bad.qcow2 "$counts")
table=$(number bad.qcow2 40)
damage bad.qcow2 $((block + (table >> 16) * 2)) '\000\000'
finds QCOW2-79 bad.qcow2
show imgtool check -r safe bad.qcow2
show imgtool compare -f raw disk.raw bad.qcow2

echo
echo "demo: all good"
