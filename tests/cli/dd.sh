#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool dd-read and dd-write: held against dd(1) on the raw disk.

. "$TOP/tests/lib.sh"

skip_unless qemu-img
need_mkimage

SIZE=5242880
dd if=/dev/urandom of=disk.raw bs=64k count=80 2>/dev/null
# A hole in the middle, and a disk that no block size divides well.
dd if=/dev/zero of=disk.raw bs=64k seek=20 count=40 conv=notrunc 2>/dev/null
qemu-img convert -f raw -O vpc -o force_size disk.raw disk.vhd
[ "$(qemu-img info --output=json disk.vhd | grep -c $SIZE)" -eq 1 ] ||
    fail "the disk is not of the size meant"

# ------------------------------------------------------------------------

t_begin "dd-read gives the bytes and the records of dd"
while read -r operands; do
	# shellcheck disable=SC2086 # operands
	dd if=disk.raw $operands >want 2>want.err
	for image in disk.raw disk.vhd; do
		# shellcheck disable=SC2086 # operands
		run_ok imgtool dd-read if=$image $operands
		same_bytes want "$OUT" || fail "$image $operands"
		head -n 2 want.err >want.records
		head -n 2 "$ERR" >got.records
		same_bytes want.records got.records || fail "$image $operands"
	done
done <<END

count=0
count=1
bs=1 count=7 skip=3
bs=1k count=1000
bs=1M
bs=1000 skip=5 count=3000
bs=3M
bs=3M skip=1
bs=10M
bs=7777 skip=100
bs=64k skip=19 count=3
skip=10239 count=5
skip=10240
count=1000000000000000000 bs=4k
bs=3x512 count=3
END

t_begin "suffixes of dd mean what they mean there"
for n in 3c 3w 3b 3kB 3K 3KiB 3MB 3M 3MiB 2x3 1x1k; do
	dd if=disk.raw bs=$n count=1 >want 2>/dev/null
	run_ok imgtool dd-read if=disk.vhd bs=$n count=1
	same_bytes want "$OUT" || fail "bs=$n"
	dd if=disk.raw bs=1 skip=$n count=1 >want 2>/dev/null
	[ -s want ] || continue
	run_ok imgtool dd-read if=disk.vhd bs=1 skip=$n count=1
	same_bytes want "$OUT" || fail "skip=$n"
done
# dd of coreutils 9.1 cannot have two of them.
run_ok imgtool dd-read if=disk.raw bs=2x3x4 count=1
[ "$(stat -c %s "$OUT")" -eq 24 ] || fail "2x3x4 is $(stat -c %s "$OUT")"

t_begin "numbers that are none are refused in one line"
for n in '' 0 -1 1y 1kib 0x10 x2 2x 1.5k 18446744073709551616 16E 8Ex2; do
	run_rc 1 imgtool dd-read if=disk.raw "bs=$n"
	one_line 'dd-read: '
done
for n in '' -1 1y 0x10 18446744073709551616; do
	run_rc 1 imgtool dd-read if=disk.raw "count=$n"
	one_line "dd-read: count=$n: "
	run_rc 1 imgtool dd-read if=disk.raw "skip=$n"
	one_line "dd-read: skip=$n: "
done

t_begin "a skip beyond the end is an error, at the end it is not"
run_rc 1 imgtool dd-read if=disk.vhd skip=10241
one_line 'disk\.vhd: skip is beyond the end'
[ ! -s "$OUT" ] || fail "something was read"
run_rc 1 imgtool dd-read if=disk.vhd bs=1E skip=1000
one_line 'disk\.vhd: skip is beyond the end'
run_ok imgtool dd-read if=disk.vhd skip=10240
[ ! -s "$OUT" ] || fail "something was read"

t_begin "of= is replaced when it is complete"
echo old >out.raw
ln -s out.raw out.link
run_ok imgtool dd-read if=disk.vhd of=out.link bs=64k
same_bytes disk.raw out.raw
[ -L out.link ] || fail "the link is gone"
run_rc 1 imgtool dd-read if=disk.vhd of=out.raw skip=20000
same_bytes disk.raw out.raw
run_rc 1 imgtool dd-read if=disk.vhd of=./disk.vhd
one_line '\./disk\.vhd: image and output are the same'
run_rc 1 imgtool dd-read if=disk.vhd of=no/such/dir
one_line 'no/such/dir: '

t_begin "status= says how much is told"
run_ok imgtool dd-read if=disk.raw status=none
[ ! -s "$ERR" ] || fail "none: $(cat "$ERR")"
run_ok imgtool dd-read if=disk.raw status=noxfer
[ "$(wc -l <"$ERR")" -eq 2 ] || fail "noxfer: $(cat "$ERR")"
run_ok imgtool dd-read if=disk.raw status=progress
[ "$(wc -l <"$ERR")" -eq 3 ] || fail "progress: $(cat "$ERR")"
expect_err '^5242880 bytes \(5 MiB\) copied, .* s, .*/s$'
run_rc 1 imgtool dd-read if=disk.raw status=loud
one_line 'dd-read: status'

t_begin "what cannot be read stops it there and is named"
run_ok ./mkimage "$TOP/testdata/vhd/bad-VHD-52-cut.recipe" bad.vhd
run_ok ./mkimage "$TOP/testdata/vhd/good-aligned.recipe" good.vhd
# shellcheck disable=SC2016 # for the inner shell
run_rc 1 sh -c '"$IMGTOOL" dd-read if=bad.vhd bs=1M status=none >part'
one_line 'bad\.vhd: VHD-52: .*, guest 6299648\+'
[ "$(stat -c %s part)" -eq 6299648 ] || fail "$(stat -c %s part) bytes"
run_rc 1 imgtool dd-read if=bad.vhd bs=1M status=none of=part.raw
[ ! -e part.raw ] || fail "a part is left"
run_ok ./mkimage "$TOP/testdata/vhd/unsup-differencing.recipe" diff.vhd
run_rc 1 imgtool dd-read if=diff.vhd
one_line 'diff\.vhd: VHD-100 .*"base\.vhd"'
[ ! -s "$OUT" ] || fail "a differencing image was read"

# ------------------------------------------------------------------------

dd if=/dev/urandom of=noise bs=64k count=20 2>/dev/null

t_begin "dd-write changes what dd would, in raw and VHD"
while read -r operands; do
	cp disk.raw want.raw
	# shellcheck disable=SC2086 # operands
	dd of=want.raw if=noise conv=notrunc $operands 2>want.err
	for image in disk.raw disk.vhd; do
		cp $image w.img
		# shellcheck disable=SC2086 # operands
		run_ok imgtool dd-write of=w.img if=noise $operands
		head -n 2 want.err >want.records
		head -n 2 "$ERR" >got.records
		same_bytes want.records got.records || fail "$image $operands"
		run_ok qemu-img convert -O raw w.img got.raw
		same_bytes want.raw got.raw || fail "$image $operands"
		run_ok imgtool check w.img
		cp $image w.img
		# shellcheck disable=SC2086 # operands
		cat noise | imgtool dd-write of=w.img $operands 2>"$ERR" ||
		    fail "from a pipe: $image $operands: $(cat "$ERR")"
		run_ok qemu-img convert -O raw w.img got.raw
		same_bytes want.raw got.raw || fail "pipe: $image $operands"
	done
done <<END
seek=1
bs=64k seek=20
bs=1M seek=3
bs=1000 count=5 seek=1700
bs=1 count=1 seek=5242879
bs=64k count=0
bs=64k seek=60
bs=7777 count=10 seek=3
END

t_begin "a pipe that gives little at a time is written whole"
cp disk.vhd w.img
{
	printf a
	sleep 0.2
	printf bc
} | imgtool dd-write of=w.img bs=512 seek=3000 status=none ||
    fail "it failed"
[ "$(imgtool dd-read if=w.img bs=1 skip=1536000 count=3 status=none)" = abc ] ||
    fail "not what was written"
{
	printf a
	sleep 0.2
	printf bc
} | imgtool dd-write of=w.img bs=2 count=1 seek=100 status=none
[ "$(imgtool dd-read if=w.img bs=1 skip=200 count=2 status=none)" = ab ] ||
    fail "a block is not full"

t_begin "what is known not to fit is refused before a byte is written"
for image in disk.raw disk.vhd; do
	cp $image w.img
	run_rc 1 imgtool dd-write of=w.img if=noise bs=64k seek=61
	one_line 'w\.img: 1310720 bytes do not fit'
	run_rc 1 imgtool dd-write of=w.img if=noise bs=64k count=2 seek=79
	one_line 'w\.img: '
	run_rc 1 imgtool dd-write of=w.img if=noise seek=10241
	one_line 'w\.img: seek is beyond the end'
	run_rc 1 sh -c '"$IMGTOOL" dd-write of=w.img bs=64k seek=61 <noise'
	one_line 'w\.img: 1310720 bytes do not fit'
	run_rc 1 sh -c \
	    'cat noise | "$IMGTOOL" dd-write of=w.img bs=64k seek=79 count=2'
	one_line 'w\.img: 131072 bytes do not fit'
	same_bytes $image w.img
done

t_begin "a pipe that is too long fills the disk, and this is said"
cp disk.vhd w.img
run_rc 1 sh -c \
    'cat noise | "$IMGTOOL" dd-write of=w.img bs=64k seek=61 status=none'
expect_err 'w\.img: the disk is full'
expect_err 'w\.img: 1245184 bytes were written'
cp disk.raw want.raw
dd if=noise of=want.raw bs=64k seek=61 count=19 conv=notrunc 2>/dev/null
run_ok qemu-img compare -f raw -F vpc want.raw w.img
run_ok imgtool check w.img

t_begin "dd-write never changes the size of an image"
cp disk.raw w.img
printf x >x
run_ok imgtool dd-write of=w.img if=x status=none
[ "$(stat -c %s w.img)" -eq $SIZE ] || fail "it did"
[ "$(head -c 1 w.img)" = x ] || fail "nothing was written"

t_begin "a missing image is not made, a damaged one not written"
run_rc 1 imgtool dd-write of=missing.vhd if=x
one_line 'missing\.vhd: No such file'
[ ! -e missing.vhd ] || fail "it was"
cp bad.vhd w.img
run_rc 1 imgtool dd-write of=w.img if=x
one_line 'w\.img: VHD-52 '
same_bytes bad.vhd w.img
run_rc 1 imgtool dd-write of=disk.raw if=missing
one_line 'missing: No such file'
run_rc 1 imgtool dd-write of=disk.raw if=./disk.raw
one_line '\./disk\.raw: image and input are the same'

t_begin "-f wins"
cp disk.vhd w.img
run_ok imgtool dd-write -f raw of=w.img if=x status=none
[ "$(head -c 1 w.img)" = x ] || fail "the file was not written as raw"
run_ok imgtool dd-read --format=raw if=w.img bs=1 count=1 status=none
[ "$(cat "$OUT")" = x ] || fail "the file was not read as raw"

t_begin "wrong operands are refused in one line"
run_rc 1 imgtool dd-read
one_line 'dd-read: if=IMAGE is missing'
run_rc 1 imgtool dd-write
one_line 'dd-write: of=IMAGE is missing'
run_rc 1 imgtool dd-read if=disk.raw seek=1
one_line 'dd-read: no operand seek=1'
run_rc 1 imgtool dd-write of=disk.raw skip=1
one_line 'dd-write: no operand skip=1'
run_rc 1 imgtool dd-write of=disk.raw conv=notrunc
one_line 'dd-write: no operand conv=notrunc'
run_rc 1 imgtool dd-read disk.raw
one_line 'dd-read: no operand disk\.raw'

t_begin "output that cannot be written is an error"
run_rc 1 sh -c '"$IMGTOOL" dd-read if=disk.raw status=none >/dev/full'
one_line 'standard output: No space left'
