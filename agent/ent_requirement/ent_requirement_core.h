/* SPDX-License-Identifier: Apache-2.0 */
/* ent_requirement_core.h - what is needed, from what is seen: one class of traffic, one window. */
#ifndef TREATY_ENT_REQUIREMENT_CORE_H
#define TREATY_ENT_REQUIREMENT_CORE_H

#include "treaty/field.h"
#include "treaty/intent.h"

struct ent_requirement_params {
	rate_t detect;     /* at or above: there is demand */
	uint16_t up;       /* intervals in a row before declaring or raising */
	uint16_t down;     /* intervals in a row before lowering */
	uint16_t idle;     /* intervals in a row below `detect` before withdrawing */
	uint16_t raise;    /* permille of the contracted rate that asks for more */
	uint16_t lower;    /* permille below which less would do */
	uint16_t headroom; /* permille added to what was seen */
	rate_t grain;      /* rates are asked in multiples of this, > 0 */
	rate_t most;       /* never ask for more; 0 = no limit */
};

/* Carried from window to window. */
struct ent_requirement_state {
	uint16_t above, below, idle;
	rate_t peak; /* of the present run */
};

struct ent_requirement_in {
	struct ent_requirement_params p;
	struct class_profile profile;
	struct ent_requirement_state s;
	rate_t observed;   /* of the class over the last window, before any policing */
	bool live;         /* an agreement is live */
	bool detected;     /* ... and it arose from detection: it may end by it */
	bool busy;         /* a negotiation or a renegotiation is under way */
	rate_t contracted; /* of the live agreement */
};

enum requirement_action { REQUIRE_NOTHING, REQUIRE_DECLARE, REQUIRE_CHANGE, REQUIRE_WITHDRAW };

struct ent_requirement_out {
	enum requirement_action action;
	struct grades want; /* DECLARE, CHANGE */
	struct ent_requirement_state s;
	why_t why;
};

void ent_requirement_defaults(struct ent_requirement_params *p);
void ent_requirement_decide(const struct ent_requirement_in *in, struct ent_requirement_out *out);

extern const struct field_table ent_requirement_in_fields, ent_requirement_out_fields;

#endif
