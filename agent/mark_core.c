/* SPDX-License-Identifier: Apache-2.0 */
#include "mark_core.h"
#include "treaty/pure.h"

uint64_t mark_finished(int64_t now_ns, int64_t block_ns)
{
	int64_t end = now_ns - block_ns / 2;

	return end < block_ns ? 0 : (uint64_t)(end / block_ns) - 1;
}

bool mark_readable(uint64_t block, uint32_t kept, int64_t now_ns, int64_t block_ns)
{
	uint64_t present = (uint64_t)((now_ns + block_ns / 2) / block_ns);

	/* A neighbour's clock may be half a block ahead: its packets take the cell that early. */
	return block && block <= mark_finished(now_ns, block_ns) && present < block + kept;
}

bool mark_note(struct mark_end *e, const struct mark_sample *m, const struct mark_clock *c)
{
	if (e->n && m->block <= e->m[e->n - 1].block)
		return false;
	if (e->n == MARK_KEPT) {
		for (uint8_t i = 1; i < MARK_KEPT; i++)
			e->m[i - 1] = e->m[i];
		e->n--;
	}
	e->m[e->n++] = *m;
	e->clock = *c;
	return true;
}

/* Each node's programs take the wall clock as an offset that was read to a microsecond; both means
 * are rounded. */
#define READ_NS 2002

static const struct mark_sample *sample_of(const struct mark_end *e, uint64_t block)
{
	for (uint8_t i = 0; i < e->n; i++)
		if (e->m[i].block == block)
			return &e->m[i];
	return NULL;
}

/* Lost packets may have been the first or the last of the block: each moves the mean of what
 * arrived by at most a block's length divided by the packets. */
static void delay(struct mark_pair *p, const struct mark_sample *near,
		  const struct mark_sample *far)
{
	const struct mark_clock *a = &p->near.clock, *b = &p->far.clock;
	bool same = a->host && a->host == b->host;

	p->delayed = far->packets > 0;
	p->unsure = !same && (!a->synced || !b->synced);
	p->delay_ns = p->uncertainty_ns = 0;
	if (!p->delayed)
		return;
	p->delay_ns = far->mean_ns - near->mean_ns;
	p->uncertainty_ns = READ_NS;
	if (p->lost) /* rounded up */
		p->uncertainty_ns += ((int64_t)a->block_ms * 1000000 / (int64_t)near->packets + 1) *
				     (int64_t)p->lost;
	if (!same && !p->unsure)
		p->uncertainty_ns += ((int64_t)a->max_error_us + b->max_error_us) * 1000;
}

static void compare(struct mark_pair *p, const struct mark_sample *near,
		    const struct mark_sample *far)
{
	p->verdict = MARK_COMPARED;
	p->sent = near->packets;
	p->lost = near->packets - far->packets;
	p->sent_bytes = near->bytes;
	p->received_bytes = far->bytes;
	p->blocks++;
	p->all_sent += p->sent;
	p->all_lost += p->lost;
	delay(p, near, far);
}

bool mark_settle(struct mark_pair *p)
{
	const struct mark_sample *near, *far;
	uint64_t a, b, newest, block;

	if (!p->near.n || !p->far.n)
		return false;
	a = p->near.m[p->near.n - 1].block;
	b = p->far.m[p->far.n - 1].block;
	newest = a < b ? a : b;
	if (newest <= p->block)
		return false;
	/* Before the first comparison nothing was missed: an end had not begun. */
	block = p->blocks ? p->block + 1 : newest;
	if (newest - block >= MARK_KEPT) {
		p->missing += newest - block - MARK_KEPT + 1;
		block = newest - MARK_KEPT + 1;
	}
	p->block = block;
	p->sent = p->lost = p->sent_bytes = p->received_bytes = 0;
	p->delayed = false;
	near = sample_of(&p->near, block);
	far = sample_of(&p->far, block);
	if (near && far && far->packets <= near->packets) {
		compare(p, near, far);
		return true;
	}
	p->verdict = !near ? MARK_NO_NEAR : !far ? MARK_NO_FAR : MARK_MORE;
	p->missing++;
	return true;
}

const char *mark_verdict_text(enum mark_verdict v)
{
	static const char *const text[] = { "no block yet", "compared", "missing at the first node",
					    "missing at the last node", "more than was sent" };

	return (unsigned int)v < MARK_VERDICT_MAX_ ? text[v] : "?";
}
