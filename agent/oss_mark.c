/* SPDX-License-Identifier: Apache-2.0 */
#include "oss_mark.h"

#define LIVE_BLOCKS 4

static const struct path_def *path_of(const struct side *s, const struct deal *d)
{
	uint8_t path = d->applied.rev ? d->applied.path : d->cur.path;

	for (uint8_t i = 0; i < s->paths.n; i++)
		if (s->paths.def[i].path == path && s->paths.def[i].n_hops)
			return &s->paths.def[i];
	return NULL;
}

void oss_mark_sample(struct side *s, const char *node, const struct mark_sample *m,
		     const struct mark_clock *c)
{
	const struct deal *d = world_deal_by_label(engine_world(s->engine), m->label);
	const struct path_def *p = d ? path_of(s, d) : NULL;
	struct side_flow *f = p ? side_flow(s, m->label, true) : NULL;
	bool first, last;
	struct side_exact *x;

	if (!f || m->dir >= DIR_MAX_ || !c->block_ms)
		return;
	first = !strcmp(p->hop[0].node.s, node);
	last = !strcmp(p->hop[p->n_hops - 1].node.s, node);
	if (first == last) /* of another path, or the only node of this one */
		return;
	x = &f->exact[m->dir];
	if (!mark_note(first == (m->dir == DIR_UP) ? &x->pair.near : &x->pair.far, m, c))
		return;
	while (mark_settle(&x->pair)) {
		if (x->pair.verdict != MARK_COMPARED)
			continue;
		x->at = loop_now(s->loop);
		x->fresh += x->pair.lost;
	}
}

bool oss_mark_live(const struct side *s, const struct side_flow *f, enum dir dir)
{
	const struct side_exact *x = &f->exact[dir];
	int64_t block_us = (int64_t)x->pair.near.clock.block_ms * 1000;

	return x->at.us && loop_now(s->loop).us - x->at.us < LIVE_BLOCKS * block_us;
}
