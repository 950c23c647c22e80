/* SPDX-License-Identifier: Apache-2.0 */
#include "horizon.h"

#include "agent/codec/json.h"
#include "agent/log.h"
#include "agent/signer/client.h"
#include "agent/signer/signer_core.h"
#include "side_make.h"

#include <errno.h>
#include <stdio.h>

#define LOOK_US 60000000
/* Our clock may be ahead of the signer's, by what a step is that nobody noticed yet. */
#define BEHIND_S (SIGNER_MARGIN_S + 1800)
/* What ended a day ago and was not credited since will not be. */
#define SETTLED_MS (24 * 3600 * 1000)
#define HOURLY     60 /* looks */

/* A revision or a note may still have to be signed for it. */
static bool lives(const struct world *w, const struct deal *d, wall_t now)
{
	bool due = d->operator_side && d->cur.rev && d->cur.refundable && !deal_credited(d) &&
		   now.ms - d->changed.ms < SETTLED_MS;

	return due || !world_over(w, d, now);
}

/* Of the lineage, or of what an operator of our kind would call it (bss_sign.c). */
static uint64_t time_of(const ident_t *id, ident_t *ret)
{
	char buf[sizeof(id->s) + 8];

	(void)snprintf(buf, sizeof(buf), "agr-%s", strlen(id->s) > 4 ? id->s + 4 : "");
	memset(ret, 0, sizeof(*ret));
	str_cut(ret->s, buf);
	return sign_named(ret->s, strlen(ret->s));
}

uint64_t horizon_of(const struct world *w, wall_t now, ident_t *ret_oldest)
{
	int64_t s = now.ms / 1000 - BEHIND_S;
	uint64_t before = s > 0 ? (uint64_t)s : 0;

	memset(ret_oldest, 0, sizeof(*ret_oldest));
	for (uint32_t i = 0; i < w->n_deals; i++) {
		const struct deal *d = &w->deal[i];
		const ident_t *const id[] = { &d->negotiation, &d->lineage };

		for (size_t k = 0; k < ARRAY_LEN(id) && lives(w, d, now); k++) {
			ident_t name;
			uint64_t t = time_of(id[k], &name);

			if (t && t < before) {
				before = t;
				*ret_oldest = name;
			}
		}
	}
	return before;
}

static void tell(const struct sums_rep *had, const struct horizon_rep *p, const ident_t *oldest)
{
	char t[TIME_TEXT_MAX];

	time_format((wall_t){ (int64_t)p->horizon * 1000 }, t);
	log_info("signer: horizon %s, since %u of %u lineages could be forgotten (from %u on): %u "
		 "are forgotten, %u are left; what is named before it and not known is refused for "
		 "good, which cannot be undone; oldest name that is needed: %s",
		 t, had->lineages - had->kept, (unsigned)SIGNER_LINEAGES, (unsigned)SIGNER_DUE,
		 p->gone, p->lineages, oldest->s[0] ? oldest->s : "none");
}

/* It is due and does not move: an agreement that lives long holds it. */
static void tell_held(const struct sums_rep *had, const ident_t *oldest, const char *why)
{
	static unsigned looks;

	if (looks++ % HOURLY == 0)
		log_warn("signer: %u of %u lineages are known, and no horizon can be set: %s; "
			 "oldest name that is needed: %s",
			 had->lineages, (unsigned)SIGNER_LINEAGES, why,
			 oldest->s[0] ? oldest->s : "none");
}

int horizon_look(struct side *s, struct err *e)
{
	struct horizon_rep p;
	struct sums_rep had;
	struct err why = { 0 };
	ident_t oldest;
	uint64_t before;
	int r = signer_sums(s->signer, NULL, &had, e);

	if (r || had.lineages - had.kept < SIGNER_DUE)
		return r;
	before = horizon_of(engine_world(s->engine), engine_now(s->engine), &oldest);
	r = before > had.horizon ? side_horizon(s, before, &p, &why)
				 : err_set(&why, -EACCES, "before: the horizon would not move");
	if (!r) {
		tell(&had, &p, &oldest);
		return 1;
	}
	if (r != -EACCES)
		return err_set(e, r, "%s", why.text);
	tell_held(&had, &oldest, why.text);
	return 0;
}

/* A signer that is gone is somebody else's to notice (agents.c). */
static void look(void *arg)
{
	struct side *s = arg;
	struct err e = { 0 };

	if (horizon_look(s, &e) < 0)
		log_warn("signer: horizon: %s", e.text);
	if (!loop_after(s->loop, LOOK_US, look, s))
		log_error("horizon: out of memory");
}

int horizon_start(struct side *s, struct err *e)
{
	return loop_after(s->loop, LOOK_US, look, s)
		       ? 0
		       : err_set(e, -ENOMEM, "horizon: out of memory");
}
