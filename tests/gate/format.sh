#!/bin/sh
# SPDX-License-Identifier: ISC
#
# format.sh [-i] - all C is laid out as .clang-format says; -i makes it so.

set -u

files=$(sh tests/gate/files.sh '*.[ch]')
[ -n "$files" ] || exit 0

if [ "${1:-}" = -i ]; then
	# shellcheck disable=SC2086 # a list of files
	exec clang-format -i $files
fi
# shellcheck disable=SC2086 # a list of files
if ! clang-format --dry-run -Werror $files; then
	echo "format: please run make format" >&2
	exit 1
fi
