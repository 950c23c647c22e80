/* SPDX-License-Identifier: Apache-2.0 */
/* torture.h - between the clients of the ledger torture and the process that holds the store. */
#ifndef TREATY_TEST_TORTURE_H
#define TREATY_TEST_TORTURE_H

#include "agent/store/ledger.h"

enum { WALLETS = 3, CLIENTS_MAX = 32 };
enum op { OP_HOLD, OP_CAPTURE, OP_RELEASE, OP_REISSUE, OP_WALLET };

struct request {
	uint32_t id, op;
	uint32_t wallet, generation; /* generation: REISSUE */
	char lineage[32];
	uint32_t rev;
	int64_t amount, expires_in; /* ms */
	struct hash prev, offer;
	char hold_id[LEDGER_HOLD_ID_LEN];
	struct hash agreement;
};

struct answer {
	uint32_t id, why;
	uint32_t replayed, generation; /* generation: WALLET */
	int64_t amount;
	char hold_id[LEDGER_HOLD_ID_LEN];
};

/* Ceilings go up and down from one generation to the next. */
static inline int64_t ceiling_of(uint32_t generation)
{
	return 40000 + (int64_t)(generation * 2654435761U % 7) * 30000 +
	       (int64_t)generation * 20000;
}

static inline struct ledger_wallet wallet_of(uint32_t i, uint32_t generation)
{
	struct ledger_wallet w = { .id = { LEDGER_GATE, "did:web:issuer", "" },
				   .holder = "did:web:ent",
				   .generation = generation,
				   .currency = "EUR",
				   .ceiling = { ceiling_of(generation) },
				   .agreement_max = { 5000 },
				   .valid_until = { INT64_MAX },
				   .classes = 1,
				   .klass = { { .name = "bulk",
						.ceiling = { ceiling_of(generation) } } } };
	uint32_t before[2] = { i, generation - 1 }, this[2] = { i, generation };

	(void)snprintf(w.id.wallet_id, sizeof(w.id.wallet_id), "w%u", i);
	w.credential = hash_bytes(this, sizeof(this));
	if (generation > 1)
		w.supersedes = hash_bytes(before, sizeof(before));
	return w;
}

/* The process that holds the store: takes what all clients ask in one turn, commits, answers. */
void serve(const char *dir, const char *socket_path);
/* One client: asks until `until` (boot clock, s), through every crash of the server; writes what
 * was acknowledged to out. Exits 0, or 1 with a line on stderr when an answer was wrong. */
void client(const char *socket_path, unsigned no, uint64_t seed, double until, const char *out);
double clock_s(void);

#endif
