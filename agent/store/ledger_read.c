/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_read.c - the ledger's rows as structs, for its own steps and for those who list them. */
#include <errno.h>
#include "ledger_int.h"

const char *ledger_hold_state_name(enum ledger_hold_state st)
{
	static const char *const name[] = { "held", "captured", "released", "expired" };

	return (unsigned)st < ARRAY_LEN(name) ? name[st] : "?";
}

/* --- rows --- */
void lg_hold_row(sqlite3_stmt *st, struct ledger_hold_row *ret)
{
	*ret = (struct ledger_hold_row){
		.side = (enum ledger_side)sqlite3_column_int(st, 0),
		.rev = (uint32_t)sqlite3_column_int64(st, 5),
		.amount.minor = sqlite3_column_int64(st, 6),
		.total.minor = sqlite3_column_int64(st, 7),
		.state = (enum ledger_hold_state)sqlite3_column_int(st, 8),
		.expires.ms = sqlite3_column_int64(st, 9),
		.row = sqlite3_column_int64(st, 12),
	};
	/* The tables' limits are not above these sizes for what ledger_hold() let in. */
	text_put(ret->hold_id, (const char *)sqlite3_column_text(st, 1));
	text_put(ret->wallet_id, (const char *)sqlite3_column_text(st, 2));
	text_put(ret->class_name, (const char *)sqlite3_column_text(st, 3));
	text_put(ret->lineage, (const char *)sqlite3_column_text(st, 4));
}

int lg_found_row(sqlite3_stmt *st, struct lg_found *ret, struct err *e)
{
	lg_hold_row(st, &ret->h);
	ret->wallet = sqlite3_column_int64(st, 10);
	ret->row = sqlite3_column_int64(st, 12);
	ret->line = sqlite3_column_int64(st, 13);
	return db_hash(st, 11, &ret->prev) ? 1 : err_set(e, -EUCLEAN, "ledger: a hold is damaged");
}

int lg_line(struct store *s, enum ledger_side side, const char *lineage, struct lg_line *ret,
	    struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_L_GET, &st, e, "it", (int64_t)side, lineage);

	if (!r)
		r = db_step(s, st, e);
	if (r <= 0)
		return r;
	*ret = (struct lg_line){ .rev = sqlite3_column_int64(st, 4),
				 .wallet = sqlite3_column_int64(st, 7),
				 .live = sqlite3_column_int64(st, 8),
				 .row = sqlite3_column_int64(st, 9) };
	ret->l.side = side;
	ret->l.rev = ret->rev < 0 ? 0 : (uint32_t)ret->rev;
	ret->l.captured.minor = sqlite3_column_int64(st, 6);
	if (!str_set(ret->l.lineage, (const char *)sqlite3_column_text(st, 1)) ||
	    !str_set(ret->l.wallet_id, (const char *)sqlite3_column_text(st, 2)) ||
	    !str_set(ret->l.class_name, (const char *)sqlite3_column_text(st, 3)) ||
	    !db_hash(st, 5, &ret->l.head))
		return err_set(e, -EUCLEAN, "ledger: a lineage is damaged");
	return 1;
}

int lg_hold(struct store *s, const struct hold_name *n, struct lg_found *ret, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = db_bind(s, Q_H_GET, &st, e, "itt", (int64_t)n->side, n->lineage, n->id);

	if (!r)
		r = db_step(s, st, e);
	return r <= 0 ? r : lg_found_row(st, ret, e);
}

int lg_hold_id(enum ledger_side side, const char *hold_id, struct err *e)
{
	int r = lg_side(side, e);

	if (!r && (!hold_id || strnlen(hold_id, STORE_NAME_MAX + 1) > STORE_NAME_MAX))
		r = err_set(e, -EINVAL, "holdId: missing or too long");
	return r;
}

int lg_hold_name(const struct hold_name *n, struct err *e)
{
	int r = lg_hold_id(n->side, n->id, e);

	if (!r && (!n->lineage || strnlen(n->lineage, LEDGER_ID_MAX) == LEDGER_ID_MAX))
		r = err_set(e, -EINVAL, "lineage: missing or too long");
	return r;
}

/* --- reading --- */
int ledger_hold_get(struct store *s, enum ledger_side side, const char *lineage,
		    const char *hold_id, struct ledger_hold_row *ret, struct err *e)
{
	struct hold_name n = { side, lineage, hold_id };
	struct lg_found f;
	int r = lg_hold_name(&n, e);

	if (!r)
		r = journal_write(s, e);
	if (!r)
		r = lg_hold(s, &n, &f, e);
	if (r == 0)
		return err_set(e, -ENOENT, "hold %.100s: not here", hold_id);
	if (r < 0)
		return r;
	*ret = f.h;
	return 0;
}

int ledger_lineage_get(struct store *s, enum ledger_side side, const char *lineage,
		       struct ledger_lineage *ret, struct err *e)
{
	struct lg_line l;
	int r = lg_side(side, e);

	if (!r)
		r = journal_write(s, e);
	if (!r)
		r = lg_line(s, side, lineage, &l, e);
	if (r == 0)
		return err_set(e, -ENOENT, "lineage %.100s: not here", lineage);
	if (r < 0)
		return r;
	*ret = l.l;
	return 0;
}

static int holds(struct store *s, sqlite3_stmt *st,
		 int (*fn)(void *arg, const struct ledger_hold_row *h), void *arg, struct err *e)
{
	struct ledger_hold_row h;
	int r;

	while ((r = db_step(s, st, e)) > 0) {
		lg_hold_row(st, &h);
		r = fn(arg, &h);
		if (r)
			return r;
	}
	return r;
}

int ledger_live_holds(struct store *s, int (*fn)(void *arg, const struct ledger_hold_row *h),
		      void *arg, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = journal_write(s, e);

	if (!r)
		r = db_bind(s, Q_H_LIVE, &st, e, "");
	return r ? r : holds(s, st, fn, arg, e);
}

int ledger_holds(struct store *s, int64_t after,
		 int (*fn)(void *arg, const struct ledger_hold_row *h), void *arg, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = journal_write(s, e);

	if (!r)
		r = db_bind(s, Q_H_LIST, &st, e, "i", after);
	return r ? r : holds(s, st, fn, arg, e);
}

int ledger_lineages(struct store *s, int64_t after,
		    int (*fn)(void *arg, const struct ledger_lineage *l), void *arg, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = journal_write(s, e);

	if (!r)
		r = db_bind(s, Q_L_LIST, &st, e, "i", after);

	while (r >= 0 && (r = db_step(s, st, e)) > 0) {
		struct ledger_lineage l = { .side = (enum ledger_side)sqlite3_column_int(st, 0),
					    .captured.minor = sqlite3_column_int64(st, 6),
					    .row = sqlite3_column_int64(st, 9) };
		int64_t rev = sqlite3_column_int64(st, 4);

		l.rev = rev < 0 ? 0 : (uint32_t)rev;
		if (!str_set(l.lineage, (const char *)sqlite3_column_text(st, 1)) ||
		    !str_set(l.wallet_id, (const char *)sqlite3_column_text(st, 2)) ||
		    !str_set(l.class_name, (const char *)sqlite3_column_text(st, 3)) ||
		    !db_hash(st, 5, &l.head))
			return err_set(e, -EUCLEAN, "ledger: a lineage is damaged");
		r = fn(arg, &l);
		if (r != 0)
			return r;
	}
	return r;
}

int ledger_debited(struct store *s, const struct ledger_wallet_id *id, money_t *ret, struct err *e)
{
	auto_done sqlite3_stmt *st = NULL;
	int r = journal_write(s, e);

	if (!r)
		r = db_bind(s, Q_J_DEBITED, &st, e, "itt", (int64_t)id->side, id->issuer,
			    id->wallet_id);
	if (!r)
		r = db_step(s, st, e);
	if (r > 0)
		ret->minor = sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}
