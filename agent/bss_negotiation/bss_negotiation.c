/* SPDX-License-Identifier: Apache-2.0 */
#include "bss_negotiation.h"

#include "agent/codec/nego.h"
#include "agent/log.h"
#include "agent/store/ledger.h"
#include "bss_i.h"

#include <errno.h>

#define TICK_US     (1000 * 1000)
#define MORE_US     (5 * 1000) /* when a tick could not end all that has expired */
#define PRUNE_TICKS 60

struct bss bss;

int bss_refuse(struct desk_call *c, const char *tool, const ident_t *deal, enum refusal r,
	       const char *why)
{
	return desk_refuse(c, ACTOR, tool, deal, r, why);
}

enum refusal bss_guard(enum event_kind kind, const void *payload)
{
	static struct event ev; /* too large for a stack; one thread */

	memset(&ev, 0, offsetof(struct event, u)); /* the payload follows */
	ev.kind = kind;
	ev.at = engine_now(bss.side->engine);
	memcpy(&ev.u, payload, event_table(kind)->size);
	return fold_guard(engine_world(bss.side->engine), &ev);
}

int bss_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		struct a2a_turn *t)
{
	return desk_message(s, p, m, t);
}

/* After the answers: they speak of the revision that failed. */
static void bss_credit_look(const struct event *ev)
{
	const ident_t *id = ev->kind == EV_ORDER_REFUSED ? &ev->u.refused.deal : &ev->u.ref.deal;
	const struct deal *d = world_deal(engine_world(bss.side->engine), id);

	if (!d)
		return;
	bss_credit_failed(d);
	bss_credit_lowered(d);
}

static void look(const struct event *ev, enum bss_trigger t)
{
	why_t why;

	(void)bss_look(world_deal(engine_world(bss.side->engine), &ev->u.ref.deal), t, &why);
}

static void on_event(void *arg, const struct event *ev)
{
	(void)arg;
	switch (ev->kind) {
	case EV_WALLET_ADMITTED: bss_offer_menu(ev); break;
	case EV_BREACH_PREDICTED: look(ev, TRIGGER_BREACH_PREDICTED); break;
	case EV_BREACHED: look(ev, TRIGGER_BREACHED); break;
	case EV_COOLED: look(ev, TRIGGER_RECOVERED); break;
	case EV_SERVICE_ACTIVE:
	case EV_SERVICE_FAILED:
	case EV_ORDER_REFUSED:
		bss_service_event(ev);
		bss_credit_look(ev);
		break;
	case EV_PLAN_STEP_DONE: bss_made_event(&ev->u.progress); break;
	case EV_TERMINATED:
	case EV_EXPIRED: bss_ended(ev); break;
	default: break;
	}
}

static void tick(void *arg)
{
	static unsigned n;
	struct store *st = engine_store(bss.side->engine);
	wall_t now = engine_now(bss.side->engine);
	struct err e = { 0 };
	bool more;
	int r = ledger_expire(st, now, NULL, &e);

	(void)arg;
	if (!r && ++n % PRUNE_TICKS == 0)
		r = store_challenge_prune(st, now, &e);
	if (r)
		log_error("tick: %s", e.text);
	more = bss_end_tick();
	bss_offers_tick();
	if (!loop_after(bss.side->loop, more ? MORE_US : TICK_US, tick, NULL))
		loop_stop(bss.side->loop, -ENOMEM);
}

/* The price book's defaults under the configured limits: the surge factor is 1 + percent / 100. */
static void params(const struct cfg_operator *op, struct bss_params *p)
{
	uint32_t most = op->surge_max_ppm / 10000;

	bss_defaults(p);
	if (op->quote_ttl_s)
		p->ttl_ms = (int64_t)op->quote_ttl_s * 1000;
	for (size_t i = 0; most >= 100 && i < ARRAY_LEN(p->surge_pct); i++)
		if (p->surge_pct[i] > most - 100)
			p->surge_pct[i] = (uint16_t)(most - 100);
}

int bss_negotiation_start(struct side *s, struct err *e)
{
	static const struct desk_row rows[] = {
		{ NEGO_ACCEPT, 1, bss_take_accept },
		{ NEGO_COUNTER, 1, bss_take_counter },
		{ NEGO_REJECT, 1, bss_take_reject },
		{ NEGO_TERMINATE, 1, bss_take_termination },
		{ "AcceptanceCredential", 2, bss_take_acceptance },
	};

	if (!s->port[SIGN_AGREEMENT].sign)
		return err_set(e, -EINVAL, "keys.agreement: required for role bss");
	if (!s->cfg->op.labels.low || s->cfg->op.labels.high > LABEL_MAX)
		return err_set(e, -EINVAL, "operator.labels: 1..%u required", LABEL_MAX);
	bss = (struct bss){ .side = s, .cap = { s->engine } };
	params(&s->cfg->op, &bss.params);
	bss_offers_reset();
	bss_early_reset();
	bss_signing_reset();
	if (desk_add(rows, ARRAY_LEN(rows)) || engine_subscribe(s->engine, on_event, NULL))
		return err_set(e, -ENOSPC, "bss_negotiation: too many shells");
	/* The first tick sends the offers that wait and ends what ended while we were away. */
	if (!loop_after(s->loop, 0, tick, NULL))
		return err_set(e, -ENOMEM, "bss_negotiation: timer");
	return bss_renegotiate_rows(e);
}
