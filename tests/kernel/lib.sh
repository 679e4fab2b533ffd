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
	sh /test
	echo "RESULT rc=$?"
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

# kernel_judge LOG: did the test in it succeed, and the kernel keep quiet?
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
