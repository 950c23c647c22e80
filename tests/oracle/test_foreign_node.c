/* SPDX-License-Identifier: Apache-2.0 */
/* The node's tools over the real MCP core and a real kernel, mutated (foreign.h): step_apply,
 * node_observe, telemetry_read; then the unmutated twin. */
#include "node_rig.h"

#include "agent/codec/json.h"
#include "tests/unit/foreign.h"

static struct {
	char *body;
	unsigned replies;
} got;

struct tool {
	const char *name;
	struct still before;
};

static void on_raw(void *to, const struct wire_response *r)
{
	(void)to;
	free(got.body);
	got.body = strndup(r->body ? r->body : "", r->len);
	got.replies++;
	loop_stop(side.loop, 0);
}

static json_t *ask(const char *name, const char *args)
{
	got.replies = 0;
	foreign_mcp(mcp, name, args, (struct wire_sink){ .fn = on_raw });
	assert_int_equal(engine_turn(side.engine), 0);
	if (!got.replies)
		(void)turn(5000);
	return got.replies == 1 ? json_loads(got.body, 0, NULL) : NULL;
}

static void on_mutant(void *arg, const char *what, const char *text)
{
	struct tool *x = arg;
	auto_json json_t *answer = ask(x->name, text);
	const char *why = refusal_in(answer);
	const char *broken = still_broken(&x->before, engine_world(side.engine), state_dir);

	if (!answer)
		wrong(x->name, what, "silence", NULL);
	else if (!why)
		wrong(x->name, what, "not refused", got.body);
	else if (!names_rule(why))
		wrong(x->name, what, "names nothing", why);
	if (!broken)
		return;
	wrong(x->name, what, broken, why);
	still_free(&x->before);
	x->before = still_of(engine_world(side.engine), state_dir);
}

/* args is stolen; afterwards they are said as they are. */
static void mutate_args(const char *name, json_t *args, const char *const *legal, unsigned least)
{
	struct tool x = { name, still_of(engine_world(side.engine), state_dir) };
	struct mutants m = { .root = args, .skip = legal, .fn = on_mutant, .arg = &x };
	auto_free char *text = json_dumps(args, JSON_COMPACT);
	auto_json json_t *answer = NULL;
	char *was = host();
	char *is;

	mutate_root(&m);
	mutate(&m, m.root, "");
	is = host();
	assert_string_equal(was, is); /* nor did the kernel move */
	free(was);
	free(is);
	still_free(&x.before);
	foreign_done(name, m.n, least);
	answer = ask(name, text);
	if (!json_object_get(json_object_get(answer, "result"), "structuredContent"))
		fail_msg("%s: the twin: %s", name, got.body);
	json_decref(m.root);
}

static void test_tools(void **st)
{
	/* A shorter plan, a plan of nobody's order, a step for whoever gets it, what this kind of
	 * step does not read; and a device that is not there, which the step's receipt refuses. */
	static const char *const legal[] = { "plan.order empty",
					     "plan.lineage empty",
					     "plan.step[0] missing",
					     "plan.step[1] missing",
					     "plan.step[0].node empty",
					     "plan.step[1].node empty",
					     "plan.step[0].step.device empty",
					     "plan.step[1].step.device empty",
					     "plan.step[0].step.in_up empty",
					     "plan.step[0].step.in_down empty",
					     "plan.step[1].step.in_up empty",
					     "plan.step[1].step.in_down empty",
					     NULL };
	static const char *const none[] = { "body empty object", NULL };
	struct plan p = { .id = { "pln-1" }, .lineage = { "agr-1" }, .rev = 1 };
	struct step l = label_step(21);

	(void)st;
	(void)add_plan;
	l.minor = 0x110;
	add(&p, class_step(21, 0x110, 20 * MBIT));
	add(&p, l);
	(void)turn(100);
	mutate_args("step_apply", json_pack("{s:o}", "plan", noun_encode(&plan_fields, &p)), legal,
		    20);
	mutate_args("node_observe", json_pack("{s:i}", "label", 21), NULL, 20);
	mutate_args("telemetry_read", json_object(), none, 9);
	free(got.body);
	printf("foreign: %u cases for the node\n", foreign_total);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tools, setup, teardown),
	};

	log_init("agents", LOG_LEVEL_ERROR);
	return crypto_init() || rig_run(tests);
}
