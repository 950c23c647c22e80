/* SPDX-License-Identifier: Apache-2.0 */
/* dp_v3.c - takes over what ABI versions 2 and 3 pinned. All their maps serve as they are, but for
 * the label lines, the counters, and the baselines that belong to them: those are made anew.
 *
 * The old ones are renamed to v3_NAME and the old programs go on with them until the links are
 * swapped. Lines, meters, classes, histograms and slots are copied before, counters follow by the
 * baselines when nobody counts in the old map any more: a label's figures are exact, of a class's
 * what passed between copy and swap is missing. The control map keeps the old checksum until all is
 * done, so that a death in between is made good by the next open. The counter map's stamp tells how
 * far it came: without, new maps are thrown away and made again; with it, programs of ours may
 * count in them already. */
#include <stdio.h>
#include <sys/mman.h>

#include "dp_internal.h"
#include "dp_v3.h"

static const char *const renewed[] = { "lines", "base", "counts" };

static void path_of(char to[DP_PATH_MAX], const struct dp *d, const char *prefix, const char *name)
{
	(void)snprintf(to, DP_PATH_MAX, "%.150s/%s%.40s", d->pin_dir, prefix, name);
}

static bool pinned(const struct dp *d, const char *prefix, const char *name)
{
	char path[DP_PATH_MAX];

	path_of(path, d, prefix, name);
	return !access(path, F_OK);
}

bool dp_v3_stamp(const struct dp_ctl *c)
{
	static const uint32_t size[] = V3_SIZES;

	return c->version >= 2 && c->version <= DP_ABI_VERSION &&
	       c->sizes == dp_sizes_sum(size, ARRAY_LEN(size));
}

/* The new counter map was filled and stamped. */
static bool counters_stand(const struct dp *d)
{
	char path[DP_PATH_MAX];
	union dp_cell cell;
	uint32_t zero = 0;
	auto_close int fd = -1;

	path_of(path, d, "", "counts");
	fd = bpf_obj_get(path);
	return pinned(d, "v3_", "counts") && fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &cell) &&
	       cell.geo.magic == DP_ABI_MAGIC;
}

/* From now on an older daemon keeps off. */
static int version_write(const struct dp *d, int ctl, struct err *e)
{
	struct dp_ctl *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, ctl, 0);

	if (c == MAP_FAILED)
		return err_set(e, -errno, "%s/ctl: cannot be mapped: %s", d->pin_dir,
			       strerror(errno));
	__atomic_store_n(&c->version, DP_ABI_VERSION, __ATOMIC_RELEASE);
	(void)munmap(c, sizeof(*c));
	return 0;
}

static int pin_drop(const struct dp *d, const char *prefix, const char *name, struct err *e)
{
	char path[DP_PATH_MAX];

	path_of(path, d, prefix, name);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int dp_v3_rename(struct dp *d, int ctl, struct err *e)
{
	char from[DP_PATH_MAX], to[DP_PATH_MAX];
	int r = version_write(d, ctl, e);

	d->v3 = true;
	d->v3_filled = counters_stand(d);
	if (r < 0 || d->v3_filled)
		return r;
	r = pin_drop(d, "", "meters", e);
	for (size_t i = 0; !r && i < ARRAY_LEN(renewed); i++) {
		if (pinned(d, "v3_", renewed[i])) { /* then this one is new, and half made */
			r = pin_drop(d, "", renewed[i], e);
			continue;
		}
		path_of(from, d, "", renewed[i]);
		path_of(to, d, "v3_", renewed[i]);
		if (rename(from, to))
			r = err_set(e, -errno, "%s: %s", from, strerror(errno));
	}
	return r;
}

/* --- what is carried ---------------------------------------------------------------------------
 */

struct v3 {
	struct v3_line *line;
	struct dp_base *base;
	union dp_cell *cell;
	struct v3_cells at;
	uint32_t labels, cpus;
};

static void *map_old(const struct dp *d, const char *name, size_t len, struct err *e)
{
	char path[DP_PATH_MAX];
	auto_close int fd = -1;
	void *p;

	path_of(path, d, "v3_", name);
	fd = bpf_obj_get(path);
	p = fd < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		return p;
	(void)err_set(e, -errno, "%s: cannot be mapped: %s", path, strerror(errno));
	return NULL;
}

static void v3_close(struct v3 *o)
{
	if (o->line)
		(void)munmap(o->line, o->labels * sizeof(*o->line));
	if (o->base)
		(void)munmap(o->base, o->labels * 2 * sizeof(*o->base));
	if (o->cell)
		(void)munmap(o->cell, o->at.end * sizeof(*o->cell));
}

static int v3_open(const struct dp *d, struct v3 *o, struct err *e)
{
	o->labels = d->labels;
	o->cpus = d->cpus;
	o->at = v3_cells_of(d->labels, d->cpus, dp_slots_of(d->labels));
	o->line = map_old(d, "lines", d->labels * sizeof(*o->line), e);
	o->base = o->line ? map_old(d, "base", d->labels * 2 * sizeof(*o->base), e) : NULL;
	o->cell = o->base ? map_old(d, "counts", o->at.end * sizeof(*o->cell), e) : NULL;
	return o->cell ? 0 : -ESTALE;
}

static struct dp_rate rate_of(uint32_t cost, uint8_t shift, uint32_t burst_ns)
{
	return (struct dp_rate){ .cost = cost,
				 .span = burst_ns / 1000 | (uint32_t)shift << DP_SPAN_SHIFT };
}

static void line_carry(struct dp *d, uint32_t label, const struct v3_line *v)
{
	struct dp_meter *m = &d->meters[label];

	memcpy(&d->lines[label], v, offsetof(struct v3_line, shift));
	for (int i = 0; i < 2; i++) {
		m->rate[i] = rate_of(v->cost[i], v->shift[i], v->burst[i]);
		m->excess[i] = rate_of(v->ecost[i], v->eshift[i], v->eburst[i]);
		m->tat[i] = __atomic_load_n(&v->tat[i], __ATOMIC_RELAXED);
		m->etat[i] = __atomic_load_n(&v->etat[i], __ATOMIC_RELAXED);
	}
}

/* All but what passed and what should not happen: the baselines carry that. */
static int cells_carry(struct dp *d, const struct v3 *o, struct err *e)
{
	size_t len = d->at.end * sizeof(union dp_cell);
	union dp_cell *to =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, dp_counters_fd(d), 0);

	if (to == MAP_FAILED)
		return err_set(e, -errno, "counters: cannot be mapped: %s", strerror(errno));
	memcpy(&to[d->at.cache], &o->cell[o->at.cache], d->cpus * sizeof(*to));
	memcpy(&to[d->at.index], &o->cell[o->at.index], (d->at.rare - d->at.index) * sizeof(*to));
	memcpy(&to[d->at.rtt], &o->cell[o->at.rtt], (d->at.end - d->at.rtt) * sizeof(*to));
	for (uint32_t cpu = 0; cpu < d->cpus; cpu++)
		for (uint32_t i = 0; i < DP_CLASSES; i++)
			to[d->at.class_count + cpu * DP_CLASSES + i] =
				o->cell[o->at.class_count + i * d->cpus + cpu];
	(void)munmap(to, len);
	return 0;
}

int dp_v3_fill(struct dp *d, struct err *e)
{
	cleanup(v3_close) struct v3 o = { 0 };
	int r = v3_open(d, &o, e);
	struct dp_queue q;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < d->labels; i++)
		line_carry(d, i, &o.line[i]);
	memcpy(d->base, o.base, d->labels * 2 * sizeof(*d->base));
	if (dp_shape_walk(d, 0, &q)) /* version 2 did not note it */
		__atomic_store_n(&d->ctl->shaped, 1, __ATOMIC_RELEASE);
	return cells_carry(d, &o, e);
}

/* --- counters ----------------------------------------------------------------------------------
 */

static void words_sub(__u64 *to, const __u64 *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] -= __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* The new counters started at 0: a baseline below zero by the old total goes on where that ended.
 * From the old baseline each time, so that it may be done again. */
static void count_carry(struct dp *d, const struct v3 *o, uint32_t label, uint32_t dir)
{
	uint32_t index = o->cell[o->at.index + label / 16].index.at[label & 15];
	uint32_t slot = index & DP_INDEX_SLOT;
	struct dp_count c = o->base[label * 2 + dir].count;

	for (uint32_t cpu = 0; cpu < o->cpus; cpu++) {
		/* of a direction: packets and bytes received, packets and bytes sent */
		const __u64 *w = &o->cell[o->at.hot + label * o->cpus + cpu].word[dir * 4];

		c.rx_packets -= __atomic_load_n(w, __ATOMIC_RELAXED) & DP_RX_PACKETS;
		words_sub(&c.rx_bytes, w + 1, 3);
		if (!label && !dir)
			words_sub(&c.unknown, &o->cell[o->at.odd + cpu].odd.unknown, 3);
	}
	if (slot || !label)
		words_sub(&c.drop_packets, &o->cell[o->at.rare + slot * 2 + dir].rare.drop_packets,
			  7);
	d->base[label * 2 + dir].count = c;
}

int dp_v3_finish(struct dp *d, struct err *e)
{
	cleanup(v3_close) struct v3 o = { 0 };
	int r = dp_readers_wait("counters", e);

	r = r ? r : v3_open(d, &o, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < d->labels * 2; i++)
		count_carry(d, &o, i / 2, i % 2);
	__atomic_store_n(&d->ctl->sizes, dp_layout_sum(), __ATOMIC_RELEASE);
	d->v3 = false;
	return dp_v3_drop(d, e);
}

/* What is left when all was carried. */
int dp_v3_drop(struct dp *d, struct err *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_LEN(renewed); i++)
		r = pin_drop(d, "v3_", renewed[i], e);
	return r;
}
