/* SPDX-License-Identifier: Apache-2.0 */
/* bench_rate.c - how near to the contract is what a receiver gets: 1, 10, 100 and 1000 Mbit/s, TCP
 * cubic, TCP BBR and UDP that offers 1.2 times the rate, 1 and 16 flows, shaped (HTB at the
 * router's egress), policed (the meter at its ingress, 250 ms of burst), and policed with the
 * senders (TCP) paced by the sockops program of the same data plane. A contract's rate is that of
 * layer 2: Ethernet header and IP packet, which is what contract, class and meter all count.
 *
 * Each row has a router of its own, so that the receiver's device counts its bytes and no other.
 * The router's device cuts super-packets after its qdisc: what arrives are frames, headers and all.
 *
 * The window begins after a warm-up in which the burst is spent. Where TCP left the rate unused for
 * a while, the policer gives it back within the window, one burst at most: that is subtracted from
 * an excess (ratio is without).
 *
 * Rows of 1000 Mbit/s run alone. The slower ones run side by side, all kinds of traffic at once, as
 * many as RATE_TOGETHER says of 100 Mbit/s (1 = every row alone: the control of that).
 *
 * What BBR leaves by itself is measured beside it, one flow, without anything of ours: through the
 * kernel's tbf, through an nft limit with the policer's burst, and through nothing, paced by
 * SO_MAX_PACING_RATE alone. */
#include "netlink/htb.h"
#include "wire_flow.h"
#include "wire_group.h"
#include "wire_tcp.h"

#define RATES    4
#define MBIT     1000000.0
#define FRAME    1400
#define BURST_MS 250 /* RATE_BURST_MS */
#define MINOR    0x110
#define OFFER    1.2
#define SAMPLES  4000
#define ROWS     96
#define TOGETHER 10
/* What TCP sends in a frame of 1,514 bytes: IPv6 and TCP with time stamps take 72. */
#define TCP_FRAME   1514
#define TCP_PAYLOAD 1428

enum backend { SHAPED, POLICED, PACED, TBF, NFT, PACING, BACKENDS };
enum traffic { CUBIC, BBR, UDP, TRAFFICS };

static const char *const backend_names[BACKENDS] = { "shaped", "policed", "paced",
						     "tbf",    "nft",     "pacing" };
static const char *const traffic_names[TRAFFICS] = { "cubic", "bbr", "udp" };
static const double mbits[RATES] = { 1, 10, 100, 1000 };

struct stream {
	int fd[16];
	struct talker t;
	struct ear e;
};

struct row {
	enum backend b;
	enum traffic t;
	unsigned flows, i; /* i: contract */
	unsigned slot;     /* rows of one slot run at the same time */
	struct router *r;
	unsigned at;           /* its first flow in the set */
	double bytes, seconds; /* of the window */
	double offered;        /* of the rate; UDP */
	double delay_us, *rtt; /* SAMPLES */
	struct stream *stream;
};

static struct wire wire;
static struct router router[ROWS];
static struct {
	enum backend b;
	unsigned i, slot; /* the last slot that it was given to */
} built[ROWS];
static unsigned routers, rows, slots;
static struct row row[ROWS];
static uint32_t burst_us;
static unsigned idle;       /* classes of a pool beside the one that shapes; RATE_POOL */
static double warm, window; /* seconds */

static bool ours(enum backend b)
{
	return b < TBF;
}

static uint16_t port_of(const struct row *w)
{
	return (uint16_t)(WIRE_PORT + w->r->k);
}

/* --- limits -------------------------------------------------------------------------------- */

static void shape(struct router *r, rate_t rate)
{
	struct nl_class c = htb_class(MINOR, rate, (rate_t){ 0 }, 1500);
	struct err e = { 0 };
	struct nl *nl = NULL;

	must(nl_new(&nl, &e), &e, "netlink");
	must(htb_ensure(nl, r->out, (rate_t){ 10000000000 }, (rate_t){ 1000000 }, 1500, &e), &e,
	     "htb");
	must(htb_class_put(nl, r->out, &c, &e), &e, "class");
	for (unsigned i = 0; i < idle; i++) {
		c = htb_idle(MINOR + 1 + i, (rate_t){ 10000000000 }, 1500);
		must(htb_class_put(nl, r->out, &c, &e), &e, "idle class");
	}
	nl = nl_free(nl);
}

static void contract(struct router *r, enum backend b, unsigned i)
{
	const rate_t rate = { (uint64_t)(mbits[i] * MBIT) };
	const uint16_t port = (uint16_t)(WIRE_PORT + r->k);
	struct dp_label l = { .label = WIRE_LABEL,
			      .valid_until = { INT64_MAX },
			      .dscp = DP_DSCP_ANY,
			      .class_minor = b == SHAPED ? MINOR : 0,
			      .police_edge = b != SHAPED };
	const struct dp_rule rule = { .id = 1,
				      .dscp = DP_DSCP_ANY,
				      .dport_min = port,
				      .dport_max = port,
				      .label = WIRE_LABEL };
	struct err e = { 0 };

	l.dir[0].rate.bps = b != SHAPED ? rate.bps : 0;
	l.dir[0].burst_us = b != SHAPED ? burst_us : 0;
	r->pace = b == PACED;
	router_dataplane(r, DP_ROLE_EDGE, 0);
	must(dp_label_set(r->dp, &l, NULL, &e), &e, "label");
	must(dp_rules_set(r->dp, &rule, 1, NULL, &e), &e, "rule");
	if (b == SHAPED)
		shape(r, rate);
	if (b == PACED)
		must(dp_pace_attach(r->dp, group_dir, NULL, &e), &e, "pacing");
}

/* The same rate and burst by the kernel's own means. An nft limit counts what IP carries, and a
 * super-packet's headers once: the sender makes none. */
static void kernels_own(const struct router *r, enum backend b, unsigned i)
{
	double rate = mbits[i] * MBIT / 8, burst = rate * burst_us / 1e6;

	if (b == TBF)
		sh("tc qdisc add dev out root tbf rate %.0fbit burst %.0f latency 50ms",
		   mbits[i] * MBIT, fmax(rate / 250, 3028));
	if (b != NFT)
		return;
	sh("nft 'add table inet b; add chain inet b f { type filter hook forward priority 0; }; "
	   "add rule inet b f iif in limit rate over %.0f bytes/second burst %.0f bytes drop'",
	   rate * (TCP_FRAME - 14) / TCP_FRAME, burst);
	ns_enter(wire.tx);
	sh("ip link set t%u gso_max_segs 1", r->k);
}

/* One that no other row of the slot uses. */
static struct router *router_for(const struct row *w)
{
	struct router *r;
	unsigned k = 0;

	while (k < routers &&
	       (built[k].b != w->b || built[k].i != w->i || built[k].slot == w->slot))
		k++;
	built[k].slot = w->slot;
	if (k < routers)
		return &router[k];
	built[k].b = w->b;
	built[k].i = w->i;
	r = &router[routers++];
	router_new(&wire, r, routers);
	sh("ip link set out gso_max_segs 1");
	if (ours(w->b))
		contract(r, w->b, w->i);
	else
		kernels_own(r, w->b, w->i);
	return r;
}

/* --- TCP ----------------------------------------------------------------------------------- */

static void tcp_open(struct tcp_set *s, struct row *w)
{
	uint64_t rate = (uint64_t)(mbits[w->i] * MBIT / 8 * TCP_PAYLOAD / TCP_FRAME);

	w->at = s->n;
	if (w->b == PACED && !group_move(group_dir))
		die("%s: cannot be entered", group_dir);
	tcp_add(s, &wire, w->r->k, port_of(w), traffic_names[w->t], w->flows);
	if (w->b == PACED && !group_move(group_home))
		die("%s: cannot be entered", group_home);
	for (unsigned f = w->at; w->b == PACING && f < s->n; f++)
		if (setsockopt(s->out[f], SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)))
			die("SO_MAX_PACING_RATE: %s", strerror(errno));
}

/* --- UDP ----------------------------------------------------------------------------------- */

static void stream_start(struct row *w)
{
	double pps = mbits[w->i] * MBIT * OFFER / (FRAME * 8);
	struct stream *s = w->stream = calloc(1, sizeof(*s));

	if (!s)
		die("out of memory");
	for (unsigned f = 0; f < w->flows; f++)
		s->fd[f] = wire_sender(&wire, w->r->k, port_of(w), 0);
	s->t = (struct talker){ .fd = s->fd,
				.flows = w->flows,
				.size = FRAME - 62,
				.gap_ns = (uint64_t)(1e9 / pps),
				.cpu = 0,
				.realtime = true };
	hear_start(&s->e, &wire, port_of(w), 1, false, (size_t)(pps * (warm + window + 2)) + 1000);
	talk_start(&s->t);
}

/* from: the moment when the window began. */
static void stream_end(struct row *w, uint64_t from)
{
	struct stream *s = w->stream;
	size_t n = 0, kept;
	double *delay;

	w->offered *= FRAME * 8 / (mbits[w->i] * MBIT * w->seconds);
	talk_stop(&s->t);
	hear_stop(&s->e);
	for (unsigned k = 0; k < w->flows; k++)
		(void)close(s->fd[k]);
	kept = s->e.n < s->e.cap ? s->e.n : s->e.cap;
	delay = calloc(kept + 1, sizeof(*delay));
	if (!delay)
		die("out of memory");
	for (size_t i = 0; i < kept; i++)
		if (s->e.log[i].at >= from)
			delay[n++] = (double)(s->e.log[i].at - s->e.log[i].sent) / 1000;
	w->delay_us = percentile(delay, n, 95);
	free(delay);
	free(s->e.log);
	free(s);
}

/* --- reports ------------------------------------------------------------------------------- */

/* How far it may be off; 0 = printed only. */
static double allowed(const struct row *w)
{
	if (!ours(w->b))
		return 0;
	if (w->b == SHAPED)
		return mbits[w->i] > 999 ? 2.5 : 1;
	return w->t != UDP && w->flows > 1 && mbits[w->i] < 2 ? 0 : 3;
}

static void report(const struct row *w, unsigned beside)
{
	double want = mbits[w->i] * MBIT / 8 * w->seconds, most = allowed(w);
	double over = w->bytes - want, burst = mbits[w->i] * MBIT / 8 * burst_us / 1e6;

	if (w->b != POLICED && w->b != PACED && w->b != NFT)
		burst = 0;
	if (over > 0)
		over = over > burst ? over - burst : 0;
	(void)printf("{\"metric\":\"dataplane.rate_error_pct\",\"value\":%.2f,\"unit\":\"%%\","
		     "\"backend\":\"%s\",\"mbit\":%.0f,\"traffic\":\"%s\",\"flows\":%u,"
		     "\"window_s\":%.2f,\"baseline\":\"contracted bytes\",\"ratio\":%.4f,"
		     "\"beside\":%u,\"%s\":%.0f",
		     100 * over / want, backend_names[w->b], mbits[w->i], traffic_names[w->t],
		     w->flows, w->seconds, w->bytes / want, beside,
		     w->t == UDP ? "delay_p95_us" : "srtt_p95_us", w->delay_us);
	if (w->t == UDP)
		(void)printf(",\"offered\":%.3f", w->offered);
	if (most > 0)
		(void)printf(",\"target\":%.1f", most);
	(void)printf("}\n");
	(void)fflush(stdout);
}

/* --- a slot -------------------------------------------------------------------------------- */

static struct row *slot_next(unsigned slot, struct row *w)
{
	for (w = w ? w + 1 : row; w < row + rows; w++)
		if (w->slot == slot)
			return w;
	return NULL;
}

#define each_of(slot, w) (struct row *w = NULL; (w = slot_next((slot), w));)

/* sign -1 before the window, 1 after it. */
static void window_mark(unsigned slot, double sign)
{
	for
		each_of(slot, w)
		{
			w->bytes += sign * (double)wire_arrived(&wire, w->r).rx_bytes;
			w->seconds += sign * (double)now_ns() / 1e9;
			if (w->t == UDP)
				w->offered += sign * (double)w->stream->t.sent;
		}
}

static void window_watch(unsigned slot, struct tcp_set *s)
{
	uint64_t until = now_ns() + (uint64_t)(window * 1e9);
	size_t n = 0;

	for (; now_ns() < until; n++) {
		sleep_ns(10000000);
		for
			each_of(slot, w) if (n < SAMPLES && w->t != UDP) w->rtt[n] =
				tcp_rtt(s->out[w->at + n % w->flows]);
	}
	for
		each_of(slot, w) if (w->t != UDP) w->delay_us =
			percentile(w->rtt, n < SAMPLES ? n : SAMPLES, 95);
}

static void run(unsigned slot)
{
	struct tcp_set s = { .n = 0 };
	unsigned beside = 0;
	uint64_t from;

	for
		each_of(slot, w)
		{
			beside++;
			w->r = router_for(w);
			w->rtt = w->t == UDP ? NULL : calloc(SAMPLES, sizeof(*w->rtt));
			if (w->t != UDP)
				tcp_open(&s, w);
		}
	for
		each_of(slot, w) if (w->t == UDP) stream_start(w);
	tcp_start(&s);
	sleep_ns((uint64_t)(warm * 1e9));
	window_mark(slot, -1);
	from = clock_ns(CLOCK_REALTIME);
	window_watch(slot, &s);
	window_mark(slot, 1);
	tcp_stop(&s);
	for
		each_of(slot, w)
		{
			if (w->t == UDP)
				stream_end(w, from);
			free(w->rtt);
			report(w, beside - 1);
		}
}

/* --- all of them --------------------------------------------------------------------------- */

static void row_add(enum backend b, enum traffic t, unsigned flows)
{
	for (unsigned i = 0; i < RATES; i++)
		if (b != NFT || i < RATES - 1) /* not needed: the policed row is exact there */
			row[rows++] = (struct row){ .b = b, .t = t, .flows = flows, .i = i };
}

/* RATE_BACKEND, RATE_TRAFFIC and RATE_MBIT: one kind, the first two by number. */
static void rows_make(unsigned backends)
{
	const unsigned backend = (unsigned)knob("RATE_BACKEND", BACKENDS),
		       kind = (unsigned)knob("RATE_TRAFFIC", TRAFFICS);
	const double mbit = knob("RATE_MBIT", 0);
	unsigned kept = 0;

	for (enum backend b = SHAPED; b < backends; b++)
		for (enum traffic t = CUBIC; t < (b == PACED ? UDP : TRAFFICS); t++) {
			row_add(b, t, 1);
			row_add(b, t, 16);
		}
	for (enum backend b = TBF; b < BACKENDS; b++)
		if (b != NFT || sh_try("nft --version >/dev/null 2>&1"))
			row_add(b, BBR, 1);
		else
			(void)fprintf(stderr, "bench_rate: nft: skipped, not installed\n");
	for (unsigned k = 0; k < rows; k++)
		if ((kind >= TRAFFICS || row[k].t == kind) &&
		    (backend >= BACKENDS || row[k].b == backend) &&
		    (mbit <= 0 || mbit == mbits[row[k].i]))
			row[kept++] = row[k];
	rows = kept;
}

/* The fast ones alone, the others dealt out evenly. */
static void slots_make(void)
{
	const unsigned together = (unsigned)fmax(1, knob("RATE_TOGETHER", TOGETHER));
	unsigned of[RATES] = { 0 }, shared;

	for (unsigned k = 0; k < rows; k++)
		of[row[k].i]++;
	shared = (of[RATES - 2] + together - 1) / together;
	if (together == 1)
		shared = rows;
	else if (!shared && of[0] + of[1])
		shared = 1;
	/* rows come with one flow and with 16 in turn: each slot gets of both */
	for (unsigned k = 0, n[RATES] = { 0 }; k < rows; k++) {
		struct row *w = &row[k];

		if (together == 1)
			w->slot = k;
		else if (w->i < RATES - 1)
			w->slot = (n[w->i] + n[w->i] / shared) % shared;
		else
			w->slot = shared + n[w->i];
		n[w->i]++;
	}
	slots = together == 1 ? rows : shared + of[RATES - 1];
}

int main(void)
{
	unsigned backends = PACED; /* PACED too where there is a cgroup2 */

	warm = knob("RATE_WARM", wire_full() ? 10 : 1.5);
	window = knob("RATE_WINDOW", wire_full() ? 30 : 2.5);
	burst_us = (uint32_t)(1000 * knob("RATE_BURST_MS", BURST_MS));
	idle = (unsigned)knob("RATE_POOL", 0);
	wire_open(&wire, "bench_rate");
	if (group_new())
		backends = TBF;
	else
		(void)fprintf(stderr, "bench_rate: paced: skipped, no cgroup2 here\n");
	rows_make(backends);
	slots_make();
	for (unsigned slot = 0; slot < slots; slot++)
		run(slot);
	return 0;
}
