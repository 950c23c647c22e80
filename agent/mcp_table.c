/* SPDX-License-Identifier: Apache-2.0 */
#include "mcp_table.h"

#include "acts.h"
#include "mcp_shapes.h"
#include "tokens.h"

#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/disclosure.h"

#include <errno.h>
#include <stdio.h>

/* What can be read and watched: each is what a reading tool says, for whom may call that tool. The
 * last part of a template is the tool's "id". */
static const struct {
	struct mcp_resource r;
	const char *tool;
} offered[] = {
	{ { "treaty://status", "status", "Status", NULL, NULL, false }, "status" },
	{ { "treaty://agreements", "agreements", "Agreements and negotiations", NULL, NULL, false },
	  "deal_list" },
	{ { "treaty://labels", "labels", "Labels and their flows", NULL, NULL, false },
	  "flow_list" },
	{ { "treaty://prices", "prices", "Scarcity and load of each path, from which prices follow",
	    NULL, NULL, false },
	  "capacity_query" },
	{ { "treaty://paths", "paths", "Paths as measured", NULL, NULL, false }, "path_list" },
	{ { "treaty://topology", "topology", "Paths and their nodes", NULL, NULL, false },
	  "topology" },
	{ { "treaty://services", "services", "Services as TMF638", NULL, NULL, false },
	  "service_list" },
	{ { "treaty://ledger", "ledger", "Wallets, holds and lineages", NULL, NULL, false },
	  "ledger_show" },
	{ { "treaty://log", "log", "The event log's first rows", NULL, NULL, false }, "log_read" },
	{ { "treaty://agreements/{id}", "agreement", "One agreement as TMF651", NULL, NULL, true },
	  "agreement_show" },
	{ { "treaty://intents/{id}", "intent", "One intent as TMF921", NULL, NULL, true },
	  "intent_show" },
	{ { "treaty://quotes/{id}", "quote", "One quote as TMF648", NULL, NULL, true },
	  "quote_show" },
};

static const struct mcp_row *rows[MCP_ROWS_MAX];
static unsigned owners[MCP_ROWS_MAX];
static struct mcp_tool tools[MCP_ROWS_MAX];
static struct mcp_resource resources[ARRAY_LEN(offered)];
static const char *resource_tool[ARRAY_LEN(offered)];
static size_t n_rows, n_resources;
static struct side *side;

/* The read under way: a handler answers inside its call. */
static struct {
	const char *tool; /* NULL: its owner asks, or nobody */
	const json_t *args;
	struct disclosure_lens lens;
} looking;

/* Takes schema; the text lives for ever. */
static const char *text_of(json_t *schema)
{
	char *text = schema ? json_text_new(schema) : NULL;

	json_decref(schema);
	return text;
}

/* What the disclosure policy may leave out is not promised. */
static void unpromise(json_t *v)
{
	const char *key;
	json_t *x;
	size_t i;

	(void)json_object_del(v, "required");
	json_object_foreach (v, key, x)
		unpromise(x);
	json_array_foreach (v, i, x)
		unpromise(x);
}

static json_t *shape_of(const char *tool)
{
	json_t *s = mcp_shape(tool);

	if (s && disclosure_resource(tool) >= 0)
		unpromise(s);
	return s ? s : json_pack("{s:s}", "type", "object");
}

int mcp_table_add(const struct mcp_row *r, struct err *e)
{
	struct mcp_tool *t = &tools[n_rows];
	enum tool_id id;

	for (size_t i = 0; i < n_rows; i++)
		if (!strcmp(rows[i]->name, r->name))
			return err_set(e, -EEXIST, "tool %s: twice", r->name);
	if (n_rows == MCP_ROWS_MAX)
		return err_set(e, -ENOSPC, "tool %s: more than %d", r->name, MCP_ROWS_MAX);
	*t = (struct mcp_tool){ .name = r->name,
				.title = r->title,
				.description = r->help,
				.input_schema =
					r->input_schema ? r->input_schema : MCP_NO_ARGUMENTS,
				.read_only = r->read_only,
				.destructive = r->destructive,
				.idempotent = r->idempotent,
				.open_world = r->open_world,
				.tasks = r->slow };
	if (r->input && !r->input_schema)
		t->input_schema = text_of(noun_schema(r->input));
	t->output_schema = text_of(shape_of(r->name));
	if (!t->input_schema || !t->output_schema)
		return err_set(e, -ENOMEM, "tool %s", r->name);
	id = tool_parse(r->name);
	owners[n_rows] = r->owners || id == TOOL_MAX_ ? r->owners : 1u << tool_row(id)->owner;
	rows[n_rows++] = r;
	return 0;
}

/* The owners whose tools this caller was given, whatever its token says. */
static unsigned entitled(const struct peer *p)
{
	const struct config *c = side->cfg;
	unsigned may = 0;

	for (uint32_t i = 0; !p->local && i < c->principals; i++)
		if (!strcmp(c->principal[i].did, p->did))
			may |= c->principal[i].may;
	return may;
}

static unsigned granted(const struct peer *p)
{
	return entitled(p) & (p->bearer ? p->scopes : ~0u);
}

static unsigned who_is(const struct peer *p)
{
	const struct cfg_peer *oss;
	unsigned who = granted(p) & 1u << OWNER_human ? WHO_HUMAN | WHO_APP : 0;

	if (p->local)
		return p->uid == 0 || p->uid == geteuid() ? WHO_HUMAN | WHO_APP : WHO_APP;
	oss = config_peer(side->cfg, side->cfg->node.oss);
	if (oss && !strcmp(oss->did, p->did))
		who |= WHO_OSS;
	return who;
}

/* n_rows when there is none. */
static size_t index_of(const char *name)
{
	size_t i = 0;

	while (i < n_rows && strcmp(rows[i]->name, name))
		i++;
	return i;
}

static const struct mcp_row *row_of(const char *name)
{
	size_t i = index_of(name);

	return i < n_rows ? rows[i] : NULL;
}

/* Acts are for whom their row names, and so are reads to a side's owner and to a node's OSS; both
 * are for who was given the tool's owner. */
static bool by_row(const struct mcp_row *r, const struct peer *p)
{
	unsigned who = who_is(p) & r->who;

	if (owners[index_of(r->name)] & granted(p))
		return true;
	return r->read_only ? who & (WHO_HUMAN | WHO_OSS) : who;
}

static bool allowed(void *arg, const struct peer *p, const char *tool)
{
	const struct mcp_row *r = row_of(tool);
	const struct disclosure_lens l = { .side = side, .who = disclosure_who(side, p) };

	(void)arg;
	if (!r || by_row(r, p))
		return r;
	return r->read_only && (!p->local || (r->who & WHO_APP)) &&
	       (!p->bearer || p->scopes & TOKENS_READ) && !disclosure_ask(&l, tool, NULL, NULL);
}

/* The scopes with which the token would do, what it has among them; 0: none would. */
static uint32_t scopes_for(const struct peer *p, const char *tool)
{
	const struct mcp_row *r = row_of(tool);
	struct peer full = *p;
	unsigned need = r ? owners[index_of(tool)] : 0;

	if (r && r->who & WHO_HUMAN)
		need |= 1u << OWNER_human;
	need &= entitled(p);
	full.scopes = TOKENS_READ;
	if (!p->bearer || !r || allowed(NULL, p, tool))
		return 0;
	if (need)
		return (p->scopes & (entitled(p) | TOKENS_READ)) | (need & -need);
	return allowed(NULL, &full, tool) ? p->scopes | TOKENS_READ : 0;
}

static int call(void *arg, const struct peer *p, const char *tool, const json_t *args,
		const char *key, struct mcp_turn *t)
{
	const struct mcp_row *r = row_of(tool);
	struct err e = { 0 };
	int err = r ? 0 : -ENOENT;

	if (r && r->read_only && !by_row(r, p)) {
		looking.tool = tool;
		looking.args = args;
		looking.lens =
			(struct disclosure_lens){ .side = side, .who = disclosure_who(side, p) };
		err = disclosure_ask(&looking.lens, tool, args, &e);
	}
	if (!err && acts_wait(side, r->name)) {
		err = acts_ask(side, p, r->name, args, t, &e);
	} else if (!err) {
		if (r->slow)
			(void)mcp_turn_task(t); /* where it cannot be, the caller waits */
		err = r->call(arg, p, args, key, t, &e);
	}
	looking.tool = NULL;
	if (err)
		mcp_turn_refuse(t, e.text[0] ? e.text : strerror(-err));
	return 0;
}

int mcp_table_view(json_t **io, struct err *e)
{
	return looking.tool ? disclosure_answer(&looking.lens, looking.tool, looking.args, io, e)
			    : 0;
}

struct mcp_kept_view {
	const char *tool;
	json_t *args;
	struct disclosure_lens lens;
};

struct mcp_kept_view *mcp_table_keep_view(void)
{
	struct mcp_kept_view *v = calloc(1, sizeof(*v));

	if (v && looking.tool) {
		v->tool = row_of(looking.tool)->name;
		v->args = json_incref((json_t *)(uintptr_t)looking.args);
		v->lens = looking.lens;
	}
	return v;
}

struct mcp_kept_view *mcp_table_free_view(struct mcp_kept_view *v)
{
	if (v)
		json_decref(v->args);
	free(v);
	return NULL;
}

int mcp_table_view_by(const struct mcp_kept_view *v, json_t **io, struct err *e)
{
	return v->tool ? disclosure_answer(&v->lens, v->tool, v->args, io, e) : 0;
}

int mcp_table_run(struct side *s, const struct peer *p, const char *tool, const json_t *args,
		  struct mcp_turn *t, struct err *e)
{
	const struct mcp_row *r = row_of(tool);

	return r ? r->call(s, p, args, NULL, t, e) : err_set(e, -ENOENT, "%s: no such tool", tool);
}

/* A grant is for what a human does and could do at once; answering is not asked for again. */
static int check_acts(const struct config *c, struct err *e)
{
	for (uint32_t i = 0; i < c->human.n_acts; i++) {
		const struct mcp_row *r = row_of(c->human.act[i]);

		if (!r || r->read_only || !(r->who & WHO_HUMAN) ||
		    !strncmp(r->name, "approval_", 9))
			return err_set(e, -EINVAL, "human.grant: %s: no act of a human here",
				       c->human.act[i]);
	}
	return 0;
}

/* --- resources ----------------------------------------------------------------------------------
 */

/* Index of what uri names; of a template with *id its last part. -1: nothing. */
static int resource_of(const char *uri, const char **id)
{
	for (size_t i = 0; i < n_resources; i++) {
		const struct mcp_resource *r = &resources[i];
		size_t stem = strcspn(r->uri, "{");

		*id = NULL;
		if (!strcmp(r->uri, uri))
			return (int)i;
		if (!r->is_template || strncmp(r->uri, uri, stem) || !uri[stem] ||
		    strchr(uri + stem, '/'))
			continue;
		*id = uri + stem;
		return (int)i;
	}
	return -1;
}

/* Of one agreement: that one, as the tool would be asked. */
static bool readable(void *arg, const struct peer *p, const char *uri)
{
	const struct disclosure_lens l = { .side = side, .who = disclosure_who(side, p) };
	auto_json json_t *args = NULL;
	const char *id;
	int i = resource_of(uri, &id);

	if (i < 0 || !allowed(arg, p, resource_tool[i]))
		return false;
	if (!id || by_row(row_of(resource_tool[i]), p))
		return true;
	args = json_pack("{s:s}", "id", id);
	return args && !disclosure_ask(&l, resource_tool[i], args, NULL);
}

/* Whoever watches a list hears of what it would be shown, and of nothing else. */
static bool told(void *arg, const struct peer *p, const char *uri, const char *deal)
{
	const struct disclosure_lens l = { .side = side, .who = disclosure_who(side, p) };
	const char *id;
	int i = resource_of(uri, &id);

	if (i < 0 || !allowed(arg, p, resource_tool[i]))
		return false;
	return by_row(row_of(resource_tool[i]), p) || disclosure_about(&l, resource_tool[i], deal);
}

static const char *challenge(void *arg, const struct peer *p, const char *tool, const char *uri)
{
	const char *id;
	int i = uri ? resource_of(uri, &id) : -1;
	uint32_t need;

	(void)arg;
	if (uri)
		tool = i < 0 ? "" : resource_tool[i];
	need = scopes_for(p, tool);
	return need ? tokens_insufficient(side->tokens, need) : NULL;
}

static int read_resource(void *arg, const struct peer *p, const char *uri, struct mcp_turn *t)
{
	const char *id;
	int i = resource_of(uri, &id);
	json_t *args = id ? json_pack("{s:s}", "id", id) : json_object();
	int r = i >= 0 && args ? call(arg, p, resource_tool[i], args, NULL, t) : -ENOENT;

	json_decref(args);
	return r;
}

static void resources_from_rows(void)
{
	n_resources = 0;
	for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
		if (!row_of(offered[i].tool))
			continue;
		resources[n_resources] = offered[i].r;
		resources[n_resources].mime = "application/json";
		resource_tool[n_resources++] = offered[i].tool;
	}
}

static void one_changed(struct mcp_server *m, const char *kind, const char *id, const char *deal)
{
	char uri[sizeof("treaty://agreements/") + sizeof(ident_t)];

	(void)snprintf(uri, sizeof(uri), "treaty://%s/%s", kind, id);
	if (*id)
		mcp_resource_changed(m, uri, deal);
}

void mcp_table_changed(struct mcp_server *m, const char *deal)
{
	const struct deal *d;
	ident_t id = { 0 };

	mcp_resource_changed(m, "treaty://log", deal);
	if (!deal || !str_set(id.s, deal) || !*deal)
		return;
	one_changed(m, "agreements", deal, deal);
	d = world_deal(engine_world(side->engine), &id);
	if (d) {
		one_changed(m, "intents", d->intent.id.s, deal);
		one_changed(m, "quotes", d->quote.id.s, deal);
	}
	mcp_resource_changed(m, "treaty://labels", deal);
	mcp_resource_changed(m, "treaty://services", deal);
	mcp_resource_changed(m, "treaty://ledger", deal);
}

void mcp_table_paths_changed(struct mcp_server *m)
{
	mcp_resource_changed(m, "treaty://prices", NULL);
	mcp_resource_changed(m, "treaty://paths", NULL);
}

/* The guarded clock, as decisions see it (docs/decisions/0082). */
static wall_t table_now(void *arg)
{
	const struct side *s = arg;

	return engine_now(s->engine);
}

int mcp_table_serve(struct side *s, const struct jws_key *key, struct mcp_server **ret,
		    struct err *e)
{
	struct mcp_app app = { .call = call,
			       .allowed = allowed,
			       .readable = readable,
			       .told = told,
			       .challenge = challenge,
			       .read = read_resource,
			       .arg = s };
	struct mcp_config c = { .path = "/mcp",
				.name = "treatyd",
				.version = "0.1",
				.tools = tools,
				.ntools = n_rows,
				.resources = resources,
				.legacy = true,
				.now = table_now,
				.now_arg = s,
				.pace = s->pace,
				.max_peer_streams = s->cfg->daemon.max_peer_streams,
				.max_peer_turns = s->cfg->daemon.max_peer_calls };

	if (check_acts(s->cfg, e))
		return -EINVAL;
	side = s;
	if (key)
		c.sign = *key;
	resources_from_rows();
	c.nresources = n_resources;
	return mcp_server_new(ret, &c, &app, e);
}

void mcp_refuse(struct mcp_turn *t, enum refusal r, const char *why)
{
	char text[400];

	(void)snprintf(text, sizeof(text), "%s: %s%s%s", refusal_name(r), refusal_text(r),
		       why && *why ? ": " : "", why ? why : "");
	mcp_turn_refuse(t, text);
}

/* --- what rows share ----------------------------------------------------------------------------
 */

int mcp_id_reason(const json_t *args, char *id, size_t cap, why_t *why, struct err *e)
{
	const char *reason;
	int r = json_only(args, "", e, "id", "reason", NULL);

	if (!r)
		r = json_need_text(args, "", "id", id, cap, e);
	if (!r)
		r = json_need_str(args, "", "reason", &reason, e);
	if (!r && (!*reason || strlen(reason) >= sizeof(why->s)))
		r = err_set(e, -EINVAL, "reason: 1..%zu characters required", sizeof(why->s) - 1);
	if (!r)
		str_cut(why->s, reason);
	return r;
}

/* The answer waits for the commit. */
struct waiting {
	struct mcp_turn *turn;
	json_t *answer;
};

static void answer_now(void *arg)
{
	struct waiting *w = arg;

	mcp_turn_result(w->turn, w->answer);
	json_decref(w->answer);
	free(w);
}

int mcp_answer_later(struct side *s, struct mcp_turn *t, json_t *o, struct err *e)
{
	struct waiting *w = o ? malloc(sizeof(*w)) : NULL;

	if (!w) {
		json_decref(o);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*w = (struct waiting){ t, o };
	engine_after_commit(s->engine, answer_now, w);
	return 0;
}
