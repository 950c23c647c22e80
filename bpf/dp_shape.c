/* SPDX-License-Identifier: Apache-2.0 */
/* dp_shape.c - virtual queues at egress. A change in place is one store of the cost: what waits
 * already keeps its time. */
#include <time.h>

#include "dp_internal.h"

/* The departure clock of the programs is the monotonic one. */
static uint64_t shape_clock(const struct dp *d)
{
	struct timespec t;

	if (d->offline && d->skel->bss->test_now)
		return d->skel->bss->test_now;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct dp_shape *way_of(struct dp *d, uint32_t minor, uint32_t ifindex)
{
	for (uint32_t i = 0; i < DP_SHAPE_WAYS; i++)
		if (d->shapes[minor].way[i].ifindex == ifindex)
			return &d->shapes[minor].way[i];
	return NULL;
}

/* Where a queue begins at the latest. */
static uint64_t begin(const struct dp *d)
{
	uint64_t now = shape_clock(d), held = d->skel->bss->holds_end;

	return now > held ? now : held;
}

int dp_shape_set(struct dp *d, const struct dp_queue *q, enum refusal *no, struct err *e)
{
	struct dp_shape *s;
	bool other;

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
	other = s->rate != q->rate.bps;
	__atomic_store_n(&s->cost, DP_COST_ONE / q->rate.bps, __ATOMIC_RELAXED);
	__atomic_store_n(&s->drop_ns, q->drop_us * 1000, __ATOMIC_RELAXED);
	__atomic_store_n(&s->ce_ns, q->ce_us * 1000, __ATOMIC_RELAXED);
	__atomic_store_n(&s->flags, q->pace ? DP_SHAPE_PACE : 0, __ATOMIC_RELAXED);
	s->rate = q->rate.bps;
	/* No packet was given a time beyond the bound: what lies there, the last one owes. */
	if (other && q->drop_us)
		dp_owe_at_most(&s->next, begin(d) + q->drop_us * 1000ull);
	__atomic_store_n(&d->ctl->shaped, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&d->skel->bss->shapes_live, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&s->ifindex, q->ifindex, __ATOMIC_RELEASE);
	return 0;
}

static uint64_t depth_us(const struct dp *d, const struct dp_shape *s)
{
	uint64_t next = __atomic_load_n(&s->next, __ATOMIC_RELAXED), now = shape_clock(d);

	return next > now ? (next - now) / 1000 : 0;
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
				  .marks = s->marks,
				  .depth_us = depth_us(d, s) };
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

/* --- moving a label without overtaking ---------------------------------------------------------
 */

static uint32_t hold_key(uint32_t label, uint32_t path)
{
	return path << DP_MARK_PATH | label;
}

/* When the last packet that was sent the old way leaves this node: it may wait in a paced queue, or
 * be held itself. */
static uint64_t last_old(struct dp *d, const struct dp_move *m, uint64_t now)
{
	uint32_t old = d->lines[m->label].path[m->dir], key = hold_key(m->label, old);
	uint32_t minor = d->lines[m->label].class_minor;
	uint64_t at = now, held;
	const struct dp_shape *s;

	if (!bpf_map_lookup_elem(bpf_map__fd(d->skel->maps.holds), &key, &held) && held > at)
		at = held;
	s = m->old_ifindex ? way_of(d, minor ? minor : DP_MINOR_REST, m->old_ifindex) : NULL;
	if (s && (s->flags & DP_SHAPE_PACE) && s->next > at)
		at = s->next;
	return at;
}

int dp_steer_move(struct dp *d, const struct dp_move *m, enum refusal *no, struct err *e)
{
	uint64_t now = shape_clock(d), until;
	uint32_t key = hold_key(m->label, m->path);

	if (!m->label || m->label >= d->labels)
		return dp_refuse(no, e, REFUSE_LABEL_RANGE, "label: %u is outside 1..%u", m->label,
				 d->labels - 1);
	if (m->path < 1 || m->path > 255 || (unsigned int)m->dir > DP_DOWN)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "path: 1..255, direction: 0 or 1");
	if (m->ahead_us > (int32_t)DP_HOLD_MAX_US || m->ahead_us < -(int32_t)DP_HOLD_MAX_US)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "ahead: at most 2 s");
	until = last_old(d, m, now) + (uint64_t)((int64_t)m->ahead_us * 1000);
	if (until > now) {
		if (until - now > DP_HOLD_MAX_US * 1000ull)
			until = now + DP_HOLD_MAX_US * 1000ull;
		if (bpf_map_update_elem(bpf_map__fd(d->skel->maps.holds), &key, &until, BPF_ANY))
			return err_set(e, -errno, "hold: %s", strerror(errno));
		/* After the map, before the flip: whoever takes the new path sees both. */
		if (d->skel->bss->holds_end < until)
			__atomic_store_n(&d->skel->bss->holds_end, until, __ATOMIC_SEQ_CST);
	} else {
		(void)bpf_map_delete_elem(bpf_map__fd(d->skel->maps.holds), &key);
	}
	return dp_steer_set(d, m->label, m->dir, m->path, no, e);
}

void dp_holds_adopt(struct dp *d)
{
	if (d->adopted)
		d->skel->bss->holds_end = shape_clock(d) + DP_HOLD_MAX_US * 1000ull;
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
