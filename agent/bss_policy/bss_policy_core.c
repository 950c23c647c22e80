/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a wallet is believed. The draft wants the wallet verified before any quoting work.
 * We judge in this order, and a wallet that breaks several rules is refused for the first:
 *   0 present  1 size  2 parse  3 shape  4 domain, challenge, created, intent  5 issuer and holder
 *   known, no link of the line wider than the one above  6 presentation's signature  7 challenge
 * used up  8 credential's signature 9 subject == holder == peer  10 times  11 revocation  12 fit 13
 * generation What costs nothing comes first, a stranger costs no cryptography, and the challenge is
 * used up only by one who could sign, so nobody can burn another's. */
#include "agent/bss_policy/bss_policy_core.h"

#include "treaty/delegation.h"
#include "treaty/pure.h"

struct judged {
	const struct wallet_facts *f;
	const struct wallet *w;
	const struct wallet_line *line;
	const struct wallet_ask *ask;
	wall_t now;
	const struct admit_limits *lim;
	struct admit_why *why;
};

static enum refusal no(struct judged *j, enum refusal r, const char *why)
{
	j->why->why = why;
	return r;
}

static enum refusal plausible(struct judged *j)
{
	const struct wallet_facts *f = j->f;
	int64_t age = j->now.ms - f->created.ms;

	if (!f->domain_ok)
		return no(j, REFUSE_WALLET_CHALLENGE, "proof.domain: not this operator's DID");
	if (!f->challenge_ok)
		return no(j, REFUSE_WALLET_CHALLENGE,
			  "proof.challenge: unknown, expired, used or another peer's");
	if (age > j->lim->skew_ms || age < -j->lim->skew_ms)
		return no(j, REFUSE_WALLET_CHALLENGE, "proof.created: too far from now");
	if (!f->intent_bound)
		return no(j, REFUSE_WALLET_INTENT, "presentedWith: id or digest of another intent");
	return REFUSE_NONE;
}

static enum refusal holder(struct judged *j)
{
	if (!j->f->peer[0] || strncmp(j->f->vp_holder, j->f->peer, DID_MAX))
		return no(j, REFUSE_WALLET_HOLDER, "holder: not the authenticated peer");
	if (strncmp(j->w->holder, j->f->peer, DID_MAX))
		return no(j, REFUSE_WALLET_HOLDER, "credentialSubject.id: not the holder");
	return REFUSE_NONE;
}

/* Each in the line by itself: a parent may end before its child says. */
static enum refusal time_of(struct judged *j, const struct wallet *w)
{
	if (j->now.ms < w->valid_from.ms)
		return no(j, REFUSE_WALLET_EXPIRED, "validFrom: in the future");
	if (j->now.ms > w->valid_until.ms)
		return no(j, REFUSE_WALLET_EXPIRED, "validUntil: in the past");
	if (j->now.ms < w->not_before.ms || j->now.ms > w->not_after.ms)
		return no(j, REFUSE_WALLET_EXPIRED, "timeWindow: does not hold now");
	return REFUSE_NONE;
}

static enum refusal times(struct judged *j)
{
	enum refusal r = REFUSE_NONE;

	if (j->f->proof_expires.ms && j->now.ms > j->f->proof_expires.ms)
		return no(j, REFUSE_WALLET_EXPIRED, "proof.expires: in the past");
	for (uint32_t i = 0; r == REFUSE_NONE && i <= j->line->n; i++) {
		j->why->link = i;
		r = time_of(j, i ? &j->line->up[i - 1] : j->w);
	}
	if (r == REFUSE_NONE)
		j->why->link = 0;
	return r;
}

static enum refusal parents(struct judged *j)
{
	static const char *const text[] = {
		[PARENT_FINE] = "admitted",
		[PARENT_OLDER] = "delegation.parent: a later generation was seen",
		[PARENT_FORKED] = "delegation.parent: seen before with another content",
		[PARENT_FROZEN] = "delegation.parent: frozen, two were issued",
	};
	enum parent_wrong wrong = j->f->parent_wrong;

	if (!j->f->parent)
		return REFUSE_NONE;
	j->why->link = j->f->parent;
	j->why->freeze = wrong == PARENT_FORKED;
	return no(j, REFUSE_WALLET_GENERATION,
		  text[wrong <= PARENT_FROZEN ? wrong : PARENT_FROZEN]);
}

static enum refusal generation(struct judged *j)
{
	const struct wallet_facts *f = j->f;

	if (f->equivocated) {
		j->why->freeze = true;
		return no(j, REFUSE_WALLET_GENERATION,
			  "generation: wallet frozen, two were issued");
	}
	if (f->seen == WALLET_SEEN_NEVER || j->w->generation > f->seen_generation)
		return parents(j);
	if (j->w->generation < f->seen_generation)
		return no(j, REFUSE_WALLET_GENERATION, "generation: a later one was seen");
	if (!f->same_digest) {
		j->why->freeze = true;
		return no(j, REFUSE_WALLET_GENERATION,
			  "generation: seen before with another content");
	}
	return parents(j);
}

static bool has_operator(const struct wallet *w, const char *did)
{
	for (uint32_t i = 0; i < w->n_operators && i < WALLET_OPERATORS_MAX; i++)
		if (!strncmp(w->operators[i], did, DID_MAX))
			return true;
	return false;
}

/* A floor is the least the enterprise lets its agent buy, so less than it is refused. */
static const char *below_floor(const struct wallet_class *c, const struct wallet_ask *ask)
{
	if (!ask->grade_known)
		return NULL;
	if (ask->availability.ppm < c->floor_availability.ppm)
		return "slaFloor.availabilityPpm: less is asked";
	if (c->floor_latency.us && ask->latency.us > c->floor_latency.us)
		return "slaFloor.latencyMaxUs: more is asked";
	if (ask->bandwidth.bps < c->floor_bandwidth.bps)
		return "slaFloor.bandwidthMinKbps: less is asked";
	return NULL;
}

/* now + term > end, without overflow for any term. */
static bool ends_after(wall_t now, int64_t term_s, wall_t end)
{
	return term_s > (end.ms - now.ms) / 1000;
}

enum refusal wallet_fits(const struct wallet *w, const struct wallet_ask *ask, wall_t now,
			 const char **why)
{
	int k = wallet_class_find(w, ask->class_name);

	*why = NULL;
	if (!has_operator(w, ask->operator_did))
		*why = "operator: not among those that may take it";
	else if (strncmp(w->currency, ask->currency, CURRENCY_MAX))
		*why = "envelope.ceiling.currency: another is asked";
	else if (k < 0)
		*why = "workloadClass: the class is not covered";
	else if (ask->term_s < 0 || ask->term_s > w->term_max_s)
		*why = "envelope.maxTermSeconds: a longer term is asked";
	else if (ends_after(now, ask->term_s, w->not_after))
		*why = "timeWindow.notAfter: the term ends after it";
	else
		*why = below_floor(&w->classes[k], ask);
	if (*why)
		return REFUSE_WALLET_POLICY;
	if (ask->amount.minor < 0 || ask->amount.minor > w->agreement_max.minor) {
		*why = "envelope.perAgreementMax: more is asked";
		return REFUSE_OVER_AGREEMENT_MAX;
	}
	return REFUSE_NONE;
}

static enum refusal fits(struct judged *j)
{
	return wallet_fits(j->w, j->ask, j->now, &j->why->why);
}

static enum refusal trust(struct judged *j)
{
	const char *wrong = wallet_line_wrong(j->w, j->line, j->lim->depth_max);

	if (!j->f->issuer_trusted)
		return no(j, REFUSE_WALLET_ISSUER, "issuer: not in the trust registry");
	if (!j->f->holder_trusted)
		return no(j, REFUSE_WALLET_ISSUER, "holder: not in the trust registry");
	return wrong ? no(j, REFUSE_WALLET_DELEGATION, wrong) : REFUSE_NONE;
}

static enum refusal status(struct judged *j)
{
	if (j->f->revoked)
		return no(j, REFUSE_WALLET_REVOKED, "credentialStatus: revoked");
	if (!j->f->status_known)
		return no(j, REFUSE_WALLET_STATUS, "credentialStatus: cannot be established");
	if (j->f->suspended)
		return no(j, REFUSE_WALLET_SUSPENDED, "credentialStatus: suspended");
	return REFUSE_NONE;
}

static enum refusal body(struct judged *j, enum admit_step s)
{
	const struct wallet_facts *f = j->f;

	if (s == ADMIT_PRESENT && !f->present)
		return no(j, REFUSE_WALLET_MISSING, "no presentation came with the intent");
	if (s == ADMIT_SIZE && !f->size_ok)
		return no(j, REFUSE_BODY_TOO_LARGE, "presentation: above its size or depth");
	if (s == ADMIT_PARSE && !f->parse_ok)
		return no(j, REFUSE_WALLET_MALFORMED, "presentation: not strict JSON");
	if (s == ADMIT_SHAPE && !f->shape_ok)
		return no(j, REFUSE_WALLET_MALFORMED, "presentation: not of our profile");
	return REFUSE_NONE;
}

static enum refusal signatures(struct judged *j, enum admit_step s)
{
	const struct wallet_facts *f = j->f;

	if ((s == ADMIT_VP_SIGNATURE || s == ADMIT_VC_SIGNATURE) && f->key_missing)
		return no(j, REFUSE_WALLET_UNRESOLVED,
			  "proof.verificationMethod: its did:web document cannot be had now");
	if (s == ADMIT_VP_SIGNATURE && !f->vp_signature_ok)
		return no(j, REFUSE_WALLET_SIGNATURE, "presentation: not signed by its holder");
	if (s == ADMIT_CONSUME && !f->challenge_consumed)
		return no(j, REFUSE_WALLET_CHALLENGE, "proof.challenge: used by another just now");
	if (s == ADMIT_VC_SIGNATURE && !f->vc_signature_ok)
		return no(j, REFUSE_WALLET_SIGNATURE, "credential: not signed by its issuer");
	return REFUSE_NONE;
}

static enum refusal judge(struct judged *j, enum admit_step s)
{
	switch (s) {
	case ADMIT_PRESENT:
	case ADMIT_SIZE:
	case ADMIT_PARSE:
	case ADMIT_SHAPE: return body(j, s);
	case ADMIT_PLAUSIBLE: return plausible(j);
	case ADMIT_TRUST: return trust(j);
	case ADMIT_VP_SIGNATURE:
	case ADMIT_CONSUME:
	case ADMIT_VC_SIGNATURE: return signatures(j, s);
	case ADMIT_HOLDER: return holder(j);
	case ADMIT_TIME: return times(j);
	case ADMIT_STATUS: return status(j);
	case ADMIT_FIT: return fits(j);
	case ADMIT_GENERATION: return generation(j);
	}
	return no(j, REFUSE_WALLET_MALFORMED, "unknown step");
}

enum refusal wallet_admit_judge(const struct wallet_facts *f, const struct wallet *w,
				const struct wallet_line *line, const struct wallet_ask *ask,
				wall_t now, const struct admit_limits *lim, enum admit_step upto,
				struct admit_why *why)
{
	struct judged j = { f, w, line, ask, now, lim, why };

	*why = (struct admit_why){ .why = "admitted" };
	for (unsigned s = ADMIT_PRESENT; s <= (unsigned)upto; s++) {
		enum refusal r = judge(&j, (enum admit_step)s);

		why->step = (enum admit_step)s;
		if (r != REFUSE_NONE)
			return r;
	}
	why->why = "admitted";
	return REFUSE_NONE;
}
