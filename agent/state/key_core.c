/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys are believed. A line is never taken away: a compromised key stays so, and a retired
 * one is how old signatures are still read. */
#include "world.h"
#include "treaty/pure.h"

const struct key_line *world_key(const struct world *w, const did_t *owner, const name_t *id)
{
	for (uint32_t i = w->n_keys; i-- > 0;)
		if (ident_eq(w->key[i].owner, *owner) && ident_eq(w->key[i].id, *id))
			return &w->key[i];
	return NULL;
}

enum key_state key_state(const struct key_line *k, wall_t now)
{
	if (k->compromised.ms)
		return KEY_COMPROMISED;
	if (!k->until.ms)
		return KEY_IN_FORCE;
	return now.ms < k->until.ms ? KEY_OVERLAP : KEY_RETIRED;
}

const char *key_state_name(enum key_state s)
{
	static const char *const names[] = { "active", "overlap", "retired", "compromised" };

	return names[s];
}

/* Quotes and debits rest on these two; a lost checkpoint key silences the witness, a lost wallet
 * key the issuer. */
static bool moves_money(const name_t *role)
{
	static const name_t agreement = { "agreement" }, presentation = { "presentation" };

	return ident_eq(*role, agreement) || ident_eq(*role, presentation);
}

bool world_key_lost(const struct world *w)
{
	for (uint32_t i = 0; i < w->n_keys; i++) {
		const struct key_line *k = &w->key[i];
		bool replaced = false;

		if (!k->compromised.ms || !moves_money(&k->role))
			continue;
		for (uint32_t j = 0; j < w->n_keys; j++)
			replaced |= !w->key[j].until.ms && !w->key[j].compromised.ms &&
				    ident_eq(w->key[j].role, k->role);
		if (!replaced)
			return true;
	}
	return false;
}

enum refusal key_guard(const struct world *w, const struct event *ev)
{
	const struct ev_key *k = &ev->u.key;
	const struct key_line *old;

	if (ident_empty(k->id) || ident_empty(k->owner))
		return REFUSE_BODY_MALFORMED;
	if (w->n_keys + 2 > WORLD_KEYS_MAX)
		return REFUSE_LIMIT_REACHED;
	old = world_key(w, &k->owner, &k->id);
	if (ev->kind == EV_KEY_COMPROMISED)
		return old && old->compromised.ms ? REFUSE_DUPLICATE : REFUSE_NONE;
	return ident_empty(k->role) ? REFUSE_BODY_MALFORMED : old ? REFUSE_DUPLICATE : REFUSE_NONE;
}

static struct key_line *line(struct world *w, const struct ev_key *k, const name_t *id,
			     const digest_t *key)
{
	struct key_line *l;

	for (uint32_t i = 0; i < w->n_keys; i++)
		if (ident_eq(w->key[i].owner, k->owner) && ident_eq(w->key[i].id, *id))
			return &w->key[i];
	l = &w->key[w->n_keys++];
	l->owner = k->owner;
	l->role = k->role;
	l->id = *id;
	l->key = *key;
	return l;
}

void key_fold(struct world *w, const struct event *ev)
{
	const struct ev_key *k = &ev->u.key;
	struct key_line *l;

	if (ev->kind == EV_LEDGER_FROZEN || ev->kind == EV_LEDGER_THAWED)
		w->ledger_frozen = ev->kind == EV_LEDGER_FROZEN;
	if (ev->kind == EV_KEY_COMPROMISED) {
		l = line(w, k, &k->id, &k->key);
		l->compromised = ev->at;
		l->until = k->until;
	}
	if (ev->kind != EV_KEY_ROTATED)
		return;
	if (!ident_empty(k->old)) {
		l = line(w, k, &k->old, &k->old_key);
		if (!l->compromised.ms)
			l->until = k->until;
	}
	line(w, k, &k->id, &k->key)->since = ev->at;
}

/* Who lost a key: a deal is dealt with again once its wallet was shown anew, which can only be
 * signed with another key. */
static bool lost_since(const struct world *w, const did_t *owner, wall_t admitted)
{
	for (uint32_t i = 0; i < w->n_keys; i++)
		if (w->key[i].compromised.ms && ident_eq(w->key[i].owner, *owner) &&
		    w->key[i].compromised.ms >= admitted.ms)
			return true;
	return false;
}

bool key_issuer_lost(const struct world *w, const struct deal *d)
{
	return lost_since(w, &d->admit.issuer, d->admitted);
}

enum refusal key_stops(const struct world *w, const struct deal *d, const struct event *ev)
{
	switch (ev->kind) {
	case EV_QUOTE_OFFERED:
	case EV_RENEGOTIATION_OPENED:
	case EV_QUOTE_ACCEPTED:
	case EV_ACCEPT_RECORDED: break;
	default: return REFUSE_NONE;
	}
	if (w->ledger_frozen)
		return REFUSE_LEDGER_FROZEN;
	return world_key_lost(w) || (d->operator_side && lost_since(w, &d->peer, d->admitted))
		       ? REFUSE_KEY_COMPROMISED
		       : REFUSE_NONE;
}
