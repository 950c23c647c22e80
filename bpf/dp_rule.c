/* SPDX-License-Identifier: Apache-2.0 */
/* dp_rule.c - the classifier's rules: checked, compiled, put in order; dp_tuple.c makes the tables.
 */
#include "dp_internal.h"

bool dp_prefix_host_bits(const struct dp_prefix *p, unsigned int bits)
{
	for (unsigned int i = p->len; i < bits; i++)
		if (p->addr[i / 8] & (0x80 >> i % 8))
			return true;
	return false;
}

static int prefix_check(const struct dp_rule *r, const struct dp_prefix *p, const char *name,
			enum refusal *no, struct err *e)
{
	unsigned int bits = r->family == 4 ? 32 : r->family == 6 ? 128 : 0;

	if (p->len > bits)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "rule %u: %s: prefix length above %u", r->id, name, bits);
	if (dp_prefix_host_bits(p, bits))
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule %u: %s: host bits are set",
				 r->id, name);
	return 0;
}

static int rule_check(const struct dp *d, const struct dp_rule *r, enum refusal *no, struct err *e)
{
	int ret;

	if (!r->id)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule: id is 0");
	if (r->family != 0 && r->family != 4 && r->family != 6)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule %u: family: not 4, 6 or 0",
				 r->id);
	if (r->dscp > 63 && r->dscp != DP_DSCP_ANY)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule %u: dscp: above 63", r->id);
	if (r->sport_min > r->sport_max || r->dport_min > r->dport_max)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED, "rule %u: ports: min above max",
				 r->id);
	if ((unsigned int)r->dir > DP_DOWN || r->class_id >= DP_CLASSES)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "rule %u: direction: 0 or 1, class: 0..%u", r->id, DP_CLASSES - 1);
	if (r->label >= d->labels)
		return dp_refuse(no, e, REFUSE_LABEL_RANGE, "rule %u: label: above %u", r->id,
				 d->labels - 1);
	if (r->label_in > DP_LABEL_MAX)
		return dp_refuse(no, e, REFUSE_LABEL_RANGE, "rule %u: label_in: above %u", r->id,
				 DP_LABEL_MAX);
	if (r->label_in && r->family == 4)
		return dp_refuse(no, e, REFUSE_BODY_MALFORMED,
				 "rule %u: label_in: IPv4 packets carry no label", r->id);
	ret = prefix_check(r, &r->src, "src", no, e);
	return ret < 0 ? ret : prefix_check(r, &r->dst, "dst", no, e);
}

/* IPv4 as ::ffff:a.b.c.d, like the programs' flow key. */
void dp_prefix_compile(uint8_t family, const struct dp_prefix *p, __u64 addr[2], __u64 mask[2])
{
	uint8_t a[16] = { 0 }, m[16] = { 0 };
	unsigned int bits = p->len;

	if (bits && family == 4) {
		a[10] = a[11] = 0xff;
		memcpy(a + 12, p->addr, 4);
		bits += 96;
	} else if (bits) {
		memcpy(a, p->addr, 16);
	}
	for (unsigned int i = 0; i < bits; i++)
		m[i / 8] |= (uint8_t)(0x80 >> i % 8);
	memcpy(addr, a, 16);
	memcpy(mask, m, 16);
}

void dp_prefix_restore(uint8_t family, const __u64 addr[2], const __u64 mask[2],
		       struct dp_prefix *p)
{
	unsigned int bits =
		(unsigned int)(__builtin_popcountll(mask[0]) + __builtin_popcountll(mask[1]));
	uint8_t a[16];

	memcpy(a, addr, 16);
	if (bits && family == 4) {
		bits -= 96;
		memcpy(p->addr, a + 12, 4);
	} else {
		memcpy(p->addr, a, 16);
	}
	p->len = (uint8_t)bits;
}

static void rule_compile(struct dp_rule_line *l, const struct dp_rule *r)
{
	memset(l, 0, sizeof(*l));
	dp_prefix_compile(r->family, &r->src, l->src, l->src_mask);
	dp_prefix_compile(r->family, &r->dst, l->dst, l->dst_mask);
	l->sport_min = r->sport_min;
	l->sport_max = r->sport_max ? r->sport_max : 0xffff;
	l->dport_min = r->dport_min;
	l->dport_max = r->dport_max ? r->dport_max : 0xffff;
	l->family = r->family;
	l->proto = r->proto;
	l->dscp = r->dscp;
	l->dir = (__u8)r->dir;
	l->label = r->label;
	l->id = r->id;
	l->prio = r->prio;
	l->class_id = r->class_id;
	l->label_in = r->label_in;
}

static void rule_restore(struct dp_rule *r, const struct dp_rule_line *l)
{
	memset(r, 0, sizeof(*r));
	dp_prefix_restore(l->family, l->src, l->src_mask, &r->src);
	dp_prefix_restore(l->family, l->dst, l->dst_mask, &r->dst);
	r->sport_min = l->sport_min;
	r->sport_max = l->sport_min || l->sport_max != 0xffff ? l->sport_max : 0;
	r->dport_min = l->dport_min;
	r->dport_max = l->dport_min || l->dport_max != 0xffff ? l->dport_max : 0;
	r->family = l->family;
	r->proto = l->proto;
	r->dscp = l->dscp;
	r->dir = l->dir;
	r->label = l->label;
	r->id = l->id;
	r->prio = l->prio;
	r->class_id = l->class_id;
	r->label_in = l->label_in;
}

static int by_prio(const void *pa, const void *pb)
{
	const struct dp_rule_line *a = pa, *b = pb;

	if (a->prio != b->prio)
		return a->prio < b->prio ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static int by_id(const void *pa, const void *pb)
{
	const struct dp_rule_line *a = pa, *b = pb;

	return (a->id > b->id) - (a->id < b->id);
}

/* Compiled rules, in match order; NULL with *ret set when one is refused. */
static struct dp_rule_line *lines_make(const struct dp *d, const struct dp_rule *r, size_t n,
				       int *ret, enum refusal *no, struct err *e)
{
	auto_free struct dp_rule_line *l = calloc(n ? n : 1, sizeof(*l));

	if (!l) {
		*ret = err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		*ret = rule_check(d, &r[i], no, e);
		if (*ret < 0)
			return NULL;
		rule_compile(&l[i], &r[i]);
	}
	qsort(l, n, sizeof(*l), by_id);
	for (size_t i = 1; i < n; i++)
		if (l[i].id == l[i - 1].id) {
			*ret = dp_refuse(no, e, REFUSE_DUPLICATE, "rule %u: given twice", l[i].id);
			return NULL;
		}
	qsort(l, n, sizeof(*l), by_prio);
	return TAKE_PTR(l);
}

int dp_rules_set(struct dp *d, const struct dp_rule *r, size_t n, enum refusal *no, struct err *e)
{
	auto_free struct dp_rule_line *l = NULL;
	int ret = 0;

	if (n > d->rules)
		return dp_refuse(no, e, REFUSE_MAP_FULL, "rules: %zu, the table holds %u", n,
				 d->rules);
	l = lines_make(d, r, n, &ret, no, e);
	return l ? dp_tables_set(d, l, (uint32_t)n, no, e) : ret;
}

static const struct dp_rule_line *live_rules(const struct dp *d, size_t *n)
{
	uint32_t copy = d->ctl->generation & 1;

	*n = d->table.head[copy].n;
	return d->table.rule + (size_t)copy * d->rules;
}

size_t dp_rules_get(struct dp *d, struct dp_rule *r, size_t cap)
{
	size_t n;
	const struct dp_rule_line *l = live_rules(d, &n);

	for (size_t i = 0; i < n && i < cap; i++)
		rule_restore(&r[i], &l[i]);
	return n;
}

int dp_rule_get(struct dp *d, uint32_t id, struct dp_rule *ret)
{
	size_t n;
	const struct dp_rule_line *l = live_rules(d, &n);

	for (size_t i = 0; i < n; i++) {
		if (l[i].id != id)
			continue;
		rule_restore(ret, &l[i]);
		return 0;
	}
	return -ENOENT;
}

/* The rules that a flight of edits speaks of, by id. */
struct touched {
	uint32_t id;
	bool is;                  /* stands in the table after the edits so far */
	struct dp_rule_line line; /* is */
};

struct flight {
	struct touched *t;
	size_t n;
	uint64_t may; /* a bit for each id: most others need no search */
};

static uint64_t bit_of(uint32_t id)
{
	return 1ull << (id * 0x9e3779b1u >> 26);
}

static int by_touched(const void *pa, const void *pb)
{
	const struct touched *a = pa, *b = pb;

	return (a->id > b->id) - (a->id < b->id);
}

static struct touched *touched_of(const struct flight *f, uint32_t id)
{
	const struct touched key = { .id = id };

	if (!(f->may & bit_of(id)))
		return NULL;
	return bsearch(&key, f->t, f->n, sizeof(key), by_touched);
}

/* Each id of the edits once, with the line that stands now: one look through the table for all. */
static int flight_make(struct flight *f, const struct dp_rule_edit *ed, size_t count,
		       const struct dp_rule_line *live, size_t n, struct err *e)
{
	size_t k = 0;

	f->t = calloc(count ? count : 1, sizeof(*f->t));
	if (!f->t)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		f->t[i].id = ed[i].rule.id;
		f->may |= bit_of(ed[i].rule.id);
	}
	qsort(f->t, count, sizeof(*f->t), by_touched);
	for (size_t i = 0; i < count; i++)
		if (!k || f->t[k - 1].id != f->t[i].id)
			f->t[k++] = f->t[i];
	f->n = k;
	for (size_t i = 0; i < n; i++) {
		struct touched *t = touched_of(f, live[i].id);

		if (!t)
			continue;
		t->is = true;
		t->line = live[i];
	}
	return 0;
}

/* One edit; n: rules of the whole table. */
static int edit_one(const struct dp *d, struct dp_rule_edit *ed, struct touched *t, size_t *n,
		    enum refusal *no, struct err *e)
{
	struct dp_rule_line want;
	int ret;

	ed->had = t->is;
	ed->changed = ed->had;
	if (ed->del) {
		*n -= t->is;
		t->is = false;
		return 0;
	}
	ret = rule_check(d, &ed->rule, no, e);
	if (ret < 0)
		return ret;
	if (!ed->had && *n >= d->rules)
		return dp_refuse(no, e, REFUSE_MAP_FULL, "rules: %zu, the table holds %u", *n + 1,
				 d->rules);
	rule_compile(&want, &ed->rule);
	ed->changed = !ed->had || memcmp(&t->line, &want, sizeof(want)) != 0;
	t->line = want;
	t->is = true;
	*n += !ed->had;
	return 0;
}

/* The n lines that stand after the flight, in match order: the live ones are, so only those that it
 * touched are sorted, and put between the rest. */
static struct dp_rule_line *lines_after(const struct flight *f, const struct dp_rule_line *live,
					size_t n_live, size_t n)
{
	auto_free struct dp_rule_line *l = calloc(n + 1, sizeof(*l)),
				      *in = calloc(f->n + 1, sizeof(*in));
	size_t k = 0, at = 0, to = 0;

	if (!l || !in)
		return NULL;
	for (size_t i = 0; i < f->n; i++)
		if (f->t[i].is)
			in[k++] = f->t[i].line;
	qsort(in, k, sizeof(*in), by_prio);
	for (size_t i = 0; i < n_live; i++) {
		if (touched_of(f, live[i].id))
			continue;
		while (at < k && by_prio(&in[at], &live[i]) < 0)
			l[to++] = in[at++];
		l[to++] = live[i];
	}
	while (at < k)
		l[to++] = in[at++];
	return TAKE_PTR(l);
}

int dp_rules_edit(struct dp *d, struct dp_rule_edit *ed, size_t count, bool dry, enum refusal *no,
		  struct err *e)
{
	size_t n_live, n;
	const struct dp_rule_line *live = live_rules(d, &n_live);
	auto_free struct touched *all = NULL;
	auto_free struct dp_rule_line *l = NULL;
	struct flight f = { 0 };
	bool changed = false;
	int ret = flight_make(&f, ed, count, live, n_live, e);

	all = f.t;
	n = n_live;
	for (size_t i = 0; !ret && i < count; i++) {
		ret = edit_one(d, &ed[i], touched_of(&f, ed[i].rule.id), &n, no, e);
		changed = changed || ed[i].changed;
	}
	if (ret || dry || !changed)
		return ret;
	l = lines_after(&f, live, n_live, n);
	return l ? dp_tables_set(d, l, (uint32_t)n, no, e) : err_set(e, -ENOMEM, "out of memory");
}

int dp_rule_put(struct dp *d, const struct dp_rule *r, enum refusal *no, struct err *e)
{
	struct dp_rule_edit ed = { .rule = *r };

	return dp_rules_edit(d, &ed, 1, false, no, e);
}

int dp_rule_del(struct dp *d, uint32_t id, enum refusal *no, struct err *e)
{
	struct dp_rule_edit ed = { .rule.id = id, .del = true };

	return dp_rules_edit(d, &ed, 1, false, no, e);
}
