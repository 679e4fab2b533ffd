#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The same writes by qemu-io and by the library into QED images of the same
# options, which then change hands: all readers must see what a plain file
# has that got the same writes, and neither checker may have anything to say.
# Of a disk only a part is written and compared, for it may have exbibytes:
# that from byte $at on.  IMAGES images are made from the number SEED; another
# SEED makes others, and ONLY="n ..." these alone.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io cmp jq

: "${SEED:=1}" "${IMAGES:=40}" "${ONLY:=}"
PLAN=$TOP/tests/interop/disk_plan.t
IO=$TOP/tests/interop/disk_io.t

# Of each image: how it is made, from disk_plan.
cluster=0 table=0 at=0 size=0 base=none base_size=0 start=empty slices=0
grow=no

# try COMMAND ...: one that must succeed.
try()
{
	"$@" >log 2>&1 && return 0
	echo "$*: $(tail -n 3 log)"
	return 1
}

# part FILE: for qemu, the disk from byte $at on.
part()
{
	echo "driver=raw,offset=$at,file.driver=qed,file.file.driver=file,\
file.file.filename=$1"
}

# qemu PLAN SPEC: qemu-io's status tells nothing of single commands.
qemu()
{
	qemu-io --image-opts "$2" <"$1" >log 2>&1 &&
	    ! grep -qiE 'fail|error|invalid' log && return 0
	echo "qemu-io: $(grep -iE -m 1 'fail|error|invalid' log)"
	return 1
}

# What the disk has before the first write is put into disk.raw: of a backing
# file the part from byte $at on.
make_base()
{
	: >disk.raw
	if [ "$start" = full ]; then
		"$PLAN" fill "$SEED$n" disk.raw "$size"
		truncate -s $((size * 2 / 3)) disk.raw
	fi
	if [ "$base" != none ]; then
		[ "$base" = raw ] ||
		    base_size=$((base_size / 512 * 512))
		: >base.raw
		some=$((base_size > at ? base_size - at : base_size % 1048576))
		"$PLAN" fill "$SEED$n" some "$some"
		try dd if=some of=base.raw bs=1M oflag=seek_bytes \
		    seek=$((base_size - some))
		[ "$base_size" -le "$at" ] || mv some disk.raw
	fi
	case $base in
	vpc)	try qemu-img convert -f raw -O vpc -o force_size=on base.raw \
		    base.vpc ;;
	qcow2 | qed)
		try qemu-img convert -f raw -O $base base.raw base.$base ;;
	esac
	truncate -s "$size" disk.raw
}

# make FILE: an image that reads as disk.raw does.
make()
{
	o=cluster_size=$cluster,table_size=$table
	[ "$base" = none ] ||
	    o=$o,backing_file=base.$base,backing_fmt=$base
	# Every second b is made by imgtool.
	maker=qemu-img
	[ "$1" = a ] || [ $((n % 2)) -eq 0 ] || maker=imgtool
	if [ "$start" = full ]; then
		try $maker convert -q -f raw -O qed -o "$o" disk.raw "$1"
	else
		try $maker create -q -f qed -o "$o" "$1" $((at + size))
	fi
}

# checked FILE: qemu-img's check has nothing to say, but for a leak that is
# none for every $cluster - 1 clusters of the file.
checked()
{
	leaks=$(($(wc -c <"$1") / cluster / (cluster - 1)))
	status=0
	qemu-img check -f qed --output=json "$1" >json 2>log || status=$?
	told=$(sed -n 's/.*"leaks": \([0-9]*\).*/\1/p' json)
	[ $status -eq $((leaks > 0 ? 3 : 0)) ] &&
	    [ "${told:-0}" -eq $leaks ] && ! grep -q corruptions json ||
	    echo "qemu-img check $1: $status, $leaks: $(cat json log)"
}

# same_map FILE: clusters of the image have the same place for both, and zero
# clusters have none.  The rest is left: what is unallocated, and so is not
# there, belongs for imgtool to the backing file also behind its end.
same_map()
{
	own='[.[] | select(.depth == 0 and .present) |
	    {s: .start, l: .length, o: .offset}] | reduce .[] as $e ([];
	    if length > 0 and .[-1].s + .[-1].l == $e.s and
	        (if $e.o then .[-1].o and .[-1].o + .[-1].l == $e.o
	        else .[-1].o == null end)
	    then .[-1].l += $e.l else . + [$e] end) | .[]'
	qemu-img map -f qed --output=json -s "$at" "$1" >json 2>log ||
	    echo "qemu-img map $1: $(cat log)"
	jq -c "$own" json >want
	imgtool map -f qed --output=json -s "$at" "$1" >json 2>log ||
	    echo "imgtool map $1: $(cat log)"
	jq -c "$own" json >got
	[ -s want ] && cmp want got || echo "the maps of $1 differ"
}

# same: all that look at the two images see what they must.
same()
{
	for f in a b; do
		checked $f
		# Through qemu's raw its compare takes what is unallocated for
		# zeros, and its convert does not.
		try qemu-img convert -O raw --image-opts "$(part $f)" got.raw
		try cmp got.raw disk.raw
	done
	try "$IO" same qed "$at" disk.raw a '' disk.raw b ''
}

# What qemu-img does between the rounds.
between()
{
	[ "$grow$1" = yes2 ] || return 0
	size=$((size + 512 * 1001))
	try qemu-img resize -q -f qed a $((at + size))
	try qemu-img resize -q -f qed b $((at + size))
	truncate -s $size disk.raw
}

# round N WORD: with such a plan.
round()
{
	word=$2
	[ "$word" != ours ] || word=long
	"$PLAN" plan "$SEED$n$1" "$size" "$cluster" 20 $word >plan
	# In turns: what one has written the other goes on with.
	theirs=a ours=b
	[ $(($1 % 2)) -eq 1 ] || theirs=b ours=a
	if [ "$2" = ours ]; then
		cp disk.raw copy.raw
		try "$IO" img qed "$at" plan copy.raw $theirs "$slices"
	else
		qemu plan "$(part $theirs)"
	fi
	try "$IO" img qed "$at" plan disk.raw $ours "$slices"
	same
	[ ! -s ../told ] || echo "in round $1, $2"
}

# image: from its creation through all rounds.  What is wrong is printed.
#
# Where a cluster of zeros hides a backing file, and a part of it is written,
# qemu fills up the rest from that file.  So there zeros come after all that
# qemu writes, and then the library goes on alone.
image()
{
	make_base && make a && make b || return
	[ "$start" = full ] || cmp a b
	words='long long long'
	[ "$base" = none ] || words='data data zeros ours'
	nth=0
	for word in $words; do
		nth=$((nth + 1))
		between $nth
		round $nth $word
		[ ! -s ../told ] || return
	done
	for f in a b; do
		# Above, jq's numbers are not exact.
		[ "$at" -ge 9007199254740992 ] || same_map $f
		try imgtool check -q -f qed --deep $f
		[ "$at" -gt 0 ] ||
		    try imgtool compare -q -f raw -F qed disk.raw $f
	done
}

# worker FIRST: every second image from this one on.
worker()
{
	mkdir "w$1"
	for n in ${ONLY:-$(seq "$1" 2 $((IMAGES - 1)))}; do
		[ $((n % 2)) -eq "$1" ] || continue
		rm -rf "w$1/cwd"
		mkdir "w$1/cwd"
		cp p? "w$1/cwd"
		eval "$("$PLAN" qed "$SEED" "$n")"
		(cd "w$1/cwd" && image >../told 2>&1)
		mv "w$1/told" "told.$n"
		[ ! -s "told.$n" ] || mv "w$1/cwd" "image.$n"
	done
}

for p in 0 1 2 3 4 5 6 7; do
	"$PLAN" fill $((SEED * 100 + p)) p$p $((3900 + p * 37))
done
worker 0 &
worker 1
wait

for n in ${ONLY:-$(seq 0 $((IMAGES - 1)))}; do
	options=$("$PLAN" qed "$SEED" "$n" | tr '\n' ' ')
	t_begin "image $n of SEED=$SEED reads the same for both: $options"
	[ -f "told.$n" ] || fail "not tried"
	[ ! -s "told.$n" ] || fail "$(cat "told.$n")"
done
t_ok
echo "$T_CASES images"
