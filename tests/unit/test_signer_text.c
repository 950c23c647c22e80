/* SPDX-License-Identifier: Apache-2.0 */
/* The signer reads what it signs: nothing is taken from what the agents say of it. */
#include "signer_lab.h"

/* What was signed is the hash of what was shown, by the key of its kind. */
static void test_signature_verifies(void **state)
{
	static const uint32_t key[SIGNER_MAX_] = { KEY_WALLET,    KEY_PRESENTATION, KEY_AGREEMENT,
						   KEY_AGREEMENT, KEY_CHECKPOINT,   KEY_AGREEMENT,
						   KEY_AGREEMENT, KEY_AGREEMENT,    KEY_AGREEMENT };
	uint8_t pub[32], hash[64];
	struct sign_rep p;

	(void)state;
	start();
	assert_int_equal(signer_ping(&cl, NULL), 0);
	assert_int_equal(attest(0, NULL), 0);
	for (uint32_t kind = 0; kind < SIGNER_MAX_; kind++) {
		struct ask x = want(kind, 1, 1, 7);
		struct texts t;

		if (kind == SIGNER_CHECKPOINT)
			continue;
		texts_of(&x, &t);
		assert_int_equal(sign_texts(&t, &p, ""), 0);
		assert_int_equal(signer_public(&cl, key[kind], pub, NULL), 0);
		assert_memory_equal(pub, p.public, 32);
		sha256(t.q.data, t.q.data_len, hash);
		sha256(t.doc, strlen(t.doc), hash + 32);
		assert_int_equal(crypto_sign_verify_detached(p.signature, hash, 64, pub), 0);
	}
	/* an agreement and an acceptance, each with its sum, a policy, the sum of a note */
	assert_int_equal(p.count, 6);
	assert_int_equal(halt(), 0);
}

static const struct {
	uint32_t kind;
	const char *from, *to; /* the first in the document, or in the proof */
	bool proof;
	const char *says;
} bad[] = {
	/* an agreement that would be signed without its revision */
	{ SIGNER_EXPORT, "\"TreatyLogExport\"",
	  "[\"VerifiableCredential\",\"AgreementCredential\"]", false,
	  "type: another kind of document" },
	{ SIGNER_RECEIPT, "DebitReceiptCredential", "AgreementCredential", false,
	  "type: another kind of document" },
	{ SIGNER_RECEIPT, "DebitReceiptCredential", "CreditNoteCredential", false,
	  "type: another kind of document" },
	{ SIGNER_CREDIT, "CreditNoteCredential", "DebitReceiptCredential", false,
	  "type: another kind of document" },
	{ SIGNER_CREDIT, "\"amount\":10", "\"amount\":1001", false,
	  "amount: above the configured ledger.ceiling" },
	{ SIGNER_CREDIT, "\"walletId\"", "\"walletid\"", false, "walletId: must be given" },
	{ SIGNER_CREDIT, "EUR", "USD", false, "currency: not the configured ledger.currency" },
	{ SIGNER_CREDIT, "\"id\"", "\"ie\"", false, "lineage: must be given" },
	{ SIGNER_AGREEMENT, "AgreementCredential", "AcceptanceCredential", false,
	  "type: another kind of document" },
	{ SIGNER_PRESENTATION, "VerifiablePresentation", "Verifiable\\u0001", false,
	  "type: another kind of document" },
	{ SIGNER_AGREEMENT, "a.example", "b.example", false,
	  "document: its author is not this side" },
	{ SIGNER_PRESENTATION, "holder", "bolder", false, "document: its author is not this side" },
	{ SIGNER_AGREEMENT, "\"lineageId\":\"l1\"", "\"lineageId\":\"\"", false,
	  "lineage: must be given" },
	{ SIGNER_AGREEMENT, "lineageId", "lineage.d", false, "lineage: must be given" },
	{ SIGNER_AGREEMENT, "\"revision\":1", "\"revision\":0", false,
	  "revision: must be at least 1" },
	{ SIGNER_AGREEMENT, "\"revision\":1", "\"revision\":\"1\"", false,
	  "revision: must be at least 1" },
	{ SIGNER_AGREEMENT, "\"amount\":10", "\"amount\":1001", false,
	  "amount: above the configured ledger.ceiling" },
	{ SIGNER_AGREEMENT, "\"amount\":10", "\"amount\":1000", false, "" },
	{ SIGNER_AGREEMENT, "EUR", "USD", false, "currency: not the configured ledger.currency" },
	{ SIGNER_AGREEMENT, "\"walletId\"", "\"walletid\"", false, "walletId: must be given" },
	{ SIGNER_AGREEMENT, "\"w0\"", "\"\"", false, "walletId: must be given" },
	{ SIGNER_AGREEMENT, "\"amount\":10", "\"amount\":-1", false,
	  "amount: must be given, from 0" },
	{ SIGNER_AGREEMENT, "\"amount\":10", "\"amount\":1e+30", false,
	  "amount: must be given, from 0" },
	{ SIGNER_AGREEMENT, "\"amount\":10", "\"amount\":9007199254740992", false,
	  "amount: must be given, from 0" },
	/* a name with a dot inside is not the member that is meant */
	{ SIGNER_AGREEMENT, "\"treaty\":{", "\"x\":{},\"treaty.y\":{", false,
	  "lineage: must be given" },
	{ SIGNER_RECEIPT, "\"amount\":10", "\"amount\":1001", false,
	  "amount: above the configured ledger.ceiling" },
	{ SIGNER_WALLET, "\"amount\":10", "\"amount\":1001", false,
	  "amount: above the configured ledger.ceiling" },
	{ SIGNER_DISCLOSURE, "\"version\":1", "\"version\":1,\"version\":2", false,
	  "document: none, or not one whole object" },
	{ SIGNER_DISCLOSURE, "}", "", false, "document: none, or not one whole object" },
	{ SIGNER_DISCLOSURE, "}", "}{}", false, "document: none, or not one whole object" },
	/* an acceptance says what it accepts */
	{ SIGNER_ACCEPTANCE, "\"agreementDigest\":\"uEi", "\"agreementDigest\":\"uEj", false,
	  "agreementDigest: not of the agreement that was shown" },
	{ SIGNER_ACCEPTANCE, "\"lineageId\":\"l1\"", "\"lineageId\":\"l2\"", false,
	  "agreementDigest: not of the agreement that was shown" },
	{ SIGNER_ACCEPTANCE, "\"revision\":1", "\"revision\":2", false,
	  "agreementDigest: not of the agreement that was shown" },
	/* the proof's own options */
	{ SIGNER_EXPORT, "assertionMethod", "authentication", true,
	  "proof: not of this kind, or not by a key of ours" },
	{ SIGNER_EXPORT, "eddsa-jcs-2022", "eddsa-rdfc-2022", true,
	  "proof: not of this kind, or not by a key of ours" },
	{ SIGNER_EXPORT, "a.example#", "a.example.b#", true,
	  "proof: not of this kind, or not by a key of ours" },
	{ SIGNER_EXPORT, "}", "", true, "proof: not of this kind, or not by a key of ours" },
};

/* One document with one of its texts exchanged: each is refused, and by its own rule. */
static void test_what_is_read(void **state)
{
	struct sign_rep p;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct ask x = want(bad[i].kind, 1, 1, 1);
		struct texts t;
		char *text, copy[sizeof(t.q.data)];
		const char *at;

		texts_of(&x, &t);
		text = bad[i].proof ? (char *)t.q.data : t.doc;
		(void)snprintf(copy, sizeof(copy), "%s", text);
		at = bad[i].from[0] == '}' ? strrchr(copy, '}') : strstr(copy, bad[i].from);
		assert_non_null(at);
		(void)snprintf(text, bad[i].proof ? sizeof(t.q.data) : sizeof(t.doc), "%.*s%s%s",
			       (int)(at - copy), copy, bad[i].to, at + strlen(bad[i].from));
		t.q.data_len = (uint32_t)strlen((char *)t.q.data);
		assert_int_equal(sign_texts(&t, &p, bad[i].says), bad[i].says[0] ? -EACCES : 0);
	}
	assert_int_equal(halt(), 0);
}

/* What an agreement costs is read at the acceptance too, and it is not to be left out. */
static void test_accepting(void **state)
{
	struct ask x = want(SIGNER_ACCEPTANCE, 1, 1, 1);
	struct texts t;
	struct sign_rep p;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	x.amount = 1001;
	assert_int_equal(sign(&x, &p, "amount: above the configured ledger.ceiling"), -EACCES);
	x.amount = 1000;
	texts_of(&x, &t);
	t.about[0] = 0;
	assert_int_equal(sign_texts(&t, &p, "agreementDigest: not of the agreement that was shown"),
			 -EACCES);
	assert_int_equal(sign(&x, &p, ""), 0);
	/* a text serves once, and for its own kind */
	assert_int_equal(signer_sign(&cl, &t.q, &p, NULL), -EACCES);
	assert_int_equal(put_text(SIGNER_EXPORT, SIGN_DOCUMENT, t.doc), 0);
	t.doc[0] = 0;
	assert_int_equal(sign_texts(&t, &p, "document: none, or not one whole object"), -EACCES);
}

/* A document of any length, in parts that end anywhere. */
static void test_long_text(void **state)
{
	enum { N = 3 * SIGN_TEXT_MAX + 5 };
	struct ask x = want(SIGNER_EXPORT, 1, 1, 1);
	static char text[N + 128];
	uint8_t hash[64];
	struct texts t;
	struct sign_rep p;
	int n;

	(void)state;
	start();
	assert_int_equal(attest(0, NULL), 0);
	texts_of(&x, &t);
	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"events\":[\"", 12);
	n = snprintf(text + N, sizeof(text) - N, "\"],%s", t.doc + 1);
	assert_int_equal(
		signer_text(&cl, SIGNER_EXPORT, SIGN_DOCUMENT, text, (size_t)(N + n), NULL), 0);
	assert_int_equal(signer_sign(&cl, &t.q, &p, NULL), 0);
	sha256(t.q.data, t.q.data_len, hash);
	sha256(text, (size_t)(N + n), hash + 32);
	assert_int_equal(crypto_sign_verify_detached(p.signature, hash, 64, p.public), 0);
}

/* The scan alone: members by their path, whatever stands beside them, and wherever a part ends. */
static const struct scanned {
	const char *text, *x, *ab; /* what "x" and "a.b" are; NULL: not a whole document */
} scanned[] = {
	{ "{}", "", "" },
	{ "{\"x\":1}", "1", "" },
	{ "{\"a\":{\"b\":\"t\"},\"x\":[1,{\"x\":2}]}", "[1,{\"x\":2}]", "\"t\"" },
	{ "{\"a\":[{\"b\":1},{\"b\":2}],\"y\":{\"x\":3}}", "", "" },
	{ "{\"a\":{\"b\":{\"c\":\"}],\"}},\"x\":\"\\\"\"}", "\"\\\"\"", "{\"c\":\"}],\"}" },
	{ "{\"a\":{\"c\":{\"b\":1}},\"a.b\":2,\"a[\":3}", "", "" },
	{ "{\"a\\\"\":1,\"b\":\"x\\\\\",\"x\":null}", "null", "" },
	{ "{\"a\":{\"b\":[]},\"x\":{}}", "{}", "[]" },
	{ "{\"x\":1,\"x\":2}", NULL, NULL },
	{ "{\"a\":{\"b\":1},\"a\":{\"b\":1}}", NULL, NULL },
	{ "{\"x\":1", NULL, NULL },
	{ "{\"x\":\"1}", NULL, NULL },
	{ "{\"x\":1}}", NULL, NULL },
	{ "{\"x\":1} ", NULL, NULL },
	{ "[1]", NULL, NULL },
	{ "1", NULL, NULL },
	{ "", NULL, NULL },
};

static void scan_one(const struct scanned *t, size_t cut)
{
	static const char *const path[SCAN_FIELDS] = { "x", NULL, "a.b" };
	const uint8_t *p = (const uint8_t *)t->text;
	size_t n = strlen(t->text);
	struct sign_scan s;

	scan_begin(&s, path);
	scan_feed(&s, p, cut);
	scan_feed(&s, p + cut, n - cut);
	assert_int_equal(scan_whole(&s), t->x != NULL);
	if (!t->x)
		return;
	assert_string_equal(s.value[0], t->x);
	assert_string_equal(s.value[2], t->ab);
}

static void test_scan(void **state)
{
	static const char *const path[SCAN_FIELDS] = { "x" };
	char deep[2 * SCAN_DEPTH_MAX + 16];
	struct sign_scan s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scanned); i++)
		for (size_t cut = 0; cut <= strlen(scanned[i].text); cut++)
			scan_one(&scanned[i], cut);
	for (int depth = SCAN_DEPTH_MAX - 3; depth <= SCAN_DEPTH_MAX; depth++) {
		int n = snprintf(deep, sizeof(deep), "{\"y\":");

		memset(deep + n, '[', (size_t)depth);
		memset(deep + n + depth, ']', (size_t)depth);
		deep[n + 2 * depth] = '}';
		scan_begin(&s, path);
		scan_feed(&s, (uint8_t *)deep, (size_t)(n + 2 * depth + 1));
		assert_int_equal(scan_whole(&s), depth + 1 < SCAN_DEPTH_MAX);
	}
	/* a value that is asked for and too long is no value */
	scan_begin(&s, path);
	scan_feed(&s, (const uint8_t *)"{\"x\":\"", 6);
	for (int i = 0; i < SCAN_VALUE_MAX; i++)
		scan_feed(&s, (const uint8_t *)"v", 1);
	scan_feed(&s, (const uint8_t *)"\"}", 2);
	assert_false(scan_whole(&s));
}

/* No honest client sends these: the signer ends, and says so by its exit code. */
static void test_shape(void **state)
{
	static const struct sign_text text[] = {
		{ .kind = SIGNER_MAX_, .first = 1 },
		{ .kind = SIGNER_CHECKPOINT, .first = 1 },
		{ .kind = SIGNER_EXPORT, .part = SIGN_PARTS, .first = 1 },
		{ .kind = SIGNER_EXPORT, .part = SIGN_ABOUT, .first = 1 },
		{ .kind = SIGNER_EXPORT, .first = 2 },
		{ .kind = SIGNER_EXPORT, .first = 1, .len = SIGN_TEXT_MAX + 1 },
		{ .kind = SIGNER_EXPORT }, /* goes on with nothing */
	};
	static const struct sign_req req[] = {
		{ .kind = 99, .data_len = 1 },
		{ .kind = SIGNER_EXPORT },
		{ .kind = SIGNER_EXPORT, .data_len = SIGN_DATA_MAX + 1 },
		{ .kind = SIGNER_CHECKPOINT, .data_len = 0xffffffff },
	};
	struct sign_rep p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text) + ARRAY_LEN(req); i++) {
		size_t k = i - ARRAY_LEN(text);

		start();
		if (i < ARRAY_LEN(text))
			assert_int_equal(msg_call(&cl, MSG_SIGN_TEXT, &text[i], sizeof(text[i]),
						  NULL, 0, NULL, 5000, NULL),
					 -EPIPE);
		else
			assert_int_equal(signer_sign(&cl, &req[k], &p, NULL), -EPIPE);
		assert_int_not_equal(halt(), 0);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_signature_verifies), CASE(test_what_is_read), CASE(test_accepting),
		CASE(test_long_text),          CASE(test_shape),        CASE(test_scan),
	};

	if (geteuid() != 0)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
