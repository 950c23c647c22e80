/* SPDX-License-Identifier: Apache-2.0 */
/* Many steps in one message: what goes to the kernel together is answered for one by one. */
#include "enforcer_rig.h"

static void all_done(const struct step *s, struct enforcer_receipt *p, size_t n, uint32_t changed)
{
	struct err e = { 0 };

	memset(p, 0, n * sizeof(*p));
	if (enforcer_steps(&rig.c, s, n, p, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < n; i++)
		if (p[i].refusal || p[i].changed != changed)
			fail_msg("step %zu: %s, changed %u: %s", i,
				 refusal_name((enum refusal)p[i].refusal), p[i].changed,
				 p[i].why.s);
}

/* More than a message holds; labels and classes mixed; the same object twice: in order. */
static void test_batch(void **st)
{
	static struct step s[300];
	static struct enforcer_receipt p[300];
	struct err e = { 0 };
	struct dp_line line;
	char *t;

	(void)st;
	enforcer_up();
	for (uint16_t i = 0; i < 250; i++)
		s[i] = class_step(21, (uint16_t)(0x110 + i), 80000);
	all_done(s, p, 250, 1);
	all_done(s, p, 250, 0);
	t = told("tc class show dev acc0 | grep -c 'prio 1 rate 80Kbit ceil 80Kbit'");
	assert_int_equal(atoi(t), 250);
	free(t);
	for (uint16_t i = 0; i < 250; i++)
		s[i].rate.bps = s[i].ceil.bps = 160000;
	s[7] = label_step(21);
	s[8] = s[6]; /* again: raised further */
	s[8].rate.bps = s[8].ceil.bps = 240000;
	all_done(s, p, 250, 1);
	says("tc class show dev acc0", "54:116 parent 54:1 leaf 116: prio 1 rate 240Kbit", true);
	says("tc class show dev acc0", "54:117 parent 54:1 leaf 117: prio 1 rate 80Kbit", true);
	element("lines", 21, &line);
	assert_int_equal(line.flags & DP_L_ACTIVE, DP_L_ACTIVE);
	/* one that is refused leaves those around it alone */
	for (uint16_t i = 0; i < 3; i++)
		s[i] = class_step(21, (uint16_t)(0x110 + i), i == 1 ? 201 * MBIT : 320000);
	assert_int_equal(enforcer_steps(&rig.c, s, 3, p, &e), 0);
	assert_int_equal(p[0].refusal, REFUSE_NONE);
	assert_int_equal(p[1].refusal, REFUSE_RATE_ABOVE_DEVICE);
	assert_int_equal(p[2].refusal, REFUSE_NONE);
	says("tc class show dev acc0", "54:111 parent 54:1 leaf 111: prio 1 rate 160Kbit", true);
	says("tc class show dev acc0", "54:112 parent 54:1 leaf 112: prio 1 rate 320Kbit", true);
	assert_int_equal(enforcer_down(), 0);
}

static uint32_t flips(void)
{
	struct dp_ctl c;

	element("ctl", 0, &c);
	return c.generation & ~DP_GEN_LABEL_IN;
}

/* Rules side by side are one new table; each is answered for by itself, wherever one is refused. */
static void test_batch_rules(void **st)
{
	static struct step s[ENFORCER_BATCH_MAX];
	static struct enforcer_receipt p[ENFORCER_BATCH_MAX];
	struct err e = { 0 };
	uint32_t at;

	(void)st;
	enforcer_up();
	for (uint32_t i = 0; i < ENFORCER_BATCH_MAX; i++)
		s[i] = rule_step(1 + i, 21);
	at = flips();
	all_done(s, p, ENFORCER_BATCH_MAX, 1);
	assert_int_equal(flips() - at, 1);
	all_done(s, p, ENFORCER_BATCH_MAX, 0);
	assert_int_equal(flips() - at, 1);
	for (uint32_t bad = 0; bad < 9; bad++) { /* at every place of a run */
		for (uint32_t i = 0; i < 9; i++) {
			s[i] = rule_step(200 + 10 * bad + i, 21);
			s[i].rule.proto = i == bad ? 17 : 6;
		}
		s[bad].rule.dst_len = 129;
		memset(p, 0, sizeof(p));
		assert_int_equal(enforcer_steps(&rig.c, s, 9, p, &e), 0);
		for (uint32_t i = 0; i < 9; i++) {
			assert_int_equal(p[i].refusal, i == bad ? REFUSE_BODY_MALFORMED : 0);
			assert_int_equal(p[i].changed, i != bad);
		}
		for (uint32_t i = 0; i < 9; i++)
			s[i].kind = STEP_RULE_DEL;
		assert_int_equal(enforcer_steps(&rig.c, s, 9, p, &e), 0);
		for (uint32_t i = 0; i < 9; i++) {
			assert_int_equal(p[i].refusal, 0);
			assert_int_equal(p[i].changed, i != bad);
			s[i].kind = STEP_RULE_SET;
		}
		assert_int_equal(enforcer_steps_until(&rig.c, s, 9, p, &e), 0);
		for (uint32_t i = 0; i < 9; i++) {
			assert_int_equal(p[i].changed, i < bad);
			assert_int_equal(p[i].refusal, i == bad  ? REFUSE_BODY_MALFORMED
						       : i > bad ? REFUSE_STEP_REFUSED
								 : 0);
		}
	}
	assert_int_equal(enforcer_down(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { staged(test_batch), staged(test_batch_rules) };

	return rig_run(tests);
}
