/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - rank 5: ordered idempotent steps for named nodes. */
#ifndef TREATY_PLAN_H
#define TREATY_PLAN_H

#include "order.h"

enum step_kind {
	STEP_LABEL_SET = 1, /* state line: binding, policer, expiry */
	STEP_LABEL_DEL,
	STEP_CLASS_SET, /* HTB class on a device */
	STEP_CLASS_DEL,
	STEP_RULE_SET, /* classifier rule (the edge, and mirrored at the far end) */
	STEP_RULE_DEL,
	STEP_STEER,       /* one u32: label, dir -> path */
	STEP_PROBE,       /* path must answer before traffic is shifted */
	STEP_WAIT,        /* overlap: wait before what follows (drain) */
	STEP_CEILING_SET, /* one rate above several labels */
	STEP_CEILING_DEL,
	STEP_KIND_MAX_
};

/* A classifier rule: a zero or full range means "any". */
struct flow_rule {
	uint32_t id;              /* 1.., unique per node; lower = earlier among equal prio */
	uint16_t prio;            /* 0 = first */
	uint8_t family;           /* 4, 6, or 0 = both */
	uint8_t proto;            /* IP protocol, 0 = any */
	uint8_t src[16], dst[16]; /* IPv4 in the first 4 bytes */
	uint8_t src_len, dst_len;
	uint16_t sport_lo, sport_hi, dport_lo, dport_hi; /* host order; 0,0 = any */
	uint8_t dscp;                                    /* 0..63, 255 = any */
	uint8_t class_id;
	uint32_t label;    /* 0 = watched, no agreement */
	uint8_t dir;       /* enum dir of the traffic that this rule sees */
	uint32_t label_in; /* IPv6 flow label with which it comes, 1..LABEL_MAX; 0 = any */
	uint8_t cgroup;    /* 1 = not by address: senders on the node, in its class's cgroup */
};

/* Minors of labels' classes: the handles of a class's leaf stay below the kernel's own, 8000:. */
#define PLAN_MINOR  0x100u
#define PLAN_MINORS 0x7e00u

struct step {
	enum step_kind kind;
	uint32_t label;
	uint8_t dir;           /* STEER, RULE_*: enum dir */
	uint8_t path;          /* STEER, PROBE */
	name_t device;         /* CLASS_*: the egress device */
	name_t in_up, in_down; /* LABEL_SET: ingress binding per direction; empty = any of ours */
	uint16_t minor;        /* HTB class minor, PLAN_MINOR..; 0x8000.. = a customer's class */
	uint16_t customer;     /* CLASS_SET: the customer's class above it, 0 = none */
	rate_t rate, ceil;     /* CLASS_SET; LABEL_SET: rate = policed committed rate, 0 = none;
				  CEILING_SET: rate, of each direction */
	rate_t excess;         /* LABEL_SET: passed above rate, as excess (RFC 4115); 0 = none */
	uint16_t
		ceiling; /* CEILING_*: its number, 1..4095; LABEL_SET: the one above it, 0 = none */
	uint32_t burst_ms; /* LABEL_SET, CEILING_SET: policer burst, >= 250 where TCP flows */
	/* LABEL_SET: the prefix that each direction's packets must come from; length 0 = any */
	uint8_t src_family; /* 4, 6 */
	uint8_t src_up_len, src_down_len;
	uint8_t src_up[16], src_down[16]; /* IPv4 in the first 4 bytes */
	uint8_t prio;                     /* CLASS_SET: HTB priority, 0 = first */
	uint8_t dscp;                     /* LABEL_SET: written at the edge, 255 = leave */
	wall_t valid_until;               /* LABEL_SET */
	struct flow_rule rule;            /* RULE_* */
	int64_t wait_ms;                  /* WAIT */
};

struct plan_step {
	uint16_t no; /* 1.., order of execution */
	name_t node;
	bool done;
	struct step step;
};

struct plan {
	ident_t id;
	ident_t order;
	ident_t lineage;
	uint32_t rev;
	uint16_t n_steps;
	struct plan_step step[STEPS_MAX];
};

/* Whether both steps set or remove the same kernel object (label line, class on a device, rule,
 * steering of one direction, ceiling), so that the newer one replaces the older one. */
bool step_same_object(const struct step *a, const struct step *b);
/* The same for all steps of an object, seldom for those of another: for an index of them. */
uint32_t step_object_key(const struct step *s);
bool step_is_removal(enum step_kind k);

/* A path as the operator's topology knows it: its nodes from the enterprise side to the far end,
 * with the device each direction enters and leaves by. */
struct hop {
	name_t node;
	name_t near;        /* device towards the enterprise */
	name_t far;         /* device towards the far end */
	bool customer_near; /* near is customer-facing (never: the edge is the enterprise's own) */
	bool customer_far;  /* far is customer-facing: mirrored rules, edge ingress */
	bool steers;        /* this node chooses among paths */
};

struct path_def {
	uint8_t path;
	name_t name;
	enum net_type type;
	delay_t base;
	rate_t capacity;
	uint8_t spare; /* the disjoint path that stands by, 0 = none */
	uint8_t n_hops;
	struct hop hop[HOPS_MAX];
};

#endif
