/* SPDX-License-Identifier: Apache-2.0 */
/* did:key and did:web, as far as they go without a network. */
#include "agent/codec/did.h"

#include <errno.h>
#include <stdio.h>

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

#define ALNUM "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

int did_key_format(const uint8_t pub[32], char out[DID_MAX])
{
	memcpy(out, "did:key:", 9);
	return multikey_encode(pub, out + 8) < 0 ? -EINVAL : 0;
}

int did_key_parse(const char *did, uint8_t pub[32])
{
	return strncmp(did, "did:key:", 8) ? -EINVAL : multikey_decode(did + 8, pub);
}

int did_key_method(const uint8_t pub[32], char out[DID_URL_MAX])
{
	char did[DID_MAX];
	int r = did_key_format(pub, did);

	if (!r)
		(void)snprintf(out, DID_URL_MAX, "%s#%s", did, did + 8);
	return r;
}

/* --- did:web --- */

/* A DNS name: labels of 1..63, at least one letter in the last one (so no IPv4 address). */
static bool host_ok(const char *h, size_t n)
{
	size_t label = 0;
	bool letter = false;

	if (!n || n > 253)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (h[i] == '.') {
			if (!label || h[i - 1] == '-')
				return false;
			label = 0;
			letter = false;
			continue;
		}
		if (!strchr(ALNUM "-", h[i]) || (h[i] == '-' && !label) || ++label > 63)
			return false;
		letter |= !strchr("0123456789-", h[i]);
	}
	return label && letter && h[n - 1] != '-';
}

/* "%3A" and 1..65535 without leading zero; length of both or 0. */
static size_t port_len(const char *s, size_t n)
{
	size_t digits = 0;
	long port = 0;

	if (n < 4 || strncasecmp(s, "%3a", 3))
		return 0;
	for (; 3 + digits < n && digits < 6; digits++) {
		if (!strchr("0123456789", s[3 + digits]))
			return 0;
		port = port * 10 + s[3 + digits] - '0';
	}
	return digits && s[3] != '0' && port <= 65535 && 3 + digits == n ? n : 0;
}

static bool segment_ok(const char *s, size_t n)
{
	if (!n || (n == 1 && s[0] == '.') || (n == 2 && !memcmp(s, "..", 2)))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!s[i] || !strchr(ALNUM "-._", s[i]))
			return false;
	return true;
}

/* Splits "host[%3Aport][:segment]*"; false when a part is wrong. */
static bool web_split(const char *s, size_t *host, size_t *authority)
{
	size_t n = strcspn(s, ":"), h = strcspn(s, "%:");

	if (h > n || !host_ok(s, h) || (h < n && !port_len(s + h, n - h)))
		return false;
	*host = h;
	*authority = n;
	for (s += n; *s == ':'; s += n) {
		n = strcspn(++s, ":");
		if (!segment_ok(s, n))
			return false;
	}
	return !*s;
}

int did_web_url(const char *did, char *out, size_t cap, struct err *e)
{
	size_t host, auth;
	const char *s = did + 8;
	int n;

	if (strncmp(did, "did:web:", 8) || strlen(did) >= DID_MAX || !web_split(s, &host, &auth))
		return err_set(e, -EINVAL, "did:web: host name, optional %%3Aport and segments");
	n = snprintf(out, cap, "https://%.*s%s%.*s%s%s", (int)host, s, auth > host ? ":" : "",
		     auth > host ? (int)(auth - host - 3) : 0, s + host + (auth > host ? 3 : 0),
		     s[auth] ? s + auth : "/.well-known", "/did.json");
	if (n < 0 || (size_t)n >= cap)
		return err_set(e, -EINVAL, "did:web: URL too long");
	for (char *c = out + 8 + auth - (auth > host ? 2 : 0); *c; c++)
		if (*c == ':')
			*c = '/';
	return 0;
}

int did_check(const char *did, struct err *e)
{
	uint8_t pub[32];
	size_t host, auth;

	if (strlen(did) >= DID_MAX)
		return err_set(e, -EINVAL, "DID: at most %d bytes", DID_MAX - 1);
	if (!did_key_parse(did, pub))
		return DID_KEY;
	if (!strncmp(did, "did:web:", 8) && web_split(did + 8, &host, &auth))
		return DID_WEB;
	return err_set(e, -EINVAL, "DID: did:key with an Ed25519 key, or did:web, required");
}

int did_method_controller(const char *method, char did[DID_MAX], struct err *e)
{
	size_t n = strcspn(method, "#");
	char d[DID_MAX];
	int kind;

	if (strlen(method) >= DID_URL_MAX || n >= DID_MAX || !method[n] || !method[n + 1])
		return err_set(e, -EINVAL, "verificationMethod: DID#fragment required");
	if (strspn(method + n + 1, ALNUM "-._") != strlen(method + n + 1))
		return err_set(e, -EINVAL, "verificationMethod: letters, digits, - . _ after #");
	memset(d, 0, sizeof(d));
	memcpy(d, method, n);
	kind = did_check(d, e);
	if (kind < 0)
		return kind;
	if (kind == DID_KEY && strcmp(method + n + 1, d + 8))
		return err_set(e, -EINVAL, "verificationMethod: fragment is not the did:key's key");
	memcpy(did, d, sizeof(d));
	return 0;
}

/* --- DID documents --- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* A relationship lists methods by URL or holds them. */
static bool related(const json_t *doc, const char *purpose, const char *method)
{
	const json_t *list = json_object_get(doc, purpose), *v;
	size_t i;

	json_array_foreach (list, i, v) {
		if (json_is_string(v) && !strcmp(json_string_value(v), method))
			return true;
		if (json_is_object(v) && !strcmp(text_of(v, "id"), method))
			return true;
	}
	return false;
}

static const json_t *method_in(const json_t *doc, const char *where, const char *method)
{
	const json_t *v;
	size_t i;

	json_array_foreach (json_object_get(doc, where), i, v)
		if (json_is_object(v) && !strcmp(text_of(v, "id"), method))
			return v;
	return NULL;
}

/* JsonWebKey (vc-jose-cose, RFC 8037): a key that shows its private part is nobody's any more. */
static int jwk_decode(const json_t *jwk, uint8_t pub[32])
{
	const char *x = text_of(jwk, "x");
	uint8_t buf[33];

	if (strcmp(text_of(jwk, "kty"), "OKP") != 0 ||
	    strcmp(text_of(jwk, "crv"), "Ed25519") != 0 || json_object_get(jwk, "d") ||
	    strlen(x) != 43 || base64url_decode(x, 43, buf, sizeof(buf)) != 32)
		return -EINVAL;
	memcpy(pub, buf, 32);
	return 0;
}

static int method_key(const json_t *m, uint8_t pub[32], struct err *e)
{
	const char *type = text_of(m, "type");

	if (!strcmp(type, "Multikey"))
		return multikey_decode(text_of(m, "publicKeyMultibase"), pub)
			       ? err_set(e, -EINVAL,
					 "publicKeyMultibase: Ed25519 multikey required")
			       : 0;
	if (!strcmp(type, "JsonWebKey") || !strcmp(type, "JsonWebKey2020"))
		return jwk_decode(json_object_get(m, "publicKeyJwk"), pub)
			       ? err_set(e, -EINVAL, "publicKeyJwk: a public OKP key on Ed25519")
			       : 0;
	return err_set(e, -EINVAL, "did document: a Multikey or a JsonWebKey required");
}

int did_document_key(const json_t *doc, const char *method, const char *purpose, uint8_t pub[32],
		     struct err *e)
{
	char did[DID_MAX];
	const json_t *m;
	int r = did_method_controller(method, did, e);

	if (r)
		return r;
	if (strcmp(text_of(doc, "id"), did))
		return err_set(e, -EINVAL, "did document: id is not %s", did);
	if (strcmp(purpose, "assertionMethod") && strcmp(purpose, "authentication"))
		return err_set(e, -EINVAL, "proofPurpose: assertionMethod or authentication");
	if (!related(doc, purpose, method))
		return err_set(e, -ENOKEY, "did document: method not listed under %s", purpose);
	m = method_in(doc, "verificationMethod", method);
	if (!m)
		m = method_in(doc, purpose, method);
	if (!m)
		return err_set(e, -ENOKEY, "did document: no such verificationMethod");
	if (strcmp(text_of(m, "controller"), did))
		return err_set(e, -EINVAL,
			       "did document: a method of the same controller required");
	return method_key(m, pub, e);
}

const char *did_document_method(const json_t *doc, const char *purpose, size_t i)
{
	const json_t *v = json_array_get(json_object_get(doc, purpose), i);

	return !v ? NULL : json_is_string(v) ? json_string_value(v) : text_of(v, "id");
}

/* A time that is given is never the 0 that says that none is. */
static int end_of(const json_t *m, const char *key, wall_t *ret, struct err *e)
{
	int r = json_opt_time(m, "verificationMethod", key, ret, e);

	if (r == 1 && ret->ms < 1)
		ret->ms = 1;
	return r < 0 ? r : 0;
}

int did_document_times(const json_t *doc, const char *method, wall_t *expires, wall_t *revoked,
		       struct err *e)
{
	const json_t *m = method_in(doc, "verificationMethod", method);
	int r = 0;

	*expires = *revoked = (wall_t){ 0 };
	if (m)
		r = end_of(m, "expires", expires, e);
	if (m && !r)
		r = end_of(m, "revoked", revoked, e);
	return r;
}

int did_document_in_force(const json_t *doc, const char *method, wall_t now, struct err *e)
{
	wall_t expires, revoked;
	int r = did_document_times(doc, method, &expires, &revoked, e);

	if (r)
		return r;
	if (revoked.ms)
		return err_set(e, -EKEYREVOKED, "%.120s: is revoked", method);
	if (expires.ms && now.ms >= expires.ms)
		return err_set(e, -EKEYEXPIRED, "%.120s: has expired", method);
	return 0;
}

static int add_time(json_t *method, const char *key, wall_t t)
{
	return t.ms ? json_object_set_new(method, key, json_time(t)) : 0;
}

static int document_row(json_t *doc, const char *did, const struct did_document_key_row *row)
{
	char method[DID_URL_MAX], key[MULTIKEY_MAX], checked[DID_MAX];
	json_t *list = json_object_get(doc, row->purpose), *m;

	if (snprintf(method, sizeof(method), "%s#%s", did, row->fragment) >= (int)sizeof(method) ||
	    did_method_controller(method, checked, NULL) || multikey_encode(row->pub, key) < 0)
		return -EINVAL;
	if (!list) {
		list = json_array();
		if (json_object_set_new(doc, row->purpose, list))
			return -ENOMEM;
	}
	if (json_array_append_new(list, json_string(method)))
		return -ENOMEM;
	if (method_in(doc, "verificationMethod", method))
		return 0;
	m = json_pack("{s:s, s:s, s:s, s:s}", "id", method, "type", "Multikey", "controller", did,
		      "publicKeyMultibase", key);
	if (!m || add_time(m, "expires", row->expires) || add_time(m, "revoked", row->revoked)) {
		json_decref(m);
		return -ENOMEM;
	}
	return json_array_append_new(json_object_get(doc, "verificationMethod"), m);
}

json_t *did_document_new(const char *did, const struct did_document_key_row *rows, size_t n)
{
	auto_json json_t *doc = NULL;

	if (did_check(did, NULL) != DID_WEB)
		return NULL;
	doc = json_pack("{s:[s,s], s:s, s:[]}", "@context", "https://www.w3.org/ns/did/v1",
			"https://w3id.org/security/multikey/v1", "id", did, "verificationMethod");
	for (size_t i = 0; i < n; i++)
		if (!doc || document_row(doc, did, &rows[i]))
			return NULL;
	return TAKE_PTR(doc);
}

int did_resolve_key(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		    struct err *e)
{
	char did[DID_MAX];
	int r = did_method_controller(method, did, e);

	(void)arg;
	(void)purpose; /* a did:key's one key stands under every relationship */
	if (r)
		return r;
	if (did_key_parse(did, pub))
		return err_set(e, -ENOKEY, "verificationMethod: no key known for %s", did);
	return 0;
}
