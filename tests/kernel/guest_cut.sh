#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: ISC
#
# Runs in the guest until its power is cut: each line that it prints is a file
# that was flushed, and its sum.

disk=/dev/vda
[ -b /dev/ubda ] && disk=/dev/ubda
mount -t ext4 $disk /d || exit 1
read -r fmt </d/format
echo "attach rw $fmt /d/a.img" >/dev/imgblk || exit 1
mount -t ext4 /dev/imgblk0 /m || exit 1
i=1
while :; do
	dd if=/dev/urandom of=/m/f$i bs=4k count=$((i * 7 % 40 + 1)) \
	    conv=fsync 2>/dev/null || exit 1
	echo "FLUSHED $(sha1sum /m/f$i)"
	[ $((i % 5)) -eq 4 ] && rm /m/f$((i - 1))
	i=$((i + 1))
done
