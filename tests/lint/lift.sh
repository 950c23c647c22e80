#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Can the protocol cores be lifted as their headers say? Links a program of another project with the
# files that each header names and nothing else, and runs it. usage: lift.sh CPPFLAGS...
set -euo pipefail
out=$(mktemp -d)
trap 'wait; rm -rf "$out"' EXIT
lift() {
	local core=$1 list files
	shift
	list=$(sed 's/^ \* //' "agent/wire/$core.h" | tr '\n' ' ' | grep -oE 'into another program: .* and the headers')
	list=$(sed 's/^[^:]*: //; s/ and the headers$//; s/, / /g' <<<"$list")
	[[ $list =~ ^[a-z0-9_*{},./\ ]+$ ]] || { echo "lift: $core.h names no files: $list"; exit 1; }
	eval "files=($list)"
	# shellcheck disable=SC2154
	cc "$@" -std=gnu11 -w -O0 -o "$out/$core" "tests/lint/lift/$core.c" "${files[@]}" -ljansson -lsodium -lcrypto -lm
	"$out/$core" || { echo "lift: $core: the lifted core does not answer"; exit 1; }
	echo "lift: $core: ${#files[@]} files, answers"
}
lift a2a "$@" &
a2a=$!
lift mcp "$@" &
wait "$a2a"
wait $!
