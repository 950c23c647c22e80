/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of more rows than fit on a page: no answer is longer than a page, and all pages together
 * have each row once. */
#include "query_call.h"

#include "agent/disclosure.h"

enum { DEALS = 1203, FLOWS = 1001, HOLDS = 700 };

/* --- what there is ---------------------------------------------------------------------------- */

static void holds(unsigned n)
{
	struct ledger_result res;
	struct err e = { 0 };
	for (unsigned i = 0; i < n; i++) {
		struct ledger_hold h = { .wallet = { LEDGER_GATE, "did:web:t.example", "urn:w:1" },
					 .class_name = "market-data",
					 .currency = "EUR",
					 .rev = 1,
					 .amount = { 1 },
					 .now = { LAB_NOW },
					 .expires = { LAB_NOW + 60000 } };

		(void)snprintf(h.lineage, sizeof(h.lineage), "agr-p%u", i);
		h.offer.b[0] = (uint8_t)i;
		h.offer.b[1] = (uint8_t)(i >> 8);
		h.offer.b[2] = 1;
		if (ledger_hold(lab.store, &h, &res, &e) || res.why != REFUSE_NONE)
			fail_msg("hold: %s %s", e.text, refusal_name(res.why));
	}
	assert_int_equal(store_commit(lab.store, &e), 0);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* Adds the rows' names to seen; each at its first time. */
static size_t take(const json_t *rows, const char *name, json_t *seen)
{
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		char *id = json_dumps(json_object_get(row, name), JSON_ENCODE_ANY);

		assert_null(json_object_get(seen, id));
		json_object_set_new(seen, id, json_true());
		free(id);
	}
	return json_array_size(rows);
}

/* All rows of a list; *pages of at most limit. */
static size_t walk(const char *tool, const char *list, const char *name, unsigned limit,
		   unsigned *pages)
{
	json_t *seen = json_object(), *args = json_pack("{s:i}", "limit", (int)limit), *next;
	size_t n;

	for (*pages = 0; args; ++*pages) {
		char *text = json_dumps(args, 0);
		struct mcp_result r = ask(tool, text);
		size_t k = take(json_object_get(r.structured, list), name, seen);

		assert_true(k <= limit);
		json_decref(args);
		next = json_object_get(r.structured, "next");
		args = next ? json_pack("{s:i, s:O}", "limit", (int)limit, "after", next) : NULL;
		free(text);
		mcp_result_clear(&r);
	}
	n = json_object_size(seen);
	json_decref(seen);
	return n;
}

static void deals_come_in_pages(void **state)
{
	struct mcp_result r = ask("deal_list", "{}");
	unsigned pages;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(r.structured, "deals")), 500);
	expect(&r, "next", "500");
	mcp_result_clear(&r);
	assert_int_equal(walk("deal_list", "deals", "id", 500, &pages), DEALS + 1);
	assert_int_equal(pages, 3);
	assert_int_equal(walk("deal_list", "deals", "id", 1, &pages), DEALS + 1);
	assert_int_equal(pages, DEALS + 1);
	assert_int_equal(walk("service_list", "services", "id", 100, &pages), 1);
	r = ask("deal_list", "{\"after\":4000000000}");
	expect(&r, "deals", "[]");
	mcp_result_clear(&r);
}

static void flows_come_in_pages(void **state)
{
	unsigned pages;

	(void)state;
	for (uint32_t i = 0; i < FLOWS; i++)
		assert_non_null(side_flow(&lab.side, LABEL_MAX - 7 * i, true));
	assert_int_equal(walk("flow_list", "flows", "label", 500, &pages), FLOWS);
	assert_int_equal(pages, 3);
	assert_int_equal(walk("flow_list", "flows", "label", 7, &pages), FLOWS);
	assert_int_equal(pages, FLOWS / 7);
	refused("flow_list", "{\"after\":1048576}", "after: 0..1048575 required");
}

static void the_ledger_comes_in_pages(void **state)
{
	static const struct {
		const char *list, *name;
		size_t n;
	} parts[] = { { "wallets", "wallet", 1 },
		      { "classes", "class", 1 },
		      { "holds", "hold", HOLDS + 1 },
		      { "lineages", "lineage", HOLDS + 1 },
		      { "credits", "note", 0 } };
	unsigned pages;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		assert_int_equal(walk("ledger_show", parts[i].list, parts[i].name, 500, &pages),
				 parts[i].n);
		assert_int_equal(pages, 3);
		assert_int_equal(walk("ledger_show", parts[i].list, parts[i].name, 1, &pages),
				 parts[i].n);
		assert_int_equal(pages, 2 * (HOLDS + 1));
	}
}

static void what_is_no_page_is_refused(void **state)
{
	static const char *const bad[] = { "holds",      "holds:",
					   "holds:x",    "holds:1x",
					   "wallets:1",  "lineages:99999999999999999999",
					   "credits:-1", "" };
	char args[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(args, sizeof(args), "{\"after\":\"%s\"}", bad[i]);
		refused("ledger_show", args, "after: not what \"next\" said");
	}
	refused("ledger_show", "{\"limit\":501}", "limit");
	refused("deal_list", "{\"limit\":0}", "limit");
	refused("deal_list", "{\"after\":-1}", "after");
	refused("service_list", "{\"from\":1}", "from: unknown member");
}

static int setup(void **state)
{
	(void)state;
	lab.deals = DEALS + 1;
	lab_dir(&lab);
	lab_open(&lab);
	lab_walk(&lab);
	lab_wallet(&lab);
	lab_serve(&lab, true);
	human.uid = geteuid();
	lab_intents(&lab, DEALS);
	holds(HOLDS);
	assert_int_equal(disclosure_start(&lab.side, NULL), 0);
	return engine_turn(lab.side.engine);
}

static int teardown(void **state)
{
	(void)state;
	disclosure_free(&lab.side);
	lab_drop(&lab);
	got_clear();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(deals_come_in_pages),
		cmocka_unit_test(flows_come_in_pages),
		cmocka_unit_test(the_ledger_comes_in_pages),
		cmocka_unit_test(what_is_no_page_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
