/* SPDX-License-Identifier: Apache-2.0 */
/* verify over the real MCP core: what the log wants of two nodes and of the own edge, against what
 * modelled kernels say. Each single difference is found, on its node and its object. */
#include "query_lab.h"

#include <errno.h>

#include "agent/codec/noun.h"
#include "agent/enforcer/client.h"
#include "agent/peer.h"

static struct query_lab lab;
static json_t *answer;
static bool refused;

/* --- modelled kernels: what each node holds of label 77 ------------------------------------------
 */

static struct kernel {
	const char *node;
	bool dead;
	struct observation o;
} kernels[3] = { { .node = "popA" }, { .node = "popB" }, { .node = "enterprise-x" } };

static struct {
	peer_mcp_fn fn;
	void *arg;
	struct kernel *k;
} asked[4];
static size_t n_asked;

int __wrap_peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
		     const char *key, peer_mcp_fn fn, void *arg, struct err *e);
int __wrap_peer_tool(struct side *s, const char *name, const char *tool, const json_t *args,
		     const char *key, peer_mcp_fn fn, void *arg, struct err *e)
{
	(void)s;
	(void)key;
	assert_string_equal(tool, "node_observe");
	assert_int_equal(json_integer_value(json_object_get(args, "label")), 77);
	for (size_t i = 0; i < 2; i++)
		if (!strcmp(kernels[i].node, name)) {
			asked[n_asked].fn = fn;
			asked[n_asked].arg = arg;
			asked[n_asked++].k = &kernels[i];
			return 0;
		}
	return err_set(e, -ENOENT, "%s: no such peer", name);
}

int __wrap_enforcer_observe(struct msg_client *c, uint32_t label, struct observation *ret,
			    struct err *e);
int __wrap_enforcer_observe(struct msg_client *c, uint32_t label, struct observation *ret,
			    struct err *e)
{
	(void)c;
	assert_int_equal(label, 77);
	if (kernels[2].dead)
		return err_set(e, -ETIMEDOUT, "enforcer: silent");
	*ret = kernels[2].o;
	return 0;
}

static void nodes_answer(void)
{
	size_t n = n_asked;

	n_asked = 0;
	for (size_t i = n; i-- > 0;) { /* in another order than asked */
		struct mcp_result r = { .text = "", .root = NULL };
		json_t *o = noun_encode(&observation_fields, &asked[i].k->o);

		r.structured = o;
		if (asked[i].k->dead)
			asked[i].fn(asked[i].arg, -ETIMEDOUT, NULL, "timed out");
		else
			asked[i].fn(asked[i].arg, 0, &r, "");
		json_decref(o);
	}
}

/* --- the call ----------------------------------------------------------------------------------
 */

static void on_reply(void *to, const struct wire_response *r)
{
	struct mcp_result m = { 0 };
	struct wire_response copy = *r;
	struct err e = { 0 };

	(void)to;
	assert_null(answer);
	copy.content_type = "application/json";
	if (mcp_parse(&m, &copy, 7, &e))
		fail_msg("%s", e.text);
	refused = m.is_error;
	answer = m.structured ? json_deep_copy(m.structured) : json_string(m.text);
	mcp_result_clear(&m);
}

static void on_stop(void *arg)
{
	(void)arg;
	loop_stop(lab.side.loop, 0);
}

/* Answers "ok" of the whole; *ret_bad = how many checks failed, *ret_first = the first of them. */
static bool verify(const char *id, size_t *ret_bad, json_t **ret_first)
{
	json_t *args = json_pack("{s:s}", "agreementId", id), *row;
	struct mcp_call c = { .method = "tools/call",
			      .tool = "verify",
			      .args = args,
			      .client_name = "t",
			      .client_version = "0",
			      .rpc_id = 7 };
	struct peer p = { .local = true, .uid = geteuid() };
	char *body = mcp_build(&c);
	struct wire_header h[5];
	struct wire_request rq = { .method = "POST",
				   .path = "/mcp",
				   .query = "",
				   .headers = h,
				   .nheaders = mcp_client_headers(h, &c),
				   .body = body,
				   .len = strlen(body),
				   .peer = &p };
	size_t i;

	json_decref(answer);
	answer = NULL;
	mcp_server_handle(lab.mcp, &rq, (struct wire_sink){ .fn = on_reply });
	assert_non_null(loop_after(lab.side.loop, 1000, on_stop, NULL));
	assert_int_equal(loop_run(lab.side.loop), 0);
	nodes_answer();
	assert_non_null(answer);
	assert_false(refused);
	*ret_bad = 0;
	*ret_first = NULL;
	json_array_foreach (json_object_get(answer, "checks"), i, row)
		if (!json_is_true(json_object_get(row, "ok")) && !(*ret_bad)++)
			*ret_first = row;
	json_decref(args);
	free(body);
	return json_is_true(json_object_get(answer, "ok"));
}

static void clean(const char *id, size_t checks)
{
	json_t *first;
	size_t bad;
	bool ok = verify(id, &bad, &first);
	char *text = first ? json_dumps(first, 0) : NULL;

	if (!ok || bad)
		fail_msg("%s", text ? text : "not ok");
	assert_int_equal(json_array_size(json_object_get(answer, "checks")), checks);
	free(text);
}

static void broken(const char *id, const char *node, const char *object)
{
	json_t *first;
	size_t bad;

	assert_false(verify(id, &bad, &first));
	assert_int_equal(bad, 1);
	assert_string_equal(json_string_value(json_object_get(first, "node")), node);
	assert_string_equal(json_string_value(json_object_get(first, "object")), object);
}

/* --- the operator's road -----------------------------------------------------------------------
 */

static const struct step label_step = {
	.kind = STEP_LABEL_SET, .label = 77, .minor = 0x101, .rate = { 22000000 }, .burst_ms = 250
};
static const struct step class_step = { .kind = STEP_CLASS_SET,
					.label = 77,
					.device = { "coreb" },
					.minor = 0x101,
					.rate = { 20000001 },
					.ceil = { 20000001 } };
static const struct step steer_step = { .kind = STEP_STEER, .label = 77, .path = 1 };
static const struct step rule_step = { .kind = STEP_RULE_SET,
				       .label = 77,
				       .rule = { .id = 1, .label = 77 } };

static void plan_add(struct plan *p, const char *node, const struct step *s)
{
	struct plan_step *to = &p->step[p->n_steps++];

	to->no = p->n_steps;
	str_cut(to->node.s, node);
	to->step = *s;
}

static struct plan plan_of(const char *id)
{
	struct plan p = { .order = { "ord-1" }, .lineage = { "agr-1" }, .rev = 1 };

	str_cut(p.id.s, id);
	return p;
}

static void admit_and_sign(const struct cap_bss_negotiation *neg, struct agreement *g)
{
	struct cap_bss_policy pol = { neg->engine };
	struct quote q = lab_quote();
	struct ev_admit ad = { .intent = { .id = q.intent,
					   .negotiation = q.negotiation,
					   .class_name = q.class_name,
					   .flow = q.flow,
					   .want = q.item[0].g,
					   .term_ms = q.term_ms,
					   .declared = { LAB_NOW } },
			       .peer = { "did:web:edge.lab.example" } };
	struct ent_policy_out out;
	struct ent_policy_in in;
	struct ev_accept a;

	lab_decide(&in, &out);
	a = lab_accept(&q, &out);
	*g = lab_agreement(&q, &a);
	g->path = 1;
	assert_int_equal(tool_wallet_admit(&pol, &ad, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_quote_offer(neg, &q, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_accept_record(neg, &a, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_agreement_sign(neg, g, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_acceptance_record(neg, g, NULL, NULL), REFUSE_NONE);
}

static void operator_walk(void)
{
	struct cap_bss_negotiation neg = { lab.side.engine };
	struct cap_oss_negotiation on = { lab.side.engine };
	struct cap_oss_planning pl = { lab.side.engine };
	struct order o = { .id = { "ord-1" },
			   .lineage = { "agr-1" },
			   .rev = 1,
			   .action = ORDER_ADD,
			   .label = 77,
			   .path = 1 };
	struct ev_ref ref = { .deal = { "agr-1" }, .about = { "ord-1" }, .rev = 1 };
	struct step gone = { .kind = STEP_CLASS_DEL, .label = 77, .device = { "old0" } };
	struct plan p = plan_of("pln-1");
	struct agreement g;

	admit_and_sign(&neg, &g);
	o.agreement_digest = g.digest;
	assert_int_equal(tool_order_emit(&neg, &o, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_order_accept(&on, &ref, NULL, NULL), REFUSE_NONE);
	plan_add(&p, "popA", &class_step);
	plan_add(&p, "popA", &label_step);
	plan_add(&p, "popA", &steer_step);
	plan_add(&p, "popB", &label_step);
	plan_add(&p, "popB", &rule_step);
	plan_add(&p, "popB", &gone);
	assert_int_equal(tool_plan_commit(&pl, &p, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_service_activate(&pl, &ref, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(lab.side.engine), 0);
}

/* What the kernels hold when all is well; HTB's rate is rounded up to a whole byte. */
static void kernels_good(void)
{
	const struct observation label = { .label = 77,
					   .label_present = true,
					   .rate = { { 22000000 }, { 22000000 } } };

	for (size_t i = 0; i < ARRAY_LEN(kernels); i++) {
		kernels[i].dead = false;
		kernels[i].o = label;
	}
	for (size_t i = 0; i < ARRAY_LEN(kernels); i += 2) {
		struct observation *o = &kernels[i].o;

		o->path[DIR_UP] = 1;
		o->n_classes = 1;
		o->cls[0] =
			(struct observed_class){ .device = { "coreb" },
						 .minor = 0x101,
						 .rate = { 20000008 },
						 .ceil = { 20000008 },
						 .dir = DIR_DOWN,
						 .by = "htb",
						 .rule = "shaper = auto: the first that is here",
						 .refused = "edt: no fq" };
	}
	kernels[1].o.n_rules = kernels[2].o.n_rules = 1;
}

static void test_operator(void **state)
{
	(void)state;
	kernels_good();
	clean("agr-1", 6);
	clean("ord-1", 6);
	kernels[0].o.path[DIR_UP] = 2;
	broken("agr-1", "popA", "steer up");
	kernels_good();
	kernels[0].o.cls[0].rate.bps -= 8;
	broken("agr-1", "popA", "class coreb 54:101");
	kernels_good();
	kernels[0].o.cls[0].ceil.bps *= 2;
	broken("agr-1", "popA", "class coreb 54:101");
	kernels_good();
	kernels[0].o.n_classes = 0;
	broken("agr-1", "popA", "class coreb 54:101");
	kernels_good();
	kernels[1].o.rate[DIR_DOWN].bps = 0;
	broken("agr-1", "popB", "label 77");
	kernels_good();
	kernels[1].o.label_present = false;
	broken("agr-1", "popB", "label 77");
	kernels_good();
	kernels[1].o.n_rules = 0;
	broken("agr-1", "popB", "rules");
	kernels_good();
	kernels[0].o.n_rules = 3; /* rules of ours where none is wanted */
	broken("agr-1", "popA", "rules");
	kernels_good();
	kernels[1].o.cls[kernels[1].o.n_classes++] =
		(struct observed_class){ .device = { "old0" } };
	broken("agr-1", "popB", "class old0 54:0");
}

static json_t *check_of(const char *object)
{
	json_t *row, *found = NULL;
	size_t i;

	json_array_foreach (json_object_get(answer, "checks"), i, row)
		if (!strcmp(json_string_value(json_object_get(row, "object")), object) && !found)
			found = row;
	assert_non_null(found);
	return found;
}

static void assert_said(const json_t *row, const char *name, const char *want)
{
	const char *s = json_string_value(json_object_get(row, name));

	assert_non_null(s);
	assert_string_equal(s, want);
}

/* Which back end holds the rate, in which direction, by which rule, and which were not taken. */
static void test_holders(void **state)
{
	json_t *row;

	(void)state;
	kernels_good();
	clean("agr-1", 6);
	row = check_of("class coreb 54:101");
	assert_said(row, "dir", "down");
	assert_said(row, "by", "htb");
	assert_said(row, "rule", "shaper = auto: the first that is here");
	assert_said(row, "refused", "edt: no fq");
	row = check_of("label 77");
	assert_said(row, "by", "meter");
	assert_said(row, "dir", "both");
	assert_null(json_object_get(check_of("steer up"), "by"));
}

/* Silence is a difference, never a pass. */
static void test_silent(void **state)
{
	json_t *first;
	size_t bad;

	(void)state;
	kernels_good();
	kernels[0].dead = true;
	broken("agr-1", "popA", "node");
	kernels[1].dead = true;
	assert_false(verify("agr-1", &bad, &first));
	assert_int_equal(bad, 2);
}

/* A plan that failed was rolled back: nothing of it is wanted. */
static void test_failed_plan(void **state)
{
	struct cap_bss_negotiation neg = { lab.side.engine };
	struct cap_oss_planning pl = { lab.side.engine };
	const struct deal *d = world_deal(engine_world(lab.side.engine), &(ident_t){ "agr-1" });
	struct order o = { .id = { "ord-2" }, .lineage = { "agr-1" }, .rev = 1, .label = 77 };
	struct plan p = plan_of("pln-2");
	struct step other = steer_step;

	(void)state;
	assert_non_null(d);
	o.agreement_digest = d->cur.digest;
	p.order = o.id;
	other.path = 3;
	plan_add(&p, "popA", &other);
	assert_int_equal(tool_order_emit(&neg, &o, NULL, NULL), REFUSE_NONE);
	assert_int_equal(tool_plan_commit(&pl, &p, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	kernels_good();
	clean("agr-1", 6);
}

/* The enterprise's edge: the node's own steps, its own enforcer. */
static void test_edge(void **state)
{
	struct cap_node node = { lab.side.engine };
	struct msg_client enforcer = { .fd = -1 };
	struct plan p = plan_of("pln-1");

	(void)state;
	plan_add(&p, "enterprise-x", &class_step);
	plan_add(&p, "enterprise-x", &label_step);
	plan_add(&p, "enterprise-x", &steer_step);
	plan_add(&p, "enterprise-x", &rule_step);
	assert_int_equal(tool_step_apply(&node, &p, NULL, NULL), REFUSE_NONE);
	assert_int_equal(engine_turn(lab.side.engine), 0);
	kernels_good();
	broken("agr-1", "enterprise-x", "node"); /* no enforcer at all */
	lab.side.enforcer = &enforcer;
	clean("agr-1", 4);
	kernels[2].o.path[DIR_UP] = 0;
	broken("agr-1", "enterprise-x", "steer up");
	kernels_good();
	kernels[2].dead = true;
	broken("agr-1", "enterprise-x", "node");
	lab.side.enforcer = NULL;
}

static void reopen(void (*walk)(void))
{
	lab.side.engine = engine_free(lab.side.engine);
	lab.store = store_free(lab.store);
	if (*lab.dir)
		assert_int_equal(nftw(lab.dir, lab_rm, 8, FTW_DEPTH | FTW_PHYS), 0);
	lab_dir(&lab);
	lab_open(&lab);
	walk();
}

static void enterprise_walk(void)
{
	lab_walk(&lab);
}

static int as_operator(void **state)
{
	(void)state;
	reopen(operator_walk);
	return 0;
}

static int as_enterprise(void **state)
{
	(void)state;
	reopen(enterprise_walk);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	lab_dir(&lab);
	lab_open(&lab);
	lab_serve(&lab, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(answer);
	lab_drop(&lab);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_operator, as_operator),
		cmocka_unit_test_setup(test_holders, as_operator),
		cmocka_unit_test_setup(test_silent, as_operator),
		cmocka_unit_test_setup(test_failed_plan, as_operator),
		cmocka_unit_test_setup(test_edge, as_enterprise),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
