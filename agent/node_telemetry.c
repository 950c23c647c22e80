/* SPDX-License-Identifier: Apache-2.0 */
/* The node over MCP: step_apply, telemetry_read, node_observe. */
#include "codec/json.h"
#include "codec/noun.h"
#include "mcp_table.h"
#include "node_int.h"

#include <errno.h>

static int add(json_t *to, const struct field_table *t, const void *obj)
{
	return json_array_append_new(to, noun_encode(t, obj)) ? -ENOMEM : 0;
}

/* --- step_apply --------------------------------------------------------------------------------
 */

static void on_applied(void *arg, enum refusal r, const char *why, const struct step_receipt *rec,
		       size_t n)
{
	struct mcp_turn *t = arg;
	json_t *list = json_array(), *js;
	int err = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		err = add(list, &step_receipt_fields, &rec[i]);
	js = json_pack("{s:o}", "receipts", list);
	if (!n)
		mcp_refuse(t, r, why);
	else if (err || !js)
		mcp_turn_fail(t, MCP_E_INTERNAL, "out of memory");
	else
		mcp_turn_result(t, js);
	json_decref(js);
}

static int check_plan(const struct side *s, const struct plan *p, struct err *e)
{
	if (p->n_steps == 0)
		return err_set(e, -EINVAL, "plan.step: must not be empty");
	if (ident_empty(p->id))
		return err_set(e, -EINVAL, "plan.id: must not be empty");
	for (uint16_t i = 0; i < p->n_steps; i++) {
		const struct plan_step *x = &p->step[i];

		if (x->node.s[0] && strcmp(x->node.s, s->cfg->daemon.name) != 0)
			return err_set(e, -EINVAL, "plan.step[%u].node: is for %s, not for %s", i,
				       x->node.s, s->cfg->daemon.name);
		if (x->step.wait_ms < 0 || x->step.valid_until.ms < 0)
			return err_set(e, -EINVAL,
				       "plan.step[%u].step: wait_ms, valid_until: 0 or more", i);
	}
	return 0;
}

static int call_step_apply(struct side *s, const struct peer *p, const json_t *args,
			   const char *key, struct mcp_turn *t, struct err *e)
{
	const json_t *js = json_object_get(args, "plan");
	struct plan plan;
	int r;

	(void)p;
	(void)key; /* the plan's own numbers make it idempotent */
	if (!js || json_object_size(args) != 1)
		return err_set(e, -EINVAL, "plan: must be given, and nothing else");
	r = noun_decode(&plan_fields, js, &plan, e);
	r = r ? r : check_plan(s, &plan, e);
	return r ? r : batch_start(s->node, &plan, on_applied, t, e);
}

/* --- telemetry_read ----------------------------------------------------------------------------
 */

static int add_labels(struct side *s, json_t *to)
{
	struct label_sample x;
	uint32_t at = 0, label;
	int r = 0;

	while (!r && counters_next(s->node->counters, &at, &label))
		if (!node_label_sample(s, label, &x))
			r = add(to, &label_sample_fields, &x);
	return r;
}

/* As it left: between the first node's and the last one's egress lies the network. */
static int add_marks(struct side *s, json_t *to)
{
	struct mark_sample x;
	uint32_t at = 0, label;
	int r = 0;

	while (!r && counters_next(s->node->counters, &at, &label))
		for (int dir = 0; !r && dir < DIR_MAX_; dir++)
			if (!node_mark(s, label, (enum dir)dir, DP_MARK_OUT, &x))
				r = add(to, &mark_sample_fields, &x);
	return r;
}

static int add_paths(struct side *s, json_t *to)
{
	struct path_sample x;
	int r = 0;

	for (uint32_t i = 0; i < s->cfg->paths && !r; i++)
		if (!node_path_sample(s, (uint8_t)s->cfg->path[i].id, &x))
			r = add(to, &path_sample_fields, &x);
	return r;
}

static int add_classes(struct side *s, json_t *to)
{
	struct class_sample x;
	int r = 0;

	for (uint32_t i = 0; i < s->cfg->classes && !r; i++)
		if (!node_class_sample(s, (uint8_t)s->cfg->class[i].id, &x))
			r = add(to, &class_sample_fields, &x);
	return r;
}

static int call_telemetry_read(struct side *s, const struct peer *p, const json_t *args,
			       const char *key, struct mcp_turn *t, struct err *e)
{
	json_t *labels = json_array(), *paths = json_array(), *classes = json_array(), *js;
	json_t *marks = json_array();
	struct mark_clock clock;
	int r = json_only(args, "", e, NULL, NULL);

	(void)p;
	(void)key;
	if (!r && (!labels || !paths || !classes || !marks))
		r = err_set(e, -ENOMEM, "out of memory");
	r = r ? r : add_labels(s, labels);
	r = r ? r : add_paths(s, paths);
	r = r ? r : add_classes(s, classes);
	r = r ? r : add_marks(s, marks);
	node_clock(s, &clock);
	js = json_pack("{s:o,s:o,s:o,s:o,s:o,s:I}", "labels", labels, "paths", paths, "classes",
		       classes, "marks", marks, "clock", noun_encode(&mark_clock_fields, &clock),
		       "mono", (json_int_t)loop_now(s->loop).us);
	if (!r && js)
		mcp_turn_result(t, js);
	else if (!e->code)
		r = err_set(e, -ENOMEM, "out of memory");
	json_decref(js);
	return r;
}

/* --- node_observe ------------------------------------------------------------------------------
 */

static int call_node_observe(struct side *s, const struct peer *p, const json_t *args,
			     const char *key, struct mcp_turn *t, struct err *e)
{
	struct observation o;
	int64_t label;
	json_t *js;
	int r = json_only(args, "", e, "label", NULL);

	(void)p;
	(void)key;
	if (!r)
		r = json_need_int(args, "", "label", 1, LABEL_MAX, &label, e);
	if (!r)
		r = node_observation(s, (uint32_t)label, &o, e);
	if (r)
		return r;
	js = noun_encode(&observation_fields, &o);
	if (!js)
		return err_set(e, -ENOMEM, "out of memory");
	mcp_turn_result(t, js);
	json_decref(js);
	return 0;
}

/* --- the rows ----------------------------------------------------------------------------------
 */

static struct mcp_row rows[] = {
	{ .name = "step_apply",
	  .title = "Apply steps",
	  .help = "Applies ordered, idempotent steps of a plan to this node's kernel, reads each "
		  "back, and answers one receipt a step; behind a refused step none is tried.",
	  .idempotent = true,
	  .destructive = true,
	  .who = WHO_OSS | WHO_HUMAN,
	  .call = call_step_apply },
	{ .name = "telemetry_read",
	  .title = "Read telemetry",
	  .help = "Running totals of labels and classes, the last window of every path, and the "
		  "last finished block of every coloured label (RFC 9341).",
	  .read_only = true,
	  .idempotent = true,
	  .who = WHO_OSS | WHO_HUMAN,
	  .call = call_telemetry_read },
	{ .name = "node_observe",
	  .title = "Observe a label",
	  .help = "What this node's kernel holds for a label, read back now.",
	  .input_schema = "{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"integer\","
			  "\"minimum\":1,\"maximum\":1048575}},\"required\":[\"label\"],"
			  "\"additionalProperties\":false}",
	  .read_only = true,
	  .idempotent = true,
	  .who = WHO_OSS | WHO_HUMAN,
	  .call = call_node_observe },
};

static char *plan_schema(void)
{
	json_t *js =
		json_pack("{s:s,s:{s:o},s:[s],s:b}", "type", "object", "properties", "plan",
			  noun_schema(&plan_fields), "required", "plan", "additionalProperties", 0);
	char *text = json_text_new(js);

	json_decref(js);
	return text;
}

int telemetry_rows(struct err *e)
{
	int r = 0;

	if (rows[0].input_schema)
		return 0; /* the table keeps rows for ever */
	rows[0].input_schema = plan_schema();
	if (!rows[0].input_schema)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(rows) && !r; i++)
		r = mcp_table_add(&rows[i], e);
	return r;
}
