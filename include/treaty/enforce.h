/* SPDX-License-Identifier: Apache-2.0 */
/* enforce.h - rank 6: what a node is asked to do, what it answers, what it reads back. A step is
 * idempotent: applied twice it changes nothing the second time. */
#ifndef TREATY_ENFORCE_H
#define TREATY_ENFORCE_H

#include "plan.h"

/* The node's answer to one step. */
struct step_receipt {
	ident_t plan;
	uint16_t no;
	enum refusal refusal; /* REFUSE_NONE: applied and read back */
	why_t why;
	int64_t took_us;
};

/* What the kernel holds for one label, read back (treatyctl verify). */
struct observation {
	uint32_t label;
	bool label_present;
	rate_t rate[DIR_MAX_]; /* policer, 0 = none */
	rate_t excess[DIR_MAX_];
	uint16_t ceiling; /* above it, 0 = none */
	rate_t ceiling_rate;
	char src_up[48], src_down[48]; /* bound source prefixes; empty = any */
	mono_t valid_until;
	uint8_t path[DIR_MAX_];
	uint8_t n_classes;
	struct observed_class {
		name_t device;
		uint16_t minor;
		rate_t rate, ceil;
		uint8_t dir;       /* enum dir of what leaves by the device */
		char by[12];       /* the back end that holds it: "edt", "htb", "policer" */
		char rule[64];     /* why this one */
		char refused[160]; /* those before it and why not; empty = it is the first */
	} cls[DEVICES_MAX];
	uint8_t n_rules; /* classifier rules that yield this label */
	uint8_t n_paths; /* path tables present for path[] */
};

#endif
