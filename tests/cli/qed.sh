#!/bin/sh
# SPDX-License-Identifier: ISC
#
# QED by all commands: what qemu-img says of the images that it makes is said
# too, and what it cannot open is read and written all the same.

. "$TOP/tests/lib.sh"
. "$TOP/tests/agreelib.sh"

skip_unless qemu-img qemu-io jq

dd if=/dev/urandom of=noise bs=64k count=3 2>/dev/null

# fill FILE: some of everything but zero clusters.
fill()
{
	run_ok qemu-io -f qed -c 'write -s noise 64k 192k' \
	    -c 'write -P 3 1M 1k' -c 'write -s noise 3000k 130k' \
	    -c 'write -P 7 2M 300k' "$1"
}

# put FILE OFFSET BYTES: in the format of printf.
put()
{
	# shellcheck disable=SC2059 # the bytes are the format
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# data FILE: what is allocated of it, in clusters.
data()
{
	imgtool check --output=json "$1" | jq '."allocated-clusters"'
}

# ------------------------------------------------------------------------

for o in cluster_size=64k cluster_size=4k,table_size=2 \
    cluster_size=1M table_size=16 cluster_size=2M,table_size=8 \
    cluster_size=32k,table_size=8; do
	t_begin "an image with $o is told as qemu-img tells it"
	rm -f i.qed
	run_ok qemu-img create -q -f qed -o $o i.qed 5M
	all_agree i.qed
	fill i.qed
	all_agree i.qed
done

t_begin "zero clusters are"
run_ok qemu-img create -q -f qed z.qed 5M
fill z.qed
run_ok qemu-io -c 'write -z 0 64k' -c 'write -z 4M 256k' \
    -c 'write -z 64k 64k' z.qed
all_agree z.qed
run_ok imgtool map --output=json z.qed
field 'map(select(.zero and .present and (has("offset") | not)) | .length)' \
    '[65536,262144]'

t_begin "an image of nothing is"
run_ok qemu-img create -q -f qed nothing.qed 0
info_agrees nothing.qed
text_agrees nothing.qed
run_ok imgtool map --output=json nothing.qed
field . '[]'

t_begin "one with a backing file is, wherever it is opened from"
qemu-img convert -O raw z.qed base.raw
run_ok qemu-img create -q -f qed -b base.raw -F raw o.qed
run_ok qemu-io -c 'write -P 9 4M 64k' -c 'write -z 1M 64k' o.qed
all_agree o.qed
mkdir d
run_ok qemu-img create -q -f qed -b ../z.qed -F qed d/p.qed 6M
info_agrees d/p.qed
field '[."full-backing-filename", has("backing-filename-format")]' \
    '["d/../z.qed",false]'
text_agrees d/p.qed
expect_out '^backing file: \.\./z\.qed \(actual path: d/\.\./z\.qed\)$'
expect_no_out '^backing file format'

t_begin "info has what is in the header, and its JSON the names of qcow2"
run_ok qemu-img create -q -f qed -o cluster_size=4k,table_size=2 h.qed 1M
put h.qed 12 '\1\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\0\200\0\0\7\0\0\0\0\0\0\0'
run_ok imgtool info --output=json h.qed
field '."format-specific".data' '{"table-size":2,"header-size":1,'\
'"incompatible-features":0,"compatible-features":140737488355333,'\
'"autoclear-features":7,"l1-offset":4096,"largest-disk":4294967296,'\
'"usable-by-qemu":true}'
run_ok imgtool info h.qed
expect_out '^    compatible features: 0x800000000005$'
expect_out '^    largest disk: 4 GiB \(4294967296 bytes\)$'

# ------------------------------------------------------------------------

t_begin "one that was not closed is said to be so, whatever qemu-img says"
run_ok qemu-img create -q -f qed dirty.qed 5M
(qemu-io -c 'write -P 9 0 64k' -c abort dirty.qed || :) >/dev/null 2>&1
[ "$(od -An -tu1 -j16 -N1 dirty.qed | tr -d ' ')" = 2 ] || fail "it is not so"
info_agrees dirty.qed '."dirty-flag" = true'
expect_out '"dirty-flag": true'
text_agrees dirty.qed
expect_out '^cleanly shut down: no$'
check_agrees dirty.qed
run_ok imgtool check dirty.qed
expect_out '^warning QED-28 '

t_begin "it is read, by itself and as a backing file"
map_agrees dirty.qed
run_ok imgtool convert dirty.qed dirty.raw
run_ok qemu-img compare -f qed -F raw dirty.qed dirty.raw
run_ok imgtool create -q -f qcow2 -b dirty.qed -F qed over.qcow2
run_ok imgtool compare over.qcow2 dirty.raw
run_ok imgtool dd-write of=over.qcow2 if=noise seek=1

t_begin "it is not written to, and one line says what helps"
cp dirty.qed before
run_rc 1 imgtool dd-write of=dirty.qed if=noise
one_line 'dirty\.qed: QED-28 at 16: .*; see imgtool check -r safe$'
run_rc 1 imgtool convert -n dirty.raw dirty.qed
one_line 'dirty\.qed: QED-28 at 16: .*; see imgtool check -r safe$'
run_ok qemu-img create -q -f qed -b base.raw -F raw dirtyo.qed
put dirtyo.qed 16 '\7'
run_rc 1 imgtool dd-write of=dirtyo.qed if=noise
one_line 'dirtyo\.qed: QED-29 at 16: .*; see imgtool check -r safe$'
same_bytes dirty.qed before

# ------------------------------------------------------------------------

t_begin "what qemu-img does not open is said to be so, and nothing else is"
for cs in 4k 2M 4M; do
	for ts in 1 2 4 8 16; do
		run_ok imgtool create -q -f qed \
		    -o cluster_size=$cs,table_size=$ts g.qed 1M
		want=false
		qemu-img info g.qed >/dev/null 2>&1 && want=true
		echo $want >>wants
		run_ok imgtool info --output=json g.qed
		field '."format-specific".data."usable-by-qemu"' $want
	done
done
# 2 * log2(table_size * cluster_size / 8) + log2(cluster_size) < 64: 4, 3 and 1
# of those whose tables are not of one cluster.
[ "$(sort wants | uniq -c | tr -s ' \n' ' ')" = ' 7 false 8 true ' ] ||
    fail "qemu-img opens others: $(sort wants | uniq -c)"

t_begin "it is read and written all the same"
for o in cluster_size=4k,table_size=1 cluster_size=64M,table_size=1 \
    cluster_size=4M,table_size=4; do
	run_ok imgtool convert -O qed -o $o z.qed g.qed
	run_rc 1 qemu-img info g.qed
	run_ok imgtool check --output=json g.qed
	field '[.findings[].severity] | unique' '["note"]'
	run_ok imgtool compare g.qed z.qed
	run_ok imgtool dd-write of=g.qed if=noise bs=64k seek=50
	run_ok imgtool convert -O qed g.qed back.qed
	run_ok imgtool dd-read if=back.qed of=got bs=64k skip=50 count=3
	same_bytes got noise
	run_ok qemu-img check back.qed
done

# ------------------------------------------------------------------------

t_begin "every format becomes QED, and QED every format"
for from in raw vpc qcow2 qed; do
	qemu-img convert -O $from z.qed src
	run_ok imgtool convert -O qed src to.qed
	run_ok qemu-img check to.qed
	run_ok qemu-img compare -f qed -F $from to.qed src
	run_ok imgtool compare to.qed src
	# 3 and 1, 5 and 3 clusters were written to, and one of them is zeroed.
	[ "$(data to.qed)" -eq 11 ] || fail "$from: $(data to.qed) clusters"
done
for to in raw vpc qcow2 qed; do
	run_ok imgtool convert -O $to z.qed got
	run_ok qemu-img compare -f qed -F $to z.qed got
done
qemu-img convert -c -O qcow2 z.qed src
run_ok imgtool convert -O qed src to.qed
run_ok qemu-img compare to.qed z.qed

t_begin "so it does through pipes, and in the size that was given"
imgtool convert z.qed - | imgtool convert -q -O qed - to.qed ||
    fail "no conversion through a pipe"
run_ok qemu-img compare to.qed z.qed
imgtool convert z.qed - | imgtool convert --size 5M -O qed - to.qed ||
    fail "no conversion through a pipe with --size"
run_ok qemu-img compare to.qed z.qed
head -c 1000001 base.raw >odd.raw
run_ok imgtool convert -q -O qed odd.raw to.qed
run_ok qemu-img compare -f qed -F raw to.qed odd.raw

t_begin "with -S 0 zeros are stored"
run_ok imgtool convert -S 0 -O qed base.raw to.qed
[ "$(data to.qed)" -eq 80 ] || fail "$(data to.qed) clusters"
run_ok qemu-img compare -f qed -F raw to.qed base.raw

t_begin "what is too large for its clusters is refused, and nothing is left"
truncate -s 2G large.raw
run_rc 1 imgtool convert -O qed -o cluster_size=4k,table_size=1 large.raw no.qed
one_line 'no\.qed: larger than these clusters and tables allow'
[ ! -e no.qed ] || fail "a result was made"

t_begin "it has no compression, no snapshots and no other options"
run_rc 1 imgtool convert -c -O qed base.raw no.qed
one_line 'no\.qed: qed has no compression'
run_rc 1 imgtool convert -l one z.qed no.raw
one_line 'z\.qed: no snapshot "one"'
run_rc 1 imgtool convert -O qed -o preallocation=full base.raw no.qed
one_line 'no\.qed: unknown option: preallocation'
run_ok imgtool convert -O qed -o help
for o in cluster_size table_size backing_file backing_fmt; do
	expect_out "^  $o "
done
[ "$(wc -l <"$OUT")" -eq 5 ] || fail "others"
[ ! -e no.qed ] && [ ! -e no.raw ] || fail "a result was made"

t_begin "convert -n writes over an image that holds other data"
run_ok qemu-img create -q -f qed old.qed 6M
run_ok qemu-io -c 'write -P 5 0 6M' old.qed
run_ok imgtool convert -n base.raw old.qed
run_ok qemu-img check old.qed
cp base.raw want.raw
head -c 1M /dev/zero | tr '\0' '\5' >>want.raw
run_ok qemu-img compare -f qed -F raw old.qed want.raw
run_rc 1 imgtool convert -n want.raw z.qed
one_line 'z\.qed: disk has 5242880 bytes, the source 6291456'
run_rc 1 imgtool convert -n -O vhd base.raw old.qed
one_line 'old\.qed: VHD-'

t_begin "what dd-write writes is there for qemu-img"
run_ok imgtool create -q -f qed w.qed 4M
run_ok imgtool dd-write of=w.qed if=noise bs=1k seek=777
dd if=/dev/zero of=want.raw bs=4M count=1 2>/dev/null
dd if=noise of=want.raw bs=1k seek=777 conv=notrunc 2>/dev/null
run_ok qemu-img compare -f qed -F raw w.qed want.raw
run_ok qemu-img check w.qed

# ------------------------------------------------------------------------

t_begin "of a damaged image map tells what is lost, and convert stops there"
cp z.qed bad.qed
# The L2 table, and in it guest cluster 2.
l2=$(od -An -tu4 -j65536 -N4 bad.qed | tr -d ' ')
put bad.qed $((l2 + 16)) '\0\0\1\0\0\1\0\0'
run_rc 2 imgtool check bad.qed
expect_out '^corrupt QED-48 '
run_ok imgtool map bad.qed
expect_out '^0x20000 +0x10000 +- +bad +QED-48 bad\.qed$'
run_rc 1 imgtool convert bad.qed no.raw
expect_err '^imgtool: bad\.qed: QED-48: .*, guest 131072\+65536$'
[ ! -e no.raw ] || fail "a result was made"
run_rc 1 imgtool dd-write of=bad.qed if=noise
expect_err '^imgtool: bad\.qed: QED-48'

t_begin "a backing file's name that cannot be one is told as such"
run_ok qemu-img create -q -f qed -b base.raw -F raw n.qed
put n.qed 56 '\0\0\1\0'
run_ok imgtool info n.qed
expect_no_out 'backing file:'
run_rc 1 imgtool convert n.qed no.raw
expect_err '^imgtool: n\.qed: the name of its backing file cannot be used$'
run_ok imgtool compare --backing base.raw n.qed base.raw
run_rc 2 imgtool check n.qed
expect_out '^corrupt QED-16 at 56: '

t_begin "what is no QED, or of the future, is refused in one line"
head -c 3000 noise >not.qed
for do in info check map; do
	[ $do = check ] && rc=2 || rc=1
	run_rc $rc imgtool $do -f qed not.qed
done
one_line 'not\.qed: QED-2 at 0: '
cp z.qed new.qed
put new.qed 16 '\10'
run_rc 1 imgtool info new.qed
one_line 'new\.qed: QED-11 at 16: .*found 0x8'

t_begin "the check takes no more memory than it may"
run_rc 1 imgtool check --max-memory 8k z.qed
one_line 'z\.qed: .*--max-memory'
run_ok imgtool check --max-memory 16M z.qed
