/* SPDX-License-Identifier: Apache-2.0 */
/* test_routes.c - routes, SRv6, rules, batches, the diff against the kernel, and the monitor, with
 * iproute2 as the witness (see test_netlink.c). */
#include "netlink_ns.h"

#include <poll.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "netlink/apply.h"
#include "netlink/htb.h"
#include "netlink/monitor.h"
#include "netlink/observe.h"
#include "netlink/qdisc.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/srv6.h"

#define TABLE 1001

static struct nl_route plain(const char *dst, const char *gw, uint32_t metric)
{
	struct nl_route r;

	memset(&r, 0, sizeof(r));
	r.table = TABLE;
	r.dst = ip(dst);
	r.oif = VA;
	r.metric = metric;
	if (gw)
		r.gw = ip(gw);
	return r;
}

static struct nl_route encap(const char *dst, const char *gw, const char *const *sid, uint8_t n)
{
	uint8_t s[NL_SEGS_MAX][16];
	struct nl_ip d = ip(dst), g = { 0 };

	for (int i = 0; i < n; i++)
		memcpy(s[i], ip(sid[i]).b, 16);
	if (gw)
		g = ip(gw);
	return srv6_encap(TABLE, &d, (const uint8_t(*)[16])s, n, VA, gw ? &g : NULL);
}

static struct nl_route end_dx(const char *sid, const char *nh)
{
	struct nl_ip s = ip(sid), h = ip(nh);

	return srv6_end_dx(254, s.b, &h, VA);
}

#define N_ROUTES 12
static const char *const theirs[N_ROUTES] = {
	"ip route add 10.20.0.0/24 via 10.9.0.2 dev va table 1001 proto 84 metric 7",
	"ip route add 10.20.0.0/24 dev va table 1001 proto 84",
	"ip route add default via 10.9.0.2 dev va table 1001 proto 84",
	"ip route add 10.22.0.0/16 via inet6 fd09::2 dev va table 1001 proto 84",
	"ip -6 route add fd20::/64 via fd09::2 dev va table 1001 proto 84 metric 9",
	"ip -6 route add default via fd09::2 dev va table 1001 proto 84",
	"ip route add 10.21.0.0/24 dev va table 1001 proto 84 encap seg6 mode encap segs fd00::1",
	"ip -6 route add fd21::/64 via fd09::2 dev va table 1001 proto 84 encap seg6 mode encap "
	"segs "
	"fd00::1,fd00::2,fd00::3",
	"ip -6 route add fd10::d4 dev va proto 84 encap seg6local action End.DX4 nh4 10.9.0.2",
	"ip -6 route add fd10::d6 dev va proto 84 encap seg6local action End.DX6 nh6 fd09::2",
	"ip -6 route add fd10::d7 dev va proto 84 encap seg6local action End.DT6 table 254",
	"ip -6 route add fd22::1 dev va table 1001 proto 84",
};

static void our_routes(struct nl_route r[N_ROUTES])
{
	static const char *const sid[] = { "fd00::1", "fd00::2", "fd00::3" };
	struct nl_ip d7 = ip("fd10::d7");

	r[0] = plain("10.20.0.0/24", "10.9.0.2", 7);
	r[1] = plain("10.20.0.0/24", NULL, 0);
	r[2] = plain("0.0.0.0/0", "10.9.0.2", 0);
	r[3] = plain("10.22.0.0/16", "fd09::2", 0);
	r[4] = plain("fd20::/64", "fd09::2", 9);
	r[5] = plain("::/0", "fd09::2", 0);
	r[6] = encap("10.21.0.0/24", NULL, sid, 1);
	r[7] = encap("fd21::/64", "fd09::2", sid, 3);
	r[8] = end_dx("fd10::d4", "10.9.0.2");
	r[9] = end_dx("fd10::d6", "fd09::2");
	r[10] = srv6_end_dt6(254, d7.b, 254, VA);
	r[11] = plain("fd22::1", NULL, 0);
}

/* One route is there, by whoever: is it what we read? */
static void assert_reads_as(const struct nl_route *r)
{
	struct nl_obj seen[4], want = { .kind = NL_ROUTE, .u.route = *r };
	size_t n;

	OK(route_list(N, 0, true, seen, ARRAY_LEN(seen), &n, &E));
	assert_int_equal(n, 1);
	assert_int_equal(nl_obj_cmp(&seen[0], &want), 0);
	assert_true(nl_obj_same(&seen[0], &want));
}

static void test_routes(void **st)
{
	struct nl_route r[N_ROUTES];
	char *before = world();

	(void)st;
	our_routes(r);
	for (size_t i = 0; i < N_ROUTES; i++) {
		char *mine, *ref, *after;

		OK(route_put(N, &r[i], &E));
		mine = world();
		assert_reads_as(&r[i]);
		OK(route_put(N, &r[i], &E)); /* again: nothing new */
		OK(route_replace(N, &r[i], &E));
		after = world();
		assert_string_equal(mine, after);
		free(after);
		OK(route_del(N, &r[i], &E));
		OK(route_del(N, &r[i], &E)); /* gone already: fine */
		after = world();
		assert_string_equal(before, after);
		free(after);
		sh("%s", theirs[i]);
		ref = world();
		assert_string_equal(mine, ref);
		assert_reads_as(&r[i]);
		OK(route_del(N, &r[i], &E));
		free(mine);
		free(ref);
	}
	free(before);
}

static void test_replace(void **st)
{
	static const char *const sid[] = { "fd00::1", "fd00::2" };
	const struct nl_route from[] = { plain("10.30.0.0/24", "10.9.0.2", 0),
					 plain("fd30::/64", "fd09::2", 0),
					 encap("10.31.0.0/24", NULL, sid, 1),
					 encap("fd31::/64", NULL, sid, 1) };
	const struct nl_route to[] = { plain("10.30.0.0/24", "10.9.0.3", 0),
				       plain("fd30::/64", "fd09::3", 0),
				       encap("10.31.0.0/24", NULL, sid, 2),
				       encap("fd31::/64", NULL, sid + 1, 1) };

	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		OK(route_put(N, &from[i], &E));
		OK(route_put(N, &to[i], &E));
		assert_reads_as(&to[i]);
		OK(route_replace(N, &from[i], &E));
		assert_reads_as(&from[i]);
		OK(route_del(N, &to[i], &E)); /* same key */
	}
}

/* A route of another protocol is never changed or deleted, whoever asks. */
static void test_foreign_route(void **st)
{
	static const char *const make[] = {
		"ip route add 10.40.0.0/24 via 10.9.0.2 dev va table 1001 proto static",
		"ip -6 route add fd40::/64 via fd09::2 dev va table 1001 proto static",
		"ip route add unreachable 10.40.0.0/24 table 1001 proto boot",
		"ip -6 route add unreachable fd40::/64 table 1001 proto boot",
	};

	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(make); i++) {
		struct nl_route r = i % 2 ? plain("fd40::/64", "fd09::3", 0)
					  : plain("10.40.0.0/24", "10.9.0.3", 0);
		struct nl_obj o[4];
		char *before, *after;
		size_t n;

		sh("%s", make[i]);
		before = world();
		REFUSED(route_put(N, &r, &E), -EEXIST);
		OK(route_del(N, &r, &E));
		OK(route_list(N, TABLE, true, o, ARRAY_LEN(o), &n, &E));
		assert_int_equal(n, 0);
		OK(route_list(N, TABLE, false, o, ARRAY_LEN(o), &n, &E));
		assert_int_equal(n, 1);
		after = world();
		assert_string_equal(before, after);
		free(before);
		free(after);
		sh("ip -%d route flush table 1001", i % 2 ? 6 : 4);
	}
}

/* In IPv4 a deletion with metric 0 means any metric: ours must not. */
static void test_metric_zero(void **st)
{
	struct nl_route zero = plain("10.50.0.0/24", "10.9.0.2", 0), five = zero;

	(void)st;
	five.metric = 5;
	OK(route_put(N, &five, &E));
	OK(route_del(N, &zero, &E));
	assert_reads_as(&five);
	OK(route_del(N, &five, &E));
}

static void test_route_checks(void **st)
{
	struct nl_route r = plain("10.50.0.0/24", "10.9.0.2", 0), bad;

	(void)st;
	bad = r;
	bad.dst.b[3] = 1;
	REFUSED(route_put(N, &bad, &E), -EINVAL);
	bad = r;
	bad.oif = 0;
	REFUSED(route_put(N, &bad, &E), -EINVAL);
	bad = r;
	bad.encap = NL_ENCAP_SEG6;
	bad.n_seg = 9;
	REFUSED(route_replace(N, &bad, &E), -EINVAL);
	bad = end_dx("fd10::d4", "10.9.0.2");
	bad.dst.len = 127;
	REFUSED(route_put(N, &bad, &E), -EINVAL);
	bad = r;
	bad.gw = ip("10.99.0.1"); /* the kernel's own word comes through */
	REFUSED(route_put(N, &bad, &E), -ENETUNREACH);
	assert_non_null(strstr(E.text, "gateway"));
}

/* --- rules ------------------------------------------------------------------------------- */

static void test_rules(void **st)
{
	const struct nl_ip p4 = ip("10.9.0.0/24"), p6 = ip("fd09::77");
	const struct nl_rule ours[] = { rule_path(NL_V4, 1), rule_path(NL_V6, 255),
					rule_probe(&p4, 2), rule_probe(&p6, 3) };
	static const char *const make[] = {
		"ip rule add fwmark 0x01000000/0xff000000 lookup 1001 priority 10001 protocol 84",
		"ip -6 rule add fwmark 0xff000000/0xff000000 lookup 1255 priority 10255 protocol "
		"84",
		"ip rule add from 10.9.0.0/24 lookup 1002 priority 9002 protocol 84",
		"ip -6 rule add from fd09::77 lookup 1003 priority 9003 protocol 84",
	};
	char *before = world();

	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		struct nl_obj seen[2], want = { .kind = NL_RULE, .u.rule = ours[i] };
		char *mine, *ref, *after;
		size_t n;

		OK(rule_put(N, &ours[i], &E));
		OK(rule_put(N, &ours[i], &E)); /* no second copy */
		mine = world();
		OK(rule_del(N, &ours[i], &E));
		OK(rule_del(N, &ours[i], &E));
		after = world();
		assert_string_equal(before, after);
		sh("%s", make[i]);
		ref = world();
		assert_string_equal(mine, ref);
		OK(rule_list(N, seen, ARRAY_LEN(seen), &n, &E));
		assert_int_equal(n, 1);
		assert_int_equal(nl_obj_cmp(&seen[0], &want), 0);
		OK(rule_del(N, &ours[i], &E));
		free(mine);
		free(ref);
		free(after);
	}
	free(before);
}

/* The same rule of another protocol stays, whatever we do with ours. */
static void test_foreign_rule(void **st)
{
	struct nl_rule r = rule_path(NL_V6, 1);
	char *before, *after;

	(void)st;
	sh("ip -6 rule add fwmark 0x01000000/0xff000000 lookup 1001 priority 10001 protocol "
	   "static");
	before = world();
	OK(rule_del(N, &r, &E));
	after = world();
	assert_string_equal(before, after);
	free(after);
	OK(rule_put(N, &r, &E));
	after = run("ip -6 rule show priority 10001");
	assert_non_null(strstr(after, "proto 84"));
	assert_non_null(strstr(after, "proto static"));
	free(after);
	OK(rule_del(N, &r, &E));
	after = world();
	assert_string_equal(before, after);
	free(before);
	free(after);
	sh("ip -6 rule del priority 10001");
}

/* --- batches ------------------------------------------------------------------------------ */

static void test_batch(void **st)
{
	struct nl_route bad = plain("10.61.0.0/24", "10.99.0.1", 0);
	int result[200];
	struct nl_obj o[200];
	size_t n;

	(void)st;
	E.code = 0;
	nl_batch_begin(N, result, ARRAY_LEN(result));
	for (int i = 0; i < 200; i++) {
		struct nl_route r = plain("10.60.0.0/32", "10.9.0.2", 0);

		r.dst.b[3] = (uint8_t)i;
		assert_int_equal(route_replace(N, i == 100 ? &bad : &r, &E), 0);
	}
	assert_int_equal(route_replace(N, &bad, &E), -E2BIG);
	E.code = 0;
	assert_int_equal(nl_batch_end(N, &n, &E), -ENETUNREACH);
	assert_int_equal(n, 200);
	for (int i = 0; i < 200; i++)
		assert_int_equal(result[i], i == 100 ? -ENETUNREACH : 0);
	OK(route_list(N, TABLE, true, o, ARRAY_LEN(o), &n, &E));
	assert_int_equal(n, 199);
	nl_batch_begin(N, NULL, 0);
	for (size_t i = 0; i < n; i++)
		OK(nl_in_batch(N) ? route_del(N, &o[i].u.route, &E) : -1);
	OK(nl_batch_end(N, &n, &E));
	OK(route_list(N, TABLE, true, o, ARRAY_LEN(o), &n, &E));
	assert_int_equal(n, 0);
}

struct torn {
	int n, resets;
};

static void torn_reset(void *arg)
{
	struct torn *t = arg;

	t->n = 0;
	t->resets++;
}

/* On the first pass an address comes while the dump is in its midst. */
static int torn_one(const struct nlmsghdr *nlh, void *arg)
{
	struct torn *t = arg;

	(void)nlh;
	if (t->n++ == 0 && t->resets == 1)
		sh("ip addr add 10.8.99.1/32 dev vb");
	return 0;
}

/* What the kernel marks as interrupted is read again from the start. (Addresses: of all that fills
 * several datagrams, the kernel marks these most simply.) */
static void test_torn_dump(void **st)
{
	_Alignas(4) struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
	} req = { .h = { .nlmsg_type = RTM_GETADDR, .nlmsg_len = sizeof(req) },
		  .a = { .ifa_family = AF_INET } };
	struct torn t = { 0 };

	(void)st;
	sh("for i in $(seq 0 1999); do echo addr add 10.8.$((i / 200)).$((i %% 200))/32 dev vb; "
	   "done "
	   "| ip -batch -");
	OK(nl_dump_mnl(N, &req.h, torn_one, torn_reset, &t, &E));
	assert_int_equal(t.resets, 2);
	assert_int_equal(t.n, 2000 + 1 + 1 + 1); /* with the new one, va's and lo's */
	sh("ip -4 addr flush dev vb");
}

/* --- observe, diff, apply ------------------------------------------------------------------ */

static size_t wanted(struct nl_obj *o)
{
	struct nl_route r[N_ROUTES];
	size_t n = 0;

	memset(o, 0, 32 * sizeof(*o));
	our_routes(r);
	for (size_t i = 0; i < N_ROUTES; i++)
		o[n++] = (struct nl_obj){ .kind = NL_ROUTE, .u.route = r[i] };
	o[n++] = (struct nl_obj){ .kind = NL_RULE, .u.rule = rule_path(NL_V4, 1) };
	o[n++] = (struct nl_obj){ .kind = NL_RULE, .u.rule = rule_path(NL_V6, 1) };
	for (uint32_t m = 0x110; m > 0x108; m--)
		o[n++] = (struct nl_obj){ .kind = NL_CLASS,
					  .ifindex = VA,
					  .u.class = htb_class(m, (rate_t){ m * 10000 },
							       (rate_t){ 12 * GBIT }, 1500) };
	o[n++] = (struct nl_obj){ .kind = NL_CLASS,
				  .ifindex = VA,
				  .u.class = htb_class(HTB_ROOT, (rate_t){ 12 * GBIT },
						       (rate_t){ 0 }, 1500) };
	o[n++] = (struct nl_obj){ .kind = NL_QDISC, .ifindex = VA };
	for (size_t i = 0; i < n; i++)
		o[i].ours = true;
	return n;
}

static void test_apply(void **st)
{
	char *before = world(), *after;
	struct nl_state *s = NULL;
	struct nl_obj o[32];
	size_t n = wanted(o), done;

	(void)st;
	OK(apply_wanted(N, &VA, 1, o, n, &done, &E));
	assert_int_equal(done, n);
	OK(apply_wanted(N, &VA, 1, o, n, &done, &E));
	assert_int_equal(done, 0);
	OK(state_new(&s, 64, &E));
	OK(observe(N, &VA, 1, s, &E));
	assert_int_equal(s->n, n);
	assert_int_equal(s->first[NL_CLASS], 1);
	assert_int_equal(s->first[NL_ROUTE], 1 + 9);
	assert_int_equal(s->first[NL_RULE], 1 + 9 + N_ROUTES);
	assert_int_equal(s->first[NL_KIND_MAX_], n);
	s = state_free(s);
	/* what others take away or bend comes back; what they add stays */
	sh("ip rule del priority 10001 && tc class change dev va parent 54:1 classid 54:109 htb "
	   "rate "
	   "1mbit && ip route replace 10.20.0.0/24 via 10.9.0.9 dev va table 1001 proto 84 metric "
	   "7 "
	   "&& ip route add 10.99.0.0/24 dev va table 1001 proto static");
	OK(apply_wanted(N, &VA, 1, o, n, &done, &E));
	assert_int_equal(done, 3);
	OK(apply_wanted(N, &VA, 1, o, n, &done, &E));
	assert_int_equal(done, 0);
	sh("ip route del 10.99.0.0/24 dev va table 1001 proto static");
	OK(apply_wanted(N, &VA, 1, o, 0, &done, &E));
	assert_int_equal(done, n);
	after = world();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_apply_foreign(void **st)
{
	struct nl_obj o[32];
	size_t n = wanted(o), done;
	char *before, *after;

	(void)st;
	sh("tc qdisc add dev va root handle 11: tbf rate 1mbit burst 10kb latency 50ms");
	before = world();
	REFUSED(apply_wanted(N, &VA, 1, o, n, &done, &E), -EEXIST);
	after = world();
	assert_string_equal(before, after); /* nothing half done: not one route */
	free(before);
	free(after);
	sh("tc qdisc del dev va root");
}

/* --- monitor ------------------------------------------------------------------------------ */

struct seen {
	int count[NL_EV_RESYNC + 1], ours[NL_EV_RESYNC + 1];
	struct nl_event last[NL_EV_RESYNC + 1];
};

static void on_event(const struct nl_event *ev, void *arg)
{
	struct seen *s = arg;

	s->count[ev->type]++;
	s->ours[ev->type] += ev->ours;
	s->last[ev->type] = *ev;
}

static void assert_event(struct nl_monitor *m, struct seen *s, enum nl_event_type t)
{
	struct pollfd p = { .fd = monitor_fd(m), .events = POLLIN };

	for (int i = 0; i < 100 && !s->count[t]; i++) {
		(void)poll(&p, 1, 50);
		assert_true(monitor_drain(m, 1000, on_event, s) >= 0);
	}
	assert_true(s->count[t] > 0);
}

static void test_monitor(void **st)
{
	struct nl_monitor *m = NULL;
	struct seen s = { 0 };
	struct nl_ip want = ip("fd20::/64"), near = ip("10.9.0.77");

	(void)st;
	OK(monitor_new(&m, &E));
	assert_int_equal(monitor_drain(m, 10, on_event, &s), 0);
	sh("ip -6 route add fd20::/64 via fd09::2 dev va table 1001 proto 84");
	assert_event(m, &s, NL_EV_ROUTE);
	assert_true(s.ours[NL_EV_ROUTE] == 1);
	assert_memory_equal(&s.last[NL_EV_ROUTE].obj.u.route.dst, &want, sizeof(want));
	sh("ip -6 route del fd20::/64 table 1001");
	assert_event(m, &s, NL_EV_ROUTE_GONE);
	sh("ip rule add from 10.9.0.5 lookup 1001 priority 77");
	assert_event(m, &s, NL_EV_RULE);
	assert_false(s.last[NL_EV_RULE].ours);
	assert_int_equal(s.last[NL_EV_RULE].obj.u.rule.priority, 77);
	sh("ip rule del priority 77");
	assert_event(m, &s, NL_EV_RULE_GONE);
	sh("ip neigh add 10.9.0.77 lladdr 02:00:00:00:00:0c dev va");
	assert_event(m, &s, NL_EV_NEIGH);
	assert_memory_equal(&s.last[NL_EV_NEIGH].addr, &near, sizeof(near));
	assert_true(s.last[NL_EV_NEIGH].reachable && s.last[NL_EV_NEIGH].ifindex == VA);
	sh("ip neigh del 10.9.0.77 dev va");
	assert_event(m, &s, NL_EV_NEIGH_GONE);
	sh("tc qdisc add dev va root handle 54: htb default 2");
	assert_event(m, &s, NL_EV_QDISC);
	assert_true(s.ours[NL_EV_QDISC]);
	OK(qdisc_root_del(N, VA, &E));
	sh("ip link add vc type veth peer name vd && ip link set vc up && ip link set vd up");
	assert_event(m, &s, NL_EV_LINK);
	sh("ip link del vc");
	assert_event(m, &s, NL_EV_LINK_GONE);
	m = monitor_free(m);
}

/* More events than the queue holds: one word says so, and the socket works on. */
static void test_monitor_overrun(void **st)
{
	struct nl_monitor *m = NULL;
	struct seen s = { 0 };
	int small = 2048;

	(void)st;
	OK(monitor_new(&m, &E));
	assert_int_equal(setsockopt(monitor_fd(m), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
			 0);
	for (int i = 0; i < 50; i++) {
		struct nl_route r = plain("10.70.0.0/24", "10.9.0.2", 0);

		OK(route_put(N, &r, &E));
		OK(route_del(N, &r, &E));
	}
	assert_event(m, &s, NL_EV_RESYNC);
	memset(&s, 0, sizeof(s));
	while (monitor_drain(m, 1000, on_event, &s) > 0)
		;
	memset(&s, 0, sizeof(s));
	sh("ip route add 10.71.0.0/24 dev va && ip route del 10.71.0.0/24 dev va");
	assert_event(m, &s, NL_EV_ROUTE);
	m = monitor_free(m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),          cmocka_unit_test(test_replace),
		cmocka_unit_test(test_foreign_route),   cmocka_unit_test(test_metric_zero),
		cmocka_unit_test(test_route_checks),    cmocka_unit_test(test_torn_dump),
		cmocka_unit_test(test_rules),           cmocka_unit_test(test_foreign_rule),
		cmocka_unit_test(test_batch),           cmocka_unit_test(test_apply),
		cmocka_unit_test(test_apply_foreign),   cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_monitor_overrun),
	};
	int r;

	if (!enter_ns())
		return 77;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	N = nl_free(N);
	return r;
}
