/* SPDX-License-Identifier: Apache-2.0 */
/* How full the tables are that steps fill, and how often one was full. */
#include "enforcer_int.h"

#include <errno.h>

void table_missed(struct enforcer_node *n, const struct step *s)
{
	struct device *d = s->kind == STEP_CLASS_SET ? device_find(n, s->device.s) : NULL;

	n->full++;
	switch (s->kind) {
	case STEP_LABEL_SET:
		n->full_of[TABLE_SOURCES]++;
		break; /* lines are there for all labels */
	case STEP_RULE_SET: n->full_of[s->rule.cgroup ? TABLE_LOCALS : TABLE_RULES]++; break;
	default: break;
	}
	if (d)
		d->full++;
}

static void put(struct enforcer_tables *p, enum table_kind table, uint32_t used, uint32_t max,
		uint64_t failed)
{
	p->table[p->n++] = (struct table_use){
		.table = (uint8_t)table, .used = used, .max = max, .failed = failed
	};
}

/* Labels that steps may name here. */
static uint32_t labels_max(const struct enforcer_node *n, const struct dp_features *f)
{
	const struct cfg_range *r = &n->c->node.labels;
	uint32_t high = r->high < f->labels ? r->high : f->labels - 1;

	return high < r->low ? 0 : high - r->low + 1;
}

static void put_rest(struct enforcer_node *n, const struct dp_features *f,
		     struct enforcer_tables *p)
{
	struct dp_cache_count cache = { 0 };
	uint32_t locals = 0;
	struct dp_used u;

	dp_used_get(n->dp, &u);
	dp_cache_get(n->dp, &cache);
	put(p, TABLE_WATCHED, u.watched, f->watched,
	    n->labels > u.watched ? n->labels - u.watched : 0);
	put(p, TABLE_CELLS, u.cells, u.cells_max, u.cells_missed);
	put(p, TABLE_FLOWS, u.flows, f->flows, cache.evicted + cache.busy);
	for (uint32_t i = 0; (i = dp_local_next(n->dp, i));)
		locals++;
	put(p, TABLE_LOCALS, locals, DP_LOCALS, n->full_of[TABLE_LOCALS]);
}

int show_tables(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	struct enforcer_node *n = node_of(ctx, e);
	struct enforcer_tables *p = rep;
	struct dp_features f;

	(void)req;
	(void)ret_fd;
	if (!n)
		return -EOPNOTSUPP;
	dp_features(n->dp, &f);
	put(p, TABLE_LABELS, n->labels, labels_max(n, &f), n->full_of[TABLE_LABELS]);
	put(p, TABLE_SOURCES, n->sources, DP_BINDS, n->full_of[TABLE_SOURCES]);
	put(p, TABLE_CEILINGS, n->ceilings, DP_CEILINGS - 1, 0);
	put(p, TABLE_RULES, (uint32_t)dp_rules_get(n->dp, NULL, 0), f.rules,
	    n->full_of[TABLE_RULES]);
	for (uint32_t i = 0; i < n->n_dev; i++) {
		const struct device *d = &n->dev[i];

		if (!d->shaped)
			continue;
		put(p, TABLE_CLASSES, d->n_classes, HTB_SLOTS_MAX, d->full);
		str_cut(p->table[p->n - 1].device.s, d->cfg->name);
	}
	put_rest(n, &f, p);
	return 0;
}
