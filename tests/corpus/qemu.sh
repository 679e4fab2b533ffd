#!/bin/sh
# SPDX-License-Identifier: ISC
#
# qemu.sh - what qemu-img says of the recipes for qcow2 and QED: that the sound
# ones are sound, what the guest sees in them, how many clusters there are; and
# of the others what is written in them.
#
# With R="testdata/qcow2/good-v2.recipe ..." only these, paths from the top of
# the tree.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq timeout
case $(qemu-img --version) in
*" 7.2"*) ;;
*)	skip "qemu-img is not 7.2" ;;
esac
need_mkimage

# make_image: that of the recipe in $recipe, as image, and what to expect.
make_image()
{
	name=${recipe##*/}
	format=${recipe%/*}
	format=${format##*/}
	rm -f ./*.raw image
	./mkimage "$TOP/$recipe" image && ./mkimage -e "$TOP/$recipe" >expect ||
	    fail "$name: not a recipe"
	want=$(sed -n 's/^qemu //p' expect)
}

# statistics PROGRAM ...: what check prints of clusters, zeros left out.  Of
# QED qemu-img does not tell where the image ends.
statistics()
{
	timeout 60 "$@" check -f "$format" --output=json image 2>check.err |
	    jq -S '[."total-clusters", ."allocated-clusters",
		."fragmented-clusters", ."compressed-clusters",
		if .format == "qed" then 0 else ."image-end-offset" end] |
		map(. // 0)'
}

same_statistics()
{
	statistics qemu-img >want
	statistics "$IMGTOOL" >got
	cmp -s want got ||
	    fail "clusters: $(tr -d ' \n' <got), qemu $(tr -d ' \n' <want)"
}

# same_guest [SNAPSHOT]: three programs agree on the bytes of the disk.
same_guest()
{
	rm -f guest.out qemu.out got.out
	if [ $# -eq 0 ]; then
		./mkimage -g image guest.out
		run_ok timeout 60 qemu-img convert -f "$format" -O raw \
		    image qemu.out
		run_ok timeout 60 "$IMGTOOL" convert -f "$format" -O raw \
		    image got.out
	else
		./mkimage -s "$1" image guest.out
		run_ok timeout 60 qemu-img convert -f qcow2 -O raw \
		    -l "snapshot.id=$1" image qemu.out
		run_ok timeout 60 "$IMGTOOL" convert -f qcow2 -O raw -l "$1" \
		    image got.out
	fi
	# For qemu-img a snapshot's disk is as large as the image's is now.
	end=$(stat -c %s qemu.out guest.out | sort -n | head -n 1)
	./mkimage -c guest.out qemu.out ${1:+"$end" 1T} ||
	    fail "other bytes than qemu's: $*"
	./mkimage -c guest.out got.out || fail "wrong bytes: $*"
}

sound()
{
	t_begin "$name is for qemu-img what it is for us"
	same_statistics
	! grep -q '^flags .*huge' expect || return 0
	same_guest
	[ "$format" = qcow2 ] || return 0
	for id in $(qemu-img snapshot -U -l image | awk '$1 ~ /^[0-9]/ {
	    print $1 }'); do
		same_guest "$id"
	done
}

(cd "$TOP" && ls ${R:-testdata/qcow2/*.recipe testdata/qed/*.recipe}) >list
t_begin "qemu-img check exits with what the recipes say"
while read -r recipe; do
	make_image
	case $want$name in
	good-*) want=0 ;;
	-*)	continue ;;
	[a-z]*)	fail "$name does not say what qemu-img check exits with" ;;
	esac
	got=0
	timeout 60 qemu-img check -f "$format" image >qemu.log 2>&1 || got=$?
	[ "$got" = "$want" ] ||
	    fail "$name: status $got: $(head -c 300 qemu.log)"
done <list

# The recipe in $recipe, repaired by us.  What is left may be leaks, where the
# disk could be changed or the recipe says so.
t_begin "what imgtool has repaired is sound for qemu-img"
while read -r recipe; do
	make_image
	case $(sed -n 's/^repair //p' expect)$(sed -n 's/^qemu //p' expect) in
	*-)	continue ;;
	safe*)	how=safe ;;
	lossy*)	how=all ;;
	*)	continue ;;
	esac
	# For encrypted images it wants the key, and of QED it does not open
	# all geometries.
	! grep -q -e '^row QCOW2-113 ' -e '^row QED-6 ' -e '^row QED-61 ' \
	    expect || continue
	timeout 60 "$IMGTOOL" check -q -f "$format" -r $how \
	    image >repair.log 2>&1
	got=0
	timeout 60 qemu-img check -f "$format" image >qemu.log 2>&1 || got=$?
	case $how$got$(sed -n 's/^leaves .*/-leaves/p' expect) in
	*0 | *0-leaves | all3 | safe3-leaves) ;;
	*)	fail "$name: status $got: $(head -c 300 qemu.log)" ;;
	esac
done <list

grep -e /good- list >sound
while read -r recipe; do
	make_image
	# qemu-img does not open it.
	[ "${want:-0}" = 0 ] || continue
	sound
done <sound
