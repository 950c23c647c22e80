/* SPDX-License-Identifier: Apache-2.0 */
/* Push notifications: what a caller asked for, kept with its task, and the calls that follow from
 * it. Whether a URL may be called at all is the application's to say, when it is given and again
 * when it is used; here it is only text. */
#include "a2a_i.h"

#include "agent/codec/json.h"

#include <errno.h>
#include <stdio.h>

static int field_text(const json_t *o, const char *camel, char *ret, size_t cap, struct err *e)
{
	const json_t *v = a2a_field(o, camel);
	const char *s = json_string_value(v);

	if (!v)
		return 0;
	if (!s || strlen(s) >= cap || strlen(s) != json_string_length(v))
		return err_set(e, -EINVAL, "%s: a string below %zu bytes is needed", camel, cap);
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(e, -EINVAL, "%s: a control byte", camel);
	(void)snprintf(ret, cap, "%s", s);
	return 0;
}

static int fields_read(struct a2a_push_cfg *p, const json_t *o, struct err *e)
{
	const json_t *auth = a2a_field(o, "authentication");
	const char *id = NULL;

	if (a2a_text(o, "id", &id, e) || field_text(o, "url", p->url, sizeof(p->url), e) ||
	    field_text(o, "token", p->token, sizeof(p->token), e))
		return -EINVAL;
	if (!p->url[0])
		return err_set(e, -EINVAL, "url: missing");
	if (auth && !json_is_object(auth))
		return err_set(e, -EINVAL, "authentication: an object is needed");
	if (auth && (field_text(auth, "scheme", p->scheme, sizeof(p->scheme), e) ||
		     field_text(auth, "credentials", p->credentials, sizeof(p->credentials), e)))
		return -EINVAL;
	if (auth && !p->scheme[0])
		return err_set(e, -EINVAL, "scheme: missing");
	if (id ? !str_set(p->id, id) : rpc_random_id(p->id))
		return err_set(e, -EIO, "id: cannot be set");
	return 0;
}

int a2a_push_read(struct a2a_push_cfg **ret, const struct a2a_call *c, const json_t *o,
		  struct err *e)
{
	const struct a2a_app *app = &c->s->app;
	struct a2a_push_cfg *p;

	if (!app->push) {
		(void)err_set(e, -EOPNOTSUPP, "push notifications are not supported");
		return A2A_E_NO_PUSH;
	}
	p = json_is_object(o) ? calloc(1, sizeof(*p)) : NULL;
	if (!p) {
		(void)err_set(e, -EINVAL, "taskPushNotificationConfig: an object is needed");
		return A2A_E_PARAMS;
	}
	if (fields_read(p, o, e) ||
	    (app->push_check && app->push_check(app->push_arg, c->r->peer, p->url, e) < 0)) {
		free(p);
		return A2A_E_PARAMS;
	}
	*ret = p;
	return 0;
}

static struct a2a_push_cfg *find(const struct a2a_task *t, const char *id)
{
	struct a2a_push_cfg *p;

	TAILQ_FOREACH (p, &t->pushes, entry)
		if (!strcmp(p->id, id))
			return p;
	return NULL;
}

static void drop(struct a2a_task *t, struct a2a_push_cfg *p)
{
	TAILQ_REMOVE(&t->pushes, p, entry);
	t->npushes--;
	free(p);
}

/* The same id again replaces. */
int a2a_push_add(struct a2a_task *t, struct a2a_push_cfg *p)
{
	struct a2a_push_cfg *old = find(t, p->id);

	if (!old && t->npushes >= A2A_PUSH_MAX)
		return -ENOSPC;
	if (old)
		drop(t, old);
	TAILQ_INSERT_TAIL(&t->pushes, p, entry);
	t->npushes++;
	return 0;
}

void a2a_push_clear(struct a2a_task *t)
{
	while (!TAILQ_EMPTY(&t->pushes))
		drop(t, TAILQ_FIRST(&t->pushes));
}

void a2a_push_event(struct a2a_server *s, const struct a2a_task *t, const json_t *event)
{
	auto_free char *body = t->npushes ? json_text_new(event) : NULL;
	char auth[sizeof(((struct a2a_push_cfg *)0)->credentials) + 80];
	struct a2a_push_cfg *p;

	if (!body)
		return;
	TAILQ_FOREACH (p, &t->pushes, entry) {
		struct a2a_push out = { .owner = t->share->owner,
					.task_id = t->id,
					.config_id = p->id,
					.url = p->url,
					.token = p->scheme[0] ? "" : p->token,
					.authorization = auth,
					.body = body };

		auth[0] = 0;
		if (p->scheme[0])
			(void)snprintf(auth, sizeof(auth), "%s %s", p->scheme, p->credentials);
		s->app.push(s->app.push_arg, &out);
	}
}

/* --- the four methods. Credentials are never told again. ----------------------------------------
 */

static json_t *cfg_json(const struct a2a_task *t, const struct a2a_push_cfg *p)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "taskId", t->id, "id", p->id, "url", p->url);
	int bad = 0;

	if (o && p->token[0])
		bad |= json_object_set_new(o, "token", json_string(p->token));
	if (o && p->scheme[0])
		bad |= json_object_set_new(o, "authentication",
					   json_pack("{s:s}", "scheme", p->scheme));
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static struct a2a_task *task_of(struct a2a_call *c)
{
	if (c->s->app.push)
		return a2a_call_task(c, "taskId");
	a2a_fail(c, A2A_E_NO_PUSH, "push notifications are not supported");
	return NULL;
}

void a2a_do_push_create(struct a2a_call *c)
{
	struct a2a_task *t = task_of(c);
	struct a2a_push_cfg *p = NULL;
	struct err e = { 0 };
	int code = t ? a2a_push_read(&p, c, c->params, &e) : 0;

	if (!t)
		return;
	if (!code && a2a_state_terminal(t->state)) {
		code = A2A_E_UNSUPPORTED;
		(void)err_set(&e, -EPERM, "the task is finished");
	} else if (!code && a2a_push_add(t, p)) {
		code = A2A_E_PARAMS;
		(void)err_set(&e, -ENOSPC, "id: the task has %d configurations", A2A_PUSH_MAX);
	}
	if (code) {
		free(p);
		a2a_fail(c, code, e.text);
	} else {
		a2a_succeed(c, cfg_json(t, p));
	}
}

/* The configuration's id, or NULL and answered. */
static const char *cfg_id(struct a2a_call *c)
{
	const char *id = NULL;
	struct err e = { 0 };

	if (a2a_text(c->params, "id", &id, &e))
		a2a_fail(c, A2A_E_PARAMS, e.text);
	else if (!id)
		a2a_fail(c, A2A_E_PARAMS, "id: missing");
	return id;
}

void a2a_do_push_get(struct a2a_call *c)
{
	struct a2a_task *t = task_of(c);
	const char *id = t ? cfg_id(c) : NULL;
	const struct a2a_push_cfg *p = id ? find(t, id) : NULL;

	if (p)
		a2a_succeed(c, cfg_json(t, p));
	else if (id)
		a2a_fail(c, A2A_E_TASK_NOT_FOUND, "no such configuration");
}

/* Eight fit any page, so no token is ever given out. */
void a2a_do_push_list(struct a2a_call *c)
{
	const char *token = json_string_value(a2a_field(c->params, "pageToken"));
	struct a2a_task *t = task_of(c);
	const struct a2a_push_cfg *p;
	json_t *list;
	int bad = 0;

	if (!t)
		return;
	if (token && *token) {
		a2a_fail(c, A2A_E_PARAMS, "pageToken: not one of ours");
		return;
	}
	list = json_array();
	TAILQ_FOREACH (p, &t->pushes, entry)
		bad |= json_array_append_new(list, cfg_json(t, p));
	if (bad) {
		json_decref(list);
		list = NULL;
	}
	a2a_succeed(c, list ? json_pack("{s:o, s:s}", "configs", list, "nextPageToken", "") : NULL);
}

void a2a_do_push_delete(struct a2a_call *c)
{
	struct a2a_task *t = task_of(c);
	const char *id = t ? cfg_id(c) : NULL;
	struct a2a_push_cfg *p = id ? find(t, id) : NULL;

	if (p)
		drop(t, p);
	if (id) /* gone is gone, also the second time */
		a2a_succeed(c, json_object());
}
