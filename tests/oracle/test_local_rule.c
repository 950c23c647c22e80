/* SPDX-License-Identifier: Apache-2.0 */
/* test_local_rule.c - rules by cgroup as a node is sent them: set, read back, looked at, taken
 * away, and in real packets of a socket on the node itself. */
#include "raw_rig.h"

#include "tests/bpf/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LABEL 21u
#define CLASS 9u
#define RULE  521u

static char root[128], group[160];
static int out;
static uint8_t no;

static int setup(void **st)
{
	struct cfg_class *c;

	(void)rig_setup(st);
	assert_true(cgroup_root(root));
	(void)snprintf(group, sizeof(group), "%s/treaty-rule-%d", root, (int)getpid());
	raw_stage();
	out = raw_open("acc1");
	c = &rig.cfg.class[rig.cfg.classes++];
	c->id = CLASS;
	assert_true(str_set(c->cgroup, group));
	assert_int_equal(mkdir(group, 0755), 0);
	enforcer_up();
	return 0;
}

static int teardown(void **st)
{
	(void)close(out);
	(void)rmdir(group);
	return rig_teardown(st);
}

static struct step cgroup_rule(uint32_t label)
{
	return (struct step){
		.kind = STEP_RULE_SET,
		.rule = { .id = RULE, .dscp = 255, .class_id = CLASS, .label = label, .cgroup = 1 }
	};
}

/* One packet of a socket that was made in that cgroup. */
static void leaves(const char *from, uint32_t label)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(7001) };
	int fd, tc = 10 << 2 | 1;
	uint8_t b[32] = { 0 };
	struct pkt got = { 0 };

	cgroup_join(from);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cgroup_join(root);
	assert_true(fd >= 0);
	b[sizeof(b) - 1] = ++no;
	assert_int_equal(inet_pton(AF_INET6, RAW_DST, &a.sin6_addr), 1);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tc, sizeof(tc)), 0);
	assert_int_equal(sendto(fd, b, sizeof(b), 0, (struct sockaddr *)&a, sizeof(a)), sizeof(b));
	assert_true(raw_take(out, 14 + 40 + 8 + sizeof(b), no, &got));
	assert_int_equal(tos_of(&got), label ? 34 << 2 | 1 : tc);
	assert_int_equal(label_of(&got) == LABEL, label == LABEL);
	(void)close(fd);
}

static uint32_t rules_seen(void)
{
	struct observation o = { 0 };
	struct err e = { 0 };

	must(enforcer_observe(&rig.c, LABEL, &o, &e), &e);
	return o.n_rules;
}

static bool held(void)
{
	struct enforcer_cursor at = { 0 };
	struct enforcer_held h = { 0 };
	struct err e = { 0 };
	bool found = false;

	must(enforcer_held(&rig.c, &at, &h, &e), &e);
	assert_int_equal(h.done, 1);
	for (uint32_t i = 0; i < h.n; i++)
		found |= h.obj[i].kind == STEP_RULE_DEL && h.obj[i].id == RULE;
	return found;
}

static void test_set_and_taken_away(void **st)
{
	struct step l = label_step(LABEL), r = cgroup_rule(0), a = rule_step(5, LABEL);
	struct step del = { .kind = STEP_RULE_DEL, .rule = { .id = RULE } };

	(void)st;
	l.minor = 0;
	done(&l, 1);
	leaves(group, 0);
	done(&r, 1); /* watched */
	leaves(group, 0);
	r = cgroup_rule(LABEL);
	done(&r, 1);
	done(&r, 0);
	done(&a, 1); /* beside rules by address */
	leaves(group, LABEL);
	leaves(root, 0);
	assert_int_equal(rules_seen(), 2);
	assert_true(held());
	enforcer_kill();
	leaves(group, LABEL); /* nobody is there, and it goes on */
	enforcer_up();
	done(&r, 0);
	done(&del, 1);
	done(&del, 0);
	leaves(group, 0);
	assert_int_equal(rules_seen(), 1);
	assert_false(held());
	assert_int_equal(enforcer_down(), 0);
}

static void refused(const struct step *s, enum refusal why, const char *text)
{
	struct enforcer_receipt p = take(s);

	assert_int_equal(p.refusal, why);
	assert_string_equal(p.why.s, text);
	assert_int_equal(p.changed, 0);
	assert_false(held());
}

static void test_refused_by_name(void **st)
{
	struct step l = label_step(LABEL), a = rule_step(RULE, LABEL), r = cgroup_rule(LABEL);

	(void)st;
	done(&l, 1);
	r.rule.src_len = 8;
	refused(&r, REFUSE_BODY_MALFORMED, "rule 521: src: not with a cgroup");
	r = cgroup_rule(LABEL);
	r.rule.dport_hi = 9;
	refused(&r, REFUSE_BODY_MALFORMED, "rule 521: dport: not with a cgroup");
	r = cgroup_rule(LABEL);
	r.rule.dir = DIR_DOWN;
	refused(&r, REFUSE_BODY_MALFORMED, "rule 521: dir down: not with a cgroup");
	r = cgroup_rule(LABEL);
	r.rule.cgroup = 2;
	refused(&r, REFUSE_BODY_MALFORMED, "rule 521: cgroup: 0 or 1");
	r = cgroup_rule(LABEL);
	r.rule.class_id = 8;
	refused(&r, REFUSE_BODY_MALFORMED, "rule 521: cgroup: class 8 has none here");
	r = cgroup_rule(60);
	refused(&r, REFUSE_LABEL_RANGE, "label 60: this node has 10..50");
	assert_int_equal(rules_seen(), 0);
	done(&a, 1);
	r = cgroup_rule(LABEL);
	assert_int_equal(take(&r).refusal, REFUSE_BODY_MALFORMED);
	assert_int_equal(enforcer_down(), 0);
}

/* It is written where a cgroup can be, or not at all. */
static void test_not_a_cgroup(void **st)
{
	struct step l = label_step(LABEL), r = cgroup_rule(LABEL);

	(void)st;
	assert_int_equal(enforcer_down(), 0);
	assert_true(str_set(rig.cfg.class[0].cgroup, "/tmp/nowhere"));
	enforcer_up();
	done(&l, 1);
	refused(&r, REFUSE_BODY_MALFORMED,
		"rule 521: cgroup /tmp/nowhere: not a cgroup2 directory");
	assert_int_equal(enforcer_down(), 0);
}

#define here(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		here(test_set_and_taken_away),
		here(test_refused_by_name),
		here(test_not_a_cgroup),
	};

	return rig_run(tests);
}
