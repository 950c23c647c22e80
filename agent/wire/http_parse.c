/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9112 says what a message is; the checks here refuse every message that it calls an error or
 * leaves to the recipient, because the recipient before or behind us may have chosen differently:
 * bare CR or LF, folded lines, NUL and controls, space before the colon, two lengths, length and
 * transfer coding together, other codings, trailers, upgrades, and second copies of the headers on
 * which a decision rests. */
#include "http_parse.h"

#include <errno.h>
#include <llhttp.h>
#include <strings.h>

#define KEEP_MAX       4096  /* what a connection keeps of each buffer between two requests */
#define CHUNK_OVERHEAD 65536 /* bytes of chunk framing on top of the body limit */

struct http_in {
	llhttp_t parser;
	struct http_in_limits lim;
	char *head;
	size_t nhead, cap, scanned;
	bool head_done, whole, expects, keep_alive;
	int refused;
	const char *why;
	const char *method;
	char *path, *query;
	size_t path_at, path_len; /* in the head, query included */
	char *body;
	size_t nbody, body_cap, body_raw;
	const char *framing; /* since where what was fed is not body */
	bool cr;             /* the framing's last byte was one */
	size_t nheaders;     /* what is below counts up to it, and is not cleared */
	struct wire_header headers[WIRE_HEADERS_MAX];
	size_t value_len[WIRE_HEADERS_MAX];
};

static int refuse(struct http_in *in, int status, const char *why)
{
	if (!in->refused) {
		in->refused = status;
		in->why = why;
	}
	return -1;
}

/* --- llhttp's callbacks: spans of the head buffer ------------------------------------------- */

static int on_field(llhttp_t *p, const char *at, size_t len)
{
	struct http_in *in = p->data;
	struct wire_header *h;

	if (in->head_done)
		return refuse(in, 400, "trailers are not accepted");
	if (in->nheaders == in->lim.header_count)
		return refuse(in, 431, "too many headers");
	h = &in->headers[in->nheaders++];
	h->name = at;
	h->value = at + len; /* empty values have no span of their own */
	in->value_len[in->nheaders - 1] = 0;
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
	struct http_in *in = p->data;

	if (in->head_done || !in->nheaders)
		return refuse(in, 400, "trailers are not accepted");
	in->headers[in->nheaders - 1].value = at;
	in->value_len[in->nheaders - 1] = len;
	return 0;
}

static bool is_tchar(unsigned char c)
{
	/* A bit for each of 64 bytes; of RFC 9110: !#$%&'*+-.^_`|~, digits, letters. */
	static const uint64_t tchar[4] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe };

	return tchar[c >> 6] >> (c & 63) & 1;
}

/* Cuts the target out of the head in place: the space behind it and the '?' become NULs. */
static void cut_target(struct http_in *in)
{
	in->path = in->head + in->path_at;
	in->path[in->path_len] = 0;
	in->query = strchr(in->path, '?');
	if (in->query)
		*in->query++ = 0;
}

/* Likewise names and values: the colon and the CR. */
static int cut_headers(struct http_in *in)
{
	for (size_t i = 0; i < in->nheaders; i++) {
		char *n = in->head + (in->headers[i].name - in->head);
		char *v = in->head + (in->headers[i].value - in->head);
		size_t len = in->value_len[i];
		char *colon = memchr(n, ':', (size_t)(in->head + in->nhead - n));

		if (!colon || colon == n)
			return refuse(in, 400, "header name: empty");
		*colon = 0;
		for (char *c = n; *c; c++)
			if (!is_tchar((unsigned char)*c))
				return refuse(in, 400, "header name: not a token");
		if (!len)
			v = colon;
		while (len && (v[len - 1] == ' ' || v[len - 1] == '\t'))
			len--;
		v[len] = 0;
		in->headers[i].value = v;
	}
	return 0;
}

/* Headers that decide something: at most one of each, and one of each "Mcp-". */
enum known {
	HOST,
	LENGTH,
	CODING,
	TYPE,
	AUTHORIZATION,
	ORIGIN,
	EXPECT,
	A2A,
	LAST_EVENT,
	UPGRADE,
	NKNOWN
};

static int known(const char *name)
{
	static const struct {
		const char *name;
		size_t len;
	} names[NKNOWN] = {
		[HOST] = { "host", 4 },
		[LENGTH] = { "content-length", 14 },
		[CODING] = { "transfer-encoding", 17 },
		[TYPE] = { "content-type", 12 },
		[AUTHORIZATION] = { "authorization", 13 },
		[ORIGIN] = { "origin", 6 },
		[EXPECT] = { "expect", 6 },
		[A2A] = { "a2a-version", 11 },
		[LAST_EVENT] = { "last-event-id", 13 },
		[UPGRADE] = { "upgrade", 7 },
	};
	size_t len = strlen(name);

	for (size_t i = 0; i < NKNOWN; i++)
		if (names[i].len == len && !strcasecmp(name, names[i].name))
			return (int)i;
	return -1;
}

static bool came_before(const struct http_in *in, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcasecmp(in->headers[k].name, in->headers[i].name))
			return true;
	return false;
}

static int check_singles(struct http_in *in, const char *value[NKNOWN])
{
	for (size_t i = 0; i < in->nheaders; i++) {
		const char *name = in->headers[i].name;
		int k = known(name);

		if (k == UPGRADE)
			return refuse(in, 400, "Upgrade: not offered");
		if (k >= 0 ? value[k] != NULL : !strncasecmp(name, "Mcp-", 4) && came_before(in, i))
			return refuse(in, 400, "a header that must be single came twice");
		if (k >= 0)
			value[k] = in->headers[i].value;
	}
	return value[HOST] ? 0 : refuse(in, 400, "Host: missing");
}

static int check_framing(struct http_in *in, const char *const value[NKNOWN])
{
	const char *cl = value[LENGTH], *te = value[CODING], *ex = value[EXPECT];

	if (cl && te)
		return refuse(in, 400, "Content-Length and Transfer-Encoding together");
	if (te && strcasecmp(te, "chunked"))
		return refuse(in, 501, "Transfer-Encoding: only chunked");
	if (cl && (!*cl || strspn(cl, "0123456789") != strlen(cl)))
		return refuse(in, 400, "Content-Length: digits only");
	if (cl && (strlen(cl) > 18 || strtoull(cl, NULL, 10) > in->lim.body_bytes))
		return refuse(in, 413, "the body is too large");
	if (ex && strcasecmp(ex, "100-continue"))
		return refuse(in, 417, "Expect: only 100-continue");
	in->expects = ex && (te || (cl && strtoull(cl, NULL, 10)));
	return 0;
}

static int on_head(llhttp_t *p)
{
	const char *value[NKNOWN] = { NULL };
	struct http_in *in = p->data;

	cut_target(in);
	if (cut_headers(in) || check_singles(in, value) || check_framing(in, value))
		return -1;
	in->keep_alive = llhttp_should_keep_alive(p);
	in->head_done = true;
	return 0;
}

/* Sizes and extensions of chunks, and the line ends around them: llhttp lets a bare CR pass in an
 * extension, which another parser may take for the end of the line. */
static int check_frame(struct http_in *in, const char *end)
{
	for (const char *p = in->framing; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (in->cr != (c == '\n'))
			return refuse(in, 400, "chunk: bare CR or LF");
		if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
			return refuse(in, 400, "chunk: control byte");
		in->cr = c == '\r';
	}
	in->framing = end;
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
	struct http_in *in = p->data;

	if (check_frame(in, at))
		return -1;
	in->framing = at + len;
	if (len > in->lim.body_bytes - in->nbody)
		return refuse(in, 413, "the body is too large");
	if (in->nbody + len + 1 > in->body_cap) {
		size_t cap = in->body_cap * 2 > in->nbody + len + 1 ? in->body_cap * 2
								    : in->nbody + len + 1;
		char *b = realloc(in->body, cap);

		if (!b)
			return refuse(in, 500, "no memory");
		in->body = b;
		in->body_cap = cap;
	}
	memcpy(in->body + in->nbody, at, len);
	in->nbody += len;
	in->body[in->nbody] = 0;
	return 0;
}

static int on_whole(llhttp_t *p)
{
	struct http_in *in = p->data;

	in->whole = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_whole,
};

/* --- the head, before llhttp sees it --------------------------------------------------------- */

#define EACH(c) (0x0101010101010101u * (c))

/* How many of n bytes, eight at a time, are neither controls nor beyond ASCII. The high bit of a
 * byte of w - EACH(c) & ~w tells that one is below c. */
static size_t printable(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; i + 8 <= n; i += 8) {
		memcpy(&w, s + i, 8);
		if ((((w - EACH(0x20)) & ~w) | (w + EACH(1)) | w) & EACH(0x80))
			break;
	}
	return i;
}

/* Looks at the bytes that are new. 1: the head ends at *end. */
static int scan(struct http_in *in, size_t *end)
{
	const char *h = in->head;
	size_t i = in->scanned;

	for (; i < in->nhead; i++) {
		unsigned char c = (unsigned char)h[i];

		if (c > ' ' && c < 0x7f && i && h[i - 1] != '\r') { /* most of them */
			i += printable(h + i + 1, in->nhead - i - 1);
			continue;
		}
		if (c == '\n') {
			if (!i || h[i - 1] != '\r')
				return refuse(in, 400, "bare LF");
			if (i == 1)
				return refuse(in, 400, "empty request line");
			if (i >= 3 && h[i - 2] == '\n') {
				*end = i + 1;
				return 1;
			}
			continue;
		}
		if (i && h[i - 1] == '\r')
			return refuse(in, 400, "bare CR");
		if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
			return refuse(in, 400, "control byte in the head");
		if ((c == ' ' || c == '\t') && (!i || h[i - 1] == '\n'))
			return refuse(in, 400, "folded line");
	}
	in->scanned = i;
	return 0;
}

static const char *known_method(const char *m, size_t n)
{
	static const char *const known[] = { "GET", "POST", "DELETE" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strlen(known[i]) == n && !memcmp(known[i], m, n))
			return known[i];
	return NULL;
}

/* Request line: token SP origin-form SP HTTP/1.1. llhttp still needs the bytes as they are. */
static int request_line(struct http_in *in)
{
	char *line = in->head;
	size_t len = (size_t)((char *)memchr(line, '\r', in->nhead) - line);
	char *sp = memchr(line, ' ', len);
	char *sp2 = sp ? memchr(sp + 1, ' ', (size_t)(line + len - sp - 1)) : NULL;
	size_t vlen = sp2 ? (size_t)(line + len - sp2 - 1) : 0;
	size_t tlen;

	if (!sp2 || sp == line)
		return refuse(in, 400, "request line: method, target and version needed");
	for (char *c = line; c < sp; c++)
		if (!is_tchar((unsigned char)*c))
			return refuse(in, 400, "method: not a token");
	if (vlen != 8 || memcmp(sp2 + 1, "HTTP/", 5))
		return refuse(in, 400, "request line: HTTP version needed");
	if (memcmp(sp2 + 1, "HTTP/1.1", 8))
		return refuse(in, 505, "only HTTP/1.1");
	in->method = known_method(line, (size_t)(sp - line));
	if (!in->method)
		return refuse(in, 405, "only GET, POST and DELETE");
	tlen = (size_t)(sp2 - sp - 1);
	if (!tlen || sp[1] != '/')
		return refuse(in, 400, "target: must begin with /");
	for (char *c = sp + 1; c < sp2; c++)
		if (*c < 0x21 || *c > 0x7e || *c == '#')
			return refuse(in, 400, "target: bad byte");
	in->path_at = (size_t)(sp + 1 - in->head);
	in->path_len = tlen;
	return 0;
}

/* --- feeding --------------------------------------------------------------------------------- */

static int give(struct http_in *in, const char *p, size_t n, size_t *used)
{
	enum llhttp_errno r = llhttp_execute(&in->parser, p, n);

	*used = n;
	if (in->refused)
		return in->refused;
	if (r == HPE_OK)
		return 0;
	if (in->whole) {
		const char *at = llhttp_get_error_pos(&in->parser);

		*used = at >= p && at <= p + n ? (size_t)(at - p) : n;
		return 1;
	}
	(void)refuse(in, 400, llhttp_errno_name(r));
	return in->refused;
}

/* Nothing points into the head before it is whole. */
static int head_grow(struct http_in *in, size_t need)
{
	size_t cap = in->cap ? in->cap : 1024;
	char *p;

	while (cap < need)
		cap *= 2;
	p = realloc(in->head, cap);
	if (!p)
		return refuse(in, 500, "no memory");
	in->head = p;
	in->cap = cap;
	return 0;
}

static int feed_head(struct http_in *in, const char *p, size_t n, size_t *used)
{
	size_t room = in->lim.header_bytes - in->nhead, take = n < room ? n : room, end = 0, gave;
	size_t before = in->nhead;
	int r;

	if (in->nhead + take + 1 > in->cap && head_grow(in, in->nhead + take + 1))
		return in->refused;
	memcpy(in->head + in->nhead, p, take);
	in->nhead += take;
	r = scan(in, &end);
	*used = take;
	if (r == 0 && in->nhead == in->lim.header_bytes)
		r = refuse(in, 431, "the head is too large");
	if (r <= 0)
		return r < 0 ? in->refused : 0;
	in->nhead = end;
	*used = end - before;
	if (request_line(in))
		return in->refused;
	in->head[end] = 0;
	return give(in, in->head, end, &gave);
}

/* Chunk sizes and extensions are not body, but they are bytes a peer can make us read. */
static int feed_body(struct http_in *in, const char *p, size_t n, size_t *used)
{
	size_t room = in->lim.body_bytes + CHUNK_OVERHEAD - in->body_raw;
	int r;

	*used = 0;
	if (!room) {
		(void)refuse(in, 413, "too much chunk framing");
		return in->refused;
	}
	in->framing = p;
	r = give(in, p, n < room ? n : room, used);
	in->body_raw += *used;
	if (!in->refused && check_frame(in, p + *used))
		r = in->refused;
	return r;
}

int http_in_feed(struct http_in *in, const char *p, size_t n, size_t *used, const char **why)
{
	size_t sum = 0, u = 0;
	int r = in->refused;

	while (!r && sum < n) {
		if (!in->head_done) {
			r = feed_head(in, p + sum, n - sum, &u);
		} else {
			r = feed_body(in, p + sum, n - sum, &u);
		}
		sum += u;
	}
	*used = sum;
	*why = in->why;
	return r;
}

int http_in_new(struct http_in **ret, const struct http_in_limits *lim)
{
	struct http_in *in = calloc(1, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->lim = *lim;
	if (in->lim.header_count > WIRE_HEADERS_MAX)
		in->lim.header_count = WIRE_HEADERS_MAX;
	http_in_reset(in);
	*ret = in;
	return 0;
}

void http_in_reset(struct http_in *in)
{
	struct http_in_limits lim = in->lim;
	char *head = in->head, *body = in->body;
	size_t cap = in->cap, body_cap = in->body_cap;

	if (cap > KEEP_MAX) {
		free(head);
		head = NULL;
		cap = 0;
	}
	if (body_cap > KEEP_MAX) {
		free(body);
		body = NULL;
		body_cap = 0;
	}
	memset(in, 0, offsetof(struct http_in, headers));
	in->lim = lim;
	in->head = head;
	in->cap = cap;
	in->body = body;
	in->body_cap = body_cap;
	llhttp_init(&in->parser, HTTP_REQUEST, &settings);
	in->parser.data = in;
}

struct http_in *http_in_free(struct http_in *in)
{
	if (!in)
		return NULL;
	http_in_reset(in);
	free(in->head);
	free(in->body);
	free(in);
	return NULL;
}

bool http_in_started(const struct http_in *in)
{
	return in->nhead > 0;
}

bool http_in_head_done(const struct http_in *in)
{
	return in->head_done;
}

bool http_in_expects_continue(const struct http_in *in)
{
	return in->expects && !in->nbody && !in->whole;
}

bool http_in_keep_alive(const struct http_in *in)
{
	return in->keep_alive;
}

bool http_in_is_head(const struct http_in *in)
{
	return in->nhead > 5 && !memcmp(in->head, "HEAD ", 5);
}

void http_in_request(const struct http_in *in, struct wire_request *r)
{
	*r = (struct wire_request){
		.method = in->method,
		.path = in->path,
		.query = in->query ? in->query : "",
		.headers = in->headers,
		.nheaders = in->nheaders,
		.body = in->nbody ? in->body : "",
		.len = in->nbody,
	};
}
