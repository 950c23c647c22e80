/* SPDX-License-Identifier: Apache-2.0 */
#include "wallet_terms.h"

#include "treaty/event.h"

#include <errno.h>

_Static_assert(LEDGER_CHAIN_MAX == 1 + WALLET_PARENTS_MAX, "the ledger holds every line");

static int terms_of(const struct wallet *w, const uint8_t digest[DIGEST_LEN],
		    struct ledger_wallet *ret, struct err *e)
{
	str_cut(ret->id.issuer, w->issuer);
	str_cut(ret->id.wallet_id, w->wallet_id);
	str_cut(ret->holder, w->holder);
	memcpy(ret->credential.b, digest, DIGEST_LEN);
	ret->generation = (uint32_t)w->generation;
	memcpy(ret->currency, w->currency, sizeof(ret->currency));
	ret->ceiling = w->ceiling;
	ret->agreement_max = w->agreement_max;
	ret->valid_from = w->valid_from.ms > w->not_before.ms ? w->valid_from : w->not_before;
	ret->valid_until = w->valid_until.ms < w->not_after.ms ? w->valid_until : w->not_after;
	ret->classes = w->n_classes;
	for (uint32_t i = 0; i < w->n_classes; i++) {
		str_cut(ret->klass[i].name, w->classes[i].name);
		ret->klass[i].ceiling = w->classes[i].ceiling;
	}
	if (w->generation > UINT32_MAX)
		return err_set(e, -ERANGE, "wallet.generation: at most 2^32-1");
	if (strlen(w->wallet_id) >= sizeof(((struct ev_accept *)0)->wallet.s))
		return err_set(e, -ERANGE, "wallet.walletId: at most %zu characters",
			       sizeof(((struct ev_accept *)0)->wallet.s) - 1);
	return 0;
}

int wallet_terms(const struct wallet_chain *c, enum ledger_side side, uint8_t digits,
		 struct ledger_wallet ret[LEDGER_CHAIN_MAX], struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; !r && i <= c->line.n; i++) {
		memset(&ret[i], 0, sizeof(ret[i]));
		ret[i].id.side = side;
		ret[i].digits = digits;
		r = terms_of(i ? &c->line.up[i - 1] : &c->wallet, c->digest[i], &ret[i], e);
		if (i) {
			memcpy(ret[i - 1].parent_issuer, ret[i].id.issuer,
			       sizeof(ret[i].id.issuer));
			memcpy(ret[i - 1].parent_id, ret[i].id.wallet_id,
			       sizeof(ret[i].id.wallet_id));
		}
	}
	return r ? r : 1 + (int)c->line.n;
}
