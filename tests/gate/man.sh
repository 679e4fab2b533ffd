#!/bin/sh
# SPDX-License-Identifier: ISC
#
# man.sh PAGE ... - the manual pages are there and are sound mdoc(7).

set -u

exec mandoc -T lint -W warning "$@"
