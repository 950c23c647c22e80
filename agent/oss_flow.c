/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends are read at different moments and packets are between them, so a single difference
 * of their totals is no loss. What is lost for good stays missing: the least difference of a few
 * windows, less what may be under way (as much as one window ever brought), only grows by it. */
#include "oss_flow.h"

#define LAG_WINDOWS 8

struct lag {
	uint32_t label;
	uint8_t n, next;
	int64_t missing[LAG_WINDOWS]; /* packets: into the first node less out of the last */
	int64_t most;                 /* that one window brought */
	int64_t lost;                 /* since the start */
};

static struct lag lags[SIDE_FLOWS_MAX]; /* by position of the flow */

static const struct path_def *path_of(const struct side *s, uint8_t path)
{
	for (uint8_t i = 0; i < s->paths.n; i++)
		if (s->paths.def[i].path == path)
			return &s->paths.def[i];
	return NULL;
}

static rate_t rate_of(uint64_t was, uint64_t is, mono_t from, mono_t to)
{
	/* A node that was restarted counts from nothing: no rate for this window. */
	if (is < was || to.us <= from.us || (is - was) > UINT64_MAX / 8000000)
		return (rate_t){ 0 };
	return (rate_t){ (is - was) * 8000000 / (uint64_t)(to.us - from.us) };
}

static int64_t least_of(const struct lag *g)
{
	int64_t least = g->missing[0];

	for (uint8_t i = 1; i < g->n; i++)
		if (g->missing[i] < least)
			least = g->missing[i];
	return least;
}

static struct lag *lag_of(const struct side *s, const struct side_flow *f)
{
	struct lag *g = &lags[f - s->flows.flow];

	if (g->label != f->label)
		*g = (struct lag){ .label = f->label };
	return g;
}

/* Packets that conformed at the first node and will not leave the last: of this window. */
static uint64_t lost(struct lag *g, const struct side_flow *f)
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

static void at_first(const struct side *s, struct side_flow *f, const struct label_sample *now)
{
	const struct label_count *was = &f->first.dir[DIR_UP], *is = &now->dir[DIR_UP];
	struct lag *g = lag_of(s, f);

	f->offered = rate_of(was->rx_bytes, is->rx_bytes, f->first.at, now->at);
	if (is->rx_packets < was->rx_packets)
		*g = (struct lag){ .label = f->label };
	else if (f->first.label && (int64_t)(is->rx_packets - was->rx_packets) > g->most)
		g->most = (int64_t)(is->rx_packets - was->rx_packets);
	f->first = *now;
	if (now->rtt_us)
		f->rtt_us = now->rtt_us;
}

static void at_last(const struct side *s, struct side_flow *f, const struct label_sample *now)
{
	const struct label_count *was = &f->last.dir[DIR_UP], *is = &now->dir[DIR_UP];
	struct lag *g = lag_of(s, f);

	f->delivered = rate_of(was->tx_bytes, is->tx_bytes, f->last.at, now->at);
	/* Counters that run backwards are a node that was restarted, not a loss. */
	if (is->tx_packets < was->tx_packets)
		*g = (struct lag){ .label = f->label };
	f->last = *now;
	if (f->first.label)
		f->drops = lost(g, f);
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
	if (!strcmp(p->hop[0].node.s, node))
		at_first(s, f, sample);
	if (!strcmp(p->hop[p->n_hops - 1].node.s, node))
		at_last(s, f, sample);
}

void oss_flow_forget(struct side *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->flows.n; i++) {
		const struct deal *d =
			world_deal_by_label(engine_world(s->engine), s->flows.flow[i].label);

		if (!d)
			continue;
		if (n != i) {
			s->flows.flow[n] = s->flows.flow[i];
			lags[n] = lags[i];
		}
		n++;
	}
	s->flows.n = n;
}
