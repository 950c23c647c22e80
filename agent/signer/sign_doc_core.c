/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind of document must say of itself before it is signed. The agents say what they want
 * signed; these rules read what it is. Without them a taken-over agents process would have an
 * agreement signed as an export, which has no revision, or for another amount than it names. */
#include "signer_core.h"

#include "treaty/pure.h"

enum field { TYPE, AUTHOR, LINEAGE, REVISION, AMOUNT, ABOUT, WALLET, CURRENCY, FIELDS };
_Static_assert((int)FIELDS <= (int)SCAN_FIELDS, "");

#define S "credentialSubject."

static const struct rule {
	const char *path[SCAN_FIELDS];
	const char *type; /* as it is written */
	const char *purpose;
	const char *lineage; /* of documents that name none */
	bool revision;       /* required */
} rules[SIGNER_MAX_] = {
	[SIGNER_WALLET] = { { "type", "issuer", NULL, NULL, S "envelope.ceiling.amount" },
			    "[\"VerifiableCredential\",\"IntentWalletCredential\"]",
			    "assertionMethod",
			    NULL,
			    false },
	[SIGNER_PRESENTATION] = { { "type", "holder" },
				  "[\"VerifiablePresentation\"]",
				  "authentication",
				  NULL,
				  false },
	[SIGNER_AGREEMENT] = { { "type", "issuer", S "treaty.lineageId", S "treaty.revision",
				 S "treaty.amount.amount", NULL, S "treaty.walletId",
				 S "treaty.amount.currency" },
			       "[\"VerifiableCredential\",\"AgreementCredential\"]",
			       "assertionMethod",
			       NULL,
			       true },
	[SIGNER_ACCEPTANCE] = { { "type", "issuer", S "lineageId", S "revision", NULL,
				  S "agreementDigest" },
				"[\"VerifiableCredential\",\"AcceptanceCredential\"]",
				"assertionMethod",
				NULL,
				true },
	[SIGNER_RECEIPT] = { { "type", "issuer", S "lineageId", S "revision", S "amount" },
			     "[\"VerifiableCredential\",\"DebitReceiptCredential\"]",
			     "assertionMethod",
			     NULL,
			     true },
	[SIGNER_DISCLOSURE] = { { "type", "side", NULL, "version" },
				"\"DisclosurePolicy\"",
				"assertionMethod",
				"disclosure",
				true },
	[SIGNER_EXPORT] = { { "type", "side" },
			    "\"TreatyLogExport\"",
			    "assertionMethod",
			    NULL,
			    false },
	/* Its name is its lineage: the same note counts once. That of its agreement says when. */
	[SIGNER_CREDIT] = { { "type", "issuer", "id", S "revision", S "amount", S "lineageId",
			      S "walletId", S "currency" },
			    "[\"VerifiableCredential\",\"CreditNoteCredential\"]",
			    "assertionMethod",
			    NULL,
			    true },
};

const char *const *sign_paths(uint32_t kind, enum sign_part part)
{
	if (part == SIGN_ABOUT)
		return kind == SIGNER_ACCEPTANCE ? rules[SIGNER_AGREEMENT].path : NULL;
	return kind < SIGNER_MAX_ && rules[kind].purpose ? rules[kind].path : NULL;
}

static bool says(const struct sign_scan *s, int field, const char *what)
{
	const char *v;
	size_t n;

	return scan_text(s, field, &v, &n) && n == strlen(what) && !memcmp(v, what, n);
}

enum sign_verdict sign_check_proof(const struct sign_req *q, const char *did)
{
	static const char *const path[SCAN_FIELDS] = { "type", "cryptosuite", "proofPurpose",
						       "verificationMethod" };
	size_t n = strlen(did), len = 0;
	struct sign_scan s;
	const char *v;

	scan_begin(&s, path);
	scan_feed(&s, q->data, q->data_len);
	if (!scan_whole(&s) || !says(&s, 0, "DataIntegrityProof") ||
	    !says(&s, 1, "eddsa-jcs-2022") || !says(&s, 2, rules[q->kind].purpose) ||
	    !scan_text(&s, 3, &v, &len) || len <= n + 1 || memcmp(v, did, n) != 0 || v[n] != '#')
		return SIGN_NO_PROOF;
	return SIGN_OK;
}

static bool of_type(const struct sign_scan *s, const struct rule *r)
{
	return s->len[TYPE] == strlen(r->type) && !memcmp(s->value[TYPE], r->type, s->len[TYPE]);
}

static enum sign_verdict facts_of(const struct rule *r, const struct sign_scan *s,
				  const char *currency, struct sign_facts *ret)
{
	struct sign_facts f = { .lineage = r->lineage };
	int64_t revision = 0;

	if (f.lineage)
		f.lineage_len = strlen(f.lineage);
	if (r->path[LINEAGE] &&
	    (!scan_text(s, LINEAGE, &f.lineage, &f.lineage_len) || !f.lineage_len))
		return SIGN_NO_LINEAGE;
	f.dated = f.lineage;
	f.dated_len = f.lineage_len;
	if (r == &rules[SIGNER_CREDIT] && !scan_text(s, ABOUT, &f.dated, &f.dated_len))
		return SIGN_NO_LINEAGE;
	if (r->revision && (!scan_int(s, REVISION, &revision) || revision < 1))
		return SIGN_NO_REVISION;
	if (r->path[AMOUNT] && !scan_int(s, AMOUNT, &f.amount))
		return SIGN_NO_AMOUNT;
	if (r->path[WALLET] && (!scan_text(s, WALLET, &f.wallet, &f.wallet_len) || !f.wallet_len))
		return SIGN_NO_WALLET;
	if (r->path[CURRENCY] && !says(s, CURRENCY, currency))
		return SIGN_OTHER_MONEY;
	f.revision = (uint64_t)revision;
	*ret = f;
	return SIGN_OK;
}

/* An acceptance commits what the agreement says that it names. */
static enum sign_verdict accepted(const struct sign_scan *doc, const struct sign_scan *about,
				  const char *digest, const char *currency, struct sign_facts *f)
{
	const struct rule *r = &rules[SIGNER_AGREEMENT];
	struct sign_facts a;
	enum sign_verdict v;

	if (!about || !scan_whole(about) || !of_type(about, r) || !says(doc, ABOUT, digest))
		return SIGN_NOT_ABOUT;
	v = facts_of(r, about, currency, &a);
	if (v != SIGN_OK)
		return v;
	if (a.revision != f->revision || a.lineage_len != f->lineage_len ||
	    memcmp(a.lineage, f->lineage, a.lineage_len) != 0)
		return SIGN_NOT_ABOUT;
	f->amount = a.amount;
	f->wallet = a.wallet;
	f->wallet_len = a.wallet_len;
	return SIGN_OK;
}

enum sign_verdict sign_check_text(uint32_t kind, const struct sign_scan *doc,
				  const struct sign_scan *about, const char *about_digest,
				  const char *did, const struct sign_limits *lim,
				  struct sign_facts *ret)
{
	const struct rule *r = &rules[kind];
	enum sign_verdict v;

	if (!doc || !scan_whole(doc))
		return SIGN_NO_TEXT;
	if (!of_type(doc, r))
		return SIGN_NO_TYPE;
	if (!says(doc, AUTHOR, did))
		return SIGN_NO_AUTHOR;
	v = facts_of(r, doc, lim->currency, ret);
	if (v == SIGN_OK && kind == SIGNER_ACCEPTANCE)
		v = accepted(doc, about, about_digest, lim->currency, ret);
	if (v == SIGN_OK && ret->amount > lim->one)
		v = SIGN_OVER_LIMIT;
	return v;
}
