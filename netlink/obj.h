/* SPDX-License-Identifier: Apache-2.0 */
/* obj.h - kernel objects that we make, as plain values: what is wanted and what was seen.
 *
 * Ours is what carries our mark: a root HTB with handle 54: (and all below it), a route or rule
 * with protocol 84. Nothing else is ever changed or deleted. Always zero an object before filling
 * it; addresses are in network order with unused bytes zero. */
#ifndef TREATY_NETLINK_OBJ_H
#define TREATY_NETLINK_OBJ_H

#include "treaty/base.h"
#include "treaty/units.h"

#define NL_PROTO           84 /* rtm_protocol, FRA_PROTOCOL */
#define HTB_MAJOR          0x54u
#define HTB_ROOT           0x1u /* minor of the device-rate class */
#define HTB_DEFAULT        0x2u
#define HTB_LABEL_BASE     0x100u     /* minor of label slot 0 */
#define HTB_SLOTS_MAX      0x7e00u    /* leaf handles (minor:) stay below the kernel's own 8000: */
#define HTB_CUSTOMER_BASE  0x8000u    /* inner classes: a customer's ceiling over its leaves */
#define HTB_LIMIT_MAX      (1u << 30) /* bytes in a leaf */
#define NL_SEGS_MAX        8
#define NL_METRIC_V6       1024u /* what metric 0 means in IPv6 */
#define NL_PATH_TABLE(p)   (1000u + (p))
#define NL_PATH_NEXTHOP(p) (0x54000000u + (p))
#define NL_PATH_PRIO(p)    (10000u + (p))
#define NL_PROBE_PRIO(p)   (9000u + (p))
#define NL_PATH_MASK       0xff000000u
#define NL_PATH_MARK(p)    ((uint32_t)(p) << 24)

/* Order = order of dependence: a device's qdisc before its classes, nexthops before their routes, a
 * table's routes before the rules that lead into it. */
enum nl_kind { NL_QDISC, NL_CLASS, NL_NEXTHOP, NL_ROUTE, NL_RULE, NL_KIND_MAX_ };

enum nl_family { NL_NONE = 0, NL_V4 = 4, NL_V6 = 6 };

struct nl_ip {
	uint8_t family; /* enum nl_family; NL_NONE = absent */
	uint8_t len;    /* prefix length; 32 or 128 for a host */
	uint8_t b[16];
};

/* Key: ifindex + minor. Rates in bits per second, multiples of 8 (the kernel counts bytes). prio
 * and quantum count on leaves only; limit is the bfifo's, bytes; inner classes have no leaf. */
struct nl_class {
	uint32_t minor;
	uint32_t parent; /* minor of a customer's class, 0 = HTB_ROOT */
	rate_t rate, ceil;
	uint32_t burst, cburst; /* bytes */
	uint32_t prio;          /* 0..7 */
	uint32_t quantum;       /* bytes */
	uint32_t limit;         /* 1..HTB_LIMIT_MAX; 0 for inner classes */
};

enum nl_encap { NL_ENCAP_NONE, NL_ENCAP_SEG6, NL_ENCAP_SEG6LOCAL };
enum nl_action { NL_END_NONE, NL_END_DX4, NL_END_DX6, NL_END_DT6 };

/* Key: id. A device and a gateway that routes name. */
struct nl_nexthop {
	uint32_t id; /* not 0 */
	uint32_t oif;
	struct nl_ip gw; /* a host address */
};

/* Key: family + table + dst + metric. A unicast route. */
struct nl_route {
	uint32_t table;
	struct nl_ip dst; /* family fixes the route's; len 0 = default */
	uint32_t metric;  /* IPv6: 0 means NL_METRIC_V6 */
	uint32_t nh_id;   /* a nexthop object instead of oif and gw; 0 = none */
	uint32_t oif;
	struct nl_ip gw; /* NL_NONE = on link; an IPv6 gateway of an IPv4 route is fine */
	uint8_t encap;   /* enum nl_encap */
	uint8_t action;  /* enum nl_action, with NL_ENCAP_SEG6LOCAL (IPv6 /128 only) */
	uint8_t n_seg;   /* 1..NL_SEGS_MAX with NL_ENCAP_SEG6 (mode encap) */
	uint8_t seg[NL_SEGS_MAX][16]; /* in order of travel */
	struct nl_ip nh;              /* of End.DX4 (IPv4) and End.DX6 (IPv6) */
	uint32_t nh_table;            /* of End.DT6 */
};

/* Key: all of it (the kernel cannot change a rule): a changed rule is a new one and a deletion. */
struct nl_rule {
	uint8_t family; /* NL_V4 or NL_V6 */
	uint32_t priority;
	uint32_t mark, mask; /* both 0 = no match on the mark */
	struct nl_ip src;    /* NL_NONE = any */
	uint32_t table;
};

struct nl_obj {
	uint8_t kind;     /* enum nl_kind */
	bool ours;        /* seen: carries our mark; wanted: true */
	uint32_t ifindex; /* qdisc, class: the device */
	union {
		struct nl_class class;
		struct nl_nexthop nexthop;
		struct nl_route route;
		struct nl_rule rule;
	} u;
};

/* Total order by kind, then key: the order of every array in this folder. */
int nl_obj_cmp(const struct nl_obj *a, const struct nl_obj *b);
/* Same value, given the same key. Tolerant where the kernel rounds: burst to its 64 ns ticks. */
bool nl_obj_same(const struct nl_obj *a, const struct nl_obj *b);
/* NULL when the object is in range, else a static text that names the field and the rule. */
const char *nl_obj_check(const struct nl_obj *o);
/* Sorts in place (heap sort: no allocation, no recursion). */
void nl_obj_sort(struct nl_obj *o, size_t n);

#endif
