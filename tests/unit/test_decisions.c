/* SPDX-License-Identifier: Apache-2.0 */
/* Every decision, as the log holds it: out to JSON, back by bytes, and decided again the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/codec/noun.h"
#include "agent/ent_policy/ent_edge_core.h"
#include "agent/ent_policy/ent_policy_core.h"
#include "agent/ent_policy/ent_spur_core.h"
#include "agent/ent_requirement/ent_requirement_core.h"
#include "agent/oss_assurance/oss_assurance_core.h"
#include "agent/oss_negotiation/oss_negotiation_core.h"
#include "agent/oss_planning/oss_planning_core.h"
#include "agent/state/forecast_core.h"
#include "agent/state/scarcity_core.h"

#define DECISION(name, fn)                                 \
	static void redo_##name(const void *in, void *out) \
	{                                                  \
		fn(in, out);                               \
	}
DECISION(scarcity, scarcity_decide)
DECISION(forecast, forecast_update)
DECISION(requirement, ent_requirement_decide)
DECISION(spur, ent_spur_rebalance)
DECISION(edge, ent_edge_steps)
DECISION(menu, bss_menu)
DECISION(counter, bss_counter)
DECISION(strategy, bss_strategy)
DECISION(order, oss_negotiation_decide)
DECISION(plan, oss_plan_make)
DECISION(check, oss_plan_check)
DECISION(assurance, oss_assurance_decide)

static void redo_policy(const void *in, void *out)
{
	ent_policy_choose(in, NULL, out);
}

static const struct {
	const struct field_table *in, *out;
	void (*redo)(const void *in, void *out);
} all[] = {
	{ &scarcity_in_fields, &scarcity_out_fields, redo_scarcity },
	{ &forecast_in_fields, &forecast_state_fields, redo_forecast },
	{ &ent_requirement_in_fields, &ent_requirement_out_fields, redo_requirement },
	{ &ent_policy_in_fields, &ent_policy_out_fields, redo_policy },
	{ &ent_spur_in_fields, &ent_spur_out_fields, redo_spur },
	{ &ent_edge_in_fields, &ent_edge_out_fields, redo_edge },
	{ &bss_menu_in_fields, &bss_menu_out_fields, redo_menu },
	{ &bss_counter_in_fields, &bss_counter_out_fields, redo_counter },
	{ &bss_strategy_in_fields, &bss_strategy_out_fields, redo_strategy },
	{ &oss_negotiation_in_fields, &oss_negotiation_out_fields, redo_order },
	{ &oss_plan_in_fields, &oss_plan_out_fields, redo_plan },
	{ &oss_check_in_fields, &oss_check_out_fields, redo_check },
	{ &oss_assurance_in_fields, &oss_assurance_out_fields, redo_assurance },
};

/* Fills what the table describes, and marks each described byte in `seen`. */
static void fill(const struct field_table *t, uint8_t *p, uint8_t *seen, unsigned *seed)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];
		size_t n = f->kind == FIELD_ARR ? f->size / f->sub->size : 1;

		if (f->kind == FIELD_OBJ || f->kind == FIELD_ARR) {
			for (size_t k = 0; k < n; k++)
				fill(f->sub, p + f->off + k * f->sub->size,
				     seen + f->off + k * f->sub->size, seed);
			continue;
		}
		for (uint32_t b = 0; b < f->size; b++)
			assert_int_equal(seen[f->off + b]++, 0); /* described once */
		memset(p + f->off, 0, f->size);
		if (f->kind == FIELD_STR)
			memset(p + f->off, 'a' + (int)(++*seed % 26), f->size - 1);
		else if (f->kind == FIELD_VEC)
			for (uint32_t b = 0; b < f->size; b += f->elem)
				p[f->off + b] = (uint8_t)(++*seed % 3);
		else if (f->kind == FIELD_BOOL)
			p[f->off] = (uint8_t)(++*seed % 2);
		else
			p[f->off] = (uint8_t)(1 + ++*seed % 5);
	}
	/* arrays are full, so that every element travels; their count travels with them */
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];

		if (f->kind != FIELD_ARR)
			continue;
		p[f->count_off] = (uint8_t)(f->size / f->sub->size);
		seen[f->count_off]++;
	}
}

static void round_trip(const struct field_table *t, const void *obj)
{
	void *back = calloc(1, t->size);
	json_t *js = noun_encode(t, obj);
	struct err e = { 0 };

	assert_non_null(back);
	assert_non_null(js);
	if (noun_decode(t, js, back, &e) != 0)
		fail_msg("%s: %s", t->name, e.text);
	if (memcmp(back, obj, t->size) != 0)
		fail_msg("%s: bytes differ", t->name);
	json_decref(js);
	free(back);
}

/* A decision that reads or writes a member which the log forgets shows here. */
static void decided_again_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (unsigned seed = 0; seed < 60; seed += 7) {
			void *in = calloc(1, all[i].in->size), *out = calloc(1, all[i].out->size);
			uint8_t *seen = calloc(1, all[i].in->size);
			unsigned s = seed;

			assert_true(in && out && seen);
			fill(all[i].in, in, seen, &s);
			round_trip(all[i].in, in);
			all[i].redo(in, out);
			round_trip(all[i].out, out);
			free(in);
			free(out);
			free(seen);
		}
	}
}

static void tables_cover_their_structs(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(all); i++) {
		const struct field_table *t = i % 2 ? all[i / 2].out : all[i / 2].in;
		uint8_t *obj = calloc(1, t->size), *seen = calloc(1, t->size);
		size_t gap = 0, holes = 0;
		unsigned seed = 0;

		assert_true(obj && seen);
		fill(t, obj, seen, &seed);
		for (size_t b = 0; b < t->size; b++) {
			gap = seen[b] ? 0 : gap + 1;
			holes += gap >= 8; /* padding is shorter than the widest member */
		}
		if (holes)
			fail_msg("%s: a member is not described", t->name);
		free(obj);
		free(seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decided_again_the_same),
		cmocka_unit_test(tables_cover_their_structs),
	};

	return cmocka_run_group_tests_name("decisions as data", tests, NULL, NULL);
}
