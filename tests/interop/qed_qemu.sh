#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What qemu leaves behind of a QED when it is killed, what it does to images
# that are ours, and all formats from and to QED by both.

. "$TOP/tests/lib.sh"
FORMAT=qed
. "$TOP/tests/imagelib.sh"

skip_unless qemu-img qemu-io jq cmp od

PLAN=$TOP/tests/interop/disk_plan.t

# judged FILE: check finds nothing or that space is lost, as qemu-img does.
judged()
{
	status=0
	qemu-img check -q -f qed "$1" >/dev/null 2>&1 || status=$?
	[ $status -eq 0 ] || [ $status -eq 3 ] || fail "qemu-img: $status"
	run_rc $status imgtool check -f qed --deep "$1"
	expect_no_out '^(corrupt|fatal) '
}

# go_on FILE DIRTY: it is read as qemu reads it, and mended, and is an image
# like any other then.
go_on()
{
	cp "$1" before
	judged "$1"
	# A table that is not linked yet could be one that was lost.
	orphans=$(grep -c '^warning QED-53 ' "$OUT")
	alike "$1"
	same_bytes "$1" before
	cp got.raw disk.raw
	if [ "$2" -eq 2 ]; then
		run_rc $status imgtool check -f qed "$1"
		expect_out '^warning QED-28 at 16: '
		unwritable "$1" QED-28
	fi
	if [ "$orphans" -gt 0 ]; then
		run_rc 3 imgtool check -f qed -r safe "$1"
		run_ok imgtool check -f qed -r all "$1"
	else
		run_ok imgtool check -f qed -r safe "$1"
	fi
	[ $(($(le64 "$1" 16) & 2)) -eq 0 ] || fail "it is still dirty"
	clean "$1"
	alike "$1"
	same_bytes got.raw disk.raw
	put "$1" 1000448 mended 1000000
	io "$1" 'write -P 9 1500k 900k'
	dd if=data of=disk.raw bs=512 seek=1954 conv=notrunc status=none
	head -c 900k /dev/zero | tr '\0' '\011' |
	    dd of=disk.raw bs=1k seek=1500 conv=notrunc status=none
	clean "$1"
	alike "$1"
	same_bytes got.raw disk.raw
}

for p in 0 1 2 3 4 5 6 7; do
	"$PLAN" fill "$p" p$p $((3900 + p * 37))
done
"$PLAN" plan 77 8388608 4096 300 nodiscard | grep -v '^flush' >plan
words base 5000000 >base.raw

# start FILE BACKED: an empty image for it.
start()
{
	rm -f "$1"
	if [ "$2" = yes ]; then
		run_ok qemu-img create -q -f qed -o cluster_size=4k,table_size=2 \
		    -b base.raw -F raw "$1" 8M
	else
		run_ok qemu-img create -q -f qed -o cluster_size=4k,table_size=2 \
		    "$1" 8M
	fi
}

t_begin "an image that was given up is dirty, read, and mended"
for n in 1 7 60; do
	start a.qed no
	{ head -n $n plan; echo abort; } |
	    qemu-io -f qed a.qed >/dev/null 2>&1
	[ "$(le64 a.qed 16)" -eq 2 ] || fail "after $n writes it is not dirty"
	go_on a.qed 2
done

t_begin "over a backing file it is not dirty, and as sound"
for n in 1 7 60; do
	start a.qed yes
	{ head -n $n plan; echo abort; } |
	    qemu-io -f qed a.qed >/dev/null 2>&1
	[ "$(le64 a.qed 16)" -eq 5 ] || fail "after $n writes it is dirty"
	go_on a.qed 0
done

# stopped STEP FILE: in the middle of a write of two clusters for which there
# is no L2 table yet.
stopped()
{
	printf 'write -P 3 0 8k\nbreak %s A\naio_write -P 5 4195000 8k
wait_break A\nabort\n' "$1" | timeout 60 qemu-io --image-opts \
	    driver=qed,file.driver=blkdebug,file.image.driver=file,\
file.image.filename="$2" >/dev/null 2>&1
}

t_begin "given up at any step of a write it is as it was, and space is lost"
for backed in no yes; do
	dirty=2
	[ $backed = no ] || dirty=0
	for s in cow_write:0 write_aio:3 l2_update:3 l1_update:5; do
		start a.qed $backed
		stopped "${s%:*}" a.qed
		run_rc $((${s#*:} > 0 ? 3 : 0)) imgtool check -f qed a.qed
		[ "${s#*:}" -eq 0 ] || expect_out \
		    "^leak QED-51 at 28672: .* ${s#*:} clusters\$"
		[ ${s%:*} != l1_update ] || expect_out '^warning QED-53 at 40960: '
		go_on a.qed $dirty
		imgtool dd-read -f qed if=a.qed bs=8k count=1 status=none |
		    tr -d '\003' | cmp - /dev/null || fail "lost"
	done
done

t_begin "killed at any moment it is no worse"
for s in 0.005 0.01 0.02 0.03 0.05 0.08; do
	backed=no
	[ "${s%5}" = "$s" ] || backed=yes
	start a.qed $backed
	qemu-io -f qed a.qed <plan >/dev/null 2>&1 &
	pid=$!
	sleep $s
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	go_on a.qed $(($(le64 a.qed 16) & 2))
done

t_begin "qemu opens a dirty image of its own, and imgtool goes on with it"
start a.qed no
{ head -n 20 plan; echo abort; } | qemu-io -f qed a.qed >/dev/null 2>&1
alike a.qed
cp got.raw disk.raw
io a.qed 'read 0 512'
[ "$(le64 a.qed 16)" -eq 0 ] || fail "qemu left it dirty"
judged a.qed
put a.qed 4194304 again 700000
dd if=data of=disk.raw bs=512 seek=8192 conv=notrunc status=none
judged a.qed
alike a.qed
same_bytes got.raw disk.raw

t_begin "an image of ours grows by qemu-img, and both write behind its old end"
run_ok imgtool create -q -f qed -o cluster_size=4k,table_size=2 g.qed 1000448
put g.qed 0 small 1000448
cp data disk.raw
run_ok qemu-img resize -q -f qed g.qed 20M
truncate -s 20M disk.raw
clean g.qed
alike g.qed
same_bytes got.raw disk.raw
put g.qed 999936 behind 9000000
dd if=data of=disk.raw bs=512 seek=1953 conv=notrunc status=none
io g.qed 'write -P 9 12M 512k'
head -c 512k /dev/zero | tr '\0' '\011' |
    dd of=disk.raw bs=1M seek=12 conv=notrunc status=none
clean g.qed
alike g.qed
same_bytes got.raw disk.raw

# backed FILE NAME FORMAT: this is the backing file; "null" is none.
backed()
{
	run_ok imgtool info -f qed --output=json "$1"
	field '[."backing-filename", ."backing-filename-format"]' "[$2,$3]"
}

t_begin "an image of ours gets another backing file from qemu-img, and none"
run_ok imgtool create -q -f qed -b base.raw -F raw r.qed 8M
put r.qed 1048576 over 300000
backed r.qed '"base.raw"' '"raw"'
words another 3000000 >a-longer-name.raw
truncate -s 3000320 a-longer-name.raw
run_ok qemu-img convert -f raw -O qcow2 a-longer-name.raw other.qcow2
for b in a-longer-name.raw:raw other.qcow2:qcow2 base.raw:raw; do
	run_ok qemu-img rebase -u -f qed -b "${b%:*}" -F "${b#*:}" r.qed
	case $b in
	*:raw)	backed r.qed "\"${b%:*}\"" '"raw"' ;;
	*)	backed r.qed "\"${b%:*}\"" null ;;
	esac
	clean r.qed
	alike r.qed
	cmp -n 300000 got.raw data 1048576 0 || fail "not what was written"
	run_ok qemu-img convert -f "${b#*:}" -O raw "${b%:*}" b.raw
	cmp -n 1048576 got.raw b.raw || fail "not the backing file"
	put r.qed 1048576 over 300000
done
run_ok qemu-img rebase -u -f qed -b '' r.qed
backed r.qed null null
clean r.qed
alike r.qed
cmp -n 1048576 got.raw /dev/zero || fail "it still has a backing file"

t_begin "rebase with its data, and commit, leave what the guest sees"
run_ok imgtool create -q -f qed -b base.raw -F raw r.qed 8M
put r.qed 1048576 over 300000
alike r.qed
cp got.raw disk.raw
run_ok qemu-img rebase -f qed -b other.qcow2 -F qcow2 r.qed
clean r.qed
alike r.qed
same_bytes got.raw disk.raw
run_ok imgtool convert -f raw -O qed base.raw b.qed
run_ok qemu-img resize -q -f qed b.qed 8M
run_ok qemu-img rebase -f qed -b b.qed -F qed r.qed
alike r.qed
same_bytes got.raw disk.raw
run_ok qemu-img commit -q -f qed r.qed
clean b.qed
alike b.qed
same_bytes got.raw disk.raw
clean r.qed
alike r.qed
same_bytes got.raw disk.raw

# read_by PROGRAM FORMAT FILE: its disk, in got.raw.
read_by()
{
	rm -f got.raw
	case $1:$2 in
	qemu-img:vpc)
		run_ok qemu-img convert -O raw --image-opts \
		    driver=vpc,force_size_calc=current_size,file.filename="$3" \
		    got.raw ;;
	*)	run_ok "$1" convert -f "$2" -O raw "$3" got.raw ;;
	esac
}

# Whole clusters, parts of them, zeros that are stored, and holes; the size is
# one that VHD can have in cylinders: 144/4/17.
rm -f disk.raw
words start 700000 >disk.raw
truncate -s 2M disk.raw
head -c 200000 /dev/zero >>disk.raw
words middle 1000000 >>disk.raw
truncate -s 5013000 disk.raw
words end 504 >>disk.raw

t_begin "every format becomes QED, and QED every format, by both alike"
for f in raw qcow2 vpc qed; do
	o=
	[ $f != vpc ] || o='-o force_size=on'
	# shellcheck disable=SC2086 # an option or none
	run_ok qemu-img convert -f raw -O $f $o disk.raw from.$f
done
for p in qemu-img imgtool; do
	for f in raw qcow2 vpc qed; do
		run_ok $p convert -f $f -O qed from.$f $p.$f.qed
		clean $p.$f.qed
		alike $p.$f.qed
		same_bytes got.raw disk.raw
		[ $f != vpc ] || [ $p = imgtool ] || o='-o force_size=on'
		run_ok $p convert -f qed -O $f from.qed to.$p.$f
		for r in qemu-img imgtool; do
			read_by $r $f to.$p.$f
			same_bytes got.raw disk.raw
		done
	done
done

t_begin "of the same disk both make the same image"
for f in raw qcow2 vpc qed; do
	for p in qemu-img imgtool; do
		[ "$(wc -c <$p.$f.qed)" -eq "$(wc -c <qemu-img.raw.qed)" ] ||
		    fail "$p, $f: $(wc -c <$p.$f.qed) bytes," \
		    "not $(wc -c <qemu-img.raw.qed)"
	done
done

t_begin "to a pipe and from one"
imgtool convert -f qed -O raw qemu-img.raw.qed - >pipe.raw || fail "to a pipe"
same_bytes pipe.raw disk.raw
# shellcheck disable=SC2002 # a pipe is what is tested
cat disk.raw | imgtool convert -f raw -O qed --size=5013504 - p.qed ||
    fail "from a pipe"
clean p.qed
alike p.qed
same_bytes got.raw disk.raw
