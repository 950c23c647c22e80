/* SPDX-License-Identifier: Apache-2.0 */
/* The node agent: starts, and once a window looks at links, probes and counters. */
#include "log.h"
#include "node_int.h"

#include <errno.h>

/* A window must hold some probes to say anything about loss and jitter. */
#define PROBES_A_WINDOW 5

static int64_t window_us(const struct node *n)
{
	const struct config *c = n->s->cfg;
	int64_t sample = c->daemon.sample_ms, probes = (int64_t)PROBES_A_WINDOW * c->node.probe_ms;

	return 1000 * (sample > probes ? sample : probes);
}

/* --- the window --------------------------------------------------------------------------------
 */

/* A device that is there now and was not, or is another one: the labels that it binds and the
 * classes on it are the enforcer's memory only as long as that lived. */
static bool came_back(const struct enforcer_links *was, const struct enforcer_links *is)
{
	for (uint32_t i = 0; i < is->n && was->n == is->n; i++)
		if (is->link[i].ifindex && is->link[i].ifindex != was->link[i].ifindex)
			return true;
	return false;
}

static void rates(struct node *n, const struct enforcer_links *is, mono_t now)
{
	int64_t us = now.us - n->links_at.us;

	for (uint32_t i = 0; i < is->n; i++) {
		const struct enforcer_link *a = &n->links.link[i], *b = &is->link[i];
		bool same = i < n->links.n && a->ifindex == b->ifindex && us > 0 &&
			    b->tx_bytes >= a->tx_bytes;

		n->tx[i].bps = same ? (uint64_t)((unsigned __int128)(b->tx_bytes - a->tx_bytes) *
						 8000000u / (uint64_t)us)
				    : 0;
	}
}

static int look_at_links(struct node *n, struct err *e)
{
	struct enforcer_links is = { 0 };
	int r = enforcer_links(n->s->enforcer, &is, e);
	bool back;

	if (r)
		return r;
	rates(n, &is, loop_now(n->s->loop));
	back = came_back(&n->links, &is);
	n->links = is;
	n->links_at = loop_now(n->s->loop);
	return back ? wanted_send(n, e) : 0;
}

/* A move between paths needs them; without, it uses what is configured. */
static void tell_spreads(struct node *n)
{
	struct enforcer_spreads s = { 0 };
	struct err e = { 0 };

	prober_spreads(n->prober, &s);
	if (s.n > 1 && enforcer_spreads(n->s->enforcer, &s, &e))
		log_warn("delays of the paths: %s", e.text);
}

static void on_window(void *arg)
{
	struct node *n = arg;
	int64_t now = loop_now(n->s->loop).us, every = window_us(n);
	struct err e = { 0 };
	int r = look_at_links(n, &e);

	prober_window(n->prober);
	tell_spreads(n);
	counters_window(n->counters);
	n->next_window += every;
	if (n->next_window <= now)
		n->next_window = now + every;
	if (!r && !loop_after(n->s->loop, n->next_window - now, on_window, n))
		r = err_set(&e, -ENOMEM, "out of memory");
	if (r) {
		log_error("node: %s", e.text);
		loop_stop(n->s->loop, r);
	}
}

/* --- what others ask ---------------------------------------------------------------------------
 */

int node_label_sample(struct side *s, uint32_t label, struct label_sample *ret)
{
	int r = s->node ? counters_label(s->node->counters, label, ret) : -EOPNOTSUPP;

	if (!r)
		ret->at = loop_now(s->loop);
	return r;
}

int node_class_sample(struct side *s, uint8_t class_id, struct class_sample *ret)
{
	int r = s->node ? counters_class(s->node->counters, class_id, ret) : -EOPNOTSUPP;

	if (!r)
		ret->at = loop_now(s->loop);
	return r;
}

int node_path_sample(struct side *s, uint8_t path, struct path_sample *ret)
{
	const struct cfg_path *c = config_path(s->cfg, path);
	struct path_sample p = { .path = path };
	struct node *n = s->node;
	bool probed;

	if (!n)
		return -EOPNOTSUPP;
	if (!c || !c->device[0])
		return -ENOENT;
	p.at = n->links_at;
	probed = !prober_sample(n->prober, path, &p);
	for (uint32_t i = 0; i < n->links.n; i++) {
		if (strcmp(n->links.link[i].name.s, c->device) != 0)
			continue;
		p.load = n->tx[i];
		/* Who does not probe a path knows nothing against it but its own device. */
		if (!probed)
			p.alive = n->links.link[i].up;
	}
	*ret = p;
	return 0;
}

int node_observation(struct side *s, uint32_t label, struct observation *ret, struct err *e)
{
	if (!s->node)
		return err_set(e, -EOPNOTSUPP, "this daemon is no node");
	return enforcer_observe(s->enforcer, label, ret, e);
}

/* --- node_apply() ------------------------------------------------------------------------------
 */

struct caller {
	node_done_fn done;
	void *arg;
};

static void on_done(void *arg, enum refusal r, const char *why, const struct step_receipt *rec,
		    size_t n)
{
	struct caller *c = arg;

	(void)rec;
	(void)n;
	c->done(c->arg, r, why);
	free(c);
}

int node_apply(struct side *s, const struct plan *p, node_done_fn done, void *arg, struct err *e)
{
	struct caller *c;
	struct plan mine = *p;
	int r;

	if (!s->node)
		return err_set(e, -EOPNOTSUPP, "this daemon is no node");
	mine.n_steps = 0;
	for (uint16_t i = 0; i < p->n_steps && i < STEPS_MAX; i++)
		if (!p->step[i].node.s[0] || !strcmp(p->step[i].node.s, s->cfg->daemon.name))
			mine.step[mine.n_steps++] = p->step[i];
	for (uint16_t i = mine.n_steps; i < STEPS_MAX; i++)
		mine.step[i] = (struct plan_step){ 0 };
	if (!mine.n_steps)
		return err_set(e, -EINVAL, "plan %s: no step for %s", p->id.s, s->cfg->daemon.name);
	c = malloc(sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	*c = (struct caller){ done, arg };
	r = batch_start(s->node, &mine, NULL, on_done, c, e);
	if (r)
		free(c);
	return r;
}

/* --- starting ----------------------------------------------------------------------------------
 */

static struct node *node_free(struct node *n)
{
	batches_free(n);
	n->prober = prober_free(n->prober);
	n->counters = counters_free(n->counters);
	free(n);
	return NULL;
}

int node_start(struct side *s, struct err *e)
{
	struct node *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_set(e, -ENOMEM, "out of memory");
	n->s = s;
	n->cap.engine = s->engine;
	r = enforcer_wait(s->enforcer, e);
	r = r ? r : counters_new(&n->counters, s->enforcer, e);
	r = r ? r : enforcer_links(s->enforcer, &n->links, e);
	r = r ? r : wanted_send(n, e);
	r = r ? r : wanted_collect(n, NULL, e);
	r = r ? r : prober_new(&n->prober, n, e);
	r = r ? r : telemetry_rows(e);
	n->links_at = loop_now(s->loop);
	n->next_window = n->links_at.us;
	if (!r && !loop_after(s->loop, window_us(n), on_window, n))
		r = err_set(e, -ENOMEM, "out of memory");
	if (r) {
		n = node_free(n);
		return r;
	}
	s->node = n;
	return 0;
}

void node_stop(struct side *s)
{
	if (s->node)
		s->node = node_free(s->node);
}
