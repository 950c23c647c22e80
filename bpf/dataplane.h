/* SPDX-License-Identifier: Apache-2.0 */
/* dataplane.h - the kernel's data plane, typed. Owner: the enforcer process. Needs CAP_BPF and
 * CAP_NET_ADMIN except where said. Not thread-safe: one owner, one thread.
 *
 * Returns: 0, or negative errno with *e filled. A rule that says no returns DP_REFUSED with *no
 * and *e filled; then nothing was changed. `no` and `e` may be NULL. Out parameters are untouched
 * on failure. */
#ifndef TREATY_BPF_DATAPLANE_H
#define TREATY_BPF_DATAPLANE_H

#include "treaty/abi.h"
#include "treaty/err.h"
#include "treaty/units.h"

#define DP_REFUSED (-EDOM)

struct dp;
struct dp_view;

enum dp_dir { DP_UP, DP_DOWN };
enum dp_role { DP_ROLE_EDGE = 1, DP_ROLE_NODE = 2 };
enum dp_over { DP_OVER_DROP, DP_OVER_REMARK, DP_OVER_ECN };
enum dp_hook { DP_HOOK_AUTO, DP_HOOK_TCX, DP_HOOK_CLSACT };
enum dp_prog {
	DP_PROG_EDGE_IN,
	DP_PROG_NODE_IN,
	DP_PROG_OUT,
	DP_PROG_EMPTY,
	DP_PROG_CLOCK,
	DP_PROGS
};

/* --- opening ----------------------------------------------------------------------------- */

struct dp_config {
	const char *pin_dir; /* on a bpffs, created if missing; NULL only when offline */
	uint32_t labels;     /* table size: labels 1..labels-1 may be used; 0 = 4096; <= 0x100000 */
	uint32_t flows;      /* flow cache entries of 64 bytes; 0 = 16384; <= 1 << 22 */
	uint32_t rules;      /* room for rules; 0 = 4096; <= DP_RULES */
	uint32_t watched;    /* labels watched at one time; 0 = DP_WATCHED, the most */
	enum dp_hook hook;   /* AUTO: TCX where the kernel has it */
	bool pace;           /* local TCP senders will be paced: dp_pace_attach */
	bool offline;        /* tests: nothing is pinned or attached, the clock is set by hand */
	struct dp_colours colours; /* alternate marking; block_ns 0 = none */
};

/* Loads the programs; adopts the maps pinned under pin_dir if there are any (their sizes win over
 * the configuration), else creates and pins them. Attached ports are re-read: live links get the
 * new programs atomically, links of vanished devices are made anew if the device (same ifindex)
 * is back, else forgotten. Pins of ABI versions 2 and 3 are carried over whole (dp_v3.c), of
 * version 1 labels, steering, rules, ports and counters: meters and histograms begin anew. Errors:
 * -ESTALE pins of any other ABI version (nothing is touched: remove them with the version that made
 * them, or dp_wipe); -EOPNOTSUPP TCX forced and not there; DP_REFUSED a foreign filter took the
 * place of an attached port's (named in *e). */
int dp_open(struct dp **ret, const struct dp_config *cfg, struct err *e) must_check;

/* Frees the handle; everything stays attached and pinned. Returns NULL; NULL in is fine. */
struct dp *dp_close(struct dp *d);

/* Detaches from every port, unpins, frees; leaves the host as found (a clsact qdisc goes only if
 * we created it and nobody else put a filter there). The first failure is reported, the rest is
 * still tried. *d is NULL afterwards. */
int dp_remove(struct dp **d, struct err *e);

/* Removes pins of any version without adopting them (TCX links die with their pins). */
int dp_wipe(const char *pin_dir, struct err *e);

struct dp_features {
	bool tcx;     /* TCX links (Linux 6.6) */
	bool adopted; /* maps were found pinned */
	uint32_t labels, flows, cpus, rules, watched;
};
void dp_features(const struct dp *d, struct dp_features *ret);

/* --- ports ------------------------------------------------------------------------------- */

struct dp_port {
	uint32_t ifindex;
	enum dp_role role; /* EDGE: classify and tag; NODE: read the label */
	enum dp_dir dir;   /* at a NODE port: direction of labels whose line binds no device */
	enum dp_hook hook; /* out: TCX or CLSACT */
};

/* Attaches ingress (by role) and egress programs to the device. Idempotent; a changed role swaps
 * the program in place. Refusals: DEVICE_UNKNOWN, MAP_FULL (DP_PORTS), KERNEL_UNSUPPORTED (a device
 * without Ethernet headers), FOREIGN_OBJECT (somebody else's filter holds our priority and handle).
 */
int dp_port_attach(struct dp *d, const struct dp_port *p, enum refusal *no, struct err *e);
/* Idempotent; a device that is gone is fine. */
int dp_port_detach(struct dp *d, uint32_t ifindex, struct err *e);
/* -ENOENT when not managed. */
int dp_port_get(struct dp *d, uint32_t ifindex, struct dp_port *ret);
/* The managed port after `ifindex` in ascending order, 0 to start; 0 = end. */
uint32_t dp_port_next(struct dp *d, uint32_t ifindex);

/* Programs on the device's hook in the order in which they run, ours and others'. Order with
 * others: those that were attached before ours run first, and one that decides (anything but
 * TC_ACT_UNSPEC; with clsact any filter of a priority below 84 that ends the walk) hides its
 * packets from us. Ours end with TC_ACT_UNSPEC: those behind them always run. */
#define DP_HOOKED_MAX 16
struct dp_hooked {
	uint32_t id;
	bool ours;
	char name[16];
};
int dp_hooked(struct dp *d, uint32_t ifindex, bool out, struct dp_hooked ret[DP_HOOKED_MAX],
	      size_t *n);

/* --- labels ------------------------------------------------------------------------------ */

struct dp_prefix {
	uint8_t addr[16]; /* network order; IPv4 in the first four bytes */
	uint8_t len;      /* 0 = any */
};

struct dp_profile {
	uint32_t bind_ifindex; /* device on which this direction must arrive; 0 = any managed */
	rate_t rate;           /* committed; 0 = not metered; else 1000..400e9 */
	rate_t excess;         /* RFC 4115 excess rate; 0 = none; needs rate */
	uint32_t burst_us;     /* committed burst, as time at the rate; 0 = 250 ms; 1000..4000000 */
	uint32_t eburst_us; /* excess burst (RFC 4115), as time at the excess rate; 0 = burst_us */
	struct dp_prefix src; /* source prefix that this direction must come from; len 0 = any. At a
			       * node it is the outer header's source */
	uint8_t src_family;   /* 4 or 6, with src */
};

struct dp_label {
	uint32_t label;                /* 1..labels-1 */
	mono_t valid_until;            /* boot clock; INT64_MAX = no end */
	uint16_t class_minor;          /* HTB 54:minor at egress; 0 = untouched priority */
	uint8_t dscp;                  /* 0..63, DP_DSCP_ANY = as it came */
	uint8_t dscp_over;             /* 0..63 */
	enum dp_over over;             /* what happens above committed + excess */
	bool police_edge, police_node; /* meter at edge / network ingress */
	struct dp_profile dir[2];
	uint32_t ceiling; /* id of a dp_ceiling_set, 0 = none; asked where the label is metered */
};

/* Adds or changes in place (no packet is lost; meters keep their virtual time). A label that was
 * not active takes the present counters as its baseline: it starts from 0 without any counter
 * being zeroed. Refusals: LABEL_RANGE, BODY_MALFORMED (dscp, rate, burst, excess without rate). */
int dp_label_set(struct dp *d, const struct dp_label *l, enum refusal *no, struct err *e);
int dp_label_get(struct dp *d, uint32_t label, struct dp_label *ret); /* -ENOENT, -ERANGE */
/* Idempotent; also clears its steering. */
int dp_label_del(struct dp *d, uint32_t label, enum refusal *no, struct err *e);
/* The active label after `label`, 0 to start; 0 = end. */
uint32_t dp_label_next(struct dp *d, uint32_t label);

/* A rate that several labels of one customer share, above their own: committed traffic passes while
 * the ceiling has room, excess traffic while half of its burst is free, so that what is guaranteed
 * finds room as long as the committed rates together stay below it. */
struct dp_ceiling {
	uint32_t id;       /* 1..DP_CEILINGS - 1 */
	rate_t rate[2];    /* per direction; 0 = none; else 1000..400e9 */
	uint32_t burst_us; /* 0 = 250 ms; 1000..4000000 */
};

/* Adds or changes in place. Refusals: BODY_MALFORMED (id, rate, burst; no rate at all). */
int dp_ceiling_set(struct dp *d, const struct dp_ceiling *c, enum refusal *no, struct err *e);
int dp_ceiling_get(struct dp *d, uint32_t id, struct dp_ceiling *ret); /* -ENOENT, -ERANGE */
/* Idempotent. Refusals: BODY_MALFORMED (id; a label is under it). */
int dp_ceiling_del(struct dp *d, uint32_t id, enum refusal *no, struct err *e);

/* Path id 0 (none) .. 255 of (label, dir): one atomic store. Refusals: LABEL_RANGE, BODY_MALFORMED.
 */
int dp_steer_set(struct dp *d, uint32_t label, enum dp_dir dir, uint32_t path, enum refusal *no,
		 struct err *e);
int dp_steer_get(struct dp *d, uint32_t label, enum dp_dir dir, uint32_t *path);

/* Steers so that no packet overtakes one that was sent the old way: where the new path is faster,
 * its packets are held by departure time until the last old one has arrived. Only where the new
 * path's device has our fq as its root; the caller knows. The hold comes before the flip, and
 * shrinks to nothing while it lasts; never more than 2 s. Refusals: LABEL_RANGE, BODY_MALFORMED. */
struct dp_move {
	uint32_t label;
	enum dp_dir dir;
	uint32_t path;        /* 1..255 */
	int32_t ahead_us;     /* how much sooner the new path may deliver: old delay, its jitter
			       * included, less the new one's; negative = later */
	uint32_t old_ifindex; /* the old path's device, whose queue is waited for; 0 = none */
};
int dp_steer_move(struct dp *d, const struct dp_move *m, enum refusal *no, struct err *e);

/* --- paths by direct redirect ---------------------------------------------------------------- */

/* Labels that are steered to this path leave by the device at once, past this host's routing and
 * packet filters: IPv6 only, a hop counted down. What only the stack can answer goes by the path's
 * table, which must stand: IPv4, what is for this host (dp_own_set), too large, out of hops, with
 * hop-by-hop options, what came in by that very device, and everything once the device is gone. */
struct dp_redirect {
	uint32_t path; /* 1..255 */
	uint32_t ifindex;
	uint8_t gw[16]; /* next hop on it */
	uint64_t packets, back,
		loops; /* out: redirected; left to the table; of these, for a loop */
};

/* Adds or changes in place: while it changes packets go by the table, and nothing is torn.
 * Refusals: BODY_MALFORMED (path, gw), DEVICE_UNKNOWN. */
int dp_redirect_set(struct dp *d, const struct dp_redirect *r, enum refusal *no, struct err *e);
int dp_redirect_get(struct dp *d, uint32_t path, struct dp_redirect *ret); /* -ENOENT, -ERANGE */
/* Idempotent; labels that are steered there go by the path's table. */
void dp_redirect_del(struct dp *d, uint32_t path);
/* IPv6 prefixes that this host answers for, all at once. -ENOSPC above DP_OWNS: then no path may be
 * by redirect. */
int dp_own_set(struct dp *d, const struct dp_prefix *p, size_t n, struct err *e);

/* --- virtual queues at egress --------------------------------------------------------------- */

struct dp_queue {
	uint32_t ifindex;
	uint32_t minor; /* 2 = what has no agreement, else as in the label's class_minor */
	rate_t rate;    /* 1000..400e9 */
	uint32_t drop_us,
		ce_us; /* longest queue, and from where packets are marked; <= 4 s, 0 = none */
	bool pace;     /* the device's root is our fq: packets leave at their time (EDT) */
	uint64_t packets, bytes, drops, marks; /* out: since it was first set */
	uint64_t depth_us; /* out: how far the next packet's departure lies ahead of now */
};

/* Adds or changes in place. Refusals: BODY_MALFORMED; MAP_FULL: a minor is in use on DP_SHAPE_WAYS
 * devices already. */
int dp_shape_set(struct dp *d, const struct dp_queue *q, enum refusal *no, struct err *e);
int dp_shape_get(struct dp *d, uint32_t ifindex, uint32_t minor,
		 struct dp_queue *ret);                            /* -ENOENT */
void dp_shape_del(struct dp *d, uint32_t ifindex, uint32_t minor); /* idempotent */
/* The device's queue after `minor`, 0 to start; 0 = end. */
uint32_t dp_shape_next(struct dp *d, uint32_t ifindex, uint32_t minor);

/* All queues of all devices, each once: at = 0 to start, then as returned; 0 = end. */
uint32_t dp_shape_walk(struct dp *d, uint32_t at, struct dp_queue *ret);

/* --- pacing of local TCP senders ------------------------------------------------------------ */

/* TCP sockets of the cgroup (and of those below it) whose flow belongs to a label that is policed,
 * here or by the label's own meter, send at its rate: SO_MAX_PACING_RATE, set anew within a round
 * trip of a change. The label is the socket's mark, or that of its cgroup (once its first packet
 * has left), or what the rules say of its addresses and ports (rules that name a DSCP or a label do
 * not match a socket). One cgroup; another one takes its place. Idempotent. Refusals:
 * KERNEL_UNSUPPORTED (no sockops programs, or opened without `pace`), BODY_MALFORMED (not a cgroup2
 * directory). */
int dp_pace_attach(struct dp *d, const char *cgroup, enum refusal *no, struct err *e);
/* Idempotent. Sockets keep the rate that they have. */
int dp_pace_detach(struct dp *d, struct err *e);
/* False also when the cgroup is gone. */
bool dp_pace_stands(const struct dp *d);

/* --- rules ------------------------------------------------------------------------------- */

struct dp_rule {
	uint32_t id;    /* unique, != 0 */
	uint32_t prio;  /* lowest first; equal: lower id first */
	uint8_t family; /* 4, 6, 0 = both (then no prefixes) */
	uint8_t proto;  /* 0 = any */
	uint8_t dscp;   /* 0..63, DP_DSCP_ANY */
	enum dp_dir dir;
	struct dp_prefix src, dst;
	uint16_t sport_min, sport_max, dport_min, dport_max; /* 0,0 = any */
	uint32_t label;                                      /* 0 = watched class, best effort */
	uint16_t class_id;                                   /* 1..255, 0 = none */
	/* IPv6 flow label with which the packet comes, 1..DP_LABEL_MAX; 0 = any. For the border of
	 * a domain that has labels of its own. Hosts draw labels at random (RFC 6437): a source
	 * prefix beside it says whose label it is. */
	uint32_t label_in;
};
#define DP_DSCP_ANY 0xff

/* The whole table replaced at once; every cached flow is classified anew. Order of the array does
 * not matter. Refusals: MAP_FULL (more than dp_config.rules, or masks and port ranges so different
 * that a walk could take more than DP_WALK steps), LABEL_RANGE, BODY_MALFORMED, DUPLICATE (an id).
 */
int dp_rules_set(struct dp *d, const struct dp_rule *r, size_t n, enum refusal *no, struct err *e);
struct dp_rule_edit {
	struct dp_rule rule; /* added, or in place of the one with its id */
	bool del;            /* its id goes instead; idempotent */
	bool had, changed; /* answers: a rule of the id stood there; this edit altered the table */
};
/* All edits in their order by one new table, or none of them; packets see the old table or the new
 * one. A grace period (about two ticks of the kernel's clock) lies between two changes: one that
 * follows at once waits for it, one that comes later does not.
 * dry: answers and refusals of the single edits alone. Refusals as of dp_rules_set(). */
int dp_rules_edit(struct dp *d, struct dp_rule_edit *ed, size_t count, bool dry, enum refusal *no,
		  struct err *e);
/* Adds or replaces by id. */
int dp_rule_put(struct dp *d, const struct dp_rule *r, enum refusal *no, struct err *e);
/* Idempotent. */
int dp_rule_del(struct dp *d, uint32_t id, enum refusal *no, struct err *e);
int dp_rule_get(struct dp *d, uint32_t id, struct dp_rule *ret); /* -ENOENT */
/* Fills up to cap rules in match order; returns how many there are. */
size_t dp_rules_get(struct dp *d, struct dp_rule *r, size_t cap);

/* Masks, longest chain and coarseness of the live table: what a walk costs at most. */
void dp_rules_shape(const struct dp *d, struct dp_table *ret);

/* --- senders on this host -------------------------------------------------------------------- */

/* A packet that begins here is labelled when it leaves by a managed device: by its socket's mark
 * (SO_MARK; one that names an active label), else by the rule of its socket's cgroup. It is tagged,
 * metered where the label is policed at the edge or a node, counted as direction 0, and best effort
 * when the label expired or its bound source prefix is another. Its route is chosen by then: a
 * label's path does not lead it. A socket belongs to the cgroup in which it was made. */
struct dp_local {
	uint32_t rule;     /* id: unique among these rules, != 0 */
	uint32_t label;    /* 0 = watched class, best effort */
	uint16_t class_id; /* 1..255, 0 = none */
	char path[160]; /* cgroup2 directory, at most DP_CGROUP_DEPTH - 1 below the root. One that
			 * is not there yet is waited for, below a directory that is */
	bool stands;    /* out: the directory is there, and the one that was found */
};

/* Adds or changes by id. Refusals: LABEL_RANGE, MAP_FULL (DP_LOCALS), KERNEL_UNSUPPORTED,
 * BODY_MALFORMED (not below a cgroup2 directory; another rule has it). */
int dp_local_set(struct dp *d, const struct dp_local *l, enum refusal *no, struct err *e);
/* Idempotent. */
void dp_local_del(struct dp *d, uint32_t rule);
int dp_local_get(const struct dp *d, uint32_t rule, struct dp_local *ret); /* -ENOENT */
/* The rule after `rule`, 0 to start; 0 = end. */
uint32_t dp_local_next(const struct dp *d, uint32_t rule);
/* Cgroups that were removed and made anew get their rules again; once at open, then once a second.
 * Returns how many are missing: their rules wait. */
uint32_t dp_locals_renew(struct dp *d);

/* --- counters: the owner's side ---------------------------------------------------------- */

/* Sum over CPUs less the label's baseline. Label 0 = best effort (dir 0).
 * -ERANGE outside the table. */
int dp_counters_get(struct dp *d, uint32_t label, enum dp_dir dir, struct dp_count *ret);
int dp_class_get(struct dp *d, uint32_t class_id, struct dp_class_count *ret);
void dp_cache_get(struct dp *d, struct dp_cache_count *ret);
/* Since the maps were made, or carried over from another version (no_ports: since then). */
void dp_odd_get(struct dp *d, struct dp_odd *ret);
/* Since the label became active; -ENOENT when it is not watched: at most DP_WATCHED labels are,
 * those that found a slot free when they became active. */
int dp_rtt_get(struct dp *d, uint32_t label, enum dp_dir dir, struct dp_rtt *ret);

/* What is taken of the tables that serve without; cells_missed: packets that found none. flows:
 * cached answers of the rules in force, counted in at most 65,536 entries and scaled beyond that.
 */
struct dp_used {
	uint32_t watched, cells, cells_max, flows;
	uint64_t cells_missed;
};
void dp_used_get(struct dp *d, struct dp_used *ret);

/* The counter map, frozen: no process may write it or map it writable, the programs still count.
 * Owned by d; pass it by SCM_RIGHTS. */
int dp_counters_fd(const struct dp *d);
/* Baseline of (label, dir) to hand along with the fd. -ERANGE. */
int dp_baseline_get(struct dp *d, uint32_t label, enum dp_dir dir, struct dp_count *ret);

/* --- counters: any process that holds the fd, no capabilities ----------------------------- */

/* Maps the counters of `fd` (which may be closed afterwards). -EPROTO when it is not ours. */
int dp_view_open(struct dp_view **ret, int fd, struct err *e) must_check;
struct dp_view *dp_view_close(struct dp_view *v);
uint32_t dp_view_labels(const struct dp_view *v);
/* Sums over CPUs, raw: take the first reading (or dp_baseline_get's) as baseline. -ERANGE. */
int dp_view_count(const struct dp_view *v, uint32_t label, enum dp_dir dir, struct dp_count *ret);
/* Packets that belong to no label, and why: raw sums over CPUs. */
void dp_view_odd(const struct dp_view *v, struct dp_odd *ret);
/* What passed, of the n labels from `first`, both directions: one pass over memory. The rest of a
 * label's counters, by dp_view_count. Labels beyond the table are left out. */
void dp_view_sweep(const struct dp_view *v, uint32_t first, uint32_t n, struct dp_hot *ret);
int dp_view_class(const struct dp_view *v, uint32_t class_id, struct dp_class_count *ret);
void dp_view_cache(const struct dp_view *v, struct dp_cache_count *ret);
int dp_view_rtt(const struct dp_view *v, uint32_t label, enum dp_dir dir, struct dp_rtt *ret);
/* a - b for all counters. */
void dp_count_sub(struct dp_count *a, const struct dp_count *b);

/* --- alternate marking (RFC 9341) ---------------------------------------------------------- */

/* Adds a class's two code points, colour 0 and colour 1. -EINVAL: out of 0..63, or used already. */
int dp_colours_pair(struct dp_colours *c, uint32_t zero, uint32_t one, struct err *e);
/* Tells the programs the wall clock again: blocks follow a clock that was set only when told. Once
 * at open, then once a second. */
void dp_wall_set(struct dp *d);
/* The map of blocks, frozen like the counters; owned by d; pass it by SCM_RIGHTS. */
int dp_marks_fd(const struct dp *d);

struct dp_marks; /* of any process that holds the fd */
int dp_marks_open(struct dp_marks **ret, int fd, struct err *e) must_check;
struct dp_marks *dp_marks_close(struct dp_marks *m); /* NULL in, NULL out */

/* What one point counted of one block. Offsets in ns from the block's nominal start. */
struct dp_mark {
	uint64_t block, packets, bytes;
	int64_t first_ns, sum_ns; /* of the first packet; of all packets together */
};
/* point: DP_MARK_IN, DP_MARK_OUT. Whether the block is over already is the caller's question.
 * -ENOENT: the cell is a newer block's already (DP_BLOCKS are kept), or the slot's owner came
 * later. -ERANGE. */
int dp_marks_get(const struct dp_marks *m, uint32_t slot, enum dp_dir dir, uint32_t point,
		 uint64_t block, struct dp_mark *ret);
/* The label's watched slot, 0 = none or outside the table. */
uint32_t dp_view_watched(const struct dp_view *v, uint32_t label);

/* --- rare events ---------------------------------------------------------------------------- */

typedef void (*dp_event_fn)(void *arg, const struct dp_event *ev);
/* Takes all that wait, oldest first on each CPU; returns how many. One reader. */
int dp_events(struct dp *d, dp_event_fn fn, void *arg, struct err *e);

struct dp_event_count {
	uint64_t seen, held_back; /* all; those that were only counted */
};
/* Of one cause since the maps were made. -ERANGE. */
int dp_events_count(struct dp *d, uint32_t cause, struct dp_event_count *ret);
const char *dp_cause_text(uint32_t cause);

/* --- sockets of this host ------------------------------------------------------------------- */

struct dp_socks;

/* Loads the TCP iterator. -EOPNOTSUPP with the reason where the kernel has none, or no BTF. */
int dp_socks_open(struct dp_socks **ret, struct err *e) must_check;
struct dp_socks *dp_socks_close(struct dp_socks *s); /* NULL in, NULL out */
typedef void (*dp_sock_fn)(void *arg, const struct dp_sock *s);
/* Every established TCP socket of the caller's network namespace that has measured a round trip;
 * returns how many. */
int dp_socks_each(struct dp_socks *s, dp_sock_fn fn, void *arg, struct err *e);

/* --- offline: tests and the bench --------------------------------------------------------- */

/* Program fd for BPF_PROG_TEST_RUN; owned by d. */
int dp_prog_fd(const struct dp *d, enum dp_prog p);
/* A map of the programs by name, for the bench's own programs and the tests; owned by d. */
int dp_map_fd(const struct dp *d, const char *name);
/* Sets the clock that the programs of an offline data plane read; 0 = the real one. */
void dp_clock_set(struct dp *d, uint64_t ns);

#endif
