/* SPDX-License-Identifier: Apache-2.0 */
/* bench_modify.c - changing an agreement in place while its packets flow, per back end:
 *
 *  policer  dp_label_set: another rate and, with the same store, another DSCP. The DSCP of each
 *           packet tells by which of the two it was treated.
 *  htb      htb_class_put: another rate of a class with a standing queue (the sender keeps a number
 *           of packets under way, so nothing overflows). The spacing of the packets that leave
 *           tells the rate: the change is seen at the end of the first of three gaps that,
 *           together, are nearer to the new spacing than to the old one.
 *  edt      dp_shape_set, where the kernel has fq: another rate of a virtual queue. A packet that
 *           waits keeps the time that it was given, so few are under way: the change is seen when
 *           they have left. MODIFY_EDT_KBIT is for machines too slow for this spacing.
 *
 * No packet can show a change before it passes: the floor is the spacing itself, which is printed
 * as the baseline. */
#include "netlink/htb.h"
#include "netlink/qdisc.h"
#include "wire_flow.h"

#define CHANGES      1000
#define CHANGES_FULL 10000
#define PPS          50000
#define FRAME        500 /* bytes on layer 2 */
#define UNDER_WAY    32
#define UNDER_EDT    4
#define MINOR        0x110
#define MBIT         1000000ull

enum backend { POLICER, HTB, EDT, BACKENDS };

static const char *const names[BACKENDS] = { "policer", "htb", "edt" };
static uint64_t rates[BACKENDS][2] = { { 400 * MBIT, 800 * MBIT }, { 10 * MBIT, 30 * MBIT } };
static const uint8_t dscps[2] = { 34, 46 };

struct change {
	uint64_t before, after;
	unsigned to;
};

static struct wire wire;
static struct router router[BACKENDS];
static struct nl *nl;
static double effect[CHANGES_FULL], call[CHANGES_FULL];

static void label_put(struct router *r, enum backend b, unsigned to)
{
	struct dp_label l = { .label = WIRE_LABEL,
			      .valid_until = { INT64_MAX },
			      .dscp = dscps[to],
			      .class_minor = b == POLICER ? 0 : MINOR,
			      .police_edge = b == POLICER };
	struct err e = { 0 };

	l.dir[0].rate.bps = b == POLICER ? rates[b][to] : 0;
	must(dp_label_set(r->dp, &l, NULL, &e), &e, "label");
}

static void class_put(struct router *r, unsigned to)
{
	struct nl_class c = htb_class(MINOR, (rate_t){ rates[HTB][to] }, (rate_t){ 0 }, 1500);
	struct err e = { 0 };

	must(htb_class_put(nl, r->out, &c, &e), &e, "class");
}

static void queue_put(struct router *r, unsigned to)
{
	const struct dp_queue q = {
		.ifindex = r->out, .minor = MINOR, .rate = { rates[EDT][to] }, .pace = true
	};
	struct err e = { 0 };

	must(dp_shape_set(r->dp, &q, NULL, &e), &e, "queue");
}

static void htb_up(struct router *r)
{
	struct err e = { 0 };

	must(nl_new(&nl, &e), &e, "netlink");
	must(htb_ensure(nl, r->out, (rate_t){ 1000 * MBIT }, (rate_t){ MBIT }, 1500, &e), &e,
	     "htb");
	class_put(r, 0);
}

static void edt_up(struct router *r)
{
	struct nl *once; /* `nl` stays where HTB is */
	struct err e = { 0 };

	must(nl_new(&once, &e), &e, "netlink");
	must(qdisc_fq_ensure(once, r->out, &e), &e, "fq");
	(void)nl_free(once);
	queue_put(r, 0);
}

static void build(enum backend b)
{
	const struct dp_rule rule = { .id = 1,
				      .dscp = DP_DSCP_ANY,
				      .dport_min = WIRE_PORT,
				      .dport_max = WIRE_PORT,
				      .label = WIRE_LABEL };
	struct router *r = &router[b];
	struct err e = { 0 };

	router_new(&wire, r, (unsigned)b + 1);
	router_dataplane(r, DP_ROLE_EDGE, 0);
	label_put(r, b, 0);
	must(dp_rules_set(r->dp, &rule, 1, NULL, &e), &e, "rule");
	if (b == HTB)
		htb_up(r);
	else if (b == EDT)
		edt_up(r);
}

static void change(enum backend b, unsigned to)
{
	if (b == POLICER)
		label_put(&router[b], b, to);
	else if (b == EDT)
		queue_put(&router[b], to);
	else
		class_put(&router[b], to);
}

static bool new_rate(enum backend b, const struct came *log, size_t i, size_t n, unsigned to)
{
	double gap[2];
	double here = (double)(log[i].at - log[i - 1].at), three;

	for (int k = 0; k < 2; k++)
		gap[k] = FRAME * 8 * 1e9 / (double)rates[b][k];
	if (i + 2 >= n)
		return false;
	three = (double)(log[i + 2].at - log[i - 1].at) / 3;
	return to ? here < sqrt(gap[0] * gap[1]) && three < sqrt(gap[0] * gap[1])
		  : here > sqrt(gap[0] * gap[1]) && three > sqrt(gap[0] * gap[1]);
}

static bool shows(enum backend b, const struct came *log, size_t i, size_t n, unsigned to)
{
	return b == POLICER ? log[i].tclass >> 2 == dscps[to] : i && new_rate(b, log, i, n, to);
}

/* How many of the changes were seen by a packet before the next change came; the others count with
 * all the time until then. */
static size_t effects(enum backend b, const struct change *w, size_t n, const struct ear *e)
{
	size_t at = 0, kept = e->n < e->cap ? e->n : e->cap, seen = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t until = i + 1 < n ? w[i + 1].before : w[i].before + 5000000, at_ns;

		call[i] = (double)(w[i].after - w[i].before) / 1000;
		while (at < kept && e->log[at].at < w[i].before)
			at++;
		while (at < kept && e->log[at].at < until && !shows(b, e->log, at, kept, w[i].to))
			at++;
		at_ns = at < kept && e->log[at].at < until ? e->log[at].at : until;
		seen += at_ns != until;
		effect[i] = (double)(at_ns - w[i].before) / 1000;
	}
	return seen;
}

static double gap_us(const struct ear *e)
{
	size_t kept = e->n < e->cap ? e->n : e->cap;
	double *gap = calloc(kept + 1, sizeof(*gap)), mid;

	if (!gap || kept < 2)
		die("nothing arrived");
	for (size_t i = 1; i < kept; i++)
		gap[i - 1] = (double)(e->log[i].at - e->log[i - 1].at) / 1000;
	mid = percentile(gap, kept - 1, 50);
	free(gap);
	return mid;
}

static void report(enum backend b, const struct talker *t, const struct ear *e, size_t tried,
		   size_t seen)
{
	const char *name = names[b];
	double gap = gap_us(e), p99 = percentile(effect, tried, 99);
	unsigned long long sent = t->sent;

	(void)printf("{\"metric\":\"dataplane.modify_%s_lost\",\"value\":%llu,\"unit\":\"packets\","
		     "\"sent\":%llu,\"changes\":%zu,\"late\":%llu,\"target\":0}\n",
		     name, sent - e->n, sent, tried, (unsigned long long)t->late);
	(void)printf("{\"metric\":\"dataplane.modify_%s_reordered\",\"value\":%llu,"
		     "\"unit\":\"packets\",\"sent\":%llu,\"target\":0}\n",
		     name, (unsigned long long)reordered(e->log, e->n < e->cap ? e->n : e->cap, 1),
		     sent);
	(void)printf("{\"metric\":\"dataplane.modify_%s_gap_us\",\"value\":%.1f,\"unit\":\"us\"}\n",
		     name, gap);
	(void)printf("{\"metric\":\"dataplane.modify_%s_p99_us\",\"value\":%.1f,\"unit\":\"us\","
		     "\"baseline\":\"dataplane.modify_%s_gap_us\",\"ratio\":%.2f,\"median\":%.1f,"
		     "\"tried\":%zu,\"seen\":%zu,\"call_median\":%.1f,\"target\":1000}\n",
		     name, p99, name, p99 / gap, percentile(effect, tried, 50), tried, seen,
		     percentile(call, tried, 50));
}

static void measure(enum backend b, size_t changes)
{
	int out = wire_sender(&wire, router[b].k, WIRE_PORT, 0);
	struct change *w = calloc(changes, sizeof(*w));
	struct talker t = { .fd = &out, .flows = 1, .cpu = 0, .realtime = true };
	const uint64_t gap = FRAME * 8 * 1000000000ull / rates[b][0],
		       least = b == POLICER ? 700000 : 4000000;
	const uint64_t pause = b == EDT && 20 * gap > least ? 20 * gap : least;
	struct ear e;

	if (!w)
		die("out of memory");
	hear_start(&e, &wire, WIRE_PORT, 1, false, changes * 150 + 100000);
	t.size = b == POLICER ? sizeof(struct flow_pkt) : FRAME - 62;
	t.gap_ns = b == POLICER ? 1000000000 / PPS : 0;
	t.window = b == POLICER ? 0 : b == HTB ? UNDER_WAY : UNDER_EDT;
	t.acked = &e.n;
	talk_start(&t);
	hear_begin(&e, 200);
	for (size_t i = 0; i < changes; i++) {
		sleep_ns(pause + (uint64_t)random() % 600000);
		w[i].to = !(i & 1);
		w[i].before = clock_ns(CLOCK_REALTIME);
		change(b, w[i].to);
		w[i].after = clock_ns(CLOCK_REALTIME);
	}
	sleep_ns(5000000);
	talk_stop(&t);
	hear_drain(&e, t.sent);
	hear_stop(&e);
	report(b, &t, &e, changes, effects(b, w, changes, &e));
	free(e.log);
	free(w);
}

int main(void)
{
	size_t changes = (size_t)knob("CHANGES", wire_full() ? CHANGES_FULL : CHANGES);
	enum backend backends = BACKENDS;

	changes = changes < 2 ? 2 : changes > CHANGES_FULL ? CHANGES_FULL : changes;
	wire_open(&wire, "bench_modify");
	rates[EDT][0] = (uint64_t)knob("MODIFY_EDT_KBIT", 30000) * 1000;
	rates[EDT][1] = 3 * rates[EDT][0];
	if (!sh_try("{ tc qdisc add dev lo root fq && tc qdisc del dev lo root; } 2>/dev/null")) {
		(void)fprintf(stderr, "bench_modify: edt: skipped, no fq here\n");
		backends = EDT;
	}
	for (enum backend b = POLICER; b < backends; b++)
		build(b);
	wire_pin(1, false);
	for (enum backend b = POLICER; b < backends; b++)
		measure(b, changes);
	return 0;
}
