/* SPDX-License-Identifier: Apache-2.0 */
/* The debit ledger: every refusal beside its accepted twin, every (state, step) pair, and what raw
 * SQL may not do either. */
#include "agent/store/db.h"
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

static int runs(enum query q)
{
	return s->stmt[q] ? sqlite3_stmt_status(s->stmt[q], SQLITE_STMTSTATUS_RUN, 0) : 0;
}

/* Whoever reads a wallet finds what the turn made of it so far, and no row is read again for it. */
static void test_read_once(void **state)
{
	char name[8] = "L0", said[8] = "A0", next[8] = "r1";
	struct hash before = h(NULL), digest;
	struct ledger_wallet_id id = terms(1, 1000).id;
	struct ledger_wallet w;
	struct ledger_result r;
	int first;

	(void)state;
	assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
	first = runs(Q_W_FIND) + runs(Q_W_BY_ID) + runs(Q_C_LIST);
	for (int i = 1; i < 6; i++) {
		struct ledger_hold q;

		name[1] = said[1] = next[1] = (char)('0' + i);
		digest = h(next);
		q = ask(name, 1, NULL, 100);
		r = hold(&q);
		assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
		assert_int_equal(w.held.minor, 100);
		assert_int_equal(w.klass[1].held.minor, 100);
		expect(capture(r.hold_id, said), REFUSE_NONE, 0, 100 * i);
		assert_int_equal(ledger_receipt(s, &id, &before, &digest, (wall_t){ 1 }, &r, NULL),
				 0);
		expect(r, REFUSE_NONE, 0, 100 * i);
		before = digest;
		assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
		assert_int_equal(w.captured.minor, 100 * i);
		assert_memory_equal(w.receipt.b, digest.b, HASH_LEN);
		if (i & 1)
			commit_ok(s);
	}
	assert_int_equal(runs(Q_W_FIND) + runs(Q_W_BY_ID) + runs(Q_C_LIST), first);
	assert_int_equal(store_rollback(s, NULL), 0);
	assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
	assert_int_equal(w.captured.minor, 500);
	assert_memory_equal(w.receipt.b, before.b, HASH_LEN);
}

/* Ends of holds and receipts of one turn are written to the journal at once, but not before a hold
 * of the same lineage that waits. */
static void test_one_write(void **state)
{
	struct ledger_hold q = ask("L1", 1, NULL, 100);
	struct hash zero = h(NULL), a1 = h("A1"), a3 = h("A3"), r1 = h("r1");
	struct ledger_result one = hold(&q), two, three, r;
	wall_t at = { 250 };
	int before;

	(void)state;
	q = ask("L2", 1, NULL, 100);
	two = hold(&q);
	commit_ok(s);
	before = runs(Q_J_PUT);
	assert_int_equal(ledger_capture(s, LEDGER_GATE, "L1", one.hold_id, &a1, at, &r, NULL), 0);
	expect(r, REFUSE_NONE, 100, 100);
	assert_int_equal(ledger_receipt(s, &q.wallet, &zero, &r1, at, &r, NULL), 0);
	assert_int_equal(ledger_release(s, LEDGER_GATE, "L2", two.hold_id, at, &r, NULL), 0);
	expect(r, REFUSE_NONE, 0, 100);
	assert_int_equal(runs(Q_J_PUT), before);
	q = ask("L3", 1, NULL, 100);
	three = hold(&q);
	assert_int_equal(ledger_capture(s, LEDGER_GATE, "L3", three.hold_id, &a3, at, &r, NULL), 0);
	expect(r, REFUSE_NONE, 0, 200);
	assert_int_equal(runs(Q_J_PUT), before + 1);
	commit_ok(s);
	assert_int_equal(runs(Q_J_PUT), before + 2);
}

/* A receipt that is taken back with its turn leaves the one before; one that is refused leaves what
 * others did in its turn; another process sees what was committed, each time it looks. */
static void test_receipt_turns(void **state)
{
	struct hash zero = h(NULL), r1 = h("r1"), r2 = h("r2");
	struct ledger_wallet_id id = terms(1, 1000).id;
	struct ledger_hold q = ask("L1", 1, NULL, 300);
	struct store *other = NULL;
	struct ledger_wallet w;
	struct ledger_result r;

	(void)state;
	commit_ok(s);
	other = open_ok(STORE_READER);
	assert_int_equal(ledger_wallet_get(other, &id, &w, NULL), 0);
	assert_memory_equal(w.receipt.b, zero.b, HASH_LEN);
	assert_int_equal(ledger_receipt(s, &id, &zero, &r1, (wall_t){ 1 }, &r, NULL), 0);
	assert_int_equal(store_rollback(s, NULL), 0);
	assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
	assert_memory_equal(w.receipt.b, zero.b, HASH_LEN);
	expect(hold(&q), REFUSE_NONE, 300, 0);
	assert_int_equal(ledger_receipt(s, &id, &r1, &r2, (wall_t){ 1 }, &r, NULL), 0);
	expect(r, REFUSE_LEDGER_FORK, 0, 0);
	assert_int_equal(ledger_receipt(s, &id, &zero, &r1, (wall_t){ 1 }, &r, NULL), 0);
	expect(r, REFUSE_NONE, 300, 0);
	commit_ok(s);
	assert_int_equal(ledger_wallet_get(other, &id, &w, NULL), 0);
	assert_int_equal(w.held.minor, 300);
	assert_memory_equal(w.receipt.b, r1.b, HASH_LEN);
	other = store_free(other);
}

/* Rows that wait in the turn are there for who reads them, in their order, however many. */
static void test_many_in_a_turn(void **state)
{
	enum { MANY = 300 };
	struct ledger_hold first = ask("N0", 1, NULL, 1);
	struct ledger_hold_row row;
	struct err e = { 0 };
	unsigned n = 0;
	uint64_t seq;

	(void)state;
	commit_ok(s);
	seq = hold(&first).journal_seq;
	for (int i = 1; i < MANY; i++) {
		struct ledger_hold q, bad = ask("bad", 1, NULL, 501);
		struct ledger_result r;
		char name[16];

		(void)snprintf(name, sizeof(name), "N%d", i);
		q = ask(name, 1, NULL, 1);
		r = hold(&q);
		expect(r, REFUSE_NONE, i + 1, 0);
		assert_int_equal(r.journal_seq, seq + (uint64_t)i);
		if (i % 7 == 0)
			assert_int_equal(hold(&bad).why, REFUSE_OVER_AGREEMENT_MAX);
		if (i % 50 == 0) { /* again, and another revision: of a row that may wait */
			r = hold(&q);
			assert_true(r.replayed);
			assert_int_equal(r.journal_seq, seq + (uint64_t)i);
			q.rev = 2;
			assert_int_equal(hold(&q).why, REFUSE_IN_FLIGHT);
		}
		if (i % 90 == 0)
			assert_int_equal(ledger_hold_get(s, LEDGER_GATE, name, r.hold_id, &row, &e),
					 0);
	}
	assert_int_equal(ledger_check(s, &e), 0);
	assert_int_equal(ledger_expire(s, (wall_t){ 1000 }, &n, &e), 0);
	assert_int_equal(n, MANY);
	assert_int_equal(store_rollback(s, &e), 0);
	expect(hold(&first), REFUSE_NONE, 1, 0);
	commit_ok(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life),          T(test_refusals),
		T(test_ceilings),      T(test_overflow),
		T(test_pairs),         T(test_other_lineage),
		T(test_fork),          T(test_late_capture),
		T(test_reissue),       T(test_revoked),
		T(test_credit),        T(test_spent_numbers),
		T(test_void),          T(test_receipts_and_shadow),
		T(test_turn),          T(test_many_in_a_turn),
		T(test_read_once),     T(test_one_write),
		T(test_receipt_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
