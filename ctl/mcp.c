/* SPDX-License-Identifier: Apache-2.0 */
/* treatyctl mcp: an MCP client that speaks lines on standard input and output is led to the
 * daemon's HTTP endpoint, on the unix socket or over mutual TLS. Nothing is interpreted here beyond
 * what the transport needs; the daemon sees this user, or this certificate. */
#include "ctl.h"

#include "agent/crypto/crypto.h"
#include "agent/loop.h"
#include "agent/wire/http_client.h"
#include "agent/wire/mcp_stdio.h"
#include "agent/wire/sse_in.h"
#include "agent/wire/tls.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CALL_US    ((int64_t)600 * 1000000)   /* a slow tool tells its progress meanwhile */
#define STREAM_US  ((int64_t)86400 * 1000000) /* then it ends, and the client listens anew */
#define LINGER_US  ((int64_t)5 * 1000000)     /* for answers that are under way when stdin ends */
#define ANSWER_MAX (8 * 1024 * 1024)

struct call {
	LIST_ENTRY(call) entry;
	struct bridge *b;
	struct http_call *http;
	struct mcp_line line; /* method NULL and root NULL: the session's own stream */
	struct sse_in events;
	bool answered, quiet;
};

struct bridge {
	const struct ctl *c;
	struct loop *loop;
	struct http_client *http;
	struct tls_id *id;
	struct loop_fd *in;
	struct loop_timer *linger;
	char url[256];
	const char *did;
	struct mcp_stdio_session session;
	char *buf; /* what was read and is not yet a line */
	size_t n, cap;
	bool skipping;    /* inside a line that is too long */
	bool starting;    /* initialize is under way: what follows needs its answer */
	bool eof, failed; /* failed: the daemon could not be reached */
	LIST_HEAD(, call) calls;
};

static void pump(struct bridge *b);

/* --- out ----------------------------------------------------------------------------------------
 */

/* One line; a reader that is gone ends us. */
static void put(struct bridge *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (putchar(text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]) == EOF)
			loop_stop(b->loop, -EPIPE);
	if (putchar('\n') == EOF || fflush(stdout))
		loop_stop(b->loop, -EPIPE);
}

static void put_error(struct bridge *b, const json_t *id, int code, const char *text)
{
	auto_free char *line = mcp_line_error(id, code, text);

	if (line)
		put(b, line, strlen(line) - 1);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void call_end(struct call *k)
{
	struct bridge *b = k->b;

	LIST_REMOVE(k, entry);
	sse_in_clear(&k->events);
	mcp_line_clear(&k->line);
	free(k);
	if (b->eof && LIST_EMPTY(&b->calls))
		loop_stop(b->loop, 0);
}

/* One message of a stream: ours, or the request's end. */
static void on_event(void *arg, const char *text, size_t len)
{
	struct call *k = arg;
	json_t *js = json_loadb(text, len, 0, NULL);

	k->answered |= k->line.id && !json_object_get(js, "method") &&
		       json_equal(json_object_get(js, "id"), k->line.id);
	if (js && !k->quiet)
		put(k->b, text, len);
	json_decref(js);
}

static bool is_stream(const struct wire_response *r)
{
	return r->content_type && !strncasecmp(r->content_type, "text/event-stream", 17);
}

static int on_data(void *arg, const struct wire_response *head, const char *p, size_t n)
{
	struct call *k = arg;

	if (is_stream(head))
		return sse_in_feed(&k->events, p, n);
	/* A whole answer is collected in the same place. */
	if (k->events.n + n >= ANSWER_MAX)
		return -EMSGSIZE;
	if (k->events.n + n + 1 > k->events.cap) {
		size_t cap = 2 * (k->events.n + n + 1);
		char *q = realloc(k->events.buf, cap);

		if (!q)
			return -ENOMEM;
		k->events.buf = q;
		k->events.cap = cap;
	}
	memcpy(k->events.buf + k->events.n, p, n);
	k->events.n += n;
	k->events.buf[k->events.n] = '\0';
	return 0;
}

static const char *header(const struct wire_response *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (!strcasecmp(r->headers[i].name, name))
			return r->headers[i].value;
	return NULL;
}

static void open_stream(struct bridge *b);

/* The daemon has answered, with a body or without. */
static void answered(struct call *k, const struct wire_response *r)
{
	struct bridge *b = k->b;
	const char *body = r->status == 200 ? k->events.buf : r->body;
	size_t len = r->status == 200 ? k->events.n : r->len;
	bool json = r->content_type && !strncasecmp(r->content_type, "application/json", 16);
	char text[100];

	if (k->line.initializes && r->status == 200 && body)
		mcp_stdio_begin(&b->session, header(r, "Mcp-Session-Id"), body, len);
	if (k->line.method && !k->line.version &&
	    !strcmp(k->line.method, "notifications/initialized") && r->status == 202)
		open_stream(b);
	if (!k->line.id || !k->line.method || k->answered || k->quiet)
		return;
	if (!is_stream(r) && json && len) {
		put(b, body, len);
		return;
	}
	(void)snprintf(text, sizeof(text), "the daemon ended without an answer (HTTP %d)",
		       r->status);
	put_error(b, k->line.id, -32603, text);
}

static void on_done(void *arg, int err, const struct wire_response *r, const char *why)
{
	struct call *k = arg;
	struct bridge *b = k->b;
	char text[300];

	if (k->line.initializes)
		b->starting = false;
	if (!err) {
		answered(k, r);
	} else if (k->line.root && !k->quiet) {
		b->failed |= err == -ECONNREFUSED || err == -EACCES;
		(void)snprintf(text, sizeof(text), "no answer from the daemon at %s: %s",
			       b->url[0] == 'h' && b->did ? b->url : b->c->socket,
			       *why ? why : strerror(-err));
		if (k->line.id && k->line.method && !k->answered)
			put_error(b, k->line.id, -32603, text);
		else if (!k->line.listens)
			(void)fail(CTL_UNREACHABLE, "%s", text);
	}
	call_end(k);
	pump(b);
}

static int start(struct call *k, const char *method, const struct wire_header *h, size_t n,
		 const char *body, int64_t us)
{
	struct bridge *b = k->b;
	struct http_call_spec s = { .method = method,
				    .url = b->url,
				    .unix_path = b->did ? NULL : b->c->socket,
				    .did = b->did,
				    .headers = h,
				    .nheaders = n,
				    .body = body,
				    .len = body ? strlen(body) : 0,
				    .timeout_us = us,
				    .max_bytes = ANSWER_MAX,
				    .on_data = on_data };
	struct err e = { 0 };
	int r = http_call_start(&k->http, b->http, &s, on_done, k, &e);

	if (r && k->line.id)
		put_error(b, k->line.id, -32603, e.text);
	return r;
}

/* Takes line. */
static struct call *call_new(struct bridge *b, const struct mcp_line *line)
{
	struct call *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->b = b;
	if (line)
		k->line = *line;
	k->events = (struct sse_in){ .fn = on_event, .arg = k };
	LIST_INSERT_HEAD(&b->calls, k, entry);
	return k;
}

/* What the daemon says outside of any request of the older revision. */
static void open_stream(struct bridge *b)
{
	struct call *k = b->session.id[0] ? call_new(b, NULL) : NULL;
	struct wire_header h[3] = { { "Accept", "text/event-stream" },
				    { "MCP-Protocol-Version", b->session.version },
				    { "Mcp-Session-Id", b->session.id } };

	if (k && start(k, "GET", h, 3, NULL, STREAM_US))
		call_end(k);
}

/* --- in -----------------------------------------------------------------------------------------
 */

/* The newer revision cancels by leaving; the older one is told, and says no more. True: done. */
static bool cancelled(struct bridge *b, const struct mcp_line *l)
{
	struct call *k;

	LIST_FOREACH(k, &b->calls, entry)
	if (k->line.id && json_equal(k->line.id, l->target)) {
		if (!k->line.version) {
			k->quiet = true;
			return false;
		}
		http_call_cancel(k->http);
		call_end(k);
		return true;
	}
	return b->session.id[0] == '\0';
}

static void take(struct bridge *b, const char *text, size_t len)
{
	struct wire_header h[MCP_STDIO_HEADERS];
	struct mcp_line l;
	struct err e = { 0 };
	struct call *k;
	size_t n;

	while (len && (text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (!len)
		return;
	if (mcp_line_read(&l, text, len, &e)) {
		put_error(b, NULL, -32700, e.text);
		return;
	}
	if (l.target && cancelled(b, &l)) {
		mcp_line_clear(&l);
		return;
	}
	k = call_new(b, &l);
	if (!k) {
		put_error(b, l.id, -32603, "out of memory");
		mcp_line_clear(&l);
		return;
	}
	b->starting |= l.initializes;
	n = mcp_line_headers(h, &k->line, &b->session);
	auto_free char *body = strndup(text, len);

	if (!body || start(k, "POST", h, n, body, l.listens ? STREAM_US : CALL_US)) {
		if (l.initializes)
			b->starting = false;
		call_end(k);
	}
}

static void on_linger(void *arg)
{
	struct bridge *b = arg;

	b->linger = NULL;
	loop_stop(b->loop, 0);
}

/* Nobody will ask more: streams end now, answers may still come. */
static void input_ended(struct bridge *b)
{
	struct call *k, *next;

	if (b->n)
		take(b, b->buf, b->n);
	b->n = 0;
	for (k = LIST_FIRST(&b->calls); k; k = next) {
		next = LIST_NEXT(k, entry);
		if (k->line.root && !k->line.listens)
			continue;
		http_call_cancel(k->http);
		call_end(k);
	}
	b->in = loop_fd_free(b->in);
	b->linger = loop_after(b->loop, LIST_EMPTY(&b->calls) ? 0 : LINGER_US, on_linger, b);
}

static void pump(struct bridge *b)
{
	char *nl;
	size_t used = 0;

	while (!b->starting && b->n > used && (nl = memchr(b->buf + used, '\n', b->n - used))) {
		if (!b->skipping)
			take(b, b->buf + used, (size_t)(nl - b->buf) - used);
		b->skipping = false;
		used = (size_t)(nl - b->buf) + 1;
	}
	if (used)
		memmove(b->buf, b->buf + used, b->n - used);
	b->n -= used;
	if (b->n >= MCP_LINE_MAX && !b->starting) {
		if (!b->skipping)
			put_error(b, NULL, -32600, "a line is longer than 1 MiB");
		b->skipping = true;
		b->n = 0;
	}
	if (b->eof && !b->starting && !b->linger)
		input_ended(b);
}

static void on_input(void *arg, int fd, unsigned what)
{
	struct bridge *b = arg;
	ssize_t r;

	(void)what;
	if (b->cap - b->n < 65536) {
		char *p = b->cap < 4 * MCP_LINE_MAX ? realloc(b->buf, b->cap + 262144) : NULL;

		if (!p) { /* the answer to initialize does not come, and the client goes on */
			loop_stop(b->loop, -ENOBUFS);
			return;
		}
		b->buf = p;
		b->cap += 262144;
	}
	r = read(fd, b->buf + b->n, b->cap - b->n);
	if (r < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (r > 0)
		b->n += (size_t)r;
	else
		b->eof = true;
	if (b->eof)
		b->in = loop_fd_free(b->in);
	pump(b);
}

/* A plain file is always ready, and no poll will say so. */
static void on_file(void *arg)
{
	struct bridge *b = arg;

	on_input(b, STDIN_FILENO, LOOP_READ);
	if (!b->eof && !loop_after(b->loop, 0, on_file, b))
		loop_stop(b->loop, -ENOMEM);
}

/* --- start and end ------------------------------------------------------------------------------
 */

/* The older revision's session ends with us: it need not age in the daemon. */
static void session_end(struct bridge *b)
{
	struct wire_header h[2] = { { "MCP-Protocol-Version", b->session.version },
				    { "Mcp-Session-Id", b->session.id } };
	struct call *k;

	b->eof = false; /* what is left here leads to nothing */
	while ((k = LIST_FIRST(&b->calls))) {
		http_call_cancel(k->http);
		call_end(k);
	}
	k = b->session.id[0] ? call_new(b, NULL) : NULL;
	b->eof = true;
	if (k && !start(k, "DELETE", h, 2, NULL, LINGER_US))
		(void)loop_run(b->loop);
}

static int reach(struct bridge *b)
{
	const struct ctl *c = b->c;
	const char *url = opt_get(c, "url"), *cert = opt_get(c, "cert"), *key = opt_get(c, "key"),
		   *ca = opt_get(c, "ca");
	struct err e = { 0 };

	b->did = opt_get(c, "did");
	if (!url && !cert && !key && !ca && !b->did) {
		if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			return fail(CTL_USAGE, "--socket: too long a path");
		(void)snprintf(b->url, sizeof(b->url), "http://localhost/mcp");
		return CTL_OK;
	}
	if (!url || !cert || !key || !ca || !b->did)
		return fail(CTL_USAGE, "--url, --cert, --key, --ca and --did: all five or none");
	if (strncmp(url, "https://", 8) != 0 || !str_set(b->url, url))
		return fail(CTL_USAGE, "--url: https://HOST[:PORT]/mcp required");
	if (tls_id_new(&b->id, ca, cert, key, &e))
		return fail(CTL_FAILED, "%s", e.text);
	return CTL_OK;
}

static int watch_input(struct bridge *b)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st))
		return -errno;
	if (S_ISREG(st.st_mode))
		return loop_after(b->loop, 0, on_file, b) ? 0 : -ENOMEM;
	b->in = loop_watch(b->loop, STDIN_FILENO, LOOP_READ, on_input, b);
	return b->in ? 0 : -ENOMEM;
}

int ctl_mcp(struct ctl *c)
{
	struct bridge b = { .c = c };
	struct call *k;
	int r = reach(&b);

	LIST_INIT(&b.calls);
	if (!r && (crypto_init() || loop_new(&b.loop, false) ||
		   http_client_new(&b.http, b.loop, b.id) || watch_input(&b)))
		r = fail(CTL_FAILED, "standard input: cannot be watched, or out of memory");
	if (!r) {
		int end = loop_run(b.loop);

		if (end && end != -EPIPE)
			r = fail(CTL_FAILED, "%s", strerror(-end));
		else if (b.failed)
			r = CTL_UNREACHABLE;
		session_end(&b);
	}
	b.http = http_client_free(b.http); /* its calls' callbacks will not run */
	b.eof = false;
	while ((k = LIST_FIRST(&b.calls)))
		call_end(k);
	(void)loop_fd_free(b.in);
	b.loop = loop_free(b.loop);
	b.id = tls_id_free(b.id);
	free(b.buf);
	return r;
}
