/* SPDX-License-Identifier: Apache-2.0 */
/* bench_rate.c - how near to the contract is what a receiver gets: 1, 10, 100 and 1000 Mbit/s, TCP
 * cubic, TCP BBR and UDP that offers 1.2 times the rate, 1 and 16 flows, shaped (HTB at the
 * router's egress), policed (the meter at its ingress, 250 ms of burst), and policed with the
 * senders (TCP) paced by the sockops program of the same data plane. A contract's rate is that of
 * layer 2: Ethernet header and IP packet, which is what contract, class and meter all count.
 *
 * Each contract has a router of its own, so that the receiver's device counts its bytes and no
 * other. The router's device cuts super-packets after its qdisc: what arrives are frames, headers
 * and all.
 *
 * The window begins after a warm-up in which the burst is spent. Where TCP left the rate unused for
 * a while, the policer gives it back within the window, one burst at most: that is subtracted from
 * an excess (ratio is without). The three slower contracts run at the same time, each with its own
 * flows; the fastest runs alone. */
#include "netlink/htb.h"
#include "wire_flow.h"
#include "wire_group.h"
#include "wire_tcp.h"

#define RATES      4
#define MBIT       1000000.0
#define FRAME      1400
#define BURST_MS   250 /* RATE_BURST_MS */
#define MINOR      0x110
#define PORT(b, i) (uint16_t)(WIRE_PORT + (b)*10 + (i))
#define OFFER      1.2
#define SAMPLES    4000

enum backend { SHAPED, POLICED, PACED, BACKENDS };
enum traffic { CUBIC, BBR, UDP, TRAFFICS };

static const char *const backend_names[BACKENDS] = { "shaped", "policed", "paced" };
static const char *const traffic_names[TRAFFICS] = { "cubic", "bbr", "udp" };
static const double mbits[RATES] = { 1, 10, 100, 1000 };

struct run {
	enum backend b;
	enum traffic t;
	unsigned flows, from, to; /* contracts from..to-1 */
	double warm, window;      /* seconds */
};

struct figure {
	double bytes, seconds, offered, delay_us; /* offered: of the rate */
};

static struct wire wire;
static struct router router[BACKENDS][RATES];
static uint32_t burst_us;
static unsigned backends = PACED; /* PACED too where there is a cgroup2 */

static void shape(struct router *r, rate_t rate)
{
	struct nl_class c = htb_class(MINOR, rate, (rate_t){ 0 }, 1500);
	struct err e = { 0 };
	struct nl *nl = NULL;

	must(nl_new(&nl, &e), &e, "netlink");
	must(htb_ensure(nl, r->out, (rate_t){ 10000000000 }, (rate_t){ 1000000 }, 1500, &e), &e,
	     "htb");
	must(htb_class_put(nl, r->out, &c, &e), &e, "class");
	nl = nl_free(nl);
}

static void build(enum backend b, unsigned i)
{
	const rate_t rate = { (uint64_t)(mbits[i] * MBIT) };
	struct router *r = &router[b][i];
	struct dp_label l = { .label = WIRE_LABEL,
			      .valid_until = { INT64_MAX },
			      .dscp = DP_DSCP_ANY,
			      .class_minor = b == SHAPED ? MINOR : 0,
			      .police_edge = b != SHAPED };
	const struct dp_rule rule = { .id = 1,
				      .dscp = DP_DSCP_ANY,
				      .dport_min = PORT(b, i),
				      .dport_max = PORT(b, i),
				      .label = WIRE_LABEL };
	struct err e = { 0 };

	l.dir[0].rate.bps = b != SHAPED ? rate.bps : 0;
	l.dir[0].burst_us = b != SHAPED ? burst_us : 0;
	router_new(&wire, r, (unsigned)b * RATES + i + 1);
	r->pace = b == PACED;
	sh("ip link set out gso_max_segs 1");
	router_dataplane(r, DP_ROLE_EDGE, 0);
	must(dp_label_set(r->dp, &l, NULL, &e), &e, "label");
	must(dp_rules_set(r->dp, &rule, 1, NULL, &e), &e, "rule");
	if (b == SHAPED)
		shape(r, rate);
	if (b == PACED)
		must(dp_pace_attach(r->dp, group_dir, NULL, &e), &e, "pacing");
}

/* Of the contracts of a run; sign -1 before the window, 1 after it. */
static void window_mark(const struct run *r, struct figure *f, double sign)
{
	for (unsigned i = r->from; i < r->to; i++) {
		f[i].bytes += sign * (double)wire_arrived(&wire, &router[r->b][i]).rx_bytes;
		f[i].seconds += sign * (double)now_ns() / 1e9;
	}
}

/* --- TCP ----------------------------------------------------------------------------------- */

static void run_tcp(const struct run *r, struct figure *f)
{
	static double rtt[RATES][SAMPLES];
	struct tcp_set s = { .n = 0 };
	size_t n = 0;
	uint64_t until;

	if (r->b == PACED && !group_move(group_dir))
		die("%s: cannot be entered", group_dir);
	for (unsigned i = r->from; i < r->to; i++)
		tcp_add(&s, &wire, router[r->b][i].k, PORT(r->b, i), traffic_names[r->t], r->flows);
	if (r->b == PACED && !group_move(group_home))
		die("%s: cannot be entered", group_home);
	tcp_start(&s);
	sleep_ns((uint64_t)(r->warm * 1e9));
	until = now_ns() + (uint64_t)(r->window * 1e9);
	window_mark(r, f, -1);
	for (; now_ns() < until; n++) {
		sleep_ns(10000000);
		for (unsigned i = r->from; n < SAMPLES && i < r->to; i++)
			rtt[i][n] = tcp_rtt(s.out[(i - r->from) * r->flows + n % r->flows]);
	}
	window_mark(r, f, 1);
	for (unsigned i = r->from; i < r->to; i++) {
		f[i].offered = NAN;
		f[i].delay_us = percentile(rtt[i], n < SAMPLES ? n : SAMPLES, 95);
	}
	tcp_stop(&s);
}

/* --- UDP ----------------------------------------------------------------------------------- */

struct stream {
	int fd[16];
	struct talker t;
	struct ear e;
};

static void stream_start(struct stream *s, const struct run *r, unsigned i)
{
	double pps = mbits[i] * MBIT * OFFER / (FRAME * 8);

	for (unsigned f = 0; f < r->flows; f++)
		s->fd[f] = wire_sender(&wire, router[r->b][i].k, PORT(r->b, i), 0);
	s->t = (struct talker){ .fd = s->fd,
				.flows = r->flows,
				.size = FRAME - 62,
				.gap_ns = (uint64_t)(1e9 / pps),
				.cpu = 0,
				.realtime = true };
	hear_start(&s->e, &wire, PORT(r->b, i), 1, false,
		   (size_t)(pps * (r->warm + r->window + 2)) + 1000);
	talk_start(&s->t);
}

static void stream_delay(struct stream *s, uint64_t from, struct figure *f)
{
	size_t n = 0, kept = s->e.n < s->e.cap ? s->e.n : s->e.cap;
	double *delay = calloc(kept + 1, sizeof(*delay));

	if (!delay)
		die("out of memory");
	for (size_t i = 0; i < kept; i++)
		if (s->e.log[i].at >= from)
			delay[n++] = (double)(s->e.log[i].at - s->e.log[i].sent) / 1000;
	f->delay_us = percentile(delay, n, 95);
	free(delay);
	free(s->e.log);
}

static void run_udp(const struct run *r, struct figure *f)
{
	static struct stream s[RATES];
	uint64_t from;

	for (unsigned i = r->from; i < r->to; i++)
		stream_start(&s[i], r, i);
	sleep_ns((uint64_t)(r->warm * 1e9));
	window_mark(r, f, -1);
	from = clock_ns(CLOCK_REALTIME);
	for (unsigned i = r->from; i < r->to; i++)
		f[i].offered = -(double)s[i].t.sent;
	sleep_ns((uint64_t)(r->window * 1e9));
	for (unsigned i = r->from; i < r->to; i++)
		f[i].offered += (double)s[i].t.sent;
	window_mark(r, f, 1);
	for (unsigned i = r->from; i < r->to; i++) {
		f[i].offered *= FRAME * 8 / (mbits[i] * MBIT * f[i].seconds);
		talk_stop(&s[i].t);
		hear_stop(&s[i].e);
		for (unsigned k = 0; k < r->flows; k++)
			(void)close(s[i].fd[k]);
		stream_delay(&s[i], from, &f[i]);
	}
}

/* --- all of them --------------------------------------------------------------------------- */

/* How far it may be off; 0 = printed only. */
static double allowed(const struct run *r, unsigned i)
{
	if (r->b == SHAPED)
		return mbits[i] > 999 ? 2.5 : 1;
	return r->t != UDP && r->flows > 1 && mbits[i] < 2 ? 0 : 3;
}

static void report(const struct run *r, unsigned i, const struct figure *f)
{
	double want = mbits[i] * MBIT / 8 * f->seconds, most = allowed(r, i),
	       over = f->bytes - want;
	double burst = r->b != SHAPED ? mbits[i] * MBIT / 8 * burst_us / 1e6 : 0;

	if (over > 0)
		over = over > burst ? over - burst : 0;
	(void)printf("{\"metric\":\"dataplane.rate_error_pct\",\"value\":%.2f,\"unit\":\"%%\","
		     "\"backend\":\"%s\",\"mbit\":%.0f,\"traffic\":\"%s\",\"flows\":%u,"
		     "\"window_s\":%.2f,\"baseline\":\"contracted bytes\",\"ratio\":%.4f,"
		     "\"%s\":%.0f",
		     100 * over / want, backend_names[r->b], mbits[i], traffic_names[r->t],
		     r->flows, f->seconds, f->bytes / want,
		     r->t == UDP ? "delay_p95_us" : "srtt_p95_us", f->delay_us);
	if (r->t == UDP)
		(void)printf(",\"offered\":%.3f", f->offered);
	if (most > 0)
		(void)printf(",\"target\":%.1f", most);
	(void)printf("}\n");
	(void)fflush(stdout);
}

static void run(struct run *r, unsigned from, unsigned to)
{
	struct figure f[RATES];

	memset(f, 0, sizeof(f));
	r->from = from;
	r->to = to;
	if (r->t == UDP)
		run_udp(r, f);
	else
		run_tcp(r, f);
	for (unsigned i = from; i < to; i++)
		report(r, i, &f[i]);
}

int main(void)
{
	static const unsigned flows[] = { 1, 16 };
	struct run r = { .warm = knob("RATE_WARM", wire_full() ? 10 : 1.5),
			 .window = knob("RATE_WINDOW", wire_full() ? 30 : 2.5) };

	/* RATE_BACKEND and RATE_TRAFFIC: one kind, by number */
	const unsigned backend = (unsigned)knob("RATE_BACKEND", BACKENDS);
	const unsigned kind = (unsigned)knob("RATE_TRAFFIC", TRAFFICS);

	burst_us = (uint32_t)(1000 * knob("RATE_BURST_MS", BURST_MS));
	wire_open(&wire, "bench_rate");
	if (group_new())
		backends = BACKENDS;
	else
		(void)fprintf(stderr, "bench_rate: paced: skipped, no cgroup2 here\n");
	for (enum backend b = SHAPED; b < backends; b++)
		for (unsigned i = 0; i < RATES; i++)
			build(b, i);
	for (r.b = SHAPED; r.b < backends; r.b++)
		for (r.t = CUBIC; r.t < (r.b == PACED ? UDP : TRAFFICS); r.t++)
			for (size_t i = 0; i < ARRAY_LEN(flows); i++) {
				if ((kind < TRAFFICS && r.t != kind) ||
				    (backend < BACKENDS && r.b != backend))
					continue;
				r.flows = flows[i];
				run(&r, 0, RATES - 1);
				run(&r, RATES - 1, RATES);
			}
	return 0;
}
