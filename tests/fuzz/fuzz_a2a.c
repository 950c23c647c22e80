/* SPDX-License-Identifier: Apache-2.0 */
/* Any body to the A2A server (exactly one reply or one stream), any path of its HTTP+JSON binding,
 * any answer to the client's reader, any stream to its watch. */
#include <errno.h>

#include "agent/wire/a2a.h"
#include "turns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replies;

static void on_reply(void *to, const struct wire_response *r)
{
	(void)to;
	replies++;
	if (r->status >= 500)
		abort();
}

static void *on_open(void *to, const struct wire_response *head, void (*gone)(void *arg), void *arg)
{
	on_reply(to, head);
	(void)gone;
	(void)arg;
	return &replies;
}

static int on_write(void *stream, const void *p, size_t n)
{
	(void)stream;
	return n && ((const char *)p)[n - 1] != '\n' ? -EPIPE : 0;
}

static void on_end(void *stream)
{
	(void)stream;
}

static void on_push(void *arg, const struct a2a_push *p)
{
	(void)arg;
	if (!p->url[0] || !p->body[0])
		abort();
}

static wall_t now(void *arg)
{
	(void)arg;
	return (wall_t){ 0 };
}

static int on_message(void *arg, const struct peer *p, const struct a2a_message *m,
		      struct a2a_turn *t)
{
	(void)arg;
	(void)p;
	if (json_array_size(m->data) > 1)
		a2a_turn_task(t, A2A_COMPLETED, json_array_get(m->data, 0));
	else
		a2a_turn_message(t, m->data);
	return 0;
}

static void on_told(void *arg, const struct a2a_told *t)
{
	bool *over = arg;

	if (*over || (t->kind == A2A_TOLD_ARTIFACT && !t->r.code && t->r.nartifacts != 1))
		abort();
	*over = t->r.code || t->kind == A2A_TOLD_MESSAGE ||
		(t->kind != A2A_TOLD_ARTIFACT && a2a_state_terminal(t->r.state));
}

/* A stream in pieces, and the same as a notification. */
static void read_stream(const char *p, size_t size)
{
	static const struct wire_response head = { .status = 200,
						   .content_type = "text/event-stream" };
	struct a2a_watch *w;
	struct a2a_told t;
	bool over = false;
	int r = 0;

	if (a2a_watch_new(&w, 1, on_told, &over))
		return;
	for (size_t at = 0, n; !r && at < size; at += n) {
		n = 1 + (uint8_t)p[at] % 64;
		n = n < size - at ? n : size - at;
		r = a2a_watch_feed(w, &head, p + at, n, NULL);
	}
	if (a2a_watch_end(w, NULL) && over && !r)
		abort();
	w = a2a_watch_free(w);
	if (!a2a_told_read(&t, p, size, NULL))
		a2a_result_clear(&t.r);
}

static const char *const skills[] = { "s", "d", NULL };
static const struct a2a_config config = { .path = "/a",
					  .url = "u",
					  .name = "n",
					  .description = "d",
					  .version = "1",
					  .skills = skills,
					  .now = now,
					  .pace = { turn_wait, turn_leave, NULL },
					  .streaming = true,
					  .max_tasks = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct a2a_app app = { .on_message = on_message, .push = on_push };
	static const struct wire_header h[] = { { "A2A-Version", "1.0" },
						{ "Content-Type", "application/json" } };
	static const struct peer peer = { .did = "did:web:fuzz.example" };
	static const struct wire_stream_ops ops = { on_open, on_write, on_end, NULL };
	static struct a2a_server *s;
	char path[256] = "/a/";
	struct wire_request r = { .method = "POST",
				  .path = "/a",
				  .query = "",
				  .headers = h,
				  .nheaders = 2,
				  .body = (const char *)data,
				  .len = size,
				  .peer = &peer };
	struct wire_response a = { .status = 200,
				   .content_type = "application/json",
				   .body = (const char *)data,
				   .len = size };
	static const char *const verbs[] = { "GET", "POST", "DELETE" };
	struct a2a_result res;

	if (!s && a2a_server_new(&s, &config, &app, NULL))
		abort();
	replies = 0;
	a2a_server_handle(s, &r, (struct wire_sink){ on_reply, NULL, &ops });
	if (replies != 1)
		abort();
	/* the first line as a path and a query, the rest as the body */
	for (size_t i = 0; i < size && i < 200 && data[i] != '\n'; i++)
		path[3 + i] = (char)(data[i] ? data[i] : '%');
	r.path = path;
	r.query = strchr(path, '?') ? strchr(path, '?') + 1 : "";
	path[strcspn(path, "?")] = 0;
	r.body += size < 200 ? size : 200;
	r.len -= size < 200 ? size : 200;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		r.method = verbs[i];
		replies = 0;
		a2a_server_handle(s, &r, (struct wire_sink){ on_reply, NULL, &ops });
		if (replies != 1)
			abort();
	}
	turns_give();
	read_stream((const char *)data, size);
	if (!a2a_parse(&res, &a, "SendMessage", 1, NULL))
		a2a_result_clear(&res);
	return 0;
}
