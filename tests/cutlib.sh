# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# cutlib.sh - what the tests of images that were cut off share.

workers=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)

# worker NUMBER IMAGE OPTION ...: cut it there and there, shorter and shorter.
# To look for leaks takes as long as all the rest: every sixteenth time is
# enough.
worker()
{
	t_k=$1
	t_leaks=$ASAN_OPTIONS
	cp "$2" "image.$t_k"
	shift 2
	awk -v w="$workers" -v k="$t_k" 'NR % w == k' list | while read -r n; do
		truncate -s "$n" "image.$t_k"
		status=0
		ASAN_OPTIONS=$t_leaks:detect_leaks=$((n % 16 == 0))
		timeout 20 "$IMGTOOL" check "$@" --output=json "image.$t_k" \
		    2>"err.$t_k" || status=$?
		echo "cut $n $status"
	done >"log.$t_k"
}

# judge_cuts IMAGE OPTION ...: check it at all the lengths of the file list,
# which has the largest one first.
judge_cuts()
{
	rm -f log.*
	k=0
	while [ $k -lt "$workers" ]; do
		worker $k "$@" &
		k=$((k + 1))
	done
	wait
	[ "$(cat log.* | grep -c '^cut ')" -eq "$(grep -c . list)" ] ||
	    fail "not every cut was tried"
}

# The logs as lines of "length row offset start length".  The findings come
# before their status.
got()
{
	cat log.* | awk '
	function get(key) {
		if (!match($0, "\"" key "\": \"?[A-Z0-9-]+"))
			return ("-")
		s = substr($0, RSTART + length(key) + 4, RLENGTH)
		gsub(/[^A-Z0-9-]/, "", s)
		return (s)
	}
	/"row":/ {
		rows[nrows++] = get("row") " " get("offset") " " \
		    get("start") " " get("length")
	}
	/^cut / {
		for (i = 0; i < nrows; i++)
			print $2, rows[i]
		nrows = 0
	}'
}

# same_cuts: the files want and have are the same lines.
same_cuts()
{
	cmp -s want have && return 0
	fail "expected (-) and found (+):"
	diff -U 0 want have | grep '^[-+][0-9]' | sort -n -k 1.2 | head -n 40
}

# range FORMAT RAW START LENGTH: that part of the disk of the file image is
# there, and as in the file RAW.  START is that of a sector.
range()
{
	[ "$4" -gt 0 ] || return 0
	run_rc 0 timeout 20 "$IMGTOOL" dd-read -f "$1" if=image bs=512 \
	    skip=$(($3 / 512)) count=$(($4 / 512)) status=none || return 1
	if [ $(($4 % 512)) -ne 0 ]; then
		mv "$OUT" sectors
		run_rc 0 timeout 20 "$IMGTOOL" dd-read -f "$1" if=image bs=1 \
		    skip=$(($3 + $4 / 512 * 512)) count=$(($4 % 512)) \
		    status=none || return 1
		cat "$OUT" >>sectors
		mv sectors "$OUT"
	fi
	tail -c +$(($3 + 1)) "$2" | head -c "$4" | cmp -s - "$OUT" ||
	    fail "cut at $n: wrong bytes from $3 on"
}

# parts FORMAT RAW SIZE ROWS: of the image, which was cut at $n, what is lost,
# as lines of "start length" on standard input, is refused with one of ROWS,
# and all else of the SIZE bytes of its disk is there, as in the file RAW.
parts()
{
	at=0
	# A table that was cut is refused as a whole, in one piece.
	for lost in $(sort -n | awk '$1 >= at {
	    print $1 "+" $2; at = $1 + $2 }'); do
		range "$1" "$2" $at $((${lost%+*} - at))
		run_rc 1 timeout 20 "$IMGTOOL" dd-read -f "$1" if=image \
		    bs=1 skip="${lost%+*}" count=1 status=none
		[ ! -s "$OUT" ] || fail "cut at $n: bytes from nowhere"
		expect_err "$4"
		at=$((${lost%+*} + ${lost#*+}))
	done
	range "$1" "$2" $at $(($3 - at))
}
