#!/bin/sh
# SPDX-License-Identifier: ISC
#
# With SOURCE_DATE_EPOCH the same input gives the same bytes, at any time and
# in any folder; without, every image is one of its own.

. "$TOP/tests/lib.sh"

skip_unless cmp od qemu-img

unset SOURCE_DATE_EPOCH

# uuid FILE, stamp FILE: of the footer, as hexadecimal digits.
uuid()
{
	tail -c 512 "$1" | od -An -v -tx1 -j68 -N16 | tr -d ' \n'
}

stamp()
{
	tail -c 512 "$1" | od -An -v -tx1 -j24 -N4 | tr -d ' \n'
}

# with EPOCH COMMAND ...
with()
{
	epoch=$1
	shift
	run_ok env SOURCE_DATE_EPOCH="$epoch" "$IMGTOOL" "$@"
}

# other FILE FILE: their unique ids are different, and valid ones.
other()
{
	a=$(uuid "$1")
	b=$(uuid "$2")
	[ "$a" != "$b" ] || fail "$1 and $2 have the unique id $a"
	for u in "$a" "$b"; do
		# Version 4, variant 1.
		echo "$u" | grep -qE '^.{12}4.{3}[89ab].{15}$' ||
		    fail "$u is no random UUID"
	done
}

yes 'some text' | head -c 3000000 >disk.raw
truncate -s 5M disk.raw
yes 'at the end' | head -c 70000 >>disk.raw
truncate -s 5313024 disk.raw
mkdir one two

make_all()
{
	with 1500000000 convert -f raw -O vhd disk.raw "$1/dynamic.vhd"
	with 1500000000 convert -f raw -O vhd -o subformat=fixed disk.raw \
	    "$1/fixed.vhd"
	with 1500000000 convert -f raw -O vhd -o block_size=512k disk.raw \
	    "$1/small.vhd"
	with 1500000000 convert -f raw -O raw disk.raw "$1/raw.raw"
	with 1500000000 create -f vhd "$1/empty.vhd" 5M
	with 1500000000 create -f vhd -o subformat=fixed "$1/emptyfixed.vhd" 5M
	with 1500000000 convert -f raw -O qed disk.raw "$1/disk.qed"
	with 1500000000 create -f qed "$1/empty.qed" 5M
	SOURCE_DATE_EPOCH=1500000000 "$IMGTOOL" convert -O vhd --size=5313024 \
	    - "$1/pipe.vhd" <disk.raw || fail "from standard input"
}

t_begin "the same twice gives the same bytes, whatever the clock says"
make_all one
sleep 1.1
make_all two
for f in dynamic.vhd fixed.vhd small.vhd raw.raw empty.vhd emptyfixed.vhd \
    disk.qed empty.qed pipe.vhd; do
	same_bytes one/$f two/$f
done

t_begin "the time in the image is that of the variable"
# 1500000000 - 946684800 = 0x20faeb80, and that of the epoch 2000 is 0.
for f in dynamic.vhd fixed.vhd empty.vhd; do
	[ "$(stamp one/$f)" = 20faeb80 ] || fail "$f: $(stamp one/$f)"
done
with 946684800 create -f vhd a.vhd 5M
[ "$(stamp a.vhd)" = 00000000 ] || fail "$(stamp a.vhd)"
with 946684801 create -f vhd a.vhd 5M
[ "$(stamp a.vhd)" = 00000001 ] || fail "$(stamp a.vhd)"

t_begin "over an image that is there the result is the same"
cp two/empty.vhd two/dynamic.vhd
with 1500000000 convert -f raw -O vhd disk.raw two/dynamic.vhd
same_bytes one/dynamic.vhd two/dynamic.vhd

t_begin "a source with holes and one without give the same bytes"
cat disk.raw >full.raw
rm -f holes.raw
cp --sparse=always disk.raw holes.raw
for f in full.raw holes.raw; do
	with 1500000000 convert -f raw -O vhd $f two/dynamic.vhd
	same_bytes one/dynamic.vhd two/dynamic.vhd
	with 1500000000 convert -f raw -O qed $f two/disk.qed
	same_bytes one/disk.qed two/disk.qed
done

t_begin "so do a pipe, and a source in another format"
# shellcheck disable=SC2002 # a pipe is what is tested
cat disk.raw | SOURCE_DATE_EPOCH=1500000000 "$IMGTOOL" convert -O vhd \
    --size=5313024 - two/dynamic.vhd || fail "pipe"
same_bytes one/dynamic.vhd two/dynamic.vhd
qemu-img convert -f raw -O vpc -o force_size=on disk.raw qemu.vhd
with 1500000000 convert -f vhd -O vhd qemu.vhd two/dynamic.vhd
same_bytes one/dynamic.vhd two/dynamic.vhd
with 1500000000 convert -f vhd -O qed qemu.vhd two/disk.qed
same_bytes one/disk.qed two/disk.qed

t_begin "name, size, options and epoch each change the unique id"
with 1500000000 create -f vhd a.vhd 5M
with 1500000000 create -f vhd b.vhd 5M
other a.vhd b.vhd
with 1500000000 create -f vhd one/a.vhd 6M
other a.vhd one/a.vhd
with 1500000000 create -f vhd -o block_size=512k one/a.vhd 5M
other a.vhd one/a.vhd
with 1500000000 create -f vhd -o subformat=fixed one/a.vhd 5M
other a.vhd one/a.vhd
with 1500000001 create -f vhd one/a.vhd 5M
other a.vhd one/a.vhd

t_begin "without the variable each image has a unique id of its own"
run_ok imgtool create -f vhd a.vhd 5M
run_ok imgtool create -f vhd b.vhd 5M
other a.vhd b.vhd
run_ok imgtool convert -O vhd disk.raw a.vhd
cp a.vhd b.vhd
run_ok imgtool convert -O vhd disk.raw a.vhd
other a.vhd b.vhd
now=$(($(date +%s) - 946684800))
t=$((0x$(stamp a.vhd)))
[ $t -le $now ] && [ $t -ge $((now - 600)) ] || fail "time stamp $t, not $now"

t_begin "a QED has neither, and is the same at any time"
for c in 'convert -f raw -O qed disk.raw' 'create -f qed'; do
	size=5M
	case $c in
	convert*) want=one/disk.qed size= ;;
	*)	want=one/empty.qed ;;
	esac
	# shellcheck disable=SC2086 # words
	run_ok imgtool $c a.qed $size
	same_bytes a.qed $want
done

t_begin "uuid= and timestamp= win over the variable"
with 1500000000 create -f vhd -o \
    uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=946684802 a.vhd 5M
[ "$(uuid a.vhd)" = 00112233445566778899aabbccddeeff ] ||
    fail "$(uuid a.vhd)"
[ "$(stamp a.vhd)" = 00000002 ] || fail "$(stamp a.vhd)"

t_begin "a value that is no number is refused, and nothing is made"
rm -f a.vhd
for v in '' x 12x -1 1.5 99999999999999999999; do
	run_rc 1 env SOURCE_DATE_EPOCH="$v" "$IMGTOOL" create -f vhd a.vhd 5M
	expect_err 'SOURCE_DATE_EPOCH'
	[ ! -e a.vhd ] || fail "'$v' made an image"
done
