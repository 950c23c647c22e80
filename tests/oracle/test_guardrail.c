/* SPDX-License-Identifier: Apache-2.0 */
/* What the enforcer cannot hold it refuses, with a reason, and nothing changes: one row each, over
 * the real kernel. Each row's step comes twice, once as a question (dry) and once in earnest. */
#include "enforcer_rig.h"

#define GBIT (1000 * MBIT)

/* A configuration, and the steps that fill it up to the row's edge. */
enum stage {
	AS_IT_IS,
	TWO_RULES,   /* room for two, and there they are */
	FAST_DEVICE, /* acc0 has more than its link */
	POLICED,     /* by a back end without customers */
	HALF_SOLD,   /* 190 of 200 Mbit/s */
	STAGES
};

static const struct {
	enum stage stage;
	struct step step;
	enum refusal refusal;
	const char *why; /* every word of it is in the answer */
} row[] = {
#define LABEL(n, ...)                                                                           \
	{                                                                                       \
		.kind = STEP_LABEL_SET, .label = (n), .rate = { MBIT }, .dscp = 34, __VA_ARGS__ \
	}
#define CLASS(dev, m, ...)                                                                        \
	{                                                                                         \
		.kind = STEP_CLASS_SET, .label = 21, .device = { dev }, .minor = (m), __VA_ARGS__ \
	}
	/* label out of range: of the configuration, of the table, of the wire */
	{ AS_IT_IS, LABEL(9, .prio = 0), REFUSE_LABEL_RANGE, "9 10..50" },
	{ AS_IT_IS, LABEL(51, .prio = 0), REFUSE_LABEL_RANGE, "51 10..50" },
	{ AS_IT_IS, LABEL(0x100000, .prio = 0), REFUSE_LABEL_RANGE, "1048576 10..50" },
	{ AS_IT_IS,
	  { .kind = STEP_STEER, .label = 51, .path = 7 },
	  REFUSE_LABEL_RANGE,
	  "51 10..50" },
	{ AS_IT_IS,
	  { .kind = STEP_RULE_SET, .rule = { .id = 1, .label = 51, .dscp = 255 } },
	  REFUSE_LABEL_RANGE,
	  "51 10..50" },
	/* unknown interface */
	{ AS_IT_IS, LABEL(21, .in_up = { "eth9" }), REFUSE_DEVICE_UNKNOWN, "eth9" },
	{ AS_IT_IS, LABEL(21, .in_down = { "acc1" }), REFUSE_DEVICE_UNKNOWN, "acc1" },
	{ AS_IT_IS, CLASS("eth9", 0x110, .rate = { MBIT }), REFUSE_DEVICE_UNKNOWN, "eth9" },
	{ AS_IT_IS,
	  { .kind = STEP_STEER, .label = 21, .path = 8 },
	  REFUSE_DEVICE_UNKNOWN,
	  "path 8" },
	/* rate above the interface: alone, its ceiling, with others, and what the link itself has
	 */
	{ AS_IT_IS, CLASS("acc0", 0x110, .rate = { 201 * MBIT }), REFUSE_RATE_ABOVE_DEVICE,
	  "201000000 200000000 10000000000" },
	{ AS_IT_IS, CLASS("acc0", 0x110, .rate = { MBIT }, .ceil = { 202 * MBIT }),
	  REFUSE_RATE_ABOVE_DEVICE, "202000000 200000000" },
	{ AS_IT_IS, CLASS("lan0", 0x110, .rate = { MBIT }), REFUSE_RATE_ABOVE_DEVICE,
	  "lan0 no rate" },
	{ HALF_SOLD, CLASS("acc0", 0x111, .rate = { 11 * MBIT }), REFUSE_RATE_ABOVE_DEVICE,
	  "201000000 all 200000000" },
	{ FAST_DEVICE, CLASS("acc0", 0x110, .rate = { 11 * GBIT }), REFUSE_RATE_ABOVE_DEVICE,
	  "11000000000 20000000000 link 10000000000" },
	/* map full */
	{ TWO_RULES,
	  { .kind = STEP_RULE_SET, .rule = { .id = 99, .label = 21, .dscp = 255 } },
	  REFUSE_MAP_FULL,
	  "rules: 3 2" },
	/* kernel, or what was chosen of it, without the feature */
	{ POLICED, CLASS("acc0", 0x8001, .rate = { MBIT }), REFUSE_KERNEL_UNSUPPORTED,
	  "acc0 policer customers" },
	/* what no field can mean */
	{ AS_IT_IS, LABEL(21, .burst_ms = 4001), REFUSE_BODY_MALFORMED, "burst_ms 4000" },
	{ AS_IT_IS, LABEL(21, .minor = 0xff), REFUSE_BODY_MALFORMED, "minor 0x100" },
	{ AS_IT_IS, LABEL(21, .src_up_len = 33, .src_family = 4), REFUSE_BODY_MALFORMED, "/32" },
	{ AS_IT_IS, CLASS("acc0", 0xff, .rate = { MBIT }), REFUSE_BODY_MALFORMED, "minor" },
	{ AS_IT_IS, CLASS("acc0", 0x110, .rate = { MBIT }, .prio = 8), REFUSE_BODY_MALFORMED,
	  "prio" },
	{ AS_IT_IS,
	  { .kind = STEP_CEILING_SET, .ceiling = DP_CEILINGS, .rate = { MBIT } },
	  REFUSE_BODY_MALFORMED,
	  "ceiling 4095" },
	{ AS_IT_IS,
	  { .kind = STEP_PROBE, .path = 7 },
	  REFUSE_BODY_MALFORMED,
	  "not for the kernel" },
};

static struct enforcer_tables tables(void)
{
	struct enforcer_tables t = { 0 };
	struct err e = { 0 };

	if (enforcer_tables(&rig.c, &t, &e))
		fail_msg("%s", e.text);
	return t;
}

static uint64_t failures(const struct enforcer_tables *t)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += t->table[i].failed;
	return n;
}

static void stage_up(enum stage s)
{
	struct step fill[] = { rule_step(1, 21), rule_step(2, 22) };
	struct step sold = class_step(21, 0x110, 190 * MBIT);

	configure();
	rig.cfg.node.max_rules = s == TWO_RULES ? 2 : 0;
	if (s == FAST_DEVICE)
		rig.cfg.device[1].rate.bps = 20 * GBIT;
	if (s == POLICED)
		rig.cfg.device[1].shaper = SHAPER_POLICER;
	enforcer_up();
	fill[1].rule.dport_lo = 9;
	for (size_t i = 0; s == TWO_RULES && i < ARRAY_LEN(fill); i++)
		done(&fill[i], 1);
	if (s == HALF_SOLD)
		done(&sold, 1);
}

static void has_words(size_t i, const char *why)
{
	char words[80], *at = words, *word;

	str_cut(words, row[i].why);
	while ((word = strsep(&at, " ")))
		if (!strstr(why, word))
			fail_msg("row %zu: \"%s\" lacks \"%s\"", i, why, word);
}

static void refused(size_t i)
{
	bool full = row[i].refusal == REFUSE_MAP_FULL;
	struct enforcer_tables was = tables(), now;
	struct step s = row[i].step;
	struct enforcer_receipt p = { 0 };
	char *before = host(), *after;
	struct err e = { 0 };

	if (s.kind == STEP_LABEL_SET)
		s.valid_until = in_an_hour();
	for (int dry = 1; dry >= 0; dry--) {
		if (dry && enforcer_steps_check(&rig.c, &s, 1, &p, &e))
			fail_msg("row %zu: %s", i, e.text);
		if (dry && full) /* of some tables only who writes finds out; it counts nothing */
			continue;
		if (!dry)
			p = take(&s);
		if (p.refusal != row[i].refusal || p.changed)
			fail_msg("row %zu: %s: %s", i, refusal_name((enum refusal)p.refusal),
				 p.why.s);
		has_words(i, p.why.s);
	}
	after = host();
	same(before, after, p.why.s);
	now = tables();
	assert_int_equal(failures(&now) - failures(&was), full);
	/* What the host itself sends (neighbours, multicast) fills the flow cache at any time. */
	for (uint32_t k = 0; k < now.n; k++)
		if (now.table[k].table != TABLE_FLOWS)
			assert_int_equal(now.table[k].used, was.table[k].used);
	free(before);
	free(after);
}

static void test_rows(void **st)
{
	size_t seen = 0;

	(void)st;
	for (int s = 0; s < STAGES; s++) {
		stage_up((enum stage)s);
		for (size_t i = 0; i < ARRAY_LEN(row); i++)
			if ((int)row[i].stage == s) {
				refused(i);
				seen++;
			}
		assert_int_equal(enforcer_down(), 0);
	}
	assert_int_equal(seen, ARRAY_LEN(row));
}

/* 65,536 prefixes: two of each of 32,768 labels. The next label is refused, one without a prefix
 * is not, nor is a change of one that has them; a removal makes room. */
static void test_sources(void **st)
{
	static struct step s[ENFORCER_BATCH_MAX];
	struct enforcer_receipt p[ENFORCER_BATCH_MAX];
	struct step last, plain;
	struct err e = { 0 };
	uint32_t next = 10;

	(void)st;
	rig.cfg.node.max_labels = 40000;
	rig.cfg.node.labels = (struct cfg_range){ 10, 39999 };
	enforcer_up();
	for (uint32_t left = DP_BINDS / 2, n; left; left -= n) {
		n = left < ENFORCER_BATCH_MAX ? left : ENFORCER_BATCH_MAX;
		for (uint32_t i = 0; i < n; i++) {
			s[i] = label_step(next++);
			s[i].src_family = 6;
			s[i].src_up_len = s[i].src_down_len = 64;
			s[i].src_up[0] = s[i].src_down[0] = 0xfd;
		}
		memset(p, 0, sizeof(p));
		assert_int_equal(enforcer_steps(&rig.c, s, n, p, &e), 0);
		for (uint32_t i = 0; i < n; i++)
			if (p[i].refusal)
				fail_msg("%u: %s", s[i].label, p[i].why.s);
	}
	last = s[0];
	last.label = next;
	p[0] = take(&last);
	assert_int_equal(p[0].refusal, REFUSE_MAP_FULL);
	assert_non_null(strstr(p[0].why.s, "65536"));
	assert_int_equal(tables().table[1].used, DP_BINDS);
	assert_int_equal(tables().table[1].failed, 1);
	plain = label_step(next);
	done(&plain, 1);
	s[0].src_up[1] = 1;
	done(&s[0], 1);
	s[0].kind = STEP_LABEL_DEL;
	done(&s[0], 1);
	done(&last, 1);
	assert_int_equal(enforcer_down(), 0);
}

/* The host is as it was before the start, to the last pin. */
static void start_refused(int code)
{
	char *before = host(), *after;

	enforcer_up();
	assert_int_equal(enforcer_down(), code);
	after = host();
	same(before, after, "a refused start");
	free(before);
	free(after);
}

/* A start that cannot hold its configuration takes back what it made; one over a data plane that
 * was there before leaves that alone. */
static void test_starts(void **st)
{
	char *before, *after;

	(void)st;
	sh("tc qdisc add dev acc0 root handle 1: tbf rate 1mbit burst 10kb latency 50ms");
	start_refused(EEXIST);
	sh("tc qdisc del dev acc0 root");
	if (system("tc qdisc add dev lan1 root fq 2>/dev/null")) { /* a kernel without */
		rig.cfg.device[1].shaper = SHAPER_EDT;
		start_refused(EOPNOTSUPP);
		rig.cfg.device[1].shaper = SHAPER_HTB;
	} else {
		sh("tc qdisc del dev lan1 root");
	}
	before = host();
	enforcer_up();
	enforcer_kill();
	sh("tc qdisc del dev acc0 root");
	sh("tc qdisc add dev acc0 root handle 1: tbf rate 1mbit burst 10kb latency 50ms");
	start_refused(EEXIST);
	sh("tc qdisc del dev acc0 root");
	enforcer_up();
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "removed after all");
	free(before);
	free(after);
}

/* The speed may fall, or be unknown. */
static void test_link_speed(void **st)
{
	struct enforcer_shaper sh = { 0 };
	struct step c = class_step(21, 0x110, 20 * GBIT);
	struct err e = { 0 };

	(void)st;
	sh("ip tuntap add tap9 mode tap && ip link set tap9 up");
	rig.cfg.device[1].rate.bps = 20 * GBIT;
	device_add("tap9", DEVICE_NETWORK, 20 * GBIT, 1);
	enforcer_up();
	assert_int_equal(enforcer_shaper(&rig.c, &sh, &e), 0);
	assert_int_equal(sh.n, 2);
	assert_int_equal(sh.dev[0].link.bps, 10 * GBIT);
	assert_int_equal(sh.dev[1].link.bps, 0); /* a TAP has no wire: the configured rate alone */
	assert_int_equal(take(&c).refusal, REFUSE_RATE_ABOVE_DEVICE);
	c.device = (name_t){ "tap9" };
	done(&c, 1);
	assert_int_equal(enforcer_down(), 0);
	sh("ip link del tap9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(test_rows),
		staged(test_sources),
		staged(test_starts),
		staged(test_link_speed),
	};

	return rig_run(tests);
}
