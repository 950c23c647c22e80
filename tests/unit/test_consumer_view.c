/* SPDX-License-Identifier: Apache-2.0 */
/* Two consumers of an operator whose disclosure policy lets a consumer see its own agreements: each
 * reads its own by every way out (tools, resources, their changes, the event stream, exports), and
 * of the other's none tells it anything. What one is refused the other is shown: each is the
 * other's harmless twin. */
#include "bss_mcp.h"
#include "checkpoint.h"
#include "stream_lab.h"

#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/disclosure.h"
#include "agent/signer/client.h"

#include <ctype.h>

int __wrap_signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
			 struct err *e);
int __wrap_signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
			 struct err *e)
{
	(void)c, (void)e;
	assert_int_equal(key, KEY_AGREEMENT);
	memcpy(ret, lab.op.pub, 32);
	return 0;
}

#define OWN                                                                               \
	"[{\"name\":\"own\",\"to\":[\"consumer\"],\"own\":true,\"events\":[\"*\"],"       \
	"\"resources\":[\"deal_list\",\"agreement_show\",\"service_list\",\"log_read\"]," \
	"\"members\":[\"*\"]}]"

static void load_policy(const char *rules)
{
	auto_json json_t *doc =
		json_pack("{s:s, s:s, s:i, s:o}", "type", "DisclosurePolicy", "side", lab.op.did,
			  "version", 1, "rules", json_loads(rules, 0, NULL));
	auto_json json_t *seal = NULL;
	struct err e = { 0 };

	if (disclosure_sign(&lab.side, doc, &seal, &e) || disclosure_load(&lab.side, seal, &e))
		fail_msg("policy: %s", e.text);
	lab_turn();
}

static int open_lab(void **state)
{
	struct err e = { 0 };
	int r = serve(state);

	lab.side.port[SIGN_DISCLOSURE] = lab.side.port[SIGN_EXPORT] = lab.op.port;
	memset(streams, 0, sizeof(streams));
	if (disclosure_start(&lab.side, &e))
		fail_msg("%s", e.text);
	return r;
}

static int close_lab(void **state)
{
	disclosure_free(&lab.side);
	return unserve(state);
}

/* The two roads, and who walks which: mine is who's own, theirs the other's. */
static struct pair {
	const struct party *who;
	const char *mine, *theirs; /* what every id of the road ends in */
	const struct party *other;
} pairs[2];

/* After this both have an agreement in force. */
#define TWO_ROADS                                                               \
	auto_road struct road a = whole_road(&lab.ent, "a1"), b = rival_road(); \
	pairs[0] = (struct pair){ &lab.ent, "-a1", "-b1", &lab.other };         \
	pairs[1] = (struct pair){ &lab.other, "-b1", "-a1", &lab.ent };         \
	lab_turn();                                                             \
	(void)a, (void)b

/* Whether an id of that road is in the text. Ids of random hex digits are there too, and one in 256
 * of them begins as the road ends ("ord-b142..."): an id of the road ends there. */
static bool names(const char *text, const char *road)
{
	for (const char *at = strstr(text, road); at; at = strstr(at + 1, road))
		if (!isalnum((unsigned char)at[strlen(road)]))
			return true;
	return false;
}

static void only_mine(const struct pair *p, const char *what, const char *text)
{
	if (!names(text, p->mine) || names(text, p->theirs) || strstr(text, p->other->did))
		fail_msg("%s of %s: %s", what, p->mine, text);
}

/* The agreement of that road, behind stem. */
static const char *agr(const char *stem, const char *road)
{
	static char buf[4][80];
	static unsigned i;

	i = (i + 1) % ARRAY_LEN(buf);
	(void)snprintf(buf[i], sizeof(buf[i]), "%sagr%s", stem, road);
	return buf[i];
}

/* --- tools and resources ------------------------------------------------------------------------
 */

static void by_tools_and_resources(void **state)
{
	static const char *const lists[] = { "deal_list", "service_list", "log_read" };
	static const char *const uris[] = { "treaty://agreements", "treaty://services",
					    "treaty://log" };
	const char *id, *uri;

	(void)state;
	TWO_ROADS;
	load_policy(OWN);
	for (size_t k = 0; k < 2; k++) {
		const struct pair *p = &pairs[k];

		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			post(p->who, "tools/call", lists[i],
			     json_pack("{s:s, s:{}}", "name", lists[i], "arguments"));
			only_mine(p, lists[i], got.body);
			post(p->who, "resources/read", uris[i], json_pack("{s:s}", "uri", uris[i]));
			only_mine(p, uris[i], got.body);
		}
		id = agr("", p->mine);
		ask(p->who, "agreement_show", id);
		assert_non_null(result("structuredContent"));
		uri = agr("treaty://agreements/", p->mine);
		post(p->who, "resources/read", uri, json_pack("{s:s}", "uri", uri));
		assert_non_null(result("contents"));
		id = agr("", p->theirs);
		ask(p->who, "agreement_show", id); /* as if there were none */
		assert_true(json_is_true(result("isError")));
		assert_non_null(strstr(got.body, "no deal has this id"));
		uri = agr("treaty://agreements/", p->theirs);
		post(p->who, "resources/read", uri, json_pack("{s:s}", "uri", uri));
		assert_non_null(strstr(got.body, "Resource not found"));
		ask(p->who, "deal_show", "agr-a1"); /* no rule names it */
		assert_non_null(strstr(got.body, "unknown tool"));
		ask(&lab.stranger, "agreement_show", id);
		assert_non_null(strstr(got.body, "unknown tool"));
	}
}

/* --- what changes --------------------------------------------------------------------------------
 */

static const char *quote_of_a(void)
{
	return world_deal(lab_world(), &(ident_t){ "agr-a1" })->quote.id.s;
}

static void listen_to(const struct party *who, unsigned to)
{
	static const char ask_for[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{"
		"\"notifications\":{\"resourceSubscriptions\":[\"treaty://agreements\","
		"\"treaty://agreements/agr-a1\",\"treaty://agreements/agr-b1\",\"treaty://log\","
		"\"treaty://services\",\"treaty://ledger\",\"treaty://labels\","
		"\"treaty://intents/int-a1\",\"treaty://quotes/%s\","
		"\"treaty://paths\"]},\"_meta\":{"
		"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		"\"io.modelcontextprotocol/clientCapabilities\":{}}}}";
	static const struct wire_header h[] = { { "Content-Type", "application/json" },
						{ "MCP-Protocol-Version", MCP_VERSION },
						{ "Mcp-Method", "subscriptions/listen" } };
	struct peer p = { .name = "x" };
	char body[1024];
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = ARRAY_LEN(h),
				  .body = body,
				  .peer = &p };

	r.len = (size_t)snprintf(body, sizeof(body), ask_for, quote_of_a());
	must_set(p.did, who->did);
	mcp_server_handle(mcp, &r, (struct wire_sink){ on_raw, &streams[to], &ops });
	assert_true(streams[to].open);
}

static void by_watching(void **state)
{
	(void)state;
	TWO_ROADS;
	load_policy(OWN);
	listen_to(&desk, 2); /* whose the side is */
	for (unsigned k = 0; k < 2; k++) {
		listen_to(pairs[k].who, k);
		only_mine(&pairs[k], "acknowledged", streams[k].text);
		assert_null(strstr(streams[k].text, "ledger"));
		assert_null(strstr(streams[k].text, "labels"));
	}
	for (unsigned k = 0; k < 2; k++) {
		const char *id;

		streams[0].text[0] = streams[1].text[0] = 0;
		id = agr("", pairs[k].mine);
		mcp_table_changed(mcp, id);
		only_mine(&pairs[k], "changed", streams[k].text);
		assert_non_null(strstr(streams[k].text, "treaty://services"));
		assert_non_null(strstr(streams[k].text, "treaty://log"));
		assert_string_equal(streams[!k].text, ""); /* not even that something changed */
	}
	assert_non_null(strstr(streams[2].text, "\"uri\":\"treaty://labels\""));
	assert_non_null(strstr(streams[2].text, "\"uri\":\"treaty://intents/int-a1\""));
	assert_non_null(strstr(streams[2].text, "\"uri\":\"treaty://quotes/"));
	streams[0].text[0] = streams[2].text[0] = 0;
	mcp_table_changed(mcp, NULL); /* about no agreement: nobody's own */
	mcp_table_paths_changed(mcp);
	assert_string_equal(streams[0].text, "");
	assert_non_null(strstr(streams[2].text, "\"uri\":\"treaty://paths\""));
}

/* --- the event stream --------------------------------------------------------------------------
 */

struct reading {
	struct disclosure_lens lens;
	const struct pair *p;
	unsigned seen, hidden;
};

static int see_row(void *arg, const struct store_event *row)
{
	struct reading *x = arg;
	auto_free char *part = NULL, *body = strndup(row->body, row->len);
	struct err e = { 0 };
	int r = disclosure_sight(&x->lens, row->seq, body, &part, &e);
	const char *text = r == 2 ? part : body;

	if (r < 0)
		fail_msg("row %llu: %s", (unsigned long long)row->seq, e.text);
	x->seen += r > 0;
	x->hidden += r == 0;
	if (r && x->p)
		only_mine(x->p, "event", text);
	return 0;
}

static struct reading events_of(const struct party *who, const struct pair *p)
{
	struct peer peer = { .name = "x" };
	struct reading x = { .lens = { .side = &lab.side }, .p = p };

	must_set(peer.did, who->did);
	x.lens.who = disclosure_who(&lab.side, &peer);
	assert_int_equal(store_replay(lab.store, 1, see_row, &x, NULL), 0);
	return x;
}

static void by_events(void **state)
{
	struct disclose_who w = { .roles = DISCLOSE_CONSUMER };
	struct reading x, y, z;

	(void)state;
	TWO_ROADS;
	w.did = lab.ent.did;
	assert_int_equal(events_of(&lab.ent, NULL).seen, 0); /* default deny */
	assert_false(disclose_may_watch(disclosure_of(&lab.side), &w));
	load_policy(OWN);
	assert_true(disclose_may_watch(disclosure_of(&lab.side), &w));
	x = events_of(&lab.ent, &pairs[0]);
	y = events_of(&lab.other, &pairs[1]);
	z = events_of(&lab.stranger, NULL);
	assert_true(x.seen >= 5 && x.seen == y.seen); /* the same road each */
	assert_int_equal(z.seen, 0);
	assert_true(x.hidden > y.seen); /* the other's, and those of no agreement */
}

/* --- exports -----------------------------------------------------------------------------------
 */

static json_t *export_for(uint32_t role, const char *did, const char *agreement, int want)
{
	const struct disclosure_ask_export q = { .role = role, .did = did, .agreement = agreement };
	json_t *doc = NULL;
	struct err e = { 0 };
	uint64_t next;
	int r = disclosure_export(&lab.side, &q, &doc, &next, &e);

	if (r != want)
		fail_msg("export: %d %s", r, e.text);
	return doc;
}

static size_t n_events(const json_t *doc)
{
	return json_array_size(json_object_get(doc, "events"));
}

static void by_exports(void **state)
{
	size_t n[2] = { 0 };

	(void)state;
	TWO_ROADS;
	load_policy(OWN);
	lab_turn();
	put_checkpoint(lab.store, lab.op.did, lab.op.seed);
	for (unsigned k = 0; k < 2; k++) {
		const struct pair *p = &pairs[k];
		auto_json json_t *all = export_for(DISCLOSE_CONSUMER, p->who->did, "", 0);
		auto_json json_t *events = json_incref(json_object_get(all, "events"));
		auto_free char *text = json_dumps(events, JSON_COMPACT);
		auto_json json_t *one = NULL, *none = NULL;
		const char *id;

		only_mine(p, "export", text);
		n[k] = n_events(all);
		id = agr("", p->mine);
		one = export_for(DISCLOSE_CONSUMER, p->who->did, id, 0);
		assert_int_equal(n_events(one), n[k]);
		id = agr("", p->theirs);
		none = export_for(DISCLOSE_CONSUMER, p->who->did, id, 0);
		assert_int_equal(n_events(none), 0);
	}
	assert_true(n[0] >= 5 && n[0] == n[1]);
	for (unsigned i = 0; i < 2; i++) {
		static const uint32_t roles[] = { DISCLOSE_OPERATOR, DISCLOSE_AUDITOR };
		auto_json json_t *x = export_for(roles[i], lab.ent.did, "", 0);

		assert_int_equal(n_events(x), 0); /* of that role no rule speaks */
	}
}

#define IN_LAB(t) cmocka_unit_test_setup_teardown(t, open_lab, close_lab)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(by_tools_and_resources),
		IN_LAB(by_watching),
		IN_LAB(by_events),
		IN_LAB(by_exports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
