#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: ISC
#
# Runs in the guest: a file system on each format, used by two processors.
# /d has the images, their names are "a.FORMAT".

rc=0
bad()
{
	echo "FAILED: $*"
	rc=1
}

one()
{
	f=$1
	echo "attach rw $f /d/a.$2" >/dev/imgblk || { bad "attach $f"; return; }
	# Without a scheduler the queue is run by who submits to it.
	[ "$2" != vhd ] || echo none >/sys/block/imgblk0/queue/scheduler
	mount -t ext4 /dev/imgblk0 /m || { bad "mount $f"; return; }
	(cd /m && sha1sum -c -s sums) || bad "what was there, on $f"
	mkdir /m/new
	for p in 1 2; do
		(for i in 1 2 3 4 5 6 7 8; do
			dd if=/dev/urandom of=/m/new/$p.$i bs=4k \
			    count=$((i * 17 + p)) 2>/dev/null
		done) &
	done
	wait
	rm /m/old.1
	(cd /m && find new -type f -exec sha1sum {} + >/d/sums.$2)
	umount /m || bad "umount $f"
	echo "detach 0" >/dev/imgblk || bad "detach $f"
	echo "attach ro $f /d/a.$2" >/dev/imgblk || bad "attach $f again"
	mount -t ext4 -o ro /dev/imgblk0 /m || { bad "mount $f again"; return; }
	(cd /m && sha1sum -c -s /d/sums.$2) || bad "what was written, on $f"
	echo "detach 0" 2>/dev/null >/dev/imgblk && bad "detached while mounted"
	umount /m
	echo "detach 0" >/dev/imgblk || bad "detach $f again"
}

disk=/dev/vda
[ -b /dev/ubda ] && disk=/dev/ubda
mount -t ext4 $disk /d || exit 1
for i in /d/a.*; do
	case $i in
	(*.qcow2) one qcow2 qcow2 ;;
	(*.fixed) one vhd fixed ;;
	(*.vhd) one vhd vhd ;;
	(*.qed) one qed qed ;;
	esac
	cat /dev/imgblk
done
echo "attach rw vhd /d/a.qcow2" >/dev/imgblk 2>/dev/null && bad "wrong format"
rmmod imgblk || bad "rmmod"
insmod /mod/imgblk.ko image=/d/a.qcow2 format=qcow2 readonly=1 ||
    bad "insmod with an image"
grep -q '^imgblk0 ro qcow2 ' /dev/imgblk || bad "no disk by parameter"
mount -t ext4 -o ro /dev/imgblk0 /m && umount /m || bad "mount it"
rmmod imgblk || bad "rmmod once more"
umount /d || bad "umount /d"
exit $rc
