#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Debian's kernel source as User Mode Linux, with KASAN, UBSAN and lockdep,
# built outside of the tree; prints the folder.  It takes some minutes, once.

set -eu

cache=${IMGTOOL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/imgtool}
mkdir -p "$cache"
version=$(apt-cache show linux-source-6.1 | sed -n 's/^Version: //p' |
    head -n 1)
[ -n "$version" ] || { echo "uml_kernel.sh: no source known to apt" >&2; exit 1; }

fragment='64BIT PRINTK MODULES MODULE_UNLOAD BLOCK BLK_DEV BINFMT_ELF
BINFMT_SCRIPT BLK_DEV_INITRD RD_GZIP PROC_FS SYSFS DEVTMPFS TMPFS TTY
STDERR_CONSOLE NULL_CHAN FUTEX MULTIUSER POSIX_TIMERS EXT4_FS
HOSTFS FILE_LOCKING DEBUG_KERNEL KASAN KASAN_OUTLINE UBSAN PROVE_LOCKING
DEBUG_INFO_NONE MAGIC_SYSRQ BUG KALLSYMS CRYPTO SHMEM EPOLL ADVISE_SYSCALLS
SLUB BLK_DEV_UBD'

sum=$(echo "$version $fragment" | sha256sum | cut -c 1-12)
dir=$cache/uml-$sum
if [ ! -e "$dir/done" ]; then
	rm -rf "$dir"
	mkdir -p "$dir/deb"
	(cd "$dir/deb" && apt-get -q -o APT::Sandbox::User=root download \
	    linux-source-6.1 >&2)
	dpkg -x "$dir"/deb/*.deb "$dir/deb/x"
	tar -xJf "$dir/deb/x/usr/src/linux-source-6.1.tar.xz" -C "$dir" \
	    --strip-components=1
	rm -rf "$dir/deb"
	cd "$dir"
	{
		make -s ARCH=um tinyconfig
		for c in $fragment; do
			echo "CONFIG_$c=y"
		done >>.config
		echo "# CONFIG_STATIC_LINK is not set" >>.config
		echo "# CONFIG_SLOB is not set" >>.config
		make -s ARCH=um olddefconfig
		for c in $fragment; do
			grep -q "^CONFIG_$c=y" .config || {
				echo "uml_kernel.sh: no CONFIG_$c"
				exit 1
			}
		done
		make -s ARCH=um -j"$(nproc)" linux modules
	} >build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
	touch "$dir/done"
fi
echo "$dir"
