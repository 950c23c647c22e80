/* SPDX-License-Identifier: Apache-2.0 */
/* dp_label.c - label lines, steering, and the owner's counters. */
#include "dp_internal.h"

_Static_assert(DP_OVER_REMARK == DP_L_OVER_REMARK && DP_OVER_ECN == DP_L_OVER_ECN, "over");

#define LINE_WORDS (sizeof(struct dp_line) / sizeof(uint64_t))

static bool in_table(const struct dp *d, uint32_t label)
{
	return label && label < d->labels;
}

static int refuse_range(const struct dp *d, uint32_t label, enum refusal *no, struct err *e)
{
	return dp_refuse(no, e, REFUSE_LABEL_RANGE, "label: %u is outside 1..%u", label,
			 d->labels - 1);
}

static int profile_check(const struct dp_profile *p, const char *dir, enum refusal *no,
			 struct err *e)
{
	const uint64_t min = 1000, max = 400000000000;

	if (p->rate.bps && (p->rate.bps < min || p->rate.bps > max))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "%s.rate: 0 or 1 kbit/s to 400 Gbit/s", dir);
	if (p->excess.bps && (p->excess.bps < min || p->excess.bps > max))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "%s.excess: 0 or 1 kbit/s to 400 Gbit/s", dir);
	if (p->excess.bps && !p->rate.bps)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "%s.excess: needs a rate", dir);
	if (p->burst_us && (p->burst_us < 1000 || p->burst_us > 4000000))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "%s.burst: 0 or 1 ms to 4 s", dir);
	return 0;
}

static int label_check(const struct dp *d, const struct dp_label *l, enum refusal *no,
		       struct err *e)
{
	int r;

	if (!in_table(d, l->label))
		return refuse_range(d, l->label, no, e);
	if ((l->dscp > 63 && l->dscp != DP_DSCP_ANY) || l->dscp_over > 63)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "dscp: above 63");
	if ((unsigned int)l->over > DP_OVER_ECN)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "over: not drop, remark or ecn");
	if (l->valid_until.us < 0)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "valid_until: negative");
	r = profile_check(&l->dir[DP_UP], "up", no, e);
	return r < 0 ? r : profile_check(&l->dir[DP_DOWN], "down", no, e);
}

static uint64_t cost_of(rate_t rate)
{
	return rate.bps ? DP_COST_ONE / rate.bps : 0;
}

static rate_t rate_of(uint64_t cost, uint64_t asked)
{
	if (cost == cost_of((rate_t){ asked }))
		return (rate_t){ asked };
	return (rate_t){ cost ? DP_COST_ONE / cost : 0 };
}

static void line_fill(struct dp_line *line, const struct dp_label *l)
{
	memset(line, 0, sizeof(*line));
	line->flags = DP_L_ACTIVE | (l->police_edge ? DP_L_POLICE_EDGE : 0) |
		      (l->police_node ? DP_L_POLICE_NODE : 0) |
		      (uint32_t)l->over << DP_L_OVER_SHIFT;
	line->class_minor = l->class_minor;
	line->dscp = l->dscp;
	line->dscp_over = l->dscp_over;
	line->valid_until = l->valid_until.us > INT64_MAX / 1000
				    ? UINT64_MAX
				    : (uint64_t)l->valid_until.us * 1000;
	for (int i = 0; i < 2; i++) {
		const struct dp_profile *p = &l->dir[i];

		line->bind[i] = p->bind_ifindex;
		line->cost[i] = cost_of(p->rate);
		line->ecost[i] = cost_of(p->excess);
		line->burst[i] = (p->burst_us ? p->burst_us : DP_BURST_US_DFL) * 1000;
	}
}

/* Word by word, the one with the flags last: a program sees each word old or new, never half. */
static void line_store(struct dp_line *to, const struct dp_line *from)
{
	uint64_t w[LINE_WORDS];
	uint64_t *p = (uint64_t *)(void *)to;

	memcpy(w, from, sizeof(w));
	for (size_t i = LINE_WORDS - 1; i > 0; i--)
		__atomic_store_n(&p[i], w[i], __ATOMIC_RELEASE);
	__atomic_store_n(&p[0], w[0], __ATOMIC_RELEASE);
}

static struct dp_base *base_of(struct dp *d, uint32_t label, uint32_t dir)
{
	return &d->base[label * 2 + dir];
}

static void base_write(struct dp *d, const struct dp_label *l, bool fresh)
{
	for (uint32_t dir = 0; dir < 2; dir++) {
		struct dp_base *b = base_of(d, l->label, dir);

		if (fresh)
			(void)dp_view_count(d->view, l->label, dir, &b->count);
		b->rate = l->dir[dir].rate.bps;
		b->excess = l->dir[dir].excess.bps;
	}
}

int dp_label_set(struct dp *d, const struct dp_label *l, enum refusal *no, struct err *e)
{
	struct dp_line line;
	bool fresh;
	int r = label_check(d, l, no, e);

	if (r < 0)
		return r;
	fresh = !(d->lines[l->label].flags & DP_L_ACTIVE);
	base_write(d, l, fresh);
	line_fill(&line, l);
	line_store(&d->lines[l->label], &line);
	return 0;
}

int dp_label_get(struct dp *d, uint32_t label, struct dp_label *ret)
{
	const struct dp_line *line;
	struct dp_label l = { .label = label };

	if (!in_table(d, label))
		return -ERANGE;
	line = &d->lines[label];
	if (!(line->flags & DP_L_ACTIVE))
		return -ENOENT;
	l.valid_until.us =
		line->valid_until == UINT64_MAX ? INT64_MAX : (int64_t)(line->valid_until / 1000);
	l.class_minor = line->class_minor;
	l.dscp = line->dscp;
	l.dscp_over = line->dscp_over;
	l.over = (line->flags & DP_L_OVER_MASK) >> DP_L_OVER_SHIFT;
	l.police_edge = line->flags & DP_L_POLICE_EDGE;
	l.police_node = line->flags & DP_L_POLICE_NODE;
	for (int i = 0; i < 2; i++) {
		const struct dp_base *b = base_of(d, label, (uint32_t)i);

		l.dir[i].bind_ifindex = line->bind[i];
		l.dir[i].rate = rate_of(line->cost[i], b->rate);
		l.dir[i].excess = rate_of(line->ecost[i], b->excess);
		l.dir[i].burst_us = line->burst[i] / 1000;
	}
	*ret = l;
	return 0;
}

static void steer_store(struct dp *d, uint32_t label, enum dp_dir dir, uint32_t path)
{
	__atomic_store_n(&d->steer[label * 2 + dir].path, path, __ATOMIC_RELEASE);
}

int dp_label_del(struct dp *d, uint32_t label, enum refusal *no, struct err *e)
{
	if (!in_table(d, label))
		return refuse_range(d, label, no, e);
	/* Flags first: from here on nobody believes the rest. */
	__atomic_store_n(&d->lines[label].flags, 0, __ATOMIC_RELEASE);
	steer_store(d, label, DP_UP, 0);
	steer_store(d, label, DP_DOWN, 0);
	return 0;
}

uint32_t dp_label_next(struct dp *d, uint32_t label)
{
	for (uint32_t i = label + 1; i < d->labels; i++)
		if (d->lines[i].flags & DP_L_ACTIVE)
			return i;
	return 0;
}

int dp_steer_set(struct dp *d, uint32_t label, enum dp_dir dir, uint32_t path, enum refusal *no,
		 struct err *e)
{
	if (!in_table(d, label))
		return refuse_range(d, label, no, e);
	if (path > 255 || (unsigned int)dir > DP_DOWN)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "path: 0..255, direction: 0 or 1");
	steer_store(d, label, dir, path);
	return 0;
}

int dp_steer_get(struct dp *d, uint32_t label, enum dp_dir dir, uint32_t *path)
{
	if (!in_table(d, label) || (unsigned int)dir > DP_DOWN)
		return -ERANGE;
	*path = d->steer[label * 2 + dir].path;
	return 0;
}

int dp_baseline_get(struct dp *d, uint32_t label, enum dp_dir dir, struct dp_count *ret)
{
	if (label >= d->labels || (unsigned int)dir > DP_DOWN)
		return -ERANGE;
	*ret = base_of(d, label, dir)->count;
	return 0;
}

int dp_counters_get(struct dp *d, uint32_t label, enum dp_dir dir, struct dp_count *ret)
{
	struct dp_count now, then;
	int r = dp_baseline_get(d, label, dir, &then);

	if (!r)
		r = dp_view_count(d->view, label, dir, &now);
	if (r)
		return r;
	dp_count_sub(&now, &then);
	*ret = now;
	return 0;
}

int dp_class_get(struct dp *d, uint32_t class_id, struct dp_class_count *ret)
{
	return dp_view_class(d->view, class_id, ret);
}

void dp_cache_get(struct dp *d, struct dp_cache_count *ret)
{
	dp_view_cache(d->view, ret);
}

int dp_rtt_get(struct dp *d, uint32_t label, enum dp_dir dir, struct dp_rtt *ret)
{
	return dp_view_rtt(d->view, label, dir, ret);
}

int dp_counters_fd(const struct dp *d)
{
	return bpf_map__fd(d->skel->maps.counts);
}
