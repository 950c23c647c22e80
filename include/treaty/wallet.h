/* SPDX-License-Identifier: Apache-2.0 */
/* wallet.h - the intent wallet: what an enterprise lets its agent spend, on what, with whom.
 * A value: no pointers, unused bytes zero, so two wallets compare by memcmp. */
#ifndef TREATY_WALLET_H
#define TREATY_WALLET_H

#include "err.h"
#include "units.h"

enum {
	DID_MAX = 128,     /* a DID with its NUL */
	DID_URL_MAX = 256, /* a DID, '#' and a fragment with its NUL */
	URN_MAX = 80,      /* an identifier (urn:uuid:..., 64 hex digits) with its NUL */
	CLASS_NAME_MAX = 32,
	CURRENCY_MAX = 4, /* three letters of ISO 4217 and NUL */
	WALLET_CLASSES_MAX = 8,
	WALLET_OPERATORS_MAX = 4,
	WALLET_PARENTS_MAX = 3, /* above a wallet */
	DIGEST_LEN = 32,        /* SHA-256 */
};

/* What a class's flows do when capacity is scarce. */
enum on_scarcity { SCARCITY_STEP_UP, SCARCITY_STEP_DOWN };

struct wallet_class {
	char name[CLASS_NAME_MAX];
	money_t ceiling;            /* held + captured of this class never grows past it */
	avail_t floor_availability; /* slaFloor: never buy less than this ... */
	delay_t floor_latency;      /* ... nor slower, one way, 0 = no floor */
	rate_t floor_bandwidth; /* ... nor narrower (kbit/s on the wire, a multiple of 1000 here) */
	enum on_scarcity on_scarcity;
};

/* Why a list's bit would stop a wallet: for ever, or for a while. */
enum status_purpose { STATUS_REVOCATION, STATUS_SUSPENSION, STATUS_PURPOSES };

/* Where a wallet's bit stands: credentialStatus of the credential. */
struct wallet_status {
	enum status_purpose purpose; /* each at most once in a wallet */
	char list[DID_URL_MAX];      /* URL of the list */
	uint32_t index;
};

struct wallet {
	char id[URN_MAX];         /* the credential's id: changes with each issue */
	char wallet_id[URN_MAX];  /* stable across issues; with issuer = the ledger's key */
	char supersedes[URN_MAX]; /* the previous credential's id, "" = first */
	int64_t generation;       /* >= 1, strictly rising per wallet_id */
	char issuer[DID_MAX];
	char holder[DID_MAX]; /* credentialSubject.id: the agent that may present it */
	char operators[WALLET_OPERATORS_MAX][DID_MAX];
	uint32_t n_operators;
	uint32_t n_classes;
	struct wallet_class classes[WALLET_CLASSES_MAX];
	char currency[CURRENCY_MAX];
	money_t ceiling; /* cumulative over the wallet's whole life */
	money_t agreement_max;
	int64_t term_max_s;
	money_t human_above;            /* an amount above it needs a human's approval */
	wall_t valid_from, valid_until; /* of the credential */
	wall_t not_before, not_after;   /* timeWindow: when agreements may be bought */
	char policy_id[URN_MAX];
	uint8_t policy_digest[DIGEST_LEN];
	uint32_t n_status; /* 0 = the issuer cannot take it back by a list */
	struct wallet_status status[STATUS_PURPOSES];
	uint32_t sub_depth; /* how many sub-wallets may stand below it, one under the other */
};

/* The wallets above one, its parent first, the root last. */
struct wallet_line {
	uint32_t n; /* 0 = it is no sub-wallet */
	struct wallet up[WALLET_PARENTS_MAX];
};

/* What is asked of a wallet. grade_known = false leaves the three floors unchecked (an intent that
 * lets the operator choose); amount 0 = not yet priced. */
struct wallet_ask {
	char operator_did[DID_MAX];
	char class_name[CLASS_NAME_MAX];
	char currency[CURRENCY_MAX];
	money_t amount;
	int64_t term_s;
	bool grade_known;
	avail_t availability;
	delay_t latency;
	rate_t bandwidth;
};

/* Index into classes, or -1. */
static inline int wallet_class_find(const struct wallet *w, const char *name)
{
	for (uint32_t i = 0; i < w->n_classes && i < WALLET_CLASSES_MAX; i++)
		if (!strncmp(w->classes[i].name, name, CLASS_NAME_MAX))
			return (int)i;
	return -1;
}

#endif
