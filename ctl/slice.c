/* SPDX-License-Identifier: Apache-2.0 */
/* --book FILE: sub-wallets below a wallet that several operators may take. No operator sees what
 * another counts, so each gets a slice of its own, and the slices are added up before one is
 * signed. */
#include "slice.h"

#include "agent/store/slices.h"

#include <errno.h>

static money_t ceiling_of(const struct wallet *w, const char *class_name)
{
	for (uint32_t i = 0; i < w->n_classes; i++)
		if (!strcmp(w->classes[i].name, class_name))
			return w->classes[i].ceiling;
	return (money_t){ 0 };
}

int slice_check(const struct ctl *c, const struct wallet *w, const struct wallet *parent,
		struct err *e)
{
	bool book = opt_get(c, "book");

	if (!book && parent && parent->n_operators > 1)
		return err_set(e, -EINVAL,
			       "--book: the parent may go to %u operators; a book keeps their "
			       "slices apart",
			       parent->n_operators);
	if (book && !parent)
		return err_set(e, -EINVAL, "--book: only with --parent");
	if (book && w->n_operators != 1)
		return err_set(e, -EINVAL, "--operator: one, with --book");
	return 0;
}

int slice_book(const struct ctl *c, const struct wallet *w, const struct wallet *parent,
	       struct err *e)
{
	struct slice_part part[1 + WALLET_CLASSES_MAX] = { { "", w->ceiling, parent->ceiling } };
	struct slice s = { .issuer = parent->issuer,
			   .parent = parent->wallet_id,
			   .generation = parent->generation,
			   .wallet = w->wallet_id,
			   .op = w->operators[0],
			   .currency = w->currency,
			   .part = part,
			   .n = 1 + w->n_classes };

	for (uint32_t i = 0; i < w->n_classes; i++)
		part[1 + i] = (struct slice_part){ w->classes[i].name, w->classes[i].ceiling,
						   ceiling_of(parent, w->classes[i].name) };
	return slice_take(opt_get(c, "book"), &s, e);
}
