/* SPDX-License-Identifier: Apache-2.0 */
/* table_core.h - how full a node's tables are, and what that leaves for agreements. */
#ifndef TREATY_TABLE_CORE_H
#define TREATY_TABLE_CORE_H

#include "treaty/telemetry.h"

/* Agreements that the table takes beside what is in it, while `reserve` percent of it (rounded up)
 * stay free for changes of those that exist. UINT32_MAX: it never stops one. */
uint32_t table_room(const struct table_use *t, unsigned reserve);

/* Keeps in *least the table of the two that stops admission first. */
void table_take(struct table_least *least, const name_t *node, const struct table_use *t,
		unsigned reserve);

/* So many agreements were admitted and are in no table yet. */
void table_expect(struct table_least *least, uint32_t admitted);

#endif
