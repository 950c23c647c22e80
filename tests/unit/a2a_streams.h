/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_streams.h - requests whose answers are streams, and what the streams were told. */
#ifndef TREATY_TEST_A2A_STREAMS_H
#define TREATY_TEST_A2A_STREAMS_H

#include "a2a_lab.h"
#include "stream_lab.h"

static void ask(const struct peer *p, unsigned to, const char *verb, const char *path,
		const char *query, const char *body)
{
	struct wire_request r = { .method = verb,
				  .path = path,
				  .query = query,
				  .headers = good,
				  .nheaders = ARRAY_LEN(good),
				  .body = body,
				  .len = strlen(body),
				  .peer = p };

	got.replies = 0;
	a2a_server_handle(srv, &r, (struct wire_sink){ on_reply, &streams[to], &ops });
}

static void rpc(const struct peer *p, unsigned to, const char *method, const char *params)
{
	char body[4096];

	(void)snprintf(body, sizeof(body),
		       "{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"%s\",\"params\":%s}", method,
		       params);
	ask(p, to, "POST", "/a2a", "", body);
}

static void say(const struct peer *p, unsigned to, const char *id, const char *act,
		const char *more)
{
	char params[PARAMS_MAX];

	rpc(p, to, "SendStreamingMessage", message_params(params, id, act, more));
}

/* The n-th event of a stream: its result, or its error. Borrowed until the next call. */
static json_t *event(unsigned st, unsigned n)
{
	static json_t *keep;
	const char *p = streams[st].text;
	json_t *v;

	for (; n && p; n--) {
		p = strstr(p, "\n\n");
		p = p ? p + 2 : NULL;
	}
	json_decref(keep);
	keep = p && !strncmp(p, "data: ", 6) ? json_loads(p + 6, JSON_DISABLE_EOF_CHECK, NULL)
					     : NULL;
	v = json_object_get(keep, "result");
	return v ? v : keep;
}

static const char *text_of(const json_t *o, const char *a, const char *b, const char *c)
{
	o = json_object_get(o, a);
	o = b ? json_object_get(o, b) : o;
	return json_string_value(c ? json_object_get(o, c) : o);
}

#endif
