/* SPDX-License-Identifier: Apache-2.0 */
/* ent_note.h - credit notes of the scripted operator, and what the enterprise makes of them. */
#ifndef TREATY_TESTS_ENT_NOTE_H
#define TREATY_TESTS_ENT_NOTE_H

#include "tests/unit/ent_serve.h"

#include "agent/codec/credit.h"

static inline bool second_runs(void)
{
	return lab_world()->n_deals == 2 && lab_deal(1)->active;
}

static inline bool countersigned(void)
{
	return lab.n_calls > 0 && !strncmp(lab.said[lab.n_calls - 1], "m-acceptance", 12);
}

static inline void expect_money(int64_t captured)
{
	struct ledger_wallet w = lab_purse();

	assert_int_equal(w.captured.minor, captured);
	assert_int_equal(w.held.minor, 0);
}

/* A note for the newest revision that the operator signed, before a test spoils it. */
static inline struct credit_note good_note(const char *reason)
{
	const struct agreement *a = &op.deal[0].next;
	struct credit_note c = { .revision = a->rev,
				 .amount = op.receipt.amount,
				 .issued_at = op.now(NULL) };

	must_set(c.id, "urn:uuid:00000000-0000-4000-8000-00000000cccc");
	must_set(c.issuer, op.key.did);
	must_set(c.lineage, a->lineage.s);
	memcpy(c.agreement_digest, a->digest.b, DIGEST_LEN);
	must_set(c.wallet_id, a->wallet.s);
	must_set(c.hold_id, a->hold.s);
	must_set(c.currency, "EUR");
	must_set(c.reason, reason);
	return c;
}

static inline json_t *note_json(const struct credit_note *c, const struct party *signer)
{
	json_t *vc = NULL;
	struct err e = { 0 };

	if (credit_note_issue(c, &signer->port, &vc, &e))
		fail_msg("note: %s", e.text);
	return vc;
}

static inline void send_note(const struct credit_note *c, const struct party *signer,
			     const char *from)
{
	static unsigned n;
	char id[32];

	(void)snprintf(id, sizeof(id), "m-credit-%u", ++n);
	say_as(from, id, note_json(c, signer));
}

static inline void expect_no(enum refusal no, const char *what)
{
	if (strcmp(answer_text, refusal_name(no)) != 0)
		fail_msg("%s: %s %s instead of %s", what, answer_type, answer_text,
			 refusal_name(no));
}

#endif
