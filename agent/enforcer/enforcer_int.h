/* SPDX-License-Identifier: Apache-2.0 */
/* enforcer_int.h - what the files of role node share. */
#ifndef TREATY_ENFORCER_INT_H
#define TREATY_ENFORCER_INT_H

#include "agent/log.h"
#include "bpf/dataplane.h"
#include "client.h"
#include "enforcer_node.h"
#include "netlink/htb.h"
#include "netlink/link.h"
#include "netlink/monitor.h"
#include "netlink/nl.h"

#define CLASSES_CAP 1024 /* of one device */

struct device {
	const struct cfg_device *cfg;
	struct nl_link link; /* ifindex 0 = absent */
	rate_t rate;         /* of the tree, a multiple of 8; 0 = none */
	bool attached, shaped;
	enum dp_hook hook;
};

struct enforcer_node {
	const struct config *c;
	struct loop *loop;
	struct dp *dp;
	struct nl *nl;
	struct nl_monitor *monitor;
	struct loop_fd *watch;
	struct loop_timer *healing;
	struct device dev[CFG_DEVICES];
	uint32_t n_dev;
	bool path_out[CFG_PATHS]; /* left out, and said so */
	/* Steps that name a device, newest of each object: a device that comes back under another
	 * ifindex needs them again. */
	struct step *kept;
	uint32_t n_kept, cap_kept, max_kept;
	struct nl_class *classes; /* CLASSES_CAP, scratch */
	struct nl_class_stats *stats;
};

/* NULL when it is not configured. */
struct device *device_find(struct enforcer_node *n, const char *name);
struct device *device_at(struct enforcer_node *n, uint32_t ifindex);
/* The classes of the device's tree into n->classes, n->stats. */
int device_classes(struct enforcer_node *n, const struct device *d, size_t *count, struct err *e);

/* Routes and rules of every [path] and [sid] whose device is here. *out = some path was left out,
 * which was logged: try again later. */
int paths_apply(struct enforcer_node *n, size_t *changed, bool *out, struct err *e);
/* No route and no rule of ours stays. */
int paths_remove(struct enforcer_node *n, struct err *e);
/* Whether the path is configured to leave from here, and its table is there. */
bool path_here(const struct enforcer_node *n, uint8_t path);
int path_present(struct enforcer_node *n, uint8_t path, bool *ret, struct err *e);

/* Applies and reads back. Only -EPROTO is a failure: the sender broke a rule. */
int step_run(struct enforcer_node *n, const struct step *s, struct enforcer_receipt *ret,
	     struct err *e);
/* Again all kept steps that name the device. */
void steps_again(struct enforcer_node *n, const struct device *d);

/* Handlers of enforcer_show.c. */
int show_observe(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_counters(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_links(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_device(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_shaper(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_held(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);
int show_base(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e);

/* The node behind a handler's ctx; NULL and *e when this daemon is none. */
struct enforcer_node *node_of(void *ctx, struct err *e);

#endif
