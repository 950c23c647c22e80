/* SPDX-License-Identifier: Apache-2.0 */
/* wallet_terms.h - verified wallets as the ledger keeps them, the same on both sides. */
#ifndef TREATY_WALLET_TERMS_H
#define TREATY_WALLET_TERMS_H

#include "agent/codec/wallet.h"
#include "agent/store/ledger.h"

/* The wallet and those above it, nearest first; returns how many. The time window narrows the
 * validity; supersedes is left zero. digits: of the currency's minor unit. -ERANGE: a generation or
 * a walletId that the ledger or the log cannot hold. */
int wallet_terms(const struct wallet_chain *c, enum ledger_side side, uint8_t digits,
		 struct ledger_wallet ret[LEDGER_CHAIN_MAX], struct err *e) must_check;

#endif
