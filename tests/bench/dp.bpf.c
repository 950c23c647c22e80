// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dp.bpf.c - the product's programs on random flows and labels, and the floors that they are held
 * against. BPF_PROG_TEST_RUN sends the same packet each time: these write a random flow or label
 * into it first. The maps are the product's own, shared by bench_dataplane. */
#include "bpf/treaty.bpf.c"

#define SRC_AT    (14 + 8)
#define SPORT_AT  (14 + 40)
#define LIVE_SETS (1u << 20) /* of the flow cache that bench_labels opens */

volatile __u32 n_flows = 0, n_labels = 0; /* set by bench_labels before each run */

__u64 rng[64 * 16] = {}; /* two cache lines per CPU: they are fetched in pairs */

struct five {
	__u64 src[2], dst[2];
	__u16 sport, dport;
	__u8 proto, pad[3];
};

MAP(hash5, BPF_MAP_TYPE_HASH, struct five, __u64, 1048576, 0);
MAP(array64, BPF_MAP_TYPE_ARRAY, __u32, struct dp_hot, 1048576, 0);
MAP(again64, BPF_MAP_TYPE_ARRAY, __u32, struct dp_hot, 1048576, 0);

INLINE __u32 below(__u32 n)
{
	__u64 *r = &rng[(bpf_get_smp_processor_id() & 63) * 16];

	*r = *r * 6364136223846793005ull + 1442695040888963407ull;
	return ((*r >> 32) * n) >> 32;
}

INLINE __u32 mix(__u32 i)
{
	i ^= i >> 16;
	i *= 0x7feb352d;
	i ^= i >> 15;
	i *= 0x846ca68b;
	return i ^ i >> 16;
}

/* Flow i: source fd10:1::(1 + i mod n_labels):mix(i), source port i. In whole words, the ports with
 * the packet's own destination port: a load that spans two stores waits until both have left the
 * processor, and so for all cache misses of the packet before. No wire writes packets like that. */
INLINE int flow_write(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 i = below(n_flows);

	if (data + SPORT_AT + 4 > end)
		return -1;
	*(__u64 *)(data + SRC_AT + 8) = bpf_cpu_to_be64((__u64)(1 + i % n_labels) << 32 | mix(i));
	*(__be32 *)(data + SPORT_AT) = bpf_htonl(i << 16 | 7001);
	asm volatile("" ::: "memory"); /* what follows reads the packet, as it would any other */
	return 0;
}

INLINE int label_write(struct __sk_buff *skb, __u32 *label)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	*label = 1 + below(n_labels);
	if (data + SRC_AT > end)
		return -1;
	*(__be32 *)(data + 14) = bpf_htonl(0x60000000 | *label);
	return 0;
}

SEC("tc")
int bench_flow(struct __sk_buff *skb)
{
	return flow_write(skb) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_hash5(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct five k = {};

	if (flow_write(skb) || data + SPORT_AT + 4 > end)
		return TC_ACT_SHOT;
	/* By words: clang copies what it does not know to be aligned byte by byte. */
	k.src[0] = *(__u64 *)(data + SRC_AT);
	k.src[1] = *(__u64 *)(data + SRC_AT + 8);
	k.dst[0] = *(__u64 *)(data + SRC_AT + 16);
	k.dst[1] = *(__u64 *)(data + SRC_AT + 24);
	*(__u32 *)&k.sport = *(__u32 *)(data + SPORT_AT);
	k.proto = *(__u8 *)(data + 14 + 6);
	return bpf_map_lookup_elem(&hash5, &k) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int bench_edge(struct __sk_buff *skb)
{
	return flow_write(skb) ? TC_ACT_SHOT : edge_in(skb);
}

SEC("tc")
int bench_array(struct __sk_buff *skb)
{
	struct dp_hot *l;
	__u32 label;

	if (label_write(skb, &label))
		return TC_ACT_SHOT;
	l = bpf_map_lookup_elem(&array64, &label);
	return l && *(volatile __u64 *)&l->dir[0].rx_packets == 1 ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_label(struct __sk_buff *skb)
{
	__u32 label;

	return label_write(skb, &label) ? TC_ACT_SHOT : node_in(skb);
}

/* --- the label path by hand, one stage after the other ------------------------------------------
 * Each is the one before and a little more, without a branch for what the bench's packets are not:
 * no program that does this work can cost less. */

struct hand {
	__u32 label, len;
	__u64 now;
	struct dp_line *l;
	struct dp_pass *p;
};

INLINE int hand_parse(struct __sk_buff *skb, struct hand *w)
{
	struct outer o;

	if (label_write(skb, &w->label) || !plain_v6(skb, &o))
		return -1;
	w->label = o.label;
	w->len = o.bytes;
	return 0;
}

/* State, binding, expiry, steering, by the word that the product reads. */
INLINE int hand_line(struct __sk_buff *skb, struct hand *w)
{
	if (hand_parse(skb, w))
		return -1;
	w->l = line_of(w->label);
	if (!w->l || w->now >= *(volatile __u64 *)&w->l->valid_until ||
	    (w->l->bind[0] && w->l->bind[0] != skb->ingress_ifindex))
		return -1;
	set_mark(skb, w->label, path_of(w->l, 0));
	return 0;
}

INLINE int hand_count(struct __sk_buff *skb, struct hand *w)
{
	__u64 rx;

	if (hand_line(skb, w))
		return -1;
	w->p = pass_of(here()->rx, w->label);
	if (!w->p)
		return -1;
	rx = rx_word(w->p, 0);
	if (rx >> DP_RX_CREDIT == 0xffff)
		return -1;
	count_rx(w->p, 0, rx, 1, w->len);
	return 0;
}

SEC("tc")
int bench_random(struct __sk_buff *skb)
{
	__u32 label;

	return label_write(skb, &label) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_random_clock(struct __sk_buff *skb)
{
	__u32 label;

	return label_write(skb, &label) || now_ns() == 1 ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_random_tick(struct __sk_buff *skb)
{
	__u32 label;

	return label_write(skb, &label) || tick_ns(here()) == 1 ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_parse(struct __sk_buff *skb)
{
	struct hand w = { .now = tick_ns(here()) };

	return hand_parse(skb, &w) || w.now == w.len ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_line(struct __sk_buff *skb)
{
	struct hand w = { .now = tick_ns(here()) };

	return hand_line(skb, &w) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_count(struct __sk_buff *skb)
{
	struct hand w = { .now = tick_ns(here()) };

	return hand_count(skb, &w) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* A meter that is asked for each packet: the clock itself and one compare-and-swap. */
SEC("tc")
int bench_cas(struct __sk_buff *skb)
{
	struct hand w = { .now = now_ns() };
	struct dp_meter *m;
	struct rate r;

	if (hand_count(skb, &w))
		return TC_ACT_SHOT;
	m = meter_of(w.label);
	if (!m)
		return TC_ACT_SHOT;
	r = rate_read(&m->rate[0]);
	return vt_take(&m->tat[0], w.now, (r.cost * w.len) >> r.shift, r.burst) ? TC_ACT_UNSPEC
										: TC_ACT_SHOT;
}

INLINE __u64 word_of(struct dp_hot *h)
{
	return h ? *(volatile __u64 *)&h->dir[0].rx_packets : 1;
}

/* Two random lines and nothing else, independent of each other. */
SEC("tc")
int bench_array2(struct __sk_buff *skb)
{
	__u32 label;

	if (label_write(skb, &label))
		return TC_ACT_SHOT;
	return word_of(bpf_map_lookup_elem(&array64, &label)) +
				       word_of(bpf_map_lookup_elem(&again64, &label)) ==
			       1
		       ? TC_ACT_SHOT
		       : TC_ACT_UNSPEC;
}

/* The edge's reads without its work: a flow's line, and only then the label's two. */
SEC("tc")
int bench_chain(struct __sk_buff *skb)
{
	__u32 i = below(n_flows), label;
	struct dp_pass *p;

	label = 1 + (i + word_of(bpf_map_lookup_elem(&array64, &i))) % n_labels;
	p = pass_of(here()->rx, label);
	if (flow_write(skb) || !line_of(label) || !p)
		return TC_ACT_SHOT;
	count_rx(p, 0, rx_word(p, 0), 1, skb->len);
	return TC_ACT_UNSPEC;
}

/* The same where the product reads it, a million lines over the whole flow cache, and one packet
 * after the other: which flow comes next waits for what was read. The edge's code is longer than a
 * processor's window, so this is how its packets miss. */
SEC("tc")
int bench_chain_serial(struct __sk_buff *skb)
{
	__u32 i = below(n_flows), set = i & (LIVE_SETS - 1), label;
	struct dp_flow_set *s = bpf_map_lookup_elem(&flows, &set);
	struct dp_pass *p;
	__u64 w;

	if (!s)
		return TC_ACT_SHOT;
	w = *(volatile __u64 *)&way_of(s, i)->src[0] >> 63; /* 0 */
	label = 1 + (i + w) % n_labels;
	p = pass_of(here()->rx, label);
	if (flow_write(skb) || !line_of(label) || !p)
		return TC_ACT_SHOT;
	count_rx(p, 0, rx_word(p, 0), 1, skb->len);
	rng[(bpf_get_smp_processor_id() & 63) * 16] += w + (p->dir[0].bytes >> 63);
	return TC_ACT_UNSPEC;
}

/* A line that is read and written, and nothing else. */
SEC("tc")
int bench_array_write(struct __sk_buff *skb)
{
	struct dp_hot *l;
	__u32 label;

	if (label_write(skb, &label))
		return TC_ACT_SHOT;
	l = bpf_map_lookup_elem(&again64, &label);
	if (!l)
		return TC_ACT_SHOT;
	l->dir[1].tx_bytes++;
	return TC_ACT_UNSPEC;
}

/* --- other layouts of a label, by hand ----------------------------------------------------------
 * `one`: all that a packet in profile touches is one cache line, the counters of one CPU in it.
 * `two`: a line of 96 bytes with the meter in it, and a whole line of counters, [label][CPU]. Both
 * read and write what bench_count() does. */

struct one {
	struct dp_line set;
	struct dp_pass pass;
};

struct two {
	struct dp_line set;
	struct dp_meter meter;
};

MAP(ones, BPF_MAP_TYPE_ARRAY, __u32, struct one, 1048576, BPF_F_MMAPABLE);
MAP(twos, BPF_MAP_TYPE_ARRAY, __u32, struct two, 1048576, BPF_F_MMAPABLE);
MAP(two_hots, BPF_MAP_TYPE_ARRAY, __u32, struct dp_hot, 2 * 1048576, BPF_F_MMAPABLE);

/* As the product's own. */
static long layout_fill(__u32 i, void *arg)
{
	struct dp_line *l = bpf_map_lookup_elem(&lines, &i);
	struct one *o = bpf_map_lookup_elem(&ones, &i);
	struct two *t = bpf_map_lookup_elem(&twos, &i);

	(void)arg;
	if (!l || !o || !t)
		return 1;
	o->set = *l;
	o->set.pad = bpf_get_smp_processor_id() + 1;
	t->set = *l;
	return 0;
}

/* Once, on the CPU that runs the rest. */
SEC("syscall")
int bench_layouts(void *ctx)
{
	(void)ctx;
	return bpf_loop(1048576, layout_fill, 0, 0) != 1048576;
}

INLINE int set_pass(struct __sk_buff *skb, const struct hand *w, const struct dp_line *l)
{
	if (!(*(volatile __u16 *)&l->flags & DP_L_ACTIVE) ||
	    w->now >= *(volatile __u64 *)&l->valid_until ||
	    (l->bind[0] && l->bind[0] != skb->ingress_ifindex))
		return -1;
	set_mark(skb, w->label, path_of(l, 0));
	return 0;
}

INLINE int one_pass(struct __sk_buff *skb, const struct hand *w)
{
	struct one *o = bpf_map_lookup_elem(&ones, &w->label);
	__u64 rx;

	if (!o || set_pass(skb, w, &o->set) || o->set.pad != bpf_get_smp_processor_id() + 1)
		return -1;
	rx = rx_word(&o->pass, 0);
	if (rx >> DP_RX_CREDIT == 0xffff)
		return -1;
	count_rx(&o->pass, 0, rx, 1, w->len);
	return 0;
}

INLINE int two_pass(struct __sk_buff *skb, const struct hand *w)
{
	__u32 at = w->label * 2 + (bpf_get_smp_processor_id() & 1);
	struct two *t = bpf_map_lookup_elem(&twos, &w->label);
	struct dp_hot *h = bpf_map_lookup_elem(&two_hots, &at);
	__u64 rx;

	if (!t || !h || set_pass(skb, w, &t->set))
		return -1;
	rx = *(volatile __u64 *)&h->dir[0].rx_packets;
	if (rx >> DP_RX_CREDIT == 0xffff)
		return -1;
	*(volatile __u64 *)&h->dir[0].rx_packets =
		(rx & ~DP_RX_PACKETS) | ((rx + 1) & DP_RX_PACKETS);
	h->dir[0].rx_bytes += w->len;
	return 0;
}

SEC("tc")
int bench_one(struct __sk_buff *skb)
{
	struct hand w = { .now = tick_ns(here()) };

	return hand_parse(skb, &w) || one_pass(skb, &w) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int bench_two(struct __sk_buff *skb)
{
	struct hand w = { .now = tick_ns(here()) };

	return hand_parse(skb, &w) || two_pass(skb, &w) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* As bench_chain(), with the label as one. */
SEC("tc")
int bench_chain_one(struct __sk_buff *skb)
{
	__u32 i = below(n_flows);
	struct hand w = { .len = skb->len };

	w.label = 1 + (i + word_of(bpf_map_lookup_elem(&array64, &i))) % n_labels;
	return flow_write(skb) || one_pass(skb, &w) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
