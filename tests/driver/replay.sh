#!/bin/sh
# SPDX-License-Identifier: ISC
#
# replay.sh DIR - logs of operations, replayed by the library over POSIX and
# by the driver in the harness: the images are equal, byte for byte, sound,
# and hold what a plain file holds after the same log.  DIR has replay and
# replay_kern.

set -u

dir=$(cd "$1" && pwd) || exit 1
imgtool=${IMGTOOL:-$PWD/imgtool}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
cases=0

die()
{
	echo "replay: $*" >&2
	exit 1
}

# one NAME FORMAT SEED CREATE-OPTION ...
one()
{
	name=$1 format=$2 seed=$3
	shift 3
	case $format in
	vhd)	qemu=vpc ;;
	*)	qemu=$format ;;
	esac
	rm -f a."$format" b."$format" c.raw d.raw
	"$imgtool" create -q -f "$format" "$@" a."$format" 16M ||
	    die "$name: create"
	cp a."$format" b."$format"
	truncate -s 16M c.raw
	"$dir/replay" make "$seed" 16777216 300 >log || die "$name: make"
	"$dir/replay" raw log c.raw || die "$name, seed $seed: raw"
	"$dir/replay_kern" log a."$format" d."$format" ||
	    die "$name, seed $seed: the driver"
	"$dir/replay" image "$format" log b."$format" ||
	    die "$name, seed $seed: the library"
	cmp d."$format" b."$format" || die "$name, seed $seed: they differ"
	"$imgtool" check -q -f "$format" d."$format" ||
	    die "$name, seed $seed: imgtool check"
	qemu-img check -q -f "$qemu" d."$format" >/dev/null 2>&1
	case $qemu$? in
	vpc63|qcow20) ;;
	*)	die "$name, seed $seed: qemu-img check" ;;
	esac
	"$imgtool" dd-read -f "$format" if=d."$format" of=d.raw bs=1M \
	    status=none || die "$name: dd-read"
	cmp d.raw c.raw || die "$name, seed $seed: other bytes"
	qemu-img compare -q -f "$qemu" -F raw d."$format" c.raw ||
	    die "$name, seed $seed: qemu-img reads other bytes"
	cases=$((cases + 1))
}

for seed in 1 2 3; do
	one qcow2 qcow2 "$seed"
	one "small clusters" qcow2 "$seed" -o cluster_size=512
	one "large clusters" qcow2 "$seed" -o cluster_size=2M
	one "dynamic" vhd "$seed"
	one "fixed" vhd "$seed" -o subformat=fixed
done
echo "replay: $cases logs, the same bytes twice"
