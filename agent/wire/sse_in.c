/* SPDX-License-Identifier: Apache-2.0 */
#include "sse_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_MAX ((size_t)8 << 20)

void sse_in_clear(struct sse_in *ev)
{
	free(ev->buf);
	ev->buf = NULL;
	ev->n = ev->cap = ev->seen = 0;
}

/* Joins the data lines of one event in place and tells it. p is 0-terminated. */
static void event_tell(const struct sse_in *ev, char *p)
{
	char *out = p, *to = p, *next;

	for (char *line = p; line; line = next) {
		size_t len = strcspn(line, "\n");

		next = line[len] ? line + len + 1 : NULL;
		if (len && line[len - 1] == '\r')
			len--;
		if (len < 5 || strncmp(line, "data:", 5) != 0)
			continue; /* a comment, an event's name or id */
		line += 5;
		len -= 5;
		if (len && *line == ' ') {
			line++;
			len--;
		}
		memmove(to, line, len);
		to += len;
	}
	if (to > out)
		ev->fn(ev->arg, out, (size_t)(to - out));
}

/* The end of a line behind which an empty one stands; *ret_skip to what comes after both. */
static char *event_end(char *p, size_t n, size_t *ret_skip)
{
	char *stop = p + n, *lf = p;

	while ((lf = memchr(lf, '\n', (size_t)(stop - lf)))) {
		bool cr = stop - lf > 2 && lf[1] == '\r' && lf[2] == '\n';

		*ret_skip = cr ? 3 : 2;
		if (cr || (stop - lf > 1 && lf[1] == '\n'))
			return lf;
		lf++;
	}
	return NULL;
}

int sse_in_feed(struct sse_in *ev, const char *p, size_t n)
{
	size_t skip, used = 0;
	char *end;

	if (ev->n + n >= EVENT_MAX)
		return -EMSGSIZE;
	if (ev->n + n + 1 > ev->cap) {
		size_t cap = 2 * (ev->n + n + 1);
		char *b = realloc(ev->buf, cap);

		if (!b)
			return -ENOMEM;
		ev->buf = b;
		ev->cap = cap;
	}
	memcpy(ev->buf + ev->n, p, n);
	ev->n += n;
	ev->buf[ev->n] = '\0';
	while ((end = event_end(ev->buf + ev->seen, ev->n - ev->seen, &skip))) {
		*end = '\0';
		event_tell(ev, ev->buf + used);
		used = ev->seen = (size_t)(end - ev->buf) + skip;
	}
	if (used)
		memmove(ev->buf, ev->buf + used, ev->n - used + 1);
	ev->n -= used;
	ev->seen = ev->n > 2 ? ev->n - 2 : 0; /* an end may want two bytes more */
	return 0;
}
