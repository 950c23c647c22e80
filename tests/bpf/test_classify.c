/* SPDX-License-Identifier: Apache-2.0 */
/* test_classify.c - random rules and packets against a plain reference classifier, and the rule
 * and label tables' guardrails. The reference works on what was built, never on bytes. */
#include "pkt.h"

#define SETS    60
#define PACKETS 250
#define RULES   4096 /* room in the table that the tests open */

static uint64_t seed = 20261123;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* Of later fragments the first one never came: they show no ports. */
enum frag { WHOLE, FIRST, LATER };

/* What a packet is, by construction. */
struct spec {
	int family, vlans, ext;
	enum frag frag;
	uint8_t addr[2][16]; /* source, destination; IPv4 in the first four bytes */
	uint8_t proto, dscp;
	uint16_t sport, dport;
	uint32_t label; /* of IPv6 */
};

/* Few labels come; 0x777 is in no rule. */
static const uint32_t labels[] = { 0, 1, 0x777, 0x80001, 0xfffff };
static const uint8_t protos[] = { 6, 17, 1, 58, 132, 50 };

/* Few values, so that rules often match. */
static void addr_make(uint8_t a[16], int family)
{
	memset(a, 0, 16);
	a[0] = family == 4 ? 10 : 0xfd;
	a[1] = (uint8_t)rnd(3);
	a[2] = (uint8_t)rnd(2);
	a[family == 4 ? 3 : 15] = (uint8_t)rnd(4);
}

static bool has_ports(const struct spec *s)
{
	return s->frag != LATER && (s->proto == 6 || s->proto == 17 || s->proto == 132);
}

static struct spec spec_make(void)
{
	struct spec s = { .family = rnd(2) ? 4 : 6,
			  .vlans = rnd(16) ? (int)rnd(3) : 3,
			  .ext = (int)rnd(3),
			  .frag = rnd(4)   ? WHOLE
				  : rnd(2) ? FIRST
					   : LATER,
			  .proto = protos[rnd(ARRAY_LEN(protos))],
			  .dscp = (uint8_t)(rnd(4) * 8),
			  .sport = (uint16_t)rnd(10),
			  .dport = (uint16_t)(7000 + rnd(10)),
			  .label = labels[rnd(ARRAY_LEN(labels))] };

	addr_make(s.addr[0], s.family);
	addr_make(s.addr[1], s.family);
	return s;
}

static void v6_chain(const struct spec *s, struct pkt *p, const char *src, const char *dst)
{
	uint8_t last = s->frag ? 44 : s->proto;

	v6(p, (uint8_t)(s->dscp << 2), s->label, s->ext ? 60 : last, src, dst);
	for (int i = 0; i < s->ext; i++) {
		put16(p, (uint16_t)((i + 1 < s->ext ? 60 : last) << 8));
		zeros(p, 6);
	}
	if (!s->frag)
		return;
	put16(p, (uint16_t)(s->proto << 8));
	put16(p, s->frag == FIRST ? 1 : 0x0100);
	put32(p, s->frag); /* the datagram's number */
}

static void spec_build(const struct spec *s, struct pkt *p)
{
	static const uint16_t v4_frag[] = { 0x4000, 0x2000, 0x0020 };
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	int af = s->family == 4 ? AF_INET : AF_INET6;

	assert_non_null(inet_ntop(af, s->addr[0], src, sizeof(src)));
	assert_non_null(inet_ntop(af, s->addr[1], dst, sizeof(dst)));
	eth(p, s->vlans, s->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	if (s->family == 4) {
		v4(p, (uint8_t)(s->dscp << 2), s->proto, src, dst, (size_t)s->ext * 4,
		   v4_frag[s->frag]);
		p->b[p->l3 + 5] = (uint8_t)s->frag;
	} else {
		v6_chain(s, p, src, dst);
	}
	put16(p, s->sport);
	put16(p, s->dport);
	zeros(p, 20);
	finish(p);
}

static void prefix_make(struct dp_prefix *x, int family)
{
	static const uint8_t len4[] = { 0, 8, 15, 16, 24, 31, 32 };
	static const uint8_t len6[] = { 0, 8, 15, 24, 64, 127, 128 };

	memset(x, 0, sizeof(*x));
	if (!family)
		return;
	addr_make(x->addr, family);
	x->len = family == 4 ? len4[rnd(7)] : len6[rnd(7)];
	for (unsigned int i = x->len; i < 128; i++)
		x->addr[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static struct dp_rule rule_make(uint32_t id, bool asking)
{
	static const uint8_t families[] = { 0, 4, 4, 6, 6 };
	struct dp_rule r = { .id = id,
			     .prio = rnd(20),
			     .family = families[rnd(5)],
			     .proto = rnd(2) ? 0 : protos[rnd(ARRAY_LEN(protos))],
			     .dscp = rnd(3) ? DP_DSCP_ANY : (uint8_t)(rnd(4) * 8),
			     .label = rnd(5) ? 1 + rnd(60) : 0,
			     .class_id = (uint16_t)rnd(200) };

	prefix_make(&r.src, r.family);
	prefix_make(&r.dst, r.family);
	if (asking && r.family != 4 && !rnd(3))
		r.label_in = labels[rnd(2) ? 1 : 3 + rnd(2)];
	if (rnd(2)) {
		r.sport_min = (uint16_t)rnd(6);
		r.sport_max = (uint16_t)(r.sport_min + rnd(6));
	}
	if (rnd(2)) {
		r.dport_min = (uint16_t)(7000 + rnd(8));
		r.dport_max = (uint16_t)(r.dport_min + rnd(6));
	}
	return r;
}

static bool prefix_has(const struct dp_prefix *x, const uint8_t a[16])
{
	for (unsigned int i = 0; i < x->len; i++)
		if ((x->addr[i / 8] ^ a[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

static bool any_ports(uint16_t min, uint16_t max)
{
	return !min && (!max || max == 0xffff);
}

static bool ref_match(const struct dp_rule *r, const struct spec *s)
{
	if (r->family && r->family != s->family)
		return false;
	if (r->proto && r->proto != s->proto)
		return false;
	if (r->dscp != DP_DSCP_ANY && r->dscp != s->dscp)
		return false;
	if (r->label_in && (s->family != 6 || r->label_in != s->label))
		return false;
	if (!prefix_has(&r->src, s->addr[0]) || !prefix_has(&r->dst, s->addr[1]))
		return false;
	if (!any_ports(r->sport_min, r->sport_max) &&
	    (!has_ports(s) || s->sport < r->sport_min || s->sport > r->sport_max))
		return false;
	return any_ports(r->dport_min, r->dport_max) ||
	       (has_ports(s) && s->dport >= r->dport_min && s->dport <= r->dport_max);
}

/* The matching rule of lowest (prio, id). */
static const struct dp_rule *ref_classify(const struct dp_rule *r, size_t n, const struct spec *s)
{
	const struct dp_rule *best = NULL;

	for (size_t i = 0; i < n && s->vlans < 3; i++) /* no more tags are looked behind */
		if (ref_match(&r[i], s) && (!best || r[i].prio < best->prio ||
					    (r[i].prio == best->prio && r[i].id < best->id)))
			best = &r[i];
	return best;
}

static struct dp *open_with_labels(void)
{
	struct dp *d = offline_open(64);

	for (uint32_t l = 1; l < 64; l++)
		label_set(d, &(struct dp_label){ .label = l,
						 .dscp = l % 3 ? (uint8_t)l : DP_DSCP_ANY,
						 .valid_until = { INT64_MAX } });
	return d;
}

/* The cache answers now, for many on the quick way: all that is written and counted is the same. */
static void same_again(struct dp *d, int edge, const struct pkt *p, const struct ran *first,
		       const struct dp_count *before, const struct dp_count *after)
{
	struct ran again = run_in(edge, p, 1);
	struct dp_count c;

	(void)dp_counters_get(d, again.mark, DP_UP, &c);
	assert_int_equal(again.mark, first->mark);
	assert_int_equal(again.ret, first->ret);
	assert_int_equal(again.out.n, first->out.n);
	assert_memory_equal(again.out.b, first->out.b, first->out.n);
	assert_int_equal(c.rx_packets - after->rx_packets, after->rx_packets - before->rx_packets);
	assert_int_equal(c.rx_bytes - after->rx_bytes, after->rx_bytes - before->rx_bytes);
}

static void random_rules_and_packets(void **state)
{
	struct dp *d = open_with_labels();
	int edge = dp_prog_fd(d, DP_PROG_EDGE_IN), labelled = 0;
	static struct dp_rule r[RULES];

	(void)state;
	print_message("  seed %llu\n", (unsigned long long)seed);
	for (int set = 0; set < SETS; set++) {
		size_t n = set ? 1 + rnd(set % 3 ? 20 : 1000) : RULES;

		for (size_t i = 0; i < n; i++)
			r[i] = rule_make(RULES - (uint32_t)i, set % 4 != 1);
		rules_set(d, r, n);
		for (int i = 0; i < PACKETS; i++) {
			struct spec s = spec_make();
			const struct dp_rule *want = ref_classify(r, n, &s);
			struct dp_count before, after;
			struct pkt p;
			struct ran out;

			spec_build(&s, &p);
			(void)dp_counters_get(d, want ? want->label : 0, DP_UP, &before);
			out = run_in(edge, &p, 1);
			if (out.mark != (want ? want->label : 0))
				print_error("set %d packet %d: mark %#x, rule %u\n", set, i,
					    out.mark, want ? want->id : 0);
			assert_int_equal(out.mark, want ? want->label : 0);
			(void)dp_counters_get(d, out.mark, DP_UP, &after);
			same_again(d, edge, &p, &out, &before, &after);
			labelled += out.mark != 0;
		}
	}
	print_message("  %d packets, %d labelled\n", SETS * PACKETS, labelled);
	assert_in_range(labelled, SETS * PACKETS / 10, SETS * PACKETS * 9 / 10);
	d = dp_close(d);
}

/* What was set is read back, in match order. */
static void rules_round_trip(void **state)
{
	static struct dp_rule a[RULES], b[RULES];
	struct dp *d = offline_open(64);

	(void)state;
	for (uint32_t i = 0; i < RULES; i++) {
		a[i] = rule_make(i + 1, true);
		a[i].prio = i;
		if (any_ports(a[i].sport_min, a[i].sport_max))
			a[i].sport_max = 0;
	}
	rules_set(d, a, RULES);
	assert_int_equal(dp_rules_get(d, b, RULES), RULES);
	for (int i = 0; i < RULES; i++)
		assert_memory_equal(&a[i], &b[i], sizeof(a[i]));
	d = dp_close(d);
}

static const struct {
	const char *what;
	struct dp_rule r;
	enum refusal no;
} bad_rules[] = {
	{ "id", { .id = 0, .dscp = 0xff }, REFUSE_BODY_MALFORMED },
	{ "family", { .id = 1, .family = 5, .dscp = 0xff }, REFUSE_BODY_MALFORMED },
	{ "dscp", { .id = 1, .dscp = 64 }, REFUSE_BODY_MALFORMED },
	{ "ports",
	  { .id = 1, .dscp = 0xff, .dport_min = 9, .dport_max = 8 },
	  REFUSE_BODY_MALFORMED },
	{ "prefix length",
	  { .id = 1, .family = 4, .dscp = 0xff, .src = { .len = 33 } },
	  REFUSE_BODY_MALFORMED },
	{ "prefix without family",
	  { .id = 1, .dscp = 0xff, .dst = { .len = 1 } },
	  REFUSE_BODY_MALFORMED },
	{ "host bits",
	  { .id = 1, .family = 4, .dscp = 0xff, .src = { { 10, 1 }, 8 } },
	  REFUSE_BODY_MALFORMED },
	{ "class", { .id = 1, .dscp = 0xff, .class_id = DP_CLASSES }, REFUSE_BODY_MALFORMED },
	{ "label", { .id = 1, .dscp = 0xff, .label = 64 }, REFUSE_LABEL_RANGE },
	{ "incoming label",
	  { .id = 1, .dscp = 0xff, .label_in = DP_LABEL_MAX + 1 },
	  REFUSE_LABEL_RANGE },
	{ "incoming label of IPv4",
	  { .id = 1, .family = 4, .dscp = 0xff, .label_in = 1 },
	  REFUSE_BODY_MALFORMED },
};

static void bad_rules_change_nothing(void **state)
{
	const struct dp_rule good = { .id = 9, .dscp = 0xff, .label = 3 };
	struct dp_rule two[2] = { good, good }, got;
	static struct dp_rule many[RULES + 1];
	struct dp *d = offline_open(64);
	enum refusal no;

	(void)state;
	rules_set(d, &good, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad_rules); i++) {
		struct err e = { 0 };

		no = REFUSE_NONE;
		assert_int_equal(dp_rule_put(d, &bad_rules[i].r, &no, &e), DP_REFUSED);
		assert_int_equal(no, bad_rules[i].no);
		assert_true(e.text[0]);
	}
	assert_int_equal(dp_rules_set(d, two, 2, &no, NULL), DP_REFUSED);
	assert_int_equal(no, REFUSE_DUPLICATE);
	assert_int_equal(dp_rules_set(d, many, RULES + 1, &no, NULL), DP_REFUSED);
	assert_int_equal(no, REFUSE_MAP_FULL);
	assert_int_equal(dp_rules_get(d, &got, 1), 1);
	assert_memory_equal(&got, &good, sizeof(good));
	d = dp_close(d);
}

/* Edits in their order by one table, or none; what each did is answered. */
static void rules_edited(void **state)
{
	const struct dp_rule a = { .id = 80, .prio = 1, .dscp = DP_DSCP_ANY, .label = 3 };
	struct dp_rule b = a, bad = a, seen;
	struct dp_rule_edit ed[5] = { 0 };
	enum refusal no = REFUSE_NONE;
	struct err e = { 0 };
	struct dp *d = offline_open(64);

	(void)state;
	b.id = 81;
	b.prio = 2;
	bad.id = 82;
	bad.label = UINT32_MAX;
	ed[0].rule = ed[2].rule = a;
	ed[1].rule = ed[3].rule = b;
	ed[3].del = true;
	ed[4].rule.id = 4711;
	ed[4].del = true;
	assert_int_equal(dp_rules_edit(d, ed, 5, true, &no, &e), 0);
	assert_int_equal(dp_rules_get(d, &seen, 0), 0);
	assert_int_equal(dp_rules_edit(d, ed, 5, false, &no, &e), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ed[i].changed, i == 0 || i == 1 || i == 3);
		assert_int_equal(ed[i].had, i == 2 || i == 3);
	}
	assert_int_equal(dp_rules_get(d, &seen, 1), 1);
	assert_int_equal(seen.id, 80);
	assert_int_equal(dp_rule_get(d, 81, &seen), -ENOENT);
	ed[0].del = true;
	ed[1].rule = bad;
	assert_int_equal(dp_rules_edit(d, ed, 2, false, &no, &e), DP_REFUSED);
	assert_int_equal(no, REFUSE_LABEL_RANGE);
	assert_int_equal(dp_rule_get(d, 80, &seen), 0);
	d = dp_close(d);
}

/* A table by id, 0 = none, with what each edit would answer. */
#define SHADOW 24
struct shadow {
	struct dp_rule rule[SHADOW];
};

static void shadow_edit(struct shadow *t, struct dp_rule_edit *ed, bool *had, bool *changed)
{
	struct dp_rule *r = &t->rule[ed->rule.id - 1];

	*had = r->id;
	*changed = ed->del ? r->id : !r->id || memcmp(r, &ed->rule, sizeof(*r)) != 0;
	if (ed->del)
		r->id = 0;
	else
		*r = ed->rule;
}

/* In match order: by priority, then by id. */
static void shadow_same(struct dp *d, const struct shadow *t)
{
	struct dp_rule got[SHADOW + 1];
	size_t n = dp_rules_get(d, got, SHADOW + 1), at = 0;

	for (unsigned prio = 0; prio < 3; prio++)
		for (unsigned i = 0; i < SHADOW; i++)
			if (t->rule[i].id && t->rule[i].prio == prio) {
				assert_true(at < n);
				assert_memory_equal(&got[at], &t->rule[i], sizeof(got[at]));
				at++;
			}
	assert_int_equal(at, n);
}

/* Flights of edits, some of them of one rule several times, leave what they would one by one. */
static void flights_leave_what_single_edits_would(void **state)
{
	static struct shadow t;
	struct dp *d = offline_open(64);
	uint32_t dice = 1;
	struct err e = { 0 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct dp_rule_edit ed[7] = { 0 }, dry[7];
		bool had[7], changed[7];
		size_t n = 1 + (unsigned)round % 7;

		for (size_t i = 0; i < n; i++) {
			dice = dice * 1664525u + 1013904223u;
			ed[i].del = dice >> 28 < 5;
			ed[i].rule = (struct dp_rule){ .id = 1 + (dice >> 8) % SHADOW,
						       .prio = (uint16_t)((dice >> 16) % 3),
						       .dscp = DP_DSCP_ANY,
						       .label = 1 + (dice >> 20) % 2 };
			dry[i] = ed[i];
			shadow_edit(&t, &ed[i], &had[i], &changed[i]);
		}
		assert_int_equal(dp_rules_edit(d, dry, n, true, NULL, &e), 0);
		assert_int_equal(dp_rules_edit(d, ed, n, false, NULL, &e), 0);
		for (size_t i = 0; i < n; i++) {
			assert_true(ed[i].had == had[i] && ed[i].changed == changed[i]);
			assert_true(dry[i].had == had[i] && dry[i].changed == changed[i]);
		}
		shadow_same(d, &t);
	}
	d = dp_close(d);
}

static const struct {
	const char *what;
	struct dp_label l;
	enum refusal no;
} bad_labels[] = {
	{ "zero", { .label = 0 }, REFUSE_LABEL_RANGE },
	{ "above the table", { .label = 64 }, REFUSE_LABEL_RANGE },
	{ "21 bits", { .label = 0x100001 }, REFUSE_LABEL_RANGE },
	{ "dscp", { .label = 1, .dscp = 64 }, REFUSE_BODY_MALFORMED },
	{ "dscp_over", { .label = 1, .dscp_over = 64 }, REFUSE_BODY_MALFORMED },
	{ "over", { .label = 1, .over = 3 }, REFUSE_BODY_MALFORMED },
	{ "valid_until", { .label = 1, .valid_until = { -1 } }, REFUSE_BODY_MALFORMED },
	{ "rate", { .label = 1, .dir = { { .rate = { 999 } } } }, REFUSE_BODY_MALFORMED },
	{ "rate", { .label = 1, .dir = { { .rate = { 400000000001 } } } }, REFUSE_BODY_MALFORMED },
	{ "excess", { .label = 1, .dir = { { .excess = { 1000 } } } }, REFUSE_BODY_MALFORMED },
	{ "eburst", { .label = 1, .dir = { { .eburst_us = 4000001 } } }, REFUSE_BODY_MALFORMED },
	{ "ceiling", { .label = 1, .ceiling = 9 }, REFUSE_BODY_MALFORMED },
	{ "source family",
	  { .label = 1, .dir = { { .src = { { 10 }, 8 } } } },
	  REFUSE_BODY_MALFORMED },
	{ "source length",
	  { .label = 1, .dir = { { .src = { { 10 }, 33 }, .src_family = 4 } } },
	  REFUSE_BODY_MALFORMED },
	{ "source host bits",
	  { .label = 1, .dir = { { .src = { { 10, 1 }, 8 }, .src_family = 4 } } },
	  REFUSE_BODY_MALFORMED },
	{ "burst", { .label = 1, .dir = { { 0 }, { .burst_us = 999 } } }, REFUSE_BODY_MALFORMED },
};

static void bad_labels_change_nothing(void **state)
{
	struct dp *d = offline_open(64);
	uint32_t path;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_labels); i++) {
		enum refusal no = REFUSE_NONE;
		struct err e = { 0 };

		assert_int_equal(dp_label_set(d, &bad_labels[i].l, &no, &e), DP_REFUSED);
		assert_int_equal(no, bad_labels[i].no);
		assert_true(e.text[0]);
	}
	assert_int_equal(dp_label_next(d, 0), 0);
	assert_int_equal(dp_steer_set(d, 64, DP_UP, 1, NULL, NULL), DP_REFUSED);
	assert_int_equal(dp_steer_set(d, 1, DP_UP, 256, NULL, NULL), DP_REFUSED);
	assert_int_equal(dp_steer_get(d, 1, DP_UP, &path), 0);
	assert_int_equal(path, 0);
	d = dp_close(d);
}

/* Rates come back exactly, whatever the line's rounding; iteration is in order. */
static void labels_round_trip(void **state)
{
	static const uint64_t rates[] = {
		1000, 12345, 20000000, 99999999, 1234567891, 399999999999
	};
	struct dp *d = offline_open(64);
	struct dp_label l, got;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(rates); i++) {
		memset(&l, 0, sizeof(l));
		l.label = 60 - 7 * i;
		l.valid_until.us = i ? 1000000007 * (int64_t)i : INT64_MAX;
		l.class_minor = (uint16_t)(0x100 + i);
		l.dscp = (uint8_t)i;
		l.over = i % 3;
		l.police_node = i & 1;
		l.dir[0] = (struct dp_profile){ .bind_ifindex = 3,
						.rate = { rates[i] },
						.burst_us = 250000 };
		l.dir[1] = (struct dp_profile){ .rate = { rates[5 - i] },
						.excess = { rates[i] },
						.burst_us = 4000000,
						.eburst_us = 1000 * (i + 1),
						.src = { { 10, (uint8_t)i }, 16 },
						.src_family = 4 };
		label_set(d, &l);
		memset(&got, 0, sizeof(got));
		assert_int_equal(dp_label_get(d, l.label, &got), 0);
		assert_memory_equal(&got, &l, sizeof(l));
	}
	for (uint32_t i = 0, at = 0; i < ARRAY_LEN(rates); i++) {
		at = dp_label_next(d, at);
		assert_int_equal(at, 25 + 7 * i);
	}
	assert_int_equal(dp_label_next(d, 60), 0);
	assert_int_equal(dp_label_get(d, 59, &got), -ENOENT);
	assert_int_equal(dp_label_del(d, 60, NULL, NULL), 0);
	assert_int_equal(dp_label_del(d, 60, NULL, NULL), 0);
	assert_int_equal(dp_label_get(d, 60, &got), -ENOENT);
	d = dp_close(d);
}

/* A label given to somebody else starts from 0; the raw counters never go back. */
static void reuse_subtracts(void **state)
{
	struct dp_label l = { .label = 5, .valid_until = { INT64_MAX } };
	struct dp *d = offline_open(64);
	struct dp_view *v = NULL;
	struct dp_count c;
	struct pkt p;

	(void)state;
	udp6(&p, 0, 5, 1);
	assert_int_equal(dp_view_open(&v, dp_counters_fd(d), NULL), 0);
	for (int owner = 1; owner <= 3; owner++) {
		label_set(d, &l);
		for (int i = 0; i < 4; i++)
			run_in(dp_prog_fd(d, DP_PROG_NODE_IN), &p, 1);
		l.dscp = 9;
		label_set(d, &l); /* a change in place keeps the count */
		assert_int_equal(dp_counters_get(d, 5, DP_UP, &c), 0);
		assert_int_equal(c.rx_packets, 4);
		assert_int_equal(dp_view_count(v, 5, DP_UP, &c), 0);
		assert_int_equal(c.rx_packets, 4 * owner);
		assert_int_equal(dp_label_del(d, 5, NULL, NULL), 0);
	}
	v = dp_view_close(v);
	d = dp_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_rules_and_packets),
		cmocka_unit_test(rules_round_trip),
		cmocka_unit_test(bad_rules_change_nothing),
		cmocka_unit_test(rules_edited),
		cmocka_unit_test(flights_leave_what_single_edits_would),
		cmocka_unit_test(bad_labels_change_nothing),
		cmocka_unit_test(labels_round_trip),
		cmocka_unit_test(reuse_subtracts),
	};

	return cmocka_run_group_tests_name("bpf classify", tests, NULL, NULL);
}
