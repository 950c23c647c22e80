/* SPDX-License-Identifier: Apache-2.0 */
/* eddsa-jcs-2022 as the W3C recommendation says (vc-di-eddsa 3.3, vc-data-integrity 4.2, 4.3). */
#include "agent/codec/vc.h"

#include <errno.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

#define TEXT_MAX (16u << 20) /* of what we sign ourselves */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* A new object with the same members; jansson counts references in the members only. */
static json_t *shallow(const json_t *o)
{
	return json_copy((json_t *)(uintptr_t)o);
}

int proof_hash(const json_t *doc, const json_t *proof, uint8_t hash[SIGN_HASH_LEN], struct err *e)
{
	uint8_t h[SIGN_HASH_LEN];
	int r;

	if (!json_is_object(doc) || !json_is_object(proof))
		return err_set(e, -EINVAL, "proof: object required");
	r = canon_sha256_without(proof, "proofValue", h, e); /* the proof's hash comes first */
	if (!r)
		r = canon_sha256_without(doc, "proof", h + SHA256_LEN, e);
	if (!r)
		memcpy(hash, h, sizeof(h));
	return r;
}

static int sign_into(json_t *proof, const struct sign_port *port, struct sign_request *rq,
		     struct err *e)
{
	uint8_t sig[SIGN_SIG_LEN];
	char text[128] = "z";
	int r;

	if (!str_set(rq->method, port->method))
		return err_set(e, -EINVAL, "verificationMethod: too long");
	r = port->sign(port->arg, rq, sig);
	if (r)
		return err_set(e, r, "signer: refused to sign (%d)", r);
	if (base58_encode(sig, sizeof(sig), text + 1, sizeof(text) - 1) < 0 ||
	    json_object_set_new(proof, "proofValue", json_string(text)))
		return err_set(e, -ENOMEM, "proof: no memory");
	return 0;
}

/* The two texts of a request and what they hash to. */
static int texts_of(const json_t *doc, const json_t *proof, char *text[2], struct sign_request *rq,
		    struct err *e)
{
	int r = canon_text(proof, TEXT_MAX, &text[0], &rq->proof_len, e);

	if (!r)
		r = canon_text(doc, TEXT_MAX, &text[1], &rq->document_len, e);
	if (r)
		return r;
	rq->proof = text[0];
	rq->document = text[1];
	sha256(text[0], rq->proof_len, rq->hash); /* the proof's hash comes first */
	sha256(text[1], rq->document_len, rq->hash + SHA256_LEN);
	return 0;
}

int proof_create(const json_t *doc, const json_t *options, const struct sign_port *port,
		 struct sign_request *rq, json_t **ret, struct err *e)
{
	auto_json json_t *out = shallow(doc), *proof = shallow(options);
	json_t *context = json_object_get(doc, "@context");
	char *text[2] = { 0 };
	int r;

	if (!json_is_object(doc) || !json_is_object(options))
		return err_set(e, -EINVAL, "proof: object required");
	if (!out || !proof)
		return err_set(e, -ENOMEM, "proof: no memory");
	(void)json_object_del(out, "proof");
	(void)json_object_del(proof, "proofValue");
	if (context && json_object_set(proof, "@context", context))
		return err_set(e, -ENOMEM, "proof: no memory");
	r = texts_of(out, proof, text, rq, e);
	if (!r)
		r = sign_into(proof, port, rq, e);
	free(text[0]);
	free(text[1]);
	rq->proof = rq->document = NULL;
	if (r)
		return r;
	if (json_object_set(out, "proof", proof))
		return err_set(e, -ENOMEM, "proof: no memory");
	*ret = TAKE_PTR(out);
	return 0;
}

/* --- verification --- */

static const json_t *nth(const json_t *list, size_t i)
{
	return json_is_array(list) ? json_array_get(list, i) : i ? NULL : list;
}

static bool starts_with(const json_t *whole, const json_t *part)
{
	size_t n = json_is_array(part) ? json_array_size(part) : 1;

	for (size_t i = 0; i < n; i++) {
		const json_t *a = nth(whole, i), *b = nth(part, i);

		if (!a || !b || !json_equal(a, b))
			return false;
	}
	return true;
}

static bool same_domain(const json_t *v, const char *want)
{
	const json_t *one = nth(v, 0);

	return json_is_string(one) && (!json_is_array(v) || json_array_size(v) == 1) &&
	       !strcmp(json_string_value(one), want);
}

static int proof_expected(const json_t *proof, const struct proof_expect *want, struct err *e)
{
	if (want->purpose && strcmp(text_of(proof, "proofPurpose"), want->purpose))
		return err_set(e, -EPERM, "proof.proofPurpose: %s required", want->purpose);
	if (want->domain && !same_domain(json_object_get(proof, "domain"), want->domain))
		return err_set(e, -EPERM, "proof.domain: not the expected one");
	if (want->challenge && strcmp(text_of(proof, "challenge"), want->challenge))
		return err_set(e, -EPERM, "proof.challenge: not the expected one");
	return 0;
}

static int proof_shape(const json_t *proof, uint8_t sig[SIGN_SIG_LEN], struct err *e)
{
	const char *v = text_of(proof, "proofValue");

	if (!json_is_object(proof))
		return err_set(e, -EINVAL, "proof: object required");
	if (strcmp(text_of(proof, "type"), "DataIntegrityProof") ||
	    strcmp(text_of(proof, "cryptosuite"), "eddsa-jcs-2022"))
		return err_set(e, -EINVAL, "proof: DataIntegrityProof, eddsa-jcs-2022 required");
	if (!*text_of(proof, "verificationMethod") || !*text_of(proof, "proofPurpose"))
		return err_set(e, -EINVAL, "proof: verificationMethod and proofPurpose required");
	if (*v != 'z' || base58_decode(v + 1, strlen(v) - 1, sig, SIGN_SIG_LEN) != SIGN_SIG_LEN)
		return err_set(e, -EINVAL, "proof.proofValue: 'z' and 64 bytes in base58btc");
	return 0;
}

int proof_verify(const json_t *secured, const struct proof_expect *want,
		 const struct did_resolver *keys, json_t **ret, struct err *e)
{
	const json_t *proof = json_object_get(secured, "proof");
	json_t *context = json_object_get(proof, "@context");
	uint8_t sig[SIGN_SIG_LEN], hash[SIGN_HASH_LEN], pub[ED25519_PUB_LEN];
	auto_json json_t *doc = NULL;
	int r = proof_shape(proof, sig, e);

	if (!r)
		r = proof_expected(proof, want, e);
	if (r)
		return r;
	doc = shallow(secured);
	if (!doc)
		return err_set(e, -ENOMEM, "proof: no memory");
	(void)json_object_del(doc, "proof");
	if (context) {
		if (!starts_with(json_object_get(doc, "@context"), context))
			return err_set(e, -EINVAL, "@context: does not start with the proof's");
		if (json_object_set(doc, "@context", context))
			return err_set(e, -ENOMEM, "proof: no memory");
	}
	r = proof_hash(doc, proof, hash, e);
	if (!r)
		r = keys->resolve(keys->arg, text_of(proof, "verificationMethod"),
				  text_of(proof, "proofPurpose"), pub, e);
	if (r)
		return r;
	if (!ed25519_verify(sig, hash, sizeof(hash), pub))
		return err_set(e, -EKEYREJECTED, "proof.proofValue: the signature does not verify");
	*ret = TAKE_PTR(doc);
	return 0;
}
