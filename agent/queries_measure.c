/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured rather than estimated: loss and delay of coloured labels (RFC 9341). */
#include "agent/enforcer/client.h"
#include "node.h"
#include "node_int.h"
#include "queries_int.h"
#include "treaty/abi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static json_int_t micros(int64_t ns)
{
	return (ns + (ns < 0 ? -999 : 999)) / 1000;
}

static json_int_t ppm(uint64_t part, uint64_t all)
{
	return all ? (json_int_t)(part * 1000000 / all) : 0;
}

/* How sure the two clocks are of each other. */
static const char *clocks(const struct mark_pair *p)
{
	if (p->near.clock.host && p->near.clock.host == p->far.clock.host)
		return "same host";
	return p->unsure ? "not synchronised" : "adjtimex";
}

static json_t *pair_row(const struct side *s, const char *where, uint32_t label, int dir,
			const struct mark_pair *p)
{
	const struct deal *d = world_deal_by_label(engine_world(s->engine), label);
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			      "label", (json_int_t)label, "dir", dir == DIR_UP ? "up" : "down",
			      "agreement", d ? d->lineage.s : "", "between", where, "verdict",
			      mark_verdict_text(p->verdict), "block", (json_int_t)p->block, "sent",
			      (json_int_t)p->sent, "lost", (json_int_t)p->lost, "lossPpm",
			      ppm(p->lost, p->sent), "blocks", (json_int_t)p->blocks, "allSent",
			      (json_int_t)p->all_sent, "allLost", (json_int_t)p->all_lost,
			      "missing", (json_int_t)p->missing);

	if (o && p->delayed)
		(void)json_object_set_new(o, "delayMicros", json_integer(micros(p->delay_ns)));
	if (o && p->delayed)
		(void)json_object_set_new(o, "uncertaintyMicros",
					  p->unsure ? json_null()
						    : json_integer(micros(p->uncertainty_ns)));
	if (o && p->delayed)
		(void)json_object_set_new(o, "clocks", json_string(clocks(p)));
	return o;
}

/* Inside this node: from its ingress programs to its egress programs, the newest block alone. */
static bool own_pair(struct side *s, uint32_t label, enum dir dir, struct mark_pair *ret)
{
	struct mark_sample in, out;
	struct mark_pair p = { 0 };
	struct mark_clock c;

	if (node_mark(s, label, dir, DP_MARK_IN, &in) ||
	    node_mark(s, label, dir, DP_MARK_OUT, &out))
		return false;
	node_clock(s, &c);
	if (!mark_note(&p.near, &in, &c) || !mark_note(&p.far, &out, &c) || !mark_settle(&p))
		return false;
	*ret = p;
	return in.packets || out.packets;
}

static int loss_rows(struct side *s, json_t *rows)
{
	struct mark_pair p;
	uint32_t at = 0, label;
	int r = 0;

	for (uint32_t i = 0; i < s->flows.n; i++)
		for (int dir = 0; !r && dir < DIR_MAX_; dir++) {
			const struct side_flow *f = &s->flows.flow[i];

			if (f->exact[dir].pair.verdict != MARK_NOTHING)
				r = json_array_append_new(rows, pair_row(s, "network", f->label,
									 dir, &f->exact[dir].pair));
		}
	while (!r && s->node && counters_next(s->node->counters, &at, &label))
		for (int dir = 0; !r && dir < DIR_MAX_; dir++)
			if (own_pair(s, label, (enum dir)dir, &p))
				r = json_array_append_new(rows,
							  pair_row(s, "node", label, dir, &p));
	return r;
}

static int on_loss_list(struct side *s, const struct peer *p, const json_t *args, const char *key,
			struct mcp_turn *t, struct err *e)
{
	json_t *rows = json_array();

	(void)p;
	(void)args;
	(void)key;
	if (!rows || loss_rows(s, rows)) {
		json_decref(rows);
		return err_set(e, -ENOMEM, "out of memory");
	}
	return query_answer(t, json_pack("{s:o}", "losses", rows), e);
}

/* --- rare events -------------------------------------------------------------------------------
 */

static json_t *events_json(const struct side *s, const struct enforcer_events *ev)
{
	json_t *rows = json_array(), *causes = json_array();
	int64_t now = loop_now(s->loop).us;

	for (uint32_t i = 0; i < ev->n && i < ENFORCER_EVENTS_MAX; i++) {
		const struct enforcer_event *x = &ev->event[i];

		(void)json_array_append_new(rows,
					    json_pack("{s:s, s:I, s:s, s:I, s:I}", "cause",
						      enforcer_cause_text(x->cause), "label",
						      (json_int_t)x->label, "device", x->device.s,
						      "heldBack", (json_int_t)x->held_back, "ageMs",
						      (json_int_t)((now - x->at.us) / 1000)));
	}
	for (uint32_t c = 1; c < DP_EV_MAX; c++)
		(void)json_array_append_new(
			causes, json_pack("{s:s, s:I, s:I}", "cause", enforcer_cause_text(c),
					  "seen", (json_int_t)ev->cause[c].seen, "heldBack",
					  (json_int_t)ev->cause[c].held_back));
	return json_pack("{s:o, s:o}", "events", rows, "causes", causes);
}

static int on_events(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	struct enforcer_events ev = { 0 };
	int r;

	(void)p;
	(void)args;
	(void)key;
	if (!s->enforcer || !(s->cfg->daemon.roles & ROLE_NODE))
		return err_set(e, -EOPNOTSUPP, "this daemon is no node");
	r = enforcer_events(s->enforcer, &ev, e);
	return r ? r : query_answer(t, events_json(s, &ev), e);
}

/* --- sockets -----------------------------------------------------------------------------------
 */

static json_t *socket_row(const struct enforcer_sock *x)
{
	char who[INET6_ADDRSTRLEN + 8], addr[INET6_ADDRSTRLEN] = "";
	bool v4 = x->plen == 24;

	if (x->label)
		(void)snprintf(who, sizeof(who), "label %u", x->label);
	else if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &x->peer[3] : &x->peer[0], addr,
			   sizeof(addr)))
		(void)snprintf(who, sizeof(who), "%s/%u", addr, x->plen);
	else
		str_cut(who, "?");
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "with", who, "label",
			 (json_int_t)x->label, "sockets", (json_int_t)x->sockets, "srttMicros",
			 (json_int_t)(x->sockets ? x->sum_us / x->sockets : 0), "leastMicros",
			 (json_int_t)x->least_us, "mostMicros", (json_int_t)x->most_us);
}

static int on_sockets(struct side *s, const struct peer *p, const json_t *args, const char *key,
		      struct mcp_turn *t, struct err *e)
{
	struct enforcer_socks k = { 0 };
	json_t *rows;
	int r;

	(void)p;
	(void)args;
	(void)key;
	if (!s->enforcer || !(s->cfg->daemon.roles & ROLE_NODE))
		return err_set(e, -EOPNOTSUPP, "this daemon is no node");
	r = enforcer_socks(s->enforcer, &k, e);
	if (r)
		return r;
	rows = json_array();
	for (uint32_t i = 0; i < k.n && i < ENFORCER_SOCKS_MAX; i++)
		(void)json_array_append_new(rows, socket_row(&k.group[i]));
	return query_answer(t, json_pack("{s:o, s:I}", "sockets", rows, "more", (json_int_t)k.more),
			    e);
}

/* --- queues ------------------------------------------------------------------------------------
 */

static uint32_t label_of(const struct world *w, uint16_t minor)
{
	for (uint32_t i = 0; i < w->n_wanted; i++)
		if (w->wanted[i].step.kind == STEP_LABEL_SET && w->wanted[i].step.minor == minor)
			return w->wanted[i].step.label;
	return 0;
}

/* The backlog is what the qdisc holds now; the virtual queue what was admitted and would still be
 * under way at the class's rate. Neither is a measured sojourn: both say what a packet of now would
 * wait. */
static json_t *queue_row(const struct world *w, const char *device, const struct enforcer_class *c)
{
	uint64_t wait = c->rate.bps ? c->backlog_bytes * 8000000 / c->rate.bps : 0;
	char minor[8];

	(void)snprintf(minor, sizeof(minor), "54:%x", c->minor);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I}", "device", device, "class",
			 minor, "label", (json_int_t)label_of(w, c->minor), "rateBps",
			 (json_int_t)c->rate.bps, "backlogBytes", (json_int_t)c->backlog_bytes,
			 "backlogMicros", (json_int_t)wait, "virtualMicros",
			 (json_int_t)c->virtual_us, "virtual", c->paced ? "departure" : "queue",
			 "drops", (json_int_t)c->drops);
}

static int on_queues(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	auto_free struct enforcer_device *d = calloc(1, sizeof(*d));
	json_t *rows = json_array();
	int r = !d || !rows ? err_set(e, -ENOMEM, "out of memory") : 0;

	(void)p;
	(void)args;
	(void)key;
	if (!r && !s->node)
		r = err_set(e, -EOPNOTSUPP, "this daemon is no node");
	for (uint32_t i = 0; !r && i < s->node->links.n; i++) {
		const struct enforcer_link *l = &s->node->links.link[i];

		memset(d, 0, sizeof(*d));
		r = l->shaped ? enforcer_device(s->enforcer, l->name.s, d, e) : 0;
		for (uint32_t k = 0; !r && k < d->n; k++)
			if (d->cls[k].minor != 1) /* all of the device: it holds none itself */
				(void)json_array_append_new(rows, queue_row(engine_world(s->engine),
									    l->name.s, &d->cls[k]));
	}
	if (r) {
		json_decref(rows);
		return r;
	}
	return query_answer(t, json_pack("{s:o}", "queues", rows), e);
}

const struct mcp_row query_rows_measure[] = {
	{ "loss_list", "Loss and delay",
	  "Exact loss and one-way delay of coloured labels (RFC 9341), by the last finished block: "
	  "between a path's first and last node, or from ingress to egress of this node",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_loss_list },
	{ "dataplane_events", "Rare events",
	  "What this node's data plane met that should not happen: the last ones, and how many of "
	  "each cause",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_events },
	{ "socket_list", "Sockets",
	  "Smoothed round trips of this host's own TCP sockets: by label where a socket's mark is "
	  "one, else by the peer's prefix",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_sockets },
	{ "queue_list", "Queues",
	  "What a packet of now would wait in each class of this node's devices: by the qdisc's "
	  "backlog at the class's rate, and by the virtual queue (with EDT: its departure)",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_queues },
	{ 0 },
};
