/* SPDX-License-Identifier: Apache-2.0 */
/* test_mark_wire.c - alternate marking between two nodes with real packets and real clocks: the
 * test is the wire between them, so it knows which packets it did not carry and how long it held
 * each one.
 *
 *   s0 - a0 [node A: edge] a1 - w0  (this test)  w1 - b0 [node B] b1 - k0 */
#include <poll.h>
#include <time.h>

#include "agent/mark_core.h"
#include "veth.h"

#define BLOCK  1000000000ll
#define BLOCKS 2
#define EVERY  15000000ll  /* between two packets */
#define HOLD   100000000ll /* on the wire */
#define ROUNDS 3           /* a machine that stood still for half a block proves nothing */
#define EF     46u
#define EF1    47u

struct flight {
	struct pkt p;
	int64_t sent, seen, due, put, out; /* wall clock: before s0, after w0, then w1, then k0 */
	uint32_t no;
	bool lost;
};

#define FLIGHTS 600
static struct flight fly[FLIGHTS];
static uint32_t n_sent;
static struct dp *a, *b;
static int s0, w0, w1, k0;

static int64_t wall(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &t), 0);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static uint32_t dev(const char *name)
{
	uint32_t i = if_nametoindex(name);

	assert_true(i > 0);
	return i;
}

static void wires(void)
{
	sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=0;"
	   "for p in s0:a0 w0:a1 w1:b0 k0:b1; do"
	   "  ip link add ${p%:*} type veth peer name ${p#*:}; done;"
	   "ip link set a0 address 02:00:00:00:00:02; ip link set b0 address 02:00:00:00:00:99;"
	   "for i in s0 a0 a1 w0 w1 b0 b1 k0; do"
	   "  echo 1 >/proc/sys/net/ipv6/conf/$i/forwarding; ip link set $i up; done;"
	   "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding;"
	   "ip -6 route add fd10:2::/64 dev a1;"
	   "ip -6 neigh add fd10:2::2 lladdr 02:00:00:00:00:99 dev a1;"
	   "ip -6 rule add iif b0 lookup 100; ip -6 route add fd10:2::/64 dev b1 table 100;"
	   "ip -6 neigh add fd10:2::2 lladdr 02:00:00:00:00:77 dev b1");
	s0 = packet_socket(dev("s0"));
	w0 = packet_socket(dev("w0"));
	w1 = packet_socket(dev("w1"));
	k0 = packet_socket(dev("k0"));
}

static struct dp *node_up(const char *name, const char *in, enum dp_role role, const char *out)
{
	const struct dp_label l = { .label = L, .valid_until = { INT64_MAX }, .dscp = EF };
	const struct dp_rule r = {
		.id = 1, .dscp = DP_DSCP_ANY, .dport_min = 7001, .dport_max = 7001, .label = L
	};
	struct dp_port p[] = { { .ifindex = dev(in), .role = role },
			       { .ifindex = dev(out), .role = DP_ROLE_NODE } };
	struct dp_config c = { .labels = 64, .hook = hook, .colours = { .block_ns = BLOCK } };
	struct err e = { 0 };
	struct dp *d = NULL;
	char dir[160];

	(void)snprintf(dir, sizeof(dir), "%s/%s", bpffs, name);
	c.pin_dir = dir;
	must(dp_colours_pair(&c.colours, EF, EF1, &e), &e);
	must(dp_open(&d, &c, &e), &e);
	label_set(d, &l);
	if (role == DP_ROLE_EDGE)
		rules_set(d, &r, 1);
	for (int i = 0; i < 2; i++)
		must(dp_port_attach(d, &p[i], NULL, &e), &e);
	return d;
}

static void send_one(bool lose)
{
	struct flight *f = &fly[n_sent];

	assert_true(n_sent < FLIGHTS);
	*f = (struct flight){ .no = n_sent, .lost = lose };
	udp6(&f->p, 0, 0, 7001);
	memcpy(f->p.b + f->p.n - 4, &f->no, 4);
	f->sent = wall();
	blast(s0, &f->p, 1);
	n_sent++;
}

/* The flight whose packet came out of a socket, NULL = nothing of ours is waiting. */
static struct flight *take(int fd, struct pkt *p)
{
	for (;;) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, p->b, sizeof(p->b), MSG_DONTWAIT, (struct sockaddr *)&from,
				     &len);
		uint32_t no;

		if (n < 0)
			return NULL;
		if (from.sll_pkttype == PACKET_OUTGOING || n < 14 + 40 + 8 + 4 ||
		    get16(p->b + 12) != ETH_P_IPV6 || p->b[20] != IPPROTO_UDP ||
		    get16(p->b + 56) != 7001)
			continue;
		p->n = (size_t)n;
		memcpy(&no, p->b + n - 4, 4);
		if (no < n_sent)
			return &fly[no];
	}
}

static void carry(int64_t until)
{
	struct pkt p;
	struct flight *f;

	do {
		struct pollfd fds[] = { { w0, POLLIN, 0 }, { k0, POLLIN, 0 } };

		(void)poll(fds, 2, 1);
		while ((f = take(w0, &p))) {
			f->seen = wall();
			f->due = f->seen + HOLD;
			f->p = p;
		}
		for (uint32_t i = 0; i < n_sent; i++) {
			f = &fly[i];
			if (!f->due || f->lost || f->put || f->due > wall())
				continue;
			f->put = wall();
			blast(w1, &f->p, 1);
		}
		while ((f = take(k0, &p)))
			f->out = wall();
	} while (wall() < until);
}

static struct mark_sample sample(struct dp *d, uint32_t point, uint64_t block)
{
	struct dp_marks *m = NULL;
	struct dp_view *v = NULL;
	struct dp_mark x = { 0 };
	struct err e = { 0 };

	must(dp_marks_open(&m, dp_marks_fd(d), &e), &e);
	must(dp_view_open(&v, dp_counters_fd(d), &e), &e);
	assert_true(mark_readable(block, DP_BLOCKS, wall(), BLOCK));
	assert_int_equal(dp_marks_get(m, dp_view_watched(v, L), DP_UP, point, block, &x), 0);
	(void)dp_marks_close(m);
	(void)dp_view_close(v);
	return (struct mark_sample){ .block = block,
				     .packets = x.packets,
				     .bytes = x.bytes,
				     .first_ns = x.first_ns,
				     .mean_ns = x.packets ? x.sum_ns / (int64_t)x.packets : 0 };
}

/* A packet is of the block in which it was sent, unless the clock went over the edge meanwhile. */
static bool in_block(const struct flight *f, uint64_t block)
{
	return (uint64_t)(f->sent / BLOCK) == block;
}

static bool quiet_enough(uint64_t first)
{
	for (uint32_t i = 0; i < n_sent; i++) {
		const struct flight *f = &fly[i];

		if (f->sent / BLOCK != f->seen / BLOCK ||
		    (!f->lost && f->out - f->sent > BLOCK / 3))
			return false;
	}
	return (uint64_t)(wall() / BLOCK) < first + BLOCKS + 2;
}

static void compare(uint64_t block)
{
	const struct mark_clock same = { .host = 1, .block_ms = BLOCK / 1000000 };
	const struct mark_sample near = sample(a, DP_MARK_OUT, block);
	const struct mark_sample far = sample(b, DP_MARK_IN, block);
	struct mark_pair p = { 0 };
	uint64_t sent = 0, lost = 0;
	int64_t least = 0, most = 0;

	for (uint32_t i = 0; i < n_sent; i++) {
		const struct flight *f = &fly[i];

		if (!in_block(f, block))
			continue;
		sent++;
		lost += f->lost;
		if (f->lost)
			continue;
		least += f->put - f->seen;
		most += f->out - f->sent;
	}
	assert_true(mark_note(&p.near, &near, &same) && mark_note(&p.far, &far, &same));
	assert_true(mark_settle(&p));
	assert_int_equal(p.verdict, MARK_COMPARED);
	assert_int_equal(sample(a, DP_MARK_IN, block).packets, sent);
	assert_int_equal(p.sent, sent);
	assert_int_equal(p.lost, lost);
	least /= (int64_t)(sent - lost);
	most /= (int64_t)(sent - lost);
	print_message("  block %llu: %llu of %llu lost; delay %.3f ms +- %.3f, held %.3f..%.3f\n",
		      (unsigned long long)block, (unsigned long long)lost, (unsigned long long)sent,
		      (double)p.delay_ns / 1e6, (double)p.uncertainty_ns / 1e6, (double)least / 1e6,
		      (double)most / 1e6);
	assert_true(p.delay_ns + p.uncertainty_ns >= least);
	assert_true(p.delay_ns - p.uncertainty_ns <= most);
}

/* Every seventh packet of the first block is lost, none of the second. */
static bool round_trip(void)
{
	int64_t start = (wall() / BLOCK + 1) * BLOCK, next = start + EVERY / 2;
	uint64_t first = (uint64_t)(start / BLOCK);

	n_sent = 0;
	carry(start); /* the labels' first whole block */
	while (next < start + BLOCKS * BLOCK) {
		carry(next);
		send_one((next / BLOCK - start / BLOCK) != 1 && n_sent % 7 == 3);
		next += EVERY;
	}
	carry(start + BLOCKS * BLOCK + BLOCK / 2);
	if (!quiet_enough(first))
		return false;
	for (uint64_t i = 0; i < BLOCKS; i++)
		compare(first + i);
	return true;
}

static void loss_and_delay_of_a_wire(void **state)
{
	bool done = false;

	(void)state;
	wires();
	a = node_up("a", "a0", DP_ROLE_EDGE, "a1");
	b = node_up("b", "b0", DP_ROLE_NODE, "b1");
	for (int i = 0; !done && i < ROUNDS; i++)
		done = round_trip();
	assert_int_equal(dp_remove(&a, NULL), 0);
	assert_int_equal(dp_remove(&b, NULL), 0);
	if (!done)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(loss_and_delay_of_a_wire) };
	int r;

	if (stage_enter()) {
		print_error("namespaces: %s\n", strerror(errno));
		return 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)umount2(bpffs, MNT_DETACH);
	(void)rmdir(bpffs);
	return r;
}
