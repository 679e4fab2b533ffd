# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# What the tests in kernels share: a small system with the module in it, and
# running it.  A test that says nothing has failed: only a line
# "RESULT rc=0" is success, and no line may be the kernel complaining.

# kernel_fs DIR KO INIT: the files of a system whose /test is the script INIT.
kernel_fs()
{
	mkdir -p "$1/bin" "$1/dev" "$1/proc" "$1/sys" "$1/d" "$1/m" "$1/mod"
	cp /bin/busybox "$1/bin/busybox"
	cp "$2" "$1/mod/imgblk.ko"
	cp "$3" "$1/test"
	cat >"$1/init" <<-'END'
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	for m in $(cat /mod/order 2>/dev/null); do
		insmod "/mod/$m" || echo "insmod $m failed"
	done
	echo 'the test begins' >/dev/kmsg
	sh /test
	rc=$?
	dmesg | sed '1,/the test begins/d'
	echo "RESULT rc=$rc"
	sync
	poweroff -f
	END
	chmod 755 "$1/init" "$1/test"
}

# kernel_modules DIR TREE NAME ...: these modules of a kernel, and all they
# need, in the order of loading.
kernel_modules()
{
	km_dir=$1 km_tree=$2
	shift 2
	: >"$km_dir/mod/order"
	for km_m in "$@"; do
		kernel_module "$km_m"
	done
	echo imgblk.ko >>"$km_dir/mod/order"
}

kernel_module()
{
	grep -qx "$1.ko" "$km_dir/mod/order" && return
	km_ko=$(find "$km_tree" -name "$1.ko" -o -name \
	    "$(echo "$1" | tr _ -).ko" | head -n 1)
	[ -n "$km_ko" ] || return 0 # built in
	for km_d in $(modinfo -F depends "$km_ko" | tr , ' '); do
		kernel_module "$km_d"
	done
	km_ko=$(find "$km_tree" -name "$1.ko" -o -name \
	    "$(echo "$1" | tr _ -).ko" | head -n 1)
	cp "$km_ko" "$km_dir/mod/$1.ko"
	echo "$1.ko" >>"$km_dir/mod/order"
}

# kernel_pack DIR FILE: as an initramfs.
kernel_pack()
{
	(cd "$1" && find . | cpio -o -H newc --quiet | gzip -1) >"$2"
}

# kernel_judge LOG: did the test in it succeed, and the kernel keep quiet?  What
# it said before the test is not ours.
kernel_judge()
{
	tr -d '\r' <"$1" >"$1.txt"
	if grep -E 'KASAN|BUG:|WARNING:|UBSAN|circular locking|Oops|Call Trace' \
	    "$1.txt"; then
		fail "the kernel complained"
	fi
	grep -q '^RESULT rc=0$' "$1.txt" || {
		tail -n 30 "$1.txt"
		fail "no RESULT rc=0"
	}
}

# kernel_disk DIR: the file disk, with an ext4 of what is in DIR.
kernel_disk()
{
	rm -f disk
	truncate -s 400M disk
	mke2fs -q -t ext4 -d "$1" disk
}

# dump NAME FILE: out of that disk, when the guest is gone.
dump()
{
	debugfs -R "dump /$1 $2" disk 2>/dev/null
	[ -s "$2" ]
}

# inner_image: inner.raw, a file system with files and their sums.
inner_image()
{
	mkdir inner
	for i in 1 2 3; do
		head -c $((i * 300000)) /dev/urandom >inner/old.$i
	done
	(cd inner && sha1sum old.2 old.3 >sums)
	truncate -s 48M inner.raw
	mke2fs -q -t ext4 -d inner inner.raw
}

# every_format: images of it, as guest_fs.sh has them, on the disk.
every_format()
{
	mkdir outer
	for f in qcow2 vhd qed; do
		run_ok imgtool convert -q -f raw -O $f inner.raw outer/a.$f
	done
	run_ok imgtool convert -q -f raw -O vhd -o subformat=fixed inner.raw \
	    outer/a.fixed
	kernel_disk outer
}

# judge_formats: what guest_fs.sh left is sound, and imgtool reads what the
# guest wrote.
judge_formats()
{
	e2fsck -fy disk >/dev/null 2>&1
	for f in qcow2 vhd fixed qed; do
		dump a.$f got.$f && dump sums.$f sums ||
		    fail "nothing written to $f"
		case $f in (fixed) g=vhd ;; (*) g=$f ;; esac
		run_ok imgtool check -f $g got.$f
		run_ok imgtool dd-read -f $g if=got.$f of=got.raw bs=1M
		e2fsck -fn got.raw >/dev/null 2>&1 || fail "e2fsck of $f"
		rm -rf files && mkdir files
		debugfs -R "rdump /new files" got.raw 2>/dev/null
		(cd files && sha1sum -c --quiet ../sums) || fail "files of $f"
	done
}
