#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: ISC
#
# Runs in the guest: /d has logs, and images that they are replayed on.

mount -t ext4 /dev/ubda /d || exit 1
while read -r log fmt image; do
	/bin/replay_blk "/d/$log" "$fmt" "/d/$image" || exit 1
done </d/list
for f in qcow2 vhd qed; do
	/bin/replay_blk zero $f /d/zero.$f || exit 1
done
umount /d
rmmod imgblk
