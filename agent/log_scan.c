/* SPDX-License-Identifier: Apache-2.0 */
#include "log_scan.h"

#include "agent/store/store.h"

#include <errno.h>
#include <sys/queue.h>

enum {
	SLICE_US = 2000,        /* of one turn of the loop that has nothing else to do, */
	REST_US = 9 * SLICE_US, /* or of one that is busy all the time a tenth */
};

struct scan {
	LIST_ENTRY(scan) entry;
	struct side *side;
	struct log_scan ask;
	uint64_t next, upto;
	mono_t until; /* of this slice */
	struct loop_timer *timer;
	struct err e;
};

static LIST_HEAD(, scan) scans = LIST_HEAD_INITIALIZER(scans);
static unsigned n_scans;

static void end(struct scan *x, int r)
{
	LIST_REMOVE(x, entry);
	n_scans--;
	loop_cancel(x->side->loop, x->timer);
	x->ask.done(x->ask.arg, r, &x->e);
	free(x);
}

enum { SLICE_OVER = 2 };

static int take(void *arg, const struct store_event *row)
{
	struct scan *x = arg;
	int r;

	if (row->seq > x->upto)
		return 1;
	x->next = row->seq + 1;
	r = x->ask.row(x->ask.arg, row, &x->e);
	if (r)
		return r;
	return mono_cmp(loop_read(x->side->loop), x->until) < 0 ? 0 : SLICE_OVER;
}

static void slice(void *arg)
{
	struct scan *x = arg;
	int r = 0;

	x->timer = NULL;
	x->until = loop_read(x->side->loop);
	x->until.us += SLICE_US;
	if (x->next <= x->upto)
		r = store_replay(engine_store(x->side->engine), x->next, take, x, &x->e);
	if (r != SLICE_OVER) {
		end(x, r < 0 ? r : 0);
		return;
	}
	x->timer = loop_spare(x->side->loop, REST_US, slice, x);
	if (!x->timer)
		end(x, err_set(&x->e, -ENOMEM, "out of memory"));
}

int log_scan(struct side *s, const struct log_scan *ask, struct err *e)
{
	struct scan *x;

	if (n_scans == LOG_SCANS)
		return err_set(e, -EAGAIN, "limit_reached: %d readers look through the log already",
			       LOG_SCANS);
	x = calloc(1, sizeof(*x));
	if (x)
		x->timer = loop_spare(s->loop, 0, slice, x);
	if (!x || !x->timer) {
		free(x);
		return err_set(e, -ENOMEM, "out of memory");
	}
	x->side = s;
	x->ask = *ask;
	x->next = ask->from;
	x->upto = store_durable(engine_store(s->engine));
	LIST_INSERT_HEAD(&scans, x, entry);
	n_scans++;
	return 0;
}

void log_scans_free(struct side *s)
{
	struct scan *x, *next;

	for (x = LIST_FIRST(&scans); x; x = next) {
		next = LIST_NEXT(x, entry);
		if (x->side != s)
			continue;
		(void)err_set(&x->e, -ECANCELED, "the service stops");
		end(x, -ECANCELED);
	}
}
