/* SPDX-License-Identifier: Apache-2.0 */
/* Status lists: the published bits, what a list must not be, and what a wallet that names one has
 * to show before it is admitted. */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <zlib.h>

#include "agent/bss_policy/wallet_admit.h"
#include "agent/status_lists.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#define OP        "did:web:op.lab.example"
#define CHALLENGE "c-0123456789abcdef"
#define URL1      "https://issuer.example/status/1"
#define URL2      "https://issuer.example/status/2"

static struct party issuer, agent, thief;
static const struct did_resolver keys = { .resolve = did_resolve_key };

static struct status_list *list_new(const char *url, enum status_purpose purpose)
{
	struct status_list *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	must_set(l->id, url);
	must_set(l->issuer, issuer.did);
	l->purpose = purpose;
	l->valid_from = (wall_t){ NOW.ms - 1000 };
	l->valid_until = (wall_t){ NOW.ms + 1000 };
	l->entries = STATUS_ENTRIES_MIN;
	l->bits = calloc(1, l->entries / 8);
	assert_non_null(l->bits);
	return l;
}

static json_t *list_vc(const struct status_list *l, const struct party *signer)
{
	struct err e = { 0 };
	json_t *vc = NULL;

	if (status_list_issue(l, NOW, &signer->port, &vc, &e))
		fail_msg("%s", e.text);
	return vc;
}

/* A list with that text as its encodedList, well signed. */
static int verify_text(const char *encoded, struct status_list **l, struct err *e)
{
	struct sign_request rq = { .kind = SIGN_WALLET };
	struct vc_proof_options po = { .created = NOW };
	auto_json json_t *body = json_pack(
		"{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "id", URL1, "issuer", issuer.did,
		"validFrom", "2026-01-01T00:00:00Z", "validUntil", "2026-12-31T00:00:00Z",
		"credentialSubject", "type", "BitstringStatusList", "statusPurpose", "revocation",
		"encodedList", encoded);
	auto_json json_t *vc = NULL;

	assert_non_null(body);
	if (vc_issue(body, &status_profile, &po, &issuer.port, &rq, &vc, e))
		fail_msg("%s", e->text);
	return status_list_verify(l, vc, &keys, e);
}

static void published_lists(void **state)
{
	auto_free char *text = file_fixture("tests/vectors/bitstring/vectors.json", NULL);
	auto_json json_t *v = json_loads(text, 0, NULL);
	json_t *c, *set;
	size_t i, k;

	(void)state;
	json_array_foreach (json_object_get(v, "lists"), i, c) {
		struct status_list *l = NULL;
		struct err e = { 0 };
		uint32_t on = 0;

		if (verify_text(json_string_value(json_object_get(c, "encodedList")), &l, &e))
			fail_msg("list %zu: %s", i, e.text);
		assert_int_equal(l->entries / 8, json_integer_value(json_object_get(c, "bytes")));
		for (uint32_t b = 0; b < l->entries; b++)
			on += status_list_get(l, b);
		assert_int_equal(on, json_array_size(json_object_get(c, "set")));
		json_array_foreach (json_object_get(c, "set"), k, set)
			assert_true(status_list_get(l, (uint32_t)json_integer_value(set)));
		l = status_list_free(l);
	}
	assert_int_equal(i, 3);
}

static char *packed(size_t bytes, const char *extra)
{
	size_t cap = bytes / 500 + 4096;
	uint8_t *zeros = calloc(1, 65536), *out = malloc(cap);
	char *text = malloc(cap * 2);
	z_stream z = { .next_out = out, .avail_out = (uInt)cap };
	int n;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	for (; bytes; bytes -= n) {
		n = (int)(bytes < 65536 ? bytes : 65536);
		z.next_in = zeros;
		z.avail_in = (uInt)n;
		assert_int_equal(deflate(&z, (size_t)n == bytes ? Z_FINISH : Z_NO_FLUSH),
				 (size_t)n == bytes ? Z_STREAM_END : Z_OK);
	}
	n = (int)(cap - z.avail_out);
	(void)deflateEnd(&z);
	memcpy(out + n, extra, strlen(extra));
	text[0] = 'u';
	assert_true(base64url_encode(out, (size_t)n + strlen(extra), text + 1, cap * 2 - 1) > 0);
	free(zeros);
	free(out);
	return text;
}

static void refused_text(const char *text, int want, const char *word)
{
	struct status_list *l = NULL;
	struct err e = { 0 };

	assert_int_equal(verify_text(text, &l, &e), want);
	if (!strstr(e.text, word))
		fail_msg("%s: %s expected", e.text, word);
	assert_null(l);
}

static void refused_lists(void **state)
{
	auto_free char *good = packed(16384, ""), *trail = packed(16384, "x"),
		       *few = packed(16383, ""), *most = packed(131072, ""),
		       *more = packed(131073, ""), *bomb = packed(64 << 20, "");
	auto_free char *padded = malloc(strlen(good) + 2);
	struct status_list *l = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(verify_text(good, &l, &e), 0);
	l = status_list_free(l);
	assert_int_equal(verify_text(most, &l, &e), 0);
	assert_int_equal(l->entries, STATUS_ENTRIES_MAX);
	l = status_list_free(l);
	(void)sprintf(padded, "%s=", good);
	refused_text(padded, -EINVAL, "base64url");
	refused_text(good + 1, -EINVAL, "'u'");
	refused_text("u", -EINVAL, "gzip");
	refused_text("uAAAA", -EINVAL, "gzip");
	refused_text(trail, -EINVAL, "gzip");
	refused_text(few, -EINVAL, "131072");
	refused_text(more, -EMSGSIZE, "1048576");
	refused_text(bomb, -EMSGSIZE, "1048576");
	good[strlen(good) - 8] = 0; /* cut short */
	refused_text(good, -EINVAL, "gzip");
}

/* --- what a wallet has to show --- */

struct place { /* arg of the operator's callbacks */
	const struct status_list *own;
	int local; /* what the operator knows by itself */
	unsigned asked;
};

static bool yes(void *arg, const char *a, const char *b)
{
	(void)arg, (void)a, (void)b;
	return true;
}

static int revoked(void *arg, const struct wallet *w)
{
	(void)w;
	return ((struct place *)arg)->local;
}

static const struct status_list *own(void *arg, const char *url)
{
	struct place *p = arg;

	p->asked++;
	return p->own && !strcmp(p->own->id, url) ? p->own : NULL;
}

static void never_seen(void *arg, const struct wallet *w, const uint8_t digest[DIGEST_LEN],
		       struct wallet_facts *f)
{
	(void)arg, (void)w, (void)digest;
	f->seen = WALLET_SEEN_NEVER;
}

static bool needs_keys(void *arg, const char *did)
{
	(void)arg, (void)did;
	return false;
}

static bool needs_list(void *arg, const char *url)
{
	(void)arg, (void)url;
	return true;
}

static struct wallet_needs needed; /* by the wallet that was judged last, of the web */

static enum refusal admit(struct place *p, const json_t *a, const json_t *b)
{
	struct presentation_ask pa = { .holder = agent.did,
				       .domain = OP,
				       .challenge = CHALLENGE,
				       .intent_id = "intent-1",
				       .created = NOW,
				       .stapled = { a, b } };
	struct admit_env env = { .now = NOW,
				 .operator_did = OP,
				 .peer = agent.did,
				 .limits = { .skew_ms = 120000 },
				 .keys = keys,
				 .arg = p,
				 .trusted = yes,
				 .challenge_known = yes,
				 .challenge_consume = yes,
				 .revoked = revoked,
				 .status_list = own,
				 .document_due = needs_keys,
				 .list_due = needs_list,
				 .generation = never_seen };
	auto_json json_t *vc = NULL, *vp = NULL, *intent = intent_fixture();
	struct wallet_ask ask;
	struct admit_result res;
	struct err e = { 0 };
	struct wallet w;

	wallet_fixture(&w, &issuer, &agent, OP);
	w.n_status = 2;
	must_set(w.status[0].list, URL1);
	w.status[0].index = 94567;
	w.status[1].purpose = STATUS_SUSPENSION;
	must_set(w.status[1].list, URL2);
	w.status[1].index = 7;
	vc = wallet_vc_fixture(&w, &issuer);
	memset(&ask, 0, sizeof(ask));
	must_set(ask.operator_did, OP);
	must_set(ask.class_name, "market-data");
	must_set(ask.currency, "EUR");
	assert_int_equal(canon_sha256(intent, pa.intent_digest, NULL), 0);
	if (presentation_new(vc, &pa, &agent.port, &vp, &e))
		fail_msg("%s", e.text);
	wallet_needs(vp, intent, &ask, &env, &needed);
	assert_int_equal(wallet_admit(vp, intent, &ask, &env, &res), 0);
	if (res.refusal != REFUSE_NONE)
		assert_true(res.why.step == ADMIT_STATUS);
	return res.refusal;
}

static void stapled_lists(void **state)
{
	struct status_list *r = list_new(URL1, STATUS_REVOCATION),
			   *s = list_new(URL2, STATUS_SUSPENSION);
	auto_json json_t *r0 = list_vc(r, &issuer), *s0 = list_vc(s, &issuer);
	struct place p = { 0 };
	json_t *bad;

	(void)state;
	assert_int_equal(admit(&p, r0, s0), REFUSE_NONE);
	assert_int_equal(p.asked, 2);
	assert_int_equal(admit(&p, s0, r0), REFUSE_NONE); /* in any order */
	assert_int_equal(admit(&p, NULL, NULL), REFUSE_WALLET_STATUS);
	assert_int_equal(admit(&p, r0, NULL), REFUSE_WALLET_STATUS);
	assert_int_equal(admit(&p, s0, s0), REFUSE_WALLET_STATUS);
	status_list_set(r, 94567, true);
	bad = list_vc(r, &issuer);
	assert_int_equal(admit(&p, bad, s0), REFUSE_WALLET_REVOKED);
	json_decref(bad);
	status_list_set(r, 94567, false);
	status_list_set(r, 94566, true); /* its neighbours are not it */
	status_list_set(r, 94568, true);
	bad = list_vc(r, &issuer);
	assert_int_equal(admit(&p, bad, s0), REFUSE_NONE);
	json_decref(bad);
	status_list_set(s, 7, true);
	bad = list_vc(s, &issuer);
	assert_int_equal(admit(&p, r0, bad), REFUSE_WALLET_SUSPENDED);
	json_decref(bad);
	p.local = 1;
	assert_int_equal(admit(&p, r0, s0), REFUSE_WALLET_REVOKED);
	p.local = -EIO;
	assert_int_equal(admit(&p, r0, s0), REFUSE_WALLET_STATUS);
	(void)status_list_free(r);
	(void)status_list_free(s);
}

/* One thing wrong with the stapled list: as if none had come. */
static void wrong_lists(void **state)
{
	struct status_list *s = list_new(URL2, STATUS_SUSPENSION);
	auto_json json_t *s0 = list_vc(s, &issuer);
	struct place p = { 0 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct status_list *r = list_new(URL1, STATUS_REVOCATION);
		const struct party *by = &issuer;
		json_t *vc;

		if (i == 0)
			r->valid_until.ms = NOW.ms - 1;
		else if (i == 1)
			r->valid_from.ms = NOW.ms + 1;
		else if (i == 2)
			r->purpose = STATUS_SUSPENSION;
		else if (i == 3)
			must_set(r->id, URL1 "0");
		else if (i == 4)
			must_set(r->issuer, thief.did), by = &thief;
		vc = list_vc(r, by);
		if (i == 5) /* tampered with */
			(void)json_object_set_new(vc, "validUntil",
						  json_string("2027-12-31T00:00:00Z"));
		if (admit(&p, vc, s0) != REFUSE_WALLET_STATUS)
			fail_msg("case %d", i);
		json_decref(vc);
		(void)status_list_free(r);
	}
	(void)status_list_free(s);
}

/* The operator's own copy goes before what came along; when it is stale, that may help. */
static void own_copy_first(void **state)
{
	struct status_list *r = list_new(URL1, STATUS_REVOCATION),
			   *s = list_new(URL2, STATUS_SUSPENSION);
	auto_json json_t *r0 = list_vc(r, &issuer), *s0 = list_vc(s, &issuer);
	struct place p = { .own = r };

	(void)state;
	assert_int_equal(admit(&p, NULL, s0), REFUSE_NONE);
	status_list_set(r, 94567, true);
	assert_int_equal(admit(&p, r0, s0), REFUSE_WALLET_REVOKED);
	r->valid_until.ms = NOW.ms - 1;
	assert_int_equal(admit(&p, NULL, s0), REFUSE_WALLET_STATUS);
	assert_int_equal(admit(&p, r0, s0), REFUSE_NONE);
	/* One from before it was revoked does not undo that, however long it says to be valid. */
	r->valid_from.ms++;
	assert_int_equal(admit(&p, r0, s0), REFUSE_WALLET_STATUS);
	must_set(r->issuer, thief.did); /* nobody's word for the wallet */
	assert_int_equal(admit(&p, r0, s0), REFUSE_NONE);
	(void)status_list_free(r);
	(void)status_list_free(s);
}

/* Its own time to live ends before its validity: then it is asked for where it is published. */
static void fresh_enough(void **state)
{
	struct status_list *r = list_new(URL1, STATUS_REVOCATION),
			   *s = list_new(URL2, STATUS_SUSPENSION);
	json_t *r0, *s0 = list_vc(s, &issuer);
	struct place p = { 0 };

	(void)state;
	for (int64_t ttl = 999; ttl <= 1000; ttl++) {
		r->ttl_ms = ttl;
		r0 = list_vc(r, &issuer);
		assert_int_equal(admit(&p, r0, s0),
				 ttl < 1000 ? REFUSE_WALLET_STATUS : REFUSE_NONE);
		assert_int_equal(needed.n, ttl < 1000);
		json_decref(r0);
	}
	json_decref(s0);
	(void)status_list_free(r);
	(void)status_list_free(s);
}

/* --- the operator's files --- */

static void put_file(const char *dir, const char *name, const json_t *vc, const char *text)
{
	auto_free char *t = vc ? json_dumps(vc, JSON_COMPACT) : strdup(text);
	char path[128], tmp[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(tmp, sizeof(tmp), "%s/new", dir);
	f = fopen(tmp, "we");
	assert_non_null(f);
	assert_true(fputs(t, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, path), 0);
}

static void kept_files(void **state)
{
	char dir[] = "/tmp/treaty-status-XXXXXX", cmd[64];
	static struct config cfg;
	struct side side = { .cfg = &cfg, .keys = keys };
	struct status_list *r = list_new(URL1, STATUS_REVOCATION),
			   *s = list_new(URL2, STATUS_SUSPENSION);
	json_t *vc = list_vc(r, &issuer);
	struct err e = { 0 };

	(void)state;
	assert_null(status_lists_find(&side, URL1));
	assert_non_null(mkdtemp(dir));
	must_set(cfg.trust.status_lists, dir);
	put_file(dir, "1.json", vc, NULL);
	assert_int_equal(status_lists_start(&side, &e), 0);
	assert_false(status_list_get(status_lists_find(&side, URL1), 5));
	assert_ptr_equal(status_lists_find(&side, URL1), status_lists_find(&side, URL1));
	assert_true(json_equal(status_lists_credential(&side, URL1, NOW), vc));
	assert_null(status_lists_credential(&side, URL1, (wall_t){ NOW.ms + 1001 }));
	json_decref(vc);
	status_list_set(r, 5, true); /* replaced while we run */
	vc = list_vc(r, &issuer);
	put_file(dir, "1.json", vc, NULL);
	assert_true(status_list_get(status_lists_find(&side, URL1), 5));
	json_decref(vc);
	assert_null(status_lists_find(&side, URL2)); /* one that comes later */
	vc = list_vc(s, &issuer);
	put_file(dir, "2.json", vc, NULL);
	json_decref(vc);
	assert_non_null(status_lists_find(&side, URL2));
	put_file(dir, "1.json", NULL, "{}"); /* spoilt: not the old one either */
	assert_null(status_lists_find(&side, URL1));
	assert_non_null(status_lists_find(&side, URL2));
	assert_true(status_lists_start(&side, &e) < 0);
	status_lists_end();
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
	(void)status_list_free(r);
	(void)status_list_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_lists), cmocka_unit_test(refused_lists),
		cmocka_unit_test(stapled_lists),   cmocka_unit_test(fresh_enough),
		cmocka_unit_test(wrong_lists),     cmocka_unit_test(own_copy_first),
		cmocka_unit_test(kept_files),
	};

	party_init(&issuer, 1);
	party_init(&agent, 2);
	party_init(&thief, 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
