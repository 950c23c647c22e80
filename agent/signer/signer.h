/* SPDX-License-Identifier: Apache-2.0 */
/* signer.h - the process that holds the four Ed25519 keys of a side and enforces rules of its own:
 * agreements only move forward, amounts stay below the configured ceiling, signatures come at a
 * bounded rate. Its state file is on disk before a signature leaves. */
#ifndef TREATY_SIGNER_H
#define TREATY_SIGNER_H

#include "agent/config.h"
#include "agent/msg.h"

enum {
	MSG_SIGN = MSG_SIGNER_BASE,
	MSG_PUBKEY,
	MSG_ATTEST,
	MSG_KEY,
	MSG_SIGN_TEXT,
	MSG_SUMS,
	MSG_HORIZON,
};

enum signer_kind {
	SIGNER_WALLET,       /* wallet key; its ceiling is within ours */
	SIGNER_PRESENTATION, /* presentation key */
	SIGNER_AGREEMENT,    /* agreement key; a revision per lineage, forward only */
	SIGNER_ACCEPTANCE,   /* agreement key; counted apart from our own agreements */
	SIGNER_CHECKPOINT,   /* checkpoint key; a C2SP note body or its cosignature/v1 message */
	SIGNER_RECEIPT,      /* agreement key; a debit receipt, chained by the ledger */
	SIGNER_DISCLOSURE,   /* agreement key; a disclosure policy, its versions forward only */
	SIGNER_EXPORT,       /* agreement key; what was disclosed of the log */
	SIGNER_CREDIT,       /* agreement key; a credit note, added up for its wallet */
	SIGNER_MAX_,
};

#define SIGN_LINEAGE_LEN 32
#define SIGN_DATA_MAX    2048
#define SIGN_TEXT_MAX    16384

/* The document that the next MSG_SIGN is about, in order, as canonical text without its proof. An
 * acceptance needs the agreement that it accepts as well, with its proof. The signer reads what it
 * is asked to sign out of that text, and hashes it by itself. */
enum sign_part { SIGN_DOCUMENT, SIGN_ABOUT, SIGN_PARTS };

struct sign_text {
	uint32_t kind;  /* enum signer_kind, as in the MSG_SIGN that follows */
	uint32_t part;  /* enum sign_part */
	uint32_t first; /* 1: begins the part anew */
	uint32_t len;   /* of data */
	uint8_t data[SIGN_TEXT_MAX];
};

/* data: the proof's options as canonical text without proofValue; of a checkpoint, all of it. What
 * is signed of a document is SHA256(data) || SHA256(its text); it is used up by the answer,
 * whichever. */
struct sign_req {
	uint32_t kind;
	uint32_t data_len;
	uint8_t data[SIGN_DATA_MAX];
};

/* count and head name the signer's last record; the log keeps them and gives them back in
 * MSG_ATTEST after a restart. */
struct sign_rep {
	uint8_t signature[64];
	uint8_t public[32];
	uint64_t count;
	uint8_t head[32];
};

enum signer_which { SIGNER_ACTIVE, SIGNER_STANDBY };

/* -ENOKEY: none. After a compromise a role has no active key until it is rotated. */
struct pubkey_req {
	uint32_t key;   /* enum cfg_key_kind */
	uint32_t which; /* enum signer_which */
};

struct pubkey_rep {
	uint8_t public[32];
	uint64_t generation; /* of the role: 1 until it is first rotated, never down */
};

enum signer_key_act {
	SIGNER_ROTATE =
		1, /* public signs for the role from now on: one of the two that are loaded */
	SIGNER_COMPROMISE, /* public never signs again; the role has no key, if it was the active
			      one */
};

/* Both are recorded on disk before they take effect, and may be asked for again. */
struct key_req {
	uint32_t key; /* enum cfg_key_kind */
	uint32_t act; /* enum signer_key_act */
	uint8_t public[32];
};

struct key_rep {
	uint64_t generation;
	uint64_t count; /* as in struct sign_rep */
	uint8_t head[32];
};

/* What the log knows of the signer: until it was told, and when the state file is behind it or
 * disagrees with it, the signer signs nothing. An empty log says count 0. */
struct attest_req {
	uint64_t count;
	uint8_t head[32];
};

struct attest_rep {
	uint64_t count;
	uint8_t head[32];
};

#define SIGN_WALLET_LEN 24

/* Lineages, wallets and notes that a signer remembers; more are refused, -ENOSPC. Of these, so many
 * that no horizon moves: wallets, and lineages whose names say no time that has come. So many
 * others are when a horizon is due. */
enum {
	SIGNER_LINEAGES = 1 << 20,
	SIGNER_KEPT = SIGNER_LINEAGES / 2,
	SIGNER_DUE = SIGNER_LINEAGES / 4,
};

/* What the signer added up by itself; it tells also before the log has confirmed its state. */
struct sums_req {
	uint32_t all;                    /* 1: of all wallets together */
	uint8_t wallet[SIGN_WALLET_LEN]; /* the first bytes of SHA-256 of its name */
};

struct sums_rep {
	int64_t committed, credited; /* minor units, in this period */
	int64_t ceiling;             /* of each of the two; INT64_MAX = none */
	uint64_t period;             /* its begin, seconds since 1970; 0 = for good */
	uint64_t horizon;            /* seconds since 1970; 0 = none */
	uint32_t lineages;           /* with wallets and notes, of SIGNER_LINEAGES */
	uint32_t kept;               /* of these, of SIGNER_KEPT */
};

/* "What is named before this may be forgotten, and is refused for good": at most so far behind the
 * signer's own clock, and never back. */
enum { SIGNER_MARGIN_S = 3600 };

struct horizon_req {
	uint64_t before; /* seconds since 1970 */
};

struct horizon_rep {
	uint64_t horizon; /* that holds now: before, or an earlier one (sstate_forget()) */
	uint32_t gone;    /* lineages and notes that left the table */
	uint32_t lineages;
	uint64_t count; /* as in struct sign_rep */
	uint8_t head[32];
};

/* Loads keys and state, confines itself, serves agents_fd until parent_fd or agents_fd ends.
 * 0 = clean stop. */
int signer_run(const struct config *c, int parent_fd, int agents_fd, struct err *e) must_check;

#endif
