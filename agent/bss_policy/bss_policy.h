/* SPDX-License-Identifier: Apache-2.0 */
/* bss_policy.h - the operator's gate: challenges, wallets, what is revoked. An admitted wallet is
 * the event WALLET_ADMITTED; pricing begins there. */
#ifndef TREATY_BSS_POLICY_H
#define TREATY_BSS_POLICY_H

#include "agent/side.h"

/* Takes TreatyChallengeRequest and Intent + presentation at the desk (bss_desk.h, emptied here:
 * this shell starts first). -EINVAL: the configuration lacks what a wallet is judged by. */
int bss_policy_start(struct side *s, struct err *e) must_check;

#endif
