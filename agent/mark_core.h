/* SPDX-License-Identifier: Apache-2.0 */
/* mark_core.h - loss and one-way delay between two nodes from their blocks of alternately marked
 * packets (RFC 9341 sections 3.1 and 3.2.1.1). Pure.
 *
 * A block may be read once half a block has passed since its end (clocks' error and delay together
 * must stay below that, section 5), and as long as its cell is not taken by a newer one. Loss is
 * the difference of the two nodes' packets, exact. The delay is the difference of the mean time
 * stamps: every packet counts, so a few lost or reordered ones change little, and how much at most
 * is part of the uncertainty. */
#ifndef TREATY_MARK_CORE_H
#define TREATY_MARK_CORE_H

#include "treaty/telemetry.h"

#define MARK_KEPT 4 /* the last blocks of each end */

enum mark_verdict {
	MARK_NOTHING,  /* no block was compared yet */
	MARK_COMPARED, /* both ends told of it */
	MARK_NO_NEAR,  /* the first node said nothing of the block: no figure */
	MARK_NO_FAR,   /* the last node did not */
	MARK_MORE,     /* more came than was sent: clocks too far apart, or copies; no figure */
	MARK_VERDICT_MAX_
};

struct mark_end {
	struct mark_clock clock; /* with the newest sample */
	uint8_t n;
	struct mark_sample m[MARK_KEPT]; /* rising block numbers */
};

/* One direction of a label between two nodes. All 0 to begin. */
struct mark_pair {
	struct mark_end near, far; /* where the direction's packets pass first, and last */
	/* The newest block that was settled. */
	enum mark_verdict verdict;
	uint64_t block, sent, lost, sent_bytes, received_bytes;
	bool delayed;     /* delay_ns and uncertainty_ns say something */
	bool unsure;      /* a clock is not synchronised: the uncertainty leaves it out */
	int64_t delay_ns; /* mean; negative when the clocks differ by more than it */
	int64_t uncertainty_ns;
	/* Since the first settled block. */
	uint64_t blocks, all_sent, all_lost; /* compared ones and their packets */
	uint64_t missing;                    /* blocks without a figure */
};

/* The newest block that may be read at the wall clock's now; 0 = none. block_ns > 0. */
uint64_t mark_finished(int64_t now_ns, int64_t block_ns);
/* Whether a block may be read: it is over, and a cell of one in `kept` still holds it. */
bool mark_readable(uint64_t block, uint32_t kept, int64_t now_ns, int64_t block_ns);

/* Takes what one end says. A block that is known already, or older than the newest, changes
 * nothing: a late answer is no news. false = not taken. */
bool mark_note(struct mark_end *e, const struct mark_sample *m, const struct mark_clock *c);
/* Settles the oldest block that both ends have passed and that was not settled; true = there was
 * one, look again. Without a sample of either end it is missing, which the verdict says. */
bool mark_settle(struct mark_pair *p);
/* A word for each verdict. */
const char *mark_verdict_text(enum mark_verdict v);

#endif
