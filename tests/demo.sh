#!/bin/sh
# SPDX-License-Identifier: ISC
#
# demo.sh - imgtool on a real file system: convert it to and fro, look at it,
# damage a copy and see what check says.  Leaves nothing behind.

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

say "Row 0 of the block table now points beyond the end of the file"
show cp dynamic.vhd bad.vhd
# shellcheck disable=SC2016 # to be seen as it is
printf '%s\n' '$ printf "\177\377\377\000" | dd of=bad.vhd bs=1 seek=1536 conv=notrunc'
printf '\177\377\377\000' |
    dd of=bad.vhd bs=1 seek=1536 conv=notrunc 2>/dev/null
status=0
show imgtool check bad.vhd >check.out 2>&1 || status=$?
cat check.out
echo "exit status $status"
[ $status -eq 2 ] || stop "check should have exited with 2"
grep -q 'VHD-51' check.out || stop "check should have named row VHD-51"

echo
echo "demo: all good"
