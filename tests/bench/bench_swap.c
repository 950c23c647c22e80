/* SPDX-License-Identifier: Apache-2.0 */
/* bench_swap.c - moving a flow to another path while it runs: the data plane's flip of one u32,
 * `ip route replace` (one message that the kernel takes at once), and, as the control that must
 * lose, a deletion followed by an addition. The paths are equal and both stand before the first
 * flip. Told apart by the device on which a packet reaches the receiver:
 *
 *   t - in [router] out  - x     both lead to the receiver's address fd00:k:9::2
 *                   out2 - y
 *
 * A third data plane flips between the same paths by direct redirect, past the router's routing.
 *
 * Blocks of swaps take turns between the ways. Where the kernel has fq and netem, two more on paths
 * of 20 and 5 ms: the flip with the order-preserving hold, and the plain one as the control that
 * must reorder. Before them a flow stays on each of these paths: what it loses of its order is the
 * wire's (SWAP_WIRE_US makes netem jitter by so much, in order unless SWAP_WIRE_LOOSE=1), and how
 * its delay varies is what the hold goes by, as the enforcer does: the most of the old path against
 * the least of the new one, the spread counted twice. SWAP_JITTER_US puts a margin of its own in
 * place of that. */
#include "netlink/qdisc.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "wire_flow.h"

#define SWAPS  2000
#define BLOCKS 4
#define PPS    50000

#define SLOW_MS   20
#define FAST_MS   5
#define STILL     2000 /* packets on one path */
#define SETTLE_NS 60000000u

enum way { FLIP, REPLACE, DEL_ADD, REDIRECT, HOLD, PLAIN, WAYS };

static const char *const names[WAYS] = { "flip",     "route_replace", "del_add",
					 "redirect", "unequal_hold",  "unequal_plain" };
static unsigned ways = HOLD;
static int32_t ahead_us[2];            /* how long what moves to path 1, 2 is held */
static unsigned wire_us;               /* netem's jitter */
static bool wire_loose;                /* .. that lets packets overtake each other */
static uint64_t settle_ns = SETTLE_NS; /* longer than any hold and delay */

struct side {
	struct router r;
	uint32_t y; /* the receiver's device of path 2 */
	struct nl *nl;
	struct nl_route route[2];
	int out;
};

struct swap {
	uint64_t before, after;
	uint8_t dev; /* where packets must come now */
};

struct result {
	uint64_t sent, came, reordered, late;
	double took_s;
	size_t tried, seen;
	double effect[2 * SWAPS], call[2 * SWAPS]; /* us */
};

static struct wire wire;
static struct side side[WAYS];
static struct result result[WAYS];

static void second_path(struct side *s)
{
	char x[8], ip[2][32];
	struct nl_link l;
	struct err e = { 0 };

	(void)snprintf(x, sizeof(x), "y%u", s->r.k);
	(void)snprintf(ip[0], sizeof(ip[0]), "fd00:%x:3::1", s->r.k);
	(void)snprintf(ip[1], sizeof(ip[1]), "fd00:%x:3::2", s->r.k);
	wire_link(s->r.ns, "out2", ip[0], wire.rx, x, ip[1], 64 + s->r.k);
	sh("ip -6 addr add fd00:%x:9::2/128 dev lo nodad", s->r.k);
	must(link_find(wire.rx_nl, x, &l, &e), &e, x);
	s->y = l.ifindex;
	ns_enter(wire.tx);
	sh("ip -6 route add fd00:%x:9::/64 via fd00:%x:1::1", s->r.k, s->r.k);
}

/* Path p's route to fd00:k:9::/64. */
static void route_of(struct side *s, unsigned p, uint32_t table, struct nl_route *r)
{
	*r = (struct nl_route){ .table = table,
				.metric = NL_METRIC_V6,
				.oif = p ? if_nametoindex("out2") : s->r.out,
				.dst = { NL_V6, 64, { 0xfd, 0, 0, (uint8_t)s->r.k, 0, 9 } },
				.gw = { NL_V6, 128, { 0xfd, 0, 0, (uint8_t)s->r.k } } };
	r->gw.b[5] = (uint8_t)(2 + p);
	r->gw.b[15] = 2;
}

static void steering(struct side *s)
{
	const struct dp_label l = { .label = WIRE_LABEL,
				    .valid_until = { INT64_MAX },
				    .dscp = DP_DSCP_ANY };
	const struct dp_port second = { .ifindex = if_nametoindex("out2"),
					.role = DP_ROLE_NODE,
					.dir = DP_DOWN };
	struct err e = { 0 };

	router_dataplane(&s->r, DP_ROLE_NODE, 0);
	must(dp_port_attach(s->r.dp, &second, NULL, &e), &e, "port");
	must(dp_label_set(s->r.dp, &l, NULL, &e), &e, "label");
	for (uint8_t p = 0; p < 2; p++) {
		struct nl_rule rule = rule_path(NL_V6, (uint8_t)(p + 1));

		route_of(s, p, NL_PATH_TABLE(p + 1), &s->route[p]);
		must(route_put(s->nl, &s->route[p], &e), &e, "route");
		must(rule_put(s->nl, &rule, &e), &e, "rule");
	}
	must(dp_steer_set(s->r.dp, WIRE_LABEL, DP_UP, 1, NULL, &e), &e, "steer");
}

static void redirects(struct side *s)
{
	struct err e = { 0 };

	for (uint32_t p = 0; p < 2; p++) {
		struct dp_redirect r = { .path = p + 1, .ifindex = s->route[p].oif };

		memcpy(r.gw, s->route[p].gw.b, sizeof(r.gw));
		must(dp_redirect_set(s->r.dp, &r, NULL, &e), &e, "redirect");
	}
}

/* Whether what was sent went by redirect, or nothing was shown of it. */
static void redirected(const struct side *s, uint64_t sent)
{
	struct dp_redirect r[2] = { 0 };

	for (uint32_t p = 0; p < 2; p++)
		if (dp_redirect_get(s->r.dp, p + 1, &r[p]))
			die("path %u: no redirect", p + 1);
	if (r[0].packets + r[1].packets < sent)
		die("redirect: %llu of %llu packets by the tables",
		    (unsigned long long)(r[0].back + r[1].back), (unsigned long long)sent);
}

static bool unequal_here(void)
{
	ns_enter(wire.rx);
	if (!sh_try("{ tc qdisc add dev lo root fq && tc qdisc del dev lo root && "
		    "tc qdisc add dev lo root netem && tc qdisc del dev lo root && "
		    "ip link add ifb9 type ifb && ip link del ifb9; } 2>/dev/null")) {
		(void)fprintf(stderr,
			      "bench_swap: unequal paths: skipped, no fq or no netem here\n");
		return false;
	}
	return true;
}

/* What comes in on the receiver's device waits so long first. */
static void delay(const char *dev, unsigned ms)
{
	char ifb[24];

	(void)snprintf(ifb, sizeof(ifb), "i%s", dev);
	ns_enter(wire.rx);
	sh("ip link add %s type ifb && ip link set %s up && "
	   "tc qdisc add dev %s root netem delay %ums %uus %s limit 100000 && "
	   "tc qdisc add dev %s ingress && tc filter add dev %s ingress matchall "
	   "action mirred egress redirect dev %s",
	   ifb, ifb, ifb, ms, wire_us, wire_us && !wire_loose ? "rate 10gbit" : "", dev, dev, ifb);
}

static void unequal(struct side *s)
{
	char dev[8];
	struct err e = { 0 };

	(void)snprintf(dev, sizeof(dev), "x%u", s->r.k);
	delay(dev, SLOW_MS);
	(void)snprintf(dev, sizeof(dev), "y%u", s->r.k);
	delay(dev, FAST_MS);
	ns_enter(s->r.ns);
	must(qdisc_fq_ensure(s->nl, s->r.out, &e), &e, "fq");
	must(qdisc_fq_ensure(s->nl, if_nametoindex("out2"), &e), &e, "fq");
}

static void build(enum way way)
{
	struct side *s = &side[way];
	struct sockaddr_in6 a;
	struct err e = { 0 };

	router_new(&wire, &s->r, (unsigned)way + 1);
	second_path(s);
	ns_enter(s->r.ns);
	must(nl_new(&s->nl, &e), &e, "netlink");
	if (way >= HOLD)
		unequal(s);
	if (way == FLIP || way >= REDIRECT) {
		steering(s);
		if (way == REDIRECT)
			redirects(s);
	} else {
		route_of(s, 0, 254, &s->route[0]);
		route_of(s, 1, 254, &s->route[1]);
		must(route_put(s->nl, &s->route[0], &e), &e, "route");
	}
	/* the label was leased for the destination of router k: ask for the other one */
	s->out = wire_sender(&wire, s->r.k, WIRE_PORT, WIRE_LABEL);
	wire_addr(&a, s->r.k, 9, WIRE_PORT);
	a.sin6_flowinfo = htonl(WIRE_LABEL);
	if (connect(s->out, (struct sockaddr *)&a, sizeof(a)))
		die("connect: %s", strerror(errno));
}

static void swap(struct side *s, enum way way, unsigned to)
{
	const struct dp_move m = { .label = WIRE_LABEL, .path = to + 1, .ahead_us = ahead_us[to] };
	struct err e = { 0 };

	switch (way) {
	case HOLD: must(dp_steer_move(s->r.dp, &m, NULL, &e), &e, "move"); break;
	case FLIP:
	case REDIRECT:
	case PLAIN:
		must(dp_steer_set(s->r.dp, WIRE_LABEL, DP_UP, to + 1, NULL, &e), &e, "steer");
		break;
	case REPLACE: must(route_replace(s->nl, &s->route[to], &e), &e, "replace"); break;
	case DEL_ADD:
		must(route_del(s->nl, &s->route[!to], &e), &e, "delete");
		must(route_put(s->nl, &s->route[to], &e), &e, "add");
		break;
	case WAYS: break;
	}
}

/* From each call to the first packet on the new path. A swap that no packet met is not `seen`: it
 * counts with all the time until the next one. */
static void effects(struct result *r, const struct swap *w, size_t n, const struct ear *e)
{
	size_t at = 0, kept = e->n < e->cap ? e->n : e->cap;

	for (size_t i = 0; i < n; i++) {
		uint64_t until = i + 1 < n ? w[i + 1].before : w[i].before + 5000000, at_ns;

		r->call[r->tried] = (double)(w[i].after - w[i].before) / 1000;
		while (at < kept && e->log[at].at < w[i].before)
			at++;
		while (at < kept && e->log[at].at < until && e->log[at].dev != w[i].dev)
			at++;
		at_ns = at < kept && e->log[at].at < until ? e->log[at].at : until;
		r->seen += at_ns != until;
		r->effect[r->tried++] = (double)(at_ns - w[i].before) / 1000;
	}
}

/* The one flow that is moved, or stays. */
static struct talker flow_of(struct side *s, uint64_t pps)
{
	return (struct talker){ .fd = &s->out,
				.flows = 1,
				.size = sizeof(struct flow_pkt),
				.gap_ns = 1000000000 / pps,
				.cpu = 0,
				.realtime = true };
}

static void block(enum way way, size_t swaps, uint64_t pps)
{
	struct side *s = &side[way];
	struct result *r = &result[way];
	struct swap *w = calloc(swaps, sizeof(*w));
	struct talker t = flow_of(s, pps);
	uint64_t from;
	struct ear e;

	if (!w)
		die("out of memory");
	hear_start(&e, &wire, WIRE_PORT, 1, false, swaps * 200 + 100000);
	from = now_ns();
	talk_start(&t);
	hear_begin(&e, 500);
	for (size_t i = 0; i < swaps; i++) {
		unsigned to = !(i & 1);

		sleep_ns(way >= HOLD ? settle_ns + (uint64_t)random() % 600000
				     : 700000 + (uint64_t)random() % 600000);
		w[i].dev = (uint8_t)(to ? s->y : s->r.x);
		w[i].before = clock_ns(CLOCK_REALTIME);
		swap(s, way, to);
		w[i].after = clock_ns(CLOCK_REALTIME);
	}
	sleep_ns(way >= HOLD ? settle_ns : 5000000);
	talk_stop(&t);
	r->took_s += (double)(now_ns() - from) / 1e9;
	hear_drain(&e, t.sent);
	hear_stop(&e);
	r->sent += t.sent;
	r->came += e.n;
	r->late += t.late;
	r->reordered += reordered(e.log, e.n < e.cap ? e.n : e.cap, 1);
	effects(r, w, swaps, &e);
	free(e.log);
	free(w);
}

/* --- unequal paths: what a flow meets that stays -----------------------------------------------
 */

struct spread {
	double least, most; /* us, from the sending thread to the reading one */
};

static struct spread still(unsigned path, uint64_t pps)
{
	struct side *s = &side[HOLD];
	struct talker t = flow_of(s, pps);
	struct spread d = { INFINITY, 0 };
	struct err e = { 0 };
	struct ear ear;

	must(dp_steer_set(s->r.dp, WIRE_LABEL, DP_UP, path + 1, NULL, &e), &e, "steer");
	hear_start(&ear, &wire, WIRE_PORT, 1, false, 10 * STILL);
	talk_start(&t);
	hear_begin(&ear, STILL);
	talk_stop(&t);
	hear_drain(&ear, t.sent);
	hear_stop(&ear);
	for (size_t i = 0; i < ear.n && i < ear.cap; i++) {
		double us = (double)(int64_t)(ear.log[i].read - ear.log[i].sent) / 1000;

		d.least = fmin(d.least, us);
		d.most = fmax(d.most, us);
	}
	(void)printf("{\"metric\":\"dataplane.swap_still_%s_reordered\",\"value\":%llu,"
		     "\"unit\":\"packets\",\"sent\":%llu,\"came\":%llu,\"least_us\":%.0f,"
		     "\"most_us\":%.0f,\"wire_jitter_us\":%u}\n",
		     path ? "fast" : "slow",
		     (unsigned long long)reordered(ear.log, ear.n < ear.cap ? ear.n : ear.cap, 1),
		     (unsigned long long)t.sent, (unsigned long long)ear.n, d.least, d.most,
		     wire_us);
	free(ear.log);
	return d;
}

static int32_t ahead(const struct spread *old, const struct spread *new)
{
	return (int32_t)(old->least + 2 * (old->most - old->least) - new->least);
}

static void hold_by(uint64_t pps)
{
	const double margin = knob("SWAP_JITTER_US", -1);
	const struct spread fast = still(1, pps), slow = still(0, pps);

	ahead_us[0] = ahead(&fast, &slow);
	ahead_us[1] = ahead(&slow, &fast);
	if (margin >= 0) {
		ahead_us[0] = (int32_t)margin - (SLOW_MS - FAST_MS) * 1000;
		ahead_us[1] = (int32_t)margin + (SLOW_MS - FAST_MS) * 1000;
	}
	settle_ns = (uint64_t)fmax(SETTLE_NS, 2e3 * (ahead_us[1] + slow.most));
}

static void report(enum way way)
{
	struct result *r = &result[way];
	double lost = (double)(r->sent - r->came),
	       base = percentile(result[REPLACE].effect, result[REPLACE].tried, 99),
	       p99 = percentile(r->effect, r->tried, 99);

	(void)printf("{\"metric\":\"dataplane.swap_%s_lost\",\"value\":%.0f,\"unit\":\"packets\","
		     "\"sent\":%llu,\"swaps\":%zu,\"pps\":%.0f,\"late\":%llu%s}\n",
		     names[way], lost, (unsigned long long)r->sent, r->tried,
		     (double)r->sent / r->took_s, (unsigned long long)r->late,
		     way == DEL_ADD || way == REPLACE || way == PLAIN ? "" : ",\"target\":0");
	if (way == HOLD)
		(void)printf("{\"metric\":\"dataplane.swap_hold_us\",\"value\":%d,\"unit\":"
			     "\"us\",\"to_slow\":%d}\n",
			     ahead_us[1], ahead_us[0]);
	(void)printf("{\"metric\":\"dataplane.swap_%s_reordered\",\"value\":%llu,"
		     "\"unit\":\"packets\",\"sent\":%llu%s}\n",
		     names[way], (unsigned long long)r->reordered, (unsigned long long)r->sent,
		     way == DEL_ADD || way == REPLACE || way == PLAIN ? "" : ",\"target\":0");
	if (way >= HOLD) /* the devices' time stamps are from before netem */
		return;
	(void)printf("{\"metric\":\"dataplane.swap_%s_p99_us\",\"value\":%.1f,\"unit\":\"us\","
		     "\"baseline\":\"dataplane.swap_route_replace_p99_us\",\"ratio\":%.2f,"
		     "\"median\":%.1f,\"seen\":%zu,\"call_median\":%.1f%s}\n",
		     names[way], p99, base > 0 ? p99 / base : 0,
		     percentile(r->effect, r->tried, 50), r->seen,
		     percentile(r->call, r->tried, 50),
		     way == FLIP || way == REDIRECT ? ",\"target\":100" : "");
}

int main(void)
{
	size_t swaps = (size_t)knob("SWAPS", SWAPS);
	uint64_t pps = (uint64_t)knob("SWAP_PPS", PPS);

	swaps = swaps < BLOCKS ? BLOCKS : swaps > 2 * SWAPS ? 2 * SWAPS : swaps;
	pps = pps ? pps : PPS;
	wire_us = (unsigned)knob("SWAP_WIRE_US", 0);
	wire_loose = knob("SWAP_WIRE_LOOSE", 0) > 0;
	wire_open(&wire, "bench_swap");
	if (unequal_here())
		ways = WAYS;
	for (enum way way = FLIP; way < ways; way++)
		build(way);
	wire_pin(1, false);
	if (ways == WAYS)
		hold_by(pps);
	for (int b = 0; b < BLOCKS; b++)
		for (enum way way = FLIP; way < ways; way++)
			block(way, swaps / BLOCKS / (way >= HOLD ? 5 : 1) + 1, pps);
	for (enum way way = FLIP; way < ways; way++)
		report(way);
	redirected(&side[REDIRECT], result[REDIRECT].sent);
	/* the control shows that a loss would be seen */
	if (result[DEL_ADD].sent == result[DEL_ADD].came) {
		(void)fprintf(stderr, "bench_swap: delete and add lost nothing: not a proof\n");
		return 1;
	}
	if (ways == WAYS && !result[PLAIN].reordered) {
		(void)fprintf(stderr, "bench_swap: a plain flip reordered nothing: not a proof\n");
		return 1;
	}
	return 0;
}
