/* SPDX-License-Identifier: Apache-2.0 */
/* test_diff.c - the diff's promises on random worlds: it reaches wanted, it does nothing twice,
 * order of input never matters, what is foreign is never named, and the new stands before the old
 * goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "netlink/diff_core.h"

#define MAX  64
#define SEED 0x5097d2bbu

static uint32_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng % n;
}

static struct nl_obj qdisc(uint32_t dev)
{
	return (struct nl_obj){ .kind = NL_QDISC, .ours = true, .ifindex = dev };
}

static struct nl_obj class(uint32_t dev, uint32_t minor, uint64_t mbit)
{
	struct nl_obj o = { .kind = NL_CLASS, .ours = true, .ifindex = dev };

	o.u.class = (struct nl_class){ .minor = minor,
				       .rate = { mbit * 1000000 },
				       .ceil = { mbit * 1000000 },
				       .burst = 10000,
				       .cburst = 10000,
				       .prio = 1,
				       .quantum = 1514,
				       .limit = minor == HTB_ROOT ? 0 : 100 };
	return o;
}

static struct nl_obj route(uint8_t family, uint32_t table, uint8_t net, uint32_t oif)
{
	struct nl_obj o = { .kind = NL_ROUTE, .ours = true };

	o.u.route.table = table;
	o.u.route.dst = (struct nl_ip){ .family = family, .len = 24, .b = { 10, 1, net } };
	o.u.route.oif = oif;
	return o;
}

static struct nl_obj rule(uint8_t family, uint8_t path)
{
	struct nl_obj o = { .kind = NL_RULE, .ours = true };

	o.u.rule = (struct nl_rule){ .family = family,
				     .priority = NL_PATH_PRIO(path),
				     .mark = NL_PATH_MARK(path),
				     .mask = NL_PATH_MASK,
				     .table = NL_PATH_TABLE(path) };
	return o;
}

static void shuffle(struct nl_obj *o, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = rnd((uint32_t)i);
		struct nl_obj t = o[i - 1];

		o[i - 1] = o[j];
		o[j] = t;
	}
}

/* Two devices with trees, a few tables and rules: each object is there with even odds, in one of
 * three values. */
static size_t random_world(struct nl_obj *o)
{
	size_t n = 0;

	for (uint32_t dev = 1; dev <= 2; dev++) {
		if (rnd(4) == 0)
			continue;
		o[n++] = qdisc(dev);
		o[n++] = class(dev, HTB_ROOT, 200);
		for (uint32_t m = 0; m < 6; m++)
			if (rnd(2))
				o[n++] = class(dev, HTB_LABEL_BASE + m, 1 + rnd(3));
	}
	for (uint8_t i = 0; i < 12; i++)
		if (rnd(2))
			o[n++] = route(i % 2 ? NL_V4 : NL_V6, NL_PATH_TABLE(1u + i % 3), i,
				       1 + rnd(3));
	for (uint8_t p = 1; p < 8; p++)
		if (rnd(2))
			o[n++] = rule(p % 2 ? NL_V4 : NL_V6, p);
	shuffle(o, n);
	return n;
}

/* The kernel in little: applies one step, minds dependence, refuses nonsense. */
static void simulate(struct nl_obj *o, size_t *n, const struct nl_step *s)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (!nl_obj_cmp(&o[i], &s->obj) && o[i].ours)
			break;
	if (s->op == NL_DEL) {
		assert_true(i < *n);
		for (size_t k = 0; s->obj.kind == NL_QDISC && k < *n; k++)
			assert_false(o[k].kind == NL_CLASS && o[k].ifindex == s->obj.ifindex);
		o[i] = o[--*n];
		return;
	}
	assert_true(s->op == NL_ADD ? i == *n : i < *n);
	if (s->obj.kind == NL_CLASS) {
		bool tree = false, root = s->obj.u.class.minor == HTB_ROOT;

		for (size_t k = 0; k < *n; k++) {
			tree |= o[k].kind == NL_QDISC && o[k].ifindex == s->obj.ifindex;
			root |= o[k].kind == NL_CLASS && o[k].ifindex == s->obj.ifindex &&
				o[k].u.class.minor == HTB_ROOT;
		}
		assert_true(tree && root);
	}
	if (i == *n)
		assert_true(++*n <= MAX);
	o[i] = s->obj;
}

static void assert_same(const struct nl_obj *a, size_t na, const struct nl_obj *b, size_t nb)
{
	assert_int_equal(na, nb);
	for (size_t i = 0; i < na; i++) {
		assert_int_equal(nl_obj_cmp(&a[i], &b[i]), 0);
		assert_true(nl_obj_same(&a[i], &b[i]));
	}
}

static void assert_order(const struct nl_step *s, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (s[i].op != NL_DEL) /* make before break, dependence first */
			assert_true(s[i - 1].op != NL_DEL &&
				    nl_obj_cmp(&s[i - 1].obj, &s[i].obj) < 0);
		else if (s[i - 1].op == NL_DEL)
			assert_true(nl_obj_cmp(&s[i - 1].obj, &s[i].obj) > 0);
	}
}

static void test_property(void **st)
{
	(void)st;
	rng = SEED;
	for (int round = 0; round < 20000; round++) {
		struct nl_obj want[MAX], seen[MAX], again[MAX];
		struct nl_step step[2 * MAX], other[2 * MAX];
		struct nl_diff_result res, res2;
		size_t nw = random_world(want), ns = random_world(seen), n = ns;

		memcpy(again, seen, ns * sizeof(*seen));
		assert_int_equal(nl_diff(want, nw, seen, ns, step, ARRAY_LEN(step), &res),
				 NL_DIFF_OK);
		assert_order(step, res.n);
		/* another order of input: the very same steps */
		shuffle(want, nw);
		assert_int_equal(nl_diff(want, nw, again, ns, other, ARRAY_LEN(other), &res2),
				 NL_DIFF_OK);
		assert_int_equal(res.n, res2.n);
		for (size_t i = 0; i < res.n; i++)
			assert_true(step[i].op == other[i].op &&
				    !nl_obj_cmp(&step[i].obj, &other[i].obj));
		for (size_t i = 0; i < res.n; i++)
			simulate(seen, &n, &step[i]);
		nl_obj_sort(seen, n);
		assert_same(want, nw, seen, n);
		assert_int_equal(nl_diff(want, nw, seen, n, step, ARRAY_LEN(step), &res),
				 NL_DIFF_OK);
		assert_int_equal(res.n, 0);
	}
}

/* Foreign objects among the seen: never in a step; in the way of a wanted one: no step at all. */
static void test_foreign(void **st)
{
	int blocked = 0;

	(void)st;
	rng = SEED + 1;
	for (int round = 0; round < 20000; round++) {
		struct nl_obj want[MAX], seen[MAX];
		struct nl_step step[2 * MAX];
		struct nl_diff_result res;
		size_t nw = random_world(want), ns = random_world(seen);
		enum nl_diff d;
		bool clash = false;

		for (size_t i = 0; i < ns; i++) {
			seen[i].ours = rnd(8) != 0;
			for (size_t k = 0; k < nw && !seen[i].ours; k++)
				clash |= want[k].kind != NL_RULE && !nl_obj_cmp(&want[k], &seen[i]);
		}
		d = nl_diff(want, nw, seen, ns, step, ARRAY_LEN(step), &res);
		assert_int_equal(d, clash ? NL_DIFF_FOREIGN : NL_DIFF_OK);
		blocked += clash;
		if (clash)
			assert_int_equal(res.n, 0);
		for (size_t i = 0; i < res.n; i++)
			for (size_t k = 0; k < ns; k++)
				if (!seen[k].ours && !nl_obj_cmp(&seen[k], &step[i].obj))
					assert_true(step[i].op == NL_ADD &&
						    seen[k].kind == NL_RULE);
	}
	assert_in_range(blocked, 1000, 19000);
}

static void test_bounds(void **st)
{
	struct nl_obj want[] = { qdisc(1), class(1, HTB_ROOT, 5), class(1, 0x100, 1) };
	struct nl_step step[3], guard = { .op = NL_DEL };
	struct nl_diff_result res;

	(void)st;
	for (size_t cap = 0; cap < 3; cap++) {
		step[cap] = guard;
		assert_int_equal(nl_diff(want, 3, NULL, 0, step, cap, &res), NL_DIFF_FULL);
		assert_int_equal(res.n, 0);
		assert_memory_equal(&step[cap], &guard, sizeof(guard));
	}
	assert_int_equal(nl_diff(want, 3, NULL, 0, step, 3, &res), NL_DIFF_OK);
	assert_int_equal(res.n, 3);
	want[0] = want[2];
	assert_int_equal(nl_diff(want, 3, NULL, 0, step, 3, &res), NL_DIFF_DUPLICATE);
	assert_int_equal(nl_diff(NULL, 0, NULL, 0, step, 0, &res), NL_DIFF_OK);
}

/* Each line breaks one rule of a good object; the answer names the field. */
#define BENT(make, field_set, field)                                                 \
	do {                                                                         \
		struct nl_obj o = make;                                              \
		struct nl_step s_[1];                                                \
		struct nl_diff_result res;                                           \
		assert_null(nl_obj_check(&o));                                       \
		field_set;                                                           \
		assert_int_equal(nl_diff(&o, 1, NULL, 0, s_, 1, &res), NL_DIFF_BAD); \
		assert_non_null(strstr(res.why, field));                             \
	} while (0)

static void test_check_classes(void **st)
{
	(void)st;
	BENT(qdisc(1), o.ifindex = 0, "qdisc.ifindex");
	BENT(class(1, 0x100, 1), o.ifindex = 0, "class.ifindex");
	BENT(class(1, 0x100, 1), o.u.class.minor = 3, "class.minor");
	BENT(class(1, 0x100, 1), o.u.class.minor = 0x7f00, "class.minor");
	BENT(class(1, 0x100, 1), o.u.class.rate.bps = 0, "class.rate");
	BENT(class(1, 0x100, 1), o.u.class.rate.bps = 1000001, "class.rate");
	BENT(class(1, 0x100, 1), o.u.class.rate.bps = UINT64_MAX - 7, "class.rate");
	BENT(class(1, 0x100, 1), o.u.class.ceil.bps = 999992, "class.ceil");
	BENT(class(1, 0x100, 1), o.u.class.burst = 0, "class.burst");
	BENT(class(1, 0x100, 1), o.u.class.cburst = UINT32_MAX, "class.burst");
	BENT(class(1, 0x100, 1), o.u.class.prio = 8, "class.prio");
	BENT(class(1, 0x100, 1), o.u.class.quantum = 999, "class.quantum");
	BENT(class(1, 0x100, 1), o.u.class.limit = 0, "class.limit");
	BENT(class(1, 0x100, 1), o.u.class.limit = HTB_LIMIT_MAX + 1, "class.limit");
	BENT(class(1, HTB_ROOT, 1), o.u.class.limit = 1, "class.limit");
	BENT(qdisc(1), o.kind = NL_KIND_MAX_, "kind");
}

static void test_check_routes(void **st)
{
	(void)st;
	BENT(route(NL_V4, 1, 1, 1), o.u.route.dst.family = 0, "route.dst");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.dst.len = 33, "route.dst");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.dst.b[3] = 1, "route.dst");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.dst.b[15] = 1, "route.dst");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.table = 0, "route.table");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.oif = 0, "route.oif");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.gw = o.u.route.dst, "route.gw");
	BENT(route(NL_V6, 1, 1, 1), o.u.route.gw = ((struct nl_ip){ NL_V4, 32, { 1 } }),
	     "route.gw");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.encap = NL_ENCAP_SEG6, "route.seg");
	BENT(route(NL_V4, 1, 1, 1), o.u.route.encap = 77, "route.encap");
	BENT(route(NL_V6, 1, 1, 1), o.u.route.encap = NL_ENCAP_SEG6LOCAL, "route.dst");
	BENT(rule(NL_V4, 1), o.u.rule.family = 5, "rule.family");
	BENT(rule(NL_V4, 1), o.u.rule.table = 0, "rule.table");
	BENT(rule(NL_V4, 1), o.u.rule.priority = 0, "rule.priority");
	BENT(rule(NL_V4, 1), o.u.rule.mark |= 1, "rule.mark");
	BENT(rule(NL_V4, 1), o.u.rule.src.family = NL_V6, "rule.src");
}

/* What counts as the same: one row per field. */
static void test_same(void **st)
{
	struct nl_obj a = class(1, 0x100, 1), b = a, r = route(NL_V6, 1, 1, 1), s = r;

	(void)st;
	b.u.class.burst += 2; /* the kernel's rounding */
	assert_true(nl_obj_same(&a, &b));
	b.u.class.burst += 100;
	assert_false(nl_obj_same(&a, &b));
	b = a;
	b.u.class.limit++;
	assert_false(nl_obj_same(&a, &b));
	b = a = class(1, HTB_ROOT, 1);
	b.u.class.prio = 7; /* an inner class has none */
	assert_true(nl_obj_same(&a, &b));
	s.u.route.metric = NL_METRIC_V6; /* what 0 means in IPv6 */
	assert_int_equal(nl_obj_cmp(&r, &s), 0);
	r = s = route(NL_V4, 1, 1, 1);
	s.u.route.metric = NL_METRIC_V6;
	assert_true(nl_obj_cmp(&r, &s) < 0);
	s = r;
	s.u.route.encap = r.u.route.encap = NL_ENCAP_SEG6;
	s.u.route.n_seg = r.u.route.n_seg = 2;
	assert_true(nl_obj_same(&r, &s));
	s.u.route.seg[1][15] = 1;
	assert_false(nl_obj_same(&r, &s));
	r.u.route.n_seg = 1;
	assert_false(nl_obj_same(&r, &s));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_property),     cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_bounds),       cmocka_unit_test(test_check_classes),
		cmocka_unit_test(test_check_routes), cmocka_unit_test(test_same),
	};

	print_message("seed %#x\n", SEED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
