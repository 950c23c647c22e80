/* SPDX-License-Identifier: Apache-2.0 */
#include "signer_table.h"

#include <errno.h>

enum { SLOTS_FIRST = 1024 };

void table_free(struct sign_table *t)
{
	free(t->slot);
	*t = (struct sign_table){ 0 };
}

/* FNV-1a: a flood of chosen lineages could lengthen the search, but whoever may ask us to sign has
 * simpler ways to waste our time. */
static size_t home_of(const struct sign_table *t, uint32_t kind, const uint8_t *lineage)
{
	uint64_t h = 0xcbf29ce484222325 ^ kind;

	for (size_t k = 0; k < SIGN_LINEAGE_LEN; k++)
		h = (h ^ lineage[k]) * 0x100000001b3;
	return h % t->slots;
}

/* The lineage's slot, or the free one where it belongs. */
static struct slot *slot_of(const struct sign_table *t, uint32_t kind, const uint8_t *lineage)
{
	size_t i = home_of(t, kind, lineage);

	for (; t->slot[i].used; i = (i + 1) % t->slots)
		if (t->slot[i].kind == kind &&
		    !memcmp(t->slot[i].lineage, lineage, SIGN_LINEAGE_LEN))
			break;
	return &t->slot[i];
}

static bool goes(const struct slot *x, uint32_t before)
{
	return x->named && x->named < before;
}

int table_reserve(struct sign_table *t, uint32_t more)
{
	struct sign_table now = *t;
	size_t want = t->slots ? t->slots : SLOTS_FIRST;

	while (t->n + more >= want / 2 && want < 2 * (size_t)SIGNER_LINEAGES)
		want *= 2;
	if (want == t->slots)
		return 0;
	now.slot = calloc(want, sizeof(*now.slot));
	now.slots = want;
	if (!now.slot)
		return -ENOMEM;
	for (size_t i = 0; i < t->slots; i++)
		if (t->slot[i].used)
			*slot_of(&now, t->slot[i].kind, t->slot[i].lineage) = t->slot[i];
	free(t->slot);
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

/* Takes the slot out: what stands behind it without a gap, and would not be found beyond one, moves
 * up. */
static void take_out(struct sign_table *t, size_t hole)
{
	for (size_t i = (hole + 1) % t->slots; t->slot[i].used; i = (i + 1) % t->slots) {
		size_t home = home_of(t, t->slot[i].kind, t->slot[i].lineage);

		if ((i - home) % t->slots < (i - hole) % t->slots)
			continue;
		t->slot[hole] = t->slot[i];
		hole = i;
	}
	t->slot[hole] = (struct slot){ 0 };
	t->n--;
}

void table_forget(struct sign_table *t, uint32_t before)
{
	size_t i = 0;

	while (i < t->slots) /* the same place again after something moved into it */
		if (goes(&t->slot[i], before))
			take_out(t, i);
		else
			i++;
}
