/* SPDX-License-Identifier: Apache-2.0 */
/* ent_requirement.h - where intents come from: people, applications, and traffic itself. */
#ifndef TREATY_ENT_REQUIREMENT_H
#define TREATY_ENT_REQUIREMENT_H

#include "agent/side.h"

/* Watches the edge's class counters every sampling interval; adds the MCP rows intent_declare and
 * intent_withdraw. */
int ent_requirement_start(struct side *s, struct err *e) must_check;

/* Declares *i. class_name, want, term_ms and source must be set; id, negotiation, declared and an
 * empty flow are filled here. lineage set: a change of that live agreement, which keeps its
 * negotiation. REFUSE_NONE, or the refusal with its text in e. */
enum refusal ent_intent_declare(struct side *s, struct intent *i, struct err *e);

/* Takes back an intent that has no answer of ours yet: nothing is accepted, nothing is held. deal
 * and why must be set. The counterparty is told by ent_policy, which hears of it. */
enum refusal ent_intent_withdraw(struct side *s, const struct ev_ref *ref, struct err *e);

/* Ends an agreement that was made for detected traffic, before detection itself finds the demand
 * gone. ref->deal is any of its two ids, why is set; the rest is filled in. */
enum refusal ent_agreement_release(struct side *s, struct ev_ref *ref, struct err *e);

#endif
