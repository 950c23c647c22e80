/* SPDX-License-Identifier: Apache-2.0 */
/* The life cycle is life.def; this file only looks things up in it. */
#include "treaty/life.h"
#include "treaty/pure.h"

enum { LIFE_SAME = LIFE_MAX_ };

struct edge {
	int from, to;
	enum life_event ev;
};

static const struct edge edges[] = {
#define LIFE(f, e, t)  { LIFE_##f, LIFE_##t, LEV_##e },
#define LIFE_ANY(e, t) { LIFE_SAME, LIFE_##t, LEV_##e },
#include "treaty/life.def"
#undef LIFE
#undef LIFE_ANY
};

static const char *const states[LIFE_MAX_] = {
#define X(n) [LIFE_##n] = #n,
	LIFE_STATES(X)
#undef X
};

static const char *const events[LEV_MAX_] = {
#define X(n) [LEV_##n] = #n,
	LIFE_EVENTS(X)
#undef X
};

const char *life_name(enum life s)
{
	return (unsigned)s < LIFE_MAX_ ? states[s] : "?";
}

const char *life_event_name(enum life_event e)
{
	return (unsigned)e < LEV_MAX_ ? events[e] : "?";
}

enum life life_parse(const char *name)
{
	for (unsigned i = 0; i < LIFE_MAX_; i++)
		if (strcmp(states[i], name) == 0)
			return (enum life)i;
	return LIFE_MAX_;
}

/* Says why an illegal pair is illegal where there is more to say than "wrong state". */
static enum refusal refuse(enum life from, enum life_event ev)
{
	bool offer = ev == LEV_OFFERED_UP || ev == LEV_OFFERED_DOWN;

	if (offer && (from == LIFE_RENEGOTIATING || from == LIFE_RENEGOTIATED))
		return REFUSE_IN_FLIGHT;
	if (ev == LEV_OFFERED_DOWN && from == LIFE_COOLING)
		return REFUSE_COOLING_DOWN;
	return REFUSE_WRONG_STATE;
}

enum refusal life_next(enum life from, enum life_event ev, enum life *to)
{
	if ((unsigned)from >= LIFE_MAX_ || (unsigned)ev >= LEV_MAX_)
		return REFUSE_WRONG_STATE;
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		bool any = edges[i].from == LIFE_SAME && from != LIFE_TERMINATED;

		if (edges[i].ev != ev || (edges[i].from != (int)from && !any))
			continue;
		*to = edges[i].to == LIFE_SAME ? from : (enum life)edges[i].to;
		return REFUSE_NONE;
	}
	return refuse(from, ev);
}
