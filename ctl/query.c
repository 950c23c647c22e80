/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that ask the daemon and print what it says. */
#include "ctl.h"

#include "agent/codec/did.h"
#include "agent/codec/json.h"
#include "agent/wire/mcp.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static int print_answer(const struct ctl *c, const json_t *o)
{
	if (c->json)
		print_json(o);
	else
		print_object(o);
	return CTL_OK;
}

/* "tool member columns": a table of the member's rows. */
int ctl_list(struct ctl *c)
{
	char tool[32], member[32];
	auto_json json_t *o = NULL;
	const json_t *rows;
	int at = 0, r;

	if (sscanf(c->verb->arg, "%31s %31s %n", tool, member, &at) != 2)
		return fail(CTL_FAILED, "verb table");
	r = client_list(c, tool, &o);
	if (r)
		return r;
	rows = json_object_get(o, member);
	if (c->json)
		print_json(rows);
	else
		print_table(rows, c->verb->arg + at);
	return CTL_OK;
}

/* The deals that have such an object at all: column 1 is its id. */
int ctl_deals(struct ctl *c)
{
	const char *columns = c->verb->arg;
	auto_json json_t *o = NULL, *kept = json_array();
	char id[32] = "";
	json_t *row;
	size_t i;
	int r = client_list(c, "deal_list", &o);

	if (r)
		return r;
	(void)sscanf(columns, "%31[^ :]", id);
	json_array_foreach (json_object_get(o, "deals"), i, row) {
		const char *v = json_string_value(json_object_get(row, id));

		if (v && *v)
			(void)json_array_append(kept, row);
	}
	if (c->json)
		print_json(kept);
	else
		print_table(kept, columns);
	return CTL_OK;
}

int ctl_show(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, c->verb->arg, json_pack("{s:s}", "id", c->arg[0]), &o);

	return r ? r : print_answer(c, o);
}

/* One member of deal_show: what has no TM Forum body. */
int ctl_deal_part(struct ctl *c)
{
	auto_json json_t *o = NULL;
	const json_t *part;
	int r = client_call(c, "deal_show", json_pack("{s:s}", "id", c->arg[0]), &o);

	if (r)
		return r;
	part = json_object_get(o, c->verb->arg);
	if (!json_is_object(part))
		return fail(CTL_REFUSED, "%s: has no %s", c->arg[0], c->verb->arg);
	return print_answer(c, part);
}

int ctl_status(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, "status", json_object(), &o);

	return r ? r : print_answer(c, o);
}

/* --- flows -------------------------------------------------------------------------------------
 */

#define FLOW_COLUMNS                                                                           \
	"label class agreement promisedBps:rate offeredBps:rate deliveredBps:rate upBps:rate " \
	"downBps:rate drops rttMicros:ms path"

static json_int_t member(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* The rates between two readings, from the running totals of the maps. */
static void add_rates(const json_t *now, const json_t *before)
{
	int64_t us = member(now, "monoMicros") - member(before, "monoMicros"), up, down;
	const json_t *then = json_object_get(before, "flows"), *old;
	size_t i, at = 0;
	json_t *row;

	json_array_foreach (json_object_get(now, "flows"), i, row) { /* both by their label */
		while ((old = json_array_get(then, at)) &&
		       member(old, "label") < member(row, "label"))
			at++;
		if (old && member(old, "label") != member(row, "label"))
			old = NULL;
		up = old ? member(row, "upBytes") - member(old, "upBytes") : 0;
		down = old ? member(row, "downBytes") - member(old, "downBytes") : 0;
		if (us < 1000 || up < 0 || down < 0)
			continue;
		(void)json_object_set_new(row, "upBps", json_integer(up * 8000 / (us / 1000)));
		(void)json_object_set_new(row, "downBps", json_integer(down * 8000 / (us / 1000)));
	}
}

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static void pause_ms(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void print_flows(const struct ctl *c, const json_t *o, bool screen)
{
	if (screen)
		(void)fputs("\033[H\033[J", stdout);
	if (c->json)
		print_json(json_object_get(o, "flows"));
	else
		print_table(json_object_get(o, "flows"), FLOW_COLUMNS);
	(void)fflush(stdout);
}

int ctl_flows(struct ctl *c)
{
	bool watch = opt_get(c, "watch");
	auto_json json_t *before = NULL;
	int64_t every = 1000;
	struct err e = { 0 };
	int r = opt_span(c, "every", &every, &e) < 0 ? fail(CTL_USAGE, "%s", e.text) : CTL_OK;

	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	while (!r && !stopped) {
		json_t *now = NULL;

		r = client_list(c, "flow_list", &now);
		if (r)
			break;
		if (before)
			add_rates(now, before);
		if (before || !watch)
			print_flows(c, now, watch && !c->json && isatty(STDOUT_FILENO));
		json_decref(before);
		before = now;
		if (!watch)
			break;
		pause_ms(every);
	}
	return r;
}

/* --- explain, verify ---------------------------------------------------------------------------
 */

static void print_pairs(const char *head, const json_t *o)
{
	const char *key;
	json_t *v;

	if (!json_object_size(o))
		return;
	(void)printf("      %s", head);
	json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
		char *s = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

		(void)printf(" %s=%s", key, s ? s : "?");
		free(s);
	}
	(void)putchar('\n');
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static void print_event(const json_t *ev)
{
	json_t *alt;
	size_t i;

	(void)printf("%5" JSON_INTEGER_FORMAT "  %s  %s  by %s.%s\n", member(ev, "seq"),
		     text(ev, "time"), text(ev, "event"), text(ev, "actor"), text(ev, "tool"));
	if (*text(ev, "refusal"))
		(void)printf("      refused: %s\n", text(ev, "refusal"));
	if (*text(ev, "why"))
		(void)printf("      why: %s\n", text(ev, "why"));
	if (*text(ev, "core"))
		(void)printf("      decided by: %s\n", text(ev, "core"));
	print_pairs("from:", json_object_get(ev, "in"));
	print_pairs("gave:", json_object_get(ev, "out"));
	json_array_foreach (json_object_get(ev, "alternatives"), i, alt)
		(void)printf("      not %" JSON_INTEGER_FORMAT ": %s (%s)\n", member(alt, "no"),
			     text(alt, "refusal"), text(alt, "text"));
	if (*text(ev, "undo"))
		(void)printf("      to undo: %s\n", text(ev, "undo"));
}

/* Whether nodes may hold something of a deal of this life. */
static bool laid(const char *life)
{
	static const char *const none[] = { "", "DECLARED", "NEGOTIATED", "AGREED", "TERMINATED" };

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (!strcmp(life, none[i]))
			return false;
	return true;
}

/* What holds the deal's rate on each node, by direction. A deal that is over is held by nothing,
 * and what else cannot be asked was said by the call. */
static void print_held(struct ctl *c)
{
	auto_json json_t *o = NULL;
	json_t *row;
	size_t i;

	if (client_call(c, "verify", json_pack("{s:s}", "agreementId", c->arg[0]), &o))
		return;
	json_array_foreach (json_object_get(o, "checks"), i, row) {
		if (!*text(row, "by"))
			continue;
		(void)printf("held on %s, %s: %s by %s, since %s\n", text(row, "node"),
			     text(row, "dir"), text(row, "object"), text(row, "by"),
			     text(row, "rule"));
		if (*text(row, "refused"))
			(void)printf("      not %s\n", text(row, "refused"));
	}
}

int ctl_explain(struct ctl *c)
{
	auto_json json_t *o = NULL;
	json_t *ev;
	size_t i;
	int r = client_call(c, "explain", json_pack("{s:s}", "id", c->arg[0]), &o);

	if (r || c->json) {
		if (!r)
			print_json(o);
		return r;
	}
	json_array_foreach (json_object_get(o, "events"), i, ev)
		print_event(ev);
	if (*text(o, "life"))
		(void)printf("now: %s\n", text(o, "life"));
	if (laid(text(o, "life")))
		print_held(c);
	return CTL_OK;
}

int ctl_verify(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, "verify", json_pack("{s:s}", "agreementId", c->arg[0]), &o);

	if (r)
		return r;
	if (c->json)
		print_json(o);
	else
		print_table(json_object_get(o, "checks"), "node object wanted seen ok");
	if (!json_is_true(json_object_get(o, "ok")))
		return fail(CTL_REFUSED, "%s: the kernel differs from what was promised",
			    c->arg[0]);
	return CTL_OK;
}

/* Of all pages. */
static json_int_t count_wrong(const json_t *rows)
{
	json_int_t n = 0;
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		n += strcmp(text(row, "state"), "ok") && strcmp(text(row, "state"), "foreign");
	return n;
}

int ctl_dataplane(struct ctl *c)
{
	auto_json json_t *o = NULL;
	const json_t *rows;
	int r = client_list(c, c->verb->arg, &o);
	json_int_t wrong;

	if (r)
		return r;
	rows = json_object_get(o, "objects");
	wrong = count_wrong(rows);
	if (json_object_set_new(o, "ok", json_boolean(!wrong)) ||
	    json_object_set_new(o, "wrong", json_integer(wrong)))
		return fail(CTL_FAILED, "out of memory");
	if (c->json || !rows)
		print_json(o);
	else
		print_table(rows, "state kind object why");
	if (wrong && !strcmp(c->verb->arg, "dataplane_check"))
		return fail(CTL_REFUSED,
			    "%" JSON_INTEGER_FORMAT " differences from what is committed", wrong);
	return CTL_OK;
}

int ctl_dataplane_events(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, "dataplane_events", json_object(), &o);

	if (r || c->json) {
		if (!r)
			print_json(o);
		return r;
	}
	print_table(json_object_get(o, "causes"), "cause seen heldBack");
	(void)putchar('\n');
	print_table(json_object_get(o, "events"), "ageMs cause label device heldBack");
	return CTL_OK;
}

int ctl_dataplane_tables(struct ctl *c)
{
	auto_json json_t *o = NULL;
	const json_t *rows;
	int r = client_call(c, "status", json_object(), &o);

	if (r)
		return r;
	rows = json_object_get(json_object_get(o, "shaping"), "tables");
	if (!rows)
		return fail(CTL_REFUSED, "this daemon is no node");
	if (c->json)
		print_json(rows);
	else
		print_table(rows, "table device used max failed");
	return CTL_OK;
}

/* --signed-by: is what this caller is shown what the key's owner signed? */
static int list_check(const struct ctl *c, const json_t *result)
{
	const json_t *seal = json_object_get(json_object_get(result, "_meta"), MCP_LIST_SIGNATURE);
	const char *did = opt_get(c, "signed-by");
	uint8_t pub[32];
	struct err e = { 0 };

	if (!did)
		return CTL_OK;
	if (did_key_parse(did, pub))
		return fail(CTL_USAGE, "--signed-by: a did:key is required (treatyctl key show)");
	if (jws_verify(json_object_get(result, "tools"), json_object_get(seal, "jws"), NULL, pub,
		       &e))
		return fail(CTL_REFUSED, "the list of tools: %s", e.text);
	return CTL_OK;
}

int ctl_tools(struct ctl *c)
{
	auto_json json_t *result = NULL;
	const json_t *tools;
	int r = client_tools(c, &result);

	if (!r)
		r = list_check(c, result);
	if (r)
		return r;
	tools = json_object_get(result, "tools");
	if (c->json)
		print_json(tools);
	else
		print_table(tools, "name description");
	return CTL_OK;
}

int ctl_ledger(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_list(c, "ledger_show", &o);

	if (r)
		return r;
	if (c->json) {
		print_json(o);
		return CTL_OK;
	}
	print_table(json_object_get(o, "wallets"),
		    "side wallet currency ceiling held captured generation revoked validUntil");
	(void)putchar('\n');
	print_table(json_object_get(o, "classes"), "side wallet class ceiling held captured");
	(void)putchar('\n');
	print_table(json_object_get(o, "holds"),
		    "side hold lineage rev class amount total state expires");
	(void)putchar('\n');
	print_table(json_object_get(o, "lineages"), "side lineage rev class captured head");
	(void)putchar('\n');
	print_table(json_object_get(o, "credits"),
		    "side lineage rev amount currency reason booked note");
	return CTL_OK;
}
