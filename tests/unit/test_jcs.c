/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 8785: every published vector, every power of two, and what the RFC wants refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include "tests/unit/trust_fixture.h"

#include <cmocka.h>

#define DIR_ "tests/vectors/jcs-rfc8785/"

static json_t *parse(const char *text)
{
	struct err e = { 0 };
	json_t *v = NULL;

	if (json_read(&v, text, strlen(text), NULL, &e))
		fail_msg("%s", e.text);
	return v;
}

static void published_vectors(void **state)
{
	static const char *const names[] = { "arrays",  "french", "structures",
					     "unicode", "values", "weird" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128], want[512], *save = NULL;
		auto_free char *in = NULL, *hex = NULL, *out = NULL, *got = NULL;
		auto_json json_t *v = NULL;
		size_t n = 0, len, out_len;

		(void)snprintf(path, sizeof(path), DIR_ "input/%s.json", names[i]);
		in = file_fixture(path, NULL);
		(void)snprintf(path, sizeof(path), DIR_ "output/%s.json", names[i]);
		out = file_fixture(path, &out_len);
		(void)snprintf(path, sizeof(path), DIR_ "outhex/%s.txt", names[i]);
		hex = file_fixture(path, NULL);
		for (char *t = strtok_r(hex, " \r\n", &save); t; t = strtok_r(NULL, " \r\n", &save))
			want[n++] = (char)strtol(t, NULL, 16);
		v = parse(in);
		assert_int_equal(canon_text(v, 4096, &got, &len, NULL), 0);
		assert_int_equal(len, n);
		assert_memory_equal(got, want, n);
		assert_int_equal(len, out_len);
		assert_memory_equal(got, out, out_len);
	}
}

/* Lines of "hex of the IEEE 754 bits,expected". */
static size_t number_file(const char *path)
{
	auto_free char *text = file_fixture(path, NULL);
	char *save = NULL, out[ES6_NUMBER_MAX];
	size_t lines = 0;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *comma = strchr(l, ',');
		uint64_t bits = strtoull(l, NULL, 16);
		double v;

		assert_non_null(comma);
		memcpy(&v, &bits, sizeof(v));
		assert_int_equal(es6_number(v, out), (int)strlen(comma + 1));
		assert_string_equal(out, comma + 1);
		lines++;
	}
	return lines;
}

static void es6_numbers(void **state)
{
	(void)state;
	assert_int_equal(number_file(DIR_ "es6numbers-10k.txt"), 10000);
	assert_int_equal(number_file(DIR_ "es6numbers-pow2-edges.txt"), 13442);
}

/* The list itself is the published one. */
static void es6_list_is_published(void **state)
{
	static const char want[] =
		"b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892";
	uint8_t d[SHA256_LEN];
	char hex[65];
	size_t n;
	auto_free char *text = file_fixture(DIR_ "es6numbers-10k.txt", &n);

	(void)state;
	sha256(text, n, d);
	assert_int_equal(hex_encode(d, sizeof(d), hex, sizeof(hex)), 64);
	assert_string_equal(hex, want);
}

static void not_finite(void **state)
{
	char out[ES6_NUMBER_MAX];

	(void)state;
	assert_int_equal(es6_number(NAN, out), -EDOM);
	assert_int_equal(es6_number(INFINITY, out), -EDOM);
	assert_int_equal(es6_number(-INFINITY, out), -EDOM);
	assert_int_equal(es6_number(-0.0, out), 1);
	assert_string_equal(out, "0");
}

static void small_cases(void **state)
{
	static const char *const pairs[][2] = {
		{ "{\"b\":1,\"a\":[ ]}", "{\"a\":[],\"b\":1}" },
		{ "{\"\\ufb33\":1,\"\\ud83d\\ude02\":2}",
		  "{\"\360\237\230\202\":2,\"\357\254\263\":1}" },
		{ "{\"\\ufb33\":1,\"\\u20ac\":2}", "{\"\342\202\254\":2,\"\357\254\263\":1}" },
		{ "[\"\\u000F\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\\u007f\"]",
		  "[\"\\u000f\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\177\"]" },
		{ "[25000000.0,2.5e7,25000000]", "[25000000,25000000,25000000]" },
		{ "[9007199254740991,-9007199254740991]", "[9007199254740991,-9007199254740991]" },
		{ "[1e21,1e20,0.000001,1e-7,-1.5]",
		  "[1e+21,100000000000000000000,0.000001,1e-7,-1.5]" },
		{ "[true,false,null,\"\"]", "[true,false,null,\"\"]" },
		{ "{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		auto_json json_t *v = parse(pairs[i][0]);
		auto_free char *got = NULL;

		assert_int_equal(canon_text(v, 4096, &got, NULL, NULL), 0);
		assert_string_equal(got, pairs[i][1]);
	}
}

/* Each byte that needs an escape, at each place of strings of each length around the sizes that are
 * looked at together, and beyond the writer's buffer. */
static void escapes_anywhere(void **state)
{
	static const struct {
		char c;
		const char *out;
	} odd[] = { { '"', "\\\"" },       { '\\', "\\\\" },      { '\n', "\\n" },
		    { '\x1f', "\\u001f" }, { '\x01', "\\u0001" }, { '\x7f', "\x7f" },
		    { ' ', " " },          { '!', "!" },          { '#', "#" } };
	static const size_t sizes[] = { 1, 7, 8, 9, 15, 16, 17, 33, 1021, 1022, 1023, 1024, 2050 };
	char in[2100], want[2200];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(odd); k++)
		for (size_t z = 0; z < ARRAY_LEN(sizes); z++)
			for (size_t at = 0; at < sizes[z]; at += at < 40 ? 1 : 97) {
				size_t n = sizes[z];
				auto_json json_t *v = NULL;
				auto_free char *got = NULL;

				memset(in, 'a', n);
				in[at] = odd[k].c;
				(void)snprintf(want, sizeof(want), "\"%.*s%s%.*s\"", (int)at, in,
					       odd[k].out, (int)(n - at - 1), in + at + 1);
				v = json_stringn(in, n);
				assert_int_equal(canon_text(v, 4096, &got, NULL, NULL), 0);
				assert_string_equal(got, want);
			}
}

static void refused(void **state)
{
	static const char *const big[] = { "[9007199254740992]", "[-9007199254740992]",
					   "{\"a\":{\"b\":9223372036854775807}}" };
	auto_json json_t *deep = json_array();
	auto_json json_t *ok = parse("[1,2,3]");
	char *got = NULL;
	uint8_t d[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(big); i++) {
		auto_json json_t *v = parse(big[i]);

		assert_int_equal(canon_text(v, 4096, &got, NULL, NULL), -ERANGE);
		assert_int_equal(canon_sha256(v, d, NULL), -ERANGE);
		assert_null(got);
	}
	assert_int_equal(canon_text(ok, 6, &got, NULL, NULL), -EMSGSIZE);
	for (int i = 0; i < CANON_DEPTH_MAX; i++) {
		json_t *outer = json_array();

		(void)json_array_append_new(outer, TAKE_PTR(deep));
		deep = outer;
	}
	assert_int_equal(canon_sha256(deep, d, NULL), -EMSGSIZE);
	assert_int_equal(canon_sha256(json_array_get(deep, 0), d, NULL), 0);
}

/* The hash is that of the text, also across the writer's block size and without one member. */
static void hashes(void **state)
{
	auto_json json_t *v = json_object();
	auto_free char *text = NULL, *less = NULL;
	uint8_t a[32], b[32];
	char key[16], big[3000];
	size_t n;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		(void)json_object_set_new(v, key, json_string(i == 50 ? big : "v"));
	}
	assert_int_equal(canon_text(v, 65536, &text, &n, NULL), 0);
	sha256(text, n, a);
	assert_int_equal(canon_sha256(v, b, NULL), 0);
	assert_memory_equal(a, b, 32);
	assert_int_equal(canon_sha256_without(v, "k7", a, NULL), 0);
	assert_memory_not_equal(a, b, 32);
	(void)json_object_del(v, "k7");
	assert_int_equal(canon_text(v, 65536, &less, &n, NULL), 0);
	sha256(less, n, b);
	assert_memory_equal(a, b, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(es6_numbers),
		cmocka_unit_test(es6_list_is_published),
		cmocka_unit_test(not_finite),
		cmocka_unit_test(small_cases),
		cmocka_unit_test(escapes_anywhere),
		cmocka_unit_test(refused),
		cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
