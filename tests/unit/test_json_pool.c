/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of trees: pieces do not overlap, one that was given back is used again, what the pool
 * has no room for still comes, and who took memory before gets rid of it. AddressSanitizer keeps
 * malloc(), where the same holds but the reuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/codec/json.h"
#include "agent/codec/json_pool.h"

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
enum { POOLED = 0 };
#else
enum { POOLED = 1 };
#endif

static json_malloc_t take;
static json_free_t give;
static json_t *early; /* of before the pool */

static void fill(uint8_t *p, size_t n, size_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed * 31 + i);
}

static void check(const uint8_t *p, size_t n, size_t seed)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], (uint8_t)(seed * 31 + i));
}

static void pieces_stand_apart(void **state)
{
	enum { N = 3 * (2 * JSON_POOL_LARGEST + 1) };
	static uint8_t *p[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		p[i] = take(i / 3);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		fill(p[i], i / 3, i);
	}
	for (size_t i = 0; i < N; i++)
		check(p[i], i / 3, i);
	for (size_t i = 0; i < N; i += 2)
		give(p[i]);
	for (size_t i = 0; i < N; i += 2)
		fill(p[i] = take(i / 3), i / 3, i + 7);
	for (size_t i = 0; i < N; i++) {
		check(p[i], i / 3, i % 2 ? i : i + 7);
		give(p[i]);
	}
	give(NULL);
}

static void the_last_given_is_the_next_taken(void **state)
{
	static const size_t sizes[] = { 1, 16, 17, 100, JSON_POOL_LARGEST };

	(void)state;
	for (size_t i = 0; POOLED && i < ARRAY_LEN(sizes); i++) {
		void *a = take(sizes[i]), *b = take(sizes[i]);

		give(a);
		give(b);
		assert_ptr_equal(take(sizes[i]), b);
		assert_ptr_equal(take(sizes[i]), a);
		give(a);
		give(b);
	}
}

/* Twice: what the first round took of malloc() went back there. */
static void there_is_more_than_the_pool_holds(void **state)
{
	enum { N = JSON_POOL_BYTES / JSON_POOL_LARGEST + 1000 };
	static uint8_t *p[N];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < N; i++) {
			p[i] = take(JSON_POOL_LARGEST);
			assert_non_null(p[i]);
			memcpy(p[i], &i, sizeof(i));
			memcpy(p[i] + JSON_POOL_LARGEST - sizeof(i), &i, sizeof(i));
		}
		for (size_t i = 0; i < N; i++) {
			assert_memory_equal(p[i], &i, sizeof(i));
			assert_memory_equal(p[i] + JSON_POOL_LARGEST - sizeof(i), &i, sizeof(i));
			give(p[i]);
		}
	}
}

static void a_text_is_for_free(void **state)
{
	static const char text[] = "{\"b\":[1,2.5,\"\\u00e9\",{}],\"a\":null}";
	auto_json json_t *v = NULL;
	auto_free char *as_it_was = NULL, *sorted = NULL;

	(void)state;
	assert_int_equal(json_read(&v, text, sizeof(text) - 1, NULL, NULL), 0);
	as_it_was = json_dump_new(v, JSON_COMPACT | JSON_ENSURE_ASCII);
	sorted = json_dump_new(v, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(as_it_was, "{\"b\":[1,2.5,\"\\u00E9\",{}],\"a\":null}");
	assert_string_equal(sorted, "{\"a\":null,\"b\":[1,2.5,\"\xc3\xa9\",{}]}");
	assert_null(json_dump_new(NULL, JSON_COMPACT));
	assert_null(json_dump_new(json_null(), JSON_COMPACT)); /* a scalar is no text */
}

static void what_was_taken_before_goes_back(void **state)
{
	(void)state;
	assert_int_equal(json_object_set_new(early, "more", json_integer(1)), 0);
	assert_int_equal(json_object_del(early, "a"), 0);
	json_decref(early);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_stand_apart),
		cmocka_unit_test(the_last_given_is_the_next_taken),
		cmocka_unit_test(there_is_more_than_the_pool_holds),
		cmocka_unit_test(a_text_is_for_free),
		cmocka_unit_test(what_was_taken_before_goes_back),
	};

	early = json_pack("{s:s, s:[i, i]}", "a", "text", "b", 1, 2);
	json_pool_use();
	json_pool_use();
	json_get_alloc_funcs(&take, &give);
	return early ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
