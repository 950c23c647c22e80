/* SPDX-License-Identifier: Apache-2.0 */
/* intent.h - rank 1: what the enterprise needs (TMF921 Intent on the wire). */
#ifndef TREATY_INTENT_H
#define TREATY_INTENT_H

#include "telemetry.h"

enum intent_source { INTENT_DECLARED = 1, INTENT_POSTED, INTENT_DETECTED, INTENT_CHANGE };

struct intent {
	ident_t id;
	ident_t negotiation;
	ident_t lineage; /* the agreement to change; empty for a new service */
	name_t class_name;
	name_t flow; /* the consumer's operational name of the flow, not identifying */
	struct grades want;
	int64_t term_ms; /* asked term, > 0 */
	wall_t declared;
	enum intent_source source;
};

/* What a party says of a class of traffic. An enterprise's policy and an operator's catalog use
 * the same noun; each side fills and reads its own half. */
struct class_profile {
	name_t name;
	uint8_t id;         /* 1..CLASSES_MAX-1 */
	struct grades want; /* default grades */
	enum strategy strategy;
	int64_t term_ms;
	/* enterprise */
	price_t value;       /* most it is worth */
	price_t delay_value; /* worth of each ms below the ceiling */
	rate_t floor;        /* lowest bandwidth the class may be cut to on its own spur */
	bool donor;          /* gives way on the enterprise's own spur */
	bool detect;         /* demand may be declared from telemetry */
	uint8_t priority;    /* on the own spur: 0 = first */
	/* operator */
	price_t base[AXIS_MAX_]; /* per unit: Mbit/s, (latency premium), (availability premium) */
	price_t margin;          /* additive, negotiable */
	price_t margin_floor;
	bool v4; /* its packets are IPv4, also where its answers enter at the far end */
};

#endif
