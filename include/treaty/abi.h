/* SPDX-License-Identifier: Apache-2.0 */
/* abi.h - what the BPF programs and user space share: fixed widths, asserted sizes, one version.
 *
 * A label (1..DP_LABEL_MAX) belongs to one agreement and names both directions: dir 0 = up
 * (enterprise -> far end), dir 1 = down. It is the index of every table below. Times are
 * CLOCK_BOOTTIME nanoseconds. Bytes are layer 2: IP bytes + Ethernet header, per wire packet.
 * Bump DP_ABI_VERSION with every change of a layout or a meaning: pinned maps of another version
 * are refused, never reinterpreted. */
#ifndef TREATY_ABI_H
#define TREATY_ABI_H

#include <linux/types.h>

#define DP_ABI_MAGIC   0x59544154u /* "TATY" */
#define DP_ABI_VERSION 2u

#define DP_LABEL_MAX    0xfffffu    /* 20 bits, RFC 8200 section 3 */
#define DP_MARK_LABEL   0x000fffffu /* skb->mark bits 0..19 */
#define DP_MARK_FOREIGN 0x00f00000u /* bits 20..23: not ours, kept */
#define DP_MARK_PATH    24          /* shift; bits 24..31 = path id, 0 = none */
#define DP_PRIO_MAJOR   0x00540000u /* skb->priority = 54:minor */

#define DP_RULES       256 /* rules of one table */
#define DP_CLASSES     256 /* class ids 1..255; 0 = none */
#define DP_PORTS       64  /* managed devices */
#define DP_RTT_BUCKETS 28  /* bucket i: 2^i <= microseconds < 2^(i+1); 0 also holds 0 us */

/* Flags of a label line. */
#define DP_L_ACTIVE      0x01u
#define DP_L_POLICE_EDGE 0x02u /* meter at customer-facing ingress */
#define DP_L_POLICE_NODE 0x04u /* meter at network-facing ingress */
#define DP_L_OVER_SHIFT  4     /* two bits: enum dp_over */
#define DP_L_OVER_MASK   0x30u
#define DP_L_OVER_REMARK 1u
#define DP_L_OVER_ECN    2u

/* One cache line per label, written by user space word by word, read by the programs. Each word
 * means something by itself, so a reader between two stores sees an old or a new value of each. */
struct dp_line {
	__u32 flags;
	__u16 class_minor; /* HTB class 54:minor at egress; 0 = leave skb->priority alone */
	__u8 dscp;         /* written at the edge, 0..63; above: left as it came */
	__u8 dscp_over;    /* written on excess and remarked packets */
	__u64 valid_until; /* past it: best effort, counted `expired` */
	__u32 bind[2];     /* ingress ifindex per direction; 0 = any managed device */
	__u64 cost[2];     /* committed: ns per byte in Q20, 0 = unmetered */
	__u32 burst[2];    /* ns of committed (and of excess) virtual time */
	__u64 ecost[2];    /* excess rate (RFC 4115): ns per byte in Q20, 0 = none */
};
_Static_assert(sizeof(struct dp_line) == 64, "one cache line");

/* Steering: element label*2+dir; one u32 flips the path. */
struct dp_steer {
	__u32 path; /* 1..255, 0 = none */
	__u32 pad;
};
_Static_assert(sizeof(struct dp_steer) == 8, "array stride");

/* Virtual time, element label*2+dir; written by the programs only. */
struct dp_meter {
	__u64 tat;      /* committed: theoretical arrival time, advanced by compare-and-swap */
	__u64 etat;     /* excess */
	__u64 rtt_next; /* next moment at which a TSval is noted */
	__u64 pad[5];
};
_Static_assert(sizeof(struct dp_meter) == 64, "one cache line");

/* Counters of one (label, direction, CPU): one writer, plain adds. Label 0 holds what travels
 * as best effort through our ingress programs. */
struct dp_count {
	__u64 rx_packets, rx_bytes;     /* passed at ingress */
	__u64 tx_packets, tx_bytes;     /* left at egress (before the qdisc) */
	__u64 drop_packets, drop_bytes; /* over the rate, dropped */
	__u64 excess;                   /* packets above the committed, inside the excess rate */
	__u64 remarked;                 /* packets over the rate, passed with dscp_over */
	__u64 ce;                       /* packets over the rate, passed with ECN CE */
	__u64 expired;                  /* packets after valid_until: best effort */
	__u64 binding;   /* packets from a device the label is not bound to: best effort */
	__u64 unknown;   /* label 0 only: labelled packets with no line */
	__u64 malformed; /* label 0 only: truncated or not parsable, passed untouched */
	__u64 not_ip;    /* label 0 only: neither IPv4 nor IPv6 */
	__u64 last_ns;   /* last packet of this CPU */
	__u64 pad;
};
_Static_assert(sizeof(struct dp_count) == 128, "two cache lines");

/* User space's own notes of (label, direction); no program reads them. */
struct dp_base {
	struct dp_count count; /* the counters when the label became active */
	__u64 rate, excess;    /* bits per second as asked: the line holds rounded costs */
	__u64 pad[6];
};
_Static_assert(sizeof(struct dp_base) == 192, "base");

/* Demand of one (class, CPU), seen at the edge before any agreement exists. */
struct dp_class_count {
	__u64 packets, bytes;
	__u64 labelled; /* packets that had a valid label */
	__u64 flows;    /* flow cache misses: new flows (and refreshed ones) */
	__u64 last_ns;
	__u64 pad[11];
};
_Static_assert(sizeof(struct dp_class_count) == 128, "a cell");

/* The flow cache on one CPU, in the place of class 0. */
struct dp_cache_count {
	__u64 misses;
	__u64 evicted; /* inserts that pushed out a live flow */
	__u64 busy;    /* inserts not done: another CPU was writing the entry */
	__u64 pad[13];
};
_Static_assert(sizeof(struct dp_cache_count) == 128, "a cell");

/* Passive TCP RTT of (label, direction of the data), shared by all CPUs, atomic adds. */
struct dp_rtt {
	__u32 bucket[DP_RTT_BUCKETS];
	__u64 samples;
	__u64 sum_us;
};
_Static_assert(sizeof(struct dp_rtt) == 128, "a cell");

/* First cell of the counter map: its geometry. */
struct dp_geometry {
	__u32 magic, version;
	__u32 labels, classes, cpus, pad0;
	__u64 pad[13];
};
_Static_assert(sizeof(struct dp_geometry) == 128, "a cell");

/* The counter map is one mmapable array of cells, so that one frozen fd carries everything:
 * geometry | labels x 2 x cpus counts | classes x cpus class counts | labels x 2 histograms. */
union dp_cell {
	struct dp_geometry geo;
	struct dp_count count;
	struct dp_class_count class_count;
	struct dp_cache_count cache;
	struct dp_rtt rtt;
};
_Static_assert(sizeof(union dp_cell) == 128, "a cell");

#define DP_CELL_COUNT(label, dir, cpus, cpu) (1u + ((label)*2u + (dir)) * (cpus) + (cpu))
#define DP_CELL_CLASS(labels, class, cpus, cpu) \
	(1u + (labels)*2u * (cpus) + (class) * (cpus) + (cpu))
#define DP_CELL_RTT(labels, classes, cpus, label, dir) \
	(1u + (labels)*2u * (cpus) + (classes) * (cpus) + (label)*2u + (dir))
#define DP_CELLS(labels, classes, cpus) DP_CELL_RTT(labels, classes, cpus, labels, 0u)

/* One compiled rule; addresses in network order, IPv4 as ::ffff:a.b.c.d. Zero mask = any. */
struct dp_rule_line {
	__u64 src[2], src_mask[2];
	__u64 dst[2], dst_mask[2];
	__u16 sport_min, sport_max, dport_min, dport_max; /* host order; 0..65535 = any */
	__u8 family;                                      /* 4, 6, 0 = any */
	__u8 proto;                                       /* 0 = any */
	__u8 dscp;                                        /* 0..63, 0xff = any */
	__u8 dir;
	__u32 label; /* 0 = watched class without an agreement */
	__u32 id;
	__u32 prio; /* the table is sorted by it; programs only walk */
	__u16 class_id;
	__u16 pad[3];
};
_Static_assert(sizeof(struct dp_rule_line) == 96, "rule");

struct dp_rule_table {
	__u32 n, pad;
	struct dp_rule_line rule[DP_RULES];
};

/* One element, written by user space: generation & 1 names the live rule table. */
struct dp_ctl {
	__u32 magic, version;
	__u32 generation;
	__u32 labels, classes, cpus, flows;
	__u32 sizes;    /* checksum over the sizes above: catches a missed version bump */
	__u64 made_dir; /* the pin directory is ours to remove */
	__u64 pad[3];
	__u32 key[16]; /* random: keys of the flow hash */
};
_Static_assert(sizeof(struct dp_ctl) == 128, "ctl");

struct dp_port_line {
	__u32 role; /* enum dp_role */
	__u32 dir;  /* direction of a label that is bound to no device */
	__u32 flags;
	__u32 pad;
};
#define DP_PORT_CLSACT  0x1u /* attached by cls_bpf, not TCX */
#define DP_PORT_CREATED 0x2u /* the clsact qdisc is ours */
_Static_assert(sizeof(struct dp_port_line) == 16, "port");

/* What the classifier looks at. Ports are 0 where the packet shows none. The last word is 0 in a
 * flow and the mask's number in a masked key. */
struct dp_flow_key {
	__u64 src[2], dst[2];
	__u16 sport, dport; /* host order */
	__u8 proto, dscp, family, has_ports;
	__u32 label_in; /* IPv6 flow label as it came; 0 unless a rule looks at it */
	__u32 tuple;
};
#define DP_KEY_WORDS 12 /* 32-bit words of a flow key */
_Static_assert(sizeof(struct dp_flow_key) == 4 * DP_KEY_WORDS, "no holes: hashed by words");

/* One cached answer, one cache line: the whole key but the tuple. `seq` is 0 before the first use
 * and odd while a program writes the entry: a reader that sees it odd or changed has a miss. */
struct dp_flow {
	__u32 seq;
	__u32 generation; /* of the rules that gave the answer */
	__u64 src[2], dst[2];
	__u32 ports, kind; /* sport, dport; proto .. has_ports */
	__u32 label_in;
	__u32 label; /* bit 31: direction */
	__u16 class_id;
	__u8 hint[4]; /* tags of the flows that start here and lie in another way of the set */
	__u8 pad[2];
};
_Static_assert(sizeof(struct dp_flow) == 64, "one cache line");

#define DP_FLOW_WAYS 4
#define DP_FLOW_DIR  0x80000000u
struct dp_flow_set {
	struct dp_flow way[DP_FLOW_WAYS];
};

/* TSval noted from a data segment; matched by TSecr of the reverse segment. */
struct dp_rtt_key {
	__u64 src[2], dst[2];
	__u16 sport, dport;
	__u32 tsval;
};
_Static_assert(sizeof(struct dp_rtt_key) == 40, "no holes");

/* Ports of a fragmented datagram, noted from its first fragment. */
struct dp_frag_key {
	__u64 src[2], dst[2];
	__u32 id;
	__u32 proto;
};
_Static_assert(sizeof(struct dp_frag_key) == 40, "no holes");

/* A virtual queue at egress: one class on one device. Element = the class's minor (2 = what has no
 * agreement); a minor may be in use on DP_SHAPE_WAYS devices. */
#define DP_SHAPES     0x7f00u
#define DP_SHAPE_WAYS 4
#define DP_MINOR_REST 2u   /* of what has no agreement */
#define DP_SHAPE_PACE 0x1u /* packets get their departure time: the device's root is our fq */
struct dp_shape {
	__u32 ifindex; /* 0 = free; written last */
	__u32 flags;
	__u64 cost;           /* ns per byte in Q20 */
	__u32 drop_ns, ce_ns; /* longest queue; queue from which packets are marked; 0 = none */
	__u64 next;           /* CLOCK_MONOTONIC, advanced by compare-and-swap; programs only */
	__u64 packets, bytes; /* shared by all CPUs, atomic adds */
	__u32 drops, marks;   /* the same, modulo 2^32 */
	__u64 rate;           /* user space's own note: as asked */
};
_Static_assert(sizeof(struct dp_shape) == 64, "one cache line");

struct dp_shapes {
	struct dp_shape way[DP_SHAPE_WAYS];
};

#endif
