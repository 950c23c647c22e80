/* SPDX-License-Identifier: Apache-2.0 */
/* verify: what the log says every node should hold for an agreement, beside what its kernel says it
 * holds. The operator asks the nodes of the path; a node (and the enterprise's edge) asks its own
 * enforcer. Nothing is repaired here: a difference is told. */
#include "agent/codec/event_json.h"
#include "agent/codec/noun.h"
#include "agent/enforcer/client.h"
#include "agent/peer.h"
#include "agent/store/store.h"
#include "log_scan.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>

#define WANT_MAX 256

struct want {
	name_t node;
	struct step step;
};

struct verifying {
	struct side *side;
	struct mcp_turn *turn;
	ident_t lineage;
	uint32_t label;
	json_t *checks;
	bool ok;
	unsigned waiting; /* nodes that have not answered */
	uint32_t n;
	struct want want[WANT_MAX];
	/* while the log goes by: the plan that may still fail */
	struct plan plan;
	bool open;
};

struct asked {
	struct verifying *v;
	name_t node;
};

/* --- what is wanted ----------------------------------------------------------------------------
 */

static void want_step(struct verifying *v, const name_t *node, const struct step *s)
{
	uint32_t i = 0;

	if (s->kind == STEP_PROBE || s->kind == STEP_WAIT)
		return;
	while (i < v->n &&
	       !(ident_eq(v->want[i].node, *node) && step_same_object(&v->want[i].step, s)))
		i++;
	if (i == WANT_MAX)
		return;
	v->n += i == v->n;
	v->want[i] = (struct want){ *node, *s };
}

/* A plan counts once its service was active: a failed one was rolled back. */
static int plan_row(void *arg, const struct store_event *row, struct err *e)
{
	struct verifying *v = arg;
	struct event *ev;
	int r;

	if (!memmem(row->body, row->len, v->lineage.s, strlen(v->lineage.s)))
		return 0;
	ev = malloc(sizeof(*ev));
	r = ev ? event_read(row->body, row->len, ev, NULL, e)
	       : err_set(e, -ENOMEM, "out of memory");
	if (!r && ev->kind == EV_PLAN_COMMITTED && ident_eq(ev->u.plan.lineage, v->lineage)) {
		v->plan = ev->u.plan;
		v->open = true;
	} else if (!r && v->open && ev->kind == EV_SERVICE_ACTIVE &&
		   ident_eq(ev->u.ref.deal, v->lineage)) {
		for (uint16_t i = 0; i < v->plan.n_steps; i++)
			want_step(v, &v->plan.step[i].node, &v->plan.step[i].step);
		v->open = false;
	} else if (!r && ev->kind == EV_SERVICE_FAILED && ident_eq(ev->u.ref.deal, v->lineage)) {
		v->open = false;
	}
	free(ev);
	return r;
}

static void want_local(struct verifying *v, const struct world *w)
{
	name_t own = { 0 };

	str_cut(own.s, v->side->cfg->daemon.name);
	for (uint32_t i = 0; i < w->n_wanted; i++) {
		const struct step *s = &w->wanted[i].step;
		bool rule = s->kind == STEP_RULE_SET || s->kind == STEP_RULE_DEL;

		if (s->label == v->label || (rule && s->rule.label == v->label))
			want_step(v, &own, s);
	}
}

/* --- comparison --------------------------------------------------------------------------------
 */

static void check(struct verifying *v, const char *node, const char *object, const char *wanted,
		  const char *seen, bool ok)
{
	v->ok &= ok;
	(void)json_array_append_new(v->checks,
				    json_pack("{s:s, s:s, s:s, s:s, s:b}", "node", node, "object",
					      object, "wanted", wanted, "seen", seen, "ok", ok));
}

/* Of the last check: what holds the rate, in which direction, by which rule, and not what. */
static void held(struct verifying *v, const char *dir, const char *by, const char *rule,
		 const char *refused)
{
	json_t *last = json_array_get(v->checks, json_array_size(v->checks) - 1);
	json_t *more = json_pack("{s:s, s:s, s:s, s:s}", "dir", dir, "by", by, "rule", rule,
				 "refused", refused);

	(void)json_object_update(last, more);
	json_decref(more);
}

/* HTB counts whole bytes per second: a rate is rounded up to 8 bit/s. */
static uint64_t whole(rate_t r)
{
	return (r.bps + 7) & ~7ull;
}

static void check_label(struct verifying *v, const char *node, const struct step *s,
			const struct observation *o)
{
	bool want = s->kind == STEP_LABEL_SET;
	char wanted[96] = "absent", seen[128] = "absent", object[32];

	(void)snprintf(object, sizeof(object), "label %u", s->label);
	if (want)
		(void)snprintf(wanted, sizeof(wanted), "policed %llu excess %llu ceiling %u",
			       (unsigned long long)s->rate.bps, (unsigned long long)s->excess.bps,
			       s->ceiling);
	if (o->label_present)
		(void)snprintf(seen, sizeof(seen), "policed %llu/%llu excess %llu ceiling %u",
			       (unsigned long long)o->rate[DIR_UP].bps,
			       (unsigned long long)o->rate[DIR_DOWN].bps,
			       (unsigned long long)o->excess[DIR_UP].bps, o->ceiling);
	check(v, node, object, wanted, seen,
	      want == o->label_present && (!want || (o->rate[DIR_UP].bps == s->rate.bps &&
						     o->rate[DIR_DOWN].bps == s->rate.bps &&
						     o->excess[DIR_UP].bps == s->excess.bps &&
						     o->ceiling == s->ceiling)));
	if (o->label_present && o->rate[DIR_UP].bps)
		held(v, "both", "meter",
		     "police-percent: at ingress of the path's first and last node", "");
}

static void check_class(struct verifying *v, const char *node, const struct step *s,
			const struct observation *o)
{
	const struct observed_class *c = NULL;
	bool want = s->kind == STEP_CLASS_SET;
	rate_t ceil = s->ceil.bps ? s->ceil : s->rate;
	char wanted[64] = "absent", seen[64] = "absent", object[80];

	for (uint8_t i = 0; i < o->n_classes && i < DEVICES_MAX; i++)
		if (ident_eq(o->cls[i].device, s->device) && o->cls[i].minor == s->minor)
			c = &o->cls[i];
	(void)snprintf(object, sizeof(object), "class %.31s 54:%x", s->device.s, s->minor);
	if (want)
		(void)snprintf(wanted, sizeof(wanted), "%llu..%llu",
			       (unsigned long long)whole(s->rate), (unsigned long long)whole(ceil));
	if (c)
		(void)snprintf(seen, sizeof(seen), "%llu..%llu", (unsigned long long)c->rate.bps,
			       (unsigned long long)c->ceil.bps);
	check(v, node, object, wanted, seen,
	      want ? c && c->rate.bps == whole(s->rate) && c->ceil.bps == whole(ceil) : !c);
	if (c)
		held(v, c->dir == DIR_UP ? "up" : "down", c->by, c->rule, c->refused);
}

static void check_steer(struct verifying *v, const char *node, const struct step *s,
			const struct observation *o)
{
	unsigned dir = s->dir % DIR_MAX_;
	char wanted[24], seen[24];

	(void)snprintf(wanted, sizeof(wanted), "path %u", s->path);
	(void)snprintf(seen, sizeof(seen), "path %u", o->path[dir]);
	check(v, node, dir == DIR_UP ? "steer up" : "steer down", wanted, seen,
	      o->path[dir] == s->path);
}

/* Rules cannot be read back one by one: their number per label can. */
static void check_rules(struct verifying *v, const char *node, const struct observation *o)
{
	char wanted[24], seen[24];
	unsigned want = 0;

	for (uint32_t i = 0; i < v->n; i++)
		want += !strcmp(v->want[i].node.s, node) && v->want[i].step.kind == STEP_RULE_SET &&
			v->want[i].step.rule.label == o->label;
	if (!want && !o->n_rules)
		return;
	(void)snprintf(wanted, sizeof(wanted), "%u", want);
	(void)snprintf(seen, sizeof(seen), "%u", o->n_rules);
	check(v, node, "rules", wanted, seen, want == o->n_rules);
}

/* An old label of a replaced service is another observation; the live one is asked for. */
static void compare(struct verifying *v, const char *node, const struct observation *o)
{
	for (uint32_t i = 0; i < v->n; i++) {
		const struct step *s = &v->want[i].step;

		if (strcmp(v->want[i].node.s, node) != 0 || s->label != o->label)
			continue;
		switch (s->kind) {
		case STEP_LABEL_SET:
		case STEP_LABEL_DEL: check_label(v, node, s, o); break;
		case STEP_CLASS_SET:
		case STEP_CLASS_DEL: check_class(v, node, s, o); break;
		case STEP_STEER: check_steer(v, node, s, o); break;
		default: break;
		}
	}
	check_rules(v, node, o);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static struct verifying *verifying_free(struct verifying *v)
{
	if (v)
		json_decref(v->checks);
	free(v);
	return NULL;
}

static void finish(struct verifying *v)
{
	json_t *o;

	if (v->waiting)
		return;
	/* An agreement of which nothing is wanted anywhere is not verified. */
	v->ok &= json_array_size(v->checks) > 0;
	o = json_pack("{s:s, s:I, s:b, s:O}", "agreement", v->lineage.s, "label",
		      (json_int_t)v->label, "ok", v->ok, "checks", v->checks);
	if (o)
		mcp_turn_result(v->turn, o);
	else
		mcp_turn_refuse(v->turn, "out of memory");
	json_decref(o);
	verifying_free(v);
}

static void on_observed(void *arg, int err, const struct mcp_result *res, const char *why)
{
	struct asked *a = arg;
	struct verifying *v = a->v;
	struct observation o;
	struct err e = { 0 };

	if (!err && (res->code || res->is_error))
		err = err_set(&e, -EIO, "%s", res->code ? res->error : res->text);
	else if (err)
		(void)err_set(&e, err, "%s", why && *why ? why : strerror(-err));
	if (!err)
		err = noun_decode(&observation_fields, res->structured, &o, &e);
	if (err)
		check(v, a->node.s, "node", "an answer", e.text, false);
	else
		compare(v, a->node.s, &o);
	free(a);
	v->waiting--;
	finish(v);
}

static void ask_local(struct verifying *v, const char *node)
{
	struct observation o = { 0 };
	struct err e = { 0 };

	if (!v->side->enforcer)
		(void)err_set(&e, -EOPNOTSUPP, "no enforcer");
	else if (!enforcer_observe(v->side->enforcer, v->label, &o, &e)) {
		o.label = v->label;
		compare(v, node, &o);
		return;
	}
	check(v, node, "node", "an answer", e.text, false);
}

static void ask(struct verifying *v, const name_t *node)
{
	struct asked *a;
	struct err e = { 0 };
	json_t *args;

	if (!strcmp(node->s, v->side->cfg->daemon.name)) {
		ask_local(v, node->s);
		return;
	}
	a = malloc(sizeof(*a));
	args = json_pack("{s:I}", "label", (json_int_t)v->label);
	if (a)
		*a = (struct asked){ v, *node };
	if (a && args &&
	    !peer_tool(v->side, node->s, "node_observe", args, NULL, on_observed, a, &e)) {
		v->waiting++;
	} else {
		check(v, node->s, "node", "an answer", e.text[0] ? e.text : "out of memory", false);
		free(a);
	}
	json_decref(args);
}

/* Each node once, in the order in which the plans named them. */
static void ask_all(struct verifying *v)
{
	v->waiting = 1; /* ours: no answer may finish before all are asked */
	for (uint32_t i = 0; i < v->n; i++) {
		uint32_t k = 0;

		while (!ident_eq(v->want[k].node, v->want[i].node))
			k++;
		if (k == i)
			ask(v, &v->want[i].node);
	}
	v->waiting--;
	finish(v);
}

static void planned(void *arg, int r, struct err *e)
{
	struct verifying *v = arg;

	if (!r) {
		ask_all(v);
		return;
	}
	mcp_turn_refuse(v->turn, e->text);
	verifying_free(v);
}

static int on_verify(struct side *s, const struct peer *p, const json_t *args, const char *key,
		     struct mcp_turn *t, struct err *e)
{
	const struct deal *d = NULL;
	struct log_scan ask;
	struct verifying *v;
	const char *id;
	int r = json_only(args, "", e, "agreementId", NULL);

	(void)p;
	(void)key;
	if (!r)
		r = json_need_str(args, "", "agreementId", &id, e);
	if (r)
		return r;
	d = query_deal(s, id);
	if (!d || !d->cur.rev)
		return err_set(e, -ENOENT, "agreement_unknown: %.60s: no agreement has this id",
			       id);
	v = calloc(1, sizeof(*v));
	if (!v || !(v->checks = json_array())) {
		verifying_free(v);
		return err_set(e, -ENOMEM, "out of memory");
	}
	v->side = s;
	v->turn = t;
	v->lineage = d->lineage;
	v->label = d->cur.label;
	v->ok = true;
	if (!d->operator_side) {
		want_local(v, engine_world(s->engine));
		ask_all(v);
		return 0;
	}
	ask = (struct log_scan){ d->first, plan_row, planned, v };
	r = log_scan(s, &ask, e);
	if (r)
		verifying_free(v);
	return r;
}

#define AGREEMENT_ID                                                                   \
	"{\"type\":\"object\",\"properties\":{\"agreementId\":{\"type\":\"string\"}}," \
	"\"required\":[\"agreementId\"],\"additionalProperties\":false}"

const struct mcp_row query_rows_verify[] = {
	{ "verify", "Verify", "Reads every node's kernel back and compares it with the agreement",
	  .input_schema = AGREEMENT_ID, .read_only = true, .idempotent = true,
	  .who = WHO_HUMAN | WHO_APP, .slow = true, .call = on_verify },
	{ 0 },
};
