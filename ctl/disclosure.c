/* SPDX-License-Identifier: Apache-2.0 */
/* The disclosure policy, exports of the log under it, and their check by whoever gets one. */
#include "evidence.h"

#include "agent/codec/commit.h"
#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/codec/vc.h"
#include "agent/crypto/crypto.h"
#include "agent/disclosure.h"
#include "agent/log_commit.h"
#include "agent/store/merkle.h"

#include <errno.h>
#include <stdio.h>

#define EXPORT_LIMITS ((struct json_limits){ 16 * 1024 * 1024, 40, 4 * 1024 * 1024 })

static int put(const struct ctl *c, const json_t *v)
{
	auto_free char *text = json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS);

	return text ? file_put(opt_get(c, "out"), text) : fail(CTL_FAILED, "out of memory");
}

static int with_policy(struct ctl *c, const char *tool, json_t **ret)
{
	json_t *doc;
	int r = file_json(c->arg[0], &doc);

	return r ? r : client_call(c, tool, json_pack("{s:o}", "policy", doc), ret);
}

int ctl_disclosure_show(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = client_call(c, "disclosure_show", json_object(), &o);

	if (!r)
		print_json(o);
	return r;
}

int ctl_disclosure_sign(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = with_policy(c, "disclosure_sign", &o);

	return r ? r : put(c, json_object_get(o, "policy"));
}

int ctl_disclosure_load(struct ctl *c)
{
	auto_json json_t *o = NULL;
	int r = with_policy(c, "disclosure_load", &o);

	if (!r)
		print_object(o);
	return r;
}

int ctl_log_export(struct ctl *c)
{
	static const char *const names[] = { "for", "peer", "agreement" };
	auto_json json_t *o = NULL;
	json_t *args = json_object();
	int64_t after = 0, next;
	struct err e = { 0 };
	int r;

	if (!opt_get(c, "for") || opt_int(c, "after", 0, INT64_MAX - 1, &after, &e) < 0) {
		json_decref(args);
		return fail(CTL_USAGE, "%s",
			    e.code ? e.text : "--for: consumer, operator or auditor");
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (opt_get(c, names[i]))
			(void)json_object_set_new(args, names[i],
						  json_string(opt_get(c, names[i])));
	(void)json_object_set_new(args, "after", json_integer(after));
	r = client_call(c, "log_export", args, &o);
	r = r ? r : put(c, json_object_get(o, "export"));
	next = json_integer_value(json_object_get(o, "next"));
	if (!r && next)
		(void)fprintf(stderr, "treatyctl: there is more: --after %lld\n", (long long)next);
	return r;
}

int ctl_log_open(struct ctl *c)
{
	auto_json json_t *o = NULL;
	char *end = NULL;
	uint64_t seq = strtoull(c->arg[0], &end, 10);
	int r;

	if (*end || !seq || seq > INT64_MAX)
		return fail(CTL_USAGE, "SEQ: a number of an event, from 1");
	r = client_call(c, "log_open",
			json_pack("{s:I, s:s}", "seq", (json_int_t)seq, "member", c->arg[1]), &o);
	return r ? r : put(c, o);
}

/* --- check-export ------------------------------------------------------------------------------
 */

/* A root over salted digests, and the events that are under it. */
struct commitment {
	int64_t by, first, end;
	struct hash root;
};

struct checking {
	const struct ctl *c;
	struct evidence ev;
	struct hash root;
	struct commitment *roots;
	size_t n_roots;
	int64_t whole, partly, proven, late, digests, masked, opened, first, last;
};

static bool hash_of(const json_t *v, struct hash *ret)
{
	const char *s = json_string_value(v);

	return s && base64_decode(s, strlen(s), ret->b, HASH_LEN) == HASH_LEN;
}

static int path_of(const json_t *list, struct merkle_proof *ret)
{
	size_t i;
	json_t *v;

	ret->n = 0;
	json_array_foreach (list, i, v)
		if (i == MERKLE_PROOF_MAX || !hash_of(v, &ret->node[ret->n++]))
			return -EINVAL;
	return json_is_array(list) ? 0 : -EINVAL;
}

/* Counts the digests inside v; each is one member that was hidden. */
static int64_t redacted(const json_t *v)
{
	const char *k;
	json_t *m;
	int64_t n = 0;
	size_t i;

	if (json_is_object(v) && json_object_size(v) == 1 &&
	    json_is_string(json_object_get(v, "redacted")))
		return 1;
	json_object_foreach ((json_t *)(uintptr_t)v, k, m)
		n += redacted(m);
	json_array_foreach (v, i, m)
		n += redacted(m);
	return n;
}

/* What is shown of an event and the digests of the rest make the digest that a root is over: fixed
 * when the log went on, not when this was exported. Without a root it rests on the exporter. */
static int check_part(struct checking *k, const json_t *o, int64_t seq)
{
	const json_t *with = json_object_get(o, "committed");
	int64_t by = json_integer_value(json_object_get(with, "by"));
	struct commit_seen seen = { 0 };
	struct merkle_proof p;
	uint8_t d[COMMIT_LEN];
	struct err e = { 0 };
	struct hash leaf;
	size_t i = 0;

	if (commit_shown(json_object_get(o, "event"), json_object_get(o, "salts"), &seen, d, &e))
		return fail(CTL_REFUSED, "event %lld: salts: %s", (long long)seq, e.text);
	k->digests += seen.hidden;
	k->masked += seen.masked;
	if (!with)
		return CTL_OK;
	while (i < k->n_roots && k->roots[i].by != by)
		i++;
	if (i == k->n_roots || seq < k->roots[i].first || seq >= k->roots[i].end ||
	    path_of(json_object_get(with, "path"), &p))
		return fail(CTL_REFUSED, "event %lld: committed: by no root that is here",
			    (long long)seq);
	leaf = hash_leaf(d, sizeof(d));
	if (merkle_check_inclusion(&leaf, (uint64_t)(seq - k->roots[i].first),
				   (uint64_t)(k->roots[i].end - k->roots[i].first), &p,
				   &k->roots[i].root))
		return fail(CTL_REFUSED,
			    "event %lld: is not what was committed to when it was logged",
			    (long long)seq);
	k->proven++;
	k->late = by - seq > k->late ? by - seq : k->late;
	return CTL_OK;
}

/* The leaf of a whole event is that of its bytes; what is partly hidden carries its seq. */
static int check_body(struct checking *k, const json_t *o, int64_t seq, const struct hash *leaf)
{
	const char *body = json_string_value(json_object_get(o, "body"));
	const json_t *part = json_object_get(o, "event");
	struct hash own;

	if ((body != NULL) == json_is_object(part))
		return fail(CTL_REFUSED, "event %lld: either body or event", (long long)seq);
	if (body) {
		own = hash_leaf(body, strlen(body));
		if (!hash_eq(&own, leaf))
			return fail(CTL_REFUSED, "event %lld: the body is not that of its leaf",
				    (long long)seq);
		k->whole++;
		return CTL_OK;
	}
	if (json_integer_value(json_object_get(part, "seq")) != seq)
		return fail(CTL_REFUSED, "event %lld: names another seq", (long long)seq);
	k->partly++;
	if (json_object_get(o, "salts"))
		return check_part(k, o, seq);
	k->digests += redacted(part);
	return CTL_OK;
}

/* In the tree, and behind `last`. */
static int check_leaf(const struct checking *k, const json_t *o, int64_t last, int64_t *ret_seq,
		      struct hash *leaf)
{
	int64_t seq = json_integer_value(json_object_get(o, "seq"));
	uint64_t size = k->ev.cp.size;
	struct merkle_proof p;

	if (seq < 1 || (uint64_t)seq > size || seq <= last)
		return fail(CTL_REFUSED, "event %lld: not in order, or beyond the checkpoint",
			    (long long)seq);
	if (!hash_of(json_object_get(o, "leaf"), leaf) || path_of(json_object_get(o, "path"), &p))
		return fail(CTL_REFUSED, "event %lld: leaf and path required", (long long)seq);
	if (merkle_check_inclusion(leaf, (uint64_t)seq - 1, size, &p, &k->root))
		return fail(CTL_REFUSED, "event %lld: is not shown to be in the tree",
			    (long long)seq);
	*ret_seq = seq;
	return CTL_OK;
}

static int check_event(struct checking *k, const json_t *o)
{
	struct hash leaf;
	int64_t seq = 0;
	int r = check_leaf(k, o, k->last, &seq, &leaf);

	if (r)
		return r;
	k->first = k->first ? k->first : seq;
	k->last = seq;
	return check_body(k, o, seq, &leaf);
}

/* A LOG_COMMITTED event, whole; *ret what it says. */
static int read_root(const json_t *o, int64_t seq, const struct hash *leaf, struct commitment *ret)
{
	const char *body = json_string_value(json_object_get(o, "body"));
	struct event *ev = malloc(sizeof(*ev));
	int r = ev ? CTL_OK : fail(CTL_FAILED, "out of memory");
	const struct ev_commit *c;
	struct hash own;

	if (!r && body)
		own = hash_leaf(body, strlen(body));
	if (!r && (!body || !hash_eq(&own, leaf) ||
		   event_read(body, strlen(body), ev, NULL, NULL) || ev->kind != EV_LOG_COMMITTED))
		r = fail(CTL_REFUSED, "commitment %lld: not the event of its leaf", (long long)seq);
	c = &ev->u.commit;
	if (!r && (!c->first || !c->count || c->count > LOG_COMMIT_MAX ||
		   c->first > (uint64_t)seq - c->count))
		r = fail(CTL_REFUSED, "commitment %lld: is not over what was before it",
			 (long long)seq);
	if (!r) {
		*ret = (struct commitment){
			seq, (int64_t)c->first, (int64_t)(c->first + c->count), { { 0 } }
		};
		memcpy(ret->root.b, c->root.b, sizeof(ret->root.b));
	}
	free(ev);
	return r;
}

/* In the order of the log, no event under two of them. */
static int check_roots(struct checking *k, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "commitments"), *o;
	int64_t last = 0, end = 1;
	struct hash leaf;
	size_t i;
	int r = CTL_OK;

	k->roots = calloc(json_array_size(list) + 1, sizeof(*k->roots));
	if (!k->roots)
		return fail(CTL_FAILED, "out of memory");
	for (i = 0; !r && (o = json_array_get(list, i)); i++) {
		struct commitment *c = &k->roots[k->n_roots];

		r = check_leaf(k, o, last, &last, &leaf);
		r = r ? r : read_root(o, last, &leaf, c);
		if (!r && c->first < end)
			r = fail(CTL_REFUSED, "commitment %lld: of events of another one",
				 (long long)last);
		end = c->end;
		k->n_roots++;
	}
	return r;
}

struct document_keys {
	const json_t *doc;
	wall_t at; /* when the export says that it was signed */
};

static int resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
		   struct err *e)
{
	const struct document_keys *k = arg;

	return evidence_key(k->doc, method, purpose, k->at, pub, e);
}

/* Signed by the agreement key of the side that it names, whose log the checkpoint is of. */
static int check_signature(struct checking *k, const json_t *doc)
{
	const struct proof_expect want = { .purpose = "assertionMethod" };
	const char *side = json_string_value(json_object_get(doc, "side"));
	const char *type = json_string_value(json_object_get(doc, "type"));
	auto_json json_t *did = NULL, *verified = NULL;
	struct document_keys keys = { .at = wall_clock() };
	struct err e = { 0 };
	int r;

	if (!type || strcmp(type, DISCLOSURE_EXPORT) != 0 || !side)
		return fail(CTL_REFUSED, "not a " DISCLOSURE_EXPORT);
	r = evidence_document(k->c, side, &did);
	if (r)
		return r;
	keys.doc = did;
	if (json_opt_time(json_object_get(doc, "proof"), "proof", "created", &keys.at, &e) < 0)
		return fail(CTL_REFUSED, "%s", e.text);
	if (proof_verify(doc, &want, &(struct did_resolver){ resolve, &keys }, &verified, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	return CTL_OK;
}

static int check_checkpoint(struct checking *k, const json_t *doc)
{
	const char *note = json_string_value(json_object_get(doc, "checkpoint"));
	const char *side = json_string_value(json_object_get(doc, "side"));
	int r = note ? evidence_note(k->c, note, strlen(note), &k->ev)
		     : fail(CTL_REFUSED, "checkpoint: required");
	size_t n = strlen(side);

	if (!r && (strncmp(k->ev.cp.origin, side, n) != 0 || k->ev.cp.origin[n] != '/'))
		r = fail(CTL_REFUSED, "checkpoint: of another side's log: %s", k->ev.cp.origin);
	memcpy(k->root.b, k->ev.cp.root, HASH_LEN);
	return r;
}

/* before: its salt in an export of before there were commitments, or NULL. */
static bool opens(const json_t *value, const char *want, const uint8_t salt[32],
		  const struct hash *before)
{
	uint8_t d[COMMIT_LEN], is[COMMIT_LEN];

	if (!value || digest_decode(want, is))
		return false;
	if (!commit_value(salt, value, d, NULL) && !memcmp(d, is, sizeof(d)))
		return true;
	return before && !commit_leaf(before->b, value, d, NULL) && !memcmp(d, is, sizeof(d));
}

/* A member that was opened later: its digest in the export is that of this value and salt. */
static int check_opened(struct checking *k, const json_t *doc, const char *file)
{
	const json_t *events = json_object_get(doc, "events"), *v = NULL;
	auto_json json_t *o = NULL;
	const char *path, *want;
	struct hash salt, old, *before = NULL;
	json_t *x;
	size_t i;
	int r = file_json(file, &o);

	if (r)
		return r;
	path = json_string_value(json_object_get(o, "member"));
	if (!path || !hash_of(json_object_get(o, "salt"), &salt))
		return fail(CTL_USAGE, "%s: member and salt required", file);
	if (hash_of(json_object_get(o, "saltBefore"), &old))
		before = &old;
	json_array_foreach (events, i, x)
		if (json_equal(json_object_get(x, "seq"), json_object_get(o, "seq")))
			v = commit_member(json_object_get(x, "event"), path, NULL);
	want = json_string_value(json_object_get(v, "redacted"));
	if (!want)
		return fail(CTL_REFUSED, "%s: no digest at %s in this export", file, path);
	if (!opens(json_object_get(o, "value"), want, salt.b, before))
		return fail(CTL_REFUSED, "%s: %s is not what the export's digest stands for", file,
			    path);
	k->opened++;
	return CTL_OK;
}

static int show(const struct checking *k, const json_t *doc)
{
	auto_json json_t *o = json_pack(
		"{s:s, s:I, s:O, s:O, s:O, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "log",
		k->ev.cp.origin, "logSize", (json_int_t)k->ev.cp.size, "for",
		json_object_get(doc, "for"), "to", json_object_get(doc, "to"), "policy",
		json_object_get(doc, "policy"), "whole", (json_int_t)k->whole, "partly",
		(json_int_t)k->partly, "proven", (json_int_t)k->proven, "late", (json_int_t)k->late,
		"masked", (json_int_t)k->masked, "digests", (json_int_t)k->digests, "opened",
		(json_int_t)k->opened, "first", (json_int_t)k->first, "last", (json_int_t)k->last);

	if (!o || json_object_update(o, k->ev.who))
		return fail(CTL_REFUSED, "for, to and policy required");
	print_json(o);
	return CTL_OK;
}

static int check(struct checking *k, const json_t *doc)
{
	const json_t *events = json_object_get(doc, "events");
	const char *file;
	json_t *o;
	size_t i;
	int r = check_signature(k, doc);

	r = r ? r : check_checkpoint(k, doc);
	if (!r && !json_is_array(events))
		r = fail(CTL_REFUSED, "events: array required");
	r = r ? r : check_roots(k, doc);
	json_array_foreach (events, i, o)
		r = r ? r : check_event(k, o);
	if (!r && opt_get(k->c, "proven") && k->proven != k->partly)
		r = fail(CTL_REFUSED, "%lld events rest on the exporter's word",
			 (long long)(k->partly - k->proven));
	for (i = 0; !r && (file = opt_nth(k->c, "opened", i)); i++)
		r = check_opened(k, doc, file);
	return r ? r : show(k, doc);
}

int ctl_log_check_export(struct ctl *c)
{
	const struct json_limits lim = EXPORT_LIMITS;
	struct checking k = { .c = c };
	auto_free char *text = NULL;
	auto_json json_t *doc = NULL;
	struct err e = { 0 };
	size_t len;
	int r;

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (!opt_nth(c, "document", 0))
		return fail(CTL_USAGE,
			    "--document: the DID document of the log's side is required");
	r = file_text(c->arg[0], lim.bytes, &text, &len);
	if (r)
		return r;
	if (json_read(&doc, text, len, &lim, &e))
		return fail(CTL_REFUSED, "%s: %s", c->arg[0], e.text);
	r = check(&k, doc);
	json_decref(k.ev.who);
	free(k.roots);
	return r;
}
