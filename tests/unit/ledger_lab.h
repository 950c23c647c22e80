/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_lab.h - a gate ledger with one wallet. Wallet w1: ceiling 1000, bulk 600, order 800, 500
 * per agreement. */
#ifndef TREATY_TEST_LEDGER_LAB_H
#define TREATY_TEST_LEDGER_LAB_H

#include "store_util.h"

static struct store *s;

static inline struct hash h(const char *text)
{
	return text ? hash_bytes(text, strlen(text)) : (struct hash){ { 0 } };
}

static inline struct ledger_wallet terms(uint32_t gen, int64_t ceiling)
{
	struct ledger_wallet w = {
		.id = { LEDGER_GATE, "did:web:issuer", "w1" },
		.holder = "did:web:ent",
		.generation = gen,
		.currency = "EUR",
		.digits = 2,
		.ceiling = { ceiling },
		.agreement_max = { 500 },
		.valid_from = { 100 },
		.valid_until = { 10000 },
		.classes = 2,
		.klass = { { .name = "bulk", .ceiling = { 600 } },
			   { .name = "order", .ceiling = { 800 } } },
	};
	char name[8] = "cred0", before[8] = "cred0";

	name[4] = (char)('0' + gen);
	before[4] = (char)('0' + gen - 1);
	w.credential = h(name);
	w.supersedes = h(gen > 1 ? before : NULL);
	return w;
}

static inline struct ledger_result put_wallet(const struct ledger_wallet *w)
{
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_wallet_put(s, w, (wall_t){ 100 }, &r, &e) < 0)
		fail_msg("wallet: %s", e.text);
	return r;
}

static inline struct ledger_hold ask(const char *lineage, uint32_t rev, const char *prev,
				     int64_t amount)
{
	struct ledger_hold q = { .wallet = { LEDGER_GATE, "did:web:issuer", "w1" },
				 .class_name = "order",
				 .currency = "EUR",
				 .rev = rev,
				 .prev = h(prev),
				 .amount = { amount },
				 .now = { 200 },
				 .expires = { 300 } };

	assert_true(str_set(q.lineage, lineage));
	q.offer = h("offer");
	return q;
}

static inline struct ledger_result hold(const struct ledger_hold *q)
{
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_hold(s, q, &r, &e) < 0)
		fail_msg("hold: %s", e.text);
	return r;
}

struct line_of {
	enum ledger_side side;
	const char *id;
	char line[LEDGER_ID_MAX];
};

static inline int line_seen(void *arg, const struct ledger_hold_row *r)
{
	struct line_of *l = arg;

	if (r->side == l->side && !strcmp(r->hold_id, l->id))
		memcpy(l->line, r->lineage, sizeof(l->line));
	return 0;
}

/* The lineage of a hold, "" = none: until the next call. */
static inline const char *line_of(enum ledger_side side, const char *id)
{
	static struct line_of l;

	l = (struct line_of){ side, id, "" };
	assert_int_equal(ledger_holds(s, 0, line_seen, &l, NULL), 0);
	return l.line;
}

static inline struct ledger_result capture(const char *id, const char *agreement)
{
	struct hash a = h(agreement);
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_capture(s, LEDGER_GATE, line_of(LEDGER_GATE, id), id, &a, (wall_t){ 250 }, &r,
			   &e) < 0)
		fail_msg("capture: %s", e.text);
	return r;
}

static inline struct ledger_result release(const char *id)
{
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_release(s, LEDGER_GATE, line_of(LEDGER_GATE, id), id, (wall_t){ 260 }, &r, &e) <
	    0)
		fail_msg("release: %s", e.text);
	return r;
}

static inline struct ledger_result credit(const char *lineage, int64_t amount, const char *note)
{
	struct hash n = h(note);
	struct ledger_result r;
	struct err e = { 0 };

	if (ledger_credit(s, LEDGER_GATE, lineage, (money_t){ amount }, &n, (wall_t){ 270 }, &r,
			  &e) < 0)
		fail_msg("credit: %s", e.text);
	return r;
}

static inline unsigned expire(int64_t now)
{
	unsigned n = 0;

	assert_int_equal(ledger_expire(s, (wall_t){ now }, &n, NULL), 0);
	return n;
}

static inline void expect(struct ledger_result r, enum refusal why, int64_t held, int64_t captured)
{
	if (r.why != why)
		fail_msg("%s instead of %s", refusal_name(r.why), refusal_name(why));
	if (why == REFUSE_NONE) {
		assert_int_equal(r.held.minor, held);
		assert_int_equal(r.captured.minor, captured);
	}
}

static inline int setup(void **state)
{
	struct ledger_wallet w = terms(1, 1000);

	if (dir_make(state))
		return -1;
	s = open_ok(STORE_CREATE | STORE_NOSYNC);
	expect(put_wallet(&w), REFUSE_NONE, 0, 0);
	return 0;
}

/* Whatever a test did, the books must balance at the end. */
static inline int teardown(void **state)
{
	commit_ok(s);
	s = store_free(s);
	s = open_ok(0);
	s = store_free(s);
	assert_int_equal(report().fault, STORE_SOUND);
	return dir_drop(state);
}

#endif
