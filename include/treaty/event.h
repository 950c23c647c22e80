/* SPDX-License-Identifier: Apache-2.0 */
/* event.h - rank 7: what the log holds. One tool stages one kind of event; its payload is the
 * tool's argument. The table is events.def. */
#ifndef TREATY_EVENT_H
#define TREATY_EVENT_H

#include "enforce.h"
#include "field.h"

/* A reference to a deal with a reason: withdraw, reject, terminate, life flags of assurance. */
struct ev_ref {
	ident_t deal;  /* negotiation or lineage id */
	ident_t about; /* the object meant: quote, order, agreement */
	uint32_t rev;
	why_t why;
};

/* A "no": which tool, about what, by which rule. */
struct ev_refused {
	ident_t deal;
	name_t tool;
	uint32_t refusal; /* enum refusal */
	why_t why;
};

/* The operator admits a wallet and with it the intent that it came with. */
struct ev_admit {
	struct intent intent;
	did_t peer; /* authenticated holder */
	did_t issuer;
	ident_t wallet;
	uint32_t generation;
	digest_t credential;                               /* of the wallet as verified */
	int64_t ceiling, class_ceiling, per_agreement_max; /* minor units */
	char currency[4];
	wall_t expires;
};

/* The enterprise takes an item of a menu: the numbers that the agreement must repeat. */
struct ev_accept {
	ident_t deal;
	ident_t quote;
	uint32_t version;
	uint8_t item;
	digest_t quote_digest;
	price_t margin, price;
	ident_t hold;
	ident_t wallet;
	money_t held;   /* of this hold: amount - captured */
	money_t amount; /* of the lineage with this revision */
	wall_t start, end;
	why_t why;
};

struct ev_counter {
	ident_t deal;
	ident_t quote;
	uint8_t item;
	price_t margin;
	uint32_t round;
	why_t why;
};

/* Steps 1..upto of the plan are applied and read back; or step `failed` was refused. */
struct ev_progress {
	ident_t deal;
	ident_t plan;
	uint16_t upto;
	uint16_t failed; /* 0 = none */
	uint32_t refusal;
	why_t why;
};

enum credit_reason {
	CREDIT_NOT_IN_FORCE = 1, /* countersigned when it was dead already: void */
	CREDIT_NOT_APPLIED,      /* in force on paper, but the network could not carry it: void */
	CREDIT_UNUSED,           /* ended before its paid term, and refundable: what was not used */
	CREDIT_LOWERED, /* a cheaper revision is in effect, and refundable: what it spares */
	CREDIT_REASON_MAX_
};

/* The revision never counts again. */
static inline bool credit_voids(uint8_t reason)
{
	return reason == CREDIT_NOT_IN_FORCE || reason == CREDIT_NOT_APPLIED;
}

/* A credit note of the operator. A revision that it makes void never counts again: its number is
 * spent, its terms and its price line go, what was in effect before is in effect. */
struct ev_credit {
	ident_t deal; /* lineage, or negotiation before the first agreement */
	uint32_t rev;
	digest_t agreement; /* of that revision */
	digest_t note;      /* of the signed credit note (JCS) */
	money_t amount; /* given back, >= 0: what was captured for it, was not used, or is spared */
	char currency[4];
	uint8_t reason; /* enum credit_reason */
	why_t why;
};

#define EV_SPUR_MAX 16

/* The enterprise re-divides its own access link; no message leaves. */
struct ev_spur {
	uint8_t n_flows;
	struct spur_cut {
		ident_t lineage;
		rate_t rate; /* now enforced at the edge */
	} flow[EV_SPUR_MAX];
	why_t why;
};

/* Advice as it was given, so that a replay never calls a model. */
struct ev_advice {
	ident_t deal;
	name_t adviser;
	uint8_t choice; /* item, 0 = reject */
	bool heeded;
	why_t why;
};

/* A choice above what the agents may make alone: it waits for a human. Granting, denying and
 * lapsing carry the same facts and a reason of their own. */
struct ev_approval {
	ident_t deal;
	ident_t id;
	ident_t quote;
	uint32_t version;
	uint8_t item;
	money_t amount; /* of the lineage with this revision: what is granted, and no more */
	char currency[4];
	wall_t expires; /* of the question, and then of the grant */
	why_t why;
};

/* A key's life. Rotated: `id` signs for its role from now on, and what it replaces verifies until
 * `until`. Compromised: nothing of `id` is believed that comes from now on; `until` is the time
 * after which it may have been used by another, which peers are told as `revoked`. */
struct ev_key {
	did_t owner;
	name_t role;  /* wallet, presentation, agreement, checkpoint; empty: a key of a peer */
	name_t id;    /* fragment of its verification method */
	digest_t key; /* public half; zeros: not known here */
	name_t old;   /* rotated: what it replaces */
	digest_t old_key;
	wall_t until;
	why_t why;
};

/* A human's act that policy puts before another look: nothing of it happens before the grant. Its
 * arguments are kept under their digest. */
struct ev_act {
	ident_t id;
	name_t act;    /* the tool */
	ident_t about; /* what it names, as far as it names something */
	digest_t args; /* SHA-256 of the arguments as they are kept */
	uint32_t uid;  /* who asked, or answered */
	wall_t expires;
	why_t why;
};

enum event_kind {
	EV_NONE_,
#define EVENT(name, type, table, help) EV_##name,
#include "events.def"
#undef EVENT
	EV_MAX_
};

/* The digests of `count` events from `first` on, as members can be opened one by one. */
struct ev_commit {
	uint64_t first, count;
	digest_t root; /* of the RFC 6962 tree over them */
};

union event_body {
	struct ev_ref ref;
	struct ev_refused refused;
	struct ev_admit admit;
	struct ev_accept accept;
	struct ev_counter counter;
	struct ev_progress progress;
	struct ev_spur spur;
	struct ev_advice advice;
	struct ev_credit credit;
	struct ev_approval approval;
	struct ev_key key;
	struct ev_act act;
	struct ev_commit commit;
	struct intent intent;
	struct quote quote;
	struct agreement agreement;
	struct order order;
	struct plan plan;
	struct step_receipt receipt;
};

struct event {
	uint64_t seq; /* 1.., set when staged */
	wall_t at;
	enum event_kind kind;
	name_t actor; /* owner of the tool */
	name_t tool;
	union event_body u;
};

extern const struct field_table ev_ref_fields, ev_refused_fields, ev_admit_fields, ev_accept_fields,
	ev_counter_fields, ev_progress_fields, ev_spur_fields, ev_advice_fields, ev_credit_fields,
	ev_approval_fields, ev_key_fields, ev_act_fields, ev_commit_fields;

/* Name ("INTENT_DECLARED") and payload table of a kind; "?" and NULL when unknown. */
const char *event_name(enum event_kind k);
const struct field_table *event_table(enum event_kind k);
enum event_kind event_parse(const char *name); /* EV_MAX_ when unknown */

#endif
