/* SPDX-License-Identifier: Apache-2.0 */
/* The artifacts of a task, each as the text that goes out: written once, never walked again where
 * nobody asks for them. */
#include "a2a_i.h"

#include "agent/codec/json.h"
#include "agent/codec/json_out.h"

#include <errno.h>

struct a2a_made *a2a_made_by_id(const struct a2a_task *t, const char *id)
{
	for (size_t i = 0; i < t->n_made; i++)
		if (!strcmp(t->made[i].id, id))
			return &t->made[i];
	return NULL;
}

struct a2a_made *a2a_made_by_name(const struct a2a_task *t, const char *name)
{
	for (size_t i = 0; i < t->n_made; i++)
		if (t->made[i].name && !strcmp(t->made[i].name, name))
			return &t->made[i];
	return NULL;
}

static void made_clear(struct a2a_made *m)
{
	free(m->id);
	free(m->name);
	free(m->text);
	*m = (struct a2a_made){ 0 };
}

void a2a_made_free(struct a2a_task *t)
{
	for (size_t i = 0; i < t->n_made; i++)
		made_clear(&t->made[i]);
	free(t->made);
	t->made = NULL;
	t->n_made = 0;
}

static int put(struct a2a_task *t, const struct a2a_made *m)
{
	struct a2a_made *at = a2a_made_by_id(t, m->id);

	if (!at) {
		if (t->n_made >= A2A_ARTIFACTS_MAX)
			return -ENOSPC;
		at = realloc(t->made, (t->n_made + 1) * sizeof(*at));
		if (!at)
			return -ENOMEM;
		t->made = at;
		at += t->n_made++;
		*at = (struct a2a_made){ 0 };
	}
	made_clear(at);
	*at = *m;
	return 0;
}

int a2a_made_put(struct a2a_task *t, const char *id, const char *name, char *text, bool fresh)
{
	struct a2a_made m = { .id = strdup(id), .text = text, .fresh = fresh };
	int r = m.id && text ? 0 : -ENOMEM;

	if (!r && name) {
		m.name = strdup(name);
		r = m.name ? 0 : -ENOMEM;
	}
	if (!r)
		r = put(t, &m);
	if (r)
		made_clear(&m);
	return r;
}

int a2a_made_extend(struct a2a_task *t, const char *id, const json_t *parts, bool fresh)
{
	struct a2a_made *m = a2a_made_by_id(t, id);
	auto_json json_t *longer = m ? json_loads(m->text, JSON_ALLOW_NUL, NULL) : NULL;
	char *text = NULL;

	if (!m)
		return -ENOENT;
	if (longer &&
	    !json_array_extend(json_object_get(longer, "parts"), (json_t *)(uintptr_t)parts))
		text = json_text_new(longer);
	if (!text)
		return -ENOMEM;
	free(m->text);
	m->text = text;
	m->fresh = fresh;
	return 0;
}

json_t *a2a_made_json(const struct a2a_task *t)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < t->n_made; i++)
		if (json_array_append_new(list,
					  json_loads(t->made[i].text, JSON_ALLOW_NUL, NULL))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

void a2a_made_write(const struct a2a_task *t, bool fresh, struct json_out *o)
{
	bool any = false;

	for (size_t i = 0; i < t->n_made; i++) {
		if (fresh && !t->made[i].fresh)
			continue;
		json_out_text(o, any ? "," : ",\"artifacts\":[");
		json_out_text(o, t->made[i].text);
		any = true;
	}
	if (any)
		json_out_lit(o, "]");
}
