/* SPDX-License-Identifier: Apache-2.0 */
/* dp_redirect.c - paths by direct redirect, and what this host keeps for itself. */
#include <net/if.h>

#include "dp_internal.h"

static int hop_read(const struct dp *d, uint32_t path, struct dp_hop *h)
{
	return bpf_map_lookup_elem(bpf_map__fd(d->skel->maps.hops), &path, h) ? -errno : 0;
}

static int hop_write(struct dp *d, uint32_t path, const struct dp_hop *h, struct err *e)
{
	if (bpf_map_update_elem(bpf_map__fd(d->skel->maps.hops), &path, h, BPF_ANY))
		return err_set(e, -errno, "path %u: redirect: %s", path, strerror(errno));
	return 0;
}

/* The programs look at the map only while it holds something. */
void dp_redirects_adopt(struct dp *d)
{
	struct dp_hop h;
	uint32_t live = 0;

	for (uint32_t i = 1; i < DP_PATHS && !live; i++)
		live = !hop_read(d, i, &h) && h.ifindex;
	__atomic_store_n(&d->skel->bss->hops_live, live, __ATOMIC_RELEASE);
}

int dp_redirect_set(struct dp *d, const struct dp_redirect *r, enum refusal *no, struct err *e)
{
	struct dp_hop h = { 0 }, seen;
	char name[IF_NAMESIZE];
	uint32_t none = 0;
	int ret;

	if (r->path < 1 || r->path >= DP_PATHS)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "path: 1..%u", DP_PATHS - 1);
	memcpy(h.gw, r->gw, sizeof(h.gw));
	if ((!h.gw[0] && !h.gw[1]) || r->gw[0] == 0xff)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "path %u: redirect: the next hop must be one host's address",
				 r->path);
	if (!r->ifindex || !if_indextoname(r->ifindex, name))
		return dp_refuse(no, e, REFUSE_DEVICE_UNKNOWN, "path %u: redirect: ifindex %u: %s",
				 r->path, r->ifindex, strerror(ENODEV));
	ret = hop_read(d, r->path, &seen);
	if (ret)
		return err_set(e, ret, "path %u: redirect: %s", r->path, strerror(-ret));
	if (seen.ifindex == r->ifindex && !memcmp(seen.gw, h.gw, sizeof(h.gw)))
		return 0;
	/* A program that has read the old device must not read the new next hop. */
	if (seen.ifindex) {
		seen.ifindex = none;
		ret = hop_write(d, r->path, &seen, e);
		ret = ret ? ret : dp_readers_wait("redirect", e);
	}
	ret = ret ? ret : hop_write(d, r->path, &h, e);
	h.ifindex = r->ifindex;
	ret = ret ? ret : hop_write(d, r->path, &h, e);
	dp_redirects_adopt(d);
	return ret;
}

int dp_redirect_get(struct dp *d, uint32_t path, struct dp_redirect *ret)
{
	auto_free struct dp_hop_count *c = calloc(d->cpus, sizeof(*c));
	struct dp_redirect r = { .path = path };
	struct dp_hop h;

	if (!path || path >= DP_PATHS)
		return -ERANGE;
	if (!c)
		return -ENOMEM;
	if (hop_read(d, path, &h) || !h.ifindex)
		return -ENOENT;
	r.ifindex = h.ifindex;
	memcpy(r.gw, h.gw, sizeof(r.gw));
	if (bpf_map_lookup_elem(bpf_map__fd(d->skel->maps.hop_counts), &path, c))
		return -errno;
	for (uint32_t i = 0; i < d->cpus; i++) {
		r.packets += c[i].packets;
		r.back += c[i].back + c[i].loops;
		r.loops += c[i].loops;
	}
	*ret = r;
	return 0;
}

void dp_redirect_del(struct dp *d, uint32_t path)
{
	struct dp_hop h;

	if (!path || path >= DP_PATHS || hop_read(d, path, &h) || !h.ifindex)
		return;
	h.ifindex = 0;
	(void)hop_write(d, path, &h, NULL);
	dp_redirects_adopt(d);
}

/* --- what this host answers for ----------------------------------------------------------------
 */

static void own_key(const struct dp_prefix *p, struct dp_own_key *k)
{
	k->len = p->len;
	memcpy(k->addr, p->addr, sizeof(k->addr));
}

static bool own_among(const struct dp_own_key *k, const struct dp_prefix *p, size_t n)
{
	struct dp_own_key want;

	for (size_t i = 0; i < n; i++) {
		own_key(&p[i], &want);
		if (!memcmp(&want, k, sizeof(want)))
			return true;
	}
	return false;
}

/* New ones first: at no moment is an address of ours missing that was there before and after. */
int dp_own_set(struct dp *d, const struct dp_prefix *p, size_t n, struct err *e)
{
	int fd = bpf_map__fd(d->skel->maps.hop_owns);
	struct dp_own_key k, next;
	uint32_t one = 1;
	bool more;

	if (n > DP_OWNS)
		return err_set(e, -ENOSPC, "redirect: more than %u addresses of this host",
			       DP_OWNS);
	for (size_t i = 0; i < n; i++) {
		own_key(&p[i], &k);
		if (bpf_map_update_elem(fd, &k, &one, BPF_ANY))
			return err_set(e, -errno, "redirect: own addresses: %s", strerror(errno));
	}
	for (more = !bpf_map_get_next_key(fd, NULL, &k); more; k = next) {
		more = !bpf_map_get_next_key(fd, &k, &next);
		if (!own_among(&k, p, n))
			(void)bpf_map_delete_elem(fd, &k);
	}
	return 0;
}
