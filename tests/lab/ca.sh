#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A lab CA and certificates that name DIDs: ca.sh DIR [-k ed25519|p256] NAME=DID=SAN[,SAN...] ...
#   ca.sh /run/lab 'edge=did:web:edge.lab.example=DNS:edge.lab.example,IP:fd10:ee:1::2'
# ca.sh DIR -r FILE [-u YYYYMMDDHHMMSSZ] [NAME ...] writes the list of revoked certificates, with that time of issue.
# Writes DIR/ca.pem, DIR/ca.key, DIR/NAME.pem, DIR/NAME.key (keys 0600). An existing CA is used again.
set -eu
umask 077
[ $# -ge 2 ] || { sed -n 3,6p "$0" >&2; exit 2; }
dir=$1 kind=ed25519
shift
if [ "$1" = -k ]; then
	kind=$2
	shift 2
fi
key() {
	case $kind in
	ed25519) openssl genpkey -algorithm ED25519 -out "$1" ;;
	p256) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null ;;
	*) echo "ca.sh: kind $kind: ed25519 or p256" >&2; exit 2 ;;
	esac
}
# The list of openssl ca wants a database: one line a certificate, made anew each time.
revoke() {
	local file=$1 since=() name serial
	shift
	[ "${1:-}" != -u ] || { since=(-crl_lastupdate "$2") && shift 2; }
	: > "$dir/index"
	printf '[ca]\ndefault_ca=c\n[c]\ndatabase=%s\ndefault_md=default\ndefault_crl_days=1\n' "$dir/index" > "$dir/ca.cnf"
	for name; do
		serial=$(openssl x509 -in "$dir/$name.pem" -noout -serial)
		printf 'R\t351231235959Z\t200101000000Z\t%s\tunknown\t/CN=%s\n' "${serial#*=}" "$name" >> "$dir/index"
	done
	openssl ca -gencrl -config "$dir/ca.cnf" -cert "$dir/ca.pem" -keyfile "$dir/ca.key" "${since[@]}" -out "$file" 2>/dev/null
}
if [ "${1:-}" = -r ]; then
	shift
	revoke "$@"
	exit
fi
mkdir -p "$dir"
if [ ! -e "$dir/ca.pem" ]; then
	key "$dir/ca.key"
	openssl req -new -x509 -key "$dir/ca.key" -days "${CA_DAYS:-30}" -subj "/CN=${CA_NAME:-Treaty lab CA}" \
		-addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
		-addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$dir/ca.pem"
fi
for row; do
	name=${row%%=*} rest=${row#*=}
	did=${rest%%=*} sans=${rest#*=}
	uri=
	[ -z "$did" ] || uri="URI:$did,"
	key "$dir/$name.key"
	printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' \
		'extendedKeyUsage=serverAuth,clientAuth' "subjectAltName=$uri$sans" > "$dir/$name.ext"
	openssl req -new -key "$dir/$name.key" -subj "/CN=$name" |
		openssl x509 -req -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -days "${CA_DAYS:-30}" \
			-set_serial "0x$(openssl rand -hex 8)" -extfile "$dir/$name.ext" \
			-out "$dir/$name.pem" 2>/dev/null
	rm -f "$dir/$name.ext"
done
