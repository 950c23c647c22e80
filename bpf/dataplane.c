/* SPDX-License-Identifier: Apache-2.0 */
/* dataplane.c - opens, adopts, closes and removes the data plane.
 *
 * What survives the process: every map (pinned by its name) and every TCX link (pinned as
 * link_in_IFINDEX, link_out_IFINDEX). Programs are loaded anew at each open and swapped into the
 * links, so a restart and an upgrade are the same road. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "dp_internal.h"
#include "dp_v1.h"

#define BPFFS_MAGIC 0xcafe4a11

static __thread char said[160];

/* libbpf explains failures on its print hook only; the last warning becomes our error's text. */
static printf_like(2, 0) int keep_last(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level != LIBBPF_WARN)
		return 0;
	(void)vsnprintf(said, sizeof(said), fmt, ap);
	for (char *p = said; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return 0;
}

const char *dp_bpf_said(void)
{
	return said[0] ? said : "no detail";
}

uint32_t dp_sizes_sum(const uint32_t *size, size_t n)
{
	uint32_t sum = 17;

	for (size_t i = 0; i < n; i++)
		sum = sum * 31 + size[i];
	return sum;
}

uint32_t dp_layout_sum(void)
{
	const uint32_t size[] = { sizeof(struct dp_line),         sizeof(struct dp_meter),
				  sizeof(struct dp_ceiling_line), sizeof(union dp_cell),
				  sizeof(struct dp_rule_line),    sizeof(struct dp_port_line),
				  sizeof(struct dp_flow_key),     sizeof(struct dp_flow_set),
				  sizeof(struct dp_rtt_key),      sizeof(struct dp_base),
				  sizeof(struct dp_bind),         sizeof(struct dp_watch),
				  sizeof(struct dp_ctl),          sizeof(struct dp_shapes) };

	return dp_sizes_sum(size, ARRAY_LEN(size));
}

static int pin_dir_make(struct dp *d, const char *dir, struct err *e)
{
	struct statfs fs;

	if (strlen(dir) > DP_PATH_MAX - 50 || !str_set(d->pin_dir, dir))
		return err_set(e, -EINVAL, "pin_dir: longer than %d", DP_PATH_MAX - 50);
	if (!mkdir(dir, 0700))
		d->made_dir = true;
	else if (errno != EEXIST)
		return err_set(e, -errno, "pin_dir %s: %s%s", dir, strerror(errno),
			       errno == EPERM ? " (bpffs names hold no dots)" : "");
	if (statfs(dir, &fs) || fs.f_type != BPFFS_MAGIC)
		return err_set(e, -EINVAL, "pin_dir %s: not on a bpffs", dir);
	return 0;
}

static int maps_wipe(const char *dir, bool links, struct err *e);

static void pin_path(char to[DP_PATH_MAX], const char *dir, const char *name)
{
	(void)snprintf(to, DP_PATH_MAX, "%.150s/%.40s", dir, name);
}

/* Maps of ABI version 1 make room; their sizes go over to the new ones. */
static int pins_of_v1(struct dp *d, int fd, const char *path, struct err *e)
{
	uint32_t zero = 0;
	struct v1_ctl c;

	if (bpf_map_lookup_elem(fd, &zero, &c))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (!c.magic)
		return dp_wipe(d->pin_dir, e);
	if (c.magic != DP_ABI_MAGIC || c.version != V1_VERSION)
		return err_set(e, -ESTALE, "%s: pinned by ABI version %u (we are %u)", path,
			       c.version, DP_ABI_VERSION);
	d->labels = c.labels;
	d->made_dir = c.made_dir;
	return dp_old_rename(d, e);
}

/* Reads the stamp of what is pinned: 1 = adopt, 0 = nothing there, -ESTALE = another version. */
static int pins_inspect(struct dp *d, struct err *e)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), zero = 0;
	char path[DP_PATH_MAX];
	auto_close int fd = -1;
	struct dp_ctl c;
	int r;

	dp_old_sizes(d);
	pin_path(path, d->pin_dir, "ctl");
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (info.value_size == sizeof(struct v1_ctl))
		return pins_of_v1(d, fd, path, e);
	if (info.value_size != sizeof(c) || bpf_map_lookup_elem(fd, &zero, &c))
		return err_set(e, -ESTALE, "%s: pinned by another version", path);
	if (!c.magic) /* killed between pinning and stamping: nothing can be attached yet */
		return maps_wipe(d->pin_dir, !dp_old_there(d), e);
	if (c.magic != DP_ABI_MAGIC || c.classes != DP_CLASSES || c.cpus != d->cpus ||
	    (!dp_v3_stamp(&c) && (c.version != DP_ABI_VERSION || c.sizes != dp_layout_sum())))
		return err_set(e, -ESTALE, "%s: pinned by ABI version %u (we are %u)", path,
			       c.version, DP_ABI_VERSION);
	d->labels = c.labels;
	d->flows = c.flows;
	d->rules = c.rules;
	d->made_dir = c.made_dir;
	memcpy(d->key, c.key, sizeof(d->key));
	r = dp_v3_stamp(&c) ? dp_v3_rename(d, fd, e) : dp_v3_drop(d, e);
	return r < 0 ? r : 1;
}

static int maps_size(struct dp *d)
{
	const struct {
		struct bpf_map *map;
		uint32_t n;
	} size[] = {
		{ d->skel->maps.lines, d->labels },
		{ d->skel->maps.meters, d->labels },
		{ d->skel->maps.base, d->labels * 2 },
		{ d->skel->maps.flows, d->flows / DP_FLOW_WAYS },
		{ d->skel->maps.counts, d->at.end },
		{ d->skel->maps.heads, d->heads * 2 },
		{ d->skel->maps.nodes, d->rules * DP_NODES_PER_RULE * 2 },
		{ d->skel->maps.rules, d->rules * 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		int r = bpf_map__set_max_entries(size[i].map, size[i].n);

		if (r < 0)
			return r;
	}
	return 0;
}

/* libbpf reuses a map that is pinned at its path and pins it otherwise. */
static int maps_pin_paths(struct dp *d)
{
	char path[DP_PATH_MAX];
	struct bpf_map *m;

	bpf_object__for_each_map (m, d->skel->obj) {
		int r;

		if (bpf_map__is_internal(m) || !bpf_map__autocreate(m))
			continue;
		pin_path(path, d->pin_dir, bpf_map__name(m));
		r = bpf_map__set_pin_path(m, path);
		if (r < 0)
			return r;
	}
	return 0;
}

static int programs_load(struct dp *d, struct err *e)
{
	int r;

	said[0] = 0;
	d->skel = treaty_bpf__open();
	if (!d->skel)
		return err_set(e, -errno, "programs: %s", dp_bpf_said());
	d->skel->rodata->cfg_labels = d->labels;
	d->skel->rodata->cfg_cpus = d->cpus;
	d->at = dp_cells_of(d->labels, d->cpus, dp_slots_of(d->labels));
	while (16 * (d->cpus + 2) > 1u << d->skel->rodata->cfg_grant_shift)
		d->skel->rodata->cfg_grant_shift++;
	d->heads = 16;
	while (d->heads < d->rules)
		d->heads *= 2;
	d->skel->rodata->cfg_rules = d->rules;
	d->skel->rodata->cfg_heads = d->heads;
	d->skel->rodata->cfg_slots = dp_slots_of(d->labels);
	memcpy((void *)&d->skel->rodata->cfg_at, &d->at, sizeof(d->at));
	d->skel->rodata->cfg_test_clock = d->offline;
	d->skel->rodata->cfg_cgroups = dp_local_probe();
	d->skel->rodata->cfg_pace = d->pace;
	memcpy((void *)&d->skel->rodata->cfg_colours, &d->colours, sizeof(d->colours));
	dp_seek_fill(&d->skel->bss->seek, d->key, d->flows);
	r = maps_size(d);
	if (!r && !d->pace) {
		r = bpf_program__set_autoload(d->skel->progs.treaty_pace, false);
		r = r ? r : bpf_map__set_autocreate(d->skel->maps.paces, false);
	}
	if (!r && !d->offline)
		r = maps_pin_paths(d);
	if (!r && !d->offline) {
		r = bpf_program__set_autoload(d->skel->progs.treaty_empty, false);
		r = r ? r : bpf_program__set_autoload(d->skel->progs.treaty_clock, false);
	}
	dp_here_fill(d->skel->bss->heres, &d->at, d->cpus);
	if (!r)
		r = treaty_bpf__load(d->skel);
	return r ? err_set(e, r, "programs: %s", dp_bpf_said()) : 0;
}

static void *map_rw(struct bpf_map *m, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(m), 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The tables that user space writes without a system call. */
struct mapped {
	void **at;
	struct bpf_map *map;
	size_t len;
};

#define MAPPED 12

static void maps_list(struct dp *d, struct mapped m[MAPPED])
{
	struct dp_tables *t = &d->table;
	const struct mapped all[MAPPED] = {
		{ (void **)&d->ctl, d->skel->maps.ctl, sizeof(*d->ctl) },
		{ (void **)&d->lines, d->skel->maps.lines, d->labels * sizeof(*d->lines) },
		{ (void **)&d->meters, d->skel->maps.meters, d->labels * sizeof(*d->meters) },
		{ (void **)&d->base, d->skel->maps.base, d->labels * 2 * sizeof(*d->base) },
		{ (void **)&d->ceilings, d->skel->maps.ceilings,
		  DP_CEILINGS * sizeof(*d->ceilings) },
		{ (void **)&d->shapes, d->skel->maps.shapes, DP_SHAPES * sizeof(*d->shapes) },
		{ (void **)&d->flow, d->skel->maps.flows, d->flows * sizeof(struct dp_flow) },
		{ (void **)&t->head, d->skel->maps.tables, 2 * sizeof(*t->head) },
		{ (void **)&t->tuple, d->skel->maps.tuples, 2 * DP_TUPLES * sizeof(*t->tuple) },
		{ (void **)&t->first, d->skel->maps.heads, d->heads * 2 * sizeof(*t->first) },
		{ (void **)&t->node, d->skel->maps.nodes,
		  (size_t)d->rules * DP_NODES_PER_RULE * 2 * sizeof(*t->node) },
		{ (void **)&t->rule, d->skel->maps.rules, (size_t)d->rules * 2 * sizeof(*t->rule) },
	};

	memcpy(m, all, sizeof(all));
}

static int maps_map(struct dp *d, struct err *e)
{
	struct mapped m[MAPPED];

	maps_list(d, m);
	for (int i = 0; i < MAPPED; i++) {
		*m[i].at = map_rw(m[i].map, m[i].len);
		if (!*m[i].at)
			return err_set(e, -errno, "map %s: cannot be mapped: %s",
				       bpf_map__name(m[i].map), strerror(errno));
	}
	return 0;
}

static int counters_stamp(struct dp *d, struct err *e)
{
	union dp_cell cell = { .geo = { .magic = DP_ABI_MAGIC,
					.version = DP_ABI_VERSION,
					.labels = d->labels,
					.classes = DP_CLASSES,
					.cpus = d->cpus,
					.slots = dp_slots_of(d->labels),
					.watched = DP_WATCHED } };
	int fd = bpf_map__fd(d->skel->maps.counts);
	uint32_t zero = 0;

	if (bpf_map_update_elem(fd, &zero, &cell, BPF_ANY))
		return err_set(e, -errno, "counters: %s", strerror(errno));
	return 0;
}

/* The stamp's magic comes last: without it the next open starts anew. */
static void ctl_stamp(struct dp *d)
{
	d->ctl->version = DP_ABI_VERSION;
	d->ctl->labels = d->labels;
	d->ctl->classes = DP_CLASSES;
	d->ctl->cpus = d->cpus;
	d->ctl->flows = d->flows;
	d->ctl->rules = d->rules;
	d->ctl->sizes = dp_layout_sum();
	d->ctl->made_dir = d->made_dir;
	memcpy(d->ctl->key, d->key, sizeof(d->key));
	__atomic_store_n(&d->ctl->magic, DP_ABI_MAGIC, __ATOMIC_RELEASE);
}

/* Brings the maps to where the programs may count in them. */
static int maps_ready(struct dp *d, struct err *e)
{
	int r = maps_map(d, e);

	if (!r && d->v3 && !d->v3_filled)
		r = dp_v3_fill(d, e);
	if (!r && (!d->adopted || (d->v3 && !d->v3_filled)))
		r = counters_stamp(d, e);
	r = r ? r : dp_freeze(bpf_map__fd(d->skel->maps.counts), "counters", e);
	r = r ? r : dp_freeze(dp_marks_fd(d), "marks", e);
	if (!r && !d->adopted)
		ctl_stamp(d);
	return r;
}

/* New programs into what is attached. */
static int ports_take(struct dp *d, struct err *e)
{
	int r;

	if (!d->offline && dp_old_there(d))
		return dp_old_carry(d, e);
	if (!d->adopted)
		return 0;
	r = dp_ports_adopt(d, e);
	return r || !d->v3 ? r : dp_v3_finish(d, e);
}

static int config_take(struct dp *d, const struct dp_config *cfg, struct err *e)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 1)
		return err_set(e, cpus, "CPUs: cannot be counted");
	if ((uint32_t)cpus > DP_CPUS)
		return err_set(e, -EOPNOTSUPP, "CPUs: above %u", DP_CPUS);
	d->cpus = (uint32_t)cpus;
	d->offline = cfg->offline;
	d->hook = cfg->hook;
	d->colours = cfg->colours;
	d->pace = cfg->pace && !dp_pace_probe();
	d->labels = cfg->labels ? cfg->labels : DP_LABELS_DFL;
	d->flows = cfg->flows ? cfg->flows : DP_FLOWS_DFL;
	if (d->labels < 2 || d->labels > DP_LABEL_MAX + 1)
		return err_set(e, -EINVAL, "labels: 2..%u", DP_LABEL_MAX + 1);
	if (d->flows > DP_FLOWS_MAX)
		return err_set(e, -EINVAL, "flows: above %u", DP_FLOWS_MAX);
	d->flows = (d->flows + DP_FLOW_WAYS - 1) / DP_FLOW_WAYS * DP_FLOW_WAYS;
	d->rules = cfg->rules ? cfg->rules : DP_RULES_DFL;
	if (d->rules > DP_RULES)
		return err_set(e, -EINVAL, "rules: above %u", DP_RULES);
	d->watched = cfg->watched ? cfg->watched : DP_WATCHED;
	if (d->watched > DP_WATCHED)
		return err_set(e, -EINVAL, "watched: above %u", DP_WATCHED);
	if (!cfg->offline && !cfg->pin_dir)
		return err_set(e, -EINVAL, "pin_dir: missing");
	return 0;
}

/* Kept in the control map: an adopted rule table was hashed with the keys of its maker. */
static int keys_draw(struct dp *d, struct err *e)
{
	if (getrandom(d->key, sizeof(d->key), 0) != sizeof(d->key))
		return err_set(e, -errno, "random keys: %s", strerror(errno));
	return 0;
}

static void dp_close_p(struct dp **d)
{
	(void)dp_close(*d);
}

int dp_open(struct dp **ret, const struct dp_config *cfg, struct err *e)
{
	cleanup(dp_close_p) struct dp *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	(void)libbpf_set_print(keep_last);
	r = config_take(d, cfg, e);
	if (!r && !d->offline)
		r = pin_dir_make(d, cfg->pin_dir, e);
	if (!r && !d->offline)
		r = pins_inspect(d, e);
	if (r < 0)
		return r;
	d->adopted = r;
	r = d->adopted ? 0 : keys_draw(d, e);
	r = r ? r : programs_load(d, e);
	r = r ? r : maps_ready(d, e);
	if (!r)
		r = dp_view_open(&d->view, dp_counters_fd(d), e);
	if (r < 0)
		return r;
	d->skel->bss->seek.generation = d->ctl->generation;
	d->skel->bss->shapes_live = d->ctl->shaped;
	d->skel->bss->downs_live = d->ctl->downs;
	dp_wall_set(d);
	r = dp_marks_renew(d, e);
	if (r < 0)
		return r;
	d->tcx = dp_probe_tcx(bpf_program__fd(d->skel->progs.treaty_out));
	if (d->hook == DP_HOOK_TCX && !d->tcx)
		return err_set(e, -EOPNOTSUPP, "hook: this kernel has no TCX");
	dp_holds_adopt(d);
	dp_redirects_adopt(d);
	(void)dp_locals_renew(d);
	dp_grace_start(d);
	r = ports_take(d, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

struct dp *dp_close(struct dp *d)
{
	if (!d)
		return NULL;
	dp_grace_stop(d);
	if (d->skel) {
		struct mapped m[MAPPED];

		maps_list(d, m);
		for (int i = 0; i < MAPPED; i++)
			if (*m[i].at)
				(void)munmap(*m[i].at, m[i].len);
	}
	free(d->watcher);
	dp_view_close(d->view);
	treaty_bpf__destroy(d->skel);
	free(d);
	return NULL;
}

/* The names are ours by construction; anything else in the directory is left alone. */
static bool name_is_ours(const char *name)
{
	/* steer: of ABI version 1. */
	static const char *const own[] = { "ctl",     "lines",  "ceilings",   "binds",    "counts",
					   "watches", "rules",  "ports",      "flows",    "frags",
					   "stamps",  "base",   "tables",     "tuples",   "heads",
					   "nodes",   "marks",  "shapes",     "holds",    "events",
					   "gates",   "hops",   "hop_counts", "hop_owns", "paces",
					   "steer",   "meters", "locals",     "knows" };

	if (!strncmp(name, "old_", 4))
		name += 4;
	else if (!strncmp(name, "v3_", 3))
		name += 3;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (!strcmp(name, own[i]))
			return true;
	return !strncmp(name, "link_in_", 8) || !strncmp(name, "link_out_", 9);
}

static int maps_wipe(const char *dir, bool links, struct err *e)
{
	DIR *h = opendir(dir);
	struct dirent *n;
	int r = 0;

	if (!h)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", dir, strerror(errno));
	while ((n = readdir(h))) {
		if (!name_is_ours(n->d_name) || (!links && !strncmp(n->d_name, "link_", 5)) ||
		    (!links && !strncmp(n->d_name, "old_", 4)))
			continue;
		if (unlinkat(dirfd(h), n->d_name, 0))
			r = err_set(e, -errno, "%s/%s: %s", dir, n->d_name, strerror(errno));
	}
	(void)closedir(h);
	return r;
}

int dp_wipe(const char *dir, struct err *e)
{
	return maps_wipe(dir, true, e);
}

int dp_remove(struct dp **dp, struct err *e)
{
	struct dp *d = *dp;
	int r = 0, ret;

	for (uint32_t i = dp_port_next(d, 0); i; i = dp_port_next(d, i)) {
		ret = dp_port_detach(d, i, e);
		r = r ? r : ret;
	}
	if (!d->offline) {
		ret = dp_pace_detach(d, e);
		r = r ? r : ret;
		ret = dp_wipe(d->pin_dir, e);
		r = r ? r : ret;
		if (d->made_dir && rmdir(d->pin_dir) && errno != ENOENT && !r)
			r = err_set(e, -errno, "%s: %s", d->pin_dir, strerror(errno));
	}
	*dp = dp_close(d);
	return r;
}

void dp_features(const struct dp *d, struct dp_features *ret)
{
	*ret = (struct dp_features){ .tcx = d->tcx,
				     .adopted = d->adopted,
				     .labels = d->labels,
				     .flows = d->flows,
				     .cpus = d->cpus,
				     .rules = d->rules,
				     .watched = d->watched };
}

int dp_prog_fd(const struct dp *d, enum dp_prog p)
{
	const struct bpf_program *prog[DP_PROGS] = {
		[DP_PROG_EDGE_IN] = d->skel->progs.treaty_edge_in,
		[DP_PROG_NODE_IN] = d->skel->progs.treaty_node_in,
		[DP_PROG_OUT] = d->skel->progs.treaty_out,
		[DP_PROG_EMPTY] = d->skel->progs.treaty_empty,
		[DP_PROG_CLOCK] = d->skel->progs.treaty_clock,
	};

	return (unsigned int)p < DP_PROGS ? bpf_program__fd(prog[p]) : -EINVAL;
}

int dp_map_fd(const struct dp *d, const char *name)
{
	return bpf_object__find_map_fd_by_name(d->skel->obj, name);
}

void dp_clock_set(struct dp *d, uint64_t ns)
{
	d->skel->bss->test_now = ns;
	for (uint32_t i = 0; i < d->cpus; i++)
		__atomic_store_n(&d->skel->bss->heres[i].tick, 0, __ATOMIC_RELEASE);
}
