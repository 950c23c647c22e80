/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an agreement: by its enterprise, by a human, or by its paid term. */
#include "bss_i.h"

#include "agent/codec/nego.h"
#include "agent/log.h"

#define EXPIRED_PER_TICK 64 /* each is an order and a plan: a turn holds so many events */

static int received(struct desk_call *c, const struct deal *d, const struct ev_ref *ref)
{
	desk_say(c, &d->negotiation, nego_part(NEGO_RECEIVED, &ev_ref_fields, ref));
	return 0;
}

int bss_take_termination(struct desk_call *c)
{
	struct ev_ref ref;
	struct err e = { 0 };
	const struct deal *d;
	const char *why;
	enum refusal no;

	if (nego_read(json_array_get(c->msg->data, 0), NEGO_TERMINATE, &ev_ref_fields, &ref, &e))
		return bss_refuse(c, "agreement_end", NULL, REFUSE_BODY_MALFORMED, e.text);
	d = desk_deal(c, &ref.deal);
	if (!d)
		return bss_refuse(c, "agreement_end", &ref.deal, REFUSE_AGREEMENT_UNKNOWN,
				  "deal: no such agreement, or not yours");
	if (!ident_eq(ref.about, d->cur.lineage) && !ident_eq(ref.about, d->negotiation))
		return bss_refuse(c, "agreement_end", &d->negotiation, REFUSE_BODY_MALFORMED,
				  "about: the agreement's id required");
	why = desk_unbound(c, &d->negotiation, 0, NULL);
	if (why)
		return bss_refuse(c, "agreement_end", &d->negotiation, REFUSE_QUOTE_MISMATCH, why);
	if (d->life == LIFE_TERMINATED)
		return received(c, d, &ref);
	no = tool_agreement_end(&bss.cap, &ref, NULL, NULL);
	if (no != REFUSE_NONE)
		return bss_refuse(c, "agreement_end", &ref.deal, no, "agreement_end");
	return received(c, d, &ref);
}

void bss_ended(const struct event *ev)
{
	const struct deal *d = world_deal(engine_world(bss.side->engine), &ev->u.ref.deal);
	struct desk_call c;
	struct err e = { 0 };

	if (!d || !d->operator_side)
		return;
	while (desk_take(bss.side, d, &c))
		desk_fail(&c, d, REFUSE_WRONG_STATE, "the agreement has ended");
	if (bss_release(d, &e))
		log_error("%s: hold not released: %s", d->negotiation.s, e.text);
	if (d->cur.rev && bss_order(d, &d->cur, NULL) != REFUSE_NONE)
		log_error("%s: its steps stay until they expire", d->lineage.s);
	bss_credit_unused(d);
	if (!strcmp(ev->actor.s, "human"))
		bss_tell_ended(d, &ev->u.ref);
}

bool bss_end_tick(void)
{
	const struct world *w = engine_world(bss.side->engine);
	wall_t now = engine_now(bss.side->engine);
	unsigned n = 0;

	for (uint32_t i = 0; i < w->n_deals && n < EXPIRED_PER_TICK; i++) {
		const struct deal *d = &w->deal[i];
		struct ev_ref ref = { .deal = d->lineage, .about = d->lineage, .rev = d->cur.rev };

		if (!d->operator_side || !d->cur.rev || d->life == LIFE_TERMINATED ||
		    now.ms < d->cur.end.ms)
			continue;
		str_cut(ref.why.s, "the paid term has ended");
		(void)tool_agreement_expire(&bss.cap, &ref, NULL, NULL);
		n++;
	}
	return n == EXPIRED_PER_TICK;
}
