/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/errno.h>
#include <netlink/socket.h>

#include "nl.h"

#define RCVBUF      (4 << 20)
#define ANSWER_SECS 5 /* the kernel answers within the send; later means a lost ack */

struct nl {
	struct nl_sock *route;
	struct mnl_socket *mnl;
	uint32_t seq;
	/* the batch: messages waiting in tx, of which the first is number base */
	bool batching;
	int *result;
	size_t result_cap, base;
	uint32_t first_seq;
	size_t tx_len, tx_n;
	int ok[NL_BATCH_MAX];
	bool seen[NL_BATCH_MAX];
	nl_answer_fn answer;
	void *answer_arg;
	struct err first; /* first failure of the batch */
	_Alignas(16) char tx[NL_BATCH_BYTES];
	_Alignas(16) char rx[NL_BATCH_BYTES];
	_Alignas(16) char scratch[NL_BATCH_BYTES];
};

static int open_mnl(struct nl *n, struct err *e)
{
	int one = 1, size = RCVBUF, fd;
	struct timeval tv = { .tv_sec = ANSWER_SECS };

	n->mnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->mnl)
		return err_set(e, -errno, "netlink socket: cannot open (%s)", strerror(errno));
	if (mnl_socket_bind(n->mnl, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, -errno, "netlink socket: cannot bind (%s)", strerror(errno));
	fd = mnl_socket_get_fd(n->mnl);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) < 0)
		return err_set(e, -errno, "netlink socket: option refused (%s)", strerror(errno));
	/* More than the default is a wish: without CAP_NET_ADMIN the smaller buffer serves. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

static int open_route(struct nl *n, struct err *e)
{
	int r;

	n->route = nl_socket_alloc();
	if (!n->route)
		return err_set(e, -ENOMEM, "libnl socket: out of memory");
	r = nl_connect(n->route, NETLINK_ROUTE);
	if (r < 0)
		return err_set(e, nl_errno(r), "libnl socket: %s", nl_geterror(r));
	/* A dump of many devices must not be cut: peek at each datagram's size first. */
	nl_socket_enable_msg_peek(n->route);
	return 0;
}

int nl_new(struct nl **ret, struct err *e)
{
	struct nl *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_set(e, -ENOMEM, "netlink handle: out of memory");
	r = open_mnl(n, e);
	if (!r)
		r = open_route(n, e);
	if (r) {
		(void)nl_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

struct nl *nl_free(struct nl *n)
{
	if (!n)
		return NULL;
	if (n->mnl)
		(void)mnl_socket_close(n->mnl);
	if (n->route)
		nl_socket_free(n->route);
	free(n);
	return NULL;
}

enum refusal nl_refusal(int code)
{
	switch (code) {
	case -EEXIST: return REFUSE_FOREIGN_OBJECT;
	case -ENODEV: return REFUSE_DEVICE_UNKNOWN;
	case -EOPNOTSUPP: return REFUSE_KERNEL_UNSUPPORTED;
	default: return REFUSE_NONE;
	}
}

int nl_errno(int code)
{
	switch (code < 0 ? -code : code) {
	case NLE_SUCCESS: return 0;
	case NLE_NODEV: return -ENODEV;
	case NLE_EXIST: return -EEXIST;
	case NLE_OBJ_NOTFOUND: return -ENOENT;
	case NLE_NOMEM: return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS: return -EPERM;
	case NLE_OPNOTSUPP: return -EOPNOTSUPP;
	case NLE_BUSY: return -EBUSY;
	case NLE_INVAL:
	case NLE_RANGE: return -EINVAL;
	case NLE_AGAIN:
	case NLE_DUMP_INTR: return -EAGAIN;
	default: return -EIO;
	}
}

static const char *type_name(uint16_t type)
{
	switch (type) {
	case RTM_NEWLINK: return "set link";
	case RTM_NEWQDISC: return "put qdisc";
	case RTM_DELQDISC: return "delete qdisc";
	case RTM_NEWTCLASS: return "put class";
	case RTM_DELTCLASS: return "delete class";
	case RTM_NEWROUTE: return "put route";
	case RTM_DELROUTE: return "delete route";
	case RTM_NEWNEXTHOP: return "put nexthop";
	case RTM_DELNEXTHOP: return "delete nexthop";
	case RTM_NEWRULE: return "put rule";
	case RTM_DELRULE: return "delete rule";
	default: return "netlink request";
	}
}

static int take_text(const struct nlattr *a, void *arg)
{
	const char **text = arg;

	if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		*text = mnl_attr_get_str(a);
	return MNL_CB_OK;
}

/* The kernel's own words, when it sent any: they come as attributes after the (capped) header. */
static const char *ack_text(const struct nlmsghdr *nlh)
{
	const char *text = "";

	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		(void)mnl_attr_parse(nlh, sizeof(struct nlmsgerr), take_text, &text);
	return text;
}

static void note(struct nl *n, size_t i, int code, const struct nlmsghdr *ack)
{
	const struct nlmsgerr *m;

	if (code == n->ok[i])
		code = 0;
	if (n->result && n->base + i < n->result_cap)
		n->result[n->base + i] = code;
	if (!code || n->first.code)
		return;
	if (!ack) {
		(void)err_set(&n->first, code, "netlink: no answer (%s)", strerror(-code));
		return;
	}
	m = mnl_nlmsg_get_payload(ack);
	(void)err_set(&n->first, code, "%s: %s%s%s", type_name(m->msg.nlmsg_type), strerror(-code),
		      *ack_text(ack) ? ": " : "", ack_text(ack));
}

/* Takes the acks out of one datagram; returns how many belonged to this flight. What is no ack is
 * an answer to a question among the messages. */
static size_t take_acks(struct nl *n, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)n->rx;
	size_t got = 0;
	int left = (int)len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		uint32_t i = nlh->nlmsg_seq - n->first_seq;
		const struct nlmsgerr *m = mnl_nlmsg_get_payload(nlh);

		if (i >= n->tx_n || n->seen[i])
			continue; /* late word on an older request */
		if (nlh->nlmsg_type != NLMSG_ERROR) {
			if (n->answer)
				n->answer(n->base + i, nlh, n->answer_arg);
			continue;
		}
		if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
			continue;
		n->seen[i] = true;
		got++;
		note(n, i, m->error, nlh);
	}
	return got;
}

/* Numbers the queued messages in a row, only now: a dump may have taken numbers while they waited.
 */
static void number(struct nl *n)
{
	n->first_seq = n->seq + 1;
	for (size_t at = 0; at < n->tx_len;) {
		struct nlmsghdr *nlh = (struct nlmsghdr *)(void *)(n->tx + at);

		nlh->nlmsg_seq = ++n->seq;
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
}

static void flight(struct nl *n)
{
	size_t got = 0, i;
	int code = 0;

	if (!n->tx_n)
		return;
	memset(n->seen, 0, sizeof(n->seen));
	number(n);
	if (mnl_socket_sendto(n->mnl, n->tx, n->tx_len) < 0)
		code = -errno;
	while (!code && got < n->tx_n) {
		ssize_t len = mnl_socket_recvfrom(n->mnl, n->rx, sizeof(n->rx));

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			code = len ? -errno : -EPIPE;
		else
			got += take_acks(n, (size_t)len);
	}
	for (i = 0; i < n->tx_n; i++)
		if (!n->seen[i])
			note(n, i, code, NULL);
	n->base += n->tx_n;
	n->tx_n = n->tx_len = 0;
}

bool nl_in_batch(const struct nl *n)
{
	return n->batching;
}

int nl_talk(struct nl *n, struct nlmsghdr *nlh, int ok, struct err *e)
{
	size_t len = NLMSG_ALIGN(nlh->nlmsg_len);

	if (len > sizeof(n->tx))
		return err_set(e, -EMSGSIZE, "%s: message too long", type_name(nlh->nlmsg_type));
	if (n->batching && n->result && n->base + n->tx_n >= n->result_cap)
		return err_set(e, -E2BIG, "batch: more messages than results");
	if (n->tx_n == NL_BATCH_MAX || n->tx_len + len > sizeof(n->tx))
		flight(n);
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_pid = 0;
	memset(n->tx + n->tx_len, 0, len);
	memcpy(n->tx + n->tx_len, nlh, nlh->nlmsg_len);
	n->ok[n->tx_n++] = ok;
	n->tx_len += len;
	if (n->batching)
		return 0;
	n->first.code = 0;
	flight(n);
	n->base = 0;
	if (e && !e->code && n->first.code)
		*e = n->first;
	return n->first.code;
}

void nl_batch_begin(struct nl *n, int *result, size_t cap)
{
	n->batching = true;
	n->result = result;
	n->result_cap = result ? cap : 0;
	n->base = n->tx_n = n->tx_len = 0;
	n->first.code = 0;
}

void nl_batch_answers(struct nl *n, nl_answer_fn fn, void *arg)
{
	n->answer = fn;
	n->answer_arg = arg;
}

int nl_batch_end(struct nl *n, size_t *count, struct err *e)
{
	flight(n);
	if (count)
		*count = n->base;
	n->batching = false;
	n->result = NULL;
	n->answer = NULL;
	n->base = 0;
	if (e && !e->code && n->first.code)
		*e = n->first;
	return n->first.code;
}

/* --- dumps --------------------------------------------------------------------------------- */

struct dump {
	uint32_t seq;
	bool done, torn;
	int code;
	nl_dump_fn cb;
	void *arg;
};

static void take_dump(struct nl *n, size_t len, struct dump *d)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)n->rx;
	int left = (int)len;

	for (; mnl_nlmsg_ok(nlh, left) && !d->done; nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != d->seq)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			d->torn = true;
		if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR) {
			int word = 0;

			d->done = true;
			if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(word))
				memcpy(&word, mnl_nlmsg_get_payload(nlh), sizeof(word));
			if (!d->code)
				d->code = word;
		} else if (!d->code && !d->torn) {
			/* After a failure the rest is still read, so that the next request finds
			 * an empty socket. */
			d->code = d->cb(nlh, d->arg);
		}
	}
}

static int dump_once(struct nl *n, struct nlmsghdr *nlh, struct dump *d)
{
	nlh->nlmsg_seq = d->seq = ++n->seq;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_pid = 0;
	if (mnl_socket_sendto(n->mnl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (!d->done) {
		ssize_t len = mnl_socket_recvfrom(n->mnl, n->rx, sizeof(n->rx));

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return len ? -errno : -EPIPE;
		take_dump(n, (size_t)len, d);
	}
	return d->code;
}

int nl_dump_mnl(struct nl *n, struct nlmsghdr *nlh, nl_dump_fn cb, void (*reset)(void *), void *arg,
		struct err *e)
{
	for (int i = 0; i < NL_DUMP_TRIES; i++) {
		struct dump d = { .cb = cb, .arg = arg };
		int r;

		reset(arg);
		r = dump_once(n, nlh, &d);
		/* An IPv4 table that was never used does not exist: that is an empty dump. */
		if (r == -ENOENT)
			return 0;
		if (d.torn && (!r || r == -ENOSPC))
			continue;
		return r ? err_set(e, r, "netlink dump: %s", strerror(-r)) : 0;
	}
	return err_set(e, -EAGAIN, "netlink dump: interrupted %d times", NL_DUMP_TRIES);
}

struct nl_sock *nl_route_sock(struct nl *n)
{
	return n->route;
}

int nl_ioctl_fd(struct nl *n)
{
	return mnl_socket_get_fd(n->mnl);
}

void *nl_scratch(struct nl *n)
{
	return n->scratch;
}
