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

json_t *a2a_field(const json_t *o, const char *camel)
{
	json_t *v = json_object_get(o, camel);
	char snake[64];
	size_t n = 0;

	if (!v) {
		for (const char *c = camel; *c && n + 2 < sizeof(snake); c++) {
			if (isupper((unsigned char)*c))
				snake[n++] = '_';
			snake[n++] = (char)tolower((unsigned char)*c);
		}
		snake[n] = 0;
		v = json_object_get(o, snake);
	}
	return json_is_null(v) ? NULL : v;
}

/* An identifier: 1..A2A_ID_MAX bytes without controls. Absent leaves *ret alone. */
int a2a_text(const json_t *o, const char *camel, const char **ret, struct err *e)
{
	const json_t *v = a2a_field(o, camel);
	const char *s = json_string_value(v);

	if (!v)
		return 0;
	if (!s)
		return err_set(e, -EINVAL, "%s: a string is needed", camel);
	if (!*s || strlen(s) > A2A_ID_MAX)
		return err_set(e, -EINVAL, "%s: 1..%d bytes are needed", camel, A2A_ID_MAX);
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(e, -EINVAL, "%s: a control byte", camel);
	*ret = s;
	return 0;
}

static int strings(const json_t *o, const char *camel, struct err *e)
{
	const json_t *v = a2a_field(o, camel);
	size_t i;
	json_t *s;

	if (v && !json_is_array(v))
		return err_set(e, -EINVAL, "%s: an array is needed", camel);
	json_array_foreach (v, i, s)
		if (!json_is_string(s))
			return err_set(e, -EINVAL, "%s[%zu]: a string is needed", camel, i);
	return 0;
}

static int object(const json_t *o, const char *camel, const json_t **ret, struct err *e)
{
	const json_t *v = a2a_field(o, camel);

	if (v && !json_is_object(v))
		return err_set(e, -EINVAL, "%s: an object is needed", camel);
	if (v && ret)
		*ret = v;
	return 0;
}

static int part_read(const json_t *part, size_t i, json_t *data, struct err *e)
{
	static const char *const kinds[] = { "text", "raw", "url" };
	/* The one member that may be null: data is any JSON value. */
	json_t *d = json_object_get(part, "data");
	unsigned n = d != NULL;

	if (!json_is_object(part))
		return err_set(e, -EINVAL, "parts[%zu]: an object is needed", i);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const json_t *v = a2a_field(part, kinds[k]);

		if (v && !json_is_string(v))
			return err_set(e, -EINVAL, "parts[%zu].%s: a string is needed", i,
				       kinds[k]);
		n += v != NULL;
	}
	if (n != 1)
		return err_set(e, -EINVAL, "parts[%zu]: exactly one of text, raw, url, data", i);
	if (object(part, "metadata", NULL, e))
		return -EINVAL;
	if (a2a_field(part, "mediaType") && !json_is_string(a2a_field(part, "mediaType")))
		return err_set(e, -EINVAL, "parts[%zu].mediaType: a string is needed", i);
	return d && json_array_append(data, d) ? err_set(e, -ENOMEM, "parts: no memory") : 0;
}

static int parts_read(const json_t *m, json_t *data, struct err *e)
{
	const json_t *parts = a2a_field(m, "parts");
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

static int role_read(const json_t *m, struct err *e)
{
	const json_t *role = a2a_field(m, "role");
	const char *s = json_string_value(role);

	if ((s && !strcmp(s, "ROLE_USER")) ||
	    (json_is_integer(role) && json_integer_value(role) == 1))
		return 0;
	return err_set(e, -EINVAL, "role: ROLE_USER is needed");
}

static int message_read(struct a2a_params *p, const json_t *m, struct err *e)
{
	p->m.task_id = p->m.context_id = "";
	if (!json_is_object(m))
		return err_set(e, -EINVAL, "message: an object is needed");
	if (a2a_text(m, "messageId", &p->m.message_id, e))
		return -EINVAL;
	if (!p->m.message_id)
		return err_set(e, -EINVAL, "messageId: missing");
	if (role_read(m, e) || parts_read(m, p->data, e) ||
	    a2a_text(m, "taskId", &p->m.task_id, e) ||
	    a2a_text(m, "contextId", &p->m.context_id, e) ||
	    object(m, "metadata", &p->m.metadata, e) || strings(m, "extensions", e) ||
	    strings(m, "referenceTaskIds", e))
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

static int configuration_read(struct a2a_params *p, const struct a2a_server *s,
			      const json_t *params, struct err *e)
{
	const json_t *c = NULL, *now, *len;

	if (object(params, "configuration", &c, e) || strings(c, "acceptedOutputModes", e))
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
	if (!s->cfg.any_output && !accepts_json(a2a_field(c, "acceptedOutputModes"))) {
		(void)err_set(e, -EINVAL, "only application/json is produced");
		return A2A_E_CONTENT_TYPE;
	}
	p->return_now = json_is_true(now);
	return 0;
}

int a2a_params_read(struct a2a_params *ret, const struct a2a_server *s, const json_t *params,
		    struct err *e)
{
	*ret = (struct a2a_params){ .data = json_array(), .raw = a2a_field(params, "message") };
	if (!ret->data) {
		(void)err_set(e, -ENOMEM, "no memory");
		return A2A_E_INTERNAL;
	}
	ret->m.data = ret->data;
	if (message_read(ret, ret->raw, e) || object(params, "metadata", NULL, e))
		return RPC_PARAMS;
	return configuration_read(ret, s, params, e);
}

json_t *a2a_data_parts(const json_t *data, bool is_list)
{
	json_t *parts = json_array();
	size_t n = is_list ? json_array_size(data) : 1;

	for (size_t i = 0; parts && i < n; i++) {
		const json_t *d = is_list ? json_array_get(data, i) : data;
		json_t *copy = json_deep_copy(d);
		json_t *part = copy ? json_pack("{s:o, s:s}", "data", copy, "mediaType",
						"application/json")
				    : NULL;

		if (!part || json_array_append_new(parts, part)) {
			json_decref(parts);
			return NULL;
		}
	}
	return parts;
}
