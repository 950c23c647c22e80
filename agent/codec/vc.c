/* SPDX-License-Identifier: Apache-2.0 */
/* The strict profile. Three things that the recommendation lets pass are refused here: a context
 * appended after signing, a number spelt another way, and a proof that is a list. */
#include "agent/codec/vc.h"

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

static json_t *new_list(const char *const *list)
{
	json_t *v = json_array();

	for (; v && *list; list++)
		if (json_array_append_new(v, json_string(*list))) {
			json_decref(v);
			return NULL;
		}
	return v;
}

/* A whole number spelt 2.5e7 has the signature of 25000000; only one spelling is ours. */
static int check_integers(const json_t *v, struct err *e)
{
	const char *key;
	json_t *c;
	size_t i;
	int r = 0;

	if (json_is_real(v))
		return err_set(e, -EINVAL, "number: integers only, without point or exponent");
	json_object_foreach ((json_t *)(uintptr_t)v, key, c)
		if ((r = check_integers(c, e)))
			return r;
	json_array_foreach (v, i, c)
		if ((r = check_integers(c, e)))
			return r;
	return r;
}

/* Below the top: no @context anywhere. */
static int check_inside(json_t *v, struct err *e)
{
	const char *key;
	json_t *c;
	size_t i;
	int r = 0;

	json_object_foreach (v, key, c) {
		if (!strcmp(key, "@context"))
			return err_set(e, -EINVAL, "@context: only at the top of a document");
		r = check_inside(c, e);
		if (r)
			return r;
	}
	json_array_foreach (v, i, c) {
		r = check_inside(c, e);
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
		r = check_inside(c, e);
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
	char controller[DID_MAX];
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
		r = did_method_controller(v->method, controller, e);
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

static int read_all(struct vc *v, const struct vc_profile *pf, struct err *e)
{
	int r;

	if (!json_is_object(v->doc))
		return err_set(e, -EINVAL, "document: object required");
	r = check_members(v, pf, e);
	if (!r)
		r = read_proof(v, pf, e);
	if (!r)
		r = read_head(v, pf, e);
	if (!r)
		r = proof_hash(v->doc, json_object_get(v->doc, "proof"), v->hash, e);
	return r;
}

int vc_read(struct vc **ret, const json_t *in, const struct vc_profile *pf, struct err *e)
{
	auto_free char *text = NULL;
	struct vc *v;
	size_t len;
	int r;

	/* From here on only what was signed counts, in the one spelling that it has. */
	r = canon_text(in, pf->limits.bytes, &text, &len, e);
	if (r)
		return r;
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, -ENOMEM, "document: no memory");
	sha256(text, len, v->digest);
	r = json_read(&v->doc, text, len, &pf->limits, e);
	if (!r && pf->integers_only)
		r = check_integers(in, e);
	if (!r)
		r = read_all(v, pf, e);
	if (r) {
		(void)vc_free(v);
		return r == -EBADMSG ? -EINVAL : r;
	}
	*ret = v;
	return 0;
}

int vc_read_inner(struct vc **ret, json_t *in, const struct vc_profile *pf, struct err *e)
{
	struct vc *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_set(e, -ENOMEM, "document: no memory");
	v->doc = json_incref(in);
	r = pf->integers_only ? check_integers(in, e) : 0;
	if (!r)
		r = read_all(v, pf, e);
	if (!r)
		r = canon_sha256(in, v->digest, e);
	if (r) {
		(void)vc_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

struct vc *vc_free(struct vc *v)
{
	if (v)
		json_decref(v->doc);
	free(v);
	return NULL;
}

int vc_verified(const struct vc *v, const struct vc_profile *pf, const struct did_resolver *keys,
		struct err *e)
{
	char controller[DID_MAX];
	uint8_t pub[ED25519_PUB_LEN];
	int r = did_method_controller(v->method, controller, e);

	if (r)
		return r;
	if (strcmp(controller, v->author))
		return err_set(e, -EPERM, "proof.verificationMethod: not controlled by the %s",
			       pf->author);
	r = keys->resolve(keys->arg, v->method, pf->purpose, pub, e);
	if (r)
		return r;
	if (!ed25519_verify(v->sig, v->hash, sizeof(v->hash), pub))
		return err_set(e, -EKEYREJECTED, "proof.proofValue: the signature does not verify");
	return 0;
}

static json_t *options_new(const struct vc_profile *pf, const struct vc_proof_options *po,
			   const char *method)
{
	auto_json json_t *p =
		json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", "DataIntegrityProof", "cryptosuite",
			  "eddsa-jcs-2022", "created", json_time(po->created), "verificationMethod",
			  method, "proofPurpose", pf->purpose);

	if (!p || (po->expires.ms && json_object_set_new(p, "expires", json_time(po->expires))) ||
	    (po->domain && json_object_set_new(p, "domain", json_string(po->domain))) ||
	    (po->challenge && json_object_set_new(p, "challenge", json_string(po->challenge))))
		return NULL;
	return TAKE_PTR(p);
}

/* What we sign must pass our own reader, and the key must be the author's. */
static int check_own(const json_t *doc, const struct vc_profile *pf, struct err *e)
{
	char controller[DID_MAX];
	struct vc *v = NULL;
	int r = vc_read(&v, doc, pf, e);

	if (r)
		return r;
	r = did_method_controller(v->method, controller, e);
	if (!r && strcmp(controller, v->author))
		r = err_set(e, -EPERM, "%s: does not control the signing key", pf->author);
	(void)vc_free(v);
	return r;
}

int vc_issue(const json_t *body, const struct vc_profile *pf, const struct vc_proof_options *po,
	     const struct sign_port *port, struct sign_request *rq, json_t **ret, struct err *e)
{
	auto_json json_t *doc = json_copy((json_t *)(uintptr_t)body);
	auto_json json_t *options = options_new(pf, po, port->method);
	json_t *secured = NULL;
	int r;

	if (!doc || !options || json_object_set_new(doc, "@context", new_list(pf->contexts)) ||
	    json_object_set_new(doc, "type", new_list(pf->types)))
		return err_set(e, -ENOMEM, "document: no memory");
	r = proof_create(doc, options, port, rq, &secured, e);
	if (r)
		return r;
	r = check_own(secured, pf, e);
	if (r) {
		json_decref(secured);
		return r;
	}
	*ret = secured;
	return 0;
}
