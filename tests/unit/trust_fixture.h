/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, a wallet and a presentation for the tests, the fuzzers and the bench. */
#ifndef TREATY_TESTS_TRUST_FIXTURE_H
#define TREATY_TESTS_TRUST_FIXTURE_H

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "agent/codec/canon.h"
#include "agent/codec/credential.h"
#include "agent/codec/wallet.h"
#include "agent/crypto/crypto.h"

#define NOW ((wall_t){ 1795400000000LL }) /* 2026-11-22T... */

struct party {
	uint8_t seed[32], pub[32];
	char did[DID_MAX];
	struct sign_port port;
	unsigned open, most; /* signatures asked for and not waited for yet; at once */
	int refuses;         /* 0, or what whoever waits for one gets */
};

static inline int party_sign(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN])
{
	const struct party *p = arg;

	ed25519_sign(sig, rq->hash, sizeof(rq->hash), p->seed);
	return 0;
}

/* Signs when it is waited for, as a signer that is slow. */
static inline int party_ask(void *arg, const struct sign_request *rq, void **ret)
{
	struct party *p = arg;
	struct sign_request *copy = malloc(sizeof(*copy));

	assert(copy);
	*copy = *rq;
	p->most = ++p->open > p->most ? p->open : p->most;
	*ret = copy;
	return 0;
}

static inline int party_await(void *arg, void *asked, uint8_t sig[SIGN_SIG_LEN])
{
	struct party *p = arg;
	struct sign_request *rq = asked;
	int r = p->refuses;

	p->open--;
	if (!r && sig)
		r = party_sign(p, rq, sig);
	free(rq);
	return r;
}

static inline void party_init(struct party *p, uint8_t seed)
{
	int r = crypto_init();

	memset(p, 0, sizeof(*p));
	memset(p->seed, seed, sizeof(p->seed));
	ed25519_public(p->seed, p->pub);
	r |= did_key_format(p->pub, p->did);
	r |= did_key_method(p->pub, p->port.method);
	assert(r == 0);
	p->port.sign = party_sign;
	p->port.ask = party_ask;
	p->port.await = party_await;
	p->port.arg = p;
}

static inline void must_set_(char *dst, size_t cap, const char *src)
{
	bool ok = str_set_(dst, cap, src);

	assert(ok);
}
#define must_set(dst, src) must_set_(dst, sizeof(dst), src)

static inline void wallet_fixture(struct wallet *w, const struct party *issuer,
				  const struct party *holder, const char *operator_did)
{
	static const char *const names[] = { "market-data", "order-execution", "risk-replication",
					     "block-sync", "bulk-transfer" };

	memset(w, 0, sizeof(*w));
	must_set(w->id, "urn:uuid:00000000-0000-4000-8000-000000000001");
	must_set(w->wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000aa");
	must_set(w->issuer, issuer->did);
	must_set(w->holder, holder->did);
	must_set(w->operators[0], operator_did);
	w->n_operators = 1;
	w->generation = 1;
	w->n_classes = ARRAY_LEN(names);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		must_set(w->classes[i].name, names[i]);
		w->classes[i].ceiling = (money_t){ 5000000 };
		w->classes[i].floor_availability = (avail_t){ 999000 };
		w->classes[i].floor_latency = (delay_t){ 40000 };
		w->classes[i].floor_bandwidth = (rate_t){ 1000000 };
		w->classes[i].on_scarcity = i % 2 ? SCARCITY_STEP_DOWN : SCARCITY_STEP_UP;
	}
	must_set(w->currency, "EUR");
	w->ceiling = (money_t){ 25000000 };
	w->agreement_max = (money_t){ 2000000 };
	w->term_max_s = 86400;
	w->human_above = (money_t){ 1000000 };
	w->valid_from = w->not_before = (wall_t){ NOW.ms - 3600000 };
	w->valid_until = w->not_after = (wall_t){ NOW.ms + 2 * 86400000LL };
	must_set(w->policy_id, "urn:treaty:policy:1");
	memset(w->policy_digest, 0x5a, sizeof(w->policy_digest));
}

/* New reference; asserts. */
static inline json_t *wallet_vc_fixture(const struct wallet *w, const struct party *issuer)
{
	struct err e = { 0 };
	json_t *vc = NULL;
	int r = wallet_issue(w, NOW, &issuer->port, &vc, &e);

	if (r)
		(void)fprintf(stderr, "wallet_issue: %d %s\n", r, e.text);
	assert(r == 0);
	return vc;
}

static inline json_t *intent_fixture(void)
{
	return json_pack("{s:s, s:s, s:s}", "@type", "Intent", "id", "intent-1", "name", "x");
}

static inline json_t *vp_fixture(const json_t *vc, const struct party *holder,
				 const char *operator_did, const char *challenge)
{
	auto_json json_t *intent = intent_fixture();
	struct presentation_ask a = { .holder = holder->did,
				      .domain = operator_did,
				      .challenge = challenge,
				      .intent_id = "intent-1",
				      .created = NOW };
	struct err e = { 0 };
	json_t *vp = NULL;
	int r = canon_sha256(intent, a.intent_digest, &e);

	if (!r)
		r = presentation_new(vc, &a, &holder->port, &vp, &e);
	if (r)
		(void)fprintf(stderr, "presentation_new: %d %s\n", r, e.text);
	assert(r == 0);
	return vp;
}

/* Whole file, NUL-terminated; freed by the caller; asserts. */
static inline char *file_fixture(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *p = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		(void)fprintf(stderr, "%s: run from the root of the tree\n", path);
	assert(f);
	n = getdelim(&p, &cap, EOF, f);
	assert(n > 0);
	(void)fclose(f);
	if (len)
		*len = (size_t)n;
	return p;
}

#endif
