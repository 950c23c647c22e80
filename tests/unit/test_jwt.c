/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens as JWT: published signatures, then one good token of each algorithm and a table of
 * hostile ones. Each row changes one thing of the good token, says with what answer it must end,
 * and the good one goes through before and after it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "agent/wire/jwt_key.h"
#include "token_lab.h"

#define NOW 1790000000
#define ISS "https://as.example"
#define AUD "https://op.example:8444/mcp"

static EVP_PKEY *keys[JWT_ALG_MAX_], *strange[JWT_ALG_MAX_];
static struct jwks *set;
static const char *const names[] = { "EdDSA", "ES256", "RS256" };
static const uint8_t cert[32] = { 1, 2, 3 };
static struct jwt_rules rules;

static int setup(void **state)
{
	json_t *doc = json_pack("{s:[]}", "keys"), *list = json_object_get(doc, "keys");
	struct err e = { 0 };
	int r;

	(void)state;
	for (int i = 0; i < JWT_ALG_MAX_; i++) {
		keys[i] = token_key((enum jwt_alg)i, 2048);
		strange[i] = token_key((enum jwt_alg)i, 2048);
		(void)json_array_append_new(list, token_jwk(keys[i], (enum jwt_alg)i, names[i]));
	}
	/* Of others' kinds and uses: passed over. */
	(void)json_array_append_new(list, json_pack("{s:s, s:s}", "kty", "DH", "kid", "dh"));
	(void)json_array_append_new(list,
				    json_pack("{s:s, s:s, s:s, s:s, s:s}", "kty", "OKP", "crv",
					      "Ed25519", "kid", "enc", "use", "enc", "x", "AA"));
	r = crypto_init() ? -1 : jwks_new(&set, doc, &e);
	json_decref(doc);
	rules = (struct jwt_rules){ .keys = set,
				    .algs = 7,
				    .issuer = ISS,
				    .audience = AUD,
				    .now = { (int64_t)NOW * 1000 },
				    .leeway_ms = 30000 };
	return r;
}

static int teardown(void **state)
{
	(void)state;
	set = jwks_free(set);
	for (int i = 0; i < JWT_ALG_MAX_; i++) {
		EVP_PKEY_free(keys[i]);
		EVP_PKEY_free(strange[i]);
	}
	return 0;
}

/* The answer to a token, whichever step gives it. */
static enum jwt_answer ask(const char *token, const struct jwt_rules *r, struct jwt_says *says)
{
	static struct jwt kept;
	enum jwt_answer a;
	struct jwt_says none;

	jwt_clear(&kept); /* says borrows from it */
	a = jwt_read(&kept, token, strlen(token));
	if (a)
		kept = (struct jwt){ 0 };
	return a ? a : jwt_check(&kept, r, says ? says : &none);
}

static void published_signatures_verify(void **state)
{
	static const struct {
		enum jwt_alg alg;
		const char *jwk, *input, *sig;
	} rfc[] = {
		/* RFC 8037 appendix A.4 */
		{ JWT_EDDSA,
		  "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
		  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
		  "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_"
		  "MuM0KAg" },
		/* RFC 7515 appendix A.3 */
		{ JWT_ES256,
		  "{\"kty\":\"EC\",\"crv\":\"P-256\","
		  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
		  "eyJhbGciOiJFUzI1NiJ9."
		  "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9l"
		  "eGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
		  "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
		  "Kg6NU1Q" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rfc); i++) {
		auto_json json_t *jwk = json_loads(rfc[i].jwk, 0, NULL);
		struct jwt_key *k = NULL;
		uint8_t sig[64];

		assert_int_equal(base64url_decode(rfc[i].sig, strlen(rfc[i].sig), sig, 64), 64);
		assert_int_equal(jwt_key_new(&k, rfc[i].alg, jwk), 0);
		assert_true(
			jwt_key_verify(k, rfc[i].alg, rfc[i].input, strlen(rfc[i].input), sig, 64));
		for (size_t b = 0; b < 64; b++) {
			sig[b] ^= 1;
			assert_false(jwt_key_verify(k, rfc[i].alg, rfc[i].input,
						    strlen(rfc[i].input), sig, 64));
			sig[b] ^= 1;
		}
		jwt_key_free(k);
	}
}

#define CLAIMS_HEAD                                                                    \
	"{\"iss\":\"" ISS "\",\"sub\":\"alice\",\"client_id\":\"desk\",\"jti\":\"j\"," \
	"\"aud\":\"" AUD "\",\"iat\":1789999990,\"exp\":1790000300,\"scope\":\"a treaty:read\""
#define CLAIMS CLAIMS_HEAD "}"

static void good(char *out, size_t cap, enum jwt_alg alg)
{
	char header[128];

	(void)snprintf(header, sizeof(header), "{\"typ\":\"at+jwt\",\"alg\":\"%s\",\"kid\":\"%s\"}",
		       names[alg], names[alg]);
	token_make(out, cap, header, CLAIMS, keys[alg], alg);
}

static void good_goes_through(enum jwt_alg alg)
{
	char token[JWT_MAX];
	struct jwt_says says;

	good(token, sizeof(token), alg);
	assert_int_equal(ask(token, &rules, &says), JWT_OK);
	assert_string_equal(says.sub, "alice");
	assert_string_equal(says.client_id, "desk");
	assert_int_equal(says.exp_s, 1790000300);
	assert_true(jwt_scope_has(says.scope, "treaty:read"));
	assert_false(jwt_scope_has(says.scope, "treaty:rea"));
	assert_false(jwt_scope_has(says.scope, "read"));
}

#define H(rest) "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"EdDSA\"" rest "}"
/* What differs: header and claims as texts, or NULL for the good one's. */
static const struct {
	const char *what, *header, *claims;
	enum jwt_answer want;
} hostile[] = {
	{ "no algorithm", "{\"typ\":\"at+jwt\",\"kid\":\"EdDSA\"}", NULL, JWT_ALG },
	{ "none", "{\"typ\":\"at+jwt\",\"alg\":\"none\",\"kid\":\"EdDSA\"}", NULL, JWT_ALG },
	{ "None", "{\"typ\":\"at+jwt\",\"alg\":\"None\",\"kid\":\"EdDSA\"}", NULL, JWT_ALG },
	{ "HMAC", "{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"EdDSA\"}", NULL, JWT_ALG },
	{ "another key's algorithm", "{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"EdDSA\"}",
	  NULL, JWT_ALG },
	{ "algorithm no string", "{\"typ\":\"at+jwt\",\"alg\":1,\"kid\":\"EdDSA\"}", NULL,
	  JWT_ALG },
	{ "an ID token", "{\"typ\":\"JWT\",\"alg\":\"EdDSA\",\"kid\":\"EdDSA\"}", NULL, JWT_TYP },
	{ "no typ", "{\"alg\":\"EdDSA\",\"kid\":\"EdDSA\"}", NULL, JWT_TYP },
	{ "unknown kid", "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"EdDSB\"}", NULL,
	  JWT_KID },
	{ "no kid", "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\"}", NULL, JWT_KID },
	{ "a key for other uses", "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"enc\"}", NULL,
	  JWT_KID },
	{ "its own key", H(",\"jwk\":{\"kty\":\"OKP\"}"), NULL, JWT_HEADER },
	{ "a key of the web", H(",\"jku\":\"https://evil.example/k\""), NULL, JWT_HEADER },
	{ "a certificate", H(",\"x5c\":[\"AA\"]"), NULL, JWT_HEADER },
	{ "a certificate of the web", H(",\"x5u\":\"https://evil.example/c\""), NULL, JWT_HEADER },
	{ "a rule we do not know", H(",\"crit\":[\"b64\"],\"b64\":false"), NULL, JWT_HEADER },
	{ "header with a name twice", H(",\"alg\":\"none\""), NULL, JWT_SHAPE },
	{ "header no object", "[1]", NULL, JWT_SHAPE },
	{ "claims no object", NULL, "[]", JWT_SHAPE },
	{ "claims with a name twice", NULL, CLAIMS_HEAD ",\"exp\":1990000000}", JWT_SHAPE },
	{ "claims not JSON", NULL, CLAIMS_HEAD, JWT_SHAPE },
#define C(iss, sub, client, jti, aud, iat, exp, more) \
	"{" iss sub client jti aud iat exp "\"x\":1" more "}"
#define I "\"iss\":\"" ISS "\","
#define S "\"sub\":\"alice\","
#define K "\"client_id\":\"desk\","
#define J "\"jti\":\"j\","
#define A "\"aud\":\"" AUD "\","
#define T "\"iat\":1789999990,"
#define E "\"exp\":1790000300,"
	{ "no issuer", NULL, C("", S, K, J, A, T, E, ""), JWT_CLAIMS },
	{ "no subject", NULL, C(I, "", K, J, A, T, E, ""), JWT_CLAIMS },
	{ "empty subject", NULL, C(I, "\"sub\":\"\",", K, J, A, T, E, ""), JWT_CLAIMS },
	{ "no client", NULL, C(I, S, "", J, A, T, E, ""), JWT_CLAIMS },
	{ "no number of its own", NULL, C(I, S, K, "", A, T, E, ""), JWT_CLAIMS },
	{ "no audience", NULL, C(I, S, K, J, "", T, E, ""), JWT_CLAIMS },
	{ "no birth", NULL, C(I, S, K, J, A, "", E, ""), JWT_CLAIMS },
	{ "no end", NULL, C(I, S, K, J, A, T, "", ""), JWT_CLAIMS },
	{ "end as text", NULL, C(I, S, K, J, A, T, "\"exp\":\"1790000300\",", ""), JWT_CLAIMS },
	{ "end never", NULL, C(I, S, K, J, A, T, "\"exp\":1e300,", ""), JWT_CLAIMS },
	{ "end negative", NULL, C(I, S, K, J, A, T, "\"exp\":-1,", ""), JWT_CLAIMS },
	{ "scope no string", NULL, C(I, S, K, J, A, T, E, ",\"scope\":[\"treaty:human\"]"),
	  JWT_CLAIMS },
	{ "nbf no number", NULL, C(I, S, K, J, A, T, E, ",\"nbf\":true"), JWT_CLAIMS },
	{ "another issuer", NULL, C("\"iss\":\"https://as.example.evil\",", S, K, J, A, T, E, ""),
	  JWT_ISSUER },
	{ "issuer with a slash more", NULL, C("\"iss\":\"" ISS "/\",", S, K, J, A, T, E, ""),
	  JWT_ISSUER },
	{ "for another server", NULL,
	  C(I, S, K, J, "\"aud\":\"https://other.example/mcp\",", T, E, ""), JWT_AUDIENCE },
	{ "for our host alone", NULL,
	  C(I, S, K, J, "\"aud\":\"https://op.example:8444\",", T, E, ""), JWT_AUDIENCE },
	{ "for what begins like us", NULL, C(I, S, K, J, "\"aud\":\"" AUD "/x\",", T, E, ""),
	  JWT_AUDIENCE },
	{ "for many, not us", NULL, C(I, S, K, J, "\"aud\":[\"a\",1,null,\"b\"],", T, E, ""),
	  JWT_AUDIENCE },
	{ "for nobody", NULL, C(I, S, K, J, "\"aud\":[],", T, E, ""), JWT_AUDIENCE },
	{ "for an object", NULL, C(I, S, K, J, "\"aud\":{\"a\":\"" AUD "\"},", T, E, ""),
	  JWT_AUDIENCE },
	{ "over", NULL, C(I, S, K, J, A, T, "\"exp\":1789999970,", ""), JWT_EXPIRED },
	{ "not yet", NULL, C(I, S, K, J, A, T, E, ",\"nbf\":1790000031"), JWT_EARLY },
	{ "born tomorrow", NULL, C(I, S, K, J, A, "\"iat\":1790086400,", E, ""), JWT_EARLY },
	{ "bound to a certificate", NULL,
	  C(I, S, K, J, A, T, E,
	    ",\"cnf\":{\"x5t#S256\":\"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
	  JWT_BOUND },
	{ "bound to a key (DPoP)", NULL, C(I, S, K, J, A, T, E, ",\"cnf\":{\"jkt\":\"AQ\"}"),
	  JWT_BOUND },
	{ "bound to nothing", NULL, C(I, S, K, J, A, T, E, ",\"cnf\":{}"), JWT_BOUND },
	{ "bound to text", NULL, C(I, S, K, J, A, T, E, ",\"cnf\":\"x\""), JWT_BOUND },
};

static void hostile_tokens_are_refused(void **state)
{
	char token[JWT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		good_goes_through(JWT_EDDSA);
		token_make(token, sizeof(token), hostile[i].header ? hostile[i].header : H(""),
			   hostile[i].claims ? hostile[i].claims : CLAIMS, keys[JWT_EDDSA],
			   JWT_EDDSA);
		if (ask(token, &rules, NULL) != hostile[i].want)
			fail_msg("%s: %s", hostile[i].what, jwt_text(ask(token, &rules, NULL)));
	}
	printf("jwt: %zu hostile tokens\n", ARRAY_LEN(hostile));
}

/* The same claims where they are good: lists, edges of time, a typ of two parts. */
static void harmless_twins_go_through(void **state)
{
	static const struct {
		const char *header, *claims;
	} twins[] = {
		{ "{\"typ\":\"AT+JWT\",\"alg\":\"EdDSA\",\"kid\":\"EdDSA\"}", CLAIMS },
		{ "{\"typ\":\"application/"
		  "at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"EdDSA\",\"x5t\":\"a\"}",
		  CLAIMS },
		{ H(""), C(I, S, K, J, "\"aud\":[\"x\",\"" AUD "\"],", T, E, "") },
		{ H(""), C(I, S, K, J, A, T, "\"exp\":1789999971,", "") },
		{ H(""), C(I, S, K, J, A, T, "\"exp\":1790000300.5,", "") },
		{ H(""), C(I, S, K, J, A, T, E, ",\"nbf\":1790000030") },
		{ H(""), C(I, S, K, J, A, "\"iat\":1790000030,", E, "") },
		{ H(""), C(I, S, K, J, A, T, E, ",\"scope\":\"\"") },
	};
	char token[JWT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
		token_make(token, sizeof(token), twins[i].header, twins[i].claims, keys[JWT_EDDSA],
			   JWT_EDDSA);
		if (ask(token, &rules, NULL) != JWT_OK)
			fail_msg("twin %zu: %s", i, jwt_text(ask(token, &rules, NULL)));
	}
	for (int i = 0; i < JWT_ALG_MAX_; i++)
		good_goes_through((enum jwt_alg)i);
}

/* Every algorithm: a stranger's key, the allow-list, each bit of each part. */
static void signatures_hold(void **state)
{
	char token[JWT_MAX], header[128];

	(void)state;
	for (int i = 0; i < JWT_ALG_MAX_; i++) {
		struct jwt_rules without = rules;

		(void)snprintf(header, sizeof(header),
			       "{\"typ\":\"at+jwt\",\"alg\":\"%s\",\"kid\":\"%s\"}", names[i],
			       names[i]);
		token_make(token, sizeof(token), header, CLAIMS, strange[i], (enum jwt_alg)i);
		assert_int_equal(ask(token, &rules, NULL), JWT_SIGNATURE);
		good(token, sizeof(token), (enum jwt_alg)i);
		without.algs &= ~(1u << i);
		assert_int_equal(ask(token, &without, NULL), JWT_ALG);
		for (size_t at = 0; token[at]; at++) {
			char was = token[at];

			token[at] = was == 'A' ? 'B' : 'A';
			if (ask(token, &rules, NULL) == JWT_OK)
				fail_msg("%s: byte %zu", names[i], at);
			token[at] = was;
		}
		for (size_t n = 0; n < strlen(token); n++) {
			char was = token[n];

			token[n] = 0;
			assert_int_not_equal(ask(token, &rules, NULL), JWT_OK);
			token[n] = was;
		}
	}
}

/* The public key as a shared secret: the oldest trick of all. */
static void a_public_key_is_no_secret(void **state)
{
	char token[JWT_MAX], text[100];
	uint8_t pub[32], mac[32];
	size_t n = sizeof(pub), len;
	unsigned m = sizeof(mac);

	(void)state;
	assert_int_equal(EVP_PKEY_get_raw_public_key(keys[JWT_EDDSA], pub, &n), 1);
	token_input(token, sizeof(token),
		    "{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"EdDSA\"}", CLAIMS);
	assert_non_null(
		HMAC(EVP_sha256(), pub, (int)n, (const uint8_t *)token, strlen(token), mac, &m));
	token_b64(text, sizeof(text), mac, m);
	len = strlen(token);
	(void)snprintf(token + len, sizeof(token) - len, ".%s", text);
	assert_int_equal(ask(token, &rules, NULL), JWT_ALG);
}

static void shapes_are_refused(void **state)
{
	static const char *const bad[] = { "",
					   ".",
					   "..",
					   "...",
					   "a.b.c",
					   "a.b",
					   "e30.e30.",
					   ".e30.AA",
					   "e30..AA",
					   "e30.e30.AA.AA",
					   "e30=.e30.AA",
					   "e30.e30.A",
					   "e3 0.e30.AA",
					   "e30.e30.AA\n",
					   "e31.e30.AA" };
	char token[JWT_MAX + 16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ask(bad[i], &rules, NULL), JWT_SHAPE);
	token_make(token, JWT_MAX, "{\"typ\":\"at+jwt\",\"alg\":\"none\"}", CLAIMS, NULL, 0);
	assert_int_equal(ask(token, &rules, NULL), JWT_SHAPE);
	memset(token, 'A', sizeof(token) - 1);
	token[10] = token[20] = '.';
	token[sizeof(token) - 1] = 0;
	assert_int_equal(ask(token, &rules, NULL), JWT_SHAPE);
}

/* RFC 8705: who holds the certificate, and nobody else. */
static void a_bound_token_needs_its_certificate(void **state)
{
	static const uint8_t other[32] = { 9 };
	struct jwt_rules r = rules;
	char token[JWT_MAX], claims[600], x5t[64];

	(void)state;
	token_b64(x5t, sizeof(x5t), cert, sizeof(cert));
	(void)snprintf(claims, sizeof(claims), CLAIMS_HEAD ",\"cnf\":{\"x5t#S256\":\"%s\"}}", x5t);
	token_make(token, sizeof(token), H(""), claims, keys[JWT_EDDSA], JWT_EDDSA);
	assert_int_equal(ask(token, &r, NULL), JWT_BOUND);
	r.x5t = other;
	assert_int_equal(ask(token, &r, NULL), JWT_BOUND);
	r.x5t = cert;
	assert_int_equal(ask(token, &r, NULL), JWT_OK);
	r.bound = true;
	assert_int_equal(ask(token, &r, NULL), JWT_OK);
	good(token, sizeof(token), JWT_EDDSA);
	assert_int_equal(ask(token, &r, NULL), JWT_UNBOUND);
	r.bound = false;
	assert_int_equal(ask(token, &r, NULL), JWT_OK);
}

static void bad_key_sets_are_refused(void **state)
{
	static const struct {
		const char *doc, *why;
	} bad[] = {
		{ "{}", "an array" },
		{ "{\"keys\":[]}", "none for" },
		{ "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AA\"}]}", "private" },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"AA\","
		  "\"d\":\"AA\"}]}",
		  "private" },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"AA\"}]}",
		  "not a good" },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"\",\"x\":\"AA\"}]}",
		  "1..255" },
		{ "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", "none for" },
		/* a point that is not on the curve */
		{ "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","
		  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}]}",
		  "not a good" },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
		  "not a good" },
	};
	auto_json json_t *twice = json_pack("{s:[]}", "keys");
	EVP_PKEY *weak = token_key(JWT_RS256, 1024);
	struct jwks *k = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_json json_t *doc = json_loads(bad[i].doc, 0, NULL);

		e = (struct err){ 0 };
		assert_int_equal(jwks_new(&k, doc, &e), -EINVAL);
		if (!strstr(e.text, bad[i].why))
			fail_msg("%s: %s", bad[i].doc, e.text);
	}
	for (int i = 0; i < 2; i++)
		(void)json_array_append_new(json_object_get(twice, "keys"),
					    token_jwk(keys[i], (enum jwt_alg)i, "same"));
	assert_int_equal(jwks_new(&k, twice, &e), -EINVAL);
	(void)json_array_clear(json_object_get(twice, "keys"));
	(void)json_array_append_new(json_object_get(twice, "keys"),
				    token_jwk(weak, JWT_RS256, "w"));
	assert_int_equal(jwks_new(&k, twice, &e), -EINVAL);
	EVP_PKEY_free(weak);
	assert_null(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_signatures_verify),
		cmocka_unit_test(hostile_tokens_are_refused),
		cmocka_unit_test(harmless_twins_go_through),
		cmocka_unit_test(signatures_hold),
		cmocka_unit_test(a_public_key_is_no_secret),
		cmocka_unit_test(shapes_are_refused),
		cmocka_unit_test(a_bound_token_needs_its_certificate),
		cmocka_unit_test(bad_key_sets_are_refused),
	};

	return cmocka_run_group_tests_name("jwt", tests, setup, teardown);
}
