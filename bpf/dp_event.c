/* SPDX-License-Identifier: Apache-2.0 */
/* dp_event.c - rare events out of the ring buffer, and how many there were of each cause. */
#include <bpf/libbpf.h>

#include "dp_internal.h"

struct drain {
	dp_event_fn fn;
	void *arg;
};

static int on_record(void *ctx, void *data, size_t len)
{
	const struct drain *to = ctx;
	struct dp_event ev;

	if (len < sizeof(ev))
		return 0;
	memcpy(&ev, data, sizeof(ev));
	to->fn(to->arg, &ev);
	return 0;
}

int dp_events(struct dp *d, dp_event_fn fn, void *arg, struct err *e)
{
	struct drain to = { fn, arg };
	struct ring_buffer *rb =
		ring_buffer__new(bpf_map__fd(d->skel->maps.events), on_record, &to, NULL);
	int n = rb ? ring_buffer__consume(rb) : -errno;

	ring_buffer__free(rb);
	return n < 0 ? err_set(e, n, "events: %s", strerror(-n)) : n;
}

int dp_events_count(struct dp *d, uint32_t cause, struct dp_event_count *ret)
{
	struct dp_event_count sum = { 0 };
	auto_free struct dp_gate *g = NULL;

	if (!cause || cause >= DP_EV_MAX)
		return -ERANGE;
	g = calloc(d->cpus, sizeof(*g));
	if (!g)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(d->skel->maps.gates), &cause, g))
		return -errno;
	for (uint32_t i = 0; i < d->cpus; i++) {
		sum.seen += g[i].seen;
		sum.held_back += g[i].held_back;
	}
	*ret = sum;
	return 0;
}

const char *dp_cause_text(uint32_t cause)
{
	static const char *const text[DP_EV_MAX] = {
		"?",           "binding violated", "label expired", "label unknown", "not parsable",
		"drops began", "map full"
	};

	return cause < DP_EV_MAX ? text[cause] : "?";
}
