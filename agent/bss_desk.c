/* SPDX-License-Identifier: Apache-2.0 */
#include "bss_desk.h"

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/nego.h"
#include "agent/codec/noun.h"
#include "agent/codec/tmf.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/peer.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

#define DESK_ROWS 16
#define KEPT_MAX  256

static struct {
	const struct desk_row *row;
	size_t n;
} tables[DESK_ROWS];
static size_t n_tables;

static struct kept {
	ident_t negotiation;
	struct a2a_turn *turn;
	digest_t digest;
} kept[KEPT_MAX];
static size_t n_kept;

static struct left {
	struct left *next;
	ident_t negotiation;
	void (*fn)(void *arg); /* NULL: it ran */
	void *arg;
} * lefts;

void desk_reset(void)
{
	while (lefts) {
		struct left *l = lefts;

		lefts = l->next;
		free(l);
	}
	while (n_kept)
		a2a_turn_fail(kept[--n_kept].turn, A2A_E_INTERNAL, "the service stops", NULL);
	n_tables = 0;
}

int desk_add(const struct desk_row *rows, size_t n)
{
	if (n_tables == DESK_ROWS)
		return -ENOSPC;
	tables[n_tables].row = rows;
	tables[n_tables++].n = n;
	return 0;
}

/* --- answers --------------------------------------------------------------------------------- */

struct answer {
	struct a2a_turn *turn;
	bool is_task;
	enum a2a_state state;
	const char *name;
	char *artifact; /* JSON text */
	json_t *data, *metadata;
};

/* The envelope of A2A-T's Negotiation-T: which negotiation, which round, answering what. */
static json_t *envelope(const struct desk_call *c, const ident_t *deal, uint32_t round,
			const char *status)
{
	struct nego_envelope v = { .round = round, .previousDigest = c->digest };

	if (deal)
		v.negotiationId = *deal;
	str_cut(v.role.s, "server");
	str_cut(v.status.s, status);
	return json_pack("{s:o}", NEGO_EXTENSION, noun_encode(&nego_envelope_fields, &v));
}

static void release(void *arg)
{
	struct answer *a = arg;

	if (a->metadata)
		(void)a2a_turn_metadata(a->turn, a->metadata);
	a2a_turn_brief(a->turn);
	if (a->name && !a->artifact)
		a2a_turn_fail(a->turn, A2A_E_INTERNAL, "out of memory", NULL);
	else if (a->artifact && a2a_turn_artifact_text(a->turn, a->name, a->artifact))
		a2a_turn_fail(a->turn, A2A_E_INTERNAL, "too many tasks or artifacts", NULL);
	else if (a->is_task)
		a2a_turn_task(a->turn, a->state, a->data);
	else if (a->data)
		a2a_turn_message(a->turn, a->data);
	else
		a2a_turn_fail(a->turn, A2A_E_INTERNAL, "internal error", NULL);
	json_decref(a->data);
	free(a->artifact);
	json_decref(a->metadata);
	free(a);
}

static void answer(struct desk_call *c, const struct answer *a)
{
	struct answer *copy = malloc(sizeof(*copy));

	if (!copy) {
		json_decref(a->data);
		free(a->artifact);
		json_decref(a->metadata);
		a2a_turn_fail(c->turn, A2A_E_INTERNAL, "internal error", NULL);
		return;
	}
	*copy = *a;
	engine_after_commit(c->side->engine, release, copy);
}

void desk_say(struct desk_call *c, const ident_t *deal, json_t *data)
{
	answer(c, &(struct answer){ .turn = c->turn,
				    .data = data,
				    .metadata = envelope(c, deal, 1, "in-progress") });
}

void desk_task(struct desk_call *c, const struct deal *d, enum a2a_state st, const char *name,
	       char *artifact)
{
	const char *status = st == A2A_COMPLETED        ? "agreed"
			     : st == A2A_INPUT_REQUIRED ? "in-progress"
							: "rejected";

	answer(c, &(struct answer){
			  .turn = c->turn,
			  .is_task = true,
			  .state = st,
			  .name = name,
			  .artifact = artifact,
			  .metadata = envelope(c, &d->negotiation, d->quote.version, status) });
}

static enum a2a_state state_of(enum refusal r)
{
	static const enum a2a_state states[] = {
#define REFUSAL(name, http, a2a, text) [REFUSE_##name] = A2A_##a2a,
#include "treaty/refusals.def"
#undef REFUSAL
	};

	return (unsigned)r < ARRAY_LEN(states) ? states[r] : A2A_FAILED;
}

int desk_refuse(struct desk_call *c, const char *actor, const char *tool, const ident_t *deal,
		enum refusal r, const char *why)
{
	engine_refuse(c->side->engine, actor, tool, deal, r, why);
	answer(c, &(struct answer){ .turn = c->turn,
				    .is_task = true,
				    .state = state_of(r),
				    .data = nego_problem(r, deal, why),
				    .metadata = envelope(c, deal, 1, "rejected") });
	return 0;
}

void desk_fail(struct desk_call *c, const struct deal *d, enum refusal r, const char *why)
{
	answer(c, &(struct answer){
			  .turn = c->turn,
			  .is_task = true,
			  .state = A2A_FAILED,
			  .data = nego_problem(r, &d->negotiation, why),
			  .metadata = envelope(c, &d->negotiation, d->quote.version, "rejected") });
}

/* --- turns that wait -------------------------------------------------------------------------- */

void desk_keep(struct desk_call *c, const struct deal *d)
{
	if (n_kept == KEPT_MAX) {
		a2a_turn_fail(c->turn, A2A_E_INTERNAL, "too many messages wait", NULL);
		return;
	}
	kept[n_kept++] = (struct kept){ d->negotiation, c->turn, c->digest };
}

bool desk_take(struct side *s, const struct deal *d, struct desk_call *out)
{
	for (size_t i = 0; i < n_kept; i++) {
		if (!ident_eq(kept[i].negotiation, d->negotiation))
			continue;
		*out = (struct desk_call){ .side = s,
					   .turn = kept[i].turn,
					   .peer = a2a_turn_peer(kept[i].turn),
					   .digest = kept[i].digest };
		n_kept--;
		memmove(&kept[i], &kept[i + 1], (n_kept - i) * sizeof(kept[0]));
		return true;
	}
	return false;
}

static void end_left(void *arg)
{
	struct left *l = arg, **at = &lefts;

	while (*at && *at != l)
		at = &(*at)->next;
	if (*at)
		*at = l->next;
	if (l->fn)
		l->fn(l->arg);
	free(l);
}

int desk_end_later(struct side *s, const ident_t *negotiation, void (*fn)(void *arg), void *arg)
{
	struct left *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	*l = (struct left){ lefts, *negotiation, fn, arg };
	lefts = l;
	engine_before_commit(s->engine, end_left, l);
	return 0;
}

static void end_now(const ident_t *negotiation)
{
	for (struct left *l = lefts; l; l = l->next) {
		void (*fn)(void *) = l->fn;

		if (!fn || !ident_eq(l->negotiation, *negotiation))
			continue;
		l->fn = NULL;
		fn(l->arg);
	}
}

/* --- messages --------------------------------------------------------------------------------- */

static const char *type_of(const json_t *part)
{
	const json_t *t = json_object_get(part, "type");
	const char *s = nego_type(part);

	if (!*s && json_array_size(t))
		s = json_string_value(json_array_get(t, json_array_size(t) - 1));
	return s ? s : "";
}

static const struct desk_row *row_of(const json_t *data)
{
	const char *type = type_of(json_array_get(data, 0));

	for (size_t k = 0; k < n_tables; k++)
		for (size_t i = 0; i < tables[k].n; i++)
			if (!strcmp(tables[k].row[i].type, type) &&
			    tables[k].row[i].parts == json_array_size(data))
				return &tables[k].row[i];
	return NULL;
}

static int envelope_read(struct desk_call *c, struct err *e)
{
	const json_t *js = json_object_get(c->msg->metadata, NEGO_EXTENSION);
	int r = js ? noun_decode(&nego_envelope_fields, js, &c->env, e) : 0;

	c->bound = js != NULL;
	if (!r && js && (strcmp(c->env.role.s, "client") != 0 || !c->env.round))
		r = err_set(e, -EINVAL, "metadata: role client and a round from 1 required");
	return r;
}

const char *desk_unbound(const struct desk_call *c, const ident_t *negotiation, uint32_t round,
			 const digest_t *answers)
{
	if (!c->bound)
		return NULL;
	if (!ident_eq(c->env.negotiationId, *negotiation))
		return "metadata.negotiationId: not the message's";
	if (round && c->env.round != round)
		return "metadata.round: not the one that is answered";
	if (answers && !digest_eq(c->env.previousDigest, *answers))
		return "metadata.previousDigest: not of the body that is answered";
	return NULL;
}

int desk_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		 struct a2a_turn *t)
{
	struct desk_call c = { .side = s, .peer = p, .msg = m, .turn = t };
	const struct desk_row *row = row_of(m->data);
	struct err e = { 0 };
	int r;

	c.who = p->local ? NULL : peer_by_did(s->cfg, p->did);
	if (!c.who || c.who->role != PEER_ENTERPRISE)
		return desk_refuse(&c, "bss_negotiation", "message", NULL, REFUSE_NOT_AUTHORIZED,
				   "peer: no configured enterprise");
	r = row ? tmf_digest(json_array_get(m->data, 0), &c.digest, &e) : 0;
	if (!r)
		r = envelope_read(&c, &e);
	if (r == -ENOMEM)
		return r;
	if (r || !row)
		return desk_refuse(&c, "bss_negotiation", "message", NULL, REFUSE_BODY_MALFORMED,
				   r ? e.text : "message.parts: not a step of the negotiation");
	r = row->take(&c);
	if (r)
		log_error("%s: %s: %s", row->type, p->name, strerror(-r));
	return r;
}

void desk_parties(const struct side *s, const char *enterprise_did, struct tmf_parties *ret)
{
	const struct cfg_peer *p = peer_by_did(s->cfg, enterprise_did);

	*ret = (struct tmf_parties){ .digits = 2 };
	str_cut(ret->enterprise.s, p ? p->name : "enterprise");
	str_cut(ret->op.s, s->cfg->daemon.name);
}

const struct deal *desk_deal(const struct desk_call *c, const ident_t *id)
{
	const struct world *w = engine_world(c->side->engine);
	const struct deal *d = world_deal(w, id);
	ident_t negotiation = { 0 };
	bool early = !d && !strncmp(id->s, "agr-", 4);

	/* Before it is in force a lineage is known by the negotiation whose digits it has. */
	if (early) {
		(void)snprintf(negotiation.s, sizeof(negotiation.s), "neg-%.43s", id->s + 4);
		d = world_deal(w, &negotiation);
	}
	if (d)
		end_now(&d->negotiation);
	if (early && d && !(d->has_pending && ident_eq(d->pending.lineage, *id)))
		d = NULL;
	return d && d->operator_side && !strcmp(d->peer.s, c->peer->did) ? d : NULL;
}

/* --- bodies ----------------------------------------------------------------------------------- */

int desk_text_put(struct side *s, const char *consumer, const char *text, size_t len, digest_t *ret,
		  struct err *e)
{
	struct hash h;
	int r;

	sha256(text, len, h.b);
	r = store_body_put(engine_store(s->engine), &h, consumer, text, len, e);
	if (!r)
		memcpy(ret->b, h.b, sizeof(ret->b));
	return r;
}

int desk_body_put(struct side *s, const char *consumer, const json_t *body, digest_t *ret,
		  struct err *e)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r = canon_text(body, BODY_MAX, &text, &len, e);

	return r ? r : desk_text_put(s, consumer, text, len, ret, e);
}

int desk_vc_put(struct side *s, const char *consumer, const struct vc *vc, struct err *e)
{
	struct hash h;

	memcpy(h.b, vc->digest, sizeof(h.b));
	return store_body_put(engine_store(s->engine), &h, consumer, vc->text, vc->len, e);
}

int desk_body_text(struct side *s, const digest_t *digest, char **ret, size_t *len, struct err *e)
{
	struct hash h;
	void *text = NULL;
	int r;

	memcpy(h.b, digest->b, sizeof(h.b));
	r = store_body_get(engine_store(s->engine), &h, &text, len, e);
	if (!r)
		*ret = text;
	return r;
}

int desk_body_get(struct side *s, const digest_t *digest, json_t **ret, struct err *e)
{
	struct json_limits lim = { .bytes = BODY_MAX, .depth = 32, .nodes = 16384 };
	auto_free char *text = NULL;
	size_t len = 0;
	int r = desk_body_text(s, digest, &text, &len, e);

	return r ? r : json_read(ret, text, len, &lim, e);
}
