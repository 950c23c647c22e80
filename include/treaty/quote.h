/* SPDX-License-Identifier: Apache-2.0 */
/* quote.h - rank 2: a menu of priced alternatives (TMF648 Quote on the wire). The scarcity price
 * is not negotiable, the additive margin is. */
#ifndef TREATY_QUOTE_H
#define TREATY_QUOTE_H

#include "intent.h"

enum quote_reason {
	QUOTE_NEW = 1,   /* answers a new intent */
	QUOTE_CHANGE,    /* answers an intent that changes a live agreement */
	QUOTE_STEP_UP,   /* breach predicted: hold the grades at another price or path */
	QUOTE_STEP_DOWN, /* breach predicted: cheaper, lower grades */
	QUOTE_WALK_BACK, /* risk has passed: back to the original grades and price */
	QUOTE_REASON_MAX_
};

struct quote_item {
	uint8_t no;   /* 1.. within the quote */
	uint8_t path; /* operator-side only, never on the wire */
	enum net_type type;
	bool withdrawn; /* grade exhausted: shown, not for sale */
	struct grades g;
	price_t scarcity; /* base price with its surge */
	price_t margin;
	uint16_t surge_pct[AXIS_MAX_];
};

struct quote {
	ident_t id;
	ident_t negotiation;
	ident_t intent;
	ident_t lineage;  /* empty for a new service */
	uint32_t version; /* rises with each counter-offer */
	uint32_t rev;     /* number of the revision that it would become; 0 = the next */
	bool refundable;  /* what is paid and not used goes back by a credit note */
	enum quote_reason reason;
	name_t class_name;
	name_t flow;
	char currency[4]; /* ISO 4217 */
	wall_t made, valid_until;
	int64_t term_ms;
	uint8_t n_items;
	struct quote_item item[QUOTE_ITEMS_MAX];
	digest_t digest; /* SHA-256 of the JCS body as sent; set by the codec's caller */
};

static inline price_t quote_price(const struct quote_item *i)
{
	return (price_t){ i->scarcity.minor_h + i->margin.minor_h };
}

#endif
