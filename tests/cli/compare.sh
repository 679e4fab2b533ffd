#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool compare: held against qemu-img compare and cmp(1).

. "$TOP/tests/lib.sh"

skip_unless qemu-img
need_mkimage

# like_qemu [OPTION] A B: the same text and status.  qemu-img names the
# sector that differs, we the byte.
like_qemu()
{
	status=0
	qemu-img compare -f raw -F raw "$@" >want.txt 2>/dev/null || status=$?
	run_rc $status imgtool compare -f raw -F raw "$@"
	awk '/^Content mismatch/ {
		n = $NF + 0
		$NF = n - n % 512 "!"
	} { print }' "$OUT" >got.txt
	diff -u want.txt got.txt || fail "qemu-img compare $* differs"
}

dd if=/dev/urandom of=a.raw bs=64k count=32 2>/dev/null
cp a.raw same.raw
cp a.raw other.raw
printf '\377\0' | dd of=other.raw bs=1 seek=1000000 conv=notrunc 2>/dev/null
at=$(($(cmp a.raw other.raw | sed 's/.* \([0-9]*\),.*/\1/') - 1))
cp a.raw longer.raw
truncate -s 3M longer.raw
cp longer.raw tail.raw
printf x | dd of=tail.raw bs=1 seek=3000000 conv=notrunc 2>/dev/null
truncate -s 2M hole.raw
cp --sparse=never hole.raw zeros.raw

# ------------------------------------------------------------------------

t_begin "equal images are identical, whatever their format"
like_qemu a.raw same.raw
expect_out '^Images are identical\.$'
qemu-img convert -f raw -O vpc -o force_size a.raw a.vhd
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size a.raw fix.vhd
run_ok imgtool compare a.raw a.vhd
expect_out '^Images are identical\.$'
run_ok imgtool compare fix.vhd a.vhd

t_begin "the first byte that differs is named, and the status is 1"
like_qemu a.raw other.raw
expect_out "^Content mismatch at offset $at!\$"
run_rc 1 imgtool compare a.vhd other.raw
expect_out "^Content mismatch at offset $at!\$"
run_rc 1 imgtool compare other.raw a.vhd
expect_out "^Content mismatch at offset $at!\$"

t_begin "a difference in the first and in the last byte is found"
for at in 0 2097151; do
	cp a.raw b.raw
	dd if=a.raw bs=1 skip=$at count=1 2>/dev/null | tr '\0-\377' '\1-\377\0' |
	    dd of=b.raw bs=1 seek=$at conv=notrunc 2>/dev/null
	run_rc 1 imgtool compare a.raw b.raw
	expect_out "^Content mismatch at offset $at!\$"
done

t_begin "a longer image is equal if the rest is zeros"
like_qemu a.raw longer.raw
like_qemu longer.raw a.raw
like_qemu a.raw tail.raw
expect_out '^Content mismatch at offset 3000000!$'
like_qemu tail.raw a.raw

t_begin "-s wants sizes and allocation to be the same"
like_qemu -s a.raw same.raw
like_qemu -s a.raw longer.raw
run_rc 1 imgtool compare -s hole.raw zeros.raw
expect_out '^Strict mode: Offset 0 block status mismatch!$'
run_ok imgtool compare hole.raw zeros.raw
run_rc 1 imgtool compare --strict a.raw other.raw
expect_out '^Content mismatch'

t_begin "-q prints nothing and the status is the same"
run_ok imgtool compare -q a.raw same.raw
[ ! -s "$OUT" ] || fail "$(cat "$OUT")"
run_rc 1 imgtool compare -q a.raw other.raw
[ ! -s "$OUT" ] || fail "$(cat "$OUT")"
run_ok imgtool compare --quiet a.raw longer.raw
[ ! -s "$OUT" ] || fail "$(cat "$OUT")"

t_begin "what cannot be opened is status 2, in one line"
run_rc 2 imgtool compare a.raw missing.raw
one_line 'missing\.raw: No such file'
run_rc 2 imgtool compare missing.raw a.raw
one_line 'missing\.raw: No such file'
printf 'conectix' >short.vhd
run_rc 2 imgtool compare -F vhd a.raw short.vhd
one_line 'short\.vhd: VHD-1[: ]'
run_ok ./mkimage "$TOP/testdata/vhd/unsup-differencing.recipe" diff.vhd
run_rc 2 imgtool compare diff.vhd a.raw
one_line 'diff\.vhd: VHD-100 '

t_begin "what cannot be read is status 4 and named with its row"
run_ok ./mkimage "$TOP/testdata/vhd/bad-VHD-52-cut.recipe" bad.vhd
run_rc 4 imgtool compare bad.vhd bad.vhd
one_line 'bad\.vhd: VHD-52: .*, guest 6299648\+'
run_ok ./mkimage "$TOP/testdata/vhd/good-aligned.recipe" good.vhd
run_rc 4 imgtool compare good.vhd bad.vhd
one_line 'bad\.vhd: VHD-52: '

t_begin "each image has its own format"
run_rc 1 imgtool compare -f raw a.vhd a.raw
run_rc 1 imgtool compare -F raw a.raw a.vhd
run_ok imgtool compare -f vpc -F raw a.vhd a.raw
run_ok imgtool compare --format=vhd --second-format=raw a.vhd a.raw

t_begin "wrong options are status 2, in one line"
run_rc 2 imgtool compare a.raw
one_line 'compare: '
run_rc 2 imgtool compare a.raw a.raw a.raw
one_line 'compare: '
run_rc 2 imgtool compare -x a.raw a.raw
one_line 'compare: no option -x'

t_begin "a result that could not be printed is status 2"
[ -c /dev/full ] || skip "no /dev/full here"
status=0
imgtool compare a.raw same.raw >/dev/full 2>"$ERR" || status=$?
[ $status -eq 2 ] || fail "status $status"
one_line 'standard output: '
