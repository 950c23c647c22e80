/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a token, against three good keys; and as a JWK set. Nothing that the fuzzer makes is
 * signed by a key that it has not. */
#include "agent/codec/json.h"
#include "agent/wire/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char set[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"EdDSA\","
			  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
			  "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ES256\","
			  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwks *keys;
	const struct json_limits lim = JSON_LIMITS_BODY;
	struct jwt_rules rules = { .algs = 7, .issuer = "i", .audience = "a", .now = { 1000 } };
	auto_json json_t *doc = NULL;
	struct jwks *other = NULL;
	struct jwt_says says;
	struct jwt t;

	if (!keys) {
		auto_json json_t *good = json_loads(set, 0, NULL);

		if (jwks_new(&keys, good, NULL))
			__builtin_trap();
	}
	rules.keys = keys;
	if (jwt_read(&t, (const char *)data, size) == JWT_OK) {
		if (jwt_check(&t, &rules, &says) == JWT_OK)
			__builtin_trap();
		jwt_clear(&t);
	}
	if (!json_read(&doc, data, size, &lim, NULL) && !jwks_new(&other, doc, NULL))
		(void)jwks_free(other);
	return 0;
}
