/* SPDX-License-Identifier: Apache-2.0 */
#include "redecide.h"

#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/bss_policy/bss_policy_core.h"
#include "agent/codec/canon.h"
#include "agent/codec/commit.h"
#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/ent_policy/ent_edge_core.h"
#include "agent/ent_policy/ent_policy_core.h"
#include "agent/ent_policy/ent_spur_core.h"
#include "agent/ent_requirement/ent_requirement_core.h"
#include "agent/oss_assurance/oss_assurance_core.h"
#include "agent/oss_negotiation/oss_negotiation_core.h"
#include "agent/oss_planning/oss_planning_core.h"
#include "agent/state/forecast_core.h"
#include "agent/state/scarcity_core.h"
#include "agent/disclosure.h"
#include "agent/log_commit.h"
#include "agent/store/store.h"

#include <errno.h>
#include <stdio.h>

#define OUT_MAX (256 * 1024) /* canonical text of one decision's output */

#define RUN(fn)                                         \
	static void run_##fn(const void *in, void *out) \
	{                                               \
		fn(in, out);                            \
	}
RUN(ent_requirement_decide)
RUN(ent_spur_rebalance)
RUN(ent_edge_steps)
RUN(scarcity_decide)
RUN(forecast_update)
RUN(bss_admit)
RUN(bss_menu)
RUN(bss_counter)
RUN(bss_strategy)
RUN(oss_negotiation_decide)
RUN(oss_plan_make)
RUN(oss_plan_check)
RUN(oss_assurance_decide)
#undef RUN

/* Without an adviser; with one it is ent_policy_advised. */
static void run_ent_policy_choose(const void *in, void *out)
{
	ent_policy_choose(in, NULL, out);
}

static void run_ent_policy_advised(const void *in, void *out)
{
	ent_policy_advised(in, out);
}

#define CORE(fn, alias, in, out)                \
	{                                       \
#fn, alias, &in, &out, run_##fn \
	}
const struct redecide_core redecide_cores[] = {
	CORE(ent_requirement_decide, "ent_requirement", ent_requirement_in_fields,
	     ent_requirement_out_fields),
	CORE(ent_policy_choose, "ent_policy", ent_policy_in_fields, ent_policy_out_fields),
	CORE(ent_policy_advised, NULL, ent_advised_in_fields, ent_policy_out_fields),
	CORE(ent_spur_rebalance, "ent_spur", ent_spur_in_fields, ent_spur_out_fields),
	CORE(ent_edge_steps, "ent_edge", ent_edge_in_fields, ent_edge_out_fields),
	CORE(scarcity_decide, "scarcity", scarcity_in_fields, scarcity_out_fields),
	CORE(forecast_update, "forecast", forecast_in_fields, forecast_state_fields),
	CORE(bss_admit, NULL, bss_admit_in_fields, bss_admit_out_fields),
	CORE(bss_menu, NULL, bss_menu_in_fields, bss_menu_out_fields),
	CORE(bss_counter, NULL, bss_counter_in_fields, bss_counter_out_fields),
	CORE(bss_strategy, NULL, bss_strategy_in_fields, bss_strategy_out_fields),
	CORE(oss_negotiation_decide, "oss_negotiation", oss_negotiation_in_fields,
	     oss_negotiation_out_fields),
	CORE(oss_plan_make, "oss_planning", oss_plan_in_fields, oss_plan_out_fields),
	CORE(oss_plan_check, "oss_check", oss_check_in_fields, oss_check_out_fields),
	CORE(oss_assurance_decide, "oss_assurance", oss_assurance_in_fields,
	     oss_assurance_out_fields),
};
#undef CORE
const size_t redecide_n_cores = ARRAY_LEN(redecide_cores);

_Static_assert(ARRAY_LEN(redecide_cores) <= REDECIDE_CORES_MAX, "the report has a line for each");

const struct redecide_core *redecide_find(const char *name)
{
	for (size_t i = 0; i < redecide_n_cores; i++) {
		const struct redecide_core *c = &redecide_cores[i];

		if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
			return c;
	}
	return NULL;
}

/* --- one decision ------------------------------------------------------------------------------
 */

static int text_of(const struct field_table *t, const void *obj, char **ret, size_t *n,
		   struct err *e)
{
	auto_json json_t *js = noun_encode(t, obj);

	return js ? canon_text(js, OUT_MAX, ret, n, e) : -ENOMEM;
}

/* 1 equal, 0 different (why says how), negative errno. What the log says is read and written again:
 * an older version wrote members that are left out now. */
static int decide_again(const struct redecide_core *c, const json_t *inputs, struct err *why)
{
	auto_free void *in = calloc(1, c->in->size);
	auto_free void *was = calloc(1, c->out->size);
	auto_free void *out = NULL;
	auto_free char *said = NULL, *now = NULL;
	size_t n_said, n_now;
	int r;

	if (!in || !was)
		return -ENOMEM;
	if (noun_decode_log(c->in, json_object_get(inputs, "in"), in, why) ||
	    noun_decode_log(c->out, json_object_get(inputs, "out"), was, why))
		return 0;
	out = calloc(1, c->out->size);
	if (!out)
		return -ENOMEM;
	c->run(in, out);
	r = text_of(c->out, out, &now, &n_now, why);
	if (!r)
		r = text_of(c->out, was, &said, &n_said, why);
	if (r)
		return r == -ENOMEM ? r : 0;
	if (n_said == n_now && !memcmp(said, now, n_now))
		return 1;
	for (r = 0; said[r] && said[r] == now[r]; r++)
		;
	(void)err_set(why, -EUCLEAN, "the core says \"%.60s\", the log \"%.60s\"",
		      now + (r > 20 ? r - 20 : 0), said + (r > 20 ? r - 20 : 0));
	return 0;
}

/* Digests of the last events: a root stands soon after what it is over. */
enum { DIGESTS = 65536 };

struct deciding {
	struct redecide_report *rep;
	struct event *ev;
	uint8_t key[32];     /* of the salts */
	struct hash *digest; /* NULL: this database has no key */
	struct err *e;
};

static void differs(struct redecide_report *rep, size_t core, uint64_t seq, const char *name,
		    const char *why)
{
	if (!rep->different++)
		(void)snprintf(rep->why, sizeof(rep->why), "event %llu: %.30s: %.140s",
			       (unsigned long long)seq, name, why);
	if (core < rep->n_cores && !rep->core[core].first_bad)
		rep->core[core].first_bad = seq;
}

static int decision(struct deciding *to, uint64_t seq, const json_t *inputs)
{
	const char *name = json_string_value(json_object_get(inputs, "core"));
	const struct redecide_core *c = name ? redecide_find(name) : NULL;
	size_t i = c ? (size_t)(c - redecide_cores) : REDECIDE_CORES_MAX;
	struct err why = { 0 };
	int r;

	to->rep->decisions++;
	if (!c) {
		differs(to->rep, i, seq, name ? name : "?", "no such core in this build");
		return 0;
	}
	to->rep->core[i].decisions++;
	r = decide_again(c, inputs, &why);
	if (r < 0)
		return err_set(to->e, r, "event %llu", (unsigned long long)seq);
	if (r)
		to->rep->core[i].equal++;
	else
		differs(to->rep, i, seq, c->name, why.text);
	return 0;
}

/* Whether the root is of the events that it names. */
static bool root_holds(const struct deciding *to, uint64_t seq)
{
	const struct ev_commit *c = &to->ev->u.commit;
	struct merkle tree = { .size = 0 };
	struct hash root;

	if (!to->digest || !c->first || c->count > LOG_COMMIT_MAX || c->first > seq ||
	    c->count > seq - c->first || seq - c->first >= DIGESTS)
		return false;
	for (uint64_t i = c->first; i < c->first + c->count; i++)
		merkle_append(&tree, &to->digest[i % DIGESTS]);
	root = merkle_root(&tree);
	return !memcmp(root.b, c->root.b, sizeof(root.b));
}

static int commitment(struct deciding *to, const struct store_event *ev)
{
	uint8_t d[COMMIT_LEN];
	int r;

	if (to->digest) {
		r = commit_event(to->key, ev->seq, ev->body, ev->len, d, to->e);
		if (r)
			return r;
		to->digest[ev->seq % DIGESTS] = hash_leaf(d, sizeof(d));
	}
	if (to->ev->kind != EV_LOG_COMMITTED)
		return 0;
	to->rep->roots++;
	if (!root_holds(to, ev->seq))
		differs(to->rep, to->rep->n_cores, ev->seq, "LOG_COMMITTED",
			"the root is not of these events");
	return 0;
}

static int row(void *arg, const struct store_event *ev)
{
	struct deciding *to = arg;
	json_t *inputs = NULL;
	int r = event_read(ev->body, ev->len, to->ev, &inputs, to->e);

	if (r)
		return r == -ENOMEM ? r : -EUCLEAN;
	to->rep->events++;
	if (inputs)
		r = decision(to, ev->seq, inputs);
	json_decref(inputs);
	return r ? r : commitment(to, ev);
}

static int keys_of(struct store *s, struct deciding *to, struct err *e)
{
	auto_free void *p = NULL;
	size_t n = 0;
	int r = store_kv_get(s, DISCLOSURE_SALT_KEY, &p, &n, e);

	if (r == -ENOENT) /* a database in which nothing was ever disclosed */
		return 0;
	if (r || n != sizeof(to->key))
		return r ? r : err_set(e, -EUCLEAN, DISCLOSURE_SALT_KEY ": 32 bytes required");
	memcpy(to->key, p, n);
	to->digest = calloc(DIGESTS, sizeof(*to->digest));
	return to->digest ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int redecide_log(struct store *s, struct redecide_report *ret, struct err *e)
{
	struct deciding to = { .rep = ret, .e = e };
	int r;

	*ret = (struct redecide_report){ .n_cores = redecide_n_cores };
	for (size_t i = 0; i < redecide_n_cores; i++)
		ret->core[i].name = redecide_cores[i].name;
	r = keys_of(s, &to, e);
	to.ev = malloc(sizeof(*to.ev));
	if (!to.ev)
		r = err_set(e, -ENOMEM, "out of memory");
	if (!r)
		r = store_replay(s, 1, row, &to, e);
	free(to.ev);
	free(to.digest);
	return r;
}
