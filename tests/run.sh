#!/bin/sh
# SPDX-License-Identifier: ISC
#
# run.sh [UNIT-PROGRAM | SCRIPT.sh] ... - run tests, count their cases.
#
# Without a script among the arguments, all scripts run.  A script runs in a
# fresh directory with IMGTOOL, TOP and T_STATE set (see lib.sh) and exits
# with 0, or with 77 for "cannot be tested here".  Where IMGTOOL_CI is 1,
# that is a failure too.  The last line is "N passed, N failed".

set -u

TOP=$(cd "$(dirname "$0")/.." && pwd) || exit 1
IMGTOOL=${IMGTOOL:-$TOP/imgtool-asan}
IMGTOOL_CI=${IMGTOOL_CI:-}
LIMIT=${LIMIT:-900}
export TOP IMGTOOL IMGTOOL_CI

# A status of its own for the sanitizers: 1 and 2 mean something here.
ASAN_OPTIONS=${ASAN_OPTIONS:-exitcode=99}
UBSAN_OPTIONS=${UBSAN_OPTIONS:-exitcode=99:print_stacktrace=1}
export ASAN_OPTIONS UBSAN_OPTIONS

passed=0
failed=0
skipped=0
tmp=$(mktemp -d) || exit 1
trap 'chmod -R u+rwx "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM

limit=
if command -v timeout >/dev/null 2>&1; then
	limit="timeout -k 10 $LIMIT"
fi

# run COMMAND ...: in a fresh directory, what it prints goes to $tmp/log.
run()
{
	rm -rf "$tmp/run"
	mkdir -p "$tmp/run/cwd" "$tmp/run/state"
	T_STATE=$tmp/run/state
	export T_STATE
	began=$(date +%s)
	status=0
	# shellcheck disable=SC2086 # a list of words, or nothing
	(cd "$tmp/run/cwd" && exec $limit "$@") >"$tmp/log" 2>&1 </dev/null ||
	    status=$?
	took=$(($(date +%s) - began))
	chmod -R u+rwx "$tmp/run" 2>/dev/null
	[ $status -ne 124 ] || echo "stopped after $LIMIT seconds" >>"$tmp/log"
}

# sum PATTERN: the sum of the numbers that lines of the log matching the
# basic regular expression have in \1.
sum()
{
	sed -n "s/^$1\$/\\1/p" "$tmp/log" |
	    awk '{ n += $1 } END { print n + 0 }'
}

# tell NAME GOOD BAD SKIPPED: count it, and show what a failed one said.
tell()
{
	passed=$((passed + $2))
	failed=$((failed + $3))
	skipped=$((skipped + $4))
	if [ "$3" -gt 0 ]; then
		echo "FAIL $1 ($3 of $(($2 + $3)) cases, status $status," \
		    "$took s)"
		tail -n 200 "$tmp/log" | sed 's/^/	/'
	elif [ "$4" -gt 0 ]; then
		echo "skip $1 ($2 cases ran, $took s)"
		grep -i '^\[* *skip' "$tmp/log" | sed 's/^/	/'
	else
		echo "ok   $1 ($2 cases, $took s)"
	fi
}

# A skipped test is one that nobody ran.
skips()
{
	if [ "$IMGTOOL_CI" = 1 ]; then
		bad=$((bad + $1))
	else
		skip=$1
	fi
}

unit()
{
	case $1 in
	/*)	run "$1" ;;
	*)	run "$TOP/$1" ;;
	esac
	good=$(sum '\[  PASSED  \] \([0-9]*\) test(s).*')
	bad=$(sum '\[  FAILED  \] \([0-9]*\) test(s).*')
	skip=0
	n=$(sum '\[  SKIPPED \] \([0-9]*\) test(s).*')
	[ "$n" -eq 0 ] || skips "$n"
	if [ "$bad" -eq 0 ] && { [ $status -ne 0 ] ||
	    [ $((good + skip)) -eq 0 ]; }; then
		bad=1
	fi
	tell "$1" "$good" "$bad" "$skip"
}

script()
{
	case $1 in
	/*)	run sh "$1" ;;
	*)	run sh "$TOP/$1" ;;
	esac
	bad=$(sum 'failed: \([0-9]*\)')
	good=$(($(sum 'cases: \([0-9]*\)') - bad))
	skip=0
	if [ $status -eq 77 ]; then
		skips 1
	elif [ "$bad" -eq 0 ] && { [ $status -ne 0 ] ||
	    [ $good -eq 0 ]; }; then
		bad=1
	fi
	tell "$1" "$good" "$bad" "$skip"
}

scripts=
for t; do
	case $t in
	*.sh)	scripts="$scripts $t" ;;
	*)	unit "$t" ;;
	esac
done
if [ -z "$scripts" ]; then
	scripts=$(cd "$TOP" && for d in cli corpus crash interop fuzz; do
		find "tests/$d" -name '*.sh' 2>/dev/null | sort
	done)
fi
for t in $scripts; do
	script "$t"
done

[ $skipped -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
