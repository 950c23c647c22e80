/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry and assurance on the virtual loop: views, bands, silence, a ramp seen coming, and
 * orders that the telemetry forbids. */
#include "oss_lab.h"

#include "agent/state/scarcity_core.h"

static void all_paths(unsigned p, uint32_t delay_us, uint64_t load)
{
	for (unsigned i = 0; i < LAB_NODES; i++) {
		lab.node[i].path[p].delay.us = delay_us;
		lab.node[i].path[p].load.bps = load;
	}
}

static void provision(uint32_t ceiling_us)
{
	struct want w = lab_add;

	w.latency = ceiling_us;
	lab_run(2000);
	lab_agree(&w);
	lab_until_life(LIFE_ASSURED, 5000);
}

/* --- views ----------------------------------------------------------------------------------- */

static void a_view_is_the_worst_that_the_steering_nodes_say(void **state)
{
	const struct path_view *v;

	(void)state;
	lab_node("popA")->path[0].delay.us = 5100;
	lab_node("popB")->path[0].delay.us = 7100;
	lab_node("popB")->path[0].loss_ppm = 300;
	lab_node("popC")->path[0].delay.us = 90000; /* does not steer: not asked */
	lab_node("popA")->path[0].load.bps = 30000000;
	lab_run(10000);
	v = side_path(&lab.side, 1);
	assert_true(v->alive);
	assert_true(v->spare);
	assert_int_equal(v->delay.us, 7100);
	assert_int_equal(v->loss_ppm, 300);
	assert_int_equal(v->load.bps, 30000000);
	assert_in_range(v->load_forecast.bps, 30000000, 40000000);
	assert_int_equal(v->capacity.bps, 200000000);
	lab_node("popB")->path[0].alive = false;
	lab_run(500);
	assert_false(v->alive);
	assert_int_equal(v->band[AXIS_BANDWIDTH], BAND_WITHDRAWN);
	assert_false(side_path(&lab.side, 3)->spare);
}

/* One call a node an interval, none while one is in flight; a silent node is asked on. */
static void a_node_is_asked_once_an_interval(void **state)
{
	const mono_t *at = &lab.side.paths.at[0];
	uint32_t before;
	mono_t last;

	(void)state;
	lab_run(1000);
	before = lab.telemetry_calls;
	lab_run(1000);
	assert_in_range(lab.telemetry_calls - before, 3 * 9, 3 * 11);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].silent = true;
	lab_run(300);
	last = *at;
	lab_run(2000);
	assert_int_equal(at->us, last.us);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].silent = false;
	lab_run(1500); /* probes that found nobody are still being counted */
	assert_int_equal(at->us, last.us);
	lab_run(1000);
	assert_true(at->us > last.us);
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

/* Samples alone are no news: a path that goes is, one that fills is, and what is promised is. */
static void who_watches_paths_hears_what_matters(void **state)
{
	unsigned told = 0, before;

	(void)state;
	lab.side.paths_changed = count;
	lab.side.paths_arg = &told;
	lab_run(2000);
	before = told;
	for (unsigned k = 0; k < 10; k++) {
		all_paths(0, 5000 + k, 1000000 + k * 1000);
		lab_run(200);
	}
	assert_int_equal(told, before);
	lab_node("popB")->path[0].alive = false;
	lab_run(2000);
	assert_int_equal(told, before + 1);
	lab_node("popB")->path[0].alive = true;
	lab_run(2000);
	assert_int_equal(told, before + 2);
	provision(12000);
	assert_int_equal(side_path(&lab.side, 1)->reserved.bps, 20000000);
	assert_true(told > before + 2);
	lab_run(10000);
	before = told;
	all_paths(1, 20000, 199000000);
	lab_run(20000);
	assert_true(told > before);
}

static void bands_and_surge_rise_with_the_load(void **state)
{
	const struct path_view *v = side_path(&lab.side, 1);
	struct scarcity_params p;
	unsigned band = BAND_PLENTY, steps = 0;
	uint16_t surge = 0;

	(void)state;
	scarcity_defaults(&p);
	for (uint64_t load = 0; load <= 200; load += 20) {
		uint16_t now;

		all_paths(0, 5000, load * 1000000);
		lab_run(3000);
		now = scarcity_surge(&p, AXIS_BANDWIDTH, v->band[AXIS_BANDWIDTH]);
		assert_true(v->band[AXIS_BANDWIDTH] >= band);
		assert_true(now >= surge);
		steps += v->band[AXIS_BANDWIDTH] > band;
		band = v->band[AXIS_BANDWIDTH];
		surge = now;
	}
	assert_int_equal(band, BAND_WITHDRAWN);
	assert_true(steps >= 2);
	all_paths(0, 5000, 10000000);
	lab_run(10000);
	assert_int_equal(v->band[AXIS_BANDWIDTH], BAND_PLENTY);
	/* The other axis and the other path were never touched. */
	assert_int_equal(side_path(&lab.side, 2)->band[AXIS_BANDWIDTH], BAND_PLENTY);
}

static void flows_count_what_is_lost_for_good(void **state)
{
	struct lab_node *a = lab_node("popA"), *b = lab_node("popB");
	uint64_t lost = 0;
	struct side_flow *f;

	(void)state;
	provision(30000);
	/* 10 Mbit/s: 1250 bytes x 100 packets an interval; some always under way. */
	for (int i = 0; i < 40; i++) {
		a->up.rx_bytes += 125000;
		a->up.rx_packets += 100;
		b->up.tx_packets = a->up.rx_packets - (i & 1 ? 3 : 17);
		b->up.tx_bytes = b->up.tx_packets * 1250;
		lab_run(100);
		f = side_flow(&lab.side, LABEL, false);
		assert_non_null(f);
		lost += f->drops;
	}
	assert_in_range(f->offered.bps, 9000000, 11000000);
	assert_int_equal(lost, 0);
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
	/* One in ten is gone from now on. */
	for (int i = 1; i <= 60; i++) {
		a->up.rx_bytes += 125000;
		a->up.rx_packets += 100;
		b->up.tx_packets += i == 1 ? 104 : 90;
		b->up.tx_bytes = b->up.tx_packets * 1250;
		lab_run(100);
		lost += side_flow(&lab.side, LABEL, false)->drops;
	}
	assert_in_range(lost, 600 - 100 - 8 * 10 - 20, 600 - 100);
	assert_int_equal(lab_deal()->life, LIFE_AT_RISK);
}

/* One second of 10 Mbit/s: the counters say that `gone` packets never came out, the block's marks
 * that `lost` are; block 0 = no marks. Returns what the flow's windows said. */
static uint64_t second(uint64_t block, uint64_t lost, uint64_t gone)
{
	struct lab_node *a = lab_node("popA"), *b = lab_node("popB");
	uint64_t told = 0;

	a->mark = (struct mark_sample){ .label = LABEL, .block = block, .packets = 1000 };
	b->mark = a->mark;
	b->mark.packets -= lost;
	b->mark.mean_ns = 5000000;
	a->clock = b->clock = (struct mark_clock){ .host = 1, .block_ms = 1000 };
	for (int i = 0; i < 10; i++) {
		a->up.rx_bytes += 125000;
		a->up.rx_packets += 100;
		b->up.tx_packets += 100 - gone / 10;
		b->up.tx_bytes = b->up.tx_packets * 1250;
		lab_run(100);
		if (side_flow(&lab.side, LABEL, false))
			told += side_flow(&lab.side, LABEL, false)->drops;
	}
	return told;
}

/* Where blocks are compared, nothing is estimated: neither more nor less. */
static void coloured_blocks_are_the_loss(void **state)
{
	const struct mark_pair *p;
	uint64_t told = 0;

	(void)state;
	provision(30000);
	for (uint64_t b = 100; b < 104; b++)
		told += second(b, b == 102 ? 7 : 0, 0);
	assert_int_equal(told, 7);
	p = &side_flow(&lab.side, LABEL, false)->exact[DIR_UP].pair;
	assert_int_equal(p->blocks, 4);
	assert_int_equal(p->all_sent, 4000);
	assert_int_equal(p->all_lost, 7);
	assert_int_equal(p->delay_ns, 5000000);
	assert_int_equal(side_flow(&lab.side, LABEL, false)->exact[DIR_DOWN].pair.blocks, 0);
	told = 0;
	for (uint64_t b = 104; b < 108; b++)
		told += second(b, 0, 100);
	assert_int_equal(told, 0);
	for (int i = 0; i < 8; i++) /* no news of colours: estimated again */
		told += second(0, 0, 100);
	assert_in_range(told, 300, 800);
	assert_int_equal(p->all_lost, 7);
}

/* --- assurance ------------------------------------------------------------------------------- */

/* The load grows by 5 Mbit/s an interval; the delay suffers only near the capacity. */
static void a_ramp_is_seen_before_the_delay_is_hurt(void **state)
{
	uint64_t events, load = 20000000;
	int i = 0;

	(void)state;
	provision(12000);
	events = engine_world(lab.side.engine)->events;
	all_paths(0, 5000, load);
	lab_run(2000);
	while (i < 60 && lab_deal()->life == LIFE_ASSURED) {
		i++;
		load += 5000000;
		all_paths(0, load > 190000000 ? 14000 : 5000, load);
		lab_run(100);
	}
	assert_int_equal(lab_deal()->life, LIFE_AT_RISK);
	assert_true(load < 190000000);
	assert_true(side_path(&lab.side, 1)->delay.us == 5000);
	assert_true(i < 34);
	assert_int_equal(engine_world(lab.side.engine)->events, events + 1);
}

static void noise_says_nothing(void **state)
{
	unsigned seed = 7;
	uint64_t events;

	(void)state;
	provision(12000);
	events = engine_world(lab.side.engine)->events;
	for (int i = 0; i < 600; i++) {
		seed = seed * 1103515245u + 12345u;
		all_paths(0, 5000 + (seed >> 16) % 1500, 60000000 + (seed >> 8) % 40000000);
		/* a lone spike */
		if (i % 97 == 50)
			all_paths(0, 11000, 150000000);
		lab_run(100);
	}
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
	assert_int_equal(engine_world(lab.side.engine)->events, events);
	assert_int_equal(engine_world(lab.side.engine)->refusals, 0);
}

static void risk_passes_slowly_and_is_said_once(void **state)
{
	uint64_t events;

	(void)state;
	provision(12000);
	events = engine_world(lab.side.engine)->events;
	all_paths(0, 15000, 20000000);
	lab_until_life(LIFE_AT_RISK, 3000);
	lab_run(5000);
	/* A prediction or a breach, and the breach once. */
	assert_true(engine_world(lab.side.engine)->events <= events + 2);
	assert_int_equal(lab_deal()->life, LIFE_AT_RISK);
	all_paths(0, 5000, 20000000);
	lab_run(9000);
	assert_int_equal(lab_deal()->life, LIFE_AT_RISK); /* the hold is 100 intervals */
	lab_until_life(LIFE_COOLING, 8000);
	lab_run(9000);
	assert_int_equal(lab_deal()->life, LIFE_COOLING);
	lab_until_life(LIFE_ASSURED, 3000);
	assert_true(lab_deal()->cooled);
	events = engine_world(lab.side.engine)->events;
	lab_run(5000);
	assert_int_equal(engine_world(lab.side.engine)->events, events);
}

static void stale_telemetry_says_nothing(void **state)
{
	uint64_t events;

	(void)state;
	provision(12000);
	events = engine_world(lab.side.engine)->events;
	all_paths(0, 15000, 190000000);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].silent = true;
	lab_run(20000);
	assert_int_equal(engine_world(lab.side.engine)->events, events);
	assert_int_equal(lab_deal()->life, LIFE_ASSURED);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].silent = false;
	lab_until_life(LIFE_AT_RISK, 3000);
}

static void a_dead_path_is_a_breach(void **state)
{
	(void)state;
	provision(30000);
	lab_node("popA")->path[0].alive = false;
	lab_run(1000);
	assert_int_equal(lab_deal()->life, LIFE_AT_RISK);
	assert_true(lab_deal()->risk_open);
}

/* --- orders ---------------------------------------------------------------------------------- */

static void an_order_is_refused(const struct want *w, const char *rule)
{
	lab_agree(w);
	lab_run(1000);
	assert_int_equal(lab_deal()->life, LIFE_NEGOTIATED);
	assert_false(lab_deal()->has_order || lab_deal()->has_plan);
	assert_int_equal(lab.n_seen, 0);
	if (!strstr(lab_deal()->why.s, rule))
		fail_msg("why: %s", lab_deal()->why.s);
	assert_int_equal(side_path(&lab.side, w->path)->reserved.bps, 0);
}

static void no_order_on_a_dead_path(void **state)
{
	(void)state;
	lab_node("popA")->path[0].alive = false;
	lab_run(1000);
	an_order_is_refused(&lab_add, "dead");
}

static void no_order_above_the_capacity(void **state)
{
	struct want w = lab_add;

	(void)state;
	w.bps = 200000001;
	lab_run(1000);
	an_order_is_refused(&w, "does not hold");
}

static void no_order_with_a_foreign_label(void **state)
{
	struct want w = lab_add;

	(void)state;
	w.label = 500;
	lab_run(1000);
	an_order_is_refused(&w, "label outside");
}

/* The access link of 200 Mbit/s is shared by all paths: the twin says no where a path alone would
 * hold it. */
/* Both labels of a replacement stand on popA's device of paths 2 and 3 for a while. */
static void no_plan_that_a_device_cannot_keep(void **state)
{
	struct want from = lab_add, to = lab_add;

	(void)state;
	from.path = 3;
	to.path = 2;
	from.bps = to.bps = 160000000;
	to.label = LABEL + 1;
	to.action = ORDER_MIGRATE;
	to.reason = QUOTE_CHANGE;
	lab_run(1000);
	lab_agree(&from);
	lab_until_life(LIFE_ASSURED, 5000);
	lab_agree(&to);
	lab_run(1000);
	assert_int_equal(lab_deal()->applied.rev, 1);
	assert_int_equal(lab_deal()->life, LIFE_AT_RISK);
	if (!strstr(lab_deal()->why.s, "device"))
		fail_msg("why: %s", lab_deal()->why.s);
}

/* Measured availability: what was kept, what was broken, and what nobody saw. */
static void good_seconds(void **state)
{
	struct seconds a, b, c, d;
	ident_t none = { "agr-9" };

	(void)state;
	lab_run(500);
	lab_agree(&lab_add);
	lab_until_life(LIFE_ASSURED, 5000);
	lab_run(10000);
	assert_false(oss_assurance_seconds(&none, &a));
	assert_true(oss_assurance_seconds(&lab_deal()->lineage, &a));
	assert_in_range(a.good, 9, 13);
	assert_int_equal(a.bad, 0);
	assert_int_equal(seconds_ppm(&a), 1000000);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].path[0].alive = false;
	lab_run(5000);
	assert_true(oss_assurance_seconds(&lab_deal()->lineage, &b));
	assert_in_range(b.bad, 4, 6);
	assert_in_range(b.good - a.good, 0, 1);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].path[0].alive = true;
	lab_run(1500); /* the view needs a sample to be well again */
	(void)oss_assurance_seconds(&lab_deal()->lineage, &b);
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].silent = true;
	lab_run(20000);
	assert_true(oss_assurance_seconds(&lab_deal()->lineage, &c));
	assert_true(c.unknown - b.unknown >= 15);
	assert_in_range(c.good + c.bad - b.good - b.bad, 0, 5); /* until it is stale */
	for (unsigned i = 0; i < LAB_NODES; i++)
		lab.node[i].silent = false;
	lab_run(5000);
	assert_true(oss_assurance_seconds(&lab_deal()->lineage, &d));
	assert_true(d.good > c.good);
	assert_true(seconds_ppm(&d) < 1000000);
}

/* The far end of path 2 has no IPv4 table for it: an order of a class of IPv4 is refused before any
 * node is asked. The first node is no end that IPv4 enters by. */
static void ipv4_stays_where_it_is_carried(void **state)
{
	struct want w = lab_add;

	(void)state;
	lab.cfg->class[0].dst = (struct cfg_addr){ .family = 4, .plen = 24, .b = { 10, 2 } };
	lab.side.profile[0].v4 = true;
	w.path = 2;
	w.latency = 50000;
	lab_node("popB")->no_v4 = 2;
	lab_node("popA")->path[1].jitter.us = 700;
	lab_node("popB")->path[1].jitter.us = 900;
	lab_node("popC")->path[1].jitter.us = 5000; /* steers nothing */
	lab_run(2000);
	assert_int_equal(oss_telemetry_jitter(2).us, 900);
	assert_int_equal(oss_telemetry_jitter(1).us, 0);
	assert_string_equal(side_path(&lab.side, 2)->no_v4.s, "popB");
	assert_string_equal(side_path(&lab.side, 1)->no_v4.s, "");
	lab_agree(&w);
	lab_run(3000);
	assert_int_equal(lab.n_seen, 0);
	assert_false(lab_deal()->has_plan || lab_deal()->has_order || lab_deal()->active);
	lab_node("popB")->no_v4 = 0;
	lab_node("popA")->no_v4 = 2;
	lab_run(1000);
	assert_string_equal(side_path(&lab.side, 2)->no_v4.s, "");
}

/* After a start with a table of another size: another agreement has the rule of this one's row. */
static void a_rule_id_is_one_agreement_s(void **state)
{
	struct step rule = { .kind = STEP_RULE_SET, .rule.id = 4 };
	struct ev_ref end = { 0 };
	struct world *w;

	(void)state;
	lab_run(500);
	lab_agree(&lab_add);
	w = (struct world *)(uintptr_t)engine_world(lab.side.engine);
	w->deal[1].rule = 4;
	w->deal[1].applied.rev = 1;
	brief_put(w, &w->deal[1]);
	w->n_deals = 2;
	lab_until_life(LIFE_ASSURED, 5000);
	assert_null(lab_held("popB", &rule));
	rule.rule.id = (w->max_deals + 1) * 4;
	assert_non_null(lab_held("popB", &rule));
	assert_int_equal(lab_deal()->rule, rule.rule.id);
	w->deal[1].rule = 0;
	brief_put(w, &w->deal[1]);
	end.deal = lab_deal()->lineage;
	lab_emit(EV_TERMINATED, &end);
	lab_order(ORDER_DELETE);
	lab_run(3000);
	assert_int_equal(lab.n_held, 0); /* taken away by the id that was given, not by the row's */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, lab_make, lab_drop)
	const struct CMUnitTest tests[] = {
		T(a_view_is_the_worst_that_the_steering_nodes_say),
		T(a_node_is_asked_once_an_interval),
		T(ipv4_stays_where_it_is_carried),
		T(who_watches_paths_hears_what_matters),
		T(bands_and_surge_rise_with_the_load),
		T(flows_count_what_is_lost_for_good),
		T(a_ramp_is_seen_before_the_delay_is_hurt),
		T(noise_says_nothing),
		T(risk_passes_slowly_and_is_said_once),
		T(coloured_blocks_are_the_loss),
		T(stale_telemetry_says_nothing),
		T(a_dead_path_is_a_breach),
		T(no_order_on_a_dead_path),
		T(no_order_above_the_capacity),
		T(no_order_with_a_foreign_label),
		T(no_plan_that_a_device_cannot_keep),
		T(good_seconds),
		T(a_rule_id_is_one_agreement_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
