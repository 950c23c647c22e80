/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_netlink.c - route, rule, class and qdisc messages of any shape: no read beyond them, no
 * object that is out of range taken for a whole one. */
#include <linux/netlink.h>

#include "netlink/htb_msg.h"
#include "netlink/nexthop.h"
#include "netlink/route.h"
#include "netlink/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *nlh;
	struct nl_route route = { 0 };
	struct nl_rule rule = { 0 };
	struct nl_nexthop hop = { 0 };
	struct nl_class_stats stats;
	struct nl_class class = { 0 };
	uint32_t minor = 0, limit;
	uint8_t proto;

	/* libmnl reads up to the next four bytes, as the kernel lays messages out. */
	if (size > 4096 || !(nlh = calloc(1, NLMSG_ALIGN(NLMSG_HDRLEN + size))))
		return 0;
	nlh->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size);
	memcpy((char *)nlh + NLMSG_HDRLEN, data, size);
	if (route_parse(nlh, &route, &proto) == 0 && route.n_seg > NL_SEGS_MAX)
		abort();
	if (nexthop_parse(nlh, &hop, &proto) >= 0 && hop.gw.len > 128)
		abort();
	if (rule_parse(nlh, &rule, &proto) == 0 && rule.src.len > 128)
		abort();
	if (htb_msg_read_class(nlh, &class, &stats) == 1 &&
	    (class.minor > 0xffff || class.parent > 0xffff || class.rate.bps % 8))
		abort();
	if (htb_msg_read_leaf(nlh, &minor, &limit) == 1 && minor > 0xffff)
		abort();
	free(nlh);
	return 0;
}
