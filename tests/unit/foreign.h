/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - what a stranger may send instead of a good body: every member of a document missing,
 * twice, unknown, of another type, null, empty, too long, too deep, spelt otherwise, not UTF-8.
 * Each mutant must be refused in words that name a field or a rule, and must leave every byte of
 * the world and of the database's tables (the event log apart, which holds the refusal) as it was.
 */
#ifndef TREATY_TEST_FOREIGN_H
#define TREATY_TEST_FOREIGN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>

#include "agent/tools/engine.h"
#include "agent/wire/mcp.h"

#define RAW_MAX 80000

/* --- mutants ---------------------------------------------------------------------------------- */

struct mutants {
	json_t *root; /* a copy, changed and changed back */
	const char *const
		*skip; /* "path rule" that is legal, or a prefix of such; ends with NULL */
	void (*fn)(void *arg, const char *what, const char *text);
	void *arg;
	unsigned n;
};

/* The place of a token in the text gives way to bytes that no JSON writer makes. */
static inline char *foreign_splice(char *text, const char *token, const char *raw)
{
	char *at = strstr(text, token), *out;
	size_t len = strlen(text) + strlen(raw) + 1;

	if (!at)
		return text;
	out = malloc(len);
	assert_non_null(out);
	(void)snprintf(out, len, "%.*s%s%s", (int)(at - text), text, raw, at + strlen(token));
	free(text);
	return out;
}

static inline void mutant(struct mutants *m, const char *path, const char *rule, const char *raw)
{
	char what[300];
	char *text;

	(void)snprintf(what, sizeof(what), "%s %s", path, rule);
	for (size_t i = 0; m->skip && m->skip[i]; i++)
		if (!strncmp(what, m->skip[i], strlen(m->skip[i])))
			return;
	text = json_dumps(m->root, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_non_null(text);
	text = foreign_splice(text, "@@DUP\"", "\"");
	if (raw)
		text = foreign_splice(text, "\"@@RAW\"", raw);
	m->fn(m->arg, what, text);
	m->n++;
	free(text);
}

static inline const char *foreign_deep(void)
{
	static char s[128];

	memset(s, '[', 40);
	memset(s + 40, ']', 40);
	return s;
}

static inline const char *foreign_long(size_t n)
{
	static char s[RAW_MAX];

	memset(s, 'a', n);
	s[0] = s[n - 1] = '"';
	s[n] = '\0';
	return s;
}

struct spelling {
	const char *rule, *raw;
};

static inline size_t spellings(const json_t *v, struct spelling out[16], char num[3][40])
{
	size_t n = 0;
	long long i = json_integer_value(v);

	out[n++] = (struct spelling){ "null", "null" };
	out[n++] = (struct spelling){ "deep", foreign_deep() };
	out[n++] = (struct spelling){ "not utf-8", "\"a\xff\xc3(\"" };
	out[n++] = (struct spelling){ "large", foreign_long(70000) };
	out[n++] = (struct spelling){ "boolean", json_is_boolean(v) ? "1" : "true" };
	out[n++] = (struct spelling){ "array for it", json_is_array(v) ? "{}" : "[]" };
	out[n++] = (struct spelling){ "empty object", "{}" };
	if (json_is_string(v)) {
		out[n++] = (struct spelling){ "number", "7" };
		out[n++] = (struct spelling){ "empty", "\"\"" };
		out[n++] = (struct spelling){ "nul byte", "\"a\\u0000b\"" };
	}
	if (json_is_object(v) || json_is_array(v))
		out[n++] = (struct spelling){ "string", "\"x\"" };
	if (!json_is_integer(v))
		return n;
	(void)snprintf(num[0], 40, "%lld.%llde1", i / 10, i % 10 < 0 ? -(i % 10) : i % 10);
	(void)snprintf(num[1], 40, "\"%lld\"", i);
	out[n++] = (struct spelling){ "respelt", num[0] };
	out[n++] = (struct spelling){ "as text", num[1] };
	out[n++] = (struct spelling){ "unsafe", "9007199254740993" };
	out[n++] = (struct spelling){ "endless", "1e999" };
	out[n++] = (struct spelling){ "negative", "-9" };
	return n;
}

static inline void mutate(struct mutants *m, json_t *node, const char *path);

/* One member in every wrong form; at the end it is what it was. */
static inline void mutate_member(struct mutants *m, json_t *node, const char *key, const char *path)
{
	json_t *old = json_incref(json_object_get(node, key));
	char at[200], twin[80], num[3][40];
	struct spelling s[16];
	size_t n = spellings(old, s, num);

	(void)snprintf(at, sizeof(at), "%s%s%s", path, *path ? "." : "", key);
	json_object_del(node, key);
	mutant(m, at, "missing", NULL);
	json_object_set(node, key, old);
	(void)snprintf(twin, sizeof(twin), "%s@@DUP", key);
	json_object_set(node, twin, old);
	mutant(m, at, "twice", NULL);
	json_object_del(node, twin);
	for (size_t i = 0; i < n; i++) {
		json_object_set_new(node, key, json_string("@@RAW"));
		if (strcmp(s[i].rule, "empty object") || !json_is_object(old) ||
		    json_object_size(old))
			mutant(m, at, s[i].rule, s[i].raw);
		json_object_set(node, key, old);
	}
	mutate(m, old, at);
	json_decref(old);
}

static inline void mutate_items(struct mutants *m, json_t *arr, const char *path)
{
	static const struct spelling bad[] = { { "null", "null" },
					       { "nested", "[[]]" },
					       { "number", "7.5" } };
	char at[200];

	for (size_t i = 0; i < json_array_size(arr) && i < 4; i++) {
		json_t *old = json_incref(json_array_get(arr, i));

		(void)snprintf(at, sizeof(at), "%s[%zu]", path, i);
		for (size_t k = 0; k < 3; k++) {
			json_array_set_new(arr, i, json_string("@@RAW"));
			mutant(m, at, bad[k].rule, bad[k].raw);
			json_array_set(arr, i, old);
		}
		json_array_remove(arr, i);
		mutant(m, at, "missing", NULL);
		json_array_insert(arr, i, old);
		mutate(m, old, at);
		json_decref(old);
	}
}

static inline void mutate(struct mutants *m, json_t *node, const char *path)
{
	char *keys[64];
	size_t n = 0;

	if (json_is_array(node))
		mutate_items(m, node, path);
	if (!json_is_object(node))
		return;
	for (void *it = json_object_iter(node); it && n < 64; it = json_object_iter_next(node, it))
		keys[n++] = strdup(json_object_iter_key(it)); /* the table's own may move */
	json_object_set_new(node, "xUnknown", json_integer(1));
	mutant(m, path, "unknown member", NULL);
	json_object_del(node, "xUnknown");
	for (size_t i = 0; i < n; i++) {
		assert_non_null(keys[i]);
		mutate_member(m, node, keys[i], path);
		free(keys[i]);
	}
}

/* And the document as a whole. */
static inline void mutate_root(struct mutants *m)
{
	static const struct spelling whole[] = {
		{ "null", "null" },        { "array", "[]" },
		{ "empty object", "{}" },  { "string", "\"x\"" },
		{ "number", "2.0e1" },     { "cut", "{\"@type\":" },
		{ "not json", "{'a':1}" }, { "not utf-8", "{\"\xc0\xaf\":1}" },
	};
	json_t *doc = m->root;

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		m->root = json_string("@@RAW");
		mutant(m, "body", whole[i].rule, whole[i].raw);
		json_decref(m->root);
	}
	m->root = json_string("@@RAW");
	mutant(m, "body", "deep", foreign_deep());
	json_decref(m->root);
	m->root = doc;
}

/* --- what must not change --------------------------------------------------------------------- */

struct still {
	struct deal *deal;
	struct wanted *wanted;
	uint32_t n_deals, n_wanted;
	uint64_t events, refusals, tables;
};

static inline uint64_t fnv(uint64_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211ull;
	return h;
}

static inline uint64_t table_hash(sqlite3 *db, const char *name, uint64_t h)
{
	char sql[128];
	sqlite3_stmt *st;

	(void)snprintf(sql, sizeof(sql), "SELECT * FROM %s", name);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const void *p = sqlite3_column_blob(st, i);

			h = fnv(h, p, (size_t)sqlite3_column_bytes(st, i));
			h = fnv(h, "|", 1);
		}
	sqlite3_finalize(st);
	return h;
}

/* Every table but the event log and its head: ledger, challenges, conversations, bodies, outbox. */
static inline uint64_t tables_hash(const char *where)
{
	static const char *const names[] = { "kv WHERE key<>'head'", "body",    "challenge",
					     "idempotency",          "outbox",  "wallet",
					     "class_budget",         "lineage", "agreement",
					     "ledger_idem",          "journal" };
	static char open_path[160];
	static sqlite3 *db; /* of the last directory asked for */
	uint64_t h = 14695981039346656037ull;
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/treaty.db", where);
	if (strcmp(path, open_path) != 0) {
		sqlite3_close(db);
		if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
			fail_msg("%s: %s", path, sqlite3_errmsg(db));
		memcpy(open_path, path, sizeof(path));
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		h = table_hash(db, names[i], h);
	return h;
}

static inline struct still still_of(const struct world *w, const char *where)
{
	struct still s = { .deal = calloc(w->n_deals + 1, sizeof(*w->deal)),
			   .wanted = calloc(w->n_wanted + 1, sizeof(*w->wanted)),
			   .n_deals = w->n_deals,
			   .n_wanted = w->n_wanted,
			   .events = w->events,
			   .refusals = w->refusals,
			   .tables = tables_hash(where) };

	assert_true(s.deal && s.wanted);
	memcpy(s.deal, w->deal, w->n_deals * sizeof(*w->deal));
	memcpy(s.wanted, w->wanted, w->n_wanted * sizeof(*w->wanted));
	return s;
}

static inline void still_free(struct still *s)
{
	free(s->deal);
	free(s->wanted);
}

static inline const char *still_broken(const struct still *s, const struct world *w,
				       const char *where)
{
	if (w->n_deals != s->n_deals || memcmp(w->deal, s->deal, s->n_deals * sizeof(*s->deal)))
		return "a deal changed";
	if (w->n_wanted != s->n_wanted ||
	    memcmp(w->wanted, s->wanted, s->n_wanted * sizeof(*s->wanted)))
		return "the wanted steps changed";
	if (w->events - s->events != w->refusals - s->refusals)
		return "the log holds more than refusals";
	if (tables_hash(where) != s->tables)
		return "the database changed";
	return NULL;
}

/* --- refusals --------------------------------------------------------------------------------- */

/* "field: rule", or "field.part: ...": no bare "Invalid argument". */
static inline bool names_rule(const char *text)
{
	return text && strlen(text) > 4 && strchr(text, ':');
}

/* The text of the answer's refusal, NULL when it is none: a JSON-RPC error, a tool's isError, a
 * Problem. An internal error is none. */
static inline const char *refusal_in(const json_t *answer)
{
	const json_t *err = json_object_get(answer, "error"),
		     *r = json_object_get(answer, "result");
	const json_t *task = json_object_get(r, "task");
	const json_t *msg = task ? json_object_get(json_object_get(task, "status"), "message")
				 : json_object_get(r, "message");
	const json_t *part =
		json_object_get(json_array_get(json_object_get(msg, "parts"), 0), "data");
	const char *type = json_string_value(json_object_get(part, "@type"));

	if (err && json_integer_value(json_object_get(err, "code")) != -32603)
		return json_string_value(json_object_get(err, "message"));
	if (json_is_true(json_object_get(r, "isError")))
		return json_string_value(
			json_object_get(json_array_get(json_object_get(r, "content"), 0), "text"));
	if (type && !strcmp(type, "Problem"))
		return json_string_value(json_object_get(part, "detail"));
	return NULL;
}

/* --- over MCP --------------------------------------------------------------------------------- */

/* One tools/call whose arguments are these bytes. */
static inline void foreign_mcp(struct mcp_server *s, const char *tool, const char *args,
			       struct wire_sink sink)
{
	static const struct peer human = { .local = true };
	auto_free char *body = NULL;
	json_t *token = json_pack("{s:i}", "@@PART", 1);
	struct mcp_call c = { .method = "tools/call",
			      .tool = tool,
			      .args = token,
			      .client_name = "t",
			      .client_version = "1",
			      .rpc_id = 7 };
	struct wire_header h[5];
	struct wire_request r = { .method = "POST",
				  .path = "/mcp",
				  .query = "",
				  .headers = h,
				  .nheaders = mcp_client_headers(h, &c),
				  .peer = &human };

	body = foreign_splice(mcp_build(&c), "{\"@@PART\":1}", args);
	json_decref(token);
	r.body = body;
	r.len = strlen(body);
	mcp_server_handle(s, &r, sink);
}

/* One line of what went wrong; the test fails at the end with their number. */
static unsigned foreign_wrong, foreign_total;

static inline void wrong(const char *kind, const char *what, const char *how, const char *text)
{
	foreign_wrong++;
	if (foreign_wrong <= 100)
		printf("%s: %s: %s: %.160s\n", kind, what, how, text ? text : "");
}

static inline void foreign_done(const char *kind, unsigned n, unsigned least)
{
	printf("foreign %-24s %5u cases\n", kind, n);
	foreign_total += n;
	assert_true(n >= least);
	n = foreign_wrong;
	foreign_wrong = 0;
	if (n)
		fail_msg("%s: %u mutants", kind, n);
}

#endif
