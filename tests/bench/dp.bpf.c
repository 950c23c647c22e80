// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dp.bpf.c - the product's programs on random flows and labels, and the floors that they are held
 * against. BPF_PROG_TEST_RUN sends the same packet each time: these write a random flow or label
 * into it first. The maps are the product's own, shared by bench_dataplane. */
#include "bpf/treaty.bpf.c"

#define SRC_AT   (14 + 8)
#define SPORT_AT (14 + 40)

volatile __u32 n_flows = 0, n_labels = 0; /* set by bench_labels before each run */

__u64 rng[64 * 8] = {}; /* one cache line per CPU */

struct five {
	__u64 src[2], dst[2];
	__u16 sport, dport;
	__u8 proto, pad[3];
};

MAP(hash5, BPF_MAP_TYPE_HASH, struct five, __u64, 1048576, 0);
MAP(array64, BPF_MAP_TYPE_ARRAY, __u32, struct dp_hot, 1048576, 0);

INLINE __u32 below(__u32 n)
{
	__u64 *r = &rng[(bpf_get_smp_processor_id() & 63) * 8];

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

/* Flow i: source fd10:1::(1 + i mod n_labels):mix(i), source port i. */
INLINE int flow_write(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 i = below(n_flows);

	if (data + SPORT_AT + 4 > end)
		return -1;
	*(__be32 *)(data + SRC_AT + 8) = bpf_htonl(1 + i % n_labels);
	*(__be32 *)(data + SRC_AT + 12) = bpf_htonl(mix(i));
	*(__be16 *)(data + SPORT_AT) = bpf_htons(i);
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
	__builtin_memcpy(k.src, data + SRC_AT, 32);
	__builtin_memcpy(&k.sport, data + SPORT_AT, 4);
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
