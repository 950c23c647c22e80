/* SPDX-License-Identifier: Apache-2.0 */
#include "http_push.h"

#include <errno.h>
#include <stdio.h>
#include <sys/queue.h>

#include "agent/log.h"
#include "agent/loop.h"
#include "http_addr.h"
#include "http_client.h"

enum { TRIES = 3, QUEUED_PER_HOOK = 64, CALLS_PER_OWNER = 8 };

struct note {
	STAILQ_ENTRY(note) entry;
	char *body;
};

/* One webhook with something to say. */
struct hook {
	LIST_ENTRY(hook) entry;
	struct http_push *p;
	char key[2 * A2A_ID_MAX + 2];
	char *url, *did, *token, *authorization;
	STAILQ_HEAD(, note) notes;
	size_t n;
	unsigned tries; /* of the first note */
	struct http_call *call;
	struct loop_timer *timer;
	bool waits; /* until its owner has fewer calls under way */
};

struct http_push {
	struct http_push_config cfg;
	struct loop *loop;
	struct http_client *client;
	LIST_HEAD(, hook) hooks;
	size_t queued;
	struct http_push_stats stats;
};

static void note_drop(struct hook *h)
{
	struct note *n = STAILQ_FIRST(&h->notes);

	STAILQ_REMOVE_HEAD(&h->notes, entry);
	h->n--;
	h->p->queued--;
	h->tries = 0;
	free(n->body);
	free(n);
}

static void hook_free(struct hook *h)
{
	if (h->call)
		http_call_cancel(h->call);
	loop_cancel(h->p->loop, h->timer);
	while (!STAILQ_EMPTY(&h->notes))
		note_drop(h);
	LIST_REMOVE(h, entry);
	free(h->url);
	free(h->did);
	free(h->token);
	free(h->authorization);
	free(h);
}

static void go(struct hook *h);

static void again(void *arg)
{
	struct hook *h = arg;

	h->timer = NULL;
	go(h);
}

/* A try failed: later once more, or never. */
static void failed(struct hook *h, const char *text)
{
	int64_t wait = h->p->cfg.retry_us << (2 * (h->tries - 1));

	if (h->tries < TRIES)
		h->timer = loop_after(h->p->loop, wait, again, h);
	if (h->timer)
		return;
	log_warn("push to %.100s: given up: %.100s", h->url, text);
	h->p->stats.failed++;
	note_drop(h);
	go(h);
}

static unsigned calls_of(const struct http_push *p, const char *did)
{
	const struct hook *h;
	unsigned n = 0;

	LIST_FOREACH(h, &p->hooks, entry)
	n += h->call && !strcmp(h->did, did);
	return n;
}

/* Of the owner's hooks the one that has waited longest. */
static struct hook *waiting(const struct http_push *p, const char *did)
{
	struct hook *h, *last = NULL;

	LIST_FOREACH(h, &p->hooks, entry)
	if (h->waits && !strcmp(h->did, did))
		last = h;
	return last;
}

static void done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct hook *h = arg, *other;
	char status[32];

	h->call = NULL;
	while ((other = waiting(h->p, h->did)) && calls_of(h->p, h->did) < CALLS_PER_OWNER)
		go(other);
	if (!err && r->status >= 200 && r->status < 300) {
		h->p->stats.delivered++;
		note_drop(h);
		go(h);
		return;
	}
	(void)snprintf(status, sizeof(status), "status %d", err ? 0 : r->status);
	failed(h, err ? text : status);
}

static void go(struct hook *h)
{
	struct note *n = STAILQ_FIRST(&h->notes);
	struct wire_header hd[3] = { { "Content-Type", "application/a2a+json" } };
	struct http_call_spec s = { .method = "POST",
				    .url = h->url,
				    .did = h->did,
				    .headers = hd,
				    .nheaders = 1,
				    .timeout_us = h->p->cfg.timeout_us,
				    .max_bytes = 4096,
				    .public_only = !h->p->cfg.private_ok,
				    .plain = !strncmp(h->url, "http://", 7) };
	struct err e = { 0 };

	if (!n) {
		hook_free(h);
		return;
	}
	/* Webhooks that do not answer would take every call that the process may have. */
	h->waits = calls_of(h->p, h->did) >= CALLS_PER_OWNER;
	if (h->waits)
		return;
	if (h->token[0])
		hd[s.nheaders++] = (struct wire_header){ "X-A2A-Notification-Token", h->token };
	if (h->authorization[0])
		hd[s.nheaders++] = (struct wire_header){ "Authorization", h->authorization };
	s.body = n->body;
	s.len = strlen(n->body);
	h->tries++;
	h->p->stats.tries++;
	if (http_call_start(&h->call, h->p->client, &s, done, h, &e)) {
		h->call = NULL;
		failed(h, e.text);
	}
}

static int text_set(char **to, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* A configuration that was replaced holds for what waits, too. */
static int hook_point(struct hook *h, const struct a2a_push *n)
{
	return text_set(&h->url, n->url) || text_set(&h->token, n->token) ||
			       text_set(&h->authorization, n->authorization)
		       ? -ENOMEM
		       : 0;
}

static struct hook *hook_new(struct http_push *p, const struct a2a_push *n, const char *key)
{
	struct hook *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->p = p;
	STAILQ_INIT(&h->notes);
	LIST_INSERT_HEAD(&p->hooks, h, entry);
	if (!text_set(&h->did, n->owner) && !hook_point(h, n) && str_set(h->key, key))
		return h;
	hook_free(h);
	return NULL;
}

static struct hook *hook_find(const struct http_push *p, const char *key)
{
	struct hook *h;

	LIST_FOREACH(h, &p->hooks, entry)
	if (!strcmp(h->key, key))
		return h;
	return NULL;
}

static bool has_room(const struct http_push *p, const struct hook *h, const char *owner)
{
	const struct hook *x;
	size_t mine = 0;

	if (p->queued >= p->cfg.max_queued || (h && h->n >= QUEUED_PER_HOOK))
		return false;
	if (p->queued < p->cfg.max_owner_queued)
		return true;
	LIST_FOREACH(x, &p->hooks, entry)
	mine += strcmp(x->did, owner) ? 0 : x->n;
	return mine < p->cfg.max_owner_queued;
}

void http_push_send(void *arg, const struct a2a_push *n)
{
	struct http_push *p = arg;
	char key[2 * A2A_ID_MAX + 2];
	struct hook *h;
	struct note *note = NULL;

	(void)snprintf(key, sizeof(key), "%s/%s", n->task_id, n->config_id);
	h = hook_find(p, key);
	if (has_room(p, h, n->owner))
		note = calloc(1, sizeof(*note));
	if (note)
		note->body = strdup(n->body);
	if (note && note->body)
		h = !h ? hook_new(p, n, key) : hook_point(h, n) ? NULL : h;
	if (!note || !note->body || !h) {
		if (note)
			free(note->body);
		free(note);
		p->stats.dropped++;
		return;
	}
	STAILQ_INSERT_TAIL(&h->notes, note, entry);
	h->n++;
	p->queued++;
	if (!h->call && !h->timer)
		go(h);
}

int http_push_check(void *arg, const struct peer *p, const char *url, struct err *e)
{
	const struct http_push *push = arg;

	if (!p->did[0] && !push->cfg.plain_ok)
		return err_set(e, -EINVAL, "url: only a caller with a DID can be called back");
	return http_url_check(url, push->cfg.private_ok, push->cfg.plain_ok, e);
}

int http_push_new(struct http_push **ret, struct loop *l, struct http_client *c,
		  const struct http_push_config *cfg)
{
	struct http_push *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->cfg = *cfg;
	p->cfg.max_queued = cfg->max_queued ? cfg->max_queued : 1024;
	p->cfg.max_owner_queued =
		cfg->max_owner_queued ? cfg->max_owner_queued : p->cfg.max_queued / 4;
	p->cfg.retry_us = cfg->retry_us ? cfg->retry_us : 1000000;
	p->cfg.timeout_us = cfg->timeout_us ? cfg->timeout_us : 10000000;
	p->loop = l;
	p->client = c;
	LIST_INIT(&p->hooks);
	*ret = p;
	return 0;
}

struct http_push *http_push_free(struct http_push *p)
{
	if (!p)
		return NULL;
	while (!LIST_EMPTY(&p->hooks))
		hook_free(LIST_FIRST(&p->hooks));
	free(p);
	return NULL;
}

struct http_push_stats http_push_stats(const struct http_push *p)
{
	return p->stats;
}
