/* SPDX-License-Identifier: Apache-2.0 */
/* dp_watch.c - what a label may have beside its line: a watched slot (histograms, colours), bound
 * source prefixes, a customer's ceiling. */
#include "dp_internal.h"

#define FLOW_SETS_LOOK 16384u /* 4 MB: a few milliseconds */

int dp_watch_order(struct dp *d, uint32_t label, uint32_t slot, struct err *e)
{
	struct dp_watch_order o = { label, slot };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &o, .ctx_size_in = sizeof(o));
	int r = bpf_prog_test_run_opts(bpf_program__fd(d->skel->progs.treaty_watch), &opts);

	if (!r && opts.retval)
		r = -EIO;
	return r < 0 ? err_set(e, r, "label %u: watched slot %u: %s", label, slot, strerror(-r))
		     : 0;
}

/* The lines know who holds which slot; read once after an adoption. */
static int watcher_make(struct dp *d, struct err *e)
{
	d->watcher = calloc(DP_WATCHED + 1, sizeof(*d->watcher));
	if (!d->watcher)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 1; i < d->labels; i++)
		if (d->lines[i].watch && d->lines[i].watch <= DP_WATCHED)
			d->watcher[d->lines[i].watch] = i;
	return 0;
}

/* A slot for the label if one is free; none is no error: then it has counters and no histogram. */
int dp_watch_take(struct dp *d, uint32_t label, struct err *e)
{
	int r = d->watcher ? 0 : watcher_make(d, e);
	uint32_t slot;

	if (r < 0 || d->lines[label].watch)
		return r;
	slot = d->watcher[0] ? d->watcher[0] : 1; /* element 0: where the search begins */
	while (slot <= d->watched && d->watcher[slot])
		slot++;
	d->watcher[0] = slot;
	if (slot > d->watched)
		return 0;
	r = dp_watch_order(d, label, slot, e);
	if (r < 0)
		return r;
	d->watcher[slot] = label;
	__atomic_store_n(&d->lines[label].watch, (__u16)slot, __ATOMIC_RELEASE);
	return 0;
}

int dp_watch_drop(struct dp *d, uint32_t label, struct err *e)
{
	uint32_t slot = d->lines[label].watch;
	int r = d->watcher ? 0 : watcher_make(d, e);

	if (r < 0 || !slot)
		return r;
	__atomic_store_n(&d->lines[label].watch, 0, __ATOMIC_RELEASE);
	r = dp_watch_order(d, label, 0, e);
	d->watcher[slot] = 0;
	if (slot < d->watcher[0])
		d->watcher[0] = slot;
	return r;
}

/* Bits without a pattern: flows that are alike lie at even distances, and so would a stride. */
static uint64_t scatter(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint32_t flows_used(const struct dp *d)
{
	uint32_t generation = __atomic_load_n(&d->ctl->generation, __ATOMIC_RELAXED), used = 0;
	uint32_t sets = d->flows / DP_FLOW_WAYS;
	uint32_t look = sets < FLOW_SETS_LOOK ? sets : FLOW_SETS_LOOK;

	for (uint32_t i = 0; i < look; i++) {
		uint32_t at = look == sets ? i : (uint32_t)(scatter(i + 1) % sets);

		for (int w = 0; w < DP_FLOW_WAYS; w++) {
			const struct dp_flow *f = &d->flow[at].way[w];

			used += __atomic_load_n(&f->seq, __ATOMIC_RELAXED) &&
				__atomic_load_n(&f->generation, __ATOMIC_RELAXED) == generation;
		}
	}
	return look ? (uint32_t)((uint64_t)used * sets / look) : 0;
}

void dp_used_get(struct dp *d, struct dp_used *ret)
{
	struct dp_event_count full = { 0 };
	uint32_t watched = 0;

	(void)dp_events_count(d, DP_EV_FULL, &full);
	if (!d->watcher)
		(void)watcher_make(d, NULL);
	for (uint32_t i = 1; d->watcher && i <= DP_WATCHED; i++)
		watched += d->watcher[i] != 0;
	*ret = (struct dp_used){ .watched = watched,
				 .cells = d->ctl->slots_used,
				 .cells_max = dp_slots_of(d->labels),
				 .flows = flows_used(d),
				 .cells_missed = full.seen };
}

/* --- source prefixes ---------------------------------------------------------------------------
 */

int dp_source_check(const struct dp_profile *p, enum refusal *no, struct err *e)
{
	if (p->src.len && p->src_family != 4 && p->src_family != 6)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "src: family: not 4 or 6");
	if (p->src.len > (p->src_family == 4 ? 32 : 128))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "src: prefix too long");
	return dp_prefix_host_bits(&p->src, p->src_family == 4 ? 32 : 128)
		       ? dp_refuse(no, e, REFUSE_BODY_MALFORMED, "src: host bits are set")
		       : 0;
}

/* The line's flag follows, so a program that sees it finds the prefix. One that goes stays until
 * the flag is off: a change from one prefix to another is one replaced element. */
int dp_source_write(struct dp *d, uint32_t at, const struct dp_profile *p, enum refusal *no,
		    struct err *e)
{
	struct dp_bind b;

	if (!p->src.len)
		return 0;
	dp_prefix_compile(p->src_family, &p->src, b.addr, b.mask);
	if (!bpf_map_update_elem(bpf_map__fd(d->skel->maps.binds), &at, &b, BPF_ANY))
		return 0;
	if (errno == E2BIG)
		return dp_refuse(no, e, REFUSE_MAP_FULL, "src: %d prefixes are bound already",
				 DP_BINDS);
	return err_set(e, -errno, "src: %s", strerror(errno));
}

int dp_source_read(struct dp *d, uint32_t at, struct dp_profile *p)
{
	struct dp_bind b;

	if (bpf_map_lookup_elem(bpf_map__fd(d->skel->maps.binds), &at, &b))
		return -errno;
	p->src_family =
		b.mask[0] == UINT64_MAX && !(b.addr[0]) && (__u32)b.addr[1] == 0xffff0000u ? 4 : 6;
	dp_prefix_restore(p->src_family, b.addr, b.mask, &p->src);
	return 0;
}

/* --- ceilings ----------------------------------------------------------------------------------
 */

int dp_ceiling_set(struct dp *d, const struct dp_ceiling *c, enum refusal *no, struct err *e)
{
	struct dp_ceiling_line line = { 0 }, *to;
	uint64_t now;

	if (!c->id || c->id >= DP_CEILINGS)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "ceiling: id: 1..%d",
				 DP_CEILINGS - 1);
	if (!c->rate[0].bps && !c->rate[1].bps)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "ceiling %u: no rate", c->id);
	for (int i = 0; i < 2; i++) {
		int r = dp_rate_check(c->rate[i], "ceiling.rate", no, e);

		r = r ? r : dp_burst_check(c->burst_us, "ceiling.burst", no, e);
		if (r < 0)
			return r;
		dp_cost_set(&line.cost[i], &line.shift[i], c->rate[i]);
		line.burst[i] = (c->burst_us ? c->burst_us : DP_BURST_US_DFL) * 1000;
	}
	to = &d->ceilings[c->id];
	now = dp_boot_ns(d);
	for (int i = 0; i < 2; i++) {
		bool fresh = !to->cost[i], other = to->rate[i] != c->rate[i].bps;

		to->rate[i] = c->rate[i].bps;
		__atomic_store_n(&to->burst[i], line.burst[i], __ATOMIC_RELEASE);
		/* Between two stores a packet may be charged by the old number and the new
		 * shift: off by that packet's cost, once. */
		__atomic_store_n(&to->shift[i], line.shift[i], __ATOMIC_RELEASE);
		__atomic_store_n(&to->cost[i], line.cost[i], __ATOMIC_RELEASE);
		if (fresh || other)
			dp_owe_at_most(&to->tat[i], fresh ? 0 : now + line.burst[i]);
	}
	return 0;
}

int dp_ceiling_get(struct dp *d, uint32_t id, struct dp_ceiling *ret)
{
	const struct dp_ceiling_line *c;

	if (!id || id >= DP_CEILINGS)
		return -ERANGE;
	c = &d->ceilings[id];
	if (!c->cost[0] && !c->cost[1])
		return -ENOENT;
	*ret = (struct dp_ceiling){ .id = id,
				    .rate = { { c->rate[0] }, { c->rate[1] } },
				    .burst_us = c->burst[0] / 1000 };
	return 0;
}

int dp_ceiling_del(struct dp *d, uint32_t id, enum refusal *no, struct err *e)
{
	if (!id || id >= DP_CEILINGS)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "ceiling: id: 1..%d",
				 DP_CEILINGS - 1);
	for (uint32_t i = dp_label_next(d, 0); i; i = dp_label_next(d, i))
		if (d->lines[i].ceiling == id)
			return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
					 "ceiling %u: label %u is under it", id, i);
	for (int i = 0; i < 2; i++)
		__atomic_store_n(&d->ceilings[id].cost[i], 0, __ATOMIC_RELEASE);
	return 0;
}
