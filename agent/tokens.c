/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include "agent/codec/json.h"
#include "agent/fetch.h"
#include "agent/log.h"
#include "agent/loop.h"
#include "agent/tools/tools.h"
#include "agent/wire/jwt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#define WELL_KNOWN  "/.well-known/oauth-protected-resource"
#define LEEWAY_MS   30000 /* clocks of two machines */
#define JWKS_LIMITS ((struct json_limits){ .bytes = 65536, .depth = 8, .nodes = 2048 })

struct tokens {
	const struct config *c;
	struct loop *loop;
	struct fetch *fetch;
	struct {
		struct jwks *keys;
		mono_t came; /* of the fetched copy that keys were made of */
	} issuer[CFG_TOKEN_ISSUERS];
	char challenge[1536];
	struct wire_header header; /* of an answer; its value is challenge */
	const char *path;          /* of the resource, "" or from / on */
	char *metadata;
};

/* --- keys ------------------------------------------------------------------------------------ */

static int keys_read(struct jwks **ret, const char *file, struct err *e)
{
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const struct json_limits lim = JWKS_LIMITS;
	auto_free char *text = NULL;
	auto_json json_t *doc = NULL;
	struct err why = { 0 };
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "%s: cannot open", file);
	if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(e, -EPERM, "%s: must be a file that only its owner may write", file);
	text = malloc(lim.bytes + 1);
	if (!text)
		return err_set(e, -ENOMEM, "%s", file);
	n = read(fd, text, lim.bytes + 1);
	r = n < 0 ? -errno : json_read(&doc, text, (size_t)n, &lim, &why);
	r = r ? r : jwks_new(ret, doc, &why);
	return r ? err_set(e, r, "%s: %.160s", file, why.text) : 0;
}

/* Those of jwks-url: made anew whenever another copy has come. */
static const struct jwks *keys_of(struct tokens *t, size_t i)
{
	const char *url = t->c->token_issuer[i].jwks_url;
	const json_t *doc = url[0] ? fetch_copy(t->fetch, url, 0, NULL) : NULL;
	mono_t came = doc ? fetch_time(t->fetch, url) : (mono_t){ 0 };
	struct jwks *k = NULL;
	struct err e = { 0 };

	if (!url[0])
		return t->issuer[i].keys;
	if (doc && came.us == t->issuer[i].came.us)
		return t->issuer[i].keys;
	if (doc && jwks_new(&k, doc, &e))
		log_warn("%s: %s", url, e.text);
	(void)jwks_free(t->issuer[i].keys); /* too old, or replaced */
	t->issuer[i].keys = k;
	t->issuer[i].came = came;
	return k;
}

/* --- scopes ---------------------------------------------------------------------------------- */

static uint32_t scopes_read(const char *scope)
{
	uint32_t bits = jwt_scope_has(scope, "treaty:read") ? TOKENS_READ : 0;
	char word[64];

	for (unsigned o = 0; o < OWNER_MAX_; o++) {
		(void)snprintf(word, sizeof(word), "treaty:%s", owner_name((enum owner)o));
		if (jwt_scope_has(scope, word))
			bits |= 1u << o;
	}
	return bits;
}

static void scopes_write(uint32_t bits, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, "%s", bits & TOKENS_READ ? "treaty:read" : "");

	for (unsigned o = 0; o < OWNER_MAX_; o++)
		if (bits & 1u << o && n < cap)
			n += (size_t)snprintf(out + n, cap - n, "%streaty:%s", n ? " " : "",
					      owner_name((enum owner)o));
}

/* Whatever a token can be of use for here. */
static uint32_t scopes_known(const struct config *c)
{
	uint32_t bits = TOKENS_READ;

	for (uint32_t i = 0; i < c->principals; i++)
		if (c->principal[i].token_issuer[0])
			bits |= c->principal[i].may;
	return bits;
}

/* --- answers --------------------------------------------------------------------------------- */

/* error NULL: nothing was wrong, there was no token. */
static const char *challenge(struct tokens *t, const char *error, const char *why, uint32_t scopes)
{
	const char *resource = t->c->daemon.token_resource;
	char text[160] = "", list[512];

	if (error)
		(void)snprintf(text, sizeof(text), "error=\"%s\", error_description=\"%s\", ",
			       error, why);
	scopes_write(scopes, list, sizeof(list));
	(void)snprintf(t->challenge, sizeof(t->challenge),
		       "Bearer %sresource_metadata=\"%.*s" WELL_KNOWN "%s\", scope=\"%s\"", text,
		       (int)(t->path - resource), resource, t->path, list);
	return t->challenge;
}

static bool refuse(struct tokens *t, struct wire_response *no, int status, const char *error,
		   const char *why)
{
	t->header = (struct wire_header){ "WWW-Authenticate",
					  challenge(t, error, why, scopes_known(t->c)) };
	*no = (struct wire_response){ .status = status,
				      .content_type = "text/plain",
				      .headers = &t->header,
				      .nheaders = status == 401,
				      .body = why,
				      .len = strlen(why) };
	return false;
}

const char *tokens_insufficient(struct tokens *t, uint32_t scopes)
{
	return challenge(t, "insufficient_scope", "the token has not the scope of that", scopes);
}

/* --- one token ------------------------------------------------------------------------------- */

static const struct cfg_principal *
principal_of(const struct config *c, const struct cfg_token_issuer *i, const struct jwt_says *says)
{
	for (uint32_t k = 0; k < c->principals; k++) {
		const struct cfg_principal *p = &c->principal[k];

		if (!strcmp(p->token_issuer, i->name) &&
		    (!p->token_sub[0] || !strcmp(p->token_sub, says->sub)) &&
		    (!p->token_client[0] || !strcmp(p->token_client, says->client_id)))
			return p;
	}
	return NULL;
}

static enum jwt_answer check(struct tokens *t, const struct jwt *j, struct peer *who)
{
	const struct config *c = t->c;
	const struct cfg_principal *p;
	struct jwt_says says;
	enum jwt_answer a;
	size_t i = 0;

	while (i < c->token_issuers && strcmp(c->token_issuer[i].issuer, j->iss) != 0)
		i++;
	if (i == c->token_issuers)
		return JWT_ISSUER;
	const struct jwt_rules rules = { .keys = keys_of(t, i),
					 .algs = c->token_issuer[i].algs,
					 .issuer = c->token_issuer[i].issuer,
					 .audience = c->daemon.token_resource,
					 .now = loop_wall(t->loop),
					 .leeway_ms = LEEWAY_MS,
					 .x5t = who->certified ? who->x5t : NULL,
					 .bound = c->token_issuer[i].bound };

	a = rules.keys ? jwt_check(j, &rules, &says) : JWT_KEYS;
	p = a ? NULL : principal_of(c, &c->token_issuer[i], &says);
	if (a || !p)
		return a ? a : JWT_PRINCIPAL;
	(void)snprintf(who->did, sizeof(who->did), "%s", p->did);
	(void)snprintf(who->name, sizeof(who->name), "%s", p->name);
	who->bearer = true;
	who->scopes = scopes_read(says.scope);
	who->until = (wall_t){ says.exp_s * 1000 + LEEWAY_MS };
	return JWT_OK;
}

/* After "Bearer ", or NULL: there is none. The HTTP guard lets Authorization stand once. */
static const char *token_of(const struct wire_request *r)
{
	const char *v = wire_header(r, "Authorization");

	if (!v || strncasecmp(v, "Bearer ", 7) != 0)
		return NULL;
	return v + 7 + strspn(v + 7, " ");
}

static bool with_token(struct tokens *t, const char *token, struct peer *who,
		       struct wire_response *no)
{
	struct jwt j;
	enum jwt_answer a = jwt_read(&j, token, strlen(token));

	if (!a) {
		a = check(t, &j, who);
		jwt_clear(&j);
	}
	if (a == JWT_KEYS) /* ours to mend, not the caller's */
		return refuse(t, no, 503, NULL, jwt_text(a));
	return a ? refuse(t, no, 401, "invalid_token", jwt_text(a)) : true;
}

static bool is_metadata(const struct tokens *t, const char *path)
{
	const char *rest = path + sizeof(WELL_KNOWN) - 1;

	if (strncmp(path, WELL_KNOWN, sizeof(WELL_KNOWN) - 1) != 0)
		return false;
	return !*rest || !strcmp(rest, t->path) || !strcmp(rest, "/mcp");
}

bool tokens_authenticate(struct tokens *t, const struct wire_request *head, struct peer *who,
			 struct wire_response *no)
{
	const char *token;

	if (is_metadata(t, head->path))
		return true;
	if (strcmp(head->path, "/mcp") != 0 && strcmp(head->path, "/events") != 0)
		return who->did[0] ? true
				   : refuse(t, no, 403, NULL, "a client certificate is needed");
	token = token_of(head);
	if (token)
		return with_token(t, token, who, no);
	return who->did[0] ? true : refuse(t, no, 401, NULL, "a token or a certificate is needed");
}

/* --- metadata -------------------------------------------------------------------------------- */

static char *metadata_new(const struct config *c)
{
	json_t *servers = json_array(), *scopes = json_array(), *doc;
	uint32_t known = scopes_known(c);
	char *text;
	int bad = 0;

	for (uint32_t i = 0; i < c->token_issuers; i++)
		bad |= json_array_append_new(servers, json_string(c->token_issuer[i].issuer));
	bad |= json_array_append_new(scopes, json_string("treaty:read"));
	for (unsigned o = 0; o < OWNER_MAX_; o++)
		if (known & 1u << o)
			bad |= json_array_append_new(
				scopes, json_sprintf("treaty:%s", owner_name((enum owner)o)));
	doc = json_pack("{s:s, s:s, s:o, s:o, s:[s], s:b}", "resource", c->daemon.token_resource,
			"resource_name", c->daemon.name, "authorization_servers", servers,
			"scopes_supported", scopes, "bearer_methods_supported", "header",
			"tls_client_certificate_bound_access_tokens", true);
	text = bad ? NULL : json_text_new(doc);
	json_decref(doc);
	return text;
}

bool tokens_metadata(const struct tokens *t, const struct wire_request *r, struct wire_sink sink)
{
	static const struct wire_header headers[] = { { "Cache-Control", "max-age=300" },
						      { "Access-Control-Allow-Origin", "*" },
						      { "Allow", "GET" } };
	bool get = !strcmp(r->method, "GET");
	const struct wire_response ok = { .status = 200,
					  .content_type = "application/json",
					  .headers = headers,
					  .nheaders = 2,
					  .body = t->metadata,
					  .len = strlen(t->metadata) };
	const struct wire_response no = { .status = 405, .headers = headers + 2, .nheaders = 1 };

	if (!is_metadata(t, r->path))
		return false;
	sink.fn(sink.to, get ? &ok : &no);
	return true;
}

/* --- birth ----------------------------------------------------------------------------------- */

int tokens_new(struct tokens **ret, const struct config *c, struct err *e)
{
	struct tokens *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return err_set(e, -ENOMEM, "tokens");
	t->c = c;
	t->path = c->daemon.token_resource + 8 + strcspn(c->daemon.token_resource + 8, "/");
	if (!strcmp(t->path, "/")) /* RFC 9728 section 3.1: removed */
		t->path++;
	for (uint32_t i = 0; !r && i < c->token_issuers; i++)
		if (c->token_issuer[i].jwks_file[0])
			r = keys_read(&t->issuer[i].keys, c->token_issuer[i].jwks_file, e);
	t->metadata = r ? NULL : metadata_new(c);
	if (!r && !t->metadata)
		r = err_set(e, -ENOMEM, "tokens");
	if (r) {
		(void)tokens_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int tokens_start(struct tokens *t, struct loop *l, struct fetch *fetch, struct err *e)
{
	const struct json_limits lim = JWKS_LIMITS;
	int r = 0;

	t->loop = l;
	t->fetch = fetch;
	for (uint32_t i = 0; !r && i < t->c->token_issuers; i++)
		if (t->c->token_issuer[i].jwks_url[0])
			r = fetch_keep(fetch, t->c->token_issuer[i].jwks_url, &lim, e);
	return r;
}

struct tokens *tokens_free(struct tokens *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < CFG_TOKEN_ISSUERS; i++)
		(void)jwks_free(t->issuer[i].keys);
	free(t->metadata);
	free(t);
	return NULL;
}
