# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# What test scripts share.  A script starts with
#
#	. "$TOP/tests/lib.sh"
#
# and then has cases, each of them a sentence about behaviour:
#
#	t_begin "info names the format of a dynamic VHD"
#	run_ok imgtool info a.vhd
#	expect_out '^format: *vhd'
#
# A case ends where the next one begins, or at t_ok, or with the script.  It
# failed if any check in it did; the checks after that still run, and each
# returns 1 when it failed, for `run_ok ... || exit`.  The last two lines a
# script prints are "failed: N" and "cases: N".
#
# The runner gives IMGTOOL, the program to test, TOP, the top of the source
# tree, and a fresh current directory.  Without the runner both are found or
# made here:  IMGTOOL=$PWD/imgtool-asan TOP=$PWD sh tests/cli/readme.sh

: "${TOP:?the top of the source tree}" "${IMGTOOL:=$TOP/imgtool-asan}"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# A status of its own for the sanitizers: 1 and 2 mean something here.
ASAN_OPTIONS=${ASAN_OPTIONS:-exitcode=99}
UBSAN_OPTIONS=${UBSAN_OPTIONS:-exitcode=99:print_stacktrace=1}
LC_ALL=C
TZ=UTC
export PATH ASAN_OPTIONS UBSAN_OPTIONS LC_ALL TZ IMGTOOL TOP

T_OWN=
if [ -z "${T_STATE:-}" ]; then
	T_OWN=$(mktemp -d) || exit 1
	T_STATE=$T_OWN/state
	mkdir "$T_STATE" "$T_OWN/cwd" && cd "$T_OWN/cwd" || exit 1
fi

# What the last run_ok or run_rc printed.
OUT=$T_STATE/out
ERR=$T_STATE/err

T_CASES=0
T_FAILED=0
T_NAME=
T_CMD=
T_CLEANUP=:
: >"$T_STATE/failures"

imgtool()
{
	"$IMGTOOL" "$@"
}

# t_begin SENTENCE
t_begin()
{
	t_ok
	T_NAME=$1
	T_CASES=$((T_CASES + 1))
}

# The end of a case.
t_ok()
{
	if [ -s "$T_STATE/failures" ]; then
		T_FAILED=$((T_FAILED + 1))
		[ -n "$T_NAME" ] || T_CASES=$((T_CASES + 1))
		: >"$T_STATE/failures"
	fi
	T_NAME=
}

# fail MESSAGE: this case failed.  Works in a subshell too.
fail()
{
	echo "FAIL: ${T_NAME:-(outside a case)}: $*"
	echo "$*" >>"$T_STATE/failures"
	return 1
}

# at_exit COMMAND: run it when the script ends, whatever the reason.
at_exit()
{
	T_CLEANUP="$1; $T_CLEANUP"
}

# skip REASON: nothing more of this script can be tested here.
skip()
{
	echo "skip: $*"
	exit 77
}

# skip_unless TOOL ...
skip_unless()
{
	for t_tool; do
		command -v "$t_tool" >/dev/null 2>&1 ||
		    skip "no $t_tool here"
	done
}

t_show()
{
	for t_file in "$OUT" "$ERR"; do
		[ -s "$t_file" ] || continue
		echo "    ${t_file##*/}:"
		head -n 40 "$t_file" | cut -c 1-400 | sed 's/^/    | /'
	done
}

# run_rc STATUS COMMAND ...: it must exit with this status.
run_rc()
{
	t_want=$1
	shift
	T_CMD=$*
	t_got=0
	"$@" >"$OUT" 2>"$ERR" || t_got=$?
	if grep -qE '(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:' \
	    "$ERR"; then
		fail "$T_CMD: a sanitizer spoke"
		t_show
		return 1
	fi
	[ "$t_got" -eq "$t_want" ] && return 0
	fail "$T_CMD: status $t_got, expected $t_want"
	t_show
	return 1
}

# run_ok COMMAND ...
run_ok()
{
	run_rc 0 "$@"
}

t_expect()
{
	grep -qE -e "$2" "$1" && return 0
	fail "$T_CMD: ${1##*/} has no line matching $2"
	t_show
	return 1
}

t_expect_no()
{
	grep -qE -e "$2" "$1" || return 0
	fail "$T_CMD: ${1##*/} has a line matching $2"
	t_show
	return 1
}

# A line of the output, or of the messages, matches the extended regular
# expression; or none does.
expect_out()
{
	t_expect "$OUT" "$1"
}

expect_err()
{
	t_expect "$ERR" "$1"
}

expect_no_out()
{
	t_expect_no "$OUT" "$1"
}

expect_no_err()
{
	t_expect_no "$ERR" "$1"
}

# one_line TEXT: all that the last command complained of is one line, which
# begins with this after the program's name.
one_line()
{
	[ "$(wc -l <"$ERR")" -eq 1 ] && expect_err "^imgtool: $1" ||
	    fail "not one line: $(cat "$ERR")"
}

# field FILTER VALUE: in the JSON that the last command printed.
field()
{
	got=$(jq -c "$1" "$OUT")
	[ "$got" = "$2" ] || fail "$1 is $got, expected $2"
}

# ./mkimage, which makes images from the recipes of testdata.
need_mkimage()
{
	${CC:-cc} -std=c99 -D_GNU_SOURCE -O2 -o mkimage \
	    "$TOP"/tests/corpus/*.c -lz || exit 1
}

# same_bytes FILE FILE, differ FILE FILE
same_bytes()
{
	cmp "$1" "$2" && return 0
	fail "$1 and $2 differ"
}

differ()
{
	cmp -s "$1" "$2" || return 0
	fail "$1 and $2 are the same"
}

# poke FILE OFFSET OCTAL ...: these bytes there.
poke()
{
	t_file=$1 t_off=$2
	shift 2
	for t_byte; do
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\$t_byte"
	done | dd of="$t_file" bs=1 seek="$t_off" conv=notrunc status=none
}

# peek FILE OFFSET BYTES: in hexadecimal.
peek()
{
	od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# words SEED LENGTH: bytes that are nowhere else, and never zeros.
words()
{
	yes "disk $1 $2 the quick brown fox" | head -c "$2"
}

t_end()
{
	t_status=$?
	trap - EXIT
	eval "$T_CLEANUP"
	case $t_status in
	0 | 77) ;;
	*)	[ -s "$T_STATE/failures" ] ||
		    fail "the script stopped with status $t_status" ;;
	esac
	t_ok
	[ -z "$T_OWN" ] || rm -rf "$T_OWN"
	echo "failed: $T_FAILED"
	echo "cases: $T_CASES"
	[ "$T_FAILED" -eq 0 ] || exit 1
	exit "$t_status"
}

trap t_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
