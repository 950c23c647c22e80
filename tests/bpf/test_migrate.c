/* SPDX-License-Identifier: Apache-2.0 */
/* test_migrate.c - maps that ABI version 1 pinned are taken over: made here by the old layout, word
 * for word. The links stay where they are and get the new programs. */
#include "veth.h"

#include "bpf/dp_v1.h"

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

/* Version 2 differs in what new programs add to words that it had: its maps serve on. */
static void adopts_version_2(void **state)
{
	uint32_t zero = 0;
	struct dp_count c;
	struct dp_ctl ctl;
	struct dp *d;
	char path[160];
	int fd;

	(void)state;
	attached();
	d = reopen();
	label_set(d, &(struct dp_label){ .label = L, .valid_until = { INT64_MAX } });
	d = dp_close(d);
	pin_of(path, "", "ctl");
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &ctl), 0);
	assert_int_equal(ctl.version, DP_ABI_VERSION);
	ctl.version = DP_ABI_ADOPTED;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &ctl, BPF_ANY), 0);
	d = reopen();
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &ctl), 0);
	assert_int_equal(ctl.version, DP_ABI_VERSION); /* an older daemon keeps off from now on */
	assert_int_equal(dp_counters_get(d, L, DP_UP, &c), 0);
	(void)close(fd);
	assert_int_equal(dp_remove(&d, NULL), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(carries_over),
		T(goes_on_after_a_death),
		T(refuses_what_it_does_not_know),
		T(adopts_version_2),
	};

	return stage_run("migrate", tests, ARRAY_LEN(tests));
}
