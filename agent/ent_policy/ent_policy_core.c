/* SPDX-License-Identifier: Apache-2.0 */
/* The wallet, as the draft says it: picks within budget, guarded by service-level and ceiling
 * rules; a bad wallet is refused, an unaffordable offer rejected, a level-breaking step-down
 * blocked.
 *
 * As we do it: every item passes the same gate, whatever the reason of the quote. What the gate
 * clears is the only set that is chosen from, by us or by an adviser. Only the margin is haggled
 * over, by linear concession; a breach does not wait for haggling. */
#include "ent_policy_core.h"
#include "treaty/why.h"
#include "treaty/pure.h"

static int64_t mul_div(int64_t a, int64_t b, int64_t d)
{
	int64_t r;

	/* a x b / d, saturating; every caller has d > 0 */
	if (__builtin_mul_overflow(a, b, &r))
		return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
	return r / d;
}

static int64_t add_sat(int64_t a, int64_t b)
{
	int64_t r;

	if (__builtin_add_overflow(a, b, &r))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return r;
}

static int64_t kbps(rate_t r)
{
	return (int64_t)(r.bps / 1000);
}

static int64_t worth(const struct class_profile *p, const struct grades *want,
		     const struct quote_item *i)
{
	rate_t bw = i->g.bandwidth.bps < want->bandwidth.bps ? i->g.bandwidth : want->bandwidth;
	int64_t own = kbps(p->want.bandwidth), us = (int64_t)want->latency.us - i->g.latency.us;
	int64_t v = own > 0 ? mul_div(p->value.minor_h, kbps(bw), own) : p->value.minor_h;

	return add_sat(v, mul_div(p->delay_value.minor_h, us, 1000));
}

int64_t ent_policy_utility(const struct class_profile *p, const struct grades *want,
			   const struct quote_item *i)
{
	int64_t v = worth(p, want, i);

	v = add_sat(v, i->scarcity.minor_h < 0 ? 0 : -i->scarcity.minor_h);
	return add_sat(v, i->margin.minor_h < 0 ? 0 : -i->margin.minor_h);
}

/* An item as the gate sees it: at its quoted margin, or at a smaller one. */
struct cleared {
	enum refusal refusal;
	price_t price;
	int64_t utility;
	money_t amount, hold;
};

static enum refusal honours(const struct ent_policy_in *in, const struct quote_item *i)
{
	const struct grades *f = &in->wallet.floor;
	bool asked = in->quote.reason == QUOTE_NEW || in->quote.reason == QUOTE_CHANGE;

	if (i->g.bandwidth.bps < f->bandwidth.bps || i->g.availability.ppm < f->availability.ppm ||
	    (f->latency.us && i->g.latency.us > f->latency.us))
		return REFUSE_FLOOR_BROKEN;
	if (asked && in->want.latency.us && i->g.latency.us > in->want.latency.us)
		return REFUSE_FLOOR_BROKEN;
	return REFUSE_NONE;
}

static enum refusal pays(const struct ent_policy_in *in, struct cleared *c)
{
	const struct wallet_limits *w = &in->wallet;
	wall_t end = quote_end(&in->quote, &in->cost, in->now);

	c->amount = amount_for(&in->cost, c->price, in->now, end);
	c->hold = hold_for(c->amount, in->captured);
	if (c->amount.minor == INT64_MIN || c->hold.minor == INT64_MIN)
		return REFUSE_UNAFFORDABLE;
	if (c->amount.minor > w->agreement_max.minor)
		return REFUSE_OVER_AGREEMENT_MAX;
	/* Ruling 6: without a usable wallet nothing new is held; what needs no hold is allowed. */
	if (c->hold.minor > 0 && !w->valid)
		return REFUSE_WALLET_REVOKED;
	if (c->hold.minor > 0 && c->hold.minor > w->envelope_left.minor)
		return REFUSE_OVER_CEILING;
	if (c->hold.minor > 0 && c->hold.minor > w->class_left.minor)
		return REFUSE_OVER_CLASS_CEILING;
	return REFUSE_NONE;
}

static enum refusal dearer(const struct ent_policy_in *in, price_t price)
{
	/* A step down that costs more is no step down, and the way back has its price already. */
	if (in->quote.reason == QUOTE_STEP_DOWN && price.minor_h > in->cost.price.minor_h)
		return REFUSE_UNAFFORDABLE;
	if (in->quote.reason == QUOTE_WALK_BACK && price.minor_h > in->origin_price.minor_h)
		return REFUSE_UNAFFORDABLE;
	return REFUSE_NONE;
}

static struct cleared gate(const struct ent_policy_in *in, const struct quote_item *i,
			   int64_t margin)
{
	struct quote_item at = *i;
	struct cleared c = { .amount = MONEY_BAD, .hold = MONEY_BAD };

	at.margin.minor_h = margin;
	c.utility = ent_policy_utility(&in->profile, &in->want, &at);
	if (i->withdrawn) {
		c.refusal = REFUSE_GRADE_WITHDRAWN;
		return c;
	}
	if (i->scarcity.minor_h < 0 || margin < 0 ||
	    __builtin_add_overflow(i->scarcity.minor_h, margin, &c.price.minor_h)) {
		c.refusal = REFUSE_BODY_MALFORMED;
		return c;
	}
	c.refusal = honours(in, i);
	if (c.refusal == REFUSE_NONE && c.utility < 0)
		c.refusal = REFUSE_UNAFFORDABLE;
	if (c.refusal == REFUSE_NONE)
		c.refusal = dearer(in, c.price);
	if (c.refusal == REFUSE_NONE)
		c.refusal = pays(in, &c);
	return c;
}

/* The largest margin, up to the quoted one, at which the gate clears the item; -1 if none. Every
 * check of the gate that depends on the margin gets easier as it falls. */
static int64_t affordable(const struct ent_policy_in *in, const struct quote_item *i)
{
	int64_t lo = 0, hi = i->margin.minor_h;

	if (hi < 0 || gate(in, i, 0).refusal != REFUSE_NONE)
		return -1;
	while (lo < hi) {
		int64_t mid = hi - (hi - lo) / 2;

		if (gate(in, i, mid).refusal == REFUSE_NONE)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

static enum refusal quote_refusal(const struct ent_policy_in *in)
{
	const struct quote *q = &in->quote;
	wall_t end = quote_end(q, &in->cost, in->now);
	uint32_t seen[8] = { 0 };

	if (q->n_items == 0 || q->n_items > QUOTE_ITEMS_MAX || q->reason < QUOTE_NEW ||
	    q->reason >= QUOTE_REASON_MAX_)
		return REFUSE_BODY_MALFORMED;
	for (unsigned k = 0; k < q->n_items; k++) {
		uint8_t no = q->item[k].no;

		if (no == 0 || (seen[no / 32] >> (no % 32) & 1))
			return REFUSE_BODY_MALFORMED;
		seen[no / 32] |= (uint32_t)1 << (no % 32);
	}
	if (in->now.ms > q->valid_until.ms)
		return REFUSE_QUOTE_EXPIRED;
	if (memcmp(q->currency, in->wallet.currency, sizeof(q->currency)) != 0)
		return REFUSE_LEDGER_CURRENCY;
	if (end.ms <= in->now.ms || end.ms - in->now.ms > in->wallet.term_max_ms)
		return REFUSE_WALLET_POLICY;
	return REFUSE_NONE;
}

/* Better: more utility, then cheaper, then the lower number. Not a matter of the menu's order. */
static bool better(const struct quote_item *a, const struct cleared *ca, const struct quote_item *b,
		   const struct cleared *cb)
{
	if (ca->utility != cb->utility)
		return ca->utility > cb->utility;
	if (ca->price.minor_h != cb->price.minor_h)
		return ca->price.minor_h < cb->price.minor_h;
	return a->no < b->no;
}

/* What the menu comes to: the best item that clears, and the best that would at a lower margin. */
struct choice {
	const struct quote_item *best, *haggle, *said;
	struct cleared c, h;
	int64_t limit; /* haggle: the most we could pay as margin */
	bool advised;
};

static void survey(const struct ent_policy_in *in, struct choice *ch, struct ent_policy_out *out)
{
	struct cleared worst_c = { .utility = INT64_MIN };

	for (unsigned k = 0; k < in->quote.n_items; k++) {
		const struct quote_item *i = &in->quote.item[k];
		struct cleared c = gate(in, i, i->margin.minor_h), h;
		int64_t limit = affordable(in, i);

		if (limit >= 0) {
			h = gate(in, i, limit);
			if (!ch->haggle || better(i, &h, ch->haggle, &ch->h)) {
				ch->haggle = i;
				ch->h = h;
				ch->limit = limit;
			}
		}
		if (c.refusal == REFUSE_NONE) {
			if (!ch->best || better(i, &c, ch->best, &ch->c)) {
				ch->best = i;
				ch->c = c;
			}
			continue;
		}
		out->refused[out->n_refused++] = (struct refused){ i->no, (uint8_t)c.refusal };
		if (!ch->said || better(i, &c, ch->said, &worst_c)) {
			ch->said = i;
			worst_c = c;
			out->refusal = c.refusal;
		}
	}
}

static void accept(const struct ent_policy_in *in, const struct choice *ch,
		   struct ent_policy_out *out, const char *rule)
{
	out->verdict = POLICY_ACCEPT;
	out->refusal = REFUSE_NONE;
	out->item = ch->best->no;
	out->price = ch->c.price;
	out->margin = ch->best->margin;
	out->start = in->now;
	out->end = quote_end(&in->quote, &in->cost, in->now);
	out->amount = ch->c.amount;
	out->hold = ch->c.hold;
	why_rule(&out->why, rule);
	why_num(&out->why, "item", out->item);
	why_num(&out->why, "price", out->price.minor_h);
	why_num(&out->why, "utility", ch->c.utility);
	why_num(&out->why, "hold", out->hold.minor);
	why_num(&out->why, "left", in->wallet.envelope_left.minor);
}

static void reject(struct ent_policy_out *out, enum refusal r, const char *rule, uint8_t item)
{
	out->verdict = POLICY_REJECT;
	out->refusal = r;
	why_rule(&out->why, rule);
	if (item)
		why_num(&out->why, "nearest", item);
	why_num(&out->why, "refused", out->n_refused);
}

static void counter(const struct ent_policy_in *in, const struct choice *ch,
		    struct ent_policy_out *out, int64_t ask)
{
	out->verdict = POLICY_COUNTER;
	out->refusal = REFUSE_NONE;
	out->item = ch->haggle->no;
	out->margin.minor_h = ask;
	why_rule(&out->why, "counter the margin");
	why_num(&out->why, "item", out->item);
	why_num(&out->why, "quoted", ch->haggle->margin.minor_h);
	why_num(&out->why, "limit", ch->limit);
	why_num(&out->why, "ask", ask);
	why_num(&out->why, "round", in->round);
}

/* Linear concession from nothing to the most we would pay, over the rounds that there are. */
static int64_t concede(const struct ent_policy_in *in, const struct choice *ch)
{
	int64_t ask = mul_div(ch->limit, in->round + 1, QUOTE_ROUNDS_MAX);

	if (ask < in->last_margin.minor_h)
		ask = in->last_margin.minor_h;
	return ask < ch->limit ? ask : ch->limit;
}

static void decide(const struct ent_policy_in *in, const struct choice *ch,
		   struct ent_policy_out *out)
{
	bool asked = in->quote.reason == QUOTE_NEW || in->quote.reason == QUOTE_CHANGE;
	bool haggle = ch->haggle && in->round < QUOTE_ROUNDS_MAX;
	int64_t ask = ch->haggle ? concede(in, ch) : 0;

	/* Nothing to haggle over where they already ask no more than we would offer next. */
	if (ch->best && !(haggle && in->bargain && asked && ch->haggle->margin.minor_h > ask))
		accept(in, ch, out, "best of the cleared items");
	else if (ch->best || (haggle && ask < ch->haggle->margin.minor_h))
		counter(in, ch, out, ask);
	else
		reject(out, out->refusal, "nothing clears the guards", ch->said ? ch->said->no : 0);
}

/* True when the adviser decided. */
static bool heed(const struct ent_policy_in *in, const struct advice *advice, struct choice *ch,
		 struct ent_policy_out *out)
{
	if (!advice || !ch->best)
		return false;
	if (advice->kind == ADVICE_REJECT) {
		out->advised = true;
		reject(out, REFUSE_DECLINED, "the adviser declines", ch->best->no);
		return true;
	}
	for (unsigned k = 0; advice->kind == ADVICE_PICK && k < in->quote.n_items; k++) {
		const struct quote_item *i = &in->quote.item[k];
		struct cleared c = gate(in, i, i->margin.minor_h);

		if (i->no != advice->item || c.refusal != REFUSE_NONE)
			continue;
		ch->best = i;
		ch->c = c;
		out->advised = true;
		accept(in, ch, out, "the adviser's pick among the cleared");
		return true;
	}
	return false;
}

void ent_policy_choose(const struct ent_policy_in *in, const struct advice *advice,
		       struct ent_policy_out *out)
{
	struct choice ch = { 0 };
	enum refusal r = quote_refusal(in);

	memset(out, 0, sizeof(*out));
	if (r != REFUSE_NONE) {
		reject(out, r, "the quote itself is refused", 0);
		return;
	}
	survey(in, &ch, out);
	if (!heed(in, advice, &ch, out))
		decide(in, &ch, out);
}

void ent_policy_advised(const struct ent_advised_in *in, struct ent_policy_out *out)
{
	ent_policy_choose(&in->in, &in->advice, out);
}
