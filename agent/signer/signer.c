/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a signature: rate, rules, record on disk, sign, reply. */
#include "signer_int.h"
#include "agent/confine.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/role.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

static const struct {
	const char *rule;
	int code;
} verdicts[SIGN_VERDICTS_] = {
	[SIGN_OK] = { "", 0 },
	[SIGN_AGAIN] = { "", 0 },
	[SIGN_BAD_KIND] = { "kind: unknown", -EPROTO },
	[SIGN_BAD_LEN] = { "data: of the wrong length", -EPROTO },
	[SIGN_NO_TEXT] = { "document: none, or not one whole object", -EACCES },
	[SIGN_NO_PROOF] = { "proof: not of this kind, or not by a key of ours", -EACCES },
	[SIGN_NO_TYPE] = { "type: another kind of document", -EACCES },
	[SIGN_NO_AUTHOR] = { "document: its author is not this side", -EACCES },
	[SIGN_NO_LINEAGE] = { "lineage: must be given", -EACCES },
	[SIGN_NO_REVISION] = { "revision: must be at least 1", -EACCES },
	[SIGN_NO_AMOUNT] = { "amount: must be given, from 0", -EACCES },
	[SIGN_NOT_ABOUT] = { "agreementDigest: not of the agreement that was shown", -EACCES },
	[SIGN_STALE] = { "revision: a later one was signed", -EACCES },
	[SIGN_FORK] = { "revision: was signed with other content", -EACCES },
	[SIGN_OVER_LIMIT] = { "amount: above the configured ledger.ceiling", -EACCES },
	[SIGN_NO_WALLET] = { "walletId: must be given", -EACCES },
	[SIGN_OTHER_MONEY] = { "currency: not the configured ledger.currency", -EACCES },
	[SIGN_OVER_WALLET] = { "amount: this wallet's sum would be above ledger.wallet-ceiling",
			       -EACCES },
	[SIGN_OVER_TOTAL] = { "amount: the sum would be above ledger.total-ceiling", -EACCES },
	[SIGN_OVER_WALLET_BACK] = { "amount: what goes back on this wallet would be above "
				    "ledger.wallet-ceiling",
				    -EACCES },
	[SIGN_OVER_TOTAL_BACK] = { "amount: what goes back would be above ledger.total-ceiling",
				   -EACCES },
	[SIGN_FORGOTTEN] = { "lineageId: named before the signer's horizon, and none it knows",
			     -ESTALE },
	[SIGN_NAMES_FULL] = { "lineageId: says no time that has come, and the signer knows as "
			      "many such names as it may",
			      -ENOSPC },
	[SIGN_WALLETS_FULL] = { "walletId: new, and the signer knows as many as it may", -ENOSPC },
	[SIGN_NOT_CHECKPOINT] = { "data: is no checkpoint", -EACCES },
	[SIGN_NOT_ATTESTED] = { "state: the log has not confirmed it", -EACCES },
	[SIGN_TOO_FAST] = { "rate: above keys.rate", -EAGAIN },
};

static int refuse(enum sign_verdict v, struct err *e)
{
	return err_set(e, verdicts[v].code, "%s", verdicts[v].rule);
}

static int64_t clock_us(clockid_t id)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static const enum cfg_key_kind key_of[SIGNER_MAX_] = {
	[SIGNER_WALLET] = KEY_WALLET,         [SIGNER_PRESENTATION] = KEY_PRESENTATION,
	[SIGNER_AGREEMENT] = KEY_AGREEMENT,   [SIGNER_ACCEPTANCE] = KEY_AGREEMENT,
	[SIGNER_CHECKPOINT] = KEY_CHECKPOINT, [SIGNER_RECEIPT] = KEY_AGREEMENT,
	[SIGNER_DISCLOSURE] = KEY_AGREEMENT,  [SIGNER_EXPORT] = KEY_AGREEMENT,
	[SIGNER_CREDIT] = KEY_AGREEMENT,
};

/* A part of a document that goes by, in messages of one size. */
static int on_text(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct sign_text *q = req;
	const char *const *paths;
	struct signer *s = ctx;
	struct sign_doc *d;

	(void)rep;
	(void)ret_fd;
	if (q->part >= SIGN_PARTS || q->first > 1 || q->len > SIGN_TEXT_MAX)
		return err_set(e, -EPROTO, "text: of the wrong shape");
	paths = sign_paths(q->kind, q->part);
	d = &s->doc[q->part];
	if (!paths || (!q->first && (!d->open || d->kind != q->kind)))
		return err_set(e, -EPROTO, "text: of no document");
	if (q->first) {
		scan_begin(&d->scan, paths);
		(void)crypto_hash_sha256_init(&d->hash);
		d->kind = q->kind;
		d->open = true;
	}
	scan_feed(&d->scan, q->data, q->len);
	(void)crypto_hash_sha256_update(&d->hash, q->data, q->len);
	return 0;
}

/* What is signed in the end, and what the state remembers of it. */
struct signing {
	uint8_t hash[64];
	uint8_t lineage[SIGN_LINEAGE_LEN];
	struct sign_last now;
	int64_t amount;
	struct sign_commit commit; /* of an agreement, own or accepted */
	uint64_t named;            /* sign_named() */
};

static struct sign_limits limits_of(const struct config *c)
{
	const struct cfg_ledger *l = &c->ledger;

	return (struct sign_limits){
		.currency = l->currency,
		.one = l->ceiling.minor,
		.wallet = l->wallet_ceiling.minor ? l->wallet_ceiling.minor : l->ceiling.minor,
		.total = l->total_ceiling.minor ? l->total_ceiling.minor : INT64_MAX,
	};
}

/* A checkpoint is known by its origin, moves by its size and means its root: cosigning the same
 * root at another time is the same statement. */
static void read_checkpoint(const struct sign_req *q, struct signing *w)
{
	struct checkpoint_view v;

	if (!checkpoint_parse(&v, q->data, q->data_len))
		return;
	(void)crypto_hash_sha256(w->lineage, q->data + v.origin, v.origin_len);
	(void)crypto_hash_sha256(w->now.digest, q->data + v.root, v.root_len);
	w->now.revision = v.size;
}

static struct sign_doc *shown(struct signer *s, const struct sign_req *q, enum sign_part part)
{
	struct sign_doc *d = &s->doc[part];

	return d->open && d->kind == q->kind ? d : NULL;
}

static uint64_t now_s(void)
{
	return (uint64_t)clock_us(CLOCK_REALTIME) / 1000000;
}

static uint64_t period_of(const struct signer *s, uint32_t record)
{
	return sign_period(now_s(), s->c->ledger.period_s, sstate_total(s->state, record).period);
}

static void read_commit(const struct signer *s, uint32_t kind, const struct sign_facts *f,
			struct signing *w)
{
	uint8_t h[SHA256_LEN];

	w->amount = f->amount;
	if (!f->wallet)
		return;
	(void)crypto_hash_sha256(h, (const uint8_t *)f->wallet, f->wallet_len);
	memcpy(w->commit.wallet, h, sizeof(w->commit.wallet));
	w->commit.period = period_of(s, sign_commits(kind));
}

static enum sign_verdict read_document(struct signer *s, const struct sign_req *q,
				       struct signing *w)
{
	struct sign_doc *doc = shown(s, q, SIGN_DOCUMENT), *about = shown(s, q, SIGN_ABOUT);
	const struct sign_limits lim = limits_of(s->c);
	char digest[DIGEST_MULTIBASE_MAX] = "";
	uint8_t h[SHA256_LEN];
	struct sign_facts f;
	enum sign_verdict v;

	if (about) {
		(void)crypto_hash_sha256_final(&about->hash, h);
		digest_encode(h, digest);
	}
	v = sign_check_proof(q, s->c->daemon.did);
	if (v == SIGN_OK)
		v = sign_check_text(q->kind, doc ? &doc->scan : NULL, about ? &about->scan : NULL,
				    digest, s->c->daemon.did, &lim, &f);
	if (v != SIGN_OK || !doc)
		return v;
	(void)crypto_hash_sha256(w->hash, q->data, q->data_len);
	(void)crypto_hash_sha256_final(&doc->hash, w->hash + 32);
	(void)crypto_hash_sha256(w->now.digest, w->hash, sizeof(w->hash));
	(void)crypto_hash_sha256(w->lineage, (const uint8_t *)f.lineage, f.lineage_len);
	w->now.revision = f.revision;
	w->named = sign_commits(q->kind) ? sign_named(f.dated, f.dated_len) : 0;
	read_commit(s, q->kind, &f, w);
	return SIGN_OK;
}

/* What is not in the table was never signed, or is named before the horizon. */
static enum sign_verdict check_memory(const struct signer *s, uint32_t kind,
				      const struct signing *w)
{
	uint32_t record = sign_commits(kind);
	struct sign_sum wallet;

	if (!record || sstate_knows(s->state, record, w->lineage))
		return SIGN_OK;
	if (w->named && w->named < sstate_horizon(s->state))
		return SIGN_FORGOTTEN;
	if (!sign_forgettable(w->named, now_s()) && sstate_kept(s->state) >= SIGNER_KEPT)
		return SIGN_NAMES_FULL;
	wallet = sstate_wallet(s->state, record, &w->commit);
	return w->amount && !wallet.ever && sstate_kept(s->state) >= SIGNER_KEPT ? SIGN_WALLETS_FULL
										 : SIGN_OK;
}

/* An operator of before there was such a sum has only ledger.ceiling, and must learn of the other.
 */
static int refuse_sum(const struct signer *s, enum sign_verdict v, struct err *e)
{
	bool own = v == SIGN_OVER_TOTAL || v == SIGN_OVER_TOTAL_BACK ||
		   s->c->ledger.wallet_ceiling.minor;

	return own ? refuse(v, e)
		   : err_set(e, verdicts[v].code, "%s, which is ledger.ceiling when not given",
			     verdicts[v].rule);
}

/* What this signature commits beyond what its lineage did before, on top of the wallet's sum. Of an
 * agreement's revisions the dearest counts, as in the ledger; signed again, nothing is added. */
static int add_commit(struct signer *s, uint32_t kind, const struct signing *w,
		      struct sstate_new *ret, unsigned *n, struct err *e)
{
	const struct sign_limits lim = limits_of(s->c);
	uint32_t record = sign_commits(kind);
	struct sign_sum wallet, total;
	enum sign_verdict v;
	int64_t more;

	if (!record)
		return 0;
	more = w->amount - sstate_committed(s->state, record, w->lineage);
	if (more <= 0)
		return 0;
	wallet = sstate_wallet(s->state, record, &w->commit);
	total = sstate_total(s->state, record);
	v = sign_check_sums(record, sign_sum_of(&wallet, w->commit.period),
			    sign_sum_of(&total, w->commit.period), more, &lim);
	if (v != SIGN_OK)
		return refuse_sum(s, v, e);
	ret->kind = record;
	ret->named = sign_forgettable(w->named, now_s());
	memcpy(ret->lineage, w->lineage, sizeof(ret->lineage));
	ret->now.revision = (uint64_t)w->amount;
	memcpy(ret->now.digest, &w->commit, sizeof(w->commit));
	*n = 1;
	return 0;
}

static int record(struct signer *s, uint32_t kind, const struct signing *w, struct err *e)
{
	struct sign_last last = sstate_last(s->state, kind, w->lineage);
	enum sign_verdict v = sign_has_revisions(kind)
				      ? sign_check_revision(&last, w->now.revision, w->now.digest)
				      : SIGN_AGAIN; /* nothing but its sum is kept */
	enum sign_verdict known = SIGN_OK;
	struct sstate_new add[SSTATE_ADD_MAX];
	unsigned n = 0;
	int r;

	if (v == SIGN_OK || v == SIGN_AGAIN)
		known = check_memory(s, kind, w);
	v = known == SIGN_OK ? v : known;
	if (v != SIGN_OK && v != SIGN_AGAIN)
		return refuse(v, e);
	/* The money first: after a crash between the two it is counted, and not again. */
	r = add_commit(s, kind, w, add, &n, e);
	if (r)
		return r;
	if (v == SIGN_OK) {
		add[n] = (struct sstate_new){ .kind = kind,
					      .named = sign_forgettable(w->named, now_s()),
					      .now = w->now };
		memcpy(add[n++].lineage, w->lineage, sizeof(w->lineage));
	}
	return n ? sstate_add(s->state, add, n, e) : 0;
}

/* Each key has a bucket of its own: a flood at one does not keep the others from signing. */
static int take_token(struct signer *s, enum cfg_key_kind key, struct err *e)
{
	int64_t wait = sign_take(&s->bucket[key], s->c->keys.rate_per_s, s->c->keys.burst,
				 clock_us(CLOCK_BOOTTIME));

	return wait ? err_set(e, verdicts[SIGN_TOO_FAST].code, "%s, again in %lld ms",
			      verdicts[SIGN_TOO_FAST].rule, (long long)(wait + 999) / 1000)
		    : 0;
}

static int sign(struct signer *s, const struct sign_req *q, struct sign_rep *p, struct err *e)
{
	struct signing w = { 0 };
	const struct key_pair *k;
	enum sign_verdict v = sign_check(q);
	int r;

	if (v == SIGN_OK && !s->attested)
		v = SIGN_NOT_ATTESTED;
	if (v != SIGN_OK)
		return refuse(v, e);
	r = take_token(s, key_of[q->kind], e);
	if (r)
		return r;
	if (q->kind == SIGNER_CHECKPOINT)
		read_checkpoint(q, &w);
	else
		v = read_document(s, q, &w);
	if (v != SIGN_OK)
		return refuse(v, e);
	k = s->key[key_of[q->kind]];
	if (!k)
		return err_set(e, -ENOKEY, "kind: this side has no such key");
	if (sign_has_revisions(q->kind) || sign_commits(q->kind))
		r = record(s, q->kind, &w, e);
	if (r)
		return r;
	if (q->kind == SIGNER_CHECKPOINT)
		(void)crypto_sign_detached(p->signature, NULL, q->data, q->data_len, k->secret);
	else
		(void)crypto_sign_detached(p->signature, NULL, w.hash, sizeof(w.hash), k->secret);
	memcpy(p->public, k->public, sizeof(p->public));
	p->count = sstate_count(s->state);
	return sstate_head(s->state, p->count, p->head);
}

static int on_sign(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct signer *s = ctx;
	int r = sign(s, req, rep, e);

	(void)ret_fd;
	s->doc[SIGN_DOCUMENT].open = s->doc[SIGN_ABOUT].open = false;
	return r;
}

/* A state that is ahead of the log is normal: the crash came after our fsync and before the log's
 * commit. A state behind it was restored from a backup or replaced. */
static int on_attest(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct attest_req *q = req;
	struct attest_rep *p = rep;
	struct signer *s = ctx;
	uint8_t head[32];
	int r;

	(void)ret_fd;
	s->attested = false;
	r = sstate_head(s->state, q->count, head);
	if (r == -ERANGE)
		return err_set(e, -EACCES, "state: has %llu records, the log knows of %llu",
			       (unsigned long long)sstate_count(s->state),
			       (unsigned long long)q->count);
	if (r == -ESTALE)
		return err_set(
			e, -EACCES,
			"state: has %llu records and was written anew, the log knows of %llu",
			(unsigned long long)sstate_count(s->state), (unsigned long long)q->count);
	if (r)
		return err_set(e, r, "state: %s", strerror(-r));
	if (memcmp(head, q->head, sizeof(head)))
		return err_set(e, -EACCES, "state: record %llu is not the one the log knows of",
			       (unsigned long long)q->count);
	s->attested = true;
	p->count = sstate_count(s->state);
	return sstate_head(s->state, p->count, p->head);
}

static int on_sums(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct sums_req *q = req;
	const struct signer *s = ctx;
	const struct sign_limits lim = limits_of(s->c);
	struct sign_commit c = { 0 };
	struct sign_sum out, back;
	struct sums_rep *p = rep;

	(void)ret_fd;
	(void)e;
	memcpy(c.wallet, q->wallet, sizeof(c.wallet));
	out = q->all ? sstate_total(s->state, SIGN_STATE_AGREED)
		     : sstate_wallet(s->state, SIGN_STATE_AGREED, &c);
	back = q->all ? sstate_total(s->state, SIGN_STATE_CREDITED)
		      : sstate_wallet(s->state, SIGN_STATE_CREDITED, &c);
	p->period = period_of(s, SIGN_STATE_AGREED);
	p->committed = sign_sum_of(&out, p->period);
	p->credited = sign_sum_of(&back, period_of(s, SIGN_STATE_CREDITED));
	p->ceiling = q->all ? lim.total : lim.wallet;
	p->horizon = sstate_horizon(s->state);
	p->lineages = sstate_lineages(s->state);
	p->kept = sstate_kept(s->state);
	return 0;
}

/* Whoever asks, and for whatever: what it makes us forget, it keeps us from signing for good. */
static int on_horizon(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct horizon_req *q = req;
	struct horizon_rep *p = rep;
	struct signer *s = ctx;
	uint64_t now = now_s();
	int r;

	(void)ret_fd;
	if (!s->attested)
		return refuse(SIGN_NOT_ATTESTED, e);
	if (now < SIGNER_MARGIN_S || q->before > now - SIGNER_MARGIN_S || q->before > UINT32_MAX)
		return err_set(e, -EACCES,
			       "before: must lie %d s or more behind the signer's own clock",
			       SIGNER_MARGIN_S);
	r = sstate_forget(s->state, (uint32_t)q->before, &p->gone, e);
	if (r)
		return r;
	p->horizon = sstate_horizon(s->state);
	p->lineages = sstate_lineages(s->state);
	p->count = sstate_count(s->state);
	return sstate_head(s->state, p->count, p->head);
}

static int on_ping(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	(void)ctx;
	(void)ret_fd;
	(void)e;
	memcpy(rep, req, sizeof(struct msg_ping));
	return 0;
}

const struct msg_handler signer_rows[SIGNER_ROWS] = {
	{ MSG_PING, sizeof(struct msg_ping), sizeof(struct msg_ping), on_ping },
	{ MSG_SIGN, sizeof(struct sign_req), sizeof(struct sign_rep), on_sign },
	{ MSG_PUBKEY, sizeof(struct pubkey_req), sizeof(struct pubkey_rep), keys_on_pubkey },
	{ MSG_ATTEST, sizeof(struct attest_req), sizeof(struct attest_rep), on_attest },
	{ MSG_KEY, sizeof(struct key_req), sizeof(struct key_rep), keys_on_act },
	{ MSG_SIGN_TEXT, sizeof(struct sign_text), MSG_ONE_WAY, on_text },
	{ MSG_SUMS, sizeof(struct sums_req), sizeof(struct sums_rep), on_sums },
	{ MSG_HORIZON, sizeof(struct horizon_req), sizeof(struct horizon_rep), on_horizon },
};

int signer_open(struct signer *s, const struct config *c, struct err *e)
{
	int r;

	*s = (struct signer){ .c = c };
	r = sstate_open(&s->state, c->keys.state, e);
	return r ? r : keys_open(s, e);
}

void signer_close(struct signer *s)
{
	keys_close(s);
	s->state = sstate_free(s->state);
}

/* Files are open, keys are read: from here on nothing can be opened any more. The state file's
 * directory belongs to root, so that the agents, who have our uid, cannot replace it. */
static int confine(const struct config *c, struct err *e)
{
	static const char *const nothing[] = { NULL };
	struct confine_user u;
	pid_t parent = getppid();
	int abi, r = 0;

	if (geteuid() == 0) {
		r = confine_user_find(&u, c->daemon.user, e);
		r = r ? r : confine_drop_user(&u, e);
	} else {
		r = confine_keep_caps(0, e);
	}
	r = r ? r : confine_no_new_privs(e);
	r = r ? r : confine_no_dump(e);
	r = r ? r : confine_files(nothing, nothing, &abi, e);
	if (!r && role_die_with(parent))
		r = err_set(e, -ESRCH, "the parent is gone");
	return r ? r : confine_syscalls(CONFINE_SIGNER, NULL, 0, e);
}

/* The parent never speaks here: its end only tells, by closing, that it is over. */
static int serve(struct signer *s, int parent_fd, int agents_fd, struct err *e)
{
	struct pollfd p[2] = { { .fd = parent_fd, .events = POLLIN },
			       { .fd = agents_fd, .events = POLLIN } };

	for (;;) {
		int r;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_set(e, -errno, "poll: %s", strerror(errno));
		if (p[0].revents)
			return 0;
		if (!p[1].revents)
			continue;
		r = msg_serve(agents_fd, signer_rows, SIGNER_ROWS, s, e);
		if (r == -EPIPE) { /* agents are gone: wait for the parent's word */
			p[1].fd = -1;
			if (e)
				*e = (struct err){ 0 };
		} else if (r) {
			return r;
		}
	}
}

int signer_run(const struct config *c, int parent_fd, int agents_fd, struct err *e)
{
	struct signer s;
	int r = signer_open(&s, c, e);

	r = r ? r : confine(c, e);
	if (!r)
		log_info("ready, %llu records", (unsigned long long)sstate_count(s.state));
	r = r ? r : serve(&s, parent_fd, agents_fd, e);
	signer_close(&s);
	return r;
}
