/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include "agent/codec/event_json.h"
#include "agent/disclosure.h"
#include "agent/store/store.h"
#include "tokens.h"

#include <errno.h>

void feed_describe(const struct side *s, const struct event *ev, const char *body,
		   struct sse_event *ret)
{
	const ident_t *id = event_deal(ev);
	const struct deal *d = id ? world_deal(engine_world(s->engine), id) : NULL;

	*ret = (struct sse_event){ .seq = ev->seq, .type = event_name(ev->kind), .data = body };
	ret->about[0] = id ? id->s : NULL;
	if (d) {
		ret->about[0] = d->lineage.s;
		ret->about[1] = d->negotiation.s;
		ret->class_name = d->intent.class_name.s;
	}
}

int feed_see(void *arg, const struct peer *p, const struct sse_event *ev, char **ret)
{
	const struct side *s = arg;
	const struct disclosure_lens l = { .side = s, .who = disclosure_who(s, p) };
	struct err e = { 0 };

	return disclosure_sight(&l, ev->seq, ev->data, ret, &e);
}

bool feed_may_watch(const struct side *s, const struct peer *p)
{
	const struct disclose_who who = disclosure_who(s, p);

	if (p->bearer && !(p->scopes & TOKENS_READ))
		return false;
	return who.owner || disclose_may_watch(disclosure_of(s), &who);
}

struct replay_to {
	const struct side *side;
	struct sse_reader *reader;
};

/* What is not durable yet is told later. */
static int replay_row(void *arg, const struct store_event *row)
{
	struct replay_to *to = arg;
	struct sse_event out;
	struct event *ev;
	int r;

	if (row->seq > store_durable(engine_store(to->side->engine)))
		return 1;
	ev = malloc(sizeof(*ev));
	r = ev ? event_read(row->body, row->len, ev, NULL, NULL) : -ENOMEM;
	if (!r) {
		ev->seq = row->seq;
		feed_describe(to->side, ev, row->body, &out);
		r = sse_send(to->reader, &out);
	}
	free(ev);
	return r;
}

int feed_replay(void *arg, uint64_t after, struct sse_reader *reader)
{
	const struct side *s = arg;
	struct replay_to to = { s, reader };
	struct err e = { 0 };

	return store_replay(engine_store(s->engine), after + 1, replay_row, &to, &e);
}
