/* SPDX-License-Identifier: Apache-2.0 */
/* dp_v1.h - what ABI version 1 had pinned, as far as it is carried over. Never changed again. */
#ifndef TREATY_BPF_DP_V1_H
#define TREATY_BPF_DP_V1_H

#include <linux/types.h>

#define V1_VERSION 1u
#define V1_RULES   256

struct v1_ctl {
	__u32 magic, version;
	__u32 generation;
	__u32 labels, classes, cpus, flows;
	__u32 sizes;
	__u64 made_dir;
	__u64 pad[3];
};
_Static_assert(sizeof(struct v1_ctl) == 64, "v1");

struct v1_line {
	__u32 flags; /* 1 active, 2 police edge, 4 police node, bits 4..5 what happens above */
	__u16 class_minor;
	__u8 dscp, dscp_over;
	__u64 valid_until;
	__u32 bind[2];
	__u64 cost[2];
	__u32 burst[2]; /* ns, of both rates */
	__u64 ecost[2];
};
_Static_assert(sizeof(struct v1_line) == 64, "v1");

struct v1_steer {
	__u32 path, pad;
};

struct v1_count {
	__u64 rx_packets, rx_bytes, tx_packets, tx_bytes, drop_packets, drop_bytes;
	__u64 excess, remarked, ce, expired, binding;
	__u64 unknown, malformed, not_ip; /* label 0 only */
	__u64 last_ns, pad;
};
_Static_assert(sizeof(struct v1_count) == 128, "v1");
#define V1_CELL(label, dir, cpus, cpu) (1u + ((label)*2u + (dir)) * (cpus) + (cpu))

struct v1_base {
	struct v1_count count;
	__u64 rate, excess;
	__u64 pad[6];
};
_Static_assert(sizeof(struct v1_base) == 192, "v1");

struct v1_rule {
	__u64 src[2], src_mask[2];
	__u64 dst[2], dst_mask[2];
	__u16 sport_min, sport_max, dport_min, dport_max;
	__u8 family, proto, dscp, dir;
	__u32 label, id, prio;
	__u16 class_id;
	__u16 pad[3];
};
_Static_assert(sizeof(struct v1_rule) == 96, "v1");

struct v1_rules {
	__u32 n, pad;
	struct v1_rule rule[V1_RULES];
};

struct v1_port {
	__u32 role, dir, flags, pad;
};

#endif
