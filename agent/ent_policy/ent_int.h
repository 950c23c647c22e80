/* SPDX-License-Identifier: Apache-2.0 */
/* ent_int.h - what the files of this shell share. */
#ifndef TREATY_ENT_INT_H
#define TREATY_ENT_INT_H

#include "agent/codec/json.h"
#include "agent/codec/nego.h"
#include "agent/codec/tmf.h"
#include "agent/codec/wallet.h"
#include "agent/node.h"
#include "agent/peer.h"
#include "agent/store/ledger.h"
#include "ent_policy.h"
#include "ent_policy_core.h"

#include <sys/queue.h>

/* What the operator was last told and has not answered. */
enum conv_step {
	CONV_IDLE,
	CONV_CHALLENGE,
	CONV_INTENT,
	CONV_ACCEPT,
	CONV_COUNTER,
	CONV_REJECT,
	CONV_ACCEPTANCE,
	CONV_TERMINATE,
};

enum {
	PARTS_MAX = 2,  /* of a message */
	NEXT_MAX = 256, /* challenges at hand */
};

/* One deal's conversation with the operator: one message under way at a time. What stands above
 * `busy` is written to the store in the turn that decided it, so a restart says the same bytes
 * again under the same message id. */
struct conv {
	struct conv *next;
	struct ent *ent;
	ident_t deal;   /* negotiation id */
	ident_t intent; /* the last one taken up */
	ident_t quote;  /* counter-offers below are about this one */
	uint32_t rounds;
	price_t margin;
	uint32_t attempt; /* of the intent: presentations so far */
	enum conv_step step;
	char message[A2A_ID_MAX], task[A2A_ID_MAX], context[A2A_ID_MAX];
	char *part[PARTS_MAX]; /* JSON texts; the first NULL ends them */
	json_t *metadata;

	bool busy, wait; /* a call is in flight; the edge goes first */
	bool later;      /* it is sent after the commit of this turn */
	/* What the end of this turn will say, when nothing else is said before; how many such ends
	 * know this conversation. */
	const void *ending;
	uint32_t ends;
	bool chained, queued; /* in ent.chain; there, but waits for its turn */
	TAILQ_ENTRY(conv) chain;
	uint32_t tries, overtaken;
	char flying[A2A_ID_MAX]; /* message id of the call in flight */
	struct loop_timer *timer;
};

struct ent {
	struct side *s;
	const struct world *w;
	struct cap_ent_policy cap;
	struct cap_advice advice;
	const struct cfg_peer *op;
	struct tmf_parties parties;
	json_t *vc; /* the wallet as read; NULL: none */
	bool has_wallet;
	struct wallet wallet;
	struct wallet_line line; /* those above it */
	uint8_t wallet_digest[DIGEST_LEN];
	struct ledger_wallet_id wid;
	struct agreeing *receipting; /* whose receipt is being signed; NULL: none */
	struct hash last_receipt;    /* of this process, and the sum that it says */
	money_t last_sum;
	struct conv *convs;
	TAILQ_HEAD(, conv)
	chain; /* whose acceptance is not answered, in the order of their receipts */
	struct conv **conv_at; /* as the world's deals; NULL, or whose deal stood there once */
	struct event *scratch; /* for fold_guard() ahead of the ledger */
	struct nego_challenge next[NEXT_MAX]; /* that answers brought along, the newest last */
	unsigned n_next;
	uint16_t calm; /* of the spur */
	struct loop_timer *tick, *sampler;
};

/* The lineage that both sides know before the operator signed: "agr-" + the negotiation's hex. */
void ent_lineage(const struct deal *d, ident_t *ret);
/* Whether the tool for this event would be refused: asked before the ledger moves. */
enum refusal ent_would(struct ent *en, enum event_kind kind, const void *payload);
/* Canonical body into the store under its digest. */
int ent_keep(struct ent *en, const json_t *body, const digest_t *digest, struct err *e) must_check;
/* The same of a document that was canonicalised when it was read or made. */
int ent_keep_vc(struct ent *en, const struct vc *vc, struct err *e) must_check;
struct hash ent_hash(const digest_t *d);
why_t ent_why(const char *text);

/* ent_wallet.c */
int ent_wallet_take(struct ent *en, const json_t *vc, enum refusal *no, struct err *e) must_check;
/* The wallet's status lists that are at hand, fresh and small enough to travel; NULL for others. */
void ent_wallet_staple(struct ent *en, const json_t *stapled[LISTS_MAX]);
int ent_wallet_limits(struct ent *en, const name_t *class_name, struct wallet_limits *ret,
		      struct err *e) must_check;
int ent_wallet_start(struct ent *en, json_t *file, struct err *e) must_check;
int ent_wallet_load(struct ent *en, const json_t *args, struct mcp_turn *t, struct err *e);

/* ent_client.c: the conversation's transport. Parts are JSON texts, copied. */
struct conv *ent_conv(struct ent *en, const struct deal *d); /* NULL: no memory */
int ent_say(struct conv *c, enum conv_step step, const char *message_id, const char *const *part,
	    size_t n, struct err *e) must_check;
/* With one part, which is stolen; NULL: no memory. */
int ent_say_part(struct conv *c, enum conv_step step, const char *message_id, json_t *part,
		 struct err *e) must_check;
/* The same as another message, outside the task. */
int ent_say_again(struct conv *c, const char *message_id, struct err *e) must_check;
int ent_idle(struct conv *c, struct err *e) must_check;
void ent_release(struct conv *c); /* the edge is done: what waits for it may go */
void ent_again(struct conv *c);   /* the same message once more, later */
int ent_conv_load(struct conv *c, struct err *e) must_check;
void ent_conv_reset(struct ent *en);
/* Ends those whose deal has made room for another one. */
void ent_conv_sweep(struct ent *en);
void ent_conv_later(struct conv *c); /* flush after this turn's commit */
/* An end is begun, and over: see ending. */
void ent_ends(struct conv *c, const void *what);
void ent_ended(struct conv *c, const void *what);

/* ent_talk.c: what the answers mean */
void ent_begin(struct conv *c, const struct deal *d);
void ent_answer(struct conv *c, const struct a2a_result *r);
void ent_refused(struct conv *c, enum refusal no, const char *why);
/* Asks for a new quote: the old one was lost to time. */
void ent_afresh(struct conv *c, const struct deal *d, struct err *e);
/* Tells the operator that the deal has ended. */
int ent_say_end(struct conv *c, const struct deal *d, struct err *e) must_check;
/* The last moment at which the message under way makes sense. */
wall_t ent_deadline(const struct conv *c, const struct deal *d);

/* ent_quote.c */
enum refusal ent_quote_read(struct ent *en, const struct deal *d, const json_t *body,
			    struct quote *ret, struct err *e);
enum refusal ent_quote_take(struct conv *c, struct deal *d, const struct quote *q,
			    const json_t *body, struct err *e);
/* Tells the operator "no"; nothing of ours changes by it. */
void ent_reject(struct conv *c, const struct deal *d, const char *why);
/* Chooses from the deal's quote once more. */
enum refusal ent_choose(struct conv *c, struct deal *d, struct err *e);
/* The live hold of this deal, if there is one, goes back. */
int ent_unhold(struct ent *en, const struct deal *d, struct err *e) must_check;

/* ent_approval.c: what is above the agents' own limit. */
/* The most that one agreement of this deal may cost now: alone, or as a human granted. */
money_t ent_approval_limit(const struct ent *en, const struct deal *d);
/* in was rejected. True when a human could allow what it is about: then the question is asked, or
 * stands already, and *no says whether that went well. */
bool ent_approval_ask(struct conv *c, const struct deal *d, const struct ent_policy_in *in,
		      enum refusal *no, struct err *e);
void ent_approval_answered(struct ent *en, struct deal *d, const struct event *ev);
/* Says no to a menu that waits for a human, as a denial would; d may be NULL. */
enum refusal ent_decline(struct ent *en, struct deal *d, const why_t *why);
void ent_approval_tick(struct ent *en);

/* A signed revision was not taken: a refusal, or REFUSE_MAX_: it is tried again. */
void ent_not_agreed(struct conv *c, enum refusal no, const struct err *e);

/* ent_agree.c: REFUSE_NONE: the end of the turn goes on with it. Else as ent_not_agreed(). */
enum refusal ent_agree(struct conv *c, struct deal *d, const json_t *vc, struct err *e);

/* ent_credit.c: verifies and books a credit note; *ret gets the deal once it is known. A note that
 * is booked already is REFUSE_NONE again. REFUSE_MAX_: a failure of ours, try again later. */
enum refusal ent_credit_take(struct ent *en, const json_t *vc, const struct deal **ret,
			     struct err *e);

/* ent_edge.c */
bool ent_edge_on(const struct ent *en);
/* True when the edge gives up rate or label with the revision in force. */
bool ent_edge_lowers(const struct deal *d);
/* Steps for what is in force, or the removal of a terminated deal; done may be NULL. */
void ent_edge_apply(struct ent *en, const struct deal *d, node_done_fn done, void *arg);
bool ent_edge_taken(const struct ent *en, const struct deal *d);
int ent_edge_watch(struct ent *en, struct err *e) must_check;

/* ent_spur.c */
void ent_spur_divide(struct ent *en, const struct deal *not_this);
rate_t ent_spur_local(const struct ent *en, const struct deal *d);
void ent_sample(struct ent *en);

/* ent_offer.c */
int ent_offer(struct ent *en, const struct peer *p, const struct a2a_message *m,
	      struct a2a_turn *t);

#endif
