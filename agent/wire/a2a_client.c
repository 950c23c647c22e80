/* SPDX-License-Identifier: Apache-2.0 */
/* What we say as a client, and a strict reading of what comes back: A2A 1.0 answers are closed, so
 * an unknown field is a peer that speaks something else. */
#include "a2a_i.h"

#include "agent/codec/json.h"
#include "agent/codec/json_out.h"

#include <errno.h>

static char *request(const char *method, json_t *params, int64_t rpc_id)
{
	json_t *root = params ? json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
					  (json_int_t)rpc_id, "method", method, "params", params)
			      : NULL;
	char *text = json_text_new(root);

	json_decref(root);
	return text;
}

static bool given(const char *s)
{
	return s && *s;
}

/* The configuration of a hook; NULL on ENOMEM. */
static json_t *hook_json(const struct a2a_hook *h)
{
	json_t *o = json_object();
	int bad = o ? 0 : -1;

	if (o && given(h->id))
		bad |= json_object_set_new(o, "id", json_string(h->id));
	if (o && given(h->url))
		bad |= json_object_set_new(o, "url", json_string(h->url));
	if (o && given(h->token))
		bad |= json_object_set_new(o, "token", json_string(h->token));
	if (o && given(h->scheme))
		bad |= json_object_set_new(o, "authentication",
					   json_pack("{s:s, s:s}", "scheme", h->scheme,
						     "credentials",
						     h->credentials ? h->credentials : ""));
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}

char *a2a_build_hook(const char *method, const char *task_id, const struct a2a_hook *h,
		     int64_t rpc_id)
{
	const struct a2a_hook by_id = { .id = h ? h->id : NULL }, none = { 0 };
	bool create = !strcmp(method, "CreateTaskPushNotificationConfig");
	bool list = !strcmp(method, "ListTaskPushNotificationConfigs");
	json_t *params = hook_json(create ? h : list ? &none : &by_id);

	if (params && json_object_set_new(params, "taskId", json_string(task_id))) {
		json_decref(params);
		params = NULL;
	}
	return request(method, params, rpc_id);
}

static void put_part(struct json_out *o, bool first, const json_t *data, const char *text)
{
	json_out_text(o, first ? "{\"data\":" : ",{\"data\":");
	if (text)
		json_out_text(o, text);
	else
		json_out_value(o, data);
	json_out_lit(o, ",\"mediaType\":\"application/json\"}");
}

static void put_id(struct json_out *o, const char *name, const char *id)
{
	if (!id)
		return;
	json_out_text(o, name);
	json_out_str(o, id, strlen(id));
}

static void put_extensions(struct json_out *o, const char *list)
{
	const char *before = ",\"extensions\":[";

	if (!list)
		return;
	while (*list) {
		size_t n = strcspn(list, ", ");

		json_out_text(o, before);
		json_out_str(o, list, n);
		list += n + strspn(list + n, ", ");
		before = ",";
	}
	json_out_lit(o, "]");
}

char *a2a_build_send(const struct a2a_send *m, int64_t rpc_id)
{
	const char *method = m->stream ? "SendStreamingMessage" : "SendMessage";
	struct json_out o = { 0 };
	char id[JSON_INT_MAX];
	size_t n = m->text ? m->texts : json_array_size(m->data);
	json_t *hook;

	if (!n)
		return NULL;
	hook = m->hook ? hook_json(m->hook) : NULL;
	json_out_lit(&o, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_out_add(&o, id, (size_t)json_int_text(rpc_id, id));
	put_id(&o, ",\"method\":", method);
	json_out_lit(&o, ",\"params\":{\"message\":{");
	put_id(&o, "\"messageId\":", m->message_id);
	json_out_lit(&o, ",\"role\":\"ROLE_USER\",\"parts\":[");
	for (size_t i = 0; i < n; i++)
		put_part(&o, !i, json_array_get(m->data, i), m->text ? m->text[i] : NULL);
	json_out_lit(&o, "]");
	put_id(&o, ",\"taskId\":", m->task_id);
	put_id(&o, ",\"contextId\":", m->context_id);
	if (m->metadata) {
		json_out_lit(&o, ",\"metadata\":");
		json_out_value(&o, m->metadata);
	}
	put_extensions(&o, m->extension);
	json_out_lit(&o, "}");
	if (m->hook) {
		json_out_lit(&o, ",\"configuration\":{\"taskPushNotificationConfig\":");
		json_out_value(&o, hook); /* NULL: it fails */
		json_out_lit(&o, "}");
	}
	json_decref(hook);
	json_out_lit(&o, "}}");
	return json_out_take(&o, NULL);
}

char *a2a_build_task(const char *method, const char *task_id, int64_t rpc_id)
{
	return request(method, json_pack("{s:s}", "id", task_id), rpc_id);
}

size_t a2a_client_headers(struct wire_header h[3], const char *extension)
{
	h[0] = (struct wire_header){ "A2A-Version", A2A_VERSION };
	h[1] = (struct wire_header){ "Content-Type", "application/json" };
	h[2] = (struct wire_header){ "A2A-Extensions", extension };
	return extension ? 3 : 2;
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* Allowed members of each object, blank-separated; the required ones carry a star. */
static const char task_fields[] = "id* contextId status* artifacts history metadata";
static const char status_fields[] = "state* message timestamp";
static const char artifact_fields[] = "artifactId* name description parts* metadata extensions";
static const char message_fields[] =
	"messageId* role* parts* contextId taskId metadata extensions referenceTaskIds";
static const char update_fields[] = "taskId* contextId status* metadata";
static const char growth_fields[] = "taskId* contextId artifact* append lastChunk metadata";
static const char hook_fields[] = "taskId* id* url* token authentication";
static const char part_fields[] = "text raw url data metadata filename mediaType";

static bool word(const char *list, const char *key, bool *required)
{
	size_t n = strlen(key);

	for (const char *w = list; *w; w += strspn(w, " ")) {
		size_t len = strcspn(w, " *");

		if (len == n && !memcmp(w, key, n)) {
			*required = w[len] == '*';
			return true;
		}
		w += strcspn(w, " ");
	}
	return false;
}

static int closed(const json_t *o, const char *what, const char *list, struct err *e)
{
	const char *key;
	json_t *v;
	unsigned need = 0, have = 0;
	bool required = false;

	if (!json_is_object(o))
		return err_set(e, -EPROTO, "%s: an object is needed", what);
	for (const char *w = list; (w = strchr(w, '*')); w++)
		need++;
	json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
		if (!word(list, key, &required))
			return err_set(e, -EPROTO, "%s.%.40s: unknown field", what, key);
		have += required && !json_is_null(v);
	}
	return have == need ? 0 : err_set(e, -EPROTO, "%s: a required field is missing", what);
}

static int id_field(const json_t *o, const char *what, const char *key, bool required,
		    const char **ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	const char *s = json_string_value(v);

	*ret = "";
	if (!v && !required)
		return 0;
	if (!s || !*s || strlen(s) > A2A_ID_MAX)
		return err_set(e, -EPROTO, "%s.%s: a string of 1..%d bytes is needed", what, key,
			       A2A_ID_MAX);
	*ret = s;
	return 0;
}

/* Appends the data of each data part to out. */
static int read_parts(const json_t *o, const char *what, json_t *out, struct err *e)
{
	const json_t *parts = json_object_get(o, "parts");
	size_t i;
	json_t *p;

	if (!json_is_array(parts) || !json_array_size(parts))
		return err_set(e, -EPROTO, "%s.parts: at least one is needed", what);
	json_array_foreach (parts, i, p) {
		json_t *d = json_object_get(p, "data");
		unsigned n = (d != NULL) + json_is_string(json_object_get(p, "text")) +
			     json_is_string(json_object_get(p, "raw")) +
			     json_is_string(json_object_get(p, "url"));

		if (closed(p, "part", part_fields, e))
			return -EPROTO;
		if (n != 1)
			return err_set(e, -EPROTO, "%s.parts[%zu]: one content is needed", what, i);
		if (d && json_array_append(out, d))
			return err_set(e, -ENOMEM, "%s: no memory", what);
	}
	return 0;
}

static int read_metadata(struct a2a_result *r, const json_t *o, struct err *e)
{
	r->metadata = json_object_get(o, "metadata");
	if (r->metadata && !json_is_object(r->metadata))
		return err_set(e, -EPROTO, "metadata: an object is needed");
	return 0;
}

static int read_message(const json_t *m, json_t *out, struct err *e)
{
	const char *role, *id;

	if (closed(m, "message", message_fields, e) ||
	    id_field(m, "message", "messageId", true, &id, e))
		return -EPROTO;
	role = json_string_value(json_object_get(m, "role"));
	if (!role || strcmp(role, "ROLE_AGENT"))
		return err_set(e, -EPROTO, "message.role: ROLE_AGENT is needed");
	return read_parts(m, "message", out, e);
}

static int read_artifact(struct a2a_result *r, const json_t *a, struct err *e)
{
	struct a2a_artifact *to = &r->artifacts[r->nartifacts++];
	json_t *data = json_array();
	int n = data ? closed(a, "artifact", artifact_fields, e) : -ENOMEM;

	if (!n)
		n = id_field(a, "artifact", "artifactId", true, &to->id, e);
	if (!n)
		n = id_field(a, "artifact", "name", false, &to->name, e);
	if (!n)
		n = read_parts(a, "artifact", data, e);
	to->data = json_array_get(data, 0); /* lives in root as well */
	json_decref(data);
	return n;
}

static int read_artifacts(struct a2a_result *r, const json_t *list, struct err *e)
{
	size_t i;
	json_t *a;

	if (list && !json_is_array(list))
		return err_set(e, -EPROTO, "artifacts: an array is needed");
	if (json_array_size(list) > A2A_ARTIFACTS_MAX)
		return err_set(e, -EPROTO, "artifacts: at most %d", A2A_ARTIFACTS_MAX);
	json_array_foreach (list, i, a) {
		int n = read_artifact(r, a, e);

		if (n)
			return n;
	}
	return 0;
}

/* The member "status" of o. */
static int read_status(struct a2a_result *r, const json_t *o, struct err *e)
{
	const json_t *status = json_object_get(o, "status");
	const json_t *msg;

	if (closed(status, "status", status_fields, e))
		return -EPROTO;
	r->state = a2a_state_parse(json_string_value(json_object_get(status, "state")));
	if (r->state == A2A_STATE_INVALID)
		return err_set(e, -EPROTO, "status.state: not a task state");
	msg = json_object_get(status, "message");
	return msg ? read_message(msg, r->owned, e) : 0;
}

static int read_task(struct a2a_result *r, const json_t *t, struct err *e)
{
	int n = closed(t, "task", task_fields, e);

	r->is_task = true;
	if (n || id_field(t, "task", "id", true, &r->task_id, e) ||
	    id_field(t, "task", "contextId", false, &r->context_id, e) || read_metadata(r, t, e))
		return -EPROTO;
	n = read_status(r, t, e);
	return n ? n : read_artifacts(r, json_object_get(t, "artifacts"), e);
}

/* A message that stands for itself. */
static int read_alone(struct a2a_result *r, const json_t *msg, struct err *e)
{
	if (read_message(msg, r->owned, e) || read_metadata(r, msg, e) ||
	    id_field(msg, "message", "taskId", false, &r->task_id, e))
		return -EPROTO;
	return id_field(msg, "message", "contextId", true, &r->context_id, e);
}

static int read_send(struct a2a_result *r, const json_t *result, struct err *e)
{
	const json_t *task = json_object_get(result, "task");
	const json_t *msg = json_object_get(result, "message");

	if (closed(result, "result", "task message", e))
		return -EPROTO;
	if (!task == !msg)
		return err_set(e, -EPROTO, "result: one of task and message is needed");
	if (task)
		return read_task(r, task, e);
	return read_alone(r, msg, e);
}

static int read_hook(struct a2a_result *r, const json_t *o, struct err *e)
{
	struct a2a_hook *to = &r->hooks[r->nhooks];
	const json_t *token = json_object_get(o, "token");

	if (closed(o, "hook", hook_fields, e) ||
	    id_field(o, "hook", "taskId", true, &r->task_id, e) ||
	    id_field(o, "hook", "id", true, &to->id, e))
		return -EPROTO;
	to->url = json_string_value(json_object_get(o, "url"));
	to->token = token ? json_string_value(token) : "";
	if (!to->url || !to->token)
		return err_set(e, -EPROTO, "hook: url and token are strings");
	r->nhooks++;
	return 0;
}

static int read_hooks(struct a2a_result *r, const json_t *result, struct err *e)
{
	const json_t *list = json_object_get(result, "configs");
	size_t i;
	json_t *o;

	if (closed(result, "result", "configs nextPageToken", e))
		return -EPROTO;
	if (list && !json_is_array(list))
		return err_set(e, -EPROTO, "configs: an array is needed");
	if (json_array_size(list) > A2A_HOOKS_MAX)
		return err_set(e, -EPROTO, "configs: at most %d", A2A_HOOKS_MAX);
	json_array_foreach (list, i, o)
		if (read_hook(r, o, e))
			return -EPROTO;
	return 0;
}

static int read_result(struct a2a_result *r, const char *method, const json_t *result,
		       struct err *e)
{
	if (!strcmp(method, "SendMessage"))
		return read_send(r, result, e);
	if (!strcmp(method, "ListTaskPushNotificationConfigs"))
		return read_hooks(r, result, e);
	if (!strcmp(method, "DeleteTaskPushNotificationConfig"))
		return 0;
	return strstr(method, "PushNotification") ? read_hook(r, result, e)
						  : read_task(r, result, e);
}

/* The rest of a result, whose root is the caller's until this returns 0. */
static int result_begin(struct a2a_result *r, const struct rpc_response *rpc, struct err *e)
{
	*r = (struct a2a_result){ .task_id = "", .context_id = "", .error = "" };
	r->root = rpc->root;
	r->owned = json_array();
	r->data = r->owned;
	r->code = rpc->code;
	r->error = rpc->code ? rpc->text : "";
	r->error_data = rpc->data;
	if (!r->owned)
		return err_set(e, -ENOMEM, "a2a: no memory");
	if (rpc->data && !json_is_array(rpc->data))
		return err_set(e, -EPROTO, "error.data: an array is needed");
	return 0;
}

int a2a_parse(struct a2a_result *ret, const struct wire_response *resp, const char *method,
	      int64_t rpc_id, struct err *e)
{
	struct a2a_result r;
	struct rpc_response rpc;
	int n;

	if (resp->status != 200 || !rpc_is_json(resp->content_type))
		return err_set(e, -EPROTO, "HTTP %d %s: 200 application/json is needed",
			       resp->status, resp->content_type ? resp->content_type : "");
	n = rpc_response(&rpc, resp->body, resp->len, rpc_id, e);
	if (n)
		return n;
	n = result_begin(&r, &rpc, e);
	if (!n && !rpc.code)
		n = read_result(&r, method, rpc.result, e);
	if (n)
		a2a_result_clear(&r);
	else
		*ret = r;
	return n;
}

/* --- what a stream or a hook is told ------------------------------------------------------------
 */

static int read_growth(struct a2a_told *t, const json_t *o, struct err *e)
{
	const json_t *append = json_object_get(o, "append"),
		     *last = json_object_get(o, "lastChunk");

	if (closed(o, "artifactUpdate", growth_fields, e) ||
	    id_field(o, "artifactUpdate", "taskId", true, &t->r.task_id, e) ||
	    id_field(o, "artifactUpdate", "contextId", false, &t->r.context_id, e))
		return -EPROTO;
	if ((append && !json_is_boolean(append)) || (last && !json_is_boolean(last)))
		return err_set(e, -EPROTO, "artifactUpdate: append and lastChunk are booleans");
	t->append = json_is_true(append);
	t->last = json_is_true(last);
	return read_artifact(&t->r, json_object_get(o, "artifact"), e);
}

static int read_update(struct a2a_told *t, const json_t *o, struct err *e)
{
	if (closed(o, "statusUpdate", update_fields, e) ||
	    id_field(o, "statusUpdate", "taskId", true, &t->r.task_id, e) ||
	    id_field(o, "statusUpdate", "contextId", false, &t->r.context_id, e) ||
	    read_metadata(&t->r, o, e))
		return -EPROTO;
	return read_status(&t->r, o, e);
}

static int read_told(struct a2a_told *t, const json_t *o, struct err *e)
{
	static const char *const kinds[] = { [A2A_TOLD_TASK] = "task",
					     [A2A_TOLD_MESSAGE] = "message",
					     [A2A_TOLD_STATUS] = "statusUpdate",
					     [A2A_TOLD_ARTIFACT] = "artifactUpdate" };
	const json_t *v = NULL;

	if (closed(o, "event", "task message statusUpdate artifactUpdate", e))
		return -EPROTO;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		const json_t *have = json_object_get(o, kinds[i]);

		if (have && v)
			return err_set(e, -EPROTO, "event: more than one content");
		if (!have)
			continue;
		v = have;
		t->kind = i;
	}
	if (!v)
		return err_set(e, -EPROTO, "event: one content is needed");
	switch (t->kind) {
	case A2A_TOLD_TASK: return read_task(&t->r, v, e);
	case A2A_TOLD_MESSAGE: return read_alone(&t->r, v, e);
	case A2A_TOLD_STATUS: return read_update(t, v, e);
	default: return read_growth(t, v, e);
	}
}

int a2a_told_json(struct a2a_told *ret, const struct rpc_response *rpc, struct err *e)
{
	int n;

	memset(ret, 0, sizeof(*ret));
	n = result_begin(&ret->r, rpc, e);
	if (!n && !rpc->code)
		n = read_told(ret, rpc->result, e);
	if (n)
		a2a_result_clear(&ret->r);
	return n;
}

int a2a_told_read(struct a2a_told *ret, const char *text, size_t len, struct err *e)
{
	struct rpc_response rpc = { .root = rpc_json(text, len, e) };

	rpc.result = rpc.root;
	return rpc.root ? a2a_told_json(ret, &rpc, e) : -EPROTO;
}

void a2a_result_clear(struct a2a_result *r)
{
	json_decref(r->owned);
	json_decref(r->root);
	memset(r, 0, sizeof(*r));
}
