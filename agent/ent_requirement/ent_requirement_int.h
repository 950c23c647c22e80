/* SPDX-License-Identifier: Apache-2.0 */
/* ent_requirement_int.h - what the files of this shell share. */
#ifndef TREATY_ENT_REQUIREMENT_INT_H
#define TREATY_ENT_REQUIREMENT_INT_H

#include "treaty/err.h"

/* The MCP rows intent_declare, intent_withdraw and agreement_release; once per process. */
int ent_requirement_rows(struct err *e) must_check;

#endif
