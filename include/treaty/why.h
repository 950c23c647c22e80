/* SPDX-License-Identifier: Apache-2.0 */
/* why.h - builds the reason of a decision: "rule key=value key=value". Pure; a reason that does
 * not fit is cut at WHY_MAX - 1 and stays NUL terminated and zero padded (it compares by bytes). */
#ifndef TREATY_WHY_H
#define TREATY_WHY_H

#include "ids.h"
#include "limits.h"

/* Starts a reason with the rule's name. */
void why_rule(why_t *w, const char *rule);
/* Appends " key=value". */
void why_num(why_t *w, const char *key, int64_t value);
void why_text(why_t *w, const char *key, const char *value);

#endif
