/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_swap.h"

#include "agent/codec/json.h"
#include "agent/mcp_table.h"

#include <errno.h>

#define SWAPS_MAX 16 /* that wait for their end */

struct swap {
	struct mcp_turn *turn; /* NULL = free */
	ident_t deal, order;
	uint8_t path;
	bool ended;
	enum refusal refusal;
	why_t why;
};

static struct {
	struct side *s;
	struct swap swap[SWAPS_MAX];
} sw;

/* --- the answer ------------------------------------------------------------------------------ */

static void answer(void *arg)
{
	struct swap *w = arg;
	struct mcp_turn *t = TAKE_PTR(w->turn);
	json_t *js;

	if (w->refusal != REFUSE_NONE) {
		mcp_refuse(t, w->refusal, w->why.s);
		return;
	}
	js = json_pack("{s:s, s:i, s:s}", "agreementId", w->deal.s, "path", w->path, "why",
		       w->why.s);
	mcp_turn_result(t, js);
	json_decref(js);
}

static void ended(const ident_t *deal, enum refusal r, const why_t *why)
{
	for (unsigned i = 0; i < SWAPS_MAX; i++) {
		struct swap *w = &sw.swap[i];

		if (!w->turn || w->ended || !ident_eq(w->deal, *deal))
			continue;
		w->ended = true;
		w->refusal = r;
		w->why = *why;
		engine_after_commit(sw.s->engine, answer, w);
	}
}

static void on_event(void *arg, const struct event *ev)
{
	(void)arg;
	if (ev->kind == EV_ORDER_CLOSED)
		ended(&ev->u.progress.deal, ev->u.progress.refusal, &ev->u.progress.why);
	else if (ev->kind == EV_ORDER_REFUSED)
		ended(&ev->u.refused.deal, ev->u.refused.refusal, &ev->u.refused.why);
}

/* --- the order ------------------------------------------------------------------------------- */

/* The path as it is and as it will be: who swaps onto one that breaks the promise would only have
 * the agreement renegotiated off it again, in the middle of the swap. */
static const char *breaks(const struct deal *d, const struct path_view *to)
{
	uint32_t most = to->base.us;

	most = to->delay.us > most ? to->delay.us : most;
	most = to->forecast.us > most ? to->forecast.us : most;
	return !to->alive                   ? "the path is dead"
	       : most > d->cur.g.latency.us ? "the path does not keep the promised delay"
					    : NULL;
}

static enum refusal may_swap(const struct deal *d, uint8_t path, const char **why)
{
	const struct class_profile *p = d ? side_profile(sw.s, &d->cur.class_name) : NULL;
	const struct path_view *to = side_path(sw.s, path);

	*why = "";
	if (!d || !d->operator_side || !d->cur.rev)
		return REFUSE_AGREEMENT_UNKNOWN;
	if (d->life == LIFE_TERMINATED || d->life == LIFE_RENEGOTIATED || !d->active)
		return REFUSE_WRONG_STATE;
	if (d->has_plan || d->has_order || d->applied.rev != d->cur.rev) {
		*why = "an order of this agreement is under way";
		return REFUSE_IN_FLIGHT;
	}
	*why = !to                       ? "no such path"
	       : to->type != d->cur.type ? "another network type is another service"
	       : path == d->applied.path ? "the agreement runs on this path"
					 : NULL;
	if (*why)
		return REFUSE_ORDER_INVALID;
	*why = breaks(d, to);
	if (*why)
		return REFUSE_NO_CAPACITY;
	*why = PATH_V4_RULE;
	if (!path_carries(to, p && p->v4))
		return REFUSE_PATH_NO_IPV4;
	*why = "";
	return REFUSE_NONE;
}

static struct swap *slot(void)
{
	for (unsigned i = 0; i < SWAPS_MAX; i++)
		if (!sw.swap[i].turn)
			return &sw.swap[i];
	return NULL;
}

static enum refusal emit(const struct deal *d, uint8_t path, ident_t *id)
{
	struct cap_human cap = { sw.s->engine };
	struct order o = d->applied;

	engine_id(&o.id, "ord");
	o.agreement_digest = d->cur.digest;
	o.action = ORDER_REROUTE;
	o.old_label = o.label;
	o.old_path = o.path;
	o.old_g = o.g;
	o.path = path;
	*id = o.id;
	return tool_order_swap(&cap, &o, NULL, NULL);
}

static int path_swap(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	ident_t id = { "" };
	const struct deal *d;
	struct swap *w = slot();
	const char *why;
	enum refusal r;
	int64_t path;
	int err = json_only(args, "", e, "agreementId", "path", NULL);

	(void)p;
	(void)key;
	if (!err)
		err = json_need_text(args, "", "agreementId", id.s, sizeof(id.s), e);
	if (!err)
		err = json_need_int(args, "", "path", 1, 255, &path, e);
	if (err)
		return err;
	d = world_deal(engine_world(s->engine), &id);
	r = may_swap(d, (uint8_t)path, &why);
	if (r == REFUSE_NONE && !w)
		r = REFUSE_LIMIT_REACHED;
	if (r != REFUSE_NONE) {
		mcp_refuse(t, r, why);
		return 0;
	}
	*w = (struct swap){ .turn = t, .deal = d->lineage, .path = (uint8_t)path };
	r = emit(d, (uint8_t)path, &w->order);
	if (r != REFUSE_NONE) {
		w->turn = NULL;
		mcp_refuse(t, r, "");
	}
	return 0;
}

static const struct mcp_row row = {
	.name = "path_swap",
	.title = "Swap the path",
	.help = "Carries a live agreement over another path, make before break; same label, same "
		"price. Answers when it is applied",
	.input_schema = "{\"type\":\"object\",\"properties\":{\"agreementId\":{\"type\":\"string\","
			"\"maxLength\":47},\"path\":{\"type\":\"integer\",\"minimum\":1,"
			"\"maximum\":255}},\"required\":[\"agreementId\",\"path\"],"
			"\"additionalProperties\":false}",
	.idempotent = true,
	.who = WHO_HUMAN,
	.owners = 1u << OWNER_human | 1u << OWNER_oss_planning,
	.slow = true,
	.call = path_swap,
};

int oss_swap_start(struct side *s, struct err *e)
{
	memset(&sw, 0, sizeof(sw));
	sw.s = s;
	if (engine_subscribe(s->engine, on_event, NULL))
		return err_set(e, -ENOSPC, "path_swap: too many subscribers");
	return mcp_table_add(&row, e);
}
