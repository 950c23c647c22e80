/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "agent/codec/batch.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"
#include "treaty/telemetry.h"

enum { ROWS = 500 };

static struct label_sample sent[ROWS], got[ROWS];
static size_t n_got;

static int take(void *arg, const void *obj)
{
	(void)arg;
	assert_true(n_got < ROWS);
	memcpy(&got[n_got++], obj, sizeof(got[0]));
	return 0;
}

static int read_back(const json_t *js, struct err *e)
{
	n_got = 0;
	memset(e, 0, sizeof(*e));
	return batch_read("label", &label_sample_fields, js, take, NULL, e);
}

/* All widths of numbers, zeros most often; the struct's padding stays zero. */
static uint64_t any(void)
{
	uint64_t v = 0;
	uint8_t width = 0;

	random_fill(&width, 1);
	random_fill(&v, sizeof(v));
	return width & 1 ? 0 : v >> (width >> 2);
}

static void fill(struct label_sample *s)
{
	s->label = (uint32_t)any();
	s->at.us = (int64_t)any();
	for (int d = 0; d < DIR_MAX_; d++)
		s->dir[d] = (struct label_count){ any(), any(), any(), any(),
						  any(), any(), any(), any() };
	s->rtt_us = (uint32_t)any();
}

static json_t *made(size_t rows)
{
	struct batch *b = NULL;
	json_t *js;

	assert_int_equal(batch_new(&b, "label", &label_sample_fields, NULL), 0);
	for (size_t i = 0; i < rows; i++) {
		fill(&sent[i]);
		assert_int_equal(batch_add(b, &sent[i]), 0);
	}
	assert_int_equal(batch_rows(b), rows);
	js = batch_json(b);
	assert_non_null(js);
	b = batch_free(b);
	return js;
}

static void every_row_comes_back(void **state)
{
	struct err e;

	(void)state;
	for (size_t rows = 0; rows <= ROWS; rows += 100) {
		auto_json json_t *js = made(rows);

		if (read_back(js, &e))
			fail_msg("%s", e.text);
		assert_int_equal(n_got, rows);
		assert_memory_equal(sent, got, rows * sizeof(sent[0]));
	}
}

/* An older or newer sender: other columns, another order. */
static void columns_go_by_name(void **state)
{
	/* Row 1: bits 0, 1, 2; "new" 300, at -2 (zigzag 3), label 7. Row 2: label 9 alone. */
	auto_json json_t *js = json_pack("{s:s, s:s, s:[s,s,s], s:i, s:s}", "format",
					 "treaty-batch-1", "noun", "label", "columns", "new", "at",
					 "label", "rows", 2, "data", "B6wCAwcECQ==");
	struct err e;

	(void)state;
	if (read_back(js, &e))
		fail_msg("%s", e.text);
	assert_int_equal(n_got, 2);
	assert_int_equal(got[0].label, 7);
	assert_int_equal(got[0].at.us, -2);
	assert_int_equal(got[1].label, 9);
	assert_int_equal(got[1].at.us, 0);
}

static void bad_ones_are_named(void **state)
{
	static const struct {
		const char *member, *value, *text;
	} rows[] = {
		{ "format", "\"treaty-batch-2\"", "format: \"treaty-batch-1\" required" },
		{ "noun", "\"path\"", "noun: \"label\" required" },
		{ "columns", "[]", "columns: array of 1..64 required" },
		{ "columns", "[7]", "columns[0]: string" },
		{ "columns", "[\"label\",\"label\",\"at\"]", "columns[1]: label came twice" },
		{ "rows", "3", "data: row 2: broken" },
		{ "rows", "1", "data: something follows" },
		{ "rows", "-1", "rows: integer 0..65536 required" },
		{ "data", "\"B6wCAwcECQ\"", "data: base64 required" },
		{ "data", "\"*\"", "data: base64 required" },
		{ "data", "\"EAE=\"", "data: row 0: broken" }, /* a fifth column */
		{ "data", "\"BAA=\"", "data: row 0: broken" }, /* a zero that has a bit */
		{ "data", "\"BIcA\"", "data: row 0: broken" }, /* 7 in two bytes */
		{ "data", "\"BIeAgIAQ\"", "data: row 0: label: too large" }, /* 2^32 + 7 */
		{ "data", "\"Av///////////wI=\"", "data: row 0: at: too large" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *js =
			json_pack("{s:s, s:s, s:[s,s,s], s:i, s:s}", "format", "treaty-batch-1",
				  "noun", "label", "columns", "new", "at", "label", "rows", 2,
				  "data", "B6wCAwcECQ==");

		assert_int_equal(
			json_object_set_new(js, rows[i].member,
					    json_loads(rows[i].value, JSON_DECODE_ANY, NULL)),
			0);
		assert_true(read_back(js, &e) < 0);
		if (!strstr(e.text, rows[i].text))
			fail_msg("row %zu: \"%s\", not \"%s\"", i, e.text, rows[i].text);
	}
}

/* Whatever the bytes are, it answers, and what it takes it would write the same way. */
static void noise(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint8_t raw[24], len = 0;
		char text[40];
		auto_json json_t *js = NULL;
		struct err e;

		random_fill(raw, sizeof(raw));
		random_fill(&len, 1);
		assert_true(base64_encode(raw, len % sizeof(raw), text, sizeof(text)) >= 0);
		js = json_pack("{s:s, s:s, s:[s,s,s], s:i, s:s}", "format", "treaty-batch-1",
			       "noun", "label", "columns", "label", "at", "rtt_us", "rows", len % 4,
			       "data", text);
		(void)read_back(js, &e);
	}
}

static void not_every_noun_is_a_row(void **state)
{
	struct batch *b = NULL;

	(void)state;
	assert_int_equal(batch_new(&b, "intent", &intent_fields, NULL), -EOPNOTSUPP);
	assert_int_equal(batch_new(&b, "path", &path_sample_fields, NULL), 0);
	b = batch_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_comes_back),    cmocka_unit_test(columns_go_by_name),
		cmocka_unit_test(bad_ones_are_named),      cmocka_unit_test(noise),
		cmocka_unit_test(not_every_noun_is_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
