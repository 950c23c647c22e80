/* SPDX-License-Identifier: Apache-2.0 */
/* The node over MCP: step_apply, telemetry_read, node_observe. */
#include "codec/batch.h"
#include "codec/json.h"
#include "codec/noun.h"
#include "mcp_table.h"
#include "node_int.h"

#include <errno.h>

#define PAGE_MAX 4096 /* labels; some 600 kB, where a client takes 1 MiB */

static int add(json_t *to, const struct field_table *t, const void *obj)
{
	return json_array_append_new(to, noun_encode(t, obj)) ? -ENOMEM : 0;
}

/* --- step_apply --------------------------------------------------------------------------------
 */

static void on_step(void *arg, size_t done, size_t n)
{
	mcp_turn_progress(arg, (double)done, (double)n, "steps applied");
}

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
	return r ? r : batch_start(s->node, &plan, on_step, on_applied, t, e);
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

/* A page of labels with their marks, as batches (docs/telemetry-batch.md). */
struct page {
	uint32_t at, limit; /* where it begins and, afterwards, ends; labels */
	struct batch *labels, *marks;
};

static int page_marks(struct side *s, struct page *pg, uint32_t label)
{
	struct mark_sample x;
	int r = 0;

	for (int dir = 0; !r && dir < DIR_MAX_; dir++)
		if (!node_mark(s, label, (enum dir)dir, DP_MARK_OUT, &x))
			r = batch_add(pg->marks, &x);
	return r;
}

static int page_fill(struct side *s, struct page *pg, struct err *e)
{
	struct label_sample x;
	uint32_t label;
	int r = batch_new(&pg->labels, "label", &label_sample_fields, e);

	r = r ? r : batch_new(&pg->marks, "mark", &mark_sample_fields, e);
	while (!r && batch_rows(pg->labels) < pg->limit &&
	       counters_next(s->node->counters, &pg->at, &label)) {
		if (!node_label_sample(s, label, &x))
			r = batch_add(pg->labels, &x);
		r = r ? r : page_marks(s, pg, label);
	}
	return r;
}

/* Members labels and marks, and next when there are more. */
static int add_page(struct side *s, struct page *pg, json_t *to, struct err *e)
{
	uint32_t more, label;
	int r = page_fill(s, pg, e);

	more = pg->at;
	if (!r && (json_object_set_new(to, "labels", batch_json(pg->labels)) ||
		   json_object_set_new(to, "marks", batch_json(pg->marks)) ||
		   (counters_next(s->node->counters, &more, &label) &&
		    json_object_set_new(to, "next", json_integer(pg->at)))))
		r = -ENOMEM;
	pg->labels = batch_free(pg->labels);
	pg->marks = batch_free(pg->marks);
	return r;
}

static int add_rows(struct side *s, json_t *to)
{
	json_t *labels = json_array(), *marks = json_array();
	int r = json_object_set_new(to, "labels", labels) || json_object_set_new(to, "marks", marks)
			? -ENOMEM
			: 0;

	r = r ? r : add_labels(s, labels);
	return r ? r : add_marks(s, marks);
}

static int add_tables(struct side *s, json_t *to)
{
	struct enforcer_tables t = { 0 };
	int r = enforcer_tables(s->enforcer, &t, NULL);

	for (uint32_t i = 0; i < t.n && !r; i++)
		r = add(to, &table_use_fields, &t.table[i]);
	return r;
}

/* Paths that leave by a device here, onto which this node leads no IPv4. */
static int add_no_v4(struct side *s, json_t *to)
{
	const struct config *c = s->cfg;

	for (uint32_t i = 0; i < c->paths; i++)
		if (c->path[i].device[0] && c->path[i].v4_prefix.family != 4 &&
		    json_array_append_new(to, json_integer(c->path[i].id)))
			return -ENOMEM;
	return 0;
}

static int add_others(struct side *s, json_t *to)
{
	json_t *paths = json_array(), *classes = json_array(), *tables = json_array(),
	       *no_v4 = json_array();
	struct mark_clock clock;
	int r;

	node_clock(s, &clock);
	r = json_object_set_new(to, "paths", paths) ||
			    json_object_set_new(to, "classes", classes) ||
			    json_object_set_new(to, "tables", tables) ||
			    json_object_set_new(to, "noIpv4", no_v4) ||
			    json_object_set_new(to, "clock",
						noun_encode(&mark_clock_fields, &clock)) ||
			    json_object_set_new(to, "mono", json_integer(loop_now(s->loop).us))
		    ? -ENOMEM
		    : 0;
	r = r ? r : add_paths(s, paths);
	r = r ? r : add_tables(s, tables);
	r = r ? r : add_no_v4(s, no_v4);
	return r ? r : add_classes(s, classes);
}

static int call_telemetry_read(struct side *s, const struct peer *p, const json_t *args,
			       const char *key, struct mcp_turn *t, struct err *e)
{
	int64_t after = 0, limit = PAGE_MAX;
	auto_json json_t *js = json_object();
	struct page pg = { .at = 0 };
	bool batch = false;
	int r = json_only(args, "", e, "batch", "after", "limit", NULL);

	(void)p;
	(void)key;
	r = r < 0 ? r : json_opt_bool(args, "", "batch", &batch, e);
	r = r < 0 ? r : json_opt_int(args, "", "after", 0, UINT32_MAX, &after, e);
	r = r < 0 ? r : json_opt_int(args, "", "limit", 1, PAGE_MAX, &limit, e);
	if (r < 0)
		return r;
	pg.at = (uint32_t)after;
	pg.limit = (uint32_t)limit;
	r = js ? 0 : -ENOMEM;
	if (!r)
		r = batch ? add_page(s, &pg, js, e) : add_rows(s, js);
	r = r ? r : add_others(s, js);
	if (!r)
		mcp_turn_result(t, js);
	else if (!e->code)
		r = err_set(e, r, "telemetry: %s", strerror(-r));
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
	  .slow = true,
	  .call = call_step_apply },
	{ .name = "telemetry_read",
	  .title = "Read telemetry",
	  .help = "Running totals of labels and classes, the last window of every path, how "
		  "full each table is, and the "
		  "last finished block of every coloured label (RFC 9341). batch: labels and "
		  "blocks "
		  "as one member each, a page at a time; next is the following page's after.",
	  .input_schema = "{\"type\":\"object\",\"properties\":{\"batch\":{\"type\":\"boolean\"},"
			  "\"after\":{\"type\":\"integer\",\"minimum\":0},"
			  "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":4096}},"
			  "\"additionalProperties\":false}",
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
