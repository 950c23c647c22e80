/* SPDX-License-Identifier: Apache-2.0 */
/* A wallet is (issuer, walletId). Its counters live in the shadow ledger; beside them, in the
 * store's small values: the id of its current credential (a re-issue names its predecessor by id),
 * and the marks "frozen" and "revoked". */
#include "bss_known.h"

#include "agent/bss_desk.h"
#include "agent/codec/revocation.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/peer.h"
#include "agent/status_lists.h"
#include "agent/store/ledger.h"
#include "agent/witness_file.h"

#include <errno.h>
#include <stdio.h>

typedef char known_key[96];

/* "wallet/<mark>/<SHA-256 of issuer NUL walletId>": names of any length, one size of key. */
static void key_of(const char *mark, const char *issuer, const char *wallet_id, known_key ret)
{
	uint8_t d[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, issuer, strlen(issuer) + 1);
	sha256_add(&c, wallet_id, strlen(wallet_id) + 1);
	sha256_end(&c, d);
	(void)hex_encode(d, sizeof(d), hex, sizeof(hex));
	(void)snprintf(ret, sizeof(known_key), "wallet/%s/%s", mark, hex);
}

/* 1 marked, 0 not, negative: the store failed. */
static int marked(struct side *s, const char *mark, const struct wallet *w, char **ret)
{
	struct err e = { 0 };
	void *val = NULL;
	known_key key;
	size_t len;
	int r;

	key_of(mark, w->issuer, w->wallet_id, key);
	r = store_kv_get(engine_store(s->engine), key, &val, &len, &e);
	if (ret && !r)
		*ret = val;
	else
		free(val);
	return r == -ENOENT ? 0 : r ? r : 1;
}

static int ledger_row(struct side *s, const struct wallet *w, struct ledger_wallet *ret)
{
	struct ledger_wallet_id id = { .side = LEDGER_SHADOW };
	struct err e = { 0 };

	str_cut(id.issuer, w->issuer);
	str_cut(id.wallet_id, w->wallet_id);
	return ledger_wallet_get(engine_store(s->engine), &id, ret, &e);
}

/* --- what wallet_admit() asks ------------------------------------------------------------------
 */

static bool trusted(void *arg, const char *issuer, const char *holder)
{
	const struct side *s = arg;
	const struct cfg_peer *p = peer_by_did(s->cfg, holder);
	bool known = false;

	for (uint32_t i = 0; i < s->cfg->trust.n_issuers; i++)
		known |= !strcmp(s->cfg->trust.issuers[i], issuer);
	return known && p && p->role == PEER_ENTERPRISE;
}

static bool challenge_known(void *arg, const char *challenge, const char *peer)
{
	struct side *s = arg;
	struct err e = { 0 };
	bool known = false;

	return !store_challenge_known(engine_store(s->engine), challenge, peer,
				      engine_now(s->engine), &known, &e) &&
	       known;
}

static bool challenge_consume(void *arg, const char *challenge, const char *peer)
{
	struct side *s = arg;
	enum refusal why = REFUSE_WALLET_CHALLENGE;
	struct err e = { 0 };

	return !store_challenge_use(engine_store(s->engine), challenge, peer, engine_now(s->engine),
				    &why, &e) &&
	       why == REFUSE_NONE;
}

/* What was revoked here, by hand or by the local file; the wallet's own lists come on top. */
static int revoked(void *arg, const struct wallet *w)
{
	struct side *s = arg;
	const char *file = s->cfg->trust.revoked_file;
	struct ledger_wallet row;
	struct err e = { 0 };
	int r = marked(s, "revoked", w, NULL);

	if (r)
		return r;
	r = ledger_row(s, w, &row);
	if (r && r != -ENOENT)
		return r;
	/* One that is frozen holds nothing either, and is refused by that word, further on. */
	if (!r && row.revoked)
		r = marked(s, "frozen", w, NULL) ? 0 : 1;
	if (r > 0)
		return r;
	return file[0] ? revocation_check_file(file, w, &e) : 0;
}

static const struct status_list *status_list(void *arg, const char *url)
{
	return status_lists_find(arg, url);
}

/* Pinned ones are never asked for: the resolver says -EAGAIN for the others alone. */
static bool document_due(void *arg, const char *did)
{
	return side_document_due(arg, did);
}

static bool list_due(void *arg, const char *url)
{
	struct side *s = arg;

	return status_lists_due(s, url, engine_now(s->engine));
}

static void generation(void *arg, const struct wallet *w, const uint8_t digest[DIGEST_LEN],
		       struct wallet_facts *f)
{
	struct ledger_wallet row;
	int r = ledger_row(arg, w, &row);

	/* A store that fails is no reason to admit: it looks frozen. */
	f->equivocated = marked(arg, "frozen", w, NULL) != 0 || (r && r != -ENOENT);
	f->seen = r ? WALLET_SEEN_NEVER : WALLET_SEEN_BEFORE;
	if (r)
		return;
	f->seen_generation = row.generation;
	f->same_digest = bytes_equal(row.credential.b, digest, DIGEST_LEN);
}

void known_env(struct side *s, struct admit_env *env)
{
	env->arg = s;
	env->trusted = trusted;
	env->challenge_known = challenge_known;
	env->challenge_consume = challenge_consume;
	env->revoked = revoked;
	env->status_list = status_list;
	env->document_due = document_due;
	env->list_due = list_due;
	env->generation = generation;
}

/* --- what is remembered ----------------------------------------------------------------------- */

int known_supersedes(struct side *s, const struct wallet *w, struct hash *ret, struct err *e)
{
	auto_free char *id = NULL;
	struct ledger_wallet row;
	int r = ledger_row(s, w, &row);

	memset(ret, 0, sizeof(*ret));
	if (r)
		return r == -ENOENT ? 0 : err_set(e, r, "shadow ledger");
	r = marked(s, "credential", w, &id);
	if (r > 0 && !strcmp(id, w->supersedes))
		*ret = row.credential;
	return r < 0 ? err_set(e, r, "wallet's credential") : 0;
}

static int mark(struct side *s, const char *name, const char *issuer, const char *wallet_id,
		const char *val, struct err *e)
{
	known_key key;

	key_of(name, issuer, wallet_id, key);
	return store_kv_put(engine_store(s->engine), key, val, strlen(val), e);
}

int known_put(struct side *s, const struct wallet *w, struct err *e)
{
	return mark(s, "credential", w->issuer, w->wallet_id, w->id, e);
}

/* Both contents in one file, which convinces whoever knows the issuer's key, without us. The freeze
 * does not wait for it: what fails here is said, and the bodies are kept anyway. */
static void keep_both(struct side *s, const digest_t *known, const digest_t *shown,
		      const json_t *vc)
{
	auto_json json_t *first = NULL, *both = NULL;
	auto_free char *text = NULL;
	char name[32], hex[17];
	struct err e = { 0 };
	int r = desk_body_get(s, known, &first, &e);

	if (!r)
		both = json_pack("{s:s, s:O, s:O}", "type", WALLET_EVIDENCE, "known", first,
				 "shown", vc);
	text = both ? json_dump_new(both, JSON_COMPACT) : NULL;
	(void)hex_encode(shown->b, 8, hex, sizeof(hex));
	(void)snprintf(name, sizeof(name), "evidence-%s.json", hex);
	if (!r)
		r = text ? witness_file_new(s->cfg->daemon.agents_dir, name, text, &e) : -ENOMEM;
	if (r && r != -EEXIST)
		log_error("wallet's evidence: %s", e.code ? e.text : strerror(-r));
	else
		log_error("wallet's evidence is in %s", name);
}

/* What was quoted on it before holds no money any more, nor does what stands below it. */
static int stop_holds(struct side *s, const struct ledger_wallet_id *id, struct err *e)
{
	struct ledger_result res;

	return ledger_wallet_revoke(engine_store(s->engine), id, engine_now(s->engine), &res, e);
}

int known_freeze(struct side *s, const struct wallet *w, const json_t *vc, struct err *e)
{
	char first[2 * DIGEST_LEN + 1], second[2 * DIGEST_LEN + 1], both[sizeof(first) * 2];
	struct ledger_wallet row;
	digest_t d, known;
	int r = marked(s, "frozen", w, NULL);

	if (r) /* the first pair is proof enough */
		return r < 0 ? err_set(e, r, "wallet's marks") : 0;
	r = ledger_row(s, w, &row);
	if (!r)
		r = desk_body_put(s, w->holder, vc, &d, e);
	if (r)
		return err_set(e, r, "wallet's evidence");
	(void)hex_encode(row.credential.b, DIGEST_LEN, first, sizeof(first));
	(void)hex_encode(d.b, DIGEST_LEN, second, sizeof(second));
	(void)snprintf(both, sizeof(both), "%s %s", first, second);
	log_error("wallet %s: generation %lld was issued twice: %s", w->wallet_id,
		  (long long)w->generation, both);
	memcpy(known.b, row.credential.b, DIGEST_LEN);
	keep_both(s, &known, &d, vc);
	r = stop_holds(s, &row.id, e);
	return r ? r : mark(s, "frozen", w->issuer, w->wallet_id, both, e);
}

int known_evidence(struct side *s, const struct wallet *w, char **ret, struct err *e)
{
	int r = marked(s, "frozen", w, ret);

	return r > 0 ? 0 : err_set(e, r ? r : -ENOENT, "wallet: not frozen");
}

static int revoke_one(struct side *s, const struct ledger_wallet_id *w, wall_t now, struct err *e)
{
	struct ledger_result res;
	int r = mark(s, "revoked", w->issuer, w->wallet_id, "1", e);

	/* WALLET_MISSING: never seen here, the mark is enough */
	return r ? r : ledger_wallet_revoke(engine_store(s->engine), w, now, &res, e);
}

/* Sub-wallets of that id: their issuers are no registered ones. */
struct below {
	const char *wallet_id;
	struct ledger_wallet_id id[CFG_PEERS];
	size_t n;
};

static int find_below(void *arg, const struct ledger_wallet *w)
{
	struct below *b = arg;

	if (w->id.side != LEDGER_SHADOW || !w->parent_row || strcmp(w->id.wallet_id, b->wallet_id))
		return 0;
	if (b->n == ARRAY_LEN(b->id))
		return -ENOBUFS;
	b->id[b->n++] = w->id;
	return 0;
}

int known_revoke(struct side *s, const struct ev_ref *ref, wall_t now, struct err *e)
{
	const ident_t *id = ident_empty(ref->about) ? &ref->deal : &ref->about;
	struct ledger_wallet_id w = { .side = LEDGER_SHADOW };
	struct below b = { .wallet_id = id->s };
	int r = 0;

	if (ident_empty(*id))
		return 0;
	str_cut(w.wallet_id, id->s);
	for (uint32_t i = 0; !r && i < s->cfg->trust.n_issuers; i++) {
		str_cut(w.issuer, s->cfg->trust.issuers[i]);
		r = revoke_one(s, &w, now, e);
	}
	if (!r)
		r = ledger_wallets(engine_store(s->engine), find_below, &b, e);
	for (size_t i = 0; !r && i < b.n; i++)
		r = revoke_one(s, &b.id[i], now, e);
	return r;
}
