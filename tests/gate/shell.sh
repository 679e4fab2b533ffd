#!/bin/sh
# SPDX-License-Identifier: ISC
#
# shell.sh - the scripts pass shellcheck.

set -u

# shellcheck disable=SC2046 # a list of files
set -- $(sh tests/gate/files.sh '*.sh' '.ci/*')
[ $# -gt 0 ] || exit 0
exec shellcheck -S warning -e SC1090,SC1091 "$@"
