/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane is told and tells once a second, and the map of coloured blocks for the
 * agents. */
#include "enforcer_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define SECOND_US 1000000
#define QUIET_S   10 /* between two lines about one cause */
#define BOOT_ID   "/proc/sys/kernel/random/boot_id"

int colours_from(const struct config *c, struct dp_colours *ret, struct err *e)
{
	struct dp_colours out = { .block_ns = (uint64_t)c->node.block_ms * 1000000 };

	for (uint32_t i = 0; i < c->node.colours; i++) {
		int r = dp_colours_pair(&out, c->node.colour[i][0], c->node.colour[i][1], e);

		if (r)
			return r;
	}
	*ret = c->node.colours ? out : (struct dp_colours){ 0 };
	return 0;
}

/* --- rare events -------------------------------------------------------------------------------
 */

static void on_told(void *arg, const struct dp_event *ev)
{
	struct told *t = arg;
	uint32_t cause = ev->cause < DP_EV_MAX ? ev->cause : 0;

	t->last[t->next] = *ev;
	t->next = (t->next + 1) % ENFORCER_EVENTS_MAX;
	t->n += t->n < ENFORCER_EVENTS_MAX;
	t->fresh[cause]++;
	t->held[cause] += ev->held_back;
}

/* i = 1: the newest. */
static const struct dp_event *told_before(const struct told *t, uint32_t i)
{
	return &t->last[(t->next + ENFORCER_EVENTS_MAX - i) % ENFORCER_EVENTS_MAX];
}

static void device_text(struct enforcer_node *n, uint32_t ifindex, name_t *ret)
{
	const struct device *d = ifindex ? device_at(n, ifindex) : NULL;

	if (d)
		str_cut(ret->s, d->cfg->name);
	else if (ifindex)
		(void)snprintf(ret->s, sizeof(ret->s), "%u", ifindex);
}

/* One line for all of a cause, with the newest one of them. */
static void say(struct enforcer_node *n, uint32_t cause)
{
	const struct dp_event *ev = NULL;
	struct told *t = &n->told;
	name_t dev = { 0 };

	for (uint32_t i = 1; !ev && i <= t->n; i++)
		ev = told_before(t, i)->cause == cause ? told_before(t, i) : NULL;
	if (ev)
		device_text(n, ev->ifindex, &dev);
	log_warn("data plane: %s: %u times, %llu more only counted; last: label %u, device %s",
		 dp_cause_text(cause), t->fresh[cause], (unsigned long long)t->held[cause],
		 ev ? ev->label : 0, dev.s[0] ? dev.s : "?");
	t->fresh[cause] = 0;
	t->held[cause] = 0;
	t->wait[cause] = QUIET_S;
}

void events_take(struct enforcer_node *n)
{
	struct err e = { 0 };

	if (dp_events(n->dp, on_told, &n->told, &e) < 0)
		log_error("%s", e.text);
}

int show_events(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_events *p = rep;

	(void)req;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	events_take(n);
	for (uint32_t i = n->told.n; i; i--) {
		const struct dp_event *ev = told_before(&n->told, i);
		struct enforcer_event *to = &p->event[p->n++];

		*to = (struct enforcer_event){ .at = { (int64_t)(ev->at / 1000) },
					       .cause = ev->cause,
					       .label = ev->label,
					       .held_back = ev->held_back };
		device_text(n, ev->ifindex, &to->device);
	}
	for (uint32_t c = 1; c < DP_EV_MAX; c++) {
		struct dp_event_count k;

		if (dp_events_count(n->dp, c, &k))
			continue;
		p->cause[c].seen = k.seen;
		p->cause[c].held_back = k.held_back;
	}
	return 0;
}

/* --- the timer ---------------------------------------------------------------------------------
 */

static void cgroups_look(struct enforcer_node *n)
{
	uint32_t no = dp_locals_renew(n->dp);

	if (no > n->no_cgroup)
		log_warn("%u rules wait for their cgroup: it is not there", no);
	n->no_cgroup = no;
}

static void on_second(void *arg)
{
	struct enforcer_node *n = arg;

	dp_wall_set(n->dp);
	cgroups_look(n);
	events_take(n);
	for (uint32_t c = 0; c < DP_EV_MAX; c++) {
		n->told.wait[c] -= n->told.wait[c] > 0;
		if (n->told.fresh[c] && !n->told.wait[c])
			say(n, c);
	}
	n->second = NULL;
	second_start(n);
}

void second_start(struct enforcer_node *n)
{
	if (!n->loop || n->second)
		return;
	n->second = loop_after(n->loop, SECOND_US, on_second, n);
	if (!n->second)
		log_error("the programs' wall clock stays: no memory for its timer");
}

/* FNV-1a of the kernel's boot id: whoever has the same number reads the same clock. 0 = unknown. */
static uint64_t host_number(void)
{
	auto_close int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	uint64_t h = 0xcbf29ce484222325u;
	char id[37];
	ssize_t n = fd < 0 ? -1 : read(fd, id, sizeof(id));

	for (ssize_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)id[i]) * 0x100000001b3u;
	return n < 36 ? 0 : h >> 11;
}

int show_marks(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_marks *p = rep;

	(void)req;
	if (!n)
		return -EOPNOTSUPP;
	p->host = host_number();
	*ret_fd = fcntl(dp_marks_fd(n->dp), F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? err_set(e, -errno, "marks: %s", strerror(errno)) : 0;
}
