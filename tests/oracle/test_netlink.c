/* SPDX-License-Identifier: Apache-2.0 */
/* test_netlink.c - the oracle is iproute2: what we make must dump exactly as what ip and tc make,
 * and what they make we must read as what we would have asked for. Own network namespace; root
 * only. */
#include "netlink_ns.h"

#include "netlink/htb.h"
#include "netlink/link.h"
#include "netlink/qdisc.h"

/* --- links ------------------------------------------------------------------------------- */

static void test_links(void **st)
{
	json_t *j = js("ip -j -d link"), *o;
	struct nl_link l[16], one;
	size_t n, i;

	(void)st;
	sh("ip link set vb txqlen 1234");
	OK(link_list(N, l, ARRAY_LEN(l), &n, &E));
	assert_int_equal(n, json_array_size(j));
	json_array_foreach (j, i, o) {
		OK(link_get(N, (uint32_t)json_integer_value(json_object_get(o, "ifindex")), &one,
			    &E));
		assert_string_equal(one.name, json_string_value(json_object_get(o, "ifname")));
		assert_int_equal(one.mtu, json_integer_value(json_object_get(o, "mtu")));
	}
	json_decref(j);
	OK(link_find(N, "vb", &one, &E));
	assert_true(one.up && !one.loopback);
	assert_int_equal(one.txqlen, 1234);
	assert_int_equal(one.speed.bps, 10 * GBIT); /* what veth reports */
	OK(link_set_txqlen(N, VB, 777, &E));
	OK(link_set_up(N, VB, false, &E));
	j = js("ip -j link show vb");
	o = json_array_get(j, 0);
	assert_int_equal(json_integer_value(json_object_get(o, "txqlen")), 777);
	assert_string_equal(json_string_value(json_object_get(o, "operstate")), "DOWN");
	json_decref(j);
	OK(link_set_up(N, VB, true, &E));
	REFUSED(link_find(N, "nope", &one, &E), -ENODEV);
	assert_int_equal(nl_refusal(-ENODEV), REFUSE_DEVICE_UNKNOWN);
	REFUSED(link_list(N, l, 1, &n, &E), -ENOSPC);
}

/* --- HTB --------------------------------------------------------------------------------- */

static const struct class_case {
	uint32_t minor, prio, quantum, limit, burst, cburst;
	uint64_t rate, ceil;
	const char *rate_s, *ceil_s;
} classes[] = {
	{ 0x1, 0, 1500, 0, 5000000, 5000000, 40 * GBIT, 40 * GBIT, "40gbit", "40gbit" },
	{ 0x2, 7, 2000, 100000, 16000, 25000, 5 * MBIT, 40 * GBIT, "5mbit", "40gbit" },
	{ 0x100, 1, 1514, 77000, 3200, 6400, 2 * MBIT, 4 * MBIT, "2mbit", "4mbit" },
	{ 0x101, 3, 60000, 1000000, 64000, 64000, 80 * MBIT, 80 * MBIT, "80mbit", "80mbit" },
	/* above 32 bits of bytes per second */
	{ 0x7eff, 0, 200000, 5000000, 12500000, 12500000, 100 * GBIT, 100 * GBIT, "100gbit",
	  "100gbit" },
};

static struct nl_class class_of(const struct class_case *k)
{
	return (struct nl_class){ .minor = k->minor,
				  .rate = { k->rate },
				  .ceil = { k->ceil },
				  .burst = k->burst,
				  .cburst = k->cburst,
				  .prio = k->prio,
				  .quantum = k->quantum,
				  .limit = k->limit };
}

static void tc_tree(void)
{
	sh("tc qdisc add dev va root handle 54: htb default 2");
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		const struct class_case *k = &classes[i];

		sh("tc class add dev va parent 54:%s classid 54:%x htb rate %s ceil %s burst %u "
		   "cburst %u prio %u quantum %u",
		   k->limit ? "1" : "", k->minor, k->rate_s, k->ceil_s, k->burst, k->cburst,
		   k->prio, k->quantum);
		if (k->limit)
			sh("tc qdisc add dev va parent 54:%x handle %x: bfifo limit %u", k->minor,
			   k->minor, k->limit);
	}
}

static void assert_class(const struct nl_class *seen, const struct class_case *k)
{
	struct nl_obj a = { .kind = NL_CLASS, .u.class = *seen };
	struct nl_obj b = { .kind = NL_CLASS, .u.class = class_of(k) };

	if (!nl_obj_same(&a, &b) || seen->minor != k->minor)
		fail_msg("class %x: rate %llu/%llu ceil %llu burst %u/%u cburst %u/%u prio %u "
			 "quantum %u limit %u",
			 seen->minor, (unsigned long long)seen->rate.bps,
			 (unsigned long long)k->rate, (unsigned long long)seen->ceil.bps,
			 seen->burst, k->burst, seen->cburst, k->cburst, seen->prio, seen->quantum,
			 seen->limit);
}

static void assert_classes(void)
{
	struct nl_class c[16];
	size_t n = 0;

	OK(htb_class_list(N, VA, c, NULL, ARRAY_LEN(c), &n, &E));
	assert_int_equal(n, ARRAY_LEN(classes));
	for (size_t i = 0; i < n; i++)
		assert_class(&c[i], &classes[i]);
}

/* Fields of tc's line of a class, e.g. "rate 100Gbit". */
static void assert_says(const char *text, uint32_t minor, const char *field)
{
	char head[32], *line, *end;

	(void)snprintf(head, sizeof(head), "class htb 54:%x ", minor);
	line = strstr(text, head);
	assert_non_null(line);
	end = strchr(line, '\n');
	line = strndup(line, (size_t)(end - line));
	if (!strstr(line, field))
		fail_msg("'%s' is not in: %s", field, line);
	free(line);
}

/* tc counts a burst in whole microseconds: the table's bursts are such. Ours and theirs are not
 * compared as whole lines: tc 6.1 leaves out "linklayer ethernet" for a table that libnl made, and
 * rounds the burst of fast classes. */
static void test_htb_tree(void **st)
{
	struct nl_class c;
	json_t *j;
	char *t;

	(void)st;
	for (int round = 0; round < 2; round++) { /* the second changes nothing */
		OK(qdisc_htb_ensure(N, VA, &E));
		for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
			c = class_of(&classes[i]);
			OK(htb_class_put(N, VA, &c, &E));
		}
		assert_classes();
	}
	t = run("tc -d class show dev va");
	assert_says(t, 0x1, "root ");
	assert_says(t, 0x1, "rate 40Gbit ceil 40Gbit");
	assert_says(t, 0x2, "parent 54:1 leaf 2: prio 7 quantum 2000 rate 5Mbit ceil 40Gbit");
	assert_says(t, 0x100, "leaf 100: prio 1 quantum 1514 rate 2Mbit ceil 4Mbit");
	assert_says(t, 0x100, " burst 3200b");
	assert_says(t, 0x100, " cburst 6400b");
	assert_says(t, 0x101, " burst 64000b");
	assert_says(t, 0x7eff, "leaf 7eff: prio 0 quantum 200000 rate 100Gbit ceil 100Gbit");
	free(t);
	j = js("tc -j qdisc show dev va");
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "handle")),
			    "54:");
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(json_array_get(j, 0), "options"), "default")),
			    "0x2");
	assert_int_equal(json_array_size(j), ARRAY_LEN(classes)); /* root and one leaf for each */
	json_decref(j);
	/* a change in place, and a leaf's new limit */
	c = class_of(&classes[2]);
	c.rate.bps = 3 * MBIT;
	c.limit = 55000;
	OK(htb_class_put(N, VA, &c, &E));
	t = run("tc -d class show dev va; tc qdisc show dev va");
	assert_says(t, 0x100, "rate 3Mbit ceil 4Mbit");
	assert_non_null(strstr(t, "bfifo 100: parent 54:100 limit 55000b"));
	free(t);
	OK(htb_class_del(N, VA, 0x100, &E));
	OK(htb_class_del(N, VA, 0x100, &E)); /* gone already: fine */
	t = run("tc class show dev va");
	assert_null(strstr(t, "54:100 "));
	free(t);
	OK(qdisc_root_del(N, VA, &E));
	OK(qdisc_root_del(N, VA, &E));
}

/* Many at once, read back one by one; a customer's ceiling over two leaves. */
static void test_htb_many(void **st)
{
	struct nl_class c[HTB_MANY], seen[HTB_MANY];
	struct nl_class top =
		htb_class(HTB_CUSTOMER_BASE, (rate_t){ 8 * MBIT }, (rate_t){ 10 * MBIT }, 1500);
	uint32_t minor[HTB_MANY];
	int result[HTB_MANY];
	char *t;

	(void)st;
	OK(htb_ensure(N, VA, (rate_t){ GBIT }, (rate_t){ MBIT }, 1500, &E));
	OK(htb_class_put(N, VA, &top, &E));
	for (uint32_t i = 0; i < HTB_MANY; i++) {
		minor[i] = HTB_LABEL_BASE + i;
		c[i] = htb_class(minor[i], (rate_t){ 8000 * (i + 1) }, (rate_t){ 0 }, 1500);
		c[i].parent = i < 2 ? HTB_CUSTOMER_BASE : 0;
	}
	OK(htb_classes_put(N, VA, c, HTB_MANY - 1, result, &E));
	for (uint32_t i = 0; i < HTB_MANY - 1; i++)
		assert_int_equal(result[i], 0);
	OK(htb_classes_get(N, VA, minor, HTB_MANY, seen, &E));
	for (uint32_t i = 0; i < HTB_MANY - 1; i++) {
		struct nl_obj a = { .kind = NL_CLASS, .u.class = c[i] };
		struct nl_obj b = { .kind = NL_CLASS, .u.class = seen[i] };

		assert_int_equal(seen[i].minor, minor[i]);
		assert_true(nl_obj_same(&a, &b));
	}
	assert_int_equal(seen[HTB_MANY - 1].minor, 0); /* never made */
	t = run("tc class show dev va");
	assert_says(t, 0x8000, "parent 54:1 rate 8Mbit ceil 10Mbit");
	assert_says(t, 0x101, "parent 54:8000 leaf 101:");
	assert_says(t, 0x102, "parent 54:1 leaf 102:");
	free(t);
	sh("tc qdisc replace dev va parent 54:103 handle 77: pfifo limit 99");
	OK(htb_classes_put(N, VA, &c[2], 2, result, &E));
	assert_int_equal(result[0], 0);
	assert_int_equal(result[1], -EEXIST);
	E.code = 0;
	OK(htb_classes_get(N, VA, &minor[2], 2, seen, &E));
	assert_int_equal(seen[1].minor, 0x103);
	assert_int_equal(seen[1].limit, 0); /* a leaf that is not ours */
	OK(qdisc_root_del(N, VA, &E));
}

static void test_htb_reverse(void **st)
{
	(void)st;
	tc_tree();
	assert_classes();
	OK(qdisc_root_del(N, VA, &E));
}

static void test_htb_refusals(void **st)
{
	struct nl_class c = class_of(&classes[2]), bad;
	struct nl_class_stats s[4];
	size_t n;

	(void)st;
	REFUSED(htb_class_put(N, VA, &c, &E), -ENOENT); /* no tree yet */
	OK(htb_ensure(N, VA, (rate_t){ 200 * MBIT }, (rate_t){ 5 * MBIT }, 1500, &E));
	bad = c;
	bad.rate.bps = 2 * MBIT + 1;
	REFUSED(htb_class_put(N, VA, &bad, &E), -EINVAL);
	bad = c;
	bad.limit = 0;
	REFUSED(htb_class_put(N, VA, &bad, &E), -EINVAL);
	bad = c;
	bad.minor = 0x8000;
	REFUSED(htb_class_put(N, VA, &bad, &E), -EINVAL);
	OK(htb_class_put(N, VA, &c, &E));
	/* someone else's leaf under our class is not displaced */
	sh("tc qdisc replace dev va parent 54:100 handle 77: pfifo limit 99");
	REFUSED(htb_class_put(N, VA, &c, &E), -EEXIST);
	REFUSED(htb_class_list(N, VA, &bad, s, 1, &n, &E), -ENOSPC);
	OK(qdisc_root_del(N, VA, &E));
	REFUSED(qdisc_htb_ensure(N, 9999, &E), -ENODEV);
}

static void test_foreign_root(void **st)
{
	static const char *const foreign[] = { "tbf rate 1mbit burst 10kb latency 50ms",
					       "htb default 2", "htb default 5" };
	static const char *const handle[] = { "11:", "12:", "54:" };

	(void)st;
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		enum qdisc_root root = QDISC_ROOT_DEFAULT;
		char *before, *after;

		sh("tc qdisc add dev va root handle %s %s", handle[i], foreign[i]);
		before = world();
		OK(qdisc_root(N, VA, &root, &E));
		assert_int_equal(root, QDISC_ROOT_FOREIGN);
		REFUSED(htb_ensure(N, VA, (rate_t){ GBIT }, (rate_t){ MBIT }, 1500, &E), -EEXIST);
		assert_int_equal(nl_refusal(-EEXIST), REFUSE_FOREIGN_OBJECT);
		OK(qdisc_root_del(N, VA, &E)); /* not ours: untouched */
		after = world();
		assert_string_equal(before, after);
		free(before);
		free(after);
		sh("tc qdisc del dev va root");
	}
}

static void test_clsact(void **st)
{
	struct nl_qdisc q[8];
	bool has = true;
	size_t n;

	(void)st;
	OK(qdisc_has_clsact(N, VA, &has, &E));
	assert_false(has);
	sh("tc qdisc add dev va clsact");
	OK(qdisc_has_clsact(N, VA, &has, &E));
	assert_true(has);
	OK(qdisc_list(N, VA, q, ARRAY_LEN(q), &n, &E));
	assert_int_equal(n, 2);
	OK(htb_ensure(N, VA, (rate_t){ GBIT }, (rate_t){ MBIT }, 1500, &E));
	OK(qdisc_root_del(N, VA, &E));
	OK(qdisc_has_clsact(N, VA, &has, &E));
	assert_true(has);
	sh("tc qdisc del dev va clsact");
}

/* Packets of a class are counted in it, and the class changes while they pass. */
static void test_stats(void **st)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct nl_class c = htb_class(0x105, (rate_t){ 10 * MBIT }, (rate_t){ 0 }, 1500);
	struct nl_class_stats s[4];
	struct nl_class seen[4];
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), prio = 0x540105;
	char data[100] = { 0 };
	size_t n;

	(void)st;
	assert_int_equal(inet_pton(AF_INET6, "fd09::2", &to.sin6_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &prio, sizeof(prio)), 0);
	OK(htb_ensure(N, VA, (rate_t){ GBIT }, (rate_t){ MBIT }, 1500, &E));
	for (uint64_t i = 0; i < 50; i++) {
		c.rate.bps = c.ceil.bps = (10 + i) * MBIT;
		OK(htb_class_put(N, VA, &c, &E));
		assert_int_equal(sendto(fd, data, sizeof(data), 0, (void *)&to, sizeof(to)), 100);
	}
	/* At 10 Mbit/s each frame of 162 bytes leaves at once or within microseconds. */
	for (int i = 0; i < 1000; i++) {
		OK(htb_class_list(N, VA, seen, s, ARRAY_LEN(s), &n, &E));
		assert_int_equal(n, 3);
		if (s[2].packets == 50)
			break;
		(void)usleep(1000);
	}
	assert_int_equal(s[2].minor, 0x105);
	assert_int_equal(s[2].packets, 50);
	assert_int_equal(s[2].bytes, 50 * 162);
	assert_int_equal(s[2].drops + s[2].qlen + s[2].backlog_bytes, 0);
	(void)close(fd);
	OK(qdisc_root_del(N, VA, &E));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),        cmocka_unit_test(test_htb_tree),
		cmocka_unit_test(test_htb_many),     cmocka_unit_test(test_htb_reverse),
		cmocka_unit_test(test_htb_refusals), cmocka_unit_test(test_foreign_root),
		cmocka_unit_test(test_clsact),       cmocka_unit_test(test_stats),
	};
	int r;

	if (!enter_ns())
		return 77;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	N = nl_free(N);
	return r;
}
