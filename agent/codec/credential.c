/* SPDX-License-Identifier: Apache-2.0 */
/* Agreement, acceptance and receipt: three credentials that name each other by digest. */
#include "agent/codec/credential.h"

#include <errno.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */
#define SUBJECT      "credentialSubject"
#define TREATY       "credentialSubject.treaty"

static const char *const contexts[] = { VC_CONTEXT_V2, TREATY_CONTEXT_AGREEMENT, NULL };
static const char *const members[] = { "id", "issuer", "validFrom", SUBJECT, NULL };
static const char *const agreement_types[] = { "VerifiableCredential", "AgreementCredential",
					       NULL };
static const char *const acceptance_types[] = { "VerifiableCredential", "AcceptanceCredential",
						NULL };
static const char *const receipt_types[] = { "VerifiableCredential", "DebitReceiptCredential",
					     NULL };

const struct vc_profile agreement_profile = { .contexts = contexts,
					      .types = agreement_types,
					      .members = members,
					      .purpose = "assertionMethod",
					      .author = "issuer",
					      .limits = JSON_LIMITS_BODY };
const struct vc_profile acceptance_profile = { .contexts = contexts,
					       .types = acceptance_types,
					       .members = members,
					       .purpose = "assertionMethod",
					       .author = "issuer",
					       .integers_only = true,
					       .limits = JSON_LIMITS_BODY };
const struct vc_profile receipt_profile = { .contexts = contexts,
					    .types = receipt_types,
					    .members = members,
					    .purpose = "assertionMethod",
					    .author = "issuer",
					    .integers_only = true,
					    .limits = JSON_LIMITS_BODY };

/* Accumulates: after the first error every further getter is skipped. */
struct reader {
	const json_t *o;
	const char *path;
	struct err *e;
	int r;
};

static void get_text(struct reader *d, const char *key, char *dst, size_t cap)
{
	if (!d->r)
		d->r = json_need_text(d->o, d->path, key, dst, cap, d->e);
}

static void get_int(struct reader *d, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	if (!d->r)
		d->r = json_need_int(d->o, d->path, key, min, max, ret, d->e);
}

static void get_time(struct reader *d, const char *key, wall_t *ret)
{
	if (!d->r)
		d->r = json_need_time(d->o, d->path, key, ret, d->e);
}

static void get_digest(struct reader *d, const char *key, uint8_t ret[DIGEST_LEN])
{
	const char *s = NULL;

	if (!d->r)
		d->r = json_need_str(d->o, d->path, key, &s, d->e);
	if (!d->r && digest_decode(s, ret))
		d->r = err_set(d->e, -EINVAL, "%s.%s: 'u' and SHA-256 required", d->path, key);
}

static void get_currency(struct reader *d, char ret[CURRENCY_MAX])
{
	get_text(d, "currency", ret, CURRENCY_MAX);
	if (!d->r && strspn(ret, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		d->r = err_set(d->e, -EINVAL, "%s.currency: three letters of ISO 4217", d->path);
}

static struct reader enter(const struct reader *d, const char *key, const char *path)
{
	struct reader in = { .path = path, .e = d->e, .r = d->r };
	json_t *o = NULL;

	if (!in.r)
		in.r = json_need_obj(d->o, d->path, key, &o, d->e);
	in.o = o;
	return in;
}

/* --- agreement --- */

static int read_treaty(struct agreement_terms *t, const json_t *subject, struct err *e)
{
	struct reader s = { .o = subject, .path = SUBJECT, .e = e };
	struct reader d = enter(&s, "treaty", TREATY), sub;
	int64_t label = 0;

	if (!d.r)
		d.r = json_only(d.o, TREATY, e, "lineageId", "revision", "previousDigest",
				"walletId", "generation", "holdId", "quoteDigest", "flowLabelValue",
				"amount", "term", "acceptBy", NULL);
	get_text(&d, "lineageId", t->lineage, sizeof(t->lineage));
	get_int(&d, "revision", 1, INT32_MAX, &t->revision);
	get_text(&d, "walletId", t->wallet_id, sizeof(t->wallet_id));
	get_int(&d, "generation", 1, INT_SAFE_MAX, &t->generation);
	get_text(&d, "holdId", t->hold_id, sizeof(t->hold_id));
	get_digest(&d, "quoteDigest", t->quote_digest);
	get_int(&d, "flowLabelValue", 1, 0xfffff, &label);
	get_time(&d, "acceptBy", &t->accept_by);
	if (!d.r && t->revision == 1 && json_object_get(d.o, "previousDigest"))
		d.r = err_set(e, -EINVAL, TREATY ".previousDigest: revision 1 follows nothing");
	if (!d.r && json_object_get(d.o, "previousDigest"))
		get_digest(&d, "previousDigest", t->previous);
	sub = enter(&d, "amount", TREATY ".amount");
	if (!sub.r)
		sub.r = json_only(sub.o, sub.path, e, "amount", "currency", NULL);
	get_int(&sub, "amount", 0, INT_SAFE_MAX, &t->amount.minor);
	get_currency(&sub, t->currency);
	d.r = sub.r;
	sub = enter(&d, "term", TREATY ".term");
	if (!sub.r)
		sub.r = json_only(sub.o, sub.path, e, "startDateTime", "endDateTime", NULL);
	get_time(&sub, "startDateTime", &t->term_start);
	get_time(&sub, "endDateTime", &t->term_end);
	if (!sub.r && t->term_end.ms <= t->term_start.ms)
		sub.r = err_set(e, -EINVAL, TREATY ".term: must end after its start");
	t->label = (uint32_t)label;
	return sub.r;
}

static int read_agreement(struct agreement_terms *ret, const json_t *doc, struct err *e)
{
	struct agreement_terms t;
	struct reader d = { .o = doc, .path = "", .e = e }, s;
	const char *id = NULL;

	memset(&t, 0, sizeof(t));
	get_text(&d, "id", t.id, sizeof(t.id));
	get_text(&d, "issuer", t.issuer, sizeof(t.issuer));
	s = enter(&d, SUBJECT, SUBJECT);
	if (!s.r && json_opt_str(s.o, SUBJECT, "id", &id, e) < 0)
		s.r = -EINVAL;
	if (!s.r && id && !strchr(id, ':'))
		s.r = err_set(e, -EINVAL, SUBJECT ".id: URI required (urn:uuid:...)");
	if (!s.r)
		s.r = read_treaty(&t, s.o, e);
	if (!s.r)
		memcpy(ret, &t, sizeof(t));
	return s.r;
}

static json_t *treaty_new(const struct agreement_terms *t)
{
	static const uint8_t none[DIGEST_LEN];
	char quote[DIGEST_MULTIBASE_MAX], previous[DIGEST_MULTIBASE_MAX];

	digest_encode(t->quote_digest, quote);
	digest_encode(t->previous, previous);
	return json_pack(
		"{s:s, s:I, s:s*, s:s, s:I, s:s, s:s, s:I, s:{s:I, s:s}, s:{s:o, s:o}, s:o}",
		"lineageId", t->lineage, "revision", (json_int_t)t->revision, "previousDigest",
		memcmp(t->previous, none, DIGEST_LEN) ? previous : NULL, "walletId", t->wallet_id,
		"generation", (json_int_t)t->generation, "holdId", t->hold_id, "quoteDigest", quote,
		"flowLabelValue", (json_int_t)t->label, "amount", "amount",
		(json_int_t)t->amount.minor, "currency", t->currency, "term", "startDateTime",
		json_time(t->term_start), "endDateTime", json_time(t->term_end), "acceptBy",
		json_time(t->accept_by));
}

int agreement_ask(const struct agreement_terms *t, const json_t *tmf651, wall_t now,
		  const struct sign_port *port, struct vc_asked **ret, struct err *e)
{
	struct sign_request rq = { .kind = SIGN_AGREEMENT };
	struct vc_proof_options po = { .created = now };
	auto_json json_t *subject = NULL, *body = NULL;
	struct agreement_terms back;
	int r;

	if (!json_is_object(tmf651) || json_object_get(tmf651, "treaty"))
		return err_set(e, -EINVAL, "agreement: a TMF651 object without \"treaty\"");
	subject = json_copy((json_t *)(uintptr_t)tmf651);
	if (!subject || json_object_set_new(subject, "treaty", treaty_new(t)))
		return err_set(e, -EINVAL, "agreement: a text is not UTF-8, or no memory");
	body = json_pack("{s:s, s:s, s:o, s:O}", "id", t->id, "issuer", t->issuer, "validFrom",
			 json_time(now), SUBJECT, subject);
	if (!body)
		return err_set(e, -EINVAL, "agreement: a text is not UTF-8, or no memory");
	r = read_agreement(&back, body, e);
	if (r)
		return r;
	return vc_ask(body, &agreement_profile, &po, port, &rq, ret, e);
}

static int body_of(const json_t *doc, json_t **ret, struct err *e)
{
	json_t *body = json_copy(json_object_get(doc, SUBJECT));

	if (!body)
		return err_set(e, -ENOMEM, "agreement: no memory");
	(void)json_object_del(body, "treaty");
	*ret = body;
	return 0;
}

static int open_vc(struct vc **ret, const json_t *vc, const struct vc_profile *pf,
		   const struct did_resolver *keys, struct err *e)
{
	struct vc *v = NULL;
	int r = vc_read(&v, vc, pf, e);

	if (!r)
		r = vc_verified(v, pf, keys, e);
	if (r) {
		(void)vc_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

int agreement_open(const json_t *vc, const struct did_resolver *keys, struct agreement_terms *ret,
		   json_t **body, struct vc **kept, struct err *e)
{
	struct vc *v = NULL;
	struct agreement_terms t;
	int r = open_vc(&v, vc, &agreement_profile, keys, e);

	if (r)
		return r;
	r = read_agreement(&t, v->doc, e);
	if (!r && body)
		r = body_of(v->doc, body, e);
	if (r) {
		(void)vc_free(v);
		return r;
	}
	memcpy(ret, &t, sizeof(t));
	*kept = v;
	return 0;
}

/* --- acceptance --- */

static int read_acceptance(struct acceptance *ret, const json_t *doc, struct err *e)
{
	struct acceptance a;
	struct reader d = { .o = doc, .path = "", .e = e }, s;

	memset(&a, 0, sizeof(a));
	get_text(&d, "id", a.id, sizeof(a.id));
	get_text(&d, "issuer", a.issuer, sizeof(a.issuer));
	get_time(&d, "validFrom", &a.accepted_at);
	s = enter(&d, SUBJECT, SUBJECT);
	if (!s.r)
		s.r = json_only(s.o, SUBJECT, e, "type", "agreementDigest", "lineageId", "revision",
				"holdId", NULL);
	if (!s.r)
		s.r = json_need_const(s.o, SUBJECT, "type", "AgreementAcceptance", e);
	get_digest(&s, "agreementDigest", a.agreement_digest);
	get_text(&s, "lineageId", a.lineage, sizeof(a.lineage));
	get_int(&s, "revision", 1, INT32_MAX, &a.revision);
	get_text(&s, "holdId", a.hold_id, sizeof(a.hold_id));
	if (!s.r)
		memcpy(ret, &a, sizeof(a));
	return s.r;
}

int acceptance_ask(const struct acceptance *a, const char *about, size_t len,
		   const struct sign_port *port, struct vc_asked **ret, struct err *e)
{
	struct sign_request rq = { .kind = SIGN_ACCEPTANCE, .about = about, .about_len = len };
	struct vc_proof_options po = { .created = a->accepted_at };
	char digest[DIGEST_MULTIBASE_MAX];
	auto_json json_t *body = NULL;
	struct acceptance back;
	int r;

	digest_encode(a->agreement_digest, digest);
	body = json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s, s:I, s:s}}", "id", a->id, "issuer",
			 a->issuer, "validFrom", json_time(a->accepted_at), SUBJECT, "type",
			 "AgreementAcceptance", "agreementDigest", digest, "lineageId", a->lineage,
			 "revision", (json_int_t)a->revision, "holdId", a->hold_id);
	if (!body)
		return err_set(e, -EINVAL, "acceptance: a text is not UTF-8, or no memory");
	r = read_acceptance(&back, body, e);
	if (r)
		return r;
	return vc_ask(body, &acceptance_profile, &po, port, &rq, ret, e);
}

int acceptance_verify(const json_t *vc, const struct did_resolver *keys, struct acceptance *ret,
		      uint8_t digest[DIGEST_LEN], struct err *e)
{
	struct vc *v = NULL;
	int r = open_vc(&v, vc, &acceptance_profile, keys, e);

	if (r)
		return r;
	r = read_acceptance(ret, v->doc, e);
	if (!r)
		memcpy(digest, v->digest, DIGEST_LEN);
	(void)vc_free(v);
	return r;
}

/* --- receipt --- */

static int read_receipt(struct receipt *ret, const json_t *doc, struct err *e)
{
	struct receipt c;
	struct reader d = { .o = doc, .path = "", .e = e }, s;

	memset(&c, 0, sizeof(c));
	get_text(&d, "id", c.id, sizeof(c.id));
	get_text(&d, "issuer", c.issuer, sizeof(c.issuer));
	get_time(&d, "validFrom", &c.issued_at);
	s = enter(&d, SUBJECT, SUBJECT);
	if (!s.r)
		s.r = json_only(s.o, SUBJECT, e, "type", "walletId", "holdId", "lineageId",
				"revision", "amount", "cumulativeAfter", "currency", "ledgerSeq",
				"prevReceiptDigest", NULL);
	if (!s.r)
		s.r = json_need_const(s.o, SUBJECT, "type", "DebitReceipt", e);
	get_text(&s, "walletId", c.wallet_id, sizeof(c.wallet_id));
	get_text(&s, "holdId", c.hold_id, sizeof(c.hold_id));
	get_text(&s, "lineageId", c.lineage, sizeof(c.lineage));
	get_int(&s, "revision", 1, INT32_MAX, &c.revision);
	get_int(&s, "amount", 0, INT_SAFE_MAX, &c.amount.minor);
	get_int(&s, "cumulativeAfter", 0, INT_SAFE_MAX, &c.cumulative_after.minor);
	get_currency(&s, c.currency);
	get_int(&s, "ledgerSeq", 1, INT_SAFE_MAX, &c.ledger_seq);
	c.has_previous = !s.r && json_object_get(s.o, "prevReceiptDigest");
	if (c.has_previous)
		get_digest(&s, "prevReceiptDigest", c.previous);
	if (!s.r && c.cumulative_after.minor < c.amount.minor)
		s.r = err_set(e, -EINVAL, SUBJECT ".cumulativeAfter: below the amount");
	if (!s.r)
		memcpy(ret, &c, sizeof(c));
	return s.r;
}

int receipt_ask(const struct receipt *c, const struct sign_port *port, struct vc_asked **ret,
		struct err *e)
{
	struct sign_request rq = { .kind = SIGN_RECEIPT };
	struct vc_proof_options po = { .created = c->issued_at };
	char previous[DIGEST_MULTIBASE_MAX];
	auto_json json_t *body = NULL;
	struct receipt back;
	int r;

	digest_encode(c->previous, previous);
	body = json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:s*}}",
			 "id", c->id, "issuer", c->issuer, "validFrom", json_time(c->issued_at),
			 SUBJECT, "type", "DebitReceipt", "walletId", c->wallet_id, "holdId",
			 c->hold_id, "lineageId", c->lineage, "revision", (json_int_t)c->revision,
			 "amount", (json_int_t)c->amount.minor, "cumulativeAfter",
			 (json_int_t)c->cumulative_after.minor, "currency", c->currency,
			 "ledgerSeq", (json_int_t)c->ledger_seq, "prevReceiptDigest",
			 c->has_previous ? previous : NULL);
	if (!body)
		return err_set(e, -EINVAL, "receipt: a text is not UTF-8, or no memory");
	r = read_receipt(&back, body, e);
	if (r)
		return r;
	return vc_ask(body, &receipt_profile, &po, port, &rq, ret, e);
}

int receipt_verify(const json_t *vc, const struct did_resolver *keys, struct receipt *ret,
		   uint8_t digest[DIGEST_LEN], struct err *e)
{
	struct vc *v = NULL;
	int r = open_vc(&v, vc, &receipt_profile, keys, e);

	if (r)
		return r;
	r = read_receipt(ret, v->doc, e);
	if (!r)
		memcpy(digest, v->digest, DIGEST_LEN);
	(void)vc_free(v);
	return r;
}

/* --- the document alone --- */

int agreement_issue(const struct agreement_terms *t, const json_t *tmf651, wall_t now,
		    const struct sign_port *port, json_t **ret, struct err *e)
{
	struct vc_asked *a = NULL;
	int r = agreement_ask(t, tmf651, now, port, &a, e);

	return r ? r : vc_await_doc(a, ret, e);
}

int agreement_verify(const json_t *vc, const struct did_resolver *keys, struct agreement_terms *ret,
		     json_t **body, uint8_t digest[DIGEST_LEN], struct err *e)
{
	struct vc *v = NULL;
	int r = agreement_open(vc, keys, ret, body, &v, e);

	if (r)
		return r;
	memcpy(digest, v->digest, DIGEST_LEN);
	(void)vc_free(v);
	return 0;
}

int acceptance_issue(const struct acceptance *a, const json_t *agreement,
		     const struct sign_port *port, json_t **ret, struct err *e)
{
	auto_free char *text = NULL;
	struct vc_asked *asked = NULL;
	size_t len = 0;
	int r = agreement ? canon_text(agreement, agreement_profile.limits.bytes, &text, &len, e)
			  : 0;

	if (!r)
		r = acceptance_ask(a, text, len, port, &asked, e);
	return r ? r : vc_await_doc(asked, ret, e);
}

int receipt_issue(const struct receipt *c, const struct sign_port *port, json_t **ret,
		  struct err *e)
{
	struct vc_asked *a = NULL;
	int r = receipt_ask(c, port, &a, e);

	return r ? r : vc_await_doc(a, ret, e);
}

enum refusal receipt_extends(const struct receipt *prev, const uint8_t prev_digest[DIGEST_LEN],
			     const struct receipt *next)
{
	money_t before = prev ? prev->cumulative_after : (money_t){ 0 };

	if (!prev != !next->has_previous)
		return REFUSE_LEDGER_FORK;
	if (prev &&
	    (strcmp(prev->issuer, next->issuer) || strcmp(prev->wallet_id, next->wallet_id) ||
	     strcmp(prev->currency, next->currency) || next->ledger_seq <= prev->ledger_seq ||
	     memcmp(next->previous, prev_digest, DIGEST_LEN)))
		return REFUSE_LEDGER_FORK;
	if (money_add(before, next->amount).minor != next->cumulative_after.minor)
		return REFUSE_LEDGER_STATE;
	return REFUSE_NONE;
}
