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
	ev->n = ev->cap = 0;
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

static char *event_end(char *p, size_t *ret_skip)
{
	char *lf = strstr(p, "\n\n"), *cr = strstr(p, "\r\n\r\n");

	*ret_skip = cr && (!lf || cr < lf) ? 4 : 2;
	return cr && (!lf || cr < lf) ? cr : lf;
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
	while ((end = event_end(ev->buf + used, &skip))) {
		*end = '\0';
		event_tell(ev, ev->buf + used);
		used = (size_t)(end - ev->buf) + skip;
	}
	memmove(ev->buf, ev->buf + used, ev->n - used + 1);
	ev->n -= used;
	return 0;
}
