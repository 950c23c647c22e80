/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's credit note: which revision's money goes back, how much, and why. */
#include "agent/codec/credit.h"

#include <errno.h>

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

#define INT_SAFE_MAX 9007199254740991LL /* 2^53 - 1 */
#define SUBJECT      "credentialSubject"

static const char *const contexts[] = { VC_CONTEXT_V2, TREATY_CONTEXT_AGREEMENT, NULL };
static const char *const members[] = { "id", "issuer", "validFrom", SUBJECT, NULL };
static const char *const types[] = { "VerifiableCredential", CREDIT_NOTE_TYPE, NULL };

const struct vc_profile credit_note_profile = { .contexts = contexts,
						.types = types,
						.members = members,
						.purpose = "assertionMethod",
						.author = "issuer",
						.integers_only = true,
						.limits = JSON_LIMITS_BODY };

static const char *const reasons[CREDIT_REASON_MAX_] = {
	[CREDIT_NOT_IN_FORCE] = "not-in-force",
	[CREDIT_NOT_APPLIED] = "not-applied",
	[CREDIT_UNUSED] = "unused",
	[CREDIT_LOWERED] = "lowered",
};

const char *credit_reason_name(enum credit_reason r)
{
	return r > 0 && r < CREDIT_REASON_MAX_ ? reasons[r] : "?";
}

enum credit_reason credit_reason_parse(const char *name)
{
	for (unsigned k = 1; k < CREDIT_REASON_MAX_; k++)
		if (!strcmp(reasons[k], name))
			return (enum credit_reason)k;
	return CREDIT_REASON_MAX_;
}

static int read_subject(struct credit_note *c, const json_t *s, struct err *e)
{
	const char *digest;
	int r = json_only(s, SUBJECT, e, "type", "lineageId", "revision", "agreementDigest",
			  "walletId", "holdId", "amount", "currency", "reason", NULL);

	if (!r)
		r = json_need_const(s, SUBJECT, "type", "CreditNote", e);
	if (!r)
		r = json_need_text(s, SUBJECT, "lineageId", c->lineage, sizeof(c->lineage), e);
	if (!r)
		r = json_need_int(s, SUBJECT, "revision", 1, INT32_MAX, &c->revision, e);
	if (!r)
		r = json_need_str(s, SUBJECT, "agreementDigest", &digest, e);
	if (!r && digest_decode(digest, c->agreement_digest))
		r = err_set(e, -EINVAL, SUBJECT ".agreementDigest: 'u' and SHA-256 required");
	if (!r)
		r = json_need_text(s, SUBJECT, "walletId", c->wallet_id, sizeof(c->wallet_id), e);
	if (!r)
		r = json_need_text(s, SUBJECT, "holdId", c->hold_id, sizeof(c->hold_id), e);
	if (!r)
		r = json_need_int(s, SUBJECT, "amount", 0, INT_SAFE_MAX, &c->amount.minor, e);
	if (!r)
		r = json_need_text(s, SUBJECT, "currency", c->currency, sizeof(c->currency), e);
	if (!r && strspn(c->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		r = err_set(e, -EINVAL, SUBJECT ".currency: three letters of ISO 4217");
	if (!r)
		r = json_need_text(s, SUBJECT, "reason", c->reason, sizeof(c->reason), e);
	if (!r && credit_reason_parse(c->reason) == CREDIT_REASON_MAX_)
		r = err_set(e, -EINVAL,
			    SUBJECT ".reason: not-in-force, not-applied, unused or lowered");
	return r;
}

static int read_note(struct credit_note *ret, const json_t *doc, struct err *e)
{
	struct credit_note c;
	json_t *s = NULL;
	int r;

	memset(&c, 0, sizeof(c));
	r = json_need_text(doc, "", "id", c.id, sizeof(c.id), e);
	if (!r)
		r = json_need_text(doc, "", "issuer", c.issuer, sizeof(c.issuer), e);
	if (!r)
		r = json_need_time(doc, "", "validFrom", &c.issued_at, e);
	if (!r)
		r = json_need_obj(doc, "", SUBJECT, &s, e);
	if (!r)
		r = read_subject(&c, s, e);
	if (!r)
		memcpy(ret, &c, sizeof(c));
	return r;
}

int credit_note_issue(const struct credit_note *c, const struct sign_port *port, json_t **ret,
		      struct err *e)
{
	struct sign_request rq = { .kind = SIGN_CREDIT };
	struct vc_proof_options po = { .created = c->issued_at };
	char digest[DIGEST_MULTIBASE_MAX];
	auto_json json_t *body = NULL;
	struct credit_note back;
	int r;

	digest_encode(c->agreement_digest, digest);
	body = json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:s, s:s}}", "id",
			 c->id, "issuer", c->issuer, "validFrom", json_time(c->issued_at), SUBJECT,
			 "type", "CreditNote", "lineageId", c->lineage, "revision",
			 (json_int_t)c->revision, "agreementDigest", digest, "walletId",
			 c->wallet_id, "holdId", c->hold_id, "amount", (json_int_t)c->amount.minor,
			 "currency", c->currency, "reason", c->reason);
	if (!body)
		return err_set(e, -EINVAL, "credit note: a text is not UTF-8, or no memory");
	r = read_note(&back, body, e);
	if (r)
		return r;
	return vc_issue(body, &credit_note_profile, &po, port, &rq, ret, e);
}

int credit_note_verify(const json_t *vc, const struct did_resolver *keys, struct credit_note *ret,
		       uint8_t digest[DIGEST_LEN], struct err *e)
{
	struct vc *v = NULL;
	int r = vc_read(&v, vc, &credit_note_profile, e);

	if (!r)
		r = vc_verified(v, &credit_note_profile, keys, e);
	if (!r)
		r = read_note(ret, v->doc, e);
	if (!r)
		memcpy(digest, v->digest, DIGEST_LEN);
	(void)vc_free(v);
	return r;
}
