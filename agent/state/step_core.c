/* SPDX-License-Identifier: Apache-2.0 */
/* Which steps speak of the same kernel object: the newest of them is what a node wants. */
#include "treaty/plan.h"
#include "treaty/pure.h"

static int family(enum step_kind k)
{
	switch (k) {
	case STEP_LABEL_SET:
	case STEP_LABEL_DEL: return 1;
	case STEP_CLASS_SET:
	case STEP_CLASS_DEL: return 2;
	case STEP_RULE_SET:
	case STEP_RULE_DEL: return 3;
	case STEP_STEER: return 4;
	case STEP_CEILING_SET:
	case STEP_CEILING_DEL: return 5;
	case STEP_PROBE:
	case STEP_WAIT:
	case STEP_KIND_MAX_: break;
	}
	return 0;
}

bool step_same_object(const struct step *a, const struct step *b)
{
	int f = family(a->kind);

	if (f == 0 || f != family(b->kind))
		return false;
	if (f == 3)
		return a->rule.id == b->rule.id;
	if (f == 5)
		return a->ceiling == b->ceiling;
	if (a->label != b->label)
		return false;
	if (f == 2)
		return memcmp(a->device.s, b->device.s, sizeof(a->device.s)) == 0;
	return f != 4 || a->dir == b->dir;
}

/* What is rarely more than one of a kind and label is left out. */
uint32_t step_object_key(const struct step *s)
{
	int f = family(s->kind);
	uint32_t id = f == 3 ? s->rule.id : f == 5 ? s->ceiling : s->label;

	return id * 8 + (uint32_t)f;
}

bool step_is_removal(enum step_kind k)
{
	return k == STEP_LABEL_DEL || k == STEP_CLASS_DEL || k == STEP_RULE_DEL ||
	       k == STEP_CEILING_DEL;
}
