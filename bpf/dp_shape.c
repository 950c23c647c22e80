/* SPDX-License-Identifier: Apache-2.0 */
/* dp_shape.c - virtual queues at egress. A change in place is one store of the cost: what waits
 * already keeps its time. */
#include "dp_internal.h"

static struct dp_shape *way_of(struct dp *d, uint32_t minor, uint32_t ifindex)
{
	for (uint32_t i = 0; i < DP_SHAPE_WAYS; i++)
		if (d->shapes[minor].way[i].ifindex == ifindex)
			return &d->shapes[minor].way[i];
	return NULL;
}

int dp_shape_set(struct dp *d, const struct dp_queue *q, enum refusal *no, struct err *e)
{
	struct dp_shape *s;

	if (q->minor < 2 || q->minor >= DP_SHAPES || !q->ifindex)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "queue: minor 2..%#x, a device",
				 DP_SHAPES - 1);
	if (q->rate.bps < 1000 || q->rate.bps > 400000000000)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "queue.rate: 1 kbit/s to 400 Gbit/s");
	if (q->drop_us > 4000000 || q->ce_us > 4000000)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "queue: bounds are at most 4 s");
	s = way_of(d, q->minor, q->ifindex);
	if (!s) {
		s = way_of(d, q->minor, 0);
		if (!s)
			return dp_refuse(no, e, REFUSE_MAP_FULL,
					 "queue: minor %x is used on %d devices", q->minor,
					 DP_SHAPE_WAYS);
		memset(s, 0, sizeof(*s));
	}
	__atomic_store_n(&s->cost, DP_COST_ONE / q->rate.bps, __ATOMIC_RELAXED);
	__atomic_store_n(&s->drop_ns, q->drop_us * 1000, __ATOMIC_RELAXED);
	__atomic_store_n(&s->ce_ns, q->ce_us * 1000, __ATOMIC_RELAXED);
	__atomic_store_n(&s->flags, q->pace ? DP_SHAPE_PACE : 0, __ATOMIC_RELAXED);
	s->rate = q->rate.bps;
	__atomic_store_n(&d->ctl->shaped, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&s->ifindex, q->ifindex, __ATOMIC_RELEASE);
	return 0;
}

int dp_shape_get(struct dp *d, uint32_t ifindex, uint32_t minor, struct dp_queue *ret)
{
	const struct dp_shape *s;

	if (minor < 2 || minor >= DP_SHAPES || !ifindex)
		return -ERANGE;
	s = way_of(d, minor, ifindex);
	if (!s)
		return -ENOENT;
	*ret = (struct dp_queue){ .ifindex = ifindex,
				  .minor = minor,
				  .rate = { s->rate },
				  .drop_us = s->drop_ns / 1000,
				  .ce_us = s->ce_ns / 1000,
				  .pace = s->flags & DP_SHAPE_PACE,
				  .packets = s->packets,
				  .bytes = s->bytes,
				  .drops = s->drops,
				  .marks = s->marks };
	return 0;
}

void dp_shape_del(struct dp *d, uint32_t ifindex, uint32_t minor)
{
	struct dp_shape *s;

	if (minor < 2 || minor >= DP_SHAPES || !ifindex)
		return;
	s = way_of(d, minor, ifindex);
	if (s)
		__atomic_store_n(&s->ifindex, 0, __ATOMIC_RELEASE);
}

uint32_t dp_shape_next(struct dp *d, uint32_t ifindex, uint32_t minor)
{
	for (uint32_t i = minor < 1 ? 2 : minor + 1; i < DP_SHAPES; i++)
		if (way_of(d, i, ifindex))
			return i;
	return 0;
}

uint32_t dp_shape_walk(struct dp *d, uint32_t at, struct dp_queue *ret)
{
	for (uint32_t i = at ? at : 2 * DP_SHAPE_WAYS; i < DP_SHAPES * DP_SHAPE_WAYS; i++) {
		uint32_t minor = i / DP_SHAPE_WAYS;
		uint32_t dev = d->shapes[minor].way[i % DP_SHAPE_WAYS].ifindex;

		if (dev && !dp_shape_get(d, dev, minor, ret))
			return i + 1;
	}
	return 0;
}
