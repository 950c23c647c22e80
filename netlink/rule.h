/* SPDX-License-Identifier: Apache-2.0 */
/* rule.h - policy rules of protocol 84 (libmnl). */
#ifndef TREATY_NETLINK_RULE_H
#define TREATY_NETLINK_RULE_H

#include "nl.h"
#include "obj.h"

/* There already, identical and ours = 0. Rules of others are never in the way: the kernel keeps
 * rules that differ in protocol apart. */
must_check int rule_put(struct nl *n, const struct nl_rule *r, struct err *e);
/* Not there = 0. */
must_check int rule_del(struct nl *n, const struct nl_rule *r, struct err *e);
/* Our rules, sorted. -ENOSPC beyond cap. */
must_check int rule_list(struct nl *n, struct nl_obj *out, size_t cap, size_t *count,
			 struct err *e);
/* As route_parse: 1 for a rule of a form that we never make. */
must_check int rule_parse(const struct nlmsghdr *nlh, struct nl_rule *ret, uint8_t *proto);

/* The two rules of path p (1..255), in one family: traffic marked for it, and its probe source. */
struct nl_rule rule_path(enum nl_family family, uint8_t path);
struct nl_rule rule_probe(const struct nl_ip *src, uint8_t path);

#endif
