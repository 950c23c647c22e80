/* SPDX-License-Identifier: Apache-2.0 */
#include "side.h"

#include "agent/crypto/crypto.h"
#include "agent/peer.h"
#include "agent/signer/client.h"
#include "agent/store/store.h"
#include "side_make.h"

#include <errno.h>
#include <stdio.h>

const struct class_profile *side_profile(const struct side *s, const name_t *name)
{
	for (uint32_t i = 0; i < s->profiles; i++)
		if (ident_eq(s->profile[i].name, *name))
			return &s->profile[i];
	return NULL;
}

const struct path_view *side_path(const struct side *s, uint8_t path)
{
	for (uint8_t i = 0; i < s->paths.n; i++)
		if (s->paths.view[i].path == path)
			return &s->paths.view[i];
	return NULL;
}

/* On the path where it holds most: a reroute holds two for a while and sends once. */
static uint64_t promised(const struct side *s, const struct deal *d)
{
	uint64_t most = 0;

	for (uint8_t i = 0; i < s->paths.n; i++) {
		rate_t r = deal_promised(d, s->paths.def[i].path);

		most = r.bps > most ? r.bps : most;
	}
	return most;
}

rate_t side_ceiling_room(const struct side *s, const struct deal *d)
{
	const struct cfg_peer *p = peer_by_did(s->cfg, d->peer.s);
	const struct world *w = engine_world(s->engine);
	uint64_t held = 0;

	if (!p || !p->customer)
		return (rate_t){ UINT64_MAX };
	for (uint32_t i = 0; i < w->n_deals; i++)
		if (&w->deal[i] != d && !strcmp(w->deal[i].peer.s, d->peer.s))
			held += promised(s, &w->deal[i]);
	return (rate_t){ held < p->ceiling.bps ? p->ceiling.bps - held : 0 };
}

/* --- flows -------------------------------------------------------------------------------------
 */

static bool flows_room(struct side_flows *t)
{
	uint32_t max = t->max ? 2 * t->max : 64;
	struct side_flow *more;

	if (!t->place)
		t->place = calloc(LABEL_MAX + 1, sizeof(*t->place));
	if (!t->place || t->n < t->max)
		return t->place;
	more = reallocarray(t->flow, max, sizeof(*more));
	if (!more)
		return false;
	t->flow = more;
	t->max = max;
	return true;
}

struct side_flow *side_flow(struct side *s, uint32_t label, bool make)
{
	struct side_flows *t = &s->flows;

	if (label > LABEL_MAX)
		return NULL;
	if (t->place && t->place[label])
		return &t->flow[t->place[label] - 1];
	if (!make || !flows_room(t))
		return NULL;
	t->flow[t->n] = (struct side_flow){ .label = label };
	t->place[label] = ++t->n;
	return &t->flow[t->n - 1];
}

void side_flows_keep(struct side *s, bool (*keep)(const struct side *s, const struct side_flow *f))
{
	struct side_flows *t = &s->flows;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		if (!keep || !keep(s, &t->flow[i])) {
			t->place[t->flow[i].label] = 0;
			free(t->flow[i].lag);
			continue;
		}
		if (n != i)
			t->flow[n] = t->flow[i];
		t->place[t->flow[n].label] = n + 1;
		n++;
	}
	t->n = n;
}

void side_flows_free(struct side *s)
{
	side_flows_keep(s, NULL);
	free(s->flows.flow);
	free(s->flows.place);
	s->flows = (struct side_flows){ 0 };
}

/* --- from the configuration ----------------------------------------------------------------- */

static void profile_from(const struct cfg_class *c, struct class_profile *p)
{
	*p = (struct class_profile){ .id = (uint8_t)c->id,
				     .want = { c->bandwidth, c->latency, c->availability },
				     .strategy = c->strategy == CFG_STEP_DOWN ? STRATEGY_STEP_DOWN
									      : STRATEGY_STEP_UP,
				     .term_ms = (int64_t)c->term_s * 1000,
				     .value = c->value,
				     .delay_value = c->delay_value,
				     .floor = c->floor.bps ? c->floor : c->bandwidth,
				     .donor = c->donor,
				     .detect = c->detect,
				     .priority = (uint8_t)c->priority,
				     .base = { c->price, c->price_latency, c->price_availability },
				     .margin = c->margin,
				     .margin_floor = c->margin_floor,
				     .v4 = c->src.family == 4 || c->dst.family == 4 };
	str_cut(p->name.s, c->name);
}

/* The hops of a path stand in the file in order, from the enterprise's side to the far end. */
static void hops_from(const struct config *c, uint32_t id, struct path_def *d)
{
	for (uint32_t i = 0; i < c->hops && d->n_hops < HOPS_MAX; i++) {
		const struct cfg_hop *h = &c->hop[i];
		struct hop *to = &d->hop[d->n_hops];

		if (h->path != id)
			continue;
		str_cut(to->node.s, h->node);
		str_cut(to->near.s, h->down_device);
		str_cut(to->far.s, h->up_device);
		to->steers = h->steers;
		d->n_hops++;
	}
	if (d->n_hops)
		d->hop[d->n_hops - 1].customer_far = true;
}

void side_from_config(struct side *s, const struct config *c)
{
	s->cfg = c;
	for (uint32_t i = 0; i < c->classes && s->profiles < CLASSES_MAX; i++)
		profile_from(&c->class[i], &s -> profile[s->profiles++]);
	for (uint32_t i = 0; i < c->paths && s->paths.n < PATHS_MAX; i++) {
		const struct cfg_path *p = &c->path[i];
		struct path_view *v = &s->paths.view[s->paths.n];
		struct path_def *d = &s->paths.def[s->paths.n++];

		*v = (struct path_view){ .path = (uint8_t)p->id,
					 .type = p->kind == PATH_BE ? NET_BE : NET_DET,
					 .base = p->delay,
					 .capacity = p->capacity };
		*d = (struct path_def){ .path = v->path,
					.type = v->type,
					.base = p->delay,
					.capacity = p->capacity,
					.spare = (uint8_t)p->spare };
		str_cut(d->name.s, p->name);
		hops_from(c, p->id, d);
	}
}

#define SIGNER_KEY "signer"

/* --- keys ------------------------------------------------------------------------------------ */

static const struct {
	enum signer_kind kind;
	enum cfg_key_kind key;
	const char *fragment, *purpose;
} keys[SIGN_KIND_MAX_] = {
	[SIGN_WALLET] = { SIGNER_WALLET, KEY_WALLET, "wallet", "assertionMethod" },
	[SIGN_PRESENTATION] = { SIGNER_PRESENTATION, KEY_PRESENTATION, "agent", "authentication" },
	[SIGN_AGREEMENT] = { SIGNER_AGREEMENT, KEY_AGREEMENT, "agreement", "assertionMethod" },
	[SIGN_ACCEPTANCE] = { SIGNER_ACCEPTANCE, KEY_AGREEMENT, "agreement", "assertionMethod" },
	[SIGN_RECEIPT] = { SIGNER_RECEIPT, KEY_AGREEMENT, "agreement", "assertionMethod" },
	/* A receipt for money that went the other way. */
	[SIGN_CREDIT] = { SIGNER_CREDIT, KEY_AGREEMENT, "agreement", "assertionMethod" },
	[SIGN_DISCLOSURE] = { SIGNER_DISCLOSURE, KEY_AGREEMENT, "agreement", "assertionMethod" },
	[SIGN_EXPORT] = { SIGNER_EXPORT, KEY_AGREEMENT, "agreement", "assertionMethod" },
};

/* The signer's record goes into the same turn as what rests on it: see side_attest(). The last of a
 * turn says all. */
static void keep_record(struct side *s, uint64_t count, const uint8_t head[32])
{
	s->record.due = true;
	s->record.count = count;
	memcpy(s->record.head, head, sizeof(s->record.head));
}

static int put_record(void *side, struct err *e)
{
	struct side *s = side;
	struct attest_req known = { .count = s->record.count };

	if (!s->record.due)
		return 0;
	s->record.due = false;
	memcpy(known.head, s->record.head, sizeof(known.head));
	return store_kv_put(engine_store(s->engine), SIGNER_KEY, &known, sizeof(known), e);
}

int side_key_act(struct side *s, const struct key_req *q, uint64_t *ret_generation, struct err *e)
{
	struct key_rep rep;
	int r = signer_key_act(s->signer, q, &rep, e);

	if (r)
		return r;
	*ret_generation = rep.generation;
	keep_record(s, rep.count, rep.head);
	return 0;
}

int side_horizon(struct side *s, uint64_t before, struct horizon_rep *ret, struct err *e)
{
	int r = signer_horizon(s->signer, before, ret, e);

	if (!r)
		keep_record(s, ret->count, ret->head);
	return r;
}

/* The signer is shown all that it signs. */
static int sign_ask(void *arg, const struct sign_request *rq, void **ret)
{
	const struct side *s = arg;
	enum signer_kind kind = keys[rq->kind].kind;
	struct sign_req q = { .kind = kind, .data_len = (uint32_t)rq->proof_len };
	struct err *e = s->sign_err;
	auto_free struct signer_ask *a = NULL;
	int r = 0;

	*e = (struct err){ 0 };
	if (rq->proof_len > sizeof(q.data))
		return err_set(e, -EMSGSIZE, "proof: at most %zu bytes", sizeof(q.data));
	a = malloc(sizeof(*a));
	if (!a)
		return err_set(e, -ENOMEM, "signature");
	memcpy(q.data, rq->proof, rq->proof_len);
	if (rq->about)
		r = signer_text(s->signer, kind, SIGN_ABOUT, rq->about, rq->about_len, e);
	if (!r)
		r = signer_text(s->signer, kind, SIGN_DOCUMENT, rq->document, rq->document_len, e);
	if (!r)
		r = signer_ask(s->signer, &q, a, e);
	if (!r)
		*ret = TAKE_PTR(a);
	return r;
}

static int sign_await(void *arg, void *asked, uint8_t sig[SIGN_SIG_LEN])
{
	struct side *s = arg;
	auto_free struct signer_ask *a = asked;
	int r;

	*s->sign_err = (struct err){ 0 };
	r = signer_await(s->signer, a, s->sign_err);
	if (r)
		return r;
	if (sig)
		memcpy(sig, a->rep.signature, SIGN_SIG_LEN);
	keep_record(s, a->rep.count, a->rep.head);
	return 0;
}

static int sign_port(void *arg, const struct sign_request *rq, uint8_t sig[SIGN_SIG_LEN])
{
	void *asked = NULL;
	int r = sign_ask(arg, rq, &asked);

	return r ? r : sign_await(arg, asked, sig);
}

int side_checkpoint_key(struct side *s, uint8_t ret[32], struct err *e)
{
	return signer_public(s->signer, KEY_CHECKPOINT, ret, e);
}

int side_checkpoint_sign(struct side *s, const char *text, size_t len, uint8_t sig[64],
			 struct err *e)
{
	struct sign_req q = { .kind = SIGNER_CHECKPOINT, .data_len = (uint32_t)len };
	struct sign_rep rep;
	int r;

	if (len > sizeof(q.data))
		return err_set(e, -EMSGSIZE, "checkpoint: at most %zu bytes", sizeof(q.data));
	memcpy(q.data, text, len);
	r = signer_sign(s->signer, &q, &rep, e);
	if (r)
		return r;
	memcpy(sig, rep.signature, sizeof(rep.signature));
	keep_record(s, rep.count, rep.head);
	return 0;
}

/* The signer signs nothing until the log told it what it last saw: a restored state file or a
 * restored log shows here. A state ahead of the log is a crash between the two and is fine. */
int side_attest(struct side *s, struct err *e)
{
	struct attest_req known = { 0 };
	struct attest_rep rep;
	auto_free void *p = NULL;
	size_t n;
	int r;

	engine_at_commit(s->engine, put_record, s);
	r = store_kv_get(engine_store(s->engine), SIGNER_KEY, &p, &n, e);
	if (r && r != -ENOENT)
		return r;
	if (!r && n != sizeof(known))
		return err_set(e, -EUCLEAN, "signer: the log's record has another size");
	if (!r)
		memcpy(&known, p, n);
	else if (e)
		*e = (struct err){ 0 };
	return signer_attest(s->signer, &known, &rep, e);
}

void side_keys(struct side *s)
{
	for (unsigned k = SIGN_WALLET; k < SIGN_KIND_MAX_; k++) {
		struct pubkey_rep now = { .generation = 1 };
		name_t id;

		memset(&s->port[k], 0, sizeof(s->port[k]));
		if (!s->cfg->keys.file[keys[k].key][0] ||
		    signer_key(s->signer, keys[k].key, SIGNER_ACTIVE, &now, NULL))
			continue;
		side_key_id(keys[k].key, now.generation, &id);
		s->port[k].sign = sign_port;
		s->port[k].ask = sign_ask;
		s->port[k].await = sign_await;
		s->port[k].arg = s;
		(void)snprintf(s->port[k].method, sizeof(s->port[k].method), "%s#%s",
			       s->cfg->daemon.did, id.s);
	}
}

void side_key_id(enum cfg_key_kind key, uint64_t generation, name_t *ret)
{
	const char *fragment = "", *purpose;

	memset(ret, 0, sizeof(*ret));
	(void)side_document_row(key, &fragment, &purpose);
	if (generation > 1)
		(void)snprintf(ret->s, sizeof(ret->s), "%s-%llu", fragment,
			       (unsigned long long)generation);
	else
		(void)snprintf(ret->s, sizeof(ret->s), "%s", fragment);
}

int side_document_row(enum cfg_key_kind key, const char **fragment, const char **purpose)
{
	if (key == KEY_CHECKPOINT) {
		*fragment = "checkpoint";
		*purpose = "assertionMethod";
		return 0;
	}
	for (unsigned k = SIGN_WALLET; k <= SIGN_AGREEMENT; k++) /* the others share its key */
		if (keys[k].key == key) {
			*fragment = keys[k].fragment;
			*purpose = keys[k].purpose;
			return 0;
		}
	return -ENOENT;
}
