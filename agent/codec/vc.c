/* SPDX-License-Identifier: Apache-2.0 */
/* The strict profile. Three things that the recommendation lets pass are refused here: a context
 * appended after signing, a number spelt another way, and a proof that is a list. */
#include "agent/codec/vc_i.h"

#include <errno.h>

#include "agent/codec/canon.h"
#include "agent/crypto/crypto.h"

static bool in_list(const char *const *list, const char *s)
{
	for (; list && *list; list++)
		if (!strcmp(*list, s))
			return true;
	return false;
}

/* v is exactly this array of strings. */
static bool same_list(const json_t *v, const char *const *list)
{
	size_t n = 0;

	for (; list[n]; n++) {
		const char *s = json_string_value(json_array_get(v, n));

		if (!s || strcmp(s, list[n]))
			return false;
	}
	return json_is_array(v) && json_array_size(v) == n;
}

static json_t *parent_of(const json_t *vc)
{
	const json_t *s = json_object_get(vc, "credentialSubject");

	return json_object_get(json_object_get(s, "delegation"), "parent");
}

/* Below the top: no @context anywhere, but in what is read by a profile of its own. */
static int check_inside(json_t *v, const json_t *apart, struct err *e)
{
	const char *key;
	json_t *c;
	size_t i;
	int r = 0;

	if (v == apart)
		return 0;
	json_object_foreach (v, key, c) {
		if (!strcmp(key, "@context"))
			return err_set(e, -EINVAL, "@context: only at the top of a document");
		r = check_inside(c, apart, e);
		if (r)
			return r;
	}
	json_array_foreach (v, i, c) {
		r = check_inside(c, apart, e);
		if (r)
			return r;
	}
	return r;
}

static int check_members(const struct vc *v, const struct vc_profile *pf, struct err *e)
{
	const char *key;
	json_t *c;
	int r;

	json_object_foreach (v->doc, key, c) {
		if (!strcmp(key, "@context") || !strcmp(key, "type") || !strcmp(key, "proof"))
			continue;
		if (!in_list(pf->members, key))
			return err_set(e, -EINVAL, "document: a member that the profile lacks");
		if (pf->presentation && !strcmp(key, "verifiableCredential"))
			continue; /* has its own context and is read by its own profile */
		r = check_inside(c, pf->parents ? parent_of(v->doc) : NULL, e);
		if (r)
			return r;
	}
	if (!same_list(json_object_get(v->doc, "@context"), pf->contexts))
		return err_set(e, -EINVAL, "@context: exactly the profile's contexts required");
	if (!same_list(json_object_get(v->doc, "type"), pf->types))
		return err_set(e, -EINVAL, "type: exactly [\"%s\"%s] required", pf->types[0],
			       pf->types[1] ? ", ..." : "");
	return 0;
}

static int read_challenge(struct vc *v, const json_t *p, const struct vc_profile *pf, struct err *e)
{
	int r;

	if (!pf->presentation)
		return json_only(p, "proof", e, "type", "cryptosuite", "created", "expires",
				 "verificationMethod", "proofPurpose", "@context", "proofValue",
				 NULL);
	r = json_only(p, "proof", e, "type", "cryptosuite", "created", "expires",
		      "verificationMethod", "proofPurpose", "@context", "proofValue", "domain",
		      "challenge", NULL);
	if (!r)
		r = json_need_text(p, "proof", "domain", v->domain, sizeof(v->domain), e);
	if (!r)
		r = json_need_text(p, "proof", "challenge", v->challenge, sizeof(v->challenge), e);
	return r;
}

static int read_signature(struct vc *v, const json_t *p, struct err *e)
{
	const char *s;
	int r = json_need_str(p, "proof", "proofValue", &s, e);

	if (!r && (*s != 'z' || base58_decode(s + 1, strlen(s) - 1, v->sig, sizeof(v->sig)) !=
					(int)sizeof(v->sig)))
		r = err_set(e, -EINVAL, "proof.proofValue: 'z' and 64 bytes in base58btc");
	return r;
}

static int read_proof(struct vc *v, const struct vc_profile *pf, struct err *e)
{
	json_t *p;
	int r = json_need_obj(v->doc, "", "proof", &p, e);

	if (!r)
		r = read_challenge(v, p, pf, e);
	if (!r)
		r = json_need_const(p, "proof", "type", "DataIntegrityProof", e);
	if (!r)
		r = json_need_const(p, "proof", "cryptosuite", "eddsa-jcs-2022", e);
	if (!r)
		r = json_need_const(p, "proof", "proofPurpose", pf->purpose, e);
	if (!r)
		r = json_need_text(p, "proof", "verificationMethod", v->method, sizeof(v->method),
				   e);
	if (!r)
		r = did_method_controller(v->method, v->controller, e);
	if (!r)
		r = json_need_time(p, "proof", "created", &v->created, e);
	if (!r)
		r = json_opt_time(p, "proof", "expires", &v->expires, e);
	if (r < 0)
		return r;
	/* Not "starts with": an appended context would keep the signature valid. */
	if (!same_list(json_object_get(p, "@context"), pf->contexts))
		return err_set(e, -EINVAL, "proof.@context: must equal the document's");
	return read_signature(v, p, e);
}

static int read_head(struct vc *v, const struct vc_profile *pf, struct err *e)
{
	int r = json_need_text(v->doc, "", pf->author, v->author, sizeof(v->author), e);

	if (!r)
		r = did_check(v->author, e);
	if (r >= 0 && in_list(pf->members, "id"))
		r = json_opt_text(v->doc, "", "id", v->id, sizeof(v->id), e);
	if (r >= 0)
		r = json_opt_time(v->doc, "", "validFrom", &v->valid_from, e);
	if (r >= 0)
		r = json_opt_time(v->doc, "", "validUntil", &v->valid_until, e);
	if (r < 0)
		return r;
	if (!pf->presentation && !strchr(v->id, ':'))
		return err_set(e, -EINVAL, "id: URI required");
	return 0;
}

/* --- hashes, out of the canonical text --- */

static struct gap gap_of(const char *text, size_t from, size_t cut, size_t end, size_t to)
{
	if (text[cut - 1] == ',')
		cut--;
	else if (text[end] == ',')
		end++;
	return (struct gap){ from, cut, end, to };
}

void vc_hash_gap(const char *text, const struct gap *g, uint8_t out[SHA256_LEN],
		 struct sha256_ctx *upto)
{
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, text + g->from, g->cut - g->from);
	*upto = c;
	sha256_add(&c, text + g->end, g->to - g->end);
	sha256_end(&c, out);
}

void vc_hash_rest(struct sha256_ctx *upto, const char *text, size_t from, size_t to,
		  uint8_t out[SHA256_LEN])
{
	sha256_add(upto, text + from, to - from);
	sha256_end(upto, out);
}

enum { PROOF_KEY_LEN = sizeof("\"proof\":") - 1 };

struct gap vc_gap_of_proof(const char *text, const struct canon_mark *doc,
			   const struct canon_mark *proof)
{
	return gap_of(text, doc->start, proof->start - PROOF_KEY_LEN, proof->end, doc->end);
}

/* hashData: the proof without its value first, then the document without its proof. In a proof of
 * our members the key stands once: inside a string its quotes would be escaped. */
static int hash_data(struct vc *v, const char *text, const struct canon_mark *doc,
		     const struct canon_mark *proof, const struct vc_profile *pf, struct err *e)
{
	static const char value_key[] = "\"proofValue\":\"";
	const char *p = text + proof->start, *value, *quote;
	struct sha256_ctx upto;
	struct gap g;

	if (proof->start <= doc->start || proof->end >= doc->end)
		return err_set(e, -EINVAL, "proof: object required");
	value = memmem(p, proof->end - proof->start, value_key, sizeof(value_key) - 1);
	quote = value ? memchr(value + sizeof(value_key) - 1, '"',
			       (size_t)(text + proof->end - value) - (sizeof(value_key) - 1))
		      : NULL;
	if (!quote)
		return err_set(e, -EINVAL, "proof.proofValue: missing");
	g = gap_of(text, proof->start, (size_t)(value - text), (size_t)(quote + 1 - text),
		   proof->end);
	vc_hash_gap(text, &g, v->hash, &upto);
	g = vc_gap_of_proof(text, doc, proof);
	vc_hash_gap(text, &g, v->hash + SHA256_LEN, &upto);
	if (!pf->presentation)
		vc_hash_rest(&upto, text, g.cut, g.to, v->digest);
	return 0;
}

/* --- reading --- */

int vc_read_tree(struct vc *v, const struct vc_profile *pf, struct err *e)
{
	int r;

	if (!json_is_object(v->doc))
		return err_set(e, -EINVAL, "document: object required");
	r = check_members(v, pf, e);
	if (!r)
		r = read_proof(v, pf, e);
	return r ? r : read_head(v, pf, e);
}

static int read_all(struct vc *v, const char *text, const struct canon_mark *doc,
		    const struct canon_mark *proof, const struct vc_profile *pf, struct err *e)
{
	int r = vc_read_tree(v, pf, e);

	return r ? r : hash_data(v, text, doc, proof, pf, e);
}

static void ask_marks(struct vc *v, const json_t *in)
{
	const json_t *list = json_object_get(in, "verifiableCredential");
	const json_t *p = parent_of(list ? json_array_get(list, 0) : in);

	for (; p && v->parents <= VC_PARENTS_MAX; p = parent_of(p)) {
		struct canon_mark *m = &v->marks[VC_PARENTS_AT + 2 * v->parents];

		if (v->parents++ == VC_PARENTS_MAX)
			break;
		m[0].value = p;
		m[1].value = json_object_get(p, "proof");
	}
	v->marks[0].value = json_object_get(in, "proof");
	for (size_t i = 0; i < VC_INNER_MAX; i++) {
		const json_t *c = json_array_get(list, i);

		v->marks[1 + 2 * i].value = c;
		v->marks[2 + 2 * i].value = json_object_get(c, "proof");
	}
}

int vc_spell(struct vc *v, const json_t *in, const struct vc_profile *pf, bool *reals,
	     struct err *e)
{
	struct canon_rules rules = { .integers_only = pf->integers_only,
				     .depth = pf->limits.depth,
				     .nodes = pf->limits.nodes,
				     .reals = reals };

	ask_marks(v, in);
	return canon_marked(in, pf->limits.bytes, &rules, v->marks, VC_MARKS, &v->text, &v->len, e);
}

/* From here on only what was signed counts, in the one spelling that it has: without reals the
 * tree says just that, else it is read again. */
static int take(struct vc *v, const json_t *in, const struct vc_profile *pf, struct err *e)
{
	bool reals = false;
	int r = vc_spell(v, in, pf, &reals, e);

	if (r)
		return r;
	if (reals)
		return json_read(&v->doc, v->text, v->len, &pf->limits, e);
	v->doc = json_incref((json_t *)(uintptr_t)in);
	return 0;
}

int vc_read(struct vc **ret, const json_t *in, const struct vc_profile *pf, struct err *e)
{
	struct vc *v = calloc(1, sizeof(*v));
	struct canon_mark whole = { 0 };
	int r;

	if (!v)
		return err_set(e, -ENOMEM, "document: no memory");
	r = take(v, in, pf, e);
	whole.end = v->len;
	if (!r)
		r = read_all(v, v->text, &whole, &v->marks[0], pf, e);
	if (r) {
		(void)vc_free(v);
		return r == -EBADMSG ? -EINVAL : r;
	}
	*ret = v;
	return 0;
}

int vc_read_inner(struct vc **ret, const struct vc *outer, size_t i, const struct vc_profile *pf,
		  struct err *e)
{
	struct vc *v = i < VC_INNER_MAX ? calloc(1, sizeof(*v)) : NULL;
	int r;

	if (!v)
		return err_set(e, -ENOMEM, "document: no memory");
	v->doc =
		json_incref(json_array_get(json_object_get(outer->doc, "verifiableCredential"), i));
	r = read_all(v, outer->text, &outer->marks[1 + 2 * i], &outer->marks[2 + 2 * i], pf, e);
	if (r) {
		(void)vc_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

int vc_read_parent(struct vc **ret, const struct vc *outer, size_t i, const struct vc_profile *pf,
		   struct err *e)
{
	const struct canon_mark *m = &outer->marks[VC_PARENTS_AT + 2 * i];
	struct vc *v = i < VC_PARENTS_MAX ? calloc(1, sizeof(*v)) : NULL;
	int r;

	if (!v)
		return err_set(e, -ENOMEM, "document: no memory");
	v->doc = json_incref((json_t *)(uintptr_t)m[0].value);
	r = read_all(v, outer->text, &m[0], &m[1], pf, e);
	if (r) {
		(void)vc_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

struct vc *vc_free(struct vc *v)
{
	if (v) {
		json_decref(v->doc);
		free(v->text);
	}
	free(v);
	return NULL;
}

/* Signatures that were found good, with what they sign and whose key: the same three are good
 * again. A wallet comes along with every intent. */
enum { GOOD_MAX = 64 };
static struct good {
	uint8_t pub[ED25519_PUB_LEN], sig[SIGN_SIG_LEN], hash[SIGN_HASH_LEN];
} good[GOOD_MAX];

static bool signature_ok(const struct vc *v, const uint8_t pub[ED25519_PUB_LEN])
{
	struct good *g = &good[v->sig[0] % GOOD_MAX];

	if (!memcmp(g->sig, v->sig, sizeof(g->sig)) && !memcmp(g->hash, v->hash, sizeof(g->hash)) &&
	    !memcmp(g->pub, pub, sizeof(g->pub)))
		return true;
	if (!ed25519_verify(v->sig, v->hash, sizeof(v->hash), pub))
		return false;
	memcpy(g->pub, pub, sizeof(g->pub));
	memcpy(g->sig, v->sig, sizeof(g->sig));
	memcpy(g->hash, v->hash, sizeof(g->hash));
	return true;
}

int vc_verified(const struct vc *v, const struct vc_profile *pf, const struct did_resolver *keys,
		struct err *e)
{
	uint8_t pub[ED25519_PUB_LEN];
	int r;

	if (strcmp(v->controller, v->author))
		return err_set(e, -EPERM, "proof.verificationMethod: not controlled by the %s",
			       pf->author);
	r = keys->resolve(keys->arg, v->method, pf->purpose, pub, e);
	if (r)
		return r;
	if (!signature_ok(v, pub))
		return err_set(e, -EKEYREJECTED, "proof.proofValue: the signature does not verify");
	return 0;
}
