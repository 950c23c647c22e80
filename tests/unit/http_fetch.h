/* SPDX-License-Identifier: Apache-2.0 */
/* http_fetch.h - one call of our client to the lab's server, until it has ended. */
#ifndef TREATY_HTTP_FETCH_H
#define TREATY_HTTP_FETCH_H

#include "http_lab.h"

struct got {
	int err, status, calls;
	size_t len, headers;
	char text[256], body[256], type[64];
};

static void on_done(void *arg, int err, const struct wire_response *r, const char *text)
{
	struct got *g = arg;

	g->calls++;
	g->err = err;
	(void)snprintf(g->text, sizeof(g->text), "%s", text);
	if (r) {
		g->status = r->status;
		g->len = r->len;
		g->headers = r->nheaders;
		(void)snprintf(g->body, sizeof(g->body), "%.200s", r->body);
		(void)snprintf(g->type, sizeof(g->type), "%s",
			       r->content_type ? r->content_type : "");
	}
	loop_stop(loop, 0);
}

static struct got fetch(struct http_call_spec s, const char *path)
{
	char url[128];
	struct got g = { 0 };

	if (s.unix_path)
		(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	else
		(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", port, path);
	s.url = s.url ? s.url : url;
	s.method = s.method ? s.method : "GET";
	assert_int_equal(http_call_start(NULL, client, &s, on_done, &g, NULL), 0);
	assert_int_equal(g.calls, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(g.calls, 1);
	return g;
}

#define ALICE "did:web:alice.example"
#define BOB   "did:web:bob.example"

#endif
