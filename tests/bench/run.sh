#!/bin/sh
# SPDX-License-Identifier: ISC
#
# run.sh - how long imgtool takes in comparison with other programs on the
# same data in the same run.  Only the ratios mean anything, and nothing
# fails.  IMGTOOL is the program, MIB the size of the disk (1024).
#
# The data are in the page cache, and each time is the best of RUNS (3).
# What is written goes to stable storage in imgtool's case only, so `sync`
# is part of every other program's time.

set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
: "${MIB:=1024}" "${RUNS:=3}"
case ${IMGTOOL:=./imgtool} in
/*)	;;
*)	IMGTOOL=$PWD/$IMGTOOL ;;
esac
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/imgtool-bench.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM
cd "$tmp"

have()
{
	command -v "$1" >/dev/null 2>&1
}

# now: milliseconds.  %N is not everywhere; whole seconds are better than no
# benchmark.
now()
{
	case $(date +%N) in
	*N*)	echo $(($(date +%s) * 1000)) ;;
	*)	echo $(($(date +%s%N) / 1000000)) ;;
	esac
}

# best COMMAND: milliseconds of the fastest run, in $ms.  out.* is removed
# before each.
best()
{
	ms=
	i=0
	while [ $i -lt "$RUNS" ]; do
		rm -f out.*
		sync
		start=$(now)
		sh -c "$1" >/dev/null 2>&1 || {
			ms=failed
			return
		}
		t=$(($(now) - start))
		[ $t -gt 0 ] || t=1
		if [ -z "$ms" ] || [ $t -lt "$ms" ]; then
			ms=$t
		fi
		i=$((i + 1))
	done
}

ratio()
{
	case $1$2 in
	*failed*) echo - ;;
	*)	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }' ;;
	esac
}

# row NAME IMGTOOL-COMMAND PLAIN-NAME PLAIN-COMMAND [QEMU-COMMAND]
row()
{
	best "$2"
	ours=$ms
	best "$4"
	plain=$ms
	theirs=-
	factor=-
	if [ -n "${5:-}" ] && have qemu-img; then
		best "$5"
		theirs=$ms
		factor=$(ratio "$ours" "$theirs")
	fi
	printf '%-26s %8s %8s %8s %8s %8s  %s\n' "$1" "$ours" "$plain" \
	    "$(ratio "$ours" "$plain")" "$theirs" "$factor" "$3"
}

# A disk of MIB MiB: per 64 MiB, 24 of noise, 8 of text, 16 of zeros that are
# stored, and a hole of 16.
at=0
truncate -s "${MIB}M" disk.raw
put()
{
	head -c $(($1 * 1048576)) | dd of=disk.raw bs=1M seek=$at \
	    conv=notrunc iflag=fullblock 2>/dev/null
	at=$((at + $1))
}
while [ $((at + 64)) -le "$MIB" ]; do
	put 24 </dev/urandom
	yes "some text, $at" | put 8
	put 16 </dev/zero
	at=$((at + 16))
done

I=$IMGTOOL
"$I" convert -f raw -O vhd disk.raw disk.vhd
"$I" convert -f raw -O vhd -o subformat=fixed disk.raw fixed.vhd
cp --sparse=always disk.raw sparse.raw
"$I" convert -f raw -O qcow2 disk.raw disk.qcow2
"$I" convert -c -f raw -O qcow2 disk.raw packed.qcow2
"$I" convert -f raw -O qed disk.raw disk.qed
cat ./*.raw ./*.vhd ./*.qcow2 ./*.qed >/dev/null
sync

echo "$MIB MiB of noise, text, zeros and holes; best of $RUNS, milliseconds"
printf '%-26s %8s %8s %8s %8s %8s  %s\n' job imgtool plain ratio qemu-img \
    ratio 'plain is'
cp='cp --sparse=always'
q='qemu-img convert'
row 'raw to dynamic' "$I convert -f raw -O vhd disk.raw out.vhd" \
    "$cp" "$cp disk.raw out.raw && sync out.raw" \
    "$q -f raw -O vpc disk.raw out.vhd && sync out.vhd"
row 'raw to fixed' \
    "$I convert -f raw -O vhd -o subformat=fixed disk.raw out.vhd" \
    "$cp" "$cp disk.raw out.raw && sync out.raw" \
    "$q -f raw -O vpc -o subformat=fixed disk.raw out.vhd && sync out.vhd"
row 'dynamic to raw' "$I convert -f vhd -O raw disk.vhd out.raw" \
    "$cp" "$cp disk.vhd out.vhd && sync out.vhd" \
    "$q -f vpc -O raw disk.vhd out.raw && sync out.raw"
row 'fixed to raw' "$I convert -f vhd -O raw fixed.vhd out.raw" \
    "$cp" "$cp fixed.vhd out.vhd && sync out.vhd" \
    "$q -f vpc -O raw fixed.vhd out.raw && sync out.raw"
row 'raw to raw' "$I convert -f raw -O raw disk.raw out.raw" \
    "$cp" "$cp disk.raw out.raw && sync out.raw" \
    "$q -f raw -O raw disk.raw out.raw && sync out.raw"
row 'raw to raw, sparse source' "$I convert -f raw -O raw sparse.raw out.raw" \
    "$cp" "$cp sparse.raw out.raw && sync out.raw" \
    "$q -f raw -O raw sparse.raw out.raw && sync out.raw"
row 'dynamic to a pipe' "$I convert -f vhd -O raw disk.vhd - | cat" \
    "cat raw" "cat disk.raw | cat"
row 'compare raw, dynamic' "$I compare -f raw -F vhd disk.raw disk.vhd" \
    "cmp" "cmp disk.raw sparse.raw" \
    "qemu-img compare -f raw -F vpc disk.raw disk.vhd"
row 'check --deep' "$I check --deep disk.vhd" "cat" "cat disk.vhd | cat"

row 'raw to qcow2' "$I convert -f raw -O qcow2 disk.raw out.qcow2" \
    "$cp" "$cp disk.raw out.raw && sync out.raw" \
    "$q -f raw -O qcow2 disk.raw out.qcow2 && sync out.qcow2"
row 'qcow2 to raw' "$I convert -f qcow2 -O raw disk.qcow2 out.raw" \
    "$cp" "$cp disk.qcow2 out.qcow2 && sync out.qcow2" \
    "$q -f qcow2 -O raw disk.qcow2 out.raw && sync out.raw"
row 'qcow2 to qcow2' "$I convert -f qcow2 -O qcow2 disk.qcow2 out.qcow2" \
    "$cp" "$cp disk.qcow2 out.qcow2 && sync out.qcow2" \
    "$q -f qcow2 -O qcow2 disk.qcow2 out.qcow2 && sync out.qcow2"
row 'qcow2 to qcow2 -c' \
    "$I convert -c -f qcow2 -O qcow2 disk.qcow2 out.qcow2" \
    "gzip" "gzip -c disk.raw >out.gz && sync out.gz" \
    "$q -c -f qcow2 -O qcow2 disk.qcow2 out.qcow2 && sync out.qcow2"
row 'compressed to raw' "$I convert -f qcow2 -O raw packed.qcow2 out.raw" \
    "$cp" "$cp disk.raw out.raw && sync out.raw" \
    "$q -f qcow2 -O raw packed.qcow2 out.raw && sync out.raw"
row 'check of qcow2' "$I check -f qcow2 disk.qcow2" \
    "cat of 64 KiB" "head -c 65536 disk.qcow2 | cat" \
    "qemu-img check -f qcow2 disk.qcow2"
row 'check of compressed' "$I check -f qcow2 packed.qcow2" \
    "cat of 64 KiB" "head -c 65536 packed.qcow2 | cat" \
    "qemu-img check -f qcow2 packed.qcow2"

row 'raw to qed' "$I convert -f raw -O qed disk.raw out.qed" \
    "$cp" "$cp disk.raw out.raw && sync out.raw" \
    "$q -f raw -O qed disk.raw out.qed && sync out.qed"
row 'qed to raw' "$I convert -f qed -O raw disk.qed out.raw" \
    "$cp" "$cp disk.qed out.qed && sync out.qed" \
    "$q -f qed -O raw disk.qed out.raw && sync out.raw"
row 'check of qed' "$I check -f qed disk.qed" \
    "cat of 64 KiB" "head -c 65536 disk.qed | cat" \
    "qemu-img check -f qed disk.qed"

# 128 MiB of L2 tables and 32 MiB of refcounts.
if "$I" create -q -f qcow2 -o preallocation=metadata full.qcow2 1T; then
	row 'check of 1 TiB, full' "$I check -f qcow2 full.qcow2" \
	    "cat of 160 MiB" "head -c 167772160 disk.raw | cat" \
	    "qemu-img check -f qcow2 full.qcow2"
	rm -f full.qcow2
fi

# Check reads tables: 4 MiB of them for a full disk of 2040 GiB.
"$I" create -q -f vhd large.vhd 2040G
bat=$(head -c 4181000 large.vhd | wc -c)
row 'check of 2040 GiB, empty' "$I check large.vhd" "cat of $bat bytes" \
    "head -c 4181000 large.vhd | cat"
full=$(dirname "$IMGTOOL")/tests/interop/cost.t
if [ -x "$full" ] && "$full" make full.vhd 2040 2097152 mixed >/dev/null; then
	row 'check of 2040 GiB, full' "$I check full.vhd" "cat of $bat bytes" \
	    "head -c 4181000 full.vhd | cat"
fi
