#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Compressed qcow2 images: what imgtool packs qemu-img reads and finds sound,
# and the other way round.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq cmp

# sound FILE: neither check has anything to say.
sound()
{
	run_ok qemu-img check "$1" || return
	run_ok imgtool check --deep --output=json "$1" || return
	jq -e '[.findings[] | select(.severity != "note")] == []' \
	    "$OUT" >/dev/null || {
		fail "check of $1 has findings"
		t_show
	}
}

# piece SKIP COUNT SEEK: of $piece into disk.raw, in units of 1000 bytes.
piece()
{
	dd if="$piece" of=disk.raw bs=1000 skip="$1" count="$2" seek="$3" \
	    conv=notrunc status=none
}

# What packs well, what does not, zeros and holes, and an odd end.
truncate -s 9000123 disk.raw
yes 'the quick brown fox jumps over the lazy dog' | head -c 3M >text
openssl enc -aes-128-ctr -pass pass:x -nosalt -pbkdf2 </dev/zero 2>/dev/null |
    head -c 3M >noise
[ -s noise ] || head -c 3M /dev/urandom >noise
piece=text
piece 0 1700 100
piece 500 300 4000
piece=noise
piece 0 900 1950
piece 1000 33 4400
piece 2000 1000 6000
piece=text
piece 0 1000 7500
piece 0 1 8999
truncate -s 9000123 disk.raw

t_begin "what is packed is sound, and reads as it was"
while read -r options; do
	run_ok imgtool convert -q -c -O qcow2 -o "$options" disk.raw p.qcow2
	sound p.qcow2
	run_ok qemu-img compare -q disk.raw p.qcow2
	run_ok imgtool convert -q p.qcow2 back.raw
	# The last sector is filled.
	truncate -s 9000123 back.raw
	cmp disk.raw back.raw || fail "$options: the disk has changed"
	run_ok imgtool check --output=json p.qcow2
	[ "$(jq '."compressed-clusters"' "$OUT")" -gt 4 ] ||
	    fail "$options: next to nothing is compressed"
done <<END
compat=1.1
compat=0.10
cluster_size=512
cluster_size=4k
cluster_size=1M
compression_type=zstd
compression_type=zstd,cluster_size=4k
refcount_bits=1
refcount_bits=2
refcount_bits=64,cluster_size=8k
extended_l2=on
extended_l2=on,compression_type=zstd,cluster_size=32k
END

t_begin "it takes no more space than what qemu-img packs"
for options in compat=1.1 compression_type=zstd cluster_size=4k; do
	run_ok imgtool convert -q -c -O qcow2 -o $options disk.raw p.qcow2
	run_ok qemu-img convert -c -O qcow2 -o $options disk.raw q.qcow2
	ours=$(stat -c %s p.qcow2)
	theirs=$(stat -c %s q.qcow2)
	[ "$ours" -le $((theirs + theirs / 50 + 65536)) ] ||
	    fail "$options: $ours bytes, qemu-img's are $theirs"
done

t_begin "what qemu-img packs is read"
for options in compat=1.1 cluster_size=512 cluster_size=2M \
    compression_type=zstd compression_type=zstd,cluster_size=4k \
    compression_type=zstd,cluster_size=2M,extended_l2=on; do
	run_ok qemu-img convert -c -O qcow2 -o $options disk.raw q.qcow2
	sound q.qcow2
	run_ok imgtool convert -q q.qcow2 back.raw
	truncate -s 9000123 back.raw
	cmp disk.raw back.raw || fail "$options: the disk has changed"
done

t_begin "the same disk gives the same bytes"
run_ok imgtool convert -q -c -O qcow2 disk.raw p.qcow2
run_ok imgtool convert -q -c -O qcow2 disk.raw p2.qcow2
cmp p.qcow2 p2.qcow2 || fail "they differ"
qemu-img convert -O qcow2 disk.raw plain.qcow2
run_ok imgtool convert -q -c -O qcow2 plain.qcow2 p2.qcow2
cmp p.qcow2 p2.qcow2 || fail "it depends on how the source stores them"

t_begin "packing over an image leaves what it had in its place"
qemu-img create -q -f qcow2 old.qcow2 9000448
qemu-io -c 'write -P 3 0 3000k' -c 'write -P 4 5M 64k' old.qcow2 >/dev/null
run_ok imgtool convert -q -n -c -O qcow2 disk.raw old.qcow2
sound old.qcow2
run_ok qemu-img compare -q disk.raw old.qcow2
run_ok imgtool check --output=json old.qcow2
[ "$(jq '."compressed-clusters"' "$OUT")" -gt 4 ] || fail "nothing is packed"

t_begin "qemu-io may write over what was packed"
run_ok imgtool convert -q -c -O qcow2 disk.raw p.qcow2
cp disk.raw changed.raw
for at in 100k 1700k 4321k 8780k; do
	run_ok qemu-io -c "write -P 9 $at 3k" p.qcow2
	run_ok qemu-io -f raw -c "write -P 9 $at 3k" changed.raw
done
sound p.qcow2
run_ok qemu-img compare -q changed.raw p.qcow2

t_begin "imgtool may write over what qemu-img packed"
run_ok qemu-img convert -c -O qcow2 disk.raw q.qcow2
cp disk.raw changed.raw
truncate -s 9000448 changed.raw
for at in 100 1700 4321 8780; do
	head -c 3072 noise | run_ok imgtool dd-write of=q.qcow2 bs=1k seek=$at
	dd if=noise of=changed.raw bs=1k seek=$at count=3 conv=notrunc \
	    status=none
done
sound q.qcow2
run_ok qemu-img compare -q changed.raw q.qcow2
