/* SPDX-License-Identifier: Apache-2.0 */
/* test_nexthop.c - nexthop objects and the routes that name them, with iproute2 as the witness (see
 * test_netlink.c). */
#include "netlink_ns.h"

#include "netlink/apply.h"
#include "netlink/nexthop.h"
#include "netlink/route.h"

#define TABLE 1001

static struct nl_nexthop hop(uint32_t id, const char *gw)
{
	return (struct nl_nexthop){ .id = id, .oif = VA, .gw = ip(gw) };
}

static struct nl_route by(const char *dst, uint32_t nh_id)
{
	return (struct nl_route){ .table = TABLE,
				  .dst = ip(dst),
				  .nh_id = nh_id,
				  .metric = strchr(dst, ':') ? NL_METRIC_V6 : 0 };
}

static char *hops(void)
{
	return run("ip -d nexthop; ip -d route show table all; ip -6 -d route show table all");
}

/* What we put is, to the letter, what `ip` makes of its own words. */
static void as_theirs(const char *cmd, void (*ours)(void), const char *undo)
{
	char *mine, *theirs;

	ours();
	mine = hops();
	ours(); /* again: nothing new */
	theirs = hops();
	assert_string_equal(mine, theirs);
	free(theirs);
	sh("%s", undo);
	sh("%s", cmd);
	theirs = hops();
	assert_string_equal(mine, theirs);
	sh("%s", undo);
	free(mine);
	free(theirs);
}

static void put_v6(void)
{
	struct nl_nexthop h = hop(7, "fd09::2");

	OK(nexthop_put(N, &h, &E));
}

static void put_v4(void)
{
	struct nl_nexthop h = hop(8, "10.9.0.2");

	OK(nexthop_put(N, &h, &E));
}

static void put_routes(void)
{
	struct nl_route a = by("fd20::/64", 7), b = by("::/0", 7), c = by("10.20.0.0/24", 7);

	put_v6();
	OK(route_put(N, &a, &E));
	OK(route_put(N, &b, &E));
	OK(route_put(N, &c, &E)); /* IPv4 by an IPv6 gateway */
}

static void test_reads_as_ip_does(void **st)
{
	(void)st;
	as_theirs("ip nexthop add id 7 via fd09::2 dev va proto 84", put_v6, "ip nexthop del id 7");
	as_theirs("ip nexthop add id 8 via 10.9.0.2 dev va proto 84", put_v4,
		  "ip nexthop del id 8");
	as_theirs("ip nexthop add id 7 via fd09::2 dev va proto 84 && "
		  "ip -6 route add fd20::/64 nhid 7 table 1001 proto 84 && "
		  "ip -6 route add default nhid 7 table 1001 proto 84 && "
		  "ip route add 10.20.0.0/24 nhid 7 table 1001 proto 84",
		  put_routes, "ip nexthop del id 7");
}

static void test_life(void **st)
{
	struct nl_nexthop h = hop(7, "fd09::2");
	struct nl_obj seen[4];
	char *before = hops(), *after;
	size_t n;

	(void)st;
	OK(nexthop_put(N, &h, &E));
	OK(nexthop_list(N, seen, ARRAY_LEN(seen), &n, &E));
	assert_int_equal(n, 1);
	assert_int_equal(seen[0].u.nexthop.id, 7);
	assert_int_equal(seen[0].u.nexthop.oif, VA);
	assert_memory_equal(&seen[0].u.nexthop.gw, &h.gw, sizeof(h.gw));
	h.gw = ip("fd09::3");
	OK(nexthop_put(N, &h, &E)); /* in place */
	after = run("ip nexthop");
	assert_non_null(strstr(after, "id 7 via fd09::3 dev va"));
	free(after);
	OK(nexthop_del(N, &h, &E));
	OK(nexthop_del(N, &h, &E));
	after = hops();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_refusals(void **st)
{
	struct nl_nexthop h = hop(7, "fd09::2"), bad;
	struct nl_route r = by("fd20::/64", 99);
	char *before, *after;

	(void)st;
	sh("ip nexthop add id 7 via fd09::2 dev va proto static; "
	   "ip nexthop add id 9 group 7 proto static");
	before = hops();
	REFUSED(nexthop_put(N, &h, &E), -EEXIST);
	OK(nexthop_del(N, &h, &E)); /* not ours: it stays */
	bad = h;
	bad.id = 0;
	REFUSED(nexthop_put(N, &bad, &E), -EINVAL);
	bad = h;
	bad.oif = 0;
	REFUSED(nexthop_put(N, &bad, &E), -EINVAL);
	bad = h;
	bad.gw.len = 64;
	REFUSED(nexthop_put(N, &bad, &E), -EINVAL);
	r.oif = VA;
	REFUSED(route_put(N, &r, &E), -EINVAL);
	r.oif = 0;
	REFUSED(route_put(N, &r, &E), -EINVAL); /* no such object: the kernel's own words */
	after = hops();
	assert_string_equal(before, after);
	free(before);
	free(after);
	sh("ip nexthop del id 9; ip nexthop del id 7");
}

/* A path by route becomes a path by object, and back, without a moment of neither. */
static void test_apply(void **st)
{
	struct nl_obj o[3] = {
		{ .kind = NL_NEXTHOP, .ours = true, .u.nexthop = hop(7, "fd09::2") },
		{ .kind = NL_ROUTE, .ours = true, .u.route = by("::/0", 7) },
		{ .kind = NL_ROUTE, .ours = true, .u.route = by("10.20.0.0/24", 7) }
	};
	struct nl_obj plain = o[1];
	char *before = hops(), *after;
	size_t done;

	(void)st;
	plain.u.route.nh_id = 0;
	plain.u.route.oif = VA;
	plain.u.route.gw = ip("fd09::2");
	OK(apply_wanted(N, NULL, 0, &plain, 1, &done, &E));
	assert_int_equal(done, 1);
	OK(apply_wanted(N, NULL, 0, o, 3, &done, &E));
	assert_int_equal(done, 3);
	OK(apply_wanted(N, NULL, 0, o, 3, &done, &E));
	assert_int_equal(done, 0);
	sh("ip nexthop del id 7"); /* takes its routes along */
	OK(apply_wanted(N, NULL, 0, o, 3, &done, &E));
	assert_int_equal(done, 3);
	sh("ip nexthop replace id 7 via fd09::9 dev va proto 84");
	OK(apply_wanted(N, NULL, 0, o, 3, &done, &E));
	assert_int_equal(done, 1);
	OK(apply_wanted(N, NULL, 0, &plain, 1, &done, &E)); /* one changed, two gone */
	assert_int_equal(done, 3);
	OK(apply_wanted(N, NULL, 0, NULL, 0, &done, &E));
	assert_int_equal(done, 1);
	after = hops();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_as_ip_does),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_apply),
	};
	int r;

	if (!enter_ns()) {
		print_message("SKIPPED: needs root\n");
		return 77;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	N = nl_free(N);
	return r;
}
