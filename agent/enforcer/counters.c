/* SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

#include "bpf/dataplane.h"

#include <errno.h>

struct entry {
	uint32_t label;
	uint32_t rtt_us;
	struct dp_count base[DIR_MAX_];
	uint32_t seen[DP_RTT_BUCKETS]; /* round trips of both directions at the last window's end */
};

struct counters {
	struct msg_client *c;
	struct dp_view *view;
	struct dp_marks *marks;
	uint64_t host;
	struct entry *e;
	uint32_t n, cap;
	uint32_t *row; /* by label: of e, + 1; 0 = none */
	uint32_t rows;
};

int counters_new(struct counters **ret, struct msg_client *c, struct err *e)
{
	struct counters *k = calloc(1, sizeof(*k));
	struct enforcer_counters about;
	struct enforcer_marks marks;
	auto_close int fd = -1, marks_fd = -1;
	int r;

	if (!k)
		return err_set(e, -ENOMEM, "counters");
	k->c = c;
	r = enforcer_counters(c, &about, &fd, e);
	r = r ? r : dp_view_open(&k->view, fd, e);
	r = r ? r : enforcer_marks(c, &marks, &marks_fd, e);
	r = r ? r : dp_marks_open(&k->marks, marks_fd, e);
	if (r) {
		k = counters_free(k);
		return r;
	}
	k->host = marks.host;
	*ret = k;
	return 0;
}

struct counters *counters_free(struct counters *k)
{
	if (!k)
		return NULL;
	k->view = dp_view_close(k->view);
	k->marks = dp_marks_close(k->marks);
	free(k->e);
	free(k->row);
	free(k);
	return NULL;
}

static struct entry *entry_of(const struct counters *k, uint32_t label)
{
	uint32_t row = label < k->rows ? k->row[label] : 0;

	return row ? &k->e[row - 1] : NULL;
}

/* Room for one more entry, and for its label. */
static int room(struct counters *k, uint32_t label, struct err *e)
{
	if (k->n == k->cap) {
		uint32_t cap = k->cap ? 2 * k->cap : 32;
		struct entry *more = reallocarray(k->e, cap, sizeof(*more));

		if (!more)
			return err_set(e, -ENOMEM, "counters");
		k->e = more;
		k->cap = cap;
	}
	if (label >= k->rows) {
		uint32_t rows = label < 2 * k->rows ? 2 * k->rows : label + 1;
		uint32_t *more = reallocarray(k->row, rows, sizeof(*more));

		if (!more)
			return err_set(e, -ENOMEM, "counters");
		memset(more + k->rows, 0, (rows - k->rows) * sizeof(*more));
		k->row = more;
		k->rows = rows;
	}
	return 0;
}

static void histogram(const struct counters *k, uint32_t label, uint32_t ret[DP_RTT_BUCKETS])
{
	struct dp_rtt h;

	memset(ret, 0, DP_RTT_BUCKETS * sizeof(ret[0]));
	for (int dir = 0; dir < DIR_MAX_; dir++) {
		if (dp_view_rtt(k->view, label, (enum dp_dir)dir, &h))
			continue;
		for (int i = 0; i < DP_RTT_BUCKETS; i++)
			ret[i] += h.bucket[i];
	}
}

static int begins(struct counters *k, uint32_t label, const struct enforcer_base *b, struct err *e)
{
	struct entry *x = entry_of(k, label);
	int r = x ? 0 : room(k, label, e);

	if (r)
		return r;
	if (!x) {
		x = &k->e[k->n++];
		memset(x, 0, sizeof(*x));
		x->label = label;
		k->row[label] = k->n;
		histogram(k, label, x->seen);
	}
	memcpy(x->base, b->dir, sizeof(x->base));
	return 0;
}

int counters_base(struct counters *k, const uint32_t *label, uint32_t n, struct err *e)
{
	struct enforcer_bases b;
	int r = 0;

	for (uint32_t at = 0, some; !r && at < n; at += some) {
		some = n - at < ENFORCER_BASES_MAX ? n - at : ENFORCER_BASES_MAX;
		r = enforcer_bases(k->c, label + at, some, &b, e);
		for (uint32_t i = 0; !r && i < some; i++)
			r = begins(k, label[at + i], &b.of[i], e);
	}
	return r;
}

void counters_drop(struct counters *k, uint32_t label)
{
	struct entry *x = entry_of(k, label);

	if (!x)
		return;
	*x = k->e[--k->n];
	k->row[x->label] = k->row[label];
	k->row[label] = 0;
}

bool counters_next(const struct counters *k, uint32_t *i, uint32_t *label)
{
	if (*i >= k->n)
		return false;
	*label = k->e[(*i)++].label;
	return true;
}

/* Bucket i holds 2^i..2^(i+1)-1 us: inside the median's bucket the samples count as evenly spread.
 */
uint32_t counters_median(const uint32_t bucket[DP_RTT_BUCKETS])
{
	uint64_t n = 0, before = 0;

	for (int i = 0; i < DP_RTT_BUCKETS; i++)
		n += bucket[i];
	for (int i = 0; i < DP_RTT_BUCKETS; i++) {
		uint64_t low = i ? 1ull << i : 0, width = i ? 1ull << i : 2;

		if (before + bucket[i] > n / 2)
			return (uint32_t)(low +
					  width * (2 * (n / 2 - before) + 1) / (2ull * bucket[i]));
		before += bucket[i];
	}
	return 0;
}

void counters_window(struct counters *k)
{
	for (uint32_t i = 0; i < k->n; i++) {
		struct entry *x = &k->e[i];
		uint32_t now[DP_RTT_BUCKETS], fresh[DP_RTT_BUCKETS];

		histogram(k, x->label, now);
		for (int b = 0; b < DP_RTT_BUCKETS; b++)
			fresh[b] = now[b] - x->seen[b];
		memcpy(x->seen, now, sizeof(now));
		x->rtt_us = counters_median(fresh);
	}
}

int counters_label(const struct counters *k, uint32_t label, struct label_sample *ret)
{
	const struct entry *x = entry_of(k, label);
	struct label_sample s = { .label = label, .rtt_us = x ? x->rtt_us : 0 };

	for (int i = 0; i < DIR_MAX_; i++) {
		struct dp_count c;
		int r = dp_view_count(k->view, label, (enum dp_dir)i, &c);

		if (r)
			return r;
		if (x)
			dp_count_sub(&c, &x->base[i]);
		s.dir[i] = (struct label_count){ .rx_bytes = c.rx_bytes,
						 .rx_packets = c.rx_packets,
						 .tx_bytes = c.tx_bytes,
						 .tx_packets = c.tx_packets,
						 .drop_rate = c.drop_packets,
						 .expired = c.expired,
						 .violation = c.binding,
						 .marked = c.remarked + c.ce };
	}
	*ret = s;
	return 0;
}

int counters_class(const struct counters *k, uint8_t class_id, struct class_sample *ret)
{
	struct dp_class_count c;
	int r = dp_view_class(k->view, class_id, &c);

	if (!r)
		*ret = (struct class_sample){ .class_id = class_id,
					      .bytes = c.bytes,
					      .packets = c.packets };
	return r;
}

int counters_mark(const struct counters *k, uint32_t label, enum dir dir, uint32_t point,
		  uint64_t block, struct mark_sample *ret)
{
	uint32_t slot = dp_view_watched(k->view, label);
	struct dp_mark m;
	int r = slot ? dp_marks_get(k->marks, slot, (enum dp_dir)dir, point, block, &m) : -ENOENT;

	if (r)
		return r;
	*ret = (struct mark_sample){ .label = label,
				     .dir = (uint8_t)dir,
				     .block = block,
				     .packets = m.packets,
				     .bytes = m.bytes,
				     .first_ns = m.packets ? m.first_ns : 0,
				     .mean_ns = m.packets ? m.sum_ns / (int64_t)m.packets : 0 };
	return 0;
}

uint64_t counters_host(const struct counters *k)
{
	return k->host;
}
