/* SPDX-License-Identifier: Apache-2.0 */
/* dp_tc.c - clsact and cls_bpf, for kernels without TCX. Our filters have a priority and a handle
 * of their own; whatever else hangs on the qdisc is not looked at, except to see that it is there
 * before the qdisc would be removed. */
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "dp_internal.h"

/* Ahead of the priorities that tc hands out by itself (49152 and down): a foreign filter that ends
 * classification before us would switch enforcement off. Ours never ends it. */
#define OUR_PRIO   0x54
#define OUR_HANDLE 0x5459 /* "TY" */

/* Member by member: libbpf refuses a struct whose padding is not zero, and a compound literal says
 * nothing of padding. */
static void hook_of(struct bpf_tc_hook *h, uint32_t ifindex, bool out)
{
	memset(h, 0, sizeof(*h));
	h->sz = sizeof(*h);
	h->ifindex = (int)ifindex;
	h->attach_point = out ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

static void opts_of(struct bpf_tc_opts *o, uint32_t handle, uint32_t prio, int prog_fd)
{
	memset(o, 0, sizeof(*o));
	o->sz = sizeof(*o);
	o->handle = handle;
	o->priority = prio;
	o->prog_fd = prog_fd;
}

void dp_prog_describe(uint32_t prog_id, struct dp_hooked *ret)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	auto_close int fd = bpf_prog_get_fd_by_id(prog_id);

	*ret = (struct dp_hooked){ .id = prog_id };
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return;
	(void)snprintf(ret->name, sizeof(ret->name), "%s", info.name);
	ret->ours = !strncmp(info.name, "treaty_", 7);
}

/* A filter as the dump tells it; libbpf has no call that lists them. */
struct filter {
	uint32_t prio, handle;
	char kind[16];
	bool ours;
};

struct found {
	struct filter first[DP_HOOKED_MAX]; /* in the order in which they run */
	int n;                              /* all of them */
	bool taken, ours;                   /* our place; by one of ours */
};

static bool in_our_place(const struct filter *f)
{
	return f->prio == OUR_PRIO && f->handle == OUR_HANDLE;
}

/* libbpf gives a filter its program's name. Of the program itself the kernel tells the name to
 * CAP_SYS_ADMIN alone, which the enforcer has given up. */
static bool named_ours(const char *options, size_t len)
{
	struct rtattr a;

	for (size_t at = 0; at + sizeof(a) <= len; at += RTA_ALIGN(a.rta_len)) {
		memcpy(&a, options + at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > len - at)
			break;
		if (a.rta_type == TCA_BPF_NAME && a.rta_len >= sizeof(a) + 7)
			return !memcmp(options + at + sizeof(a), "treaty_", 7);
	}
	return false;
}

/* False for the head of a priority, which is in the dump besides its filters. */
static bool filter_read(const struct nlmsghdr *h, struct filter *ret)
{
	const char *m = (const char *)h;
	bool named = false;
	struct rtattr a;
	struct tcmsg t;

	*ret = (struct filter){ 0 };
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(t)))
		return false;
	memcpy(&t, m + NLMSG_HDRLEN, sizeof(t));
	ret->prio = t.tcm_info >> 16;
	ret->handle = t.tcm_handle;
	for (size_t at = NLMSG_SPACE(sizeof(t)); at + sizeof(a) <= h->nlmsg_len;
	     at += RTA_ALIGN(a.rta_len)) {
		memcpy(&a, m + at, sizeof(a));
		if (a.rta_len < sizeof(a) || at + a.rta_len > h->nlmsg_len)
			break;
		if (a.rta_type == TCA_KIND)
			(void)snprintf(ret->kind, sizeof(ret->kind), "%.*s",
				       (int)(a.rta_len - sizeof(a)), m + at + sizeof(a));
		else if (a.rta_type == TCA_OPTIONS)
			named = named_ours(m + at + sizeof(a), a.rta_len - sizeof(a));
	}
	ret->ours = named && !strcmp(ret->kind, "bpf") && in_our_place(ret);
	return ret->handle != 0;
}

static void filter_note(struct found *to, const struct filter *f)
{
	if (to->n < DP_HOOKED_MAX)
		to->first[to->n] = *f;
	to->n++;
	to->taken = to->taken || in_our_place(f);
	to->ours = to->ours || f->ours;
}

/* All filters of the device on that side of its clsact qdisc; none without one. */
static int filters_under(int fd, uint32_t ifindex, bool out, struct found *ret)
{
	uint32_t parent = TC_H_MAKE(TC_H_CLSACT, out ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	struct {
		struct nlmsghdr n;
		struct tcmsg t;
	} req = { .n = { .nlmsg_len = sizeof(req),
			 .nlmsg_type = RTM_GETTFILTER,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		  .t = { .tcm_ifindex = (int)ifindex, .tcm_parent = parent } };
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct filter f;

	memset(ret, 0, sizeof(*ret));
	if (send(fd, &req, sizeof(req), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		for (size_t off = 0; off + sizeof(struct nlmsghdr) <= (size_t)n;) {
			const struct nlmsghdr *h = (const void *)(buf + off);

			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_len < sizeof(*h) ||
			    h->nlmsg_len > (size_t)n - off)
				return -EPROTO;
			if (h->nlmsg_type == RTM_NEWTFILTER && filter_read(h, &f))
				filter_note(ret, &f);
			off += NLMSG_ALIGN(h->nlmsg_len);
		}
	}
}

static int filter_socket(void)
{
	const struct timeval limit = { .tv_sec = 2 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), r;

	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
		return fd;
	r = -errno;
	(void)close(fd);
	return r;
}

/* Who holds our place: 0 = nobody, 1 = we, -EEXIST = somebody else. */
static int place(uint32_t ifindex, bool out)
{
	auto_close int fd = filter_socket();
	struct found f;
	int r = fd < 0 ? fd : filters_under(fd, ifindex, out, &f);

	return r ? r : !f.taken ? 0 : f.ours ? 1 : -EEXIST;
}

int dp_tc_attach(struct dp *d, uint32_t ifindex, bool out, int prog_fd, bool *created,
		 enum refusal *no, struct err *e)
{
	struct bpf_tc_hook both, h;
	struct bpf_tc_opts o;
	int r;

	(void)d;
	hook_of(&both, ifindex, out);
	hook_of(&h, ifindex, out);
	opts_of(&o, OUR_HANDLE, OUR_PRIO, prog_fd);
	both.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	r = bpf_tc_hook_create(&both);
	if (!r)
		*created = true;
	else if (r != -EEXIST)
		return err_set(e, r, "device %u: clsact: %s", ifindex, strerror(-r));
	r = place(ifindex, out);
	if (r == -EEXIST)
		return dp_refuse(no, e, REFUSE_FOREIGN_OBJECT,
				 "device %u: a foreign filter holds priority %#x handle %#x",
				 ifindex, OUR_PRIO, OUR_HANDLE);
	if (r < 0)
		return err_set(e, r, "device %u: filter: %s", ifindex, strerror(-r));
	o.flags = r ? BPF_TC_F_REPLACE : 0;
	r = bpf_tc_attach(&h, &o);
	return r < 0 ? err_set(e, r, "device %u: filter: %s", ifindex, strerror(-r)) : 0;
}

int dp_tc_detach(uint32_t ifindex, bool out)
{
	struct bpf_tc_hook h;
	struct bpf_tc_opts o;
	int r;

	hook_of(&h, ifindex, out);
	opts_of(&o, OUR_HANDLE, OUR_PRIO, 0);
	r = place(ifindex, out);
	if (r != 1) /* nothing there, not ours, or no device any more */
		return r == -ENODEV || r == -EEXIST || !r ? 0 : r;
	return bpf_tc_detach(&h, &o);
}

int dp_tc_hooked(uint32_t ifindex, bool out, struct dp_hooked *ret, size_t *n)
{
	auto_close int fd = filter_socket();
	struct bpf_tc_hook h;
	struct found all;
	int r;

	r = fd < 0 ? fd : filters_under(fd, ifindex, out, &all);
	if (r)
		return r;
	hook_of(&h, ifindex, out);
	*n = all.n < DP_HOOKED_MAX ? (size_t)all.n : DP_HOOKED_MAX;
	for (size_t i = 0; i < *n; i++) {
		const struct filter *f = &all.first[i];
		struct bpf_tc_opts o;

		opts_of(&o, f->handle, f->prio, 0);
		ret[i] = (struct dp_hooked){ 0 };
		if (!strcmp(f->kind, "bpf") && !bpf_tc_query(&h, &o))
			dp_prog_describe(o.prog_id, &ret[i]);
		else
			(void)snprintf(ret[i].name, sizeof(ret[i].name), "%s", f->kind);
		ret[i].ours = f->ours;
	}
	return 0;
}

int dp_tc_remove_clsact(uint32_t ifindex)
{
	struct bpf_tc_hook h;
	auto_close int fd = filter_socket();
	struct found in, out;
	int r;

	r = fd < 0 ? fd : filters_under(fd, ifindex, false, &in);
	r = r ? r : filters_under(fd, ifindex, true, &out);
	if (r || in.n || out.n)
		return r;
	hook_of(&h, ifindex, false);
	h.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* both = the qdisc itself */
	r = bpf_tc_hook_destroy(&h);
	return r == -ENOENT || r == -ENODEV || r == -EINVAL ? 0 : r;
}
