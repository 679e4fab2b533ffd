#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What qemu leaves behind, by design or because it was killed, and what no
# other test here has: images of other makers are not like our own (trap T38
# of the list of what implementations fell into; Tn below are its numbers).

. "$TOP/tests/lib.sh"
FORMAT=qcow2
. "$TOP/tests/imagelib.sh"

skip_unless qemu-img qemu-io jq cmp od gzip

PLAN=$TOP/tests/interop/disk_plan.t
IO=$TOP/tests/interop/disk_io.t

# be64 FILE OFFSET: in decimal, where it is less than 2^63.
be64()
{
	echo $((0x$(peek "$1" "$2" 8)))
}

t_begin "an image whose writer was killed is read, checked, and not written to"
run_ok qemu-img create -q -f qcow2 -o lazy_refcounts=on lazy.qcow2 4M
qemu-io -f qcow2 -c 'write -P 1 0 64k' -c 'write -P 2 1M 64k' -c 'flush' \
    -c abort lazy.qcow2 >/dev/null 2>&1
[ "$(peek lazy.qcow2 79 1)" = 01 ] || fail "it is not dirty"
cp lazy.qcow2 kept
run_ok imgtool convert -f qcow2 -O raw lazy.qcow2 got.raw
expect_err 'lazy\.qcow2: warning: QCOW2-12 '
words x 1 >data
run_ok qemu-img create -q -f raw want.raw 4M
run_ok qemu-io -f raw -c 'write -P 1 0 64k' -c 'write -P 2 1M 64k' want.raw
same_bytes got.raw want.raw
run_rc 2 imgtool check -f qcow2 lazy.qcow2
expect_out '^corrupt QCOW2-12 at 72: '
unwritable lazy.qcow2 QCOW2-12
same_bytes lazy.qcow2 kept

t_begin "once qemu-img has repaired it, it is written to, and lazy it stays (T13)"
run_rc 0 qemu-img check -q -r all lazy.qcow2
clean lazy.qcow2
put lazy.qcow2 2097152 lazy 100000
[ "$(peek lazy.qcow2 72 16)" = 00000000000000000000000000000001 ] ||
    fail "features: $(peek lazy.qcow2 72 16)"
clean lazy.qcow2
alike lazy.qcow2

t_begin "repaired by imgtool it is sound, and not larger than need be (T41)"
run_ok qemu-img create -q -f qcow2 -o lazy_refcounts=on huge.qcow2 512T
qemu-io -f qcow2 -c 'write -P 1 0 64k' -c 'write -P 2 511T 64k' -c 'flush' \
    -c abort huge.qcow2 >/dev/null 2>&1
for f in kept huge.qcow2; do
	cp $f mended.qcow2
	was=$(du -k mended.qcow2 | awk '{ print $1 }')
	run_rc 2 imgtool check -f qcow2 mended.qcow2
	run_ok imgtool check -f qcow2 -r safe mended.qcow2
	clean mended.qcow2
	[ "$(peek mended.qcow2 79 1)" = 00 ] || fail "$f: still dirty"
	is=$(du -k mended.qcow2 | awk '{ print $1 }')
	[ "$is" -le $((was + 1024)) ] || fail "$f: $is KiB, it were $was"
	put mended.qcow2 2097152 mended 100000
	clean mended.qcow2
done
for at in 0 561850441793536; do
	qemu-io -f qcow2 -c "read -P $((at > 0 ? 2 : 1)) $at 64k" \
	    mended.qcow2 | grep -q 'verification failed' &&
	    fail "$at: other bytes"
done

t_begin "killed without lazy refcounts it is sound, or space is lost; both agree"
for p in 0 1 2 3 4 5 6 7; do
	"$PLAN" fill "$p" p$p $((3900 + p * 37))
done
"$PLAN" plan 77 8388608 4096 60 >plan
for n in 1 3 7 15 30 60; do
	rm -f killed.qcow2
	run_ok qemu-img create -q -f qcow2 -o cluster_size=4k killed.qcow2 8M
	{ head -n $n plan; echo abort; } |
	    qemu-io -f qcow2 killed.qcow2 >/dev/null 2>&1
	status=0
	qemu-img check -q -f qcow2 killed.qcow2 >/dev/null 2>&1 || status=$?
	[ $status -eq 0 ] || [ $status -eq 3 ] || fail "qemu-img: $status"
	run_rc $status imgtool check -f qcow2 --deep killed.qcow2
	alike killed.qcow2
	put killed.qcow2 4194304 killed 1000000
	run_rc $status imgtool check -f qcow2 --deep killed.qcow2
	run_rc $status qemu-img check -q -f qcow2 killed.qcow2
	alike killed.qcow2
done

t_begin "an image that is marked corrupt is read and not written to"
run_ok qemu-img create -q -f qcow2 marked.qcow2 4M
run_ok qemu-io -f qcow2 -c 'write -P 3 100k 200k' marked.qcow2
poke marked.qcow2 79 2
alike marked.qcow2
run_rc 2 imgtool check -f qcow2 marked.qcow2
expect_out '^corrupt QCOW2-13 '
unwritable marked.qcow2 QCOW2-13

t_begin "an unknown incompatible feature is refused by its name"
# The name table is at 112 + 8; its first entry is that of bit 0.
run_ok qemu-img create -q -f qcow2 bit.qcow2 4M
[ "$(peek bit.qcow2 112 4)" = 6803f857 ] || fail "no table of names"
poke bit.qcow2 121 11
printf 'teleportation\0' | dd of=bit.qcow2 bs=1 seek=122 conv=notrunc status=none
poke bit.qcow2 78 2
qemu-img info bit.qcow2 2>&1 | grep -q teleportation ||
    fail "qemu-img knows no teleportation"
for c in info map 'dd-read count=1'; do
	# shellcheck disable=SC2086 # a command and its operand
	case $c in
	dd-read*) run_rc 1 imgtool $c -f qcow2 if=bit.qcow2 ;;
	*)	run_rc 1 imgtool $c -f qcow2 bit.qcow2 ;;
	esac
	one_line 'bit\.qcow2: QCOW2-6 .*teleportation'
done
run_rc 2 imgtool check -f qcow2 bit.qcow2
expect_out '^fatal QCOW2-6 .*teleportation'

t_begin "one without a name is refused by its number"
poke bit.qcow2 77 200
poke bit.qcow2 78 0
run_rc 1 imgtool info -f qcow2 bit.qcow2
expect_err 'bit\.qcow2: QCOW2-6 .*0x800000'

# On a machine with much to do qemu-img gives up measuring its speed.
encrypted()
{
	for try in 1 2 3 4 5 6 7 8; do
		qemu-img create -q --object secret,id=s,data=secret -f qcow2 \
		    -o encrypt.format="$1",encrypt.key-secret=s \
		    -o "$2" "$3" 1M && return 0
		echo "attempt $try failed"
	done
	return 1
}

t_begin "encrypted images are described without a key, and never read as plain"
run_ok encrypted aes compat=1.1 aes.qcow2
run_ok encrypted luks encrypt.iter-time=10 luks.qcow2
for f in aes luks; do
	run_ok qemu-io --object secret,id=s,data=secret --image-opts \
	    driver=qcow2,encrypt.format=$f,encrypt.key-secret=s,file.filename=$f.qcow2 \
	    -c 'write -P 5 128k 64k'
	run_ok imgtool info -f qcow2 --output=json $f.qcow2
	field '[.encrypted, ."format-specific".data.encrypt.format]' \
	    "[true,\"$f\"]"
	run_ok imgtool check -f qcow2 --deep $f.qcow2
	run_ok imgtool map -f qcow2 --output=json $f.qcow2
	field 'map(select(.data) | [.start, .length])' '[[131072,65536]]'
	unwritable $f.qcow2 QCOW2-113
	run_rc 1 imgtool convert -f qcow2 $f.qcow2 no.raw
	one_line "$f\\.qcow2: QCOW2-113 "
	[ ! -e no.raw ] || fail "a result was made"
	run_rc 1 imgtool dd-read -f qcow2 if=$f.qcow2 count=1
	one_line "$f\\.qcow2: QCOW2-113 "
	run_rc 2 imgtool compare $f.qcow2 $f.qcow2
	one_line "$f\\.qcow2: QCOW2-113 "
done

t_begin "zstd stays zstd when the header is written (T12)"
words zstd 300000 >half
head -c 300000 /dev/urandom | cat half - >raw.raw
run_ok qemu-img convert -c -f raw -O qcow2 -o compression_type=zstd raw.raw \
    zstd.qcow2
alike zstd.qcow2
put zstd.qcow2 65536 z 70000
[ "$(peek zstd.qcow2 72 8)$(peek zstd.qcow2 104 1)" = 000000000000000801 ] ||
    fail "the type or its bit is lost"
clean zstd.qcow2
alike zstd.qcow2

t_begin "a deflate stream with distances up to 32 KiB is read as qemu reads it"
head -c 8192 /dev/urandom >block
cat block block >raw.raw
truncate -s 65536 raw.raw
run_ok qemu-img convert -c -f raw -O qcow2 raw.raw far.qcow2
gzip -9 -n <raw.raw | tail -c +11 | head -c -8 >stream
off=$(be64 far.qcow2 $((0x40000)))
off=$((off & 0x3fffffffffffff))
[ "$(wc -c <stream)" -lt 9000 ] || fail "the stream is not shorter"
run_ok dd if=stream of=far.qcow2 bs=64k oflag=seek_bytes seek=$off conv=notrunc
alike far.qcow2
same_bytes got.raw raw.raw
clean far.qcow2

t_begin "offsets above 4 TiB are written and read by both (T36)"
# All clusters have their place; behind a snapshot new ones come after that.
run_ok qemu-img create -q -f qcow2 \
    -o cluster_size=2M,preallocation=metadata high.qcow2 5T
run_ok qemu-img snapshot -c one high.qcow2
put high.qcow2 0 low 3000000
put high.qcow2 5497553138688 high 5000000
# 4998 GiB are 5366561636352 bytes.
run_ok qemu-io -f qcow2 -c 'write -P 7 4998G 1M' -c 'write -z -u 2048G 4M' \
    high.qcow2
put high.qcow2 5366562684416 seam 4096
run_ok imgtool map -f qcow2 --output=json -s 0 -l 2M high.qcow2
[ "$(jq '.[0].offset > 5497558138880' "$OUT")" = true ] ||
    fail "not above 5 TiB: $(cat "$OUT")"
run_ok imgtool compare -f qcow2 -F qcow2 high.qcow2 high.qcow2
for at in 0 5497553138688 5497558138368 5366561636352 5366562684416 \
    5366562684928; do
	qemu-io -f qcow2 -r -c "read -v $at 512" high.qcow2 |
	    grep '^[0-9a-f]*:' | cut -d ' ' -f 3-18 | tr -d ' \n' >want
	imgtool dd-read -f qcow2 if=high.qcow2 skip=$((at / 512)) count=1 \
	    status=none | od -An -v -tx1 | tr -d ' \n' >got
	same_bytes want got
	[ "$(head -c 8 got)" != 00000000 ] || fail "zeros at $at"
done
run_ok qemu-img check -q -f qcow2 high.qcow2
run_ok imgtool check -f qcow2 high.qcow2
rm -f high.qcow2

t_begin "a disk of 1 PiB is written at both ends, and between, by both"
run_ok qemu-img create -q -f qcow2 vast.qcow2 1P
put vast.qcow2 0 start 70000
put vast.qcow2 $((1125899906842624 - 1024)) end 1024
run_ok qemu-io -f qcow2 -c 'write -P 7 512T 64k' -c 'write -P 8 1023T 64k' \
    vast.qcow2
put vast.qcow2 $((512 * 1099511627776 + 512)) middle 512
run_ok qemu-img check -q -f qcow2 vast.qcow2
run_ok imgtool check -f qcow2 vast.qcow2
run_ok imgtool map -f qcow2 --output=json vast.qcow2
field 'map(select(.data) | .start / 65536 | floor) | unique' \
    '[0,8589934592,17163091968,17179869183]'
imgtool dd-read -f qcow2 if=vast.qcow2 bs=1024 status=none \
    skip=$((1125899906842624 / 1024 - 1)) >got
words end 1024 >want
same_bytes got want
[ "$(du -k vast.qcow2 | awk '{ print $1 }')" -lt 20000 ] ||
    fail "it takes $(du -k vast.qcow2) KiB"

t_begin "headers of 104, 112 and 128 bytes are the same image (T9)"
words header 200000 >raw.raw
run_ok qemu-img convert -f raw -O qcow2 raw.raw h112.qcow2
for n in 104 128; do
	cp h112.qcow2 h$n.qcow2
	# What is between the header and its new end, with the extensions.
	dd if=h112.qcow2 of=h$n.qcow2 bs=1 skip=112 seek=$n count=800 \
	    conv=notrunc status=none
done
poke h104.qcow2 103 150
poke h128.qcow2 103 200
poke h128.qcow2 112 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 2
for n in 104 112 128; do
	clean h$n.qcow2
	alike h$n.qcow2
	cmp -n 200000 got.raw raw.raw || fail "h$n: other bytes"
	run_ok imgtool info -f qcow2 --output=json h$n.qcow2
	field '."format-specific".data."header-length"' $n
done

t_begin "fields that nobody knows stay as they are when the header is written"
poke h128.qcow2 94 100
put h128.qcow2 0 unknown 1000
[ "$(peek h128.qcow2 112 16)" = 00000000000000010000000000000002 ] ||
    fail "they became $(peek h128.qcow2 112 16)"
[ "$(peek h128.qcow2 88 8)" = 0000000000000000 ] ||
    fail "an unknown autoclear bit is still there (T14)"
clean h128.qcow2
alike h128.qcow2

t_begin "a header of version 2 is one, with its extensions at 72 (T10, T11)"
run_ok qemu-img create -q -f raw base.raw 1M
run_ok qemu-io -f raw -c 'write -P 17 0 1M' base.raw
run_ok qemu-img create -q -f qcow2 -o compat=0.10 -b base.raw -F raw v2.qcow2
[ "$(peek v2.qcow2 72 4)" = e2792aca ] || fail "no backing format at 72"
cp v2.qcow2 v2
put v2.qcow2 100352 two 5000
cmp -n 512 v2 v2.qcow2 || fail "the header is another one"
clean v2.qcow2
alike v2.qcow2

t_begin "bitmaps are listed, and what they say ends with the first write (T14)"
run_ok qemu-img create -q -f qcow2 bits.qcow2 4M
run_ok qemu-img bitmap --add bits.qcow2 daily
run_ok qemu-img bitmap --add -g 32k bits.qcow2 weekly
run_ok qemu-io -f qcow2 -c 'write -P 1 0 1M' bits.qcow2
run_ok imgtool info -f qcow2 --output=json bits.qcow2
field '[."format-specific".data.bitmaps[] | [.name, .granularity]]' \
    '[["daily",65536],["weekly",32768]]'
clean bits.qcow2
cp bits.qcow2 before
run_ok imgtool convert -f qcow2 bits.qcow2 got.raw
run_ok imgtool dd-read -f qcow2 if=bits.qcow2 of=got.raw
same_bytes bits.qcow2 before
put bits.qcow2 2097152 bits 512
[ "$(peek bits.qcow2 88 8)" = 0000000000000000 ] || fail "still consistent"
run_ok imgtool info -f qcow2 --output=json bits.qcow2
field '."format-specific".data | has("bitmaps")' false
run_rc 3 imgtool check -f qcow2 bits.qcow2
expect_no_out '^(warning|corrupt|fatal) '

t_begin "qemu accepts that, and takes the space back"
alike bits.qcow2
cp got.raw before.raw
run_rc 3 qemu-img check -q -f qcow2 bits.qcow2
run_ok qemu-img check -q -f qcow2 -r leaks bits.qcow2
clean bits.qcow2
alike bits.qcow2
same_bytes got.raw before.raw
run_ok imgtool info -f qcow2 --output=json bits.qcow2
field '."format-specific".data | has("bitmaps")' false

t_begin "qemu does so without losing the snapshots"
# Beside an extension that is only stale, qemu 7.2 gives them up.
run_ok qemu-img create -q -f qcow2 kept.qcow2 4M
run_ok qemu-img bitmap --add kept.qcow2 daily
run_ok qemu-io -f qcow2 -c 'write -P 1 0 1M' kept.qcow2
run_ok qemu-img snapshot -c kept kept.qcow2
put kept.qcow2 2097152 bits 512
run_ok qemu-img check -q -f qcow2 -r leaks kept.qcow2
run_ok qemu-img snapshot -l kept.qcow2
expect_out ' kept '

t_begin "a snapshot with the state of a machine is the disk alone"
# 512 MiB of disk are one L1 entry: data behind them becomes the state once
# the snapshot says that its disk is smaller.
run_ok qemu-img create -q -f qcow2 vm.qcow2 1G
run_ok qemu-io -f qcow2 -c 'write -P 1 0 1M' -c 'write -P 2 512M 128k' vm.qcow2
run_ok qemu-img snapshot -c state vm.qcow2
run_ok qemu-img resize -q --shrink -f qcow2 vm.qcow2 1M
run_ok qemu-io -f qcow2 -c 'write -P 3 64k 64k' vm.qcow2
snap=$(be64 vm.qcow2 64)
[ "$(be64 vm.qcow2 $((snap + 48)))" = 1073741824 ] || fail "no size there"
poke vm.qcow2 $((snap + 32)) 0 2 0 0
poke vm.qcow2 $((snap + 40)) 0 0 0 0 0 2 0 0
poke vm.qcow2 $((snap + 48)) 0 0 0 0 0 20 0 0
clean vm.qcow2
run_ok imgtool info -f qcow2 --output=json vm.qcow2
field '.snapshots[0]."vm-state-size"' 131072
alike vm.qcow2
for l in state 1; do
	run_ok imgtool convert -f qcow2 -l $l vm.qcow2 got.raw
	run_ok qemu-img convert -f qcow2 -l $l -O raw vm.qcow2 want.raw
	same_bytes got.raw want.raw
	[ "$(wc -c <got.raw)" -eq 1048576 ] || fail "not the disk"
done
put vm.qcow2 0 vm 200000
clean vm.qcow2
run_ok imgtool convert -f qcow2 -l state vm.qcow2 got.raw
same_bytes got.raw want.raw

t_begin "a last cluster that the end of the file cuts ends with zeros (T34)"
words cut 262144 >raw.raw
run_ok qemu-img convert -f raw -O qcow2 raw.raw cut.qcow2
end=$(wc -c <cut.qcow2)
[ "$end" -eq 589824 ] || fail "data do not end at 589824: $end"
truncate -s $((end - 10001)) cut.qcow2
alike cut.qcow2
head -c $((262144 - 10001)) raw.raw >want.raw
truncate -s 262144 want.raw
same_bytes got.raw want.raw
run_ok imgtool check -f qcow2 cut.qcow2
expect_out '^note QCOW2-52 '
put cut.qcow2 261632 end 512
dd if=data of=want.raw bs=512 seek=511 conv=notrunc status=none
alike cut.qcow2
same_bytes got.raw want.raw
clean cut.qcow2

t_begin "one long read sees what an overlay has in the middle (T39)"
words base 1048576 >base.raw
run_ok qemu-img create -q -f qcow2 -b base.raw -F raw over.qcow2
run_ok qemu-io -f qcow2 -c 'write -P 9 192k 64k' -c 'write -z 512k 64k' \
    -c 'write -P 10 1023k 1k' over.qcow2
run_ok qemu-img convert -f qcow2 -O raw over.qcow2 want.raw
run_ok imgtool dd-read -f qcow2 if=over.qcow2 of=got.raw bs=1M
same_bytes got.raw want.raw
differ got.raw base.raw

t_begin "a backing file is beside the overlay, whatever the directory (T7)"
mkdir -p far/away
mv base.raw over.qcow2 far/away
words decoy 1048576 >base.raw
alike far/away/over.qcow2
mkdir other
(cd other && imgtool convert -f qcow2 -O raw ../far/away/over.qcow2 got.raw) ||
    fail "from another directory"
same_bytes other/got.raw want.raw

t_begin "a backing file that is shorter ends with zeros, to the byte (T6, T44)"
words short 100000 >short.raw
run_ok qemu-img create -q -f qcow2 -b short.raw -F raw tail.qcow2 1M
alike tail.qcow2
cmp -n 100000 got.raw short.raw || fail "not the backing file"
run_ok imgtool dd-read -f qcow2 if=tail.qcow2 of=got bs=1 skip=99990 count=40
{ tail -c 10 short.raw; head -c 30 /dev/zero; } >want
same_bytes got want
put tail.qcow2 98816 tail 512
alike tail.qcow2
cmp -n 671 got.raw short.raw 99329 99329 || fail "not copied to its end"
run_ok imgtool dd-read -f qcow2 if=tail.qcow2 of=got bs=65536 skip=15
[ "$(wc -c <got)" -eq 65536 ] || fail "no last cluster"

t_begin "tables by the thousand go through a small cache (T37)"
run_ok qemu-img create -q -f qcow2 -o cluster_size=512 small.qcow2 32M
rm -f raw.raw
truncate -s 32M raw.raw
for round in 1 2; do
	"$PLAN" plan $round 33554432 65536 60 >plan
	run_ok "$IO" img qcow2 0 plan raw.raw small.qcow2 8
done
run_ok "$IO" same qcow2 0 raw.raw small.qcow2 ''
run_ok qemu-img compare -f raw -F qcow2 raw.raw small.qcow2
clean small.qcow2

t_begin "a file may be much longer than its disk (T49)"
run_ok qemu-img create -q -f qcow2 long.qcow2 1M
for n in 1 2 3 4 5 6 7 8; do
	run_ok qemu-io -f qcow2 -c "write -P $n 0 1M" long.qcow2
	run_ok qemu-img snapshot -c s$n long.qcow2
done
run_ok qemu-img snapshot -d s3 long.qcow2
run_ok qemu-img snapshot -d s4 long.qcow2
[ "$(wc -c <long.qcow2)" -gt 8388608 ] || fail "it is not long"
put long.qcow2 512 long 600000
clean long.qcow2
alike long.qcow2
run_ok imgtool convert -f qcow2 -l s5 long.qcow2 got.raw
run_ok qemu-img convert -f qcow2 -l s5 -O raw long.qcow2 want.raw
same_bytes got.raw want.raw

t_begin "a header may have more than 4096 bytes of extensions (T52)"
words ext 8192 >ext
cp h112.qcow2 ext.qcow2
dd if=h112.qcow2 of=ext.qcow2 bs=1 skip=112 seek=8312 count=800 conv=notrunc \
    status=none
poke ext.qcow2 112 21 42 63 104 0 0 40 0
dd if=ext of=ext.qcow2 bs=8 seek=15 conv=notrunc status=none
clean ext.qcow2
put ext.qcow2 65536 ext 512
tail -c +121 ext.qcow2 | head -c 8192 | cmp - ext || fail "it is lost"
clean ext.qcow2
alike ext.qcow2
