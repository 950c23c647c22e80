/* SPDX-License-Identifier: Apache-2.0 */
/* A label moves from one path to another. Where a departure time counts (our fq), nothing on the
 * new path overtakes what is still on the old one; where it does not, the answer says by how much
 * order can be lost. */
#include "shaper.h"

#include <errno.h>
#include <stdio.h>

#define FRESH_US 5000000 /* older than that a measurement says nothing */
#define MOST_US  10000000

int on_spreads(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	const struct enforcer_spreads *s = req;

	(void)rep;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	if (s->n > PATHS_MAX)
		return err_set(e, -EPROTO, "spreads: at most %d", PATHS_MAX);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct cfg_path *p = config_path(n->c, s->of[i].path);

		if (!p || s->of[i].least_us > s->of[i].most_us || s->of[i].most_us > MOST_US)
			return err_set(e, -EPROTO,
				       "spreads: path %u: not one of ours, or no spread",
				       s->of[i].path);
		n->spread[p - n->c->path] =
			(struct spread){ s->of[i].least_us, s->of[i].most_us,
					 n->loop ? loop_now(n->loop) : (mono_t){ 1 } };
	}
	return 0;
}

/* The least and the most that a packet takes on the path, us, as configured or measured, whichever
 * is further: a hold that is too long costs some delay, one that is too short costs the order. What
 * a round trip varies may all be one way's, so it counts twice. */
static bool reach_of(const struct enforcer_node *n, const struct cfg_path *p, int64_t *least,
		     int64_t *most)
{
	const struct spread *s = &n->spread[p - n->c->path];
	bool known = p->delay.us != 0;

	*least = *most = p->delay.us;
	if (s->at.us && (!n->loop || loop_now(n->loop).us - s->at.us < FRESH_US)) {
		int64_t top = (int64_t)s->least_us + 2 * ((int64_t)s->most_us - s->least_us);

		*least = known && *least < s->least_us ? *least : s->least_us;
		*most = *most > top ? *most : top;
		known = true;
	}
	*most += p->jitter_us;
	return known;
}

static bool holds(const struct device *d)
{
	return d && d->shaped && d->shaper == &shaper_edt;
}

int flip(struct enforcer_node *n, const struct step *s, uint32_t old, enum refusal *no,
	 struct enforcer_receipt *p, struct err *e)
{
	const struct cfg_path *from = config_path(n->c, old), *to = config_path(n->c, s->path);
	const struct device *d = to ? device_find(n, to->device) : NULL;
	const struct device *was = from ? device_find(n, from->device) : NULL;
	struct dp_move m = { .label = s->label, .dir = (enum dp_dir)s->dir, .path = s->path };
	int64_t first, last, unused, ahead, most = (int64_t)DP_HOLD_MAX_US;

	if (!from || !to)
		return dp_steer_set(n->dp, s->label, m.dir, s->path, no, e);
	if (!reach_of(n, from, &unused, &last) || !reach_of(n, to, &first, &unused)) {
		(void)snprintf(p->why.s, sizeof(p->why.s),
			       "order not held: the delay of path %u or %u is not known", old,
			       s->path);
		return dp_steer_set(n->dp, s->label, m.dir, s->path, no, e);
	}
	ahead = last - first;
	if (ahead > 0 && (!holds(d) || ahead > most))
		(void)snprintf(p->why.s, sizeof(p->why.s),
			       "order not held: %s: %lld us of path %u may be overtaken",
			       holds(d) ? "2 s at most" : "no fq",
			       (long long)(holds(d) ? ahead - most : ahead), old);
	else if (ahead > 0)
		(void)snprintf(p->why.s, sizeof(p->why.s),
			       "order held while path %u takes at most %lld us, path %u at least "
			       "%lld",
			       old, (long long)last, s->path, (long long)first);
	if (!holds(d))
		return dp_steer_set(n->dp, s->label, m.dir, s->path, no, e);
	m.ahead_us = (int32_t)(ahead > most ? most : ahead < -most ? -most : ahead);
	m.old_ifindex = was ? was->link.ifindex : 0;
	return dp_steer_move(n->dp, &m, no, e);
}
