/* SPDX-License-Identifier: Apache-2.0 */
/* The enterprise's own wallet: verified like anybody's, put into the ledger that gates it, and
 * kept, so that a re-issue over the wire survives a restart. */
#include "ent_int.h"

#include "agent/codec/wallet.h"
#include "agent/mcp_table.h"
#include "agent/status_lists.h"
#include "agent/store/store.h"
#include "agent/wallet_terms.h"

#include <errno.h>

#define WALLET_KEY "ent-wallet"

enum { STAPLE_MAX = 20480 }; /* of all lists' bits: with the wallet they fit into a message */

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

/* The place in the kept line of the wallet that the ledger knows by that digest; -1 = none. */
static int kept_at(const struct wallet_chain *kept, const struct hash *credential)
{
	for (uint32_t i = 0; i <= kept->line.n; i++)
		if (!memcmp(kept->digest[i], credential->b, DIGEST_LEN))
			return (int)i;
	return -1;
}

/* A re-issue names the credential that it replaces; the ledger wants that one's digest. */
static int supersedes(struct ent *en, const struct wallet *w, struct ledger_wallet *t,
		      enum refusal *no, struct err *e)
{
	struct ledger_wallet cur;
	auto_json json_t *vc = NULL;
	struct wallet_chain old;
	const struct wallet *was;
	int at = -1, r = ledger_wallet_get(engine_store(en->s->engine), &t->id, &cur, e);

	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		return 0;
	}
	if (r || !memcmp(&cur.credential, &t->credential, sizeof(cur.credential)))
		return r;
	r = stored(en, &vc, e);
	if (!r && vc)
		r = wallet_chain_read(vc, &old, e);
	if (r)
		return r;
	at = vc ? kept_at(&old, &cur.credential) : -1;
	was = at > 0 ? &old.line.up[at - 1] : &old.wallet;
	if (at < 0 || strcmp(was->id, w->supersedes) != 0) {
		(void)err_set(e, -EPERM, "wallet.supersedes: not the credential in force");
		*no = REFUSE_WALLET_GENERATION;
	}
	t->supersedes = cur.credential;
	return 0;
}

static enum refusal fits(const struct ent *en, const struct wallet_chain *c, struct err *e)
{
	const struct wallet *w = &c->wallet;
	const char *root = c->line.n ? c->line.up[c->line.n - 1].issuer : w->issuer;
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
	if (c->line.n > en->s->cfg->trust.depth_max) {
		(void)err_set(e, -EACCES, "wallet.delegation.parent: more than delegation-depth");
		return REFUSE_WALLET_DELEGATION;
	}
	for (uint32_t i = 0; i < en->s->cfg->trust.n_issuers; i++)
		if (!strcmp(en->s->cfg->trust.issuers[i], root))
			return REFUSE_NONE;
	/* Without a list any issuer may fund us: it is our own purse, the operator has its list. */
	if (en->s->cfg->trust.n_issuers == 0)
		return REFUSE_NONE;
	(void)err_set(e, -EACCES, "wallet.issuer: not in trust.issuers");
	return REFUSE_WALLET_ISSUER;
}

/* The line into the ledger that gates it: all of it or nothing. */
static int take_line(struct ent *en, const struct wallet_chain *c, struct ledger_wallet *t,
		     unsigned n, enum refusal *no, struct err *e)
{
	struct ledger_result res;
	int r = 0;

	for (unsigned i = 0; !r && *no == REFUSE_NONE && i < n; i++)
		r = supersedes(en, i ? &c->line.up[i - 1] : &c->wallet, &t[i], no, e);
	if (r || *no != REFUSE_NONE)
		return r;
	r = ledger_chain_put(engine_store(en->s->engine), t, n, engine_now(en->s->engine), &res, e);
	if (!r && res.why != REFUSE_NONE) {
		*no = res.why;
		(void)err_set(e, -EPERM, "wallet: %s", refusal_text(res.why));
	}
	return r;
}

int ent_wallet_take(struct ent *en, const json_t *vc, enum refusal *no, struct err *e)
{
	struct ledger_wallet t[LEDGER_CHAIN_MAX];
	struct wallet_chain c;
	int n, r = wallet_chain_verify(vc, &en->s->keys, &c, e);

	if (r) {
		*no = r == -EINVAL ? REFUSE_WALLET_MALFORMED : REFUSE_WALLET_SIGNATURE;
		return 0;
	}
	*no = fits(en, &c, e);
	if (*no != REFUSE_NONE)
		return 0;
	n = wallet_terms(&c, LEDGER_GATE, en->parties.digits, t, e);
	r = n < 0 ? n : take_line(en, &c, t, (unsigned)n, no, e);
	if (r || *no != REFUSE_NONE)
		return r;
	r = store_vc(en, vc, e);
	if (r)
		return r;
	json_decref(en->vc);
	en->vc = json_deep_copy(vc);
	en->wallet = c.wallet;
	en->line = c.line;
	en->wid = t[0].id;
	en->has_wallet = en->vc != NULL;
	memcpy(en->wallet_digest, c.digest[0], DIGEST_LEN);
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

static money_t left(money_t ceiling, money_t held, money_t captured)
{
	return (money_t){ ceiling.minor - held.minor - captured.minor };
}

static void narrow(money_t *m, money_t by)
{
	if (by.minor < m->minor)
		*m = by;
}

/* What one wallet of the line leaves of ret. */
static int limit_one(struct ent *en, const struct ledger_wallet_id *id, const char *class_name,
		     struct wallet_limits *ret, struct err *e)
{
	wall_t now = engine_now(en->s->engine);
	struct ledger_wallet w;
	int r = ledger_wallet_get(engine_store(en->s->engine), id, &w, e);

	if (r)
		return r == -ENOENT ? err_set(e, -EUCLEAN, "wallet: not in the ledger") : r;
	ret->valid &= !w.revoked && now.ms >= w.valid_from.ms && now.ms < w.valid_until.ms;
	narrow(&ret->envelope_left, left(w.ceiling, w.held, w.captured));
	narrow(&ret->agreement_max, w.agreement_max);
	for (unsigned i = 0; i < w.classes; i++)
		if (!strcmp(w.klass[i].name, class_name))
			narrow(&ret->class_left,
			       left(w.klass[i].ceiling, w.klass[i].held, w.klass[i].captured));
	return 0;
}

int ent_wallet_limits(struct ent *en, const name_t *class_name, struct wallet_limits *ret,
		      struct err *e)
{
	int k = wallet_class_find(&en->wallet, class_name->s);
	struct ledger_wallet_id id = en->wid;
	int r;

	if (!en->has_wallet || k < 0)
		return err_set(e, -ENOENT, "wallet: class %s: not listed", class_name->s);
	*ret = (struct wallet_limits){ .valid = true,
				       .envelope_left = en->wallet.ceiling,
				       .class_left = en->wallet.classes[k].ceiling,
				       .agreement_max = en->wallet.agreement_max,
				       .term_max_ms = en->wallet.term_max_s * 1000,
				       .floor = floor_of(&en->wallet.classes[k]) };
	memcpy(ret->currency, en->wallet.currency, sizeof(ret->currency));
	r = limit_one(en, &id, class_name->s, ret, e);
	for (uint32_t i = 0; !r && i < en->line.n; i++) {
		str_cut(id.issuer, en->line.up[i].issuer);
		str_cut(id.wallet_id, en->line.up[i].wallet_id);
		r = limit_one(en, &id, class_name->s, ret, e);
	}
	return r;
}

/* The lists of the whole line; what does not fit stays, the operator may have its own copy. */
void ent_wallet_staple(struct ent *en, const json_t *stapled[LISTS_MAX])
{
	wall_t now = engine_now(en->s->engine);
	size_t n = 0, used = 0;

	for (uint32_t k = 0; k <= en->line.n; k++) {
		const struct wallet *w = k ? &en->line.up[k - 1] : &en->wallet;

		for (uint32_t i = 0; i < w->n_status; i++) {
			const json_t *vc = status_lists_credential(en->s, w->status[i].list, now);
			const json_t *s = json_object_get(vc, "credentialSubject");
			size_t bits = json_string_length(json_object_get(s, "encodedList"));
			bool known = !vc || used + bits > STAPLE_MAX;

			for (size_t m = 0; m < n; m++)
				known |= stapled[m] == vc;
			if (known)
				continue;
			used += bits;
			stapled[n++] = vc;
		}
	}
}

/* --- over the wire ------------------------------------------------------------------------------
 */

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
	return mcp_answer_later(en->s, t,
				json_pack("{s:s, s:I, s:s}", "walletId", en->wallet.wallet_id,
					  "generation", (json_int_t)en->wallet.generation,
					  "currency", en->wallet.currency),
				e);
}
