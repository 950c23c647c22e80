/* SPDX-License-Identifier: Apache-2.0 */
/* dp_view.c - reads the counter map through a read-only mapping: no system call, no capability. */
#include <errno.h>
#include <sys/mman.h>

#include "dataplane.h"

struct dp_view {
	const union dp_cell *cell;
	size_t len;
	uint32_t labels, classes, cpus;
};

/* The map is a whole number of pages, and so is every map that holds at least one cell. */
static int geometry_read(int fd, struct dp_geometry *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	memcpy(ret, p, sizeof(*ret));
	(void)munmap(p, page);
	return 0;
}

int dp_view_open(struct dp_view **ret, int fd, struct err *e)
{
	auto_free struct dp_view *v = NULL;
	struct dp_geometry g;
	int r = geometry_read(fd, &g);
	void *p;

	if (r < 0)
		return err_set(e, r, "counter map: cannot be mapped: %s", strerror(-r));
	if (g.magic != DP_ABI_MAGIC || g.version != DP_ABI_VERSION || !g.cpus ||
	    g.labels > DP_LABEL_MAX + 1 || g.classes != DP_CLASSES || g.cpus > 4096)
		return err_set(e, -EPROTO, "counter map: not of ABI version %u", DP_ABI_VERSION);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, -ENOMEM, "out of memory");
	v->labels = g.labels;
	v->classes = g.classes;
	v->cpus = g.cpus;
	v->len = (size_t)DP_CELLS((size_t)g.labels, (size_t)g.classes, (size_t)g.cpus) *
		 sizeof(union dp_cell);
	p = mmap(NULL, v->len, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, -errno, "counter map: cannot be mapped: %s", strerror(errno));
	v->cell = p;
	*ret = TAKE_PTR(v);
	return 0;
}

struct dp_view *dp_view_close(struct dp_view *v)
{
	void *p;

	if (!v)
		return NULL;
	memcpy(&p, &v->cell, sizeof(p)); /* munmap wants it without const */
	(void)munmap(p, v->len);
	free(v);
	return NULL;
}

uint32_t dp_view_labels(const struct dp_view *v)
{
	return v->labels;
}

/* Adds n counters; each is written by one CPU as one aligned word. */
static void add_words(__u64 *to, const __u64 *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static __u64 later(__u64 a, const __u64 *b)
{
	__u64 v = __atomic_load_n(b, __ATOMIC_RELAXED);

	return a > v ? a : v;
}

int dp_view_count(const struct dp_view *v, uint32_t label, enum dp_dir dir, struct dp_count *ret)
{
	const size_t n = offsetof(struct dp_count, last_ns) / sizeof(uint64_t);
	union {
		struct dp_count c;
		__u64 w[sizeof(struct dp_count) / sizeof(uint64_t)];
	} sum = { 0 };

	if (label >= v->labels || (unsigned int)dir > DP_DOWN)
		return -ERANGE;
	for (uint32_t cpu = 0; cpu < v->cpus; cpu++) {
		const struct dp_count *c = &v->cell[DP_CELL_COUNT(label, dir, v->cpus, cpu)].count;

		add_words(sum.w, &c->rx_packets, n);
		sum.c.last_ns = later(sum.c.last_ns, &c->last_ns);
	}
	*ret = sum.c;
	return 0;
}

int dp_view_class(const struct dp_view *v, uint32_t class_id, struct dp_class_count *ret)
{
	const size_t n = offsetof(struct dp_class_count, last_ns) / sizeof(uint64_t);
	union {
		struct dp_class_count c;
		__u64 w[sizeof(struct dp_class_count) / sizeof(uint64_t)];
	} sum = { 0 };

	if (!class_id || class_id >= v->classes)
		return -ERANGE;
	for (uint32_t cpu = 0; cpu < v->cpus; cpu++) {
		const struct dp_class_count *c =
			&v->cell[DP_CELL_CLASS(v->labels, class_id, v->cpus, cpu)].class_count;

		add_words(sum.w, &c->packets, n);
		sum.c.last_ns = later(sum.c.last_ns, &c->last_ns);
	}
	*ret = sum.c;
	return 0;
}

void dp_view_cache(const struct dp_view *v, struct dp_cache_count *ret)
{
	struct dp_cache_count sum = { 0 };

	for (uint32_t cpu = 0; cpu < v->cpus; cpu++) {
		const struct dp_cache_count *c =
			&v->cell[DP_CELL_CLASS(v->labels, 0, v->cpus, cpu)].cache;

		sum.misses += __atomic_load_n(&c->misses, __ATOMIC_RELAXED);
		sum.evicted += __atomic_load_n(&c->evicted, __ATOMIC_RELAXED);
		sum.busy += __atomic_load_n(&c->busy, __ATOMIC_RELAXED);
	}
	*ret = sum;
}

int dp_view_rtt(const struct dp_view *v, uint32_t label, enum dp_dir dir, struct dp_rtt *ret)
{
	const struct dp_rtt *h;
	struct dp_rtt out;

	if (label >= v->labels || (unsigned int)dir > DP_DOWN)
		return -ERANGE;
	h = &v->cell[DP_CELL_RTT(v->labels, v->classes, v->cpus, label, dir)].rtt;
	for (int i = 0; i < DP_RTT_BUCKETS; i++)
		out.bucket[i] = __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED);
	out.samples = __atomic_load_n(&h->samples, __ATOMIC_RELAXED);
	out.sum_us = __atomic_load_n(&h->sum_us, __ATOMIC_RELAXED);
	*ret = out;
	return 0;
}

void dp_count_sub(struct dp_count *a, const struct dp_count *b)
{
	a->rx_packets -= b->rx_packets;
	a->rx_bytes -= b->rx_bytes;
	a->tx_packets -= b->tx_packets;
	a->tx_bytes -= b->tx_bytes;
	a->drop_packets -= b->drop_packets;
	a->drop_bytes -= b->drop_bytes;
	a->excess -= b->excess;
	a->remarked -= b->remarked;
	a->ce -= b->ce;
	a->expired -= b->expired;
	a->binding -= b->binding;
	a->unknown -= b->unknown;
	a->malformed -= b->malformed;
	a->not_ip -= b->not_ip;
}
