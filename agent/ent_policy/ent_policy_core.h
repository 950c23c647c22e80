/* SPDX-License-Identifier: Apache-2.0 */
/* ent_policy_core.h - keep the money: which item of a menu, if any, and at what amount. An offer
 * in life (step-up, step-down, walk-back) walks the same road. */
#ifndef TREATY_ENT_POLICY_CORE_H
#define TREATY_ENT_POLICY_CORE_H

#include "treaty/advice.h"
#include "treaty/amount.h"
#include "treaty/err.h"
#include "treaty/field.h"

/* What the wallet and its ledger leave. "left" = ceiling - held - captured. */
struct wallet_limits {
	bool valid; /* false: revoked, expired or outside its window: no new hold */
	money_t envelope_left;
	money_t class_left;
	money_t agreement_max; /* for one lineage */
	int64_t term_max_ms;
	char currency[4];
	struct grades floor; /* 0 in an axis = no floor; latency is a ceiling */
};

struct ent_policy_in {
	struct quote quote;
	struct class_profile profile;
	struct grades want; /* of the intent: worth counts up to it, its latency is the ceiling */
	struct wallet_limits wallet;
	struct lineage_cost cost;
	money_t captured;     /* of this lineage so far */
	price_t origin_price; /* of the original revision: a walk-back may not cost more */
	wall_t now;           /* = the start of the revision when accepted */
	uint8_t round;        /* counter-offers made so far in this negotiation */
	bool bargain;         /* policy: haggle over the margin of NEW and CHANGE quotes */
	price_t last_margin;  /* our last counter-offer; a counter is never below it */
};

enum policy_verdict { POLICY_ACCEPT = 1, POLICY_COUNTER, POLICY_REJECT };

struct ent_policy_out {
	enum policy_verdict verdict;
	uint8_t item;         /* ACCEPT, COUNTER: the item's number */
	price_t price;        /* ACCEPT: scarcity + margin */
	price_t margin;       /* ACCEPT: as quoted; COUNTER: offered */
	wall_t start, end;    /* ACCEPT */
	money_t amount, hold; /* ACCEPT: ruling 2 */
	enum refusal refusal; /* REJECT */
	bool advised;         /* the adviser's choice decided */
	uint8_t n_refused;
	struct refused refused[QUOTE_ITEMS_MAX];
	why_t why;
};

/* What an adviser was told to decide on, and what it said: the whole input of an advised choice. */
struct ent_advised_in {
	struct ent_policy_in in;
	struct advice advice;
};

/* advice NULL: the deterministic choice. An adviser picks inside the cleared set or rejects; a
 * choice outside the set counts as none. */
void ent_policy_choose(const struct ent_policy_in *in, const struct advice *advice,
		       struct ent_policy_out *out);

/* Worth of an item per hour less its price: value x min(offered, asked) / the class's own bandwidth
 * + delay_value x ms below the asked ceiling - price. Saturates. */
int64_t ent_policy_utility(const struct class_profile *p, const struct grades *want,
			   const struct quote_item *i);

/* ent_policy_choose() with both halves in one struct, for the log and for redecide. */
void ent_policy_advised(const struct ent_advised_in *in, struct ent_policy_out *out);

extern const struct field_table wallet_limits_fields, ent_policy_in_fields, ent_policy_out_fields,
	ent_advised_in_fields;

#endif
