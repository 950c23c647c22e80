/* SPDX-License-Identifier: Apache-2.0 */
/* dp_old.c - takes over the maps that ABI version 1 pinned: label lines, steering, rules, ports and
 * the labels' counters. Meters and the histograms begin anew.
 *
 * The old maps are renamed to old_NAME, ctl last; the old programs go on with them until the links
 * are swapped, so enforcement never pauses. Once the counters are carried the old pins go, lines
 * first, ctl last. A death anywhere in between is made good by the next open: old_ctl with
 * old_lines means that all is to be carried (again), old_ctl alone that only pins are left over. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dp_internal.h"
#include "dp_v1.h"

/* In the order in which they go. */
static const char *const kept[] = { "lines", "steer", "base", "counts", "rules", "ports", "ctl" };
static const char *const dropped[] = { "meters", "flows", "frags", "stamps" };

static void path_of(char to[DP_PATH_MAX], const struct dp *d, const char *prefix, const char *name)
{
	(void)snprintf(to, DP_PATH_MAX, "%.150s/%s%.40s", d->pin_dir, prefix, name);
}

static int old_fd(const struct dp *d, const char *name)
{
	char path[DP_PATH_MAX];
	int fd;

	path_of(path, d, "old_", name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int dp_old_rename(struct dp *d, struct err *e)
{
	char from[DP_PATH_MAX], to[DP_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
		path_of(from, d, "", dropped[i]);
		if (unlink(from) && errno != ENOENT)
			return err_set(e, -errno, "%s: %s", from, strerror(errno));
	}
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		path_of(from, d, "", kept[i]);
		path_of(to, d, "old_", kept[i]);
		if (rename(from, to) && errno != ENOENT)
			return err_set(e, -errno, "%s: %s", from, strerror(errno));
	}
	return 0;
}

bool dp_old_there(const struct dp *d)
{
	char path[DP_PATH_MAX];

	path_of(path, d, "old_", "ctl");
	return !access(path, F_OK);
}

void dp_old_sizes(struct dp *d)
{
	auto_close int fd = old_fd(d, "ctl");
	uint32_t zero = 0;
	struct v1_ctl c;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &c))
		return;
	d->labels = c.labels;
	d->made_dir = c.made_dir;
}

static int old_unlink(struct dp *d, struct err *e)
{
	char path[DP_PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		path_of(path, d, "old_", kept[i]);
		if (unlink(path) && errno != ENOENT && !r)
			r = err_set(e, -errno, "%s: %s", path, strerror(errno));
	}
	return r;
}

/* --- what is carried ---------------------------------------------------------------------------
 */

struct old {
	struct v1_ctl ctl;
	int lines, steer, base, counts, rules, ports;
};

static void old_close(struct old *o)
{
	close_p(&o->lines);
	close_p(&o->steer);
	close_p(&o->base);
	close_p(&o->counts);
	close_p(&o->rules);
	close_p(&o->ports);
}

static int old_open(struct dp *d, struct old *o, struct err *e)
{
	auto_close int ctl = old_fd(d, "ctl");
	uint32_t zero = 0;

	*o = (struct old){ .lines = old_fd(d, "lines"),
			   .steer = old_fd(d, "steer"),
			   .base = old_fd(d, "base"),
			   .counts = old_fd(d, "counts"),
			   .rules = old_fd(d, "rules"),
			   .ports = old_fd(d, "ports") };
	if (ctl < 0 || o->lines < 0 || o->steer < 0 || o->base < 0 || o->counts < 0 ||
	    o->rules < 0 || o->ports < 0 || bpf_map_lookup_elem(ctl, &zero, &o->ctl))
		return err_set(e, -ESTALE, "%s: maps of ABI version 1 are incomplete", d->pin_dir);
	return 0;
}

static rate_t old_rate(uint64_t cost, uint64_t asked)
{
	if (!cost || cost == (asked ? DP_COST_ONE / asked : 0))
		return (rate_t){ cost ? asked : 0 };
	return (rate_t){ DP_COST_ONE / cost };
}

static int carry_label(struct dp *d, const struct old *o, uint32_t label, const struct v1_line *v,
		       struct err *e)
{
	struct dp_label l = { .label = label,
			      .class_minor = v->class_minor,
			      .dscp = v->dscp,
			      .dscp_over = v->dscp_over,
			      .over = (v->flags >> 4) & 3,
			      .police_edge = v->flags & 2,
			      .police_node = v->flags & 4 };
	struct v1_steer s = { 0 };
	struct v1_base b;
	int r;

	l.valid_until.us =
		v->valid_until == UINT64_MAX ? INT64_MAX : (int64_t)(v->valid_until / 1000);
	for (uint32_t dir = 0; dir < 2; dir++) {
		uint32_t i = label * 2 + dir;

		if (bpf_map_lookup_elem(o->base, &i, &b))
			return err_set(e, -errno, "label %u: %s", label, strerror(errno));
		l.dir[dir].bind_ifindex = v->bind[dir];
		l.dir[dir].rate = old_rate(v->cost[dir], b.rate);
		l.dir[dir].excess = old_rate(v->ecost[dir], b.excess);
		l.dir[dir].burst_us = v->burst[dir] / 1000;
	}
	r = dp_label_set(d, &l, NULL, e);
	for (uint32_t dir = 0; !r && dir < 2; dir++) {
		uint32_t i = label * 2 + dir;

		if (!bpf_map_lookup_elem(o->steer, &i, &s))
			r = dp_steer_set(d, label, dir, s.path, NULL, e);
	}
	return r;
}

typedef int (*line_fn)(struct dp *d, const struct old *o, uint32_t label, const struct v1_line *v,
		       struct err *e);

/* Every active line of the old map. */
static int each_line(struct dp *d, const struct old *o, line_fn fn, struct err *e)
{
	size_t len = o->ctl.labels * sizeof(struct v1_line);
	const struct v1_line *v = mmap(NULL, len, PROT_READ, MAP_SHARED, o->lines, 0);
	void *p;
	int r = 0;

	if (v == MAP_FAILED)
		return err_set(e, -errno, "old lines: cannot be mapped: %s", strerror(errno));
	for (uint32_t i = 1; !r && i < o->ctl.labels; i++)
		if (v[i].flags & 1)
			r = fn(d, o, i, &v[i], e);
	memcpy(&p, &v, sizeof(p));
	(void)munmap(p, len);
	return r;
}

static void carry_prefix(uint8_t family, const __u64 addr[2], const __u64 mask[2],
			 struct dp_prefix *ret)
{
	uint8_t len = (uint8_t)(__builtin_popcountll(mask[0]) + __builtin_popcountll(mask[1]));
	const uint8_t *b = (const uint8_t *)addr;

	memset(ret, 0, sizeof(*ret));
	if (!len)
		return;
	ret->len = family == 4 ? (uint8_t)(len - 96) : len;
	memcpy(ret->addr, family == 4 ? b + 12 : b, family == 4 ? 4 : 16);
}

static struct dp_rule carry_rule(const struct v1_rule *v)
{
	struct dp_rule r = { .id = v->id,
			     .prio = v->prio,
			     .family = v->family,
			     .proto = v->proto,
			     .dscp = v->dscp,
			     .dir = v->dir,
			     .label = v->label,
			     .class_id = v->class_id,
			     .sport_min = v->sport_min,
			     .dport_min = v->dport_min };

	r.sport_max = v->sport_min || v->sport_max != 0xffff ? v->sport_max : 0;
	r.dport_max = v->dport_min || v->dport_max != 0xffff ? v->dport_max : 0;
	carry_prefix(v->family, v->src, v->src_mask, &r.src);
	carry_prefix(v->family, v->dst, v->dst_mask, &r.dst);
	return r;
}

static int carry_rules(struct dp *d, const struct old *o, struct err *e)
{
	auto_free struct dp_rule *r = calloc(V1_RULES, sizeof(*r));
	auto_free struct v1_rules *t = calloc(1, sizeof(*t));
	uint32_t live = o->ctl.generation & 1;

	if (!r || !t)
		return err_set(e, -ENOMEM, "out of memory");
	if (bpf_map_lookup_elem(o->rules, &live, t) || t->n > V1_RULES)
		return err_set(e, -ESTALE, "old rules: cannot be read");
	for (uint32_t i = 0; i < t->n; i++)
		r[i] = carry_rule(&t->rule[i]);
	return dp_rules_set(d, r, t->n, NULL, e);
}

static int carry_ports(struct dp *d, const struct old *o, struct err *e)
{
	uint32_t key, *prev = NULL, at;
	struct v1_port v;

	while (!bpf_map_get_next_key(o->ports, prev, &key)) {
		struct dp_port_line l;

		at = key;
		prev = &at;
		if (bpf_map_lookup_elem(o->ports, &key, &v))
			continue;
		l = (struct dp_port_line){ .role = v.role, .dir = v.dir, .flags = v.flags };
		if (bpf_map_update_elem(bpf_map__fd(d->skel->maps.ports), &key, &l, BPF_ANY))
			return err_set(e, -errno, "port %u: %s", key, strerror(errno));
	}
	return 0;
}

/* The new counters start at 0: a baseline below zero by the old total goes on where that ended. */
static int carry_count(struct dp *d, const struct old *o, uint32_t label, const struct v1_line *v,
		       struct err *e)
{
	(void)v;
	for (uint32_t dir = 0; dir < 2; dir++) {
		struct dp_count *to = &d->base[label * 2 + dir].count;
		uint32_t i = label * 2 + dir;
		struct dp_count sum = { 0 };
		struct v1_base b;
		struct v1_count c;

		if (bpf_map_lookup_elem(o->base, &i, &b))
			return err_set(e, -errno, "label %u: %s", label, strerror(errno));
		for (uint32_t cpu = 0; cpu < o->ctl.cpus; cpu++) {
			uint32_t cell = V1_CELL(label, dir, o->ctl.cpus, cpu);

			if (bpf_map_lookup_elem(o->counts, &cell, &c))
				return err_set(e, -errno, "label %u: %s", label, strerror(errno));
#define SUB(m) sum.m -= c.m
			SUB(rx_packets), SUB(rx_bytes), SUB(tx_packets), SUB(tx_bytes);
			SUB(drop_packets), SUB(drop_bytes), SUB(excess), SUB(remarked);
			SUB(ce), SUB(expired), SUB(binding);
#undef SUB
		}
#define ADD(m) sum.m += b.count.m
		ADD(rx_packets), ADD(rx_bytes), ADD(tx_packets), ADD(tx_bytes);
		ADD(drop_packets), ADD(drop_bytes), ADD(excess), ADD(remarked);
		ADD(ce), ADD(expired), ADD(binding);
#undef ADD
		*to = sum;
	}
	return 0;
}

int dp_old_carry(struct dp *d, struct err *e)
{
	cleanup(old_close) struct old o = { 0 };
	char path[DP_PATH_MAX];
	int r;

	path_of(path, d, "old_", "lines");
	if (access(path, F_OK)) /* all was carried: only pins are left over */
		return old_unlink(d, e);
	r = old_open(d, &o, e);
	r = r ? r : each_line(d, &o, carry_label, e);
	r = r ? r : carry_rules(d, &o, e);
	r = r ? r : carry_ports(d, &o, e);
	/* The links are swapped here; from now on nobody counts in the old maps. */
	r = r ? r : dp_ports_adopt(d, e);
	r = r ? r : each_line(d, &o, carry_count, e);
	return r ? r : old_unlink(d, e);
}
