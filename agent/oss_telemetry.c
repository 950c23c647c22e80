/* SPDX-License-Identifier: Apache-2.0 */
/* One call in flight a node. A path's view is the worst that its steering nodes say, because they
 * see the two directions; a node that is silent changes nothing, so that what it said grows old
 * and says nothing by itself. */
#include "oss_telemetry.h"

#include "agent/codec/batch.h"
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/log.h"
#include "agent/mcp_table.h"
#include "agent/oss_flow.h"
#include "agent/oss_mark.h"
#include "agent/peer.h"
#include "agent/state/forecast_core.h"
#include "agent/state/scarcity_core.h"
#include "agent/state/table_core.h"

#include <errno.h>

#define DELAY_GRAIN_US 200     /* a smaller change of a delay means nothing */
#define LOAD_GRAIN     100     /* nor does this part of a capacity */
#define SETTLE_US      2000000 /* probes of a silence are counted as lost until then */

struct link {
	const struct cfg_peer *peer;
	bool in_flight, silent; /* silent: said once */
	uint32_t after;         /* which page of labels is asked for */
	mono_t at;              /* of the last answer; us = 0: never */
	mono_t back;            /* when it spoke again after a silence */
	uint8_t n_paths;
	struct path_sample path[PATHS_MAX];
	uint32_t n_tables; /* what it last said stands until it says otherwise */
	struct table_use table[TABLES_MAX];
	uint8_t n_no_v4, no_v4[PATHS_MAX]; /* paths onto which it leads no IPv4 */
};

struct series {
	struct forecast_params p;
	struct forecast_state s;
	mono_t at;
};

static struct telemetry {
	struct side *s;
	uint32_t n_links;
	struct link link[NODES_MAX];
	struct series load[PATHS_MAX], delay[PATHS_MAX];
	mono_t fed[PATHS_MAX];
	struct {
		bool alive;
		uint64_t reserved;
		enum band band[AXIS_MAX_];
	} told[PATHS_MAX]; /* what who watches was told of last */
	struct scarcity_params scarcity;
} tm;

static int64_t interval_us(void)
{
	return (int64_t)tm.s->cfg->daemon.sample_ms * 1000;
}

/* --- a node's answer ------------------------------------------------------------------------ */

static int take_paths(struct link *l, const json_t *js, struct err *e)
{
	json_t *arr, *one;
	size_t i;
	int r = json_need_arr(js, "", "paths", 0, PATHS_MAX, &arr, e);

	l->n_paths = 0;
	if (r)
		return r;
	json_array_foreach (arr, i, one) {
		r = noun_decode(&path_sample_fields, one, &l->path[i], e);
		if (r)
			return r;
		l->n_paths++;
	}
	return 0;
}

/* A node that does not tell of its tables stops no agreement: it refuses the step. */
static int take_tables(struct link *l, const json_t *js, struct err *e)
{
	json_t *arr = NULL, *one;
	size_t i;
	int r = json_opt_arr(js, "", "tables", 0, TABLES_MAX, &arr, e);

	l->n_tables = 0;
	if (r <= 0)
		return r;
	json_array_foreach (arr, i, one) {
		r = noun_decode(&table_use_fields, one, &l->table[i], e);
		if (r)
			return r;
		l->n_tables++;
	}
	return 0;
}

/* A node that does not tell stops no agreement: it refuses the step. */
static int take_no_v4(struct link *l, const json_t *js, struct err *e)
{
	json_t *arr = NULL, *one;
	size_t i;
	int r = json_opt_arr(js, "", "noIpv4", 0, PATHS_MAX, &arr, e);

	l->n_no_v4 = 0;
	if (r <= 0)
		return r;
	json_array_foreach (arr, i, one) {
		if (!json_is_integer(one) || json_integer_value(one) < 1 ||
		    json_integer_value(one) > UINT8_MAX)
			return err_set(e, -EINVAL, "noIpv4: numbers of paths");
		l->no_v4[l->n_no_v4++] = (uint8_t)json_integer_value(one);
	}
	return 0;
}

struct page {
	struct link *l;
	struct mark_clock clock;
};

static int take_label(void *arg, const void *obj)
{
	const struct page *pg = arg;

	oss_flow_sample(tm.s, pg->l->peer->name, obj);
	return 0;
}

static int take_mark(void *arg, const void *obj)
{
	const struct page *pg = arg;

	oss_mark_sample(tm.s, pg->l->peer->name, obj, &pg->clock);
	return 0;
}

/* Labels, and the marks of what they carried. */
static int take_page(struct link *l, const json_t *js, struct err *e)
{
	struct page pg = { .l = l };
	int r = noun_decode(&mark_clock_fields, json_object_get(js, "clock"), &pg.clock, e);

	r = r ? r
	      : batch_read("label", &label_sample_fields, json_object_get(js, "labels"), take_label,
			   &pg, e);
	return r ? r
		 : batch_read("mark", &mark_sample_fields, json_object_get(js, "marks"), take_mark,
			      &pg, e);
}

/* *next: where the following page begins, 0 = this was the last. */
static int next_page(const struct link *l, const json_t *js, uint32_t *next, struct err *e)
{
	int64_t n = 0;
	int r = json_opt_int(js, "", "next", (int64_t)l->after + 1, UINT32_MAX, &n, e);

	*next = (uint32_t)n;
	return r < 0 ? r : 0;
}

static void say_silent(struct link *l, const char *why)
{
	if (!l->silent)
		log_warn("node %s: no telemetry: %s", l->peer->name, why);
	l->silent = true;
}

static void ask(struct link *l);

static void on_answer(void *arg, int err, const struct mcp_result *r, const char *why)
{
	struct link *l = arg;
	struct err e = { 0 };
	uint32_t next = 0;

	l->in_flight = false;
	if (err || r->code || r->is_error || !r->structured) {
		say_silent(l, err ? why : r->code ? r->error : r->text);
		return;
	}
	if (take_paths(l, r->structured, &e) || take_tables(l, r->structured, &e) ||
	    take_no_v4(l, r->structured, &e) || take_page(l, r->structured, &e) ||
	    next_page(l, r->structured, &next, &e)) {
		say_silent(l, e.text);
		return;
	}
	l->after = next;
	if (next) {
		ask(l);
		return;
	}
	if (l->silent) {
		log_info("node %s: telemetry is back", l->peer->name);
		l->back = l->at.us ? loop_now(tm.s->loop) : l->back;
	}
	l->silent = false;
	l->at = loop_now(tm.s->loop);
}

static void ask(struct link *l)
{
	auto_json json_t *args = json_pack("{s:b, s:I}", "batch", 1, "after", (json_int_t)l->after);
	struct err e = { 0 };

	l->in_flight = true;
	if (!args ||
	    peer_tool(tm.s, l->peer->name, "telemetry_read", args, NULL, on_answer, l, &e)) {
		l->in_flight = false;
		say_silent(l, args ? e.text : "no memory");
	}
}

/* From the first label on, unless a round is still going on. */
static void begin(struct link *l)
{
	if (l->in_flight)
		return;
	l->after = 0;
	ask(l);
}

/* --- views ---------------------------------------------------------------------------------- */

static const struct path_sample *sample_of(const struct link *l, uint8_t path)
{
	for (uint8_t i = 0; i < l->n_paths; i++)
		if (l->path[i].path == path)
			return &l->path[i];
	return NULL;
}

static const struct link *link_of(const name_t *node)
{
	for (uint32_t i = 0; i < tm.n_links; i++)
		if (!strcmp(tm.link[i].peer->name, node->s))
			return &tm.link[i];
	return NULL;
}

static void worst(struct path_sample *w, const struct path_sample *p)
{
	w->alive = w->alive && p->alive;
	if (p->delay.us > w->delay.us)
		w->delay = p->delay;
	if (p->loss_ppm > w->loss_ppm)
		w->loss_ppm = p->loss_ppm;
	if (p->load.bps > w->load.bps)
		w->load = p->load;
}

/* What a window says of a path. The treaties' own load is kept apart: it can grow to what was
 * promised and no further, so only that of strangers is forecast. */
struct seen {
	struct path_sample w;
	rate_t own, foreign;
};

static void apart(struct seen *x, rate_t own, const struct path_sample *p)
{
	if (own.bps > x->own.bps)
		x->own = own;
	if (p->load.bps > own.bps && p->load.bps - own.bps > x->foreign.bps)
		x->foreign.bps = p->load.bps - own.bps;
}

/* True when a steering node said something of the path since the view was made. */
static bool merged(uint8_t i, const struct oss_own *own, struct seen *x, mono_t *at)
{
	const struct path_def *d = &tm.s->paths.def[i];
	mono_t now = loop_now(tm.s->loop);
	const rate_t none = { 0 };
	bool any = false;

	*x = (struct seen){ .w = { .path = d->path, .alive = true } };
	*at = tm.fed[i];
	/* A steering node whose daemon is down reflects no probe: that its path looks dead from the
	 * other end says nothing of the path, nor do the probes that it missed, until they are out
	 * of the other end's windows. */
	for (uint8_t h = 0; h < d->n_hops; h++) {
		const struct link *l = d->hop[h].steers ? link_of(&d->hop[h].node) : NULL;

		if (l && (l->silent || (l->back.us && now.us - l->back.us < SETTLE_US)))
			return false;
	}
	for (uint8_t h = 0; h < d->n_hops; h++) {
		const struct link *l = d->hop[h].steers ? link_of(&d->hop[h].node) : NULL;
		const struct path_sample *p = l ? sample_of(l, d->path) : NULL;

		if (!p || !l->at.us || now.us - l->at.us > TELEMETRY_STALE * interval_us())
			continue;
		worst(&x->w, p);
		apart(x, h == 0 ? own->up[i] : h == d->n_hops - 1 ? own->down[i] : none, p);
		any = true;
		if (mono_cmp(l->at, *at) > 0)
			*at = l->at;
	}
	return any && mono_cmp(*at, tm.fed[i]) > 0;
}

delay_t oss_telemetry_jitter(uint8_t path)
{
	delay_t most = { 0 };

	for (uint8_t i = 0; tm.s && i < tm.s->paths.n; i++) {
		const struct path_def *d = &tm.s->paths.def[i];

		for (uint8_t h = 0; d->path == path && h < d->n_hops; h++) {
			const struct link *l = d->hop[h].steers ? link_of(&d->hop[h].node) : NULL;
			const struct path_sample *p = l ? sample_of(l, path) : NULL;

			if (p && p->jitter.us > most.us)
				most = p->jitter;
		}
	}
	return most;
}

static void feed(struct series *f, mono_t at, int64_t sample, struct forecast_value *ret)
{
	int64_t gap = f->at.us ? (at.us - f->at.us + interval_us() / 2) / interval_us() : 1;
	struct forecast_in in = { .p = f->p, .s = f->s, .sample = sample };

	in.steps = (uint16_t)(gap < 1 ? 1 : gap > UINT16_MAX ? UINT16_MAX : gap);
	forecast_update(&in, &f->s);
	forecast_predict(&f->p, &f->s, (uint16_t)tm.s->cfg->op.horizon, ret);
	f->at = at;
}

static void view_from(uint8_t i, const struct seen *x, mono_t at)
{
	const struct path_sample *w = &x->w;
	struct path_view *v = &tm.s->paths.view[i];
	struct forecast_value f;

	v->alive = w->alive;
	v->loss_ppm = w->loss_ppm;
	v->load = w->load;
	feed(&tm.load[i], at, (int64_t)x->foreign.bps, &f);
	v->load_forecast.bps = (uint64_t)f.upper + x->own.bps;
	/* A dead path has no delay; its series waits. */
	if (w->alive && w->delay.us) {
		v->delay = w->delay;
		feed(&tm.delay[i], at, w->delay.us, &f);
		v->forecast.us = (uint32_t)(f.mean < UINT32_MAX ? f.mean : UINT32_MAX);
	}
	tm.fed[i] = at;
	tm.s->paths.at[i] = at;
}

/* The classes of a device matter where the path leaves by it. */
static struct table_least least_of(const struct path_def *d)
{
	struct table_least least = { .table = TABLE_NONE };

	for (uint8_t h = 0; h < d->n_hops; h++) {
		const struct hop *hop = &d->hop[h];
		const struct link *l = link_of(&hop->node);

		for (uint32_t i = 0; l && i < l->n_tables; i++) {
			const struct table_use *t = &l->table[i];

			if (!t->device.s[0] || !strcmp(t->device.s, hop->near.s) ||
			    !strcmp(t->device.s, hop->far.s))
				table_take(&least, &hop->node, t, tm.s->cfg->op.table_reserve);
		}
	}
	return least;
}

/* Where the class's answers enter and a path is chosen for them; elsewhere IPv4 comes in a header.
 */
static name_t no_v4_of(const struct path_def *d)
{
	const struct hop *far = d->n_hops > 1 ? &d->hop[d->n_hops - 1] : NULL;
	const struct link *l = far && far->steers ? link_of(&far->node) : NULL;

	for (uint8_t i = 0; l && i < l->n_no_v4; i++)
		if (l->no_v4[i] == d->path)
			return far->node;
	return (name_t){ 0 };
}

static void bands(void)
{
	struct side_paths *p = &tm.s->paths;
	struct scarcity_in in = { .p = tm.scarcity, .n_paths = p->n };
	struct scarcity_out out;

	for (uint8_t i = 0; i < p->n; i++) {
		const struct path_view *spare = side_path(tm.s, p->def[i].spare);

		p->view[i].spare = p->def[i].spare && spare && spare->alive;
		in.path[i] = p->view[i];
	}
	scarcity_decide(&in, &out);
	for (uint8_t i = 0; i < out.n_paths; i++)
		for (unsigned a = 0; a < AXIS_MAX_; a++)
			p->view[i].band[a] = (enum band)out.path[i].band[a];
}

/* Every sample moves some number; told is what a price may follow. */
static void tell(void)
{
	bool changed = false;

	for (uint8_t i = 0; i < tm.s->paths.n; i++) {
		const struct path_view *v = &tm.s->paths.view[i];

		changed |= tm.told[i].alive != v->alive || tm.told[i].reserved != v->reserved.bps ||
			   memcmp(tm.told[i].band, v->band, sizeof(v->band)) != 0;
		tm.told[i].alive = v->alive;
		tm.told[i].reserved = v->reserved.bps;
		memcpy(tm.told[i].band, v->band, sizeof(v->band));
	}
	if (changed && tm.s->paths_changed)
		tm.s->paths_changed(tm.s->paths_arg);
}

/* --- what is promised ------------------------------------------------------------------------ */

static void reserve(void)
{
	const struct world *w = engine_world(tm.s->engine);

	for (uint8_t i = 0; i < tm.s->paths.n; i++) {
		struct path_view *v = &tm.s->paths.view[i];

		v->reserved = w->sum.promised[v->path];
	}
	tell();
}

/* Two offers of one turn must not promise the same capacity. */
static void on_event(void *arg, const struct event *ev)
{
	(void)arg;
	switch (ev->kind) {
	case EV_AGREEMENT_SIGNED:
	case EV_ACCEPTANCE_RECORDED:
	case EV_SERVICE_ACTIVE:
	case EV_SERVICE_FAILED:
	case EV_ORDER_REFUSED:
	case EV_ORDER_CLOSED:
	case EV_TERMINATED:
	case EV_EXPIRED: reserve(); break;
	default: break;
	}
}

static void tick(void *arg)
{
	struct oss_own own;
	struct seen w;
	mono_t at;

	(void)arg;
	oss_flow_own(tm.s, &own);
	for (uint8_t i = 0; i < tm.s->paths.n; i++) {
		tm.s->paths.view[i].least = least_of(&tm.s->paths.def[i]);
		tm.s->paths.view[i].no_v4 = no_v4_of(&tm.s->paths.def[i]);
		if (merged(i, &own, &w, &at))
			view_from(i, &w, at);
	}
	bands();
	tell();
	oss_flow_forget(tm.s);
	for (uint32_t i = 0; i < tm.n_links; i++)
		begin(&tm.link[i]);
	if (!loop_after(tm.s->loop, interval_us(), tick, NULL))
		log_error("telemetry stops: no memory for its timer");
}

/* --- rows ------------------------------------------------------------------------------------ */

static int answer_list(struct mcp_turn *t, const char *key, const struct field_table *table,
		       const void *at, size_t size, uint8_t n, struct err *e)
{
	auto_json json_t *arr = json_array(), *js = json_object();
	int r;

	for (uint8_t i = 0; i < n; i++)
		if (json_array_append_new(arr, noun_encode(table, (const char *)at + i * size)))
			return err_set(e, -ENOMEM, "%s", key);
	if (json_object_set(js, key, arr))
		return err_set(e, -ENOMEM, "%s", key);
	r = mcp_table_view(&js, e);
	if (!r)
		mcp_turn_result(t, js);
	return r;
}

static int capacity_query(struct side *s, const struct peer *p, const json_t *args, const char *key,
			  struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)args;
	(void)key;
	return answer_list(t, "paths", &path_view_fields, s->paths.view, sizeof(s->paths.view[0]),
			   s->paths.n, e);
}

static int topology(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)args;
	(void)key;
	return answer_list(t, "paths", &path_def_fields, s->paths.def, sizeof(s->paths.def[0]),
			   s->paths.n, e);
}

/* Who makes prices asks for scarcity; no other organisation does. */
#define PRICES (1u << OWNER_bss_negotiation | 1u << OWNER_bss_policy)

static const struct mcp_row rows[] = {
	{ .name = "capacity_query",
	  .title = "Capacity",
	  .help = "What each path holds, carries, is expected to carry, and how scarce it is",
	  .read_only = true,
	  .idempotent = true,
	  .who = WHO_HUMAN | WHO_APP,
	  .owners = PRICES,
	  .call = capacity_query },
	{ .name = "topology",
	  .title = "Topology",
	  .help = "The paths, their nodes in order and the devices they leave by",
	  .read_only = true,
	  .idempotent = true,
	  .who = WHO_HUMAN | WHO_APP,
	  .owners = PRICES | 1u << OWNER_oss_planning,
	  .call = topology },
};

int oss_telemetry_start(struct side *s, struct err *e)
{
	int r = 0;

	memset(&tm, 0, sizeof(tm));
	tm.s = s;
	scarcity_defaults(&tm.scarcity);
	for (uint32_t i = 0; i < s->cfg->peers && tm.n_links < NODES_MAX; i++)
		if (s->cfg->peer[i].role == PEER_NODE)
			tm.link[tm.n_links++].peer = &s->cfg->peer[i];
	for (uint8_t i = 0; i < s->paths.n; i++) {
		forecast_defaults(&tm.load[i].p,
				  (int64_t)(s->paths.def[i].capacity.bps / LOAD_GRAIN));
		forecast_defaults(&tm.delay[i].p, DELAY_GRAIN_US);
	}
	for (size_t i = 0; !r && i < ARRAY_LEN(rows); i++)
		r = mcp_table_add(&rows[i], e);
	if (!r && engine_subscribe(s->engine, on_event, NULL))
		r = err_set(e, -ENOSPC, "telemetry: too many subscribers");
	if (r)
		return r;
	reserve();
	tick(NULL);
	return 0;
}
