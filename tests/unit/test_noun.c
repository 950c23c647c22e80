/* SPDX-License-Identifier: Apache-2.0 */
/* Every noun: encode, decode, compare by bytes; every member missing, unknown, of a wrong type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "agent/codec/canon.h"
#include "agent/codec/noun.h"
#include "agent/codec/noun_text.h"
#include "agent/codec/event_json.h"
#include "treaty/enforce.h"

#include <stdio.h>

static const struct field_table *const all[] = {
	&grades_fields,       &intent_fields,    &class_profile_fields, &quote_item_fields,
	&quote_fields,        &agreement_fields, &order_fields,         &flow_rule_fields,
	&step_fields,         &plan_step_fields, &plan_fields,          &step_receipt_fields,
	&observation_fields,  &path_view_fields, &path_sample_fields,   &label_sample_fields,
	&class_sample_fields, &hop_fields,       &path_def_fields,
};

/* Fills the described members only, so that a byte compare sees every one of them. */
static void fill(const struct field_table *t, uint8_t *p, unsigned *seed)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];
		uint32_t n = 2;

		switch (f->kind) {
		case FIELD_STR:
			memset(p + f->off, 'a' + (int)(i % 26), f->size - 1 - *seed % 3);
			break;
		case FIELD_BOOL: p[f->off] = 1; break;
		case FIELD_OBJ: fill(f->sub, p + f->off, seed); break;
		case FIELD_ARR:
			memcpy(p + f->count_off, &n, 1);
			for (uint32_t k = 0; k < n; k++)
				fill(f->sub, p + f->off + k * f->sub->size, seed);
			break;
		default:
			for (uint32_t k = 0; k < f->size; k++)
				p[f->off + k] = (uint8_t)(*seed = *seed * 1103515245u + 12345u) | 1;
		}
	}
}

static void every_noun_comes_back(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		auto_free uint8_t *a = calloc(1, all[i]->size), *b = calloc(1, all[i]->size);
		struct err e = { 0 };
		json_t *js;

		fill(all[i], a, &seed);
		js = noun_encode(all[i], a);
		assert_non_null(js);
		assert_int_equal(noun_decode(all[i], js, b, &e), 0);
		assert_memory_equal(a, b, all[i]->size);
		json_decref(js);
	}
}

static bool nothing(const json_t *v)
{
	const char *key;
	json_t *c;

	if (json_is_object(v)) {
		json_object_foreach ((json_t *)(uintptr_t)v, key, c)
			if (!nothing(c))
				return false;
		return true;
	}
	if (json_is_array(v))
		return !json_array_size(v);
	if (json_is_string(v)) {
		const char *s = json_string_value(v);

		return strspn(s, "0") == strlen(s);
	}
	return json_is_false(v) || (json_is_integer(v) && !json_integer_value(v));
}

/* Takes out of the tree what the log's text leaves out. */
static void leave_out(const struct field_table *t, json_t *js)
{
	for (size_t i = 0; js && i < t->n; i++) {
		const struct field *f = &t->field[i];
		json_t *v = json_object_get(js, f->name);

		if (f->kind == FIELD_OBJ)
			leave_out(f->sub, v);
		for (size_t k = 0; f->kind == FIELD_ARR && k < json_array_size(v); k++)
			leave_out(f->sub, json_array_get(v, k));
		if (t->sparse && nothing(v))
			json_object_del(js, f->name);
	}
}

/* js, as the log may have it, is read as what was encoded whole. */
static void says(const struct field_table *t, const json_t *js, const json_t *whole)
{
	auto_free void *back = malloc(t->size);
	json_t *again;

	memset(back, 0xff, t->size);
	assert_int_equal(noun_decode_log(t, js, back, NULL), 0);
	again = noun_encode(t, back);
	assert_true(json_equal(again, whole));
	json_decref(again);
}

/* The text of a noun, written at once, is that of its tree, but for zeros that are left out; so is
 * what is read of it. */
static void same_text(const struct field_table *t, const void *obj)
{
	struct noun_text o = { .max = 1 << 20 };
	json_t *js = noun_encode(t, obj);
	json_t *whole = noun_encode(t, obj);
	char *text = NULL;
	size_t len;

	noun_text(&o, t, obj);
	assert_int_equal(!js, o.err != 0);
	if (js) {
		says(t, js, whole); /* as an older version wrote it */
		leave_out(t, js);
		says(t, js, whole);
		assert_int_equal(canon_text(js, 1 << 20, &text, &len, NULL), 0);
		assert_int_equal(len, o.len);
		assert_string_equal(text, o.p);
	}
	json_decref(js);
	json_decref(whole);
	free(text);
	free(o.p);
}

/* A string member of odd bytes, and its end where it may lie. */
static void odd(const struct field_table *t, uint8_t *p, unsigned *seed)
{
	static const char *const words[] = { "\"\\/\b\f\n\r\t\x01\x1f\x7f",
					     "\xc3\xa4\xe2\x82\xac",
					     "\xc3",
					     "\xed\xa0\x80",
					     "",
					     "a\"" };

	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];

		if (f->kind == FIELD_STR)
			(void)snprintf((char *)p + f->off, f->size, "%s",
				       words[(*seed = *seed * 1103515245u + 12345u) >> 16 & 1
						     ? 0
						     : *seed >> 20 & 3]);
		else if (f->kind == FIELD_OBJ)
			odd(f->sub, p + f->off, seed);
	}
}

static void text_is_the_trees(void **state)
{
	unsigned seed = 3;

	(void)state;
	assert_true(step_fields.sparse && flow_rule_fields.sparse && !plan_fields.sparse);
	for (unsigned k = EV_NONE_ + 1; k < EV_MAX_ + ARRAY_LEN(all); k++) {
		const struct field_table *t =
			k < EV_MAX_ ? event_table((enum event_kind)k) : all[k - EV_MAX_];
		auto_free uint8_t *a = calloc(1, t->size);

		same_text(t, a);
		fill(t, a, &seed);
		same_text(t, a);
		for (int i = 0; i < 20; i++) {
			odd(t, a, &seed);
			same_text(t, a);
		}
	}
}

static void refuses_what_is_not_described(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		auto_free uint8_t *a = calloc(1, all[i]->size), *b = calloc(1, all[i]->size);

		fill(all[i], a, &seed);
		for (size_t k = 0; k < all[i]->n; k++) {
			const char *name = all[i]->field[k].name;
			json_t *js = noun_encode(all[i], a);
			struct err e = { 0 };

			json_object_del(js, name);
			assert_int_equal(noun_decode(all[i], js, b, &e), -EINVAL);
			assert_non_null(strstr(e.text, name));
			assert_int_equal(noun_decode_log(all[i], js, b, NULL),
					 all[i]->sparse ? 0 : -EINVAL);
			memset(b, 0, all[i]->size);
			json_object_set_new(js, name, json_real(1.5));
			assert_int_equal(noun_decode_log(all[i], js, b, NULL), -EINVAL);
			e = (struct err){ 0 };
			assert_int_equal(noun_decode(all[i], js, b, &e), -EINVAL);
			json_object_set_new(js, "zz", json_true());
			assert_true(noun_decode(all[i], js, b, NULL) < 0);
			json_object_del(js, name);
			assert_int_equal(noun_decode_log(all[i], js, b, NULL), -EINVAL);
			json_decref(js);
		}
		for (size_t k = 0; k < all[i]->size; k++)
			assert_int_equal(b[k], 0); /* untouched by every failure */
	}
}

static void numbers_stay_exact(void **state)
{
	struct grades g = { .bandwidth = { UINT64_MAX }, .latency = { 1 } }, back;
	json_t *js = noun_encode(&grades_fields, &g);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(js, "bandwidth")),
			    "18446744073709551615");
	assert_int_equal(noun_decode(&grades_fields, js, &back, NULL), 0);
	assert_memory_equal(&g, &back, sizeof(g));
	json_object_set_new(js, "latency", json_integer(1ll << 32));
	assert_true(noun_decode(&grades_fields, js, &back, NULL) < 0);
	json_object_set_new(js, "latency", json_integer(-1));
	assert_true(noun_decode(&grades_fields, js, &back, NULL) < 0);
	json_decref(js);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_noun_comes_back),
		cmocka_unit_test(text_is_the_trees),
		cmocka_unit_test(refuses_what_is_not_described),
		cmocka_unit_test(numbers_stay_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
