/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that change something: the daemon's rules decide. */
#include "ctl.h"

#include "agent/codec/json.h"
#include "agent/config.h"

#include <stdio.h>

static int answer(const struct ctl *c, const char *tool, json_t *args)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, tool, args, &o);

	if (r)
		return r;
	if (c->json)
		print_json(o);
	else
		print_object(o);
	return CTL_OK;
}

/* The convenience form: a class and what differs from its profile. */
static int class_form(const struct ctl *c, json_t *args, struct err *e)
{
	const char *agreement = opt_get(c, "agreement"), *class = opt_get(c, "class");
	avail_t a = { 0 };
	delay_t d = { 0 };
	rate_t b = { 0 };
	int r = json_object_set_new(args, "class", json_string(class));

	if (!r && (r = opt_rate(c, "bandwidth", &b, e)) > 0)
		r = json_object_set_new(args, "bandwidthBps", json_integer((json_int_t)b.bps));
	if (!r && (r = opt_delay(c, "latency", &d, e)) > 0)
		r = json_object_set_new(args, "latencyMicros", json_integer(d.us));
	if (!r && (r = opt_avail(c, "availability", &a, e)) > 0)
		r = json_object_set_new(args, "availabilityPpm", json_integer(a.ppm));
	if (!r && agreement)
		r = json_object_set_new(args, "agreementId", json_string(agreement));
	return r;
}

int ctl_intent_declare(struct ctl *c)
{
	json_t *args = json_object(), *body = NULL;
	struct err e = { 0 };
	int r = CTL_OK;

	if ((c->n_args == 1) == (opt_get(c, "class") != NULL))
		r = fail(CTL_USAGE, "intent declare: FILE or --class NAME required");
	else if (c->n_args)
		r = file_json(c->arg[0], &body);
	else if (class_form(c, args, &e))
		r = fail(CTL_USAGE, "%s", e.text);
	if (!r && body && json_object_set_new(args, "intent", body))
		r = fail(CTL_FAILED, "out of memory");
	if (r) {
		json_decref(args);
		return r;
	}
	return answer(c, "intent_declare", args);
}

static int need_reason(const struct ctl *c, const char **ret)
{
	*ret = opt_get(c, "reason");
	return *ret && **ret ? CTL_OK : fail(CTL_USAGE, "--reason: required, it goes into the log");
}

int ctl_intent_withdraw(struct ctl *c)
{
	const char *reason;
	int r = need_reason(c, &reason);

	return r ? r
		 : answer(c, "intent_withdraw",
			  json_pack("{s:s, s:s}", "negotiation", c->arg[0], "why", reason));
}

/* arg: the tool, of an id or of nothing. */
int ctl_act(struct ctl *c)
{
	return answer(c, c->verb->arg,
		      c->n_args ? json_pack("{s:s}", "id", c->arg[0]) : json_object());
}

/* arg: the tool. The reason is for the log: an act without one is not taken. */
int ctl_terminate(struct ctl *c)
{
	const char *reason;
	int r = need_reason(c, &reason);

	return r ? r
		 : answer(c, c->verb->arg,
			  json_pack("{s:s, s:s}", "id", c->arg[0], "reason", reason));
}

int ctl_reason(struct ctl *c)
{
	const char *reason;
	int r = need_reason(c, &reason);

	return r ? r : answer(c, c->verb->arg, json_pack("{s:s}", "reason", reason));
}

/* Overlap: a day, if not said otherwise. */
int ctl_key_rotate(struct ctl *c)
{
	int64_t overlap = 86400ll * 1000;
	const char *reason;
	struct err e = { 0 };
	int r = need_reason(c, &reason);

	if (r)
		return r;
	if (opt_span(c, "overlap", &overlap, &e) < 0)
		return fail(CTL_USAGE, "%s", e.text);
	return answer(c, "key_rotate",
		      json_pack("{s:s, s:I, s:s}", "role", c->arg[0], "overlapMs",
				(json_int_t)overlap, "reason", reason));
}

int ctl_key_compromise(struct ctl *c)
{
	const char *reason;
	struct err e = { 0 };
	wall_t since;
	json_t *args;
	int r = need_reason(c, &reason);

	if (r)
		return r;
	r = opt_time(c, "since", &since, &e);
	if (r < 0)
		return fail(CTL_USAGE, "%s", e.text);
	args = json_pack("{s:s, s:s}", "key", c->arg[0], "reason", reason);
	if (args && r)
		(void)json_object_set_new(args, "since", json_time(since));
	return answer(c, "key_compromise", args);
}

int ctl_path_swap(struct ctl *c)
{
	char *end;
	long path = strtol(c->arg[1], &end, 10);

	if (*end || path < 1 || path > 255)
		return fail(CTL_USAGE, "path swap: PATH: 1..255 required");
	return answer(c, "path_swap",
		      json_pack("{s:s, s:i}", "agreementId", c->arg[0], "path", (int)path));
}

int ctl_policy_show(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, "policy_show", json_object(), &o);

	if (r || c->json) {
		if (!r)
			print_json(o);
		return r;
	}
	print_table(json_object_get(o, "classes"),
		    "name bandwidthBps:rate latencyMicros:ms availabilityPpm:percent strategy "
		    "value floorBps:rate donor detect priority margin marginFloor");
	return CTL_OK;
}

/* Checked here first, so that a typing error names its line before anything is sent. */
int ctl_policy_load(struct ctl *c)
{
	auto_free char *text = NULL;
	struct config *conf = NULL;
	struct err e = { 0 };
	size_t n;
	int r = file_text(c->arg[0], CFG_FILE_MAX, &text, &n);

	if (r)
		return r;
	if (config_parse(&conf, text, n, c->arg[0], &e)) {
		say_err(&e);
		return CTL_REFUSED;
	}
	(void)config_free(conf);
	return answer(c, "policy_load", json_pack("{s:s#}", "config", text, n));
}
