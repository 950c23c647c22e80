/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of an answer or an event when the policy has looked at it. Identity first: whatever
 * a rule shows, another consumer's DID leaves as an operational label only. */
#include "disclosure.h"

#include "agent/codec/commit.h"
#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "queries_int.h"

#include <errno.h>
#include <stdio.h>

#define PATH_CAP 256

const struct disclosure_view disclosure_views[] = {
	{ "status", VIEW_WHOLE, { { 0 } } },
	{ "path_list", VIEW_WHOLE, { { 0 } } },
	{ "capacity_query", VIEW_WHOLE, { { 0 } } },
	{ "topology", VIEW_WHOLE, { { 0 } } },
	{ "deal_list", VIEW_ROWS, { { "deals", "id" } } },
	{ "flow_list", VIEW_ROWS, { { "flows", "agreement" } } },
	{ "service_list", VIEW_ROWS, { { "services", "id" } } },
	{ "ledger_show",
	  VIEW_ROWS,
	  { { "holds", "lineage" }, { "lineages", "lineage" }, { "credits", "lineage" } } },
	{ "deal_show", VIEW_BY_ID, { { 0 } } },
	{ "agreement_show", VIEW_BY_ID, { { 0 } } },
	{ "intent_show", VIEW_BY_ID, { { 0 } } },
	{ "quote_show", VIEW_BY_ID, { { 0 } } },
	{ "order_show", VIEW_BY_ID, { { 0 } } },
	{ "service_show", VIEW_BY_ID, { { 0 } } },
	{ "explain", VIEW_BY_ID, { { 0 } } },
	{ "log_read", VIEW_EVENTS, { { "rows", NULL } } },
};

_Static_assert(ARRAY_LEN(disclosure_views) <= DISCLOSE_RESOURCES_MAX, "one bit per resource");

int disclosure_resource(const char *tool)
{
	for (size_t i = 0; i < ARRAY_LEN(disclosure_views); i++)
		if (!strcmp(disclosure_views[i].tool, tool))
			return (int)i;
	return -1;
}

/* --- identity ----------------------------------------------------------------------------------
 */

/* The same label for the same consumer, which nobody without our salt can make. */
static void label_of(const struct side *s, const char *did, char ret[24])
{
	uint8_t key[32] = { 0 }, d[SHA256_LEN];
	struct sha256_ctx c;
	char hex[9];

	(void)!disclosure_key(s, key, NULL);
	sha256_begin(&c);
	sha256_add(&c, "treaty/label/v1", 15);
	sha256_add(&c, key, sizeof(key));
	sha256_add(&c, did, strlen(did));
	sha256_end(&c, d);
	(void)hex_encode(d, 4, hex, sizeof(hex));
	(void)snprintf(ret, 24, "consumer-%s", hex);
}

/* A new string with every consumer's DID but the caller's own replaced, or NULL on ENOMEM. */
static json_t *masked_text(const struct disclosure_lens *l, const char *v)
{
	const struct config *c = l->side->cfg;
	auto_free char *text = strdup(v);

	for (uint32_t i = 0; text && c && i < c->peers; i++) {
		const char *did = c->peer[i].did;
		char label[24], *at;

		if (c->peer[i].role != PEER_ENTERPRISE || !*did || !strcmp(did, l->who.did))
			continue;
		label_of(l->side, did, label);
		while (text && (at = strstr(text, did))) {
			char *next = NULL;

			if (asprintf(&next, "%.*s%s%s", (int)(at - text), text, label,
				     at + strlen(did)) < 0)
				next = NULL;
			free(text);
			text = next;
		}
	}
	return text ? json_string(text) : NULL;
}

static json_t *masked(const struct disclosure_lens *l, const json_t *v)
{
	json_t *out, *x;
	const char *k;
	size_t i;

	if (json_is_string(v))
		return masked_text(l, json_string_value(v));
	if (json_is_array(v)) {
		out = json_array();
		json_array_foreach (v, i, x)
			if (json_array_append_new(out, masked(l, x)))
				goto none;
		return out;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	out = json_object();
	json_object_foreach ((json_t *)(uintptr_t)v, k, x)
		if (json_object_set_new(out, k, masked(l, x)))
			goto none;
	return out;
none:
	json_decref(out);
	return NULL;
}

/* --- members -----------------------------------------------------------------------------------
 */

struct reducing {
	const struct disclosure_lens *l;
	uint32_t rules;
	bool whole;
	char path[PATH_CAP];
	uint8_t salt[32]; /* of the value around, when the lens has a key */
};

void disclosure_salt(const uint8_t key[32], uint64_t seq, const char *path, uint8_t salt[32])
{
	struct sha256_ctx c;
	uint8_t n[8];

	for (int i = 0; i < 8; i++)
		n[i] = (uint8_t)(seq >> (56 - 8 * i));
	sha256_begin(&c);
	sha256_add(&c, "treaty/disclose/v1", 18);
	sha256_add(&c, key, 32);
	sha256_add(&c, n, sizeof(n));
	sha256_add(&c, path, strlen(path));
	sha256_end(&c, salt);
}

/* What a later check needs of a value besides what is seen of it; NULL where it is hidden. */
static json_t *note(const struct reducing *x, const json_t *v, bool masked)
{
	uint8_t d[COMMIT_LEN];

	if (!masked)
		return commit_note(x->salt, false);
	return commit_value(x->salt, v, d, NULL) ? NULL : commit_note(d, true);
}

static json_t *hidden(const struct reducing *x, const json_t *v)
{
	uint8_t d[COMMIT_LEN];

	return commit_value(x->salt, v, d, NULL) ? NULL : commit_hidden(d);
}

static json_t *reduce(struct reducing *x, const json_t *v, json_t **ret_notes);

/* One value, with x->salt its own: what is seen of it (NULL: nothing), and the note beside it. */
static int reduce_value(struct reducing *x, enum disclose_sight sight, const json_t *v,
			json_t **seen, json_t **ret_note)
{
	const bool keyed = x->l->key != NULL;
	bool masks;

	/* Where there are no members to choose from, a value is seen whole or not at all. */
	if (sight == DISCLOSE_PART &&
	    (keyed ? commit_is_leaf(v) : !json_is_object(v) && !json_is_array(v)))
		sight = DISCLOSE_HIDE;
	x->whole &= sight != DISCLOSE_HIDE;
	if (sight == DISCLOSE_HIDE) {
		*seen = keyed ? hidden(x, v) : NULL;
		return *seen || !keyed ? 0 : -ENOMEM;
	}
	if (sight == DISCLOSE_PART) {
		*seen = reduce(x, v, ret_note);
		return *seen ? 0 : -ENOMEM;
	}
	*seen = masked(x->l, v);
	if (!*seen)
		return -ENOMEM;
	masks = !json_equal(*seen, v);
	x->whole &= !masks;
	if (keyed)
		*ret_note = note(x, v, masks);
	return *ret_note || !keyed ? 0 : -ENOMEM;
}

static int reduce_member(struct reducing *x, const char *key, const json_t *v, json_t *out,
			 json_t *notes)
{
	size_t n = strlen(x->path);
	json_t *seen = NULL, *with = NULL;
	uint8_t around[32];
	int r = 0;

	if (snprintf(x->path + n, sizeof(x->path) - n, "%s%s", n ? "." : "", key) >=
	    (int)(sizeof(x->path) - n)) {
		x->path[n] = '\0';
		return -EMSGSIZE;
	}
	memcpy(around, x->salt, sizeof(around));
	if (x->l->key)
		commit_salt(around, key, x->salt);
	r = reduce_value(x, disclose_member(disclosure_of(x->l->side), x->rules, x->path), v, &seen,
			 &with);
	memcpy(x->salt, around, sizeof(around));
	if (!r && seen)
		r = json_object_set_new(out, key, json_incref(seen)) ? -ENOMEM : 0;
	if (!r && with)
		r = json_object_set_new(notes, key, json_incref(with)) ? -ENOMEM : 0;
	json_decref(seen);
	json_decref(with);
	x->path[n] = '\0';
	return r;
}

/* The elements have the array's path; one without members of its own is not seen. */
static int reduce_element(struct reducing *x, size_t i, const json_t *v, json_t *out, json_t *notes)
{
	json_t *seen = NULL, *with = NULL;
	uint8_t around[32];
	int r;

	memcpy(around, x->salt, sizeof(around));
	if (x->l->key)
		commit_salt_at(around, i, x->salt);
	r = reduce_value(x, DISCLOSE_PART, v, &seen, &with);
	memcpy(x->salt, around, sizeof(around));
	if (!r && seen)
		r = json_array_append_new(out, json_incref(seen)) ? -ENOMEM : 0;
	if (!r && x->l->key)
		r = json_array_append_new(notes, with ? json_incref(with) : json_null()) ? -ENOMEM
											 : 0;
	json_decref(seen);
	json_decref(with);
	return r;
}

/* An object or array of which parts are seen. */
static json_t *reduce(struct reducing *x, const json_t *v, json_t **ret_notes)
{
	bool arr = json_is_array(v);
	json_t *out = arr ? json_array() : json_object(), *m;
	json_t *notes = arr ? json_array() : json_object();
	const char *k;
	size_t i;
	int r = out && notes ? 0 : -ENOMEM;

	if (!r && arr)
		json_array_foreach (v, i, m)
			r = r ? r : reduce_element(x, i, m, out, notes);
	else if (!r)
		json_object_foreach ((json_t *)(uintptr_t)v, k, m)
			r = r ? r : reduce_member(x, k, m, out, notes);
	if (r) {
		json_decref(out);
		json_decref(notes);
		return NULL;
	}
	if (x->l->key)
		*ret_notes = notes;
	else
		json_decref(notes);
	return out;
}

/* --- subjects ----------------------------------------------------------------------------------
 */

static void about(const struct disclosure_lens *l, const struct deal *d, struct disclose_what *w)
{
	w->own = d && l->who.did[0] &&
		 (!strcmp(d->peer.s, l->who.did) ||
		  (!d->operator_side &&
		   (!strcmp(d->cur.op.s, l->who.did) || !strcmp(d->pending.op.s, l->who.did))));
	w->ended = d && d->life == LIFE_TERMINATED;
}

static const struct deal *deal_of(const struct side *s, const struct event *ev)
{
	const ident_t *id = ev->kind == EV_REFUSED ? &ev->u.refused.deal : event_deal(ev);

	return id && !ident_empty(*id) ? world_deal(engine_world(s->engine), id) : NULL;
}

/* Members that are seen of every event that is seen at all. A root of digests has nothing to hide.
 */
static bool frame(const char *key)
{
	static const char *const name[] = { "v", "seq", "time", "actor", "tool", "event" };

	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		if (!strcmp(name[i], key))
			return true;
	return false;
}

static int frame_member(struct reducing *x, const char *key, json_t *v, json_t *out, json_t *notes)
{
	uint8_t salt[32];

	if (json_object_set(out, key, v))
		return -ENOMEM;
	if (!x->l->key)
		return 0;
	commit_salt(x->salt, key, salt);
	return json_object_set_new(notes, key, commit_note(salt, false)) ? -ENOMEM : 0;
}

int disclosure_event(const struct disclosure_lens *l, const struct event *ev, const json_t *row,
		     struct disclosure_seen *ret, struct err *e)
{
	struct disclose_what what = { .event = ev->kind, .at = ev->at };
	struct reducing x = { .l = l, .whole = true };
	auto_json json_t *out = json_object(), *notes = json_object();
	const char *k;
	json_t *v;
	int r = 0;

	*ret = (struct disclosure_seen){ .whole = true };
	if (l->who.owner) {
		ret->event = json_deep_copy(row);
		return ret->event ? 0 : -ENOMEM;
	}
	about(l, deal_of(l->side, ev), &what);
	x.rules = disclose_rules(disclosure_of(l->side), &l->who, &what);
	if (!x.rules)
		return 0;
	if (l->key)
		commit_event_salt(l->key, ev->seq, x.salt);
	json_object_foreach ((json_t *)(uintptr_t)row, k, v)
		if (!r)
			r = frame(k) || ev->kind == EV_LOG_COMMITTED
				    ? frame_member(&x, k, v, out, notes)
				    : reduce_member(&x, k, v, out, notes);
	if (r)
		return err_set(e, -ENOMEM, "out of memory");
	ret->whole = x.whole;
	ret->event = json_incref(out);
	ret->salts = l->key ? json_incref(notes) : NULL;
	return 0;
}

int disclosure_row(const struct disclosure_lens *l, uint64_t seq, const char *body, size_t len,
		   struct disclosure_seen *ret, struct err *e)
{
	auto_json json_t *row = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	struct event *ev = malloc(sizeof(*ev));
	int r = ev && row ? event_read(body, len, ev, NULL, e) : -ENOMEM;

	if (!r) {
		ev->seq = seq;
		r = disclosure_event(l, ev, row, ret, e);
	}
	free(ev);
	return r;
}

/* --- tools -------------------------------------------------------------------------------------
 */

static uint32_t resource_rules(const struct disclosure_lens *l, unsigned resource, const char *id)
{
	struct disclose_what what = { .resource = resource, .at = engine_now(l->side->engine) };

	about(l, id && *id ? query_deal(l->side, id) : NULL, &what);
	return disclose_rules(disclosure_of(l->side), &l->who, &what);
}

bool disclosure_about(const struct disclosure_lens *l, const char *tool, const char *deal)
{
	int i = disclosure_resource(tool);

	return l->who.owner || (i >= 0 && resource_rules(l, (unsigned)i, deal));
}

int disclosure_sight(const struct disclosure_lens *l, uint64_t seq, const char *text, char **ret,
		     struct err *e)
{
	struct disclosure_seen seen = { 0 };
	int r = l->who.owner ? 1 : disclosure_row(l, seq, text, strlen(text), &seen, e);

	if (r || !seen.event || seen.whole) {
		r = r ? r : seen.event != NULL;
		json_decref(seen.event);
		return r;
	}
	*ret = json_dump_new(seen.event, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(seen.event);
	return *ret ? 2 : err_set(e, -ENOMEM, "out of memory");
}

int disclosure_ask(const struct disclosure_lens *l, const char *tool, const json_t *args,
		   struct err *e)
{
	int i = disclosure_resource(tool);
	const char *id = json_string_value(json_object_get(args, "id"));

	if (l->who.owner)
		return 0;
	if (i < 0)
		return l->who.roles == DISCLOSE_APP && !disclosure_of(l->side)->version
			       ? 0
			       : err_set(e, -EACCES, "not_authorized: %s: for its owner alone",
					 tool);
	if (!disclose_may_ask(disclosure_of(l->side), &l->who, (unsigned)i))
		return err_set(e, -EACCES, "not_authorized: %s: no rule of the disclosure policy",
			       tool);
	if (args && disclosure_views[i].shape == VIEW_BY_ID && !resource_rules(l, (unsigned)i, id))
		return err_set(e, -ENOENT, "agreement_unknown: %.60s: no deal has this id",
			       id ? id : "");
	return 0;
}

static int answer_whole(const struct disclosure_lens *l, uint32_t rules, json_t **io, struct err *e)
{
	struct reducing x = { .l = l, .rules = rules };
	json_t *out;

	if (!rules)
		return err_set(e, -EACCES, "not_authorized: no rule of the disclosure policy");
	out = reduce(&x, *io, NULL);
	if (!out)
		return err_set(e, -ENOMEM, "out of memory");
	json_decref(*io);
	*io = out;
	return 0;
}

static int keep_row(const struct disclosure_lens *l, unsigned resource, size_t list,
		    const json_t *row, json_t *out)
{
	const struct disclosure_view *v = &disclosure_views[resource];
	const char *id =
		v->list[list].id ? json_string_value(json_object_get(row, v->list[list].id)) : NULL;
	struct reducing x = { .l = l, .rules = resource_rules(l, resource, id) };
	json_t *seen;

	if (!x.rules)
		return 0;
	seen = reduce(&x, row, NULL);
	return seen ? json_array_append_new(out, seen) : -ENOMEM;
}

static int keep_event(const struct disclosure_lens *l, const json_t *row, json_t *out)
{
	auto_free char *text = json_dump_new(row, JSON_COMPACT);
	struct disclosure_seen seen = { 0 };
	int r = text ? disclosure_row(l, (uint64_t)json_integer_value(json_object_get(row, "seq")),
				      text, strlen(text), &seen, NULL)
		     : -ENOMEM;

	return r || !seen.event ? r : json_array_append_new(out, seen.event);
}

/* A list of rows that name no agreement is seen by rules that ask for none. */
static int keep_list(const struct disclosure_lens *l, unsigned resource, const char *key,
		     const json_t *rows, json_t *out)
{
	const struct disclosure_view *v = &disclosure_views[resource];
	struct reducing x = { .l = l, .rules = resource_rules(l, resource, NULL) };
	json_t *kept, *m;
	size_t n, i = 0;
	int r = 0;

	while (i < ARRAY_LEN(v->list) && v->list[i].rows && strcmp(v->list[i].rows, key) != 0)
		i++;
	if (i == ARRAY_LEN(v->list) || !v->list[i].rows) {
		kept = x.rules ? reduce(&x, rows, NULL) : json_array();
	} else {
		kept = json_array();
		json_array_foreach (rows, n, m)
			r = r                         ? r
			    : v->shape == VIEW_EVENTS ? keep_event(l, m, kept)
						      : keep_row(l, resource, i, m, kept);
	}
	return json_object_set_new(out, key, kept) ? -ENOMEM : r;
}

static int answer_rows(const struct disclosure_lens *l, unsigned resource, json_t **io,
		       struct err *e)
{
	auto_json json_t *out = json_object();
	const char *k;
	json_t *m;
	int r = 0;

	json_object_foreach (*io, k, m)
		r = r                  ? r
		    : json_is_array(m) ? keep_list(l, resource, k, m, out)
				       : json_object_set(out, k, m);
	if (r)
		return err_set(e, -ENOMEM, "out of memory");
	json_decref(*io);
	*io = json_incref(out);
	return 0;
}

int disclosure_answer(const struct disclosure_lens *l, const char *tool, const json_t *args,
		      json_t **io, struct err *e)
{
	int i = disclosure_resource(tool);
	const char *id = json_string_value(json_object_get(args, "id"));

	if (l->who.owner || i < 0) /* disclosure_ask() let it pass */
		return 0;
	if (disclosure_views[i].shape == VIEW_ROWS || disclosure_views[i].shape == VIEW_EVENTS)
		return answer_rows(l, (unsigned)i, io, e);
	return answer_whole(l, resource_rules(l, (unsigned)i, id), io, e);
}
