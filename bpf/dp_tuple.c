/* SPDX-License-Identifier: Apache-2.0 */
/* dp_tuple.c - turns rules into the tables of the programs' tuple-space search.
 *
 * Rules with the same mask share a tuple, one hash probe for all of them. A port range becomes
 * entries for the aligned blocks that make it up, like prefixes. What a walk costs is bounded by
 * tuples x (1 + longest chain); when the rules' own masks make too many tuples, coarser masks are
 * tried (a coarser mask only makes chains longer: a node's rule is compared as a whole), and the
 * level with the lowest bound is taken. */
#include "dp_internal.h"

#define LEVELS     5
#define MASK_SLOTS 1024 /* open addressing over DP_TUPLES masks */

/* Per level: prefix lengths are cut to multiples of `step`, destination port blocks to multiples of
 * `port`; the last two say whether DSCP and source port take part. */
static const struct level {
	uint8_t step, port;
	bool dscp, sport;
} levels[LEVELS] = { { 1, 1, true, true },
		     { 4, 4, true, true },
		     { 8, 8, false, false },
		     { 16, 16, false, false },
		     { 32, 16, false, false } };

struct build {
	const struct dp *d;
	const struct dp_rule_line *rule;
	uint32_t n, level;
	struct dp_tuple tuple[DP_TUPLES];
	uint16_t slot[MASK_SLOTS]; /* tuple + 1 */
	uint32_t tuples, nodes, longest;
	struct dp_node *node;
	struct dp_head *head;
	uint32_t *fill; /* nodes behind each head */
};

static void build_free(struct build **bp)
{
	struct build *b = *bp;

	if (!b)
		return;
	free(b->node);
	free(b->head);
	free(b->fill);
	free(b);
}

static struct build *build_new(const struct dp *d, const struct dp_rule_line *rule, uint32_t n,
			       uint32_t level)
{
	cleanup(build_free) struct build *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->d = d;
	b->rule = rule;
	b->n = n;
	b->level = level;
	b->node = calloc((size_t)d->rules * DP_NODES_PER_RULE, sizeof(*b->node));
	b->head = calloc(d->heads, sizeof(*b->head));
	b->fill = calloc(d->heads, sizeof(*b->fill));
	return b->node && b->head && b->fill ? TAKE_PTR(b) : NULL;
}

/* As key_hash() of prog_flow.h. */
static uint64_t key_hash(const struct dp *d, const struct dp_flow_key *k)
{
	uint32_t w[DP_KEY_WORDS];
	uint64_t h = 0;

	memcpy(w, k, sizeof(w));
	for (int i = 0; i < DP_KEY_WORDS; i += 2)
		h += (uint64_t)(w[i] + d->key[i]) * (w[i + 1] + d->key[i + 1]);
	return h * ((uint64_t)d->key[12] << 32 | d->key[13] | 1);
}

/* The mask's first bits, cut to a multiple of `step`. */
static void prefix_cut(const __u64 mask[2], unsigned int step, __u64 to[2])
{
	unsigned int len;
	uint8_t m[16] = { 0 };

	if (step == 1) {
		memcpy(to, mask, 16);
		return;
	}
	len = (unsigned int)(__builtin_popcountll(mask[0]) + __builtin_popcountll(mask[1]));
	len -= len % step;
	memset(m, 0xff, len / 8);
	if (len % 8)
		m[len / 8] = (uint8_t)(0xff00u >> len % 8);
	memcpy(to, m, 16);
}

static void rule_mask(const struct build *b, const struct dp_rule_line *r, unsigned int port_len,
		      struct dp_flow_key *m)
{
	const struct level *l = &levels[b->level];

	memset(m, 0, sizeof(*m));
	prefix_cut(r->src_mask, l->step, m->src);
	prefix_cut(r->dst_mask, l->step, m->dst);
	m->dport = (uint16_t)(0xffff0000u >> port_len);
	if (l->sport && r->sport_min == r->sport_max)
		m->sport = 0xffff;
	if (r->proto)
		m->proto = 0xff;
	if (l->dscp && r->dscp != 0xff)
		m->dscp = 0xff;
	if (r->family)
		m->family = 0xff;
	if (r->label_in)
		m->label_in = UINT32_MAX;
}

static int tuple_find(struct build *b, const struct dp_flow_key *mask)
{
	uint64_t q[DP_KEY_WORDS / 2], h = 0;
	uint32_t at;

	memcpy(q, mask, sizeof(q));
	for (int i = 0; i < DP_KEY_WORDS / 2; i++)
		h = (h ^ q[i]) * 0x9e3779b97f4a7c15u;
	for (at = (uint32_t)(h >> 40) % MASK_SLOTS; b->slot[at]; at = (at + 1) % MASK_SLOTS)
		if (!memcmp(b->tuple[b->slot[at] - 1].mask, q, sizeof(q)))
			return b->slot[at] - 1;
	if (b->tuples == DP_TUPLES)
		return -E2BIG;
	memcpy(b->tuple[b->tuples].mask, q, sizeof(q));
	b->tuple[b->tuples].id = b->tuples + 1;
	b->slot[at] = (uint16_t)(b->tuples + 1);
	return (int)b->tuples++;
}

/* Rules come worst first, each to the front: chains and `best` end up in match order. */
static int node_add(struct build *b, uint32_t rule, uint32_t port, unsigned int port_len)
{
	const struct dp_rule_line *r = &b->rule[rule];
	struct dp_flow_key k = { 0 }, m;
	uint32_t head;
	uint64_t h;
	int t;

	rule_mask(b, r, port_len, &m);
	t = tuple_find(b, &m);
	if (t < 0 || b->nodes >= b->d->rules * DP_NODES_PER_RULE)
		return -E2BIG;
	for (int i = 0; i < 2; i++) {
		k.src[i] = r->src[i] & m.src[i];
		k.dst[i] = r->dst[i] & m.dst[i];
	}
	k.sport = r->sport_min & m.sport;
	k.dport = (uint16_t)(port & m.dport);
	k.proto = r->proto & m.proto;
	k.dscp = r->dscp & m.dscp;
	k.family = r->family & m.family;
	k.label_in = r->label_in & m.label_in;
	k.tuple = b->tuple[t].id;
	h = key_hash(b->d, &k);
	head = (uint32_t)(h >> 32) & (b->d->heads - 1);
	b->node[b->nodes] = (struct dp_node){ .rule = rule,
					      .next = b->head[head].first,
					      .tag = (uint32_t)(h >> 16) };
	b->head[head].first = ++b->nodes;
	b->tuple[t].best = rule;
	if (++b->fill[head] > b->longest)
		b->longest = b->fill[head];
	return 0;
}

/* A node for each aligned block of the destination port range, cut to the level's lengths. */
static int rule_add(struct build *b, uint32_t rule)
{
	const struct dp_rule_line *r = &b->rule[rule];
	unsigned int step = levels[b->level].port;
	uint32_t at = r->dport_min, last = UINT32_MAX;

	while (at <= r->dport_max) {
		unsigned int bits = at ? (unsigned int)__builtin_ctz(at) : 16, len;
		uint32_t cut;
		int err;

		while (at + (1u << bits) - 1 > r->dport_max)
			bits--;
		len = (16 - bits) / step * step;
		cut = (at & (0xffff0000u >> len) & 0xffff) << 8 | len;
		err = cut == last ? 0 : node_add(b, rule, at, len);
		if (err)
			return err;
		last = cut;
		at += 1u << bits;
	}
	return 0;
}

static int build_run(struct build *b)
{
	for (uint32_t i = b->n; i-- > 0;) {
		int err = rule_add(b, i);

		if (err)
			return err;
	}
	return 0;
}

static uint64_t bound(const struct build *b)
{
	return (uint64_t)b->tuples * (1 + b->longest);
}

static int by_best(const void *pa, const void *pb)
{
	const struct dp_tuple *a = pa, *b = pb;

	return (a->best > b->best) - (a->best < b->best);
}

/* Number and flag in one word: a program that reads it has both of the same table. */
static uint32_t generation_next(const struct dp *d, const struct build *b)
{
	uint32_t next = (d->ctl->generation + 1) & ~DP_GEN_LABEL_IN;

	for (uint32_t i = 0; i < b->n; i++)
		if (b->rule[i].label_in)
			return next | DP_GEN_LABEL_IN;
	return next;
}

static int tables_write(struct dp *d, struct build *b, struct err *e)
{
	uint32_t next = generation_next(d, b), copy = next & 1;
	struct dp_tables *t = &d->table;
	int r = dp_grace_wait(d, "rules", e);

	if (r < 0)
		return r;
	qsort(b->tuple, b->tuples, sizeof(b->tuple[0]), by_best);
	for (uint32_t i = b->tuples; i < DP_TUPLES; i++)
		b->tuple[i].best = UINT32_MAX;
	if (b->n)
		memcpy(t->rule + (size_t)copy * d->rules, b->rule, b->n * sizeof(*b->rule));
	memcpy(t->node + (size_t)copy * d->rules * DP_NODES_PER_RULE, b->node,
	       b->nodes * sizeof(*b->node));
	memcpy(t->first + (size_t)copy * d->heads, b->head, d->heads * sizeof(*b->head));
	memcpy(t->tuple + copy * DP_TUPLES, b->tuple, sizeof(b->tuple));
	t->head[copy] = (struct dp_table){ b->n, b->tuples, b->longest, b->level };
	/* In this order: no number that a program went by is given again after a crash in between.
	 */
	__atomic_store_n(&d->ctl->generation, next, __ATOMIC_RELEASE);
	__atomic_store_n(&d->skel->bss->seek.generation, next, __ATOMIC_RELEASE);
	dp_grace_begin(d);
	return 0;
}

int dp_tables_set(struct dp *d, const struct dp_rule_line *rule, uint32_t n, enum refusal *no,
		  struct err *e)
{
	cleanup(build_free) struct build *best = NULL;

	for (uint32_t level = 0; level < LEVELS; level++) {
		cleanup(build_free) struct build *b = build_new(d, rule, n, level);

		if (!b)
			return err_set(e, -ENOMEM, "out of memory");
		if (build_run(b) || (best && bound(best) <= bound(b)))
			continue;
		build_free(&best);
		best = TAKE_PTR(b);
		/* One mask cannot become fewer: a coarser one only makes chains longer. */
		if (best->tuples <= 1 || (best->tuples <= 8 && best->longest <= 8))
			break;
	}
	if (!best || bound(best) > DP_WALK)
		return dp_refuse(no, e, REFUSE_MAP_FULL,
				 "rules: too many different masks or port ranges (%d masks, %u "
				 "entries)",
				 DP_TUPLES, d->rules * DP_NODES_PER_RULE);
	return tables_write(d, best, e);
}

void dp_rules_shape(const struct dp *d, struct dp_table *ret)
{
	*ret = d->table.head[d->ctl->generation & 1];
}
