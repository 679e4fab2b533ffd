#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The main job with qcow2: a file system of 2 GiB with this machine's own
# files goes raw, qcow2, compressed qcow2, VHD, raw, and comes back.  cmp,
# qemu-img and e2fsck judge.  So much data is for the program as it is used:
# "$TOP/imgtool".

. "$TOP/tests/lib.sh"

skip_unless mke2fs e2fsck cmp qemu-img tar

# About a GiB of real files; a quarter of that will do.
gather()
{
	mkdir files
	tar -C / -cf - --one-file-system --ignore-failed-read usr/bin usr/lib \
	    usr/share usr/include usr/sbin etc 2>/dev/null |
	    head -c 1073741824 | tar -C files -xf - 2>/dev/null
	mib=$(du -sm files | awk '{ print $1 }')
	[ "$mib" -ge 256 ] || fail "only $mib MiB of real files here"
	echo "$mib MiB of files"
}

# step COMMAND ...: and how long it took.
step()
{
	began=$(date +%s)
	run_ok "$TOP/imgtool" "$@"
	echo "$*: $(($(date +%s) - began)) s"
}

# sound FILE: to both checkers.
sound()
{
	run_ok qemu-img check -f qcow2 "$1"
	step check -f qcow2 --deep "$1"
	expect_no_out '^(warning|leak|corrupt|fatal) '
}

# Not a multiple of a cluster, nor of 4 KiB.
SIZE=$((2 * 1073741824 + 77 * 1048576 + 11 * 512))

t_begin "a file system of real files is made"
gather
truncate -s $SIZE disk.raw
mke2fs -q -F -t ext4 -b 4096 -d files disk.raw || fail "mke2fs"
chmod -R u+rwx files
rm -rf files
run_ok e2fsck -fn disk.raw
printf 'the last bytes' |
    dd of=disk.raw bs=1 seek=$((SIZE - 14)) conv=notrunc status=none

t_begin "raw to qcow2"
step convert -f raw -O qcow2 disk.raw plain.qcow2
sound plain.qcow2
run_ok qemu-img compare -f raw -F qcow2 disk.raw plain.qcow2

t_begin "qcow2 to compressed qcow2, which is smaller"
step convert -c -f qcow2 -O qcow2 plain.qcow2 packed.qcow2
sound packed.qcow2
run_ok qemu-img compare -f raw -F qcow2 disk.raw packed.qcow2
[ "$(wc -c <packed.qcow2)" -lt $(($(wc -c <plain.qcow2) * 9 / 10)) ] ||
    fail "$(wc -c <packed.qcow2) of $(wc -c <plain.qcow2) bytes"
rm plain.qcow2

t_begin "compressed qcow2 to VHD"
step convert -f qcow2 -O vhd packed.qcow2 disk.vhd
step check -f vhd disk.vhd
expect_no_out '^(warning|leak|corrupt|fatal) '
rm packed.qcow2

t_begin "VHD to raw, and all bytes are back"
step convert -f vhd -O raw disk.vhd back.raw
same_bytes disk.raw back.raw
run_ok e2fsck -fn back.raw

t_begin "what comes back takes no more space than it did"
was=$(du -k disk.raw | awk '{ print $1 }')
is=$(du -k back.raw | awk '{ print $1 }')
[ "$is" -le $((was + 1024)) ] || fail "$is KiB, it were $was"
