/* SPDX-License-Identifier: Apache-2.0 */
/* dp_mark.c - alternate marking (RFC 9341), the user side: code points, the wall clock that the
 * programs count blocks by, and the blocks themselves through a read-only mapping. */
#include <sys/mman.h>
#include <time.h>

#include "dp_internal.h"

int dp_colours_pair(struct dp_colours *c, uint32_t zero, uint32_t one, struct err *e)
{
	if (zero > 63 || one > 63)
		return err_set(e, -EINVAL, "code points: 0..63");
	if (zero == one)
		return err_set(e, -EINVAL, "code points: %u twice: a pair is two", zero);
	if (c->code[zero] || c->code[one])
		return err_set(e, -EINVAL, "code point %u: in another pair already",
			       c->code[zero] ? zero : one);
	c->code[zero] = (__u8)(DP_CODE_PAIRED | one);
	c->code[one] = (__u8)(DP_CODE_PAIRED | DP_CODE_ONE | zero);
	return 0;
}

/* A remark must be able to keep the colour. */
int dp_mark_check(const struct dp *d, const struct dp_label *l, enum refusal *no, struct err *e)
{
	bool remarks = l->over == DP_OVER_REMARK || l->dir[0].excess.bps || l->dir[1].excess.bps;

	if (!d->colours.block_ns || !remarks || l->dscp > 63 || l->dscp_over > 63 ||
	    !d->colours.code[l->dscp] || d->colours.code[l->dscp_over])
		return 0;
	return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "dscp_over: %u has no second colour, %u has",
			 l->dscp_over, l->dscp);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t = { 0 };

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The closest of a few looks: who was interrupted between the two clocks looked in vain. */
void dp_wall_set(struct dp *d)
{
	uint64_t closest = UINT64_MAX, offset = 0;

	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_ns(CLOCK_BOOTTIME), wall = clock_ns(CLOCK_REALTIME);
		uint64_t took = clock_ns(CLOCK_BOOTTIME) - before;

		if (took >= closest)
			continue;
		closest = took;
		offset = wall - before - took / 2;
	}
	if (!d->offline)
		__atomic_store_n(&d->skel->bss->wall_offset, offset, __ATOMIC_RELAXED);
}

int dp_marks_fd(const struct dp *d)
{
	return bpf_map__fd(d->skel->maps.marks);
}

/* To freeze what is frozen is refused (EBUSY or EPERM), so what counts is that it cannot be mapped
 * for writing. */
int dp_freeze(int fd, const char *what, struct err *e)
{
	int r = bpf_map_freeze(fd) ? -errno : 0;
	void *p;

	if (!r)
		return 0;
	p = mmap(NULL, sizeof(struct dp_block), PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 0;
	(void)munmap(p, sizeof(struct dp_block));
	return err_set(e, r, "%s: %s", what, strerror(-r));
}

/* Of what the programs were told: other code points or blocks make figures of the time before
 * worthless. */
static uint64_t colours_sum(const struct dp_colours *c)
{
	uint64_t h = c->block_ns;

	for (size_t i = 0; i < ARRAY_LEN(c->code); i++)
		h = (h ^ c->code[i]) * 0x100000001b3u;
	return h;
}

int dp_marks_renew(struct dp *d, struct err *e)
{
	uint64_t sum = colours_sum(&d->colours);
	int r = 0;

	for (uint32_t i = 1; !r && d->ctl->colours != sum && i < d->labels; i++)
		if (d->lines[i].watch)
			r = dp_watch_order(d, i, d->lines[i].watch, e);
	if (!r)
		d->ctl->colours = sum;
	return r;
}

/* --- any process that holds the fd ------------------------------------------------------------ */

#define MARKS_LEN (DP_MARK_AT(DP_WATCHED + 1, 0, 0) * sizeof(struct dp_block))

struct dp_marks {
	const struct dp_block *cell;
};

int dp_marks_open(struct dp_marks **ret, int fd, struct err *e)
{
	struct dp_marks *m = calloc(1, sizeof(*m));
	void *p;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	p = mmap(NULL, MARKS_LEN, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		free(m);
		return err_set(e, -errno, "marks: cannot be mapped: %s", strerror(errno));
	}
	m->cell = p;
	*ret = m;
	return 0;
}

struct dp_marks *dp_marks_close(struct dp_marks *m)
{
	void *p;

	if (!m)
		return NULL;
	memcpy(&p, &m->cell, sizeof(p)); /* munmap wants it without const */
	(void)munmap(p, MARKS_LEN);
	free(m);
	return NULL;
}

#define LOAD(m) __atomic_load_n(&(m), __ATOMIC_RELAXED)

int dp_marks_get(const struct dp_marks *m, uint32_t slot, enum dp_dir dir, uint32_t point,
		 uint64_t block, struct dp_mark *ret)
{
	const struct dp_block *c;
	struct dp_mark x;
	uint64_t was;

	if (!slot || slot > DP_WATCHED || (unsigned int)dir > DP_DOWN || point > DP_MARK_OUT)
		return -ERANGE;
	c = &m->cell[DP_MARK_AT(slot, dir, point) + block % DP_BLOCKS];
	*ret = (struct dp_mark){ .block = block };
	was = __atomic_load_n(&c->block, __ATOMIC_ACQUIRE);
	if (was != block) /* older: no packet came since */
		return was < block ? 0 : -ENOENT;
	x = (struct dp_mark){ .block = block,
			      .packets = LOAD(c->packets) - LOAD(c->base_packets),
			      .bytes = LOAD(c->bytes) - LOAD(c->base_bytes),
			      .sum_ns = LOAD(c->sum_ns) - LOAD(c->base_sum_ns),
			      .first_ns = LOAD(c->first_ns) };
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (LOAD(c->block) != block) /* a newer one has taken the cell meanwhile */
		return -ENOENT;
	*ret = x;
	return 0;
}
