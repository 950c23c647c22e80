/* SPDX-License-Identifier: Apache-2.0 */
#include "event_json.h"

#include "agent/codec/canon.h"
#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>

#define EVENT_TEXT_MAX (64 * 1024)

static const struct json_limits row_limits = { .bytes = EVENT_TEXT_MAX,
					       .depth = 24,
					       .nodes = 16384 };

static json_t *inputs_json(const struct decision *d)
{
	if (!d || !d->core)
		return json_null();
	return json_pack("{s:s, s:o, s:o}", "core", d->core, "in", noun_encode(d->in_table, d->in),
			 "out", noun_encode(d->out_table, d->out));
}

static json_t *digest_json(const digest_t *b)
{
	char hex[2 * sizeof(b->b) + 1];

	if (!b)
		return json_null();
	(void)hex_encode(b->b, sizeof(b->b), hex, sizeof(hex));
	return json_string(hex);
}

int event_write(const struct event *ev, const struct decision *d, const digest_t *body, char **ret,
		size_t *ret_len, struct err *e)
{
	json_t *js = json_pack(
		"{s:i, s:I, s:o, s:s, s:s, s:s, s:o, s:o, s:o}", "v", EVENT_VERSION, "seq",
		(json_int_t)ev->seq, "time", json_time(ev->at), "actor", ev->actor.s, "tool",
		ev->tool.s, "event", event_name(ev->kind), "inputs", inputs_json(d), "output",
		noun_encode(event_table(ev->kind), &ev->u), "body_digest", digest_json(body));
	int r;

	if (!js)
		return err_set(e, -ENOMEM, "event");
	r = canon_text(js, EVENT_TEXT_MAX, ret, ret_len, e);
	json_decref(js);
	return r;
}

static int read_head(const json_t *js, struct event *ev, struct err *e)
{
	const char *name;
	int64_t v, seq;
	int r = json_need_int(js, "", "v", 0, INT32_MAX, &v, e);

	if (!r && v != EVENT_VERSION)
		return err_set(e, -EPROTO, "v: %lld is not a version that this build reads",
			       (long long)v);
	if (!r)
		r = json_need_int(js, "", "seq", 1, INT64_MAX, &seq, e);
	if (!r)
		r = json_need_time(js, "", "time", &ev->at, e);
	if (!r)
		r = json_need_text(js, "", "actor", ev->actor.s, sizeof(ev->actor.s), e);
	if (!r)
		r = json_need_text(js, "", "tool", ev->tool.s, sizeof(ev->tool.s), e);
	if (!r)
		r = json_need_str(js, "", "event", &name, e);
	if (r)
		return r;
	ev->seq = (uint64_t)seq;
	ev->kind = event_parse(name);
	return ev->kind == EV_MAX_ ? err_set(e, -EINVAL, "event: %.40s is unknown", name) : 0;
}

int event_read(const char *body, size_t len, struct event *ret, json_t **ret_inputs, struct err *e)
{
	struct event *ev = calloc(1, sizeof(*ev));
	json_t *js = NULL, *out, *in;
	int r = ev ? json_read(&js, body, len, &row_limits, e) : -ENOMEM;

	if (!r)
		r = json_only(js, "", e, "v", "seq", "time", "actor", "tool", "event", "inputs",
			      "output", "body_digest", NULL);
	if (!r)
		r = read_head(js, ev, e);
	if (!r)
		r = json_need_obj(js, "", "output", &out, e);
	if (!r)
		r = noun_decode(event_table(ev->kind), out, &ev->u, e);
	if (!r) {
		*ret = *ev;
		in = json_object_get(js, "inputs");
		if (ret_inputs)
			*ret_inputs = json_is_object(in) ? json_incref(in) : NULL;
	}
	json_decref(js);
	free(ev);
	return r;
}
