/* SPDX-License-Identifier: Apache-2.0 */
/* slice.h - what `wallet issue --book` keeps. */
#ifndef TREATY_CTL_SLICE_H
#define TREATY_CTL_SLICE_H

#include "ctl.h"

#include "treaty/wallet.h"

/* -EINVAL: a book is needed, or is of no use here. parent: NULL = none. */
int slice_check(const struct ctl *c, const struct wallet *w, const struct wallet *parent,
		struct err *e);
/* Writes the slice before the wallet leaves. As slice_take(). */
int slice_book(const struct ctl *c, const struct wallet *w, const struct wallet *parent,
	       struct err *e);

#endif
