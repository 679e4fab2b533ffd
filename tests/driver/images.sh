#!/bin/sh
# SPDX-License-Identifier: ISC
#
# images.sh DIR - the images that the tests of the drivers attach, made by
# imgtool and qemu-img.  disk.raw is what the guest sees in those with data.

set -eu

top=$PWD
imgtool=${IMGTOOL:-$top/imgtool}
mkdir -p "$1"
cd "$1"

# put OFFSET-IN-4K LENGTH-IN-4K FROM: numbers from FROM on.
put()
{
	seq "$3" 99999999 | head -c $(($2 * 4096)) |
	    dd of=disk.raw bs=4096 seek="$1" conv=notrunc status=none
}

# poke FILE OFFSET OCTAL ...: bytes of the file.
poke()
{
	file=$1 off=$2
	shift 2
	for byte; do
		# shellcheck disable=SC2059 # it is the format
		printf "\\$byte" |
		    dd of="$file" bs=1 seek="$off" conv=notrunc status=none
		off=$((off + 1))
	done
}

truncate -s 8M disk.raw
put 0 256 1			# [0, 1 MiB)
put 777 50 1000000		# in the second block of a VHD
put 1536 1 2000000		# the first 4 KiB of the last
"$imgtool" convert -q -f raw -O vhd disk.raw dyn.vhd
"$imgtool" convert -q -f raw -O vhd -o subformat=fixed disk.raw fixed.vhd
"$imgtool" convert -q -f raw -O qcow2 disk.raw a.qcow2
"$imgtool" create -q -f vhd empty.vhd 8M
"$imgtool" create -q -f qcow2 empty.qcow2 8M
"$imgtool" create -q -f qcow2 -o cluster_size=512 small.qcow2 8M
"$imgtool" create -q -f qcow2 odd.qcow2 1000448

# What a kernel does not serve.
"$imgtool" convert -q -f raw -O qcow2 -c disk.raw packed.qcow2
qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 backed.qcow2
qemu-img create -q -f qcow2 -o data_file=disk.ext,data_file_raw=on \
    ext.qcow2 8M
cp a.qcow2 aes.qcow2
poke aes.qcow2 35 1		# crypt_method: AES
cp a.qcow2 feature.qcow2
poke feature.qcow2 72 20	# an incompatible bit nobody knows
cp a.qcow2 invalid.qcow2
poke invalid.qcow2 0 0
cp a.qcow2 corrupt.qcow2
poke corrupt.qcow2 79 2		# the corrupt bit
cp a.qcow2 range.qcow2		# the L1 entry leads out of the file
l1=$(od -An -tu1 -j 45 -N 3 a.qcow2 |
    awk '{ print $1 * 65536 + $2 * 256 + $3 }')
poke range.qcow2 "$((l1 + 2))" 177
cp dyn.vhd range.vhd		# and so does a BAT entry
poke range.vhd 1536 177
cp dyn.vhd invalid.vhd
poke invalid.vhd 0 0
truncate -s 512 invalid.vhd
qemu-img create -q -f vpc -o force_size tiny.vhd 8M >/dev/null

# Two clusters are shared with a snapshot.
cp a.qcow2 snap.qcow2
qemu-img snapshot -c one snap.qcow2
qemu-io -f qcow2 -c 'write -q -P 7 0 64k' snap.qcow2 >/dev/null
qemu-img convert -f qcow2 -O raw snap.qcow2 snap.raw
