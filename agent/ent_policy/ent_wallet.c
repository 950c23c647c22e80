/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise's own wallet: verified like anybody's, put into the ledger that gates it, and
 * kept, so that a re-issue over the wire survives a restart. */
#include "ent_int.h"

#include "agent/codec/wallet.h"
#include "agent/mcp_table.h"
#include "agent/status_lists.h"
#include "agent/store/store.h"

#include <errno.h>

#define WALLET_KEY "ent-wallet"

enum { STAPLE_MAX = 10240 }; /* of a list's bits: two of them and the wallet fit into a message */

static wall_t later(wall_t a, wall_t b)
{
	return a.ms > b.ms ? a : b;
}

static wall_t sooner(wall_t a, wall_t b)
{
	return a.ms < b.ms ? a : b;
}

static int terms_of(const struct ent *en, const struct wallet *w, const uint8_t digest[DIGEST_LEN],
		    struct ledger_wallet *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	ret->id.side = LEDGER_GATE;
	str_cut(ret->id.issuer, w->issuer);
	str_cut(ret->id.wallet_id, w->wallet_id);
	str_cut(ret->holder, w->holder);
	memcpy(ret->credential.b, digest, DIGEST_LEN);
	ret->generation = (uint32_t)w->generation;
	memcpy(ret->currency, w->currency, sizeof(ret->currency));
	ret->digits = en->parties.digits;
	ret->ceiling = w->ceiling;
	ret->agreement_max = w->agreement_max;
	ret->valid_from = later(w->valid_from, w->not_before);
	ret->valid_until = sooner(w->valid_until, w->not_after);
	ret->classes = w->n_classes;
	for (uint32_t i = 0; i < w->n_classes; i++) {
		str_cut(ret->klass[i].name, w->classes[i].name);
		ret->klass[i].ceiling = w->classes[i].ceiling;
	}
	if (w->generation > UINT32_MAX)
		return err_set(e, -ERANGE, "wallet.generation: at most 2^32-1");
	if (strlen(w->wallet_id) >= sizeof(((struct ev_accept *)0)->wallet.s))
		return err_set(e, -ERANGE, "wallet.walletId: at most %zu characters",
			       sizeof(((struct ev_accept *)0)->wallet.s) - 1);
	return 0;
}

/* The credential that the ledger knows, read back from the store: NULL when there is none. */
static int stored(struct ent *en, json_t **ret, struct err *e)
{
	auto_free void *p = NULL;
	size_t n;
	int r = store_kv_get(engine_store(en->s->engine), WALLET_KEY, &p, &n, e);

	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		*ret = NULL;
		return 0;
	}
	return r ? r : json_read(ret, p, n, &JSON_LIMITS_WALLET, e);
}

static int store_vc(struct ent *en, const json_t *vc, struct err *e)
{
	auto_free char *text = json_text_new(vc);

	return text ? store_kv_put(engine_store(en->s->engine), WALLET_KEY, text, strlen(text), e)
		    : err_set(e, -ENOMEM, "wallet");
}

/* A re-issue names the credential that it replaces; the ledger wants that one's digest. */
static int supersedes(struct ent *en, const struct wallet *w, struct ledger_wallet *t,
		      enum refusal *no, struct err *e)
{
	struct ledger_wallet cur;
	auto_json json_t *vc = NULL;
	struct wallet old;
	uint8_t digest[DIGEST_LEN];
	int r = ledger_wallet_get(engine_store(en->s->engine), &t->id, &cur, e);

	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		return 0;
	}
	if (r || !memcmp(&cur.credential, &t->credential, sizeof(cur.credential)))
		return r;
	r = stored(en, &vc, e);
	if (!r && vc)
		r = wallet_read(vc, &old, digest, e);
	if (r)
		return r;
	if (!vc || memcmp(digest, cur.credential.b, DIGEST_LEN) != 0 ||
	    strcmp(old.id, w->supersedes) != 0) {
		(void)err_set(e, -EPERM, "wallet.supersedes: not the credential in force");
		*no = REFUSE_WALLET_GENERATION;
	}
	t->supersedes = cur.credential;
	return 0;
}

static enum refusal fits(const struct ent *en, const struct wallet *w, struct err *e)
{
	bool named = false;

	if (strcmp(w->holder, en->s->cfg->daemon.did) != 0) {
		(void)err_set(e, -EACCES, "wallet.credentialSubject.id: not this daemon's DID");
		return REFUSE_WALLET_HOLDER;
	}
	for (uint32_t i = 0; i < w->n_operators; i++)
		named |= en->op && !strcmp(w->operators[i], en->op->did);
	if (!named) {
		(void)err_set(e, -EACCES, "wallet.operators: [enterprise] operator is not listed");
		return REFUSE_WALLET_POLICY;
	}
	for (uint32_t i = 0; i < en->s->cfg->trust.n_issuers; i++)
		if (!strcmp(en->s->cfg->trust.issuers[i], w->issuer))
			return REFUSE_NONE;
	/* Without a list any issuer may fund us: it is our own purse, the operator has its list. */
	if (en->s->cfg->trust.n_issuers == 0)
		return REFUSE_NONE;
	(void)err_set(e, -EACCES, "wallet.issuer: not in trust.issuers");
	return REFUSE_WALLET_ISSUER;
}

int ent_wallet_take(struct ent *en, const json_t *vc, enum refusal *no, struct err *e)
{
	struct store *st = engine_store(en->s->engine);
	struct ledger_wallet t;
	struct ledger_result res;
	struct wallet w;
	uint8_t digest[DIGEST_LEN];
	int r = wallet_verify(vc, &en->s->keys, &w, digest, e);

	if (r) {
		*no = r == -EINVAL ? REFUSE_WALLET_MALFORMED : REFUSE_WALLET_SIGNATURE;
		return 0;
	}
	*no = fits(en, &w, e);
	if (*no != REFUSE_NONE)
		return 0;
	r = terms_of(en, &w, digest, &t, e);
	if (!r)
		r = supersedes(en, &w, &t, no, e);
	if (r || *no != REFUSE_NONE)
		return r;
	r = ledger_wallet_put(st, &t, engine_now(en->s->engine), &res, e);
	if (!r && res.why != REFUSE_NONE) {
		*no = res.why;
		(void)err_set(e, -EPERM, "wallet: %s", refusal_text(res.why));
		return 0;
	}
	if (!r)
		r = store_vc(en, vc, e);
	if (r)
		return r;
	json_decref(en->vc);
	en->vc = json_deep_copy(vc);
	en->wallet = w;
	en->wid = t.id;
	en->has_wallet = en->vc != NULL;
	memcpy(en->wallet_digest, digest, sizeof(digest));
	return en->vc ? 0 : err_set(e, -ENOMEM, "wallet");
}

/* The newer of the file's and the store's, so that a re-issue outlives the old file. */
int ent_wallet_start(struct ent *en, json_t *file, struct err *e)
{
	enum refusal no = REFUSE_NONE;
	auto_json json_t *kept = NULL;
	struct wallet a, b;
	uint8_t digest[DIGEST_LEN];
	json_t *use = file;
	int r = stored(en, &kept, e);

	if (r)
		return r;
	if (kept && (!file || (!wallet_read(kept, &a, digest, NULL) &&
			       !wallet_read(file, &b, digest, NULL) &&
			       !strcmp(a.wallet_id, b.wallet_id) && a.generation > b.generation)))
		use = kept;
	if (!use)
		return 0;
	r = ent_wallet_take(en, use, &no, e);
	if (!r && no != REFUSE_NONE)
		return err_set(e, -EACCES, "wallet.credential: %s", refusal_text(no));
	return r;
}

static struct grades floor_of(const struct wallet_class *c)
{
	return (struct grades){ c->floor_bandwidth, c->floor_latency, c->floor_availability };
}

int ent_wallet_limits(struct ent *en, const name_t *class_name, struct wallet_limits *ret,
		      struct err *e)
{
	int k = wallet_class_find(&en->wallet, class_name->s);
	wall_t now = engine_now(en->s->engine);
	struct ledger_wallet w;
	int r;

	if (!en->has_wallet || k < 0)
		return err_set(e, -ENOENT, "wallet: class %s: not listed", class_name->s);
	r = ledger_wallet_get(engine_store(en->s->engine), &en->wid, &w, e);
	if (r)
		return r == -ENOENT ? err_set(e, -EUCLEAN, "wallet: not in the ledger") : r;
	memset(ret, 0, sizeof(*ret));
	ret->valid = !w.revoked && now.ms >= w.valid_from.ms && now.ms < w.valid_until.ms;
	ret->envelope_left.minor = w.ceiling.minor - w.held.minor - w.captured.minor;
	for (unsigned i = 0; i < w.classes; i++)
		if (!strcmp(w.klass[i].name, class_name->s))
			ret->class_left.minor = w.klass[i].ceiling.minor - w.klass[i].held.minor -
						w.klass[i].captured.minor;
	ret->agreement_max = en->wallet.agreement_max;
	ret->term_max_ms = en->wallet.term_max_s * 1000;
	memcpy(ret->currency, w.currency, sizeof(ret->currency));
	ret->floor = floor_of(&en->wallet.classes[k]);
	return 0;
}

void ent_wallet_staple(struct ent *en, const json_t *stapled[STATUS_PURPOSES])
{
	wall_t now = engine_now(en->s->engine);

	for (uint32_t i = 0; i < en->wallet.n_status; i++) {
		const json_t *vc = status_lists_credential(en->s, en->wallet.status[i].list, now);
		const json_t *s = json_object_get(vc, "credentialSubject");

		if (vc && json_string_length(json_object_get(s, "encodedList")) <= STAPLE_MAX)
			stapled[i] = vc;
	}
}

/* --- over the wire ------------------------------------------------------------------------------
 */

struct answer {
	struct mcp_turn *turn;
	json_t *js;
};

static void send_answer(void *arg)
{
	struct answer *a = arg;

	mcp_turn_result(a->turn, a->js);
	json_decref(a->js);
	free(a);
}

static int answer_after_commit(struct side *s, struct mcp_turn *t, json_t *js, struct err *e)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (!a || !js) {
		json_decref(js);
		free(a);
		return err_set(e, -ENOMEM, "answer");
	}
	*a = (struct answer){ t, js };
	engine_after_commit(s->engine, send_answer, a);
	return 0;
}

int ent_wallet_load(struct ent *en, const json_t *args, struct mcp_turn *t, struct err *e)
{
	enum refusal no = REFUSE_NONE;
	json_t *vc;
	int r = json_only(args, "", e, "credential", NULL);

	if (!r)
		r = json_need_obj(args, "", "credential", &vc, e);
	if (!r)
		r = ent_wallet_take(en, vc, &no, e);
	if (r)
		return r;
	if (no != REFUSE_NONE) {
		engine_refuse(en->s->engine, "ent_policy", "wallet_load", NULL, no, e->text);
		mcp_refuse(t, no, e->text);
		return 0;
	}
	return answer_after_commit(en->s, t,
				   json_pack("{s:s, s:I, s:s}", "walletId", en->wallet.wallet_id,
					     "generation", (json_int_t)en->wallet.generation,
					     "currency", en->wallet.currency),
				   e);
}
