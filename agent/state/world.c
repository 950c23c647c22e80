/* SPDX-License-Identifier: Apache-2.0 */
/* Storage of the world: sized from configuration, nothing grows. */
#include "world.h"

#include <errno.h>

static int index_new(struct world_index *x, uint32_t max)
{
	uint32_t heads = 1;

	while (heads < max)
		heads *= 2;
	x->mask = heads - 1;
	x->head = calloc(heads, sizeof(*x->head));
	x->next = calloc(max, sizeof(*x->next));
	return x->head && x->next ? 0 : -ENOMEM;
}

static void index_free(struct world_index *x)
{
	free(x->head);
	free(x->next);
}

static int rows_new(struct row_set *x, uint32_t n)
{
	x->row = calloc(n, sizeof(*x->row));
	x->place = calloc(n, sizeof(*x->place));
	return x->row && x->place ? 0 : -ENOMEM;
}

int world_new(struct world **ret, uint32_t max_deals, uint32_t max_wanted)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->deal = calloc(max_deals, sizeof(*w->deal));
	w->brief = calloc(max_deals, sizeof(*w->brief));
	w->wanted = calloc(max_wanted, sizeof(*w->wanted));
	if (!w->deal || !w->brief || !w->wanted || index_new(&w->by_negotiation, max_deals) ||
	    index_new(&w->by_lineage, max_deals) || index_new(&w->by_label, max_deals) ||
	    index_new(&w->by_applied, max_deals) || index_new(&w->by_rule, max_deals) ||
	    index_new(&w->by_object, max_wanted) || rows_new(&w->choosing, max_deals) ||
	    !(w->label_uses = calloc(LABEL_MAX + 1, sizeof(*w->label_uses)))) {
		world_free(w);
		return -ENOMEM;
	}
	w->max_deals = max_deals;
	w->max_wanted = max_wanted;
	*ret = w;
	return 0;
}

struct world *world_free(struct world *w)
{
	if (!w)
		return NULL;
	free(w->deal);
	free(w->brief);
	free(w->wanted);
	index_free(&w->by_negotiation);
	index_free(&w->by_lineage);
	index_free(&w->by_label);
	index_free(&w->by_applied);
	index_free(&w->by_rule);
	index_free(&w->by_object);
	free(w->choosing.row);
	free(w->choosing.place);
	free(w->label_uses);
	free(w);
	return NULL;
}

int world_compare(const struct world *a, const struct world *b)
{
	if (a->n_deals != b->n_deals || a->n_wanted != b->n_wanted || a->seq != b->seq ||
	    a->committed != b->committed || a->n_debts != b->n_debts || a->n_acts != b->n_acts)
		return 1;
	return memcmp(a->deal, b->deal, a->n_deals * sizeof(*a->deal)) ||
	       memcmp(a->wanted, b->wanted, a->n_wanted * sizeof(*a->wanted)) ||
	       memcmp(a->key, b->key, sizeof(a->key)) || a->ledger_frozen != b->ledger_frozen ||
	       memcmp(a->debt, b->debt, a->n_debts * sizeof(*a->debt)) ||
	       a->disclosure_rev != b->disclosure_rev || !ident_eq(a->disclosure, b->disclosure) ||
	       memcmp(a->act, b->act, a->n_acts * sizeof(*a->act)) ||
	       memcmp(&a->spur, &b->spur, sizeof(a->spur));
}
