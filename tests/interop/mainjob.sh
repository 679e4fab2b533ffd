#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The main job: a real file system goes raw, dynamic VHD, fixed VHD, raw, and
# comes back; through files and through pipes.  cmp and e2fsck judge.

. "$TOP/tests/lib.sh"

skip_unless mke2fs e2fsck cmp od qemu-img

# Real files, at least 64 MiB of them, at most about twice that.
gather()
{
	mkdir files
	for d in /usr/share/doc /usr/share/perl /usr/include /usr/lib/gcc \
	    /usr/lib/x86_64-linux-gnu /usr/bin /usr/lib; do
		[ -d "$d" ] || continue
		find "$d" -xdev -type f -size -4096k 2>/dev/null |
		    head -n 4000 >list
		tar -cf - -T list 2>/dev/null |
		    head -c 83886080 | tar -xf - -C files 2>/dev/null
		kib=$(du -sk files | awk '{ print $1 }')
		[ "$kib" -lt 65536 ] || return 0
	done
	fail "only $kib KiB of real files here"
}

# whole FILE: the file system in it.
whole()
{
	run_ok e2fsck -fn "$1"
}

# kib FILE: what it takes on disk.
kib()
{
	du -k "$1" | awk '{ print $1 }'
}

# No whole block, and not a multiple of 4 KiB either.
SIZE=$((211 * 1048576 + 11 * 512))

t_begin "a file system of real files is made"
gather
truncate -s $SIZE disk.raw
mke2fs -q -F -t ext4 -b 4096 -d files disk.raw || fail "mke2fs"
whole disk.raw
rm -rf files
printf 'the last bytes' |
    dd of=disk.raw bs=1 seek=$((SIZE - 14)) conv=notrunc status=none

t_begin "raw, dynamic, fixed, raw: all bytes come back"
run_ok imgtool convert -f raw -O vhd disk.raw dynamic.vhd
run_ok imgtool convert -f vhd -O vhd -o subformat=fixed dynamic.vhd fixed.vhd
run_ok imgtool convert -f vhd -O raw fixed.vhd back.raw
same_bytes disk.raw back.raw
whole back.raw

t_begin "a fixed image is the disk and 512 bytes, whoever looks"
[ "$(wc -c <fixed.vhd)" -eq $((SIZE + 512)) ] || fail "wrong length"
head -c $SIZE fixed.vhd | cmp - disk.raw || fail "not the disk"
[ "$(tail -c 512 fixed.vhd | head -c 8)" = conectix ] || fail "no footer"

t_begin "none of the images takes more space than the raw one and tables"
for f in dynamic.vhd fixed.vhd back.raw; do
	[ "$(kib $f)" -le $(($(kib disk.raw) + 1024)) ] ||
	    fail "$f: $(kib $f) KiB, disk.raw: $(kib disk.raw)"
done

t_begin "check has nothing to say about either, and compare sees no difference"
for f in dynamic.vhd fixed.vhd; do
	run_ok imgtool check --deep $f
	expect_no_out '^(warning|leak|corrupt|fatal) '
	run_ok imgtool compare disk.raw -f raw $f
done
run_ok imgtool compare dynamic.vhd fixed.vhd

t_begin "qemu-img sees the same disk in both"
for f in dynamic.vhd fixed.vhd; do
	rm -f qemu.raw
	run_ok qemu-img convert -f vpc -O raw $f qemu.raw
	same_bytes qemu.raw disk.raw
done
rm -f qemu.raw

t_begin "by way of QED all bytes come back too, and qemu-img sees the same"
run_ok imgtool convert -f vhd -O qed dynamic.vhd disk.qed
run_ok imgtool check --deep disk.qed
expect_no_out '^(warning|leak|corrupt|fatal) '
[ "$(kib disk.qed)" -le $(($(kib disk.raw) + 1024)) ] ||
    fail "$(kib disk.qed) KiB, disk.raw: $(kib disk.raw)"
run_ok qemu-img check -f qed disk.qed
run_ok qemu-img compare -f raw -F qed disk.raw disk.qed
run_ok imgtool convert -f qed -O vhd -o subformat=fixed disk.qed fixed.vhd
head -c $SIZE fixed.vhd | cmp - disk.raw || fail "not the disk"
rm -f disk.qed

t_begin "the same through standard input and output"
# shellcheck disable=SC2002 # a pipe is what is tested
cat disk.raw |
    imgtool convert -f raw -O vhd --size=$SIZE - pipe.vhd || fail "from a pipe"
imgtool convert -O raw pipe.vhd - | cmp - disk.raw || fail "to a pipe"
run_ok imgtool check --deep pipe.vhd
# shellcheck disable=SC2002
cat disk.raw | imgtool convert -f raw -O raw - back.raw || fail "raw to raw"
same_bytes disk.raw back.raw
imgtool convert -O raw fixed.vhd - | imgtool convert -O vhd --size=$SIZE \
    -o subformat=fixed - pipe2.vhd || fail "pipe to pipe"
head -c $SIZE pipe2.vhd | cmp - disk.raw || fail "not the disk"
rm -f pipe2.vhd

t_begin "a pipe without --size is stored first, which is said"
# shellcheck disable=SC2002
cat disk.raw | imgtool convert -f raw -O vhd - spool.vhd 2>"$ERR" ||
    fail "from a pipe"
export T_CMD=convert
expect_err 'standard input: .*stored beside'
run_ok imgtool convert spool.vhd back.raw
same_bytes disk.raw back.raw
whole back.raw

t_begin "standard input that is a file is not stored, and keeps its holes"
imgtool convert -f raw -O vhd - file.vhd <disk.raw 2>"$ERR" || fail "from a file"
expect_no_err 'stored'
imgtool convert -O raw file.vhd - >back.raw || fail "to a file"
same_bytes disk.raw back.raw
[ "$(kib back.raw)" -le $(($(kib disk.raw) + 1024)) ] || fail "no holes"

t_begin "zeros at the end of the disk are there in a file and in a pipe"
cp disk.raw zeros.raw
truncate -s $((SIZE + 3 * 1048576 + 512)) zeros.raw
run_ok imgtool convert -f raw -O vhd zeros.raw zeros.vhd
imgtool convert -O raw zeros.vhd - >back.raw || fail "to a file"
same_bytes zeros.raw back.raw
imgtool convert -O raw zeros.vhd - | cmp - zeros.raw || fail "to a pipe"
# shellcheck disable=SC2002
cat zeros.raw | imgtool convert -f raw -O raw - back.raw || fail "raw to raw"
same_bytes zeros.raw back.raw

t_begin "one file of the file system changes inside the VHD, and only that"
word=$(od -An -tx1 -j1080 -N2 disk.raw)
[ "$word" = " 53 ef" ] || fail "no ext4 super block: $word"
printf 'a new name' >name
run_ok imgtool dd-write of=dynamic.vhd if=name bs=1 seek=1144 status=none
dd if=name of=disk.raw bs=1 seek=1144 conv=notrunc status=none
run_ok imgtool convert dynamic.vhd back.raw
same_bytes disk.raw back.raw
run_ok imgtool check --deep dynamic.vhd
