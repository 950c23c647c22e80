/* SPDX-License-Identifier: Apache-2.0 */
/* shaper.h - what holds the classes of a device. Three back ends, chosen by probe in this order:
 *
 *  edt      our fq root; packets leave at the time that the egress program gives them. A class gets
 *           its rate, exactly, and what has no agreement gets what no class was promised; nobody
 *           borrows. No cap on the number of classes.
 *  htb      our HTB root; guarantees, ceilings, priorities, customers. The virtual queue of a class
 *           marks ECN packets. Capped: an added class costs the more, the more there are.
 *  policer  no queue: what is more than 250 ms ahead of its rate is dropped at egress.
 *
 * Where a class of an HTB device is beyond the cap, the policer holds it (its limit is then 0). */
#ifndef TREATY_ENFORCER_SHAPER_H
#define TREATY_ENFORCER_SHAPER_H

#include "enforcer_int.h"

struct shaper {
	const char *name;
	/* Our root and what must stand before any class, idempotently; what of ours belongs to
	 * another back end is replaced. -EOPNOTSUPP: not on this kernel or device, e says why;
	 * -EEXIST: a foreign root. */
	int (*ensure)(struct enforcer_node *n, struct device *d, struct err *e);
	/* Whether what ensure makes is there still. */
	bool (*stands)(struct enforcer_node *n, const struct device *d);
	/* Trims a wanted class to what this back end can promise. */
	void (*fit)(const struct device *d, struct nl_class *c);
	/* As htb_classes_put and htb_classes_get. */
	int (*put)(struct enforcer_node *n, struct device *d, const struct nl_class *c,
		   size_t count, int *result, struct err *e);
	int (*get)(struct enforcer_node *n, struct device *d, const uint32_t *minor, size_t count,
		   struct nl_class *out, struct err *e);
	int (*del)(struct enforcer_node *n, struct device *d, uint32_t minor, struct err *e);
	/* After the device's table changed; NULL = nothing to do. */
	void (*settle)(struct enforcer_node *n, struct device *d);
	/* The classes into n->classes and n->stats, by minor. */
	int (*list)(struct enforcer_node *n, const struct device *d, size_t *count, struct err *e);
	/* Takes its root away. Not there = 0. */
	int (*remove)(struct enforcer_node *n, struct device *d, struct err *e);
};

extern const struct shaper shaper_edt, shaper_htb, shaper_policer;

/* Sets d->shaper and makes it stand; d->refused tells why those before it were not taken. -EEXIST:
 * a foreign root qdisc is there. */
int shaper_choose(struct enforcer_node *n, struct device *d, struct err *e);
/* The back end of one class of the device. */
const struct shaper *shaper_of(const struct device *d, const struct nl_class *c);
/* By which rule it was taken for the class; over: the class is beyond HTB's cap. */
void shaper_rule(const struct enforcer_node *n, const struct device *d, bool over, char *to,
		 size_t room);

#endif
