/* SPDX-License-Identifier: Apache-2.0 */
#include "signer_table.h"

#include <errno.h>

enum { SLOTS_FIRST = 1024 };

void table_free(struct sign_table *t)
{
	free(t->slot);
	*t = (struct sign_table){ 0 };
}

/* The lineage's slot, or the free one where it belongs. FNV-1a: a flood of chosen lineages could
 * lengthen the search, but whoever may ask us to sign has simpler ways to waste our time. */
static struct slot *slot_of(const struct sign_table *t, uint32_t kind, const uint8_t *lineage)
{
	uint64_t h = 0xcbf29ce484222325 ^ kind;
	size_t i;

	for (size_t k = 0; k < SIGN_LINEAGE_LEN; k++)
		h = (h ^ lineage[k]) * 0x100000001b3;
	for (i = h % t->slots; t->slot[i].used; i = (i + 1) % t->slots)
		if (t->slot[i].kind == kind &&
		    !memcmp(t->slot[i].lineage, lineage, SIGN_LINEAGE_LEN))
			break;
	return &t->slot[i];
}

static bool goes(const struct slot *x, uint32_t before)
{
	return !x->used || (x->named && x->named < before);
}

/* From one table into another that has room for all of them. */
static void copy(const struct sign_table *from, uint32_t before, struct sign_table *to)
{
	for (size_t i = 0; i < from->slots; i++) {
		const struct slot *x = &from->slot[i];

		if (goes(x, before))
			continue;
		*slot_of(to, x->kind, x->lineage) = *x;
		to->n++;
		to->kept += !x->named;
	}
}

static int table_of(struct sign_table *ret, uint32_t n)
{
	size_t want = SLOTS_FIRST;

	while (n >= want / 2 && want < 2 * (size_t)SIGNER_LINEAGES)
		want *= 2;
	*ret = (struct sign_table){ .slot = calloc(want, sizeof(struct slot)), .slots = want };
	return ret->slot ? 0 : -ENOMEM;
}

int table_reserve(struct sign_table *t, uint32_t more)
{
	struct sign_table now;
	int r;

	if (t->slot && (t->n + more < t->slots / 2 || t->slots == 2 * (size_t)SIGNER_LINEAGES))
		return 0;
	r = table_of(&now, t->n + more);
	if (r)
		return r;
	copy(t, 0, &now);
	table_free(t);
	*t = now;
	return 0;
}

const struct slot *table_find(const struct sign_table *t, uint32_t kind,
			      const uint8_t lineage[SIGN_LINEAGE_LEN])
{
	const struct slot *x = slot_of(t, kind, lineage);

	return x->used ? x : NULL;
}

struct slot *table_make(struct sign_table *t, uint32_t kind,
			const uint8_t lineage[SIGN_LINEAGE_LEN], uint32_t named)
{
	struct slot *x = slot_of(t, kind, lineage);

	if (!x->used) {
		t->n++;
		t->kept++;
		x->used = true;
		x->kind = (uint16_t)kind;
		memcpy(x->lineage, lineage, SIGN_LINEAGE_LEN);
	}
	if (named && !x->named) {
		t->kept--;
		x->named = named;
	}
	return x;
}

/* By halves of what a time can be: a few passes over numbers that stand side by side. */
int table_middle(const struct sign_table *t, uint32_t *ret)
{
	uint32_t n = t->n - t->kept, low = 0, high = UINT32_MAX, many = 0;
	uint32_t *time = calloc(n ? n : 1, sizeof(*time));

	if (!time)
		return -ENOMEM;
	for (size_t i = 0; i < t->slots; i++)
		if (t->slot[i].used && t->slot[i].named)
			time[many++] = t->slot[i].named;
	while (many && low < high) {
		uint32_t half = low + (high - low) / 2, below = 0;

		for (uint32_t i = 0; i < many; i++)
			below += time[i] <= half;
		if (below > many / 2)
			high = half;
		else
			low = half + 1;
	}
	free(time);
	*ret = many ? low : 0;
	return 0;
}

int table_without(const struct sign_table *t, uint32_t before, struct sign_table *ret)
{
	uint32_t n = 0;
	int r;

	for (size_t i = 0; i < t->slots; i++)
		n += !goes(&t->slot[i], before);
	r = table_of(ret, n);
	if (!r)
		copy(t, before, ret);
	return r;
}
