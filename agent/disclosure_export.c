/* SPDX-License-Identifier: Apache-2.0 */
/* What an audience may see of the log, as one signed document: each event whole, or with salted
 * digests where something is hidden; its leaf, the proof that the leaf is in the tree, the proof
 * that the digests were fixed in it, and the checkpoint of that tree. */
#include "disclosure.h"
#include "disclosure_proof.h"

#include "agent/codec/event_json.h"
#include "agent/codec/json.h"
#include "agent/codec/vc.h"
#include "agent/crypto/crypto.h"
#include "agent/store/store.h"
#include "agent/witness_file.h"
#include "queries_int.h"

#include <errno.h>

#define ROWS_MAX  1000              /* of one document */
#define BYTES_MAX (3 * 1024 * 1024) /* of their bodies */
#define SCAN_MAX  50000             /* events looked at for one: the daemon waits meanwhile */

struct exporting {
	struct disclosure_lens lens;
	const struct deal *deal; /* NULL = all */
	struct store_prover *prover;
	uint8_t key[32];
	json_t *events, *roots;
	uint64_t size, scanned, next;
	size_t bytes;
	struct err *e;
};

/* Whole: the bytes of the leaf. Else what is seen of them, with the digests of the rest. */
static int add(struct exporting *x, const struct store_event *row,
	       const struct disclosure_seen *seen)
{
	struct merkle_proof proof;
	json_t *o;
	int r = store_prover_inclusion(x->prover, row->seq, &proof);

	if (r)
		return err_set(x->e, r, "event %llu: no proof", (unsigned long long)row->seq);
	o = json_pack("{s:I, s:o, s:o}", "seq", (json_int_t)row->seq, "leaf",
		      disclosure_hash(&row->leaf), "path", disclosure_path(&proof));
	if (!o || (seen->whole ? json_object_set_new(o, "body", json_stringn(row->body, row->len))
			       : json_object_set(o, "event", seen->event) ||
					 json_object_set(o, "salts", seen->salts))) {
		json_decref(o);
		return err_set(x->e, -ENOMEM, "out of memory");
	}
	x->bytes += row->len;
	return json_array_append_new(x->events, o) ? -ENOMEM : 0;
}

/* Is this event about the one agreement that was asked for? */
static bool wanted(const struct exporting *x, const struct event *ev)
{
	const ident_t *id = ev->kind == EV_REFUSED ? &ev->u.refused.deal : event_deal(ev);

	return !x->deal || (id && world_deal(engine_world(x->lens.side->engine), id) == x->deal);
}

static int export_row(void *arg, const struct store_event *row)
{
	struct exporting *x = arg;
	struct event *ev;
	struct disclosure_seen seen = { 0 };
	auto_json json_t *js = NULL;
	int r;

	if (row->seq > x->size)
		return 1;
	if (json_array_size(x->events) == ROWS_MAX || x->bytes > BYTES_MAX ||
	    ++x->scanned > SCAN_MAX) {
		x->next = row->seq - 1;
		return 1;
	}
	ev = malloc(sizeof(*ev));
	if (!ev)
		return -ENOMEM;
	r = event_read(row->body, row->len, ev, NULL, x->e);
	if (!r && wanted(x, ev)) {
		js = json_loadb(row->body, row->len, JSON_REJECT_DUPLICATES, NULL);
		r = js ? disclosure_event(&x->lens, ev, js, &seen, x->e) : -ENOMEM;
	}
	if (!r && seen.event)
		r = add(x, row, &seen);
	json_decref(seen.event);
	json_decref(seen.salts);
	free(ev);
	return r;
}

static int secure(struct side *s, json_t *doc, json_t **ret, struct err *e)
{
	const struct sign_port *port = &s->port[SIGN_EXPORT];
	struct sign_request rq = { .kind = SIGN_EXPORT };
	auto_json json_t *options = NULL;

	if (!port->method[0])
		return err_set(e, -ENOKEY, "keys.agreement: not configured, nothing can be signed");
	options =
		json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", "DataIntegrityProof", "cryptosuite",
			  "eddsa-jcs-2022", "created", json_time(engine_now(s->engine)),
			  "verificationMethod", port->method, "proofPurpose", "assertionMethod");
	return options ? proof_create(doc, options, port, &rq, ret, e) : -ENOMEM;
}

static json_t *document(const struct exporting *x, const struct disclosure_ask_export *q,
			const char *note, const struct checkpoint *cp)
{
	static const char *const role[] = { "app", "domain", "consumer", "operator", "auditor" };
	const struct disclosure *d = disclosure_of(x->lens.side);
	char digest[DIGEST_MULTIBASE_MAX];

	digest_encode(d->digest.b, digest);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:{s:I, s:s}, s:I, s:I, s:s, s:O, s:O}",
		"type", DISCLOSURE_EXPORT, "side", x->lens.side->cfg->daemon.did, "log", cp->origin,
		"for", role[__builtin_ctz(q->role)], "to", q->did, "agreement", q->agreement,
		"made", json_time(engine_now(x->lens.side->engine)), "policy", "version",
		(json_int_t)d->version, "digest", digest, "after", (json_int_t)q->after, "upTo",
		(json_int_t)(x->next ? x->next : x->size), "checkpoint", note, "events", x->events,
		"commitments", x->roots);
}

static int collect(struct exporting *x, const struct disclosure_ask_export *q, struct err *e)
{
	struct store *st = engine_store(x->lens.side->engine);
	int r = store_prover_new(st, x->size, &x->prover, e);

	if (!r && q->after < x->size)
		r = store_replay(st, q->after + 1, export_row, x, e);
	return r < 0 ? r
		     : disclosure_prove(&(struct disclosure_proving){ .st = st,
								      .key = x->key,
								      .prover = x->prover,
								      .size = x->size,
								      .events = x->events },
					&x->roots, e);
}

int disclosure_export(struct side *s, const struct disclosure_ask_export *q, json_t **ret,
		      uint64_t *next, struct err *e)
{
	struct exporting x = { .lens = { .side = s, .who = { .roles = q->role, .did = q->did } },
			       .events = json_array(),
			       .e = e };
	auto_json json_t *doc = NULL;
	char note[NOTE_MAX];
	struct checkpoint cp;
	int r = x.events ? disclosure_key(s, x.key, e) : -ENOMEM;

	x.lens.key = x.key;
	if (!r && *q->agreement) {
		x.deal = query_deal(s, q->agreement);
		if (!x.deal)
			r = err_set(e, -ENOENT, "agreement_unknown: %.60s: no deal has this id",
				    q->agreement);
	}
	if (!r)
		r = witness_newest(engine_store(s->engine), s->cfg->daemon.agents_dir, 1, note, &cp,
				   e);
	if (!r) {
		x.size = cp.size;
		r = collect(&x, q, e);
	}
	x.prover = store_prover_free(x.prover);
	if (!r) {
		doc = document(&x, q, note, &cp);
		r = doc ? secure(s, doc, ret, e) : err_set(e, -ENOMEM, "out of memory");
	}
	json_decref(x.events);
	json_decref(x.roots);
	*next = x.next;
	return r;
}
