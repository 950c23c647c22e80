#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A core's object may leave undefined only memory helpers and what other cores define.
set -eu
[ $# -gt 0 ] || { echo "pure: no cores"; exit 0; }
defined=$(nm --defined-only -g "$@" | awk 'NF==3{print $3}' | sort -u)
bad=$(nm -u "$@" | awk 'NF==2{print $2}' | sort -u |
	grep -vxE 'mem(cmp|cpy|move|set)|str(n?cmp|n?len)|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__assert_fail' |
	grep -vxF "$defined" || true)
[ -z "$bad" ] || { echo "pure: a core needs" $bad; exit 1; }
echo "pure: $# cores"
