/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's connection cache knows nothing of our DID check: it would hand a connection opened for
 * one DID to a call that expects another at the same address. So each expected DID has a multi
 * handle, and with it a cache, of its own. */
#include "http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/queue.h>

#include "agent/loop.h"
#include "http_addr.h"
#include "tls.h"

enum { CALLS_MAX = 256, POOLS_MAX = 64, SOCKS_PER_POOL = 56, IDLE_MAX = 64 };
#define TIMEOUT_US 30000000
#define BODY_MAX   (1u << 20)

struct sock {
	SLIST_ENTRY(sock) entry;
	struct pool *pool;
	struct loop_fd *watch;
};

struct pool {
	SLIST_ENTRY(pool) entry;
	struct http_client *c;
	char did[WIRE_DID_MAX]; /* "" = unix sockets */
	bool public_only;       /* connections whose address was looked at */
	CURLM *multi;
	struct loop_timer *timer;
	SLIST_HEAD(, sock) socks;
};

struct http_call {
	LIST_ENTRY(http_call) entry;
	struct http_client *c;
	struct pool *pool;
	CURL *easy;
	struct curl_slist *headers;
	char *in;
	size_t nin, cap, max;
	bool too_large, private_addr;
	struct wire_header got[WIRE_HEADERS_MAX];
	size_t ngot;
	char error[CURL_ERROR_SIZE];
	http_done_fn done;
	int (*on_data)(void *arg, const struct wire_response *head, const char *p, size_t n);
	void *arg;
};

struct http_client {
	struct loop *loop;
	const struct tls_id *id;
	SLIST_HEAD(, pool) pools;
	LIST_HEAD(, http_call) calls;
	size_t ncalls, npools;
	CURL *idle[IDLE_MAX]; /* reset, with their buffers: one is 20 kB to make and to clear */
	size_t nidle;
	bool *freed; /* set while callbacks run */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
	wire_ignore_sigpipe();
	(void)curl_global_init(CURL_GLOBAL_ALL);
}

/* --- one call --------------------------------------------------------------------------------- */

static void call_response(struct http_call *k, struct wire_response *r);

static size_t on_bytes(char *p, size_t one, size_t n, void *arg)
{
	struct http_call *k = arg;
	struct wire_response head;

	(void)one;
	if (k->on_data) {
		call_response(k, &head);
		if (head.status == 200)
			return k->on_data(k->arg, &head, p, n) ? 0 : n;
	}
	if (n > k->max - k->nin) {
		k->too_large = true;
		return 0;
	}
	if (k->nin + n + 1 > k->cap) {
		size_t cap = k->cap * 2 > k->nin + n + 1 ? k->cap * 2 : k->nin + n + 1;
		char *b = realloc(k->in, cap);

		if (!b)
			return 0;
		k->in = b;
		k->cap = cap;
	}
	memcpy(k->in + k->nin, p, n);
	k->nin += n;
	k->in[k->nin] = 0;
	return n;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
	struct http_call *k = arg;

	(void)easy;
	return tls_client_setup(ctx, k->c->id, k->pool->did) ? CURLE_SSL_CERTPROBLEM : CURLE_OK;
}

/* The last moment before a connection, with the address it will have: whatever a name meant when
 * somebody looked, this is what it means now. */
static curl_socket_t on_socket(void *arg, curlsocktype what, struct curl_sockaddr *a)
{
	struct http_call *k = arg;

	if (what != CURLSOCKTYPE_IPCXN || !http_addr_public(&a->addr)) {
		k->private_addr = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Options, callbacks and errors of one call do not outlive it: curl keeps buffers over a reset, and
 * what we never turn on (cookies, the cache of TLS sessions). */
static void easy_put(struct http_client *c, CURL *easy)
{
	if (!c || c->nidle == IDLE_MAX) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	c->idle[c->nidle++] = easy;
}

static CURL *easy_get(struct http_client *c)
{
	return c && c->nidle ? c->idle[--c->nidle] : curl_easy_init();
}

static void call_free(struct http_call *k)
{
	if (!k)
		return;
	if (k->pool) {
		(void)curl_multi_remove_handle(k->pool->multi, k->easy);
		LIST_REMOVE(k, entry);
		k->c->ncalls--;
	}
	if (k->easy)
		easy_put(k->c, k->easy);
	curl_slist_free_all(k->headers);
	free(k->in);
	free(k);
}

static int header_add(struct http_call *k, const char *name, const char *value)
{
	char line[2048];
	int n = snprintf(line, sizeof(line), "%s: %s", name, value);
	struct curl_slist *l;

	if (n < 0 || (size_t)n >= sizeof(line) || strpbrk(line, "\r\n"))
		return -EINVAL;
	l = curl_slist_append(k->headers, line);
	if (!l)
		return -ENOMEM;
	k->headers = l;
	return 0;
}

#define SET(k, opt, ...) (curl_easy_setopt((k)->easy, opt, __VA_ARGS__) != CURLE_OK)

static int call_options(struct http_call *k, const struct http_call_spec *s)
{
	int64_t us = s->timeout_us > 0 ? s->timeout_us : TIMEOUT_US;
	int bad = 0;

	for (size_t i = 0; i < s->nheaders; i++)
		if (header_add(k, s->headers[i].name, s->headers[i].value))
			return -EINVAL;
	/* curl would wait a second for a 100 Continue before a large body. */
	if (header_add(k, "Expect", "") || header_add(k, "User-Agent", "treaty"))
		return -ENOMEM;
	bad |= SET(k, CURLOPT_URL, s->url);
	bad |= SET(k, CURLOPT_PROTOCOLS_STR, s->unix_path || s->plain ? "http" : "https");
	if (s->public_only) {
		bad |= SET(k, CURLOPT_OPENSOCKETFUNCTION, on_socket);
		bad |= SET(k, CURLOPT_OPENSOCKETDATA, k);
	}
	bad |= SET(k, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= SET(k, CURLOPT_NOPROXY, "*");
	bad |= SET(k, CURLOPT_NOSIGNAL, 1L);
	bad |= SET(k, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= SET(k, CURLOPT_TIMEOUT_MS, (long)((us + 999) / 1000));
	bad |= SET(k, CURLOPT_HTTPHEADER, k->headers);
	bad |= SET(k, CURLOPT_WRITEFUNCTION, on_bytes);
	bad |= SET(k, CURLOPT_WRITEDATA, k);
	bad |= SET(k, CURLOPT_ERRORBUFFER, k->error);
	bad |= SET(k, CURLOPT_PRIVATE, k);
	if (!strcmp(s->method, "POST")) {
		bad |= SET(k, CURLOPT_POST, 1L);
		bad |= SET(k, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->len);
		bad |= SET(k, CURLOPT_COPYPOSTFIELDS, s->len ? s->body : "");
	}
	if (!strcmp(s->method, "DELETE"))
		bad |= SET(k, CURLOPT_CUSTOMREQUEST, "DELETE");
	if (s->unix_path)
		bad |= SET(k, CURLOPT_UNIX_SOCKET_PATH, s->unix_path);
	return bad ? -ENOMEM : 0;
}

static int call_tls(struct http_call *k)
{
	int bad = 0;

	bad |= SET(k, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	bad |= SET(k, CURLOPT_SSL_VERIFYPEER, 1L);
	bad |= SET(k, CURLOPT_SSL_VERIFYHOST, 2L);
	bad |= SET(k, CURLOPT_CAINFO, NULL); /* our store replaces the system's */
	bad |= SET(k, CURLOPT_CAPATH, NULL);
	bad |= SET(k, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	bad |= SET(k, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
	bad |= SET(k, CURLOPT_SSL_CTX_DATA, k);
	return bad ? -ENOMEM : 0;
}

/* Nothing of ours is shown, and nothing is kept open: what is asked rarely needs no cache. */
static int call_web(struct http_call *k, const struct http_web *w)
{
	int bad = 0;

	bad |= SET(k, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	bad |= SET(k, CURLOPT_SSL_VERIFYPEER, 1L);
	bad |= SET(k, CURLOPT_SSL_VERIFYHOST, 2L);
	if (w->ca[0]) {
		bad |= SET(k, CURLOPT_CAINFO, w->ca);
		bad |= SET(k, CURLOPT_CAPATH, NULL);
	}
	if (w->pins[0])
		bad |= SET(k, CURLOPT_PINNEDPUBLICKEY, w->pins);
	bad |= SET(k, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	bad |= SET(k, CURLOPT_FRESH_CONNECT, 1L);
	bad |= SET(k, CURLOPT_FORBID_REUSE, 1L);
	return bad ? -ENOMEM : 0;
}

static int call_new(struct http_call **ret, struct http_client *c, const struct http_call_spec *s,
		    struct err *e)
{
	struct http_call *k;
	int r;

	if (!s->url || !s->method ||
	    (strcmp(s->method, "GET") && strcmp(s->method, "POST") && strcmp(s->method, "DELETE")))
		return err_set(e, -EINVAL, "http call: a method and a url are needed");
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(e, -ENOMEM, "http call: no memory");
	(void)pthread_once(&curl_once, curl_init);
	k->c = c;
	k->on_data = s->on_data;
	k->max = s->max_bytes ? s->max_bytes : BODY_MAX;
	k->easy = easy_get(c);
	r = k->easy ? call_options(k, s) : -ENOMEM;
	if (r) {
		call_free(k);
		return err_set(e, r, "http call: bad header or no memory");
	}
	*ret = k;
	return 0;
}

static int call_errno(const struct http_call *k, CURLcode code)
{
	if (k->too_large)
		return -EMSGSIZE;
	if (k->private_addr)
		return -EPERM;
	switch (code) {
	case CURLE_OK: return 0;
	case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR: return -EACCES;
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH: return -EKEYREJECTED;
	case CURLE_COULDNT_CONNECT: return -ECONNREFUSED;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR: return -ECONNRESET;
	/* In TLS 1.3 a server's refusal of our certificate is seen by the first read. */
	case CURLE_RECV_ERROR: return strstr(k->error, "alert") ? -EACCES : -ECONNRESET;
	default: return -EIO;
	}
}

/* The header strings are libcurl's and live until the handle is next used. */
static void call_response(struct http_call *k, struct wire_response *r)
{
	struct curl_header *h = NULL;
	long status = 0;

	k->ngot = 0;
	(void)curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
	while (k->ngot < WIRE_HEADERS_MAX &&
	       (h = curl_easy_nextheader(k->easy, CURLH_HEADER, -1, h)))
		k->got[k->ngot++] = (struct wire_header){ h->name, h->value };
	*r = (struct wire_response){ .status = (int)status,
				     .headers = k->got,
				     .nheaders = k->ngot,
				     .body = k->in ? k->in : "",
				     .len = k->nin };
	for (size_t i = 0; i < k->ngot; i++)
		if (!strcasecmp(k->got[i].name, "Content-Type"))
			r->content_type = k->got[i].value;
}

/* --- the multi handle on our loop --------------------------------------------------------------
 */

/* Callbacks may start calls, cancel others, or free the client; so one result at a time, and
 * nothing of ours is touched after a callback that freed us. */
static void collect(struct pool *p)
{
	struct http_client *c = p->c;
	bool freed = false, *outer = c->freed;
	CURLMsg *m;
	int left;

	c->freed = &freed;
	while (!freed && (m = curl_multi_info_read(p->multi, &left))) {
		struct http_call *k = NULL;
		struct wire_response r;
		int err;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &k);
		err = call_errno(k, m->data.result);
		call_response(k, &r);
		(void)curl_multi_remove_handle(p->multi, k->easy);
		LIST_REMOVE(k, entry);
		c->ncalls--;
		k->pool = NULL;
		k->done(k->arg, err, err ? NULL : &r,
			err ? (k->error[0] ? k->error : curl_easy_strerror(m->data.result)) : "");
		if (freed)
			k->c = NULL;
		call_free(k);
	}
	if (!freed)
		c->freed = outer;
	else if (outer)
		*outer = true;
}

static void on_sock(void *arg, int fd, unsigned what)
{
	struct sock *s = arg;
	struct pool *p = s->pool;
	int bits = (what & LOOP_READ ? CURL_CSELECT_IN : 0) |
		   (what & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	(void)curl_multi_socket_action(p->multi, fd, bits, &running); /* may free s */
	collect(p);
}

static void on_timer(void *arg)
{
	struct pool *p = arg;
	int running;

	p->timer = NULL;
	(void)curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(p);
}

static int set_timer(CURLM *m, long ms, void *arg)
{
	struct pool *p = arg;

	(void)m;
	loop_cancel(p->c->loop, p->timer);
	p->timer = NULL;
	if (ms < 0)
		return 0;
	p->timer = loop_after(p->c->loop, (int64_t)ms * 1000, on_timer, p);
	return p->timer ? 0 : -1;
}

static void sock_free(struct sock *s)
{
	(void)loop_fd_free(s->watch);
	SLIST_REMOVE(&s->pool->socks, s, sock, entry);
	free(s);
}

static int set_sock(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
	struct pool *p = arg;
	struct sock *s = sockp;
	unsigned bits =
		(what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			sock_free(s);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->pool = p;
		SLIST_INSERT_HEAD(&p->socks, s, entry);
		(void)curl_multi_assign(p->multi, fd, s);
	}
	(void)loop_fd_free(s->watch);
	s->watch = loop_watch(p->c->loop, fd, bits, on_sock, s);
	return s->watch ? 0 : -1;
}

static void pool_free(struct pool *p)
{
	struct sock *s;

	(void)curl_multi_cleanup(p->multi);
	while ((s = SLIST_FIRST(&p->socks)))
		sock_free(s);
	loop_cancel(p->c->loop, p->timer);
	free(p);
}

static int pool_get(struct pool **ret, struct http_client *c, const char *did, bool public_only)
{
	struct pool *p;

	SLIST_FOREACH(p, &c->pools, entry)
	{
		if (strcmp(p->did, did) || p->public_only != public_only)
			continue;
		*ret = p;
		return 0;
	}
	if (c->npools == POOLS_MAX)
		return -EBUSY;
	p = calloc(1, sizeof(*p));
	if (!p || !str_set(p->did, did)) {
		free(p);
		return -ENOMEM;
	}
	p->c = c;
	p->public_only = public_only;
	p->multi = curl_multi_init();
	SLIST_INIT(&p->socks);
	if (!p->multi || curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, set_sock) ||
	    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p) ||
	    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, set_timer) ||
	    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p) ||
	    curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) ||
	    curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)SOCKS_PER_POOL) ||
	    /* Else it keeps four a call under way: a burst's connections would not outlive it. */
	    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)SOCKS_PER_POOL)) {
		pool_free(p);
		return -ENOMEM;
	}
	SLIST_INSERT_HEAD(&c->pools, p, entry);
	c->npools++;
	*ret = p;
	return 0;
}

/* --- public ----------------------------------------------------------------------------------- */

int http_client_new(struct http_client **ret, struct loop *l, const struct tls_id *id)
{
	struct http_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->loop = l;
	c->id = id;
	SLIST_INIT(&c->pools);
	LIST_INIT(&c->calls);
	*ret = c;
	return 0;
}

struct http_client *http_client_free(struct http_client *c)
{
	struct http_call *k;
	struct pool *p;

	if (!c)
		return NULL;
	if (c->freed)
		*c->freed = true;
	while ((k = LIST_FIRST(&c->calls)))
		call_free(k);
	while ((p = SLIST_FIRST(&c->pools))) {
		SLIST_REMOVE_HEAD(&c->pools, entry);
		pool_free(p);
	}
	while (c->nidle)
		curl_easy_cleanup(c->idle[--c->nidle]);
	free(c);
	return NULL;
}

static int start_check(const struct http_client *c, const struct http_call_spec *s, struct err *e)
{
	if (c->ncalls == CALLS_MAX)
		return err_set(e, -EBUSY, "http call: %d are under way", CALLS_MAX);
	if (s->unix_path || s->plain || s->web)
		return 0;
	if (!c->id)
		return err_set(e, -EINVAL, "http call: no TLS identity");
	if (!s->did || strncmp(s->did, "did:", 4) || strlen(s->did) >= WIRE_DID_MAX)
		return err_set(e, -EINVAL, "http call: the peer's DID is needed");
	return 0;
}

int http_call_start(struct http_call **ret, struct http_client *c, const struct http_call_spec *s,
		    http_done_fn done, void *arg, struct err *e)
{
	struct http_call *k = NULL;
	struct pool *p = NULL;
	int r = start_check(c, s, e);

	if (!r)
		r = call_new(&k, c, s, e);
	if (r)
		return r;
	k->done = done;
	k->arg = arg;
	r = pool_get(&p, c, s->unix_path || s->plain || s->web ? "" : s->did, s->public_only);
	if (!r && s->web)
		r = call_web(k, s->web);
	else if (!r && !s->unix_path && !s->plain)
		r = call_tls(k);
	if (r) {
		call_free(k);
		return err_set(e, r, "http call: too many peers or no memory");
	}
	k->pool = p;
	LIST_INSERT_HEAD(&c->calls, k, entry);
	c->ncalls++;
	if (curl_multi_add_handle(p->multi, k->easy)) {
		call_free(k);
		return err_set(e, -EIO, "http call: libcurl refused it");
	}
	if (ret)
		*ret = k;
	return 0;
}

void http_call_cancel(struct http_call *call)
{
	call_free(call);
}

int http_call_sync(const struct http_call_spec *s, int *ret_status, char **ret_body,
		   size_t *ret_len, struct err *e)
{
	struct wire_response resp;
	struct http_call *k = NULL;
	CURLcode code;
	int r;

	if (!s->unix_path)
		return err_set(e, -EINVAL, "http call: a unix socket path is needed");
	r = call_new(&k, NULL, s, e);
	if (r)
		return r;
	code = curl_easy_perform(k->easy);
	r = call_errno(k, code);
	call_response(k, &resp);
	if (r) {
		(void)err_set(e, r, "%s: %s", s->unix_path,
			      k->error[0] ? k->error : curl_easy_strerror(code));
	} else {
		*ret_status = resp.status;
		*ret_len = k->nin;
		*ret_body = k->in ? TAKE_PTR(k->in) : strdup("");
		r = *ret_body ? 0 : -ENOMEM;
	}
	call_free(k);
	return r;
}
