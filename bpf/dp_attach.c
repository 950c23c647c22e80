/* SPDX-License-Identifier: Apache-2.0 */
/* dp_attach.c - ports: programs on devices, by TCX links where the kernel has them. */
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "dp_internal.h"

/* bpf_attach_type of Linux 6.6; Debian 12's headers end before. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS  ((enum bpf_attach_type)47)

/* A device that cannot exist: kernels with TCX look for it (ENODEV), older ones refuse the
 * attach type first (EINVAL). Nothing is touched. */
bool dp_probe_tcx(int prog_fd)
{
	int fd = bpf_link_create(prog_fd, INT32_MAX, TCX_EGRESS, NULL);

	if (fd >= 0) {
		(void)close(fd);
		return true;
	}
	return errno == ENODEV;
}

static void link_path(char to[DP_PATH_MAX], const struct dp *d, uint32_t ifindex, bool out)
{
	(void)snprintf(to, DP_PATH_MAX, "%.150s/link_%s_%u", d->pin_dir, out ? "out" : "in",
		       ifindex);
}

/* Device of a TCX link; 0 = the device is gone and the pinned link is a zombie. Debian 12's
 * bpf_link_info has no tcx member: it is {ifindex, attach_type}, as xdp begins with ifindex. */
static uint32_t link_ifindex(int fd)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.xdp.ifindex;
}

static int tcx_attach(struct dp *d, uint32_t ifindex, bool out, int prog_fd, struct err *e)
{
	char path[DP_PATH_MAX];
	auto_close int fd = -1;

	link_path(path, d, ifindex, out);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		if (link_ifindex(fd) == ifindex && !bpf_link_update(fd, prog_fd, NULL))
			return 0; /* swapped between two packets: none passes unseen */
		(void)unlink(path);
		(void)close(fd);
	}
	fd = bpf_link_create(prog_fd, (int)ifindex, out ? TCX_EGRESS : TCX_INGRESS, NULL);
	if (fd < 0)
		return err_set(e, -errno, "device %u: TCX: %s", ifindex, strerror(errno));
	if (bpf_obj_pin(fd, path))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int tcx_detach(struct dp *d, uint32_t ifindex, bool out, struct err *e)
{
	char path[DP_PATH_MAX];
	auto_close int fd = -1;

	link_path(path, d, ifindex, out);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
	(void)bpf_link_detach(fd); /* at once, even if somebody else holds the link; a zombie may */
	if (unlink(path))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int in_prog(const struct dp *d, uint32_t role)
{
	return dp_prog_fd(d, role == DP_ROLE_EDGE ? DP_PROG_EDGE_IN : DP_PROG_NODE_IN);
}

/* Told before a program can meet the port. */
static void down_note(struct dp *d, const struct dp_port_line *l)
{
	if (!l->dir)
		return;
	__atomic_store_n(&d->ctl->downs, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&d->skel->bss->downs_live, 1, __ATOMIC_RELEASE);
}

static int port_write(struct dp *d, uint32_t ifindex, const struct dp_port_line *l, struct err *e)
{
	down_note(d, l);
	if (bpf_map_update_elem(bpf_map__fd(d->skel->maps.ports), &ifindex, l, BPF_ANY))
		return err_set(e, -errno, "port %u: %s", ifindex, strerror(errno));
	return 0;
}

static bool port_read(struct dp *d, uint32_t ifindex, struct dp_port_line *l)
{
	return !bpf_map_lookup_elem(bpf_map__fd(d->skel->maps.ports), &ifindex, l);
}

/* Attaches both programs as l->flags say; notes in l whether the clsact qdisc was made by us. */
static int both_attach(struct dp *d, uint32_t ifindex, struct dp_port_line *l, enum refusal *no,
		       struct err *e)
{
	int out = dp_prog_fd(d, DP_PROG_OUT), r;
	bool created = false;

	if (!(l->flags & DP_PORT_CLSACT)) {
		r = tcx_attach(d, ifindex, true, out, e);
		return r < 0 ? r : tcx_attach(d, ifindex, false, in_prog(d, l->role), e);
	}
	r = dp_tc_attach(d, ifindex, true, out, &created, no, e);
	if (created)
		l->flags |= DP_PORT_CREATED;
	return r < 0 ? r : dp_tc_attach(d, ifindex, false, in_prog(d, l->role), &created, no, e);
}

static uint32_t port_count(struct dp *d)
{
	uint32_t n = 0;

	for (uint32_t i = dp_port_next(d, 0); i; i = dp_port_next(d, i))
		n++;
	return n;
}

/* The programs look for headers behind an Ethernet header: a device without one (TUN, WireGuard,
 * PPP) would show them a sender's addresses in its place. */
static int device_check(uint32_t ifindex, enum refusal *no, struct err *e)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };

	if (fd < 0)
		return err_set(e, -errno, "port %u: %s", ifindex, strerror(errno));
	if (!ifindex || !if_indextoname(ifindex, r.ifr_name) || ioctl(fd, SIOCGIFHWADDR, &r))
		return dp_refuse(no, e, REFUSE_DEVICE_UNKNOWN, "port: no device with index %u",
				 ifindex);
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER && r.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
		return dp_refuse(no, e, REFUSE_KERNEL_UNSUPPORTED,
				 "port: device %s carries no Ethernet header", r.ifr_name);
	return 0;
}

int dp_port_attach(struct dp *d, const struct dp_port *p, enum refusal *no, struct err *e)
{
	struct dp_port_line l = { 0 };
	bool known = port_read(d, p->ifindex, &l);
	int r;

	if (d->offline)
		return err_set(e, -EINVAL, "offline: nothing is attached");
	if ((p->role != DP_ROLE_EDGE && p->role != DP_ROLE_NODE) || (unsigned int)p->dir > DP_DOWN)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "port: role or direction unknown");
	r = device_check(p->ifindex, no, e);
	if (r)
		return r;
	if (!known && port_count(d) >= DP_PORTS)
		return dp_refuse(no, e, REFUSE_MAP_FULL, "port: %d are managed already", DP_PORTS);
	l.role = p->role;
	l.dir = p->dir;
	if (!known && (d->hook == DP_HOOK_CLSACT || !d->tcx))
		l.flags = DP_PORT_CLSACT;
	/* Noted before it is done: a crash in between leaves a port to adopt, not an orphan. */
	r = port_write(d, p->ifindex, &l, e);
	if (!r)
		r = both_attach(d, p->ifindex, &l, no, e);
	if (!r)
		return port_write(d, p->ifindex, &l, e);
	if (!known) {
		(void)port_write(d, p->ifindex, &l, NULL);
		(void)dp_port_detach(d, p->ifindex, NULL);
	}
	return r;
}

int dp_port_detach(struct dp *d, uint32_t ifindex, struct err *e)
{
	struct dp_port_line l;
	char name[IF_NAMESIZE];
	int r, r2;

	if (!port_read(d, ifindex, &l))
		return 0;
	if (l.flags & DP_PORT_CLSACT) {
		r = dp_tc_detach(ifindex, false);
		r2 = dp_tc_detach(ifindex, true);
		r = r ? r : r2;
		if (!r && (l.flags & DP_PORT_CREATED))
			r = dp_tc_remove_clsact(ifindex);
		if (r && !if_indextoname(ifindex, name))
			r = 0; /* it vanished meanwhile, and its filters with it */
		if (r)
			(void)err_set(e, r, "device %u: clsact: %s", ifindex, strerror(-r));
	} else {
		r = tcx_detach(d, ifindex, false, e);
		r2 = tcx_detach(d, ifindex, true, e);
		r = r ? r : r2;
	}
	(void)bpf_map_delete_elem(bpf_map__fd(d->skel->maps.ports), &ifindex);
	return r;
}

/* After dp_open found pins: new programs into old links. A device that vanished meanwhile took its
 * filters along and left zombie links; its port is forgotten. */
int dp_ports_adopt(struct dp *d, struct err *e)
{
	for (uint32_t i = dp_port_next(d, 0); i; i = dp_port_next(d, i)) {
		struct dp_port_line l;
		char name[IF_NAMESIZE];
		int r;

		if (!port_read(d, i, &l))
			continue;
		if (!if_indextoname(i, name)) {
			(void)dp_port_detach(d, i, NULL);
			continue;
		}
		down_note(d, &l);
		r = both_attach(d, i, &l, NULL, e);
		if (!r)
			r = port_write(d, i, &l, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int dp_port_get(struct dp *d, uint32_t ifindex, struct dp_port *ret)
{
	struct dp_port_line l;

	if (!port_read(d, ifindex, &l))
		return -ENOENT;
	*ret = (struct dp_port){ .ifindex = ifindex,
				 .role = l.role,
				 .dir = l.dir,
				 .hook = l.flags & DP_PORT_CLSACT ? DP_HOOK_CLSACT : DP_HOOK_TCX };
	return 0;
}

uint32_t dp_port_next(struct dp *d, uint32_t ifindex)
{
	int fd = bpf_map__fd(d->skel->maps.ports);
	uint32_t key, best = 0;
	void *prev = NULL;

	while (!bpf_map_get_next_key(fd, prev, &key)) {
		if (key > ifindex && (!best || key < best))
			best = key;
		prev = &key;
	}
	return best;
}

/* A program of this very load. Of others the kernel tells the name to CAP_SYS_ADMIN alone, which a
 * confined enforcer has given up. */
static bool loaded_here(const struct dp *d, uint32_t id)
{
	for (int p = 0; p < DP_PROGS; p++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (!bpf_obj_get_info_by_fd(dp_prog_fd(d, (enum dp_prog)p), &info, &len) &&
		    info.id == id)
			return true;
	}
	return false;
}

int dp_hooked(struct dp *d, uint32_t ifindex, bool out, struct dp_hooked ret[DP_HOOKED_MAX],
	      size_t *n)
{
	uint32_t id[DP_HOOKED_MAX] = { 0 };
	LIBBPF_OPTS(bpf_prog_query_opts, o, .prog_ids = id, .prog_cnt = DP_HOOKED_MAX);
	struct dp_port_line l;
	int r;

	if (!port_read(d, ifindex, &l))
		return -ENOENT;
	if (l.flags & DP_PORT_CLSACT) {
		r = dp_tc_hooked(ifindex, out, ret, n);
		if (r < 0)
			return r;
	} else {
		r = bpf_prog_query_opts((int)ifindex, out ? TCX_EGRESS : TCX_INGRESS, &o);
		if (r < 0 && r != -ENOSPC) /* more than asked for: the first ones are told */
			return r;
		*n = o.prog_cnt < DP_HOOKED_MAX ? o.prog_cnt : DP_HOOKED_MAX;
		for (size_t i = 0; i < *n; i++)
			dp_prog_describe(id[i], &ret[i]);
	}
	for (size_t i = 0; i < *n; i++)
		ret[i].ours = ret[i].ours || loaded_here(d, ret[i].id);
	return 0;
}
