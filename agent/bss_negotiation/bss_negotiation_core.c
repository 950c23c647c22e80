/* SPDX-License-Identifier: Apache-2.0 */
/* Pricing: a menu of what the paths can hold, each at its own scarcity price, the same for every
 * tenant, plus a margin that may be bargained. */
#include "bss_offer_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

uint64_t bss_limit(const struct path_view *v, unsigned permille)
{
	return v->capacity.bps / 1000 * permille;
}

static int64_t ceil_div(int64_t a, int64_t d)
{
	return a / d + (a % d > 0);
}

/* base x parts x (100 + surge) / (unit x 100), rounded up. -1 on overflow. */
static int64_t axis_price(price_t base, int64_t parts, int64_t unit, unsigned surge)
{
	int64_t v;

	if (base.minor_h < 0 || parts < 0 || __builtin_mul_overflow(base.minor_h, parts, &v) ||
	    __builtin_mul_overflow(v, 100 + (int64_t)surge, &v))
		return -1;
	return ceil_div(v, unit * 100);
}

static unsigned surge(const struct bss_params *p, const struct path_view *v, enum axis a)
{
	enum band b = v->band[a];

	return (unsigned)b < BAND_MAX_ ? p->surge_pct[a * BAND_MAX_ + b] : 0;
}

bool bss_protected(const struct path_view *v)
{
	return v->spare && v->type == NET_DET;
}

/* Bandwidth is priced by the kbit/s, latency in inverse proportion to the path's own delay (the
 * shortest path costs the whole premium), availability where a spare stands by. */
price_t bss_price(const struct bss_params *p, const struct class_profile *c, const struct grades *g,
		  const struct path_view *v, delay_t shortest)
{
	int64_t kbps = (int64_t)((g->bandwidth.bps + 999) / 1000), part[AXIS_MAX_];
	int64_t pct = v->type == NET_BE ? p->be_pct : 100, sum = 0;
	int64_t own = v->base.us ? v->base.us : 1;
	int64_t least = shortest.us && shortest.us < own ? shortest.us : own;

	if (__builtin_mul_overflow(kbps, pct, &kbps))
		return (price_t){ -1 };
	part[AXIS_BANDWIDTH] =
		axis_price(c->base[AXIS_BANDWIDTH], kbps, 1000 * 100, surge(p, v, AXIS_BANDWIDTH));
	part[AXIS_LATENCY] =
		axis_price(c->base[AXIS_LATENCY], least, own, surge(p, v, AXIS_LATENCY));
	part[AXIS_AVAILABILITY] = axis_price(c->base[AXIS_AVAILABILITY], bss_protected(v) ? 1 : 0,
					     1, surge(p, v, AXIS_AVAILABILITY));
	for (unsigned a = 0; a < AXIS_MAX_; a++)
		if (part[a] < 0 || __builtin_add_overflow(sum, part[a], &sum))
			return (price_t){ -1 };
	return (price_t){ sum };
}

delay_t bss_shortest(const struct path_view *v, unsigned n)
{
	delay_t d = { 0 };

	for (unsigned i = 0; i < n; i++)
		if (v[i].alive && v[i].base.us && (d.us == 0 || v[i].base.us < d.us))
			d = v[i].base;
	return d;
}

/* What a path may promise: its own delay plus the guard, or what it is heading for plus the guard
 * when that is more than noise; up to a whole millisecond. */
delay_t bss_promise(const struct bss_params *p, const struct path_view *v)
{
	uint64_t us = v->forecast.us > v->delay.us ? v->forecast.us : v->delay.us;

	if (us <= (uint64_t)v->base.us + p->guard.us / 2)
		us = v->base.us;
	us = (us + p->guard.us + 999) / 1000 * 1000;
	return (delay_t){ us < UINT32_MAX ? (uint32_t)us : UINT32_MAX };
}

bool bss_room(const struct bss_params *p, const struct path_view *v, const struct bss_own *own,
	      rate_t rate)
{
	uint64_t limit = bss_limit(v, p->load_limit), held = v->reserved.bps;

	if (own->path == v->path)
		held -= held < own->rate.bps ? held : own->rate.bps;
	return held <= limit && rate.bps <= limit - held;
}

bool bss_withdrawn(const struct path_view *v)
{
	for (unsigned a = 0; a < AXIS_MAX_; a++)
		if (v->band[a] >= BAND_WITHDRAWN)
			return true;
	return false;
}

/* An item for `want` on the path, or why there is none. A withdrawn one is filled all the same. */
static enum refusal menu_item(const struct bss_menu_in *in, const struct path_view *v,
			      delay_t shortest, struct quote_item *i)
{
	delay_t promise = bss_promise(&in->p, v);

	memset(i, 0, sizeof(*i));
	if (!v->alive || (in->ceiling && in->want.bandwidth.bps > in->room.bps) ||
	    !bss_room(&in->p, v, &in->own, in->want.bandwidth))
		return REFUSE_NO_CAPACITY;
	if (in->own.path != v->path && !table_admits(&v->least, in->own.path != 0))
		return REFUSE_NODE_FULL;
	if (!path_carries(v, in->profile.v4))
		return REFUSE_PATH_NO_IPV4;
	i->path = v->path;
	i->type = v->type;
	i->g.bandwidth = in->want.bandwidth;
	i->g.availability = bss_protected(v) ? in->want.availability : in->p.unprotected;
	for (unsigned a = 0; a < AXIS_MAX_; a++)
		i->surge_pct[a] = (uint16_t)surge(&in->p, v, (enum axis)a);
	if (in->want.latency.us && v->base.us > in->want.latency.us)
		return REFUSE_NO_CAPACITY;
	if (bss_withdrawn(v)) {
		i->withdrawn = true;
		i->g.latency = in->want.latency.us ? in->want.latency : promise;
		return REFUSE_GRADE_WITHDRAWN;
	}
	if (in->want.latency.us && promise.us > in->want.latency.us)
		return REFUSE_NO_CAPACITY;
	i->g.latency = promise;
	i->scarcity = bss_price(&in->p, &in->profile, &i->g, v, shortest);
	i->margin = in->profile.margin;
	return i->scarcity.minor_h < 0 ? REFUSE_LIMIT_REACHED : REFUSE_NONE;
}

static bool before(const struct quote_item *a, const struct quote_item *b)
{
	if (a->withdrawn != b->withdrawn)
		return b->withdrawn;
	if (a->type != b->type)
		return a->type == NET_DET;
	if (a->scarcity.minor_h != b->scarcity.minor_h)
		return a->scarcity.minor_h < b->scarcity.minor_h;
	return a->path < b->path;
}

void bss_insert(struct quote_item *list, uint8_t *n, const struct quote_item *i,
		bool (*first)(const struct quote_item *a, const struct quote_item *b))
{
	unsigned k = *n;

	if (k == QUOTE_ITEMS_MAX && !first(i, &list[k - 1]))
		return;
	if (k < QUOTE_ITEMS_MAX)
		(*n)++;
	else
		k--;
	for (; k > 0 && first(i, &list[k - 1]); k--)
		list[k] = list[k - 1];
	list[k] = *i;
}

void bss_refuse_path(struct refused *list, uint8_t *n, uint8_t path, enum refusal r)
{
	unsigned k = *n;

	if (k == PATHS_MAX)
		return;
	for (; k > 0 && list[k - 1].no > path; k--)
		list[k] = list[k - 1];
	list[k] = (struct refused){ path, (uint8_t)r };
	(*n)++;
}

/* Which table, of which node, as an operator would look for it. */
static void why_full(why_t *why, const struct table_least *t)
{
	why_rule(why, "a node has no room for another agreement");
	why_text(why, "node", t->node.s);
	why_text(why, "table", table_name(t->table));
	why_num(why, "used", t->used);
	why_num(why, "max", t->max);
}

void bss_menu(const struct bss_menu_in *in, struct bss_menu_out *out)
{
	unsigned n = in->n_paths < PATHS_MAX ? in->n_paths : PATHS_MAX, sold = 0;
	delay_t shortest = bss_shortest(in->path, n);
	const struct table_least *full = NULL;
	const name_t *no_v4 = NULL;
	bool withdrawn = false;
	struct quote_item i;

	memset(out, 0, sizeof(*out));
	for (unsigned k = 0; k < n; k++) {
		enum refusal r = menu_item(in, &in->path[k], shortest, &i);

		if (r != REFUSE_NONE)
			bss_refuse_path(out->refused, &out->n_refused, in->path[k].path, r);
		if (r == REFUSE_NODE_FULL)
			full = &in->path[k].least;
		if (r == REFUSE_PATH_NO_IPV4)
			no_v4 = &in->path[k].no_v4;
		if (r != REFUSE_NONE && r != REFUSE_GRADE_WITHDRAWN)
			continue;
		bss_insert(out->item, &out->n_items, &i, before);
		sold += r == REFUSE_NONE;
		withdrawn = withdrawn || r == REFUSE_GRADE_WITHDRAWN;
	}
	for (unsigned k = 0; k < out->n_items; k++)
		out->item[k].no = (uint8_t)(k + 1);
	out->valid_until.ms = in->now.ms + in->p.ttl_ms;
	if (sold == 0)
		out->refusal = withdrawn ? REFUSE_GRADE_WITHDRAWN
			       : full    ? REFUSE_NODE_FULL
			       : no_v4   ? REFUSE_PATH_NO_IPV4
					 : REFUSE_NO_CAPACITY;
	if (out->refusal == REFUSE_NODE_FULL) {
		why_full(&out->why, full);
		return;
	}
	if (out->refusal == REFUSE_PATH_NO_IPV4) {
		why_rule(&out->why, PATH_V4_RULE);
		why_text(&out->why, "node", no_v4->s);
		return;
	}
	why_rule(&out->why, sold ? "menu" : "nothing for sale");
	why_num(&out->why, "bandwidth", (int64_t)in->want.bandwidth.bps);
	why_num(&out->why, "latency", in->want.latency.us);
	why_num(&out->why, "paths", n);
	why_num(&out->why, "items", sold);
	if (sold)
		why_num(&out->why, "from", quote_price(&out->item[0]).minor_h);
}

/* Linear concession from the quoted margin to the floor over the rounds there are; their offer is
 * taken as soon as it is no worse than our own next one. */
void bss_counter(const struct bss_counter_in *in, struct bss_counter_out *out)
{
	int64_t floor = in->floor.minor_h > 0 ? in->floor.minor_h : 0, ask = in->quoted.minor_h;
	unsigned round = in->round < QUOTE_ROUNDS_MAX ? in->round : QUOTE_ROUNDS_MAX;
	enum refusal r = REFUSE_NONE;

	memset(out, 0, sizeof(*out));
	if (floor > ask)
		floor = ask;
	ask -= (ask - floor) / QUOTE_ROUNDS_MAX * round +
	       (ask - floor) % QUOTE_ROUNDS_MAX * round / QUOTE_ROUNDS_MAX;
	if (in->last.minor_h < ask)
		ask = in->last.minor_h > floor ? in->last.minor_h : floor;
	if (in->expired)
		r = REFUSE_QUOTE_EXPIRED;
	else if (in->withdrawn)
		r = REFUSE_GRADE_WITHDRAWN;
	else if (in->round > QUOTE_ROUNDS_MAX)
		r = REFUSE_ROUNDS_EXCEEDED;
	else if (in->offered.minor_h < 0)
		r = REFUSE_MARGIN_REFUSED;
	out->refusal = r;
	out->verdict = r != REFUSE_NONE             ? BSS_REFUSE
		       : in->offered.minor_h >= ask ? BSS_ACCEPT
						    : BSS_COUNTER;
	if (out->verdict == BSS_ACCEPT)
		out->margin.minor_h = in->offered.minor_h < in->last.minor_h ? in->offered.minor_h
									     : in->last.minor_h;
	if (out->verdict == BSS_COUNTER)
		out->margin.minor_h = ask;
	why_rule(&out->why, "linear concession of the margin");
	why_num(&out->why, "offered", in->offered.minor_h);
	why_num(&out->why, "ask", ask);
	why_num(&out->why, "floor", in->floor.minor_h);
	why_num(&out->why, "round", in->round);
}

void bss_defaults(struct bss_params *p)
{
	*p = (struct bss_params){
		.surge_pct = { 0, 20, 80, 80, 0, 25, 150, 150, 0, 10, 50, 50 },
		.guard = { 5000 },
		.load_limit = 950,
		.load_clear = 800,
		.unprotected = { 990000 },
		.be_pct = 40,
		.step_pct = 50,
		.ttl_ms = 30000,
	};
}
