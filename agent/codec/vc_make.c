/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of our own, in the strict profile: their signature is asked for, and waited for when it
 * is needed. */
#include "agent/codec/vc_i.h"

#include <errno.h>

#include "agent/codec/canon.h"

struct vc_asked {
	struct vc *v; /* canonical text and hash, without the signature */
	const struct vc_profile *pf;
	struct sha256_ctx upto; /* of the text, up to the proof */
	sign_await_fn await;
	void *arg, *asked; /* NULL: v->sig is there */
};

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

static json_t *options_new(const struct vc_profile *pf, const struct vc_proof_options *po,
			   const char *method)
{
	auto_json json_t *p = json_pack(
		"{s:o, s:s, s:s, s:o, s:s, s:s}", "@context", new_list(pf->contexts), "type",
		"DataIntegrityProof", "cryptosuite", "eddsa-jcs-2022", "created",
		json_time(po->created), "verificationMethod", method, "proofPurpose", pf->purpose);

	if (!p || (po->expires.ms && json_object_set_new(p, "expires", json_time(po->expires))) ||
	    (po->domain && json_object_set_new(p, "domain", json_string(po->domain))) ||
	    (po->challenge && json_object_set_new(p, "challenge", json_string(po->challenge))))
		return NULL;
	return TAKE_PTR(p);
}

/* Asks for the signature of a->v->text, whose proof has no value yet. */
static int ask_for(struct vc_asked *a, const struct sign_port *port, struct sign_request *rq,
		   struct err *e)
{
	struct vc *v = a->v;
	const struct canon_mark whole = { .end = v->len }, *proof = &v->marks[0];
	struct gap g = vc_gap_of_proof(v->text, &whole, proof);
	auto_free char *document = malloc(v->len);
	int r;

	if (!document)
		return err_set(e, -ENOMEM, "document: no memory");
	memcpy(document, v->text, g.cut);
	memcpy(document + g.cut, v->text + g.end, g.to - g.end);
	rq->document = document;
	rq->document_len = g.cut + g.to - g.end;
	rq->proof = v->text + proof->start;
	rq->proof_len = proof->end - proof->start;
	sha256(rq->proof, rq->proof_len, rq->hash); /* the proof's hash comes first */
	vc_hash_gap(v->text, &g, rq->hash + SHA256_LEN, &a->upto);
	memcpy(v->hash, rq->hash, sizeof(v->hash));
	if (!str_set(rq->method, port->method))
		return err_set(e, -EINVAL, "verificationMethod: too long");
	r = port->ask ? port->ask(port->arg, rq, &a->asked) : port->sign(port->arg, rq, v->sig);
	rq->proof = rq->document = NULL;
	return r ? err_set(e, r, "signer: refused to sign (%d)", r) : 0;
}

/* Into tree and text of the proof. In the text it stands before the type, the first key behind it
 * that each proof has; inside a string the quotes of that key would be escaped. */
static int put_value(struct vc *v, struct err *e)
{
	static const char type_key[] = ",\"type\":\"";
	char member[160] = ",\"proofValue\":\"z", *p, *at;
	const size_t from = strlen(member);
	int n = base58_encode(v->sig, sizeof(v->sig), member + from, sizeof(member) - from - 2);
	size_t len;

	if (n < 0 || json_object_set_new(json_object_get(v->doc, "proof"), "proofValue",
					 json_string(member + from - 1)))
		return err_set(e, -ENOMEM, "proof: no memory");
	len = from + (size_t)n;
	member[len++] = '"';
	p = realloc(v->text, v->len + len + 1);
	if (!p)
		return err_set(e, -ENOMEM, "proof: no memory");
	v->text = p;
	at = memmem(p + v->marks[0].start, v->marks[0].end - v->marks[0].start, type_key,
		    sizeof(type_key) - 1);
	if (!at)
		return err_set(e, -EINVAL, "proof.type: missing");
	memmove(at + len, at, v->len + 1 - (size_t)(at - p));
	memcpy(at, member, len);
	v->len += len;
	for (size_t i = 0; i < VC_MARKS; i++) {
		v->marks[i].start += v->marks[i].start >= (size_t)(at - p) ? len : 0;
		v->marks[i].end += v->marks[i].end > (size_t)(at - p) ? len : 0;
	}
	return 0;
}

/* What we sign must pass our own reader, and the key must be the author's. */
static int seal(struct vc_asked *a, struct err *e)
{
	const struct vc_profile *pf = a->pf;
	struct vc *v = a->v;
	struct canon_mark whole = { 0 };
	int r = put_value(v, e);

	if (!r && v->len > pf->limits.bytes)
		r = err_set(e, -EMSGSIZE, "document: %zu bytes, at most %zu", v->len,
			    pf->limits.bytes);
	if (!r)
		r = vc_read_tree(v, pf, e);
	if (!r && strcmp(v->controller, v->author))
		r = err_set(e, -EPERM, "%s: does not control the signing key", pf->author);
	if (r || pf->presentation)
		return r;
	whole.end = v->len;
	vc_hash_rest(&a->upto, v->text, vc_gap_of_proof(v->text, &whole, &v->marks[0]).cut, v->len,
		     v->digest);
	return 0;
}

struct vc_asked *vc_asked_free(struct vc_asked *a)
{
	if (!a)
		return NULL;
	if (a->asked)
		(void)a->await(a->arg, a->asked, NULL);
	(void)vc_free(a->v);
	free(a);
	return NULL;
}

static int body_with(const json_t *body, const struct vc_profile *pf,
		     const struct vc_proof_options *po, const char *method, struct vc **ret)
{
	struct vc *v = *ret = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->doc = json_copy((json_t *)(uintptr_t)body);
	return json_object_set_new(v->doc, "@context", new_list(pf->contexts)) ||
			       json_object_set_new(v->doc, "type", new_list(pf->types)) ||
			       json_object_set_new(v->doc, "proof", options_new(pf, po, method))
		       ? -ENOMEM
		       : 0;
}

int vc_ask(const json_t *body, const struct vc_profile *pf, const struct vc_proof_options *po,
	   const struct sign_port *port, struct sign_request *rq, struct vc_asked **ret,
	   struct err *e)
{
	struct vc_asked *a = calloc(1, sizeof(*a));
	bool reals = false;
	int r;

	if (!a || body_with(body, pf, po, port->method, &a->v)) {
		(void)vc_asked_free(a);
		return err_set(e, -ENOMEM, "document: no memory");
	}
	a->pf = pf;
	a->await = port->await;
	a->arg = port->arg;
	/* Canonicalised once: the signer gets that text in its two parts, and what comes back goes
	 * in. */
	r = vc_spell(a->v, a->v->doc, pf, &reals, e);
	if (!r)
		r = ask_for(a, port, rq, e);
	if (r) {
		(void)vc_asked_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

int vc_await(struct vc_asked *a, struct vc **ret, struct err *e)
{
	void *asked = a->asked;
	int r = 0;

	a->asked = NULL;
	if (asked) {
		r = a->await(a->arg, asked, a->v->sig);
		r = r ? err_set(e, r, "signer: refused to sign (%d)", r) : 0;
	}
	if (!r)
		r = seal(a, e);
	if (!r)
		*ret = TAKE_PTR(a->v);
	(void)vc_asked_free(a);
	return r;
}

int vc_await_doc(struct vc_asked *a, json_t **ret, struct err *e)
{
	struct vc *v = NULL;
	int r = vc_await(a, &v, e);

	if (!r)
		*ret = json_incref(v->doc);
	(void)vc_free(v);
	return r;
}

int vc_issue(const json_t *body, const struct vc_profile *pf, const struct vc_proof_options *po,
	     const struct sign_port *port, struct sign_request *rq, json_t **ret, struct err *e)
{
	struct vc_asked *a = NULL;
	int r = vc_ask(body, pf, po, port, rq, &a, e);

	return r ? r : vc_await_doc(a, ret, e);
}
