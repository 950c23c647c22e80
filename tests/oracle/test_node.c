/* SPDX-License-Identifier: Apache-2.0 */
/* The node agent over a real enforcer, store and engine: what the log wants is what the kernel
 * holds, whoever dies in between. */
#include "node_plan.h"

#include "../unit/stream_lab.h"

#include "agent/codec/batch.h"
#include "agent/codec/json.h"

static uint64_t events(void)
{
	return engine_world(side.engine)->events;
}

static void assert_runs(uint32_t label, bool want)
{
	struct observation o = seen(label);

	assert_int_equal(o.label_present, want);
	assert_int_equal(o.n_rules, want);
	assert_int_equal(o.n_classes, want);
	assert_int_equal(o.path[0], want ? 7 : 0);
	assert_int_equal(o.n_paths, want);
	if (want) {
		assert_int_equal(o.rate[0].bps, 21 * MBIT);
		assert_int_equal(o.cls[0].rate.bps, 20 * MBIT);
		assert_string_equal(o.cls[0].device.s, "acc0");
	}
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_apply(void **st)
{
	struct plan p = add_plan("pln-1", 21, 0x110), del = { .id = { "pln-2" } };
	struct label_sample l;
	uint64_t n;

	(void)st;
	apply(&p, REFUSE_NONE);
	assert_int_equal(events(), 2); /* steps taken, one receipt for all */
	assert_runs(21, true);
	n = events();
	apply(&p, REFUSE_NONE);
	assert_int_equal(events(), n);
	assert_int_equal(node_label_sample(&side, 21, &l), 0);
	assert_int_equal(l.dir[0].rx_packets, 0);
	assert_int_equal(node_label_sample(&side, 64, &l), -ERANGE);
	add(&del, (struct step){ .kind = STEP_RULE_DEL, .label = 21, .rule = { .id = 84 } });
	add(&del, (struct step){ .kind = STEP_LABEL_DEL, .label = 21 });
	add(&del,
	    (struct step){
		    .kind = STEP_CLASS_DEL, .label = 21, .device = { "acc0" }, .minor = 0x110 });
	apply(&del, REFUSE_NONE);
	assert_runs(21, false);
	says("tc class show dev acc0", "54:110", false);
}

/* A step refused in the middle: it and what follows are not wanted any more, what was before is. */
static void test_refused(void **st)
{
	struct plan p = add_plan("pln-1", 21, 0x110), q = add_plan("pln-2", 22, 0x111), up = q;
	const struct world *w = engine_world(side.engine);

	(void)st;
	apply(&p, REFUSE_NONE);
	q.step[1].step.minor = 5;
	apply(&q, REFUSE_BODY_MALFORMED);
	assert_non_null(strstr(got.why, "minor"));
	for (uint32_t i = 0; i < w->n_wanted; i++)
		if (w->wanted[i].step.label == 22)
			assert_true(w->wanted[i].step.kind == STEP_LABEL_DEL ||
				    w->wanted[i].step.kind == STEP_CLASS_SET ||
				    w->wanted[i].step.kind == STEP_RULE_DEL ||
				    (w->wanted[i].step.kind == STEP_STEER &&
				     w->wanted[i].step.path == 0));
	/* a rate that the device does not have leaves the old one in force */
	up = p;
	str_cut(up.id.s, "pln-3");
	up.step[0].step.rate.bps = up.step[0].step.ceil.bps = 190 * MBIT;
	apply(&up, REFUSE_RATE_ABOVE_DEVICE);
	assert_runs(21, true);
	agents_down();
	agents_up();
	assert_runs(21, true);
	assert_false(seen(22).label_present);
	assert_int_equal(seen(22).n_rules, 0);
}

/* Rules side by side go together; when one is refused those behind it are not there. */
static void test_rules_refused(void **st)
{
	struct plan p = add_plan("pln-1", 21, 0x110), q = { .id = { "pln-2" } };

	(void)st;
	apply(&p, REFUSE_NONE);
	assert_int_equal(seen(21).n_rules, 1);
	for (uint32_t i = 0; i < 20; i++)
		add(&q, rule_step(400 + i, 21));
	q.step[12].step.rule.dst_len = 129;
	apply(&q, REFUSE_BODY_MALFORMED);
	assert_int_equal(seen(21).n_rules, 1 + 12);
	q.step[12].step.rule.dst_len = 64;
	str_cut(q.id.s, "pln-3");
	apply(&q, REFUSE_NONE);
	assert_int_equal(seen(21).n_rules, 21);
	agents_down(); /* a boot: nothing is pinned any more */
	assert_int_equal(enforcer_down(), 0);
	enforcer_up();
	agents_up();
	assert_int_equal(seen(21).n_rules, 21);
}

/* Both die; what the log wants is there again, what it does not want is gone. */
static void test_restart(void **st)
{
	struct plan p = add_plan("pln-1", 21, 0x110);
	const struct step l = label_step(33), c = class_step(33, 0x133, 8 * MBIT),
			  r = rule_step(300, 33);
	char *before, *after;

	(void)st;
	apply(&p, REFUSE_NONE);
	before = told("tc class show dev acc0");
	done(&c, 1); /* behind the log's back */
	done(&l, 1);
	done(&r, 1);
	agents_down();
	enforcer_kill();
	sh("tc class del dev acc0 classid 54:110");
	enforcer_up();
	agents_up();
	assert_runs(21, true);
	assert_runs(33, false);
	after = told("tc class show dev acc0");
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* The log has the steps, the kernel never got them: the process died between. */
static void test_crash_between(void **st)
{
	const struct cap_node cap = { side.engine };
	struct plan p = add_plan("pln-1", 21, 0x110);

	(void)st;
	assert_int_equal(tool_step_apply(&cap, &p, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(side.engine), 0);
	assert_runs(21, false);
	agents_down();
	agents_up();
	assert_runs(21, true);
}

static void test_probe_and_wait(void **st)
{
	struct plan p = { .id = { "pln-1" } }, dead = { .id = { "pln-2" } };
	struct path_sample s;
	int64_t from = loop_now(side.loop).us;

	(void)st;
	add(&p, (struct step){ .kind = STEP_PROBE, .path = 7 });
	add(&p, (struct step){ .kind = STEP_WAIT, .wait_ms = 120 });
	add(&p, (struct step){ .kind = STEP_PROBE, .path = 7 });
	apply(&p, REFUSE_NONE);
	assert_true(loop_now(side.loop).us - from >= 120000);
	assert_int_equal(turn(200), -ETIMEDOUT);
	assert_int_equal(node_path_sample(&side, 7, &s), 0);
	assert_true(s.alive && s.delay.us < 20000 && s.loss_ppm == 0 && s.at.us > from);
	assert_true(s.delay.us <= s.delay_max.us);
	assert_int_equal(node_path_sample(&side, 8, &s), 0);
	assert_false(s.alive);
	assert_int_equal(node_path_sample(&side, 9, &s), -ENOENT);
	add(&dead, (struct step){ .kind = STEP_PROBE, .path = 8 });
	from = loop_now(side.loop).us;
	apply(&dead, REFUSE_STEP_REFUSED);
	assert_true(loop_now(side.loop).us - from >= 1900000);
	dead.step[0].step.path = 9;
	apply(&dead, REFUSE_DEVICE_UNKNOWN);
	dead.step[0].step = (struct step){ .kind = STEP_WAIT, .wait_ms = -1 };
	apply(&dead, REFUSE_BODY_MALFORMED);
}

/* --- over MCP -----------------------------------------------------------------------------------
 */

static char *reply;

static void on_reply(void *arg, const struct wire_response *r)
{
	(void)arg;
	free(reply);
	reply = strndup(r->body ? r->body : "", r->len);
	assert_int_equal(r->status, 200);
	loop_stop(side.loop, 0);
}

/* args is taken; the structured answer, or NULL when the tool refused (its text in *why). */
static json_t *call(const char *tool, json_t *args, char why[200])
{
	const struct peer peer = { .local = true, .uid = 0 };
	struct mcp_call c = { .method = "tools/call",
			      .tool = tool,
			      .args = args,
			      .client_name = "t",
			      .client_version = "1",
			      .rpc_id = 7 };
	struct wire_response resp = { .status = 200, .content_type = "application/json" };
	struct wire_header h[5];
	auto_free char *body = mcp_build(&c);
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = mcp_client_headers(h, &c),
				  .body = body,
				  .len = strlen(body),
				  .peer = &peer };
	struct mcp_result m;
	struct err e = { 0 };
	json_t *out;

	free(reply);
	reply = NULL;
	mcp_server_handle(mcp, &r, (struct wire_sink){ .fn = on_reply });
	if (!reply)
		assert_int_equal(turn(5000), 0);
	json_decref(args);
	resp.body = reply;
	resp.len = strlen(reply);
	if (mcp_parse(&m, &resp, 7, &e))
		fail_msg("%s", e.text);
	assert_int_equal(m.code, 0);
	if (why)
		(void)snprintf(why, 200, "%s", m.text);
	out = m.is_error ? NULL : json_deep_copy(m.structured);
	mcp_result_clear(&m);
	return out;
}

static bool measured(void)
{
	struct enforcer_receipt p;
	struct step there = steer_step(21, 8), back = steer_step(21, 7);

	(void)turn(100);
	p = take(&there);
	(void)take(&back);
	return strstr(p.why.s, "us of path 7 may be overtaken") != NULL;
}

/* What the node's own probes measure reaches the enforcer: no delay is configured. */
static void test_measured_delays(void **st)
{
	struct plan p = add_plan("pln-1", 21, 0x110);

	(void)st;
	agents_down();
	assert_int_equal(enforcer_down(), 0);
	rig.cfg.path[1].probe_dst = address("fd10:a1::1"); /* somebody */
	enforcer_up();
	agents_up();
	apply(&p, REFUSE_NONE);
	assert_true(within(20000, measured));
}

static json_t *plan_args(const struct plan *p)
{
	return json_pack("{s:o}", "plan", noun_encode(&plan_fields, p));
}

static int keep_label(void *arg, const void *obj)
{
	memcpy(arg, obj, sizeof(struct label_sample));
	return 0;
}

static int no_label(void *arg, const void *obj)
{
	(void)arg;
	(void)obj;
	return -EEXIST;
}

/* Onto which paths no IPv4 is led, as the operator is told. */
static void families(char why[200])
{
	struct cfg_addr had = rig.cfg.path[1].v4_prefix;
	json_t *both = call("telemetry_read", json_object(), why), *one;

	rig.cfg.path[1].v4_prefix = (struct cfg_addr){ 0 };
	one = call("telemetry_read", json_object(), why);
	rig.cfg.path[1].v4_prefix = had;
	assert_int_equal(json_array_size(json_object_get(both, "noIpv4")), 0);
	assert_int_equal(json_array_size(json_object_get(one, "noIpv4")), 1);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(one, "noIpv4"), 0)), 8);
	json_decref(both);
	json_decref(one);
}

/* The one label there is, as a batch: the same as its JSON row, and then no more. */
static void pages(char why[200])
{
	json_t *plain = call("telemetry_read", json_object(), why);
	json_t *page = call("telemetry_read", json_pack("{s:b, s:i}", "batch", 1, "limit", 1), why);
	json_t *rest = call("telemetry_read", json_pack("{s:b, s:i}", "batch", 1, "after", 1), why);
	struct label_sample row, one = { 0 };
	struct err e = { 0 };

	assert_int_equal(noun_decode(&label_sample_fields,
				     json_array_get(json_object_get(plain, "labels"), 0), &row, &e),
			 0);
	assert_int_equal(batch_read("label", &label_sample_fields, json_object_get(page, "labels"),
				    keep_label, &one, &e),
			 0);
	one.at = row.at;
	assert_memory_equal(&row, &one, sizeof(row));
	assert_int_equal(json_array_size(json_object_get(page, "paths")),
			 json_array_size(json_object_get(plain, "paths")));
	assert_null(json_object_get(page, "next"));
	assert_int_equal(batch_read("label", &label_sample_fields, json_object_get(rest, "labels"),
				    no_label, NULL, &e),
			 0);
	json_decref(plain);
	json_decref(page);
	json_decref(rest);
	assert_null(call("telemetry_read", json_pack("{s:b, s:i}", "batch", 1, "limit", 0), why));
	assert_non_null(strstr(why, "limit: integer 1..4096"));
	assert_null(call("telemetry_read", json_pack("{s:i}", "since", 0), why));
}

/* How full the node says its table is. */
static struct table_use use_of(const json_t *js, enum table_kind table)
{
	struct table_use t = { 0 };
	const json_t *one;
	size_t i;

	json_array_foreach (json_object_get(js, "tables"), i, one) {
		assert_int_equal(noun_decode(&table_use_fields, one, &t, NULL), 0);
		if (t.table == table)
			return t;
	}
	fail_msg("no table %s", table_name(table));
	return t;
}

static void assert_use(const json_t *js, enum table_kind table, uint32_t used, uint32_t max)
{
	struct table_use t = use_of(js, table);

	if (t.used != used || t.max != max || t.failed)
		fail_msg("%s: %u of %u, failed %llu", table_name(table), t.used, t.max,
			 (unsigned long long)t.failed);
}

static void assert_tables(const json_t *js)
{
	assert_use(js, TABLE_LABELS, 1, 41);
	assert_use(js, TABLE_RULES, 1, 4096);
	assert_use(js, TABLE_SOURCES, 0, 65536);
	assert_use(js, TABLE_CEILINGS, 0, 4095);
	assert_use(js, TABLE_CLASSES, 1, 32256);
	assert_string_equal(use_of(js, TABLE_CLASSES).device.s, "acc0");
	assert_use(js, TABLE_WATCHED, 1, 4096);
	assert_use(js, TABLE_CELLS, 0, 65);
	/* The kernel may have sent a packet of its own (MLD, router solicitation). */
	assert_use(js, TABLE_FLOWS, use_of(js, TABLE_FLOWS).used, 16384);
	assert_in_range(use_of(js, TABLE_FLOWS).used, 0, 16);
}

static void test_mcp(void **st)
{
	struct plan p = add_plan("pln-1", 21, 0x110);
	struct step_receipt rec;
	struct observation o;
	struct path_sample path;
	char why[200];
	json_t *js, *list;

	(void)st;
	add(&p, (struct step){ .kind = STEP_PROBE, .path = 7 });
	js = call("step_apply", plan_args(&p), why);
	list = json_object_get(js, "receipts");
	assert_int_equal(json_array_size(list), 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(
			noun_decode(&step_receipt_fields, json_array_get(list, i), &rec, NULL), 0);
		assert_int_equal(rec.no, i + 1);
		assert_string_equal(rec.plan.s, "pln-1");
		assert_int_equal(rec.refusal, REFUSE_NONE);
	}
	json_decref(js);
	js = call("node_observe", json_pack("{s:i}", "label", 21), why);
	assert_int_equal(noun_decode(&observation_fields, js, &o, NULL), 0);
	assert_true(o.label_present && o.n_rules == 1);
	json_decref(js);
	js = call("telemetry_read", json_object(), why);
	assert_int_equal(json_array_size(json_object_get(js, "labels")), 1);
	assert_int_equal(json_array_size(json_object_get(js, "classes")), 1);
	assert_int_equal(noun_decode(&path_sample_fields,
				     json_array_get(json_object_get(js, "paths"), 0), &path, NULL),
			 0);
	assert_int_equal(path.path, 7);
	assert_true(json_integer_value(json_object_get(js, "mono")) > 0);
	assert_tables(js);
	json_decref(js);
	pages(why);
	families(why);
	p.step[0].step.device = (name_t){ "eth9" };
	str_cut(p.id.s, "pln-2");
	js = call("step_apply", plan_args(&p), why);
	list = json_object_get(js, "receipts");
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(noun_decode(&step_receipt_fields, json_array_get(list, 0), &rec, NULL), 0);
	assert_int_equal(rec.refusal, REFUSE_DEVICE_UNKNOWN);
	json_decref(js);
	str_cut(p.step[2].node.s, "popB");
	assert_null(call("step_apply", plan_args(&p), why));
	assert_non_null(strstr(why, "plan.step[2].node"));
	assert_null(call("step_apply", json_pack("{s:{s:s}}", "plan", "id", "pln-3"), why));
	assert_null(call("node_observe", json_pack("{s:i}", "label", 0), why));
	free(reply);
	reply = NULL;
}

/* Who gave a token hears of each step as the kernel took it. */
static void test_progress(void **st)
{
	static const struct peer peer = { .local = true, .uid = 0 };
	static const struct wire_header h[] = { { "Content-Type", "application/json" },
						{ "Accept", "text/event-stream" },
						{ "MCP-Protocol-Version", MCP_VERSION },
						{ "Mcp-Method", "tools/call" },
						{ "Mcp-Name", "step_apply" } };
	struct plan p = add_plan("pln-1", 21, 0x110);
	auto_json json_t *root = json_pack(
		"{s:s, s:i, s:s, s:{s:s, s:o, s:{s:s, s:{}, s:i}}}", "jsonrpc", "2.0", "id", 7,
		"method", "tools/call", "params", "name", "step_apply", "arguments", plan_args(&p),
		"_meta", "io.modelcontextprotocol/protocolVersion", MCP_VERSION,
		"io.modelcontextprotocol/clientCapabilities", "progressToken", 9);
	auto_free char *body = json_dumps(root, JSON_COMPACT);
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = ARRAY_LEN(h),
				  .body = body,
				  .len = strlen(body),
				  .peer = &peer };
	const char *at;
	char want[80];

	(void)st;
	memset(streams, 0, sizeof(streams));
	mcp_server_handle(mcp, &r, (struct wire_sink){ on_reply, &streams[0], &ops });
	for (int i = 0; i < 100 && (!streams[0].opens || streams[0].open); i++)
		(void)turn(50);
	at = streams[0].text;
	for (unsigned i = 1; i <= p.n_steps; i++) {
		(void)snprintf(want, sizeof(want),
			       "\"progressToken\":9,\"progress\":%u,\"total\":%u,", i,
			       (unsigned)p.n_steps);
		at = strstr(at, want);
		if (!at)
			fail_msg("no %s in %s", want, streams[0].text);
	}
	assert_non_null(strstr(at, "\"receipts\""));
	assert_false(streams[0].open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_apply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crash_between, setup, teardown),
		cmocka_unit_test_setup_teardown(test_probe_and_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress, setup, teardown),
		cmocka_unit_test_setup_teardown(test_measured_delays, setup, teardown),
	};

	log_init("agents", LOG_LEVEL_ERROR);
	return crypto_init() || rig_run(tests);
}
