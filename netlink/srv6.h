/* SPDX-License-Identifier: Apache-2.0 */
/* srv6.h - the light-weight tunnel attributes of SRv6 routes (libmnl). */
#ifndef TREATY_NETLINK_SRV6_H
#define TREATY_NETLINK_SRV6_H

#include "nl.h"
#include "obj.h"

struct nlattr;

/* Appends RTA_ENCAP and RTA_ENCAP_TYPE for r (H.Encaps, End.DX4, End.DX6, End.DT6); cap = bytes of
 * the whole buffer. -ENOSPC when it does not fit. */
must_check int srv6_put(struct nlmsghdr *nlh, size_t cap, const struct nl_route *r);
/* Reads RTA_ENCAP of the given type into r. 1 = not a form that we make, -EPROTO = broken. */
must_check int srv6_parse(const struct nlattr *encap, uint16_t type, struct nl_route *r);

/* Routes by purpose. encap: dst through the segment list (1..NL_SEGS_MAX SIDs of 16 bytes, in order
 * of travel) out of oif by an optional gateway. */
struct nl_route srv6_encap(uint32_t table, const struct nl_ip *dst, const uint8_t (*sid)[16],
			   uint8_t n_sid, uint32_t oif, const struct nl_ip *gw);
/* A SID of ours: decapsulate and hand to nh by oif. nh's family picks End.DX4 or End.DX6. */
struct nl_route srv6_end_dx(uint32_t table, const uint8_t sid[16], const struct nl_ip *nh,
			    uint32_t oif);
/* A SID of ours: decapsulate IPv6 and look it up in a table. */
struct nl_route srv6_end_dt6(uint32_t table, const uint8_t sid[16], uint32_t nh_table,
			     uint32_t oif);

#endif
