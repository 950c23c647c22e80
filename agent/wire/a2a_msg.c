/* SPDX-License-Identifier: Apache-2.0 */
/* A2A's JSON is ProtoJSON: fields are read by their camelCase or their snake_case name, null is
 * absent, enums are names or numbers, unknown fields are left alone. What is required must be
 * there, and required arrays hold something. */
#include "a2a_i.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static const char *const state_names[] = {
	[A2A_SUBMITTED] = "TASK_STATE_SUBMITTED",
	[A2A_WORKING] = "TASK_STATE_WORKING",
	[A2A_INPUT_REQUIRED] = "TASK_STATE_INPUT_REQUIRED",
	[A2A_AUTH_REQUIRED] = "TASK_STATE_AUTH_REQUIRED",
	[A2A_COMPLETED] = "TASK_STATE_COMPLETED",
	[A2A_FAILED] = "TASK_STATE_FAILED",
	[A2A_CANCELED] = "TASK_STATE_CANCELED",
	[A2A_REJECTED] = "TASK_STATE_REJECTED",
};
_Static_assert(ARRAY_LEN(state_names) == A2A_STATE_MAX_, "a name for each state");

const char *a2a_state_name(enum a2a_state s)
{
	return s >= 0 && s < A2A_STATE_MAX_ ? state_names[s] : "TASK_STATE_UNSPECIFIED";
}

enum a2a_state a2a_state_parse(const char *name)
{
	for (unsigned i = 0; name && i < A2A_STATE_MAX_; i++)
		if (!strcmp(state_names[i], name))
			return (enum a2a_state)i;
	return A2A_STATE_INVALID;
}

bool a2a_state_terminal(enum a2a_state s)
{
	return s == A2A_COMPLETED || s == A2A_FAILED || s == A2A_CANCELED || s == A2A_REJECTED;
}

/* How a member is spelt: 2 as name, 1 in snake_case, 0 otherwise. */
static int spelt(const char *key, const char *name)
{
	bool snake = false, camel = false;

	for (; *name; name++, key++) {
		bool upper = *name >= 'A' && *name <= 'Z';

		if (*key == *name) {
			camel |= upper;
		} else if (upper && key[0] == '_' && key[1] == (*name | 0x20)) {
			snake = true;
			key++;
		} else {
			return 0;
		}
	}
	return *key || (snake && camel) ? 0 : snake ? 1 : 2;
}

/* a2a_field() of several names in one pass; ret is all NULL before. */
static void fields(const json_t *o, const char *const *names, size_t n, json_t **ret)
{
	json_t *m = (json_t *)(uintptr_t)o; /* an iterator wants it so, and changes nothing */
	unsigned exact = 0;

	for (void *it = json_object_iter(m); it; it = json_object_iter_next(m, it)) {
		const char *key = json_object_iter_key(it);

		for (size_t k = 0; k < n; k++) {
			int how = *key == *names[k] ? spelt(key, names[k]) : 0;

			if (how == 2 || (how == 1 && !(exact & 1u << k)))
				ret[k] = json_object_iter_value(it);
			if (how == 2)
				exact |= 1u << k;
		}
	}
	for (size_t k = 0; k < n; k++)
		if (json_is_null(ret[k]))
			ret[k] = NULL;
}

json_t *a2a_field(const json_t *o, const char *camel)
{
	json_t *v = json_object_get(o, camel);
	bool other = false;
	char snake[64];
	size_t n = 0;

	for (const char *c = camel; !v && *c && n + 2 < sizeof(snake); c++) {
		if (isupper((unsigned char)*c)) {
			snake[n++] = '_';
			other = true;
		}
		snake[n++] = (char)tolower((unsigned char)*c);
	}
	snake[n] = 0;
	if (!v && other)
		v = json_object_get(o, snake);
	return json_is_null(v) ? NULL : v;
}

/* An identifier: 1..A2A_ID_MAX bytes without controls. Absent leaves *ret alone. */
static int id_read(const json_t *v, const char *name, const char **ret, struct err *e)
{
	const char *s = json_string_value(v);

	if (!v)
		return 0;
	if (!s)
		return err_set(e, -EINVAL, "%s: a string is needed", name);
	if (!*s || strlen(s) > A2A_ID_MAX)
		return err_set(e, -EINVAL, "%s: 1..%d bytes are needed", name, A2A_ID_MAX);
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(e, -EINVAL, "%s: a control byte", name);
	*ret = s;
	return 0;
}

int a2a_text(const json_t *o, const char *camel, const char **ret, struct err *e)
{
	return id_read(a2a_field(o, camel), camel, ret, e);
}

static int strings(const json_t *v, const char *name, struct err *e)
{
	size_t i;
	json_t *s;

	if (v && !json_is_array(v))
		return err_set(e, -EINVAL, "%s: an array is needed", name);
	json_array_foreach (v, i, s)
		if (!json_is_string(s))
			return err_set(e, -EINVAL, "%s[%zu]: a string is needed", name, i);
	return 0;
}

static int object(const json_t *v, const char *name, const json_t **ret, struct err *e)
{
	if (v && !json_is_object(v))
		return err_set(e, -EINVAL, "%s: an object is needed", name);
	if (v && ret)
		*ret = v;
	return 0;
}

static int part_read(const json_t *part, size_t i, json_t *data, struct err *e)
{
	enum { TEXT, RAW, URL, KINDS, META = KINDS, MEDIA, N };
	static const char *const names[N] = { "text", "raw", "url", "metadata", "mediaType" };
	/* The one member that may be null: data is any JSON value. */
	json_t *d = json_object_get(part, "data"), *v[N] = { NULL };
	unsigned n = d != NULL;

	if (!json_is_object(part))
		return err_set(e, -EINVAL, "parts[%zu]: an object is needed", i);
	fields(part, names, N, v);
	for (size_t k = 0; k < KINDS; k++) {
		if (v[k] && !json_is_string(v[k]))
			return err_set(e, -EINVAL, "parts[%zu].%s: a string is needed", i,
				       names[k]);
		n += v[k] != NULL;
	}
	if (n != 1)
		return err_set(e, -EINVAL, "parts[%zu]: exactly one of text, raw, url, data", i);
	if (object(v[META], names[META], NULL, e))
		return -EINVAL;
	if (v[MEDIA] && !json_is_string(v[MEDIA]))
		return err_set(e, -EINVAL, "parts[%zu].mediaType: a string is needed", i);
	return d && json_array_append(data, d) ? err_set(e, -ENOMEM, "parts: no memory") : 0;
}

static int parts_read(const json_t *parts, json_t *data, struct err *e)
{
	size_t i;
	json_t *part;

	if (!json_is_array(parts) || !json_array_size(parts))
		return err_set(e, -EINVAL, "parts: at least one is needed");
	if (json_array_size(parts) > A2A_PARTS_MAX)
		return err_set(e, -EINVAL, "parts: at most %d", A2A_PARTS_MAX);
	json_array_foreach (parts, i, part)
		if (part_read(part, i, data, e))
			return -EINVAL;
	return 0;
}

static int role_read(const json_t *role, struct err *e)
{
	const char *s = json_string_value(role);

	if ((s && !strcmp(s, "ROLE_USER")) ||
	    (json_is_integer(role) && json_integer_value(role) == 1))
		return 0;
	return err_set(e, -EINVAL, "role: ROLE_USER is needed");
}

static int message_read(struct a2a_params *p, const json_t *m, struct err *e)
{
	enum { ID, ROLE, PARTS, TASK, CONTEXT, META, EXTENSIONS, TASKS, N };
	static const char *const names[N] = {
		"messageId", "role",     "parts",      "taskId",
		"contextId", "metadata", "extensions", "referenceTaskIds",
	};
	json_t *v[N] = { NULL };

	p->m.task_id = p->m.context_id = "";
	if (!json_is_object(m))
		return err_set(e, -EINVAL, "message: an object is needed");
	fields(m, names, N, v);
	if (id_read(v[ID], names[ID], &p->m.message_id, e))
		return -EINVAL;
	if (!p->m.message_id)
		return err_set(e, -EINVAL, "messageId: missing");
	if (role_read(v[ROLE], e) || parts_read(v[PARTS], p->data, e) ||
	    id_read(v[TASK], names[TASK], &p->m.task_id, e) ||
	    id_read(v[CONTEXT], names[CONTEXT], &p->m.context_id, e) ||
	    object(v[META], names[META], &p->m.metadata, e) ||
	    strings(v[EXTENSIONS], names[EXTENSIONS], e) || strings(v[TASKS], names[TASKS], e))
		return -EINVAL;
	return 0;
}

static bool accepts_json(const json_t *modes)
{
	size_t i;
	json_t *v;

	json_array_foreach (modes, i, v) {
		const char *s = json_string_value(v);

		if (rpc_is_json(s) || !strcmp(s, "*/*") || !strcmp(s, "application/*"))
			return true;
	}
	return !json_array_size(modes);
}

static int configuration_read(struct a2a_params *p, const struct a2a_server *s, const json_t *c,
			      struct err *e)
{
	const json_t *now, *len, *modes;

	if (!c)
		return 0;
	if (object(c, "configuration", NULL, e))
		return RPC_PARAMS;
	modes = a2a_field(c, "acceptedOutputModes");
	if (strings(modes, "acceptedOutputModes", e))
		return RPC_PARAMS;
	now = a2a_field(c, "returnImmediately");
	len = a2a_field(c, "historyLength");
	if (now && !json_is_boolean(now)) {
		(void)err_set(e, -EINVAL, "returnImmediately: a boolean is needed");
		return RPC_PARAMS;
	}
	if (len && (!json_is_integer(len) || json_integer_value(len) < 0)) {
		(void)err_set(e, -EINVAL, "historyLength: an integer >= 0 is needed");
		return RPC_PARAMS;
	}
	p->push = a2a_field(c, "taskPushNotificationConfig");
	if (!s->cfg.any_output && !accepts_json(modes)) {
		(void)err_set(e, -EINVAL, "only application/json is produced");
		return A2A_E_CONTENT_TYPE;
	}
	p->return_now = json_is_true(now);
	return 0;
}

int a2a_params_read(struct a2a_params *ret, const struct a2a_server *s, const json_t *params,
		    struct err *e)
{
	enum { MESSAGE, META, CONFIG, N };
	static const char *const names[N] = { "message", "metadata", "configuration" };
	json_t *v[N] = { NULL };

	*ret = (struct a2a_params){ .data = json_array() };
	fields(params, names, N, v);
	ret->raw = v[MESSAGE];
	if (!ret->data) {
		(void)err_set(e, -ENOMEM, "no memory");
		return A2A_E_INTERNAL;
	}
	ret->m.data = ret->data;
	if (message_read(ret, ret->raw, e) || object(v[META], names[META], NULL, e))
		return RPC_PARAMS;
	return configuration_read(ret, s, v[CONFIG], e);
}

json_t *a2a_data_parts(const json_t *data, bool is_list)
{
	json_t *parts = json_array();
	size_t n = is_list ? json_array_size(data) : 1;

	for (size_t i = 0; parts && i < n; i++) {
		const json_t *d = is_list ? json_array_get(data, i) : data;
		json_t *part = json_pack("{s:O, s:s}", "data", d, "mediaType", "application/json");

		if (!part || json_array_append_new(parts, part)) {
			json_decref(parts);
			return NULL;
		}
	}
	return parts;
}
