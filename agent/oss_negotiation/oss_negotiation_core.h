/* SPDX-License-Identifier: Apache-2.0 */
/* oss_negotiation_core.h - take only valid orders. */
#ifndef TREATY_OSS_NEGOTIATION_CORE_H
#define TREATY_OSS_NEGOTIATION_CORE_H

#include "treaty/err.h"
#include "treaty/field.h"
#include "treaty/order.h"

struct oss_negotiation_in {
	struct order order;
	bool known; /* the signed agreement of order.lineage and order.rev is at hand */
	struct agreement agreement;
	uint32_t applied_rev;        /* last revision provisioned; 0 = none */
	struct order applied;        /* the order that provisioned it */
	bool swap;                   /* a human has the provisioned revision take another path */
	bool busy;                   /* a plan of this lineage is under way */
	uint32_t label_lo, label_hi; /* the operator's label range */
	bool label_taken;            /* order.label belongs to another lineage */
	bool path_known;             /* view is that of order.path */
	struct path_view view;       /* reserved includes what this lineage holds now */
	bool v4;                     /* the class's packets are IPv4 */
	bool ceiling;                /* the customer has one */
	rate_t room;                 /* of it, beside other agreements */
	uint16_t load_limit;         /* permille of the capacity that promises may reach */
	wall_t now;
};

struct oss_negotiation_out {
	enum refusal refusal; /* NONE: accepted */
	why_t why;
};

void oss_negotiation_decide(const struct oss_negotiation_in *in, struct oss_negotiation_out *out);

extern const struct field_table oss_negotiation_in_fields, oss_negotiation_out_fields;

#endif
