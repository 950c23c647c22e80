/* SPDX-License-Identifier: Apache-2.0 */
/* bench_netlink.c - microseconds per kernel change: HTB classes at several table sizes, alone and
 * in batches, and route replacement. Own network namespace; root only. */
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <net/if.h>
#include <linux/rtnetlink.h>

#include "netlink/htb.h"
#include "netlink/link.h"
#include "netlink/qdisc.h"
#include "netlink/route.h"

#define ROUNDS 1000

static struct nl *N;
static struct err E;
static uint32_t dev;

static void must(int r)
{
	if (!r)
		return;
	fprintf(stderr, "bench_netlink: %d %s\n", r, E.text);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void report(const char *what, unsigned int size, uint64_t ns, unsigned int n)
{
	printf("{\"metric\":\"netlink.%s_%u_us\",\"value\":%llu.%02llu,\"unit\":\"us\"}\n", what,
	       size, (unsigned long long)(ns / n / 1000), (unsigned long long)(ns / n % 1000 / 10));
}

static struct nl_class class_of(unsigned int i, uint64_t mbit)
{
	return htb_class(HTB_LABEL_BASE + i, (rate_t){ mbit * 1000000 }, (rate_t){ 0 }, 1500);
}

static void classes(unsigned int size, bool batch)
{
	static struct nl_class seen[HTB_SLOTS_MAX];
	struct nl_class c;
	uint64_t t;
	size_t n;

	must(htb_ensure(N, dev, (rate_t){ 40000000000ull }, (rate_t){ 1000000 }, 1500, &E));
	t = now_ns();
	if (batch)
		nl_batch_begin(N, NULL, 0);
	for (unsigned int i = 0; i < size; i++) {
		c = class_of(i, 1 + i % 50);
		must(htb_class_put(N, dev, &c, &E));
	}
	if (batch)
		must(nl_batch_end(N, NULL, &E));
	report(batch ? "htb_class_add_batch" : "htb_class_add", size, now_ns() - t, size);
	t = now_ns();
	for (unsigned int i = 0; i < ROUNDS && !batch; i++) {
		c = class_of(i % size, 51 + i % 50);
		must(htb_class_put(N, dev, &c, &E));
	}
	if (!batch)
		report("htb_class_change", size, now_ns() - t, ROUNDS);
	t = now_ns();
	must(htb_class_list(N, dev, seen, NULL, ARRAY_LEN(seen), &n, &E));
	if (!batch)
		report("htb_class_list", size, now_ns() - t, 1);
	must(n == size + 2 ? 0 : -1);
	t = now_ns();
	must(qdisc_root_del(N, dev, &E));
	if (!batch)
		report("htb_tree_del", size, now_ns() - t, 1);
}

static void routes(void)
{
	struct nl_route r = { .table = 1001, .dst = { NL_V6, 64, { 0xfd, 0x20 } } };
	uint64_t t;

	r.oif = dev;
	must(route_put(N, &r, &E));
	t = now_ns();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		r.encap = i % 2 ? NL_ENCAP_SEG6 : NL_ENCAP_NONE;
		r.n_seg = 1;
		r.seg[0][0] = 0xfd;
		must(route_replace(N, &r, &E));
	}
	report("route_replace", 1, now_ns() - t, ROUNDS);
}

int main(void)
{
	struct nl_link l;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "bench_netlink: skipped, needs root\n");
		return 77;
	}
	if (system("ip link add va type veth peer name vb && ip link set va up && "
		   "ip link set vb up"))
		return 1;
	must(nl_new(&N, &E));
	must(link_find(N, "va", &l, &E));
	dev = l.ifindex;
	classes(10, false);
	classes(1000, false);
	classes(1000, true);
	routes();
	N = nl_free(N);
	return 0;
}
