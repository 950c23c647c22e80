/* SPDX-License-Identifier: Apache-2.0 */
/* test_border.c - the border of two domains with labels of their own: what comes with one label
 * leaves with another, by the steps that a node is sent and in real packets. */
#include "raw_rig.h"

#define THEIRS 700u
#define OURS   21u
#define ECT1   1

static int in, out;

static int setup(void **st)
{
	(void)rig_setup(st);
	raw_stage();
	in = raw_open("lan1");
	out = raw_open("acc1");
	enforcer_up();
	return 0;
}

static int teardown(void **st)
{
	(void)close(in);
	(void)close(out);
	return rig_teardown(st);
}

static struct step border_rule(uint32_t id, uint32_t theirs, uint32_t ours)
{
	struct step s = rule_step(id, ours);

	inet_pton(AF_INET6, "fd10:a1::", s.rule.dst);
	s.rule.label_in = theirs;
	return s;
}

/* One packet through the host: label and traffic class with which it left. */
static void crosses(uint32_t label, uint8_t tc, uint32_t want_label, uint8_t want_tc)
{
	static uint8_t no;
	struct pkt p, got = { 0 };

	raw_udp6(&p, tc, label, 7001, ++no);
	raw_send(in, &p);
	assert_true(raw_take(out, p.n, no, &got));
	assert_int_equal(label_of(&got), want_label);
	assert_int_equal(tos_of(&got), want_tc);
	assert_memory_equal(got.b + got.l3 + 8, p.b + p.l3 + 8, p.n - p.l3 - 8);
}

static void refused(const struct step *s, enum refusal no, const char *why)
{
	struct enforcer_receipt p = take(s);

	assert_int_equal(p.refusal, no);
	assert_string_equal(p.why.s, why);
	assert_int_equal(p.changed, 0);
}

static void test_one_label_for_another(void **st)
{
	struct step l = label_step(OURS), k = label_step(OURS + 1);
	struct step r = border_rule(5, THEIRS, OURS), q = border_rule(6, THEIRS + 1, OURS + 1);
	struct step del = { .kind = STEP_RULE_DEL, .rule = { .id = 5 } };

	(void)st;
	l.minor = k.minor = 0;
	k.dscp = 255;
	done(&l, 1);
	done(&k, 1);
	done(&r, 1);
	done(&r, 0);
	done(&q, 1);
	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		crosses(THEIRS, 10 << 2 | ecn, OURS, 34 << 2 | ecn);
		crosses(THEIRS + 1, 10 << 2 | ecn, OURS + 1, 10 << 2 | ecn);
		crosses(THEIRS + 2, 10 << 2 | ecn, 0, 10 << 2 | ecn);
		crosses(OURS, 10 << 2 | ecn, 0, 10 << 2 | ecn); /* ours, from outside: nobody's */
	}
	r.rule.label_in = THEIRS + 2; /* in place: the old one is no longer asked for */
	done(&r, 1);
	crosses(THEIRS, ECT1, 0, ECT1);
	crosses(THEIRS + 2, ECT1, OURS, 34 << 2 | ECT1);
	done(&del, 1);
	crosses(THEIRS + 2, ECT1, 0, ECT1);
	crosses(THEIRS + 1, ECT1, OURS + 1, ECT1);
	assert_int_equal(enforcer_down(), 0);
}

static void test_refused_by_name(void **st)
{
	struct step l = label_step(OURS), r = border_rule(5, 0x100000, OURS);

	(void)st;
	done(&l, 1);
	refused(&r, REFUSE_LABEL_RANGE, "rule 5: label_in: above 1048575");
	r = border_rule(5, THEIRS, OURS);
	r.rule.family = 4;
	r.rule.dst_len = 0;
	memset(r.rule.dst, 0, sizeof(r.rule.dst));
	refused(&r, REFUSE_BODY_MALFORMED, "rule 5: label_in: IPv4 packets carry no label");
	assert_int_equal(enforcer_down(), 0);
}

#define here(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		here(test_one_label_for_another),
		here(test_refused_by_name),
	};

	return rig_run(tests);
}
