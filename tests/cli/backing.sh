#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Images that read through to others: making them, and checking that they find
# what they name.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq

dd if=/dev/urandom of=base.raw bs=1M count=4 2>/dev/null
qemu-img convert -O qcow2 base.raw base.qcow2
dd if=/dev/urandom of=noise bs=64k count=1 2>/dev/null

# allocated FILE: how many of its clusters have space.
allocated()
{
	imgtool check --output=json "$1" | jq '."allocated-clusters"'
}

# ------------------------------------------------------------------------

t_begin "create -b makes an image of the size of the backing file"
run_ok imgtool create -q -f qcow2 -b base.qcow2 -F qcow2 o.qcow2
run_ok imgtool info --output=json o.qcow2
field '[."virtual-size", ."backing-filename", ."backing-filename-format"]' \
    '[4194304,"base.qcow2","qcow2"]'
run_ok qemu-img compare o.qcow2 base.qcow2
run_ok qemu-img check o.qcow2

t_begin "or of the size that is given"
run_ok imgtool create -q -f qcow2 -b base.raw -F raw o.qcow2 6M
run_ok imgtool info --output=json o.qcow2
field '."virtual-size"' 6291456
run_rc 0 qemu-img compare -f qcow2 -F raw o.qcow2 base.raw

t_begin "-o backing_file and backing_fmt are the same as -b and -F"
run_ok imgtool create -q -f qcow2 -o backing_file=base.raw,backing_fmt=raw \
    o.qcow2
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 base.raw

t_begin "the name is taken from the folder of the new image"
mkdir sub
run_ok imgtool create -q -f qcow2 -b ../base.raw -F raw sub/o.qcow2
run_ok qemu-img compare -f qcow2 -F raw sub/o.qcow2 base.raw
run_rc 1 imgtool create -q -f qcow2 -b base.raw -F raw sub/no.qcow2
one_line 'sub/base\.raw: No such file'
[ ! -e sub/no.qcow2 ] || fail "an image was made"

t_begin "a name may have commas"
cp base.raw 'a,b,,c.raw'
run_ok imgtool create -q -f qcow2 -b 'a,b,,c.raw' -F raw o.qcow2
run_ok imgtool info --output=json o.qcow2
field '."backing-filename"' '"a,b,,c.raw"'
run_ok imgtool compare -F raw o.qcow2 base.raw
run_ok imgtool create -q -f qcow2 \
    -o 'backing_file=a,,b,,,,c.raw,backing_fmt=raw' o.qcow2
run_ok imgtool info --output=json o.qcow2
field '."backing-filename"' '"a,b,,c.raw"'
run_ok imgtool convert -O qcow2 -B 'a,b,,c.raw' -F raw base.raw 'd,e.qcow2'
run_ok imgtool info --output=json 'd,e.qcow2'
field '."backing-filename"' '"a,b,,c.raw"'

t_begin "a name of 1023 bytes can be recorded, a longer one not"
part=$(printf '%0199d' 0)
mkdir -p "$part/$part/$part/$part"
long="$part/$part/$part/$part/$(printf '%0223d' 7)"
[ ${#long} -eq 1023 ] || fail "the name has ${#long} bytes"
cp base.raw "$long"
run_ok imgtool create -q -f qcow2 -b "$long" -F raw o.qcow2
run_ok imgtool compare o.qcow2 base.raw
cp base.raw "${long}8"
run_rc 1 imgtool create -q -f qcow2 -b "${long}8" -F raw no.qcow2
[ "$(wc -l <"$ERR")" -eq 1 ] || fail "not one line: $(cat "$ERR")"
[ ! -e no.qcow2 ] || fail "an image was made"

t_begin "the format of the backing file must be said"
run_rc 1 imgtool create -f qcow2 -b base.raw no.qcow2
one_line 'create: -b needs -F'
run_rc 1 imgtool convert -O qcow2 -B base.raw base.raw no.qcow2
one_line 'convert: -B goes with -F'
run_rc 1 imgtool convert -O qcow2 -F raw base.raw no.qcow2
one_line 'convert: -B goes with -F'
run_rc 1 imgtool create -f qcow2 -b base.raw -F vmdk no.qcow2
one_line 'create: vmdk: unknown format'

t_begin "a format without backing files has none"
for fmt in raw vhd; do
	run_rc 1 imgtool create -f $fmt -b base.raw -F raw no.img
	[ "$(wc -l <"$ERR")" -eq 1 ] || fail "not one line: $(cat "$ERR")"
	run_rc 1 imgtool convert -O $fmt -B base.raw -F raw base.raw no.img
	[ "$(wc -l <"$ERR")" -eq 1 ] || fail "not one line: $(cat "$ERR")"
	[ ! -e no.img ] || fail "an image was made"
done

t_begin "a backing file that is missing or broken is refused"
run_rc 1 imgtool create -f qcow2 -b nothing -F raw no.qcow2
one_line 'nothing: No such file'
run_rc 1 imgtool create -f qcow2 -b base.raw -F qcow2 no.qcow2
one_line 'base\.raw: QCOW2-1 '
run_rc 1 imgtool convert -O qcow2 -B nothing -F raw base.raw no.qcow2
one_line 'no\.qcow2: needs "nothing": No such file'
[ ! -e no.qcow2 ] || fail "an image was made"

# ------------------------------------------------------------------------

cp base.raw new.raw
dd if=noise of=new.raw bs=64k seek=5 conv=notrunc 2>/dev/null
dd if=noise of=new.raw bs=1k seek=1000 count=1 conv=notrunc 2>/dev/null
dd if=/dev/zero of=new.raw bs=64k seek=20 count=2 conv=notrunc 2>/dev/null

t_begin "convert -B stores what differs, and no more"
run_ok imgtool convert -O qcow2 -B base.raw -F raw new.raw o.qcow2
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 new.raw
run_ok qemu-img check o.qcow2
[ "$(allocated o.qcow2)" -eq 2 ] || fail "$(allocated o.qcow2) clusters"
run_ok imgtool map --output=json o.qcow2
field 'map(select(.depth == 0)) | map([.start, .length, .zero])' \
    '[[327680,65536,false],[983040,65536,false],[1310720,131072,true]]'

t_begin "it does so whatever the backing file holds"
dd if=/dev/urandom of=other.raw bs=1M count=5 2>/dev/null
run_ok imgtool convert -O qcow2 -B other.raw -F raw new.raw o.qcow2
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 new.raw
truncate -s 1M short.raw
run_ok imgtool convert -O qcow2 -B short.raw -F raw new.raw o.qcow2
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 new.raw

t_begin "an overlay is copied without what its own base has"
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 src.qcow2
run_ok qemu-io -c 'write -s noise 1M 64k' -c 'write -z 2M 64k' src.qcow2
run_ok imgtool convert -O qcow2 -B base.qcow2 -F qcow2 src.qcow2 o.qcow2
run_ok qemu-img compare o.qcow2 src.qcow2
[ "$(allocated o.qcow2)" -eq 1 ] || fail "$(allocated o.qcow2) clusters"

t_begin "the same file, read as another format, is another disk"
run_ok imgtool convert -O qcow2 -B base.qcow2 -F raw src.qcow2 o.qcow2
run_ok qemu-img compare o.qcow2 src.qcow2

t_begin "zeros behind the end of a source that ends within a sector are zeros"
head -c 1000001 base.raw >odd.raw
run_ok imgtool convert -q -O qcow2 -B base.raw -F raw odd.raw o.qcow2
cp odd.raw want.raw
truncate -s 1000448 want.raw
run_ok imgtool dd-read if=o.qcow2 of=got.raw bs=1M
same_bytes got.raw want.raw

t_begin "standard input can be what differs"
run_ok imgtool convert -q -O qcow2 -B base.raw -F raw - o.qcow2 <new.raw
run_ok imgtool compare o.qcow2 new.raw
cat new.raw | imgtool convert --size 4M -O qcow2 -B base.raw -F raw - o.qcow2 ||
    fail "no conversion from a pipe"
run_ok imgtool compare o.qcow2 new.raw

t_begin "-B and -c together give the same disk, smaller"
run_ok imgtool convert -c -O qcow2 -B short.raw -F raw new.raw o.qcow2
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 new.raw

t_begin "convert -n writes into an overlay, and leaves its base alone"
cp base.qcow2 before
run_ok imgtool create -q -f qcow2 -b base.qcow2 -F qcow2 o.qcow2
run_ok imgtool convert -n -O qcow2 new.raw o.qcow2
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 new.raw
run_ok qemu-img check o.qcow2
same_bytes base.qcow2 before
[ "$(allocated o.qcow2)" -eq 2 ] || fail "$(allocated o.qcow2) clusters"

t_begin "without what it reads through to, an overlay is not written to"
cp o.qcow2 before
run_rc 1 imgtool dd-write --no-backing of=o.qcow2 if=noise
one_line 'o\.qcow2: not written to without its backing file'
same_bytes o.qcow2 before

# ------------------------------------------------------------------------

t_begin "no image is made that would read through to itself"
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 mid.qcow2
cp base.qcow2 before
for b in base.qcow2 mid.qcow2 ./base.qcow2; do
	run_rc 1 imgtool create -f qcow2 -b $b -F qcow2 base.qcow2
	one_line 'base\.qcow2: would read through to itself'
	run_rc 1 imgtool convert -O qcow2 -B $b -F qcow2 new.raw base.qcow2
	one_line 'base\.qcow2: would read through to itself'
done
same_bytes base.qcow2 before
run_rc 1 imgtool convert -O qcow2 -o data_file=self.qcow2 new.raw self.qcow2
one_line 'self\.qcow2: would read through to itself'
run_rc 1 imgtool create -f qcow2 -o data_file=./self.qcow2 self.qcow2 1M
one_line 'self\.qcow2: would read through to itself'
[ ! -e self.qcow2 ] || fail "a file was made"

t_begin "damage further down is told of the file that has it"
cp base.qcow2 damaged.qcow2
qemu-img create -q -f qcow2 -b damaged.qcow2 -F qcow2 top.qcow2
# number FILE OFFSET: four bytes, the last of a table's offset.
number()
{
	echo $((0x$(dd if="$1" bs=1 skip="$2" count=4 2>/dev/null |
	    od -An -tx1 | tr -d ' ')))
}
l2=$(number damaged.qcow2 $(($(number damaged.qcow2 44) + 4)))
# The first guest cluster, now at an impossible place.
printf '\200\1\1\1\1\1\1\0' |
    dd of=damaged.qcow2 bs=1 seek="$l2" conv=notrunc 2>/dev/null
run_rc 1 imgtool convert top.qcow2 no.raw
one_line 'damaged\.qcow2: QCOW2-[0-9]*: data cluster '

# finds ROW FILE [STATUS]: check --backing-chain has this row, and only that,
# on FILE, and check of the file alone has none.
finds()
{
	run_rc "${3:-2}" imgtool check --backing-chain --output=json top.qcow2
	jq -c 'map({f: .filename, r: .findings[].row}) | .[]' "$OUT" >rows
	[ "$(cat rows)" = "{\"f\":\"$2\",\"r\":\"$1\"}" ] ||
	    fail "not $1 on $2: $(cat rows)"
	run_rc "${3:-2}" imgtool check --backing-chain top.qcow2
	expect_out " $1[: ]"
	run_ok imgtool check top.qcow2
}

t_begin "check --backing-chain checks every image of the chain"
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 mid.qcow2
qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2
run_ok imgtool check --backing-chain --output=json top.qcow2
field 'map(.filename)' '["top.qcow2","mid.qcow2","base.qcow2"]'
field 'map(."allocated-clusters")' '[0,0,64]'
run_ok imgtool check --backing-chain top.qcow2
[ "$(grep '^image: ' "$OUT" | tr '\n' ' ')" = \
    'image: top.qcow2 image: mid.qcow2 image: base.qcow2 ' ] ||
    fail "not the three images"

t_begin "the worst of them decides the exit status"
cp mid.qcow2 sound
# The dirty bit, in the incompatible features at 72.
printf '\1' | dd of=mid.qcow2 bs=1 seek=79 conv=notrunc 2>/dev/null
finds QCOW2-12 mid.qcow2
cp sound mid.qcow2

t_begin "a backing file that is missing, or no file, is one finding"
mv base.qcow2 away
finds QCOW2-107 mid.qcow2
mkdir base.qcow2
finds QCOW2-107 mid.qcow2
rmdir base.qcow2
mkfifo base.qcow2
finds QCOW2-107 mid.qcow2
rm base.qcow2

t_begin "so is one of another format than is recorded"
head -c 70000 noise >base.qcow2
finds QCOW2-107 mid.qcow2
rm base.qcow2
mv away base.qcow2

t_begin "a loop is one finding"
qemu-img create -q -u -f qcow2 -b top.qcow2 -F qcow2 mid.qcow2 4M
finds QCOW2-108 mid.qcow2
cp sound mid.qcow2

t_begin "another size is worth a note"
qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 5M
finds QCOW2-109 top.qcow2 0
run_ok imgtool check --backing-chain top.qcow2
expect_out '^note QCOW2-109: .*found 0x400000, expected 0x500000'

t_begin "a data file that is too short is a warning, one that is missing fatal"
qemu-img create -q -f qcow2 -o data_file=ext.raw top.qcow2 2M
run_ok qemu-io -c 'write -P 1 1M 64k' top.qcow2
truncate -s 1M ext.raw
finds QCOW2-75 top.qcow2 0
rm ext.raw
run_ok imgtool check top.qcow2
run_rc 1 imgtool check --backing-chain top.qcow2
one_line 'top\.qcow2: needs "ext\.raw": not found beside'

# ------------------------------------------------------------------------

# A QED records nothing of a format but that it is raw.

t_begin "QED reads through to every format, and every format through QED"
qemu-img convert -O raw base.qcow2 want.raw
for fmt in raw vpc qcow2 qed; do
	qemu-img convert -O $fmt want.raw b.$fmt
	run_ok imgtool create -q -f qed -b b.$fmt -F $fmt o.qed
	run_ok imgtool compare o.qed -F raw want.raw
	run_ok qemu-img compare -f qed -F raw o.qed want.raw
	run_ok imgtool dd-write of=o.qed if=noise bs=1k seek=3000
	run_ok imgtool convert o.qed got.raw
	run_ok qemu-img compare -f qed -F raw o.qed got.raw
	run_ok qemu-img check o.qed
	[ "$(allocated o.qed)" -eq 2 ] || fail "$(allocated o.qed) clusters"
done
run_ok imgtool create -q -f qcow2 -b o.qed -F qed o.qcow2
run_ok imgtool compare o.qcow2 -F raw got.raw
run_ok qemu-img compare -f qcow2 -F raw o.qcow2 got.raw

t_begin "what is raw stays raw, whatever it looks like"
run_ok imgtool create -q -f qed -b b.qed -F raw o.qed
run_ok imgtool dd-read if=o.qed of=head bs=512 count=1
head -c 512 b.qed >want.head
same_bytes head want.head

t_begin "convert -B to QED stores what differs, and hides the rest by zeros"
run_ok imgtool convert -O qed -B base.raw -F raw new.raw o.qed
run_ok qemu-img compare -f qed -F raw o.qed new.raw
run_ok qemu-img check o.qed
[ "$(allocated o.qed)" -eq 2 ] || fail "$(allocated o.qed) clusters"
run_ok imgtool map --output=json o.qed
field 'map(select(.depth == 0)) | map([.start, .length, .zero])' \
    '[[327680,65536,false],[983040,65536,false],[1310720,131072,true]]'
run_ok imgtool create -q -f qed -b base.raw -F raw o.qed
run_ok imgtool convert -n new.raw o.qed
run_ok qemu-img compare -f qed -F raw o.qed new.raw
[ "$(allocated o.qed)" -eq 2 ] || fail "$(allocated o.qed) clusters"

t_begin "QED over QED over QED wants the format stated, at every depth at once"
run_ok imgtool create -q -f qed -b base.raw -F raw 1.qed
run_ok imgtool dd-write of=1.qed if=noise bs=64k seek=7
run_ok imgtool convert 1.qed want.raw
run_ok imgtool create -q -f qed -b 1.qed -F qed 2.qed
run_ok imgtool create -q -f qed -b 2.qed -F qed 3.qed
run_ok qemu-img compare -f qed -F raw 3.qed want.raw
for n in 2 3; do
	run_rc 1 imgtool convert $n.qed no.raw
	one_line "$n\\.qed: needs \".\\.qed\": .*; --backing-format qed states"
	run_ok imgtool compare --backing-format qed $n.qed want.raw
done
run_ok imgtool info --backing-chain --backing-format qed 3.qed
[ "$(grep -c '^image: ' "$OUT")" -eq 4 ] || fail "not four images"

t_begin "-F states it for a result, and with -n for the image that is there"
run_ok imgtool convert -O qed -B 3.qed -F qed new.raw 4.qed
run_ok qemu-img compare -f qed -F raw 4.qed new.raw
run_rc 1 imgtool convert -n want.raw 4.qed
one_line '4\.qed: needs "3\.qed": .*; -F qed states it$'
run_ok imgtool convert -n -F qed want.raw 4.qed
run_ok qemu-img compare -f qed -F raw 4.qed want.raw
run_rc 1 imgtool convert -n -F vmdk want.raw 4.qed
one_line 'convert: vmdk: unknown format'

t_begin "--backing, --backing-format and --no-backing are for QED too"
cp base.raw gone.raw
run_ok imgtool create -q -f qed -b gone.raw -F raw gone.qed
run_ok imgtool dd-write of=gone.qed if=noise bs=64k seek=7
rm gone.raw
run_rc 1 imgtool convert gone.qed no.raw
one_line 'gone\.qed: needs "gone\.raw": No such file'
run_ok imgtool compare --backing base.raw gone.qed want.raw
run_ok imgtool compare --backing base.qcow2 --backing-format qcow2 gone.qed \
    want.raw
run_ok imgtool map --no-backing --output=json gone.qed
field 'map(select(.data)) | map([.start, .length])' '[[458752,65536]]'
cp gone.qed before
run_rc 1 imgtool dd-write --no-backing of=gone.qed if=noise
one_line 'gone\.qed: not written to without its backing file'
same_bytes gone.qed before

t_begin "of an image whose format is found out, names stay in its folder"
run_ok imgtool create -q -f qed -b ../base.raw -F raw sub/o.qed
run_rc 1 imgtool convert sub/o.qed no.raw
one_line 'sub/o\.qed: needs ".*": outside of the folder .*: imgtool convert -f qed sub/o\.qed no\.raw$'
run_ok imgtool convert -f qed sub/o.qed got.raw
same_bytes got.raw base.raw

t_begin "what is wrong with the image behind a QED is one finding"
cp base.raw behind.raw
run_ok imgtool create -q -f qed -b behind.raw -F raw mid.qed
run_ok imgtool create -q -f qcow2 -b mid.qed -F qed top.qcow2
rm behind.raw
finds QED-20 mid.qed
mkdir behind.raw
finds QED-20 mid.qed
rmdir behind.raw
head -c 3M base.raw >behind.raw
finds QED-66 mid.qed 0
run_ok imgtool check --backing-chain top.qcow2
expect_out '^note QED-66: .*found 0x300000, expected 0x400000'
qemu-img create -q -u -f qed -b top.qcow2 -F raw mid.qed 4M
finds QED-21 mid.qed
run_rc 2 imgtool check --backing-chain top.qcow2
expect_out '^corrupt QED-21: .* "top\.qcow2"$'

t_begin "a chain is not repaired"
run_rc 1 imgtool check -r safe --backing-chain top.qcow2
one_line 'check: -r repairs one image'
