/* SPDX-License-Identifier: Apache-2.0 */
/* witness_lab.h - two sides that witness each other: real stores, engines, A2A servers and the
 * signer's state file; between them a virtual second. Where trust.documents is set, keys come from
 * the documents there. */
#ifndef TREATY_TESTS_WITNESS_LAB_H
#define TREATY_TESTS_WITNESS_LAB_H

#include "store_util.h"
#include "trust_fixture.h"

#include "agent/codec/nego.h"
#include "agent/log.h"
#include "agent/peer.h"
#include "agent/signer/client.h"
#include "agent/side_make.h"
#include "agent/signer/signer_state.h"
#include "agent/store/witness.h"
#include "agent/witness.h"
#include "agent/witness_file.h"

static struct lab {
	char dir[96], did[64];
	struct config cfg;
	struct side side;
	struct store *store;
	struct signer_state *state;
	struct party key;
	bool lost; /* the signer gave the key up, and none stands by */
	struct err sign_err;
	unsigned alarms;
	char alarm[120];
} lab[2]; /* 0: enterprise, 1: operator */
static struct loop *loop;
static bool cut; /* nothing is delivered */
static wall_t lab_epoch = NOW;

static inline wall_t lab_now(void *arg)
{
	(void)arg;
	return (wall_t){ lab_epoch.ms + loop_now(loop).us / 1000 };
}

/* --- the seams ------------------------------------------------------------------------------- */

int __wrap_signer_sign(struct msg_client *c, const struct sign_req *q, struct sign_rep *ret,
		       struct err *e);
int __wrap_signer_sign(struct msg_client *c, const struct sign_req *q, struct sign_rep *ret,
		       struct err *e)
{
	struct lab *l = (struct lab *)(void *)c;
	struct checkpoint_view v;
	struct sstate_new n = { .kind = q->kind };
	struct sign_last last;

	if (sign_check(q) != SIGN_OK || !checkpoint_parse(&v, q->data, q->data_len))
		return err_set(e, -EACCES, "data: is no checkpoint");
	sha256(q->data + v.origin, v.origin_len, n.lineage);
	sha256(q->data + v.root, v.root_len, n.now.digest);
	n.now.revision = v.size;
	last = sstate_last(l->state, q->kind, n.lineage);
	switch (sign_check_revision(&last, n.now.revision, n.now.digest)) {
	case SIGN_OK:
		if (sstate_add(l->state, &n, 1, e))
			return -EIO;
		break;
	case SIGN_AGAIN: break;
	default: return err_set(e, -EACCES, "revision: a later one was signed");
	}
	ed25519_sign(ret->signature, q->data, q->data_len, l->key.seed);
	memcpy(ret->public, l->key.pub, 32);
	ret->count = sstate_count(l->state);
	return sstate_head(l->state, ret->count, ret->head);
}

int __wrap_signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
			 struct err *e);
int __wrap_signer_public(struct msg_client *c, enum cfg_key_kind key, uint8_t ret[32],
			 struct err *e)
{
	const struct lab *l = (const struct lab *)(void *)c;

	(void)key;
	if (l->lost)
		return err_set(e, -ENOKEY, "checkpoint: no key");
	memcpy(ret, l->key.pub, 32);
	return 0;
}

static inline int resolve(void *arg, const char *method, const char *purpose, uint8_t pub[32],
			  struct err *e)
{
	char want[96];

	(void)arg;
	for (int i = 0; i < 2; i++) {
		(void)snprintf(want, sizeof(want), "%s#checkpoint", lab[i].did);
		if (!strcmp(want, method) && !strcmp(purpose, "assertionMethod")) {
			memcpy(pub, lab[i].key.pub, 32);
			return 0;
		}
	}
	return err_set(e, -ENOKEY, "no such key");
}

struct call {
	struct lab *to;
	const char *from;
	char *body;
	peer_a2a_fn fn;
	void *arg;
};

static inline void lab_sink(void *to, const struct wire_response *r)
{
	struct call *k = to;
	struct a2a_result res;
	struct err e = { 0 };

	assert_int_equal(a2a_parse(&res, r, "SendMessage", 1, &e), 0);
	k->fn(k->arg, 0, &res, "");
	a2a_result_clear(&res);
	free(k->body);
	free(k);
}

static inline void deliver(void *arg)
{
	struct call *k = arg;
	struct peer p = { 0 };
	struct wire_header h[3];
	struct wire_request rq = { .method = "POST",
				   .path = "/a2a",
				   .query = "",
				   .headers = h,
				   .nheaders = a2a_client_headers(h, NEGO_EXTENSION),
				   .body = k->body,
				   .len = strlen(k->body),
				   .peer = &p };
	struct wire_sink sink = { .fn = lab_sink, .to = k };

	str_cut(p.did, k->from);
	if (cut || !k->to->side.a2a) {
		k->fn(k->arg, -ECONNREFUSED, NULL, "nobody answers");
		free(k->body);
		free(k);
		return;
	}
	a2a_server_handle(k->to->side.a2a, &rq, sink);
}

int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e);
int __wrap_peer_send(struct side *s, const char *did, const struct a2a_send *m, peer_a2a_fn fn,
		     void *arg, struct err *e)
{
	struct call *k = calloc(1, sizeof(*k));

	(void)e;
	assert_non_null(k);
	*k = (struct call){ .to = !strcmp(did, lab[0].did) ? &lab[0] : &lab[1],
			    .from = s->cfg->daemon.did,
			    .body = a2a_build_send(m, 1),
			    .fn = fn,
			    .arg = arg };
	assert_non_null(loop_after(loop, 1000, deliver, k));
	return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

static inline int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
			     struct a2a_turn *t)
{
	assert_true(witness_takes(m));
	return witness_message(arg, p, m, t);
}

static inline void on_event(void *arg, const struct event *ev)
{
	struct lab *l = arg;

	if (ev->kind != EV_WITNESS_ALARM)
		return;
	l->alarms++;
	str_cut(l->alarm, ev->u.ref.why.s);
}

static inline int turns(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++)
		if (lab[i].side.engine && engine_turn(lab[i].side.engine))
			return -EIO;
	return 0;
}

static inline const char *path_of(const struct lab *l, const char *name)
{
	static char path[2][160];
	static unsigned n;

	(void)snprintf(path[++n % 2], sizeof(path[0]), "%s/%s", l->dir, name);
	return path[n % 2];
}

static inline int up(struct lab *l, struct err *e)
{
	static const char *const skills[] = { "x", "y", NULL };
	struct engine_config ec = { .max_deals = 4, .max_wanted = 4, .now = lab_now };
	struct a2a_app app = { .on_message = on_message, .arg = &l->side };
	struct a2a_config a = { .path = "/a2a",
				.url = "https://x/a2a",
				.name = "x",
				.description = "x",
				.version = "1",
				.extension = NEGO_EXTENSION,
				.extension_description = "x",
				.extension_required = true,
				.skills = skills,
				.now = lab_now };

	l->side = (struct side){ .cfg = &l->cfg,
				 .loop = loop,
				 .signer = (void *)l,
				 .keys = { resolve, NULL },
				 .sign_err = &l->sign_err };
	l->alarms = 0;
	if (store_open(l->dir, STORE_CREATE | STORE_NOSYNC, &l->store, e))
		return -EIO;
	ec.store = l->store;
	if (engine_new(&l->side.engine, &ec, e) || engine_subscribe(l->side.engine, on_event, l) ||
	    sstate_open(&l->state, path_of(l, "signer.state"), e) ||
	    a2a_server_new(&l->side.a2a, &a, &app, e))
		return -EIO;
	if (l->cfg.trust.documents[0] && side_documents(&l->side, e))
		return -EIO;
	return witness_start(&l->side, e);
}

static inline void down(struct lab *l)
{
	if (l->store && !store_poisoned(l->store))
		assert_int_equal(store_commit(l->store, NULL), 0);
	l->side.a2a = a2a_server_free(l->side.a2a);
	witness_free(&l->side);
	l->side.engine = engine_free(l->side.engine);
	l->store = store_free(l->store);
	l->state = sstate_free(l->state);
}

/* A new loop, so that no timer of an earlier life is left. */
static inline int begin(struct err *e)
{
	int r;

	cut = false;
	assert_int_equal(loop_new(&loop, true), 0);
	loop_before_sleep(loop, turns, NULL);
	r = up(&lab[1], e);
	return r ? r : up(&lab[0], e);
}

static inline void end(void)
{
	down(&lab[0]);
	down(&lab[1]);
	loop = loop_free(loop);
}

static inline void stop(void *arg)
{
	(void)arg;
	loop_stop(loop, 1);
}

/* 1 = the time is over, else what stopped the loop. */
static inline int run_s(unsigned s)
{
	assert_non_null(loop_after(loop, (int64_t)s * 1000000, stop, NULL));
	return loop_run(loop);
}

static inline void grow(struct lab *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		engine_refuse(l->side.engine, "human", "x", NULL, REFUSE_NOT_AUTHORIZED, "growing");
}

static inline void copy(const struct lab *l, const char *from, const char *to)
{
	char cmd[400];

	(void)snprintf(cmd, sizeof(cmd), "cp %s %s", path_of(l, from), path_of(l, to));
	assert_int_equal(system(cmd), 0);
}

static inline int setup(void **state)
{
	dir_make(state);
	memset(lab, 0, sizeof(lab));
	for (int i = 0; i < 2; i++) {
		struct config *c = &lab[i].cfg;
		struct cfg_peer *p = &c->peer[0];

		party_init(&lab[i].key, (uint8_t)(i + 1));
		must_set(lab[i].did, i ? "did:web:op.example" : "did:web:ent.example");
		(void)snprintf(lab[i].dir, sizeof(lab[i].dir), "%s/%d", dir, i);
		assert_int_equal(mkdir(lab[i].dir, 0700), 0);
		must_set(c->daemon.did, lab[i].did);
		must_set(c->daemon.agents_dir, lab[i].dir);
		must_set(c->keys.file[KEY_CHECKPOINT], "/set");
		c->keys.checkpoint_s = 2;
		c->keys.checkpoint_events = 50;
		c->peers = 1;
		must_set(p->name, i ? "enterprise" : "operator");
		must_set(p->did, i ? "did:web:ent.example" : "did:web:op.example");
		must_set(p->url, "https://x");
		p->role = i ? PEER_ENTERPRISE : PEER_OPERATOR;
	}
	return 0;
}

/* The head that the other side cosigned, verified with both keys. */
static inline uint64_t cosigned_size(int i)
{
	struct note_key own = { .alg = NOTE_ED25519 }, other = { .alg = NOTE_COSIGNATURE };
	struct checkpoint cp;
	char text[NOTE_MAX];
	struct note n;

	if (witness_file_get(lab[i].dir, WITNESS_FILE, text, NULL))
		return 0;
	assert_int_equal(note_parse(text, strlen(text), &n, NULL), 0);
	assert_int_equal(checkpoint_read(n.text, n.len, &cp, NULL), 0);
	must_set(own.name, cp.origin);
	must_set(other.name, lab[!i].did);
	memcpy(own.pub, lab[i].key.pub, 32);
	memcpy(other.pub, lab[!i].key.pub, 32);
	assert_int_equal(note_verify(&n, &own, NULL), 0);
	assert_int_equal(note_verify(&n, &other, NULL), 0);
	return cp.size;
}

#endif
