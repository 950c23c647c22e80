/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of document that this project signs, for the conformance test of trust:
 *   documents issue DIR                    one of each kind, by the program's own keys
 *   documents check KIND FILE good|bad     FILE has a document a line; all must verify, or none
 * Keys are did:key, so that both sides find them in the documents themselves. */
#include "agent/codec/credit.h"
#include "agent/codec/status_list.h"
#include "tests/unit/trust_fixture.h"

#define OPERATOR "did:web:op.example"
#define LINEAGE  "urn:uuid:00000000-0000-4000-8000-00000000d001"
#define WALLET   "urn:uuid:00000000-0000-4000-8000-0000000000aa"
#define HOLD     "1111111111111111111111111111111111111111111111111111111111111111"

static struct party issuer, agent, bss;
static const struct did_resolver keys = { .resolve = did_resolve_key };

/* --- one of each kind ------------------------------------------------------------------------ */

static json_t *presentation(void)
{
	struct wallet w;
	auto_json json_t *vc = NULL;

	wallet_fixture(&w, &issuer, &agent, OPERATOR);
	vc = wallet_vc_fixture(&w, &issuer);
	return vp_fixture(vc, &agent, OPERATOR, "c-0123456789abcdef");
}

static json_t *list(void)
{
	static uint8_t bits[STATUS_ENTRIES_MIN / 8];
	struct status_list l = { .id = "https://issuer.example/status/1",
				 .purpose = STATUS_REVOCATION,
				 .valid_from = { NOW.ms - 1000 },
				 .valid_until = { NOW.ms + 86400000 },
				 .entries = STATUS_ENTRIES_MIN,
				 .bits = bits };
	json_t *out = NULL;

	must_set(l.issuer, issuer.did);
	status_list_set(&l, 94567, true);
	return status_list_issue(&l, NOW, &issuer.port, &out, NULL) ? NULL : out;
}

/* With a body that has fractions, as quantities of TMF651 do. */
static json_t *agreement(void)
{
	static const char tmf651[] =
		"{\"@type\":\"Agreement\",\"id\":\"urn:uuid:00000000-0000-4000-8000-00000000a651\","
		"\"name\":\"order-execution\",\"characteristic\":[{\"name\":\"availabilityPct\","
		"\"value\":99.999},{\"name\":\"lossPct\",\"value\":1e-7},"
		"{\"name\":\"bandwidthMbps\",\"value\":2}]}";
	struct agreement_terms t = { .revision = 2,
				     .generation = 1,
				     .label = 0xfffff,
				     .amount = { 12345 },
				     .term_start = NOW,
				     .term_end = { NOW.ms + 3600000 } };
	auto_json json_t *body = json_loads(tmf651, 0, NULL);
	json_t *out = NULL;

	must_set(t.id, "urn:uuid:00000000-0000-4000-8000-00000000c001");
	must_set(t.issuer, bss.did);
	must_set(t.lineage, LINEAGE);
	must_set(t.wallet_id, WALLET);
	must_set(t.hold_id, HOLD);
	must_set(t.currency, "EUR");
	memset(t.previous, 0x11, DIGEST_LEN);
	memset(t.quote_digest, 0x22, DIGEST_LEN);
	return agreement_issue(&t, body, NOW, &bss.port, &out, NULL) ? NULL : out;
}

static json_t *acceptance(void)
{
	struct acceptance a = { .revision = 2, .accepted_at = NOW };
	auto_json json_t *about = agreement();
	json_t *out = NULL;

	must_set(a.id, "urn:uuid:00000000-0000-4000-8000-00000000c002");
	must_set(a.issuer, agent.did);
	must_set(a.lineage, LINEAGE);
	must_set(a.hold_id, HOLD);
	if (canon_sha256(about, a.agreement_digest, NULL) ||
	    acceptance_issue(&a, about, &agent.port, &out, NULL))
		return NULL;
	return out;
}

static json_t *receipt(void)
{
	struct receipt c = { .revision = 2,
			     .amount = { 45 },
			     .cumulative_after = { 145 },
			     .ledger_seq = 7,
			     .has_previous = true,
			     .issued_at = NOW };
	json_t *out = NULL;

	must_set(c.id, "urn:uuid:00000000-0000-4000-8000-00000000c003");
	must_set(c.issuer, agent.did);
	must_set(c.wallet_id, WALLET);
	must_set(c.hold_id, HOLD);
	must_set(c.lineage, LINEAGE);
	must_set(c.currency, "EUR");
	memset(c.previous, 0x44, DIGEST_LEN);
	return receipt_issue(&c, &agent.port, &out, NULL) ? NULL : out;
}

static json_t *credit(void)
{
	struct credit_note c = { .revision = 2, .amount = { 45 }, .issued_at = NOW };
	json_t *out = NULL;

	must_set(c.id, "urn:uuid:00000000-0000-4000-8000-00000000c004");
	must_set(c.issuer, bss.did);
	must_set(c.lineage, LINEAGE);
	must_set(c.wallet_id, WALLET);
	must_set(c.hold_id, HOLD);
	must_set(c.currency, "EUR");
	must_set(c.reason, "unused");
	memset(c.agreement_digest, 0x33, DIGEST_LEN);
	return credit_note_issue(&c, &bss.port, &out, NULL) ? NULL : out;
}

/* --- verifying ------------------------------------------------------------------------------- */

static int check_presentation(const json_t *v, struct err *e)
{
	struct presentation *p = NULL;
	int r = presentation_read(&p, v, e);

	r = r ? r : vc_verified(p->vp, &presentation_profile, &keys, e);
	r = r ? r : vc_verified(p->vc, &wallet_profile, &keys, e);
	if (!r && strcmp(p->wallet.holder, p->vp->author) != 0)
		r = err_set(e, -EPERM, "holder: the wallet was issued to another");
	p = presentation_free(p);
	return r;
}

static int check_list(const json_t *v, struct err *e)
{
	struct status_list *l = NULL;
	int r = status_list_verify(&l, v, &keys, e);

	l = status_list_free(l);
	return r;
}

static int check_agreement(const json_t *v, struct err *e)
{
	struct agreement_terms t;
	uint8_t d[DIGEST_LEN];

	return agreement_verify(v, &keys, &t, NULL, d, e);
}

static int check_acceptance(const json_t *v, struct err *e)
{
	struct acceptance a;
	uint8_t d[DIGEST_LEN];

	return acceptance_verify(v, &keys, &a, d, e);
}

static int check_receipt(const json_t *v, struct err *e)
{
	struct receipt c;
	uint8_t d[DIGEST_LEN];

	return receipt_verify(v, &keys, &c, d, e);
}

static int check_credit(const json_t *v, struct err *e)
{
	struct credit_note c;
	uint8_t d[DIGEST_LEN];

	return credit_note_verify(v, &keys, &c, d, e);
}

static const struct kind {
	const char *name;
	json_t *(*issue)(void);
	int (*check)(const json_t *v, struct err *e);
} kinds[] = {
	{ "presentation", presentation, check_presentation },
	{ "list", list, check_list },
	{ "agreement", agreement, check_agreement },
	{ "acceptance", acceptance, check_acceptance },
	{ "receipt", receipt, check_receipt },
	{ "credit", credit, check_credit },
};

static int issue(const char *dir)
{
	char path[512];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		auto_json json_t *v = kinds[i].issue();

		(void)snprintf(path, sizeof(path), "%s/%s.json", dir, kinds[i].name);
		if (!v || json_dump_file(v, path, JSON_COMPACT)) {
			(void)fprintf(stderr, "%s: cannot be issued\n", path);
			return 1;
		}
	}
	return 0;
}

/* By which rule the bad ones fail says whether the signature was asked at all. */
static int check(const struct kind *k, const char *path, bool good)
{
	const struct json_limits lim = JSON_LIMITS_STATUS;
	unsigned lines = 0, by_signature = 0;
	auto_free char *line = NULL;
	FILE *f = fopen(path, "r");
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return perror(path), 1;
	while ((n = getline(&line, &cap, f)) > 0) {
		auto_json json_t *v = NULL;
		struct err e = { 0 };
		int r = json_read(&v, line, (size_t)n, &lim, &e);

		r = r ? r : k->check(v, &e);
		lines++;
		by_signature += r == -EKEYREJECTED;
		if (!r == good)
			continue;
		(void)fprintf(stderr, "%s:%u: %s\n", path, lines,
			      r ? e.text : "a changed document was taken");
		return fclose(f), 1;
	}
	(void)fclose(f);
	if (!lines || (!good && !by_signature)) {
		(void)fprintf(stderr, "%s: %u documents, %u asked for their signature\n", path,
			      lines, by_signature);
		return 1;
	}
	if (!good)
		(void)printf("%s of theirs: %u changes refused, %u of them by the signature\n",
			     k->name, lines, by_signature);
	return 0;
}

int main(int argc, char **argv)
{
	party_init(&issuer, 1);
	party_init(&agent, 2);
	party_init(&bss, 3);
	if (argc == 3 && !strcmp(argv[1], "issue"))
		return issue(argv[2]);
	for (size_t i = 0; argc == 5 && i < ARRAY_LEN(kinds); i++)
		if (!strcmp(argv[2], kinds[i].name))
			return check(&kinds[i], argv[3], !strcmp(argv[4], "good"));
	(void)fprintf(stderr, "issue DIR, or check KIND FILE good|bad\n");
	return 2;
}
