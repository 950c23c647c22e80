/* SPDX-License-Identifier: Apache-2.0 */
/* bss_i.h - inside bss_negotiation only. */
#ifndef TREATY_BSS_I_H
#define TREATY_BSS_I_H

#include "agent/bss_desk.h"
#include "agent/bss_negotiation/bss_negotiation_core.h"
#include "agent/codec/tmf.h"
#include "agent/side.h"
#include "treaty/event.h"

#define ACTOR "bss_negotiation"
/* From the choice of an item to its countersignature: so long the shadow hold, the label and, in
 * life, the single flight wait. */
#define SETTLE_MS (120 * 1000)

extern struct bss {
	struct side *side;
	struct cap_bss_negotiation cap;
	struct bss_params params;
} bss;

/* Refusals of this agent; 0. */
int bss_refuse(struct desk_call *c, const char *tool, const ident_t *deal, enum refusal r,
	       const char *why);
/* What fold_guard() would say to the event now: asked before the ledger is touched. */
enum refusal bss_guard(enum event_kind kind, const void *payload);

/* --- bss_menu.c --- */
/* The operator's paths as they are now, with what agreements reserve; returns how many. */
uint8_t bss_paths(struct path_view ret[PATHS_MAX]);
/* Body of q under q->digest, stored. The caller owns *ret, its text. */
int bss_quote_body(struct quote *q, const struct deal *d, char **ret, struct err *e) must_check;
void bss_offer_menu(const struct event *ev);
int bss_take_counter(struct desk_call *c);
int bss_take_reject(struct desk_call *c);
/* Gives back what is held for the latest choice, when it is not captured. */
int bss_release(const struct deal *d, struct err *e) must_check;

/* --- bss_accept.c --- */
int bss_take_accept(struct desk_call *c);
/* Sets used[label - low] (below n) of each label in a revision that is being signed. */
void bss_signing_labels(uint8_t *used, uint32_t low, uint32_t n);
/* Ends those of a service that has stopped. */
void bss_signing_reset(void);
/* --- bss_sign.c --- */
/* The deal's lineage, or the one that its first revision will have. */
void bss_lineage(const struct deal *d, ident_t *ret);
/* Fills what follows from the choice: lineage, label, service, links. REFUSE_NONE or why not. */
enum refusal bss_agreement(const struct deal *d, const struct ev_accept *a, struct agreement *ret,
			   const char **why);
/* Has *a signed. The same input gives the same bytes, so that a signer that signs each revision
 * once answers again after a crash. */
int bss_sign(const struct deal *d, const struct agreement *a, struct vc_asked **ret,
	     struct err *e) must_check;

/* --- bss_settle.c --- */
int bss_take_acceptance(struct desk_call *c);
/* Forgets which receipts wait for the ones before them. */
void bss_early_reset(void);
void bss_service_event(const struct event *ev);
void bss_made_event(const struct ev_progress *p);
/* Orders from the OSS; next NULL: removes what is in force. */
enum refusal bss_order(const struct deal *d, const struct agreement *old,
		       const struct agreement *next);

/* --- bss_renegotiate.c --- */
/* Offers what the strategy finds for a live agreement. REFUSE_NONE: an offer is open. Else why
 * none is; REFUSE_DECLINED: the strategy wants none. */
enum refusal bss_look(const struct deal *d, enum bss_trigger t, why_t *why);
/* The MCP rows renegotiation_open and renegotiation_close; once per process. */
int bss_renegotiate_rows(struct err *e) must_check;
/* Sends what waits, closes what was not answered. */
void bss_offers_tick(void);
void bss_offers_reset(void);
/* The same after this turn's commit. */
void bss_offers_soon(void);

/* --- bss_credit.c --- */
/* Signs, keeps and records a credit note for revision a, and books it in the shadow ledger when
 * money was captured there (not for CREDIT_NOT_IN_FORCE). a is no member of *d. */
int bss_credit(const struct deal *d, const struct agreement *a, enum credit_reason reason,
	       money_t amount, const char *why, struct err *e) must_check;
/* When the revision in force could not be applied: its credit note. */
void bss_credit_failed(const struct deal *d);
/* When a refundable agreement has ended early: its credit note. */
void bss_credit_unused(const struct deal *d);
/* When a refundable, cheaper revision is in effect: its credit note. */
void bss_credit_lowered(const struct deal *d);
/* The enterprise has booked it. */
void bss_credit_delivered(const ident_t *deal, const digest_t *note);

/* Tells the enterprise that we ended it, until it has heard or it is of no use any more. */
void bss_tell_ended(const struct deal *d, const struct ev_ref *ref);

/* --- bss_end.c --- */
int bss_take_termination(struct desk_call *c);
void bss_ended(const struct event *ev);
/* True: more has expired than one tick ends. */
bool bss_end_tick(void);

#endif
