/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of a conversation: one message at a time, saved in the turn that decided it, sent
 * after its commit, said again under the same id until it is answered or makes no sense any more.
 */
#include "ent_int.h"

#include "agent/codec/json_out.h"
#include "agent/log.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

#define RETRY_MIN_US (200 * 1000)
#define RETRY_MAX_US (5 * 1000 * 1000)
/* Receipts are a chain: those behind must not take the connections from those before them, nor may
 * they take all from the other steps. An acceptance is under way until the service stands. */
#define SETTLING_MAX 40

static void on_answer(void *arg, int err, const struct a2a_result *r, const char *why);

static void key_of(const struct conv *c, char key[64])
{
	(void)snprintf(key, 64, "ent/%s", c->deal.s);
}

/* --- the chain of receipts ---------------------------------------------------------------------
 */

/* Among the first that are not answered: whoever is under way waits at the operator for none but
 * those, so the first of all always has a place. */
static bool may_settle(const struct conv *c)
{
	const struct conv *k = TAILQ_FIRST(&c->ent->chain);

	for (unsigned i = 0; k && k != c && i < SETTLING_MAX - 1; i++)
		k = TAILQ_NEXT(k, chain);
	return k == c;
}

static void chain_in(struct conv *c)
{
	if (!c->chained)
		TAILQ_INSERT_TAIL(&c->ent->chain, c, chain);
	c->chained = true;
}

/* Its place is for those behind, after the commit of this turn like all that leaves. */
static void chain_out(struct conv *c)
{
	struct conv *k;
	unsigned i = 0;

	c->queued = false;
	if (!c->chained)
		return;
	TAILQ_REMOVE(&c->ent->chain, c, chain);
	c->chained = false;
	TAILQ_FOREACH (k, &c->ent->chain, chain) {
		if (i++ == SETTLING_MAX)
			break;
		if (k->queued)
			ent_conv_later(k);
		k->queued = false;
	}
}

/* --- kept over a restart -----------------------------------------------------------------------
 */

static void put_str(struct json_out *o, const char *name, const char *s)
{
	json_out_text(o, name);
	json_out_str(o, s, strlen(s));
}

static void put_int(struct json_out *o, const char *name, int64_t v)
{
	char t[JSON_INT_MAX];

	json_out_text(o, name);
	json_out_add(o, t, (size_t)json_int_text(v, t));
}

static size_t parts_of(const struct conv *c)
{
	size_t n = 0;

	while (n < PARTS_MAX && c->part[n])
		n++;
	return n;
}

static int conv_save(struct conv *c, struct err *e)
{
	struct store *st = engine_store(c->ent->s->engine);
	struct json_out o = { 0 };
	auto_free char *text = NULL;
	char key[64];
	size_t len = 0;

	put_str(&o, "{\"intent\":", c->intent.s);
	put_str(&o, ",\"quote\":", c->quote.s);
	put_int(&o, ",\"rounds\":", c->rounds);
	put_int(&o, ",\"margin\":", c->margin.minor_h);
	put_int(&o, ",\"attempt\":", c->attempt);
	put_int(&o, ",\"step\":", c->step);
	put_str(&o, ",\"message\":", c->message);
	put_str(&o, ",\"task\":", c->task);
	put_str(&o, ",\"context\":", c->context);
	for (size_t i = 0; i < parts_of(c); i++) {
		json_out_text(&o, i ? "," : ",\"data\":[");
		json_out_text(&o, c->part[i]);
	}
	if (c->part[0])
		json_out_lit(&o, "]");
	if (c->metadata) {
		json_out_lit(&o, ",\"metadata\":");
		json_out_value(&o, c->metadata);
	}
	json_out_lit(&o, "}");
	text = json_out_take(&o, &len);
	if (!text)
		return err_set(e, -ENOMEM, "conversation of %s", c->deal.s);
	key_of(c, key);
	return store_kv_put(st, key, text, len, e);
}

static void parts_free(struct conv *c)
{
	for (size_t i = 0; i < PARTS_MAX; i++) {
		free(c->part[i]);
		c->part[i] = NULL;
	}
}

static int read_parts(struct conv *c, const json_t *list)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && i < PARTS_MAX; i++) {
		c->part[i] = json_text_new(json_array_get(list, i));
		if (!c->part[i])
			return -ENOMEM;
	}
	return n && n <= PARTS_MAX ? 0 : -EUCLEAN;
}

static void read_texts(struct conv *c, const json_t *js)
{
	const struct {
		char *to;
		size_t cap;
		const char *key;
	} rows[] = { { c->intent.s, sizeof(c->intent.s), "intent" },
		     { c->quote.s, sizeof(c->quote.s), "quote" },
		     { c->message, sizeof(c->message), "message" },
		     { c->task, sizeof(c->task), "task" },
		     { c->context, sizeof(c->context), "context" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		str_cut_(rows[i].to, rows[i].cap,
			 json_string_value(json_object_get(js, rows[i].key)));
}

int ent_conv_load(struct conv *c, struct err *e)
{
	auto_json json_t *js = NULL;
	auto_free void *p = NULL;
	char key[64];
	size_t n;
	int r;

	key_of(c, key);
	r = store_kv_get(engine_store(c->ent->s->engine), key, &p, &n, e);
	if (r == -ENOENT) {
		if (e)
			*e = (struct err){ 0 };
		return 0;
	}
	if (!r)
		js = json_loadb(p, n, 0, NULL);
	if (r || !js)
		return r ? r : err_set(e, -EUCLEAN, "conversation of %s: damaged", c->deal.s);
	read_texts(c, js);
	c->rounds = (uint32_t)json_integer_value(json_object_get(js, "rounds"));
	c->margin.minor_h = json_integer_value(json_object_get(js, "margin"));
	c->attempt = (uint32_t)json_integer_value(json_object_get(js, "attempt"));
	c->step = (enum conv_step)json_integer_value(json_object_get(js, "step"));
	if (c->step == CONV_IDLE)
		return 0;
	if (c->step == CONV_ACCEPTANCE)
		chain_in(c);
	c->metadata = json_incref(json_object_get(js, "metadata"));
	r = read_parts(c, json_object_get(js, "data"));
	return r ? err_set(e, r, "conversation of %s: its message", c->deal.s) : 0;
}

struct conv *ent_conv(struct ent *en, const struct deal *d)
{
	struct conv **at = &en->conv_at[d - en->w->deal], *c = *at;

	if (c && ident_eq(c->deal, d->negotiation))
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->ent = en;
	c->deal = d->negotiation;
	c->next = en->convs;
	en->convs = c;
	*at = c;
	return c;
}

static void conv_free(struct conv *c)
{
	parts_free(c);
	json_decref(c->metadata);
	free(c);
}

static void conv_unlink(struct ent *en, const struct conv *c, struct conv **from)
{
	*from = c->next;
	for (uint32_t i = 0; i < en->w->max_deals; i++)
		if (en->conv_at[i] == c)
			en->conv_at[i] = NULL;
}

void ent_conv_sweep(struct ent *en)
{
	for (struct conv **at = &en->convs, *c; (c = *at);) {
		if (c->busy || c->wait || c->later || c->ends || c->queued || c->timer ||
		    world_deal(en->w, &c->deal)) {
			at = &c->next;
			continue;
		}
		chain_out(c);
		conv_unlink(en, c, at);
		conv_free(c);
	}
}

void ent_conv_reset(struct ent *en)
{
	struct conv *next;

	for (struct conv *c = en->convs; c; c = next) {
		next = c->next;
		conv_free(c);
	}
	en->convs = NULL;
	free(en->conv_at);
	en->conv_at = NULL;
}

/* --- sending -----------------------------------------------------------------------------------
 */

static void flush(void *arg)
{
	struct conv *c = arg;
	struct ent *en = c->ent;
	struct a2a_send m = { .message_id = c->message,
			      .task_id = c->task[0] ? c->task : NULL,
			      .context_id = c->context[0] ? c->context : NULL,
			      .text = (const char *const *)c->part,
			      .texts = parts_of(c),
			      .metadata = c->metadata,
			      .extension = NEGO_EXTENSION };
	struct err e = { 0 };

	if (c->step == CONV_IDLE || c->busy || c->wait || c->timer || c->later)
		return;
	c->queued = c->step == CONV_ACCEPTANCE && !may_settle(c);
	if (c->queued)
		return;
	/* A challenge belongs to no task, and neither does what opens a new one. */
	if (c->step == CONV_CHALLENGE || c->step == CONV_INTENT) {
		m.task_id = m.context_id = NULL;
		m.extension = NEGO_EXTENSION ", " NEGO_WALLET_EXTENSION;
	}
	str_cut(c->flying, c->message);
	if (peer_send(en->s, en->op->did, &m, on_answer, c, &e)) {
		if (!c->tries)
			log_warn("%s: %s", c->deal.s, e.text);
		ent_again(c);
		return;
	}
	c->busy = true;
}

static void committed(void *arg)
{
	struct conv *c = arg;

	c->later = false;
	flush(c);
}

void ent_conv_later(struct conv *c)
{
	c->later = true;
	engine_after_commit(c->ent->s->engine, committed, c);
}

static void on_timer(void *arg)
{
	struct conv *c = arg;
	const struct deal *d = world_deal(c->ent->w, &c->deal);

	c->timer = NULL;
	if (c->step == CONV_IDLE || !d)
		return;
	if (engine_now(c->ent->s->engine).ms >= ent_deadline(c, d).ms) {
		ent_refused(c, REFUSE_QUOTE_EXPIRED, "the operator did not answer in time");
		return;
	}
	flush(c);
}

void ent_again(struct conv *c)
{
	int64_t us = RETRY_MIN_US;

	for (uint32_t i = 0; i < c->tries && us < RETRY_MAX_US; i++)
		us *= 2;
	c->tries++;
	if (!c->timer)
		c->timer = loop_after(c->ent->s->loop, us < RETRY_MAX_US ? us : RETRY_MAX_US,
				      on_timer, c);
}

/* The body of the operator that this message answers; zero when it answers none. */
static digest_t answered(const struct deal *d, enum conv_step step)
{
	switch (step) {
	case CONV_ACCEPT:
	case CONV_COUNTER:
	case CONV_REJECT: return d->quote.digest;
	case CONV_ACCEPTANCE: return d->cur.digest;
	default: return (digest_t){ 0 };
	}
}

static json_t *envelope(const struct conv *c, enum conv_step step)
{
	const struct deal *d = world_deal(c->ent->w, &c->deal);
	struct nego_envelope env = { .negotiationId = c->deal, .round = 1 };
	const char *status = step == CONV_ACCEPTANCE                         ? "agreed"
			     : step == CONV_REJECT || step == CONV_TERMINATE ? "rejected"
									     : "in-progress";
	json_t *js;

	str_cut(env.role.s, "client");
	str_cut(env.status.s, status);
	if (d && step != CONV_CHALLENGE && step != CONV_INTENT && d->has_quote) {
		env.previousDigest = answered(d, step);
		env.round = d->quote.version;
	}
	js = nego_part(NEGO_EXTENSION, &nego_envelope_fields, &env);
	if (js)
		(void)json_object_del(js, "@type");
	return js ? json_pack("{s:o}", NEGO_EXTENSION, js) : NULL;
}

static void forget_timer(struct conv *c)
{
	loop_cancel(c->ent->s->loop, c->timer);
	c->timer = NULL;
	c->tries = 0;
}

/* A challenge is asked for anew after a restart: the old one would have aged. So is a first menu:
 * the operator admits an intent again that no agreement answers yet, and nothing was chosen. The
 * menu of a change opened a renegotiation, which only the same message finds again. */
static bool asked_anew(const struct conv *c, enum conv_step step)
{
	const struct deal *d = world_deal(c->ent->w, &c->deal);

	return step == CONV_CHALLENGE || (step == CONV_INTENT && d && !d->cur.rev);
}

/* What is said is in c->part. */
static int said(struct conv *c, enum conv_step step, const char *message_id, struct err *e)
{
	json_t *metadata = c->part[0] ? envelope(c, step) : NULL;

	if (!metadata)
		return err_set(e, -ENOMEM, "message %s", message_id);
	json_decref(c->metadata);
	c->metadata = metadata;
	c->step = step;
	c->ending = NULL;
	c->wait = c->queued = false;
	if (step == CONV_ACCEPTANCE)
		chain_in(c);
	else
		chain_out(c);
	str_cut(c->message, message_id);
	forget_timer(c);
	ent_conv_later(c);
	return asked_anew(c, step) ? 0 : conv_save(c, e);
}

int ent_say(struct conv *c, enum conv_step step, const char *message_id, const char *const *part,
	    size_t n, struct err *e)
{
	parts_free(c);
	for (size_t i = 0; i < n && i < PARTS_MAX; i++) {
		c->part[i] = part[i] ? strdup(part[i]) : NULL;
		if (!c->part[i])
			return err_set(e, -ENOMEM, "message %s", message_id);
	}
	return said(c, step, message_id, e);
}

int ent_say_part(struct conv *c, enum conv_step step, const char *message_id, json_t *part,
		 struct err *e)
{
	parts_free(c);
	c->part[0] = json_text_new(part);
	json_decref(part);
	return said(c, step, message_id, e);
}

int ent_say_again(struct conv *c, const char *message_id, struct err *e)
{
	c->task[0] = c->context[0] = '\0';
	return said(c, c->step, message_id, e);
}

int ent_idle(struct conv *c, struct err *e)
{
	c->step = CONV_IDLE;
	c->ending = NULL;
	chain_out(c);
	parts_free(c);
	json_decref(c->metadata);
	c->metadata = NULL;
	forget_timer(c);
	return conv_save(c, e);
}

void ent_ends(struct conv *c, const void *what)
{
	c->ending = what;
	c->ends++;
}

void ent_ended(struct conv *c, const void *what)
{
	c->ends--;
	if (c->ending == what)
		c->ending = NULL;
}

void ent_release(struct conv *c)
{
	c->wait = false;
	flush(c);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void rpc_error(struct conv *c, const struct a2a_result *r)
{
	log_warn("%s: %s: error %d: %s", c->deal.s, c->message, r->code, r->error);
	if (r->code == A2A_E_INTERNAL) {
		ent_again(c);
		return;
	}
	/* The operator's tasks live in its memory; the deal does not. Say it outside the task. */
	if ((r->code == A2A_E_TASK_NOT_FOUND || r->code == A2A_E_UNSUPPORTED) && c->task[0]) {
		c->task[0] = c->context[0] = '\0';
		ent_again(c);
		return;
	}
	ent_refused(c, REFUSE_BODY_MALFORMED, r->error);
}

static void on_answer(void *arg, int err, const struct a2a_result *r, const char *why)
{
	struct conv *c = arg;
	bool ours = !strcmp(c->flying, c->message) && c->step != CONV_IDLE;

	c->busy = false;
	if (!ours) {
		/* Overtaken by a later message: that one is what counts. */
		flush(c);
		return;
	}
	if (err) {
		if (!c->tries)
			log_warn("%s: %s: %s", c->deal.s, c->message, why);
		ent_again(c);
		return;
	}
	if (r->code) {
		rpc_error(c, r);
		return;
	}
	if (r->is_task && c->step != CONV_CHALLENGE) {
		str_cut(c->task, r->task_id);
		str_cut(c->context, r->context_id);
	}
	ent_answer(c, r);
}
