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
#define DP_ABI_VERSION 4u

#define DP_LABEL_MAX    0xfffffu    /* 20 bits, RFC 8200 section 3 */
#define DP_MARK_LABEL   0x000fffffu /* skb->mark bits 0..19 */
#define DP_MARK_FOREIGN 0x00f00000u /* bits 20..23: not ours, kept */
#define DP_MARK_PATH    24          /* shift; bits 24..31 = path id, 0 = none */
#define DP_PRIO_MAJOR   0x00540000u /* skb->priority = 54:minor */

#define DP_RULES       (1u << 20) /* rules of one table, at most */
#define DP_KEY_WORDS   12         /* 32-bit words of a flow key */
#define DP_CLASSES     256        /* class ids 1..255; 0 = none */
#define DP_PORTS       64         /* managed devices */
#define DP_RTT_BUCKETS 28         /* bucket i: 2^i <= microseconds < 2^(i+1); 0 also holds 0 us */

/* Flags of a label line. */
#define DP_L_ACTIVE      0x01u
#define DP_L_POLICE_EDGE 0x02u /* meter at customer-facing ingress */
#define DP_L_POLICE_NODE 0x04u /* meter at network-facing ingress */
#define DP_L_OVER_SHIFT  4     /* two bits: enum dp_over */
#define DP_L_OVER_MASK   0x30u
#define DP_L_OVER_REMARK 1u
#define DP_L_OVER_ECN    2u
#define DP_L_SOURCE      0x40u /* shift by direction: a source prefix is bound (map binds) */

/* A label, both directions: half a cache line, written by user space, one aligned word at a time,
 * and only read by the programs. Each word means something by itself, so a reader between two
 * stores sees an old or a new value of each. */
struct dp_line {
	__u16 flags;
	__u16 class_minor; /* HTB class 54:minor at egress; 0 = leave skb->priority alone */
	__u8 dscp;         /* written at the edge, 0..63; above: left as it came */
	__u8 dscp_over;    /* written on excess and remarked packets */
	__u16 ceiling;     /* the customer's, shared with other labels; 0 = none */
	__u64 valid_until; /* past it: best effort, counted `expired` */
	__u32 bind[2];     /* ingress ifindex per direction; 0 = any managed device */
	__u8 path[2];      /* steering: 1..255, 0 = none; one byte, flipped by one store */
	__u16 watch;       /* slot of histograms and colours, 1..DP_WATCHED; 0 = not watched */
	__u32 pad;
};
_Static_assert(sizeof(struct dp_line) == 32, "a label");

/* A rate and its burst, one aligned word. A cost is a number m and a shift s: a packet of n bytes
 * costs (m * n) >> s nanoseconds. */
struct dp_rate {
	__u32 cost; /* 0 = unmetered */
	__u32 span; /* bits 0..23: burst as microseconds of virtual time; above them the shift */
};
#define DP_SPAN_US    0xffffffu
#define DP_SPAN_SHIFT 24

/* What a label's packet touches only when its CPU has no credit left. The rates are user space's,
 * the times are the programs'. */
struct dp_meter {
	struct dp_rate rate[2];   /* committed: CIR, CBS */
	struct dp_rate excess[2]; /* RFC 4115: EIR, EBS */
	__u64 tat[2];             /* committed: theoretical arrival time, by compare-and-swap */
	__u64 etat[2];            /* excess: touched only when the committed one refuses */
};
_Static_assert(sizeof(struct dp_meter) == 64, "one cache line");

/* A ceiling over several labels of one customer; id 0 is none. */
#define DP_CEILINGS 4096
struct dp_ceiling_line {
	__u32 cost[2], burst[2];
	__u8 shift[2], pad0[6];
	__u64 tat[2];
	__u64 rate[2]; /* user space's note: bits per second as asked */
	__u64 pad;
};
_Static_assert(sizeof(struct dp_ceiling_line) == 64, "one cache line");

/* Source prefix of (label * 2 + dir), for lines with DP_L_SOURCE. */
#define DP_BINDS 65536
struct dp_bind {
	__u64 addr[2], mask[2];
};

/* --- counters ---------------------------------------------------------------------------------
 * One mmapable array of 64-byte cells, so that one frozen fd carries everything. */

/* Of (label, CPU), half a line: one writer, plain adds. Twice: what passed at ingress, and what
 * left at egress (before the qdisc). Label 0 holds what travels as best effort through our ingress
 * programs. */
struct dp_pass {
	struct {
		__u64 packets; /* at ingress 48 bits, above them the meter's credit */
		__u64 bytes;
	} dir[2];
};
_Static_assert(sizeof(struct dp_pass) == 32, "two in a cell");
#define DP_RX_CREDIT  48 /* shift: bytes that the CPU may pass without asking the meter */
#define DP_RX_PACKETS ((1ull << DP_RX_CREDIT) - 1)
#define DP_GRANT      24000u /* bytes of credit at most: sixteen packets */

/* Of (slot, direction): what should not happen, atomic adds of all CPUs. A label gets a slot with
 * its first such packet and keeps it; when none is left the packets count in slot 0. */
struct dp_rare {
	__u64 drop_packets, drop_bytes; /* over the rate, dropped */
	__u64 excess;                   /* packets above the committed, inside the excess rate */
	__u64 remarked;                 /* packets over the rate, passed with dscp_over */
	__u64 ce;                       /* packets over the rate, passed with ECN CE */
	__u64 expired;                  /* packets after valid_until: best effort */
	__u64 binding; /* packets from a device or source it is not bound to: best effort */
	__u64 drop_at; /* when the last one over the rate was dropped: no counter */
};
_Static_assert(sizeof(struct dp_rare) == 64, "one cache line");

/* Of one CPU: packets that belong to no label. */
struct dp_odd {
	__u64 unknown;   /* labelled packets with no line */
	__u64 malformed; /* truncated or not parsable, passed untouched */
	__u64 not_ip;    /* neither IPv4 nor IPv6 */
	__u64 no_ports;  /* at the edge, IP whose ports are not shown: classified without them */
	__u64 pad[4];
};
_Static_assert(sizeof(struct dp_odd) == 64, "one cache line");

/* The flow cache on one CPU. */
struct dp_cache_count {
	__u64 misses;
	__u64 evicted; /* inserts that pushed out a live flow */
	__u64 busy;    /* inserts not done: another CPU was writing the entry */
	__u64 pad[5];
};
_Static_assert(sizeof(struct dp_cache_count) == 64, "one cache line");

/* Demand of one (CPU, class), seen at the edge before any agreement exists. */
struct dp_class_count {
	__u64 packets, bytes;
	__u64 labelled; /* packets that had a valid label */
	__u64 flows;    /* flow cache misses: new flows (and refreshed ones) */
	__u64 pad[4];
};
_Static_assert(sizeof(struct dp_class_count) == 64, "one cache line");

/* Sixteen labels' indices: bits 0..18 the rare slot, bits 19..31 the watched slot; 0 = none. */
struct dp_index {
	__u32 at[16];
};
#define DP_INDEX_SLOT  0x7ffffu
#define DP_INDEX_WATCH 19
#define DP_WATCHED     4096u /* labels with histograms and colours at one time */

/* Half a histogram of (watched label, direction of the data): atomic adds. The second half ends
 * with the sums. */
struct dp_rtt_half {
	__u32 bucket[16];
};

struct dp_geometry {
	__u32 magic, version;
	__u32 labels, classes, cpus, slots, watched;
	__u32 pad[9];
};
_Static_assert(sizeof(struct dp_geometry) == 64, "a cell");

union dp_cell {
	struct dp_geometry geo;
	struct dp_odd odd;
	struct dp_cache_count cache;
	struct dp_pass pass[2]; /* of two labels that follow each other */
	struct dp_class_count class_count;
	struct dp_index index;
	struct dp_rare rare;
	struct dp_rtt_half rtt;
	__u64 word[8];
};
_Static_assert(sizeof(union dp_cell) == 64, "a cell");

/* First cells of each kind; geometry | odd | cache | rx | tx | class | index | rare | rtt. Those of
 * what passed are [CPU][label / 2] and those of classes [CPU][class]: no CPU writes a line that
 * another one writes. */
struct dp_cells {
	__u32 odd, cache, rx, tx, class_count, index, rare, rtt, end;
	__u32 pairs; /* cells of one CPU */
};

static inline struct dp_cells dp_cells_of(__u32 labels, __u32 cpus, __u32 slots)
{
	struct dp_cells c = { .odd = 1, .pairs = (labels + 1) / 2 };

	c.cache = c.odd + cpus;
	c.rx = c.cache + cpus;
	c.tx = c.rx + c.pairs * cpus;
	c.class_count = c.tx + c.pairs * cpus;
	c.index = c.class_count + DP_CLASSES * cpus;
	c.rare = c.index + (labels + 15) / 16;
	c.rtt = c.rare + slots * 2;
	c.end = c.rtt + (DP_WATCHED + 1) * 4;
	return c;
}

/* Of one CPU, in no map of ours: where its cells are, and when it last read the clock. */
#define DP_CPUS 1024u
struct dp_here {
	__u64 tick, tick_ns;       /* jiffies, and the boot clock in that jiffy */
	__u32 rx, tx, class_count; /* first cells; 0 = no such CPU */
	__u32 pad[9];
};
_Static_assert(sizeof(struct dp_here) == 64, "one cache line");

/* What a flow is looked for with, beside the programs: generation is dp_ctl's, key and last are
 * made of its key. */
struct dp_seek {
	__u32 generation;
	__u32 sets; /* of the flow cache */
	__u32 key[DP_KEY_WORDS];
	__u64 last;
};
_Static_assert(sizeof(struct dp_seek) == 64, "one cache line");

static inline void dp_seek_fill(struct dp_seek *s, const __u32 key[16], __u32 flows)
{
	for (__u32 i = 0; i < DP_KEY_WORDS; i++)
		s->key[i] = key[i];
	s->last = (__u64)key[12] << 32 | key[13] | 1;
	s->sets = flows / 4;
}

static inline void dp_here_fill(struct dp_here *h, const struct dp_cells *c, __u32 cpus)
{
	for (__u32 i = 0; i < cpus && i < DP_CPUS; i++) {
		h[i].rx = c->rx + i * c->pairs;
		h[i].tx = c->tx + i * c->pairs;
		h[i].class_count = c->class_count + i * DP_CLASSES;
	}
}

/* Slots for rare counters: one a label, above 65,536 labels three for sixteen. */
static inline __u32 dp_slots_of(__u32 labels)
{
	__u32 some = labels / 16 * 3;

	return labels <= 65536 ? labels + 1 : some > 65536 ? some : 65536;
}

/* --- what user space makes of them: sums over CPUs -------------------------------------------- */

/* What passed of a label. */
struct dp_hot {
	struct {
		__u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
	} dir[2];
};

struct dp_count {
	__u64 rx_packets, rx_bytes, tx_packets, tx_bytes;                       /* struct dp_hot */
	__u64 drop_packets, drop_bytes, excess, remarked, ce, expired, binding; /* struct dp_rare */
	__u64 unknown, malformed, not_ip; /* struct dp_odd; label 0 only */
};
_Static_assert(sizeof(struct dp_count) == 112, "sums");

/* User space's own notes of (label, direction); no program reads them. */
struct dp_base {
	struct dp_count count; /* the counters when the label became active */
	__u64 rate, excess;    /* bits per second as asked: the line holds rounded costs */
};
_Static_assert(sizeof(struct dp_base) == 128, "base");

/* Passive TCP RTT of (label, direction of the data). */
struct dp_rtt {
	__u32 bucket[DP_RTT_BUCKETS];
	__u64 samples;
	__u64 sum_us;
};
_Static_assert(sizeof(struct dp_rtt) == 128, "two halves");

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
	__u32 prio; /* the table is sorted by it */
	__u16 class_id;
	__u16 pad;
	__u32 label_in; /* IPv6 flow label as the packet came, 1..DP_LABEL_MAX; 0 = any */
};
_Static_assert(sizeof(struct dp_rule_line) == 96, "rule");

/* A rule that names a cgroup, by the cgroup's id. Its packets are those of this host's sockets that
 * were made in it or below it; the nearest cgroup's rule holds. */
#define DP_LOCALS       256
#define DP_CGROUP_DEPTH 16 /* deeper ones are not looked for */
struct dp_local_line {
	__u32 rule, label;
	__u16 class_id;
	__u8 pad[6];
	char path[160]; /* the directory; ends with 0 */
};
_Static_assert(sizeof(struct dp_local_line) == 176, "local");

/* Tuple-space search, two copies of everything: copy `generation & 1` is live. A tuple is a mask
 * that some rules have in common; a rule's masked key leads by its hash to a head, a head to a
 * chain of nodes in match order, a node to its rule, which is compared as a whole. */
#define DP_TUPLES 256
#define DP_WALK   65536 /* steps of one walk at most; a table that could need more is refused */

struct dp_table {
	__u32 n;      /* rules, in match order */
	__u32 tuples; /* in the order of their best rules: a walk ends where none can be better */
	__u32 chain;  /* nodes behind the fullest head */
	__u32 level;  /* how coarse the masks are, 0 = as the rules say */
};

struct dp_tuple {
	__u64 mask[DP_KEY_WORDS / 2];
	__u32 id;   /* hashed with the key */
	__u32 best; /* lowest rule */
	__u64 pad;
};
_Static_assert(sizeof(struct dp_tuple) == 64, "one cache line");

struct dp_head {
	__u32 first; /* node + 1; 0 = none */
	__u32 pad;
};

struct dp_node {
	__u32 rule, next, tag, pad; /* next: node + 1 */
};
#define DP_NODES_PER_RULE 4 /* room for port ranges, each an entry for every aligned block */

/* Flag of a generation: some rule of it asks for the incoming label. Without it the keys of the
 * flow cache leave the label out, so that one flow takes one entry whatever labels it carries. */
#define DP_GEN_LABEL_IN 0x80000000u

/* One element, written by user space: generation & 1 names the live rule table. */
struct dp_ctl {
	__u32 magic, version;
	__u32 generation;
	__u32 labels, classes, cpus, flows;
	__u32 sizes;      /* checksum over the sizes above: catches a missed version bump */
	__u64 made_dir;   /* the pin directory is ours to remove */
	__u32 slots_used; /* rare slots given to labels, by the programs */
	__u32 rules;      /* room for them in one copy */
	__u64 colours;    /* checksum of the code points that the marks were counted by */
	__u32 downs;      /* some port has (or had) direction down for what is not bound */
	__u32 shaped;     /* some virtual queue is (or was) set */
	__u32 key[16];    /* random: keys of the flow hash */
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
	__u32 label_in; /* IPv6 flow label as it came; 0 unless a rule asks (DP_GEN_LABEL_IN) */
	__u32 tuple;
};
_Static_assert(sizeof(struct dp_flow_key) == 4 * DP_KEY_WORDS, "no holes: hashed by words");

/* One cached answer, one cache line: the whole key but the tuple. `seq` is 0 before the first use
 * and odd while a program writes the entry: a reader that sees it odd or changed has a miss. */
struct dp_flow {
	__u32 seq;
	__u32 generation; /* of the rules that gave the answer */
	__u64 src[2], dst[2];
	__u32 ports, kind; /* sport, dport; proto .. has_ports */
	__u32 label_in;
	__u32 label; /* DP_FLOW_* above the label's bits */
	__u16 class_id;
	__u8 hint[4]; /* tags of the flows that start here and lie in another way of the set */
	__u8 pad[2];
};
_Static_assert(sizeof(struct dp_flow) == 64, "one cache line");

#define DP_FLOW_WAYS 4
#define DP_FLOW_DIR  0x80000000u
#define DP_FLOW_SWAP 0x40000000u /* the rule named an incoming label: one label for another */
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

/* Of a watched slot, written by the programs. */
struct dp_watch {
	__u64 rtt_next[2]; /* next moment at which a TSval is noted */
};

/* What the program `treaty_watch` does for user space, which may not write the counters. */
struct dp_watch_order {
	__u32 label;
	__u32 slot; /* 0 = stop watching */
};

/* --- alternate marking (RFC 9341): own map of cells, frozen like the counters -------------------
 */

/* Code points in pairs, one pair a class: colour 0 and colour 1 of the same treatment. Element =
 * DSCP. */
struct dp_colours {
	__u64 block_ns; /* length of a block of one colour; 0 = nothing is coloured or counted */
	__u8 code[64];  /* DP_CODE_*; 0 = not ours: never rewritten, never counted */
};
#define DP_CODE_PAIRED  0x80u
#define DP_CODE_ONE     0x40u /* this one is colour 1 */
#define DP_CODE_PARTNER 0x3fu

/* One block of (watched slot, direction, point). Totals never go back: a block's own figures are
 * the totals less the base, so that no packet is lost when a cell passes to a newer block. Offsets
 * are from the block's nominal start by the node's own wall clock. */
struct dp_block {
	__u64 block;          /* number = wall clock / block_ns; its parity is the colour */
	__u64 packets, bytes; /* totals of the cell, atomic adds */
	__s64 sum_ns;         /* total of the packets' offsets */
	__u64 base_packets, base_bytes; /* the totals when the block began */
	__s64 base_sum_ns;
	__s64 first_ns; /* offset of the block's first packet */
};
_Static_assert(sizeof(struct dp_block) == 64, "one cache line");

#define DP_BLOCKS                    4u /* the last blocks of each point */
#define DP_MARK_IN                   0u /* coloured at the edge, or arrived at a node: before its meter */
#define DP_MARK_OUT                  1u /* left through our egress program: behind meter and virtual queue */
#define DP_MARK_AT(slot, dir, point) ((((slot)*2u + (dir)) * 2u + (point)) * DP_BLOCKS)

/* --- rare events: a ring buffer that is read once a second ---------------------------------------
 */

enum dp_cause {
	DP_EV_BINDING = 1, /* a packet from a device or source that its label is not bound to */
	DP_EV_EXPIRED,     /* .. of a label after its end */
	DP_EV_UNKNOWN,     /* .. with a label that has no line */
	DP_EV_PARSE,       /* .. truncated or malformed */
	DP_EV_DROP,        /* the first one dropped over a rate after a second without */
	DP_EV_FULL,        /* no room in a map: of rare counters (label), of fragments (label 0) */
	DP_EV_MAX
};

struct dp_event {
	__u64 at; /* boot clock */
	__u32 cause, label, ifindex;
	__u32 held_back; /* of this cause on this CPU since the last one that came through */
};

/* Of (cause, CPU): that many a second and at once; what is more is only counted. */
#define DP_EV_PER_S 16u
struct dp_gate {
	__u64 tat;
	__u64 seen, held_back;
	__u64 told; /* of those held back */
};

/* One established TCP socket of this host, as the iterator writes it; in no map. */
struct dp_sock {
	__u32 peer[4]; /* network order, IPv4 as ::ffff:a.b.c.d */
	__u32 srtt_us; /* smoothed round trip time, never 0 */
	__u32 mark;    /* SO_MARK */
};

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

/* Order-preserving holds: key = label and path as in skb->mark, value = CLOCK_MONOTONIC ns before
 * which no packet of the label leaves on that path. More at a time: the oldest are forgotten. */
#define DP_HOLDS       4096
#define DP_HOLD_MAX_US 2000000u

/* A path by direct redirect; element = path. User space clears ifindex, waits for the readers, and
 * writes it last. */
#define DP_PATHS 256
struct dp_hop {
	__u32 ifindex; /* 0 = by the path's table */
	__u32 pad;
	__u64 gw[2]; /* IPv6 next hop on that device */
};
_Static_assert(sizeof(struct dp_hop) == 24, "hop");

/* Of (path, CPU). */
struct dp_hop_count {
	__u64 packets; /* sent on by redirect */
	__u64 back;    /* left to the path's table: see prog_redirect.h */
	__u64 loops;   /* the same, because they came in by that device */
};

/* Destinations that this host answers for: its table `local`. */
#define DP_OWNS 1024
struct dp_own_key {
	__u32 len; /* bits */
	__u32 addr[4];
};

#endif
