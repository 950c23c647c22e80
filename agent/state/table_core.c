/* SPDX-License-Identifier: Apache-2.0 */
#include "table_core.h"
#include "treaty/pure.h"

const char *table_name(unsigned table)
{
	static const char *const name[TABLE_MAX_] = { "none",  "labels",  "sources", "ceilings",
						      "rules", "classes", "watched", "cells",
						      "flows", "locals" };

	return table < TABLE_MAX_ ? name[table] : "?";
}

/* What one agreement may take at most: a source prefix for each direction. */
static uint32_t need(unsigned table)
{
	return table == TABLE_SOURCES ? DIR_MAX_ : 1;
}

uint32_t table_room(const struct table_use *t, unsigned reserve)
{
	uint64_t kept = ((uint64_t)t->max * reserve + 99) / 100;
	uint32_t left = t->used < t->max ? t->max - t->used : 0;

	if (t->table == TABLE_NONE || t->table >= TABLE_WATCHED)
		return UINT32_MAX;
	return left > kept ? (left - (uint32_t)kept) / need(t->table) : 0;
}

void table_take(struct table_least *least, const name_t *node, const struct table_use *t,
		unsigned reserve)
{
	uint32_t room = table_room(t, reserve);

	if (room == UINT32_MAX || (least->table != TABLE_NONE && room >= least->room))
		return;
	*least = (struct table_least){
		.node = *node, .table = t->table, .used = t->used, .max = t->max, .room = room
	};
}

void table_expect(struct table_least *least, uint32_t admitted)
{
	least->room -= least->room < admitted ? least->room : admitted;
}
