#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool create: empty images that others read.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq

# qemu FILE FILTER: of what qemu-img info says, found out by itself.
qemu()
{
	qemu-img info --output=json "$1" | jq -r "$2"
}

t_begin "a raw image is a hole of the size asked for"
run_ok imgtool create a.raw 10M
expect_out "^Formatting 'a\.raw', fmt=raw size=10485760\$"
[ "$(stat -c '%s %b' a.raw)" = '10485760 0' ] || fail "$(stat a.raw)"

t_begin "a VHD is read by qemu-img with the exact size, and is sound"
for size in 512 1M 40M 137438952960; do
	run_ok imgtool create -f vhd d.vhd $size
	bytes=$size
	case $size in
	*M)	bytes=$((${size%M} * 1048576)) ;;
	esac
	[ "$(qemu d.vhd '."virtual-size"')" = $bytes ] ||
	    fail "$(qemu d.vhd .) is not $bytes"
	[ "$(qemu d.vhd .format)" = vpc ] || fail "no VHD"
	run_ok imgtool check d.vhd
	run_ok imgtool create -f vpc -o subformat=fixed f.vhd 1M
	[ "$(stat -c %s f.vhd)" -eq $((1048576 + 512)) ] ||
	    fail "a fixed image is the disk and a footer"
done

t_begin "sizes are what they say"
while read -r text bytes; do
	run_ok imgtool create -q s.raw "$text"
	[ "$(stat -c %s s.raw)" -eq "$bytes" ] ||
	    fail "$text made $(stat -c %s s.raw) bytes, not $bytes"
done <<END
0 0
1 1
512b 512
0x1000 4096
0XfF 255
3k 3072
3K 3072
3KiB 3072
2m 2097152
2M 2097152
2MiB 2097152
1g 1073741824
1G 1073741824
1GiB 1073741824
1T 1099511627776
1TiB 1099511627776
END

t_begin "what is no size is refused in one line"
rm -f s.raw
for text in '' -1 +1 1x 1kB 1MB k 1KIB 1Kib '1 k' 1kk 0x 0x1k 1.5M 1e3 \
    18446744073709551616 16E 0x10000000000000000 99999999999999999999T; do
	run_rc 1 imgtool create -- s.raw "$text"
	one_line 'create: '
	[ ! -e s.raw ] || fail "'$text' made a file"
done

t_begin "options are passed on, and -o adds to -o"
run_ok imgtool create -f vhd -o block_size=512k -o \
    uuid=00112233-4455-6677-8899-aabbccddeeff o.vhd 10M
run_ok imgtool info --output=json o.vhd
field '."cluster-size"' 524288
field '."format-specific".data.uuid' '"00112233-4455-6677-8899-aabbccddeeff"'

t_begin "-o help lists the options of the format"
run_ok imgtool create -f vhd -o help
expect_out '^  subformat +[a-z]'
expect_out '^  block_size +[a-z]'
run_ok imgtool create -f vhd -o '?' no.vhd 1M
expect_out '^  subformat '
[ ! -e no.vhd ] || fail "a file was made"

t_begin "a wrong option is refused in one line and leaves no file"
for o in nonsense nonsense=1 subformat=round block_size=3000 uuid=1; do
	run_rc 1 imgtool create -f vhd -o $o no.vhd 1M
	one_line 'no\.vhd: '
	[ ! -e no.vhd ] || fail "-o $o made a file"
done
run_rc 1 imgtool create -f vhd no.vhd 2041G
one_line 'no\.vhd: .*2040'
run_rc 1 imgtool create -f vhd no.vhd 1000
one_line 'no\.vhd: '
run_rc 1 imgtool create -f raw -o x=1 no.raw 1M
one_line 'no\.raw: '
run_rc 1 imgtool create -f vmdk no.vhd 1M
one_line 'create: vmdk: unknown format'
run_rc 1 imgtool create no.raw
one_line 'create: '
[ -z "$(find . -name '*no.*')" ] || fail "something is left: $(ls -A)"

t_begin "with SOURCE_DATE_EPOCH the same bytes come again"
mkdir one two
for d in one two; do
	SOURCE_DATE_EPOCH=1700000000 run_ok imgtool create -f vhd \
	    $d/same.vhd 10M
done
same_bytes one/same.vhd two/same.vhd
run_ok imgtool info --output=json one/same.vhd
field '."format-specific".data["creation-time"]' '"2023-11-14T22:13:20Z"'
SOURCE_DATE_EPOCH=1700000000 run_ok imgtool create -f vhd two/same.vhd 11M
differ one/same.vhd two/same.vhd
run_ok imgtool create -f vhd two/same.vhd 10M
cp two/same.vhd first.vhd
run_ok imgtool create -f vhd two/same.vhd 10M
differ first.vhd two/same.vhd
SOURCE_DATE_EPOCH=soon run_rc 1 imgtool create -f vhd no.vhd 10M
one_line 'SOURCE_DATE_EPOCH: '

t_begin "an existing file is replaced, and kept with --no-clobber"
echo precious >old.raw
run_rc 1 imgtool create --no-clobber old.raw 1M
one_line 'old\.raw: exists'
[ "$(cat old.raw)" = precious ] || fail "it was changed"
chmod 640 old.raw
run_ok imgtool create -q old.raw 1M
[ ! -s "$OUT" ] || fail "-q prints $(cat "$OUT")"
[ "$(stat -c '%s %a' old.raw)" = '1048576 640' ] || fail "$(stat old.raw)"

t_begin "a file with another hard link needs --force"
echo precious >old.raw
ln old.raw link.raw
run_rc 1 imgtool create old.raw 1M
one_line 'old\.raw: .*--force'
[ "$(cat old.raw)" = precious ] || fail "it was changed"
run_ok imgtool create --force old.raw 1M
[ "$(cat link.raw)" = precious ] || fail "the other link was changed"

t_begin "a failure leaves nothing, and the old file whole"
echo precious >whole.vhd
run_rc 1 imgtool create -f vhd -o nonsense=1 whole.vhd 1M
[ "$(cat whole.vhd)" = precious ] || fail "it was changed"
run_rc 1 imgtool create no/such/folder.raw 1M
one_line 'no/such/folder\.raw: '
