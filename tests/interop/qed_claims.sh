#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What qemu does with QED that nobody should: Qn are the numbers of the list
# of its defects.  Each is shown with the real qemu 7.2, and that imgtool is
# not like that.

. "$TOP/tests/lib.sh"
FORMAT=qed
. "$TOP/tests/imagelib.sh"

skip_unless qemu-img qemu-io jq cmp od timeout du
case $(qemu-img --version) in
*' version 7.2.'*) ;;
*)	skip "qemu-img is not 7.2" ;;
esac

# Header 0, L1 table 0x10000, data 0x50000, L2 table 0x60000, more data 0xa0000:
# of guest clusters 0 and 2.
make()
{
	rm -f "$1"
	run_ok qemu-img create -q -f qed "$1" 4M
	io "$1" 'write -P 1 0 64k' 'write -P 2 128k 64k'
	[ "$(le64 "$1" 65536)" -eq 393216 ] &&
	    [ "$(le64 "$1" 393216)" -eq 327680 ] &&
	    [ "$(le64 "$1" 393232)" -eq 655360 ] || fail "$1 is another image"
}

# dirty FILE: as if it had not been closed.
dirty()
{
	poke "$1" 16 2
}

t_begin "Q1: tables of one cluster are made by qemu, and opened by imgtool only"
run_ok qemu-img create -q -f qed -o table_size=1 q1.qed 4M
run_rc 1 qemu-img check -f qed q1.qed
expect_err 'table offset is invalid'
put q1.qed 65536 one 300000
run_ok imgtool dd-read -f qed if=q1.qed bs=1 skip=65536 count=300000 of=got
same_bytes got data
run_ok imgtool check --deep -f qed q1.qed
expect_out '^note QED-6 '
expect_no_out '^(warning|leak|corrupt|fatal) '
run_rc 1 qemu-img check -f qed q1.qed

t_begin "Q1: once converted it is for qemu too"
run_ok imgtool convert -f qed -O qed q1.qed q1.new.qed
clean q1.new.qed
run_ok qemu-img convert -f qed -O raw q1.new.qed want.raw
cmp -n 300000 want.raw data 65536 0 || fail "other bytes"

t_begin "Q2: what needs more than 64 bits at its largest is not for qemu"
run_rc 1 qemu-img create -q -f qed -o cluster_size=64M q2.qed 1G
expect_err 'less than 0 bytes'
rm -f q2.qed
run_ok imgtool create -q -f qed -o cluster_size=64M,table_size=2 q2.qed 1G
put q2.qed $((67108864 - 1024)) two 3072
run_ok imgtool check -f qed q2.qed
expect_out '^note QED-61 '
expect_no_out '^(warning|leak|corrupt|fatal) '
run_ok imgtool dd-read -f qed if=q2.qed bs=512 skip=131070 count=6 of=got
same_bytes got data
run_rc 1 qemu-img check -f qed q2.qed
expect_err 'image size is invalid'
[ "$(du -k q2.qed | awk '{ print $1 }')" -lt 2048 ] ||
    fail "it takes $(du -k q2.qed) KiB"
run_ok imgtool convert -f qed -O qed -o cluster_size=4k q2.qed q2.new.qed
clean q2.new.qed
run_ok imgtool compare -f qed -F qed q2.qed q2.new.qed
run_ok qemu-img dd -f qed -O raw bs=512 skip=131070 count=131076 \
    if=q2.new.qed of=got
same_bytes got data
rm -f q2.qed

t_begin "Q3: qemu counts one leak too many for every cluster size of clusters"
run_ok imgtool create -q -f qed -o cluster_size=4k q3.qed 18M
put q3.qed 0 three 18874368
run_rc 3 qemu-img check -f qed q3.qed
expect_out '^1 leaked clusters'
run_rc 3 qemu-img check -q -f qed -r all q3.qed
run_ok imgtool check --deep -f qed q3.qed
expect_no_out '^(warning|leak|corrupt|fatal) '
alike q3.qed
same_bytes got.raw data
rm -f q3.qed

t_begin "Q4: of 16 MiB at once qemu writes a cluster too much"
head -c 17M /dev/zero | tr '\0' B >base.raw
for f in theirs ours; do
	run_ok qemu-img create -q -f qed -b base.raw -F raw \
	    -o cluster_size=4k,table_size=16 $f.qed
done
io theirs.qed 'write -P 65 0 16M'
head -c 16M /dev/zero | tr '\0' A >data
run_ok imgtool dd-write -f qed of=ours.qed if=data bs=16M status=none
alike theirs.qed
[ "$(peek got.raw 16777216 2)" = 0000 ] || fail "qemu does not"
alike ours.qed
cp base.raw want
dd if=data of=want bs=1M conv=notrunc status=none
same_bytes got.raw want
run_ok imgtool check -f qed ours.qed
expect_no_out '^(warning|leak|corrupt|fatal) '
rm -f theirs.qed ours.qed

t_begin "Q5: qemu takes no lost space back, and imgtool does"
make q5.qed
cp q5.qed sound.qed
truncate -s +192k q5.qed
for r in '' '-r leaks' '-r all'; do
	# shellcheck disable=SC2086 # words
	run_rc 3 qemu-img check -f qed $r q5.qed
	expect_out '^3 leaked clusters'
done
run_rc 3 imgtool check -f qed q5.qed
expect_out '^leak QED-51 at 720896: '
run_ok imgtool check -f qed -r safe q5.qed
same_bytes q5.qed sound.qed
clean q5.qed

t_begin "Q6: to open a dirty image is enough for qemu to destroy what is in it"
make q6.qed
dirty q6.qed
poke q6.qed 393216 0 0 25 # 0x150000, far behind the end
cp q6.qed kept.qed
io q6.qed 'read 128k 512'
[ "$(le64 q6.qed 393216)" -eq 0 ] && [ "$(le64 q6.qed 16)" -eq 0 ] ||
    fail "qemu does not"
unwritable kept.qed 'QED-(28|48)'
run_rc 2 imgtool check -f qed kept.qed
expect_out '^warning QED-28 '
expect_out '^corrupt QED-48 at 393216: '
run_ok imgtool dd-read -f qed if=kept.qed bs=64k skip=2 count=1 of=got
run_rc 1 imgtool convert -f qed -O raw kept.qed no.raw
same_bytes kept.qed before

t_begin "Q6: with an error that qemu cannot repair it says that all is well"
make q6.qed
dirty q6.qed
poke q6.qed 393224 0 0 5 # guest cluster 1 is cluster 0 too
cp q6.qed kept.qed
io q6.qed 'read 128k 512'
[ "$(le64 q6.qed 16)" -eq 0 ] || fail "qemu does not"
run_rc 2 qemu-img check -f qed q6.qed
unwritable kept.qed 'QED-(28|41)'
run_rc 2 imgtool check -f qed kept.qed
expect_out '^corrupt QED-41 at 393224: '
[ "$(le64 kept.qed 16)" -eq 2 ] || fail "it is not dirty now"

t_begin "Q7: a dirty image is not dirty for qemu-img info"
make q7.qed
dirty q7.qed
run_ok qemu-img info -f qed --output=json q7.qed
field '."dirty-flag"' false
[ "$(le64 q7.qed 16)" -eq 2 ] || fail "it is not dirty now"
run_ok imgtool info -f qed --output=json q7.qed
field '."dirty-flag"' true

t_begin "Q8: a header of no clusters is a leak for qemu, and wrong for imgtool"
make q8.qed
cp q8.qed sound.qed
poke q8.qed 12 0
run_rc 3 qemu-img check -f qed q8.qed
expect_out '^1 leaked clusters'
run_rc 2 imgtool check -f qed q8.qed
expect_out '^corrupt QED-7 at 12: '
expect_no_out '^leak '
alike q8.qed
unwritable q8.qed QED-7
run_ok imgtool check -f qed -r safe q8.qed
same_bytes q8.qed sound.qed

t_begin "Q9: up to 511 lost bytes are nothing to qemu"
make q9.qed
cp q9.qed sound.qed
size=$(wc -c <q9.qed)
for n in 1 511 512; do
	cp sound.qed q9.qed
	truncate -s $((size - n)) q9.qed
	status=$((n < 512 ? 0 : 2))
	run_rc $status qemu-img check -f qed q9.qed
	run_rc 2 imgtool check -f qed q9.qed
	expect_out '^corrupt QED-49 at 393232: '
	run_rc 1 imgtool convert -f qed -O raw q9.qed no.raw
	[ ! -e no.raw ] || fail "a result was made"
	unwritable q9.qed QED-49
done

# written IMAGE COMMAND: the log of what qemu writes, a line for each write
# ("write OFFSET LENGTH", in sectors) and each barrier ("flush").
written()
{
	: >log.bin
	truncate -s 1M log.bin
	qemu-io --image-opts driver=qed,file.driver=blklogwrites,\
file.file.driver=file,file.file.filename="$1",\
file.log.driver=file,file.log.filename=log.bin -c "$2" >io.log 2>&1 ||
	    fail "qemu-io: $(cat io.log)"
	log_at=512
	log_left=$(le64 log.bin 16)
	while [ "$log_left" -gt 0 ]; do
		log_len=$(le64 log.bin $((log_at + 8)))
		[ "$log_len" -eq 0 ] ||
		    echo "write $(le64 log.bin $log_at) $log_len"
		[ $(($(le64 log.bin $((log_at + 16))) & 3)) -eq 0 ] ||
		    echo flush
		log_at=$((log_at + 512 * (1 + log_len)))
		log_left=$((log_left - 1))
	done
}

t_begin "Q10: qemu marks the image, and does not wait before it writes on"
run_ok qemu-img create -q -f qed q10.qed 4M
written q10.qed 'write -P 1 0 64k' >log.txt
# Header, data, L2 table, barrier, L1 table.
printf 'write 0 1\nwrite 640 128\nwrite 768 512\nflush\nwrite 128 1\n' >want
head -n 5 log.txt | cmp - want || fail "it writes: $(cat log.txt)"
clean q10.qed

# aim TARGET: guest cluster 1 is what lies at this byte (octal digits).
aim()
{
	make q11.qed
	poke q11.qed 393224 0 0 "$1"
}

t_begin "Q11: qemu writes where an entry leads to, and be it to the L1 table"
for t in 1:43 6:44 5:41; do
	aim "${t%:*}"
	cp q11.qed kept.qed
	[ "$t" != 1:43 ] || {
		io q11.qed 'write -P 119 64k 512'
		[ "$(peek q11.qed 65536 4)" = 77777777 ] || fail "qemu does not"
	}
	unwritable kept.qed "QED-${t#*:}"
	run_rc 2 imgtool check -f qed kept.qed
	expect_out "^corrupt QED-${t#*:} at 393224: "
done

t_begin "Q12: where nothing was made qemu leaves something"
run_rc 1 qemu-img create -q -f qed -o cluster_size=64M q12.qed 1M
[ -e q12.qed ] || fail "qemu does not"
rm -f q12.qed
run_rc 1 imgtool create -q -f qed -o cluster_size=4k,table_size=2 q12.qed 5G
[ ! -e q12.qed ] || fail "a file was made"
aim 100 # behind the end
run_rc 1 qemu-img convert -q -f qed -O qed q11.qed q12.qed
[ -e q12.qed ] || fail "qemu does not"
rm -f q12.qed
run_rc 1 imgtool convert -q -f qed -O qed q11.qed q12.qed
[ ! -e q12.qed ] || fail "a result was made"

t_begin "Q13: what qemu cannot do with QED it still cannot"
make q13.qed
for c in 'resize --shrink -f qed q13.qed 1M' \
    'amend -f qed -o table_size=2 q13.qed' 'measure -O qed base.raw' \
    'snapshot -c one q13.qed' 'bitmap --add -f qed q13.qed one' \
    'convert -c -O qed base.raw no.qed'; do
	# shellcheck disable=SC2086 # a command and its operands
	run_rc 1 qemu-img $c
	clean q13.qed
done
rm -f no.qed
run_rc 1 imgtool convert -c -f raw -O qed base.raw no.qed
[ ! -e no.qed ] || fail "a result was made"

t_begin "Q14: entries behind the end of the disk come back when it grows"
make q14.qed
poke q14.qed 48 0 0 1 # 64 KiB
run_ok qemu-img check -f qed q14.qed
alike q14.qed
run_ok imgtool check -f qed q14.qed
expect_out '^note QED-55 at 393232: '
run_ok qemu-img resize -q -f qed q14.qed 256k
alike q14.qed
[ "$(peek got.raw 131072 2)" = 0202 ] || fail "qemu does not"

t_begin "Q15: an image that is its own backing file keeps qemu-img busy"
run_ok qemu-img create -q -f qed -b base.raw -F raw q15.qed
run_ok qemu-img rebase -u -f qed -b q15.qed -F qed q15.qed
run_rc 137 timeout -s KILL 2 qemu-img check -f qed q15.qed
run_rc 1 imgtool convert -f qed -O raw q15.qed no.raw
expect_err 'in the chain already'
run_rc 2 imgtool check -f qed --backing-chain q15.qed
expect_out '^corrupt QED-21'

t_begin "Q16: an empty L1 table takes as much space as a full one"
for f in qemu-img imgtool; do
	run_ok $f create -q -f qed -o cluster_size=1M,table_size=16 $f.qed 1G
done
same_bytes qemu-img.qed imgtool.qed
[ "$(du -k qemu-img.qed | awk '{ print $1 }')" -ge 16384 ] ||
    fail "qemu does not"
[ "$(du -k imgtool.qed | awk '{ print $1 }')" -le 64 ] ||
    fail "it takes $(du -k imgtool.qed) KiB"

t_begin "Q17: around what qemu writes over zeros the backing file comes back"
for f in theirs ours; do
	run_ok qemu-img create -q -f qed -b base.raw -F raw $f.qed 1M
	io $f.qed 'write -z 0 128k'
done
io theirs.qed 'write -P 7 68k 512'
run_ok qemu-img convert -f qed -O raw theirs.qed want.raw
[ "$(peek want.raw 65536 4)" = 42424242 ] || fail "qemu does not"
put ours.qed 69632 seventeen 512
alike ours.qed
[ "$(peek got.raw 65536 4)" = 00000000 ] || fail "other bytes in front"
[ "$(peek got.raw 131068 4)" = 00000000 ] || fail "other bytes behind"
clean ours.qed

t_begin "Q18: over a backing file that is longer qemu cannot grow an image"
run_rc 1 qemu-img resize -q -f qed ours.qed 2M
expect_err 'does not support requested flags'
clean ours.qed
