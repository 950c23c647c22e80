/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_netlink.c - route and rule messages of any shape: no read beyond them, no object that is out
 * of range taken for a whole one. */
#include <linux/netlink.h>

#include "netlink/route.h"
#include "netlink/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *nlh;
	struct nl_route route = { 0 };
	struct nl_rule rule = { 0 };
	uint8_t proto;

	if (size > 4096 || !(nlh = malloc(NLMSG_HDRLEN + size)))
		return 0;
	memset(nlh, 0, NLMSG_HDRLEN);
	nlh->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size);
	memcpy((char *)nlh + NLMSG_HDRLEN, data, size);
	if (route_parse(nlh, &route, &proto) == 0 && route.n_seg > NL_SEGS_MAX)
		abort();
	if (rule_parse(nlh, &rule, &proto) == 0 && rule.src.len > 128)
		abort();
	free(nlh);
	return 0;
}
