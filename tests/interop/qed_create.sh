#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Empty QED images: what qemu-img makes of the same options, imgtool makes
# too, to the byte; what qemu-img refuses is refused, but for sizes that only
# its arithmetic cannot do.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq cmp

qemu-img create -q -f raw base.raw 3M
qemu-img create -q -f qcow2 base.qcow2 3M
qemu-img create -q -f vpc base.vhd 3M
qemu-img create -q -f qed base.qed 3M

# same OPTIONS SIZE: q.qed by qemu-img, o.qed by imgtool, the same bytes.
same()
{
	rm -f q.qed o.qed
	run_ok qemu-img create -q -f qed -o "$1" q.qed "$2" || return
	run_ok imgtool create -q -f qed -o "$1" o.qed "$2" || return
	cmp q.qed o.qed || fail "$1 $2: not the same"
}

# clean: o.qed has nothing above a note.
clean()
{
	run_ok imgtool check --output=json o.qed
	jq -e '[.findings[] | select(.severity != "note")] == []' \
	    "$OUT" >/dev/null || fail "check of it has findings"
}

t_begin "every geometry has qemu-img's bytes"
for cs in 4096 32k 64K 2M; do
	for ts in 1 2 4 8 16; do
		# Its arithmetic ends at 2 to the 64.
		[ $cs.$ts != 2M.16 ] || continue
		same cluster_size=$cs,table_size=$ts 100000000
	done
	clean
done
same cluster_size=4M,table_size=2 1M
same cluster_size=8M,table_size=1 1M
same cluster_size=64M,table_size=1 0

t_begin "every size has"
for size in 0 1 512 65537 5000000000 64T; do
	same cluster_size=64k $size
	clean
done

t_begin "a size is rounded up to whole sectors"
run_ok imgtool create -q -f qed o.qed 1000001
run_ok imgtool info --output=json o.qed
field '."virtual-size"' 1000448

t_begin "the largest disk of a geometry can be made, and no larger one"
# largest OPTIONS BITS
largest()
{
	bytes=$((1 << $2))
	same "$1" $bytes
	same "$1" $((bytes - 1))
	clean
	run_rc 1 qemu-img create -q -f qed -o "$1" q.qed $((bytes + 1))
	run_rc 1 imgtool create -q -f qed -o "$1" no.qed $((bytes + 1))
	one_line 'no\.qed: larger than these clusters and tables allow'
	[ ! -e no.qed ] || fail "$1: a file was made"
}
largest cluster_size=4k,table_size=1 30
largest cluster_size=4k 34
largest table_size=4 46
largest table_size=16 50
largest cluster_size=1M,table_size=16 62

t_begin "where qemu-img cannot count so far, any disk can be made"
for o in cluster_size=64M cluster_size=4M cluster_size=2M,table_size=16; do
	run_rc 1 qemu-img create -q -f qed -o $o q.qed 1M
	# The most that fits into 63 bits, in whole sectors.
	run_ok imgtool create -q -f qed -o $o o.qed 9223372036854775296
	clean
	expect_out QED-61
	run_rc 1 imgtool create -q -f qed -o $o no.qed 9223372036854775297
	one_line 'no\.qed: too large'
done

t_begin "a backing file is recorded as qemu-img does it, and only raw by format"
for b in raw:raw qcow2:qcow2 vhd:vpc qed:qed; do
	same backing_file=base.${b%:*},backing_fmt=${b#*:} 1M
	same backing_file=./base.${b%:*},backing_fmt=${b#*:},cluster_size=4k 1M
	rm -f q.qed o.qed
	run_ok qemu-img create -q -f qed -b base.${b%:*} -F ${b#*:} q.qed
	run_ok imgtool create -q -f qed -b base.${b%:*} -F ${b#*:} o.qed
	same_bytes q.qed o.qed
	clean
	run_ok qemu-img compare q.qed o.qed
done
run_ok imgtool create -q -f qed -b base.vhd -F vhd o.qed
run_ok imgtool info --output=json o.qed
field '[."backing-filename", ."backing-filename-format"]' '["base.vhd",null]'

t_begin "a name of 1023 bytes can be recorded, a longer one not"
part=$(printf '%0199d' 0)
mkdir -p "$part/$part/$part/$part"
long="$part/$part/$part/$part/$(printf '%0223d' 7)"
cp base.raw "$long"
cp base.raw "${long}8"
for cs in 4k 64k; do
	same "backing_file=$long,backing_fmt=raw,cluster_size=$cs" 3M
	clean
done
run_rc 1 imgtool create -q -f qed -b "${long}8" -F raw no.qed
one_line 'no\.qed: bad value for: backing_file'
[ ! -e no.qed ] || fail "an image was made"

t_begin "a name with a comma or a colon is the name of a file"
cp base.raw 'a,b.raw'
cp base.raw 'c:d.raw'
for name in 'a,b.raw' 'c:d.raw'; do
	run_ok imgtool create -q -f qed -b "$name" -F raw o.qed
	clean
	run_ok qemu-img compare -f qed -F raw o.qed base.raw
done

t_begin "a name with control bytes would be damage, and is not recorded"
for name in "$(printf 'a\nb')" "$(printf 'a\033b')" "$(printf 'a\177')"; do
	cp base.raw "$name"
	run_rc 1 imgtool create -q -f qed -b "$name" -F raw no.qed
	one_line 'no\.qed: control bytes in backing_file'
	run_rc 1 imgtool convert -O qed -B "$name" -F raw base.raw no.qed
	one_line 'no\.qed: control bytes in backing_file'
	[ ! -e no.qed ] || fail "an image was made"
done

t_begin "what qemu-img refuses is refused, and nothing is left behind"
while read -r options; do
	run_rc 1 qemu-img create -q -f qed -o "$options" q.qed 1M
	run_rc 1 imgtool create -q -f qed -o "$options" no.qed 1M
	[ ! -e no.qed ] || {
		fail "$options: a file was made"
		rm -f no.qed
	}
	[ "$(wc -l <"$ERR")" -eq 1 ] || fail "$options: more than a line"
done <<END
cluster_size=2k
cluster_size=128M
cluster_size=0
cluster_size=12k
cluster_size=x
table_size=0
table_size=3
table_size=32
table_size=1k
table_size=-1
table_size=4x
cluster_size
backing_file=base.raw
backing_file=base.raw,backing_fmt=qcow2
backing_file=base.raw,backing_fmt=foo
backing_file=nothing,backing_fmt=raw
compat=1.1
encryption=on
nonsense=1
END

t_begin "what qemu-img writes into it stays sound"
for o in cluster_size=4k,table_size=2 cluster_size=64k cluster_size=1M; do
	run_ok imgtool create -q -f qed -o $o o.qed 40M
	run_ok qemu-io -c 'write -P 7 70000 300000' -c 'write -z 20M 1M' \
	    -c 'read -P 7 70000 300000' -c 'read -P 0 0 70000' \
	    -c 'read -P 0 370000 3000000' o.qed
	clean
	run_ok qemu-img check o.qed
done
