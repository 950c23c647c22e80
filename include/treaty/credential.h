/* SPDX-License-Identifier: Apache-2.0 */
/* credential.h - what is signed around an agreement: its terms, its acceptance, its debit. Values
 * without pointers, unused bytes zero. */
#ifndef TREATY_CREDENTIAL_H
#define TREATY_CREDENTIAL_H

#include "wallet.h"

/* The "treaty" member beside the TMF651 body. */
struct agreement_terms {
	char id[URN_MAX];             /* of the credential */
	char issuer[DID_MAX];         /* the operator's BSS */
	char lineage[URN_MAX];        /* stable over all revisions */
	int64_t revision;             /* >= 1, rising; numbers that died are skipped */
	uint8_t previous[DIGEST_LEN]; /* SHA-256(JCS) of the last countersigned one; zero = none */
	char wallet_id[URN_MAX];
	int64_t generation;
	char hold_id[URN_MAX];
	uint8_t quote_digest[DIGEST_LEN];
	uint32_t label; /* 1..0xFFFFF */
	money_t amount; /* of this revision, >= 0 */
	char currency[CURRENCY_MAX];
	wall_t term_start, term_end;
	wall_t accept_by; /* a countersignature that comes later is refused: the revision is dead */
};

struct acceptance {
	char id[URN_MAX];
	char issuer[DID_MAX];                 /* the enterprise */
	uint8_t agreement_digest[DIGEST_LEN]; /* SHA-256(JCS) of the AgreementCredential */
	char lineage[URN_MAX];
	int64_t revision;
	char hold_id[URN_MAX];
	wall_t accepted_at;
};

struct receipt {
	char id[URN_MAX];
	char issuer[DID_MAX]; /* the enterprise, whose ledger it is */
	char wallet_id[URN_MAX];
	char hold_id[URN_MAX];
	char lineage[URN_MAX];
	int64_t revision;
	money_t amount;           /* of this debit, >= 0 */
	money_t cumulative_after; /* all debits of the wallet so far, credits not subtracted */
	char currency[CURRENCY_MAX];
	int64_t ledger_seq;           /* >= 1 */
	bool has_previous;            /* false only for a wallet's first receipt */
	uint8_t previous[DIGEST_LEN]; /* SHA-256(JCS) of the receipt before it */
	wall_t issued_at;
};

/* Of the operator: money of a revision goes back. */
struct credit_note {
	char id[URN_MAX];
	char issuer[DID_MAX]; /* the operator's BSS */
	char lineage[URN_MAX];
	int64_t revision;
	uint8_t agreement_digest[DIGEST_LEN]; /* SHA-256(JCS) of the AgreementCredential */
	char wallet_id[URN_MAX];
	char hold_id[URN_MAX];
	money_t amount; /* >= 0 */
	char currency[CURRENCY_MAX];
	char reason[32]; /* "not-in-force", "not-applied": it is void; "unused": it ended early */
	wall_t issued_at;
};

#endif
