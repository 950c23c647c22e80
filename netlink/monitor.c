/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "monitor.h"
#include "route.h"
#include "rule.h"

#define RCVBUF (1 << 20)

struct nl_monitor {
	struct mnl_socket *sock;
	_Alignas(16) char rx[NL_BATCH_BYTES];
};

static const int groups[] = {
	RTNLGRP_LINK,       RTNLGRP_TC,        RTNLGRP_NEIGH,     RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
};

static int open_socket(struct nl_monitor *m, struct err *e)
{
	int size = RCVBUF, fd;

	m->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!m->sock)
		return err_set(e, -errno, "monitor: cannot open (%s)", strerror(errno));
	fd = mnl_socket_get_fd(m->sock);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (mnl_socket_bind(m->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, -errno, "monitor: cannot bind (%s)", strerror(errno));
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return err_set(e, -errno, "monitor: group %d refused (%s)", groups[i],
				       strerror(errno));
	return 0;
}

int monitor_new(struct nl_monitor **ret, struct err *e)
{
	struct nl_monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "monitor: out of memory");
	r = open_socket(m, e);
	if (r) {
		(void)monitor_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

struct nl_monitor *monitor_free(struct nl_monitor *m)
{
	if (!m)
		return NULL;
	if (m->sock)
		(void)mnl_socket_close(m->sock);
	free(m);
	return NULL;
}

int monitor_fd(const struct nl_monitor *m)
{
	return mnl_socket_get_fd(m->sock);
}

static int take_name(const struct nlattr *a, void *arg)
{
	struct nl_event *ev = arg;

	if (mnl_attr_get_type(a) == IFLA_IFNAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		(void)!str_set(ev->name, mnl_attr_get_str(a));
	return MNL_CB_OK;
}

static bool read_link(const struct nlmsghdr *nlh, struct nl_event *ev)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*i))
		return false;
	/* A bridge port's own message (AF_BRIDGE) says nothing about the device's coming or going.
	 */
	if (i->ifi_family != AF_UNSPEC)
		return false;
	ev->type = nlh->nlmsg_type == RTM_NEWLINK ? NL_EV_LINK : NL_EV_LINK_GONE;
	ev->ifindex = (uint32_t)i->ifi_index;
	ev->up = i->ifi_flags & IFF_UP && i->ifi_flags & IFF_LOWER_UP;
	return mnl_attr_parse(nlh, sizeof(*i), take_name, ev) >= 0;
}

static bool read_qdisc(const struct nlmsghdr *nlh, struct nl_event *ev)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*t) || t->tcm_parent != TC_H_ROOT)
		return false;
	ev->type = NL_EV_QDISC;
	ev->ifindex = (uint32_t)t->tcm_ifindex;
	ev->handle = t->tcm_handle;
	ev->ours = t->tcm_handle == HTB_MAJOR << 16;
	return true;
}

static int take_dst(const struct nlattr *a, void *arg)
{
	struct nl_event *ev = arg;
	size_t len = mnl_attr_get_payload_len(a);

	if (mnl_attr_get_type(a) != NDA_DST || len != (ev->addr.family == NL_V4 ? 4 : 16))
		return MNL_CB_OK;
	ev->addr.len = (uint8_t)(len * 8);
	memcpy(ev->addr.b, mnl_attr_get_payload(a), len);
	return MNL_CB_OK;
}

static bool read_neigh(const struct nlmsghdr *nlh, struct nl_event *ev)
{
	const struct ndmsg *d = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*d) ||
	    (d->ndm_family != AF_INET && d->ndm_family != AF_INET6))
		return false;
	ev->type = nlh->nlmsg_type == RTM_NEWNEIGH ? NL_EV_NEIGH : NL_EV_NEIGH_GONE;
	ev->ifindex = (uint32_t)d->ndm_ifindex;
	ev->reachable = d->ndm_state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE |
					NUD_STALE | NUD_DELAY);
	ev->addr.family = d->ndm_family == AF_INET ? NL_V4 : NL_V6;
	return mnl_attr_parse(nlh, sizeof(*d), take_dst, ev) >= 0;
}

static bool read_route(const struct nlmsghdr *nlh, struct nl_event *ev)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	uint8_t proto = 0;

	ev->type = nlh->nlmsg_type == RTM_NEWROUTE ? NL_EV_ROUTE : NL_EV_ROUTE_GONE;
	ev->obj.kind = NL_ROUTE;
	/* Multicast routes of other families share the numbers: not for us. */
	if (route_parse(nlh, &ev->obj.u.route, &proto) < 0 || rtm->rtm_flags & RTM_F_CLONED)
		return false;
	ev->ours = ev->obj.ours = proto == NL_PROTO;
	return true;
}

static bool read_rule(const struct nlmsghdr *nlh, struct nl_event *ev)
{
	uint8_t proto = 0;

	ev->type = nlh->nlmsg_type == RTM_NEWRULE ? NL_EV_RULE : NL_EV_RULE_GONE;
	ev->obj.kind = NL_RULE;
	if (rule_parse(nlh, &ev->obj.u.rule, &proto) < 0)
		return false;
	ev->ours = ev->obj.ours = proto == NL_PROTO;
	return true;
}

static bool read_event(const struct nlmsghdr *nlh, struct nl_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK: return read_link(nlh, ev);
	case RTM_NEWQDISC:
	case RTM_DELQDISC: return read_qdisc(nlh, ev);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: return read_neigh(nlh, ev);
	case RTM_NEWROUTE:
	case RTM_DELROUTE: return read_route(nlh, ev);
	case RTM_NEWRULE:
	case RTM_DELRULE: return read_rule(nlh, ev);
	default: return false;
	}
}

static size_t datagram(struct nl_monitor *m, size_t len, nl_event_fn fn, void *arg)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)m->rx;
	int left = (int)len;
	size_t n = 0;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		struct nl_event ev;

		if (!read_event(nlh, &ev))
			continue;
		fn(&ev, arg);
		n++;
	}
	return n;
}

int monitor_drain(struct nl_monitor *m, size_t max, nl_event_fn fn, void *arg)
{
	size_t n = 0;

	if (max > INT32_MAX / 2)
		max = INT32_MAX / 2;
	while (n < max) {
		ssize_t len = mnl_socket_recvfrom(m->sock, m->rx, sizeof(m->rx));

		if (len > 0) {
			n += datagram(m, (size_t)len, fn, arg);
		} else if (len == 0) {
			return -EPIPE;
		} else if (errno == ENOBUFS || errno == ENOSPC) {
			/* Lost (queue full) or cut (longer than our buffer): either way unknown. */
			struct nl_event ev = { .type = NL_EV_RESYNC };

			fn(&ev, arg);
			n++;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return (int)n;
}
