/* SPDX-License-Identifier: Apache-2.0 */
/* A wallet that the operator knows is not put again (docs/decisions/0156): the ledger's put is
 * counted, and what was kept the first time is all there. */
#include "bss_road.h"

static unsigned puts_seen;

int __real_ledger_chain_put(struct store *s, const struct ledger_wallet *w, unsigned n, wall_t now,
			    struct ledger_result *ret, struct err *e);
int __wrap_ledger_chain_put(struct store *s, const struct ledger_wallet *w, unsigned n, wall_t now,
			    struct ledger_result *ret, struct err *e);
int __wrap_ledger_chain_put(struct store *s, const struct ledger_wallet *w, unsigned n, wall_t now,
			    struct ledger_result *ret, struct err *e)
{
	puts_seen++;
	return __real_ledger_chain_put(s, w, n, now, ret, e);
}

static int known_setup(void **state)
{
	puts_seen = 0;
	return lab_setup(state);
}

/* The credential that is kept of this wallet, as it was signed. */
static void kept(const struct road *r)
{
	auto_json json_t *vc = road_vc(r), *body = NULL;
	digest_t d;

	assert_int_equal(canon_sha256(vc, d.b, NULL), 0);
	assert_int_equal(desk_body_get(&lab.side, &d, &body, NULL), 0);
	assert_true(json_equal(vc, body));
}

static struct road quoted(const struct wallet *w, const char *hex)
{
	struct road r = road_new(&lab.ent, hex);

	if (w)
		r.w = *w;
	ask_quote(&r);
	take_quote(&r);
	kept(&r);
	return r;
}

static void put_once(void **state)
{
	auto_road struct road a = quoted(NULL, "01"), b = quoted(&a.w, "02");
	struct wallet next = a.w;

	(void)state;
	assert_int_equal(puts_seen, 1);
	lab_restart();
	{
		auto_road struct road c = quoted(&a.w, "03");
	}
	assert_int_equal(puts_seen, 1);
	choose(&b, item_on(&b, 1)); /* and it pays: the row that was put first is the one */
	send_accept(b.who, &b.a);
	take_agreement(&b);
	assert_int_equal(holds_now(), 1);
	next.generation = 2;
	must_set(next.supersedes, a.w.id);
	must_set(next.id, "urn:uuid:00000000-0000-4000-8000-000000000002");
	{
		auto_road struct road d = quoted(&next, "04"), e = quoted(&next, "05");
	}
	assert_int_equal(puts_seen, 2); /* the next generation, once */
}

/* Another content of the same generation is no known one. */
static void another_content_is_not_known(void **state)
{
	auto_road struct road a = quoted(NULL, "01"), fork = road_new(&lab.ent, "02");
	struct snap s = snap();

	(void)state;
	fork.w.ceiling.minor++;
	ask_quote(&fork);
	expect(REFUSE_WALLET_GENERATION, s, "same generation, other content");
	assert_int_equal(puts_seen, 1);
}

/* Two contents of one generation: what was quoted on the first holds no money any more, neither on
 * it nor below it. */
static void a_frozen_wallet_pays_nothing(void **state)
{
	for (int below = 0; below < 2; below++) {
		auto_road struct road a = road_new(&lab.ent, "01"), fork = road_new(&lab.ent, "02");
		struct snap s;

		if (below) {
			road_below(&a, &lab.other, 0);
			road_below(&fork, &lab.other, 0);
			fork.top.ceiling.minor++;
		} else {
			fork.w.ceiling.minor++;
		}
		ask_quote(&a);
		take_quote(&a);
		for (int again = 0; again < 2; again++) {
			ask_quote(&fork);
			assert_int_equal(problem(), REFUSE_WALLET_GENERATION);
			lab_restart();
		}
		choose(&a, item_on(&a, 1));
		s = snap();
		send_accept(a.who, &a.a);
		expect(REFUSE_WALLET_REVOKED, s, "frozen");
		assert_int_equal(holds_now(), 0);
		assert_int_equal(lab_teardown(state) | known_setup(state), 0);
	}
}

/* The key that issued it was lost: nothing more is held on what was admitted before. */
static void a_lost_issuer_pays_nothing(void **state)
{
	auto_road struct road a = quoted(NULL, "01");
	struct ev_key k = { .until = lab.now };
	struct snap s;

	(void)state;
	must_set(k.owner.s, lab.issuer.did);
	must_set(k.id.s, "wallet");
	must_set(k.why.s, "they called");
	lab.now.ms++;
	assert_int_equal(tool_call(lab.side.engine, TOOL_key_compromise, &k), REFUSE_NONE);
	lab_turn();
	choose(&a, item_on(&a, 1));
	s = snap();
	send_accept(a.who, &a.a);
	expect(REFUSE_KEY_COMPROMISED, s, "its issuer's key is lost");
	assert_int_equal(holds_now(), 0);
}

/* Below another wallet all is put each time: what stands above may have changed. */
static void a_line_is_put_each_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		char hex[4];
		struct road r;

		(void)snprintf(hex, sizeof(hex), "0%u", i);
		r = road_new(&lab.ent, hex);
		road_below(&r, &lab.other, 0);
		ask_quote(&r);
		take_quote(&r);
		kept(&r);
		road_free(&r);
		assert_int_equal(puts_seen, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, known_setup, lab_teardown)
		T(put_once),
		T(another_content_is_not_known),
		T(a_frozen_wallet_pays_nothing),
		T(a_lost_issuer_pays_nothing),
		T(a_line_is_put_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
