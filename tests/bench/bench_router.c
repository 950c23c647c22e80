/* SPDX-License-Identifier: Apache-2.0 */
/* bench_router.c - what the data plane adds to a packet that a router forwards: 64-byte frames from
 * a sender over a veth router to a receiver, one router per way of doing it. Slices of a few
 * milliseconds are taken in turn, so that a slow moment of the machine hits all alike; a figure is
 * the median over all rounds of this router's slice against the bare router's slice of that round.
 *
 * The receiver's socket drops in its filter: what is measured is sending, forwarding and delivery,
 * all of it on the sender's CPU. */
#include <linux/filter.h>

#include <bpf/bpf.h>

#include "wire.h"

/* bpf_attach_type of Linux 6.6; Debian 12's headers end before. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS  ((enum bpf_attach_type)47)

#define SLICE_NS   10000000u
#define BATCH      64
#define RULES      1000
#define ROUNDS     101
#define MAX_ROUNDS 1001

static void with_hooks(struct router *r);
static void with_edge(struct router *r);
static void with_node(struct router *r);
static void with_edge_alone(struct router *r);
static void with_node_alone(struct router *r);
static void with_htb(struct router *r);
static void with_tbf(struct router *r);
static void with_nft_rules(struct router *r);
static void with_nft_meter(struct router *r);

/* pps and added: the names of the rows, NULL = none. */
static const struct way {
	const char *name, *pps, *added;
	double most_ns;
	void (*make)(struct router *r);
	bool nft;
} ways[] = {
	{ "bare", "router_bare_pps", NULL, 0, NULL, false },
	{ "edge", "router_pps", "router_added_ns", 120, with_edge, false },
	{ "node", "router_node_pps", "router_node_added_ns", 120, with_node, false },
	{ "bare again", NULL, "router_null_added_ns", 0, NULL, false },
	{ "hooks", NULL, "router_hooks_added_ns", 0, with_hooks, false },
	{ "edge alone", NULL, "router_edge_alone_added_ns", 0, with_edge_alone, false },
	{ "node alone", NULL, "router_node_alone_added_ns", 0, with_node_alone, false },
	{ "htb", "router_htb1000_pps", "router_htb1000_added_ns", 0, with_htb, false },
	{ "tbf", "router_tbf_pps", "router_tbf_added_ns", 0, with_tbf, false },
	{ "nft rules", "router_nft1000_pps", "router_nft1000_added_ns", 0, with_nft_rules, true },
	{ "nft meter", "router_nftmeter_pps", "router_nftmeter_added_ns", 0, with_nft_meter, true },
};
#define WAYS ARRAY_LEN(ways)

static struct wire wire;
static struct router router[WAYS];
static int out[WAYS];
static double ns_each[WAYS][MAX_ROUNDS], pps[WAYS][MAX_ROUNDS];
static uint64_t sent_all[WAYS], came_all[WAYS];
static bool left_out[WAYS];

/* Label, rule, meter, count, mark and steering: all that a packet can meet. */
static void dataplane(struct router *r, enum dp_role role)
{
	const struct dp_profile p = { .rate = { 400000000000 } };
	const struct dp_label l = { .label = WIRE_LABEL,
				    .valid_until = { INT64_MAX },
				    .dscp = 34,
				    .police_edge = true,
				    .police_node = true,
				    .dir = { p, p } };
	const struct dp_rule rule = { .id = 1,
				      .dscp = DP_DSCP_ANY,
				      .dport_min = WIRE_PORT,
				      .dport_max = WIRE_PORT,
				      .label = WIRE_LABEL,
				      .class_id = 1 };
	struct err e = { 0 };

	router_dataplane(r, role, 0);
	must(dp_label_set(r->dp, &l, NULL, &e), &e, "label");
	must(dp_rules_set(r->dp, &rule, 1, NULL, &e), &e, "rule");
	must(dp_steer_set(r->dp, WIRE_LABEL, DP_UP, 4, NULL, &e), &e, "steer");
}

static struct dp *hollow; /* for its empty program */

static int empty_fd(void)
{
	const struct dp_config c = { .offline = true };
	struct err e = { 0 };

	if (!hollow)
		must(dp_open(&hollow, &c, &e), &e, "data plane");
	return dp_prog_fd(hollow, DP_PROG_EMPTY);
}

/* The floor of any data plane: an empty program at the ingress and one at the egress. */
static void with_hooks(struct router *r)
{
	int fd = empty_fd();

	if (bpf_link_create(fd, (int)r->in, TCX_INGRESS, NULL) < 0 ||
	    bpf_link_create(fd, (int)r->out, TCX_EGRESS, NULL) < 0)
		(void)fprintf(stderr, "bench_router: no TCX: %s\n", strerror(errno));
	/* the links die with the process, the programs with them */
}

static void with_edge(struct router *r)
{
	dataplane(r, DP_ROLE_EDGE);
}

static void with_node(struct router *r)
{
	dataplane(r, DP_ROLE_NODE);
}

/* What the ingress program adds by itself: an empty one in the egress program's place. */
static void out_hollow(struct router *r)
{
	char pin[96];
	int fd;

	(void)snprintf(pin, sizeof(pin), WIRE_PINS "/r%u/link_out_%u", r->k, r->out);
	fd = bpf_obj_get(pin);
	if (fd < 0 || bpf_link_update(fd, empty_fd(), NULL))
		(void)fprintf(stderr, "bench_router: %s: %s\n", pin, strerror(errno));
}

static void with_edge_alone(struct router *r)
{
	dataplane(r, DP_ROLE_EDGE);
	out_hollow(r);
}

static void with_node_alone(struct router *r)
{
	dataplane(r, DP_ROLE_NODE);
	out_hollow(r);
}

/* 1,000 classes behind a u32 hash over the last byte of the destination: four filters a bucket.
 * Nothing is ever held back. */
static void with_htb(struct router *r)
{
	FILE *f = popen("tc -batch -", "w");

	if (!f)
		die("tc: %s", strerror(errno));
	(void)fprintf(
		f, "qdisc add dev out root handle 1: htb default 1\n"
		   "class add dev out parent 1: classid 1:1 htb rate 40gbit quantum 60000\n"
		   "filter add dev out parent 1: prio 1 protocol ipv6 handle 2: u32 divisor 256\n"
		   "filter add dev out parent 1: prio 1 protocol ipv6 u32 ht 800:: "
		   "match ip6 dst ::/0 hashkey mask 0x000000ff at 36 link 2:\n");
	for (unsigned i = 0; i < RULES; i++) {
		(void)fprintf(
			f,
			"class add dev out parent 1:1 classid 1:%x htb rate 1gbit ceil 40gbit "
			"quantum 60000\n",
			i + 2);
		(void)fprintf(f,
			      "filter add dev out parent 1: prio 1 protocol ipv6 u32 ht 2:%x: "
			      "match ip6 dst fd00:%x:2::%x/128 flowid 1:%x\n",
			      (i + 2) & 255, r->k, i + 2, i + 2);
	}
	if (pclose(f))
		die("tc: the classes were refused");
}

static void with_tbf(struct router *r)
{
	(void)r;
	sh("tc qdisc add dev out root tbf rate 40gbit burst 10mb latency 50ms");
}

static FILE *nft_open(void)
{
	FILE *f = popen("nft -f -", "w");

	if (!f)
		die("nft: %s", strerror(errno));
	(void)fprintf(f, "table ip6 t {\n");
	return f;
}

static void nft_close(FILE *f)
{
	(void)fprintf(f, "}\n");
	if (pclose(f))
		die("nft: the rules were refused");
}

/* The packets meet the last of the rules. */
static void with_nft_rules(struct router *r)
{
	FILE *f = nft_open();

	(void)fprintf(f, "chain c { type filter hook forward priority 0;\n");
	for (unsigned i = RULES; i > 0; i--)
		(void)fprintf(f,
			      "ip6 daddr fd00:%x:2::%x limit rate over 4000 mbytes/second burst "
			      "1000 mbytes drop\n",
			      r->k, i + 1);
	(void)fprintf(f, "}\n");
	nft_close(f);
}

static void with_nft_meter(struct router *r)
{
	FILE *f = nft_open();

	(void)r;
	(void)fprintf(
		f, "set m { type ipv6_addr; size 65536; flags dynamic; timeout 60s; }\n"
		   "chain c { type filter hook forward priority 0;\n"
		   "update @m { ip6 daddr limit rate over 4000 mbytes/second burst 1000 mbytes } "
		   "drop\n}\n");
	nft_close(f);
}

/* Drops what arrives before anybody is woken. */
static void deaf_receiver(void)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &drop };
	int fd = wire_receiver(&wire, WIRE_PORT);

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		die("filter: %s", strerror(errno));
}

static void build(void)
{
	bool nft = sh_try("nft --version >/dev/null 2>&1");

	wire_open(&wire, "bench_router");
	deaf_receiver();
	for (size_t i = 0; i < WAYS; i++) {
		left_out[i] = ways[i].nft && !nft;
		if (left_out[i]) {
			(void)fprintf(stderr, "bench_router: %s: skipped, no nft here\n",
				      ways[i].name);
			continue;
		}
		router_new(&wire, &router[i], (unsigned)i + 1);
		if (ways[i].make)
			ways[i].make(&router[i]);
		out[i] = wire_sender(&wire, router[i].k, WIRE_PORT, WIRE_LABEL);
	}
}

/* Two bytes of payload: 14 + 40 + 8 + 2 = 64. */
static void slice(size_t i, size_t round)
{
	static char payload[2];
	struct iovec v = { payload, sizeof(payload) };
	struct mmsghdr m[BATCH];
	uint64_t from, to, sent = 0, before = wire_arrived(&wire, &router[i]).rx_packets, came;

	memset(m, 0, sizeof(m));
	for (size_t j = 0; j < BATCH; j++)
		m[j].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
	from = now_ns();
	do {
		int n = sendmmsg(out[i], m, BATCH, 0);

		if (n < 0)
			die("%s: send: %s", ways[i].name, strerror(errno));
		sent += (uint64_t)n;
		to = now_ns();
	} while (to - from < SLICE_NS);
	came = wire_arrived(&wire, &router[i]).rx_packets - before;
	sent_all[i] += sent;
	came_all[i] += came;
	if (!came)
		die("%s: nothing arrives", ways[i].name);
	ns_each[i][round] = (double)(to - from) / (double)came;
	pps[i][round] = (double)came * 1e9 / (double)(to - from);
}

static void report(size_t i, size_t rounds, double bare_ns)
{
	double diff[MAX_ROUNDS], mine[MAX_ROUNDS], part[MAX_ROUNDS];
	struct median d;

	for (size_t n = 0; n < rounds; n++) {
		diff[n] = ns_each[i][n] - ns_each[0][n];
		mine[n] = pps[i][n];
		part[n] = pps[i][n] / pps[0][n];
	}
	d = median_of(diff, rounds);
	if (ways[i].added) {
		(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%.0f,\"unit\":\"ns\","
			     "\"low\":%.0f,\"high\":%.0f,\"baseline\":\"dataplane.router_bare_ns\","
			     "\"ratio\":%.3f",
			     ways[i].added, d.mid, d.low, d.high, (bare_ns + d.mid) / bare_ns);
		if (ways[i].most_ns > 0)
			(void)printf(",\"target\":%.0f", ways[i].most_ns);
		(void)printf("}\n");
	}
	if (ways[i].pps)
		(void)printf("{\"metric\":\"dataplane.%s\",\"value\":%.0f,\"unit\":\"1/s\","
			     "\"baseline\":\"dataplane.router_bare_pps\",\"ratio\":%.3f,"
			     "\"sent\":%llu,\"lost\":%lld%s}\n",
			     ways[i].pps, median_of(mine, rounds).mid, median_of(part, rounds).mid,
			     (unsigned long long)sent_all[i],
			     (long long)(sent_all[i] - came_all[i]),
			     ways[i].most_ns > 0 ? ",\"target_ratio\":0.96" : "");
}

/* Nanoseconds of one run of a program by the kernel's own statistics. They cost two looks at the
 * clock, which is why they are off while the rest is measured; the empty program's figure is that
 * cost. */
static void told(struct dp *d, enum dp_prog prog, const char *name, double *empty)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	double ns;

	if (bpf_obj_get_info_by_fd(dp_prog_fd(d, prog), &info, &len) || !info.run_cnt)
		return;
	ns = (double)info.run_time_ns / (double)info.run_cnt;
	*empty = *empty > 0 ? *empty : ns;
	(void)printf("{\"metric\":\"dataplane.router_prog_%s_ns\",\"value\":%.0f,\"unit\":\"ns\","
		     "\"baseline\":\"dataplane.router_prog_empty_ns\",\"ratio\":%.2f,"
		     "\"runs\":%llu}\n",
		     name, ns, ns / *empty, (unsigned long long)info.run_cnt);
}

static void profile(void)
{
	int on = bpf_enable_stats(BPF_STATS_RUN_TIME);
	double empty = 0;

	for (int i = 0; i < 20 && on >= 0; i++)
		for (size_t w = 0; w < WAYS; w++)
			if (router[w].dp || ways[w].make == with_hooks)
				slice(w, 0);
	if (on >= 0)
		(void)close(on);
	told(hollow, DP_PROG_EMPTY, "empty", &empty);
	for (size_t w = 0; w < WAYS; w++)
		if (ways[w].make == with_edge) {
			told(router[w].dp, DP_PROG_EDGE_IN, "edge_in", &empty);
			told(router[w].dp, DP_PROG_OUT, "out", &empty);
		} else if (ways[w].make == with_node) {
			told(router[w].dp, DP_PROG_NODE_IN, "node_in", &empty);
		}
}

int main(void)
{
	size_t rounds = (size_t)knob("ROUNDS", wire_full() ? MAX_ROUNDS : ROUNDS);
	double bare[MAX_ROUNDS], ns;

	rounds = rounds < 3 ? 3 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
	build();
	wire_pin(1, true);
	for (size_t round = 0; round <= rounds; round++) {
		/* the first round warms up: its figures are written over by the second */
		for (size_t i = 0; i < WAYS; i++)
			if (!left_out[i])
				slice(i, round ? round - 1 : 0);
		sleep_ns(5000000); /* the rest of the machine lives too */
	}
	memcpy(bare, ns_each[0], sizeof(bare));
	ns = median_of(bare, rounds).mid;
	(void)printf("{\"metric\":\"dataplane.router_bare_ns\",\"value\":%.0f,\"unit\":\"ns\"}\n",
		     ns);
	for (size_t i = 0; i < WAYS; i++)
		if (!left_out[i])
			report(i, rounds, ns);
	profile();
	return 0;
}
