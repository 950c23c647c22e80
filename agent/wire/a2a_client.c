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

char *a2a_build_send(const struct a2a_send *m, int64_t rpc_id)
{
	struct json_out o = { 0 };
	char id[JSON_INT_MAX];
	size_t n = m->text ? m->texts : json_array_size(m->data);

	if (!n)
		return NULL;
	json_out_lit(&o, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_out_add(&o, id, (size_t)json_int_text(rpc_id, id));
	json_out_lit(&o, ",\"method\":\"SendMessage\",\"params\":{\"message\":{");
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
	if (m->extension) {
		put_id(&o, ",\"extensions\":[", m->extension);
		json_out_lit(&o, "]");
	}
	json_out_lit(&o, "}}}");
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

static int read_artifacts(struct a2a_result *r, const json_t *list, struct err *e)
{
	size_t i;
	json_t *a;

	if (list && !json_is_array(list))
		return err_set(e, -EPROTO, "artifacts: an array is needed");
	if (json_array_size(list) > A2A_ARTIFACTS_MAX)
		return err_set(e, -EPROTO, "artifacts: at most %d", A2A_ARTIFACTS_MAX);
	json_array_foreach (list, i, a) {
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
		if (n)
			return n;
	}
	return 0;
}

static int read_task(struct a2a_result *r, const json_t *t, struct err *e)
{
	const json_t *status = json_object_get(t, "status");
	const json_t *msg;

	r->is_task = true;
	if (closed(t, "task", task_fields, e) || closed(status, "status", status_fields, e) ||
	    id_field(t, "task", "id", true, &r->task_id, e) ||
	    id_field(t, "task", "contextId", false, &r->context_id, e) || read_metadata(r, t, e))
		return -EPROTO;
	r->state = a2a_state_parse(json_string_value(json_object_get(status, "state")));
	if (r->state == A2A_STATE_INVALID)
		return err_set(e, -EPROTO, "status.state: not a task state");
	msg = json_object_get(status, "message");
	if (msg && read_message(msg, r->owned, e))
		return -EPROTO;
	return read_artifacts(r, json_object_get(t, "artifacts"), e);
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
	if (read_message(msg, r->owned, e) || read_metadata(r, msg, e) ||
	    id_field(msg, "message", "taskId", false, &r->task_id, e))
		return -EPROTO;
	return id_field(msg, "message", "contextId", true, &r->context_id, e);
}

int a2a_parse(struct a2a_result *ret, const struct wire_response *resp, const char *method,
	      int64_t rpc_id, struct err *e)
{
	struct a2a_result r = { .task_id = "", .context_id = "", .error = "" };
	struct rpc_response rpc;
	int n;

	if (resp->status != 200 || !rpc_is_json(resp->content_type))
		return err_set(e, -EPROTO, "HTTP %d %s: 200 application/json is needed",
			       resp->status, resp->content_type ? resp->content_type : "");
	n = rpc_response(&rpc, resp->body, resp->len, rpc_id, e);
	if (n)
		return n;
	r.root = rpc.root;
	r.owned = json_array();
	r.data = r.owned;
	r.code = rpc.code;
	if (!r.owned)
		n = err_set(e, -ENOMEM, "a2a: no memory");
	else if (rpc.code)
		r.error = rpc.text;
	else if (!strcmp(method, "SendMessage"))
		n = read_send(&r, rpc.result, e);
	else
		n = read_task(&r, rpc.result, e);
	if (!n && rpc.data && !json_is_array(rpc.data))
		n = err_set(e, -EPROTO, "error.data: an array is needed");
	r.error_data = rpc.data;
	if (n)
		a2a_result_clear(&r);
	else
		*ret = r;
	return n;
}

void a2a_result_clear(struct a2a_result *r)
{
	json_decref(r->owned);
	json_decref(r->root);
	memset(r, 0, sizeof(*r));
}
