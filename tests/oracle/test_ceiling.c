/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan's steps say beside a label's own rate: a ceiling above several labels, an excess
 * rate, the source prefix. Real packets at the customer's device; whatever shapes the other one. */
#include "enforcer_rig.h"

#include "bpf/dataplane.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#define FRAME 1000 /* bytes: a second at 8 kbit/s */
#define KBIT  1000ull

static int wire = -1; /* lan1: what it sends, lan0 gets */
static struct dp_view *view;
static struct enforcer_findings f;

static void up(enum cfg_shaper shaper)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(0x86dd) };
	struct enforcer_counters c;
	struct err e = { 0 };
	int fd = -1;

	rig.cfg.device[1].shaper = shaper;
	enforcer_up();
	if (enforcer_counters(&rig.c, &c, &fd, &e) || dp_view_open(&view, fd, &e))
		fail_msg("%s", e.text);
	(void)close(fd);
	a.sll_ifindex = (int)if_nametoindex("lan1");
	wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(wire >= 0);
	assert_int_equal(bind(wire, (struct sockaddr *)&a, sizeof(a)), 0);
}

static void down(void)
{
	(void)close(wire);
	view = dp_view_close(view);
	assert_int_equal(enforcer_down(), 0);
}

static void send_one(const char *src, uint16_t port)
{
	struct {
		uint8_t mac[12];
		uint16_t type;
		struct ip6_hdr ip;
		struct udphdr udp;
		uint8_t load[FRAME - 62];
	} __attribute__((packed))
	p = { .mac = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 }, .type = htons(0x86dd) };
	struct in6_addr from, to;

	assert_int_equal(inet_pton(AF_INET6, src, &from), 1);
	assert_int_equal(inet_pton(AF_INET6, "fd10:2::7", &to), 1);
	p.ip.ip6_vfc = 0x60;
	p.ip.ip6_plen = htons(FRAME - 54);
	p.ip.ip6_nxt = IPPROTO_UDP;
	p.ip.ip6_hlim = 64;
	memcpy(&p.ip.ip6_src, &from, sizeof(from));
	memcpy(&p.ip.ip6_dst, &to, sizeof(to));
	p.udp.source = htons(4000);
	p.udp.dest = htons(port);
	p.udp.len = htons(FRAME - 54);
	assert_int_equal(send(wire, &p, sizeof(p), 0), sizeof(p));
}

static struct dp_count counted(uint32_t label)
{
	struct dp_count c = { 0 };

	assert_int_equal(dp_view_count(view, label, DP_UP, &c), 0);
	return c;
}

static uint32_t await_label;
static uint64_t await_all;

static bool all_seen(void)
{
	struct dp_count c = counted(await_label);

	return c.rx_packets + c.drop_packets + c.binding >= await_all;
}

/* Every packet of the label is counted somewhere. */
static void await(uint32_t label, uint64_t n)
{
	await_label = label;
	await_all = n;
	assert_true(within(5000, all_seen));
}

static struct step ceiling_step(uint64_t bps)
{
	return (struct step){
		.kind = STEP_CEILING_SET, .ceiling = 3, .rate = { bps }, .burst_ms = 4000
	};
}

/* Traffic to `port` gets the label. */
static struct step port_step(uint32_t label, uint16_t port)
{
	struct step r = rule_step(label, label);

	memset(r.rule.dst, 0, sizeof(r.rule.dst));
	r.rule.dst_len = 0;
	r.rule.dport_lo = r.rule.dport_hi = port;
	return r;
}

static void lay(const struct step *label, uint16_t port)
{
	struct step r = port_step(label->label, port);

	done(label, 1);
	done(&r, 1);
}

static uint32_t told_of(const char *kind, const char *text, enum audit_state state)
{
	struct err e = { 0 };
	uint32_t n = 0;

	memset(&f, 0, sizeof(f));
	if (enforcer_findings(&rig.c, 0, &f, &e))
		fail_msg("%s", e.text);
	for (uint32_t i = 0; i < f.n; i++)
		n += f.finding[i].state == state && !strcmp(f.finding[i].kind, kind) &&
		     strstr(f.finding[i].text, text);
	return n;
}

static void refused(struct step s, enum refusal want)
{
	struct enforcer_receipt p = take(&s);

	if (p.refusal != want)
		fail_msg("kind %d: %s (%s)", (int)s.kind, refusal_name((enum refusal)p.refusal),
			 p.why.s);
	print_message("  %s: %s\n", refusal_name(want), p.why.s);
}

static void shared_by(enum cfg_shaper shaper)
{
	struct step top = ceiling_step(8 * KBIT), a = label_step(21), b = label_step(22);
	struct step gone = { .kind = STEP_CEILING_DEL, .ceiling = 3 };
	struct observation o = { 0 };
	struct dp_count ca, cb;
	struct err e = { 0 };
	time_t from;

	up(shaper);
	a.ceiling = b.ceiling = 3;
	refused(a, REFUSE_BODY_MALFORMED); /* not there yet */
	done(&top, 1);
	done(&top, 0);
	lay(&a, 7001);
	lay(&b, 7002);
	done(&a, 0);
	assert_int_equal(told_of("ceiling", "3 rate 8000 labels 2", AUDIT_OK), 1);
	assert_int_equal(enforcer_observe(&rig.c, 21, &o, &e), 0);
	assert_int_equal(o.ceiling, 3);
	assert_int_equal(o.ceiling_rate.bps, 8 * KBIT);
	/* four seconds of the ceiling, one packet each, and the one that begins within them: five
	 * of twenty pass, and one more for each second that this machine takes; alone 20 would */
	from = time(NULL);
	for (int i = 0; i < 10; i++) {
		send_one("fd10:1::5", 7001);
		send_one("fd10:1::5", 7002);
	}
	await(21, 10);
	await(22, 10);
	ca = counted(21);
	cb = counted(22);
	assert_in_range(ca.rx_packets + cb.rx_packets, 5, 7 + (uint64_t)(time(NULL) - from));
	assert_true(ca.rx_packets >= 2 && cb.rx_packets >= 2);
	assert_int_equal(ca.drop_packets + cb.drop_packets, 20 - ca.rx_packets - cb.rx_packets);
	/* changed in place: room for the rest */
	top.rate.bps = 100 * MBIT;
	done(&top, 1);
	send_one("fd10:1::5", 7001);
	await(21, 11);
	/* not before its labels */
	refused(gone, REFUSE_STEP_REFUSED);
	a.ceiling = 0;
	done(&a, 1);
	b.kind = STEP_LABEL_DEL;
	done(&b, 1);
	assert_int_equal(told_of("ceiling", "3 rate 100000000 labels 0", AUDIT_OK), 1);
	done(&gone, 1);
	done(&gone, 0);
	assert_int_equal(told_of("ceiling", "", AUDIT_OK), 0);
	down();
}

static void test_shared(void **st)
{
	(void)st;
	shared_by(SHAPER_HTB);
	shared_by(SHAPER_POLICER);
}

/* A restart counts the labels of each ceiling anew. */
static void test_adopted(void **st)
{
	struct step top = ceiling_step(8 * KBIT), a = label_step(21);
	struct step gone = { .kind = STEP_CEILING_DEL, .ceiling = 3 };

	(void)st;
	up(SHAPER_HTB);
	a.ceiling = 3;
	done(&top, 1);
	done(&a, 1);
	enforcer_kill();
	enforcer_up();
	done(&top, 0);
	refused(gone, REFUSE_STEP_REFUSED);
	a.kind = STEP_LABEL_DEL;
	done(&a, 1);
	done(&gone, 1);
	down();
}

/* The contracted rate is passed as it is; what is above it inside the excess rate is marked. */
static void test_excess(void **st)
{
	struct step a = label_step(21);
	struct dp_count c;

	(void)st;
	up(SHAPER_HTB);
	a.rate.bps = 8 * KBIT;
	a.excess.bps = 16 * KBIT;
	a.burst_ms = 2000;
	lay(&a, 7001);
	for (int i = 0; i < 12; i++)
		send_one("fd10:1::5", 7001);
	await(21, 12);
	c = counted(21);
	/* 2 s of packets of a second, then 2 s of packets of half a second; the rest is dropped */
	assert_in_range(c.rx_packets - c.excess, 3, 5);
	assert_in_range(c.excess, 4, 7);
	assert_true(c.drop_packets > 0);
	a.excess.bps = 0;
	done(&a, 1);
	down();
}

static void test_source(void **st)
{
	struct step a = label_step(21), bad;
	struct observation o = { 0 };
	struct err e = { 0 };
	struct dp_count c;

	(void)st;
	up(SHAPER_HTB);
	a.src_family = 6;
	a.src_up_len = 64;
	assert_int_equal(inet_pton(AF_INET6, "fd10:1::", a.src_up), 1);
	lay(&a, 7001);
	done(&a, 0);
	assert_int_equal(enforcer_observe(&rig.c, 21, &o, &e), 0);
	assert_string_equal(o.src_up, "fd10:1::/64");
	assert_string_equal(o.src_down, "");
	for (int i = 0; i < 3; i++) {
		send_one("fd10:1::5", 7001);
		send_one("fd10:9::5", 7001); /* foreign */
		send_one("fd10:1:0:1::5", 7001);
	}
	await(21, 9);
	c = counted(21);
	assert_int_equal(c.rx_packets, 3);
	assert_int_equal(c.binding, 6);
	assert_int_equal(c.drop_packets, 0);
	assert_true(counted(0).rx_packets >= 6); /* best effort, not lost */
	a.src_up_len = 0;
	done(&a, 1); /* anywhere again */
	send_one("fd10:9::5", 7001);
	await(21, 10);
	assert_int_equal(counted(21).rx_packets, 4);
	bad = a;
	bad.src_up_len = 129;
	refused(bad, REFUSE_BODY_MALFORMED);
	bad.src_up_len = 16; /* host bits are set */
	bad.src_up[3] = 1;
	refused(bad, REFUSE_BODY_MALFORMED);
	bad = a;
	bad.src_family = 5;
	bad.src_down_len = 1;
	refused(bad, REFUSE_BODY_MALFORMED);
	bad = ceiling_step(8 * KBIT);
	bad.ceiling = 0;
	refused(bad, REFUSE_BODY_MALFORMED);
	bad.ceiling = 4096;
	refused(bad, REFUSE_BODY_MALFORMED);
	bad = ceiling_step(0);
	refused(bad, REFUSE_BODY_MALFORMED);
	bad = ceiling_step(8 * KBIT);
	bad.burst_ms = 4001;
	refused(bad, REFUSE_BODY_MALFORMED);
	bad = a;
	bad.rate.bps = 0;
	bad.excess.bps = MBIT;
	refused(bad, REFUSE_BODY_MALFORMED);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(test_shared),
		staged(test_adopted),
		staged(test_excess),
		staged(test_source),
	};

	return rig_run(tests);
}
