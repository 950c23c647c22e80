/* SPDX-License-Identifier: Apache-2.0 */
/* What this node's kernel holds of ours: all of it (dump), beside what is committed (check), and
 * without what nobody wants (gc). */
#include "agent/codec/noun.h"
#include "agent/enforcer/client.h"
#include "node_int.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>

static const char *const state_name[] = { "ok", "missing", "differs", "orphan", "foreign" };

struct report {
	json_t *rows;
	bool all; /* also what is as it should be */
	uint32_t wrong;
};

static int row(struct report *r, enum audit_state state, const char *kind, const char *text,
	       const char *why)
{
	bool bad = state != AUDIT_OK && state != AUDIT_FOREIGN;

	r->wrong += bad;
	if (!bad && state == AUDIT_OK && !r->all)
		return 0;
	return json_array_append_new(r->rows,
				     json_pack("{s:s, s:s, s:s, s:s}", "state", state_name[state],
					       "kind", kind, "object", text, "why", why))
		       ? -ENOMEM
		       : 0;
}

/* --- what steps speak of -----------------------------------------------------------------------
 */

static const char *step_text(const struct step *s, char buf[96])
{
	switch (s->kind) {
	case STEP_LABEL_SET: (void)snprintf(buf, 96, "%u", s->label); return "label";
	case STEP_CLASS_SET:
		(void)snprintf(buf, 96, "%.31s 54:%x", s->device.s, s->minor);
		return "class";
	case STEP_RULE_SET:
		if (s->rule.cgroup) {
			(void)snprintf(buf, 96, "%u: cgroup of class %u to %u", s->rule.id,
				       s->rule.class_id, s->rule.label);
			return "flow rule";
		}
		(void)snprintf(buf, 96, s->rule.label_in ? "%u: label %u to %u" : "%u", s->rule.id,
			       s->rule.label_in, s->rule.label);
		return "flow rule";
	case STEP_CEILING_SET: (void)snprintf(buf, 96, "%u", s->ceiling); return "ceiling";
	default:
		(void)snprintf(buf, 96, "label %u %s path %u", s->label, s->dir ? "down" : "up",
			       s->path);
		return "steering";
	}
}

/* Every committed step, asked of the enforcer without changing anything. */
static int committed(struct side *s, struct report *r, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	auto_free struct enforcer_receipt *p = calloc(w->n_wanted + 1, sizeof(*p));
	auto_free struct step *step = calloc(w->n_wanted + 1, sizeof(*step));
	uint32_t n = 0;
	int err;

	if (!p || !step)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < w->n_wanted; i++)
		if (wanted_now(w, &w->wanted[i].step))
			step[n++] = w->wanted[i].step;
	err = n ? enforcer_steps_check(s->enforcer, step, n, p, e) : 0;
	for (uint32_t i = 0; !err && i < n; i++) {
		char text[96];
		const char *kind = step_text(&step[i], text);
		bool absent = strstr(p[i].why.s, "absent") != NULL;

		err = row(r,
			  p[i].refusal == REFUSE_NONE ? AUDIT_OK
			  : absent                    ? AUDIT_MISSING
						      : AUDIT_DIFFERS,
			  kind, text, p[i].why.s);
	}
	return err;
}

/* Label lines, ceilings and rules that no committed step asks for; classes are among the findings.
 */
static int held(struct side *s, struct report *r, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	struct enforcer_cursor at = { 0 };
	struct enforcer_held h;
	int err;

	do {
		err = enforcer_held(s->enforcer, &at, &h, e);
		for (uint32_t i = 0; !err && i < h.n; i++) {
			const struct enforcer_object *o = &h.obj[i];
			char text[96];

			if (object_wanted(w, o) || o->kind == STEP_CLASS_DEL)
				continue;
			(void)snprintf(text, sizeof(text), "%u", o->id);
			err = row(r, AUDIT_ORPHAN,
				  o->kind == STEP_RULE_DEL      ? "flow rule"
				  : o->kind == STEP_CEILING_DEL ? "ceiling"
								: "label",
				  text, "");
		}
		at = h.next;
	} while (!err && !h.done);
	return err;
}

static int findings(struct side *s, struct report *r, struct err *e)
{
	auto_free struct enforcer_findings *f = calloc(1, sizeof(*f));
	int err = f ? 0 : err_set(e, -ENOMEM, "out of memory");

	while (!err) {
		uint32_t from = f->next;

		memset(f, 0, sizeof(*f));
		err = enforcer_findings(s->enforcer, from, f, e);
		for (uint32_t i = 0; !err && i < f->n; i++)
			err = row(r, (enum audit_state)(f->finding[i].state % 5),
				  f->finding[i].kind, f->finding[i].text, "");
		if (!f->more)
			break;
	}
	return err;
}

static int report(struct side *s, bool all, struct mcp_turn *t, struct err *e)
{
	struct report r = { .rows = json_array(), .all = all };
	int err;

	if (!s->enforcer || !(s->cfg->daemon.roles & ROLE_NODE)) {
		json_decref(r.rows);
		return err_set(e, -EOPNOTSUPP, "this daemon is no node");
	}
	err = findings(s, &r, e);
	err = err ? err : committed(s, &r, e);
	err = err ? err : held(s, &r, e);
	if (err) {
		json_decref(r.rows);
		return err;
	}
	return query_answer(t,
			    json_pack("{s:b, s:I, s:o}", "ok", r.wrong == 0, "wrong",
				      (json_int_t)r.wrong, "objects", r.rows),
			    e);
}

static int on_dump(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)args;
	(void)key;
	return report(s, true, t, e);
}

static int on_check(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)args;
	(void)key;
	return report(s, false, t, e);
}

static int on_gc(struct side *s, const struct peer *p, const json_t *args, const char *key,
		 struct mcp_turn *t, struct err *e)
{
	struct enforcer_gc gc = { 0 };
	uint32_t gone = 0;
	int r = s->node ? 0 : err_set(e, -EOPNOTSUPP, "this daemon is no node");

	(void)p;
	(void)args;
	(void)key;
	r = r ? r : wanted_collect(s->node, &gone, e);
	r = r ? r : enforcer_gc(s->enforcer, &gc, e);
	if (r)
		return r;
	return query_answer(t,
			    json_pack("{s:I, s:I, s:I, s:I, s:I}", "steps", (json_int_t)gone,
				      "ports", (json_int_t)gc.ports, "classes",
				      (json_int_t)gc.classes, "queues", (json_int_t)gc.queues,
				      "routes", (json_int_t)gc.routes),
			    e);
}

#define NOTHING "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"

const struct mcp_row query_rows_dataplane[] = {
	{ "dataplane_dump", "Data plane, all",
	  "Everything of ours in this node's kernel, and whether it is as it should be",
	  .input_schema = NOTHING, .read_only = true, .idempotent = true,
	  .who = WHO_HUMAN | WHO_APP, .call = on_dump },
	{ "dataplane_check", "Data plane, checked",
	  "What of this node's kernel is not as committed; nothing is changed",
	  .input_schema = NOTHING, .read_only = true, .idempotent = true,
	  .who = WHO_HUMAN | WHO_APP, .call = on_check },
	{ "dataplane_gc", "Data plane, cleaned",
	  "Takes away what is ours in this node's kernel and nobody wants", .input_schema = NOTHING,
	  .idempotent = true, .who = WHO_HUMAN, .call = on_gc },
	{ 0 },
};
