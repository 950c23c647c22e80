/* SPDX-License-Identifier: Apache-2.0 */
/* The life of keys, by a human: list, rotate, compromise, the document that peers pin. The signer's
 * record comes first: a key that it gave up signs nothing, whatever happens to the rest of the act,
 * which may be asked for again. */
#include "agent/codec/did.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/signer/client.h"
#include "agent/store/ledger.h"
#include "key_freeze.h"
#include "queries_int.h"
#include "side_make.h"
#include "witness.h"

#include <errno.h>
#include <stdio.h>

static const char *const roles[KEY_MAX_] = { [KEY_WALLET] = "wallet",
					     [KEY_PRESENTATION] = "presentation",
					     [KEY_AGREEMENT] = "agreement",
					     [KEY_CHECKPOINT] = "checkpoint" };

static int role_parse(const char *name, enum cfg_key_kind *ret)
{
	for (unsigned i = 0; i < KEY_MAX_; i++)
		if (!strcmp(roles[i], name)) {
			*ret = (enum cfg_key_kind)i;
			return 0;
		}
	return -EINVAL;
}

static bool have_key(const struct side *s, enum cfg_key_kind role, enum signer_which which,
		     struct pubkey_rep *ret)
{
	return s->signer && !signer_key(s->signer, role, which, ret, NULL);
}

/* --- list and document ------------------------------------------------------------------------ */

static int add_row(json_t *rows, const struct key_line *k, const char *state)
{
	char multikey[MULTIKEY_MAX] = "", method[DID_URL_MAX];
	json_t *o;

	if (!digest_empty(&k->key))
		(void)multikey_encode(k->key.b, multikey);
	(void)snprintf(method, sizeof(method), "%s%s%s", k->owner.s, k->id.s[0] ? "#" : "",
		       k->id.s);
	o = json_pack("{s:s, s:s, s:s, s:s}", "key", method, "role", k->role.s, "state", state,
		      "publicKeyMultibase", multikey);
	if (o && k->since.ms)
		(void)json_object_set_new(o, "since", json_time(k->since));
	if (o && k->until.ms)
		(void)json_object_set_new(o, "until", json_time(k->until));
	return json_array_append_new(rows, o);
}

/* What signs and what stands by, as the signer says, when the log tells nothing of it. */
static int add_signers(const struct side *s, json_t *rows, enum cfg_key_kind role)
{
	struct key_line k = { 0 };
	struct pubkey_rep p;
	int r = 0;

	str_cut(k.owner.s, s->cfg->daemon.did);
	str_cut(k.role.s, roles[role]);
	if (have_key(s, role, SIGNER_ACTIVE, &p)) {
		side_key_id(role, p.generation, &k.id);
		memcpy(k.key.b, p.public, sizeof(p.public));
		if (!world_key(engine_world(s->engine), &k.owner, &k.id))
			r = add_row(rows, &k, key_state_name(KEY_IN_FORCE));
	}
	if (r || !have_key(s, role, SIGNER_STANDBY, &p))
		return r;
	memset(&k.id, 0, sizeof(k.id));
	memcpy(k.key.b, p.public, sizeof(p.public));
	return add_row(rows, &k, "standby");
}

/* --- what the signer added up ------------------------------------------------------------------
 */

static void add_memory(json_t *o, const struct sums_rep *p)
{
	(void)json_object_set_new(o, "lineages", json_integer(p->lineages));
	(void)json_object_set_new(o, "lineagesMax", json_integer(SIGNER_LINEAGES));
	(void)json_object_set_new(o, "staying", json_integer(p->kept));
	(void)json_object_set_new(o, "stayingMax", json_integer(SIGNER_KEPT));
	if (p->horizon)
		(void)json_object_set_new(o, "horizon",
					  json_time((wall_t){ (int64_t)p->horizon * 1000 }));
}

static json_t *sums_row(const struct side *s, const char *wallet)
{
	struct sums_rep p;
	json_t *o;

	if (!s->signer || signer_sums(s->signer, wallet, &p, NULL))
		return NULL;
	o = json_pack("{s:s, s:s, s:I, s:I}", "wallet", wallet ? wallet : "all", "currency",
		      s->cfg->ledger.currency, "committed", (json_int_t)p.committed, "credited",
		      (json_int_t)p.credited);
	if (o && !wallet)
		add_memory(o, &p);
	if (o && p.ceiling != INT64_MAX)
		(void)json_object_set_new(o, "ceiling", json_integer(p.ceiling));
	if (o && p.period)
		(void)json_object_set_new(o, "since",
					  json_time((wall_t){ (int64_t)p.period * 1000 }));
	return o;
}

enum { SUMS_MAX = 256 }; /* a question to the signer each */

struct sums {
	const struct side *s;
	json_t *rows;
};

/* A wallet is there at most twice: as ours and as a customer's. */
static int add_sum(void *arg, const struct ledger_wallet *w)
{
	struct sums *x = arg;
	json_t *row;
	size_t i;

	json_array_foreach (x->rows, i, row)
		if (!strcmp(json_string_value(json_object_get(row, "wallet")), w->id.wallet_id))
			return 0;
	row = sums_row(x->s, w->id.wallet_id);
	if (row && json_array_append_new(x->rows, row))
		return -ENOMEM;
	return json_array_size(x->rows) > SUMS_MAX;
}

/* Of all wallets together, then of each that the ledger knows. */
static int list_sums(const struct side *s, json_t **ret, struct err *e)
{
	struct sums x = { s, json_array() };
	json_t *all = sums_row(s, NULL);
	int r = x.rows ? 0 : -ENOMEM;

	if (all && json_array_append_new(x.rows, all)) /* takes it, whatever becomes of it */
		r = -ENOMEM;
	if (!r && all)
		r = ledger_wallets(engine_store(s->engine), add_sum, &x, e);
	*ret = x.rows;
	return r < 0 ? r : 0;
}

static int on_list(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	json_t *rows = json_array(), *sums = NULL;
	int r = rows ? 0 : -ENOMEM;

	(void)p, (void)args, (void)key;
	for (uint32_t i = 0; !r && i < w->n_keys; i++)
		r = add_row(rows, &w->key[i],
			    key_state_name(key_state(&w->key[i], engine_now(s->engine))));
	for (unsigned i = 0; !r && i < KEY_MAX_; i++)
		r = add_signers(s, rows, (enum cfg_key_kind)i);
	if (!r)
		r = list_sums(s, &sums, e);
	if (r) {
		json_decref(rows);
		json_decref(sums);
		return err_set(e, r, "keys: %s", strerror(-r));
	}
	return query_answer(t,
			    json_pack("{s:o, s:b, s:o}", "keys", rows, "ledgerFrozen",
				      w->ledger_frozen, "sums", sums),
			    e);
}

/* Our keys that a peer may meet: in force, and those that the log tells of. */
static json_t *document(const struct side *s)
{
	struct did_document_key_row row[WORLD_KEYS_MAX + KEY_MAX_];
	const struct world *w = engine_world(s->engine);
	name_t id[KEY_MAX_];
	size_t n = 0;

	for (unsigned i = 0; i < KEY_MAX_; i++) {
		struct did_document_key_row *x = &row[n];
		struct pubkey_rep p;

		if (!have_key(s, (enum cfg_key_kind)i, SIGNER_ACTIVE, &p))
			continue;
		*x = (struct did_document_key_row){ 0 };
		(void)side_document_row((enum cfg_key_kind)i, &x->fragment, &x->purpose);
		side_key_id((enum cfg_key_kind)i, p.generation, &id[i]);
		x->fragment = id[i].s;
		memcpy(x->pub, p.public, sizeof(p.public));
		n++;
	}
	for (uint32_t i = 0; i < w->n_keys; i++) {
		const struct key_line *k = &w->key[i];
		struct did_document_key_row *x = &row[n];
		enum cfg_key_kind role = KEY_MAX_;
		const char *base;

		if (strcmp(k->owner.s, s->cfg->daemon.did) != 0 || !k->until.ms ||
		    role_parse(k->role.s, &role))
			continue;
		*x = (struct did_document_key_row){ 0 };
		(void)side_document_row(role, &base, &x->purpose);
		x->fragment = k->id.s;
		memcpy(x->pub, k->key.b, sizeof(x->pub));
		if (k->compromised.ms)
			x->revoked = k->until;
		else
			x->expires = k->until;
		n++;
	}
	return did_document_new(s->cfg->daemon.did, row, n);
}

static int on_document(struct side *s, const struct peer *p, const json_t *args, const char *key,
		       struct mcp_turn *t, struct err *e)
{
	json_t *doc = document(s);

	(void)p, (void)args, (void)key;
	if (!doc)
		return err_set(e, -EINVAL, "daemon.did: a did:web with keys is required");
	return query_answer(t, json_pack("{s:o}", "document", doc), e);
}

/* --- rotate ----------------------------------------------------------------------------------- */

static int say_key(struct side *s, enum event_kind kind, const struct ev_key *k, struct err *e)
{
	enum refusal no = tool_call(
		s->engine, kind == EV_KEY_ROTATED ? TOOL_key_rotate : TOOL_key_compromise, k);

	return no == REFUSE_NONE ? 0 : err_set(e, -EPERM, "%s: %s", refusal_name(no), k->id.s);
}

static bool allowed(struct side *s, enum event_kind kind, const struct ev_key *k, struct err *e)
{
	struct event ev = { .kind = kind, .at = engine_now(s->engine), .u.key = *k };
	enum refusal no = fold_guard(engine_world(s->engine), &ev);

	if (no != REFUSE_NONE)
		(void)err_set(e, -EPERM, "%s: %s", refusal_name(no), refusal_text(no));
	return no == REFUSE_NONE;
}

/* Everything that holds a key's name or public half takes the new one. */
static int settle(struct side *s, struct err *e)
{
	int r = ledger_stop(engine_store(s->engine), LEDGER_STOP_KEY,
			    world_key_lost(engine_world(s->engine)), e);

	side_keys(s);
	witness_rekey(s);
	return r;
}

/* What the signer did before a crash that kept the log from telling is told now: its key is active
 * already. 1 = so it is, *ev says it. */
static int untold(struct side *s, enum cfg_key_kind role, struct ev_key *ev)
{
	struct pubkey_rep active, other;

	if (!have_key(s, role, SIGNER_ACTIVE, &active) || active.generation < 2)
		return 0;
	side_key_id(role, active.generation, &ev->id);
	if (world_key(engine_world(s->engine), &ev->owner, &ev->id))
		return 0;
	memcpy(ev->key.b, active.public, sizeof(active.public));
	side_key_id(role, active.generation - 1, &ev->old);
	if (have_key(s, role, SIGNER_STANDBY, &other))
		memcpy(ev->old_key.b, other.public, sizeof(other.public));
	return 1;
}

static int rotate(struct side *s, enum cfg_key_kind role, struct ev_key *ev, struct err *e)
{
	struct key_req q = { .key = role, .act = SIGNER_ROTATE };
	struct pubkey_rep now = { 0 }, next;
	uint64_t generation = 0;
	int r;

	str_cut(ev->owner.s, s->cfg->daemon.did);
	str_cut(ev->role.s, roles[role]);
	if (untold(s, role, ev))
		return say_key(s, EV_KEY_ROTATED, ev, e);
	r = signer_key(s->signer, role, SIGNER_STANDBY, &next, e);
	if (r)
		return r;
	side_key_id(role, next.generation + 1, &ev->id);
	memcpy(ev->key.b, next.public, sizeof(next.public));
	if (have_key(s, role, SIGNER_ACTIVE, &now)) {
		side_key_id(role, now.generation, &ev->old);
		memcpy(ev->old_key.b, now.public, sizeof(now.public));
	}
	if (!allowed(s, EV_KEY_ROTATED, ev, e))
		return -EPERM;
	memcpy(q.public, next.public, sizeof(q.public));
	r = side_key_act(s, &q, &generation, e);
	return r ? r : say_key(s, EV_KEY_ROTATED, ev, e);
}

static json_t *key_answer(const struct ev_key *k, unsigned frozen)
{
	char multikey[MULTIKEY_MAX] = "", method[DID_URL_MAX];

	(void)snprintf(method, sizeof(method), "%s#%s", k->owner.s, k->id.s);
	if (!digest_empty(&k->key))
		(void)multikey_encode(k->key.b, multikey);
	return json_pack("{s:s, s:s, s:I}", "key", method, "publicKeyMultibase", multikey,
			 "holdsFrozen", (json_int_t)frozen);
}

static int reason_of(const json_t *args, why_t *why, struct err *e)
{
	return json_need_text(args, "", "reason", why->s, sizeof(why->s), e);
}

#define OVERLAP_MAX_MS (366ll * 86400 * 1000)

static int on_rotate(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	struct ev_key ev = { 0 };
	enum cfg_key_kind role = KEY_MAX_;
	const char *name;
	int64_t overlap;
	int r = json_only(args, "", e, "role", "overlapMs", "reason", NULL);

	(void)p, (void)key;
	if (!r)
		r = json_need_str(args, "", "role", &name, e);
	if (!r && role_parse(name, &role))
		r = err_set(e, -EINVAL, "role: wallet, presentation, agreement or checkpoint");
	if (!r)
		r = json_need_int(args, "", "overlapMs", 0, OVERLAP_MAX_MS, &overlap, e);
	if (!r)
		r = reason_of(args, &ev.why, e);
	if (r)
		return r;
	/* At least 1 ms: a time of 0 would say that the old key never ends. */
	ev.until.ms = engine_now(s->engine).ms + (overlap ? overlap : 1);
	r = rotate(s, role, &ev, e);
	if (!r)
		r = settle(s, e);
	return r ? r : mcp_answer_later(s, t, key_answer(&ev, 0), e);
}

/* --- compromise ------------------------------------------------------------------------------- */

/* KEY: a role of ours (its active key), or a verification method "DID#fragment". *ret_role is
 * KEY_MAX_ for a peer's. */
static int meant(const struct side *s, const char *name, struct ev_key *ev,
		 enum cfg_key_kind *ret_role, struct err *e)
{
	char did[DID_MAX];
	const struct key_line *k;
	struct pubkey_rep p;

	*ret_role = KEY_MAX_;
	str_cut(ev->owner.s, s->cfg->daemon.did);
	if (!role_parse(name, ret_role)) {
		int r = signer_key(s->signer, *ret_role, SIGNER_ACTIVE, &p, e);

		if (r)
			return r;
		side_key_id(*ret_role, p.generation, &ev->id);
	} else {
		int r = did_method_controller(name, did, e);

		if (r)
			return err_set(e, r, "key: a role of this side, or DID#fragment: %.60s",
				       name);
		if (!str_set(ev->owner.s, did) || !str_set(ev->id.s, strchr(name, '#') + 1))
			return err_set(e, -EINVAL, "key: too long");
	}
	if (strcmp(ev->owner.s, s->cfg->daemon.did) != 0)
		return 0;
	for (unsigned i = 0; i < KEY_MAX_; i++) {
		name_t id;

		if (!have_key(s, (enum cfg_key_kind)i, SIGNER_ACTIVE, &p))
			continue;
		side_key_id((enum cfg_key_kind)i, p.generation, &id);
		if (!ident_eq(id, ev->id))
			continue;
		*ret_role = (enum cfg_key_kind)i;
		memcpy(ev->key.b, p.public, sizeof(p.public));
	}
	k = world_key(engine_world(s->engine), &ev->owner, &ev->id);
	if (k && *ret_role == KEY_MAX_ && !role_parse(k->role.s, ret_role))
		ev->key = k->key;
	if (*ret_role == KEY_MAX_)
		return err_set(e, -ENOENT, "key: %.80s: this side never had it", name);
	str_cut(ev->role.s, roles[*ret_role]);
	return 0;
}

/* The next key takes over at once, if one stands by: it is the new anchor. */
static int replace(struct side *s, enum cfg_key_kind role, const struct ev_key *lost,
		   struct ev_key *ret, struct err *e)
{
	struct pubkey_rep p;

	if (have_key(s, role, SIGNER_ACTIVE, &p) || !have_key(s, role, SIGNER_STANDBY, &p))
		return 0;
	*ret = (struct ev_key){ .until = engine_now(s->engine), .why = lost->why };
	return rotate(s, role, ret, e);
}

static int compromise(struct side *s, enum cfg_key_kind role, struct ev_key *ev,
		      struct ev_key *next, unsigned *frozen, struct err *e)
{
	struct key_req q = { .key = role, .act = SIGNER_COMPROMISE };
	uint64_t generation = 0;
	int r = allowed(s, EV_KEY_COMPROMISED, ev, e) ? 0 : -EPERM;

	if (!r && role != KEY_MAX_) {
		memcpy(q.public, ev->key.b, sizeof(q.public));
		r = side_key_act(s, &q, &generation, e);
	}
	if (!r)
		r = key_freeze(s, ev, frozen, e);
	if (!r)
		r = say_key(s, EV_KEY_COMPROMISED, ev, e);
	if (!r && role != KEY_MAX_)
		r = replace(s, role, ev, next, e);
	return r ? r : settle(s, e);
}

static int on_compromise(struct side *s, const struct peer *p, const json_t *args, const char *key,
			 struct mcp_turn *t, struct err *e)
{
	struct ev_key ev = { 0 }, next = { 0 };
	wall_t now = engine_now(s->engine);
	enum cfg_key_kind role = KEY_MAX_;
	unsigned frozen = 0;
	const char *name;
	json_t *o;
	int r = json_only(args, "", e, "key", "since", "reason", NULL);

	(void)p, (void)key;
	ev.until = now;
	if (!r)
		r = json_need_str(args, "", "key", &name, e);
	if (!r)
		r = json_opt_time(args, "", "since", &ev.until, e);
	if (r >= 0 && (ev.until.ms <= 0 || ev.until.ms > now.ms))
		r = err_set(e, -EINVAL, "since: must not be in the future");
	if (r >= 0)
		r = reason_of(args, &ev.why, e);
	if (!r)
		r = meant(s, name, &ev, &role, e);
	if (!r)
		r = compromise(s, role, &ev, &next, &frozen, e);
	if (r)
		return r;
	log_error("key %s#%s: compromised, %u holds are frozen", ev.owner.s, ev.id.s, frozen);
	o = key_answer(&ev, frozen);
	if (o && next.id.s[0])
		(void)json_object_set_new(o, "next", json_string(next.id.s));
	return mcp_answer_later(s, t, o, e);
}

/* --- the ledger ------------------------------------------------------------------------------- */

static int ledger_act(struct side *s, const json_t *args, bool freeze, struct mcp_turn *t,
		      struct err *e)
{
	struct store *st = engine_store(s->engine);
	struct ev_ref ref = { .about = { "ledger" } };
	enum refusal no;
	int r = json_only(args, "", e, "reason", NULL);

	if (!r)
		r = reason_of(args, &ref.why, e);
	if (!r && !freeze)
		r = ledger_check(st, e);
	if (!r)
		r = ledger_stop(st, LEDGER_STOP_LEDGER, freeze, e);
	if (r)
		return r;
	no = tool_call(s->engine, freeze ? TOOL_ledger_freeze : TOOL_ledger_thaw, &ref);
	if (no != REFUSE_NONE) {
		mcp_refuse(t, no, freeze ? "it is frozen" : "it is not frozen");
		return 0;
	}
	witness_rekey(s); /* the other side sees the act as soon as it can */
	return mcp_answer_later(s, t, json_pack("{s:b}", "frozen", freeze), e);
}

static int on_freeze(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	(void)p, (void)key;
	return ledger_act(s, args, true, t, e);
}

static int on_thaw(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	(void)p, (void)key;
	return ledger_act(s, args, false, t, e);
}

#define TEXT "{\"type\":\"string\",\"minLength\":1}"
#define ROTATE_ARGS                                                            \
	"{\"type\":\"object\",\"properties\":{\"role\":" TEXT                  \
	",\"overlapMs\":{\"type\":\"integer\",\"minimum\":0},\"reason\":" TEXT \
	"},\"required\":[\"role\",\"overlapMs\",\"reason\"],\"additionalProperties\":false}"
#define COMPROMISE_ARGS                                                         \
	"{\"type\":\"object\",\"properties\":{\"key\":" TEXT ",\"since\":" TEXT \
	",\"reason\":" TEXT "},\"required\":[\"key\",\"reason\"],\"additionalProperties\":false}"
#define REASON_ARGS                                             \
	"{\"type\":\"object\",\"properties\":{\"reason\":" TEXT \
	"},\"required\":[\"reason\"],\"additionalProperties\":false}"

const struct mcp_row query_rows_key[] = {
	{ "key_list", "Keys", "Keys of this side, and those of others that were compromised",
	  .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_list },
	{ "key_document", "DID document", "The did:web document that peers pin", .read_only = true,
	  .idempotent = true, .who = WHO_HUMAN | WHO_APP, .call = on_document },
	{ "key_rotate", "Rotate a key", "The key that stands by signs; the old one verifies on",
	  .input_schema = ROTATE_ARGS, .who = WHO_HUMAN, .call = on_rotate },
	{ "key_compromise", "A key is compromised",
	  "Believes it no more, freezes what rests on it; traffic is kept",
	  .input_schema = COMPROMISE_ARGS, .destructive = true, .idempotent = true,
	  .who = WHO_HUMAN, .call = on_compromise },
	{ "ledger_freeze", "Freeze the ledger", "Nothing is held or captured until it is thawed",
	  .input_schema = REASON_ARGS, .destructive = true, .idempotent = true, .who = WHO_HUMAN,
	  .call = on_freeze },
	{ "ledger_thaw", "Thaw the ledger", "After its counters were recounted from the journal",
	  .input_schema = REASON_ARGS, .idempotent = true, .who = WHO_HUMAN, .call = on_thaw },
	{ 0 },
};
