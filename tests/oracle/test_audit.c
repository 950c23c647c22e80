/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel beside what it should hold: nothing is changed by looking, every kind of damage is
 * named, what nobody wants goes, and what is another's stays. */
#include "enforcer_rig.h"

#include <net/if.h>

static struct enforcer_findings f;

static void look(void)
{
	struct err e = { 0 };

	memset(&f, 0, sizeof(f));
	if (enforcer_findings(&rig.c, 0, &f, &e))
		fail_msg("%s", e.text);
	assert_int_equal(f.more, 0);
	for (uint32_t i = 0; i < f.n; i++)
		if (f.finding[i].state != AUDIT_OK)
			print_message("  state %u: %s %s\n", f.finding[i].state, f.finding[i].kind,
				      f.finding[i].text);
}

static uint32_t how_many(enum audit_state state, const char *kind, const char *text)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f.n; i++)
		n += f.finding[i].state == state && !strcmp(f.finding[i].kind, kind) &&
		     strstr(f.finding[i].text, text);
	return n;
}

static void clean(void)
{
	look();
	for (uint32_t i = 0; i < f.n; i++)
		if (f.finding[i].state != AUDIT_OK)
			fail_msg("%s %s: state %u", f.finding[i].kind, f.finding[i].text,
				 f.finding[i].state);
}

static struct enforcer_gc collect(void)
{
	struct enforcer_gc gc = { 0 };
	struct err e = { 0 };

	if (enforcer_gc(&rig.c, &gc, &e))
		fail_msg("%s", e.text);
	return gc;
}

/* The committed state as steps: the same ones whenever it is asked for. */
static void commit(struct step s[4])
{
	static wall_t end;

	if (!end.ms)
		end = in_an_hour();
	s[0] = class_step(22, 0x110, 20 * MBIT);
	s[1] = label_step(22);
	s[1].valid_until = end;
	s[2] = steer_step(22, 7);
	s[3] = rule_step(9, 22);
}

static void asked(const struct step *s, size_t n, const char *const *why)
{
	struct enforcer_receipt p[8];
	struct err e = { 0 };

	if (enforcer_steps_check(&rig.c, s, n, p, &e))
		fail_msg("%s", e.text);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(p[i].changed, 0);
		assert_string_equal(p[i].why.s, why[i]);
		assert_int_equal(p[i].refusal, *why[i] ? REFUSE_STEP_REFUSED : REFUSE_NONE);
	}
}

static void test_dry(void **st)
{
	static const char *const good[] = { "", "", "", "" };
	static const char *const absent[] = { "absent from the kernel", "absent from the kernel",
					      "differs in the kernel", "absent from the kernel" };
	static const char *const bent[] = { "differs in the kernel", "differs in the kernel",
					    "differs in the kernel", "differs in the kernel" };
	struct step s[4], dels[3], other;
	char *before, *after;

	(void)st;
	enforcer_up();
	commit(s);
	before = host();
	asked(s, 4, absent);
	after = host();
	same(before, after, "asked");
	free(before);
	free(after);
	for (int i = 0; i < 4; i++)
		done(&s[i], 1);
	asked(s, 4, good);
	before = host();
	s[0].rate.bps = s[0].ceil.bps = 30 * MBIT;
	s[1].rate.bps = 40 * MBIT;
	s[2].path = 0;
	s[3].rule.dport_hi = 9000;
	asked(s, 4, bent);
	dels[0] = (struct step){ .kind = STEP_CLASS_DEL, .device = { "acc0" }, .minor = 0x110 };
	dels[1] = (struct step){ .kind = STEP_LABEL_DEL, .label = 22 };
	dels[2] = (struct step){ .kind = STEP_RULE_DEL, .rule = { .id = 9 } };
	asked(dels, 3, bent);
	after = host();
	same(before, after, "asked");
	commit(s);
	asked(s, 4, good);
	other = class_step(23, 0x111,
			   180 * MBIT); /* a dry step takes nothing of the device's rate */
	done(&other, 1);
	free(before);
	free(after);
	assert_int_equal(enforcer_down(), 0);
}

static void test_damage(void **st)
{
	struct step s[4];
	struct enforcer_gc gc;

	(void)st;
	enforcer_up();
	commit(s);
	for (int i = 0; i < 4; i++)
		done(&s[i], 1);
	clean();
	assert_int_equal(how_many(AUDIT_OK, "class", "acc0 54:110 rate 20000000"), 1);
	assert_int_equal(how_many(AUDIT_OK, "queue", "54:110"), 1);
	assert_int_equal(how_many(AUDIT_OK, "program", "acc0 egress"), 1);
	assert_int_equal(how_many(AUDIT_OK, "route", "table 1007"), 2);
	assert_int_equal(how_many(AUDIT_OK, "route", "table 254"), 1); /* the SID */
	assert_int_equal(how_many(AUDIT_OK, "rule", "priority 10007"), 2);
	/* a class of our tree that no step made, and one that is gone */
	sh("tc class add dev acc0 parent 54:1 classid 54:777 htb rate 1mbit; "
	   "tc class del dev acc0 classid 54:110");
	look();
	assert_int_equal(how_many(AUDIT_ORPHAN, "class", "acc0 54:777"), 1);
	assert_int_equal(how_many(AUDIT_MISSING, "class", "acc0 54:110"), 1);
	gc = collect();
	assert_int_equal(gc.classes, 1);
	says("tc class show dev acc0", "54:777", false);
	done(&s[0], 1);
	clean();
	gc = collect(); /* nothing is left to take, and nothing is taken */
	assert_int_equal(gc.classes + gc.queues + gc.ports + gc.routes, 0);
	clean();
	assert_int_equal(enforcer_down(), 0);
}

/* A path whose routes name a nexthop object: seen, missed, put back, and gone with the rest. */
static void test_nexthop_path(void **st)
{
	struct cfg_path *p = rig.cfg.path;
	char *before = host(), *after;
	bool seen = false;

	(void)st;
	p->via = VIA_NEXTHOP;
	p->v4_sid = (struct cfg_addr){ 0 };
	enforcer_up();
	clean();
	says("ip nexthop show proto 84", "id 1409286151 via fd10:a1::2 dev acc0", true);
	says("ip -6 route show table 1007", "default nhid 1409286151", true);
	says("ip route show table 1007", "10.2.0.0/24 nhid 1409286151", true);
	assert_int_equal(how_many(AUDIT_OK, "nexthop", "id 1409286151"), 1);
	/* Events of its own start make the enforcer look by itself, and it may come first. */
	for (int tries = 0; !seen; tries++) {
		assert_true(tries < 20);
		sh("ip nexthop replace id 1409286151 via fd10:a1::9 dev acc0 proto 84");
		look();
		seen = how_many(AUDIT_DIFFERS, "nexthop", "id 1409286151") == 1;
		seen = collect().routes == 1 && seen;
	}
	clean();
	enforcer_kill();
	sh("ip nexthop del id 1409286151"); /* its routes go with it */
	enforcer_up();
	clean();
	enforcer_kill();
	p->via = VIA_ROUTE; /* the other kind takes its place */
	enforcer_up();
	clean();
	says("ip nexthop show proto 84", "id", false);
	says("ip -6 route show table 1007", "default via fd10:a1::2 dev acc0", true);
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "removed");
	free(before);
	free(after);
}

/* Another's route, rule and program: told or not seen, never touched. */
static void test_others(void **st)
{
	struct enforcer_gc gc;
	char *before, *after;

	(void)st;
	enforcer_up();
	sh("ip -6 route add fd10:dead::/64 via fd10:a1::2 dev acc0 table 1007; "
	   "ip -6 rule add fwmark 0x7 lookup 1007 pref 77; "
	   "tc qdisc add dev acc0 clsact 2>/dev/null; "
	   "tc filter add dev acc0 egress prio 9 matchall action ok 2>/dev/null || "
	   "tc filter add dev acc0 egress prio 9 u32 match u32 0 0 classid 1:1");
	before = host();
	look();
	for (uint32_t i = 0; i < f.n; i++)
		assert_true(f.finding[i].state == AUDIT_OK || f.finding[i].state == AUDIT_FOREIGN);
	gc = collect();
	assert_int_equal(gc.classes + gc.queues + gc.ports + gc.routes, 0);
	after = host();
	same(before, after, "collected");
	free(before);
	free(after);
	sh("ip -6 rule del pref 77; tc qdisc del dev acc0 clsact 2>/dev/null; true");
	assert_int_equal(enforcer_down(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(test_dry),
		staged(test_damage),
		staged(test_nexthop_path),
		staged(test_others),
	};

	return rig_run(tests);
}
