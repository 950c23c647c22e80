/* SPDX-License-Identifier: Apache-2.0 */
/* A whole life leaves no trace: every back end and kind of path, killed and adopted, its device
 * gone and back, collected and removed, beside what others hold on the same devices. The host's
 * own words before and after must be the same, and every program, map and link of ours is gone.
 *
 * What the dumps leave out, and why: packet statistics (others' traffic goes on), the numbers of
 * devices (a device that comes back has another one). Handles, ids, priorities, orders of what is
 * not ours stay in: they must not move. */
#include "enforcer_rig.h"

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

#ifndef TCX_INGRESS_TYPE
#define TCX_INGRESS_TYPE 46 /* BPF_TCX_INGRESS, Linux 6.6 */
#endif

#define IDS_MAX 256

/* --- what others hold -------------------------------------------------------------------------
 */

static struct foreign {
	int prog, link; /* link -1: this kernel has no TCX */
} other;

/* Lets every packet go on. */
static int foreign_program(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "stranger", "GPL", code, ARRAY_LEN(code),
			     NULL);
}

/* On lan0, where we only classify: a root qdisc, filters before and behind ours, a program. acc0
 * gets what a device of ours may have beside us. */
static void foreign_up(void)
{
	char *t = told("ip -o link show lan0 | cut -d: -f1");
	int lan0 = atoi(t);

	free(t);
	other.prog = foreign_program();
	assert_true(other.prog >= 0);
	other.link =
		bpf_link_create(other.prog, lan0, (enum bpf_attach_type)TCX_INGRESS_TYPE, NULL);
	sh("tc qdisc add dev lan0 root handle 7: tbf rate 1gbit burst 1mb latency 50ms; "
	   "tc qdisc add dev lan0 clsact; "
	   "tc filter add dev lan0 ingress prio 9 protocol ipv6 u32 match u32 0 0 classid 1:1; "
	   "tc filter add dev lan0 egress prio 900 protocol all u32 match u32 0 0 classid 1:2; "
	   "ip -6 route add fd10:dead::/64 via fd10:a1::2 dev acc0 metric 77; "
	   "ip -6 rule add fwmark 0x7 lookup 77 pref 77; ip -4 rule add fwmark 0x7 lookup 77 pref "
	   "77; "
	   "ip -6 route add fd10:beef::/64 dev lan0 table 77; "
	   "ip nexthop add id 77 dev lan0");
}

static void foreign_down(void)
{
	if (other.link >= 0)
		(void)close(other.link);
	(void)close(other.prog);
	sh("ip -6 rule del pref 77; ip -4 rule del pref 77; tc qdisc del dev lan0 root; "
	   "ip nexthop del id 77; tc qdisc del dev lan0 clsact");
}

/* --- the host's own words ---------------------------------------------------------------------
 */

static const char dump_all[] =
	"for d in acc0 acc1 lan0 lan1 lo; do echo \"== $d\"; "
	"ip -d link show dev $d; ip -d addr show dev $d; "
	"tc -s -d qdisc show dev $d; tc -s -d class show dev $d; tc -s -d filter show dev $d; "
	"tc -s -d filter show dev $d ingress 2>&1; tc -s -d filter show dev $d egress 2>&1; done | "
	"sed -E '/^ *(Sent|backlog|lended|borrowed|tokens|rate) /d; s/^[0-9]+: //; s/^( "
	"*link-netns).*//; "
	"s/ *\\(rule hit [0-9]+ success [0-9]+\\)//'; "
	"for f in -4 -6; do echo \"== routes $f\"; ip $f -d route show table all | sort; ip $f -d "
	"rule; done; "
	"echo == nexthops; ip -d nexthop; "
	"echo == programs; bpftool net show 2>/dev/null | sed -E 's/\\([0-9]+\\)/(N)/g'; "
	"echo == sysctl; sysctl -a --pattern '^net.ipv[46].(conf|route|fib)|^net.core' 2>/dev/null "
	"| "
	"grep -v -e '\\.mtu ' -e stable_secret | sort; "
	"echo == pins; find %s -mindepth 1 | grep -v debug; true";

static char *everything(void)
{
	return told(dump_all, rig.pins);
}

/* --- what was ours ----------------------------------------------------------------------------
 */

enum kind { OURS_MAP, OURS_PROG, OURS_LINK };

static struct ours {
	enum kind kind;
	uint32_t id;
} ours[IDS_MAX];
static size_t n_ours;

static void remember(enum kind kind, uint32_t id)
{
	for (size_t i = 0; i < n_ours; i++)
		if (ours[i].kind == kind && ours[i].id == id)
			return;
	assert_true(n_ours < IDS_MAX);
	ours[n_ours++] = (struct ours){ kind, id };
}

/* A pin's object; of a link its program too, of a program its maps. */
static void remember_fd(int fd)
{
	struct bpf_link_info l = { 0 };
	struct bpf_map_info m = { 0 };
	uint32_t len = sizeof(m), llen = sizeof(l);
	char name[64] = { 0 }, proc[64];

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	assert_true(readlink(proc, name, sizeof(name) - 1) > 0);
	if (strstr(name, "bpf-map") && !bpf_obj_get_info_by_fd(fd, &m, &len)) {
		remember(OURS_MAP, m.id);
	} else if (strstr(name, "bpf_link") && !bpf_obj_get_info_by_fd(fd, &l, &llen)) {
		remember(OURS_LINK, l.id);
		remember(OURS_PROG, l.prog_id);
	}
}

static void remember_ours(void)
{
	char *list = told("find %s -type f | grep -v debug", rig.pins), *at = list, *line;

	while ((line = strsep(&at, "\n")) && *line) {
		int fd = bpf_obj_get(line);

		assert_true(fd >= 0);
		remember_fd(fd);
		(void)close(fd);
	}
	free(list);
	assert_true(n_ours > 10);
}

static bool lives(const struct ours *o)
{
	int fd = o->kind == OURS_MAP    ? bpf_map_get_fd_by_id(o->id)
		 : o->kind == OURS_PROG ? bpf_prog_get_fd_by_id(o->id)
					: bpf_link_get_fd_by_id(o->id);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0 || errno != ENOENT;
}

/* The kernel frees after a grace period. */
static bool all_gone(void)
{
	for (size_t i = 0; i < n_ours; i++)
		if (lives(&ours[i]))
			return false;
	return true;
}

/* --- a life -----------------------------------------------------------------------------------
 */

static bool carries(void)
{
	struct enforcer_links l = { 0 };
	struct err e = { 0 };

	return !enforcer_links(&rig.c, &l, &e) && l.n == 2 && l.link[1].ifindex &&
	       l.link[1].attached && l.link[1].shaped && l.link[0].attached;
}

static struct enforcer_findings f;

static bool sound(void)
{
	struct err e = { 0 };

	memset(&f, 0, sizeof(f));
	if (enforcer_findings(&rig.c, 0, &f, &e))
		return false;
	for (uint32_t i = 0; i < f.n; i++)
		if (f.finding[i].state != AUDIT_OK && f.finding[i].state != AUDIT_FOREIGN)
			return false;
	return true;
}

static void must_be_sound(void)
{
	if (within(10000, sound))
		return;
	for (uint32_t i = 0; i < f.n; i++)
		if (f.finding[i].state != AUDIT_OK)
			print_message("%u %s %s\n", f.finding[i].state, f.finding[i].kind,
				      f.finding[i].text);
	fail_msg("the kernel does not hold what it should");
}

/* One of every kind of step. */
static void steps(void)
{
	struct step ceiling = { .kind = STEP_CEILING_SET, .ceiling = 3, .rate = { 90 * MBIT } };
	struct step l = label_step(21), c = class_step(21, 0x110, 20 * MBIT), r = rule_step(4, 21),
		    s = steer_step(21, 7);

	l.ceiling = 3;
	l.src_family = 6;
	l.src_up_len = 64;
	l.src_up[0] = 0xfd;
	done(&ceiling, 1);
	done(&c, 1);
	done(&l, 1);
	done(&r, 1);
	done(&s, 1);
	if (rig.cfg.classes) {
		struct step local = {
			.kind = STEP_RULE_SET,
			.rule = { .id = 600, .dscp = 255, .class_id = 1, .label = 21, .cgroup = 1 }
		};

		done(&local, 1);
	}
}

/* Where they stand, as a cable that is pulled and put back by another driver would have it. */
static void device_again(void)
{
	sh("ip link del acc0; sleep 0.1; "
	   "ip link add acc0 address 02:00:00:00:00:01 type veth peer name acc1 address "
	   "02:00:00:00:00:02; for d in acc0 acc1; do ip link set $d addrgenmode none; "
	   "ip link set $d up; done; ip -6 addr add fd10:a1::1/64 dev acc0 nodad; "
	   "ip -6 route add fd10:dead::/64 via fd10:a1::2 dev acc0 metric 77");
	assert_true(within(10000, carries));
	must_be_sound();
}

/* What a crash in the middle of a step may leave, and gc takes away. */
static void orphan(bool htb)
{
	struct enforcer_gc gc = { 0 };
	struct err e = { 0 };

	if (htb)
		sh("tc class add dev acc0 parent 54:1 classid 54:777 htb rate 1mbit");
	sh("ip -6 route add fd10:bad::/64 dev acc0 table 1007 proto 84");
	assert_int_equal(enforcer_gc(&rig.c, &gc, &e), 0);
	must_be_sound();
}

static void a_life(bool htb)
{
	char *before, *during, *after;

	sh("ip link set acc0 address 02:00:00:00:00:01; ip link set acc1 address "
	   "02:00:00:00:00:02");
	foreign_up();
	n_ours = 0;
	before = everything();
	enforcer_up();
	assert_true(within(10000, carries));
	steps();
	during = everything();
	assert_string_not_equal(before, during); /* the dump sees us */
	free(during);
	remember_ours();
	enforcer_kill();
	enforcer_up(); /* adopts; the programs are put in their predecessors' places */
	must_be_sound();
	remember_ours();
	device_again();
	orphan(htb);
	remember_ours();
	assert_int_equal(enforcer_down(), 0);
	after = everything();
	same(before, after, "a whole life");
	assert_true(within(10000, all_gone));
	foreign_down();
	free(before);
	free(after);
}

static void test_htb(void **st)
{
	(void)st;
	rig.cfg.node.class_pool = 16;
	a_life(true);
}

static void test_policer_and_nexthops(void **st)
{
	(void)st;
	rig.cfg.device[1].shaper = SHAPER_POLICER;
	rig.cfg.path[0].via = VIA_NEXTHOP;
	rig.cfg.path[0].v4_sid = (struct cfg_addr){ 0 };
	a_life(false);
}

/* Beside its table the path has a redirect, and this host's own addresses are in a map of ours. */
static void test_redirect(void **st)
{
	(void)st;
	rig.cfg.path[0].via = VIA_REDIRECT;
	a_life(true);
}

/* EDT where the kernel has fq, and colours. */
static void test_auto_and_colours(void **st)
{
	(void)st;
	rig.cfg.device[1].shaper = SHAPER_AUTO;
	rig.cfg.node.colours = 1;
	rig.cfg.node.colour[0][0] = 46;
	rig.cfg.node.colour[0][1] = 47;
	rig.cfg.node.block_ms = 1000;
	a_life(false);
}

static void test_pacing(void **st)
{
	char *root = told("awk '$3 == \"cgroup2\" { print $2; exit }' /proc/self/mounts"),
	     group[128], *before, *after;

	(void)st;
	root[strcspn(root, "\n")] = 0;
	if (root[0]) {
		(void)snprintf(group, sizeof(group), "%s/treaty-rig-%d", root, (int)getpid());
		assert_int_equal(mkdir(group, 0755), 0);
		assert_true(str_set(rig.cfg.node.pace_cgroup, group));
		rig.cfg.classes = 1;
		rig.cfg.class[0].id = 1;
		assert_true(str_set(rig.cfg.class[0].cgroup, group));
		before = told("bpftool cgroup show %s 2>&1 || true", group);
		a_life(true);
		after = told("bpftool cgroup show %s 2>&1 || true", group);
		same(before, after, "the cgroup");
		free(before);
		free(after);
		assert_int_equal(rmdir(group), 0);
	}
	free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		staged(test_htb),      staged(test_policer_and_nexthops),
		staged(test_redirect), staged(test_auto_and_colours),
		staged(test_pacing),
	};

	return rig_run(tests);
}
