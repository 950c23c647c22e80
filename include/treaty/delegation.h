/* SPDX-License-Identifier: Apache-2.0 */
/* delegation.h - may this wallet stand below that one? Whoever issues, presents or admits a
 * sub-wallet asks the same questions here. Pure; every answer is static text, NULL = yes. */
#ifndef TREATY_DELEGATION_H
#define TREATY_DELEGATION_H

#include "wallet.h"

/* What the agent may spend on one agreement without a human: 0 is a limit like any other. */
static inline int64_t wallet_alone(const struct wallet *w)
{
	return w->human_above.minor < w->agreement_max.minor ? w->human_above.minor
							     : w->agreement_max.minor;
}

/* A floor of 0 microseconds is none. */
static inline const char *class_wider(const struct wallet_class *c, const struct wallet_class *p)
{
	if (c->ceiling.minor > p->ceiling.minor)
		return "workloadClass.ceiling: above the parent's";
	if (c->floor_availability.ppm < p->floor_availability.ppm ||
	    c->floor_bandwidth.bps < p->floor_bandwidth.bps ||
	    (p->floor_latency.us &&
	     (!c->floor_latency.us || c->floor_latency.us > p->floor_latency.us)))
		return "workloadClass.slaFloor: below the parent's";
	return NULL;
}

static inline const char *lists_wider(const struct wallet *w, const struct wallet *p)
{
	const char *why = NULL;

	for (uint32_t i = 0; !why && i < w->n_classes; i++) {
		int k = wallet_class_find(p, w->classes[i].name);

		why = k < 0 ? "workloadClass: the parent lacks it"
			    : class_wider(&w->classes[i], &p->classes[k]);
	}
	for (uint32_t i = 0; !why && i < w->n_operators; i++) {
		bool known = false;

		for (uint32_t k = 0; k < p->n_operators; k++)
			known |= !strncmp(w->operators[i], p->operators[k], DID_MAX);
		why = known ? NULL : "operator: the parent lacks it";
	}
	return why;
}

/* w may stand below p: issued by p's holder, and no limit of it is wider. */
static inline const char *wallet_wider(const struct wallet *w, const struct wallet *p)
{
	if (strncmp(w->issuer, p->holder, DID_MAX) != 0)
		return "issuer: not the holder of the parent wallet";
	if (!p->sub_depth)
		return "delegation.allowed: not by the parent";
	if (w->sub_depth >= p->sub_depth)
		return "delegation.depth: not below the parent's";
	if (strncmp(w->currency, p->currency, CURRENCY_MAX) != 0)
		return "envelope.ceiling.currency: not the parent's";
	if (w->ceiling.minor > p->ceiling.minor)
		return "envelope.ceiling.amount: above the parent's";
	if (w->agreement_max.minor > p->agreement_max.minor)
		return "envelope.perAgreementMax: above the parent's";
	if (w->term_max_s > p->term_max_s)
		return "envelope.maxTermSeconds: above the parent's";
	if (wallet_alone(w) > wallet_alone(p))
		return "policy.humanApprovalAbove: above the parent's";
	if (w->not_before.ms < p->not_before.ms || w->not_after.ms > p->not_after.ms)
		return "timeWindow: outside the parent's";
	return lists_wider(w, p);
}

static inline bool same_wallet_id(const struct wallet *a, const struct wallet *b)
{
	return !strncmp(a->issuer, b->issuer, DID_MAX) &&
	       !strncmp(a->wallet_id, b->wallet_id, URN_MAX);
}

/* Every link of the line, at most depth_max of them, and no wallet twice. */
static inline const char *wallet_line_wrong(const struct wallet *w, const struct wallet_line *l,
					    uint32_t depth_max)
{
	const char *why = NULL;

	if (l->n > depth_max || l->n > WALLET_PARENTS_MAX)
		return "delegation.parent: more of them than are taken here";
	for (uint32_t i = 0; !why && i < l->n; i++) {
		const struct wallet *below = i ? &l->up[i - 1] : w;

		why = wallet_wider(below, &l->up[i]);
		if (same_wallet_id(w, &l->up[i]))
			why = "delegation.parent: the wallet itself";
		for (uint32_t k = 0; !why && k < i; k++)
			if (same_wallet_id(&l->up[k], &l->up[i]))
				why = "delegation.parent: one stands twice in the line";
	}
	return why;
}

#endif
