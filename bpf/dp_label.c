/* SPDX-License-Identifier: Apache-2.0 */
/* dp_label.c - label lines, steering, and the owner's counters. */
#include <time.h>

#include "dp_internal.h"

_Static_assert(DP_OVER_REMARK == DP_L_OVER_REMARK && DP_OVER_ECN == DP_L_OVER_ECN, "over");

static bool in_table(const struct dp *d, uint32_t label)
{
	return label && label < d->labels;
}

static int refuse_range(const struct dp *d, uint32_t label, enum refusal *no, struct err *e)
{
	return dp_refuse(no, e, REFUSE_LABEL_RANGE, "label: %u is outside 1..%u", label,
			 d->labels - 1);
}

int dp_rate_check(rate_t rate, const char *what, enum refusal *no, struct err *e)
{
	if (rate.bps && (rate.bps < 1000 || rate.bps > 400000000000))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "%s: 0 or 1 kbit/s to 400 Gbit/s",
				 what);
	return 0;
}

int dp_burst_check(uint32_t us, const char *what, enum refusal *no, struct err *e)
{
	if (us && (us < 1000 || us > 4000000))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "%s: 0 or 1 ms to 4 s", what);
	return 0;
}

static int profile_check(const struct dp_profile *p, int dir, enum refusal *no, struct err *e)
{
	int r = dp_rate_check(p->rate, dir ? "down.rate" : "up.rate", no, e);

	r = r ? r : dp_rate_check(p->excess, dir ? "down.excess" : "up.excess", no, e);
	if (!r && p->excess.bps && !p->rate.bps)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "excess: needs a rate");
	r = r ? r : dp_burst_check(p->burst_us, dir ? "down.burst" : "up.burst", no, e);
	r = r ? r : dp_burst_check(p->eburst_us, dir ? "down.eburst" : "up.eburst", no, e);
	return r ? r : dp_source_check(p, no, e);
}

static bool ceiling_known(const struct dp *d, uint32_t id)
{
	return d->ceilings[id].cost[0] || d->ceilings[id].cost[1];
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
	if (l->ceiling >= DP_CEILINGS || (l->ceiling && !ceiling_known(d, l->ceiling)))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "ceiling: %u is not set",
				 l->ceiling);
	r = dp_mark_check(d, l, no, e);
	r = r < 0 ? r : profile_check(&l->dir[DP_UP], DP_UP, no, e);
	return r < 0 ? r : profile_check(&l->dir[DP_DOWN], DP_DOWN, no, e);
}

/* The largest shift that keeps the number in 32 bits: a rate is right to 2^-31. */
void dp_cost_set(__u32 *cost, __u8 *shift, rate_t rate)
{
	unsigned __int128 c = 8000000000ull; /* ns per byte at one bit per second */

	*cost = 0;
	*shift = 0;
	if (!rate.bps)
		return;
	while ((c << (*shift + 1)) / rate.bps <= UINT32_MAX)
		(*shift)++;
	*cost = (__u32)((c << *shift) / rate.bps);
}

/* As asked, if the meter still is what was made of it. */
static rate_t rate_of(const struct dp_rate *m, uint64_t asked)
{
	__u32 cost = m->cost, c;
	__u8 shift = (__u8)(m->span >> DP_SPAN_SHIFT), s;

	dp_cost_set(&c, &s, (rate_t){ asked });
	if (c == cost && s == shift)
		return (rate_t){ asked };
	return (rate_t){ cost ? (uint64_t)(((unsigned __int128)8000000000ull << shift) / cost)
			      : 0 };
}

static struct dp_rate rate_fill(rate_t rate, uint32_t burst_us)
{
	struct dp_rate r;
	__u8 shift;

	dp_cost_set(&r.cost, &shift, rate);
	r.span = burst_us | (__u32)shift << DP_SPAN_SHIFT;
	return r;
}

static void meter_fill(struct dp_meter *m, const struct dp_label *l)
{
	for (int i = 0; i < 2; i++) {
		const struct dp_profile *p = &l->dir[i];
		uint32_t us = p->burst_us ? p->burst_us : DP_BURST_US_DFL;

		m->rate[i] = rate_fill(p->rate, us);
		m->excess[i] = rate_fill(p->excess, p->eburst_us ? p->eburst_us : us);
	}
}

static void line_fill(struct dp_line *line, const struct dp_label *l)
{
	memset(line, 0, sizeof(*line));
	line->flags = (__u16)(DP_L_ACTIVE | (l->police_edge ? DP_L_POLICE_EDGE : 0) |
			      (l->police_node ? DP_L_POLICE_NODE : 0) |
			      (uint32_t)l->over << DP_L_OVER_SHIFT |
			      (l->dir[0].src.len ? DP_L_SOURCE : 0) |
			      (l->dir[1].src.len ? DP_L_SOURCE << 1 : 0));
	line->ceiling = (__u16)l->ceiling;
	line->class_minor = l->class_minor;
	line->dscp = l->dscp;
	line->dscp_over = l->dscp_over;
	line->valid_until = l->valid_until.us > INT64_MAX / 1000
				    ? UINT64_MAX
				    : (uint64_t)l->valid_until.us * 1000;
	for (int i = 0; i < 2; i++)
		line->bind[i] = l->dir[i].bind_ifindex;
}

static void words_store(void *to, const void *from, size_t n)
{
	const uint64_t *w = from;
	uint64_t *p = to;

	while (n-- > 0)
		__atomic_store_n(&p[n], w[n], __ATOMIC_RELEASE);
}

uint64_t dp_boot_ns(const struct dp *d)
{
	struct timespec t = { 0 };

	if (d->offline && d->skel->bss->test_now)
		return d->skel->bss->test_now;
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void dp_owe_at_most(__u64 *time, uint64_t most)
{
	__u64 is = __atomic_load_n(time, __ATOMIC_RELAXED);

	while (is > most && !__atomic_compare_exchange_n(time, &is, most, false, __ATOMIC_RELAXED,
							 __ATOMIC_RELAXED))
		;
}

/* What was owed at a rate that ends: nothing for a new owner, else no more than the burst. */
static void rate_store(struct dp_rate *to, const struct dp_rate *from, __u64 *time, bool fresh,
		       uint64_t now)
{
	bool other = memcmp(to, from, sizeof(*to)) != 0;

	words_store(to, from, sizeof(*to) / sizeof(uint64_t));
	if (fresh || other)
		dp_owe_at_most(time, fresh ? 0 : now + (from->span & DP_SPAN_US) * 1000ull);
}

/* Word by word, the one with the flags last: a program sees each word old or new, never half. The
 * meter's times are the programs'. */
static void label_store(struct dp *d, uint32_t label, const struct dp_line *line,
			const struct dp_meter *from, bool fresh)
{
	struct dp_meter *to = &d->meters[label];
	uint64_t now = dp_boot_ns(d);

	for (int i = 0; i < 2; i++) {
		rate_store(&to->rate[i], &from->rate[i], &to->tat[i], fresh, now);
		rate_store(&to->excess[i], &from->excess[i], &to->etat[i], fresh, now);
	}
	words_store(&d->lines[label], line, sizeof(*line) / sizeof(uint64_t));
}

static struct dp_base *base_of(struct dp *d, uint32_t label, uint32_t dir)
{
	return &d->base[label * 2 + dir];
}

static int base_write(struct dp *d, const struct dp_label *l, bool fresh)
{
	for (uint32_t dir = 0; dir < 2; dir++) {
		struct dp_base *b = base_of(d, l->label, dir);

		if (fresh && dp_view_count(d->view, l->label, dir, &b->count))
			return -ERANGE;
		b->rate = l->dir[dir].rate.bps;
		b->excess = l->dir[dir].excess.bps;
	}
	return 0;
}

static int sources_write(struct dp *d, const struct dp_label *l, enum refusal *no, struct err *e)
{
	for (uint32_t dir = 0; dir < 2; dir++) {
		int r = dp_source_write(d, l->label * 2 + dir, &l->dir[dir], no, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int dp_label_set(struct dp *d, const struct dp_label *l, enum refusal *no, struct err *e)
{
	struct dp_meter meter;
	struct dp_line line;
	bool fresh;
	int r = label_check(d, l, no, e);

	if (r < 0)
		return r;
	fresh = !(d->lines[l->label].flags & DP_L_ACTIVE);
	r = base_write(d, l, fresh);
	if (r < 0)
		return err_set(e, r, "label %u: baseline: %s", l->label, strerror(-r));
	r = sources_write(d, l, no, e);
	if (r < 0)
		return r;
	if (fresh)
		r = dp_watch_take(d, l->label, e);
	if (r < 0)
		return r;
	line_fill(&line, l);
	line.watch = d->lines[l->label].watch;
	memcpy(line.path, d->lines[l->label].path, sizeof(line.path));
	meter_fill(&meter, l);
	label_store(d, l->label, &line, &meter, fresh);
	return 0;
}

static void profile_read(struct dp *d, uint32_t label, uint32_t dir, struct dp_profile *p)
{
	const struct dp_rate *rate = &d->meters[label].rate[dir];
	const struct dp_rate *excess = &d->meters[label].excess[dir];
	const struct dp_base *b = base_of(d, label, dir);

	p->rate = rate_of(rate, b->rate);
	p->excess = rate_of(excess, b->excess);
	p->burst_us = rate->span & DP_SPAN_US;
	p->eburst_us = (excess->span & DP_SPAN_US) == p->burst_us ? 0 : excess->span & DP_SPAN_US;
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
	l.ceiling = line->ceiling;
	for (int i = 0; i < 2; i++) {
		struct dp_profile *p = &l.dir[i];
		int r;

		p->bind_ifindex = line->bind[i];
		profile_read(d, label, (uint32_t)i, p);
		r = line->flags & DP_L_SOURCE << i ? dp_source_read(d, label * 2 + (uint32_t)i, p)
						   : 0;
		if (r < 0)
			return r;
	}
	*ret = l;
	return 0;
}

static void steer_store(struct dp *d, uint32_t label, enum dp_dir dir, uint32_t path)
{
	__atomic_store_n(&d->lines[label].path[dir], (__u8)path, __ATOMIC_RELEASE);
}

int dp_label_del(struct dp *d, uint32_t label, enum refusal *no, struct err *e)
{
	if (!in_table(d, label))
		return refuse_range(d, label, no, e);
	/* Flags first: from here on nobody believes the rest. */
	__atomic_store_n(&d->lines[label].flags, 0, __ATOMIC_RELEASE);
	steer_store(d, label, DP_UP, 0);
	steer_store(d, label, DP_DOWN, 0);
	for (uint32_t i = label * 2; i <= label * 2 + 1; i++)
		(void)bpf_map_delete_elem(bpf_map__fd(d->skel->maps.binds), &i);
	return dp_watch_drop(d, label, e);
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
	*path = d->lines[label].path[dir];
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
	now.rx_packets &= DP_RX_PACKETS;
	*ret = now;
	return 0;
}

void dp_odd_get(struct dp *d, struct dp_odd *ret)
{
	struct dp_count c = { 0 };

	dp_view_odd(d->view, ret);
	(void)dp_counters_get(d, 0, DP_UP, &c); /* less what came with older maps */
	ret->unknown = c.unknown;
	ret->malformed = c.malformed;
	ret->not_ip = c.not_ip;
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
