/* SPDX-License-Identifier: Apache-2.0 */
/* HTB classes made ahead of need. Adding a class costs the more, the more there are (its handle is
 * looked for in lists that grow); changing one does not. So idle classes stand ready at the minors
 * that deals will name, and the class of a deal that ends becomes idle again.
 *
 * The kernel is told in batches that take about a millisecond, and only when no step came for
 * QUIET_US: a step that comes in the middle waits for one batch at most. */
#include "shaper.h"

#include <errno.h>
#include <time.h>

#define QUIET_US  20000
#define PAUSE_US  10000
#define TARGET_US 1000
#define BATCH_MAX 64

_Static_assert(BATCH_MAX <= HTB_MANY, "one flight of classes");
_Static_assert(HTB_SLOTS_MAX % 64 == 0, "whole words");

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Minors HTB_LABEL_BASE.. of the pool: no label beyond the range will ever name one. */
static uint32_t pool_size(const struct enforcer_node *n)
{
	const struct cfg_node *c = &n->c->node;

	return least(least(c->class_pool, c->max_classes),
		     least(c->labels.high - c->labels.low + 1, HTB_SLOTS_MAX));
}

/* How many may be idle: HTB holds no more than max-classes, of a deal or not. */
static uint32_t room(const struct enforcer_node *n, const struct device *d)
{
	uint32_t used = d->n_classes - d->n_policed, cap = n->c->node.max_classes;

	return used < cap ? least(cap - used, pool_size(n)) : 0;
}

bool pool_has(const struct device *d, uint32_t minor)
{
	uint32_t i = minor - HTB_LABEL_BASE;

	return minor_ok(minor) && d->idle[i / 64] >> i % 64 & 1;
}

void pool_taken(struct device *d, uint32_t minor)
{
	uint32_t i = minor - HTB_LABEL_BASE;

	if (!pool_has(d, minor))
		return;
	d->idle[i / 64] &= ~(1ull << i % 64);
	d->n_idle--;
}

static void stands(struct device *d, uint32_t minor)
{
	uint32_t i = minor - HTB_LABEL_BASE;

	if (pool_has(d, minor))
		return;
	d->idle[i / 64] |= 1ull << i % 64;
	d->n_idle++;
}

void pool_forget(struct device *d)
{
	memset(d->idle, 0, sizeof(d->idle));
	d->n_idle = 0;
	d->pool_stuck = false;
}

void pool_adopt(struct enforcer_node *n, struct device *d)
{
	size_t count = 0;

	pool_forget(d);
	if (d->shaper != &shaper_htb ||
	    htb_class_list(n->nl, d->link.ifindex, n->classes, NULL, CLASSES_CAP, &count, NULL))
		return;
	for (size_t i = 0; i < count; i++)
		if (htb_is_idle(&n->classes[i]))
			stands(d, n->classes[i].minor);
}

bool pool_wants(const struct enforcer_node *n, const struct device *d, uint32_t minor)
{
	return minor_ok(minor) && minor - HTB_LABEL_BASE < pool_size(n) && class_wanted(d, minor) &&
	       !class_has_customer(d, minor);
}

int pool_give(struct enforcer_node *n, struct device *d, uint32_t minor, struct err *e)
{
	struct nl_class c = htb_idle(minor, d->rate, d->link.mtu);
	int r = htb_class_put(n->nl, d->link.ifindex, &c, e);

	if (!r)
		stands(d, minor);
	return r;
}

/* --- filling -----------------------------------------------------------------------------------
 */

static int64_t clock_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static size_t add_some(struct enforcer_node *n, struct device *d, size_t max, struct err *e)
{
	uint32_t end = HTB_LABEL_BASE + pool_size(n);
	struct nl_class c[BATCH_MAX];
	int result[BATCH_MAX] = { 0 };
	size_t count = 0, done = 0;
	int r;

	for (uint32_t m = HTB_LABEL_BASE; m < end && count < max; m++)
		if (!pool_has(d, m) && !class_wanted(d, m))
			c[count++] = htb_idle(m, d->rate, d->link.mtu);
	if (!count)
		return 0;
	r = htb_classes_put(n->nl, d->link.ifindex, c, count, result, e);
	for (size_t i = 0; !r && i < count; i++) {
		if (result[i])
			continue;
		stands(d, c[i].minor);
		done++;
	}
	return done;
}

/* Those with the highest minors first: they are named last. */
static size_t drop_some(struct enforcer_node *n, struct device *d, size_t max, struct err *e)
{
	size_t done = 0;

	for (uint32_t m = HTB_LABEL_BASE + HTB_SLOTS_MAX; done < max && --m >= HTB_LABEL_BASE;) {
		if (!pool_has(d, m))
			continue;
		if (htb_class_del(n->nl, d->link.ifindex, m, e))
			break;
		pool_taken(d, m);
		done++;
	}
	return done;
}

/* One batch of one device; false = it has what it should. */
static bool fill(struct enforcer_node *n, struct device *d)
{
	uint32_t want = room(n, d);
	struct err e = { 0 };
	int64_t from = clock_us(), us;
	size_t done;

	if (!d->shaped || d->shaper != &shaper_htb || !d->link.ifindex || d->pool_stuck ||
	    d->n_idle == want)
		return false;
	if (d->n_idle > want)
		done = drop_some(n, d, least(n->pool_batch, d->n_idle - want), &e);
	else
		done = add_some(n, d, least(n->pool_batch, want - d->n_idle), &e);
	us = clock_us() - from;
	n->pool_batch = done ? least(BATCH_MAX, (uint32_t)(TARGET_US * (int64_t)done / (us + 1)))
			     : n->pool_batch;
	n->pool_batch = n->pool_batch ? n->pool_batch : 1;
	if (done)
		return true;
	d->pool_stuck = e.code != 0;
	if (d->pool_stuck)
		log_warn("device %s: %u classes stand ready, not %u: %s", d->cfg->name, d->n_idle,
			 want, e.text);
	return false;
}

static void on_fill(void *arg)
{
	struct enforcer_node *n = arg;
	int64_t since = loop_now(n->loop).us - n->last_step.us;

	n->filling = NULL;
	if (n->last_step.us && since < QUIET_US) {
		n->filling = loop_after(n->loop, QUIET_US - since, on_fill, n);
		return;
	}
	for (uint32_t i = 0; i < n->n_dev; i++) {
		if (!fill(n, &n->dev[i]))
			continue;
		n->filling = loop_after(n->loop, PAUSE_US, on_fill, n);
		return;
	}
}

void pool_start(struct enforcer_node *n)
{
	n->pool_batch = n->pool_batch ? n->pool_batch : 1;
	if (n->loop && !n->filling)
		n->filling = loop_after(n->loop, PAUSE_US, on_fill, n);
}

void pool_stop(struct enforcer_node *n)
{
	if (n->loop)
		loop_cancel(n->loop, n->filling);
	n->filling = NULL;
}
