#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The module in User Mode Linux with KASAN, UBSAN and lockdep: a file system on
# each format, and logs of operations that must leave the very same bytes as
# the library does over POSIX.

. "$TOP/tests/lib.sh"
. "$TOP/tests/kernel/lib.sh"

uml=$(sh "$TOP/tests/kernel/uml_kernel.sh") || exit 1
make -s -C "$TOP/sys/linux" KDIR="$uml" OUT="$PWD/mod" KARGS="ARCH=um" \
    >make.log 2>&1 || { cat make.log; exit 1; }
cc=${CC:-cc}
# shellcheck disable=SC2046 # a list of words
$cc -std=c99 -D_GNU_SOURCE -O2 -I"$TOP/tests" -I"$TOP/lib" -o replay \
    "$TOP/tests/driver/replay.c" "$TOP/libimg.a" -lz -lpthread \
    $(pkg-config --libs libzstd 2>/dev/null) &&
$cc -std=c99 -D_GNU_SOURCE -O2 -static -I"$TOP/tests" -o replay_blk \
    "$TOP/tests/kernel/replay_blk.c" || exit 1

# run LOG TEST: the script in a system with the module and the disk.
run()
{
	rm -rf fs
	kernel_fs fs mod/imgblk.ko "$TOP/tests/kernel/$2"
	cp replay_blk fs/bin/
	echo imgblk.ko >fs/mod/order
	kernel_pack fs initrd.gz
	TMPDIR=${TMPDIR:-/tmp} timeout 400 "$uml/linux" mem=768M \
	    initrd=initrd.gz ubd0=disk con0=fd:0,fd:1 con=null panic=-1 \
	    quiet </dev/null >"$1" 2>&1
	kernel_judge "$1"
}

t_begin "ext4 on every format, under KASAN, UBSAN and lockdep"
inner_image
every_format
run fs.log guest_fs.sh
judge_formats

# an_image NAME FORMAT SEED CREATE-OPTION ...: for the list of the guest, and
# what the library makes of it.
an_image()
{
	a_name=$1 a_format=$2 a_seed=$3
	shift 3
	run_ok imgtool create -q -f "$a_format" "$@" "outer/$a_name" 16M
	./replay make "$a_seed" 16777216 200 >"outer/log.$a_name"
	cp "outer/$a_name" "want.$a_name"
	./replay image "$a_format" "outer/log.$a_name" "want.$a_name" 4096 ||
	    fail "the library on $a_name"
	echo "log.$a_name $a_format $a_name" >>outer/list
}

t_begin "the same operations leave the same bytes in a kernel"
rm -rf outer && mkdir outer
for seed in 1 2; do
	an_image qcow2.$seed qcow2 $seed
	an_image small.$seed qcow2 $seed -o cluster_size=512
	an_image dynamic.$seed vhd $seed
	an_image fixed.$seed vhd $seed -o subformat=fixed
	an_image qed.$seed qed $seed
	an_image qed4k.$seed qed $seed -o cluster_size=4k,table_size=1
done
for f in qcow2 vhd qed; do
	run_ok imgtool create -q -f $f outer/zero.$f 16M
done
kernel_disk outer
run replay.log guest_replay.sh
e2fsck -fy disk >/dev/null 2>&1
while read -r _ fmt name; do
	dump "$name" got || fail "no $name"
	same_bytes got "want.$name"
	run_ok imgtool check -f "$fmt" got
done <outer/list

t_begin "zeros that nobody wrote are there"
for f in qcow2 vhd qed; do
	dump zero.$f got || fail "no zero.$f"
	run_ok imgtool check -f $f got
done
