#!/bin/sh
# SPDX-License-Identifier: ISC
#
# corpus.sh - every recipe of testdata raises exactly the rows it lists, and
# what can be repaired is repaired.
#
# With R="testdata/vhd/bad-VHD-55-overlap.recipe ..." only these, paths from
# the top of the tree.  So the script calls itself, once for each processor.

. "$TOP/tests/lib.sh"

skip_unless jq
if [ -z "${MKIMAGE:-}" ]; then
	MKIMAGE=$PWD/mkimage
	${CC:-cc} -std=c99 -D_GNU_SOURCE -O2 -o "$MKIMAGE" \
	    "$TOP"/tests/corpus/*.c -lz || exit 1
	export MKIMAGE
fi

# The table of rows: name, severity, what it allows, repair.
awk -F '[(,] *' '/^F\(/ {
    if ($5 == "WARN")
	$5 = "WARNING"
    print $2 "-" $3, tolower($5 " " $6 " " $8)
}' "$TOP/lib/core/findings.def" >table
grep -q '^VHD-55 corrupt map lossy$' table || fail "cannot read findings.def"

# What there is to know of check's JSON, as lines that begin with a word; of a
# chain the first image, the one that was asked about.
# shellcheck disable=SC2016 # it is for jq
FILTER='if type == "array" then .[0] else . end |
    if .schema then . else error("no schema") end |
    "format \(."format-name")",
    (.findings[] |
	"row \(.row) \(.offset // "-") \(.start // "-") \(.length // "-")",
	"kind \(.row) \(.severity) \(.allows) \(.repair)",
	"found \(.row) \(.offset) \(.found) \(.expected)"),
    (.repairs // [] | .[] | "repair",
	(select(.length) | "lost \(.start) \(.length)"))'

# got WORD: the lines of that word, of what check said.
got()
{
	sed -n "s/^$1 //p" got.text
}

# rows: the rows of it, as mkimage -e prints them.
rows()
{
	got row | sort
}

# say KEY: what the recipe says under that key.
say()
{
	sed -n "s/^$1 //p" expect
}

# flag WORD: is it among the flags of the recipe?
flag()
{
	case " $(say flags) " in
	*" $1 "*) ;;
	*)	return 1 ;;
	esac
}

# check_image IMAGE [OPTION] ...: into got.text; the status is in $status.
check_image()
{
	t_image=$1
	shift
	status=0
	timeout 60 "$IMGTOOL" check ${format:+-f $format} $options \
	    --output=json "$@" "$t_image" >got.json 2>got.err || status=$?
	[ $status -le 3 ] && jq -r "$FILTER" got.json >got.text 2>/dev/null &&
	    return 0
	: >got.text
	fail "check $options $*: status $status: $(head -c 600 got.err)"
}

# The worst of the rows in FILE as check's exit status.
worst()
{
	awk 'NR == FNR { sev[$1] = $2; next }
	    sev[$1] == "corrupt" || sev[$1] == "fatal" { s = 2 }
	    sev[$1] == "leak" && s != 2 { s = 3 }
	    END { print s + 0 }' table "$1"
}

# least FILE: the least that a row in it allows.
least()
{
	awk 'BEGIN { split("nothing map read write", order, " ") }
	    NR == FNR { allow[$1] = $3; next }
	    { seen[allow[$1]] = 1 }
	    END {
		for (i = 1; i < 4; i++)
			if (order[i] in seen)
				break
		print order[i]
	    }' table "$1"
}

same_rows()
{
	cmp -s "$1" "$2" && return 0
	fail "expected (-) and found (+):"
	diff -U 0 "$1" "$2" | grep '^[-+][A-Z]'
	return 1
}

# May these rows be raised as they are: severity and repair as in the table.
as_in_table()
{
	got kind | sort -u >seen
	[ -z "$(sort -u table | comm -13 - seen)" ] ||
	    fail "not as in findings.def: $(sort -u table | comm -13 - seen)"
}

# What -f is given.
own_format()
{
	format=$(say format)
	[ -n "$format" ] || format=$(basename "${recipe%/*}")
}

judge()
{
	t_begin "$name raises exactly its rows"
	check_image image || return 1
	rows >found
	same_rows expected found
	as_in_table
	[ $status -eq "$(worst expected)" ] ||
	    fail "exit status $status, expected $(worst expected)"
	"$MKIMAGE" "$recipe" again
	"$MKIMAGE" -c image again || fail "check wrote to the image"
	if [ ! -s expected ]; then
		check_image again -r all
		"$MKIMAGE" -c image again || fail "-r all changes a sound image"
	fi
	probe=$(say probe)
	if [ -n "$probe" ]; then
		format=
		check_image image
		own_format
		[ "$(got format)" = "$probe" ] ||
		    fail "probing does not find $probe"
	fi
}

# What the guest sees, told by the second opinion: the image, or the recipe
# that it names.
guest()
{
	other=$(say guest)
	if [ "$format" = raw ]; then
		cp image guest.raw
	elif [ -n "$other" ]; then
		"$MKIMAGE" "${recipe%/*}/$other.recipe" other &&
		    "$MKIMAGE" -g other guest.raw
	else
		"$MKIMAGE" -g image guest.raw
	fi || fail "no guest bytes to compare with"
}

read_image()
{
	rm -f out.raw
	run_rc "$1" timeout 60 "$IMGTOOL" convert -f "$format" -O raw \
	    "$2" out.raw
}

# Reading gives the right bytes, or is refused.
reading()
{
	t_begin "$name is read as far as its rows allow"
	allows=$(least expected)
	case $allows in
	write | read)
		if flag eio; then
			read_image 1 image
			return
		fi
		read_image 0 image || return 1
		guest
		"$MKIMAGE" -c guest.raw out.raw || fail "wrong guest bytes" ;;
	nothing)
		read_image 1 image
		expect_err "$(awk 'NR == FNR { a[$1] = $3; next }
		    a[$1] == "nothing" { print $1; exit }' table expected)" ;;
	map)	! grep -q '^VHD-100 ' expected || read_image 1 image ;;
	esac
}

# only_row ROW FILE: the lines of that row.
only_row()
{
	grep "^$1 " "$2" || :
}

# new_rows HOW: what a repair may leave behind that was not there: a note (a
# size that is now not the original one), what the recipe says, or, if it may
# change the disk, the space of a block that was given up.
new_rows()
{
	awk -v how="$1" -v leaves="$(say leaves)" '
	    BEGIN { n = split(leaves, l, " "); for (; n > 0; n--) old[l[n]] }
	    FILENAME == "table" { sev[$1] = $2; next }
	    FILENAME == "expected" { old[$1] = 1; next }
	    how == "all" && $1 ~ /^(VHD-60|QCOW2-76|QED-(5[123]|60))$/ { next }
	    !($1 in old) && sev[$1] != "note"' table expected found >new
	[ ! -s new ] || fail "new after the repair: $(tr '\n' ';' <new)"
}

# repaired HOW: the copy in work is repaired, lost ranges named, rest equal.
repaired()
{
	check_image work -r "$1" || return 1
	got lost >lost
	grep -q '^repair' got.text ||
	    fail "-r $1 does not say what it did"
	rows >told
	check_image work || return 1
	rows >found
	same_rows told found
	[ -z "$(only_row "$row" found)" ] || fail "$row is still there"
	new_rows "$1"
	if [ "$1" = safe ] && [ -s lost ]; then
		fail "a safe repair changes guest bytes"
	fi
	case $(least found) in
	nothing | map) return 0 ;;
	esac
	read_image 0 work || return 1
	guest
	if flag grows; then
		echo "$(stat -c %s guest.raw) 1T" >>lost
	fi
	# shellcheck disable=SC2046 # words
	"$MKIMAGE" -c guest.raw out.raw $(cat lost) ||
	    fail "guest bytes changed that were not named"
}

mend()
{
	t_begin "$name is repaired ($repair)"
	how=safe
	[ "$repair" = safe ] || how=all
	"$MKIMAGE" "$recipe" work
	check_image work -r $how --dry-run || return 1
	"$MKIMAGE" -c work image || fail "--dry-run wrote to the image"
	if [ $how = all ]; then
		check_image work -r safe
		check_image work
		rows >found
		only_row "$row" expected >want
		only_row "$row" found >still
		same_rows want still
		"$MKIMAGE" "$recipe" work
	fi
	repaired $how
}

# Can the program read what zstd compressed?  It says so, or refuses with its
# row.
knows_zstd()
{
	timeout 60 "$IMGTOOL" check -f qcow2 image >zstd.out 2>&1
	! grep -q QCOW2-114 zstd.out
}

# The numbers that the recipe gives for some of its rows.
found_and_want()
{
	say found >numbers
	[ -s numbers ] || return 0
	t_begin "$name tells what was found and what was expected"
	got found >told
	while read -r line; do
		grep -qx "$line" told ||
		    fail "not told: $line, but: $(grep "^${line%% *} " told)"
	done <numbers
}

one()
{
	name=${recipe##*/}
	name=${name%.recipe}
	# Those beside the image before.
	rm -f ./*.raw
	"$MKIMAGE" "$recipe" image && "$MKIMAGE" -e "$recipe" >expect || {
		fail "$name: not a recipe"
		return 1
	}
	sed -n 's/^row //p' expect | sort >expected
	own_format
	options=
	! flag deep || options=--deep
	! flag chain || options="$options --backing-chain"
	if flag zstd && knows_zstd; then
		sed -i '/^QCOW2-114 /d' expected
	fi
	judge
	found_and_want
	if flag huge; then
		return
	fi
	flag alone || reading
	row=$(echo "$name" | sed -n 's/^bad-\([A-Z0-9]*-[0-9]*\)-.*/\1/p')
	repair=$(say repair)
	if [ "${repair:-none}" != none ]; then
		mend
	fi
}

if [ -n "${R:-}" ]; then
	for recipe in $R; do
		recipe=$TOP/$recipe
		one
	done
	exit 0
fi

# What each of them prints is counted as if it were printed here.
workers=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
(cd "$TOP" && printf '%s\n' testdata/*/*.recipe) >list
k=0
while [ $k -lt "$workers" ]; do
	R=$(awk -v w="$workers" -v k=$k 'NR % w == k' list) T_STATE='' \
	    sh "$TOP/tests/corpus/corpus.sh" >log.$k 2>&1 &
	k=$((k + 1))
done
wait
cat log.* | grep -v -e '^failed: ' -e '^cases: '
[ "$(cat log.* | grep -c '^cases: [1-9]')" -eq "$workers" ] ||
    fail "not every part of the corpus was run to its end"
t_ok
T_FAILED=$(cat log.* | awk -v n="$T_FAILED" '/^failed: / { n += $2 }
    END { print n }')
T_CASES=$(cat log.* | awk -v n="$T_CASES" '/^cases: / { n += $2 }
    END { print n }')

t_begin "every row has a recipe, of the kind that the table says"
for recipe in "$TOP"/testdata/*/bad-*.recipe; do
	name=${recipe##*/bad-}
	row=$(echo "$name" | sed 's/^\([A-Z0-9]*-[0-9]*\)-.*/\1/')
	"$MKIMAGE" -e "$recipe" >expect
	grep -q "^row $row " expect || fail "$name does not expect its row"
	echo "$row $(say repair)"
done | sort -u >covered
while read -r row _ _ repair; do
	# That of an image on a device: no file says so.
	[ "$row" != QED-58 ] || continue
	grep -qx "$row $repair" covered ||
	    fail "$row: no recipe with repair $repair"
done <table
cut -d ' ' -f 1 covered | sort -u | while read -r row; do
	grep -q "^$row " table || fail "$row is in no table"
	grep "^$row " covered | while read -r _ repair; do
		case $repair in
		none) ;;
		*)	grep -q "^$row .* $repair\$" table ||
			    fail "$row: repair is not $repair" ;;
		esac
	done
done

t_begin "sound images raise nothing above a note"
for recipe in "$TOP"/testdata/*/good-*.recipe \
    "$TOP"/testdata/*/unsup-*.recipe; do
	"$MKIMAGE" -e "$recipe" | sed -n 's/^row //p' | cut -d ' ' -f 1
done | sort -u | while read -r row; do
	grep -q "^$row note " table || fail "$row is not a note"
done

t_begin "the comparison notices a row too few, too many, or elsewhere"
printf 'VHD-51 1548 6291456 2097152\n' >want
for got in '' 'VHD-51 1552 6291456 2097152' 'VHD-51 1548 6291456 2097151' \
    'VHD-51 1548 6291456 2097152
VHD-60 2048 - -'; do
	printf '%s\n' "$got" >found
	! cmp -s want found || fail "not noticed: $got"
done
