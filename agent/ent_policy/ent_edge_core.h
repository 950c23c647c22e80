/* SPDX-License-Identifier: Apache-2.0 */
/* ent_edge_core.h - a signed agreement -> the edge's own steps. The edge is the enterprise's: no
 * operator's plan names it. Steps come as a plan of one node, so that one executor serves all. */
#ifndef TREATY_ENT_EDGE_CORE_H
#define TREATY_ENT_EDGE_CORE_H

#include "treaty/err.h"
#include "treaty/field.h"
#include "treaty/plan.h"

#define EDGE_RULES_MAX 16

struct ent_edge_in {
	ident_t plan;
	name_t node;        /* the edge itself */
	name_t lan, access; /* customer-facing device; device towards the operator */
	uint8_t path;       /* the edge's own path id for the access link, 0 = main table */
	struct order order; /* action, labels, grades, end, lineage, rev; path ids are not read */
	rate_t local;       /* the class's rate on the spur; 0 = the contracted rate */
	rate_t ceil;        /* what it may borrow; 0 = its rate */
	uint16_t minor, old_minor;
	uint8_t prio, dscp;  /* dscp 255 = leave */
	uint16_t police_pct; /* of the contracted rate; 0 = do not police */
	uint32_t burst_ms;
	int64_t drain_ms; /* wait before the old label or the last state goes */
	uint8_t n_rules;
	struct flow_rule rule[EDGE_RULES_MAX]; /* of the class; label is overwritten */
};

struct ent_edge_out {
	enum refusal refusal;
	struct plan plan;
	why_t why;
};

/* ADD and MIGRATE: class, label line, steer, then the rules switch to the label. MODIFY: raise the
 * class before the map, lower the map before the class. REROUTE: nothing but the new end and rate.
 * DELETE: rules fall back to watching their class (label 0), wait, then the state goes. */
void ent_edge_steps(const struct ent_edge_in *in, struct ent_edge_out *out);

extern const struct field_table ent_edge_in_fields, ent_edge_out_fields;

#endif
