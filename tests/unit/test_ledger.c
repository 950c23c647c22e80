/* SPDX-License-Identifier: Apache-2.0 */
/* The debit ledger: every refusal beside its accepted twin, every (state, step) pair, and what raw
 * SQL may not do either. */
#include "ledger_lab.h"

static void test_life(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300);
	struct ledger_result a = hold(&q), b, c;
	struct ledger_lineage l;

	(void)state;
	expect(a, REFUSE_NONE, 300, 0);
	assert_int_equal(a.amount.minor, 300);
	b = hold(&q); /* the same again: the same answer, nothing held twice */
	assert_true(b.replayed);
	assert_string_equal(b.hold_id, a.hold_id);
	expect(b, REFUSE_NONE, 300, 0);
	c = capture(a.hold_id, "A1");
	expect(c, REFUSE_NONE, 0, 300);
	assert_int_equal(c.lineage_captured.minor, 300);
	assert_true(capture(a.hold_id, "A1").replayed);
	expect(capture(a.hold_id, "A1x"), REFUSE_LEDGER_REPLAY, 0, 0);
	/* step up to 450 in all: 150 more; step down to 100: nothing back */
	q = ask("L1", 2, "A1", 450);
	a = hold(&q);
	expect(a, REFUSE_NONE, 150, 300);
	expect(capture(a.hold_id, "A2"), REFUSE_NONE, 0, 450);
	q = ask("L1", 3, "A2", 100);
	a = hold(&q);
	expect(a, REFUSE_NONE, 0, 450);
	assert_int_equal(a.amount.minor, 0);
	expect(capture(a.hold_id, "A3"), REFUSE_NONE, 0, 450);
	/* back up to 450: paid for already */
	q = ask("L1", 4, "A3", 450);
	a = hold(&q);
	expect(a, REFUSE_NONE, 0, 450);
	expect(release(a.hold_id), REFUSE_NONE, 0, 450);
	assert_int_equal(ledger_lineage_get(s, LEDGER_GATE, "L1", &l, NULL), 0);
	assert_int_equal(l.rev, 3);
	assert_int_equal(l.captured.minor, 450);
}

/* Each row spoils one thing of a good request; the unspoilt twin passes at the end. */
static void test_refusals(void **state)
{
	struct ledger_hold good = ask("L1", 1, NULL, 400), q = good;

	(void)state;
	memcpy(q.wallet.wallet_id, "w2", 3);
	expect(hold(&q), REFUSE_WALLET_MISSING, 0, 0);
	q = good;
	q.wallet.side = LEDGER_SHADOW;
	expect(hold(&q), REFUSE_WALLET_MISSING, 0, 0);
	q = good;
	memcpy(q.currency, "USD", 4);
	expect(hold(&q), REFUSE_LEDGER_CURRENCY, 0, 0);
	q = good;
	memcpy(q.class_name, "none", 5);
	expect(hold(&q), REFUSE_WALLET_POLICY, 0, 0);
	q = good;
	q.prev = h("A0");
	expect(hold(&q), REFUSE_LEDGER_FORK, 0, 0);
	q = good;
	q.amount.minor = 501;
	expect(hold(&q), REFUSE_OVER_AGREEMENT_MAX, 0, 0);
	q = good;
	q.now.ms = 99;
	expect(hold(&q), REFUSE_WALLET_EXPIRED, 0, 0);
	q = good;
	q.now.ms = 10000;
	q.expires.ms = 10001;
	expect(hold(&q), REFUSE_WALLET_EXPIRED, 0, 0);
	expect(hold(&good), REFUSE_NONE, 400, 0);
	q = good;
	q.amount.minor = 399;
	expect(hold(&q), REFUSE_LEDGER_REPLAY, 0, 0);
	q = good;
	q.offer = h("other offer");
	expect(hold(&q), REFUSE_IN_FLIGHT, 0, 0);
}

static void test_ceilings(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 500);

	(void)state;
	expect(hold(&q), REFUSE_NONE, 500, 0);
	q = ask("L2", 1, NULL, 301);
	expect(hold(&q), REFUSE_OVER_CLASS_CEILING, 0, 0);
	q.amount.minor = 300;
	expect(hold(&q), REFUSE_NONE, 800, 0);
	q = ask("L3", 1, NULL, 201);
	memcpy(q.class_name, "bulk", 5);
	expect(hold(&q), REFUSE_OVER_CEILING, 0, 0);
	q.amount.minor = 200;
	expect(hold(&q), REFUSE_NONE, 1000, 0);
	q = ask("L4", 1, NULL, 1);
	memcpy(q.class_name, "bulk", 5);
	expect(hold(&q), REFUSE_OVER_CEILING, 0, 0);
	q.amount.minor = 0;
	expect(hold(&q), REFUSE_NONE, 1000, 0);
}

static void test_overflow(void **state)
{
	struct ledger_wallet w = terms(2, INT64_MAX);
	struct ledger_hold q = ask("L1", 1, NULL, INT64_MAX);

	(void)state;
	w.agreement_max.minor = INT64_MAX;
	w.klass[0].ceiling.minor = w.klass[1].ceiling.minor = INT64_MAX;
	expect(put_wallet(&w), REFUSE_NONE, 0, 0);
	expect(hold(&q), REFUSE_NONE, INT64_MAX, 0);
	q = ask("L2", 1, NULL, INT64_MAX);
	expect(hold(&q), REFUSE_OVER_CLASS_CEILING, 0, 0);
	q = ask("L2", 1, NULL, 1);
	memcpy(q.class_name, "bulk", 5);
	expect(hold(&q), REFUSE_OVER_CEILING, 0, 0);
	q.amount.minor = -1;
	assert_int_equal(ledger_hold(s, &q, &(struct ledger_result){ 0 }, NULL), -EINVAL);
	assert_false(store_poisoned(s));
}

/* All (state of a hold, step) pairs. */
static void test_pairs(void **state)
{
	enum { CAPTURE, RELEASE, EXPIRE, STEPS };
	static const enum refusal want[4][STEPS] = {
		[HOLD_HELD] = { REFUSE_NONE, REFUSE_NONE, REFUSE_NONE },
		[HOLD_CAPTURED] = { REFUSE_LEDGER_REPLAY, REFUSE_LEDGER_STATE, REFUSE_NONE },
		[HOLD_RELEASED] = { REFUSE_LEDGER_STATE, REFUSE_NONE, REFUSE_NONE },
		[HOLD_EXPIRED] = { REFUSE_NONE, REFUSE_LEDGER_STATE, REFUSE_NONE },
	};
	int n = 0;

	(void)state;
	for (int from = HOLD_HELD; from <= HOLD_EXPIRED; from++) {
		for (int step = 0; step < STEPS; step++, n++) {
			char name[8] = "La", agreement[8] = "Ga", other[8] = "Oa";
			struct ledger_hold q;
			struct ledger_hold_row row;
			char id[LEDGER_HOLD_ID_LEN];
			unsigned gone;

			name[1] = agreement[1] = other[1] = (char)('a' + n);
			q = ask(name, 1, NULL, 10);
			memcpy(id, hold(&q).hold_id, sizeof(id));
			if (from == HOLD_CAPTURED)
				expect(capture(id, agreement), REFUSE_NONE, 0,
				       capture(id, agreement).captured.minor);
			else if (from == HOLD_RELEASED)
				assert_int_equal(release(id).why, REFUSE_NONE);
			else if (from == HOLD_EXPIRED)
				assert_int_equal(expire(300), 1);
			if (step == CAPTURE)
				assert_int_equal(capture(id, other).why, want[from][step]);
			else if (step == RELEASE)
				assert_int_equal(release(id).why, want[from][step]);
			gone = expire(300);
			assert_int_equal(gone, step == EXPIRE && from == HOLD_HELD ? 1 : 0);
			assert_int_equal(ledger_hold_get(s, LEDGER_GATE, line_of(LEDGER_GATE, id),
							 id, &row, NULL),
					 0);
			assert_int_not_equal(row.state, HOLD_HELD);
		}
	}
	assert_int_equal(capture("h-none", "x").why, REFUSE_LEDGER_STATE);
	assert_int_equal(release("h-none").why, REFUSE_LEDGER_STATE);
}

/* A hold is its own lineage's, on its own side. */
static void test_other_lineage(void **state)
{
	struct ledger_hold one = ask("L1", 1, NULL, 100), two = ask("L2", 1, NULL, 100);
	struct ledger_result r, x;
	struct ledger_hold_row row;
	struct hash a = h("A1");
	char name[LEDGER_ID_MAX + 1];

	(void)state;
	r = hold(&one);
	(void)hold(&two);
	for (int i = 0; i < 3; i++) {
		const char *line = i == 0 ? "L2" : i == 1 ? "L3" : "L1";
		enum ledger_side side = i < 2 ? LEDGER_GATE : LEDGER_SHADOW;

		assert_int_equal(
			ledger_capture(s, side, line, r.hold_id, &a, (wall_t){ 250 }, &x, NULL), 0);
		assert_int_equal(x.why, REFUSE_LEDGER_STATE);
		assert_int_equal(
			ledger_release(s, side, line, r.hold_id, (wall_t){ 250 }, &x, NULL), 0);
		assert_int_equal(x.why, REFUSE_LEDGER_STATE);
		assert_int_equal(ledger_hold_get(s, side, line, r.hold_id, &row, NULL), -ENOENT);
	}
	memset(name, 'x', LEDGER_ID_MAX);
	name[LEDGER_ID_MAX] = '\0';
	assert_int_equal(ledger_hold_get(s, LEDGER_GATE, name, r.hold_id, &row, NULL), -EINVAL);
	assert_int_equal(ledger_release(s, LEDGER_GATE, NULL, r.hold_id, (wall_t){ 250 }, &x, NULL),
			 -EINVAL);
	assert_int_equal(release(r.hold_id).why, REFUSE_NONE);
}

static void test_fork(void **state)
{
	struct ledger_hold a = ask("L1", 1, NULL, 100), b;
	struct ledger_result ra = hold(&a), rb;

	(void)state;
	assert_int_equal(expire(300), 1); /* a is late; b takes its place and lands first */
	b = ask("L1", 1, NULL, 120);
	b.offer = h("rival");
	rb = hold(&b);
	expect(capture(ra.hold_id, "A1"), REFUSE_IN_FLIGHT, 0, 0);
	expect(capture(rb.hold_id, "B1"), REFUSE_NONE, 0, 120);
	expect(capture(ra.hold_id, "A1"), REFUSE_LEDGER_FORK, 0, 0);
	b = ask("L1", 2, "A1", 200);
	expect(hold(&b), REFUSE_LEDGER_FORK, 0, 0);
	b = ask("L1", 2, "B1", 200);
	memcpy(b.class_name, "bulk", 5);
	expect(hold(&b), REFUSE_LEDGER_FORK, 0, 0);
	b = ask("L1", 2, "B1", 200);
	rb = hold(&b);
	expect(rb, REFUSE_NONE, 80, 120);
	expect(capture(rb.hold_id, "B1"), REFUSE_LEDGER_FORK, 0, 0); /* one agreement, one hold */
	expect(capture(rb.hold_id, "B2"), REFUSE_NONE, 0, 200);
}

static void test_late_capture(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 500), x = ask("L2", 1, NULL, 400);
	struct ledger_result late = hold(&q), r;

	(void)state;
	assert_int_equal(expire(299), 0);
	assert_int_equal(expire(300), 1);
	r = hold(&x);
	expect(r, REFUSE_NONE, 400, 0);
	expect(capture(late.hold_id, "A1"), REFUSE_OVER_CLASS_CEILING, 0, 0); /* no room now */
	expect(release(r.hold_id), REFUSE_NONE, 0, 0);
	expect(capture(late.hold_id, "A1"), REFUSE_NONE, 0, 500);
}

static void test_reissue(void **state)
{
	struct ledger_wallet w = terms(2, 700), got;
	struct ledger_hold q = ask("L1", 1, NULL, 500);
	struct ledger_result a = hold(&q);

	(void)state;
	w.supersedes = h("cred9");
	expect(put_wallet(&w), REFUSE_WALLET_GENERATION, 0, 0);
	w = terms(3, 700);
	expect(put_wallet(&w), REFUSE_WALLET_GENERATION, 0, 0);
	w = terms(2, 100);
	w.digits = 3;
	expect(put_wallet(&w), REFUSE_LEDGER_CURRENCY, 0, 0);
	w = terms(2, 100); /* below what is held: legal, only releases pass */
	w.classes = 1;
	w.klass[0] = (struct ledger_class){ .name = "order", .ceiling = { 900 } };
	expect(put_wallet(&w), REFUSE_NONE, 500, 0);
	assert_true(put_wallet(&w).replayed);
	w.credential = h("equivocation");
	expect(put_wallet(&w), REFUSE_WALLET_GENERATION, 0, 0);
	w = terms(1, 9999);
	expect(put_wallet(&w), REFUSE_WALLET_GENERATION, 0, 0);
	q = ask("L2", 1, NULL, 1);
	expect(hold(&q), REFUSE_OVER_CEILING, 0, 0);
	memcpy(q.class_name, "bulk", 5); /* listed no more */
	expect(hold(&q), REFUSE_OVER_CLASS_CEILING, 0, 0);
	expect(capture(a.hold_id, "A1"), REFUSE_NONE, 0, 500); /* moving is not growing */
	w = terms(3, 2000);
	expect(put_wallet(&w), REFUSE_NONE, 0, 500);
	expect(hold(&q), REFUSE_NONE, 1, 500);
	assert_int_equal(ledger_wallet_get(s, &w.id, &got, NULL), 0);
	assert_int_equal(got.generation, 3);
	assert_int_equal(got.ceiling.minor, 2000);
	assert_int_equal(got.classes, 2);
}

static void test_revoked(void **state)
{
	struct ledger_wallet_id id = terms(1, 0).id;
	struct ledger_hold q = ask("L1", 1, NULL, 500);
	struct ledger_result r = hold(&q);

	(void)state;
	expect(capture(r.hold_id, "A1"), REFUSE_NONE, 0, 500);
	assert_int_equal(ledger_wallet_revoke(s, &id, (wall_t){ 280 }, &r, NULL), 0);
	expect(r, REFUSE_NONE, 0, 500);
	q = ask("L2", 1, NULL, 1);
	expect(hold(&q), REFUSE_WALLET_REVOKED, 0, 0);
	q = ask("L1", 2, "A1", 500); /* a walk-back costs nothing more and stays allowed */
	r = hold(&q);
	expect(r, REFUSE_NONE, 0, 500);
	expect(capture(r.hold_id, "A2"), REFUSE_NONE, 0, 500);
	memcpy(id.wallet_id, "w9", 3);
	assert_int_equal(ledger_wallet_revoke(s, &id, (wall_t){ 280 }, &r, NULL), 0);
	expect(r, REFUSE_WALLET_MISSING, 0, 0);
}

static void test_credit(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300);
	struct ledger_result r = hold(&q);

	(void)state;
	expect(credit("L1", 1, "n0"), REFUSE_IN_FLIGHT, 0, 0);
	expect(capture(r.hold_id, "A1"), REFUSE_NONE, 0, 300);
	expect(credit("L1", 301, "n1"), REFUSE_LEDGER_STATE, 0, 0);
	expect(credit("L9", 1, "n1"), REFUSE_LEDGER_STATE, 0, 0);
	expect(credit("L1", 100, "n1"), REFUSE_NONE, 0, 200);
	assert_true(credit("L1", 100, "n1").replayed);
	expect(credit("L1", 101, "n1"), REFUSE_LEDGER_REPLAY, 0, 0);
	expect(credit("L1", 201, "n2"), REFUSE_LEDGER_STATE, 0, 0);
	expect(credit("L1", 200, "n2"), REFUSE_NONE, 0, 0);
}

static struct ledger_result make_void(const char *id, const char *agreement)
{
	struct hash a = h(agreement);
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_void(s, LEDGER_GATE, line_of(LEDGER_GATE, id), id, &a, (wall_t){ 260 }, &r, &e) <
	    0)
		fail_msg("void: %s", e.text);
	return r;
}

/* A number that was signed and died is skipped; numbers only rise, and the chain has no fork. */
static void test_spent_numbers(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300);
	struct ledger_result dead = hold(&q), r;

	(void)state;
	expect(release(dead.hold_id), REFUSE_NONE, 0, 0);
	q = ask("L1", 2, NULL, 200);
	r = hold(&q);
	expect(capture(r.hold_id, "A2"), REFUSE_NONE, 0, 200);
	expect(capture(dead.hold_id, "A1"), REFUSE_LEDGER_STATE, 0, 0);
	q = ask("L1", 2, "A2", 300);
	q.offer = h("another");
	expect(hold(&q), REFUSE_LEDGER_FORK, 0, 0);
	q = ask("L1", 5, NULL, 300);
	expect(hold(&q), REFUSE_LEDGER_FORK, 0, 0);
	q = ask("L1", 5, "A2", 300);
	r = hold(&q);
	expect(capture(r.hold_id, "A5"), REFUSE_NONE, 0, 300);
}

/* Countersigned when it was dead: it is in the chain, and it cost nothing. */
static void test_void(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300);
	struct ledger_result dead, r = hold(&q);

	(void)state;
	expect(make_void(r.hold_id, "A1"), REFUSE_LEDGER_STATE, 0, 0); /* it lives */
	expect(capture(r.hold_id, "A1"), REFUSE_NONE, 0, 300);
	expect(make_void(r.hold_id, "A1"), REFUSE_LEDGER_STATE, 0, 0); /* it is paid */
	q = ask("L1", 2, "A1", 450);
	dead = hold(&q);
	assert_int_equal(expire(100000), 1);
	expect(make_void(dead.hold_id, "A1"), REFUSE_LEDGER_FORK, 0, 0); /* another revision's */
	expect(make_void(dead.hold_id, "A2"), REFUSE_NONE, 0, 300);
	assert_true(make_void(dead.hold_id, "A2").replayed);
	expect(make_void(dead.hold_id, "A2x"), REFUSE_LEDGER_REPLAY, 0, 0);
	expect(capture(dead.hold_id, "A2"), REFUSE_LEDGER_FORK, 0, 0);
	q = ask("L1", 3, "A2", 450);
	expect(capture(hold(&q).hold_id, "A3"), REFUSE_NONE, 0, 450);
}

static void test_receipts_and_shadow(void **state)
{
	struct ledger_wallet w = terms(1, 1000);
	struct ledger_hold q = ask("L1", 1, NULL, 300);
	struct hash zero = h(NULL), r1 = h("r1"), r2 = h("r2");
	struct ledger_result gate = hold(&q), shadow, r;

	(void)state;
	w.id.side = q.wallet.side = LEDGER_SHADOW;
	expect(put_wallet(&w), REFUSE_NONE, 0, 0);
	shadow = hold(&q);
	expect(shadow, REFUSE_NONE, 300, 0);
	assert_string_equal(shadow.hold_id, gate.hold_id);
	assert_int_equal(ledger_receipt(s, &w.id, &r1, &r2, (wall_t){ 1 }, &r, NULL), 0);
	expect(r, REFUSE_LEDGER_FORK, 0, 0);
	assert_int_equal(ledger_receipt(s, &w.id, &zero, &r1, (wall_t){ 1 }, &r, NULL), 0);
	expect(r, REFUSE_NONE, 300, 0);
	assert_int_equal(ledger_receipt(s, &w.id, &zero, &r1, (wall_t){ 1 }, &r, NULL), 0);
	assert_true(r.replayed);
	assert_int_equal(ledger_receipt(s, &w.id, &r1, &r2, (wall_t){ 1 }, &r, NULL), 0);
	expect(r, REFUSE_NONE, 300, 0);
	assert_int_equal(ledger_receipt(s, &w.id, &r2, &r1, (wall_t){ 1 }, &r, NULL), 0);
	expect(r, REFUSE_LEDGER_REPLAY, 0, 0);
}

/* A refusal in the middle of a turn leaves the rest of the turn, and a rollback takes all. */
static void test_turn(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300), bad = ask("L2", 1, NULL, 501);
	struct ledger_wallet w;

	(void)state;
	commit_ok(s);
	(void)hold(&q);
	expect(hold(&bad), REFUSE_OVER_AGREEMENT_MAX, 0, 0);
	put_event(s, 1);
	assert_int_equal(store_rollback(s, NULL), 0);
	assert_int_equal(ledger_wallet_get(s, &q.wallet, &w, NULL), 0);
	assert_int_equal(w.held.minor, 0);
	expect(hold(&q), REFUSE_NONE, 300, 0);
	put_event(s, 1);
	commit_ok(s);
}

/* So much more held in one class, then in the other. */
#define BOTH(order, bulk)                                                         \
	"BEGIN; UPDATE class_budget SET held=held+" order " WHERE class='order';" \
	"UPDATE class_budget SET held=held+" bulk " WHERE class='bulk'"

/* The next row of the journal as a new hold of L1, which has ended its own. */
#define NEXT_HOLD(line, name, wallet, class, id, amount, state)                                    \
	"BEGIN; UPDATE lineage SET live=(SELECT max(seq)+1 FROM journal) WHERE lineage='L1';"      \
	"INSERT INTO journal SELECT j.seq+1," wallet                                               \
	",'hold'," class "," name ",9," id ",0,0,"                                                 \
			 "j.note,j.event,j.time,j.hash,j.hash," line "," state "," amount          \
			 ",0,zeroblob(32),999,0,"                                                  \
			 "0,0 FROM lineage l,(SELECT * FROM journal ORDER BY seq DESC LIMIT 1) j " \
			 "WHERE"                                                                   \
			 " l.lineage='L1'"
#define KNOWN "(SELECT hold_id FROM journal WHERE line=l.id)"

static const char *const refused[] = {
	BOTH("485", "211"), /* 790 of 800 and 211 of 600, but 1001 of the wallet's 1000 */
	"UPDATE class_budget SET captured=1001,held=0",
	"UPDATE class_budget SET held=801 WHERE class='order'",
	"UPDATE wallet SET ceiling=ceiling+1",
	"UPDATE wallet SET ceiling=99999",
	"UPDATE wallet SET generation=generation+2,ceiling=5000",
	"UPDATE wallet SET currency='USD'",
	"UPDATE class_budget SET held=-1",
	"UPDATE class_budget SET ceiling=9999",
	"UPDATE class_budget SET ceiling=9999,generation=generation+1",
	"DELETE FROM wallet",
	"DELETE FROM class_budget",
	"UPDATE wallet SET rowid=9",
	"UPDATE wallet SET _rowid_=9",
	"UPDATE wallet SET oid=id+9",
	"UPDATE journal SET rowid=99",
	"UPDATE journal SET seq=99",
	"UPDATE lineage SET live=NULL WHERE lineage='L2'",
	"UPDATE lineage SET live=99 WHERE lineage='L2'",
	"UPDATE lineage SET lineage='L9'",
	"INSERT OR REPLACE INTO lineage SELECT * FROM lineage",
	"INSERT OR REPLACE INTO lineage(id,side,lineage,wallet,class,head) SELECT id,side,'L9',"
	"wallet,class,zeroblob(32) FROM lineage",
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'',wallet,class,"
	"zeroblob(32) FROM lineage",
	"UPDATE lineage SET id=99 WHERE lineage='L2'",
	"UPDATE lineage SET rowid=99 WHERE lineage='L2'",
	"UPDATE class_budget SET sub=1",
	"INSERT INTO class_budget(wallet,class,generation,ceiling,sub) SELECT id,'x',generation,1,1"
	" FROM wallet",
	"INSERT OR REPLACE INTO journal SELECT * FROM journal WHERE state=0",
	NEXT_HOLD("l.id+1", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "0"),
	NEXT_HOLD("l.id", "'L9'", "l.wallet", "l.class", "'h-z'", "0", "0"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet+1", "l.class", "'h-z'", "0", "0"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "'gold'", "'h-z'", "0", "0"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", KNOWN, "0", "0"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "5", "0"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "1"),
	NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0",
		  "0") "; " /* again */
		       "INSERT INTO journal SELECT "
		       "seq+1,wallet,kind,class,lineage,rev,hold_id,held,captured,note,"
		       "event,time,hash,hash,line,state,amount,total,follows,expires,0,0,0 FROM "
		       "journal"
		       " ORDER BY seq DESC LIMIT 1",
	"INSERT INTO "
	"journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,"
	"prev,hash) SELECT seq+1,wallet,'hold',class,lineage,9,'h-z',1,0,note,event,time,hash,hash"
	" FROM journal ORDER BY seq DESC LIMIT 1",
	"INSERT INTO "
	"journal(seq,wallet,kind,class,lineage,rev,hold_id,held,captured,note,event,time,"
	"prev,hash,line) SELECT "
	"seq+1,wallet,'credit',class,lineage,9,'',0,0,note,event,time,hash,hash"
	",1 FROM journal ORDER BY seq DESC LIMIT 1",
	"UPDATE journal SET held_then=1",
	"UPDATE journal SET state=3 WHERE state ISNULL",
	"UPDATE journal SET state=NULL WHERE state=0",
	"UPDATE journal SET state=0 WHERE state=0",
	"UPDATE journal SET state=4 WHERE state=0",
	"INSERT OR REPLACE INTO wallet SELECT * FROM wallet",
	"UPDATE journal SET amount=1",
	"UPDATE journal SET state=0 WHERE state=1",
	"UPDATE lineage SET head=zeroblob(32) WHERE rev=1",
	"UPDATE lineage SET rev=rev+2 WHERE rev=1",
	"UPDATE lineage SET rev=rev-1 WHERE rev=1",
	"UPDATE agreement SET rev=5",
	"DELETE FROM agreement",
	"UPDATE journal SET held=0",
	"DELETE FROM journal",
	"UPDATE ledger_idem SET amount=0",
	"DELETE FROM ledger_idem",
};

/* The table takes these, the next look at the file does not. */
static const char *const misshapen[] = {
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'L9',9,class,"
	"zeroblob(32) FROM lineage LIMIT 1",
	"INSERT INTO lineage(side,lineage,wallet,class,head) SELECT 0,'L9',wallet,'gold',"
	"zeroblob(32) FROM lineage LIMIT 1",
};

static void test_raw_sql(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 300), live = ask("L2", 1, NULL, 5);
	struct store *again = NULL;
	struct err e = { 0 };

	(void)state;
	(void)capture(hold(&q).hold_id, "A1");
	(void)hold(&live);
	commit_ok(s);
	s = store_free(s);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if ((raw(refused[i]) & 0xff) != SQLITE_CONSTRAINT)
			fail_msg("not refused: %s", refused[i]);
	raw_ok(NEXT_HOLD("l.id", "l.lineage", "l.wallet", "l.class", "'h-z'", "0", "0"));
	raw_ok(BOTH("485", "210"));
	assert_int_equal(report().fault, STORE_SOUND); /* these were not committed */
	/* within the ceiling the triggers let it pass, but the journal does not know of it */
	raw_ok("UPDATE class_budget SET held=held+1 WHERE class='order'");
	assert_int_equal(report().fault, STORE_FAULT_LEDGER);
	assert_int_equal(store_open(dir, 0, &again, &e), -EUCLEAN);
	assert_non_null(strstr(e.text, "class counters"));
	raw_ok("UPDATE class_budget SET held=held-1 WHERE class='order'");
	raw_ok("UPDATE lineage SET captured=captured-1 WHERE lineage='L1'");
	assert_int_equal(report().fault, STORE_FAULT_LEDGER);
	raw_ok("UPDATE lineage SET captured=captured+1 WHERE lineage='L1'");
	for (size_t i = 0; i < ARRAY_LEN(misshapen); i++) {
		raw_ok(misshapen[i]);
		assert_int_equal(report().fault, STORE_FAULT_LEDGER);
		raw_ok("DROP TRIGGER lineage_no_delete; DELETE FROM lineage WHERE lineage='L9';"
		       "CREATE TRIGGER lineage_no_delete BEFORE DELETE ON lineage BEGIN SELECT"
		       " RAISE(ABORT,'lineage is never deleted'); END");
		assert_int_equal(report().fault, STORE_SOUND);
	}
	s = open_ok(0);
}

/* A hold whose last row the database refuses has no savepoint to go back to: the turn is never
 * committed, and what was acknowledged before it is all there. */
static void test_half_written(void **state)
{
	struct ledger_hold first = ask("L1", 1, NULL, 100), q = ask("L2", 1, NULL, 100);
	struct ledger_wallet w;
	struct ledger_result r;
	struct err e = { 0 };

	(void)state;
	(void)hold(&first);
	commit_ok(s);
	raw_ok("CREATE TRIGGER odd BEFORE INSERT ON journal WHEN NEW.lineage='L2' BEGIN"
	       " SELECT RAISE(ABORT,'odd'); END");
	assert_true(ledger_hold(s, &q, &r, &e) < 0);
	assert_true(store_poisoned(s));
	assert_int_equal(store_commit(s, &e), -EIO);
	s = store_free(s);
	raw_ok("DROP TRIGGER odd");
	s = open_ok(0);
	assert_int_equal(ledger_wallet_get(s, &q.wallet, &w, &e), 0);
	assert_int_equal(w.held.minor, 100);
	assert_int_equal(hold(&q).why, REFUSE_NONE);
	commit_ok(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life),         T(test_refusals),
		T(test_ceilings),     T(test_overflow),
		T(test_pairs),        T(test_other_lineage),
		T(test_fork),         T(test_late_capture),
		T(test_reissue),      T(test_revoked),
		T(test_credit),       T(test_spent_numbers),
		T(test_void),         T(test_receipts_and_shadow),
		T(test_turn),         T(test_raw_sql),
		T(test_half_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
