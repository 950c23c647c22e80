/* SPDX-License-Identifier: Apache-2.0 */
/* adversary.h - an operator that counts what it is made to do, an offer that is shown to it, and
 * the two outcomes that a case has. */
#ifndef TREATY_TESTS_ADVERSARY_H
#define TREATY_TESTS_ADVERSARY_H

#include <setjmp.h>
#include <stdarg.h>

#include "agent/bss_policy/wallet_admit.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#define OP        "did:web:op.lab.example"
#define CHALLENGE "c-0123456789abcdef"
#define LIST      "https://issuer.example/status/1"
#define MARK      "@mark@"

static struct party issuer, agent, thief;
static unsigned cases;

/* --- the operator ------------------------------------------------------------------------------
 */

static struct operator_state {
	int64_t seen; /* generation, 0 = never */
	uint8_t seen_digest[DIGEST_LEN];
	bool frozen;
	char about[URN_MAX]; /* the wallet that all this is known of; "" = any */
	int local;           /* what the operator knows of revocation: 0, 1, -EIO */
	struct status_list *list;
	char challenge[URN_MAX], peer[DID_MAX];
	bool used;
} op;

static struct counts {
	unsigned signatures, lists, consumed, generations;
} counts;

static int resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		   struct err *e)
{
	counts.signatures++; /* each verification asks for its key first */
	return did_resolve_key(arg, method, purpose, pub, e);
}

static bool trusted(void *arg, const char *i, const char *h)
{
	(void)arg;
	return !strcmp(i, issuer.did) && (!strcmp(h, agent.did) || !strcmp(h, thief.did));
}

static bool known(void *arg, const char *challenge, const char *peer)
{
	(void)arg;
	return !op.used && !strcmp(challenge, op.challenge) && !strcmp(peer, op.peer);
}

static bool consume(void *arg, const char *challenge, const char *peer)
{
	bool first = known(arg, challenge, peer);

	counts.consumed++;
	op.used = true;
	return first;
}

static bool op_about(const struct wallet *w)
{
	return !op.about[0] || !strcmp(op.about, w->wallet_id);
}

static int revoked(void *arg, const struct wallet *w)
{
	(void)arg;
	counts.lists++;
	return op_about(w) ? op.local : 0;
}

static const struct status_list *own_list(void *arg, const char *url)
{
	(void)arg;
	return op.list && !strcmp(op.list->id, url) ? op.list : NULL;
}

static void generation(void *arg, const struct wallet *w, const uint8_t digest[DIGEST_LEN],
		       struct wallet_facts *f)
{
	(void)arg;
	counts.generations++;
	if (!op_about(w))
		return;
	f->seen = op.seen ? WALLET_SEEN_BEFORE : WALLET_SEEN_NEVER;
	f->seen_generation = op.seen;
	f->same_digest = !memcmp(digest, op.seen_digest, DIGEST_LEN);
	f->equivocated = op.frozen;
}

/* --- one case ----------------------------------------------------------------------------------
 */

struct offer { /* what is shown to the operator, and when */
	struct wallet w;
	struct presentation_ask ask;
	struct party vc_signer, vp_signer;
	const char *peer;
	json_t *intent;
	struct wallet_ask want;
	wall_t now;
	unsigned line; /* wallets above it */
};

static void offer_init(struct offer *o)
{
	memset(o, 0, sizeof(*o));
	wallet_fixture(&o->w, &issuer, &agent, OP);
	o->vc_signer = issuer;
	o->vp_signer = agent;
	o->peer = agent.did;
	o->intent = intent_fixture();
	o->ask = (struct presentation_ask){ .holder = agent.did,
					    .domain = OP,
					    .challenge = CHALLENGE,
					    .intent_id = "intent-1",
					    .created = NOW };
	o->now = NOW;
	must_set(o->want.operator_did, OP);
	must_set(o->want.class_name, "order-execution");
	must_set(o->want.currency, "EUR");
	o->want.amount = (money_t){ 10000 };
	o->want.term_s = 3600;
	o->want.grade_known = true;
	o->want.availability = (avail_t){ 999990 };
	o->want.latency = (delay_t){ 12000 };
	o->want.bandwidth = (rate_t){ 2000000 };
	op = (struct operator_state){ .challenge = CHALLENGE };
	must_set(op.peer, agent.did);
}

static inline json_t *offer_vc(struct offer *o)
{
	o->vc_signer.port.arg = &o->vc_signer;
	return wallet_vc_fixture(&o->w, &o->vc_signer);
}

static inline json_t *offer_vp(struct offer *o, const json_t *vc)
{
	struct err e = { 0 };
	json_t *vp = NULL;

	o->vp_signer.port.arg = &o->vp_signer;
	if (canon_sha256(o->intent, o->ask.intent_digest, &e) ||
	    presentation_new(vc, &o->ask, &o->vp_signer.port, &vp, &e))
		fail_msg("presentation: %s", e.text);
	return vp;
}

static void show(const struct offer *o, const char *text, size_t len, struct admit_result *res)
{
	struct admit_env env = { .now = o->now,
				 .operator_did = OP,
				 .peer = o->peer,
				 .limits = { .skew_ms = 120000, .depth_max = 2 },
				 .keys = { .resolve = resolve },
				 .trusted = trusted,
				 .challenge_known = known,
				 .challenge_consume = consume,
				 .revoked = revoked,
				 .status_list = own_list,
				 .generation = generation };

	counts = (struct counts){ 0 };
	assert_int_equal(wallet_admit_bytes(text, len, o->intent, &o->want, &env, res), 0);
}

/* Nothing costly before the cheap: what each step may have caused by the time it refuses. */
static void check_order(enum admit_step step, unsigned line, const char *what)
{
	unsigned signatures = step >= ADMIT_VC_SIGNATURE   ? 2 + line
			      : step >= ADMIT_VP_SIGNATURE ? 1
							   : 0;

	if (counts.signatures > signatures || counts.consumed > (step >= ADMIT_CONSUME) ||
	    counts.lists > (step >= ADMIT_STATUS ? 1 + line : 0) ||
	    counts.generations > (step >= ADMIT_GENERATION ? 1 + line : 0))
		fail_msg("%s: refused at step %d after %u signatures, %u challenges, %u lists",
			 what, (int)step, counts.signatures, counts.consumed, counts.lists);
}

static void refused(const struct offer *o, const char *text, size_t len, enum refusal want,
		    const char *what)
{
	struct operator_state before = op;
	struct admit_result res;

	show(o, text, len, &res);
	if (res.refusal != want)
		fail_msg("%s: %s (%s; %s), expected %s", what, refusal_name(res.refusal),
			 res.why.why, res.detail.text, refusal_name(want));
	check_order(res.why.step, o->line, what);
	if (res.why.step > ADMIT_CONSUME)
		op.used = before.used; /* its holder's own */
	if (memcmp(&before, &op, sizeof(op)))
		fail_msg("%s: the operator's state changed", what);
	cases++;
}

static void admitted(const struct offer *o, const char *text, size_t len, const char *what)
{
	struct operator_state before = op;
	struct admit_result res;

	show(o, text, len, &res);
	if (res.refusal != REFUSE_NONE)
		fail_msg("twin of %s: %s: %s", what, refusal_name(res.refusal), res.why.why);
	assert_int_equal(counts.signatures, 2 + o->line);
	assert_int_equal(counts.consumed, 1);
	op = before;
}

static char *text_of(const json_t *v, size_t *len)
{
	char *text = json_dumps(v, JSON_COMPACT);

	assert_non_null(text);
	*len = strlen(text);
	return text;
}

#endif
