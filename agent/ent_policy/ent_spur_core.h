/* SPDX-License-Identifier: Apache-2.0 */
/* ent_spur_core.h - the enterprise's own access link: who gives way when its contracts do not
 * fit. Settled locally; no message leaves. */
#ifndef TREATY_ENT_SPUR_CORE_H
#define TREATY_ENT_SPUR_CORE_H

#include "treaty/err.h"
#include "treaty/field.h"
#include "treaty/telemetry.h"

#define SPUR_SHARES_MAX 16

struct spur_flow {
	uint32_t label; /* names the flow; unique */
	uint8_t class_id;
	uint8_t priority; /* 0 = first served, last cut */
	bool donor;       /* gives way before the others */
	rate_t contracted;
	rate_t floor;  /* <= contracted */
	rate_t demand; /* measured; the idler donor of a priority is cut first */
	rate_t rate;   /* local rate now; 0 = not set yet */
};

struct ent_spur_in {
	rate_t capacity;
	uint16_t usable;  /* permille of the capacity that may be promised locally */
	uint16_t restore; /* permille (<= usable) under which a cut flow may come back */
	uint16_t hold;    /* intervals of room before it does */
	uint16_t calm;    /* intervals of room so far (from the last output) */
	uint8_t n_flows;
	struct spur_flow flow[SPUR_SHARES_MAX];
};

struct spur_rate {
	uint32_t label;
	rate_t rate;
	bool changed;
};

struct ent_spur_out {
	bool changed;
	enum refusal refusal; /* NO_CAPACITY: even the floors do not fit; nothing changes */
	uint16_t calm;
	uint8_t n_flows;
	struct spur_rate flow[SPUR_SHARES_MAX]; /* same order as the input */
	why_t why;
};

void ent_spur_rebalance(const struct ent_spur_in *in, struct ent_spur_out *out);

extern const struct field_table ent_spur_in_fields, ent_spur_out_fields;

#endif
