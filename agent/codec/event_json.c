/* SPDX-License-Identifier: Apache-2.0 */
#include "event_json.h"

#include "agent/codec/json.h"
#include "agent/codec/noun.h"
#include "agent/codec/noun_text.h"

#include <errno.h>

#define EVENT_TEXT_MAX (64 * 1024)

static const struct json_limits row_limits = { .bytes = EVENT_TEXT_MAX,
					       .depth = 24,
					       .nodes = 16384 };

static void inputs_text(struct noun_text *o, const struct decision *d)
{
	if (!d || !d->core) {
		noun_text_put(o, "null");
		return;
	}
	noun_text_put(o, "{\"core\":");
	noun_text_string(o, d->core);
	noun_text_put(o, ",\"in\":");
	noun_text(o, d->in_table, d->in);
	noun_text_put(o, ",\"out\":");
	noun_text(o, d->out_table, d->out);
	noun_text_put(o, "}");
}

/* Members in the order of their names. */
int event_write(const struct event *ev, const struct decision *d, const digest_t *body, char **ret,
		size_t *ret_len, struct err *e)
{
	struct noun_text o = { .max = EVENT_TEXT_MAX };
	char time[TIME_TEXT_MAX];

	time_format(ev->at, time);
	noun_text_put(&o, "{\"actor\":");
	noun_text_string(&o, ev->actor.s);
	noun_text_put(&o, ",\"body_digest\":");
	if (body)
		noun_text_hex(&o, body->b, sizeof(body->b));
	else
		noun_text_put(&o, "null");
	noun_text_put(&o, ",\"event\":");
	noun_text_string(&o, event_name(ev->kind));
	noun_text_put(&o, ",\"inputs\":");
	inputs_text(&o, d);
	noun_text_put(&o, ",\"output\":");
	noun_text(&o, event_table(ev->kind), &ev->u);
	noun_text_put(&o, ",\"seq\":");
	noun_text_int(&o, (int64_t)ev->seq);
	noun_text_put(&o, ",\"time\":");
	noun_text_string(&o, time);
	noun_text_put(&o, ",\"tool\":");
	noun_text_string(&o, ev->tool.s);
	noun_text_put(&o, ",\"v\":");
	noun_text_int(&o, EVENT_VERSION);
	noun_text_put(&o, "}");
	if (o.err) {
		free(o.p);
		return err_set(e, o.err, "event: %s", strerror(-o.err));
	}
	*ret = o.p;
	if (ret_len)
		*ret_len = o.len;
	return 0;
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
		r = noun_decode_log(event_table(ev->kind), out, &ev->u, e);
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
