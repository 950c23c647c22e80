/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends are read at different moments and packets are between them, so a single difference
 * of their totals is no loss. What is lost for good stays missing: the least difference of a few
 * windows, less what may be under way (as much as one window ever brought), only grows by it. For
 * the same reason a rate is taken over all of these windows: in a single one a sender's burst of a
 * few milliseconds is more than a rate may be short of. And it is taken in packets: IPv4 leaves its
 * SRv6 header at the far end, so the same packets are fewer bytes there. */
#include "oss_flow.h"

#include "oss_mark.h"

#define LAG_WINDOWS 8

/* The totals of one end, as many windows back. */
struct totals {
	uint8_t n, next;
	mono_t at[LAG_WINDOWS];
	uint64_t bytes[LAG_WINDOWS], packets[LAG_WINDOWS];
};

/* Of one end over the windows that `totals` holds. */
struct pace {
	uint64_t bytes, packets;
	int64_t us; /* 0: fewer windows than it takes */
};

struct flow_lag {
	struct totals in, out;
	struct pace offer;
	rate_t sent[DIR_MAX_]; /* last window: up by the first node, down by the last */
	uint8_t n, next;
	int64_t missing[LAG_WINDOWS]; /* packets: into the first node less out of the last */
	int64_t most;                 /* that one window brought */
	int64_t lost;                 /* since the start */
};

static const struct path_def *path_of(const struct side *s, uint8_t path)
{
	for (uint8_t i = 0; i < s->paths.n; i++)
		if (s->paths.def[i].path == path)
			return &s->paths.def[i];
	return NULL;
}

/* Since the oldest of the totals, whose place the new ones take. */
static struct pace pace_of(struct totals *t, const struct label_sample *now, uint64_t bytes,
			   uint64_t packets)
{
	uint8_t newest = (uint8_t)((t->next + LAG_WINDOWS - 1) % LAG_WINDOWS), k;
	struct pace p = { 0 };

	/* A node that was restarted counts from nothing: so do we. */
	if (t->n && (bytes < t->bytes[newest] || now->at.us <= t->at[newest].us))
		*t = (struct totals){ 0 };
	k = t->next;
	if (t->n == LAG_WINDOWS)
		p = (struct pace){ bytes - t->bytes[k], packets - t->packets[k],
				   now->at.us - t->at[k].us };
	else
		t->n++;
	t->at[k] = now->at;
	t->bytes[k] = bytes;
	t->packets[k] = packets;
	t->next = (uint8_t)((k + 1) % LAG_WINDOWS);
	return p;
}

static rate_t rate_of(uint64_t bytes, int64_t us)
{
	return (rate_t){ us <= 0 || bytes > UINT64_MAX / 8000000 ? 0
								 : bytes * 8000000 / (uint64_t)us };
}

static int64_t least_of(const struct flow_lag *g)
{
	int64_t least = g->missing[0];

	for (uint8_t i = 1; i < g->n; i++)
		if (g->missing[i] < least)
			least = g->missing[i];
	return least;
}

/* What the node itself sent on in one direction since its sample before. */
static rate_t sent(const struct label_sample *was, const struct label_sample *is, enum dir dir)
{
	uint64_t a = was->dir[dir].tx_bytes, b = is->dir[dir].tx_bytes;

	return rate_of(was->label && b > a ? b - a : 0, is->at.us - was->at.us);
}

/* Packets that conformed at the first node and will not leave the last: of this window. */
static uint64_t lost(struct flow_lag *g, const struct side_flow *f)
{
	const struct label_count *in = &f->first.dir[DIR_UP], *out = &f->last.dir[DIR_UP];
	int64_t missing = (int64_t)(in->rx_packets - in->drop_rate - in->expired - in->violation -
				    out->tx_packets);
	int64_t before = g->lost, gone;

	g->missing[g->next] = missing;
	g->next = (uint8_t)((g->next + 1) % LAG_WINDOWS);
	if (g->n < LAG_WINDOWS)
		g->n++;
	gone = g->n < LAG_WINDOWS ? 0 : least_of(g) - g->most;
	if (gone <= before)
		return 0;
	g->lost = gone;
	return (uint64_t)(gone - before);
}

/* The packets that came out, in the bytes that they had going in. */
static rate_t delivered(const struct pace *in, const struct pace *out)
{
	uint64_t each = in->packets ? in->bytes / in->packets : 0;

	if (!each)
		return rate_of(out->bytes, out->us);
	return rate_of(out->packets < UINT64_MAX / each ? out->packets * each : 0, out->us);
}

static void at_first(struct side_flow *f, const struct label_sample *now)
{
	const struct label_count *was = &f->first.dir[DIR_UP], *is = &now->dir[DIR_UP];
	struct flow_lag *g = f->lag;

	if (f->first.label == now->label && mono_cmp(now->at, f->first.at) <= 0)
		return; /* the node had no newer one */
	g->offer = pace_of(&g->in, now, is->rx_bytes, is->rx_packets);
	f->offered = rate_of(g->offer.bytes, g->offer.us);
	if (is->rx_packets < was->rx_packets)
		*g = (struct flow_lag){ 0 };
	else if (f->first.label && (int64_t)(is->rx_packets - was->rx_packets) > g->most)
		g->most = (int64_t)(is->rx_packets - was->rx_packets);
	g->sent[DIR_UP] = sent(&f->first, now, DIR_UP);
	f->first = *now;
	if (now->rtt_us)
		f->rtt_us = now->rtt_us;
}

static void at_last(const struct side *s, struct side_flow *f, const struct label_sample *now)
{
	const struct label_count *was = &f->last.dir[DIR_UP], *is = &now->dir[DIR_UP];
	struct flow_lag *g = f->lag;
	struct pace out;

	if (f->last.label == now->label && mono_cmp(now->at, f->last.at) <= 0)
		return; /* the node had no newer one */
	out = pace_of(&g->out, now, is->tx_bytes, is->tx_packets);
	f->delivered = delivered(&g->offer, &out);
	/* Counters that run backwards are a node that was restarted, not a loss. */
	if (is->tx_packets < was->tx_packets)
		*g = (struct flow_lag){ 0 };
	g->sent[DIR_DOWN] = sent(&f->last, now, DIR_DOWN);
	f->last = *now;
	if (f->first.label)
		f->drops = lost(g, f);
	if (oss_mark_live(s, f, DIR_UP)) { /* counted, not estimated */
		f->drops = f->exact[DIR_UP].fresh;
		f->exact[DIR_UP].fresh = 0;
	}
	if (g->offer.us && out.us)
		f->at = loop_now(s->loop);
}

void oss_flow_sample(struct side *s, const char *node, const struct label_sample *sample)
{
	const struct deal *d = world_deal_by_label(engine_world(s->engine), sample->label);
	const struct path_def *p =
		d ? path_of(s, d->applied.rev ? d->applied.path : d->cur.path) : NULL;
	struct side_flow *f = p && p->n_hops ? side_flow(s, sample->label, true) : NULL;

	if (!f)
		return;
	if (!f->lag)
		f->lag = calloc(1, sizeof(*f->lag));
	if (!f->lag)
		return;
	if (!strcmp(p->hop[0].node.s, node))
		at_first(f, sample);
	if (!strcmp(p->hop[p->n_hops - 1].node.s, node))
		at_last(s, f, sample);
}

void oss_flow_own(const struct side *s, struct oss_own *ret)
{
	const struct world *w = engine_world(s->engine);
	rate_t path[UINT8_MAX + 1][DIR_MAX_] = { 0 };

	for (uint32_t i = 0; i < s->flows.n; i++) {
		const struct side_flow *f = &s->flows.flow[i];
		const struct deal *d = f->lag ? world_deal_by_label(w, f->label) : NULL;
		uint8_t at = d ? w->brief[d - w->deal].applied.path : 0;

		for (int dir = 0; d && dir < DIR_MAX_; dir++)
			path[at][dir].bps += f->lag->sent[dir].bps;
	}
	*ret = (struct oss_own){ 0 };
	for (uint8_t i = 0; i < s->paths.n; i++)
		for (uint8_t k = 0; k < s->paths.n; k++) {
			const struct path_def *d = &s->paths.def[i], *o = &s->paths.def[k];

			if (!d->n_hops || !o->n_hops)
				continue;
			if (ident_eq(d->hop[0].far, o->hop[0].far))
				ret->up[i].bps += path[o->path][DIR_UP].bps;
			if (ident_eq(d->hop[d->n_hops - 1].near, o->hop[o->n_hops - 1].near))
				ret->down[i].bps += path[o->path][DIR_DOWN].bps;
		}
}

static bool is_live(const struct side *s, const struct side_flow *f)
{
	return world_deal_by_label(engine_world(s->engine), f->label);
}

void oss_flow_forget(struct side *s)
{
	side_flows_keep(s, is_live);
}
