/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - the debit ledger, in the store's database and in the turn's transaction.
 *
 * The invariant: for every wallet and every class of it, held + captured never GROWS past the
 * ceiling of the newest accepted generation - under replay, re-issue, fork, crash, and against
 * raw SQL too, because triggers hold the gates. Counters are a cache of the append-only,
 * hash-linked journal; store_open() recounts and refuses on a difference.
 *
 * The enterprise's ledger is the gate; an operator keeps a shadow of it with the same code and the
 * same rules (side). Both sides derive the same hold ids and the same sums.
 *
 * Every operation: 0 with ret->why = REFUSE_NONE (done; or answered again, ret->replayed), 0 with
 * a refusal (nothing changed), or negative errno. -EINVAL names a malformed field. A successful
 * answer is stored under (wallet, key): the same key with the same request gets it again, with
 * another request REFUSE_LEDGER_REPLAY. Refusals are not stored: a later try may succeed. `now`
 * and `expires` are no part of the request. */
#ifndef TREATY_LEDGER_H
#define TREATY_LEDGER_H

#include "store.h"

enum {
	LEDGER_DID_MAX = 256, /* sizes with the terminating 0 */
	LEDGER_ID_MAX = 128,
	LEDGER_CLASS_MAX = 32,
	LEDGER_CLASSES_MAX = 16,
	LEDGER_HOLD_ID_LEN = 35, /* "h-" and 32 hex digits, with the 0 */
	LEDGER_CHAIN_MAX = 4,    /* a wallet and those above it */
};

enum ledger_side { LEDGER_GATE, LEDGER_SHADOW };

enum ledger_hold_state { HOLD_HELD, HOLD_CAPTURED, HOLD_RELEASED, HOLD_EXPIRED };
const char *ledger_hold_state_name(enum ledger_hold_state st);

/* A wallet is (issuer, wallet_id), never a credential id: a re-issued one finds its counters. */
struct ledger_wallet_id {
	enum ledger_side side;
	char issuer[LEDGER_DID_MAX];
	char wallet_id[LEDGER_ID_MAX];
};

struct ledger_class {
	char name[LEDGER_CLASS_MAX];
	money_t ceiling;        /* of the class, >= 0 */
	money_t held, captured; /* out only */
	int64_t row;            /* of the database, out only */
};

/* Terms as a verified credential states them. */
struct ledger_wallet {
	struct ledger_wallet_id id;
	char holder[LEDGER_DID_MAX];
	struct hash credential; /* SHA-256 of the credential */
	struct hash supersedes; /* of the generation before; zero for the first */
	uint32_t generation;    /* >= 1 */
	char currency[4];       /* ISO 4217 */
	uint8_t digits;         /* of its minor unit, 0..6 */
	money_t ceiling;        /* >= 0 */
	money_t agreement_max;  /* of one agreement's amount, >= 0 */
	wall_t valid_from, valid_until;
	unsigned classes; /* 1..LEDGER_CLASSES_MAX */
	struct ledger_class klass[LEDGER_CLASSES_MAX];
	/* A sub-wallet's parent, of the same side; "" = none. Counters of a parent hold those of
	 * all below it. */
	char parent_issuer[LEDGER_DID_MAX], parent_id[LEDGER_ID_MAX];
	/* out only */
	int64_t parent_row; /* 0 = none */
	unsigned depth;     /* how many stand above it */
	bool revoked;
	money_t held, captured;
	struct hash receipt; /* last receipt of this wallet, zero = none */
};

struct ledger_result {
	enum refusal why;
	bool replayed;                    /* the stored answer of an earlier call */
	char hold_id[LEDGER_HOLD_ID_LEN]; /* "" when the operation has none */
	money_t amount;           /* what this operation held, captured, released or credited */
	money_t held, captured;   /* the wallet's, after it */
	money_t lineage_captured; /* the lineage's, after it */
	uint64_t journal_seq;     /* the row this operation wrote (its last one) */
};

/* First sight of a wallet, or a re-issue: generation + 1 that supersedes the current credential
 * (else WALLET_GENERATION; the very same credential again is done, and changes nothing). A
 * ceiling below what is committed is legal: then only releases pass. Another currency:
 * LEDGER_CURRENCY. A class that is no longer listed keeps its counters under ceiling 0. */
int ledger_wallet_put(struct store *s, const struct ledger_wallet *w, wall_t now,
		      struct ledger_result *ret, struct err *e) must_check;
/* A sub-wallet and those above it, nearest first, n of 1..LEDGER_CHAIN_MAX: each w[i]'s parent is
 * w[i+1], the last one's is none or known here. All are put or none; the answer is w[0]'s. Refuses
 * as above, and WALLET_DELEGATION: the parent is not known, or another than before, too many stand
 * above, or a class that the parent never listed. */
int ledger_chain_put(struct store *s, const struct ledger_wallet *w, unsigned n, wall_t now,
		     struct ledger_result *ret, struct err *e) must_check;
/* No new money is held after this, below it neither; live revisions run on (ruling 6). */
int ledger_wallet_revoke(struct store *s, const struct ledger_wallet_id *id, wall_t now,
			 struct ledger_result *ret, struct err *e) must_check;

/* Hold max(0, amount - captured of the lineage) for one revision of one lineage. Refuses, in this
 * order: WALLET_MISSING, LEDGER_REPLAY, LEDGER_CURRENCY, WALLET_POLICY (class not listed),
 * LEDGER_FORK (rev or prev does not extend the head, or another wallet or class than the
 * lineage's), IN_FLIGHT (a live hold of the lineage), and when the sum would grow: WALLET_REVOKED,
 * WALLET_EXPIRED, OVER_AGREEMENT_MAX, OVER_CLASS_CEILING, OVER_CEILING, of the wallet or of one
 * above it. */
struct ledger_hold {
	struct ledger_wallet_id wallet;
	char class_name[LEDGER_CLASS_MAX];
	char currency[4];
	char lineage[LEDGER_ID_MAX];
	uint32_t rev;        /* above the head's: numbers that died are skipped */
	struct hash prev;    /* digest of the agreement at the head; zero for a new lineage */
	struct hash offer;   /* digest of the quote or offer that was accepted */
	money_t amount;      /* of the whole revision (ruling 2), >= 0 */
	wall_t now, expires; /* now < expires */
};
int ledger_hold(struct store *s, const struct ledger_hold *q, struct ledger_result *ret,
		struct err *e) must_check;
/* The key under which ledger_hold() stores its answer, and the hold's id on both sides. */
struct hash ledger_hold_key(const char *lineage, uint32_t rev, const struct hash *offer);
void ledger_hold_id(const struct hash *key, char ret[LEDGER_HOLD_ID_LEN]);

/* A hold is found in its lineage: those who name it name both. */

/* The signed agreement verified: held becomes captured and its digest the lineage's head. A hold
 * that has expired is held again first, through all gates. LEDGER_STATE: no such hold, or
 * released. LEDGER_REPLAY: captured for another agreement. LEDGER_FORK: the head has moved. */
int ledger_capture(struct store *s, enum ledger_side side, const char *lineage, const char *hold_id,
		   const struct hash *agreement, wall_t now, struct ledger_result *ret,
		   struct err *e) must_check;
/* Refused, withdrawn. LEDGER_STATE unless held; releasing again is answered again. */
int ledger_release(struct store *s, enum ledger_side side, const char *lineage, const char *hold_id,
		   wall_t now, struct ledger_result *ret, struct err *e) must_check;
/* Expires every hold with expires <= now; *ret_n (may be NULL) gets how many. */
int ledger_expire(struct store *s, wall_t now, unsigned *ret_n, struct err *e) must_check;

/* A revision that was dead when its countersignature came: its agreement becomes the lineage's head
 * and no money moves, because its hold was let go. So both sides' chains have the same rows, and
 * the other side's capture comes back by a credit note. LEDGER_STATE: the hold is live or captured.
 * LEDGER_FORK: the head has moved, or the agreement is another revision's. */
int ledger_void(struct store *s, enum ledger_side side, const char *lineage, const char *hold_id,
		const struct hash *agreement, wall_t now, struct ledger_result *ret,
		struct err *e) must_check;
/* A credit note of the operator, verified by the caller: gives amount (> 0) back, at most what
 * the lineage has captured (else LEDGER_STATE), never while a hold of it is live (IN_FLIGHT),
 * because that hold counted on what is captured. `note` is its digest and its key. */
int ledger_credit(struct store *s, enum ledger_side side, const char *lineage, money_t amount,
		  const struct hash *note, wall_t now, struct ledger_result *ret,
		  struct err *e) must_check;
/* Receipts of one wallet form a chain: refuses LEDGER_FORK unless prev is the last one. */
int ledger_receipt(struct store *s, const struct ledger_wallet_id *id, const struct hash *prev,
		   const struct hash *receipt, wall_t now, struct ledger_result *ret,
		   struct err *e) must_check;

/* Repairs counters that differ from the journal, which is what the daemon refuses to start with:
 * wallets, classes and lineages of the database in dir are counted anew. The log, the journal and
 * the holds must be sound (-EUCLEAN), and no daemon may hold the directory (-EBUSY). *ret: rows
 * that changed. */
int ledger_rebuild(const char *dir, uint64_t *ret, struct err *e) must_check;

/* --- freezing --- */
/* Two stops of the whole ledger, each with its own cause: nothing is held or captured. Releases,
 * expiries, voids and credits pass: they only give back. */
enum ledger_stop { LEDGER_STOP_LEDGER, LEDGER_STOP_KEY, LEDGER_STOP_MAX_ };
int ledger_stop(struct store *s, enum ledger_stop stop, bool on, struct err *e) must_check;
/* This hold is never captured (KEY_COMPROMISED); it stays until it is released or expires. */
int ledger_hold_freeze(struct store *s, enum ledger_side side, const char *hold_id,
		       struct err *e) must_check;
bool ledger_hold_frozen(struct store *s, enum ledger_side side, const char *hold_id);
/* No hold whose time ended at or before `now` is held again by a late capture (KEY_COMPROMISED):
 * what it rested on may be what was lost. A new hold may be asked for. Never moves back. */
int ledger_late_freeze(struct store *s, wall_t now, struct err *e) must_check;
/* Recounts everything from the journal, read only. -EUCLEAN with what is wrong. */
int ledger_check(struct store *s, struct err *e) must_check;

/* --- reading --- */
struct ledger_hold_row {
	enum ledger_side side;
	char hold_id[LEDGER_HOLD_ID_LEN];
	char wallet_id[LEDGER_ID_MAX];
	char class_name[LEDGER_CLASS_MAX];
	char lineage[LEDGER_ID_MAX];
	uint32_t rev;
	money_t amount; /* held for it, the delta */
	money_t total;  /* amount of the revision */
	enum ledger_hold_state state;
	wall_t expires;
	int64_t row; /* later ones are larger */
};

struct ledger_lineage {
	enum ledger_side side;
	char lineage[LEDGER_ID_MAX];
	char wallet_id[LEDGER_ID_MAX];
	char class_name[LEDGER_CLASS_MAX];
	uint32_t rev;     /* of the head */
	struct hash head; /* its agreement's digest, zero = none signed yet */
	money_t captured; /* net of credits */
	int64_t row;      /* later ones are larger */
};

int ledger_wallet_get(struct store *s, const struct ledger_wallet_id *id, struct ledger_wallet *ret,
		      struct err *e) must_check; /* -ENOENT */
/* All that was ever captured of the wallet by itself, credits not subtracted. Counted anew. */
int ledger_debited(struct store *s, const struct ledger_wallet_id *id, money_t *ret,
		   struct err *e) must_check;
int ledger_hold_get(struct store *s, enum ledger_side side, const char *lineage,
		    const char *hold_id, struct ledger_hold_row *ret,
		    struct err *e) must_check; /* -ENOENT */
int ledger_lineage_get(struct store *s, enum ledger_side side, const char *lineage,
		       struct ledger_lineage *ret, struct err *e) must_check; /* -ENOENT */
/* Each calls fn per row; its non-zero return stops and is returned. live: only held ones, in the
 * order in which they expire; else all beyond row `after`, in the order in which they were made. */
int ledger_wallets(struct store *s, int (*fn)(void *arg, const struct ledger_wallet *w), void *arg,
		   struct err *e) must_check;
int ledger_live_holds(struct store *s, int (*fn)(void *arg, const struct ledger_hold_row *h),
		      void *arg, struct err *e) must_check;
int ledger_holds(struct store *s, int64_t after,
		 int (*fn)(void *arg, const struct ledger_hold_row *h), void *arg,
		 struct err *e) must_check;
int ledger_lineages(struct store *s, int64_t after,
		    int (*fn)(void *arg, const struct ledger_lineage *l), void *arg,
		    struct err *e) must_check;

#endif
