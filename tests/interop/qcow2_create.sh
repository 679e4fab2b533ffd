#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Empty qcow2 images: what qemu-img makes of the same options, imgtool makes
# too, to the byte where nothing is preallocated; what qemu-img refuses is
# refused.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io jq cmp

# Of FILE, what qemu-img says but for its name and its length.
described()
{
	qemu-img info --output=json "$1" 2>&1 |
	    jq -S 'del(.filename, ."actual-size", .children)'
}

# Of FILE, which ranges of the disk it has.  Not where in the file, and not
# what reads as zeros: that depends on what the file system has written yet.
mapped()
{
	qemu-img map --output=json "$1" 2>&1 | jq -c 'reduce .[] as $e ([];
	    if length > 0 and .[-1].present == $e.present
	    then .[-1].length += $e.length
	    else . + [$e | { start, length, present }] end)'
}

# sound FILE: neither check has anything to say.
sound()
{
	run_ok qemu-img check "$1" || return
	run_ok imgtool check --output=json "$1" || return
	jq -e '[.findings[] | select(.severity != "note")] == []' \
	    "$OUT" >/dev/null || {
		fail "check of $1 has findings"
		t_show
	}
}

# both OPTIONS SIZE: q.qcow2 by qemu-img, o.qcow2 by imgtool, alike.
both()
{
	rm -f q.qcow2 o.qcow2 d.raw
	run_ok qemu-img create -q -f qcow2 -o "$1" q.qcow2 "$2" || return
	rm -f d.raw
	run_ok imgtool create -q -f qcow2 -o "$1" o.qcow2 "$2" || return
	case $1 in
	*data_file=*)
		[ -f d.raw ] || truncate -s "$2" d.raw ;;
	esac
	described q.qcow2 >q.info
	described o.qcow2 >o.info
	cmp -s q.info o.info ||
	    fail "$1 $2: qemu-img describes it as $(diff q.info o.info)"
	sound o.qcow2
	[ "$(mapped o.qcow2)" = "$(mapped q.qcow2)" ] ||
	    fail "$1 $2: mapped as $(mapped o.qcow2), not $(mapped q.qcow2)"
}

t_begin "without preallocation the image has qemu-img's bytes"
qemu-img create -q -f raw base.raw 3M
qemu-img create -q -f qcow2 base.qcow2 3M
qemu-img create -q -f vpc base.vhd 3M
while read -r options; do
	case $options in
	*,*)	sizes=1M ;;
	cluster_size=*)	sizes='0 1 100000000' ;;
	*)	sizes=100000000 ;;
	esac
	for size in $sizes; do
		both "$options" $size
		cmp -s q.qcow2 o.qcow2 ||
		    fail "$options $size: $(cmp q.qcow2 o.qcow2 2>&1)"
	done
done <<END
compat=1.1
compat=v3
compat=0.10
compat=v2,backing_file=base.qcow2,backing_fmt=qcow2
cluster_size=4k
cluster_size=8k
cluster_size=64K
cluster_size=2M
refcount_bits=1
refcount_bits=2
refcount_bits=4
refcount_bits=8
refcount_bits=16
refcount_bits=32
refcount_bits=64
refcount_bits=64,cluster_size=4096
lazy_refcounts=on
lazy_refcounts=off
lazy_refcounts=yes
extended_l2=on
extended_l2=true,cluster_size=16k
compression_type=zlib
compression_type=zstd
preallocation=off
encryption=off
backing_file=base.raw,backing_fmt=raw
backing_file=base.qcow2,backing_fmt=qcow2
backing_file=./base.qcow2,backing_fmt=qcow2,cluster_size=512
backing_file=base.vhd,backing_fmt=vpc
data_file=d.raw
data_file=d.raw,data_file_raw=off,lazy_refcounts=on
data_file=d.raw,backing_file=base.raw,backing_fmt=raw
END

t_begin "with preallocation everything has its place"
while read -r options; do
	for size in 1 5000000; do
		both "$options" $size
		case $options in
		*backing*) continue ;;
		esac
		qemu-img create -q -f raw zeros.raw $size
		run_ok qemu-img compare -q zeros.raw o.qcow2
	done
done <<END
preallocation=metadata
preallocation=metadata,cluster_size=512
preallocation=metadata,cluster_size=512,refcount_bits=64
preallocation=metadata,refcount_bits=1
preallocation=metadata,compat=0.10
preallocation=metadata,extended_l2=on
preallocation=metadata,cluster_size=2M
preallocation=falloc
preallocation=falloc,extended_l2=on
preallocation=full
preallocation=full,cluster_size=4k
preallocation=metadata,extended_l2=on,backing_file=base.raw,backing_fmt=raw
preallocation=full,extended_l2=on,backing_file=base.raw,backing_fmt=raw
data_file=d.raw,preallocation=metadata
data_file=d.raw,data_file_raw=on
data_file=d.raw,preallocation=metadata,extended_l2=on
END

t_begin "what a raw data file has is seen, with parts of clusters too"
rm -f d.raw
run_ok imgtool create -q -f qcow2 \
    -o data_file=d.raw,data_file_raw=on,extended_l2=on r.qcow2 1M
yes raw | head -c 1M >d.raw
sound r.qcow2
run_ok qemu-img compare -q r.qcow2 d.raw

t_begin "space is taken as far as it was asked for"
for mode in metadata falloc full; do
	imgtool create -q -f qcow2 -o preallocation=$mode p.qcow2 10M
	blocks=$(stat -c '%b' p.qcow2)
	case $mode in
	metadata)
		[ "$blocks" -lt 2000 ] || fail "metadata: $blocks blocks" ;;
	*)
		[ "$blocks" -ge 20480 ] || fail "$mode: $blocks blocks" ;;
	esac
done

t_begin "what is written into a preallocated image by qemu-io stays sound"
for options in preallocation=metadata preallocation=full,extended_l2=on \
    preallocation=metadata,cluster_size=512,refcount_bits=1; do
	imgtool create -q -f qcow2 -o $options p.qcow2 4M
	run_ok qemu-io -c 'write -P 7 70000 300000' -c 'read -P 7 70000 300000' \
	    -c 'read -P 0 0 70000' -c 'read -P 0 370000 3000000' p.qcow2
	sound p.qcow2
done

t_begin "the largest disks that qemu-img makes can be made, and no larger"
for size in 137438953472:512 2199023255552:2k 9007199254740992:128k \
    2305843009213693952:2M; do
	bytes=${size%:*}
	cluster=${size#*:}
	run_ok imgtool create -q -f qcow2 -o cluster_size="$cluster" l.qcow2 \
	    "$bytes"
	sound l.qcow2
	qemu-img info l.qcow2 | grep -q "($bytes bytes)" ||
	    fail "$bytes bytes have become $(qemu-img info l.qcow2)"
	run_rc 1 imgtool create -q -f qcow2 -o cluster_size="$cluster" l.qcow2 \
	    $((bytes + 1))
	expect_err 'size is too large'
done

t_begin "what qemu-img refuses is refused, and nothing is left behind"
while read -r options; do
	run_rc 1 qemu-img create -q -f qcow2 -o "$options" q.qcow2 1M
	run_rc 1 imgtool create -q -f qcow2 -o "$options" no.qcow2 1M
	[ ! -e no.qcow2 ] || {
		fail "$options: a file was made"
		rm -f no.qcow2
	}
	[ "$(wc -l <"$ERR")" -eq 1 ] || fail "$options: more than a line"
done <<END
compat=0.9
compat=1.0
compat=2
cluster_size=256
cluster_size=4M
cluster_size=1000
cluster_size=0
refcount_bits=0
refcount_bits=3
refcount_bits=128
refcount_bits=x
compat=0.10,refcount_bits=8
lazy_refcounts=1
lazy_refcounts=maybe
compat=0.10,lazy_refcounts=on
compression_type=lz4
compat=0.10,compression_type=zstd
compat=0.10,extended_l2=on
extended_l2=on,cluster_size=8k
preallocation=foo
preallocation=metadata,backing_file=base.raw,backing_fmt=raw
backing_file=base.raw
backing_fmt=raw
backing_file=base.raw,backing_fmt=foo
compat=0.10,data_file=d.raw
data_file_raw=on
data_file=d.raw,data_file_raw=on,backing_file=base.raw,backing_fmt=raw
encryption=on
encrypt.format=luks
encrypt.format=aes
nonsense=1
cluster_size
END

t_begin "encryption is refused by name"
for options in encryption=on encrypt.format=luks encrypt.key-secret=s; do
	run_rc 1 imgtool create -q -f qcow2 -o $options no.qcow2 1M
	expect_err 'encrypted images are not made'
done

t_begin "the format of the backing file is recorded as qemu-img calls it"
run_ok imgtool create -q -f qcow2 \
    -o backing_file=base.vhd,backing_fmt=vhd v.qcow2 3M
[ "$(qemu-img info --output=json v.qcow2 |
    jq -r '."backing-filename-format"')" = vpc ] || fail "not vpc"

t_begin "a name with a comma or a colon is the name of a file"
cp base.raw 'a,b.raw'
cp base.raw 'c:d.raw'
run_ok imgtool create -q -f qcow2 \
    -o 'backing_file=a,,b.raw,backing_fmt=raw' n.qcow2 3M
run_ok qemu-img compare -q n.qcow2 base.raw
run_ok imgtool create -q -f qcow2 \
    -o 'backing_file=c:d.raw,backing_fmt=raw' n.qcow2 3M
run_ok qemu-img compare -q n.qcow2 base.raw

t_begin "names that do not fit into the first cluster are refused"
name=$(printf './%.0s' $(seq 200))base.raw
run_ok imgtool create -q -f qcow2 \
    -o "backing_file=$name,backing_fmt=raw" n.qcow2 1M
sound n.qcow2
run_ok imgtool create -q -f qcow2 \
    -o "cluster_size=1k,backing_file=$name,backing_fmt=raw" n.qcow2 1M
sound n.qcow2
run_rc 1 imgtool create -q -f qcow2 \
    -o "cluster_size=512,backing_file=$name,backing_fmt=raw" no.qcow2 1M
expect_err 'do not fit'
run_rc 1 imgtool create -q -f qcow2 \
    -o "backing_file=$name$name$name,backing_fmt=raw" no.qcow2 1M

t_begin "profile=vmd is version 3 as it was in the beginning"
run_ok imgtool create -q -f qcow2 -o profile=vmd vmd.qcow2 1G
sound vmd.qcow2
header()
{
	od -An -v -tx1 -j"$1" -N"$2" "$3" | tr -d ' \n'
}
[ "$(header 4 4 vmd.qcow2)" = 00000003 ] || fail "version"
[ "$(header 20 4 vmd.qcow2)" = 00000010 ] || fail "clusters of 64 KiB"
[ "$(header 72 24 vmd.qcow2)" = \
    000000000000000000000000000000000000000000000000 ] || fail "features"
[ "$(header 96 8 vmd.qcow2)" = 0000000400000068 ] ||
    fail "16-bit refcounts, 104 bytes of header"
[ $(($(stat -c %s vmd.qcow2) % 65536)) -eq 0 ] || fail "whole clusters"

t_begin "vmd finds the name of the base where the header says"
run_ok imgtool create -q -f qcow2 \
    -o profile=vmd,backing_file=vmd.qcow2,backing_fmt=qcow2 top.qcow2 1G
sound top.qcow2
at=$((0x$(header 8 8 top.qcow2)))
[ "$(header 16 4 top.qcow2)" = 00000009 ] || fail "length of the name"
[ "$(dd if=top.qcow2 bs=1 skip=$at count=9 status=none)" = vmd.qcow2 ] ||
    fail "no name at $at"
run_ok qemu-img compare -q top.qcow2 vmd.qcow2

t_begin "profile=vmd leaves nothing to choose that vmd does not know"
for options in compat=0.10 refcount_bits=8 lazy_refcounts=on extended_l2=on \
    compression_type=zstd data_file=d.raw \
    backing_file=base.raw,backing_fmt=raw; do
	run_rc 1 imgtool create -q -f qcow2 -o profile=vmd,$options no.qcow2 1M
	expect_err vmd
done
run_rc 1 imgtool create -q -f qcow2 -o profile=other no.qcow2 1M
