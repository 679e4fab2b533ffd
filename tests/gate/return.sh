#!/bin/sh
# SPDX-License-Identifier: ISC
#
# return.sh [FILE ...] - style(9): what return gives back is in parentheses.

set -u

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046 # a list of files
	set -- $(sh tests/gate/files.sh 'cmd/*.[ch]' 'lib/*.[ch]' \
	    'sys/*.[ch]')
	[ $# -gt 0 ] || exit 0
fi

awk '
# The line without strings, characters and comments.
function code(s,    r) {
	gsub(/\\./, "", s)
	gsub(/"[^"]*"/, "0", s)
	gsub(/\047[^\047]*\047/, "0", s)
	r = ""
	while (s != "") {
		if (comment) {
			if (!match(s, /\*\//))
				return (r)
			s = substr(s, RSTART + 2)
			comment = 0
		} else {
			if (!match(s, /\/\*/))
				return (r s)
			r = r substr(s, 1, RSTART - 1)
			s = substr(s, RSTART + 2)
			comment = 1
		}
	}
	return (r)
}
# Does the parenthesis that opens s close at its very end?
function wrapped(s,    i, depth, c) {
	if (s !~ /^\(.*\)$/)
		return (0)
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "(")
			depth++
		if (c == ")" && --depth == 0)
			return (i == length(s))
	}
	return (0)
}
FNR == 1 { comment = 0; pending = 0 }
{
	line = code($0)
	if (pending)
		text = text " " line
	else if (match(line, /(^|[^A-Za-z0-9_])return([^A-Za-z0-9_]|$)/)) {
		text = substr(line, RSTART)
		sub(/^[^r]*return/, "", text)
		pending = 1
		at = FNR
	}
	if (pending && text ~ /;/) {
		pending = 0
		sub(/;.*/, "", text)
		gsub(/^[ \t]+|[ \t]+$/, "", text)
		if (text != "" && !wrapped(text)) {
			printf "return: %s:%d: return (%s);\n",
			    FILENAME, at, text
			bad = 1
		}
	}
}
END { exit bad }' "$@" >&2
