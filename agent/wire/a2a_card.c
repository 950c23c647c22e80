/* SPDX-License-Identifier: Apache-2.0 */
/* The server's birth and its card. The card holds no empty string, array or object: then every
 * SDK's way to canonicalize it for a signature gives the same bytes. */
#include "a2a_i.h"
#include "jws.h"

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

static int skills_add(json_t *out, const char *const *list)
{
	for (size_t i = 0; list && list[i] && list[i + 1]; i += 2)
		if (json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:[s]}", "id", list[i],
							 "name", list[i], "description",
							 list[i + 1], "tags", "treaty")))
			return -ENOMEM;
	return 0;
}

static int extension_add(json_t *list, const char *uri, const char *description, bool required)
{
	json_t *ext;

	if (!uri)
		return 0;
	ext = json_pack("{s:s, s:s}", "uri", uri, "description", description ? description : uri);
	if (ext && required)
		(void)json_object_set_new(ext, "required", json_true());
	return json_array_append_new(list, ext);
}

static json_t *capabilities(const struct a2a_config *c, bool push)
{
	json_t *cap = json_pack("{s:b, s:b}", "streaming", c->streaming, "pushNotifications", push);
	json_t *list = json_array();
	int bad = !cap || !list;

	if (!bad && c->extended_skills)
		bad = json_object_set_new(cap, "extendedAgentCard", json_true());
	if (!bad)
		bad = extension_add(list, c->extension, c->extension_description,
				    c->extension_required) ||
		      extension_add(list, c->offered, c->offered_description, false);
	if (!bad && json_array_size(list))
		bad = json_object_set(cap, "extensions", list);
	json_decref(list);
	if (!bad)
		return cap;
	json_decref(cap);
	return NULL;
}

static int extensions_keep(struct a2a_server *s)
{
	const struct a2a_config *c = &s->cfg;
	const char *sep = c->extension && c->offered ? ", " : "";

	s->extension = c->extension ? strdup(c->extension) : NULL;
	s->offered = c->offered ? strdup(c->offered) : NULL;
	if ((c->extension && !s->extension) || (c->offered && !s->offered))
		return -ENOMEM;
	return asprintf(&s->both, "%s%s%s", c->extension ? c->extension : "", sep,
			c->offered ? c->offered : "") < 0
		       ? -ENOMEM
		       : 0;
}

static json_t *interfaces(const char *url)
{
	return json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "url", url, "protocolBinding",
			 "JSONRPC", "protocolVersion", A2A_VERSION, "url", url, "protocolBinding",
			 "HTTP+JSON", "protocolVersion", A2A_VERSION);
}

static json_t *card_json(const struct a2a_server *s, bool extended)
{
	const struct a2a_config *c = &s->cfg;
	json_t *cap = capabilities(c, s->app.push != NULL), *sk = json_array(), *card = NULL;

	if (cap && sk && !skills_add(sk, c->skills) &&
	    (!extended || !skills_add(sk, c->extended_skills)))
		card = json_pack("{s:s, s:s, s:s, s:o, s:O, s:[s], s:[s], s:O, s:{s:{s:{s:s}}}}",
				 "name", c->name, "description", c->description, "version",
				 c->version, "supportedInterfaces", interfaces(c->url),
				 "capabilities", cap, "defaultInputModes", "application/json",
				 "defaultOutputModes", "application/json", "skills", sk,
				 "securitySchemes", "mtls", "mtlsSecurityScheme", "description",
				 "TLS 1.3 with a client certificate that names the caller's DID");
	json_decref(cap);
	json_decref(sk);
	return card;
}

/* --- the signature: a JWS (RFC 7515) with EdDSA (RFC 8037) over the card's RFC 8785 form ---------
 */

#define CARD_SIGNATURES 8 /* of a card that is looked at */

static int card_sign(const struct a2a_config *c, json_t *card)
{
	const struct jws_key key = { c->sign, c->sign_arg, c->sign_kid };
	json_t *jws;

	if (!c->sign)
		return 0;
	jws = jws_new(card, &key);
	return jws ? json_object_set_new(card, "signatures", json_pack("[o]", jws)) : -EIO;
}

/* What may be left out of a card means the same when it is empty: a signature speaks of neither. */
static bool prune(json_t *v)
{
	const char *key;
	json_t *x;
	void *tmp;
	size_t i;

	if (json_is_array(v)) {
		for (i = json_array_size(v); i-- > 0;)
			if (prune(json_array_get(v, i)))
				(void)json_array_remove(v, i);
		return !json_array_size(v);
	}
	json_object_foreach_safe(v, tmp, key, x) if (prune(x))(void) json_object_del(v, key);
	return json_is_null(v) || (json_is_string(v) && !json_string_length(v)) ||
	       (json_is_object(v) && !json_object_size(v));
}

int a2a_card_verify(const char *text, size_t len, const char *kid, const uint8_t pub[32],
		    struct err *e)
{
	json_t *card = rpc_json(text, len, e), *all = json_object_get(card, "signatures");
	int r = card ? err_set(e, -EKEYREJECTED, "signatures: none") : -EINVAL;

	json_incref(all);
	(void)json_object_del(card, "signatures");
	(void)prune(card);
	for (size_t i = 0; r && i < json_array_size(all) && i < CARD_SIGNATURES; i++)
		r = jws_verify(card, json_array_get(all, i), kid, pub, e);
	json_decref(all);
	json_decref(card);
	return r;
}

static json_t *card_signed(const struct a2a_server *s, bool extended)
{
	json_t *card = card_json(s, extended);

	if (card && card_sign(&s->cfg, card)) {
		json_decref(card);
		return NULL;
	}
	return card;
}

static int card_new(struct a2a_server *s)
{
	json_t *card = card_signed(s, false);
	uint8_t digest[32];
	unsigned n = 0;

	s->card = json_text_new(card);
	json_decref(card);
	if (s->cfg.extended_skills)
		s->extended = card_signed(s, true);
	if (!s->card || (s->cfg.extended_skills && !s->extended) ||
	    EVP_Digest(s->card, strlen(s->card), digest, &n, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	s->etag[0] = '"';
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(s->etag + 1 + 2 * i, 3, "%02x", digest[i]);
	s->etag[33] = '"';
	return 0;
}

static int check(const struct a2a_config *c, const struct a2a_app *app, struct err *e)
{
	const struct {
		const char *name, *value;
	} need[] = { { "path", c->path },
		     { "url", c->url },
		     { "name", c->name },
		     { "description", c->description },
		     { "version", c->version },
		     { "skills[0].id", c->skills ? c->skills[0] : NULL },
		     { "skills[0].description", c->skills && c->skills[0] ? c->skills[1] : NULL } };

	for (size_t i = 0; i < ARRAY_LEN(need); i++)
		if (!need[i].value || !*need[i].value)
			return err_set(e, -EINVAL, "a2a %s: must not be empty", need[i].name);
	if (c->sign && (!c->sign_kid || !*c->sign_kid))
		return err_set(e, -EINVAL, "a2a sign_kid: must not be empty");
	if (c->path[0] != '/' || !c->now || !app->on_message)
		return err_set(e, -EINVAL, "a2a: path from /, a clock and on_message are needed");
	return 0;
}

int a2a_server_new(struct a2a_server **ret, const struct a2a_config *c, const struct a2a_app *app,
		   struct err *e)
{
	struct a2a_server *s;
	int r = check(c, app, e);

	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "a2a: no memory");
	TAILQ_INIT(&s->tasks);
	TAILQ_INIT(&s->seen);
	LIST_INIT(&s->turns);
	LIST_INIT(&s->shares);
	LIST_INIT(&s->leaving);
	random_fill(s->key, sizeof(s->key));
	s->cfg = *c;
	s->app = *app;
	s->cfg.max_tasks = c->max_tasks ? c->max_tasks : 4096;
	s->cfg.max_tasks_per_peer = c->max_tasks_per_peer ? c->max_tasks_per_peer : 256;
	s->cfg.max_turns = c->max_turns ? c->max_turns : 256;
	s->cfg.max_turns_per_peer = c->max_turns_per_peer ? c->max_turns_per_peer : 64;
	s->cfg.max_streams = c->max_streams ? c->max_streams : 1024;
	s->cfg.max_streams_per_peer = c->max_streams_per_peer ? c->max_streams_per_peer : 32;
	s->path = strdup(c->path);
	if (!s->path || extensions_keep(s) || card_new(s)) {
		(void)a2a_server_free(s);
		return err_set(e, -ENOMEM, "a2a: no memory for the card");
	}
	*ret = s;
	return 0;
}

struct a2a_server *a2a_server_free(struct a2a_server *s)
{
	if (!s)
		return NULL;
	a2a_turns_abandon(s);
	while (!TAILQ_EMPTY(&s->seen))
		a2a_seen_free(s, TAILQ_FIRST(&s->seen));
	while (!TAILQ_EMPTY(&s->tasks))
		a2a_task_free(s, TAILQ_FIRST(&s->tasks));
	a2a_streams_flush(s);
	free(s->path);
	free(s->extension);
	free(s->offered);
	free(s->both);
	free(s->card);
	json_decref(s->extended);
	free(s);
	return NULL;
}

int a2a_task_set(struct a2a_server *s, const char *task_id, enum a2a_state st, const json_t *data)
{
	struct a2a_task *t = a2a_task_find(s, task_id, NULL);
	json_t *parts;
	int r;

	if (!t)
		return -ENOENT;
	if (t->turn)
		return -EBUSY;
	parts = data ? a2a_data_parts(data, false) : NULL;
	r = data && !parts ? -ENOMEM : a2a_task_move(s, t, st, parts);
	json_decref(parts);
	return r;
}

enum a2a_state a2a_task_state(const struct a2a_server *s, const char *task_id)
{
	const struct a2a_task *t = a2a_task_find(s, task_id, NULL);

	return t ? t->state : A2A_STATE_INVALID;
}

size_t a2a_tasks(const struct a2a_server *s)
{
	return s->ntasks;
}
