/* SPDX-License-Identifier: Apache-2.0 */
#include "sse_i.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "http_server.h"

#define EVENT_MAX (128 << 10) /* the log's largest, 64 KiB, and what stands around it */

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

static void reader_drop(struct sse_reader *r)
{
	r->hub->n--;
	(void)http_stream_end(r->stream);
	sse_lens_put(r->hub, r->lens);
	free(r);
}

static struct sse_readers *list_of(const struct sse_reader *r)
{
	if (r->stuck)
		return &r->hub->stuck;
	return r->from_log || r->next < r->hub->end ? &r->hub->behind : &r->hub->current;
}

static void reader_free(struct sse_reader *r)
{
	TAILQ_REMOVE(list_of(r), r, entry);
	reader_drop(r);
}

/* The reader went away: http_server tells us, never inside one of our own writes. */
static void on_close(void *arg)
{
	reader_free(arg);
}

static bool feed_some(void *arg);

int sse_hub_new(struct sse_hub **ret, struct loop *l, size_t max_readers, sse_replay_fn replay,
		void *arg)
{
	struct sse_hub *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	TAILQ_INIT(&h->current);
	TAILQ_INIT(&h->behind);
	TAILQ_INIT(&h->stuck);
	LIST_INIT(&h->lenses);
	pace_init(&h->pace, l, feed_some, h);
	h->max = h->max_peer = max_readers;
	h->replay = replay;
	h->arg = arg;
	*ret = h;
	return 0;
}

void sse_hub_limit(struct sse_hub *h, size_t max_peer_readers)
{
	h->max_peer = max_peer_readers ? max_peer_readers : h->max;
}

void sse_hub_view(struct sse_hub *h, sse_view_fn view)
{
	h->view = view;
}

void sse_hub_end(struct sse_hub *h)
{
	struct sse_reader *r;

	while ((r = TAILQ_FIRST(&h->current)) || (r = TAILQ_FIRST(&h->behind)) ||
	       (r = TAILQ_FIRST(&h->stuck)))
		reader_free(r);
}

struct sse_hub *sse_hub_free(struct sse_hub *h)
{
	if (!h)
		return NULL;
	sse_hub_end(h);
	while (h->first < h->end)
		sse_forget_first(h);
	pace_stop(&h->pace);
	free(h->slice);
	free(h->ring);
	free(h);
	return NULL;
}

/* --- feeding --------------------------------------------------------------------------------- */

/* Room for n more bytes in the slice, or NULL. */
static char *slice_room(struct sse_hub *h, size_t n)
{
	size_t cap = h->cap ? h->cap : SLICE;
	char *p;

	while (cap < h->used + n)
		cap *= 2;
	p = cap == h->cap ? h->slice : realloc(h->slice, cap);
	if (!p)
		return NULL;
	h->slice = p;
	h->cap = cap;
	return p + h->used;
}

/* The run goes into the slice, since it is not all that the reader gets. */
static int settle(struct sse_hub *h)
{
	char *p = h->run_len ? slice_room(h, h->run_len) : NULL;

	if (h->run_len && !p)
		return -ENOMEM;
	if (p)
		memcpy(p, h->run, h->run_len);
	h->used += h->run_len;
	h->run_len = 0;
	return 0;
}

/* A text of the ring: most often it stands right behind the last one. */
static int extend(struct sse_hub *h, const struct kept *k)
{
	int r = h->run_len && h->run + h->run_len != k->text ? settle(h) : 0;

	if (r)
		return r;
	if (!h->run_len)
		h->run = k->text;
	h->run_len += k->len;
	return 0;
}

/* The event as this reader sees it, behind what its slice has. */
static int append(struct sse_reader *r, const struct sse_event *ev)
{
	struct sse_hub *h = r->hub;
	auto_free char *data = NULL;
	struct sse_event seen = *ev;
	int sight = h->view ? h->view(h->arg, &r->lens->peer, ev, &data) : 1, n;
	char *p;

	if (sight <= 0)
		return sight;
	if (sight > 1)
		seen.data = data;
	n = sse_format(NULL, 0, seen.seq, seen.type, seen.data);
	if (n < 0)
		return n;
	p = settle(h) ? NULL : slice_room(h, (size_t)n + 1);
	if (!p)
		return -ENOMEM;
	(void)sse_format(p, (size_t)n + 1, seen.seq, seen.type, seen.data);
	h->used += (size_t)n;
	return 0;
}

int sse_send(struct sse_reader *r, const struct sse_event *ev)
{
	int n = sse_wants(r->lens, ev) ? append(r, ev) : 0;

	if (n)
		return n;
	r->seen = ev->seq;
	return r->hub->used >= SLICE || ++r->hub->scanned >= SCAN_MAX;
}

/* What was published after the reader's place, up to a slice. */
static int from_kept(struct sse_reader *r)
{
	struct sse_hub *h = r->hub;
	int n;

	for (; r->next < h->end && h->used + h->run_len < SLICE; r->next++) {
		const struct kept *k = h->kept[r->next % KEPT_MAX];

		if (k->ev.seq && k->ev.seq <= r->seen)
			continue;
		n = sse_sight(h, r->lens, r->next);
		if (n == ALL)
			n = extend(h, k);
		else if (n == OTHER)
			n = append(r, &k->ev);
		if (n < 0)
			return n;
		if (k->ev.seq)
			r->seen = k->ev.seq;
	}
	return r->next < h->end;
}

/* Until the log has no more; then from where the kept begin, of which it has seen most. Somebody
 * who sees the same may have read this piece of the log already. */
static int from_log(struct sse_reader *r)
{
	struct sse_hub *h = r->hub;
	uint64_t after = r->seen;
	const char *text;
	size_t len;
	int more;

	if (sse_page_find(r->lens, after, &text, &len)) {
		h->run = text;
		h->run_len = len;
		r->seen = r->lens->page.upto;
		return 1;
	}
	more = h->replay(h->arg, after, r);
	if (more >= 0)
		sse_page_keep(h, r->lens, h->slice, h->used, after, r->seen);
	r->from_log = more != 0;
	r->next = h->first;
	return more ? more : r->next < h->end;
}

/* The next event that it wants from the log is one that is still kept. */
static bool rejoins(const struct sse_reader *r)
{
	const struct sse_hub *h = r->hub;
	const struct kept *k = h->first < h->end ? h->kept[h->first % KEPT_MAX] : NULL;

	return k && k->ev.seq && k->ev.seq <= r->seen + 1;
}

/* One slice. 1: there is more; 0: it has all; negative: it is to be closed. */
static int feed(struct sse_reader *r)
{
	struct sse_hub *h = r->hub;
	int more, w = 0;
	bool whole; /* a piece of the ring as it is */

	h->used = h->run_len = h->scanned = 0;
	if (r->next < h->first && !h->replay)
		return -ENOBUFS;
	r->from_log |= r->next < h->first;
	if (r->from_log && rejoins(r)) {
		r->from_log = false;
		r->next = h->first;
	}
	more = r->from_log ? from_log(r) : from_kept(r);
	whole = !h->used;
	if (more >= 0 && !whole && settle(h))
		more = -ENOMEM;
	if (more >= 0 && h->used + h->run_len) {
		size_t n = whole ? h->run_len : h->used;

		w = http_stream_write(r->stream, whole ? h->run : h->slice, n);
		r->given += n;
		r->told = true;
	}
	return w < 0 ? w : more;
}

static bool is_full(const struct sse_reader *r)
{
	return http_stream_unread(r->stream) >= SLICE;
}

/* It reads again. */
static void on_drained(void *arg)
{
	struct sse_reader *r = arg;

	if (!r->stuck)
		return;
	TAILQ_REMOVE(&r->hub->stuck, r, entry);
	r->stuck = false;
	TAILQ_INSERT_TAIL(&r->hub->behind, r, entry);
	pace_ask(&r->hub->pace);
}

/* Some who are behind get what waits for them. What is published until the next turn goes out in
 * one piece. */
static bool feed_some(void *arg)
{
	struct sse_hub *h = arg;
	struct sse_reader *r;

	for (size_t fed = 0; fed < PACE_FED && (r = TAILQ_FIRST(&h->behind));) {
		int more;

		TAILQ_REMOVE(&h->behind, r, entry);
		if (is_full(r)) {
			r->stuck = true;
			TAILQ_INSERT_TAIL(&h->stuck, r, entry);
			continue;
		}
		more = feed(r);
		fed++;
		if (more < 0)
			reader_drop(r);
		else
			TAILQ_INSERT_TAIL(list_of(r), r, entry);
	}
	return !TAILQ_EMPTY(&h->behind);
}

/* --- subscribing ----------------------------------------------------------------------------- */

static void answer(struct http_reply *token, int status, const char *why)
{
	struct wire_response r = {
		.status = status, .content_type = "text/plain", .body = why, .len = strlen(why)
	};

	http_reply_send(token, &r);
}

static size_t readers_of(const struct sse_readers *list, const char *owner)
{
	const struct sse_reader *r;
	char other[WIRE_DID_MAX];
	size_t n = 0;

	TAILQ_FOREACH (r, list, entry) {
		wire_owner(&r->lens->peer, other);
		n += !strcmp(other, owner);
	}
	return n;
}

/* False: answered. */
static bool has_room(const struct sse_hub *h, const struct peer *p, struct http_reply *token)
{
	const struct wire_limit own = { "peer-readers", h->max_peer, true },
				all = { "readers", h->max, false };
	char text[WIRE_LIMIT_TEXT], owner[WIRE_DID_MAX];
	struct wire_response r = { .content_type = "application/problem+json", .body = text };
	bool crowd = false;

	if (h->n >= own.max) {
		wire_owner(p, owner);
		crowd = readers_of(&h->current, owner) + readers_of(&h->behind, owner) +
				readers_of(&h->stuck, owner) >=
			own.max;
	}
	if (!crowd && h->n < all.max)
		return true;
	r.status = wire_limit_problem(crowd ? &own : &all, text);
	r.len = strlen(text);
	http_reply_send(token, &r);
	return false;
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
static int parameter(struct sse_reader *rd, struct lens *l, char *pair, bool *from)
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
		return str_set(l->types, value) ? 0 : -EINVAL;
	if (!strcmp(pair, "agreement"))
		return str_set(l->agreement, value) ? 0 : -EINVAL;
	if (!strcmp(pair, "class"))
		return str_set(l->class_name, value) ? 0 : -EINVAL;
	return -EINVAL;
}

/* Fills where to begin and what to leave out; *from: old events are wanted too. */
static int reader_read(struct sse_reader *rd, struct lens *l, const struct wire_request *r,
		       bool *from)
{
	const char *last = wire_header(r, "Last-Event-ID");
	auto_free char *query = strdup(r->query);
	char *save = NULL;

	*from = false;
	if (!query)
		return -ENOMEM;
	for (char *p = strtok_r(query, "&", &save); p; p = strtok_r(NULL, "&", &save))
		if (parameter(rd, l, p, from))
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
	struct lens want = { .peer = *r->peer };
	struct sse_reader *rd;
	bool from;

	if (!has_room(h, r->peer, token))
		return;
	rd = calloc(1, sizeof(*rd));
	if (!rd) {
		answer(token, 503, "no memory\n");
		return;
	}
	if (reader_read(rd, &want, r, &from)) {
		free(rd);
		answer(token, 400,
		       "after or Last-Event-ID: a sequence number; type, agreement, class: plain "
		       "text; no other parameter\n");
		return;
	}
	rd->hub = h;
	rd->next = h->end;
	rd->from_log = from && h->replay;
	rd->told = true;
	rd->lens = sse_lens_get(h, &want);
	if (!rd->lens) {
		free(rd);
		answer(token, 503, "no memory\n");
		return;
	}
	rd->stream = http_reply_stream(token, &head, on_close, rd);
	if (!rd->stream) {
		sse_lens_put(h, rd->lens);
		free(rd);
		return;
	}
	http_stream_watch(rd->stream, on_drained);
	h->n++;
	TAILQ_INSERT_HEAD(list_of(rd), rd, entry); /* its first event does not wait for a round */
	if (rd->from_log)
		pace_ask(&h->pace);
}

/* --- publishing ------------------------------------------------------------------------------ */

void sse_publish(struct sse_hub *h, const struct sse_event *ev)
{
	struct kept *k = h->n ? sse_kept_new(h, ev) : NULL;

	if (!k) {
		/* What is kept has no gaps: who comes later reads the log up to it. */
		while (h->first < h->end)
			sse_forget_first(h);
		return;
	}
	h->kept[h->end++ % KEPT_MAX] = k;
	TAILQ_CONCAT(&h->behind, &h->current, entry);
	if (!TAILQ_EMPTY(&h->behind))
		pace_ask(&h->pace);
}

/* False when something waits for it, and it has taken nothing since the last ping. */
static bool ping(struct sse_reader *r)
{
	static const char text[] = ": ping\n\n";
	size_t unread = http_stream_unread(r->stream);
	uint64_t taken = r->given - unread;
	bool told = r->told;

	if (unread && taken == r->taken)
		return false;
	r->taken = taken;
	r->told = false;
	if (told || unread)
		return true;
	r->given += sizeof(text) - 1;
	return !http_stream_write(r->stream, text, sizeof(text) - 1);
}

void sse_ping(struct sse_hub *h)
{
	struct sse_readers *const lists[] = { &h->current, &h->behind, &h->stuck };
	struct sse_reader *r, *next;

	sse_pages_drop(h); /* what a principal sees may change */

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (r = TAILQ_FIRST(lists[i]); r; r = next) {
			next = TAILQ_NEXT(r, entry);
			if (!ping(r))
				reader_free(r);
		}
}

size_t sse_readers(const struct sse_hub *h)
{
	return h->n;
}
