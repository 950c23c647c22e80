/* SPDX-License-Identifier: Apache-2.0 */
/* One event of the log as evidence: a file with the event, its inclusion proof and the checkpoint
 * that both sides signed. Whoever has the two DID documents checks it, without us. */
#include "ctl.h"

#include "agent/codec/did.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/store/store.h"
#include "agent/store/witness.h"
#include "agent/witness_file.h"

#include <errno.h>
#include <stdio.h>

#define DOCUMENTS_MAX 16

/* The newest checkpoint: the cosigned one when it covers the event, else the one that only we
 * signed. */
static int newest_note(struct store *st, const char *dir, uint64_t seq, char ret[NOTE_MAX],
		       struct checkpoint *cp, struct err *e)
{
	auto_free void *p = NULL;
	struct note n;
	size_t len;
	int r = witness_file_get(dir, WITNESS_FILE, ret, e);

	if (!r && !note_parse(ret, strlen(ret), &n, e) && !checkpoint_read(n.text, n.len, cp, e) &&
	    cp->size >= seq)
		return 0;
	if (store_kv_get(st, "checkpoint:own", &p, &len, NULL) || len >= NOTE_MAX)
		return err_set(e, -ENOENT,
			       "log: no checkpoint was signed (configure keys.checkpoint)");
	memcpy(ret, p, len);
	ret[len] = 0;
	r = note_parse(ret, len, &n, e);
	if (!r)
		r = checkpoint_read(n.text, n.len, cp, e);
	if (!r && cp->size < seq)
		r = err_set(e, -ENOENT, "event %llu: the newest checkpoint covers only %llu",
			    (unsigned long long)seq, (unsigned long long)cp->size);
	return r;
}

static int prove(struct store *st, const char *dir, uint64_t seq, char **ret, struct err *e)
{
	char note[NOTE_MAX];
	auto_free char *body = NULL;
	struct proof_file f = { .index = seq - 1, .note = note };
	struct checkpoint cp;
	int r = newest_note(st, dir, seq, note, &cp, e);

	if (!r)
		r = store_get(st, seq, &body, &f.body_len, e);
	if (!r)
		r = store_prove_inclusion(st, seq, cp.size, &f.proof, e);
	if (r < 0)
		return r;
	f.body = body;
	f.note_len = strlen(note);
	/* What would not pass the check is not handed out. */
	r = proof_check(&f, &cp, e);
	if (!r) {
		*ret = proof_write(&f);
		r = *ret ? 0 : -ENOMEM;
	}
	return r;
}

int ctl_log_prove(struct ctl *c)
{
	const char *dir = ctl_state_dir(c);
	auto_free char *text = NULL;
	struct store *st = NULL;
	struct err e = { 0 };
	char *end = NULL;
	uint64_t seq = strtoull(c->arg[0], &end, 10);
	int r;

	if (*end || !seq || seq > INT64_MAX)
		return fail(CTL_USAGE, "SEQ: a number of an event, from 1");
	r = ctl_open_reader(c, &st);
	if (r)
		return r;
	r = prove(st, dir, seq, &text, &e);
	(void)store_free(st);
	if (r) {
		say_err(&e);
		return r == -EBADMSG || r == -EUCLEAN ? CTL_REFUSED : CTL_FAILED;
	}
	text[strlen(text) - 1] = 0; /* file_put() ends the line */
	return file_put(opt_get(c, "out"), text);
}

/* --- checking -------------------------------------------------------------------------------- */

struct checked {
	struct checkpoint cp;
	bool is_signed;
	json_t *cosigners;
};

/* The document's key signed the log, cosigned it, or has nothing to do with it. */
static int check_document(const char *path, const struct note *n, struct checked *ret)
{
	auto_json json_t *doc = NULL;
	char method[DID_URL_MAX];
	struct note_key k = { .alg = NOTE_COSIGNATURE };
	uint64_t at = 0;
	const char *id;
	struct err e = { 0 };
	int r = file_json(path, &doc);

	if (r)
		return r;
	id = json_string_value(json_object_get(doc, "id"));
	if (!id || !str_set(k.name, id))
		return fail(CTL_USAGE, "%s: id: a DID is required", path);
	(void)snprintf(method, sizeof(method), "%s#checkpoint", id);
	if (did_document_key(doc, method, "assertionMethod", k.pub, &e))
		return fail(CTL_USAGE, "%s: %s", path, e.text);
	if (!strncmp(ret->cp.origin, id, strlen(id)) && ret->cp.origin[strlen(id)] == '/') {
		k.alg = NOTE_ED25519;
		memcpy(k.name, ret->cp.origin, sizeof(k.name));
	}
	r = note_verify(n, &k, &at);
	if (r == -EBADMSG)
		return fail(CTL_REFUSED, "%s: its signature does not verify", id);
	if (r)
		return CTL_OK;
	if (k.alg == NOTE_ED25519)
		ret->is_signed = true;
	else if (json_array_append_new(ret->cosigners, json_pack("{s:s, s:I}", "did", id, "seconds",
								 (json_int_t)at)))
		return fail(CTL_FAILED, "out of memory");
	return CTL_OK;
}

static int show(const struct ctl *c, const struct proof_file *f, const struct checked *k)
{
	auto_json json_t *ev = json_loadb(f->body, f->body_len, JSON_REJECT_DUPLICATES, NULL);
	auto_json json_t *o = NULL;

	if (!ev)
		return fail(CTL_REFUSED, "the event is not JSON");
	o = json_pack("{s:I, s:s, s:I, s:O, s:O}", "seq", (json_int_t)f->index + 1, "log",
		      k->cp.origin, "logSize", (json_int_t)k->cp.size, "cosignedBy", k->cosigners,
		      "event", ev);
	if (!o)
		return fail(CTL_FAILED, "out of memory");
	print_json(o);
	(void)c;
	return CTL_OK;
}

static int check(const struct ctl *c, const struct proof_file *f)
{
	struct checked k = { .is_signed = false };
	auto_json json_t *cosigners = json_array();
	const char *doc;
	struct err e = { 0 };
	struct note n;
	int r;

	k.cosigners = cosigners;
	if (proof_check(f, &k.cp, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	r = note_parse(f->note, f->note_len, &n, &e) ? CTL_REFUSED : CTL_OK;
	for (size_t i = 0; !r && i < DOCUMENTS_MAX && (doc = opt_nth(c, "document", i)); i++)
		r = check_document(doc, &n, &k);
	if (r)
		return r;
	if (!k.is_signed)
		return fail(CTL_REFUSED, "%s: no --document holds a key that signed this log",
			    k.cp.origin);
	return show(c, f, &k);
}

int ctl_log_check_proof(struct ctl *c)
{
	auto_free char *text = NULL;
	struct proof_file f;
	struct err e = { 0 };
	size_t len;
	int r;

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (!opt_nth(c, "document", 0))
		return fail(CTL_USAGE,
			    "--document: the DID document of the log's side is required");
	r = file_text(c->arg[0], PROOF_FILE_MAX, &text, &len);
	if (r)
		return r;
	if (proof_read(text, len, &f, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	r = check(c, &f);
	free(f.body);
	return r;
}
