/* SPDX-License-Identifier: Apache-2.0 */
/* Admission stops before a node's table is full: the pure rules, as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/oss_negotiation/oss_negotiation_core.h"
#include "agent/state/table_core.h"

#define M 1000000ull

/* --- one table --------------------------------------------------------------------------------
 */

static void room(void **state)
{
	static const struct {
		struct table_use t;
		unsigned reserve;
		uint32_t room;
	} row[] = {
		{ { .table = TABLE_LABELS, .used = 0, .max = 100 }, 0, 100 },
		{ { .table = TABLE_LABELS, .used = 0, .max = 100 }, 2, 98 },
		{ { .table = TABLE_LABELS, .used = 97, .max = 100 }, 2, 1 },
		{ { .table = TABLE_LABELS, .used = 98, .max = 100 }, 2, 0 },
		{ { .table = TABLE_LABELS, .used = 100, .max = 100 }, 0, 0 },
		{ { .table = TABLE_LABELS, .used = 101, .max = 100 }, 0, 0 }, /* a range shrank */
		{ { .table = TABLE_RULES, .used = 0, .max = 3 }, 2, 2 },      /* rounded up */
		{ { .table = TABLE_RULES, .used = 0, .max = 1 }, 2, 0 },
		{ { .table = TABLE_CLASSES, .used = 1, .max = 3 }, 50, 0 },
		{ { .table = TABLE_SOURCES, .used = 1, .max = 4 }, 0, 1 }, /* one a direction */
		{ { .table = TABLE_LABELS, .used = 0, .max = UINT32_MAX }, 50, 0x7fffffff },
		{ { .table = TABLE_NONE, .used = 9, .max = 9 }, 2, UINT32_MAX },
		{ { .table = TABLE_WATCHED, .used = 9, .max = 9 }, 2, UINT32_MAX },
		{ { .table = TABLE_FLOWS, .used = 9, .max = 9 }, 2, UINT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (table_room(&row[i].t, row[i].reserve) != row[i].room)
			fail_msg("row %zu: %u", i, table_room(&row[i].t, row[i].reserve));
}

/* The one with the least room stays, whatever the order they come in. */
static void least(void **state)
{
	const struct table_use t[] = { { .table = TABLE_LABELS, .used = 10, .max = 100 },
				       { .table = TABLE_RULES, .used = 5, .max = 9 },
				       { .table = TABLE_CLASSES, .used = 1, .max = 20 },
				       { .table = TABLE_FLOWS, .used = 8, .max = 8 } };
	static const uint8_t order[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 } };
	const name_t node = { "popB" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct table_least l = { .table = TABLE_NONE };

		assert_true(table_admits(&l, false));
		for (size_t k = 0; k < 4; k++)
			table_take(&l, &node, &t[order[i][k]], 2);
		assert_int_equal(l.table, TABLE_RULES);
		assert_int_equal(l.used, 5);
		assert_int_equal(l.max, 9);
		assert_int_equal(l.room, 3);
		assert_string_equal(l.node.s, "popB");
		table_expect(&l, 2);
		assert_true(table_admits(&l, false));
		table_expect(&l, 5);
		assert_int_equal(l.room, 0);
		assert_false(table_admits(&l, false));
		assert_true(table_admits(&l, true)); /* what is kept is for changes */
		l.used = l.max;
		assert_false(table_admits(&l, true));
	}
	assert_string_equal(table_name(TABLE_CLASSES), "classes");
	assert_string_equal(table_name(TABLE_MAX_), "?");
}

/* --- who may still come -----------------------------------------------------------------------
 */

static struct table_least state_of(uint32_t used, uint32_t max, uint32_t room)
{
	return (struct table_least){
		.node = { "popB" }, .table = TABLE_RULES, .used = used, .max = max, .room = room
	};
}

static struct path_view view(uint8_t path, struct table_least l)
{
	return (struct path_view){ .path = path,
				   .type = NET_DET,
				   .alive = true,
				   .base = { 5000 },
				   .capacity = { 200 * M },
				   .least = l };
}

/* What the menu says of path 1, where nothing else is in the way. */
static void menu(void **state)
{
	static const struct {
		uint8_t own; /* the path that the agreement has already */
		uint32_t used, room;
		enum refusal want;
	} row[] = {
		{ 0, 7, 1, REFUSE_NONE }, { 0, 8, 0, REFUSE_NODE_FULL },
		{ 1, 8, 0, REFUSE_NONE }, { 1, 10, 0, REFUSE_NONE }, /* in place */
		{ 2, 9, 0, REFUSE_NONE }, { 2, 10, 0, REFUSE_NODE_FULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct bss_menu_in in = { .n_paths = 1, .own = { row[i].own, { M } } };
		struct bss_menu_out out;

		bss_defaults(&in.p);
		in.want.bandwidth.bps = 10 * M;
		in.path[0] = view(1, state_of(row[i].used, 10, row[i].room));
		bss_menu(&in, &out);
		if (out.refusal != row[i].want)
			fail_msg("row %zu: %s", i, refusal_name(out.refusal));
		if (out.refusal == REFUSE_NODE_FULL) {
			assert_int_equal(out.refused[0].refusal, REFUSE_NODE_FULL);
			assert_non_null(strstr(out.why.s, "node=popB table=rules"));
			assert_non_null(strstr(out.why.s, "max=10"));
		}
		in.path[1] = view(2, state_of(0, 10, 9)); /* another road is for sale */
		in.n_paths = 2;
		bss_menu(&in, &out);
		assert_int_equal(out.refusal, REFUSE_NONE);
	}
}

/* A class of IPv4 is offered paths that carry it alone; one of IPv6 all. */
static void menu_by_family(void **state)
{
	static const struct {
		bool v4;
		const char *lacks[2]; /* node of path 1, 2 */
		enum refusal want;
		uint8_t items;
	} row[] = {
		{ true, { "", "" }, REFUSE_NONE, 2 },
		{ true, { "popB", "" }, REFUSE_NONE, 1 },
		{ true, { "popB", "popD" }, REFUSE_PATH_NO_IPV4, 0 },
		{ false, { "popB", "popD" }, REFUSE_NONE, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct bss_menu_in in = { .n_paths = 2, .profile = { .v4 = row[i].v4 } };
		struct bss_menu_out out;

		bss_defaults(&in.p);
		in.want.bandwidth.bps = 10 * M;
		for (uint8_t p = 0; p < 2; p++) {
			in.path[p] = view((uint8_t)(p + 1), state_of(0, 10, 9));
			str_cut(in.path[p].no_v4.s, row[i].lacks[p]);
		}
		bss_menu(&in, &out);
		if (out.refusal != row[i].want || out.n_items != row[i].items)
			fail_msg("row %zu: %s, %u", i, refusal_name(out.refusal), out.n_items);
		if (out.refusal != REFUSE_NONE)
			assert_string_equal(out.why.s, "IPv4 to a path without an IPv4 table "
						       "(v4-prefix) node=popD");
	}
}

/* The same order where its class is IPv4 and the path carries none; what is there may always go. */
static void by_family(struct oss_negotiation_in *in)
{
	struct oss_negotiation_out out;

	in->v4 = true;
	str_cut(in->view.no_v4.s, "popB");
	oss_negotiation_decide(in, &out);
	assert_int_equal(out.refusal,
			 in->order.action == ORDER_DELETE ? REFUSE_NONE : REFUSE_PATH_NO_IPV4);
	if (out.refusal != REFUSE_NONE)
		assert_non_null(strstr(out.why.s, "(v4-prefix) node=popB"));
}

static void orders(void **state)
{
	static const struct {
		enum order_action action;
		uint32_t used, room;
		enum refusal want;
	} row[] = {
		{ ORDER_ADD, 7, 1, REFUSE_NONE },     { ORDER_ADD, 8, 0, REFUSE_NODE_FULL },
		{ ORDER_MIGRATE, 9, 0, REFUSE_NONE }, { ORDER_MIGRATE, 10, 0, REFUSE_NODE_FULL },
		{ ORDER_REROUTE, 9, 0, REFUSE_NONE }, { ORDER_REROUTE, 10, 0, REFUSE_NODE_FULL },
		{ ORDER_MODIFY, 10, 0, REFUSE_NONE }, { ORDER_DELETE, 10, 0, REFUSE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		bool add = row[i].action == ORDER_ADD, new = row[i].action == ORDER_MIGRATE,
		     moved = row[i].action == ORDER_REROUTE;
		struct oss_negotiation_in in = { .known = true,
						 .label_lo = 1,
						 .label_hi = 9,
						 .path_known = true,
						 .load_limit = 1000,
						 .now = { 1000 } };
		struct oss_negotiation_out out;

		in.order = (struct order){ .rev = 2,
					   .action = row[i].action,
					   .label = new ? 3 : 2,
					   .path = 1,
					   .g = { .bandwidth = { 10 * M } },
					   .end = { 5000 } };
		in.agreement = (struct agreement){ .rev = 2,
						   .label = in.order.label,
						   .path = 1,
						   .g = in.order.g,
						   .end = { 5000 } };
		if (!add) {
			in.order.old_label = 2;
			in.order.old_path = moved || new ? 2 : 1;
			in.order.old_g = in.order.g;
			in.applied_rev = 1;
			in.applied = (struct order){ .label = 2,
						     .path = in.order.old_path,
						     .g = in.order.g };
		}
		in.view = view(1, state_of(row[i].used, 10, row[i].room));
		oss_negotiation_decide(&in, &out);
		if (out.refusal != row[i].want)
			fail_msg("row %zu: %s: %s", i, refusal_name(out.refusal), out.why.s);
		if (out.refusal == REFUSE_NODE_FULL)
			assert_non_null(strstr(out.why.s, "node=popB table=rules used="));
		if (out.refusal == REFUSE_NONE)
			by_family(&in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room),           cmocka_unit_test(least),  cmocka_unit_test(menu),
		cmocka_unit_test(menu_by_family), cmocka_unit_test(orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
