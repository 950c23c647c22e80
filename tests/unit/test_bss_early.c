/* SPDX-License-Identifier: Apache-2.0 */
/* Agreements of one wallet that are settled at once: their receipts come in any order. */
#include "bss_road.h"

static void sign_road(struct road *r)
{
	ask_quote(r);
	take_quote(r);
	choose(r, item_on(r, 1));
	send_accept(r->who, &r->a);
	take_agreement(r);
}

static struct road signed_road(const char *hex)
{
	struct road r = road_new(&lab.ent, hex);

	sign_road(&r);
	return r;
}

/* The receipt after c, whatever came of c. */
static void chain_after(const struct receipt *c, struct receipt *next)
{
	auto_json json_t *vc = NULL;

	assert_int_equal(receipt_issue(c, &lab.ent.port, &vc, NULL), 0);
	assert_int_equal(canon_sha256(vc, next->previous, NULL), 0);
	next->has_previous = true;
	next->ledger_seq = c->ledger_seq + 1;
	next->cumulative_after = money_add(c->cumulative_after, next->amount);
}

/* Two agreements of one wallet are signed and settled at once: the receipts may come in any order,
 * and an early one waits for the one before it, not for ever. */
static void early_receipt(void **state)
{
	auto_road struct road first = signed_road("00000000000000bb");
	auto_road struct road second = signed_road("00000000000000cc");
	struct acceptance a1, a2;
	struct receipt c1, c2;
	struct snap s;

	(void)state;
	acceptance_of(&first, &a1, &c1);
	acceptance_of(&second, &a2, &c2);
	chain_after(&c1, &c2);
	s = snap();
	send_acceptance(second.who, &a2, &c2, &second.who->port);
	assert_int_equal(lab.replies, 0);
	assert_int_equal(lab_world()->events, s.events);
	lab_run(5100);
	expect(REFUSE_LEDGER_FORK, s, "the one before it never came");
	assert_int_equal(holds_now(), 2);
	send_acceptance(second.who, &a2, &c2, &second.who->port);
	assert_int_equal(lab.replies, 0);
	assert_int_equal(holds_now(), 2);
	send_acceptance(first.who, &a1, &c1, &first.who->port);
	assert_int_equal(lab.replies, 0);
	assert_int_equal(holds_now(), 0);
	assert_int_equal(deal(&first)->cur.rev, 1);
	assert_int_equal(deal(&second)->cur.rev, 1);
	oss_active(&first);
	(void)artifact("service");
	lab.rpc--; /* the answer to the message before */
	lab.replies = 0;
	oss_active(&second);
	(void)artifact("service");
}

/* One that waits is answered by a restart with silence, and taken when it is said again; whoever
 * waits does not keep others of the same wallet from settling. */
static void waiting_is_forgotten(void **state)
{
	auto_road struct road first = signed_road("00000000000000b1");
	auto_road struct road second = signed_road("00000000000000b2");
	struct acceptance a1, a2;
	struct receipt c1, c2;

	(void)state;
	acceptance_of(&first, &a1, &c1);
	acceptance_of(&second, &a2, &c2);
	chain_after(&c1, &c2);
	send_acceptance(second.who, &a2, &c2, &second.who->port);
	assert_int_equal(lab.replies, 0);
	lab_restart();
	send_acceptance(first.who, &a1, &c1, &first.who->port);
	assert_int_equal(deal(&first)->cur.rev, 1);
	assert_int_equal(deal(&second)->cur.rev, 0);
	send_acceptance(second.who, &a2, &c2, &second.who->port);
	assert_int_equal(deal(&second)->cur.rev, 1);
	assert_int_equal(holds_now(), 0);
	oss_active(&second);
	(void)artifact("service");
}

/* What is wrong whatever comes before it is refused at once: it takes no place among those who
 * wait. */
static void a_wrong_sum_waits_for_nobody(void **state)
{
	auto_road struct road first = signed_road("00000000000000c1");
	auto_road struct road second = signed_road("00000000000000c2");
	struct acceptance a1, a2;
	struct receipt c1, c2;

	(void)state;
	acceptance_of(&first, &a1, &c1);
	acceptance_of(&second, &a2, &c2);
	chain_after(&c1, &c2);
	c2.amount.minor++;
	send_acceptance(second.who, &a2, &c2, &second.who->port);
	assert_int_equal(lab.replies, 1);
	assert_int_equal(problem(), REFUSE_LEDGER_STATE);
	c2.amount.minor--;
	send_acceptance(second.who, &a2, &c2, &second.who->port);
	assert_int_equal(lab.replies, 0); /* the twin waits */
}

enum { PLACES = 40, TOLD = PLACES + 2 }; /* that wait; with the first, and one too many */

/* Forty receipts of one enterprise wait for the first of their chain. The next is told so at once
 * and changes nothing; when it is said again after the first came, it follows all the others. */
static void forty_wait(void **state)
{
	struct road road[TOLD];
	struct acceptance acc[TOLD];
	struct receipt rcp[TOLD];
	struct snap s;

	(void)state;
	lab.cfg.op.labels.high = lab.cfg.op.labels.low + TOLD;
	for (int i = 0; i < TOLD; i++) {
		char hex[17];

		(void)snprintf(hex, sizeof(hex), "%016x", 0xd00 + i);
		road[i] = road_new(&lab.ent, hex);
		road[i].i.want.bandwidth.bps = 1000000;
		sign_road(&road[i]);
		acceptance_of(&road[i], &acc[i], &rcp[i]);
		if (i)
			chain_after(&rcp[i - 1], &rcp[i]);
	}
	s = snap();
	for (int i = PLACES; i > 0; i--) {
		send_acceptance(&lab.ent, &acc[i], &rcp[i], &lab.ent.port);
		assert_int_equal(lab.replies, 0);
	}
	assert_int_equal(lab_world()->events, s.events);
	send_acceptance(&lab.ent, &acc[TOLD - 1], &rcp[TOLD - 1], &lab.ent.port);
	expect(REFUSE_LEDGER_FORK, s, "one too many");
	assert_int_equal(holds_now(), TOLD);
	send_acceptance(&lab.ent, &acc[0], &rcp[0], &lab.ent.port);
	assert_int_equal(lab.replies, 0);
	assert_int_equal(holds_now(), 1);
	send_acceptance(&lab.ent, &acc[TOLD - 1], &rcp[TOLD - 1], &lab.ent.port);
	assert_int_equal(lab.replies, 0);
	assert_int_equal(holds_now(), 0);
	for (int i = 0; i < TOLD; i++) {
		assert_int_equal(deal(&road[i])->cur.rev, 1);
		road_free(&road[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
		T(early_receipt),
		T(waiting_is_forgotten),
		T(a_wrong_sum_waits_for_nobody),
		T(forty_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
