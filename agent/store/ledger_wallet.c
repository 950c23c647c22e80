/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_wallet.c - wallets in the ledger: first sight, re-issue, revocation, receipts. */
#include <errno.h>
#include <sodium.h>
#include "ledger_int.h"

int lg_text(sqlite3_stmt *st, int i, char *dst, size_t cap, struct err *e)
{
	if (!str_set_(dst, cap, (const char *)sqlite3_column_text(st, i)))
		return err_set(e, -EUCLEAN, "ledger: a text is too long");
	return 0;
}

static int wallet_row(sqlite3_stmt *st, struct ledger_wallet *w, struct err *e)
{
	*w = (struct ledger_wallet){
		.id.side = (enum ledger_side)sqlite3_column_int(st, 1),
		.generation = (uint32_t)sqlite3_column_int64(st, 6),
		.digits = (uint8_t)sqlite3_column_int(st, 8),
		.ceiling.minor = sqlite3_column_int64(st, 9),
		.agreement_max.minor = sqlite3_column_int64(st, 10),
		.valid_from.ms = sqlite3_column_int64(st, 11),
		.valid_until.ms = sqlite3_column_int64(st, 12),
		.revoked = sqlite3_column_int(st, 13) != 0,
		.held.minor = sqlite3_column_int64(st, 14),
		.captured.minor = sqlite3_column_int64(st, 15),
		.parent_row = sqlite3_column_int64(st, 17),
		.depth = (unsigned)sqlite3_column_int(st, 20),
	};
	if (w->parent_row && (lg_text(st, 18, w->parent_issuer, sizeof(w->parent_issuer), e) ||
			      lg_text(st, 19, w->parent_id, sizeof(w->parent_id), e)))
		return -EUCLEAN;
	if (lg_text(st, 2, w->id.issuer, sizeof(w->id.issuer), e) ||
	    lg_text(st, 3, w->id.wallet_id, sizeof(w->id.wallet_id), e) ||
	    lg_text(st, 4, w->holder, sizeof(w->holder), e) ||
	    lg_text(st, 7, w->currency, sizeof(w->currency), e))
		return -EUCLEAN;
	if (!db_hash(st, 5, &w->credential) || !db_hash(st, 16, &w->receipt))
		return err_set(e, -EUCLEAN, "ledger: a digest is not 32 bytes");
	return 0;
}

int lg_classes(struct store *s, int64_t row, struct ledger_wallet *w, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_C_LIST, &st, e, "i", row);

	while (r >= 0 && (r = db_step(s, st, e)) > 0 && w->classes < LEDGER_CLASSES_MAX) {
		struct ledger_class *c = &w->klass[w->classes++];

		r = lg_text(st, 0, c->name, sizeof(c->name), e);
		c->ceiling.minor = sqlite3_column_int64(st, 1);
		c->held.minor = sqlite3_column_int64(st, 2);
		c->captured.minor = sqlite3_column_int64(st, 3);
		c->row = sqlite3_column_int64(st, 4);
	}
	return r < 0 ? r : 0;
}

int lg_wallet(struct store *s, const struct ledger_wallet_id *id, struct ledger_wallet *ret,
	      int64_t *ret_row, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_W_FIND, &st, e, "itt", (int64_t)id->side, id->issuer, id->wallet_id);

	if (!r)
		r = db_step(s, st, e);
	if (r <= 0)
		return r;
	r = wallet_row(st, ret, e);
	if (ret_row)
		*ret_row = sqlite3_column_int64(st, 0);
	return r < 0 ? r : 1;
}

int lg_wallet_row(struct store *s, int64_t row, struct ledger_wallet *ret, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_W_BY_ID, &st, e, "i", row);

	if (!r)
		r = db_step(s, st, e);
	if (r <= 0)
		return r;
	r = wallet_row(st, ret, e);
	return r < 0 ? r : 1;
}

/* Before rows of wallets are changed or shown: what is counted in memory is written, and read anew
 * afterwards. */
static int settle(struct store *s, struct err *e)
{
	int r = ledger_flush(s, e);

	ledger_cold(s);
	return r;
}

/* --- terms --- */
static bool text_ok(const char *t, size_t cap)
{
	size_t n = strnlen(t, cap);

	return n > 0 && n < cap;
}

static int id_check(const struct ledger_wallet_id *id, struct err *e)
{
	int r = lg_side(id->side, e);

	if (r)
		return r;
	if (!text_ok(id->issuer, sizeof(id->issuer)))
		return err_set(e, -EINVAL, "issuer: 1 to %d bytes", LEDGER_DID_MAX - 1);
	if (!text_ok(id->wallet_id, sizeof(id->wallet_id)))
		return err_set(e, -EINVAL, "walletId: 1 to %d bytes", LEDGER_ID_MAX - 1);
	return 0;
}

static int classes_check(const struct ledger_wallet *w, struct err *e)
{
	if (w->classes < 1 || w->classes > LEDGER_CLASSES_MAX)
		return err_set(e, -EINVAL, "classes: 1 to %d", LEDGER_CLASSES_MAX);
	for (unsigned i = 0; i < w->classes; i++) {
		if (!text_ok(w->klass[i].name, LEDGER_CLASS_MAX))
			return err_set(e, -EINVAL, "classes[%u].name: 1 to %d bytes", i,
				       LEDGER_CLASS_MAX - 1);
		if (w->klass[i].ceiling.minor < 0)
			return err_set(e, -EINVAL, "classes[%u].ceiling: negative", i);
		for (unsigned k = 0; k < i; k++)
			if (strcmp(w->klass[i].name, w->klass[k].name) == 0)
				return err_set(e, -EINVAL, "classes[%u].name: twice", i);
	}
	return 0;
}

static int terms_check(const struct ledger_wallet *w, struct err *e)
{
	int r = id_check(&w->id, e);

	if (r)
		return r;
	if (!text_ok(w->holder, sizeof(w->holder)))
		return err_set(e, -EINVAL, "holder: 1 to %d bytes", LEDGER_DID_MAX - 1);
	if (w->generation < 1)
		return err_set(e, -EINVAL, "generation: at least 1");
	if (strnlen(w->currency, sizeof(w->currency)) != 3)
		return err_set(e, -EINVAL, "currency: three letters");
	if (w->digits > 6)
		return err_set(e, -EINVAL, "digits: 0 to 6");
	if (w->ceiling.minor < 0)
		return err_set(e, -EINVAL, "ceiling: negative");
	if (w->agreement_max.minor < 0)
		return err_set(e, -EINVAL, "perAgreementMax: negative");
	if (w->valid_from.ms >= w->valid_until.ms)
		return err_set(e, -EINVAL, "validUntil: not after validFrom");
	if (w->parent_issuer[0] || w->parent_id[0]) {
		if (!text_ok(w->parent_issuer, sizeof(w->parent_issuer)) ||
		    !text_ok(w->parent_id, sizeof(w->parent_id)))
			return err_set(e, -EINVAL, "parent: issuer and walletId");
	}
	return classes_check(w, e);
}

static int classes_put(struct op *o, const struct ledger_wallet *w)
{
	for (unsigned i = 0; i < w->classes; i++) {
		const struct ledger_class *c = &w->klass[i];
		int r = db_run(o->s, Q_C_SET, o->e, "itii", o->wallet, c->name,
			       (int64_t)w->generation, c->ceiling.minor);

		if (r == 0)
			r = db_run(o->s, Q_C_PUT, o->e, "itii", o->wallet, c->name,
				   (int64_t)w->generation, c->ceiling.minor);
		if (r < 0)
			return r;
	}
	return db_run(o->s, Q_C_REST, o->e, "ii", o->wallet, (int64_t)w->generation);
}

static int wallet_new(struct op *o, const struct ledger_wallet *w, int64_t parent, unsigned depth)
{
	int r = db_run(o->s, Q_W_PUT, o->e, "ittthitiiiiiii", (int64_t)w->id.side, w->id.issuer,
		       w->id.wallet_id, w->holder, &w->credential, (int64_t)w->generation,
		       w->currency, (int64_t)w->digits, w->ceiling.minor, w->agreement_max.minor,
		       w->valid_from.ms, w->valid_until.ms, parent, (int64_t)depth);

	o->wallet = sqlite3_last_insert_rowid(o->s->db);
	return r;
}

/* Every class must have a row above it, or its money would be counted here alone. */
static int classes_above(struct op *o, const struct ledger_wallet *w, int64_t parent)
{
	for (unsigned i = 0; i < w->classes; i++) {
		auto_done sqlite3_stmt *st = NULL;
		int r = db_bind(o->s, Q_C_GET, &st, o->e, "it", parent, w->klass[i].name);

		if (!r)
			r = db_step(o->s, st, o->e);
		if (r <= 0)
			return r < 0 ? r : lg_refuse(o, REFUSE_WALLET_DELEGATION);
	}
	return 0;
}

/* The row of the wallet above, and how deep w stands below it; 0 and 0 for one of its own. */
static int find_parent(struct op *o, const struct ledger_wallet *w, int64_t *row, unsigned *depth)
{
	struct ledger_wallet_id id = { .side = w->id.side };
	struct ledger_wallet p;
	int r;

	*row = 0;
	*depth = 0;
	if (!w->parent_issuer[0])
		return 0;
	text_put(id.issuer, w->parent_issuer);
	text_put(id.wallet_id, w->parent_id);
	r = lg_wallet(o->s, &id, &p, row, o->e);
	if (r <= 0 || p.depth + 1 >= LEDGER_CHAIN_MAX)
		return r < 0 ? r : lg_refuse(o, REFUSE_WALLET_DELEGATION);
	*depth = p.depth + 1;
	if (strcmp(p.currency, w->currency) != 0 || p.digits != w->digits)
		return lg_refuse(o, REFUSE_LEDGER_CURRENCY);
	return classes_above(o, w, *row);
}

/* The row's own generation and credential are in the UPDATE's condition: of two re-issues of one
 * generation the second finds nothing to change. */
static int wallet_next(struct op *o, const struct ledger_wallet *w, const struct ledger_wallet *was,
		       int64_t parent)
{
	int r;

	if (parent != was->parent_row)
		return lg_refuse(o, REFUSE_WALLET_DELEGATION);
	if (strcmp(w->currency, was->currency) != 0 || w->digits != was->digits)
		return lg_refuse(o, REFUSE_LEDGER_CURRENCY);
	r = db_run(o->s, Q_W_REISSUE, o->e, "ithiiiiih", o->wallet, w->holder, &w->credential,
		   w->ceiling.minor, w->agreement_max.minor, w->valid_from.ms, w->valid_until.ms,
		   (int64_t)w->generation, &w->supersedes);
	return r == 0 ? lg_refuse(o, REFUSE_WALLET_GENERATION) : r;
}

static int wallet_put(struct op *o, const struct ledger_wallet *w, wall_t now)
{
	struct entry j = { .kind = "issue",
			   .class_name = "",
			   .lineage = "",
			   .hold_id = "",
			   .rev = w->generation,
			   .note = w->credential,
			   .time = now };
	struct ledger_wallet was;
	int64_t parent;
	unsigned depth;
	int r = find_parent(o, w, &parent, &depth);

	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	o->res.replayed = false;
	r = lg_wallet(o->s, &w->id, &was, &o->wallet, o->e);
	if (r < 0)
		return r;
	if (r > 0 && w->generation == was.generation && hash_eq(&w->credential, &was.credential)) {
		o->res.replayed = true;
		return lg_counters(o, w->id.side, NULL);
	}
	r = r ? wallet_next(o, w, &was, parent) : wallet_new(o, w, parent, depth);
	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	r = classes_put(o, w);
	if (r >= 0)
		r = lg_journal(o, &j);
	return r < 0 ? r : lg_counters(o, w->id.side, NULL);
}

static int chain_put(struct op *o, const struct ledger_wallet *w, unsigned n, wall_t now)
{
	int r = 0;

	while (!r && n-- && o->res.why == REFUSE_NONE)
		r = wallet_put(o, &w[n], now);
	return r;
}

static int chain_check(const struct ledger_wallet *w, unsigned n, struct err *e)
{
	int r = n < 1 || n > LEDGER_CHAIN_MAX
			? err_set(e, -EINVAL, "wallets: 1 to %d", LEDGER_CHAIN_MAX)
			: 0;

	for (unsigned i = 0; !r && i < n; i++) {
		r = terms_check(&w[i], e);
		if (!r && i + 1 < n &&
		    (w[i].id.side != w[i + 1].id.side ||
		     strcmp(w[i].parent_issuer, w[i + 1].id.issuer) != 0 ||
		     strcmp(w[i].parent_id, w[i + 1].id.wallet_id) != 0))
			r = err_set(e, -EINVAL, "wallets[%u]: not the parent of the one before",
				    i + 1);
	}
	return r;
}

int ledger_chain_put(struct store *s, const struct ledger_wallet *w, unsigned n, wall_t now,
		     struct ledger_result *ret, struct err *e)
{
	struct op o;
	int r = chain_check(w, n, e);

	if (!r)
		r = settle(s, e);
	if (!r)
		r = lg_begin_saved(&o, s, e);
	if (r)
		return r;
	r = lg_end(&o, chain_put(&o, w, n, now), ret);
	ledger_cold(s); /* terms that went back may have been read; nothing was counted on them */
	return r;
}

int ledger_wallet_put(struct store *s, const struct ledger_wallet *w, wall_t now,
		      struct ledger_result *ret, struct err *e)
{
	return ledger_chain_put(s, w, 1, now, ret, e);
}

/* --- revocation, receipts --- */
static int known_wallet(struct op *o, const struct ledger_wallet_id *id, struct ledger_wallet *w)
{
	int r = lg_wallet(o->s, id, w, &o->wallet, o->e);

	return r == 0 ? lg_refuse(o, REFUSE_WALLET_MISSING) : r < 0 ? r : 0;
}

static int revoke_one(struct op *o, const struct ledger_wallet_id *id, wall_t now)
{
	struct entry j = {
		.kind = "revoke", .class_name = "", .lineage = "", .hold_id = "", .time = now
	};
	struct ledger_wallet w;
	int r = known_wallet(o, id, &w);

	if (r < 0 || o->res.why != REFUSE_NONE)
		return r;
	j.rev = w.generation;
	j.note = w.credential;
	r = db_run(o->s, Q_W_REVOKE, o->e, "i", o->wallet);
	if (r > 0)
		r = lg_journal(o, &j);
	else
		o->res.replayed = r == 0;
	return r < 0 ? r : lg_counters(o, id->side, NULL);
}

int ledger_wallet_revoke(struct store *s, const struct ledger_wallet_id *id, wall_t now,
			 struct ledger_result *ret, struct err *e)
{
	struct op o;
	int r = id_check(id, e);

	if (!r)
		r = settle(s, e);
	if (!r)
		r = lg_begin_saved(&o, s, e);
	return r ? r : lg_end(&o, revoke_one(&o, id, now), ret);
}

static int receipt(struct op *o, const struct ledger_wallet_id *id, const struct hash *prev,
		   const struct hash *digest, wall_t now)
{
	struct entry j = { .kind = "receipt",
			   .class_name = "",
			   .lineage = "",
			   .hold_id = "",
			   .note = *digest,
			   .time = now };
	const struct ledger_wallet *w;
	int r = lg_hot(o, id, &w);

	if (r <= 0)
		return r < 0 ? r : lg_refuse(o, REFUSE_WALLET_MISSING);
	o->key = *digest;
	o->request = *prev;
	/* The first receipt follows nothing: a zero request would not be stored. */
	o->request.b[0] ^= 0x80;
	r = lg_known(o);
	if (r)
		return r < 0 ? r : 0;
	r = db_run(o->s, Q_W_RECEIPT, o->e, "ihh", o->wallet, prev, digest);
	if (r <= 0)
		return r < 0 ? r : lg_refuse(o, REFUSE_LEDGER_FORK);
	lg_hot_receipt(o, digest);
	r = lg_journal(o, &j);
	return r < 0 ? r : lg_counters(o, id->side, NULL);
}

/* It reads nothing that a row of the journal says, and writes nothing before its last gate. */
int ledger_receipt(struct store *s, const struct ledger_wallet_id *id, const struct hash *prev,
		   const struct hash *digest, wall_t now, struct ledger_result *ret, struct err *e)
{
	struct op o;
	int r = id_check(id, e);

	if (!r && sodium_is_zero(digest->b, HASH_LEN))
		r = err_set(e, -EINVAL, "receipt: zero digest");
	if (!r)
		r = lg_begin_late(&o, s, e);
	return r ? r : lg_end(&o, receipt(&o, id, prev, digest, now), ret);
}

/* --- reading --- */
/* One that reads beside the process which writes knows nothing longer than this. */
int ledger_wallet_get(struct store *s, const struct ledger_wallet_id *id, struct ledger_wallet *ret,
		      struct err *e)
{
	struct op o = { .s = s, .e = e };
	const struct ledger_wallet *w;
	int r = id_check(id, e);

	if (!r && s->flags & STORE_READER)
		ledger_cold(s);
	if (!r)
		r = ledger_room(s, e);
	if (!r)
		r = lg_hot(&o, id, &w);
	if (r == 0)
		return err_set(e, -ENOENT, "wallet %.100s: not here", id->wallet_id);
	if (r < 0)
		return r;
	*ret = *w;
	return 0;
}

int ledger_wallets(struct store *s, int (*fn)(void *arg, const struct ledger_wallet *w), void *arg,
		   struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = settle(s, e);

	if (!r)
		r = db_bind(s, Q_W_LIST, &st, e, "");

	while (r >= 0 && (r = db_step(s, st, e)) > 0) {
		struct ledger_wallet w;

		r = wallet_row(st, &w, e);
		if (!r)
			r = lg_classes(s, sqlite3_column_int64(st, 0), &w, e);
		if (!r)
			r = fn(arg, &w);
		if (r != 0)
			return r;
	}
	return r;
}
