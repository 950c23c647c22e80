/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include "agent/log.h"
#include "agent/loop.h"
#include "agent/wire/http_addr.h"
#include "agent/wire/http_client.h"

#include <errno.h>
#include <stdio.h>

#define TRY_AGAIN_US  5000000 /* after a failure */
#define KEEP_CHECK_US 1000000

struct page {
	char url[FETCH_URL_MAX]; /* "" = free */
	struct json_limits lim;
	json_t *js;  /* last good copy */
	mono_t came; /* when */
	mono_t failed;
	bool has_failed; /* the last try did */
	bool keep;
	char why[120];
	struct http_call *call;
	struct fetch *f;
	uint64_t used; /* the one used longest ago makes room */
};

struct waiter {
	struct page *page; /* NULL = free */
	fetch_fn fn;
	void *arg;
};

struct fetch {
	const struct config *cfg;
	struct loop *loop;
	struct http_client *client;
	struct loop_timer *timer;
	struct page page[FETCH_URLS];
	struct waiter waiter[FETCH_WAITERS];
	uint64_t uses;
};

static const struct cfg_web *host_of(const struct fetch *f, const char *url)
{
	char host[128];
	size_t n;

	if (strncmp(url, "https://", 8) != 0)
		return NULL;
	n = strcspn(url + 8, ":/?");
	if (!n || n >= sizeof(host))
		return NULL;
	memcpy(host, url + 8, n);
	host[n] = 0;
	return config_web(f->cfg, host);
}

int fetch_may(const struct fetch *f, const char *url, struct err *e)
{
	const struct cfg_web *w;
	int r = http_url_check(url, true, false, e); /* the address itself is looked at later */

	if (!r && strlen(url) >= FETCH_URL_MAX)
		r = err_set(e, -EINVAL, "url: at most %d bytes", FETCH_URL_MAX - 1);
	if (r)
		return r;
	w = host_of(f, url);
	return w ? 0
		 : err_set(e, -EACCES, "%.100s: its host is no [web] of the configuration", url);
}

static struct page *find(const struct fetch *f, const char *url)
{
	for (size_t i = 0; i < FETCH_URLS; i++)
		if (f->page[i].url[0] && !strcmp(f->page[i].url, url))
			return (struct page *)(uintptr_t)&f->page[i];
	return NULL;
}

static bool waited_for(const struct fetch *f, const struct page *p)
{
	for (size_t i = 0; i < FETCH_WAITERS; i++)
		if (f->waiter[i].page == p)
			return true;
	return false;
}

static struct page *make(struct fetch *f, const char *url, const struct json_limits *lim)
{
	struct page *p = NULL;

	for (size_t i = 0; i < FETCH_URLS; i++) {
		struct page *q = &f->page[i];

		if (!q->url[0]) {
			p = q;
			break;
		}
		if (!q->keep && !q->call && !waited_for(f, q) && (!p || q->used < p->used))
			p = q;
	}
	if (!p)
		return NULL;
	json_decref(p->js);
	*p = (struct page){ .f = f, .lim = *lim };
	str_cut(p->url, url);
	return p;
}

static int64_t age_ms(const struct fetch *f, mono_t t)
{
	return (loop_now(f->loop).us - t.us) / 1000;
}

static bool within(const struct fetch *f, const struct page *p, uint32_t limit_s, int64_t max_ms)
{
	int64_t age = age_ms(f, p->came);

	return p->js && age < (int64_t)limit_s * 1000 && (!max_ms || age < max_ms);
}

const json_t *fetch_copy(struct fetch *f, const char *url, int64_t max_age_ms, const char **why)
{
	struct page *p = find(f, url);

	if (why)
		*why = !p ? "never fetched" : p->has_failed ? p->why : "too old";
	if (!p)
		return NULL;
	p->used = ++f->uses;
	return within(f, p, f->cfg->trust.fetch_stale_s, max_age_ms) ? p->js : NULL;
}

mono_t fetch_time(const struct fetch *f, const char *url)
{
	const struct page *p = find(f, url);

	return p && p->js ? p->came : (mono_t){ 0 };
}

bool fetch_due(struct fetch *f, const char *url, int64_t max_age_ms)
{
	const struct page *p = find(f, url);

	if (!p)
		return !fetch_may(f, url, NULL);
	if (within(f, p, f->cfg->trust.fetch_life_s, max_age_ms))
		return false;
	return !p->has_failed || loop_now(f->loop).us - p->failed.us >= TRY_AGAIN_US;
}

/* Those who wait are told after the page says how it went; each may ask for more. */
static void tell(struct fetch *f, const struct page *p)
{
	for (size_t i = 0; i < FETCH_WAITERS; i++) {
		struct waiter w = f->waiter[i];

		if (w.page != p)
			continue;
		f->waiter[i].page = NULL;
		w.fn(w.arg);
	}
}

static const char *location(const struct wire_response *r)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (!strcasecmp(r->headers[i].name, "Location"))
			return r->headers[i].value;
	return "nowhere";
}

static int read_page(struct page *p, const struct wire_response *r, json_t **ret)
{
	struct err e = { 0 };
	int k;

	if (r->status >= 300 && r->status < 400)
		(void)snprintf(p->why, sizeof(p->why), "a redirect to %.60s: not followed",
			       location(r));
	else if (r->status != 200)
		(void)snprintf(p->why, sizeof(p->why), "status %d", r->status);
	if (r->status != 200)
		return -EPROTO;
	k = json_read(ret, r->body, r->len, &p->lim, &e);
	if (k)
		(void)snprintf(p->why, sizeof(p->why), "%.110s", e.text);
	return k;
}

static const char *reason(int err, const char *text)
{
	switch (err) {
	case -EPERM: return "its address is not public";
	case -EMSGSIZE: return "too large";
	case -ETIMEDOUT: return "no answer in time";
	case -EKEYREJECTED: return "none of the configured pins is its key's";
	case -EACCES: return "its certificate is not one of the configured authority for this host";
	default: return text;
	}
}

static void done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct page *p = arg;
	struct fetch *f = p->f;
	json_t *js = NULL;

	p->call = NULL;
	if (err)
		(void)snprintf(p->why, sizeof(p->why), "%.110s", reason(err, text));
	else
		err = read_page(p, r, &js);
	p->has_failed = err != 0;
	if (err) {
		p->failed = loop_now(f->loop);
		log_warn("%s: %s", p->url, p->why);
	} else {
		json_decref(p->js);
		p->js = js;
		p->came = loop_now(f->loop);
		p->why[0] = 0;
	}
	tell(f, p);
}

static int start(struct fetch *f, struct page *p, struct err *e)
{
	const struct cfg_web *w = host_of(f, p->url);
	const struct http_web web = { w->ca, w->pin };
	static const struct wire_header accept[] = {
		{ "Accept", "application/did+json, application/vc, application/json" }
	};
	const struct http_call_spec s = { .method = "GET",
					  .url = p->url,
					  .headers = accept,
					  .nheaders = ARRAY_LEN(accept),
					  .timeout_us = (int64_t)f->cfg->trust.fetch_wait_ms * 1000,
					  .max_bytes = p->lim.bytes,
					  .public_only = !w->local,
					  .web = &web };

	return p->call ? 0 : http_call_start(&p->call, f->client, &s, done, p, e);
}

int fetch_ask(struct fetch *f, const char *url, const struct json_limits *lim, fetch_fn fn,
	      void *arg, struct err *e)
{
	struct waiter *w = NULL;
	struct page *p;
	int r = fetch_may(f, url, e);

	if (r)
		return r;
	for (size_t i = 0; !w && i < FETCH_WAITERS; i++)
		if (!f->waiter[i].page)
			w = &f->waiter[i];
	p = find(f, url);
	if (!p)
		p = make(f, url, lim);
	if (!w || !p)
		return err_set(e, -EBUSY, "fetch: too much is under way");
	p->used = ++f->uses;
	r = start(f, p, e);
	if (!r)
		*w = (struct waiter){ p, fn, arg };
	return r;
}

void fetch_leave(struct fetch *f, const void *arg)
{
	for (size_t i = 0; f && i < FETCH_WAITERS; i++)
		if (f->waiter[i].page && f->waiter[i].arg == arg)
			f->waiter[i].page = NULL;
}

/* --- what is kept at hand -------------------------------------------------------------------- */

static void refresh(void *arg)
{
	struct fetch *f = arg;
	struct err e = { 0 };

	f->timer = loop_after(f->loop, KEEP_CHECK_US, refresh, f);
	for (size_t i = 0; i < FETCH_URLS; i++)
		if (f->page[i].url[0] && f->page[i].keep && fetch_due(f, f->page[i].url, 0) &&
		    start(f, &f->page[i], &e))
			log_warn("%s: %s", f->page[i].url, e.text);
}

int fetch_keep(struct fetch *f, const char *url, const struct json_limits *lim, struct err *e)
{
	struct page *p;
	int r = fetch_may(f, url, e);

	if (r)
		return r;
	p = find(f, url);
	if (!p)
		p = make(f, url, lim);
	if (!p)
		return err_set(e, -EBUSY, "fetch: more than %d documents", FETCH_URLS);
	p->keep = true;
	return start(f, p, e);
}

int fetch_new(struct fetch **ret, const struct config *c, struct loop *l)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->cfg = c;
	f->loop = l;
	f->timer = loop_after(l, KEEP_CHECK_US, refresh, f);
	if (!f->timer || http_client_new(&f->client, l, NULL)) {
		(void)fetch_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

struct fetch *fetch_free(struct fetch *f)
{
	if (!f)
		return NULL;
	loop_cancel(f->loop, f->timer);
	f->client = http_client_free(f->client);
	for (size_t i = 0; i < FETCH_URLS; i++)
		json_decref(f->page[i].js);
	free(f);
	return NULL;
}
