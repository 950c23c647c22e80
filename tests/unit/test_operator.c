/* SPDX-License-Identifier: Apache-2.0 */
/* The operator decides: menu, bargaining, strategy, the kind of order, and which orders it takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/oss_negotiation/oss_negotiation_core.h"

#define M 1000000ull

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static struct path_view view(uint8_t path, enum net_type type, uint32_t base, uint64_t capacity)
{
	return (struct path_view){ .path = path,
				   .type = type,
				   .alive = true,
				   .spare = type == NET_DET,
				   .base = { base },
				   .delay = { base },
				   .forecast = { base },
				   .capacity = { capacity } };
}

static const struct class_profile profile = {
	.want = { { 20 * M }, { 30000 }, { 999900 } },
	.strategy = STRATEGY_STEP_UP,
	.base = { { 10 }, { 100 }, { 50 } },
	.margin = { 40 },
	.margin_floor = { 10 },
};

static struct bss_menu_in menu_in(void)
{
	struct bss_menu_in in = {
		.profile = profile, .want = profile.want, .now = { 1000 }, .n_paths = 3
	};

	bss_defaults(&in.p);
	in.path[0] = view(1, NET_DET, 5000, 200 * M);
	in.path[1] = view(2, NET_DET, 20000, 300 * M);
	in.path[2] = view(3, NET_BE, 20000, 300 * M);
	return in;
}

static void menu(void **state)
{
	struct bss_menu_in in = menu_in();
	struct bss_menu_out out;

	(void)state;
	bss_menu(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NONE);
	assert_int_equal(out.n_items, 3);
	assert_int_equal(out.valid_until.ms, 31000);
	/* 20 Mbit/s x 10 = 200; latency 100 x 5/20 = 25; availability 50 */
	assert_int_equal(out.item[0].path, 2);
	assert_int_equal(out.item[0].scarcity.minor_h, 275);
	assert_int_equal(out.item[0].g.latency.us, 25000);
	assert_int_equal(out.item[1].path, 1);
	assert_int_equal(out.item[1].scarcity.minor_h, 350);
	assert_int_equal(out.item[1].g.latency.us, 10000);
	/* best effort: 40 % of the bandwidth price, no protection */
	assert_int_equal(out.item[2].path, 3);
	assert_int_equal(out.item[2].scarcity.minor_h, 80 + 25);
	assert_int_equal(out.item[2].g.availability.ppm, 990000);
	assert_int_equal(quote_price(&out.item[2]).minor_h, 145);
	for (unsigned k = 0; k < 3; k++)
		assert_int_equal(out.item[k].no, k + 1);
	in.ceiling = true; /* the customer's other agreements leave it just enough, then not */
	in.room = in.want.bandwidth;
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, 3);
	in.room.bps--;
	bss_menu(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
	assert_int_equal(out.n_items, 0);
}

static void surge_bites_unevenly(void **state)
{
	struct bss_menu_in in = menu_in();
	struct bss_menu_out out;

	(void)state;
	in.path[0].band[AXIS_LATENCY] = BAND_STEEP; /* ample bandwidth, scarce latency */
	bss_menu(&in, &out);
	assert_int_equal(out.item[1].scarcity.minor_h, 200 + 250 + 50);
	assert_int_equal(out.item[1].surge_pct[AXIS_LATENCY], 150);
	assert_int_equal(out.item[0].scarcity.minor_h, 275); /* the longer path avoids it */
	in.profile.base[0].minor_h = 0;
	in.profile.base[1].minor_h = 1;
	in.profile.base[2].minor_h = 0;
	in.path[0].band[AXIS_LATENCY] = BAND_MODEST; /* 1 x 125 % is rounded up */
	bss_menu(&in, &out);
	assert_int_equal(out.item[0].scarcity.minor_h, 1); /* 1 x 1/4: up to 1 */
	assert_int_equal(out.item[1].scarcity.minor_h, 2);
	in.profile.base[0].minor_h = INT64_MAX;
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, 0); /* an overflow is not a price */
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
}

static void what_is_not_sold(void **state)
{
	struct bss_menu_in in = menu_in();
	struct bss_menu_out out;

	(void)state;
	in.path[0].band[AXIS_BANDWIDTH] = BAND_WITHDRAWN;
	in.path[1].reserved.bps = 280 * M;
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, 2);
	assert_int_equal(out.item[0].type, NET_BE); /* the alternative that is left */
	assert_true(out.item[1].withdrawn);
	assert_int_equal(quote_price(&out.item[1]).minor_h, 0);
	assert_int_equal(out.refused[0].no, 1);
	assert_int_equal(out.refused[0].refusal, REFUSE_GRADE_WITHDRAWN);
	assert_int_equal(out.refused[1].refusal, REFUSE_NO_CAPACITY);
	in.path[2].alive = false;
	bss_menu(&in, &out);
	assert_int_equal(out.refusal, REFUSE_GRADE_WITHDRAWN);
	in.path[0].alive = false;
	bss_menu(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
	in = menu_in();
	in.want.latency.us =
		24000; /* best effort and the long path are too slow with their guard */
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, 1);
	assert_int_equal(out.item[0].path, 1);
	in.path[0].forecast.us = 25000; /* and the short one is going to be */
	bss_menu(&in, &out);
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
	in = menu_in();
	in.path[0].reserved.bps = 190 * M; /* full, but 30 of it are this lineage's own */
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, 2);
	in.own = (struct bss_own){ 1, { 30 * M } };
	bss_menu(&in, &out);
	assert_int_equal(out.n_items, 3);
}

static void menu_ignores_order(void **state)
{
	uint32_t s = 9;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct bss_menu_in a = menu_in(), b;
		struct bss_menu_out x, y;

		a.n_paths = (uint8_t)(1 + rnd(&s) % PATHS_MAX);
		for (unsigned k = 0; k < a.n_paths; k++) {
			a.path[k] = view((uint8_t)(k + 1), rnd(&s) % 2 ? NET_DET : NET_BE,
					 1000 * (1 + rnd(&s) % 30), (20 + rnd(&s) % 80) * M);
			a.path[k].band[rnd(&s) % 3] = (enum band)(rnd(&s) % BAND_MAX_);
			a.path[k].reserved.bps = rnd(&s) % 60 * M;
		}
		b = a;
		for (unsigned k = 0; k < a.n_paths; k++)
			b.path[k] = a.path[(k * 7 + 3) % a.n_paths];
		if (a.n_paths % 7 == 0) /* 7 and n must have no common factor */
			continue;
		bss_menu(&a, &x);
		bss_menu(&b, &y);
		assert_memory_equal(&x, &y, sizeof(x));
		for (unsigned k = 0; k < x.n_items; k++)
			if (!x.item[k].withdrawn)
				assert_true(quote_price(&x.item[k]).minor_h >=
						    x.item[k].scarcity.minor_h &&
					    x.item[k].scarcity.minor_h > 0);
	}
}

static void bargaining(void **state)
{
	struct bss_counter_in in = { { 80 }, { 20 }, { 80 }, { 0 }, 1, false, false };
	struct bss_counter_out out;
	int64_t last = 80;

	(void)state;
	for (unsigned r = 1; r <= QUOTE_ROUNDS_MAX; r++) { /* a hard-headed buyer at 0 */
		in.round = (uint8_t)r;
		bss_counter(&in, &out);
		assert_int_equal(out.verdict, BSS_COUNTER);
		assert_true(out.margin.minor_h <= last && out.margin.minor_h >= 20);
		last = in.last.minor_h = out.margin.minor_h;
	}
	assert_int_equal(last, 20); /* linear, down to the floor */
	in.round = QUOTE_ROUNDS_MAX + 1;
	bss_counter(&in, &out);
	assert_int_equal(out.refusal, REFUSE_ROUNDS_EXCEEDED);
	in = (struct bss_counter_in){ { 80 }, { 20 }, { 80 }, { 73 }, 1, false, false };
	bss_counter(&in, &out); /* no worse than our own next offer */
	assert_int_equal(out.verdict, BSS_ACCEPT);
	assert_int_equal(out.margin.minor_h, 73);
	in.offered.minor_h = 100; /* never more than we asked for */
	bss_counter(&in, &out);
	assert_int_equal(out.margin.minor_h, 80);
	in.offered.minor_h = -1;
	bss_counter(&in, &out);
	assert_int_equal(out.refusal, REFUSE_MARGIN_REFUSED);
	in.withdrawn = true;
	bss_counter(&in, &out);
	assert_int_equal(out.refusal, REFUSE_GRADE_WITHDRAWN);
	in.expired = true;
	bss_counter(&in, &out);
	assert_int_equal(out.refusal, REFUSE_QUOTE_EXPIRED);
}

/* A live agreement on the short path at 350 + 40. */
static struct bss_strategy_in strategy_in(void)
{
	struct bss_menu_in m = menu_in();
	struct bss_strategy_in in = { .p = m.p,
				      .profile = profile,
				      .trigger = TRIGGER_BREACH_PREDICTED,
				      .life = LIFE_AT_RISK,
				      .now = { 1000 },
				      .n_paths = 3 };

	memcpy(in.path, m.path, sizeof(in.path));
	in.live = (struct bss_terms){
		{ { 20 * M }, { 25000 }, { 999900 } }, { 350 }, { 40 }, 1, NET_DET
	};
	in.origin = in.live;
	in.path[0].reserved.bps = 20 * M;
	in.path[0].load_forecast.bps = 195 * M; /* the tenant congests it */
	return in;
}

static void step_up(void **state)
{
	struct bss_strategy_in in = strategy_in();
	struct bss_strategy_out out;

	(void)state;
	bss_strategy(&in, &out); /* the same grades on the diverse path */
	assert_true(out.offer);
	assert_int_equal(out.reason, QUOTE_STEP_UP);
	assert_int_equal(out.event, LEV_OFFERED_UP);
	assert_int_equal(out.n_items, 1);
	assert_int_equal(out.item[0].path, 2);
	assert_int_equal(out.item[0].g.latency.us, 25000);
	assert_int_equal(out.item[0].margin.minor_h, 40);
	in.live.g.latency.us = 10000; /* a promise of the short path: the class's ceiling is kept */
	bss_strategy(&in, &out);
	assert_int_equal(out.item[0].path, 2);
	assert_int_equal(out.item[0].g.latency.us, 25000);
	in.path[1].alive = false; /* then priority where it is */
	bss_strategy(&in, &out);
	assert_int_equal(out.item[0].path, 1);
	assert_int_equal(out.item[0].g.latency.us, 10000);
	in.path[0].alive = false; /* then the other network */
	bss_strategy(&in, &out);
	assert_int_equal(out.item[0].path, 3);
	assert_int_equal(out.item[0].type, NET_BE);
	in.path[2].load_forecast.bps = 290 * M; /* which cannot hold it either */
	bss_strategy(&in, &out);
	assert_false(out.offer);
	assert_int_equal(out.event, LEV_MAX_);
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
	assert_int_equal(out.n_refused, 3);
}

static void step_down_and_back(void **state)
{
	struct bss_strategy_in in = strategy_in();
	struct bss_strategy_out out;

	(void)state;
	in.profile.strategy = STRATEGY_STEP_DOWN;
	bss_strategy(&in, &out);
	assert_true(out.offer);
	assert_int_equal(out.reason, QUOTE_STEP_DOWN);
	assert_true(out.n_items >= 3);
	for (unsigned k = 0; k < out.n_items; k++)
		assert_true(quote_price(&out.item[k]).minor_h < 390);
	assert_int_equal(out.item[0].g.bandwidth.bps, 20 * M); /* bandwidth first, then price */
	assert_int_equal(out.item[0].type, NET_BE);
	in.life = LIFE_COOLING;
	bss_strategy(&in, &out);
	assert_false(out.offer);
	assert_int_equal(out.refusal, REFUSE_COOLING_DOWN);
	in.life = LIFE_RENEGOTIATING;
	bss_strategy(&in, &out);
	assert_int_equal(out.refusal, REFUSE_IN_FLIGHT);
	in.life = LIFE_ASSURED;
	in.trigger = TRIGGER_RECLAIM;
	bss_strategy(&in, &out);
	assert_true(out.offer);
	in.profile.strategy = STRATEGY_STEP_UP;
	bss_strategy(&in, &out);
	assert_false(out.offer);

	in.trigger = TRIGGER_RECOVERED;
	bss_strategy(&in, &out);
	assert_false(out.offer); /* never away */
	in.live.path = 2;
	in.live.scarcity.minor_h = 500;
	bss_strategy(&in, &out);
	assert_false(out.offer); /* the origin is still congested */
	assert_int_equal(out.refusal, REFUSE_NO_CAPACITY);
	in.path[0].load_forecast.bps = 139 * M;
	bss_strategy(&in, &out);
	assert_true(out.offer); /* 159 of 160: clear with room */
	assert_int_equal(out.reason, QUOTE_WALK_BACK);
	assert_int_equal(out.event, LEV_OFFERED_DOWN);
	assert_int_equal(out.n_items, 1);
	assert_int_equal(out.item[0].path, 1);
	assert_int_equal(quote_price(&out.item[0]).minor_h, 390); /* the origin's price */
	in.path[0].load_forecast.bps = 141 * M;
	bss_strategy(&in, &out);
	assert_false(out.offer);
}

static void strategy_never_overpromises(void **state)
{
	unsigned offers = 0;
	uint32_t s = 5;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct bss_strategy_in in = strategy_in();
		struct bss_strategy_out out;

		in.trigger = (enum bss_trigger)(1 + rnd(&s) % 4);
		in.life = (enum life)(rnd(&s) % LIFE_MAX_);
		in.profile.strategy = (enum strategy)(1 + rnd(&s) % 2);
		in.live.path = (uint8_t)(1 + rnd(&s) % 2);
		for (unsigned k = 0; k < 3; k++) {
			in.path[k].alive = rnd(&s) % 6 != 0;
			in.path[k].reserved.bps = rnd(&s) % 320 * M;
			in.path[k].load_forecast.bps = rnd(&s) % 320 * M;
			in.path[k].forecast.us = in.path[k].base.us + rnd(&s) % 20000;
			in.path[k].band[rnd(&s) % 3] = (enum band)(rnd(&s) % BAND_MAX_);
		}
		bss_strategy(&in, &out);
		offers += out.offer;
		assert_int_equal(out.offer, out.n_items > 0);
		for (unsigned k = 0; k < out.n_items; k++) {
			const struct quote_item *i = &out.item[k];
			const struct path_view *v = &in.path[i->path - 1];
			uint64_t held = v->reserved.bps;

			if (i->path == in.live.path)
				held -= held < 20 * M ? held : 20 * M;
			assert_true(v->alive);
			assert_true(held + i->g.bandwidth.bps <= v->capacity.bps);
			assert_true(v->forecast.us <= i->g.latency.us);
			if (i->path != in.live.path)
				assert_true(v->load_forecast.bps + i->g.bandwidth.bps <=
					    v->capacity.bps);
			if (out.reason == QUOTE_STEP_DOWN)
				assert_true(quote_price(i).minor_h < 390);
		}
	}
	assert_true(offers > 1000);
}

static void kind_of_order(void **state)
{
	struct agreement a = { .path = 1, .type = NET_DET }, b = a;

	(void)state;
	assert_int_equal(bss_order_action(NULL, &a), ORDER_ADD);
	assert_int_equal(bss_order_action(&a, NULL), ORDER_DELETE);
	assert_int_equal(bss_order_action(&a, &b), ORDER_MODIFY);
	b.path = 2;
	assert_int_equal(bss_order_action(&a, &b), ORDER_REROUTE);
	b.type = NET_BE;
	assert_int_equal(bss_order_action(&a, &b), ORDER_MIGRATE);
}

/* Revision 2 of an agreement, 20 -> 40 Mbit/s in place. */
static struct oss_negotiation_in order_in(void)
{
	struct oss_negotiation_in in = { .known = true,
					 .applied_rev = 1,
					 .label_lo = 0x2000,
					 .label_hi = 0x2fff,
					 .path_known = true,
					 .load_limit = 950,
					 .now = { 1000 } };

	in.order = (struct order){ .lineage = { "agr-1" },
				   .rev = 2,
				   .action = ORDER_MODIFY,
				   .service = { "svc-1" },
				   .label = 0x2001,
				   .old_label = 0x2001,
				   .path = 1,
				   .old_path = 1,
				   .g = { { 40 * M }, { 10000 }, { 1 } },
				   .old_g = { { 20 * M }, { 10000 }, { 1 } },
				   .end = { 5000 } };
	in.applied = in.order;
	in.applied.g = in.order.old_g;
	in.applied.rev = 1;
	in.agreement = (struct agreement){ .lineage = { "agr-1" },
					   .rev = 2,
					   .service = { "svc-1" },
					   .label = 0x2001,
					   .path = 1,
					   .g = in.order.g,
					   .end = { 5000 } };
	in.view = view(1, NET_DET, 5000, 200 * M);
	in.view.reserved.bps = 170 * M; /* of which 20 are its own: 190 with it */
	return in;
}

static void orders(void **state)
{
	struct oss_negotiation_in good = order_in(), in;
	struct oss_negotiation_out out;
	enum refusal want = REFUSE_NONE;

	(void)state;
	oss_negotiation_decide(&good, &out);
	assert_int_equal(out.refusal, REFUSE_NONE);
#define CASE(change, no)                                                                       \
	do {                                                                                   \
		in = good;                                                                     \
		change;                                                                        \
		want = REFUSE_##no;                                                            \
		oss_negotiation_decide(&in, &out);                                             \
		if (out.refusal != want)                                                       \
			fail_msg("%s: %s: %s", #change, refusal_name(out.refusal), out.why.s); \
	} while (0)
	CASE(in.known = false, AGREEMENT_UNKNOWN);
	CASE(in.order.action = 0, ORDER_INVALID);
	CASE(in.order.rev = 3, ORDER_INVALID);
	CASE(in.order.agreement_digest.b[31] = 1, ORDER_INVALID);
	CASE(in.order.label = 0x2002, ORDER_INVALID);
	CASE(in.order.g.bandwidth.bps++, ORDER_INVALID);
	CASE(in.order.end.ms++, ORDER_INVALID);
	CASE(in.busy = true, IN_FLIGHT);
	CASE(in.applied_rev = 0, ORDER_INVALID);
	CASE(in.applied_rev = 2, ORDER_INVALID);
	CASE(in.order.old_g.bandwidth.bps = 1, ORDER_INVALID);
	CASE(in.order.old_path = 2, ORDER_INVALID);
	CASE(in.order.action = ORDER_REROUTE, ORDER_INVALID);
	CASE(in.order.action = ORDER_MIGRATE, ORDER_INVALID);
	CASE(in.order.action = ORDER_ADD, ORDER_INVALID);
	CASE(in.now.ms = 5000, ORDER_INVALID);
	CASE(in.label_hi = 0x2000, LABEL_RANGE);
	CASE(in.label_taken = true, ORDER_INVALID);
	CASE(in.path_known = false, ORDER_INVALID);
	CASE(in.view.alive = false, NO_CAPACITY);
	CASE((in.ceiling = true, in.room.bps = in.order.g.bandwidth.bps), NONE);
	CASE((in.ceiling = true, in.room.bps = in.order.g.bandwidth.bps - 1), NO_CAPACITY);
	CASE(in.view.reserved.bps += 1, NO_CAPACITY);
	CASE(in.order.action = ORDER_DELETE; in.view.alive = false, NONE);
#undef CASE
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(menu),
		cmocka_unit_test(surge_bites_unevenly),
		cmocka_unit_test(what_is_not_sold),
		cmocka_unit_test(menu_ignores_order),
		cmocka_unit_test(bargaining),
		cmocka_unit_test(step_up),
		cmocka_unit_test(step_down_and_back),
		cmocka_unit_test(strategy_never_overpromises),
		cmocka_unit_test(kind_of_order),
		cmocka_unit_test(orders),
	};

	return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
