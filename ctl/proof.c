/* SPDX-License-Identifier: Apache-2.0 */
/* The log as evidence: a file with an event, its inclusion proof and the checkpoint that both sides
 * signed; or one that leads from an older checkpoint to it. Whoever has the two DID documents
 * checks them, without us. */
#include "evidence.h"

#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "agent/store/store.h"
#include "agent/store/witness.h"
#include "agent/witness_file.h"

#include <errno.h>
#include <stdio.h>

static int prove(struct store *st, const char *dir, uint64_t seq, char **ret, struct err *e)
{
	char note[NOTE_MAX];
	auto_free char *body = NULL;
	struct proof_file f = { .index = seq - 1, .note = note };
	struct checkpoint cp;
	int r = witness_newest(st, dir, seq, note, &cp, e);

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

/* From the first `old` events to the newest checkpoint: an add-checkpoint body. */
static int prove_from(struct store *st, const char *dir, uint64_t old, char **ret, struct err *e)
{
	char note[NOTE_MAX];
	struct merkle_proof proof;
	struct checkpoint cp;
	int r = witness_newest(st, dir, old, note, &cp, e);

	if (!r)
		r = store_prove_consistency(st, old, cp.size, &proof, e);
	if (r)
		return r;
	*ret = malloc(WITNESS_ASK_MAX + 1);
	if (!*ret)
		return err_set(e, -ENOMEM, "out of memory");
	r = witness_ask_write(*ret, WITNESS_ASK_MAX, old, &proof, note, strlen(note));
	return r < 0 ? err_set(e, r, "proof: too long") : 0;
}

static int put_text(const struct ctl *c, int r, const struct err *e, char *text)
{
	if (r) {
		say_err(e);
		return r == -EBADMSG || r == -EUCLEAN ? CTL_REFUSED : CTL_FAILED;
	}
	text[strlen(text) - 1] = 0; /* file_put() ends the line */
	return file_put(opt_get(c, "out"), text);
}

int ctl_log_prove(struct ctl *c)
{
	const char *dir = ctl_state_dir(c), *from = opt_get(c, "from");
	const char *number = from ? from : c->n_args ? c->arg[0] : "";
	auto_free char *text = NULL;
	struct store *st = NULL;
	struct err e = { 0 };
	char *end = NULL;
	uint64_t seq = strtoull(number, &end, 10);
	int r;

	if (from && c->n_args)
		return fail(CTL_USAGE, "SEQ or --from SIZE, not both");
	if (*end || !seq || seq > INT64_MAX)
		return fail(CTL_USAGE, from ? "--from: the size of an older checkpoint, from 1"
					    : "SEQ: a number of an event, from 1");
	r = ctl_open_reader(c, &st);
	if (r)
		return r;
	r = from ? prove_from(st, dir, seq, &text, &e) : prove(st, dir, seq, &text, &e);
	(void)store_free(st);
	return put_text(c, r, &e, text);
}

int ctl_log_checkpoint(struct ctl *c)
{
	char note[NOTE_MAX];
	struct checkpoint cp;
	struct store *st = NULL;
	struct err e = { 0 };
	int r = ctl_open_reader(c, &st);

	if (r)
		return r;
	r = witness_newest(st, ctl_state_dir(c), 0, note, &cp, &e);
	(void)store_free(st);
	return put_text(c, r, &e, note);
}

/* --- checking -------------------------------------------------------------------------------- */

static int show(const struct proof_file *f, const struct evidence *k)
{
	auto_json json_t *ev = json_loadb(f->body, f->body_len, JSON_REJECT_DUPLICATES, NULL);
	auto_json json_t *o = NULL;

	if (!ev)
		return fail(CTL_REFUSED, "the event is not JSON");
	o = json_pack("{s:I, s:s, s:I, s:O}", "seq", (json_int_t)f->index + 1, "log", k->cp.origin,
		      "logSize", (json_int_t)k->cp.size, "event", ev);
	if (!o || json_object_update(o, k->who))
		return fail(CTL_FAILED, "out of memory");
	print_json(o);
	return CTL_OK;
}

static int check_event(const struct ctl *c, const char *text, size_t len)
{
	struct evidence k = { 0 };
	struct proof_file f;
	struct err e = { 0 };
	int r;

	if (proof_read(text, len, &f, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	r = proof_check(&f, &k.cp, &e) ? fail(CTL_REFUSED, "%s", e.text)
				       : evidence_note(c, f.note, f.note_len, &k);
	if (!r)
		r = show(&f, &k);
	json_decref(k.who);
	free(f.body);
	return r;
}

/* The older checkpoint: a note, or a proof file with one at its end. */
static int old_note(const struct ctl *c, struct evidence *ret)
{
	const char *path = opt_get(c, "old");
	auto_free char *text = NULL;
	struct proof_file f = { .index = 0 };
	size_t len;
	int r;

	if (!path)
		return fail(CTL_USAGE, "--old: the older checkpoint is required");
	r = file_text(path, PROOF_FILE_MAX, &text, &len);
	if (r)
		return r;
	if (proof_read(text, len, &f, NULL))
		f = (struct proof_file){ .note = text, .note_len = len };
	r = evidence_note(c, f.note, f.note_len, ret);
	free(f.body);
	return r;
}

static int check_consistency(const struct ctl *c, const char *text, size_t len)
{
	struct evidence old = { 0 }, new = { 0 };
	struct witness_ask q;
	struct hash from, to;
	struct err e = { 0 };
	int r;

	if (witness_ask_read(text, len, &q, &e))
		return fail(CTL_REFUSED, "%s", e.text);
	r = old_note(c, &old);
	r = r ? r : evidence_note(c, q.note.text, (size_t)(text + len - q.note.text), &new);
	memcpy(from.b, old.cp.root, HASH_LEN);
	memcpy(to.b, q.cp.root, HASH_LEN);
	if (!r && strcmp(old.cp.origin, q.cp.origin) != 0)
		r = fail(CTL_REFUSED, "--old: of another log: %s", old.cp.origin);
	if (!r && old.cp.size != q.old)
		r = fail(CTL_REFUSED, "--old: has %llu events, the proof begins at %llu",
			 (unsigned long long)old.cp.size, (unsigned long long)q.old);
	if (!r && merkle_check_consistency(q.old, q.cp.size, &q.proof, &from, &to))
		r = fail(CTL_REFUSED, "the log of %llu events does not extend that of %llu",
			 (unsigned long long)q.cp.size, (unsigned long long)q.old);
	if (!r) {
		auto_json json_t *o =
			json_pack("{s:s, s:I, s:I}", "log", new.cp.origin, "oldSize",
				  (json_int_t)q.old, "logSize", (json_int_t)q.cp.size);

		r = o && !json_object_update(o, new.who) ? CTL_OK
							 : fail(CTL_FAILED, "out of memory");
		if (!r)
			print_json(o);
	}
	json_decref(old.who);
	json_decref(new.who);
	return r;
}

int ctl_log_check_proof(struct ctl *c)
{
	auto_free char *text = NULL;
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
	return !strncmp(text, "old ", 4) ? check_consistency(c, text, len)
					 : check_event(c, text, len);
}
