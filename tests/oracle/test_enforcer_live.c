/* SPDX-License-Identifier: Apache-2.0 */
/* Traffic through lan - edge - far while the enforcer is killed, comes back and hangs up: not one
 * packet may be lost, not one count may start anew. */
#include "enforcer_rig.h"

#include "agent/enforcer/counters.h"

#include <netinet/in.h>

#define PACKETS 5000
#define GAP_NS  1000000 /* a thousand a second */
#define PORT    7001
#define PAYLOAD 100

struct host {
	pid_t pid;
	int go, said; /* pipes */
};

static void host_wait(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(1);
}

/* A process in a network of its own; fn runs with the socket of sock, which stands when this
 * returns: what is sent to it from then on has somewhere to go. */
static struct host host_start(const char *dev, const char *set_up, int (*sock)(void),
			      uint32_t (*fn)(int fd))
{
	int go[2], said[2];
	struct host h;
	uint32_t n;
	int fd;
	char c;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	h.pid = fork();
	if (h.pid == 0) {
		(void)close(go[1]);
		if (unshare(CLONE_NEWNET) || write(said[1], "n", 1) != 1)
			_exit(1);
		host_wait(go[0]);
		fd = system(set_up) ? -1 : sock();
		if (fd < 0 || write(said[1], "u", 1) != 1)
			_exit(1);
		host_wait(go[0]);
		n = fn(fd);
		if (write(said[1], &n, sizeof(n)) != sizeof(n))
			_exit(1);
		host_wait(go[0]); /* its device goes with it, and the other end */
		_exit(0);
	}
	(void)close(go[0]);
	(void)close(said[1]);
	h.go = go[1];
	h.said = said[0];
	assert_int_equal(read(h.said, &c, 1), 1);
	sh("ip link set %s netns %d", dev, h.pid);
	assert_int_equal(write(h.go, "x", 1), 1);
	assert_int_equal(read(h.said, &c, 1), 1);
	return h;
}

static uint32_t host_count(const struct host *h)
{
	uint32_t n = 0;

	assert_int_equal(read(h->said, &n, sizeof(n)), sizeof(n));
	return n;
}

static void host_end(struct host *h)
{
	int status;

	assert_int_equal(write(h->go, "x", 1), 1);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_int_equal(status, 0);
	(void)close(h->go);
	(void)close(h->said);
}

static struct sockaddr_in6 far_end(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };

	(void)inet_pton(AF_INET6, "fd10:a1::2", &a.sin6_addr);
	return a;
}

static int sender(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static uint32_t send_all(int fd)
{
	struct timespec at;
	const struct sockaddr_in6 to = far_end();
	uint8_t b[PAYLOAD] = { 0 };
	uint32_t sent = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	for (uint32_t i = 0; i < PACKETS; i++) {
		at.tv_nsec += GAP_NS;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		memcpy(b, &i, sizeof(i));
		sent += sendto(fd, b, sizeof(b), 0, (const struct sockaddr *)&to, sizeof(to)) ==
			sizeof(b);
	}
	return sent;
}

static int receiver(void)
{
	const struct timeval wait = { 10, 0 };
	const int room = 8 << 20; /* a machine that stood still sends many at once */
	const struct sockaddr_in6 at = far_end();
	int fd = sender();

	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return fd;
}

/* How many different ones came, until ten seconds of silence. */
static uint32_t receive_all(int fd)
{
	static bool seen[PACKETS];
	uint8_t b[PAYLOAD];
	uint32_t n = 0, i;

	while (n < PACKETS && recv(fd, b, sizeof(b), 0) == sizeof(b)) {
		memcpy(&i, b, sizeof(i));
		if (i < PACKETS && !seen[i]) {
			seen[i] = true;
			n++;
		}
	}
	return n;
}

static void label_up(void)
{
	struct step l = label_step(21), c = class_step(21, 0x110, 20 * MBIT);
	struct step r = rule_step(5, 21), s = steer_step(21, 7);

	inet_pton(AF_INET6, "fd10:a1::", r.rule.dst);
	done(&c, 1);
	done(&l, 1);
	done(&s, 1);
	done(&r, 1);
}

static struct label_sample totals(void)
{
	struct counters *k = NULL;
	struct label_sample s;
	struct err e = { 0 };

	if (counters_new(&k, &rig.c, &e) || counters_base(k, &(uint32_t){ 21 }, 1, &e) ||
	    counters_label(k, 21, &s))
		fail_msg("%s", e.text);
	k = counters_free(k);
	return s;
}

/* Returns how often: as often as the machine is quick enough to start it while packets flow. */
static int kill_under_traffic(void)
{
	const struct step c = class_step(21, 0x110, 20 * MBIT);
	struct label_sample s, mid;
	int deaths = 0;

	do {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
		mid = totals();
		enforcer_kill();
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		enforcer_up();
		done(&c, 0);
		s = totals();
		assert_true(s.dir[0].rx_packets > mid.dir[0].rx_packets);
		deaths++;
	} while (s.dir[0].rx_packets < PACKETS / 2);
	return deaths;
}

static void test_deaths(void **st)
{
	struct host far, lan;
	struct label_sample s;
	char *before, *after;
	int deaths;

	(void)st;
	links_make();
	configure();
	/* a router asks for neighbours by its link-local address */
	sh("ip -6 addr add fd10:1::1/64 dev lan0 nodad; ip -6 addr add fe80::1/64 dev lan0 nodad; "
	   "ip -6 addr add fe80::1/64 dev acc0 nodad");
	far = host_start("acc1",
			 "ip link set lo up; ip link set acc1 up && "
			 "ip -6 addr add fd10:a1::2/64 dev acc1 nodad && "
			 "ip -6 route add default via fd10:a1::1",
			 receiver, receive_all);
	lan = host_start("lan1",
			 "ip link set lo up; ip link set lan1 up && "
			 "ip -6 addr add fd10:1::2/64 dev lan1 nodad && "
			 "ip -6 route add default via fd10:1::1 && "
			 "ping -6 -c 1 -w 5 -i 0.2 fd10:a1::2 >/dev/null",
			 sender, send_all);
	before = host();
	enforcer_up();
	label_up();
	assert_int_equal(write(far.go, "x", 1), 1);
	assert_int_equal(write(lan.go, "x", 1), 1);
	deaths = kill_under_traffic();
	print_message("%d deaths while packets flowed\n", deaths);
	assert_int_equal(host_count(&lan), PACKETS);
	assert_int_equal(host_count(&far), PACKETS);
	s = totals();
	assert_int_equal(s.dir[0].rx_packets, PACKETS);
	assert_int_equal(s.dir[0].tx_packets, PACKETS);
	assert_int_equal(s.dir[0].rx_bytes, PACKETS * (14 + 40 + 8 + PAYLOAD));
	assert_int_equal(s.dir[0].drop_rate + s.dir[0].expired + s.dir[0].violation, 0);
	says("tc -s class show dev acc0 classid 54:110", " 5000 pkt ", true);
	take_away_at_end = true;
	enforcer_kill();
	enforcer_up();
	assert_int_equal(enforcer_down(), 0);
	after = host();
	assert_string_equal(before, after);
	free(before);
	free(after);
	host_end(&lan);
	host_end(&far);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_deaths) };

	return rig_run(tests);
}
