/* SPDX-License-Identifier: Apache-2.0 */
/* dp_local.c - rules that name a cgroup. A path is turned into the kernel's number for it; the path
 * is kept in the map, so that whoever adopts it can look again. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "dp_internal.h"

#define CGROUP2_MAGIC 0x63677270

static int map_fd(const struct dp *d)
{
	return bpf_map__fd(d->skel->maps.locals);
}

/* Whether this kernel tells programs the cgroup of a packet's socket. */
bool dp_local_probe(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skb_ancestor_cgroup_id,
				       NULL) == 1;
}

/* Without reading it: a confined process may look everywhere. -ENOTDIR: not a cgroup2 directory. */
static int cgroup_id(const char *path, uint64_t *id)
{
	auto_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd < 0 || fstatfs(fd, &fs) || fstat(fd, &st))
		return -errno;
	if (fs.f_type != CGROUP2_MAGIC)
		return -ENOTDIR;
	*id = st.st_ino;
	return 0;
}

/* A service manager makes a service's cgroup when it starts it: what is not there yet may come, if
 * it would be a cgroup. *id: then one that no cgroup has. */
static int cgroup_find(const struct dp_local *l, uint64_t *id)
{
	char path[sizeof(l->path)];
	int r = cgroup_id(l->path, id);

	memcpy(path, l->path, sizeof(path));
	while (r == -ENOENT && strrchr(path, '/') != path) {
		*strrchr(path, '/') = 0;
		r = cgroup_id(path, id);
		if (!r)
			*id = UINT64_MAX - l->rule;
	}
	return r;
}

/* The cgroup of a rule, 0 = there is no such rule. */
static uint64_t key_of(const struct dp *d, uint32_t rule, struct dp_local_line *l)
{
	uint64_t key, *prev = NULL;

	while (!bpf_map_get_next_key(map_fd(d), prev, &key)) {
		if (!bpf_map_lookup_elem(map_fd(d), &key, l) && l->rule == rule)
			return key;
		prev = &key;
	}
	return 0;
}

/* From where the programs look at cgroups, or no more. */
static void live_tell(struct dp *d)
{
	uint64_t key;
	uint32_t live = !bpf_map_get_next_key(map_fd(d), NULL, &key);

	__atomic_store_n(&d->skel->bss->locals_live, live, __ATOMIC_RELEASE);
}

/* What sockets were noted to be under other rules holds no more; nor what another life noted. */
static void notes_end(struct dp *d)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	__atomic_store_n(&d->skel->bss->locals_gen,
			 (uint32_t)(now.tv_sec * 1000000 + now.tv_nsec / 1000) | 1,
			 __ATOMIC_RELEASE);
}

static int line_check(const struct dp *d, const struct dp_local *l, enum refusal *no, struct err *e)
{
	if (!l->rule)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule: id is 0");
	if (l->class_id >= DP_CLASSES)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule %u: class: 0..%u", l->rule,
				 DP_CLASSES - 1);
	if (l->label >= d->labels)
		return dp_refuse(no, e, REFUSE_LABEL_RANGE, "rule %u: label: above %u", l->rule,
				 d->labels - 1);
	if (l->path[0] != '/' || !memchr(l->path, 0, sizeof(l->path)))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "rule %u: cgroup: an absolute path of at most %zu bytes", l->rule,
				 sizeof(l->path) - 1);
	if (!d->skel->rodata->cfg_cgroups)
		return dp_refuse(no, e, REFUSE_KERNEL_UNSUPPORTED,
				 "rule %u: cgroup: this kernel does not tell a packet's cgroup",
				 l->rule);
	return 0;
}

int dp_local_set(struct dp *d, const struct dp_local *l, enum refusal *no, struct err *e)
{
	struct dp_local_line line = { .rule = l->rule, .label = l->label, .class_id = l->class_id };
	struct dp_local_line was, other;
	int r = line_check(d, l, no, e);
	uint64_t key = 0, old;

	if (r)
		return r;
	r = cgroup_find(l, &key);
	if (r)
		return dp_refuse(
			no, e, REFUSE_BODY_MALFORMED, "rule %u: cgroup %s: %s", l->rule, l->path,
			r == -ENOTDIR || r == -ENOENT ? "not a cgroup2 directory" : strerror(-r));
	if (!bpf_map_lookup_elem(map_fd(d), &key, &other) && other.rule != l->rule)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule %u: cgroup %s: rule %u has it",
				 l->rule, l->path, other.rule);
	memcpy(line.path, l->path, sizeof(line.path));
	old = key_of(d, l->rule, &was);
	if (bpf_map_update_elem(map_fd(d), &key, &line, BPF_ANY))
		return errno == E2BIG || errno == ENOSPC
			       ? dp_refuse(no, e, REFUSE_MAP_FULL,
					   "rule %u: cgroup: %d rules name one already", l->rule,
					   DP_LOCALS)
			       : err_set(e, -errno, "rule %u: cgroup: %s", l->rule,
					 strerror(errno));
	if (old && old != key)
		(void)bpf_map_delete_elem(map_fd(d), &old);
	if (old != key || memcmp(&was, &line, sizeof(line)))
		notes_end(d);
	live_tell(d);
	return 0;
}

void dp_local_del(struct dp *d, uint32_t rule)
{
	struct dp_local_line l;
	uint64_t key = key_of(d, rule, &l);

	if (!key)
		return;
	(void)bpf_map_delete_elem(map_fd(d), &key);
	notes_end(d);
	live_tell(d);
}

int dp_local_get(const struct dp *d, uint32_t rule, struct dp_local *ret)
{
	struct dp_local_line l;
	uint64_t key = key_of(d, rule, &l), is = 0;

	if (!key)
		return -ENOENT;
	*ret = (struct dp_local){ .rule = rule, .label = l.label, .class_id = l.class_id };
	memcpy(ret->path, l.path, sizeof(ret->path));
	ret->stands = !cgroup_id(l.path, &is) && is == key;
	return 0;
}

uint32_t dp_local_next(const struct dp *d, uint32_t rule)
{
	uint64_t key, *prev = NULL;
	struct dp_local_line l;
	uint32_t best = 0;

	while (!bpf_map_get_next_key(map_fd(d), prev, &key)) {
		if (!bpf_map_lookup_elem(map_fd(d), &key, &l) && l.rule > rule &&
		    (!best || l.rule < best))
			best = l.rule;
		prev = &key;
	}
	return best;
}

uint32_t dp_locals_renew(struct dp *d)
{
	uint32_t gone = 0;

	if (!d->skel->bss->locals_gen)
		notes_end(d);
	for (uint32_t i = 0; (i = dp_local_next(d, i));) {
		struct dp_local l;

		if (dp_local_get(d, i, &l) || l.stands)
			continue;
		(void)dp_local_set(d, &l, NULL, NULL);
		gone += !dp_local_get(d, i, &l) && !l.stands;
	}
	live_tell(d);
	return gone;
}
