#!/bin/sh
# SPDX-License-Identifier: ISC
#
# info, map and check of qcow2 images of every kind that qemu-img makes, held
# against what qemu-img says of the same file.

. "$TOP/tests/lib.sh"
. "$TOP/tests/agreelib.sh"

skip_unless qemu-img qemu-io jq

dd if=/dev/urandom of=noise bs=64k count=3 2>/dev/null

# fill FILE: some of everything that this version has.
fill()
{
	run_ok qemu-io -f qcow2 -c 'write -s noise 64k 192k' \
	    -c 'write -P 3 1M 1k' -c 'write -s noise 3000k 130k' \
	    -c 'write -P 7 2M 300k' "$1"
}

# ------------------------------------------------------------------------

for o in compat=0.10 compat=1.1 cluster_size=512 cluster_size=4k \
    cluster_size=2M refcount_bits=1 refcount_bits=64 lazy_refcounts=on \
    extended_l2=on,cluster_size=16k preallocation=metadata \
    preallocation=falloc compression_type=zstd; do
	t_begin "an image with $o is told as qemu-img tells it"
	rm -f i.qcow2
	run_ok qemu-img create -q -f qcow2 -o $o i.qcow2 5M
	all_agree i.qcow2
	fill i.qcow2
	all_agree i.qcow2
done

t_begin "zeros are, in both ways that they are stored"
run_ok qemu-img create -q -f qcow2 z.qcow2 5M
fill z.qcow2
run_ok qemu-io -c 'write -z 64k 64k' -c 'write -z -u 128k 64k' \
    -c 'write -z 4M 256k' z.qcow2
all_agree z.qcow2

t_begin "zeros in subclusters are"
run_ok qemu-img create -q -f qcow2 -o extended_l2=on s.qcow2 5M
fill s.qcow2
run_ok qemu-io -c 'write -z 66k 4k' -c 'write -z -u 80k 10k' \
    -c 'write -P 1 4M 2k' -c 'discard 2M 10k' s.qcow2
all_agree s.qcow2

t_begin "a compressed image is"
run_ok qemu-img create -q -f raw raw.img 5M
run_ok qemu-io -f raw -c 'write -P 1 0 2M' -c 'write -s noise 3M 192k' raw.img
run_ok qemu-img convert -c -O qcow2 raw.img c.qcow2
all_agree c.qcow2
run_ok imgtool map --output=json c.qcow2
field 'map(select(.compressed) | .length) | add' 2097152
field 'map(select(.compressed and has("offset"))) | length' 0

t_begin "snapshots are"
run_ok qemu-img create -q -f qcow2 n.qcow2 5M
fill n.qcow2
run_ok qemu-img snapshot -c first n.qcow2
run_ok qemu-io -c 'write -P 9 0 100k' n.qcow2
run_ok qemu-img snapshot -c 'the second, long enough' n.qcow2
all_agree n.qcow2

t_begin "the snapshots' names and numbers are those of qemu-img"
run_ok imgtool info --output=json n.qcow2
field '.snapshots | map(.name)' '["first","the second, long enough"]'
field '.snapshots | map(.id)' '["1","2"]'

t_begin "bitmaps are"
run_ok qemu-img create -q -f qcow2 b.qcow2 5M
run_ok qemu-img bitmap --add b.qcow2 one
run_ok qemu-img bitmap --add --disable -g 128k b.qcow2 two
fill b.qcow2
all_agree b.qcow2

t_begin "an image with an external data file is"
run_ok qemu-img create -q -f qcow2 -o data_file=ext.raw e.qcow2 5M
fill e.qcow2
all_agree e.qcow2

t_begin "one whose data file is raw is"
run_ok qemu-img create -q -f qcow2 -o data_file=r.raw,data_file_raw=on \
    r.qcow2 5M
fill r.qcow2
all_agree r.qcow2

t_begin "one with a backing file is, wherever it is opened from"
run_ok qemu-img create -q -f qcow2 -b n.qcow2 -F qcow2 o.qcow2
run_ok qemu-io -c 'write -P 9 4M 64k' o.qcow2
all_agree o.qcow2
mkdir d
run_ok qemu-img create -q -f qcow2 -b ../o.qcow2 -F qcow2 d/p.qcow2 6M
info_agrees d/p.qcow2
field '."full-backing-filename"' '"d/../o.qcow2"'
text_agrees d/p.qcow2
expect_out '^backing file: \.\./o\.qcow2 \(actual path: d/\.\./o\.qcow2\)$'

t_begin "its chain is, a block or an object for each image"
qemu-img info --backing-chain --output=json d/p.qcow2 >want.json
run_ok imgtool info -f qcow2 --backing-chain --output=json d/p.qcow2
[ "$(jq 'map(."virtual-size")' want.json)" = \
    "$(jq 'map(."virtual-size")' "$OUT")" ] || fail "other images"
field 'map(.filename)' '["d/p.qcow2","d/../o.qcow2","d/../n.qcow2"]'
run_ok imgtool info -f qcow2 --backing-chain d/p.qcow2
[ "$(grep -c '^image: ' "$OUT")" -eq 3 ] || fail "not three blocks"
[ "$(grep -c '^$' "$OUT")" -eq 2 ] || fail "not an empty line between them"
[ "$(qemu-img info --backing-chain d/p.qcow2 | grep '^image: ')" = \
    "$(grep '^image: ' "$OUT")" ] || fail "other names than qemu-img has"

t_begin "one that was not closed is said to be so"
run_ok qemu-img create -q -f qcow2 -o lazy_refcounts=on l.qcow2 5M
qemu-io -c 'write -P 9 0 64k' -c 'flush' -c abort l.qcow2 >/dev/null 2>&1
info_agrees l.qcow2
field '."dirty-flag"' true
text_agrees l.qcow2
expect_out '^cleanly shut down: no$'

t_begin "lost space is counted alike"
cp n.qcow2 leak.qcow2
run_ok qemu-io -c 'write -P 1 4500k 64k' leak.qcow2
# Forget a snapshot: the number of them is at 60.
printf '\0\0\0\1' | dd of=leak.qcow2 bs=1 seek=60 conv=notrunc 2>/dev/null
check_agrees leak.qcow2 3
[ "$(jq .leaks want.json)" -gt 3 ] || fail "too few leaks to tell anything"

t_begin "an encrypted image is told of, and not read"
cp z.qcow2 aes.qcow2
printf '\0\0\0\1' | dd of=aes.qcow2 bs=1 seek=32 conv=notrunc 2>/dev/null
run_ok imgtool info --output=json aes.qcow2
field .encrypted true
run_ok imgtool info aes.qcow2
expect_out '^encrypted: yes$'
run_ok imgtool check aes.qcow2
run_ok imgtool map aes.qcow2
run_rc 1 imgtool convert aes.qcow2 no.raw
one_line 'aes\.qcow2: QCOW2-113 '
[ ! -e no.raw ] || fail "a result was made"
run_rc 1 imgtool dd-write of=aes.qcow2 if=noise
one_line 'aes\.qcow2: QCOW2-113 '

t_begin "-c makes qcow2 small, and what cannot be compressed says so"
run_ok imgtool convert -O qcow2 raw.img plain.qcow2
run_ok imgtool convert -c -O qcow2 raw.img packed.qcow2
run_ok qemu-img compare -f raw -F qcow2 raw.img packed.qcow2
[ "$(stat -c %s packed.qcow2)" -lt "$(stat -c %s plain.qcow2)" ] ||
    fail "nothing became smaller"
run_ok qemu-img check packed.qcow2
for fmt in raw vhd; do
	run_rc 1 imgtool convert -c -O $fmt raw.img no.img
	one_line "no\\.img: $fmt has no compression"
	[ ! -e no.img ] || fail "a result was made"
done
run_rc 1 imgtool convert -c --size 1M -O qcow2 - no.img </dev/null
one_line 'convert: -c '

t_begin "the check takes no more memory than it may"
run_rc 1 imgtool check --max-memory 100k z.qcow2
one_line 'z\.qcow2: .*--max-memory'
run_ok imgtool check --max-memory 16M z.qcow2
run_ok imgtool check --max-memory 900G z.qcow2
run_rc 1 imgtool check --max-memory 0 z.qcow2
one_line 'check: --max-memory'
