/* SPDX-License-Identifier: Apache-2.0 */
/* Many wallets in one turn against a model of four lines: holds, captures, releases, re-issues,
 * commits and rollbacks at random; whatever is kept in memory between commits must not show. */
#include "store_util.h"

enum { WALLETS = 150, LINES = 400, CEILING = 1000, CLASS = 700 };

static struct store *s;

/* What the ledger must say; a rollback puts the whole of it back. */
static struct model {
	struct {
		int64_t held[2], captured[2], ceiling;
		uint32_t generation;
	} w[WALLETS];
	struct {
		int wallet, klass;
		int64_t amount; /* 0 = no hold yet, -1 = ended */
		char hold[LEDGER_HOLD_ID_LEN], name[LEDGER_ID_MAX];
	} l[LINES];
	int lines;
} now, durable;

static uint32_t seed = 12345;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static struct ledger_wallet terms(int i, uint32_t gen, int64_t ceiling)
{
	struct ledger_wallet w = { .id = { LEDGER_GATE, "did:web:issuer", "" },
				   .holder = "did:web:ent",
				   .generation = gen,
				   .currency = "EUR",
				   .ceiling = { ceiling },
				   .agreement_max = { 500 },
				   .valid_until = { 10000 },
				   .classes = 2,
				   .klass = { { .name = "bulk", .ceiling = { CLASS } },
					      { .name = "order", .ceiling = { CLASS } } } };
	uint32_t before[2] = { (uint32_t)i, gen - 1 }, this[2] = { (uint32_t)i, gen };

	(void)snprintf(w.id.wallet_id, sizeof(w.id.wallet_id), "w%d", i);
	w.credential = hash_bytes(this, sizeof(this));
	if (gen > 1)
		w.supersedes = hash_bytes(before, sizeof(before));
	return w;
}

static void put(int i)
{
	struct ledger_wallet w = terms(i, ++now.w[i].generation, CEILING - (int64_t)rnd(400));
	struct ledger_result r;

	assert_int_equal(ledger_wallet_put(s, &w, (wall_t){ 1 }, &r, NULL), 0);
	assert_int_equal(r.why, REFUSE_NONE);
	now.w[i].ceiling = w.ceiling.minor;
}

static int64_t sum(int i)
{
	return now.w[i].held[0] + now.w[i].held[1] + now.w[i].captured[0] + now.w[i].captured[1];
}

static void told(int i, const struct ledger_result *r)
{
	assert_int_equal(r->held.minor, now.w[i].held[0] + now.w[i].held[1]);
	assert_int_equal(r->captured.minor, now.w[i].captured[0] + now.w[i].captured[1]);
}

static void hold(void)
{
	int i = (int)rnd(WALLETS), k = (int)rnd(2), n = now.lines;
	int64_t x = (int64_t)rnd(300);
	struct ledger_hold q = { .wallet = terms(i, 1, 1).id,
				 .currency = "EUR",
				 .rev = 1,
				 .amount = { x },
				 .now = { 5 },
				 .expires = { 9999 } };
	enum refusal want = REFUSE_NONE;
	struct ledger_result r;

	if (n == LINES)
		return;
	(void)snprintf(q.class_name, sizeof(q.class_name), "%s", k ? "order" : "bulk");
	(void)snprintf(q.lineage, sizeof(q.lineage), "L%u-%d", rnd(1u << 20), n);
	if (x && now.w[i].held[k] + now.w[i].captured[k] + x > CLASS)
		want = REFUSE_OVER_CLASS_CEILING;
	else if (x && sum(i) + x > now.w[i].ceiling)
		want = REFUSE_OVER_CEILING;
	assert_int_equal(ledger_hold(s, &q, &r, NULL), 0);
	if (r.why != want)
		fail_msg("%s, not %s", refusal_name(r.why), refusal_name(want));
	if (want != REFUSE_NONE)
		return;
	now.w[i].held[k] += x;
	told(i, &r);
	now.l[n].wallet = i;
	now.l[n].klass = k;
	now.l[n].amount = x;
	memcpy(now.l[n].hold, r.hold_id, sizeof(r.hold_id));
	memcpy(now.l[n].name, q.lineage, sizeof(q.lineage));
	now.lines++;
}

static void finish(bool capture)
{
	int n = now.lines ? (int)rnd((uint32_t)now.lines) : 0, i = now.l[n].wallet;
	int k = now.l[n].klass;
	int64_t x = now.l[n].amount;
	struct hash a = hash_bytes(now.l[n].hold, LEDGER_HOLD_ID_LEN);
	struct ledger_result r;

	if (!now.lines || x < 0)
		return;
	if (capture)
		assert_int_equal(ledger_capture(s, LEDGER_GATE, now.l[n].name, now.l[n].hold, &a,
						(wall_t){ 6 }, &r, NULL),
				 0);
	else
		assert_int_equal(ledger_release(s, LEDGER_GATE, now.l[n].name, now.l[n].hold,
						(wall_t){ 6 }, &r, NULL),
				 0);
	assert_int_equal(r.why, REFUSE_NONE);
	now.w[i].held[k] -= x;
	now.w[i].captured[k] += capture ? x : 0;
	now.l[n].amount = -1;
	told(i, &r);
}

static void compare(void)
{
	int i = (int)rnd(WALLETS);
	struct ledger_wallet_id id = terms(i, 1, 1).id;
	struct ledger_wallet w;

	assert_int_equal(ledger_wallet_get(s, &id, &w, NULL), 0);
	assert_int_equal(w.ceiling.minor, now.w[i].ceiling);
	assert_int_equal(w.held.minor, now.w[i].held[0] + now.w[i].held[1]);
	for (unsigned c = 0; c < w.classes; c++) {
		int k = !strcmp(w.klass[c].name, "order");

		assert_int_equal(w.klass[c].held.minor, now.w[i].held[k]);
		assert_int_equal(w.klass[c].captured.minor, now.w[i].captured[k]);
	}
}

static void test_model(void **state)
{
	(void)state;
	s = open_ok(STORE_CREATE | STORE_NOSYNC);
	for (int i = 0; i < WALLETS; i++)
		put(i);
	commit_ok(s);
	durable = now;
	for (unsigned step = 0; step < 6000; step++) {
		uint32_t what = rnd(100);

		if (what < 40)
			hold();
		else if (what < 60)
			finish(true);
		else if (what < 80)
			finish(false);
		else if (what < 84)
			put((int)rnd(WALLETS));
		else if (what < 90)
			compare();
		else if (what < 93) {
			assert_int_equal(store_rollback(s, NULL), 0);
			now = durable;
		} else {
			commit_ok(s);
			durable = now;
		}
		if (now.lines == LINES) {
			commit_ok(s);
			now.lines = 0; /* the counters stay */
			durable = now;
		}
		if (step % 1500 == 1499) {
			s = store_free(s); /* an open turn is lost */
			now = durable;
			s = open_ok(STORE_NOSYNC);
		}
	}
	commit_ok(s);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, dir_make, dir_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
