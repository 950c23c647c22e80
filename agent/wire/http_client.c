/* SPDX-License-Identifier: Apache-2.0 */
/* One call: its options, its bytes, its end. */
#include "http_client_i.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>

#include "tls.h"

enum { CALLS_MAX = 256 };
#define TIMEOUT_US 30000000
#define BODY_MAX   (1u << 20)

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

#define SET(k, opt, ...) (curl_easy_setopt((k)->easy, opt, __VA_ARGS__) != CURLE_OK)

/* Options, callbacks and errors of one call do not outlive it: curl keeps buffers over a reset, and
 * what we never turn on (cookies, the cache of TLS sessions). A peer's handle keeps what every call
 * to it sets, and each sets the rest anew. */
static void easy_put(struct http_call *k)
{
	struct http_client *c = k->c;

	if (!c || c->nidle == IDLE_MAX) {
		curl_easy_cleanup(k->easy);
		return;
	}
	if (!k->of)
		curl_easy_reset(k->easy);
	else if (SET(k, CURLOPT_POSTFIELDS, NULL) || SET(k, CURLOPT_HTTPHEADER, NULL) ||
		 SET(k, CURLOPT_ERRORBUFFER, NULL))
		k->of = NULL;
	c->idle[c->nidle].easy = k->easy;
	c->idle[c->nidle++].of = k->of;
}

/* True: it has what all calls to the peer set. */
static bool easy_get(struct http_call *k)
{
	struct http_client *c = k->c;
	size_t i = c ? c->nidle : 0;

	while (i && c->idle[i - 1].of != k->of)
		i--;
	if (i) {
		k->easy = c->idle[i - 1].easy;
		c->idle[i - 1] = c->idle[--c->nidle];
		return k->of != NULL;
	}
	if (c && c->nidle) {
		k->easy = c->idle[--c->nidle].easy;
		curl_easy_reset(k->easy);
	} else {
		k->easy = curl_easy_init();
	}
	return false;
}

static void call_free(struct http_call *k)
{
	if (!k)
		return;
	if (k->pool)
		http_pool_remove(k);
	if (k->easy)
		easy_put(k);
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

/* What the caller says of this call. */
static int call_options(struct http_call *k, const struct http_call_spec *s)
{
	bool post = !strcmp(s->method, "POST");
	int bad = 0;

	for (size_t i = 0; i < s->nheaders; i++)
		if (header_add(k, s->headers[i].name, s->headers[i].value))
			return -EINVAL;
	/* curl would wait a second for a 100 Continue before a large body. */
	if (header_add(k, "Expect", "") || header_add(k, "User-Agent", "treaty"))
		return -ENOMEM;
	bad |= SET(k, CURLOPT_URL, s->url);
	bad |= SET(k, CURLOPT_TIMEOUT_MS, (long)((k->timeout_us + 999) / 1000));
	bad |= SET(k, CURLOPT_HTTPHEADER, k->headers);
	bad |= SET(k, CURLOPT_WRITEDATA, k);
	bad |= SET(k, CURLOPT_ERRORBUFFER, k->error);
	bad |= SET(k, CURLOPT_PRIVATE, k);
	bad |= SET(k, CURLOPT_OPENSOCKETDATA, k);
	bad |= SET(k, CURLOPT_SSL_CTX_DATA, k);
	bad |= post ? SET(k, CURLOPT_POST, 1L) : SET(k, CURLOPT_HTTPGET, 1L);
	bad |= SET(k, CURLOPT_CUSTOMREQUEST, !strcmp(s->method, "DELETE") ? "DELETE" : NULL);
	if (post) {
		bad |= SET(k, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->len);
		bad |= SET(k, CURLOPT_COPYPOSTFIELDS, s->len ? s->body : "");
	}
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

/* What all calls of a peer have alike. */
static int call_kind(struct http_call *k, struct http_pool *p, const struct http_call_spec *s)
{
	int bad = 0;

	bad |= SET(k, CURLOPT_PROTOCOLS_STR, s->unix_path || s->plain ? "http" : "https");
	bad |= SET(k, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= SET(k, CURLOPT_NOPROXY, "*");
	bad |= SET(k, CURLOPT_NOSIGNAL, 1L);
	bad |= SET(k, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= SET(k, CURLOPT_WRITEFUNCTION, on_bytes);
	if (s->unix_path)
		bad |= SET(k, CURLOPT_UNIX_SOCKET_PATH, s->unix_path);
	if (bad || (p && http_pool_sockets(p, k->easy)))
		return -ENOMEM;
	if (s->unix_path || s->plain)
		return 0;
	return s->web ? call_web(k, s->web) : call_tls(k);
}

/* p NULL: http_call_sync(). */
static int call_new(struct http_call **ret, struct http_client *c, struct http_pool *p,
		    const struct http_call_spec *s, struct err *e)
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
	k->public_only = s->public_only;
	k->max = s->max_bytes ? s->max_bytes : BODY_MAX;
	k->timeout_us = s->timeout_us > 0 ? s->timeout_us : TIMEOUT_US;
	k->of = p && p->did[0] ? p : NULL;
	r = easy_get(k) ? 0 : k->easy ? call_kind(k, p, s) : -ENOMEM;
	if (r)
		k->of = NULL;
	else
		r = call_options(k, s);
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

void http_call_end(struct http_call *k, CURLcode code, const bool *freed)
{
	int err = call_errno(k, code);
	struct wire_response r;

	call_response(k, &r);
	http_pool_remove(k);
	k->done(k->arg, err, err ? NULL : &r,
		err ? (k->error[0] ? k->error : curl_easy_strerror(code)) : "");
	if (*freed)
		k->c = NULL;
	call_free(k);
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
	struct http_pool *p;

	if (!c)
		return NULL;
	if (c->freed)
		*c->freed = true;
	while ((k = LIST_FIRST(&c->calls)))
		call_free(k);
	while ((p = SLIST_FIRST(&c->pools))) {
		SLIST_REMOVE_HEAD(&c->pools, entry);
		http_pool_free(p);
	}
	while (c->nidle)
		curl_easy_cleanup(c->idle[--c->nidle].easy);
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
	struct http_pool *p = NULL;
	int r = start_check(c, s, e);

	if (r)
		return r;
	r = http_pool_get(&p, c, s->unix_path || s->plain || s->web ? "" : s->did, s->public_only);
	if (r)
		return err_set(e, r, "http call: too many peers or no memory");
	r = call_new(&k, c, p, s, e);
	if (r)
		return r;
	k->done = done;
	k->arg = arg;
	r = http_pool_add(p, k);
	if (r) {
		call_free(k);
		return err_set(
			e, r, r == -EIO ? "http call: libcurl refused it" : "http call: no memory");
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
	r = call_new(&k, NULL, NULL, s, e);
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
