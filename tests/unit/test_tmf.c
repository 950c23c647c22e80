/* SPDX-License-Identifier: Apache-2.0 */
/* Each TM Forum body: written, read, equal; each member removed or changed at every depth is either
 * the same noun or a refusal that names a field, never another noun in silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/tmf.h"
#include "agent/crypto/crypto.h"

static const struct tmf_parties parties = { { "enterprise-x" }, { "operator-y" }, 2 };
static const struct grades grades = { { 20000000 }, { 28000 }, { 999900 } };

static struct intent intent_sample(void)
{
	return (struct intent){ .id = { "int-1" },
				.negotiation = { "neg-1" },
				.class_name = { "market-data" },
				.flow = { "x-md" },
				.want = grades,
				.term_ms = 3600000,
				.declared = { 1795400000123 },
				.source = INTENT_DETECTED };
}

static struct quote quote_sample(void)
{
	struct quote q = { .id = { "quo-1" },
			   .negotiation = { "neg-1" },
			   .intent = { "int-1" },
			   .lineage = { "agr-1" },
			   .version = 2,
			   .reason = QUOTE_STEP_UP,
			   .class_name = { "market-data" },
			   .flow = { "x-md" },
			   .currency = "EUR",
			   .made = { 1795400000000 },
			   .valid_until = { 1795400060000 },
			   .term_ms = 3600000,
			   .n_items = 3 };

	for (uint8_t i = 0; i < 3; i++)
		q.item[i] = (struct quote_item){ .no = (uint8_t)(i + 1),
						 .type = i == 2 ? NET_BE : NET_DET,
						 .withdrawn = i == 1,
						 .g = grades,
						 .scarcity = { 4001 + i },
						 .margin = { 99 },
						 .surge_pct = { 0, 60, i } };
	return q;
}

static struct agreement agreement_sample(void)
{
	struct agreement a = { .lineage = { "agr-1" },
			       .rev = 2,
			       .negotiation = { "neg-1" },
			       .intent = { "int-1" },
			       .quote = { "quo-1" },
			       .item = 1,
			       .service = { "svc-1" },
			       .hold = { "h-0011" },
			       .wallet = { "urn:w" },
			       .class_name = { "market-data" },
			       .flow = { "x-md" },
			       .label = 0x12345,
			       .type = NET_DET,
			       .reason = QUOTE_STEP_UP,
			       .g = grades,
			       .price = { 4100 },
			       .currency = "EUR",
			       .start = { 1795400000000 },
			       .end = { 1795403600000 },
			       .amount = { 4100 },
			       .refundable = true };

	memset(a.quote_digest.b, 0xab, sizeof(a.quote_digest.b));
	return a;
}

static struct order order_sample(void)
{
	struct order o = { .id = { "ord-1" },
			   .lineage = { "agr-1" },
			   .rev = 2,
			   .action = ORDER_MIGRATE,
			   .service = { "svc-1" },
			   .label = 7,
			   .old_label = 6,
			   .path = 2,
			   .old_path = 1,
			   .g = grades,
			   .old_g = grades,
			   .end = { 1795403600000 } };

	memset(o.agreement_digest.b, 0xcd, sizeof(o.agreement_digest.b));
	return o;
}

static struct tmf_service service_sample(void)
{
	return (struct tmf_service){ .service = { "svc-1" },
				     .lineage = { "agr-1" },
				     .rev = 2,
				     .label = 7,
				     .class_name = { "market-data" },
				     .flow = { "x-md" },
				     .g = grades,
				     .state = "active",
				     .operating = "running" };
}

/* One kind of body behind a common shape. */
union noun {
	struct intent i;
	struct quote q;
	struct agreement a;
	struct order o;
	struct tmf_service s;
};

static json_t *write_kind(int kind, const union noun *n)
{
	struct agreement a = agreement_sample();
	json_t *js = NULL;
	int r = kind == 0   ? tmf921_write(&n->i, &parties, &js, NULL)
		: kind == 1 ? tmf648_write(&n->q, &parties, &js, NULL)
		: kind == 2 ? tmf651_write(&n->a, &parties, &js, NULL)
		: kind == 3 ? tmf622_write(&n->o, &a, &parties, &js, NULL)
			    : tmf638_write(&n->s, &parties, &js, NULL);

	assert_int_equal(r, 0);
	return js;
}

static int read_kind(int kind, const json_t *js, union noun *n, struct err *e)
{
	memset(n, 0, sizeof(*n));
	return kind == 0   ? tmf921_read(js, &n->i, e)
	       : kind == 1 ? tmf648_read(js, &parties, &n->q, e)
	       : kind == 2 ? tmf651_read(js, &parties, &n->a, e)
	       : kind == 3 ? tmf622_read(js, &n->o, e)
			   : tmf638_read(js, &n->s, e);
}

static char *text_kind(int kind, const union noun *n, const char *salt)
{
	struct agreement a = agreement_sample();
	char *text = NULL;
	size_t len = 0;
	int r = kind == 0   ? tmf921_text(&n->i, &parties, &text, &len, NULL)
		: kind == 1 ? tmf648_text(&n->q, &parties, salt, &text, &len, NULL)
			    : tmf622_text(&n->o, &a, &parties, salt, &text, &len, NULL);

	assert_int_equal(r, 0);
	assert_int_equal(len, strlen(text));
	return text;
}

/* As its text has it. */
static void salt(int kind, const union noun *n, json_t *js)
{
	char salt[TMF_SALT_MAX];
	auto_free char *text = NULL, *want = NULL;

	tmf_salt(salt);
	assert_int_equal(json_object_set_new(js, "salt", json_string(salt)), 0);
	text = text_kind(kind, n, salt);
	assert_int_equal(canon_text(js, 1 << 20, &want, NULL, NULL), 0);
	assert_string_equal(text, want);
}

static union noun sample(int kind)
{
	union noun n;

	memset(&n, 0, sizeof(n));
	switch (kind) {
	case 0: n.i = intent_sample(); break;
	case 1: n.q = quote_sample(); break;
	case 2: n.a = agreement_sample(); break;
	case 3: n.o = order_sample(); break;
	default: n.s = service_sample();
	}
	return n;
}

/* What differs from the sample: texts that need an escape or are left out, numbers that are written
 * as texts, amounts with a fraction, members that a body has or lacks. */
static union noun varied(int kind, int how)
{
	static const char odd[] = "m\xc3\xa9\"\\/\x01\x1f\x7f\xf0\x9f\x90\xb8";
	union noun n = sample(kind);

	if (how == 0)
		return n;
	if (kind == 0) {
		str_cut(n.i.class_name.s, odd);
		n.i.source = INTENT_CHANGE;
		str_cut(n.i.lineage.s, how == 1 ? "agr-1" : "000");
		n.i.declared.ms = 1795400000000 + how;
	} else if (kind == 1) {
		str_cut(n.q.class_name.s, odd);
		n.q.lineage = (ident_t){ "" };
		n.q.n_items = (uint8_t)how;
		n.q.refundable = true;
		n.q.term_ms = how == 1 ? -5 : 9007199254740993;
		n.q.item[0].scarcity.minor_h = how == 1 ? 0 : 5;
		n.q.item[0].margin.minor_h = 100000000000000;
		n.q.item[0].surge_pct[0] = 65535;
	} else if (kind == 2) {
		str_cut(n.a.class_name.s, odd);
		n.a.rev = (uint32_t)how;
		n.a.type = NET_BE;
		n.a.wallet = (ident_t){ "" };
	} else if (kind == 3) {
		str_cut(n.o.service.s, odd);
		n.o.action = how == 1 ? ORDER_ADD : ORDER_DELETE;
		n.o.g.bandwidth.bps = UINT64_MAX;
		n.o.end.ms = INT64_MIN + 1;
		memset(n.o.agreement_digest.b, 0, sizeof(n.o.agreement_digest.b));
	} else {
		str_cut(n.s.class_name.s, odd);
		str_cut(n.s.state, "reserved");
	}
	return n;
}

/* First bytes of the digests that these bodies had when they were made of trees. */
static void says_what_it_said_before(void **state)
{
	static const struct {
		int kind, how;
		const char *want;
	} rows[] = {
		{ 0, 0, "dd13e02727fb9cc6" }, { 0, 1, "9e472717284191ba" },
		{ 0, 2, "ef811849dfa07f10" }, { 1, 0, "cf369fe68ae62e6c" },
		{ 1, 1, "43314bdcebffda39" }, { 1, 2, "72ba4f7f74ec03ff" },
		{ 2, 0, "01260a06ea877fb6" }, { 2, 1, "e81e987334f48391" },
		{ 2, 2, "276f0a5f8002cf83" }, { 3, 0, "60e878b9b2e2a159" },
		{ 3, 1, "79f2e90d33e03bff" }, { 3, 2, "28475051017bec4e" },
		{ 4, 0, "6860409fcbe91c7b" }, { 4, 1, "ff5078ed8c220b23" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		union noun n = varied(rows[i].kind, rows[i].how);
		auto_json json_t *js = write_kind(rows[i].kind, &n);
		auto_free char *text = NULL;
		uint8_t d[SHA256_LEN];
		char hex[17];

		assert_int_equal(canon_sha256(js, d, NULL), 0);
		(void)hex_encode(d, 8, hex, sizeof(hex));
		assert_string_equal(hex, rows[i].want);
		if (rows[i].kind == 2 || rows[i].kind == 4)
			continue; /* no text of its own */
		text = text_kind(rows[i].kind, &n, NULL);
		sha256(text, strlen(text), d);
		(void)hex_encode(d, 8, hex, sizeof(hex));
		assert_string_equal(hex, rows[i].want);
	}
}

static void comes_back(void **state)
{
	(void)state;
	for (int k = 0; k < 5; k++) {
		union noun a = sample(k), b;
		json_t *js = write_kind(k, &a), *again;
		struct err e = { 0 };
		int r = read_kind(k, js, &b, &e);

		if (r)
			print_error("kind %d: %s\n", k, e.text);
		assert_int_equal(r, 0);
		again = write_kind(k, &b);
		assert_true(json_equal(js, again));
		assert_memory_equal(&a, &b,
				    k == 1 ? offsetof(union noun, q) + sizeof(a.q) : sizeof(a));
		json_decref(js);
		json_decref(again);
	}
}

/* A body that nobody signs has a salt beside what it says; one of before may have none. */
static void salted(void **state)
{
	static const char *const bad[] = { "", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==",
					   "!AAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA" };

	(void)state;
	for (int k = 1; k < 4; k += 2) { /* a quote, an order */
		union noun a = sample(k), b;
		auto_json json_t *js = write_kind(k, &a), *other = write_kind(k, &a), *back = NULL;
		digest_t none, one, two;

		assert_int_equal(tmf_digest(js, &none, NULL), 0);
		salt(k, &a, js);
		salt(k, &a, other);
		assert_int_equal(tmf_digest(js, &one, NULL), 0);
		assert_int_equal(tmf_digest(other, &two, NULL), 0);
		assert_false(digest_eq(none, one));
		assert_false(digest_eq(one, two));
		assert_int_equal(read_kind(k, js, &b, NULL), 0);
		back = write_kind(k, &b); /* it says nothing */
		(void)json_object_del(other, "salt");
		assert_true(json_equal(back, other));
		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			struct err e = { 0 };

			(void)json_object_set_new(js, "salt", json_string(bad[i]));
			assert_int_equal(read_kind(k, js, &b, &e), -EINVAL);
			assert_non_null(strstr(e.text, "salt"));
		}
		(void)json_object_set_new(js, "salt", json_integer(1));
		assert_int_equal(read_kind(k, js, &b, NULL), -EINVAL);
	}
}

static unsigned walked, refused;

/* Every member at every depth: removed, then replaced by a number. The twin stays as it was. */
static void mutate(int kind, json_t *root, json_t *at, const union noun *want)
{
	const char *key;
	json_t *v;
	void *tmp;
	size_t i;

	if (json_is_array(at))
		json_array_foreach (at, i, v)
			mutate(kind, root, v, want);
	if (!json_is_object(at))
		return;
	json_object_foreach_safe(at, tmp, key, v)
	{
		json_t *old = json_incref(v);

		for (int how = 0; how < 2; how++) {
			union noun got;
			struct err e = { 0 };
			int r;

			if (how == 0)
				json_object_set_new(at, key, json_integer(-77));
			else
				json_object_set_new(at, key, json_string("\xc3\xa9 other"));
			r = read_kind(kind, root, &got, &e);
			walked++;
			refused += r != 0;
			if (r)
				assert_true(e.text[0] != '\0');
			json_object_set(at, key, old);
		}
		mutate(kind, root, old, want);
		json_decref(old);
	}
}

static void mutations_are_refused_or_ignored_members(void **state)
{
	(void)state;
	for (int k = 0; k < 5; k++) {
		union noun a = sample(k), b;
		json_t *js = write_kind(k, &a);

		walked = refused = 0;
		mutate(k, js, js, &a);
		assert_int_equal(read_kind(k, js, &b, NULL), 0); /* the twin */
		json_object_set_new(js, "unknownMember", json_true());
		assert_int_equal(read_kind(k, js, &b, NULL), -EINVAL);
		print_message("kind %d: %u mutations, %u refused\n", k, walked, refused);
		assert_true(refused > walked / 4);
		json_decref(js);
	}
}

static void intent_expression_is_bound(void **state)
{
	struct intent i = intent_sample(), got;
	json_t *js = NULL, *c;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(tmf921_write(&i, &parties, &js, NULL), 0);
	/* Twice the bandwidth in the characteristic, not in the expression. */
	c = json_array_get(json_object_get(js, "characteristic"), 2);
	assert_string_equal(json_string_value(json_object_get(c, "name")), "bandwidthBps");
	json_object_set_new(c, "value", json_integer(40000000));
	assert_int_equal(tmf921_read(js, &got, &e), -EINVAL);
	assert_non_null(strstr(e.text, "expression"));
	json_decref(js);
}

/* An agreement says whose bytes its rate counts. One of before does not, and means the same. */
static void agreement_names_its_layer(void **state)
{
	struct agreement a = agreement_sample(), got;
	struct err e = { 0 };
	json_t *js = NULL, *list, *c;

	(void)state;
	assert_int_equal(tmf651_write(&a, &parties, &js, NULL), 0);
	list = json_object_get(js, "characteristic");
	c = json_array_get(list, json_array_size(list) - 1);
	assert_string_equal(json_string_value(json_object_get(c, "name")), "bandwidthLayer");
	assert_string_equal(json_string_value(json_object_get(c, "value")), "L2");
	json_object_set_new(c, "value", json_string("L3"));
	assert_int_equal(tmf651_read(js, &parties, &got, &e), -EINVAL);
	assert_non_null(strstr(e.text, "bandwidthLayer"));
	json_array_remove(list, json_array_size(list) - 1);
	assert_int_equal(tmf651_read(js, &parties, &got, &e), 0);
	json_decref(js);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(says_what_it_said_before),
		cmocka_unit_test(salted),
		cmocka_unit_test(mutations_are_refused_or_ignored_members),
		cmocka_unit_test(intent_expression_is_bound),
		cmocka_unit_test(agreement_names_its_layer),
	};

	if (crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
