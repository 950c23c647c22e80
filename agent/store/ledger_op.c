/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_op.c - what every operation of the ledger shares: savepoint, stored answers, counters and
 * their recount. */
#include <errno.h>
#include <stdio.h>
#include <sodium.h>
#include "agent/crypto/crypto.h"
#include "ledger_int.h"
#include "schema.h"

int lg_side(enum ledger_side side, struct err *e)
{
	if (side != LEDGER_GATE && side != LEDGER_SHADOW)
		return err_set(e, -EINVAL, "side: gate or shadow");
	return 0;
}

int lg_begin(struct op *o, struct store *s, struct err *e)
{
	int r = journal_write(s, e);

	return r ? r : lg_begin_late(o, s, e);
}

int lg_begin_late(struct op *o, struct store *s, struct err *e)
{
	int r = db_turn(s, e);

	*o = (struct op){ .s = s, .e = e };
	if (!r)
		r = ledger_room(s, e);
	if (!r)
		r = lg_journal_room(s, e);
	o->staged = lg_staged_rows(s);
	o->changes = sqlite3_total_changes(s->db);
	return r;
}

int lg_save(struct op *o)
{
	int r = o->saved ? 0 : db_run(o->s, Q_SAVE, o->e, "");

	o->saved |= r >= 0;
	return r < 0 ? r : 0;
}

int lg_begin_saved(struct op *o, struct store *s, struct err *e)
{
	int r = lg_begin(o, s, e);

	return r ? r : lg_save(o);
}

/* Without a savepoint nothing but the whole turn could take back what was written. */
static void take_back(struct op *o)
{
	lg_unmove(o);
	lg_unstage(o->s, o->staged);
	if (o->flushed || (!o->saved && sqlite3_total_changes(o->s->db) != o->changes))
		o->s->poisoned = true;
	if (!o->s->poisoned && o->saved && db_run(o->s, Q_SAVE_BACK, o->e, "") < 0)
		o->s->poisoned = true;
}

static int answer_put(struct op *o)
{
	const struct ledger_result *a = &o->res;
	int r;

	if (o->res.replayed || sodium_is_zero(o->request.b, HASH_LEN))
		return 0;
	r = db_run(o->s, Q_I_PUT, o->e, "ihhtiiiii", o->wallet, &o->key, &o->request, a->hold_id,
		   a->amount.minor, a->held.minor, a->captured.minor, a->lineage_captured.minor,
		   (int64_t)a->journal_seq);
	return r < 0 ? r : 0;
}

int lg_end(struct op *o, int r, struct ledger_result *ret)
{
	if (r >= 0 && o->res.why == REFUSE_NONE)
		r = answer_put(o);
	if (r < 0 || o->res.why != REFUSE_NONE)
		take_back(o);
	if (o->s->poisoned)
		return r < 0 ? r : err_set(o->e, -EIO, "ledger: rollback failed");
	if (o->saved && db_run(o->s, Q_SAVE_DROP, o->e, "") < 0) {
		o->s->poisoned = true;
		return -EIO;
	}
	if (r < 0)
		return r;
	*ret = o->res;
	return 0;
}

int lg_refuse(struct op *o, enum refusal why)
{
	o->res = (struct ledger_result){ .why = why };
	return 0;
}

int lg_known(struct op *o)
{
	auto_done sqlite3_stmt *st = NULL;
	struct ledger_result a = { .replayed = true };
	struct hash request;
	int r = db_bind(o->s, Q_I_GET, &st, o->e, "ih", o->wallet, &o->key);

	if (!r)
		r = db_step(o->s, st, o->e);
	if (r <= 0)
		return r;
	if (!db_hash(st, 0, &request) || !hash_eq(&request, &o->request)) {
		r = lg_refuse(o, REFUSE_LEDGER_REPLAY);
		return r < 0 ? r : 1;
	}
	a.amount.minor = sqlite3_column_int64(st, 2);
	a.held.minor = sqlite3_column_int64(st, 3);
	a.captured.minor = sqlite3_column_int64(st, 4);
	a.lineage_captured.minor = sqlite3_column_int64(st, 5);
	a.journal_seq = (uint64_t)sqlite3_column_int64(st, 6);
	if (!str_set(a.hold_id, (const char *)sqlite3_column_text(st, 1)))
		return err_set(o->e, -EUCLEAN, "ledger: a stored answer is damaged");
	o->res = a;
	return 1;
}

static bool hash_is(sqlite3_stmt *st, int i, const struct hash *h)
{
	struct hash have;

	return db_hash(st, i, &have) && hash_eq(&have, h);
}

/* What the row and its lineage say is what was asked. */
static bool same_hold(sqlite3_stmt *st, const struct ledger_hold *q, const struct lg_line *l,
		      const char *currency)
{
	return !strcmp(l->l.class_name, q->class_name) && !strcmp(currency, q->currency) &&
	       sqlite3_column_int64(st, 0) == q->rev &&
	       sqlite3_column_int64(st, 1) == q->amount.minor && hash_is(st, 2, &q->prev) &&
	       hash_is(st, 3, &q->offer);
}

/* A hold is its own stored answer: as lg_known(), but found in its lineage. */
int lg_known_hold(struct op *o, const struct ledger_hold *q, const struct lg_line *l,
		  const char *currency)
{
	auto_done sqlite3_stmt *st = NULL;
	struct ledger_result a = { .replayed = true };
	int r = db_bind(o->s, Q_H_SAID, &st, o->e, "it", l->row, o->res.hold_id);

	if (!r)
		r = db_step(o->s, st, o->e);
	if (r <= 0)
		return r;
	if (!same_hold(st, q, l, currency)) {
		r = lg_refuse(o, REFUSE_LEDGER_REPLAY);
		return r < 0 ? r : 1;
	}
	memcpy(a.hold_id, o->res.hold_id, sizeof(a.hold_id));
	a.amount.minor = sqlite3_column_int64(st, 4);
	a.held.minor = sqlite3_column_int64(st, 5);
	a.captured.minor = sqlite3_column_int64(st, 6);
	a.lineage_captured.minor = sqlite3_column_int64(st, 7);
	a.journal_seq = (uint64_t)sqlite3_column_int64(st, 8);
	o->res = a;
	return 1;
}

/* --- counters --- */
int lg_counters(struct op *o, enum ledger_side side, const char *lineage)
{
	auto_done sqlite3_stmt *l = NULL;
	const struct ledger_wallet *w;
	int r = lg_hot_row(o, &w);

	if (r < 0)
		return r;
	o->res.held = w->held;
	o->res.captured = w->captured;
	if (!lineage)
		return 0;
	r = db_bind(o->s, Q_L_GET, &l, o->e, "it", (int64_t)side, lineage);
	if (!r)
		r = db_step(o->s, l, o->e);
	if (r > 0)
		o->res.lineage_captured.minor = sqlite3_column_int64(l, 6);
	return r < 0 ? r : 0;
}

/* --- recount --- */
/* Every wallet with itself and all below it: what these commit, it commits. */
#define TREE                                                                               \
	"WITH RECURSIVE tree(top,id) AS (SELECT id,id FROM wallet UNION SELECT t.top,w.id" \
	" FROM tree t JOIN wallet w ON w.parent=t.id) "

/* Each counts the rows whose cached counter is not what the journal adds up to. */
static const struct {
	const char *what, *sql;
} recounts[] = {
	{ "class counters differ from the journal",
	  TREE "SELECT count(*) FROM class_budget b LEFT JOIN (SELECT t.top,class,sum(h) h,sum(c) c"
	       " FROM tree t JOIN (SELECT wallet,class,sum(held) h,sum(captured) c FROM journal"
	       " GROUP BY wallet,class) j ON j.wallet=t.id GROUP BY t.top,class) j"
	       " ON j.top=b.wallet AND j.class=b.class"
	       " WHERE b.held<>coalesce(h,0) OR b.captured<>coalesce(c,0)" },
	{ "lineage counters differ from the journal",
	  "SELECT count(*) FROM lineage l LEFT JOIN (SELECT w.side,j.lineage,sum(j.captured) c"
	  " FROM journal j JOIN wallet w ON w.id=j.wallet GROUP BY w.side,j.lineage) j"
	  " ON j.side=l.side AND j.lineage=l.lineage WHERE l.captured<>coalesce(c,0)" },
	{ "live holds differ from the journal",
	  TREE "SELECT count(*) FROM wallet w LEFT JOIN (SELECT t.top,sum(amount) a FROM tree t"
	       " JOIN (SELECT wallet,sum(amount) amount FROM journal WHERE state=0 GROUP BY wallet)"
	       " h ON h.wallet=t.id GROUP BY t.top) h ON h.top=w.id WHERE coalesce(a,0)<>(SELECT"
	       " coalesce(sum(held),0) FROM class_budget WHERE wallet=w.id)" },
	{ "a hold is not its lineage's, or there twice",
	  "SELECT (SELECT count(*) FROM journal h LEFT JOIN lineage l ON l.id=h.line AND"
	  " l.lineage=h.lineage AND l.wallet=h.wallet AND l.class=h.class WHERE h.line NOTNULL AND"
	  " l.id IS NULL)+(SELECT count(*) FROM (SELECT 1 FROM journal WHERE line NOTNULL GROUP BY"
	  " line,hold_id HAVING count(*)>1))" },
	{ "live holds differ from their lineages",
	  "SELECT (SELECT count(*) FROM lineage l LEFT JOIN journal h ON h.seq=l.live AND h.state=0"
	  " AND h.line=l.id WHERE l.live NOTNULL AND h.seq IS NULL)+"
	  "(SELECT count(*) FROM journal h LEFT JOIN lineage l ON l.id=h.line AND l.live=h.seq"
	  " WHERE h.state=0 AND l.id IS NULL)" },
	{ "hold states differ from the journal",
	  "SELECT count(*) FROM journal h JOIN (SELECT wallet,hold_id,kind,max(seq) FROM journal"
	  " WHERE hold_id<>'' GROUP BY wallet,hold_id) j ON j.wallet=h.wallet AND"
	  " j.hold_id=h.hold_id WHERE h.line NOTNULL AND h.state<>CASE j.kind WHEN 'capture' THEN 1"
	  " WHEN 'release' THEN 2 WHEN 'expire' THEN 3 ELSE 0 END" },
	{ "a row is misshapen, or names what is not there",
	  "SELECT (SELECT count(*) FROM journal j LEFT JOIN wallet w ON w.id=j.wallet WHERE w.id IS"
	  " NULL)+(SELECT count(*) FROM journal j LEFT JOIN class_budget b ON b.wallet=j.wallet AND"
	  " b.class=j.class WHERE (j.held<>0 OR j.captured<>0) AND b.wallet IS NULL)+"
	  "(SELECT count(*) FROM journal WHERE line NOTNULL AND (hold_id NOT LIKE 'h-%' OR"
	  " length(hold_id)<>34 OR length(follows)<>32))+(SELECT count(*) FROM lineage l LEFT JOIN"
	  " class_budget b ON b.wallet=l.wallet AND b.class=l.class WHERE b.wallet IS NULL OR"
	  " length(l.head)<>32 OR length(CAST(l.lineage AS BLOB))>255)+(SELECT count(*) FROM"
	  " agreement a LEFT JOIN lineage l ON l.side=a.side AND l.lineage=a.lineage LEFT JOIN"
	  " journal h ON h.line=l.id AND h.hold_id=a.hold_id WHERE h.seq IS NULL)" },
	{ "a head is not its newest agreement",
	  "SELECT count(*) FROM lineage l WHERE l.rev<>coalesce((SELECT max(rev) FROM agreement a"
	  " WHERE a.side=l.side AND a.lineage=l.lineage),-1) OR l.head<>coalesce((SELECT digest"
	  " FROM agreement a WHERE a.side=l.side AND a.lineage=l.lineage AND a.rev=l.rev),"
	  "zeroblob(32))" },
};

int ledger_audit(struct store *s, struct store_pos *pos, struct store_report *rep, struct err *e)
{
	int r = lg_journal_walk(s, pos, rep, e);

	for (size_t i = 0; !r && rep->fault == STORE_SOUND && i < ARRAY_LEN(recounts); i++) {
		int64_t bad = 0;

		r = db_int(s, recounts[i].sql, &bad, e);
		if (r || !bad)
			continue;
		rep->fault = STORE_FAULT_LEDGER;
		rep->seq = pos->jseq;
		(void)snprintf(rep->why, sizeof(rep->why), "%s (%lld rows)", recounts[i].what,
			       (long long)bad);
	}
	return r;
}

#define BELOW(w)                                                                       \
	" IN (WITH RECURSIVE sub(id) AS (SELECT " w " UNION SELECT x.id FROM wallet x" \
	" JOIN sub ON x.parent=sub.id) SELECT id FROM sub)"
#define SUMS(w, more)                                                                \
	"(SELECT coalesce(sum(j.held),0),coalesce(sum(j.captured),0) FROM journal j" \
	" WHERE j.wallet" BELOW(w) more ")"
#define CLASS " AND j.class=class_budget.class"

/* Counters from the journal, in one transaction that is kept only when the ledger then passes its
 * audit. The gates judge these too: a sum above the ceiling stays an error for a human. Each row is
 * counted by itself, so meanwhile none is carried upwards. */
static const char *const counts[] = {
	"UPDATE class_budget SET (held,captured)=" SUMS(
		"class_budget.wallet", CLASS) " WHERE (held,captured)<>" SUMS("class_budget.wallet",
									      CLASS),
	"UPDATE lineage SET captured=(SELECT coalesce(sum(j.captured),0) FROM journal j WHERE"
	" j.wallet=lineage.wallet AND j.lineage=lineage.lineage) WHERE captured<>(SELECT"
	" coalesce(sum(j.captured),0) FROM journal j WHERE j.wallet=lineage.wallet AND"
	" j.lineage=lineage.lineage)",
};

static int recount(struct store *s, uint64_t *ret, struct err *e)
{
	struct store_report rep = { .fault = STORE_SOUND };
	int r = db_turn(s, e);

	*ret = 0;
	if (!r)
		r = db_exec(s, "DROP TRIGGER class_gate;", e);
	for (size_t i = 0; !r && i < ARRAY_LEN(counts); i++) {
		r = db_exec(s, counts[i], e);
		if (!r)
			*ret += (uint64_t)sqlite3_changes(s->db);
	}
	if (!r)
		r = db_exec(s, CLASS_GATE, e);
	if (!r)
		r = ledger_audit(s, &s->now, &rep, e);
	if (!r && rep.fault != STORE_SOUND)
		r = err_set(e, -EUCLEAN, "ledger at %llu: %.120s", (unsigned long long)rep.seq,
			    rep.why);
	return r ? r : db_run(s, Q_COMMIT, e, "");
}

int ledger_rebuild(const char *dir, uint64_t *ret, struct err *e)
{
	struct store *s = NULL;
	int r = db_open_sound(dir, &s, e);

	if (!r)
		r = recount(s, ret, e);
	s = db_close(s);
	return r < 0 ? r : 0;
}
