/* SPDX-License-Identifier: Apache-2.0 */
/* schema_check.h - the part of JSON Schema 2020-12 that our own schemas use; a keyword beyond it is
 * a failure, so that nothing is taken for checked that was not. */
#ifndef TREATY_TEST_SCHEMA_CHECK_H
#define TREATY_TEST_SCHEMA_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static inline bool schema_type(const char *t, const json_t *v)
{
	return (!strcmp(t, "object") && json_is_object(v)) ||
	       (!strcmp(t, "array") && json_is_array(v)) ||
	       (!strcmp(t, "string") && json_is_string(v)) ||
	       (!strcmp(t, "integer") && json_is_integer(v)) ||
	       (!strcmp(t, "boolean") && json_is_boolean(v)) ||
	       (!strcmp(t, "null") && json_is_null(v));
}

static inline bool schema_types(const json_t *t, const json_t *v)
{
	for (size_t i = 0; i < json_array_size(t); i++)
		if (schema_type(json_string_value(json_array_get(t, i)), v))
			return true;
	return json_is_string(t) && schema_type(json_string_value(t), v);
}

static inline bool schema_known(const char *key)
{
	static const char known[] = " type properties required items anyOf additionalProperties "
				    "maxLength minLength minimum maximum maxItems pattern enum "
				    "description ";
	char word[64];

	(void)snprintf(word, sizeof(word), " %s ", key);
	return strstr(known, word) != NULL;
}

/* False with the place and rule in why. */
static inline bool schema_holds(const json_t *s, const json_t *v, char why[200])
{
	const json_t *props = json_object_get(s, "properties"), *x;
	const char *key;
	json_t *sub;
	size_t i;

	json_object_foreach ((json_t *)(uintptr_t)s, key, sub)
		if (!schema_known(key))
			return snprintf(why, 200, "keyword %s", key), false;
	x = json_object_get(s, "type");
	if (x && !schema_types(x, v))
		return snprintf(why, 200, "type"), false;
	x = json_object_get(s, "anyOf");
	for (i = 0; i < json_array_size(x); i++)
		if (schema_holds(json_array_get(x, i), v, why))
			break;
	if (x && i == json_array_size(x))
		return false;
	x = json_object_get(s, "required");
	for (i = 0; i < json_array_size(x); i++)
		if (!json_object_get(v, json_string_value(json_array_get(x, i))))
			return snprintf(why, 200, "%s: missing",
					json_string_value(json_array_get(x, i))),
			       false;
	x = json_object_get(s, "maxLength");
	if (x && (json_int_t)json_string_length(v) > json_integer_value(x))
		return snprintf(why, 200, "maxLength"), false;
	json_object_foreach ((json_t *)(uintptr_t)v, key, sub) {
		const json_t *of = json_object_get(props, key);
		char in[200] = "";

		if (!of && json_is_false(json_object_get(s, "additionalProperties")))
			return snprintf(why, 200, "%s: not described", key), false;
		if (of && !schema_holds(of, sub, in))
			return snprintf(why, 200, "%.60s.%.130s", key, in), false;
	}
	x = json_object_get(s, "items");
	for (i = 0; x && i < json_array_size(v); i++)
		if (!schema_holds(x, json_array_get(v, i), why))
			return false;
	return true;
}

#endif
