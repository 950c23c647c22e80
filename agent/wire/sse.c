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
	bool dead; /* being closed; freed by whoever closes it */
};

struct sse_hub {
	LIST_HEAD(, sse_reader) readers;
	size_t n, max;
	sse_replay_fn replay;
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

struct sse_hub *sse_hub_free(struct sse_hub *h)
{
	if (!h)
		return NULL;
	while (!LIST_EMPTY(&h->readers))
		reader_free(LIST_FIRST(&h->readers));
	free(h);
	return NULL;
}

int sse_send(struct sse_reader *r, uint64_t seq, const char *type, const char *data)
{
	char small[1024];
	auto_free char *big = NULL;
	int n, w;

	if (r->dead)
		return -EPIPE;
	if (seq && seq <= r->seen)
		return 0;
	n = sse_format(small, sizeof(small), seq, type, data);
	if (n < 0)
		return n;
	if ((size_t)n >= sizeof(small)) {
		big = malloc((size_t)n + 1);
		if (!big)
			return -ENOMEM;
		(void)sse_format(big, (size_t)n + 1, seq, type, data);
	}
	w = http_stream_write(r->stream, big ? big : small, (size_t)n);
	if (w)
		r->dead = true;
	else if (seq)
		r->seen = seq;
	return w;
}

static void answer(struct http_reply *token, int status, const char *why)
{
	struct wire_response r = {
		.status = status, .content_type = "text/plain", .body = why, .len = strlen(why)
	};

	http_reply_send(token, &r);
}

/* 1: named, 0: not named, -EINVAL. */
static int wanted(const struct wire_request *r, uint64_t *ret)
{
	const char *s = wire_header(r, "Last-Event-ID");
	unsigned long long v;
	char *end;

	if (!s && !strncmp(r->query, "after=", 6))
		s = r->query + 6;
	if (!s)
		return 0;
	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || *end || v > INT64_MAX)
		return -EINVAL;
	*ret = v;
	return 1;
}

void sse_subscribe(struct sse_hub *h, const struct wire_request *r, struct http_reply *token)
{
	static const struct wire_header headers[] = { { "Cache-Control", "no-cache" },
						      { "X-Accel-Buffering", "no" } };
	const struct wire_response head = { .status = 200,
					    .content_type = "text/event-stream",
					    .headers = headers,
					    .nheaders = ARRAY_LEN(headers) };
	struct sse_reader *rd;
	uint64_t after = 0;
	int w = wanted(r, &after);

	if (w < 0) {
		answer(token, 400, "Last-Event-ID: a sequence number is needed\n");
		return;
	}
	rd = h->n < h->max ? calloc(1, sizeof(*rd)) : NULL;
	if (!rd) {
		answer(token, 503, "too many readers\n");
		return;
	}
	rd->hub = h;
	rd->stream = http_reply_stream(token, &head, on_close, rd);
	if (!rd->stream) {
		free(rd);
		return;
	}
	LIST_INSERT_HEAD(&h->readers, rd, entry);
	h->n++;
	if (w && h->replay) {
		rd->seen = after;
		if (h->replay(h->arg, after, rd) < 0 || rd->dead)
			reader_free(rd);
	}
}

void sse_publish(struct sse_hub *h, uint64_t seq, const char *type, const char *data)
{
	struct sse_reader *r, *next;

	for (r = LIST_FIRST(&h->readers); r; r = next) {
		next = LIST_NEXT(r, entry);
		if (sse_send(r, seq, type, data))
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
