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

/* A node's kernel may hold a million labels: a page has what one turn of the loop can ask for. */
enum part { FINDINGS, STEPS, HELD, PARTS };
static const char *const part_name[] = { "findings", "steps", "held" };
enum { PAGE_FINDINGS = 2, PAGE_STEPS = 500, PAGE_HELD = 8 }; /* messages, steps, messages */

struct report {
	json_t *rows;
	bool all; /* also what is as it should be */
	uint32_t wrong;
	int64_t at; /* where in its part the next page begins */
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

/* Committed steps, asked of the enforcer without changing anything. 1: there are more. */
static int committed(struct side *s, struct report *r, struct err *e)
{
	const struct world *w = engine_world(s->engine);
	auto_free struct enforcer_receipt *p = calloc(PAGE_STEPS, sizeof(*p));
	auto_free struct step *step = calloc(PAGE_STEPS, sizeof(*step));
	uint32_t n = 0;
	int err;

	if (!p || !step)
		return err_set(e, -ENOMEM, "out of memory");
	for (; r->at < w->n_wanted && n < PAGE_STEPS; r->at++)
		if (wanted_now(w, &w->wanted[r->at].step))
			step[n++] = w->wanted[r->at].step;
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
	return err ? err : r->at < w->n_wanted;
}

/* Label lines, ceilings and rules that no committed step asks for; classes are among the findings.
 */
static int held_rows(const struct world *w, struct report *r, const struct enforcer_held *h)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < h->n; i++) {
		const struct enforcer_object *o = &h->obj[i];
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
	return err;
}

/* The enforcer's cursor as one number, and back. */
static int64_t cursor_number(const struct enforcer_cursor *c)
{
	return (int64_t)c->kind << 48 | (int64_t)c->a << 16 | (c->b & 0xffff);
}

static struct enforcer_cursor cursor_of(int64_t n)
{
	return (struct enforcer_cursor){ (uint32_t)(n >> 48), (uint32_t)(n >> 16),
					 (uint32_t)(n & 0xffff) };
}

static int held(struct side *s, struct report *r, struct err *e)
{
	struct enforcer_cursor at = cursor_of(r->at);
	struct enforcer_held h = { 0 };
	int err = 0;

	for (int i = 0; !err && !h.done && i < PAGE_HELD; i++) {
		err = enforcer_held(s->enforcer, &at, &h, e);
		err = err ? err : held_rows(engine_world(s->engine), r, &h);
		at = h.next;
	}
	r->at = cursor_number(&at);
	return err ? err : !h.done;
}

static int findings(struct side *s, struct report *r, struct err *e)
{
	auto_free struct enforcer_findings *f = calloc(1, sizeof(*f));
	int err = f ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (int k = 0; !err && k < PAGE_FINDINGS && (!k || f->more); k++) {
		memset(f, 0, sizeof(*f));
		err = enforcer_findings(s->enforcer, (uint32_t)r->at, f, e);
		for (uint32_t i = 0; !err && i < f->n; i++)
			err = row(r, (enum audit_state)(f->finding[i].state % 5),
				  f->finding[i].kind, f->finding[i].text, "");
		r->at = f->next;
	}
	return err ? err : f->more > 0;
}

/* One page, of one part; with which part the next one goes on, PARTS: with none. */
static int page(struct side *s, int part, struct report *r, struct err *e)
{
	static int (*const of[])(struct side * s, struct report * r, struct err * e) = {
		[FINDINGS] = findings, [STEPS] = committed, [HELD] = held
	};
	int err = of[part](s, r, e);

	return err < 0 ? err : err ? part : part + 1;
}

static int report(struct side *s, const json_t *args, bool all, struct mcp_turn *t, struct err *e)
{
	struct report r = { .all = all };
	int part = query_part(args, part_name, PARTS, &r.at, NULL, e), next;
	json_t *o;

	if (part < 0)
		return part;
	if (!s->enforcer || !(s->cfg->daemon.roles & ROLE_NODE))
		return err_set(e, -EOPNOTSUPP, "this daemon is no node");
	r.rows = json_array();
	next = page(s, part, &r, e);
	if (next != part)
		r.at = 0;
	if (next < 0) {
		json_decref(r.rows);
		return next;
	}
	o = json_pack("{s:b, s:I, s:o}", "ok", r.wrong == 0, "wrong", (json_int_t)r.wrong,
		      "objects", r.rows);
	if (o && next < PARTS && query_part_next(o, part_name[next], r.at)) {
		json_decref(o);
		o = NULL;
	}
	return query_answer(t, o, e);
}

static int on_dump(struct side *s, const struct peer *p, const json_t *args, const char *key,
		   struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)key;
	return report(s, args, true, t, e);
}

static int on_check(struct side *s, const struct peer *p, const json_t *args, const char *key,
		    struct mcp_turn *t, struct err *e)
{
	(void)p;
	(void)key;
	return report(s, args, false, t, e);
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

#define AFTER                                                                    \
	"{\"type\":\"object\",\"properties\":{\"after\":{\"type\":\"string\"}}," \
	"\"additionalProperties\":false}"
#define NOTHING "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"

const struct mcp_row query_rows_dataplane[] = {
	{ "dataplane_dump", "Data plane, all",
	  "Everything of ours in this node's kernel, and whether it is as it should be, page by "
	  "page",
	  .input_schema = AFTER, .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP,
	  .call = on_dump },
	{ "dataplane_check", "Data plane, checked",
	  "What of this node's kernel is not as committed, page by page; nothing is changed",
	  .input_schema = AFTER, .read_only = true, .idempotent = true, .who = WHO_HUMAN | WHO_APP,
	  .call = on_check },
	{ "dataplane_gc", "Data plane, cleaned",
	  "Takes away what is ours in this node's kernel and nobody wants", .input_schema = NOTHING,
	  .idempotent = true, .who = WHO_HUMAN, .call = on_gc },
	{ 0 },
};
