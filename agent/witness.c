/* SPDX-License-Identifier: Apache-2.0 */
#include "witness.h"

#include "agent/codec/json.h"
#include "agent/codec/nego.h"
#include "agent/crypto/crypto.h"
#include "agent/log.h"
#include "agent/log_commit.h"
#include "agent/peer.h"
#include "agent/side_make.h"
#include "agent/store/store.h"
#include "agent/store/witness.h"
#include "agent/witness_file.h"
#include "agent/witness_keys.h"

#include <errno.h>
#include <stdio.h>

#define TICK_US  (1000 * 1000)
#define RETRY_US (5 * 1000 * 1000)
#define LOG_ID   "log-id"

/* A side that witnesses our log, and whose log we witness. */
struct other {
	struct witness *w;
	const struct cfg_peer *who;
	uint64_t seen;       /* size of our log that it cosigned */
	mono_t again;        /* not before */
	bool busy, heard;    /* heard: of this life; an old head is asked for once too */
	char note[NOTE_MAX]; /* that it was asked to cosign */
	uint64_t size;
};

struct witness {
	struct side *s;
	struct cap_witness cap;
	struct note_key key; /* of our log: its name is the log's origin */
	bool lost;           /* the key is compromised and no other took its place */
	char note[NOTE_MAX]; /* newest own checkpoint, "" = none */
	uint64_t size;
	mono_t at;
	bool committed; /* for the head that is due */
	struct other other[CFG_PEERS];
	size_t n;
};

static struct store *store_of(const struct witness *w)
{
	return engine_store(w->s->engine);
}

static int repair(struct err *e, int code, const char *what)
{
	return err_set(
		e, code,
		"%s: a restored backup, or another database. Put the newest one back, or see "
		"operations.md section 8",
		what);
}

/* --- what is remembered ---------------------------------------------------------------------- */

static int remember(struct witness *w, const char *what, const char *did, const char *note,
		    struct err *e)
{
	char key[STORE_NAME_MAX];

	(void)snprintf(key, sizeof(key), "%s:%s", what, did);
	return store_kv_put(store_of(w), key, note, strlen(note), e);
}

/* *ret = "" when there is nothing. */
static int recall(struct witness *w, const char *what, const char *did, char ret[NOTE_MAX],
		  struct err *e)
{
	auto_free void *p = NULL;
	char key[STORE_NAME_MAX];
	struct err why = { 0 };
	size_t n = 0;
	int r;

	ret[0] = 0;
	(void)snprintf(key, sizeof(key), "%s:%s", what, did);
	r = store_kv_get(store_of(w), key, &p, &n, &why);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || n >= NOTE_MAX)
		return err_set(e, r < 0 ? r : -EUCLEAN, "%s: %s", key, why.text);
	memcpy(ret, p, n);
	ret[n] = 0;
	return 0;
}

static int head_of(const char *text, struct note *n, struct checkpoint *cp, struct err *e)
{
	int r = note_parse(text, strlen(text), n, e);

	return r ? r : checkpoint_read(n->text, n->len, cp, e);
}

/* --- our own checkpoints --------------------------------------------------------------------- */

/* The log's name: ours, and a number drawn when the database began, because a log that begins anew
 * is another log. */
static int origin_of(struct witness *w, struct err *e)
{
	struct store *st = store_of(w);
	auto_free void *p = NULL;
	struct err why = { 0 };
	uint8_t raw[8];
	char id[2 * sizeof(raw) + 1];
	size_t n = 0;
	int r = store_kv_get(st, LOG_ID, &p, &n, &why);

	if (r == -ENOENT) {
		random_fill(raw, sizeof(raw));
		(void)hex_encode(raw, sizeof(raw), id, sizeof(id));
		r = store_kv_put(st, LOG_ID, id, strlen(id), &why);
	} else if (r == 0) {
		(void)snprintf(id, sizeof(id), "%.16s", (const char *)p);
	}
	if (r < 0)
		return err_set(e, r, "%s", why.text);
	(void)snprintf(w->key.name, sizeof(w->key.name), "%s/%s", w->s->cfg->daemon.did, id);
	w->key.alg = NOTE_ED25519;
	if (note_name_check(w->key.name))
		return err_set(e, -EINVAL, "daemon.did: may not name a log");
	r = side_checkpoint_key(w->s, w->key.pub, e);
	w->lost = r == -ENOKEY;
	if (w->lost)
		memset(w->key.pub, 0, sizeof(w->key.pub)); /* verifies nothing */
	return w->lost ? 0 : r;
}

/* Signs the durable head. What the signer signed once it never takes back: a smaller log, or
 * another of the same size, is refused there. */
static int checkpoint_make(struct witness *w, struct err *e)
{
	struct store_head h = store_durable_head(store_of(w));
	uint8_t sig[ED25519_SIG_LEN];
	char text[NOTE_MAX];
	int n, m, r;

	n = merkle_checkpoint(text, sizeof(text), w->key.name, h.seq, &h.root);
	if (n < 0)
		return err_set(e, n, "checkpoint");
	r = side_checkpoint_sign(w->s, text, (size_t)n, sig, e);
	if (r)
		return r;
	text[n++] = '\n';
	m = note_line(&w->key, sig, 0, text + n, sizeof(text) - (size_t)n);
	if (m < 0)
		return err_set(e, m, "checkpoint");
	r = remember(w, "checkpoint", "own", text, e);
	if (r)
		return r;
	memcpy(w->note, text, sizeof(text));
	w->size = h.seq;
	w->at = loop_now(w->s->loop);
	return 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

/* The other side shows what we signed before. Only our own signature is believed: nobody can stop
 * us by saying that we are old. */
static int shown(struct witness *w, const char *text, uint64_t *ret_seen, struct err *e)
{
	struct checkpoint cp;
	struct hash root;
	struct note n;
	int r;

	if (!*text) {
		*ret_seen = 0;
		return 0;
	}
	if (head_of(text, &n, &cp, NULL) || strcmp(cp.origin, w->key.name) != 0 ||
	    !witness_own_note(w->s, &w->key, &n, false))
		return -EBADMSG;
	memcpy(root.b, cp.root, HASH_LEN);
	r = store_backup_check(store_of(w), cp.size, &root, NULL);
	if (r == -ESTALE)
		return repair(e, r, "log: shorter than the checkpoint that the other side holds");
	if (r == -EUCLEAN)
		return repair(e, r, "log: not the one of the checkpoint that the other side holds");
	*ret_seen = cp.size;
	return r;
}

static int cosigned(struct other *o, const char *line, struct err *e)
{
	struct witness *w = o->w;
	char text[NOTE_MAX];
	struct note_key k = { .alg = NOTE_COSIGNATURE };
	struct note n;
	int r;

	memcpy(text, o->note, sizeof(text));
	if (!str_set(k.name, o->who->did) || note_add(text, line))
		return err_set(e, -EINVAL, "cosignature: malformed or too long");
	r = note_parse(text, strlen(text), &n, e);
	if (!r)
		r = witness_key_of(w->s, o->who->did, &n, &k, e);
	if (!r)
		r = remember(w, "cosigned", o->who->did, text, e);
	/* Beside the database, so that a database put back from a backup meets it. */
	if (!r)
		r = witness_file_put(w->s->cfg->daemon.agents_dir, WITNESS_FILE, text, e);
	if (!r) {
		o->seen = o->size;
		o->heard = true;
	}
	return r;
}

static int take_answer(struct other *o, const struct a2a_result *res, struct err *e)
{
	const json_t *part = json_array_get(res->data, 0);
	const char *verdict = "", *note = "";
	uint64_t seen = 0;
	int r;

	if (res->code || strcmp(nego_type(part), NEGO_COSIGNATURE) != 0)
		return err_set(e, -EPROTO, "no cosignature: %.80s", res->code ? res->error : "");
	r = json_need_str(part, "", "verdict", &verdict, e);
	if (!r)
		r = json_need_str(part, "", "note", &note, e);
	if (r)
		return r;
	if (!strcmp(verdict, witness_verdict_name(WITNESS_GOOD)))
		return cosigned(o, note, e);
	r = shown(o->w, note, &seen, e);
	if (r == -ESTALE || r == -EUCLEAN) {
		loop_stop(o->w->s->loop, r);
		return r;
	}
	if (!r && seen != o->seen && !strcmp(verdict, witness_verdict_name(WITNESS_CONFLICT))) {
		o->seen = seen;
		o->again = (mono_t){ 0 }; /* at the next tick, from there */
		return 0;
	}
	return err_set(e, -EPROTO, "answers %.20s", verdict);
}

static void on_answer(void *arg, int err, const struct a2a_result *r, const char *why)
{
	struct other *o = arg;
	struct err e = { 0 };

	o->busy = false;
	if (err)
		log_debug("witness %s: %s", o->who->name, why);
	else if (take_answer(o, r, &e))
		log_error("witness %s: %s", o->who->name, e.text);
}

static int ask(struct other *o, struct err *e)
{
	struct witness *w = o->w;
	auto_free char *body = malloc(WITNESS_ASK_MAX + 1);
	auto_json json_t *data = NULL;
	struct a2a_send m = { .extension = NEGO_EXTENSION };
	struct merkle_proof proof;
	ident_t id;
	int r = body ? store_prove_consistency(store_of(w), o->seen, w->size, &proof, e) : -ENOMEM;

	if (!r)
		r = witness_ask_write(body, WITNESS_ASK_MAX, o->seen, &proof, w->note,
				      strlen(w->note));
	if (r < 0)
		return err_set(e, r, "checkpoint: cannot be shown");
	memcpy(o->note, w->note, sizeof(o->note));
	o->size = w->size;
	engine_id(&id, "cp");
	data = json_pack("[{s:s, s:s}]", "@type", NEGO_CHECKPOINT, "body", body);
	m.message_id = id.s;
	m.data = data;
	r = data ? peer_send(w->s, o->who->did, &m, on_answer, o, e) : -ENOMEM;
	if (!r)
		o->busy = true;
	return r;
}

static void tick(void *arg)
{
	struct witness *w = arg;
	const struct cfg_keys *k = &w->s->cfg->keys;
	mono_t now = loop_now(w->s->loop);
	uint64_t more = store_durable(store_of(w)) - w->size;
	bool due = !w->lost && more &&
		   (more >= k->checkpoint_events ||
		    now.us - w->at.us >= (int64_t)k->checkpoint_s * 1000000);
	struct err e = { 0 };
	int r = 0;

	/* First what the head shall commit to besides; it is durable by the next tick. */
	if (due)
		r = w->committed ? checkpoint_make(w, &e) : log_commit_put(w->s, &e);
	w->committed = due && !w->committed;
	for (size_t i = 0; !r && !w->lost && i < w->n; i++) {
		struct other *o = &w->other[i];

		if (o->busy || (o->heard && o->seen == w->size) || now.us < o->again.us)
			continue;
		o->again.us = now.us + RETRY_US;
		r = ask(o, &e);
	}
	if (r)
		log_error("checkpoint: %s", e.text);
	if (!loop_after(w->s->loop, TICK_US, tick, w))
		loop_stop(w->s->loop, -ENOMEM);
}

/* --- being asked ----------------------------------------------------------------------------- */

struct reply {
	struct a2a_turn *turn;
	json_t *data;
};

static void release(void *arg)
{
	struct reply *r = arg;

	a2a_turn_message(r->turn, r->data);
	json_decref(r->data);
	free(r);
}

/* After the commit: what we said that we saw must be on our disk first. */
static int answer(struct witness *w, struct a2a_turn *t, enum witness_verdict v, const char *note)
{
	struct reply *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->turn = t;
	r->data = json_pack("{s:s, s:s, s:s}", "@type", NEGO_COSIGNATURE, "verdict",
			    witness_verdict_name(v), "note", note);
	if (!r->data) {
		free(r);
		return -ENOMEM;
	}
	engine_after_commit(w->s->engine, release, r);
	return 0;
}

static int cosign(struct witness *w, const char *did, const struct witness_ask *q,
		  char line[NOTE_LINE_MAX], struct err *e)
{
	struct note_key k = { .alg = NOTE_COSIGNATURE };
	uint64_t now = (uint64_t)(engine_now(w->s->engine).ms / 1000);
	char text[NOTE_MAX];
	uint8_t sig[ED25519_SIG_LEN];
	int n = note_cosign_text(q->note.text, q->note.len, now, text, sizeof(text)), r;

	str_cut(k.name, w->s->cfg->daemon.did);
	memcpy(k.pub, w->key.pub, sizeof(k.pub));
	r = n < 0 ? n : side_checkpoint_sign(w->s, text, (size_t)n, sig, e);
	if (!r && note_line(&k, sig, now, line, NOTE_LINE_MAX) < 0)
		r = -ENOSPC;
	if (r)
		return err_set(e, r, "cosignature");
	(void)snprintf(text, sizeof(text), "%.*s\n%.*s", (int)q->note.len, q->note.text,
		       (int)q->note.sigs_len, q->note.sigs);
	(void)!note_add(text, line); /* dates it, where there is room */
	r = remember(w, "witness", q->cp.origin, text, e);
	return r ? r : remember(w, "witness", did, text, e);
}

/* Two statements of one side that do not fit: kept whole, and said once for what was known, however
 * often it is shown. */
static int keep_evidence(struct witness *w, const struct cfg_peer *who, enum witness_verdict v,
			 const char *known, const char *body, struct err *e)
{
	uint8_t d[SHA256_LEN];
	char name[32], hex[17];
	struct sha256_ctx c;
	auto_free char *text = NULL;
	struct ev_ref ev = { .rev = (uint32_t)v };
	int r;

	sha256_begin(&c);
	sha256_add(&c, known, strlen(known));
	sha256_add(&c, &v, sizeof(v));
	sha256_end(&c, d);
	(void)hex_encode(d, 8, hex, sizeof(hex));
	(void)snprintf(name, sizeof(name), "evidence-%s.txt", hex);
	if (asprintf(&text, "%s\n%s", known, body) < 0)
		return err_set(e, -ENOMEM, "evidence");
	r = witness_file_new(w->s->cfg->daemon.agents_dir, name, text, e);
	if (r)
		return r == -EEXIST ? 0 : r;
	str_cut(ev.about.s, hex);
	(void)snprintf(ev.why.s, sizeof(ev.why.s), "%.31s: %s; both statements are in %s",
		       who->name, witness_verdict_name(v), name);
	log_error("witness: %s", ev.why.s);
	return tool_witness_alarm(&w->cap, &ev, NULL, NULL) == REFUSE_NONE ? 0 : -EIO;
}

static void known_of(const char *text, struct witness_known *ret)
{
	struct checkpoint cp;
	struct note n;

	*ret = (struct witness_known){ .size = 0 };
	if (!*text || head_of(text, &n, &cp, NULL))
		return;
	memcpy(ret->origin, cp.origin, sizeof(ret->origin));
	ret->size = cp.size;
	memcpy(ret->root.b, cp.root, HASH_LEN);
}

/* The key of this side's log; the log's name must be the side's own. */
static int log_key_of(struct witness *w, const struct cfg_peer *who, const struct witness_ask *q,
		      struct note_key *k, struct err *e)
{
	const char *origin = q->cp.origin;
	size_t n = strlen(who->did);
	int r;

	if (strncmp(origin, who->did, n) != 0 || origin[n] != '/')
		return err_set(e, -EINVAL, "origin: not a log of %.80s", who->did);
	*k = (struct note_key){ .alg = NOTE_ED25519 };
	str_cut(k->name, origin);
	r = witness_key_of(w->s, who->did, &q->note, k, e);
	return r == -EBADMSG ? 0 : r; /* then the judge says so */
}

static int judge(struct witness *w, const struct cfg_peer *who, const char *body,
		 struct a2a_turn *t, struct err *e)
{
	char known_text[NOTE_MAX], line[NOTE_LINE_MAX];
	struct witness_known known;
	enum witness_verdict v;
	struct witness_ask q;
	struct note_key k;
	int r = witness_ask_read(body, strlen(body), &q, e);

	if (!r)
		r = log_key_of(w, who, &q, &k, e);
	/* Of this log; else of the one that the side had last. */
	if (!r)
		r = recall(w, "witness", q.cp.origin, known_text, e);
	if (!r && !*known_text)
		r = recall(w, "witness", who->did, known_text, e);
	if (r)
		return r;
	known_of(known_text, &known);
	v = witness_judge(&known, &k, &q);
	if (*known_text && (v == WITNESS_FORK || v == WITNESS_SHORTER || v == WITNESS_NO_PROOF ||
			    v == WITNESS_NEW_LOG))
		r = keep_evidence(w, who, v, known_text, body, e);
	/* A log that begins anew is told to a human by the event; it may begin. */
	if (v == WITNESS_NEW_LOG && q.old == 0 && q.proof.n == 0)
		v = WITNESS_GOOD;
	if (!r && v == WITNESS_GOOD)
		r = cosign(w, who->did, &q, line, e);
	return r ? r : answer(w, t, v, v == WITNESS_GOOD ? line : known_text);
}

bool witness_takes(const struct a2a_message *m)
{
	return json_array_size(m->data) == 1 &&
	       !strcmp(nego_type(json_array_get(m->data, 0)), NEGO_CHECKPOINT);
}

int witness_message(struct side *s, const struct peer *p, const struct a2a_message *m,
		    struct a2a_turn *t)
{
	const struct cfg_peer *who = p->local ? NULL : peer_by_did(s->cfg, p->did);
	const json_t *part = json_array_get(m->data, 0);
	const char *body = "";
	struct err e = { 0 };
	int r = 0;

	if (!s->witness || !who || (who->role != PEER_OPERATOR && who->role != PEER_ENTERPRISE))
		r = err_set(&e, -EACCES, "no checkpoints are taken from this peer");
	if (!r)
		r = json_only(part, "", &e, "@type", "body", NULL);
	if (!r)
		r = json_need_str(part, "", "body", &body, &e);
	if (r >= 0)
		r = judge(s->witness, who, body, t, &e);
	if (r < 0) {
		json_t *no = nego_problem(
			r == -EACCES ? REFUSE_NOT_AUTHORIZED : REFUSE_BODY_MALFORMED, NULL, e.text);

		a2a_turn_message(t, no);
		json_decref(no);
	}
	return 0;
}

/* --- start ----------------------------------------------------------------------------------- */

/* The last cosigned head is beside the database: what is older than it was restored. */
static int backup_check(struct witness *w, struct err *e)
{
	char text[NOTE_MAX];
	struct checkpoint cp;
	struct hash root;
	struct note n;
	int r = witness_file_get(w->s->cfg->daemon.agents_dir, WITNESS_FILE, text, e);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = head_of(text, &n, &cp, e);
	if (r)
		return r;
	if (strcmp(cp.origin, w->key.name) != 0 || !witness_own_note(w->s, &w->key, &n, true))
		return repair(e, -EUCLEAN, "log: " WITNESS_FILE " is of another log");
	memcpy(root.b, cp.root, HASH_LEN);
	r = store_backup_check(store_of(w), cp.size, &root, NULL);
	if (r == -ESTALE)
		return repair(e, r, "log: shorter than its cosigned head in " WITNESS_FILE);
	return r ? repair(e, r, "log: not that of its cosigned head in " WITNESS_FILE) : 0;
}

static int others(struct witness *w, struct err *e)
{
	const struct config *c = w->s->cfg;
	int r = 0;

	for (uint32_t i = 0; !r && i < c->peers; i++) {
		const struct cfg_peer *p = &c->peer[i];
		struct other *o = &w->other[w->n];
		struct checkpoint cp;
		struct note n;

		if ((p->role != PEER_OPERATOR && p->role != PEER_ENTERPRISE) || !p->url[0])
			continue;
		*o = (struct other){ .w = w, .who = p };
		r = recall(w, "cosigned", p->did, o->note, e);
		if (!r && o->note[0] && !head_of(o->note, &n, &cp, NULL) &&
		    !strcmp(cp.origin, w->key.name))
			o->seen = cp.size;
		w->n++;
	}
	return r;
}

int witness_start(struct side *s, struct err *e)
{
	struct err why = { 0 };
	struct witness *w;
	int r;

	if (!s->cfg->keys.file[KEY_CHECKPOINT][0])
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(e, -ENOMEM, "witness");
	w->s = s;
	w->cap.engine = s->engine;
	s->witness = w;
	r = origin_of(w, e);
	if (!r)
		r = backup_check(w, e);
	if (!r && !w->lost)
		r = checkpoint_make(w, &why);
	if (r == -EACCES && !strncmp(why.text, "revision", 8))
		return repair(e, -ESTALE, "log: the signer signed a later checkpoint of it");
	if (!r)
		r = others(w, e);
	if (!r && !loop_after(s->loop, 0, tick, w))
		r = -ENOMEM;
	return r ? err_set(e, r, "checkpoint: %s", why.text) : 0;
}

void witness_rekey(struct side *s)
{
	struct witness *w = s->witness;
	struct err e = { 0 };
	int r;

	if (!w)
		return;
	r = side_checkpoint_key(s, w->key.pub, &e);
	w->lost = r == -ENOKEY;
	if (w->lost)
		memset(w->key.pub, 0, sizeof(w->key.pub));
	if (!r)
		r = checkpoint_make(w, &e);
	if (r && !w->lost)
		log_error("checkpoint: %s", e.text);
	for (size_t i = 0; i < w->n; i++) {
		w->other[i].heard = false;
		w->other[i].again = (mono_t){ 0 };
	}
}

void witness_free(struct side *s)
{
	free(s->witness);
	s->witness = NULL;
}
