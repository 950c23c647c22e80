/* SPDX-License-Identifier: Apache-2.0 */
/* Who signed a checkpoint, while keys are rotated and lost. The note names no generation and bears
 * no time of its own; what dates it is a cosigner. */
#include "evidence.h"

#include "agent/codec/did.h"
#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>

enum { DOCUMENTS_MAX = 16, LINES_MAX = 64 };

/* A line of the note that verifies with a key of a document. */
struct line {
	bool of_log;
	char key[DID_URL_MAX];
	uint8_t pub[32];
	wall_t at; /* a cosigner's */
	wall_t expires, revoked;
};

struct reading {
	struct evidence *ev;
	struct note note;
	struct line line[LINES_MAX];
	size_t n;
};

/* "#checkpoint", "#checkpoint-2": no other key of a side speaks for its log. */
static bool is_checkpoint(const char *method)
{
	static const char word[] = "checkpoint";
	const char *f = strchr(method, '#');
	size_t n = sizeof(word) - 1;

	if (!f || strncmp(f + 1, word, n) != 0)
		return false;
	f += 1 + n;
	return !*f || (f[0] == '-' && f[1] && strspn(f + 1, "0123456789") == strlen(f + 1));
}

/* One key may stand under two names, when it was rotated away and came back: the later end counts,
 * but compromised is compromised. */
static struct line *line_of(struct reading *r, const struct line *l)
{
	for (size_t i = 0; i < r->n; i++) {
		struct line *x = &r->line[i];

		if (x->of_log != l->of_log || memcmp(x->pub, l->pub, sizeof(l->pub)) != 0)
			continue;
		if (x->expires.ms && (!l->expires.ms || l->expires.ms > x->expires.ms)) {
			x->expires = l->expires;
			memcpy(x->key, l->key, sizeof(x->key));
		}
		if (l->revoked.ms && (!x->revoked.ms || l->revoked.ms < x->revoked.ms))
			x->revoked = l->revoked;
		return x;
	}
	if (r->n == LINES_MAX)
		return NULL;
	r->line[r->n] = *l;
	return &r->line[r->n++];
}

static int check_method(struct reading *r, const json_t *doc, const char *method,
			struct note_key *k)
{
	struct line l = { .of_log = k->alg == NOTE_ED25519 };
	struct err e = { 0 };
	uint64_t seconds = 0;
	int v;

	if (!str_set(l.key, method) ||
	    did_document_key(doc, method, "assertionMethod", k->pub, &e) ||
	    did_document_times(doc, method, &l.expires, &l.revoked, &e))
		return fail(CTL_USAGE, "%.120s: %s", method, e.code ? e.text : "too long");
	v = note_verify(&r->note, k, &seconds);
	if (v == -EBADMSG)
		return fail(CTL_REFUSED, "%s: its signature does not verify", method);
	if (v)
		return CTL_OK;
	if (seconds > INT64_MAX / 1000)
		return fail(CTL_REFUSED, "%s: cosigned at no time", method);
	memcpy(l.pub, k->pub, sizeof(l.pub));
	l.at.ms = (int64_t)seconds * 1000;
	return line_of(r, &l) ? CTL_OK : fail(CTL_REFUSED, "more than %d signatures", LINES_MAX);
}

/* The document's keys signed the log, cosigned it, or have nothing to do with it. */
static int check_document(struct reading *r, const char *path)
{
	const char *origin = r->ev->cp.origin, *id, *method;
	struct note_key k = { .alg = NOTE_COSIGNATURE };
	auto_json json_t *doc = NULL;
	int ret = file_json(path, &doc);
	bool any = false;

	if (ret)
		return ret;
	id = json_string_value(json_object_get(doc, "id"));
	if (!id || !str_set(k.name, id))
		return fail(CTL_USAGE, "%s: id: a DID is required", path);
	if (!strncmp(origin, id, strlen(id)) && origin[strlen(id)] == '/') {
		k.alg = NOTE_ED25519;
		memcpy(k.name, origin, sizeof(k.name));
	}
	for (size_t i = 0; !ret && (method = did_document_method(doc, "assertionMethod", i)); i++) {
		if (!is_checkpoint(method))
			continue;
		any = true;
		ret = check_method(r, doc, method, &k);
	}
	return ret || any ? ret : fail(CTL_USAGE, "%s: lists no #checkpoint key", path);
}

/* --- what counts ----------------------------------------------------------------------------- */

static int put_time(json_t *o, const char *key, wall_t t)
{
	return t.ms ? json_object_set_new(o, key, json_time(t)) : 0;
}

static json_t *row(const struct line *l)
{
	const char *hash = strchr(l->key, '#');
	json_t *o = json_pack("{s:s%, s:s}", "did", l->key, (size_t)(hash - l->key), "key", l->key);

	if (o && !l->of_log)
		(void)json_object_set_new(o, "seconds", json_integer(l->at.ms / 1000));
	if (o && (put_time(o, "expires", l->expires) || put_time(o, "revoked", l->revoked))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* Whoever stole a key dates its signatures as it likes. */
static bool cosigner_counts(const struct line *l)
{
	return !l->revoked.ms && (!l->expires.ms || l->at.ms < l->expires.ms);
}

/* *seen: when a cosigner saw the note first, 0 = nobody says. */
static int cosigners(const struct reading *r, json_t *counted, json_t *not_counted, wall_t *seen)
{
	*seen = (wall_t){ 0 };
	for (size_t i = 0; i < r->n; i++) {
		const struct line *l = &r->line[i];
		bool good = cosigner_counts(l);

		if (l->of_log)
			continue;
		if (json_array_append_new(good ? counted : not_counted, row(l)))
			return fail(CTL_FAILED, "out of memory");
		if (good && (!seen->ms || l->at.ms < seen->ms))
			*seen = l->at;
	}
	return CTL_OK;
}

/* The time before which the signature must have been made; 0: it stands by itself. */
static wall_t must_be_before(const struct line *l, bool against, wall_t now)
{
	if (l->revoked.ms)
		return l->revoked;
	if (against)
		return (wall_t){ 0 };
	return l->expires.ms && now.ms >= l->expires.ms ? l->expires : (wall_t){ 0 };
}

static int log_signature(const struct reading *r, wall_t seen, json_t *who)
{
	const struct line *late = NULL;
	wall_t now = wall_clock(), end;
	char text[TIME_TEXT_MAX];

	for (size_t i = 0; i < r->n; i++) {
		const struct line *l = &r->line[i];

		end = must_be_before(l, r->ev->against, now);
		if (!l->of_log)
			continue;
		if (!end.ms || (seen.ms && seen.ms < end.ms)) {
			json_t *o = row(l);

			if (!o || (end.ms && put_time(o, "seen", seen)) ||
			    json_object_set_new(who, "signedBy", o))
				return fail(CTL_FAILED, "out of memory");
			return CTL_OK;
		}
		late = l;
	}
	if (!late)
		return fail(CTL_REFUSED, "%s: no --document holds a key that signed this log",
			    r->ev->cp.origin);
	time_format(must_be_before(late, r->ev->against, now), text);
	return fail(CTL_REFUSED,
		    "%s: %s since %s, and no cosigner in a --document saw the note "
		    "before that",
		    late->key, late->revoked.ms ? "is compromised" : "has ended", text);
}

int evidence_note(const struct ctl *c, const char *note, size_t len, struct evidence *ret)
{
	struct reading r = { .ev = ret };
	json_t *good = json_array(), *not = json_array();
	const char *doc;
	struct err e = { 0 };
	wall_t seen;
	int k = CTL_OK;

	ret->who = json_pack("{s:o, s:o}", "cosignedBy", good, "notCounted", not );
	if (!ret->who)
		return fail(CTL_FAILED, "out of memory");
	if (note_parse(note, len, &r.note, &e) ||
	    checkpoint_read(r.note.text, r.note.len, &ret->cp, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	for (size_t i = 0; !k && i < DOCUMENTS_MAX && (doc = opt_nth(c, "document", i)); i++)
		k = check_document(&r, doc);
	k = k ? k : cosigners(&r, good, not, &seen);
	return k ? k : log_signature(&r, seen, ret->who);
}

int evidence_document(const struct ctl *c, const char *did, json_t **ret)
{
	const char *path;

	for (size_t i = 0; i < DOCUMENTS_MAX && (path = opt_nth(c, "document", i)); i++) {
		auto_json json_t *doc = NULL;
		const char *id;
		int r = file_json(path, &doc);

		if (r)
			return r;
		id = json_string_value(json_object_get(doc, "id"));
		if (id && !strcmp(id, did)) {
			*ret = json_incref(doc);
			return CTL_OK;
		}
	}
	return fail(CTL_REFUSED, "%s: no --document is of it", did);
}

int evidence_key(const json_t *doc, const char *method, const char *purpose, wall_t at,
		 uint8_t pub[32], struct err *e)
{
	int r = did_document_key(doc, method, purpose, pub, e);

	return r ? r : did_document_in_force(doc, method, at, e);
}
