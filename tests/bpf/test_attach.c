/* SPDX-License-Identifier: Apache-2.0 */
/* test_attach.c - real packets over a veth pair in namespaces of our own: attach, survive, adopt,
 * upgrade under traffic, remove without a trace. Every case runs with TCX and with clsact. */
#include "veth.h"

#include <linux/capability.h>
#include <sys/syscall.h>

static void leaves_no_trace(void **state)
{
	char before[4096], after[4096];
	struct err e = { 0 };
	struct dp *d;

	(void)state;
	host_state(before, sizeof(before));
	d = start();
	send_flow(BATCH);
	await_rx(d, BATCH);
	must(dp_remove(&d, &e), &e);
	assert_null(d);
	host_state(after, sizeof(after));
	assert_string_equal(before, after);
	assert_int_equal(access(pins, F_OK), -1);
	send_flow(5);
}

static void survives_and_is_adopted(void **state)
{
	struct dp_features f;
	struct dp_port port;
	struct dp_label l;
	struct dp_rule r;
	struct dp *d = start();
	uint32_t path;

	(void)state;
	send_flow(BATCH);
	await_rx(d, BATCH);
	d = dp_close(d);
	send_flow(BATCH); /* nobody is there, and it goes on */
	d = reopen();
	dp_features(d, &f);
	assert_true(f.adopted);
	assert_int_equal(f.labels, 64);
	await_rx(d, 2 * BATCH);
	assert_int_equal(dp_port_next(d, 0), v0);
	assert_int_equal(dp_port_get(d, v0, &port), 0);
	assert_int_equal(port.role, DP_ROLE_EDGE);
	assert_int_equal(port.hook, hook);
	assert_int_equal(dp_label_get(d, L, &l), 0);
	assert_int_equal(l.dscp, 34);
	assert_int_equal(dp_rules_get(d, &r, 1), 1);
	assert_int_equal(r.label, L);
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 4);
	send_flow(BATCH);
	await_rx(d, 3 * BATCH);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* The owner dies by SIGKILL with everything attached. */
static void survives_kill(void **state)
{
	int pipefd[2], status;
	struct dp *d;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)start();
		(void)!write(pipefd[1], "x", 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(pipefd[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
	send_flow(BATCH);
	d = reopen();
	await_rx(d, BATCH);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* Each reopen swaps freshly loaded programs in while packets flow: none passes unseen. */
static void upgrade_under_traffic(void **state)
{
	enum { ROUNDS = 8, PER_TURN = 50 };
	int pipefd[2], status;
	struct dp *d = start();
	uint64_t sent = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(pipefd, O_NONBLOCK), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		uint32_t n = 0;
		char c;

		while (read(pipefd[0], &c, 1) < 0) {
			send_flow(PER_TURN);
			n += PER_TURN;
		}
		_exit(write(pipefd[1], &n, sizeof(n)) == sizeof(n) ? 0 : 1);
	}
	for (int i = 0; i < ROUNDS; i++) {
		d = dp_close(d);
		d = reopen();
	}
	assert_int_equal(write(pipefd[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(pipefd[0], &sent, sizeof(uint32_t)), sizeof(uint32_t));
	print_message("  %llu packets over %d swaps\n", (unsigned long long)sent, ROUNDS);
	assert_true(sent > 1000);
	await_rx(d, sent);
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* A changed role swaps the ingress program in place. */
static void role_swap(void **state)
{
	struct dp *d = start();
	struct dp_port port;
	struct pkt p;

	(void)state;
	attach(d, DP_ROLE_EDGE);
	udp6(&p, 0, L, 9);
	blast(to_v0, &p, 10); /* at the edge a label is nothing */
	send_flow(1);
	await_rx(d, 1);
	attach(d, DP_ROLE_NODE);
	blast(to_v0, &p, 10);
	await_rx(d, 11);
	assert_int_equal(dp_port_get(d, v0, &port), 0);
	assert_int_equal(port.role, DP_ROLE_NODE);
	assert_int_equal(dp_port_detach(d, v0, NULL), 0);
	assert_int_equal(dp_port_detach(d, v0, NULL), 0);
	blast(to_v0, &p, 10);
	assert_int_equal(dp_port_next(d, 0), 0);
	attach(d, DP_ROLE_NODE);
	blast(to_v0, &p, 1);
	await_rx(d, 12);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* What leaves v0 with our mark arrives at v1 with our label. */
static void egress_writes_label(void **state)
{
	struct timeval limit = { .tv_sec = 20 };
	uint32_t mark = 4u << 24 | L;
	struct dp *d = start();
	struct dp_count c;
	struct pkt p, got;
	ssize_t n;

	(void)state;
	assert_int_equal(setsockopt(to_v1, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	assert_int_equal(setsockopt(to_v0, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	udp6(&p, 12 << 2, 0x333, 9);
	blast(to_v1, &p, 1);
	do {
		n = recv(to_v0, got.b, sizeof(got.b), 0);
		assert_true(n > 0);
	} while ((size_t)n != p.n || memcmp(got.b, p.b, 12) != 0);
	got.l3 = p.l3;
	assert_int_equal(label_of(&got), L);
	assert_memory_equal(got.b + 18, p.b + 18, p.n - 18);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_int_equal(c.tx_packets, 1);
	assert_int_equal(c.tx_bytes, p.n);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* --- a real TCP sender, with segmentation offload ----------------------------------------------
 */

#define STREAM (4u << 20)

/* In a network namespace of its own: waits for v1 to arrive in it, connects and sends. */
static int tcp_sender(int ready, int go)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(7001),
				  .sin_addr.s_addr = htonl(0x0a090001) };
	static uint8_t buf[65536];
	char c = 0;
	int fd;

	if (unshare(CLONE_NEWNET) || write(ready, &c, 1) != 1 || read(go, &c, 1) != 1 ||
	    system("ip addr add 10.9.0.2/24 dev v1 && ip link set v1 up"))
		return 2;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return 3;
	for (size_t sent = 0; sent < STREAM; sent += sizeof(buf))
		if (send(fd, buf, sizeof(buf), 0) != sizeof(buf))
			return 4;
	return close(fd) ? 5 : 0;
}

static void tcp_receive(int listener)
{
	static uint8_t buf[65536];
	int fd = accept(listener, NULL, NULL);
	size_t got = 0;
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	assert_int_equal(got, STREAM);
	(void)close(fd);
}

/* Offloaded packets count as what they are on a wire: 66 bytes of headers around each payload. */
static void tcp_is_counted_by_wire_packets(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(7001) };
	struct timeval limit = { .tv_sec = 10 };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ready[2], go[2], status;
	struct dp *d = start();
	struct dp_count c;
	char cmd[128], x;
	uint64_t extra;
	pid_t pid;

	(void)state;
	sh("ip addr add 10.9.0.1/24 dev v0");
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)),
			 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(tcp_sender(ready[1], go[0]));
	assert_int_equal(read(ready[0], &x, 1), 1);
	(void)snprintf(cmd, sizeof(cmd), "ip link set v1 netns %d", (int)pid);
	sh(cmd);
	assert_int_equal(write(go[1], &x, 1), 1);
	tcp_receive(listener);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	print_message("  %llu packets, %llu bytes\n", (unsigned long long)c.rx_packets,
		      (unsigned long long)c.rx_bytes);
	assert_true(c.rx_packets >= STREAM / 1448 && c.rx_packets < STREAM / 1000);
	extra = c.rx_bytes - c.rx_packets * 66 - STREAM; /* the SYN's options, a stray repeat */
	assert_true(extra >= 8 && extra <= 8 + 4 * 1448);
	for (int i = 0; i < 2; i++) {
		(void)close(ready[i]);
		(void)close(go[i]);
	}
	(void)close(listener);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* --- neighbours ------------------------------------------------------------------------------ */

/* Somebody else's qdisc and filter, there before us: there after us, unchanged. */
static void foreign_before(void **state)
{
	char before[4096], after[4096];
	struct dp *d;

	(void)state;
	sh("tc qdisc add dev v0 clsact && tc filter add dev v0 ingress protocol all prio 500 "
	   "u32 match u32 0 0 flowid 1:1");
	host_state(before, sizeof(before));
	d = start();
	send_flow(BATCH);
	await_rx(d, BATCH);
	assert_int_equal(dp_remove(&d, NULL), 0);
	host_state(after, sizeof(after));
	assert_string_equal(before, after);
}

/* We made the qdisc, somebody hung a filter on it: both stay. */
static void foreign_after(void **state)
{
	char after[4096];
	struct dp *d = start();

	(void)state;
	if (hook == DP_HOOK_TCX)
		sh("tc qdisc add dev v0 clsact");
	sh("tc filter add dev v0 egress protocol all prio 500 u32 match u32 0 0 flowid 1:1");
	send_flow(BATCH);
	await_rx(d, BATCH);
	assert_int_equal(dp_remove(&d, NULL), 0);
	host_state(after, sizeof(after));
	assert_non_null(strstr(after, "clsact"));
	assert_non_null(strstr(after, "u32"));
	assert_null(strstr(after, "bpf"));
}

static int stranger_prog(void)
{
	const struct bpf_insn insn[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "stranger", "GPL", insn, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* A stranger on exactly our priority and handle is refused, not replaced; with TCX it is not in
 * our way at all. */
static void foreign_in_our_place(void **state)
{
	LIBBPF_OPTS(bpf_tc_hook, h, .ifindex = (int)v0, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, o, .handle = 0x5459, .priority = 0x54);
	struct dp_port p = { .ifindex = v0, .role = DP_ROLE_NODE };
	char before[4096], after[4096];
	enum refusal no = REFUSE_NONE;
	struct dp *d;
	int r;

	(void)state;
	assert_int_equal(bpf_tc_hook_create(&h), 0);
	o.prog_fd = stranger_prog();
	assert_int_equal(bpf_tc_attach(&h, &o), 0);
	(void)close(o.prog_fd);
	host_state(before, sizeof(before));
	d = reopen();
	r = dp_port_attach(d, &p, &no, NULL);
	if (hook == DP_HOOK_TCX) {
		assert_int_equal(r, 0);
	} else {
		assert_int_equal(r, DP_REFUSED);
		assert_int_equal(no, REFUSE_FOREIGN_OBJECT);
		assert_int_equal(dp_port_next(d, 0), 0);
	}
	assert_int_equal(dp_remove(&d, NULL), 0);
	host_state(after, sizeof(after));
	assert_string_equal(before, after);
}

/* What the enforcer keeps: without CAP_SYS_ADMIN the kernel names nobody's programs. */
static int without_admin(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct c[2] = { { 0 } };

	if (syscall(SYS_capget, &h, c))
		return -1;
	c[0].effective &= ~(1u << CAP_SYS_ADMIN);
	c[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	return (int)syscall(SYS_capset, &h, c);
}

/* A confined owner knows its own filters of an earlier life: it takes them over, changes them, and
 * removes them. */
static void confined_owner(void **state)
{
	struct dp_port p = { .ifindex = v0, .role = DP_ROLE_NODE };
	char before[4096], after[4096];
	struct dp *d;
	int status;
	pid_t pid;

	(void)state;
	host_state(before, sizeof(before));
	d = start();
	d = dp_close(d);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct dp_config c = { .pin_dir = pins, .hook = hook };
		struct err e = { 0 };

		if (without_admin() || dp_open(&d, &c, &e) || dp_port_attach(d, &p, NULL, &e) ||
		    dp_remove(&d, &e)) {
			print_error("%s\n", e.text);
			_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	host_state(after, sizeof(after));
	assert_string_equal(before, after);
}

/* --- what can go wrong ------------------------------------------------------------------------ */

static void device_vanishes(void **state)
{
	struct dp *d = start();
	enum refusal no = REFUSE_NONE;
	struct dp_port p = { .ifindex = v0, .role = DP_ROLE_NODE };

	(void)state;
	d = dp_close(d);
	sh("ip link del v0");
	d = reopen();
	assert_int_equal(dp_port_next(d, 0), 0);
	assert_int_equal(dp_port_attach(d, &p, &no, NULL), DP_REFUSED);
	assert_int_equal(no, REFUSE_DEVICE_UNKNOWN);
	/* the same index again, and gone while the owner lives: no error either */
	sh("ip link add v0 index 900 type veth peer name v1");
	p.ifindex = 900;
	assert_int_equal(dp_port_attach(d, &p, &no, NULL), 0);
	sh("ip link del v0; ip link add v0 index 900 type veth peer name v1");
	assert_int_equal(dp_port_attach(d, &p, &no, NULL), 0);
	assert_int_equal(dp_remove(&d, NULL), 0);
	assert_int_equal(access(pins, F_OK), -1);
}

/* While its programs are being taken off: whoever comes first, the port is detached. */
static void device_vanishes_meanwhile(void **state)
{
	struct dp *d = start();
	struct dp_port p = { .ifindex = 901, .role = DP_ROLE_NODE };
	struct err e = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++) {
		pid_t pid;
		int status;

		sh("ip link add v2 index 901 type veth peer name v3");
		assert_int_equal(dp_port_attach(d, &p, NULL, NULL), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			execlp("ip", "ip", "link", "del", "v2", (char *)NULL);
			_exit(127);
		}
		(void)usleep((useconds_t)i * 300); /* sooner or later than it: both must do */
		if (dp_port_detach(d, 901, &e))
			fail_msg("round %d: %s", i, e.text);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(dp_port_get(d, 901, &p), -ENOENT);
	}
	assert_int_equal(dp_remove(&d, NULL), 0);
}

static void other_version_is_refused(void **state)
{
	struct dp_config c = { .pin_dir = pins, .labels = 64, .hook = hook };
	struct dp *d = start(), *none = NULL;
	struct err e = { 0 };
	struct dp_ctl ctl;
	char path[128];
	uint32_t zero = 0;
	int fd;

	(void)state;
	d = dp_close(d);
	(void)snprintf(path, sizeof(path), "%s/ctl", pins);
	fd = bpf_obj_get(path);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &ctl), 0);
	ctl.version++;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &ctl, BPF_ANY), 0);
	assert_int_equal(dp_open(&none, &c, &e), -ESTALE);
	assert_null(none);
	assert_non_null(strstr(e.text, "pinned by ABI version"));
	ctl.version--;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &ctl, BPF_ANY), 0);
	(void)close(fd);
	send_flow(BATCH); /* nothing was touched */
	d = reopen();
	await_rx(d, BATCH);
	assert_int_equal(dp_remove(&d, NULL), 0);
	c.pin_dir = "/tmp";
	assert_int_equal(dp_open(&none, &c, NULL), -EINVAL);
}

/* The fd that leaves the enforcer: readable without any right, writable by nobody. */
static void counters_fd_is_safe(void **state)
{
	struct dp *d = start();
	int fd = dp_counters_fd(d), status;
	union dp_cell cell = { 0 };
	uint32_t zero = 0;
	pid_t pid;

	(void)state;
	send_flow(BATCH);
	await_rx(d, BATCH);
	assert_int_equal(bpf_map_update_elem(fd, &zero, &cell, BPF_ANY), -EPERM);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct dp_view *v = NULL;
		struct dp_count c;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (dp_view_open(&v, fd, NULL) || dp_view_count(v, L, DP_UP, &c))
			_exit(3);
		_exit(c.rx_packets == BATCH && dp_view_labels(v) == 64 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* --- all of it twice ---------------------------------------------------------------------------
 */

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(leaves_no_trace),
		T(survives_and_is_adopted),
		T(survives_kill),
		T(upgrade_under_traffic),
		T(role_swap),
		T(egress_writes_label),
		T(tcp_is_counted_by_wire_packets),
		T(foreign_before),
		T(foreign_after),
		T(foreign_in_our_place),
		T(confined_owner),
		T(device_vanishes),
		T(device_vanishes_meanwhile),
		T(other_version_is_refused),
		T(counters_fd_is_safe),
	};

	return stage_run("bpf attach", tests, ARRAY_LEN(tests));
}
