#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What images name: which files are opened, how, and which never.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq timeout

# Nothing here may wait for anybody.
imgtool()
{
	timeout 60 "$IMGTOOL" "$@"
}

# overlay FILE NAME [FORMAT]: an image of 1 MiB that names this, whatever it is.
overlay()
{
	qemu-img create -q -u -f qcow2 -b "$2" -F "${3:-raw}" "$1" 1M ||
	    fail "qemu-img makes no $1"
}

# unrecord FILE: the format of its backing file is recorded no longer.
unrecord()
{
	[ "$(dd if="$1" bs=1 skip=112 count=4 2>/dev/null |
	    od -An -tx1 | tr -d ' ')" = e2792aca ] ||
	    fail "$1 has its extensions elsewhere"
	printf 'none' | dd of="$1" bs=1 seek=112 conv=notrunc 2>/dev/null
}

# reads FILE WANT [OPTION ...]: the disk in FILE has the bytes of WANT.
reads()
{
	image=$1 want=$2
	shift 2
	run_ok imgtool convert "$@" "$image" reads.raw
	same_bytes reads.raw "$want"
}

# refuses FILE WORDS [OPTION ...]: every command that reads the disk says that
# in one line that begins with the image's name.
refuses()
{
	image=$1 words=$2
	shift 2
	rm -f no.raw
	run_rc 1 imgtool convert "$@" "$image" no.raw
	one_line "$image: $words"
	[ ! -e no.raw ] || fail "a result was made of $image"
	run_rc 1 imgtool map "$@" "$image"
	one_line "$image: $words"
	run_rc 2 imgtool compare "$@" "$image" base.raw
	one_line "$image: $words"
	run_rc 1 imgtool dd-read "$@" if="$image" of=no.raw
	one_line "$image: $words"
	[ ! -e no.raw ] || fail "a result was made of $image"
}

dd if=/dev/urandom of=base.raw bs=1M count=1 2>/dev/null
dd if=/dev/urandom of=noise bs=64k count=1 2>/dev/null

# ------------------------------------------------------------------------

t_begin "a chain of three reads as qemu-img reads it"
mkdir deep
qemu-img convert -O qcow2 base.raw deep/a.qcow2
overlay deep/b.qcow2 a.qcow2 qcow2
run_ok qemu-io -c "write -s noise 256k 64k" deep/b.qcow2
overlay top.qcow2 deep/b.qcow2 qcow2
run_ok qemu-io -c "write -z 512k 128k" -c "write -s noise 700k 3k" top.qcow2
qemu-img convert -O raw top.qcow2 want.raw
reads top.qcow2 want.raw
run_ok imgtool compare top.qcow2 want.raw
run_ok imgtool dd-read if=top.qcow2 of=dd.raw bs=1M
same_bytes dd.raw want.raw

t_begin "the map of a chain is qemu-img's"
qemu-img map --output=json top.qcow2 |
    jq -c '.[] | [.start, .length, .depth, .present, .zero, .data, .offset]' \
    >want.txt
run_ok imgtool map --output=json top.qcow2
jq -c '.[] | [.start, .length, .depth, .present, .zero, .data, .offset]' \
    "$OUT" >got.txt
[ -s want.txt ] && diff -u want.txt got.txt || fail "qemu-img map differs"

t_begin "a map names the file that has the bytes"
run_ok imgtool map top.qcow2
expect_out '^0x40000 .* data +deep/b\.qcow2$'
expect_out '^0 .* data +deep/a\.qcow2$'

t_begin "a name is taken from the folder of the image that has it"
mkdir elsewhere
(cd elsewhere && run_ok imgtool convert ../top.qcow2 x.raw)
same_bytes elsewhere/x.raw want.raw

t_begin "info, check and map of the file alone open nothing else"
cp deep/b.qcow2 alone.qcow2
overlay alone.qcow2 not-there.raw
run_ok imgtool info alone.qcow2
run_ok imgtool check alone.qcow2
run_ok imgtool map --no-backing alone.qcow2
refuses alone.qcow2 'needs "not-there\.raw": No such file'

t_begin "--no-backing reads the overlay alone"
run_ok qemu-io -f qcow2 -c 'write -s noise 64k 64k' \
    "json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{\"driver\":\"file\",\"filename\":\"alone.qcow2\"}}"
truncate -s 1M want.raw
dd if=/dev/zero of=want.raw bs=1M count=1 2>/dev/null
dd if=noise of=want.raw bs=64k seek=1 conv=notrunc 2>/dev/null
reads alone.qcow2 want.raw --no-backing

t_begin "--backing is another file, from the working directory"
mkdir sub
mv alone.qcow2 sub/
cp base.raw want.raw
dd if=noise of=want.raw bs=64k seek=1 conv=notrunc 2>/dev/null
reads sub/alone.qcow2 want.raw --backing base.raw
reads sub/alone.qcow2 want.raw --backing deep/a.qcow2 --backing-format qcow2

t_begin "what was not recorded for one file holds for another: --backing-format"
run_rc 1 imgtool convert --backing deep/a.qcow2 --backing-format vhd \
    sub/alone.qcow2 no.raw
one_line 'sub/alone\.qcow2: needs "deep/a\.qcow2": VHD-'

t_begin "an image without a backing file takes none"
run_rc 1 imgtool convert --backing base.raw deep/a.qcow2 no.raw
one_line 'deep/a\.qcow2: .* no backing file'
run_rc 1 imgtool convert --backing base.raw base.raw no.raw
one_line 'base\.raw: .* no backing file'
run_rc 1 imgtool convert --data-file base.raw deep/a.qcow2 no.raw
one_line 'deep/a\.qcow2: .* no data file'
run_rc 1 imgtool convert --no-backing --backing base.raw top.qcow2 no.raw
one_line 'convert: --no-backing'

# ------------------------------------------------------------------------

t_begin "nothing in a name is interpreted"
for name in 'json:{"driver":"file","filename":"base.raw"}' \
    'json:{"driver":"null-co"}' 'file:base.raw' 'nbd:localhost:10809' \
    'nbd+unix:///?socket=base.raw' 'https://localhost/base.raw' \
    'fat:deep' 'blkdebug::base.raw'; do
	overlay o.qcow2 "$name"
	refuses o.qcow2 'needs ".*": (No such file|Not a directory)' -f qcow2
done

t_begin "a file may have such a name"
cp base.raw 'file:base.raw'
overlay o.qcow2 file:base.raw
reads o.qcow2 base.raw
rm file:base.raw

t_begin "a name with control characters is one line, escaped"
overlay o.qcow2 "$(printf 'a\nb\033[1mc')"
refuses o.qcow2 'needs "a\\x0ab\\x1b\[1mc": No such file'
run_ok imgtool info o.qcow2
expect_out '^backing file: a\\x0ab\\x1b\[1mc$'

t_begin "a name that cannot be one is told as such, and --backing helps"
overlay o.qcow2 base.raw
printf '\0\0\4\0' | dd of=o.qcow2 bs=1 seek=16 conv=notrunc 2>/dev/null
refuses o.qcow2 'the name of its backing file cannot be used'
run_ok imgtool compare --backing base.raw --backing-format raw o.qcow2 base.raw

t_begin "a folder is not an image"
for name in . ./ .. deep deep/ /; do
	overlay o.qcow2 "$name"
	refuses o.qcow2 'needs ".*": Is a directory' -f qcow2
done

t_begin "a FIFO is not opened, nor is a socket or a device"
mkfifo fifo
for name in fifo /dev/zero /dev/null /dev/tty /dev/stdin; do
	overlay o.qcow2 "$name"
	refuses o.qcow2 'needs ".*": not a regular file' -f qcow2 </dev/zero
done

t_begin "files of the kernel are not opened, though they are called regular"
if [ -r /proc/self/mem ]; then
	for name in /proc/self/mem /proc/self/maps /proc/version \
	    /proc/self/environ /sys/kernel/vmcoreinfo; do
		[ -e "$name" ] || continue
		overlay o.qcow2 "$name"
		refuses o.qcow2 'needs ".*": a file of the kernel' -f qcow2
	done
	# Through a link in /proc the file itself is reached: it is one.
	ln -s /proc/self/environ environ
	overlay o.qcow2 environ
	refuses o.qcow2 'needs ".*": a file of the kernel' -f qcow2
fi

t_begin "given directly, none of them blocks"
for name in fifo /dev/zero /dev/tty /dev/null; do
	run_rc 1 imgtool info "$name"
	one_line "$name: "
	run_rc 1 imgtool convert -f qcow2 --backing "$name" o.qcow2 no.raw
	one_line "o\\.qcow2: needs \"$name\": neither"
done
imgtool info /proc/self/mem >/dev/null 2>&1 || :
[ $? -ne 124 ] || fail "info of /proc/self/mem blocks"

t_begin "a file that may not be read is an error that says so"
if [ "$(id -u)" -ne 0 ]; then
	cp base.raw secret.raw
	chmod 0 secret.raw
	overlay o.qcow2 secret.raw
	refuses o.qcow2 'needs "secret\.raw": Permission denied'
fi

# ------------------------------------------------------------------------

t_begin "an image that names itself is refused"
overlay loop.qcow2 ./loop.qcow2 qcow2
refuses loop.qcow2 'needs "\./loop\.qcow2": in the chain already'

t_begin "a loop is refused by whatever names it goes"
overlay l1.qcow2 l2.qcow2 qcow2
overlay l2.qcow2 l3.qcow2 qcow2
overlay l3.qcow2 ./deep/../l1.qcow2 qcow2
refuses l1.qcow2 'needs "\./deep/\.\./l1\.qcow2": in the chain' -f qcow2
ln -s l1.qcow2 link.qcow2
overlay l3.qcow2 link.qcow2 qcow2
refuses l1.qcow2 'needs "link\.qcow2": in the chain' -f qcow2
ln l1.qcow2 hard.qcow2
overlay l3.qcow2 hard.qcow2 qcow2
refuses l1.qcow2 'needs "hard\.qcow2": in the chain'

t_begin "links that lead to each other are refused"
ln -s ring2 ring1
ln -s ring1 ring2
overlay o.qcow2 ring1
refuses o.qcow2 'needs "ring1": Too many levels' -f qcow2

t_begin "64 images are a chain, 65 are too many"
mkdir long
qemu-img create -q -f qcow2 long/1.qcow2 1M
run_ok qemu-io -c 'write -s noise 128k 64k' long/1.qcow2
i=1
while [ $i -lt 65 ]; do
	overlay long/$((i + 1)).qcow2 $i.qcow2 qcow2
	i=$((i + 1))
done
run_ok imgtool compare long/64.qcow2 long/1.qcow2
run_ok imgtool map --output=json long/64.qcow2
field 'map(select(.data)) | .[0].depth' 63
refuses long/65.qcow2 'chain of more than 64 images'

# ------------------------------------------------------------------------

t_begin "a base that is recorded as raw stays raw"
overlay o.qcow2 deep/a.qcow2 raw
run_ok imgtool dd-read if=o.qcow2 of=head bs=512 count=1
head -c 512 deep/a.qcow2 >want.head
same_bytes head want.head

t_begin "a base of no recorded format is found out"
overlay o.qcow2 deep/a.qcow2 qcow2
unrecord o.qcow2
reads o.qcow2 base.raw
overlay o.qcow2 base.raw raw
unrecord o.qcow2
reads o.qcow2 base.raw

t_begin "but where that needs a file itself, the format must be stated"
overlay o.qcow2 deep/b.qcow2 qcow2
unrecord o.qcow2
refuses o.qcow2 'needs "deep/b\.qcow2": .*; --backing-format qcow2 states it'
qemu-img convert -O raw deep/b.qcow2 want.raw
reads o.qcow2 want.raw --backing-format qcow2
reads o.qcow2 want.raw --backing deep/b.qcow2 --backing-format qcow2

t_begin "the same option does it further down, where all have that format"
overlay o2.qcow2 o.qcow2 qcow2
refuses o2.qcow2 'needs "deep/b\.qcow2": .*; --backing-format qcow2 states it'
reads o2.qcow2 want.raw --backing-format qcow2
for do in info check; do
	run_rc 1 imgtool $do --backing-chain o2.qcow2
	expect_err '^imgtool: o2\.qcow2: .*; --backing-format qcow2 states it'
	run_ok imgtool $do --backing-chain --backing-format qcow2 o2.qcow2
	[ "$(grep -c '^image: ' "$OUT")" -eq 4 ] || fail "not four images"
	run_rc 1 imgtool $do --backing-format qcow2 o2.qcow2
	one_line "$do: --backing-format goes with --backing-chain"
done

t_begin "where one of them has another, no option states it, and none is named"
run_ok qemu-img create -q -u -f qed -b o.qcow2 -F qcow2 o3.qed 1M
refuses o3.qed 'needs "o\.qcow2": .*; --backing-format qcow2 states it'
overlay o2.qcow2 o3.qed qed
refuses o2.qcow2 'needs "o\.qcow2": its format, qcow2, is not recorded'
expect_no_err 'states it'
refuses o2.qcow2 'needs "o\.qcow2": its format, qcow2, is not recorded' \
    --backing-format qed
reads o3.qed want.raw --backing-format qcow2

t_begin "what is not to be stated for this file is not named either"
run_rc 2 imgtool compare base.raw o.qcow2
one_line 'o\.qcow2: needs "deep/b\.qcow2": its format, qcow2, is not recorded'
expect_no_err 'states it'
run_rc 1 imgtool create -f qed -b o3.qed -F qed no.qed
one_line 'o3\.qed: needs "o\.qcow2": its format, qcow2, is not recorded'
expect_no_err 'states it'

t_begin "a format that is not known is named"
overlay o.qcow2 base.raw vmdk
refuses o.qcow2 'needs "base\.raw": recorded as of format "vmdk"'
reads o.qcow2 base.raw --backing-format raw

t_begin "a base that is none is an error that names the file and the row"
head -c 3000 base.raw >broken.qcow2
overlay o.qcow2 broken.qcow2 qcow2
refuses o.qcow2 'needs "broken\.qcow2": QCOW2-1: '

t_begin "a base that is encrypted is an error that names the file and the row"
qemu-img create -q -f qcow2 aes.qcow2 1M
printf '\0\0\0\1' | dd of=aes.qcow2 bs=1 seek=32 conv=notrunc 2>/dev/null
overlay o.qcow2 aes.qcow2 qcow2
refuses o.qcow2 'needs "aes\.qcow2": QCOW2-113: '

# ------------------------------------------------------------------------

# permitted FILE: the command that the last message prints does it.
permitted()
{
	sed -n 's/^.*: imgtool \(convert .*\)$/\1/p' "$ERR" >cmd
	[ -s cmd ] || fail "no command is printed: $(cat "$ERR")"
	eval "run_ok imgtool $(cat cmd)"
	same_bytes "$1" want.raw
}

cp base.raw want.raw
mkdir 'box 1'
cp base.raw 'box 1/in.raw'
mkdir 'box 1/under'
cp base.raw 'box 1/under/in.raw'

t_begin "of an image whose format is found out, names stay in its folder"
for name in in.raw ./in.raw under/in.raw ./under//./in.raw; do
	overlay 'box 1/o.qcow2' "$name"
	reads 'box 1/o.qcow2' base.raw
done

t_begin "names that leave it are refused, and the command that permits printed"
for name in "$PWD/base.raw" ../base.raw under/../in.raw under/../../base.raw \
    ./.././base.raw; do
	overlay 'box 1/o.qcow2' "$name"
	rm -f out.raw
	run_rc 1 imgtool convert 'box 1/o.qcow2' out.raw
	one_line 'box 1/o\.qcow2: needs ".*": outside of the folder .*: imgtool convert -f qcow2 '
	[ ! -e out.raw ] || fail "a result was made"
	permitted out.raw
done

t_begin "so is what a link leads to, be it the file or a folder before it"
ln -s ../base.raw 'box 1/link.raw'
ln -s in.raw 'box 1/near.raw'
ln -s .. 'box 1/up'
for name in link.raw near.raw up/base.raw; do
	overlay 'box 1/o.qcow2' "$name"
	run_rc 1 imgtool convert -q -S 4k 'box 1/o.qcow2' "it's out.raw"
	one_line 'box 1/o\.qcow2: needs ".*": outside of the folder '
	permitted "it's out.raw"
done

t_begin "this holds for the names of the images behind, too"
qemu-img create -q -u -f qcow2 -b ../base.raw -F raw 'box 1/mid.qcow2' 1M
overlay 'box 1/o.qcow2' mid.qcow2 qcow2
run_rc 1 imgtool convert 'box 1/o.qcow2' out.raw
one_line 'box 1/o\.qcow2: needs ".*base\.raw": outside of the folder '
permitted out.raw

t_begin "and for a data file"
qemu-img create -q -f qcow2 -o "data_file=$PWD/data.raw,data_file_raw=on" \
    'box 1/d.qcow2' 1M
cp base.raw data.raw
run_rc 1 imgtool convert 'box 1/d.qcow2' out.raw
one_line 'box 1/d\.qcow2: needs ".*data\.raw": outside of the folder '
permitted out.raw

t_begin "what the user names may be anywhere"
overlay 'box 1/o.qcow2' nothing.raw
reads 'box 1/o.qcow2' base.raw --backing "$PWD/base.raw"
ln -s base.raw user.raw
reads 'box 1/o.qcow2' base.raw --backing user.raw
reads 'box 1/d.qcow2' base.raw --data-file data.raw

t_begin "the command for the second image of compare has its option"
overlay 'box 1/o.qcow2' ../base.raw
run_rc 2 imgtool compare base.raw 'box 1/o.qcow2'
one_line "box 1/o\\.qcow2: .*: imgtool compare -F qcow2 base\\.raw 'box 1/o\\.qcow2'$"
run_ok imgtool compare -F qcow2 base.raw 'box 1/o.qcow2'

t_begin "info and check --backing-chain keep to the rules as well"
run_rc 1 imgtool info --backing-chain 'box 1/o.qcow2'
one_line 'box 1/o\.qcow2: .*: imgtool info -f qcow2 --backing-chain '
run_rc 1 imgtool check --backing-chain 'box 1/o.qcow2'
one_line 'box 1/o\.qcow2: .*: imgtool check -f qcow2 --backing-chain '
run_ok imgtool check -f qcow2 --backing-chain 'box 1/o.qcow2'

# ------------------------------------------------------------------------

t_begin "a data file is looked for beside the image, and the error says so"
qemu-img create -q -f qcow2 -o data_file=ext.raw deep/ext.qcow2 1M
run_ok qemu-io -c 'write -s noise 192k 64k' deep/ext.qcow2
refuses deep/ext.qcow2 'needs "deep/ext\.raw": not found beside .*qemu'
qemu-img convert -O raw deep/ext.qcow2 want.raw
reads deep/ext.qcow2 want.raw --data-file ext.raw
mv ext.raw deep/
reads deep/ext.qcow2 want.raw

t_begin "a data file is no FIFO, device or file of the kernel either"
for name in "$PWD/fifo" /dev/zero /proc/version; do
	# Of the same length as the name is, for a place in the header.
	qemu-img create -q -f qcow2 -o "data_file=$(printf "%$((${#name}))s" |
	    tr ' ' x)" ext.qcow2 1M
	at=$(grep -abo "xxxxxx*" ext.qcow2 | head -n 1 | cut -d: -f1)
	printf '%s' "$name" | dd of=ext.qcow2 bs=1 seek="$at" conv=notrunc \
	    2>/dev/null
	refuses ext.qcow2 'needs ".*": (not a regular|a file of the kernel)' \
	    -f qcow2
done

t_begin "a data file that is the image itself is refused, to write most of all"
qemu-img create -q -f qcow2 -o data_file=selfselfse self.qcow2 1M
at=$(grep -abo selfselfse self.qcow2 | head -n 1 | cut -d: -f1)
printf 'self.qcow2' | dd of=self.qcow2 bs=1 seek="$at" conv=notrunc 2>/dev/null
refuses self.qcow2 'needs "self\.qcow2": in the chain already'
cp self.qcow2 before
run_rc 1 imgtool dd-write of=self.qcow2 if=noise
one_line 'self\.qcow2: needs "self\.qcow2": in the chain already'
same_bytes self.qcow2 before

t_begin "the data file of an image behind is read"
overlay o.qcow2 deep/ext.qcow2 qcow2
reads o.qcow2 want.raw
run_ok imgtool map --output=json o.qcow2
field 'map(select(.data)) | [.[0].depth, .[0].offset]' '[1,196608]'
run_ok imgtool map o.qcow2
expect_out '^0x30000 .* data +deep/ext\.raw$'

t_begin "nothing but the top image and its data file is written to"
cp deep/ext.qcow2 ext.before
cp deep/ext.raw raw.before
run_ok imgtool dd-write of=o.qcow2 if=noise bs=4k seek=1
same_bytes deep/ext.qcow2 ext.before
same_bytes deep/ext.raw raw.before
dd if=noise of=want.raw bs=4k seek=1 conv=notrunc 2>/dev/null
reads o.qcow2 want.raw
(cd deep && run_ok qemu-img compare -f qcow2 -F raw ../o.qcow2 ../want.raw)
run_ok imgtool dd-write of=deep/ext.qcow2 if=noise seek=3
differ deep/ext.raw raw.before

t_begin "files that the source reads from are not written over"
overlay o.qcow2 base.raw
cp base.raw before
run_rc 1 imgtool convert o.qcow2 base.raw
one_line 'base\.raw: source and destination are the same'
run_rc 1 imgtool convert -n -f qcow2 -O raw o.qcow2 base.raw
one_line 'base\.raw: source and destination are the same'
run_rc 1 imgtool dd-read if=o.qcow2 of=base.raw
one_line 'base\.raw: image and output are the same'
same_bytes base.raw before
