/* SPDX-License-Identifier: Apache-2.0 */
/* token_calls.h - tokens for the daemon of test_tokens.c, and calls with them: over TLS, with a
 * certificate or without. */
#ifndef TREATY_TOKEN_CALLS_H
#define TREATY_TOKEN_CALLS_H

#include <time.h>

#include "agent/wire/mcp.h"
#include "token_lab.h"
#include "wire_lab.h"

#define MTLS 7801
#define OPEN 7802
#define ISS  "https://as.lab.example"
#define AUD  "https://127.0.0.1:7802/mcp"
#define NET  "https://net.lab.example" /* its keys are fetched */
#define META "https://127.0.0.1:7802/.well-known/oauth-protected-resource/mcp"

static char reply[1 << 20];
static EVP_PKEY *key; /* the authorization server's */

struct want_token {
	const char *sub, *client, *scope, *aud, *iss, *typ, *x5t;
	int64_t life_s;
	EVP_PKEY *by;
};

static inline const char *token(struct want_token w)
{
	static char out[JWT_MAX];
	char header[128], claims[1500], cnf[120] = "";
	int64_t now = (int64_t)time(NULL);

	(void)snprintf(header, sizeof(header), "{\"typ\":\"%s\",\"alg\":\"ES256\",\"kid\":\"k1\"}",
		       w.typ ? w.typ : "at+jwt");
	if (w.x5t)
		(void)snprintf(cnf, sizeof(cnf), ",\"cnf\":{\"x5t#S256\":\"%s\"}", w.x5t);
	(void)snprintf(claims, sizeof(claims),
		       "{\"iss\":\"%s\",\"sub\":\"%s\",\"client_id\":\"%s\",\"aud\":\"%s\","
		       "\"jti\":\"jti-of-a-secret\",\"iat\":%lld,\"exp\":%lld,\"scope\":\"%s\"%s}",
		       w.iss ? w.iss : ISS, w.sub ? w.sub : "bot", w.client ? w.client : "bot",
		       w.aud ? w.aud : AUD, (long long)now - 5,
		       (long long)(now + (w.life_s ? w.life_s : 300)), w.scope ? w.scope : "", cnf);
	token_make(out, sizeof(out), header, claims, w.by ? w.by : key, JWT_ES256);
	return out;
}

/* What stands in the head; "" for no token. */
static inline const char *bearer(const char *t)
{
	static char out[JWT_MAX + 64];

	(void)snprintf(out, sizeof(out), "Authorization: Bearer %s\r\n", t);
	return out;
}

static inline int post(struct wire_end *w, const char *more, const char *method, const char *tool,
		       const char *path)
{
	auto_json json_t *none = json_object();
	struct mcp_call c = { .method = method,
			      .tool = tool,
			      .args = none,
			      .client_name = "t",
			      .client_version = "1",
			      .rpc_id = 1 };
	auto_free char *body = mcp_build(&c);
	static char head[JWT_MAX * 4];
	struct wire_header h[5];
	size_t n = mcp_client_headers(h, &c), len;

	len = (size_t)snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s",
			       path, more);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(head + len, sizeof(head) - len, "%s: %s\r\n", h[i].name,
					h[i].value);
	len += (size_t)snprintf(head + len, sizeof(head) - len, "Content-Length: %zu\r\n\r\n%s",
				strlen(body), body);
	reply[0] = 0;
	if (len >= sizeof(head) || end_write(w, head, len) != (ssize_t)len)
		return 0;
	return end_reply(w, reply, sizeof(reply));
}

/* On a connection of its own. */
static inline int call_as(uint16_t port, const char *cert, const char *more, const char *method,
			  const char *tool)
{
	struct wire_end w;
	int status = end_tls(&w, port, cert, 0) ? -2 : post(&w, more, method, tool, "/mcp");

	end_close(&w);
	return status;
}

static inline int get(uint16_t port, const char *cert, const char *path, const char *more)
{
	char req[JWT_MAX + 256];
	int n = snprintf(req, sizeof(req), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path,
			 more);
	struct wire_end w;
	int status = end_tls(&w, port, cert, 0) ? -2 : 0;

	reply[0] = 0;
	if (!status && end_write(&w, req, (size_t)n) == n)
		status = end_reply(&w, reply, sizeof(reply));
	end_close(&w);
	return status;
}

static inline void has(const char *what)
{
	if (!strstr(reply, what))
		fail_msg("no %s in: %.900s", what, reply);
}

static inline void has_not(const char *what)
{
	if (strstr(reply, what))
		fail_msg("%s in: %.900s", what, reply);
}

#endif
