/* SPDX-License-Identifier: Apache-2.0 */
/* Each peer's share, and the answers already given: as many as fit, of each peer its own. */
#include "a2a_i.h"

struct a2a_share *a2a_share_find(const struct a2a_server *s, const char *owner)
{
	struct a2a_share *h;

	LIST_FOREACH(h, &s->shares, entry)
	if (!strcmp(h->owner, owner))
		return h;
	return NULL;
}

struct a2a_share *a2a_share_get(struct a2a_server *s, const char *owner)
{
	struct a2a_share *h = a2a_share_find(s, owner);

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h || !str_set(h->owner, owner)) {
		free(h);
		return NULL;
	}
	TAILQ_INIT(&h->tasks);
	TAILQ_INIT(&h->seen);
	LIST_INSERT_HEAD(&s->shares, h, entry);
	return h;
}

void a2a_share_done(struct a2a_share *h)
{
	if (h->n_tasks || h->n_seen || h->n_turns)
		return;
	LIST_REMOVE(h, entry);
	free(h);
}

void a2a_seen_free(struct a2a_server *s, struct a2a_seen *n)
{
	TAILQ_REMOVE(&s->seen, n, entry);
	LIST_REMOVE(n, bucket);
	TAILQ_REMOVE(&n->share->seen, n, own);
	n->share->n_seen--;
	a2a_share_done(n->share);
	s->nseen--;
	if (n->turn)
		n->turn->seen = NULL;
	free(n->answer);
	free(n);
}

struct a2a_seen *a2a_seen_find(const struct a2a_server *s, const char *owner, const char *id)
{
	struct a2a_seen *n;

	LIST_FOREACH(n, &s->seen_buckets[a2a_hash(id)], bucket)
	if (!strcmp(n->message_id, id) && !strcmp(n->share->owner, owner))
		return n;
	return NULL;
}

/* A peer that sends many messages pushes out its own old answers before those of others. */
static void seen_room(struct a2a_server *s, const char *owner)
{
	struct a2a_share *h = a2a_share_find(s, owner);
	struct a2a_seen *n = NULL;

	if (h && h->n_seen >= A2A_SEEN_PEER_MAX) {
		TAILQ_FOREACH (n, &h->seen, own)
			if (n->answer)
				break;
	} else if (s->nseen >= A2A_SEEN_MAX) {
		TAILQ_FOREACH (n, &s->seen, entry)
			if (n->answer)
				break;
	}
	if (n)
		a2a_seen_free(s, n);
}

struct a2a_seen *a2a_seen_new(struct a2a_server *s, const char *owner, const char *id,
			      const uint8_t print[JSON_PRINT_LEN])
{
	struct a2a_seen *n;

	seen_room(s, owner);
	n = calloc(1, sizeof(*n));
	if (!n || !str_set(n->message_id, id)) {
		free(n);
		return NULL;
	}
	n->share = a2a_share_get(s, owner);
	if (!n->share) {
		free(n);
		return NULL;
	}
	memcpy(n->print, print, sizeof(n->print));
	TAILQ_INSERT_TAIL(&s->seen, n, entry);
	TAILQ_INSERT_TAIL(&n->share->seen, n, own);
	LIST_INSERT_HEAD(&s->seen_buckets[a2a_hash(id)], n, bucket);
	n->share->n_seen++;
	s->nseen++;
	return n;
}
