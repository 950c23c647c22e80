/* SPDX-License-Identifier: Apache-2.0 */
/* enforcer_int.h - what the files of role node share. */
#ifndef TREATY_ENFORCER_INT_H
#define TREATY_ENFORCER_INT_H

#include "agent/log.h"
#include "bpf/dataplane.h"
#include "client.h"
#include "enforcer_node.h"
#include "netlink/diff_core.h"
#include "netlink/htb.h"
#include "netlink/link.h"
#include "netlink/monitor.h"
#include "netlink/nl.h"

#define CLASSES_CAP (HTB_SLOTS_MAX + 2) /* of one device */
#define STEPS_MANY  ENFORCER_BATCH_MAX

struct shaper;

struct device {
	const struct cfg_device *cfg;
	struct nl_link link; /* ifindex 0 = absent */
	rate_t rate;         /* of the tree, a multiple of 8; 0 = none */
	bool attached, shaped;
	enum dp_hook hook;
	const struct shaper *shaper; /* of a device with a rate, once shaped */
	char refused[160];           /* why not the back ends before it */
	uint32_t was;                /* ifindex that went away: label lines may still name it */
	/* What its tree should hold, by minor; promised = guarantees against the device's rate. */
	struct nl_class *slot;
	uint32_t n_slots, n_classes;
	uint32_t n_policed; /* of n_classes, those that HTB does not hold */
	uint64_t promised;
	/* Of an HTB device, class_pool.c: the minors whose idle class stands in the kernel. */
	uint64_t idle[HTB_SLOTS_MAX / 64];
	uint32_t n_idle;
	bool pool_stuck; /* the kernel refused one, and it was said */
	uint32_t full;   /* class steps refused with MAP_FULL */
};

/* One-way delays of a path as its probes measured them; at.us = 0: never. */
struct spread {
	uint32_t least_us, most_us;
	mono_t at; /* loop's clock */
};

struct enforcer_node {
	const struct config *c;
	struct loop *loop;
	struct dp *dp;
	struct nl *nl;
	struct nl_monitor *monitor;
	struct dp_socks *socks; /* NULL: this kernel has no iterator */
	char socks_said[96];
	struct loop_fd *watch;
	struct loop_timer *healing, *filling, *second;
	mono_t last_step;    /* loop's clock */
	uint32_t pool_batch; /* classes that take the kernel about a millisecond */
	struct told {
		struct dp_event last[ENFORCER_EVENTS_MAX]; /* a ring */
		uint32_t n, next;
		uint32_t fresh[DP_EV_MAX]; /* not logged yet */
		uint64_t held[DP_EV_MAX];
		uint32_t wait[DP_EV_MAX]; /* seconds until the cause may be logged again */
	} told;
	struct device dev[CFG_DEVICES];
	uint32_t n_dev;
	uint32_t full;                /* steps refused with MAP_FULL */
	uint32_t full_of[TABLE_MAX_]; /* .. by the table that they fill */
	/* In the tables now: label lines, bound source prefixes, customers' ceilings. */
	uint32_t labels, sources, ceilings;
	uint32_t under[DP_CEILINGS];     /* labels of each ceiling */
	bool dry;                        /* steps only look */
	bool stop;                       /* steps behind a refused one are not tried */
	uint32_t no_cgroup;              /* rules that wait for theirs */
	bool paced;                      /* this process put the pacing program there */
	struct spread spread[CFG_PATHS]; /* by position in c->path */
	bool path_out[CFG_PATHS];        /* left out, and said so */
	char unpaced[128]; /* why local senders are not paced; empty = they are, or nobody asks */
	struct nl_class *classes; /* CLASSES_CAP, scratch */
	struct nl_class_stats *stats;
};

/* NULL when it is not configured. */
struct device *device_find(struct enforcer_node *n, const char *name);
struct device *device_at(struct enforcer_node *n, uint32_t ifindex);
/* The classes of the device's tree into n->classes, n->stats. */
int device_classes(struct enforcer_node *n, const struct device *d, size_t *count, struct err *e);

/* Routes, rules and redirects of every [path] and [sid] whose device is here. *out = some path was
 * left out, which was logged: try again later. */
int paths_apply(struct enforcer_node *n, size_t *changed, bool *out, struct err *e);
/* Whether redirects must look again: an address of this host came or went. */
bool redirects_asked(const struct enforcer_node *n, const struct nl_event *ev);
/* A device went down or away: what was redirected to it goes by the tables from now on. */
void redirects_stop(struct enforcer_node *n, uint32_t ifindex);
/* Whether a label may be steered to s->path, if that is one by redirect. */
int redirect_check(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p);
/* Routes and rules beside what is wanted, without changing any; ok and step are the caller's. */
struct path_audit {
	struct nl_obj *ok;
	struct nl_step *step;
	size_t n_ok, n_step;
};
int paths_audit(struct enforcer_node *n, struct path_audit *ret, struct err *e);
/* No route and no rule of ours stays. */
int paths_remove(struct enforcer_node *n, struct err *e);
/* Whether the path is configured to leave from here, and its table is there. */
bool path_here(const struct enforcer_node *n, uint8_t path);
/* Whether IPv4 that is steered to it would go another way. */
bool path_lacks_v4(const struct enforcer_node *n, uint32_t path);
int path_present(struct enforcer_node *n, uint8_t path, bool *ret, struct err *e);

/* Applies in order and reads back; a refused step does not stop those behind it unless n->stop says
 * so. Only -EPROTO is a failure: the sender broke a rule. took_us of classes or rules that went
 * together is that of all. */
int steps_run(struct enforcer_node *n, const struct step *s, size_t count,
	      struct enforcer_receipt *ret, struct err *e);
/* enforcer_sock.c: looks whether this kernel can tell of sockets. */
void socks_start(struct enforcer_node *n);

/* enforcer_second.c. Once a second from now on the programs are told the wall clock, and what they
 * told of is logged: a cause once in ten seconds at most. */
void second_start(struct enforcer_node *n);
/* Takes what waits in the ring now. */
void events_take(struct enforcer_node *n);
int colours_from(const struct config *c, struct dp_colours *ret, struct err *e);

/* enforcer_step.c: label is in this node's range, or it is refused. */
int check_label(const struct enforcer_node *n, uint32_t label, struct enforcer_receipt *p);

/* enforcer_hold.c. Steers the label of s, which is on path old: in order where that can be. */
int flip(struct enforcer_node *n, const struct step *s, uint32_t old, enum refusal *no,
	 struct enforcer_receipt *p, struct err *e);

/* enforcer_local.c. Rules by cgroup: whether the step is of one; sets or removes it. */
bool local_named(const struct enforcer_node *n, const struct step *s);
int local_step(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p);

/* enforcer_table.c. A step that a full table refused. */
void table_missed(struct enforcer_node *n, const struct step *s);

/* Counts anew what the tables hold: after they were opened. */
void labels_count(struct enforcer_node *n);
/* Label lines that are bound to the ifindex d->was, to the present one. */
void labels_rebind(struct enforcer_node *n, struct device *d);

/* enforcer_class.c. All steps of class_set_many name the same device. */
void class_set_many(struct enforcer_node *n, const struct step *s, size_t count,
		    struct enforcer_receipt *p);
int class_del(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *p);
bool minor_ok(uint32_t minor); /* of a label's class */
/* Reads the tree into the device's table; puts the table into a tree that is new. */
int classes_adopt(struct enforcer_node *n, struct device *d, struct err *e);
void classes_again(struct enforcer_node *n, struct device *d);
void classes_forget(struct device *d);
/* What the device should have: by minor; whether beyond HTB's cap; the minor after m, 0 = end. */
bool class_wanted(const struct device *d, uint32_t minor);
bool class_policed(const struct device *d, uint32_t minor);
bool class_has_customer(const struct device *d, uint32_t minor);
uint32_t class_next(const struct device *d, uint32_t minor);

/* class_pool.c: idle HTB classes, made ahead of need, some at a time while no step comes. A step
 * that names one changes it instead of adding a class. */
void pool_adopt(struct enforcer_node *n, struct device *d); /* what stands in the kernel */
void pool_start(struct enforcer_node *n);                   /* fills or trims from now on */
void pool_stop(struct enforcer_node *n);
void pool_forget(struct device *d); /* the tree is gone */
bool pool_has(const struct device *d, uint32_t minor);
/* The class at minor is a deal's now, or gone. */
void pool_taken(struct device *d, uint32_t minor);
/* Whether the class of a deal that ends goes back to the pool instead of away. */
bool pool_wants(const struct enforcer_node *n, const struct device *d, uint32_t minor);
int pool_give(struct enforcer_node *n, struct device *d, uint32_t minor, struct err *e);

/* Answers of a step; all return 0. failed: a failure of the data plane or of netlink. */
int refuse(struct enforcer_receipt *p, enum refusal r, const char *fmt, ...) printf_like(3, 4);
int failed(struct enforcer_receipt *p, int code, enum refusal no, const struct err *e);
int differs(struct enforcer_receipt *p, const char *what);
/* The answer of a dry step that would change something. */
int would_change(struct enforcer_receipt *p, bool present);

/* Handlers of enforcer_show.c. */
int show_observe(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_counters(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_links(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_device(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_shaper(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_held(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_findings(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int on_gc(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int on_spreads(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_tables(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_socks(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_events(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_marks(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_bases(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);

/* The node behind a handler's ctx; NULL and *e when this daemon is none. */
struct enforcer_node *node_of(void *ctx, struct err *e);

#endif
