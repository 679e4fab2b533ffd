#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool info: held against qemu-img info, stat(1), and the facts that the
# images were made from.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq
need_mkimage

# agree FILE FMT: each field of qemu-img's object is in ours, the same.
agree()
{
	qemu-img info -f "$2" --output=json "$1" >want.json ||
	    fail "qemu-img cannot read $1"
	run_ok imgtool info --output=json "$1"
	jq -e -n --slurpfile a want.json --slurpfile b "$OUT" '
	    $a[0] | del(.["format-specific"]) | to_entries | length >= 5 and
	    all(.value == $b[0][.key])' >/dev/null ||
	    fail "not as qemu-img has it: $(jq -c . want.json) $(jq -c . "$OUT")"
}

# ------------------------------------------------------------------------

t_begin "info of a raw image has qemu-img's fields and values"
truncate -s 1M a.raw
printf x | dd of=a.raw bs=1 seek=70000 conv=notrunc 2>/dev/null
agree a.raw raw
field '[.schema, ."format-name", ."virtual-size"]' '[1,"raw",1048576]'

t_begin "info of a dynamic VHD has qemu-img's fields and values"
run_ok qemu-img create -q -f vpc dyn.vhd 40M
dd if=/dev/urandom of=noise bs=64k count=1 2>/dev/null
run_ok qemu-io -f vpc -c 'write -s noise 5M 64k' dyn.vhd
agree dyn.vhd vpc
field '[.schema, .format, ."format-name"]' '[1,"vpc","vhd"]'

t_begin "info of a fixed VHD has qemu-img's fields and values"
run_ok qemu-img create -q -f vpc -o subformat=fixed fix.vhd 4M
agree fix.vhd vpc

t_begin "the format-specific data of a VHD is that of its creator"
run_ok imgtool info --output=json dyn.vhd
field '."format-specific".type' '"vpc"'
field '."format-specific".data["block-size"]' 2097152
field '."format-specific".data["allocated-blocks"]' 1
field '."format-specific".data["disk-type"]' '"dynamic"'
field '."format-specific".data.creator' '"qemu"'
# The footer's own bytes: the unique id is at 68 of it.
uuid=$(tail -c 512 dyn.vhd | dd bs=1 skip=68 count=16 2>/dev/null |
    od -An -tx1 | tr -d ' \n')
[ "$(jq -r '."format-specific".data.uuid' "$OUT" | tr -d -)" = "$uuid" ] ||
    fail "the unique id is not $uuid"

t_begin "a size that is no multiple of 512 is told as it is"
truncate -s 1537 odd.raw
run_ok imgtool info --output=json odd.raw
field '."virtual-size"' 1537

t_begin "the space on disk is what stat counts"
run_ok imgtool info --output=json a.raw
field '."actual-size"' $(($(stat -c %b a.raw) * 512))
[ "$(stat -c %b a.raw)" -lt 2048 ] || fail "this file system has no holes"

t_begin "the text begins with the lines of qemu-img"
run_ok imgtool info dyn.vhd
sed -n '1p;3,5p' "$OUT" >got.txt
qemu-img info dyn.vhd | sed -n '1p;3,5p' >want.txt
same_bytes want.txt got.txt
expect_out '^file format: vhd$'
run_ok imgtool info a.raw
qemu-img info -f raw a.raw >want.txt
same_bytes want.txt "$OUT"

t_begin "sizes for people are rounded as qemu-img does"
for size in 1 999 1000 1023 1024 1025 1535 1048575 1048576 1073741824 \
    107374182400 1099511627776; do
	[ $((size % 512)) -eq 0 ] || continue
	truncate -s $size s.raw
	run_ok imgtool info s.raw
	qemu-img info -f raw s.raw >want.txt
	same_bytes want.txt "$OUT"
done
truncate -s 1000 s.raw
run_ok imgtool info s.raw
expect_out '^virtual size: 0\.977 KiB \(1000 bytes\)$'

t_begin "--backing-chain makes it an array of the same object"
run_ok imgtool info --output=json dyn.vhd
cp "$OUT" one.json
run_ok imgtool info --output=json --backing-chain dyn.vhd
[ "$(jq -c '.[]' "$OUT")" = "$(jq -c . one.json)" ] && [ -s one.json ] ||
    fail "not [object]"
field length 1
run_ok imgtool info dyn.vhd
cp "$OUT" one.txt
run_ok imgtool info --backing-chain dyn.vhd
same_bytes one.txt "$OUT"

t_begin "-f wins over what the file looks like"
run_ok imgtool info -f raw --output=json dyn.vhd
field .format '"raw"'
field '."virtual-size"' "$(stat -c %s dyn.vhd)"
run_ok imgtool info --format=vpc --output=json dyn.vhd
field '."format-name"' '"vhd"'

t_begin "control characters of an image and of a name are escaped"
cat >evil.recipe <<END
fixed 1M
both text 28 = "\x1b[1m"
END
esc=$(printf 'e\033[1m\302\233l\377.vhd')
run_ok ./mkimage evil.recipe "$esc"
run_ok imgtool info "$esc"
! LC_ALL=C grep -q "$(printf '[\033\377]')" "$OUT" ||
    fail "control characters come through"
expect_out '^image: e\\x1b\[1m\\u009bl'
expect_out '^    creator: \\x1b\[1m$'
run_ok imgtool info --output=json "$esc"
! LC_ALL=C grep -q "$(printf '[\033\377]')" "$OUT" ||
    fail "control characters come through in JSON"
field '.filename | explode' \
    '[101,27,91,49,109,155,108,65533,46,118,104,100]'
run_rc 1 imgtool info "$esc/"
! grep -q "$(printf '\033')" "$ERR" || fail "a message has an escape"

t_begin "what is corrupt is a warning on stderr, and info goes on"
head -c -512 dyn.vhd >lost.vhd
run_ok imgtool info lost.vhd
one_line 'lost\.vhd: warning: VHD-5[: ]'
expect_out '^virtual size: 40 MiB'

t_begin "an image that allows nothing is an error that names its row"
printf 'conectix' >short.vhd
run_rc 1 imgtool info -f vhd short.vhd
one_line 'short\.vhd: VHD-1[: ]'
[ ! -s "$OUT" ] || fail "something was printed"

t_begin "a differencing image is described, with its parent"
run_ok ./mkimage "$TOP/testdata/vhd/unsup-differencing.recipe" diff.vhd
run_ok imgtool info --output=json diff.vhd
field '."format-specific".data["disk-type"]' '"differencing"'
field '."backing-filename"' '"base.vhd"'

t_begin "what is no image is refused in one line"
run_rc 1 imgtool info nothing-here
one_line 'nothing-here: No such file'
run_rc 1 imgtool info .
one_line '\.: '
mkfifo fifo
run_rc 1 imgtool info fifo
one_line 'fifo: '
run_rc 1 imgtool info /dev/null
one_line '/dev/null: '

t_begin "wrong options are refused in one line"
run_rc 1 imgtool info
one_line 'info: '
run_rc 1 imgtool info a.raw dyn.vhd
one_line 'info: .*dyn\.vhd'
run_rc 1 imgtool info --output=xml a.raw
one_line 'info: xml: '
run_rc 1 imgtool info -f vmdk a.raw
one_line 'info: vmdk: unknown format'
run_rc 1 imgtool info --backing a.raw --no-such
one_line 'info: '
