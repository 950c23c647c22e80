/* SPDX-License-Identifier: Apache-2.0 */
#include "key_freeze.h"

#include "agent/peer.h"

#include <errno.h>

#define HOLDS_MAX 4096 /* live at once */

struct found {
	const struct side *s;
	const struct ev_key *key;
	bool all;
	unsigned n;
	struct {
		enum ledger_side side;
		char id[LEDGER_HOLD_ID_LEN];
	} hold[HOLDS_MAX];
	const struct ledger_hold_row *now; /* whose wallet is looked for */
	bool match;
};

static bool is(const char *did, const struct ev_key *k)
{
	return !strcmp(did, k->owner.s);
}

static int wallet_of(void *arg, const struct ledger_wallet *w)
{
	struct found *f = arg;

	if (w->id.side == f->now->side && !strcmp(w->id.wallet_id, f->now->wallet_id))
		f->match |= is(w->id.issuer, f->key) || is(w->holder, f->key);
	return 0;
}

/* The gate's holds stand against the one operator; the shadow's against the deal's enterprise. */
static bool with_owner(const struct found *f, const struct ledger_hold_row *h)
{
	const struct cfg_peer *op = config_peer(f->s->cfg, f->s->cfg->enterprise.op);

	return h->side == LEDGER_GATE && op && is(op->did, f->key);
}

static int one(void *arg, const struct ledger_hold_row *h)
{
	struct found *f = arg;

	f->now = h;
	f->match = f->all || with_owner(f, h);
	if (!f->match && ledger_wallets(engine_store(f->s->engine), wallet_of, f, NULL))
		return -EIO;
	if (!f->match)
		return 0;
	if (f->n == HOLDS_MAX)
		return -ENOSPC;
	f->hold[f->n].side = h->side;
	memcpy(f->hold[f->n].id, h->hold_id, LEDGER_HOLD_ID_LEN);
	f->n++;
	return 0;
}

int key_freeze(struct side *s, const struct ev_key *k, unsigned *ret, struct err *e)
{
	struct store *st = engine_store(s->engine);
	bool own = is(s->cfg->daemon.did, k);
	struct found *f;
	int r;

	*ret = 0;
	if (!strncmp(k->id.s, "checkpoint", 10))
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, -ENOMEM, "holds");
	f->s = s;
	f->key = k;
	f->all = own && strcmp(k->role.s, "wallet") != 0;
	r = ledger_live_holds(st, one, f, e);
	if (r == -ENOSPC)
		r = err_set(e, r, "more than %d holds: freeze the ledger instead", HOLDS_MAX);
	for (unsigned i = 0; !r && i < f->n; i++)
		r = ledger_hold_freeze(st, f->hold[i].side, f->hold[i].id, e);
	if (!r)
		r = ledger_late_freeze(st, engine_now(s->engine), e);
	*ret = f->n;
	free(f);
	return r;
}
