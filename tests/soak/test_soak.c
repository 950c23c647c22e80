/* SPDX-License-Identifier: Apache-2.0 */
/* test_soak.c - SOAK_SECONDS (default 45; `make soak`: 1800) of agreements that come, change, move
 * to another path and go at random, through the enforcer, while traffic flows.
 *
 * A cycle is two thousand random steps, then the removal of all that they made. After each removal
 * the host must look exactly as after the first one, the enforcer must hold as many descriptors and
 * as much memory; after the enforcer has taken itself away, the host must look as before it came.
 * The enforcer is killed in the middle, and its successor adopts what it left. The seed is
 * printed: SOAK_SEED repeats the steps. */
#include "bpf/dataplane.h"
#include "tests/oracle/enforcer_rig.h"

#include <dirent.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <sys/prctl.h>

#define LABELS   40u
#define LABEL(i) (10u + (i))
#define MINOR(i) (uint16_t)(0x110 + (i))
#define STEPS    2000
#define PORT     7000
#define SETTLE   4 /* cycles before memory must stand still */
#ifdef __SANITIZE_ADDRESS__
#define SLACK_KB (300u << 10) /* the sanitizer keeps what was freed */
#else
#define SLACK_KB 256u /* of the enforcer's own memory: its allocator's rounding */
#endif
#define PPS       4000
#define RATE_MOST 4000000u /* x labels: below the device's 200 Mbit/s */

static uint64_t steps_done, changed, refused;

static long knob(const char *name, long dfl)
{
	const char *v = getenv(name);

	return v && *v ? strtol(v, NULL, 10) : dfl;
}

static int64_t seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* --- traffic ------------------------------------------------------------------------------- */

struct frame {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct udphdr udp;
	uint8_t data[1200];
} __attribute__((packed));

/* One hop is the router's, and none is left: nothing goes round in this namespace. */
static void frame_make(struct frame *f, size_t size)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->eth.h_dest, "\x02\0\0\0\0\x10", 6);
	memcpy(f->eth.h_source, "\x02\0\0\0\0\x11", 6);
	f->eth.h_proto = htons(ETH_P_IPV6);
	f->ip.version = 6;
	f->ip.payload_len = htons((uint16_t)(sizeof(f->udp) + size));
	f->ip.nexthdr = IPPROTO_UDP;
	f->ip.hop_limit = 2;
	assert_int_equal(inet_pton(AF_INET6, "fd10:1::2", &f->ip.saddr), 1);
	assert_int_equal(inet_pton(AF_INET6, "fd10:2::2", &f->ip.daddr), 1);
	f->udp.source = htons((uint16_t)(20000 + random() % 2000));
	f->udp.dest = htons((uint16_t)(PORT + random() % (LABELS + 20)));
	f->udp.len = f->ip.payload_len;
	f->udp.check = 0xffff;
}

static void traffic_run(void)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex("lan1") };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct frame f;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		_exit(1);
	for (;;) {
		size_t size = (size_t)random() % sizeof(f.data);

		frame_make(&f, size);
		(void)send(fd, &f, sizeof(f) - sizeof(f.data) + size, 0);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000000 / PPS }, NULL);
	}
}

static pid_t traffic_start(void)
{
	pid_t p = fork();

	assert_true(p >= 0);
	if (!p)
		traffic_run();
	return p;
}

/* --- what the enforcer holds --------------------------------------------------------------- */

/* Kilobytes of its own (anonymous) memory. */
static unsigned memory_kb(void)
{
	char path[64], line[128];
	unsigned kb = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)rig.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "RssAnon: %u", &kb);
	(void)fclose(f);
	assert_true(kb > 0);
	return kb;
}

/* Descriptors: sockets, and every map, program and link that is held. A BPF object lives by a
 * descriptor, a pin or a device; pins and devices are in host(). */
static unsigned descriptors(void)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)rig.pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Packets that an agreement's label was put on, since the maps were made. */
static uint64_t labelled(void)
{
	struct enforcer_counters size;
	struct dp_view *v = NULL;
	struct dp_count c = { 0 };
	struct err e = { 0 };
	uint64_t sum = 0;
	int fd = -1;

	if (enforcer_counters(&rig.c, &size, &fd, &e) || dp_view_open(&v, fd, &e))
		fail_msg("counters: %s", e.text);
	(void)close(fd);
	for (uint32_t i = 0; i < LABELS; i++)
		for (int dir = 0; dir < 2; dir++) {
			assert_int_equal(dp_view_count(v, LABEL(i), (enum dp_dir)dir, &c), 0);
			sum += c.rx_packets;
		}
	dp_view_close(v);
	return sum;
}

/* --- random steps -------------------------------------------------------------------------- */

static uint64_t any_rate(void)
{
	return 64000 + (uint64_t)random() % (RATE_MOST - 64000);
}

static struct step any_step(void)
{
	uint32_t i = (uint32_t)random() % LABELS;
	struct step s;

	switch (random() % 10) {
	case 0:
	case 1:
	case 2:
		s = label_step(LABEL(i));
		s.minor = MINOR(i);
		s.rate.bps = any_rate();
		s.burst_ms = 1 + (uint32_t)random() % 1000;
		s.dscp = (uint8_t)(random() % 64);
		return s;
	case 3:
	case 4: return class_step(LABEL(i), MINOR(i), any_rate());
	case 5:
		s = rule_step(1 + i, LABEL(i));
		s.rule.dport_lo = s.rule.dport_hi = (uint16_t)(PORT + i);
		s.rule.prio = (uint16_t)(random() % 4);
		return s;
	case 6:
	case 7: return steer_step(LABEL(i), (uint8_t)(random() % 3 ? 7 + random() % 2 : 0));
	case 8:
		s = label_step(LABEL(i));
		s.kind = STEP_LABEL_DEL;
		return s;
	default: break;
	}
	s = random() % 2 ? rule_step(1 + i, LABEL(i)) : class_step(LABEL(i), MINOR(i), 0);
	s.kind = s.kind == STEP_RULE_SET ? STEP_RULE_DEL : STEP_CLASS_DEL;
	return s;
}

/* Only a limit may refuse what is well formed. */
static void step_any(const struct step *s)
{
	struct enforcer_receipt p = take(s);

	steps_done++;
	changed += p.changed;
	refused += p.refusal != REFUSE_NONE;
	if (p.refusal && p.refusal != REFUSE_RATE_ABOVE_DEVICE && p.refusal != REFUSE_MAP_FULL)
		fail_msg("kind %d: %s: %s", (int)s->kind, refusal_name((enum refusal)p.refusal),
			 p.why.s);
}

static void empty(void)
{
	static const enum step_kind order[] = { STEP_RULE_DEL, STEP_LABEL_DEL, STEP_CLASS_DEL };

	for (size_t k = 0; k < ARRAY_LEN(order); k++)
		for (uint32_t i = 0; i < LABELS; i++) {
			struct step s = order[k] == STEP_RULE_DEL
						? rule_step(1 + i, LABEL(i))
						: class_step(LABEL(i), MINOR(i), 8);

			s.kind = order[k];
			step_any(&s);
		}
}

/* --- the soak ------------------------------------------------------------------------------ */

static void stage(void)
{
	struct cfg_path *p = &rig.cfg.path[rig.cfg.paths++];

	*p = rig.cfg.path[0];
	p->id = 8;
	assert_true(str_set(p->name, "spare"));
	p->nexthop6 = address("fd10:a1::3");
	p->probe_src = address("fd10:ff:e:2::1");
	sh("set -e; ip link set lan0 address 02:00:00:00:00:10; "
	   "ip link set acc1 address 02:00:00:00:00:20; "
	   "ip -6 addr add fd10:ff:e:2::1 dev lo nodad; "
	   "for i in 2 3; do ip -6 neigh add fd10:a1::$i lladdr 02:00:00:00:00:20 dev acc0; done; "
	   "ip -6 route add fd10:2::/64 via fd10:a1::2 dev acc0");
}

/* Cycles of one life of the enforcer, until the moment; at least SETTLE + 2. */
static unsigned live(const char *clean, int64_t until)
{
	unsigned cycles = 0, kb = 0, fds = 0;

	while (cycles < SETTLE + 2 || seconds_now() < until) {
		char *now;

		for (int i = 0; i < STEPS; i++) {
			const struct step s = any_step();

			step_any(&s);
		}
		empty();
		now = host();
		same(clean, now, "the host after all was removed");
		free(now);
		if (cycles == SETTLE) {
			kb = memory_kb();
			fds = descriptors();
		}
		if (cycles > SETTLE && memory_kb() > kb + SLACK_KB)
			fail_msg("cycle %u: %u kB, after %d cycles %u kB", cycles, memory_kb(),
				 SETTLE, kb);
		if (cycles > SETTLE)
			assert_int_equal(descriptors(), fds);
		cycles++;
	}
	print_message("enforcer: %u kB after %d cycles, %u kB after %u; %u descriptors\n", kb,
		      SETTLE, memory_kb(), cycles, fds);
	return cycles;
}

static void test_soak(void **state)
{
	int64_t from = seconds_now(), seconds = knob("SOAK_SECONDS", 45);
	char *before = host(), *clean, *after;
	pid_t traffic = traffic_start();
	uint64_t carried;
	unsigned cycles;

	(void)state;
	enforcer_up();
	empty();
	clean = host();
	cycles = live(clean, from + seconds / 2);
	enforcer_kill();
	take_away_at_end = true;
	enforcer_up();
	empty();
	cycles += live(clean, from + seconds);
	carried = labelled();
	assert_int_equal(enforcer_down(), 0);
	after = host();
	same(before, after, "the host after the enforcer");
	assert_int_equal(kill(traffic, 0), 0); /* it flowed to the end */
	(void)kill(traffic, SIGKILL);
	(void)waitpid(traffic, NULL, 0);
	print_message("%lld s, %u cycles: %llu steps, %llu changed something, %llu refused; %llu "
		      "packets labelled\n",
		      (long long)(seconds_now() - from), cycles, (unsigned long long)steps_done,
		      (unsigned long long)changed, (unsigned long long)refused,
		      (unsigned long long)carried);
	assert_true(carried > cycles);
	free(before);
	free(clean);
	free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_soak) };
	long seed = knob("SOAK_SEED", (long)seconds_now());
	int r;

	/* a /tmp of our own: what the rig makes there goes with us, also when we are killed */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	     mount("none", "/tmp", "tmpfs", 0, NULL)))
		return 1;
	if (!rig_enter()) {
		print_message("skipped: needs root\n");
		return 77;
	}
	print_message("SOAK_SEED=%ld\n", seed);
	srandom((unsigned)seed);
	configure();
	links_make();
	stage();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rig_leave();
	return r;
}
