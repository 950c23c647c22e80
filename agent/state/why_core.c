/* SPDX-License-Identifier: Apache-2.0 */
/* A reason grows to the right and is cut where it would not fit: a cut reason is still a reason. */
#include "treaty/why.h"
#include "treaty/pure.h"

static void put(why_t *w, const char *s)
{
	size_t n = strnlen(w->s, sizeof(w->s) - 1);

	for (; *s && n < sizeof(w->s) - 1; s++)
		w->s[n++] = *s;
	memset(w->s + n, 0, sizeof(w->s) - n);
}

void why_rule(why_t *w, const char *rule)
{
	memset(w, 0, sizeof(*w));
	put(w, rule);
}

void why_num(why_t *w, const char *key, int64_t value)
{
	uint64_t u = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char buf[24];
	size_t i = sizeof(buf);

	buf[--i] = '\0';
	do {
		buf[--i] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (value < 0)
		buf[--i] = '-';
	why_text(w, key, buf + i);
}

void why_text(why_t *w, const char *key, const char *value)
{
	put(w, " ");
	put(w, key);
	put(w, "=");
	put(w, value);
}
