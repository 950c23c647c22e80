/* SPDX-License-Identifier: Apache-2.0 */
/* log_scan.h - looks through the log for one question, a little at a time: a side of some months
 * has millions of events, and its agents wait for whoever reads them in one go. */
#ifndef TREATY_LOG_SCAN_H
#define TREATY_LOG_SCAN_H

#include "side.h"

struct store_event;

struct log_scan {
	uint64_t from; /* the first event that is looked at, >= 1 */
	/* 0 goes on, 1 has seen enough, negative errno fails; rows that are durable when the scan
	 * begins, in their order. */
	int (*row)(void *arg, const struct store_event *row, struct err *e);
	/* Once: r is 0 or negative; NULL is never called after it. The side ends: -ECANCELED. */
	void (*done)(void *arg, int r, struct err *e);
	void *arg;
};

/* Begins; nothing is called before this returns. -EAGAIN: LOG_SCANS go on already. */
enum { LOG_SCANS = 8 };
int log_scan(struct side *s, const struct log_scan *ask, struct err *e) must_check;
/* Ends all; before the side's loop and store. */
void log_scans_free(struct side *s);

#endif
