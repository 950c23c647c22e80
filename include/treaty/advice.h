/* SPDX-License-Identifier: Apache-2.0 */
/* advice.h - what an adviser (a model, or a test) prefers. Only a choice from a closed set that
 * the guards have cleared is heard; anything else is ignored. NULL is the deterministic road. */
#ifndef TREATY_ADVICE_H
#define TREATY_ADVICE_H

#include "ids.h"

enum advice_kind { ADVICE_NONE, ADVICE_PICK, ADVICE_REJECT };

struct advice {
	enum advice_kind kind;
	uint8_t item; /* ADVICE_PICK: quote item number */
	why_t text;   /* for humans only; no rule reads it */
};

/* An alternative that a choice turned down, and why. */
struct refused {
	uint8_t no;      /* quote item number, or path id where the menu itself is made */
	uint8_t refusal; /* enum refusal */
};

extern const struct field_table advice_fields, refused_fields;

#endif
