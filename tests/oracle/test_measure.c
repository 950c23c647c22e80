/* SPDX-License-Identifier: Apache-2.0 */
/* test_measure.c - coloured blocks and rare events, from packets on the wire through the enforcer's
 * messages to what the agents read. */
#include "enforcer_rig.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>

#include "agent/enforcer/counters.h"
#include "agent/mark_core.h"

#define LABEL    21u
#define BLOCK_MS 200
#define BLOCK    (BLOCK_MS * 1000000ll)
#define PACKETS  20u

static int wire = -1;

static int64_t wall(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &t), 0);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int setup(void **st)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET };

	(void)st;
	configure();
	rig.cfg.node.colours = 1;
	rig.cfg.node.colour[0][0] = 34;
	rig.cfg.node.colour[0][1] = 35;
	rig.cfg.node.block_ms = BLOCK_MS;
	links_make();
	a.sll_ifindex = (int)if_nametoindex("acc1");
	a.sll_protocol = htons(0x86dd);
	wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(wire >= 0 && !bind(wire, (struct sockaddr *)&a, sizeof(a)));
	take_away_at_end = true;
	enforcer_up();
	return 0;
}

static int teardown(void **st)
{
	(void)st;
	(void)close(wire);
	assert_int_equal(enforcer_down(), 0);
	sh("ip link del acc0; ip link del lan0; ip -6 addr flush dev lo; ip link set lo up");
	return 0;
}

/* An IPv6 packet without an upper header, as it comes from the network. */
static void arrives(uint32_t label, uint8_t dscp)
{
	uint8_t b[14 + 40] = { 0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x86, 0xdd };

	b[14] = (uint8_t)(0x60 | dscp >> 2);
	b[15] = (uint8_t)(dscp << 6 | label >> 16);
	b[16] = (uint8_t)(label >> 8);
	b[17] = (uint8_t)label;
	b[20] = 59; /* no next header */
	b[21] = 64;
	b[22] = b[38] = 0xfd;
	b[37] = b[53] = 1;
	assert_int_equal(send(wire, b, sizeof(b), 0), sizeof(b));
}

/* PACKETS of one block, sent inside it; the block, or 0 when the machine was too slow. */
static uint64_t one_block(void)
{
	uint64_t block = (uint64_t)(wall() / BLOCK) + 1;

	while ((uint64_t)(wall() / BLOCK) < block || wall() % BLOCK < BLOCK / 8)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	for (uint32_t i = 0; i < PACKETS; i++)
		arrives(LABEL, block & 1 ? 35 : 34);
	return wall() < (int64_t)(block + 1) * BLOCK ? block : 0;
}

static struct counters *reader(void)
{
	struct counters *k = NULL;
	struct err e = { 0 };

	if (counters_new(&k, &rig.c, &e) || counters_base(k, &(uint32_t){ LABEL }, 1, &e))
		fail_msg("%s", e.text);
	return k;
}

/* What is said of a block once it may be read; false = it was read too late. */
static bool of_block(struct counters *k, uint64_t block, struct mark_sample *ret)
{
	while (mark_finished(wall(), BLOCK) < block)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	return !counters_mark(k, LABEL, DIR_DOWN, DP_MARK_IN, block, ret) &&
	       mark_readable(block, DP_BLOCKS, wall(), BLOCK);
}

static void blocks_are_exact_and_outlive_a_death(void **st)
{
	struct step s = label_step(LABEL);
	struct mark_sample m = { 0 };
	struct counters *k;
	bool read = false;
	uint64_t block = 0;

	(void)st;
	done(&s, 1);
	k = reader();
	assert_int_not_equal(counters_host(k), 0);
	(void)one_block(); /* the label began in it */
	for (int i = 0; i < 20 && !read; i++) {
		block = one_block();
		read = block && of_block(k, block, &m);
	}
	assert_true(read);
	assert_int_equal(m.packets, PACKETS);
	assert_int_equal(m.bytes, PACKETS * 54);
	assert_true(m.first_ns >= BLOCK / 8 && m.first_ns <= m.mean_ns && m.mean_ns < BLOCK);
	assert_int_equal(counters_mark(k, LABEL, DIR_UP, DP_MARK_IN, block, &m), 0);
	assert_int_equal(m.packets, 0); /* nothing came that way, and that is known */
	assert_int_equal(counters_mark(k, LABEL + 1, DIR_UP, DP_MARK_IN, block, &m), -ENOENT);
	read = false;
	for (int i = 0; i < 20 && !read; i++) { /* half of the block before, half after a death */
		block = one_block();
		enforcer_kill();
		for (uint32_t n = 0; block && n < PACKETS; n++)
			arrives(LABEL, block & 1 ? 35 : 34);
		read = block && wall() < (int64_t)(block + 1) * BLOCK;
		read = read && of_block(k, block, &m);
		enforcer_up();
	}
	assert_true(read);
	assert_int_equal(m.packets, 2 * PACKETS);
	k = counters_free(k);
	k = reader();
	read = false;
	for (int i = 0; i < 20 && !read; i++) { /* and with the programs of the next life */
		block = one_block();
		read = block && of_block(k, block, &m);
	}
	assert_true(read);
	assert_int_equal(m.packets, PACKETS);
	(void)counters_free(k);
}

static struct enforcer_events events;

static bool told_of_unknown(void)
{
	struct err e = { 0 };

	memset(&events, 0, sizeof(events));
	if (enforcer_events(&rig.c, &events, &e))
		fail_msg("%s", e.text);
	return events.cause[DP_EV_UNKNOWN].seen == 40;
}

static void events_reach_the_agents(void **st)
{
	(void)st;
	for (int i = 0; i < 40; i++)
		arrives(49, 0);
	assert_true(within(5000, told_of_unknown));
	assert_in_range(events.n, 1, 40); /* sixteen a second of each CPU */
	assert_int_equal(events.cause[DP_EV_UNKNOWN].held_back, 40 - events.n);
	for (uint32_t i = 0; i < events.n; i++) {
		assert_string_equal(enforcer_cause_text(events.event[i].cause), "label unknown");
		assert_int_equal(events.event[i].label, 49);
		assert_string_equal(events.event[i].device.s, "acc0");
		assert_true(events.event[i].at.us > 0);
	}
}

/* Labels come, come again and go, the first, the last and some between: each is there once. */
static void bases_come_and_go(void **st)
{
	static const uint32_t labels[] = { 30, 3, 49, 7, 48, 21, 2 };
	bool want[64] = { false }, got[64];
	struct counters *k = reader();
	struct err e = { 0 };

	(void)st;
	want[LABEL] = true;
	for (int round = 0; round < 60; round++) {
		uint32_t label = labels[round * 5 % 7], at = 0, seen;

		if (round % 3 == 2) {
			counters_drop(k, label);
			want[label] = false;
		} else {
			assert_int_equal(counters_base(k, &label, 1, &e), 0);
			want[label] = true;
		}
		memset(got, 0, sizeof(got));
		while (counters_next(k, &at, &seen)) {
			assert_false(got[seen]);
			got[seen] = true;
		}
		assert_memory_equal(got, want, sizeof(got));
	}
	(void)counters_free(k);
}

/* --- sockets --- */

/* A connection over loopback that has measured a round trip. */
static void connection(uint32_t mark, int fd[3])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	char c;

	fd[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd[2] >= 0 && fd[0] >= 0);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	assert_true(!bind(fd[2], (struct sockaddr *)&a, len) && !listen(fd[2], 1) &&
		    !getsockname(fd[2], (struct sockaddr *)&a, &len) &&
		    !connect(fd[0], (struct sockaddr *)&a, len));
	fd[1] = accept4(fd[2], NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd[1] >= 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(fd[i], "x", 1, 0), 1);
		assert_int_equal(recv(fd[!i], &c, 1, 0), 1);
	}
}

static void sockets_are_grouped(void **st)
{
	struct step s = label_step(LABEL);
	struct enforcer_shaper sh = { 0 };
	struct enforcer_socks k = { 0 };
	struct err e = { 0 };
	int a[3], b[3];
	uint32_t labelled = 0, prefixed = 0;

	(void)st;
	done(&s, 1);
	connection(LABEL, a);
	connection(0, b);
	assert_int_equal(enforcer_shaper(&rig.c, &sh, &e), 0);
	if (enforcer_socks(&rig.c, &k, &e)) {
		print_message("  %s\n", e.text);
		assert_string_not_equal(sh.socks, "iter/tcp"); /* degraded, by name */
		skip();
	}
	assert_string_equal(sh.socks, "iter/tcp");
	for (uint32_t i = 0; i < k.n; i++) {
		const struct enforcer_sock *x = &k.group[i];

		assert_true(x->least_us > 0 && x->least_us <= x->most_us &&
			    x->sum_us >= x->least_us &&
			    x->sum_us <= (uint64_t)x->most_us * x->sockets);
		labelled += x->label == LABEL ? x->sockets : 0;
		prefixed += !x->label && x->plen == 24 && x->peer[3] == htonl(0x7f000000)
				    ? x->sockets
				    : 0;
	}
	assert_int_equal(labelled, 1);
	assert_int_equal(prefixed, 3);
	assert_int_equal(k.more, 0);
	for (int i = 0; i < 3; i++) {
		(void)close(a[i]);
		(void)close(b[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(blocks_are_exact_and_outlive_a_death, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bases_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(events_reach_the_agents, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_are_grouped, setup, teardown),
	};
	int r;

	if (!rig_enter()) {
		print_message("needs root\n");
		return 77;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rig_leave();
	return r;
}
