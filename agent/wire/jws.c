/* SPDX-License-Identifier: Apache-2.0 */
#include "jws.h"

#include <errno.h>
#include <stdio.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "rpc.h"

#define VALUE_MAX ((size_t)1 << 20)
#define HEAD_MAX  1024

static char *base64url_new(const void *p, size_t n)
{
	size_t cap = n / 3 * 4 + 8;
	char *out = malloc(cap);

	if (out && base64url_encode(p, n, out, cap) >= 0)
		return out;
	free(out);
	return NULL;
}

static char *protected_new(const char *kid)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "alg", "EdDSA", "kid", kid, "typ", "JOSE");
	auto_free char *text = o ? json_dump_new(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text ? base64url_new(text, strlen(text)) : NULL;
}

/* What is signed: header and payload, each in base64url. */
static char *input_new(const char *head, const json_t *value)
{
	auto_free char *canon = NULL, *payload = NULL;
	char *input = NULL;
	size_t len = 0;

	if (canon_text(value, VALUE_MAX, &canon, &len, NULL))
		return NULL;
	payload = base64url_new(canon, len);
	return payload && asprintf(&input, "%s.%s", head, payload) >= 0 ? input : NULL;
}

json_t *jws_new(const json_t *value, const struct jws_key *key)
{
	auto_free char *head = protected_new(key->kid);
	auto_free char *input = head ? input_new(head, value) : NULL;
	auto_free char *text = NULL;
	uint8_t sig[64];

	if (!input || key->sign(key->arg, input, strlen(input), sig))
		return NULL;
	text = base64url_new(sig, sizeof(sig));
	return text ? json_pack("{s:s, s:s}", "protected", head, "signature", text) : NULL;
}

/* The header's algorithm and key; "crit" would be a rule that we do not know. */
static int head_check(const char *head, const char *kid, struct err *e)
{
	char text[HEAD_MAX + 1];
	int n = base64url_decode(head, strlen(head), text, HEAD_MAX);
	json_t *o = n > 0 ? rpc_json(text, (size_t)n, NULL) : NULL;
	const char *alg = json_string_value(json_object_get(o, "alg"));
	const char *said = json_string_value(json_object_get(o, "kid"));
	int r = 0;

	if (!alg || strcmp(alg, "EdDSA") != 0 || json_object_get(o, "crit"))
		r = err_set(e, -EINVAL, "protected: alg EdDSA without crit is needed");
	else if (kid && (!said || strcmp(said, kid) != 0))
		r = err_set(e, -EKEYREJECTED, "protected.kid: %.80s is needed", kid);
	json_decref(o);
	return r;
}

int jws_verify(const json_t *value, const json_t *jws, const char *kid, const uint8_t pub[32],
	       struct err *e)
{
	const char *head = json_string_value(json_object_get(jws, "protected"));
	const char *text = json_string_value(json_object_get(jws, "signature"));
	auto_free char *input = NULL;
	uint8_t sig[64];
	int r;

	if (!head || !text ||
	    base64url_decode(text, strlen(text), sig, sizeof(sig)) != (int)sizeof(sig))
		return err_set(e, -EINVAL, "protected and signature: base64url is needed");
	r = head_check(head, kid, e);
	if (r)
		return r;
	input = input_new(head, value);
	if (!input)
		return err_set(e, -ENOMEM, "signature: no memory");
	if (!ed25519_verify(sig, input, strlen(input), pub))
		return err_set(e, -EKEYREJECTED, "signature: it does not verify");
	return 0;
}
