/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies from strangers: each bad one has a twin that is taken; the error names the field. */
#include <setjmp.h>
#include <stdarg.h>

#include "agent/codec/json_parse.h"
#include "agent/codec/plain.h"
#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

static void read_table(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0 = strlen */
		int want;
	} rows[] = {
		{ "{\"a\":1}", 0, 0 },
		{ "[]", 0, 0 },
		{ " {\"a\":[1,{\"b\":null}]} \n", 0, 0 },
		{ "{\"a\":\"\\\"{[\"}", 0, 0 },
		{ "", 0, -EBADMSG },
		{ "{\"a\":1", 0, -EBADMSG },
		{ "{\"a\":1}x", 0, -EBADMSG },
		{ "{\"a\":1,}", 0, -EBADMSG },
		{ "{'a':1}", 0, -EBADMSG },
		{ "{\"a\":01}", 0, -EBADMSG },
		{ "{\"a\":NaN}", 0, -EBADMSG },
		{ "{\"a\":1e400}", 0, -EBADMSG },
		{ "{\"a\":9223372036854775808}", 0, -EBADMSG },
		{ "{\"a\":1,\"a\":2}", 0, -EBADMSG },       /* duplicate */
		{ "{\"a\":1,\"\\u0061\":2}", 0, -EBADMSG }, /* duplicate, spelt otherwise */
		{ "{\"x\":{\"a\":1,\"a\":1}}", 0, -EBADMSG },
		{ "{\"a\":1}\0", 8, -EBADMSG },
		{ "{\"a\":\"\\u0000\"}", 0, -EBADMSG },
		{ "{\"\\u0000\":1}", 0, -EBADMSG },
		{ "{\"a\":\"\xff\"}", 0, -EBADMSG },         /* not UTF-8 */
		{ "{\"a\":\"\xc0\xaf\"}", 0, -EBADMSG },     /* overlong */
		{ "{\"a\":\"\xed\xa0\x80\"}", 0, -EBADMSG }, /* surrogate in UTF-8 */
		{ "{\"a\":\"\\ud800\"}", 0, -EBADMSG },      /* lone surrogate */
		{ "\xef\xbb\xbf{\"a\":1}", 0, -EBADMSG },    /* BOM */
		{ "\"text\"", 0, -EBADMSG },                 /* a scalar is no body */
		{ "1", 0, -EBADMSG },
		{ "[[[[]]]]", 0, 0 },
		{ "[[[[[]]]]]", 0, -EMSGSIZE },              /* depth 4 */
		{ "[1,2,3,4,5,6,7,8,9,0,1]", 0, -EMSGSIZE }, /* 12 values */
		{ "[1,2,3,4,5,6,7,8]", 0, 0 },
		{ "[\"0123456789012345678901234567890123456789\"]", 0, -EMSGSIZE }, /* bytes */
	};
	struct json_limits lim = { .bytes = 40, .depth = 4, .nodes = 10 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		json_t *v = NULL;
		size_t n = rows[i].len ? rows[i].len : strlen(rows[i].text);
		int r = json_read(&v, rows[i].text, n, &lim, &e);

		if (r != rows[i].want)
			fail_msg("row %zu: %d, %d wanted (%s)", i, r, rows[i].want, e.text);
		assert_int_equal(e.code, r);
		assert_true(!v == !!r);
		json_decref(v);
	}
}

/* A bomb is refused where it passes the limit: no tree beyond it is built. */
static void deep_and_wide(void **state)
{
	static char bomb[200000];
	json_t *v = NULL;

	(void)state;
	memset(bomb, '[', sizeof(bomb));
	assert_int_equal(json_read(&v, bomb, 60000, NULL, NULL), -EMSGSIZE);
	assert_int_equal(json_read(&v, bomb, sizeof(bomb), NULL, NULL), -EMSGSIZE);
	memset(bomb, ',', sizeof(bomb));
	bomb[0] = '[';
	assert_int_equal(json_read(&v, bomb, 60000, NULL, NULL), -EBADMSG);
	for (size_t i = 1; i < sizeof(bomb); i += 2)
		bomb[i] = '0';
	assert_int_equal(json_read(&v, bomb, 60000, NULL, NULL), -EMSGSIZE);
	for (size_t i = 0; i < 33; i++) {
		bomb[i] = '[';
		bomb[65 - i] = ']';
	}
	assert_int_equal(json_read(&v, bomb, 66, NULL, NULL), -EMSGSIZE);
	assert_int_equal(json_read(&v, bomb + 1, 64, NULL, NULL), 0);
	json_decref(v);
}

enum get { STR, TEXT, INT, BOOL, OBJ, ARR, TIME, CONST };

static int get(enum get kind, const json_t *o, const char *key, bool opt, struct err *e)
{
	const char *s;
	char text[4];
	int64_t i;
	bool b;
	json_t *j;
	wall_t t;

	switch (kind) {
	case STR: return opt ? json_opt_str(o, "p", key, &s, e) : json_need_str(o, "p", key, &s, e);
	case TEXT:
		return opt ? json_opt_text(o, "p", key, text, sizeof(text), e)
			   : json_need_text(o, "p", key, text, sizeof(text), e);
	case INT:
		return opt ? json_opt_int(o, "p", key, 0, 100, &i, e)
			   : json_need_int(o, "p", key, 0, 100, &i, e);
	case BOOL:
		return opt ? json_opt_bool(o, "p", key, &b, e) : json_need_bool(o, "p", key, &b, e);
	case OBJ: return opt ? json_opt_obj(o, "p", key, &j, e) : json_need_obj(o, "p", key, &j, e);
	case ARR:
		return opt ? json_opt_arr(o, "p", key, 1, 2, &j, e)
			   : json_need_arr(o, "p", key, 1, 2, &j, e);
	case TIME:
		return opt ? json_opt_time(o, "p", key, &t, e) : json_need_time(o, "p", key, &t, e);
	case CONST: return opt ? 0 : json_need_const(o, "p", key, "x", e);
	}
	return 0;
}

static void getters(void **state)
{
	static const struct {
		enum get kind;
		const char *good, *bad; /* values of member k */
		const char *text;       /* of the error for bad */
	} rows[] = {
		{ STR, "\"\"", "1", "p.k: string required" },
		{ STR, "\"x\"", "null", "p.k: string required" },
		{ TEXT, "\"abc\"", "\"abcd\"", "p.k: string of 1..3 bytes required" },
		{ TEXT, "\"a\"", "\"\"", "p.k: string of 1..3 bytes required" },
		{ INT, "0", "-1", "p.k: integer 0..100 required" },
		{ INT, "100", "101", "p.k: integer 0..100 required" },
		{ INT, "50", "5e1", "p.k: integer 0..100 required" },
		{ INT, "50", "50.0", "p.k: integer 0..100 required" },
		{ INT, "50", "\"50\"", "p.k: integer 0..100 required" },
		{ INT, "50", "true", "p.k: integer 0..100 required" },
		{ BOOL, "false", "0", "p.k: true or false required" },
		{ OBJ, "{}", "[]", "p.k: object required" },
		{ ARR, "[1]", "[]", "p.k: array of 1..2 required" },
		{ ARR, "[1,2]", "[1,2,3]", "p.k: array of 1..2 required" },
		{ ARR, "[1]", "{}", "p.k: array of 1..2 required" },
		{ TIME, "\"2026-11-23T02:00:00Z\"", "\"2026-11-23\"",
		  "p.k: RFC 3339 time with Z or offset required" },
		{ CONST, "\"x\"", "\"y\"", "p.k: \"x\" required" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *good = json_object(), *bad = json_object(), *none = json_object();
		struct err e = { 0 };

		(void)json_object_set_new(good, "k",
					  json_loads(rows[i].good, JSON_DECODE_ANY, NULL));
		(void)json_object_set_new(bad, "k", json_loads(rows[i].bad, JSON_DECODE_ANY, NULL));
		assert_int_equal(get(rows[i].kind, good, "k", false, &e), 0);
		assert_int_equal(get(rows[i].kind, good, "k", true, &e), rows[i].kind != CONST);
		assert_int_equal(get(rows[i].kind, none, "k", true, &e), 0);
		assert_int_equal(e.code, 0);
		assert_int_equal(get(rows[i].kind, bad, "k", false, &e), -EINVAL);
		assert_string_equal(e.text, rows[i].text);
		memset(&e, 0, sizeof(e));
		assert_int_equal(get(rows[i].kind, none, "k", false, &e), -EINVAL);
		assert_string_equal(e.text, "p.k: missing");
	}
}

static void unknown_members(void **state)
{
	auto_json json_t *o = json_pack("{s:i, s:i}", "a", 1, "b\x01\n", 2);
	auto_json json_t *array = json_array();
	struct err e = { 0 };

	(void)state;
	assert_int_equal(json_only(o, "", &e, "a", "b\x01\n", NULL), 0);
	assert_int_equal(json_only(o, "", &e, "a", NULL), -EINVAL);
	assert_string_equal(e.text, "b??: unknown member"); /* nothing of a stranger's unescaped */
	memset(&e, 0, sizeof(e));
	assert_int_equal(json_only(array, "p", &e, "a", NULL), -EINVAL);
	assert_string_equal(e.text, "p: object required");
}

static void money(void **state)
{
	static const struct {
		const char *text;
		unsigned digits;
		int64_t want; /* -1 refused */
	} rows[] = {
		{ "{\"unit\":\"EUR\",\"value\":12.5}", 2, 1250 },
		{ "{\"unit\":\"EUR\",\"value\":0.1}", 2, 10 },
		{ "{\"unit\":\"EUR\",\"value\":0.29}", 2, 29 },
		{ "{\"unit\":\"EUR\",\"value\":1.15}", 2, 115 },
		{ "{\"unit\":\"EUR\",\"value\":1250}", 2, 125000 },
		{ "{\"unit\":\"EUR\",\"value\":2.5e3}", 2, 250000 },
		{ "{\"unit\":\"EUR\",\"value\":0}", 2, 0 },
		{ "{\"unit\":\"JPY\",\"value\":7}", 0, 7 },
		{ "{\"unit\":\"EUR\",\"value\":12.345}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":0.105}", 2, -1 },
		{ "{\"unit\":\"JPY\",\"value\":7.5}", 0, -1 },
		{ "{\"unit\":\"EUR\",\"value\":-1}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":1e300}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":9007199254740991}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":9223372036854775807}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":\"12.5\"}", 2, -1 },
		{ "{\"unit\":\"EUR\"}", 2, -1 },
		{ "{\"unit\":\"eur\",\"value\":1}", 2, -1 },
		{ "{\"unit\":\"EURO\",\"value\":1}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":1,\"x\":1}", 2, -1 },
		{ "{\"unit\":\"EUR\",\"value\":1}", 5, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *v = json_loads(rows[i].text, 0, NULL), *again = NULL;
		money_t m = { -7 }, back;
		char unit[4];
		int r = money_read(v, "price", rows[i].digits, unit, &m, NULL);

		assert_int_equal(r, rows[i].want < 0 ? -EINVAL : 0);
		assert_int_equal(m.minor, rows[i].want < 0 ? -7 : rows[i].want);
		if (r)
			continue;
		again = money_write(m, rows[i].digits, unit);
		assert_int_equal(money_read(again, "", rows[i].digits, unit, &back, NULL), 0);
		assert_int_equal(back.minor, m.minor);
	}
}

static void money_there_and_back(void **state)
{
	(void)state;
	/* There and back: exact below 100 million, and never a wrong amount above. */
	for (int64_t c = 0; c < 30000; c++) {
		int64_t minor = c < 10000   ? c
				: c < 20000 ? (c - 10000) * 999983
					    : 9007199254740991LL - (c - 20000) * 45003;
		auto_json json_t *v = money_write((money_t){ minor }, 2, "EUR");
		money_t m = { -1 };
		char unit[4];

		assert_true(v || c >= 20000);
		if (!v)
			continue;
		assert_int_equal(money_read(v, "", 2, unit, &m, NULL), 0);
		assert_int_equal(m.minor, minor);
	}
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1 refused */
		const char *again;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z" },
		{ "2026-11-23T02:00:00Z", 1795399200000, "2026-11-23T02:00:00Z" },
		{ "2026-11-23T02:00:00.5Z", 1795399200500, "2026-11-23T02:00:00.500Z" },
		{ "2026-11-23T02:00:00.123456789Z", 1795399200123, "2026-11-23T02:00:00.123Z" },
		{ "2026-11-23T04:30:00+02:30", 1795399200000, "2026-11-23T02:00:00Z" },
		{ "2026-11-22T21:00:00-05:00", 1795399200000, "2026-11-23T02:00:00Z" },
		{ "2000-02-29T23:59:59Z", 951868799000, "2000-02-29T23:59:59Z" },
		{ "2024-12-31T00:00:00Z", 1735603200000, "2024-12-31T00:00:00Z" },
		{ "9999-12-31T23:59:59.999Z", 253402300799999, "9999-12-31T23:59:59.999Z" },
		{ "2026-11-23T02:00:00", -1, "" }, /* no offset */
		{ "2026-11-23 02:00:00Z", -1, "" },
		{ "2026-11-23t02:00:00z", -1, "" },
		{ "2026-02-29T00:00:00Z", -1, "" },
		{ "1900-02-28T00:00:00Z", -1, "" },
		{ "2100-02-29T00:00:00Z", -1, "" },
		{ "2026-13-01T00:00:00Z", -1, "" },
		{ "2026-00-01T00:00:00Z", -1, "" },
		{ "2026-01-00T00:00:00Z", -1, "" },
		{ "2026-01-32T00:00:00Z", -1, "" },
		{ "2026-01-01T24:00:00Z", -1, "" },
		{ "2026-01-01T23:60:00Z", -1, "" },
		{ "2026-01-01T23:59:60Z", -1, "" },
		{ "2026-01-01T00:00:00.Z", -1, "" },
		{ "2026-01-01T00:00:00.1234567890Z", -1, "" },
		{ "2026-01-01T00:00:00+15:00", -1, "" },
		{ "2026-01-01T00:00:00+0100", -1, "" },
		{ "2026-01-01T00:00:00ZZ", -1, "" },
		{ "1970-01-01T00:00:00+01:00", -1, "" },
		{ "+026-01-01T00:00:00Z", -1, "" },
		{ "", -1, "" },
	};
	char text[TIME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		wall_t t = { -7 };

		assert_int_equal(time_parse(rows[i].text, &t), rows[i].ms < 0 ? -EINVAL : 0);
		assert_int_equal(t.ms, rows[i].ms < 0 ? -7 : rows[i].ms);
		if (rows[i].ms < 0)
			continue;
		time_format(t, text);
		assert_string_equal(text, rows[i].again);
	}
	for (int64_t ms = 0; ms < 253402300800000LL; ms += 86399999 * 37LL) {
		wall_t t;

		time_format((wall_t){ ms }, text);
		assert_int_equal(time_parse(text, &t), 0);
		assert_int_equal(t.ms, ms);
	}
}

/* Our reader and jansson's agree on every text: what they take, and what they make of it. */
static void as_jansson(const char *text, size_t len)
{
	json_t *a = NULL, *b;
	int r = json_parse(&a, text, len, &(struct json_limits){ .depth = 64, .nodes = ~0u }, NULL);

	b = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!r != (b != NULL) || (b && !json_equal(a, b)))
		fail_msg("%d, jansson %s: %.*s", r, b ? "takes it" : "does not", (int)len, text);
	json_decref(a);
	json_decref(b);
}

static const char *const texts[] = {
	"[1]",
	"[-0]",
	"[-]",
	"[01]",
	"[1.]",
	"[.5]",
	"[1e5]",
	"[1e+5]",
	"[1E-5]",
	"[1e]",
	"[9223372036854775807]",
	"[-9223372036854775808]",
	"[9223372036854775808]",
	"[-9223372036854775809]",
	"[1e308]",
	"[1e309]",
	"[1e-400]",
	"[0.1e1]",
	"{}",
	"[]",
	"[ ]",
	"[,]",
	"[1,]",
	"{\"a\"}",
	"{\"a\":}",
	"{\"a\":1,}",
	"{a:1}",
	"{\"a\":1,\"a\":2}",
	"{\"\\u0061\":1,\"a\":2}",
	"{\"\":1}",
	"[\"\\u0000\"]",
	"[\"\\ud83d\\ude00\"]",
	"[\"\\ud83d\"]",
	"[\"\\ude00\"]",
	"[\"\\ud83dx\"]",
	"[\"\\ud83d\\u0041\"]",
	"[\"\\x\"]",
	"[\"\\u12g4\"]",
	"[\"\\u12\"]",
	"[\"\x7f\"]",
	"[\"\x1f\"]",
	"[\"\xc0\x80\"]",
	"[\"\xed\xa0\x80\"]",
	"[\"\xf4\x90\x80\x80\"]",
	"[\"\xe2\x82\"]",
	"[\"\xe2\x82\xac\"]",
	"[\"\xf0\x9f\x98\x80\"]",
	"\xef\xbb\xbf[]",
	"[true,false,null]",
	"[tru]",
	"[nullx]",
	"1",
	"\"x\"",
	"[1] 2",
	" [1] \n",
	"[1 2]",
	"[[[[]]]]",
	"[}",
	"{]",
	"[\"",
	"[\"\\",
	"[NaN]",
	"[+1]",
};

static void same_as_jansson(void **state)
{
	static const char *const files[] = { "arrays",  "french", "structures",
					     "unicode", "values", "weird" };
	static const char flips[] = { 1, 2, 4, 8, 16, 32, 64, (char)0x80 };
	char path[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		as_jansson(texts[i], strlen(texts[i]));
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		auto_free char *text = NULL;
		size_t len;

		(void)snprintf(path, sizeof(path), "tests/vectors/jcs-rfc8785/input/%s.json",
			       files[i]);
		text = file_fixture(path, &len);
		as_jansson(text, len);
		for (size_t k = 0; k < len; k++) {
			as_jansson(text, k);
			for (size_t f = 0; f < sizeof(flips); f++) {
				text[k] ^= flips[f];
				if (text[k])
					as_jansson(text, len);
				text[k] ^= flips[f];
			}
		}
	}
}

/* Written and read again it is the same, in the same order; two orders have one digest. */
static void comes_back(json_t *v)
{
	auto_free char *text = json_text_new(v), *again = NULL;
	json_t *back = NULL;

	assert_non_null(text);
	assert_int_equal(json_read(&back, text, strlen(text), NULL, NULL), 0);
	assert_true(json_equal(v, back));
	again = json_text_new(back);
	assert_string_equal(text, again);
	json_decref(back);
	json_decref(v);
}

static void texts_come_back(void **state)
{
	json_t *deep = json_array(), *a, *b;
	static const uint8_t key[16] = { 1 }, other[16] = { 2 };
	uint8_t da[JSON_PRINT_LEN], db[JSON_PRINT_LEN];

	(void)state;
	comes_back(json_pack("{s:I, s:I, s:I, s:i}", "z", (json_int_t)INT64_MIN, "a",
			     (json_int_t)INT64_MAX, "m", (json_int_t)9007199254740993, "0", 0));
	comes_back(json_pack("[f,f,f,f,f,b,b,n,[],{}]", 1.5, -0.125, 5e-324, 1e18, -1e19, 1, 0));
	comes_back(json_pack("{s:s, s:s}", "\"\\/\b\t\x01\x7f", "\xe2\x82\xac\xf0\x9f\x98\x80", "",
			     "\n"));
	assert_null(json_text_new(NULL));
	for (int i = 0; i < 64; i++)
		deep = json_pack("[o]", deep);
	assert_null(json_text_new(deep));
	json_decref(deep);
	a = json_pack("{s:I, s:i}", "x", (json_int_t)INT64_MAX, "y", 1);
	b = json_pack("{s:i, s:I}", "y", 1, "x", (json_int_t)INT64_MAX);
	assert_int_equal(json_fingerprint(a, key, da) | json_fingerprint(b, key, db), 0);
	assert_memory_equal(da, db, sizeof(da));
	for (int i = 0; i < 40; i++) { /* more than fit on the stack, and in two orders */
		char name[2][16];

		(void)snprintf(name[0], sizeof(name[0]), "n%d", i);
		(void)snprintf(name[1], sizeof(name[1]), "n%d", 39 - i);
		assert_int_equal(json_object_set_new(a, name[0], json_integer(i)), 0);
		assert_int_equal(json_object_set_new(b, name[1], json_integer(39 - i)), 0);
	}
	assert_int_equal(json_fingerprint(a, key, da) | json_fingerprint(b, key, db), 0);
	assert_memory_equal(da, db, sizeof(da));
	assert_int_equal(
		json_object_set_new(b, "y", json_integer(2)) | json_fingerprint(b, key, db), 0);
	assert_memory_not_equal(da, db, sizeof(da));
	assert_int_equal(
		json_object_set_new(b, "y", json_integer(1)) | json_fingerprint(b, other, db), 0);
	assert_memory_not_equal(da, db, sizeof(da));
	json_decref(a);
	json_decref(b);
}

/* Each differs from every other one; the last are written otherwise and are the first. */
static const char *const apart[] = {
	"null",
	"true",
	"false",
	"0",
	"1",
	"-1",
	"1.5",
	"-1.5",
	"1e300",
	"\"\"",
	"\"0\"",
	"\"null\"",
	"[]",
	"{}",
	"[[]]",
	"[[],[]]",
	"[null]",
	"[0,0]",
	"[1,0]",
	"[[1],0]",
	"[[1,0]]",
	"\"ab\"",
	"[\"ab\"]",
	"[\"a\",\"b\"]",
	"[\"\",\"ab\"]",
	"{\"a\":1}",
	"{\"a\":\"1\"}",
	"{\"b\":1}",
	"{\"a\":1,\"b\":2}",
	"{\"a\":2,\"b\":1}",
	"{\"a\":{\"b\":2}}",
	"[{\"a\":1},{\"b\":2}]",
	"[\"a\",1,\"b\",2]",
	"\"\\\"\"",
	"9007199254740993",
	"9007199254740992",
	"9007199254740992.0e1",
	"\"\xc3\xa9\"",
};
static const char *const same[][2] = {
	{ "{\"b\":2,\"a\":1}", "{\"a\":1,\"b\":2}" },
	{ " [ 1.0 , 0 ]", "[1,0]" },
	{ "-0.0", "0" },
	{ "\"\\u0061b\"", "\"ab\"" },
	{ "15e-1", "1.5" },
};

static void prints_tell_values_apart(void **state)
{
	static const uint8_t key[16] = { 7 };
	uint8_t print[ARRAY_LEN(apart)][JSON_PRINT_LEN], one[2][JSON_PRINT_LEN];
	json_t *deep = json_integer(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(apart); i++) {
		json_t *v = json_loads(apart[i], JSON_DECODE_ANY, NULL);

		assert_non_null(v);
		assert_int_equal(json_fingerprint(v, key, print[i]), 0);
		json_decref(v);
		for (size_t k = 0; k < i; k++)
			if (!memcmp(print[i], print[k], JSON_PRINT_LEN))
				fail_msg("%s and %s", apart[i], apart[k]);
	}
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		for (size_t k = 0; k < 2; k++) {
			json_t *v = json_loads(same[i][k], JSON_DECODE_ANY, NULL);

			assert_int_equal(json_fingerprint(v, key, one[k]), 0);
			json_decref(v);
		}
		assert_memory_equal(one[0], one[1], JSON_PRINT_LEN);
	}
	assert_int_equal(json_fingerprint(NULL, key, one[0]), -EINVAL);
	for (int i = 0; i < 64; i++)
		deep = json_pack("[o]", deep);
	assert_int_equal(json_fingerprint(deep, key, one[0]), 0);
	deep = json_pack("[o]", deep);
	assert_int_equal(json_fingerprint(deep, key, one[0]), -EINVAL);
	json_decref(deep);
}

/* Every byte at every place of a text longer than the steps that the search takes. */
static void plain_bytes_end_where_they_do(void **state)
{
	char text[27];

	(void)state;
	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < sizeof(text); at++)
			for (int ascii = 0; ascii < 2; ascii++) {
				bool plain =
					c >= 0x20 && c != '"' && c != '\\' && (!ascii || c < 0x80);

				memset(text, at % 2 ? 0x20 : 0x7f, sizeof(text));
				text[at] = (char)c;
				assert_int_equal(plain_run(text, sizeof(text), ascii),
						 plain ? sizeof(text) : at);
				assert_int_equal(plain_run(text, at, ascii), at);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_tell_values_apart),
		cmocka_unit_test(plain_bytes_end_where_they_do),
		cmocka_unit_test(texts_come_back),
		cmocka_unit_test(same_as_jansson),
		cmocka_unit_test(read_table),
		cmocka_unit_test(deep_and_wide),
		cmocka_unit_test(getters),
		cmocka_unit_test(unknown_members),
		cmocka_unit_test(money),
		cmocka_unit_test(money_there_and_back),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
