/* SPDX-License-Identifier: Apache-2.0 */
#include "sse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/queue.h>

#include "http_server.h"

#define EVENT_MAX 65536

struct sse_reader {
	LIST_ENTRY(sse_reader) entry;
	struct sse_hub *hub;
	struct http_stream *stream;
	uint64_t seen;
	char types[256], agreement[128], class_name[64]; /* "" = any */
	struct peer peer;
	bool dead; /* being closed; freed by whoever closes it */
};

struct sse_hub {
	LIST_HEAD(, sse_reader) readers;
	size_t n, max;
	sse_replay_fn replay;
	sse_view_fn view;
	void *arg;
};

struct out {
	char *p;
	size_t cap, n;
};

static void put(struct out *o, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++, o->n++)
		if (o->n + 1 < o->cap)
			o->p[o->n] = s[i];
}

int sse_format(char *buf, size_t cap, uint64_t seq, const char *type, const char *data)
{
	struct out o = { buf, cap, 0 };
	char id[32];
	int n;

	for (const char *c = type; c && *c; c++)
		if ((unsigned char)*c < 0x20)
			return -EINVAL;
	if (seq) {
		n = snprintf(id, sizeof(id), "id: %" PRIu64 "\n", seq);
		put(&o, id, (size_t)n);
	}
	if (type) {
		put(&o, "event: ", 7);
		put(&o, type, strlen(type));
		put(&o, "\n", 1);
	}
	for (const char *line = data;; line++) {
		size_t len = strcspn(line, "\r\n");

		put(&o, "data: ", 6);
		put(&o, line, len);
		put(&o, "\n", 1);
		line += len;
		if (*line == '\r' && line[1] == '\n')
			line++;
		if (!*line)
			break;
	}
	put(&o, "\n", 1);
	if (cap)
		buf[o.n < cap ? o.n : cap - 1] = 0;
	return o.n > EVENT_MAX ? -EMSGSIZE : (int)o.n;
}

static void reader_free(struct sse_reader *r)
{
	LIST_REMOVE(r, entry);
	r->hub->n--;
	(void)http_stream_end(r->stream);
	free(r);
}

/* The reader went away: http_server tells us, never inside one of our own writes. */
static void on_close(void *arg)
{
	reader_free(arg);
}

int sse_hub_new(struct sse_hub **ret, size_t max_readers, sse_replay_fn replay, void *arg)
{
	struct sse_hub *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	LIST_INIT(&h->readers);
	h->max = max_readers;
	h->replay = replay;
	h->arg = arg;
	*ret = h;
	return 0;
}

void sse_hub_view(struct sse_hub *h, sse_view_fn view)
{
	h->view = view;
}

struct sse_hub *sse_hub_free(struct sse_hub *h)
{
	if (!h)
		return NULL;
	while (!LIST_EMPTY(&h->readers))
		reader_free(LIST_FIRST(&h->readers));
	free(h);
	return NULL;
}

/* One of a list that commas divide. */
static bool listed(const char *list, const char *v)
{
	size_t n = strlen(v);

	while (*list) {
		size_t len = strcspn(list, ",");

		if (len == n && !memcmp(list, v, n))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

static bool same(const char *want, const char *v)
{
	return v && !strcmp(want, v);
}

static bool wants(const struct sse_reader *r, const struct sse_event *ev)
{
	return (!r->types[0] || (ev->type && listed(r->types, ev->type))) &&
	       (!r->agreement[0] || same(r->agreement, ev->about[0]) ||
		same(r->agreement, ev->about[1])) &&
	       (!r->class_name[0] || same(r->class_name, ev->class_name));
}

/* The event's bytes, made once for all who read them; *ret is freed by the caller. */
static int event_text(const struct sse_event *ev, char **ret)
{
	int n = sse_format(NULL, 0, ev->seq, ev->type, ev->data);

	if (n < 0)
		return n;
	*ret = malloc((size_t)n + 1);
	if (!*ret)
		return -ENOMEM;
	return sse_format(*ret, (size_t)n + 1, ev->seq, ev->type, ev->data);
}

/* As this reader sees it. */
static int write_seen(struct sse_reader *r, const struct sse_event *ev, const char *text, int len)
{
	auto_free char *data = NULL, *own = NULL;
	struct sse_event seen = *ev;
	int sight = r->hub->view ? r->hub->view(r->hub->arg, &r->peer, ev, &data) : 1;
	int n;

	if (sight <= 0)
		return sight;
	if (sight == 1)
		return http_stream_write(r->stream, text, (size_t)len);
	seen.data = data;
	n = event_text(&seen, &own);
	return n < 0 ? n : http_stream_write(r->stream, own, (size_t)n);
}

static int give(struct sse_reader *r, const struct sse_event *ev, const char *text, int len)
{
	int w = 0;

	if (r->dead)
		return -EPIPE;
	if (ev->seq && ev->seq <= r->seen)
		return 0;
	if (wants(r, ev))
		w = write_seen(r, ev, text, len);
	if (w)
		r->dead = true;
	else if (ev->seq)
		r->seen = ev->seq;
	return w;
}

int sse_send(struct sse_reader *r, const struct sse_event *ev)
{
	auto_free char *text = NULL;
	int n = event_text(ev, &text);

	return n < 0 ? n : give(r, ev, text, n);
}

static void answer(struct http_reply *token, int status, const char *why)
{
	struct wire_response r = {
		.status = status, .content_type = "text/plain", .body = why, .len = strlen(why)
	};

	http_reply_send(token, &r);
}

static int number(const char *s, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *end || v > INT64_MAX)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* One "name=value" of the query, into the reader. */
static int parameter(struct sse_reader *rd, char *pair, bool *from)
{
	char *value = strchr(pair, '=');

	if (!value || strchr(value, '%'))
		return -EINVAL;
	*value++ = 0;
	if (!strcmp(pair, "after")) {
		*from = true;
		return number(value, &rd->seen);
	}
	if (!strcmp(pair, "type"))
		return str_set(rd->types, value) ? 0 : -EINVAL;
	if (!strcmp(pair, "agreement"))
		return str_set(rd->agreement, value) ? 0 : -EINVAL;
	if (!strcmp(pair, "class"))
		return str_set(rd->class_name, value) ? 0 : -EINVAL;
	return -EINVAL;
}

/* Fills where to begin and what to leave out; *from: old events are wanted too. */
static int reader_read(struct sse_reader *rd, const struct wire_request *r, bool *from)
{
	const char *last = wire_header(r, "Last-Event-ID");
	auto_free char *query = strdup(r->query);
	char *save = NULL;

	*from = false;
	if (!query)
		return -ENOMEM;
	for (char *p = strtok_r(query, "&", &save); p; p = strtok_r(NULL, "&", &save))
		if (parameter(rd, p, from))
			return -EINVAL;
	if (!last)
		return 0;
	*from = true; /* a reader that came back knows better than its first URL */
	return number(last, &rd->seen);
}

void sse_subscribe(struct sse_hub *h, const struct wire_request *r, struct http_reply *token)
{
	static const struct wire_header headers[] = { { "Cache-Control", "no-cache" },
						      { "X-Accel-Buffering", "no" } };
	const struct wire_response head = { .status = 200,
					    .content_type = "text/event-stream",
					    .headers = headers,
					    .nheaders = ARRAY_LEN(headers) };
	struct sse_reader *rd = h->n < h->max ? calloc(1, sizeof(*rd)) : NULL;
	bool from;

	if (!rd) {
		answer(token, 503, "too many readers\n");
		return;
	}
	if (reader_read(rd, r, &from)) {
		free(rd);
		answer(token, 400,
		       "after or Last-Event-ID: a sequence number; type, agreement, class: plain "
		       "text; no other parameter\n");
		return;
	}
	rd->hub = h;
	rd->peer = *r->peer;
	rd->stream = http_reply_stream(token, &head, on_close, rd);
	if (!rd->stream) {
		free(rd);
		return;
	}
	LIST_INSERT_HEAD(&h->readers, rd, entry);
	h->n++;
	if (from && h->replay && (h->replay(h->arg, rd->seen, rd) < 0 || rd->dead))
		reader_free(rd);
}

void sse_publish(struct sse_hub *h, const struct sse_event *ev)
{
	auto_free char *text = NULL;
	int n = event_text(ev, &text);
	struct sse_reader *r, *next;

	if (n < 0)
		return;
	for (r = LIST_FIRST(&h->readers); r; r = next) {
		next = LIST_NEXT(r, entry);
		if (give(r, ev, text, n))
			reader_free(r);
	}
}

void sse_ping(struct sse_hub *h)
{
	struct sse_reader *r, *next;

	for (r = LIST_FIRST(&h->readers); r; r = next) {
		next = LIST_NEXT(r, entry);
		if (http_stream_write(r->stream, ": ping\n\n", 8))
			reader_free(r);
	}
}

size_t sse_readers(const struct sse_hub *h)
{
	return h->n;
}
