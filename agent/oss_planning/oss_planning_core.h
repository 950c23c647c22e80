/* SPDX-License-Identifier: Apache-2.0 */
/* oss_planning_core.h - an accepted order -> ordered idempotent steps for the operator's nodes,
 * and a twin that walks every prefix of them before anything is committed.
 *
 * Rules of order: nothing carries a label before every node on its road knows it (far end first);
 * a rate is raised from the far end to the edge, class before map, and lowered from the edge to
 * the far end, map before class; a path is swapped make, probe, shift, overlap, break. */
#ifndef TREATY_OSS_PLANNING_CORE_H
#define TREATY_OSS_PLANNING_CORE_H

#include "treaty/err.h"
#include "treaty/field.h"
#include "treaty/plan.h"

#define OSS_RULES_MAX   16
#define OSS_DEVICES_MAX 64

struct oss_plan_in {
	ident_t plan;
	struct order order;
	struct path_def path;      /* of order.path; DELETE: the path that goes */
	struct path_def old_path;  /* REROUTE, MIGRATE: of order.old_path; else n_hops = 0 */
	uint16_t minor, old_minor; /* HTB minors of label and old_label; equal in place */
	uint8_t prio;              /* HTB priority */
	uint16_t ceil_pct;   /* what a class may borrow, percent of its rate; below 100 = nothing */
	uint16_t police_pct; /* of the rate, at the first hop and the far end; 0 = none */
	uint32_t burst_ms;   /* of the policer */
	int64_t overlap_ms;  /* both roads stay valid; > 0 for REROUTE, MIGRATE, DELETE */
	uint16_t ceiling;    /* the customer's, at the first hop and the far end; 0 = none */
	rate_t ceiling_rate;
	bool ceiling_last; /* no other agreement is under it: it goes with this one */
	/* Where a direction's packets come from, bound where they enter; length 0 = anywhere */
	uint8_t src_family, src_up_len, src_down_len;
	uint8_t src_up[16], src_down[16];
	bool no_v4; /* the far end of `path` leads no IPv4 onto it */
	uint8_t n_rules;
	struct flow_rule
		rule[OSS_RULES_MAX]; /* mirrored at the far end (dir DOWN); label ignored */
};

struct oss_plan_out {
	enum refusal refusal; /* NONE, or PLAN_INFEASIBLE, ORDER_INVALID */
	struct plan plan;
	why_t why;
};

void oss_plan_make(const struct oss_plan_in *in, struct oss_plan_out *out);

/* A shaped device and what it has promised to others than this lineage. */
struct oss_device {
	name_t node, device;
	rate_t capacity, reserved;
};

struct oss_check_in {
	struct oss_plan_in plan_in; /* what the plan was made from: gives the state before it */
	struct plan plan;
	uint16_t limit; /* permille of a device's capacity that classes may reach */
	uint8_t n_devices;
	struct oss_device device[OSS_DEVICES_MAX]; /* a device not listed has no limit */
};

struct oss_check_out {
	enum refusal refusal; /* NONE or PLAN_INFEASIBLE */
	uint16_t at;          /* step after which it fails; 0 = before the first, or none */
	why_t why;
};

/* Walks a packet of every live label in both directions over the model after every step, and those
 * still on their way over the old road until the overlap is over. Refuses when one of them meets a
 * node without its line, class or steer, a binding that does not admit it, or when the classes of
 * a device exceed what it may promise. */
void oss_plan_check(const struct oss_check_in *in, struct oss_check_out *out);

extern const struct field_table oss_plan_in_fields, oss_plan_out_fields, oss_check_in_fields,
	oss_check_out_fields;

#endif
