#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The module in Debian's own kernel, on two processors under QEMU: a file
# system on each format, and the power cut while files are written.  What
# imgtool reads of the images afterwards is the reference.

. "$TOP/tests/lib.sh"
. "$TOP/tests/kernel/lib.sh"

tree=$(sh "$TOP/tests/kernel/fetch.sh") || exit 1
rel=$(basename "$tree")
rel=${rel#linux-}
make -s -C "$TOP/sys/linux" KDIR="/usr/src/linux-headers-$rel" \
    OUT="$PWD/mod" >make.log 2>&1 || { cat make.log; exit 1; }

# boot LOG DISK INITRD ...: run a guest until it ends.
boot()
{
	b_log=$1 b_disk=$2 b_initrd=$3
	timeout 400 qemu-system-x86_64 -accel tcg,thread=multi -cpu max \
	    -m 512 -smp 2 -nodefaults -no-user-config -display none \
	    -no-reboot -pidfile "$PWD/pid" \
	    -kernel "$tree/boot/vmlinuz-$rel" -initrd "$b_initrd" \
	    -append "console=ttyS0 quiet panic=-1 oops=panic" \
	    -drive "file=$b_disk,if=virtio,format=raw,cache=writeback" \
	    -serial "file:$b_log" </dev/null
}

system()
{
	rm -rf fs
	kernel_fs fs mod/imgblk.ko "$TOP/tests/kernel/$1"
	kernel_modules fs "$tree/lib/modules/$rel" virtio_pci virtio_blk \
	    crc32c_generic crc32c_intel ext4
	kernel_pack fs "$2"
}

inner_image

t_begin "ext4 on every format, with two processors"
every_format
system guest_fs.sh initrd.gz
boot fs.log disk initrd.gz
kernel_judge fs.log
judge_formats

# cut_power FORMAT OPTIONS LINES: while so many files are flushed.
cut_power()
{
	rm -rf outer disk cut.log && mkdir outer
	run_ok imgtool convert -q -f raw -O "$1" -o "$2" inner.raw outer/a.img
	echo "$1" >outer/format
	kernel_disk outer
	: >cut.log
	boot cut.log disk cut.gz &
	c_pid=$!
	c_n=0
	while [ "$c_n" -lt 1200 ] && kill -0 $c_pid 2>/dev/null; do
		[ "$(grep -c FLUSHED cut.log)" -lt "$3" ] || break
		sleep 0.2
		c_n=$((c_n + 1))
	done
	kill -KILL "$(cat pid)"
	wait $c_pid 2>/dev/null
	tr -d '\r' <cut.log | sed -n 's/^FLUSHED //p' | grep '/m/f[0-9]*$' >sums
	[ "$(wc -l <sums)" -ge "$3" ] || {
		tail -n 20 cut.log
		fail "the guest did not get that far"
	}
	e2fsck -fy disk >/dev/null 2>&1
	dump a.img got || fail "no image"
	imgtool check -f "$1" got >check.out 2>&1
	case $? in (0|3) ;; (*) cat check.out; fail "the image is damaged" ;; esac
	run_ok imgtool dd-read -f "$1" if=got of=got.raw bs=1M
	e2fsck -fy got.raw >/dev/null 2>&1
	rm -rf files && mkdir files
	debugfs -R "rdump / files" got.raw 2>/dev/null
	sed 's|/m/||' sums | while read -r sum name; do
		# Every fourth file was removed again, and that may be undone.
		n=${name#f}
		[ $((n % 5)) -eq 3 ] && continue
		echo "$sum  $name"
	done >want
	(cd files && sha1sum -c --quiet ../want) || fail "flushed files are lost"
}

system guest_cut.sh cut.gz
for f in qcow2 vhd qed; do
	t_begin "what was flushed to $f survives a power cut"
	case $f in (qcow2|qed) o=cluster_size=4k ;; (vhd) o=subformat=dynamic ;; esac
	cut_power $f $o 25
done

