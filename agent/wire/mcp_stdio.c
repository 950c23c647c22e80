/* SPDX-License-Identifier: Apache-2.0 */
#include "mcp_stdio.h"

#include <errno.h>
#include <stdio.h>

#include "agent/crypto/crypto.h"
#include "mcp.h"
#include "rpc.h"

#define META "io.modelcontextprotocol/"

/* A header holds visible ASCII with blanks inside; all else travels as "=?base64?...?=". */
static int name_set(struct mcp_line *l, const char *v)
{
	size_t n = strlen(v);
	bool plain = *v && v[0] != ' ' && v[n - 1] != ' ' && strncmp(v, "=?base64?", 9) != 0;
	char code[MCP_STDIO_VALUE];

	for (const char *p = v; plain && *p; p++)
		plain = *p >= 0x20 && *p <= 0x7e;
	if (plain)
		return str_set(l->name, v) ? 0 : -EINVAL;
	if (n * 4 / 3 + 20 > sizeof(l->name) || base64_encode(v, n, code, sizeof(code)) < 0)
		return -EINVAL;
	(void)snprintf(l->name, sizeof(l->name), "=?base64?%.480s?=", code);
	return 0;
}

static int name_read(struct mcp_line *l, const json_t *params, struct err *e)
{
	static const struct {
		const char *method, *member;
	} mirrored[] = { { "tools/call", "name" },     { "prompts/get", "name" },
			 { "resources/read", "uri" },  { "tasks/get", "taskId" },
			 { "tasks/update", "taskId" }, { "tasks/cancel", "taskId" } };
	const char *v = NULL;

	for (size_t i = 0; l->method && i < ARRAY_LEN(mirrored); i++)
		if (!strcmp(l->method, mirrored[i].method))
			v = json_string_value(json_object_get(params, mirrored[i].member));
	return v && name_set(l, v) ? err_set(e, -EINVAL, "name: too long") : 0;
}

int mcp_line_read(struct mcp_line *ret, const char *text, size_t len, struct err *e)
{
	struct mcp_line l = { .root = rpc_json(text, len, e) };
	const json_t *params, *id;
	int r = l.root ? 0 : -EINVAL;

	if (!r && !json_is_object(l.root))
		r = err_set(e, -EINVAL, "an object is needed");
	id = json_object_get(l.root, "id");
	if (!r && id && !json_is_string(id) && !json_is_integer(id))
		r = err_set(e, -EINVAL, "id: a string or an integer is needed");
	l.id = id;
	l.method = json_string_value(json_object_get(l.root, "method"));
	if (!r && !l.method && !json_object_get(l.root, "result") &&
	    !json_object_get(l.root, "error"))
		r = err_set(e, -EINVAL, "method: a string is needed");
	params = json_object_get(l.root, "params");
	l.version = json_string_value(
		json_object_get(json_object_get(params, "_meta"), META "protocolVersion"));
	if (!r)
		r = name_read(&l, params, e);
	if (r) {
		json_decref(l.root);
		return r;
	}
	l.initializes = l.method && !l.version && !strcmp(l.method, "initialize");
	l.listens = l.method && l.version && !strcmp(l.method, "subscriptions/listen");
	if (l.method && !strcmp(l.method, "notifications/cancelled"))
		l.target = json_object_get(params, "requestId");
	*ret = l;
	return 0;
}

void mcp_line_clear(struct mcp_line *l)
{
	json_decref(l->root);
	memset(l, 0, sizeof(*l));
}

size_t mcp_line_headers(struct wire_header h[MCP_STDIO_HEADERS], const struct mcp_line *l,
			const struct mcp_stdio_session *s)
{
	size_t n = 0;

	h[n++] = (struct wire_header){ "Content-Type", "application/json" };
	h[n++] = (struct wire_header){ "Accept", "application/json, text/event-stream" };
	if (l->version) {
		h[n++] = (struct wire_header){ "MCP-Protocol-Version", l->version };
		if (l->method)
			h[n++] = (struct wire_header){ "Mcp-Method", l->method };
		if (l->name[0])
			h[n++] = (struct wire_header){ "Mcp-Name", l->name };
		return n;
	}
	if (s->version[0] && !l->initializes)
		h[n++] = (struct wire_header){ "MCP-Protocol-Version", s->version };
	if (s->id[0] && !l->initializes)
		h[n++] = (struct wire_header){ "Mcp-Session-Id", s->id };
	return n;
}

char *mcp_line_error(const json_t *id, int code, const char *text)
{
	auto_free char *body = rpc_error_new(id, code, text, NULL);
	char *line = NULL;

	return body && asprintf(&line, "%s\n", body) >= 0 ? line : NULL;
}

/* --- the older revision's session ---------------------------------------------------------------
 */

void mcp_stdio_begin(struct mcp_stdio_session *s, const char *session_id, const char *body,
		     size_t len)
{
	json_t *root = rpc_json(body, len, NULL);
	const char *version = json_string_value(
		json_object_get(json_object_get(root, "result"), "protocolVersion"));

	if (version && str_set(s->version, version) && (!session_id || !str_set(s->id, session_id)))
		s->id[0] = '\0';
	json_decref(root);
}
