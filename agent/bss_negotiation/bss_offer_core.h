/* SPDX-License-Identifier: Apache-2.0 */
/* bss_offer_core.h - what pricing and strategy share: what a path can hold and promise. */
#ifndef TREATY_BSS_OFFER_CORE_H
#define TREATY_BSS_OFFER_CORE_H

#include "bss_negotiation_core.h"

/* Bits per second that are `permille` of the path's capacity. */
uint64_t bss_limit(const struct path_view *v, unsigned permille);
bool bss_protected(const struct path_view *v);
bool bss_withdrawn(const struct path_view *v);
/* Least own delay of the alive paths; 0 when there is none. */
delay_t bss_shortest(const struct path_view *v, unsigned n);
delay_t bss_promise(const struct bss_params *p, const struct path_view *v);
/* Whether promises leave room for rate; `own` is not counted against itself. */
bool bss_room(const struct bss_params *p, const struct path_view *v, const struct bss_own *own,
	      rate_t rate);
/* Keeps the first QUOTE_ITEMS_MAX in the order of `first`, whatever order they come in. */
void bss_insert(struct quote_item *list, uint8_t *n, const struct quote_item *i,
		bool (*first)(const struct quote_item *a, const struct quote_item *b));
/* Adds to a list kept sorted by path. */
void bss_refuse_path(struct refused *list, uint8_t *n, uint8_t path, enum refusal r);

#endif
