/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if.h>
#include <sys/ioctl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <netlink/netlink.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/route/link.h>

#include "link.h"
#include "tc.h"

#define LINK_MODE_WORDS 128 /* of each of three masks: the most that the int8_t can ask for */

/* A TUN or TAP device tells a constant that nobody measured (10 Mbit/s before Linux 6.3). */
static bool no_wire(struct nl *n, struct ifreq *ifr)
{
	struct ethtool_drvinfo d = { .cmd = ETHTOOL_GDRVINFO };
	char *was = ifr->ifr_data;
	bool tun;

	ifr->ifr_data = (char *)&d;
	tun = !ioctl(nl_ioctl_fd(n), SIOCETHTOOL, ifr) && !strcmp(d.driver, "tun");
	ifr->ifr_data = was;
	return tun;
}

/* Speed by ethtool's ioctl, which any socket carries (a netlink one too: no other family needed).
 * The kernel first tells how many mask words it wants. */
static rate_t speed_of(struct nl *n, const char *name)
{
	_Alignas(uint64_t) char buf[sizeof(struct ethtool_link_settings) + 12 * LINK_MODE_WORDS];
	struct ethtool_link_settings *q = (struct ethtool_link_settings *)(void *)buf;
	struct ifreq ifr = { .ifr_data = buf };

	memset(buf, 0, sizeof(buf));
	q->cmd = ETHTOOL_GLINKSETTINGS;
	(void)strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(nl_ioctl_fd(n), SIOCETHTOOL, &ifr) < 0 || q->link_mode_masks_nwords >= 0)
		return (rate_t){ 0 };
	q->link_mode_masks_nwords = (int8_t)-q->link_mode_masks_nwords;
	q->cmd = ETHTOOL_GLINKSETTINGS;
	if (ioctl(nl_ioctl_fd(n), SIOCETHTOOL, &ifr) < 0 || q->speed == (uint32_t)SPEED_UNKNOWN ||
	    no_wire(n, &ifr))
		return (rate_t){ 0 };
	return (rate_t){ q->speed * 1000000ull };
}

static struct nl_link fill(struct nl *n, struct rtnl_link *l)
{
	unsigned int flags = rtnl_link_get_flags(l);
	uint8_t oper = rtnl_link_get_operstate(l);
	struct nl_link k;

	memset(&k, 0, sizeof(k));
	k.ifindex = (uint32_t)rtnl_link_get_ifindex(l);
	(void)!str_set(k.name, rtnl_link_get_name(l));
	k.mtu = rtnl_link_get_mtu(l);
	k.txqlen = rtnl_link_get_txqlen(l);
	/* Loopback and TUN report "unknown" and work. */
	k.up = flags & IFF_UP && (oper == IF_OPER_UP || oper == IF_OPER_UNKNOWN);
	k.loopback = flags & IFF_LOOPBACK;
	k.speed = speed_of(n, k.name);
	k.rx_bytes = rtnl_link_get_stat(l, RTNL_LINK_RX_BYTES);
	k.tx_bytes = rtnl_link_get_stat(l, RTNL_LINK_TX_BYTES);
	k.rx_packets = rtnl_link_get_stat(l, RTNL_LINK_RX_PACKETS);
	k.tx_packets = rtnl_link_get_stat(l, RTNL_LINK_TX_PACKETS);
	return k;
}

static int by_ifindex(const void *a, const void *b)
{
	const struct nl_link *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

int link_list(struct nl *n, struct nl_link *out, size_t cap, size_t *count, struct err *e)
{
	struct nl_cache *cache = NULL;
	size_t k = 0;
	int r = rtnl_link_alloc_cache(nl_route_sock(n), AF_UNSPEC, &cache);

	if (r < 0)
		return err_set(e, nl_errno(r), "links: %s", nl_geterror(r));
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		if (k == cap) {
			nl_cache_free(cache);
			return err_set(e, -ENOSPC, "links: more than %zu devices", cap);
		}
		out[k++] = fill(n, (struct rtnl_link *)o);
	}
	nl_cache_free(cache);
	qsort(out, k, sizeof(*out), by_ifindex);
	*count = k;
	return 0;
}

static int get(struct nl *n, int ifindex, const char *name, struct nl_link *ret, struct err *e)
{
	struct rtnl_link *l = NULL;
	int r = rtnl_link_get_kernel(nl_route_sock(n), ifindex, name, &l);

	if (r < 0) {
		r = nl_errno(r);
		if (r == -ENOENT)
			r = -ENODEV;
		return err_set(e, r, "device %s (index %d): %s", name ? name : "", ifindex,
			       strerror(-r));
	}
	*ret = fill(n, l);
	rtnl_link_put(l);
	return 0;
}

int link_find(struct nl *n, const char *name, struct nl_link *ret, struct err *e)
{
	if (!*name || strlen(name) >= LINK_NAME_MAX)
		return err_set(e, -ENODEV, "device name: must be 1..%d characters",
			       LINK_NAME_MAX - 1);
	return get(n, 0, name, ret, e);
}

int link_get(struct nl *n, uint32_t ifindex, struct nl_link *ret, struct err *e)
{
	if (!ifindex || ifindex > INT32_MAX)
		return err_set(e, -ENODEV, "device index: out of range");
	return get(n, (int)ifindex, NULL, ret, e);
}

static int change(struct nl *n, uint32_t ifindex, struct rtnl_link *want, struct err *e)
{
	struct rtnl_link *orig = rtnl_link_alloc();
	struct nl_msg *msg = NULL;
	int r = -NLE_NOMEM;

	if (orig) {
		rtnl_link_set_ifindex(orig, (int)ifindex);
		r = rtnl_link_build_change_request(orig, want, 0, &msg);
		rtnl_link_put(orig);
	}
	rtnl_link_put(want);
	return tc_send(n, r, msg, 0, e);
}

int link_set_up(struct nl *n, uint32_t ifindex, bool up, struct err *e)
{
	struct rtnl_link *want = rtnl_link_alloc();

	if (!want)
		return err_set(e, -ENOMEM, "device: out of memory");
	(up ? rtnl_link_set_flags : rtnl_link_unset_flags)(want, IFF_UP);
	return change(n, ifindex, want, e);
}

int link_set_txqlen(struct nl *n, uint32_t ifindex, uint32_t txqlen, struct err *e)
{
	struct rtnl_link *want = rtnl_link_alloc();

	if (!want)
		return err_set(e, -ENOMEM, "device: out of memory");
	rtnl_link_set_txqlen(want, txqlen);
	return change(n, ifindex, want, e);
}
