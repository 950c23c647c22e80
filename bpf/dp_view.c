/* SPDX-License-Identifier: Apache-2.0 */
/* dp_view.c - reads the counter map through a read-only mapping: no system call, no capability. */
#include <errno.h>
#include <sys/mman.h>

#include "dataplane.h"

struct dp_view {
	const union dp_cell *cell;
	size_t len;
	uint32_t labels, cpus;
	struct dp_cells at;
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
	    g.labels > DP_LABEL_MAX + 1 || g.classes != DP_CLASSES || g.cpus > 4096 ||
	    g.slots != dp_slots_of(g.labels) || g.watched != DP_WATCHED)
		return err_set(e, -EPROTO, "counter map: not of ABI version %u", DP_ABI_VERSION);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, -ENOMEM, "out of memory");
	v->labels = g.labels;
	v->cpus = g.cpus;
	v->at = dp_cells_of(g.labels, g.cpus, g.slots);
	v->len = (size_t)v->at.end * sizeof(union dp_cell);
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

#define READ(from) __atomic_load_n(&(from), __ATOMIC_RELAXED)

/* One CPU's counters of a label, both directions. */
static inline void add_pass(struct dp_hot *to, const struct dp_pass *rx, const struct dp_pass *tx)
{
#pragma GCC unroll 2
	for (int i = 0; i < 2; i++) {
		to->dir[i].rx_packets += READ(rx->dir[i].packets) & DP_RX_PACKETS;
		to->dir[i].rx_bytes += READ(rx->dir[i].bytes);
		to->dir[i].tx_packets += READ(tx->dir[i].packets);
		to->dir[i].tx_bytes += READ(tx->dir[i].bytes);
	}
}

static __u32 index_of(const struct dp_view *v, uint32_t label)
{
	const struct dp_index *i = &v->cell[v->at.index + label / 16].index;

	return __atomic_load_n(&i->at[label & 15], __ATOMIC_RELAXED);
}

static void add_odd(const struct dp_view *v, struct dp_count *c)
{
	for (uint32_t cpu = 0; cpu < v->cpus; cpu++)
		add_words(&c->unknown, &v->cell[v->at.odd + cpu].odd.unknown, 3);
}

void dp_view_odd(const struct dp_view *v, struct dp_odd *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint32_t cpu = 0; cpu < v->cpus; cpu++)
		add_words(&ret->unknown, &v->cell[v->at.odd + cpu].odd.unknown, 4);
}

int dp_view_count(const struct dp_view *v, uint32_t label, enum dp_dir dir, struct dp_count *ret)
{
	struct dp_count sum = { 0 };
	struct dp_hot hot;
	uint32_t slot;

	if (label >= v->labels || (unsigned int)dir > DP_DOWN)
		return -ERANGE;
	dp_view_sweep(v, label, 1, &hot);
	memcpy(&sum, &hot.dir[dir], sizeof(hot.dir[dir]));
	slot = index_of(v, label) & DP_INDEX_SLOT;
	if (slot || !label)
		add_words(&sum.drop_packets,
			  &v->cell[v->at.rare + slot * 2 + dir].rare.drop_packets, 7);
	if (!label && dir == DP_UP)
		add_odd(v, &sum);
	*ret = sum;
	return 0;
}

/* The processor's own prefetching ends with each page: these reach into the next. */
#define AHEAD (2048 / sizeof(union dp_cell))

void dp_view_sweep(const struct dp_view *v, uint32_t first, uint32_t n, struct dp_hot *ret)
{
	n = first >= v->labels ? 0 : n < v->labels - first ? n : v->labels - first;
	memset(ret, 0, n * sizeof(*ret));
	for (uint32_t cpu = 0; cpu < v->cpus; cpu++) {
		const union dp_cell *rx = &v->cell[v->at.rx + cpu * v->at.pairs];
		const union dp_cell *tx = &v->cell[v->at.tx + cpu * v->at.pairs];

		for (uint32_t i = 0; i < n; i++) {
			uint32_t at = (first + i) / 2, half = (first + i) % 2;

			__builtin_prefetch(&rx[at + AHEAD]);
			__builtin_prefetch(&tx[at + AHEAD]);
			add_pass(&ret[i], &rx[at].pass[half], &tx[at].pass[half]);
		}
	}
}

int dp_view_class(const struct dp_view *v, uint32_t class_id, struct dp_class_count *ret)
{
	struct dp_class_count sum = { 0 };

	if (!class_id || class_id >= DP_CLASSES)
		return -ERANGE;
	for (uint32_t cpu = 0; cpu < v->cpus; cpu++)
		add_words(&sum.packets,
			  &v->cell[v->at.class_count + cpu * DP_CLASSES + class_id]
				   .class_count.packets,
			  4);
	*ret = sum;
	return 0;
}

void dp_view_cache(const struct dp_view *v, struct dp_cache_count *ret)
{
	struct dp_cache_count sum = { 0 };

	for (uint32_t cpu = 0; cpu < v->cpus; cpu++)
		add_words(&sum.misses, &v->cell[v->at.cache + cpu].cache.misses, 3);
	*ret = sum;
}

int dp_view_rtt(const struct dp_view *v, uint32_t label, enum dp_dir dir, struct dp_rtt *ret)
{
	struct dp_rtt out = { 0 };
	const union dp_cell *c;
	uint32_t slot;

	if (label >= v->labels || (unsigned int)dir > DP_DOWN)
		return -ERANGE;
	slot = index_of(v, label) >> DP_INDEX_WATCH;
	if (!slot || slot > DP_WATCHED)
		return -ENOENT;
	c = &v->cell[v->at.rtt + (slot * 2 + dir) * 2];
	for (unsigned int i = 0; i < DP_RTT_BUCKETS; i++)
		out.bucket[i] = __atomic_load_n(&c[i / 16].rtt.bucket[i & 15], __ATOMIC_RELAXED);
	out.samples = __atomic_load_n(&c[1].word[6], __ATOMIC_RELAXED);
	out.sum_us = __atomic_load_n(&c[1].word[7], __ATOMIC_RELAXED);
	*ret = out;
	return 0;
}

uint32_t dp_view_watched(const struct dp_view *v, uint32_t label)
{
	return label < v->labels ? index_of(v, label) >> DP_INDEX_WATCH : 0;
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
