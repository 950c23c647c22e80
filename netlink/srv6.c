/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>
#include <linux/seg6.h>
#include <linux/seg6_iptunnel.h>
#include <linux/seg6_local.h>

#include "srv6.h"

#define SRH_TYPE 4

/* What SEG6_IPTUNNEL_SRH carries: the mode, then a routing header with the segments in reverse. */
struct encap {
	int32_t mode;
	uint8_t next, hdrlen, type, left, last, flags;
	uint16_t tag;
	uint8_t seg[NL_SEGS_MAX][16];
};
_Static_assert(offsetof(struct encap, seg) == sizeof(int32_t) + sizeof(struct ipv6_sr_hdr), "SRH");

static bool put_seg6(struct nlmsghdr *nlh, size_t cap, const struct nl_route *r)
{
	struct encap h = { .mode = SEG6_IPTUN_MODE_ENCAP, .type = SRH_TYPE };

	h.hdrlen = (uint8_t)(2 * r->n_seg);
	h.left = h.last = (uint8_t)(r->n_seg - 1);
	for (unsigned int i = 0; i < r->n_seg; i++)
		memcpy(h.seg[i], r->seg[r->n_seg - 1 - i], 16);
	return mnl_attr_put_check(nlh, cap, SEG6_IPTUNNEL_SRH,
				  offsetof(struct encap, seg) + 16u * r->n_seg, &h);
}

static bool put_local(struct nlmsghdr *nlh, size_t cap, const struct nl_route *r)
{
	uint32_t action = SEG6_LOCAL_ACTION_END_DT6;

	if (r->action == NL_END_DX4)
		action = SEG6_LOCAL_ACTION_END_DX4;
	else if (r->action == NL_END_DX6)
		action = SEG6_LOCAL_ACTION_END_DX6;
	if (!mnl_attr_put_u32_check(nlh, cap, SEG6_LOCAL_ACTION, action))
		return false;
	if (r->action == NL_END_DX4)
		return mnl_attr_put_check(nlh, cap, SEG6_LOCAL_NH4, 4, r->nh.b);
	if (r->action == NL_END_DX6)
		return mnl_attr_put_check(nlh, cap, SEG6_LOCAL_NH6, 16, r->nh.b);
	return mnl_attr_put_u32_check(nlh, cap, SEG6_LOCAL_TABLE, r->nh_table);
}

int srv6_put(struct nlmsghdr *nlh, size_t cap, const struct nl_route *r)
{
	bool local = r->encap == NL_ENCAP_SEG6LOCAL;
	uint16_t type = local ? LWTUNNEL_ENCAP_SEG6_LOCAL : LWTUNNEL_ENCAP_SEG6;
	struct nlattr *nest = mnl_attr_nest_start_check(nlh, cap, RTA_ENCAP);

	if (!nest || !(local ? put_local : put_seg6)(nlh, cap, r))
		return -ENOSPC;
	mnl_attr_nest_end(nlh, nest);
	return mnl_attr_put_u16_check(nlh, cap, RTA_ENCAP_TYPE, type) ? 0 : -ENOSPC;
}

static int parse_seg6(const struct nlattr *a, void *arg)
{
	struct nl_route *r = arg;
	size_t len = mnl_attr_get_payload_len(a), n;
	struct encap h;

	if (mnl_attr_get_type(a) != SEG6_IPTUNNEL_SRH)
		return MNL_CB_OK;
	if (len < offsetof(struct encap, seg))
		return MNL_CB_ERROR;
	memset(&h, 0, sizeof(h));
	memcpy(&h, mnl_attr_get_payload(a), len < sizeof(h) ? len : sizeof(h));
	n = (size_t)h.last + 1;
	if (h.mode != SEG6_IPTUN_MODE_ENCAP || n > NL_SEGS_MAX)
		return MNL_CB_OK; /* n_seg stays 0: not ours */
	if (offsetof(struct encap, seg) + 16 * n > len)
		return MNL_CB_ERROR;
	r->n_seg = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		memcpy(r->seg[i], h.seg[n - 1 - i], 16);
	return MNL_CB_OK;
}

static int take_ip(const struct nlattr *a, enum nl_family f, struct nl_ip *ret)
{
	size_t want = f == NL_V4 ? 4 : 16;

	if (mnl_attr_get_payload_len(a) != want)
		return MNL_CB_ERROR;
	memset(ret, 0, sizeof(*ret));
	ret->family = (uint8_t)f;
	ret->len = (uint8_t)(want * 8);
	memcpy(ret->b, mnl_attr_get_payload(a), want);
	return MNL_CB_OK;
}

static int parse_local(const struct nlattr *a, void *arg)
{
	struct nl_route *r = arg;

	switch (mnl_attr_get_type(a)) {
	case SEG6_LOCAL_ACTION:
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return MNL_CB_ERROR;
		switch (mnl_attr_get_u32(a)) {
		case SEG6_LOCAL_ACTION_END_DX4: r->action = NL_END_DX4; break;
		case SEG6_LOCAL_ACTION_END_DX6: r->action = NL_END_DX6; break;
		case SEG6_LOCAL_ACTION_END_DT6: r->action = NL_END_DT6; break;
		default: break;
		}
		return MNL_CB_OK;
	case SEG6_LOCAL_TABLE:
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return MNL_CB_ERROR;
		r->nh_table = mnl_attr_get_u32(a);
		return MNL_CB_OK;
	case SEG6_LOCAL_NH4: return take_ip(a, NL_V4, &r->nh);
	case SEG6_LOCAL_NH6: return take_ip(a, NL_V6, &r->nh);
	default: return MNL_CB_OK;
	}
}

int srv6_parse(const struct nlattr *encap, uint16_t type, struct nl_route *r)
{
	if (type == LWTUNNEL_ENCAP_SEG6) {
		r->encap = NL_ENCAP_SEG6;
		if (mnl_attr_parse_nested(encap, parse_seg6, r) < 0)
			return -EPROTO;
		return r->n_seg ? 0 : 1;
	}
	if (type == LWTUNNEL_ENCAP_SEG6_LOCAL) {
		r->encap = NL_ENCAP_SEG6LOCAL;
		if (mnl_attr_parse_nested(encap, parse_local, r) < 0)
			return -EPROTO;
		return r->action ? 0 : 1;
	}
	return 1;
}

struct nl_route srv6_encap(uint32_t table, const struct nl_ip *dst, const uint8_t (*sid)[16],
			   uint8_t n_sid, uint32_t oif, const struct nl_ip *gw)
{
	struct nl_route r;

	memset(&r, 0, sizeof(r));
	r.table = table;
	r.dst = *dst;
	r.oif = oif;
	if (gw)
		r.gw = *gw;
	r.encap = NL_ENCAP_SEG6;
	r.n_seg = n_sid; /* too many: nl_obj_check refuses it */
	memcpy(r.seg, sid, 16u * (n_sid < NL_SEGS_MAX ? n_sid : NL_SEGS_MAX));
	return r;
}

static struct nl_route local_sid(uint32_t table, const uint8_t sid[16], uint32_t oif)
{
	struct nl_route r;

	memset(&r, 0, sizeof(r));
	r.table = table;
	r.dst.family = NL_V6;
	r.dst.len = 128;
	memcpy(r.dst.b, sid, 16);
	r.oif = oif;
	r.encap = NL_ENCAP_SEG6LOCAL;
	return r;
}

struct nl_route srv6_end_dx(uint32_t table, const uint8_t sid[16], const struct nl_ip *nh,
			    uint32_t oif)
{
	struct nl_route r = local_sid(table, sid, oif);

	r.action = nh->family == NL_V4 ? NL_END_DX4 : NL_END_DX6;
	r.nh = *nh;
	return r;
}

struct nl_route srv6_end_dt6(uint32_t table, const uint8_t sid[16], uint32_t nh_table, uint32_t oif)
{
	struct nl_route r = local_sid(table, sid, oif);

	r.action = NL_END_DT6;
	r.nh_table = nh_table;
	return r;
}
