#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What the README and imgtool(1) say of qemu-img is so, and what they say of
# imgtool beside it too.  The claims are about version 7.2.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io timeout od cmp
case $(qemu-img --version) in
*' version 7.2.'*) ;;
*)	skip "qemu-img is not 7.2" ;;
esac

# put FILE OFFSET BYTES: the bytes as printf has them.
put()
{
	# shellcheck disable=SC2059 # the bytes are the format
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# An image with two clusters: header, refcount table 1, its block 2, L1 table
# 3, L2 table 4, data 5 and 6.
make()
{
	rm -f "$1"
	qemu-img create -q -f qcow2 "$1" 1M &&
	    qemu-io -f qcow2 -c 'write -q -P 17 0 64k' \
		-c 'write -q -P 34 64k 64k' "$1"
}

# On a machine with much to do qemu-img gives up measuring its speed.
encrypted()
{
	for try in 1 2 3 4 5 6 7 8; do
		qemu-img create -q --object secret,id=s,data=secret \
		    -f qcow2 -o encrypt.format=luks \
		    -o encrypt.key-secret=s,encrypt.iter-time=10 "$1" 1M &&
			return 0
		echo "attempt $try failed"
	done
	return 1
}

L1=$((0x30000))
L2=$((0x40000))
COUNTS=$((0x20000))

t_begin "data over an L2 table: a refcount of 2 is enough for qemu-img"
run_ok make over.qcow2
put over.qcow2 $L1 '\000\000\000\000\000\004\000\000'
put over.qcow2 $((L2 + 8)) '\000\000\000\000\000\004\000\000'
put over.qcow2 $((COUNTS + 8)) '\000\002'
put over.qcow2 $((COUNTS + 12)) '\000\000'
run_ok qemu-img check over.qcow2
run_rc 2 imgtool check over.qcow2
expect_out 'QCOW2-54 .*guest 65536\+65536'

t_begin "an image that is marked corrupt is clean to qemu-img"
run_ok make marked.qcow2
put marked.qcow2 79 '\002'
run_ok qemu-img check marked.qcow2
run_rc 2 imgtool check marked.qcow2
expect_out QCOW2-13

t_begin "qemu-img does not look into compressed clusters"
run_ok make plain.qcow2
run_ok qemu-img convert -c -O qcow2 plain.qcow2 packed.qcow2
put packed.qcow2 $((0x50000)) '\377\377\377\377\377\377\377\377'
run_ok qemu-img check packed.qcow2
run_ok imgtool check packed.qcow2
run_rc 2 imgtool check --deep packed.qcow2
expect_out QCOW2-64

t_begin "what a cut file lacks is zeros to qemu-img, and an error here"
run_ok make cut.qcow2
truncate -s $((0x60000)) cut.qcow2
run_ok qemu-img convert -O raw cut.qcow2 cut.raw
run_ok qemu-io -f raw -r -c 'read -P 0 64k 64k' cut.raw
expect_no_out 'verification failed'
run_rc 1 imgtool convert -O raw cut.qcow2 ours.raw
expect_err QCOW2-51
[ ! -e ours.raw ] || fail "a result was left"

t_begin "qemu-img -r leaks destroys what a damaged pointer led to"
run_ok make lost.qcow2
put lost.qcow2 $L1 '\200\000\000\000\377\000\000\000'
cp lost.qcow2 kept.qcow2
qemu-img check -r leaks lost.qcow2 >/dev/null 2>&1
imgtool check -r safe kept.qcow2 >/dev/null 2>&1
for f in lost kept; do
	put $f.qcow2 $L1 '\200\000\000\000\000\004\000\000'
done
qemu-io -f qcow2 -r -c 'read -P 17 0 64k' lost.qcow2 >out 2>&1
grep -q 'verification failed' out || fail "the data is still there"
run_ok qemu-io -f qcow2 -r -c 'read -P 17 0 64k' kept.qcow2
expect_no_out 'verification failed'
run_ok imgtool check kept.qcow2

t_begin "an encrypted image can be described and checked without its key"
run_ok encrypted secret.qcow2
run_rc 1 qemu-img check secret.qcow2
run_ok imgtool check secret.qcow2
run_ok imgtool map secret.qcow2
run_rc 1 imgtool convert -O raw secret.qcow2 secret.raw
expect_err QCOW2-113

t_begin "a damaged bitmap does not keep the disk from being read"
run_ok make bitmap.qcow2
run_ok qemu-img bitmap --add bitmap.qcow2 b0
off=$(od -An -tx1 -v -j 0 -N 65536 bitmap.qcow2 | tr -d ' \n' |
    awk '{ print (index($0, "2385287500000018") - 1) / 2 }')
put bitmap.qcow2 $((off + 8)) '\000\000\000\000'
run_rc 1 qemu-img convert -O raw bitmap.qcow2 bitmap.raw
run_rc 1 qemu-img check bitmap.qcow2
run_ok imgtool convert -O raw bitmap.qcow2 bitmap.raw
run_ok qemu-io -f raw -r -c 'read -P 34 64k 64k' bitmap.raw
expect_no_out 'verification failed'
run_ok imgtool check bitmap.qcow2
expect_out QCOW2-100

t_begin "a name is a plain path, and not what qemu takes it for"
truncate -s 1M secret.raw
put secret.raw 0 'host'
run_ok qemu-img create -q -u -f qcow2 -F raw -b \
    'json:{"driver":"raw","file":{"driver":"file","filename":"secret.raw"}}' \
    json.qcow2 1M
run_ok qemu-img convert -O raw json.qcow2 json.raw
run_ok grep -aq host json.raw
run_rc 1 imgtool convert -f qcow2 -O raw json.qcow2 ours.raw

t_begin "a loop of backing files ends at once"
run_ok qemu-img create -q -u -f qcow2 -F qcow2 -b two.qcow2 one.qcow2 1M
run_ok qemu-img create -q -u -f qcow2 -F qcow2 -b one.qcow2 two.qcow2 1M
(
	# shellcheck disable=SC3045 # what knows no such limit fails here
	ulimit -v 400000 || exit 1
	exec timeout 20 qemu-io -f qcow2 -r -c 'read 0 512' one.qcow2
) >out 2>&1 && fail "qemu-io reads it"
run_rc 1 timeout 20 "$IMGTOOL" dd-read if=one.qcow2 of=loop.raw
expect_err 'in the chain already'
run_rc 2 imgtool check --backing-chain one.qcow2
expect_out QCOW2-108

t_begin "a data file is looked for beside the image"
mkdir dir
run_ok qemu-img create -q -f qcow2 -o data_file=data.raw dir/ext.qcow2 1M
[ -e data.raw ] || fail "qemu-img did not make it in the working directory"
run_rc 1 imgtool dd-read if=dir/ext.qcow2 of=ext.raw
expect_err 'beside the image'
mv data.raw dir/
run_ok imgtool dd-read if=dir/ext.qcow2 of=ext.raw
run_rc 1 qemu-img convert -O raw dir/ext.qcow2 ext.raw
run_ok imgtool check dir/ext.qcow2
