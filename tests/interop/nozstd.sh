#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The program as it is built where there is no zstd: it does all else, and
# says what it cannot do.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq cmp make

unset MAKEFLAGS MFLAGS
mkdir tree
tar -C "$TOP" -cf - --exclude='*.o' --exclude='*.ao' Makefile lib cmd tests |
    tar -C tree -xf -

t_begin "it can be built without zstd"
run_ok make -j2 -C tree NO_ZSTD=1 CFLAGS=-O0 imgtool || exit
IMGTOOL=$PWD/tree/imgtool

t_begin "deflate is there all the same"
yes 'all the same' | head -c 1M >disk.raw
run_ok imgtool convert -q -c -O qcow2 disk.raw p.qcow2
run_ok qemu-img check p.qcow2
run_ok imgtool convert -q p.qcow2 back.raw
cmp disk.raw back.raw || fail "the disk has changed"

t_begin "no image is made that it could not read"
run_rc 1 imgtool create -q -f qcow2 -o compression_type=zstd z.qcow2 1M
expect_err 'built without zstd'
[ ! -e z.qcow2 ] || fail "a file was made"

t_begin "an image with zstd is described, checked, and not read"
run_ok qemu-img convert -c -O qcow2 -o compression_type=zstd disk.raw z.qcow2
run_ok imgtool info --output=json z.qcow2
[ "$(jq -r '."format-specific".data."compression-type"' "$OUT")" = zstd ] ||
    fail "not told"
run_ok imgtool check z.qcow2
run_rc 1 imgtool convert -q z.qcow2 back.raw
expect_err zstd
