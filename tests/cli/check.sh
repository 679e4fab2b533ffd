#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool check: what it prints and how it exits.  That each row is found and
# mended is the business of tests/corpus.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq
need_mkimage

# recipe NAME: the image of that recipe, in image.vhd.
recipe()
{
	rm -f image.vhd
	run_ok ./mkimage "$TOP/testdata/vhd/$1.recipe" image.vhd
}

dd if=/dev/urandom of=noise bs=64k count=1 2>/dev/null
qemu-img create -q -f vpc dyn.vhd 40M
for at in 4 8 30; do
	qemu-io -f vpc -c "write -s noise ${at}M 64k" dyn.vhd >/dev/null
done
qemu-img create -q -f vpc -o subformat=fixed fix.vhd 4M
head -c -512 dyn.vhd >lost.vhd

# ------------------------------------------------------------------------

t_begin "sound images of qemu-img exit 0 and have nothing above a note"
for f in dyn.vhd fix.vhd; do
	run_ok imgtool check $f
	expect_out '^No errors were found on the image\.$'
	run_ok imgtool check --output=json $f
	field '[.["check-errors"], .corruptions, .leaks, .warnings]' '[0,0,0,0]'
	field '[.schema, .filename, .format, ."format-name"]' \
	    "[1,\"$f\",\"vpc\",\"vhd\"]"
	field 'all(.findings[]; .severity == "note")' true
	field '.notes == (.findings | length)' true
done

t_begin "the totals are those of the blocks that were written"
# 40 MiB in the geometry of qemu-img is a little more: 21 blocks.  The file
# is two footers, a header, one sector of table, and three blocks of a
# sector and 2 MiB.
run_ok imgtool check --output=json dyn.vhd
field '[."total-clusters", ."allocated-clusters", ."compressed-clusters"]' \
    '[21,3,0]'
field '."image-end-offset"' $((512 + 1024 + 512 + 3 * (2097152 + 512) + 512))
field '."image-end-offset"' "$(stat -c %s dyn.vhd)"
run_ok imgtool check dyn.vhd
expect_out '^3/21 = 14\.29% allocated, '
expect_out "^Image end offset: $(stat -c %s dyn.vhd)$"

t_begin "a corrupt image exits 2 and its finding is one line"
run_rc 2 imgtool check lost.vhd
expect_out "^corrupt VHD-5( at [0-9]+)?: end footer is missing"
expect_no_out 'No errors'
expect_out '^1 error found on the image'
run_rc 2 imgtool check --output=json lost.vhd
field '[.corruptions, .leaks, ."check-errors"]' '[1,0,0]'
field '[.findings[] | select(.severity == "corrupt") | .row, .text,
    .repair, .allows]' '["VHD-5","end footer is missing","safe","read"]'

t_begin "a range that suffers is told in text and JSON"
recipe bad-VHD-51-far
sec=$(dd if=image.vhd bs=1 skip=$((1536 + 4)) count=4 2>/dev/null |
    od -An -tu1 | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }')
run_rc 2 imgtool check --output=json image.vhd
jq '[.findings[] | select(.row == "VHD-51")][0]' "$OUT" >finding
jq -e --argjson size "$(stat -c %s image.vhd)" '.severity == "corrupt" and
    .length > 0 and .found * 512 >= $size and .relation == "at-most" and
    .expected < .found' finding >/dev/null || fail "$(cat finding)"
want=$(jq -r '"at \(.offset): block lies outside the file"' finding)
tail=$(jq -r '"guest \(.start)+\(.length)"' finding)
run_rc 2 imgtool check image.vhd
grep -F "corrupt VHD-51 $want (found 0x" "$OUT" | grep -qF "), $tail" ||
    fail "no line with $want and $tail: $(cat "$OUT")"
grep -qF "(found $(printf '0x%x' "$(jq .found finding)"), expected at most $(
    printf '0x%x' "$(jq .expected finding)"))" "$OUT" ||
    fail "found and expected are not there: $(cat "$OUT") $sec"

t_begin "leaks alone exit 3"
recipe bad-VHD-60-two
run_rc 3 imgtool check image.vhd
expect_out '^leak VHD-60 '
expect_out '^[0-9]+ leaks? found on the image'
run_rc 3 imgtool check --output=json image.vhd
field '[.leaks > 0, .corruptions]' '[true,0]'

t_begin "warnings and notes alone exit 0"
recipe bad-VHD-14-features
run_ok imgtool check image.vhd
expect_out '^warning VHD-14'
expect_out '^No errors were found'
run_ok imgtool check --output=json image.vhd
field '[.warnings, .corruptions, .leaks]' '[1,0,0]'

t_begin "an image that allows nothing was checked, and is corrupt"
printf 'conectix' >short.vhd
run_rc 2 imgtool check -f vhd short.vhd
expect_out '^fatal VHD-1'
[ ! -s "$ERR" ] || fail "a message: $(cat "$ERR")"
run_rc 2 imgtool check -f vhd --output=json short.vhd
field '[.corruptions, ."check-errors", .findings[0].severity]' '[1,0,"fatal"]'
# Counts never vanish.
field '[."total-clusters", ."allocated-clusters", ."fragmented-clusters",
    ."compressed-clusters", ."image-end-offset"]' '[0,0,0,0,0]'

t_begin "raw images can be checked, too"
truncate -s 1M a.raw
run_ok imgtool check a.raw
run_ok imgtool check --output=json a.raw
field '[."check-errors", .corruptions, .leaks, .warnings, .notes]' \
    '[0,0,0,0,0]'
truncate -s 1000 odd.raw
run_ok imgtool check odd.raw
expect_out '^note RAW-2'

t_begin "what cannot be checked exits 1 in one line"
run_rc 1 imgtool check missing.vhd
one_line 'missing\.vhd: No such file'
run_rc 1 imgtool check .
one_line '\.: '
run_rc 1 imgtool check --output=json missing.vhd
[ ! -s "$OUT" ] || fail "an object that is none: $(cat "$OUT")"

t_begin "-q prints nothing and the status is the same"
for s in '2 lost.vhd' '0 dyn.vhd'; do
	# shellcheck disable=SC2086 # two words
	set -- $s
	run_rc "$1" imgtool check -q "$2"
	[ ! -s "$OUT" ] || fail "$2: $(cat "$OUT")"
	run_rc "$1" imgtool check --quiet --output=json "$2"
	[ ! -s "$OUT" ] || fail "$2: $(cat "$OUT")"
done
run_rc 1 imgtool check -q missing.vhd
one_line 'missing\.vhd'

t_begin "--deep finds what is in bitmaps and data"
recipe bad-VHD-64-nothing
run_ok imgtool check --output=json image.vhd
field 'any(.findings[]; .row == "VHD-64")' false
run_ok imgtool check --deep --output=json image.vhd
field 'any(.findings[]; .row == "VHD-64")' true

t_begin "names from an image are escaped"
cat >evil.recipe <<END
from	unsup-differencing
utf16be	512+64 = "\x1b[1mx"
sum	header 512
END
cp "$TOP"/testdata/vhd/*.recipe .
run_ok ./mkimage evil.recipe evil.vhd
imgtool check evil.vhd >text 2>&1
grep -qF '"\x1b[1mx' text || fail "no escaped name: $(cat text)"
imgtool check --output=json evil.vhd >json
jq -e 'any(.findings[]; (.name // "") | startswith("\u001b[1mx"))' json \
    >/dev/null || fail "no name: $(cat json)"
! grep -q "$(printf '\033')" text json || fail "an escape comes through"

# ------------------------------------------------------------------------

t_begin "-r safe mends a lost footer, says how, and exits 0"
cp lost.vhd image.vhd
run_ok imgtool check -r safe image.vhd
expect_out '^repair VHD-5 '
expect_out '^After the repair:$'
expect_out '^No errors were found'
run_ok imgtool check image.vhd
run_ok qemu-img compare -f vpc -F vpc dyn.vhd image.vhd

t_begin "--dry-run tells the same plan and writes nothing"
cp lost.vhd image.vhd
run_ok imgtool check -r safe image.vhd
grep '^repair' "$OUT" >plan
[ -s plan ] || fail "no plan"
cp lost.vhd image.vhd
run_rc 2 imgtool check -r safe --dry-run image.vhd
grep '^repair' "$OUT" >plan2
expect_no_out '^After'
same_bytes plan plan2
same_bytes lost.vhd image.vhd

t_begin "-r safe leaves alone what may change the disk, -r all says what"
recipe bad-VHD-51-far
cp image.vhd before.vhd
run_rc 2 imgtool check -r safe image.vhd
same_bytes before.vhd image.vhd
run_ok imgtool check -r all image.vhd
expect_out '^repair VHD-51 at [0-9]+: .*, guest [0-9]+\+[0-9]+ changes$'
run_ok imgtool check image.vhd

t_begin "-r safe does what is safe where there is more"
recipe bad-VHD-51-far
head -c -512 image.vhd >both.vhd
run_rc 2 imgtool check --output=json both.vhd
field '[.findings[].row] | contains(["VHD-5", "VHD-51"])' true
run_rc 2 imgtool check -r safe --output=json both.vhd
field '[.repairs[].row] | unique' '["VHD-5"]'
field '[.findings[] | select(.severity == "corrupt").row]' '["VHD-51"]'

t_begin "-r safe writes nothing by tables that are in doubt"
for r in bad-VHD-37-block bad-VHD-42-more bad-VHD-8-stranger; do
	recipe $r
	cp image.vhd was.vhd
	run_rc 2 imgtool check -f vhd -r safe image.vhd
	same_bytes was.vhd image.vhd
done

t_begin "-r leaks is qemu-img's word for safe"
recipe bad-VHD-60-two
run_ok imgtool check -r leaks --output=json image.vhd
field '[.leaks, ."corruptions-fixed", ."leaks-fixed" > 0]' '[0,0,true]'
run_ok imgtool check image.vhd

t_begin "JSON of a repair has its steps, and the findings that remain"
cp lost.vhd image.vhd
run_ok imgtool check --repair=safe --output=json image.vhd
field '[.repairs[] | .row] | unique' '["VHD-5"]'
field '[.corruptions, ."corruptions-fixed", ."leaks-fixed"]' '[0,1,0]'
field 'any(.findings[]; .row == "VHD-5")' false
cp lost.vhd image.vhd
run_rc 2 imgtool check --repair=safe --dry-run --output=json image.vhd
field '[.repairs[] | .row] | unique' '["VHD-5"]'
field 'any(.findings[]; .row == "VHD-5")' true
field 'has("corruptions-fixed")' false
same_bytes lost.vhd image.vhd

t_begin "a repair of a sound image changes nothing"
cp dyn.vhd image.vhd
run_ok imgtool check -r all image.vhd
expect_no_out '^repair'
same_bytes dyn.vhd image.vhd

t_begin "wrong options are refused in one line"
run_rc 1 imgtool check --dry-run dyn.vhd
one_line 'check: '
run_rc 1 imgtool check -r some dyn.vhd
one_line 'check: some: '
run_rc 1 imgtool check
one_line 'check: '
run_rc 1 imgtool check -r
one_line 'check: '
