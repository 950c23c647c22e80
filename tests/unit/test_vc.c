/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, encodings, identifiers and proofs against published vectors; then our own credentials. */
#include <setjmp.h>
#include <stdarg.h>

#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#define W3C "tests/vectors/w3c-vc-di-eddsa/"

static const struct did_resolver keys = { .resolve = did_resolve_key };

static json_t *load(const char *path)
{
	size_t n;
	auto_free char *text = file_fixture(path, &n);
	struct err e = { 0 };
	json_t *v = NULL;

	if (json_read(&v, text, n, NULL, &e))
		fail_msg("%s: %s", path, e.text);
	return v;
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* The W3C's key signs the W3C's document to the W3C's bytes, and those verify. */
static void w3c_vector(void **state)
{
	auto_json json_t *doc = load(W3C "unsigned.json"), *pair = load(W3C "keyPair.json");
	auto_json json_t *options = load(W3C "eddsa-jcs-2022/proofConfigJCS.json");
	auto_json json_t *want = load(W3C "eddsa-jcs-2022/signedJCS.json"), *got = NULL,
			 *doc2 = NULL;
	auto_free char *combined = file_fixture(W3C "eddsa-jcs-2022/combinedHashJCS.txt", NULL);
	auto_free char *canon_want = file_fixture(W3C "eddsa-jcs-2022/canonDocJCS.txt", NULL);
	auto_free char *canon_got = NULL;
	struct proof_expect any = { .purpose = "assertionMethod" };
	struct sign_request rq = { .kind = SIGN_WALLET };
	uint8_t hash[64];
	struct party p;
	char hex[129];

	(void)state;
	party_init(&p, 0);
	assert_int_equal(multikey_secret_decode(text_of(pair, "privateKeyMultibase"), p.seed), 0);
	ed25519_public(p.seed, p.pub);
	assert_int_equal(multikey_encode(p.pub, hex), 48);
	assert_string_equal(hex, text_of(pair, "publicKeyMultibase"));
	assert_int_equal(canon_text(doc, 4096, &canon_got, NULL, NULL), 0);
	assert_string_equal(canon_got, canon_want);
	assert_int_equal(proof_hash(want, json_object_get(want, "proof"), hash, NULL), 0);
	assert_int_equal(hex_encode(hash, 64, hex, sizeof(hex)), 128);
	assert_string_equal(hex, combined);
	assert_int_equal(proof_create(doc, options, &p.port, &rq, &got, NULL), 0);
	assert_true(json_equal(got, want));
	assert_int_equal(proof_verify(got, &any, &keys, &doc2, NULL), 0);
	assert_true(json_equal(doc2, doc));
}

/* What the recommendation lets pass and what it does not; the profile refuses all of it. */
static void w3c_mutations(void **state)
{
	struct proof_expect want = { .purpose = "assertionMethod" };
	struct proof_expect wrong = { .purpose = "authentication" };
	struct proof_expect domain = { .domain = "x" }, challenge = { .challenge = "x" };
	auto_json json_t *v = load(W3C "eddsa-jcs-2022/signedJCS.json"), *out = NULL;
	json_t *context = json_object_get(v, "@context"), *proof = json_object_get(v, "proof");
	struct vc *vc = NULL;

	(void)state;
	assert_int_equal(proof_verify(v, &wrong, &keys, &out, NULL), -EPERM);
	assert_int_equal(proof_verify(v, &domain, &keys, &out, NULL), -EPERM);
	assert_int_equal(proof_verify(v, &challenge, &keys, &out, NULL), -EPERM);
	assert_int_equal(vc_read(&vc, v, &wallet_profile, NULL), -EINVAL);
	/* The prefix rule: an appended context verifies, and is cut from what was verified. */
	(void)json_array_append_new(context, json_string("https://evil.example/v1"));
	(void)json_object_set_new(proof, "@context", json_deep_copy(context));
	(void)json_array_remove(json_object_get(proof, "@context"), 2);
	assert_int_equal(proof_verify(v, &want, &keys, &out, NULL), 0);
	assert_int_equal(json_array_size(json_object_get(out, "@context")), 2);
	json_decref(TAKE_PTR(out));
	(void)json_array_insert_new(context, 0, json_string("https://evil.example/v1"));
	assert_int_equal(proof_verify(v, &want, &keys, &out, NULL), -EINVAL);
	(void)json_array_remove(context, 0);
	(void)json_object_set_new(v, "name", json_string("Forged"));
	assert_int_equal(proof_verify(v, &want, &keys, &out, NULL), -EKEYREJECTED);
	(void)json_object_set_new(v, "proof", json_pack("[O]", proof));
	assert_int_equal(proof_verify(v, &want, &keys, &out, NULL), -EINVAL);
	assert_null(out);
}

/* libsodium's verdicts: only case 6 of the fifteen verifies. */
static void ed25519_edges(void **state)
{
	auto_json json_t *cases = load("tests/vectors/ed25519-speccheck/cases15.json");
	size_t i;
	json_t *c;

	(void)state;
	assert_int_equal(json_array_size(cases), 15);
	json_array_foreach (cases, i, c) {
		uint8_t msg[32], pub[32], sig[64];

		assert_int_equal(hex_decode(text_of(c, "message"), 64, msg, 32), 32);
		assert_int_equal(hex_decode(text_of(c, "pub_key"), 64, pub, 32), 32);
		assert_int_equal(hex_decode(text_of(c, "signature"), 128, sig, 64), 64);
		assert_int_equal(ed25519_verify(sig, msg, sizeof(msg), pub), i == 6);
	}
}

static void did_key_vectors(void **state)
{
	auto_json json_t *all = load("tests/vectors/did-key/ed25519-x25519.json");
	const char *did;
	json_t *v;
	size_t n = 0;

	(void)state;
	json_object_foreach (all, did, v) {
		const char *hex = text_of(v, "seed");
		uint8_t seed[32], pub[32], back[32];
		char got[DID_MAX], method[DID_URL_MAX];

		if (!hex || hex_decode(hex, strlen(hex), seed, 32) != 32)
			continue;
		ed25519_public(seed, pub);
		assert_int_equal(did_key_format(pub, got), 0);
		assert_string_equal(got, did);
		assert_int_equal(did_key_parse(did, back), 0);
		assert_memory_equal(back, pub, 32);
		assert_int_equal(did_key_method(pub, method), 0);
		assert_int_equal(did_method_controller(method, got, NULL), 0);
		assert_string_equal(got, did);
		n++;
	}
	assert_true(n >= 5);
}

static void did_names(void **state)
{
	static const struct {
		const char *did, *url; /* NULL = refused */
	} rows[] = {
		{ "did:web:op.lab.example", "https://op.lab.example/.well-known/did.json" },
		{ "did:web:w3c-ccg.github.io:user:alice",
		  "https://w3c-ccg.github.io/user/alice/did.json" },
		{ "did:web:example.com%3A3000", "https://example.com:3000/.well-known/did.json" },
		{ "did:web:example.com%3A3000:a:b", "https://example.com:3000/a/b/did.json" },
		{ "did:web:", NULL },
		{ "did:web:127.0.0.1", NULL },
		{ "did:web:10.1", NULL },
		{ "did:web:a..b", NULL },
		{ "did:web:.a", NULL },
		{ "did:web:a.", NULL },
		{ "did:web:-a.example", NULL },
		{ "did:web:a-.example", NULL },
		{ "did:web:[::1]", NULL },
		{ "did:web:a.example%3A", NULL },
		{ "did:web:a.example%3A0", NULL },
		{ "did:web:a.example%3A65536", NULL },
		{ "did:web:a.example%3A80x", NULL },
		{ "did:web:a.example:", NULL },
		{ "did:web:a.example::b", NULL },
		{ "did:web:a.example:..", NULL },
		{ "did:web:a.example:.", NULL },
		{ "did:web:a.example:b%2Fc", NULL },
		{ "did:web:a.example:b/c", NULL },
		{ "did:web:a.example/b", NULL },
		{ "did:web:user@a.example", NULL },
		{ "did:web:a.example?x", NULL },
		{ "did:Web:a.example", NULL },
		{ "did:plc:abc", NULL },
		{ "", NULL },
	};
	char url[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(did_check(rows[i].did, NULL), rows[i].url ? DID_WEB : -EINVAL);
		assert_int_equal(did_web_url(rows[i].did, url, sizeof(url), NULL),
				 rows[i].url ? 0 : -EINVAL);
		if (rows[i].url)
			assert_string_equal(url, rows[i].url);
	}
}

static void methods(void **state)
{
	struct party a, b;
	char m[DID_URL_MAX * 3], did[DID_MAX];
	uint8_t pub[32];

	(void)state;
	party_init(&a, 1);
	party_init(&b, 2);
	assert_int_equal(did_method_controller(a.port.method, did, NULL), 0);
	assert_string_equal(did, a.did);
	assert_int_equal(did_method_controller("did:web:a.example#key-1", did, NULL), 0);
	assert_int_equal(did_method_controller("did:web:a.example#", did, NULL), -EINVAL);
	assert_int_equal(did_method_controller("did:web:a.example", did, NULL), -EINVAL);
	assert_int_equal(did_method_controller("did:web:a.example#a#b", did, NULL), -EINVAL);
	(void)snprintf(m, sizeof(m), "%s#%s", a.did, b.did + 8); /* another key's fragment */
	assert_int_equal(did_method_controller(m, did, NULL), -EINVAL);
	assert_int_equal(did_resolve_key(NULL, m, "assertionMethod", pub, NULL), -EINVAL);
	assert_int_equal(did_resolve_key(NULL, "did:web:a.example#k", "x", pub, NULL), -ENOKEY);
}

static void did_documents(void **state)
{
	struct did_document_key_row rows[] = { { .fragment = "vc", .purpose = "assertionMethod" },
					       { .fragment = "agent",
						 .purpose = "authentication" } };
	const char *id = "did:web:op.lab.example", *vc = "did:web:op.lab.example#vc";
	auto_json json_t *doc = NULL, *other = NULL;
	struct party a, b;
	uint8_t pub[32];

	(void)state;
	party_init(&a, 1);
	party_init(&b, 2);
	memcpy(rows[0].pub, a.pub, 32);
	memcpy(rows[1].pub, b.pub, 32);
	doc = did_document_new(id, rows, 2);
	assert_non_null(doc);
	assert_int_equal(did_document_key(doc, vc, "assertionMethod", pub, NULL), 0);
	assert_memory_equal(pub, a.pub, 32);
	assert_int_equal(
		did_document_key(doc, "did:web:op.lab.example#agent", "authentication", pub, NULL),
		0);
	assert_memory_equal(pub, b.pub, 32);
	assert_int_equal(did_document_key(doc, vc, "authentication", pub, NULL), -ENOKEY);
	assert_int_equal(did_document_key(doc, vc, "keyAgreement", pub, NULL), -EINVAL);
	assert_int_equal(
		did_document_key(doc, "did:web:evil.example#vc", "assertionMethod", pub, NULL),
		-EINVAL);
	other = json_deep_copy(doc);
	(void)json_object_set_new(json_array_get(json_object_get(other, "verificationMethod"), 0),
				  "controller", json_string("did:web:evil.example"));
	assert_int_equal(did_document_key(other, vc, "assertionMethod", pub, NULL), -EINVAL);
}

static void base58_has_its_largest(void **state)
{
	uint8_t raw[BASE58_IN_MAX], back[BASE58_IN_MAX + 8];
	char text[140];

	(void)state;
	for (size_t n = 64; n <= BASE58_IN_MAX; n++) {
		for (int full = 0; full < 2; full++) {
			random_fill(raw, n);
			if (full)
				memset(raw, 0xff, n);
			assert_true(base58_encode(raw, n, text, sizeof(text)) >= 0);
			assert_int_equal(base58_decode(text, strlen(text), back, n), (int)n);
			assert_memory_equal(back, raw, n);
			assert_int_equal(base58_decode(text, strlen(text), back, n - 1), -ENOSPC);
		}
	}
	text[strlen(text) - 1]++; /* one more than the largest of all */
	assert_int_equal(base58_decode(text, strlen(text), back, sizeof(back)), -ENOSPC);
}

static void encodings(void **state)
{
	static const struct {
		const char *hex, *b58;
	} rows[] = { { "", "" },
		     { "00", "1" },
		     { "0000287fb4cd", "11233QC4" },
		     { "48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U" } };
	uint8_t raw[64], back[64];
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int n = hex_decode(rows[i].hex, strlen(rows[i].hex), raw, sizeof(raw));

		assert_true(n >= 0);
		assert_int_equal(base58_encode(raw, (size_t)n, text, sizeof(text)),
				 (int)strlen(rows[i].b58));
		assert_string_equal(text, rows[i].b58);
		assert_int_equal(base58_decode(text, strlen(text), back, sizeof(back)), n);
		assert_memory_equal(back, raw, (size_t)n);
	}
	for (size_t n = 0; n < 64; n++) {
		random_fill(raw, n);
		assert_true(base58_encode(raw, n, text, sizeof(text)) >= 0);
		assert_int_equal(base58_decode(text, strlen(text), back, 64), (int)n);
		assert_memory_equal(back, raw, n);
		assert_true(base64url_encode(raw, n, text, sizeof(text)) >= 0);
		assert_int_equal(base64url_decode(text, strlen(text), back, 64), (int)n);
		assert_memory_equal(back, raw, n);
	}
	assert_int_equal(base58_decode("0OIl", 4, back, 64), -EINVAL);
	assert_int_equal(base58_decode("2NEpo7TZRRrLZSi2U", 17, back, 11), -ENOSPC);
	assert_int_equal(base64url_decode("QQ", 2, back, 64), 1);
	assert_int_equal(base64url_decode("QR", 2, back, 64), -EINVAL); /* trailing bits */
	assert_int_equal(base64url_decode("QQ==", 4, back, 64), -EINVAL);
	assert_int_equal(base64_decode("QQ==", 4, back, 64), 1);
	assert_int_equal(base64_decode("QQ", 2, back, 64), -EINVAL);
	assert_int_equal(hex_decode("0g", 2, back, 64), -EINVAL);
	assert_int_equal(hex_decode("abc", 3, back, 64), -EINVAL);
	memset(raw, 7, 32);
	digest_encode(raw, text);
	assert_int_equal(text[0], 'u');
	assert_int_equal(digest_decode(text, back), 0);
	assert_memory_equal(raw, back, 32);
	assert_int_equal(digest_decode("uAAAA", back), -EINVAL);
	assert_int_equal(multikey_decode("z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq", back),
			 -EINVAL); /* a secret is no public key */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(w3c_vector),
		cmocka_unit_test(w3c_mutations),
		cmocka_unit_test(ed25519_edges),
		cmocka_unit_test(did_key_vectors),
		cmocka_unit_test(did_names),
		cmocka_unit_test(methods),
		cmocka_unit_test(did_documents),
		cmocka_unit_test(encodings),
		cmocka_unit_test(base58_has_its_largest),
	};

	if (crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
