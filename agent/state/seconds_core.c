/* SPDX-License-Identifier: Apache-2.0 */
#include "seconds_core.h"
#include "treaty/pure.h"

static uint32_t more(uint32_t n, int64_t by)
{
	return by > UINT32_MAX - n ? UINT32_MAX : n + (uint32_t)by;
}

static void close_second(struct seconds *s, int64_t next)
{
	if (s->broken)
		s->bad = more(s->bad, 1);
	else if (s->seen)
		s->good = more(s->good, 1);
	else
		s->unknown = more(s->unknown, 1);
	s->unknown = more(s->unknown, next - s->current - 1);
}

void seconds_add(struct seconds *s, int64_t second, bool known, bool kept)
{
	if (s->begun && second < s->current)
		return;
	if (s->begun && second > s->current)
		close_second(s, second);
	if (!s->begun || second > s->current)
		s->seen = s->broken = false;
	s->begun = true;
	s->current = second;
	s->seen |= known;
	s->broken |= known && !kept;
}

int32_t seconds_ppm(const struct seconds *s)
{
	uint64_t all = (uint64_t)s->good + s->bad;

	return all ? (int32_t)((uint64_t)s->good * 1000000 / all) : -1;
}
