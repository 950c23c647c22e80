/* SPDX-License-Identifier: Apache-2.0 */
/* test_redirect_live.c - a path by direct redirect beside one by its table, in real frames: moved
 * to and fro without a loss, held to what a router may do, and left to the table when its device
 * goes.
 *
 *   lan1 --- lan0 [enforcer] acc0 --- acc1   path 7, by its table
 *                            bcc0 --- bcc1   path 8, by redirect
 */
#include "raw_rig.h"

#define LABEL 22u
#define FLIPS 100

static int in, acc, bcc;
static uint8_t no; /* of the frame */

static void path_add(uint32_t id, const char *name, const char *device, const char *gw)
{
	struct cfg_path *p = &rig.cfg.path[rig.cfg.paths++];

	*p = (struct cfg_path){ .id = id, .via = VIA_REDIRECT, .nexthop6 = address(gw) };
	assert_true(str_set(p->name, name));
	assert_true(str_set(p->device, device));
}

static void bcc_make(void)
{
	sh("ip link add bcc0 type veth peer name bcc1 && "
	   "for d in bcc0 bcc1; do ip link set $d addrgenmode none; ip link set $d up; done; "
	   "ip -6 addr add fd10:b1::1/64 dev bcc0 nodad; "
	   "ip -6 neigh replace fd10:b1::2 lladdr 02:00:00:00:00:98 dev bcc0 nud permanent");
	bcc = raw_open("bcc1");
}

static int setup(void **st)
{
	struct step l = label_step(LABEL), r = rule_step(5, LABEL);

	(void)rig_setup(st);
	raw_stage();
	bcc_make();
	device_add("bcc0", DEVICE_NETWORK, 0, 1);
	path_add(8, "direct", "bcc0", "fd10:b1::2");
	path_add(9, "back", "lan0", "fd10:1::2");
	in = raw_open("lan1");
	acc = raw_open("acc1");
	enforcer_up();
	l.minor = 0;
	l.rate.bps = 0;
	done(&l, 1);
	inet_pton(AF_INET6, "fd10:a1::", r.rule.dst);
	done(&r, 1);
	return 0;
}

static int teardown(void **st)
{
	(void)close(in);
	(void)close(acc);
	(void)close(bcc);
	(void)system("ip link del bcc0 2>/dev/null");
	return rig_teardown(st);
}

static void steer_to(uint8_t path)
{
	struct step s = steer_step(LABEL, path);

	done(&s, 1);
	done(&s, 0);
}

/* One frame, and where it must come out: as a router passes it on. */
static void crosses(int out)
{
	static const uint8_t hw[2][6] = { { 2, [5] = 0x99 }, { 2, [5] = 0x98 } };
	struct pkt p, got = { 0 };

	raw_udp6(&p, 1, 0, 7001, ++no);
	raw_send(in, &p);
	assert_true(raw_take(out, p.n, no, &got));
	assert_memory_equal(got.b, hw[out == bcc], 6);
	assert_int_equal(label_of(&got), LABEL);
	assert_int_equal(tos_of(&got), 34 << 2 | 1);
	assert_int_equal(got.b[got.l3 + 7], 63);
	assert_memory_equal(got.b + got.l3 + 8, p.b + p.l3 + 8, p.n - p.l3 - 8);
}

static struct enforcer_finding found(const char *text)
{
	static struct enforcer_findings f;
	struct err e = { 0 };

	memset(&f, 0, sizeof(f));
	if (enforcer_findings(&rig.c, 0, &f, &e))
		fail_msg("%s", e.text);
	for (uint32_t i = 0; i < f.n; i++)
		if (!strcmp(f.finding[i].kind, "redirect") && strstr(f.finding[i].text, text))
			return f.finding[i];
	fail_msg("no redirect \"%s\"", text);
	return f.finding[0];
}

static void shows(const char *text, enum audit_state state)
{
	assert_int_equal(found(text).state, state);
}

static bool bcc_live(void)
{
	return found("path 8").state == AUDIT_OK;
}

static bool bcc_stopped(void)
{
	return found("path 8").state == AUDIT_MISSING;
}

static bool three_back(void)
{
	return strstr(found("path 9").text, "packets 0 back 3 loops 3") != NULL;
}

static void test_to_and_fro(void **st)
{
	char *before, *after;

	(void)st;
	before = host();
	for (int i = 0; i < FLIPS; i++) {
		steer_to(i & 1 ? 7 : 8);
		crosses(i & 1 ? acc : bcc);
	}
	shows("packets 50 back 0 loops 0", AUDIT_OK);
	steer_to(8);
	enforcer_kill(); /* the kernel goes on by itself */
	crosses(bcc);
	enforcer_up();
	crosses(bcc);
	shows("via fd10:b1::2 packets 52 back 0 loops 0", AUDIT_OK);
	after = host();
	same(before, after, "adopted");
	free(before);
	free(after);
	assert_int_equal(enforcer_down(), 0);
	after = told("ls %s", rig.pins); /* removed with the rest */
	assert_null(strstr(after, "hop"));
	free(after);
}

/* Nobody told the enforcer yet, and it may not act: the programs find out by themselves. */
static void test_device_gone_and_back(void **st)
{
	struct step s = steer_step(LABEL, 8);
	struct enforcer_receipt p;

	(void)st;
	steer_to(8);
	crosses(bcc);
	assert_int_equal(kill(rig.pid, SIGSTOP), 0);
	sh("ip link del bcc0");
	crosses(acc);
	assert_int_equal(kill(rig.pid, SIGCONT), 0);
	crosses(acc);
	assert_true(within(10000, bcc_stopped));
	steer_to(7);
	p = take(&s);
	assert_int_equal(p.refusal, REFUSE_DEVICE_UNKNOWN);
	assert_string_equal(p.why.s, "path 8: redirect: bcc0 is not here, or not up");
	crosses(acc);
	(void)close(bcc);
	bcc_make();
	assert_true(within(10000, bcc_live));
	steer_to(8);
	crosses(bcc);
	assert_int_equal(enforcer_down(), 0);
}

static void test_device_down(void **st)
{
	(void)st;
	steer_to(8);
	crosses(bcc);
	sh("ip link set bcc0 down");
	assert_true(within(10000, bcc_stopped));
	crosses(acc);
	assert_int_equal(enforcer_down(), 0);
}

static void test_no_loop(void **st)
{
	struct step s = steer_step(LABEL, 9), l = label_step(LABEL);
	struct enforcer_receipt p;

	(void)st;
	p = take(&s);
	assert_int_equal(p.refusal, REFUSE_STEP_REFUSED);
	assert_string_equal(p.why.s, "path 9: redirect: label 22 comes in by lan0 itself");
	crosses(acc);
	l.minor = 0;
	l.rate.bps = 0;
	memset(&l.in_up, 0, sizeof(l.in_up)); /* bound to no device: the program looks */
	done(&l, 1);
	steer_to(9);
	for (int i = 0; i < 3; i++) {
		struct pkt f;

		raw_udp6(&f, 0, 0, 7001, ++no);
		raw_send(in, &f);
	}
	assert_true(within(10000, three_back));
	steer_to(7);
	crosses(acc);
	assert_int_equal(enforcer_down(), 0);
}

/* Path 8 has no IPv4 table, path 7 has one: said before a packet leaves by the host's own routes.
 */
static void test_no_v4(void **st)
{
	struct step r = rule_step(6, LABEL), to7 = steer_step(LABEL, 7), to8 = steer_step(LABEL, 8);
	struct enforcer_receipt p;
	struct err e = { 0 };

	(void)st;
	r.rule.family = 4;
	r.rule.dst_len = 0;
	memset(r.rule.dst, 0, sizeof(r.rule.dst));
	done(&to8, 1);
	p = take(&r);
	assert_int_equal(p.refusal, REFUSE_STEP_REFUSED);
	assert_string_equal(p.why.s, "path 8: carries no IPv4 (no v4-prefix), rule 6 of label 22 "
				     "asks for it");
	done(&to7, 1);
	done(&r, 1);
	p = take(&to8);
	assert_int_equal(p.refusal, REFUSE_STEP_REFUSED);
	assert_string_equal(p.why.s, "path 8: carries no IPv4 (no v4-prefix), rule 6 of label 22 "
				     "asks for it");
	assert_int_equal(enforcer_steps_check(&rig.c, &to8, 1, &p, &e), 0);
	assert_non_null(strstr(p.why.s, "carries no IPv4"));
	crosses(acc);
	r.rule.dir = DIR_DOWN; /* the other direction is not steered by this */
	done(&r, 1);
	done(&to8, 1);
	assert_int_equal(enforcer_down(), 0);
}

static bool own_known(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(7001) };
	const struct timeval wait = { .tv_usec = 50000 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t b[64];
	struct pkt p;
	bool came;

	assert_int_equal(inet_pton(AF_INET6, "fd10:a1::7", &a.sin6_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	raw_udp6(&p, 0, 0, 7001, ++no);
	memcpy(p.b + p.l3 + 24, &a.sin6_addr, 16);
	raw_checksum(&p);
	raw_send(in, &p);
	came = recv(fd, b, sizeof(b), 0) == 32;
	(void)close(fd);
	return came;
}

/* What is for this host, and what is too large, is the stack's. */
static void test_left_to_the_stack(void **st)
{
	struct pkt p, got = { 0 };

	(void)st;
	steer_to(8);
	crosses(bcc);
	sh("ip -6 addr add fd10:a1::7 dev acc0 nodad; "
	   "ip -6 neigh replace fd10:1::2 lladdr 02:00:00:00:00:97 dev lan0 nud permanent");
	assert_true(within(10000, own_known));
	sh("ip link set bcc0 mtu 1280");
	raw_udp6(&p, 0, 0, 7001, ++no);
	zeros(&p, 1400);
	p.b[p.n - 1] = no;
	finish(&p);
	raw_send(in, &p);
	do { /* packet too big, to the sender */
		ssize_t n = recv(in, got.b, sizeof(got.b), 0);

		assert_true(n > 0);
		got.n = (size_t)n;
	} while (get16(got.b + 12) != ETH_P_IPV6 || got.b[14 + 6] != 58 || got.b[14 + 40] != 2);
	assert_int_equal(get32(got.b + 14 + 44), 1280);
	crosses(bcc);
	assert_int_equal(enforcer_down(), 0);
}

#define here(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		here(test_to_and_fro), here(test_device_gone_and_back), here(test_device_down),
		here(test_no_loop),    here(test_left_to_the_stack),    here(test_no_v4),
	};

	return rig_run(tests);
}
