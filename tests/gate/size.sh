#!/bin/sh
# SPDX-License-Identifier: ISC
#
# size.sh [FILE ...] - functions stop at 60 lines, from brace to brace, and
# files at 500.

set -u

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046 # a list of files
	set -- $(sh tests/gate/files.sh 'cmd/*.[ch]' 'lib/*.[ch]' \
	    'sys/*.[ch]' 'tests/*.[ch]')
	[ $# -gt 0 ] || exit 0
fi

awk '
function file_ends() {
	if (lines > 500) {
		printf "size: %s: %d lines, at most 500\n", name, lines
		bad = 1
	}
}
FNR == 1 {
	file_ends()
	name = FILENAME
	start = 0
}
{ lines = FNR }
# The name is on the line before the parameters, which may be several.
/^[A-Za-z_][A-Za-z_0-9]*\(/ {
	what = $0
	sub(/\(.*/, "", what)
}
/^\{/ { start = FNR }
/^\}/ {
	if (start && FNR - start + 1 > 60 && FILENAME !~ /^tests\//) {
		printf "size: %s:%d: %s is %d lines long, at most 60\n",
		    FILENAME, start, what, FNR - start + 1
		bad = 1
	}
	start = 0
}
END {
	file_ends()
	exit bad
}' "$@" >&2
