/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "bpf/dataplane.h"

#include <errno.h>

int enforcer_wait(struct msg_client *c, struct err *e)
{
	struct enforcer_shaper s;

	return msg_call(c, MSG_SHAPER, NULL, 0, &s, sizeof(s), NULL, ENFORCER_START_MS, e);
}

int enforcer_step(struct msg_client *c, const struct step *s, struct enforcer_receipt *ret,
		  struct err *e)
{
	return msg_call(c, MSG_STEP, s, sizeof(*s), ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

static int steps(struct msg_client *c, enum enforcer_how how, const struct step *s, size_t count,
		 struct enforcer_receipt *ret, struct err *e)
{
	struct enforcer_receipts p;
	struct enforcer_batch b;

	for (size_t i = 0; i < count; i += b.n) {
		size_t left = count - i;
		int r;

		memset(&b, 0, sizeof(b));
		b.how = how;
		b.n = left < ENFORCER_BATCH_MAX ? (uint32_t)left : ENFORCER_BATCH_MAX;
		memcpy(b.step, s + i, b.n * sizeof(*s));
		r = msg_call(c, MSG_STEPS, &b, sizeof(b), &p, sizeof(p), NULL, ENFORCER_WAIT_MS, e);
		if (!r && p.n != b.n)
			r = err_set(e, -EPROTO, "batch: %u receipts for %u steps", p.n, b.n);
		if (r)
			return r;
		memcpy(ret + i, p.receipt, b.n * sizeof(*ret));
	}
	return 0;
}

int enforcer_steps(struct msg_client *c, const struct step *s, size_t count,
		   struct enforcer_receipt *ret, struct err *e)
{
	return steps(c, BATCH_EACH, s, count, ret, e);
}

int enforcer_steps_until(struct msg_client *c, const struct step *s, size_t count,
			 struct enforcer_receipt *ret, struct err *e)
{
	if (count > ENFORCER_BATCH_MAX)
		return err_set(e, -EINVAL, "batch: 1..%d steps", ENFORCER_BATCH_MAX);
	return steps(c, BATCH_STOP, s, count, ret, e);
}

int enforcer_steps_check(struct msg_client *c, const struct step *s, size_t count,
			 struct enforcer_receipt *ret, struct err *e)
{
	return steps(c, BATCH_LOOK, s, count, ret, e);
}

int enforcer_findings(struct msg_client *c, uint32_t from, struct enforcer_findings *ret,
		      struct err *e)
{
	const struct enforcer_cursor q = { .a = from };

	return msg_call(c, MSG_FINDINGS, &q, sizeof(q), ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS,
			e);
}

int enforcer_gc(struct msg_client *c, struct enforcer_gc *ret, struct err *e)
{
	return msg_call(c, MSG_GC, NULL, 0, ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

const char *enforcer_cause_text(uint32_t cause)
{
	return dp_cause_text(cause);
}

int enforcer_events(struct msg_client *c, struct enforcer_events *ret, struct err *e)
{
	return msg_call(c, MSG_EVENTS, NULL, 0, ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_socks(struct msg_client *c, struct enforcer_socks *ret, struct err *e)
{
	return msg_call(c, MSG_SOCKS, NULL, 0, ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_tables(struct msg_client *c, struct enforcer_tables *ret, struct err *e)
{
	return msg_call(c, MSG_TABLES, NULL, 0, ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_spreads(struct msg_client *c, const struct enforcer_spreads *s, struct err *e)
{
	return msg_call(c, MSG_SPREADS, s, sizeof(*s), NULL, 0, NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_observe(struct msg_client *c, uint32_t label, struct observation *ret, struct err *e)
{
	const struct enforcer_label q = { label };

	return msg_call(c, MSG_OBSERVE, &q, sizeof(q), ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS,
			e);
}

int enforcer_counters(struct msg_client *c, struct enforcer_counters *ret, int *ret_fd,
		      struct err *e)
{
	return msg_call(c, MSG_COUNTERS, NULL, 0, ret, sizeof(*ret), ret_fd, ENFORCER_WAIT_MS, e);
}

int enforcer_marks(struct msg_client *c, struct enforcer_marks *ret, int *ret_fd, struct err *e)
{
	return msg_call(c, MSG_MARKS, NULL, 0, ret, sizeof(*ret), ret_fd, ENFORCER_WAIT_MS, e);
}

int enforcer_links(struct msg_client *c, struct enforcer_links *ret, struct err *e)
{
	return msg_call(c, MSG_LINKS, NULL, 0, ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_device(struct msg_client *c, const char *name, struct enforcer_device *ret,
		    struct err *e)
{
	struct enforcer_name q = { 0 };

	str_cut(q.name.s, name);
	return msg_call(c, MSG_DEVICE, &q, sizeof(q), ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_shaper(struct msg_client *c, struct enforcer_shaper *ret, struct err *e)
{
	return msg_call(c, MSG_SHAPER, NULL, 0, ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_held(struct msg_client *c, const struct enforcer_cursor *at, struct enforcer_held *ret,
		  struct err *e)
{
	return msg_call(c, MSG_HELD, at, sizeof(*at), ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}

int enforcer_bases(struct msg_client *c, const uint32_t *label, uint32_t n,
		   struct enforcer_bases *ret, struct err *e)
{
	struct enforcer_labels q = { .n = n };

	if (!n || n > ENFORCER_BASES_MAX)
		return err_set(e, -EINVAL, "labels: 1..%d", ENFORCER_BASES_MAX);
	memcpy(q.label, label, n * sizeof(*label));
	return msg_call(c, MSG_BASES, &q, sizeof(q), ret, sizeof(*ret), NULL, ENFORCER_WAIT_MS, e);
}
