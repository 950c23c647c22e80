/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - what the log says, folded: one table of deals and one of wanted node steps. Only
 * fold_core.c writes it; everybody else sees it const. */
#ifndef TREATY_WORLD_H
#define TREATY_WORLD_H

#include "treaty/amount.h"
#include "treaty/event.h"

#define DEAL_REVS_MAX    64 /* revisions of one lineage that still carry a price line */
#define DEAL_CREDITS_MAX 8  /* credit notes of one lineage that are remembered */

/* One price line of a lineage, for ruling 2: price counts from start until the next line's. */
struct rev_line {
	uint32_t rev;
	price_t price;
	wall_t start, end;
	money_t held; /* captured for this revision */
};

struct credit_line {
	struct ev_credit note;
	bool taken; /* booked by the enterprise */
};

/* Where a deal's question to a human stands. */
enum approval_state {
	APPROVAL_NONE,
	APPROVAL_WAITING,
	APPROVAL_GRANTED, /* until it is used or expires */
	APPROVAL_DENIED,
	APPROVAL_LAPSED,
	APPROVAL_USED,
};

/* One negotiation and, once signed, its lineage of revisions. */
struct deal {
	ident_t negotiation; /* of the first intent; key until there is a lineage */
	ident_t lineage;
	did_t peer;
	bool operator_side;
	enum life life;
	wall_t changed;  /* when life last changed */
	wall_t admitted; /* operator: when its wallet was last shown */
	uint64_t first;  /* event: what was signed, ordered and planned of it came later */
	uint64_t seq;    /* of the event that last touched it */
	struct intent intent;
	struct ev_admit admit; /* operator: the wallet facts of the latest admission */
	bool has_quote, has_accept, has_pending, has_order, has_plan;
	struct quote quote;             /* latest menu */
	struct ev_accept accept;        /* latest choice */
	uint32_t rounds;                /* counter-offers of the open negotiation */
	struct agreement cur;           /* in force (rev 0 = none) */
	struct agreement pending;       /* signed, not yet in force */
	struct agreement old;           /* the revision before cur */
	struct agreement origin;        /* what the consumer last asked for: the walk-back's goal */
	struct agreement origin_before; /* the origin, should cur turn out void */
	uint32_t
		last_rev; /* newest number that was signed (operator) or accepted: spent for ever */
	digest_t head;    /* newest countersigned revision, void or not: the next one links to it */
	bool failed;      /* cur could not be applied, and is not void yet */
	money_t credited; /* given back for what was not used; void revisions leave no price line */
	uint8_t n_credits; /* oldest first */
	struct credit_line credit[DEAL_CREDITS_MAX];
	struct order order;   /* latest; it waits while a plan is under way */
	struct order planned; /* the one that the plan under way carries out */
	struct order applied; /* the one whose plan the kernels hold; rev 0 = none */
	uint32_t rule; /* id of its rule in the nodes' tables, as its plans say; 0 = none yet */
	struct plan plan;
	uint16_t plan_upto;
	uint16_t plan_failed; /* the step that ended it: it is being rolled back; 0 = none */
	bool active;          /* cur is applied */
	bool risk_open;       /* a breach was flagged and has not recovered */
	bool cooled;          /* a walk-back may be offered */
	wall_t cool_from;
	bool wallet_revoked;
	enum approval_state approval_state;
	struct ev_approval approval; /* the latest */
	uint8_t n_revs;
	struct rev_line rev[DEAL_REVS_MAX];
	why_t why; /* of the last event */
};

/* What a node was last told: the newest step of each (kind family, label, device, dir, rule). */
struct wanted {
	struct step step;
	ident_t plan;
	bool refused;
};

#define WORLD_KEYS_MAX 64

/* A key whose life was told: rotated in, rotated away, or compromised. */
struct key_line {
	did_t owner;
	name_t role, id;
	digest_t key;
	wall_t since; /* of the act that brought it; ms = 0: it was there before the first */
	wall_t until; /* ms = 0: in force; else it verifies (compromised: was good) until then */
	wall_t compromised; /* when that was told; ms = 0: never */
};

enum key_state { KEY_IN_FORCE, KEY_OVERLAP, KEY_RETIRED, KEY_COMPROMISED };

#define WORLD_DEBTS_MAX 64

/* A step that a silent node still owes. */
struct debt {
	ident_t plan, order, lineage;
	uint32_t rev;
	struct plan_step step;
};

#define WORLD_ACTS_MAX 32

/* A human's act that waits, or waited, for another's grant. */
struct act {
	struct ev_act ask;
	enum approval_state state;
};

/* Chains of rows whose keys have the same hash; 0 ends one, else row + 1. */
struct world_index {
	uint32_t mask; /* of the hash */
	uint32_t *head, *next;
};

/* A revision as it counts against labels and capacity. */
struct deal_part {
	rate_t rate;
	uint32_t label;
	uint8_t path;
	bool is;
};

/* What the searches through all deals ask of each. A deal is 32 kB; these stand side by side. They
 * follow from the deal alone: fold() keeps them. */
struct deal_brief {
	struct deal_part cur;     /* in force, also after its end */
	struct deal_part next;    /* signed for a choice that still stands */
	struct deal_part applied; /* what the kernels hold */
	struct deal_part planned; /* what the plan under way brings */
	wall_t chosen;            /* the start that the choice names */
	uint32_t rule;            /* nodes' tables hold, or will; 0 = none */
	uint32_t old_label;       /* still held until cur is applied; 0 = none */
	enum life life;
	bool operator_side, has_order, has_plan;
};

/* What all briefs come to, by path. Sums wrap: what was added goes again whatever it was. */
struct brief_sum {
	rate_t promised[UINT8_MAX + 1]; /* brief_promised() */
	rate_t held[UINT8_MAX + 1];     /* planned, where no plan is under way applied */
	uint32_t coming;                /* deals under way into tables that hold nothing of them */
	/* An operator's revisions in force that have not ended; those that no kernel holds. */
	rate_t sold[UINT8_MAX + 1];
	uint32_t admitted;
};

/* Rows in no order. */
struct row_set {
	uint32_t n;
	uint32_t *row, *place; /* place: of a row its index in row + 1, 0 = not in it */
};

struct world {
	uint32_t n_deals, max_deals;
	struct deal *deal;
	struct deal_brief *brief; /* of the deal in the same row */
	struct brief_sum sum;
	struct world_index by_negotiation, by_lineage;
	struct world_index by_label, by_applied, by_rule; /* deals by what their briefs say */
	struct row_set choosing;                          /* deals whose brief has a next part */
	uint32_t *label_uses; /* parts of briefs that keep a label from others, but next ones */
	uint32_t hand;        /* where the search for a deal that may go begins */
	uint32_t n_wanted, max_wanted;
	struct wanted *wanted;
	struct world_index by_object; /* rows of wanted */
	uint32_t n_debts;             /* oldest first */
	struct debt debt[WORLD_DEBTS_MAX];
	uint32_t n_keys; /* oldest first */
	struct key_line key[WORLD_KEYS_MAX];
	bool ledger_frozen;
	uint32_t n_acts; /* oldest first */
	struct act act[WORLD_ACTS_MAX];
	struct ev_spur spur;     /* latest division of the own access link */
	uint32_t disclosure_rev; /* version of the disclosure policy that was loaded last; 0 = none
				  */
	ident_t disclosure;      /* its digest, hexadecimal */
	uint64_t seq;            /* last event folded */
	uint64_t committed;      /* the first event that no LOG_COMMITTED covers; 0 = none was */
	uint64_t events, refusals;
	uint64_t agreements;  /* revisions that both sides signed */
	digest_t fingerprint; /* unused by cores: set by world_fingerprint() */
};

int world_new(struct world **ret, uint32_t max_deals, uint32_t max_wanted) must_check;
struct world *world_free(struct world *w);
/* SHA-256-free comparison of two worlds' contents (restart = replay): 0 when equal. */
int world_compare(const struct world *a, const struct world *b);

/* By negotiation id or by lineage id; NULL when there is none. */
struct deal *world_deal(const struct world *w, const ident_t *id);
/* Where a new deal would stand: a free row or that of a deal which is over. NULL: there is none. */
struct deal *world_room(const struct world *w, wall_t now);
/* A menu that nobody chose from, or an end that everybody heard of and every kernel carried out:
 * its row is free for another. */
bool world_over(const struct world *w, const struct deal *d, wall_t now);
/* index_core.c, for fold_core.c: d is new (old_lineage NULL) or may have another lineage than
 * before; d goes. */
void index_deal(struct world *w, const struct deal *d, const ident_t *old_lineage);
void index_forget(struct world *w, const struct deal *d);
/* For brief_core.c: the row's brief goes, or has come. */
void index_brief(struct world *w, uint32_t row, bool comes);
/* For fold_core.c: this row of wanted goes, or has come. */
void index_wanted(struct world *w, uint32_t row, bool comes);
/* Which deal an event is about: its negotiation's or lineage's id, NULL when about none. */
const ident_t *event_deal(const struct event *ev);
/* By the label in force; NULL when there is none. */
struct deal *world_deal_by_label(const struct world *w, uint32_t label);
/* Whether a deal other than `own` has the label in force, or kernels hold it for that deal. */
bool world_label_taken(const struct world *w, const struct deal *own, uint32_t label);
/* Whether the label is kept from others: in force or held by kernels, or still to be removed. What
 * was only signed for is another question (choosing). */
bool world_label_used(const struct world *w, uint32_t label);
/* Whether nodes' tables hold, or will, the rule for a deal other than `own`. */
bool world_rule_taken(const struct world *w, const struct deal *own, uint32_t id);
/* What the log says of the object that s sets or removes; NULL when nothing. */
const struct wanted *world_wanted(const struct world *w, const struct step *s);

/* Whether the event is legal now (REFUSE_NONE) and, with fold, what it does. A refused event is
 * never folded: guard first, then stage, then fold. */
enum refusal fold_guard(const struct world *w, const struct event *ev);
void fold(struct world *w, const struct event *ev);

/* credit_core.c, for fold_core.c. */
enum refusal credit_guard(const struct deal *d, const struct ev_credit *c, bool issued);
void credit_fold(struct deal *d, const struct event *ev);

/* debt_core.c, for fold_core.c: what is owed, what was answered, and what a new plan speaks of. */
enum refusal debt_guard(const struct world *w, const struct event *ev);
void debt_fold(struct world *w, const struct event *ev);
/* key_core.c: which keys are believed. */
enum refusal key_guard(const struct world *w, const struct event *ev);
void key_fold(struct world *w, const struct event *ev);
/* NULL: nothing was ever told of this key. */
const struct key_line *world_key(const struct world *w, const did_t *owner, const name_t *id);
enum key_state key_state(const struct key_line *k, wall_t now);
const char *key_state_name(enum key_state s);
/* A role of ours lost its key to a compromise and was not rotated since. */
bool world_key_lost(const struct world *w);
/* Whether the issuer of the deal's wallet lost a key since it was admitted. No part of the guard:
 * logs of before hold choices made after that. */
bool key_issuer_lost(const struct world *w, const struct deal *d);
/* May this event start something new: an offer, a choice, a debit? */
enum refusal key_stops(const struct world *w, const struct deal *d, const struct event *ev);

/* Part of the fold: what waits for a human. */
enum refusal act_guard(const struct world *w, const struct event *ev);
void act_fold(struct world *w, const struct event *ev);
enum refusal approval_guard(const struct deal *d, const struct event *ev);
void approval_fold(struct deal *d, const struct event *ev);

/* brief_core.c */
void deal_brief(const struct deal *d, struct deal_brief *ret);
/* Makes the brief of d, a row of w's table, and what follows from it, anew. */
void brief_put(struct world *w, const struct deal *d);
/* Bandwidth that the deal holds on a path: on paper (in force, or signed and not yet countersigned)
 * or still in the kernels, whatever is most. */
rate_t brief_promised(const struct deal_brief *b, uint8_t path);
rate_t deal_promised(const struct deal *d, uint8_t path);
/* What counts on the devices along a path: what the plan under way brings, else what is applied. */
const struct deal_part *brief_held(const struct deal_brief *b);

/* For fold_core.c: an order that came while a swap was under way replaces what that left behind. */
void deal_order_waits(struct deal *d);

/* A path swap of the running revision: its order moves no life. */
bool deal_swap(const struct deal *d, const struct order *o);

/* Number of the revision that the open quote would become. */
uint32_t deal_next_rev(const struct deal *d);
/* A credit note that the enterprise has not booked yet; NULL when there is none. */
const struct credit_line *deal_credit_open(const struct deal *d);
/* What its last revision left unused, or cost without being there, has gone back. */
bool deal_credited(const struct deal *d);

/* The life-cycle event that `ev` means for deal d, LEV_MAX_ when none. */
enum life_event fold_life_event(const struct deal *d, const struct event *ev);

/* What the lineage has cost so far, for the enterprise's core and for both ledgers. */
void deal_cost(const struct deal *d, struct lineage_cost *ret);
/* Amount of the lineage if a revision priced p ran from start to end (ruling 2), and what has
 * been captured so far. MONEY_BAD on overflow. */
money_t deal_amount(const struct deal *d, price_t p, wall_t start, wall_t end);
money_t deal_captured(const struct deal *d);
/* What of it was not used when the deal ended at `at`, >= 0. */
money_t deal_unused(const struct deal *d, wall_t at);

#endif
