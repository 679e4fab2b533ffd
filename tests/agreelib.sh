# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# agreelib.sh - what the tests share that hold info, map and check of images
# that qemu-img made against what qemu-img says of them.

# info_agrees FILE [FILTER]: each field of qemu-img's object is in ours, the
# same, and those within format-specific too.  The jq filter goes over what
# qemu-img says, which is not always right.
info_agrees()
{
	qemu-img info --output=json "$1" | jq "${2:-.}" >want.json ||
	    fail "no info of $1"
	run_ok imgtool info --output=json "$1"
	jq -e -n --slurpfile a want.json --slurpfile b "$OUT" '
	    ($a[0] | del(.["format-specific"]) | to_entries | length >= 5 and
		all(.value == $b[0][.key])) and
	    ($a[0]["format-specific"].data // {} | to_entries |
		length >= (if $a[0].format == "qcow2" then 3 else 0 end) and
		all(.value == $b[0]["format-specific"].data[.key])) and
	    $b[0]["format-specific"].type == $a[0].format' >/dev/null ||
	    fail "not as qemu-img has it: $(jq -c . want.json) $(jq -c . "$OUT")"
}

# text_agrees FILE: every line that qemu-img prints for people is ours too;
# sizes that people read are written in another way.
text_agrees()
{
	qemu-img info "$1" | sed -e 's/^\(virtual size\|disk size\): .*/\1/' \
	    >want.txt
	run_ok imgtool info "$1"
	sed -e 's/^\(virtual size\|disk size\): .*/\1/' "$OUT" >got.txt
	# In that order, too.
	awk 'NR == FNR { want[++n] = $0; next }
	    $0 == want[at + 1] { at++ }
	    END { if (at < n) { print "missing: " want[at + 1]; exit 1 } }' \
	    want.txt got.txt || fail "not the lines of qemu-img"
}

# map_agrees FILE: the same runs, but that ours are cut where the host's file
# has holes: those we call zeros, and qemu-img sometimes data.
map_agrees()
{
	qemu-img map --output=json "$1" >want.json || fail "no map of $1"
	run_ok imgtool map --output=json "$1"
	jq -e -n --slurpfile a want.json --slurpfile b "$OUT" '
	    $a[0] as $q | $b[0] as $m |
	    ($m | map(.length) | add) == ($q | map(.length) | add) and
	    ($q | length) <= ($m | length) and
	    ($m | all(. as $e | [$q[] | select(.start <= $e.start and
		    $e.start + $e.length <= .start + .length)] as $in |
		($in | length) == 1 and ($in[0] |
		    .depth == $e.depth and .present == $e.present and
		    (if $e.data then .data and (.zero | not) else $e.zero end) and
		    (if .zero then $e.zero else true end) and
		    (if .data then true else $e.zero end) and
		    (if has("offset") then
			$e.offset - .offset == $e.start - .start
		    else ($e | has("offset") | not) end))))' >/dev/null ||
	    fail "not as qemu-img has it: $(jq -c . want.json) $(jq -c . "$OUT")"
}

# check_agrees FILE [STATUS]
check_agrees()
{
	qemu-img check --output=json "$1" >want.json 2>/dev/null
	[ $? -eq "${2:-0}" ] || fail "qemu-img check says otherwise of $1"
	run_rc "${2:-0}" imgtool check --output=json "$1"
	jq -e -n --slurpfile a want.json --slurpfile b "$OUT" '
	    $a[0] | to_entries | length >= 4 and
		all(.value == $b[0][.key])' >/dev/null ||
	    fail "not as qemu-img has it: $(jq -c . want.json) $(jq -c . "$OUT")"
	qemu-img check "$1" 2>/dev/null | grep ' allocated, ' >want.txt
	run_rc "${2:-0}" imgtool check "$1"
	grep ' allocated, ' "$OUT" >got.txt
	same_bytes want.txt got.txt
}

all_agree()
{
	info_agrees "$1"
	text_agrees "$1"
	map_agrees "$1"
	check_agrees "$1"
}
