#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Reading a disk as an internal snapshot has it.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq

dd if=/dev/urandom of=noise bs=64k count=1 2>/dev/null

run_ok qemu-img create -q -f qcow2 base.qcow2 2M
run_ok qemu-io -c 'write -P 5 1M 128k' base.qcow2
run_ok qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 i.qcow2
run_ok qemu-io -c 'write -s noise 64k 64k' i.qcow2
run_ok qemu-img snapshot -c first i.qcow2
run_ok qemu-io -c 'write -P 1 64k 64k' -c 'write -P 2 1M 64k' i.qcow2
run_ok qemu-img snapshot -c 'two, of three' i.qcow2
run_ok qemu-img resize -q i.qcow2 3M
run_ok qemu-io -c 'write -P 3 64k 64k' -c 'write -P 3 2500k 64k' i.qcow2
# Its name is the id of another one.
run_ok qemu-img snapshot -c 2 i.qcow2
run_ok qemu-io -c 'write -P 4 0 3M' i.qcow2
for n in 1 2 3; do
	run_ok qemu-img convert -l snapshot.id=$n -O raw i.qcow2 want$n.raw
done
# qemu-img has these as long as the disk is now.
truncate -s 2M want1.raw want2.raw

# as SNAPSHOT N: convert and dd-read give what qemu-img gives for id N.
as()
{
	run_ok imgtool convert -l "$1" i.qcow2 got.raw
	same_bytes got.raw "want$2.raw"
	run_ok imgtool dd-read --snapshot "$1" if=i.qcow2 of=got.raw bs=1M
	same_bytes got.raw "want$2.raw"
}

t_begin "a snapshot is found by its id"
as 1 1
as 3 3

t_begin "a snapshot is found by its name"
as first 1
as 'two, of three' 2

t_begin "an id goes before a name"
as 2 2

t_begin "id and name can be told apart, with qemu-img's words"
as snapshot.id=2 2
as snapshot.name=2 3
as snapshot.name=first 1
as snapshot.id=1,snapshot.name=first 1
as 'snapshot.name=two,, of three' 2

t_begin "what is not there is one line, and nothing is made"
for s in nothing 4 '' snapshot.id=first snapshot.name=1 \
    snapshot.id=1,snapshot.name=2; do
	rm -f no.raw
	run_rc 1 imgtool convert -l "$s" i.qcow2 no.raw
	one_line 'i\.qcow2: no snapshot '
	[ ! -e no.raw ] || fail "a result was made"
done

t_begin "what says neither id nor name is refused"
for s in snapshot. snapshot.tag=x snapshot.id= ; do
	run_rc 1 imgtool convert -l "$s" i.qcow2 no.raw
	one_line 'i\.qcow2: .*: no snapshot\.id=ID'
done

t_begin "a format without snapshots has none"
truncate -s 1M raw.img
run_rc 1 imgtool convert -l 1 raw.img no.raw
one_line 'raw\.img: no snapshot "1"'
run_rc 1 imgtool convert -l snapshot.id=1 raw.img no.raw
one_line 'raw\.img: no snapshot '

t_begin "compare and map read a snapshot too"
run_ok imgtool compare --snapshot 1 i.qcow2 want1.raw
run_rc 1 imgtool compare i.qcow2 want1.raw
run_ok imgtool map --snapshot 1 --output=json i.qcow2
field 'map(.length) | add' 2097152
field 'map(select(.data)) | map([.start, .length, .depth])' \
    '[[65536,65536,0],[1048576,131072,1]]'
run_ok imgtool map --snapshot 3 --output=json i.qcow2
field 'map(.length) | add' 3145728

t_begin "a snapshot is not written to, and no option is there to ask for it"
cp i.qcow2 before
run_rc 1 imgtool dd-write -l 1 of=i.qcow2 if=noise
one_line 'dd-write: '
same_bytes i.qcow2 before
