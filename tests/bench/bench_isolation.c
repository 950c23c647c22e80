/* SPDX-License-Identifier: Apache-2.0 */
/* bench_isolation.c - a hundred agreements through one router, one of which offers twenty times its
 * rate: what the other ninety-nine feel of it, shaped (HTB), shaped by classes of a pool that holds
 * nine hundred more, and policed. Blocks take turns: in the
 * idle ones the offender sends just as much over a router without any contract, so that the load on
 * the machine is the same and only the offender's class is idle. */
#include "netlink/htb.h"
#include "wire_flow.h"

#define AGREEMENTS 100
#define OTHERS     (AGREEMENTS - 1)
#define RATE       2000000u
#define FRAME      500
#define TIMES      20
#define LABEL(i)   (10u + (i))
#define MINOR(i)   (uint16_t)(0x100 + (i))
#define BLOCKS     4
#define BEST_MS    ((double)2 * FRAME * 8 * 1e3 / RATE)
#define PACKET_GAP ((uint64_t)FRAME * 8 * 1000000000u / RATE) /* at the rate */

#define POOL 1000 /* idle classes beside the agreements' */

enum backend { SHAPED, POOLED, POLICED, BACKENDS };

static const char *const names[BACKENDS] = { "shaped", "pooled", "policed" };

struct result {
	uint64_t sent, came, late, offered, passed;
	double *delay; /* us */
	size_t n, cap;
};

static struct wire wire;
static struct router router[BACKENDS], bare;
static struct result result[BACKENDS][2];

static void contract(struct router *r, enum backend b, struct nl *nl, unsigned i)
{
	struct nl_class c = htb_class(MINOR(i), (rate_t){ RATE }, (rate_t){ 0 }, 1500);
	struct dp_label l = { .label = LABEL(i),
			      .valid_until = { INT64_MAX },
			      .dscp = DP_DSCP_ANY,
			      .class_minor = b != POLICED ? MINOR(i) : 0,
			      .police_node = b == POLICED };
	struct err e = { 0 };

	l.dir[0].rate.bps = b == POLICED ? RATE : 0;
	must(dp_label_set(r->dp, &l, NULL, &e), &e, "label");
	if (b != POLICED)
		must(htb_class_put(nl, r->out, &c, &e), &e, "class");
}

static void build(enum backend b)
{
	struct nl *nl = NULL;
	struct err e = { 0 };

	router_new(&wire, &router[b], (unsigned)b + 1);
	router_dataplane(&router[b], DP_ROLE_NODE, 0);
	must(nl_new(&nl, &e), &e, "netlink");
	if (b != POLICED)
		must(htb_ensure(nl, router[b].out, (rate_t){ 1000000000 }, (rate_t){ 1000000 },
				1500, &e),
		     &e, "htb");
	for (unsigned i = 0; i < POOL && b == POOLED; i++) {
		struct nl_class c = htb_idle(MINOR(i), (rate_t){ 1000000000 }, 1500);

		must(htb_class_put(nl, router[b].out, &c, &e), &e, "idle class");
	}
	for (unsigned i = 0; i < AGREEMENTS; i++)
		contract(&router[b], b, nl, i); /* takes an idle class where one stands */
	nl = nl_free(nl);
}

static void take(struct result *r, const struct ear *e, const struct talker *others,
		 const struct talker *offender)
{
	uint64_t came = 0, kept = e->n < e->cap ? e->n : e->cap;

	for (size_t i = 0; i < kept; i++) {
		const struct came *c = &e->log[i];

		if (c->flow >= OTHERS) {
			r->passed++;
			continue;
		}
		came++;
		if (r->n < r->cap)
			r->delay[r->n++] = (double)((int64_t)(c->at - c->sent)) / 1000;
	}
	r->sent += others->sent;
	r->came += came;
	r->late += others->late;
	r->offered += offender->sent;
}

/* busy: the offender sends into its class. */
static void block(enum backend b, bool busy, const int *fd, const int *offender_fd, double seconds)
{
	struct talker others = { .fd = fd,
				 .flows = OTHERS,
				 .size = FRAME - 62,
				 .gap_ns = PACKET_GAP * 10 / 6 / OTHERS, /* 60 % of each rate */
				 .cpu = 0,
				 .realtime = true };
	struct talker offender = { .fd = offender_fd,
				   .flows = 1,
				   .first = OTHERS,
				   .size = FRAME - 62,
				   .gap_ns = PACKET_GAP / TIMES,
				   .cpu = 1,
				   .realtime = true };
	struct ear e;

	hear_start(&e, &wire, WIRE_PORT, 1, false, (size_t)(seconds * 50000) + 50000);
	talk_start(&offender);
	sleep_ns(300000000); /* the class of the offender is full, its burst is spent */
	talk_start(&others);
	sleep_ns((uint64_t)(seconds * 1e9));
	talk_stop(&others);
	talk_stop(&offender);
	hear_drain(&e, others.sent + offender.sent);
	hear_stop(&e);
	take(&result[b][busy], &e, &others, &offender);
	free(e.log);
}

static void measure(enum backend b, double seconds)
{
	int fd[OTHERS], to_class, to_bare;

	for (unsigned i = 0; i < OTHERS; i++)
		fd[i] = wire_sender(&wire, router[b].k, WIRE_PORT, LABEL(i));
	to_class = wire_sender(&wire, router[b].k, WIRE_PORT, LABEL(OTHERS));
	to_bare = wire_sender(&wire, bare.k, WIRE_PORT, LABEL(OTHERS));
	for (int i = 0; i < BLOCKS; i++)
		for (int busy = 0; busy < 2; busy++)
			block(b, busy, fd, busy ? &to_class : &to_bare, seconds);
	for (unsigned i = 0; i < OTHERS; i++)
		(void)close(fd[i]);
}

static void report(enum backend b)
{
	struct result *idle = &result[b][0], *busy = &result[b][1];
	double base = percentile(idle->delay, idle->n, 99), p99, allowed;

	p99 = percentile(busy->delay, busy->n, 99);
	allowed = base + (BEST_MS > 1 ? BEST_MS : 1) * 1000;
	(void)printf("{\"metric\":\"dataplane.isolation_%s_lost\",\"value\":%llu,"
		     "\"unit\":\"packets\",\"sent\":%llu,\"idle_lost\":%llu,\"offered\":%llu,"
		     "\"offender_passed\":%llu,\"late\":%llu,\"target\":0}\n",
		     names[b], (unsigned long long)(busy->sent - busy->came),
		     (unsigned long long)busy->sent, (unsigned long long)(idle->sent - idle->came),
		     (unsigned long long)busy->offered, (unsigned long long)busy->passed,
		     (unsigned long long)busy->late);
	(void)printf("{\"metric\":\"dataplane.isolation_%s_idle_p99_us\",\"value\":%.1f,"
		     "\"unit\":\"us\",\"median\":%.1f}\n",
		     names[b], base, percentile(idle->delay, idle->n, 50));
	(void)printf("{\"metric\":\"dataplane.isolation_%s_p99_us\",\"value\":%.1f,\"unit\":\"us\","
		     "\"baseline\":\"dataplane.isolation_%s_idle_p99_us\",\"ratio\":%.2f,"
		     "\"median\":%.1f,\"target\":%.1f}\n",
		     names[b], p99, names[b], base > 0 ? p99 / base : 0,
		     percentile(busy->delay, busy->n, 50), allowed);
}

int main(void)
{
	double seconds = knob("ISOLATION_SECONDS", wire_full() ? 10 : 1.5);

	wire_open(&wire, "bench_isolation");
	router_new(&wire, &bare, BACKENDS + 1);
	for (enum backend b = SHAPED; b < BACKENDS; b++) {
		build(b);
		for (int i = 0; i < 2; i++) {
			struct result *r = &result[b][i];

			r->cap = (size_t)(seconds * 40000 * BLOCKS) + 100000;
			r->delay = calloc(r->cap, sizeof(*r->delay));
			if (!r->delay)
				die("out of memory");
		}
	}
	for (enum backend b = SHAPED; b < BACKENDS; b++) {
		measure(b, seconds);
		report(b);
	}
	return 0;
}
