/* SPDX-License-Identifier: Apache-2.0 */
/* The own access link: contracts that do not fit beside each other are settled here, by the
 * firm's own priorities, without a word to the operator. */
#include "ent_int.h"

#include "agent/log.h"
#include "ent_spur_core.h"

#define RESTORE 947 /* permille of what is usable: there must be that much room */
#define HOLD    10  /* intervals of room before a cut flow comes back */

_Static_assert(SPUR_SHARES_MAX <= EV_SPUR_MAX, "a division fits into its event");

static const struct spur_cut *share(const struct ent *en, const ident_t *lineage)
{
	for (uint8_t i = 0; i < en->w->spur.n_flows; i++)
		if (ident_eq(en->w->spur.flow[i].lineage, *lineage))
			return &en->w->spur.flow[i];
	return NULL;
}

rate_t ent_spur_local(const struct ent *en, const struct deal *d)
{
	const struct spur_cut *c = share(en, &d->cur.lineage);

	/* A share above the contract is of an older revision. */
	return c && c->rate.bps < d->cur.g.bandwidth.bps ? c->rate : d->cur.g.bandwidth;
}

static bool shares(const struct deal *d)
{
	return !d->operator_side && d->cur.rev && d->active && d->life != LIFE_TERMINATED;
}

static void gather(struct ent *en, struct ent_spur_in *in, const struct deal *of[SPUR_SHARES_MAX])
{
	const struct cfg_device *dev = config_device(en->s->cfg, en->s->cfg->enterprise.access);

	memset(in, 0, sizeof(*in));
	in->capacity = dev ? dev->rate : (rate_t){ 0 };
	in->usable = (uint16_t)en->s->cfg->enterprise.usable;
	in->restore = (uint16_t)(in->usable * RESTORE / 1000);
	in->hold = HOLD;
	in->calm = en->calm;
	for (uint32_t i = 0; i < en->w->n_deals && in->n_flows < SPUR_SHARES_MAX; i++) {
		const struct deal *d = &en->w->deal[i];
		const struct class_profile *p = side_profile(en->s, &d->cur.class_name);
		struct spur_flow *f = &in->flow[in->n_flows];
		const struct side_flow *seen;
		const struct spur_cut *c;

		if (!shares(d) || !p)
			continue;
		c = share(en, &d->cur.lineage);
		seen = side_flow(en->s, d->cur.label, false);
		*f = (struct spur_flow){ .label = d->cur.label,
					 .class_id = p->id,
					 .priority = p->priority,
					 .donor = p->donor,
					 .contracted = d->cur.g.bandwidth,
					 .floor = p->floor };
		if (f->floor.bps > f->contracted.bps)
			f->floor = f->contracted;
		if (seen)
			f->demand = seen->offered;
		if (c)
			f->rate = c->rate;
		of[in->n_flows++] = d;
	}
}

static void add_step(struct ent *en, struct plan *p, const struct deal *d, rate_t rate)
{
	const struct class_profile *k = side_profile(en->s, &d->cur.class_name);
	struct plan_step *s;

	for (uint32_t i = 0; i < en->w->n_wanted; i++) {
		const struct step *had = &en->w->wanted[i].step;

		if (had->kind != STEP_CLASS_SET || had->label != d->cur.label ||
		    had->rate.bps == rate.bps)
			continue;
		s = &p->step[p->n_steps];
		s->no = ++p->n_steps;
		str_cut(s->node.s, en->s->cfg->daemon.name);
		s->step = *had;
		s->step.rate = s->step.ceil = rate;
		s->step.prio = k ? k->priority : had->prio;
		return;
	}
}

static void done(void *arg, enum refusal no, const char *why)
{
	(void)arg;
	if (no != REFUSE_NONE)
		log_warn("spur: %s: %s", refusal_name(no), why);
}

/* Cuts first: at no instant do the classes together ask for more than the link has. */
static void apply(struct ent *en, const struct ent_spur_in *in, const struct ent_spur_out *out,
		  const struct deal *const of[], const struct deal *not_this)
{
	struct plan *p = calloc(1, sizeof(*p));
	struct err e = { 0 };

	if (!p) {
		log_error("spur: out of memory");
		return;
	}
	engine_id(&p->id, "pln");
	for (int raise = 0; raise < 2; raise++)
		for (uint8_t i = 0; i < out->n_flows; i++) {
			bool up = out->flow[i].rate.bps >= (in->flow[i].rate.bps
								    ? in->flow[i].rate.bps
								    : in->flow[i].contracted.bps);

			if (of[i] != not_this && up == raise)
				add_step(en, p, of[i], out->flow[i].rate);
		}
	if (p->n_steps && node_apply(en->s, p, done, NULL, &e))
		log_error("spur: %s", e.text);
	free(p);
}

void ent_spur_divide(struct ent *en, const struct deal *not_this)
{
	const struct deal *of[SPUR_SHARES_MAX] = { 0 };
	struct ent_spur_in in;
	struct ent_spur_out out;
	struct decision dn = { "ent_spur_rebalance", &ent_spur_in_fields, &ent_spur_out_fields, &in,
			       &out };
	struct ev_spur ev = { 0 };

	if (!ent_edge_on(en))
		return;
	gather(en, &in, of);
	if (!in.capacity.bps || !in.n_flows)
		return;
	ent_spur_rebalance(&in, &out);
	en->calm = out.calm;
	if (!out.changed)
		return;
	for (uint8_t i = 0; i < out.n_flows; i++)
		ev.flow[ev.n_flows++] = (struct spur_cut){ of[i]->cur.lineage, out.flow[i].rate };
	ev.why = out.why;
	if (tool_spur_rebalance(&en->cap, &ev, &dn, NULL) == REFUSE_NONE)
		apply(en, &in, &out, of, not_this);
}

/* --- the edge's own counters ---------------------------------------------------------------------
 */

static void rates(struct side_flow *f, const struct label_sample *now)
{
	int64_t us = now->at.us - f->at.us;
	const struct label_count *a = &now->dir[DIR_UP], *b = &f->last.dir[DIR_UP];

	if (f->at.us && us > 0 && a->rx_bytes >= b->rx_bytes && a->tx_bytes >= b->tx_bytes) {
		f->offered.bps = (a->rx_bytes - b->rx_bytes) * 8 * 1000000 / (uint64_t)us;
		f->delivered.bps = (a->tx_bytes - b->tx_bytes) * 8 * 1000000 / (uint64_t)us;
		f->drops = a->drop_rate - b->drop_rate;
	}
	f->at = now->at;
	f->rtt_us = now->rtt_us;
	f->first = f->last = *now;
}

static void metered(struct ent *en, const struct deal *d)
{
	struct ev_ref ref = { .deal = d->negotiation,
			      .about = d->cur.service,
			      .rev = d->cur.rev,
			      .why = ent_why("the edge's counters of the label move") };

	(void)tool_metered_note(&en->cap, &ref, NULL, NULL);
}

void ent_sample(struct ent *en)
{
	for (uint32_t i = 0; i < en->w->n_deals; i++) {
		const struct deal *d = &en->w->deal[i];
		struct label_sample now;
		struct side_flow *f;
		uint64_t before;

		if (!shares(d) || !ent_edge_on(en) || node_label_sample(en->s, d->cur.label, &now))
			continue;
		f = side_flow(en->s, d->cur.label, true);
		if (!f)
			continue;
		before = f->at.us ? f->last.dir[DIR_UP].rx_packets : UINT64_MAX;
		rates(f, &now);
		if (now.dir[DIR_UP].rx_packets > before &&
		    (d->life == LIFE_PROVISIONED || d->life == LIFE_RESTORED))
			metered(en, d);
	}
}
