/* SPDX-License-Identifier: Apache-2.0 */
/* monitor.h - what changes in the kernel, as events for the loop (libmnl). */
#ifndef TREATY_NETLINK_MONITOR_H
#define TREATY_NETLINK_MONITOR_H

#include "nl.h"
#include "obj.h"

struct nl_monitor;

enum nl_event_type {
	NL_EV_LINK, /* new or changed */
	NL_EV_LINK_GONE,
	NL_EV_QDISC, /* a root qdisc of a device came, went or changed */
	NL_EV_ROUTE,
	NL_EV_ROUTE_GONE,
	NL_EV_RULE,
	NL_EV_RULE_GONE,
	NL_EV_NEIGH, /* new or changed */
	NL_EV_NEIGH_GONE,
	NL_EV_RESYNC, /* events were lost (ENOBUFS): observe again; no other field is set */
};

struct nl_event {
	enum nl_event_type type;
	uint32_t ifindex;  /* link, qdisc, neigh; 0 otherwise */
	char name[16];     /* link */
	bool up;           /* link: IFF_UP and IFF_LOWER_UP */
	bool reachable;    /* neigh: usable (reachable, stale, delay, probe, permanent, noarp) */
	uint32_t handle;   /* qdisc */
	bool ours;         /* route, rule: protocol 84; qdisc: handle 54: */
	struct nl_ip addr; /* neigh */
	struct nl_obj obj; /* route, rule; the kind is set, the value as far as we read it */
};

typedef void (*nl_event_fn)(const struct nl_event *ev, void *arg);

must_check int monitor_new(struct nl_monitor **ret, struct err *e);
struct nl_monitor *monitor_free(struct nl_monitor *m);
/* Readable when there is something to drain. The monitor owns it. */
int monitor_fd(const struct nl_monitor *m);
/* Calls fn for each waiting event, at most max of them about (a datagram is never split); never
 * blocks. Returns how many, or a negative errno when the socket is dead. */
int monitor_drain(struct nl_monitor *m, size_t max, nl_event_fn fn, void *arg);

#endif
