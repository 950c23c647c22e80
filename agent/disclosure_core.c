/* SPDX-License-Identifier: Apache-2.0 */
#include "disclosure_core.h"
#include "treaty/pure.h"

static bool is_for(const struct disclose_rule *r, const struct disclose_who *who)
{
	if (r->to & who->roles)
		return true;
	for (uint8_t i = 0; i < r->n_peers; i++)
		if (who->did[0] && !strcmp(r->peer[i].s, who->did))
			return true;
	return false;
}

static bool applies(const struct disclose_rule *r, const struct disclose_what *what)
{
	if (what->event != EV_NONE_ ? !r->events[what->event]
				    : !(r->resources >> what->resource & 1))
		return false;
	if ((r->own && !what->own) || (r->after_end && !what->ended))
		return false;
	return what->at.ms >= r->from.ms && (!r->until.ms || what->at.ms < r->until.ms);
}

uint32_t disclose_rules(const struct disclosure *d, const struct disclose_who *who,
			const struct disclose_what *what)
{
	uint32_t bits = 0;

	for (uint8_t i = 0; i < d->n_rules; i++)
		if (is_for(&d->rule[i], who) && applies(&d->rule[i], what))
			bits |= 1u << i;
	return bits;
}

bool disclose_may_ask(const struct disclosure *d, const struct disclose_who *who, unsigned resource)
{
	for (uint8_t i = 0; i < d->n_rules; i++)
		if (is_for(&d->rule[i], who) && d->rule[i].resources >> resource & 1)
			return true;
	return false;
}

bool disclose_may_watch(const struct disclosure *d, const struct disclose_who *who)
{
	for (uint8_t i = 0; i < d->n_rules; i++)
		for (unsigned k = 0; k < EV_MAX_ && is_for(&d->rule[i], who); k++)
			if (d->rule[i].events[k])
				return true;
	return false;
}

/* a is b, or a member of it. */
static bool below(const char *a, const char *b)
{
	size_t n = strlen(b);

	return !strncmp(a, b, n) && (a[n] == '\0' || a[n] == '.');
}

enum disclose_sight disclose_member(const struct disclosure *d, uint32_t rules, const char *path)
{
	enum disclose_sight best = DISCLOSE_HIDE;

	for (uint8_t i = 0; i < d->n_rules; i++)
		for (uint8_t k = 0; rules >> i & 1 && k < d->rule[i].n_members; k++) {
			const char *m = d->rule[i].member[k];

			if (!strcmp(m, "*") || below(path, m))
				return DISCLOSE_SHOW;
			if (below(m, path))
				best = DISCLOSE_PART;
		}
	return best;
}

void disclose_default(struct disclosure *ret, uint32_t capacity, uint32_t topology)
{
	struct disclose_rule *app = &ret->rule[0], *domain = &ret->rule[1];

	memset(ret, 0, sizeof(*ret));
	ret->n_rules = 2;
	app->to = DISCLOSE_APP;
	app->resources = UINT32_MAX;
	for (unsigned k = 0; k < EV_MAX_; k++)
		app->events[k] = true;
	domain->to = DISCLOSE_DOMAIN;
	domain->resources = 1u << capacity | 1u << topology;
	for (uint8_t i = 0; i < 2; i++) {
		ret->rule[i].n_members = 1;
		ret->rule[i].member[0][0] = '*';
	}
}
