/* SPDX-License-Identifier: Apache-2.0 */
/* test_migrate.c - maps that ABI version 1 pinned are taken over: made here by the old layout, word
 * for word. The links stay where they are and get the new programs. */
#include "veth.h"

#include "bpf/dp_v1.h"
#include "bpf/dp_v3.h"

#define LABELS 64u
#define CPUS   3u /* the old machine's: not ours */
#define MBIT   1000000ull

static const char *const maps[] = { "ctl",   "lines", "steer", "meters", "counts", "rules",
				    "ports", "flows", "frags", "stamps", "base",   "shapes" };
static uint32_t linked; /* program in the ingress link before the migration */

static void pin_of(char to[160], const char *prefix, const char *name)
{
	(void)snprintf(to, 160, "%s/%s%s", pins, prefix, name);
}

static int map_make(const char *name, enum bpf_map_type type, uint32_t value, uint32_t n,
		    uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = flags);
	int fd = bpf_map_create(type, name, sizeof(uint32_t), value, n, &o);
	char path[160];

	assert_true(fd >= 0);
	pin_of(path, "", name);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	return fd;
}

static void put_at(int fd, uint32_t key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(fd, &key, value, BPF_ANY), 0);
}

static uint64_t cost(uint64_t bps)
{
	return ((uint64_t)8000000000 << 20) / bps;
}

static void labels_v1(void)
{
	const struct v1_line line = { .flags = 1 | 2 | 1u << 4,
				      .class_minor = 0x110,
				      .dscp = 34,
				      .dscp_over = 8,
				      .valid_until = UINT64_MAX,
				      .bind = { v0, 0 },
				      .cost = { cost(20 * MBIT), 0 },
				      .burst = { 300000000, 250000000 },
				      .ecost = { cost(5 * MBIT), 0 } };
	const struct v1_base base = { .count = { .rx_packets = 100, .rx_bytes = 9400 },
				      .rate = 20 * MBIT,
				      .excess = 5 * MBIT };
	const struct v1_steer steer = { .path = 4 };
	struct v1_base none = { 0 };
	int lines = map_make("lines", BPF_MAP_TYPE_ARRAY, sizeof(line), LABELS, BPF_F_MMAPABLE);
	int bases = map_make("base", BPF_MAP_TYPE_ARRAY, sizeof(base), LABELS * 2, 0);
	int steers =
		map_make("steer", BPF_MAP_TYPE_ARRAY, sizeof(steer), LABELS * 2, BPF_F_MMAPABLE);
	int counts = map_make("counts", BPF_MAP_TYPE_ARRAY, 128, 1 + LABELS * 2 * CPUS + 1024,
			      BPF_F_MMAPABLE);

	put_at(lines, L, &line);
	put_at(bases, L * 2, &base);
	put_at(bases, L * 2 + 1, &none);
	put_at(steers, L * 2, &steer);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		const struct v1_count c = { .rx_packets = 1000 * (cpu + 1),
					    .rx_bytes = 94000 * (cpu + 1),
					    .drop_packets = cpu };

		put_at(counts, V1_CELL(L, 0, CPUS, cpu), &c);
	}
	assert_int_equal(bpf_map_freeze(counts), 0);
	(void)close(lines), (void)close(bases), (void)close(steers), (void)close(counts);
}

static void rules_v1(void)
{
	static struct v1_rules t, stale;
	int rules = map_make("rules", BPF_MAP_TYPE_ARRAY, sizeof(t), 2, 0);
	struct v1_rule *r = t.rule;

	memset(&t, 0, sizeof(t));
	t.n = 2;
	r[0] = (struct v1_rule){ .sport_max = 0xffff,
				 .dport_min = 7001,
				 .dport_max = 7001,
				 .family = 6,
				 .proto = 17,
				 .dscp = 0xff,
				 .label = L,
				 .id = 9,
				 .prio = 1,
				 .class_id = 4 };
	memcpy(r[0].dst, "\xfd\x10\0\x02", 4);
	memset(r[0].dst_mask, 0xff, 8);
	r[1] = (struct v1_rule){ .sport_max = 0xffff,
				 .dport_max = 0xffff,
				 .family = 4,
				 .dscp = 46,
				 .id = 10,
				 .prio = 2,
				 .class_id = 5 };
	memcpy((uint8_t *)r[1].src + 10, "\xff\xff\x0a\x01\0\0", 6);
	memset(r[1].src_mask, 0xff, 14);
	stale.n = 200; /* the table that is not live is not looked at */
	put_at(rules, 1, &t);
	put_at(rules, 0, &stale);
	(void)close(rules);
}

/* The pins of a version 1 that managed v0 as a customer's device. */
static void pins_v1(uint32_t version)
{
	const struct v1_ctl ctl = { .magic = DP_ABI_MAGIC,
				    .version = version,
				    .generation = 7,
				    .labels = LABELS,
				    .classes = 256,
				    .cpus = CPUS,
				    .flows = 1024,
				    .made_dir = 1 };
	const struct v1_port port = { .role = DP_ROLE_EDGE,
				      .flags = hook == DP_HOOK_CLSACT ? DP_PORT_CLSACT : 0 };
	int fd;

	labels_v1();
	rules_v1();
	(void)close(map_make("meters", BPF_MAP_TYPE_ARRAY, 64, LABELS * 2, 0));
	(void)close(map_make("flows", BPF_MAP_TYPE_LRU_HASH, 16, 1024, 0));
	fd = map_make("ports", BPF_MAP_TYPE_HASH, sizeof(port), 64, 0);
	put_at(fd, v0, &port);
	(void)close(fd);
	fd = map_make("ctl", BPF_MAP_TYPE_ARRAY, sizeof(ctl), 1, BPF_F_MMAPABLE);
	put_at(fd, 0, &ctl);
	(void)close(fd);
}

/* An attached port whose maps' pins are gone: only the links and filters are left. */
static void attached(void)
{
	struct dp_hooked h[DP_HOOKED_MAX];
	struct dp *d = start();
	char path[160];
	size_t n = 0;

	assert_int_equal(dp_hooked(d, v0, false, h, &n), 0);
	assert_int_equal(n, 1);
	linked = h[0].id;
	d = dp_close(d);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		pin_of(path, "", maps[i]);
		if (unlink(path))
			assert_int_equal(errno, ENOENT);
	}
}

static void assert_no_old(void)
{
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		pin_of(path, "old_", maps[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void assert_label(struct dp *d)
{
	struct dp_label l;
	uint32_t path = 0;

	assert_int_equal(dp_label_next(d, 0), L);
	assert_int_equal(dp_label_next(d, L), 0);
	assert_int_equal(dp_label_get(d, L, &l), 0);
	assert_int_equal(l.valid_until.us, INT64_MAX);
	assert_int_equal(l.class_minor, 0x110);
	assert_int_equal(l.dscp, 34);
	assert_int_equal(l.dscp_over, 8);
	assert_int_equal(l.over, DP_OVER_REMARK);
	assert_true(l.police_edge && !l.police_node);
	assert_int_equal(l.dir[0].bind_ifindex, v0);
	assert_int_equal(l.dir[0].rate.bps, 20 * MBIT);
	assert_int_equal(l.dir[0].excess.bps, 5 * MBIT);
	assert_int_equal(l.dir[0].burst_us, 300000);
	assert_int_equal(l.dir[1].rate.bps, 0);
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 4);
}

static void assert_rules(struct dp *d)
{
	struct dp_rule r[4];

	assert_int_equal(dp_rules_get(d, r, 4), 2);
	assert_int_equal(r[0].id, 9);
	assert_int_equal(r[0].dst.len, 64);
	assert_memory_equal(r[0].dst.addr, "\xfd\x10\0\x02\0\0\0\0", 8);
	assert_int_equal(r[0].dport_min, 7001);
	assert_int_equal(r[0].dport_max, 7001);
	assert_int_equal(r[0].sport_max, 0);
	assert_int_equal(r[0].label, L);
	assert_int_equal(r[0].class_id, 4);
	assert_int_equal(r[1].id, 10);
	assert_int_equal(r[1].src.len, 16);
	assert_memory_equal(r[1].src.addr, "\x0a\x01\0\0", 4);
	assert_int_equal(r[1].dscp, 46);
}

/* All is there, the program is another, and the counters go on where they were. */
static void assert_carried(struct dp *d)
{
	struct dp_hooked h[DP_HOOKED_MAX];
	struct dp_count c;
	struct dp_port p;
	size_t n = 0;

	assert_label(d);
	assert_rules(d);
	assert_int_equal(dp_port_get(d, v0, &p), 0);
	assert_int_equal(p.role, DP_ROLE_EDGE);
	assert_int_equal(dp_hooked(d, v0, false, h, &n), 0);
	assert_int_equal(n, 1);
	assert_true(h[0].ours && h[0].id != linked);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_int_equal(c.rx_packets, 5900);
	assert_int_equal(c.rx_bytes, 94000 * 6 - 9400);
	assert_int_equal(c.drop_packets, 3);
	assert_no_old();
	send_flow(100);
	await_rx(d, 6000);
}

static void carries_over(void **state)
{
	struct dp_count c;
	struct dp *d;

	(void)state;
	attached();
	pins_v1(V1_VERSION);
	d = reopen();
	assert_carried(d);
	d = dp_close(d);
	d = reopen(); /* the next open is an ordinary one */
	assert_label(d);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_int_equal(c.rx_packets, 6000);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

/* Killed after the old maps were put aside, with and without a half-made new set. */
static void goes_on_after_a_death(void **state)
{
	static const char *const kept[] = { "lines", "steer", "base", "counts",
					    "rules", "ports", "ctl" };
	char from[160], to[160];
	struct dp *d;

	(void)state;
	for (int half = 0; half < 2; half++) {
		attached();
		pins_v1(V1_VERSION);
		for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
			pin_of(from, "", kept[i]);
			pin_of(to, "old_", kept[i]);
			assert_int_equal(rename(from, to), 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
			pin_of(from, "", maps[i]);
			(void)unlink(from);
		}
		if (half) /* of the new layout, never stamped */
			(void)close(map_make("ctl", BPF_MAP_TYPE_ARRAY, sizeof(struct dp_ctl), 1,
					     BPF_F_MMAPABLE));
		d = reopen();
		assert_carried(d);
		assert_int_equal(dp_remove(&d, NULL), 0);
	}
}

static void refuses_what_it_does_not_know(void **state)
{
	struct dp_config c = { .pin_dir = pins, .labels = 64, .flows = 1024, .hook = hook };
	struct err e = { 0 };
	struct dp *d = NULL;
	char path[160];

	(void)state;
	attached();
	pins_v1(77);
	assert_int_equal(dp_open(&d, &c, &e), -ESTALE);
	assert_null(d);
	assert_non_null(strstr(e.text, "ABI version 77"));
	pin_of(path, "", "lines");
	assert_int_equal(access(path, F_OK), 0); /* nothing was touched */
	assert_no_old();
}

/* --- versions 2 and 3 -------------------------------------------------------------------------
 */

#define V3_SLOT  7u
#define V3_CLASS 5u
#define TAT      (1ull << 62) /* far ahead: nothing passes the meter */

static const char *const renewed[] = { "lines", "base", "counts" };

/* The maps of the old layout; they stay open, so that a death can be played. */
struct v3_maps {
	int fd[3];
	struct v3_cells at;
	uint32_t cpus;
};

static void pin_again(const char *name, int fd)
{
	char path[160];

	pin_of(path, "", name);
	(void)unlink(path);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
}

static int v3_map(const char *name, uint32_t value, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value, n, &o);

	assert_true(fd >= 0);
	pin_again(name, fd);
	return fd;
}

static void v3_cell(const struct v3_maps *m, uint32_t i, union dp_cell c)
{
	put_at(m->fd[2], i, &c);
}

static void counts_v3(const struct v3_maps *m)
{
	const struct v3_cells *at = &m->at;
	union dp_cell index = { .index.at[L % 16] = V3_SLOT | 3u << DP_INDEX_WATCH };

	for (uint32_t cpu = 0; cpu < m->cpus; cpu++) {
		/* received 100 (with credit above it) and 9,400 bytes, sent 90 and 8,460; down 1 */
		v3_cell(m, at->hot + L * m->cpus + cpu,
			(union dp_cell){ .word = { 100 | 5000ull << 48, 9400, 90, 8460, 1, 60 } });
		v3_cell(m, at->hot + cpu, (union dp_cell){ .word = { 10, 600 } });
		v3_cell(m, at->odd + cpu, (union dp_cell){ .odd = { 4, 5, 6 } });
		v3_cell(m, at->cache + cpu, (union dp_cell){ .cache = { 8, 9, 1 } });
		v3_cell(m, at->class_count + V3_CLASS * m->cpus + cpu,
			(union dp_cell){ .class_count = { 50, 5000, 40, 3 } });
	}
	v3_cell(m, at->index + L / 16, index);
	v3_cell(m, at->rare + V3_SLOT * 2, (union dp_cell){ .rare = { 3, 282, 2, 1 } });
	v3_cell(m, at->rtt + 3 * 4 + 1, (union dp_cell){ .word = { [6] = 12, [7] = 3400 } });
	assert_int_equal(bpf_map_freeze(m->fd[2]), 0);
}

/* What is pinned now becomes what version 3 (or 2) would have left; programs that are attached go
 * on with maps of their own. */
static struct v3_maps pins_v3(uint32_t version)
{
	static const uint32_t size[] = V3_SIZES;
	const struct v3_line line = { .flags = DP_L_ACTIVE | DP_L_POLICE_EDGE,
				      .class_minor = 0x110,
				      .dscp = 34,
				      .dscp_over = 8,
				      .valid_until = UINT64_MAX,
				      .bind = { v0, 0 },
				      .path = { 4, 0 },
				      .watch = 3,
				      .shift = { 22, 0 },
				      .eshift = { 20, 0 },
				      .cost = { (uint32_t)((8000ull << 22) / 20), 0 },
				      .ecost = { (uint32_t)((8000ull << 20) / 5), 0 },
				      .burst = { 300000000, 250000000 },
				      .eburst = { 100000000, 250000000 },
				      .tat = { TAT, 0 },
				      .etat = { TAT, 0 } };
	const struct dp_base base = { .count = { .rx_packets = 20, .rx_bytes = 1880 },
				      .rate = 20 * MBIT,
				      .excess = 5 * MBIT };
	struct v3_maps m = { .cpus = (uint32_t)libbpf_num_possible_cpus() };
	uint32_t zero = 0, sum = 17;
	struct dp_ctl ctl;
	char path[160];
	int fd;

	m.at = v3_cells_of(LABELS, m.cpus, dp_slots_of(LABELS));
	m.fd[0] = v3_map("lines", sizeof(line), LABELS);
	m.fd[1] = v3_map("base", sizeof(base), LABELS * 2);
	m.fd[2] = v3_map("counts", sizeof(union dp_cell), m.at.end);
	put_at(m.fd[0], L, &line);
	put_at(m.fd[1], L * 2, &base);
	counts_v3(&m);
	pin_of(path, "", "meters");
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < ARRAY_LEN(size); i++)
		sum = sum * 31 + size[i];
	pin_of(path, "", "ctl");
	fd = bpf_obj_get(path);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &ctl), 0);
	ctl.version = version;
	ctl.sizes = sum;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &ctl, BPF_ANY), 0);
	(void)close(fd);
	return m;
}

static void v3_close(const struct v3_maps *m)
{
	for (int i = 0; i < 3; i++)
		(void)close(m->fd[i]);
}

static void assert_label_v3(struct dp *d)
{
	struct dp_label l;
	uint32_t path = 0;

	assert_int_equal(dp_label_get(d, L, &l), 0);
	assert_true(l.police_edge && !l.police_node);
	assert_int_equal(l.class_minor, 0x110);
	assert_int_equal(l.dscp_over, 8);
	assert_int_equal(l.valid_until.us, INT64_MAX);
	assert_int_equal(l.dir[0].bind_ifindex, v0);
	assert_int_equal(l.dir[0].burst_us, 300000);
	assert_int_equal(l.dir[0].eburst_us, 100000);
	assert_true(l.dir[0].rate.bps >= 20 * MBIT && l.dir[0].rate.bps < 20 * MBIT + 20);
	assert_true(l.dir[0].excess.bps >= 5 * MBIT && l.dir[0].excess.bps < 5 * MBIT + 20);
	assert_int_equal(dp_steer_get(d, L, DP_UP, &path), 0);
	assert_int_equal(path, 4);
}

/* more: packets since. */
static void assert_counts_v3(struct dp *d, uint32_t cpus, uint64_t more)
{
	struct dp_class_count k;
	struct dp_cache_count q;
	struct dp_count c;
	struct dp_rtt r;

	await_rx(d, cpus * 100 - 20 + more);
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	assert_int_equal(c.rx_packets, cpus * 100 - 20 + more);
	assert_int_equal(c.tx_packets, cpus * 90);
	assert_int_equal(c.tx_bytes, cpus * 8460);
	assert_int_equal(c.drop_packets, 3);
	assert_int_equal(c.drop_bytes, 282);
	assert_int_equal(c.remarked, 1);
	assert_int_equal(dp_counters_get(d, L, DP_DOWN, &c), 0);
	assert_int_equal(c.rx_packets, cpus);
	assert_int_equal(dp_counters_get(d, 0, DP_UP, &c), 0);
	assert_true(c.rx_packets >= cpus * 10 && c.unknown == cpus * 4);
	assert_int_equal(dp_class_get(d, V3_CLASS, &k), 0);
	assert_int_equal(k.packets, cpus * 50);
	assert_int_equal(k.flows, cpus * 3);
	dp_cache_get(d, &q);
	assert_true(q.misses >= cpus * 8 && q.evicted == cpus * 9);
	assert_int_equal(dp_rtt_get(d, L, DP_UP, &r), 0);
	assert_int_equal(r.samples, 12);
}

static void assert_no_v3(void)
{
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(renewed); i++) {
		pin_of(path, "v3_", renewed[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
}

/* The meter's time is carried: far ahead, so that all is dropped until a new rate asks less. */
static void carries_version_3(void **state)
{
	struct dp_label l;
	struct dp_count c;
	struct v3_maps m;
	struct dp *d;

	(void)state;
	for (uint32_t version = 2; version <= 3; version++) {
		d = start();
		d = dp_close(d);
		m = pins_v3(version);
		d = reopen();
		assert_label_v3(d);
		assert_counts_v3(d, m.cpus, 0);
		assert_no_v3();
		send_flow(10);
		for (int i = 0; i < 200 && !dp_counters_get(d, L, DP_UP, &c); i++) {
			if (c.drop_packets == 13)
				break;
			(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		}
		assert_int_equal(c.drop_packets, 13);
		assert_int_equal(dp_label_get(d, L, &l), 0);
		l.police_edge = false;
		label_set(d, &l);
		send_flow(50);
		await_rx(d, m.cpus * 100 - 20 + 50);
		d = dp_close(d);
		d = reopen(); /* the next open is an ordinary one */
		assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
		assert_int_equal(c.rx_packets, m.cpus * 100 - 20 + 50);
		v3_close(&m);
		assert_int_equal(dp_remove(&d, NULL), 0);
	}
}

static void ctl_sizes(uint32_t sum)
{
	uint32_t zero = 0;
	struct dp_ctl ctl;
	char path[160];
	int fd;

	pin_of(path, "", "ctl");
	fd = bpf_obj_get(path);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &ctl), 0);
	assert_int_equal(ctl.version, DP_ABI_VERSION); /* an older daemon keeps off */
	ctl.sizes = sum;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &ctl, BPF_ANY), 0);
	(void)close(fd);
}

/* Killed with n of the old maps put aside and new ones half made; then with all carried but the
 * baselines, and packets counted since. */
static void goes_on_with_version_3(void **state)
{
	static const uint32_t size[] = V3_SIZES;
	uint32_t sum = 17;
	char from[160], to[160];
	struct v3_maps m;
	struct dp_label l;
	struct dp *d;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(size); i++)
		sum = sum * 31 + size[i];
	for (size_t n = 0; n <= 3; n++) {
		d = start();
		d = dp_close(d);
		m = pins_v3(3);
		for (size_t i = 0; i < n; i++) {
			pin_of(from, "", renewed[i]);
			pin_of(to, "v3_", renewed[i]);
			assert_int_equal(rename(from, to), 0);
			if (n == 3)
				(void)close(map_make(renewed[i], BPF_MAP_TYPE_ARRAY, 64, 2, 0));
		}
		d = reopen();
		assert_label_v3(d);
		assert_counts_v3(d, m.cpus, 0);
		assert_int_equal(dp_label_get(d, L, &l), 0);
		l.police_edge = false;
		label_set(d, &l);
		d = dp_close(d);
		send_flow(30);
		for (size_t i = 0; i < 3; i++) {
			pin_of(to, "v3_", renewed[i]);
			assert_int_equal(bpf_obj_pin(m.fd[i], to), 0);
		}
		ctl_sizes(sum);
		d = reopen();
		assert_counts_v3(d, m.cpus, 30);
		assert_no_v3();
		v3_close(&m);
		assert_int_equal(dp_remove(&d, NULL), 0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(carries_over),      T(goes_on_after_a_death),  T(refuses_what_it_does_not_know),
		T(carries_version_3), T(goes_on_with_version_3),
	};

	return stage_run("migrate", tests, ARRAY_LEN(tests));
}
