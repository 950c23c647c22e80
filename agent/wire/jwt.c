/* SPDX-License-Identifier: Apache-2.0 */
/* The token says which algorithm and which key; neither is believed. The key says its algorithm,
 * the configuration says which are allowed, and the token's word must agree with both. So a public
 * key is never taken for a shared secret, and "none" is no algorithm at all. */
#include "jwt.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "jwt_key.h"

#define TOKEN_LIMITS ((struct json_limits){ .bytes = JWT_MAX, .depth = 8, .nodes = 512 })
#define SECOND_MAX   253402300799.0 /* year 9999 */

struct jwks {
	size_t n;
	struct {
		char kid[JWT_NAME_MAX];
		enum jwt_alg alg;
		struct jwt_key *key;
	} key[JWT_KEYS_MAX];
};

static const char *const alg_names[] = { "EdDSA", "ES256", "RS256" };

const char *jwt_text(enum jwt_answer a)
{
#define X(name, text) text,
	static const char *const texts[] = { JWT_ANSWERS(X) };
#undef X

	return (unsigned)a < ARRAY_LEN(texts) ? texts[a] : "";
}

/* --- keys ------------------------------------------------------------------------------------ */

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

/* Kind and curve give the algorithm; JWT_ALG_MAX_: none of ours. */
static enum jwt_alg alg_of(const json_t *jwk)
{
	const char *kty = text_of(jwk, "kty"), *crv = text_of(jwk, "crv");

	if (kty && crv && !strcmp(kty, "OKP") && !strcmp(crv, "Ed25519"))
		return JWT_EDDSA;
	if (kty && crv && !strcmp(kty, "EC") && !strcmp(crv, "P-256"))
		return JWT_ES256;
	return kty && !strcmp(kty, "RSA") ? JWT_RS256 : JWT_ALG_MAX_;
}

/* Is it for signatures by the algorithm of its kind? */
static bool for_us(const json_t *jwk, enum jwt_alg *alg)
{
	const char *use = text_of(jwk, "use"), *said = text_of(jwk, "alg");

	*alg = alg_of(jwk);
	return *alg != JWT_ALG_MAX_ && (!use || !strcmp(use, "sig")) &&
	       (!said || !strcmp(said, alg_names[*alg])) && text_of(jwk, "kid");
}

static int add_key(struct jwks *k, const json_t *jwk, struct err *e)
{
	const char *kid = text_of(jwk, "kid");
	enum jwt_alg alg;
	int r;

	if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
		return err_set(e, -EINVAL, "keys[]: a private key must not be here");
	if (!for_us(jwk, &alg))
		return 0;
	for (size_t i = 0; i < k->n; i++)
		if (!strcmp(k->key[i].kid, kid))
			return err_set(e, -EINVAL, "keys[].kid: %.80s: twice", kid);
	if (k->n == JWT_KEYS_MAX)
		return err_set(e, -EINVAL, "keys: at most %d", JWT_KEYS_MAX);
	if (!*kid || !str_set(k->key[k->n].kid, kid))
		return err_set(e, -EINVAL, "keys[].kid: 1..%d bytes are needed", JWT_NAME_MAX - 1);
	r = jwt_key_new(&k->key[k->n].key, alg, jwk);
	if (r)
		return err_set(e, r, "keys[]: %.80s: not a good %s key", kid, alg_names[alg]);
	k->key[k->n++].alg = alg;
	return 0;
}

int jwks_new(struct jwks **ret, const json_t *doc, struct err *e)
{
	const json_t *keys = json_object_get(doc, "keys");
	struct jwks *k = calloc(1, sizeof(*k));
	const json_t *jwk;
	int r = k ? 0 : err_set(e, -ENOMEM, "keys");
	size_t i;

	if (!r && !json_is_array(keys))
		r = err_set(e, -EINVAL, "keys: an array is needed");
	json_array_foreach (keys, i, jwk)
		r = r ? r : add_key(k, jwk, e);
	if (!r && !k->n)
		r = err_set(e, -EINVAL, "keys: none for EdDSA, ES256 or RS256 that has a kid");
	if (r) {
		(void)jwks_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

struct jwks *jwks_free(struct jwks *k)
{
	for (size_t i = 0; k && i < k->n; i++)
		jwt_key_free(k->key[i].key);
	free(k);
	return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static json_t *part_read(const char *p, size_t n)
{
	const struct json_limits lim = TOKEN_LIMITS;
	auto_free char *text = malloc(n + 1);
	json_t *v = NULL;
	int len = text && n ? base64url_decode(p, n, text, n) : -EINVAL;

	if (len <= 0 || json_read(&v, text, (size_t)len, &lim, NULL))
		return NULL;
	if (json_is_object(v))
		return v;
	json_decref(v);
	return NULL;
}

enum jwt_answer jwt_read(struct jwt *ret, const char *token, size_t len)
{
	const char *end = token + len, *dot = memchr(token, '.', len);
	const char *second = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
	struct jwt t = { .iss = "" };
	const char *iss;
	int n;

	if (!second || len > JWT_MAX || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return JWT_SHAPE;
	/* An empty signature is what "none" has. */
	n = base64url_decode(second + 1, (size_t)(end - second - 1), t.sig, sizeof(t.sig));
	if (n <= 0)
		return JWT_SHAPE;
	t.sig_len = (size_t)n;
	t.signed_len = (size_t)(second - token);
	t.bytes = malloc(t.signed_len);
	t.header = part_read(token, (size_t)(dot - token));
	t.claims = part_read(dot + 1, (size_t)(second - dot - 1));
	if (!t.bytes || !t.header || !t.claims) {
		jwt_clear(&t);
		return JWT_SHAPE;
	}
	memcpy(t.bytes, token, t.signed_len);
	t.signed_part = t.bytes;
	iss = text_of(t.claims, "iss");
	t.iss = iss ? iss : "";
	*ret = t;
	return JWT_OK;
}

void jwt_clear(struct jwt *t)
{
	json_decref(t->header);
	json_decref(t->claims);
	free(t->bytes);
	*t = (struct jwt){ 0 };
}

/* --- checking -------------------------------------------------------------------------------- */

static enum jwt_answer check_header(const struct jwt *t, const struct jwt_rules *r,
				    enum jwt_alg *alg)
{
	static const char *const not_taken[] = { "crit", "jwk", "jku", "x5c", "x5u" };
	const char *said = text_of(t->header, "alg"), *typ = text_of(t->header, "typ");

	for (size_t i = 0; i < ARRAY_LEN(not_taken); i++)
		if (json_object_get(t->header, not_taken[i]))
			return JWT_HEADER;
	if (!typ || (strcasecmp(typ, "at+jwt") != 0 && strcasecmp(typ, "application/at+jwt") != 0))
		return JWT_TYP;
	for (*alg = 0; *alg < JWT_ALG_MAX_; (*alg)++)
		if (said && !strcmp(said, alg_names[*alg]))
			return r->algs & 1u << *alg ? JWT_OK : JWT_ALG;
	return JWT_ALG;
}

static enum jwt_answer check_signature(const struct jwt *t, const struct jwt_rules *r,
				       enum jwt_alg alg)
{
	const char *kid = text_of(t->header, "kid");

	for (size_t i = 0; kid && i < r->keys->n; i++) {
		if (strcmp(r->keys->key[i].kid, kid) != 0)
			continue;
		if (r->keys->key[i].alg != alg)
			return JWT_ALG;
		return jwt_key_verify(r->keys->key[i].key, alg, t->signed_part, t->signed_len,
				      t->sig, t->sig_len)
			       ? JWT_OK
			       : JWT_SIGNATURE;
	}
	return JWT_KID;
}

/* NumericDate (RFC 7519 section 2): seconds, also with a fraction. 1, 0 (absent), -1 (bent). */
static int date_of(const json_t *claims, const char *name, double *ret)
{
	const json_t *v = json_object_get(claims, name);

	if (!v)
		return 0;
	*ret = json_number_value(v);
	return json_is_number(v) && *ret >= 0 && *ret <= SECOND_MAX ? 1 : -1;
}

static enum jwt_answer check_times(const struct jwt *t, const struct jwt_rules *r, int64_t *exp_s)
{
	double exp, iat, nbf = 0, leeway = (double)r->leeway_ms / 1000;
	double now = (double)r->now.ms / 1000;

	if (date_of(t->claims, "exp", &exp) != 1 || date_of(t->claims, "iat", &iat) != 1 ||
	    date_of(t->claims, "nbf", &nbf) < 0)
		return JWT_CLAIMS;
	if (now >= exp + leeway)
		return JWT_EXPIRED;
	if (now + leeway < nbf || now + leeway < iat)
		return JWT_EARLY;
	*exp_s = (int64_t)exp;
	return JWT_OK;
}

/* A name, or a list that has it (RFC 7519 section 4.1.3). */
static bool audience_has(const json_t *aud, const char *want)
{
	const json_t *x;
	size_t i;

	if (json_is_string(aud))
		return !strcmp(json_string_value(aud), want);
	json_array_foreach (aud, i, x)
		if (json_is_string(x) && !strcmp(json_string_value(x), want))
			return true;
	return false;
}

/* A confirmation that we do not know binds the token to what we cannot see. */
static enum jwt_answer check_binding(const struct jwt *t, const struct jwt_rules *r)
{
	const json_t *cnf = json_object_get(t->claims, "cnf");
	const char *want = text_of(cnf, "x5t#S256");
	uint8_t x5t[JWT_X5T];

	if (!cnf)
		return r->bound ? JWT_UNBOUND : JWT_OK;
	if (!want || json_object_size(cnf) != 1 || !r->x5t ||
	    base64url_decode(want, strlen(want), x5t, sizeof(x5t)) != JWT_X5T ||
	    memcmp(x5t, r->x5t, JWT_X5T) != 0)
		return JWT_BOUND;
	return JWT_OK;
}

static bool name_ok(const char *s)
{
	return s && *s && strlen(s) < JWT_NAME_MAX;
}

static enum jwt_answer check_claims(const struct jwt *t, const struct jwt_rules *r,
				    struct jwt_says *ret)
{
	const json_t *scope = json_object_get(t->claims, "scope");
	struct jwt_says says = { .sub = text_of(t->claims, "sub"),
				 .client_id = text_of(t->claims, "client_id"),
				 .scope = scope ? json_string_value(scope) : "" };
	enum jwt_answer a;

	if (!name_ok(t->iss) || !name_ok(says.sub) || !name_ok(says.client_id) || !says.scope ||
	    !text_of(t->claims, "jti") || !json_object_get(t->claims, "aud"))
		return JWT_CLAIMS;
	if (strcmp(t->iss, r->issuer) != 0)
		return JWT_ISSUER;
	if (!audience_has(json_object_get(t->claims, "aud"), r->audience))
		return JWT_AUDIENCE;
	a = check_times(t, r, &says.exp_s);
	a = a ? a : check_binding(t, r);
	if (!a)
		*ret = says;
	return a;
}

enum jwt_answer jwt_check(const struct jwt *t, const struct jwt_rules *r, struct jwt_says *ret)
{
	enum jwt_alg alg;
	enum jwt_answer a = check_header(t, r, &alg);

	a = a ? a : check_signature(t, r, alg);
	return a ? a : check_claims(t, r, ret);
}

bool jwt_scope_has(const char *scope, const char *word)
{
	size_t want = strlen(word);

	while (*scope) {
		size_t n = strcspn(scope, " ");

		if (n == want && !memcmp(scope, word, n))
			return true;
		scope += n + (scope[n] == ' ');
	}
	return false;
}
