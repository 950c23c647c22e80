/* SPDX-License-Identifier: Apache-2.0 */
/* The log: tail asks the daemon; verify, replay and redecide open the database themselves, read
 * only, so that nobody has to believe the daemon. */
#include "ctl.h"

#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/redecide.h"
#include "agent/state/world.h"
#include "agent/store/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define STATE_DEFAULT "/var/lib/treaty/agents"
#define DEALS_MAX     1024 /* as the daemon's own world */
#define WANTED_MAX    8192
#define TAIL_EVERY_MS 200

/* --- tail --------------------------------------------------------------------------------------
 */

static void print_row(const struct ctl *c, const json_t *row)
{
	const json_t *out = json_object_get(row, "output"),
		     *inputs = json_object_get(row, "inputs");
	const char *core = json_string_value(json_object_get(inputs, "core"));
	const char *why = json_string_value(json_object_get(out, "why"));
	auto_free char *text = NULL;

	if (c->json) {
		text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
		(void)puts(text ? text : "{}");
		return;
	}
	(void)printf("%5" JSON_INTEGER_FORMAT "  %s  %-20s  %s.%s%s%s%s%s\n",
		     json_integer_value(json_object_get(row, "seq")),
		     json_string_value(json_object_get(row, "time")),
		     json_string_value(json_object_get(row, "event")),
		     json_string_value(json_object_get(row, "actor")),
		     json_string_value(json_object_get(row, "tool")), core ? "  core=" : "",
		     core ? core : "", why && *why ? "  " : "", why ? why : "");
}

/* One page: *after moves on, *more says whether another one waits. */
static int page(const struct ctl *c, int64_t *after, int64_t limit, bool *more)
{
	auto_json json_t *o = NULL;
	int64_t durable;
	json_t *row;
	size_t i;
	int r = client_call(
		c, "log_read",
		json_pack("{s:I, s:I}", "after", (json_int_t)*after, "limit", (json_int_t)limit),
		&o);

	if (r)
		return r;
	json_array_foreach (json_object_get(o, "rows"), i, row) {
		print_row(c, row);
		*after = json_integer_value(json_object_get(row, "seq"));
	}
	durable = json_integer_value(json_object_get(o, "durable"));
	*more = i && *after < durable;
	(void)fflush(stdout);
	return CTL_OK;
}

/* Where the last `lines` rows begin. */
static int start_of(const struct ctl *c, int64_t lines, int64_t *after)
{
	auto_json json_t *o = NULL;
	int64_t durable;
	int r = client_call(c, "status", json_object(), &o);

	if (r)
		return r;
	durable = json_integer_value(json_object_get(json_object_get(o, "log"), "durable"));
	*after = durable > lines ? durable - lines : 0;
	return CTL_OK;
}

int ctl_log_tail(struct ctl *c)
{
	const struct timespec pause = { 0, TAIL_EVERY_MS * 1000000 };
	int64_t after = -1, lines = 20;
	struct err e = { 0 };
	bool more = true;
	int r;

	if (opt_int(c, "after", 0, INT64_MAX - 1, &after, &e) < 0 ||
	    opt_int(c, "lines", 0, 1000000, &lines, &e) < 0)
		return fail(CTL_USAGE, "%s", e.text);
	r = after >= 0 ? CTL_OK : start_of(c, lines, &after);
	while (!r && (more || opt_get(c, "follow"))) {
		r = page(c, &after, 1000, &more);
		if (!r && !more && opt_get(c, "follow"))
			(void)nanosleep(&pause, NULL);
	}
	return r;
}

/* --- offline -----------------------------------------------------------------------------------
 */

/* DIR holds treaty.db itself, or is the daemon's state-dir with the agents' directory in it. */
const char *ctl_state_dir(const struct ctl *c)
{
	static char sub[512];
	const char *dir = opt_get(c, "state");
	char file[600];

	if (!dir || !*dir)
		return STATE_DEFAULT;
	(void)snprintf(sub, sizeof(sub), "%s/agents", dir);
	(void)snprintf(file, sizeof(file), "%s/treaty.db", sub);
	return access(file, F_OK) ? dir : sub;
}

static int report(const struct ctl *c, json_t *o, bool good, const char *why)
{
	if (!o)
		return fail(CTL_FAILED, "out of memory");
	if (c->json)
		print_json(o);
	else
		print_object(o);
	json_decref(o);
	return good ? CTL_OK : fail(CTL_REFUSED, "%s", why);
}

int ctl_log_verify(struct ctl *c)
{
	char root[2 * HASH_LEN + 1], chain[2 * HASH_LEN + 1];
	struct store_report rep;
	struct err e = { 0 };

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (store_verify(ctl_state_dir(c), &rep, &e)) {
		say_err(&e);
		return CTL_FAILED;
	}
	(void)hex_encode(rep.head.root.b, HASH_LEN, root, sizeof(root));
	(void)hex_encode(rep.head.chain.b, HASH_LEN, chain, sizeof(chain));
	return report(c,
		      json_pack("{s:s, s:I, s:s, s:I, s:s, s:s, s:I}", "fault",
				store_fault_name(rep.fault), "firstBad", (json_int_t)rep.seq,
				"reason", rep.why, "seq", (json_int_t)rep.head.seq, "chain", chain,
				"root", root, "ledgerRows", (json_int_t)rep.journal),
		      rep.fault == STORE_SOUND, rep.why);
}

/* The counters are wrong and the journal is right: the one thing that may be repaired. */
int ctl_ledger_rebuild(struct ctl *c)
{
	struct err e = { 0 };
	uint64_t n = 0;

	if (ledger_rebuild(ctl_state_dir(c), &n, &e)) {
		say_err(&e);
		return e.code == -EUCLEAN ? CTL_REFUSED : CTL_FAILED;
	}
	return report(c, json_pack("{s:I}", "changedRows", (json_int_t)n), true, "");
}

int ctl_open_reader(const struct ctl *c, struct store **ret)
{
	struct err e = { 0 };

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (!store_open(ctl_state_dir(c), STORE_READER, ret, &e))
		return CTL_OK;
	say_err(&e);
	return e.code == -EUCLEAN ? CTL_REFUSED : CTL_FAILED;
}

struct replaying {
	struct world *w;
	struct event *ev;
	struct err e;
};

static int replay_row(void *arg, const struct store_event *row)
{
	struct replaying *to = arg;
	enum refusal why;
	int r = event_read(row->body, row->len, to->ev, NULL, &to->e);

	if (r)
		return r;
	why = fold_guard(to->w, to->ev);
	if (why != REFUSE_NONE)
		return err_set(&to->e, -EUCLEAN, "event %" PRIu64 " (%s): %s", row->seq,
			       event_name(to->ev->kind), refusal_name(why));
	fold(to->w, to->ev);
	return 0;
}

static int build(struct store *st, struct world **ret, struct err *e)
{
	struct replaying to = { .ev = malloc(sizeof(*to.ev)) };
	int r = to.ev ? world_new(&to.w, DEALS_MAX, WANTED_MAX) : -ENOMEM;

	if (!r)
		r = store_replay(st, 1, replay_row, &to, e);
	if (r && e && !e->code)
		*e = to.e;
	free(to.ev);
	if (r)
		world_free(to.w);
	else
		*ret = to.w;
	return r;
}

/* Twice, because a fold that reads anything but the log would differ from itself. */
int ctl_log_replay(struct ctl *c)
{
	struct world *a = NULL, *b = NULL;
	struct store *st = NULL;
	struct err e = { 0 };
	int r = ctl_open_reader(c, &st);

	if (r)
		return r;
	r = build(st, &a, &e);
	r = r ? r : build(st, &b, &e);
	(void)store_free(st);
	if (r) {
		say_err(&e);
		r = r == -ENOMEM ? CTL_FAILED : CTL_REFUSED;
	} else {
		bool same = world_compare(a, b) == 0;

		r = report(c,
			   json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "seq", (json_int_t)a->seq,
				     "events", (json_int_t)a->events, "refusals",
				     (json_int_t)a->refusals, "deals", (json_int_t)a->n_deals,
				     "wantedSteps", (json_int_t)a->n_wanted, "same", same),
			   same, "two replays of one log differ");
	}
	world_free(a);
	world_free(b);
	return r;
}

static json_t *redecide_json(const struct redecide_report *rep)
{
	json_t *cores = json_array();

	for (size_t i = 0; i < rep->n_cores; i++)
		(void)json_array_append_new(
			cores, json_pack("{s:s, s:I, s:I, s:I}", "core", rep->core[i].name,
					 "decisions", (json_int_t)rep->core[i].decisions, "equal",
					 (json_int_t)rep->core[i].equal, "firstDifferent",
					 (json_int_t)rep->core[i].first_bad));
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:s}", "events", (json_int_t)rep->events,
			 "decisions", (json_int_t)rep->decisions, "roots", (json_int_t)rep->roots,
			 "different", (json_int_t)rep->different, "cores", cores, "reason",
			 rep->why);
}

int ctl_log_redecide(struct ctl *c)
{
	struct redecide_report rep;
	struct store *st = NULL;
	auto_json json_t *o = NULL;
	struct err e = { 0 };
	int r = ctl_open_reader(c, &st);

	if (r)
		return r;
	r = redecide_log(st, &rep, &e);
	(void)store_free(st);
	if (r) {
		say_err(&e);
		return r == -EUCLEAN ? CTL_REFUSED : CTL_FAILED;
	}
	o = redecide_json(&rep);
	if (!o)
		return fail(CTL_FAILED, "out of memory");
	if (c->json) {
		print_json(o);
	} else {
		print_table(json_object_get(o, "cores"), "core decisions equal firstDifferent");
		(void)printf("%" PRIu64 " events, %" PRIu64 " decisions, %" PRIu64
			     " different, %" PRIu64 " roots\n",
			     rep.events, rep.decisions, rep.different, rep.roots);
	}
	return rep.different ? fail(CTL_REFUSED, "%s", rep.why) : CTL_OK;
}
