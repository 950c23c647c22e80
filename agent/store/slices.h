/* SPDX-License-Identifier: Apache-2.0 */
/* slices.h - the book of what was given away below a wallet that several operators may take: one
 * slice for each sub-wallet, each for one operator. Their sum is gated in the database against the
 * wallet's ceiling and each of its classes', so no set of operators can come to more. A file by
 * itself, of whoever issues sub-wallets; no daemon has it. */
#ifndef TREATY_STORE_SLICES_H
#define TREATY_STORE_SLICES_H

#include "ledger.h"

struct slice_part {
	const char *class_name; /* "": the whole wallet */
	money_t ceiling, of;    /* the sub-wallet's, and the wallet's above it */
};

struct slice {
	const char *issuer, *parent; /* issuer and wallet id of the wallet above */
	int64_t generation;          /* of it */
	const char *wallet;          /* id of the sub-wallet */
	const char *op;              /* the one operator that may take it */
	const char *currency;
	const struct slice_part *part;
	size_t n;
};

/* Writes the slice into the book at path (made, 0600, when it is not there), on disk when the call
 * returns; all of it or nothing. Written again it only grows: what a sub-wallet's older generation
 * allowed may have been spent. -EDQUOT: the sum would be more than the wallet above has; -EPERM:
 * the sub-wallet is another operator's, the wallet above was lowered below what is given, in
 * another currency, or is older than one seen; the text says which. */
int slice_take(const char *path, const struct slice *s, struct err *e) must_check;

#endif
