/* SPDX-License-Identifier: Apache-2.0 */
/* Agreement, acceptance, receipt: there and back, each mutation beside its accepted twin. */
#include <setjmp.h>
#include <stdarg.h>

#include "agent/codec/credit.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

static struct party bss, enterprise, thief;
static const struct did_resolver keys = { .resolve = did_resolve_key };

static const char tmf651[] =
	"{\"@type\":\"Agreement\",\"id\":\"urn:uuid:00000000-0000-4000-8000-00000000a651\","
	"\"name\":\"order-execution\",\"characteristic\":[{\"name\":\"availabilityPct\","
	"\"value\":99.999},{\"name\":\"bandwidthMbps\",\"value\":2}]}";

static json_t *body_new(void)
{
	return json_loads(tmf651, 0, NULL);
}

static void terms_new(struct agreement_terms *t)
{
	memset(t, 0, sizeof(*t));
	must_set(t->id, "urn:uuid:00000000-0000-4000-8000-00000000c001");
	must_set(t->issuer, bss.did);
	must_set(t->lineage, "urn:uuid:00000000-0000-4000-8000-00000000d001");
	t->revision = 2;
	memset(t->previous, 0x11, DIGEST_LEN);
	must_set(t->wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000aa");
	t->generation = 1;
	must_set(t->hold_id, "1111111111111111111111111111111111111111111111111111111111111111");
	memset(t->quote_digest, 0x22, DIGEST_LEN);
	t->label = 0xfffff;
	t->amount = (money_t){ 12345 };
	must_set(t->currency, "EUR");
	t->term_start = NOW;
	t->term_end = (wall_t){ NOW.ms + 3600000 };
}

static void acceptance_new(struct acceptance *a)
{
	memset(a, 0, sizeof(*a));
	must_set(a->id, "urn:uuid:00000000-0000-4000-8000-00000000c002");
	must_set(a->issuer, enterprise.did);
	memset(a->agreement_digest, 0x33, DIGEST_LEN);
	must_set(a->lineage, "urn:uuid:00000000-0000-4000-8000-00000000d001");
	a->revision = 2;
	must_set(a->hold_id, "hold-1");
	a->accepted_at = NOW;
}

static void receipt_new(struct receipt *c)
{
	memset(c, 0, sizeof(*c));
	must_set(c->id, "urn:uuid:00000000-0000-4000-8000-00000000c003");
	must_set(c->issuer, enterprise.did);
	must_set(c->wallet_id, "urn:uuid:00000000-0000-4000-8000-0000000000aa");
	must_set(c->hold_id, "hold-1");
	must_set(c->lineage, "urn:uuid:00000000-0000-4000-8000-00000000d001");
	c->revision = 2;
	c->amount = (money_t){ 45 };
	c->cumulative_after = (money_t){ 145 };
	must_set(c->currency, "EUR");
	c->ledger_seq = 7;
	c->has_previous = true;
	memset(c->previous, 0x44, DIGEST_LEN);
	c->issued_at = NOW;
}

static void agreement_round_trip(void **state)
{
	struct agreement_terms t, back;
	uint8_t digest[DIGEST_LEN], again[DIGEST_LEN];
	auto_json json_t *body = body_new(), *vc = NULL, *got = NULL;

	(void)state;
	terms_new(&t);
	assert_int_equal(agreement_issue(&t, body, NOW, &bss.port, &vc, NULL), 0);
	assert_int_equal(agreement_verify(vc, &keys, &back, &got, digest, NULL), 0);
	assert_memory_equal(&t, &back, sizeof(t));
	assert_true(json_equal(got, body));
	assert_int_equal(canon_sha256(vc, again, NULL), 0);
	assert_memory_equal(digest, again, DIGEST_LEN);
	t.revision = 1;
	memset(t.previous, 0, DIGEST_LEN);
	json_decref(TAKE_PTR(vc));
	assert_int_equal(agreement_issue(&t, body, NOW, &bss.port, &vc, NULL), 0);
	assert_int_equal(agreement_verify(vc, &keys, &back, NULL, digest, NULL), 0);
	assert_memory_equal(&t, &back, sizeof(t));
	assert_memory_not_equal(digest, again, DIGEST_LEN);
}

/* What was put together around the signature is what a reader makes of it. */
static void read_the_same(struct vc *v, const struct vc_profile *pf)
{
	auto_free char *text = NULL;
	auto_vc struct vc *back = NULL, *made = v;
	size_t len = 0;

	assert_int_equal(canon_text(v->doc, 1 << 20, &text, &len, NULL), 0);
	assert_int_equal(v->len, len);
	assert_string_equal(v->text, text);
	assert_int_equal(vc_read(&back, v->doc, pf, NULL), 0);
	assert_memory_equal(made->sig, back->sig, sizeof(back->sig));
	assert_memory_equal(made->hash, back->hash, sizeof(back->hash));
	assert_memory_equal(made->digest, back->digest, sizeof(back->digest));
	assert_memory_equal(made->marks, back->marks, sizeof(back->marks));
	assert_int_equal(vc_verified(back, pf, &keys, NULL), 0);
}

/* Another document is asked for and sealed between the two halves, and one is given up. */
static void made_as_read(void **state)
{
	struct vc_asked *q = NULL, *other = NULL;
	struct agreement_terms t;
	struct acceptance a;
	struct receipt c;
	struct wallet w;
	struct presentation_ask ask = { .holder = enterprise.did,
					.domain = "did:web:op.example,\"type\":\"",
					.challenge = "\"proof\":{}",
					.intent_id = "x\",\"proof\":",
					.created = NOW };
	auto_json json_t *body = body_new(), *wallet = NULL;
	struct vc *v = NULL;

	(void)state;
	terms_new(&t);
	assert_int_equal(agreement_ask(&t, body, NOW, &bss.port, &q, NULL), 0);
	acceptance_new(&a);
	assert_int_equal(acceptance_ask(&a, NULL, 0, &enterprise.port, &other, NULL), 0);
	assert_int_equal(vc_await(q, &v, NULL), 0);
	read_the_same(v, &agreement_profile);
	assert_int_equal(vc_await(other, &v, NULL), 0);
	read_the_same(v, &acceptance_profile);
	receipt_new(&c);
	assert_int_equal(receipt_ask(&c, &enterprise.port, &other, NULL), 0);
	assert_null(vc_asked_free(other));
	assert_int_equal(receipt_ask(&c, &enterprise.port, &q, NULL), 0);
	assert_int_equal(vc_await(q, &v, NULL), 0);
	read_the_same(v, &receipt_profile);
	wallet_fixture(&w, &bss, &enterprise, "did:web:op.example");
	wallet = wallet_vc_fixture(&w, &bss);
	assert_int_equal(presentation_ask(wallet, &ask, &enterprise.port, &q, NULL), 0);
	assert_int_equal(vc_await(q, &v, NULL), 0);
	read_the_same(v, &presentation_profile);
}

static int verify(const json_t *vc)
{
	struct agreement_terms t;
	uint8_t d[DIGEST_LEN];

	return agreement_verify(vc, &keys, &t, NULL, d, NULL);
}

/* A re-spelt number keeps the signature; what is read is what was signed. */
static void respelt_body(void **state)
{
	struct agreement_terms t;
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *body = body_new(), *vc = NULL, *got = NULL;
	json_t *two;

	(void)state;
	terms_new(&t);
	assert_int_equal(agreement_issue(&t, body, NOW, &bss.port, &vc, NULL), 0);
	two = json_array_get(
		json_object_get(json_object_get(vc, "credentialSubject"), "characteristic"), 1);
	(void)json_object_set_new(two, "value", json_real(2.0));
	assert_int_equal(agreement_verify(vc, &keys, &t, &got, digest, NULL), 0);
	assert_true(json_is_integer(json_object_get(
		json_array_get(json_object_get(got, "characteristic"), 1), "value")));
	(void)json_object_set_new(two, "value", json_real(2.5));
	assert_int_equal(verify(vc), -EKEYREJECTED);
}

/* The same document, signed again by its own issuer: what is left to refuse are the rules. */
static json_t *resigned(const json_t *v)
{
	auto_json json_t *options = json_copy(json_object_get(v, "proof"));
	struct sign_request rq = { .kind = SIGN_AGREEMENT };
	json_t *out = NULL;

	(void)json_object_del(options, "proofValue");
	assert_int_equal(proof_create(v, options, &bss.port, &rq, &out, NULL), 0);
	return out;
}

static void agreement_mutations(void **state)
{
	static const struct {
		const char *from, *to;
		int want, want_resigned;
	} rows[] = {
		{ "12345", "12344", -EKEYREJECTED, 0 },
		{ "12345", "12344.5", -EKEYREJECTED, -EINVAL },
		{ "12345", "-1", -EKEYREJECTED, -EINVAL },
		{ "1048575", "1048576", -EKEYREJECTED, -EINVAL },
		{ "1048575", "1048574", -EKEYREJECTED, 0 },
		{ "1048575", "0", -EKEYREJECTED, -EINVAL },
		{ "\"revision\":2", "\"revision\":1", -EKEYREJECTED, -EINVAL },
		{ "\"revision\":2", "\"revision\":3", -EKEYREJECTED, 0 },
		{ "99.999", "99.9", -EKEYREJECTED, 0 },
		{ "99.999", "99.999,\"@context\":\"https://evil.example\"", -EINVAL, -EINVAL },
		{ "agreement/v1\"]", "agreement/v1\",\"https://evil.example\"]", -EINVAL, -EINVAL },
		{ "\"AgreementCredential\"", "\"AcceptanceCredential\"", -EINVAL, -EINVAL },
		{ "\"holdId\"", "\"x\":1,\"holdId\"", -EKEYREJECTED, -EINVAL },
		{ "\"urn:uuid:00000000-0000-4000-8000-00000000a651\"", "\"7\"", -EKEYREJECTED,
		  -EINVAL },
		{ "assertionMethod", "authentication", -EINVAL, -EINVAL },
		{ "\"currency\":\"EUR\"", "\"currency\":\"EU\"", -EKEYREJECTED, -EINVAL },
	};
	struct agreement_terms t;
	auto_json json_t *body = body_new(), *vc = NULL;
	auto_free char *text = NULL;

	(void)state;
	terms_new(&t);
	assert_int_equal(agreement_issue(&t, body, NOW, &bss.port, &vc, NULL), 0);
	assert_int_equal(canon_text(vc, 65536, &text, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *bad = NULL;
		auto_json json_t *v = NULL, *again = NULL;
		const char *at = strstr(text, rows[i].from);
		int r;

		assert_non_null(at);
		assert_true(asprintf(&bad, "%.*s%s%s", (int)(at - text), text, rows[i].to,
				     at + strlen(rows[i].from)) > 0);
		assert_int_equal(json_read(&v, bad, strlen(bad), NULL, NULL), 0);
		r = verify(v);
		if (r != rows[i].want)
			fail_msg("%s: %d", rows[i].to, r);
		again = resigned(v);
		r = verify(again);
		if (r != rows[i].want_resigned)
			fail_msg("%s, signed again: %d", rows[i].to, r);
		assert_int_equal(verify(vc), 0);
	}
}

static void agreement_issue_refuses(void **state)
{
	auto_json json_t *body = body_new(), *with = body_new(), *list = json_array();
	struct agreement_terms t;
	json_t *vc = NULL;

	(void)state;
	terms_new(&t);
	(void)json_object_set_new(with, "treaty", json_object());
	assert_int_equal(agreement_issue(&t, with, NOW, &bss.port, &vc, NULL), -EINVAL);
	assert_int_equal(agreement_issue(&t, list, NOW, &bss.port, &vc, NULL), -EINVAL);
	assert_int_equal(agreement_issue(&t, body, NOW, &thief.port, &vc, NULL), -EPERM);
	(void)json_object_del(with, "treaty");
	(void)json_object_set_new(with, "@context", json_string("x"));
	assert_int_equal(agreement_issue(&t, with, NOW, &bss.port, &vc, NULL), -EINVAL);
	t.label = 0;
	assert_int_equal(agreement_issue(&t, body, NOW, &bss.port, &vc, NULL), -EINVAL);
	terms_new(&t);
	t.term_end = t.term_start;
	assert_int_equal(agreement_issue(&t, body, NOW, &bss.port, &vc, NULL), -EINVAL);
	assert_null(vc);
}

static void acceptance(void **state)
{
	struct acceptance a, back;
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *vc = NULL;
	json_t *s;

	(void)state;
	acceptance_new(&a);
	assert_int_equal(acceptance_issue(&a, NULL, &enterprise.port, &vc, NULL), 0);
	assert_int_equal(acceptance_verify(vc, &keys, &back, digest, NULL), 0);
	assert_memory_equal(&a, &back, sizeof(a));
	s = json_object_get(vc, "credentialSubject");
	(void)json_object_set_new(s, "revision", json_integer(3));
	assert_int_equal(acceptance_verify(vc, &keys, &back, digest, NULL), -EKEYREJECTED);
	(void)json_object_set_new(s, "revision", json_real(2.0));
	assert_int_equal(acceptance_verify(vc, &keys, &back, digest, NULL), -EINVAL);
	(void)json_object_set_new(s, "revision", json_integer(2));
	assert_int_equal(acceptance_verify(vc, &keys, &back, digest, NULL), 0);
	(void)json_object_set_new(vc, "issuer", json_string(thief.did));
	assert_int_equal(acceptance_verify(vc, &keys, &back, digest, NULL), -EPERM);
	(void)json_object_set_new(vc, "issuer", json_string(enterprise.did));
	(void)json_object_del(s, "holdId");
	assert_int_equal(acceptance_verify(vc, &keys, &back, digest, NULL), -EKEYREJECTED);
}

static void receipts(void **state)
{
	struct receipt c, back;
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *vc = NULL;
	json_t *s;

	(void)state;
	receipt_new(&c);
	assert_int_equal(receipt_issue(&c, &enterprise.port, &vc, NULL), 0);
	assert_int_equal(receipt_verify(vc, &keys, &back, digest, NULL), 0);
	assert_memory_equal(&c, &back, sizeof(c));
	s = json_object_get(vc, "credentialSubject");
	(void)json_object_set_new(s, "amount", json_integer(44));
	assert_int_equal(receipt_verify(vc, &keys, &back, digest, NULL), -EKEYREJECTED);
	(void)json_object_set_new(s, "amount", json_integer(146));
	assert_int_equal(receipt_verify(vc, &keys, &back, digest, NULL), -EKEYREJECTED);
	(void)json_object_set_new(s, "amount", json_integer(45));
	assert_int_equal(receipt_verify(vc, &keys, &back, digest, NULL), 0);
	c.cumulative_after = (money_t){ 44 };
	json_decref(TAKE_PTR(vc));
	assert_int_equal(receipt_issue(&c, &enterprise.port, &vc, NULL), -EINVAL);
}

static void credit_notes(void **state)
{
	struct credit_note c, back;
	uint8_t digest[DIGEST_LEN];
	auto_json json_t *vc = NULL;
	json_t *s;

	(void)state;
	memset(&c, 0, sizeof(c));
	must_set(c.id, "urn:uuid:00000000-0000-4000-8000-000000000077");
	must_set(c.issuer, bss.did);
	must_set(c.lineage, "agr-1");
	c.revision = 2;
	memset(c.agreement_digest, 0x77, DIGEST_LEN);
	must_set(c.wallet_id, "urn:w:1");
	must_set(c.hold_id, "h-1");
	c.amount.minor = 45;
	must_set(c.currency, "EUR");
	must_set(c.reason, "not-applied");
	c.issued_at = NOW;
	assert_int_equal(credit_note_issue(&c, &bss.port, &vc, NULL), 0);
	assert_int_equal(credit_note_verify(vc, &keys, &back, digest, NULL), 0);
	assert_memory_equal(&c, &back, sizeof(c));
	s = json_object_get(vc, "credentialSubject");
	(void)json_object_set_new(s, "amount", json_integer(46));
	assert_int_equal(credit_note_verify(vc, &keys, &back, digest, NULL), -EKEYREJECTED);
	(void)json_object_set_new(s, "amount", json_real(45.0));
	assert_int_equal(credit_note_verify(vc, &keys, &back, digest, NULL), -EINVAL);
	(void)json_object_set_new(s, "amount", json_integer(45));
	(void)json_object_set_new(vc, "issuer", json_string(thief.did));
	assert_int_equal(credit_note_verify(vc, &keys, &back, digest, NULL), -EPERM);
	json_decref(TAKE_PTR(vc));
	must_set(c.reason, "a-present");
	assert_int_equal(credit_note_issue(&c, &bss.port, &vc, NULL), -EINVAL);
	must_set(c.reason, "not-in-force");
	c.amount.minor = -1;
	assert_int_equal(credit_note_issue(&c, &bss.port, &vc, NULL), -EINVAL);
}

static void receipt_chain(void **state)
{
	struct receipt first, next;
	uint8_t digest[DIGEST_LEN], other[DIGEST_LEN];

	(void)state;
	memset(digest, 0x44, sizeof(digest));
	memset(other, 0x45, sizeof(other));
	receipt_new(&first);
	first.has_previous = false;
	first.amount = first.cumulative_after = (money_t){ 100 };
	receipt_new(&next);
	next.ledger_seq = 8;
	assert_int_equal(receipt_extends(NULL, NULL, &first), REFUSE_NONE);
	assert_int_equal(receipt_extends(NULL, NULL, &next), REFUSE_LEDGER_FORK);
	assert_int_equal(receipt_extends(&first, digest, &next), REFUSE_NONE);
	assert_int_equal(receipt_extends(&first, other, &next), REFUSE_LEDGER_FORK);
	assert_int_equal(receipt_extends(&first, digest, &first), REFUSE_LEDGER_FORK);
	next.ledger_seq = 7;
	assert_int_equal(receipt_extends(&first, digest, &next), REFUSE_LEDGER_FORK);
	next.ledger_seq = 8;
	next.cumulative_after.minor++;
	assert_int_equal(receipt_extends(&first, digest, &next), REFUSE_LEDGER_STATE);
	next.cumulative_after.minor--;
	must_set(next.currency, "USD");
	assert_int_equal(receipt_extends(&first, digest, &next), REFUSE_LEDGER_FORK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreement_round_trip), cmocka_unit_test(respelt_body),
		cmocka_unit_test(agreement_mutations),  cmocka_unit_test(agreement_issue_refuses),
		cmocka_unit_test(acceptance),           cmocka_unit_test(receipts),
		cmocka_unit_test(receipt_chain),        cmocka_unit_test(credit_notes),
		cmocka_unit_test(made_as_read),
	};

	party_init(&bss, 4);
	party_init(&enterprise, 5);
	party_init(&thief, 6);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
