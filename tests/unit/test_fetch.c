/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and status lists over HTTPS, from a real server: first the fetching alone, each way to
 * fail beside its twin; then whole admissions whose keys and lists are fetched, refused by name. */
#include "bss_road.h"

#include "agent/bss_policy/bss_policy_core.h"
#include "agent/codec/status_list.h"
#include "agent/fetch.h"
#include "agent/log.h"
#include "agent/side_make.h"
#include "agent/status_lists.h"
#include "web_lab.h"

enum { BOUND_MS = 20000 };

static struct config cfg;
static struct loop *loop;
static struct fetch *fetch;
static unsigned told;

static void web_config(struct config *c)
{
	struct cfg_web *w = &c->web[0];

	c->webs = 1;
	memset(w, 0, sizeof(*w));
	must_set(w->name, "localhost");
	must_set(w->ca, web_path("ca.pem"));
	w->local = true;
	c->trust.fetch_life_s = 300;
	c->trust.fetch_stale_s = 3600;
	c->trust.fetch_wait_ms = 10000;
}

static void stop(void *arg)
{
	loop_stop(arg, 0);
}

/* Lets the loop run in steps until the condition holds. */
#define UNTIL(l, cond)                                                     \
	do {                                                               \
		int left_ = BOUND_MS / 10;                                 \
		while (!(cond) && left_--) {                               \
			assert_non_null(loop_after(l, 10000, stop, l));    \
			assert_int_equal(loop_run(l), 0);                  \
		}                                                          \
		if (!(cond))                                               \
			fail_msg("not within %d ms: %s", BOUND_MS, #cond); \
	} while (0)

static void on_told(void *arg)
{
	(void)arg;
	told++;
}

static int fetch_setup(void **state)
{
	int r = web_setup(state);

	memset(&cfg, 0, sizeof(cfg));
	web_config(&cfg);
	log_init("test", LOG_LEVEL_ERROR);
	return r ? r : loop_new(&loop, false);
}

static void again(void)
{
	fetch = fetch_free(fetch);
	assert_int_equal(fetch_new(&fetch, &cfg, loop), 0);
}

static int fetch_teardown(void **state)
{
	fetch = fetch_free(fetch);
	loop = loop_free(loop);
	return web_teardown(state);
}

static const struct json_limits document = JSON_LIMITS_DID;

/* NULL: it came; else why not. */
static const char *get(const char *url)
{
	struct err e = { 0 };
	const char *why = NULL;

	again();
	told = 0;
	if (fetch_ask(fetch, url, &document, on_told, NULL, &e))
		fail_msg("%s: %s", url, e.text);
	assert_int_equal(told, 0);
	UNTIL(loop, told);
	assert_int_equal(told, 1);
	return fetch_copy(fetch, url, 0, &why) ? NULL : why;
}

static const char *get_path(const char *path)
{
	char url[256];

	web_url(path, url);
	return get(url);
}

static void refused_because(const char *path, const char *what)
{
	const char *why = get_path(path);

	if (!why || !strstr(why, what))
		fail_msg("%s: %s, expected %s", path, why ? why : "it came", what);
}

static void servers(void **state)
{
	struct cfg_web *w = &cfg.web[0];
	struct err e = { 0 };
	char url[256];

	(void)state;
	web_put("ok", json_pack("{s:s}", "a", "b"));
	assert_null(get_path("/ok"));
	refused_because("/redirect", "redirect to https://elsewhere.example/x");
	refused_because("/big", "too large");
	refused_because("/deep", "deep");
	refused_because("/nothing", "404");
	cfg.trust.fetch_wait_ms = 300;
	refused_because("/slow", "no answer in time");
	cfg.trust.fetch_wait_ms = 10000;
	assert_null(get_path("/ok"));
	/* Who vouches for it. */
	must_set(w->ca, web_path("other/ca.pem"));
	refused_because("/ok", "certificate");
	must_set(w->ca, web_path("ca.pem"));
	must_set(w->pin, "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	refused_because("/ok", "pins");
	must_set(w->pin, web.pin);
	assert_null(get_path("/ok"));
	w->ca[0] = 0; /* the system's authorities do not know it, whatever the pin */
	refused_because("/ok", "certificate");
	must_set(w->ca, web_path("ca.pem"));
	w->pin[0] = 0;
	/* Where it is. */
	w->local = false;
	refused_because("/ok", "not public");
	w->local = true;
	must_set(w->name, "127.0.0.1");
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/ok", web.port);
	assert_true(strstr(get(url), "certificate") != NULL); /* it is localhost's */
	again();
	web_url("/ok", url);
	assert_int_equal(fetch_may(fetch, url, &e), -EACCES);
	must_set(w->name, "localhost");
	assert_int_equal(fetch_may(fetch, url, &e), 0);
	assert_int_equal(fetch_may(fetch, "http://localhost/ok", &e), -EINVAL);
	assert_int_equal(fetch_may(fetch, "https://a:b@localhost/ok", &e), -EINVAL);
	assert_int_equal(fetch_may(fetch, "https://localhost.evil.example/ok", &e), -EACCES);
	web_down();
	assert_non_null(get_path("/ok"));
	web_up();
	assert_null(get_path("/ok"));
}

/* One call for all who ask at once; fresh, then stale and asked for again, then of no use. */
static void ages(void **state)
{
	char url[256];
	struct err e = { 0 };

	(void)state;
	web_put("ok", json_pack("{s:i}", "n", 1));
	web_url("/ok", url);
	cfg.trust.fetch_life_s = 1;
	cfg.trust.fetch_stale_s = 3;
	again();
	web_forget();
	told = 0;
	assert_true(fetch_due(fetch, url, 0));
	for (int i = 0; i < 5; i++)
		assert_int_equal(fetch_ask(fetch, url, &document, on_told, &told, &e), 0);
	assert_int_equal(fetch_ask(fetch, url, &document, on_told, &loop, &e), 0);
	fetch_leave(fetch, &loop);
	UNTIL(loop, told == 5);
	assert_int_equal(web_asked("/ok"), 1);
	assert_false(fetch_due(fetch, url, 0));
	assert_non_null(fetch_copy(fetch, url, 0, NULL));
	UNTIL(loop, fetch_due(fetch, url, 0));
	assert_non_null(fetch_copy(fetch, url, 0, NULL));
	assert_null(fetch_copy(fetch, url, 500, NULL)); /* a ttl of its own */
	web_down();
	told = 0;
	assert_int_equal(fetch_ask(fetch, url, &document, on_told, NULL, &e), 0);
	UNTIL(loop, told);
	assert_false(fetch_due(fetch, url, 0)); /* not again at once */
	UNTIL(loop, !fetch_copy(fetch, url, 0, NULL));
	web_up();
	cfg.trust.fetch_life_s = 300;
	/* What is kept comes back by itself. */
	assert_int_equal(fetch_keep(fetch, url, &document, &e), 0);
	UNTIL(loop, fetch_copy(fetch, url, 0, NULL));
}

/* --- admissions ------------------------------------------------------------------------------- */

static struct party far; /* the issuer, whose did:web is on the server */

static void did_of(struct party *p, const char *fragment)
{
	(void)snprintf(p->did, sizeof(p->did), "did:web:localhost%%3A%u", web.port);
	(void)snprintf(p->port.method, sizeof(p->port.method), "%s#%s", p->did, fragment);
	p->port.arg = p;
}

static json_t *document_of(const struct party *p, const char *fragment, const char *purpose)
{
	struct did_document_key_row row = { .fragment = fragment, .purpose = purpose };
	json_t *doc;

	memcpy(row.pub, p->pub, sizeof(row.pub));
	doc = did_document_new(p->did, &row, 1);
	assert_non_null(doc);
	return doc;
}

static json_t *list_of(const struct party *by, bool set, int64_t until_ms, int64_t ttl_ms)
{
	struct status_list l = { .purpose = STATUS_REVOCATION,
				 .valid_from = { NOW.ms - 3600000 },
				 .valid_until = { until_ms },
				 .ttl_ms = ttl_ms,
				 .entries = STATUS_ENTRIES_MIN };
	struct party signer = *by;
	struct err e = { 0 };
	json_t *vc = NULL;
	char url[256];

	signer.port.arg = &signer;
	web_url("/list", url);
	must_set(l.id, url);
	must_set(l.issuer, by->did);
	l.bits = calloc(1, STATUS_ENTRIES_MIN / 8);
	assert_non_null(l.bits);
	if (set)
		status_list_set(&l, 7, true);
	if (status_list_issue(&l, NOW, &signer.port, &vc, &e))
		fail_msg("list: %s", e.text);
	free(l.bits);
	return vc;
}

static int admit_setup(void **state)
{
	int r = web_setup(state);
	struct err e = { 0 };

	lab_real = true;
	r = r ? r : lab_setup(state);
	log_init("test", LOG_LEVEL_ERROR);
	party_init(&far, 6);
	did_of(&far, "wallet");
	web_config(&lab.cfg);
	must_set(lab.cfg.trust.issuers[0], far.did);
	lab.issuer = far;
	lab.issuer.port.arg = &far;
	web_put(".well-known/did.json", document_of(&far, "wallet", "assertionMethod"));
	web_put("list", list_of(&far, false, NOW.ms + 86400000, 0));
	assert_int_equal(side_documents(&lab.side, &e), 0);
	assert_int_equal(fetch_new(&lab.side.fetch, &lab.cfg, lab.side.loop), 0);
	return r;
}

static int admit_teardown(void **state)
{
	int r;

	lab.side.fetch = fetch_free(lab.side.fetch);
	status_lists_end();
	r = lab_teardown(state);
	return web_teardown(state) ? -1 : r;
}

static struct road with_list(const char *hex)
{
	struct road r = road_new(&lab.ent, hex);
	char url[256];

	web_url("/list", url);
	r.w.n_status = 1;
	r.w.status[0].purpose = STATUS_REVOCATION;
	r.w.status[0].index = 7;
	must_set(r.w.status[0].list, url);
	return r;
}

static void quoted(struct road *r)
{
	ask_quote(r);
	UNTIL(lab.side.loop, lab.replies);
	take_quote(r);
}

static void refused_as(struct road *r, enum refusal want, const char *what)
{
	struct snap s;
	auto_json json_t *vc = wallet_vc_fixture(&r->w, &lab.issuer);
	auto_json json_t *intent = intent_json(&r->i);
	char ch[80];

	challenge(r->who, ch);
	s = snap();
	say(r->who, json_pack("[O, o]", intent, present(r, vc, intent, ch)));
	UNTIL(lab.side.loop, lab.replies);
	expect(want, s, what);
}

/* Fetched once, and no more for the next; nothing for a stranger. */
static void fetched(void **state)
{
	auto_road struct road a = with_list("0e1"), b = with_list("0e2"), c = with_list("0e3");

	(void)state;
	must_set(lab.cfg.trust.issuers[0], "did:web:other.example");
	refused_as(&c, REFUSE_WALLET_ISSUER, "an issuer that is not trusted");
	assert_int_equal(web_asked(NULL), 0);
	must_set(lab.cfg.trust.issuers[0], far.did);
	quoted(&a);
	assert_int_equal(web_asked("/.well-known/did.json"), 1);
	assert_int_equal(web_asked("/list"), 1);
	quoted(&b);
	assert_int_equal(web_asked(NULL), 2);
}

/* No list is asked for on behalf of one whose signature does not hold. */
static void forged(void **state)
{
	auto_road struct road r = with_list("0e1");
	struct party liar = far;

	(void)state;
	party_init(&liar, 7);
	did_of(&liar, "wallet");
	lab.issuer = liar;
	lab.issuer.port.arg = &liar;
	refused_as(&r, REFUSE_WALLET_SIGNATURE, "another's key");
	assert_int_equal(web_asked("/list"), 0);
}

static json_t *jwk_document(void)
{
	json_t *doc = document_of(&far, "wallet", "assertionMethod");
	json_t *m = json_array_get(json_object_get(doc, "verificationMethod"), 0);
	char x[64];

	(void)base64url_encode(far.pub, 32, x, sizeof(x));
	(void)json_object_set_new(m, "type", json_string("JsonWebKey"));
	(void)json_object_del(m, "publicKeyMultibase");
	(void)json_object_set_new(
		m, "publicKeyJwk",
		json_pack("{s:s, s:s, s:s}", "kty", "OKP", "crv", "Ed25519", "x", x));
	return doc;
}

static json_t *method_of(json_t *doc)
{
	return json_array_get(json_object_get(doc, "verificationMethod"), 0);
}

/* Each a document that is wrong in one way. */
static void documents(void **state)
{
	static const char name[] = ".well-known/did.json";
	auto_road struct road r = road_new(&lab.ent, "0e1"), other = road_new(&lab.ent, "0e2");
	json_t *doc;

	(void)state;
	for (int i = 0; i < 8; i++) {
		enum refusal want = REFUSE_WALLET_SIGNATURE;
		struct party p = far;

		doc = document_of(&far, "wallet", "assertionMethod");
		switch (i) {
		case 0:
			(void)json_object_set_new(doc, "id", json_string("did:web:x.example"));
			break;
		case 1:
			json_decref(doc);
			doc = document_of(&far, "other", "assertionMethod");
			break;
		case 2:
			json_decref(doc);
			doc = document_of(&far, "wallet", "authentication");
			break;
		case 3:
			(void)json_object_set_new(method_of(doc), "controller",
						  json_string("did:web:x.example"));
			break;
		case 4:
			(void)json_object_set_new(method_of(doc), "type", json_string("Odd"));
			break;
		case 5:
			json_decref(doc);
			party_init(&p, 8);
			did_of(&p, "wallet");
			doc = document_of(&p, "wallet", "assertionMethod");
			break;
		case 6:
			json_decref(doc);
			doc = jwk_document();
			(void)json_object_set_new(json_object_get(method_of(doc), "publicKeyJwk"),
						  "d", json_string("AAAA"));
			break;
		default: json_decref(doc); doc = json_array();
		}
		web_put(name, doc);
		lab.side.fetch = fetch_free(lab.side.fetch);
		assert_int_equal(fetch_new(&lab.side.fetch, &lab.cfg, lab.side.loop), 0);
		refused_as(&r, want, "a wrong document");
	}
	lab.side.fetch = fetch_free(lab.side.fetch);
	assert_int_equal(fetch_new(&lab.side.fetch, &lab.cfg, lab.side.loop), 0);
	assert_int_equal(unlink(web_path("files/.well-known/did.json")), 0);
	refused_as(&r, REFUSE_WALLET_UNRESOLVED, "no document");
	lab.side.fetch = fetch_free(lab.side.fetch);
	web_put(name, jwk_document());
	assert_int_equal(fetch_new(&lab.side.fetch, &lab.cfg, lab.side.loop), 0);
	quoted(&other);
}

/* The server is silent: the intent waits no longer than it may. */
static void silent(void **state)
{
	auto_road struct road r = with_list("0e1"), twin = with_list("0e2");

	(void)state;
	lab.cfg.trust.fetch_wait_ms = 300;
	assert_int_equal(kill(web.pid, SIGSTOP), 0);
	refused_as(&r, REFUSE_WALLET_UNRESOLVED, "a silent server");
	assert_int_equal(kill(web.pid, SIGCONT), 0);
	lab.cfg.trust.fetch_wait_ms = 10000;
	lab.side.fetch = fetch_free(lab.side.fetch);
	assert_int_equal(fetch_new(&lab.side.fetch, &lab.cfg, lab.side.loop), 0);
	quoted(&twin);
}

static void lists(void **state)
{
	struct party other;
	static const char *const hex[] = { "0e1", "0e2", "0e3", "0e4", "0e5", "0e6" };

	(void)state;
	party_init(&other, 9);
	for (int i = 0; i < 6; i++) {
		auto_road struct road r = with_list(hex[i]);
		int64_t end = NOW.ms + 86400000;
		enum refusal want = REFUSE_WALLET_STATUS;

		lab.side.fetch = fetch_free(lab.side.fetch);
		assert_int_equal(fetch_new(&lab.side.fetch, &lab.cfg, lab.side.loop), 0);
		switch (i) {
		case 0:
			web_put("list", list_of(&far, true, end, 0));
			want = REFUSE_WALLET_REVOKED;
			break;
		case 1: web_put("list", list_of(&other, false, end, 0)); break;
		case 2: web_put("list", list_of(&far, false, NOW.ms - 1000, 0)); break;
		case 3: web_put("list", json_pack("{s:s}", "a", "b")); break;
		case 4: assert_int_equal(unlink(web_path("files/list")), 0); break;
		default:
			web_put("list", list_of(&far, false, end, 60000));
			quoted(&r);
			continue;
		}
		refused_as(&r, want, "a list");
	}
}

int main(void)
{
#define F(f) cmocka_unit_test_setup_teardown(f, fetch_setup, fetch_teardown)
#define A(f) cmocka_unit_test_setup_teardown(f, admit_setup, admit_teardown)
	const struct CMUnitTest tests[] = {
		F(servers), F(ages), A(fetched), A(forged), A(documents), A(silent), A(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
