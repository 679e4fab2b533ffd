#!/bin/sh
# SPDX-License-Identifier: ISC
#
# files.sh PATTERN ... - the files of this source tree, one a line, whose
# path matches one of the shell patterns.  What git ignores is not ours.

set -u

{
	git ls-files --cached --others --exclude-standard 2>/dev/null ||
	    find . -type f ! -path './.git/*' | sed 's|^\./||'
} | sort -u | while IFS= read -r f; do
	[ -f "$f" ] || continue
	for p; do
		# shellcheck disable=SC2254 # a pattern is meant
		case $f in
		$p)	echo "$f"
			break ;;
		esac
	done
done
