/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the world's tables by what is looked for in them. What is kept here follows from those
 * tables alone. */
#include "world.h"
#include "treaty/pure.h"

/* A number whose low bits tell keys apart. */
static uint32_t mixed(uint32_t key)
{
	key *= 0x9e3779b1u;
	return key ^ key >> 15;
}

static uint32_t hash_of(const ident_t *id)
{
	uint32_t h = 2166136261u;

	for (const char *p = id->s; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h;
}

static uint32_t first(const struct world_index *x, uint32_t hash)
{
	return x->head[hash & x->mask];
}

static void add(const struct world_index *x, uint32_t row, uint32_t hash)
{
	uint32_t *head = &x->head[hash & x->mask];

	x->next[row] = *head;
	*head = row + 1;
}

static void drop(const struct world_index *x, uint32_t row, uint32_t hash)
{
	uint32_t *at = &x->head[hash & x->mask];

	while (*at && *at != row + 1)
		at = &x->next[*at - 1];
	if (*at)
		*at = x->next[row];
}

static void put(const struct world_index *x, uint32_t row, uint32_t hash, bool comes)
{
	if (comes)
		add(x, row, hash);
	else
		drop(x, row, hash);
}

/* --- deals by their ids ------------------------------------------------------------------------
 */

static void put_id(const struct world_index *x, uint32_t row, const ident_t *id, bool comes)
{
	if (!ident_empty(*id))
		put(x, row, hash_of(id), comes);
}

void index_deal(struct world *w, const struct deal *d, const ident_t *old_lineage)
{
	uint32_t row = (uint32_t)(d - w->deal);

	if (!old_lineage) {
		put_id(&w->by_negotiation, row, &d->negotiation, true);
		return;
	}
	if (ident_eq(*old_lineage, d->lineage))
		return;
	put_id(&w->by_lineage, row, old_lineage, false);
	put_id(&w->by_lineage, row, &d->lineage, true);
}

void index_forget(struct world *w, const struct deal *d)
{
	uint32_t row = (uint32_t)(d - w->deal);

	put_id(&w->by_negotiation, row, &d->negotiation, false);
	put_id(&w->by_lineage, row, &d->lineage, false);
}

struct deal *world_deal(const struct world *w, const ident_t *id)
{
	const struct world_index *n = &w->by_negotiation, *l = &w->by_lineage;
	uint32_t hash = hash_of(id);

	if (ident_empty(*id))
		return NULL;
	for (uint32_t i = first(n, hash); i; i = n->next[i - 1])
		if (ident_eq(w->deal[i - 1].negotiation, *id))
			return &w->deal[i - 1];
	for (uint32_t i = first(l, hash); i; i = l->next[i - 1])
		if (ident_eq(w->deal[i - 1].lineage, *id))
			return &w->deal[i - 1];
	return NULL;
}

/* --- deals by what their briefs say ------------------------------------------------------------
 */

static bool labelled(const struct deal_brief *b)
{
	return b->cur.is && b->life != LIFE_TERMINATED;
}

static void row_put(struct row_set *x, uint32_t row, bool comes)
{
	uint32_t *at = &x->place[row], last;

	if (comes) {
		x->row[x->n++] = row;
		*at = x->n;
		return;
	}
	last = x->row[--x->n];
	x->row[*at - 1] = last;
	x->place[last] = *at;
	*at = 0;
}

static void label_use(struct world *w, uint32_t label, bool uses, bool comes)
{
	if (uses && label && label <= LABEL_MAX)
		w->label_uses[label] += comes ? 1 : UINT32_MAX;
}

/* After the end the label stays taken until its steps are gone, and so before anybody has ordered
 * that. */
static void label_uses(struct world *w, const struct deal_brief *b, bool comes)
{
	bool gone = b->life == LIFE_TERMINATED && !b->has_order && !b->has_plan;

	label_use(w, b->cur.label, b->cur.is && !gone, comes);
	label_use(w, b->old_label, !gone, comes);
	label_use(w, b->applied.label, b->applied.is, comes);
}

bool world_label_used(const struct world *w, uint32_t label)
{
	return label <= LABEL_MAX && w->label_uses[label];
}

void index_brief(struct world *w, uint32_t row, bool comes)
{
	const struct deal_brief *b = &w->brief[row];

	if (labelled(b))
		put(&w->by_label, row, mixed(b->cur.label), comes);
	if (b->applied.is)
		put(&w->by_applied, row, mixed(b->applied.label), comes);
	if (b->rule)
		put(&w->by_rule, row, mixed(b->rule), comes);
	if (b->next.is)
		row_put(&w->choosing, row, comes);
	label_uses(w, b, comes);
}

/* Several may have it while one replaces the other: the last row. */
struct deal *world_deal_by_label(const struct world *w, uint32_t label)
{
	const struct world_index *x = &w->by_label;
	uint32_t last = 0;

	for (uint32_t i = first(x, mixed(label)); i; i = x->next[i - 1])
		if (w->brief[i - 1].cur.label == label && i > last)
			last = i;
	return last ? &w->deal[last - 1] : NULL;
}

bool world_label_taken(const struct world *w, const struct deal *own, uint32_t label)
{
	const struct world_index *c = &w->by_label, *a = &w->by_applied;
	uint32_t hash = mixed(label);

	for (uint32_t i = first(c, hash); i; i = c->next[i - 1])
		if (w->brief[i - 1].cur.label == label && &w->deal[i - 1] != own)
			return true;
	for (uint32_t i = first(a, hash); i; i = a->next[i - 1])
		if (w->brief[i - 1].applied.label == label && &w->deal[i - 1] != own)
			return true;
	return false;
}

bool world_rule_taken(const struct world *w, const struct deal *own, uint32_t id)
{
	const struct world_index *x = &w->by_rule;

	for (uint32_t i = first(x, mixed(id)); i; i = x->next[i - 1])
		if (w->brief[i - 1].rule == id && &w->deal[i - 1] != own)
			return true;
	return false;
}

/* --- wanted steps ------------------------------------------------------------------------------
 */

void index_wanted(struct world *w, uint32_t row, bool comes)
{
	put(&w->by_object, row, mixed(step_object_key(&w->wanted[row].step)), comes);
}

const struct wanted *world_wanted(const struct world *w, const struct step *s)
{
	const struct world_index *x = &w->by_object;

	for (uint32_t i = first(x, mixed(step_object_key(s))); i; i = x->next[i - 1])
		if (step_same_object(&w->wanted[i - 1].step, s))
			return &w->wanted[i - 1];
	return NULL;
}

/* --- who may go --------------------------------------------------------------------------------
 */

#define LAPSED_MS (10 * 60 * 1000) /* so long after its menu's end nobody comes back for it */

/* What ended in this very turn (the clock stands still in it) has yet to be heard of. */
bool world_over(const struct world *w, const struct deal *d, wall_t now)
{
	struct step line = { .kind = STEP_LABEL_SET };
	const struct wanted *own;

	if (d->changed.ms >= now.ms)
		return false;
	if (d->life != LIFE_TERMINATED)
		return d->operator_side && !d->last_rev && !d->has_accept && d->has_quote &&
		       now.ms - d->quote.valid_until.ms > LAPSED_MS;
	if (d->has_order || d->has_plan || d->applied.rev || deal_credit_open(d))
		return false;
	for (uint32_t i = 0; i < w->n_debts; i++)
		if (ident_eq(w->debt[i].lineage, d->lineage))
			return false;
	/* An edge's own steps have no order: its label is wanted until it is removed. */
	line.label = d->cur.label;
	own = d->cur.rev && !d->operator_side ? world_wanted(w, &line) : NULL;
	return !own || own->step.kind != STEP_LABEL_SET;
}

struct deal *world_room(const struct world *w, wall_t now)
{
	if (w->n_deals < w->max_deals)
		return &w->deal[w->n_deals];
	for (uint32_t i = 0; i < w->n_deals; i++) {
		struct deal *d = &w->deal[(w->hand + i) % w->n_deals];

		if (world_over(w, d, now))
			return d;
	}
	return NULL;
}
