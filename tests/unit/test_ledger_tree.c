/* SPDX-License-Identifier: Apache-2.0 */
/* Sub-wallets in the ledger. Random trees against a model that knows only what each wallet moved
 * itself: what a wallet commits must be the sum over itself and all below it, and never grow past a
 * ceiling, whatever is held, captured, released, credited, re-issued, revoked, rolled back or
 * reopened. Then each refusal beside its accepted twin, and what raw SQL may not do either. */
#include "store_util.h"

enum { WALLETS = 24, LINES = 300, AGREEMENT = 400 };

static struct store *s;
static unsigned refused[REFUSE_MAX_], accepted;

static struct model {
	struct {
		int parent, depth;
		int64_t held[2], captured[2]; /* its own alone */
		int64_t ceiling, klass[2];
		uint32_t generation;
		bool revoked;
	} w[WALLETS];
	struct {
		int wallet, klass;
		int64_t amount; /* -1 = ended */
		int64_t captured;
		char hold[LEDGER_HOLD_ID_LEN], name[LEDGER_ID_MAX];
	} l[LINES];
	int lines;
} now, durable;

static uint32_t seed = 777;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void id_of(struct ledger_wallet_id *id, int i)
{
	*id = (struct ledger_wallet_id){ .side = i % 2 ? LEDGER_SHADOW : LEDGER_GATE };
	(void)snprintf(id->issuer, sizeof(id->issuer), "did:web:holder%d", i / 5);
	(void)snprintf(id->wallet_id, sizeof(id->wallet_id), "w%d", i);
}

static struct hash credential(int i, uint32_t generation)
{
	uint32_t x[2] = { (uint32_t)i, generation };

	return hash_bytes(x, sizeof(x));
}

static struct ledger_wallet terms(int i)
{
	struct ledger_wallet w = { .holder = "did:web:ent",
				   .generation = now.w[i].generation,
				   .currency = "EUR",
				   .ceiling = { now.w[i].ceiling },
				   .agreement_max = { AGREEMENT },
				   .valid_until = { 10000 },
				   .classes = 2,
				   .klass = { { .name = "bulk", .ceiling = { now.w[i].klass[0] } },
					      { .name = "order",
						.ceiling = { now.w[i].klass[1] } } } };
	struct ledger_wallet_id up;

	id_of(&w.id, i);
	w.credential = credential(i, w.generation);
	if (w.generation > 1)
		w.supersedes = credential(i, w.generation - 1);
	if (now.w[i].parent >= 0) {
		id_of(&up, now.w[i].parent);
		memcpy(w.parent_issuer, up.issuer, sizeof(w.parent_issuer));
		memcpy(w.parent_id, up.wallet_id, sizeof(w.parent_id));
	}
	return w;
}

static enum refusal put_terms(const struct ledger_wallet *w)
{
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_wallet_put(s, w, (wall_t){ 1 }, &r, &e))
		fail_msg("wallet: %s", e.text);
	return r.why;
}

/* First sight or the next generation, with other ceilings: below what is committed too. */
static void put(int i)
{
	struct ledger_wallet w;

	now.w[i].generation++;
	now.w[i].revoked = false;
	now.w[i].ceiling = 500 + (int64_t)rnd(1500);
	now.w[i].klass[0] = 300 + (int64_t)rnd(1200);
	now.w[i].klass[1] = 300 + (int64_t)rnd(1200);
	w = terms(i);
	assert_int_equal(put_terms(&w), REFUSE_NONE);
}

static bool below(int i, int top)
{
	for (; i >= 0; i = now.w[i].parent)
		if (i == top)
			return true;
	return false;
}

/* Of a wallet and all below it; k < 0: both classes. */
static int64_t sum(int top, int k, bool held, bool captured)
{
	int64_t n = 0;

	for (int i = 0; i < WALLETS; i++)
		for (int c = 0; below(i, top) && c < 2; c++)
			if (k < 0 || k == c)
				n += (held ? now.w[i].held[c] : 0) +
				     (captured ? now.w[i].captured[c] : 0);
	return n;
}

static enum refusal may(int i, int k, int64_t x, int64_t total)
{
	for (int a = i; x && a >= 0; a = now.w[a].parent) {
		if (now.w[a].revoked)
			return REFUSE_WALLET_REVOKED;
		if (total > AGREEMENT)
			return REFUSE_OVER_AGREEMENT_MAX;
	}
	for (int a = i; x && a >= 0; a = now.w[a].parent) {
		if (sum(a, k, true, true) + x > now.w[a].klass[k])
			return REFUSE_OVER_CLASS_CEILING;
		if (sum(a, -1, true, true) + x > now.w[a].ceiling)
			return REFUSE_OVER_CEILING;
	}
	return REFUSE_NONE;
}

static void hold(void)
{
	int i = (int)rnd(WALLETS), k = (int)rnd(2), n = now.lines;
	int64_t x = (int64_t)rnd(AGREEMENT + 20);
	struct ledger_hold q = {
		.currency = "EUR", .rev = 1, .amount = { x }, .now = { 5 }, .expires = { 9999 }
	};
	struct ledger_result r;
	enum refusal want;

	if (n == LINES)
		return;
	id_of(&q.wallet, i);
	(void)snprintf(q.class_name, sizeof(q.class_name), "%s", k ? "order" : "bulk");
	(void)snprintf(q.lineage, sizeof(q.lineage), "L%u-%d", rnd(1U << 20), n);
	want = may(i, k, x, x);
	assert_int_equal(ledger_hold(s, &q, &r, NULL), 0);
	if (r.why != want)
		fail_msg("wallet %d: %s, not %s", i, refusal_name(r.why), refusal_name(want));
	refused[want]++;
	if (want != REFUSE_NONE)
		return;
	accepted++;
	now.w[i].held[k] += x;
	assert_int_equal(r.held.minor, sum(i, -1, true, false));
	now.l[n].wallet = i;
	now.l[n].klass = k;
	now.l[n].amount = x;
	now.l[n].captured = 0;
	memcpy(now.l[n].hold, r.hold_id, sizeof(r.hold_id));
	memcpy(now.l[n].name, q.lineage, sizeof(q.lineage));
	now.lines++;
}

static void finish(bool capture)
{
	int n = now.lines ? (int)rnd((uint32_t)now.lines) : 0, i = now.l[n].wallet;
	int k = now.l[n].klass;
	enum ledger_side side = i % 2 ? LEDGER_SHADOW : LEDGER_GATE;
	int64_t x = now.l[n].amount;
	struct hash a = hash_bytes(now.l[n].hold, LEDGER_HOLD_ID_LEN);
	struct ledger_result r;

	if (!now.lines || x < 0)
		return;
	assert_int_equal(capture ? ledger_capture(s, side, now.l[n].name, now.l[n].hold, &a,
						  (wall_t){ 6 }, &r, NULL)
				 : ledger_release(s, side, now.l[n].name, now.l[n].hold,
						  (wall_t){ 6 }, &r, NULL),
			 0);
	assert_int_equal(r.why, REFUSE_NONE);
	now.w[i].held[k] -= x;
	now.w[i].captured[k] += capture ? x : 0;
	now.l[n].captured = capture ? x : 0;
	now.l[n].amount = -1;
	/* Answered again, nothing moves. */
	assert_int_equal(capture ? ledger_capture(s, side, now.l[n].name, now.l[n].hold, &a,
						  (wall_t){ 7 }, &r, NULL)
				 : ledger_release(s, side, now.l[n].name, now.l[n].hold,
						  (wall_t){ 7 }, &r, NULL),
			 0);
	assert_true(r.why == REFUSE_NONE && r.replayed);
}

static void credit(void)
{
	int n = now.lines ? (int)rnd((uint32_t)now.lines) : 0, i = now.l[n].wallet;
	struct ledger_result r;
	struct hash note;
	int64_t x;
	uint32_t salt = rnd(1U << 20);

	if (!now.lines || now.l[n].captured <= 0)
		return;
	x = 1 + (int64_t)rnd((uint32_t)now.l[n].captured);
	note = hash_bytes(&salt, sizeof(salt));
	assert_int_equal(ledger_credit(s, i % 2 ? LEDGER_SHADOW : LEDGER_GATE, now.l[n].name,
				       (money_t){ x }, &note, (wall_t){ 8 }, &r, NULL),
			 0);
	if (r.why != REFUSE_NONE || r.replayed)
		return; /* the same note twice */
	now.l[n].captured -= x;
	now.w[i].captured[now.l[n].klass] -= x;
}

static void take_back(void)
{
	int i = (int)rnd(WALLETS);
	struct ledger_wallet_id id;
	struct ledger_result r;

	id_of(&id, i);
	assert_int_equal(ledger_wallet_revoke(s, &id, (wall_t){ 4 }, &r, NULL), 0);
	now.w[i].revoked = true;
}

static void compare_all(void)
{
	for (int i = 0; i < WALLETS; i++) {
		struct ledger_wallet_id id;
		struct ledger_wallet w;

		id_of(&id, i);
		assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
		assert_int_equal(w.depth, now.w[i].depth);
		assert_int_equal(w.held.minor, sum(i, -1, true, false));
		assert_int_equal(w.captured.minor, sum(i, -1, false, true));
		for (unsigned c = 0; c < w.classes; c++) {
			int k = !strcmp(w.klass[c].name, "order");

			assert_int_equal(w.klass[c].held.minor, sum(i, k, true, false));
			assert_int_equal(w.klass[c].captured.minor, sum(i, k, false, true));
		}
	}
}

static void plant(void)
{
	memset(&now, 0, sizeof(now));
	for (int i = 0; i < WALLETS; i++) {
		int up = i < 4 ? -1 : i % 2 + 2 * (int)rnd((uint32_t)i / 2);

		if (up >= 0 && now.w[up].depth == LEDGER_CHAIN_MAX - 1)
			up = -1;
		now.w[i].parent = up;
		now.w[i].depth = up < 0 ? 0 : now.w[up].depth + 1;
		put(i);
	}
	commit_ok(s);
	durable = now;
}

static void one_step(void)
{
	uint32_t what = rnd(100);

	if (what < 45)
		hold();
	else if (what < 60)
		finish(true);
	else if (what < 75)
		finish(false);
	else if (what < 80)
		credit();
	else if (what < 83)
		put((int)rnd(WALLETS));
	else if (what < 84)
		take_back();
	else if (what < 87) {
		assert_int_equal(store_rollback(s, NULL), 0);
		now = durable;
	} else if (what < 95) {
		commit_ok(s);
		durable = now;
	}
}

static void test_model(void **state)
{
	(void)state;
	for (unsigned tree = 0; tree < 6; tree++) {
		assert_int_equal(tree ? dir_make(NULL) : 0, 0);
		s = open_ok(STORE_CREATE | STORE_NOSYNC);
		plant();
		for (unsigned step = 0; step < 1500 && now.lines < LINES; step++) {
			one_step();
			if (step % 100 == 99)
				compare_all();
			if (step % 500 == 499) {
				s = store_free(s); /* an open turn is lost */
				now = durable;
				s = open_ok(STORE_NOSYNC);
			}
		}
		commit_ok(s);
		compare_all();
		s = store_free(s);
		assert_int_equal(report().fault, STORE_SOUND);
		assert_int_equal(tree < 5 ? dir_drop(NULL) : 0, 0);
	}
	assert_true(accepted > 500 && refused[REFUSE_OVER_CEILING] > 20 &&
		    refused[REFUSE_OVER_CLASS_CEILING] > 20 && refused[REFUSE_WALLET_REVOKED] > 5);
}

/* --- by hand: 0 above 1 above 2 above 3, and 4 a root of its own
 * ---------------------------------- */

static void line_of_four(void)
{
	memset(&now, 0, sizeof(now));
	s = open_ok(STORE_CREATE | STORE_NOSYNC);
	for (int i = 0; i < 10; i += 2) { /* even ones are of one side */
		struct ledger_wallet w;

		now.w[i].parent = i == 0 || i == 8 ? -1 : i - 2;
		now.w[i].generation = 1;
		now.w[i].ceiling = now.w[i].klass[0] = now.w[i].klass[1] = 1000 - 100 * (i / 2);
		w = terms(i);
		assert_int_equal(put_terms(&w), REFUSE_NONE);
	}
	commit_ok(s);
}

static enum refusal try_hold(int i, const char *lineage, int64_t x,
			     char hold_id[LEDGER_HOLD_ID_LEN])
{
	struct ledger_hold q = { .class_name = "bulk",
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { x },
				 .now = { 5 },
				 .expires = { 9999 } };
	struct ledger_result r;

	id_of(&q.wallet, i);
	assert_true(str_set(q.lineage, lineage));
	assert_int_equal(ledger_hold(s, &q, &r, NULL), 0);
	if (hold_id)
		memcpy(hold_id, r.hold_id, LEDGER_HOLD_ID_LEN);
	return r.why;
}

static int end_line(void **state)
{
	s = store_free(s);
	return dir_drop(state);
}

static void test_identity(void **state)
{
	struct ledger_wallet w, four;

	(void)state;
	line_of_four();
	now.w[10].generation = 1;
	now.w[10].ceiling = 10;
	now.w[10].parent = 8;
	w = terms(10);
	assert_true(str_set(w.parent_id, "w99"));
	assert_int_equal(put_terms(&w), REFUSE_WALLET_DELEGATION); /* not known */
	w = terms(10);
	w.id.side = LEDGER_SHADOW;
	assert_int_equal(put_terms(&w), REFUSE_WALLET_DELEGATION); /* another ledger's */
	w = terms(10);
	memcpy(w.currency, "USD", 4);
	assert_int_equal(put_terms(&w), REFUSE_LEDGER_CURRENCY);
	w = terms(10);
	assert_true(str_set(w.klass[1].name, "gold"));
	assert_int_equal(put_terms(&w), REFUSE_WALLET_DELEGATION); /* a class it never had */
	w = terms(10);
	memcpy(w.parent_issuer, w.id.issuer, sizeof(w.parent_issuer));
	memcpy(w.parent_id, w.id.wallet_id, sizeof(w.parent_id));
	assert_int_equal(put_terms(&w), REFUSE_WALLET_DELEGATION); /* itself */
	now.w[10].parent = 6;
	w = terms(10);
	assert_int_equal(put_terms(&w), REFUSE_WALLET_DELEGATION); /* a fifth */
	now.w[10].parent = 8;
	w = terms(10);
	assert_int_equal(put_terms(&w), REFUSE_NONE);
	assert_int_equal(put_terms(&w), REFUSE_NONE); /* the same child twice is one child */
	/* The next generation stays where it is: no other parent, and not none, which would make
	 * a circle or a way out. */
	now.w[8].generation = 2;
	now.w[8].parent = 10;
	four = terms(8);
	assert_int_equal(put_terms(&four), REFUSE_WALLET_DELEGATION);
	now.w[10].generation = 2;
	now.w[10].parent = -1;
	w = terms(10);
	assert_int_equal(put_terms(&w), REFUSE_WALLET_DELEGATION);
	now.w[10].parent = 8;
	w = terms(10);
	assert_int_equal(put_terms(&w), REFUSE_NONE);
	w.parent_id[0] = 0;
	assert_int_equal(
		ledger_wallet_put(s, &w, (wall_t){ 1 }, &(struct ledger_result){ 0 }, NULL),
		-EINVAL);
}

/* The lines of one turn: what one child lets go another may hold, in either order of rows. */
static void test_siblings(void **state)
{
	char h[2][LEDGER_HOLD_ID_LEN];
	struct ledger_result r;

	(void)state;
	line_of_four();
	assert_int_equal(try_hold(2, "a", 400, h[0]), REFUSE_NONE);
	assert_int_equal(try_hold(6, "b", 400, h[1]), REFUSE_NONE);
	assert_int_equal(try_hold(0, "c", 200, NULL), REFUSE_NONE);
	assert_int_equal(try_hold(0, "d", 1, NULL), REFUSE_OVER_CLASS_CEILING);
	assert_int_equal(try_hold(4, "e", 1, NULL), REFUSE_OVER_CLASS_CEILING);
	commit_ok(s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ledger_release(s, LEDGER_GATE, i ? "b" : "a", h[i], (wall_t){ 6 },
						&r, NULL),
				 0);
		assert_int_equal(try_hold(i ? 2 : 6, i ? "f" : "g", i ? 400 : 300, NULL),
				 REFUSE_NONE);
		commit_ok(s);
	}
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

static void test_life(void **state)
{
	struct ledger_wallet_id id;
	struct ledger_wallet chain[2];
	struct ledger_result r;
	char h[LEDGER_HOLD_ID_LEN];
	struct hash a = hash_bytes("a", 1);

	(void)state;
	line_of_four();
	assert_int_equal(try_hold(6, "a", 100, h), REFUSE_NONE);
	id_of(&id, 2);
	assert_int_equal(ledger_wallet_revoke(s, &id, (wall_t){ 4 }, &r, NULL), 0);
	assert_int_equal(try_hold(6, "b", 1, NULL), REFUSE_WALLET_REVOKED);
	assert_int_equal(try_hold(0, "x", 1, NULL), REFUSE_NONE); /* above it */
	assert_int_equal(ledger_capture(s, LEDGER_GATE, "a", h, &a, (wall_t){ 6 }, &r, NULL), 0);
	assert_int_equal(r.why, REFUSE_NONE); /* what was held runs on */
	/* A chain is put whole or not at all: the child's generation does not follow. */
	now.w[2].generation = 2;
	now.w[4].generation = 3;
	chain[0] = terms(4);
	chain[1] = terms(2);
	assert_int_equal(ledger_chain_put(s, chain, 2, (wall_t){ 1 }, &r, NULL), 0);
	assert_int_equal(r.why, REFUSE_WALLET_GENERATION);
	assert_int_equal(try_hold(6, "b", 1, NULL), REFUSE_WALLET_REVOKED);
	now.w[4].generation = 2;
	chain[0] = terms(4);
	assert_int_equal(ledger_chain_put(s, chain, 2, (wall_t){ 1 }, &r, NULL), 0);
	assert_int_equal(r.why, REFUSE_NONE);
	assert_int_equal(try_hold(6, "b", 1, NULL), REFUSE_NONE);
	/* The parent's end is the child's. */
	now.w[0].generation = 2;
	chain[0] = terms(0);
	chain[0].valid_until = (wall_t){ 5 };
	assert_int_equal(put_terms(&chain[0]), REFUSE_NONE);
	assert_int_equal(try_hold(6, "c", 1, NULL), REFUSE_WALLET_EXPIRED);
	assert_int_equal(try_hold(8, "c", 1, NULL), REFUSE_NONE);
}

#define OF(w) "class='bulk' AND wallet=(SELECT id FROM wallet WHERE wallet_id='" w "')"

static void test_raw_sql(void **state)
{
	static const char *const bad[] = {
		"UPDATE class_budget SET held=901 WHERE " OF("w2"),
		"PRAGMA recursive_triggers=ON; UPDATE class_budget SET held=held+250 WHERE " OF(
			"w6"),
		"UPDATE wallet SET parent=NULL,depth=0 WHERE wallet_id='w2'",
		"UPDATE wallet SET parent=(SELECT id FROM wallet WHERE wallet_id='w8') WHERE"
		" wallet_id='w2'",
		"INSERT INTO class_budget(wallet,class,generation,ceiling) SELECT id,'gold',1,1 "
		"FROM"
		" wallet WHERE wallet_id='w2'",
	};
	uint64_t n = 0;

	(void)state;
	line_of_four();
	assert_int_equal(try_hold(0, "a", 300, NULL), REFUSE_NONE);
	assert_int_equal(try_hold(2, "b", 400, NULL), REFUSE_NONE);
	assert_int_equal(try_hold(4, "c", 100, NULL), REFUSE_NONE);
	commit_ok(s);
	s = store_free(s);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (raw(bad[i]) == SQLITE_OK)
			fail_msg("passed: %s", bad[i]);
	/* Without recursion the grandparent is not told, which the next start finds; and the
	 * recount mends it. */
	raw_ok("UPDATE class_budget SET held=held+10 WHERE " OF("w6"));
	assert_int_equal(report().fault, STORE_FAULT_LEDGER);
	assert_int_equal(ledger_rebuild(dir, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(report().fault, STORE_SOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, dir_make, dir_drop),
		cmocka_unit_test_setup_teardown(test_identity, dir_make, end_line),
		cmocka_unit_test_setup_teardown(test_siblings, dir_make, end_line),
		cmocka_unit_test_setup_teardown(test_life, dir_make, end_line),
		cmocka_unit_test_setup_teardown(test_raw_sql, dir_make, end_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
