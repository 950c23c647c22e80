#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Can the protocol cores be lifted as their headers say? Links a program of another project with the
# files that each header names and nothing else, and runs it. usage: lift.sh CPPFLAGS...
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# Each file once: the two have most of theirs in common.
made() { echo "$out/${1//\//_}.o"; }
export -f made
export out
for core in a2a mcp; do
	list=$(sed 's/^ \* //' "agent/wire/$core.h" | tr '\n' ' ' | grep -oE 'into another program: .* and the headers')
	list=$(sed 's/^[^:]*: //; s/ and the headers$//; s/, / /g' <<<"$list")
	[[ $list =~ ^[a-z0-9_*{},./\ ]+$ ]] || { echo "lift: $core.h names no files: $list"; exit 1; }
	eval "files=($list)"
	# shellcheck disable=SC2154
	files+=("tests/lint/lift/$core.c")
	# shellcheck disable=SC2016
	printf '%s\n' "${files[@]}" | xargs -P"$(nproc)" -I{} bash -c '[ -e "$(made "$1")" ] || exec cc "${@:2}" -std=gnu11 -w -O0 -c -o "$(made "$1")" "$1"' lift {} "$@"
	objects=()
	for f in "${files[@]}"; do objects+=("$(made "$f")"); done
	cc -o "$out/$core" "${objects[@]}" -ljansson -lsodium -lcrypto -lm
	"$out/$core" || { echo "lift: $core: the lifted core does not answer"; exit 1; }
	echo "lift: $core: $((${#files[@]} - 1)) files, answers"
done
