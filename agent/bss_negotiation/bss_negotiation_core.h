/* SPDX-License-Identifier: Apache-2.0 */
/* bss_negotiation_core.h - price, bargain the margin, renegotiate. The scarcity price is the same
 * for every tenant and is not negotiable; the margin is additive and is. */
#ifndef TREATY_BSS_NEGOTIATION_CORE_H
#define TREATY_BSS_NEGOTIATION_CORE_H

#include "treaty/advice.h"
#include "treaty/agreement.h"
#include "treaty/err.h"
#include "treaty/field.h"
#include "treaty/order.h"

/* The operator's price book and limits, beside the class profile. */
struct bss_params {
	uint16_t surge_pct[AXIS_MAX_ * BAND_MAX_]; /* [axis * BAND_MAX_ + band] */
	delay_t guard; /* promised latency = the path's own (or forecast) + guard, up to a ms */
	uint16_t load_limit; /* permille of a path's capacity that loads and promises may reach */
	uint16_t load_clear; /* permille (<= load_limit) under which a walk-back is offered */
	avail_t unprotected; /* promised on a path without a spare */
	uint16_t be_pct;     /* price of NET_BE bandwidth, percent of NET_DET */
	uint16_t step_pct;   /* a step-down keeps that much of the bandwidth */
	int64_t ttl_ms;      /* validity of a quote */
};

/* What this lineage already holds, so that it is not counted against itself. path 0 = nothing. */
struct bss_own {
	uint8_t path;
	rate_t rate;
};

struct bss_menu_in {
	struct bss_params p;
	struct class_profile profile;
	struct grades want;
	struct bss_own own;
	bool ceiling; /* the customer has one */
	rate_t room;  /* of it, beside other agreements */
	wall_t now;
	uint8_t n_paths;
	struct path_view path[PATHS_MAX]; /* path ids unique */
};

/* A menu. Items are numbered 1.. : for sale first, NET_DET before NET_BE, cheapest first; the
 * withdrawn ones, without a price, last. */
struct bss_menu_out {
	enum refusal refusal; /* NONE: at least one item is for sale */
	wall_t valid_until;
	uint8_t n_items;
	struct quote_item item[QUOTE_ITEMS_MAX];
	uint8_t n_refused;
	struct refused refused[PATHS_MAX]; /* by path id */
	why_t why;
};

void bss_defaults(struct bss_params *p);
void bss_menu(const struct bss_menu_in *in, struct bss_menu_out *out);

/* One round of bargaining. `round` counts the counter-offers received so far, this one included. */
struct bss_counter_in {
	price_t quoted;  /* the margin as first quoted */
	price_t floor;   /* the least we take */
	price_t last;    /* our last offer; never raised again */
	price_t offered; /* theirs */
	uint8_t round;
	bool expired;   /* the quote it answers is past its validity */
	bool withdrawn; /* the item is not for sale */
};

enum bss_verdict { BSS_ACCEPT = 1, BSS_COUNTER, BSS_REFUSE };

struct bss_counter_out {
	enum bss_verdict verdict;
	price_t margin;       /* ACCEPT, COUNTER */
	enum refusal refusal; /* REFUSE */
	why_t why;
};

void bss_counter(const struct bss_counter_in *in, struct bss_counter_out *out);

/* What made us look at a live agreement. */
enum bss_trigger {
	TRIGGER_BREACH_PREDICTED = 1,
	TRIGGER_BREACHED,
	TRIGGER_RECOVERED, /* the risk has passed: walk back if away from the origin */
	TRIGGER_RECLAIM,   /* the operator wants capacity back */
};

/* The priced half of a revision. */
struct bss_terms {
	struct grades g;
	price_t scarcity, margin;
	uint8_t path;
	enum net_type type;
};

struct bss_strategy_in {
	struct bss_params p;
	struct class_profile profile;
	enum bss_trigger trigger;
	enum life life;
	struct bss_terms live, origin;
	wall_t now;
	uint8_t n_paths;
	struct path_view path[PATHS_MAX];
};

struct bss_strategy_out {
	bool offer;
	enum quote_reason reason; /* STEP_UP, STEP_DOWN, WALK_BACK */
	enum life_event event;    /* OFFERED_UP or OFFERED_DOWN; LEV_MAX_ without an offer */
	enum refusal refusal;     /* without an offer: why none was possible; may be NONE */
	wall_t valid_until;
	uint8_t n_items;
	struct quote_item item[QUOTE_ITEMS_MAX]; /* best first */
	uint8_t n_refused;
	struct refused refused[PATHS_MAX]; /* by path id */
	why_t why;
};

/* Never offers what path_view cannot hold. */
void bss_strategy(const struct bss_strategy_in *in, struct bss_strategy_out *out);

/* old NULL: ADD. new NULL: DELETE. Another network type: MIGRATE (new service and label). Another
 * path: REROUTE. Else MODIFY. */
enum order_action bss_order_action(const struct agreement *old, const struct agreement *next);

/* Scarcity price of grades on a path: per axis base x surge, summed, each rounded up. Negative on
 * overflow. */
price_t bss_price(const struct bss_params *p, const struct class_profile *c, const struct grades *g,
		  const struct path_view *v, delay_t shortest);

extern const struct field_table bss_params_fields, bss_menu_in_fields, bss_menu_out_fields,
	bss_counter_in_fields, bss_counter_out_fields, bss_terms_fields, bss_strategy_in_fields,
	bss_strategy_out_fields;

#endif
