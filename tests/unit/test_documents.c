/* SPDX-License-Identifier: Apache-2.0 */
/* Where a key is looked for (agent/documents.c): what a document says, pinned or fetched from a
 * real server, joined with what the log says of the same key. Whoever says that a key has ended or
 * is lost is believed, whatever the other says; a twin beside each stands. */
#include "store_util.h"
#include "trust_fixture.h"
#include "web_lab.h"

#include "agent/fetch.h"
#include "agent/log.h"
#include "agent/side_make.h"

enum { BOUND_MS = 20000 };

static struct config cfg;
static struct side side;
static struct store *store;
static wall_t clock_now;
static char did[DID_MAX];
static unsigned told;

static wall_t now_fn(void *arg)
{
	(void)arg;
	return clock_now;
}

static void stop(void *arg)
{
	loop_stop(arg, 0);
}

static void on_told(void *arg)
{
	(void)arg;
	told++;
}

/* --- documents ------------------------------------------------------------------------------- */

enum { ROWS_MAX = 4 };

static struct did_document_key_row row[ROWS_MAX];
static size_t n_rows;

static struct did_document_key_row *add(const char *fragment, uint8_t seed)
{
	struct did_document_key_row *r = &row[n_rows++];
	struct party p;

	party_init(&p, seed);
	*r = (struct did_document_key_row){ .fragment = fragment, .purpose = "assertionMethod" };
	memcpy(r->pub, p.pub, 32);
	return r;
}

static json_t *document(void)
{
	json_t *doc = did_document_new(did, row, n_rows);

	assert_non_null(doc);
	return doc;
}

/* The server has it from now on, and it is asked for again. */
static void serve(void)
{
	const struct json_limits lim = JSON_LIMITS_DID;
	char url[256];
	int left = BOUND_MS / 10;

	web_put(".well-known/did.json", document());
	web_url("/.well-known/did.json", url);
	side.fetch = fetch_free(side.fetch);
	assert_int_equal(fetch_new(&side.fetch, &cfg, side.loop), 0);
	told = 0;
	assert_int_equal(fetch_ask(side.fetch, url, &lim, on_told, NULL, NULL), 0);
	while (!told && left--) {
		assert_non_null(loop_after(side.loop, 10000, stop, side.loop));
		assert_int_equal(loop_run(side.loop), 0);
	}
	assert_int_equal(told, 1);
	assert_non_null(fetch_copy(side.fetch, url, 0, NULL));
}

/* 0 and the key is that of the seed, or why not. */
static int key(const char *fragment, uint8_t seed)
{
	char method[DID_URL_MAX];
	struct err e = { 0 };
	struct party p;
	uint8_t pub[32];
	int r;

	(void)snprintf(method, sizeof(method), "%s#%s", did, fragment);
	r = side.keys.resolve(side.keys.arg, method, "assertionMethod", pub, &e);
	assert_true(!r == !e.code);
	party_init(&p, seed);
	return r ? r : memcmp(pub, p.pub, 32) != 0;
}

/* --- the log --------------------------------------------------------------------------------- */

static void say(enum tool_id id, struct ev_key k)
{
	str_cut(k.owner.s, did);
	assert_int_equal(tool_call(side.engine, id, &k), REFUSE_NONE);
}

static void again(void)
{
	struct engine_config ec = { .max_deals = 4, .max_wanted = 4, .now = now_fn };

	if (store) {
		assert_int_equal(store_commit(store, NULL), 0);
		side.engine = engine_free(side.engine);
		store = store_free(store);
	}
	assert_int_equal(store_open(dir, STORE_CREATE | STORE_NOSYNC, &store, NULL), 0);
	ec.store = store;
	assert_int_equal(engine_new(&side.engine, &ec, NULL), 0);
	assert_int_equal(side_documents(&side, NULL), 0);
}

static int setup(void **state)
{
	struct cfg_web *w = &cfg.web[0];
	int r = web_setup(state);

	log_init("test", LOG_LEVEL_ERROR);
	memset(&cfg, 0, sizeof(cfg));
	memset(&side, 0, sizeof(side));
	store = NULL;
	n_rows = 0;
	clock_now = NOW;
	cfg.webs = 1;
	must_set(w->name, "localhost");
	must_set(w->ca, web_path("ca.pem"));
	w->local = true;
	cfg.trust.fetch_life_s = 300;
	cfg.trust.fetch_stale_s = 3600;
	cfg.trust.fetch_wait_ms = 10000;
	must_set(cfg.daemon.did, "did:web:own.example");
	(void)snprintf(did, sizeof(did), "did:web:localhost%%3A%u", web.port);
	side.cfg = &cfg;
	r = r ? r : dir_make(state);
	r = r ? r : loop_new(&side.loop, false);
	if (!r)
		again();
	return r ? r : fetch_new(&side.fetch, &cfg, side.loop);
}

static int teardown(void **state)
{
	int r = store_commit(store, NULL);

	side.fetch = fetch_free(side.fetch);
	side.engine = engine_free(side.engine);
	store = store_free(store);
	side.loop = loop_free(side.loop);
	return dir_drop(state) || web_teardown(state) ? -1 : r;
}

/* --- tests ----------------------------------------------------------------------------------- */

#define HOUR_MS 3600000LL

static void test_rotated(void **state)
{
	(void)state;
	assert_int_equal(key("agreement", 1), -EAGAIN);
	add("agreement", 1);
	serve();
	assert_int_equal(key("agreement", 1), 0);
	assert_int_equal(key("agreement-2", 2), -ENOKEY);
	row[0].expires.ms = NOW.ms + HOUR_MS;
	add("agreement-2", 2);
	assert_int_equal(key("agreement-2", 2), -ENOKEY); /* nobody asked again yet */
	serve();
	assert_int_equal(key("agreement", 1), 0);
	assert_int_equal(key("agreement-2", 2), 0);
	clock_now.ms += HOUR_MS;
	assert_int_equal(key("agreement", 1), -EKEYEXPIRED);
	assert_int_equal(key("agreement-2", 2), 0);
	row[1].revoked.ms = NOW.ms + 10 * HOUR_MS; /* whatever the time there */
	serve();
	assert_int_equal(key("agreement-2", 2), -EKEYREVOKED);
}

/* A human said it before the document did; and the other way round. */
static void test_compromised(void **state)
{
	struct ev_key k = { .id = { "agreement" }, .until = { NOW.ms - HOUR_MS } };

	(void)state;
	add("agreement", 1);
	add("wallet", 3);
	serve();
	say(TOOL_key_compromise, k);
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	assert_int_equal(key("wallet", 3), 0);
	serve(); /* a copy of today says nothing of it */
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	again();
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	add("agreement-2", 2);
	row[0].revoked.ms = NOW.ms;
	serve();
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	assert_int_equal(key("agreement-2", 2), 0);
	row[1].revoked.ms = NOW.ms;
	serve();
	assert_int_equal(key("wallet", 3), -EKEYREVOKED);
	/* The name is what a human gave; the same key under another name is another method. */
	assert_int_equal(key("agreement-2", 2), 0);
}

/* Our own document lies on a server too, perhaps an old copy: the log knows better. */
static void test_own(void **state)
{
	struct ev_key k = { .role = { "agreement" },
			    .id = { "agreement-2" },
			    .old = { "agreement" },
			    .until = { NOW.ms + HOUR_MS } };

	(void)state;
	must_set(cfg.daemon.did, did);
	add("agreement", 1);
	add("agreement-2", 2);
	serve();
	memcpy(k.old_key.b, row[0].pub, 32);
	memcpy(k.key.b, row[1].pub, 32);
	assert_int_equal(key("agreement", 1), 0);
	say(TOOL_key_rotate, k);
	assert_int_equal(key("agreement", 1), 0);
	clock_now.ms += HOUR_MS;
	assert_int_equal(key("agreement", 1), -EKEYEXPIRED);
	assert_int_equal(key("agreement-2", 2), 0);
	again();
	assert_int_equal(key("agreement", 1), -EKEYEXPIRED);
	assert_int_equal(key("agreement-2", 2), 0);
}

/* What is pinned is not asked for, though the server has a later one; what the log says holds for
 * it as well. */
static void test_pinned(void **state)
{
	struct ev_key k = { .id = { "agreement" }, .until = { NOW.ms } };
	char path[128];
	json_t *doc;

	(void)state;
	add("agreement", 1);
	add("wallet", 3);
	(void)snprintf(path, sizeof(path), "%s/pin", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	must_set(cfg.trust.documents, path);
	(void)snprintf(path, sizeof(path), "%s/pin/a.json", dir);
	doc = document();
	assert_int_equal(json_dump_file(doc, path, 0), 0);
	json_decref(doc);
	again();
	add("agreement-2", 2);
	serve();
	web_forget();
	assert_int_equal(key("agreement", 1), 0);
	assert_int_equal(key("agreement-2", 2), -ENOKEY);
	assert_false(side_document_due(&side, did));
	say(TOOL_key_compromise, k);
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	assert_int_equal(key("wallet", 3), 0);
	assert_int_equal(web_asked(NULL), 0);
	/* The pin is taken away: the server's counts, and the log's word still. */
	assert_int_equal(unlink(path), 0);
	again();
	assert_int_equal(key("agreement-2", 2), 0);
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
}

/* The server is gone: what came stays of use for its time, and what was lost stays lost. */
static void test_stale(void **state)
{
	struct ev_key k = { .id = { "agreement" }, .until = { NOW.ms } };

	(void)state;
	add("agreement", 1);
	add("wallet", 3);
	serve();
	web_down();
	say(TOOL_key_compromise, k);
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	assert_int_equal(key("wallet", 3), 0);
	clock_now.ms -=
		1000 * HOUR_MS; /* a step of the wall clock ages nothing and brings nothing back */
	assert_int_equal(key("agreement", 1), -EKEYREVOKED);
	assert_int_equal(key("wallet", 3), 0);
	side.fetch = fetch_free(side.fetch);
	assert_int_equal(fetch_new(&side.fetch, &cfg, side.loop), 0);
	assert_int_equal(key("wallet", 3), -EAGAIN);
	assert_int_equal(key("agreement", 1), -EAGAIN); /* asked for in vain: not accepted either */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_rotated), T(test_compromised), T(test_own),
					    T(test_pinned), T(test_stale) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
