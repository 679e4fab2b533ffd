#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The same writes by qemu-io and by the library into images of the same
# options, which then change hands: all readers must see what a plain file
# has that got the same writes, and neither checker may have anything to say.
# IMAGES images are made from the number SEED; another SEED makes others, and
# ONLY="n ..." these alone.

. "$TOP/tests/lib.sh"

skip_unless qemu-img qemu-io cmp

: "${SEED:=1}" "${IMAGES:=182}" "${ONLY:=}"
PLAN=$TOP/tests/interop/disk_plan.t
IO=$TOP/tests/interop/disk_io.t

# Of each image: how it is made, from disk_plan.
cluster=0 refcount=0 compat=0 ext=off lazy=off packing=zlib
prealloc=off size=0 base=none base_size=0 data=no start=empty slices=0
snapshots=no grow=no

# try COMMAND ...: one that must succeed.
try()
{
	"$@" >log 2>&1 && return 0
	echo "$*: $(tail -n 3 log)"
	return 1
}

# qemu PLAN IMAGE: qemu-io's status tells nothing of single commands.
qemu()
{
	qemu-io -f qcow2 "$2" <"$1" >log 2>&1 &&
	    ! grep -qiE 'fail|error|invalid' log && return 0
	echo "qemu-io: $(grep -iE -m 1 'fail|error|invalid' log)"
	return 1
}

# What the disk has before the first write is put into disk.raw.
make_base()
{
	case $base in
	none)
		: >disk.raw
		[ "$start" = empty ] || {
			"$PLAN" fill "$SEED$1" disk.raw "$size"
			"$PLAN" plan "$SEED$1" "$size" "$cluster" 12 >plan
			"$IO" raw plan disk.raw
		} ;;
	*)
		[ "$base" = raw ] || [ "$base" = chain ] ||
		    base_size=$((base_size / 512 * 512))
		"$PLAN" fill "$SEED$1" base.raw "$base_size"
		cp base.raw disk.raw ;;
	esac
	case $base in
	none | raw)	;;
	vpc)	try qemu-img convert -f raw -O vpc -o force_size=on base.raw \
		    base.vpc ;;
	qcow2)	try qemu-img convert -c -f raw -O qcow2 base.raw base.qcow2 ;;
	chain)
		# The one in the middle ends before the first or after it.
		mid=$(((base_size + size) / 1024 * 512))
		try qemu-img create -q -f qcow2 -b base.raw -F raw base.chain \
		    $mid || return
		truncate -s $mid disk.raw
		"$PLAN" plan "$SEED$1" $mid 65536 6 nodiscard >plan
		qemu plan base.chain && "$IO" raw plan disk.raw ;;
	esac
	truncate -s "$size" disk.raw
}

# make FILE N: an image that reads as disk.raw does.
make()
{
	o=compat=$compat,cluster_size=$cluster,preallocation=$prealloc
	[ "$compat" = 0.10 ] ||
	    o=$o,refcount_bits=$refcount,extended_l2=$ext,lazy_refcounts=$lazy
	[ "$packing" = zlib ] || o=$o,compression_type=$packing
	[ "$data" = no ] || o=$o,data_file=$1.data
	[ "$data" != raw ] || o=$o,data_file_raw=on
	fmt=$base
	[ "$base" != chain ] || fmt=qcow2
	[ "$base" = none ] ||
	    o=$o,backing_file=base.$base,backing_fmt=$fmt
	# Every second b is made by imgtool.
	maker=qemu-img
	[ "$1" = a ] || [ $(($2 % 2)) -eq 0 ] || maker=imgtool
	if [ "$start" = packed ]; then
		try $maker convert -q -c -f raw -O qcow2 -o "$o" disk.raw "$1"
	else
		try $maker create -q -f qcow2 -o "$o" "$1" "$size"
	fi
}

# same: all that look at the two images see what they must.
same()
{
	for f in a b; do
		try qemu-img check -f qcow2 $f
		try qemu-img compare -f raw -F qcow2 disk.raw $f
	done
	set -- disk.raw a '' disk.raw b ''
	for s in one two; do
		[ -f $s.raw ] || continue
		for f in a b; do
			# qemu-img reads as much of it as the disk has today.
			try qemu-img convert -l $s -f qcow2 -O raw $f got.raw &&
			    try cmp -n "$(wc -c <$s.raw)" got.raw $s.raw
			set -- "$@" $s.raw $f $s
		done
	done
	try "$IO" same qcow2 0 "$@"
	# The file may have the rest of the last cluster.
	[ "$data" != raw ] || for f in a b; do
		try cmp -n "$now" disk.raw $f.data
	done
}

# What qemu-img does between the rounds.
between()
{
	case $snapshots$1 in
	one2)
		try qemu-img snapshot -c one a
		try qemu-img snapshot -c one b
		cp disk.raw one.raw ;;
	one4)
		try qemu-img snapshot -d one a
		try qemu-img snapshot -d one b
		rm one.raw ;;
	yes2)
		try qemu-img snapshot -c one a
		try qemu-img snapshot -c one b
		cp disk.raw one.raw ;;
	yes3)
		try qemu-img snapshot -c two a
		try qemu-img snapshot -c two b
		cp disk.raw two.raw ;;
	yes4)
		try qemu-img snapshot -a one a
		try qemu-img snapshot -a one b
		cp one.raw disk.raw
		try qemu-img snapshot -d two a
		try qemu-img snapshot -d two b
		rm two.raw ;;
	esac
	[ "$grow$1" = yes3 ] || return 0
	[ "$snapshots$compat" != yes0.10 ] || return 0
	size=$((size + 512 * 1001))
	try qemu-img resize -q -f qcow2 a $size
	try qemu-img resize -q -f qcow2 b $size
	truncate -s $size disk.raw
}

# image N: from its creation through four rounds.  What is wrong is printed.
image()
{
	make_base "$1" && make a "$1" && make b "$1" || return
	# qemu's discard leaves what a version 2 reads from its backing file,
	# and what a raw data file has.
	no=
	[ "$compat" != 0.10 ] || [ "$base" = none ] || no=nodiscard
	[ "$data" != raw ] || no=nodiscard
	for round in 1 2 3 4; do
		between $round
		now=$(wc -c <disk.raw)
		# shellcheck disable=SC2086 # a word or none
		"$PLAN" plan "$SEED$1$round" "$now" "$cluster" 24 $no >plan
		# In turns: what one has written the other goes on with.
		theirs=a ours=b
		[ $((round % 2)) -eq 1 ] || theirs=b ours=a
		qemu plan $theirs
		try "$IO" img qcow2 0 plan disk.raw $ours "$slices"
		same
		[ ! -s ../told ] || {
			echo "in round $round"
			return
		}
	done
	for f in a b; do
		try imgtool check -q -f qcow2 --deep $f
		try imgtool compare -q -f raw -F qcow2 disk.raw $f
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
		eval "$("$PLAN" qcow2 "$SEED" "$n")"
		(cd "w$1/cwd" && image "$n" >../told 2>&1)
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
	options=$("$PLAN" qcow2 "$SEED" "$n" | tr '\n' ' ')
	t_begin "image $n of SEED=$SEED reads the same for both: $options"
	[ -f "told.$n" ] || fail "not tried"
	[ ! -s "told.$n" ] || fail "$(cat "told.$n")"
done
t_ok
echo "$T_CASES images"
