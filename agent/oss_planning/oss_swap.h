/* SPDX-License-Identifier: Apache-2.0 */
/* oss_swap.h - MCP row path_swap {agreementId, path}: a human has the running revision carried over
 * another path of the same type. The order takes the road of every order; the answer comes when it
 * is applied, refused or rolled back. */
#ifndef TREATY_OSS_SWAP_H
#define TREATY_OSS_SWAP_H

#include "agent/side.h"

int oss_swap_start(struct side *s, struct err *e) must_check;

#endif
