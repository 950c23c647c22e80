/* SPDX-License-Identifier: Apache-2.0 */
/* What is published, kept as text in one ring, and what each kind of reader sees of it. */
#include "sse_i.h"

#include <errno.h>

/* --- the ring -------------------------------------------------------------------------------- */

void sse_forget_first(struct sse_hub *h)
{
	struct kept **k = &h->kept[h->first++ % KEPT_MAX];

	free(*k);
	*k = NULL;
}

/* Copies s behind the text; *at moves on. */
static const char *keep_string(char **at, const char *s)
{
	size_t n = s ? strlen(s) + 1 : 0;
	char *to = *at;

	if (!s)
		return NULL;
	memcpy(to, s, n);
	*at += n;
	return to;
}

static size_t room_for(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* Room for a text, behind the last one or at the ring's beginning. Whoever's text stood there is
 * forgotten, the oldest first. */
static char *ring_room(struct sse_hub *h, size_t len)
{
	const char *from, *to;

	if (!h->ring)
		h->ring = malloc(RING);
	if (!h->ring)
		return NULL;
	from = h->ring + h->at;
	if (RING - h->at < len) {
		while (h->first < h->end && h->kept[h->first % KEPT_MAX]->text >= from)
			sse_forget_first(h);
		from = h->ring;
	}
	to = from + len;
	while (h->first < h->end &&
	       (h->end - h->first >= KEPT_MAX || (h->kept[h->first % KEPT_MAX]->text >= from &&
						  h->kept[h->first % KEPT_MAX]->text < to)))
		sse_forget_first(h);
	h->at = (size_t)(to - h->ring);
	return h->ring + h->at - len;
}

struct kept *sse_kept_new(struct sse_hub *h, const struct sse_event *ev)
{
	int n = sse_format(NULL, 0, ev->seq, ev->type, ev->data);
	struct kept *k;
	char *at, *text;

	if (n < 0)
		return NULL;
	k = malloc(sizeof(*k) + room_for(ev->data) + room_for(ev->type) + room_for(ev->about[0]) +
		   room_for(ev->about[1]) + room_for(ev->class_name));
	text = k ? ring_room(h, (size_t)n + 1) : NULL;
	if (!text) {
		free(k);
		return NULL;
	}
	(void)sse_format(text, (size_t)n + 1, ev->seq, ev->type, ev->data);
	h->at--; /* the next one takes the place of its NUL */
	k->text = text;
	k->len = (size_t)n;
	at = k->strings;
	k->ev = (struct sse_event){ .seq = ev->seq };
	k->ev.data = keep_string(&at, ev->data);
	k->ev.type = keep_string(&at, ev->type);
	k->ev.about[0] = keep_string(&at, ev->about[0]);
	k->ev.about[1] = keep_string(&at, ev->about[1]);
	k->ev.class_name = keep_string(&at, ev->class_name);
	return k;
}

/* --- who sees what --------------------------------------------------------------------------- */

static void page_drop(struct sse_hub *h, struct lens *l)
{
	h->pages -= l->page.text != NULL;
	free(l->page.text);
	l->page.text = NULL;
}

void sse_lens_put(struct sse_hub *h, struct lens *l)
{
	if (!l || --l->readers)
		return;
	LIST_REMOVE(l, entry);
	page_drop(h, l);
	free(l);
}

/* One of a list that commas divide. */
static bool listed(const char *list, const char *v)
{
	size_t n = strlen(v);

	while (*list) {
		size_t len = strcspn(list, ",");

		if (len == n && !memcmp(list, v, n))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

static bool same(const char *want, const char *v)
{
	return v && !strcmp(want, v);
}

bool sse_wants(const struct lens *l, const struct sse_event *ev)
{
	return (!l->types[0] || (ev->type && listed(l->types, ev->type))) &&
	       (!l->agreement[0] || same(l->agreement, ev->about[0]) ||
		same(l->agreement, ev->about[1])) &&
	       (!l->class_name[0] || same(l->class_name, ev->class_name));
}

static bool same_peer(const struct peer *a, const struct peer *b)
{
	return !strcmp(a->did, b->did) && !strcmp(a->name, b->name) && a->local == b->local &&
	       a->bearer == b->bearer && a->certified == b->certified && a->uid == b->uid &&
	       a->scopes == b->scopes;
}

struct lens *sse_lens_get(struct sse_hub *h, const struct lens *want)
{
	struct lens *l;

	LIST_FOREACH(l, &h->lenses, entry)
	if (!strcmp(l->types, want->types) && !strcmp(l->agreement, want->agreement) &&
	    !strcmp(l->class_name, want->class_name) && same_peer(&l->peer, &want->peer)) {
		l->readers++;
		return l;
	}
	l = malloc(sizeof(*l));
	if (!l)
		return NULL;
	*l = *want;
	l->readers = 1;
	l->from = l->to = h->end;
	LIST_INSERT_HEAD(&h->lenses, l, entry);
	return l;
}

/* enum sight, or negative: whoever looks through it is let go. */
static int judge(struct sse_hub *h, const struct lens *l, const struct sse_event *ev)
{
	auto_free char *data = NULL;
	int r;

	if (!sse_wants(l, ev))
		return NOTHING;
	r = h->view ? h->view(h->arg, &l->peer, ev, &data) : 1;
	return r < 0 ? r : r == 0 ? NOTHING : r == 1 ? ALL : OTHER;
}

int sse_sight(struct sse_hub *h, struct lens *l, uint64_t i)
{
	if (l->to < i) /* nobody looked for so long */
		l->from = l->to = i;
	while (l->to <= i) {
		int r = judge(h, l, &h->kept[l->to % KEPT_MAX]->ev);

		if (r < 0)
			return r;
		l->seen[l->to++ % KEPT_MAX] = (uint8_t)r;
	}
	if (l->to - l->from > KEPT_MAX)
		l->from = l->to - KEPT_MAX;
	return i < l->from ? judge(h, l, &h->kept[i % KEPT_MAX]->ev) : l->seen[i % KEPT_MAX];
}

/* --- pages of the log ------------------------------------------------------------------------ */

void sse_page_keep(struct sse_hub *h, struct lens *l, const char *text, size_t len, uint64_t after,
		   uint64_t upto)
{
	page_drop(h, l);
	if (l->readers < 2 || h->pages == PAGES_MAX)
		return;
	l->page = (struct page){ malloc(len + 1), len, after, upto };
	if (!l->page.text)
		return;
	if (len)
		memcpy(l->page.text, text, len);
	l->page.text[len] = 0;
	h->pages++;
}

/* Each event begins with its id, and only its end is an empty line. */
bool sse_page_find(const struct lens *l, uint64_t seen, const char **text, size_t *len)
{
	const struct page *p = &l->page;
	const char *at = p->text;

	if (!at || seen < p->after || seen >= p->upto)
		return false;
	while (at && *at && strtoull(at + 4, NULL, 10) <= seen) {
		at = strstr(at, "\n\n");
		at = at ? at + 2 : NULL;
	}
	if (!at)
		return false;
	*text = at;
	*len = p->len - (size_t)(at - p->text);
	return true;
}

void sse_pages_drop(struct sse_hub *h)
{
	struct lens *l;

	LIST_FOREACH(l, &h->lenses, entry)
	page_drop(h, l);
}
