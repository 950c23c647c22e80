/* SPDX-License-Identifier: Apache-2.0 */
/* dp_internal.h - what the files of the data plane's user side share. Nobody else includes it. */
#ifndef TREATY_BPF_DP_INTERNAL_H
#define TREATY_BPF_DP_INTERNAL_H

#include <errno.h>

#include "dataplane.h"

/* Generated code, not ours to warn about. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <bpf/bpf.h>
#include "bpf/treaty.skel.h"
#pragma GCC diagnostic pop

#define DP_PATH_MAX     200
#define DP_LABELS_DFL   4096u
#define DP_FLOWS_DFL    16384u
#define DP_FLOWS_MAX    (1u << 22)
#define DP_RULES_DFL    4096u
#define DP_BURST_US_DFL 250000u
#define DP_COST_ONE     ((uint64_t)8000000000 << 20) /* ns per byte in Q20, at one bit per second */

/* Both copies of the rule tables, mapped read-write. */
struct dp_tables {
	struct dp_table *head;
	struct dp_tuple *tuple;
	struct dp_head *first;
	struct dp_node *node;
	struct dp_rule_line *rule;
};

struct dp {
	struct treaty_bpf *skel;
	char pin_dir[DP_PATH_MAX];
	bool offline, adopted, made_dir, tcx, pace;
	bool v3, v3_filled; /* pins of ABI version 2 or 3 are being carried over; are copied */
	enum dp_hook hook;
	uint32_t labels, flows, cpus, rules, heads, watched;
	struct dp_tables table;
	uint32_t key[16];
	struct dp_colours colours;
	struct dp_cells at;
	struct dp_ctl *ctl; /* mapped read-write, like what follows: one store per change */
	struct dp_line *lines;
	struct dp_meter *meters;
	struct dp_base *base;
	struct dp_ceiling_line *ceilings;
	struct dp_shapes *shapes;
	struct dp_flow_set *flow; /* only looked at */
	uint32_t *watcher;        /* label of each watched slot, 0 = free; made on first use */
	struct dp_view *view;
	struct dp_grace *grace; /* waits for the readers of the rules; NULL = nobody does */
};

/* Fills the refusal and the reason; always returns DP_REFUSED. */
#define dp_refuse(no, e, why, ...) (dp_no((no), (why)), err_set((e), DP_REFUSED, __VA_ARGS__))
static inline void dp_no(enum refusal *no, enum refusal why)
{
	if (no)
		*no = why;
}

/* dp_open.c: the tail of what libbpf said last, for error texts. */
const char *dp_bpf_said(void);

/* dp_old.c: rename makes room for new maps; carry fills them, swaps the links and drops the old. */
int dp_old_rename(struct dp *d, struct err *e);
bool dp_old_there(const struct dp *d);
void dp_old_sizes(struct dp *d); /* of renamed maps, when there are any */
int dp_old_carry(struct dp *d, struct err *e);

/* dataplane.c: over the sizes of shared structs. */
uint32_t dp_sizes_sum(const uint32_t *size, size_t n);
uint32_t dp_layout_sum(void);

/* dp_v3.c: rename makes room, fill copies before the counters are frozen, finish follows once the
 * links are swapped. */
bool dp_v3_stamp(const struct dp_ctl *c);
int dp_v3_rename(struct dp *d, int ctl, struct err *e);
int dp_v3_fill(struct dp *d, struct err *e);
int dp_v3_finish(struct dp *d, struct err *e);
int dp_v3_drop(struct dp *d, struct err *e);

/* dp_attach.c */
int dp_ports_adopt(struct dp *d, struct err *e);
bool dp_probe_tcx(int prog_fd);

/* dp_tc.c: clsact and cls_bpf. dir: false = ingress, true = egress. */
int dp_tc_attach(struct dp *d, uint32_t ifindex, bool out, int prog_fd, bool *created,
		 enum refusal *no, struct err *e);
int dp_tc_detach(uint32_t ifindex, bool out);
int dp_tc_remove_clsact(uint32_t ifindex);
int dp_tc_hooked(uint32_t ifindex, bool out, struct dp_hooked *ret, size_t *n);
/* Name and id of a loaded program; whether it is ours. */
void dp_prog_describe(uint32_t prog_id, struct dp_hooked *ret);

/* dp_label.c. A program's virtual time that lies beyond `most` comes back to it: it was owed at
 * another rate, or by another owner. */
void dp_owe_at_most(__u64 *time, uint64_t most);
uint64_t dp_boot_ns(const struct dp *d); /* the programs' clock */
void dp_cost_set(__u32 *cost, __u8 *shift, rate_t rate);
int dp_burst_check(uint32_t us, const char *what, enum refusal *no, struct err *e);
int dp_rate_check(rate_t rate, const char *what, enum refusal *no, struct err *e);

/* dp_shape.c: the programs are new; holds of the maps may be under way. */
void dp_holds_adopt(struct dp *d);

/* dp_redirect.c: the programs are new; the maps may hold paths. */
void dp_redirects_adopt(struct dp *d);

/* dp_local.c */
bool dp_local_probe(void);

/* dp_pace.c */
int dp_pace_probe(void);

/* dp_rule.c */
bool dp_prefix_host_bits(const struct dp_prefix *p, unsigned int bits);
void dp_prefix_compile(uint8_t family, const struct dp_prefix *p, __u64 addr[2], __u64 mask[2]);
void dp_prefix_restore(uint8_t family, const __u64 addr[2], const __u64 mask[2],
		       struct dp_prefix *p);

/* dp_tuple.c. rule: in match order. */
int dp_tables_set(struct dp *d, const struct dp_rule_line *rule, uint32_t n, enum refusal *no,
		  struct err *e);

/* dp_grace.c. Until no program runs that began before the call. what: for the error's text. */
int dp_readers_wait(const char *what, struct err *e);
/* The same for the rule tables, in a thread: begin follows a flip, wait comes before the next
 * write. Without the thread (it could not be made) wait does all of it. */
void dp_grace_start(struct dp *d);
void dp_grace_stop(struct dp *d);
void dp_grace_begin(struct dp *d);
int dp_grace_wait(struct dp *d, const char *what, struct err *e);

/* dp_watch.c. at: label * 2 + direction. */
int dp_source_check(const struct dp_profile *p, enum refusal *no, struct err *e);
int dp_source_write(struct dp *d, uint32_t at, const struct dp_profile *p, enum refusal *no,
		    struct err *e);
int dp_source_read(struct dp *d, uint32_t at, struct dp_profile *p);
/* dp_mark.c */
int dp_mark_check(const struct dp *d, const struct dp_label *l, enum refusal *no, struct err *e);
/* Programs may write the map from now on, user space not. Idempotent. */
int dp_freeze(int fd, const char *what, struct err *e);
/* Begins every watched label's blocks anew if the code points or the blocks are not the ones that
 * they were counted by; histograms begin anew with them. */
int dp_marks_renew(struct dp *d, struct err *e);

int dp_watch_order(struct dp *d, uint32_t label, uint32_t slot, struct err *e);
int dp_watch_take(struct dp *d, uint32_t label, struct err *e);
int dp_watch_drop(struct dp *d, uint32_t label, struct err *e);

#endif
